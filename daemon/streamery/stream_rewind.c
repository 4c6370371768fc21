/*
 * stream_rewind.c - read again from an earlier offset. Reading and transactions stand still meanwhile; the tally of what the state already counts and will
 * be read again is taken from the queue's headers; one transaction moves the position and deletes cursors; then what is open or in upload is
 * dropped (its uploads may still arrive in the store: files without a row) and reading goes on there.
 *
 * The state counts an offset when it lies below the saved position, or below its table's cursor. Retention may be about to trim: the
 * transaction looks at the recorded trim point, and retention at the position in its own, so one of the two gives way.
 */
#include "daemon/streamery/streamery_priv.h"
#include "log.h"
#include "xalloc.h"

struct gather {
	struct streamery *s;
	struct commit *c;
	uint64_t below; /* only tables whose cursor is at least this; 0: all */
};

static void add(uint32_t source_id, struct str table, uint64_t records, uint64_t lines, void *arg)
{
	struct gather *g = arg;
	struct commit *c = g->c;

	(void)lines;
	if (!records || (g->below && stream_table(g->s, source_id, table)->cursor < g->below))
		return;
	for (size_t i = 0; i < c->n_parts; i++)
		if (c->parts[i].source_id == source_id && str_eq(c->parts[i].table, table)) {
			c->parts[i].records += records;
			return;
		}
	c->parts = xreallocarray(c->parts, c->n_parts + 1, sizeof(*c->parts));
	c->parts[c->n_parts++] =
		(struct tally_part){.source_id = source_id, .table = str_mem(str_dup(table), table.len), .records = records};
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Above the saved position: from one cursor to the next, those tables whose cursor lies beyond. */
static int above_position(struct streamery *s, struct gather *g, struct err *e)
{
	uint64_t *ends = xcalloc(s->n_list + 1, sizeof(*ends)), from = s->saved;
	size_t n = 0;
	int rc = 0;

	for (size_t i = 0; i < s->n_list; i++)
		if (s->list[i]->cursor > from)
			ends[n++] = s->list[i]->cursor;
	qsort(ends, n, sizeof(*ends), by_value);
	for (size_t i = 0; i < n && !rc; i++) {
		if (ends[i] == from)
			continue;
		g->below = ends[i];
		rc = queue_tally(s->queue, s->partition, from, ends[i], add, g, e);
		from = ends[i];
	}
	free(ends);
	return rc;
}

int stream_rewind_fill(struct streamery *s, struct commit *c, uint64_t to, struct err *e)
{
	struct gather g = {.s = s, .c = c};
	uint64_t begin = queue_begin(s->queue, s->partition);

	if (atomic_load(&s->draining))
		return err_set(e, ERR_STATE, "the daemon is stopping");
	if (to < begin)
		return err_set(e, ERR_NOT_FOUND, "the queue begins at offset %" PRIu64 "; what was before is trimmed", begin);
	if (to > s->saved)
		return err_set(e, ERR_INVALID, "nothing behind offset %" PRIu64 " is committed yet: a rewind goes to it or before", s->saved);
	c->position.read_from = to;
	if (to < s->saved && queue_tally(s->queue, s->partition, to, s->saved, add, &g, e))
		return -1;
	return above_position(s, &g, e);
}

int stream_rewind_run(struct db *db, struct commit *c, struct err *e)
{
	uint32_t partition = c->s->partition;
	uint64_t trimmed = 0, to = c->position.read_from;
	struct err why = ERR_INIT;

	if (db_trim_point(db, partition, &trimmed, &why) && why.code != ERR_NOT_FOUND) {
		if (e)
			*e = why;
		return -1;
	}
	if (to < trimmed)
		return err_set(e, ERR_NOT_FOUND, "what was before offset %" PRIu64 " is being trimmed", trimmed);
	return db_rewind(db, partition, to, c->parts, c->n_parts, e);
}

static void read_from(struct streamery *s, uint64_t to)
{
	struct err e = ERR_INIT;
	struct work *w;
	struct drop *d;

	while ((w = TAILQ_FIRST(&s->all)))
		stream_work_free(s, w);
	while ((d = TAILQ_FIRST(&s->drops)))
		stream_drop_free(s, d);
	map_free(&s->taken, NULL);
	for (size_t i = 0; i < s->n_list; i++)
		s->list[i]->cursor = 0;
	s->saved = s->read_next = to;
	s->event_wanted = false;
	stream_counts_reset(s, to);
	if (queue_reader_seek(s->reader, to, &e)) {
		log_err("after a rewind to offset %" PRIu64 ": %s", to, e.text);
		stream_problem(s->incident, sizeof(s->incident), s, &e);
	}
}

void stream_rewind_done(struct streamery *s, const struct err *e)
{
	struct streamery_rewind *r = container_of(s->rewinds, struct streamery_rewind, msg);

	s->rewinds = r->msg.next;
	if (e) {
		r->err = *e;
	} else {
		err_clear(&r->err);
		log_info("partition %" PRIu32 " is read again from offset %" PRIu64, s->partition, r->to);
		read_from(s, r->to);
	}
	r->done(r);
}
