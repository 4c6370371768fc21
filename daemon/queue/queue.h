/*
 * queue.h - the durable queue between door and streamery, behind one interface (log:, mem:, later kafka:). Opened by URL.
 *
 * Offsets count queue records per partition, from 0, and never fall; gaps are legal. A put is one request: all its queue records
 * are one append, whole or not there. Acknowledged means durable. A failed put (503) means unknown: it may be there after a restart.
 * Threads: queue_put, queue_end, queue_tally from any; step (or the thread made by queue_start) is the only writer; a reader belongs to one thread.
 */
#ifndef STITCH_QUEUE_H
#define STITCH_QUEUE_H

#include "daemon/core/now.h"
#include "daemon/queue/record.h"
#include "err.h"
#include "mailbox.h"

#define QUEUE_ID_LEN 16 /* 128 random bits, made when the queue is created, kept in it */
#define QUEUE_PUT_MAX (64u << 20) /* bytes of one request: all its queue records */
#define QUEUE_GROUP_MAX 256u	  /* requests, and bytes, that one append takes at most (a larger request goes alone) */
#define QUEUE_GROUP_BYTES (8u << 20)

struct queue;
struct queue_reader;

struct queue_config {
	const char *url;	  /* "log:DIR", "log:" (state_dir/queue), "mem:" */
	const char *state_dir;
	uint64_t segment_bytes;	  /* log: 64 MiB; made smaller on a small disk */
	unsigned spare_segments;  /* recycled or zeroed ones kept ready: 2 */
	size_t mailbox_count;	  /* puts waiting for the writer */
	size_t mailbox_bytes;
	uint64_t reserve_bytes;	  /* the door's: a new segment is not begun below this much free space (ERR_FULL) */
	uint64_t first_offset;	  /* at least this: max of all cursors and positions (rule 3) */
	bool second;		  /* another one is the queue: the gauges are that one's */
};

/* One request. Owned by the caller until queue_put succeeds, then by the queue until done is called (queue's thread, or inside queue_step). */
struct queue_put {
	struct msg msg; /* msg.bytes = encoded size, set by queue_put */
	struct buf bytes; /* the encoded queue records (qrec_encode), one after the other; freed by the owner in done */
	unsigned n;	  /* how many */
	void (*done)(struct queue_put *);
	void *arg;
	/* set before done */
	struct err err; /* ERR_NONE: durable */
	uint32_t partition;
	uint64_t offset; /* of the first; the others follow without a gap */
	bool delayed; /* durable in the local spool (queue_local.h): partition and offset are that log's */
};

struct queue *queue_open(const struct queue_config *c, struct err *e) MUST_CHECK;
int queue_start(struct queue *q, struct err *e) MUST_CHECK; /* threads: writer, spare. Not called in the simulator. */
/* One group: takes <= 256 requests and <= 8 MiB, appends, syncs once, calls done for each. Returns the next time to step. Only without queue_start. */
int64_t queue_step(struct queue *q, struct now now);
/* 0: taken, done will come. -1: full or closed (ERR_FULL: answer 503), the put stays the caller's. */
int queue_put(struct queue *q, struct queue_put *p, struct err *e) MUST_CHECK;
/* Stop taking, answer what waits, stop the threads. */
void queue_stop(struct queue *q);
void queue_close(struct queue *q);

const unsigned char *queue_id(const struct queue *q); /* QUEUE_ID_LEN bytes */
unsigned queue_partitions(const struct queue *q);
uint64_t queue_begin(const struct queue *q, uint32_t partition); /* first offset that is still there */
uint64_t queue_end(const struct queue *q, uint32_t partition);	 /* high watermark: offset after the last durable one */
/* Is a put likely to be taken now? false: ENOSPC, no spare, sealed and not yet healed. For /readyz and the door's early 503. */
bool queue_writable(const struct queue *q, struct err *why);
/* fn is called (writer's thread, no lock held) after each group that became durable: wake the streamery. One listener. */
void queue_on_durable(struct queue *q, void (*fn)(void *arg), void *arg);

/* A reader sees only what is durable. queue_read: 1 = *r and *offset (valid until the next call), 0 = nothing there yet, -1 = error (ERR_CORRUPT: this
 * offset, told in *offset, cannot be read; queue_reader_seek past it to go on; ERR_NOT_FOUND: it was trimmed). A reader that is to begin outside of what the
 * queue holds (begin to end, both included) is refused with ERR_NOT_FOUND: never a silent jump. */
struct queue_reader *queue_reader_open(struct queue *q, uint32_t partition, uint64_t from, struct err *e) MUST_CHECK;
int queue_read(struct queue_reader *r, struct qrec *out, uint64_t *offset, struct err *e) MUST_CHECK;
int queue_reader_seek(struct queue_reader *r, uint64_t to, struct err *e) MUST_CHECK;
void queue_reader_close(struct queue_reader *r);

/* Sums by (source, table) over the queue records in [from, to), from headers alone; for accepted and queued. Called once per pair. */
typedef void queue_tally_fn(uint32_t source_id, struct str table, uint64_t records, uint64_t lines, void *arg);
int queue_tally(struct queue *q, uint32_t partition, uint64_t from, uint64_t to, queue_tally_fn *fn, void *arg, struct err *e) MUST_CHECK;
/* The offset below which queue_trim(below) would remove whole segments: <= below. */
uint64_t queue_trim_point(struct queue *q, uint32_t partition, uint64_t below);
/* Oldest received_at (ns) of what would stay, and bytes held, for retention by age and size: the newest received_at of the oldest segment. */
void queue_oldest_segment(struct queue *q, uint32_t partition, int64_t *newest_received, uint64_t *end_offset, uint64_t *bytes_total);
int queue_trim(struct queue *q, uint32_t partition, uint64_t below, struct err *e) MUST_CHECK; /* whole segments, oldest first */

struct queue_stats {
	uint64_t bytes, segments, sealed, groups, records;
	size_t waiting; /* puts in the mailbox */
	bool away; /* puts go to the local spool; what is in it, and its size, 0: there is none */
	uint64_t local_bytes, local_requests, local_max;
};
void queue_stats(struct queue *q, struct queue_stats *out);

#endif
