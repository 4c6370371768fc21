/*
 * queue_mem.c - the queue in memory, see queue_mem.h: the reference that says what a queue's answers mean. A request is a unit: a
 * unit is durable (seen by readers, survives a crash), early (answered and not durable: the planted bug), or in limbo (answered with
 * an error; a crash decides whether it is there). As in the log a limbo unit has the offsets that the next good request gets, and
 * loses against it. Every unit is a segment of its own when trimming.
 */
#include "daemon/queue/queue_mem.h"

#include "daemon/queue/queue_ops.h"
#include "map.h"
#include "xalloc.h"

struct unit {
	uint64_t offset;
	unsigned n;
	struct buf bytes;
};

struct units {
	struct unit *u;
	size_t n, cap;
};

struct mem {
	struct queue q;
	struct mailbox *mb;
	struct units durable, early, limbo;
	uint64_t begin, end;
	uint64_t groups, records;
	unsigned faults, life; /* life: how many crashes; readers of an earlier one are void */
	bool failing;	       /* the last group answered an error */
};

struct mem_reader {
	struct queue_reader r;
	unsigned life;
	uint64_t next;
};

static struct mem *mem(const struct queue *q)
{
	return container_of(q, struct mem, q);
}

static void units_add(struct units *l, uint64_t offset, unsigned n, const struct buf *bytes)
{
	struct unit *u;

	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 64;
		l->u = xreallocarray(l->u, l->cap, sizeof(*l->u));
	}
	u = &l->u[l->n++];
	*u = (struct unit){.offset = offset, .n = n};
	buf_add(&u->bytes, bytes->data, bytes->len);
}

static void units_drop(struct units *l, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_free(&l->u[i].bytes);
	if (n)
		memmove(l->u, l->u + n, (l->n - n) * sizeof(*l->u));
	l->n -= n;
}

static void units_free(struct units *l)
{
	units_drop(l, l->n);
	free(l->u);
}

/* The first unit that ends behind offset, or n. */
static size_t units_find(const struct units *l, uint64_t offset)
{
	size_t lo = 0, hi = l->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->u[mid].offset + l->u[mid].n <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* i-th record of a unit; the bytes were checked when they were put */
static void unit_record(const struct unit *u, uint64_t i, struct qrec *out)
{
	size_t at = 0, used = 0;

	for (uint64_t k = 0; k <= i; k++, at += used) {
		int rc = qrec_peek(u->bytes.data + at, u->bytes.len - at, out, &used, NULL);

		assert(!rc);
	}
}

static struct queue *mem_open(const struct queue_config *c, const char *rest, struct err *e)
{
	struct mem *m;

	(void)rest;
	(void)e;
	m = xcalloc(1, sizeof(*m));
	m->q.ops = &queue_mem_ops;
	m->q.partitions = 1;
	random_bytes(m->q.id, sizeof(m->q.id));
	m->mb = mailbox_new(c->mailbox_count, c->mailbox_bytes);
	m->begin = m->end = c->first_offset;
	return &m->q;
}

static int mem_start(struct queue *q, struct err *e)
{
	(void)q;
	return err_set(e, ERR_STATE, "a queue in memory has no threads: it is for tests that step it themselves");
}

static void make_durable(struct mem *m, struct units *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct unit *u = &l->u[i];

		units_add(&m->durable, u->offset, u->n, &u->bytes);
		m->end = u->offset + u->n;
	}
	units_drop(l, l->n);
}

static void answer(struct queue_put *p, enum err_code code, uint64_t offset)
{
	p->partition = 0;
	p->offset = offset;
	if (code != ERR_NONE)
		err_set(&p->err, code, "the queue could not write (a fault that the test asked for)");
	p->done(p);
}

static int64_t mem_step(struct queue *q, struct now now)
{
	struct mem *m = mem(q);
	struct msg *list, *next;
	unsigned faults = m->faults;
	bool fail = faults & QUEUE_MEM_FAIL_NEXT, lie = faults & QUEUE_MEM_ACK_EARLY;
	struct units *to = fail ? &m->limbo : lie ? &m->early : &m->durable;
	uint64_t at;

	(void)now;
	make_durable(m, &m->early);
	list = mailbox_take(m->mb, QUEUE_GROUP_MAX, QUEUE_GROUP_BYTES);
	if (!list)
		return NEVER;
	m->faults &= ~(unsigned)(QUEUE_MEM_FAIL_NEXT | QUEUE_MEM_LOSE_ANSWER);
	if (!fail)
		units_drop(&m->limbo, m->limbo.n); /* a later segment holds their offsets: it wins */
	at = m->end;
	for (struct msg *i = list; i; i = i->next) {
		struct queue_put *p = container_of(i, struct queue_put, msg);

		units_add(to, at, p->n, &p->bytes);
		p->offset = at;
		at += p->n;
		m->records += fail ? 0 : p->n;
	}
	if (to == &m->durable)
		m->end = at;
	m->failing = fail;
	m->groups += !fail;
	for (; list; list = next) {
		struct queue_put *p = container_of(list, struct queue_put, msg);

		next = list->next;
		answer(p, fail || (faults & QUEUE_MEM_LOSE_ANSWER) ? ERR_IO : ERR_NONE, p->offset);
	}
	if (!fail && m->q.on_durable)
		m->q.on_durable(m->q.on_durable_arg);
	return 0;
}

