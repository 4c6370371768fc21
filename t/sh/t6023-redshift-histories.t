#!/bin/bash
# Order does not matter to Redshift (its stand-in) either: the random histories of t6060 through its loader. SEEDS=N makes N histories, SEED=N replays that of one seed.
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need python3 psql jq
need_built stitch-load-redshift t/lib/loader-driver
start_redshift

first=${SEED:-1}
last=${SEED:-${SEEDS:-3}}
bad=0 rows=0
for ((seed = first; seed <= last; seed++)); do
	out=$(python3 "$top/t/lib/histories.py" --driver "$BUILD/t/lib/loader-driver" --loader "$BUILD/stitch-load-redshift" --seed "$seed" --variants 3 \
		--settings "$RS_SETTINGS" --psql psql --redshift 2>&1) || {
		bad=$((bad + 1))
		diag "$out"
		diag "again: SEED=$seed $0"
	}
	[[ $out =~ ([0-9]+)\ rows ]] && rows=$((rows + BASH_REMATCH[1]))
done
diag "seeds $first to $last, $rows rows"
is "histories whose rows depend on the order of their batches" 0 $bad
ok "there were rows" test "$rows" -gt 0
is "no staged file is left" 0 "$(find "$S3_DATA" -type f | wc -l)"
done_testing
