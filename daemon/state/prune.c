/*
 * prune.c - rows that nobody needs any more, a page at a time: old events and audit entries, and batches with their jobs and loads, long after their end.
 *
 * What must stay: a batch until its file is deleted and the queue is trimmed past it (a rewind must find what counts there), and everything of a batch with rejected
 * records: they are accepted, and kept for whoever puts them right.
 */
#include "daemon/state/state_rows.h"

#define PAGE 500

static int run(struct q *q, uint64_t *rows, struct err *e)
{
	struct db *db = q->db;

	if (q_run(q, e))
		return -1;
	*rows += db_changes(db);
	return 0;
}

static int prune_events(struct db *db, const struct prune *p, uint64_t *rows, struct err *e)
{
	struct q q;

	/* ids follow the time */
	if (q_begin(&q, db,
		    "DELETE FROM event WHERE id IN (SELECT id FROM event WHERE at < ?1 OR (?2 > 0 AND id <= (SELECT id FROM event ORDER BY id DESC LIMIT 1 OFFSET ?2)) "
		    "ORDER BY id LIMIT ?3)",
		    e))
		return -1;
	q_i64(&q, p->events_before);
	q_u64(&q, p->events_max);
	q_i64(&q, PAGE);
	return run(&q, rows, e);
}

static int prune_audit(struct db *db, const struct prune *p, uint64_t *rows, struct err *e)
{
	struct q q;

	if (q_begin(&q, db,
		    "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ?1 OR (?2 > 0 AND id <= (SELECT id FROM audit ORDER BY id DESC LIMIT 1 OFFSET ?2)) "
		    "ORDER BY id LIMIT ?3)",
		    e))
		return -1;
	q_i64(&q, p->audit_before);
	q_u64(&q, p->audit_max);
	q_i64(&q, PAGE);
	return run(&q, rows, e);
}

#define OVER \
	"SELECT b.id FROM batch b WHERE b.done > 0 AND b.done < ?1 AND b.deleted > 0 AND b.deleted < ?1 AND " \
	"b.last_offset < coalesce((SELECT m.tallied_to FROM trimmed m WHERE m.partition = b.partition), 0) AND " \
	"NOT EXISTS (SELECT 1 FROM rejected r JOIN job j ON r.destination_id = j.destination_id AND r.batch_id = j.batch_id WHERE j.batch_id = b.id) " \
	"ORDER BY b.done, b.id LIMIT ?2"

static int prune_batches(struct db *db, int64_t before, uint64_t *rows, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "DELETE FROM job WHERE batch_id IN (" OVER ")", e))
		return -1;
	q_i64(&q, before);
	q_i64(&q, PAGE);
	if (run(&q, rows, e) || q_begin(&q, db, "DELETE FROM batch WHERE id IN (" OVER ")", e))
		return -1;
	q_i64(&q, before);
	q_i64(&q, PAGE);
	if (run(&q, rows, e) || q_begin(&q, db,
					"DELETE FROM load WHERE id IN (SELECT l.id FROM load l WHERE l.outcome <> '' AND l.ended < ? AND NOT EXISTS "
					"(SELECT 1 FROM job j WHERE j.load_id = l.id AND j.load_id > 0) ORDER BY l.ended LIMIT ?)",
					e))
		return -1;
	q_i64(&q, before);
	q_i64(&q, PAGE);
	return run(&q, rows, e);
}

int db_prune(struct db *db, const struct prune *p, int64_t now, uint64_t *rows, struct err *e)
{
	(void)now;
	*rows = 0;
	return prune_events(db, p, rows, e) || prune_audit(db, p, rows, e) || prune_batches(db, p->jobs_before, rows, e) ? -1 : 0;
}
