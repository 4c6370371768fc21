/*
 * sf_check.c - what a person asks: may this user do all that loading needs, and what is in a table. Every right is tried for real, in a schema of our own that is
 * dropped again; without the right to make one, in the default schema. What fails is told with the statement that puts it right, with the real names.
 */
#include "loaders/snowflake/snowflake.h"

#include <unistd.h>

#include "log.h"
#include "timefmt.h"
#include "xalloc.h"

#define NO_RIGHT "003001"

static void failed(struct snow *s, struct loader_check *c, const char *name, const char *schema, const struct err *e)
{
	struct buf fix = BUF_INIT;

	sf_fix(s, schema, &fix);
	check_right(c, name, false, e->text);
	check_failed(c, e->text, fix.len ? buf_cstr(&fix) : "see the query history in Snowflake (Snowsight, Monitoring), tag \"stitch\"");
	buf_free(&fix);
}

/* Statements with %s for the quoted table. */
static bool try(struct snow *s, struct loader_check *c, const char *name, const char *schema, const char *table, const char *sql, unsigned n)
{
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;
	const char *mark;
	int rc;

	while ((mark = strstr(sql, "%s")) != NULL) {
		buf_add(&b, sql, (size_t)(mark - sql));
		buf_adds(&b, table);
		sql = mark + 2;
	}
	buf_adds(&b, sql);
	rc = sf_run(s, buf_cstr(&b), n, NULL, &e);
	buf_free(&b);
	if (rc)
		failed(s, c, name, schema, &e);
	else
		check_right(c, name, true, NULL);
	return rc == 0;
}

static bool connects(struct snow *s, struct loader_check *c)
{
	struct err e = ERR_INIT;
	json_t *a = NULL;

	if (sf_run(s, "SELECT CURRENT_VERSION()", 1, &a, &e)) {
		failed(s, c, "connect", NULL, &e);
		return false;
	}
	free(s->server);
	s->server = xasprintf("Snowflake %s, account %s", sf_cell(a, 0, 0) ? sf_cell(a, 0, 0) : "", s->account);
	check_right(c, "connect", true, s->server);
	json_decref(a);
	return true;
}

static void drop(struct snow *s, const char *what, const char *name)
{
	struct buf sql = BUF_INIT;
	struct err e = ERR_INIT;

	buf_addf(&sql, "DROP %s IF EXISTS %s", what, name);
	if (sf_run(s, buf_cstr(&sql), 1, NULL, &e))
		log_warn("check: %s", e.text);
	buf_free(&sql);
}

/* A schema of our own, or the default one where that may not be made. */
static bool make_schema(struct snow *s, struct loader_check *c, const char *own, bool *made)
{
	struct buf sql = BUF_INIT;
	struct err e = ERR_INIT;
	char *detail;
	int rc;

	buf_adds(&sql, "CREATE TRANSIENT SCHEMA ");
	sf_ident(&sql, s->database, false);
	buf_addc(&sql, '.');
	sf_ident(&sql, own, false);
	rc = sf_run(s, buf_cstr(&sql), 1, NULL, &e);
	buf_free(&sql);
	*made = rc == 0;
	if (!rc) {
		check_right(c, "create schemas", true, NULL);
	} else if (strcmp(s->code, NO_RIGHT) == 0) {
		detail = xasprintf("%s; only schemas that are there can be used, for instance %s (connect the source with --schema)", e.text, s->default_schema);
		check_right(c, "create schemas", false, detail);
		free(detail);
	} else {
		failed(s, c, "create schemas", own, &e);
		return false;
	}
	return true;
}

static void try_bucket(struct snow *s, struct loader_check *c, const char *schema)
{
	struct job j = {.schema = (char *)(uintptr_t)schema, .table = (char *)(uintptr_t)"check"};
	struct err e = ERR_INIT;
	int rc;

	s->load.job = &j;
	buf_truncate(&s->stage.line, 0);
	buf_adds(&s->stage.line, "{\"o\":0}");
	rc = sf_stage_line(s, 0, &e);
	if (!rc)
		rc = sf_stage_close(s, &e);
	check_right(c, "write to the bucket", rc == 0, rc ? e.text : NULL);
	if (rc) {
		check_failed(c, e.text, *s3_fix(s->s3) ? s3_fix(s->s3) : "Correct the settings that begin with s3_.");
	} else if (sf_stage_load(s, &e)) {
		failed(s, c, "copy from the bucket", schema, &e);
	} else {
		check_right(c, "copy from the bucket", true, NULL);
	}
	sf_stage_drop(s);
	s->load.job = NULL;
}

