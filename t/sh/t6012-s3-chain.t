#!/bin/bash
# The whole chain into S3: a source into two destinations (JSON lines and CSV) at once, stitchd killed at its crash points and its loaders killed with it, the server away and back,
# a job discarded while nobody knows. Each record is in one file of each destination, once. What is stored is read from the server's disk.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl python3
need_built stitchd stitchctl stitch-load-s3
start_s3
"$top/t/lib/s3-proxy.py" "$S3_PORT" >"$T/proxy.port" 2>"$T/proxy.log" &
track $!
wait_for 20 '[ -s "$T/proxy.port" ]'
proxy=http://127.0.0.1:$(cat "$T/proxy.port")
rule() { curl -sf -o "$T/null" -d "$1" "$proxy/_proxy/rule"; }
clear_rules() { curl -sf -o "$T/null" -d '' "$proxy/_proxy/clear"; }
fast=(--backoff-first 50ms --backoff-max 300ms --idle-cut-delay 5ms)
start() { start_stitchd "${fast[@]}"; }

printf %s "$AWS_SECRET_ACCESS_KEY" >"$T/secret" && chmod 600 "$T/secret"
printf wrongsecret >"$T/wrong" && chmod 600 "$T/wrong"
start || bail "no daemon"
token=$(new_token shop)
s3_destination() { # NAME SETTING...
	local name=$1
	shift
	ctl --json destination create --kind s3 --name "$name" --set endpoint="$proxy" --set bucket="$S3_BUCKET" --set access_key="$AWS_ACCESS_KEY_ID" --set secret_key=@"$T/secret" "$@"
}
answer=$(s3_destination lake --set secret_key=@"$T/wrong" --set key_template='json/[integration_name]/[table_name]/[table_version]_[timestamp_loaded].jsonl' 2>/dev/null)
like "a wrong secret: what to do" 'access_key and secret_key' "$(jq -r .check.fix <<<"$answer")"
is "is put right" true "$(ctl --json destination set lake --set secret_key=@"$T/secret" >/dev/null; ctl --json destination check lake | jq .ok)"
is "a second one, of another format" true "$(s3_destination sheets --set format=csv --set key_template='csv/[integration_name]/[table_name]/[table_version]_[timestamp_loaded].csv' | jq .check.ok)"
ctl connect shop lake >/dev/null && ctl connect shop sheets >/dev/null || bail "no connection"

