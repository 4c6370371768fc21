/*
 * sqlite_check.c - what a person asks of a destination: does it work (each right tried for real, on a table of our own that is dropped again), and what is in
 * a table.
 */
#include <unistd.h>

#include "loaders/sqlite/sqlite_priv.h"

#include "xalloc.h"

#define WAIT_CHECK 8000 /* ms: a person waits */

void sq_check(void *self, struct loader_check *c)
{
	static const struct {
		const char *right, *sql;
	} tries[] = {
		{"create tables", "CREATE TABLE %s (a INTEGER)"},
		{"insert rows", "INSERT INTO %s VALUES (1)"},
		{"add columns", "ALTER TABLE %s ADD COLUMN b"},
		{"change rows", "UPDATE %s SET b = a"},
		{"read rows", "SELECT a, b FROM %s"},
		{"delete rows", "DELETE FROM %s"},
		{"drop tables", "DROP TABLE %s"},
	};
	struct sqlite *s = self;
	int patience = s->wait_max;
	char name[60];

	s->wait_max = WAIT_CHECK;
	snprintf(name, sizeof(name), "\"_stitch_check_%d\"", (int)getpid());
	for (size_t k = 0; k < ARRAY_LEN(tries); k++) {
		struct err e = ERR_INIT;
		struct buf sql = BUF_INIT;
		const char *at = strstr(tries[k].sql, "%s");
		int rc;

		buf_add(&sql, tries[k].sql, (size_t)(at - tries[k].sql));
		buf_adds(&sql, name);
		buf_adds(&sql, at + 2);
		rc = sq_exec(s, buf_cstr(&sql), tries[k].right, &e);
		buf_free(&sql);
		check_right(c, tries[k].right, rc == 0, rc ? e.text : NULL);
		if (!rc)
			continue;
		check_failed(c, e.text,
			e.code == ERR_FULL ? "Free some space on that disk." : "Let the user that runs stitchd write the file and the folder it is in, and see that no program keeps it locked.");
		break;
	}
	/* none of the others can succeed; the table goes in any case, if it came at all */
	snprintf(name, sizeof(name), "DROP TABLE IF EXISTS \"_stitch_check_%d\"", (int)getpid());
	s->waited = 0;
	(void)sqlite3_exec(s->db, name, NULL, NULL, NULL);
	s->wait_max = patience;
}

/* The shortest text that means the same double: SQLite's own stops at 15 digits. */
static json_t *double_text(double d)
{
	char text[40];

	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, d);
		if (strtod(text, NULL) == d)
			break;
	}
	return json_string(text);
}

static json_t *text_of(sqlite3_stmt *st, int k)
{
	const char *p;
	json_t *v;

	if (sqlite3_column_type(st, k) == SQLITE_NULL)
		return json_null();
	if (sqlite3_column_type(st, k) == SQLITE_FLOAT)
		return double_text(sqlite3_column_double(st, k));
	p = (const char *)sqlite3_column_text(st, k);
	v = p ? json_stringn(p, (size_t)sqlite3_column_bytes(st, k)) : NULL;
	return v ? v : json_string("(not UTF-8)");
}

int sq_sample(void *self, const char *schema, const char *table, unsigned max, json_t *columns, json_t *rows, struct err *e)
{
	struct sqlite *s = self;
	struct buf sql = BUF_INIT;
	char *name;
	sqlite3_stmt *st;
	int rc = SQLITE_ERROR;

	dialect_name(&sqlite_dialect, str_c(table), &sql);
	name = sq_physical(schema, buf_cstr(&sql));
	buf_truncate(&sql, 0);
	buf_adds(&sql, "SELECT * FROM ");
	sq_name(&sql, name);
	buf_addf(&sql, " LIMIT %u", max);
	st = sq_prepare(s, buf_cstr(&sql), "reading", e);
	if (!st && e->code == ERR_TRANSIENT && strstr(e->text, "no such table"))
		err_set(e, ERR_NOT_FOUND, "there is no table %s in %s yet", name, s->path);
	for (int k = 0; st && k < sqlite3_column_count(st); k++)
		json_array_append_new(columns, json_string(sqlite3_column_name(st, k)));
	while (st && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		json_t *row = json_array();

		for (int k = 0; k < sqlite3_column_count(st); k++)
			json_array_append_new(row, text_of(st, k));
		json_array_append_new(rows, row);
	}
	if (st && rc != SQLITE_DONE)
		sq_failed(s, "reading", e);
	sqlite3_finalize(st);
	buf_free(&sql);
	free(name);
	return rc == SQLITE_DONE ? 0 : -1;
}
