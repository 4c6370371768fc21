/*
 * spool_tx.c - the spool's transactions: what each writes, and what becomes of one that state.db did not take.
 *
 * The outcome of a load, the destination's state and the event that tells of it are one transaction. What a loader has committed must reach
 * state.db in the end, so a transaction that failed for want of space (or because the state's mailbox was full) is submitted again each
 * second; after a crash the ledger in the destination answers for it.
 */
#include "daemon/spool/hooks.h"
#include "daemon/spool/spool_priv.h"
#include "daemon/state/hook.h"

#include "log.h"
#include "xalloc.h"

#define AGAIN_AFTER NSEC_PER_SEC
#define TRIES_MAX 5 /* of errors that will not go away by waiting */

static int add_event(struct db *db, struct spool_tx *t, struct err *e)
{
	struct event_row ev = {.at = t->at};

	if (!t->event_kind)
		return 0;
	ev.level = (char *)(uintptr_t)t->event_level;
	ev.kind = (char *)(uintptr_t)t->event_kind;
	ev.object = t->event_object;
	ev.text = t->event_text;
	return db_event_add(db, &ev, e);
}

static int run_op(struct db *db, struct spool_tx *t, struct err *e)
{
	struct spool_event *ev = t->ev;

	switch (t->op) {
	case OP_BEGIN:
		return db_load_begin(db, t->destination_id, t->table_id, t->max_batches, t->max_bytes, t->at, &t->out, e);
	case OP_REJECT:
		return db_load_reject(db, t->load_id, ev->rejects, ev->n_rejects, t->at, e);
	case OP_DONE:
		return db_load_done(db, t->load_id, ev->results, ev->n_results, t->at, e);
	case OP_FAILED:
		return db_load_failed(db, t->load_id, t->class, t->text, t->batch, t->at, t->not_before, e);
	case OP_DISCARDED:
		return db_job_discarded(db, t->job_id, ev->n_results ? &ev->results[0] : NULL, t->at, e);
	case OP_OUTCOME:
		break;
	}
	return 0;
}

static int add_hook(struct db *db, struct spool_tx *t, struct err *e)
{
	struct hook_row h = {.destination_id = t->destination_id, .load_id = t->load_id};
	uint64_t rows = 0, rejected = 0;
	int rc;

	if (!t->hook)
		return 0;
	if (t->op == OP_DONE && db_hook_counts(db, t->load_id, &rows, &rejected, e))
		return -1;
	h.table = xasprintf("%s.%s", t->load.source, t->load.table);
	h.body = hook_body(t->destination, &t->load, rows, rejected, t->op == OP_DONE ? NULL : t->class, t->text);
	/* a name that is no UTF-8 cannot be told */
	rc = h.body ? db_hook_add(db, &h, t->at, e) : 0;
	free(h.table);
	free(h.body);
	return rc;
}

/* Only what the hook says is copied. */
void spool_tx_hook(struct spool_tx *t, const struct dest *d, const struct load_row *load)
{
	if (!d->rules.hook_url || !load->source || !load->table || !load->schema)
		return;
	t->hook = true;
	t->destination = xstrdup(d->row.name);
	t->load = (struct load_row){.id = load->id, .attempt = load->attempt, .n = load->n, .source = xstrdup(load->source), .table = xstrdup(load->table), .schema = xstrdup(load->schema)};
	t->load.batches = xcalloc(load->n + 1, sizeof(*t->load.batches));
	for (size_t k = 0; k < load->n; k++) {
		const struct batch_row *b = &load->batches[k].batch;

		t->load.batches[k].batch = (struct batch_row){.created = b->created, .table_version = b->table_version, .lines = b->lines, .records = b->records};
	}
}

static int run(struct db *db, struct state_tx *tx, struct err *e)
{
	struct spool_tx *t = container_of(tx, struct spool_tx, tx);
	const struct spool_outcome *o = &t->outcome;

	if (run_op(db, t, e) || add_hook(db, t, e))
		return -1;
	/* a destination that was deleted meanwhile has no outcome */
	if (o->set && db_destination_outcome(db, t->destination_id, o->class, o->text, t->at, o->not_before, e) && e->code != ERR_NOT_FOUND)
		return -1;
	if (t->retry_all && db_retry_now(db, t->destination_id, t->at, e))
		return -1;
	return add_event(db, t, e);
}

static void done(struct state_tx *tx)
{
	struct spool_tx *t = container_of(tx, struct spool_tx, tx);

	tx->msg.kind = SPOOL_MSG_TX;
	mailbox_reply(t->spool->stage.mb, &tx->msg);
}

struct spool_tx *spool_tx_new(struct spool *s, enum spool_op op, const struct dest *d, unsigned slot, struct now now)
{
	struct spool_tx *t = xcalloc(1, sizeof(*t));

	t->tx.run = run;
	t->tx.done = done;
	t->tx.msg.bytes = sizeof(*t);
	t->spool = s;
	t->op = op;
	t->destination_id = d->row.id;
	t->slot = slot;
	t->table_id = d->slots[slot].table_id;
	t->load_id = d->slots[slot].load.id;
	t->at = now.real;
	return t;
}

void spool_tx_free(struct spool_tx *t)
{
	load_row_free(&t->out);
	spool_event_free(t->ev);
	load_row_free(&t->load);
	free(t->destination);
	free(t);
}

void spool_tx_event(struct spool_tx *t, const char *level, const char *kind, const char *object, const char *fmt, ...)
{
	va_list ap;

	t->event_level = level;
	t->event_kind = kind;
	if (str_copy(t->event_object, sizeof(t->event_object), str_c(object))) {
		/* a very long name is cut: the id is in the job */
	}
	va_start(ap, fmt);
	vsnprintf(t->event_text, sizeof(t->event_text), fmt, ap);
	va_end(ap);
}

static void later(struct spool *s, struct spool_tx *t, struct now now)
{
	t->again = now.mono + AGAIN_AFTER;
	STAILQ_INSERT_TAIL(&s->retries, t, link);
}

void spool_tx_submit(struct spool *s, struct spool_tx *t, struct now now)
{
	err_clear(&t->tx.err);
	if (state_submit(s->state, &t->tx))
		later(s, t, now);
	else
		LIST_INSERT_HEAD(&s->in_state, t, sent);
}

bool spool_tx_again(struct spool *s, struct spool_tx *t, struct now now)
{
	enum err_code code = t->tx.err.code;
	bool may_heal = code == ERR_FULL || code == ERR_IO || code == ERR_TIMEOUT;

	if (code == ERR_NOT_FOUND || code == ERR_STATE || (!may_heal && ++t->tries >= TRIES_MAX))
		return false;
	later(s, t, now);
	return true;
}

int64_t spool_tx_retry(struct spool *s, struct now now)
{
	struct spool_tx *t;

	while ((t = STAILQ_FIRST(&s->retries)) && t->again <= now.mono) {
		STAILQ_REMOVE_HEAD(&s->retries, link);
		spool_tx_submit(s, t, now);
	}
	return t ? t->again : NEVER;
}
