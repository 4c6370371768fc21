#!/bin/bash
# stitchctl with the real daemon: every verb, its --json shape and exit status, pages, roles, a failing destination, completions.
# flavours: plain asan tsan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl sqlite3 python3
need_built stitch-load-sqlite
start_stitchd || bail "no daemon"

# --- sources, destinations, connections ---
exits 0 "source create" ctl --json source create --kind import --name shop
like "its shape" '^\[1,1,"shop","at_[0-9a-f]{40}"\]$' "$(jq -c '[.id, .client_id, .name, .token]' <<<"$out")"
token=$(jq -r .token <<<"$out")
exits 1 "the same name again" ctl source create --kind import --name shop
like "says so" '^stitchctl: source create: .*shop' "$err"
exits 1 "a name that is none" ctl source create --kind import --name ../x
exits 1 "a kind that is none" ctl source create --kind nope --name other
exits 0 "destination create" ctl --json destination create --kind sqlite --name local --set path="$T/local.db"
is "its shape" '["local",true]' "$(jq -c '[.name, .check.ok]' <<<"$out")"
exits 1 "a setting that the kind does not have" ctl destination create --kind sqlite --name x --set nope=1
exits 0 "connect" ctl --json connect shop local
is "the schema is the source's name" '["shop","local","shop"]' "$(jq -c '[.source, .destination, .schema]' <<<"$out")"
exits 0 "connect again changes nothing" ctl connect shop local
exits 1 "connect to nothing" ctl connect shop nope
like "says what there is" 'nope' "$err"
is "source list" '[["shop","import","ok",["local"]]]' "$(ctl --json source list | jq -c '[.[] | [.name, .kind, .state, .destinations]]')"
is "source show" '["shop",0]' "$(ctl --json source show shop | jq -c '[.name, .accepted]')"
unlike "no token in it" "$token" "$(ctl --json source show shop)"
exits 0 "source check" ctl source check shop
exits 0 "client create" ctl --json client create acme
is "its shape" '[2,"acme"]' "$(jq -c '[.id, .name]' <<<"$out")"
exits 0 "destination check" ctl --json destination check local
is "names the rights" "true" "$(jq '.ok and (.rights | length > 0)' <<<"$out")"
is "destination list" '[["local","sqlite"]]' "$(ctl --json destination list | jq -c '[.[] | [.name, .kind]]')"
is "destination show" "$T/local.db" "$(ctl --json destination show local | jq -r .settings.path)"
exits 0 "destination set" ctl destination set local --set path="$T/local.db"
exits 1 "a source that is not there" ctl source show nope
is "what, why, what to do" "stitchctl: source show: " "$(grep -o '^stitchctl: source show: ' <<<"$err")"
like "what to do" 'stitchctl source list' "$err"

# --- records ---
seq 1 7000 | sed 's/.*/{"id":&,"price":&.10,"big":12345678901234567890}/' >"$T/in"
exits 0 "push" ctl --json push shop --table orders --key id <"$T/in"
is "all records, two requests" '[7000,2]' "$(jq -c '[.records, .requests]' <<<"$out")"
receipt=$(jq -r .receipt <<<"$out")
exits 0 "flush --wait" ctl flush shop --wait 60
is "the rows are there" "7000" "$(sqlite "$T/local.db" 'select count(*) from shop__orders')"
is "the push token is not one of the two" "1" "$(ctl --json source show shop | jq '.tokens | map(select(.hint != "local")) | length')"
exits 0 "push with the source's token and url" ctl push shop --table plain --token "$token" --url "$url" < <(head -n 3 "$T/in")
exits 1 "a wrong token" ctl push shop --table plain --token at_wrong --retry-for 0s < <(head -n 3 "$T/in")
like "is said" '401' "$err"
exits 1 "what the door refuses" ctl push shop --table orders --key nope < <(head -n 3 "$T/in")
like "with its reason" 'key property nope.*--skip 0' "${err//$'\n'/ }"
exits 0 "flush of one table" ctl flush shop plain --wait 60
is "append-only rows" "3" "$(sqlite "$T/local.db" 'select count(*) from shop__plain')"
exits 0 "flush without waiting" ctl --json flush
is "its shape" "boolean" "$(jq -r '.done | type' <<<"$out")"
exits 1 "flush of a source that is not there" ctl flush nope

# --- looking ---
exits 0 "status" ctl --json status
is "the ledger" '[["shop","orders","local",7000,0,0,7000,0,0,0],["shop","plain","local",3,0,0,3,0,0,0]]' \
	"$(jq -c '[.tables | sort_by(.table)[] | [.source, .table, .destination, .accepted, .queued, .spooled, .loaded, .rejected, .discarded, .difference]]' <<<"$out")"
