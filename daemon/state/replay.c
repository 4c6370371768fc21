/*
 * replay.c - see replay.h. The zero-sum ledger: what the job of the batch (or of the last replay) counts as rejected is taken off it and counted by the new job, in one
 * transaction; the triggers of 0001.sql do the rest. So a record moves rejected -> spooled -> loaded, once.
 *
 * A replay lies at the offset of its record, so a rewind takes it back with the rest (rewind.c); it counts nothing as a batch, holds up no trimming, and is given to no
 * destination that is connected later.
 */
#include "daemon/state/replay.h"

#include "daemon/state/batch_id.h"
#include "daemon/state/state_rows.h"

#include "xalloc.h"

const char *rejected_state_name(enum rejected_state s)
{
	static const char *const names[] = {[REJECTED_OPEN] = "rejected", [REJECTED_REPLAYING] = "replaying", [REJECTED_LOADED] = "loaded", [REJECTED_DISCARDED] = "discarded"};

	return names[s];
}

void rejected_list_free(struct rejected_row *r, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		free(r[k].r.field);
		free(r[k].r.value);
		free(r[k].r.reason);
		free(r[k].r.raw);
		free(r[k].source);
		free(r[k].table);
		free(r[k].destination);
	}
	free(r);
}

/* --- list --- */

static void read_rejected(struct q *q, struct rejected_row *r)
{
	*r = (struct rejected_row){.r = {.destination_id = q_get_i64(q)}};
	q_get_fixed(q, r->r.batch_id, sizeof(r->r.batch_id));
	r->r.record = q_get_u64(q);
	r->r.attempt = (uint32_t)q_get_i64(q);
	r->r.field = q_get_text(q);
	r->r.value = q_get_text(q);
	r->r.reason = q_get_text(q);
	r->r.raw = q_get_text(q);
	r->r.created = q_get_i64(q);
	r->revision = (uint32_t)q_get_i64(q);
	r->replay_job = q_get_i64(q);
	r->state = (enum rejected_state)q_get_i64(q);
	r->table_id = q_get_i64(q);
	r->source_id = q_get_i64(q);
	r->job_id = q_get_i64(q);
	r->source = q_get_text(q);
	r->table = q_get_text(q);
	r->destination = q_get_text(q);
}

/* Only of batches whose newest job is done: what an attempt that did not commit refused is void, and a job that was rejected as a whole is replayed as a whole. */
#define STATE "CASE WHEN r.loaded THEN 3 WHEN k.state IN " WAITING " THEN 2 WHEN k.state = 8 THEN 4 ELSE 1 END"

int db_rejected_list(struct db *db, const struct rejected_filter *f, const struct rejected_key *after, unsigned limit, struct rejected_row **out, size_t *n, struct err *e)
{
	struct q q;
	int rc;

	*out = NULL;
	*n = 0;
	if (q_begin(&q, db,
		    "SELECT r.destination_id, r.batch_id, r.record, r.attempt, r.field, r.value, r.reason, r.raw, r.created, r.revision, r.replay_job, " STATE ", b.table_id, "
		    "t.source_id, j.id, s.name, t.name, d.name FROM rejected r JOIN batch b ON b.id = r.batch_id JOIN tbl t ON t.id = b.table_id JOIN source s ON s.id = t.source_id "
		    "JOIN destination d ON d.id = r.destination_id "
		    "JOIN job j ON j.id = (SELECT max(x.id) FROM job x WHERE x.batch_id = r.batch_id AND x.destination_id = r.destination_id) "
		    "LEFT JOIN job k ON k.id = r.replay_job AND r.replay_job > 0 "
		    "WHERE (r.destination_id, r.batch_id, r.record) > (?1, ?2, ?3) AND b.replay_batch = '' AND j.state = 3 AND d.deleted = 0 AND (?4 = 0 OR b.table_id = ?4) "
		    "AND (?5 = 0 OR r.destination_id = ?5) AND (?6 = 0 OR j.id = ?6 OR r.replay_job = ?6) AND (?7 IS NULL OR r.batch_id = ?7) AND (?8 IS NULL OR r.field = ?8) "
		    "AND (?9 IS NULL OR instr(lower(r.reason), lower(?9))) AND (?10 OR " STATE " = 1) ORDER BY r.destination_id, r.batch_id, r.record LIMIT ?11",
		    e))
		return -1;
	q_i64(&q, after->destination_id);
	q_text(&q, after->batch_id);
	q_i64(&q, after->destination_id ? (int64_t)after->record : -1);
	q_i64(&q, f->table_id);
	q_i64(&q, f->destination_id);
	q_i64(&q, f->job_id);
	q_text(&q, f->batch_id);
	q_text(&q, f->field);
	q_text(&q, f->reason);
	q_i64(&q, f->all);
	q_i64(&q, limit);
	while ((rc = q_row(&q, e)) == 1) {
		*out = db_grow(*out, *n, sizeof(**out));
		read_rejected(&q, &(*out)[(*n)++]);
	}
	if (rc < 0) {
		rejected_list_free(*out, *n);
		*out = NULL;
		*n = 0;
	}
	return rc;
}

