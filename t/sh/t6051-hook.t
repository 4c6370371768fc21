#!/bin/bash
# Post-load hooks over a real TLS connection: the documented fields, signed; one a load, also when it fails; tried again when the receiver is away, given up with an event, and
# replayed; none is lost when the daemon is killed.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl openssl python3 sqlite3
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
	-keyout "$T/hook.key" -out "$T/hook.crt" 2>/dev/null || bail "no certificate"
python3 "$top/t/lib/hook-server.py" "$T/hook.port" "$T/hook.crt" "$T/hook.key" "$T/hooks" >"$T/hook-server.log" 2>&1 &
track $!
wait_for 30 '[ -s "$T/hook.port" ]' || bail "no receiver: $(cat "$T/hook-server.log")"
hook=https://localhost:$(cat "$T/hook.port")/after-load
start_stitchd --backoff-first 100ms --backoff-max 300ms || bail "no daemon"
token=$(sqlite_chain shop)
printf 'very secret' >"$T/secret"
exits 1 "plain http is refused" ctl destination set local --set hook_url=http://localhost/
like "and it is told why" 'hook_url must begin with https' "$err"
ok "a hook is set" ctl destination set local --set hook_url="$hook" --set hook_secret=@"$T/secret" --set hook_ca_file="$T/hook.crt"
is "its secret is not shown" '***' "$(ctl --json destination show local | jq -r .settings.hook_secret)"
is "nor kept as it is" 0 "$(grep -c 'very secret' "$STATE/state.db" "$STATE/state.db-wal" | awk -F: '{n += $2} END {print n}')"
got() { cat "$T/hooks" 2>/dev/null | wc -l; }
batch() { # TABLE: one of five is no date
	echo "{\"table_name\":\"$1\",\"key_names\":[\"id\"],\"schema\":{\"properties\":{\"at\":{\"type\":\"string\",\"format\":\"date-time\"}}},\"messages\":[$(for k in 1 2 3 4 5; do
		printf '%s{"action":"upsert","sequence":%d,"data":{"id":%d,"at":"2013-02-%dT10:00:00Z"}}' "$([ $k = 1 ] || echo ,)" $k $k $((25 + k)); done)]}"
}
is "a batch" 201 "$(batch orders | post /v2/import/batch "$token")"
ok "is loaded" ctl flush --wait 60
wait_for 30 '[ "$(got)" = 1 ]' && pass "one hook arrives" || fail "one hook arrives" "$(ctl hook list)"
body=$(head -n 1 "$T/hooks" | jq -r .body)
is "its headers" 'StitchLoadingWebhook application/json /after-load' "$(head -n 1 "$T/hooks" | jq -r '"\(.headers["user-agent"]) \(.headers["content-type"]) \(.path)"')"
is "its signature" "sha256=$(printf %s "$body" | openssl dgst -sha256 -hmac 'very secret' | sed 's/.* //')" "$(head -n 1 "$T/hooks" | jq -r '.headers["x-stitch-signature"]')"
is "the documented fields" '1.0 shop orders orders 0 false loaded' \
	"$(jq -r '"\(.version) \(.integration_name) \(.source_root_table_name) \(.destination_root_table_name) \(.table_version) \(.new_version) \(.status)"' <<<"$body")"
rows=$(sqlite "$T/local.db" 'SELECT count(*) FROM shop__orders')
is "of its table" "orders $rows $((5 - rows))" "$(jq -r '.tables[0] | "\(.source_table_name) \(.num_rows) \(.num_rows_rejected)"' <<<"$body")"
like "and when it was batched" '^20[0-9-]{8}T' "$(jq -r .minimum_sdc_batched_at <<<"$body")"
# the receiver is away
echo 503 >"$T/hooks.refuse"
is "another batch" 201 "$(batch items | post /v2/import/batch "$token")"
ok "is loaded though the receiver refuses" ctl flush --wait 60
wait_for 30 '[ "$(got)" -ge 3 ]' && pass "it is tried again" || fail "it is tried again" "$(ctl hook list)"
kill_stitchd
rm "$T/hooks.refuse"
start_stitchd --backoff-first 100ms --backoff-max 300ms || bail "no daemon again"
wait_for 60 '[ "$(tail -n 1 "$T/hooks" | jq .status)" = 204 ] && [ "$(ctl --json hook list --state waiting | jq length)" = 0 ]' && pass "after a restart it arrives" ||
	fail "after a restart it arrives" "$(ctl hook list)"
is "as the same delivery" 1 "$(tail -n +2 "$T/hooks" | jq -r '.headers["x-stitch-delivery"]' | sort -u | wc -l)"
is "both are delivered" 2 "$(ctl --json hook list --state delivered | jq length)"
# a load that fails
ok "the destination is moved to where it cannot be" ctl destination set local --set path="$T/nowhere/local.db"
is "one batch more" 201 "$(batch more | post /v2/import/batch "$token")"
wait_for 60 '[ "$(tail -n 1 "$T/hooks" | jq -r ".body | fromjson | .status")" = failed ]' && pass "a failure is told" || fail "a failure is told" "$(ctl hook list)"
isnt "with its class" null "$(tail -n 1 "$T/hooks" | jq -r '.body | fromjson | .error.class')"
n=$(got)
ctl destination set local --set path="$T/local.db" >/dev/null
ctl flush --wait 60 >/dev/null
wait_for 60 '[ "$(got)" -gt '"$n"' ] && [ "$(tail -n 1 "$T/hooks" | jq -r ".body | fromjson | .status")" = loaded ]' && pass "and then the success" || fail "and then the success" "$(ctl hook list)"
# replay
id=$(ctl --json hook list | jq -r '.[-1].id')
n=$(got)
is "a hook is replayed" 1 "$(ctl --json hook replay "$id" | jq .replayed)"
wait_for 30 '[ "$(got)" = $((n + 1)) ]' && pass "and arrives once more" || fail "and arrives once more"
is "with the same body" "$body" "$(tail -n 1 "$T/hooks" | jq -r .body)"
is "of those that failed there is none" 0 "$(ctl --json hook replay --destination local | jq .replayed)"
stop_stitchd
is "it ends well" 0 $?
is "the secret is not in the log" 0 "$(grep -c 'very secret' "$LOG")"
done_testing
