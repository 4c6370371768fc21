/*
 * batch.c - rows of batches: found by id, by place and by path; done when every destination has them; their files given up when that is long ago.
 *
 * What can go wrong: a file deleted while somebody still wants it. db_batch_expired only offers; db_batch_deleted, in the writer, refuses when a row is no longer
 * done (a replay came between), and a batch that never had a job is never done.
 */
#include "daemon/state/state_rows.h"

#include "xalloc.h"

void db_batch_read(struct q *q, struct batch_row *r)
{
	*r = (struct batch_row){.table_id = 0};
	q_get_fixed(q, r->id, sizeof(r->id));
	r->table_id = q_get_i64(q);
	r->source_id = q_get_i64(q);
	r->table = q_get_text(q);
	r->path = q_get_text(q);
	r->reason = q_get_text(q);
	q_get_blob(q, r->queue_id, sizeof(r->queue_id));
	r->partition = (uint32_t)q_get_i64(q);
	r->first_offset = q_get_u64(q);
	r->last_offset = q_get_u64(q);
	r->records = q_get_u64(q);
	r->lines = q_get_u64(q);
	r->bytes = q_get_u64(q);
	q_get_blob(q, r->sha256, sizeof(r->sha256));
	r->table_version = q_get_i64(q);
	r->schema_version = q_get_i64(q);
	r->first_received = q_get_i64(q);
	r->last_received = q_get_i64(q);
	r->created = q_get_i64(q);
	r->deleted = q_get_i64(q);
	q_get_fixed(q, r->replay_batch, sizeof(r->replay_batch));
	r->replay_record = q_get_u64(q);
	r->replay_index = (uint32_t)q_get_i64(q);
}

int db_batch_rows(struct q *q, struct batch_row **out, size_t *n, struct err *e)
{
	int rc;

	*out = NULL;
	*n = 0;
	while ((rc = q_row(q, e)) == 1) {
		*out = xreallocarray(*out, *n + 1, sizeof(**out));
		db_batch_read(q, &(*out)[(*n)++]);
	}
	if (rc < 0) {
		batch_list_free(*out, *n);
		*out = NULL;
		*n = 0;
	}
	return rc;
}

static int one_batch(struct q *q, struct batch_row *out, struct err *e, const char *what)
{
	int rc = q_row(q, e);

	if (rc == 1)
		db_batch_read(q, out);
	q_end(q);
	return rc < 0 ? -1 : rc == 0 ? err_set(e, ERR_NOT_FOUND, "there is no batch %s", what) : 0;
}

int db_batch_get(struct db *db, const char *id, struct batch_row *out, struct err *e)
{
	struct q q;

	*out = (struct batch_row){.table_id = 0};
	if (q_begin(&q, db, "SELECT " BATCH_COLUMNS " FROM batch b JOIN tbl t ON t.id = b.table_id WHERE b.id = ?", e))
		return -1;
	q_text(&q, id);
	return one_batch(&q, out, e, id);
}

/* Where a rewind cut the same offsets again, the one that counts them. */
int db_batch_at(struct db *db, const unsigned char queue_id[16], uint32_t partition, uint64_t offset, int64_t source_id, struct str table, struct batch_row *out,
	struct err *e)
{
	struct q q;

	*out = (struct batch_row){.table_id = 0};
	if (q_begin(&q, db,
		    "SELECT " BATCH_COLUMNS " FROM tbl t JOIN batch b ON b.table_id = t.id AND b.partition = ?1 AND b.first_offset <= ?2 "
		    "WHERE t.source_id = ?5 AND t.name = ?3 AND b.last_offset >= ?2 AND b.queue_id = ?4 AND b.replay_batch = '' ORDER BY b.counted_end > ?2 DESC, b.first_offset DESC LIMIT 1",
		    e))
		return -1;
	q_i64(&q, partition);
	q_u64(&q, offset);
	q_str(&q, table);
	q_blob(&q, queue_id, 16);
	q_i64(&q, source_id);
	return one_batch(&q, out, e, "that holds this offset (not cut yet, or its row was removed long after it was loaded)");
}

/* Every destination that ever had a job of it: the newest one is done or discarded. */
int db_batch_settle(struct db *db, const char *batch_id, int64_t now, struct err *e)
{
	int64_t open;
	struct q q;

	if (q_begin(&q, db,
		    "SELECT b.unclaimed OR NOT EXISTS (SELECT 1 FROM job j WHERE j.batch_id = b.id) OR EXISTS (SELECT 1 FROM job j WHERE j.batch_id = b.id "
		    "AND j.state NOT IN (3, 8) AND NOT EXISTS (SELECT 1 FROM job k WHERE k.batch_id = j.batch_id AND k.destination_id = j.destination_id "
		    "AND k.id > j.id)) FROM batch b WHERE b.id = ?",
		    e))
		return -1;
	q_text(&q, batch_id);
	if (q_value(&q, &open, e) ||
		q_begin(&q, db, "UPDATE batch SET done = CASE WHEN ?1 THEN 0 WHEN done > 0 THEN done ELSE ?2 END WHERE id = ?3 AND (done > 0) = ?1", e))
		return -1;
	q_i64(&q, open != 0);
	q_i64(&q, MAX(now, 1));
	q_text(&q, batch_id);
	return q_run(&q, e);
}

int db_batch_expired(struct db *db, int64_t done_before, unsigned limit, struct batch_row **out, size_t *n, struct err *e)
{
	struct q q;

	*out = NULL;
	*n = 0;
	if (q_begin(&q, db,
		    "SELECT " BATCH_COLUMNS " FROM batch b JOIN tbl t ON t.id = b.table_id WHERE b.done > 0 AND b.done < ? AND b.deleted = 0 ORDER BY b.done LIMIT ?",
		    e))
		return -1;
	q_i64(&q, done_before);
	q_i64(&q, limit);
	return db_batch_rows(&q, out, n, e);
}

int db_batch_deleted(struct db *db, const char *const *ids, size_t n, int64_t now, struct err *e)
{
	struct q q;

	for (size_t i = 0; i < n; i++) {
		if (q_begin(&q, db, "UPDATE batch SET deleted = ? WHERE id = ? AND done > 0", e))
			return -1;
		q_i64(&q, MAX(now, 1));
		q_text(&q, ids[i]);
		if (q_run(&q, e))
			return -1;
		if (!db_changes(db))
			return err_set(e, ERR_STATE, "batch %s is wanted again", ids[i]);
	}
	return 0;
}

int db_batch_named(struct db *db, const char *path, bool *named, struct err *e)
{
	int64_t v;
	struct q q;

	*named = true; /* when in doubt */
	if (q_begin(&q, db, "SELECT count(*) FROM batch WHERE path = ? AND deleted = 0", e))
		return -1;
	q_text(&q, path);
	if (q_value(&q, &v, e))
		return -1;
	*named = v > 0;
	return 0;
}
