/*
 * stream_read.c - from the queue into open batches: skip what is committed, drop repeats, append the rest.
 *
 * A repeat is a (source, request id, table, part) that was taken at another offset: in an open batch or an upload (known here), or in a committed one
 * (asked of state.db). Only requests with a key of the client's are looked at: ours are 128 random bits, made once per accepted request, and the log
 * holds all parts of a request or none, so they cannot come twice.
 *
 * What can go wrong: a record that cannot be read. It was acknowledged, so it is not stepped over in silence: an event is durable first, the problem is
 * shown, and the zero-sum ledger misses it for good. When the state cannot be asked, reading waits.
 */
#include "daemon/core/metrics.h"
#include "daemon/streamery/streamery_priv.h"
#include "log.h"
#include "xalloc.h"

#define BUDGET_RECORDS 4096
#define BUDGET_BYTES (8u << 20)
#define AGAIN NSEC_PER_SEC

struct taken_key {
	char bytes[sizeof(struct table *) + sizeof(uint16_t) + QREC_REQUEST_ID_MAX];
	size_t len;
};

static struct str taken_key(struct taken_key *k, const struct table *t, uint16_t part, struct str id)
{
	size_t n = MIN(id.len, QREC_REQUEST_ID_MAX);

	memcpy(k->bytes, &t, sizeof(t));
	memcpy(k->bytes + sizeof(t), &part, sizeof(part));
	if (n)
		memcpy(k->bytes + sizeof(t) + sizeof(part), id.ptr, n);
	k->len = sizeof(t) + sizeof(part) + n;
	return str_mem(k->bytes, k->len);
}

static void take(struct streamery *s, const struct table *t, const struct qrec *r, uint64_t offset)
{
	struct taken_key k;

	map_put(&s->taken, taken_key(&k, t, r->part, r->request_id), (void *)(uintptr_t)(offset + 1));
}

void stream_forget_taken(struct streamery *s, const struct work *w)
{
	struct taken_key k;

	for (size_t i = 0; i < w->batch.n_requests; i++) {
		const struct cut_request *q = &w->batch.requests[i];

		map_del(&s->taken, taken_key(&k, w->table, q->part, q->request_id));
	}
}

/* 1: a repeat; 0: new, or the record itself, met again; -1: the state cannot be asked. */
static int is_repeat(struct streamery *s, const struct table *t, const struct qrec *r, uint64_t offset, struct err *e)
{
	struct err why = ERR_INIT;
	uint32_t partition;
	struct taken_key k;
	uint64_t at = (uintptr_t)map_get(&s->taken, taken_key(&k, t, r->part, r->request_id));

	if (at)
		return at - 1 != offset;
	if (!s->db) {
		s->db = state_reader(s->state, e);
		if (!s->db)
			return -1;
	}
	if (db_request_find(s->db, r->source_id, r->request_id, r->table, r->part, &partition, &at, &why)) {
		if (why.code == ERR_NOT_FOUND)
			return 0;
		if (e)
			*e = why;
		return -1;
	}
	return partition != s->partition || at != offset;
}

static void drop_repeat(struct streamery *s, struct table *t, const struct qrec *r, uint64_t offset)
{
	struct drop *d = xcalloc(1, sizeof(*d));

	d->table = t;
	d->request_id = str_dup(r->request_id);
	d->id_len = r->request_id.len;
	d->part = r->part;
	d->offset = offset;
	d->records = r->records;
	TAILQ_INSERT_TAIL(&s->drops, d, link);
	s->memory += sizeof(*d) + d->id_len;
	stream_count(s, t, offset, r->records, r->records, r->received_at);
	metric_add(stream_repeats_total, 1);
}

void stream_drop_free(struct streamery *s, struct drop *d)
{
	TAILQ_REMOVE(&s->drops, d, link);
	s->memory -= sizeof(*d) + d->id_len;
	free(d->request_id);
	free(d);
}

static void add_head(struct work *w, const struct qrec *r)
{
	struct buf head = BUF_INIT;
	struct err e = ERR_INIT;

	/* each batch brings one at least: its keys are those of its own head, whatever the table had since */
	if (w->batch.n_heads && (stream_shape_known(w->table, r->shape_hash) || batch_knows_shape(&w->batch, r->shape_hash)))
		return;
	if (frame_head(r->body, &head, &e))
		log_err("no head can be read in a frame of table %s: %s", w->table->name, e.text);
	else
		batch_add_head(&w->batch, r->shape_hash, buf_str(&head));
	buf_free(&head);
}

