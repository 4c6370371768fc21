#!/bin/bash
# The S3 loader against a real server: files as CSV and JSON lines, keys, subtables, rejected records, what is there is only acknowledged, check and its fixes.
# What is stored is read from the server's disk, where objects are plain files: not by our own client.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/loader-contract.sh"
need jq python3
need_built stitch-load-s3 t/lib/loader-driver
start_s3

PROGRAM=$BUILD/stitch-load-s3
base=$(jq -nc '{endpoint: env.S3_ENDPOINT, bucket: env.S3_BUCKET, region: env.S3_REGION, access_key: env.AWS_ACCESS_KEY_ID, secret_key: env.AWS_SECRET_ACCESS_KEY}')
with() { SETTINGS=$(jq -c ". + $1" <<<"$base"); }
files() { (cd "$S3_DATA" && find . -type f | sed 's|^\./||' | sort); }
clear_bucket() { rm -rf "${S3_DATA:?}"/* "$T/env/s3-run/main/meta/$S3_BUCKET"; }
# FILE COLUMN...: the columns of a CSV file, | between, a line each; NULL as \N (an empty text is nothing). By Python's csv, and the raw line for NULL
csv() {
	python3 - "$S3_DATA/$1" "${@:2}" <<'PY'
import csv, sys
# quotes must be seen to tell NULL from empty: unquoted nothing is NULL
text = open(sys.argv[1], newline="", encoding="utf-8").read()
assert text.endswith("\r\n"), "lines end with CR LF"
marked, quoted, empty = [], False, True
for c in text:
    if not quoted and c in ",\r":
        if empty:
            marked.append("\\N")
        empty = True
    elif c not in "\n":
        empty = False
    if c == '"':
        quoted = not quoted
    marked.append(c)
rows = list(csv.DictReader("".join(marked).splitlines(keepends=True), strict=True))
for r in rows:
    print("|".join(r[c] for c in sys.argv[2:]))
PY
}
jsonl() { jq -r "$2" "$S3_DATA/$1"; } # FILE FILTER

# --- jsonl: the records as they were sent ---
with '{}'
drive <<'END'
check
table orders id
batch o1
entry 10
rec 1 {"id":1,"big":123456789012345678901234567890.1234567890,"s":"Gr\u00fc\u00dfe \"\\ \n","o":{"a":[1,{"b":null}]},"e":1e3,"nothing":null}
rec 2 {"id":2,"s":"","m":5}
entry 11
rec 3 {"id":1,"m":"five"}
rec 4 {"m":"no key"}
end
load o1
sample 2
END
is "check: all rights are there" true "$(answers | head -n 1 | cut -d' ' -f2- | jq .ok)"
is "the probe is gone, the file and the rejected record are there" $'shop/_sdc_rejected/1_1700000000001.jsonl\nshop/orders/1_1700000000001.jsonl' "$(files)"
is "loaded" '[[3,1,false]]' "$(answers | sed -n 2p | cut -d' ' -f2- | jq -c '[.batches[] | [.rows, .rejected, .already]]')"
is "the record byte for byte, ours at its end" \
	'{"id":1,"big":123456789012345678901234567890.1234567890,"s":"Gr\u00fc\u00dfe \"\\ \n","o":{"a":[1,{"b":null}]},"e":1e3,"nothing":null,"_sdc_received_at":"2023-11-14T22:13:20.000000Z","_sdc_batched_at":"2023-11-14T22:13:20.000000Z","_sdc_sequence":1,"_sdc_table_version":0}' \
	"$(head -n 1 "$S3_DATA/shop/orders/1_1700000000001.jsonl")"
is "all records are there, none replaced" $'1|1\n2|2\n1|3' "$(jsonl shop/orders/1_1700000000001.jsonl '"\(.id)|\(._sdc_sequence)"')"
is "a mixed type stays in its field" 'null 5 "five"' "$(jq -c .m "$S3_DATA/shop/orders/1_1700000000001.jsonl" | paste -sd' ')"
is "rejected: table and reason" 'orders|the key id has no value' "$(jsonl shop/_sdc_rejected/1_1700000000001.jsonl '"\(.table_name)|\(.reason)"')"
is "and the record" 'no key' "$(jsonl shop/_sdc_rejected/1_1700000000001.jsonl '.record | fromjson | .data.m')"
is "sample: columns" '["id","big","s","o","e","nothing"]' "$(last '.columns[:6]')"
is "sample: values as sent" '["1","123456789012345678901234567890.1234567890","Grüße \"\\ \n","{\"a\":[1,{\"b\":null}]}","1e3",null]' "$(last '.rows[0][:6]')"

# --- a load that is there is only acknowledged; one that is not is written again under the same keys ---
two='table orders id
batch o2
entry 12
rec 5 {"id":3}
rec 6 {"id":4}
end'
drive <<END
$two
load-id 2
load o2
load-id 2
attempt 2
load o2
discard o2
END
is "a retry of a load that is there: acknowledged, with the attempt that did it" '[[null,null,true,1]]' \
	"$(answers | sed -n 2p | cut -d' ' -f2- | jq -c '[.batches[] | [.rows, .rejected, .already, .attempt]]')"
is "a discard learns that it was loaded" '[true,1]' "$(last '[.was_loaded, .attempt]')"
rm "$S3_DATA/shop/orders/1_1700000000002.jsonl"
drive <<END
$two
load-id 3
discard o2
load-id 2
attempt 3
load o2
END
is "one that is not there was not loaded" false "$(answers | head -n 1 | cut -d' ' -f2- | jq .was_loaded)"
is "and its retry writes it" '[[2,0,false]]' "$(counts)"
is "under the same key" 2 "$(wc -l <"$S3_DATA/shop/orders/1_1700000000002.jsonl")"

# --- what earlier loads hold stays out ---
drive <<'END'
table events
batch e1
entry 20
rec 1 {"n":20}
entry 21
rec 2 {"n":21}
rec 3 {"n":21}
entry 22
rec 4 {"n":22}
end
lie e1 held [[0,20],[22,30]]
load-id 3
load e1
batch e2
entry 23
rec 5 {"n":23}
end
lie e2 held [[23,23]]
load-id 4
load e2
batch k1 7
entry 30
rec 5 {"n":30}
activate 6
end
load-id 5
load k1
END
is "held records count as loaded" '[[4,0,false]]' "$(answers | head -n 1 | cut -d' ' -f2- | jq -c '[.batches[] | [.rows, .rejected, .already]]')"
is "and are not written again; without a key there is a UUID" $'21\n21' "$(jsonl shop/events/1_1700000000003.jsonl 'select(.__sdc_primary_key | test("^[0-9a-f-]{36}$")) | .n')"
is "a load that holds nothing makes no file; the version stands in the key, older ones stay" \
	$'shop/events/1_1700000000003.jsonl\nshop/events/7_1700000000005.jsonl' "$(files | grep events)"

# --- csv ---
clear_bucket
with '{format: "csv"}'
P=$'\1' E=$'\2'
drive <<END
table t id
declare id integer
declare at timestamp
declare day date
declare o object
declare o${P}city string
declare o${P}deep object
declare o${P}deep${P}n number
declare items array
declare items${E} object,integer
declare items${E}${P}sku string
declare items${E}${P}tags array
declare items${E}${P}tags${E} string
batch v1 3
entry 1
rec 1 {"id":-9223372036854775808,"n":123456789012345678901234567890.10,"s":"","b":true,"at":"2024-02-29T23:30:00+02:00","day":"2024-02-29"}
rec 2 {"id":2,"s":"a, \"b\"\r\nc","b":false,"m":1,"o":{"city":"X","deep":{"n":1.5}},"items":[{"sku":"k1","tags":["r","g"]},{"sku":"k2"},7]}
rec 3 {"id":3,"s":" x","m":"one","items":[]}
rec 4 {"id":4,"s":"u\u0000","m":"one"}
rec 5 {"id":5,"m":true,"items":[{"sku":"k5","tags":["b"]}]}
end
load v1
sample 3
END
is "csv: loaded, text with U+0000 rejected" '[[4,1,false]]' "$(answers | head -n 1 | cut -d' ' -f2- | jq -c '[.batches[] | [.rows, .rejected, .already]]')"
is "files of table and subtables" 'shop/_sdc_rejected/1_1700000000001.jsonl
shop/t/3_1700000000001.csv
shop/t/items/3_1700000000001.csv
shop/t/items/tags/3_1700000000001.csv' "$(files)"
f=shop/t/3_1700000000001.csv
is "the header names the load's columns, mixed types in one" \
	'id,at,day,o__city,o__deep__n,n,s,b,m,_sdc_received_at,_sdc_batched_at,_sdc_sequence,_sdc_table_version' "$(head -n 1 "$S3_DATA/$f" | tr -d '\r')"
is "values" '-9223372036854775808|123456789012345678901234567890.10||true|2024-02-29T21:30:00.000000Z|2024-02-29T00:00:00.000000Z|\N|\N|\N
2|\N|a, "b"
c|false|\N|\N|X|1.5|1
3|\N| x|\N|\N|\N|\N|\N|one
5|\N|\N|\N|\N|\N|\N|\N|true' "$(csv $f id n s b at day o__city o__deep__n m | tr -d '\r')"
is "a line end in a value is kept as it was" 1 "$(grep -c $'^2,.*"a, ""b""\r$' "$S3_DATA/$f")"
is "subtable" '2|0|k1|\N
2|1|k2|\N
2|2|\N|7
5|0|k5|\N' "$(csv shop/t/items/3_1700000000001.csv _sdc_source_key_id _sdc_level_0_id sku value)"
is "a subtable's subtable" '2|0|0|r
2|0|1|g
5|0|0|b' "$(csv shop/t/items/tags/3_1700000000001.csv _sdc_source_key_id _sdc_level_0_id _sdc_level_1_id value)"
is "sample of csv" '["2",null,null,"X","1.5",null,"a, \"b\"\r\nc"]' "$(last '.rows[1][:7]')"

clear_bucket
with '{format: "csv", csv_delimiter: "tab", csv_force_quote: "true", key_template: "/raw/[integration_name]/[table_name]/y=[year_loaded]/[month_loaded]-[day_loaded]_[hour_loaded]/[table_version]-[timestamp_loaded]"}'
drive <<'END'
table a/b id
batch q1
entry 1
rec 1 {"id":1,"s":"x","z":""}
rec 2 {"id":2}
end
load q1
sample 5
schema -
load q1
END
is "a key template, an element without a name leaves no slash, a slash in a name is none" 'raw/a_b/y=2023/11-14_22/1-1700000000002.csv
raw/shop/a_b/y=2023/11-14_22/1-1700000000001.csv' "$(files)"
is "all is quoted but NULL, with tabs" $'"id"\t"s"\t"z"\t|"1"\t"x"\t""\t|"2"\t\t\t' "$(sed 's/"_sdc.*//; s/"2023.*//' "$S3_DATA/raw/shop/a_b/y=2023/11-14_22/1-1700000000001.csv" | paste -sd'|')"
is "and found again by sample" '[["1","x",""],["2",null,null]]' "$(answers | sed -n 2p | cut -d' ' -f2- | jq -c '[.rows[] | .[:3]]')"

# --- settings and rights ---
refused() { # NAME SETTINGS CAUSE FIX
	with "$2"
	drive <<<check
	like "$1: cause" "$3" "$(last '.cause // .message' | sed 's/\\"/"/g')"
	[ -z "${4:-}" ] || like "$1: fix" "$4" "$(last .fix)"
	unlike "$1: no secret is told" 'stitchsecret|wrongsecret' "$out$(cat "$T/driver.log")"
}
refused "no such bucket" '{bucket: "nobucket"}' 'NoSuchBucket' 'make the bucket'
refused "a wrong secret" '{secret_key: "wrongsecret"}' 'SignatureDoesNotMatch' 'set access_key and secret_key'
refused "an unknown key" '{access_key: "nobody"}' 'XAdminUserNotFound|InvalidAccessKeyId' 'set access_key and secret_key'
refused "another region" '{region: "eu-west-1"}' 'region' 'set region to us-east-1'
refused "a session token that is none" '{session_token: "x"}' 'InvalidToken' 'session_token'
refused "nobody there" '{endpoint: "http://127.0.0.1:1"}' 'connect' 'endpoint'
refused "an endpoint that is none" '{endpoint: "ftp/x"}' 'endpoint must look like'
refused "a format that is none" '{format: "parquet"}' 'csv or jsonl'
refused "a delimiter that is none" '{csv_delimiter: "ab"}' 'csv_delimiter'
refused "a template without the time" '{key_template: "[integration_name]/[table_name]/[table_version]"}' 'lacks \[timestamp_loaded\]'
refused "a template with an unknown element" '{key_template: "[integration_name]/[table_name]/[table_version]_[timestamp_loaded]_[x]"}' 'element \[x\]'
refused "a way to encrypt that is none" '{sse: "rot13"}' 'AES256'
done_testing
