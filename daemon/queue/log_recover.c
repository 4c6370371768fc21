/*
 * log_recover.c - what a start finds in the log's folder. Each segment is read cold (the page cache may show bytes that never
 * reached the disk) up to its first unit that is not whole or does not follow, newest file first, because an earlier segment ends
 * where a later one begins: after a failed append the same offsets are written again, elsewhere. Files without a record, temporary
 * files and surplus recycled ones are unlinked. Nothing is ever appended to a file that is found here.
 * What can go wrong: a file that cannot be read stops the start with its name; one whose header is damaged is put aside.
 */
#include "daemon/queue/log_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "log.h"
#include "xalloc.h"

#define ID_FILE "queue.id"
#define DAMAGED ".damaged"
#define WINDOW (4u << 20)

struct numbers {
	uint64_t *n;
	size_t count, cap;
};

struct found {
	struct numbers segments, recycled, indexes;
	uint64_t highest;
	bool changed; /* something was unlinked: the folder must be synced */
};

static void add_number(struct numbers *l, uint64_t number)
{
	if (l->count == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 16;
		l->n = xreallocarray(l->n, l->cap, sizeof(*l->n));
	}
	l->n[l->count++] = number;
}

static int descending(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? 1 : *x > *y ? -1 : 0;
}

static int drop(struct log *l, struct found *f, const char *name, struct err *e)
{
	char *path = xasprintf("%s/%s", l->dir, name);
	int rc = unlink(path) ? err_errno(e, errno, "unlink %s", path) : 0;

	f->changed = true;
	free(path);
	return rc;
}

static int look(struct log *l, struct found *f, struct err *e)
{
	DIR *d = opendir(l->dir);
	struct dirent *de;
	int rc = 0;

	if (!d)
		return err_errno(e, errno, "folder %s", l->dir);
	while (!rc && (de = readdir(d))) {
		uint64_t number = 0;

		if (strncmp(de->d_name, SEG_TMP, strlen(SEG_TMP)) == 0)
			rc = drop(l, f, de->d_name, e);
		else if (!seg_name_parse(de->d_name, SEG_SUFFIX, &number))
			add_number(&f->segments, number);
		else if (!seg_name_parse(de->d_name, SEG_RECYCLED, &number))
			add_number(&f->recycled, number);
		else if (!seg_name_parse(de->d_name, SEG_INDEX, &number))
			add_number(&f->indexes, number);
		else if (seg_name_parse(de->d_name, DAMAGED, &number))
			continue;
		f->highest = MAX(f->highest, number);
	}
	closedir(d);
	if (f->segments.count)
		qsort(f->segments.n, f->segments.count, sizeof(uint64_t), descending);
	if (f->recycled.count)
		qsort(f->recycled.n, f->recycled.count, sizeof(uint64_t), descending);
	return rc;
}

/* --- the queue's id --- */

static int id_from_segment(struct log *l, const struct found *f)
{
	for (size_t i = 0; i < f->segments.count; i++) {
		char *path = log_path(l, f->segments.n[i], SEG_SUFFIX);
		int fd = open(path, O_RDONLY | O_CLOEXEC), rc = -1;
		struct seg_header h;

		free(path);
		if (fd >= 0) {
			rc = seg_header_read(fd, &h, NULL);
			close(fd);
		}
		if (!rc) {
			memcpy(l->q.id, h.queue_id, QUEUE_ID_LEN);
			return 0;
		}
	}
	return -1;
}

static int load_id(struct log *l, const struct found *f, struct err *e)
{
	struct buf b = BUF_INIT;
	char *path = xasprintf("%s/" ID_FILE, l->dir);
	struct err why = ERR_INIT;
	int rc = file_read(path, 64, &b, &why);

	if (!rc) {
		if (str_from_hex(str_trim(buf_str(&b)), l->q.id, QUEUE_ID_LEN))
			rc = err_set(e, ERR_CORRUPT, "%s holds no queue id (32 hex digits): restore it, or remove it to take the id of the segments", path);
	} else if (why.code == ERR_NOT_FOUND) {
		if (id_from_segment(l, f))
			random_bytes(l->q.id, QUEUE_ID_LEN);
		buf_add_hex(&b, l->q.id, QUEUE_ID_LEN);
		buf_addc(&b, '\n');
		rc = file_commit(l->dir, ID_FILE, b.data, b.len, e);
	} else {
		rc = err_set(e, why.code, "%s", why.text);
	}
	buf_free(&b);
	free(path);
	return rc;
}

