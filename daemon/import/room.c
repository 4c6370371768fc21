/*
 * room.c - room for bodies in memory (bodies_max): who is let in, who waits, who comes next. First come, first served; who waits is suspended. The room of
 * a plain body is its length; of a packed one, or one whose length is not known, it begins with a guess and grows with what comes, because nearly all would
 * fit beside each other and the largest possible hardly two of them. One that cannot grow waits, with the rest of its body unread.
 *
 * One source gets half of the room at most (or one body, if that is more), so that others always find some, however slowly its bodies come; those who wait only
 * because of that are passed by.
 *
 * What can go wrong: some that grow and wait for each other. When all room is held by such, the newest of them is refused (503) and gives back what it has.
 */
#include "daemon/core/metrics.h"
#include "daemon/import/import_priv.h"
#include "xalloc.h"

#define KEEP_BODY (256u << 10)
#define GUESS 16u /* a packed body becomes so many times as large, or less */
#define GUESS_LEAST (256u << 10)
#define BURST NSEC_PER_SEC /* of a rate limit */

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

/* The first one that waits for others, not for its own source, nor for one of its own source before it. */
static struct request *first_in_line(struct import *im)
{
	struct request *r;

	im->pass++;
	TAILQ_FOREACH(r, &im->waiting, link) {
		struct tenant *t = r->rules->tenant;

		if (t->passed == im->pass)
			continue;
		if (tenant_fits(im, t, r->wanted))
			return r;
		t->passed = im->pass;
	}
	return NULL;
}

/* The newest of those that grow and wait for nobody but each other. */
static struct request *one_too_many(struct import *im)
{
	struct request *r;

	TAILQ_FOREACH_REVERSE(r, &im->waiting, request_list, link) {
		const struct tenant *t = r->rules->tenant;

		if (r->state == R_GROW && ((t->bodies == t->stuck && !tenant_fits(im, t, r->wanted)) || im->bodies == im->stuck))
			return r;
	}
	return NULL;
}

static bool must_wait(struct import *im, const struct tenant *t)
{
	struct request *r;

	TAILQ_FOREACH(r, &im->waiting, link)
		if (r->rules->tenant == t || tenant_fits(im, r->rules->tenant, r->wanted))
			return true;
	return false;
}

void room_wait_over(struct request *r)
{
	TAILQ_REMOVE(&r->w->im->waiting, r, link);
	if (r->state == R_GROW) {
		r->rules->tenant->stuck -= r->admitted;
		r->w->im->stuck -= r->admitted;
		r->state = R_GROWN;
	} else {
		r->state = R_ADMITTED;
	}
}

/* Those at the head of the waiting that fit now. */
static void admit_waiting(struct import *im)
{
	struct request *r;

	do {
		pthread_mutex_lock(&im->lock);
		r = first_in_line(im);
		if (r && fits(im, r->rules->tenant, r->wanted)) {
			room_wait_over(r);
			take(im, r->rules->tenant, r->wanted);
			r->admitted += r->wanted;
			metric_add(import_body_bytes, (int64_t)r->wanted);
		} else {
			r = one_too_many(im);
			if (r) {
				room_wait_over(r);
				refuse_busy(&r->refusal, "Too many requests are under way; please send it again later");
			}
		}
		pthread_mutex_unlock(&im->lock);
		if (r)
			MHD_resume_connection(r->mhd);
	} while (r);
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
		return MIN(GUESS_LEAST, max / 4);
	return r->packed ? MIN(r->length * GUESS + GUESS_LEAST, max) : r->length; /* the length is at most body_max */
}

void room_admit(struct request *r)
{
	struct import *im = r->w->im;
	struct tenant *t = r->rules->tenant;
	uint64_t need = first_need(r);
	bool now;

	r->state = R_BODY;
	pthread_mutex_lock(&im->lock);
	now = !must_wait(im, t) && fits(im, t, need);
	if (now)
		take(im, t, need);
	pthread_mutex_unlock(&im->lock);
	if (now) {
		r->admitted = need;
		metric_add(import_body_bytes, (int64_t)need);
		return;
	}
	r->wanted = need;
	r->state = R_ADMISSION;
	request_wait(r);
	MHD_suspend_connection(r->mhd);
	pthread_mutex_lock(&im->lock);
	TAILQ_INSERT_TAIL(&im->waiting, r, link);
	pthread_mutex_unlock(&im->lock);
	admit_waiting(im); /* room may have come in between */
}

bool room_wait(struct request *r, uint64_t need)
{
	struct import *im = r->w->im;
	struct tenant *t = r->rules->tenant;

	if (atomic_load(&im->closing))
		return false;
	r->wanted = MIN(need + need / 2, im->tenant_max) - r->admitted; /* room_grow has failed, so there is something to want */
	request_wait(r);
	MHD_suspend_connection(r->mhd);
	pthread_mutex_lock(&im->lock);
	r->state = R_GROW;
	t->stuck += r->admitted;
	im->stuck += r->admitted;
	TAILQ_INSERT_TAIL(&im->waiting, r, link);
	pthread_mutex_unlock(&im->lock);
	admit_waiting(im);
	return true;
}

uint64_t room_left(const struct request *r, uint64_t taken)
{
	if (r->admitted >= r->w->im->tenant_max)
		return UINT64_MAX;
	return r->admitted > taken ? r->admitted - taken : 0;
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
			STAILQ_INIT(&rules->tenant->turn);
			map_put(&im->tenants, key, rules->tenant);
		}
	}
	if (rules->rate_limit)
		over = rules->tenant->paid - now_get().mono - BURST;
	pthread_mutex_unlock(&im->lock);
	return over > 0 ? (unsigned)(over / NSEC_PER_SEC) + 1 : 0;
}

int64_t room_charge(struct request *r)
{
	struct import *im = r->w->im;
	struct tenant *t = r->rules->tenant;
	uint64_t whole, rest;
	int64_t price;

	if (!r->rules->rate_limit)
		return 0;
	whole = r->records / r->rules->rate_limit;
	rest = r->records % r->rules->rate_limit;
	price = (int64_t)(whole * (uint64_t)NSEC_PER_SEC + rest * (uint64_t)NSEC_PER_SEC / r->rules->rate_limit);
	pthread_mutex_lock(&im->lock);
	t->paid = MAX(t->paid, now_get().mono) + price;
	pthread_mutex_unlock(&im->lock);
	return price;
}

void room_refund(struct import *im, struct tenant *t, int64_t price)
{
	pthread_mutex_lock(&im->lock);
	t->paid -= price;
	pthread_mutex_unlock(&im->lock);
}

/* When connections grow few, a source has at most half of them. */
bool room_connection(struct request *r)
{
	struct import *im = r->w->im;
	struct tenant *t = r->rules->tenant;
	bool fine = true;

	if (!r->conn)
		return true;
	pthread_mutex_lock(&im->lock);
	if (r->conn->tenant != t) {
		if (r->conn->tenant)
			r->conn->tenant->conns--;
		r->conn->tenant = t;
		t->conns++;
	}
	if (atomic_load(&im->n_conns) > im->c.connections_max / 4 * 3)
		fine = t->conns <= im->c.connections_max / 2;
	pthread_mutex_unlock(&im->lock);
	return fine;
}

void room_free(struct import *im)
{
	map_free(&im->tenants, free);
	map_free(&im->addresses, NULL);
}
