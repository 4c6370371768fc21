/*
 * sf_rows.c - a row becomes one line of JSON in the staged file, {"o":ORDINAL,"c0":...}: its columns by number, NULLs left out. What Snowflake would refuse is refused
 * here, record by record, because a statement that fails takes all rows with it: digits of numbers, the size of a key.
 *
 * Numbers that are no int64 travel as text, so that nobody makes a double of them on the way; times as ISO 8601 with their zone; objects and arrays as the sender wrote them.
 *
 * The statement that moves the rows is made at the end: MERGE with the newest row of each key, or INSERT for a table without a key.
 */
#include "loaders/snowflake/snowflake.h"

#include <math.h>

#include "decimal.h"
#include "jwrite.h"
#include "timefmt.h"
#include "xalloc.h"

#define STATEMENT_MAX 1000000 /* bytes */
#define PLAIN_MAX 400

static const struct sf_real *real_of(const struct snow *s, const struct column *c)
{
	for (size_t k = 0; k < s->n_real; k++)
		if (str_ieq(str_c(s->real[k].name), str_c(c->name)))
			return &s->real[k];
	return NULL;
}

int sf_rows_begin(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, struct err *e)
{
	struct snow *s = self;
	const struct layout *lo = &los->t[0];

	(void)j;
	(void)e;
	s->phase = "loading";
	s->lo = lo;
	s->desc = descs;
	/* by column, so that no row has to look for them */
	s->columns = xreallocarray(s->columns, lo->n + 1, sizeof(*s->columns));
	for (size_t k = 0; k < lo->n; k++)
		s->columns[k] = real_of(s, &lo->columns[k]);
	return 0;
}

/* --- values --- */

static int refuse(const struct snow *s, const struct column *c, struct str value, const char *what, struct err *e)
{
	loader_blame(s->loader, c->name);
	return err_set(e, ERR_DATA, "%s for %s on [%.*s]", what, c->name, (int)MIN(value.len, (size_t)200), value.ptr);
}

/* Is the number what its double prints as again? */
static bool survives(struct str number, bool *finite)
{
	char text[PLAIN_MAX], back[40];
	double d;

	*finite = true;
	if (number.len >= sizeof(text))
		return false;
	memcpy(text, number.ptr, number.len);
	text[number.len] = '\0';
	d = strtod(text, NULL);
	*finite = isfinite(d);
	if (!*finite)
		return false;
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(back, sizeof(back), "%.*g", digits, d);
		if (decimal_cmp(number, str_c(back)) == 0)
			return true;
	}
	return false;
}

static bool is_float(const struct snow *s, const struct column *c, const struct sf_real *real)
{
	return real ? real->is_float : strcmp(sf_type(s, c), "FLOAT") == 0;
}

static int check_number(const struct snow *s, const struct column *c, const struct sf_real *real, struct str number, struct err *e)
{
	unsigned precision, scale, whole = real && !real->is_float ? real->precision - real->scale : 38;
	bool finite;

	if (is_float(s, c, real)) {
		if (survives(number, &finite))
			return 0;
		if (!finite)
			return refuse(s, c, number, "number out of range", e);
		return s->numbers == NUMBERS_ROUNDED ? 0 : refuse(s, c, number, "more digits than FLOAT keeps (see the setting numbers)", e);
	}
	if (decimal_size(number, 76, &precision, &scale) || precision - scale > whole || scale > (real ? real->scale : 0))
		return refuse(s, c, number, c->type == COL_INTEGER ? "integer out of range" : "decimal out of range", e);
	return 0;
}

