#!/bin/bash
# What can happen to a Postgres destination: stopped, killed, or slow in the middle of a load, an answer to COMMIT that is lost, wrong settings, missing rights.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/loader-contract.sh"
need psql jq
need_built stitch-load-postgres t/lib/loader-driver
start_postgres

PROGRAM=$BUILD/stitch-load-postgres
good=$(jq -nc '{host: env.PGHOST, port: env.PGPORT, user: env.PGUSER, password: env.PGPASSWORD, dbname: env.PGDATABASE, sslmode: "prefer"}')
SETTINGS=$good
q() { psql -XqAt -F '|' -c "$1" 2>>"$T/psql.log"; }
with() { SETTINGS=$(jq -c ". + $1" <<<"$good"); }

# a loader that is told line by line: begin; say LINE...; finish (then $out is what it answered)
begin() {
	mkfifo "$T/fifo"
	"$BUILD/t/lib/loader-driver" <"$T/fifo" >"$T/answers" 2>>"$T/driver.log" 7>&- &
	driver=$!
	track $driver
	exec 8>"$T/fifo"
	rm "$T/fifo"
	printf 'spawn %s\nopen %s\n' "$PROGRAM" "$SETTINGS" >&8
}
say() { printf '%s\n' "$@" >&8; }
finish() { exec 8>&-; wait "$driver"; out=$(cat "$T/answers"); }
answered() { [ "$(grep -cE '^(result|error) ' "$T/answers")" -gt "$1" ]; } # NUMBER, besides loader.open
backends() { q "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'stitch %' AND $1"; }

# rows of table t stop in a trigger for as long as a session of ours holds the lock 42
hold() { # SECONDS at most
	mkfifo "$T/holder"
	psql -XqAt <"$T/holder" >"$T/held" 2>>"$T/psql.log" &
	track $!
	exec 7>"$T/holder"
	rm "$T/holder"
	echo "SELECT pg_advisory_lock(42), 'held';" >&7
	wait_for 20 'grep -q held "$T/held"'
}
release() {
	echo "SELECT pg_advisory_unlock(42);" >&7
	exec 7>&-
}
stuck() { wait_for 30 '[ "$(backends "wait_event = '"'advisory'"'")" = 1 ]'; }

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
q "CREATE FUNCTION shop.slow() RETURNS trigger LANGUAGE plpgsql AS \$\$BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN new; END\$\$;
	CREATE TRIGGER slow BEFORE INSERT ON shop.t FOR EACH ROW EXECUTE FUNCTION shop.slow()"

# --- a backend is ended in the middle of the data transaction ---
hold
begin
say "$batch" "start b1" "await"
stuck
before=$(grep -c progress "$T/driver.log")
wait_for 20 '[ "$(grep -c progress "$T/driver.log")" -gt '"$((before + 1))"' ]'
ok "a long statement: the heart beats" test "$(grep -c progress "$T/driver.log")" -gt "$((before + 1))"
q "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'stitch %'" >/dev/null
wait_for 20 'answered 1'
release
say "attempt 2" "load b1"
finish
is "a backend that is ended: transient" transient "$(sed -n 2p <<<"$(grep -E '^(result|error)' <<<"$out")" | cut -d' ' -f2- | jq -r .data.class)"
is "the same loader connects again and loads it" '[[2,0,false]]' "$(counts)"
is "once" '3' "$(q "SELECT count(*) FROM shop.t")"
is "attempt" 2 "$(q "SELECT attempt FROM shop._stitch_ledger WHERE rows = 2")"

