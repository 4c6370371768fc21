/*
 * pg_schema.c - everything that is there before rows move: the schema, the three tables of ours in it, the destination table and its columns. Each step may be
 * repeated and may meet another loader doing the same (one that was killed may still run): after a failure the catalogue is asked again, by the runtime
 * for the destination table and here for our own.
 *
 * A BIGINT column becomes NUMERIC by ALTER COLUMN TYPE, which PostgreSQL refuses while a view, a rule or a generated column uses the column. Such a column is
 * described as pinned, and the runtime gives the numbers a column of their own beside it: nothing is lost and the view goes on.
 */
#include "loaders/postgres/postgres.h"

#include "loaders/sql/sql_text.h"
#include "xalloc.h"

#define PG_NAME_MAX 63
#define TABLE_GONE "42P01"
#define NAME_IS_THERE "42P07"
#define COLUMN_IS_THERE "42701"
#define COLUMN_IS_GONE "42703"
#define UNIQUE "23505" /* two at once making the same thing meet in a catalogue's index */
#define SCHEMA_IS_THERE "42P06"

int pg_schema_name(const char *schema, const char **out, struct err *e)
{
	*out = *schema ? schema : "public";
	if (strncmp(schema, "pg_", 3) == 0)
		return err_set(e, ERR_CONFIG, "a schema's name cannot begin with pg_ (\"%s\"): PostgreSQL keeps such names for itself; connect the source with --schema "
					      "and another name, for instance \"%s\"", schema, schema + 3);
	if (strcmp(schema, "information_schema") == 0)
		return err_set(e, ERR_CONFIG, "the schema information_schema is PostgreSQL's own; connect the source with --schema and another name");
	if (strlen(schema) > PG_NAME_MAX)
		return err_set(e, ERR_CONFIG, "the schema's name \"%.40s...\" is longer than 63 bytes; connect the source with --schema and a shorter one", schema);
	return 0;
}

const char *pg_type_name(const struct postgres *p, enum col_type type)
{
	switch (type) {
	case COL_INTEGER:
		return "bigint";
	case COL_NUMBER:
		return p->doubles ? "double precision" : "numeric";
	case COL_BOOLEAN:
		return "boolean";
	case COL_TIME:
		return "timestamp";
	default:
		return "text";
	}
}

/* Statements that change the catalogue, in a transaction with a bound on the wait for locks (each reader of the table would queue behind us). */
static int in_transaction(struct pg *pg, const char *statements, struct err *e)
{
	char state[PG_STATE_LEN];

	if (pg_execf(pg, e, "BEGIN; SET LOCAL lock_timeout = '20s'; SET LOCAL statement_timeout = 0; %s COMMIT", statements) == 0)
		return 0;
	memcpy(state, pg->state, sizeof(state));
	if (pg_usable(pg) && pg_exec(pg, "ROLLBACK", NULL))
		pg_disconnect(pg);
	memcpy(pg->state, state, sizeof(state));
	return -1;
}

static bool made_by_another(const struct pg *pg)
{
	static const char *const states[] = {NAME_IS_THERE, COLUMN_IS_THERE, UNIQUE, SCHEMA_IS_THERE};

	for (size_t k = 0; k < ARRAY_LEN(states); k++)
		if (strcmp(pg->state, states[k]) == 0)
			return true;
	return false;
}

static int make_schema(struct pg *pg, const char *schema, struct err *e)
{
	const char *params[] = {schema};
	PGresult *r = pg_query(pg, "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1", 1, params, e);
	struct buf sql = BUF_INIT;
	int rc, n;

	if (!r)
		return -1;
	n = PQntuples(r);
	PQclear(r);
	if (n)
		return 0;
	/* IF NOT EXISTS would ask for the right to create even if the schema is there */
	buf_adds(&sql, "CREATE SCHEMA ");
	sql_add_name(&sql, schema);
	rc = pg_exec(pg, buf_cstr(&sql), e);
	buf_free(&sql);
	return rc && made_by_another(pg) ? 0 : rc;
}

