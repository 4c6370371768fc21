/*
 * pg_check.c - what a person asks: may this user do all that loading needs, and what is in a table. Every right is tried in one transaction that is rolled back,
 * each under a savepoint so that one refusal does not hide the next. Without the right to make schemas loading works in those that are there and allow tables
 * to be made; the check then tries one of them. What stitch has made in this database before is asked of the catalogue: a right may have been taken away since.
 * A fix is a statement that can be run as it stands.
 */
#include "loaders/postgres/postgres.h"

#include <unistd.h>

#include "loaders/sql/sql_text.h"
#include "log.h"
#include "xalloc.h"

static int try(struct pg *pg, const char *sql, struct err *e)
{
	struct err undo = ERR_INIT;

	if (pg_exec(pg, "SAVEPOINT stitch_check", e))
		return -1;
	if (pg_exec(pg, sql, e) == 0)
		return 0;
	if (pg_usable(pg) && pg_exec(pg, "ROLLBACK TO SAVEPOINT stitch_check", &undo))
		log_warn("check: %s", undo.text);
	return -1;
}

/* "GRANT rights ON DATABASE "db" TO "user"". */
static char *grant(const struct pg *pg, const char *rights, const char *kind, const char *schema, const char *name)
{
	struct buf b = BUF_INIT;

	buf_addf(&b, "GRANT %s ON %s ", rights, kind);
	if (schema)
		sql_add_table(&b, schema, name);
	else
		sql_add_name(&b, name);
	buf_adds(&b, " TO ");
	sql_add_name(&b, PQuser(pg->conn));
	return buf_detach(&b, NULL);
}

static void right(struct loader_check *c, struct pg *pg, const char *name, const char *sql, struct err *e)
{
	bool temp = strstr(sql, " TEMP ") != NULL;
	char *fix;

	if (try(pg, sql, e) == 0) {
		check_right(c, name, true, NULL);
		return;
	}
	check_right(c, name, false, e->text);
	if (temp && strcmp(pg->state, "42501") == 0)
		fix = grant(pg, "TEMPORARY", "DATABASE", NULL, PQdb(pg->conn));
	else
		fix = xstrdup(*pg_error_fix(pg->state) ? pg_error_fix(pg->state) : "see the server's log");
	check_failed(c, e->text, fix);
	free(fix);
}

/* A schema of others in which this user may make tables; NULL: there is none. */
static char *usable_schema(struct pg *pg, struct err *e)
{
	PGresult *r = pg_query(pg,
		"SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'"
		" AND pg_catalog.has_schema_privilege(oid, 'USAGE') AND pg_catalog.has_schema_privilege(oid, 'CREATE') ORDER BY nspname = 'public', nspname LIMIT 1",
		0, NULL, e);
	char *name = r && PQntuples(r) ? xstrdup(PQgetvalue(r, 0, 0)) : NULL;

	PQclear(r);
	return name;
}

static void check_schema(struct loader_check *c, struct postgres *p, char **schema, struct err *e)
{
	char *own = xasprintf("stitch_check_%ld", (long)getpid()), *sql = xasprintf("CREATE SCHEMA %s", own), *detail, *fix;

	if (try(&p->pg, sql, e) == 0) {
		check_right(c, "create schemas", true, NULL);
		*schema = own;
		free(sql);
		return;
	}
	free(sql);
	free(own);
	*schema = usable_schema(&p->pg, e);
	detail = *schema ? xasprintf("%s; only schemas that are there can be used, for instance %s (connect the source with --schema)", e->text, *schema)
			 : xstrdup(e->text);
	check_right(c, "create schemas", false, detail);
	if (!*schema) {
		fix = grant(&p->pg, "CREATE", "DATABASE", NULL, PQdb(p->pg.conn));
		check_failed(c, "this user may neither make a schema nor tables in one that is there", fix);
		free(fix);
	}
	free(detail);
}

/* Of schemas that hold tables of ours, this user's by what it may still do there: it needs both rights. */
static int check_schemas(struct loader_check *c, struct pg *pg, struct err *e)
{
	PGresult *r = pg_query(pg,
		"SELECT n.nspname, pg_catalog.concat_ws(', ', CASE WHEN NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE') THEN 'USAGE' END,"
		" CASE WHEN NOT pg_catalog.has_schema_privilege(n.oid, 'CREATE') THEN 'CREATE' END) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
		" ON n.oid = c.relnamespace WHERE c.relname = '_stitch_table' AND c.relkind = 'r' AND pg_catalog.has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE')"
		" AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_schema_privilege(n.oid, 'CREATE')) ORDER BY 1 LIMIT 20", 0, NULL, e);

	for (int k = 0; r && k < PQntuples(r); k++) {
		const char *schema = PQgetvalue(r, k, 0), *rights = PQgetvalue(r, k, 1);
		char *name = xasprintf("use schema %s", schema), *cause = xasprintf("this user has no %s on schema %s", rights, schema);
		char *fix = grant(pg, rights, "SCHEMA", NULL, schema);

		check_right(c, name, false, fix);
		check_failed(c, cause, fix);
		free(fix);
		free(cause);
		free(name);
	}
	PQclear(r);
	return r ? 0 : -1;
}

