/*
 * destination.c - destinations, connections and pauses. What changes who gets a table's records also keeps the ledger: for every destination that a
 * source feeds (destination 0 while there is none) the tally accounts for all that was taken of the table (0001.sql), so a connection begins with `before` = what is
 * not its matter, and when the last one goes, destination 0 does. Jobs and loads themselves are written elsewhere (claim.c, job.c).
 */
#include "daemon/state/state_priv.h"

#define COLUMNS "id, name, kind, settings, created, deleted, error_class, error, error_since, not_before, attempts"

int db_destination_create(struct db *db, const struct destination_row *in, int64_t *id, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "INSERT INTO destination (name, kind, settings, created) VALUES (?, ?, ?, ?)", e))
		return -1;
	q_text(&q, in->name);
	q_text(&q, in->kind);
	q_text(&q, in->settings ? in->settings : "{}");
	q_i64(&q, in->created);
	if (q_run(&q, e))
		return e && e->code == ERR_EXISTS ? err_set(e, ERR_EXISTS, "there is a destination \"%s\" already", in->name) : -1;
	*id = db_last_id(db);
	db->config_changed = true;
	return 0;
}

int db_destination_update(struct db *db, int64_t id, const char *settings, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "UPDATE destination SET settings = ?, not_before = 0, attempts = 0 WHERE id = ? AND deleted = 0", e))
		return -1;
	q_text(&q, settings);
	q_i64(&q, id);
	if (q_run(&q, e))
		return -1;
	if (!db_changes(db))
		return err_set(e, ERR_NOT_FOUND, "there is no destination %" PRId64, id);
	db->config_changed = true;
	return 0;
}

static void read_destination(struct q *q, struct destination_row *out)
{
	*out = (struct destination_row){.id = q_get_i64(q)};
	out->name = q_get_text(q);
	out->kind = q_get_text(q);
	out->settings = q_get_text(q);
	out->created = q_get_i64(q);
	out->deleted = q_get_i64(q);
	out->error_class = q_get_text(q);
	out->error = q_get_text(q);
	out->error_since = q_get_i64(q);
	out->not_before = q_get_i64(q);
	out->attempts = (uint32_t)q_get_i64(q);
}

static int one_destination(struct q *q, struct destination_row *out, struct err *e)
{
	int rc = q_row(q, e);

	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND, "there is no such destination");
	read_destination(q, out);
	q_end(q);
	return 0;
}

int db_destination_get(struct db *db, const char *name, struct destination_row *out, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "SELECT " COLUMNS " FROM destination WHERE name = ? AND deleted = 0", e))
		return -1;
	q_text(&q, name);
	if (one_destination(&q, out, e))
		return e && e->code == ERR_NOT_FOUND ? err_set(e, ERR_NOT_FOUND, "there is no destination \"%s\"", name) : -1;
	return 0;
}

int db_destination_get_id(struct db *db, int64_t id, struct destination_row *out, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "SELECT " COLUMNS " FROM destination WHERE id = ?", e))
		return -1;
	q_i64(&q, id);
	if (one_destination(&q, out, e))
		return e && e->code == ERR_NOT_FOUND ? err_set(e, ERR_NOT_FOUND, "there is no destination %" PRId64, id) : -1;
	return 0;
}

int db_destination_list(struct db *db, struct destination_row **out, size_t *n, struct err *e)
{
	struct q q;
	int rc;

	*out = NULL;
	*n = 0;
	if (q_begin(&q, db, "SELECT " COLUMNS " FROM destination WHERE deleted = 0 ORDER BY id", e))
		return -1;
	while ((rc = q_row(&q, e)) == 1) {
		*out = db_grow(*out, *n, sizeof(**out));
		read_destination(&q, &(*out)[(*n)++]);
	}
	if (rc) {
		destination_list_free(*out, *n);
		*out = NULL;
		*n = 0;
	}
	return rc;
}

/* Not a change of the configuration: caches need not look again because a load failed. */
int db_destination_outcome(struct db *db, int64_t id, const char *class, const char *text, int64_t now, int64_t not_before, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "UPDATE destination SET error_since = CASE WHEN ?1 = '' THEN 0 WHEN error_class = '' THEN ?3 ELSE error_since END,"
			    " attempts = CASE WHEN ?1 = '' THEN 0 ELSE attempts + 1 END, error_class = ?1, error = ?2, not_before = ?4"
			    " WHERE id = ?5 AND deleted = 0", e))
		return -1;
	q_text_or_empty(&q, class);
	q_text_or_empty(&q, text);
	q_i64(&q, now);
	q_i64(&q, not_before);
	q_i64(&q, id);
	if (q_run(&q, e))
		return -1;
	return db_changes(db) ? 0 : err_set(e, ERR_NOT_FOUND, "there is no destination %" PRId64, id);
}

