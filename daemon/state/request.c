/*
 * request.c - the ids of requests that were taken, so that a repeat is known (architecture.md, section 4). An id lives until the position has passed all that was
 * received in the 24 hours after it (the caller's `received_before` says so, in the queue's time), and as long as the queue holds a repeat of it that
 * was dropped: a rewind reads that repeat again.
 */
#include "daemon/state/state_rows.h"

int db_request_find(struct db *db, uint32_t source_id, struct str request_id, struct str table, uint16_t part, uint32_t *partition, uint64_t *offset, struct err *e)
{
	struct q q;
	int rc;

	if (q_begin(&q, db,
		    "SELECT r.partition, r.offset FROM tbl t JOIN request r ON r.source_id = t.source_id AND r.table_id = t.id "
		    "WHERE t.source_id = ? AND t.name = ? AND r.request_id = ? AND r.part = ?",
		    e))
		return -1;
	q_i64(&q, source_id);
	q_str(&q, table);
	q_blob(&q, request_id.ptr, request_id.len);
	q_i64(&q, part);
	rc = q_row(&q, e);
	if (rc == 1) {
		*partition = (uint32_t)q_get_i64(&q);
		*offset = q_get_u64(&q);
	}
	q_end(&q);
	return rc < 0 ? -1 : rc == 0 ? err_set(e, ERR_NOT_FOUND, "this request was not taken before") : 0;
}

int db_request_other(struct db *db, uint32_t source_id, struct str request_id, size_t tail, int64_t since, bool *other, struct err *e)
{
	size_t same = request_id.len - tail + 1;
	struct buf after = BUF_INIT; /* the least that begins otherwise */
	int64_t found = 0;
	struct q q;
	int rc = -1;

	assert(tail >= 1 && tail <= request_id.len && (unsigned char)request_id.ptr[same - 1] < 0xff);
	buf_add(&after, request_id.ptr, same);
	after.data[same - 1]++;
	if (!q_begin(&q, db,
		    "SELECT EXISTS (SELECT 1 FROM request WHERE source_id = ? AND request_id > ? AND request_id < ? AND request_id <> ? AND received_at >= ?)", e)) {
		q_i64(&q, source_id);
		q_blob(&q, request_id.ptr, same);
		q_blob(&q, after.data, after.len);
		q_blob(&q, request_id.ptr, request_id.len);
		q_i64(&q, since);
		rc = q_value(&q, &found, e);
	}
	buf_free(&after);
	*other = found != 0;
	return rc;
}

int db_request_expire(struct db *db, int64_t received_before, struct err *e)
{
	struct q q;

	if (q_begin(&q, db,
		    "DELETE FROM request WHERE received_at < ? AND (repeat_offset < 0 OR "
		    "repeat_offset < coalesce((SELECT m.tallied_to FROM trimmed m WHERE m.partition = request.partition), 0))",
		    e))
		return -1;
	q_i64(&q, received_before);
	return q_run(&q, e);
}
