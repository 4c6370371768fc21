/*
 * table.c - tables of sources: their rows, their columns in versions, and the ledger per destination (tally).
 *
 * What can go wrong: a head that cannot be read. Its records are accepted and must travel on, so it adds no column and is told in the log; the loader decides on the
 * values it meets.
 */
#include "daemon/state/state_rows.h"

#include "daemon/state/schema.h"
#include "log.h"
#include "xalloc.h"

int db_table_of(struct db *db, int64_t source_id, struct str name, int64_t now, int64_t *table_id, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "SELECT id FROM tbl WHERE source_id = ? AND name = ?", e))
		return -1;
	q_i64(&q, source_id);
	q_str(&q, name);
	if (q_value(&q, table_id, e))
		return -1;
	if (*table_id)
		return 0;
	if (q_begin(&q, db, "INSERT INTO tbl (source_id, name, created) VALUES (?, ?, ?)", e))
		return -1;
	q_i64(&q, source_id);
	q_str(&q, name);
	q_i64(&q, now);
	if (q_run(&q, e))
		return -1;
	*table_id = db_last_id(db);
	return 0;
}

/* --- rows --- */

#define TABLE_COLUMNS "id, source_id, name, key_names, schema_version, created"

static void read_table(struct q *q, struct table_row *out)
{
	*out = (struct table_row){.id = q_get_i64(q)};
	out->source_id = q_get_i64(q);
	out->name = q_get_text(q);
	out->key_names = q_get_text(q);
	out->schema_version = q_get_i64(q);
	out->created = q_get_i64(q);
}

static int one_table(struct q *q, struct table_row *out, struct err *e)
{
	int rc = q_row(q, e);

	if (rc == 1)
		read_table(q, out);
	q_end(q);
	return rc < 0 ? -1 : rc == 0 ? err_set(e, ERR_NOT_FOUND, "there is no such table") : 0;
}

int db_table_get(struct db *db, int64_t source_id, struct str name, struct table_row *out, struct err *e)
{
	struct q q;

	*out = (struct table_row){.id = 0};
	if (q_begin(&q, db, "SELECT " TABLE_COLUMNS " FROM tbl WHERE source_id = ? AND name = ?", e))
		return -1;
	q_i64(&q, source_id);
	q_str(&q, name);
	return one_table(&q, out, e);
}

int db_table_get_id(struct db *db, int64_t id, struct table_row *out, struct err *e)
{
	struct q q;

	*out = (struct table_row){.id = 0};
	if (q_begin(&q, db, "SELECT " TABLE_COLUMNS " FROM tbl WHERE id = ?", e))
		return -1;
	q_i64(&q, id);
	return one_table(&q, out, e);
}

int db_table_list(struct db *db, int64_t after, unsigned limit, struct table_row **out, size_t *n, struct err *e)
{
	struct q q;
	int rc;

	*out = NULL;
	*n = 0;
	if (q_begin(&q, db, "SELECT " TABLE_COLUMNS " FROM tbl WHERE id > ? ORDER BY id LIMIT ?", e))
		return -1;
	q_i64(&q, after);
	q_i64(&q, limit);
	while ((rc = q_row(&q, e)) == 1) {
		*out = xreallocarray(*out, *n + 1, sizeof(**out));
		read_table(&q, &(*out)[(*n)++]);
	}
	if (rc < 0) {
		table_list_free(*out, *n);
		*out = NULL;
		*n = 0;
	}
	return rc;
}

int db_table_columns(struct db *db, int64_t table_id, int64_t schema_version, char **json, struct err *e)
{
	struct q q;
	int rc;

	*json = NULL;
	if (q_begin(&q, db, "SELECT columns FROM table_schema WHERE table_id = ?1 AND version = CASE WHEN ?2 > 0 THEN ?2 ELSE (SELECT schema_version FROM tbl WHERE id = ?1) END", e))
		return -1;
	q_i64(&q, table_id);
	q_i64(&q, schema_version);
	rc = q_row(&q, e);
	if (rc == 1)
		*json = q_get_text(&q);
	q_end(&q);
	return rc < 0 ? -1 : rc == 0 ? err_set(e, ERR_NOT_FOUND, "table %" PRId64 " has no schema of version %" PRId64, table_id, schema_version) : 0;
}

/* --- the cut's heads --- */

static int read_schema(struct db *db, int64_t table_id, int64_t *version, struct schema *s, struct err *e)
{
	char *keys = NULL, *columns = NULL;
	struct q q;
	int rc;

	if (q_begin(&q, db,
		    "SELECT t.schema_version, t.key_names, s.columns FROM tbl t LEFT JOIN table_schema s ON s.table_id = t.id AND s.version = t.schema_version "
		    "WHERE t.id = ?",
		    e))
		return -1;
	q_i64(&q, table_id);
	rc = q_row(&q, e);
	if (rc == 1) {
		*version = q_get_i64(&q);
		keys = q_get_text(&q);
		columns = q_get_text(&q);
	}
	q_end(&q);
	rc = rc < 0 ? -1 : schema_parse(columns, keys, s, e);
	free(keys);
	free(columns);
	return rc;
}