static int make_our_tables(struct pg *pg, const char *schema, struct err *e)
{
	static const char text[] =
		"CREATE TABLE IF NOT EXISTS %1$s._stitch_table (table_name text PRIMARY KEY, active_version bigint NOT NULL DEFAULT 0, source text, source_table text);"
		"CREATE TABLE IF NOT EXISTS %1$s._stitch_ledger (batch_id text PRIMARY KEY, queue_id text NOT NULL, partition bigint NOT NULL,"
		" first_offset bigint NOT NULL, last_offset bigint NOT NULL, source text NOT NULL, table_name text NOT NULL, table_version bigint NOT NULL,"
		" rows bigint NOT NULL, rejected bigint NOT NULL, attempt bigint NOT NULL, discarded boolean NOT NULL DEFAULT false, loaded_at timestamp NOT NULL);"
		"CREATE INDEX IF NOT EXISTS _stitch_ledger_range ON %1$s._stitch_ledger (queue_id, partition, table_name, first_offset);"
		"CREATE TABLE IF NOT EXISTS %1$s._sdc_rejected (_sdc_rejected_at timestamp NOT NULL, table_name text, reason text, record text);";
	struct buf name = BUF_INIT;
	char *sql;
	int rc;

	sql_add_name(&name, schema);
	sql = xasprintf(text, buf_cstr(&name));
	rc = in_transaction(pg, sql, e);
	free(sql);
	buf_free(&name);
	return rc;
}

/* Are all of ours there? One question a load, so that nothing need be remembered that a person may have dropped. */
static int our_tables(struct pg *pg, const char *schema, bool *there, struct err *e)
{
	const char *params[] = {schema};
	PGresult *r = pg_query(pg,
		"SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1"
		" AND c.relname IN ('_stitch_table', '_stitch_ledger', '_stitch_ledger_range', '_sdc_rejected')", 1, params, e);

	if (!r)
		return -1;
	*there = strcmp(PQgetvalue(r, 0, 0), "4") == 0;
	PQclear(r);
	return 0;
}

static int table_row(struct postgres *p, const char *schema, const char *table, struct err *e)
{
	char *name = sql_table(schema, "_stitch_table"), *sql = xasprintf("INSERT INTO %s (table_name) VALUES ($1) ON CONFLICT DO NOTHING", name);
	const char *params[] = {table};
	PGresult *r = pg_query(&p->pg, sql, 1, params, e);

	PQclear(r);
	free(sql);
	free(name);
	return r ? 0 : -1;
}

/* Has a load been here before? 1: no. */
static int dry_prepare(struct postgres *p, const char *schema, const struct job *j, struct err *e)
{
	char *name = sql_table(schema, "_stitch_table"), *table = dialect_named(&p->dialect, j->table), *sql = xasprintf("SELECT 1 FROM %s WHERE table_name = $1", name);
	const char *params[] = {table};
	PGresult *r = pg_query(&p->pg, sql, 1, params, e);
	int rc = r ? PQntuples(r) == 0 : -1;

	PQclear(r);
	free(sql);
	free(table);
	free(name);
	return rc;
}

int pg_prepare(void *self, const struct job *j, struct err *e)
{
	struct postgres *p = self;
	const char *schema;
	char *table = NULL;
	bool there = false;
	int rc = -1;

	p->phase = "preparing";
	if (pg_schema_name(j->schema, &schema, e) || our_tables(&p->pg, schema, &there, e))
		return -1;
	if (j->dry_run)
		return there ? dry_prepare(p, schema, j, e) : 1;
	for (int tries = 0; !there; tries++) {
		if (make_schema(&p->pg, schema, e) || (make_our_tables(&p->pg, schema, e) && (tries || !made_by_another(&p->pg))))
			return err_wrap(e, "making the schema %s and its tables _stitch_ledger, _stitch_table and _sdc_rejected", schema);
		if (our_tables(&p->pg, schema, &there, e))
			return -1;
		if (!there && tries > 2)
			return err_set(e, ERR_TRANSIENT, "the tables _stitch_ledger, _stitch_table and _sdc_rejected of schema %s vanish as soon as they are made", schema);
	}
	table = dialect_named(&p->dialect, j->table);
	rc = table_row(p, schema, table, e);
	free(table);
	return rc;
}

