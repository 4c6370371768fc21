# shellcheck shell=bash
# loader-contract.sh - what every loader must do, whatever its destination (stitch-loader(7)). Sourced after test-lib.sh by a test of one kind, which sets
#   PROGRAM   the loader          SETTINGS  its settings as JSON
#   q SQL     asks the destination, values separated by |, NULL as empty text
#   tab NAME  the quoted name of the table NAME of schema shop
#   ts COL    SQL: the timestamp as text YYYY-MM-DD HH:MM:SS.ffffff
#   TRUE FALSE  how q shows them
#   COLLIDES  a field's name that is the same column as "a" here (A, if not set)
#   NESTING   flatten, text, keep or record (text, if not set)
#   RENAMES   not empty: the first type's column gets its suffix, too; INTEGER: that of integers (it, if not set)
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
	drive <<'END'
table vals id
declare id integer
declare at timestamp
declare day date
declare big bignum
batch v1
entry 1
rec 1 {"id":-9223372036854775808,"n":123456789012345678901234567890.123456789,"s":"","b":true,"at":"2024-02-29T23:30:00+02:00","day":"2024-02-29"}
rec 2 {"id":9223372036854775807,"n":0.1,"s":"Gr\u00fc\u00dfe \"\\ \u00e4\n\ud83d\ude00","b":false,"at":"2024-02-29 12:00:00.1234567Z","big":98765432109876543210987654321}
rec 3 {"id":0,"n":-1e3,"s":null,"nothing":null,"at":null}
rec 4 {"id":5,"n":0.30000000000000004,"s":"tab\there"}
end
load v1
END
	is "values: all are taken" '[[4,0,false]]' "$(counts)"
	is "numbers of 30 digits, bounds of int64, the smallest part of a double" '-9223372036854775808|123456789012345678901234567890.123456789
0|-1000
5|0.30000000000000004
9223372036854775807|0.1' "$(q "SELECT id, n FROM $(tab vals) ORDER BY id")"
	is "a whole number beyond 64 bits" 98765432109876543210987654321 "$(q "SELECT big FROM $(tab vals) WHERE big IS NOT NULL")"
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
	last '[.columns[] | select(startswith("m__"))][0]' | tr -d '"')
	is "integers, then numbers, in one column; text beside it" "1|5|7|
2|2.5||seven
3||1.5|" "$(q "SELECT id, x, m, $suffix FROM $(tab grow) ORDER BY id")"
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
3||1.5|" "$(q "SELECT id, x, m, m__st FROM $(tab rev) ORDER BY id")"
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

# Rows of a table as text, sorted as text: a test of a destination that knows no SQL gives another one.
if ! declare -F rows_of >/dev/null; then
	rows_of() { q "SELECT $2 FROM $(tab "$1")" | LC_ALL=C sort; } # TABLE COLUMNS
fi
# The columns that are there but for ours, by the loader's own sample; "none" without a table.
columns_of() {
	drive <<END
table $1 id
sample 1
END
	last 'if .columns then [.columns[] | select(test("^_sdc_(rec|batch|seq|table|extr)"; "i") | not)] | join(" ") else "none" end' | tr -d '"'
}

