/*
 * position.c - how far the streamery has come, per partition: the position (all below it is committed) and the cursors of tables that are ahead of it;
 * the queue that all of it belongs to; and the repeats that are passed.
 *
 * A repeat counts as loaded, for each destination that is connected (for destination 0 when none is): it was accepted and nothing of it is on its way, and what
 * it repeats is counted by the job of its batch. A destination that is connected later finds it in its `before`. So the sum of a table stays true for
 * each of them: taken + repeats - reread = before + spooled + loaded + rejected + discarded.
 */
#include "daemon/state/state_rows.h"

#include "xalloc.h"

static int mark_request(struct db *db, const struct repeat_passed *r, int64_t table_id, struct err *e)
{
	struct q q;

	if (q_begin(&q, db,
		    "UPDATE request SET repeat_offset = max(repeat_offset, ?) WHERE source_id = ? AND request_id = ? AND table_id = ? AND part = ?", e))
		return -1;
	q_u64(&q, r->offset);
	q_i64(&q, r->source_id);
	q_blob(&q, r->request_id.ptr, r->request_id.len);
	q_i64(&q, table_id);
	q_i64(&q, r->part);
	return q_run(&q, e);
}

static int count_repeat(struct db *db, uint32_t partition, const struct repeat_passed *r, int64_t table_id, struct err *e)
{
	struct q q;

	if (db_tally_ready(db, table_id, e) || q_begin(&q, db, "UPDATE tbl SET repeats = repeats + ? WHERE id = ?", e))
		return -1;
	q_i64(&q, r->records);
	q_i64(&q, table_id);
	if (q_run(&q, e) || q_begin(&q, db,
				    "INSERT INTO dropped (partition, offset, destination_id, table_id, records) SELECT ?1, ?2, c.destination_id, t.id, ?3 FROM tbl t "
				    "JOIN connection c ON c.source_id = t.source_id WHERE t.id = ?4 UNION ALL SELECT ?1, ?2, 0, t.id, ?3 FROM tbl t WHERE t.id = ?4 AND "
				    "NOT EXISTS (SELECT 1 FROM connection c WHERE c.source_id = t.source_id)",
				    e))
		return -1;
	q_i64(&q, partition);
	q_u64(&q, r->offset);
	q_i64(&q, r->records);
	q_i64(&q, table_id);
	if (q_run(&q, e) || q_begin(&q, db,
				    "UPDATE tally SET loaded = loaded + ?1 WHERE table_id = ?2 AND destination_id IN (SELECT destination_id FROM dropped WHERE "
				    "partition = ?3 AND offset = ?4)",
				    e))
		return -1;
	q_i64(&q, r->records);
	q_i64(&q, table_id);
	q_i64(&q, partition);
	q_u64(&q, r->offset);
	return q_run(&q, e);
}

static int pass_repeat(struct db *db, uint32_t partition, const struct repeat_passed *r, struct err *e)
{
	int64_t table_id, passed;
	struct q q;

	if (db_table_of(db, r->source_id, r->table, 0, &table_id, e) ||
		q_begin(&q, db, "SELECT EXISTS (SELECT 1 FROM dropped WHERE partition = ? AND offset = ?)", e))
		return -1;
	q_i64(&q, partition);
	q_u64(&q, r->offset);
	if (q_value(&q, &passed, e))
		return -1;
	/* passed before: counted before */
	return passed ? 0 : mark_request(db, r, table_id, e) || count_repeat(db, partition, r, table_id, e) ? -1 : 0;
}

int db_position_save(struct db *db, const struct position *p, struct err *e)
{
	int64_t saved;
	struct q q;

	if (q_begin(&q, db, "SELECT read_from FROM position WHERE partition = ? AND queue_id = ?", e))
		return -1;
	q_i64(&q, p->partition);
	q_blob(&q, p->queue_id, sizeof(p->queue_id));
	if (q_value(&q, &saved, e))
		return -1;
	if ((uint64_t)saved > p->read_from)
		return err_set(e, ERR_STATE, "the position of partition %" PRIu32 " is %" PRId64 " and would fall to %" PRIu64, p->partition, saved, p->read_from);
	for (size_t i = 0; i < p->n_repeats; i++)
		if (pass_repeat(db, p->partition, &p->repeats[i], e))
			return err_wrap(e, "the repeat at offset %" PRIu64, p->repeats[i].offset);
	if (q_begin(&q, db, "INSERT OR REPLACE INTO position (partition, queue_id, read_from) VALUES (?, ?, ?)", e))
		return -1;
	q_i64(&q, p->partition);
	q_blob(&q, p->queue_id, sizeof(p->queue_id));
	q_u64(&q, p->read_from);
	if (q_run(&q, e) || q_begin(&q, db, "DELETE FROM cursor WHERE partition = ? AND next_offset < ?", e))
		return -1;
	q_i64(&q, p->partition);
	q_u64(&q, p->read_from);
	return q_run(&q, e);
}