# --- the server hangs: stopped as a whole, while its kernel still takes connections ---
hold
begin
say "table t id" "batch b1h" "entry 2" 'rec 1 {"id":77,"s":"hung"}' "end" "start b1h" "await"
stuck
postmaster=$(head -n 1 "$T/env/postgres/data/postmaster.pid")
stopped="$postmaster $(pgrep -P "$postmaster" | tr '\n' ' ')"
kill -STOP $stopped
ok "a server that hangs is given up within a minute" wait_for 60 'answered 1'
kill -CONT $stopped
release
say "attempt 2" "load b1h"
finish
is "it is transient" transient "$(sed -n 2p <<<"$(grep -E '^(result|error)' <<<"$out")" | cut -d' ' -f2- | jq -r .data.class)"
like "and says what was tried" 'said nothing for .* a new connection gets no answer' "$out"
is "when it goes on it is loaded" '[[1,0,false]]' "$(counts)"
is "once" 1 "$(q "SELECT count(*) FROM shop.t WHERE id = 77")"
q "DELETE FROM shop.t WHERE id = 77"

# --- the server is stopped in mid-load ---
q "DELETE FROM shop._stitch_ledger; DELETE FROM shop.t"
hold
begin
say "$batch" "start b1" "await" "attempt 2" "load b1"
stuck
stop_postgres
wait_for 20 'answered 2'
is "a server that is stopped, and then is not there: transient" 'transient transient' "$(sed -n 2,3p "$T/answers" | cut -d' ' -f2- | jq -r .data.class | paste -sd' ')"
like "the text helps" 'is the server running' "$(sed -n 3p "$T/answers")"
unlike "and says so once" 'Is the server running on that host' "$(sed -n 3p "$T/answers")"
exec 7>&-
start_postgres 8>&- # it would keep the loader's end open
say "attempt 3" "load b1"
finish
is "when it is back the same loader goes on" '[[2,0,false]]' "$(counts)"
is "with each row once" 2 "$(q "SELECT count(*) FROM shop.t")"

# --- the daemon goes away, a loader is killed ---
q "DELETE FROM shop._stitch_ledger; DELETE FROM shop.t"
hold
begin
say "$batch" "start b1"
stuck
say hangup
ok "end of file on fd 3: the statement is cancelled" wait_for 4 '[ "$(backends true)" = 0 ]'
finish
begin
say "$batch" "start b1"
stuck
say kill
finish
like "a loader is killed" 'ended signal 9' "$out"
is "its transaction still runs" 1 "$(backends "state = 'active'")"
begin
say "$batch" "start b1" await
ok "the next one waits for the lock in the destination" wait_for 20 '[ "$(backends "wait_event_type = '"'Lock'"' AND wait_event <> '"'advisory'"'")" = 1 ]'
is "and has loaded nothing" 0 "$(q "SELECT count(*) FROM shop.t")"
# the server looks every five seconds whether its client is still there
ok "the server finds that the killed one has gone" wait_for 30 '[ "$(backends true)" = 1 ]'
release
wait_for 30 'answered 1'
finish
is "then it goes on" '[[2,0,false]]' "$(counts)"
is "each row once" 2 "$(q "SELECT count(*) FROM shop.t")"

