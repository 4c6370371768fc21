/*
 * sf_rows.c - a row becomes one line of JSON in the staged file, {"o":ORDINAL,"c0":...}: its columns by number, NULLs left out. What Snowflake would refuse is refused
 * here, record by record, because a statement that fails takes all rows with it: digits of numbers, the size of a key.
 *
 * Numbers that are no int64 travel as text, so that nobody makes a double of them on the way; times as ISO 8601 with their zone; objects and arrays as the sender
 * wrote them. A number that its FLOAT would change goes to a decimal column beside it, NAME__DE, made when the first one comes (in a decimal column it is the other
 * way round, NAME__FL): where a value goes depends on nothing but itself.
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
#define DOUBLE_WHOLE (INT64_C(1) << 53) /* whole numbers up to this one are doubles */

/* --- columns --- */

static const struct sf_real *real_of(const struct snow *s, const char *name)
{
	for (size_t k = 0; k < s->n_real; k++)
		if (str_ieq(str_c(s->real[k].name), str_c(name)))
			return &s->real[k];
	return NULL;
}

static bool is_float(const struct snow *s, const struct column *c, const struct sf_real *real)
{
	return real ? real->is_float : strcmp(sf_type(s, c), "FLOAT") == 0;
}

static void find_other(struct snow *s, const struct column *c, struct sf_out *o)
{
	bool floats = is_float(s, c, o->real);

	/* a key has one column, and whole numbers need no other */
	if (c->type != COL_NUMBER || c->key || s->numbers == NUMBERS_ROUNDED || (!floats && o->real && !o->real->scale))
		return;
	o->other = sf_beside(c->name, floats ? "de" : "fl");
	o->other_type = floats ? "NUMBER(38,6)" : "FLOAT";
}

void sf_rows_free(struct snow *s)
{
	for (size_t k = 0; s->out && k < s->lo->n; k++)
		free(s->out[k].other);
	free(s->out);
	s->out = NULL;
	s->lo = NULL;
	s->desc = NULL;
}

int sf_rows_begin(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, struct err *e)
{
	struct snow *s = self;
	const struct layout *lo = &los->t[0];

	(void)j;
	(void)e;
	sf_rows_free(s);
	s->phase = "loading";
	s->lo = lo;
	s->desc = descs;
	s->out = xcalloc(lo->n + 1, sizeof(*s->out));
	for (size_t k = 0; k < lo->n; k++) {
		s->out[k].real = real_of(s, lo->columns[k].name);
		find_other(s, &lo->columns[k], &s->out[k]);
	}
	return 0;
}

/* --- values --- */

static int refuse(const struct snow *s, const struct column *c, struct str value, const char *what, struct err *e)
{
	loader_blame(s->loader, c->name);
	return err_set(e, ERR_DATA, "%s for %s on [%.*s]", what, c->name, (int)MIN(value.len, (size_t)200), value.ptr);
}

/* Is the number what its double prints as again? *d is the nearest. */
static bool survives(struct str number, double *d)
{
	char text[PLAIN_MAX], back[40];

	*d = INFINITY;
	if (number.len >= sizeof(text))
		return false;
	memcpy(text, number.ptr, number.len);
	text[number.len] = '\0';
	*d = strtod(text, NULL);
	if (!isfinite(*d))
		return false;
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(back, sizeof(back), "%.*g", digits, *d);
		if (decimal_cmp(number, str_c(back)) == 0)
			return true;
	}
	return false;
}

static bool fits_decimal(struct str number, unsigned digits, unsigned scale_max)
{
	unsigned precision, scale;

	return decimal_size(number, 76, &precision, &scale) == 0 && precision - scale <= digits && scale <= scale_max;
}

/* A number as text; a decimal is given no exponent. */
static void add_number(struct snow *s, struct jwrite *w, const char *name, struct str number, bool floats)
{
	buf_truncate(&s->plain, 0);
	jwrite_kv_str(w, name, floats || decimal_plain(number, PLAIN_MAX, &s->plain) ? number : buf_str(&s->plain));
}

/* Into its column, the one beside it, or nowhere. small: a whole number that every double holds. */
static int put_number(struct snow *s, struct jwrite *w, size_t k, struct str number, bool whole, bool small, struct err *e)
{
	const struct column *c = &s->lo->columns[k];
	struct sf_out *o = &s->out[k];
	bool floats = is_float(s, c, o->real), here, there;
	unsigned scale = o->real ? o->real->scale : c->seen & (1u << SEEN_NUMBER) ? 6 : 0, precision = o->real ? o->real->precision : 38;
	char name[24];
	double d = 0;

	if (floats)
		here = small || (!whole && survives(number, &d)) || (s->numbers == NUMBERS_ROUNDED && (whole || isfinite(d)));
	else
		here = fits_decimal(number, precision - scale, scale);
	there = !here && o->other && (floats ? fits_decimal(number, 32, 6) : survives(number, &d));
	if (!here && !there)
		return refuse(s, c, number, c->type == COL_INTEGER || !(c->seen & (1u << SEEN_NUMBER)) ? "integer out of range" : "decimal out of range", e);
	o->other_used |= there;
	snprintf(name, sizeof(name), "%c%zu", here ? 'c' : 'd', k);
	add_number(s, w, name, number, here ? floats : !floats);
	return 0;
}