int db_positions(struct db *db, struct position **out, size_t *n, struct err *e)
{
	struct q q;
	int rc;

	*out = NULL;
	*n = 0;
	if (q_begin(&q, db, "SELECT partition, queue_id, read_from FROM position ORDER BY partition", e))
		return -1;
	while ((rc = q_row(&q, e)) == 1) {
		struct position *p;

		*out = xreallocarray(*out, *n + 1, sizeof(**out));
		p = &(*out)[(*n)++];
		*p = (struct position){.partition = (uint32_t)q_get_i64(&q)};
		q_get_blob(&q, p->queue_id, sizeof(p->queue_id));
		p->read_from = q_get_u64(&q);
	}
	if (rc < 0) {
		free(*out);
		*out = NULL;
		*n = 0;
	}
	return rc;
}

int db_cursors(struct db *db, uint32_t partition, struct cursor_row **out, size_t *n, struct err *e)
{
	struct q q;
	int rc;

	*out = NULL;
	*n = 0;
	if (q_begin(&q, db, "SELECT t.source_id, t.name, c.next_offset FROM cursor c JOIN tbl t ON t.id = c.table_id WHERE c.partition = ?", e))
		return -1;
	q_i64(&q, partition);
	while ((rc = q_row(&q, e)) == 1) {
		struct cursor_row *c;

		*out = xreallocarray(*out, *n + 1, sizeof(**out));
		c = &(*out)[(*n)++];
		*c = (struct cursor_row){.source_id = q_get_i64(&q)};
		c->table = q_get_text(&q);
		c->next_offset = q_get_u64(&q);
	}
	if (rc < 0) {
		cursor_list_free(*out, *n);
		*out = NULL;
		*n = 0;
	}
	return rc;
}

/* --- the queue --- */

int db_queue_floor(struct db *db, const unsigned char queue_id[16], uint64_t *floor, struct err *e)
{
	int64_t v;
	struct q q;

	/* cursors and ends of batches stand in partitions that have a position */
	if (q_begin(&q, db,
		    "SELECT max(max(p.read_from, coalesce((SELECT max(c.next_offset) FROM cursor c WHERE c.partition = p.partition), 0), "
		    "coalesce((SELECT b.last_offset + 1 FROM batch b WHERE b.partition = p.partition AND b.queue_id = ?1 ORDER BY b.last_offset DESC LIMIT 1), 0))) "
		    "FROM position p WHERE p.queue_id = ?1",
		    e))
		return -1;
	q_blob(&q, queue_id, 16);
	if (q_value(&q, &v, e))
		return -1;
	*floor = (uint64_t)v;
	return 0;
}

/* Positions or batches of another queue: 1. */
static int holds_of(struct db *db, const unsigned char queue_id[16], struct err *e)
{
	int64_t there;
	struct q q;

	if (q_begin(&q, db, "SELECT EXISTS (SELECT 1 FROM position WHERE queue_id = ?1) OR EXISTS (SELECT 1 FROM batch WHERE queue_id = ?1)", e))
		return -1;
	q_blob(&q, queue_id, 16);
	if (q_value(&q, &there, e))
		return -1;
	return there != 0;
}

int db_queue_bind(struct db *db, const unsigned char queue_id[16], struct err *e)
{
	unsigned char was[16];
	struct q q;
	int rc;

	if (q_begin(&q, db, "SELECT value FROM meta WHERE key = 'queue_id'", e))
		return -1;
	rc = q_row(&q, e);
	if (rc == 1)
		q_get_blob(&q, was, sizeof(was));
	q_end(&q);
	if (rc < 0 || (rc == 1 && memcmp(was, queue_id, sizeof(was)) == 0))
		return rc < 0 ? -1 : 0;
	if (rc == 1) {
		rc = holds_of(db, was, e);
		if (rc)
			return rc < 0 ? -1
				      : err_set(e, ERR_STATE, "state.db belongs to another queue and holds batches or positions of it: use the state folder of this "
							       "queue, or a new one");
	}
	if (q_begin(&q, db, "INSERT OR REPLACE INTO meta (key, value) VALUES ('queue_id', ?)", e))
		return -1;
	q_blob(&q, queue_id, 16);
	return q_run(&q, e);
}
