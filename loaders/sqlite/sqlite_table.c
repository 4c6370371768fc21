/*
 * sqlite_table.c - tables: ours (ledger, versions, owners, rejected records) and the sender's. SQLite has no schemas, so a table is SCHEMA__TABLE, and two
 * sources may mean the same one ("a" + "b__c" and "a__b" + "c"); _stitch_owner, one in the file, says whose it is.
 *
 * Changes are small transactions before the load's own. The key is a unique index and not part of the table's text, so that a key's column can be widened.
 * Widening makes a new column, copies and renames: values stay what they are, the column moves to the end.
 */
#include "loaders/sqlite/sqlite_priv.h"

#include "xalloc.h"

static const char *const declared[COL_TYPES] = {[COL_INTEGER] = " INTEGER", [COL_NUMBER] = "", [COL_BOOLEAN] = " BOOLEAN", [COL_TIME] = " TEXT", [COL_STRING] = " TEXT", [COL_JSON] = " TEXT"};

/* --- ours --- */

static void our_table(struct buf *sql, const struct job *j, const char *table, const char *columns)
{
	char *name = sq_physical(j->schema, table);

	buf_adds(sql, "CREATE TABLE IF NOT EXISTS ");
	sq_name(sql, name);
	buf_addf(sql, " (%s);\n", columns);
	free(name);
}

static int is_there(struct sqlite *s, const char *type, const char *name, struct err *e)
{
	sqlite3_stmt *st = sq_prepare(s, "SELECT 1 FROM sqlite_schema WHERE type = ?1 AND name = ?2 COLLATE NOCASE", "looking for a table", e);
	int rc;

	if (!st)
		return -1;
	sq_bind_text(st, 1, type);
	sq_bind_text(st, 2, name);
	rc = sqlite3_step(st);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		sq_failed(s, "looking for a table", e);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : -1;
}

int sq_prepare_schema(void *self, const struct job *j, struct err *e)
{
	struct sqlite *s = self;
	struct buf sql = BUF_INIT;
	char *ledger = sq_physical(j->schema, "_stitch_ledger"), *index = sq_physical(j->schema, "_stitch_ledger__range");
	int rc = is_there(s, "index", index, e);
	bool missing = rc == 0 && j->dry_run;

	if (rc == 0 && !missing) {
		buf_adds(&sql, "BEGIN IMMEDIATE;\n");
		our_table(&sql, j, "_stitch_table", "table_name TEXT PRIMARY KEY, active_version INTEGER NOT NULL");
		our_table(&sql, j, "_sdc_rejected", "_sdc_rejected_at TEXT, table_name TEXT, reason TEXT, record TEXT");
		our_table(&sql, j, "_stitch_ledger",
			"batch_id TEXT PRIMARY KEY, queue_id TEXT NOT NULL, partition INTEGER NOT NULL, first_offset INTEGER NOT NULL, last_offset INTEGER NOT NULL, "
			"source TEXT NOT NULL, table_name TEXT NOT NULL, table_version INTEGER NOT NULL, rows INTEGER NOT NULL, rejected INTEGER NOT NULL, "
			"attempt INTEGER NOT NULL, discarded INTEGER NOT NULL, loaded_at TEXT NOT NULL");
		buf_adds(&sql, "CREATE TABLE IF NOT EXISTS \"_stitch_owner\" (name TEXT PRIMARY KEY COLLATE NOCASE, source TEXT NOT NULL, schema TEXT NOT NULL, "
			       "table_name TEXT NOT NULL);\nCREATE INDEX IF NOT EXISTS ");
		sq_name(&sql, index);
		buf_adds(&sql, " ON ");
		sq_name(&sql, ledger);
		buf_adds(&sql, " (queue_id, partition, table_name, first_offset);\nCOMMIT");
		rc = sq_exec(s, buf_cstr(&sql), "making the ledger", e);
		if (rc && !sqlite3_get_autocommit(s->db) && sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK)
			s->broken = true;
	}
	buf_free(&sql);
	free(ledger);
	free(index);
	return rc < 0 ? -1 : missing;
}

/* --- describe --- */

static bool has(const char *type, const char *word)
{
	return strcasestr(type, word) != NULL;
}

static unsigned accepts(const char *type)
{
	if (!*type)
		return COL_BIT(COL_NUMBER) | COL_BIT(COL_INTEGER);
	if (has(type, "BOOL"))
		return COL_BIT(COL_BOOLEAN);
	if (has(type, "INT"))
		return COL_BIT(COL_INTEGER);
	if (has(type, "CHAR") || has(type, "CLOB") || has(type, "TEXT"))
		return COL_BIT(COL_STRING) | COL_BIT(COL_TIME);
	return 0;
}

