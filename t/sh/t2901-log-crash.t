#!/bin/sh
# The log dies at each of its crash points, early and late; after the next start every acknowledged record is there once (t/lib/logdriver.c).
# flavours: plain asan
top=${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
build=${STITCH_BUILD:-${STITCH_TOP_BUILDDIR:-$top/build/plain}}
driver=$build/t/lib/logdriver
w=$(mktemp -d) || exit 1
trap 'rm -rf "$w"' EXIT
n=0 run=0
for point in queue-appended queue-synced queue-segment-made queue-recycled; do
	for when in 1 2 7 20; do
		n=$((n + 1))
		rm -rf "$w/d" "$w/journal"
		mkdir "$w/d"
		died=
		for attempt in 1 2 3; do
			run=$((run + 1))
			STITCH_CRASH_AT=$point:$when "$driver" run "$w/d" "$w/journal" 1200 $run >"$w/out" 2>&1
			rc=$?
			[ $rc = 137 ] && died="$died died"
		done
		run=$((run + 1))
		if "$driver" drain "$w/d" "$w/journal" $run >"$w/out" 2>&1 && "$driver" check "$w/journal" >"$w/out" 2>&1 && [ -n "$died" ]; then
			echo "ok $n - $point, time $when:$died, $(tail -n 1 "$w/out")"
		else
			echo "not ok $n - $point, time $when:$died"
			sed 's/^/# /' "$w/out" | tail -n 10
		fi
	done
done
echo "1..$n"
