#!/bin/bash
# JSON schemas at the real door: real taps' schemas, the documented texts, exact numbers, schemas that mean harm; and /validate, which stores nothing.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl
start_stitchd || bail "no daemon"
token=$(new_token shop)
client=$(ctl --json source show shop | jq -r .client_id)
B=/v2/import/batch V=/v2/import/validate

# SCHEMA DATA...: a batch of these records, without a key
batch() {
	local schema=$1 d n=0
	shift
	printf '{"table_name":"t","schema":%s,"messages":[' "$schema"
	for d; do printf '%s{"action":"upsert","sequence":%d,"data":%s}' "$([ $n = 0 ] || echo ,)" $((++n)) "$d"; done
	printf ']}'
}
taken() { # NAME SCHEMA DATA...
	local name=$1
	shift
	is "$name: taken" 201 "$(batch "$@" | post $B "$token")" || diag "$(cat "$T/body")"
}
refused() { # NAME TEXT SCHEMA DATA...
	local name=$1 text=$2
	shift 2
	is "$name: code" 400 "$(batch "$@" | post $B "$token")"
	is "$name: text" "$text" "$(jq -r .error "$T/body")"
}
props() { printf '{"type":"object","properties":{%s}}' "$1"; }

# --- the documented texts ---
refused "a type" "Record 1 did not conform to schema: #/id: expected type: Integer, found: String" "$(props '"id":{"type":"integer"}')" '{"id":1}' '{"id":"1"}'
refused "a required key" "Record 0 did not conform to schema: #: required key [name] not found" '{"required":["name"]}' '{"id":1}'
refused "two violations" "Record 0 did not conform to schema: #: 2 schema violations found #/a: 3 is not greater or equal to 5 #/b: expected maxLength: 3, actual: 5" \
	"$(props '"a":{"minimum":5},"b":{"maxLength":3}')" '{"a":3,"b":"abcde"}'
refused "null where none may be" "Record 0 did not conform to schema: #/a: expected type: String, found: Null" "$(props '"a":{"type":"string"}')" '{"a":null}'
refused "a key that is not permitted" "Record 0 did not conform to schema: #: extraneous key [b] is not permitted" \
	'{"properties":{"a":{}},"additionalProperties":false}' '{"a":1,"b":1}'
refused "an unknown type" "Invalid JSON schema: unknown type: [txt]" "$(props '"a":{"type":"txt"}')" '{}'
refused "of duplicate keys the last one counts" "Record 0 did not conform to schema: #/a: expected type: String, found: Integer" \
	"$(props '"a":{"type":"string"}')" '{"a":"x","a":1}'
taken "of duplicate keys the last one counts" "$(props '"a":{"type":"string"}')" '{"a":1,"a":"x"}'
taken "a field that is not in the schema" "$(props '"a":{"type":"string"}')" '{"a":"x","b":[1]}'
is "the schema after the messages: code" 400 "$(post $B "$token" \
	<<<'{"table_name":"t","messages":[{"action":"upsert","sequence":1,"data":{"a":"x"}},{"action":"upsert","sequence":2,"data":{"a":1}}],"schema":{"properties":{"a":{"type":"string"}}}}')"
is "the schema after the messages: text" "Record 1 did not conform to schema: #/a: expected type: String, found: Integer" "$(jq -r .error "$T/body")"

# --- numbers are decimals ---
price='"p":{"type":["null","number"],"multipleOf":0.01},"e":{"type":"number","multipleOf":1e-10},"i":{"type":"integer"}'
taken "numbers that a double would spoil" "$(props "$price")" '{"p":4999.99,"e":0.1234567891,"i":1.0}' '{"p":null,"e":1e-10,"i":123456789012345678901234567890}'
refused "multipleOf in decimals" "Record 0 did not conform to schema: #/e: 0.12345678912 is not a multiple of 1e-10" "$(props "$price")" '{"e":0.12345678912}'

# --- real taps ---
# pipelinewise-tap-postgres: a table with an array column
pw=$(cat <<'END'
{"type":"object","properties":{"id":{"type":["integer"],"minimum":-2147483648,"maximum":2147483647},"name":{"type":["null","string"],"maxLength":5},
"tags":{"type":["null","array"],"items":{"$ref":"#/definitions/sdc_recursive_string_array"}},"created":{"type":["null","string"],"format":"date-time"},
"cost":{"type":["null","number"],"exclusiveMaximum":true,"maximum":10000000000,"multipleOf":0.01,"exclusiveMinimum":true,"minimum":-10000000000}},
"definitions":{"sdc_recursive_integer_array":{"type":["null","integer","array"],"items":{"$ref":"#/definitions/sdc_recursive_integer_array"}},
"sdc_recursive_string_array":{"type":["null","string","array"],"items":{"$ref":"#/definitions/sdc_recursive_string_array"}}}}
END
)
taken "pipelinewise-tap-postgres" "$pw" '{"id":1,"name":"caf\u00e9s","tags":["a",["b",[null]]],"created":"2024-01-02T03:04:05+00:00","cost":9999999999.99}' '{"id":2,"tags":null,"cost":null}'
is "pipelinewise-tap-postgres, a number among the tags: code" 400 "$(batch "$pw" '{"id":1,"tags":["a",["b",[7]]]}' | post $B "$token")"
like "pipelinewise-tap-postgres, a number among the tags: text" '^Record 0 did not conform to schema: #/tags: .* #/tags/1/1/0: expected type: String, found: Integer' \
	"$(jq -r .error "$T/body")"
