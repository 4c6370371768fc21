/*
 * streamery.c - the stage: mail, one round of reading, cutting, uploading and committing, and what other threads may call. See streamery_priv.h for who
 * does what.
 *
 * At its start it reads its position and the tables' cursors. A position that lies below what the queue still holds is an incident: it is
 * recorded as an event and shown before reading goes on at the queue's begin, never a silent jump.
 */
#include "daemon/streamery/streamery.h"

#include "daemon/core/metrics.h"
#include "daemon/streamery/streamery_priv.h"
#include "log.h"
#include "xalloc.h"

#define RETRY_FIRST (100 * NSEC_PER_MSEC)
#define RETRY_MAX (30 * NSEC_PER_SEC)

void stream_note(struct streamery *s, int64_t mono)
{
	s->next = MIN(s->next, mono);
}

void stream_problem(char *where, size_t size, struct streamery *s, const struct err *e)
{
	if (str_copy(where, size, str_c(e->text))) {
		/* a long text is cut; the log has all of it */
	}
	pthread_mutex_lock(&s->lock);
	s->stats.errors++;
	pthread_mutex_unlock(&s->lock);
}

int64_t stream_retry_delay(unsigned tries)
{
	return tries > 8 ? RETRY_MAX : MIN(RETRY_FIRST << tries, RETRY_MAX);
}

static void push(struct msg **list, struct msg *m)
{
	while (*list)
		list = &(*list)->next;
	m->next = NULL;
	*list = m;
}

static void take_mail(struct streamery *s)
{
	struct msg *m = mailbox_take(s->stage.mb, SIZE_MAX, SIZE_MAX), *next;

	for (; m; m = next) {
		next = m->next;
		switch (m->kind) {
		case STREAM_MSG_UPLOADED:
			stream_uploaded(s, container_of(container_of(m, struct store_job, msg), struct upload, job));
			break;
		case STREAM_MSG_TX:
			stream_committed(s, container_of(container_of(m, struct state_tx, msg), struct commit, tx));
			break;
		case STREAM_MSG_FLUSH:
			push(&s->flushes, m);
			/* who flushes does not want to wait for a pause between two tries */
			s->commit_again = 0;
			for (struct work *w = TAILQ_FIRST(&s->all); w; w = TAILQ_NEXT(w, in_all))
				w->retry_at = 0;
			break;
		case STREAM_MSG_REWIND:
			push(&s->rewinds, m);
			break;
		}
	}
}

static bool in_scope(const struct streamery_flush *f, const struct table *t)
{
	if (f->source_id && f->source_id != t->source->id)
		return false;
	return !f->table || !*f->table || strcmp(f->table, t->name) == 0;
}

static bool flushed(struct streamery *s, const struct streamery_flush *f)
{
	const struct work *w;
	const struct drop *d;

	if (s->read_next < f->until)
		return false;
	TAILQ_FOREACH(w, &s->all, in_all) {
		if (w->batch.first_offset >= f->until)
			break;
		if (in_scope(f, w->table))
			return false;
	}
	/* repeats that only wait to be counted */
	TAILQ_FOREACH(d, &s->drops, link)
		if (d->offset < f->until && d->offset < stream_position(s) && in_scope(f, d->table))
			return false;
	return true;
}

static void finish_flushes(struct streamery *s)
{
	struct msg **at = &s->flushes;

	while (*at) {
		struct streamery_flush *f = container_of(*at, struct streamery_flush, msg);

		if (!flushed(s, f)) {
			at = &(*at)->next;
			continue;
		}
		*at = f->msg.next;
		f->done(f);
	}
}

static void publish(struct streamery *s)
{
	const struct work *first = TAILQ_FIRST(&s->all);
	const char *problem = s->incident[0] ? s->incident
		: s->read_problem[0]	     ? s->read_problem
		: s->state_problem[0]	     ? s->state_problem
					     : s->store_problem;

	pthread_mutex_lock(&s->lock);
	s->stats.open = s->n_open;
	s->stats.open_bytes = s->memory;
	s->stats.uploads = s->n_cut;
	s->stats.read_offset = s->read_next;
	s->stats.oldest = first ? first->batch.first_received : 0;
	memcpy(s->stats.problem, problem, sizeof(s->stats.problem));
	pthread_mutex_unlock(&s->lock);
	metric_set(stream_open_batches, (int64_t)s->n_open);
	metric_set(stream_open_bytes, (int64_t)s->memory);
	metric_set(stream_uploads, (int64_t)s->n_cut);
	atomic_store(&s->drained, atomic_load(&s->draining) && TAILQ_EMPTY(&s->all) && !s->commit && !s->unsaved && s->saved == s->read_next);
}

