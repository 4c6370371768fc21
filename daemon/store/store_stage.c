/*
 * store_stage.c - the thread that waits for the store, so that the streamery does not. One job a step; the answer goes back into the mailbox that
 * the job names. Retrying is the asker's matter: only it knows whether the job still makes sense.
 */
#include "daemon/store/store_stage.h"

#include "daemon/core/metrics.h"
#include "xalloc.h"

#define JOBS_MAX 64

struct store_stage {
	struct stage stage;
	struct store *store;
};

static int do_job(struct store_stage *st, struct store_job *j, struct err *e)
{
	switch (j->op) {
	case STORE_PUT:
		if (store_put(st->store, j->name, j->data.data ? j->data.data : "", j->data.len, e))
			return -1;
		metric_add(store_bytes_total, (int64_t)j->data.len);
		return 0;
	case STORE_DELETE:
		return store_delete(st->store, j->name, e);
	}
	return err_set(e, ERR_INTERNAL, "the store's stage was asked for something that it does not know (%d)", (int)j->op);
}

static int64_t step(void *arg, struct now now)
{
	struct store_stage *st = arg;
	struct msg *m = mailbox_take(st->stage.mb, 1, SIZE_MAX);
	struct store_job *j;

	(void)now;
	if (!m)
		return NEVER;
	j = container_of(m, struct store_job, msg);
	err_clear(&j->err);
	if (do_job(st, j, &j->err))
		metric_add(store_errors_total, 1);
	j->msg.kind = j->reply_kind;
	mailbox_reply(j->reply, &j->msg);
	return 0;
}

static const struct stage_ops ops = {"store", step};

struct store_stage *store_stage_new(struct store *s)
{
	struct store_stage *st = xcalloc(1, sizeof(*st));

	st->store = s;
	st->stage.ops = &ops;
	st->stage.self = st;
	st->stage.mb = mailbox_new(JOBS_MAX, SIZE_MAX);
	return st;
}

struct stage *store_stage_stage(struct store_stage *st)
{
	return &st->stage;
}

int store_stage_put(struct store_stage *st, struct store_job *j)
{
	j->msg.bytes = j->data.len;
	return mailbox_put(st->stage.mb, &j->msg);
}

void store_job_free(struct store_job *j)
{
	if (!j)
		return;
	free(j->name);
	buf_free(&j->data);
	free(j);
}

void store_stage_free(struct store_stage *st)
{
	struct msg *m;

	if (!st)
		return;
	while ((m = mailbox_take(st->stage.mb, 1, SIZE_MAX)))
		store_job_free(container_of(m, struct store_job, msg));
	mailbox_free(st->stage.mb);
	free(st);
}
