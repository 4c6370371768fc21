#!/usr/bin/env python3
"""Between a client and an S3 server: passes requests on, unless the folder RULES says otherwise. Each request is one line of RULES/log.
   s3-between.py SERVER-URL RULES        prints its own port
   RULES/deny    a regular expression: "METHOD PATH" that matches is answered 403 AccessDenied
   RULES/slow    the same: answered 503 SlowDown, and the file goes after so many times as its second line says
   RULES/spoil   two lines, FROM and TO (Python's escapes): the bytes are replaced in every gzipped object that is read"""
import gzip, http.client, http.server, os, re, sys, urllib.parse

server, rules = urllib.parse.urlparse(sys.argv[1]).netloc, sys.argv[2]


def rule(name):
    try:
        return open(f"{rules}/{name}").read().split("\n")
    except OSError:
        return None


class Between(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def refuse(self, status, code):
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_one(self):
        what = f"{self.command} {self.path}"
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with open(f"{rules}/log", "a") as f:
            print(what, len(body), file=f)
        deny, slow = rule("deny"), rule("slow")
        if deny and re.search(deny[0], what):
            return self.refuse(403, "AccessDenied")
        if slow and re.search(slow[0], what):
            left = int(slow[1]) - 1
            if left:
                open(f"{rules}/slow", "w").write(f"{slow[0]}\n{left}")
            else:
                os.remove(f"{rules}/slow")
            return self.refuse(503, "SlowDown")
        try:
            c = http.client.HTTPConnection(server, timeout=60)
            c.request(self.command, self.path, body, dict(self.headers))
            r = c.getresponse()
            data = r.read()
        except OSError:
            self.close_connection = True
            return
        spoil = rule("spoil")
        if spoil and self.command == "GET" and data[:2] == b"\x1f\x8b":
            old, new = (eval(f"b'{x}'") for x in spoil[:2])
            data = gzip.compress(gzip.decompress(data).replace(old, new))
        self.send_response(r.status)
        for k, v in r.getheaders():
            if k.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(k, v)
        self.send_header("Content-Length", str(r.headers["Content-Length"] if self.command == "HEAD" and r.headers["Content-Length"] else len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_one


s = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[3]) if len(sys.argv) > 3 else 0), Between)
print(s.server_address[1], flush=True)
s.serve_forever()
