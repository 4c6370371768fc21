#!/bin/bash
# stitch-console on a pty of 80x24: time from exec to the first screen that is full (a table's row and the line of keys), bytes that it writes a second while
# nothing happens (it asks once a second), memory. Against a real daemon with a few loaded tables, then against the tests' fake one with 1,000 tables.
#   p4-console.sh
PERF_COMMAND="$0 $*"
. "$(dirname "$0")/perf-lib.sh"
perf_need python3 jq
start_stitchd || exit 1
token=$(sqlite_chain shop)
for t in orders customers visits; do make_batch $t 1 100 | post /v2/import/batch "$token" >/dev/null; done
ctl flush shop --wait 60 >/dev/null || exit 1
head_line "console against stitchd with three tables: 5 runs of 7.5 s"
python3 "$top/t/perf/console.py" "$BUILD/stitch-console" --socket "$SOCK" orders | sed 's/^/   /' || exit 1
foot_line
stop_stitchd
head_line "console against the fake daemon with 1,000 tables: 5 runs of 7.5 s"
python3 "$top/t/perf/console.py" "$BUILD/stitch-console" 1000 | sed 's/^/   /'
foot_line