static int put_int(struct snow *s, struct jwrite *w, size_t k, const char *name, int64_t i, struct err *e)
{
	const struct sf_out *o = &s->out[k];
	bool small = i >= -DOUBLE_WHOLE && i <= DOUBLE_WHOLE;
	char text[24];

	if (is_float(s, &s->lo->columns[k], o->real) ? small : !o->real || o->real->precision - o->real->scale >= 19) {
		jwrite_kv_i64(w, name, i);
		return 0;
	}
	return put_number(s, w, k, str_mem(text, (size_t)snprintf(text, sizeof(text), "%" PRId64, i)), true, small, e);
}

/* A column of text may have been made shorter, or by hand. */
static bool fits_text(const struct sf_real *real, struct str text)
{
	size_t n = 0;

	if (!real || !real->precision || text.len <= real->precision)
		return true;
	for (size_t k = 0; k < text.len; k++)
		n += ((unsigned char)text.ptr[k] & 0xC0) != 0x80;
	return n <= real->precision;
}

static int add_cell(struct snow *s, struct jwrite *w, size_t k, const struct cell *cell, struct err *e)
{
	char name[24], text[TIMEFMT_MAX];
	size_t n;

	snprintf(name, sizeof(name), "c%zu", k);
	switch (cell->kind) {
	case CELL_NULL:
		break;
	case CELL_INT:
		return put_int(s, w, k, name, cell->i, e);
	case CELL_NUMBER:
		return put_number(s, w, k, cell->s, false, false, e);
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
		if (!fits_text(s->out[k].real, cell->s))
			return refuse(s, &s->lo->columns[k], cell->s, "text too long", e);
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

/* Columns of the statement: those of the layout, then those beside them that got a number. */
static const struct sf_out *other_of(const struct snow *s, size_t k)
{
	return s->out[k].other_used ? &s->out[k] : NULL;
}

/* The column's value out of the staged line. */
static void value_sql(struct buf *sql, const struct snow *s, size_t k)
{
	const struct column *c = &s->lo->columns[k];
	const struct sf_real *real = s->out[k].real;

	buf_addf(sql, "\"V\":c%zu", k);
	if (c->type == COL_JSON)
		return;
	if (real && real->is_float)
		buf_adds(sql, "::FLOAT");
	else if (real && real->precision && (c->type == COL_INTEGER || c->type == COL_NUMBER))
		buf_addf(sql, "::NUMBER(%u,%u)", real->precision, real->scale);
	else
		buf_addf(sql, "::%s", c->type == COL_STRING ? "VARCHAR" : sf_type(s, c));
}

static void names(struct buf *sql, const struct snow *s)
{
	for (size_t k = 0; k < s->lo->n; k++) {
		buf_adds(sql, k ? ", " : "");
		sf_ident(sql, s->lo->columns[k].name, true);
	}
	for (size_t k = 0; k < s->lo->n; k++)
		if (other_of(s, k)) {
			buf_adds(sql, ", ");
			sf_ident(sql, other_of(s, k)->other, true);
		}
}

/* What is selected; with_names: each as "Sk", and "Dk" beside it. */
static void values(struct buf *sql, const struct snow *s, bool with_names)
{
	for (size_t k = 0; k < s->lo->n; k++) {
		buf_adds(sql, k ? ", " : "");
		value_sql(sql, s, k);
		if (with_names)
			buf_addf(sql, " AS \"S%zu\"", k);
	}
	for (size_t k = 0; k < s->lo->n; k++)
		if (other_of(s, k)) {
			buf_addf(sql, ", \"V\":d%zu::%s", k, other_of(s, k)->other_type);
			if (with_names)
				buf_addf(sql, " AS \"D%zu\"", k);
		}
}

static void insert_sql(struct snow *s, const char *table, struct buf *sql)
{
	buf_addf(sql, "INSERT INTO %s (", table);
	names(sql, s);
	buf_adds(sql, ") SELECT ");
	values(sql, s, false);
	buf_addf(sql, " FROM %s WHERE \"V\":o IS NOT NULL", s->stage.table);
}

/* Does the statement give this column a value? */
static bool is_filled(const struct snow *s, const char *name)
{
	for (size_t k = 0; k < s->lo->n; k++)
		if (str_ieq(str_c(s->lo->columns[k].name), str_c(name)) || (other_of(s, k) && str_ieq(str_c(other_of(s, k)->other), str_c(name))))
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

/* The newest row of each key; the first of those that are equally new. */
static void newest_sql(struct buf *sql, const struct snow *s)
{
	const struct layout *lo = s->lo;

	buf_adds(sql, "SELECT ");
	values(sql, s, true);
	buf_addf(sql, " FROM %s WHERE \"V\":o IS NOT NULL QUALIFY row_number() OVER (PARTITION BY ", s->stage.table);
	for (size_t k = 0; k < lo->n_keys; k++) {
		buf_adds(sql, k ? ", " : "");
		value_sql(sql, s, lo->keys[k]);
	}
	buf_adds(sql, " ORDER BY ");
	value_sql(sql, s, lo->version);
	buf_adds(sql, " DESC, ");
	value_sql(sql, s, lo->sequence);
	buf_adds(sql, " DESC, \"V\":o::NUMBER(38,0)) = 1");
}

static void update_sql(struct buf *sql, const struct snow *s)
{
	const struct layout *lo = s->lo;
	bool first = true;

	for (size_t k = 0; k < lo->n; k++) {
		if (lo->columns[k].key)
			continue;
		buf_adds(sql, first ? "" : ", ");
		first = false;
		sf_ident(sql, lo->columns[k].name, true);
		buf_addf(sql, " = s.\"S%zu\"", k);
	}
	for (size_t k = 0; k < lo->n; k++)
		if (other_of(s, k)) {
			buf_adds(sql, ", ");
			sf_ident(sql, other_of(s, k)->other, true);
			buf_addf(sql, " = s.\"D%zu\"", k);
		}
	/* a record replaces the whole row */
	for (size_t k = 0; k < s->desc->n; k++) {
		if (s->desc->columns[k].fixed || is_filled(s, s->desc->columns[k].name))
			continue;
		buf_adds(sql, ", ");
		sf_ident(sql, s->desc->columns[k].name, false);
		buf_adds(sql, " = NULL");
	}
}

static void merge_sql(struct snow *s, const char *table, struct buf *sql)
{
	const struct layout *lo = s->lo;

	buf_addf(sql, "MERGE INTO %s t USING (", table);
	newest_sql(sql, s);
	buf_adds(sql, ") s ON ");
	for (size_t k = 0; k < lo->n_keys; k++) {
		buf_adds(sql, k ? " AND " : "");
		target(sql, lo, lo->keys[k]);
		buf_addf(sql, " = s.\"S%zu\"", lo->keys[k]);
	}
	buf_adds(sql, " WHEN MATCHED AND ");
	newer_sql(sql, lo);
	buf_adds(sql, " THEN UPDATE SET ");
	update_sql(sql, s);
	buf_adds(sql, " WHEN NOT MATCHED THEN INSERT (");
	names(sql, s);
	buf_adds(sql, ") VALUES (");
	for (size_t k = 0; k < lo->n; k++)
		buf_addf(sql, "%ss.\"S%zu\"", k ? ", " : "", k);
	for (size_t k = 0; k < lo->n; k++)
		if (other_of(s, k))
			buf_addf(sql, ", s.\"D%zu\"", k);
	buf_addc(sql, ')');
}

/* DDL is still possible: the transaction begins with the request that commits it. */
static int add_others(struct snow *s, const char *table, struct err *e)
{
	int rc = 0;

	for (size_t k = 0; k < s->lo->n && !rc; k++) {
		const struct sf_out *o = other_of(s, k);
		struct buf sql = BUF_INIT;

		if (!o || real_of(s, o->other))
			continue;
		buf_addf(&sql, "ALTER TABLE %s ADD COLUMN IF NOT EXISTS ", table);
		sf_ident(&sql, o->other, true);
		buf_addf(&sql, " %s", o->other_type);
		rc = sf_run(s, buf_cstr(&sql), 1, NULL, e);
		buf_free(&sql);
	}
	return rc;
}

int sf_rows_end(void *self, struct err *e)
{
	struct snow *s = self;
	struct buf sql = BUF_INIT, table = BUF_INIT;
	int rc;

	if (!s->load.rows)
		return 0;
	if (sf_stage_load(s, e))
		return -1;
	sf_table(s, &table, s->load.job->schema, s->lo->table);
	rc = add_others(s, buf_cstr(&table), e);
	if (s->lo->n_keys)
		merge_sql(s, buf_cstr(&table), &sql);
	else
		insert_sql(s, buf_cstr(&table), &sql);
	if (!rc && sql.len > STATEMENT_MAX)
		rc = err_set(e, ERR_CONFIG, "the table %s has so many columns (%zu) that a statement with all of them is longer than Snowflake takes; send fewer fields", s->lo->table,
			s->lo->n);
	if (!rc)
		sf_add(s, &sql);
	buf_free(&sql);
	buf_free(&table);
	return rc;
}
