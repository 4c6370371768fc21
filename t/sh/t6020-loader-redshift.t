#!/bin/bash
# The Redshift loader against its stand-in: the contract of all loaders as far as it applies, and what is particular to Redshift: types, text that grows, numbers of many
# digits, the key in a comment, names in lower case, no files left in the bucket. Values are looked at in the PostgreSQL behind it.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/loader-contract.sh"
need psql jq python3
need_built stitch-load-redshift
start_redshift

PROGRAM=$BUILD/stitch-load-redshift
SETTINGS=$RS_SETTINGS
TRUE=t FALSE=f COLLIDES='A'
q() { psql -XqAt -F '|' -c "$1" 2>>"$T/psql.log"; }
tab() { echo "\"shop\".\"$1\""; }
ts() { echo "to_char(\"$1\", 'YYYY-MM-DD HH24:MI:SS.US')"; }
types() { q "SELECT attname || ' ' || format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'shop.$1'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum" | grep -v '^_' | paste -sd'|' | sed 's/character varying/varchar/g; s/ without time zone//g'; }
staged() { find "$S3_DATA" -type f | wc -l; }
NESTING=flatten RENAMES=1 INTEGER=bi
# a value of 30 digits makes the column DECIMAL(38,6)
NUMBERS='-9223372036854775808|123456789012345678901234567890.123457
0|-1000.000000
5|0.300000
9223372036854775807|0.100000'
BIG_NUMBER=98765432109876543210987654321.000000
loader_contract

# --- types ---
drive <<'END'
table kinds id
declare at timestamp
declare big bignum
batch k1
entry 1
rec 1 {"id":1,"at":"2024-01-01T00:00:00Z","n":1.5,"s":"x","b":true,"big":98765432109876543210,"o":{"a":1}}
end
load k1
END
is "column types" 'at timestamp|big numeric(38,6)|id bigint|n double precision|s varchar(128)|b boolean|o__a bigint' "$(types kinds)"
is "the key is noted in the table's comment" '{"stitch":{"primary_key":["id"]}}' "$(q "SELECT obj_description('shop.kinds'::regclass)")"
is "and is no constraint" 0 "$(q "SELECT count(*) FROM pg_constraint WHERE conrelid = 'shop.kinds'::regclass")"

# --- text ---
long() { head -c "$1" /dev/zero | tr '\0' "${2:-y}"; }
drive <<END
table text id
batch t1
entry 1
rec 1 {"id":1,"s":"$(long 128)","t":"$(long 129)","u":"$(long 5000)"}
rec 2 {"id":2,"s":"x","t":"y","u":"$(long 65534)\u00e4","v":"$(long 70000)"}
rec 3 {"id":3,"v":"$(long 65534)\u00e4\u00e4"}
end
load t1
END
is "text of any length" '[[3,0,false]]' "$(counts)"
is "columns have a power of two that holds the widest, in bytes" 'id bigint|s varchar(128)|t varchar(256)|u varchar(65535)|v varchar(65535)' "$(types text)"
is "what is longer is cut at 65535 bytes, at a character's end" '2|65534|65535
3||65534' "$(q "SELECT id, octet_length(u), octet_length(v) FROM shop.text WHERE id > 1 ORDER BY id")"
drive <<END
table text id
batch t2
entry 2
rec 5 {"id":1,"s":"$(long 2000)"}
end
load t2
END
is "a column grows when a longer text comes" 'id bigint|s varchar(2048)|t varchar(256)|u varchar(65535)|v varchar(65535)' "$(types text)"
is "and holds it" 2000 "$(q "SELECT length(s) FROM shop.text WHERE id = 1")"
drive <<END
table keytext id
batch t3
entry 1
rec 1 {"id":"$(long 70000)"}
rec 2 {"id":"a"}
rec 3 {"id":"$(long 300)"}
end
load t3
END
is "a key that would have to be cut is rejected" '[[2,1,false]]' "$(counts)"
like "with that reason" 'longer than 65535 bytes' "$(reasons)"

# --- numbers ---
drive <<'END'
table num id
batch n1
entry 1
rec 1 {"id":1,"n":0.1,"i":5}
rec 2 {"id":2,"n":0.30000000000000004,"i":6}
rec 3 {"id":3,"n":1e300}
rec 4 {"id":4,"n":1e400}
rec 5 {"id":5,"n":-1e-400}
end
load n1
END
is "doubles" '[[4,1,false]]' "$(counts)"
is "as they were sent" '1|0.1|5
2|0.30000000000000004|6
3|1e+300|
5|0|' "$(q "SELECT id, n, i FROM shop.num ORDER BY id" | sed 's/-0/0/')"
like "what no double holds is rejected" 'out of range for n' "$(reasons)"
is "types" 'id bigint|n double precision|i bigint' "$(types num)"
drive <<'END'
table num2 id
batch n1
entry 1
rec 1 {"id":1,"n":0.5,"i":5,"k":9007199254740993}
end
load n1
batch n2
entry 2
rec 2 {"id":2,"n":12345678901234567.25,"i":0.5,"k":0.25}
rec 3 {"id":3,"n":123456789012345678901234567890123,"i":7}
rec 4 {"id":4,"n":1e3,"i":1e2}
end
load n2
END
is "a number of more digits than a double keeps" '[[2,1,false]]' "$(counts)"
is "makes the column DECIMAL, from doubles and from integers; a column of small ones becomes DOUBLE" 'double precision|numeric(38,6)|numeric(38,6)' \
	"$(q "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'shop.num2'::regclass AND attname IN ('n', 'i', 'k') ORDER BY attname" | paste -sd'|')"
