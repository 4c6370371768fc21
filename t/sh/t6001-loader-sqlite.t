#!/bin/bash
# The SQLite loader keeps the contract of all loaders, and what is particular to SQLite: types in the file, a file that is no database, a lock, a full disk.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/loader-contract.sh"
need sqlite3 jq
need_built stitch-load-sqlite

PROGRAM=$BUILD/stitch-load-sqlite
DB=$T/dest.db
SETTINGS="{\"path\":\"$DB\"}"
TRUE=1 FALSE=0 NESTING=flatten
# the shell prints 15 digits of a double; the value has 17
q() { sqlite "$DB" "$1" | sed 's/^5|0\.3$/5|0.30000000000000004/'; }
tab() { echo "\"shop__$1\""; }
ts() { echo "$1"; }
loader_contract

is "types in the file" 'integer|text|text|integer|text' "$(q "SELECT typeof(id), typeof(n), typeof(s), typeof(b), typeof(at) FROM shop__vals WHERE b = 1")"
is "a number that a double holds is one" 'real' "$(q "SELECT typeof(n) FROM shop__vals WHERE id = 5")"
is "to its last digit" 1 "$(q "SELECT n = 0.30000000000000004 FROM shop__vals WHERE id = 5")"
is "declared types" 'id INTEGER|n |s TEXT|b BOOLEAN|at TEXT' "$(q "SELECT name || ' ' || type FROM pragma_table_info('shop__vals') WHERE name IN ('id', 'n', 's', 'b', 'at') ORDER BY instr('id n s b at', name)" | paste -sd'|')"
is "the write-ahead log" wal "$(q "PRAGMA journal_mode")"
drive <<'END'
table viewed id
batch v1
entry 1
rec 1 {"id":1,"x":1}
end
load v1
END
q "CREATE VIEW a_view AS SELECT x FROM shop__viewed; CREATE INDEX an_index ON shop__viewed (x)"
drive <<'END'
table viewed id
batch v2
entry 2
rec 2 {"id":1,"x":1}
rec 3 {"id":2,"x":2.5}
end
load v2
END
is "a view or an index of a person keeps its column: numbers get one beside it" '1||1
2||2.5' "$(q "SELECT * FROM (SELECT id, x, x__de FROM shop__viewed) ORDER BY id")"
is "the view still works" 2 "$(q "SELECT count(*) FROM a_view")"
drive <<'END'
schema -
table plain id
batch p1
entry 1
rec 1 {"id":1}
end
load p1
END
is "no schema, no prefix" 1 "$(q "SELECT count(*) FROM plain")"
drive <<'END'
schema a
table b__c id
batch p1
entry 1
rec 1 {"id":1}
end
load p1
source two 2
schema a__b
table c id
batch p2
entry 1
rec 1 {"id":1}
end
load p2
END
is "two sources cannot mean one table" config "$(class)"

drive <<'END'
table orders id
sample 1
eof
END
like "at the end of fd 3 an idle loader closes its file properly" 'ended status 0' "$out"
is "nothing is left in its log" "" "$(ls "$DB-wal" 2>/dev/null)"

one='table one id
batch p1
entry 1
rec 1 {"id":1}
end
load p1'
printf 'this is a text file, and long enough not to be taken for an empty database of SQLite; it must stay as it is.%.0s' 1 2 3 4 5 6 7 8 9 10 >"$T/text"
sum=$(sha256sum <"$T/text")
SETTINGS="{\"path\":\"$T/text\"}"
drive <<END
check
$one
END
is "a file that is no database is a matter for a person" config "$(class)"
is "check says what to do" false "$(answers | head -n 1 | cut -d' ' -f2- | jq '.ok or .fix == null')"
is "and it is left alone" "$sum" "$(sha256sum <"$T/text")"
SETTINGS="{\"path\":\"$T/no/folder/x.db\"}"
drive <<END
check
$one
END
is "a folder that is not there" config "$(class)"
like "check: make the folder" 'Make the folder' "$out"
SETTINGS='{"path":"relative.db"}'
drive <<<"$one"
is "a path that is not a full one" config "$(class)"

# another program writes: the load waits for it
SETTINGS="{\"path\":\"$DB\"}"
mkfifo "$T/locker"
sqlite3 -batch "$DB" <"$T/locker" >"$T/locker.out" &
track $!
exec 7>"$T/locker"
echo "BEGIN IMMEDIATE; SELECT 'locked';" >&7
wait_for 10 'grep -q locked "$T/locker.out"'
drive <<<"$one" &
waiter=$!
wait_for 20 '[ -n "$(pgrep -f "^$PROGRAM" -P "$(pgrep -P $waiter -d, loader-driver || pgrep -n loader-driver)")" ]'
is "while another program has the lock nothing is loaded" 0 "$(q "SELECT count(*) FROM shop__one" 2>/dev/null || echo 0)"
echo "COMMIT; SELECT 'done';" >&7
exec 7>&-
wait $waiter
is "when it is done the load goes on" 1 "$(q "SELECT count(*) FROM shop__one")"

if [ "$(id -u)" = 0 ] && mkdir "$T/small" && mount -t tmpfs -o size=1m tmpfs "$T/small" 2>/dev/null; then
	SETTINGS="{\"path\":\"$T/small/x.db\"}"
	full='table big id
batch f1
gen 20000
end
load f1'
	drive <<<"$full"
	is "a full disk: tried again later" transient "$(class)"
	like "the text says so" 'full' "$(last .message)"
	mount -o remount,size=64m "$T/small"
	drive <<<"$full"
	is "and then it goes on" '[[20000,0,false]]' "$(counts)"
	is "with every row" 20000 "$(sqlite "$T/small/x.db" "SELECT count(*) FROM shop__big")"
	umount "$T/small"
else
	skip "a full disk" "needs root and tmpfs"
fi
done_testing
