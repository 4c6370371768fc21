/*
 * cut.c - the transaction of a cut: batch row, a job for each connected destination, columns, request ids, cursor, position (architecture.md, section 6).
 *
 * A batch of a source without a destination has no job; it is unclaimed, and spooled under destination 0. After a rewind a batch may be cut again with the same id:
 * then its row counts its records again, and each connected destination gets a new job, or the one that still waits counts again. Its file is the old
 * one, unless that was deleted meanwhile.
 *
 * What can go wrong: a batch that overlaps what the table's cursor or the position has passed would count records twice. It is refused: the streamery never
 * sends one, so whatever did must not go on.
 */
#include "daemon/state/state_rows.h"

#include "daemon/state/batch_id.h"
#include "xalloc.h"

static void add_le(struct buf *b, uint64_t v)
{
	for (unsigned i = 0; i < 64; i += 8)
		buf_addc(b, (char)(v >> i));
}

static int make_id(struct cut *c, struct err *e)
{
	struct buf text = BUF_INIT;
	bool made;

	buf_add(&text, c->queue_id, sizeof(c->queue_id));
	add_le(&text, c->partition);
	add_le(&text, (uint64_t)c->source_id);
	add_le(&text, (uint64_t)c->table_version);
	add_le(&text, c->first_offset);
	add_le(&text, c->last_offset);
	buf_addstr(&text, c->table);
	made = batch_id_of(text.data, text.len, c->batch_id);
	buf_free(&text);
	return made ? 0 : err_set(e, ERR_INTERNAL, "libcrypto makes no sha256");
}

static int check_place(struct db *db, const struct cut *c, struct err *e)
{
	int64_t passed;
	struct q q;

	if (c->last_offset < c->first_offset)
		return err_set(e, ERR_INVALID, "the batch ends at offset %" PRIu64 ", before it begins", c->last_offset);
	if (q_begin(&q, db,
		    "SELECT max(coalesce((SELECT next_offset FROM cursor WHERE partition = ?1 AND table_id = ?2), 0), "
		    "coalesce((SELECT read_from FROM position WHERE partition = ?1 AND queue_id = ?3), 0))",
		    e))
		return -1;
	q_i64(&q, c->partition);
	q_i64(&q, c->table_id);
	q_blob(&q, c->queue_id, sizeof(c->queue_id));
	if (q_value(&q, &passed, e))
		return -1;
	if (c->first_offset < (uint64_t)passed)
		return err_set(e, ERR_STATE, "the batch begins at offset %" PRIu64 ", but the table is committed up to %" PRId64, c->first_offset, passed);
	return 0;
}

static int insert_batch(struct db *db, const struct cut *c, const char *key_names, struct err *e)
{
	struct q q;

	if (q_begin(&q, db,
		    "INSERT INTO batch (id, table_id, path, reason, queue_id, partition, first_offset, last_offset, records, lines, bytes, sha256, table_version, "
		    "schema_version, key_names, first_received, last_received, created, counted, counted_end, unclaimed) "
		    "VALUES (?, ?2, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
		    "NOT EXISTS (SELECT 1 FROM connection c JOIN tbl t ON t.source_id = c.source_id WHERE t.id = ?2))",
		    e))
		return -1;
	q_text(&q, c->batch_id);
	q_i64(&q, c->table_id);
	q_str(&q, c->path);
	q_text_or_empty(&q, c->reason);
	q_blob(&q, c->queue_id, sizeof(c->queue_id));
	q_i64(&q, c->partition);
	q_u64(&q, c->first_offset);
	q_u64(&q, c->last_offset);
	q_u64(&q, c->records);
	q_u64(&q, c->lines);
	q_u64(&q, c->bytes);
	q_blob(&q, c->sha256, sizeof(c->sha256));
	q_i64(&q, c->table_version);
	q_i64(&q, c->schema_version);
	q_text(&q, key_names);
	q_i64(&q, c->first_received);
	q_i64(&q, c->last_received);
	q_i64(&q, c->cut_at);
	q_u64(&q, c->records);
	q_u64(&q, c->last_offset + 1);
	return q_run(&q, e);
}

/* Cut again after a rewind. Jobs that wait for it count again; those for destinations that are not connected any more do not. */
static int count_again(struct db *db, struct cut *c, struct err *e)
{
	struct q q;

	if (q_begin(&q, db,
		    "UPDATE batch SET counted = ?1, counted_end = last_offset + 1, done = 0, "
		    "unclaimed = NOT EXISTS (SELECT 1 FROM connection c JOIN tbl t ON t.source_id = c.source_id WHERE t.id = batch.table_id) WHERE id = ?2",
		    e))
		return -1;
	q_u64(&q, c->records);
	q_text(&q, c->batch_id);
	if (q_run(&q, e) || q_begin(&q, db, "UPDATE batch SET path = ?, sha256 = ?, bytes = ?, deleted = 0 WHERE id = ? AND deleted > 0", e))
		return -1;
	q_str(&q, c->path);
	q_blob(&q, c->sha256, sizeof(c->sha256));
	q_u64(&q, c->bytes);
	q_text(&q, c->batch_id);
	if (q_run(&q, e) || q_begin(&q, db,
				    "UPDATE job SET counted = ?1, updated = ?2 WHERE batch_id = ?3 AND state IN " WAITING
				    " AND destination_id IN (SELECT destination_id FROM connection WHERE source_id = ?4)",
				    e))
		return -1;
	q_u64(&q, c->records);
	q_i64(&q, c->cut_at);
	q_text(&q, c->batch_id);
	q_i64(&q, c->source_id);
	if (q_run(&q, e))
		return -1;
	c->jobs = (uint32_t)db_changes(db);
	return 0;
}