/* Tables of ours in such schemas that this user may not write. Who is not the owner cannot add columns: a matter of choice, so only told. */
static int check_existing(struct loader_check *c, struct pg *pg, struct err *e)
{
	PGresult *r = pg_query(pg,
		"SELECT n.nspname, c.relname, m.missing, pg_catalog.pg_get_userbyid(c.relowner) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid ="
		" c.relnamespace CROSS JOIN LATERAL (SELECT pg_catalog.string_agg(x, ', ') AS missing FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) x"
		" WHERE NOT pg_catalog.has_table_privilege(c.oid, x)) m WHERE c.relkind IN ('r', 'p') AND (c.relname IN ('_stitch_table', '_stitch_ledger', '_sdc_rejected')"
		" OR EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = '_sdc_table_version')) AND EXISTS (SELECT FROM"
		" pg_catalog.pg_class o WHERE o.relnamespace = n.oid AND o.relname = '_stitch_table' AND o.relkind = 'r' AND"
		" pg_catalog.has_table_privilege(o.oid, 'SELECT, INSERT, UPDATE')) AND (m.missing IS NOT NULL OR NOT pg_catalog.pg_has_role(c.relowner, 'USAGE'))"
		" ORDER BY m.missing IS NULL, 1, 2 LIMIT 20", 0, NULL, e);

	for (int k = 0; r && k < PQntuples(r); k++) {
		const char *schema = PQgetvalue(r, k, 0), *table = PQgetvalue(r, k, 1), *rights = PQgetvalue(r, k, 2);
		bool denied = !PQgetisnull(r, k, 2);
		char *name = xasprintf("%s %s.%s", denied ? "write" : "add columns to", schema, table);
		char *cause = denied ? xasprintf("this user has no %s on table %s.%s", rights, schema, table) : NULL;
		char *fix = denied ? grant(pg, rights, "TABLE", schema, table) : xasprintf("the table belongs to %s", PQgetvalue(r, k, 3));

		check_right(c, name, false, fix);
		if (denied)
			check_failed(c, cause, fix);
		free(fix);
		free(cause);
		free(name);
	}
	PQclear(r);
	return r ? 0 : -1;
}

void pg_check(void *self, struct loader_check *c)
{
	static const struct { const char *name, *sql; } steps[] = {
		{"create tables", "CREATE TABLE %s (id bigint PRIMARY KEY, t text)"},
		{"add columns", "ALTER TABLE %s ADD COLUMN n numeric"},
		{"insert rows", "INSERT INTO %s VALUES (1, 'a', 1.5)"},
		{"read rows", "SELECT id FROM %s FOR UPDATE"},
		{"update rows", "UPDATE %s SET t = 'b'"},
		{"delete rows", "DELETE FROM %s"},
		{"create temporary tables", "CREATE TEMP TABLE _stitch_check (id bigint) ON COMMIT DROP"},
	};
	struct postgres *p = self;
	struct err e = ERR_INIT;
	char *schema = NULL, *table = NULL, *own = xasprintf("_stitch_check_%ld", (long)getpid());

	check_right(c, "connect", true, p->server);
	if (pg_exec(&p->pg, "BEGIN; SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '20s'", &e)) {
		check_failed(c, e.text, "try again");
		goto out;
	}
	check_schema(c, p, &schema, &e);
	if (!schema)
		goto out;
	table = sql_table(schema, own);
	for (size_t k = 0; k < ARRAY_LEN(steps); k++) {
		struct buf sql = BUF_INIT;
		struct str text = str_c(steps[k].sql);
		const char *mark = strstr(text.ptr, "%s");

		if (mark) {
			buf_add(&sql, text.ptr, (size_t)(mark - text.ptr));
			buf_adds(&sql, table);
			text = str_c(mark + 2);
		}
		buf_addstr(&sql, text);
		right(c, &p->pg, steps[k].name, buf_cstr(&sql), &e);
		buf_free(&sql);
	}
	if (pg_usable(&p->pg) && (check_schemas(c, &p->pg, &e) || check_existing(c, &p->pg, &e)))
		check_failed(c, e.text, "try again");
out:
	pg_rollback(p);
	free(table);
	free(schema);
	free(own);
}

int pg_sample(void *self, const char *schema, const char *table, unsigned max, json_t *columns, json_t *rows, struct err *e)
{
	struct postgres *p = self;
	char *name = dialect_named(&p->dialect, table), *quoted = NULL, *sql = NULL;
	const char *real;
	PGresult *r = NULL;
	int rc = -1;

	p->phase = "reading";
	if (pg_schema_name(schema, &real, e))
		goto out;
	quoted = sql_table(real, name);
	sql = xasprintf("SELECT * FROM %s LIMIT %u", quoted, max);
	r = pg_query(&p->pg, sql, 0, NULL, e);
	if (!r) {
		if (strcmp(p->pg.state, "42P01") == 0 || strcmp(p->pg.state, "3F000") == 0)
			err_set(e, ERR_NOT_FOUND, "there is no table %s.%s in this destination yet", real, name);
		goto out;
	}
	pg_add_rows(r, columns, rows);
	rc = 0;
out:
	PQclear(r);
	free(sql);
	free(quoted);
	free(name);
	return rc;
}