static int read_columns(struct sqlite *s, const char *table, struct table_desc *out, struct err *e)
{
	sqlite3_stmt *st = sq_prepare(s, "SELECT name, type, hidden FROM pragma_table_xinfo(?1) ORDER BY cid", "looking at the table", e);
	size_t cap = 0;
	int rc;

	if (!st)
		return -1;
	sq_bind_text(st, 1, table);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(st, 0), *type = (const char *)sqlite3_column_text(st, 1);

		if (out->n == cap) {
			cap = cap ? cap * 2 : 32;
			out->columns = xreallocarray(out->columns, cap, sizeof(*out->columns));
		}
		out->columns[out->n++] = (struct desc_column){.name = xstrdup(name ? name : ""), .accepts = accepts(type ? type : ""), .fixed = sqlite3_column_int(st, 2) != 0};
	}
	if (rc != SQLITE_DONE)
		sq_failed(s, "looking at the table", e);
	sqlite3_finalize(st);
	return rc == SQLITE_DONE ? 0 : -1;
}

static int read_names(struct sqlite *s, const char *sql, const char *arg, struct table_desc *out, struct err *e)
{
	sqlite3_stmt *st = sq_prepare(s, sql, "looking at the key", e);
	int rc;

	if (!st)
		return -1;
	sq_bind_text(st, 1, arg);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(st, 0);

		out->keys = xreallocarray(out->keys, out->n_keys + 1, sizeof(*out->keys));
		out->keys[out->n_keys++] = xstrdup(name ? name : "");
	}
	if (rc != SQLITE_DONE)
		sq_failed(s, "looking at the key", e);
	sqlite3_finalize(st);
	return rc == SQLITE_DONE ? 0 : -1;
}

static char *key_index(const char *table)
{
	return xasprintf("%s__key", table);
}

static int read_key(struct sqlite *s, const char *table, struct table_desc *out, struct err *e)
{
	char *index = key_index(table);
	int rc = read_names(s, "SELECT name FROM pragma_index_info(?1) ORDER BY seqno", index, out, e);

	/* a table made by hand may have its key inside */
	if (!rc && !out->n_keys)
		rc = read_names(s, "SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk", table, out, e);
	free(index);
	return rc;
}

static int read_owner(struct sqlite *s, const struct job *j, const char *table, struct table_desc *out, struct err *e)
{
	sqlite3_stmt *st = sq_prepare(s, "SELECT source, schema, table_name FROM \"_stitch_owner\" WHERE name = ?1", "looking for the owner", e);
	int rc;

	if (!st)
		return -1;
	sq_bind_text(st, 1, table);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		out->owner = xstrdup((const char *)sqlite3_column_text(st, 0));
		if (strcmp(out->owner, j->source) == 0 &&
			(strcmp((const char *)sqlite3_column_text(st, 1), j->schema) != 0 || strcmp((const char *)sqlite3_column_text(st, 2), j->table) != 0))
			rc = err_set(e, ERR_CONFIG, "the table %s holds %s.%s, and %s.%s would have the same name here; connect with another --schema", table, out->owner,
				(const char *)sqlite3_column_text(st, 2), j->source, j->table);
	} else if (rc != SQLITE_DONE) {
		rc = sq_failed(s, "looking for the owner", e);
	}
	sqlite3_finalize(st);
	return rc < 0 ? -1 : 0;
}

/* A person's view, trigger or index would break, or hinder, when a column is made anew. */
static int find_pins(struct sqlite *s, const char *table, struct table_desc *out, struct err *e)
{
	sqlite3_stmt *st = sq_prepare(s,
		"SELECT 1 FROM sqlite_schema WHERE sql IS NOT NULL AND name <> ?2 AND (type = 'index' AND tbl_name = ?1 COLLATE NOCASE OR "
		"type IN ('view', 'trigger') AND instr(lower(sql), lower(?1)) > 0)", "looking for views", e);
	char *index;
	int rc;

	if (!st)
		return -1;
	index = key_index(table);
	sq_bind_text(st, 1, table);
	sq_bind_text(st, 2, index);
	free(index);
	rc = sqlite3_step(st);
	for (size_t k = 0; rc == SQLITE_ROW && k < out->n; k++)
		out->columns[k].pinned = true;
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		sq_failed(s, "looking for views", e);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : -1;
}

int sq_describe(void *self, const struct job *j, const char *name, struct table_desc *out, struct err *e)
{
	struct sqlite *s = self;
	char *table = sq_physical(j->schema, name);
	int rc = is_there(s, "view", table, e);

	*out = (struct table_desc){.exists = false};
	if (rc > 0)
		rc = err_set(e, ERR_CONFIG, "%s is a view; rename it, or connect with another --schema", table);
	if (!rc) {
		rc = is_there(s, "table", table, e);
		out->exists = rc > 0;
	}
	if (rc > 0)
		rc = read_columns(s, table, out, e) || read_key(s, table, out, e) || read_owner(s, j, table, out, e) || find_pins(s, table, out, e) ? -1 : 0;
	if (rc)
		table_desc_free(out);
	free(table);
	return rc;
}