is "sources and destinations have name and state" "true" "$(jq '[.sources[], .destinations[]] | all((.name | type) == "string" and (.state | type) == "string")' <<<"$out")"
is "the door's address" "$url" "$(jq -r .import.url <<<"$out")"
is "table list" '["orders","plain"]' "$(ctl --json table list | jq -c '[.[].table] | sort')"
is "table show" '["orders",["id"],7000]' "$(ctl --json table show shop.orders | jq -c '.[0] | [.table, .key_names, .loaded]')"
is "table sample" "id" "$(ctl --json table sample shop orders local --rows 2 | jq -r '.columns[0] as $c | select(.rows | length == 2) | $c')"
is "jobs" "true" "$(ctl --json job list | jq 'length >= 2 and all(.state == "done" and (.id | type) == "string" and .records > 0)')"
is "jobs of a table" '["plain"]' "$(ctl --json job list --table shop.plain | jq -c '[.[].table] | unique')"
is "jobs in a state" "0" "$(ctl --json job list --state held | jq length)"
exits 1 "a state that is none" ctl job list --state nope
job=$(ctl --json job list --table shop.orders | jq -r '.[0].id')
exits 0 "job show" ctl --json job show "$job"
is "its batch's file and sum" "true" "$(jq '(.sha256 | length) == 64 and (.file | startswith("1/orders/")) and .rejected == []' <<<"$out")"
batch=$(jq -r .batch <<<"$out")
is "batch cat gives what was sent" '{"id":1,"price":1.10,"big":12345678901234567890}' "$(ctl batch cat "$batch" | head -n 1 | grep -o '{"id".*}' | sed 's/}}$/}/')"
is "all pages of it" "$(ctl --json job show "$job" | jq .records)" "$(ctl batch cat "$batch" | wc -l)"
exits 1 "a batch that is not there" ctl batch cat 0123
exits 0 "where" ctl --json where "$receipt"
is "to the end" '["orders","done"]' "$(jq -c '[.records[0].table, .records[0].jobs[0].state]' <<<"$out")"
like "as lines: each record with its batch, whole" '"batch":"[0-9a-f]{32}"' "$(ctl where "$receipt")"
script -qec "$BUILD/stitchctl --socket $SOCK where $receipt" /dev/null </dev/null | tr -d '\r' >"$T/screen"
like "on a terminal: its jobs by id and state" ' [0-9]+ done$' "$(grep "cut  " "$T/screen")"
exits 1 "a receipt that is none" ctl where nonsense

# --- acting ---
exits 0 "replay, dry" ctl --json job replay "$job" --dry-run
is "would load nothing" "0" "$(jq .load <<<"$out")"
exits 0 "replay of what is loaded" ctl job replay "$job"
is "changes nothing" "7000" "$(ctl flush --wait 60 >/dev/null; sqlite "$T/local.db" 'select count(*) from shop__orders')"
exits 1 "discard of what is loaded" ctl job discard "$job"
exits 0 "pause" ctl --json pause source shop --reason "count the stock" --for 1h
is "who and why" '["source","shop","count the stock"]' "$(jq -c '[.kind, .name, .reason]' <<<"$out")"
is "a paused source is not served" "401" "$(make_batch orders 1 1 | post /v2/import/batch "$token")"
is "pause list" '[["source","shop","count the stock"]]' "$(ctl --json pause list | jq -c '[.[] | [.kind, .name, .reason]]')"
is "and in source show" "count the stock" "$(ctl --json source show shop | jq -r .paused.reason)"
exits 0 "resume" ctl resume source shop
is "pause list is empty" "[]" "$(ctl --json pause list | jq -c .)"
exits 1 "a kind that cannot be paused" ctl pause daemon x
exits 1 "a duration that is none" ctl pause source shop --for ever
for object in "table shop.orders" "destination local"; do
	exits 0 "pause $object" ctl pause $object
	exits 0 "resume $object" ctl resume $object