static int write_schema(struct db *db, int64_t table_id, int64_t version, const struct schema *s, int64_t now, struct err *e)
{
	struct buf columns = BUF_INIT;
	struct q q;
	int rc = -1;

	schema_columns(s, &columns);
	if (q_begin(&q, db, "INSERT INTO table_schema (table_id, version, key_names, columns, created) VALUES (?, ?, ?, ?, ?)", e))
		goto out;
	q_i64(&q, table_id);
	q_i64(&q, version);
	q_str(&q, buf_str(&s->key_names));
	q_str(&q, buf_str(&columns));
	q_i64(&q, now);
	if (q_run(&q, e) || q_begin(&q, db, "UPDATE tbl SET schema_version = ?, key_names = ? WHERE id = ?", e))
		goto out;
	q_i64(&q, version);
	q_str(&q, buf_str(&s->key_names));
	q_i64(&q, table_id);
	rc = q_run(&q, e);
out:
	buf_free(&columns);
	return rc;
}

/* The keys of a batch without records: of its own head, which says nothing of the table. */
static char *keys_of(const struct str *heads, size_t n)
{
	struct schema s = {.n = 0};
	struct err why = ERR_INIT;
	bool changed = false;
	char *keys;

	if (n && schema_merge(&s, heads[0], &changed, &why))
		log_err("the head of a batch without records: %s", why.text);
	keys = xstrdup(s.key_names.len ? buf_cstr(&s.key_names) : "[]");
	schema_free(&s);
	return keys;
}

int db_table_merge(struct db *db, int64_t table_id, const struct str *heads, size_t n, uint64_t records, int64_t now, int64_t *version, char **key_names,
	struct err *e)
{
	struct schema s = {.n = 0};
	bool changed = false;
	int rc = -1;

	*key_names = NULL;
	*version = 0;
	if (read_schema(db, table_id, version, &s, e))
		goto out;
	/* switch_view alone names no keys and no columns: the table's stay */
	if (!records && *version) {
		*key_names = keys_of(heads, n);
		rc = 0;
		goto out;
	}
	for (size_t i = 0; i < n; i++) {
		struct err why = ERR_INIT;

		if (schema_merge(&s, heads[i], &changed, &why))
			log_err("table %" PRId64 ": a head adds no columns: %s", table_id, why.text);
	}
	if ((changed || !*version) && write_schema(db, table_id, ++*version, &s, now, e))
		goto out;
	*key_names = xstrdup(buf_cstr(&s.key_names));
	rc = 0;
out:
	schema_free(&s);
	return rc;
}

/* --- the ledger --- */

int db_tally_ready(struct db *db, int64_t table_id, struct err *e)
{
	struct q q;

	if (q_begin(&q, db,
		    "INSERT OR IGNORE INTO tally (table_id, destination_id, before) SELECT t.id, c.destination_id, t.taken + t.repeats - t.reread FROM tbl t "
		    "JOIN connection c ON c.source_id = t.source_id WHERE t.id = ?",
		    e))
		return -1;
	q_i64(&q, table_id);
	if (q_run(&q, e) ||
		q_begin(&q, db,
			"INSERT OR IGNORE INTO tally (table_id, destination_id, before) SELECT t.id, 0, t.taken + t.repeats - t.reread FROM tbl t "
			"WHERE t.id = ? AND NOT EXISTS (SELECT 1 FROM connection c WHERE c.source_id = t.source_id)",
			e))
		return -1;
	q_i64(&q, table_id);
	return q_run(&q, e);
}

static void read_tally(struct q *q, struct tally_row *r)
{
	*r = (struct tally_row){.table_id = q_get_i64(q)};
	r->source_id = q_get_i64(q);
	r->destination_id = q_get_i64(q);
	r->table = q_get_text(q);
	r->accepted_base = q_get_u64(q);
	r->taken = q_get_u64(q);
	r->before = q_get_u64(q);
	r->spooled = q_get_u64(q);
	r->loaded = q_get_u64(q);
	r->rejected = q_get_u64(q);
	r->discarded = q_get_u64(q);
	r->reread = q_get_u64(q);
	r->waiting_bytes = q_get_u64(q);
	r->oldest = q_get_i64(q);
}

int db_tally_list(struct db *db, int64_t after_table, unsigned limit, struct tally_row **out, size_t *n, struct err *e)
{
	struct q q;
	int rc;

	*out = NULL;
	*n = 0;
	if (q_begin(&q, db,
		    "SELECT y.table_id, t.source_id, y.destination_id, t.name, t.accepted_base, t.taken, y.before, y.spooled, y.loaded, y.rejected, y.discarded, "
		    "y.reread, y.waiting_bytes, CASE WHEN y.waiting = 0 THEN 0 "
		    "WHEN y.destination_id = 0 THEN (SELECT min(b.first_received) FROM batch b WHERE b.table_id = y.table_id AND b.unclaimed = 1) "
		    "ELSE (SELECT min(j.oldest) FROM job j WHERE j.destination_id = y.destination_id AND j.table_id = y.table_id AND j.state IN " WAITING ") END "
		    "FROM tally y JOIN tbl t ON t.id = y.table_id WHERE y.table_id > ? ORDER BY y.table_id, y.destination_id LIMIT ?",
		    e))
		return -1;
	q_i64(&q, after_table);
	q_i64(&q, limit);
	while ((rc = q_row(&q, e)) == 1) {
		if (*n % 64 == 0)
			*out = xreallocarray(*out, *n + 64, sizeof(**out));
		read_tally(&q, &(*out)[(*n)++]);
	}
	if (rc < 0) {
		tally_list_free(*out, *n);
		*out = NULL;
		*n = 0;
	}
	return rc;
}