static int add_cell(struct snow *s, struct jwrite *w, size_t k, const struct cell *cell, struct err *e)
{
	const struct column *c = &s->lo->columns[k];
	const struct sf_real *real = s->columns[k];
	char name[24], text[TIMEFMT_MAX];
	size_t n;

	snprintf(name, sizeof(name), "c%zu", k);
	switch (cell->kind) {
	case CELL_NULL:
		break;
	case CELL_INT:
		if (is_float(s, c, real) || (real && real->precision - real->scale < 19)) {
			n = (size_t)snprintf(text, sizeof(text), "%" PRId64, cell->i);
			if (check_number(s, c, real, str_mem(text, n), e))
				return -1;
		}
		jwrite_kv_i64(w, name, cell->i);
		break;
	case CELL_NUMBER:
		if (check_number(s, c, real, cell->s, e))
			return -1;
		/* a NUMBER is given no exponent; it has few enough digits now */
		buf_truncate(&s->plain, 0);
		if (is_float(s, c, real) || decimal_plain(cell->s, PLAIN_MAX, &s->plain))
			jwrite_kv_str(w, name, cell->s);
		else
			jwrite_kv_str(w, name, buf_str(&s->plain));
		break;
	case CELL_BOOL:
		jwrite_kv_bool(w, name, cell->i != 0);
		break;
	case CELL_TIME:
		n = timefmt_sql(cell->i, text); /* ns would end in 2262 */
		text[10] = 'T';
		n += (size_t)snprintf(text + n, sizeof(text) - n, "+00:00");
		jwrite_kv_str(w, name, str_mem(text, n));
		break;
	case CELL_TEXT:
		jwrite_kv_str(w, name, cell->s.ptr ? cell->s : STR(""));
		break;
	case CELL_JSON:
		jwrite_key(w, name);
		jwrite_raw(w, cell->s);
		break;
	}
	return 0;
}

int sf_put(void *self, const struct row *row, struct err *e)
{
	struct snow *s = self;
	struct jwrite w;

	buf_truncate(&s->stage.line, 0);
	jwrite_init(&w, &s->stage.line);
	jwrite_object(&w);
	jwrite_key(&w, "o");
	jwrite_u64(&w, row->ordinal);
	for (size_t k = 0; k < s->lo->n; k++)
		if (add_cell(s, &w, k, &row->cells[k], e))
			return -1;
	jwrite_object_end(&w);
	s->load.rows++;
	return sf_stage_line(s, row->ordinal, e);
}

/* --- the statement --- */

/* The column's value out of the staged line. */
static void value_sql(struct buf *sql, const struct snow *s, size_t k)
{
	const struct column *c = &s->lo->columns[k];
	const struct sf_real *real = s->columns[k];

	buf_addf(sql, "\"V\":c%zu", k);
	if (c->type == COL_JSON)
		return;
	if (real && real->precision && (c->type == COL_INTEGER || c->type == COL_NUMBER) && !real->is_float)
		buf_addf(sql, "::NUMBER(%u,%u)", real->precision, real->scale);
	else if (real && real->is_float)
		buf_adds(sql, "::FLOAT");
	else
		buf_addf(sql, "::%s", c->type == COL_STRING ? "VARCHAR" : sf_type(s, c));
}

static void names(struct buf *sql, const struct layout *lo)
{
	for (size_t k = 0; k < lo->n; k++) {
		buf_adds(sql, k ? ", " : "");
		sf_ident(sql, lo->columns[k].name, true);
	}
}

static void insert_sql(struct snow *s, const char *table, struct buf *sql)
{
	buf_addf(sql, "INSERT INTO %s (", table);
	names(sql, s->lo);
	buf_adds(sql, ") SELECT ");
	for (size_t k = 0; k < s->lo->n; k++) {
		buf_adds(sql, k ? ", " : "");
		value_sql(sql, s, k);
	}
	buf_addf(sql, " FROM %s WHERE \"V\":o IS NOT NULL", s->stage.table);
}

static bool in_layout(const struct layout *lo, const char *name)
{
	for (size_t k = 0; k < lo->n; k++)
		if (str_ieq(str_c(lo->columns[k].name), str_c(name)))
			return true;
	return false;
}

static void target(struct buf *sql, const struct layout *lo, size_t k)
{
	buf_adds(sql, "t.");
	sf_ident(sql, lo->columns[k].name, true);
}

