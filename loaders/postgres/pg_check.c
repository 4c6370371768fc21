/*
 * pg_check.c - what a person asks: may this user do all that loading needs, and what is in a table. Every right is tried, not looked up, in one transaction that
 * is rolled back, each under a savepoint so that one refusal does not hide the next. Without the right to make schemas loading works in those that are
 * there and allow tables to be made; the check then tries one of them.
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

static void right(struct loader_check *c, struct pg *pg, const char *name, const char *sql, struct err *e)
{
	if (try(pg, sql, e) == 0) {
		check_right(c, name, true, NULL);
		return;
	}
	check_right(c, name, false, e->text);
	check_failed(c, e->text, *pg_error_fix(pg->state) ? pg_error_fix(pg->state) : "see the server's log");
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
		fix = xasprintf("GRANT CREATE ON DATABASE \"%s\" TO \"%s\", or let a schema be made for it and GRANT USAGE, CREATE ON SCHEMA to it", PQdb(p->pg.conn),
			PQuser(p->pg.conn));
		check_failed(c, "this user may neither make a schema nor tables in one that is there", fix);
		free(fix);
	}
	free(detail);
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
	table = pg_quoted(schema, own);
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
out:
	pg_rollback(p);
	free(table);
	free(schema);
	free(own);
}

int pg_sample(void *self, const char *schema, const char *table, unsigned max, json_t *columns, json_t *rows, struct err *e)
{
	struct postgres *p = self;
	char *name = pg_table_name(p, table), *quoted = NULL, *sql = NULL;
	const char *real;
	PGresult *r = NULL;
	int rc = -1;

	p->phase = "reading";
	if (pg_schema_name(schema, &real, e))
		goto out;
	quoted = pg_quoted(real, name);
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
