#!/bin/bash
# Nested values through the whole chain: what the door lists of objects and arrays becomes columns and subtables of SQLite, also their times by a JSON schema; stale child
# rows go; what is nested deeper than the door lists, or has more fields, is rejected by itself.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl sqlite3
start_stitchd || bail "no daemon"
sqlite_chain shop >"$T/token" || bail "no chain"
token=$(cat "$T/token")
batch() { # MESSAGES [SCHEMA]
	jq -nc --argjson m "$1" --argjson s "${2:-null}" '{table_name: "orders", key_names: ["id"], schema: ($s // {}), messages: [$m | to_entries[] | {action: "upsert", sequence: (.key + now * 1000 | floor), data: .value}]}' |
		post '/v2/import/batch' "$token"
}
loaded() { [ "$(ctl --json flush --wait 60 | jq .done)" = true ]; }
q() { sqlite "$T/local.db" "$1"; }

schema='{"properties":{"id":{"type":"integer"},"items":{"type":"array","items":{"type":"object","properties":{"at":{"type":"string","format":"date-time"}}}}}}'
is "a batch with a schema" 201 "$(batch '[{"id":1,"ship":{"to":{"city":"Wien","zip":1010}},"items":[{"sku":"a","at":"2024-02-29T23:30:00+02:00","tags":["x","y"]},{"sku":"b","n":2.5}]},
	{"id":2,"ship":null,"items":[],"grid":[[1,2],[3]]}]' "$schema")"
ok "is loaded" loaded
is "objects" '1|Wien|1010
2||' "$(q 'SELECT id, ship__to__city, ship__to__zip FROM shop__orders ORDER BY id')"
is "arrays, with times by the schema" '1|0|a|2024-02-29 21:30:00.000000|
1|1|b||2.5' "$(q 'SELECT _sdc_source_key_id, _sdc_level_0_id, sku, at, n FROM shop__orders__items ORDER BY 1, 2')"
is "arrays in them" '1|0|0|x
1|0|1|y' "$(q 'SELECT _sdc_source_key_id, _sdc_level_0_id, _sdc_level_1_id, value FROM shop__orders__items__tags ORDER BY 1, 2, 3')"
is "arrays of arrays" '2|0|0|1
2|0|1|2
2|1|0|3' "$(q 'SELECT _sdc_source_key_id, _sdc_level_0_id, _sdc_level_1_id, value FROM shop__orders__grid__value ORDER BY 1, 2, 3')"
is "newer records, without a schema" 201 "$(batch '[{"id":1,"items":[{"sku":7,"at":"2024-03-01T00:00:00Z"}]},{"id":3,"ship":{"to":"no object"}}]')"
ok "are loaded" loaded
is "stale child rows are gone; of a time that no schema tells is a text; types have columns of their own" '1|0||7||2024-03-01T00:00:00Z' \
	"$(q 'SELECT _sdc_source_key_id, _sdc_level_0_id, sku, sku__it, at, at__st FROM shop__orders__items ORDER BY 1, 2')"
is "in all subtables" 0 "$(q 'SELECT count(*) FROM shop__orders__items__tags')"
is "an object and a text of one field" '1||
2||
3||no object' "$(q 'SELECT id, ship__to__city, ship__to FROM shop__orders ORDER BY id')"
deep='{"a":1}'
for _ in $(seq 20); do deep="{\"a\":$deep}"; done
is "too deep a value beside a good one" 201 "$(batch "[{\"id\":4,\"deep\":$deep},{\"id\":5,\"flat\":1}]")"
many=$(jq -nc '[range(4500) | {key: "f\(.)", value: .}] | from_entries')
is "and an object of too many fields" 201 "$(batch "[{\"id\":6,\"many\":$many},{\"id\":7,\"flat\":2}]")"
ok "are loaded or rejected" loaded
is "the good ones are there" '5|1
7|2' "$(q 'SELECT id, flat FROM shop__orders WHERE flat IS NOT NULL ORDER BY id')"
is "nothing is lost: what is not there is rejected" 7 "$(q 'SELECT (SELECT count(*) FROM shop__orders) + (SELECT count(*) FROM shop___sdc_rejected)')"
is "and its fields are no columns" 0 "$(q "SELECT count(*) FROM pragma_table_info('shop__orders') WHERE name LIKE 'many%' OR name LIKE 'deep%'")"
diag "$(q 'SELECT substr(reason, 1, 150) FROM shop___sdc_rejected')"
is "the ledger is balanced" '8|8' "$(ctl --json status | jq -r '.tables[] | select(.table == "orders") | "\(.accepted)|\(.loaded + .rejected)"')"
stop_stitchd
is "it ends well" 0 $?
done_testing
