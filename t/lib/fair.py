#!/usr/bin/env python3
"""Two senders for t1033: one that asks for little and measures, one that takes what it can get.

    fair.py quiet PORT TOKEN COUNT       COUNT small batches one after the other on one connection; prints "P50 P99 STATUS:N ..." (ms)
    fair.py flood PORT TOKEN FILE        until its standard input ends: connections with small, middle, large, chunked, dripping and packed bodies and with keys;
                                         a line in FILE when all have begun; prints "STATUS:N ..." at the end
"""
import collections, gzip, http.client, json, socket, sys, threading, time

PORT, TOKEN = int(sys.argv[2]), open(sys.argv[3]).read().strip()
HEAD = "POST /v2/import/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n" % TOKEN
seen = collections.Counter()


def body(records, pad):
    one = '{"action":"upsert","sequence":%d,"data":{"id":%d,"name":"name of number %d","amount":%d.25,"o":{"a":%d,"l":[1,2]},"text":"' + "x" * pad + '"}}'
    rows = ",".join(one % (i, i, i, i, i) for i in range(records))
    return ('{"table_name":"t","schema":{"properties":{"id":{"type":"integer"},"name":{"type":"string"}}},"key_names":["id"],"messages":[%s]}' % rows).encode()


def quiet(count):
    data, took = body(10, 50), []
    conn = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    for _ in range(count):
        begin = time.monotonic()
        conn.request("POST", "/v2/import/batch", data, {"Authorization": "Bearer " + TOKEN, "Content-Type": "application/json"})
        answer = conn.getresponse()
        answer.read()
        took.append((time.monotonic() - begin) * 1000)
        seen[answer.status] += 1
        time.sleep(0.005)
    took.sort()
    print("%.2f %.2f" % (took[len(took) // 2], took[len(took) * 99 // 100]), *("%d:%d" % x for x in sorted(seen.items())))


class Flood:
    def __init__(self):
        self.end = False
        self.lock = threading.Lock()
        self.begun = threading.Semaphore(0)

    def chunks(self, data, size):
        return b"".join(b"%x\r\n%s\r\n" % (len(data[i:i + size]), data[i:i + size]) for i in range(0, len(data), size)) + b"0\r\n\r\n"

    def work(self, what, number):
        extra, drip = "", 0
        if what == "small":
            data = body(100, 300)
        elif what == "middle":
            data = body(1500, 300)
        else:
            data = body(18000, 900) if what == "large" else body(18000, 100)
        if what == "packed":
            data, extra = gzip.compress(data, 1), "Content-Encoding: gzip\r\n"
        length = "Content-Length: %d\r\n" % len(data)
        if what in ("chunked", "drip"):
            data, length = self.chunks(data, 65536), "Transfer-Encoding: chunked\r\n"
        if what == "drip":
            drip = 0.2
        turn, first = 0, True
        while not self.end:
            try:
                s = socket.create_connection(("127.0.0.1", PORT), 30)
                s.settimeout(5 if not drip else 60)
                while not self.end:
                    key = "Idempotency-Key: %d-%d\r\n" % (number, turn) if number % 4 == 0 else ""
                    turn += 1
                    s.sendall((HEAD + extra + key + length + "\r\n").encode())
                    if drip:
                        for i in range(0, len(data), 1024):
                            s.sendall(data[i:i + 1024])
                            if first:
                                self.begun.release()
                                first = False
                            if self.end:
                                return
                            time.sleep(drip)
                    else:
                        s.sendall(data)
                    got = b""
                    while b"\r\n\r\n" not in got:
                        more = s.recv(65536)
                        if not more:
                            raise OSError
                        got += more
                    head, _, rest = got.partition(b"\r\n\r\n")
                    n = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                    while len(rest) < n:
                        more = s.recv(65536)
                        if not more:
                            raise OSError
                        rest += more
                    with self.lock:
                        seen[int(head.split()[1])] += 1
                    if first:
                        self.begun.release()
                        first = False
                    if b"connection: close" in head.lower():
                        break
            except OSError:
                with self.lock:
                    seen[0] += 1
                if first:
                    self.begun.release()
                    first = False
                time.sleep(0.05)

    def run(self, mark):
        kinds = ["small"] * 16 + ["middle"] * 8 + ["large"] * 4 + ["chunked"] * 4 + ["packed"] * 4 + ["drip"] * 4
        for i, what in enumerate(kinds):
            threading.Thread(target=self.work, args=(what, i), daemon=True).start()
        for _ in kinds:
            self.begun.acquire(timeout=30)
        with open(mark, "w") as f:
            f.write("begun\n")
        sys.stdin.read()
        self.end = True
        with self.lock:
            print(*("%d:%d" % x for x in sorted(seen.items())))


if sys.argv[1] == "quiet":
    quiet(int(sys.argv[4]))
else:
    Flood().run(sys.argv[4])
