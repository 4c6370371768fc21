#!/bin/bash
# The local spool: while the queue is away (a switch for tests) what arrives is answered 202 and kept, over kill -9 before and after it was given on; then all of it
# is loaded once, in order, and counted.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl sqlite3
export STITCH_QUEUE_AWAY=$T/away
flags=(--local-spool 1M)
start_stitchd "${flags[@]}" || bail "no daemon"
token=$(sqlite_chain shop) || bail "no chain"
B=/v2/import/batch
up() { printf '{"table_name":"t","schema":{},"messages":[{"action":"upsert","sequence":%s,"data":{"id":%s}}]}' "$1" "$1"; } # without a key: what comes twice is seen
rows() { sqlite "$T/local.db" 'SELECT group_concat(id, " ") FROM (SELECT id FROM shop__t ORDER BY _sdc_sequence)' 2>/dev/null; }
key() { post $B "$token" -H "Idempotency-Key: $1" <<<"$(up "$2")"; }
local_requests() { metric stitch_queue_local_requests; }
body() { cat "$T/body"; }

is "the queue is there" 201 "$(post $B "$token" <<<"$(up 1)")"
touch "$T/away"
is "it is away" 202 "$(post $B "$token" <<<"$(up 2)")"
like "the documented answer, with a receipt" '^\{"status":"Accepted","message":"The batch is queued to be processed.","receipt":"[0-9a-f]{32}-0-0-1"\}$' "$(body)"
receipt=$(jq -r .receipt "$T/body")
is "which can be followed" "in the local spool: the queue is away" "$(ctl --json where "$receipt" | jq -r '.records[0].state')"
is "in part" 202 "$(post "$B?partial=true" "$token" <<<'{"table_name":"t","schema":{},"messages":[{"action":"upsert","sequence":3,"data":{"id":3}},{}]}')"
is "with its list" '1 [1]' "$(jq -c '"\(.accepted) \(.rejected | map(.record))"' -r "$T/body")"
is "with a key" 202 "$(key k 4)"
first=$(body)
is "again" 202 "$(key k 4)"
is "the same receipt" "$first" "$(body)"
is "another body" 422 "$(key k 5)"
is "three are in the spool" 3 "$(local_requests)"
is "status says so" "true 3" "$(ctl --json status | jq -r '.queue | "\(.away) \(.local_requests)"')"
like "and that it is a problem" 'the queue is away: 3 requests' "$(ctl --json status | jq -r '.problems[].text')"
is "the door is open" 200 "$(curl -s -o /dev/null -w '%{http_code}' "$url/readyz")"

kill_stitchd
start_stitchd "${flags[@]}" || bail "it does not start again"
is "three are in it after a kill" 3 "$(local_requests)"
is "the key is known" 202 "$(key k 4)"
is "by its receipt" "$first" "$(body)"
is "and its body" 422 "$(key k 5)"
is "one more" 202 "$(post $B "$token" <<<"$(up 5)")"
for i in $(seq 1 40); do
	code=$(printf '{"table_name":"big","schema":{},"messages":[{"action":"upsert","sequence":1,"data":{"id":1,"text":"%s"}}]}' "$(head -c 60000 /dev/urandom | base64 -w 0)" |
		post $B "$token")
	[ "$code" = 202 ] || break
done
is "until its size is reached" 503 "$code"
like "which is told" 'More arrives than can be stored now|local spool is full' "$(body)"
like "with the time to wait" 'Retry-After: [0-9]' "$(cat "$T/headers")"
is "nothing of it was loaded so far" "1" "$(rows)"
kill_stitchd

rm "$T/away"
STITCH_CRASH_AT=local-replayed start_stitchd "${flags[@]}"
await_death 60
is "killed when the first were in the queue, and not yet out of the spool" 137 "$rc"
start_stitchd "${flags[@]}" || bail "it does not start after that"
wait_for 60 '[ "$(local_requests)" = 0 ]'
is "the spool is emptied" 0 "$(local_requests)"
wait_for 60 '[ "$(rows)" = "1 2 3 4 5" ]'
is "all is there, once" "1 2 3 4 5" "$(rows)"
is "the receipt goes on" "given on to the queue from the local spool" "$(ctl --json where "$receipt" | jq -r '.records[0].state')"
wait_for 60 '[ "$(ctl --json status | jq .queue.away)" = false ]'
is "then the queue is asked again" 201 "$(post $B "$token" <<<"$(up 6)")"
is "the key is still known, by the place that it has now" 201 "$(key k 4)"
wait_for 60 '[ "$(rows)" = "1 2 3 4 5 6" ]'
is "all is there" "1 2 3 4 5 6" "$(rows)"
wait_for 60 '[ -z "$(unbalanced)" ]'
is "and accounted for" "" "$(unbalanced)"
stop_stitchd
is "the daemon ends well" 0 $?
start_stitchd || bail "it does not start without a spool"
is "without a spool" 201 "$(post $B "$token" <<<"$(up 7)")"
done_testing
