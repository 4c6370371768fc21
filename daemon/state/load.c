/*
 * load.c - loads: what could be loaded now, a load's beginning, its row with its batches, and what becomes of them at a restart.
 *
 * A load is a row before a loader hears of it; its jobs never change, a retry is the same load with the next attempt's number. At most one is unfinished per
 * destination and table (a unique index). A job that was discarded through the ledger has left; one that is held keeps its load waiting.
 *
 * What can go wrong: two attempts of one batch with the same number would mix up their rejected records; so a new load begins behind the greatest number that any
 * load of its batches had. A destination without a ledger (S3) cannot say what it
 * has: there a load holds what no earlier one of the table holds, and its files are named by load_time, so that a retry writes the same ones.
 */
#include "daemon/state/state_rows.h"

#include "xalloc.h"

/* Kinds that keep no ledger in the destination. */
#define WITHOUT_LEDGER "('s3')"

/* --- what can be loaded --- */

int db_load_candidates(struct db *db, int64_t destination_id, int64_t now, unsigned limit, struct load_candidate **out, size_t *n, struct err *e)
{
	struct q q;
	int rc;

	*out = NULL;
	*n = 0;
	/* not those of a paused source that holds; unfinished loads that are due (also one whose loader was forgotten: the caller knows what runs), and tables with ready jobs and no load */
	if (q_begin(&q, db,
		    "WITH held AS (SELECT p.object_id FROM pause p JOIN source s ON s.id = p.object_id WHERE p.kind = 1 AND (p.until = 0 OR p.until > ?2) AND "
		    "json_extract(s.settings, '$.when_paused') = 'hold') "
		    "SELECT l.table_id, t.source_id, t.name, count(*), sum(j.records), sum(j.bytes), min(j.created) AS since FROM load l JOIN tbl t ON t.id = l.table_id "
		    "JOIN job j ON j.load_id = l.id AND j.load_id > 0 WHERE l.destination_id = ?1 AND l.outcome = '' AND l.not_before <= ?2 AND j.state IN (2, 4, 5) "
		    "AND t.source_id NOT IN (SELECT object_id FROM held) GROUP BY l.id HAVING max(j.state) < 5 "
		    "UNION ALL SELECT y.table_id, t.source_id, t.name, y.ready, y.ready_records, y.ready_bytes, (SELECT j.created FROM job j WHERE "
		    "j.destination_id = y.destination_id AND j.table_id = y.table_id AND j.state = 1 ORDER BY j.id LIMIT 1) FROM tally y JOIN tbl t ON t.id = y.table_id "
		    "WHERE y.destination_id = ?1 AND y.ready > 0 AND t.source_id NOT IN (SELECT object_id FROM held) AND NOT EXISTS (SELECT 1 FROM load l WHERE l.destination_id = ?1 AND l.table_id = y.table_id AND "
		    "l.outcome = '') ORDER BY since LIMIT ?3",
		    e))
		return -1;
	q_i64(&q, destination_id);
	q_i64(&q, now);
	q_i64(&q, limit);
	while ((rc = q_row(&q, e)) == 1) {
		struct load_candidate *c;

		*out = xreallocarray(*out, *n + 1, sizeof(**out));
		c = &(*out)[(*n)++];
		*c = (struct load_candidate){.table_id = q_get_i64(&q)};
		c->source_id = q_get_i64(&q);
		c->table = q_get_text(&q);
		c->jobs = q_get_u64(&q);
		c->records = q_get_u64(&q);
		c->bytes = q_get_u64(&q);
		c->oldest = q_get_i64(&q);
	}
	if (rc < 0) {
		candidate_list_free(*out, *n);
		*out = NULL;
		*n = 0;
	}
	return rc;
}

/* --- a load's row --- */

