/*
 * trim.c - what may be trimmed off the queue, and what has been: so that `accepted` stays known when its headers are gone.
 *
 * What is in a batch that waits without a destination is safe in its file and pins nothing; its time counts from the cut. What can go wrong: a batch that counts
 * again as not done (a replay) below the trim point: then nothing more is trimmed until it is.
 */
#include "daemon/state/state_rows.h"

int db_trim_record(struct db *db, uint32_t partition, uint64_t tallied_to, const struct tally_part *parts, size_t n, struct err *e)
{
	uint64_t before;
	struct q q;

	if (db_trim_point(db, partition, &before, e))
		return -1;
	if (tallied_to < before)
		return err_set(e, ERR_STATE, "partition %" PRIu32 " is trimmed to %" PRIu64 " already", partition, before);
	for (size_t i = 0; i < n; i++) {
		int64_t table_id;

		if (db_table_of(db, parts[i].source_id, parts[i].table, 0, &table_id, e) ||
			q_begin(&q, db, "UPDATE tbl SET accepted_base = accepted_base + ? WHERE id = ?", e))
			return -1;
		q_u64(&q, parts[i].records);
		q_i64(&q, table_id);
		if (q_run(&q, e))
			return -1;
	}
	if (q_begin(&q, db, "INSERT OR REPLACE INTO trimmed (partition, tallied_to) VALUES (?, ?)", e))
		return -1;
	q_i64(&q, partition);
	q_u64(&q, tallied_to);
	if (q_run(&q, e) || q_begin(&q, db, "DELETE FROM dropped WHERE partition = ? AND offset < ?", e))
		return -1;
	q_i64(&q, partition);
	q_u64(&q, tallied_to);
	return q_run(&q, e);
}

int db_trim_point(struct db *db, uint32_t partition, uint64_t *tallied_to, struct err *e)
{
	int64_t v;
	struct q q;

	if (q_begin(&q, db, "SELECT tallied_to FROM trimmed WHERE partition = ?", e))
		return -1;
	q_i64(&q, partition);
	if (q_value(&q, &v, e))
		return -1;
	*tallied_to = (uint64_t)v;
	return 0;
}

int db_trim_limit(struct db *db, uint32_t partition, uint64_t limit, int64_t loaded_before, uint64_t *safe, struct err *e)
{
	int64_t position, open, young;
	struct q q;

	*safe = 0;
	if (q_begin(&q, db, "SELECT read_from FROM position WHERE partition = ?", e))
		return -1;
	q_i64(&q, partition);
	if (q_value(&q, &position, e) ||
		q_begin(&q, db, "SELECT coalesce(min(first_offset), 9223372036854775807) FROM batch WHERE partition = ? AND done = 0 AND unclaimed = 0 AND replay_batch = ''", e))
		return -1;
	q_i64(&q, partition);
	if (q_value(&q, &open, e))
		return -1;
	open = MIN(position, open);
	/* what lies below the trim point was old enough then */
	if (q_begin(&q, db,
		    "SELECT coalesce((SELECT first_offset FROM batch WHERE partition = ?1 AND first_offset >= coalesce((SELECT tallied_to FROM trimmed WHERE "
		    "partition = ?1), 0) AND first_offset < ?2 AND replay_batch = '' AND CASE WHEN unclaimed = 1 THEN created ELSE done END >= ?3 ORDER BY first_offset LIMIT 1), ?2)",
		    e))
		return -1;
	q_i64(&q, partition);
	q_i64(&q, open);
	q_i64(&q, loaded_before);
	if (q_value(&q, &young, e))
		return -1;
	*safe = MIN(limit, (uint64_t)young);
	return 0;
}
