# shellcheck shell=bash
# perf-lib.sh - what the figures (p1 to p5) share, on top of test-lib.sh: where the yardsticks are, and a head that says under what they were taken.
# BENCH is the shared bench (gen.py, post.lua, limits/sink.c); ROUNDS how often each thing is measured (5); PERF_DIR the folder for data that is made once.
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}/t/lib/test-lib.sh"
_done=1 # no TAP: an exit status of 0 is a run that measured
trap '_end' EXIT
BENCH=$STITCH_SHARED/bench
ROUNDS=${ROUNDS:-5}
PERF_DIR=${PERF_DIR:-$top/build/perf}
mkdir -p "$PERF_DIR"

perf_need() { # COMMAND...
	local c
	[ -d "$BENCH" ] || bail "the bench is not at $BENCH (STITCH_SHARED)"
	for c; do command -v "$c" >/dev/null || bail "$c is not installed"; done
}
load_average() { cut -d' ' -f1-3 /proc/loadavg; }
head_line() { # WHAT
	printf '== %s\n   command: %s\n   %s, %s cores, load average %s, %s\n' "$1" "${PERF_COMMAND:-$0}" "$(date -u '+%Y-%m-%d %H:%M UTC')" "$(nproc)" "$(load_average)" "$(cd "$top" && git rev-parse --short HEAD 2>/dev/null)"
}
foot_line() { printf '   load average at the end %s\n' "$(load_average)"; }
# FORMAT RECORDS [GEN ARG...]: the file of gen.py's records, made once
gen() {
	local f
	f=$PERF_DIR/$(printf '%s.' "$@" | tr -c 'a-zA-Z0-9.\n' _)
	[ -s "$f" ] || { python3 "$BENCH/gen.py" "$1" --records "${@:2}" >"$f.new" && mv "$f.new" "$f"; } || bail "gen.py failed"
	echo "$f"
}
cpu_s() { awk '{sub(/.*\) /, ""); print ($12 + $13) / 100}' "/proc/$1/stat"; }       # PID: its CPU seconds
rss_mib() { awk -v k="${2:-VmRSS}" '$1 == k ":" {printf "%.1f", $2 / 1024}' "/proc/$1/status"; } # PID [VmHWM]
# NAME UNIT VALUE...: the median and all of them
median() {
	local name=$1 unit=$2
	shift 2
	printf '%s\n' "$@" | sort -g | awk -v n="$name" -v u="$unit" '{v[NR] = $1} END {printf "   %-34s median %s %s   (%s to %s, n=%d)\n", n, v[int((NR + 1) / 2)], u, v[1], v[NR], NR}'
}
