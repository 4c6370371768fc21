#!/bin/bash
# The man pages are sound, and say all that the programs say of themselves: every option, every setting with its default, every command with its usage.
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need mandoc col
need_built stitchd stitchctl stitch-console

page() { mandoc -Tascii -O width=600 "$top/man/$1" | col -bx; }
literal() { sed 's/[].*^$+?(){}|[\\]/\\&/g'; } # text -> regular expression
# the words that do not stand in the page, a line each; a word ends where a letter, digit or dash does not go on
missing() { # PAGE < WORDS
	local word text
	text=$(page "$1")
	while read -r word; do grep -qE -- "(^|[^a-z0-9_-])$(literal <<<"$word")([^a-z0-9_-]|\$)" <<<"$text" || echo "$word"; done
}
options_of() { grep -oE -- '--[a-z][a-z-]+' | sort -u; }

for f in "$top"/man/*.[1-8]; do
	is "mandoc has nothing against $(basename "$f")" "" "$(mandoc -Tlint -W warning "$f" 2>&1)"
	grep -q "man/$(basename "$f")" "$top/man/local.mk" || fail "$(basename "$f") is installed"
done

"$BUILD/stitchd" --help >"$T/stitchd"
"$BUILD/stitchctl" --help >"$T/stitchctl"
"$BUILD/stitch-console" --help >"$T/console"
isnt "stitchd tells its options" "" "$(options_of <"$T/stitchd")"
is "stitchd(8) has every option of stitchd" "" "$(sed '/^Settings/,$d' "$T/stitchd" | options_of | missing stitchd.8)"
is "stitch-console(1) has every option of stitch-console" "" "$(options_of <"$T/console" | missing stitch-console.1)"
is "stitchctl(1) has every option of stitchctl" "" "$(options_of <"$T/stitchctl" | missing stitchctl.1)"

# "  name   what it is [default]" there, "name  What it is.  Text; default D." here
sed -n '/^Settings/,$s/^  \([a-z_]\{2,\}\) .*/\1/p' "$T/stitchd" >"$T/settings"
ok "stitchd tells its settings" [ "$(wc -l <"$T/settings")" -gt 20 ]
text=$(page stitchd.conf.5)
is "stitchd.conf(5) has every setting" "" "$(while read -r s; do grep -qE "^ {5}$s( |\$)" <<<"$text" || echo "$s"; done <"$T/settings")"
is "and each default" "" "$(sed -n '/^Settings/,$s/^  \([a-z_]*\) .* \[\(.*\)\]$/\1 \2/p' "$T/stitchd" | while read -r s d; do
	sed -nE "/^ {5}$s( |\$)/{p;n;p;}" <<<"$text" | grep -qF "default $d." || echo "$s: $d"; done)"
is "and none that is not there" "" "$(sed -nE 's/^ {5}([a-z_]+)(  .*)?$/\1/p' <<<"$text" | grep -vxFf "$T/settings")"

mapfile -t flags < <(sed -n '/^Settings/,$s/^  \([a-z_]*\) .* \[\(.*\)\]$/\1=\2/p' "$T/stitchd" | while IFS= read -r s; do f=${s%%=*}; echo "--${f//_/-}=${s#*=}"; done)
ok "every setting is also a flag, and all of them fit into one command line" "$BUILD/stitchd" --state-dir "$STATE" "${flags[@]}" --check-config

check() { "$BUILD/stitchd" --state-dir "$STATE" "$@" --check-config 2>&1; }
like "a kind of queue that is not there is found before the start" 'queue: .*log:DIR.*kafka' "$(check --queue kafka://broker/topic)"
like "so is one that would keep nothing" 'queue: .*log:DIR' "$(check --queue mem:)"
like "a store" 'store: .*dir:PATH' "$(check --store ftp://bucket)"
like "a port" 'http: .*port from 0 to 65535' "$(check --http 127.0.0.1:http)"
exits 1 "with an exit status" "$BUILD/stitchd" --state-dir "$STATE" --http localhost:99999 --check-config

# each line of the method table that has words, as `stitchctl help` prints its usage
n=0
text=$(page stitchctl.1)
for words in push help $(sed -n 's/^METHOD("[^"]*", "\([^"]\{1,\}\)".*/\1/p' "$top/shared/methods.def" | tr ' ' _); do
	usage=$("$BUILD/stitchctl" help ${words//_/ } | sed -n '1s/^usage: stitchctl //p')
	n=$((n + 1))
	grep -qE "^ {5}$(literal <<<"$usage")(  |\$)" <<<"$text" || echo "$usage"
done >"$T/without"
ok "stitchctl explains its commands" [ $n -gt 30 ]
is "stitchctl(1) has the usage of every command" "" "$(cat "$T/without")"
is "and no command that is not there" "" "$(sed -n '/^COMMANDS/,/^[A-Z]/s/^     \([a-z][a-z ]*[a-z]\).*/\1/p' <<<"$text" | while read -r words; do
	"$BUILD/stitchctl" help ${words%%  *} >/dev/null 2>&1 || echo "$words"; done)"
done_testing