done
exits 0 "token create" ctl --json token create shop
second=$(jq -r .token <<<"$out")
exits 1 "not a third one" ctl token create shop
exits 0 "token revoke, the older one" ctl token revoke shop
is "it is refused" "401" "$(make_batch orders 1 1 | post /v2/import/batch "$token")"
is "the other one is good" "201" "$(make_batch orders 7001 7001 | post /v2/import/batch "$second")"
exits 0 "a source that feeds nobody" ctl source create --kind import --name lonely
exits 1 "cannot be waited for until it is loaded" ctl flush lonely --wait 5
exits 0 "it goes" ctl source delete lonely --yes
exits 0 "store check" ctl store check
mkdir "$T/backup"
exits 0 "state backup" ctl state backup "$T/backup"
is "is a database" "ok" "$(sqlite "$(find "$T/backup" -name 'state*.db' | head -n 1)" 'pragma integrity_check')"
exits 1 "a relative folder" ctl state backup backup
exits 0 "config export" ctl config export
is "names all" '["shop","local","shop"]' "$(jq -c '[.sources[0].name, .destinations[0].name, .connections[0].source]' <<<"$out")"
printf '%s' "$out" >"$T/doc.json"
exits 0 "config apply of the same" ctl --json config apply --document @"$T/doc.json"
is "changes nothing" '[[],[]]' "$(jq -c '[.created, .changed]' <<<"$out")"
exits 1 "no document" ctl config apply --document '[1'
exits 1 "a list that there is not" ctl config apply --document '{"sources":[{"name":"half","kind":"import"}],"destination":[]}'
like "is named" '"destination"; it may have sources, destinations and connections' "$err"
exits 1 "an object without its kind" ctl config apply --document '{"sources":[{"name":"half","kind":"import"},{"name":"b"}]}'
exits 1 "and nothing was made of what stands before it" ctl source show half
exits 1 "another schema for a connection" ctl config apply --document "$(jq -c '.connections[0].schema = "elsewhere"' "$T/doc.json")"
like "is not passed over" 'loads into schema .* disconnect' "$err"
is "audit list: who did what, the oldest last" '["destination.create","connection.create","done"]' \
	"$(ctl --json audit list | jq -c '[(map(select(.object == "local"))[-1].action), (map(select(.object == "shop local"))[-1] | .action, .result)]')"
ok "a check of a destination" ctl destination check local
ctl push shop --table pushed --key id <<<'{"id":1}' >/dev/null 2>&1
is "checks, and tokens that are handed out, are in the audit log" 'destination.check source.push_token' \
	"$(ctl --json audit list | jq -r '[.[].action | select(. == "destination.check" or . == "source.push_token")] | unique | join(" ")')"
is "audit of one object" '["pause.clear","pause.set"]' "$(ctl --json audit list --object 'source shop' | jq -c '[.[].action] | unique')"
is "event list" "true" "$(ctl --json event list | jq 'any(.kind == "paused")')"
ctl --json event list --follow --limit 1 >"$T/followed" 2>/dev/null &
track $!
wait_for 30 '[ -s "$T/followed" ]'
ctl pause source shop >/dev/null && ctl resume source shop >/dev/null
ok "event list --follow shows what happens" wait_for 30 'grep -q "\"kind\": *\"resumed\"" "$T/followed" || jq -e "select(.kind == \"resumed\")" "$T/followed" | grep -q resumed'

# --- what must not pass ---
exits 2 "a secret on the command line is refused" ctl destination create --kind postgres --name x --set dbname=d --set password=hidden
unlike "and not repeated" hidden "$err"
like "it is told how" 'password=@FILE' "$err"
exits 2 "a wait that is none" ctl flush --wait soon
exits 1 "a table that is not there" ctl flush shop ordres
like "is told" 'has no table "ordres"' "$err"

# --- a destination that fails ---
closed=$(free_port)
exits 0 "a destination that cannot be reached is created" ctl destination create --kind postgres --name away --set host=127.0.0.1 --set port="$closed" --set user=u --set password=@<(printf hidden) --set dbname=d
like "and said to be so" '^stitchctl: destination create: created, but its check failed: ' "$err"
ctl --json source create --kind import --name late >/dev/null && ctl connect late away >/dev/null
ctl push late --table t --key id < <(head -n 5 "$T/in") >/dev/null
exits 1 "flush cannot end" ctl flush late --wait 1
like "it says what waits, and where to look" '5 records.*stitchctl status' "$err"
wait_for 60 '[ "$(ctl --json job list --destination away | jq -r ".[0].state")" = deferred ]'
exits 20 "status while it fails" ctl status
exits 1 "destination check" ctl destination check away
unlike "no secret is shown" 'hidden' "$(ctl --json destination show away)$(ctl --json config export)$(ctl --json audit list)"
exits 0 "the other goes on" ctl flush shop --wait 60
exits 0 "paused" ctl pause destination away --reason "moved"
run ctl status
isnt "it fails no more" 20 "$rc"
ctl push late --table other < <(head -n 2 "$T/in") >/dev/null
ctl flush late >/dev/null
wait_for 30 '[ "$(ctl --json job list --table late.other | jq length)" = 1 ]'
exits 0 "job discard" ctl job discard "$(ctl --json job list --table late.other | jq -r '.[0].id')"
is "is counted" "2" "$(sum_of discarded 'select(.table == "other")')"
exits 0 "resumed" ctl resume destination away
exits 1 "delete would lose records" ctl destination delete away
like "how many, and what to say" '5 records.*--yes' "$err"
exits 0 "disconnect" ctl disconnect late away
exits 0 "destination delete" ctl destination delete away --yes
exits 0 "source delete" ctl source delete late --yes
is "the ledger is zero-sum" "" "$(unbalanced)"