/* --- the ledger where connections change --- */

/* From now on the source feeds this destination: `before` is what it has not got of all that was taken (see tally in 0001.sql). */
static int balance(struct db *db, int64_t source_id, int64_t destination_id, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "UPDATE tally SET before = (SELECT taken + repeats - reread FROM tbl WHERE id = table_id) - spooled - loaded - rejected - discarded"
			    " WHERE destination_id = ? AND table_id IN (SELECT id FROM tbl WHERE source_id = ?)", e))
		return -1;
	q_i64(&q, destination_id);
	q_i64(&q, source_id);
	return q_run(&q, e);
}

static int drop_nobodys(struct db *db, int64_t source_id, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "DELETE FROM tally WHERE destination_id = 0 AND waiting = 0 AND table_id IN (SELECT id FROM tbl WHERE source_id = ?)", e))
		return -1;
	q_i64(&q, source_id);
	return q_run(&q, e);
}

struct ids {
	int64_t *id;
	size_t n;
};

/* The last connection is gone: what is taken from now on counts under destination 0. */
static int feed_nobody(struct db *db, int64_t source_id, struct err *e)
{
	struct ids tables = {NULL};
	struct q q;
	int rc;

	if (q_begin(&q, db, "SELECT id FROM tbl WHERE source_id = ?", e))
		return -1;
	q_i64(&q, source_id);
	while ((rc = q_row(&q, e)) == 1) {
		tables.id = db_grow(tables.id, tables.n, sizeof(*tables.id));
		tables.id[tables.n++] = q_get_i64(&q);
	}
	for (size_t i = 0; i < tables.n && !rc; i++)
		rc = db_tally_ready(db, tables.id[i], e);
	free(tables.id);
	return rc ? rc : balance(db, source_id, 0, e);
}

static int is_fed(struct db *db, int64_t source_id, int64_t *yes, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "SELECT count(*) FROM connection WHERE source_id = ?", e))
		return -1;
	q_i64(&q, source_id);
	return q_value(&q, yes, e);
}

/* --- connections --- */

static int both_live(struct db *db, int64_t source_id, int64_t destination_id, struct err *e)
{
	struct q q;
	int64_t n;

	if (q_begin(&q, db, "SELECT (SELECT count(*) FROM source WHERE id = ? AND deleted = 0) + (SELECT count(*) FROM destination WHERE id = ? AND deleted = 0)", e))
		return -1;
	q_i64(&q, source_id);
	q_i64(&q, destination_id);
	if (q_value(&q, &n, e))
		return -1;
	return n == 2 ? 0 : err_set(e, ERR_NOT_FOUND, "there is no such source or destination");
}

static int insert_connection(struct db *db, int64_t source_id, int64_t destination_id, const char *schema, int64_t now, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "INSERT INTO connection (source_id, destination_id, schema, created) VALUES (?, ?, ?, ?)", e))
		return -1;
	q_i64(&q, source_id);
	q_i64(&q, destination_id);
	q_text_or_empty(&q, schema);
	q_i64(&q, now);
	if (q_run(&q, e))
		return e && e->code == ERR_EXISTS ? err_set(e, ERR_EXISTS, "they are connected already: disconnect them first to change the schema") : -1;
	db->config_changed = true;
	return 0;
}

int db_connect(struct db *db, int64_t source_id, int64_t destination_id, const char *schema, int64_t from_ns, int64_t now, uint64_t *jobs, struct err *e)
{
	*jobs = 0;
	if (both_live(db, source_id, destination_id, e) || insert_connection(db, source_id, destination_id, schema, now, e))
		return -1;
	/* a tally that is left from an earlier connection is balanced too */
	if (db_jobs_for(db, source_id, destination_id, from_ns, now, jobs, e) || balance(db, source_id, destination_id, e))
		return -1;
	return drop_nobodys(db, source_id, e);
}

int db_disconnect(struct db *db, int64_t source_id, int64_t destination_id, struct err *e)
{
	struct q q;
	int64_t fed;

	if (q_begin(&q, db, "DELETE FROM connection WHERE source_id = ? AND destination_id = ?", e))
		return -1;
	q_i64(&q, source_id);
	q_i64(&q, destination_id);
	if (q_run(&q, e))
		return -1;
	if (!db_changes(db))
		return err_set(e, ERR_NOT_FOUND, "they are not connected");
	db->config_changed = true;
	if (is_fed(db, source_id, &fed, e))
		return -1;
	return fed ? 0 : feed_nobody(db, source_id, e);
}

