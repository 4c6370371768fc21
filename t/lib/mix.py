#!/usr/bin/env python3
"""Good, bad, slow, aborted, packed, TLS and webhook requests at once: mix.py --port N --tls-port N --token T --hook PATH --seconds S [--connections 150].

Each connection draws what it does from a generator of its own (--seed). What is checked: a good request gets 201 or, when there is no room, 503; a bad
one never 2xx or 5xx other than 503. The caller looks at the daemon afterwards. Prints how often each kind met each answer. Exit 1: an answer that must not be.
"""
import argparse, collections, gzip, json, random, socket, ssl, subprocess, threading, time

p = argparse.ArgumentParser()
p.add_argument("--port", type=int, required=True)
p.add_argument("--tls-port", type=int, required=True)
p.add_argument("--token", required=True)
p.add_argument("--hook", required=True)
p.add_argument("--seconds", type=float, default=60)
p.add_argument("--connections", type=int, default=150)
p.add_argument("--seed", type=int, default=1)
a = p.parse_args()
end = time.monotonic() + a.seconds
answers, wrong, lock = collections.Counter(), [], threading.Lock()
tls = ssl.create_default_context()
tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
J = "application/json"


def batch(n, width=100, schema="{}"):
    record = lambda i: {"action": "upsert", "sequence": i, "data": {"id": i, "text": "x" * width}}
    return ('{"table_name":"mix","schema":%s,"key_names":["id"],"messages":%s}' % (schema, json.dumps([record(i) for i in range(n)]))).encode()


small, large = batch(3), batch(3000, 500)
part = small.replace(b'"id": 1', b'"id": null')
strict = batch(200, 20, '{"type":"object","properties":{"text":{"type":"string","pattern":"^x+$"},"id":{"type":"integer","minimum":0}}}')
zeros = gzip.compress(bytes(40 << 20))
try:
    zstd = subprocess.run(["zstd", "-qc"], input=large, stdout=subprocess.PIPE, check=True).stdout
except (OSError, subprocess.CalledProcessError):
    zstd = None


def head(path, body, kind=J, length=None, *more):
    size = "Transfer-Encoding: chunked" if length == "chunked" else "Content-Length: %d" % (len(body) if length is None else length)
    lines = ["POST %s HTTP/1.1" % path, "Host: x", "Authorization: Bearer " + a.token, "Content-Type: " + kind, size, *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer(s):
    got = b""
    while b"\r\n\r\n" not in got:
        more = s.recv(65536)
        if not more:
            return None
        got += more
    headers, _, rest = got.partition(b"\r\n\r\n")
    want = 0
    for line in headers.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            want = int(line.split(b":")[1])
    while len(rest) < want:
        more = s.recv(65536)
        if not more:
            return None
        rest += more
    return int(headers.split()[1])


B, P, V = "/v2/import/batch", "/v2/import/push", "/v2/import/validate"
GOOD, BAD, ANY = (201, 503), (400, 401, 413, 415, 422, 503), None
transit = json.dumps(["^ ", "~:a", 1]).encode()


def plain_kinds(r):
    key = "Idempotency-Key: k%d" % r.randrange(200)
    return [
        ("small", head(B, small) + small, GOOD),
        ("large", head(B, large) + large, GOOD),
        ("schema", head(B, strict) + strict, GOOD),
        ("chunked", head(B, small, J, "chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(small), small), GOOD),
        ("keyed", head(B, small, J, None, key) + small, (201, 422, 503)),
        ("keyed-other", head(B, part[:-1] + b" }", J, None, key) + part[:-1] + b" }", (400, 201, 422, 503)),
        ("partial", head(B + "?partial=true", part) + part, GOOD),
        ("validate", head(V, small) + small, (200, 400, 504)),
        ("gzip", (lambda z: head(B, z, J, None, "Content-Encoding: gzip") + z)(gzip.compress(large, 1)), GOOD),
        ("bomb", head(B, zeros, J, None, "Content-Encoding: gzip") + zeros, BAD),
        ("damaged", (lambda z: head(B, z, J, None, "Content-Encoding: gzip") + z)(r.randbytes(3000)), BAD),
        ("broken", head(B, small[:-9]) + small[:-9], BAD),
        ("transit", head(P, transit, "application/transit+json") + transit, BAD),
        ("wrong-token", head(B, small).replace(a.token.encode(), b"at_0") + small, BAD),
        ("hook", head(a.hook, b'{"n":1}') + b'{"n":1}', GOOD),
        ("hook-keyed", head(a.hook, b'[{"n":1}]', J, None, key) + b'[{"n":1}]', GOOD),
        ("hook-bad", head(a.hook, b'{"n":') + b'{"n":', BAD),
        ("hook-wrong", head(a.hook[:-4] + "0000", b"{}") + b"{}", BAD),
    ] + ([("zstd", head(B, zstd, J, None, "Content-Encoding: zstd") + zstd, GOOD)] if zstd else [])


def one(s, r, how):
    name, data, good = r.choice(plain_kinds(r))
    if how == "aborted":
        s.sendall(data[: r.randrange(1, len(data))])
        if r.random() < 0.5:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        return False
    if how == "slow":
        at = len(data) - r.randrange(1, 8)
        s.sendall(data[:at])
        for i in range(at, len(data)):
            time.sleep(r.random() / 4)
            s.sendall(data[i : i + 1])
    else:
        s.sendall(data)
    if how == "left":
        return False
    code = answer(s)
    with lock:
        answers[name, code] += 1
        if code is not None and code not in good:
            wrong.append((name, code))
    return code is not None


def connection(seed):
    r = random.Random(seed)
    while time.monotonic() < end:
        s = None
        try:
            secure = r.random() < 0.3
            s = socket.create_connection(("127.0.0.1", a.tls_port if secure else a.port), 30)
            if secure and r.random() < 0.1:
                s.sendall(r.randbytes(200))
                continue
            if secure:
                s = tls.wrap_socket(s)
            for _ in range(r.randrange(1, 6)):
                how = r.choices(["whole", "slow", "aborted", "left"], [12, 2, 2, 1])[0]
                if not one(s, r, how) or time.monotonic() >= end:
                    break
        except OSError as e:
            with lock:
                answers["connection", type(e).__name__] += 1
        finally:
            if s:
                s.close()


threads = [threading.Thread(target=connection, args=(a.seed * 100000 + i,), daemon=True) for i in range(a.connections)]
for t in threads:
    t.start()
for t in threads:
    t.join(a.seconds + 60)
for k in sorted(answers, key=str):
    print(*k, answers[k])
print("wrong:", collections.Counter(wrong) or "none")
raise SystemExit(1 if wrong else 0)
