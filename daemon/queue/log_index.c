/*
 * log_index.c - the index file of a segment that is over (NUMBER.idx): its offsets, marks and sums, so that a start need not read a backlog of
 * days again. It is written when every byte it speaks of is known to be on the disk: acknowledged, or read cold by a start. It names the
 * segment by number and epoch and has a crc; one that is missing, damaged or of another epoch only costs a reading of the segment.
 * Written by the spare thread, so that no group waits for it.
 */
#include "daemon/queue/log_priv.h"

#include <errno.h>
#include <unistd.h>

#include "daemon/queue/crc32c.h"
#include "daemon/queue/le.h"
#include "file.h"
#include "log.h"
#include "xalloc.h"

#define MAGIC "stitchX\n"
#define VERSION 1
#define HEAD 80u
#define SUM_HEAD 24u
#define INDEX_MAX (256u << 20)

enum { CLEAN = 1 }; /* no write to the segment was ever refused: it can be recycled */

static void add64(struct buf *b, uint64_t v)
{
	char c[8];

	le64_put(c, v);
	buf_add(b, c, sizeof(c));
}

static void encode(const struct log *l, const struct log_seg *s, struct buf *b)
{
	char c[4];

	buf_add(b, MAGIC, 8);
	add64(b, VERSION | (uint64_t)(s->failed ? 0 : CLEAN) << 32);
	add64(b, s->number);
	add64(b, s->epoch);
	add64(b, s->first);
	add64(b, s->end);
	add64(b, s->end_pos);
	add64(b, (uint64_t)s->newest_received);
	add64(b, s->n_marks);
	add64(b, s->n_sums);
	for (size_t i = 0; i < s->n_marks; i++) {
		add64(b, s->marks[i].offset);
		add64(b, s->marks[i].pos);
	}
	for (size_t i = 0; i < s->n_sums; i++) {
		const struct log_table *t = &l->tables[s->sums[i].table];

		add64(b, t->source_id | (uint64_t)t->name.len << 32);
		add64(b, s->sums[i].records);
		add64(b, s->sums[i].lines);
		buf_addstr(b, t->name);
	}
	le32_put(c, crc32c(0, b->data, b->len));
	buf_add(b, c, sizeof(c));
}

static bool decode_sums(struct log *l, struct log_seg *s, const char *p, size_t n, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t who;
		size_t len;

		if (n < SUM_HEAD)
			return false;
		who = le64_get(p);
		len = (size_t)(who >> 32);
		if (!len || len > QREC_TABLE_MAX || len > n - SUM_HEAD)
			return false;
		log_count_table(l, s, (uint32_t)who, str_mem(p + SUM_HEAD, len), le64_get(p + 8), le64_get(p + 16));
		p += SUM_HEAD + len;
		n -= SUM_HEAD + len;
	}
	return n == 0;
}

static bool decode(struct log *l, struct log_seg *s, const char *p, size_t n)
{
	uint64_t marks, sums;

	if (n < HEAD + 4 || memcmp(p, MAGIC, 8) != 0 || le32_get(p + 8) != VERSION || crc32c(0, p, n - 4) != le32_get(p + n - 4))
		return false;
	if (le64_get(p + 16) != s->number || le64_get(p + 24) != s->epoch)
		return false;
	s->failed = !(le32_get(p + 12) & CLEAN);
	s->first = le64_get(p + 32);
	s->end = le64_get(p + 40);
	s->end_pos = le64_get(p + 48);
	s->newest_received = (int64_t)le64_get(p + 56);
	marks = le64_get(p + 64);
	sums = le64_get(p + 72);
	p += HEAD;
	n -= HEAD + 4;
	if (s->first >= s->end || s->end_pos > s->size || marks > n / 16)
		return false;
	for (uint64_t i = 0; i < marks; i++, p += 16, n -= 16)
		log_add_mark(s, le64_get(p), le64_get(p + 8));
	return decode_sums(l, s, p, n, sums);
}

struct log_seg *log_index_read(struct log *l, const struct seg_header *h, uint64_t size)
{
	char *path = log_path(l, h->number, SEG_INDEX);
	struct log_seg *s = log_seg_new(h->number, h->epoch, size, 0);
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;

	if (file_read(path, INDEX_MAX, &b, &e) || !decode(l, s, b.data, b.len)) {
		if (e.code != ERR_NOT_FOUND)
			log_warn("queue: index %s is of no use (%s): its segment is read instead", path, e.code ? e.text : "damaged or of another segment");
		log_seg_free(s);
		s = NULL;
	}
	buf_free(&b);
	free(path);
	return s;
}

void log_index_unlink(const struct log *l, uint64_t number)
{
	char *path = log_path(l, number, SEG_INDEX);

	if (unlink(path) && errno != ENOENT)
		log_warn("queue: cannot unlink %s: %s", path, errno_text(errno));
	free(path);
}

void log_index_later(struct log *l, struct log_seg *s)
{
	if (l->n_unindexed == l->cap_unindexed) {
		l->cap_unindexed = l->cap_unindexed ? 2 * l->cap_unindexed : 4;
		l->unindexed = xreallocarray(l->unindexed, l->cap_unindexed, sizeof(struct log_seg *));
	}
	s->refs++;
	l->unindexed[l->n_unindexed++] = s;
}

bool log_index_one(struct log *l)
{
	struct log_seg *s = NULL;
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;
	bool gone = false;

	pthread_mutex_lock(&l->lock);
	if (l->n_unindexed) {
		s = l->unindexed[--l->n_unindexed];
		/* what a start read may have come from the device's cache: a flush that failed since can have dropped it */
		gone = s->gone || (s->failed && file_sync_failures() != l->failures_at_open);
		encode(l, s, &b);
	}
	pthread_mutex_unlock(&l->lock);
	if (!s)
		return false;
	if (!gone) {
		char *name = seg_name(s->number, SEG_INDEX);

		if (file_commit(l->dir, name, b.data, b.len, &e))
			log_warn("queue: no index for a segment, a start will have to read it: %s", e.text);
		free(name);
		pthread_mutex_lock(&l->lock);
		gone = s->gone;
		pthread_mutex_unlock(&l->lock);
	}
	if (gone)
		log_index_unlink(l, s->number); /* trimmed meanwhile */
	buf_free(&b);
	log_seg_unref(l, s);
	return true;
}
