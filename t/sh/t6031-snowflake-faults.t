#!/bin/bash
# What can happen to a Snowflake destination: no answer, 503, a quota, a lost answer to the one request that commits, another loader in between, a killed loader, a server
# that stands still, answers in parts and later, a record that COPY refuses, wrong settings. Then the whole chain through stitchd, and what a load costs.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/loader-contract.sh"
need jq python3 openssl curl
need_built stitch-load-snowflake t/lib/loader-driver
start_snowflake

python3 "$top/t/lib/snowflake-proxy.py" "$SF_URL" "$T/rules" "$T/requests" >"$T/proxy.port" 2>"$T/proxy.log" 5>&- 6>&- &
track $!
wait_for 20 '[ -s "$T/proxy.port" ]' || bail "the proxy does not start"
PROGRAM=$BUILD/stitch-load-snowflake
good=$(jq -c --arg url "http://127.0.0.1:$(cat "$T/proxy.port")" '.url = $url' <<<"$SF_SETTINGS")
SETTINGS=$good
q() { sf_q "$1"; }
with() { SETTINGS=$(jq -c ". + $1" <<<"$good"); }
rules() { printf '%s\n' "$@" >"$T/rules"; } # and what was asked until now is forgotten
asked() { jq -s "$1" "$T/requests"; }
again() { rules ''; : >"$T/requests"; }
left() { q "SELECT count(*) FROM \"DWH\".information_schema.tables WHERE table_name LIKE '%STITCH_STG%'"; find "$S3_DATA" -type f 2>/dev/null | wc -l; }

# a loader that is told line by line: begin; say LINE...; finish (then $out is what it answered)
begin() {
	mkfifo "$T/fifo"
	"$BUILD/t/lib/loader-driver" <"$T/fifo" >"$T/answers" 2>>"$T/driver.log" 5>&- 6>&- &
	driver=$!
	track $driver
	exec 8>"$T/fifo"
	rm "$T/fifo"
	printf 'spawn %s\nopen %s\n' "$PROGRAM" "$SETTINGS" >&8
}
say() { printf '%s\n' "$@" >&8; }
finish() { exec 8>&-; wait "$driver"; out=$(cat "$T/answers"); }
answered() { [ "$(grep -cE '^(result|error) ' "$T/answers")" -gt "$1" ]; } # NUMBER, besides loader.open

batch() { # TABLE KEY NAME OFFSET
	printf 'table %s %s\nbatch %s\nentry %s\nrec 1 {"id":%s,"s":"one","o":{"a":[1]}}\nrec 2 {"id":%s1,"s":"two"}\nend\n' "$1" "$2" "$3" "$4" "$4" "$4"
}
rows() { q "SELECT count(*) FROM \"DWH\".\"SHOP\".\"$1\""; }

again
drive <<END
$(batch t id b0 1)
load b0
END
is "a load through the proxy" '[[2,0,false]]' "$(counts)"

# --- it says: not now ---
again
rules '{"match":"MERGE","status":503,"body":{"message":"busy"},"headers":{"Retry-After":"1"},"times":2}'
drive <<END
$(batch t id b1 2)
load b1
END
is "503 twice: the same loader goes on" '[[2,0,false]]' "$(counts)"
is "with the same request, which says that it comes again" '["","true","true"] 1' \
	"$(asked '[.[] | select(.words | startswith("BEGIN"))] | map(.retry)' | jq -c .) $(asked '[.[] | select(.words | startswith("BEGIN"))] | map(.id) | unique | length')"
again
rules '{"match":"MERGE","status":429,"body":{"message":"too many requests"},"headers":{"Retry-After":"600"}}'
drive <<END
$(batch t id b2 3)
load b2
attempt 2
load b2
END
is "a pause of ten minutes: the load is put off" transient "$(answers | head -n 1 | cut -d' ' -f2- | jq -r .data.class)"
is "and the daemon is told how long" 600 "$(answers | head -n 1 | cut -d' ' -f2- | jq -r .data.retry_after)"
is "then it loads" '[[2,0,false]] 6' "$(counts) $(rows T)"
sf_fault '{"status":503,"count":1,"headers":{"Retry-After":"1"}}'
drive <<END
$(batch t id b3 4)
load b3
END
is "503 by the stand-in itself, before anything" '[[2,0,false]]' "$(counts)"
again
rules '{"match":"MERGE","status":422,"body":{"code":"090073","sqlState":"57014","message":"Warehouse WH cannot be resumed because resource monitor RM has exceeded its quota."}}'
drive <<END
$(batch t id b4 5)
load b4
load b4
END
is "a quota that is used up: a person may want to act, it is tried again all the same" config "$(answers | head -n 1 | cut -d' ' -f2- | jq -r .data.class)"
is "later it loads" '[[2,0,false]] 10' "$(counts) $(rows T)"

