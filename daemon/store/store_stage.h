/*
 * store_stage.h - the stage that uploads: takes store_job messages, calls the store, answers into the job's reply mailbox (mailbox_reply).
 */
#ifndef STITCH_STORE_STAGE_H
#define STITCH_STORE_STAGE_H

#include "buf.h"
#include "daemon/core/stage.h"
#include "daemon/store/store.h"

enum store_job_kind { STORE_PUT, STORE_DELETE };

/* Allocated by itself (store_job_free). Owned by the asker before and after; by the stage between. reply_kind is copied into msg.kind of the answer. */
struct store_job {
	struct msg msg;
	enum store_job_kind op;
	char *name;
	struct buf data; /* PUT */
	struct mailbox *reply;
	int reply_kind;
	struct err err; /* in the answer */
};

void store_job_free(struct store_job *j);

struct store_stage;
struct store_stage *store_stage_new(struct store *s) MUST_CHECK;
struct stage *store_stage_stage(struct store_stage *st);
int store_stage_put(struct store_stage *st, struct store_job *j) MUST_CHECK; /* -1: full, try later */
void store_stage_free(struct store_stage *st); /* stopped; frees unanswered jobs (their asker is stopped) */

#endif
