#!/bin/bash
# What can happen to a Redshift destination: connections lost in the middle and after COMMIT, killed loaders and their staged files, S3 gone for the loader or for the cluster,
# records that COPY refuses, conflicts and a full cluster, wrong settings, missing rights. What a load costs in requests, bytes and memory.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/loader-contract.sh"
need psql jq python3
need_built stitch-load-redshift t/lib/loader-driver

# the cluster reaches the bucket through something that can be told to fail
start_s3
mkdir "$T/rules"
between() { # [PORT]
	python3 "$top/t/lib/s3-between.py" "$S3_ENDPOINT" "$T/rules" "$@" >"$T/between.out" 2>"$T/between.err" &
	between=$!
	track $between
	wait_for 20 'grep -q "^[0-9]" "$T/between.out"'
}
between
bport=$(cat "$T/between.out")
RS_S3=http://127.0.0.1:$bport
start_redshift

PROGRAM=$BUILD/stitch-load-redshift
good=$RS_SETTINGS
SETTINGS=$good
q() { psql -XqAt -F '|' -c "$1" 2>>"$T/psql.log"; }
with() { SETTINGS=$(jq -c ". + $1" <<<"$good"); }
staged() { find "$S3_DATA" -type f | wc -l; }
first() { answers | head -n 1 | cut -d' ' -f2-; }
fields() { sed -n 's/^reject //p' <<<"$out" | jq -r '"\(.record)|\(.field)|\(.value)|\(.reason)"'; }

batch='table t id
batch b1
entry 1
rec 1 {"id":1,"s":"one"}
rec 2 {"id":2,"s":"two"}
end'
drive <<'END'
table t id
batch b0
entry 0
rec 1 {"id":0,"s":"zero"}
end
load b0
END
is "a first load" '[[1,0,false]]' "$(counts)"
again() { q "DELETE FROM shop._stitch_ledger; DELETE FROM shop.t"; }

# --- records that COPY refuses ---
q "ALTER TABLE shop.t ADD COLUMN small smallint; ALTER TABLE shop.t ADD COLUMN one decimal(3,1)"
drive <<'END'
table t id
batch r1
entry 5
rec 10 {"id":10,"small":5,"one":1.5}
rec 11 {"id":11,"small":70000}
rec 12 {"id":12,"small":7}
rec 13 {"id":13,"small":-70000}
rec 14 {"id":14,"one":1234.5}
end
load r1
END
is "a narrower column: the good ones are loaded" '[[2,3,false]] 10|5|1.5 12|7|' "$(counts) $(q "SELECT id, small, one FROM shop.t WHERE id >= 10 ORDER BY id" | paste -sd' ')"
like "record, field, value, reason as stl_load_errors says" '1\|small\|70000\|[^'$'\n'']*out of range[^'$'\n'']*'$'\n''3\|small\|-70000\|' "$(fields)"
like "of each" '4\|one\|1234.5\|' "$(fields)"
is "and in _sdc_rejected" 't|3' "$(q "SELECT table_name, count(*) FROM shop._sdc_rejected GROUP BY 1")"
printf '%s\n' BADUTF 'B\xffDUTF' >"$T/rules/spoil"
drive <<'END'
table t id
batch u1
entry 6
rec 20 {"id":20,"s":"good"}
rec 21 {"id":21,"s":"BADUTF"}
rec 22 {"id":22,"s":"good"}
end
load u1
END
is "bytes that are no UTF-8: the line is looked up in the staged file" '[[2,1,false]]' "$(counts)"
like "and the reason told" '^1\|[^|]*\|[^|]*\|.*UTF8' "$(fields)"
printf '%s\n' '"BROKEN"' 'BROKEN' >"$T/rules/spoil"
drive <<'END'
table nest id
batch u2
entry 7
rec 20 {"id":20,"l":[{"s":"good"}]}
rec 21 {"id":21,"l":[{"s":"good"},{"s":"BROKEN"}]}
end
load u2
END
is "a child row that is refused takes its record with it" '[[1,1,false]] 20 1' "$(counts) $(q "SELECT id FROM shop.nest") $(q "SELECT count(*) FROM shop.nest__l")"
rm "$T/rules/spoil"

