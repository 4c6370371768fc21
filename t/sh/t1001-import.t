#!/bin/bash
# The Import API through the real daemon, with curl: each documented code and body, and that nothing is stored of what was refused.
# flavours: plain asan tsan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl
start_stitchd || bail "no daemon"
token=$(new_token shop)
client=$(ctl --json source show shop | jq -r .client_id)

body() { cat "$T/body"; }
# NAME CODE BODY PATH DOCUMENT [CURL ARG...]: a POST, its code and its body; and the body is a JSON object that says it is one
refused() {
	local name=$1 code=$2 want=$3 path=$4 doc=$5
	shift 5
	is "$name: code" "$code" "$(post "$path" "$token" "$@" <<<"$doc")"
	is "$name: body" "$want" "$(body)"
	like "$name: JSON" 'Content-Type: application/json' "$(cat "$T/headers")"
}
up='{"action":"upsert","sequence":1,"data":{"id":1}}'
batch() { printf '{"table_name":"refused","schema":%s,"key_names":["id"],"messages":[%s]}' "${2:-{\}}" "$1"; }
message() { printf '[{"client_id":%s,"table_name":"refused","sequence":1,"action":"upsert","key_names":["id"],"data":{"id":1}%s}]' "$client" "${1:-}"; }
B=/v2/import/batch P=/v2/import/push

is "status" "$(printf '{"name":"pipeline.gate","status":"OK","reason":null}')" "$(curl -s "$url/v2/import/status" | jq -c '{name,status,reason}')"
is "healthz" 200 "$(curl -s -o /dev/null -w '%{http_code}' "$url/healthz")"
like "metrics" 'stitch_import_requests_total [0-9]' "$(curl -s "$url/metrics")"

# --- who ---
ours=$token
token=at_0000000000000000000000000000000000000000
refused "a wrong token" 401 '{"message":"Not Authorized"}' $B "$(batch "$up")"
is "no token" 401 "$(curl -s -o "$T/body" -w '%{http_code}' -H 'Content-Type: application/json' -d '{}' "$url$B")"
is "no token: body" '{"message":"Not Authorized"}' "$(body)"
token=$ours

# --- the form of a batch ---
refused "missing argument" 400 '{"error":"Request failed validation:#: required key [messages] not found"}' $B '{"table_name":"refused","schema":{}}'
refused "unknown argument" 400 '{"error":"Request failed validation:#: extraneous key [foo] is not permitted"}' $B \
	"{\"table_name\":\"refused\",\"schema\":{},\"foo\":1,\"messages\":[$up]}"
refused "wrong type" 400 '{"error":"Request failed validation:#/table_name: expected type: String, found: Integer"}' $B "{\"table_name\":1,\"schema\":{},\"messages\":[$up]}"
refused "schema an array" 400 '{"error":"Request failed validation:#/schema: expected type: JSONObject, found: JSONArray"}' $B "$(batch "$up" '[]')"
refused "sequence too big" 400 '{"error":"Request failed validation:#: sequence can not be above 9223372036854775807"}' $B "$(batch "${up/1,/9223372036854775808,}")"
refused "key missing" 400 '{"error":"Record is missing key property id"}' $B "$(batch "$up,${up/\"id\":1/\"x\":1}")"
refused "key null" 400 '{"error":"Record is missing key property id"}' $B "$(batch "${up/\"id\":1/\"id\":null}")"
refused "required field" 400 '{"error":"Record 0 did not conform to schema: #: required key [name] not found"}' $B "$(batch "$up" '{"required":["name"]}')"
refused "unknown type" 400 '{"error":"Invalid JSON schema: unknown type: [txt]"}' $B "$(batch "$up" '{"properties":{"id":{"type":"txt"}}}')"
is "a bad message" 400 "$(post $B "$token" <<<"$(batch "$up,{}")")"
like "a bad message: body" '^\{"error":"Request failed validation:#/messages/1: #: 0 subschemas matched instead of one #/messages/1: ' "$(body)"

