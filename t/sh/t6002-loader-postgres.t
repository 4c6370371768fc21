#!/bin/bash
# The Postgres loader keeps the contract of all loaders, and what is particular to Postgres: column types, a real key, case of names, views, refusals by the server.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/loader-contract.sh"
need psql jq
need_built stitch-load-postgres
start_postgres

PROGRAM=$BUILD/stitch-load-postgres
SETTINGS=$(jq -nc '{host: env.PGHOST, port: env.PGPORT, user: env.PGUSER, password: env.PGPASSWORD, dbname: env.PGDATABASE}')
TRUE=t FALSE=f COLLIDES='a!' NESTING=flatten RENAMES=1 INTEGER=bi
q() { psql -XqAt -F '|' -c "$1" 2>>"$T/psql.log"; }
tab() { echo "\"shop\".\"$1\""; }
ts() { echo "to_char(\"$1\", 'YYYY-MM-DD HH24:MI:SS.US')"; }
types() { q "SELECT attname || ' ' || format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'shop.$1'::regclass AND attnum > 0 ORDER BY attnum" | grep -v _sdc_ | paste -sd'|'; }
loader_contract

is "column types" 'id bigint|at timestamp without time zone|day timestamp without time zone|big numeric|n numeric|s text|b boolean' "$(types vals)"
is "the key is a primary key" 'PRIMARY KEY (id)' "$(q "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'shop.vals'::regclass AND contype = 'p'")"
is "numbers keep the decimals that were sent" '1.50' "$(drive <<'END'
table price id
batch p1
entry 1
rec 1 {"id":1,"p":1.50}
end
load p1
END
q "SELECT p FROM shop.price")"

drive <<'END'
table Case id
batch c1
entry 1
rec 1 {"id":1,"Name":"upper","name":"lower","na-me$ x":"special"}
rec 2 {"id":2,"na!me":"name again"}
end
load c1
END
is "\"Name\" and \"name\" are two columns; special characters go, and then names may collide" '[[1,1,false]]' "$(counts)"
is "case is kept, _ \$ and blanks too" '1|upper|lower|special' "$(q "SELECT id, \"Name\", \"name\", \"name\$ x\" FROM shop.\"Case\"")"
long=$(printf 'n%.0s' $(seq 60))
drive <<END
table names id
batch n1
entry 1
rec 1 {"id":1,"${long:0:59}":1}
rec 2 {"id":2,"$long":1}
end
load n1
END
is "a column's name has 59 bytes" '[[1,1,false]]' "$(counts)"
is "which leaves room for a suffix" 59 "$(q "SELECT length(attname) FROM pg_attribute WHERE attrelid = 'shop.names'::regclass AND attname LIKE 'nnn%'")"

drive <<'END'
table nul id
batch n1
entry 1
rec 1 {"id":1,"s":"a\u0000b"}
rec 2 {"id":2,"s":"fine"}
end
load n1
END
is "text with U+0000 is rejected, the rest loads" '[[1,1,false]]' "$(counts)"
like "with that reason" 'U\+0000' "$(reasons)"

# a view on an integer column that numbers come to
one='table viewed id
batch v1
entry 1
rec 1 {"id":1,"x":5}
end' two='batch v2
entry 2
rec 2 {"id":2,"x":2.5}
end' three='batch v3
entry 3
rec 3 {"id":3,"x":7.5}
end'
drive <<END
$one
load v1
END
q "CREATE VIEW shop.seen AS SELECT id, x FROM shop.viewed"
drive <<END
$one
$two
load v2
END
is "a view does not stop numbers" '[[1,0,false]]' "$(counts)"
is "it survives, and nothing is lost" $'1|5\n2|' "$(q "SELECT * FROM shop.seen ORDER BY id")"
is "the numbers have a column beside it" '2.5' "$(q "SELECT x__de FROM shop.viewed WHERE id = 2")"
q "DROP VIEW shop.seen"
drive <<END
$one
$two
$three
load v3
END
is "and stay there when the view has gone" '2.5 7.5' "$(q "SELECT x__de FROM shop.viewed WHERE x__de IS NOT NULL ORDER BY id" | paste -sd' ')"
is "without a view the column becomes numeric" 'id bigint|x numeric|m__bi numeric|m__st text|new boolean' "$(types grow)"

