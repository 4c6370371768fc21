#!/bin/bash
# Bad input through the real daemon: documented code, JSON body, and nothing of it is stored: neither in the queue, nor in state.db, nor anywhere outside of the
# state folder. (Each text stands in t1001.) In the asan flavour nothing leaks.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/pipeline.sh"
need jq curl python3 sqlite3
start_stitchd && chain || bail "no chain"
token=$(cat "$T/token")
mkdir "$T/in"
python3 - "$T/in" <<'PY'
import json, sys
to = sys.argv[1] + "/"
def batch(data=None, messages=None, table="bad", **more):
    messages = messages if messages is not None else [{"action": "upsert", "sequence": 1, "data": data or {"id": 1}}]
    return json.dumps({"table_name": table, "schema": {"properties": {"id": {"type": "integer"}}}, "key_names": ["id"], "messages": messages, **more})
def put(name, body):
    open(to + name, "wb").write(body if isinstance(body, bytes) else body.encode())
put("good", batch())
put("no-json", batch()[:-1])
put("more-json", batch() + "{}")
put("empty", "")
put("key-missing", batch({"name": "x"}))
put("key-null", batch({"id": None}))
put("no-messages", batch(messages=[]))
put("20001", batch(messages=[{"action": "upsert", "sequence": i, "data": {"id": i}} for i in range(20001)]))
put("late-error", batch(messages=[{"action": "upsert", "sequence": i, "data": {"id": i if i < 19999 else None}} for i in range(20000)]))
put("nesting", batch({"id": 1, "x": 0}).replace('"x": 0', '"x": ' + "[" * 100000 + "]" * 100000))
put("nesting-open", '{"a":' * 1000000)
put("utf8", batch({"id": 1, "x": "?"}).encode().replace(b"?", b"\xc3\x28"))
put("utf8-long", batch({"id": 1, "x": "?"}).encode().replace(b"?", b"\xc0\xaf"))
put("surrogate", batch({"id": 1, "x": "?"}).replace("?", "\\ud800"))
put("nan", batch({"id": 1, "x": 0}).replace('"x": 0', '"x": NaN'))
put("climbs", batch(table="../x"))
put("climbs-far", batch(table="../../../../../../../../tmp/x"))
put("array", "[]")
put("large", batch({"id": 1, "x": "y" * 21000000}))
PY
offset() { jq -r .receipt "$T/body" | cut -d- -f3; } # in the queue, of what was just taken
rows_of_state() { sqlite "file:$STATE/state.db?mode=ro" "SELECT (SELECT count(*) FROM tbl), (SELECT count(*) FROM batch), (SELECT count(*) FROM job)"; }
records() { metric stitch_import_records_total; }
outside() { find "$T" -path "$STATE" -prune -o -type f -print | grep -vE "^$T/(in/|body$|headers$|err$|token$|stitchd.log$|local.db)" | sort; }
is "a good one goes through" 201 "$(post /v2/import/batch "$token" <"$T/in/good")"
first=$(offset)
settled 20
before="$(rows_of_state) $(records)"
batch_is() { # WHAT CODE [TOKEN]
	local code
	code=$(post /v2/import/batch "${3-$token}" <"$T/in/$1")
	is "$1: code" "$2" "$code"
	jq -e 'type == "object"' "$T/body" >/dev/null 2>&1 && like "$1: JSON" 'application/json' "$(grep -i '^content-type:' "$T/headers" | tail -n 1)" || fail "$1: JSON" "$(head -c 300 "$T/body")"
}
batch_is good 401 ''
batch_is good 401 at_0000000000000000000000000000000000000000
for w in no-json more-json empty key-missing key-null no-messages 20001 late-error nesting nesting-open utf8 utf8-long surrogate nan climbs climbs-far array; do batch_is "$w" 400; done
batch_is large 413
is "a body of another type" 415 "$(curl -s -o "$T/body" -w '%{http_code}' -H "Authorization: Bearer $token" -H 'Content-Type: text/csv' --data-binary @"$T/in/good" "$url/v2/import/batch")"
# a sender that goes away in the middle
curl -s --max-time 2 --limit-rate 4M -o /dev/null -H "Authorization: Bearer $token" -H 'Content-Type: application/json' --data-binary @"$T/in/late-error" -H 'Content-Length: 19000000' "$url/v2/import/batch"
is "nothing was accepted, no table, batch or job was made" "$before" "$(rows_of_state) $(records)"
is "the only row is the good one" "1|1" "$(sqlite "$T/local.db" "SELECT count(*), max(id) FROM ${SOURCE}__bad")"
is "nothing was written outside of the state folder" "" "$(outside)"
is "nothing in it has the bad name" "" "$(find "$STATE" -name 'x' -o -name '*..*' | head)"
is "a good one still goes through" 201 "$(post /v2/import/batch "$token" <"$T/in/good")"
is "and is the next in the queue: nothing lies between" $((first + 1)) "$(offset)"
settled 20
is "the ledger is zero-sum" "" "$(unbalanced)"
stop_stitchd
is "it ends well, and nothing leaked" 0 $?
done_testing
