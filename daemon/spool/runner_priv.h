/*
 * runner_priv.h - between runner.c (thread, commands, rules of a child's life), loader_child.c (process and socket), loader_msg.c (what travels over
 * fd 3) and runner_ask.c (one-off calls). A struct child belongs to the thread that made it.
 */
#ifndef STITCH_RUNNER_PRIV_H
#define STITCH_RUNNER_PRIV_H

#define LOADER_FDS_MAX 250 /* batches of one load; the kernel takes 253 descriptors a message */

#include <sys/queue.h>
#include <sys/types.h>

#include "daemon/spool/runner.h"
#include "rpc.h"

/* One line on its way to the loader, with the descriptors that travel with its first byte. */
struct out_line {
	STAILQ_ENTRY(out_line) link;
	struct buf bytes;
	size_t sent;
	int *fds;
	size_t n_fds;
};

/* A process and our end of its fd 3. */
struct child {
	pid_t pid;
	int pidfd, fd; /* fd: -1 after it was closed */
	struct rpc_lines in;
	STAILQ_HEAD(, out_line) out;
	int64_t last_id;
	char program[64];
};

/* loader_child.c. All non-blocking but child_reap(wait = true). */
int child_spawn(struct child *c, const char *libexec, const char *kind, uint64_t memory, struct err *e) MUST_CHECK;
/* Queue a request; takes fds (malloc'ed, may be NULL). Returns its id. */
int64_t child_request(struct child *c, const char *method, json_t *params, int *fds, size_t n_fds);
void child_line(struct child *c, struct buf *line); /* takes its bytes */
int child_write(struct child *c, struct err *e) MUST_CHECK; /* 0: all is out; 1: wait until writable; -1 */
enum { CHILD_EOF = 0, CHILD_DATA = 1, CHILD_NOTHING_YET = 2 };
int child_read(struct child *c, struct err *e) MUST_CHECK; /* one of these, or -1 */
void child_close_fd(struct child *c);
void child_signal(struct child *c, int sig);
/* Has it ended? Then *how says it in words ("exit status 3", "signal 11"), and the pid is gone. */
bool child_reap(struct child *c, bool wait, char *how, size_t size);
void child_free(struct child *c); /* ended, or never spawned */

/* What a one-off call needs of the runner; constant while it lives. */
struct runner_parts {
	const char *libexec;
	const struct seal *seal;
	uint64_t memory;
	_Atomic bool *no_asks;
	_Atomic unsigned *asks; /* under way */
	struct store *store;
};
struct runner_parts runner_parts(struct runner *r) MUST_CHECK;

/* loader_msg.c */
/* Settings with every sealed value opened, and `protocol` and `destination`. */
json_t *loader_open_params(const struct seal *seal, const char *name, const char *settings, struct err *e) MUST_CHECK;
json_t *loader_load_params(const struct load_row *load, struct err *e) MUST_CHECK;
json_t *loader_discard_params(const struct load_row *load) MUST_CHECK;
/* Descriptors of all batch files (malloc'ed); -1: *failed says which cannot be opened. */
int loader_open_batches(struct store *store, char *const *paths, size_t n, int **fds, size_t *failed, struct err *e) MUST_CHECK;
void loader_close_batches(int *fds, size_t n); /* and frees the array; NULL is fine */
struct spool_event *loader_event(int kind, int64_t destination_id, unsigned slot, int64_t load_id, int64_t job_id) MUST_CHECK;
int loader_event_done(struct spool_event *ev, json_t *result, struct err *e) MUST_CHECK;
int loader_event_discarded(struct spool_event *ev, json_t *result, struct err *e) MUST_CHECK;
int loader_event_reject(struct spool_event *ev, json_t *params, uint32_t attempt, struct err *e) MUST_CHECK;
void loader_event_error(struct spool_event *ev, json_t *error);

#endif
