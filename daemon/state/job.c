/*
 * job.c - jobs: shown, counted, held, replayed, discarded. Loads and their outcomes are in load.c and load_end.c.
 *
 * At most one job of a batch and destination waits; the newest is the one that counts in the ledger, so a replay moves `counted` from the old job to the new one
 * and the sum holds. A job whose batch has been in a load (attempts > 0) may be in the destination although nobody told us: only the ledger there can
 * say whether it is discarded or done.
 */
#include "daemon/state/state_rows.h"

#include "xalloc.h"

#define JOB_COLUMNS \
	"j.id, j.destination_id, j.table_id, t.source_id, j.load_id, j.batch_id, j.state, s.name, t.name, d.name, j.error_class, j.error, j.attempts, j.records, j.bytes, " \
	"j.rows, j.rejected, j.not_before, j.created, j.updated"
#define JOB_FROM " FROM job j JOIN tbl t ON t.id = j.table_id JOIN source s ON s.id = t.source_id JOIN destination d ON d.id = j.destination_id "

static void read_job(struct q *q, struct job_row *r)
{
	*r = (struct job_row){.id = q_get_i64(q)};
	r->destination_id = q_get_i64(q);
	r->table_id = q_get_i64(q);
	r->source_id = q_get_i64(q);
	r->load_id = q_get_i64(q);
	q_get_fixed(q, r->batch_id, sizeof(r->batch_id));
	r->state = (enum job_state)q_get_i64(q);
	r->source = q_get_text(q);
	r->table = q_get_text(q);
	r->destination = q_get_text(q);
	r->error_class = q_get_text(q);
	r->error = q_get_text(q);
	r->attempts = (uint32_t)q_get_i64(q);
	r->records = q_get_u64(q);
	r->bytes = q_get_u64(q);
	r->rows = q_get_u64(q);
	r->rejected = q_get_u64(q);
	r->not_before = q_get_i64(q);
	r->created = q_get_i64(q);
	r->updated = q_get_i64(q);
}

int db_job_get(struct db *db, int64_t id, struct job_row *out, struct err *e)
{
	struct q q;
	int rc;

	*out = (struct job_row){.id = 0};
	if (q_begin(&q, db, "SELECT " JOB_COLUMNS JOB_FROM "WHERE j.id = ?", e))
		return -1;
	q_i64(&q, id);
	rc = q_row(&q, e);
	if (rc == 1)
		read_job(&q, out);
	q_end(&q);
	return rc < 0 ? -1 : rc == 0 ? err_set(e, ERR_NOT_FOUND, "there is no job %" PRId64, id) : 0;
}

/* By the filter that leaves least; unary plus keeps the others from being used as an index. */
#define JOB_LIST(how) "SELECT " JOB_COLUMNS JOB_FROM "WHERE " how " AND j.id > ?4 ORDER BY j.id LIMIT ?5"

static int begin_list(struct q *q, struct db *db, const struct job_filter *f, struct err *e)
{
	if (f->batch_id)
		return q_begin(q, db, JOB_LIST("(?1 = 0 OR +j.state = ?1) AND (?2 = 0 OR +j.table_id = ?2) AND (?3 = 0 OR +j.destination_id = ?3) AND j.batch_id = ?6"), e);
	if (f->state && f->state != JOB_DONE)
		return q_begin(q, db, JOB_LIST("j.state = ?1 AND (?2 = 0 OR +j.table_id = ?2) AND (?3 = 0 OR +j.destination_id = ?3)"), e);
	if (f->table_id)
		return q_begin(q, db, JOB_LIST("(?1 = 0 OR +j.state = ?1) AND j.table_id = ?2 AND (?3 = 0 OR +j.destination_id = ?3)"), e);
	if (f->destination_id)
		return q_begin(q, db, JOB_LIST("(?1 = 0 OR +j.state = ?1) AND ?2 = 0 AND j.destination_id = ?3"), e);
	if (f->state)
		return q_begin(q, db, JOB_LIST("j.state = ?1 AND ?2 = 0 AND ?3 = 0"), e);
	return q_begin(q, db, JOB_LIST("?1 = 0 AND ?2 = 0 AND ?3 = 0"), e);
}

