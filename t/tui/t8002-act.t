#!/bin/bash
# Acts: pause with reason and time, resume, replay with its dry run, try now. Enter alone never acts, a pasted y neither; what is called is what was shown.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/tui-lib.sh"

start_fake
start_console 80 24
wait_screen "ledger OK"

keys p
sees "p asks, and names what it is about" "pause destination snowflake-prod\?"
screen_is pause-80x24
keys Enter Enter Escape
sees "Esc leaves the question" "Enter open"
keys p n
wait_screen "Enter open"
mux set-buffer y
keys p
wait_screen "snowflake-prod\?"
mux paste-buffer -p -t c
keys Tab
type_text "vendor outage: "
mux set-buffer "ticket 7"
mux paste-buffer -p -t c
keys Tab
type_text "2h"
keys Enter c
sees "c shows the command that does the same" "stitchctl pause destination snowflake-prod --reason 'vendor outage: ticket 7'[[:space:]]+--for 2h"
is "until here nothing was called: not by Enter, not by n, not by a pasted y" "" "$(calls pause.set)"
keys y
sees "y acts" "snowflake-prod is paused"
is "and says to the daemon what was on the screen" '{"for":"2h","kind":"destination","name":"snowflake-prod","reason":"vendor outage: ticket 7"}' "$(calls pause.set | jq -cS .)"

# as the daemon then tells it
world '.status.destinations[0] += {state: "paused", paused: {by: "root (uid 0)", since: "2025-11-25T02:16:00Z", until: null, reason: "vendor outage"}}
	| .status.problems[0] |= . + {level: "warn", text: "paused by root (uid 0): vendor outage"} | .status.state = "warn"'
sees "who paused and why is on the home screen" "WARN snowflake-prod: paused by root \(uid 0\): vendor outage"
keys p
sees "p again: it is paused already" "paused already"
keys r
sees "r shows who paused it and what will happen" "Paused by root \(uid 0\): vendor outage"
like "with the plan" "oldest first, in about" "$(screen)"
keys Enter
is "Enter alone resumes nothing" "" "$(calls pause.clear)"
keys y
sees "y resumes" "snowflake-prod goes on"
is "as asked" '{"kind":"destination","name":"snowflake-prod"}' "$(calls pause.clear | jq -cS .)"

keys j j j j
sees "down to a table" "> FAIL shop.clicks|> OK +crm.contacts"
keys p
sees "a table can be paused" "pause table"
keys Escape 4
wait_screen "sources: 2"
keys p
sees "a source too, and the effect on its senders is said" "503 with Retry-After"
keys y
sees "done" "shop is paused"
is "the source" '{"kind":"source","name":"shop"}' "$(calls pause.set | tail -n 1 | jq -cS .)"

keys 3
wait_screen "7034"
keys R
sees "R makes a dry run first" "Dry run: 1 would be loaded, 8,442 skipped, loaded or"
is "which is all that was asked" '{"dry_run":true,"id":"7034"}' "$(calls job.replay | jq -cS .)"
keys y
sees "y replays" "job 7034 is loaded again as job 8001"
is "that job" '{"id":"7034"}' "$(calls job.replay | tail -n 1 | jq -cS .)"
keys j R
sees "a job that waits needs no replay" "not ended yet: t tries it now"
keys p
sees "it can be held" "pause job 7100\?"
keys Escape d
sees "d asks for its id" "discard job 7100\?"
keys Tab y
wait_screen "not discarded"
keys d
type_text "710"
keys Enter y
sees "another id discards nothing" "not discarded: the job's id was not typed"
is "nothing was called" "" "$(calls job.discard)"
keys d
type_text "7100"
keys Enter
is "nor before y" "" "$(calls job.discard)"
keys y
sees "then it does" "job 7100 is discarded"
is "that one" '{"id":"7100"}' "$(calls job.discard | jq -cS .)"
keys t
sees "t tries now" "tried now"
keys 5
wait_screen "destinations: 2"
keys v
sees "v checks a destination, cause and fix are shown" "start the server, or mend host and port"

keys @
sees "@ lists what was done as commands" "stitchctl pause destination snowflake-prod --reason 'vendor outage: ticket 7'"
like "in order" $'resume destination snowflake-prod.*\n.*pause source shop.*\n.*job replay 7034' "$(screen)"
is "what was not done is not in it" 1 "$(screen | grep -c "job discard")"
keys 5
wait_screen "destinations: 2"

world '."pause.set" = {error: ["denied", "the audit log cannot be written"]}'
keys j p y
sees "a refusal is told in the daemon's words" "not done: the audit log cannot be written"

# a member of the socket's group may look
world '.hello = {protocol: 1, version: "test", name: "test", role: "look", import_url: ""}'
n=$(calls pause.set | wc -l)
start_console 80 24
wait_screen "ledger OK"
never_sees "role look: acting keys are absent" "p pause"
keys p
sees "and say so" "you may look, not act"
keys y Enter
is "nothing is sent" "$n" "$(calls pause.set | wc -l)"
done_testing
