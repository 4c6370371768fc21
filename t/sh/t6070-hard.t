#!/bin/bash
# One source with a hard data set into all destinations at once: every JSON type, 30-digit numbers, emoji, offsets, three levels of nesting, arrays of arrays, types that change,
# 1,500 columns, names that collide or are reserved, columns of nothing, a record of 5 MB. Each is read by a reader that shares no code with ours and compared value by value.
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl sqlite3 python3
look() { python3 "$top/t/lib/look.py" "$@"; }
settled() { wait_for $((240 * SLOW)) '[ "$(ctl --json status | jq "[.tables[] | .queued + .spooled] | add // 1")" = 0 ]'; }
mkdir -p "$T/bodies"
python3 "$top/t/lib/hard.py" bodies "$T/bodies" || bail "no bodies"

start_postgres
start_stitchd || bail "no daemon"
token=$(sqlite_chain hard)
pg_chain hard >/dev/null || bail "no Postgres destination"

for f in "$T"/bodies/*.json; do
	path=${f%.json}
	is "${f##*/} is taken" 201 "$(post "/v2/import/${path##*.}" "$token" <"$f")"
	settled || diag "not settled"
done
ok "all is loaded" settled
said() { ctl --json status | jq -c '.tables[] | select(.rejected > 0 or .error != null) | {table, destination, rejected, error}'; }
there() { # KIND READER...
	local kind=$1
	shift
	is "$kind: every value" "all there" "$("$@" 2>&1 | python3 "$top/t/lib/hard.py" check "$kind" 2>&1)"
}
there sqlite look sqlite "$T/local.db" hard
there postgres look postgres hard
is "the ledger is zero-sum" "" "$(unbalanced)"
[ $_failed = 0 ] || diag "$(said)"
stop_stitchd
done_testing
