/*
 * decide.h - what retention deletes and when, as functions of their inputs. Times are ns since 1970, sizes are bytes. Pure.
 */
#ifndef STITCH_RETENTION_DECIDE_H
#define STITCH_RETENTION_DECIDE_H

#include "base.h"

struct pressure_input {
	uint64_t disk_free, pressure_bytes;
	bool was; /* under pressure already: it ends only with some room to spare, so that it does not come and go each round */
};
bool decide_pressure(const struct pressure_input *in);

struct trim_input {
	int64_t now, keep;
	uint64_t bytes, keep_bytes; /* of the queue; keep_bytes 0: no limit */
	bool pressure;
};
/* The queue is trimmed of what all destinations have since before this time. Too large, or the disk short of room: of all that they have. */
int64_t decide_trim_before(const struct trim_input *in);

struct batch_input {
	int64_t now, keep;
	uint64_t bytes, keep_bytes; /* of the store */
	bool pressure;
};
/* Batch files that all destinations have since before this time go. *bytes_to_free: how much of it when size or the disk asks; UINT64_MAX: all. */
int64_t decide_batches_before(const struct batch_input *in, uint64_t *bytes_to_free);
/* Whole batches, oldest first: how many of n with these sizes are deleted to free so much. */
size_t decide_batch_count(const uint64_t *sizes, size_t n, uint64_t bytes_to_free);
/* Rejected records from before this time go: once an hour, so that the events that tell of it are few. */
int64_t decide_rejects_before(int64_t now, int64_t keep);
/* Is this file garbage of another run? row: a row names it. */
bool decide_sweep(const char *name, const char *run_id, bool row);

#endif
