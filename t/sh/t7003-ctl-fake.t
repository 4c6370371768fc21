#!/bin/bash
# stitchctl against a daemon that answers by rule: words into parameters, pages, printing, exit statuses, and push when the door is slow, shut or says no.
# flavours: plain asan
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need python3 jq script
need_built stitchctl
SOCK=$T/s
python3 "$top/t/lib/fake_daemon.py" "$T" &
track $!
wait_for 30 '[ -s "$T/port" ]' || bail "the double does not start"
port=$(cat "$T/port")

# --- words ---
params() { # WORDS...: method and parameters as the daemon sees them
	: >"$T/calls"
	ctl --json "$@" >/dev/null 2>"$T/err" </dev/null
	tail -n 1 "$T/calls" | jq -c '[.method, .params]'
}
is "positionals and options" '["connection.create",{"source":"shop","schema":"s x","destination":"pg"}]' "$(params connect shop --schema 's x' pg)"
is "an option with =" '["connection.create",{"source":"shop","schema":"a=b","destination":"pg"}]' "$(params connect shop --schema=a=b pg)"
is "flags" '["job.replay",{"id":"12","dry_run":true}]' "$(params job replay 12 --dry-run)"
is "numbers" '["table.sample",{"source":"a","table":"b","destination":"c","rows":3}]' "$(params table sample a b c --rows 3)"
is "seconds" '["system.flush",{"source":"shop","wait":60}]' "$(params flush shop --wait 60)"
is "or a duration" '["system.flush",{"wait":"5m"}]' "$(params flush --wait 5m)"
is "the longest command" '["pause.list",{"limit":1000}]' "$(params pause list)"
is "and the shorter one" '["pause.set",{"kind":"source","name":"list","reason":"r"}]' "$(params pause source list --reason r)"
is "behind -- all is an argument" '["source.show",{"name":"--json"}]' "$(params source show -- --json)"
printf 'se cret\r\n' >"$T/pw"
is "settings: from the command line and from a file" '["destination.create",{"kind":"postgres","name":"pg","set":{"host":"h","password":"se cret","e":"","q":"a=b"}}]' \
	"$(params destination create --kind postgres --name pg --set host=h --set password=@"$T/pw" --set e= --set q=a=b)"
: >"$T/calls"
printf 'from stdin' | ctl destination set pg --set password=- >"$T/out"
is "settings from standard input" '{"name":"pg","set":{"password":"from stdin"}}' "$(tail -n 1 "$T/calls" | jq -c .params)"
echo '{"sources":[]}' >"$T/doc.json"
is "a document from a file" '["config.apply",{"document":"{\"sources\":[]}"}]' "$(params config apply --document @"$T/doc.json")"

# --- usage ---
exits 2 "nothing said" ctl
exits 2 "an unknown command" ctl sorce list
like "did you mean" 'did you mean source list\?' "$err"
exits 2 "a noun alone" ctl destination
like "what can be done with it" 'destination create, destination list' "$err"
exits 2 "a missing option" ctl source create --kind import
like "which, and the usage" '--name is missing.*usage: stitchctl source create --kind KIND --name NAME' "${err//$'\n'/ }"
exits 2 "an unknown option" ctl source create --kinds import
like "did you mean that one" 'did you mean --kind\?' "$err"
exits 2 "too many words" ctl source show a b
exits 2 "no number" ctl table sample a b c --rows many
exits 2 "an option without its value" ctl connect a b --schema
exits 2 "--set without a value" ctl source set a --set secret
unlike "what was typed there is not echoed" 'secret' "$err"
exits 2 "a file that is not there" ctl source set a --set k=@/nonexistent
exits 3 "no daemon" "$BUILD/stitchctl" --socket /nonexistent/s status
like "where it looked, what to do" '^stitchctl: status: no stitchd at /nonexistent/s .*--socket' "$err"
exits 0 "help" ctl help
missing=
while read -r words; do grep -qE "^  $words +[A-Z]" <<<"$out" || missing="$missing, $words"; done < <(sed -n 's/^METHOD("[^"]*", "\([^"]\{1,\}\)".*/\1/p' "$top/shared/methods.def")
is "it lists every command of the method table" "" "$missing"
exits 0 "help of a command" ctl help source create
like "has its usage" '^usage: stitchctl source create --kind KIND' "$out"
run ctl source create --help
is "--help is the same" "0" "$rc"
exits 2 "help of nothing" ctl help soruce
exits 0 "the version" ctl --version