# --- the answer to the request that commits is lost ---
again
rules '{"match":"MERGE","cut":true}'
drive <<END
$(batch t id c1 6)
load c1
END
is "a connection cut after COMMIT: the same request again, it was run once" '[[2,0,false]] 12' "$(counts) $(rows T)"
again
rules '{"match":"INSERT INTO \"DWH\".\"SHOP\".\"LOG\"","cut":true}'
drive <<END
$(batch log '' c2 7)
load c2
END
is "and in a table without a key" '[[2,0,false]] 2' "$(counts) $(rows LOG)"
again
rules '{"match":"INSERT INTO \"DWH\".\"SHOP\".\"LOG\"","cut":true,"times":1}' '{"match":"INSERT INTO \"DWH\".\"SHOP\".\"LOG\"","status":504,"body":{},"times":5}'
drive <<END
$(batch log '' c3 8)
load c3
attempt 2
load c3
END
is "never an answer: the outcome is not known" transient "$(answers | head -n 1 | cut -d' ' -f2- | jq -r .data.class)"
like "which is said" 'outcome of COMMIT is not known' "$out"
is "the next attempt finds it in the ledger, with the attempt that committed" '[[2,0,true]] 1 4' "$(counts) $(last '.batches[0].attempt') $(rows LOG)"
again
sf_fault '{"status":503,"count":1,"after":true}'
drive <<END
$(batch log '' c4 9)
load c4
END
is "an answer that the stand-in loses" '[[2,0,false]] 6' "$(counts) $(rows LOG)"

# --- another loader in between ---
again
rules '{"match":"INSERT INTO \"DWH\".\"SHOP\".\"LOG\"","hold":"'"$T/go"'","seen":"'"$T/held"'"}'
begin
say "$(batch log '' d1 10)" "start d1" await
ok "a loader stands before its COMMIT" wait_for 20 '[ -e "$T/held" ]'
SETTINGS=$SF_SETTINGS
drive <<END
$(batch log '' d1 10)
load d1
END
is "another one loads the same batch meanwhile" '[[2,0,false]] 8' "$(counts) $(rows LOG)"
SETTINGS=$good
touch "$T/go"
wait_for 20 'answered 1'
say "load d1"
finish
is "the first one's request fails as a whole" transient "$(grep -E '^error' <<<"$out" | head -n 1 | cut -d' ' -f2- | jq -r .data.class)"
like "and says why" 'another load of this table came in between' "$out"
is "tried again it finds the batch in the ledger; each row is there once" '[[2,0,true]] 8' "$(counts) $(rows LOG)"
rm -f "$T/go" "$T/held"
again
rules '{"match":"INSERT INTO \"DWH\".\"SHOP\".\"LOG\"","hold":"'"$T/go"'","seen":"'"$T/held"'"}'
begin
say "$(batch log '' d2 11)" "start d2"
ok "another one stands there" wait_for 20 '[ -e "$T/held" ]'
say kill
finish
touch "$T/go"
again
ok "a killed loader's request goes on at the server" wait_for 20 '[ "$(rows LOG)" = 10 ]'
drive <<END
$(batch log '' d2 11)
attempt 2
load d2
END
is "the next one finds its work" '[[2,0,true]] 1 10' "$(counts) $(last '.batches[0].attempt') $(rows LOG)"
rm -f "$T/go" "$T/held"

# --- a server that stands still, answers that come later or in parts ---
kill -STOP $sf_pid
begin
say "$(batch t id e1 12)" "start e1" await
before=$(grep -c progress "$T/driver.log")
ok "the stand-in stands still: the heart beats" wait_for 20 '[ "$(grep -c progress "$T/driver.log")" -gt '"$((before + 1))"' ]'
kill -CONT $sf_pid
wait_for 60 'answered 1'
finish
is "it goes on when the server does" '[[2,0,false]]' "$(counts)"
again
rules '{"match":"MERGE","async":true}' '{"match":"COPY","async":true}' '{"match":"INFORMATION_SCHEMA.COLUMNS","parts":3,"times":9}' '{"match":"UNION ALL SELECT","parts":1,"times":9}'
drive <<END
$(batch t id e2 13)
load e2
END
is "answers that come later, and in parts" '[[2,0,false]]' "$(counts)"
is "rows" 16 "$(rows T)"
s3_server pause
begin
say "$(batch t id e3 14)" "start e3" await
before=$(grep -c progress "$T/driver.log")
ok "the bucket's server stands still: the heart beats" wait_for 20 '[ "$(grep -c progress "$T/driver.log")" -gt '"$((before + 1))"' ]'
s3_server resume
wait_for 60 'answered 1'
finish
is "and the load goes on" '[[2,0,false]]' "$(counts)"

