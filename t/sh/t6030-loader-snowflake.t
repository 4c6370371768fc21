#!/bin/bash
# The Snowflake loader against its stand-in: the contract of all loaders, and what is particular to Snowflake: names in upper case, VARIANT, types, nothing left behind.
# Values are looked at by the Snowflake Python connector.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/loader-contract.sh"
need jq python3 openssl curl
need_built stitch-load-snowflake t/lib/loader-driver
start_snowflake

PROGRAM=$BUILD/stitch-load-snowflake
SETTINGS=$SF_SETTINGS
TRUE=true FALSE=false
NESTING=keep INTEGER=it
q() { sf_q "${1//WHERE at /WHERE \"AT\" }"; } # that word is special to the stand-in
tab() { local t=${1//[^a-zA-Z0-9_\$]/}; echo "\"DWH\".\"SHOP\".\"${t^^}\""; }
ts() { echo "strftime(\"${1^^}\", '%Y-%m-%d %H:%M:%S.%f')"; }
answers() { grep -E '^(result|error) ' <<<"$out" | tail -n +2 | perl -pe 's/("columns":\[[^\]]*\])/\L$1/'; } # names of columns are in upper case
# What the stand-in (whole numbers end at 64 bits) does not hold, and numbers that go to a column beside theirs, are other ones here; those are tested below.
swap=(123456789012345678901234567890.123456789 1234567890.125 98765432109876543210987654321 9000000000000000000)
swapped() { local s=$1; s=${s//${swap[0]}/${swap[1]}}; printf '%s\n' "${s//${swap[2]}/${swap[3]}}"; }
eval "contract_$(declare -f drive)"; eval "contract_$(declare -f is)"
drive() { contract_drive <<<"$(swapped "$(cat)")"; }
is() { contract_is "$1" "$(swapped "$2")" "$3"; }
loader_contract
leftovers() { find "$S3_DATA" -name '*.gz' | wc -l; q "SELECT count(*) FROM \"DWH\".information_schema.tables WHERE startswith(table_name, '_STITCH_STG')"; }
killed_left=$(leftovers) # those that were killed: swept a day later (t6031)

types() { q "SELECT column_name || ' ' || data_type || coalesce('(' || numeric_precision || ',' || numeric_scale || ')', '') FROM \"DWH\".information_schema.columns
	WHERE table_schema = 'SHOP' AND table_name = '${1^^}' ORDER BY ordinal_position" | grep -v _SDC_ | paste -sd'|'; }
with() { SETTINGS=$(jq -c ". + $1" <<<"$SF_SETTINGS"); }

# --- types ---
hard='table hard id
declare id integer
declare big bignum
declare at timestamp
batch h1
entry 1
rec 1 {"id":1,"n":1.5,"b":true,"s":"x","at":"2024-02-29T23:30:00.123456789+02:00","big":-9223372036854775808,"o":{"a":[1,{"b":null}],"u":"\u00e4 \ud83d\ude00"},"l":[1,"two",[3]],"mix":5}
rec 2 {"id":2,"n":7,"o":[],"at":"0001-01-01","mix":"five"}
rec 3 {"id":3,"n":-2.5e-300,"at":"9999-12-31T23:59:59.999999Z","mix":{"k":1}}
rec 4 {"id":4,"n":52.5200066,"s":"it'"'"'s; -- \\ \" \u2028","mix":true}
end
load h1'
drive <<<"$hard"
is "a hard set is taken" '[[4,0,false]]' "$(counts)"
is "columns" 'ID NUMBER(38,0)|BIG NUMBER(38,0)|AT TIMESTAMP_TZ|N FLOAT|B BOOLEAN|S TEXT|O VARIANT|L VARIANT|MIX NUMBER(38,0)|MIX__ST TEXT|MIX__VA VARIANT|MIX__BO BOOLEAN' "$(types hard)"
is "numbers" '1|1.5|-9223372036854775808
2|7|
3|-2.5e-300|
4|52.5200066|' "$(q 'SELECT id, n, big FROM "DWH"."SHOP"."HARD" ORDER BY id')"
is "times to the microsecond, in UTC, from year 1 to 9999" '1|2024-02-29 21:30:00.123456+00
2|0001-01-01 00:00:00+00
3|9999-12-31 23:59:59.999999+00' "$(q 'SELECT id, "AT"::varchar FROM "DWH"."SHOP"."HARD" WHERE "AT" IS NOT NULL ORDER BY id')"
is "objects and arrays share a VARIANT, whole" '{"a":[1,{"b":null}],"u":"ä 😀"}' "$(q 'SELECT o FROM "DWH"."SHOP"."HARD" WHERE id = 1' | jq -c .)"
is "an array where others have objects" '[]' "$(q 'SELECT o FROM "DWH"."SHOP"."HARD" WHERE id = 2' | jq -c .)"
is "arrays of anything" '[1,"two",[3]]' "$(q 'SELECT l FROM "DWH"."SHOP"."HARD" WHERE id = 1' | jq -c .)"
is "a path into it" two "$(q 'SELECT l[1]::varchar FROM "DWH"."SHOP"."HARD" WHERE id = 1')"
is "text is text" "it's; -- \\ \" "$'\u2028' "$(q 'SELECT s FROM "DWH"."SHOP"."HARD" WHERE id = 4')"
is "mixed types have a column each, the first keeps the name" '1|5|||
2||five||
3|||{"k":1}|
4||||true' "$(q 'SELECT id, mix, mix__st, mix__va, mix__bo FROM "DWH"."SHOP"."HARD" ORDER BY id' | tr -d ' \n' | sed 's/\([234]|\)/\n\1/g')"

# --- numbers ---
digits='table digits id
batch d1
entry 1
rec 1 {"id":1,"x":123456789012345678901.123456}
rec 2 {"id":2,"x":0.1}
rec 3 {"id":3,"x":1e400}
rec 4 {"id":4,"x":9007199254740993}
rec 5 {"id":5,"x":1.0000000}
end
load d1'
contract_drive <<<"$digits"
is "double: a number that FLOAT would change is kept beside it, or rejected" '[[4,1,false]]' "$(counts)"
is "columns" 'ID NUMBER(38,0)|X FLOAT|X__DE NUMBER(38,6)' "$(types digits)"
is "values" '1||123456789012345678901.123456
2|0.1|
4||9007199254740993.000000
5|1|' "$(q 'SELECT id, x, x__de FROM "DWH"."SHOP"."DIGITS" ORDER BY id')"
is "by field and value" 'X|1e400' "$(sed -n 's/^reject //p' <<<"$out" | jq -r '.field + "|" + .value' | paste -sd' ')"
is "with the reason" 'decimal out of range for X on [1e400]' "$(reasons)"
contract_drive <<'END'
table digits id
batch d2
entry 2
rec 9 {"id":1,"x":3.5}
rec 9 {"id":2,"x":0.12345678901234567890}
rec 9 {"id":6,"x":12345678901234567890.5}
end
load d2
END
is "a record replaces both" '1|3.5|
6||12345678901234567890.500000' "$(q 'SELECT id, x, x__de FROM "DWH"."SHOP"."DIGITS" WHERE id IN (1, 6) ORDER BY id')"
is "what fits neither is rejected" '[[2,1,false]]' "$(counts)"
with '{"numbers":"rounded"}'
contract_drive <<<"${digits/table digits/table rounded}"
is "rounded: it is changed" '[[4,1,false]]' "$(counts)"
is "into the nearest" '1|1.2345678901234568e+20' "$(q 'SELECT id, x FROM "DWH"."SHOP"."ROUNDED" WHERE id = 1')"
with '{"numbers":"exact"}'
contract_drive <<'END'
table exact id
batch x1
entry 1
rec 1 {"id":1,"x":12345678901234567890123456789012.123456}
rec 2 {"id":2,"x":0.1234567}
rec 3 {"id":3,"x":1.5e3}
rec 4 {"id":4,"x":123456789012345678901234567890123.1}
rec 5 {"id":5,"x":9007199254740993}
end
load x1
END
is "exact: 32 digits and six decimals" '[[4,1,false]]' "$(counts)"
is "what is beyond is rejected, unless a FLOAT keeps it" 'decimal out of range for X on [123456789012345678901234567890123.1]' "$(reasons)"
is "columns" 'ID NUMBER(38,0)|X NUMBER(38,6)|X__FL FLOAT' "$(types exact)"
is "values" '1|12345678901234567890123456789012.123456|
2||0.1234567
3|1500.000000|
5|9007199254740993.000000|' "$(q 'SELECT id, x, x__fl FROM "DWH"."SHOP"."EXACT" ORDER BY id')"
with '{"numbers":"some"}'
drive <<<check
like "a setting that is none" 'double, exact or rounded' "$out"
with '{}'
contract_drive <<'END'
table wide id
declare big bignum
batch w1
entry 1
rec 1 {"id":1,"big":123456789012345678901234567890123456789}
rec 2 {"id":2,"big":12}
end
load w1
END
is "whole numbers of more than 38 digits are rejected" '[[1,1,false]]' "$(counts)"

# --- integers, then fractions ---
one='table grown id
batch g1
entry 1
rec 1 {"id":1,"x":5,"y":9007199254740993}
end' two='batch g2
entry 2
rec 2 {"id":2,"x":2.5,"y":0.5}
end'
drive <<END
$one
load g1
$two
load g2
END
is "an integer column becomes FLOAT; integers that no FLOAT holds go beside it" '1|5||9007199254740993.000000
2|2.5|0.5|' "$(q 'SELECT id, x, y, y__de FROM "DWH"."SHOP"."GROWN" ORDER BY id')"
drive <<END
$one
$two
batch g3
entry 3
rec 3 {"id":1,"x":7,"y":1.5}
end
load g3
END
is "as they would had they come later" '1|7|1.5|' "$(q 'SELECT id, x, y, y__de FROM "DWH"."SHOP"."GROWN" WHERE id = 1')"
q 'ALTER TABLE "DWH"."SHOP"."GROWN" RENAME COLUMN "X" TO "X__STITCH_WIDE"' >/dev/null # as a loader that was killed leaves it
drive <<END
$one
$two
batch g4
entry 4
rec 4 {"id":4,"x":8.5}
end
load g4
END
is "a loader that was killed while it did so: the next one goes on" '1|7
2|2.5
4|8.5' "$(q 'SELECT id, x FROM "DWH"."SHOP"."GROWN" ORDER BY id')"
drive <<'END'
table keyed id
batch k1
entry 1
rec 1 {"id":1}
end
load k1
batch k2
entry 2
rec 2 {"id":1.5}
end
load k2
END
is "but not a key" config "$(class)"

# --- names ---
drive <<'END'
table Big-Table id
batch n1
entry 1
rec 1 {"id":1,"first name":"a","na-me$":"b","Größe":3}
rec 2 {"id":2,"first_name":"the same"}
end
load n1
END
is "blanks become _, other characters go, letters are upper case; then names may collide" '[[1,1,false]]' "$(counts)"
is "as columns" 'ID NUMBER(38,0)|FIRST_NAME TEXT|NAME$ TEXT|GRößE NUMBER(38,0)' "$(types BIGTABLE)"
drive <<'END'
table bigTable id
batch n2
entry 2
rec 1 {"id":1}
end
load n2
END
is "two tables of one name here: a person must decide" config "$(class)"
like "which" 'BIGTABLE holds shop\.Big-Table' "$out"
long=$(printf 'n%.0s' $(seq 252))
drive <<END
table names id
batch n3
entry 1
rec 1 {"id":1,"${long:0:251}":1}
rec 2 {"id":2,"$long":1}
end
load n3
END
is "a column's name has 251 bytes" '[[1,1,false]]' "$(counts)"
drive <<'END'
schema -
table lone id
batch s1
entry 1
rec 1 {"id":1}
end
load s1
END
is "without a schema: the setting schema's, or PUBLIC" '1' "$(q 'SELECT count(*) FROM "DWH"."PUBLIC"."LONE"')"
drive <<'END'
schema Some-Shop
table lone id
batch s2
entry 1
rec 1 {"id":1}
end
load s2
END
is "a schema's name is made as a table's" '1' "$(q 'SELECT count(*) FROM "DWH"."SOMESHOP"."LONE"')"

# --- what people do to tables ---
q 'ALTER TABLE "DWH"."SHOP"."EXACT" ADD COLUMN "NOTE" VARCHAR' >/dev/null
q "UPDATE \"DWH\".\"SHOP\".\"EXACT\" SET note = 'mine'" >/dev/null
q "COMMENT ON TABLE \"DWH\".\"SHOP\".\"EXACT\" IS 'what my boss wants to read'" >/dev/null
drive <<'END'
table exact id
batch p1
entry 2
rec 9 {"id":1,"x":2.5}
end
load p1
END
is "a column of yours becomes NULL in rows that are replaced; a comment of yours does no harm" '1|2.5|
2||mine
3|1500|mine
5|9007199254740993|mine' "$(q 'SELECT id, x, note FROM "DWH"."SHOP"."EXACT" ORDER BY id' | sed 's/\.000000//; s/2\.500000/2.5/')"
is "the table is left as it was made" 'ID NUMBER(38,0)|X NUMBER(38,6)|X__FL FLOAT|NOTE TEXT' "$(types exact)"
q 'ALTER TABLE "DWH"."SHOP"."EXACT" ADD COLUMN "CODE" VARCHAR(3)' >/dev/null
drive <<'END'
table exact id
batch p2
entry 3
rec 9 {"id":7,"code":"äöü"}
rec 9 {"id":8,"code":"abcd"}
end
load p2
END
is "text that is longer than your column is rejected, by characters" '[[1,1,false]] äöü' "$(counts) $(q 'SELECT code FROM "DWH"."SHOP"."EXACT" WHERE id = 7')"
q 'DROP SCHEMA "DWH"."SOMESHOP" CASCADE' >/dev/null
drive <<'END'
schema Some-Shop
table lone id
batch s2
entry 1
rec 1 {"id":1}
end
load s2
END
is "a schema that was dropped is made anew" '[[1,0,false]]' "$(counts)"
is "no load that ended leaves a file in the bucket or a table in the schema" "$killed_left" "$(leftovers)"
done_testing
