#!/bin/bash
# What must never be told: tokens, secrets, and what is in records. A run with marked values in all of them, good and bad requests, at every level of the log;
# then nothing of it is in logs, metrics, events, the audit log or status, nor in the arguments and environment of a process.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl sqlite3 openssl
B=/v2/import/batch P=/v2/import/push
MARK=MARK$RANDOM$RANDOM # in each value that must stay unseen, and nowhere else
# a key's name and a table's name may be told, a value may not
record() { printf '{"id":%s,"text":"%s-text","nested":{"deep":["%s-deep"]},"%s-field":1}' "$1" "$MARK" "$MARK" "$MARK"; }
batch() { printf '{"table_name":"t","schema":%s,"key_names":["id"],"messages":[{"action":"upsert","sequence":1,"data":%s}]}' "$1" "$2"; }
send() { # CODE NAME TYPE BODY [CURL ARG...]
	local wanted=$1 name=$2 type=$3 body=$4
	shift 4
	is "$name" "$wanted" "$(curl -s --max-time $((60 * SLOW)) -o "$T/body" -w '%{http_code}' -H "Content-Type: $type" --data-binary "$body" "$@")"
}
seen() { # NAME < TEXT: no mark, no token, no secret in it
	grep -aFn -e "$MARK" "${tokens[@]/#/-e}" >"$T/seen" && fail "$1" "$(head -n 5 "$T/seen")" || pass "$1"
}

for level in error warn info debug; do
	LOG=$T/stitchd-$level.log
	start_stitchd --log-level "$level" || bail "no daemon"
	if [ "$level" = error ]; then
		token=$(sqlite_chain shop) || bail "no chain"
		hook=$(ctl --json source create --kind webhook --name hook --set signature_header=X-Sign --set secret=@<(printf %s "$MARK-secret") --set secret_old=@<(printf %s "$MARK-old") | jq -r .url_path)
		ctl connect hook local >/dev/null
		printf %s "$MARK-password" >"$T/pw"
		ctl destination create --kind postgres --name pg --set host=127.0.0.1 --set port=1 --set user=u --set password="@$T/pw" --set dbname=d >/dev/null || bail "no destination"
		ctl connect shop pg >/dev/null
		tokens=("$token" "${hook##*/}" "at_wrong$MARK")
	fi
	auth=(-H "Authorization: Bearer $token")
	send 201 "$level: a batch" application/json "$(batch '{}' "$(record 1)")" "${auth[@]}" "$url$B"
	send 201 "a push" application/json "[{\"client_id\":1,\"table_name\":\"p\",\"sequence\":1,\"action\":\"upsert\",\"key_names\":[\"id\"],\"data\":$(record 2)}]" "${auth[@]}" "$url$P"
	send 201 "with a key" application/json "$(batch '{}' "$(record "3$level" | sed 's/"id":[^,]*/"id":3/')")" "${auth[@]}" -H "Idempotency-Key: $level-$MARK" "$url$B"
	send 422 "another body under it" application/json "$(batch '{}' "$(record 4)")" "${auth[@]}" -H "Idempotency-Key: $level-$MARK" "$url$B"
	send 400 "against its schema" application/json "$(batch '{"properties":{"text":{"type":"integer"}}}' "$(record 5)")" "${auth[@]}" "$url$B"
	send 400 "not JSON" application/json "{\"$MARK\":$MARK" "${auth[@]}" "$url$B"
	send 400 "no such argument" application/json "{\"$MARK\":\"$MARK\"}" "${auth[@]}" "$url$B"
	send 400 "a key that is missing" application/json "$(batch '{}' "{\"text\":\"$MARK\"}")" "${auth[@]}" "$url$B"
	send 400 "damaged" application/json "$MARK" "${auth[@]}" -H 'Content-Encoding: gzip' "$url$B"
	send 400 "Transit that is none" application/transit+json "[\"~#$MARK\"" "${auth[@]}" "$url$P"
	send 415 "another type" "$MARK/x" x "${auth[@]}" "$url$B"
	send 401 "a wrong token" application/json '{}' -H "Authorization: Bearer at_wrong$MARK" "$url$B"
	send 401 "a wrong address" application/json '{}' "$url/v2/webhook/1/at_wrong$MARK"
	send 404 "no address" application/json '{}' "${auth[@]}" "$url/$MARK/x?$MARK=1"
	send 401 "a wrong signature" application/json '{}' -H "X-Sign: $MARK" "$url$hook"
	body="{\"v\":\"$MARK\"}"
	send 201 "a good one" application/json "$body" -H "X-Sign: $(printf %s "$body" | openssl dgst -sha256 -hmac "$MARK-secret" -r | cut -d' ' -f1)" "$url$hook"
	printf 'POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: zz\r\n\r\n%s' "$B" "$token" "$MARK" | curl -s --max-time 5 "telnet://127.0.0.1:$port" >"$T/odd"
	ctl destination check pg >"$T/test" 2>&1
	wait_for 60 '[ "$(sqlite "$T/local.db" "select count(*) from shop__t where id = 3" 2>/dev/null)" = 1 ]'
	# a record that a loader refuses: a name that no destination takes
	send 201 "one that is rejected later" application/json "$(batch '{}' "{\"id\":9,\"_sdc_$MARK\":\"$MARK\"}")" "${auth[@]}" "$url$B"
	wait_for 60 '[ "$(sum_of rejected "select(.destination == \"local\")")" -ge 1 ]'
	like "the mark is kept with what is rejected, where it may be" "$MARK" "$(for j in $(ctl --json job list | jq -r '.[].id'); do ctl --json job show "$j"; done)"
	seen "not in the metrics" < <(curl -s "$url/metrics")
	seen "not in status" < <(ctl --json status)
	seen "not in the audit log" < <(ctl --json audit list)
	seen "not in the events" < <(ctl --json event list)
	seen "not where sources and destinations are shown" < <(ctl --json source show shop; ctl --json source show hook; ctl --json destination show pg; ctl --json config export)
	seen "not in arguments or environments" < <(for p in "$stitchd_pid" $(pgrep -P "$stitchd_pid"); do cat "/proc/$p/cmdline" "/proc/$p/environ"; done 2>/dev/null | tr '\0' '\n')
	stop_stitchd
	is "the daemon ends well" 0 $?
	seen "nor in the log" <"$LOG"
done
[ "$(wc -l <"$T/stitchd-debug.log")" -gt "$(wc -l <"$T/stitchd-error.log")" ] && pass "the log of level debug says more" || fail "the log of level debug says more"
done_testing
