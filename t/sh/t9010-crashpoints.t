#!/bin/bash
# Flights are pushed while stitchd dies at each of its named crash points (as by kill -9): after the restart nothing is missing, nothing is double, the
# ledger is zero-sum. A point that is never reached fails.
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/pipeline.sh"
flights_ready 3000
odd_ready 200
# everything small, so that each round sees segments filled, trimmed and recycled, many batches, loads and deletions
small=(--queue-segment 1M --batch-size 64K --queue-keep 0s --batch-keep 0s --retention-interval 100ms --idle-cut-delay 5ms --backoff-first 50ms --backoff-max 200ms)
# the names stand in the program's own table
mapfile -t points < <(sed -nE '/^const char \*const crashpoint_names/,/^};/s/^\t"([a-z-]+)",.*/\1/p' "$top/daemon/core/crashpoint.c")
[ ${#points[@]} -ge 15 ] && pass "the crash points: ${points[*]}" || fail "the crash points" "${points[*]}"

fresh() { # a new install with source and destination, stopped
	rm -rf "$STATE" "$T"/local.db*
	start_stitchd "${small[@]}" && chain && stop_stitchd
}
# NAME[:N]: one test
round() {
	local at=$1
	fresh || { fail "$at: a new install"; return; }
	# it may die before it is ready
	rm -f "$STATE/http.port"
	STITCH_CRASH_AT=$at STITCH_LIBEXEC=$BUILD "$BUILD/stitchd" --state-dir "$STATE" --socket "$SOCK" --http 127.0.0.1:0 "${small[@]}" >>"$LOG" 2>&1 </dev/null &
	stitchd_pid=$!
	push_flights --batch 7
	if ! await_death 20 || [ $rc != 137 ]; then
		fail "$at is reached" "exit status: $rc"
		stop_pushers
		kill_stitchd
		return
	fi
	start_stitchd "${small[@]}" || { fail "$at: the start after it"; return; }
	pushed 60 || fail "$at: the client comes to its end"
	settled 60 || fail "$at: everything is loaded"
	all_there "$at"
	stop_stitchd || fail "$at: the stop"
}
for p in "${points[@]}"; do round "$p"; done
# once more in the middle of it, where that happens often
for p in door-parsed queue-appended queue-synced cut-decided store-written state-run state-committed cut-committed load-created load-started load-answered load-done; do
	round "$p:$((RANDOM % 4 + 2))"
done
done_testing