# --- flush waits for what is paused or held, and says who does it ---
exits 0 "pause the destination" ctl pause destination local --reason "new disk"
ctl push shop --table waiting --key id <<<'{"id":1}' >/dev/null
exits 1 "flush --wait does not end" ctl flush shop --wait 1
like "says what waits, by whom and why" '1 jobs \(1 records\).*destination local is paused by .*\(new disk\)' "$err"
ctl pause table shop.waiting >/dev/null && ctl resume destination local >/dev/null
exits 1 "nor for a paused table" ctl flush shop waiting --wait 1
like "which is named" 'table shop.waiting is paused by' "$err"
job=$(ctl --json job list --table shop.waiting | jq -r '.[0].id')
ctl pause job "$job" --reason "look first" >/dev/null && ctl resume table shop.waiting >/dev/null
exits 1 "nor for a held job" ctl flush --wait 1
like "which is named" "job $job of shop.waiting is held: paused by .*: look first" "$err"
exits 0 "another table is waited for alone" ctl flush shop orders --wait 60
exits 0 "resume the job" ctl resume job "$job"
exits 0 "then flush --wait ends" ctl flush shop --wait 60
is "with the row loaded" "1" "$(sqlite "$T/local.db" 'select count(*) from shop__waiting')"

# --- pages ---
jq -nc '{sources: [range(1; 1101) | {name: "many-\(.)", kind: "import", settings: {}}]}' >"$T/many.json"
exits 0 "1,100 sources by one document" ctl config apply --document @"$T/many.json"
is "are listed over pages, each once" "1101 1101" "$(ctl --json source list | jq -r '"\(length) \([.[].name] | unique | length)"')"
is "--limit" "1050" "$(ctl source list --limit 1050 | tail -n +2 | wc -l)"

# --- roles ---
group=$(stat -c %g "$SOCK")
if [ "$(id -u)" != 0 ]; then
	skip "the socket's group" "needs root"
elif ! setpriv --reuid=65534 --regid="$group" --clear-groups -- "$BUILD/stitchctl" --version >/dev/null 2>&1; then
	skip "the socket's group" "another user cannot reach $BUILD"
else
	exits 0 "the socket's group may look" ctl_as 65534 "$group" table list
	exits 1 "but not act" ctl_as 65534 "$group" pause source shop
	like "and is told" 'pause: .*only the daemon.s own user and root may' "$err"
	is "nothing was done" "[]" "$(ctl --json pause list | jq -c .)"
	exits 3 "others may not even look" ctl_as 65534 65534 table list
	like "and are told" "socket's group" "$err"
fi

# --- completions ---
complete_line() { # WORD...: what bash offers for the last one
	bash -c 'source "$0/completions/stitchctl.bash"; export STITCH_SOCKET=$1; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _stitchctl; printf "%s\n" "${COMPREPLY[@]}"' \
		"$top" "$SOCK" "$BUILD/stitchctl" "$@" | paste -sd' '
}
is "bash completes verbs" "check create" "$(complete_line source c)"
is "options" "--kind" "$(complete_line source create --k)"
is "names" "shop" "$(complete_line source show sh)"
is "kinds" "postgres" "$(complete_line destination create --kind p)"
ok "and its script is sound" bash -n "$top/completions/stitchctl.bash"

# --- what lies in objects and arrays ---
exits 0 "push of nested records" ctl push shop --table nested <<<'{"addr":{"city":"x","no":{}},"items":[{"sku":1},2]}'
exits 0 "flush" ctl flush shop --wait 60
is "columns have names for people" 'addr:object items:array addr.city:string addr.no:object items[]:object,integer items[].sku:integer' \
	"$(ctl --json table show shop.nested | jq -r '.[0].columns | map(.name + ":" + (.types | join(","))) | join(" ")')"

ok "the daemon stops well" stop_stitchd
exits 3 "and then it is not there" ctl status
done_testing
