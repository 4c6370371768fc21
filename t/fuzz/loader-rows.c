/*
 * loader-rows.c - fuzz target: any bytes as the data of a record, under a layout with a column of each type. A row's cells must fit their columns, and texts must
 * lie in the record or in the row's own buffer; whatever is not JSON must be refused as damage, and a reason must always say something. Under the last layout
 * objects and arrays have nested columns: what becomes of them must be JSON again.
 */
#include "jscan.h"
#include "loaders/runtime/record.h"
#include "loaders/runtime/rows.h"
#include "xalloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT(s) ((char[]){s})

static const char *const reserved[] = {"st", NULL};
static const struct dialect dialects[5] = {
	{.suffix = {"it", "de", "bo", "ti", "st"}, .reserved = reserved, .nul_ok = true},
	{.suffix = {"bi", "do", "bo", "ti", "st"}, .reserved = reserved, .int_digits = 20, .frac_digits = 5, .strip_special = true, .case_matters = true},
	{.suffix = {"it", "fl", "bo", "ti", "st", "re"}, .suffix_array = "ar", .reserved = reserved, .nesting = NEST_RECORD, .columns_max = 100},
	{.suffix = {"it", "de", "bo", "ti", "st"}, .reserved = reserved, .nul_ok = true, .nesting = NEST_FLATTEN},
	{.suffix = {"it", "de", "bo", "ti", "st", "va"}, .reserved = reserved, .nesting = NEST_KEEP, .rename_first = true},
};
static struct job_field fields[] = {
	{TEXT("k"), {SEEN_INTEGER}, 1},
	{TEXT("n"), {SEEN_INTEGER, SEEN_NUMBER, SEEN_STRING}, 3},
	{TEXT("s"), {SEEN_STRING, SEEN_BOOLEAN}, 2},
	{TEXT("t"), {SEEN_TIMESTAMP}, 1},
	{TEXT("o"), {SEEN_OBJECT, SEEN_ARRAY}, 2},
	{TEXT("K"), {SEEN_STRING}, 1},
};
static struct job_field nested[] = {
	{TEXT("k"), {SEEN_INTEGER}, 1},
	{TEXT("o"), {SEEN_OBJECT, SEEN_ARRAY}, 2},
	{TEXT("o\1n"), {SEEN_INTEGER, SEEN_NUMBER, SEEN_STRING}, 3},
	{TEXT("o\1s"), {SEEN_STRING, SEEN_OBJECT}, 2},
	{TEXT("o\1s\1t"), {SEEN_TIMESTAMP}, 1},
	{TEXT("o\1a"), {SEEN_ARRAY}, 1},
	{TEXT("o\1a\2"), {SEEN_ARRAY, SEEN_BIGNUM}, 2},
	{TEXT("o\1a\2\2"), {SEEN_BOOLEAN}, 1},
	{TEXT("o\2"), {SEEN_OBJECT}, 1},
	{TEXT("o\2\1x"), {SEEN_BIGNUM}, 1},
	{TEXT("n"), {SEEN_ARRAY}, 1},
	{TEXT("n\2"), {SEEN_STRING}, 1},
	{TEXT("l"), {SEEN_ARRAY}, 1},
	{TEXT("l\2"), {SEEN_OBJECT, SEEN_NUMBER, SEEN_ARRAY}, 3},
	{TEXT("l\2\1x"), {SEEN_BOOLEAN, SEEN_STRING}, 2},
	{TEXT("l\2\1e\1"), {SEEN_STRING}, 0},
	{TEXT("l\2\1l"), {SEEN_ARRAY}, 1},
	{TEXT("l\2\1l\2"), {SEEN_INTEGER}, 1},
	{TEXT("l\2\2"), {SEEN_ARRAY, SEEN_STRING}, 2},
	{TEXT("l\2\2\2"), {SEEN_INTEGER}, 1},
};

