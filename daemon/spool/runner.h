/*
 * runner.h - the real loader port: one child process per (destination, slot), fd 3 protocol (stitch-loader(7)), heartbeat, rlimits, reaping.
 * posix_spawn of PKGLIBEXECDIR/stitch-load-KIND (or $STITCH_LIBEXEC, or the folder of the running stitchd). Owns one thread with a loop.
 * Secrets are opened (seal.h) only for the child's own destination and only here.
 */
#ifndef STITCH_RUNNER_H
#define STITCH_RUNNER_H

#include "daemon/spool/spool.h"
#include "daemon/state/seal.h"

struct runner_config { const char *libexec; int64_t heartbeat /* 120 s */; int64_t open_timeout /* 30 s */; uint64_t child_memory /* 2 GiB rlimit */; };
struct runner;
struct runner *runner_new(const struct runner_config *c, struct store *store, const struct seal *seal, struct mailbox *spool_mailbox, struct err *e) MUST_CHECK;
struct loader_port runner_port(struct runner *r);
int runner_start(struct runner *r, struct err *e) MUST_CHECK;
void runner_stop(struct runner *r, int64_t deadline_mono); /* EOF on fd 3, then TERM, then KILL; by pid of own children only */
void runner_free(struct runner *r);
/* Questions under way (runner_ask) are given up; for the end. */
void runner_cancel_asks(struct runner *r);
unsigned runner_count(const struct runner *r); /* loader processes now */
/* One-off calls on a loader of their own, for `destination check`, probe and table sample: blocks the caller (a thread of control), bounded by timeout.
 * settings: JSON object, sealed or plain. Returns the result (caller decrefs) or NULL. method: "loader.check" or "table.sample". */
/* What a load would do: load.start as a dry run, its files opened here. Likewise. */
json_t *runner_dry_run(struct runner *r, const struct destination_row *d, const struct load_row *load, int64_t timeout_ns, struct err *e) MUST_CHECK;
json_t *runner_ask(struct runner *r, const char *kind, const char *name, const char *settings, const char *method, json_t *params, int64_t timeout_ns,
	struct err *e) MUST_CHECK;

#endif
