/*
 * put.c - from a whole body to the queue and back. The connection is suspended before the put, so that the answer cannot come too early; the queue's
 * thread resumes it. Who waits and what is under way are two objects: when a request's time is over it gets its 503 and forgets the put, and the
 * put, which may well become durable, finds nobody who waits. That is what a 503 means: unknown.
 */
#include "daemon/core/crashpoint.h"
#include "daemon/core/metrics.h"
#include "daemon/import/import_priv.h"
#include "daemon/import/receipt.h"
#include "daemon/import/signature.h"
#include "daemon/import/webhook.h"
#include "daemon/queue/queue_local.h"
#include "xalloc.h"

#define KEEP_JOBS 64u
#define KEEP_BYTES (256u << 10)
#define TURN_MAX (8u << 20) /* bytes of one source that the queue may have before it: as much as one append takes */

static void put_done(struct queue_put *p);
static void job_over(struct job *j, const char *busy);

static struct job *job_new(struct import *im)
{
	struct job *j;

	pthread_mutex_lock(&im->lock);
	j = SLIST_FIRST(&im->free_jobs);
	if (j) {
		SLIST_REMOVE_HEAD(&im->free_jobs, free);
		im->n_free_jobs--;
	}
	pthread_mutex_unlock(&im->lock);
	if (!j)
		j = xcalloc(1, sizeof(*j));
	j->im = im;
	j->held = j->share = 0;
	j->price = 0;
	j->put.done = put_done;
	return j;
}

/* Under lock. */
static void job_done(struct job *j)
{
	struct import *im = j->im;

	j->req = NULL;
	if (im->n_free_jobs == KEEP_JOBS || j->put.bytes.cap > KEEP_BYTES) {
		buf_free(&j->put.bytes);
		free(j);
		return;
	}
	buf_truncate(&j->put.bytes, 0);
	SLIST_INSERT_HEAD(&im->free_jobs, j, free);
	im->n_free_jobs++;
}

void put_free_all(struct import *im)
{
	struct job *j;

	while ((j = SLIST_FIRST(&im->free_jobs))) {
		SLIST_REMOVE_HEAD(&im->free_jobs, free);
		buf_free(&j->put.bytes);
		free(j);
	}
}

/* Whoever waits for the job, taken off the list; NULL: its time was over. Under lock. */
static struct request *take_waiter(struct job *j)
{
	struct request *r = j->req;

	if (!r)
		return NULL;
	TAILQ_REMOVE(&j->im->asleep, r, link);
	j->req = NULL;
	r->job = NULL;
	r->state = R_ANSWER;
	return r;
}

static void add_partial(struct request *r)
{
	if (!r->partial)
		return;
	buf_addf(&r->good, ",\"accepted\":%" PRIu64 ",\"rejected\":[", r->records);
	buf_addstr(&r->good, buf_str(&r->rejects));
	buf_addc(&r->good, ']');
}

void put_accepted(struct request *r, const struct queue_put *p)
{
	struct receipt where = {.partition = p->partition, .first = p->offset, .count = p->n};

	r->delayed = p->delayed;
	memcpy(where.queue_id, queue_id(p->delayed ? queue_local_log(r->w->im->queue) : r->w->im->queue), sizeof(where.queue_id));
	buf_adds(&r->good, p->delayed ? "{\"status\":\"Accepted\",\"message\":\"The batch is queued to be processed.\"" : "{\"status\":\"OK\",\"message\":\"Batch Accepted!\"");
	buf_adds(&r->good, ",\"receipt\":\"");
	receipt_format(&where, &r->good);
	buf_addc(&r->good, '"');
	if (r->records || r->rejects.len) /* not known of one that was answered before */
		add_partial(r);
	buf_addc(&r->good, '}');
}

static void ask_queue(struct job *j);

/* The queue is done with a job of the source: those whose turn it is. Nobody stores for one whose time is over. */
static void next_turn(struct import *im, struct tenant *t, uint64_t share)
{
	struct job_list gone = STAILQ_HEAD_INITIALIZER(gone), now = STAILQ_HEAD_INITIALIZER(now);
	struct job *j;

	pthread_mutex_lock(&im->lock);
	t->queued -= share;
	while ((j = STAILQ_FIRST(&t->turn)) && (!j->req || !t->queued || t->queued + j->put.bytes.len <= TURN_MAX)) {
		STAILQ_REMOVE_HEAD(&t->turn, turn);
		if (j->req) {
			j->share = j->put.bytes.len;
			t->queued += j->share;
			STAILQ_INSERT_TAIL(&now, j, turn);
		} else {
			STAILQ_INSERT_TAIL(&gone, j, turn);
		}
	}
	pthread_mutex_unlock(&im->lock);
	while ((j = STAILQ_FIRST(&gone))) {
		STAILQ_REMOVE_HEAD(&gone, turn);
		job_over(j, "");
	}
	while ((j = STAILQ_FIRST(&now))) {
		STAILQ_REMOVE_HEAD(&now, turn);
		ask_queue(j);
	}
}

