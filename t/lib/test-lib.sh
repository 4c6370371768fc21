# shellcheck shell=bash
# test-lib.sh - what shell tests share. A test begins with
#     #!/bin/bash
#     # One line that says what is shown here.
#     # flavours: plain asan tsan            (those of ./test it runs in; without the line: plain)
#     . "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
#     need jq curl
#     start_stitchd
#     token=$(new_token shop)
#     is "the code" 200 "$(make_batch orders 1 100 | post /v2/import/batch "$token")"
#     done_testing
# Everything lies in $T, a private folder that is removed at the end, after what was started here was stopped, by pid. Nothing here sleeps for a fixed
# time: wait_for asks for a mark, with a deadline. STITCH_TEST_KEEP=1 keeps the folder; on a failure the end of the daemon's log is shown.
set -u -o pipefail

top=${STITCH_TOP_SRCDIR:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
BUILD=${STITCH_BUILD:-${STITCH_TOP_BUILDDIR:-$top/build/plain}}
STITCH_SHARED=${STITCH_SHARED:-$top/../shared}
FLAVOUR=${STITCH_FLAVOUR:-plain}
# how much longer than usual things may take
case $FLAVOUR in asan) SLOW=4 ;; tsan) SLOW=8 ;; *) SLOW=1 ;; esac
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0:exitcode=99} UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1:suppressions=$top/t/tsan.supp}
export LC_ALL=C.UTF-8 TZ=UTC NO_COLOR=1
# where the parts of the shared environment are installed, for parts.sh; STITCH_ENV_DIR is the test's own once it starts one of them
export STITCH_PARTS_ENV=${STITCH_PARTS_ENV:-${STITCH_ENV_DIR:-${STITCH_PARTS:-$top/build/parts}/env}}
unset STITCH_SOCKET RUNTIME_DIRECTORY STITCH_TOKEN NOTIFY_SOCKET

_tests=0 _failed=0 _done='' _pids=() stitchd_pid=''

