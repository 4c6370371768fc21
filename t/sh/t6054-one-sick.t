#!/bin/bash
# One source into all six kinds of destinations at once: each in turn is away, hangs or has its loader killed; the others keep their freshness (the bound is measured), and it catches up by
# itself with every row, once.
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl sqlite3 python3 openssl psql
start_redshift # with Postgres and S3
start_snowflake
start_bigquery
start_stitchd --backoff-first 200ms --backoff-max 1s --heartbeat 5s || bail "no daemon"
token=$(sqlite_chain shop) && pg_chain shop >/dev/null || bail "no chain"
add() { # NAME KIND JSON
	local args=() k
	mkdir -p "$T/set"
	for k in $(jq -r 'keys[]' <<<"$3"); do
		jq -j --arg k "$k" '.[$k]' <<<"$3" >"$T/set/$1.$k"
		args+=(--set "$k=@$T/set/$1.$k")
	done
	ctl destination create --kind "$2" --name "$1" --no-check "${args[@]}" >/dev/null && ctl connect shop "$1" --schema "shop_$1" >/dev/null || bail "no destination $1"
}
add rs redshift "$RS_SETTINGS"
add sf snowflake "$SF_SETTINGS"
add bq bigquery "$BQ_SETTINGS"
add s3 s3 "$(jq -nc '{endpoint: env.S3_ENDPOINT, bucket: env.S3_BUCKET, region: env.S3_REGION, access_key: env.AWS_ACCESS_KEY_ID, secret_key: env.AWS_SECRET_ACCESS_KEY, format: "jsonl"}')"
all=(local pg rs sf bq s3) next=1
loaded() { ctl --json status | jq --arg d "$1" '[.tables[] | select(.destination == $d) | .loaded] | add // 0'; }
push() { is "a batch" 201 "$(make_batch orders $next $((next + 9)) | post /v2/import/batch "$token")"; next=$((next + 10)); ctl flush >/dev/null; }
fresh() { # NAME DESTINATION...: all of these have everything; how long it took
	local name=$1 d began late=''
	shift
	began=$(now_ms)
	for d; do
		wait_for 60 '[ "$(loaded '"$d"')" = $((next - 1)) ]' || late+=" $d"
		diag "$name: $d after $(($(now_ms) - began)) ms"
	done
	is "$name: in time" "" "$late"
}
push
fresh "all are well" "${all[@]}"
others() { local d; for d in "${all[@]}"; do [[ " $* " = *" $d "* ]] || echo "$d"; done; }
behind() { is "$1 has not got it" yes "$([ "$(loaded "$1")" -lt $((next - 1)) ] && echo yes || echo no)"; }
# what stands between is stopped: it takes connections and says nothing
bq_all=$(pgrep -g "$(ps -o pgid= -p "$bq_pid" | tr -d ' ')" -f "bigquery|bqemulator" | paste -sd' ')
kill -STOP "$sf_pid"
push
fresh "Snowflake hangs" $(others sf)
behind sf
kill -CONT "$sf_pid"
fresh "it catches up" sf
kill -STOP $bq_all
push
fresh "BigQuery hangs" $(others bq)
behind bq
kill -CONT $bq_all
fresh "it catches up" bq
# Redshift's stand-in is a Postgres behind
stop_postgres
push
fresh "Postgres is away" $(others pg rs)
behind pg
start_postgres
fresh "it catches up" pg rs
s3_server pause >/dev/null 2>&1
push
fresh "S3 hangs" $(others s3 rs sf)
behind s3
s3_server resume >/dev/null 2>&1
fresh "they catch up" s3 rs sf
# killed in the middle, or before: loaded once
push
pkill -KILL -P "$stitchd_pid" -f stitch-load- || true
fresh "all loaders are killed" "${all[@]}"
is "Postgres has each row once" "$((next - 1)) $((next - 1))" "$(pg 'SELECT count(*), count(DISTINCT id) FROM shop.orders' | tr '|' ' ')"
is "SQLite, too" "$((next - 1)) $((next - 1))" "$(sqlite "$T/local.db" 'SELECT count(*), count(DISTINCT id) FROM shop__orders' | tr '|' ' ')"
is "the ledger is zero-sum" "" "$(unbalanced)"
stop_stitchd
is "it ends well" 0 $?
done_testing
