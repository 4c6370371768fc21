#!/bin/bash
# A full disk: the door shuts at the reserve, and pauses with their audit lines are written still, also when nothing at all is left; a start on such a disk comes up,
# and when there is room again all goes on. Needs root and loop devices.
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl mkfs.ext4
need_root
[ -e /dev/loop-control ] || skip_all "no loop devices"
mnt=${T:?}/mnt
truncate -s 160M "$T/img"
mkfs.ext4 -q -F "$T/img" && mkdir "$mnt" && mount -o loop "$T/img" "$mnt" || skip_all "no loop mount"
trap 'rc=$?; umount -l "$mnt" 2>/dev/null; (exit $rc); _end' EXIT
STATE=$mnt/state
mkdir "$STATE"
fill() { dd if=/dev/zero of="$mnt/filler" bs=64k conv=notrunc oflag=append "$@" 2>/dev/null; }

STITCHD_HTTP=127.0.0.1:$(free_port)
start_stitchd --queue-segment 4M || bail "no daemon"
token=$(sqlite_chain shop)
is "a batch is taken" 201 "$(make_batch orders 1 100 | post /v2/import/batch "$token")"
ok "and loaded" ctl flush --wait 30
free=$(df --output=avail -k "$mnt" | tail -n 1)
fill count=$(((free - 16384) / 64))
ok "16 MiB are left: the door shuts" wait_for 30 '[ "$(curl -s -o /dev/null -w "%{http_code}" "$url/readyz")" = 503 ]'
is "and takes nothing" 503 "$(make_batch orders 101 200 | post /v2/import/batch "$token")"
ok "a table is paused" ctl pause table shop.orders --reason reserve
ok "and resumed" ctl resume table shop.orders
fill
is "nothing is left" 0 "$(df --output=avail -k "$mnt" | tail -n 1 | tr -d ' ')"
ok "a table is paused all the same" ctl pause table shop.orders --reason full
is "with an audit line that tells its end" "done" "$(ctl --json audit list | jq -r '.[0].result')"
kill_stitchd
"$BUILD/stitchd" --state-dir "$STATE" --socket "$SOCK" --http "$STITCHD_HTTP" --queue-segment 4M --libexec "$BUILD" >>"$LOG" 2>&1 </dev/null &
stitchd_pid=$!
ok "it comes up on the full disk" wait_for 30 'ctl pause list'
is "the pause is kept" full "$(ctl --json pause list | jq -r '.[0].reason')"
rm "$mnt/filler"
ok "there is room again: the door opens" wait_ready
ok "the table is resumed" ctl resume table shop.orders
is "a batch is taken" 201 "$(make_batch orders 101 200 | post /v2/import/batch "$token")"
ok "and loaded" ctl flush --wait 30
is "the ledger balances" "" "$(unbalanced)"
is "every row is there once" 200 "$(sqlite "$T/local.db" 'SELECT count(*) FROM shop__orders')"
stop_stitchd
is "it stops cleanly" 0 $?
done_testing
