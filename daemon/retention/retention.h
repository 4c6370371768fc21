/*
 * retention.h - the stage that deletes: queue segments, batch files, files without a row (sweeper), events, audit, rejected records, old jobs; by age, by size, and early when the
 * disk runs short (only what every destination has). Rows are marked in state.db before anything goes.
 */
#ifndef STITCH_RETENTION_H
#define STITCH_RETENTION_H

#include "daemon/core/stage.h"
#include "daemon/queue/queue.h"
#include "daemon/state/state.h"
#include "daemon/store/store.h"

struct retention_config {
	int64_t queue_keep, batch_keep, event_keep, audit_keep, job_keep, reject_keep; /* ns since all destinations have it: 7 d, 30 d, 30 d, 365 d, 30 d, 90 d */
	uint64_t queue_keep_bytes, batch_keep_bytes;			   /* 0: no limit by size */
	uint64_t events_max, audit_max, rejects_max;
	uint64_t pressure_bytes; /* free space below which loaded data goes early: 2 x reserve */
	const char *state_dir;
	int64_t interval; /* 10 s */
	const char *run_id; /* 8 hex digits of this start: the sweeper deletes only what another run made */
};
struct retention;
struct retention *retention_new(const struct retention_config *c, struct queue *q, struct store *store, struct state *state, struct err *e) MUST_CHECK;
struct stage *retention_stage(struct retention *r);
void retention_free(struct retention *r);
/* The door's reserve: default max(256 MiB, 5 %), but never more than a quarter of the disk. Pure. */
uint64_t retention_reserve(uint64_t configured, uint64_t disk_total);

#endif