# what only the server knows
q "ALTER TABLE shop.price ADD CHECK (p < 100); ALTER TABLE shop.price ADD COLUMN who text DEFAULT 'nobody'; ALTER TABLE shop.price ADD COLUMN code varchar(3)"
drive <<'END'
table price id
batch p2
entry 2
rec 10 {"id":10,"p":99}
rec 11 {"id":11,"p":100}
rec 12 {"id":12,"p":1,"code":"abc"}
rec 13 {"id":13,"p":2,"code":"too long"}
rec 14 {"id":1,"p":3}
rec 15 {"id":15,"p":1000}
end
load p2
END
is "rows that the server refuses are found, the others load" '[[3,3,false]]' "$(counts)"
is "rows" '1 10 12' "$(q "SELECT id FROM shop.price ORDER BY id" | paste -sd' ')"
is "the column of a check" 'p|100' "$(sed -n 's/^reject //p' <<<"$out" | jq -r 'select(.record == 1) | .field + "|" + .value')"
like "a check is the reason" 'violates check constraint' "$(reasons | head -n 1)"
is "field and value, where the server can say" 'code|too long|value too long for type character varying(3)' "$(sed -n 's/^reject //p' <<<"$out" | jq -r 'select(.record == 3) | .field + "|" + .value + "|" + .reason')"
is "a column that a person added with a default gets it" '3' "$(q "SELECT count(*) FROM shop.price WHERE who = 'nobody'")"
q "INSERT INTO shop.price (id, p) VALUES (77, 5)"
drive <<'END'
table price id
batch p3
entry 3
rec 0 {"id":77,"p":6}
end
load p3
END
is "a row that a person added is older than any record" 6 "$(q "SELECT p FROM shop.price WHERE id = 77")"
drive <<END
table longkey id
batch k1
entry 1
rec 1 {"id":"$(head -c 9000 /dev/urandom | base64 -w0 | head -c 9000)"}
rec 2 {"id":"short"}
end
load k1
END
is "a key too long for an index is rejected" '[[1,1,false]]' "$(counts)"
is "by its name" id "$(sed -n 's/^reject //p' <<<"$out" | jq -r .field)"
drive <<'END'
table events
batch e1
entry 1
rec 1 {"n":1}
end
load e1
END
q "ALTER TABLE shop.events ADD CHECK (n NOT IN (7, 9))"
drive <<'END'
table events
batch e2
entry 2
rec 1 {"n":6}
rec 1 {"n":7}
rec 1 {"n":8}
rec 1 {"n":9}
end
load e2
END
is "fields" 'n n' "$(sed -n 's/^reject //p' <<<"$out" | jq -r .field | paste -sd' ')"
is "append-only tables too" '[[2,2,false]]' "$(counts)"
is "record numbers" '1 3' "$(sed -n 's/^reject //p' <<<"$out" | jq -r .record | paste -sd' ')"
is "rows" '1 6 8' "$(q "SELECT n FROM shop.events ORDER BY n" | paste -sd' ')"
q "ALTER TABLE shop.events ALTER n TYPE integer"
drive <<'END'
table events
batch e3
entry 3
rec 1 {"n":10}
rec 1 {"n":3000000000}
end
load e3
END
is "a column that a person made narrower" '[[1,1,false]]' "$(counts)"
is "says so" 'n|3000000000|integer out of range' "$(sed -n 's/^reject //p' <<<"$out" | jq -r '.field + "|" + .value + "|" + .reason')"
q "ALTER TABLE shop.events DROP CONSTRAINT events_n_check; ALTER TABLE shop.events ALTER n TYPE uuid USING gen_random_uuid()"
drive <<'END'
table events
batch e4
entry 4
rec 1 {"n":11}
end
load e4
END
is "a column of a type that can hold no such value is left alone" '11' "$(q "SELECT n__bi FROM shop.events WHERE n__bi IS NOT NULL")"

drive <<'END'
table nums
batch n1
entry 1
rec 1 {"n":1e131071}
rec 1 {"n":1e131072}
rec 1 {"n":1e-16383}
rec 1 {"n":1e-16384}
rec 1 {"n":0}
rec 1 {"n":-12345678901234567890123456789012345678901234567890.00000000000000000000000000001}
end
load n1
END
is "numbers up to the bounds of NUMERIC, not beyond" '[[4,2,false]]' "$(counts)"
is "all digits" '-12345678901234567890123456789012345678901234567890.00000000000000000000000000001' "$(q "SELECT min(n) FROM shop.nums")"

# a row of 1500 integers is more than a page holds; which one it is the server does not say at once
wide=$(seq 1500 | sed 's/.*/"c&":900719925474&/' | paste -sd,)
drive <<END
table wide id
batch w1
entry 1
rec 1 {"id":1,"c1":1}
rec 2 {"id":2,$wide}
rec 3 {"id":3,"c1500":3}
end
load w1
END
is "a row that is too big for a page is rejected, no other" '[[2,1,false]] 1 3' "$(counts) $(q "SELECT id FROM shop.wide ORDER BY id" | paste -sd' ')"
like "it says so" 'row is too big' "$(reasons)"

