#!/usr/bin/env python3
"""Between a loader and the stand-in for Snowflake: what the stand-in does not do by itself.

    snowflake-proxy.py BACKEND RULES LOG         prints the port it listens on

RULES is a file with one rule a line, read anew at each request; a rule whose "match" is in the statements of a POST applies "times" times (1):
  {"match": "COPY", "status": 422, "body": {...}, "headers": {...}}    this answer in place of the real one
  {"match": "COPY", "cut": true}             the connection is closed in place of an answer, after the statements were run
  {"match": "MERGE", "hold": "FILE"}         goes on when FILE is there; a second one "seen": "FILE" is made when it waits
  {"match": "SELECT", "async": true}         the real server is asked to answer 202
  {"match": "SELECT", "parts": 2}            the answer's rows come in parts of so many, all but the first packed and by questions of their own
LOG: per POST one line of JSON: requestId, retry, the count of statements, bytes, the first words, the status."""
import gzip
import http.server
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

backend, rules_file, log_file = sys.argv[1:4]
used, parts, lock = {}, {}, threading.Lock()


def rule_for(text):
    try:
        lines, written = open(rules_file).read().splitlines(), os.stat(rules_file).st_mtime_ns
    except FileNotFoundError:
        return {}
    with lock:
        for line in lines:
            if not line.strip():
                continue
            r = json.loads(line)
            key = line, written  # rules that are written again begin again
            if r['match'] in text and used.get(key, 0) < r.get('times', 1):
                used[key] = used.get(key, 0) + 1
                return r
    return {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *a):
        pass

    def reply(self, status, body, headers=()):
        self.send_response(status)
        for k, v in headers:
            self.send_header(k, v)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def forward(self, path, data):
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ('host', 'content-length', 'connection', 'accept-encoding')}
        r = urllib.request.Request(backend + path, data=data, headers=headers, method=self.command)
        try:
            with urllib.request.urlopen(r, timeout=600) as a:
                return a.status, a.read(), dict(a.headers)
        except urllib.error.HTTPError as e:
            return e.code, e.read(), dict(e.headers)

    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        part = urllib.parse.parse_qs(url.query).get('partition')
        if part:
            rows = parts[url.path.split('/')[-1]][int(part[0])]
            return self.reply(200, gzip.compress(json.dumps({'data': rows}).encode()), [('Content-Encoding', 'gzip')])
        status, body, headers = self.forward(self.path, None)
        self.reply(status, body, [(k, v) for k, v in headers.items() if k.lower() in ('content-type', 'retry-after')])

    def do_POST(self):
        data = self.rfile.read(int(self.headers['Content-Length']))
        b = json.loads(data)
        text = b['statement']
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        r, path = rule_for(text), self.path
        if 'hold' in r:
            if 'seen' in r:
                open(r['seen'], 'w').close()
            while not os.path.exists(r['hold']):
                time.sleep(0.02)
        if r.get('async'):
            path += '&async=true'
        if 'status' in r:
            status, body, headers = r['status'], json.dumps(r.get('body', {})).encode(), r.get('headers', {})
        else:
            status, body, headers = self.forward(path, data)
        if 'parts' in r and status == 200:
            a = json.loads(body)
            n = r['parts']
            pieces = [a['data'][k:k + n] for k in range(0, len(a['data']), n)] or [[]]
            parts[a['statementHandle']] = pieces
            a['data'] = pieces[0]
            a['resultSetMetaData']['partitionInfo'] = [{'rowCount': len(p), 'uncompressedSize': 1} for p in pieces]
            body = json.dumps(a).encode()
        with lock, open(log_file, 'a') as f:
            f.write(json.dumps({'id': query.get('requestId', [''])[0], 'retry': query.get('retry', [''])[0], 'count': b['parameters'].get('MULTI_STATEMENT_COUNT'),
                                'bytes': len(data), 'words': ' '.join(text.split()[:3]), 'status': status, 'secret': 'AWS_SECRET_KEY' in text}) + '\n')
        if r.get('cut'):
            self.close_connection = True
            return self.connection.shutdown(2)
        self.reply(status, body, [(k, v) for k, v in headers.items() if k.lower() in ('content-type', 'retry-after')])


server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
server.daemon_threads = True
print(server.server_port, flush=True)
server.serve_forever()
