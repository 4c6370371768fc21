#!/bin/bash
# The BigQuery loader keeps the contract of all loaders, as far as it applies, and what is particular to BigQuery: names, types, nested columns, its key table, and check.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/loader-contract.sh"
need jq
need_built stitch-load-bigquery
start_bigquery

PROGRAM=$BUILD/stitch-load-bigquery
SETTINGS=$BQ_SETTINGS
TRUE=true FALSE=false NESTING=record
# the column of numbers has one beside it for those that are no doubles
WIDEST=12345678901234567890123456789.123456789
q() {
	local sql=${1/SELECT id, n FROM/SELECT id, IFNULL(CAST(n__nu AS STRING), CAST(n AS STRING)) FROM}
	bq_q "${sql/ at IS/ \`at\` IS}" | sed 's/\.0$//'
}
tab() { local n=${1,,}; echo "\`stitch-test.shop.${n//[^a-z0-9_]/_}\`"; }
ts() { echo "\`$1\`"; }
loader_contract

types() { bq_q "GET /datasets/shop/tables/$1" | jq -r 'def t: "\(.name) \(.type)\(if .mode == "REPEATED" then "[]" else "" end)\(if .fields then "{" + ([.fields[] | t] | join(" ")) + "}" else "" end)";
	[.schema.fields[] | select(.name | startswith("_sdc_") | not) | t] | join("|")'; }
is "column types" 'id INTEGER|at TIMESTAMP|day TIMESTAMP|big NUMERIC|n FLOAT|s STRING|b BOOLEAN|n__nu NUMERIC' "$(types vals)"
is "the key is in _sdc_primary_keys" 'vals|id|1' "$(q "SELECT table_name, column_name, ordinal_position FROM $(tab _sdc_primary_keys) WHERE table_name = 'vals'")"
is "numbers have come to a column of integers" 'id INTEGER|x FLOAT|m FLOAT|m__st STRING|new BOOLEAN' "$(types grow)"

drive <<'END'
table Names! id
batch n1
entry 1
rec 1 {"id":1,"\u00c4pfel \u00df":"x","9Lives":1,"_PARTITION_x":true,"a-b c":2}
rec 2 {"id":2,"a_b_c":3}
end
load n1
END
is "two names that are one here" '[[1,1,false]]' "$(counts)"
is "names of tables and columns" 'id INTEGER|_pfel__ STRING|_9lives INTEGER|x_partition_x BOOLEAN|a_b_c INTEGER' "$(types names_)"
long=$(printf 'n%.0s' $(seq 129))
drive <<END
table long id
batch n1
entry 1
rec 1 {"id":1,"${long:0:128}":1}
rec 2 {"id":2,"$long":1}
end
load n1
END
is "a column's name has 128 bytes" '[[1,1,false]] 128' "$(counts) $(types long | cut -d'|' -f2 | cut -d' ' -f1 | tr -d '\n' | wc -c)"

one='table nest id
batch n1
entry 1
rec 1 {"id":1,"addr":{"City":"Wien","zip":1010,"geo":{"lat":48.25,"q":"x"}},"tags":["a","b"],"items":[{"sku":"x","qty":2,"sub":[{"k":9007199254740993}]},{"sku":"y","qty":1.5}],"m":[[1,2],[]],"e":{},"l":[]}
rec 2 {"id":2,"addr":null,"tags":[],"items":[{}],"m":[],"n":12345678901234567890}
end'
drive <<END
$one
load n1
END
is "nested: all are taken" '[[2,0,false]]' "$(counts)"
is "objects are RECORD, arrays REPEATED, arrays of arrays records with a value" 'id INTEGER|addr RECORD{city STRING zip INTEGER geo RECORD{lat FLOAT q STRING}}|tags STRING[]|items RECORD[]{sku STRING qty INTEGER qty__fl FLOAT sub RECORD[]{k INTEGER}}|m RECORD[]{value INTEGER[]}|n NUMERIC' \
	"$(types nest)"
is "values" '1|{"city":"Wien","zip":1010,"geo":{"lat":48.25,"q":"x"}}|["a","b"]|[{"sku":"x","qty":2,"qty__fl":null,"sub":[{"k":9007199254740993}]},{"sku":"y","qty":null,"qty__fl":1.5,"sub":[]}]|[{"value":[1,2]}]|
2||[]|[]|[]|12345678901234567890' "$(q "SELECT id, addr, tags, items, m, n FROM $(tab nest) ORDER BY id")"
drive <<END
$one
batch n2
entry 2
rec 3 {"id":1,"addr":{"City":7,"street":"S"},"tags":["c"],"items":[{"sku":"z","extra":{"k":[true]}}],"e":{"x":1},"l":["now"]}
rec 4 {"id":3,"tags":["a",1]}
rec 5 {"id":4,"tags":["a",null]}
rec 6 {"id":5,"addr":"text"}
rec 7 {"id":6,"addr":[1,2]}
rec 8 {"id":7,"addr":{"zip":"A-1010"},"items":[{"qty":9007199254740993.5}]}
end
load n2
END
is "new members, new types, mixed arrays" '[[3,3,false]]' "$(counts)"
is "reasons" 'number among other types in an array not possible for tags on [1]
null in an array not possible for tags on [null]
number with more digits than a double has for items__qty on [9007199254740993.5]' "$(reasons)"
is "with field and value" 'tags|["a",1]' "$(sed -n 's/^reject //p' <<<"$out" | head -n 1 | jq -r '.field + "|" + .value')"
is "nested columns are added at every level" 'id INTEGER|addr RECORD{city STRING zip INTEGER geo RECORD{lat FLOAT q STRING} city__it INTEGER zip__st STRING street STRING}|tags STRING[]|items RECORD[]{sku STRING qty INTEGER qty__fl FLOAT sub RECORD[]{k INTEGER} extra RECORD{k BOOLEAN[]}}|m RECORD[]{value INTEGER[]}|n NUMERIC|addr__st STRING|addr__ar INTEGER[]|e RECORD{x INTEGER}|l STRING[]' \
	"$(types nest)"
is "values, old and new" '1|{"city":null,"zip":null,"geo":null,"city__it":7,"zip__st":null,"street":"S"}|["c"]|[{"sku":"z","qty":null,"qty__fl":null,"sub":[],"extra":{"k":[true]}}]|{"x":1}|["now"]||[]
2||[]|[]||[]||[]
5||[]|[]||[]|text|[]
6||[]|[]||[]||[1,2]' "$(q "SELECT id, addr, tags, items, e, l, addr__st, addr__ar FROM $(tab nest) ORDER BY id")"
is "sample shows nested values as JSON" '["a","b"]' "$(drive <<END
${one/nest/nest2}
load n1
sample 9
END
last '.rows[] | select(.[0] == "1")[2]' | jq -r .)"

