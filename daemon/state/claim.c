/*
 * claim.c - jobs for a destination that is connected after batches were cut, and their end when it is deleted.
 *
 * The batches that wait for nobody (destination 0) go to the first destination of their source, with what destination 0 counted. Whatever else lies behind the
 * streamery and has no job of this destination is its `before`, which is worked out anew at each connect: so it balances also after a time without a connection.
 */
#include "daemon/state/state_rows.h"

/* Not begun yet: they go where the connection says now. */
static int move_schema(struct db *db, int64_t source_id, int64_t destination_id, struct err *e)
{
	struct q q;

	if (q_begin(&q, db,
		    "UPDATE job SET schema = c.schema FROM connection c WHERE c.source_id = ?1 AND c.destination_id = ?2 AND job.destination_id = ?2 "
		    "AND job.state IN " WAITING " AND job.load_id = 0 AND job.table_id IN (SELECT id FROM tbl WHERE source_id = ?1) AND job.schema <> c.schema",
		    e))
		return -1;
	q_i64(&q, source_id);
	q_i64(&q, destination_id);
	return q_run(&q, e);
}

/* A batch that was cut again while nobody was connected may still have a waiting job of this destination. */
static int count_waiting(struct db *db, int64_t source_id, int64_t destination_id, struct err *e)
{
	struct q q;

	if (q_begin(&q, db,
		    "UPDATE job SET counted = b.counted FROM batch b WHERE b.id = job.batch_id AND b.unclaimed = 1 AND b.table_id IN (SELECT id FROM tbl WHERE "
		    "source_id = ?1) AND job.destination_id = ?2 AND job.state IN " WAITING,
		    e))
		return -1;
	q_i64(&q, source_id);
	q_i64(&q, destination_id);
	return q_run(&q, e);
}

static int add_jobs(struct db *db, int64_t source_id, int64_t destination_id, int64_t from_ns, int64_t now, uint64_t *jobs, struct err *e)
{
	struct q q;

	if (q_begin(&q, db,
		    "INSERT INTO job (destination_id, table_id, batch_id, schema, state, attempts, records, bytes, counted, oldest, created, updated) "
		    "SELECT c.destination_id, b.table_id, b.id, c.schema, 1, "
		    "coalesce((SELECT max(j.attempts) FROM job j WHERE j.batch_id = b.id AND j.destination_id = c.destination_id), 0), b.records, b.bytes, b.counted, "
		    "b.first_received, ?1, ?1 FROM connection c JOIN tbl t ON t.source_id = c.source_id JOIN batch b ON b.table_id = t.id "
		    "WHERE c.source_id = ?2 AND c.destination_id = ?3 AND ((b.unclaimed = 1 AND NOT EXISTS (SELECT 1 FROM job j WHERE j.batch_id = b.id AND "
		    "j.destination_id = c.destination_id AND j.state IN " WAITING ")) OR (?4 > 0 AND b.unclaimed = 0 AND b.created >= ?4 AND b.deleted = 0 AND b.replay_batch = '' AND "
		    "NOT EXISTS (SELECT 1 FROM job j WHERE j.batch_id = b.id AND j.destination_id = c.destination_id))) ORDER BY b.created, b.partition, b.first_offset",
		    e))
		return -1;
	q_i64(&q, now);
	q_i64(&q, source_id);
	q_i64(&q, destination_id);
	q_i64(&q, from_ns);
	if (q_run(&q, e))
		return -1;
	*jobs = db_changes(db);
	if (q_begin(&q, db,
		    "UPDATE batch SET unclaimed = 0, done = 0 WHERE table_id IN (SELECT id FROM tbl WHERE source_id = ?1) AND (unclaimed = 1 OR "
		    "EXISTS (SELECT 1 FROM job j WHERE j.batch_id = batch.id AND j.destination_id = ?2 AND j.state IN " WAITING "))",
		    e))
		return -1;
	q_i64(&q, source_id);
	q_i64(&q, destination_id);
	return q_run(&q, e);
}

int db_jobs_for(struct db *db, int64_t source_id, int64_t destination_id, int64_t from_ns, int64_t now, uint64_t *jobs, struct err *e)
{
	struct q q;

	*jobs = 0;
	if (q_begin(&q, db, "INSERT OR IGNORE INTO tally (table_id, destination_id) SELECT id, ? FROM tbl WHERE source_id = ?", e))
		return -1;
	q_i64(&q, destination_id);
	q_i64(&q, source_id);
	if (q_run(&q, e) || move_schema(db, source_id, destination_id, e) || count_waiting(db, source_id, destination_id, e) ||
		add_jobs(db, source_id, destination_id, from_ns, now, jobs, e) ||
		q_begin(&q, db,
			"UPDATE tally SET before = t.taken + t.repeats - t.reread - spooled - loaded - rejected - discarded FROM tbl t "
			"WHERE t.id = tally.table_id AND t.source_id = ? AND tally.destination_id = ?",
			e))
		return -1;
	q_i64(&q, source_id);
	q_i64(&q, destination_id);
	if (q_run(&q, e) || q_begin(&q, db, "DELETE FROM tally WHERE destination_id = 0 AND table_id IN (SELECT id FROM tbl WHERE source_id = ?)", e))
		return -1;
	q_i64(&q, source_id);
	if (q_run(&q, e) ||
		q_begin(&q, db, "UPDATE dropped SET destination_id = -1 WHERE destination_id = 0 AND table_id IN (SELECT id FROM tbl WHERE source_id = ?)", e))
		return -1;
	q_i64(&q, source_id);
	return q_run(&q, e);
}

int db_jobs_discard(struct db *db, int64_t destination_id, int64_t now, uint64_t *jobs, struct err *e)
{
	int64_t n;
	struct q q;

	if (q_begin(&q, db, "SELECT count(*) FROM job WHERE destination_id = ? AND state IN " WAITING, e))
		return -1;
	q_i64(&q, destination_id);
	if (q_value(&q, &n, e) || q_begin(&q, db, "UPDATE job SET state = 8, updated = ? WHERE destination_id = ? AND state NOT IN (3, 8)", e))
		return -1;
	*jobs = (uint64_t)n;
	q_i64(&q, now);
	q_i64(&q, destination_id);
	if (q_run(&q, e) || q_begin(&q, db, "UPDATE load SET outcome = 'discarded', ended = ? WHERE destination_id = ? AND outcome = ''", e))
		return -1;
	q_i64(&q, now);
	q_i64(&q, destination_id);
	if (q_run(&q, e) ||
		/* db_batch_settle for all of them; what has no job of another destination that is not at an end is done */
		q_begin(&q, db,
			"UPDATE batch SET done = ?1 WHERE done = 0 AND unclaimed = 0 AND id IN (SELECT batch_id FROM job WHERE destination_id = ?2) AND NOT EXISTS "
			"(SELECT 1 FROM job j WHERE j.batch_id = batch.id AND j.state NOT IN (3, 8) AND NOT EXISTS (SELECT 1 FROM job k WHERE "
			"k.batch_id = j.batch_id AND k.destination_id = j.destination_id AND k.id > j.id))",
			e))
		return -1;
	q_i64(&q, MAX(now, 1));
	q_i64(&q, destination_id);
	return q_run(&q, e);
}