static int64_t step(void *arg, struct now now)
{
	struct streamery *s = arg;
	bool more;

	s->now = now;
	s->next = NEVER;
	take_mail(s);
	more = stream_read(s);
	stream_cut_due(s);
	stream_start_uploads(s);
	stream_commit(s);
	finish_flushes(s);
	publish(s);
	return more ? 0 : s->next;
}

static const struct stage_ops ops = {"stream-0", step};

static int read_position(struct streamery *s, struct db *db, struct err *e)
{
	struct position *p = NULL;
	struct cursor_row *c = NULL;
	uint64_t begin = queue_begin(s->queue, s->partition);
	size_t n, k;

	if (db_positions(db, &p, &n, e))
		return -1;
	s->unsaved = true;
	s->read_next = begin;
	for (size_t i = 0; i < n; i++) {
		if (p[i].partition != s->partition || memcmp(p[i].queue_id, queue_id(s->queue), QUEUE_ID_LEN) != 0)
			continue;
		s->unsaved = false;
		s->read_next = p[i].read_from;
	}
	free(p);
	if (db_cursors(db, s->partition, &c, &k, e))
		return -1;
	for (size_t i = 0; i < k; i++)
		stream_table(s, c[i].source_id, str_c(c[i].table))->cursor = c[i].next_offset;
	cursor_list_free(c, k);
	s->saved = s->read_next;
	if (s->read_next < begin) {
		snprintf(s->incident, sizeof(s->incident), "the queue begins at offset %" PRIu64 ", but only what is below %" PRIu64 " was read", begin, s->read_next);
		snprintf(s->event_object, sizeof(s->event_object), "partition %" PRIu32 " offset %" PRIu64, s->partition, s->read_next);
		snprintf(s->event_text, sizeof(s->event_text), "%s: if records were between, they are gone; reading goes on at the begin", s->incident);
		s->event_then = begin;
		s->event_wanted = true;
	}
	s->reader = queue_reader_open(s->queue, s->partition, MAX(s->read_next, begin), e);
	return s->reader ? 0 : err_wrap(e, "partition %" PRIu32 " of the queue", s->partition);
}

static void set_run_id(struct streamery *s, const char *given)
{
	unsigned char r[4];

	random_bytes(r, sizeof(r));
	snprintf(s->run_id, sizeof(s->run_id), "%02x%02x%02x%02x", r[0], r[1], r[2], r[3]);
	if (given && str_copy(s->run_id, sizeof(s->run_id), str_c(given)))
		log_warn("the run's id %s is longer than 8 digits", given);
}

struct streamery *streamery_new(const struct streamery_config *c, struct queue *q, uint32_t partition, struct store_stage *store, struct state *state, struct err *e)
{
	struct streamery *s = xcalloc(1, sizeof(*s));
	struct db *db;
	int rc;

	s->config = *c;
	s->config.run_id = NULL;
	set_run_id(s, c->run_id);
	s->queue = q;
	s->partition = partition;
	s->store = store;
	s->state = state;
	s->frame = frame_ctx_new();
	s->stage.ops = &ops;
	s->stage.self = s;
	s->stage.mb = mailbox_new(SIZE_MAX, SIZE_MAX);
	pthread_mutex_init(&s->lock, NULL);
	TAILQ_INIT(&s->all);
	TAILQ_INIT(&s->open);
	TAILQ_INIT(&s->waiting);
	TAILQ_INIT(&s->ready);
	TAILQ_INIT(&s->drops);
	TAILQ_INIT(&s->active);
	s->save_at = now_get().mono + STREAM_SAVE_EVERY;
	db = state_reader(state, e);
	rc = db ? read_position(s, db, e) : -1;
	if (db)
		state_reader_close(db);
	if (rc) {
		streamery_free(s);
		return NULL;
	}
	stream_counts_reset(s, s->read_next);
	publish(s);
	return s;
}

struct stage *streamery_stage(struct streamery *s)
{
	return &s->stage;
}

