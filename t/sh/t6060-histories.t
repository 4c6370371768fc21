#!/bin/bash
# Order does not matter: random histories of a table (keys, versions, nested values, types that change, bad records, batches cut anew), loaded in many orders,
# groupings and repetitions by loaders that are killed in between, always give the rows that a model makes of the records. t/lib/histories.py says more.
# SEEDS=N makes N histories, SEED=N replays that of one seed.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need python3
need_built stitch-load-sqlite t/lib/loader-driver

first=${SEED:-1}
last=${SEED:-${SEEDS:-$([ "$SLOW" = 1 ] && echo 40 || echo 12)}}
bad=0 rows=0
for ((seed = first; seed <= last; seed++)); do
	out=$(python3 "$top/t/lib/histories.py" --driver "$BUILD/t/lib/loader-driver" --loader "$BUILD/stitch-load-sqlite" --seed "$seed" --variants $((SLOW == 1 ? 4 : 3)) 2>&1) || {
		bad=$((bad + 1))
		diag "$out"
		diag "again: SEED=$seed $0"
	}
	[[ $out =~ ([0-9]+)\ rows ]] && rows=$((rows + BASH_REMATCH[1]))
done
diag "seeds $first to $last, $rows rows"
is "histories whose rows depend on the order of their batches" 0 $bad
ok "there were rows" test "$rows" -gt 0
done_testing
