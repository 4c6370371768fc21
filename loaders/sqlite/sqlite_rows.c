/*
 * sqlite_rows.c - rows into tables: one statement a table for all of a load, prepared once. It replaces the whole row of a key where (version, sequence) is
 * greater, so rows can come in any order and again. Where a record's row came in, its old child rows are deleted in each subtable (the index of the key begins
 * with the source keys) before the new ones come.
 *
 * Numbers: SQLite's own conversion would round what a double cannot hold, so a number is bound as REAL only if that double prints back to the same decimal, and as
 * text otherwise; the column has no declared type, so SQLite leaves both as they are.
 */
#include "loaders/sqlite/sqlite_priv.h"

#include "decimal.h"
#include "timefmt.h"
#include "xalloc.h"

#define DOUBLE_DIGITS 15 /* as many decimal digits survive a double, whatever they are */
#define NUMBER_TEXT 64
#define PLAIN_MAX 1000

static bool in_layout(const struct layout *lo, const char *name)
{
	for (size_t k = 0; k < lo->n; k++)
		if (str_ieq(str_c(lo->columns[k].name), str_c(name)))
			return true;
	return false;
}

static void put_sql(struct buf *sql, const char *table, const struct layout *lo, const struct table_desc *desc)
{
	buf_adds(sql, "INSERT INTO ");
	sq_name(sql, table);
	buf_adds(sql, " AS old");
	for (size_t k = 0; k < lo->n; k++) {
		buf_adds(sql, k ? ", " : " (");
		sq_name(sql, lo->columns[k].name);
	}
	for (size_t k = 0; k < lo->n; k++)
		buf_addf(sql, "%s?%zu", k ? ", " : ") VALUES (", k + 1);
	buf_adds(sql, ")");
	if (!lo->n_keys)
		return;
	for (size_t k = 0; k < lo->n_keys; k++) {
		buf_adds(sql, k ? ", " : " ON CONFLICT (");
		sq_name(sql, lo->columns[lo->keys[k]].name);
	}
	buf_adds(sql, ") DO UPDATE SET ");
	for (size_t k = 0; k < lo->n; k++) {
		buf_adds(sql, k ? ", " : "");
		sq_name(sql, lo->columns[k].name);
		buf_adds(sql, " = excluded.");
		sq_name(sql, lo->columns[k].name);
	}
	for (size_t k = 0; k < desc->n; k++) {
		if (desc->columns[k].fixed || in_layout(lo, desc->columns[k].name))
			continue;
		buf_adds(sql, ", ");
		sq_name(sql, desc->columns[k].name);
		buf_adds(sql, " = NULL");
	}
	/* child rows come only where their record won */
	if (lo->parent == NO_TABLE)
		buf_adds(sql, " WHERE (coalesce(old.\"_sdc_table_version\", 0), coalesce(old.\"_sdc_sequence\", -1)) < "
		      "(excluded.\"_sdc_table_version\", excluded.\"_sdc_sequence\")");
}

static sqlite3_stmt *prepare_clear(struct sqlite *s, const char *table, const struct layout *lo, struct err *e)
{
	struct buf sql = BUF_INIT;
	sqlite3_stmt *st;

	buf_adds(&sql, "DELETE FROM ");
	sq_name(&sql, table);
	for (size_t k = 0; k < lo->n_source; k++) {
		buf_adds(&sql, k ? " AND " : " WHERE ");
		sq_name(&sql, lo->columns[lo->keys[k]].name);
		buf_addf(&sql, " = ?%zu", k + 1);
	}
	st = sq_prepare(s, buf_cstr(&sql), "loading", e);
	buf_free(&sql);
	return st;
}

static int begin_table(struct sqlite *s, const struct job *j, const struct layout *lo, const struct table_desc *desc, struct sq_table *t, struct err *e)
{
	struct buf sql = BUF_INIT;
	char *table = sq_physical(j->schema, lo->table);
	int rc = 0;

	t->n = lo->n;
	if (!lo->bare) {
		put_sql(&sql, table, lo, desc);
		t->put = sq_prepare(s, buf_cstr(&sql), "loading", e);
		t->times = xcalloc(lo->n, sizeof(*t->times));
		rc = t->put ? 0 : -1;
	}
	/* a record without a key never replaces another */
	if (!rc && lo->parent != NO_TABLE && lo->n_source && j->n_keys && desc->exists) {
		t->clear = prepare_clear(s, table, lo, e);
		rc = t->clear ? 0 : -1;
	}
	buf_free(&sql);
	free(table);
	return rc;
}

int sq_rows_begin(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, struct err *e)
{
	struct sqlite *s = self;

	sq_rows_drop(s);
	s->los = los;
	s->inserted = s->updated = s->skipped = 0;
	s->tables = xcalloc(los->n, sizeof(*s->tables));
	s->n_tables = los->n;
	for (size_t k = 0; k < los->n; k++)
		if (begin_table(s, j, &los->t[k], &descs[k], &s->tables[k], e))
			return -1;
	return 0;
}

void sq_rows_drop(struct sqlite *s)
{
	for (size_t k = 0; k < s->n_tables; k++) {
		sqlite3_finalize(s->tables[k].put);
		sqlite3_finalize(s->tables[k].clear);
		free(s->tables[k].times);
	}
	free(s->tables);
	s->tables = NULL;
	s->n_tables = 0;
}

