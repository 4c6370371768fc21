#!/bin/sh
# Shell scripts hold what shellcheck asks for (errors and warnings), and are executable.
top=${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$top" || exit 1
command -v shellcheck >/dev/null || {
	if [ "${CI:-}" = true ]; then echo "1..1"; echo "not ok 1 - shellcheck is not installed"; exit 1; fi
	echo "1..0 # SKIP shellcheck is not installed"
	exit 0
}
n=0
for f in start test .ci/run t/sh/*.t t/tui/*.t t/lib/*.sh t/perf/*.sh; do
	[ -s "$f" ] || continue
	n=$((n + 1))
	out=$(shellcheck -x -S warning -e SC1090,SC1091,SC2034,SC2046,SC2086,SC2154,SC3013 "$f" 2>&1)
	mode=
	case $f in *.sh) ;; *) [ -x "$f" ] || mode="not executable" ;; esac
	if [ -z "$out$mode" ]; then echo "ok $n - $f"; else echo "not ok $n - $f"; printf '%s\n%s\n' "$mode" "$out" | sed 's/^/# /' | head -n 30; fi
done
echo "1..$n"