int sq_subtables(void *self, const struct job *j, const char *table, struct names *out, struct err *e)
{
	struct sqlite *s = self;
	char *root = sq_physical(j->schema, table);
	size_t prefix = strlen(root) - strlen(table);
	sqlite3_stmt *st = sq_prepare(s,
		"SELECT o.name FROM \"_stitch_owner\" o WHERE o.source = ?1 AND o.schema = ?2 AND o.table_name = ?3 AND substr(o.name, 1, length(?4)) = ?4"
		" COLLATE NOCASE AND EXISTS (SELECT 1 FROM pragma_table_info(o.name) WHERE name = '_sdc_level_0_id') ORDER BY o.name",
		"looking for subtables", e);
	char *start = xasprintf("%s__", root);
	int rc = SQLITE_ERROR;

	if (st) {
		sq_bind_text(st, 1, j->source);
		sq_bind_text(st, 2, j->schema);
		sq_bind_text(st, 3, j->table);
		sq_bind_text(st, 4, start);
		while ((rc = sqlite3_step(st)) == SQLITE_ROW)
			names_add(out, (const char *)sqlite3_column_text(st, 0) + prefix);
		if (rc != SQLITE_DONE)
			sq_failed(s, "looking for subtables", e);
		sqlite3_finalize(st);
	}
	free(start);
	free(root);
	return rc == SQLITE_DONE ? 0 : -1;
}

/* --- change --- */

static void add_key_index(struct buf *sql, const char *table, const struct layout *lo)
{
	char *index = key_index(table);

	buf_adds(sql, "CREATE UNIQUE INDEX IF NOT EXISTS ");
	sq_name(sql, index);
	buf_adds(sql, " ON ");
	sq_name(sql, table);
	for (size_t k = 0; k < lo->n_keys; k++) {
		buf_adds(sql, k ? ", " : " (");
		sq_name(sql, lo->columns[lo->keys[k]].name);
	}
	buf_adds(sql, ");\n");
	free(index);
}

static void create_sql(struct buf *sql, const char *table, const struct layout *lo)
{
	buf_adds(sql, "CREATE TABLE ");
	sq_name(sql, table);
	for (size_t k = 0; k < lo->n; k++) {
		buf_adds(sql, k ? ", " : " (");
		sq_name(sql, lo->columns[k].name);
		buf_adds(sql, declared[lo->columns[k].type]);
	}
	buf_adds(sql, ");\n");
	if (lo->n_keys)
		add_key_index(sql, table, lo);
}

/* What was loaded into a table that is gone is gone too: its batches may come again, and what is left in its subtables belongs to no row. */
static int void_ledger(struct sqlite *s, const struct job *j, const struct layout *root, struct err *e)
{
	struct buf sql = BUF_INIT;
	char *ledger = sq_physical(j->schema, "_stitch_ledger");
	struct names subtables = {.n = 0};
	sqlite3_stmt *st;
	int rc = -1;

	buf_adds(&sql, "DELETE FROM ");
	sq_name(&sql, ledger);
	buf_adds(&sql, " WHERE table_name = ?1 AND discarded = 0");
	st = sq_prepare(s, buf_cstr(&sql), "ledger", e);
	if (st) {
		sq_bind_text(st, 1, j->table);
		rc = sq_run(s, st, "ledger", e);
	}
	if (!rc)
		rc = sq_subtables(s, j, root->table, &subtables, e);
	for (size_t k = 0; k < subtables.n; k++) {
		char *table = sq_physical(j->schema, subtables.s[k]);

		buf_truncate(&sql, 0);
		buf_adds(&sql, "DELETE FROM ");
		sq_name(&sql, table);
		if (!rc)
			rc = sq_exec(s, buf_cstr(&sql), "emptying a subtable", e);
		free(table);
		free(subtables.s[k]);
	}
	free(subtables.s);
	buf_free(&sql);
	free(ledger);
	return rc;
}

static int note_owner(struct sqlite *s, const struct job *j, const char *table, struct err *e)
{
	sqlite3_stmt *st = sq_prepare(s, "INSERT OR REPLACE INTO \"_stitch_owner\" (name, source, schema, table_name) VALUES (?1, ?2, ?3, ?4)", "owner", e);

	if (!st)
		return -1;
	sq_bind_text(st, 1, table);
	sq_bind_text(st, 2, j->source);
	sq_bind_text(st, 3, j->schema);
	sq_bind_text(st, 4, j->table);
	return sq_run(s, st, "owner", e);
}

