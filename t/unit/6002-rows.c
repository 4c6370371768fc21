/*
 * 6002-rows.c - records into typed rows: each value's column, what is rejected and why, our own columns, and heads that are not the job's.
 */
#include "loaders/runtime/rows.h"
#include "tap.h"
#include "xalloc.h"

static const char *const reserved[] = {"st", NULL};
static const struct dialect plain = {.suffix = {"it", "de", "bo", "ti", "st"}, .reserved = reserved, .nul_ok = true};
static const struct dialect narrow = {.suffix = {"it", "de", "bo", "ti", "st"}, .reserved = reserved, .int_digits = 6, .frac_digits = 2};

/* the structs own their strings elsewhere, so they are not const */
#define TEXT(s) ((char[]){s})

static struct job_field fields[] = {
	{TEXT("id"), {SEEN_INTEGER}, 1},
	{TEXT("n"), {SEEN_INTEGER, SEEN_NUMBER}, 2},
	{TEXT("s"), {SEEN_STRING}, 1},
	{TEXT("b"), {SEEN_BOOLEAN}, 1},
	{TEXT("at"), {SEEN_TIMESTAMP}, 1},
	{TEXT("mix"), {SEEN_STRING, SEEN_INTEGER, SEEN_TIMESTAMP}, 3},
	{TEXT("i"), {SEEN_INTEGER}, 1},
	{TEXT("o"), {SEEN_OBJECT}, 1},
	{TEXT("ID"), {SEEN_STRING}, 1},
};
static char *keys[] = {TEXT("id")};
static struct job_batch batch = {.queue_id = {1, 2, 3}, .partition = 0, .table_version = 7, .cut_at = INT64_C(1700000000000000000)};
static struct job job = {.source = TEXT("shop"), .source_id = 4, .schema = TEXT("shop"), .table = TEXT("t"), .keys = keys, .n_keys = 1, .fields = fields, .n_fields = ARRAY_LEN(fields),
	.batches = &batch, .n_batches = 1};

static struct layouts los;
static struct rows *rows;

static void show(struct buf *b, const struct row *r)
{
	char sep = 0;

	for (size_t k = 0; k < los.t[0].n_user; k++) {
		const struct cell *c = &r->cells[k];

		if (c->kind == CELL_NULL)
			continue;
		if (sep)
			buf_addc(b, sep);
		sep = ' ';
		buf_addf(b, "%s=", los.t[0].columns[k].name);
		if (c->kind == CELL_TEXT)
			buf_addf(b, "'" STR_FMT "'", STR_ARG(c->s));
		else if (c->kind == CELL_NUMBER)
			buf_addf(b, "#" STR_FMT, STR_ARG(c->s));
		else
			buf_addf(b, "%s%" PRId64, c->kind == CELL_BOOL ? "bool " : c->kind == CELL_TIME ? "time " : "", c->i);
	}
}

static enum rows_made make(const char *data, struct buf *out)
{
	struct frame_record rec = {.sequence = STR("42"), .data = str_c(data)};
	struct place at = {.batch = &batch, .offset = 5, .index = 1, .received_at = INT64_C(1600000000000000000)};
	struct row row = {.ordinal = 0};
	struct refusal why = {.reason = BUF_INIT};
	struct err e = ERR_INIT;
	enum rows_made made = rows_make(rows, &rec, &at, &row, &why, &e);

	if (made == ROWS_ROW)
		show(out, &row);
	else if (made == ROWS_REFUSED)
		buf_addf(out, STR_FMT ": " STR_FMT, STR_ARG(why.field), STR_ARG(buf_str(&why.reason)));
	else
		buf_adds(out, e.text);
	buf_free(&why.reason);
	return made;
}

static void row_is(enum rows_made wanted_kind, const char *data, const char *wanted)
{
	struct buf b = BUF_INIT;
	enum rows_made made = make(data, &b);

	is_int(wanted_kind, made, "%.60s", data);
	if (wanted)
		is_str(wanted, buf_cstr(&b), "is as it should be");
	buf_free(&b);
}

static void use(const struct dialect *d, bool extracted)
{
	struct err e = ERR_INIT;

	rows_free(rows);
	layouts_free(&los);
	if (layouts_make(&job, d, extracted, &los, &e))
		bail("%s", e.text);
	rows = rows_new(&job, &los, d);
}