int db_connection_list(struct db *db, struct connection_row **out, size_t *n, struct err *e)
{
	struct q q;
	int rc;

	*out = NULL;
	*n = 0;
	if (q_begin(&q, db, "SELECT source_id, destination_id, schema, created FROM connection ORDER BY source_id, destination_id", e))
		return -1;
	while ((rc = q_row(&q, e)) == 1) {
		struct connection_row *r;

		*out = db_grow(*out, *n, sizeof(**out));
		r = &(*out)[(*n)++];
		r->source_id = q_get_i64(&q);
		r->destination_id = q_get_i64(&q);
		r->schema = q_get_text(&q);
		r->created = q_get_i64(&q);
	}
	if (rc) {
		connection_list_free(*out, *n);
		*out = NULL;
		*n = 0;
	}
	return rc;
}

/* --- the end of a destination --- */

static int end_loads(struct db *db, int64_t destination_id, int64_t now, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "UPDATE load SET outcome = 'discarded', ended = ? WHERE destination_id = ? AND outcome = ''", e))
		return -1;
	q_i64(&q, now);
	q_i64(&q, destination_id);
	return q_run(&q, e);
}

static int disconnect_all(struct db *db, int64_t destination_id, struct err *e)
{
	struct connection_row *rows;
	size_t n;
	int rc = db_connection_list(db, &rows, &n, e);

	for (size_t i = 0; i < n && !rc; i++)
		if (rows[i].destination_id == destination_id)
			rc = db_disconnect(db, rows[i].source_id, destination_id, e);
	connection_list_free(rows, n);
	return rc;
}

int db_destination_delete(struct db *db, int64_t id, int64_t now, uint64_t *discarded, struct err *e)
{
	struct q q;

	*discarded = 0;
	if (q_begin(&q, db, "UPDATE destination SET deleted = ? WHERE id = ? AND deleted = 0", e))
		return -1;
	q_i64(&q, now);
	q_i64(&q, id);
	if (q_run(&q, e))
		return -1;
	if (!db_changes(db))
		return err_set(e, ERR_NOT_FOUND, "there is no destination %" PRId64, id);
	db->config_changed = true;
	if (disconnect_all(db, id, e) || end_loads(db, id, now, e) || db_jobs_discard(db, id, now, discarded, e))
		return -1;
	if (q_begin(&q, db, "DELETE FROM pause WHERE kind = ? AND object_id = ?", e))
		return -1;
	q_i64(&q, PAUSE_DESTINATION);
	q_i64(&q, id);
	return q_run(&q, e);
}

/* --- pauses --- */

int db_pause_set(struct db *db, const struct pause_row *in, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "INSERT OR REPLACE INTO pause (kind, object_id, who, reason, since, until) VALUES (?, ?, ?, ?, ?, ?)", e))
		return -1;
	q_i64(&q, in->kind);
	q_i64(&q, in->object_id);
	q_text_or_empty(&q, in->who);
	q_text_or_empty(&q, in->reason);
	q_i64(&q, in->since);
	q_i64(&q, in->until);
	db->config_changed = true;
	return q_run(&q, e);
}

int db_pause_clear(struct db *db, enum pause_kind kind, int64_t object_id, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "DELETE FROM pause WHERE kind = ? AND object_id = ?", e))
		return -1;
	q_i64(&q, kind);
	q_i64(&q, object_id);
	if (q_run(&q, e))
		return -1;
	if (!db_changes(db))
		return err_set(e, ERR_NOT_FOUND, "it is not paused");
	db->config_changed = true;
	return 0;
}

int db_pause_list(struct db *db, struct pause_row **out, size_t *n, struct err *e)
{
	struct q q;
	int rc;

	*out = NULL;
	*n = 0;
	if (q_begin(&q, db, "SELECT kind, object_id, who, reason, since, until FROM pause ORDER BY kind, object_id", e))
		return -1;
	while ((rc = q_row(&q, e)) == 1) {
		struct pause_row *r;

		*out = db_grow(*out, *n, sizeof(**out));
		r = &(*out)[(*n)++];
		r->kind = (enum pause_kind)q_get_i64(&q);
		r->object_id = q_get_i64(&q);
		r->who = q_get_text(&q);
		r->reason = q_get_text(&q);
		r->since = q_get_i64(&q);
		r->until = q_get_i64(&q);
	}
	if (rc) {
		pause_list_free(*out, *n);
		*out = NULL;
		*n = 0;
	}
	return rc;
}
