/*
 * stream_cut.c - opening, weighing and cutting works, and their way to the store. What decides is cut.c; here are only the lists that keep the
 * question cheap: open works by age, those of each source by age, and what waits for the store.
 *
 * A failed upload is tried again for ever with a growing pause: its bytes are kept, its table's later batches wait behind it, and when all
 * memory is in use reading stops and the queue holds the rest. Nothing is ever given up here.
 */
#include "daemon/core/crashpoint.h"
#include "daemon/core/metrics.h"
#include "daemon/store/batch_name.h"
#include "daemon/streamery/streamery_priv.h"
#include "log.h"
#include "xalloc.h"

struct work *stream_open(struct streamery *s, struct table *t, const struct qrec *first, uint64_t offset)
{
	struct work *w = xcalloc(1, sizeof(*w));

	if (TAILQ_EMPTY(&t->source->open))
		TAILQ_INSERT_TAIL(&s->active, t->source, in_active);
	w->table = t;
	w->opened = s->now.mono;
	batch_open(&w->batch, first, offset);
	t->open = w;
	TAILQ_INSERT_TAIL(&s->all, w, in_all);
	TAILQ_INSERT_TAIL(&s->open, w, in_state);
	TAILQ_INSERT_TAIL(&t->source->open, w, in_source);
	s->n_open++;
	return w;
}

void stream_weigh(struct streamery *s, struct work *w)
{
	uint64_t m = sizeof(*w) + batch_memory(&w->batch);

	/* while it is in upload the job holds the file's bytes */
	if (w->state == WORK_WAITING || w->state == WORK_STORING)
		m += w->upload->job.data.cap;
	s->memory = s->memory - w->memory + m;
	if (w->state == WORK_OPEN)
		s->open_memory = s->open_memory - w->memory + m;
	w->memory = m;
}

static char *make_path(struct streamery *s, const struct work *w)
{
	struct batch_name n = {.source_id = w->table->source->id,
		.table = str_c(w->table->name),
		.partition = s->partition,
		.first = w->batch.first_offset,
		.last = w->batch.last_offset,
		.cut = ++s->cuts};
	struct buf path = BUF_INIT;

	memcpy(n.sha256, w->batch.sha256, sizeof(n.sha256));
	memcpy(n.run_id, s->run_id, sizeof(n.run_id));
	batch_name_make(&n, &path);
	return buf_detach(&path, NULL);
}

static void no_longer_open(struct streamery *s, struct work *w)
{
	struct stream_source *src = w->table->source;

	TAILQ_REMOVE(&s->open, w, in_state);
	TAILQ_REMOVE(&src->open, w, in_source);
	if (TAILQ_EMPTY(&src->open))
		TAILQ_REMOVE(&s->active, src, in_active);
	s->n_open--;
	s->open_memory -= w->memory;
	w->table->open = NULL;
}

void stream_cut(struct streamery *s, struct work *w, enum cut_reason reason)
{
	struct table *t = w->table;
	struct upload *u = xcalloc(1, sizeof(*u));

	no_longer_open(s, w);
	TAILQ_INSERT_TAIL(&t->uploads, w, in_table);
	s->n_cut++;
	batch_finish(&w->batch, s->frame);
	w->reason = reason;
	w->path = make_path(s, w);
	u->work = w;
	u->job.op = STORE_PUT;
	u->job.name = xstrdup(w->path);
	u->job.data = w->batch.file;
	u->job.reply = s->stage.mb;
	u->job.reply_kind = STREAM_MSG_UPLOADED;
	w->batch.file = BUF_INIT;
	w->upload = u;
	w->state = WORK_WAITING;
	w->retry_at = s->now.mono;
	TAILQ_INSERT_TAIL(&s->waiting, w, in_state);
	s->n_fresh++;
	stream_weigh(s, w);
	metric_add(cuts_total, 1);
	CRASHPOINT("cut-decided");
}

static bool wanted(const struct streamery *s, const struct work *w)
{
	for (struct msg *m = s->flushes; m; m = m->next) {
		const struct streamery_flush *f = container_of(m, struct streamery_flush, msg);

		/* not before all that it asks for is read: one batch, not two */
		if (s->read_next < f->until || w->batch.first_offset >= f->until)
			continue;
		if ((!f->source_id || f->source_id == w->table->source->id) && (!f->table || !*f->table || strcmp(f->table, w->table->name) == 0))
			return true;
	}
	return false;
}

static struct cut_input input_of(struct streamery *s, const struct work *w, bool memory_full)
{
	return (struct cut_input){.limits = {.bytes = s->config.batch_bytes, .age = s->config.batch_age, .idle_delay = s->config.idle_cut_delay},
		.bytes = batch_size(&w->batch),
		.opened = w->opened,
		.now = s->now.mono,
		.memory_full = memory_full,
		.flush = s->flushes && wanted(s, w),
		.stop = atomic_load(&s->draining),
		.loader_idle = atomic_load(&w->table->source->idle),
		.busy = !TAILQ_EMPTY(&w->table->uploads) || s->n_fresh};
}

void stream_cut_if(struct streamery *s, struct work *w, bool memory_full)
{
	struct cut_input in = input_of(s, w, memory_full);
	enum cut_reason why = cut_decide(&in);

	if (why != CUT_NOT)
		stream_cut(s, w, why);
}

