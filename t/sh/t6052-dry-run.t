#!/bin/bash
# A dry run of a waiting job asks its destination what the load would do: statements, rows to insert, update, reject. Nothing is changed by it.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl sqlite3
start_stitchd || bail "no daemon"
token=$(sqlite_chain shop)
batch() { # FROM TO SEQUENCE: the first is no date
	echo "{\"table_name\":\"orders\",\"key_names\":[\"id\"],\"schema\":{\"properties\":{\"at\":{\"type\":\"string\",\"format\":\"date-time\"}}},\"messages\":[$(for k in $(seq "$1" "$2"); do
		printf '%s{"action":"upsert","sequence":%d,"data":{"id":%d,"at":"2013-02-%dT10:00:00Z"}}' "$([ "$k" = "$1" ] || echo ,)" "$3" "$k" "$([ "$k" = "$1" ] && echo 30 || echo 20)"; done)]}"
}
hold() { # FROM TO SEQUENCE: a batch that waits; $job
	ctl pause destination local >/dev/null
	is "a batch" 201 "$(batch "$@" | post /v2/import/batch "$token")"
	ctl flush >/dev/null
	wait_for 60 '[ "$(ctl --json job list --state ready | jq length)" = 1 ]' || bail "no job"
	job=$(ctl --json job list --state ready | jq -r '.[0].id')
}
hold 1 5 1
exits 0 "a dry run of the first batch" ctl --json job replay "$job" --dry-run
is "what it would load and reject" '4 1 true' "$(jq -r '"\(.load) \(.reject) \(.dry_run)"' <<<"$out")"
like "which statements it would begin with" 'CREATE TABLE' "$(jq -r '.ddl | join(" ")' <<<"$out")"
is "which records it would reject" 'at' "$(jq -r '.rejects[0].field' <<<"$out")"
is "nothing was changed" "no ready" "$(sqlite "$T/local.db" "SELECT 'yes' FROM shop__orders" 2>/dev/null | grep -q yes && echo yes || echo no) $(ctl --json job show "$job" | jq -r .state)"
is "no record is kept as rejected" 0 "$(ctl --json reject list | jq length)"
ctl resume destination local >/dev/null
ok "it is loaded" ctl flush --wait 60
is "as it was said" '4 1' "$(ctl --json job show "$job" | jq -r '"\(.rows) \(.rejected_records)"')"
exits 0 "a dry run of what is loaded" ctl --json job replay "$job" --dry-run
is "would change nothing" '0 5 0' "$(jq -r '"\(.load) \(.skip) \(.insert)"' <<<"$out")"
hold 3 8 2
exits 0 "a dry run of rows that are there in part" ctl --json job replay "$job" --dry-run
is "which would be new, which not" '5 3 2 1' "$(jq -r '"\(.load) \(.insert) \(.update) \(.reject)"' <<<"$out")"
is "and no statement" '[]' "$(jq -c .ddl <<<"$out")"
chmod 000 "$T/local.db" 2>/dev/null
mv "$T/local.db" "$T/away.db" && mkdir "$T/local.db"
exits 1 "a destination that is away says so" ctl --json job replay "$job" --dry-run
isnt "with its reason" "" "$err"
rmdir "$T/local.db" && mv "$T/away.db" "$T/local.db" && chmod 644 "$T/local.db"
ctl resume destination local >/dev/null
ok "the rest is loaded" ctl flush --wait 60
is "the ledger is zero-sum" "" "$(unbalanced)"
stop_stitchd
is "it ends well" 0 $?
done_testing
