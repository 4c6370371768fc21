#!/bin/bash
# The wizard with a Postgres destination: a wrong port and a wrong password are told with cause and fix, the password is never on the screen, the first row is
# seen. Then Postgres stops: home says which destination fails and why; it is paused, resumed, and drains when Postgres is back.
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/tui-lib.sh"
need curl
start_postgres
start_stitchd || bail "stitchd does not start"

start_console 80 24
wait_screen "nothing is set up yet"
keys a
type_text "crm"
keys Enter
wait_screen "2/4"
keys Right Tab C-u
type_text "pg"
keys Tab C-u
type_text "$PGHOST"
keys Tab
type_text "1"
keys Tab C-u
type_text "$PGUSER"
keys Tab
type_text "$PGPASSWORD"
keys Tab
type_text "$PGDATABASE"
never_sees "the password is not shown" "$PGPASSWORD"
keys Enter
sees "a port where nobody listens: the cause" "FAIL .*refused"
like "and what to do" "server running|host and port" "$(screen)"
keys Up Up Up C-u
type_text "$PGPORT"
keys Tab Tab Tab Enter
sees "with the right one the test passes" "new source 3/4"
like "the command takes the password from standard input" "password=-" "$(screen | tr -d '\n ')"
never_sees "and does not show it" "=$PGPASSWORD"
keys Enter
wait_screen "new source 4/4"
keys t
wait_screen "Bearer at_[0-9a-f]{8}"
screen | sed -n '/^curl/,/}'"'"'$/p' >"$T/try.sh"
like "the curl line works" "Batch Accepted" "$(sh "$T/try.sh" 2>&1)"
if wait_screen "pg crm.hello: id=1 +text=hello" 30; then pass "the first row is seen"; else fail "the first row is seen"; fi
is "it is there" "1|hello" "$(pg 'SELECT id, text FROM crm.hello')"
keys Enter
sees "home" "OK +crm.hello"

stop_postgres
token=$(new_token crm)
is "a push while Postgres is down" 201 "$(make_batch orders 1 50 | post /v2/import/batch "$token")"
if wait_screen "FAIL pg: " 30; then pass "home: the failing destination with its cause, selected"; else fail "home: the failing destination with its cause, selected"; fi
like "and how much waits" "50 records" "$(screen)"
keys p Tab
type_text "maintenance"
keys Enter Enter y
sees "paused" "WARN pg: paused by .*maintenance"
start_postgres
keys r
sees "resume says what waits" "50 records wait"
keys y
if wait_screen "OK  nothing is wrong" 60; then pass "drained by itself"; else fail "drained by itself"; fi
is "all of it, once" 50 "$(pg 'SELECT count(*) FROM crm.orders')"
keys A
sees "who paused it is in the audit" "pause.set +destination pg"
done_testing