is "all values are kept" '1|0.500000|5|9007199254740993.000000
2|12345678901234567.250000|0.5|0.250000
4|1000.000000|100|' "$(q "SELECT id, n, i, k FROM shop.num2 ORDER BY id")"
like "more than 32 digits before the point are too many" 'decimal out of range for n' "$(reasons)"
SETTINGS=$(jq -c '. + {numbers: "exact"}' <<<"$RS_SETTINGS")
drive <<'END'
table num3 id
batch n1
entry 1
rec 1 {"id":1,"n":0.1}
rec 2 {"id":2,"n":0.1234567}
end
load n1
END
is "numbers=exact: DECIMAL, and what does not fit is rejected" '[[1,1,false]] id bigint|n numeric(38,6)' "$(counts) $(types num3)"
SETTINGS=$(jq -c '. + {numbers: "double"}' <<<"$RS_SETTINGS")
drive <<'END'
table num4 id
batch n1
entry 1
rec 1 {"id":1,"n":12345678901234567890.5}
end
load n1
END
is "numbers=double: the nearest" '1.2345678901234567e+19' "$(q "SELECT n FROM shop.num4")"
SETTINGS=$RS_SETTINGS

# --- names ---
drive <<'END'
table Case!Table Id
batch c1
entry 1
rec 1 {"Id":1,"Na-me$ X":"special","\u00c4rger":"umlaut","SELECT":"reserved word"}
end
load c1
END
is "names are folded to lower case; special characters go" '1|special|umlaut|reserved word' "$(q 'SELECT id, "name$ x", "ärger", "select" FROM shop.casetable')"
drive <<'END'
schema UPPER
table Case!Table Id
batch c1
entry 1
rec 1 {"Id":1}
end
load c1
sample 1
END
is "a schema's, too" '["id"]' "$(last '.columns[:1]')"
drive <<'END'
schema pg_mine
table t id
batch c1
entry 1
rec 1 {"id":1}
end
load c1
END
is "pg_ is Redshift's" config "$(class)"

drive <<'END'
table system id
batch s1
entry 1
rec 1 {"id":1,"oid":2,"ctid":"x","_stitch_ordinal":3,"o":{"xmin":4},"l":[{"oid":5,"value":6}]}
end
load s1
END
is "columns that every table has already are told apart by a _" '[[1,0,false]] 1|2|x|3' "$(counts) $(q 'SELECT id, oid_, ctid_, _stitch_ordinal FROM shop.system')"
is "in nested values, too" '5|6' "$(q 'SELECT oid_, value FROM shop.system__l')"

# --- a table that a person works with ---
q "CREATE VIEW shop.seen AS SELECT id, i FROM shop.num"
drive <<'END'
table num id
batch v1
entry 2
rec 9 {"id":9,"i":2.5}
end
load v1
END
is "a view does not stop numbers: they have a column beside it" '[[1,0,false]] 2.5' "$(counts) $(q "SELECT i__do FROM shop.num WHERE id = 9")"
q "INSERT INTO shop.kinds (id, s) VALUES (77, 'by hand'), (77, 'twice'); ALTER TABLE shop.kinds ADD COLUMN mine varchar(10) DEFAULT 'nobody'"
drive <<'END'
table kinds id
batch k2
entry 2
rec 0 {"id":77,"s":"by stitch"}
end
load k2
END
is "rows that a person added are older than any record, and one takes the place of both" 'by stitch|nobody' "$(q "SELECT s, mine FROM shop.kinds WHERE id = 77")"
q "COMMENT ON TABLE shop.kinds IS 'mine'"
drive <<'END'
table kinds id
batch k3
entry 3
rec 1 {"id":78}
end
load k3
END
is "a comment that is changed does no harm" '[[1,0,false]]' "$(counts)"

is "no staged file is left in the bucket" 0 "$(staged)"
unlike "no secret in any answer or log" "$AWS_SECRET_ACCESS_KEY|$PGPASSWORD" "$(grep -v '^open' "$T/said"; cat "$T/driver.log")"
done_testing
