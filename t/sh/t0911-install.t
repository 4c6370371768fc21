#!/bin/bash
# `make install` puts everything where it belongs, and what is installed runs from there: programs, unit, settings, catalogue; uninstall takes it away again.
# The unit's SystemCallFilter allows all that stitchd and its loaders do, a start after a crash included.
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need make jq curl strace systemd-analyze
need_built stitchd stitchctl stitch-console
[ -f "$BUILD/Makefile" ] || skip_all "no Makefile in $BUILD"
root=$T/root
mk() { env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s -C "$BUILD" "$@"; }
mk install DESTDIR="$root" >"$T/install.out" 2>&1 && pass "make install" || bail "make install: $(tail -n 5 "$T/install.out")"
var() { sed -n "s|^$1 = ||p" "$BUILD/Makefile" | sed -e "s|\${prefix}|$(sed -n 's|^prefix = ||p' "$BUILD/Makefile")|" -e "s|\${exec_prefix}|$(sed -n 's|^prefix = ||p' "$BUILD/Makefile")|" \
	-e "s|\${datarootdir}|$(sed -n 's|^prefix = ||p' "$BUILD/Makefile")/share|"; }
missing=
for f in "$(var bindir)/stitchctl" "$(var bindir)/stitch-console" "$(var sbindir)/stitchd" "$(var libexecdir)/stitch/stitch-load-sqlite" \
	"$(var libexecdir)/stitch/stitch-load-postgres" "$(var mandir)/man8/stitchd.8" "$(var mandir)/man5/stitchd.conf.5" "$(var mandir)/man1/stitchctl.1" \
	"$(var mandir)/man1/stitch-console.1" "$(var mandir)/man7/stitch-loader.7" "$(var mandir)/man7/stitch-protocol.7" "$(var systemdsystemunitdir)/stitchd.service" \
	"$(var sysconfdir)/stitch/stitchd.conf" "$(var datarootdir)/bash-completion/completions/stitchctl" "$(var datarootdir)/zsh/site-functions/_stitchctl" \
	"$(var localedir)/de/LC_MESSAGES/stitch.mo"; do [ -f "$root$f" ] || missing="$missing $f"; done
is "all is there" "" "$missing"
unit=$root$(var systemdsystemunitdir)/stitchd.service
conf=$root$(var sysconfdir)/stitch/stitchd.conf
like "the unit starts what is installed, with the settings that are installed" "ExecStart=$(var sbindir)/stitchd --config $(var sysconfdir)/stitch/stitchd.conf" "$(cat "$unit")"
ok "these settings are good" "$root$(var sbindir)/stitchd" --config "$conf" --check-config
echo "name = mine" >>"$conf"
mk install DESTDIR="$root" >"$T/install.out" 2>&1 && grep -q '^name = mine' "$conf" && pass "a second install leaves the settings" || fail "a second install leaves the settings"

# the names that a filter allows, sets in sets
allowed() {
	local w
	for w; do case $w in @*) allowed $(systemd-analyze syscall-filter "$w" | sed -e 1,2d -e 's/#.*//') ;; *) echo "$w" ;; esac; done
}
cat >"$T/stitchd" <<END
#!/bin/sh
exec strace -f -qq -e signal=none -o "$T/calls.\$\$" "$root$(var sbindir)/stitchd" "\$@"
END
chmod +x "$T/stitchd"
STITCH_LIBEXEC=$root$(var libexecdir)/stitch
export STITCH_LIBEXEC
SLOW=$((SLOW * 4)) # under strace
start() { rm -f "$STATE/http.port"; "$T/stitchd" --config "$conf" --state-dir "$STATE" --socket "$SOCK" --http 127.0.0.1:0 >>"$LOG" 2>&1 </dev/null & stitchd_pid=$!; wait_ready; }
daemon() { cat "/proc/$stitchd_pid/task/$stitchd_pid/children"; }
mkdir -p "$STATE"
start && pass "the installed stitchd starts" || bail "it does not: $(tail -n 5 "$LOG")"
ctl destination create --kind sqlite --name local --set path="$T/local.db" >/dev/null && token=$(new_token shop) && ctl connect shop local >/dev/null
is "a batch is taken" 201 "$(make_batch orders 1 10 | post /v2/import/batch "$token")"
ok "and loaded by the installed loader" ctl flush --wait 60
kill -KILL $(daemon) && wait "$stitchd_pid" 2>/dev/null
start && pass "it starts after a crash" || bail "it does not: $(tail -n 5 "$LOG")"
is "a batch is taken" 201 "$(make_batch orders 11 20 | post /v2/import/batch "$token")"
ok "and loaded" ctl flush --wait 60
ok "a backup is made" ctl state backup "$T/backup"
kill -TERM $(daemon) && wait "$stitchd_pid"
is "it ends well" 0 $?
stitchd_pid=
allowed $(sed -n 's/^SystemCallFilter=//p' "$unit") | sort -u >"$T/allowed"
sed -n 's/^[0-9]* *\([a-z0-9_]*\)(.*/\1/p' "$T"/calls.* | sort -u >"$T/made"
ok "many system calls were seen" [ "$(wc -l <"$T/made")" -gt 30 ]
is "and the unit allows each" "" "$(comm -13 "$T/allowed" "$T/made")"

sed -i '/^name = mine/d' "$conf"
mk uninstall DESTDIR="$root" >"$T/install.out" 2>&1
is "uninstall leaves nothing" "" "$(find "$root" -type f)"
done_testing
