/*
 * log_count.c - what the log keeps in memory of each segment: a sparse index (one mark about every MiB) and sums per table of a
 * source. Both must stay small, because a backlog of days is thousands of segments: a table's name is kept once for the whole log,
 * a sum is 24 bytes. Sums over a part of a segment are read from the heads in the file.
 */
#include "daemon/queue/log_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "daemon/queue/le.h"
#include "xalloc.h"

#define HEADS_AHEAD (64u << 10)

struct log_seg *log_seg_new(uint64_t number, uint64_t epoch, uint64_t size, uint64_t first)
{
	struct log_seg *s = xcalloc(1, sizeof(*s));

	s->refs = 1;
	s->number = number;
	s->epoch = epoch;
	s->size = size;
	s->first = s->end = first;
	s->end_pos = SEG_BLOCK;
	s->newest_received = INT64_MIN;
	return s;
}

void log_seg_free(struct log_seg *s)
{
	if (!s)
		return;
	free(s->marks);
	free(s->sums);
	free(s);
}

void log_seg_unref(struct log *l, struct log_seg *s)
{
	bool last;

	if (!s)
		return;
	pthread_mutex_lock(&l->lock);
	last = --s->refs == 0;
	pthread_mutex_unlock(&l->lock);
	if (last)
		log_seg_free(s);
}

void log_seg_push(struct log *l, struct log_seg *s)
{
	if (l->n_segs == l->cap_segs) {
		l->cap_segs = l->cap_segs ? 2 * l->cap_segs : 16;
		l->segs = xreallocarray(l->segs, l->cap_segs, sizeof(struct log_seg *));
	}
	l->segs[l->n_segs++] = s;
}

static uint32_t table_id(struct log *l, uint32_t source, struct str name)
{
	char key[4 + QREC_TABLE_MAX];
	struct str k;
	uintptr_t id;

	le32_put(key, source);
	memcpy(key + 4, name.ptr, name.len);
	k = str_mem(key, 4 + name.len);
	id = (uintptr_t)map_get(&l->table_ids, k);
	if (id)
		return (uint32_t)(id - 1);
	if (l->n_tables == l->cap_tables) {
		l->cap_tables = l->cap_tables ? 2 * l->cap_tables : 64;
		l->tables = xreallocarray(l->tables, l->cap_tables, sizeof(*l->tables));
	}
	l->tables[l->n_tables] = (struct log_table){source, {str_dup(name), name.len}};
	id = ++l->n_tables;
	map_put(&l->table_ids, k, (void *)id);
	return (uint32_t)(id - 1);
}

static struct log_sum *sum_of(struct log *l, struct log_seg *s, uint32_t table)
{
	if (table >= l->n_slots) {
		size_t n = MAX((size_t)table + 1, 2 * l->n_slots);

		l->slots = xreallocarray(l->slots, n, sizeof(*l->slots));
		memset(l->slots + l->n_slots, 0, (n - l->n_slots) * sizeof(*l->slots));
		l->n_slots = n;
	}
	if (l->slots_of != s || !s->n_sums) { /* a new segment may have an old one's address */
		memset(l->slots, 0, l->n_slots * sizeof(*l->slots));
		l->slots_of = s;
	}
	if (!l->slots[table]) {
		if (s->n_sums == s->cap_sums) {
			s->cap_sums = s->cap_sums ? 2 * s->cap_sums : 8;
			s->sums = xreallocarray(s->sums, s->cap_sums, sizeof(*s->sums));
		}
		s->sums[s->n_sums] = (struct log_sum){.table = table};
		l->slots[table] = (uint32_t)++s->n_sums;
	}
	return &s->sums[l->slots[table] - 1];
}

void log_add_mark(struct log_seg *s, uint64_t offset, uint64_t pos)
{
	if (s->n_marks && s->marks[s->n_marks - 1].pos / SEG_PIECE == pos / SEG_PIECE)
		return;
	if (s->n_marks == s->cap_marks) {
		s->cap_marks = s->cap_marks ? 2 * s->cap_marks : 4;
		s->marks = xreallocarray(s->marks, s->cap_marks, sizeof(*s->marks));
	}
	s->marks[s->n_marks++] = (struct log_mark){offset, pos};
}

void log_count_table(struct log *l, struct log_seg *s, uint32_t source, struct str name, uint64_t records, uint64_t lines)
{
	struct log_sum *sum = sum_of(l, s, table_id(l, source, name));

	sum->records += records;
	sum->lines += lines;
}

int log_count_unit(struct log *l, struct log_seg *s, uint64_t pos, const char *body, size_t len, uint32_t n, struct err *e)
{
	size_t at = 0, used;
	struct qrec r;

	/* all or nothing: first see that the records are whole */
	for (uint32_t i = 0; i < n; i++, at += used)
		if (qrec_peek(body + at, len - at, &r, &used, e) || used > len - at)
			return err_set(e, ERR_CORRUPT, "the request at %" PRIu64 " is not made of %" PRIu32 " queue records", pos, n);
	at = 0;
	for (uint32_t i = 0; i < n; i++, at += used) {
		if (qrec_peek(body + at, len - at, &r, &used, e))
			return -1;
		log_count_table(l, s, r.source_id, r.table, r.records, r.lines);
		s->newest_received = MAX(s->newest_received, r.received_at);
	}
	log_add_mark(s, s->end, pos);
	s->end += n;
	return 0;
}

