/*
 * log_spare.c - segments before and after they hold records: made of zeros or of a recycled file ahead of need, and trimmed. The
 * spare thread makes them, so that a group never waits for a whole segment; without threads (tests) the writer makes its own.
 * What can go wrong: no space (below the reserve nothing is begun: the queue answers 503 and the others can drain), a failed sync
 * (seg_make unlinks what it made). Both heal by themselves: the thread tries again every second.
 */
#include "daemon/queue/log_priv.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "daemon/core/crashpoint.h"
#include "file.h"
#include "log.h"
#include "xalloc.h"

#define RETRY NSEC_PER_SEC
#define WAIT_FOR_SPARE (10 * NSEC_PER_SEC)

int log_space(const struct log *l, uint64_t more, struct err *e)
{
	uint64_t avail, total;

	if (!l->reserve)
		return 0;
	if (file_disk_free(l->dir, &avail, &total, e))
		return -1;
	if (avail >= l->reserve && avail - l->reserve >= more)
		return 0;
	return err_set(e, ERR_FULL, "the disk under %s has %" PRIu64 " MiB free; %" PRIu64 " MiB are kept back for what drains the queue: make room", l->dir,
		avail >> 20, l->reserve >> 20);
}

static void timed_wait(struct log *l, int64_t deadline)
{
	struct timespec ts = {.tv_sec = (time_t)(deadline / NSEC_PER_SEC), .tv_nsec = (long)(deadline % NSEC_PER_SEC)};

	pthread_cond_timedwait(&l->changed, &l->lock, &ts);
}

/* Now that a higher number is there for good, the empty file that held the highest one can go. */
static void drop_leftover(struct log *l)
{
	uint64_t number;
	char *path;

	pthread_mutex_lock(&l->lock);
	number = l->leftover;
	l->leftover = 0;
	pthread_mutex_unlock(&l->lock);
	if (!number)
		return;
	path = log_path(l, number, SEG_SUFFIX);
	if (unlink(path))
		log_warn("queue: cannot unlink %s: %s", path, errno_text(errno));
	free(path);
}

static int make_one(struct log *l, struct log_spare *out, struct err *e)
{
	struct seg_header h;
	uint64_t old = 0, size;

	pthread_mutex_lock(&l->lock);
	h.number = l->next_number++;
	if (l->n_recycled)
		old = l->recycled[--l->n_recycled];
	size = old ? l->segment_bytes : l->next_size;
	pthread_mutex_unlock(&l->lock);
	memcpy(h.queue_id, l->q.id, QUEUE_ID_LEN);
	random_bytes(&h.epoch, sizeof(h.epoch));
	*out = (struct log_spare){.number = h.number, .epoch = h.epoch, .size = size, .fd = -1};
	if (old) {
		out->fd = seg_reuse(l->dir, old, &h, e);
	} else if (log_space(l, size, e) == 0) {
		out->fd = seg_make(l->dir, &h, size, e);
	}
	if (out->fd < 0)
		return -1;
	pthread_mutex_lock(&l->lock);
	if (!old)
		l->next_size = MIN(2 * l->next_size, l->segment_bytes);
	pthread_mutex_unlock(&l->lock);
	drop_leftover(l);
	return 0;
}

/* One attempt of the thread; how long to rest after it. */
static int64_t attempt(struct log *l, unsigned *failed)
{
	struct log_spare s;
	struct err e = ERR_INIT;
	int rc = make_one(l, &s, &e);
	bool was = l->trouble.code != ERR_NONE; /* only this thread writes it */

	*failed = rc ? *failed + 1 : 0;
	pthread_mutex_lock(&l->lock);
	if (!rc) {
		l->ready[l->n_ready++] = s;
		err_clear(&l->trouble);
	} else if (*failed > 1 || e.code == ERR_FULL) {
		l->trouble = e; /* the first failure may be another file's: the writer waits for a second try */
	}
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	if (!rc && was)
		log_info("queue: a segment could be made again; writing goes on");
	else if (rc && !was)
		log_warn("queue: no segment can be made: %s", e.text);
	return rc && (*failed > 1 || e.code == ERR_FULL) ? RETRY : 0;
}

/* Below the reserve recycled files are space that others need more. */
static void give_back(struct log *l)
{
	while (log_space(l, 0, NULL)) {
		uint64_t number = 0;
		char *path;

		pthread_mutex_lock(&l->lock);
		if (l->n_recycled)
			number = l->recycled[--l->n_recycled];
		pthread_mutex_unlock(&l->lock);
		if (!number)
			break;
		path = log_path(l, number, SEG_RECYCLED);
		if (unlink(path))
			log_warn("queue: cannot unlink %s: %s", path, errno_text(errno));
		free(path);
	}
}

/* What there is to do but for new segments. L, given up meanwhile. */
static void idle_work(struct log *l)
{
	bool more;

	pthread_mutex_unlock(&l->lock);
	more = log_index_one(l);
	give_back(l);
	pthread_mutex_lock(&l->lock);
	if (!more && !l->stopping && l->n_ready >= l->want_spares && !l->n_unindexed)
		timed_wait(l, now_get().mono + RETRY);
}

static void *spare_run(void *arg)
{
	struct log *l = arg;
	unsigned failed = 0;

	log_context("spare");
	prctl(PR_SET_NAME, "spare");
	pthread_mutex_lock(&l->lock);
	while (!l->stopping) {
		int64_t rest = 0, until;

		if (l->n_ready >= l->want_spares) {
			idle_work(l);
			continue;
		}
		pthread_mutex_unlock(&l->lock);
		rest = attempt(l, &failed);
		pthread_mutex_lock(&l->lock);
		until = now_get().mono + rest;
		while (rest && !l->stopping && now_get().mono < until)
			timed_wait(l, until);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

int log_spare_start(struct log *l, struct err *e)
{
	sigset_t all, old;
	int rc;

	/* only main handles signals */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&l->spare_thread, NULL, spare_run, l);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc)
		return err_errno(e, rc, "thread spare");
	l->threads = true;
	return 0;
}

