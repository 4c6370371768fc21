#!/usr/bin/env python3
"""Between a client and an S3 server: passes whole requests on (the Host header too, so signatures stay right) and does to some of them what a rule says.
   s3-proxy.py SERVER-PORT        prints the port it listens on

   POST /_proxy/rule  {"method": "PUT", "path": REGEX over path and query, "count": 1 (-1: always), "skip": 0, "action": ...}
     answer    status and XML <Code> instead of passing it on: "status", "code", "message", "headers": {...}, "extra" (XML inside <Error>)
     lose      the server gets it, its answer nobody      cut   neither         half   half of the answer's body, then the end
     hang      no answer, until the client goes           stall the server gets it, then as hang
     late      200 and an <Error> in the body             slow  the answer after "seconds"
   GET /_proxy/log    a line a request: METHOD TARGET STATUS [x-amz-date]    POST /_proxy/clear    forgets rules and log"""
import json, re, socket, sys, threading, time

server = int(sys.argv[1])
lock = threading.Lock()
rules, log = [], []


class Conn:
    def __init__(self, s):
        self.s, self.b = s, b""

    def more(self):
        d = self.s.recv(65536)
        if not d:
            raise OSError("closed")
        self.b += d

    def head(self):
        while b"\r\n\r\n" not in self.b:
            self.more()
        h, self.b = self.b.split(b"\r\n\r\n", 1)
        return h

    def take(self, n):
        while len(self.b) < n:
            self.more()
        d, self.b = self.b[:n], self.b[n:]
        return d


def header(h, name):
    m = re.search(rb"(?im)^" + name + rb":[ \t]*(.*?)[ \t]*\r?$", h)
    return m.group(1).decode() if m else None


def rule_for(method, target):
    with lock:
        for r in rules:
            if r.get("count", 1) != 0 and r["method"] in (method, "*") and re.search(r.get("path", ""), target):
                if r.get("skip", 0) > 0:
                    r["skip"] -= 1
                    return None
                r["count"] = r.get("count", 1) - 1 if r.get("count", 1) > 0 else -1
                return dict(r)
    return None


def note(method, target, what, h):
    with lock:
        log.append("%s %s %s %s" % (method, target, what, header(h, b"x-amz-date") or ""))


def answer(c, status, body, headers=None, head=False):
    lines = ["HTTP/1.1 %d X" % status, "Content-Type: application/xml", "Content-Length: %d" % len(body)]
    lines += ["%s: %s" % kv for kv in (headers or {}).items()]
    c.s.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + (b"" if head else body))


def control(c, method, target, body):
    out = b"ok\n"
    with lock:
        if target == "/_proxy/rule":
            rules.append(json.loads(body))
        elif target == "/_proxy/clear":
            rules.clear()
            log.clear()
        elif target == "/_proxy/log":
            out = "".join(l + "\n" for l in log).encode()
    answer(c, 200, out)


def forward(h, body, method):
    s = socket.create_connection(("127.0.0.1", server))
    try:
        s.sendall(re.sub(rb"(?im)^Expect:.*\r\n", b"", h + b"\r\n") + b"\r\n" + body)
        u = Conn(s)
        while True:
            rh = u.head()
            if not rh.startswith(b"HTTP/1.1 1"):
                break
        n = 0 if method == "HEAD" else int(header(rh, b"content-length") or 0)
        if header(rh, b"transfer-encoding") and method != "HEAD":
            out = b""
            while True:
                while b"\r\n" not in u.b:
                    u.more()
                size, u.b = u.b.split(b"\r\n", 1)
                piece = u.take(int(size, 16) + 2)[:-2]
                if not piece:
                    break
                out += piece
            rh = re.sub(rb"(?im)^transfer-encoding:.*\r\n", b"", rh + b"\r\n") + b"Content-Length: %d" % len(out)
            return rh, out
        return rh, u.take(n)
    finally:
        s.close()


def one(c):
    h = c.head()
    method, target = h.split(b" ")[:2]
    method, target = method.decode(), target.decode()
    if header(h, b"expect"):
        c.s.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = c.take(int(header(h, b"content-length") or 0))
    if target.startswith("/_proxy/"):
        return control(c, method, target, body)
    r = rule_for(method, target) or {"action": "pass"}
    a = r["action"]
    if a not in ("pass", "slow", "stall"):
        note(method, target, a, h)
    if a == "answer":
        x = "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>%s</Message>%s</Error>" % (r.get("code", ""), r.get("message", "by the proxy"), r.get("extra", ""))
        return answer(c, r["status"], x.encode() if r.get("code") else b"", r.get("headers"), method == "HEAD")
    if a == "late":
        return answer(c, 200, b"<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code><Message>late</Message></Error>")
    if a == "hang":
        c.s.recv(1)
        raise OSError("gone")
    if a == "cut":
        raise OSError(a)
    rh, rb = forward(h, body, method)
    if a == "stall":
        note(method, target, "stalled", h)
        c.s.recv(1)
    if a in ("lose", "stall"):
        raise OSError(a)
    if a == "half":
        c.s.sendall(rh + b"\r\n\r\n" + rb[: len(rb) // 2])
        raise OSError(a)
    if a == "slow":
        time.sleep(r["seconds"])
    note(method, target, rh.split(b" ")[1].decode(), h)
    c.s.sendall(rh + b"\r\n\r\n" + rb)


def serve(s):
    c = Conn(s)
    try:
        while True:
            one(c)
    except OSError:
        pass
    s.close()


l = socket.create_server(("127.0.0.1", 0))
print(l.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(l.accept()[0],), daemon=True).start()
