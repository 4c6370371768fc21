#!/bin/bash
# A write or sync of state.db fails while stitchd runs: it stops all it does, executes itself anew, opens cold, and goes on; nothing that was acknowledged is missing.
# fdatasync is replaced in the daemon (LD_PRELOAD), and refuses while a file says so.
. "${STITCH_TOP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/t/lib/test-lib.sh"
need jq curl cc
cat >"$T/refuse.c" <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
/* the n-th sync of state.db's log from now on, once for each time that the file is made */
static int refused(int fd)
{
	char link[64], path[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 4)
		return 0;
	path[n] = '\0';
	return !strcmp(path + n - 4, "-wal") && unlink(getenv("REFUSE_WHILE")) == 0;
}
int fdatasync(int fd)
{
	if (refused(fd)) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}
int fsync(int fd)
{
	if (refused(fd)) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}
END
cc -shared -fPIC -o "$T/refuse.so" "$T/refuse.c" || bail "cc"
export REFUSE_WHILE=$T/refuse
export LD_PRELOAD=$T/refuse.so
start_stitchd
unset LD_PRELOAD
token=$(sqlite_chain shop)
is "a batch is taken" 201 "$(make_batch orders 1 100 | post /v2/import/batch "$token")"
ok "and loaded" ctl flush --wait 30
pid=$stitchd_pid
for round in 1 2 3; do
	touch "$REFUSE_WHILE"
	starts=$(grep -c 'is ready' "$LOG")
	ctl pause table shop.orders --reason "round $round" >/dev/null 2>&1
	ctl resume table shop.orders >/dev/null 2>&1
	ok "round $round: it starts anew" wait_for 30 '[ "$(grep -c "is ready" "$LOG")" -gt '"$starts"' ]'
	wait_ready
	is "it is the same process" "$pid" "$stitchd_pid"
	ctl resume table shop.orders >/dev/null 2>&1
	is "what comes is taken" 201 "$(make_batch orders "${round}01" "$((round + 1))00" | post /v2/import/batch "$token")"
	ok "and loaded" ctl flush --wait 30
	is "the ledger balances" "" "$(unbalanced)"
done
is "every row is there" "400" "$(sqlite "$T/local.db" 'SELECT count(DISTINCT id) FROM shop__orders')"
is "once" "400" "$(sqlite "$T/local.db" 'SELECT count(*) FROM shop__orders')"
stop_stitchd
is "and it stops cleanly" 0 $?
done_testing
