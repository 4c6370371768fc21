#!/usr/bin/env python3
"""From accept to visible: single records at a steady rate through the Import API, seen from a second connection to Postgres that asks by id.
  visible.py --url URL --token FILE --table T --schema S --rate 100 --secs 60 --first ID        (psql by the PG* variables)
accept = the clock when the 201 was read, visible = the clock when the answer of the query that first showed the id was read; one machine, one clock. The poll
waits POLL_MS between two questions, so a figure is at most that and a query's time too long. Prints one JSON line, in ms."""
import argparse, http.client, json, queue, subprocess, sys, threading, time, urllib.parse

POLL_MS = 5


def percentile(v, p):
    return v[min(len(v) - 1, int(len(v) * p / 100))]


def sender(a, token, todo, accepted, durable, failed):
    u = urllib.parse.urlparse(a.url)
    c = http.client.HTTPConnection(u.hostname, u.port, timeout=60)
    while True:
        i = todo.get()
        if i is None:
            return
        body = json.dumps({"table_name": a.table, "schema": {"properties": {"id": {"type": "integer"}}}, "key_names": ["id"], "messages": [
            {"action": "upsert", "sequence": i, "data": {"id": i, "name": f"visitor {i}", "amount": i * 0.25, "note": "lorem ipsum " * 20}}]})
        t0 = time.monotonic()
        c.request("POST", "/v2/import/batch", body, {"Authorization": "Bearer " + token, "Content-Type": "application/json"})
        r = c.getresponse()
        r.read()
        now = time.monotonic()
        if r.status == 201:
            durable.append((now - t0) * 1000)
            accepted[i] = now
        else:
            failed.append(i)


def watch(a, visible, count, over):
    """asks for ids above the lowest that is not seen yet"""
    p = subprocess.Popen(["psql", "-XAtq"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1)
    low = a.first
    while len(visible) < count and not over.is_set():
        p.stdin.write(f'SELECT coalesce(string_agg(id::text, \' \'), \'-\') FROM "{a.schema}"."{a.table}" WHERE id >= {low} AND id < {a.first + count};\n')
        p.stdin.flush()
        line = p.stdout.readline().strip()
        now = time.monotonic()
        for w in line.split():
            if w != "-":
                visible.setdefault(int(w), now)
        while low in visible:
            low += 1
        time.sleep(POLL_MS / 1000)
    p.stdin.close()
    p.wait()


def main():
    q = argparse.ArgumentParser()
    for k in ("url", "token", "table", "schema"):
        q.add_argument("--" + k, required=True)
    for k, v in (("rate", 100), ("secs", 60), ("first", 1), ("conns", 4)):
        q.add_argument("--" + k, type=int, default=v)
    a = q.parse_args()
    token, count = open(a.token).read().strip(), a.rate * a.secs
    todo, accepted, visible, durable, failed, over = queue.Queue(), {}, {}, [], [], threading.Event()
    senders = [threading.Thread(target=sender, args=(a, token, todo, accepted, durable, failed)) for _ in range(a.conns)]
    watcher = threading.Thread(target=watch, args=(a, visible, count, over))
    for t in senders + [watcher]:
        t.start()
    began = time.monotonic()
    for k in range(count):
        time.sleep(max(0, began + k / a.rate - time.monotonic()))
        todo.put(a.first + k)
    for _ in senders:
        todo.put(None)
    for t in senders:
        t.join()
    took = time.monotonic() - began
    watcher.join(60)
    over.set()
    watcher.join()
    v, d = sorted((visible[i] - accepted[i]) * 1000 for i in accepted if i in visible), sorted(durable)
    print(json.dumps({"sent": count, "refused": len(failed), "unseen": len(accepted) - len(v), "per_s": round(count / took, 1), "visible_p50": round(percentile(v, 50), 1),
                      "visible_p99": round(percentile(v, 99), 1), "visible_max": round(v[-1], 1), "accept_p50": round(percentile(d, 50), 2), "accept_p99": round(percentile(d, 99), 2)}))
    sys.exit(1 if failed or len(v) < count else 0)


main()
