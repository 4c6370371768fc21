#!/bin/bash
# Fair shares: what a source that sends little waits for, alone and beside one that sends all it can on forty connections (small, middle, large, chunked,
# dripping, packed bodies). The bounds are generous, since the machine may be busy; a door without shares misses them by far. The figures are told.
# flavours: plain
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl sqlite3 python3
start_stitchd || bail "no daemon"
quiet=$(new_token quiet) && flood=$(new_token flood) || bail "no sources"
printf %s "$quiet" >"$T/quiet" && printf %s "$flood" >"$T/flood"
fair() { python3 "$top/t/lib/fair.py" "$@"; }

fair quiet "$port" "$T/quiet" 50 >/dev/null # warm
alone=$(fair quiet "$port" "$T/quiet" 300)
mkfifo "$T/stop"
fair flood "$port" "$T/flood" "$T/begun" <"$T/stop" >"$T/flooded" &
flooder=$!
exec 8>"$T/stop"
wait_for 60 '[ -s "$T/begun" ]'
beside=$(fair quiet "$port" "$T/quiet" 300)
exec 8>&-
wait "$flooder"
diag "alone: $alone; beside the other: $beside; the other: $(cat "$T/flooded")"
read -r p50 p99 codes <<<"$alone"
read -r q50 q99 busy <<<"$beside"
is "alone all is taken" "201:300" "$codes"
is "beside it too" "201:300" "$busy"
ok "half of its requests wait at most 20 times as long, or 50 ms" awk -v a="$p50" -v b="$q50" 'BEGIN { exit !(b < 20 * a || b < 50) }'
ok "99 of 100 at most 50 times as long, or 500 ms" awk -v a="$p99" -v b="$q99" 'BEGIN { exit !(b < 50 * a || b < 500) }'
like "the other is served all the while" '201:' "$(cat "$T/flooded")"
done_testing
