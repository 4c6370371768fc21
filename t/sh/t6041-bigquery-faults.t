#!/bin/bash
# What can go wrong between the BigQuery loader and BigQuery, tried on the stand-in: answers lost, quotas, dropped uploads, refused lines, somebody else's commit, a server
# that hangs; and the whole chain once. Each ends with every row once.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/loader-contract.sh"
need jq
need_built stitch-load-bigquery t/lib/loader-driver
start_bigquery

PROGRAM=$BUILD/stitch-load-bigquery
SETTINGS=$BQ_SETTINGS
q() { bq_q "$1"; }
tab() { echo "\`stitch-test.shop.$1\`"; }
api=/bigquery/v2/projects/stitch-test
# NAME: a table without a key, where a second copy would be seen, with three records
log() {
	cat <<END
table $1
batch $1
entry 1
rec 1 {"n":1}
rec 2 {"n":2}
rec 3 {"n":3}
end
END
}
once() { # NAME TABLE: three rows, each once, and one row in the ledger
	is "$1" '3|3|1' "$(q "SELECT COUNT(*), COUNT(DISTINCT __sdc_primary_key), (SELECT COUNT(*) FROM $(tab _stitch_ledger) WHERE table_name = '$2' AND NOT discarded) FROM $(tab "$2")")"
}
loads() { # TABLE
	drive <<END
$(log "$1")
load $1
END
}
loads warm

# --- errors that pass ---
bq_double fault '{"status":503,"count":2}' >/dev/null
loads unavailable
is "503 twice: sent again by itself" '[[3,0,false]]' "$(counts)"
once "once" unavailable
bq_double fault "{\"status\":403,\"reason\":\"rateLimitExceeded\",\"path\":\"$api/jobs\"}" >/dev/null
loads ratelimit
is "a rate limit: waited for" '[[3,0,false]]' "$(counts)"
bq_double fault "{\"status\":429,\"path\":\"/upload\",\"headers\":{\"Retry-After\":\"1\"}}" >/dev/null
loads toomany
is "429 with Retry-After at the upload" '[[3,0,false]]' "$(counts)"
bq_double expire '{}' >/dev/null
loads expired
is "a token that Google has forgotten is renewed" '[[3,0,false]]' "$(counts)"

# --- errors that do not ---
bq_double fault "{\"status\":403,\"count\":50,\"reason\":\"quotaExceeded\",\"path\":\"$api/jobs\"}" >/dev/null
loads quota
is "a quota that is used up: tried later" transient "$(class)"
is "and not before some minutes have passed" 600 "$(last '.data.retry_after')"
like "says when it comes back and where more is to be had" 'a quota of project stitch-test is used up; it comes back by itself.*quotas' "$(last .message)"
for _ in $(seq 60); do curl -s -o /dev/null "$BQ_URL$api/jobs"; done # the rest of the fault
loads quota
once "and loaded when it is back" quota
bq_double deny '{"what":"GET /bigquery/v2/projects/stitch-test/jobs "}' >/dev/null
loads nolist
is "who may not list jobs loads all the same" '[[3,0,false]]' "$(counts)"
bq_double deny '{"what":"merge_"}' >/dev/null
loads denied
is "a right that was taken away is a person's matter" config "$(class)"
bq_double deny '{}' >/dev/null
loads denied
once "until it is back" denied

# --- answers that are lost ---
bq_double lose '{"what":"POST /upload"}' >/dev/null
loads start
once "the answer to the upload's beginning is lost" start
bq_double lose '{"what":"PUT /upload"}' >/dev/null
loads chunk
once "the answer to the upload's end is lost" chunk
bq_double lose '{"what":"_merge_"}' >/dev/null
loads merge
is "the answer to the commit is lost: the job is asked for" '[[3,0,false]]' "$(counts)"
once "and nothing is loaded twice" merge
bq_double lose '{"what":"_merge_","count":50}' >/dev/null
loads gone
is "all answers to the commit are lost" transient "$(class)"
bq_double lose '{}' >/dev/null
loads gone
is "the next attempt finds it in the ledger" '[[3,0,true]]' "$(counts)"
once "once" gone

# --- uploads of several pieces ---
pad() { head -c 900000 /dev/urandom | base64 -w0; }
{
	printf 'table big id\nbatch b1\nentry 1\n'
	for k in $(seq 12); do printf 'rec %d {"id":%d,"pad":"%s"}\n' "$k" "$k" "$(pad)"; done
	printf 'end\n'
} >"$T/big"
sums() { sed -n 's/^rec [0-9]* {"id":\([0-9]*\),"pad":"\(.*\)"}$/\1 \2/p' "$T/big" | while read -r id pad; do echo "$id|$(printf %s "$pad" | sha256sum | cut -d' ' -f1)"; done; }
there() { q "SELECT id, TO_HEX(SHA256(pad)) FROM $(tab big) ORDER BY id"; }
bq_double partial '{"what":"PUT /upload","bytes":1048576}' >/dev/null
drive <<END
$(cat "$T/big")
load b1
END
is "an upload of more than 8 MiB whose connection fails in the middle of a piece" '[[12,0,false]]' "$(counts)"
is "goes on where it was: every byte is right" "$(sums)" "$(there)"

