#!/bin/bash
# The BigQuery loader keeps the contract of all loaders, as far as it applies, and what is particular to BigQuery: names, types, nested columns, its key table, and check.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/loader-contract.sh"
need jq
need_built stitch-load-bigquery
start_bigquery

PROGRAM=$BUILD/stitch-load-bigquery
SETTINGS=$BQ_SETTINGS
TRUE=true FALSE=false NESTING=record
# the column of numbers has one beside it for those that are no doubles
WIDEST=12345678901234567890123456789.123456789
q() {
	local sql=${1/SELECT id, n FROM/SELECT id, IFNULL(CAST(n__nu AS STRING), CAST(n AS STRING)) FROM}
	bq_q "${sql/ at IS/ \`at\` IS}" | sed 's/\.0$//'
}
tab() { local n=${1,,}; echo "\`stitch-test.shop.${n//[^a-z0-9_]/_}\`"; }
ts() { echo "\`$1\`"; }
loader_contract
done_testing
