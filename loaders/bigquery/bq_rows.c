/*
 * bq_rows.c - rows as JSON lines into a staging table, whose schema is that of the table itself, so that nothing is converted later. Integers and decimals travel as
 * text and keep their digits.
 *
 * A number's column is FLOAT64 as is documented; a number that no double prints back goes to NAME__nu (NUMERIC) beside it, which is made when the first one comes. The
 * staging table has all of these from the start, because its schema is told before the first row is read. (Where the column is NUMERIC, it is the other way round, with
 * NAME__fl.) So a value is kept whole or its record is rejected, and where it goes depends on nothing but itself.
 *
 * What can go wrong: BigQuery refuses a line all the same. It names it by its position; the load is run again, the line is recognised by that, and left out.
 */
#include "loaders/bigquery/bq_upload.h"

#include "jwrite.h"
#include "loaders/runtime/record.h"
#include "timefmt.h"
#include "xalloc.h"

#define EXACT_MAX (INT64_C(1) << 53)
#define SHOWN_MAX 200

/* --- columns --- */

static int kind_of(const json_t *f, enum out_kind *out)
{
	const char *mode = json_string_value(json_object_get(f, "mode"));

	if (bq_field_is(f, "RECORD", "STRUCT") || (mode && strcasecmp(mode, "REPEATED") == 0))
		*out = OUT_JSON;
	else if (bq_field_is(f, "INTEGER", "INT64"))
		*out = OUT_INT;
	else if (bq_field_is(f, "FLOAT", "FLOAT64"))
		*out = OUT_DOUBLE;
	else if (bq_field_is(f, "NUMERIC", "BIGNUMERIC"))
		*out = OUT_DECIMAL;
	else if (bq_field_is(f, "BOOLEAN", "BOOL"))
		*out = OUT_BOOL;
	else if (bq_field_is(f, "TIMESTAMP", NULL))
		*out = OUT_TIME;
	else if (bq_field_is(f, "STRING", NULL))
		*out = OUT_TEXT;
	else
		return -1;
	return 0;
}

static void find_fields(struct tx *tx, const struct layouts *los)
{
	for (size_t k = 0; k < los->top.n_members; k++) {
		const struct layout_field *f = los->top.members[k];

		if (f->object != NO_COLUMN)
			tx->out[f->object].field = f;
		if (f->array != NO_COLUMN) {
			tx->out[f->array].field = f;
			tx->out[f->array].array = true;
		}
	}
}

static void add_simple(json_t *fields, const char *name, const char *type)
{
	json_array_append_new(fields, json_pack("{s:s, s:s, s:s}", "name", name, "type", type, "mode", "NULLABLE"));
}

char *bq_beside(const struct column *c, const char *suffix)
{
	/* not NAME__it__nu */
	return xasprintf("%.*s__%s", (int)strlen(c->name) - (c->suffixed ? 4 : 0), c->name, suffix);
}

/* The column and its field in the staging table. */
static int add_column(struct bq *b, struct out_column *o, json_t *fields, struct err *e)
{
	json_t *f = bq_field(b->fields, o->c->name), *copy;
	const char *mode = json_string_value(json_object_get(f, "mode"));

	if (!f || kind_of(f, &o->kind))
		return err_set(e, ERR_TRANSIENT, "the column %s of %s was changed at this moment", o->c->name, b->table);
	copy = json_deep_copy(f);
	if (mode && strcasecmp(mode, "REQUIRED") == 0)
		json_object_set_new(copy, "mode", json_string("NULLABLE"));
	json_array_append_new(fields, copy);
	if ((o->kind == OUT_DOUBLE || o->kind == OUT_DECIMAL) && !o->c->key && !o->c->sdc) {
		o->other = bq_beside(o->c, o->kind == OUT_DOUBLE ? "nu" : "fl");
		add_simple(fields, o->other, o->kind == OUT_DOUBLE ? "NUMERIC" : "FLOAT");
	}
	return 0;
}

int bq_rows_begin(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, struct err *e)
{
	struct bq *b = self;
	struct tx *tx = b->tx;
	json_t *fields = json_array();
	int rc = 0;

	(void)descs;
	if (b->bad_load != j->load)
		bq_forget_bad(b);
	b->bad_load = j->load;
	tx->lo = &los->t[0];
	tx->out = xcalloc(tx->lo->n + 1, sizeof(*tx->out));
	for (size_t k = 0; k < tx->lo->n; k++)
		tx->out[k].c = &tx->lo->columns[k];
	find_fields(tx, los);
	for (size_t k = 0; k < tx->lo->n && !rc; k++)
		rc = add_column(b, &tx->out[k], fields, e);
	add_simple(fields, "_stitch_n", "INTEGER");
	if (rc) {
		json_decref(fields);
		return -1;
	}
	tx->rows = upload_new(b, tx->first ? tx->first : "none", tx->lo->table, fields, e);
	return tx->rows ? 0 : -1;
}