static void values(void)
{
	use(&plain, false);
	row_is(ROWS_ROW, "{\"id\":1,\"n\":2,\"s\":\"x\",\"b\":true}", "id=1 n=2 s='x' b=bool 1");
	row_is(ROWS_ROW, "{\"b\":false,\"id\":1}", "id=1 b=bool 0");
	row_is(ROWS_ROW, "{\"\\u0069d\":1,\"s\":\"a\\n\\u00fc\\\"\"}", "id=1 s='a\n\xc3\xbc\"'");
	row_is(ROWS_ROW, "{\"id\":1,\"n\":1.50}", "id=1 n=#1.50");
	row_is(ROWS_ROW, "{\"id\":1,\"n\":1.0}", "id=1 n=1");
	row_is(ROWS_ROW, "{\"id\":1e3,\"n\":1e30}", "id=1000 n=#1e30");
	row_is(ROWS_ROW, "{\"id\":-9223372036854775808,\"n\":9223372036854775808}", "id=-9223372036854775808 n=#9223372036854775808");
	row_is(ROWS_ROW, "{\"id\":1,\"n\":123456789012345678901234567890.123}", "id=1 n=#123456789012345678901234567890.123");
	row_is(ROWS_ROW, "{\"id\":1,\"s\":\"\"}", "id=1 s=''");
	row_is(ROWS_ROW, "{\"id\":1,\"s\":null,\"n\":null,\"unknown\":null}", "id=1");
	row_is(ROWS_ROW, "{\"id\":1,\"s\":7}", "id=1 s='7'");
	row_is(ROWS_ROW, "{\"id\":1,\"s\":[1, {\"a\":null}]}", "id=1 s='[1, {\"a\":null}]'");
	row_is(ROWS_ROW, "{\"id\":1,\"o\":{\"a\":{}}}", "id=1 o='{\"a\":{}}'");
	row_is(ROWS_ROW, "{\"id\":1,\"at\":\"1970-01-01T01:00:00.000001+01:00\"}", "id=1 at=time 1");
	row_is(ROWS_ROW, "{\"id\":1,\"mix\":\"x\"}", "id=1 mix='x'");
	row_is(ROWS_ROW, "{\"id\":1,\"mix\":5}", "id=1 mix__it=5");
	row_is(ROWS_ROW, "{\"id\":1,\"mix\":\"1970-01-01T00:00:01Z\"}", "id=1 mix__ti=time 1000000");
	row_is(ROWS_ROW, "{\"id\":1,\"mix\":5,\"mix\":\"x\"}", "id=1 mix='x'");
	row_is(ROWS_ROW, "{\"id\":1,\"i\":5,\"i\":null}", "id=1");
	row_is(ROWS_ROW, "{\"id\":1,\"i\":9223372036854775807}", "id=1 i=9223372036854775807");
	row_is(ROWS_ROW, "{\"id\":1,\"ID\":null}", "id=1");
}

static void refusals(void)
{
	struct buf b = BUF_INIT;

	row_is(ROWS_REFUSED, "{\"id\":1,\"i\":9223372036854775808}", "i: integer out of range for i on [9223372036854775808]");
	row_is(ROWS_REFUSED, "{\"id\":1,\"i\":1.5}", "i: fraction not possible for i on [1.5]");
	row_is(ROWS_REFUSED, "{\"id\":1,\"i\":\"1\"}", "i: string not possible for i on [1]");
	row_is(ROWS_REFUSED, "{\"id\":1,\"i\":true}", "i: boolean not possible for i on [true]");
	row_is(ROWS_REFUSED, "{\"id\":1,\"b\":{}}", "b: object not possible for b on [{}]");
	row_is(ROWS_REFUSED, "{\"id\":1,\"at\":\"tomorrow\"}", "at: invalid timestamp for at on [tomorrow]");
	row_is(ROWS_REFUSED, "{\"id\":1,\"at\":5}", "at: number not possible for at on [5]");
	row_is(ROWS_REFUSED, "{\"id\":1,\"ID\":\"x\"}", "ID: Field collision on ID");
	row_is(ROWS_REFUSED, "{\"id\":1,\"new\":\"x\"}", "new: the job does not know the field \"new\"");
	row_is(ROWS_REFUSED, "{\"id\":null}", "id: the key id has no value");
	row_is(ROWS_REFUSED, "{}", "id: the key id has no value");
	row_is(ROWS_REFUSED, "{\"id\":1,\"id\":null}", "id: the key id has no value");
	row_is(ROWS_ERROR, "{\"id\":1", NULL);
	row_is(ROWS_ERROR, "[1]", NULL);
	row_is(ROWS_ERROR, "", NULL);
	row_is(ROWS_ROW, "{\"id\":1}", "id=1");
	/* a value of 200 bytes and more is cut at a character's end */
	buf_adds(&b, "{\"id\":1,\"at\":\"x");
	for (int k = 0; k < 150; k++)
		buf_adds(&b, "\xc3\xbc");
	buf_adds(&b, "\"}");
	{
		struct buf said = BUF_INIT;

		is_int(ROWS_REFUSED, make(buf_cstr(&b), &said), "a long value");
		ok(str_ends(buf_str(&said), STR("\xc3\xbc]...")) && said.len < 250, "is cut in the reason");
		buf_free(&said);
	}
	buf_free(&b);
	use(&narrow, false);
	row_is(ROWS_ROW, "{\"id\":1,\"n\":123456.75}", "id=1 n=#123456.75");
	row_is(ROWS_REFUSED, "{\"id\":1,\"n\":1234567.5}", "n: decimal out of range for n on [1234567.5]");
	row_is(ROWS_REFUSED, "{\"id\":1,\"n\":0.001}", "n: decimal out of range for n on [0.001]");
	row_is(ROWS_REFUSED, "{\"id\":1,\"s\":\"a\\u0000b\"}", "s: character U+0000 not possible for s on [\\u0000]");
	use(&plain, false);
}

