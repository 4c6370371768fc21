/*
 * log_read.c - a reader of the log: its own descriptor and window on one segment at a time, so that trimming or writing never
 * waits for it. It looks at the segment list only where its known part ends. Every request's crc is checked again when it is
 * read: a disk can rot. A segment that was trimmed under the reader is told as such, never as damage.
 */
#include "daemon/queue/log_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "xalloc.h"

struct log_reader {
	struct queue_reader r;
	struct log_seg *seg; /* a reference; NULL: find it */
	struct seg_window w;
	uint64_t next;	  /* offset */
	uint64_t seg_end; /* offset behind what is known to be durable in seg */
	uint64_t pos;	  /* of the next unit */
	const char *p;	  /* rest of the unit in the window */
	size_t left;	  /* its bytes */
	uint64_t at;	  /* offset of the record at p */
	uint32_t n_left;  /* records at p */
};

uint64_t log_begin(const struct queue *q, uint32_t partition)
{
	struct log *l = log_of(q);
	uint64_t begin;

	(void)partition;
	pthread_mutex_lock(&l->lock);
	begin = l->n_segs ? l->segs[0]->first : atomic_load(&l->end);
	pthread_mutex_unlock(&l->lock);
	return begin;
}

static void leave_segment(struct log_reader *r)
{
	if (r->w.fd >= 0)
		close(r->w.fd);
	r->w.fd = -1;
	buf_free(&r->w.buf);
	log_seg_unref(log_of(r->r.queue), r->seg);
	r->seg = NULL;
	r->n_left = 0;
}

static int trimmed(const struct log_reader *r, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "offset %" PRIu64 " was trimmed from the queue; it begins at %" PRIu64, r->next,
		queue_begin(r->r.queue, r->r.partition));
}

/* The segment that holds r->next, or the first one behind it (a gap is legal). 1: there is one, 0: nothing yet, -1: trimmed. */
static int find_segment(struct log_reader *r, struct err *e)
{
	struct log *l = log_of(r->r.queue);
	bool below = false;

	pthread_mutex_lock(&l->lock);
	if (l->n_segs && r->next < l->segs[0]->first)
		below = true;
	for (size_t lo = 0; !below && lo < l->n_segs && !r->seg; lo++) {
		struct log_seg *s = l->segs[lo];

		if (s->end <= r->next || s->first == s->end)
			continue;
		s->refs++;
		r->seg = s;
		r->next = MAX(r->next, s->first);
		r->seg_end = s->end;
		r->pos = log_mark_before(s, r->next);
		r->w.epoch = s->epoch;
		r->w.limit = s->end_pos;
	}
	pthread_mutex_unlock(&l->lock);
	if (below)
		return trimmed(r, e);
	return r->seg ? 1 : 0;
}

static int enter_segment(struct log_reader *r, struct err *e)
{
	struct log *l = log_of(r->r.queue);
	int rc = find_segment(r, e);
	char *path;

	if (rc <= 0)
		return rc;
	path = log_path(l, r->seg->number, SEG_SUFFIX);
	r->w.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (r->w.fd < 0) {
		rc = err_errno(e, errno, "%s", path);
		leave_segment(r);
	}
	free(path);
	return rc;
}

/* The known part is read: has it grown? 1: yes, 0: no, this segment is over or there is nothing yet. */
static int grow(struct log_reader *r)
{
	struct log *l = log_of(r->r.queue);
	int more;

	pthread_mutex_lock(&l->lock);
	more = r->seg->end > r->seg_end;
	r->seg_end = r->seg->end;
	r->w.limit = r->seg->end_pos;
	pthread_mutex_unlock(&l->lock);
	return more;
}

static bool seg_gone(struct log_reader *r)
{
	struct log *l = log_of(r->r.queue);
	bool gone;

	pthread_mutex_lock(&l->lock);
	gone = r->seg && r->seg->gone;
	pthread_mutex_unlock(&l->lock);
	return gone;
}

/* Find the unit that holds r->next in the segment, check it and stand on that record. */
static int load_unit(struct log_reader *r, struct err *e)
{
	struct seg_unit u;
	const char *body;
	size_t used;
	struct qrec skip;

	for (;;) {
		if (seg_unit_head(&r->w, r->pos, &u, e))
			return -1;
		if (u.offset + u.n > r->next)
			break;
		r->pos = seg_unit_next(r->pos, &u);
	}
	if (u.offset > r->next)
		return err_set(e, ERR_CORRUPT, "offset %" PRIu64 " is missing: %" PRIu64 " stands in its place", r->next, u.offset);
	if (seg_unit_body(&r->w, r->pos, &u, &body, e))
		return -1;
	r->p = body;
	r->left = (size_t)u.len;
	r->at = u.offset;
	r->n_left = u.n;
	for (; r->at < r->next; r->at++, r->n_left--, r->p += used, r->left -= used)
		if (qrec_peek(r->p, r->left, &skip, &used, e) || used > r->left)
			return err_set(e, ERR_CORRUPT, "the request of offset %" PRIu64 " is not made of queue records", u.offset);
	r->pos = seg_unit_next(r->pos, &u);
	return 0;
}

static int bad(struct log_reader *r, uint64_t *offset, struct err *e)
{
	if (seg_gone(r)) {
		leave_segment(r);
		return trimmed(r, e);
	}
	*offset = r->next;
	err_wrap(e, "segment %020" PRIu64 SEG_SUFFIX ", offset %" PRIu64, r->seg->number, r->next);
	leave_segment(r);
	return -1;
}

static int next_record(struct log_reader *r, struct qrec *out, uint64_t *offset, struct err *e)
{
	size_t used;

	/* the request's crc covers it: its own need not be computed again */
	if (qrec_peek(r->p, r->left, out, &used, e) || used > r->left) {
		err_set(e, ERR_CORRUPT, "a queue record reaches over its request");
		return bad(r, offset, e);
	}
	*offset = r->at;
	r->p += used;
	r->left -= used;
	r->at++;
	r->n_left--;
	r->next = r->at;
	return 1;
}

int log_read(struct queue_reader *qr, struct qrec *out, uint64_t *offset, struct err *e)
{
	struct log_reader *r = container_of(qr, struct log_reader, r);
	struct log *l = log_of(qr->queue);

	for (;;) {
		if (r->n_left)
			return next_record(r, out, offset, e);
		if (r->next >= atomic_load(&l->end))
			return 0;
		if (r->seg && r->next >= r->seg_end && !grow(r))
			leave_segment(r);
		if (!r->seg) {
			int rc = enter_segment(r, e);

			if (rc < 0)
				*offset = r->next;
			if (rc <= 0)
				return rc;
		}
		if (load_unit(r, e))
			return bad(r, offset, e);
	}
}

int log_seek(struct queue_reader *qr, uint64_t to, struct err *e)
{
	struct log_reader *r = container_of(qr, struct log_reader, r);

	if (to > queue_end(qr->queue, qr->partition) || to < queue_begin(qr->queue, qr->partition))
		return err_set(e, ERR_NOT_FOUND, "offset %" PRIu64 " is not in the queue", to);
	leave_segment(r);
	r->next = to;
	return 0;
}

struct queue_reader *log_reader(struct queue *q, uint32_t partition, uint64_t from, struct err *e)
{
	struct log_reader *r = xcalloc(1, sizeof(*r));

	(void)e;
	r->r.queue = q;
	r->r.partition = partition;
	r->next = from;
	r->w.fd = -1;
	return &r->r;
}

void log_reader_close(struct queue_reader *qr)
{
	struct log_reader *r = container_of(qr, struct log_reader, r);

	leave_segment(r);
	free(r);
}
