#!/bin/bash
# The S3 client (shared/s3.h) against a real server, and through a proxy that refuses, loses, cuts and delays: what is tried again, what is not, what is told.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need curl python3 jq
need_built t/lib/s3-tool
export VGW_VIRTUAL_DOMAIN=localhost
start_s3
direct=$S3_ENDPOINT

s3() { "$BUILD/t/lib/s3-tool" "$@" 2>"$T/s3.err"; }
requests() { sed -n 's/^requests \([0-9]*\) .*/\1/p' "$T/s3.err"; }
same() { if cmp -s "$2" "$3"; then pass "$1"; else fail "$1" "$(ls -l "$2" "$3" 2>&1)"; fi; } # NAME FILE FILE
head -c 1000 /dev/urandom >"$T/a"
head -c 20000000 /dev/urandom >"$T/b"
head -c 70000000 /dev/urandom >"$T/c"
: >"$T/empty"

# --- a server that is well ---
key='dir/a b+c=ü@,:()!*~'"'"'.json'
s3 put "$key" "$T/a"
same "put, a key with all sorts of characters" "$T/a" "$S3_DATA/$key"
s3 get "$key" "$T/got"
same "get" "$T/a" "$T/got"
s3 cat "$key" 10 5 >"$T/got"
same "a range" <(tail -c +11 "$T/a" | head -c 5) "$T/got"
is "head: size and ETag" "$key 1000 $(md5sum <"$T/a" | cut -d' ' -f1)" "$(s3 head "$key")"
s3 put empty "$T/empty"
is "an empty object" "empty 0 d41d8cd98f00b204e9800998ecf8427e" "$(s3 head empty)"
s3 upload big 65536 <"$T/b"
same "an upload in parts" "$T/b" "$S3_DATA/big"
is "three parts, one begin, one end, a look for older ones" 6 "$(requests)"
s3 upload spilled 700000 "$T" <"$T/b"
same "one that gave its memory up" "$T/b" "$S3_DATA/spilled"
s3 upload small 100 <"$T/a"
same "a small one" "$T/a" "$S3_DATA/small"
is "is a single put" 1 "$(requests)"
s3 upload none </dev/null
same "one of nothing" "$T/empty" "$S3_DATA/none"
s3 put big2 "$T/c"
same "a large file, in parts" "$T/c" "$S3_DATA/big2"
is "put only if absent: it is there" 'error exists: cannot put "empty" in bucket "stitch": it is there already' "$(s3 put empty "$T/a" absent)"
s3 put fresh "$T/a" absent
same "it is not" "$T/a" "$S3_DATA/fresh"
for k in $(seq 1 5); do s3 put "many/$k" "$T/a"; done
is "list: under a prefix, in order" 'many/1 many/2 many/3 many/4 many/5' "$(s3 list many/ | cut -d' ' -f1 | paste -sd' ')"
is "after a key" 'many/4 many/5' "$(s3 list many/ many/3 | cut -d' ' -f1 | paste -sd' ')"
is "with sizes" 1000 "$(s3 list many/2 | cut -d' ' -f2)"
is "list: odd characters" "$key" "$(s3 list dir/ | sed 's/ 1000 .*//')"
python3 - "$S3_DATA/pages" <<'PY'
import os, sys
os.mkdir(sys.argv[1])
for k in range(2300):
    open("%s/%05d" % (sys.argv[1], k), "w").close()
PY
is "list: all pages" "2300 pages/00000 pages/02299" "$(s3 list pages/ | awk 'NR == 1 {f = $1} {l = $1} END {print NR, f, l}')"
is "of which there were three" 3 "$(requests)"
s3 del empty
is "delete" 'error not_found: cannot look at "empty" in bucket "stitch": there is no such object' "$(s3 head empty)"
exits 0 "delete what is not there" s3 del empty
like "get what is not there" '^error not_found: ' "$(s3 cat nothing)"
is "a key that is too long" 'error invalid: a key of 1025 bytes is longer than the 1024 that S3 takes' "$(s3 head "$(printf %1025s x)")"
S3_ENDPOINT=http://localhost:$S3_PORT S3_STYLE=host s3 get "$key" "$T/got"
same "virtual-host style" "$T/a" "$T/got"
S3_SSE=AES256 s3 put sse "$T/a"
same "with encryption asked for" "$T/a" "$S3_DATA/sse"

