/*
 * rs_schema.c - everything that is there before rows move: the schema, the three tables of ours in it, tables and columns, their changes. Redshift changes one thing a
 * statement and of a column's type only the length of text, and has neither ON CONFLICT nor constraints: a key is noted in _stitch_table (for us) and in the
 * table's comment (for people). Each step may be repeated, and another loader may be doing the same.
 *
 * A number's column that must have another type gets a successor: a new column, filled from the old one, which is dropped and gives its name, in one transaction. A
 * view on the column makes that impossible; such a column is described as pinned.
 */
#include "loaders/redshift/redshift.h"

#include "loaders/sql/sql_text.h"
#include "xalloc.h"

#define NAME_MAX_BYTES 127
#define NEW_COLUMN "_sdc_stitch_new"
#define TABLE_IS_THERE "42P07"
#define COLUMN_IS_THERE "42701"
#define COLUMN_GONE "42703"
#define SCHEMA_IS_THERE "42P06"
#define UNIQUE "23505"
#define EXACT_MAX "9007199254740992" /* 2^53: whole numbers up to here are doubles */

static char *lowered(const char *s)
{
	char *copy = xstrdup(s);

	for (char *p = copy; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	return copy;
}

char *rs_schema_name(const char *schema, struct err *e)
{
	static const char *const own[] = {"information_schema", "catalog_history"};
	char *name = lowered(*schema ? schema : "public");
	bool taken = strncmp(name, "pg_", 3) == 0;

	for (size_t k = 0; k < ARRAY_LEN(own); k++)
		taken |= strcmp(name, own[k]) == 0;
	if (taken)
		err_set(e, ERR_CONFIG, "a schema cannot be named \"%s\": Redshift keeps such names for itself; connect the source with --schema and another name", schema);
	else if (strlen(name) > NAME_MAX_BYTES)
		err_set(e, ERR_CONFIG, "the schema's name \"%.40s...\" is longer than %d bytes; connect the source with --schema and a shorter one", schema, NAME_MAX_BYTES);
	else if (strpbrk(name, "'\\"))
		err_set(e, ERR_CONFIG, "the schema's name \"%.60s\" has a character that cannot be in one; connect the source with --schema and another name", schema);
	else
		return name;
	free(name);
	return NULL;
}

const char *rs_number_type(const struct redshift *r, const struct column *c)
{
	bool big = c->seen & (1u << SEEN_BIGNUM);

	return r->numbers == NUMBERS_EXACT || (r->numbers == NUMBERS_AUTO && big) ? "decimal(38,6)" : "double precision";
}

static void add_type(const struct redshift *r, const struct column *c, struct buf *sql)
{
	switch (c->type) {
	case COL_INTEGER:
		buf_adds(sql, "bigint");
		return;
	case COL_NUMBER:
		buf_adds(sql, rs_number_type(r, c));
		return;
	case COL_BOOLEAN:
		buf_adds(sql, "boolean");
		return;
	case COL_TIME:
		buf_adds(sql, "timestamp");
		return;
	case COL_STRING:
	case COL_JSON:
	case COL_TYPES:
		break;
	}
	buf_addf(sql, "varchar(%u)", RS_VARCHAR_FIRST);
}

/* --- ours --- */

static bool made_by_another(const struct pg *pg)
{
	static const char *const states[] = {TABLE_IS_THERE, COLUMN_IS_THERE, SCHEMA_IS_THERE, UNIQUE};

	for (size_t k = 0; k < ARRAY_LEN(states); k++)
		if (strcmp(pg->state, states[k]) == 0)
			return true;
	return false;
}

static int begin(struct pg *pg, struct err *e)
{
	return pg_exec(pg, "BEGIN; SET LOCAL statement_timeout TO 170000", e);
}

/* What follows begin(): commits when rc is 0, rolls back and keeps pg's state and e otherwise. */
static int end(struct pg *pg, int rc, struct err *e)
{
	char state[PG_STATE_LEN];

	if (!rc)
		return pg_exec(pg, "COMMIT", e);
	memcpy(state, pg->state, sizeof(state));
	if (pg_usable(pg) && pg_exec(pg, "ROLLBACK", NULL))
		pg_disconnect(pg);
	memcpy(pg->state, state, sizeof(state));
	return -1;
}

static int ask_number(struct pg *pg, const char *sql, int n, const char *const *params, int64_t *out, struct err *e)
{
	PGresult *r = pg_query(pg, sql, n, params, e);

	if (!r)
		return -1;
	*out = 0;
	if (PQntuples(r) && !PQgetisnull(r, 0, 0) && str_to_i64(str_c(PQgetvalue(r, 0, 0)), out))
		*out = 0;
	PQclear(r);
	return 0;
}

/* One question a load, so that nothing need be remembered that a person may have dropped. */
static int our_tables(struct pg *pg, const char *schema, bool *there, struct err *e)
{
	const char *params[] = {schema};
	int64_t n;

	if (ask_number(pg, "SELECT count(*) FROM pg_catalog.pg_class c, pg_catalog.pg_namespace n WHERE n.oid = c.relnamespace AND n.nspname = $1"
			   " AND c.relname IN ('_stitch_table', '_stitch_ledger', '_sdc_rejected')", 1, params, &n, e))
		return -1;
	*there = n == 3;
	return 0;
}

static int make_schema(struct pg *pg, const char *schema, struct err *e)
{
	const char *params[] = {schema};
	struct buf sql = BUF_INIT;
	int64_t n;
	int rc;

	if (ask_number(pg, "SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = $1", 1, params, &n, e))
		return -1;
	/* IF NOT EXISTS would ask for the right to create even if the schema is there */
	if (n)
		return 0;
	buf_adds(&sql, "CREATE SCHEMA ");
	sql_add_name(&sql, schema);
	rc = pg_exec(pg, buf_cstr(&sql), e);
	buf_free(&sql);
	return rc && made_by_another(pg) ? 0 : rc;
}

static int make_our_tables(struct pg *pg, const char *schema, struct err *e)
{
	/* table names are kept in all the length that a sender may use */
	static const char *const texts[] = {
		"CREATE TABLE IF NOT EXISTS %s._stitch_table (table_name varchar(512) NOT NULL, active_version bigint NOT NULL, source varchar(1024), source_table varchar(4096),"
		" key_columns varchar(65535))",
		"CREATE TABLE IF NOT EXISTS %s._stitch_ledger (batch_id varchar(64) NOT NULL, queue_id varchar(64) NOT NULL, \"partition\" bigint NOT NULL,"
		" first_offset bigint NOT NULL, last_offset bigint NOT NULL, source varchar(1024) NOT NULL, table_name varchar(4096) NOT NULL, table_version bigint NOT NULL,"
		" \"rows\" bigint NOT NULL, rejected bigint NOT NULL, attempt bigint NOT NULL, discarded boolean NOT NULL, loaded_at timestamp NOT NULL)",
		"CREATE TABLE IF NOT EXISTS %s._sdc_rejected (_sdc_rejected_at timestamp NOT NULL, table_name varchar(512), reason varchar(65535), record varchar(65535))",
	};
	struct buf name = BUF_INIT;
	int rc = 0;

	sql_add_name(&name, schema);
	for (size_t k = 0; k < ARRAY_LEN(texts) && !rc; k++) {
		struct buf sql = BUF_INIT;
		const char *mark = strstr(texts[k], "%s");

		buf_add(&sql, texts[k], (size_t)(mark - texts[k]));
		buf_addstr(&sql, buf_str(&name));
		buf_adds(&sql, mark + 2);
		rc = pg_exec(pg, buf_cstr(&sql), e);
		if (rc && made_by_another(pg))
			rc = 0;
		buf_free(&sql);
	}
	buf_free(&name);
	return rc;
}

/* The job's row of _stitch_table. Two loaders that make it at once may make two, which does no harm: the greatest version counts, both are changed. */
static int table_row(struct redshift *r, const char *schema, const char *table, struct err *e)
{
	char *ours = sql_table(schema, "_stitch_table"), *sql = xasprintf("SELECT count(*) FROM %s WHERE table_name = $1", ours);
	const char *params[] = {table};
	int64_t n;
	int rc = ask_number(&r->pg, sql, 1, params, &n, e);

	free(sql);
	if (!rc && !n) {
		PGresult *res;

		sql = xasprintf("INSERT INTO %s (table_name, active_version) VALUES ($1, 0)", ours);
		res = pg_query(&r->pg, sql, 1, params, e);
		rc = res ? 0 : -1;
		PQclear(res);
		free(sql);
	}
	free(ours);
	return rc;
}

/* The table that a load locks: its own, or ours as long as that is not there. */
static int find_lock(struct redshift *r, const char *schema, const char *table, struct err *e)
{
	const char *params[] = {schema, table};
	int64_t n;

	if (ask_number(&r->pg, "SELECT count(*) FROM pg_catalog.pg_class c, pg_catalog.pg_namespace n WHERE n.oid = c.relnamespace AND n.nspname = $1"
			       " AND c.relname = $2 AND c.relkind IN ('r', 'p')", 2, params, &n, e))
		return -1;
	free(r->lock);
	r->lock = sql_table(schema, n ? table : "_stitch_table");
	return 0;
}

int rs_prepare(void *self, const struct job *j, struct err *e)
{
	struct redshift *r = self;
	char *schema = rs_schema_name(j->schema, e), *table = dialect_named(&r->dialect, j->table);
	bool there = false;
	int rc = -1;

	r->phase = "preparing";
	rs_forget_tables(r);
	if (!schema || our_tables(&r->pg, schema, &there, e))
		goto out;
	if (!there && j->dry_run) {
		rc = 1;
		goto out;
	}
	for (int tries = 0; !there; tries++) {
		if (make_schema(&r->pg, schema, e) || make_our_tables(&r->pg, schema, e)) {
			err_wrap(e, "making the schema %s and its tables _stitch_ledger, _stitch_table and _sdc_rejected", schema);
			goto out;
		}
		if (our_tables(&r->pg, schema, &there, e))
			goto out;
		if (!there && tries > 2) {
			err_set(e, ERR_TRANSIENT, "the tables _stitch_ledger, _stitch_table and _sdc_rejected of schema %s vanish as soon as they are made", schema);
			goto out;
		}
	}
	rc = (!j->dry_run && table_row(r, schema, table, e)) || find_lock(r, schema, table, e) ? -1 : 0;
out:
	free(table);
	free(schema);
	return rc;
}

static int tables_with_level(struct redshift *r, const char *schema, PGresult **out, struct err *e)
{
	const char *params[] = {schema};

	*out = pg_query(&r->pg, "SELECT c.relname FROM pg_catalog.pg_class c, pg_catalog.pg_namespace n, pg_catalog.pg_attribute a WHERE n.oid = c.relnamespace"
				" AND a.attrelid = c.oid AND n.nspname = $1 AND c.relkind IN ('r', 'p') AND a.attname = '_sdc_level_0_id' AND NOT a.attisdropped",
		1, params, e);
	return *out ? 0 : -1;
}

int rs_subtables(void *self, const struct job *j, const char *table, struct names *out, struct err *e)
{
	struct redshift *r = self;
	char *schema = rs_schema_name(j->schema, e), *ours = NULL, *sql = NULL;
	const char *params[] = {j->source, j->table};
	size_t n = strlen(table);
	PGresult *there = NULL, *noted = NULL;
	int rc = -1;

	/* the catalogue and a table of data cannot be asked in one statement */
	if (!schema || tables_with_level(r, schema, &there, e))
		goto out;
	if (PQntuples(there) == 0) {
		rc = 0;
		goto out;
	}
	ours = sql_table(schema, "_stitch_table");
	sql = xasprintf("SELECT DISTINCT table_name FROM %s WHERE source = $1 AND source_table = $2", ours);
	noted = pg_query(&r->pg, sql, 2, params, e);
	if (!noted)
		goto out;
	for (int k = 0; k < PQntuples(noted); k++) {
		const char *name = PQgetvalue(noted, k, 0);

		if (strncmp(name, table, n) != 0 || strncmp(name + n, "__", 2) != 0)
			continue;
		for (int i = 0; i < PQntuples(there); i++)
			if (strcmp(PQgetvalue(there, i, 0), name) == 0)
				names_add(out, name);
	}
	rc = 0;
out:
	PQclear(noted);
	PQclear(there);
	free(sql);
	free(ours);
	free(schema);
	return rc;
}

/* --- the steps --- */

static void keys_json(const struct layout *lo, struct buf *out)
{
	json_t *list = json_array();
	char *text;

	for (size_t k = 0; k < lo->n_keys; k++)
		json_array_append_new(list, json_string(lo->columns[lo->keys[k]].name));
	text = json_dumps(list, JSON_COMPACT);
	buf_adds(out, text ? text : "[]");
	free(text);
	json_decref(list);
}

static void step_text(const struct redshift *r, const char *schema, const struct layout *lo, const struct step *s, struct buf *sql)
{
	buf_adds(sql, s->kind == STEP_CREATE ? "CREATE TABLE " : "ALTER TABLE ");
	sql_add_table(sql, schema, lo->table);
	if (s->kind == STEP_CREATE) {
		for (size_t k = 0; k < lo->n; k++) {
			buf_adds(sql, k ? ", " : " (");
			sql_add_name(sql, lo->columns[k].name);
			buf_addc(sql, ' ');
			add_type(r, &lo->columns[k], sql);
		}
		buf_addc(sql, ')');
	} else if (s->kind == STEP_RENAME) {
		buf_adds(sql, " RENAME COLUMN ");
		sql_add_name(sql, s->from);
		buf_adds(sql, " TO ");
		sql_add_name(sql, s->column->name);
	} else {
		buf_adds(sql, " ADD COLUMN ");
		sql_add_name(sql, s->column->name);
		buf_addc(sql, ' ');
		add_type(r, s->column, sql);
	}
}

void rs_ddl(void *self, const struct job *j, const struct layout *lo, const struct step *s, struct buf *out)
{
	struct redshift *r = self;
	char *schema = rs_schema_name(j->schema, NULL);

	if (s->kind == STEP_WIDEN)
		buf_addf(out, "column %s of %s becomes %s: a new column takes its place, filled from it", s->column->name, lo->table, rs_number_type(r, s->column));
	else
		step_text(r, schema ? schema : j->schema, lo, s, out);
	free(schema);
}

/* What the ledger says of a table that is gone is void: only this transaction makes it, so no load can be between the two. */
static int note_table(struct redshift *r, const char *schema, const struct job *j, const struct layout *lo, struct err *e)
{
	char *ours = sql_table(schema, "_stitch_table"), *ledger = sql_table(schema, "_stitch_ledger"), *sql;
	struct buf keys = BUF_INIT;
	const char *params[] = {lo->table, j->source, j->table, NULL}, *batches[] = {j->table};
	PGresult *res = NULL;
	int rc = -1;

	keys_json(lo, &keys);
	params[3] = buf_cstr(&keys);
	if (lo->parent == NO_TABLE) {
		sql = xasprintf("DELETE FROM %s WHERE NOT discarded AND table_name = $1", ledger);
		res = pg_query(&r->pg, sql, 1, batches, e);
		free(sql);
		if (!res)
			goto out;
		PQclear(res);
		sql = xasprintf("UPDATE %s SET source = $2, source_table = $3, key_columns = $4 WHERE table_name = $1", ours);
	} else {
		sql = xasprintf("DELETE FROM %s WHERE table_name = $1", ours);
		res = pg_query(&r->pg, sql, 1, params, e);
		free(sql);
		if (!res)
			goto out;
		PQclear(res);
		sql = xasprintf("INSERT INTO %s (table_name, active_version, source, source_table, key_columns) VALUES ($1, 0, $2, $3, $4)", ours);
	}
	res = pg_query(&r->pg, sql, 4, params, e);
	free(sql);
	rc = res ? 0 : -1;
	PQclear(res);
out:
	buf_free(&keys);
	free(ledger);
	free(ours);
	return rc;
}

static int create(struct redshift *r, const char *schema, const struct job *j, const struct layout *lo, const char *text, struct err *e)
{
	struct buf sql = BUF_INIT, keys = BUF_INIT;
	int rc;

	/* names have neither quotes nor backslashes in them (dialect.name) */
	keys_json(lo, &keys);
	buf_addf(&sql, "BEGIN; %s; COMMENT ON TABLE ", text);
	sql_add_table(&sql, schema, lo->table);
	buf_addf(&sql, " IS '{\"stitch\":{\"primary_key\":%s}}'", buf_cstr(&keys));
	rc = end(&r->pg, pg_exec(&r->pg, buf_cstr(&sql), e) || note_table(r, schema, j, lo, e) ? -1 : 0, e);
	if (!rc && lo->parent == NO_TABLE) {
		free(r->lock);
		r->lock = sql_table(schema, lo->table);
	}
	buf_free(&keys);
	buf_free(&sql);
	return rc;
}

int rs_retype(struct redshift *r, const char *table, const char *column, bool decimal, struct err *e)
{
	const char *type = decimal ? "decimal(38,6)" : "double precision";
	struct buf name = BUF_INIT;
	int rc = begin(&r->pg, e);

	sql_add_name(&name, column);
	if (!rc)
		rc = pg_execf(&r->pg, e, "LOCK TABLE %s; SET LOCAL statement_timeout TO 0", table);
	if (!rc)
		rc = pg_execf(&r->pg, e, "ALTER TABLE %s ADD COLUMN " NEW_COLUMN " %s", table, type);
	if (!rc)
		rc = pg_execf(&r->pg, e, "UPDATE %s SET " NEW_COLUMN " = CAST(%s AS %s)", table, buf_cstr(&name), type);
	if (!rc)
		rc = pg_execf(&r->pg, e, "ALTER TABLE %s DROP COLUMN %s", table, buf_cstr(&name));
	if (!rc)
		rc = pg_execf(&r->pg, e, "ALTER TABLE %s RENAME COLUMN " NEW_COLUMN " TO %s", table, buf_cstr(&name));
	rc = end(&r->pg, rc, e);
	if (rc && e && e->code == ERR_DATA)
		e->code = ERR_CONFIG;
	if (rc)
		err_wrap(e, "column %s of %s must become %s", column, table, type);
	buf_free(&name);
	return rc;
}

/* A whole numbers' column takes decimals: as doubles, unless one of its values is too large to be one. */
static int widen(struct redshift *r, const char *table, const struct column *c, struct err *e)
{
	bool decimal = strcmp(rs_number_type(r, c), "double precision") != 0;
	struct buf name = BUF_INIT;
	int64_t large = 0;
	int rc = 0;

	sql_add_name(&name, c->name);
	if (!decimal && r->numbers == NUMBERS_AUTO) {
		char *sql = xasprintf("SELECT count(*) FROM %s WHERE %s > " EXACT_MAX " OR %s < -" EXACT_MAX, table, buf_cstr(&name), buf_cstr(&name));

		rc = ask_number(&r->pg, sql, 0, NULL, &large, e);
		free(sql);
	}
	buf_free(&name);
	return rc ? -1 : rs_retype(r, table, c->name, decimal || large, e);
}

int rs_change(void *self, const struct job *j, const struct layout *lo, const struct step *s, struct err *e)
{
	struct redshift *r = self;
	struct buf sql = BUF_INIT;
	char *schema = rs_schema_name(j->schema, e), *table = NULL;
	int rc = -1;

	r->phase = "changing the table";
	if (!schema)
		return -1;
	table = sql_table(schema, lo->table);
	if (s->kind == STEP_WIDEN) {
		rc = widen(r, table, s->column, e);
		goto out;
	}
	step_text(r, schema, lo, s, &sql);
	if (s->kind == STEP_CREATE)
		rc = create(r, schema, j, lo, buf_cstr(&sql), e);
	else
		rc = pg_exec(&r->pg, buf_cstr(&sql), e);
	if (rc && (made_by_another(&r->pg) || (s->kind == STEP_RENAME && strcmp(r->pg.state, COLUMN_GONE) == 0)))
		rc = 0;
	if (rc && e && e->code == ERR_DATA)
		e->code = ERR_CONFIG; /* no record is at fault here */
out:
	buf_free(&sql);
	free(table);
	free(schema);
	return rc;
}
