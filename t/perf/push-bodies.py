#!/usr/bin/env python3
"""Each line of BODIES once through the Import API, over CONNS connections.  push-bodies.py URL TOKENFILE BODIES [CONNS]   Exits 1 unless all are accepted."""
import http.client, sys, threading, urllib.parse

url, token, bodies = urllib.parse.urlparse(sys.argv[1]), open(sys.argv[2]).read().strip(), open(sys.argv[3], "rb").read().splitlines()
lock, at, bad = threading.Lock(), iter(bodies), []


def run():
    c = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    while True:
        with lock:
            body = next(at, None)
        if body is None:
            return
        c.request("POST", "/v2/import/batch", body, {"Authorization": "Bearer " + token, "Content-Type": "application/json"})
        r = c.getresponse()
        r.read()
        if r.status != 201:
            bad.append(r.status)


threads = [threading.Thread(target=run) for _ in range(int(sys.argv[4]) if len(sys.argv) > 4 else 8)]
for t in threads:
    t.start()
for t in threads:
    t.join()
sys.exit(f"refused: {bad[:5]}" if bad else 0)