/* --- one segment --- */

/* Units up to the first that is not whole, does not follow or reaches over limit. */
static int scan(struct log *l, struct log_seg *s, struct seg_window *w, uint64_t limit, struct err *e)
{
	uint64_t pos = SEG_BLOCK;

	for (;;) {
		struct err why = ERR_INIT;
		struct seg_unit u;
		const char *body;

		if (seg_unit_head(w, pos, &u, &why) || seg_unit_body(w, pos, &u, &body, &why)) {
			if (why.code == ERR_CORRUPT)
				return 0;
			return err_set(e, why.code, "%s", why.text);
		}
		if (s->first == s->end)
			s->first = s->end = u.offset;
		if (u.offset != s->end || u.offset + u.n > limit)
			return 0;
		if (log_count_unit(l, s, pos, body, (size_t)u.len, u.n, &why)) {
			log_err("queue: segment %020" PRIu64 ": %s; it is read up to there", s->number, why.text);
			return 0;
		}
		pos = seg_unit_next(pos, &u);
		s->end_pos = pos;
	}
}

static int put_aside(struct log *l, struct found *f, uint64_t number, const char *why, struct err *e)
{
	char *from = seg_name(number, SEG_SUFFIX), *to = seg_name(number, DAMAGED);
	int rc = file_rename(l->dir, from, to, e);

	f->changed = true;
	log_err("queue: segment %s/%s cannot be read (%s): it is kept as %s; what it held is not in the queue", l->dir, from, why, to);
	free(from);
	free(to);
	return rc;
}

static int header_of(int fd, uint64_t number, struct seg_header *h, struct err *e)
{
	if (seg_header_read(fd, h, e))
		return -1;
	if (h->number != number)
		return err_set(e, ERR_CORRUPT, "its header is that of number %" PRIu64, h->number);
	return 0;
}

/* Read it whole, cold. A start does not know whether a write to it was refused, so it is never recycled. */
static struct log_seg *scan_file(struct log *l, int fd, const struct seg_header *h, uint64_t size, uint64_t limit, struct err *e)
{
	struct seg_window w = {.fd = fd, .ahead = WINDOW, .epoch = h->epoch, .limit = size};
	struct log_seg *s = log_seg_new(h->number, h->epoch, size, 0);

	s->failed = true;
	if (scan(l, s, &w, limit, e)) {
		log_seg_free(s);
		s = NULL;
	}
	buf_free(&w.buf);
	return s;
}

/* 0 and *out (NULL: no record in it), or -1. */
static int read_segment(struct log *l, struct found *f, uint64_t number, uint64_t limit, struct log_seg **out, struct err *e)
{
	char *path = log_path(l, number, SEG_SUFFIX);
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = -1;
	struct log_seg *s = NULL;
	struct err why = ERR_INIT;
	struct seg_header h;
	struct stat st;

	*out = NULL;
	if (fd < 0 || fstat(fd, &st)) {
		err_errno(e, errno, "%s", path);
		goto out;
	}
	if (header_of(fd, number, &h, &why)) {
		rc = why.code == ERR_CORRUPT ? put_aside(l, f, number, why.text, e) : err_set(e, why.code, "%s: %s", path, why.text);
		goto out;
	}
	if (memcmp(h.queue_id, l->q.id, QUEUE_ID_LEN) != 0) {
		err_set(e, ERR_CORRUPT, "%s belongs to another queue: move it away, or give each queue a folder of its own", path);
		goto out;
	}
	s = log_index_read(l, &h, (uint64_t)st.st_size);
	if (s && s->end > limit) {
		log_seg_free(s);
		s = NULL;
	}
	if (!s) {
		if (file_go_cold(fd, e) == 0 && header_of(fd, number, &h, e) == 0)
			s = scan_file(l, fd, &h, (uint64_t)st.st_size, limit, e);
		if (!s) {
			err_wrap(e, "%s", path);
			goto out;
		}
		if (s->first != s->end)
			log_index_later(l, s);
	}
	rc = 0;
	if (s->first != s->end) {
		*out = s;
		s = NULL;
	}
out:
	log_seg_free(s);
	if (fd >= 0)
		close(fd);
	free(path);
	return rc;
}

