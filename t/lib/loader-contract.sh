# shellcheck shell=bash
# loader-contract.sh - what every loader must do, whatever its destination (stitch-loader(7)). Sourced after test-lib.sh by a test of one kind, which sets
#   PROGRAM   the loader          SETTINGS  its settings as JSON
#   q SQL     asks the destination, values separated by |, NULL as empty text
#   tab NAME  the quoted name of the table NAME of schema shop
#   ts COL    SQL: the timestamp as text YYYY-MM-DD HH:MM:SS.ffffff
#   TRUE FALSE  how q shows them
#   WIDEST    a number as wide as numbers can be here (of 30 digits before the point and 9 after it, if not set)
#   COLLIDES  a field's name that is the same column as "a" here (A, if not set)
#   NESTING   flatten, text, keep or record (text, if not set)
#   RENAMES   not empty: the first type's column gets its suffix, too; INTEGER: that of integers (it, if not set)
#   NUMBERS BIG_NUMBER  how q shows those of contract_values, where that is not as they were sent
#   rows_of TABLE COLUMNS   prints rows of a table, sorted as text by LC_ALL=C sort, values separated by |, NULL as empty text (by q, if not given before)
# and calls loader_contract. Each call of drive is a loader process of its own; what it prints is kept in $out.

drive() {
	out=$({
		echo "spawn $PROGRAM"
		echo "open $SETTINGS"
		cat
	} | timeout $((60 * SLOW)) "$BUILD/t/lib/loader-driver" 2>>"$T/driver.log") || diag "the driver: $(tail -n 3 "$T/driver.log")"
	printf '%s\n' "$out" >>"$T/said"
}
answers() { grep -E '^(result|error) ' <<<"$out" | tail -n +2; } # but that of loader.open
last() { answers | tail -n 1 | cut -d' ' -f2- | jq -c "$1"; } # FILTER on the last answer
counts() { last '[.batches[] | [.rows, .rejected, .already]]'; }
reasons() { sed -n 's/^reject //p' <<<"$out" | jq -r .reason; }
class() { last '.data.class' | tr -d '"'; }

contract_basics() {
	drive <<'END'
check
END
	is "check: all rights are there" true "$(last .ok)"
	local first='table orders id
batch o1
entry 10
rec 1 {"id":1,"name":"one","price":1.50}
rec 2 {"id":2,"name":"two","price":2.25}
entry 11
rec 3 {"id":1,"name":"uno","price":1.75}
end'
	drive <<END
$first
load o1
attempt 2
load o1
END
	is "a batch is loaded, its second time only acknowledged" '[[3,0,true]]' "$(counts)"
	is "with the attempt of the one that committed" 1 "$(last '.batches[0].attempt')"
	is "the newest record of a key is the row" $'1|uno\n2|two' "$(q "SELECT id, name FROM $(tab orders) ORDER BY id")"
	drive <<END
$first
load o1
END
	is "nor is it loaded again by another process" '[[3,0,true]]' "$(counts)"
	is "the ledger has one row of it" 'shop|orders|3|0|10|11|1' \
		"$(q "SELECT source, table_name, rows, rejected, first_offset, last_offset, attempt FROM $(tab _stitch_ledger) WHERE table_name = 'orders'")"
	drive <<END
$first
batch o2
entry 12
rec 1 {"id":2,"name":"too old"}
rec 9 {"id":3,"name":"three"}
rec 9 {"id":3,"name":"same sequence: the first stays"}
rec 4 {"id":1,"price":7.00}
end
load o2 o1
END
	is "a load of a new and an old batch" '[[4,0,false],[3,0,true]]' "$(counts)"
	is "a record replaces the whole row, and only an older one" '1||7
2|two|2.25
3|three|' "$(q "SELECT id, name, price FROM $(tab orders) ORDER BY id" | sed 's/\.00$//')"
	drive <<'END'
table orders id
sample 2
END
	is "sample: columns" '["id","name","price"]' "$(last '.columns[:3]')"
	is "sample: as many rows as asked for" 2 "$(last '.rows | length')"
	drive <<'END'
table nothing id
sample 2
END
	like "sample of a table that is not there" '^error ' "$(answers)"
}