static void ours(void)
{
	struct frame_record rec = {.sequence = STR("9223372036854775807"), .time_extracted = STR("\"1970-01-01T00:00:00.5Z\""), .data = STR("{\"id\":1}")};
	struct place at = {.batch = &batch, .offset = 5, .index = 1, .received_at = INT64_C(1600000000000001999)};
	struct row row = {.ordinal = 0};
	struct refusal why = {.reason = BUF_INIT};
	struct err e = ERR_INIT;

	is_int(ROWS_WANT_EXTRACTED, rows_make(rows, &rec, &at, &row, &why, &e), "a record with time_extracted asks for its column");
	use(&plain, true);
	is_int(ROWS_ROW, rows_make(rows, &rec, &at, &row, &why, &e), "and is a row when it is there");
	is_int(500000, row.cells[los.t[0].extracted].i, "extracted at");
	is_int(INT64_C(1600000000000001), row.cells[los.t[0].received].i, "received at, in us");
	is_int(INT64_C(1700000000000000), row.cells[los.t[0].batched].i, "batched at");
	is_int(INT64_MAX, row.cells[los.t[0].sequence].i, "the largest sequence");
	is_int(7, row.cells[los.t[0].version].i, "the batch's version");
	rec.sequence = STR("9223372036854775808");
	is_int(ROWS_ERROR, rows_make(rows, &rec, &at, &row, &why, &e), "one more is not ours: %s", e.text);
	is_int(ERR_CORRUPT, e.code, "the file is damaged");
	rec.sequence = STR("-9223372036854775808");
	is_int(ROWS_ROW, rows_make(rows, &rec, &at, &row, &why, &e), "one below zero is a number as any other");
	is_int(INT64_MIN, row.cells[los.t[0].sequence].i, "and kept");
	job.n_keys = 0;
	use(&plain, false);
	rec.sequence = STR("1");
	rec.time_extracted = STR_NULL;
	is_int(ROWS_ROW, rows_make(rows, &rec, &at, &row, &why, &e), "without a key");
	/* printf '\x01\x02\x03' + 13 zeros + offset 5, partition 0, index 1, little endian: sha256; this value is in destinations */
	is_slice("6a8ea47d-c27f-8213-a2b0-0170ddbb6667", row.cells[los.t[0].row_id].s, "the id of a row is what it ever was");
	at.index = 2;
	is_int(ROWS_ROW, rows_make(rows, &rec, &at, &row, &why, &e), "the next record");
	ok(!str_eq(row.cells[los.t[0].row_id].s, STR("6a8ea47d-c27f-8213-a2b0-0170ddbb6667")), "has another");
	job.n_keys = 1;
	use(&plain, false);
	buf_free(&why.reason);
}

static void head_is(const char *head, bool good)
{
	struct err e = ERR_INIT;
	int rc = rows_head(rows, &batch, str_c(head), &e);

	ok(good ? rc == 0 : rc == -1 && e.code == ERR_CORRUPT, "%s: %s", good ? "the job's head" : "another's", e.text);
}

#define HEAD(source, table, keys_, version) "{\"source\":" source ",\"table\":" table ",\"key_names\":" keys_ ",\"schema\":null,\"types\":{},\"table_version\":" version ",\"received_at\":1}"

static void heads(void)
{
	head_is(HEAD("4", "\"t\"", "[\"id\"]", "7"), true);
	head_is(HEAD("4", "\"t\"", "[\"id\"]", "7"), true);
	head_is(HEAD("4", "\"\\u0074\"", "[\"\\u0069d\"]", "7"), true);
	head_is(HEAD("5", "\"t\"", "[\"id\"]", "7"), false);
	head_is(HEAD("4", "\"T\"", "[\"id\"]", "7"), false);
	head_is(HEAD("4", "\"t\"", "[]", "7"), false);
	head_is(HEAD("4", "\"t\"", "[\"id\",\"s\"]", "7"), false);
	head_is(HEAD("4", "\"t\"", "[\"s\"]", "7"), false);
	head_is(HEAD("4", "\"t\"", "[\"id\"]", "8"), false);
	head_is("{}", false);
	head_is("", false);
}

int main(void)
{
	plan_lazy();
	values();
	refusals();
	ours();
	heads();
	rows_free(rows);
	layouts_free(&los);
	return done_testing();
}
