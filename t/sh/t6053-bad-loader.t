#!/bin/bash
# A loader that dies at once, crashes, hangs, leaks or talks nonsense is contained: limits, heartbeat, back-off; status says why; the other destination stays fresh.
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl sqlite3 python3
mkdir "$T/libexec"
ln -s "$BUILD/stitch-load-sqlite" "$T/libexec/stitch-load-sqlite"
cp "$top/t/lib/bad-loader.py" "$T/libexec/stitch-load-postgres"
chmod 755 "$T/libexec/stitch-load-postgres"
echo die >"$T/libexec/MODE"
STITCH_LIBEXEC=$T/libexec start_stitchd --heartbeat 2s --backoff-first 100ms --backoff-max 300ms || bail "no daemon"
token=$(sqlite_chain shop)
ctl destination create --kind postgres --name bad --no-check --set dbname=x >/dev/null && ctl connect shop bad >/dev/null || bail "no bad destination"
next=1
error_of() { ctl --json destination show bad | jq -r '.error.text // ""'; }
try() { # MODE REGEX: what status says of it, and how fresh the other destination is meanwhile
	local began
	echo "$1" >"$T/libexec/MODE"
	is "$1: a batch" 201 "$(make_batch orders $next $((next + 9)) | post /v2/import/batch "$token")"
	began=$(now_ms)
	next=$((next + 10))
	ctl flush >/dev/null
	wait_for 60 '[ "$(sqlite "$T/local.db" "SELECT count(*) FROM shop__orders" 2>/dev/null)" = $((next - 1)) ]' && pass "$1: the other destination has it" || fail "$1: the other destination has it"
	diag "$1: after $(($(now_ms) - began)) ms"
	ctl resume destination bad >/dev/null 2>&1 || ctl flush >/dev/null
	# shellcheck disable=SC2034
	want=$2
	wait_for 90 '[[ $(error_of) =~ $want ]]' && pass "$1: it is told why" || fail "$1: it is told why" "wanted /$2/, seen: $(error_of)"
	is "$1: its state" failing "$(ctl --json destination show bad | jq -r .state)"
	like "$1: its breaker" 'open' "$(ctl --json destination show bad | jq -r .breaker.state)"
}
try die 'ended before it was connected: exit status 7'
try crash 'ended during a load: signal 11'
try hang 'no sign of life for 2 s'
try leak 'ended during a load: exit status 1'
try chatter 'ended during a load: signal 9.*JSON'
try refuse 'the test says no'
until_ns=$(ctl --json destination show bad | jq .breaker.until_ns)
ok "its own hint is obeyed: not before an hour" test "$until_ns" -gt $(($(date +%s%N) + 3000000000000))
exits 20 "status fails" ctl --json status
is "and says of whom" 'destination bad' "$(jq -r '[.problems[] | select(.level == "fail")][0].object' <<<"$out")"
ok "at most one process of it is left" test "$(pgrep -c -P "$stitchd_pid" -f stitch-load-postgres)" -le 1
is "nothing is lost on the way" 60 "$(ctl --json status | jq '[.tables[] | select(.destination == "bad") | .spooled + .queued] | add')"
is "the ledger is zero-sum" "" "$(unbalanced)"
stop_stitchd
is "it ends well" 0 $?
done_testing