static void append(struct streamery *s, struct table *t, const struct qrec *r, uint64_t offset)
{
	struct work *w = t->open;

	if (w && !batch_fits(&w->batch, r)) {
		stream_cut(s, w, CUT_KEYS);
		w = NULL;
	}
	if (!w)
		w = stream_open(s, t, r, offset);
	add_head(w, r);
	batch_add(&w->batch, s->frame, r, offset);
	if (r->flags & QREC_KEYED)
		take(s, t, r, offset);
	stream_weigh(s, w);
	stream_count(s, t, offset, r->records, r->records, r->received_at);
	metric_add(stream_records_total, (int64_t)r->records);
	stream_cut_if(s, w, false);
}

/* -1: not now; it must be read again. */
static int take_record(struct streamery *s, const struct qrec *r, uint64_t offset, struct err *e)
{
	struct table *t = stream_table(s, r->source_id, r->table);
	int repeat = 0;

	if (offset < t->cursor) {
		stream_count(s, t, offset, r->records, 0, 0);
	} else {
		if (r->flags & QREC_KEYED)
			repeat = is_repeat(s, t, r, offset, e);
		if (repeat < 0)
			return -1;
		if (repeat)
			drop_repeat(s, t, r, offset);
		else
			append(s, t, r, offset);
	}
	s->read_next = offset + 1;
	s->last_received = r->received_at;
	return 0;
}

static void wait_a_little(struct streamery *s, const struct err *e)
{
	stream_problem(s->read_problem, sizeof(s->read_problem), s, e);
	s->read_again = s->now.mono + AGAIN;
	stream_note(s, s->read_again);
}

static void unreadable(struct streamery *s, uint64_t offset, const struct err *e)
{
	stream_problem(s->incident, sizeof(s->incident), s, e);
	snprintf(s->event_object, sizeof(s->event_object), "partition %" PRIu32 " offset %" PRIu64, s->partition, offset);
	snprintf(s->event_text, sizeof(s->event_text), "a queue record that was accepted cannot be read and is passed over: %.400s", e->text);
	s->event_then = offset + 1;
	s->event_wanted = true;
}

static bool may_read(struct streamery *s)
{
	if (atomic_load(&s->draining) || s->rewinds || s->event_wanted || s->memory >= s->config.memory_bytes)
		return false;
	if (s->read_again > s->now.mono) {
		stream_note(s, s->read_again);
		return false;
	}
	return true;
}

static void add_records(uint32_t source_id, struct str table, uint64_t records, uint64_t lines, void *arg)
{
	(void)source_id;
	(void)table;
	*(uint64_t *)arg += records + lines;
}

/* Nothing to read. When the queue ends behind where we are (a start may leave a gap of offsets), that much is read too; the headers are asked,
 * because a position that is saved too far would be a record lost. */
static void at_end(struct streamery *s, uint64_t end)
{
	uint64_t there = 0;
	struct err e = ERR_INIT;

	if (s->read_next >= end || queue_tally(s->queue, s->partition, s->read_next, end, add_records, &there, &e) || there)
		return;
	s->read_next = end;
}

bool stream_read(struct streamery *s)
{
	struct err e = ERR_INIT;
	struct qrec r;
	uint64_t offset, bytes = 0, end = queue_end(s->queue, s->partition);

	for (unsigned n = 0; n < BUDGET_RECORDS && bytes < BUDGET_BYTES; n++) {
		int rc;

		if (!may_read(s))
			return false;
		rc = queue_read(s->reader, &r, &offset, &e);
		if (rc == 0) {
			at_end(s, end);
			return false;
		}
		if (rc < 0 && e.code == ERR_CORRUPT) {
			unreadable(s, offset, &e);
			return false;
		}
		if (rc < 0) {
			wait_a_little(s, &e);
			return false;
		}
		bytes += r.body.len;
		if (take_record(s, &r, offset, &e)) {
			wait_a_little(s, &e);
			if (queue_reader_seek(s->reader, offset, &e))
				unreadable(s, offset, &e);
			return false;
		}
		s->read_problem[0] = '\0';
	}
	return true;
}