static int largest_first(const void *a, const void *b)
{
	const struct work *x = *(struct work *const *)a, *y = *(struct work *const *)b;

	return x->memory < y->memory ? 1 : x->memory > y->memory ? -1 : 0;
}

/* The largest go until what is open needs no more than half: what is in upload frees the rest. */
static void cut_largest(struct streamery *s)
{
	uint64_t enough = s->config.memory_bytes / 2;
	struct work **all, *w;
	size_t n = 0;

	if (s->memory < s->config.memory_bytes || s->open_memory <= enough)
		return;
	all = xcalloc(s->n_open, sizeof(struct work *));
	TAILQ_FOREACH(w, &s->open, in_state)
		all[n++] = w;
	qsort(all, n, sizeof(struct work *), largest_first);
	for (size_t i = 0; i < n && s->open_memory > enough; i++)
		stream_cut_if(s, all[i], true);
	free(all);
}

static void cut_idle(struct streamery *s, struct stream_source *src)
{
	struct work *w, *next;

	for (w = TAILQ_FIRST(&src->open); w; w = next) {
		struct cut_input in = input_of(s, w, false);
		enum cut_reason why = cut_decide(&in);

		next = TAILQ_NEXT(w, in_source);
		if (why != CUT_NOT) {
			stream_cut(s, w, why);
			continue;
		}
		stream_note(s, cut_due(&in));
		/* those behind it are younger; one that is busy must not hide them */
		if (!in.busy || s->n_fresh)
			break;
	}
}

static void cut_idle_sources(struct streamery *s)
{
	struct stream_source *src, *next;

	for (src = TAILQ_FIRST(&s->active); src; src = next) {
		next = TAILQ_NEXT(src, in_active);
		if (atomic_load(&src->idle))
			cut_idle(s, src);
	}
}

void stream_cut_due(struct streamery *s)
{
	struct work *w, *next;
	bool every = s->flushes || atomic_load(&s->draining);

	for (w = TAILQ_FIRST(&s->open); w; w = next) {
		struct cut_input in = input_of(s, w, false);
		enum cut_reason why = cut_decide(&in);

		next = TAILQ_NEXT(w, in_state);
		if (why != CUT_NOT) {
			stream_cut(s, w, why);
			continue;
		}
		stream_note(s, w->opened + s->config.batch_age);
		/* the rest is younger */
		if (!every)
			break;
	}
	cut_idle_sources(s);
	cut_largest(s);
}

void stream_start_uploads(struct streamery *s)
{
	struct work *w, *next;

	for (w = TAILQ_FIRST(&s->waiting); w && s->n_storing < MAX(s->config.uploads, 1); w = next) {
		next = TAILQ_NEXT(w, in_state);
		if (w->retry_at > s->now.mono) {
			stream_note(s, w->retry_at);
			continue;
		}
		if (store_stage_put(s->store, &w->upload->job)) {
			stream_note(s, s->now.mono + 10 * NSEC_PER_MSEC);
			return;
		}
		TAILQ_REMOVE(&s->waiting, w, in_state);
		s->n_fresh -= !w->tries;
		w->state = WORK_STORING;
		s->n_storing++;
	}
}

void stream_ready(struct streamery *s, struct table *t)
{
	struct work *w = TAILQ_FIRST(&t->uploads);

	if (!w || w->state != WORK_STORED || w->ready)
		return;
	w->ready = true;
	TAILQ_INSERT_TAIL(&s->ready, w, in_state);
}

void stream_uploaded(struct streamery *s, struct upload *u)
{
	struct work *w = u->work;

	s->n_storing--;
	if (!w) {
		store_job_free(&u->job); /* a rewind came in between: the file is garbage, the next run's sweeper takes it */
		return;
	}
	if (u->job.err.code) {
		stream_problem(s->store_problem, sizeof(s->store_problem), s, &u->job.err);
		/* a store that is down refuses many: a line a second is enough */
		if (s->now.mono >= s->log_again) {
			log_warn("batch %s is not in the store yet, try %u: %s", w->path, w->tries + 1, u->job.err.text);
			s->log_again = s->now.mono + NSEC_PER_SEC;
		}
		w->retry_at = s->now.mono + stream_retry_delay(w->tries++);
		w->state = WORK_WAITING;
		TAILQ_INSERT_TAIL(&s->waiting, w, in_state);
		return;
	}
	CRASHPOINT("store-written");
	s->store_problem[0] = '\0';
	w->state = WORK_STORED;
	w->tries = 0;
	w->retry_at = s->now.mono;
	w->upload = NULL;
	store_job_free(&u->job);
	stream_weigh(s, w);
	stream_ready(s, w->table);
}

void stream_work_free(struct streamery *s, struct work *w)
{
	struct table *t = w->table;

	TAILQ_REMOVE(&s->all, w, in_all);
	if (w->state == WORK_OPEN) {
		no_longer_open(s, w);
	} else {
		TAILQ_REMOVE(&t->uploads, w, in_table);
		s->n_cut--;
	}
	if (w->state == WORK_WAITING) {
		TAILQ_REMOVE(&s->waiting, w, in_state);
		s->n_fresh -= !w->tries;
		store_job_free(&w->upload->job);
	}
	if (w->state == WORK_STORING && w->upload)
		w->upload->work = NULL;
	if (w->ready)
		TAILQ_REMOVE(&s->ready, w, in_state);
	s->memory -= w->memory;
	batch_free(&w->batch);
	free(w->path);
	free(w);
}
