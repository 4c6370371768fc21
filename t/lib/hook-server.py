#!/usr/bin/env python3
"""A receiver of post-load hooks over TLS: hook-server.py PORTFILE CERT KEY OUT. Each request becomes a line of JSON in OUT: headers and body. As long as there is a file OUT.refuse
it answers with the status in it."""
import http.server, json, os, ssl, sys

portfile, cert, key, out = sys.argv[1:5]

class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get('Content-Length', 0))).decode()
        status = int(open(out + '.refuse').read()) if os.path.exists(out + '.refuse') else 204
        with open(out, 'a') as f:
            f.write(json.dumps({'status': status, 'path': self.path, 'headers': {k.lower(): v for k, v in self.headers.items()}, 'body': body}) + '\n')
        self.send_response(status)
        self.end_headers()

    def log_message(self, *a):
        pass

server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Hook)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
with open(portfile + '.new', 'w') as f:
    f.write(str(server.server_address[1]))
os.rename(portfile + '.new', portfile)
server.serve_forever()