/* --- values --- */

static void put_name(struct buf *line, const char *name)
{
	buf_addf(line, "%s\"%s\":", line->len > 1 ? "," : "", name);
}

static int refuse(struct err *e, const char *what, const struct out_column *o, struct str v)
{
	return err_set(e, ERR_DATA, "%s for %s on [%.*s]", what, o->c->name, (int)MIN(v.len, (size_t)SHOWN_MAX), v.ptr);
}

static int put_number(struct out_column *o, const struct cell *c, struct buf *line, struct err *e)
{
	size_t before = line->len;
	struct str v = c->s;
	char text[24];

	if (c->kind == CELL_INT) {
		v = str_mem(text, (size_t)snprintf(text, sizeof(text), "%" PRId64, c->i));
		if (o->kind == OUT_DOUBLE && c->i >= -EXACT_MAX && c->i <= EXACT_MAX) {
			put_name(line, o->c->name);
			buf_addstr(line, v);
			return 0;
		}
	}
	put_name(line, o->c->name);
	if ((o->kind == OUT_DOUBLE ? record_double(v, line) : record_decimal(v, line)) == 0)
		return 0;
	buf_truncate(line, before);
	if (o->other) {
		put_name(line, o->other);
		if ((o->kind == OUT_DOUBLE ? record_decimal(v, line) : record_double(v, line)) == 0) {
			o->other_used = true;
			return 0;
		}
		buf_truncate(line, before);
	}
	return refuse(e, "decimal out of range", o, v);
}

static int put_json(struct out_column *o, const unsigned char *told, struct str value, struct buf *line, struct err *e)
{
	struct buf why = BUF_INIT;
	size_t before = line->len, from;
	int rc;

	put_name(line, o->c->name);
	from = line->len;
	rc = record_value(&bq_dialect, o->field, o->array, o->c, told, value, line, &why);
	if (rc)
		err_set(e, ERR_DATA, "%s", buf_cstr(&why));
	else if (line->len == from)
		buf_truncate(line, before);
	buf_free(&why);
	return rc;
}

static int put_cell(struct out_column *o, const unsigned char *told, const struct cell *c, struct buf *line, struct err *e)
{
	struct jwrite w;

	switch (c->kind) {
	case CELL_NULL:
		return 0;
	case CELL_INT:
	case CELL_NUMBER:
		if (o->kind == OUT_DOUBLE || o->kind == OUT_DECIMAL)
			return put_number(o, c, line, e);
		put_name(line, o->c->name);
		buf_addf(line, "\"%" PRId64 "\"", c->i);
		return 0;
	case CELL_BOOL:
		put_name(line, o->c->name);
		buf_adds(line, c->i ? "true" : "false");
		return 0;
	case CELL_TIME:
		if (!o->time[0] || o->us != c->i) {
			o->us = c->i;
			timefmt_sql(c->i, o->time);
		}
		put_name(line, o->c->name);
		buf_addf(line, "\"%s\"", o->time);
		return 0;
	case CELL_TEXT:
		put_name(line, o->c->name);
		jwrite_init(&w, line);
		jwrite_str(&w, c->s);
		return 0;
	case CELL_JSON:
		break;
	}
	return put_json(o, told, c->s, line, e);
}

/* --- lines that BigQuery refused --- */

void bq_forget_bad(struct bq *b)
{
	for (size_t k = 0; k < b->n_bad; k++)
		free(b->bad[k].reason);
	free(b->bad);
	free(b->find_reason);
	b->bad = NULL;
	b->find_reason = NULL;
	b->n_bad = 0;
	b->find_position = b->find_row = UINT64_MAX;
}

/* Ordinals come in order, in each run the same. */
static const struct bad_row *bad_row(struct bq *b, uint64_t ordinal)
{
	struct tx *tx = b->tx;

	for (size_t k = 0; k < b->n_bad; k++)
		if (b->bad[k].ordinal == ordinal)
			return &b->bad[k];
	if (!b->find_reason || (upload_position(tx->rows) != b->find_position && (b->find_position != UINT64_MAX || tx->n_rows + 1 != b->find_row)))
		return NULL;
	b->bad = xreallocarray(b->bad, b->n_bad + 1, sizeof(*b->bad));
	b->bad[b->n_bad++] = (struct bad_row){.ordinal = ordinal, .reason = b->find_reason};
	b->find_reason = NULL;
	return &b->bad[b->n_bad - 1];
}