static int mem_put(struct queue *q, struct queue_put *p, struct err *e)
{
	if (mailbox_put(mem(q)->mb, &p->msg))
		return err_set(e, ERR_FULL, "the queue's mailbox is full or closed: try again");
	return 0;
}

static void mem_stop(struct queue *q)
{
	mailbox_close(mem(q)->mb);
	while (mem_step(q, now_get()) != NEVER)
		;
}

static void mem_close(struct queue *q)
{
	struct mem *m = mem(q);

	mem_stop(q);
	units_free(&m->durable);
	units_free(&m->early);
	units_free(&m->limbo);
	mailbox_free(m->mb);
	free(m);
}

static uint64_t mem_begin(const struct queue *q, uint32_t partition)
{
	(void)partition;
	return mem(q)->begin;
}

static uint64_t mem_end(const struct queue *q, uint32_t partition)
{
	(void)partition;
	return mem(q)->end;
}

static bool mem_writable(const struct queue *q, struct err *why)
{
	if (!mem(q)->failing)
		return true;
	err_set(why, ERR_IO, "the last write to the queue failed");
	return false;
}

static struct queue_reader *mem_reader(struct queue *q, uint32_t partition, uint64_t from, struct err *e)
{
	struct mem_reader *r = xcalloc(1, sizeof(*r));

	(void)e;
	r->r.queue = q;
	r->r.partition = partition;
	r->next = from;
	r->life = mem(q)->life;
	return &r->r;
}

static int mem_read(struct queue_reader *qr, struct qrec *out, uint64_t *offset, struct err *e)
{
	struct mem_reader *r = container_of(qr, struct mem_reader, r);
	struct mem *m = mem(qr->queue);
	const struct unit *u;
	size_t i;

	if (r->life != m->life)
		return err_set(e, ERR_STATE, "this reader is from before the crash");
	*offset = r->next;
	if (r->next < m->begin)
		return err_set(e, ERR_NOT_FOUND, "offset %" PRIu64 " was trimmed; the queue begins at %" PRIu64, r->next, m->begin);
	i = units_find(&m->durable, r->next);
	if (i == m->durable.n)
		return 0;
	u = &m->durable.u[i];
	r->next = MAX(r->next, u->offset);
	unit_record(u, r->next - u->offset, out);
	*offset = r->next++;
	return 1;
}

static int mem_seek(struct queue_reader *qr, uint64_t to, struct err *e)
{
	struct mem_reader *r = container_of(qr, struct mem_reader, r);
	struct mem *m = mem(qr->queue);

	if (to < m->begin || to > m->end)
		return err_set(e, ERR_NOT_FOUND, "offset %" PRIu64 " is not in the queue", to);
	r->next = to;
	return 0;
}

static void mem_reader_close(struct queue_reader *qr)
{
	free(container_of(qr, struct mem_reader, r));
}

struct sum {
	uint32_t source;
	struct buf table;
	uint64_t records, lines;
};

struct tally {
	queue_tally_fn *fn;
	void *arg;
};

static void add_record(struct map *sums, const struct qrec *r)
{
	struct buf key = BUF_INIT;
	struct sum *s;

	buf_addf(&key, "%" PRIu32 "/", r->source_id);
	buf_addstr(&key, r->table);
	s = map_get(sums, buf_str(&key));
	if (!s) {
		s = xcalloc(1, sizeof(*s));
		s->source = r->source_id;
		buf_addstr(&s->table, r->table);
		map_put(sums, buf_str(&key), s);
	}
	s->records += r->records;
	s->lines += r->lines;
	buf_free(&key);
}

static void tell(struct str key, void *value, void *arg)
{
	struct tally *t = arg;
	struct sum *s = value;

	(void)key;
	t->fn(s->source, buf_str(&s->table), s->records, s->lines, t->arg);
}

static void sum_free(void *p)
{
	struct sum *s = p;

	buf_free(&s->table);
	free(s);
}