/* (version, sequence) of the new row is greater. Old rows that have none lose. */
static void newer_sql(struct buf *sql, const struct layout *lo)
{
	buf_adds(sql, "(coalesce(");
	target(sql, lo, lo->version);
	buf_addf(sql, ", -1) < s.\"S%zu\" OR coalesce(", lo->version);
	target(sql, lo, lo->version);
	buf_addf(sql, ", -1) = s.\"S%zu\" AND coalesce(", lo->version);
	target(sql, lo, lo->sequence);
	buf_addf(sql, ", -9223372036854775808) < s.\"S%zu\")", lo->sequence);
}

static void merge_sql(struct snow *s, const char *table, struct buf *sql)
{
	const struct layout *lo = s->lo;
	bool first = true;

	buf_addf(sql, "MERGE INTO %s t USING (SELECT ", table);
	for (size_t k = 0; k < lo->n; k++) {
		buf_adds(sql, k ? ", " : "");
		value_sql(sql, s, k);
		buf_addf(sql, " AS \"S%zu\"", k);
	}
	buf_addf(sql, " FROM %s WHERE \"V\":o IS NOT NULL QUALIFY row_number() OVER (PARTITION BY ", s->stage.table);
	for (size_t k = 0; k < lo->n_keys; k++) {
		buf_adds(sql, k ? ", " : "");
		value_sql(sql, s, lo->keys[k]);
	}
	buf_adds(sql, " ORDER BY ");
	value_sql(sql, s, lo->version);
	buf_adds(sql, " DESC, ");
	value_sql(sql, s, lo->sequence);
	buf_adds(sql, " DESC, \"V\":o::NUMBER(38,0)) = 1) s ON ");
	for (size_t k = 0; k < lo->n_keys; k++) {
		buf_adds(sql, k ? " AND " : "");
		target(sql, lo, lo->keys[k]);
		buf_addf(sql, " = s.\"S%zu\"", lo->keys[k]);
	}
	buf_adds(sql, " WHEN MATCHED AND ");
	newer_sql(sql, lo);
	buf_adds(sql, " THEN UPDATE SET ");
	for (size_t k = 0; k < lo->n; k++) {
		if (lo->columns[k].key)
			continue;
		buf_adds(sql, first ? "" : ", ");
		first = false;
		sf_ident(sql, lo->columns[k].name, true);
		buf_addf(sql, " = s.\"S%zu\"", k);
	}
	/* a record replaces the whole row */
	for (size_t k = 0; k < s->desc->n; k++) {
		if (s->desc->columns[k].fixed || in_layout(lo, s->desc->columns[k].name))
			continue;
		buf_adds(sql, ", ");
		sf_ident(sql, s->desc->columns[k].name, false);
		buf_adds(sql, " = NULL");
	}
	buf_adds(sql, " WHEN NOT MATCHED THEN INSERT (");
	names(sql, lo);
	buf_adds(sql, ") VALUES (");
	for (size_t k = 0; k < lo->n; k++)
		buf_addf(sql, "%ss.\"S%zu\"", k ? ", " : "", k);
	buf_addc(sql, ')');
}

int sf_rows_end(void *self, struct err *e)
{
	struct snow *s = self;
	struct buf sql = BUF_INIT, table = BUF_INIT;
	int rc = 0;

	if (!s->load.rows)
		return 0;
	if (sf_stage_load(s, e))
		return -1;
	sf_table(s, &table, s->load.job->schema, s->lo->table);
	if (s->lo->n_keys)
		merge_sql(s, buf_cstr(&table), &sql);
	else
		insert_sql(s, buf_cstr(&table), &sql);
	if (sql.len > STATEMENT_MAX)
		rc = err_set(e, ERR_CONFIG, "the table %s has so many columns (%zu) that a statement with all of them is longer than Snowflake takes; send fewer fields", s->lo->table,
			s->lo->n);
	else
		sf_add(s, &sql);
	buf_free(&sql);
	buf_free(&table);
	return rc;
}
