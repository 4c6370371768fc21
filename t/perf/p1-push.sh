#!/bin/bash
# Push with a durable answer, beside the floor of the same run: batches of 100 records (50 KB) over 16 connections, then single records over 64. The chain is the
# default one (log queue, streamery, files) of a source without a destination, so that no loader takes part. Two floors: floor (t/perf/floor.c: the same work by
# hand, scan, zstd 1 and a group's fdatasync, without HTTP library, token, schema and tables) and sink-sync (limits/sink.c: no parse, no token, no check, one
# fdatasync for all that came in together, into a plain file).
#   p1-push.sh [SECS [batches|single]]
PERF_COMMAND="$0 $*"
. "$(dirname "$0")/perf-lib.sh"
secs=${1:-5} which=${2:-both}
perf_need wrk gcc python3
gcc -O2 -o "$T/sink" "$BENCH/limits/sink.c" -lpthread || exit 1
sink_port=$(free_port)
"$T/sink" "$sink_port" 1 "$T/sink.log" &
sink=$!
track $sink
make -s -C "$BUILD" t/perf/floor || exit 1
floor_port=$(free_port)
"$BUILD/t/perf/floor" "$floor_port" "${FLOOR_THREADS:-2}" "$T/floor" &
floor=$!
track $floor
start_stitchd || exit 1
new_token bench >"$T/token"

load() { # BODIES CONNS PER PATH
	python3 "$top/t/perf/rounds.py" --secs "$secs" --rounds "$ROUNDS" --conns "$2" --per "$3" --bodies "$1" \
		"stitch=$stitchd_pid,$url$4,$T/token" "floor=$floor,http://127.0.0.1:$floor_port$4" "sink-sync=$sink,http://127.0.0.1:$sink_port$4" || exit 1
}
if [ "$which" != single ]; then
	head_line "push: batches of 100 records over 16 connections, $secs s a round"
	load "$(gen stitch 20000)" 16 100 /v2/import/batch
	foot_line
fi
if [ "$which" != batches ]; then
	head_line "push: single records over 64 connections, $secs s a round"
	load "$(gen stitch 5000 --batch 1)" 64 1 /v2/import/batch
	foot_line
fi
printf '   what was accepted is counted: %s\n' "$(ctl --json status | jq -c '[.tables[] | {table, accepted, queued, difference}]')"
stop_stitchd
