#!/bin/bash
# The log on disks that refuse writes, lose flushes, lose power and run full: a few rounds of each kind (t/lib/log-faults.sh; `make log-faults ROUNDS=100` for more).
# Every acknowledged record must be there once after the next start. Needs root, loop devices, /dev/fuse and the fault tools of the shared folder.
top=${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
build=${STITCH_BUILD:-${STITCH_TOP_BUILDDIR:-$top/build/plain}}
shared=${STITCH_SHARED:-$top/../shared}
rounds=${ROUNDS:-10}
n=0
for kind in cut active any killed flush full; do
	n=$((n + 1))
	out=$(bash "$top/t/lib/log-faults.sh" "$build" "$shared" "$kind" "$rounds" ${SEED:-} 2>&1)
	rc=$?
	if [ $rc = 77 ] && [ "${CI:-}" != true ]; then
		echo "ok $n - $kind # SKIP ${out#*cannot run: }" | head -n 1
	elif [ $rc = 0 ]; then
		echo "ok $n - ${out##*$'\n'}"
	else
		echo "not ok $n - $kind"
		printf '%s\n' "$out" | sed 's/^#* */# /' | tail -n 20
	fi
done
echo "1..$n"
