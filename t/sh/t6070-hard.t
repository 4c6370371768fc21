#!/bin/bash
# One source with a hard data set into all destinations at once: every JSON type, 30-digit numbers, emoji, offsets, three levels of nesting, arrays of arrays, types that change,
# 1,500 columns, names that collide or are reserved, columns of nothing, a record of 5 MB. Each is read by a reader that shares no code with ours and compared value by value.
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl sqlite3 python3 openssl psql
look() { python3 "$top/t/lib/look.py" "$@"; }
settled() { wait_for $((240 * SLOW)) '[ "$(ctl --json status | jq "[.tables[] | .queued + .spooled] | add // 1")" = 0 ]'; }
mkdir -p "$T/bodies"
python3 "$top/t/lib/hard.py" bodies "$T/bodies" || bail "no bodies"

start_redshift # with Postgres and S3
start_snowflake
start_bigquery
start_stitchd || bail "no daemon"
token=$(sqlite_chain hard)
pg_chain hard >/dev/null || bail "no Postgres destination"
add() { # NAME KIND JSON
	local args=() k
	mkdir -p "$T/set"
	for k in $(jq -r 'keys[]' <<<"$3"); do
		jq -j --arg k "$k" '.[$k]' <<<"$3" >"$T/set/$1.$k"
		args+=(--set "$k=@$T/set/$1.$k")
	done
	ctl destination create --kind "$2" --name "$1" --no-check "${args[@]}" >/dev/null && ctl connect hard "$1" --schema "hard_$1" >/dev/null || bail "no destination $1"
}
# what its DECIMAL(38,6) would round is to be rejected
add rs redshift "$(jq -c '. + {numbers: "exact"}' <<<"$RS_SETTINGS")"
add sf snowflake "$SF_SETTINGS"
add bq bigquery "$BQ_SETTINGS"
add s3 s3 "$(jq -nc '{endpoint: env.S3_ENDPOINT, bucket: env.S3_BUCKET, region: env.S3_REGION, access_key: env.AWS_ACCESS_KEY_ID, secret_key: env.AWS_SECRET_ACCESS_KEY, format: "jsonl"}')"

for f in "$T"/bodies/*.json; do
	path=${f%.json}
	is "${f##*/} is taken" 201 "$(post "/v2/import/${path##*.}" "$token" <"$f")"
	# types that change over time, and records that are replaced, come in loads of their own
	case $path in */*nested* | */*mixed*) settled || diag "not settled" ;; esac
done
ok "all is loaded" settled
said() { ctl --json status | jq -c '.tables[] | select(.rejected > 0 or .error != null) | {table, destination, rejected, error}'; }
there() { # KIND READER...
	local kind=$1
	shift
	is "$kind: every value" "all there" "$("$@" 2>&1 | python3 "$top/t/lib/hard.py" check "$kind" 2>&1)"
}
there sqlite look sqlite "$T/local.db" hard
there postgres look postgres hard
there redshift look postgres hard_rs
there snowflake "$SF_PYTHON" "$top/t/lib/look.py" snowflake "$SF_PORT" HARD_SF
there jsonl look s3 "$S3_DATA/hard_s3"
bq_tables() {
	local t
	for t in $(bq_q "GET /datasets/hard_bq/tables" | jq -r '.tables[].tableReference.tableId'); do bq_q "JSON SELECT * FROM hard_bq.$t" | jq -cs --arg t "$t" '{($t): .}'; done | jq -s add
}
there bigquery bq_tables
is "the ledger is zero-sum" "" "$(unbalanced)"
[ $_failed = 0 ] || diag "$(said)"
stop_stitchd
done_testing