# --- the answer to COMMIT is lost ---
q "DROP TRIGGER slow ON shop.t; DELETE FROM shop._stitch_ledger; DELETE FROM shop.t"
pport=$(free_port)
python3 "$top/t/lib/pg-proxy.py" "$pport" "$PGPORT" 1 >"$T/proxy.out" 2>&1 &
track $!
wait_for 10 'grep -q ready "$T/proxy.out"'
with "{port: \"$pport\", sslmode: \"disable\"}"
drive <<END
$batch
load b1
attempt 2
load b1
END
like "the answer was swallowed" cut "$(cat "$T/proxy.out")"
is "a lost answer is transient" transient "$(answers | head -n 1 | cut -d' ' -f2- | jq -r .data.class)"
like "and says what is known" 'outcome of COMMIT is not known' "$out"
is "the next attempt finds the ledger's row, with the attempt that committed" '[[2,0,true]] 1' "$(counts) $(last '.batches[0].attempt')"
is "each row once" 2 "$(q "SELECT count(*) FROM shop.t")"
SETTINGS=$good

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
	is "$1: check fails" false "$(answers | head -n 1 | cut -d' ' -f2- | jq .ok)"
	unlike "$1: which is said once" "$4" "$(answers | head -n 1 | cut -d' ' -f2- | jq -r .cause)"
	like "$1: what to do" "$4" "$(answers | head -n 1 | cut -d' ' -f2- | jq -r .fix)"
	unlike "$1: no password in any text" 'not-the-password|stitch-secret' "$(grep -v '^open' <<<"$out")"
	SETTINGS=$good
}
refused "a wrong password" '{password: "not-the-password"}' 'password authentication failed' 'user and password'
refused "no password" '{password: ""}' 'no password supplied' 'user and password'
refused "a database that is not there" '{dbname: "nowhere"}' 'nowhere.* does not exist' 'create the database'
refused "sslmode that is none" '{sslmode: "maybe"}' 'sslmode' 'Correct the setting'
refused "a server without TLS" '{sslmode: "require"}' 'does not support SSL' 'sslmode'
refused "a port that is none" '{port: "99999"}' 'port' 'Correct the setting'
refused "numbers that are none" '{numbers: "roman"}' 'numbers' 'Correct the setting'
with '{port: "1"}'
drive <<END
$batch
load b1
END
is "a server that is not there: transient" transient "$(class)"
# a port that takes connections and says nothing
python3 -c 'import socket, time; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1], flush=True); time.sleep(600)' >"$T/mute" &
track $!
wait_for 10 'test -s "$T/mute"'
with "{port: \"$(cat "$T/mute")\"}"
drive <<END
$batch
load b1
END
is "a server that never answers: transient, and not for ever" transient "$(class)"
like "says so" 'does not answer within' "$out"
# SQL injection by settings: a database's name is a name
refused "a dbname that looks like a connection string" '{dbname: "host=127.0.0.1 dbname=stitch user=stitch"}' 'does not exist' 'create the database'

# --- rights that are missing ---
q "CREATE ROLE weak LOGIN PASSWORD 'weak-secret'; REVOKE CREATE ON SCHEMA public FROM PUBLIC"
SCHEMA=fresh refused "no right to make a schema, and none to use" '{user: "weak", password: "weak-secret"}' 'permission denied for database' 'GRANT CREATE ON DATABASE'
q "CREATE SCHEMA made AUTHORIZATION weak"
with '{user: "weak", password: "weak-secret"}'
drive <<END
check
schema made
$batch
load b1
END
is "a schema that is there will do" '[[2,0,false]]' "$(counts)"
is "check says so" true "$(answers | head -n 1 | cut -d' ' -f2- | jq .ok)"
like "and which" 'for instance made' "$(answers | head -n 1)"
q "ALTER TABLE made.t OWNER TO stitch; GRANT SELECT, INSERT ON made.t TO weak"
drive <<END
schema made
table t id
batch b2
entry 2
rec 5 {"id":1,"s":"uno"}
end
load b2
END
is "no right to update the table: config" config "$(class)"
like "which right" 'permission denied for table t' "$(last .message)"
SETTINGS=$good

