/*
 * prune.c - rows that nobody needs any more, a page at a time: old events and audit entries, rejected records that nobody put right for long, and batches with
 * their jobs and loads, long after their end; with them go the versions of columns that only they named.
 *
 * What must stay: a batch until its file is deleted and the queue is trimmed past it (a rewind must find what counts there), and everything of a batch with rejected
 * records: they are accepted, and kept for whoever puts them right. When rejected records go an event says so; they stay counted.
 */
#include "daemon/state/state_rows.h"

#define PAGE 500
#define REJECTS_PAGE 5000u
#define SCHEMAS_PAGE (4 * PAGE) /* more than a page of batches and loads can free */

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

static int tell_rejects(struct db *db, uint64_t n, const char *why, int64_t now, struct err *e)
{
	struct event_row ev = {.at = now};
	char text[200];

	snprintf(text, sizeof(text), "the %" PRIu64 " oldest rejected records were deleted: %s", n, why);
	ev.level = (char *)(uintptr_t)"warn";
	ev.kind = (char *)(uintptr_t)"rejected-deleted";
	ev.object = (char *)(uintptr_t)"rejected records";
	ev.text = text;
	return db_event_add(db, &ev, e);
}

/* The oldest: all before a time, and as many as there are too many. */
static int prune_rejects(struct db *db, const struct prune *p, int64_t now, uint64_t *rows, struct err *e)
{
	uint64_t before = *rows, many = 0;
	int64_t old, all;
	struct q q;

	if (q_begin(&q, db, "SELECT count(*) FROM rejected WHERE created < ?", e))
		return -1;
	q_i64(&q, p->rejects_before);
	if (q_value(&q, &old, e) || q_begin(&q, db, "SELECT count(*) FROM rejected", e) || q_value(&q, &all, e))
		return -1;
	if (p->rejects_max && (uint64_t)all > p->rejects_max)
		many = (uint64_t)all - p->rejects_max;
	if (!old && !many)
		return 0;
	if (q_begin(&q, db,
		    "DELETE FROM rejected WHERE (destination_id, batch_id, record, attempt) IN (SELECT destination_id, batch_id, record, attempt FROM rejected "
		    "ORDER BY created LIMIT ?)",
		    e))
		return -1;
	q_u64(&q, MIN(MAX((uint64_t)old, many), REJECTS_PAGE));
	if (run(&q, rows, e))
		return -1;
	return tell_rejects(db, *rows - before, many > (uint64_t)old ? "there are more than rejects_max" : "they were older than reject_keep", now, e);
}

/* Versions of columns that nothing names. */
static int prune_schemas(struct db *db, uint64_t *rows, struct err *e)
{
	struct q q;

	if (q_begin(&q, db,
		    "DELETE FROM table_schema WHERE (table_id, version) IN (SELECT s.table_id, s.version FROM tbl t JOIN table_schema s ON s.table_id = t.id AND "
		    "s.version < t.schema_version WHERE NOT EXISTS (SELECT 1 FROM batch b WHERE b.table_id = s.table_id AND b.schema_version = s.version) AND "
		    "NOT EXISTS (SELECT 1 FROM load l WHERE l.table_id = s.table_id AND l.schema_version = s.version) LIMIT ?)",
		    e))
		return -1;
	q_i64(&q, SCHEMAS_PAGE);
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
	uint64_t batches = 0;

	*rows = 0;
	if (prune_events(db, p, rows, e) || prune_audit(db, p, rows, e) || prune_rejects(db, p, now, rows, e) || prune_batches(db, p->jobs_before, &batches, e))
		return -1;
	*rows += batches;
	/* only their end frees any */
	return batches ? prune_schemas(db, rows, e) : 0;
}
