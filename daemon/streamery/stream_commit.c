/*
 * stream_commit.c - the transactions: cuts with cursor and position, the position alone, an event.
 *
 * One transaction is on its way at a time and takes all batches that are stored and next in their table (order of offsets per table). The position in
 * it is the lowest offset that it does not commit, so from one transaction to the next the position only rises; two at once could
 * commit in the wrong order and let it fall. When one fails it is tried again for ever with a growing pause, and each of its batches then
 * by itself, so that one sick row holds up its own table only.
 */
#include "daemon/core/crashpoint.h"
#include "daemon/streamery/streamery_priv.h"
#include "log.h"
#include "xalloc.h"

static int run_cuts(struct db *db, struct commit *c, struct err *e)
{
	for (size_t i = 0; i < c->n; i++) {
		struct cut *cut = &c->cuts[i];

		cut->position = c->position;
		/* the last brings the new position, which passes them all, and the repeats: what they repeat may be among these batches */
		if (i + 1 < c->n) {
			cut->position.read_from = c->saved;
			cut->position.repeats = NULL;
			cut->position.n_repeats = 0;
		}
		if (db_cut(db, cut, e))
			return err_wrap(e, "batch %.*s", STR_ARG(cut->path));
	}
	return 0;
}

static int run(struct db *db, struct state_tx *tx, struct err *e)
{
	struct commit *c = container_of(tx, struct commit, tx);
	struct event_row ev = {.at = c->at, .level = (char *)(uintptr_t)"error", .kind = (char *)(uintptr_t)"queue.unreadable", .object = c->object, .text = c->text};
	int rc = 0;

	switch (c->kind) {
	case COMMIT_CUTS:
		rc = run_cuts(db, c, e);
		break;
	case COMMIT_POSITION:
		rc = db_position_save(db, &c->position, e);
		break;
	case COMMIT_EVENT:
		return db_event_add(db, &ev, e);
	case COMMIT_REWIND:
		return stream_rewind_run(db, c, e);
	}
	if (!rc && c->expire_before)
		rc = db_request_expire(db, c->expire_before, e);
	return rc;
}

static void done(struct state_tx *tx)
{
	struct commit *c = container_of(tx, struct commit, tx);

	tx->msg.kind = STREAM_MSG_TX;
	mailbox_reply(c->s->stage.mb, &tx->msg);
}

static struct commit *commit_new(struct streamery *s, enum commit_kind kind)
{
	struct commit *c = xcalloc(1, sizeof(*c));

	c->tx.run = run;
	c->tx.done = done;
	c->tx.msg.bytes = sizeof(*c);
	c->s = s;
	c->kind = kind;
	c->at = s->now.real;
	return c;
}

void stream_commit_free(struct commit *c)
{
	for (size_t i = 0; i < c->n_parts; i++)
		free((char *)(uintptr_t)c->parts[i].table.ptr);
	free(c->parts);
	free(c->cuts);
	free(c->repeats);
	free(c->drops);
	free(c);
}

uint64_t stream_position(const struct streamery *s)
{
	const struct work *w;

	TAILQ_FOREACH(w, &s->all, in_all)
		if (w->state != WORK_COMMITTING)
			return w->batch.first_offset;
	return s->read_next;
}

/* The queue's time up to which everything is committed. */
static int64_t time_passed(const struct streamery *s)
{
	const struct work *w;

	TAILQ_FOREACH(w, &s->all, in_all)
		if (w->state != WORK_COMMITTING)
			return w->batch.first_received;
	return s->last_received;
}

/* Where the table's cursor will stand after this transaction. */
static uint64_t cursor_after(const struct table *t)
{
	const struct work *w = TAILQ_FIRST(&t->uploads);

	return w && w->state == WORK_COMMITTING ? w->batch.last_offset + 1 : t->cursor;
}

static void add_repeats(struct streamery *s, struct commit *c)
{
	struct drop *d;
	size_t n = 0;

	TAILQ_FOREACH(d, &s->drops, link)
		n++;
	if (!n)
		return;
	c->repeats = xcalloc(n, sizeof(*c->repeats));
	c->drops = xcalloc(n, sizeof(struct drop *));
	n = 0;
	TAILQ_FOREACH(d, &s->drops, link) {
		if (d->offset >= c->position.read_from && d->offset >= cursor_after(d->table))
			continue;
		c->repeats[n] = (struct repeat_passed){.source_id = (uint32_t)d->table->source->id,
			.table = str_c(d->table->name),
			.request_id = str_mem(d->request_id, d->id_len),
			.part = d->part,
			.offset = d->offset,
			.records = d->records};
		c->drops[n++] = d;
	}
	c->position.repeats = c->repeats;
	c->position.n_repeats = n;
}

