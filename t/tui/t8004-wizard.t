#!/bin/bash
# The wizard against the real daemon: a source, a SQLite file, the connection test, the token, the curl line from the screen, until the first row is seen.
# Esc loses nothing on the way.
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/tui-lib.sh"
need curl sqlite3
start_stitchd || bail "stitchd does not start"

start_console 80 24
sees "an empty daemon: the wizard is offered" "nothing is set up yet: a makes"
keys a
sees "page 1" "new source 1/4"
type_text "my shop"
keys Enter
sees "a bad name is told" "a name is 1 to 63 letters"
keys C-u
type_text "shop"
keys Escape
sees "Esc leaves" "ledger OK"
keys a
sees "and what was typed is there again" "\[shop "
keys Enter
sees "page 2" "new source 2/4"
keys Right
sees "Postgres has its fields" "password"
keys Left Tab C-u
type_text "local"
keys Tab C-u
type_text "relative.db"
keys Enter
sees "a test that fails says why" "FAIL +.*absolute"
keys C-u
type_text "$T/nowhere/x/y.db"
keys Enter
sees "a file that cannot be made" "FAIL .*(nowhere|open)"
keys Escape Enter
sees "back and forth" "nowhere/x/y.db"
keys Tab Tab C-u
type_text "$T/rows.db"
keys Enter
sees "a test that succeeds leads on" "new source 3/4"
like "the same as commands" "stitchctl connect shop local" "$(screen)"
is "nothing is made yet" 0 "$(ctl --json source list | jq length)"
keys Enter
sees "page 4" "new source 4/4"
sees "which waits" "waiting for the first record"
never_sees "the token is hidden at first" "at_[0-9a-f]{8}"
keys Q
sees "leaving before anyone has seen the token asks" "token of source shop was never shown"
keys Enter Escape
keys t
sees "t shows it" "Bearer at_[0-9a-f]{8}"
screen | sed -n '/^curl/,/}'"'"'$/p' >"$T/try.sh"
keys s
sees "s shows the commands" "stitchctl source create --kind import --name shop"
keys s Escape
wait_screen "ledger OK"
keys a
sees "Esc and a: the page and the token are still there" "Bearer at_[0-9a-f]{8}"
like "the curl line of the screen works as it stands" "Batch Accepted" "$(sh "$T/try.sh" 2>&1)"
sees "the counts move" "accepted 1 · .*loaded 1"
sees "and the row is shown as the destination has it" "local shop.hello: id=1 +text=hello"
is "it is in the table" "1|hello" "$(sqlite "$T/rows.db" 'SELECT id, text FROM shop__hello')"
keys Enter
sees "Enter ends it: home has the table" "OK +shop.hello +local"
keys a
sees "the next one begins empty" "\[ +\]"
type_text "shop"
keys Enter
sees "a name that is taken is told" "there is a source shop already"
keys C-u
type_text "second"
keys Enter Right Right
sees "an existing destination can be chosen" "< local >"
keys Enter
wait_screen "3/4"
keys Enter
sees "and is used" "new source 4/4.*second"
keys Enter
sees "Enter before the token was seen says so, once" "nobody has seen the token yet"
keys t
is "the connection is there" '["local"]' "$(ctl --json source show second | jq -c .destinations)"
keys Escape

# the same numbers on the screen and in --json; an act is in the audit with its reason
keys 1 5
wait_screen "destinations: 1"
keys p Tab
type_text "night"
keys Enter Enter y
sees "paused for real" "local is paused"
is "with the reason" night "$(ctl --json pause list | jq -r '.[0].reason')"
keys 1
sees "home tells who and why" "WARN local: paused by .*: night"
keys r y
sees "resumed" "local goes on"
is "no pause is left" 0 "$(ctl --json pause list | jq length)"
keys A
sees "the audit view has both" "pause.clear"
sees "of them" "pause.set"
keys 2
wait_screen "tables: "
is "screen and --json say the same" "$("$BUILD/stitch-console" --socket "$SOCK" --once --json | jq -c '.tables[0] | [.accepted, .loaded]')" "$(ctl --json table list | jq -c '.[0] | [.accepted, .loaded]')"
kill_stitchd
sees "the real daemon dies: the banner" "daemon gone"
start_stitchd
sees "and back" "tables: "
done_testing
