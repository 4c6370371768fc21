/*
 * queue_log.c - the embedded queue: a log of segment files with one writer. A group = all that lies in the mailbox (bounded), one
 * append into blocks that were zeroed and synced before, one fdatasync, then the answers. After any error nothing is written again
 * in that place: the segment is sealed at its last acknowledged byte, the answer is an error (the sender must take it as unknown), and
 * the next segment begins at the same offset. The rules and why: ARCHITECTURE.md, section 4.
 */
#include "daemon/queue/log_priv.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/core/crashpoint.h"
#include "daemon/core/metrics.h"
#include "file.h"
#include "log.h"
#include "xalloc.h"

#define FIRST_SIZE (4u << 20)

struct log *log_of(const struct queue *q)
{
	return container_of(q, struct log, q);
}

char *log_path(const struct log *l, uint64_t number, const char *suffix)
{
	return xasprintf("%s/%020" PRIu64 "%s", l->dir, number, suffix);
}

/* --- the active segment; the writer only --- */

void log_note_sizes(struct log *l)
{
	uint64_t bytes = 0;
	size_t n;

	pthread_mutex_lock(&l->lock);
	n = l->n_segs;
	for (size_t i = 0; i < n; i++)
		bytes += l->segs[i]->size;
	pthread_mutex_unlock(&l->lock);
	if (l->second)
		return;
	metric_set(queue_bytes, (int64_t)bytes);
	metric_set(queue_segments, (int64_t)n);
}

/* The active segment is over. One that holds no record goes at once: nothing in it was acknowledged. */
static void end_segment(struct log *l, bool failed)
{
	struct log_seg *s = l->active;
	bool empty;

	if (!s)
		return;
	l->active = NULL;
	atomic_store(&l->room, 0);
	if (close(l->fd))
		log_warn("queue: closing segment %020" PRIu64 ": %s", s->number, errno_text(errno));
	l->fd = -1;
	pthread_mutex_lock(&l->lock);
	s->failed = failed;
	empty = s->first == s->end && l->n_segs > 1;
	if (s->first != s->end && !failed) {
		log_index_later(l, s);
		pthread_cond_broadcast(&l->changed);
	}
	if (empty) {
		assert(l->segs[l->n_segs - 1] == s);
		l->n_segs--;
		s->gone = true;
	}
	pthread_mutex_unlock(&l->lock);
	if (empty) {
		char *path = log_path(l, s->number, SEG_SUFFIX);

		if (unlink(path))
			log_warn("queue: cannot unlink %s: %s", path, errno_text(errno));
		free(path);
		log_seg_unref(l, s);
	}
	while (!l->threads && log_index_one(l))
		;
}

static int begin_segment(struct log *l, struct err *e)
{
	struct log_spare spare;

	if (log_spare_take(l, &spare, e))
		return -1;
	l->active = log_seg_new(spare.number, spare.epoch, spare.size, atomic_load(&l->end));
	l->fd = spare.fd;
	l->pos = SEG_BLOCK;
	pthread_mutex_lock(&l->lock);
	log_seg_push(l, l->active);
	pthread_mutex_unlock(&l->lock);
	atomic_store(&l->room, spare.size - SEG_BLOCK);
	log_note_sizes(l);
	return 0;
}

/* A request that is larger than a segment gets one that is made longer, with zeros as any other. */
static int lengthen(struct log *l, uint64_t need, struct err *e)
{
	uint64_t size = l->active->size, to = (SEG_BLOCK + need + SEG_PIECE - 1) & ~(uint64_t)(SEG_PIECE - 1), failures = file_sync_failures();
	int rc = log_space(l, to - size, e);

	if (rc)
		return rc;
	rc = seg_extend(l->fd, size, to, e);
	if (!rc && file_sync_failures_settled() != failures)
		rc = err_set(e, ERR_IO, "a sync of another file failed meanwhile");
	if (rc) {
		err_wrap(e, "segment for a large request");
		end_segment(l, true);
		return rc;
	}
	pthread_mutex_lock(&l->lock);
	l->active->size = to;
	pthread_mutex_unlock(&l->lock);
	atomic_store(&l->room, to - SEG_BLOCK);
	return 0;
}

static int make_room(struct log *l, uint64_t need, struct err *e)
{
	if (l->active && l->active->size - l->pos >= need)
		return 0;
	if (!l->active || l->pos > SEG_BLOCK) {
		end_segment(l, false);
		if (begin_segment(l, e))
			return -1;
	}
	return l->active->size - l->pos >= need ? 0 : lengthen(l, need, e);
}

/* --- a group --- */

struct group {
	struct queue_put *puts[QUEUE_GROUP_MAX];
	struct seg_item items[QUEUE_GROUP_MAX];
	size_t n;
};

