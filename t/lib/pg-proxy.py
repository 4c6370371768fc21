#!/usr/bin/env python3
"""Between a client and a PostgreSQL server: passes bytes on, until the client says COMMIT for the Nth time. That one the server gets, its answer nobody.
   pg-proxy.py LISTEN-PORT SERVER-PORT N        prints "cut" when it has done so, and passes on all that comes later."""
import socket, sys, threading

listen, server, left = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
lock = threading.Lock()


def is_the_one(data):
    global left
    with lock:
        if b"COMMIT\0" not in data or left == 0:
            return False
        left -= 1
        return left == 0


def down(s, c, deaf):
    try:
        while data := s.recv(65536):
            if deaf.is_set():
                print("cut", flush=True)
                break
            c.sendall(data)
    except OSError:
        pass
    for x in (s, c):
        try:
            x.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def up(c):
    s = socket.create_connection(("127.0.0.1", server))
    deaf = threading.Event()
    threading.Thread(target=down, args=(s, c, deaf), daemon=True).start()
    try:
        while data := c.recv(65536):
            if is_the_one(data):
                deaf.set()
            s.sendall(data)
    except OSError:
        pass
    s.close()


l = socket.create_server(("127.0.0.1", listen))
print("ready", flush=True)
while True:
    threading.Thread(target=up, args=(l.accept()[0],), daemon=True).start()