/* A transaction that is still with the state: let the state end it if its thread is gone, or learn that a crash has dropped it. */
static void end_commit(struct streamery *s)
{
	struct stage *st = state_stage(s->state);
	struct msg *m, *next;

	if (s->commit && !st->running && !state_broken(s->state))
		st->ops->step(st->self, now_get());
	for (m = mailbox_take(s->stage.mb, SIZE_MAX, SIZE_MAX); m; m = next) {
		next = m->next;
		if (m->kind == STREAM_MSG_UPLOADED) {
			struct upload *u = container_of(container_of(m, struct store_job, msg), struct upload, job);

			store_job_free(&u->job);
		} else if (m->kind == STREAM_MSG_TX) {
			s->commit = NULL;
			stream_commit_free(container_of(container_of(m, struct state_tx, msg), struct commit, tx));
		} else {
			push(m->kind == STREAM_MSG_FLUSH ? &s->flushes : &s->rewinds, m);
		}
	}
	/* a broken state may still hold it; the process starts anew then */
	if (s->commit && !state_broken(s->state))
		stream_commit_free(s->commit);
	s->commit = NULL;
}

static void refuse_waiting(struct streamery *s)
{
	struct msg *m, *next;

	for (m = s->flushes; m; m = next) {
		struct streamery_flush *f = container_of(m, struct streamery_flush, msg);

		next = m->next;
		err_set(&f->err, ERR_STATE, "the daemon stopped before everything was cut");
		f->done(f);
	}
	for (m = s->rewinds; m; m = next) {
		struct streamery_rewind *r = container_of(m, struct streamery_rewind, msg);

		next = m->next;
		err_set(&r->err, ERR_STATE, "the daemon stopped before the rewind");
		r->done(r);
	}
}

void streamery_free(struct streamery *s)
{
	struct work *w;
	struct drop *d;

	if (!s)
		return;
	end_commit(s);
	refuse_waiting(s);
	/* what is with the store's stage is freed there, before us or after */
	TAILQ_FOREACH(w, &s->all, in_all)
		if (w->state == WORK_STORING)
			w->upload = NULL;
	while ((w = TAILQ_FIRST(&s->all)))
		stream_work_free(s, w);
	while ((d = TAILQ_FIRST(&s->drops)))
		stream_drop_free(s, d);
	map_free(&s->taken, NULL);
	stream_tables_free(s);
	if (s->reader)
		queue_reader_close(s->reader);
	if (s->db)
		state_reader_close(s->db);
	frame_ctx_free(s->frame);
	mailbox_free(s->stage.mb);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void streamery_wake(void *arg)
{
	struct streamery *s = arg;

	mailbox_wake(s->stage.mb);
}

void streamery_on_commit(struct streamery *s, void (*fn)(void *arg), void *arg)
{
	s->on_commit = fn;
	s->on_commit_arg = arg;
}

void streamery_loader_idle(struct streamery *s, int64_t source_id, bool idle)
{
	struct stream_source *src = stream_source(s, source_id);

	if (atomic_exchange(&src->idle, idle) != idle && idle)
		mailbox_wake(s->stage.mb);
}

void streamery_flush(struct streamery *s, struct streamery_flush *f)
{
	err_clear(&f->err);
	f->until = queue_end(s->queue, s->partition);
	f->msg.kind = STREAM_MSG_FLUSH;
	f->msg.bytes = 0;
	mailbox_reply(s->stage.mb, &f->msg);
}

void streamery_rewind(struct streamery *s, struct streamery_rewind *r)
{
	err_clear(&r->err);
	r->msg.kind = STREAM_MSG_REWIND;
	r->msg.bytes = 0;
	mailbox_reply(s->stage.mb, &r->msg);
}

void streamery_drain(struct streamery *s)
{
	atomic_store(&s->draining, true);
	mailbox_wake(s->stage.mb);
}

bool streamery_drained(struct streamery *s)
{
	return atomic_load(&s->drained);
}

void streamery_counts(struct streamery *s, struct streamery_count **out, size_t *n, uint64_t *start_offset, uint64_t *next_read)
{
	pthread_mutex_lock(&s->lock);
	*out = s->n_list ? xcalloc(s->n_list, sizeof(**out)) : NULL;
	*n = s->n_list;
	for (size_t i = 0; i < s->n_list; i++) {
		const struct table *t = s->list[i];

		(*out)[i] = (struct streamery_count){
			.source_id = t->source->id, .table = xstrdup(t->name), .seen = t->seen, .held = t->held, .oldest = t->oldest};
	}
	*start_offset = s->start;
	*next_read = s->counted_next;
	pthread_mutex_unlock(&s->lock);
}

void streamery_counts_free(struct streamery_count *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(c[i].table);
	free(c);
}

void streamery_stats(struct streamery *s, struct streamery_stats *out)
{
	pthread_mutex_lock(&s->lock);
	*out = s->stats;
	pthread_mutex_unlock(&s->lock);
}