static void add_position(struct streamery *s, struct commit *c)
{
	int64_t passed = time_passed(s);

	memcpy(c->position.queue_id, queue_id(s->queue), sizeof(c->position.queue_id));
	c->position.partition = s->partition;
	c->position.read_from = stream_position(s);
	c->saved = s->saved;
	add_repeats(s, c);
	if (s->now.mono >= s->expire_at && passed > STREAM_REQUESTS_KEPT)
		c->expire_before = passed - STREAM_REQUESTS_KEPT;
}

static void submit(struct streamery *s, struct commit *c)
{
	if (!state_submit(s->state, &c->tx)) {
		s->commit = c;
		return;
	}
	err_set(&c->tx.err, ERR_FULL, "state.db takes no transaction now");
	s->commit = c;
	stream_committed(s, c);
}

static struct cut cut_of(struct streamery *s, const struct work *w)
{
	const struct batch *b = &w->batch;
	struct cut c = {.partition = s->partition,
		.source_id = w->table->source->id,
		.table = str_c(w->table->name),
		.table_version = b->table_version,
		.first_offset = b->first_offset,
		.last_offset = b->last_offset,
		.records = b->records,
		.lines = b->lines,
		.bytes = b->bytes,
		.path = str_c(w->path),
		.reason = cut_reason_name(w->reason),
		.first_received = b->first_received,
		.last_received = b->last_received,
		.cut_at = s->now.real,
		.heads = b->heads,
		.n_heads = b->n_heads,
		.requests = b->requests,
		.n_requests = b->n_requests};

	memcpy(c.queue_id, queue_id(s->queue), sizeof(c.queue_id));
	memcpy(c.sha256, b->sha256, sizeof(c.sha256));
	return c;
}

static bool commit_cuts(struct streamery *s)
{
	struct commit *c = NULL;
	struct work *w, *next;

	for (w = TAILQ_FIRST(&s->ready); w && (!c || c->n < STREAM_CUTS_MAX); w = next) {
		next = TAILQ_NEXT(w, in_state);
		if (w->retry_at > s->now.mono) {
			stream_note(s, w->retry_at);
			continue;
		}
		if (c && (w->alone || c->works[0]->alone))
			continue;
		if (!c)
			c = commit_new(s, COMMIT_CUTS);
		TAILQ_REMOVE(&s->ready, w, in_state);
		w->ready = false;
		w->state = WORK_COMMITTING;
		c->works[c->n++] = w;
	}
	if (!c)
		return false;
	c->cuts = xcalloc(c->n, sizeof(*c->cuts));
	for (size_t i = 0; i < c->n; i++)
		c->cuts[i] = cut_of(s, c->works[i]);
	add_position(s, c);
	submit(s, c);
	return true;
}

static bool commit_event(struct streamery *s)
{
	struct commit *c;

	if (!s->event_wanted)
		return false;
	c = commit_new(s, COMMIT_EVENT);
	memcpy(c->object, s->event_object, sizeof(c->object));
	memcpy(c->text, s->event_text, sizeof(s->event_text));
	submit(s, c);
	return true;
}

/* A flush, a stop, and repeats that can be counted do not wait for the ten seconds. */
static int64_t save_due(const struct streamery *s, uint64_t position)
{
	const struct drop *d = TAILQ_FIRST(&s->drops);
	bool repeats = d && d->offset < position;

	if (position == s->saved && !s->unsaved && !repeats)
		return NEVER;
	if (atomic_load(&s->draining) || (repeats && s->flushes))
		return s->now.mono;
	return repeats ? s->save_at - STREAM_SAVE_EVERY + STREAM_SAVE_REPEATS : s->save_at;
}

static void commit_position(struct streamery *s)
{
	int64_t due = save_due(s, stream_position(s));
	struct commit *c;

	if (due > s->now.mono) {
		stream_note(s, due);
		return;
	}
	c = commit_new(s, COMMIT_POSITION);
	add_position(s, c);
	submit(s, c);
}

