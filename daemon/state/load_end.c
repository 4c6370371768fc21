/*
 * load_end.c - how a load ends, and what its loader refuses on the way.
 *
 * Done: per batch what the destination's ledger row says. Of the rejected records only those of the attempt that committed are kept (model/README.md, FIX_TRY). transient
 * and config: the load stays and is done again. data: its jobs are rejected. corrupt: one file is, the others are free for another load.
 */
#include "daemon/state/state_rows.h"

/* Is it unfinished, and whose? */
static int open_load(struct db *db, int64_t load_id, int64_t *destination_id, int64_t *attempt, struct err *e)
{
	bool over = false;
	struct q q;
	int rc;

	if (q_begin(&q, db, "SELECT destination_id, attempt, outcome <> '' FROM load WHERE id = ?", e))
		return -1;
	q_i64(&q, load_id);
	rc = q_row(&q, e);
	if (rc == 1) {
		*destination_id = q_get_i64(&q);
		*attempt = q_get_i64(&q);
		over = q_get_i64(&q) != 0;
	}
	q_end(&q);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND, "there is no load %" PRId64, load_id);
	return over ? err_set(e, ERR_STATE, "load %" PRId64 " is over already", load_id) : 0;
}

/* The job of a batch in this load: *job_id 0 when there is none. */
static int job_in(struct db *db, int64_t load_id, const char *batch_id, int64_t destination_id, int64_t *job_id, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "SELECT id FROM job WHERE batch_id = ? AND destination_id = ? AND load_id = ? AND state IN " WAITING, e))
		return -1;
	q_text(&q, batch_id);
	q_i64(&q, destination_id);
	q_i64(&q, load_id);
	return q_value(&q, job_id, e);
}

int db_load_reject(struct db *db, int64_t load_id, const struct reject_row *rows, size_t n, int64_t now, struct err *e)
{
	int64_t destination_id, attempt, job_id;
	struct q q;

	if (open_load(db, load_id, &destination_id, &attempt, e))
		return -1;
	for (size_t i = 0; i < n; i++) {
		const struct reject_row *r = &rows[i];

		if (job_in(db, load_id, r->batch_id, destination_id, &job_id, e))
			return -1;
		if (!job_id)
			return err_set(e, ERR_INVALID, "batch %s is not in load %" PRId64, r->batch_id, load_id);
		if (q_begin(&q, db,
			    "INSERT OR REPLACE INTO rejected (destination_id, batch_id, record, attempt, field, value, reason, raw, created) VALUES "
			    "(?, ?, ?, ?, ?, ?, ?, ?, ?)",
			    e))
			return -1;
		q_i64(&q, destination_id);
		q_text(&q, r->batch_id);
		q_u64(&q, r->record);
		q_i64(&q, r->attempt ? r->attempt : attempt);
		q_text_or_empty(&q, r->field);
		q_text_or_empty(&q, r->value);
		q_text_or_empty(&q, r->reason);
		q_text_or_empty(&q, r->raw);
		q_i64(&q, now);
		if (q_run(&q, e))
			return -1;
	}
	return 0;
}

static int end_load(struct db *db, int64_t load_id, const char *outcome, int64_t now, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "UPDATE load SET outcome = ?, ended = ? WHERE id = ?", e))
		return -1;
	q_text(&q, outcome);
	q_i64(&q, now);
	q_i64(&q, load_id);
	return q_run(&q, e);
}

int db_result_count(struct db *db, int64_t destination_id, const char *batch_id, struct load_result *r, struct err *e)
{
	int64_t records, rejected;
	struct q q;

	if (!r->uncounted)
		return 0;
	if (q_begin(&q, db, "SELECT count(*) FROM rejected WHERE destination_id = ? AND batch_id = ? AND attempt = ?", e))
		return -1;
	q_i64(&q, destination_id);
	q_text(&q, batch_id);
	q_i64(&q, r->attempt);
	if (q_value(&q, &rejected, e) || q_begin(&q, db, "SELECT records FROM batch WHERE id = ?", e))
		return -1;
	q_text(&q, batch_id);
	if (q_value(&q, &records, e))
		return -1;
	r->rejected = (uint64_t)rejected;
	r->rows = (uint64_t)MAX(records - rejected, 0);
	return 0;
}

int db_rejects_keep(struct db *db, int64_t destination_id, const char *batch_id, int64_t attempt, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "DELETE FROM rejected WHERE destination_id = ? AND batch_id = ? AND attempt <> ?", e))
		return -1;
	q_i64(&q, destination_id);
	q_text(&q, batch_id);
	q_i64(&q, attempt);
	return q_run(&q, e);
}

