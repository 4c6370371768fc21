#!/bin/bash
# A job that was in a load is discarded only when its destination has said whether it has it. Until then it is not loaded, also when the daemon dies meanwhile; a
# destination that is paused is not asked before it is resumed; and who resumes the job takes the discard back.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl sqlite3
start_stitchd --backoff-first 100ms --backoff-max 300ms || bail "no daemon"
token=$(new_token shop)
ctl destination create --kind sqlite --name away --no-check --set path="$T/gone/away.db" >/dev/null && ctl connect shop away >/dev/null || bail "no chain"
state() { ctl --json job show "$1" | jq -r .state; }
job_of() { ctl --json job list --table "$1" --destination away | jq -r '.[0].id'; }
# both begin at once: of a destination that is known to be down only one load is tried
ctl pause destination away >/dev/null
for t in orders items; do
	is "a batch" 201 "$(make_batch $t 1 10 | post /v2/import/batch "$token")"
done
ctl flush >/dev/null
wait_for 60 '[ "$(ctl --json job list | jq length)" = 2 ]' && ctl resume destination away >/dev/null || bail "no jobs"
wait_for 60 '[ "$(ctl --json job list | jq -r "[.[] | select(.attempts > 0)] | length")" = 2 ]' && pass "their loads fail" || fail "their loads fail" "$(ctl job list)"
job=$(job_of orders) back=$(job_of items)
answer=$(ctl --json job discard "$job")
is "discard" discarding "$(jq -r .state <<<"$answer")"
like "its answer says what it waits for" 'destination away is asked|being loaded now' "$(jq -r .note <<<"$answer")"
wait_for 30 '[ "$(state "$job")" = held ]' && pass "it is held until the destination was asked" || fail "it is held until the destination was asked" "$(ctl job list)"
ok "the destination is paused" ctl pause destination away --reason "moving"
answer=$(ctl --json job discard "$back")
like "of a paused one, that it waits for its resume" 'until destination away is resumed, which was paused by' "$(jq -r .note <<<"$answer")"
kill_stitchd
mkdir "$T/gone"
start_stitchd --backoff-first 100ms --backoff-max 300ms || bail "no daemon again"
ctl destination create --kind sqlite --name near --set path="$T/near.db" >/dev/null && ctl connect shop near >/dev/null || bail "no second destination"
is "another batch" 201 "$(make_batch orders 11 20 | post /v2/import/batch "$token")"
wait_for 60 '[ "$(sqlite "$T/near.db" "SELECT count(*) FROM shop__orders" 2>/dev/null)" = 10 ]' && pass "another destination has it" || fail "another destination has it"
is "after the restart both are held" "held held" "$(state "$job") $(state "$back")"
is "the paused destination was not asked" no "$([ -e "$T/gone/away.db" ] && echo yes || echo no)"
ok "resume of a job" ctl resume job "$back"
isnt "takes the discard back" held "$(state "$back")"
ok "the destination is resumed" ctl resume destination away
wait_for 60 '[ "$(state "$job")" = discarded ]' && pass "then the other is discarded" || fail "then the other is discarded" "$(ctl job list)"
ok "the rest is loaded" ctl flush --wait 60
is "and only that" "11 10" "$(sqlite "$T/gone/away.db" "SELECT min(id), count(*) FROM shop__orders" | tr '|' ' ')"
is "with what was taken back" "done 10" "$(state "$back") $(sqlite "$T/gone/away.db" "SELECT count(*) FROM shop__items")"
is "the ledger is zero-sum" "" "$(unbalanced)"
stop_stitchd
is "it ends well" 0 $?
done_testing
