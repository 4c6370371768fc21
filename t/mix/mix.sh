#!/bin/bash
# A mix of good, bad, slow, aborted, packed, TLS and webhook requests against this build for SECONDS (60): no finding of a sanitizer, memory flat, the room for
# bodies given back. Not a part of ./test, since it takes its time: make mix SECONDS=90.
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl openssl python3
seconds=${MIX_SECONDS:-60}
export ASAN_OPTIONS=$ASAN_OPTIONS:quarantine_size_mb=16
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -keyout "$T/tls.key" -out "$T/tls.crt" 2>/dev/null || bail "no certificate"
start_stitchd --https 127.0.0.1:0 --tls-cert "$T/tls.crt" --tls-key "$T/tls.key" || bail "no daemon"
token=$(sqlite_chain shop)
hook=$(ctl --json source create --kind webhook --name hook | jq -r .url_path)
ctl connect hook local >/dev/null
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$stitchd_pid/status"; }
room() { curl -s "$url/metrics" | awk '/^stitch_import_body_bytes/ { print $2 }'; }

mix() { # SECONDS SEED
	python3 "$top/t/lib/mix.py" --port "$port" --tls-port "$(cat "$STATE/https.port")" --token "$token" --hook "$hook" --seconds "$1" --seed "$2" \
		--connections "${MIX_CONNECTIONS:-150}" >"$T/mix" 2>&1
}
ok "the first third: what is answered" mix $((seconds / 3)) 1
diag "$(cat "$T/mix")"
before=$(rss)
kill -HUP "$stitchd_pid"
ok "the rest" mix $((seconds - seconds / 3)) 2
diag "$(cat "$T/mix")"
ok "the room is given back" wait_for 30 '[ "$(room)" = 0 ]'
ok "no connection is left" wait_for 30 '[ "$(curl -s "$url/metrics" | awk "/^stitch_import_connections/ { print \$2 }")" -le 1 ]'
diag "memory after the first third and at the end: $before $(rss) KiB"
ok "memory is flat" [ "$(rss)" -lt $((before * 5 / 4 + 65536)) ]
is "a request goes through" 201 "$(make_batch mix 1 10 | post /v2/import/batch "$token")"
(mix 5 3) &
_pids+=($!)
wait_for 10 '[ "$(curl -s "$url/metrics" | awk "/^stitch_import_connections/ { print \$2 }")" -gt 20 ]'
stop_stitchd
is "it stops in the midst of requests" 0 $?
unlike "no finding" 'Sanitizer|runtime error' "$(cat "$LOG")"
unlike "no token in the log" "$token|${hook##*/}" "$(cat "$LOG")"
done_testing
