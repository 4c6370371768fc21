#!/bin/bash
# Incoming webhooks through the real daemon into SQLite: addresses, keys, tables by type, signatures with two secrets, forms; sequences rise over a kill; append-only
# without a key.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl sqlite3 openssl
start_stitchd || bail "no daemon"
ctl destination create --kind sqlite --name local --set path="$T/local.db" >/dev/null || bail "no destination"

hook() { # NAME [--set ...]: makes a webhook, connects it, prints its path
	local name=$1
	shift
	ctl --json source create --kind webhook --name "$name" "$@" | jq -r .url_path
	ctl connect "$name" local >/dev/null
}
send() { # PATH TYPE BODY [CURL ARG...]: the code; the answer is in $T/body
	local path=$1 type=$2 body=$3
	shift 3
	curl -s --max-time $((60 * SLOW)) -o "$T/body" -w '%{http_code}' -H "Content-Type: $type" --data-binary "$body" "$@" "$url$path"
}
J=application/json F=application/x-www-form-urlencoded
rows() { sqlite "$T/local.db" "SELECT count(*) FROM $1" 2>/dev/null; }

# --- an address ---
plain=$(hook plain)
like "its path is told" '^/v2/webhook/[0-9]+/at_[0-9a-f]{40}$' "$plain"
is "an object" 201 "$(send "$plain" $J '{"event":"made","n":1}')"
like "its answer" '^\{"status":"OK","message":"Batch Accepted!","receipt":"[^"]+"\}$' "$(cat "$T/body")"
is "an array" 201 "$(send "$plain" 'application/json; charset=utf-8' '[{"n":2},{"n":3}]')"
is "another token" 401 "$(send "${plain%?????}00000" $J '{}')"
is "another client" 401 "$(send "/v2/webhook/99/${plain##*/}" $J '{}')"
is "no token" 404 "$(send /v2/webhook/1 $J '{}')"
is "GET" 405 "$(curl -s -o /dev/null -w '%{http_code}' "$url$plain")"
is "its token opens no other door" 401 "$(post /v2/import/push "${plain##*/}" <<<'[]')"
import=$(new_token shop)
is "nor another token this one" 401 "$(send "/v2/webhook/1/$import" $J '{}')"
is "a form where none is expected" 415 "$(send "$plain" $F 'a=1')"
is "text" 415 "$(send "$plain" text/plain '{}')"
is "no object" 400 "$(send "$plain" $J '[1]')"
is "no JSON" 400 "$(send "$plain" $J '{"a":')"
second=$(ctl --json token create plain | jq -r .url_path)
is "a second address" 201 "$(send "$second" $J '{"n":4}')"
ok "the first is revoked" ctl token revoke plain
is "and gone" 401 "$(send "$plain" $J '{"n":5}')"

# --- keys, tables ---
orders=$(hook orders --set key=id --set table_field=type)
is "events of three kinds" 201 "$(send "$orders" $J '[{"id":1,"type":"paid","v":1},{"id":2,"type":"sent"},{"id":1,"type":"paid","v":2},{"id":9}]')"
is "without its key" 400 "$(send "$orders" $J '{"type":"paid"}')"
like "it is told" 'Record is missing key property id' "$(cat "$T/body")"

# --- signatures ---
signed=$(hook signed --set signature_header=X-Hub-Signature-256 --set secret=@<(printf first))
sign() { printf '%s' "$1" | openssl dgst -sha256 -hmac "$2" -r | cut -d' ' -f1; }
body='{"n":1}'
is "signed" 201 "$(send "$signed" $J "$body" -H "X-Hub-Signature-256: sha256=$(sign "$body" first)")"
is "not signed" 401 "$(send "$signed" $J "$body")"
is "signed by another" 401 "$(send "$signed" $J "$body" -H "X-Hub-Signature-256: sha256=$(sign "$body" second)")"
is "another body" 401 "$(send "$signed" $J '{"n":2}' -H "X-Hub-Signature-256: sha256=$(sign "$body" first)")"
ok "the secret changes" ctl source set signed --set secret=@<(printf second) --set secret_old=@<(printf first)
is "the new one" 201 "$(send "$signed" $J "$body" -H 'Idempotency-Key: k1' -H "X-Hub-Signature-256: $(sign "$body" second)")"
is "not signed, with its key" 401 "$(send "$signed" $J "$body" -H 'Idempotency-Key: k1')"
is "and the old one" 201 "$(send "$signed" $J "$body" -H "X-Hub-Signature-256: $(sign "$body" first)")"
now=$(date +%s)
is "signed with a time" 201 "$(send "$signed" $J "$body" -H "X-Hub-Signature-256: t=$now,v1=$(sign "$now.$body" second)")"
is "an old one" 401 "$(send "$signed" $J "$body" -H "X-Hub-Signature-256: t=$((now - 900)),v1=$(sign "$((now - 900)).$body" second)")"
ok "the old one ends" ctl source set signed --set secret_old=
is "it is refused" 401 "$(send "$signed" $J "$body" -H "X-Hub-Signature-256: $(sign "$body" first)")"
unlike "secrets are not shown" 'second' "$(ctl --json source show signed)"
unlike "nor is a token logged" "${signed##*/}|${plain##*/}" "$(cat "$T"/stitchd*.log "$T"/*.err 2>/dev/null)"
exits 1 "a secret without its header is refused" ctl source create --kind webhook --name half --set secret=@<(printf x)
exits 1 "an unknown algorithm too" ctl source create --kind webhook --name half --set secret=@<(printf x) --set signature_header=X --set signature_algorithm=md5

# --- forms ---
form=$(hook form --set form=fields)
mandrill=$(hook mandrill --set form=json:mandrill_events)
is "a form" 201 "$(send "$form" $F 'From=%2B49&Body=Gr%C3%BC%C3%9Fe+%26+mehr')"
is "JSON in a form" 201 "$(send "$mandrill" $F 'mandrill_events=%5B%7B%22event%22%3A%22open%22%7D%2C%7B%22event%22%3A%22click%22%7D%5D')"
is "not its field" 400 "$(send "$mandrill" $F 'events=1')"
is "JSON where a form is expected" 415 "$(send "$form" $J '{}')"

# --- a kill; the clock of the sequences ---
before=$(metric stitch_import_records_total)
is "fifteen records were accepted" 15 "$before"
kill_stitchd
start_stitchd || bail "it does not start again"
is "after the kill" 201 "$(send "$second" $J '[{"n":6},{"n":7}]')"
wait_for 60 '[ "$(rows plain__data)" = 6 ] && [ "$(rows orders__paid)" = 1 ] && [ "$(rows signed__data)" = 4 ] && [ "$(rows mandrill__data)" = 2 ] && [ "$(rows form__data)" = 1 ]'
is "append-only: each is a row" 6 "$(rows plain__data)"
is "in their order, by sequence" "1 2 3 4 6 7" "$(sqlite "$T/local.db" 'SELECT group_concat(n, " ") FROM (SELECT n FROM plain__data ORDER BY _sdc_sequence)')"
is "no sequence twice" 6 "$(sqlite "$T/local.db" 'SELECT count(DISTINCT _sdc_sequence) FROM plain__data')"
is "by key: the later one of the array" "1|2" "$(sqlite "$T/local.db" 'SELECT id, v FROM orders__paid')"
is "a table for each type, data for the others" "2|9" "$(sqlite "$T/local.db" 'SELECT (SELECT id FROM orders__sent), (SELECT id FROM orders__data)')"
is "fields of a form are texts" "+49|Grüße & mehr" "$(sqlite "$T/local.db" 'SELECT "From", Body FROM form__data')"
is "all are accounted for" "" "$(unbalanced)"
stop_stitchd
is "the daemon ends well" 0 $?
done_testing