# --- lines that BigQuery refuses ---
bq_double refuse '{"field":"s","value":"bad"}' >/dev/null
drive <<'END'
table picky id
batch p1
entry 1
rec 1 {"id":1,"s":"good"}
rec 2 {"id":2,"s":"bad"}
rec 3 {"id":3,"s":"fine"}
rec 4 {"id":4,"s":"bad"}
end
load p1
END
is "two lines that only BigQuery refuses" '[[2,2,false]]' "$(counts)"
is "are found, the others load" '1 3' "$(q "SELECT id FROM $(tab picky) ORDER BY id" | paste -sd' ')"
is "records" '1 3' "$(sed -n 's/^reject //p' <<<"$out" | jq -r .record | paste -sd' ')"
like "reason" 'Field: s; Value: bad' "$(reasons)"
is "_sdc_rejected has them" 2 "$(q "SELECT COUNT(*) FROM $(tab _sdc_rejected) WHERE table_name = 'picky'")"
bq_double refuse '{}' >/dev/null

# --- somebody else's commit ---
bq_double before "$(jq -nc --arg sql "INSERT INTO $(tab _stitch_table) (table_name, active_version) VALUES ('race', 7)" '{what: "_merge_", sql: $sql}')" >/dev/null
loads race
is "a version activated between reading and committing: nothing is done" transient "$(class)"
like "says so" 'committed at the same time' "$(last .message)"
is "no row, no ledger" '0|0' "$(q "SELECT COUNT(*), (SELECT COUNT(*) FROM $(tab _stitch_ledger) WHERE table_name = 'race') FROM $(tab race)")"
q "DELETE FROM $(tab _stitch_table) WHERE table_name = 'race'" >/dev/null
loads race
once "the next attempt, under the next number" race
loads twins >/dev/null &
a=$!
loads twins
wait $a
loads twins
once "two loaders at the same batch" twins

# --- slow, hanging, killed ---
bq_double slow '{"polls":3}' >/dev/null
loads slow
once "jobs that take their time are polled" slow
bq_double slow '{"polls":0}' >/dev/null
kill -STOP $bq_pid
loads hang >"$T/hang" &
a=$!
wait_for 20 'grep -q progress "$T/driver.log"'
pass "while the server hangs the loader says that it lives"
kill -CONT $bq_pid
wait $a
loads hang
once "and goes on when it answers" hang
is "staging tables are gone" '' "$(bq_q 'GET /datasets/shop/tables?maxResults=500' | jq -r '.tables[].tableReference.tableId' | grep __stg_ | grep -v -E 'gone|quota|denied|race')"

# --- the whole chain, and what a load costs ---
start_stitchd
token=$(new_token web)
ok "the destination is made and checked" ctl destination create --kind bigquery --name bq --set "url=$BQ_URL" --set project=stitch-test --set "credentials=@$BQ_KEY"
ok "and connected" ctl connect web bq
bq_double stats '{}' >/dev/null
body='{"table_name":"orders","schema":{"properties":{"id":{"type":"integer"},"at":{"type":"string","format":"date-time"}}},"key_names":["id"],"messages":[
{"action":"upsert","sequence":1,"data":{"id":1,"at":"2024-02-29T12:00:00Z","addr":{"City":"Wien","zip":1010},"items":[{"sku":"a","n":1.5},{"sku":"b"}],"tags":["x","y"],"empty":{}}},
{"action":"upsert","sequence":2,"data":{"id":2,"addr":{"City":"Graz"},"items":[]}},
{"action":"upsert","sequence":3,"data":{"id":3,"tags":["x",null]}}]}'
is "pushed" 201 "$(post /v2/import/batch "$token" <<<"$body")"
wait_for 60 '[ "$(sum_of loaded)" = 2 ] && [ "$(sum_of rejected)" = 1 ]'
is "two loaded, one rejected" '2 1' "$(sum_of loaded) $(sum_of rejected)"
is "the sums are right" '' "$(unbalanced)"
is "rows in the dataset of the source's name" '1|2024-02-29 12:00:00.000000|{"city":"Wien","zip":1010}|[{"sku":"a","n":1.5},{"sku":"b","n":null}]|["x","y"]
2||{"city":"Graz","zip":null}|[]|[]' "$(q "SELECT id, \`at\`, addr, items, tags FROM \`stitch-test.web.orders\` ORDER BY id")"
diag "requests and bytes of the first load into a new dataset: $(bq_double stats | jq -c '[.requests, .bytes]')"
bq_double stats '{}' >/dev/null
make_batch more 1 1000 | post /v2/import/batch "$token" >/dev/null
wait_for 60 '[ "$(sum_of loaded)" = 1002 ]'
diag "of the first load of a table, 1000 records: $(bq_double stats | jq -c '[.requests, .bytes]')"
bq_double stats '{}' >/dev/null
make_batch more 501 1500 | post /v2/import/batch "$token" >/dev/null
wait_for 60 '[ "$(sum_of loaded)" = 2002 ]'
diag "of a later load: $(bq_double stats | jq -c '[.requests, .bytes]'): $(bq_double stats | jq -r '.paths | map(sub("/bigquery/v2/projects/stitch-test"; "") | sub("__stg_.*"; "__stg_")) | join(", ")')"
is "upserts" '1500|1500' "$(q "SELECT COUNT(*), COUNT(DISTINCT id) FROM \`stitch-test.web.more\`")"
unlike "no secret in the logs" 'PRIVATE KEY|ya29' "$(cat "$LOG" "$T/driver.log")"
stop_stitchd
done_testing
