# shellcheck shell=bash
# tui-lib.sh - for tests of the console: a private tmux, keys in, screen out, and a daemon that is none (t/tui/fake-server.py). Sourced after test-lib.sh.
#     start_fake world.json; start_console 80 24; wait_screen 'snowflake'; screen_is home-80x24; keys p y; wait_called pause.set
# STITCH_UPDATE_SCREENS=1 writes the saved screens anew instead of comparing: look at them before they are committed.

need tmux python3 jq
need_built stitch-console
WORLD=$T/world.json CALLS=$T/calls
printf 'set -g status off\nset -g default-terminal screen-256color\n' >"$T/tmux.conf"

mux() { tmux -f "$T/tmux.conf" -S "$T/tmux" "$@" 2>>"$T/tmux.log"; }
_fake='' _console=''

# [WORLD.json [JQ-FILTER]]: the fake daemon on $SOCK, with that world (default: t/tui/world.json) changed by the filter
start_fake() {
	world "${2:-.}" "${1:-$top/t/tui/world.json}"
	: >>"$CALLS"
	python3 "$top/t/tui/fake-server.py" "$SOCK" "$WORLD" "$CALLS" >>"$T/fake.log" 2>&1 &
	_fake=$!
	track $_fake
	wait_for 10 '[ -S "$SOCK" ]' || bail "the fake daemon does not start: $(cat "$T/fake.log")"
}
stop_fake() { kill -KILL $_fake; wait $_fake 2>/dev/null; rm -f "$SOCK"; }
world() { # JQ-FILTER [FROM]: changes what the fake daemon says
	jq "$1" "${2:-$WORLD}" >"$WORLD.new" && mv "$WORLD.new" "$WORLD"
}
# WIDTH HEIGHT [ARG...]: the console in a terminal of its own; CONSOLE_ENV: words for env(1)
start_console() {
	local w=$1 h=$2
	shift 2
	stop_console
	mux new-session -d -s c -x "$w" -y "$h" "env ${CONSOLE_ENV:-} $BUILD/stitch-console --socket $SOCK $* 2>$T/console.log; echo exit status \$?; exec sleep 1000" || bail "tmux: $(cat "$T/tmux.log")"
	_console=1
}
stop_console() {
	[ -n "$_console" ] || return 0
	mux kill-server
	wait_for 10 '! mux ls'
	_console=
}
_end_tui() { local rc=$?; mux kill-server; (exit $rc); _end; }
trap _end_tui EXIT

keys() { local k; for k; do mux send-keys -t c "$k"; done; } # KEY...: names of tmux (Enter, Escape, Tab) or characters
type_text() { mux send-keys -t c -l "$1"; }
screen() { mux capture-pane -p -t c; }
wait_screen() { # EXTENDED-REGEX [SECONDS]
	local re=$1
	wait_for "${2:-10}" '[[ $(screen) =~ $re ]]' || { diag "the screen is:"$'\n'"$(screen)"; return 1; }
}
sees() { # NAME REGEX: waits for it
	if wait_screen "$2"; then pass "$1"; else fail "$1"; fi
}
never_sees() { # NAME REGEX: not on the screen as it is now
	unlike "$1" "$2" "$(screen)"
}
screen_is() { # SAVED: t/tui/SAVED.screen, byte for byte; waits until it is
	local file=$top/t/tui/$1.screen
	if [ -n "${STITCH_UPDATE_SCREENS:-}" ]; then sleep 1; screen >"$file"; fi
	if wait_for 10 'diff -q <(screen) '"$file"; then pass "screen $1"; else fail "screen $1" "$(diff -u "$file" <(screen))"; fi
}
calls() { jq -c "select(.method == \"$1\") | .params" "$CALLS"; } # METHOD: the params of each call
wait_called() { # METHOD [TIMES]
	wait_for 10 "[ \$(calls $1 | wc -l) -ge ${2:-1} ]"
}
