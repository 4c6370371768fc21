#!/bin/bash
# A job that was in a load is discarded only when its destination has said whether it has it. Until then it is not loaded, also when the daemon dies meanwhile.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl sqlite3
start_stitchd --backoff-first 100ms --backoff-max 300ms || bail "no daemon"
token=$(new_token shop)
ctl destination create --kind sqlite --name away --no-check --set path="$T/gone/away.db" >/dev/null && ctl connect shop away >/dev/null || bail "no chain"
state() { ctl --json job show "$1" | jq -r .state; }
is "a batch" 201 "$(make_batch orders 1 10 | post /v2/import/batch "$token")"
wait_for 30 '[ "$(ctl --json job list | jq -r ".[0] | .state, .attempts > 0" | paste -sd" ")" = "deferred true" ]' || fail "its load fails" "$(ctl job list)"
job=$(ctl --json job list | jq -r '.[0].id')
is "discard" discarding "$(ctl --json job discard "$job" | jq -r .state)"
is "it is held until the destination was asked" held "$(state "$job")"
kill_stitchd
mkdir "$T/gone"
start_stitchd --backoff-first 100ms --backoff-max 300ms || bail "no daemon again"
is "another batch" 201 "$(make_batch orders 11 20 | post /v2/import/batch "$token")"
wait_for 60 '[ "$(state "$job")" = discarded ]' && pass "it is discarded after the restart" || fail "it is discarded after the restart" "$(ctl job list)"
ok "the rest is loaded" ctl flush --wait 60
is "and only that" "11 10" "$(sqlite "$T/gone/away.db" "SELECT min(id), count(*) FROM shop__orders" | tr '|' ' ')"
is "the ledger is zero-sum" "" "$(unbalanced)"
stop_stitchd
is "it ends well" 0 $?
done_testing