static int job_done(struct db *db, int64_t job_id, int64_t destination_id, const struct load_result *r, int64_t now, struct err *e)
{
	struct q q;

	if (q_begin(&q, db,
		    "UPDATE job SET state = 3, rows = ?1, rejected = ?2, counted_rejected = min(max(?2 - (SELECT count(*) FROM rejected x WHERE x.destination_id = job.destination_id AND x.batch_id = job.batch_id AND x.attempt = ?3 "
		    "AND x.loaded), 0), counted), attempts = max(attempts, ?3), error_class = '', error = '', "
		    "not_before = 0, updated = ?4 WHERE id = ?5",
		    e))
		return -1;
	q_u64(&q, r->rows);
	q_u64(&q, r->rejected);
	q_i64(&q, r->attempt);
	q_i64(&q, now);
	q_i64(&q, job_id);
	if (q_run(&q, e) || db_rejects_keep(db, destination_id, r->batch_id, r->attempt, e) || db_replay_ended(db, destination_id, r, e))
		return -1;
	return db_batch_settle(db, r->batch_id, now, e);
}

int db_load_done(struct db *db, int64_t load_id, const struct load_result *r, size_t n, int64_t now, struct err *e)
{
	int64_t destination_id, attempt, job_id, left;
	struct q q;

	if (open_load(db, load_id, &destination_id, &attempt, e))
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct load_result one = r[i];

		if (job_in(db, load_id, r[i].batch_id, destination_id, &job_id, e))
			return -1;
		if (!job_id)
			return err_set(e, ERR_INVALID, "the loader answers for batch %s, which is not in load %" PRId64, r[i].batch_id, load_id);
		if (db_result_count(db, destination_id, one.batch_id, &one, e) || job_done(db, job_id, destination_id, &one, now, e))
			return -1;
	}
	if (q_begin(&q, db, "SELECT count(*) FROM job WHERE load_id = ? AND load_id > 0 AND state IN (2, 4, 5)", e))
		return -1;
	q_i64(&q, load_id);
	if (q_value(&q, &left, e))
		return -1;
	if (left)
		return err_set(e, ERR_INVALID, "the loader says nothing of %" PRId64 " batches of load %" PRId64, left, load_id);
	return end_load(db, load_id, "done", now, e);
}

/* --- failures --- */

static int put_off(struct db *db, int64_t load_id, const char *class, const char *text, int64_t now, int64_t not_before, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "UPDATE load SET not_before = ? WHERE id = ?", e))
		return -1;
	q_i64(&q, not_before);
	q_i64(&q, load_id);
	if (q_run(&q, e) || q_begin(&q, db,
				    "UPDATE job SET " UNLESS_DISCARDING("4", "?1", "?2") ", not_before = ?3, updated = ?4 WHERE load_id = ?5 AND load_id > 0 AND state = 2",
				    e))
		return -1;
	q_text_or_empty(&q, class);
	q_text_or_empty(&q, text);
	q_i64(&q, not_before);
	q_i64(&q, now);
	q_i64(&q, load_id);
	return q_run(&q, e);
}

/* The job of this batch (NULL: all of the load) ends so. */
static int jobs_failed(struct db *db, int64_t load_id, const char *batch_id, enum job_state state, const char *class, const char *text, int64_t now, struct err *e)
{
	struct q q;

	if (q_begin(&q, db,
		    "UPDATE job SET " UNLESS_DISCARDING("?1", "?2", "?3") ", not_before = 0, updated = ?4 WHERE load_id = ?5 AND load_id > 0 AND state IN (2, 4, 5) "
		    "AND (?6 IS NULL OR batch_id = ?6)",
		    e))
		return -1;
	q_i64(&q, state);
	q_text_or_empty(&q, class);
	q_text_or_empty(&q, text);
	q_i64(&q, now);
	q_i64(&q, load_id);
	q_text(&q, batch_id);
	return q_run(&q, e);
}

/* A file that is damaged. When the loader does not say which, none of them is tried again by itself. */
static int corrupt(struct db *db, int64_t load_id, const char *batch_id, const char *text, int64_t now, struct err *e)
{
	struct q q;

	if (batch_id && *batch_id) {
		if (jobs_failed(db, load_id, batch_id, JOB_CORRUPT, "corrupt", text, now, e))
			return -1;
		if (db_changes(db)) {
			/* held ones stay held */
			if (q_begin(&q, db,
				    "UPDATE job SET " UNLESS_DISCARDING("1", "''", "''") ", not_before = 0, updated = ?1 WHERE load_id = ?2 AND load_id > 0 AND state IN (2, 4)",
				    e))
				return -1;
			q_i64(&q, now);
			q_i64(&q, load_id);
			return q_run(&q, e);
		}
	}
	return jobs_failed(db, load_id, NULL, JOB_CORRUPT, "corrupt", text, now, e);
}

int db_load_failed(struct db *db, int64_t load_id, const char *class, const char *text, const char *corrupt_batch, int64_t now, int64_t not_before, struct err *e)
{
	int64_t destination_id, attempt;

	if (open_load(db, load_id, &destination_id, &attempt, e))
		return -1;
	if (strcmp(class, "corrupt") == 0)
		return corrupt(db, load_id, corrupt_batch, text, now, e) || end_load(db, load_id, "corrupt", now, e) ? -1 : 0;
	if (strcmp(class, "data") == 0)
		return jobs_failed(db, load_id, NULL, JOB_REJECTED, class, text, now, e) || end_load(db, load_id, "data", now, e) ? -1 : 0;
	return put_off(db, load_id, class, text, now, not_before, e);
}