contract_values() {
	local widest=${WIDEST:-123456789012345678901234567890.123456789}
	drive <<END
table vals id
declare id integer
declare at timestamp
declare day date
declare big bignum
batch v1
entry 1
rec 1 {"id":-9223372036854775808,"n":$widest,"s":"","b":true,"at":"2024-02-29T23:30:00+02:00","day":"2024-02-29"}
rec 2 {"id":9223372036854775807,"n":0.1,"s":"Gr\u00fc\u00dfe \"\\\\ \u00e4\n\ud83d\ude00","b":false,"at":"2024-02-29 12:00:00.1234567Z","big":98765432109876543210987654321}
rec 3 {"id":0,"n":-1e3,"s":null,"nothing":null,"at":null}
rec 4 {"id":5,"n":0.30000000000000004,"s":"tab\there"}
end
load v1
END
	is "values: all are taken" '[[4,0,false]]' "$(counts)"
	is "numbers of 30 digits, bounds of int64, the smallest part of a double" "${NUMBERS:-"-9223372036854775808|$widest
0|-1000
5|0.30000000000000004
9223372036854775807|0.1"}" "$(q "SELECT id, n FROM $(tab vals) ORDER BY id")"
	is "a whole number beyond 64 bits" "${BIG_NUMBER:-98765432109876543210987654321}" "$(q "SELECT big FROM $(tab vals) WHERE big IS NOT NULL")"
	is "empty text is not NULL" 1 "$(q "SELECT count(*) FROM $(tab vals) WHERE s = ''")"
	is "NULL is" 1 "$(q "SELECT count(*) FROM $(tab vals) WHERE s IS NULL")"
	is "Unicode, quotes, newline" $'Gr\u00fc\u00dfe "\\ \u00e4\n\U1F600' "$(q "SELECT s FROM $(tab vals) WHERE id = 9223372036854775807")"
	is "booleans" $'-9223372036854775808|'"$TRUE"$'\n9223372036854775807|'"$FALSE" "$(q "SELECT id, b FROM $(tab vals) WHERE b IS NOT NULL ORDER BY id")"
	is "times are UTC" $'2024-02-29 21:30:00.000000\n2024-02-29 12:00:00.123456' "$(q "SELECT $(ts at) FROM $(tab vals) WHERE at IS NOT NULL ORDER BY id")"
	is "a date" '2024-02-29' "$(q "SELECT $(ts day) FROM $(tab vals) WHERE day IS NOT NULL" | cut -d' ' -f1)"
	is "our columns" '1|0|2023-11-14 22:13:20.000000|2023-11-14 22:13:20.000000' \
		"$(q "SELECT _sdc_sequence, _sdc_table_version, $(ts _sdc_received_at), $(ts _sdc_batched_at) FROM $(tab vals) WHERE _sdc_sequence = 1")"
	drive <<'END'
table vals id
sample 1
END
	is "a field that was only ever null has no column" 0 "$(last '[.columns[] | select(. == "nothing" or . == "_sdc_extracted_at")] | length')"
	drive <<'END'
table nulls
batch n1
entry 1
rec 1 {"a":null}
rec 1 {"a":null}
end
load n1
END
	is "a table with no column at all is none, its records are loaded" '[[2,0,false]]' "$(counts)"
}

contract_columns() {
	local first='table grow id
batch g1
entry 1
rec 1 {"id":1,"x":5,"m":7}
end' second='batch g2
entry 2
rec 2 {"id":2,"x":2.5,"m":"seven","new":true}
rec 3 {"id":3,"m":1.5}
end'
	drive <<END
$first
load g1
$second
load g2
END
	is "columns are added, types are split" '[[2,0,false]]' "$(counts)"
	local suffix
	suffix=$(last '.' >/dev/null; drive <<'END'
table grow id
sample 1
END
	last '[.columns[] | select(startswith("m__"))][-1]' | tr -d '"')
	is "integers, then numbers, in one column; text beside it" "1|5|7|
2|2.5||seven
3||1.5|" "$(q "SELECT id, x, $(second m it), $suffix FROM $(tab grow) ORDER BY id")"
	is "the column of a further type is named by it" m__st "$suffix"
	# the older batch comes last: what it makes of the table must be the same
	drive <<END
${first/grow/rev}
${second}
load g2
load g1
END
	is "in the other order" "1|5|7|
2|2.5||seven
3||1.5|" "$(q "SELECT id, x, $(second m it), m__st FROM $(tab rev) ORDER BY id")"
	drive <<'END'
table whole id
batch w1
entry 1
rec 1 {"id":1,"a":1,"b":2}
end
load w1
forget
batch w2
entry 2
rec 2 {"id":1,"a":3}
end
load w2
END
	is "a column that the newer record lacks becomes NULL, split or not" '3|' "$(q "SELECT a, b FROM $(tab whole)")"
	drive <<'END'
table ext id
batch e1
entry 1
rec 1 {"id":1}
recx 2 2024-01-01T00:00:00Z {"id":2}
end
load e1
END
	is "_sdc_extracted_at comes when a record has it" '[[2,0,false]]' "$(counts)"
	is "and holds it" $'1|\n2|2024-01-01 00:00:00.000000' "$(q "SELECT id, $(ts _sdc_extracted_at) FROM $(tab ext) ORDER BY id")"
}

