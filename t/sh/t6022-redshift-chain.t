#!/bin/bash
# From a push to rows in (the stand-in for) Redshift through stitchd: check, nested records, a table that is rejected in part, S3 down and back with nothing lost or twice.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need psql jq python3 curl
need_built stitchd stitchctl stitch-load-redshift
start_redshift
start_stitchd --backoff-first 100ms --backoff-max 2s
q() { psql -XqAt -F '|' -c "$1" 2>>"$T/psql.log"; }

printf %s "$PGPASSWORD" >"$T/pgpass"
printf %s "$AWS_SECRET_ACCESS_KEY" >"$T/s3pass"
chmod 600 "$T/pgpass" "$T/s3pass"
set_of() { printf -- '--set %s=%s ' host "$PGHOST" port "$RS_PORT" user "$PGUSER" password "@$T/pgpass" dbname "$PGDATABASE" sslmode disable s3_endpoint "$S3_ENDPOINT" \
	s3_region "$S3_REGION" s3_access_key "$AWS_ACCESS_KEY_ID" s3_secret_key "@$T/s3pass" s3_prefix stage; }
run ctl destination create --kind redshift --name dwh $(set_of)
isnt "a destination without a bucket is refused" 0 "$rc"
like "and says what is missing" 's3_bucket' "$err"
exits 0 "with one it is made" ctl destination create --kind redshift --name dwh $(set_of) --set s3_bucket="$S3_BUCKET"
exits 0 "and checked" ctl --json destination check dwh
is "with all rights" true "$(jq .ok <<<"$out")"
unlike "secrets are not shown" "$AWS_SECRET_ACCESS_KEY|$PGPASSWORD" "$(ctl --json destination show dwh)"
token=$(new_token shop)
exits 0 "connected" ctl connect shop dwh

is "a batch is taken" 201 "$(make_batch orders 1 2000 | post /v2/import/batch "$token")"
is "and nested records by push" 201 "$(jq -nc '[range(3) | {client_id: 1, table_name: "nested", key_names: ["id"], action: "upsert", sequence: (1 + .),
	data: {id: ., o: {a: "x"}, l: [{n: .}, {n: 2.5}], bad: (if . == 2 then 9223372036854776000 else 1 end), d: 0.1}}]' | post /v2/import/push "$token")"
wait_for 60 '[ "$(sum_of accepted)" = 2003 ] && [ "$(sum_of queued)" = 0 ] && [ "$(sum_of spooled)" = 0 ]'
is "all rows" '2000|2000|2000.25' "$(q "SELECT count(*), max(id), max(amount) FROM shop.orders")"
is "objects are columns, arrays a table" '0|x|1
1|x|1
2|x|9223372036854776000' "$(q 'SELECT id, o__a, bad::numeric(38,0) FROM shop.nested ORDER BY id')"
is "with their rows" 6 "$(q 'SELECT count(*) FROM shop.nested__l')"
is "the books balance" '' "$(unbalanced)"

s3_server kill
is "S3 is down, a push is taken" 201 "$(make_batch orders 2001 2100 | post /v2/import/batch "$token")"
ok "the destination is in trouble" wait_for 60 'ctl --json destination show dwh | jq -e ".error.class == \"transient\""'
s3_server start >/dev/null 2>&1
ok "it is loaded when S3 is back" wait_for 90 '[ "$(q "SELECT count(*) FROM shop.orders")" = 2100 ]'
wait_for 30 '[ "$(sum_of spooled)" = 0 ]'
is "the books balance" '' "$(unbalanced)"
ok "no staged file is left" wait_for 20 '[ "$(find "$S3_DATA" -type f | wc -l)" = 0 ]'
stop_stitchd
unlike "no secret in the log" "$AWS_SECRET_ACCESS_KEY|$PGPASSWORD" "$(cat "$LOG")"
done_testing
