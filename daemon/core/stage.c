/*
 * stage.c - the thread around a stage: wait for mail or the time that the last step asked for, then step. No decision is made here. The thread bears
 * the stage's name, so that top -H and perf show who works.
 */
#include "daemon/core/stage.h"

#include <signal.h>
#include <sys/prctl.h>

#include "log.h"

static void *run(void *arg)
{
	struct stage *s = arg;
	int64_t next = 0;

	log_context(s->ops->name);
	prctl(PR_SET_NAME, s->ops->name);
	while (!atomic_load(&s->stop)) {
		struct now now = now_get();

		if (next > now.mono)
			mailbox_wait(s->mb, next);
		next = s->ops->step(s->self, now_get());
	}
	return NULL;
}

int stage_start(struct stage *s, struct err *e)
{
	sigset_t all, old;
	int rc;

	atomic_store(&s->stop, false);
	/* only main handles signals */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&s->thread, NULL, run, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc)
		return err_errno(e, rc, "thread %s", s->ops->name);
	s->running = true;
	return 0;
}

void stage_stop(struct stage *s)
{
	if (!s->running)
		return;
	atomic_store(&s->stop, true);
	mailbox_wake(s->mb);
	pthread_join(s->thread, NULL);
	s->running = false;
}
