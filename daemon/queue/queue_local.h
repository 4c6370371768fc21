/*
 * queue_local.h - the local spool: a queue in front of another one that keeps on the local disk (in a log of its own) what the other cannot take now, and gives
 * it on in order when it can. Whoever uses it sees the other queue: its offsets, its readers, its id. A put that went to the local disk is durable there and
 * says so (queue_put.delayed; partition and offset are the local log's).
 *
 * Order: while anything is in the spool, all puts go there, so what was accepted first reaches the other queue first. A put that the other queue may have taken
 * although it said no is given again with the same request ids: the streamery drops it as a repeat.
 */
#ifndef STITCH_QUEUE_LOCAL_H
#define STITCH_QUEUE_LOCAL_H

#include "daemon/queue/queue.h"

struct queue_local_config {
	const char *dir;	/* DIR/log, DIR/position */
	uint64_t bytes_max;	/* of the puts in it */
	uint64_t reserve_bytes; /* as queue_config */
	int64_t patience;	/* ns; a put that the other queue has not answered by then goes to the local disk too */
};

/* Owns main from success on. */
struct queue *queue_local_open(struct queue *main, const struct queue_local_config *c, struct err *e) MUST_CHECK;
struct queue *queue_local_log(struct queue *q); /* the log behind it; NULL: q has no local spool */
uint64_t queue_local_position(struct queue *q); /* what lies below it is in the other queue */

#endif