static int read_load(struct db *db, int64_t id, struct load_row *out, struct err *e)
{
	struct q q;
	int rc;

	if (q_begin(&q, db,
		    "SELECT l.id, l.destination_id, l.table_id, t.source_id, s.name, t.name, l.schema, l.key_names, c.columns, l.attempt, l.schema_version, l.started, l.load_time "
		    "FROM load l JOIN tbl t ON t.id = l.table_id JOIN source s ON s.id = t.source_id "
		    "LEFT JOIN table_schema c ON c.table_id = l.table_id AND c.version = l.schema_version WHERE l.id = ?",
		    e))
		return -1;
	q_i64(&q, id);
	rc = q_row(&q, e);
	if (rc == 1) {
		out->id = q_get_i64(&q);
		out->destination_id = q_get_i64(&q);
		out->table_id = q_get_i64(&q);
		out->source_id = q_get_i64(&q);
		out->source = q_get_text(&q);
		out->table = q_get_text(&q);
		out->schema = q_get_text(&q);
		out->key_names = q_get_text(&q);
		out->columns = q_get_text(&q);
		out->attempt = (uint32_t)q_get_i64(&q);
		out->schema_version = q_get_i64(&q);
		out->started = q_get_i64(&q);
		out->load_time = q_get_i64(&q);
	}
	q_end(&q);
	if (rc == 1 && !out->columns)
		out->columns = xstrdup("[]");
	return rc < 0 ? -1 : rc == 0 ? err_set(e, ERR_NOT_FOUND, "there is no load %" PRId64, id) : 0;
}

static int read_batches(struct db *db, struct load_row *out, struct err *e)
{
	struct q q;
	int rc;

	if (q_begin(&q, db,
		    "SELECT " BATCH_COLUMNS ", j.id FROM job j JOIN batch b ON b.id = j.batch_id JOIN tbl t ON t.id = b.table_id "
		    "WHERE j.load_id = ?1 AND j.load_id > 0 AND (j.state IN (2, 4, 5) OR (SELECT outcome FROM load WHERE id = ?1) <> '') ORDER BY j.id",
		    e))
		return -1;
	q_i64(&q, out->id);
	while ((rc = q_row(&q, e)) == 1) {
		out->batches = xreallocarray(out->batches, out->n + 1, sizeof(*out->batches));
		db_batch_read(&q, &out->batches[out->n].batch);
		out->batches[out->n].held = NULL;
		out->batches[out->n].n_held = 0;
		out->batches[out->n++].job_id = q_get_i64(&q);
	}
	return rc;
}

static int read_held_of(struct db *db, const struct load_row *load, struct load_batch *b, struct err *e)
{
	struct q q;
	int rc;

	/* only one load of a table is unfinished, so what the earlier ones hold is the same at each attempt of this one */
	if (q_begin(&q, db,
		    "SELECT o.first_offset, o.last_offset FROM batch o WHERE o.table_id = ?1 AND o.partition = ?2 AND o.last_offset >= ?3 AND o.first_offset <= ?4 AND "
		    "o.queue_id = ?5 AND o.replay_batch = '' AND EXISTS (SELECT 1 FROM job j WHERE j.batch_id = o.id AND j.destination_id = ?6 AND j.state = 3 AND j.load_id <> ?7 AND j.schema = ?8) "
		    "ORDER BY o.first_offset",
		    e))
		return -1;
	q_i64(&q, load->table_id);
	q_i64(&q, b->batch.partition);
	q_u64(&q, b->batch.first_offset);
	q_u64(&q, b->batch.last_offset);
	q_blob(&q, b->batch.queue_id, sizeof(b->batch.queue_id));
	q_i64(&q, load->destination_id);
	q_i64(&q, load->id);
	q_text(&q, load->schema);
	while ((rc = q_row(&q, e)) == 1) {
		b->held = xreallocarray(b->held, b->n_held + 1, sizeof(*b->held));
		b->held[b->n_held].first = q_get_u64(&q);
		b->held[b->n_held++].last = q_get_u64(&q);
	}
	return rc;
}

static int read_held(struct db *db, struct load_row *out, struct err *e)
{
	int64_t without;
	struct q q;

	if (q_begin(&q, db, "SELECT kind IN " WITHOUT_LEDGER " FROM destination WHERE id = ?", e))
		return -1;
	q_i64(&q, out->destination_id);
	if (q_value(&q, &without, e))
		return -1;
	for (size_t k = 0; without && k < out->n; k++)
		/* what a replay holds was rejected by the load that holds its offset */
		if (!out->batches[k].batch.replay_batch[0] && read_held_of(db, out, &out->batches[k], e))
			return -1;
	return 0;
}

int db_load_get(struct db *db, int64_t id, struct load_row *out, struct err *e)
{
	*out = (struct load_row){.id = 0};
	if (!read_load(db, id, out, e) && !read_batches(db, out, e) && !read_held(db, out, e))
		return 0;
	load_row_free(out);
	return -1;
}