refused "pipelinewise-tap-postgres, a bound that is excluded" "Record 0 did not conform to schema: #/cost: #: no subschema matched out of the total 2 subschemas \
#/cost: expected type: Null, found: Integer #/cost: 10000000000 is not less than 10000000000" "$pw" '{"id":1,"cost":10000000000}'
# a tap of the SDK: draft 2020-12, anyOf, nested objects
sdk=$(cat <<'END'
{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","required":["id"],"properties":{"id":{"type":["integer"],"description":"The id"},
"updated_at":{"anyOf":[{"type":"string","format":"date-time"},{"type":"null"}]},"owner":{"$ref":"#/$defs/person"},
"labels":{"type":["array","null"],"items":{"type":["object","null"],"properties":{"name":{"type":["string","null"]}},"additionalProperties":false}},
"state":{"type":["string","null"],"enum":["open","closed",null]}},"$defs":{"person":{"type":["object","null"],"properties":{"login":{"type":"string","minLength":1}}}}}
END
)
taken "an SDK tap" "$sdk" '{"id":1,"updated_at":null,"owner":{"login":"x"},"labels":[{"name":"a"},null],"state":"open"}' '{"id":2,"state":null,"owner":null}'
refused "an SDK tap, through a reference" "Record 0 did not conform to schema: #/owner: #: no subschema matched out of the total 2 subschemas #/owner/login: \
expected minLength: 1, actual: 0 #/owner: expected type: Null, found: JSONObject" "$sdk" '{"id":1,"owner":{"login":""}}'
refused "an SDK tap, an enum" "Record 0 did not conform to schema: #/state: gone is not a valid enum value" "$sdk" '{"id":1,"state":"gone"}'
# what Singer puts into schemas and no draft knows
taken "Singer's own keywords" '{"type":"object","properties":{"id":{"type":["null","string"],"inclusion":"automatic","selected":true}},"selected":true,"metadata":[]}' '{"id":null}'

# --- schemas that mean harm ---
bomb='{"$ref":"#/definitions/x0","definitions":{'
for i in {0..39}; do bomb+="\"x$i\":{\"allOf\":[{\"\$ref\":\"#/definitions/x$((i + 1))\"},{\"\$ref\":\"#/definitions/x$((i + 1))\"}]},"; done
bomb+='"x40":{"type":"object"}}}'
refused "2^40 branches" "Record 0 did not conform to schema: #: the schema takes too much work on this record" "$bomb" '{"a":1}'
refused "a reference to itself" "Record 0 did not conform to schema: #: nested too deeply, or a schema that refers to itself" '{"$ref":"#"}' '{"a":1}'
refused "more than 37 digits" "Invalid JSON schema: multipleOf: more than 37 digits" "$(props '"a":{"multipleOf":12345678901234567890123456789012345678}')" '{}'
refused "an expression for backtracking" "Record 0 did not conform to schema: #/a: string [$(printf 'a%.0s' {1..100})b] does not match pattern ^(a+)+\$" \
	"$(props '"a":{"pattern":"^(a+)+$"}')" "{\"a\":\"$(printf 'a%.0s' {1..100})b\"}"
taken "an expression that is not understood" "$(props '"a":{"pattern":"^(?=x)"}')" '{"a":"y"}'
is "it is counted" 1 "$(metric stitch_import_patterns_ignored_total)"

# --- validate ---
accepted=$(sum_of accepted)
push() { printf '[{"client_id":%s,"table_name":"v","sequence":1,"action":"upsert","key_names":["id"],"data":{"id":1}%s}]' "$client" "${1:-}"; }
typed() { curl -s -o "$T/body" -w '%{http_code}' -H "Authorization: Bearer $token" -H "Content-Type: $1" --data-binary @- "$url$V"; } # TYPE < BODY
is "validate" 200 "$(push | post $V "$token")"
is "validate: body" '{"status":"OK","message":"Batch is valid!"}' "$(cat "$T/body")"
like "validate: JSON" 'Content-Type: application/json' "$(cat "$T/headers")"
is "validate, with a key for once" 200 "$(push | post $V "$token" -H 'Idempotency-Key: k1')"
is "validate, packed" 200 "$(push | gzip | post $V "$token" -H 'Content-Encoding: gzip')"
is "validate, Transit" 200 "$(printf '[["^ ","action","upsert","table_name","v","key_names",["id"],"sequence",2,"client_id",%s,"data",["^ ","id",2]]]' "$client" |
	typed application/transit+json)"
is "validate, no keys: code" 422 "$(push ',"key_names":[]' | post $V "$token")"
is "validate, no keys: body" \
	"{\"status\":\"ERROR\",\"error\":\"Request cannot be processed; see errors.\",\"errors\":[{\"reason\":{\"key_names\":[\"can't be blank\"]}}]}" "$(cat "$T/body")"
is "validate, a batch: code" 400 "$(batch '{}' '{"id":1}' | post $V "$token")"
is "validate, a batch: body" '{"status":"ERROR","message":"An array of records is expected"}' "$(cat "$T/body")"
is "validate, malformed" 400 "$(post $V "$token" <<<'[{')"
is "validate, another client" 403 "$(post $V "$token" <<<'[{"client_id":999999}]')"
is "validate, a wrong token" 401 "$(push | post $V at_0000000000000000000000000000000000000000)"
is "validate, text" 415 "$(push | typed text/plain)"
is "validate, another method" 405 "$(curl -s -o "$T/body" -w '%{http_code}' "$url$V")"
is "nothing of it is stored" "$accepted" "$(sum_of accepted)"
is "no table is made" 0 "$(ctl --json status | jq '[.tables[] | select(.table == "v")] | length')"
is "a push with that key is the first" 201 "$(push | post /v2/import/push "$token" -H 'Idempotency-Key: k1')"

stop_stitchd
is "the daemon ends well" 0 $?
done_testing
