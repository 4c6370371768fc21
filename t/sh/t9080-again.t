#!/bin/bash
# Doing it again changes nothing: a loaded job is replayed; a new state folder has the same destination (what it gets has another queue's id: nothing is lost, nothing
# doubled); state.db is put back to an older copy (what was loaded since is cut and loaded again: the keyed table takes it by its sequences, the append-only
# one skips the ranges of its ledger).
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/pipeline.sh"
flights_ready 2000
start_stitchd && chain || bail "no chain"
# every column but the time of loading, which a row that is replaced may change
dump() { # TABLE
	local columns
	columns=$(sqlite "$T/local.db" "SELECT group_concat('\"' || name || '\"') FROM pragma_table_info('${SOURCE}__$1') WHERE name <> '_sdc_batched_at'")
	sqlite "$T/local.db" "SELECT $columns FROM ${SOURCE}__$1 ORDER BY $columns" | sha256sum | cut -d' ' -f1
}
push_flights --batch 50
pushed 60 && settled 30 || fail "the first push"
all_there "all is there"
keyed=$(dump keyed) plain=$(dump plain)

# --- a loaded job again ---
mapfile -t jobs < <(ctl --json job list --state "done" | jq -r '.[].id')
[ ${#jobs[@]} -gt 1 ] && pass "${#jobs[@]} jobs are done" || fail "jobs are done" "$(ctl job list)"
bad=0
for j in "${jobs[@]}"; do ctl job replay "$j" >/dev/null || bad=$((bad + 1)); done
is "every one of them can be replayed: exit status 0" 0 "$bad"
settled 30 || fail "the replays end"
is "the keyed table is as it was" "$keyed" "$(dump keyed)"
is "the append-only table is as it was" "$plain" "$(dump plain)"
all_there "all is there once"

# --- state.db as it was ---
stop_stitchd
is "stitchd ends well" 0 $?
cp "$STATE/state.db" "$T/old.db"
start_stitchd || fail "the start"
_round_tables=(keyed2 plain2)
push_flights --batch 50
pushed 60 && settled 30 || fail "the second push"
all_there "more is there"
keyed2=$(dump keyed2) plain2=$(dump plain2)
stop_stitchd
cp "$T/old.db" "$STATE/state.db"
rm -f "$STATE"/state.db-wal "$STATE"/state.db-shm
start_stitchd || fail "the start with the older state.db"
wait_for 30 '[ "$(ctl --json status | jq "[.tables[] | select(.table == \"plain2\" or .table == \"keyed2\") | .loaded] | add // 0")" = $((2 * N_FLIGHTS)) ]' ||
	fail "what was loaded since is done again" "$(ctl table list)"
settled 30
is "the keyed table is as it was" "$keyed2" "$(dump keyed2)"
is "the append-only table is as it was" "$plain2" "$(dump plain2)"
all_there "nothing is double"
is "nor in the older tables" "$keyed $plain" "$(dump keyed) $(dump plain)"
# and it goes on
head -n 300 "$FLIGHTS" >"$T/few"
pusher plain3 "$T/few" --batch 50
pushed 30 && settled 30
is "new records are not taken for old ones" 300 "$(sqlite "$T/local.db" "SELECT count(*) FROM ${SOURCE}__plain3")"

# --- state.db older, and other batches: half of what was loaded comes again together with what is new ---
stop_stitchd
cp "$STATE/state.db" "$T/old.db"
start_stitchd || fail "the start"
_round_tables=(keyed4 plain4)
push_flights --batch 20 --pace 0.01
wait_for 30 '[ "$(sqlite "$T/local.db" "SELECT count(*) FROM ${SOURCE}__plain4" 2>/dev/null)" -gt 100 ]' || fail "some of it arrives"
kill_stitchd
loaded=$(sqlite "$T/local.db" "SELECT count(*) FROM ${SOURCE}__plain4")
cp "$T/old.db" "$STATE/state.db"
rm -f "$STATE"/state.db-wal "$STATE"/state.db-shm
start_stitchd --batch-size 64K || fail "the start with the older state.db"
pushed 60 && settled 30
all_there "$loaded of $N_FLIGHTS rows had been loaded: nothing is missing, nothing is double"

# --- a new state folder ---
stop_stitchd
mv "$STATE" "$T/state.old"
start_stitchd || fail "the start in a new folder"
chain || fail "source and destination are made again"
rm -f "$T"/journal.*
# the same records for the keyed table, others for the append-only one: it cannot know that a record of another queue was there
pusher keyed "$FLIGHTS" --key id --batch 70
pusher plain5 "$FLIGHTS" --batch 70
pushed 60 && settled 30 || fail "the push"
_round_tables=(keyed plain5)
all_there "what a new install loads is there once"
is "what the old one loaded has stayed" "$plain $plain2" "$(dump plain) $(dump plain2)"
is "two queues in the ledger" 2 "$(sqlite "$T/local.db" "SELECT count(DISTINCT queue_id) FROM ${SOURCE}___stitch_ledger")"
# the append-only table that the old install had begun takes the new one's records too: nothing of them is taken for known
pusher plain3 "$T/few" --batch 30
pushed 30 && settled 30
is "an append-only table loses nothing of the new queue" 600 "$(sqlite "$T/local.db" "SELECT count(*) FROM ${SOURCE}__plain3")"
stop_stitchd
is "it ends well" 0 $?
done_testing
