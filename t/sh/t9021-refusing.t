#!/bin/bash
# The disk under the state folder refuses writes for real (EIO from a FUSE file under a loop device) while flights are pushed: on the log, on state.db, on any data.
# Then it heals, more is acknowledged, and the power is cut: after the remount every acknowledged record is there and reaches the destination once.
# ROUNDS=3 of each here; `make faults ROUNDS=100` for more.
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/pipeline.sh"
. "$top/t/lib/cutdisk.sh"
cut_disk_ready refusing
flights_ready 2000
flags=(--queue-segment 2M --batch-size 256K --queue-keep 0s --batch-keep 0s --retention-interval 200ms --backoff-first 50ms --backoff-max 200ms)
push=(--batch 10 --pace 0.02)
# a while in which writes to what was aimed at fail, with a probability; then acknowledged writes
refuse() {
	local before
	tell fail -1 "$((RANDOM % 2)).$((RANDOM % 9 + 1))"
	nap 150
	tell fail 0 1
	revive_stitchd
	before=$(acked)
	wait_for 30 '[ "$(acked)" -gt '"$before"' ] || ! pushing' || { diag "nothing was acknowledged after the disk had healed"; revive_stitchd; }
	nap 100
}
on_log() { aim_at "$STATE"/queue/*.seg; refuse; }
on_state() { aim_at "$STATE"/state.db "$STATE"/state.db-wal; refuse; }
on_any() { aim_at_data; refuse; }
for kind in log state any; do
	rounds_of "$kind" "${ROUNDS:-3}" "on_$kind"
done
done_testing
