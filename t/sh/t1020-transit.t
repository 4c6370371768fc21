#!/bin/bash
# Transit as real clients write it, into SQLite and Postgres: PyPI's stitchclient pushes 25,000 records of mixed types, Maven's transit-java writes what the Java
# client sends (with more keys than the cache has places); every value is compared, and the types of the columns.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl sqlite3 python3
N=25000 N_JAVA=1600
[ "$FLAVOUR" = plain ] || N=3000
client_py=$top/t/lib/transit-client.py
python=$(bash "$top/t/lib/parts.sh" stitchclient 2>"$T/parts.err") || skip_all "PyPI's stitchclient cannot be had: $(tail -n 1 "$T/parts.err")"

# Postgres where it can be had; with CI=true it must
pg=
if [ "${CI:-}" = true ] || { [ -x "$STITCH_SHARED/env/postgres-server" ] && command -v psql && ls /usr/lib/postgresql/*/bin/initdb; } >/dev/null 2>&1; then
	start_postgres
	pg=1
fi
start_stitchd || bail "no daemon"
for s in py java; do
	sqlite_chain $s >"$T/token.$s" || bail "no source $s"
	[ -z "$pg" ] || pg_chain $s >/dev/null || bail "source $s does not reach Postgres"
done
client_id() { ctl --json source show "$1" | jq -r .client_id; }
settled() { wait_for 240 '[ "$(ctl --json status | jq "[.tables[] | .queued + .spooled] | add // 1")" = 0 ]'; }
rows() { psql -XAtq -v ON_ERROR_STOP=1 -c "SELECT row_to_json(t) FROM $1 t"; } # TABLE
# NAME KIND N SCHEMA TABLE: the table in all destinations
all_there() {
	is "$1 in SQLite" "all $3 rows" "$(python3 "$client_py" check "$2" "$3" "$T/local.db" "$4__$5" 2>&1)"
	if [ -n "$pg" ]; then
		is "$1 in Postgres" "all $3 rows" "$(rows "$4.$5" 2>&1 | python3 "$client_py" check "$2" "$3" - 2>&1)"
	else
		skip "$1 in Postgres" "there is no PostgreSQL here"
	fi
}
columns() { # SCHEMA TABLE: NAME TYPE,...; in SQLite and in Postgres
	sqlite "$T/local.db" "SELECT name || ' ' || lower(type) FROM pragma_table_info('$1__$2') WHERE name NOT LIKE '\_sdc%' ESCAPE '\' AND name NOT LIKE 'nested%' ORDER BY name" | paste -sd,
	[ -z "$pg" ] || psql -XAtqc "SELECT column_name || ' ' || data_type FROM information_schema.columns WHERE table_schema = '$1' AND table_name = '$2'
		AND column_name !~ '^(_sdc|nested)' ORDER BY column_name COLLATE \"C\"" | paste -sd,
}

# --- stitchclient ---
ok "stitchclient pushes $N records" "$python" "$client_py" push "$url/v2/import/push" "$(client_id py)" "$T/token.py" $N
ok "all is loaded" settled
all_there "each value of stitchclient's records" mixed $N py mixed
want='above_53 integer,before text,below_53 integer,clé text,exact ,huge ,id integer,keyword text,made_at text,nan_or_not ,nothing text,odd text,price ,'
want+='quarter ,small integer,uid text,unicode text,web text,yes boolean'
[ -z "$pg" ] || want+=$'\n''above_53 bigint,before timestamp without time zone,below_53 bigint,clé text,exact numeric,huge numeric,id bigint,keyword text,made_at timestamp without time zone,nan_or_not numeric,nothing text,odd text,price numeric,quarter numeric,small bigint,uid text,unicode text,web text,yes boolean'
is "columns have the types that Transit gives" "$want" "$(columns py mixed)"

# --- the Java client ---
java_body() { # 2: there is no Java; 1: it does not work
	command -v javac >/dev/null && command -v java >/dev/null || return 2
	local path
	path=$(bash "$top/t/lib/parts.sh" transit-java) || return 1
	mkdir -p "$T/java"
	javac -encoding UTF-8 -cp "$path" -d "$T/java" "$top/t/lib/TransitWriter.java" && java -cp "$path:$T/java" TransitWriter "$1" "$2"
}
java_body "$(client_id java)" $N_JAVA >"$T/body.java" 2>"$T/java.err"
rc=$?
if [ $rc = 0 ]; then
	is "its body is taken" 201 "$(curl -s -o "$T/body" -w '%{http_code}' -H "Authorization: Bearer $(cat "$T/token.java")" -H 'Content-Type: application/transit+json' \
		--data-binary @"$T/body.java" "$url/v2/import/push")"
	ok "all is loaded" settled
	all_there "each value of the Java client's records" java $N_JAVA java from_java
elif [ $rc = 2 ]; then
	skip "the Java client" "javac is not installed"
elif [ "${CI:-}" = true ]; then
	fail "the Java client" "$(tail -n 5 "$T/java.err")"
else
	skip "the Java client" "$(tail -n 1 "$T/java.err" | tr '#' ' ')"
fi
# with more members than a table has columns: 1500, and 12000 twice; of the Java client each 500th. In each destination.
wide=$((N > 12000 ? 3 : 1))
[ $rc != 0 ] || wide=$((wide + (N_JAVA + 499) / 500))
is "only what no table has room for is rejected" $((wide * (pg + 1))) "$(sum_of rejected)"
is "the ledger is zero-sum" "" "$(unbalanced)"

stop_stitchd
is "the daemon ends well" 0 $?
done_testing
