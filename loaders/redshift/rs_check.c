/*
 * rs_check.c - what a person asks: may this user do all that loading needs, and what is in a table. Every right is tried, not looked up. Redshift has no savepoints,
 * so each try is a transaction of its own that is rolled back, with what it needs made before it: one refusal does not hide the next. The bucket is tried by
 * both sides: this loader puts, lists and takes away, and the cluster copies a file of one row.
 */
#include "loaders/redshift/redshift.h"

#include <unistd.h>

#include "loaders/sql/sql_text.h"
#include "log.h"
#include "xalloc.h"

struct check { struct redshift *r; struct loader_check *c; char *schema, *table; bool own; };

static void undo(struct redshift *r)
{
	if (pg_usable(&r->pg) && PQtransactionStatus(r->pg.conn) != PQTRANS_IDLE && pg_exec(&r->pg, "ROLLBACK", NULL))
		pg_disconnect(&r->pg);
}

static void grant(const struct check *k, const char *right, const char *object, char **fix)
{
	struct buf b = BUF_INIT;

	buf_addf(&b, "GRANT %s ON %s TO ", right, object);
	sql_add_name(&b, PQuser(k->r->pg.conn));
	*fix = buf_detach(&b, NULL);
}

static void failed(struct check *k, const char *right, const struct err *e, const char *fix)
{
	check_right(k->c, right, false, e->text);
	check_failed(k->c, e->text, *fix ? fix : "see stl_error and svl_statementtext in the cluster");
}

/* A schema of others in which this user may make tables; NULL: there is none. */
static char *usable_schema(struct pg *pg)
{
	PGresult *res = pg_query(pg,
		"SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname NOT LIKE 'pg~_%' ESCAPE '~' AND nspname <> 'information_schema'"
		" AND pg_catalog.has_schema_privilege(nspname, 'USAGE') AND pg_catalog.has_schema_privilege(nspname, 'CREATE')"
		" ORDER BY CASE WHEN nspname = 'public' THEN 1 ELSE 0 END, nspname LIMIT 1", 0, NULL, NULL);
	char *name = res && PQntuples(res) ? xstrdup(PQgetvalue(res, 0, 0)) : NULL;

	PQclear(res);
	return name;
}

static int start(struct check *k, struct err *e)
{
	return pg_connect(&k->r->pg, e) || pg_exec(&k->r->pg, "BEGIN; SET LOCAL statement_timeout TO 20000", e) ? -1 : 0;
}

static int find_schema(struct check *k, struct err *e)
{
	char *own = xasprintf("stitch_check_%ld", (long)getpid()), *detail, *fix, *object;
	int rc = start(k, e) || pg_execf(&k->r->pg, e, "CREATE SCHEMA %s", own);

	undo(k->r);
	if (!rc) {
		check_right(k->c, "create schemas", true, NULL);
		k->schema = own;
		k->own = true;
		return 0;
	}
	free(own);
	if (!pg_usable(&k->r->pg)) {
		check_failed(k->c, e->text, "try again");
		return -1;
	}
	k->schema = usable_schema(&k->r->pg);
	detail = k->schema ? xasprintf("%s; only schemas that are there can be used, for instance %s (connect the source with --schema)", e->text, k->schema)
			   : xstrdup(e->text);
	check_right(k->c, "create schemas", false, detail);
	free(detail);
	if (k->schema)
		return 0;
	object = xasprintf("DATABASE \"%s\"", PQdb(k->r->pg.conn));
	grant(k, "CREATE", object, &fix);
	check_failed(k->c, "this user may neither make a schema nor tables in one that is there", fix);
	free(fix);
	free(object);
	return -1;
}

/* One right: what it needs made, then the statement (%s: the table). */
static int try(struct check *k, bool with_table, const char *sql, struct err *e)
{
	struct buf text = BUF_INIT;
	const char *mark = strstr(sql, "%s");
	int rc = start(k, e);

	if (!rc && k->own)
		rc = pg_execf(&k->r->pg, e, "CREATE SCHEMA %s", k->schema);
	if (!rc && with_table)
		rc = pg_execf(&k->r->pg, e, "CREATE TABLE %s (id bigint, t varchar(128))", k->table);
	if (mark) {
		buf_add(&text, sql, (size_t)(mark - sql));
		buf_adds(&text, k->table);
		buf_adds(&text, mark + 2);
	} else {
		buf_adds(&text, sql);
	}
	if (!rc)
		rc = pg_exec(&k->r->pg, buf_cstr(&text), e);
	buf_free(&text);
	return rc;
}