# numbers: what no double holds has a column of its own, whatever came first
drive <<'END'
table nums id
batch n1
entry 1
rec 1 {"id":1,"x":1}
rec 2 {"id":2,"x":9007199254740993}
end
load n1
batch n2
entry 2
rec 3 {"id":3,"x":0.5}
rec 4 {"id":4,"x":9223372036854775807}
rec 5 {"id":5,"x":-1234567890123456789.123456789}
rec 6 {"id":6,"x":1e300}
rec 7 {"id":7,"x":12345678901234567890123456789012345678901234567890}
end
load n2
END
is "what neither a double nor a decimal holds is rejected" '[[4,1,false]]' "$(counts)"
is "with that reason" 'decimal out of range for x on [12345678901234567890123456789012345678901234567890]' "$(reasons)"
is "integers that were there are kept to the last digit" '1|1|
2||9007199254740993
3|0.5|
4||9223372036854775807
5||-1234567890123456789.123456789
6|1e+300|' "$(q "SELECT id, x, x__nu FROM $(tab nums) ORDER BY id")"

# settings
SETTINGS=$(jq -c '. + {loading: "append", partition: "day"}' <<<"$BQ_SETTINGS")
drive <<'END'
table app id
batch a1
entry 1
rec 1 {"id":1,"n":1}
rec 2 {"id":1,"n":2}
end
load a1
batch a2
entry 1
rec 1 {"id":1,"n":1}
rec 2 {"id":1,"n":2}
entry 2
rec 3 {"id":1,"n":3}
end
load a2 a1
END
is "loading=append: rows of a key are added, a record of another batch's range is not added again" '1 2 3' "$(q "SELECT n FROM $(tab app) ORDER BY n" | paste -sd' ')"
is "partition=day" 'DAY _sdc_batched_at' "$(bq_q 'GET /datasets/shop/tables/app' | jq -r '.timePartitioning | .type + " " + .field')"
SETTINGS=$BQ_SETTINGS

# check
drive <<<check
is "check: ok, with each right" 'true log in|run jobs|make datasets|make tables|load files|add columns|change rows|read rows|delete tables' "$(last .ok) $(last '[.rights[].name] | join("|")' | jq -r .)"
is "it leaves nothing behind" '' "$(bq_q 'GET /datasets' | jq -r '.datasets[].datasetReference.datasetId' | grep check)"
denied() { # TEXT OF A REQUEST: what check says, cause and fix
	bq_double deny "{\"what\":\"$1\"}" >/dev/null
	drive <<<check
	bq_double deny '{}' >/dev/null
}
denied 'POST /bigquery/v2/projects/stitch-test/queries'
is "no right to run jobs" false "$(last .ok)"
like "which permission" 'loader@stitch-test.iam.gserviceaccount.com lacks the permission bigquery.jobs.create in project stitch-test' "$(last .cause)"
is "and the very command" 'gcloud projects add-iam-policy-binding stitch-test --member=serviceAccount:loader@stitch-test.iam.gserviceaccount.com --role=roles/bigquery.jobUser' "$(last .fix | jq -r .)"
denied 'POST /bigquery/v2/projects/stitch-test/datasets '
like "no right to make datasets: nor, then, the others tried" '"make datasets","ok":false' "$(last '.rights[-1] | {name, ok}')"
like "what is to be done" 'dataEditor' "$(last .fix)"
denied 'PATCH '
like "no right to change tables" 'bigquery.tables.update in' "$(last .cause)"
SETTINGS=$(jq -c '.credentials |= (fromjson | .client_email = "nobody@x" | tojson)' <<<"$BQ_SETTINGS")
drive <<<check
like "a key that Google does not know" 'does not accept the key of nobody@x.*make a new one: gcloud iam service-accounts keys create' "$(last .cause)"
SETTINGS=$(jq -c '.credentials = "{}"' <<<"$BQ_SETTINGS")
drive <<<check
like "no key at all" 'is no service account' "$(last .cause)"
like "and what to do" 'credentials=@key.json' "$(last .fix)"
SETTINGS=$(jq -c '.partition = "week"' <<<"$BQ_SETTINGS")
drive <<<check
is "a setting with a value that is none" 'the setting partition is one of none, hour, day, month, year, not week' "$(last .cause | jq -r .)"
unlike "no secret is told" 'PRIVATE' "$(cat "$T/said")"
done_testing
