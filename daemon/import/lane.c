/*
 * lane.c - the slow lane: one thread that decodes what would hold up an http thread, and with it everybody else's requests there. That is large bodies
 * (one at a time, since decoding takes twice their size on top), and all bodies of a source that keeps the http threads busy while another source is
 * active. Who waits is suspended; next comes the source that has had the least of the lane's time, so several that flood share it by time, not by
 * requests. A source that is alone never gets here with small bodies: they are decoded where they were read.
 *
 * What can go wrong: more comes than one thread decodes. Then requests wait until their deadline and get a 503, those of the source that floods.
 */
#include "daemon/import/import_priv.h"

#include <sys/resource.h>
#include <unistd.h>

#include "log.h"
#include "xalloc.h"

#define LARGE (1u << 20)
#define NICE 3 /* the http threads come first */
#define ACTIVE (2 * NSEC_PER_SEC)      /* a source that sent something so long ago counts as one beside the others */
#define AHEAD (5 * NSEC_PER_MSEC)      /* so much may be decoded at once in http threads, */
#define SHARE 2			       /* and in the long run one part in so many of a core */

struct lane {
	pthread_t thread;
	pthread_cond_t more;
	struct request_list waiting; /* under lock, as all here */
	struct decoder decoder;	     /* the thread's own */
	int64_t time;		     /* of the source served last: who comes anew begins there */
	bool started, stop, busy;
	const struct tenant *active, *before; /* whose requests came last */
	int64_t active_at, before_at;
};

static bool other_active(struct lane *l, const struct tenant *t, int64_t now)
{
	if (l->active != t) {
		l->before = l->active;
		l->before_at = l->active_at;
		l->active = t;
	}
	l->active_at = now;
	return l->before && now - l->before_at < ACTIVE;
}

bool lane_takes(struct request *r)
{
	size_t large = r->transit ? LARGE / IMPORT_TRANSIT_TIMES : LARGE;
	struct import *im = r->w->im;
	struct tenant *t = r->rules->tenant;
	int64_t now = now_get().mono;
	bool takes;

	pthread_mutex_lock(&im->lock);
	takes = other_active(im->lane, t, now) && t->decoded > now + AHEAD;
	pthread_mutex_unlock(&im->lock);
	takes |= r->body.len > large; /* or may become so */
	if (!takes || atomic_load(&im->closing))
		return false;
	request_wait(r);
	MHD_suspend_connection(r->mhd);
	pthread_mutex_lock(&im->lock);
	r->state = R_LANE;
	t->lane_time = MAX(t->lane_time, im->lane->time);
	TAILQ_INSERT_TAIL(&im->lane->waiting, r, link);
	pthread_cond_signal(&im->lane->more);
	pthread_mutex_unlock(&im->lock);
	return true;
}

void lane_decoded(struct import *im, struct tenant *t, int64_t begun)
{
	int64_t now = now_get().mono;

	pthread_mutex_lock(&im->lock);
	t->decoded = MAX(t->decoded, begun) + SHARE * (now - begun);
	pthread_mutex_unlock(&im->lock);
}

/* The next one: of the source that had the least. Under lock. */
static struct request *take(struct lane *l)
{
	struct request *r, *best = NULL;

	TAILQ_FOREACH(r, &l->waiting, link)
		if (!best || r->rules->tenant->lane_time < best->rules->tenant->lane_time)
			best = r;
	if (best)
		TAILQ_REMOVE(&l->waiting, best, link);
	return best;
}

static void *run(void *arg)
{
	struct import *im = arg;
	struct lane *l = im->lane;
	struct request *r;

	log_context("lane");
	if (setpriority(PRIO_PROCESS, (id_t)gettid(), NICE))
		log_debug("the slow lane keeps its priority");
	pthread_mutex_lock(&im->lock);
	while (!l->stop) {
		struct tenant *t;
		int64_t begun;

		r = take(l);
		if (!r) {
			pthread_cond_wait(&l->more, &im->lock);
			continue;
		}
		l->busy = true;
		t = r->rules->tenant;
		l->time = t->lane_time;
		pthread_mutex_unlock(&im->lock);
		begun = now_get().mono;
		if (!put_decoded(r, &l->decoder, true)) {
			r->state = R_ANSWER;
			MHD_resume_connection(r->mhd);
		}
		begun = now_get().mono - begun;
		pthread_mutex_lock(&im->lock);
		t->lane_time += begun;
		l->busy = false;
	}
	pthread_mutex_unlock(&im->lock);
	return NULL;
}

struct request *lane_expired(struct import *im, int64_t now, bool all)
{
	struct request *r;

	TAILQ_FOREACH(r, &im->lane->waiting, link)
		if (all || r->deadline <= now) {
			TAILQ_REMOVE(&im->lane->waiting, r, link);
			r->state = R_ANSWER;
			refuse_busy(&r->refusal, "Too many requests are under way; please send it again later");
			return r;
		}
	return NULL;
}

bool lane_is_busy(struct import *im)
{
	return im->lane->busy || !TAILQ_EMPTY(&im->lane->waiting);
}

/* --- life --- */

struct lane *lane_new(void)
{
	struct lane *l = xcalloc(1, sizeof(*l));

	TAILQ_INIT(&l->waiting);
	pthread_cond_init(&l->more, NULL);
	return l;
}

int lane_start(struct import *im, struct err *e)
{
	int rc;

	im->lane->decoder.intake = intake_new();
	rc = pthread_create(&im->lane->thread, NULL, run, im);
	if (rc)
		return err_errno(e, rc, "thread of the slow lane");
	im->lane->started = true;
	return 0;
}

void lane_stop(struct import *im)
{
	struct lane *l = im->lane;

	pthread_mutex_lock(&im->lock);
	l->stop = true;
	pthread_cond_signal(&l->more);
	pthread_mutex_unlock(&im->lock);
	if (l->started)
		pthread_join(l->thread, NULL);
	l->started = false;
}

void lane_free(struct lane *l)
{
	decoder_free(&l->decoder);
	pthread_cond_destroy(&l->more);
	free(l);
}
