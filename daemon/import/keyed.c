/*
 * keyed.c - requests with an Idempotency-Key. In the queue such a request is known by its key and a hash of its body ("KEY HASH"), so the same request sent
 * again is dropped behind the door (streamery), and another body under the same key never is: it would be a record that was accepted and lost. Here:
 * who comes while the first one is under way waits for its answer; the newest keys are remembered with their receipts, the same body gets the same
 * answer and another one 422; older ones are looked for in state.db, where the streamery writes them with their batch.
 *
 * What can go wrong: a key that is forgotten here (thousands came after it) and not yet in a batch. Then the same body is stored and dropped behind the door,
 * and another body is a request of its own: told nothing, but nothing is lost.
 */
#include "daemon/import/import_priv.h"

#include "daemon/queue/queue_local.h"
#include "daemon/state/seal.h"
#include "log.h"
#include "xalloc.h"

#define REMEMBERED 16384u
#define RECALLED 16384u /* queue records that are looked through at the start */
#define KEPT (24 * 3600 * NSEC_PER_SEC)
#define HASH_DIGITS 16u
#define TAIL (1 + HASH_DIGITS) /* a blank, which no key has, and the body's hash */

struct stored {
	struct key_mark mark; /* not set: free */
	int64_t at;	      /* real */
	bool delayed;	      /* the place is in the local spool */
	uint32_t partition, count;
	uint64_t first;
};

struct keyed {
	struct stored stored[REMEMBERED];
	LIST_HEAD(, job) claims;      /* under way */
	struct request_list waiting; /* for one of them */
};

struct keyed *keyed_new(void)
{
	struct keyed *k = xcalloc(1, sizeof(*k));

	LIST_INIT(&k->claims);
	TAILQ_INIT(&k->waiting);
	return k;
}

void keyed_free(struct keyed *k)
{
	free(k);
}

static struct stored *slot(struct import *im, const struct key_mark *m)
{
	uint32_t i;

	memcpy(&i, m->key, sizeof(i));
	return &im->keyed->stored[i % REMEMBERED];
}

static bool same_key(const struct key_mark *a, const struct key_mark *b)
{
	return a->set && b->set && memcmp(a->key, b->key, sizeof(a->key)) == 0;
}

static bool same_body(const struct key_mark *a, const struct key_mark *b)
{
	return memcmp(a->body, b->body, sizeof(a->body)) == 0;
}

/* key: as the queue knows it */
static void mark_key(struct key_mark *m, int64_t source_id, struct str key)
{
	struct buf b = BUF_INIT;
	unsigned char hash[32];

	buf_add(&b, &source_id, sizeof(source_id));
	buf_addstr(&b, key);
	seal_hash_token(buf_str(&b), hash);
	memcpy(m->key, hash, sizeof(m->key));
	m->set = true;
	buf_free(&b);
}

/* The queue's name of the request; a key that is too long for it becomes its hash. */
static void name_request(struct request *r)
{
	struct buf b = BUF_INIT;
	unsigned char hash[32];

	if (r->mark.set) /* it has waited and comes again */
		return;
	buf_add(&b, r->request_id, r->request_id_len);
	if (b.len + TAIL > FRAME_REQUEST_ID_MAX) {
		seal_hash_token(buf_str(&b), hash);
		buf_truncate(&b, 0);
		buf_add_hex(&b, hash, sizeof(hash));
	}
	mark_key(&r->mark, r->source_id, buf_str(&b));
	seal_hash_token(buf_str(&r->body), hash);
	memcpy(r->mark.body, hash, sizeof(r->mark.body));
	buf_addc(&b, ' ');
	buf_add_hex(&b, r->mark.body, sizeof(r->mark.body));
	memcpy(r->request_id, b.data, b.len);
	r->request_id_len = b.len;
	buf_free(&b);
}

static enum key_verdict other_body(struct request *r)
{
	refuse_status(&r->refusal, 422, "The Idempotency-Key was used before with another body");
	return KEY_TOLD;
}

/* Is it remembered, or under way? Under lock. */
static enum key_verdict look(struct request *r, struct job *j)
{
	struct import *im = r->w->im;
	const struct stored *s = slot(im, &r->mark);
	struct queue_put was;
	struct job *other;

	if (same_key(&s->mark, &r->mark) && now_get().real - s->at < KEPT) {
		if (!same_body(&s->mark, &r->mark))
			return other_body(r);
		was = (struct queue_put){.partition = s->partition, .offset = s->first, .n = s->count, .delayed = s->delayed};
		put_accepted(r, &was);
		return KEY_TOLD;
	}
	LIST_FOREACH(other, &im->keyed->claims, claim)
		if (same_key(&other->mark, &r->mark))
			return KEY_WAITS;
	j->mark = r->mark;
	LIST_INSERT_HEAD(&im->keyed->claims, j, claim);
	return KEY_GO;
}

/* Not remembered: was the key taken with another body? */
static enum key_verdict ask_state(struct request *r, struct decoder *d)
{
	struct err e = ERR_INIT;
	bool other = false;

