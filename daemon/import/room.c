/*
 * room.c - room for bodies in memory (bodies_max): who is let in, who waits, who comes next. First come, first served; who waits is suspended. The room of
 * a plain body is its length, that of one whose length is not known the largest there may be; of a packed one it begins with a guess and grows with what
 * is unpacked, because nearly all would fit beside each other and the largest possible hardly two of them.
 *
 * What can go wrong: one that grows cannot wait for room, or two that grow could wait for each other: it is refused (503).
 */
#include "daemon/core/metrics.h"
#include "daemon/import/import_priv.h"

#define KEEP_BODY (256u << 10)
#define GUESS 16u /* a packed body becomes so many times as large, or less */
#define GUESS_LEAST (256u << 10)

/* Those at the head of the waiting that fit now. */
static void admit_waiting(struct import *im)
{
	struct request *r;

	for (;;) {
		pthread_mutex_lock(&im->lock);
		r = TAILQ_FIRST(&im->waiting);
		if (r && im->bodies + r->admitted <= im->c.bodies_max) {
			TAILQ_REMOVE(&im->waiting, r, link);
			im->bodies += r->admitted;
			r->state = R_ADMITTED;
		} else {
			r = NULL;
		}
		pthread_mutex_unlock(&im->lock);
		if (!r)
			return;
		metric_add(import_body_bytes, (int64_t)r->admitted);
		MHD_resume_connection(r->mhd);
	}
}

void room_give(struct import *im, uint64_t n)
{
	bool more;

	if (!n)
		return;
	pthread_mutex_lock(&im->lock);
	im->bodies -= n;
	more = !TAILQ_EMPTY(&im->waiting);
	pthread_mutex_unlock(&im->lock);
	metric_add(import_body_bytes, -(int64_t)n);
	if (more)
		admit_waiting(im);
}

void room_release(struct request *r, uint64_t keep)
{
	coding_free(r->coding);
	r->coding = NULL;
	if (r->body.cap > KEEP_BODY)
		buf_free(&r->body);
	else
		buf_truncate(&r->body, 0);
	assert(keep <= r->admitted);
	room_give(r->w->im, r->admitted - keep);
	r->admitted = 0;
}

static uint64_t first_need(const struct request *r)
{
	uint64_t max = r->w->im->c.body_max;

	if (r->length == UINT64_MAX)
		return max;
	return r->packed ? MIN(r->length * GUESS + GUESS_LEAST, max) : r->length; /* the length is at most body_max */
}

void room_admit(struct request *r)
{
	struct import *im = r->w->im;
	uint64_t need = first_need(r);
	bool fits;

	r->admitted = need;
	r->state = R_BODY;
	pthread_mutex_lock(&im->lock);
	fits = TAILQ_EMPTY(&im->waiting) && im->bodies + need <= im->c.bodies_max;
	if (fits)
		im->bodies += need;
	pthread_mutex_unlock(&im->lock);
	if (fits) {
		metric_add(import_body_bytes, (int64_t)need);
		return;
	}
	r->state = R_ADMISSION;
	request_wait(r);
	MHD_suspend_connection(r->mhd);
	pthread_mutex_lock(&im->lock);
	TAILQ_INSERT_TAIL(&im->waiting, r, link);
	pthread_mutex_unlock(&im->lock);
	admit_waiting(im); /* room may have come in between */
}

bool room_grow(struct request *r, uint64_t need)
{
	struct import *im = r->w->im;
	uint64_t more;
	bool fits;

	need = MIN(need, im->c.bodies_max);
	if (need <= r->admitted)
		return true;
	more = MIN(2 * need, MAX(im->c.body_max, need)) - r->admitted;
	pthread_mutex_lock(&im->lock);
	fits = im->bodies + more <= im->c.bodies_max;
	if (fits)
		im->bodies += more;
	pthread_mutex_unlock(&im->lock);
	if (!fits)
		return false;
	r->admitted += more;
	metric_add(import_body_bytes, (int64_t)more);
	return true;
}
