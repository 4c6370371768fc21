#!/usr/bin/env python3
"""Servers under the same load in turn, so that they share the machine's good and bad moments.
  rounds.py --secs 5 --rounds 5 --conns 16 --per 100 --bodies FILE NAME=PID,URL[,TOKENFILE[,BODIES]] NAME=...
Each round loads each server with wrk for SECS, then waits until its CPU is quiet (what it does behind its answers counts too).
CPU is user + sys of the process, wrk's not; RSS is the highest value seen. Ratios are taken round by round against each server after it."""
import argparse, json, os, re, statistics, subprocess, threading, time

HZ = os.sysconf("SC_CLK_TCK")


def threads(pid):
    """name -> CPU seconds of the threads that live"""
    out = {}
    for t in os.listdir(f"/proc/{pid}/task"):
        try:
            name, rest = open(f"/proc/{pid}/task/{t}/stat").read().split("(", 1)[1].rsplit(")", 1)
        except OSError:
            continue
        f = rest.split()
        out[name] = out.get(name, 0) + (int(f[11]) + int(f[12])) / HZ
    return out


def cpu(pid):
    f = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(f[11]) + int(f[12])) / HZ


def rss(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0


def quiet(pid, longest=30):
    """until it uses less than 2 % of a core"""
    end = time.time() + longest
    was = cpu(pid)
    while time.time() < end:
        time.sleep(0.5)
        now = cpu(pid)
        if now - was <= 0.01:
            return
        was = now


class Peak(threading.Thread):
    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.over = pid, 0, False

    def run(self):
        while not self.over:
            self.peak = max(self.peak, rss(self.pid))
            time.sleep(0.1)


def one(a, pid, url, token, bodies):
    peak = Peak(pid)
    peak.start()
    before, by = cpu(pid), threads(pid)
    o = subprocess.run(["wrk", "-t1", f"-c{a.conns}", f"-d{a.secs}s", "--timeout", "30s", "-s", os.path.dirname(os.path.abspath(__file__)) + "/post.lua", url, "--", bodies, token, "Bearer", str(a.per)],
                       capture_output=True, text=True).stdout
    quiet(pid)
    used, after = cpu(pid) - before, threads(pid)
    peak.over = True
    r = json.loads(re.search(r"RESULT (\{.*\})", o)[1])
    n = (r["requests"] - r["bad"]) * a.per
    r.update(cpu=used * 1e6 / max(n, 1), rss=peak.peak, load=os.getloadavg()[0], by={k: round((after[k] - by.get(k, 0)) * 1e6 / max(n, 1), 2) for k in after})
    return r


def main():
    q = argparse.ArgumentParser()
    for k, v in (("secs", 5), ("rounds", 5), ("conns", 16), ("per", 100)):
        q.add_argument("--" + k, type=int, default=v)
    q.add_argument("--bodies")
    q.add_argument("servers", nargs="+")
    a = q.parse_args()
    servers = []
    for s in a.servers:
        name, rest = s.split("=", 1)
        pid, url, token, bodies = (rest.split(",") + ["", ""])[:4]
        servers.append((name, int(pid), url, open(token).read().strip() if token else "none", bodies or a.bodies))
    rows = {s[0]: [] for s in servers}
    for n in range(a.rounds + 1):  # round 0 warms up
        for name, pid, url, token, bodies in servers if n % 2 else servers[::-1]:
            r = one(a, pid, url, token, bodies)
            if n:
                rows[name].append(r)
                print(f"   round {n} {name:10} {r['rec_s']:8.0f} records/s  p50 {r['p50']:7.2f}  p99 {r['p99']:7.2f} ms  {r['cpu']:6.2f} CPU s/M  RSS {r['rss']:5.1f} MiB  "
                      f"refused {r['bad']}  errors {r['sock_err']}  load {r['load']:.1f}", flush=True)
    for name, rs in rows.items():
        def m(k, f="%.2f"):
            v = [r[k] for r in rs]
            return (f + " (" + f + " to " + f + ")") % (statistics.median(v), min(v), max(v))
        print(f"   MEDIAN {name}: {m('rec_s', '%.0f')} records/s; p50 {m('p50')}, p99 {m('p99')}, p99.9 {m('p999')} ms; {m('cpu')} CPU s/M; RSS {m('rss', '%.1f')} MiB; load {m('load', '%.1f')}")
        if len(rs[0]["by"]) > 1:
            print("          CPU s/M by thread: " + ", ".join("%s %.2f" % (k, statistics.median(r["by"].get(k, 0) for r in rs)) for k in rs[0]["by"]))
        for other in servers[servers.index(next(x for x in servers if x[0] == name)) + 1:]:
            base = rows[other[0]]
            for k, what in (("rec_s", "rate"), ("p99", "p99"), ("cpu", "CPU")):
                v = [x[k] / y[k] for x, y in zip(rs, base) if y[k]]
                if v:
                    print(f"          {what} against {other[0]}, round by round: median {statistics.median(v):.2f} ({min(v):.2f} to {max(v):.2f})")


main()