static bool commit_rewind(struct streamery *s)
{
	struct streamery_rewind *r;
	struct commit *c;
	struct err e = ERR_INIT;

	if (!s->rewinds)
		return false;
	r = container_of(s->rewinds, struct streamery_rewind, msg);
	c = commit_new(s, COMMIT_REWIND);
	if (stream_rewind_fill(s, c, r->to, &e)) {
		stream_commit_free(c);
		stream_rewind_done(s, &e);
		return true;
	}
	submit(s, c);
	return true;
}

void stream_commit(struct streamery *s)
{
	if (s->commit)
		return;
	if (s->commit_again > s->now.mono) {
		stream_note(s, s->commit_again);
		return;
	}
	if (!commit_rewind(s) && !commit_event(s) && !commit_cuts(s))
		commit_position(s);
}

static void cuts_failed(struct streamery *s, struct commit *c)
{
	for (size_t i = 0; i < c->n; i++) {
		struct work *w = c->works[i];

		w->state = WORK_STORED;
		w->alone = true;
		w->retry_at = s->now.mono + stream_retry_delay(w->tries++);
		stream_ready(s, w->table);
	}
}

static void cut_done(struct streamery *s, struct work *w, const struct cut *cut)
{
	struct table *t = w->table;
	uint64_t records = w->batch.records;

	if (cut->duplicate)
		log_info("batch %s was there already: it gets new jobs", cut->batch_id);
	t->cursor = w->batch.last_offset + 1;
	for (size_t i = 0; i < w->batch.n_heads; i++)
		stream_shape_learn(t, w->batch.shapes[i]);
	stream_forget_taken(s, w);
	stream_work_free(s, w);
	stream_release(s, t, records);
	stream_ready(s, t);
}

static void position_saved(struct streamery *s, struct commit *c)
{
	s->saved = c->position.read_from;
	s->unsaved = false;
	s->save_at = s->now.mono + STREAM_SAVE_EVERY;
	if (c->expire_before)
		s->expire_at = s->now.mono + STREAM_EXPIRE_EVERY;
	for (size_t i = 0; i < c->position.n_repeats; i++) {
		struct table *t = c->drops[i]->table;
		uint64_t records = c->drops[i]->records;

		stream_drop_free(s, c->drops[i]);
		stream_release(s, t, records);
	}
}

static void event_done(struct streamery *s)
{
	struct err e = ERR_INIT;

	log_err("%s: %s", s->event_object, s->event_text);
	s->event_wanted = false;
	if (s->event_then <= s->read_next)
		return;
	if (queue_reader_seek(s->reader, s->event_then, &e))
		stream_problem(s->read_problem, sizeof(s->read_problem), s, &e);
	else
		s->read_next = s->event_then;
}

static void commit_failed(struct streamery *s, struct commit *c)
{
	const struct err *e = &c->tx.err;

	stream_problem(s->state_problem, sizeof(s->state_problem), s, e);
	log_warn("state.db did not take %s: %s", c->kind == COMMIT_CUTS ? "a cut" : c->kind == COMMIT_REWIND ? "a rewind" : "a position", e->text);
	if (c->kind == COMMIT_CUTS)
		cuts_failed(s, c);
	if (c->kind == COMMIT_REWIND)
		stream_rewind_done(s, e);
	/* what fails alone does not keep the others waiting; what fails together is the state's trouble */
	if (c->kind != COMMIT_CUTS || c->n > 1)
		s->commit_again = s->now.mono + stream_retry_delay(s->commit_tries++);
	if (c->kind == COMMIT_POSITION)
		s->save_at = MAX(s->save_at, s->commit_again);
}

void stream_committed(struct streamery *s, struct commit *c)
{
	s->commit = NULL;
	if (c->tx.err.code) {
		commit_failed(s, c);
		stream_commit_free(c);
		return;
	}
	s->commit_tries = 0;
	s->commit_again = 0;
	s->state_problem[0] = '\0';
	if (c->kind == COMMIT_CUTS) {
		CRASHPOINT("cut-committed");
		for (size_t i = 0; i < c->n; i++)
			cut_done(s, c->works[i], &c->cuts[i]);
	}
	if (c->kind == COMMIT_CUTS || c->kind == COMMIT_POSITION)
		position_saved(s, c);
	if (c->kind == COMMIT_EVENT)
		event_done(s);
	if (c->kind == COMMIT_REWIND)
		stream_rewind_done(s, NULL);
	if (c->kind == COMMIT_CUTS && s->on_commit)
		s->on_commit(s->on_commit_arg);
	stream_commit_free(c);
}
