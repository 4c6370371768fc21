#!/bin/bash
# A backlog drained into Postgres, beside what psql needs for the same rows into the same server: COPY into a temporary table, then INSERT ... ON CONFLICT.
# The destination is paused while the records are pushed and cut; the clock runs from resume until the ledger in Postgres has all of them. Twice: into nothing
# (insert), then the same records again with higher sequences over themselves (update). Postgres with fsync; its settings are those of env/postgres-server.
#   p3-drain.sh [RECORDS]
PERF_COMMAND="$0 $*"
. "$(dirname "$0")/perf-lib.sh"
n=${1:-300000}
perf_need python3 psql jq
export STITCH_PG_FSYNC=on
start_postgres
start_stitchd || exit 1
bodies=$(gen stitch "$n") csv=$(gen csv "$n")
# with the same sequence a record is no newer than its row, which would stay as it is
newer=$bodies.newer
[ -s "$newer" ] || sed 's/"sequence":17/"sequence":18/g' "$bodies" >"$newer" || exit 1
pg "$(cat "$BENCH/peers/table.sql")" 2>/dev/null
postmaster=$(head -n 1 "$T/env/postgres/data/postmaster.pid")
cols="name email note amount score updated_at active price nickname"
set=$(for c in $cols; do printf '%s%s=excluded.%s' "${sep:-}" "$c" "$c"; sep=,; done)
printf '%s\n' "create temp table s (like customers);" "\\copy s from '$csv' csv header" "insert into customers select * from s on conflict (id) do update set $set;" >"$T/upsert.sql"
tree() { python3 "$top/t/perf/tree-cpu.py" "$@"; }
ledger() { pg "SELECT coalesce(sum(rows), 0) FROM \"$1\"._stitch_ledger" 2>/dev/null || echo 0; }
all_cut() { [ "$(ctl --json status | jq '[.tables[].queued] | add // 0')" = 0 ] && [ "$(ctl --json status | jq '[.tables[].spooled] | add // 0')" = "$n" ]; }
per() { echo "$1 $2 $n" | awk '{printf "%.2f", ($2 - $1) / $3 * 1e6}'; }

psql_once() { # KIND ROUND
	local t0 t1 db0 c0 c1
	db0=$(tree "$postmaster") c0=$(awk '{print ($16 + $17) / 100}' /proc/$$/stat) t0=$(now_ms)
	psql -qX -v ON_ERROR_STOP=1 -f "$T/upsert.sql" || exit 1
	t1=$(now_ms) c1=$(awk '{print ($16 + $17) / 100}' /proc/$$/stat)
	echo $((n * 1000 / (t1 - t0))) >"$T/psql.$1.$2"
	printf '   round %s %-6s psql   %7d rows/s, %s ms; psql %s CPU s/M, Postgres %s CPU s/M\n' "$2" "$1" "$((n * 1000 / (t1 - t0)))" "$((t1 - t0))" "$(per "$c0" "$c1")" \
		"$(per "${db0% *}" "$(tree "$postmaster" | cut -d' ' -f1)")"
}
ours_once() { # KIND ROUND
	local t0 t1 db0 l0 l1 d0 want=$n what=$bodies
	[ "$1" = insert ] || { want=$((2 * n)) what=$newer; }
	ctl pause destination pg --reason "filling the queue" >/dev/null || exit 1
	if [ "$1" = insert ]; then
		new_token "r$2" >"$T/token" && ctl connect "r$2" pg >/dev/null || exit 1
	fi
	python3 "$top/t/perf/push-bodies.py" "$url" "$T/token" "$what" || exit 1
	ctl flush "r$2" >/dev/null
	wait_for 120 all_cut || exit 1
	db0=$(tree "$postmaster") l0=$(tree "$stitchd_pid" stitch-load) d0=$(cpu_s "$stitchd_pid") t0=$(now_ms)
	ctl resume destination pg >/dev/null || exit 1
	until [ "$(ledger "r$2")" -ge "$want" ]; do sleep 0.05; done
	t1=$(now_ms) l1=$(tree "$stitchd_pid" stitch-load)
	echo $((n * 1000 / (t1 - t0))) >"$T/ours.$1.$2"
	printf '   round %s %-6s stitch %7d rows/s, %s ms; loader %s CPU s/M, stitchd %s CPU s/M, Postgres %s CPU s/M; loader RSS at most %s MiB; load %s\n' "$2" "$1" "$((n * 1000 / (t1 - t0)))" "$((t1 - t0))" \
		"$(per "${l0% *}" "${l1% *}")" "$(per "$d0" "$(cpu_s "$stitchd_pid")")" "$(per "${db0% *}" "$(tree "$postmaster" | cut -d' ' -f1)")" "${l1#* }" "$(load_average)"
	wait_for 60 '[ "$(ctl --json status | jq "[.tables[].spooled] | add")" = 0 ]' || exit 1
	[ "$(pg "SELECT count(*) FROM \"r$2\".customers WHERE _sdc_sequence / 100000000000 = $([ "$1" = insert ] && echo 17 || echo 18)")" = "$n" ] || bail "not all rows are there"
}

pg_chain r0 >"$T/token" || exit 1
ctl source delete r0 >/dev/null
head_line "backlog into Postgres: $n records of gen.py (10 columns, about 500 bytes), $ROUNDS rounds of insert and update, in turn with psql"
for ((r = 1; r <= ROUNDS; r++)); do
	pg "truncate customers"
	for kind in insert update; do
		if ((r % 2)); then ours_once $kind $r; psql_once $kind $r; else psql_once $kind $r; ours_once $kind $r; fi
	done
	pg "DROP SCHEMA \"r$r\" CASCADE" 2>/dev/null
done
for kind in insert update; do
	median "$kind, stitch" rows/s $(cat "$T"/ours.$kind.*)
	median "$kind, psql" rows/s $(cat "$T"/psql.$kind.*)
	# shellcheck disable=SC2046 # one value a word
	median "$kind, stitch against psql" "" $(for ((r = 1; r <= ROUNDS; r++)); do echo "$(cat "$T/ours.$kind.$r") $(cat "$T/psql.$kind.$r")" | awk '{printf "%.2f\n", $1 / $2}'; done)
done
foot_line
stop_stitchd
