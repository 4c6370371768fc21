#!/bin/bash
# Postgres stops in mid-load: the SQLite destination of the same tables is not slowed, the jobs for Postgres defer and then finish. And Postgres paused by the
# operator stays paused over a restart of the daemon. OUTAGE=10 seconds here; the issue's minute is OUTAGE=60.
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/pipeline.sh"
flights_ready 8000
start_postgres
flags=(--backoff-first 100ms --backoff-max 2s --batch-size 256K --retention-interval 500ms)
start_stitchd "${flags[@]}" && chain && pg_chain "$SOURCE" >"$T/token2" || bail "no chain"
waiting_for() { ctl --json status | jq "[.tables[] | select(.destination == \"$1\") | .queued + .spooled] | add // 0"; }
lag_of() { ctl --json status | jq "[.tables[] | select(.destination == \"$1\") | .lag_s] | max // 0"; }
pg_digest() { pg "SELECT $COLUMNS_OF_FLIGHTS FROM $SOURCE.$1" >"$T/rows" && python3 "$top/t/lib/flights.py" digest-of "$T/rows"; }

push_flights --batch 20 --pace 0.15
wait_for 30 '[ "$(pg "SELECT count(*) FROM $SOURCE.plain")" -gt 0 ]' && pass "rows arrive in Postgres" || fail "rows arrive in Postgres"
stop_postgres
end=$(($(now_ms) + ${OUTAGE:-10} * 1000)) worst=0
wait_for 30 '[ "$(ctl --json job list --state deferred | jq length)" -gt 0 ]' && pass "jobs for Postgres are deferred" || fail "jobs for Postgres are deferred"
before=$(sqlite "$T/local.db" "SELECT count(*) FROM ${SOURCE}__plain")
while [ "$(now_ms)" -lt "$end" ]; do
	lag=$(lag_of local)
	[ "$(jq -n "$lag > $worst")" = false ] || worst=$lag
	sleep 0.2
done
is "deferred jobs are Postgres' alone" pg "$(ctl --json job list --state deferred | jq -r '.[].destination' | sort -u)"
is "what failed is transient" transient "$(ctl --json destination show pg | jq -r .error.class)"
exits 20 "status exits 20 while it is down" ctl status
[ "$(sqlite "$T/local.db" "SELECT count(*) FROM ${SOURCE}__plain")" -gt "$before" ] && pass "rows go on arriving in SQLite" || fail "rows go on arriving in SQLite"
# all that was pushed is in SQLite while Postgres is still down
pushed 120 || fail "the client comes to its end"
wait_for 30 '[ "$(waiting_for local)" = 0 ]' && pass "SQLite has everything meanwhile (worst lag seen: $worst s)" || fail "SQLite has everything meanwhile"
all_there "SQLite is complete while Postgres is down"
isnt "Postgres still waits" 0 "$(waiting_for pg)"
start_postgres
wait_for 60 '[ "$(waiting_for pg)" = 0 ]' && pass "the deferred jobs finish by themselves" || fail "the deferred jobs finish by themselves" "$(ctl job list --state deferred)"
for t in keyed plain; do is "Postgres holds all flights once: $t" "$WANT" "$(pg_digest $t 2>&1)"; done
is "the ledger is zero-sum" "" "$(unbalanced)"
exits 0 "status exits 0 again" ctl status

# paused by a person
ok "Postgres is paused" ctl pause destination pg --reason "vacuum night"
stop_stitchd
start_stitchd "${flags[@]}" || fail "the start"
is "it is still paused, with the reason" "vacuum night" "$(ctl --json destination show pg | jq -r .paused.reason)"
like "and who" "root|uid" "$(ctl --json destination show pg | jq -r .paused.by)"
_round_tables=(keyed2 plain2)
push_flights --batch 100
pushed 60 || fail "the client comes to its end"
wait_for 30 '[ "$(waiting_for local)" = 0 ]' || fail "SQLite has everything"
all_there "SQLite gets what is pushed meanwhile"
is "Postgres waits with all of it" $((2 * N_FLIGHTS)) "$(waiting_for pg)"
is "and nothing of it has arrived" 0 "$(pg "SELECT count(*) FROM pg_tables WHERE schemaname = '$SOURCE' AND tablename IN ('keyed2', 'plain2')")"
ok "Postgres is resumed" ctl resume destination pg
wait_for 60 '[ "$(waiting_for pg)" = 0 ]' || fail "Postgres gets the rest" "$(ctl job list)"
for t in keyed2 plain2; do is "Postgres holds all flights once: $t" "$WANT" "$(pg_digest $t 2>&1)"; done
is "the ledger is zero-sum" "" "$(unbalanced)"
stop_stitchd
is "it ends well" 0 $?
done_testing