# --- a record that only the server refuses ---
again
rules '{"match":"COPY","status":422,"body":{"code":"100069","sqlState":"22P02","message":"Error parsing JSON: too deep\n  File '"'x.json.gz'"', line 2, character 7\n  Row 2, column \"STG\"[\"V\":1]"}}'
drive <<END
table bad id
batch f1
entry 1
rec 1 {"id":1,"s":"good"}
rec 2 {"s":"no key"}
rec 3 {"id":3,"s":"this one is refused"}
rec 4 {"id":4,"s":"good too"}
end
load f1
END
is "COPY names a line: its record is rejected, the others load" '[[2,2,false]]' "$(counts)"
is "that one" '1 2' "$(sed -n 's/^reject //p' <<<"$out" | jq -r .record | sort | paste -sd' ')"
like "with the server's words" 'Error parsing JSON: too deep' "$(reasons | paste -sd' ')"
is "rows" '1 4' "$(q 'SELECT "ID" FROM "DWH"."SHOP"."BAD" ORDER BY 1' | paste -sd' ')"
again
rules '{"match":"COPY","status":200,"body":{"code":"090001","data":[["x","LOADED","1","1"]],"resultSetMetaData":{"rowType":[{"name":"file"},{"name":"status"},{"name":"rows_parsed"},{"name":"rows_loaded"}]}}}'
drive <<END
$(batch t id f2 15)
load f2
load f2
END
is "COPY that tells of fewer rows than were sent: put off" transient "$(answers | head -n 1 | cut -d' ' -f2- | jq -r .data.class)"
is "then loaded" '[[2,0,false]]' "$(counts)"
is "no staging table and no file is left by all this but of the killed loader" '1 1' "$(left | paste -sd' ')"

# --- leftovers of killed loaders ---
old=20200101T000000_0BADCAFE
q "CREATE TRANSIENT TABLE \"DWH\".\"SHOP\".\"_STITCH_STG_$old\" (\"V\" VARIANT)" >/dev/null
echo x | s3_server curl -T - -H 'Content-Length: 2' "$S3_ENDPOINT/$S3_BUCKET/stitch/_stitch/$old.json.gz" >/dev/null 2>&1 || cp "$top/configure.ac" "$S3_DATA/stitch/_stitch/$old.json.gz"
drive <<END
$(batch t id g1 16)
load g1
END
is "what is older than a day goes, what is younger stays" '1 1' "$(left | paste -sd' ')"

# --- settings that are wrong: a person must act, and is told how ---
refused() { # NAME JQ CAUSE FIX: config, by check, and by a load
	with "$2"
	drive <<END
check
$(batch t id h1 17)
load h1
END
	like "$1: the cause" "$3" "$(answers | head -n 1 | cut -d' ' -f2- | jq -r .cause)$(grep ^error <<<"$out")"
	like "$1: what to do" "$4" "$(answers | head -n 1 | cut -d' ' -f2- | jq -r .fix)"
	is "$1: config" config "$(class)"
	SETTINGS=$good
}
again
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$T/other.p8" 2>/dev/null
fp=$(openssl pkey -in "$T/other.p8" -pubout -outform DER | openssl dgst -sha256 -binary | base64)
refused "another key" "$(jq -nc --rawfile k "$T/other.p8" '{private_key: $k}')" 'JWT token is invalid' "ALTER USER \"LOADER\" SET RSA_PUBLIC_KEY.*SHA256:${fp//+/\\+}"
refused "another user" '{"user":"nobody"}' 'JWT token is invalid' 'ALTER USER "NOBODY"'
refused "no key at all" '{"private_key":"secret"}' 'private key' 'private_key'
refused "another host" "{\"url\":\"http://127.0.0.1:$S3_PORT\"}" 'does not answer as Snowflake|answers 40' 'url|query history'
refused "a bucket that is not there" '{"s3_bucket":"nothing-here"}' 'NoSuchBucket|bucket' 'bucket'
refused "a wrong secret for it" '{"s3_secret_key":"wrong-secret-123"}' 'SignatureDoesNotMatch|refuses|denied|403' '.'
unlike "no secret in what it says" 'wrong-secret-123|BEGIN PRIVATE' "$out"
denied() { # NAME MATCH CODE FIX
	again
	rules '{"match":"'"$2"'","status":422,"times":9,"body":{"code":"'"$3"'","sqlState":"42501","message":"SQL access control error: insufficient privileges"}}'
	drive <<<check
	like "$1" "$4" "$(last .fix | jq -r .)"
	is "$1: not well" false "$(last .ok)"
}
denied "no right to make tables" 'CREATE TABLE' 003001 'GRANT USAGE, CREATE SCHEMA ON DATABASE "DWH" TO ROLE "LOADER_ROLE".*GRANT USAGE, CREATE TABLE ON SCHEMA "DWH"\.'
denied "no warehouse" 'INSERT INTO' 000606 'GRANT USAGE ON WAREHOUSE "WH" TO ROLE "LOADER_ROLE"'
denied "the bucket cannot be read" 'COPY INTO' 091003 's3:GetObject'
again
rules '{"match":"CREATE TRANSIENT SCHEMA","status":422,"body":{"code":"003001","sqlState":"42501","message":"insufficient privileges"}}'
q 'CREATE SCHEMA IF NOT EXISTS "DWH"."PUBLIC"' >/dev/null
drive <<<check
is "no right to make schemas: those that are there can be used" 'true false' "$(last .ok) $(last '.rights[] | select(.name == "create schemas") | .ok')"
again
rules '{"match":"INSERT INTO","status":422,"body":{"code":"001003","sqlState":"42000","message":"unexpected '"$(jq -r .s3_secret_key <<<"$good")"'"}}'
drive <<END
$(batch t id i1 18)
load i1
END
unlike "a secret in the server's words is hidden" "$(jq -r .s3_secret_key <<<"$good")" "$out"

