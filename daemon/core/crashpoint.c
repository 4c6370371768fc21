/*
 * crashpoint.c - the table of crash points, in the order of the flow, and dying at one. SIGKILL to oneself, so that nothing is
 * flushed or cleaned up; or to the loaders alone, while the daemon goes on.
 */
#include "daemon/core/crashpoint.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "log.h"
#include "str.h"

const char *const crashpoint_names[] = {
	"door-parsed",		/* request checked, not yet in the queue's mailbox */
	"queue-appended",	/* bytes written, not synced */
	"queue-synced",		/* durable, not yet answered */
	"local-replayed",	/* what was in the local spool is in the queue, its position there not yet saved */
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
static bool armed_loaders;
static _Atomic int64_t armed_count = 1;

/* What stands before the next colon; rest: what comes after it. */
static struct str cut_colon(struct str *rest)
{
	const char *colon = memchr(rest->ptr, ':', rest->len);
	size_t n = colon ? (size_t)(colon - rest->ptr) : rest->len;
	struct str part = str_mem(rest->ptr, n);

	*rest = str_mem(rest->ptr + n + (colon != NULL), rest->len - n - (colon != NULL));
	return part;
}

/* NAME, NAME:N or NAME:N:loaders */
void crashpoint_setup(void)
{
	const char *v = getenv("STITCH_CRASH_AT");
	struct str rest = str_c(v ? v : ""), name, count = STR("1");
	int64_t n;

	name = cut_colon(&rest);
	if (rest.len)
		count = cut_colon(&rest);
	if (!name.len || str_copy(armed_name, sizeof(armed_name), name) || str_to_i64(count, &n))
		return;
	armed_count = n;
	armed_loaders = str_eq(rest, STR("loaders"));
	crashpoint_armed = true;
}

static bool is_child(const char *pid)
{
	char path[300], stat[512] = "";
	const char *after;
	ssize_t n;
	int fd, parent = 0;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, stat, sizeof(stat) - 1);
	close(fd);
	stat[MAX(n, 0)] = '\0';
	after = strrchr(stat, ')'); /* the name may hold anything */
	return after && sscanf(after + 1, " %*c %d", &parent) == 1 && parent == getpid();
}

static int kill_children(void)
{
	DIR *d = opendir("/proc");
	struct dirent *de;
	int64_t pid;
	int n = 0;

	while (d && (de = readdir(d)))
		if (!str_to_i64(str_c(de->d_name), &pid) && is_child(de->d_name))
			n += kill((pid_t)pid, SIGKILL) == 0;
	if (d)
		closedir(d);
	return n;
}

void crashpoint_hit(const char *name)
{
	int n;

	if (strcmp(name, armed_name) != 0 || atomic_fetch_sub(&armed_count, 1) != 1)
		return;
	if (!armed_loaders) {
		kill(getpid(), SIGKILL);
		pause();
	}
	n = kill_children();
	if (n)
		log_warn("crash point %s: %d loaders were killed", name, n);
	else
		atomic_store(&armed_count, 1); /* none was there: the next time */
}