static void check_tables(struct check *k)
{
	static const struct { const char *name, *sql; } steps[] = {
		{"create tables", "CREATE TABLE %s (id bigint, t varchar(128))"},
		{"add columns", "ALTER TABLE %s ADD COLUMN n double precision"},
		{"lock tables", "LOCK TABLE %s"},
		{"insert rows", "INSERT INTO %s VALUES (1, 'a')"},
		{"read rows", "SELECT id FROM %s"},
		{"update rows", "UPDATE %s SET t = 'b'"},
		{"delete rows", "DELETE FROM %s"},
		{"create temporary tables", "CREATE TEMP TABLE _stitch_check (id bigint)"},
		{"read load errors", "SELECT count(*) FROM stl_load_errors WHERE filename = 'none'"},
	};

	for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
		struct err e = ERR_INIT;
		bool temp = strstr(steps[s].sql, "TEMP") != NULL, serverless = false;
		int rc = try(k, s > 0 && strstr(steps[s].sql, "%s"), steps[s].sql, &e);

		undo(k->r);
		if (rc && strstr(steps[s].sql, "stl_load_errors")) {
			rc = try(k, false, "SELECT count(*) FROM sys_load_error_detail WHERE file_name = 'none'", &e);
			undo(k->r);
			serverless = !rc;
		}
		if (!rc) {
			check_right(k->c, steps[s].name, true, serverless ? "sys_load_error_detail" : NULL);
		} else if (temp) {
			char *object = xasprintf("DATABASE \"%s\"", PQdb(k->r->pg.conn)), *fix;

			grant(k, "TEMP", object, &fix);
			failed(k, steps[s].name, &e, fix);
			free(fix);
			free(object);
		} else {
			failed(k, steps[s].name, &e, rs_fix(k->r));
		}
		if (!pg_usable(&k->r->pg))
			return;
	}
}

/* Nothing fails by it; but who loads many tables at once should know. */
static void check_isolation(struct check *k)
{
	PGresult *res;

	if (!pg_usable(&k->r->pg))
		return;
	res = pg_query(&k->r->pg, "SELECT db_isolation_level FROM stv_db_isolation_level WHERE db_name = current_database()", 0, NULL, NULL);
	if (res && PQntuples(res) && strncasecmp(PQgetvalue(res, 0, 0), "serializable", 12) == 0) {
		char *text = xasprintf("serializable: loads of two tables of one schema may refuse each other (1023) and are then tried again; ALTER DATABASE \"%s\""
				       " ISOLATION LEVEL SNAPSHOT or concurrency=1 avoids it", PQdb(k->r->pg.conn));

		check_right(k->c, "isolation level", true, text);
		free(text);
	}
	PQclear(res);
	undo(k->r);
}

/* The policy that the bucket's user and the cluster's role need. */
static char *policy(const struct redshift *r, bool role)
{
	return xasprintf("%s: {\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[%s],\"Resource\":\"arn:aws:s3:::%s/%s*\"},"
			 "{\"Effect\":\"Allow\",\"Action\":[\"s3:ListBucket\",\"s3:GetBucketLocation\"],\"Resource\":\"arn:aws:s3:::%s\"}]}",
		role ? "give the role s3_iam_role this policy, and attach the role to the cluster" : "give the owner of the key s3_access_key this policy",
		role ? "\"s3:GetObject\"" : "\"s3:GetObject\",\"s3:PutObject\",\"s3:DeleteObject\",\"s3:AbortMultipartUpload\"", r->bucket, r->prefix, r->bucket);
}

static void bucket_failed(struct check *k, const char *right, const struct err *e)
{
	const struct redshift *r = k->r;
	bool denied = s3_status(r->s3) == 403 && strcmp(s3_code(r->s3), "AccessDenied") == 0;
	char *fix = denied ? policy(r, false) : xasprintf("%s (the settings' names begin with s3_ here)", s3_fix(r->s3));

	failed(k, right, e, *s3_fix(r->s3) || denied ? fix : "try again");
	free(fix);
}

