#!/bin/bash
# The German catalogue: well formed, and whole for the console. After a change of its messages:
#   xgettext --keyword=_ --keyword=N_ --from-code=UTF-8 -o stitch.pot -f po/POTFILES.in; msgmerge --no-location -U po/de.po stitch.pot
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need msgfmt xgettext msgmerge msgattrib
cd "$top" || exit 1

exits 0 "msgfmt -c" msgfmt -c -o "$T/de.mo" po/de.po
is "every file with messages is in POTFILES.in" "" "$(grep -lE '\b(_|N_|ngettext)\("' tui/*.c | grep -vxFf po/POTFILES.in)"
is "and no file that is not there" "" "$(while read -r f; do [ -f "$f" ] || echo "$f"; done <po/POTFILES.in)"
# shellcheck disable=SC2046
xgettext --keyword=_ --keyword=N_ --from-code=UTF-8 -o "$T/console.pot" $(find tui -name '*.c' ! -name 'ctl*') 2>/dev/null
msgmerge -q --no-fuzzy-matching po/de.po "$T/console.pot" -o "$T/console.po"
ok "the console has messages" test "$(grep -c '^msgid' "$T/console.pot")" -gt 200
is "and each has its German" "" "$(msgattrib --untranslated --no-obsolete "$T/console.po" | sed -n 's/^msgid "\(..*\)"$/\1/p')"
is "none of it is a guess" "" "$(msgattrib --only-fuzzy --no-obsolete po/de.po | sed -n 's/^msgid "\(..*\)"$/\1/p')"
done_testing