static void answer(const struct group *g, uint64_t offset, const struct err *e)
{
	for (size_t i = 0; i < g->n; i++) {
		struct queue_put *p = g->puts[i];

		p->partition = 0;
		p->offset = offset;
		offset += p->n;
		if (e)
			p->err = *e;
		p->done(p);
	}
}

/* Write and sync: rules 1 and 2. */
static int write_group(struct log *l, struct group *g, struct err *e)
{
	struct seg_header h = {.number = l->active->number, .epoch = l->active->epoch};
	uint64_t failures = file_sync_failures();
	int64_t before;
	int rc = seg_append(l->fd, &h, l->pos, atomic_load(&l->end), g->items, g->n, e);

	CRASHPOINT("queue-appended");
	if (rc)
		return rc;
	before = now_get().mono;
	rc = file_fdatasync(l->fd, e);
	metric_add(queue_sync_ns_total, now_get().mono - before);
	if (rc)
		return rc;
	if (file_sync_failures_settled() != failures)
		return err_set(e, ERR_IO, "a sync of another file on this disk failed while this group was written");
	return 0;
}

/* Index and sums, then the high watermark: from here on readers see it. */
static void make_visible(struct log *l, const struct group *g)
{
	struct log_seg *s = l->active;
	uint64_t size = seg_group_size(g->items, g->n), before = s->end;

	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < g->n; i++) {
		const struct seg_item *it = &g->items[i];
		int rc = log_count_unit(l, s, it->pos, it->data, it->len, it->n, NULL);

		assert(!rc); /* queue_put has walked it */
	}
	l->pos += size;
	s->end_pos = l->pos;
	atomic_store(&l->end, s->end);
	atomic_store(&l->room, s->size - l->pos);
	pthread_mutex_unlock(&l->lock);
	atomic_fetch_add(&l->groups, 1);
	atomic_fetch_add(&l->records, s->end - before);
	metric_add(queue_appends_total, 1);
	metric_add(queue_records_total, (int64_t)(s->end - before));
}

static void append_group(struct log *l, struct group *g)
{
	uint64_t offset = atomic_load(&l->end);
	struct err e = ERR_INIT;

	if (write_group(l, g, &e) == 0) {
		make_visible(l, g);
		CRASHPOINT("queue-synced");
		answer(g, offset, NULL);
		if (l->q.on_durable)
			l->q.on_durable(l->q.on_durable_arg);
		return;
	}
	err_wrap(&e, "segment %s/%020" PRIu64 SEG_SUFFIX, l->dir, l->active->number);
	log_err("queue: %s; sealed before offset %" PRIu64 ", the next segment begins there", e.text, offset);
	atomic_fetch_add(&l->sealed, 1);
	metric_add(queue_sealed_total, 1);
	end_segment(l, true);
	answer(g, offset, &e);
}

/* No segment can be had: everything that was taken is answered, or each of many would wait for the next one in turn. */
static void refuse(struct msg *list, const struct err *e)
{
	for (struct msg *next; list; list = next) {
		struct queue_put *p = container_of(list, struct queue_put, msg);

		next = list->next;
		p->err = *e;
		p->done(p);
	}
}

/* As many of list as the active segment has room for, at least one; the rest is returned. */
static struct msg *fill_group(struct log *l, struct msg *list, struct group *g)
{
	struct err e = ERR_INIT;

	for (g->n = 0; list; list = list->next, g->n++) {
		struct queue_put *p = container_of(list, struct queue_put, msg);

		g->puts[g->n] = p;
		g->items[g->n] = (struct seg_item){.data = p->bytes.data, .len = p->bytes.len, .n = p->n};
		if (g->n && seg_group_size(g->items, g->n + 1) > l->active->size - l->pos)
			return list;
		if (!g->n && make_room(l, seg_group_size(g->items, 1), &e)) {
			refuse(list, &e);
			return NULL;
		}
	}
	return NULL;
}

static int64_t log_step(struct queue *q, struct now now)
{
	struct log *l = log_of(q);
	struct msg *list = mailbox_take(l->stage.mb, QUEUE_GROUP_MAX, QUEUE_GROUP_BYTES);
	struct group g;

	(void)now;
	if (!list)
		return NEVER;
	while (list) {
		list = fill_group(l, list, &g);
		if (g.n)
			append_group(l, &g);
	}
	return 0; /* there may be more */
}

static int64_t step_stage(void *self, struct now now)
{
	return log_step(self, now);
}

static const struct stage_ops stage_ops = {"queue", step_stage};

static int log_put(struct queue *q, struct queue_put *p, struct err *e)
{
	if (mailbox_put(log_of(q)->stage.mb, &p->msg))
		return err_set(e, ERR_FULL, "the queue's mailbox is full: more arrives than the disk takes; try again");
	return 0;
}

/* --- life --- */