int db_job_list(struct db *db, const struct job_filter *f, int64_t after, unsigned limit, struct job_row **out, size_t *n, struct err *e)
{
	struct q q;
	int rc;

	*out = NULL;
	*n = 0;
	if (begin_list(&q, db, f, e))
		return -1;
	q_i64(&q, f->state);
	q_i64(&q, f->table_id);
	q_i64(&q, f->destination_id);
	q_i64(&q, after);
	q_i64(&q, limit);
	if (f->batch_id)
		q_text(&q, f->batch_id);
	while ((rc = q_row(&q, e)) == 1) {
		if (*n % 64 == 0)
			*out = xreallocarray(*out, *n + 64, sizeof(**out));
		read_job(&q, &(*out)[(*n)++]);
	}
	if (rc < 0) {
		job_list_free(*out, *n);
		*out = NULL;
		*n = 0;
	}
	return rc;
}

int db_job_counts(struct db *db, struct job_counts *out, struct err *e)
{
	struct q q;
	int rc;

	*out = (struct job_counts){.n = {0}};
	if (q_begin(&q, db, "SELECT state, n, records, bytes FROM job_count", e))
		return -1;
	while ((rc = q_row(&q, e)) == 1) {
		int64_t state = q_get_i64(&q);

		assert(state > 0 && (size_t)state < ARRAY_LEN(out->n));
		out->n[state] = q_get_u64(&q);
		out->records[state] = q_get_u64(&q);
		out->bytes[state] = q_get_u64(&q);
	}
	return rc;
}

int db_reject_list(struct db *db, int64_t job_id, unsigned limit, struct reject_row **out, size_t *n, struct err *e)
{
	struct q q;
	int rc;

	*out = NULL;
	*n = 0;
	if (q_begin(&q, db,
		    "SELECT r.batch_id, r.destination_id, r.record, r.attempt, r.field, r.value, r.reason, r.raw, r.created FROM job j JOIN rejected r "
		    "ON r.destination_id = j.destination_id AND r.batch_id = j.batch_id WHERE j.id = ? ORDER BY r.record, r.attempt LIMIT ?",
		    e))
		return -1;
	q_i64(&q, job_id);
	q_i64(&q, limit);
	while ((rc = q_row(&q, e)) == 1) {
		struct reject_row *r;

		*out = xreallocarray(*out, *n + 1, sizeof(**out));
		r = &(*out)[(*n)++];
		*r = (struct reject_row){.record = 0};
		q_get_fixed(&q, r->batch_id, sizeof(r->batch_id));
		r->destination_id = q_get_i64(&q);
		r->record = q_get_u64(&q);
		r->attempt = (uint32_t)q_get_i64(&q);
		r->field = q_get_text(&q);
		r->value = q_get_text(&q);
		r->reason = q_get_text(&q);
		r->raw = q_get_text(&q);
		r->created = q_get_i64(&q);
	}
	if (rc < 0) {
		reject_list_free(*out, *n);
		*out = NULL;
		*n = 0;
	}
	return rc;
}

int db_job_discards(struct db *db, int64_t destination_id, unsigned limit, struct discard_row **out, size_t *n, struct err *e)
{
	struct q q;
	int rc;

	*out = NULL;
	*n = 0;
	if (q_begin(&q, db,
		    "SELECT j.id, j.table_id, j.schema, coalesce((SELECT l.load_time FROM load l WHERE l.id = j.load_id), 0) FROM job j WHERE j.destination_id = ? AND "
		    "j.state = 5 AND j.error_class = 'discarding' ORDER BY j.id LIMIT ?",
		    e))
		return -1;
	q_i64(&q, destination_id);
	q_i64(&q, limit);
	while ((rc = q_row(&q, e)) == 1) {
		struct discard_row *r;

		*out = xreallocarray(*out, *n + 1, sizeof(**out));
		r = &(*out)[(*n)++];
		*r = (struct discard_row){.job_id = q_get_i64(&q)};
		r->table_id = q_get_i64(&q);
		r->schema = q_get_text(&q);
		r->load_time = q_get_i64(&q);
	}
	if (rc < 0) {
		discard_list_free(*out, *n);
		*out = NULL;
		*n = 0;
	}
	return rc;
}

/* --- hold --- */

