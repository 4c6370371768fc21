#!/usr/bin/env python3
# Figures of the console: time to the first screen with figures, bytes written for an idle refresh, memory; the median of 5 runs.
#   t/perf/console.py CONSOLE [TABLES]         CONSOLE: build/plain/stitch-console; the daemon is t/tui/fake-server.py with t/tui/world.json (its clock
#                                              runs), TABLES rows more (default 0)
#   t/perf/console.py CONSOLE --socket SOCKET WORD     a daemon that runs (p4-console.sh); the first screen is full when WORD and the key line are there
import fcntl, json, os, pty, select, struct, subprocess, sys, tempfile, termios, time

top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
console, real = sys.argv[1], sys.argv[2:3] == ["--socket"]
tables, word = (0, sys.argv[4].encode()) if real else (int(sys.argv[2]) if len(sys.argv) > 2 else 0, b"snowflake-prod")


def run(sock):
    pid, fd = pty.fork()
    if pid == 0:
        time.sleep(0.05)  # until the size is set
        os.execvpe(console, ["stitch-console", "--socket", sock], {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "TZ": "UTC"})
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    began, first, seen, idle = time.monotonic() + 0.05, None, b"", 0
    while time.monotonic() - began < 7.5:
        if not select.select([fd], [], [], 0.05)[0]:
            continue
        data = os.read(fd, 65536)
        now = time.monotonic() - began
        seen += data
        if first is None and word in seen and b"help" in seen:
            first = now
        if now > 2.5:
            idle += len(data)
    with open("/proc/%d/status" % pid) as f:
        rss = next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
    os.write(fd, b"Q")
    os.waitpid(pid, 0)
    os.close(fd)
    return first * 1000, idle / 5, rss / 1024


def fake():
    with tempfile.TemporaryDirectory() as d:
        with open(os.path.join(top, "t/tui/world.json")) as f:
            world = json.load(f)
        world["status"]["clock"] = True
        row = world["status"]["tables"][2]
        world["status"]["tables"] += [{**row, "table": "table_%05d" % k, "lag_s": 1 + k * 0.001} for k in range(tables)]
        with open(os.path.join(d, "world.json"), "w") as f:
            json.dump(world, f)
        server = subprocess.Popen([sys.executable, os.path.join(top, "t/tui/fake-server.py"), os.path.join(d, "s"), os.path.join(d, "world.json"), os.path.join(d, "calls")])
        while not os.path.exists(os.path.join(d, "s")):
            time.sleep(0.01)
        runs = [run(os.path.join(d, "s")) for _ in range(5)]
        server.kill()
        server.wait()
        return runs


for name, values, unit in zip(("first screen", "idle refresh", "RSS"), zip(*([run(sys.argv[3]) for _ in range(5)] if real else fake())), ("ms", "bytes a second", "MiB")):
    print("%-13s median %.1f %s (%s)" % (name, sorted(values)[2], unit, " ".join("%.1f" % v for v in values)))
