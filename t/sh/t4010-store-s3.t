#!/bin/bash
# Batch files in a bucket of a real S3 server: the contract of all stores; stitchd with such a store through the whole chain while the server is killed, paused, slow, refuses, loses answers, and
# stitchd is killed; what `store check` says. Nothing is lost, nothing is double.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl python3 sqlite3
need_built stitchd stitchctl t/contract/store.tap
start_s3
if STORE_S3="$S3_BUCKET?endpoint=$S3_ENDPOINT" "$BUILD/t/contract/store.tap" >"$T/contract" 2>&1; then pass "the contract of all stores"; else fail "the contract of all stores" "$(grep -A5 '^not ok' "$T/contract")"; fi
ok "s3 was asked, too" grep -q '^ok .* s3: get and stat' "$T/contract"

"$top/t/lib/s3-proxy.py" "$S3_PORT" >"$T/proxy.port" 2>"$T/proxy.log" &
track $!
wait_for 20 '[ -s "$T/proxy.port" ]'
proxy=http://127.0.0.1:$(cat "$T/proxy.port")
rule() { curl -sf -o "$T/null" -d "$1" "$proxy/_proxy/rule"; }
clear_rules() { curl -sf -o "$T/null" -d '' "$proxy/_proxy/clear"; }
keys() { printf 'store = s3://%s/batches?endpoint=%s\nstore_access_key = %s\nstore_secret_key = @%s\n' "$S3_BUCKET" "$proxy" "$AWS_ACCESS_KEY_ID" "$1" >"$T/conf"; }
printf %s "$AWS_SECRET_ACCESS_KEY" >"$T/secret"
printf wrongsecret >"$T/wrong"
start() { start_stitchd --config "$T/conf" --backoff-first 50ms --backoff-max 300ms --idle-cut-delay 5ms --batch-keep 0s --retention-interval 200ms; }

keys "$T/wrong"
start || bail "no daemon"
run ctl --json store check
like "a wrong secret: cause" 'SignatureDoesNotMatch' "$(jq -r .cause <<<"$out")"
like "and what to do" 'access_key and secret_key' "$(jq -r .fix <<<"$out")"
stop_stitchd
keys "$T/secret"
start || bail "no daemon"
is "with the right one" true "$(ctl --json store check | jq .ok)"
token=$(sqlite_chain shop)
at=0
push() { # so many records more
	is "$2: accepted" 201 "$(make_batch orders $((at + 1)) $((at + $1)) | post /v2/import/batch "$token")"
	at=$((at + $1))
}
rows() { sqlite "$T/local.db" "SELECT count(*) || ' ' || count(DISTINCT id) || ' ' || sum(id) FROM shop__orders"; }
wanted() { echo "$at $at $((at * (at + 1) / 2))"; }
round() { # NAME
	ok "$1: loaded" ctl flush --wait 120
	is "$1: each once" "$(wanted)" "$(rows)"
}
push 100 "a server that is well"
round "a server that is well"
ok "files went into the bucket, below the prefix" [ "$(curl -sf "$proxy/_proxy/log" | grep -c '^PUT /stitch/batches/.*zst 200')" -ge 1 ]
is "none in the state folder" "" "$(find "$STATE" -name '*.zst')"

clear_rules
rule '{"method":"PUT","action":"answer","status":503,"code":"SlowDown","count":4}'
push 100 "SlowDown"
round "SlowDown"
clear_rules
rule '{"method":"PUT","action":"lose","count":2}'
push 100 "lost answers of a put"
round "lost answers of a put"
clear_rules
rule '{"method":"GET","path":"zst","action":"half","count":2}'
push 100 "half of a file"
round "half of a file"
clear_rules
rule '{"method":"*","path":"zst","action":"cut","count":3}'
push 100 "cut connections"
round "cut connections"
clear_rules
s3_server kill
push 100 "a server that is dead"
push 50 "and still"
kill_stitchd
start && pass "stitchd starts without it" || bail "stitchd does not start without the bucket"
push 50 "accepted, too"
s3_server start
round "it is back"
s3_server pause
push 100 "a server that hangs"
s3_server resume
round "it goes on"
mv "$S3_DATA" "$S3_DATA.away"
push 100 "the bucket is missing"
wait_for 30 'grep -q NoSuchBucket "$LOG"' && pass "the log says why" || fail "the log says why" "$(tail -n 3 "$LOG")"
mv "$S3_DATA.away" "$S3_DATA"
round "the bucket is there again"

# killed where it hurts; the key makes a push count once, however often it is sent
for p in store-written:1 cut-committed:1 load-started:1 retention-rows:1; do
	stop_stitchd
	rm -f "$STATE/http.port"
	STITCH_CRASH_AT=$p STITCH_LIBEXEC=$BUILD "$BUILD/stitchd" --config "$T/conf" --state-dir "$STATE" --socket "$SOCK" --http 127.0.0.1:0 --idle-cut-delay 5ms --batch-keep 0s \
		--retention-interval 200ms >>"$LOG" 2>&1 </dev/null &
	stitchd_pid=$! rc=
	until wait_ready && [ "$(make_batch orders $((at + 1)) $((at + 50)) | post /v2/import/batch "$token" -H "Idempotency-Key: $p")" = 201 ]; do
		gone "$stitchd_pid" && await_death 10 && start || bail "not accepted at $p"
	done
	at=$((at + 50))
	[ -n "$rc" ] || { await_death 60 && start; }
	is "$p is reached" 137 "$rc"
	round "after $p"
done
is "the ledger is zero-sum" "" "$(unbalanced)"
ok "files that all have go from the bucket" wait_for 60 '[ "$(find "$S3_DATA/batches" -name "*.zst" | wc -l)" = 0 ]'
stop_stitchd
is "it ends well" 0 $?
unlike "no secret in the log" 'stitchsecret|wrongsecret' "$(cat "$LOG")"
done_testing
