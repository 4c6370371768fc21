#!/bin/bash
# TLS beside plain HTTP: the certificate, versions, large and many requests, a certificate that is exchanged by SIGHUP without losing a connection, and one that is
# wrong.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl openssl
certificate() { # NAME: PEM files $T/NAME.crt and .key for localhost
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
		-keyout "$T/$1.key" -out "$T/$1.crt" 2>/dev/null
}
certificate first && certificate second || bail "no certificates"
cat "$T/first.crt" >"$T/tls.crt"
cat "$T/first.key" >"$T/tls.key"

check() { "$BUILD/stitchd" --state-dir "$STATE" "$@" --check-config 2>&1; }
like "without a certificate it is refused" 'https needs tls_cert and tls_key' "$(check --https 127.0.0.1:0)"
start_stitchd --https 127.0.0.1:0 --tls-cert "$T/tls.crt" --tls-key "$T/tls.key" || bail "no daemon"
tls=https://localhost:$(cat "$STATE/https.port")
token=$(new_token shop)
up='{"action":"upsert","sequence":1,"data":{"id":1}}'
batch="{\"table_name\":\"t\",\"schema\":{},\"key_names\":[\"id\"],\"messages\":[$up]}"
secure() { # BODY-FILE [CURL ARG...]: the code
	local file=$1
	shift
	curl -s --max-time $((60 * SLOW)) -o "$T/body" -w '%{http_code}' --cacert "$T/first.crt" -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \
		--data-binary "@$file" "$@" "$tls/v2/import/batch"
}
printf '%s' "$batch" >"$T/small"
is "a batch over TLS" 201 "$(secure "$T/small")"
is "plain HTTP goes on" 201 "$(post /v2/import/batch "$token" <"$T/small")"
is "TLS 1.2" 201 "$(secure "$T/small" --tls-max 1.2)"
isnt "TLS 1.1 is refused" 0 "$(openssl s_client -connect "${tls#https://}" -tls1_1 -cipher 'ALL:@SECLEVEL=0' </dev/null >/dev/null 2>&1; echo $?)"
is "plain HTTP on its port is not answered" 000 "$(curl -s -o /dev/null -w '%{http_code}' --max-time 20 "http${tls#https}/healthz")"
make_batch t 1 20000 300 >"$T/large"
is "$(wc -c <"$T/large") bytes" 201 "$(secure "$T/large")"
is "the same in chunks" 201 "$(secure "$T/large" -H 'Transfer-Encoding: chunked')"
is "more than is taken" 413 "$(head -c 25000000 /dev/zero >"$T/zeros"; secure "$T/zeros" -H Expect:)"
many=$(for i in {1..40}; do echo "url = $tls/v2/import/batch"; echo "output = /dev/null"; done)
is "forty on a few connections" "40 201" "$(curl -s --parallel --parallel-max 8 -K - -w '%{http_code}\n' --cacert "$T/first.crt" -H "Authorization: Bearer $token" \
	-H 'Content-Type: application/json' --data-binary "@$T/small" <<<"$many" | sort | uniq -c | tr -s ' ' | sed 's/^ //')"

# --- another certificate; a connection that is open goes on ---
served() { openssl s_client -connect "${tls#https://}" </dev/null 2>/dev/null | openssl x509 -noout -fingerprint; }
print_of() { openssl x509 -noout -fingerprint -in "$T/$1.crt"; }
is "the first one is served" "$(print_of first)" "$(served)"
coproc openssl s_client -quiet -connect "${tls#https://}" 2>/dev/null
ask() { # on that connection
	local line
	printf 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n' >&"${COPROC[1]}"
	read -r -t $((20 * SLOW)) line <&"${COPROC[0]}" && echo "${line%$'\r'}"
	while read -r -t $((20 * SLOW)) line <&"${COPROC[0]}" && [ "${line%$'\r'}" ]; do :; done
	head -c 15 <&"${COPROC[0]}" >/dev/null # {"status":"OK"}
}
is "a connection" "HTTP/1.1 200 OK" "$(ask)"
cat "$T/second.crt" >"$T/tls.crt"
cat "$T/second.key" >"$T/tls.key"
kill -HUP "$stitchd_pid"
wait_for 20 '[ "$(served)" = "$(print_of second)" ]'
is "after SIGHUP the second one is" "$(print_of second)" "$(served)"
is "the open connection goes on" "HTTP/1.1 200 OK" "$(ask)"
kill "$COPROC_PID" 2>/dev/null
cat "$T/first.crt" >"$T/tls.crt" # not its key
kill -HUP "$stitchd_pid"
wait_for 20 'grep -q "does not belong to the certificate" "$LOG"'
ok "a certificate without its key is told" grep -q 'SIGHUP: nothing is changed: the key in .* does not belong' "$LOG"
is "and the one before stays" "$(print_of second)" "$(served)"
unlike "no key is logged" 'PRIVATE' "$(cat "$LOG")"
stop_stitchd
is "the daemon ends well" 0 $?
ok "it does not start with it" [ "$("$BUILD/stitchd" --state-dir "$STATE" --http 127.0.0.1:0 --https 127.0.0.1:0 --tls-cert "$T/tls.crt" --tls-key "$T/tls.key" >/dev/null 2>&1; echo $?)" = 1 ]
done_testing