/* Indexes of segments that are gone. */
static int read_indexes(struct log *l, struct found *f, struct err *e)
{
	for (size_t i = 0; i < f->indexes.count; i++) {
		char *name = seg_name(f->indexes.n[i], SEG_INDEX), *path = log_path(l, f->indexes.n[i], SEG_SUFFIX);
		int rc = access(path, F_OK) == 0 ? 0 : drop(l, f, name, e);

		free(path);
		free(name);
		if (rc)
			return -1;
	}
	return 0;
}

/* --- all of them --- */

static int read_segments(struct log *l, struct found *f, struct err *e)
{
	uint64_t limit = UINT64_MAX;

	for (size_t i = 0; i < f->segments.count; i++) {
		uint64_t number = f->segments.n[i];
		struct log_seg *s;

		if (read_segment(l, f, number, limit, &s, e))
			return -1;
		if (s) {
			limit = s->first;
			log_seg_push(l, s);
			continue;
		}
		if (number == f->highest) {
			l->leftover = number;
			continue;
		}
		char *name = seg_name(number, SEG_SUFFIX);
		char *path = xasprintf("%s/%s", l->dir, name);
		int rc = access(path, F_OK) ? 0 : drop(l, f, name, e); /* not there: put aside */

		free(path);
		free(name);
		if (rc)
			return -1;
	}
	/* found newest first */
	for (size_t i = 0, k = l->n_segs; i + 1 < k; i++, k--) {
		struct log_seg *t = l->segs[i];

		l->segs[i] = l->segs[k - 1];
		l->segs[k - 1] = t;
	}
	return 0;
}

/* Recycled files hold nothing; a few sound ones are kept. Cold, so that a write that was refused before cannot hide in the cache. */
static int read_recycled(struct log *l, struct found *f, struct err *e)
{
	for (size_t i = 0; i < f->recycled.count; i++) {
		char *name = seg_name(f->recycled.n[i], SEG_RECYCLED), *path = xasprintf("%s/%s", l->dir, name);
		int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
		struct stat st;

		if (fd >= 0 && !fstat(fd, &st) && (uint64_t)st.st_size == l->segment_bytes && l->n_recycled < l->want_spares && !file_go_cold(fd, NULL))
			l->recycled[l->n_recycled++] = f->recycled.n[i];
		else
			rc = drop(l, f, name, e);
		if (fd >= 0)
			close(fd);
		free(path);
		free(name);
		if (rc)
			return -1;
	}
	return 0;
}

/* Legal when a first offset was asked for; else a segment was damaged or taken away, and somebody must hear of it. */
static void tell_gaps(const struct log *l)
{
	for (size_t i = 1; i < l->n_segs; i++)
		if (l->segs[i]->first > l->segs[i - 1]->end)
			log_warn("queue: %s holds no offsets %" PRIu64 " to %" PRIu64 ": never given, or lost with a damaged segment", l->dir, l->segs[i - 1]->end,
				l->segs[i]->first - 1);
}

int log_recover(struct log *l, uint64_t first_offset, struct err *e)
{
	struct found f = {.highest = 0};
	uint64_t end = first_offset;
	int rc = -1;

	if (look(l, &f, e) || load_id(l, &f, e) || read_segments(l, &f, e) || read_recycled(l, &f, e) || read_indexes(l, &f, e))
		goto out;
	if (f.changed && file_sync_dir(l->dir, e))
		goto out;
	tell_gaps(l);
	if (l->n_segs)
		end = MAX(end, l->segs[l->n_segs - 1]->end);
	atomic_store(&l->end, end);
	l->next_number = f.highest + 1;
	l->slots_of = NULL;
	rc = 0;
out:
	free(f.segments.n);
	free(f.recycled.n);
	free(f.indexes.n);
	return rc;
}
