/*
 * rs_rows.c - the rows of a load into staged files, one JSON object a line, keys in the lower case that the columns have: COPY finds columns by them and leaves out what it
 * does not find. NULL is a key that is not there. Each line begins with the record's ordinal, by which a refused line is known.
 *
 * Numbers by the rule that Stitch's users know: DOUBLE PRECISION, but DECIMAL(38,6) once a value has more digits than a double keeps. Text grows by powers of
 * two. What a column must become is noted here and done before COPY (rs_merge.c), in one go for all rows.
 */
#include "loaders/redshift/redshift.h"

#include <math.h>

#include "decimal.h"
#include "jwrite.h"
#include "loaders/sql/sql_text.h"
#include "timefmt.h"
#include "xalloc.h"

#define LINE_MAX (4u << 20) /* of one row, for COPY */
#define EXACT_INT (INT64_C(1) << 53)
#define DECIMAL_INT 32 /* digits before the point of DECIMAL(38,6) */
#define PLAIN_MAX 400
#define PINNED "more digits than DOUBLE PRECISION keeps, which cannot be changed while a view uses the column,"
#define DOUBLE_MIN 1e-307 /* Redshift's; PostgreSQL's is smaller */

void rs_rows_free(struct redshift *r)
{
	struct rs_load *l = &r->load;

	for (size_t k = 0; k < l->n_parts; k++) {
		struct rs_part *p = &l->parts[k];

		for (size_t i = 0; p->needs && i < p->lo->n; i++)
			free(p->needs[i].head);
		free(p->needs);
		free(p->table);
		rs_stage_free(&p->stage);
	}
	free(l->parts);
	free(l->schema);
	key_set_free(&l->keys);
	buf_free(&l->line);
	*l = (struct rs_load){.los = NULL};
}

int rs_rows_begin(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, struct err *e)
{
	struct redshift *r = self;
	struct rs_load *l = &r->load;

	(void)descs; /* rs_describe() has kept more of them */
	rs_rows_free(r);
	l->schema = rs_schema_name(j->schema, e);
	if (!l->schema)
		return -1;
	l->los = los;
	l->dry = j->dry_run;
	l->parts = xcalloc(los->n, sizeof(*l->parts));
	l->n_parts = los->n;
	for (size_t k = 0; k < los->n; k++) {
		struct rs_part *p = &l->parts[k];
		char *stem = rs_staged_stem(r, j, k);

		p->lo = &los->t[k];
		p->table = sql_table(l->schema, p->lo->table);
		p->needs = xcalloc(p->lo->n + 1, sizeof(*p->needs));
		rs_stage_init(&p->stage, r->s3, stem);
		free(stem);
		for (size_t i = 0; i < p->lo->n; i++) {
			struct buf head = BUF_INIT;
			struct jwrite w;

			buf_addc(&head, ',');
			jwrite_init(&w, &head);
			jwrite_string(&w, p->lo->columns[i].name);
			buf_addc(&head, ':');
			p->needs[i].head = buf_detach(&head, NULL);
			p->needs[i].is = rs_column_of(r, p->lo->table, p->lo->columns[i].name);
		}
	}
	return 0;
}

static enum rs_type type_of(const struct rs_need *n)
{
	return n->is ? n->is->type : RS_OTHER;
}

/* Is this number the shortest text of a double, or a longer one of the same value? Numbers of at most 15 digits are. */
static bool is_double(struct str number, double d)
{
	unsigned n = 0;
	char text[40];

	for (size_t k = 0; k < number.len && number.ptr[k] != 'e' && number.ptr[k] != 'E'; k++)
		n += number.ptr[k] >= '0' && number.ptr[k] <= '9';
	if (n <= 15)
		return true;
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, d);
		if (decimal_cmp(str_c(text), number) == 0)
			return true;
	}
	return false;
}

static bool fits_decimal(struct str number)
{
	unsigned precision, scale;

	return decimal_size(number, PLAIN_MAX, &precision, &scale) == 0 && precision - scale <= DECIMAL_INT;
}