static int create(struct sqlite *s, const struct job *j, const char *table, const struct layout *lo, struct buf *sql, struct err *e)
{
	int rc = is_there(s, "table", table, e);

	if (rc)
		return rc < 0 ? -1 : 0; /* made meanwhile */
	create_sql(sql, table, lo);
	if (sq_exec(s, buf_cstr(sql), "making the table", e))
		return -1;
	if (lo->parent == NO_TABLE && void_ledger(s, j, lo, e))
		return -1;
	return note_owner(s, j, table, e);
}

static int has_column(struct sqlite *s, const char *table, const char *column, struct err *e)
{
	sqlite3_stmt *st = sq_prepare(s, "SELECT 1 FROM pragma_table_xinfo(?1) WHERE name = ?2 COLLATE NOCASE", "looking at the table", e);
	int rc;

	if (!st)
		return -1;
	sq_bind_text(st, 1, table);
	sq_bind_text(st, 2, column);
	rc = sqlite3_step(st);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		sq_failed(s, "looking at the table", e);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : -1;
}

static void alter(struct buf *sql, const char *table)
{
	buf_adds(sql, "ALTER TABLE ");
	sq_name(sql, table);
}

static void add_sql(struct buf *sql, const char *table, const struct column *c)
{
	alter(sql, table);
	buf_adds(sql, " ADD COLUMN ");
	sq_name(sql, c->name);
	buf_adds(sql, declared[c->type]);
}

static int add(struct sqlite *s, const char *table, const struct column *c, struct buf *sql, struct err *e)
{
	int rc = has_column(s, table, c->name, e);

	if (rc)
		return rc < 0 ? -1 : 0;
	add_sql(sql, table, c);
	return sq_exec(s, buf_cstr(sql), "adding a column", e);
}

static void widen_sql(struct buf *sql, const char *table, const struct layout *lo, const struct column *c)
{
	char *index = key_index(table), *temp = xasprintf("%s__stitch_wide", c->name);

	if (c->key) {
		buf_adds(sql, "DROP INDEX IF EXISTS ");
		sq_name(sql, index);
		buf_adds(sql, ";\n");
	}
	alter(sql, table);
	buf_adds(sql, " ADD COLUMN ");
	sq_name(sql, temp);
	buf_adds(sql, declared[c->type]);
	buf_adds(sql, ";\nUPDATE ");
	sq_name(sql, table);
	buf_adds(sql, " SET ");
	sq_name(sql, temp);
	buf_adds(sql, " = ");
	sq_name(sql, c->name);
	buf_adds(sql, ";\n");
	alter(sql, table);
	buf_adds(sql, " DROP COLUMN ");
	sq_name(sql, c->name);
	buf_adds(sql, ";\n");
	alter(sql, table);
	buf_adds(sql, " RENAME COLUMN ");
	sq_name(sql, temp);
	buf_adds(sql, " TO ");
	sq_name(sql, c->name);
	buf_adds(sql, ";\n");
	if (c->key)
		add_key_index(sql, table, lo);
	free(index);
	free(temp);
}

void sq_ddl(void *self, const struct job *j, const struct layout *lo, const struct step *st, struct buf *out)
{
	char *table = sq_physical(j->schema, lo->table);

	(void)self;
	if (st->kind == STEP_CREATE)
		create_sql(out, table, lo);
	else if (st->kind == STEP_ADD)
		add_sql(out, table, st->column);
	else if (st->kind == STEP_WIDEN)
		widen_sql(out, table, lo, st->column);
	free(table);
}

int sq_change(void *self, const struct job *j, const struct layout *lo, const struct step *st, struct err *e)
{
	struct sqlite *s = self;
	struct buf sql = BUF_INIT;
	char *table = sq_physical(j->schema, lo->table);
	int rc = sq_exec(s, "BEGIN IMMEDIATE", "waiting for the lock", e);

	if (!rc) {
		switch (st->kind) {
		case STEP_CREATE:
			rc = create(s, j, table, lo, &sql, e);
			break;
		case STEP_ADD:
			rc = add(s, table, st->column, &sql, e);
			break;
		case STEP_WIDEN:
			widen_sql(&sql, table, lo, st->column);
			rc = sq_exec(s, buf_cstr(&sql), "widening a column from integers to numbers", e);
			break;
		case STEP_RENAME:
		case STEP_NEST:
			break; /* not in this dialect */
		}
		if (!rc)
			rc = sq_exec(s, "COMMIT", "changing the table", e);
		if (rc && !sqlite3_get_autocommit(s->db) && sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK)
			s->broken = true;
	}
	buf_free(&sql);
	free(table);
	return rc;
}
