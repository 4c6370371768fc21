/*
 * streamery.h - the stage that reads one partition of the queue, gathers frames per table and cuts batches: file to the store, then one
 * transaction of rows, jobs, cursor and position (architecture.md, section 6). It never parses a record.
 *
 * Threads: streamery_* below may be called from any thread unless said otherwise (they put messages or read atomics); step belongs to the stage.
 */
#ifndef STITCH_STREAMERY_H
#define STITCH_STREAMERY_H

#include "daemon/core/stage.h"
#include "daemon/queue/queue.h"
#include "daemon/state/state.h"
#include "daemon/store/store_stage.h"

struct streamery_config {
	uint64_t batch_bytes;	  /* cut at this size of one open batch (compressed): 8 MiB */
	int64_t batch_age;	  /* ns: 60 s */
	uint64_t memory_bytes;	  /* all open batches and uploads: 32 MiB; the largest go first */
	int64_t idle_cut_delay;	  /* ns after the first record before an idle loader makes it cut: 50 ms */
	unsigned uploads;	  /* at once: 4 */
	const char *run_id;	  /* 8 hex digits of this start, in the names of files; the same that retention gets. NULL: made here (tests) */
};

struct streamery;
struct streamery *streamery_new(const struct streamery_config *c, struct queue *q, uint32_t partition, struct store_stage *store, struct state *state,
	struct err *e) MUST_CHECK; /* reads positions and cursors */
struct stage *streamery_stage(struct streamery *s);
void streamery_free(struct streamery *s);

/* fn is called (stage's thread) after each commit of batches: there may be jobs. Before the stage runs. One listener. */
void streamery_on_commit(struct streamery *s, void (*fn)(void *arg), void *arg);
/* The queue has new data (queue_on_durable). */
void streamery_wake(void *s);
/* The spool says: a loader of one of this source's destinations is idle and not paused (cut rule f). Called often, cheap. */
void streamery_loader_idle(struct streamery *s, int64_t source_id, bool idle);
/* Cut what is open now (source 0: all; table "": all of the source); everything durable in the queue at the call is cut and committed when done is called (stage's thread). */
struct streamery_flush { struct msg msg; int64_t source_id; char *table; uint64_t until /* private */; void (*done)(struct streamery_flush *); void *arg; struct err err; };
void streamery_flush(struct streamery *s, struct streamery_flush *f);
/* Rewind in one transaction, drop open batches and uploads of the partition, read from there. At most to the saved position. done in the stage's thread. */
struct streamery_rewind { struct msg msg; uint64_t to; void (*done)(struct streamery_rewind *); void *arg; struct err err; };
void streamery_rewind(struct streamery *s, struct streamery_rewind *r);
/* Stop reading, cut and commit everything open (reason stop), then stage can be stopped: true when nothing is open or in upload. */
void streamery_drain(struct streamery *s);
bool streamery_drained(struct streamery *s);

/* Per table: records read past the start position of this run (seen), and open or in upload (held). Copied out under a short lock. */
struct streamery_count { int64_t source_id; char *table; uint64_t seen, held; int64_t oldest; };
void streamery_counts(struct streamery *s, struct streamery_count **out, size_t *n, uint64_t *start_offset, uint64_t *next_read);
void streamery_counts_free(struct streamery_count *c, size_t n);
struct streamery_stats { uint64_t open, open_bytes, uploads, read_offset, errors; int64_t oldest; char problem[200]; };
void streamery_stats(struct streamery *s, struct streamery_stats *out);

#endif