/* Stored, or busy says why not: who waits is answered, who waits for the same key goes on. */
static void job_over(struct job *j, const char *busy)
{
	struct request_list woken = TAILQ_HEAD_INITIALIZER(woken);
	struct import *im = j->im;
	struct tenant *tenant = j->tenant; /* j is gone soon */
	uint64_t held = j->held;
	int64_t price = busy ? j->price : 0;
	struct request *r;

	pthread_mutex_lock(&im->lock);
	keyed_end(im, j, !busy, &woken);
	r = take_waiter(j);
	if (r && busy)
		refuse_busy(&r->refusal, "%s", busy);
	else if (r)
		put_accepted(r, &j->put);
	job_done(j);
	pthread_mutex_unlock(&im->lock);
	if (r)
		MHD_resume_connection(r->mhd);
	keyed_wake(&woken);
	room_give(im, tenant, held);
	if (price)
		room_refund(im, tenant, price);
}

/* The queue's thread: durable, or unknown. */
static void put_done(struct queue_put *p)
{
	struct job *j = container_of(p, struct job, put);
	struct import *im = j->im;
	struct tenant *t = j->tenant;
	uint64_t share = j->share;

	job_over(j, p->err.code ? "The queue could not store it, or only perhaps; please send it again" : NULL);
	next_turn(im, t, share);
	atomic_fetch_sub(&im->puts, 1);
}

/* The time of receipt, which must not fall from one record of the queue to the next even if the clock is set back. With sequences: the last of so many
 * that are now this caller's, each above all given before; after a restart they go on above what the queue holds, since they are times of receipt. */
static int64_t received_now(struct import *im, uint64_t sequences)
{
	int64_t now = now_get().real, last = atomic_load(&im->last_received), next;

	do {
		if (!sequences && now <= last)
			return last;
		next = sequences ? MAX(now, last + 1) + (int64_t)sequences - 1 : now;
	} while (!atomic_compare_exchange_weak(&im->last_received, &last, next));
	return next;
}

/* Before all else: who cannot sign must not learn by a key that something was stored, nor make others wait for it. */
static int check_signature(struct request *r)
{
	const struct source_rules *rules = r->rules;

	if (r->route != ROUTE_WEBHOOK || !rules->signature_header ||
		signature_good(rules->sha1, rules->secrets, ARRAY_LEN(rules->secrets), route_header(r, rules->signature_header), buf_str(&r->body),
			now_get().real / NSEC_PER_SEC))
		return 0;
	return refuse_status(&r->refusal, 401, "The signature is missing or wrong");
}

static int decode_webhook(struct request *r, struct intake *b, int64_t *received_at)
{
	const struct source_rules *rules = r->rules;
	struct buf json = BUF_INIT;
	uint64_t n;
	int rc;

	if (rules->form) {
		rc = webhook_form(buf_str(&r->body), rules->form, &json, &r->refusal);
		if (!rc && !room_grow(r, r->body.len + json.len)) /* escapes can make it twice as long */
			rc = refuse_busy(&r->refusal, "There is no room for so large a body now; please send it again later");
		buf_free(&r->body);
		r->body = json;
		if (rc)
			return -1;
	}
	if (webhook_count(buf_str(&r->body), &n, &r->refusal))
		return -1;
	*received_at = received_now(r->w->im, n);
	return webhook_decode(b, buf_str(&r->body), rules, *received_at - (int64_t)n + 1, &r->refusal);
}

static int decode(struct request *r, struct intake *b, int64_t *received_at)
{
	struct str body = buf_str(&r->body);

	if (r->route == ROUTE_WEBHOOK)
		return decode_webhook(r, b, received_at);
	*received_at = received_now(r->w->im, 0);
	b->partial = r->partial;
	if (r->route == ROUTE_BATCH)
		return decode_batch(b, body, &r->refusal);
	if (!r->transit)
		return decode_push(b, body, r->client_id, &r->refusal);
	if (decode_transit(b, body, &r->refusal))
		return -1;
	if (!room_grow(r, body.len + b->transit->out.len))
		return refuse_busy(&r->refusal, "There is no room for so large a body now; please send it again later");
	return decode_push_transit(b, r->client_id, &r->refusal);
}

static uint64_t count_records(const struct intake *b)
{
	uint64_t n = 0;

	for (size_t i = 0; i < b->n_groups; i++)
		n += b->groups[i].records;
	return n;
}