contract_nested_flat() {
	drive <<'END'
table nest id
batch n1
entry 1
rec 1 {"id":1,"addr":{"city":"Wien","geo":{"lat":1.5,"tags":["x"]}},"items":[{"sku":"a","parts":[{"n":1},{"n":2}]},{"sku":"b"}],"m":[[1,2],[3],[]],"e":{},"l":[],"z":[null],"y":{"q":null}}
rec 2 {"id":2,"addr":{"geo":{"lat":2.5}},"items":[7,null,{"sku":"c"},"text"],"m":[[[4]]]}
end
load n1
END
	is "nested: all are taken" '[[2,0,false]]' "$(counts)"
	is "objects are columns" '1|Wien|1.5
2||2.5' "$(rows_of nest 'id, addr__city, addr__geo__lat')"
	is "an array in an object of an object" '1|0|x' "$(rows_of nest__addr__geo__tags '_sdc_source_key_id, _sdc_level_0_id, value')"
	is "objects in an array, scalars in the same, a null keeps its place" '1|0|||a
1|1|||b
2|0|7||
2|1|||
2|2|||c
2|3||text|' "$(rows_of nest__items '_sdc_source_key_id, _sdc_level_0_id, '"$(second value it), $(second value st)"', sku')"
	is "an array in an object of an array" '1|0|0|1
1|0|1|2' "$(rows_of nest__items__parts '_sdc_source_key_id, _sdc_level_0_id, _sdc_level_1_id, n')"
	is "arrays of arrays; an element that is one has a row" '1|0|0|1
1|0|1|2
1|1|0|3
2|0|0|' "$(rows_of nest__m__value '_sdc_source_key_id, _sdc_level_0_id, _sdc_level_1_id, value')"
	is "and of arrays" '2|0|0|0|4' "$(rows_of nest__m__value__value '_sdc_source_key_id, _sdc_level_0_id, _sdc_level_1_id, _sdc_level_2_id, value')"
	is "our columns stand in subtables, too" '1|1|0' "$(rows_of nest__addr__geo__tags '_sdc_source_key_id, _sdc_sequence, _sdc_table_version')"
	is "what was empty or only null has neither column nor table" 'id addr__city addr__geo__lat none none none none' \
		"$(columns_of nest) $(columns_of nest__e) $(columns_of nest__l) $(columns_of nest__z) $(columns_of nest__y)"
	contract_stale
	contract_nested_types
	contract_nested_rejects
	contract_nested_append
	contract_nested_versions
}

# The column of a field that was an integer (it) and then a text (st).
second() {
	local suffix=$2
	[ "$suffix" = it ] && suffix=${INTEGER:-it}
	[ "$2" = it ] && [ -z "${RENAMES:-}" ] && echo "$1" || echo "$1__$suffix"
}

contract_stale() {
	local first='table stale id
batch s1
entry 1
rec 5 {"id":1,"a":[{"x":1,"b":[1,2]},{"x":2}],"c":["p"]}
rec 5 {"id":2,"a":[{"x":3}],"c":["q"]}
end'
	drive <<END
$first
load s1
forget
batch s2
entry 2
rec 6 {"id":1,"a":[{"x":9}]}
rec 4 {"id":2,"a":[{"x":8}]}
rec 5 {"id":2,"a":[{"x":7}]}
end
load s2
END
	is "a newer record takes the old child rows with it, an older or equal one has none" '1|0|9
2|0|3' "$(rows_of stale__a '_sdc_source_key_id, _sdc_level_0_id, x')"
	is "also those that lay deeper" '' "$(rows_of stale__a__b '_sdc_source_key_id, value')"
	is "and in tables that this load does not know" '2|q' "$(rows_of stale__c '_sdc_source_key_id, value')"
	drive <<'END'
table stale id
batch s3
entry 3
rec 7 {"id":2,"a":[{"x":1},{"x":2},{"x":3}],"c":["r","s"]}
rec 8 {"id":2,"a":[{"x":4}],"c":[]}
rec 7 {"id":2,"a":[{"x":5},{"x":6}],"c":["t"]}
end
load s3
END
	is "within one load only the newest record's child rows stay" '1|0|9
2|0|4' "$(rows_of stale__a '_sdc_source_key_id, _sdc_level_0_id, x')"
	is "in each table" '' "$(rows_of stale__c '_sdc_source_key_id, value')"
	drive <<'END'
table stale id
batch s4
entry 4
rec 9 {"id":1}
end
load s4
END
	is "a record without arrays has no child rows" '2|0|4' "$(rows_of stale__a '_sdc_source_key_id, _sdc_level_0_id, x')"
}