	if (!d->db)
		d->db = state_reader(r->w->im->state, &e);
	if (!d->db || db_request_other(d->db, (uint32_t)r->source_id, str_mem(r->request_id, r->request_id_len), TAIL, now_get().real - KEPT, &other, &e)) {
		log_warn("an Idempotency-Key cannot be looked up: %s", e.text);
		refuse_busy(&r->refusal, "Keys cannot be checked now");
		return KEY_TOLD;
	}
	return other ? other_body(r) : KEY_GO;
}

enum key_verdict keyed_check(struct request *r, struct job *j, struct decoder *d, bool asleep)
{
	struct import *im = r->w->im;
	enum key_verdict v;

	name_request(r);
	pthread_mutex_lock(&im->lock);
	v = look(r, j);
	pthread_mutex_unlock(&im->lock);
	if (v != KEY_WAITS)
		return v == KEY_GO ? ask_state(r, d) : v;
	request_wait(r);
	if (!asleep)
		MHD_suspend_connection(r->mhd);
	pthread_mutex_lock(&im->lock);
	v = look(r, j); /* it may be over by now */
	if (v == KEY_WAITS) {
		r->state = R_KEY;
		TAILQ_INSERT_TAIL(&im->keyed->waiting, r, link);
	}
	pthread_mutex_unlock(&im->lock);
	if (v == KEY_WAITS)
		return v;
	/* the body's end comes again; a key that was just got is given back by the caller, an answer is found anew */
	buf_truncate(&r->good, 0);
	refusal_reset(&r->refusal);
	r->state = R_BODY;
	MHD_resume_connection(r->mhd);
	return KEY_WAITS;
}

void keyed_end(struct import *im, struct job *j, bool stored, struct request_list *woken)
{
	struct request *r, *next;

	if (!j->mark.set)
		return;
	LIST_REMOVE(j, claim);
	if (stored)
		*slot(im, &j->mark) = (struct stored){.mark = j->mark, .at = now_get().real, .partition = j->put.partition, .first = j->put.offset, .count = j->put.n, .delayed = j->put.delayed};
	for (r = TAILQ_FIRST(&im->keyed->waiting); r; r = next) {
		next = TAILQ_NEXT(r, link);
		if (!same_key(&r->mark, &j->mark))
			continue;
		TAILQ_REMOVE(&im->keyed->waiting, r, link);
		r->state = R_BODY;
		TAILQ_INSERT_TAIL(woken, r, link);
	}
	j->mark.set = false;
}

void keyed_wake(struct request_list *woken)
{
	struct request *r;

	while ((r = TAILQ_FIRST(woken))) {
		TAILQ_REMOVE(woken, r, link);
		MHD_resume_connection(r->mhd);
	}
}

struct request *keyed_expired(struct import *im, int64_t now, bool all)
{
	struct request *r;

	TAILQ_FOREACH(r, &im->keyed->waiting, link)
		if (all || r->deadline <= now) {
			TAILQ_REMOVE(&im->keyed->waiting, r, link);
			r->state = R_ANSWER;
			refuse_busy(&r->refusal, "The first request with this Idempotency-Key has no answer yet; please send it again");
			return r;
		}
	return NULL;
}

bool keyed_waiting(struct import *im)
{
	return !TAILQ_EMPTY(&im->keyed->waiting);
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void recall(struct import *im, const struct qrec *q, uint64_t offset, bool delayed)
{
	size_t len = q->request_id.len;
	struct key_mark m;
	struct stored *s;

	if (!(q->flags & QREC_KEYED) || len <= TAIL || q->request_id.ptr[len - TAIL] != ' ')
		return;
	mark_key(&m, q->source_id, str_mem(q->request_id.ptr, len - TAIL));
	for (size_t i = 0; i < sizeof(m.body); i++) {
		const char *p = q->request_id.ptr + len - HASH_DIGITS + 2 * i;

		if (digit(p[0]) < 0 || digit(p[1]) < 0)
			return;
		m.body[i] = (unsigned char)(digit(p[0]) << 4 | digit(p[1]));
	}
	s = slot(im, &m);
	if (same_key(&s->mark, &m) && same_body(&s->mark, &m)) {
		if (s->first + s->count == offset)
			s->count++; /* a further record of the same request */
		return;
	}
	*s = (struct stored){.mark = m, .at = q->received_at, .first = offset, .count = 1, .delayed = delayed};
}

static void recall_from(struct import *im, struct queue *from, bool delayed)
{
	uint64_t begin = queue_begin(from, 0), end = queue_end(from, 0), offset;
	struct queue_reader *r;
	struct err e = ERR_INIT;
	struct qrec q;
	int rc;

	r = queue_reader_open(from, 0, end - begin > RECALLED ? end - RECALLED : begin, &e);
	while (r && (rc = queue_read(r, &q, &offset, &e))) {
		if (rc == 1) {
			recall(im, &q, offset, delayed);
			if (q.received_at > atomic_load(&im->last_received))
				atomic_store(&im->last_received, q.received_at);
		} else if (e.code != ERR_CORRUPT || queue_reader_seek(r, offset + 1, &e)) {
			break; /* the streamery meets it too, and tells */
		}
	}
	queue_reader_close(r);
}

/* The newest last: what is in the local spool came after what is in the queue, or is there too. */
void keyed_recall(struct import *im)
{
	struct queue *local = queue_local_log(im->queue);

	recall_from(im, im->queue, false);
	if (local)
		recall_from(im, local, true);
}