# --- settings that are wrong, and what is told ---
told() { # NAME ERROR FIX COMMAND...: variables come before the call
	local name=$1 error=$2 fix=$3
	shift 3
	out=$(s3 "$@")
	like "$name" "$error" "$out"
	like "$name: what to do" "^fix: .*$fix" "$(sed -n '/^fix/p' <<<"$out")"
}
AWS_SECRET_ACCESS_KEY=wrong told "a wrong secret" '^error config: .*SignatureDoesNotMatch' 'access_key and secret_key' list
S3_BUCKET=nowhere told "no such bucket" '^error config: .*NoSuchBucket' 'make the bucket "nowhere"' put x "$T/a"
S3_REGION=eu-west-1 told "a wrong region" '^error config: .*region' 'region to us-east-1' list
AWS_SECRET_ACCESS_KEY=wrong told "a wrong secret, though HEAD has no words" '^error config: .*SignatureDoesNotMatch' 'access_key and secret_key' head big
AWS_ACCESS_KEY_ID=nobody told "an unknown key" '^error config: ' 'access_key and secret_key' list
AWS_SESSION_TOKEN=stale told "a token that is none" '^error config: .*InvalidToken' 'session_token' list
S3_ENDPOINT=http://127.0.0.1:1 told "nobody there" '^error transient: ' 'endpoint http://127.0.0.1:1' list
S3_ENDPOINT='127.0.0.1' like "an endpoint that is none" '^error config: the endpoint must look like' "$(S3_ENDPOINT=127.0.0.1 s3 list)"

# --- through the proxy ---
"$top/t/lib/s3-proxy.py" "$S3_PORT" >"$T/proxy.port" 2>"$T/proxy.log" &
track $!
wait_for 20 '[ -s "$T/proxy.port" ]'
S3_ENDPOINT=http://127.0.0.1:$(cat "$T/proxy.port")
rule() { curl -sf -o "$T/null" -d "$1" "$S3_ENDPOINT/_proxy/rule"; }
clear_rules() { curl -sf -o "$T/null" -d '' "$S3_ENDPOINT/_proxy/clear"; }
seen() { curl -sf "$S3_ENDPOINT/_proxy/log"; }

rule '{"method":"PUT","path":"/slow","action":"answer","status":503,"code":"SlowDown","count":2}'
s3 put slow "$T/a"
same "SlowDown twice: put at last" "$T/a" "$S3_DATA/slow"
is "with three tries" 3 "$(requests)"
clear_rules
rule '{"method":"GET","path":"/slow","action":"answer","status":503,"code":"SlowDown","count":-1}'
like "SlowDown for ever: transient" '^error transient: .*SlowDown' "$(s3 cat slow)"
is "after five tries" 5 "$(requests)"
clear_rules
rule '{"method":"PUT","path":"/retry","action":"answer","status":503,"code":"SlowDown","headers":{"Retry-After":"3600"},"count":-1}'
like "one that says to come in an hour is believed" '^error transient: ' "$(s3 put retry "$T/a")"
is "and not asked again now" 1 "$(requests)"
for status in 500 502 504 429; do
	clear_rules
	rule '{"method":"PUT","path":"/s'$status'","action":"answer","status":'$status',"count":1}'
	s3 put s$status "$T/a"
	same "$status: again" "$T/a" "$S3_DATA/s$status"
done
clear_rules
rule '{"method":"PUT","path":"/400","action":"answer","status":400,"code":"RequestTimeout","count":1}'
s3 put 400 "$T/a"
same "RequestTimeout: again" "$T/a" "$S3_DATA/400"
clear_rules
rule '{"method":"PUT","path":"/denied","action":"answer","status":403,"code":"AccessDenied","message":"Access\nDenied","count":-1}'
told "AccessDenied" '^error config: .*AccessDenied, Access Denied$|^error config: .*AccessDenied, Access Denied' 's3:PutObject on arn:aws:s3:::stitch/\*' put denied "$T/a"
is "is not tried again" 1 "$(requests)"
clear_rules
rule '{"method":"GET","path":"list-type","action":"answer","status":301,"code":"PermanentRedirect","headers":{"x-amz-bucket-region":"eu-north-1"},"count":-1}'
told "a bucket elsewhere" '^error config: .*PermanentRedirect' 'region to eu-north-1' list
for action in cut lose; do
	clear_rules
	rule '{"method":"PUT","path":"/'$action'","action":"'$action'","count":2}'
	s3 put $action "$T/a"
	same "a connection that ends ($action): again" "$T/a" "$S3_DATA/$action"
