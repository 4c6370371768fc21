#!/bin/bash
# The daemon goes and comes back, or hangs: a banner within two seconds, old figures with their age, acts refused, connected again by itself. Two hundred
# flavours: plain asan
# resizes, a terminal that vanishes.
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/tui-lib.sh"

start_console 80 24
sees "without a daemon it opens and says so" "FAIL no daemon .*no stitchd at"
start_fake
sees "and connects by itself when there is one" "ledger OK"

stop_fake
sees "the daemon is gone: a banner" "FAIL daemon gone · figures are .* old · connecting again"
like "the figures are still there" "snowflake-prod: connection to server" "$(screen)"
sees "with their age" "figures are [2-9]"
keys p
sees "acting keys refuse with the reason" "not possible while the daemon is gone"
keys 3
sees "other screens open" "JOB STATE"
keys 1
start_fake
sees "it is back: so are the figures" "FAIL prod-eu"
keys p
sees "and the acting keys" "pause destination"
stop_fake
wait_screen "daemon gone"
keys y
sees "a question that was open meanwhile acts on nothing" "! "
is "no call was made" "" "$(calls pause.set)"

start_fake
wait_screen "ledger OK"
kill -STOP $_fake
sees "a daemon that hangs is noticed as well" "daemon gone "
kill -CONT $_fake
sees "and again when it goes on" "ledger OK"

# the console asks anew what it missed
n=$(calls system.subscribe | wc -l)
ok "each connection subscribes" test "$n" -ge 4

# sizes: 200 in about two seconds, then the picture of a quiet start
for k in $(seq 200); do mux resize-window -t c -x $((20 + k * 7 % 110)) -y $((2 + k * 5 % 45)); done
mux resize-window -t c -x 80 -y 24
sees "two hundred resizes later it is there" "ledger OK"
screen_is home-80x24
for size in "1 1" "10 3" "300 80" "80 24"; do
	# shellcheck disable=SC2086
	set -- $size
	mux resize-window -t c -x "$1" -y "$2"
	keys j k p Escape
done
sees "in 1x1 and 300x80 too" "ledger OK"

pid=$(pgrep -P "$(mux display-message -p -t c '#{pane_pid}')" stitch-console)
mux kill-session -t c
ok "its terminal is closed: it ends" wait_for 10 "gone $pid"
_console=
start_console 80 24
wait_screen "ledger OK"
keys C-c
sees "^C leaves the terminal as it was" "exit status 0"
done_testing
