#!/usr/bin/env python3
"""What stitchctl talks to, for tests of what a real daemon seldom does: fake_daemon.py FOLDER

Listens at FOLDER/s (control socket) and on a free port (FOLDER/port, the Import API). Any method answers {"method", "params"}; some are special:
  source.list     1200 items in pages of at most 500      destination.list  what FOLDER/destinations.json holds
  table.show      error not_found                         job.discard       error denied, code -32001
  state.backup    hangs up                                store.check       {"ok": false, "cause", "fix"}
  system.status   FOLDER/status.json                      event.list, system.subscribe: events 1..3, the third by both ways, then 4, then hangs up
HTTP: each POST is written to FOLDER/requests (JSON lines) and answered by the first line of FOLDER/plan, which is taken off: "STATUS [RETRY-AFTER]",
"drop" (read, no answer); none left: 201 with a receipt. "STATUS" 400: with an error text.
"""
import http.server
import json
import os
import socketserver
import sys
import threading

folder = sys.argv[1]


def path(name):
    return os.path.join(folder, name)


class Http(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    count = 0

    def log_message(self, *args):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open(path("requests"), "a") as f:
            f.write(json.dumps({"path": self.path, "token": self.headers.get("Authorization"), "type": self.headers.get("Content-Type"),
                                "key": self.headers.get("Idempotency-Key"), "expect": self.headers.get("Expect"), "bytes": len(body),
                                "body": json.loads(body)}) + "\n")
        plan = []
        if os.path.exists(path("plan")):
            with open(path("plan")) as f:
                plan = f.read().splitlines()
        step = (plan.pop(0) if plan else "201").split()
        with open(path("plan"), "w") as f:
            f.writelines(p + "\n" for p in plan)
        if step[0] == "drop":
            self.close_connection = True
            return
        Http.count += 1
        answer = {"status": "OK", "message": "Batch Accepted!", "receipt": "r-%d" % Http.count} if step[0] == "201" else {"error": "Record 3 did not\u001b[2J conform"}
        text = json.dumps(answer).encode()
        self.send_response(int(step[0]))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        if len(step) > 1:
            self.send_header("Retry-After", step[1])
        self.end_headers()
        self.wfile.write(text)


class Rpc(socketserver.StreamRequestHandler):
    def say(self, o):
        self.wfile.write(json.dumps(o).encode() + b"\n")

    def handle(self):
        for line in self.rfile:
            m = json.loads(line)
            with open(path("calls"), "a") as f:
                f.write(line.decode())
            if not self.answer(m["method"], m.get("params") or {}, m["id"]):
                return

    def error(self, i, code, name, text):
        self.say({"jsonrpc": "2.0", "id": i, "error": {"code": code, "message": text, "data": {"name": name}}})
        return True

    def event(self, n):
        return {"id": n, "at_ns": n * 1000000000, "level": "info", "kind": "test", "object": "source s", "text": "event\t%d" % n}

    def answer(self, method, params, i):
        result = {"method": method, "params": params}
        if method == "system.hello":
            result = {"protocol": 1, "version": "0", "name": "fake", "role": "act", "import_url": "http://127.0.0.1:%d" % port}
        elif method == "source.push_token":
            result = {"token": "at_local", "url": "http://127.0.0.1:%d" % port}
        elif method == "source.list":
            start = int(params.get("after") or 0)
            end = min(start + min(params.get("limit", 500), 500), 1200)
            result = {"items": [{"name": "s%d" % k, "kind": "import", "accepted": k} for k in range(start, end)], "next": str(end) if end < 1200 else None}
        elif method == "destination.list":
            with open(path("destinations.json")) as f:
                result = {"items": json.load(f), "next": None}
        elif method == "system.status":
            with open(path("status.json")) as f:
                result = json.load(f)
        elif method == "batch.cat":
            result = {"lines": ['{"action":"upsert","sequence":1,"data":{"n":1.10,"big":12345678901234567890123}}', '{"action":"upsert","sequence":2,"data":{}}'], "next": None}
        elif method == "store.check":
            result = {"ok": False, "cause": "the disk is full", "fix": "make room", "rights": [], "server": "store"}
        elif method == "table.show":
            return self.error(i, -32000, "not_found", 'there is no table "%s"' % params["table"])
        elif method == "job.discard":
            return self.error(i, -32001, "denied", "only the daemon's own user may")
        elif method == "state.backup":
            return False
        elif method == "system.subscribe":
            self.say({"jsonrpc": "2.0", "method": "event", "params": self.event(3)})
            result = {}
        elif method == "event.list":
            result = {"items": [self.event(n) for n in (3, 2, 1)], "next": None}
        self.say({"jsonrpc": "2.0", "id": i, "result": result})
        if method == "event.list" and params.get("limit") == 10:
            self.say({"jsonrpc": "2.0", "method": "event", "params": self.event(4)})
            return False
        return True


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Http)
port = web.server_address[1]
threading.Thread(target=web.serve_forever, daemon=True).start()
control = UnixServer(path("s"), Rpc)
with open(path("port"), "w") as f:
    f.write(str(port))
control.serve_forever()