/* Types of columns: what we make ourselves, and what a person may have made of them without making them lossy. */
static unsigned accepts(const struct postgres *p, const char *type)
{
	static const struct { const char *type; unsigned bits; } known[] = {
		{"bigint", COL_BIT(COL_INTEGER)},
		{"integer", COL_BIT(COL_INTEGER)}, /* refuses what it cannot hold: rejected, not lost */
		{"smallint", COL_BIT(COL_INTEGER)},
		{"numeric", COL_BIT(COL_INTEGER) | COL_BIT(COL_NUMBER)},
		{"boolean", COL_BIT(COL_BOOLEAN)},
		{"timestamp without time zone", COL_BIT(COL_TIME)},
		{"timestamp(6) without time zone", COL_BIT(COL_TIME)},
		{"timestamp with time zone", COL_BIT(COL_TIME)},
		{"timestamp(6) with time zone", COL_BIT(COL_TIME)},
		{"text", COL_BIT(COL_STRING)},
		{"character varying", COL_BIT(COL_STRING)},
	};

	for (size_t k = 0; k < ARRAY_LEN(known); k++)
		if (strcmp(type, known[k].type) == 0)
			return known[k].bits;
	if (strncmp(type, "character varying(", 18) == 0)
		return COL_BIT(COL_STRING);
	if (p->doubles && strcmp(type, "double precision") == 0)
		return COL_BIT(COL_NUMBER);
	return 0;
}

static int describe_columns(struct postgres *p, const char *oid, bool root, struct table_desc *out, struct err *e)
{
	const char *params[] = {oid};
	PGresult *r = pg_query(&p->pg,
		"SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attgenerated <> '' OR a.attidentity = 'a', EXISTS ("
		"  SELECT FROM pg_catalog.pg_depend d LEFT JOIN pg_catalog.pg_attrdef g ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND g.oid = d.objid"
		"  WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND (g.adnum <> a.attnum"
		"  OR d.classid IN ('pg_catalog.pg_rewrite'::regclass, 'pg_catalog.pg_trigger'::regclass, 'pg_catalog.pg_policy'::regclass)))"
		" FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum", 1, params, e);

	if (!r)
		return -1;
	out->n = (size_t)PQntuples(r);
	out->columns = xcalloc(out->n + 1, sizeof(*out->columns));
	for (size_t k = 0; k < out->n; k++) {
		struct desc_column *c = &out->columns[k];
		const char *type = PQgetvalue(r, (int)k, 1);

		c->name = xstrdup(PQgetvalue(r, (int)k, 0));
		c->accepts = accepts(p, type);
		if (root)
			p->narrow |= strcmp(type, "integer") == 0 || strcmp(type, "smallint") == 0;
		c->fixed = *PQgetvalue(r, (int)k, 2) == 't';
		c->pinned = *PQgetvalue(r, (int)k, 3) == 't';
	}
	PQclear(r);
	return 0;
}

static int describe_keys(struct postgres *p, const char *oid, struct table_desc *out, struct err *e)
{
	const char *params[] = {oid};
	PGresult *r = pg_query(&p->pg,
		"SELECT a.attname FROM pg_catalog.pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, place)"
		" JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE i.indrelid = $1 AND i.indisprimary"
		" AND k.place <= i.indnkeyatts ORDER BY k.place", 1, params, e);

	if (!r)
		return -1;
	out->n_keys = (size_t)PQntuples(r);
	out->keys = xcalloc(out->n_keys + 1, sizeof(*out->keys));
	for (size_t k = 0; k < out->n_keys; k++)
		out->keys[k] = xstrdup(PQgetvalue(r, (int)k, 0));
	PQclear(r);
	return 0;
}

