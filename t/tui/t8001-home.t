#!/bin/bash
# What the person on call reads without a key: the worst first, with its cause; in 80x24, 120x40 and 40x10, in ASCII, and the other screens. Saved screens.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/tui-lib.sh"

start_fake
start_console 80 24
sees "the figures come by themselves" "FAIL prod-eu  02:16:01"
screen_is home-80x24
is "the cursor is on the worst row" "0,4" "$(mux display-message -p -t c '#{cursor_x},#{cursor_y}')"
unlike "no escape sequence of a name reaches the terminal" $'\033''\[31m' "$(mux capture-pane -e -p -t c)"

keys '?'
sees "help lists the keys that are valid here" "p +pause this source"
screen_is help-80x24
keys Escape
sees "Esc goes back" "ledger OK"

keys Enter
sees "Enter on a failing destination: its jobs, failed ones first" "spool .* snowflake-prod"
screen_is spool-80x24
keys Enter
sees "Enter on a job: what was rejected and why" "rejected record 1 of 1"
screen_is job-80x24
keys 2
screen_is tables-80x24
keys 4
screen_is sources-80x24
keys 5
screen_is destinations-80x24
keys l
screen_is log-80x24
keys A
screen_is audit-80x24
keys o
sees "o: only lines about this object" "only destination snowflake-prod"
is "asked of the daemon" '{"limit":500,"object":"destination snowflake-prod"}' "$(wait_called audit.list 2; calls audit.list | jq -cS . | tail -n 1)"

keys 2
sees "tables again" "tables: 21"
keys /
type_text "orders|deals"
sees "a filter works while it is typed" "tables: 2 "
keys Enter s s
sees "sorted by name, under the filter" "sorted by TABLE"
like "in that order" $'crm\\.deals.*\n.*shop\\.orders' "$(screen)"
keys / C-u
type_text "!crm"
keys Enter
sees "an inverse filter" "tables: 3"
keys / Escape
sees "Esc takes the filter away" "tables: 21"
keys c
sees "c shows the same as a command" "stitchctl table show"

keys 1 q
sees "q on home leaves with 0" "exit status 0"

start_console 120 40
wait_screen "ledger OK"
screen_is home-120x40
start_console 40 10
wait_screen "snowflake"
screen_is home-40x10
CONSOLE_ENV="TERM=vt100" start_console 80 24
wait_screen "ledger OK"
screen_is home-vt100
unlike "drawn in ASCII" '[─▁▂▃▄▅▆▇█▶·…→]' "$(screen)"
CONSOLE_ENV="TERM=linux LC_ALL=C" start_console 80 24
sees "in a locale without UTF-8 all foreign characters are escapes" 'crm.e.u0301'
start_console 80 24 --readonly
wait_screen "ledger OK"
never_sees "--readonly: acting keys are not offered" "p pause"
keys '?'
wait_screen "keys valid in"
never_sees "nor in the help" "pause"
keys Escape p
sees "and say why they do nothing" "only looks"
keys a
sees "the wizard as well" "only looks"

world '.status.problems = [] | .status.state = "ok" | .status.tables |= map(.state = "ok" | .error = null | .waiting = 0 | .lag_s = 0)'
start_console 80 24
sees "when nothing is wrong it says so" "OK  nothing is wrong"
world '.status = {"now_ns": "odd", "tables": [1, {"source": {}}], "problems": {"a": 1}, "destinations": null, "state": 7,
	"spool": {"ready": 9000000000000000000, "active": 9000000000000000000, "bytes": -1}, "queue": {"lag_s": 1e300, "records": -9000000000000000000}}'
sees "odd figures do no harm" "nothing is set up yet"
keys 2 3 4 5 6 7 1 j k G g Enter Escape
sees "in no screen" "nothing is set up yet"

# bytes for a refresh in which little changes: the clock, ages
world '.status.clock = true' "$top/t/tui/world.json"
start_console 80 24
wait_screen "ledger OK"
clock() { screen | sed -n 's/.*prod-eu  \([0-9:]*\).*/\1/p'; }
before=$(clock)
wait_for 10 '[ "$(clock)" != "$before" ]'
mux pipe-pane -t c "cat >$T/raw"
first=$(clock)
wait_for 20 '[ $(($(date -d "$(clock)" +%s) - $(date -d "$first" +%s))) -ge 4 ]'
seconds=$(($(date -d "$(clock)" +%s) - $(date -d "$first" +%s)))
bytes=$(stat -c %s "$T/raw")
ok "$bytes bytes for $seconds refreshes: at most 200 each" test "$bytes" -le $(((seconds + 1) * 200)) -a "$bytes" -gt 0

stop_console
exits 20 "--once --json exits with 20 when something fails" "$BUILD/stitch-console" --socket "$SOCK" --once --json
is "and prints what the daemon said" prod-eu "$(jq -r .name <<<"$out")"
exits 20 "--once without --json: lines" "$BUILD/stitch-console" --socket "$SOCK" --once
like "with the cause" "FAIL destination snowflake-prod: connection to server" "$out"
unlike "escaped" $'\033' "$out"
world '.status.state = "warn"'
exits 10 "10 for warnings" "$BUILD/stitch-console" --socket "$SOCK" --once
world '.status.state = "ok"'
exits 0 "0 when all is well" "$BUILD/stitch-console" --socket "$SOCK" --once
exits 3 "3 without a daemon" "$BUILD/stitch-console" --socket "$T/nobody" --once
exits 2 "no terminal and no --once: refused" "$BUILD/stitch-console" --socket "$SOCK"
like "with the way out" "--once" "$err"
exits 2 "an unknown option" "$BUILD/stitch-console" --colour
done_testing
