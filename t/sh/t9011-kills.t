#!/bin/bash
# Flights are pushed while stitchd is killed (-9) at random moments, and then loaders are: nothing is missing, nothing is double, the ledger is zero-sum.
# flavours: plain asan tsan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/pipeline.sh"
need pgrep
flights_ready 4000
small=(--queue-segment 1M --batch-size 64K --queue-keep 0s --batch-keep 0s --retention-interval 100ms --idle-cut-delay 5ms --backoff-first 20ms --backoff-max 100ms)
rounds=${ROUNDS:-10}
start_stitchd "${small[@]}" && chain || bail "no chain"

push_flights --batch 10 --pace 0.03
for ((r = 1; r <= rounds; r++)); do
	sleep "0.$(printf %03d $((RANDOM % 300)))"
	kill_stitchd
	start_stitchd "${small[@]}" || { fail "the start after kill $r"; break; }
done
if pushing; then pass "$rounds times killed while it was pushed"; else diag "the push ended before the last of $rounds kills"; fi
pushed 60 && settled 60 || fail "the end of it"
all_there "stitchd killed $rounds times"

_round_tables=(keyed2 plain2)
push_flights --batch 10 --pace 0.03
killed=0 end=$(($(now_ms) + 60000 * SLOW))
while pushing || [ "$killed" -lt 5 ]; do
	[ "$(now_ms)" -lt "$end" ] || break
	for p in $(pgrep -P "$stitchd_pid" -f stitch-load-); do kill -KILL "$p" 2>/dev/null && killed=$((killed + 1)); done
	sleep "0.$(printf %03d $((RANDOM % 100)))"
done
[ "$killed" -ge 5 ] && pass "$killed loaders were killed" || fail "loaders were killed" "only $killed"
pushed 60 && settled 60 || fail "the end of it"
all_there "loaders killed"
stop_stitchd
is "stitchd ends well" 0 $?
done_testing
