#!/usr/bin/env python3
# A daemon that is none: serves the control protocol on a Unix socket from a script of canned answers, and writes down every call.
#   fake-server.py SOCKET ANSWERS.json CALLS
# ANSWERS.json: {"hello": {..}, "status": {..}, "METHOD": result | {"error": [name, text]} | {"by": PARAM, VALUE: result, ..}}; it is read anew for each call, so a test
# changes the world by writing the file. CALLS: one line of JSON a call (method, params). A `stats` line goes out every 200 ms to those who subscribed;
# when the status has "silent": true, nothing goes out and nothing is answered (a daemon that hangs); with "clock": true its time goes on, and a line
# goes out each second.
import json, os, select, socket, sys, time

path, answers, calls = sys.argv[1:4]


def world():
    for _ in range(50):
        try:
            with open(answers) as f:
                return json.load(f)
        except (ValueError, FileNotFoundError):
            time.sleep(0.01)
    raise SystemExit("no answers")


began = time.monotonic()


def status(w):
    s = dict(w.get("status", {}))
    if s.get("clock"):
        s["now_ns"] += int((time.monotonic() - began) * 1e9)
    return s


def answer(w, method, params):
    if method == "system.hello":
        return {"result": w.get("hello", {"protocol": 1, "version": "test", "name": "test", "role": "act", "import_url": "http://127.0.0.1:8080"})}
    if method == "system.subscribe":
        return {"result": {}}
    a = status(w) if method == "system.status" else w.get(method)
    if isinstance(a, dict) and "by" in a:
        a = a.get(str(params.get(a["by"])), a.get("*"))
    if isinstance(a, dict) and "error" in a and isinstance(a["error"], list):
        return {"error": {"code": -32000, "message": a["error"][1], "data": {"name": a["error"][0]}}}
    if a is None:
        return {"error": {"code": -32601, "message": "the test has no answer to " + method, "data": {"name": "invalid"}}}
    return {"result": a}


def line(o):
    return (json.dumps(o, ensure_ascii=False) + "\n").encode()


listener = socket.socket(socket.AF_UNIX)
if os.path.exists(path):
    os.unlink(path)
listener.bind(path)
listener.listen(16)
log = open(calls, "a", buffering=1)
clients = {}  # socket -> [bytes read, subscribed]
sent = 0.0
while True:
    ready, _, _ = select.select([listener] + list(clients), [], [], 0.05)
    w = world()
    silent = w.get("status", {}).get("silent")
    for s in ready:
        if s is listener:
            c, _ = listener.accept()
            clients[c] = [b"", False]
            continue
        try:
            data = s.recv(65536)
        except OSError:
            data = b""
        if not data:
            s.close()
            del clients[s]
            continue
        clients[s][0] += data
        while b"\n" in clients[s][0]:
            one, clients[s][0] = clients[s][0].split(b"\n", 1)
            m = json.loads(one)
            log.write(json.dumps({"method": m["method"], "params": m.get("params")}, sort_keys=True) + "\n")
            if silent:
                continue
            if m["method"] == "system.subscribe":
                clients[s][1] = True
            try:
                s.sendall(line({"jsonrpc": "2.0", "id": m["id"], **answer(w, m["method"], m.get("params") or {})}))
            except OSError:
                pass
    if time.monotonic() - sent > (1 if w.get("status", {}).get("clock") else 0.2) and not silent:
        sent = time.monotonic()
        for s, (_, subscribed) in list(clients.items()):
            if subscribed:
                try:
                    s.sendall(line({"jsonrpc": "2.0", "method": "stats", "params": status(w)}))
                except OSError:
                    pass