/* Whose is it? Two tables of one source may have the same name here ("a!" and "a"): the first one has it. */
static int describe_owner(struct postgres *p, const char *schema, const char *table, const struct job *j, struct table_desc *out, struct err *e)
{
	char *name = sql_table(schema, "_stitch_table");
	char *sql = xasprintf("SELECT source, coalesce(source_table, $2) FROM %s WHERE table_name = $1 AND source IS NOT NULL", name);
	const char *params[] = {table, j->table};
	PGresult *r = pg_query(&p->pg, sql, 2, params, e);
	int rc = r ? 0 : -1;

	free(sql);
	free(name);
	if (r && PQntuples(r)) {
		out->owner = xstrdup(PQgetvalue(r, 0, 0));
		if (strcmp(out->owner, j->source) == 0 && strcmp(PQgetvalue(r, 0, 1), j->table) != 0)
			rc = err_set(e, ERR_CONFIG, "the table %s.%s holds %s of source %s, and %s would have the same name here; rename it at the source", schema, table,
				PQgetvalue(r, 0, 1), j->source, j->table);
	}
	PQclear(r);
	return rc;
}

int pg_describe(void *self, const struct job *j, const char *table, struct table_desc *out, struct err *e)
{
	struct postgres *p = self;
	char *oid = NULL;
	const char *schema, *params[2];
	PGresult *r = NULL;
	char *root = dialect_named(&p->dialect, j->table);
	bool is_root = strcmp(table, root) == 0;
	int rc = -1;

	free(root);
	*out = (struct table_desc){.exists = false};
	if (is_root)
		p->narrow = false;
	p->phase = "reading the catalogue";
	if (pg_schema_name(j->schema, &schema, e))
		goto out;
	params[0] = schema;
	params[1] = table;
	r = pg_query(&p->pg, "SELECT c.oid, c.relkind FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
			     " WHERE n.nspname = $1 AND c.relname = $2", 2, params, e);
	if (!r)
		goto out;
	if (PQntuples(r) == 0) {
		rc = 0;
		goto out;
	}
	if (!strchr("rp", *PQgetvalue(r, 0, 1))) {
		err_set(e, ERR_CONFIG, "%s.%s is there but is no table; rename it, or connect the source with another --schema", schema, table);
		goto out;
	}
	oid = xstrdup(PQgetvalue(r, 0, 0));
	out->exists = true;
	rc = describe_columns(p, oid, is_root, out, e) || describe_keys(p, oid, out, e) || describe_owner(p, schema, table, j, out, e) ? -1 : 0;
	if (rc)
		table_desc_free(out);
out:
	PQclear(r);
	free(oid);
	return rc;
}

/* What goes with a new table, in its transaction. */
static void note_text(const char *schema, const struct job *j, const struct layout *lo, struct buf *sql)
{
	/* what the ledger says of a table that is gone is void; only this transaction makes it, so no load can be between the two */
	if (lo->parent == NO_TABLE) {
		buf_adds(sql, "DELETE FROM ");
		sql_add_table(sql, schema, "_stitch_ledger");
		buf_adds(sql, " WHERE NOT discarded AND table_name = ");
		sql_add_text(sql, j->table);
		buf_adds(sql, "; ");
	}
	buf_adds(sql, "INSERT INTO ");
	sql_add_table(sql, schema, "_stitch_table");
	buf_adds(sql, " (table_name, source, source_table) VALUES (");
	sql_add_text(sql, lo->table);
	buf_adds(sql, ", ");
	sql_add_text(sql, j->source);
	buf_adds(sql, ", ");
	sql_add_text(sql, j->table);
	buf_adds(sql, ") ON CONFLICT (table_name) DO UPDATE SET source = excluded.source, source_table = excluded.source_table;");
}

static void table_text(struct postgres *p, const char *schema, const struct layout *lo, struct buf *sql)
{
	buf_adds(sql, "CREATE TABLE ");
	sql_add_table(sql, schema, lo->table);
	for (size_t k = 0; k < lo->n; k++) {
		buf_adds(sql, k ? ", " : " (");
		sql_add_name(sql, lo->columns[k].name);
		buf_addf(sql, " %s", pg_type_name(p, lo->columns[k].type));
	}
	for (size_t k = 0; k < lo->n_keys; k++) {
		buf_adds(sql, k ? ", " : ", PRIMARY KEY (");
		sql_add_name(sql, lo->columns[lo->keys[k]].name);
	}
	buf_adds(sql, lo->n_keys ? "));" : ");");
}