/* The body checked and made into queue records. -1: refused. */
static int prepare(struct request *r, struct job *j, struct intake *b)
{
	struct encode_request q = {.source_id = (uint32_t)r->source_id,
		.request_id = str_mem(r->request_id, r->request_id_len),
		/* what the local spool gives on may come twice: such requests are known by their ids too */
		.keyed = r->keyed || queue_local_log(r->w->im->queue)};
	int rc = decode(r, b, &q.received_at) || encode_batch(b, &q, &j->put, &r->refusal) ? -1 : 0;

	if (!rc) {
		r->records = count_records(b);
		r->rejects = b->rejects;
		b->rejects = BUF_INIT;
	}
	intake_reset(b);
	transit_reset(b->transit);
	return rc;
}

/* What is left of the body is what the queue gets. */
static int prepare_and_release(struct request *r, struct job *j, struct decoder *d)
{
	int rc = prepare(r, j, d->intake);

	if (!rc)
		j->held = MIN(r->admitted, j->put.bytes.len);
	j->tenant = r->rules->tenant;
	room_release(r, j->held);
	return rc;
}

/* The job is the queue's, which answers, or over. Its share is counted. */
static void ask_queue(struct job *j)
{
	struct import *im = j->im;
	struct tenant *t = j->tenant;
	struct err e = ERR_INIT;
	uint64_t share = j->share;

	atomic_fetch_add(&im->puts, 1);
	if (queue_put(im->queue, &j->put, &e) == 0)
		return;
	job_over(j, e.code == ERR_FULL ? "More arrives than can be stored now; please send it again later" : e.text);
	next_turn(im, t, share);
	atomic_fetch_sub(&im->puts, 1);
}

/* To the queue, or into its source's line before it. The request is suspended; it may be answered before this returns. */
static void give_job(struct request *r, struct job *j)
{
	struct import *im = j->im;
	struct tenant *t = j->tenant;
	bool now;

	pthread_mutex_lock(&im->lock);
	r->state = R_QUEUED;
	r->job = j;
	j->req = r;
	TAILQ_INSERT_TAIL(&im->asleep, r, link);
	now = !t->queued || (STAILQ_EMPTY(&t->turn) && t->queued + j->put.bytes.len <= TURN_MAX);
	if (now) {
		j->share = j->put.bytes.len;
		t->queued += j->share;
	} else {
		STAILQ_INSERT_TAIL(&t->turn, j, turn);
	}
	pthread_mutex_unlock(&im->lock);
	if (now)
		ask_queue(j);
}

/* A repeat with a key, of which only some records were taken: which ones were not is found anew, since the body is the same. */
static void tell_again(struct request *r, struct decoder *d)
{
	struct job *j = job_new(r->w->im);

	if (prepare(r, j, d->intake) == 0) {
		buf_truncate(&r->good, r->good.len - 1); /* its brace */
		add_partial(r);
		buf_addc(&r->good, '}');
		r->records = 0; /* they were counted before */
	} else {
		refusal_reset(&r->refusal);
	}
	job_over(j, "");
}

bool put_decoded(struct request *r, struct decoder *d, bool asleep)
{
	struct import *im = r->w->im;
	enum key_verdict v;
	struct job *j;

	if (check_signature(r)) {
		room_release(r, 0);
		return false;
	}
	j = job_new(im);
	v = r->keyed ? keyed_check(r, j, d, asleep) : KEY_GO;
	if (v != KEY_GO) {
		if (v == KEY_TOLD && r->partial && !r->refusal.status)
			tell_again(r, d);
		job_over(j, "");
		return v == KEY_WAITS;
	}
	if (prepare_and_release(r, j, d)) {
		job_over(j, "");
		return false;
	}
	j->price = room_charge(r);
	if (r->route == ROUTE_VALIDATE) {
		buf_adds(&r->good, "{\"status\":\"OK\",\"message\":\"Batch is valid!\"}");
		j->price = 0; /* the work was done */
		job_over(j, "");
		return false;
	}
	CRASHPOINT("door-parsed");
	request_wait(r);
	if (!asleep)
		MHD_suspend_connection(r->mhd);
	give_job(r, j);
	return true;
}

bool put_request(struct request *r)
{
	struct tenant *t = r->rules->tenant;
	struct import *im = r->w->im;
	int64_t begun = now_get().mono;
	bool waits;

	if (lane_takes(r))
		return true;
	waits = put_decoded(r, &r->w->decoder, false); /* r may be gone then */
	lane_decoded(im, t, begun);
	return waits;
}

void decoder_free(struct decoder *d)
{
	intake_free(d->intake);
	if (d->db)
		state_reader_close(d->db);
}
