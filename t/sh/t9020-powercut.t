#!/bin/bash
# The power is cut while flights are pushed (ext4 shutdown on a loop mount: what was not synced is gone): after the remount every acknowledged record is
# there and reaches the destination once. ROUNDS=5 here; `make faults ROUNDS=100` for more.
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/pipeline.sh"
. "$top/t/lib/cutdisk.sh"
cut_disk_ready plain
flights_ready 2000
flags=(--queue-segment 2M --batch-size 256K --queue-keep 0s --batch-keep 0s --retention-interval 200ms --backoff-first 50ms --backoff-max 200ms)
push=(--batch 20 --pace 0.005)
nothing() { :; }
rounds_of cut "${ROUNDS:-5}" nothing
done_testing