/* A small disk gets small segments, or the first three would fill it. */
static void choose_sizes(struct log *l, const struct queue_config *c)
{
	uint64_t avail, total, size = c->segment_bytes;

	if (file_disk_free(l->dir, &avail, &total, NULL) == 0)
		size = MIN(size, total / 32);
	size = MAX(size, SEG_PIECE) & ~(uint64_t)(SEG_PIECE - 1);
	l->segment_bytes = size;
	l->next_size = MIN(size, FIRST_SIZE);
	l->want_spares = MIN(c->spare_segments, LOG_SPARES_MAX);
	l->reserve = c->reserve_bytes;
}

static void log_free(struct log *l)
{
	for (size_t i = 0; i < l->n_segs; i++)
		log_seg_free(l->segs[i]);
	for (unsigned i = 0; i < l->n_ready; i++)
		close(l->ready[i].fd);
	for (size_t i = 0; i < l->n_tables; i++)
		free((char *)(uintptr_t)l->tables[i].name.ptr);
	map_free(&l->table_ids, NULL);
	free(l->tables);
	free(l->segs);
	free(l->unindexed);
	free(l->slots);
	mailbox_free(l->stage.mb);
	if (l->lock_fd >= 0)
		close(l->lock_fd);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	free(l->dir);
	free(l);
}

static struct queue *log_open(const struct queue_config *c, const char *rest, struct err *e)
{
	struct log *l = xcalloc(1, sizeof(*l));
	pthread_condattr_t a;

	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(&l->changed, &a);
	pthread_condattr_destroy(&a);
	l->q.ops = &queue_log_ops;
	l->q.partitions = 1;
	l->fd = l->lock_fd = -1;
	l->second = c->second;
	l->stage.ops = &stage_ops;
	l->stage.self = &l->q;
	l->stage.mb = mailbox_new(c->mailbox_count, c->mailbox_bytes);
	l->dir = *rest ? xstrdup(rest) : xasprintf("%s/queue", c->state_dir ? c->state_dir : ".");
	if (file_mkdirs(l->dir, 0750, e))
		goto fail;
	l->lock_fd = file_lock(l->dir, "lock", e);
	if (l->lock_fd < 0)
		goto fail;
	choose_sizes(l, c);
	l->failures_at_open = file_sync_failures();
	if (log_recover(l, c->first_offset, e))
		goto fail;
	log_note_sizes(l);
	return &l->q;
fail:
	log_free(l);
	return NULL;
}

static int log_start(struct queue *q, struct err *e)
{
	struct log *l = log_of(q);

	if (log_spare_start(l, e))
		return -1;
	if (stage_start(&l->stage, e)) {
		log_spare_stop(l);
		return -1;
	}
	return 0;
}

static void log_stop(struct queue *q)
{
	struct log *l = log_of(q);

	mailbox_close(l->stage.mb);
	stage_stop(&l->stage);
	while (log_step(q, now_get()) != NEVER)
		;
	log_spare_stop(l);
}

static void log_close(struct queue *q)
{
	struct log *l = log_of(q);

	log_stop(q);
	end_segment(l, false);
	while (log_index_one(l))
		;
	log_free(l);
}

static uint64_t log_end(const struct queue *q, uint32_t partition)
{
	(void)partition;
	return atomic_load(&log_of(q)->end);
}

static bool log_writable(const struct queue *q, struct err *why)
{
	struct log *l = log_of(q);
	bool able;

	if (atomic_load(&l->room) >= SEG_PIECE / 4)
		return true;
	if (log_space(l, 0, why))
		return false;
	pthread_mutex_lock(&l->lock);
	able = l->n_ready || (!l->threads && !l->trouble.code);
	if (!able && l->trouble.code)
		err_set(why, l->trouble.code, "%s", l->trouble.text);
	else if (!able)
		err_set(why, ERR_STATE, "the next segment of the queue is being made");
	pthread_mutex_unlock(&l->lock);
	return able;
}

static void log_stats(struct queue *q, struct queue_stats *out)
{
	struct log *l = log_of(q);
	size_t bytes;

	*out = (struct queue_stats){
		.sealed = atomic_load(&l->sealed),
		.groups = atomic_load(&l->groups),
		.records = atomic_load(&l->records),
	};
	pthread_mutex_lock(&l->lock);
	out->segments = l->n_segs;
	for (size_t i = 0; i < l->n_segs; i++)
		out->bytes += l->segs[i]->size;
	pthread_mutex_unlock(&l->lock);
	mailbox_stats(l->stage.mb, &out->waiting, &bytes);
}

const struct queue_ops queue_log_ops = {
	.scheme = "log",
	.open = log_open,
	.start = log_start,
	.step = log_step,
	.put = log_put,
	.stop = log_stop,
	.close = log_close,
	.begin = log_begin,
	.end = log_end,
	.writable = log_writable,
	.reader = log_reader,
	.read = log_read,
	.seek = log_seek,
	.reader_close = log_reader_close,
	.tally = log_tally,
	.trim_point = log_trim_point,
	.oldest = log_oldest,
	.trim = log_trim,
	.stats = log_stats,
};