int db_job_hold(struct db *db, int64_t id, bool hold, const char *reason, int64_t now, struct err *e)
{
	struct job_row j;
	struct q q;

	/* one of an unfinished load stays in it: the load waits until it is let go */
	if (hold) {
		if (q_begin(&q, db, "UPDATE job SET state = 5, error_class = 'held', error = ?, updated = ? WHERE id = ? AND state IN (1, 4)", e))
			return -1;
		q_text_or_empty(&q, reason);
	} else {
		if (q_begin(&q, db,
			    "UPDATE job SET state = CASE WHEN EXISTS (SELECT 1 FROM load l WHERE l.id = job.load_id AND l.outcome = '') THEN 4 ELSE 1 END, "
			    "error_class = '', error = '', not_before = ?1, updated = ?1 WHERE id = ?2 AND state = 5",
			    e))
			return -1;
	}
	q_i64(&q, now);
	q_i64(&q, id);
	if (q_run(&q, e))
		return -1;
	if (db_changes(db))
		return 0;
	if (db_job_get(db, id, &j, e))
		return -1;
	err_set(e, ERR_STATE, "job %" PRId64 " is %s: only %s", id, job_state_name(j.state), hold ? "what is ready or deferred can be held" : "what is held can go on");
	job_row_free(&j);
	return -1;
}

/* --- replay --- */

int db_job_newest(struct db *db, const char *batch_id, int64_t destination_id, int64_t *id, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "SELECT max(id) FROM job WHERE batch_id = ? AND destination_id = ?", e))
		return -1;
	q_text(&q, batch_id);
	q_i64(&q, destination_id);
	if (q_value(&q, id, e))
		return -1;
	return *id ? 0 : err_set(e, ERR_NOT_FOUND, "batch %s has no job for this destination", batch_id);
}

static int can_replay(struct db *db, const struct job_row *j, struct err *e)
{
	int64_t gone;
	struct q q;

	if (q_begin(&q, db, "SELECT deleted FROM destination WHERE id = ?", e))
		return -1;
	q_i64(&q, j->destination_id);
	if (q_value(&q, &gone, e))
		return -1;
	if (gone)
		return err_set(e, ERR_STATE, "destination %s was deleted", j->destination);
	if (q_begin(&q, db, "SELECT deleted FROM batch WHERE id = ?", e))
		return -1;
	q_text(&q, j->batch_id);
	if (q_value(&q, &gone, e))
		return -1;
	return gone ? err_set(e, ERR_STATE, "the file of batch %s was deleted: it cannot be loaded again", j->batch_id) : 0;
}

/* One that was held is over with its replay; it leaves its load. */
static int close_old(struct db *db, const struct job_row *j, int64_t now, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "UPDATE job SET state = CASE state WHEN 5 THEN 8 ELSE state END, counted = 0, counted_rejected = 0, updated = ? WHERE id = ?", e))
		return -1;
	q_i64(&q, now);
	q_i64(&q, j->id);
	if (q_run(&q, e))
		return -1;
	return j->load_id ? db_load_end_empty(db, j->load_id, now, e) : 0;
}

static int replay_newest(struct db *db, const struct job_row *j, int64_t now, int64_t *new_id, struct err *e)
{
	int64_t counted;
	struct q q;

	if (can_replay(db, j, e) || q_begin(&q, db, "SELECT counted FROM job WHERE id = ?", e))
		return -1;
	q_i64(&q, j->id);
	if (q_value(&q, &counted, e) || close_old(db, j, now, e) ||
		q_begin(&q, db,
			"INSERT INTO job (destination_id, table_id, batch_id, schema, state, attempts, records, bytes, counted, oldest, replay_of, created, updated) "
			"SELECT destination_id, table_id, batch_id, schema, 1, attempts, records, bytes, ?1, oldest, id, ?2, ?2 FROM job WHERE id = ?3",
			e))
		return -1;
	q_i64(&q, counted);
	q_i64(&q, now);
	q_i64(&q, j->id);
	if (q_run(&q, e))
		return -1;
	*new_id = db_last_id(db);
	return db_batch_settle(db, j->batch_id, now, e);
}

int db_job_replay(struct db *db, int64_t id, int64_t now, int64_t *new_id, struct err *e)
{
	struct job_row j;
	int64_t newest;
	int rc = -1;

	if (db_job_get(db, id, &j, e))
		return -1;
	if (db_job_newest(db, j.batch_id, j.destination_id, &newest, e))
		goto out;
	if (newest != id) {
		job_row_free(&j);
		if (db_job_get(db, newest, &j, e))
			return -1;
	}
	switch (j.state) {
	case JOB_DONE:
		*new_id = id;
		rc = 0;
		break;
	case JOB_READY:
	case JOB_ACTIVE:
	case JOB_DEFERRED:
		/* replayed before, and not at its end yet */
		*new_id = newest;
		rc = newest == id ? err_set(e, ERR_STATE, "job %" PRId64 " is %s: it has not ended yet", id, job_state_name(j.state)) : 0;
		break;
	default:
		rc = replay_newest(db, &j, now, new_id, e);
	}
out:
	job_row_free(&j);
	return rc;
}

