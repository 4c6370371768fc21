#!/bin/sh
# The house rules that a machine can hold (HACKING.md): who may include whom, sizes, banned words. One check a line; the offenders are printed.
top=${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$top" || exit 1
n=0
check() { # NAME OFFENDERS
	n=$((n + 1))
	if [ -z "$2" ]; then echo "ok $n - $1"; else echo "not ok $n - $1"; printf '%s\n' "$2" | sed 's/^/# /' | head -n 20; fi
}
files=$(find shared daemon loaders taps tui -name '*.[ch]' 2>/dev/null | sort)
ours=$(find shared daemon loaders taps tui t -name '*.[ch]' 2>/dev/null | sort)

check "the rule looks at a tree with sources" "$([ "$(echo "$files" | wc -l)" -gt 20 ] || echo "only $(echo "$files" | wc -l) files found")"
check "a file has at most 900 lines" "$(for f in $ours; do l=$(wc -l <"$f"); [ "$l" -le 900 ] || echo "$f: $l lines"; done)"
check "a header has at most 150 lines (state.h lists every query: 200)" "$(for f in $files; do case $f in *.h) l=$(wc -l <"$f"); m=150; [ "$f" = daemon/state/state.h ] && m=200; [ "$l" -le $m ] || echo "$f: $l lines" ;; esac; done)"
check "a function has at most 90 lines (a dispatching switch may say why: 'long:' in the line above)" "$(for f in $ours; do case $f in *.c) awk -v f="$f" '
	/long:/ { why = NR } /^[a-zA-Z].*\)$/ { name = $0; at = NR } /^{/ { start = NR; ok = (why && why >= at - 3) }
	/^}/ { if (start && NR - start > 91 && !ok) printf "%s:%d: %d lines: %s\n", f, start, NR - start - 1, name; start = 0 }' "$f" ;; esac; done)"
check "shared/ includes no part of the pipeline" "$(grep -nE '#include "(daemon|loaders|tui|taps)/' shared/*.[ch] 2>/dev/null)"
check "loaders/ includes shared/ and loaders/ only" "$(grep -rnE '#include "(daemon|tui|taps)/' loaders 2>/dev/null)"
check "tui/ reaches the daemon only through the socket" "$(grep -rnE '#include "(daemon|loaders|taps)/' tui 2>/dev/null)"
check "queue_ops.h is seen only by queue/" "$(grep -rln 'queue_ops\.h' daemon loaders tui shared --include='*.[ch]' 2>/dev/null | grep -v '^daemon/queue/')"
check "store_ops.h is seen only by store/" "$(grep -rln 'store_ops\.h' daemon loaders tui shared --include='*.[ch]' 2>/dev/null | grep -v '^daemon/store/')"
check "the import and the queue do not know what comes after them" "$(grep -nE '#include "daemon/(streamery|spool|store|control|retention)/' daemon/import/*.[ch] daemon/queue/*.[ch] 2>/dev/null)"
check "the streamery knows queue.h, store and state and nothing behind them" "$(grep -nE '#include "daemon/(import|spool|control|retention|queue/(segment|queue_log|queue_mem))' daemon/streamery/*.[ch] 2>/dev/null)"
check "the store knows no stage" "$(grep -nE '#include "daemon/(import|queue|streamery|spool|state|control)/' daemon/store/*.[ch] 2>/dev/null)"
check "the spool knows state and store only" "$(grep -nE '#include "daemon/(import|queue|streamery|control|retention)/' daemon/spool/*.[ch] 2>/dev/null)"
check "SQL for state.db only in daemon/state" "$(grep -rln 'sqlite3\.h' daemon --include='*.[ch]' | grep -v '^daemon/state/')"
check "time and randomness in daemon/ only by core/now.h" "$(grep -rnE '\b(clock_gettime|gettimeofday|getrandom|random|time)\(' daemon --include='*.c' | grep -vE '^daemon/core/now.c|_time\(|\* ')"
check "rename only in shared/file.c" "$(grep -rnE '\brename(at)?\(' shared daemon loaders tui --include='*.c' | grep -vE '^shared/file.c|file_rename|\* ')"
check "no left-over notes to oneself" "$(grep -nE 'TODO|FIXME|XXX|HACK[: ]' $ours)"
check "no typedef of a struct" "$(grep -nE '^typedef (struct|enum|union)' $files)"
check "a ban is never taken back" "$(grep -nE '#undef (str|sprintf|gets|atoi|atol|atof|system|popen|rand|localtime|gmtime)' $ours | grep -v '^shared/base.h')"
check "every .c opens with a comment that says what it is" "$(for f in $files; do case $f in *.c) head -n 1 "$f" | grep -q '^/\*' || echo "$f" ;; esac; done)"
check "no trailing blanks; tabs indent C" "$(grep -nE '[ 	]+$' $ours | head -n 5; grep -nE '^    +[^ *]' $ours | head -n 5)"
check "no path of a developer's machine" "$(grep -rnE '/work/(main|shared|wt)|/tmp/b-' --include='*.[ch]' --include='*.t' --include='*.mk' --include='*.am' --include='*.md' --include='*.sh' --exclude-dir='build*' --exclude-dir=.run --exclude-dir=.git . | grep -v t0900-house | head -n 5)"
echo "1..$n"
