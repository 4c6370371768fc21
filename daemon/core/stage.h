/*
 * stage.h - a stage is a struct with a step: it takes what lies in its mailbox, calls its backend and puts what comes out; a thread
 * is nothing but "wait, step" (stage.c). t/sim calls step itself, in one thread and any order.
 */
#ifndef STITCH_STAGE_H
#define STITCH_STAGE_H

#include <pthread.h>
#include <stdatomic.h>

#include "daemon/core/now.h"
#include "err.h"
#include "mailbox.h"

struct stage_ops {
	const char *name;
	/* Do what can be done now. Returns the monotonic time (ns) at which to step again even if nothing arrives: NEVER, or a past time for
	 * "at once". May block in its backend (fdatasync, COMMIT), in nothing else. */
	int64_t (*step)(void *self, struct now now);
};

struct stage {
	const struct stage_ops *ops;
	void *self;
	struct mailbox *mb; /* owned by the stage's implementation */
	pthread_t thread;   /* valid while running */
	bool running;
	_Atomic bool stop;
};

/* Start a thread that steps until stage_stop(). The implementation's struct embeds struct stage and fills ops, self and mb. */
int stage_start(struct stage *s, struct err *e) MUST_CHECK;
/* Wake, let it finish its step, join. What is left in the mailbox stays there for the owner to release. */
void stage_stop(struct stage *s);

#endif