contract_rejects() {
	local script='table bad id
declare id integer
declare at timestamp
declare n integer
batch b1
entry 1
rec 1 {"id":1,"at":"2024-01-01","a":"x"}
rec 2 {"id":2,"at":"yesterday"}
rec 3 {"id":3,"n":9223372036854775808}
rec 4 {"id":4,"'"${COLLIDES:-A}"'":"collides"}
rec 5 {"id":5,"_sdc_mine":1}
rec 6 {"id":6,"x__st":"reserved"}
rec 7 {"a":"no key"}
rec 8 {"id":8,"a":"good"}
end'
	drive <<END
on-reject fail
$script
load b1
END
	is "rejects that cannot be stored: the load is put off" transient "$(class)"
	is "and nothing of it is there" 0 "$(q "SELECT count(*) FROM $(tab bad)")"
	drive <<END
on-reject kill
$script
load b1
END
	like "killed before COMMIT" 'gone' "$out"
	is "nothing is there" 0 "$(q "SELECT count(*) FROM $(tab bad)")"
	drive <<END
$script
attempt 3
load b1
END
	is "good records are loaded, bad ones are not, their sum is right" '[[2,6,false]]' "$(counts)"
	is "reasons" 'invalid timestamp for at on [yesterday]
integer out of range for n on [9223372036854775808]
Field collision on '"${COLLIDES:-A}"'
_sdc_mine has a reserved prefix (_sdc, _rjm)
x__st has a reserved suffix (__ and two letters of a type)
the key id has no value' "$(reasons)"
	is "record numbers" '1 2 3 4 5 6' "$(sed -n 's/^reject //p' <<<"$out" | jq -r .record | paste -sd' ')"
	is "the raw line is whole" '{"action":"upsert","sequence":2,"data":{"id":2,"at":"yesterday"}}' "$(sed -n 's/^reject //p' <<<"$out" | head -n 1 | jq -r .raw)"
	is "rows" '1 8' "$(q "SELECT id FROM $(tab bad) ORDER BY id" | paste -sd' ')"
	is "_sdc_rejected has them, once" '6|bad' "$(q "SELECT count(*), min(table_name) FROM $(tab _sdc_rejected) WHERE table_name = 'bad'")"
	is "the ledger has the attempt that committed" '2|6|3' "$(q "SELECT rows, rejected, attempt FROM $(tab _stitch_ledger) WHERE table_name = 'bad'")"
	drive <<'END'
table worse id
batch w1
entry 1
rec 1 {"id":"text"}
rec 2 {"id":2}
end
declare id integer
load w1
END
	is "a key of another type than its column" '[[1,1,false]]' "$(counts)"
}

