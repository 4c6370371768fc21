#!/bin/bash
# What a record costs when the same load is spread over 1, 100 and 10,000 tables, and with 1,000 connections. Batches of 20 records (10,000
# bodies must fit into wrk), each to one table, tables in turn; the chain is the default one without a destination. CPU is stitchd's whole, until it is quiet again: files of all tables are cut and written in it.
#   p6-tables.sh [SECS]
PERF_COMMAND="$0 $*"
. "$(dirname "$0")/perf-lib.sh"
secs=${1:-5}
perf_need wrk python3
tables() { # N RECORDS: the bodies, one a line, for N tables in turn
	local f=$PERF_DIR/tables.$1
	[ -s "$f" ] || { awk -v n="$1" '{k = (NR - 1) % n; sub(/"customers"/, "\"t" k "\""); print}' "$(gen stitch "$2" --batch 20)" >"$f.new" && mv "$f.new" "$f"; } || bail "no bodies"
	echo "$f"
}
start_stitchd || exit 1
new_token bench >"$T/token"
at=$stitchd_pid,$url/v2/import/batch,$T/token
head_line "push: batches of 20 records over 16 connections to 1, 100 and 10,000 tables, $secs s a round"
python3 "$top/t/perf/rounds.py" --secs "$secs" --rounds "$ROUNDS" --conns 16 --per 20 \
	"10000-tables=$at,$(tables 10000 200000)" "100-tables=$at,$(tables 100 20000)" "1-table=$at,$(tables 1 20000)" || exit 1
foot_line
head_line "push: batches of 100 records over 1,000 connections, $secs s a round"
python3 "$top/t/perf/rounds.py" --secs "$secs" --rounds "$ROUNDS" --conns 1000 --per 100 --bodies "$(gen stitch 20000)" "1000-connections=$at" || exit 1
foot_line
printf '   what was accepted is counted, difference 0 for all: %s\n' "$(ctl --json status | jq -c '[.tables[].difference] | unique')"
stop_stitchd