# --- answers ---
is "pages are joined into one array" "1200 s0 s1199" "$(ctl --json source list | jq -r '"\(length) \(.[0].name) \(.[-1].name)"')"
is "--limit ends early" "700" "$(ctl --json source list --limit 700 | jq length)"
is "tab-separated with a header" $'name\tkind\tstate\taccepted\tdestinations\tcreated\ns0\timport\t\t0\t\t' "$(ctl source list | head -n 2)"
cat >"$T/destinations.json" <<'JSON'
[{"name": "pg", "kind": "postgres", "state": "failing", "tables": 2, "records": 5, "bytes": 3145728, "oldest_ns": 1700000000000000000, "trend": "growing", "drain_s": null,
  "loaders": 1, "error": {"class": "config", "text": "bad\tpass\u001b[31mword\n日本"}},
 {"name": "日本", "kind": "sqlite", "state": "ok", "tables": 0, "records": 0, "bytes": 0, "oldest_ns": null, "trend": "steady", "drain_s": 90, "loaders": 0, "error": null}]
JSON
is "control characters cannot break a line" 'config: bad\tpass\x1b[31mword\n日本' "$(ctl destination list | sed -n 2p | cut -f11)"
is "times are ISO 8601" "2023-11-14T22:13:20Z" "$(ctl destination list | sed -n 2p | cut -f7)"
script -qec "$BUILD/stitchctl --socket $SOCK destination list" /dev/null </dev/null | tr -d '\r' >"$T/screen"
is "a terminal gets columns" "2" "$(grep -cE '^(pg|日本)  +(postgres|sqlite)  ' "$T/screen")"
is "that stand below each other, wide characters too" "$(sed -n 2p "$T/screen" | awk '{print index($0, "postgres") - 1}')" \
	"$(sed -n 3p "$T/screen" | sed 's/日本/xxxx/' | awk '{print index($0, "sqlite") - 1}')"
ok "and no escape sequence of the data's" sh -c "! grep -q \$(printf '\033') '$T/screen'"
is "bytes and spans are for people" "yes" "$(grep -q '3.0M' "$T/screen" && grep -q '1m30s' "$T/screen" && echo yes)"
is "one object, a field a line" $'method\tsource.show' "$(ctl source show a | head -n 1)"
is "records keep their digits" '{"n":1.10,"big":12345678901234567890123}' "$(ctl --json batch cat x | sed -n 1p | grep -o '{"n".*23}')"
is "as JSON they are one document" "2" "$(ctl --json batch cat x | jq length)"
is "else lines" "2" "$(ctl batch cat x | wc -l)"

status() { # STATE
	printf '{"state":"%s","name":"n","version":"0","uptime_s":61,"in_rate":0.5,"load_rate":1.0,"waiting":3,"difference":0,"import":{"state":"open"},"queue":{"records":1},' "$1"
	printf '"streamery":{"open":1},"spool":{"ready":1},"loaders":{"up":1},"tables":[{"source":"a","table":"t","destination":"d","state":"ok","accepted":3}],'
	printf '"problems":[{"level":"fail","object":"destination pg","text":"down"}]}\n'
}
for state in ok:0 warn:10 fail:20; do
	status "${state%:*}" >"$T/status.json"
	exits "${state#*:}" "status ${state%:*}" ctl status
	exits "${state#*:}" "and with --json" ctl --json status
done
run ctl status
is "its tables can be cut" "a t d" "$(sed -n 2p <<<"$out" | cut -f1-3 | tr '\t' ' ')"
is "what is wrong stands on standard error" "stitchctl: fail: destination pg: down" "$err"

exits 1 "not found" ctl table show nope
is "what, why, what to do" 'stitchctl: table show: there is no table "nope"; stitchctl table list shows what there is' "$err"
exits 1 "denied" ctl job discard 5
exits 1 "a check that fails" ctl store check
is "cause and fix" "stitchctl: store check: the disk is full; make room" "$err"
exits 1 "a daemon that goes away in a call" ctl state backup /x
exits 3 "and while events are followed" ctl event list --follow
is "each event once, in order" '1 2 3 4' "$(cut -f5 <<<"$out" | sed 's/event.t//' | paste -sd' ')"
is "as JSON, one a line" '[1,2,3,4]' "$(ctl --json event list --follow 2>/dev/null | jq -sc 'map(.id)')"

