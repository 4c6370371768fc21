/*
 * sqlite_rows.c - rows into a table: one statement for all of a load, prepared once. It replaces the whole row of a key where (version, sequence) is greater, so
 * rows can come in any order and again.
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
	buf_adds(sql, " WHERE (coalesce(old.\"_sdc_table_version\", 0), coalesce(old.\"_sdc_sequence\", -1)) < "
		      "(excluded.\"_sdc_table_version\", excluded.\"_sdc_sequence\")");
}

int sq_rows_begin(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, struct err *e)
{
	const struct layout *lo = &los->t[0];
	struct sqlite *s = self;
	struct buf sql = BUF_INIT;
	char *table = sq_table_of(j);

	put_sql(&sql, table, lo, &descs[0]);
	s->put = sq_prepare(s, buf_cstr(&sql), "loading", e);
	s->n = lo->n;
	free(s->times);
	s->times = xcalloc(lo->n, sizeof(*s->times));
	buf_free(&sql);
	free(table);
	return s->put ? 0 : -1;
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

static int bind_number(struct sqlite *s, int at, struct str number)
{
	double d;
	size_t from = s->numbers.len;

	if (fits_double(number, &d))
		return sqlite3_bind_double(s->put, at, d);
	if (decimal_plain(number, PLAIN_MAX, &s->numbers)) {
		buf_truncate(&s->numbers, from);
		return sqlite3_bind_text(s->put, at, number.ptr, (int)number.len, SQLITE_STATIC);
	}
	/* the buffer may move while the row is bound */
	return sqlite3_bind_text(s->put, at, s->numbers.data + from, (int)(s->numbers.len - from), SQLITE_TRANSIENT);
}

static int bind_time(struct sqlite *s, int at, int64_t us)
{
	struct time_text *t = &s->times[at - 1];

	if (!t->len || t->us != us) {
		t->us = us;
		t->len = (int)timefmt_sql(us, t->text);
	}
	return sqlite3_bind_text(s->put, at, t->text, t->len, SQLITE_STATIC);
}

static int bind_cell(struct sqlite *s, int at, const struct cell *c)
{
	switch (c->kind) {
	case CELL_INT:
	case CELL_BOOL:
		return sqlite3_bind_int64(s->put, at, c->i);
	case CELL_NUMBER:
		return bind_number(s, at, c->s);
	case CELL_TIME:
		return bind_time(s, at, c->i);
	case CELL_TEXT:
	case CELL_JSON:
		return sqlite3_bind_text64(s->put, at, c->s.ptr ? c->s.ptr : "", c->s.len, SQLITE_STATIC, SQLITE_UTF8);
	case CELL_NULL:
		break;
	}
	return sqlite3_bind_null(s->put, at);
}

int sq_put(void *self, const struct row *row, struct err *e)
{
	struct sqlite *s = self;
	int rc = SQLITE_OK;

	buf_truncate(&s->numbers, 0);
	for (size_t k = 0; k < s->n && rc == SQLITE_OK; k++)
		rc = bind_cell(s, (int)k + 1, &row->cells[k]);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(s->put);
	if (rc == SQLITE_DONE && sqlite3_reset(s->put) == SQLITE_OK)
		return 0;
	sq_failed(s, "loading a row", e);
	sqlite3_reset(s->put);
	/* a trigger may have rolled all back: then it is not this record alone */
	if (e->code == ERR_DATA && sqlite3_get_autocommit(s->db))
		e->code = ERR_CONFIG;
	return -1;
}

int sq_rows_end(void *self, struct err *e)
{
	struct sqlite *s = self;

	(void)e;
	sqlite3_finalize(s->put);
	s->put = NULL;
	return 0;
}