/* --- beginning --- */

static int set_active(struct db *db, int64_t load_id, int64_t now, struct err *e)
{
	struct q q;

	if (q_begin(&q, db,
		    "UPDATE job SET state = 2, attempts = (SELECT attempt FROM load WHERE id = ?1), not_before = 0, updated = ?2 WHERE load_id = ?1 AND load_id > 0 "
		    "AND state IN (1, 2, 4)",
		    e))
		return -1;
	q_i64(&q, load_id);
	q_i64(&q, now);
	return q_run(&q, e);
}

/* The unfinished one: *id 0 when there is none. */
static int begin_again(struct db *db, int64_t destination_id, int64_t table_id, int64_t now, int64_t *id, struct err *e)
{
	int64_t waits;
	struct q q;

	if (q_begin(&q, db, "SELECT id FROM load WHERE destination_id = ? AND table_id = ? AND outcome = ''", e))
		return -1;
	q_i64(&q, destination_id);
	q_i64(&q, table_id);
	if (q_value(&q, id, e) || !*id)
		return *id ? -1 : 0;
	if (q_begin(&q, db,
		    "SELECT l.not_before > ?1 OR EXISTS (SELECT 1 FROM job j WHERE j.load_id = l.id AND j.load_id > 0 AND j.state = 5) FROM load l WHERE l.id = ?2", e))
		return -1;
	q_i64(&q, now);
	q_i64(&q, *id);
	if (q_value(&q, &waits, e))
		return -1;
	if (waits)
		return err_set(e, ERR_NOT_FOUND, "load %" PRId64 " of this table is not due", *id);
	if (q_begin(&q, db, "UPDATE load SET attempt = attempt + 1, started = ? WHERE id = ?", e))
		return -1;
	q_i64(&q, now);
	q_i64(&q, *id);
	if (q_run(&q, e))
		return -1;
	return set_active(db, *id, now, e);
}

struct choice {
	int64_t *jobs;
	size_t n;
	uint64_t bytes;
	char *schema, *keys;
	int64_t attempts, version, alone; /* alone: batches of one table version only, it stands in the name of the file */
};

static bool fits(struct choice *c, struct q *q, unsigned max_batches, uint64_t max_bytes)
{
	int64_t id = q_get_i64(q), attempts, version, alone;
	uint64_t bytes = q_get_u64(q);
	char *schema = q_get_text(q), *keys = q_get_text(q);
	bool fine = !c->n || (c->n < max_batches && c->bytes + bytes <= max_bytes && strcmp(schema, c->schema) == 0 && strcmp(keys, c->keys) == 0);

	attempts = q_get_i64(q);
	version = q_get_i64(q);
	alone = q_get_i64(q);
	fine = fine && (!c->n || alone == c->alone);
	if (fine) {
		c->alone = alone;
		c->jobs = xreallocarray(c->jobs, c->n + 1, sizeof(*c->jobs));
		c->jobs[c->n++] = id;
		c->bytes += bytes;
		c->attempts = MAX(c->attempts, attempts);
		c->version = MAX(c->version, version);
	}
	if (c->n == 1 && fine) {
		c->schema = schema;
		c->keys = keys;
	} else {
		free(schema);
		free(keys);
	}
	return fine;
}

static int choose(struct db *db, int64_t destination_id, int64_t table_id, unsigned max_batches, uint64_t max_bytes, struct choice *c, struct err *e)
{
	struct q q;
	int rc;

	if (q_begin(&q, db,
		    "SELECT j.id, j.bytes, j.schema, b.key_names, j.attempts, b.schema_version, iif((SELECT kind FROM destination WHERE id = j.destination_id) IN "
		    WITHOUT_LEDGER ", b.table_version, 0) FROM job j JOIN batch b ON b.id = j.batch_id WHERE j.destination_id = ? AND j.table_id = ? AND j.state = 1 ORDER BY j.id LIMIT ?",
		    e))
		return -1;
	q_i64(&q, destination_id);
	q_i64(&q, table_id);
	q_i64(&q, MAX(max_batches, 1));
	while ((rc = q_row(&q, e)) == 1 && fits(c, &q, max_batches, max_bytes))
		;
	q_end(&q);
	if (rc < 0)
		return -1;
	return c->n ? 0 : err_set(e, ERR_NOT_FOUND, "nothing of this table can be loaded now");
}

