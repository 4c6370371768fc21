/*
 * keyed.c - requests with an Idempotency-Key. In the queue such a request is known by its key and a hash of its body, so the same request sent again is
 * dropped behind the door (streamery), and another body under the same key never is: it would be a record that was accepted and lost. Here the
 * newest keys are remembered, so that whoever uses one again for another body is told (422). What can go wrong: a key that was forgotten (others came, or the
 * daemon was started again): then the other body is a request of its own.
 */
#include "daemon/import/import_priv.h"

#include "daemon/state/seal.h"
#include "xalloc.h"

#define REMEMBERED 4096u
#define KEPT (24 * 3600 * NSEC_PER_SEC)
#define HASH_DIGITS 16u

struct keyed {
	struct key_mark mark;
	int64_t at; /* mono; 0: free */
};

struct keyed *keyed_new(void)
{
	return xcalloc(REMEMBERED, sizeof(struct keyed));
}

static struct keyed *slot(struct import *im, const struct key_mark *m)
{
	uint32_t i;

	memcpy(&i, m->key, sizeof(i));
	return &im->keyed[i % REMEMBERED];
}

void keyed_name(struct request *r)
{
	struct buf b = BUF_INIT;
	unsigned char hash[32];

	buf_add(&b, &r->source_id, sizeof(r->source_id));
	buf_add(&b, r->request_id, r->request_id_len);
	seal_hash_token(buf_str(&b), hash);
	r->mark.set = true;
	memcpy(r->mark.key, hash, sizeof(r->mark.key));
	buf_truncate(&b, 0);
	if (r->request_id_len + 1 + HASH_DIGITS > FRAME_REQUEST_ID_MAX)
		buf_add_hex(&b, hash, sizeof(hash));
	else
		buf_add(&b, r->request_id, r->request_id_len);
	seal_hash_token(buf_str(&r->body), hash);
	memcpy(r->mark.body, hash, sizeof(r->mark.body));
	buf_addc(&b, '.');
	buf_add_hex(&b, hash, HASH_DIGITS / 2);
	memcpy(r->request_id, b.data, b.len);
	r->request_id_len = b.len;
	buf_free(&b);
}

bool keyed_clashes(struct request *r)
{
	struct import *im = r->w->im;
	const struct keyed *k = slot(im, &r->mark);
	bool clash;

	pthread_mutex_lock(&im->lock);
	clash = k->at && now_get().mono - k->at < KEPT && memcmp(k->mark.key, r->mark.key, sizeof(k->mark.key)) == 0 &&
		memcmp(k->mark.body, r->mark.body, sizeof(k->mark.body)) != 0;
	pthread_mutex_unlock(&im->lock);
	if (clash)
		refuse_status(&r->refusal, 422, "The Idempotency-Key was used before with another body");
	return clash;
}

void keyed_remember(struct import *im, const struct key_mark *m)
{
	*slot(im, m) = (struct keyed){.mark = *m, .at = now_get().mono};
}