int db_rejected_since(struct db *db, int64_t since, struct rejected_pair **out, size_t *n, struct err *e)
{
	struct q q;
	int rc;

	*out = NULL;
	*n = 0;
	if (q_begin(&q, db,
		    "SELECT DISTINCT b.table_id, r.destination_id FROM (SELECT destination_id, batch_id FROM rejected WHERE created >= ? AND loaded = 0 ORDER BY created DESC "
		    "LIMIT 20000) r JOIN batch b ON b.id = r.batch_id",
		    e))
		return -1;
	q_i64(&q, since);
	while ((rc = q_row(&q, e)) == 1) {
		*out = db_grow(*out, *n, sizeof(**out));
		(*out)[*n].table_id = q_get_i64(&q);
		(*out)[(*n)++].destination_id = q_get_i64(&q);
	}
	if (rc < 0) {
		free(*out);
		*out = NULL;
		*n = 0;
	}
	return rc;
}

/* --- replay --- */

static int find(struct db *db, const struct rejected_key *key, struct rejected_row **row, struct err *e)
{
	struct rejected_filter f = {.batch_id = key->batch_id, .destination_id = key->destination_id, .all = true};
	struct rejected_key before = *key;
	size_t n;

	/* the one behind the one before it */
	if (key->record)
		before.record--;
	else
		before.batch_id[0] = '\0';
	if (db_rejected_list(db, &f, &before, 1, row, &n, e))
		return -1;
	if (n && (*row)->r.record == key->record)
		return 0;
	rejected_list_free(*row, n);
	*row = NULL;
	return err_set(e, ERR_NOT_FOUND, "there is no rejected record %s/%" PRIu64 " of this destination", key->batch_id, key->record);
}

/* What counts it as rejected counts one less; *taken: whether anything did (a rewind may have taken it back). */
static int take_count(struct db *db, const struct rejected_row *row, bool *taken, struct err *e)
{
	struct q q;

	if (row->replay_job) {
		/* the replay before: rejected again, damaged or discarded */
		if (q_begin(&q, db, "UPDATE job SET counted = 0, counted_rejected = 0 WHERE id = ? AND counted > 0 AND state IN (3, 6, 7, 8)", e))
			return -1;
		q_i64(&q, row->replay_job);
	} else {
		if (q_begin(&q, db, "UPDATE job SET counted = counted - 1, counted_rejected = counted_rejected - 1 WHERE id = ? AND counted_rejected > 0", e))
			return -1;
		q_i64(&q, row->job_id);
	}
	if (q_run(&q, e))
		return -1;
	*taken = db_changes(db) > 0;
	return 0;
}

/* A changed record may have fields and types that its table has not had. Keys of long ago must not come back by it. */
static int learn(struct db *db, const struct rejected_row *row, const struct replay *r, int64_t now, struct err *e)
{
	int64_t same, version;
	char *keys = NULL;
	struct q q;
	int rc;

	if (!r->head.len)
		return 0;
	if (q_begin(&q, db, "SELECT b.key_names = t.key_names FROM batch b JOIN tbl t ON t.id = b.table_id WHERE b.id = ?", e))
		return -1;
	q_text(&q, row->r.batch_id);
	if (q_value(&q, &same, e))
		return -1;
	if (!same)
		return err_set(e, ERR_STATE, "the keys of table %s have changed since: the record cannot be changed; push it again", row->table);
	rc = db_table_merge(db, row->table_id, &r->head, 1, 1, now, &version, &keys, e);
	free(keys);
	return rc;
}

static int add_batch(struct db *db, const struct rejected_row *row, const struct replay *r, int64_t now, struct err *e)
{
	struct q q;

	if (q_begin(&q, db,
		    "INSERT INTO batch (id, table_id, path, reason, queue_id, partition, first_offset, last_offset, records, lines, bytes, sha256, table_version, "
		    "schema_version, key_names, first_received, last_received, created, counted, counted_end, unclaimed, replay_batch, replay_record, replay_index) "
		    "SELECT ?1, b.table_id, ?2, 'replay', b.queue_id, b.partition, ?3, ?3, 1, 1, ?4, ?5, b.table_version, t.schema_version, b.key_names, ?6, ?6, ?7, 0, ?3 + 1, "
		    "0, b.id, ?8, ?9 FROM batch b JOIN tbl t ON t.id = b.table_id WHERE b.id = ?10",
		    e))
		return -1;
	q_text(&q, r->batch_id);
	q_str(&q, r->path);
	q_u64(&q, r->offset);
	q_u64(&q, r->bytes);
	q_blob(&q, r->sha256, sizeof(r->sha256));
	q_i64(&q, r->received_at);
	q_i64(&q, now);
	q_u64(&q, r->key.record);
	q_i64(&q, r->index);
	q_text(&q, row->r.batch_id);
	return q_run(&q, e);
}