contract_append() {
	local script='table log
batch a1
entry 1
rec 1 {"m":"one"}
rec 1 {"m":"two"}
entry 2
rec 1 {"m":"three"}
end
batch a2
entry 2
rec 1 {"m":"three"}
entry 3
rec 1 {"m":"four"}
end
batch a3
entry 3
rec 1 {"m":"four"}
entry 9
rec 1 {"m":"five"}
end'
	drive <<END
$script
load a1
load a2
END
	is "a record within another batch's range counts as loaded" '[[2,0,false]]' "$(counts)"
	is "and is not there twice" 'four one three two' "$(q "SELECT m FROM $(tab log) ORDER BY m" | paste -sd' ')"
	is "rows have ids of their own" 4 "$(q "SELECT count(DISTINCT __sdc_primary_key) FROM $(tab log)")"
	drive <<END
$script
load a1 a2 a3
END
	is "again, with one more" '[[3,0,true],[2,0,true],[2,0,false]]' "$(counts)"
	is "only that one came" 5 "$(q "SELECT count(*) FROM $(tab log)")"
	drive <<END
${script/table log/table log2}
load a1 a2 a3
END
	is "overlapping batches in one load" 5 "$(q "SELECT count(*) FROM $(tab log2)")"
	is "the ids are a function of the place" "$(q "SELECT __sdc_primary_key FROM $(tab log) ORDER BY m, 1")" "$(q "SELECT __sdc_primary_key FROM $(tab log2) ORDER BY m, 1")"
	drive <<END
queue 99112233445566778899aabbccddeeff
$script
batch other
entry 2
rec 1 {"m":"another queue"}
end
load other
END
	is "the same offset in another queue is another record" 6 "$(q "SELECT count(*) FROM $(tab log)")"
	drive <<END
${script/table log/table log3}
discard a1
load a2
END
	is "a discarded batch holds nothing back" 2 "$(q "SELECT count(*) FROM $(tab log3)")"
}

contract_replay() {
	local script='table log4
batch a1
entry 1
rec 1 {"m":"one"}
rec 1 {"x__st":1}
rec 1 {"x__st":2}
end
batch r1
entry 1
rec 1 {"m":"right"}
end
batch r2
entry 1
rec 1 {"m":"right, too"}
end
lie r1 replay 1
lie r2 replay 2'
	drive <<END
$script
load a1
load r1 r2
load r1
END
	is "rejected records that were put right are loaded though their batch holds their offset" 'one right right, too' \
		"$(q "SELECT m FROM $(tab log4) ORDER BY m" | paste -sd' ')"
	q "DROP TABLE $(tab log4)" >/dev/null
	drive <<END
$script
load r1
load a1
END
	is "and hold nothing of it back when it must come again" 'one right' "$(q "SELECT m FROM $(tab log4) ORDER BY m" | paste -sd' ')"
}

contract_discard() {
	local script='table dis id
batch d1
entry 1
rec 1 {"id":1}
rec 1 {"id":2,"at":"x"}
end
declare at timestamp'
	drive <<END
$script
discard d1
END
	is "discard of a batch that was not loaded" false "$(last .was_loaded)"
	drive <<END
$script
discard d1
END
	is "again" false "$(last .was_loaded)"
	drive <<END
$script
load d1
END
	is "a replay turns the mark" '[[1,1,false]]' "$(counts)"
	drive <<END
$script
discard d1
END
	is "discard of a loaded batch: it was loaded, with its figures" '[true,1,1]' "$(last '[.was_loaded, .rows, .rejected]')"
	is "and stays" 1 "$(q "SELECT count(*) FROM $(tab dis)")"
}

contract_corrupt() {
	local script='table safe id
batch c1
entry 1
rec 1 {"id":1,"s":"some text that is long enough to be hit by a flipped bit somewhere in the middle of it"}
entry 2
rec 2 {"id":2}
end'
	drive <<END
$script
flip c1 120
load c1
END
	is "a flipped bit" corrupt "$(class)"
	like "says which batch" '"batch":"[0-9a-f]{32}"' "$out"
	drive <<END
$script
table victim id
batch v1
entry 7
rec 1 {"id":1}
end
load c1
END
	is "a file of another table" corrupt "$(class)"
	like "says whose it is" 'records of table safe' "$out"
	drive <<END
$script
source other 2
schema other
load c1
END
	is "of another source" corrupt "$(class)"
	for lie in 'table_version 5' 'records 1' 'lines 9' 'first 2' 'last 1' 'sha256 "0000000000000000000000000000000000000000000000000000000000000000"'; do
		drive <<END
$script
lie c1 $lie
load c1
END
		is "the job says $lie" corrupt "$(class)"
	done
	drive <<END
$script
batch c2
entry 3
rec 3 {"id":3}
end
flip c2 60
load c1 c2
load c1
END
	is "a damaged batch leaves nothing of its load; the sound one loads alone" '[[2,0,false]]' "$(counts)"
	is "rows" 2 "$(q "SELECT count(*) FROM $(tab safe)")"
}