# --- the cluster cannot reach the bucket ---
again
kill "$between"
wait "$between" 2>/dev/null
drive <<END
$batch
load b1
END
is "S3 is gone for the cluster: transient" transient "$(class)"
like "and it says so" 'S3CurlException' "$(last .message)"
is "its files are gone, too" 0 "$(staged)"
between "$bport"
printf '%s\n' '^GET .*gz' 1 >"$T/rules/slow"
drive <<END
$batch
load b1
END
is "S3 asks the cluster to slow down: transient" transient "$(class)"
printf '%s\n' '^GET .*gz' >"$T/rules/deny"
drive <<END
check
$batch
load b1
END
is "the cluster may not read: config" config "$(class)"
like "check shows the policy" '"Action":\["s3:GetObject","s3:PutObject".*arn:aws:s3:::stitch/' "$(first | jq -r .fix)"
with '{s3_iam_role: "arn:aws:iam::123456789012:role/reader"}'
drive <<END
check
END
like "that of the role, if it has one" 'give the role s3_iam_role this policy.*"Action":\["s3:GetObject"\]' "$(first | jq -r .fix)"
rm "$T/rules/deny"
drive <<END
check
$batch
load b1
END
is "with a role COPY gets no keys" '[[2,0,false]]' "$(counts)"
SETTINGS=$good
is "nothing was loaded twice" 2 "$(q "SELECT count(*) FROM shop.t")"

# --- the loader cannot reach the bucket ---
again
s3_server kill
drive <<END
$batch
load b1
END
is "S3 is down: transient" transient "$(class)"
s3_again() { s3_server start >"$T/s3.again" 2>&1 && s3_server status >>"$T/s3.again" 2>&1; }
wait_for 30 s3_again || diag "the S3 server does not come back: $(cat "$T/s3.again")"
drive <<END
$batch
attempt 2
load b1
END
is "and back: loaded" '[[2,0,false]]' "$(counts)"
again
with "{s3_endpoint: \"http://127.0.0.1:$bport\"}"
printf '%s\n' '^PUT' 2 >"$T/rules/slow"
drive <<END
$batch
load b1
END
is "SlowDown twice: the requests are sent again" '[[2,0,false]]' "$(counts)"
printf '%s\n' '^PUT' >"$T/rules/deny"
drive <<END
check
END
like "may not put: the policy" 's3:PutObject.*arn:aws:s3:::stitch/' "$(last .fix)"
like "which right" '"name":"put files into the bucket","ok":false' "$out"
rm "$T/rules/deny"
SETTINGS=$good

# --- connections ---
again
q "CREATE FUNCTION shop.trouble() RETURNS trigger LANGUAGE plpgsql AS \$\$BEGIN
	IF nextval('shop.once') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN new; END\$\$;
	CREATE SEQUENCE shop.once; CREATE TRIGGER trouble BEFORE INSERT ON shop.t FOR EACH ROW EXECUTE FUNCTION shop.trouble()"
drive <<END
$batch
load b1
attempt 2
load b1
END
is "the connection is lost before COMMIT: transient" transient "$(first | jq -r .data.class)"
is "the same loader connects again and loads it" '[[2,0,false]] 2' "$(counts) $(q "SELECT count(*) FROM shop.t")"
q "DROP TRIGGER trouble ON shop.t"
again
pport=$(free_port)
python3 "$top/t/lib/pg-proxy.py" "$pport" "$RS_PORT" 1 >"$T/proxy.out" 2>&1 &
track $!
wait_for 10 'grep -q ready "$T/proxy.out"'
with "{port: \"$pport\"}"
drive <<END
$batch
load b1
attempt 2
load b1
END
like "the answer to COMMIT was swallowed" cut "$(cat "$T/proxy.out")"
is "a lost answer is transient" transient "$(first | jq -r .data.class)"
like "and says what is known" 'outcome of COMMIT is not known' "$out"
is "the next attempt finds the ledger's row, with the attempt that committed" '[[2,0,true]] 1' "$(counts) $(last '.batches[0].attempt')"
is "each row once" 2 "$(q "SELECT count(*) FROM shop.t")"
SETTINGS=$good
is "no file is left" 0 "$(staged)"