static int add_job(struct db *db, const struct rejected_row *row, struct replay *r, bool counts, int64_t now, struct err *e)
{
	struct q q;

	if (q_begin(&q, db,
		    "INSERT INTO job (destination_id, table_id, batch_id, schema, state, records, bytes, counted, oldest, created, updated) "
		    "SELECT c.destination_id, b.table_id, b.id, c.schema, 1, 1, b.bytes, ?1, b.first_received, ?2, ?2 FROM batch b JOIN connection c ON c.source_id = ?3 AND "
		    "c.destination_id = ?4 WHERE b.id = ?5",
		    e))
		return -1;
	q_i64(&q, counts);
	q_i64(&q, now);
	q_i64(&q, row->source_id);
	q_i64(&q, row->r.destination_id);
	q_text(&q, r->batch_id);
	if (q_run(&q, e))
		return -1;
	if (!db_changes(db))
		return err_set(e, ERR_STATE, "source %s is not connected to %s any more", row->source, row->destination);
	r->job_id = db_last_id(db);
	if (q_begin(&q, db, "UPDATE rejected SET revision = ?, replay_job = ?, loaded = 0 WHERE destination_id = ? AND batch_id = ? AND record = ?", e))
		return -1;
	q_i64(&q, r->revision);
	q_i64(&q, r->job_id);
	q_i64(&q, row->r.destination_id);
	q_text(&q, row->r.batch_id);
	q_u64(&q, row->r.record);
	return q_run(&q, e);
}

int db_rejected_replay(struct db *db, struct replay *r, int64_t now, struct err *e)
{
	struct rejected_row *row;
	char id[120];
	bool counts = false;
	int rc = -1;

	r->made = false;
	if (find(db, &r->key, &row, e))
		return -1;
	r->job_id = row->replay_job;
	r->revision = row->revision;
	if (row->state == REJECTED_REPLAYING || row->state == REJECTED_LOADED) {
		rc = 0;
		goto out;
	}
	r->revision++;
	/* two destinations may have refused it, and have it put right in different ways */
	snprintf(id, sizeof(id), "replay %s/%" PRIu64 "/%" PRIu32 " %" PRId64, r->key.batch_id, r->key.record, r->revision, r->key.destination_id);
	if (!batch_id_of(id, strlen(id), r->batch_id)) {
		err_set(e, ERR_INTERNAL, "no SHA-256");
		goto out;
	}
	if (take_count(db, row, &counts, e) || learn(db, row, r, now, e) || add_batch(db, row, r, now, e) || add_job(db, row, r, counts, now, e))
		goto out;
	r->made = true;
	rc = 0;
out:
	rejected_list_free(row, 1);
	return rc;
}

/* --- how it ends --- */

/* Refused once more: what is shown of it is of now. */
static int refused_again(struct db *db, int64_t destination_id, const struct load_result *r, struct err *e)
{
	struct q q;

	if (q_begin(&q, db,
		    "UPDATE rejected SET (field, value, reason, raw, created) = (SELECT n.field, n.value, n.reason, n.raw, n.created FROM rejected n WHERE "
		    "n.destination_id = ?1 AND n.batch_id = ?2 AND n.attempt = ?3 LIMIT 1) WHERE destination_id = ?1 AND (batch_id, record) = (SELECT replay_batch, "
		    "replay_record FROM batch WHERE id = ?2) AND EXISTS (SELECT 1 FROM rejected n WHERE n.destination_id = ?1 AND n.batch_id = ?2 AND n.attempt = ?3)",
		    e))
		return -1;
	q_i64(&q, destination_id);
	q_text(&q, r->batch_id);
	q_i64(&q, r->attempt);
	if (q_run(&q, e))
		return -1;
	return db_rejects_keep(db, destination_id, r->batch_id, -1, e);
}

int db_replay_ended(struct db *db, int64_t destination_id, const struct load_result *r, struct err *e)
{
	int64_t is_replay;
	struct q q;

	if (q_begin(&q, db, "SELECT replay_batch <> '' FROM batch WHERE id = ?", e))
		return -1;
	q_text(&q, r->batch_id);
	if (q_value(&q, &is_replay, e))
		return -1;
	if (!is_replay)
		return 0;
	if (r->rejected)
		return refused_again(db, destination_id, r, e);
	if (q_begin(&q, db,
		    "UPDATE rejected SET loaded = 1 WHERE destination_id = ?1 AND (batch_id, record) = (SELECT replay_batch, replay_record FROM batch WHERE id = ?2)", e))
		return -1;
	q_i64(&q, destination_id);
	q_text(&q, r->batch_id);
	if (q_run(&q, e))
		return -1;
	/* one that a rewind took back counts in the job of its batch, which was loaded again meanwhile */
	if (q_begin(&q, db,
		    "UPDATE job SET counted_rejected = counted_rejected - 1 WHERE counted_rejected > 0 AND state = 3 AND id = (SELECT max(x.id) FROM job x WHERE "
		    "x.destination_id = ?1 AND x.batch_id = (SELECT replay_batch FROM batch WHERE id = ?2)) AND "
		    "NOT EXISTS (SELECT 1 FROM job k WHERE k.batch_id = ?2 AND k.destination_id = ?1 AND k.counted > 0)",
		    e))
		return -1;
	q_i64(&q, destination_id);
	q_text(&q, r->batch_id);
	return q_run(&q, e);
}
