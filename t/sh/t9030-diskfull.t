#!/bin/bash
# The disk under the state folder is full (a small tmpfs): 503 with JSON and Retry-After, pause and audit still work, and when the loader runs the chain drains and
# goes on by itself: nothing is restarted, nothing deleted by hand.
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/pipeline.sh"
need_root
need python3 jq curl sqlite3
mkdir "$T/small"
mount -t tmpfs -o size=32m tmpfs "$T/small" 2>/dev/null || skip_all "no tmpfs can be mounted here" rightly
trap 'stop_pushers; kill_stitchd; umount -l "$T/small"; _end' EXIT
STATE=$T/small/state
# text that does not compress: 24 MB, of which each byte lies in the queue and in a batch file
python3 - >"$T/fat.jsonl" <<'PY'
import base64, random
r = random.Random(7)
for i in range(1, 6001):
    print('{"id": %d, "pad": "%s"}' % (i, base64.b64encode(r.randbytes(3000)).decode()))
PY
WANT=$(sha256sum <"$T/fat.jsonl")
start_stitchd --queue-segment 2M --retention-interval 200ms && chain || bail "no chain"
# below the reserve (a quarter of the disk) the door shuts although the queue could still write
free=$(df --output=avail -B1 "$T/small" | tail -n 1)
head -c $((free - (5 << 20))) /dev/zero >"$T/small/filler"
wait_for 30 '[ "$(ctl --json status | jq -r .import.state)" = full ]' && pass "below the reserve, status says that the door is shut" || fail "below the reserve, status says that the door is shut"
like "and why" 'disk' "$(ctl --json status | jq -r .import.why)"
rm "$T/small/filler"
wait_for 30 '[ "$(ctl --json status | jq -r .import.state)" = open ]' && pass "with room it is open" || fail "with room it is open"
new_token other >/dev/null # a source that nobody pushes to: a client of a paused one is answered 401
ok "the destination is paused" ctl pause destination local --reason "full disk"

rm -f "$T"/journal.*
pusher fat "$T/fat.jsonl" --key id --batch 50
wait_for 60 '[ "$(make_batch probe 1 1 | post /v2/import/batch "$(cat "$T/token")")" = 503 ]' && pass "the door shuts" || fail "the door shuts"
# at the edge a segment that is trimmed may open the door for a moment, so each answer is waited for
wait_for 60 'code=$(make_batch probe 2 2 | post /v2/import/batch "$(cat "$T/token")"); [ "$code" = 503 ]'
is "503" 503 "$code"
like "with Retry-After" $'(^|\n)[Rr]etry-[Aa]fter: [0-9]+' "$(cat "$T/headers")"
is "and JSON" '"ERROR"' "$(jq -c .status "$T/body" 2>&1)"
wait_for 60 '[ "$(curl -s -o /dev/null -w "%{http_code}" "$url/readyz")" = 503 ]' && pass "readyz says so too" || fail "readyz says so too"
is "healthz does not" 200 "$(curl -s -o /dev/null -w '%{http_code}' "$url/healthz")"
# it stays shut, and acts are still possible and written down
ok "a source can be paused" ctl pause source other --reason "while it is full"
ok "and resumed" ctl resume source other
is "the audit log has the three acts" "pause.clear pause.set pause.set" "$(ctl --json audit list | jq -r '.[] | .action | select(startswith("pause"))' | sort | paste -sd' ')"
wait_for 60 '[ "$(ctl --json status | jq -r .import.state)" = full ]' && pass "status tells that the door is shut" || fail "status tells that the door is shut"
is "the client is not done" yes "$(pushing && echo yes)"

ok "the destination is resumed" ctl resume destination local
pid=$stitchd_pid
pushed 120 && pass "the client comes to its end by itself" || fail "the client comes to its end by itself" "$(tail -n 5 "$LOG")"
settled 60 || fail "everything is loaded"
is "the same stitchd" "$pid" "$stitchd_pid"
is "it lives" yes "$(gone "$pid" || echo yes)"
is "every record is there once" "$WANT" "$(sqlite "$T/local.db" "SELECT '{\"id\": ' || id || ', \"pad\": \"' || pad || '\"}' FROM ${SOURCE}__fat ORDER BY id" | sha256sum)"
is "the ledger is zero-sum" "" "$(unbalanced)"
wait_for 20 '[ "$(make_batch probe 3 3 | post /v2/import/batch "$(cat "$T/token")")" = 201 ]' && pass "the door is open again" || fail "the door is open again"
kill_stitchd
start_stitchd --queue-segment 2M && pass "killed, it comes up again: a file system in memory has no cache to be emptied" || bail "it does not come up again"
like "and warns of it" 'file system in memory' "$(cat "$LOG")"
is "it takes records" 201 "$(make_batch probe 4 4 | post /v2/import/batch "$(cat "$T/token")")"
stop_stitchd
is "it ends well" 0 $?
done_testing
