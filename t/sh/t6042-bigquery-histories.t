#!/bin/bash
# Order does not matter in BigQuery either: random histories, batch by batch by the schema of their time, all at once, and regrouped out of order with repetitions, give
# the same columns and the same rows. SEEDS=N makes N histories, SEED=N replays one.
# flavours: plain
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/loader-contract.sh"
need jq python3
need_built stitch-load-bigquery t/lib/loader-driver
start_bigquery

PROGRAM=$BUILD/stitch-load-bigquery
SETTINGS=$BQ_SETTINGS
# TABLE: its columns with their types, and its rows without what is NULL or empty, both sorted
state() {
	local names
	names=$(bq_q "GET /datasets/shop/tables/$1" | jq -r 'def t: "\(.name) \(.type) \(.mode // "")\(if .fields then ([.fields[] | t] | sort | tostring) else "" end)"; .schema.fields | sort_by(.name)[] | t')
	printf '%s\n' "$names"
	bq_q "SELECT $(sed 's/^\([^ ]*\) .*/`\1`/' <<<"$names" | grep -v _sdc_ | sed "s/.*/CONCAT('&=', TO_JSON_STRING(&))/" | paste -sd,) FROM \`stitch-test.shop.$1\`" | sed 's/`[a-z_]*`=\(null\|\[\]\)//g; s/||*/|/g' |
		python3 -c 'import json, re, sys
# nested columns stand in the order in which they came
for line in sys.stdin:
	print("|".join(re.sub(r"(`=)([\[{].*)", lambda m: m[1] + json.dumps(json.loads(m[2]), sort_keys=True), p) for p in line.rstrip("\n").split("|")))' | LC_ALL=C sort
}
rows=0 bad=0
for ((seed = ${SEED:-1}; seed <= ${SEED:-${SEEDS:-3}}; seed++)); do
	for how in steps once mixed; do
		drive < <(python3 "$top/t/lib/bigquery-history.py" "$seed" "${how}_$seed" "$how")
		grep -q '^error' <<<"$out" && { bad=$((bad + 1)); diag "seed $seed, $how: $(grep -m 1 '^error' <<<"$out")"; }
		[ "$(grep -c '^result.*batches' <<<"$out")" -gt 0 ] || { bad=$((bad + 1)); diag "seed $seed, $how: nothing was loaded"; }
		state "${how}_$seed" >"$T/$how"
	done
	cmp -s "$T/steps" "$T/once" || { bad=$((bad + 1)); diag "seed $seed, at once: $(diff "$T/steps" "$T/once")"; }
	cmp -s "$T/steps" "$T/mixed" || { bad=$((bad + 1)); diag "seed $seed, regrouped: $(diff "$T/steps" "$T/mixed")"; }
	rows=$((rows + $(grep -c '=' "$T/steps")))
done
diag "$rows rows"
is "histories whose rows depend on the order of their batches" 0 $bad
ok "there were rows" test $rows -gt 0
done_testing