int bq_put(void *self, const struct row *row, struct err *e)
{
	struct bq *b = self;
	struct tx *tx = b->tx;
	const struct bad_row *bad = bad_row(b, row->ordinal);

	if (bad)
		return err_set(e, ERR_DATA, "%s", bad->reason);
	buf_truncate(&tx->line, 0);
	buf_addc(&tx->line, '{');
	for (size_t k = 0; k < tx->lo->n; k++)
		if (put_cell(&tx->out[k], row->told, &row->cells[k], &tx->line, e)) {
			loader_blame(b->l, tx->out[k].c->name);
			return -1;
		}
	put_name(&tx->line, "_stitch_n");
	buf_addf(&tx->line, "\"%" PRIu64 "\"}\n", tx->n_rows++);
	b->phase = "uploading";
	return upload_line(tx->rows, buf_str(&tx->line), e);
}

int bq_rows_end(void *self, struct err *e)
{
	struct bq *b = self;
	struct tx *tx = b->tx;
	uint64_t position, row;

	if (!tx->n_rows || upload_finish(tx->rows, &position, &row, e) == 0)
		return 0;
	if (e->code != ERR_DATA)
		return -1;
	/* it was looked for in this run, in vain */
	if (b->find_reason) {
		e->code = ERR_CONFIG;
		return err_wrap(e, "BigQuery refuses a record that cannot be found");
	}
	b->find_position = position;
	b->find_row = row;
	b->find_reason = xstrdup(e->text);
	loader_again(b->l);
	return -1;
}

/* --- what the staging table holds --- */

const char bq_newer[] = "(IFNULL(t.`_sdc_table_version`, 0) < s.`_sdc_table_version` OR (IFNULL(t.`_sdc_table_version`, 0) = s.`_sdc_table_version` AND "
			"IFNULL(t.`_sdc_sequence`, -1) < s.`_sdc_sequence`))";

void bq_newest(const struct bq *b, struct buf *sql)
{
	const struct layout *lo = b->tx->lo;

	buf_adds(sql, "(SELECT * FROM ");
	bq_name(b, upload_table(b->tx->rows), sql);
	buf_adds(sql, " WHERE TRUE QUALIFY ROW_NUMBER() OVER (PARTITION BY ");
	for (size_t k = 0; k < lo->n_keys; k++)
		buf_addf(sql, "%s`%s`", k ? ", " : "", lo->columns[lo->keys[k]].name);
	buf_adds(sql, " ORDER BY `_sdc_table_version` DESC, `_sdc_sequence` DESC, `_stitch_n`) = 1) s");
}

int bq_tally(void *self, uint64_t *inserted, uint64_t *updated, uint64_t *skipped, struct err *e)
{
	struct bq *b = self;
	struct tx *tx = b->tx;
	struct buf sql = BUF_INIT;
	const char *key, *n;
	json_t *rows, *row;
	int rc = 0;

	*inserted = tx->n_rows;
	*updated = *skipped = 0;
	if (!tx->n_rows || !tx->lo->n_keys || b->append)
		return 0;
	key = tx->lo->columns[tx->lo->keys[0]].name;
	buf_addf(&sql, "SELECT COUNTIF(t.`%s` IS NULL), COUNTIF(t.`%s` IS NOT NULL AND %s) FROM ", key, key, bq_newer);
	bq_newest(b, &sql);
	buf_adds(&sql, " LEFT JOIN ");
	bq_name(b, b->table, &sql);
	for (size_t k = 0; k < tx->lo->n_keys; k++) {
		key = tx->lo->columns[tx->lo->keys[k]].name;
		buf_addf(&sql, "%s t.`%s` = s.`%s`", k ? " AND" : " t ON", key, key);
	}
	rows = bq_query(b, buf_cstr(&sql), NULL, e);
	row = json_array_get(rows, 0);
	if (!rows)
		rc = -1;
	else if (!(n = bq_cell(row, 0)) || str_to_u64(str_c(n), inserted) || !(n = bq_cell(row, 1)) || str_to_u64(str_c(n), updated))
		rc = err_set(e, ERR_TRANSIENT, "BigQuery does not say how many rows there are");
	else
		*skipped = tx->n_rows - MIN(tx->n_rows, *inserted + *updated);
	json_decref(rows);
	buf_free(&sql);
	return rc;
}
