#!/bin/bash
# state.db on disks that refuse writes, lose flushes, lose power and run full: a few rounds of each kind (t/lib/log-faults.sh with t/lib/statedriver; `make state-faults
# ROUNDS=100` for more), and death at its crash points. Every acknowledged transaction must be there after the next start. The rounds need root, loop devices, /dev/fuse
# and the fault tools of the shared folder.
top=${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
build=${STITCH_BUILD:-${STITCH_TOP_BUILDDIR:-$top/build/plain}}
shared=${STITCH_SHARED:-$top/../shared}
rounds=${ROUNDS:-6}
n=0
round() { # NAME KIND FILES
	local out rc
	n=$((n + 1))
	out=$(FAULT_DRIVER=statedriver FAULT_FILES=$3 bash "$top/t/lib/log-faults.sh" "$build" "$shared" "$2" "$rounds" ${SEED:-} 2>&1)
	rc=$?
	if [ $rc = 77 ] && [ "${CI:-}" != true ]; then
		echo "ok $n - $1 # SKIP ${out#*cannot run: }" | head -n 1
	elif [ $rc = 0 ]; then
		echo "ok $n - $1: ${out##*$'\n'}"
	else
		echo "not ok $n - $1"
		printf '%s\n' "$out" | sed 's/^#* */# /' | tail -n 20
	fi
}
crash() { # POINT
	local w out i
	n=$((n + 1))
	w=$(mktemp -d "${TMPDIR:-/tmp}/state-crash-XX""XX""XX") || return
	for i in 1 2 7 40; do
		STITCH_CRASH_AT=$1:$i "$build/t/lib/statedriver" run "$w" "$w/journal" 60000 "$i" >"$w/out" 2>&1
		[ $? = 137 ] || { echo "not ok $n - $1:$i was not reached"; rm -rf "$w"; return; }
	done
	if out=$("$build/t/lib/statedriver" drain "$w" "$w/journal" 41 2>&1 && "$build/t/lib/statedriver" check "$w/journal"); then
		echo "ok $n - killed at $1: $out"
	else
		echo "not ok $n - killed at $1"
		printf '%s\n' "$out" | sed 's/^/# /' | tail -n 20
	fi
	rm -rf "$w"
}
exec 2>/dev/null # the shell's own word on each death
crash state-run
crash state-committed
round "power cuts" cut -
round "writes to the log fail" active state.db-wal
round "writes to the database fail" active state.db
round "writes of any data fail" any -
round "and the process is killed" killed -
round "flushes fail" flush -
round "the disk runs full" full -
echo "1..$n"
