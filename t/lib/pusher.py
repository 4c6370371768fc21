#!/usr/bin/env python3
"""A client of the Import API that never gives up: pushes a file of JSON lines in batches, and journals each batch when it is answered 2xx.

    pusher.py --port FILE|N --token FILE --table T --lines FILE --journal FILE [--key K] [--batch 200] [--connections 4] [--seconds S]

A batch that is in the journal is never sent again: what was acknowledged must be there without our help. One that failed (503, no connection, no
answer) is sent again with the same bytes and the same Idempotency-Key, so that an append-only table gets it once too. --port FILE is read anew for
each connection, since a daemon with port 0 takes another one after a restart. Exit 0: all is acknowledged; 1: an answer that must not be (4xx); 2: time is up.
"""
import argparse, http.client, json, os, queue, sys, threading, time


def main():
    p = argparse.ArgumentParser()
    for name in ("port", "token", "table", "lines", "journal"):
        p.add_argument("--" + name, required=True)
    p.add_argument("--key", action="append", default=[])
    p.add_argument("--batch", type=int, default=200)
    p.add_argument("--connections", type=int, default=4)
    p.add_argument("--seconds", type=float, default=300)
    p.add_argument("--pace", type=float, default=0, help="seconds between the batches of a connection")
    args = p.parse_args()
    token = open(args.token).read().strip()
    lines = open(args.lines, encoding="utf-8").read().splitlines()
    done = set()
    if os.path.exists(args.journal):
        done = {int(x) for x in open(args.journal) if x.endswith("\n")}
    todo = queue.Queue()
    for i in range((len(lines) + args.batch - 1) // args.batch):
        if i not in done:
            todo.put(i)
    journal = open(args.journal, "a", buffering=1)
    lock = threading.Lock()
    end = time.monotonic() + args.seconds
    bad = []

    def body(i):
        part = lines[i * args.batch:(i + 1) * args.batch]
        messages = ",".join('{"action":"upsert","sequence":%d,"data":%s}' % (i * args.batch + n + 1, line) for n, line in enumerate(part))
        head = '"table_name":%s,"schema":{"properties":{"time_hour":{"type":["null","string"],"format":"date-time"}}},"key_names":%s' % (
            json.dumps(args.table), json.dumps(args.key))
        return ("{%s,\"messages\":[%s]}" % (head, messages)).encode()

    def port():
        return int(open(args.port).read()) if os.path.exists(args.port) else int(args.port)

    def work():
        conn = None
        while not bad and time.monotonic() < end:
            try:
                i = todo.get_nowait()
            except queue.Empty:
                return
            data = body(i)
            while not bad:
                if time.monotonic() >= end:
                    return
                try:
                    if conn is None:
                        conn = http.client.HTTPConnection("127.0.0.1", port(), timeout=20)
                    conn.request("POST", "/v2/import/batch", data, {"Authorization": "Bearer " + token, "Content-Type": "application/json",
                                                                     "Idempotency-Key": "%s-%d" % (args.table, i)})
                    r = conn.getresponse()
                    answer = r.read()
                except (OSError, ValueError, http.client.HTTPException):
                    # ValueError: the port file is being written
                    if conn:
                        conn.close()
                    conn = None
                    time.sleep(0.05)
                    continue
                if 200 <= r.status < 300:
                    json.loads(answer)
                    with lock:
                        journal.write("%d\n" % i)
                    break
                if r.status != 503 or not r.getheader("Retry-After") or not json.loads(answer):
                    bad.append("%d %s" % (r.status, answer[:300]))
                    return
                time.sleep(min(float(r.getheader("Retry-After")), 0.3))
            if args.pace:
                time.sleep(args.pace)

    threads = [threading.Thread(target=work) for _ in range(args.connections)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if bad:
        print("pusher: an answer that must not be: " + bad[0], file=sys.stderr)
        return 1
    if len({int(x) for x in open(args.journal)}) * args.batch < len(lines):
        print("pusher: time is up, %d batches are not acknowledged" % todo.qsize(), file=sys.stderr)
        return 2
    return 0


sys.exit(main())