contract_versions() {
	local script='table ver id
batch r1 1
entry 1
rec 1 {"id":1,"s":"v1"}
rec 2 {"id":2,"s":"v1"}
end
batch r2 2
entry 2
rec 1 {"id":1,"s":"v2"}
activate 3
end
batch late 1
entry 3
rec 9 {"id":9,"s":"v1, late"}
end'
	drive <<END
$script
load r1
load r2
load late
END
	is "a record below the active version counts as loaded" '[[1,0,false]]' "$(counts)"
	is "an activated version replaces the rows" '1|v2' "$(q "SELECT id, s FROM $(tab ver)")"
	drive <<END
${script/table ver/table ver2}
load late r2 r1
END
	is "in any order and in one load" '1|v2' "$(q "SELECT id, s FROM $(tab ver2)")"
	drive <<END
${script/table ver/table ver3}
load r2
load late r1
END
	is "the newest first" '1|v2' "$(q "SELECT id, s FROM $(tab ver3)")"
	is "active versions" '2' "$(q "SELECT active_version FROM $(tab _stitch_table) WHERE table_name = 'ver3'")"
	drive <<'END'
table ver4 id
batch z1
entry 1
rec 1 {"id":1}
activate 2
end
load z1
END
	is "version 0 activates nothing" 1 "$(q "SELECT count(*) FROM $(tab ver4)")"
}

# Killed at any moment, and again: the ledger and the rows come together or not at all. Append-only, where a second copy would be seen.
contract_kills() {
	local ms killed=0
	for ms in 1 2 3 5 8 12 18 25 35 50 70 100 140 200; do
		drive <<END
table kills
batch k1
gen 20000
end
kill-after $((ms * SLOW))
load k1
END
		grep -q '^gone' <<<"$out" && killed=$((killed + 1))
	done
	drive <<'END'
table kills
batch k1
gen 20000
end
load k1
load k1
END
	diag "killed $killed times"
	ok "the loader was killed at least once" test $killed -gt 0
	is "killed at any moment and started again: in the ledger in the end" '[[20000,0,true]]' "$(counts)"
	is "every row once" '20000|20000|20000' "$(q "SELECT count(*), count(DISTINCT id), count(DISTINCT __sdc_primary_key) FROM $(tab kills)")"
}

contract_tables() {
	local script='table gone id
batch x1
entry 1
rec 1 {"id":1}
end'
	drive <<END
$script
load x1
END
	q "DROP TABLE $(tab gone)" >/dev/null
	drive <<END
$script
load x1
END
	is "a table that was dropped is made anew from its batches" '[[1,0,false]]' "$(counts)"
	is "with its rows" 1 "$(q "SELECT count(*) FROM $(tab gone)")"
	drive <<'END'
source thief 2
table gone id
batch y1
entry 1
rec 1 {"id":5}
end
load y1
END
	is "a table of another source is not touched" config "$(class)"
	drive <<'END'
table gone other
batch y2
entry 5
rec 1 {"id":1,"other":2}
end
load y2
END
	is "nor one with another key" config "$(class)"
	like "and the text says which" 'primary key' "$out"
	q "CREATE TABLE $(tab mine) (id integer)" >/dev/null
	drive <<'END'
table mine id
batch m1
entry 1
rec 1 {"id":5}
end
load m1
END
	is "nor one that somebody else made" config "$(class)"
	drive <<'END'
table 'or";--` id
batch q1
entry 1
rec 1 {"id":5,"a\"b;--'":"x"}
end
load q1
END
	is "names are names, whatever they hold" '[[1,0,false]]' "$(counts)"
	drive <<'END'
call load.start {"load":1}
call no.such {}
call loader.open {"protocol":99,"settings":{}}
END
	is "nonsense is answered" 3 "$(answers | grep -c '^error ')"
	drive <<'END'
close
END
	like "loader.close ends it" 'ended status 0' "$out"
	drive <<<eof
	like "and so does the end of fd 3" 'ended status 0' "$out"
}

# shellcheck source=/dev/null
. "$top/t/lib/loader-nested.sh"

loader_contract() {
	need jq
	need_built t/lib/loader-driver
	contract_basics
	contract_values
	contract_columns
	contract_rejects
	contract_append
	contract_replay
	contract_discard
	contract_corrupt
	contract_versions
	contract_tables
	case ${NESTING:-text} in
	flatten) contract_nested_flat ;;
	keep) contract_nested_kept ;;
	esac
	contract_big
	contract_unused
	contract_dry
	contract_kills
	is "no loader ended with a complaint" 0 "$(grep -c 'ended status [1-9]' "$T/said")"
}