static const char *put_number(const struct redshift *r, struct rs_need *n, struct str number, struct buf *b)
{
	char text[PLAIN_MAX];
	double d;

	if (type_of(n) == RS_DECIMAL) {
		if (!fits_decimal(number) || decimal_plain(number, PLAIN_MAX, b))
			return "decimal out of range";
		return NULL;
	}
	if (number.len < sizeof(text)) {
		memcpy(text, number.ptr, number.len);
		text[number.len] = '\0';
		d = strtod(text, NULL);
	} else {
		char *copy = str_dup(number);

		d = strtod(copy, NULL);
		free(copy);
	}
	if (fabs(d) < DOUBLE_MIN) {
		buf_addc(b, '0');
		return NULL;
	}
	if (r->numbers == NUMBERS_AUTO && type_of(n) == RS_DOUBLE && !is_double(number, d) && fits_decimal(number)) {
		if (n->is->pinned)
			return PINNED;
		n->decimal = true;
		buf_addc(b, '0');
		return NULL;
	}
	if (isinf(d))
		return "number out of range";
	buf_addstr(b, number);
	return NULL;
}

static const char *put_int(const struct redshift *r, struct rs_need *n, int64_t v, struct buf *b)
{
	bool large = type_of(n) == RS_DOUBLE && r->numbers == NUMBERS_AUTO && (v > EXACT_INT || v < -EXACT_INT);

	if (large && n->is->pinned)
		return PINNED;
	n->decimal |= large;
	buf_addf(b, "%" PRId64, v);
	return NULL;
}

static void put_text(struct rs_need *n, struct str s, struct buf *b)
{
	size_t len = MIN(s.len, RS_VARCHAR_MAX);
	struct jwrite w;

	while (len && len < s.len && ((unsigned char)s.ptr[len] & 0xC0) == 0x80)
		len--;
	n->width = MAX(n->width, (unsigned)len);
	jwrite_init(&w, b);
	jwrite_str(&w, str_mem(s.ptr, len));
}

/* NULL, or why the value is refused. */
static const char *put_cell(const struct redshift *r, const struct column *c, struct rs_need *n, const struct cell *cell, struct buf *b)
{
	char text[TIMEFMT_MAX];

	if (cell->kind == CELL_NULL)
		return NULL;
	buf_adds(b, n->head);
	switch (cell->kind) {
	case CELL_NULL:
		break;
	case CELL_INT:
		return put_int(r, n, cell->i, b);
	case CELL_NUMBER:
		return put_number(r, n, cell->s, b);
	case CELL_BOOL:
		buf_adds(b, cell->i ? "true" : "false");
		break;
	case CELL_TIME:
		timefmt_sql(cell->i, text);
		buf_addf(b, "\"%s\"", text);
		break;
	case CELL_TEXT:
	case CELL_JSON:
		if (c->key && cell->s.len > RS_VARCHAR_MAX)
			return "a key longer than 65535 bytes";
		put_text(n, cell->s, b);
		break;
	}
	return NULL;
}

/* Equal keys have equal hashes: blanks at the end do not count in the server, and a decimal has many spellings. */
static void add_key(struct rs_load *l, const struct row *row)
{
	const struct layout *lo = &l->los->t[0];
	uint64_t hash = 0;

	for (size_t k = 0; k < lo->n_keys; k++) {
		const struct cell *c = &row->cells[lo->keys[k]];
		size_t n = c->s.len;

		if (c->kind == CELL_NUMBER) {
			key_set_free(&l->keys);
			l->keys.repeated = true;
			return;
		}
		while (c->kind == CELL_TEXT && n && c->s.ptr[n - 1] == ' ')
			n--;
		hash = c->kind == CELL_TEXT ? key_hash(hash, c->s.ptr, n) : key_hash(hash, &c->i, sizeof(c->i));
	}
	key_set_add(&l->keys, hash);
}

int rs_put(void *self, const struct row *row, struct err *e)
{
	struct redshift *r = self;
	struct rs_load *l = &r->load;
	struct rs_part *p = &l->parts[row->table];
	const struct layout *lo = p->lo;

	buf_truncate(&l->line, 0);
	buf_addf(&l->line, "{\"" RS_ORDINAL "\":%" PRIu64, row->ordinal);
	for (size_t k = 0; k < lo->n; k++) {
		const char *reason = put_cell(r, &lo->columns[k], &p->needs[k], &row->cells[k], &l->line);

		if (reason)
			return err_set(e, ERR_DATA, "%s for %s", reason, lo->columns[k].name);
	}
	buf_adds(&l->line, "}\n");
	if (l->line.len > LINE_MAX)
		return err_set(e, ERR_DATA, "the row is larger than the 4 MB that COPY takes");
	if (row->table == 0 && lo->n_keys)
		add_key(l, row);
	return rs_stage_line(&p->stage, buf_str(&l->line), e) ? rs_s3_failed(r, e) : 0;
}
