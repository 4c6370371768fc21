#!/bin/bash
# The shell tests' own library: it tells failures, waits with a deadline, and leaves nothing behind.
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"

need jq python3
inner() { # SCRIPT: a test of its own
	printf '#!/bin/bash\n. "%s/t/lib/test-lib.sh"\n%s\n' "$top" "$1" >"$T/inner.t"
	run env -u CI bash "$T/inner.t"
}

inner 'is "a" 1 1; is "b" 1 2; like "c" "^x+$" xxx; unlike "d" x x; ok "e" false; ok "f" true; exits 3 "g" sh -c "exit 3"; done_testing'
is "one failure makes the test fail" 1 "$rc"
is "each check says what it is" "ok 1 - a|not ok 2 - b|ok 3 - c|not ok 4 - d|not ok 5 - e|ok 6 - f|ok 7 - g|1..7" "$(grep -v '^#' <<<"$out" | paste -sd'|')"
like "what was wanted is shown" '# wanted: 1' "$out"
inner 'pass a; exit 0'
is "a test that ends before its end has failed" 1 "$rc"
inner 'need no-such-command; pass a; done_testing'
is "what is missing skips all" "1..0 # SKIP no-such-command is not installed" "$out"
run env CI=true bash "$T/inner.t"
is "but not with CI=true" 1 "$rc"
inner 'sleep 1000 & track $!; echo $! >"'"$T"'/pid"; echo "$T" >"'"$T"'/folder"; pass a; done_testing'
ok "what was started has ended" gone "$(cat "$T/pid")"
ok "the folder is gone" test ! -e "$(cat "$T/folder")"
inner 'wait_for 0 false && pass a; wait_for 5 "[ -e \"$T\" ]" && pass b; done_testing'
is "waiting has an end" "ok 1 - b" "$(grep '^ok' <<<"$out")"
port1=$(free_port) && ok "a free port" test "$port1" -gt 1023
is "a batch document" '{"table_name":"t","ids":[3,4,5],"pad":20}' "$(make_batch t 3 5 20 | jq -c '{table_name, ids: [.messages[].data.id], pad: (.messages[0].data.pad | length)}')"
done_testing