done
clear_rules
rule '{"method":"GET","path":"/big","action":"half","count":1}'
s3 get big "$T/got"
same "half an answer is taken back and fetched again" "$T/b" "$T/got"
clear_rules
late=$(date -u -d '+200 seconds' '+%a, %d %b %Y %H:%M:%S GMT')
rule '{"method":"PUT","path":"/skewed","action":"answer","status":403,"code":"RequestTimeTooSkewed","headers":{"Date":"'"$late"'"},"count":1}'
s3 put skewed "$T/a"
same "a clock that is off: by the server's" "$T/a" "$S3_DATA/skewed"
is "which it then signs with" 1 "$(seen | grep -c "PUT /stitch/skewed 200 $(date -u -d '+200 seconds' +%Y%m%dT%H)\|PUT /stitch/skewed 200 $(date -u -d '+140 seconds' +%Y%m%dT%H)")"
isnt "not its own" "$(seen | sed -n 's/.* answer //p')" "$(seen | sed -n 's/^PUT .* 200 //p')"
clear_rules
rule '{"method":"PUT","path":"/skewed2","action":"answer","status":403,"code":"RequestTimeTooSkewed","headers":{"Date":"'"$late"'"},"count":-1}'
told "once only" '^error config: .*RequestTimeTooSkewed' 'clock' put skewed2 "$T/a"
is "two tries" 2 "$(requests)"

# --- uploads ---
clear_rules
rule '{"method":"PUT","path":"partNumber=2","action":"lose","count":1}'
s3 upload up1 <"$T/b"
same "a part whose answer is lost" "$T/b" "$S3_DATA/up1"
for action in lose late; do
	clear_rules
	rule '{"method":"POST","path":"uploadId=","action":"'$action'","count":1}'
	s3 upload up-$action <"$T/b"
	same "the end of an upload: $action" "$T/b" "$S3_DATA/up-$action"
done
clear_rules
rule '{"method":"POST","path":"uploadId=","action":"lose","count":1}'
rule '{"method":"POST","path":"uploadId=","action":"answer","status":404,"code":"NoSuchUpload","count":1}'
s3 upload up2 <"$T/b"
same "its answer lost, and then no such upload: it is looked whether it is ours" "$T/b" "$S3_DATA/up2"
clear_rules
rule '{"method":"POST","path":"uploadId=","action":"answer","status":404,"code":"NoSuchUpload","count":1}'
like "no such upload at the first try is an error" '^error transient: .*ended by somebody else' "$(s3 upload up3 <"$T/b")"
is "nothing is there" "" "$(cat "$S3_DATA/up3" 2>/dev/null)"
clear_rules
rule '{"method":"PUT","path":"partNumber=2","action":"answer","status":403,"code":"AccessDenied","count":-1}'
like "a part that is refused" '^error config: ' "$(s3 upload up4 <"$T/b")"
is "the upload is ended" 1 "$(seen | grep -c '^DELETE /stitch/up4?uploadId=.* 204')"
clear_rules
rule '{"method":"PUT","path":"partNumber=2","action":"hang","count":-1}'
"$BUILD/t/lib/s3-tool" upload up5 <"$T/b" >"$T/up5" 2>&1 &
pid=$!
track $pid
wait_for 30 'seen | grep -q "partNumber=2.* hang"'
kill -KILL $pid
wait $pid 2>/dev/null
clear_rules
s3 upload up5 <"$T/b"
same "the upload of one that was killed is done again" "$T/b" "$S3_DATA/up5"
is "and the old one taken away" 1 "$(seen | grep -c '^DELETE /stitch/up5?uploadId=.* 204')"
is "no upload is left" 0 "$(s3_server curl "$direct/stitch?uploads=" | grep -c '<UploadId>')"

# --- silence ---
clear_rules
rule '{"method":"GET","path":"/slow","action":"hang","count":-1}'
like "a server that hangs: given up when the caller says so" '^error state: ' "$(S3_TICKS=3 s3 cat slow)"
like "or when nothing came for too long" '^error timeout: ' "$(S3_IDLE=1 s3 cat slow)"
is "asked twice, not five times" 2 "$(requests)"
clear_rules
s3_server pause
"$BUILD/t/lib/s3-tool" put paused "$T/a" >"$T/paused" 2>&1 &
pid=$!
track $pid
wait_for 10 'kill -0 $pid'
s3_server resume
wait $pid
same "a server that was paused" "$T/a" "$S3_DATA/paused"
unlike "no secret anywhere" 'stitchsecret' "$(cat "$T"/*.err "$T"/*.log "$T/paused" 2>/dev/null)"
done_testing
