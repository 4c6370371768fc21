#!/bin/bash
# From accept (201) to visible in Postgres, at 100 single records a second for a minute, default settings; Postgres with fsync. Five minutes in all by default.
#   p2-visible.sh [SECS [RATE]]
PERF_COMMAND="$0 $*"
. "$(dirname "$0")/perf-lib.sh"
secs=${1:-60} rate=${2:-100}
perf_need python3 psql jq
export STITCH_PG_FSYNC=on
start_postgres
start_stitchd || exit 1
pg_chain shop >"$T/token" || exit 1
make_batch seen 0 0 | post /v2/import/batch "$(cat "$T/token")" >/dev/null
ctl flush shop --wait 60 >/dev/null || exit 1

head_line "accept to visible in Postgres: $rate records a second for $secs s, $ROUNDS times"
for ((n = 1; n <= ROUNDS; n++)); do
	c0=$(cpu_s "$stitchd_pid")
	python3 "$top/t/perf/visible.py" --url "$url" --token "$T/token" --table seen --schema shop --rate "$rate" --secs "$secs" --first $((n * 1000000)) >"$T/round.$n" || { cat "$T/round.$n"; exit 1; }
	printf '   round %s: %s, load %s, stitchd %s CPU s\n' "$n" "$(cat "$T/round.$n")" "$(load_average)" "$(echo "$(cpu_s "$stitchd_pid") $c0" | awk '{print $1 - $2}')"
done
for k in visible_p50 visible_p99 visible_max accept_p50 accept_p99; do
	# shellcheck disable=SC2046 # one value a word
	median "$k" ms $(jq ".$k" "$T"/round.*)
done
printf '   loads of the destination: %s\n' "$(pg 'SELECT count(*) || $$ batches$$ FROM shop._stitch_ledger')"
foot_line
stop_stitchd