static void step_text(struct postgres *p, const char *schema, const struct layout *lo, const struct step *s, struct buf *sql)
{
	if (s->kind == STEP_CREATE) {
		table_text(p, schema, lo, sql);
		return;
	}
	buf_adds(sql, "ALTER TABLE ");
	sql_add_table(sql, schema, lo->table);
	buf_adds(sql, s->kind == STEP_ADD ? " ADD COLUMN IF NOT EXISTS " : s->kind == STEP_RENAME ? " RENAME COLUMN " : " ALTER COLUMN ");
	sql_add_name(sql, s->kind == STEP_RENAME ? s->from : s->column->name);
	if (s->kind == STEP_RENAME) {
		buf_adds(sql, " TO ");
		sql_add_name(sql, s->column->name);
		buf_addc(sql, ';');
	} else {
		buf_addf(sql, s->kind == STEP_ADD ? " %s;" : " TYPE %s;", pg_type_name(p, s->column->type));
	}
}

void pg_ddl(void *self, const struct job *j, const struct layout *lo, const struct step *s, struct buf *out)
{
	const char *schema;

	if (!pg_schema_name(j->schema, &schema, NULL))
		step_text(self, schema, lo, s, out);
}

int pg_subtables(void *self, const struct job *j, const char *table, struct names *out, struct err *e)
{
	struct postgres *p = self;
	const char *schema, *params[4] = {NULL, table, j->source, j->table};
	char *name, *sql;
	PGresult *r;

	if (pg_schema_name(j->schema, &schema, e))
		return -1;
	params[0] = schema;
	name = sql_table(schema, "_stitch_table");
	sql = xasprintf("SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
			" JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = '_sdc_level_0_id' AND NOT a.attisdropped JOIN %s t ON t.table_name = c.relname"
			" WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND pg_catalog.starts_with(c.relname::text, $2 || '__') AND t.source = $3 AND t.source_table = $4"
			" ORDER BY 1", name);
	r = pg_query(&p->pg, sql, 4, params, e);
	for (int k = 0; r && k < PQntuples(r); k++)
		names_add(out, PQgetvalue(r, k, 0));
	PQclear(r);
	free(sql);
	free(name);
	return r ? 0 : -1;
}

/* A root that is made anew: what is left in its subtables belongs to no row. */
static int empty_subtables(struct postgres *p, const char *schema, const struct job *j, const struct layout *lo, struct buf *sql, struct err *e)
{
	struct names names = {.n = 0};
	int rc = pg_subtables(p, j, lo->table, &names, e);

	for (size_t k = 0; k < names.n; k++) {
		buf_adds(sql, " DELETE FROM ");
		sql_add_table(sql, schema, names.s[k]);
		buf_addc(sql, ';');
		free(names.s[k]);
	}
	free(names.s);
	return rc;
}

int pg_change(void *self, const struct job *j, const struct layout *lo, const struct step *s, struct err *e)
{
	struct postgres *p = self;
	struct buf sql = BUF_INIT;
	const char *schema;
	int rc;

	p->phase = "changing the table";
	if (pg_schema_name(j->schema, &schema, e))
		return -1;
	step_text(p, schema, lo, s, &sql);
	if (s->kind == STEP_CREATE)
		note_text(schema, j, lo, &sql);
	if (s->kind == STEP_CREATE && lo->parent == NO_TABLE && empty_subtables(p, schema, j, lo, &sql, e)) {
		buf_free(&sql);
		return -1;
	}
	rc = in_transaction(&p->pg, buf_cstr(&sql), e);
	if (rc && (made_by_another(&p->pg) || (s->kind == STEP_RENAME && strcmp(p->pg.state, COLUMN_IS_GONE) == 0)))
		rc = 0;
	if (rc && e && e->code == ERR_DATA)
		e->code = ERR_CONFIG; /* no record is at fault here */
	buf_free(&sql);
	return rc;
}