# --- push ---
seq 1 12000 | sed 's/.*/{"id":&,"n":1.10}/' >"$T/in"
fresh() { rm -f "$T/requests"; printf '%s' "$1" >"$T/plan"; }
fresh ''
exits 0 "12,000 records" ctl --json push shop --table t --key id --key b <"$T/in"
is "in batches of 5,000" "[5000,5000,2000]" "$(jq -sc 'map(.body.messages | length)' "$T/requests")"
is "the last receipt" '{"records":12000,"requests":3,"receipt":"r-3"}' "$(jq -c '{records, requests, receipt}' <<<"$out")"
is "with the local token" "Bearer at_local" "$(jq -r .token "$T/requests" | sort -u)"
is "what a batch says" '["/v2/import/batch","application/json","t",["id","b"],{"properties":{}},null]' \
	"$(head -n 1 "$T/requests" | jq -c '[.path, .type, .body.table_name, .body.key_names, .body.schema, .expect]')"
grep -o '"sequence": [0-9]*' "$T/requests" | cut -d' ' -f2 >"$T/sequences"
is "sequences rise over all batches" "12000 0" "$(wc -l <"$T/sequences") $(sort -c -n -u "$T/sequences"; echo $?)"
is "every record, in order" "true" "$(jq -sc '[.[].body.messages[].data.id] == [range(1; 12001)]' "$T/requests")"
is "each batch has a key of its own" "3" "$(jq -r .key "$T/requests" | sort -u | wc -l)"
fresh $'503 0\ndrop\n503 1\n'
exits 0 "503 and lost answers are tried again" ctl push shop --table t --token "@$T/pw" --url "http://127.0.0.1:$port" < <(head -n 10 "$T/in")
is "with the same key and body" "4 1 1" "$(jq -c '[.key, .body]' "$T/requests" | awk '{n++; if (!($0 in s)) {s[$0]; m++}} END {print n, m}') $(jq -r .token "$T/requests" | sort -u | grep -c 'Bearer se cret')"
fresh $'201\n400\n'
exits 1 "a batch is refused" ctl push shop --table t <"$T/in"
is "no other was sent after it" "2" "$(wc -l <"$T/requests")"
like "why, without its escapes" 'stitchctl: push: 400 Record 3 did not.x1b\[2J conform' "$err"
like "which lines that is about" 'the request that was refused held lines 5001 to 10000' "$err"
like "where to go on" '5000 records are accepted; go on from line 5001 of the same input with --skip 5000' "$err"
fresh ''
exits 0 "going on there" ctl push shop --table t --skip 5000 <"$T/in"
is "leaves the first lines out" "[7000,5001]" "$(jq -sc '[([.[].body.messages[]] | length), .[0].body.messages[0].data.id]' "$T/requests")"
fresh ''
exits 1 "a bad line" ctl push shop --table t < <(printf '{"id":1}\n\n{"id":2}\n{"id":}\n{"id":3}\n')
like "is named with the place" 'line 4: not JSON at byte 6' "$err"
is "what stood before it is in" "[1,2]" "$(jq -c '[.body.messages[].data.id]' "$T/requests")"
like "and it is where to go on" '2 records are accepted; go on from line 4 of the same input with --skip 3' "$err"
exits 1 "a line that is no object" ctl push shop --table t < <(printf '[1]\n')
fresh ''
exits 0 "nothing to push" ctl push shop --table t </dev/null
is "sends nothing" "0" "$(cat "$T/requests" 2>/dev/null | wc -l)"
fresh ''
exits 0 "long records, the last without a newline" ctl push shop --table t < <(awk 'BEGIN {for (p = "x"; length(p) < 1500000;) p = p p; for (i = 0; i < 5; i++) printf "%s{\"p\":\"%s\"}", i ? "\n" : "", substr(p, 1, 1500000)}')
is "at most 4 MB a batch" "[2,2,1]" "$(jq -sc 'map(.body.messages | length)' "$T/requests")"
fresh $'503 1\n503 1\n503 1\n503 1\n503 1\n'
exits 1 "patience has an end" ctl push shop --table t --retry-for 100ms < <(head -n 1 "$T/in")
like "and says so" 'gave up' "$err"
STITCH_TOKEN=at_env ctl push shop --table t < <(head -n 1 "$T/in") >/dev/null
is "the token of the environment" "Bearer at_env" "$(tail -n 1 "$T/requests" | jq -r .token)"
exits 2 "push without a table" ctl push shop
exits 3 "push without a daemon" "$BUILD/stitchctl" --socket /nonexistent/s push shop --table t

# --- completion ---
is "verbs" "check create delete list set show" "$("$BUILD/stitchctl" completion-words source | sort | paste -sd' ')"
is "options" "--help --json --name" "$("$BUILD/stitchctl" completion-words --socket "$SOCK" source create --kind import | grep -e --name -e --help -e --json | sort | paste -sd' ')"
is "names that the daemon knows" "pg" "$("$BUILD/stitchctl" completion-words --socket "$SOCK" destination show | head -n 1)"
done_testing