void log_spare_stop(struct log *l)
{
	if (!l->threads)
		return;
	pthread_mutex_lock(&l->lock);
	l->stopping = true;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->spare_thread, NULL);
	l->threads = false;
}

int log_spare_take(struct log *l, struct log_spare *out, struct err *e)
{
	int64_t deadline = now_get().mono + WAIT_FOR_SPARE;
	int rc = 0;

	if (log_space(l, 0, e))
		return -1;
	if (!l->threads && !l->n_ready)
		return make_one(l, out, e);
	pthread_mutex_lock(&l->lock);
	while (!l->n_ready && !l->trouble.code && !l->stopping && now_get().mono < deadline)
		timed_wait(l, deadline);
	if (l->n_ready) {
		*out = l->ready[0];
		memmove(l->ready, l->ready + 1, --l->n_ready * sizeof(l->ready[0]));
		pthread_cond_broadcast(&l->changed);
	} else if (l->trouble.code) {
		rc = err_set(e, l->trouble.code, "%s", l->trouble.text);
	} else {
		rc = err_set(e, ERR_FULL, "the next segment is not ready yet: the disk under %s is too slow", l->dir);
	}
	pthread_mutex_unlock(&l->lock);
	return rc;
}

/* --- trimming --- */

/* How many of the oldest segments lie wholly below. The last one stays, whatever it holds: its number must not come again. */
static size_t below_count(const struct log *l, uint64_t below)
{
	size_t n = 0;

	while (n + 1 < l->n_segs && l->segs[n]->end <= below)
		n++;
	return n;
}

uint64_t log_trim_point(struct queue *q, uint32_t partition, uint64_t below)
{
	struct log *l = log_of(q);
	uint64_t point;
	size_t n;

	(void)partition;
	pthread_mutex_lock(&l->lock);
	n = below_count(l, below);
	point = n ? l->segs[n - 1]->end : l->n_segs ? l->segs[0]->first : atomic_load(&l->end);
	pthread_mutex_unlock(&l->lock);
	return MIN(point, below);
}

void log_oldest(struct queue *q, uint32_t partition, int64_t *newest, uint64_t *end, uint64_t *bytes)
{
	struct log *l = log_of(q);

	(void)partition;
	*newest = 0;
	*bytes = 0;
	pthread_mutex_lock(&l->lock);
	*end = atomic_load(&l->end);
	for (size_t i = 0; i < l->n_segs; i++)
		*bytes += l->segs[i]->size;
	if (l->n_segs) {
		*end = l->segs[0]->end;
		if (l->segs[0]->newest_received != INT64_MIN)
			*newest = l->segs[0]->newest_received;
	}
	pthread_mutex_unlock(&l->lock);
}

/* Take the oldest segment off the list when it lies wholly below. The log's reference goes to the caller. */
static struct log_seg *pop_below(struct log *l, uint64_t below, bool *reuse)
{
	struct log_seg *s = NULL;

	pthread_mutex_lock(&l->lock);
	if (below_count(l, below)) {
		s = l->segs[0];
		memmove(l->segs, l->segs + 1, --l->n_segs * sizeof(struct log_seg *));
		s->gone = true;
		*reuse = !s->failed && s->refs == 1 && s->size == l->segment_bytes && l->n_recycled < l->want_spares;
	}
	pthread_mutex_unlock(&l->lock);
	return s;
}

static int recycle(struct log *l, const struct log_seg *s, struct err *e)
{
	char *from = seg_name(s->number, SEG_SUFFIX), *to = seg_name(s->number, SEG_RECYCLED), *path = log_path(l, s->number, SEG_RECYCLED);
	int rc = file_rename(l->dir, from, to, e);

	if (!rc) {
		CRASHPOINT("queue-recycled");
		pthread_mutex_lock(&l->lock);
		if (l->n_recycled < LOG_SPARES_MAX) {
			l->recycled[l->n_recycled++] = s->number;
			pthread_mutex_unlock(&l->lock);
			goto out;
		}
		pthread_mutex_unlock(&l->lock);
	}
	/* it has one of the two names */
	unlink(path);
	free(path);
	path = log_path(l, s->number, SEG_SUFFIX);
	unlink(path);
out:
	free(path);
	free(to);
	free(from);
	return rc;
}

static int discard(struct log *l, const struct log_seg *s, struct err *e)
{
	char *path = log_path(l, s->number, SEG_SUFFIX);
	int rc = unlink(path) ? err_errno(e, errno, "unlink %s", path) : file_sync_dir(l->dir, e);

	free(path);
	return rc;
}

int log_trim(struct queue *q, uint32_t partition, uint64_t below, struct err *e)
{
	struct log *l = log_of(q);
	int rc = 0;

	(void)partition;
	while (!rc) {
		bool reuse = false;
		struct log_seg *s = pop_below(l, below, &reuse);

		if (!s)
			break;
		/* a short disk gets the space back */
		if (reuse && log_space(l, l->segment_bytes, NULL))
			reuse = false;
		log_index_unlink(l, s->number);
		rc = reuse ? recycle(l, s, e) : discard(l, s, e);
		log_seg_unref(l, s);
	}
	log_note_sizes(l);
	return rc;
}
