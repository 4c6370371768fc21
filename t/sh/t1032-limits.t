#!/bin/bash
# A source that holds while it is paused (taken, not loaded, also over a restart; the others go on), a rate limit, connections of one address.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl sqlite3
start_stitchd --connections-per-address 3 || bail "no daemon"
token=$(sqlite_chain shop) && other=$(sqlite_chain mart) || bail "no chain"
B=/v2/import/batch
up() { printf '{"table_name":"t","schema":{},"key_names":["id"],"messages":[{"action":"upsert","sequence":1,"data":{"id":%s}}]}' "$1"; }
rows() { sqlite "$T/local.db" "SELECT count(*) FROM $1__t" 2>/dev/null; }

exits 1 "no such way to pause" ctl source set shop --set when_paused=drop
exits 1 "no such rate" ctl source set shop --set rate_limit=many
exits 1 "nor none" ctl source set shop --set rate_limit=0

ok "shop holds when it is paused" ctl source set shop --set when_paused=hold
is "before" 201 "$(post $B "$token" <<<"$(up 1)")"
wait_for 30 '[ "$(rows shop)" = 1 ]'
ok "paused" ctl pause source shop --reason test
is "taken all the same" 201 "$(post $B "$token" <<<"$(up 2)")"
is "another source" 201 "$(post $B "$other" <<<"$(up 1)")"
wait_for 30 '[ "$(rows mart)" = 1 ]'
is "is loaded" 1 "$(rows mart)"
wait_for 30 '[ "$(sum_of spooled "select(.source == \"shop\")")" = 1 ]'
is "the held record is in the spool" 1 "$(sum_of spooled 'select(.source == "shop")')"
kill_stitchd
start_stitchd --connections-per-address 3 || bail "it does not start again"
is "a third record, after a kill" 201 "$(post $B "$token" <<<"$(up 3)")"
is "mart again" 201 "$(post $B "$other" <<<"$(up 2)")"
wait_for 30 '[ "$(rows mart)" = 2 ]'
is "nothing of shop was loaded meanwhile" 1 "$(rows shop)"
ok "resumed" ctl resume source shop
wait_for 30 '[ "$(rows shop)" = 3 ]'
is "all is loaded" 3 "$(rows shop)"
is "and accounted for" "" "$(unbalanced)"
ok "without the setting" ctl source set shop --set when_paused=
ok "paused again" ctl pause source shop --reason test
is "it is refused" 401 "$(post $B "$token" <<<"$(up 4)")"
ok "resumed again" ctl resume source shop

ok "a rate" ctl source set shop --set rate_limit=1
make_batch t 10 200 >"$T/many"
is "much at once is taken" 201 "$(post $B "$token" <"$T/many")"
is "what follows is not" 503 "$(post $B "$token" <<<"$(up 5)")"
like "it is told when" 'Retry-After: 1[0-9][0-9]' "$(cat "$T/headers")"
is "others are taken" 201 "$(post $B "$other" <<<"$(up 3)")"
ok "no rate" ctl source set shop --set rate_limit=
is "it is taken" 201 "$(post $B "$token" <<<"$(up 5)")"

for i in 5 6 7; do exec {fd}<>"/dev/tcp/127.0.0.1/$port" && eval "c$i=$fd"; done
wait_for 20 '[ "$(curl -s -o /dev/null -w "%{http_code}" --max-time 5 "$url/healthz")" = 503 ]'
is "a fourth connection of one address is turned away" 503 "$(curl -s -o /dev/null -w '%{http_code}' "$url/healthz")"
exec {c5}>&- {c6}>&-
wait_for 20 'curl -sf -o /dev/null --max-time 5 "$url/healthz"'
is "until others have ended" 200 "$(curl -s -o /dev/null -w '%{http_code}' "$url/healthz")"
exec {c7}>&-
stop_stitchd
is "the daemon ends well" 0 $?
done_testing
