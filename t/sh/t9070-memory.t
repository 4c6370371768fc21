#!/bin/bash
# Pushed as fast as it goes, in small and in the largest bodies and with the loader paused, stitchd stays under its memory_limit; what does not fit is 503 with
# Retry-After (pusher.py takes no other refusal), and everything that was acknowledged arrives.
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
. "$top/t/lib/pipeline.sh"
flights_ready 10000
limit=${LIMIT:-128}
start_stitchd --memory-limit "${limit}M" && chain || bail "no chain"
ok "the destination is paused" ctl pause destination local
# bodies of 15 MB, of many records and of one
python3 - "$T" <<'PY'
import base64, random, sys
r = random.Random(7)
def records(name, n, size):
    with open(sys.argv[1] + "/" + name + ".jsonl", "w") as f:
        for i in range(1, n + 1):
            print('{"id": %d, "pad": "%s"}' % (i, base64.b64encode(r.randbytes(size)).decode()), file=f)
records("fat", 600, 75000)
records("huge", 6, 14900000)
PY
peak() { awk '/^VmHWM/ {print int($2 / 1024)}' "/proc/$stitchd_pid/status"; }
rm -f "$T"/journal.*
pusher fat "$T/fat.jsonl" --key id --batch 150 --connections 6
pusher huge "$T/huge.jsonl" --key id --batch 1 --connections 4
resume_flights --batch 500 --connections 8
pusher tiny "$FLIGHTS" --key id --batch 1 --connections 16 --seconds 8
worst=0
while pushing; do
	rss=$(awk '/^VmRSS/ {print int($2 / 1024)}' "/proc/$stitchd_pid/status")
	[ "$rss" -le "$worst" ] || worst=$rss
	sleep 0.1
done
for p in "${_pushers[@]::4}"; do wait "$p" || fail "a client comes to its end" "$(cat "$T/pusher.err")"; done
wait "${_pushers[4]}"
tiny=$(wc -l <"$T/journal.tiny") _pushers=()
high=$(peak)
[ "$high" -le "$limit" ] && pass "at most $high MiB of $limit (sampled: $worst)" || fail "memory" "$high MiB of $limit (sampled: $worst)"
diag "refused with 503: $(metric stitch_import_unavailable_total), accepted: $(metric stitch_import_records_total)"
ok "the destination is resumed" ctl resume destination local
settled 120 || fail "everything is loaded"
high=$(peak)
[ "$high" -le "$limit" ] && pass "and while it drains: $high MiB" || fail "memory while it drains" "$high MiB of $limit"
all_there "all flights are there once"
is "all large records are there once, those beyond 4 MB among the rejected" "600|600|6" \
	"$(sqlite "$T/local.db" "SELECT count(*), count(DISTINCT id), (SELECT count(*) FROM ${SOURCE}___sdc_rejected WHERE table_name = 'huge') FROM ${SOURCE}__fat")"
is "and no acknowledged small one is missing" 1 "$(sqlite "$T/local.db" "SELECT count(*) >= $tiny AND count(*) = count(DISTINCT id) FROM ${SOURCE}__tiny")"
stop_stitchd
is "it ends well" 0 $?
done_testing