T=$(mktemp -d "${TMPDIR:-/tmp}/stitch-t.XX""XX""XX") || exit 1
# Unix sockets allow 107 bytes
[ ${#T} -le 80 ] || { rmdir "$T"; T=$(mktemp -d "/tmp/stitch-t.XX""XX""XX") || exit 1; }
chmod 711 "$T" # the user postgres goes through it
STATE=$T/state SOCK=$T/control.sock LOG=$T/stitchd.log
url='' port=''

# --- TAP ---

diag() { printf '%s\n' "$*" | sed 's/^/# /'; }
# not TAP's "Bail out!", which would end all other tests as well
bail() { _tests=$((_tests + 1)); echo "not ok $_tests - cannot go on: $*"; echo "1..$_tests"; exit 1; }
pass() { _tests=$((_tests + 1)); echo "ok $_tests - $1"; }
fail() { # NAME [DIAGNOSTIC...]
	_tests=$((_tests + 1)) _failed=$((_failed + 1))
	echo "not ok $_tests - $1"
	shift
	[ $# = 0 ] || diag "$@"
	return 1
}
skip() { _tests=$((_tests + 1)); echo "ok $_tests # SKIP $1${2:+: $2}"; } # NAME REASON
skip_all() { # REASON; with CI=true nothing may be left out
	if [ "${CI:-}" = true ] && [ "${2:-}" != rightly ]; then echo "1..1"; echo "not ok 1 - cannot run: $1"; _done=1; exit 1; fi
	echo "1..0 # SKIP $1"
	_done=1
	exit 0
}
is() { # NAME WANTED SEEN
	if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "wanted: $2"$'\n'"seen:   $3"; fi
}
isnt() { # NAME UNWANTED SEEN
	if [ "$2" != "$3" ]; then pass "$1"; else fail "$1" "seen, and should not be: $3"; fi
}
like() { # NAME REGEX SEEN: bash's extended regular expression
	if [[ $3 =~ $2 ]]; then pass "$1"; else fail "$1" "wanted: /$2/"$'\n'"seen:   $3"; fi
}
unlike() { # NAME REGEX SEEN
	if [[ ! $3 =~ $2 ]]; then pass "$1"; else fail "$1" "not wanted: /$2/"$'\n'"seen:       $3"; fi
}
ok() { # NAME COMMAND...: passes when it exits 0
	local name=$1
	shift
	if "$@" >"$T/said" 2>&1; then pass "$name"; else fail "$name" "$* failed:"$'\n'"$(tail -n 20 "$T/said")"; fi
}
# COMMAND...: sets rc, out and err
run() {
	out=$("$@" 2>"$T/err") && rc=0 || rc=$?
	err=$(cat "$T/err")
}
exits() { # CODE NAME COMMAND...: as run, and checks the exit status
	local code=$1 name=$2
	shift 2
	run "$@"
	if [ "$rc" = "$code" ]; then pass "$name"; else fail "$name" "exit status $rc instead of $code of: $*"$'\n'"$out"$'\n'"$err"; fi
}
done_testing() {
	if [ "$FLAVOUR" != plain ]; then
		is "no sanitizer complains" "" "$(cat "$T"/*.log "$T"/*/*.log 2>/dev/null | grep -E 'ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:' | head -n 5)"
	fi
	echo "1..$_tests"
	_done=1
	[ $_failed = 0 ] || { [ -f "$LOG" ] && diag "the end of stitchd's log:" && tail -n 25 "$LOG" | sed 's/^/# /'; }
	[ $_failed = 0 ]
	exit
}

# --- the end ---

track() { _pids+=("$1"); } # PID: ended with the test
_end() {
	local rc=$? p
	trap '' INT TERM HUP
	for p in "${_pids[@]}" $stitchd_pid; do kill -KILL "$p" 2>/dev/null && wait "$p" 2>/dev/null; done
	[ -d "$T/env/postgres" ] && stop_postgres
	[ -d "$T/env/s3-run" ] && s3_server kill >/dev/null 2>&1
	[ -n "$_done" ] || [ $rc != 0 ] || rc=1
	if [ -n "${STITCH_TEST_KEEP:-}" ]; then diag "kept: $T"; else rm -rf "$T" 2>/dev/null || { sleep 0.2; rm -rf "$T"; }; fi
	exit $rc
}
trap _end EXIT
trap 'exit 130' INT TERM HUP

# --- what must be there ---

need() { # COMMAND...
	local c
	for c; do command -v "$c" >/dev/null || skip_all "$c is not installed"; done
}
need_root() { [ "$(id -u)" = 0 ] || skip_all "needs root"; }
need_shared() { [ -d "$STITCH_SHARED/env" ] || skip_all "the real parts are not at $STITCH_SHARED (STITCH_SHARED)"; }
need_built() { local p; for p; do [ -x "$BUILD/$p" ] || skip_all "$p is not built in $BUILD"; done; }

# --- waiting ---

now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo "${t%???}"; }
wait_for() { # SECONDS CONDITION: until the shell code CONDITION holds; SECONDS are stretched for sanitizer builds
	local end=$(($(now_ms) + $1 * 1000 * SLOW)) pause=0.02
	until eval "$2" >/dev/null 2>&1; do
		[ "$(now_ms)" -lt $end ] || { diag "after $(($1 * SLOW)) s still not: $2"; return 1; }
		sleep $pause
		pause=0.1
	done
}
gone() { ! kill -0 "$1" 2>/dev/null || grep -q ') Z ' "/proc/$1/stat" 2>/dev/null; } # PID: ended, waited for or not
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# --- the daemon ---

# [FLAG...]: starts stitchd on $STATE and waits until /readyz says 200. Sets stitchd_pid, port and url. The flags come last, so they win; STITCHD_HTTP names
# another address (to keep a port over restarts). 1: it ended or did not get ready, and its last words are shown.
start_stitchd() {
	need_built stitchd stitchctl
	mkdir -p "$STATE"
	rm -f "$STATE/http.port"
	STITCH_LIBEXEC=${STITCH_LIBEXEC:-$BUILD} "$BUILD/stitchd" --state-dir "$STATE" --socket "$SOCK" --http "${STITCHD_HTTP:-127.0.0.1:0}" "$@" >>"$LOG" 2>&1 </dev/null &
	stitchd_pid=$!
	wait_ready || { diag "stitchd did not get ready:"$'\n'"$(tail -n 15 "$LOG")"; return 1; }
}
wait_ready() { # also after the daemon started itself anew
	wait_for 30 '[ -s "$STATE/http.port" ] || gone "$stitchd_pid"' && ! gone "$stitchd_pid" || return 1
	port=$(cat "$STATE/http.port")
	url=http://127.0.0.1:$port
	wait_for 30 'curl -sf -o /dev/null --max-time 5 "$url/readyz" || gone "$stitchd_pid"' && ! gone "$stitchd_pid"
}
stop_stitchd() { # TERM, and its exit status; killed (124) when it takes longer than a minute
	local pid=$stitchd_pid
	[ -n "$pid" ] || return 0
	kill -TERM "$pid" 2>/dev/null
	wait_for 60 'gone "$stitchd_pid"' || { kill_stitchd; return 124; }
	stitchd_pid=
	wait "$pid"
}
kill_stitchd() { # -9
	local pid=$stitchd_pid
	[ -n "$pid" ] || return 0
	stitchd_pid=
	kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	return 0
}
await_death() { # SECONDS: until stitchd ends by itself; sets rc to its exit status (137: killed)
	rc=alive
	wait_for "$1" 'gone "$stitchd_pid"' || return 1
	wait "$stitchd_pid" 2>/dev/null
	rc=$?
	stitchd_pid=
}

ctl() { "$BUILD/stitchctl" --socket "$SOCK" "$@"; }
ctl_as() { # USER GROUP ARG...: as somebody else (needs root)
	local user=$1 group=$2
	shift 2
	setpriv --reuid="$user" --regid="$group" --clear-groups -- "$BUILD/stitchctl" --socket "$SOCK" "$@"
}
field() { jq -r "$1"; } # FILTER < JSON
new_token() { # SOURCE: makes it if it is not there; prints a token
	if ctl source show "$1" >/dev/null 2>&1; then
		ctl --json token create "$1" | jq -r .token
	else
		ctl --json source create --kind import --name "$1" | jq -r .token
	fi
}
sqlite_chain() { # SOURCE [DESTINATION]: a source into SQLite at $T/DESTINATION.db; prints the token
	local d=${2:-local}
	ctl destination show "$d" >/dev/null 2>&1 || ctl destination create --kind sqlite --name "$d" --set path="$T/$d.db" >/dev/null || return 1
	new_token "$1" && ctl connect "$1" "$d" >/dev/null
}
sum_of() { # FIELD [FILTER]: over the tables of status, e.g. sum_of loaded 'select(.table == "orders")'
	ctl --json status | jq "[.tables[] | ${2:-.} | .$1] | add // 0"
}
unbalanced() { # the tables whose ledger is not zero-sum; nothing when all is well
	ctl --json status | jq -c '.tables[] | select(.accepted != .queued + .spooled + .loaded + .rejected + .discarded or .difference != 0)'
}
metric() { curl -sf --max-time 5 "$url/metrics" | awk -v m="$1" '$1 == m {print $2}'; } # NAME (with its labels)

# --- pushing ---

# PATH TOKEN [CURL ARG...] < BODY: prints the status code; the answer is in $T/body and $T/headers. 000: no answer.
post() {
	local path=$1 token=$2
	shift 2
	: >"$T/body"
	curl -s --max-time $((60 * SLOW)) -o "$T/body" -D "$T/headers" -w '%{http_code}\n' -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \
		--data-binary @- "$@" "$url$path"
}
# TABLE FROM TO [PAD]: a batch document with records id = FROM..TO and key id; PAD bytes of text in each
make_batch() {
	awk -v t="$1" -v a="$2" -v b="$3" -v pad="${4:-0}" 'BEGIN {
		for (p = ""; length(p) < pad;) p = p "lorem ipsum "
		printf "{\"table_name\":\"%s\",\"schema\":{\"properties\":{\"id\":{\"type\":\"integer\"}}},\"key_names\":[\"id\"],\"messages\":[", t
		for (i = a; i <= b; i++)
			printf "%s{\"action\":\"upsert\",\"sequence\":%d,\"data\":{\"id\":%d,\"name\":\"row %d\",\"amount\":%d.25,\"pad\":\"%s\"}}", (i > a ? "," : ""), i, i, i, i, substr(p, 1, pad)
		print "]}"
	}'
}

# --- looking at destinations ---

sqlite() { sqlite3 -batch -cmd '.timeout 10000' "$@"; } # DB SQL

# A PostgreSQL of the test's own. Sets PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE.
start_postgres() {
	need_shared
	need psql
	local server=$STITCH_SHARED/env/postgres-server said
	export STITCH_ENV_DIR=$T/env
	[ -n "${STITCH_PG_PORT:-}" ] && [ -d "$T/env" ] || { STITCH_PG_PORT=$(free_port); export STITCH_PG_PORT; }
	mkdir -p "$T/env"
	[ -x "$(ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | tail -n 1)" ] || skip_all "PostgreSQL is not installed ($server install)"
	said=$("$server" start 2>&1) || { [ -s "$T/env/postgres/data/PG_VERSION" ] && bail "PostgreSQL does not start: $said"; skip_all "PostgreSQL does not start: $said"; }
	eval "$("$server" env)"
}
# An S3 server of the test's own (versitygw) with an empty bucket. Sets S3_ENDPOINT S3_BUCKET S3_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY and S3_DATA, the folder
# where the bucket's objects lie as plain files. `s3_server kill | start | pause | resume | curl ...` as $STITCH_SHARED/env/s3-server.
start_s3() {
	need_shared
	need curl
	local bin said
	bin=$("$top/t/lib/parts.sh" s3 2>"$T/s3.why") || skip_all "no S3 server: $(tail -n 3 "$T/s3.why")"
	mkdir -p "$T/env"
	[ -e "$T/env/s3-bin" ] || ln -sfn "$bin" "$T/env/s3-bin"
	if [ -n "${S3_PORT:-}" ]; then
		said=$(s3_server start 2>&1)
	else
		# somebody else may have taken the free port meanwhile
		for _ in 1 2 3; do S3_PORT=$(free_port) && said=$(s3_server start 2>&1) && break; done
	fi
	s3_server status >/dev/null 2>&1 || bail "the S3 server does not start: $said"
	eval "$(s3_server env)"
	S3_DATA=$T/env/s3-run/main/data/$S3_BUCKET
}
s3_server() { STITCH_ENV_DIR=$T/env STITCH_S3_PORT=$S3_PORT "$STITCH_SHARED/env/s3-server" "$@"; }
# The stand-in for Redshift in front of a PostgreSQL and an S3 server of the test's own: all that those two set, and RS_PORT and RS_SETTINGS (a destination's, as JSON). What
# psql says of PGPORT is the truth behind it. Its COPY reads from RS_S3 where that is set (something between it and S3_ENDPOINT).
start_redshift() {
	start_postgres
	start_s3
	# it counts a file's lines from the beginning for each of them: 20,000 rows take a minute
	sed "s/line = text.count('.n', 0, pos) + 1/line, last = line + text.count('\\\\n', last, pos), pos/; s/parse_int=Num); pos = 0/&; line, last = 1, 0/" \
		"$STITCH_SHARED/env/redshift-double" >"$T/redshift-double"
	STITCH_S3_ENDPOINT=${RS_S3:-$S3_ENDPOINT} STITCH_S3_REGION=$S3_REGION STITCH_S3_KEY=$AWS_ACCESS_KEY_ID STITCH_S3_SECRET=$AWS_SECRET_ACCESS_KEY \
		python3 "$T/redshift-double" serve --port 0 >"$T/redshift.out" 2>&1 7>&- 8>&- &
	track $!
	wait_for 30 'grep -q "^redshift-double on" "$T/redshift.out"' || bail "the stand-in for Redshift does not start: $(tail -n 3 "$T/redshift.out")"
	RS_PORT=$(sed -n 's/^redshift-double on .*://p' "$T/redshift.out")
	export RS_PORT
	RS_SETTINGS=$(jq -nc '{host: env.PGHOST, port: env.RS_PORT, user: env.PGUSER, password: env.PGPASSWORD, dbname: env.PGDATABASE, sslmode: "disable", s3_endpoint: env.S3_ENDPOINT,
		s3_bucket: env.S3_BUCKET, s3_region: env.S3_REGION, s3_access_key: env.AWS_ACCESS_KEY_ID, s3_secret_key: env.AWS_SECRET_ACCESS_KEY}')
}
# The stand-in for Snowflake, with an S3 server of the test's own: sets all that start_s3 sets, SF_URL, SF_KEY (a file), SF_PYTHON (has the Snowflake connector), SF_LOG, sf_pid
# and SF_SETTINGS (a destination's, as JSON; the database DWH is there). sf_fault JSON: see snowflake-double.
start_snowflake() {
	start_s3
	SF_PYTHON=$("$top/t/lib/parts.sh" snowflake 2>"$T/sf.why") || skip_all "no stand-in for Snowflake: $(tail -n 3 "$T/sf.why")"
	SF_KEY=$T/sf.p8 SF_LOG=$T/snowflake.out
	openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$SF_KEY" 2>/dev/null && openssl pkey -in "$SF_KEY" -pubout -out "$T/sf.pub" || bail "no key for Snowflake"
	[ -n "${SF_PORT:-}" ] || SF_PORT=$(free_port)
	SF_URL=http://127.0.0.1:$SF_PORT
	mkdir -p "$T/sf-home"
	HOME=$T/sf-home TMPDIR=$T/sf-home STITCH_S3_ENDPOINT=$S3_ENDPOINT STITCH_S3_REGION=$S3_REGION STITCH_S3_KEY=$AWS_ACCESS_KEY_ID STITCH_S3_SECRET=$AWS_SECRET_ACCESS_KEY \
		"$SF_PYTHON" "$STITCH_SHARED/env/snowflake-double" serve --port "$SF_PORT" --public-key "$T/sf.pub" >"$SF_LOG" 2>&1 7>&- 8>&- &
	sf_pid=$!
	track $sf_pid
	wait_for 60 'curl -s -o /dev/null "$SF_URL/" || gone $sf_pid' && ! gone $sf_pid || bail "the stand-in for Snowflake does not start: $(tail -n 3 "$SF_LOG")"
	SF_SETTINGS=$(jq -nc --arg url "$SF_URL" --rawfile key "$SF_KEY" '{url: $url, account: "stitch", user: "loader", private_key: $key, database: "dwh", warehouse: "wh", role: "loader_role",
		s3_endpoint: env.S3_ENDPOINT, s3_bucket: env.S3_BUCKET, s3_region: env.S3_REGION, s3_access_key: env.AWS_ACCESS_KEY_ID, s3_secret_key: env.AWS_SECRET_ACCESS_KEY, s3_prefix: "stitch"}')
	# an independent reader: the Python connector, one process for all questions
	mkfifo "$T/sf.in" "$T/sf.out"
	HOME=$T/sf-home "$SF_PYTHON" "$top/t/lib/snowflake-q.py" "$SF_PORT" <"$T/sf.in" >"$T/sf.out" 2>>"$T/sf-q.log" &
	track $!
	exec 5>"$T/sf.in" 6<"$T/sf.out"
	sf_q 'CREATE DATABASE IF NOT EXISTS "DWH"' >/dev/null
}
# SQL: rows, values separated by |, NULL as empty text
sf_q() {
	local line
	printf '%s\0' "$1" >&5
	while IFS= read -r -u 6 line && [ "$line" != $'\x01' ]; do printf '%s\n' "$line"; done
}
sf_fault() { curl -sf -o /dev/null -H 'Content-Type: application/json' --data-binary "$1" "$SF_URL/_double/fault"; }
stop_postgres() { STITCH_ENV_DIR=$T/env "$STITCH_SHARED/env/postgres-server" stop >/dev/null 2>&1; }
pg() { psql -XAtq -v ON_ERROR_STOP=1 -c "$1"; } # SQL
# The stand-in for BigQuery: sets BQ_URL, BQ_KEY (a service account's key), BQ_SETTINGS (a destination's, as JSON), bq_pid. bq_q SQL asks it, independent of our code;
# bq_double WHAT JSON: fault (see bigquery-double), refuse, slow, deny, stats (see t/lib/bigquery-double.py).
start_bigquery() {
	need_shared
	need jq curl
	local home bin
	BQ_PYTHON=$("$top/t/lib/parts.sh" bigquery 2>"$T/bq.why") || skip_all "no stand-in for BigQuery: $(tail -n 3 "$T/bq.why")"
	bin=$(dirname "$BQ_PYTHON") BQ_KEY=$T/bq.json
	# where the installation put DuckDB's extensions
	home=$bin/../../home
	BQ_PORT=$(free_port) BQ_BEHIND=$(free_port)
	BQ_URL=http://127.0.0.1:$BQ_PORT
	"$BQ_PYTHON" "$STITCH_SHARED/env/bigquery-double" make-key --key "$BQ_KEY" --port "$BQ_PORT" || bail "no key for BigQuery"
	mkdir -p "$T/bq-gcs" "$T/bq-uploads"
	HOME=$home BQEMU_GCS_LOCAL_ROOT=$T/bq-gcs BQEMU_UPLOAD_STAGING_DIR=$T/bq-uploads "$bin/bqemulator" start --rest-port "$BQ_BEHIND" --grpc-port 0 --project stitch-test \
		--log-level warning >"$T/bq-emulator.out" 2>&1 7>&- 8>&- &
	track $!
	"$BQ_PYTHON" "$top/t/lib/bigquery-double.py" serve --double "$STITCH_SHARED/env/bigquery-double" --port "$BQ_PORT" --backend "http://127.0.0.1:$BQ_BEHIND" --key "$BQ_KEY" \
		>"$T/bq.out" 2>&1 7>&- 8>&- &
	bq_pid=$!
	track $bq_pid
	wait_for 60 'curl -s -o /dev/null "http://127.0.0.1:$BQ_BEHIND/bigquery/v2/projects/stitch-test/datasets" && curl -s -o /dev/null "$BQ_URL/"' ||
		bail "the stand-in for BigQuery does not start: $(tail -n 3 "$T/bq-emulator.out" "$T/bq.out")"
	BQ_SETTINGS=$(jq -nc --arg url "$BQ_URL" --rawfile key "$BQ_KEY" '{url: $url, project: "stitch-test", credentials: $key}')
	mkfifo "$T/bq.ask" "$T/bq.said"
	"$BQ_PYTHON" "$top/t/lib/bigquery-q.py" "$BQ_KEY" <"$T/bq.ask" >"$T/bq.said" 2>>"$T/bq-q.log" 7>&- 8>&- &
	track $!
	exec {BQ_ASK}>"$T/bq.ask" {BQ_SAID}<"$T/bq.said"
}
bq_q() { # SQL: rows, values separated by |
	local line
	printf '%s\0' "$1" >&$BQ_ASK
	while IFS= read -r -u $BQ_SAID line && [ "$line" != $'\x01' ]; do printf '%s\n' "$line"; done
}
bq_double() { curl -sf -H 'Content-Type: application/json' ${2:+--data-binary "$2"} "$BQ_URL/_double/$1"; } # WHAT [JSON]
# SOURCE [DESTINATION]: as sqlite_chain, into Postgres
pg_chain() {
	local d=${2:-pg}
	printf %s "$PGPASSWORD" >"$T/pgpass" && chmod 600 "$T/pgpass"
	ctl destination show "$d" >/dev/null 2>&1 || ctl destination create --kind postgres --name "$d" --set host="$PGHOST" --set port="$PGPORT" --set user="$PGUSER" \
		--set password=@"$T/pgpass" --set dbname="$PGDATABASE" >/dev/null || return 1
	new_token "$1" && ctl connect "$1" "$d" >/dev/null
}