# --- bytes ---
for what in 'bad JSON:{"table_name":' 'NaN:{"table_name":NaN}' "invalid UTF-8:{\"table_name\":\"$(printf '\377')\"}" 'lone surrogate:{"table_name":"\ud800"}'; do
	is "${what%%:*}" 400 "$(post $B "$token" <<<"${what#*:}")"
	like "${what%%:*}: body" '^\{"status":"ERROR","message":"Malformed json in the body!","error":".+","input":null\}$' "$(body)"
done
deep=$(printf '[%.0s' {1..5000})
is "huge nesting" 400 "$(post $B "$token" <<<"$(batch "{\"action\":\"upsert\",\"sequence\":1,\"data\":{\"id\":$deep${deep//[/]}}}")")"
like "huge nesting: body" 'nested too deeply' "$(body)"
make_batch refused 1 20001 >"$T/20001"
is "20001 records" 400 "$(post $B "$token" <"$T/20001")"
like "20001 records: body" 'expected maximum item count: 20000, found: 20001' "$(body)"
make_batch refused 1 2300 9200 >"$T/big"
size=$(wc -c <"$T/big")
[ "$size" -gt 20971520 ] || bail "the large body has only $size bytes"
is "more than 20 MiB" 413 "$(post $B "$token" <"$T/big")"
is "more than 20 MiB: body" "{\"status\":\"ERROR\",\"message\":\"Request rejected: request size ($size bytes) exceeds the maximum\"}" "$(body)"
is "more than 20 MiB, not announced" 413 "$(post $B "$token" -H 'Expect:' -H 'Transfer-Encoding: chunked' <"$T/big")"
is "more than 20 MiB, all sent first" 413 "$(post $B "$token" -H 'Expect:' <"$T/big")"
refused "a table called ../x" 400 '{"error":"Request failed validation:#/table_name: the path element [..] is not permitted"}' $B "$(batch "$up" | sed 's|refused|../x|')"

# --- types, paths, methods ---
typed() { curl -s -o "$T/body" -w '%{http_code}' -H "Authorization: Bearer $token" -H "Content-Type: $3" --data-binary "$2" "$url$1"; } # PATH BODY TYPE
is "batch, not JSON" 415 "$(typed $B "$(batch "$up")" text/plain)"
is "batch, not JSON: body" '{"status":"ERROR","message":"Content-Type must be application/json"}' "$(body)"
is "push, Transit of another kind" 415 "$(typed $P '[]' application/transit+msgpack)"
is "push, Transit of another kind: body" \
	'{"status":"ERROR","message":"Unsupported content-type application/transit+msgpack. Please send application/json or application/transit+json"}' "$(body)"
is "batch, Transit" 415 "$(typed $B "$(batch "$up")" application/transit+json)"
is "push, Transit, malformed" 400 "$(typed $P '[["^ ","action"]]' 'application/transit+json; charset=utf-8')"
is "push, Transit, malformed: body" \
	'{"status":"ERROR","message":"Malformed json in the body!","error":"a map'"'"'s last key has no value at byte 15","input":null}' "$(body)"
is "push, Transit, no array" 400 "$(typed $P '["^ "]' Application/Transit+JSON)"
is "push, Transit, no array: body" '{"status":"ERROR","message":"An array of records is expected"}' "$(body)"
bomb=$(printf '["~:%s"' "$(head -c 90000 /dev/zero | tr '\0' x)"; printf ',"^0"%.0s' {1..1000}; printf ']')
is "push, Transit that becomes too large" 413 "$(typed $P "$bomb" application/transit+json)"
like "push, Transit that becomes too large: body" 'once the Transit is decoded' "$(body)"
refused "no such path" 404 '{"status":"ERROR","message":"Not found."}' /v2/import/nothing '{}'
refused "method" 405 '{"status":"ERROR","message":"Method not allowed."}' $P '[]' -X PUT

# --- push ---
refused "push, no array" 400 '{"status":"ERROR","message":"An array of records is expected"}' $P '{}'
refused "push, no client_id" 401 '{"status":"ERROR","error":"Not Authenticated.","errors":null}' $P '[{"table_name":"refused"}]'
refused "push, another client" 403 '{"status":"ERROR","error":"Forbidden","errors":{"error":"Access token is not associated with this client."}}' $P '[{"client_id":999999}]'
fields='{"status":"ERROR","error":"Request cannot be processed; see errors.","errors":[{"reason":%s}]}'
# shellcheck disable=SC2059
reason() { printf "$fields" "$1"; }
refused "push, several clients" 422 "$(reason "\"The batch contains data points for multiple clients. Only client_id $client is allowed\"")" $P \
	"$(message | sed 's/]$//'),{\"client_id\":999999}]"
refused "push, no table" 422 "$(reason "{\"table_name\":[\"can't be blank\"]}")" $P "$(message ',"table_name":""')"
refused "push, a table called ../x" 422 "$(reason "{\"table_name\":[\"can't hold the path element ..\"]}")" $P "$(message ',"table_name":"../x"')"
refused "push, sequence text" 422 "$(reason '{"sequence":["should be a number"]}')" $P "$(message ',"sequence":"1"')"
refused "push, sequence fraction" 422 "$(reason '{"sequence":["should be an integer"]}')" $P "$(message ',"sequence":1.5')"
refused "push, no keys" 422 "$(reason "{\"key_names\":[\"can't be blank\"]}")" $P "$(message ',"key_names":[]')"
refused "push, key missing" 422 "$(reason '{"data":["data must include keys"]}')" $P "$(message ',"data":{"x":1}')"
refused "push, key null" 422 "$(reason '{"data":["keys cannot not be null in data"]}')" $P "$(message ',"data":{"id":null}')"

is "nothing is stored of all this" 0 "$(ctl --json status | jq '[.tables[] | select(.table == "refused")] | length')"
is "no record was accepted" 0 "$(metric stitch_import_records_total)"

# --- what is taken ---
is "a batch" 201 "$(post $B "$token" <<<"$(batch "$up" | sed s/refused/good/)")"
like "a batch: body" '^\{"status":"OK","message":"Batch Accepted!","receipt":"[0-9a-f]{32}-0-[0-9]+-1"\}$' "$(body)"
receipt=$(jq -r .receipt "$T/body")
ok "where finds it by its receipt" ctl where "$receipt"
is "a push" 201 "$(post $P "$token" <<<"$(message | sed s/refused/pushed/)")"
is "a batch packed by gzip" 201 "$(batch "$up" | sed s/refused/good/ | gzip | post $B "$token" -H 'Content-Encoding: gzip')"
transit=$(printf '[["^ ","action","upsert","table_name","pushed","key_names",["id"],"sequence",2,"client_id",%s,"namespace","n","table_version",0,"data",["^ ","id",2]]]' "$client")
is "a push in Transit" 201 "$(typed $P "$transit" application/transit+json)"
is "in part" 201 "$(post "$B?partial=true" "$token" <<<"$(batch "$up,{},$up" | sed s/refused/good/)")"
is "in part: body" '2 [1]' "$(jq -c '"\(.accepted) \(.rejected | map(.record))"' -r "$T/body")"
for i in 1 2; do
	is "in part with a key, $i" 201 "$(post "$B?partial=true" "$token" -H 'Idempotency-Key: part' <<<"$(batch "$up,{},$up" | sed s/refused/good/)")"
	is "its list, $i" '2 [1]' "$(jq -c '"\(.accepted) \(.rejected | map(.record))"' -r "$T/body")"
done
is "in part, all are bad" 400 "$(post "$B?partial=true" "$token" <<<"$(batch "{}")")"
is "20000 records" 201 "$(make_batch many 1 20000 | post $B "$token")"
make_batch large 1 2270 9000 >"$T/large"
[ "$(wc -c <"$T/large")" -gt 20000000 ] || bail "the body has only $(wc -c <"$T/large") bytes"
is "more than 20,000,000 bytes" 201 "$(post $B "$token" <"$T/large")"
wait_for 20 '[ "$(sum_of accepted)" = 22278 ]'
is "all are accounted for" 22278 "$(sum_of accepted)"
is "nothing is outside of the state folder" "" "$(find "$T" -name x -not -path "$STATE/*")"

# --- a paused source, and one that is gone ---
ok "paused" ctl pause source shop --reason test
inactive='{"error":"Forbidden","errors":{"error":"Connection is not active."}}'
refused "paused" 401 "$inactive" $B "$(batch "$up")"
ok "resumed" ctl resume source shop
is "resumed: taken" 201 "$(post $B "$token" <<<"$(batch "$up" | sed s/refused/good/)")"
ok "deleted" ctl source delete shop
is "a token of a deleted source" 401 "$(post $B "$token" <<<"$(batch "$up")")"

stop_stitchd
is "the daemon ends well" 0 $?

# --- how long to wait: 2 s, until the queue's speed was measured ---
start_stitchd --connections-max 1
turned_away() { said=$(curl -s -o /dev/null -D - --max-time 10 "$url/healthz" | tr -d '\r') && [[ $said == *" 503 "* ]]; }
one_there() { turned_away || { exec 8<>"/dev/tcp/127.0.0.1/$port"; turned_away; }; }
wait_for 30 'one_there && [[ $said == *"Retry-After: 1"$'"'\n'"'* ]]'
like "one connection too many may come again in a second, as nothing waits" $'^HTTP/1.1 503 .*\n.*Retry-After: 1\n' "$said"
exec 8>&-
stop_stitchd
is "and ends well again" 0 $?
done_testing