# FROM TO: orders with a key, two items each, and the same ids into the table events, which has none
push() {
	python3 - "$1" "$2" <<'PY' >"$T/orders.json"
import json, sys
a, b = int(sys.argv[1]), int(sys.argv[2])
print(json.dumps({"table_name": "orders", "schema": {"properties": {"id": {"type": "integer"}, "amount": {"type": "number"}, "items": {"type": "array"}}}, "key_names": ["id"], "messages": [
    {"action": "upsert", "sequence": i, "data": {"id": i, "amount": i + 0.25, "items": [{"sku": "%d-a" % i}, {"sku": "%d-b" % i}]}} for i in range(a, b + 1)]}))
PY
	jq -c '.table_name = "events" | .key_names = [] | .messages |= map(del(.data.items)) | del(.schema.properties.items)' "$T/orders.json" >"$T/events.json"
	send orders "$1" && send events "$1"
}
# TABLE FROM: until it is accepted; stitchd may die meanwhile, and is started again. The key makes it count once
send() {
	until [ "$(post /v2/import/batch "$token" -H "Idempotency-Key: $1-$2" <"$T/$1.json")" = 201 ]; do
		gone "$stitchd_pid" || { diag "$(cat "$T/body")"; return 1; }
		again || return 1
	done
}
again() { await_death 60 && [ "$rc" = 137 ] && died=1 && start; }
ids() { # TABLE: of the files of both destinations, as "count distinct min max" each
	local n
	{
		cat "$S3_DATA/json/shop/$1"/*.jsonl | jq .id
		echo csv
		python3 - "$S3_DATA/csv/shop/$1"/*.csv <<'PY'
import csv, sys
for f in sys.argv[1:]:
    for r in csv.DictReader(open(f, newline="")):
        print(r["id"])
PY
	} >"$T/ids" 2>"$T/ids.err"
	for n in json csv; do
		awk -v want=$n 'BEGIN {now = "json"} $1 == "csv" {now = "csv"; next} now == want {n++; if (!($1 in s)) d++; s[$1]; if (min == "" || $1 + 0 < min) min = $1 + 0; if ($1 + 0 > max) max = $1 + 0}
			END {print n + 0, d + 0, min, max}' "$T/ids"
	done | paste -sd' '
}
push 1 200 || bail "not accepted"
ok "loaded" ctl flush --wait 60
is "orders: each once, in both" "200 200 1 200 200 200 1 200" "$(ids orders)"
is "events too" "200 200 1 200 200 200 1 200" "$(ids events)"
is "records as sent" '[{"sku":"7-a"},{"sku":"7-b"}] 7.25' "$(cat "$S3_DATA"/json/shop/orders/* | jq -rc 'select(.id == 7) | "\(.items) \(.amount)"')"
is "the items of csv are files of their own" 400 "$(cat "$S3_DATA"/csv/shop/orders/items/*.csv | grep -c -- '-[ab],')"
is "sample, through stitchctl" '["id","amount"] 3' "$(ctl --json table sample shop orders lake --rows 3 | jq -rc '"\(.columns[:2]) \(.rows | length)"')"
at=200

# dies there, is started again; the loaders die with it, or alone
round() { # POINT[:N[:loaders]]
	stop_stitchd
	rm -f "$STATE/http.port"
	STITCH_CRASH_AT=$1 STITCH_LIBEXEC=$BUILD "$BUILD/stitchd" --state-dir "$STATE" --socket "$SOCK" --http 127.0.0.1:0 "${fast[@]}" >>"$LOG" 2>&1 </dev/null &
	stitchd_pid=$!
	died=
	wait_ready || again || return 1
	push $((at + 1)) $((at + 50)) || return 1
	at=$((at + 50))
	case $1 in
	*loaders) wait_for 60 'grep -q "crash point '"${1%%:*}"': [0-9]* loaders were killed" "$LOG"' ;;
	*) [ -n "$died" ] || again ;;
	esac && ctl flush --wait 120 >/dev/null
}
for p in load-created:1 load-started:2 load-answered:1 load-answered:3 load-done:2 state-committed:9 load-started:2:loaders load-answered:2:loaders; do
	if round $p; then
		is "after $p: each once" "$at $at 1 $at $at $at 1 $at|$at $at 1 $at $at $at 1 $at" "$(ids orders)|$(ids events)"
	else
		fail "$p" "$(tail -n 5 "$LOG")"
		[ -n "$stitchd_pid" ] || start
	fi
done
stop_stitchd
start || bail "no daemon again"

# the server is away for a while, loses answers, and stitchd is killed meanwhile
s3_server kill
push $((at + 1)) $((at + 50)) && at=$((at + 50))
wait_for 60 '[ "$(ctl --json destination show lake | jq -r .error.class)" = transient ]' && pass "away: transient" || fail "away: transient" "$(ctl --json destination show lake)"
kill_stitchd
s3_server start
rule '{"method":"PUT","action":"lose","count":12}'
start
ok "back: all is loaded" ctl flush --wait 120
clear_rules
is "each once" "$at $at 1 $at $at $at 1 $at" "$(ids orders)"

# discarded while nobody knows whether it was loaded: it was, and is counted so
ctl pause destination sheets >/dev/null
rule '{"method":"PUT","path":"json/shop/events","action":"lose","count":-1}'
push $((at + 1)) $((at + 10)) && at=$((at + 10))
wait_for 60 'curl -sf "$proxy/_proxy/log" | grep -q "^PUT .*json/shop/events.* lose"'
ctl pause destination lake >/dev/null
wait_for 90 '[ "$(ctl --json job list --destination lake --table events --state deferred | jq length)" = 1 ]' || diag "$(ctl job list | tail -n 5)"
job=$(ctl --json job list --destination lake --table events --state deferred | jq -r '.[0].id')
ctl job discard "$job" >/dev/null
clear_rules
ctl resume destination lake >/dev/null
wait_for 60 '[ "$(ctl --json job show '"$job"' | jq -r .state)" = done ]' && pass "a discard of what was loaded: done" || fail "a discard of what was loaded: done" "$(ctl job show "$job")"
ctl resume destination sheets >/dev/null
ok "the rest is loaded" ctl flush --wait 120
is "nothing is double" "$at $at 1 $at $at $at 1 $at|$at $at 1 $at $at $at 1 $at" "$(ids orders)|$(ids events)"
is "the ledger is zero-sum" "" "$(unbalanced)"
is "and all counts as loaded" "$((4 * at))" "$(sum_of loaded)"
stop_stitchd
is "it ends well" 0 $?
unlike "no secret in the log" 'stitchsecret|wrongsecret' "$(cat "$LOG")"
done_testing