contract_nested_types() {
	drive <<'END'
table grown id
batch g1
entry 1
rec 1 {"id":1,"o":{"n":1},"l":[{"v":1}]}
end
load g1
batch g2
entry 2
rec 2 {"id":2,"o":{"n":"two","new":true},"l":[{"v":"x","w":{"u":2.5}}, 3]}
rec 3 {"id":3,"o":"no object","l":4}
rec 4 {"id":4,"o":{"n":1.25},"l":[{"v":2.5}]}
end
load g2
END
	is "mixed types inside nested values, over time" '[[3,0,false]]' "$(counts)"
	is "columns in the root" "1|1|||||
2||two|$TRUE|||
3||||no object|4|
4|1.25|||||" "$(rows_of grown "id, $(second o__n it), $(second o__n st), o__new, o, l, NULL")"
	is "columns in a subtable" '1|0|1|||
2|0||x|2.5|
2|1||||3
4|0|2.5|||' "$(rows_of grown__l "_sdc_source_key_id, _sdc_level_0_id, $(second v it), $(second v st), w__u, value")"
	drive <<'END'
shallow
table older id
batch o1
entry 1
rec 1 {"id":1,"o":{"a":[1,2]},"l":[]}
end
load o1
END
	is "what an older door listed stays JSON text" '1|{"a":[1,2]}|[]' "$(rows_of older 'id, o, l' | tr -d ' ')"
}

contract_nested_rejects() {
	drive <<END
table nbad id
batch r1
entry 1
rec 1 {"id":1,"o":{"a":1},"o__a":2}
rec 2 {"id":2,"o":{"${COLLIDES:-A}":1}}
rec 3 {"id":3,"l":[{"good":1},{"x__st":1}]}
rec 4 {"id":4,"l":[{"good":1},{"_sdc_level_0_id":1}]}
rec 5 {"id":5,"o":{"a":5},"l":[{"good":5,"when":"2024-01-01T00:00:00Z"}]}
rec 6 {"id":6,"l":[{"good":6},{"when":"never"}]}
rec 7 {"id":7,"l":[{"good":7},{"good":9223372036854775808}]}
end
declare l[].when timestamp
declare l[].good integer
load r1
END
	is "nested: bad records are rejected whole" '[[1,6,false]]' "$(counts)"
	is "with reasons that name the place" "Field collision on o__a
Field collision on o__${COLLIDES:-A}
l__x__st has a reserved suffix (__ and two letters of a type)
l___sdc_level_0_id has a reserved prefix (_sdc, _rjm)
invalid timestamp for l__when on [never]
integer out of range for l__good on [9223372036854775808]" "$(reasons)"
	is "nothing of theirs is there" '5|0|5' "$(rows_of nbad__l '_sdc_source_key_id, _sdc_level_0_id, good')"
	is "nor in the root" '5|5' "$(rows_of nbad 'id, o__a')"
	drive <<'END'
table deep id
declare id integer
declare o object
declare o.a integer
batch d1
entry 1
rec 1 {"id":1,"o":{"a":1,"b":2}}
rec 2 {"id":2,"o":{"a":{"c":1}}}
rec 3 {"id":3,"o":{"a":3,"b":null}}
end
forget
declare id integer
declare o object
declare o.a integer
load d1
END
	is "a path that the job does not list" '[[1,2,false]]' "$(counts)"
	is "is told" 'o__b is nested too deep or has too many fields
object not possible for o__a on [{"c":1}]' "$(reasons)"
}

contract_nested_append() {
	local script='table nlog
batch a1
entry 1
rec 1 {"m":"one","l":[1,2]}
rec 1 {"l":[3]}
rec 1 {"l":[]}
end'
	drive <<END
$script
load a1
END
	is "append-only: rows and child rows" '3|3' "$(q "SELECT (SELECT count(*) FROM $(tab nlog)), (SELECT count(*) FROM $(tab nlog__l))")"
	is "joined by the row's id" 'one|1
one|2
|3' "$(q "SELECT r.m, l.value FROM $(tab nlog__l) l JOIN $(tab nlog) r ON r.__sdc_primary_key = l._sdc_source_key___sdc_primary_key" | LC_ALL=C sort)"
	drive <<'END'
table nlog2
batch a2
entry 1
rec 1 {"l":[{"x":1}]}
end
load a2
END
	is "records of arrays alone" '1|1' "$(q "SELECT (SELECT count(*) FROM $(tab nlog2)), (SELECT x FROM $(tab nlog2__l))")"
	q "DROP TABLE $(tab nlog)" >/dev/null
	drive <<END
$script
load a1
END
	is "the root was dropped: its batches come again, no child row is there twice" '[[3,0,false]] 3' "$(counts) $(q "SELECT count(*) FROM $(tab nlog__l)")"
}

