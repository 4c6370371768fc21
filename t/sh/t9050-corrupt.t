#!/bin/bash
# A batch file with a flipped bit, one that is another table's, one that is cut short and one that is gone are never loaded: their jobs become corrupt, the table
# goes on with what comes later, and when the files are put right a replay loads them.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/pipeline.sh"
flights_ready 500
start_stitchd && chain || bail "no chain"
split -l 100 -d "$FLIGHTS" "$T/part."
ok "the destination is paused" ctl pause destination local
flights_batch() { # TABLE FILE pushed as one request; prints the code
	sed 's/^/{"action":"upsert","sequence":1,"data":/; s/$/}/' "$2" | paste -sd, |
		sed "s/^/{\"table_name\":\"$1\",\"schema\":{\"properties\":{\"time_hour\":{\"type\":[\"null\",\"string\"],\"format\":\"date-time\"}}},\"key_names\":$([ "$1" = keyed ] && echo '["id"]' || echo '[]'),\"messages\":[/; s/\$/]}/" |
		post /v2/import/batch "$(cat "$T/token")"
}
# a batch file of each part, in both tables
for ((i = 0; i < 4; i++)); do
	for t in keyed plain; do
		[ "$(flights_batch $t "$T/part.0$i")" = 201 ] || fail "push of part $i into $t" "$(cat "$T/body")"
	done
	ctl flush >/dev/null
	wait_for 20 '[ "$(ctl --json status | jq "[.tables[].spooled] | add // 0")" = '$(((i + 1) * 200))' ]' || fail "part $i is cut"
done
store=$STATE/store
file_of() { ctl --json job show "$1" | jq -r .file; } # JOB: the batch file, absolute
jobs_of() { ctl --json job list --table "$SOURCE.$1" | jq -r 'sort_by(.id | tonumber) | .[].id'; }
mapfile -t keyed < <(jobs_of keyed)
mapfile -t plain < <(jobs_of plain)
is "four jobs of each table" "4 4" "${#keyed[@]} ${#plain[@]}"
path() { local f; f=$(file_of "$1"); case $f in /*) echo "$f" ;; *) echo "$store/$f" ;; esac; }
flip() { # FILE: one bit in its middle
	python3 -c 'import sys; f = open(sys.argv[1], "r+b"); b = f.read(); i = len(b) // 2; f.seek(i); f.write(bytes([b[i] ^ 16]))' "$1"
}
mkdir "$T/good"
for j in "${keyed[@]}" "${plain[@]}"; do cp -p "$(path "$j")" "$T/good/$j" || fail "the file of job $j"; done
flip "$(path "${keyed[0]}")"
cp "$T/good/${plain[1]}" "$(path "${keyed[1]}")"
flip "$(path "${plain[0]}")"
head -c 2000 "$T/good/${plain[1]}" >"$(path "${plain[1]}")"
rm "$(path "${plain[2]}")"

ok "the destination is resumed" ctl resume destination local
wait_for 60 '[ "$(ctl --json status | jq "[.tables[].spooled] | add")" = 0 ]' || fail "nothing waits any more" "$(ctl job list)"
state_of() { ctl --json job show "$1" | jq -r '.state'; }
is "keyed: flipped bit, other table's file, good, good" "corrupt corrupt done done" "$(for j in "${keyed[@]}"; do state_of "$j"; done | paste -sd' ')"
is "plain: flipped bit, cut short, gone, good" "corrupt corrupt corrupt done" "$(for j in "${plain[@]}"; do state_of "$j"; done | paste -sd' ')"
like "the error says what is wrong" "sha256|damaged|table" "$(ctl --json job show "${keyed[0]}" | jq -r .error.text)"
is "nothing of the bad files has been loaded" "200 201|100 301" "$(sqlite "$T/local.db" "SELECT count(*) || ' ' || min(id) FROM ${SOURCE}__keyed UNION ALL SELECT count(*) || ' ' || min(id) FROM ${SOURCE}__plain" | paste -sd'|')"
is "the ledger is zero-sum" "" "$(unbalanced)"
# a later batch
flights_batch keyed "$T/part.04" >"$T/code"
wait_for 30 '[ "$(sqlite "$T/local.db" "SELECT count(*) FROM ${SOURCE}__keyed")" = 300 ]' && pass "the table goes on" || fail "the table goes on"

# replayed while it is still bad: corrupt again
ctl job replay "${keyed[0]}" >/dev/null
wait_for 30 '[ "$(ctl --json job list --state corrupt | jq length)" -ge 5 ] && [ "$(ctl --json status | jq "[.tables[].spooled] | add")" = 0 ]'
is "a replay of a bad file loads nothing" 300 "$(sqlite "$T/local.db" "SELECT count(*) FROM ${SOURCE}__keyed")"
for j in "${keyed[@]:0:2}" "${plain[@]:0:3}"; do
	cp "$T/good/$j" "$(path "$j")"
	ok "job $j is replayed" ctl job replay "$j"
done
wait_for 60 '[ "$(ctl --json status | jq "[.tables[].spooled] | add")" = 0 ]' || fail "nothing waits any more" "$(ctl job list)"
is "keyed has all" "500 500" "$(sqlite "$T/local.db" "SELECT count(*) || ' ' || count(DISTINCT id) FROM ${SOURCE}__keyed")"
is "keyed is the source" "$WANT" "$(digest_of "$T/local.db" keyed)"
is "plain has all" "400 400" "$(sqlite "$T/local.db" "SELECT count(*) || ' ' || count(DISTINCT id) FROM ${SOURCE}__plain")"
is "the ledger is zero-sum" "" "$(unbalanced)"
is "nothing counts as rejected any more" 0 "$(sum_of rejected)"
stop_stitchd
is "it ends well" 0 $?
done_testing