# --- check: each right in turn is taken from a real role; what check says to do is done as it stands, and then it is content ---
q 'CREATE ROLE "w""r" LOGIN PASSWORD '"'weak-secret'"'; GRANT CREATE ON DATABASE stitch TO "w""r"'
with '{user: "w\"r", password: "weak-secret"}'
drive <<END
schema hers
table t id
batch b1
entry 1
rec 1 {"id":1,"s":"one"}
end
load b1
check
END
is "a role that may make schemas" true "$(last .ok)"
without() { # WHAT REVOKE CAUSE FIX
	q "$2"
	drive <<<check
	is "without $1" false "$(last .ok)"
	like "without $1: the cause" "$3" "$(last .cause)"
	is "without $1: the fix" "$4" "$(last .fix | jq -r .)"
	q "$(last .fix | jq -r .)"
	drive <<<check
	is "without $1: which helps" true "$(last .ok)"
}
without "TEMPORARY" 'REVOKE TEMPORARY ON DATABASE stitch FROM PUBLIC' 'permission denied to create temporary tables' 'GRANT TEMPORARY ON DATABASE "stitch" TO "w""r"'
without "USAGE of its schema" 'REVOKE USAGE ON SCHEMA hers FROM "w""r"' 'no USAGE on schema hers' 'GRANT USAGE ON SCHEMA "hers" TO "w""r"'
without "CREATE in its schema" 'REVOKE CREATE ON SCHEMA hers FROM "w""r"' 'no CREATE on schema hers' 'GRANT CREATE ON SCHEMA "hers" TO "w""r"'
without "INSERT" 'REVOKE INSERT, DELETE ON hers.t FROM "w""r"' 'no INSERT, DELETE on table hers.t' 'GRANT INSERT, DELETE ON TABLE "hers"."t" TO "w""r"'
without "UPDATE of the ledger" 'REVOKE UPDATE ON hers._stitch_ledger FROM "w""r"' 'no UPDATE on table hers._stitch_ledger' 'GRANT UPDATE ON TABLE "hers"."_stitch_ledger" TO "w""r"'
without "CONNECT" 'REVOKE CONNECT ON DATABASE stitch FROM PUBLIC' 'permission denied for database' 'GRANT CONNECT ON DATABASE "stitch" TO "w""r"'
q 'GRANT CONNECT ON DATABASE stitch TO PUBLIC; REVOKE CREATE ON DATABASE stitch FROM "w""r"; ALTER TABLE hers.t OWNER TO stitch; GRANT SELECT, INSERT, UPDATE, DELETE ON hers.t TO "w""r"'
drive <<<check
is "not the owner of a table: check is content" true "$(last .ok)"
is "and says what is not possible" 'the table belongs to stitch' "$(last '.rights[] | select(.name == "add columns to hers.t") | .detail' | tr -d '"')"
q 'ALTER TABLE hers.t OWNER TO "w""r"; DROP SCHEMA hers CASCADE'
without "CREATE anywhere" 'SELECT 1' 'neither make a schema nor tables' 'GRANT CREATE ON DATABASE "stitch" TO "w""r"'
SETTINGS=$good

# --- a session of which a person has changed the defaults ---
q "ALTER ROLE stitch SET statement_timeout = '60ms'; ALTER ROLE stitch SET default_transaction_isolation = 'repeatable read'; ALTER ROLE stitch SET TimeZone = 'Asia/Tokyo';
	ALTER ROLE stitch SET synchronous_commit = off; ALTER ROLE stitch SET DateStyle = 'German'; ALTER ROLE stitch SET standard_conforming_strings = off"
q "SET statement_timeout = 0; CREATE FUNCTION shop.check_session() RETURNS trigger LANGUAGE plpgsql AS \$\$BEGIN
	PERFORM pg_sleep(0.2);
	IF current_setting('synchronous_commit') <> 'on' OR current_setting('transaction_isolation') <> 'read committed' THEN RAISE 'session is wrong'; END IF;
	RETURN new; END\$\$; CREATE TRIGGER check_session BEFORE INSERT ON shop.t FOR EACH ROW EXECUTE FUNCTION shop.check_session(); ALTER TABLE shop.t ADD COLUMN at timestamptz"
drive <<'END'
table t id
declare at timestamp
batch b9
entry 9
rec 9 {"id":9,"s":"a'b\\c","at":"2024-06-01T12:00:00Z"}
end
load b9
END
is "time-outs, isolation, time zone and commit of the role do not matter" '[[1,0,false]]' "$(counts)"
is "a column that is a timestamptz gets the same moment" "a'b\\c|1717243200" "$(q "SELECT s, extract(epoch FROM at)::bigint FROM shop.t WHERE id = 9")"
done_testing