# repeats of a key within a load
drive <<'END'
table twice k
batch t1
entry 1
rec 5 {"k":1,"v":"a"}
rec 5 {"k":1.0,"v":"b"}
rec 4 {"k":1.00,"v":"c"}
rec 1 {"k":2.5,"v":"d"}
rec 7 {"k":2.50,"v":"e"}
rec 6 {"k":2.500,"v":"f"}
end
load t1
END
is "the newest record of each key, the first of equal ones" '1|a 2.50|e' "$(q "SELECT k, v FROM shop.twice ORDER BY k" | sort | paste -sd' ' | sed 's/^1[.0]*|/1|/')"
q "CREATE COLLATION shop.nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
drive <<'END'
table folded k
batch f1
entry 1
rec 1 {"k":"x","v":0}
end
load f1
END
q "ALTER TABLE shop.folded ALTER k TYPE text COLLATE shop.nocase"
drive <<'END'
table folded k
batch f2
entry 2
rec 2 {"k":"ABC","v":1}
rec 3 {"k":"abc","v":2}
rec 4 {"k":"X","v":3}
end
load f2
END
is "keys that are equal for the server alone are a matter for a person" config "$(class)"
like "who is told what to do" 'deterministic collation' "$(last .message)"

drive <<'END'
schema pg_mine
table a id
batch a1
entry 1
rec 1 {"id":1}
end
load a1
END
is "a schema pg_... is refused" config "$(class)"
like "with another name" 'for instance .*mine' "$out"
# --- nested: what is particular to Postgres ---
drive <<'END'
table rn id
batch r1
entry 1
rec 1 {"id":1,"x":1,"l":[{"y":1}]}
end
load r1
END
q "CREATE VIEW shop.rn_seen AS SELECT r.id, r.x, l.y FROM shop.rn r JOIN shop.rn__l l ON l._sdc_source_key_id = r.id"
drive <<'END'
table rn id
batch r1
entry 1
rec 1 {"id":1,"x":1,"l":[{"y":1}]}
end
batch r2
entry 2
rec 2 {"id":2,"x":"text","l":[{"y":"more"},{"y":7}]}
end
load r2
END
is "a second type renames the first column, also below and under a view" 'id bigint|x__bi bigint|x__st text' "$(types rn)"
is "in the subtable, too" '_sdc_source_key_id bigint|_sdc_level_0_id bigint|y__bi bigint|y__st text' \
	"$(q "SELECT attname || ' ' || format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'shop.rn__l'::regclass AND attnum > 0 ORDER BY attnum" | sed '/_sdc_\(rec\|bat\|seq\|tab\)/d' | paste -sd'|')"
is "the view goes on under its own names" $'1|1|1\n2||\n2||7' "$(q "SELECT id, x, y FROM shop.rn_seen ORDER BY id, y NULLS FIRST")"
is "the subtable's key is a real one" 'PRIMARY KEY (_sdc_source_key_id, _sdc_level_0_id)' "$(q "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'shop.rn__l'::regclass AND contype = 'p'")"

# the server refuses child rows: their records go with them, root and all
for keys in id ''; do
	drive <<END
table kid$keys $keys
batch k1
entry 1
rec 1 {"id":1,"l":[{"v":1}],"m":["a"]}
end
load k1
END
	q "ALTER TABLE shop.kid${keys}__l ADD CONSTRAINT small CHECK (v < 100)"
	wide=$(seq 1500 | sed 's/.*/"c&":900719925474&/' | paste -sd,)
	drive <<END
table kid$keys $keys
batch k2
entry 2
rec 2 {"id":1,"l":[{"v":2},{"v":3}],"m":["b"]}
rec 3 {"id":2,"l":[{"v":4},{"v":500}],"m":["c"]}
rec 4 {"id":3,"l":[{"v":5}],"m":["d"]}
rec 5 {"id":4,"w":[{"c1":1},{$wide}],"m":["e"]}
rec 6 {"id":1,"l":[{"v":999}],"m":["f"]}
rec 7 {"id":5,"w":[{"c2":1}]}
end
load k2
END
	is "child rows that the server refuses take their records along (key: ${keys:-none})" '[[3,3,false]]' "$(counts)"
	like "the reason names the table" "small.*in the subtable kid${keys}__l" "$(reasons)"
	like "also of a row that is too big" "row is too big.*in the subtable kid${keys}__w" "$(reasons)"
	is "which records" '1 3 4' "$(sed -n 's/^reject //p' <<<"$out" | jq -r .record | sort -n | paste -sd' ')"
	is "nothing of theirs is there" "$([ -n "$keys" ] && echo '1 3 5' || echo '1 1 3 5')" "$(q "SELECT id FROM shop.kid$keys ORDER BY id" | paste -sd' ')"
	is "child rows of the others are" "$([ -n "$keys" ] && echo '2 3 5' || echo '1 2 3 5')" "$(q "SELECT v FROM shop.kid${keys}__l ORDER BY v" | paste -sd' ')"
	is "in each subtable" "$([ -n "$keys" ] && echo 'b d' || echo 'a b d')" "$(q "SELECT value FROM shop.kid${keys}__m ORDER BY value" | paste -sd' ')"
	is "and in one that is new" 1 "$(q "SELECT count(*) FROM shop.kid${keys}__w")"
