#!/bin/bash
# Flights are pushed while stitchd dies at each of its named crash points (as by kill -9), and while its loaders die there: afterwards nothing is missing,
# nothing is double, the ledger is zero-sum. A point that is never reached fails.
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/pipeline.sh"
flights_ready 3000
odd_ready 200
# everything small, so that each round sees segments filled, trimmed and recycled, many batches, loads and deletions
small=(--queue-segment 1M --batch-size 64K --queue-keep 0s --batch-keep 0s --retention-interval 100ms --idle-cut-delay 5ms --backoff-first 50ms --backoff-max 200ms)
# the names stand in the program's own table
mapfile -t points < <(sed -nE '/^const char \*const crashpoint_names/,/^};/s/^\t"([a-z-]+)",.*/\1/p' "$top/daemon/core/crashpoint.c" | grep -v '^local-') # those of the local spool: t1034
[ ${#points[@]} -ge 15 ] && pass "the crash points: ${points[*]}" || fail "the crash points" "${points[*]}"

start_stitchd "${small[@]}" && chain && stop_stitchd || bail "no chain"
mv "$STATE" "$T/new"
mkdir "$T/empty" && mv "$T"/local.db* "$T/empty"
fresh() { # a new install with source and destination, stopped
	rm -rf "$STATE" "$T"/local.db*
	cp -a "$T/new" "$STATE" && cp -a "$T"/empty/. "$T/"
}
begin() { # POINT: stitchd with the point armed, which may die before it is ready; and the push
	rm -f "$STATE/http.port"
	STITCH_CRASH_AT=$1 STITCH_LIBEXEC=$BUILD "$BUILD/stitchd" --state-dir "$STATE" --socket "$SOCK" --http 127.0.0.1:0 "${small[@]}" >>"$LOG" 2>&1 </dev/null &
	stitchd_pid=$!
	push_flights --batch 7
}
give_up() { # NAME TEXT
	fail "$1" "$2"
	stop_pushers
	kill_stitchd
}
end_of_round() {
	pushed 60 || fail "$1: the client comes to its end"
	settled 60 || fail "$1: everything is loaded"
	all_there "$1"
	stop_stitchd || fail "$1: the stop"
}
# NAME:N: one test
round() {
	fresh || { fail "$1: a new install"; return; }
	begin "$1"
	await_death 20 && [ "$rc" = 137 ] || { give_up "$1 is reached" "exit status: $rc"; return; }
	start_stitchd "${small[@]}" || { fail "$1: the start after it"; return; }
	end_of_round "$1"
}
# NAME:N: loaders die there, and stitchd goes on
loaders_round() {
	local killed="crash point ${1%:*}: [0-9]+ loaders were killed" before
	fresh || { fail "$1, loaders: a new install"; return; }
	before=$(grep -cE "$killed" "$LOG")
	begin "$1:loaders"
	wait_for 20 '[ "$(grep -cE "'"$killed"'" "$LOG")" -gt '"$before"' ]' || { give_up "$1 is reached while there is a loader" "no loader was killed"; return; }
	end_of_round "$1, loaders"
}
# where that happens often, in the middle of it
for p in "${points[@]}"; do
	case $p in
	*segment* | *recycled | trim* | *rejects* | retention*) round "$p:1" ;;
	*) round "$p:$((RANDOM % 4 + 1))" ;;
	esac
done
for p in "${points[@]}"; do loaders_round "$p:1"; done
done_testing
