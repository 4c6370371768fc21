#!/bin/bash
# Single rejected records are loaded again, as they were or put right by a person, into SQLite and Postgres, with keys and without: each moves from rejected to loaded in
# the ledger exactly once, and a second replay changes nothing, also when the daemon is killed on the way.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl sqlite3
start_postgres
start_stitchd --backoff-first 100ms --backoff-max 300ms || bail "no daemon"
sqlite_chain shop >"$T/token" || bail "no chain"
pg_chain shop >/dev/null || bail "no second chain"
token=$(cat "$T/token")
# the second and the fourth of each five are no dates
body() { # TABLE KEYS
	seq 1 10 | awk -v t="$1" -v k="$2" 'BEGIN {printf "{\"table_name\":\"%s\",\"key_names\":%s,\"schema\":{\"properties\":{\"id\":{\"type\":\"integer\"},\"at\":{\"type\":\"string\",\"format\":\"date-time\"}}},\"messages\":[", t, k}
		{printf("%s{\"action\":\"upsert\",\"sequence\":%d,\"data\":{\"id\":%d,\"at\":\"2013-02-%sT10:00:00Z\"}}", NR > 1 ? "," : "", NR, $1, $1 % 5 == 2 || $1 % 5 == 4 ? "30" : "20")}
		END {print "]}"}'
}
for t in keyed plain; do
	keys='[]'
	[ $t = keyed ] && keys='["id"]'
	is "a batch into $t" 201 "$(body $t "$keys" | post '/v2/import/batch' "$token")"
done
if [ "$(ctl --json flush --wait 60 | jq .done)" = true ]; then pass "all is loaded or rejected"; else fail "all is loaded or rejected" "$(ctl job list)"; fi
count() { # DESTINATION TABLE WHAT
	if [ "$1" = pg ]; then pg "SELECT $3 FROM shop.$2"; else sqlite "$T/local.db" "SELECT $3 FROM shop__$2"; fi
}
tally() { ctl --json status | jq -r --arg t "$2" --arg d "$1" '.tables[] | select(.table == $t and .destination == $d) | "\(.loaded) \(.rejected)"'; }
for d in local pg; do for t in keyed plain; do is "$d $t: six loaded, four rejected" "6 4" "$(tally $d $t)"; done; done
is "the list has them" 16 "$(ctl --json reject list | jq length)"
is "by destination and table" 4 "$(ctl --json reject list --destination pg --table shop.plain | jq length)"
is "by reason" 16 "$(ctl --json reject list --reason 'AT' --field at | jq length)"
is "with all that a person needs" '"rejected" "at" "2013-02-30T10:00:00Z" 0' "$(ctl --json reject list --destination pg --table keyed | jq -c '.[0] | .state, .field, .value, .revision' | paste -sd' ')"
status=$(ctl --json status | jq -r .state)
for d in local pg; do for t in keyed plain; do
	mapfile -t ids < <(ctl --json reject list --destination $d --table $t | jq -r '.[].id')
	is "$d $t: a dry run counts" 1 "$(ctl --json reject replay "${ids[0]}" --destination $d --dry-run | jq .replay)"
	# as it was: refused again
	job=$(ctl --json reject replay "${ids[0]}" --destination $d | jq -r .job)
	ctl flush --wait 60 >/dev/null
	is "$d $t: as it was it is refused again" "done rejected 1" "$(ctl --json job show "$job" | jq -r .state) $(ctl --json reject show "${ids[0]}" --destination $d | jq -r '"\(.state) \(.revision)"')"
	is "$d $t: and the ledger is as before" "6 4" "$(tally $d $t)"
	exits 1 "$d $t: a record that its schema forbids is told" ctl reject replay "${ids[0]}" --destination $d --record '{"id":"two","at":"2013-02-20T10:00:00Z"}'
	like "$d $t: in the door's words" 'expected type: Integer|#/id' "$err"
	# put right
	id=$(ctl --json reject show "${ids[0]}" --destination $d | jq -r '.raw | fromjson | .data.id')
	answer=$(ctl --json reject replay "${ids[0]}" --destination $d --record "{\"id\":$id,\"at\":\"2013-02-28T10:00:00Z\",\"new\":\"field\"}")
	is "$d $t: its id says which revision" "${ids[0]}/2" "$(jq -r .id <<<"$answer")"
	again=$(ctl --json reject replay "${ids[0]}" --destination $d)
	is "$d $t: twice is once" "$(jq -r .job <<<"$answer")" "$(jq -r .job <<<"$again")"
	ctl flush --wait 60 >/dev/null
	is "$d $t: it is loaded" "7 3 loaded" "$(tally $d $t) $(ctl --json reject show "${ids[0]}" --destination $d | jq -r .state)"
	is "$d $t: where it belongs, with its new field" "7 1" "$(count $d $t 'count(*)') $(count $d $t "count(CASE WHEN id = $id AND new = 'field' THEN 1 END)")"
	ctl reject replay "${ids[0]}" --destination $d >/dev/null
	ctl flush --wait 60 >/dev/null
	is "$d $t: a replay of it changes nothing" "7 3" "$(tally $d $t)"
done; done
is "one is gone from each list" 12 "$(ctl --json reject list | jq length)"
is "all are shown with --all" 16 "$(ctl --json reject list --all | jq length)"
# the destination is put right instead: a load of all that a filter finds
exits 1 "a replay of everything must be said" ctl reject replay
like "and it says how" '\-\-table' "$err"
is "a dry run of a filter" '3 false' "$(ctl --json reject replay --destination local --table keyed --dry-run | jq -r '"\(.replay) \(.more)"')"
is "and the replay" '3 0' "$(ctl --json reject replay --destination local --table keyed | jq -r '"\(.replayed) \(.failed)"')"
# killed before they are loaded: they are when it comes back
kill_stitchd
start_stitchd --backoff-first 100ms --backoff-max 300ms || bail "no daemon again"
wait_for 60 '[ "$(ctl --json job list | jq "[.[] | select(.state != \"done\")] | length")" = 0 ]' && pass "after a kill the jobs go on" || fail "after a kill the jobs go on" "$(ctl job list)"
is "refused again, each once" "7 3" "$(tally local keyed)"
# rows of an append-only table keep ids of their own
is "append-only rows are different ones" "7 7" "$(count local plain 'count(DISTINCT __sdc_primary_key)') $(count pg plain 'count(DISTINCT __sdc_primary_key)')"
job=$(ctl --json job list --table plain --destination pg | jq -r '.[0].id')
like "job replay says where they are" 'stitchctl reject list --job' "$(ctl --json job replay "$job" | jq -r .note)"
is "the ledger is zero-sum" "" "$(unbalanced)"
stop_stitchd
is "it ends well" 0 $?
done_testing
