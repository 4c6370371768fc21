#!/bin/bash
# Odd records that the API takes (it has no reason to refuse them) must not keep their table waiting: they are loaded, or rejected one by one, and what comes later
# is loaded too. Numbers below zero, names and texts with U+0000, a version that is switched by itself.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/pipeline.sh"
need jq curl sqlite3
start_stitchd && chain || bail "no chain"
token=$(cat "$T/token")
client=$(ctl --json source show "$SOURCE" | jq .client_id)
rows() { sqlite "$T/local.db" "SELECT $2 FROM ${SOURCE}__$1 ORDER BY 1" | paste -sd' '; }
taken() { # NAME PATH BODY
	is "$1: taken" 201 "$(post "/v2/import/$2" "$token" <<<"$3")"
	settled 30 || fail "$1: nothing waits" "$(ctl job list)"
}
batch() { # TABLE MESSAGES [MORE]
	echo "{\"table_name\":\"$1\",\"schema\":{\"properties\":{\"at\":{\"type\":\"string\",\"format\":\"date-time\"}}},\"key_names\":[\"id\"],\"messages\":[$2]${3:-}}"
}
push() { # TABLE SEQUENCE MORE
	echo "[{\"client_id\":$client,\"table_name\":\"$1\",\"sequence\":$2,$3}]"
}
up() { echo "{\"action\":\"upsert\",\"sequence\":$1,\"data\":$2}"; }

taken "sequences below zero" batch "$(batch neg "$(up -5 '{"id":1,"s":"old"}'),$(up -4 '{"id":1,"s":"new"}'),$(up -9223372036854775808 '{"id":2}')")"
is "they order records as any other" "1|new 2|" "$(rows neg 'id, s')"
taken "a field whose name has U+0000" batch "$(batch nul "$(up 1 '{"id":1,"a\u0000b":1}'),$(up 2 '{"id":2}')")"
is "the record is rejected, the other is loaded" "2" "$(rows nul id)"
like "the reason names the field" 'a\\+u0000b' "$(ctl --json job list --table "$SOURCE.nul" | jq -r '.[0].id' | xargs -I{} "$BUILD/stitchctl" --socket "$SOCK" --json job show {} | jq -r '.rejected[0].reason')"
job=$(ctl --json job list --table "$SOURCE.nul" | jq -r '.[0].id')
like "a replay says that the rejected record stays where it is" '^done the batch is loaded; of its rejected records \(1\) stitchctl reject list' \
	"$(ctl --json job replay "$job" | jq -r '.state + " " + .note')"
is "and changes nothing" 1 "$(ctl --json job show "$job" | jq '.rejected | length')"
taken "a time with U+0000" batch "$(batch time "$(up 1 '{"id":1,"at":"20\u000024"}'),$(up 2 '{"id":2,"at":"2024-01-01T00:00:00Z"}')")"
is "it is rejected, the other is loaded" "2" "$(rows time id)"
taken "a version" push "$(push ver 1 '"action":"upsert","key_names":["id"],"table_version":1,"data":{"id":1}')"
taken "the next version" push "$(push ver 2 '"action":"upsert","key_names":["id"],"table_version":2,"data":{"id":2}')"
taken "is switched to by itself, without key names" push "$(push ver 3 '"action":"switch_view","table_version":2')"
wait_for 30 '[ "$(rows ver id)" = 2 ]' && pass "the rows of the old one are gone" || fail "the rows of the old one are gone" "$(rows ver id)"
is "the table keeps its keys" '["id"]' "$(ctl --json table show "$SOURCE.ver" | jq -c '.[0].key_names')"
taken "and the table goes on" push "$(push ver 4 '"action":"upsert","key_names":["id"],"table_version":2,"data":{"id":3}')"
is "with more rows" "2 3" "$(rows ver id)"
is "the destination is well" ok "$(ctl --json status | jq -r '[.destinations[].state] | unique | if . == ["idle"] then "ok" else .[] end')"
is "the ledger is zero-sum" "" "$(unbalanced)"
stop_stitchd
is "it ends well" 0 $?
done_testing