static int mem_tally(struct queue *q, uint32_t partition, uint64_t from, uint64_t to, queue_tally_fn *fn, void *arg, struct err *e)
{
	struct mem *m = mem(q);
	struct map sums = {NULL};
	struct tally t = {fn, arg};

	(void)partition;
	(void)e;
	for (size_t i = units_find(&m->durable, from); i < m->durable.n && m->durable.u[i].offset < to; i++) {
		const struct unit *u = &m->durable.u[i];

		for (uint64_t k = 0; k < u->n; k++) {
			struct qrec r;

			unit_record(u, k, &r);
			if (u->offset + k >= from && u->offset + k < to)
				add_record(&sums, &r);
		}
	}
	map_each(&sums, tell, &t);
	map_free(&sums, sum_free);
	return 0;
}

static uint64_t mem_trim_point(struct queue *q, uint32_t partition, uint64_t below)
{
	struct mem *m = mem(q);
	uint64_t point = m->begin;

	(void)partition;
	for (size_t i = 0; i < m->durable.n && m->durable.u[i].offset + m->durable.u[i].n <= below; i++)
		point = m->durable.u[i].offset + m->durable.u[i].n;
	return MIN(point, below);
}

static void mem_oldest(struct queue *q, uint32_t partition, int64_t *newest, uint64_t *end, uint64_t *bytes)
{
	struct mem *m = mem(q);

	(void)partition;
	*newest = 0;
	*end = m->end;
	*bytes = 0;
	for (size_t i = 0; i < m->durable.n; i++)
		*bytes += m->durable.u[i].bytes.len;
	if (m->durable.n) {
		const struct unit *u = &m->durable.u[0];
		struct qrec r;

		unit_record(u, u->n - 1, &r);
		*newest = r.received_at;
		*end = u->offset + u->n;
	}
}

static int mem_trim(struct queue *q, uint32_t partition, uint64_t below, struct err *e)
{
	struct mem *m = mem(q);
	uint64_t point = mem_trim_point(q, partition, below);

	(void)e;
	units_drop(&m->durable, units_find(&m->durable, point));
	m->begin = m->durable.n ? MAX(m->begin, m->durable.u[0].offset) : m->end;
	return 0;
}

static void mem_stats(struct queue *q, struct queue_stats *out)
{
	struct mem *m = mem(q);
	size_t bytes;

	*out = (struct queue_stats){.segments = m->durable.n, .groups = m->groups, .records = m->records};
	for (size_t i = 0; i < m->durable.n; i++)
		out->bytes += m->durable.u[i].bytes.len;
	mailbox_stats(m->mb, &out->waiting, &bytes);
}

void queue_mem_fault(struct queue *q, unsigned flags)
{
	assert(q->ops == &queue_mem_ops);
	mem(q)->faults = flags;
}

/* What a failed append left: recovery reads up to the first unit that is not whole, and a later append at the same offset wins. */
static void settle(struct mem *m, struct units *l)
{
	bool whole = true;

	for (size_t i = 0; i < l->n; i++) {
		struct unit *u = &l->u[i];
		unsigned char bit;

		if (u->offset == m->end)
			whole = true; /* the next unit of this append, or the first of the next append */
		random_bytes(&bit, 1);
		whole = whole && (bit & 1) && u->offset >= m->end;
		if (!whole)
			continue;
		units_add(&m->durable, u->offset, u->n, &u->bytes);
		m->end = u->offset + u->n;
	}
	units_drop(l, l->n);
}

void queue_mem_crash(struct queue *q)
{
	struct mem *m = mem(q);
	struct msg *list, *next;

	assert(q->ops == &queue_mem_ops);
	while ((list = mailbox_take(m->mb, SIZE_MAX, SIZE_MAX))) {
		for (; list; list = next) {
			next = list->next;
			buf_free(&container_of(list, struct queue_put, msg)->bytes);
		}
	}
	settle(m, &m->early);
	settle(m, &m->limbo);
	m->faults = 0;
	m->failing = false;
	m->life++;
}

const struct queue_ops queue_mem_ops = {
	.scheme = "mem",
	.open = mem_open,
	.start = mem_start,
	.step = mem_step,
	.put = mem_put,
	.stop = mem_stop,
	.close = mem_close,
	.begin = mem_begin,
	.end = mem_end,
	.writable = mem_writable,
	.reader = mem_reader,
	.read = mem_read,
	.seek = mem_seek,
	.reader_close = mem_reader_close,
	.tally = mem_tally,
	.trim_point = mem_trim_point,
	.oldest = mem_oldest,
	.trim = mem_trim,
	.stats = mem_stats,
};
