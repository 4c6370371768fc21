#!/usr/bin/python3 -I
"""A loader that misbehaves, for tests: the mode is the text of the file MODE beside it. die: ends before it has said a word; crash, hang, leak, chatter: does that when it
is given a load; refuse: says that it cannot connect."""
import json, os, signal, socket, time

mode = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'MODE')).read().strip()
if mode == 'die':
    os._exit(7)
sock = socket.socket(fileno=3)
lines = b''
while True:
    while b'\n' not in lines:
        piece = sock.recv(65536)
        if not piece:
            os._exit(0)
        lines += piece
    line, lines = lines.split(b'\n', 1)
    m = json.loads(line)
    answer = {'jsonrpc': '2.0', 'id': m['id']}
    if m['method'] == 'loader.open' and mode == 'refuse':
        answer['error'] = {'code': -32000, 'message': 'the test says no', 'data': {'class': 'transient', 'retry_after': 3600}}
    elif m['method'] == 'loader.open':
        answer['result'] = {'server': 'none', 'kind': 'bad'}
    elif mode == 'crash':
        os.kill(os.getpid(), signal.SIGSEGV)
    elif mode == 'hang':
        time.sleep(3600)
    elif mode == 'leak':
        kept = []
        while True:
            kept.append(bytearray(64 << 20))
    elif mode == 'chatter':
        sock.sendall(b'no JSON at all\n')
        time.sleep(3600)
    sock.sendall(json.dumps(answer).encode() + b'\n')
