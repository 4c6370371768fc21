#!/bin/bash
# stitchd at rest: time from exec to the first 200 of /readyz (a new state folder, and one that was used before), then CPU seconds, wake-ups and memory of a
# minute in which nothing happens: with nothing configured, and with a SQLite and a Postgres destination that were loaded into (their loaders live).
#   p5-daemon.sh [SECS]
PERF_COMMAND="$0 $*"
. "$(dirname "$0")/perf-lib.sh"
secs=${1:-60}
perf_need python3 psql jq
once() { # ms until readyz says 200; asked by one process that does nothing else
	local want=$STATE
	mkdir -p "$want"
	rm -f "$want/http.port"
	STITCH_LIBEXEC=$BUILD python3 - "$want" "$SOCK" "$BUILD/stitchd" "$LOG" "$T/pid" <<'PY'
import http.client, os, subprocess, sys, time
state, sock, prog, log, pidfile = sys.argv[1:6]
t0 = time.monotonic()
p = subprocess.Popen([prog, "--state-dir", state, "--socket", sock, "--http", "127.0.0.1:0"], stderr=open(log, "a"), stdin=subprocess.DEVNULL)
while time.monotonic() < t0 + 60:
    try:
        c = http.client.HTTPConnection("127.0.0.1", int(open(state + "/http.port").read()), timeout=5)
        c.request("GET", "/readyz")
        if c.getresponse().status == 200:
            break
    except (OSError, ValueError):
        pass
    time.sleep(0.001)
print("%.1f" % ((time.monotonic() - t0) * 1000))
open(pidfile, "w").write(str(p.pid))
PY
}
end_once() {
	local pid
	pid=$(cat "$T/pid")
	kill -TERM "$pid"
	wait_for 30 "gone $pid"
}
idle() { # WHAT: of the daemon and its loaders over $secs
	local p names=("stitchd") pids=("$stitchd_pid")
	for p in $(pgrep -P "$stitchd_pid"); do pids+=("$p"); names+=("$(cat "/proc/$p/comm")"); done
	head_line "at rest for $secs s: $1"
	python3 - "$secs" "${pids[@]}" <<'PY'
import os, sys, time


def look(pid):
    ns = wakes = 0
    for t in os.listdir(f"/proc/{pid}/task"):
        d = f"/proc/{pid}/task/{t}/"
        ns += int(open(d + "schedstat").read().split()[0])
        wakes += next(int(l.split()[1]) for l in open(d + "status") if l.startswith("voluntary"))
    mem = dict(l.split(":", 1) for l in open(f"/proc/{pid}/status") if ":" in l)
    return ns, wakes, int(mem["VmRSS"].split()[0]) / 1024, mem["Name"].strip(), int(mem["RssAnon"].split()[0]) / 1024


secs, pids = int(sys.argv[1]), list(map(int, sys.argv[2:]))
time.sleep(3)
was = {p: look(p) for p in pids}
time.sleep(secs)
for p in pids:
    try:
        now = look(p)
    except FileNotFoundError:
        print(f"   {was[p][3]:18} has ended, as a loader does that has nothing to do; RSS before {was[p][2]:.1f} MiB (anonymous {was[p][4]:.1f})")
        continue
    print(f"   {now[3]:18} {(now[0] - was[p][0]) / 1e9 * 60 / secs:.3f} CPU s a minute, {(now[1] - was[p][1]) / secs:.1f} wake-ups a second, RSS {now[2]:.1f} MiB (anonymous {now[4]:.1f})")
PY
	foot_line
}

head_line "start: exec to the first 200 of /readyz, $ROUNDS times"
for ((n = 0; n < ROUNDS; n++)); do
	rm -rf "$STATE"
	once >>"$T/fresh"
	end_once
	once >>"$T/used"
	end_once
done
median "a new state folder" ms $(cat "$T/fresh")
median "a used one" ms $(cat "$T/used")
foot_line

rm -rf "$STATE"
start_stitchd || exit 1
idle "nothing configured"
start_postgres
token=$(sqlite_chain shop)
pg_chain shop >/dev/null
make_batch orders 1 1000 | post /v2/import/batch "$token" >/dev/null
ctl flush shop --wait 60 >/dev/null || exit 1
idle "a source, a SQLite and a Postgres destination, 1,000 rows loaded"
stop_stitchd
