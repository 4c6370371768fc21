#!/bin/sh
# A batch file is what it promises: zstdcat and jq read it, its name holds its sha256, its folder is the table's, percent-encoded.
make=${STITCH_TOP_BUILDDIR:-${STITCH_BUILD:-.}}/t/unit/3003-streamery.tap
if ! command -v zstdcat >/dev/null || ! command -v jq >/dev/null; then echo "1..0 # SKIP needs zstdcat and jq"; exit 0; fi
if [ ! -x "$make" ]; then echo "1..0 # SKIP needs $make"; exit 0; fi
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
n=0
check() { # NAME WANTED SEEN
	n=$((n + 1))
	if [ "$2" = "$3" ]; then echo "ok $n - $1"; else echo "not ok $n - $1"; echo "# wanted $2, seen $3"; fi
}
name=$("$make" --file "$dir")
check "its folder" "1/or%2Fders" "$(dirname "$name")"
check "it is there, alone" "$dir/$name" "$(find "$dir" -type f)"
check "zstdcat and jq read it: heads" "3" "$(zstdcat "$dir/$name" | jq -c 'select(.action == null) | .table' | grep -c '^"or/ders"$')"
check "and records in the order of the queue" "0 0 0 1 1 1 2 2 2" "$(zstdcat "$dir/$name" | jq -r 'select(.action) | .data.seed' | tr '\n' ' ' | sed 's/ $//')"
check "its sha256 is in the name" "$(sha256sum "$dir/$name" | cut -c1-16)" "$(basename "$name" | cut -d- -f4)"
echo "1..$n"
