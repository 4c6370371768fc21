#!/bin/bash
# What can happen to an S3 destination in a load: the server slows down, dies, hangs; answers are lost; the loader is killed at each of its requests; a batch leaves the load; memory stays small.
# Whatever it is, the retry ends with each record in one file, once.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/loader-contract.sh"
need jq python3 curl
need_built stitch-load-s3 t/lib/loader-driver
start_s3

"$top/t/lib/s3-proxy.py" "$S3_PORT" >"$T/proxy.port" 2>"$T/proxy.log" &
track $!
wait_for 20 '[ -s "$T/proxy.port" ]'
proxy=http://127.0.0.1:$(cat "$T/proxy.port")
rule() { curl -sf -o "$T/null" -d "$1" "$proxy/_proxy/rule"; }
clear_rules() { curl -sf -o "$T/null" -d '' "$proxy/_proxy/clear"; }
seen() { curl -sf "$proxy/_proxy/log"; }

PROGRAM=$BUILD/stitch-load-s3
jsonl=$(jq -nc --arg e "$proxy" '{endpoint: $e, bucket: env.S3_BUCKET, access_key: env.AWS_ACCESS_KEY_ID, secret_key: env.AWS_SECRET_ACCESS_KEY}')
csv=$(jq -c '. + {format: "csv"}' <<<"$jsonl")
SETTINGS=$jsonl
files() { (cd "$S3_DATA" && find . -type f | sed 's|^\./||' | sort); }
# the server keeps what it knows of an object beside it
empty_bucket() { rm -rf "${S3_DATA:?}"/* "$T/env/s3-run/main/meta/$S3_BUCKET"; clear_rules; }
# what is in the bucket: names and sums, to be compared
content() { (cd "$S3_DATA" && find . -type f -print0 | sort -z | xargs -0 sha256sum); }

# a loader that is told line by line: begin; say LINE...; finish (then $out is what it answered)
begin() {
	mkfifo "$T/fifo"
	"$BUILD/t/lib/loader-driver" <"$T/fifo" >"$T/answers" 2>>"$T/driver.log" &
	driver=$!
	track $driver
	exec 8>"$T/fifo"
	rm "$T/fifo"
	say "spawn $PROGRAM" "open $SETTINGS"
}
say() { printf '%s\n' "$@" >&8; }
finish() { exec 8>&-; wait "$driver"; out=$(cat "$T/answers"); }
loader() { pgrep -P "$driver"; }
answered() { [ "$(grep -cE '^(result|error) ' "$T/answers")" -gt "$1" ]; } # NUMBER, besides loader.open
kill_loader() { kill -KILL "$(loader)"; exec 8>&-; wait "$driver" 2>/dev/null; }

batch='table t id
batch b1
entry 1
rec 1 {"id":1,"s":"one"}
rec 2 {"id":2,"s":"two"}
end'
one() { # NAME RULE...: the load fails for a while and its retry, without the rules, does it
	local name=$1 r
	shift
	empty_bucket
	for r; do rule "$r"; done
	drive <<<"$batch"$'\nload b1'
	is "$name: tried again later" transient "$(class)"
	clear_rules
	drive <<<"$batch"$'\nload-id 1\nattempt 2\nload b1'
	is "$name: then all is there, once" 'shop/t/1_1700000000001.jsonl 2' "$(files) $(cat "$S3_DATA"/shop/t/* | jq -c .id | wc -l)"
}
one "SlowDown" '{"method":"PUT","action":"answer","status":503,"code":"SlowDown","count":-1}'
one "SlowDown at the first look" '{"method":"HEAD","action":"answer","status":503,"count":-1}'
one "connections that end" '{"method":"PUT","action":"cut","count":-1}'
one "answers that are lost" '{"method":"PUT","action":"lose","count":-1}'
is "the retry of what was there only acknowledges" '[[null,null,true,1]]' "$(last '[.batches[] | [.rows, .rejected, .already, .attempt]]')"
one "a full store" '{"method":"PUT","action":"answer","status":507,"code":"XMinioStorageFull","count":-1}'

empty_bucket
rule '{"method":"PUT","action":"answer","status":403,"code":"AccessDenied","count":-1}'
drive <<<"$batch"$'\nload b1\ncheck'
is "no right to put: a person must act" config "$(answers | head -n 1 | cut -d' ' -f2- | jq -r .data.class)"
like "with what to do" 's3:PutObject on arn:aws:s3:::stitch/\*' "$(answers | head -n 1)"
is "the check says which right" 'put objects' "$(last '[.rights[] | select(.ok | not) | .name] | join(",")' | tr -d '"')"
is "and gives the policy" '["s3:PutObject","s3:GetObject","s3:DeleteObject","s3:AbortMultipartUpload"] arn:aws:s3:::stitch/*' \
	"$(last .fix | jq -r '.[index("{"):]' | jq -r '.Statement[0] | "\(.Action | tojson) \(.Resource)"')"
empty_bucket
mkdir -p "$S3_DATA/shop/t"
echo theirs >"$S3_DATA/shop/t/1_1700000000001.jsonl"
drive <<<"$batch"$'\nload b1'
is "a stranger's object under our key: a person must act" config "$(class)"
is "it stays as it is" theirs "$(cat "$S3_DATA/shop/t/1_1700000000001.jsonl")"

# --- the server dies and hangs ---
empty_bucket
begin
say "$batch" 'load b1'
wait_for 30 'answered 1'
s3_server kill
say 'batch b2' 'entry 2' 'rec 3 {"id":3}' 'end' 'load b2'
wait_for 60 'answered 2'
s3_server start
say 'load-id 2' 'attempt 2' 'load b2'
finish
is "a server that was killed: later" transient "$(answers | sed -n 2p | cut -d' ' -f2- | jq -r .data.class)"
is "the same loader goes on when it is back" '[[1,0,false]]' "$(counts)"
is "with all that was there" '1,2 3' "$(jq -s -r 'map(.id) | join(",")' "$S3_DATA/shop/t/1_1700000000001.jsonl") $(jq .id "$S3_DATA/shop/t/1_1700000000002.jsonl")"
empty_bucket
rule '{"method":"PUT","action":"hang","count":1}'
begin
say "$batch" 'load b1'
wait_for 30 'seen | grep -q " hang"'
pid=$(loader)
exec 8>&-
kill -TERM "$driver"
wait "$driver" 2>/dev/null
wait_for 20 'gone "$pid"'
ok "a loader that waits for a server ends when the daemon does" gone "$pid"

# --- killed at each request: before the server has it, and after ---
SETTINGS=$csv
P=$'\1' E=$'\2'
rich="table t id
declare id integer
declare items array
declare items${E} object
declare items${E}${P}sku string
declare items${E}${P}tags array
declare items${E}${P}tags${E} string
batch b1
entry 1
rec 1 {\"id\":1,\"items\":[{\"sku\":\"k1\",\"tags\":[\"r\",\"g\"]}]}
rec 2 {\"id\":\"none\"}
rec 3 {\"id\":2,\"items\":[]}
end
batch b2
entry 2
rec 4 {\"id\":3}
end"
empty_bucket
drive <<<"$rich"$'\nload b1 b2'
is "a load of table, subtables and rejected records" 'shop/_sdc_rejected/1_1700000000001.jsonl shop/t/1_1700000000001.csv shop/t/items/1_1700000000001.csv shop/t/items/tags/1_1700000000001.csv' "$(files | paste -sd' ')"
wanted=$(content)
requests=$(seen | grep -vc _stitch_check)
ok "which takes some requests" [ "$requests" -ge 6 ]
is "the table's own file is the last" "PUT /stitch/shop/t/1_1700000000001.csv" "$(seen | tail -n 1 | cut -d' ' -f1-2)"
for ((n = 0; n < requests; n++)); do
	for how in hang stall; do
		empty_bucket
		rule '{"method":"*","action":"'$how'","skip":'$n',"count":1}'
		begin
		say "$rich" 'load b1 b2'
		wait_for 30 'seen | grep -qE " (hang|stalled) "'
		kill_loader
		clear_rules
		drive <<<"$rich"$'\nload-id 1\nattempt 2\nload b1 b2'
		[ "$(content)" = "$wanted" ] && [ "$(last '.batches | length')" = 2 ] || break 2
	done
done
is "killed before and after each request, the retry ends with the same files" "$requests" "$n"

# --- a batch that leaves the load between two attempts ---
empty_bucket
rule '{"method":"PUT","path":"shop/t/1_","action":"hang","count":1}'
begin
say "$rich" 'load b1 b2'
wait_for 30 'seen | grep -q " hang "'
kill_loader
is "killed before the table's file" 'shop/_sdc_rejected/1_1700000000001.jsonl shop/t/items/1_1700000000001.csv shop/t/items/tags/1_1700000000001.csv' "$(files | paste -sd' ')"
drive <<<"$rich"$'\nload-id 2\ndiscard b1\nload-id 1\nattempt 2\nload b2'
is "the batch was not loaded" false "$(answers | head -n 1 | cut -d' ' -f2- | jq .was_loaded)"
is "nothing of it stays" 'shop/t/1_1700000000001.csv' "$(files)"

# --- large loads: in parts, in little memory ---
SETTINGS=$jsonl
peak() { awk '/^VmHWM/ {print int($2 / 1024)}' "/proc/$(loader)/status"; }
limit=64
[ "$FLAVOUR" = plain ] || limit=100000 # a sanitizer has memory of its own
empty_bucket
rule '{"method":"POST","path":"uploadId=","action":"lose","count":1}'
begin
say 'table big id' 'batch g' 'gen 200000' 'end' 'load g'
wait_for 120 'answered 1'
mem=$(peak)
finish
is "200,000 rows, and the answer to the end of the upload is lost" '[[200000,0,false]]' "$(counts)"
is "all are there" 200000 "$(wc -l <"$S3_DATA/shop/big/1_1700000000001.jsonl")"
ok "in parts" [ "$(seen | grep -c 'PUT .*partNumber=')" -gt 2 ]
ok "memory: $mem MiB at most" [ "$mem" -le $limit ]
SETTINGS=$csv
empty_bucket
begin
say "$(python3 - <<'PY'
print("table wide id\ndeclare id integer")
for k in range(40):
    print("declare a%d array\ndeclare a%d\2 string" % (k, k))
print("batch w\nentry 1")
for r in range(120):
    print('rec %d {"id":%d,%s}' % (r, r, ",".join('"a%d":["%s"]' % (k, "x" * 20000) for k in range(40))))
print("end\nload w")
PY
)"
wait_for 120 'answered 1'
mem=$(peak)
finish
is "40 subtables of 2 MB each" '[[120,0,false]]' "$(counts)"
is "all are there" "41 4800" "$(files | wc -l) $(cat "$S3_DATA"/shop/wide/a*/* | grep -c xxxx)"
ok "memory: $mem MiB at most" [ "$mem" -le $limit ]
unlike "no secret anywhere" 'stitchsecret' "$(cat "$T"/driver.log "$T"/proxy.log "$T/said" 2>/dev/null)"
done_testing