static void check_cell(const struct column *c, const struct cell *v)
{
	int64_t i;

	switch (v->kind) {
	case CELL_NULL:
		assert(!c->key);
		break;
	case CELL_INT:
		assert(c->type == COL_INTEGER || c->type == COL_NUMBER);
		break;
	case CELL_NUMBER:
		assert(c->type == COL_NUMBER && jscan_valid(v->s.ptr, v->s.len, 0, NULL, NULL) && str_to_i64(v->s, &i) != 0);
		break;
	case CELL_BOOL:
		assert(c->type == COL_BOOLEAN && (v->i == 0 || v->i == 1));
		break;
	case CELL_TIME:
		assert(c->type == COL_TIME);
		break;
	case CELL_JSON:
		assert(c->type == COL_JSON && jscan_valid(v->s.ptr, v->s.len, 0, NULL, NULL));
		break;
	case CELL_TEXT:
		assert(c->type == COL_STRING);
		/* a sanitizer sees a slice that lies elsewhere */
		for (size_t k = 0; k < v->s.len; k++)
			assert(v->s.ptr[k] != '\xff');
		break;
	}
}

static void check_nested(const struct dialect *d, const struct layouts *los, const struct row *row)
{
	for (size_t k = 0; k < 2 * los->top.n_members; k++) {
		const struct layout_field *f = los->top.members[k / 2];
		size_t at = k & 1 ? f->array : f->object;
		struct buf out = BUF_INIT, why = BUF_INIT;

		if (at == NO_COLUMN || row->cells[at].kind != CELL_JSON)
			continue;
		if (record_value(d, f, k & 1, &los->t[0].columns[at], row->told, row->cells[at].s, &out, &why))
			assert(why.len && !out.len);
		else
			assert(!out.len || jscan_valid(out.data, out.len, 0, NULL, NULL));
		buf_free(&out);
		buf_free(&why);
	}
}

struct seen { const struct layouts *los; size_t rows; };

static int child(void *arg, const struct row *row, struct err *e)
{
	struct seen *seen = arg;
	const struct layout *lo = &seen->los->t[row->table];

	(void)e;
	assert(row->table && row->table < seen->los->n && row->ordinal == 3);
	for (size_t c = 0; c < lo->n; c++)
		check_cell(&lo->columns[c], &row->cells[c]);
	for (unsigned k = 0; k < lo->level; k++)
		assert(row->cells[lo->n_source + k].i >= 0);
	seen->rows++;
	return 0;
}

/* They can be walked again and are the same. */
static void check_children(struct rows *r, const struct layouts *los, const struct row *row, size_t n)
{
	struct seen first = {.los = los}, again = {.los = los};

	if (rows_children(r, row, child, &first, NULL) || rows_children(r, row, child, &again, NULL))
		abort();
	assert(first.rows == again.rows && first.rows <= n);
}

static void one(const char *p, size_t n, const struct dialect *d, bool with_key)
{
	char *keys[] = {TEXT("k")};
	struct job_batch batch = {.table_version = 1};
	struct job job = {.source = TEXT("s"), .schema = TEXT(""), .table = TEXT("t"), .keys = keys, .n_keys = with_key, .fields = fields, .n_fields = ARRAY_LEN(fields)};
	struct job records = {.source = TEXT("s"), .schema = TEXT(""), .table = TEXT("t"), .keys = keys, .n_keys = with_key, .fields = nested, .n_fields = ARRAY_LEN(nested)};
	const struct job *j = d->nesting == NEST_TEXT ? &job : &records;
	struct frame_record rec = {.sequence = STR("1"), .data = str_mem(p, n)};
	struct place at = {.batch = &batch};
	struct row row = {.ordinal = 3};
	struct refusal why = {.reason = BUF_INIT};
	struct layouts los;
	struct rows *r;

	if (layouts_make(j, d, false, &los, NULL))
		abort();
	r = rows_new(j, &los, d);
	/* twice: what one record leaves behind may not be seen by the next */
	for (int k = 0; k < 2; k++) {
		enum rows_made made = rows_make(r, &rec, &at, &row, &why, NULL);

		if (made == ROWS_ROW) {
			assert(jscan_valid(p, n, 0, NULL, NULL) || n == 0 || memchr(p, '}', n));
			for (size_t c = 0; c < los.t[0].n; c++)
				check_cell(&los.t[0].columns[c], &row.cells[c]);
			if (d->nesting == NEST_RECORD)
				check_nested(d, &los, &row);
			check_children(r, &los, &row, n);
		} else if (made == ROWS_REFUSED) {
			assert(why.reason.len && why.value.len <= n + 16);
		}
		buf_free(&why.reason);
	}
	rows_free(r);
	layouts_free(&los);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *p = xmemdup(data, size);

	for (unsigned k = 0; k < 2 * ARRAY_LEN(dialects); k++)
		one(p, size, &dialects[k / 2], k & 1);
	free(p);
	return 0;
}