static int ignore_object(const struct s3_object *o, void *arg)
{
	(void)o;
	(void)arg;
	return 1;
}

static void check_copy(struct check *k, const char *manifest)
{
	struct redshift *r = k->r;
	struct column columns[] = {{.name = (char *)(uintptr_t) "id"}, {.name = (char *)(uintptr_t) "t"}};
	struct layout lo = {.columns = columns, .n = 2};
	struct buf sql = BUF_INIT;
	struct err e = ERR_INIT;
	const char *fix;
	char *text;

	rs_copy_text(r, k->table, &lo, false, manifest, &sql);
	if (try(k, true, buf_cstr(&sql), &e) == 0) {
		check_right(k->c, "copy from the bucket", true, NULL);
	} else {
		fix = rs_fix(r);
		text = strstr(fix, "s3:GetObject") ? policy(r, *r->credentials == 'I') : xstrdup(fix);
		failed(k, "copy from the bucket", &e, text);
		free(text);
	}
	undo(r);
	buf_free(&sql);
}

static void check_bucket(struct check *k)
{
	struct redshift *r = k->r;
	char *stem = xasprintf("%sstitch-stage/check-%ld", r->prefix, (long)getpid()), *manifest = xasprintf("%s.manifest", stem), *text;
	struct rs_stage s;
	struct err e = ERR_INIT;
	int rc;

	rs_stage_init(&s, r->s3, stem);
	rc = rs_stage_line(&s, STR("{\"id\":1,\"t\":\"one\"}\n"), &e) || rs_stage_end(&s, &e) ? -1 : 0;
	if (rc) {
		bucket_failed(k, "put files into the bucket", &e);
		goto out;
	}
	check_right(k->c, "put files into the bucket", true, s3_server(r->s3));
	text = xasprintf("{\"entries\":[{\"url\":\"s3://%s/%s\",\"mandatory\":true}]}", r->bucket, s.keys.s[0]);
	rc = s3_put(r->s3, manifest, str_c(text), NULL, &e);
	free(text);
	if (rc)
		bucket_failed(k, "put files into the bucket", &e);
	else if (k->schema && pg_usable(&r->pg))
		check_copy(k, manifest);
	if (s3_list(r->s3, stem, NULL, ignore_object, NULL, &e) < 0)
		bucket_failed(k, "list the bucket", &e);
	else
		check_right(k->c, "list the bucket", true, NULL);
	if (s3_delete(r->s3, manifest, &e) || s3_delete(r->s3, s.keys.s[0], &e))
		bucket_failed(k, "delete files from the bucket", &e);
	else
		check_right(k->c, "delete files from the bucket", true, NULL);
out:
	rs_stage_free(&s);
	free(manifest);
	free(stem);
}

void rs_check(void *self, struct loader_check *c)
{
	struct redshift *r = self;
	struct check k = {.r = r, .c = c};
	struct err e = ERR_INIT;
	char *own = xasprintf("_stitch_check_%ld", (long)getpid());

	r->phase = "checking";
	check_right(c, "connect", true, r->server);
	if (find_schema(&k, &e) == 0) {
		k.table = sql_table(k.schema, own);
		check_tables(&k);
	}
	check_bucket(&k);
	check_isolation(&k);
	free(k.table);
	free(k.schema);
	free(own);
}

int rs_sample(void *self, const char *schema, const char *table, unsigned max, json_t *columns, json_t *rows, struct err *e)
{
	struct redshift *r = self;
	char *name = dialect_named(&r->dialect, table), *real = rs_schema_name(schema, e), *quoted = NULL, *sql = NULL;
	PGresult *res = NULL;
	int rc = -1;

	r->phase = "reading";
	if (!real)
		goto out;
	quoted = sql_table(real, name);
	sql = xasprintf("SELECT * FROM %s LIMIT %u", quoted, max);
	res = pg_query(&r->pg, sql, 0, NULL, e);
	if (!res) {
		if (strcmp(r->pg.state, "42P01") == 0 || strcmp(r->pg.state, "3F000") == 0)
			err_set(e, ERR_NOT_FOUND, "there is no table %s.%s in this destination yet", real, name);
		goto out;
	}
	pg_add_rows(res, columns, rows);
	rc = 0;
out:
	PQclear(res);
	free(sql);
	free(quoted);
	free(real);
	free(name);
	return rc;
}
