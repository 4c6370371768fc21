/*
 * rs_describe.c - what is in the destination: columns and what they hold, the key, whose table it is. Types and lengths are kept for the load that follows, which
 * finds by them what must be widened. The catalogue is asked with what Redshift has had since its beginnings in PostgreSQL 8.
 */
#include "loaders/redshift/redshift.h"

#include "loaders/sql/sql_text.h"
#include "xalloc.h"

void rs_forget_tables(struct redshift *r)
{
	for (size_t k = 0; k < r->n_tables; k++) {
		for (size_t i = 0; i < r->tables[k].n; i++)
			free(r->tables[k].columns[i].name);
		free(r->tables[k].columns);
		free(r->tables[k].name);
	}
	free(r->tables);
	r->tables = NULL;
	r->n_tables = 0;
}

const struct rs_column *rs_column_of(const struct redshift *r, const char *table, const char *column)
{
	for (size_t k = r->n_tables; k-- > 0;) { /* the newest description counts */
		if (strcmp(r->tables[k].name, table) != 0)
			continue;
		for (size_t i = 0; i < r->tables[k].n; i++)
			if (strcmp(r->tables[k].columns[i].name, column) == 0)
				return &r->tables[k].columns[i];
		break;
	}
	return NULL;
}

/* Types of columns: what we make ourselves, and what a person may have made of them without making them lossy. */
static unsigned accepts(const struct redshift *r, const char *type, struct rs_column *c)
{
	static const struct { const char *type; unsigned bits; } known[] = {
		{"bigint", COL_BIT(COL_INTEGER)},
		{"integer", COL_BIT(COL_INTEGER)}, /* refuses what it cannot hold: rejected, not lost */
		{"smallint", COL_BIT(COL_INTEGER)},
		{"boolean", COL_BIT(COL_BOOLEAN)},
		{"timestamp without time zone", COL_BIT(COL_TIME)},
		{"timestamp with time zone", COL_BIT(COL_TIME)},
	};
	unsigned n, scale;

	for (size_t k = 0; k < ARRAY_LEN(known); k++)
		if (strcmp(type, known[k].type) == 0)
			return known[k].bits;
	if (sscanf(type, "character varying(%u)", &n) == 1) {
		c->type = RS_VARCHAR;
		c->width = n;
		return COL_BIT(COL_STRING);
	}
	if (strcmp(type, "double precision") == 0) {
		c->type = RS_DOUBLE;
		/* whole numbers, too: one that is no double makes the column DECIMAL */
		return r->numbers == NUMBERS_EXACT ? 0 : COL_BIT(COL_NUMBER) | COL_BIT(COL_INTEGER);
	}
	/* another scale or precision is a person's wish: what it refuses is rejected */
	if (sscanf(type, "numeric(%u,%u)", &n, &scale) == 2) {
		c->type = RS_DECIMAL;
		return COL_BIT(COL_NUMBER) | (n - scale >= 19 ? COL_BIT(COL_INTEGER) : 0);
	}
	return 0;
}

/* All of a table in one question, for each costs a way to the cluster. A column that Redshift counts by itself takes no values. */
static PGresult *ask_columns(struct redshift *r, const char *schema, const char *table, struct err *e)
{
	const char *params[] = {schema, table};

	return pg_query(&r->pg,
		"SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), CASE WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.refobjid = a.attrelid"
		" AND d.refobjsubid = a.attnum AND d.deptype = 'n') THEN 't' ELSE 'f' END, CASE WHEN pg_catalog.pg_get_expr(f.adbin, f.adrelid) LIKE '\"identity\"%'"
		" THEN 't' ELSE 'f' END, c.relkind FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid JOIN pg_catalog.pg_attribute a"
		" ON a.attrelid = c.oid LEFT JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum WHERE n.nspname = $1 AND c.relname = $2"
		" AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum", 2, params, e);
}

static void keep_columns(struct redshift *r, const char *table, const PGresult *res, struct table_desc *out)
{
	struct rs_table *t;

	r->tables = xreallocarray(r->tables, r->n_tables + 1, sizeof(*r->tables));
	t = &r->tables[r->n_tables++];
	out->n = (size_t)PQntuples(res);
	out->columns = xcalloc(out->n + 1, sizeof(*out->columns));
	*t = (struct rs_table){.name = xstrdup(table), .columns = xcalloc(out->n + 1, sizeof(*t->columns)), .n = out->n};
	for (size_t k = 0; k < out->n; k++) {
		out->columns[k].name = xstrdup(PQgetvalue(res, (int)k, 0));
		t->columns[k].name = xstrdup(PQgetvalue(res, (int)k, 0));
		out->columns[k].accepts = accepts(r, PQgetvalue(res, (int)k, 1), &t->columns[k]);
		out->columns[k].pinned = t->columns[k].pinned = *PQgetvalue(res, (int)k, 2) == 't';
		out->columns[k].fixed = *PQgetvalue(res, (int)k, 3) == 't';
	}
}

static void read_keys(const char *text, struct table_desc *out)
{
	json_t *list = json_loads(text, 0, NULL), *v;
	size_t k;

	out->keys = xcalloc(json_array_size(list) + 1, sizeof(*out->keys));
	json_array_foreach(list, k, v)
		if (json_is_string(v))
			out->keys[out->n_keys++] = xstrdup(json_string_value(v));
	json_decref(list);
}

/* Whose is it? Two tables of one source may have the same name here ("a!" and "a"): the first one has it. */
static int describe_owner(struct redshift *r, const char *schema, const char *table, const struct job *j, struct table_desc *out, struct err *e)
{
	char *name = sql_table(schema, "_stitch_table");
	char *sql = xasprintf("SELECT source, source_table, key_columns FROM %s WHERE table_name = $1 AND source IS NOT NULL", name);
	const char *params[] = {table};
	PGresult *res = pg_query(&r->pg, sql, 1, params, e);
	int rc = res ? 0 : -1;

	free(sql);
	free(name);
	if (res && PQntuples(res)) {
		out->owner = xstrdup(PQgetvalue(res, 0, 0));
		read_keys(PQgetvalue(res, 0, 2), out);
		if (strcmp(out->owner, j->source) == 0 && strcmp(PQgetvalue(res, 0, 1), j->table) != 0)
			rc = err_set(e, ERR_CONFIG, "the table %s.%s holds %s of source %s, and %s would have the same name here; rename it at the source", schema, table,
				PQgetvalue(res, 0, 1), j->source, j->table);
	}
	PQclear(res);
	return rc;
}

int rs_describe(void *self, const struct job *j, const char *table, struct table_desc *out, struct err *e)
{
	struct redshift *r = self;
	char *schema = rs_schema_name(j->schema, e);
	PGresult *res = NULL;
	int rc = -1;

	*out = (struct table_desc){.exists = false};
	r->phase = "reading the catalogue";
	if (!schema)
		return -1;
	res = ask_columns(r, schema, table, e);
	if (!res)
		goto out;
	if (PQntuples(res) == 0) {
		rc = 0;
		goto out;
	}
	if (!strchr("rp", *PQgetvalue(res, 0, 4))) {
		err_set(e, ERR_CONFIG, "%s.%s is there but is no table; rename it, or connect the source with another --schema", schema, table);
		goto out;
	}
	out->exists = true;
	keep_columns(r, table, res, out);
	rc = describe_owner(r, schema, table, j, out, e);
	if (rc)
		table_desc_free(out);
out:
	PQclear(res);
	free(schema);
	return rc;
}
