#!/bin/bash
# Order does not matter in Postgres either: t6060's histories through its loader, where a killed loader's transaction may still run, and the first type's column is
# renamed when a second type comes. SEEDS=N makes N histories, SEED=N replays that of one seed.
# flavours: plain
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need python3 jq psql
need_built stitch-load-postgres t/lib/loader-driver
start_postgres
settings=$(jq -nc '{host: env.PGHOST, port: env.PGPORT, user: env.PGUSER, password: env.PGPASSWORD, dbname: env.PGDATABASE}')

bad=0 rows=0
for ((seed = ${SEED:-1001}; seed <= ${SEED:-$((1000 + ${SEEDS:-6}))}; seed++)); do
	out=$(python3 "$top/t/lib/histories.py" --driver "$BUILD/t/lib/loader-driver" --loader "$BUILD/stitch-load-postgres" --seed "$seed" --variants 3 --settings "$settings" --psql psql 2>&1) || {
		bad=$((bad + 1))
		diag "$out"
		diag "again: SEED=$seed $0"
	}
	[[ $out =~ ([0-9]+)\ rows ]] && rows=$((rows + BASH_REMATCH[1]))
done
is "histories whose rows depend on the order of their batches" 0 $bad
ok "there were rows ($rows)" test "$rows" -gt 0
done_testing