/* --- discard --- */

/* To its end: done as the destination's ledger says, or discarded, and then whatever any attempt rejected is void. */
static int end_job(struct db *db, const struct job_row *j, const struct load_result *loaded, int64_t now, struct err *e)
{
	struct q q;

	if (q_begin(&q, db,
		    "UPDATE job SET state = ?1, rows = ?2, rejected = ?3, counted_rejected = min(?3, counted), error_class = '', error = '', updated = ?4 WHERE id = ?5", e))
		return -1;
	q_i64(&q, loaded ? JOB_DONE : JOB_DISCARDED);
	q_u64(&q, loaded ? loaded->rows : 0);
	q_u64(&q, loaded ? loaded->rejected : 0);
	q_i64(&q, now);
	q_i64(&q, j->id);
	if (q_run(&q, e) || (j->load_id && db_load_end_empty(db, j->load_id, now, e)) ||
		db_rejects_keep(db, j->destination_id, j->batch_id, loaded ? (int64_t)loaded->attempt : -1, e) ||
		(loaded && db_replay_ended(db, j->destination_id, loaded, e)))
		return -1;
	return db_batch_settle(db, j->batch_id, now, e);
}

/* The job itself when it is the newest of its batch and destination; *over: it is at its end, and nothing is to be done. */
static int for_discard(struct db *db, int64_t id, struct job_row *j, struct err *e)
{
	int64_t newest;

	if (db_job_get(db, id, j, e))
		return -1;
	if (!db_job_newest(db, j->batch_id, j->destination_id, &newest, e) &&
		(newest == id || err_set(e, ERR_STATE, "job %" PRId64 " was replayed as job %" PRId64, id, newest) == 0))
		return 0;
	job_row_free(j);
	return -1;
}

/* It must not be loaded before the destination was asked, also not after a restart: held, and the spool finds it by its class. One that is being loaded is marked
 * only: if its load does not end well it is held then (UNLESS_DISCARDING). */
static int hold_for_discard(struct db *db, int64_t id, int64_t now, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "UPDATE job SET state = CASE state WHEN 2 THEN 2 ELSE 5 END, error_class = '" JOB_DISCARDING "', "
			    "error = 'to be discarded: the destination is asked whether it has it', updated = ? WHERE id = ?", e))
		return -1;
	q_i64(&q, now);
	q_i64(&q, id);
	return q_run(&q, e);
}

int db_job_discard(struct db *db, int64_t id, int64_t now, bool *done, struct err *e)
{
	struct job_row j;
	int rc = 0;

	*done = false;
	if (for_discard(db, id, &j, e))
		return -1;
	if (j.state == JOB_DISCARDED)
		*done = true;
	else if (j.state == JOB_DONE)
		rc = err_set(e, ERR_STATE, "job %" PRId64 " is loaded already", id);
	else if (!j.attempts && !j.load_id)
		rc = end_job(db, &j, NULL, now, e);
	else
		rc = hold_for_discard(db, id, now, e);
	if (!rc && !j.attempts && !j.load_id)
		*done = true;
	job_row_free(&j);
	return rc;
}

int db_job_discarded(struct db *db, int64_t id, const struct load_result *loaded, int64_t now, struct err *e)
{
	struct load_result told = loaded ? *loaded : (struct load_result){.rows = 0};
	struct job_row j;
	int rc = 0;

	if (for_discard(db, id, &j, e))
		return -1;
	if (j.state == JOB_ACTIVE)
		rc = err_set(e, ERR_STATE, "job %" PRId64 " is being loaded", id);
	else if (j.state == JOB_HELD && j.error_class && strcmp(j.error_class, JOB_DISCARDING) == 0)
		rc = db_result_count(db, j.destination_id, j.batch_id, &told, e) || end_job(db, &j, loaded ? &told : NULL, now, e) ? -1 : 0;
	job_row_free(&j);
	return rc;
}