void sf_check(void *self, struct loader_check *c)
{
	static const struct { const char *name, *sql; unsigned n; } steps[] = {
		{"create tables", "CREATE TABLE %s (\"ID\" NUMBER(38,0) NOT NULL, \"V\" VARIANT, PRIMARY KEY (\"ID\"))", 1},
		{"add columns", "ALTER TABLE %s ADD COLUMN IF NOT EXISTS \"T\" VARCHAR", 1},
		{"insert rows", "INSERT INTO %s (\"ID\", \"T\") SELECT 1, 'a'", 1},
		{"read rows", "SELECT \"ID\" FROM %s", 1},
		{"change rows in a transaction", "BEGIN; UPDATE %s SET \"T\" = 'b'; COMMIT", 3},
		{"delete rows", "DELETE FROM %s", 1},
	};
	struct snow *s = self;
	struct buf table = BUF_INIT, whole = BUF_INIT;
	char *own = xasprintf("_STITCH_CHECK_%ld", (long)getpid());
	const char *schema;
	bool made = false, ok = true;

	s->phase = "checking";
	if (!connects(s, c) || !make_schema(s, c, own, &made))
		goto out;
	schema = made ? own : s->default_schema;
	sf_table(s, &table, schema, own);
	for (size_t k = 0; k < ARRAY_LEN(steps) && ok; k++)
		ok = try(s, c, steps[k].name, schema, buf_cstr(&table), steps[k].sql, steps[k].n);
	if (ok)
		try_bucket(s, c, schema);
	drop(s, "TABLE", buf_cstr(&table));
	if (made) {
		sf_ident(&whole, s->database, false);
		buf_addc(&whole, '.');
		sf_ident(&whole, own, false);
		drop(s, "SCHEMA", buf_cstr(&whole));
	}
out:
	buf_free(&table);
	buf_free(&whole);
	free(own);
}

/* --- sample --- */

/* The API gives times as seconds since 1970 with nine decimals, and the zone's offset behind. */
static json_t *time_text(const char *raw)
{
	char text[TIMEFMT_MAX];
	const char *dot = strchr(raw, '.');
	size_t n = dot ? (size_t)(dot - raw) : strcspn(raw, " ");
	char micro[7] = "000000";
	int64_t s, us = 0;

	for (unsigned k = 0; dot && k < 6 && dot[k + 1] >= '0' && dot[k + 1] <= '9'; k++)
		micro[k] = dot[k + 1];
	if (str_to_i64(str_mem(raw, n), &s) || str_to_i64(str_c(micro), &us))
		return json_string(raw);
	timefmt_sql(s * 1000000 + (*raw == '-' ? -us : us), text);
	return json_string(text);
}

static json_t *cell_text(const json_t *a, size_t row, size_t column)
{
	const json_t *meta = json_array_get(json_object_get(json_object_get(a, "resultSetMetaData"), "rowType"), column);
	const char *type = json_string_value(json_object_get(meta, "type")), *raw = sf_cell(a, row, column);

	if (!raw)
		return json_null();
	return type && strncasecmp(type, "timestamp", 9) == 0 ? time_text(raw) : json_string(raw);
}

int sf_sample(void *self, const char *schema, const char *table, unsigned max, json_t *columns, json_t *rows, struct err *e)
{
	struct snow *s = self;
	struct buf sql = BUF_INIT, name = BUF_INIT, shown = BUF_INIT;
	json_t *a = NULL;
	int rc;

	s->phase = "reading";
	dialect_name(&sf_dialect, str_c(table), &name);
	sf_table(s, &shown, schema, buf_cstr(&name));
	buf_addf(&sql, "SELECT * FROM %s LIMIT %u", buf_cstr(&shown), max);
	rc = sf_run(s, buf_cstr(&sql), 1, &a, e);
	if (rc && (strcmp(s->code, "002003") == 0 || strcmp(s->code, "002043") == 0))
		err_set(e, ERR_NOT_FOUND, "there is no table %s in this destination yet, or it may not be read", buf_cstr(&shown));
	for (size_t c = 0; !rc && sf_column(a, c); c++)
		json_array_append_new(columns, json_string(sf_column(a, c)));
	for (size_t k = 0; !rc && k < sf_rows(a); k++) {
		json_t *row = json_array();

		for (size_t c = 0; c < json_array_size(columns); c++)
			json_array_append_new(row, cell_text(a, k, c));
		json_array_append_new(rows, row);
	}
	json_decref(a);
	buf_free(&sql);
	buf_free(&name);
	buf_free(&shown);
	return rc;
}
