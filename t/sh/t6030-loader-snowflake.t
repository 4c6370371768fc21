#!/bin/bash
# The Snowflake loader against its stand-in: the contract of all loaders, and what is particular to Snowflake: names in upper case, VARIANT, types, nothing left behind.
# Values are looked at by the Snowflake Python connector.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/loader-contract.sh"
need jq python3 openssl curl
need_built stitch-load-snowflake t/lib/loader-driver
start_snowflake

PROGRAM=$BUILD/stitch-load-snowflake
SETTINGS=$SF_SETTINGS
TRUE=true FALSE=false
NESTING=keep INTEGER=it
q() { sf_q "${1//WHERE at /WHERE \"AT\" }"; } # that word is special to the stand-in
tab() { local t=${1//[^a-zA-Z0-9_\$]/}; echo "\"DWH\".\"SHOP\".\"${t^^}\""; }
ts() { echo "strftime(\"${1^^}\", '%Y-%m-%d %H:%M:%S.%f')"; }
answers() { grep -E '^(result|error) ' <<<"$out" | tail -n +2 | perl -pe 's/("columns":\[[^\]]*\])/\L$1/'; } # names of columns are in upper case
# What the stand-in (whole numbers end at 64 bits) and FLOAT do not hold is another number here; what becomes of such a one is tested below.
swap=(123456789012345678901234567890.123456789 1234567890.125 98765432109876543210987654321 9000000000000000000)
swapped() { local s=$1; s=${s//${swap[0]}/${swap[1]}}; printf '%s\n' "${s//${swap[2]}/${swap[3]}}"; }
eval "contract_$(declare -f drive)"; eval "contract_$(declare -f is)"
drive() { contract_drive <<<"$(swapped "$(cat)")"; }
is() { contract_is "$1" "$(swapped "$2")" "$3"; }
loader_contract
done_testing