# --- the whole chain ---
again
need_built stitchd stitchctl
start_stitchd
jq -r .private_key <<<"$good" >"$T/key.pem"
jq -r .s3_secret_key <<<"$good" | tr -d '\n' >"$T/s3.secret"
chmod 600 "$T/key.pem" "$T/s3.secret"
set_args=$(jq -r 'del(.private_key, .s3_secret_key) | to_entries[] | "--set \(.key)=\(.value)"' <<<"$good")
ok "a destination, checked" ctl destination create --kind snowflake --name sf $set_args --set private_key=@"$T/key.pem" --set s3_secret_key=@"$T/s3.secret"
token=$(new_token web)
ctl connect web sf >/dev/null
is "records are taken" 201 "$(make_batch orders 1 500 | post /v2/import/batch "$token")"
ok "and loaded" wait_for 60 '[ "$(sum_of loaded)" = 500 ]'
is "the rows" '500|500|125250' "$(q 'SELECT count(*), count(DISTINCT "ID"), sum("ID") FROM "DWH"."WEB"."ORDERS"')"
is "cell by cell" '7|row 7|7.25' "$(q 'SELECT "ID", "NAME", "AMOUNT" FROM "DWH"."WEB"."ORDERS" WHERE "ID" = 7')"
again
is "an update" 201 "$(make_batch orders 1 500 | sed 's/row /line /g; s/"sequence":/"sequence":1/g' | post /v2/import/batch "$token")"
ok "and its load" wait_for 60 '[ "$(sum_of loaded)" = 1000 ]'
is "replaces the rows" '500|line 7' "$(q "SELECT count(*), max(CASE WHEN \"ID\" = 7 THEN \"NAME\" END) FROM \"DWH\".\"WEB\".\"ORDERS\"")"
is "the ledger is balanced" "" "$(unbalanced)"
diag "a load of 500 rows into a table that is there: $(asked length) requests to Snowflake ($(asked 'map(.words) | join("; ")')), $(asked 'map(.bytes) | add') bytes of them"
is "secrets are shown nowhere" 0 "$(cat "$LOG" "$T/driver.log" | grep -c -e "$(cat "$T/s3.secret")" -e 'BEGIN PRIVATE')"
stop_stitchd

# --- what a load costs ---
again
begin
say "table big id" "batch z1" "gen 100000" "end" "start z1" await
wait_for 300 'answered 1'
diag "100,000 rows of 10 fields: $(asked length) requests to Snowflake, CPU of the loader: $(for p in $(pgrep -P "$driver"); do awk -v t="$(getconf CLK_TCK)" '{print ($14 + $15) / t " s"}' "/proc/$p/stat"; done), peak memory $(for p in $(pgrep -P "$driver"); do awk '/VmHWM/ {print $2 " KiB"}' "/proc/$p/status"; done)"
finish
is "a large load" '[[100000,0,false]]' "$(counts)"
is "each row once" '100000|100000' "$(q 'SELECT count(*), count(DISTINCT "ID") FROM "DWH"."SHOP"."BIG"')"
done_testing
