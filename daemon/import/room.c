/*
 * room.c - room for bodies in memory (bodies_max): who is let in, who waits, who comes next. First come, first served; who waits is suspended. The room of
 * a plain body is its length, that of one whose length is not known the largest there may be; of a packed one it begins with a guess and grows with what
 * is unpacked, because nearly all would fit beside each other and the largest possible hardly two of them.
 *
 * One source gets half of the room at most (or one body, if that is more), so that others always find some, however slowly its bodies come; those who wait only
 * because of that are passed by.
 *
 * What can go wrong: one that grows cannot wait for room, or two that grow could wait for each other: it is refused (503).
 */
#include "daemon/core/metrics.h"
#include "daemon/import/import_priv.h"
#include "xalloc.h"

#define KEEP_BODY (256u << 10)
#define GUESS 16u /* a packed body becomes so many times as large, or less */
#define GUESS_LEAST (256u << 10)
#define BURST NSEC_PER_SEC /* of a rate limit */

struct tenant {
	uint64_t bodies; /* of import.bodies */
	int64_t paid;	 /* mono: what was taken is worth until then, at its rate */
};

static bool tenant_fits(const struct import *im, const struct tenant *t, uint64_t need)
{
	return t->bodies + need <= im->tenant_max;
}

/* What follows up to the release is under lock. */

static bool fits(const struct import *im, const struct tenant *t, uint64_t need)
{
	return im->bodies + need <= im->c.bodies_max && tenant_fits(im, t, need);
}

static void take(struct import *im, struct tenant *t, uint64_t n)
{
	im->bodies += n;
	t->bodies += n;
}

/* The first one that waits for others, not for its own source. */
static struct request *first_in_line(struct import *im)
{
	struct request *r;

	TAILQ_FOREACH(r, &im->waiting, link)
		if (tenant_fits(im, r->rules->tenant, r->admitted))
			return r;
	return NULL;
}

static bool must_wait(struct import *im, const struct tenant *t)
{
	struct request *r;

	TAILQ_FOREACH(r, &im->waiting, link)
		if (r->rules->tenant == t || tenant_fits(im, r->rules->tenant, r->admitted))
			return true;
	return false;
}

/* Those at the head of the waiting that fit now. */
static void admit_waiting(struct import *im)
{
	struct request *r;

	for (;;) {
		pthread_mutex_lock(&im->lock);
		r = first_in_line(im);
		if (r && fits(im, r->rules->tenant, r->admitted)) {
			TAILQ_REMOVE(&im->waiting, r, link);
			take(im, r->rules->tenant, r->admitted);
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

void room_give(struct import *im, struct tenant *t, uint64_t n)
{
	bool more;

	if (!n)
		return;
	pthread_mutex_lock(&im->lock);
	im->bodies -= n;
	t->bodies -= n;
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
	room_give(r->w->im, r->rules ? r->rules->tenant : NULL, r->admitted - keep);
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
	struct tenant *t = r->rules->tenant;
	uint64_t need = first_need(r);
	bool now;

	r->admitted = need;
	r->state = R_BODY;
	pthread_mutex_lock(&im->lock);
	now = !must_wait(im, t) && fits(im, t, need);
	if (now)
		take(im, t, need);
	pthread_mutex_unlock(&im->lock);
	if (now) {
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
	bool now;

	need = MIN(need, im->tenant_max);
	if (need <= r->admitted)
		return true;
	more = MIN(2 * need, MAX(im->c.body_max, need)) - r->admitted;
	pthread_mutex_lock(&im->lock);
	now = fits(im, r->rules->tenant, more);
	if (!now) { /* without anything for later */
		more = need - r->admitted;
		now = fits(im, r->rules->tenant, more);
	}
	if (now)
		take(im, r->rules->tenant, more);
	pthread_mutex_unlock(&im->lock);
	if (!now)
		return false;
	r->admitted += more;
	metric_add(import_body_bytes, (int64_t)more);
	return true;
}

/* --- rates --- */

unsigned room_rate(struct request *r)
{
	struct source_rules *rules = r->rules;
	struct import *im = r->w->im;
	int64_t over = 0;

	pthread_mutex_lock(&im->lock);
	if (!rules->tenant) {
		struct str key = str_mem((const char *)&rules->source_id, sizeof(rules->source_id));

		rules->tenant = map_get(&im->tenants, key);
		if (!rules->tenant) {
			rules->tenant = xcalloc(1, sizeof(*rules->tenant));
			map_put(&im->tenants, key, rules->tenant);
		}
	}
	if (rules->rate_limit)
		over = rules->tenant->paid - now_get().mono - BURST;
	pthread_mutex_unlock(&im->lock);
	return over > 0 ? (unsigned)(over / NSEC_PER_SEC) + 1 : 0;
}

void room_charge(struct request *r)
{
	struct import *im = r->w->im;
	struct tenant *t = r->rules->tenant;
	uint64_t whole, rest;

	if (!r->rules->rate_limit)
		return;
	whole = r->records / r->rules->rate_limit;
	rest = r->records % r->rules->rate_limit;
	pthread_mutex_lock(&im->lock);
	t->paid = MAX(t->paid, now_get().mono) + (int64_t)(whole * (uint64_t)NSEC_PER_SEC + rest * (uint64_t)NSEC_PER_SEC / r->rules->rate_limit);
	pthread_mutex_unlock(&im->lock);
}

void room_free(struct import *im)
{
	map_free(&im->tenants, free);
	map_free(&im->addresses, NULL);
}
