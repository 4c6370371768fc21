# shellcheck shell=bash
# loader-nested.sh - the part of the loaders' contract (loader-contract.sh, which sources this) about nested values, big records and dry runs.

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
	is "objects in an array, scalars in the same; a null has no row, and the others their places" '1|0|||a
1|1|||b
2|0|7||
2|2|||c
2|3||text|' "$(rows_of nest__items '_sdc_source_key_id, _sdc_level_0_id, '"$(second value it), $(second value st)"', sku')"
	is "an array in an object of an array" '1|0|0|1
1|0|1|2' "$(rows_of nest__items__parts '_sdc_source_key_id, _sdc_level_0_id, _sdc_level_1_id, n')"
	is "arrays of arrays" '1|0|0|1
1|0|1|2
1|1|0|3' "$(rows_of nest__m__value '_sdc_source_key_id, _sdc_level_0_id, _sdc_level_1_id, value')"
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
	is "append-only: rows and child rows; a record without any value has none" '2|3' "$(q "SELECT (SELECT count(*) FROM $(tab nlog)), (SELECT count(*) FROM $(tab nlog__l))")"
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

# What only rejected records have is not made: one of them could fill a table with columns for ever.
contract_unused() {
	drive <<'END'
table unused id
batch u1
entry 1
rec 1 {"id":1,"a":1,"n":null}
rec 2 {"bad_1":1,"bad_2":"x","l":[{"x":1}],"o":{"y":true}}
end
load u1
forget
batch u2
entry 2
rec 3 {"id":2,"b":1}
recx 4 2024-01-01T00:00:00Z {"id":3,"c":1}
rec 5 {"bad_3":1,"at":"x"}
end
load u2
batch u3
entry 3
rec 6 {"no":"key"}
end
table unused2 id
batch u4
entry 4
rec 6 {"no":"key"}
end
load u4
END
	is "columns and tables that only rejected records have are not made" 'id a b c none none' "$(columns_of unused) $(columns_of unused__l) $(columns_of unused2)"
	is "rows" '1|1||
2||1|
3|||1' "$(rows_of unused 'id, a, b, c')"
}

contract_dry() {
	local script='table dry id
batch d1
entry 1
rec 1 {"id":1,"l":[{"a":1}]}
rec 2 {"id":2}
rec 3 {"no":"key"}
end' more='batch d2
entry 2
rec 5 {"id":1,"l":[{"a":2}]}
rec 1 {"id":2}
rec 5 {"id":3}
rec 6 {"id":3}
rec 7 {"no":"key"}
end'
	drive <<END
$script
dry d1
END
	is "dry run: nothing is there yet" '[2,1,null,null,null]' "$(last '[.rows, .rejected, .inserted, .updated, .skipped]')"
	like "it tells the DDL" '[Cc][Rr][Ee][Aa][Tt][Ee].*dry' "$(last '.ddl[0]')"
	is "and the records that would be rejected" '["the key id has no value"]' "$(last '[.rejects[].reason]')"
	is "without sending them" '' "$(reasons)"
	is "or making the table" none "$(columns_of dry)"
	drive <<END
$script
$more
load d1
forget
declare id integer
declare no string
declare l array
declare l[] object
declare l[].a integer
dry d2
dry d1
END
	is "of a load that needs no DDL" '[[],4,1]' "$(answers | tail -n 2 | head -n 1 | cut -d' ' -f2- | jq -c '[.ddl, .rows, .rejected]')"
	is "rows that would come, be replaced and lose, if the destination can tell" yes \
		"$(answers | tail -n 2 | head -n 1 | cut -d' ' -f2- | jq -c '[.inserted, .updated, .skipped]' | sed -E 's/^(\[1,2,1\]|\[1,1,2\]|\[null,null,null\])$/yes/')"
	is "a batch that is there" '[true,0,0]' "$(last '[.batches[0].already, .rows, .rejected]')"
	is "nothing has changed" '1|1
2|2' "$(rows_of dry 'id, _sdc_sequence')"
	is "not in the ledger either" 1 "$(q "SELECT count(*) FROM $(tab _stitch_ledger) WHERE table_name = 'dry'")"
}