/* Does the double print back to the same decimal? */
static bool fits_double(struct str number, double *out)
{
	char text[NUMBER_TEXT], back[NUMBER_TEXT];
	unsigned precision, scale;
	char *end;

	if (number.len >= sizeof(text))
		return false;
	memcpy(text, number.ptr, number.len);
	text[number.len] = '\0';
	*out = strtod(text, &end);
	if (*end)
		return false;
	if (decimal_size(number, DOUBLE_DIGITS, &precision, &scale) == 0)
		return true;
	for (int digits = DOUBLE_DIGITS; digits <= 17; digits++) {
		snprintf(back, sizeof(back), "%.*g", digits, *out);
		/* not of infinity */
		if (back[strspn(back, "-")] <= '9' && decimal_cmp(str_c(back), number) == 0)
			return true;
	}
	return false;
}

static int bind_number(struct sqlite *s, sqlite3_stmt *st, int at, struct str number)
{
	double d;
	size_t from = s->numbers.len;

	if (fits_double(number, &d))
		return sqlite3_bind_double(st, at, d);
	if (decimal_plain(number, PLAIN_MAX, &s->numbers)) {
		buf_truncate(&s->numbers, from);
		return sqlite3_bind_text(st, at, number.ptr, (int)number.len, SQLITE_STATIC);
	}
	/* the buffer may move while the row is bound */
	return sqlite3_bind_text(st, at, s->numbers.data + from, (int)(s->numbers.len - from), SQLITE_TRANSIENT);
}

static int bind_time(struct time_text *t, sqlite3_stmt *st, int at, int64_t us)
{
	if (!t->len || t->us != us) {
		t->us = us;
		t->len = (int)timefmt_sql(us, t->text);
	}
	return sqlite3_bind_text(st, at, t->text, t->len, SQLITE_STATIC);
}

static int bind_cell(struct sqlite *s, struct time_text *time, sqlite3_stmt *st, int at, const struct cell *c)
{
	switch (c->kind) {
	case CELL_INT:
	case CELL_BOOL:
		return sqlite3_bind_int64(st, at, c->i);
	case CELL_NUMBER:
		return bind_number(s, st, at, c->s);
	case CELL_TIME:
		return bind_time(time, st, at, c->i);
	case CELL_TEXT:
	case CELL_JSON:
		return sqlite3_bind_text64(st, at, c->s.ptr ? c->s.ptr : "", c->s.len, SQLITE_STATIC, SQLITE_UTF8);
	case CELL_NULL:
		break;
	}
	return sqlite3_bind_null(st, at);
}

static int step(struct sqlite *s, sqlite3_stmt *st, int rc, struct err *e)
{
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_DONE && sqlite3_reset(st) == SQLITE_OK)
		return 0;
	sq_failed(s, "loading a row", e);
	sqlite3_reset(st);
	/* a trigger may have rolled all back: then it is not this record alone */
	if (e->code == ERR_DATA && sqlite3_get_autocommit(s->db))
		e->code = ERR_CONFIG;
	return -1;
}

static int put_row(struct sqlite *s, const struct row *row, struct err *e)
{
	struct sq_table *t = &s->tables[row->table];
	int rc = SQLITE_OK;

	buf_truncate(&s->numbers, 0);
	for (size_t k = 0; k < t->n && rc == SQLITE_OK; k++)
		rc = bind_cell(s, &t->times[k], t->put, (int)k + 1, &row->cells[k]);
	return step(s, t->put, rc, e);
}

/* The old child rows of the record whose row came in. */
static int clear_children(struct sqlite *s, const struct row *root, struct err *e)
{
	const struct layout *lo = &s->los->t[0];

	for (size_t i = 1; i < s->n_tables; i++) {
		struct sq_table *t = &s->tables[i];
		int rc = SQLITE_OK;

		if (!t->clear)
			continue;
		buf_truncate(&s->numbers, 0);
		for (size_t k = 0; k < lo->n_keys && rc == SQLITE_OK; k++)
			rc = bind_cell(s, &s->tables[0].times[lo->keys[k]], t->clear, (int)k + 1, &root->cells[lo->keys[k]]);
		if (step(s, t->clear, rc, e))
			return -1;
	}
	return 0;
}

int sq_put(void *self, const struct row *row, struct err *e)
{
	struct sqlite *s = self;

	if (row->table)
		return s->won ? put_row(s, row, e) : 0;
	/* of an upsert only a new row sets it */
	sqlite3_set_last_insert_rowid(s->db, 0);
	s->won = false;
	if (put_row(s, row, e))
		return -1;
	s->won = sqlite3_changes(s->db) > 0;
	if (!s->won)
		s->skipped++;
	else if (sqlite3_last_insert_rowid(s->db))
		s->inserted++;
	else
		s->updated++;
	return s->won ? clear_children(s, row, e) : 0;
}

int sq_rows_end(void *self, struct err *e)
{
	(void)e;
	sq_rows_drop(self);
	return 0;
}

int sq_tally(void *self, uint64_t *inserted, uint64_t *updated, uint64_t *skipped, struct err *e)
{
	const struct sqlite *s = self;

	(void)e;
	*inserted = s->inserted;
	*updated = s->updated;
	*skipped = s->skipped;
	return 0;
}
