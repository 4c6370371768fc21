/*
 * crashpoint.c - the table of crash points, in the order of the flow, and dying at one. SIGKILL to oneself, so that nothing is
 * flushed or cleaned up.
 */
#include "daemon/core/crashpoint.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "str.h"

const char *const crashpoint_names[] = {
	"door-parsed",		/* request checked, not yet in the queue's mailbox */
	"queue-appended",	/* bytes written, not synced */
	"queue-synced",		/* durable, not yet answered */
	"queue-segment-made",	/* next segment renamed into place */
	"queue-recycled",	/* trimmed segment renamed to its spare name */
	"cut-decided",		/* batch built, upload not begun */
	"store-written",	/* batch file durable, row not yet committed */
	"state-run",		/* a group's transactions have run, nothing of it is committed */
	"state-committed",	/* a group is durable, nobody is told */
	"cut-committed",	/* row, jobs, cursor and position committed */
	"trim-recorded",	/* state knows the new lower end, queue not yet trimmed */
	"load-created",		/* load row committed, loader not yet told */
	"load-started",		/* loader told */
	"load-rejects-stored",	/* rejected records durable, loader not yet told */
	"load-answered",	/* the loader's result arrived, not yet in state.db */
	"load-done",		/* jobs done in state.db */
	"retention-rows",	/* rows marked deleted, files still there */
	NULL,
};

bool crashpoint_armed;
static char armed_name[64];
static _Atomic int64_t armed_count = 1;

void crashpoint_setup(void)
{
	const char *v = getenv("STITCH_CRASH_AT");
	const char *colon;
	int64_t n = 1;

	if (!v || !*v)
		return;
	colon = strchr(v, ':');
	if (colon && str_to_i64(str_c(colon + 1), &n))
		n = 1;
	if (str_copy(armed_name, sizeof(armed_name), str_mem(v, colon ? (size_t)(colon - v) : strlen(v))))
		return;
	armed_count = n;
	crashpoint_armed = true;
}

void crashpoint_hit(const char *name)
{
	if (strcmp(name, armed_name) == 0 && atomic_fetch_sub(&armed_count, 1) == 1) {
		kill(getpid(), SIGKILL);
		pause();
	}
}
