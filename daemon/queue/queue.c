/*
 * queue.c - opens a queue by its URL's scheme and checks what callers pass, so that a backend need not. A put is walked here, in the
 * caller's thread: bytes that are not exactly n records would make a log that cannot be read.
 */
#include "daemon/queue/queue.h"

#include "daemon/queue/queue_ops.h"

static const struct queue_ops *const backends[] = {&queue_log_ops, &queue_mem_ops};

struct queue *queue_open(const struct queue_config *given, struct err *e)
{
	struct queue_config c = *given;
	const char *url = c.url && *c.url ? c.url : "log:";
	struct queue *q;

	c.url = url;
	if (!c.segment_bytes)
		c.segment_bytes = 64u << 20;
	if (!c.spare_segments)
		c.spare_segments = 2;
	if (!c.mailbox_count)
		c.mailbox_count = 4096;
	if (!c.mailbox_bytes)
		c.mailbox_bytes = 64u << 20;
	for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
		size_t n = strlen(backends[i]->scheme);

		if (strncmp(url, backends[i]->scheme, n) != 0 || url[n] != ':')
			continue;
		q = backends[i]->open(&c, url + n + 1, e);
		if (!q)
			err_wrap(e, "queue %s", url);
		return q;
	}
	err_set(e, ERR_CONFIG, "queue %s: this program knows log:DIR and mem: only; set `queue` to one of them", url);
	return NULL;
}

int queue_start(struct queue *q, struct err *e)
{
	return q->ops->start(q, e);
}

int64_t queue_step(struct queue *q, struct now now)
{
	return q->ops->step(q, now);
}

int queue_put(struct queue *q, struct queue_put *p, struct err *e)
{
	size_t at = 0;

	assert(p->n >= 1 && p->done);
	if (p->bytes.len > QUEUE_PUT_MAX)
		return err_set(e, ERR_INVALID, "a request of %zu bytes is larger than a queue takes at once (%u)", p->bytes.len, QUEUE_PUT_MAX);
	for (unsigned i = 0; i < p->n; i++) {
		struct qrec r;
		size_t used;

		if (qrec_peek(p->bytes.data + at, p->bytes.len - at, &r, &used, e) || used > p->bytes.len - at)
			return err_set(e, ERR_INTERNAL, "a request for the queue is not made of %u queue records", p->n);
		at += used;
	}
	if (at != p->bytes.len)
		return err_set(e, ERR_INTERNAL, "a request for the queue holds more than %u queue records", p->n);
	p->err = ERR_INIT;
	p->msg.bytes = p->bytes.len;
	return q->ops->put(q, p, e);
}

void queue_stop(struct queue *q)
{
	q->ops->stop(q);
}

void queue_close(struct queue *q)
{
	if (q)
		q->ops->close(q);
}

const unsigned char *queue_id(const struct queue *q)
{
	return q->id;
}

unsigned queue_partitions(const struct queue *q)
{
	return q->partitions;
}

uint64_t queue_begin(const struct queue *q, uint32_t partition)
{
	assert(partition < q->partitions);
	return q->ops->begin(q, partition);
}

uint64_t queue_end(const struct queue *q, uint32_t partition)
{
	assert(partition < q->partitions);
	return q->ops->end(q, partition);
}

bool queue_writable(const struct queue *q, struct err *why)
{
	return q->ops->writable(q, why);
}

void queue_on_durable(struct queue *q, void (*fn)(void *arg), void *arg)
{
	q->on_durable_arg = arg;
	q->on_durable = fn;
}

struct queue_reader *queue_reader_open(struct queue *q, uint32_t partition, uint64_t from, struct err *e)
{
	uint64_t begin, end;

	if (partition >= q->partitions) {
		err_set(e, ERR_INVALID, "the queue has no partition %" PRIu32 " (it has %u)", partition, q->partitions);
		return NULL;
	}
	begin = q->ops->begin(q, partition);
	end = q->ops->end(q, partition);
	if (from < begin || from > end) {
		/* a silent jump would lose or repeat records: a person has to look */
		err_set(e, ERR_NOT_FOUND, "offset %" PRIu64 " is not in the queue: it holds %" PRIu64 " to %" PRIu64, from, begin, end);
		return NULL;
	}
	return q->ops->reader(q, partition, from, e);
}

int queue_read(struct queue_reader *r, struct qrec *out, uint64_t *offset, struct err *e)
{
	return r->queue->ops->read(r, out, offset, e);
}

int queue_reader_seek(struct queue_reader *r, uint64_t to, struct err *e)
{
	return r->queue->ops->seek(r, to, e);
}

void queue_reader_close(struct queue_reader *r)
{
	if (r)
		r->queue->ops->reader_close(r);
}

int queue_tally(struct queue *q, uint32_t partition, uint64_t from, uint64_t to, queue_tally_fn *fn, void *arg, struct err *e)
{
	assert(partition < q->partitions);
	if (from >= to)
		return 0;
	return q->ops->tally(q, partition, from, to, fn, arg, e);
}

uint64_t queue_trim_point(struct queue *q, uint32_t partition, uint64_t below)
{
	assert(partition < q->partitions);
	return q->ops->trim_point(q, partition, below);
}

void queue_oldest_segment(struct queue *q, uint32_t partition, int64_t *newest_received, uint64_t *end_offset, uint64_t *bytes_total)
{
	assert(partition < q->partitions);
	q->ops->oldest(q, partition, newest_received, end_offset, bytes_total);
}

int queue_trim(struct queue *q, uint32_t partition, uint64_t below, struct err *e)
{
	assert(partition < q->partitions);
	return q->ops->trim(q, partition, below, e);
}

void queue_stats(struct queue *q, struct queue_stats *out)
{
	q->ops->stats(q, out);
}