done
drive <<'END'
table two a,b
batch t1
entry 1
rec 1 {"a":"x","b":1,"l":[1,2]}
rec 1 {"a":"x","b":2,"l":[3]}
rec 1 {"a":"y","b":1.5,"l":[4]}
end
load t1
batch t2
entry 2
rec 2 {"a":"x","b":1,"l":[5]}
rec 2 {"a":"y","b":1.50}
rec 1 {"a":"x","b":2,"l":[9]}
end
load t2
END
is "a key of two columns, of which one is a number" 'x|1|5 x|2|3' "$(q "SELECT _sdc_source_key_a, _sdc_source_key_b, value FROM shop.two__l ORDER BY 1, 2" | paste -sd' ')"
q "INSERT INTO shop.two__l (_sdc_source_key_a, _sdc_source_key_b, _sdc_level_0_id, value, _sdc_sequence) VALUES ('x', 2, 5, 77, 1)"
drive <<'END'
table two a,b
batch t3
entry 3
rec 3 {"a":"x","b":2,"l":[6]}
end
load t3
END
is "rows that a person added below a record go with its old ones" '5 6' "$(q "SELECT value FROM shop.two__l ORDER BY 1" | paste -sd' ')"

drive <<'END'
table lost id
batch l1
entry 1
rec 1 {"id":1,"l":[1]}
rec 1 {"id":2,"l":[2]}
end
load l1
END
q "DROP TABLE shop.lost"
drive <<'END'
table lost id
batch l2
entry 2
rec 1 {"id":1,"l":[3]}
end
load l2
END
is "a root that was dropped takes its child rows with it when it is made anew" '1|3' "$(q "SELECT _sdc_source_key_id, value FROM shop.lost__l" | paste -sd' ')"

# many child rows: they are kept in a file, not in memory
{
	echo "table many id"
	echo "batch m1"
	echo "entry 1"
	long=$(head -c 2000 /dev/zero | tr '\0' z)
	seq 1 20 | sed "s/.*/\"$long&\"/" | paste -sd, >"$T/list"
	seq 1 1500 | awk -v l="$(cat "$T/list")" '{printf "rec %d {\"id\":%d,\"l\":[%s],\"o\":[{\"s\":\"x%d\"}]}\n", $1, $1, l, $1}'
	echo end
	echo load m1
	echo peak
} >"$T/many"
drive <"$T/many"
is "30,000 child rows of 60 MB" '1500|30000|1500' "$(q "SELECT (SELECT count(*) FROM shop.many), (SELECT count(*) FROM shop.many__l), (SELECT count(*) FROM shop.many__o)")"
diag "peak: $(sed -n 's/^peak //p' <<<"$out") KiB"
[ "$FLAVOUR" != plain ] || ok "in less than 64 MiB of memory" test "$(sed -n 's/^peak //p' <<<"$out")" -lt 65536

# --- dry run ---
drive <<'END'
table two a,b
batch y1
entry 9
rec 9 {"a":"x","b":2,"l":[8]}
rec 9 {"a":"z","b":1}
rec 1 {"a":"x","b":1,"l":[8]}
end
dry y1
END
is "a dry run tells new, replaced and older records" '[1,1,1]' "$(last '[.inserted, .updated, .skipped]')"
is "and leaves all as it was" '5 6' "$(q "SELECT value FROM shop.two__l ORDER BY 1" | paste -sd' ')"
drive <<'END'
schema unseen
table two a
batch y2
entry 9
rec 9 {"a":"x","l":[8]}
end
dry y2
END
is "it makes nothing, not even a schema" 0 "$(q "SELECT count(*) FROM pg_namespace WHERE nspname = 'unseen'")"
like "and tells the statements" 'CREATE TABLE "unseen"."two__l"' "$(last '.ddl[1]' | sed 's/\\//g')"

SETTINGS=$(jq -c '. + {numbers: "double"}' <<<"$SETTINGS")
drive <<'END'
table doubles id
batch d1
entry 1
rec 1 {"id":1,"n":0.1}
rec 2 {"id":2,"n":1e400}
end
load d1
END
is "numbers=double: what no double holds is rejected" '[[1,1,false]]' "$(counts)"
is "and the type is the documented one" 'id bigint|n double precision' "$(types doubles)"
done_testing
