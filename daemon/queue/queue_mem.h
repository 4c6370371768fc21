/*
 * queue_mem.h - the reference queue in memory, with injected faults, for contract tests and t/sim. What was acknowledged survives
 * queue_mem_crash(); what was appended and not acknowledged survives or not, by the random source. One thread.
 */
#ifndef STITCH_QUEUE_MEM_H
#define STITCH_QUEUE_MEM_H

#include "daemon/queue/queue.h"

enum {
	QUEUE_MEM_FAIL_NEXT = 1,	/* the next group answers ERR_IO; its records may or may not be there later */
	QUEUE_MEM_LOSE_ANSWER = 2,	/* the next group is durable, done brings ERR_IO */
	QUEUE_MEM_ACK_EARLY = 4,	/* planted bug for t/sim: done before durable */
};
void queue_mem_fault(struct queue *q, unsigned flags);
/* As a power cut: readers are void, waiting puts are dropped without done (their owners are gone too). The queue can be used on at once. */
void queue_mem_crash(struct queue *q);

#endif