/* --- sums over a range of offsets --- */

struct totals {
	struct log_sum *t; /* by table index */
	size_t n;
};

static void total_add(struct totals *t, uint32_t table, uint64_t records, uint64_t lines)
{
	if (table >= t->n) {
		size_t n = MAX((size_t)table + 1, 2 * t->n);

		t->t = xreallocarray(t->t, n, sizeof(*t->t));
		memset(t->t + t->n, 0, (n - t->n) * sizeof(*t->t));
		t->n = n;
	}
	t->t[table].records += records;
	t->t[table].lines += lines;
}

/* A part of a segment that must be read, as it was when the lock was held. */
struct part {
	struct log_seg *seg;
	uint64_t from, to, pos, limit;
};

/* The records of one unit from their heads; at is where the first begins in the file. */
static int part_unit(struct log *l, struct seg_window *w, const struct part *p, const struct seg_unit *u, uint64_t at, struct totals *t,
	struct err *e)
{
	uint64_t end = at + u->len;

	for (uint64_t i = 0; i < u->n; i++) {
		size_t n = (size_t)MIN(end - at, (uint64_t)QREC_HEAD + QREC_TABLE_MAX), used;
		struct qrec r;
		const char *b;

		if (seg_window_get(w, at, n, &b, e) || qrec_peek(b, n, &r, &used, e))
			return -1;
		if (used > end - at)
			return err_set(e, ERR_CORRUPT, "a queue record at %" PRIu64 " reaches over its request", at);
		if (u->offset + i >= p->from && u->offset + i < p->to) {
			uint32_t table;

			pthread_mutex_lock(&l->lock);
			table = table_id(l, r.source_id, r.table);
			pthread_mutex_unlock(&l->lock);
			total_add(t, table, r.records, r.lines);
		}
		at += used;
	}
	return 0;
}

static int part_read(struct log *l, const struct part *p, struct totals *t, struct err *e)
{
	char *path = log_path(l, p->seg->number, SEG_SUFFIX);
	struct seg_window w = {.fd = open(path, O_RDONLY | O_CLOEXEC), .epoch = p->seg->epoch, .limit = p->limit, .ahead = HEADS_AHEAD};
	uint64_t pos = p->pos;
	struct seg_unit u = {.n = 0};
	int rc = 0;

	if (w.fd < 0)
		rc = err_errno(e, errno, "segment");
	while (!rc && pos < p->limit) {
		rc = seg_unit_head(&w, pos, &u, e);
		if (rc || u.offset >= p->to)
			break;
		if (u.offset + u.n > p->from)
			rc = part_unit(l, &w, p, &u, pos + SEG_UNIT_HEAD, t, e);
		pos = seg_unit_next(pos, &u);
	}
	if (rc)
		err_wrap(e, "%s", path);
	if (w.fd >= 0)
		close(w.fd);
	buf_free(&w.buf);
	free(path);
	return rc;
}

uint64_t log_mark_before(const struct log_seg *s, uint64_t offset)
{
	size_t lo = 0, hi = s->n_marks;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->marks[mid].offset <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? s->marks[lo - 1].pos : SEG_BLOCK;
}

/* Whole segments are added from memory; at most two parts are left to read. */
static size_t split(struct log *l, uint64_t from, uint64_t to, struct totals *t, struct part parts[2])
{
	size_t n = 0;

	pthread_mutex_lock(&l->lock);
	to = MIN(to, atomic_load(&l->end));
	for (size_t i = 0; i < l->n_segs; i++) {
		struct log_seg *s = l->segs[i];

		if (s->end <= from || s->first >= to || s->first == s->end)
			continue;
		if (s->first >= from && s->end <= to) {
			for (size_t k = 0; k < s->n_sums; k++)
				total_add(t, s->sums[k].table, s->sums[k].records, s->sums[k].lines);
			continue;
		}
		assert(n < 2);
		s->refs++;
		parts[n++] = (struct part){s, from, to, log_mark_before(s, from), s->end_pos};
	}
	pthread_mutex_unlock(&l->lock);
	return n;
}

int log_tally(struct queue *q, uint32_t partition, uint64_t from, uint64_t to, queue_tally_fn *fn, void *arg, struct err *e)
{
	struct log *l = log_of(q);
	struct totals t = {NULL, 0};
	struct part parts[2];
	size_t n = split(l, from, to, &t, parts);
	int rc = 0;

	(void)partition;
	for (size_t i = 0; i < n; i++) {
		if (!rc)
			rc = part_read(l, &parts[i], &t, e);
		log_seg_unref(l, parts[i].seg);
	}
	for (size_t i = 0; !rc && i < t.n; i++) {
		struct log_table table;

		if (!t.t[i].lines && !t.t[i].records)
			continue;
		pthread_mutex_lock(&l->lock);
		table = l->tables[i]; /* a name, once there, stays until the queue is closed */
		pthread_mutex_unlock(&l->lock);
		fn(table.source_id, table.name, t.t[i].records, t.t[i].lines, arg);
	}
	free(t.t);
	return rc;
}