# --- a loader is killed with its files in the bucket ---
again
drive <<END
on-reject kill
${batch/end/rec 3 \{\"id\":3,\"_sdc_x\":1\}$'\n'end}
load b1
END
ok "a loader that is killed leaves its staged files" test "$(staged)" -ge 2
before=$(staged)
drive <<'END'
table other id
batch o1
entry 1
rec 1 {"id":1}
end
load o1
END
is "which a load of another table leaves alone" "$before" "$(staged)"
drive <<END
$batch
load b1
END
is "the next load of the table is right" '[[2,0,false]] 2' "$(counts) $(q "SELECT count(*) FROM shop.t")"
is "and takes them away" 0 "$(staged)"

# --- the cluster has its own troubles ---
trouble() { # NAME MESSAGE DETAIL CLASS WORDS
	again
	q "CREATE OR REPLACE FUNCTION shop.trouble() RETURNS trigger LANGUAGE plpgsql AS \$\$BEGIN RAISE EXCEPTION USING MESSAGE = '$2', DETAIL = '$3', ERRCODE = 'XX000'; END\$\$;
		DROP TRIGGER IF EXISTS trouble ON shop.t; CREATE TRIGGER trouble BEFORE INSERT ON shop.t FOR EACH ROW EXECUTE FUNCTION shop.trouble()"
	drive <<END
$batch
load b1
END
	is "$1: $4" "$4" "$(class)"
	like "$1: the text" "$5" "$(last .message)"
	is "$1: nothing is loaded" '0|0' "$(q "SELECT (SELECT count(*) FROM shop.t), (SELECT count(*) FROM shop._stitch_ledger)")"
	q "DROP TRIGGER trouble ON shop.t"
}
trouble "a serializable conflict" 1023 'Serializable isolation violation on table - 2751, transactions forming the cycle are: 1, 2' transient 'isolation violation'
trouble "a full cluster" 'Disk Full' 'error: Disk Full code: 1016' transient 'make room'
is "which is not tried again soon" 900 "$(last .data.retry_after)"
trouble "a resize" 'cannot write: the system is in resize mode' '' transient 'resize'

# --- settings that are wrong: a person must act, and is told how ---
refused() { # NAME JQ CAUSE FIX: config, by load and by check
	with "$2"
	drive <<END
check
schema ${SCHEMA:-shop}
$batch
load b1
END
	is "$1: config" config "$(class)"
	like "$1: the cause" "$3" "$(last .message)"
	is "$1: check fails" false "$(first | jq .ok)"
	like "$1: what to do" "$4" "$(first | jq -r .fix)"
	unlike "$1: no secret in any text" "not-the-|$PGPASSWORD|$AWS_SECRET_ACCESS_KEY" "$(grep -v '^open' <<<"$out")"
	SETTINGS=$good
}
refused "a wrong password" '{password: "not-the-password"}' 'password authentication failed' 'security group'
refused "a database that is not there" '{dbname: "nowhere"}' 'nowhere.* does not exist' 'create the database'
refused "a wrong secret of S3" '{s3_secret_key: "not-the-secret"}' 'SignatureDoesNotMatch|signature' 's3_'
refused "no bucket" '{s3_bucket: ""}' 's3_bucket' 'Correct the setting'
refused "a bucket that is not there" '{s3_bucket: "nowhere"}' 'nowhere' 'bucket'
refused "a key with a quote in it" '{s3_secret_key: "not-the-key'"'"'"}' 's3_secret_key has a character' 'Correct the setting'
refused "numbers that are none" '{numbers: "roman"}' 'numbers' 'Correct the setting'

# --- rights that are missing ---
q "CREATE ROLE weak LOGIN PASSWORD 'weak-secret'; REVOKE CREATE ON SCHEMA public FROM PUBLIC; REVOKE TEMP ON DATABASE $PGDATABASE FROM PUBLIC"
SCHEMA=fresh refused "no right to make a schema, and none to use" '{user: "weak", password: "weak-secret"}' 'permission denied for database' 'GRANT CREATE ON DATABASE'
q "CREATE SCHEMA made AUTHORIZATION weak"
with '{user: "weak", password: "weak-secret"}'
drive <<END
check
schema made
$batch
load b1
END
is "no right to make temporary tables: config" config "$(class)"
is "check says which and what to do" 'create temporary tables|GRANT TEMP ON DATABASE "'"$PGDATABASE"'" TO "weak"' \
	"$(first | jq -r '"\(.rights[] | select(.ok | not) | select(.name | test("temporary")) | .name)|\(.fix)"')"
q "GRANT TEMP ON DATABASE $PGDATABASE TO weak"
drive <<END
check
schema made
$batch
load b1
END
is "a schema that is there will do" '[[2,0,false]] true' "$(counts) $(first | jq .ok)"
SETTINGS=$good

q "CREATE TABLE stv_db_isolation_level AS SELECT '$PGDATABASE' AS db_name, 'Serializable' AS db_isolation_level"
drive <<<check
like "check tells what serializable means" 'ISOLATION LEVEL SNAPSHOT' "$(last '.rights[] | select(.name == "isolation level") | .detail')"

# --- a load of more than one file ---
if [ "$FLAVOUR" = plain ]; then
	with "{s3_endpoint: \"http://127.0.0.1:$bport\"}"
	: >"$T/rules/log"
	{
		printf 'table wide id\nbatch w1\nentry 1\n'
		python3 -c 'import base64, os
for k in range(1500): print("rec %d {\"id\":%d,\"s\":\"%s\"}" % (k, k, base64.b64encode(os.urandom(48000)).decode()))'
		printf 'end\nload w1\n'
	} >"$T/wide"
	drive <"$T/wide"
	is "rows of 96 MB that cannot be packed well" '[[1500,0,false]] 1500|64000' "$(counts) $(q 'SELECT count(*), min(length(s)) FROM shop.wide')"
	is "come in two files" 2 "$(sed -n 's/^PUT .*-t0-\([0-9]*\).json.gz.*/\1/p' "$T/rules/log" | sort -u | wc -l)"
	is "and no file is left" 0 "$(staged)"
	SETTINGS=$good
fi

# --- what a load costs ---
with "{s3_endpoint: \"http://127.0.0.1:$bport\"}"
: >"$T/rules/log"
{
	printf 'spawn %s\nopen %s\n' "$PROGRAM" "$SETTINGS"
	printf 'table cost id\nbatch k1\ngen 100000\nend\nload k1\n'
} >"$T/cost"
mkfifo "$T/fifo"
"$BUILD/t/lib/loader-driver" <"$T/fifo" >"$T/answers" 2>>"$T/driver.log" &
driver=$!
track $driver
exec 8>"$T/fifo"
cat "$T/cost" >&8
wait_for 120 '[ "$(grep -cE "^(result|error) " "$T/answers")" = 2 ]'
pid=$(cat "/proc/$driver/task/$driver/children" | tr -d ' ')
peak=$(awk '/^VmHWM/ {print int($2 / 1024)}' "/proc/$pid/status")
cpu=$(awk '{print ($14 + $15) / '"$(getconf CLK_TCK)"'}' "/proc/$pid/stat")
exec 8>&-
wait "$driver"
is "100,000 rows" 100000 "$(q "SELECT count(*) FROM shop.cost")"
mine=$(grep -cE '^(PUT|DELETE|GET .*list-type)' "$T/rules/log")
diag "100,000 rows of 10 fields: the loader's peak $peak MiB, CPU $cpu s, $mine requests of its own, $(awk '/^PUT/ {n += $3} END {print n}' "$T/rules/log") bytes put"
[ "$FLAVOUR" = plain ] && ok "in 64 MiB" test "$peak" -le 64
is "by five requests: a list for left-overs, rows and manifest put, both deleted" 5 "$mine"
is "no staged file is left" 0 "$(staged)"
unlike "no secret in any answer or log" "$AWS_SECRET_ACCESS_KEY|$PGPASSWORD" "$(grep -v '^open' "$T/said"; cat "$T/driver.log")"
done_testing
