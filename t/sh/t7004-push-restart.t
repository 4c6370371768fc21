#!/bin/bash
# `stitchctl push` over a daemon that is killed and started again in the middle: it goes on by itself, and an append-only table holds every line once.
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl sqlite3 python3
need_built stitch-load-sqlite
STITCHD_HTTP=127.0.0.1:$(free_port)
start_stitchd || bail "no daemon"
token=$(sqlite_chain shop)
lines=400000
# fed slowly enough that the kills meet it in the middle: the feeder waits for a mark between the parts
mkfifo "$T/feed"
ctl --json push shop --table log --token "$token" --url "$url" <"$T/feed" >"$T/pushed" 2>"$T/push.err" &
push=$!
track $push
exec 9>"$T/feed"
part() { seq "$1" "$2" | sed 's/.*/{"line":&,"text":"what happened, some bytes of it"}/' >&9; }
part 1 100000
wait_for 60 '[ "$(sum_of accepted)" -ge 50000 ]'
kill_stitchd
part 100001 150000 &
feeder=$!
ok "it starts again" start_stitchd 9>&- # or it would hold the feed open
wait $feeder
part 150001 300000 &
feeder=$!
wait_for 60 '[ "$(sum_of accepted)" -ge 200000 ]'
kill_stitchd
ok "and again" start_stitchd 9>&-
wait $feeder
part 300001 $lines
exec 9>&-
wait_for 120 'gone $push'
wait $push
is "push ends well" 0 $?
is "all lines were accepted" "$lines" "$(jq .records "$T/pushed")"
is "it had nothing to complain of" "" "$(cat "$T/push.err")"
exits 0 "all are loaded" ctl flush shop --wait 120
is "every line once" "$lines|$lines" "$(sqlite "$T/local.db" 'select count(*), count(distinct line) from shop__log')"
is "the ledger is zero-sum" "" "$(unbalanced)"
ok "the daemon stops well" stop_stitchd
done_testing