contract_nested_versions() {
	local script='table nver id
batch r1 1
entry 1
rec 1 {"id":1,"l":["v1"],"k":[1]}
rec 2 {"id":2,"l":["v1","v1"]}
end
batch r2 2
entry 2
rec 1 {"id":1,"l":["v2"]}
activate 3
end
batch late 1
entry 3
rec 9 {"id":9,"l":["late"]}
end'
	drive <<END
$script
load r1
load r2
load late
END
	is "an activated version replaces child rows" '1|0|v2' "$(rows_of nver__l '_sdc_source_key_id, _sdc_level_0_id, value')"
	is "in each subtable" '' "$(rows_of nver__k '_sdc_source_key_id, value')"
	drive <<END
${script//nver/nver2}
load late r2 r1
END
	is "in any order and in one load" '1|0|v2' "$(rows_of nver2__l '_sdc_source_key_id, _sdc_level_0_id, value')"
	drive <<'END'
table nver3 id
batch b1 1
entry 1
rec 1 {"id":1,"l":["v1"]}
end
load b1
table nver3
batch b2 5
entry 2
activate 3
end
load b2
END
	is "a version that is activated alone empties them all" '0|0' "$(q "SELECT (SELECT count(*) FROM $(tab nver3)), (SELECT count(*) FROM $(tab nver3__l))")"
}

contract_nested_kept() {
	drive <<'END'
table kept id
batch k1
entry 1
rec 1 {"id":1,"o":{"a":[1,{"b":null}],"n":123456789012345678901234567890},"l":[1,"two",[3]]}
rec 2 {"id":2,"o":[true],"l":null}
rec 3 {"id":3,"o":"text","l":{}}
end
load k1
END
	is "nested: all are taken" '[[3,0,false]]' "$(counts)"
	is "objects and arrays in one column" '1|{"a":[1,{"b":null}],"n":123456789012345678901234567890}|[1,"two",[3]]|
2|[true]||
3||{}|text' "$(rows_of kept "id, o, l, $(second o st)" | tr -d ' ')"
}

contract_big() {
	local k n=0
	{
		echo "table sparse id"
		echo "batch w1"
		echo "entry 1"
		for ((k = 1; k <= 30; k++)); do
			printf 'rec %d {"id":%d' $k $k
			seq $n $((n + 49)) | sed 's/.*/,"field_&":&/' | tr -d '\n'
			echo '}'
			n=$((n + 50))
		done
		echo 'rec 100 {"id":100,"field_1499":-1,"field_7":-7}'
		echo end
		echo load w1
	} >"$T/sparse"
	drive <"$T/sparse"
	is "1,500 columns, mostly NULL" '[[31,0,false]]' "$(counts)"
	is "with their values" '100|-7||-1
1|7||
21||1000|
30|||1499' "$(rows_of sparse 'id, field_7, field_1000, field_1499' | grep -E '\|.*[0-9]')"
	{
		echo "table large id"
		echo "batch l1"
		echo "entry 1"
		echo 'rec 1 {"id":1,"s":"small"}'
		printf 'rec 2 {"id":2,"s":"%*s"}\n' 5000000 x
		echo 'rec 3 {"id":3,"s":"small, too"}'
		echo end
		echo load l1
	} >"$T/large"
	drive <"$T/large"
	is "a record of 5 MB is rejected by itself" '[[2,1,false]]' "$(counts)"
	like "and the reason says so" '5000015 bytes' "$(reasons)"
	is "whole" 5000055 "$(sed -n 's/^reject //p' <<<"$out" | jq -r '.raw | length')"
}

loader_contract() {
	need jq
	need_built t/lib/loader-driver
	contract_basics
	contract_values
	contract_columns
	contract_rejects
	contract_append
	contract_discard
	contract_corrupt
	contract_versions
	contract_tables
	case ${NESTING:-text} in
	flatten) contract_nested_flat ;;
	keep) contract_nested_kept ;;
	esac
	contract_big
	contract_kills
	is "no loader ended with a complaint" 0 "$(grep -c 'ended status [1-9]' "$T/said")"
}