static int insert_jobs(struct db *db, struct cut *c, struct err *e)
{
	struct q q;

	if (q_begin(&q, db,
		    "INSERT INTO job (destination_id, table_id, batch_id, schema, state, attempts, records, bytes, counted, oldest, created, updated) "
		    "SELECT c.destination_id, b.table_id, b.id, c.schema, 1, "
		    "coalesce((SELECT max(j.attempts) FROM job j WHERE j.batch_id = b.id AND j.destination_id = c.destination_id), 0), b.records, b.bytes, b.counted, "
		    "b.first_received, ?1, ?1 FROM batch b JOIN connection c ON c.source_id = ?2 WHERE b.id = ?3 AND NOT EXISTS (SELECT 1 FROM job j "
		    "WHERE j.batch_id = b.id AND j.destination_id = c.destination_id AND j.state IN " WAITING ") ORDER BY c.destination_id",
		    e))
		return -1;
	q_i64(&q, c->cut_at);
	q_i64(&q, c->source_id);
	q_text(&q, c->batch_id);
	if (q_run(&q, e))
		return -1;
	c->jobs += (uint32_t)db_changes(db);
	return 0;
}

static int write_batch(struct db *db, struct cut *c, struct err *e)
{
	char *key_names = NULL;
	int64_t there;
	struct q q;
	int rc = -1;

	if (db_table_merge(db, c->table_id, c->heads, c->n_heads, c->records, c->cut_at, &c->schema_version, &key_names, e))
		return -1;
	if (q_begin(&q, db, "SELECT count(*) FROM batch WHERE id = ?", e))
		goto out;
	q_text(&q, c->batch_id);
	if (q_value(&q, &there, e) || db_tally_ready(db, c->table_id, e))
		goto out;
	c->duplicate = there > 0;
	if (c->duplicate ? count_again(db, c, e) : insert_batch(db, c, key_names, e))
		goto out;
	rc = insert_jobs(db, c, e);
out:
	free(key_names);
	return rc;
}

static int take_requests(struct db *db, const struct cut *c, struct err *e)
{
	struct q q;

	for (size_t i = 0; i < c->n_requests; i++) {
		const struct cut_request *r = &c->requests[i];
		int64_t other;

		/* its own offset, met again after a rewind */
		if (q_begin(&q, db,
			    "INSERT INTO request (source_id, request_id, table_id, part, partition, offset, received_at) VALUES (?, ?, ?, ?, ?, ?, ?) "
			    "ON CONFLICT DO NOTHING",
			    e))
			return -1;
		q_i64(&q, c->source_id);
		q_blob(&q, r->request_id.ptr, r->request_id.len);
		q_i64(&q, c->table_id);
		q_i64(&q, r->part);
		q_i64(&q, c->partition);
		q_u64(&q, r->offset);
		q_i64(&q, r->received_at);
		if (q_run(&q, e))
			return -1;
		if (db_changes(db))
			continue;
		if (q_begin(&q, db,
			    "SELECT partition <> ? OR offset <> ? FROM request WHERE source_id = ? AND request_id = ? AND table_id = ? AND part = ?", e))
			return -1;
		q_i64(&q, c->partition);
		q_u64(&q, r->offset);
		q_i64(&q, c->source_id);
		q_blob(&q, r->request_id.ptr, r->request_id.len);
		q_i64(&q, c->table_id);
		q_i64(&q, r->part);
		if (q_value(&q, &other, e))
			return -1;
		if (other)
			return err_set(e, ERR_STATE, "the request at offset %" PRIu64 " was taken already at another", r->offset);
	}
	return 0;
}

static int move_cursor(struct db *db, const struct cut *c, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "UPDATE tbl SET taken = taken + ? WHERE id = ?", e))
		return -1;
	q_u64(&q, c->records);
	q_i64(&q, c->table_id);
	if (q_run(&q, e) || q_begin(&q, db, "INSERT OR REPLACE INTO cursor (partition, table_id, next_offset) VALUES (?, ?, ?)", e))
		return -1;
	q_i64(&q, c->partition);
	q_i64(&q, c->table_id);
	q_u64(&q, c->last_offset + 1);
	return q_run(&q, e);
}

int db_cut(struct db *db, struct cut *c, struct err *e)
{
	c->duplicate = false;
	c->jobs = 0;
	if (make_id(c, e) || db_table_of(db, c->source_id, c->table, c->cut_at, &c->table_id, e) || check_place(db, c, e) || write_batch(db, c, e) ||
		take_requests(db, c, e) || move_cursor(db, c, e))
		return -1;
	return db_position_save(db, &c->position, e);
}