static int begin_new(struct db *db, int64_t destination_id, int64_t table_id, const struct choice *c, int64_t now, int64_t *id, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "UPDATE destination SET load_time = max(load_time + 1000000, ?1 / 1000000 * 1000000) WHERE id = ?2", e))
		return -1;
	q_i64(&q, now);
	q_i64(&q, destination_id);
	if (q_run(&q, e) || q_begin(&q, db,
				    "INSERT INTO load (destination_id, table_id, schema, key_names, attempt, schema_version, started, load_time) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, "
				    "(SELECT load_time FROM destination WHERE id = ?1))",
				    e))
		return -1;
	q_i64(&q, destination_id);
	q_i64(&q, table_id);
	q_text(&q, c->schema);
	q_text(&q, c->keys);
	q_i64(&q, c->attempts + 1);
	q_i64(&q, c->version);
	q_i64(&q, now);
	if (q_run(&q, e))
		return -1;
	*id = db_last_id(db);
	for (size_t i = 0; i < c->n; i++) {
		if (q_begin(&q, db, "UPDATE job SET load_id = ? WHERE id = ?", e))
			return -1;
		q_i64(&q, *id);
		q_i64(&q, c->jobs[i]);
		if (q_run(&q, e))
			return -1;
	}
	return set_active(db, *id, now, e);
}

int db_load_begin(struct db *db, int64_t destination_id, int64_t table_id, unsigned max_batches, uint64_t max_bytes, int64_t now, struct load_row *out, struct err *e)
{
	struct choice c = {.n = 0};
	int64_t id = 0;
	int rc;

	*out = (struct load_row){.id = 0};
	rc = begin_again(db, destination_id, table_id, now, &id, e);
	if (!rc && !id)
		rc = choose(db, destination_id, table_id, max_batches, max_bytes, &c, e) || begin_new(db, destination_id, table_id, &c, now, &id, e) ? -1 : 0;
	free(c.jobs);
	free(c.schema);
	free(c.keys);
	return rc ? -1 : db_load_get(db, id, out, e);
}

/* --- waiting --- */

int db_load_end_empty(struct db *db, int64_t load_id, int64_t now, struct err *e)
{
	struct q q;

	if (q_begin(&q, db,
		    "UPDATE load SET outcome = 'discarded', ended = ?1 WHERE id = ?2 AND outcome = '' AND NOT EXISTS "
		    "(SELECT 1 FROM job j WHERE j.load_id = ?2 AND j.load_id > 0 AND j.state IN (2, 4, 5))",
		    e))
		return -1;
	q_i64(&q, now);
	q_i64(&q, load_id);
	return q_run(&q, e);
}

int db_load_recover(struct db *db, int64_t now, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "UPDATE load SET not_before = ? WHERE outcome = '' AND id IN (SELECT load_id FROM job WHERE state = 2)", e))
		return -1;
	q_i64(&q, now);
	if (q_run(&q, e) || q_begin(&q, db, "UPDATE job SET " UNLESS_DISCARDING("4", "error_class", "error") ", not_before = ?1, updated = ?1 WHERE state = 2", e))
		return -1;
	q_i64(&q, now);
	return q_run(&q, e);
}

int db_retry_now(struct db *db, int64_t destination_id, int64_t now, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "UPDATE load SET not_before = ?1 WHERE outcome = '' AND not_before > ?1 AND (?2 = 0 OR destination_id = ?2)", e))
		return -1;
	q_i64(&q, now);
	q_i64(&q, destination_id);
	if (q_run(&q, e) || q_begin(&q, db, "UPDATE job SET not_before = ?1 WHERE state = 4 AND not_before > ?1 AND (?2 = 0 OR +destination_id = ?2)", e))
		return -1;
	q_i64(&q, now);
	q_i64(&q, destination_id);
	if (q_run(&q, e) || q_begin(&q, db, "UPDATE destination SET not_before = ?1 WHERE not_before > ?1 AND (?2 = 0 OR id = ?2)", e))
		return -1;
	q_i64(&q, now);
	q_i64(&q, destination_id);
	return q_run(&q, e);
}
