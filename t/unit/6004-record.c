/*
 * 6004-record.c - nested columns: the tree that a job's paths make, what a table lacks of it, and values in the destination's form, or the reason why not.
 */
#include "loaders/runtime/record.h"
#include "tap.h"
#include "xalloc.h"

#define TEXT(s) ((char[]){s})
#define M "\1"
#define E "\2"

static const char *const reserved[] = {"st", "nu", NULL};

static void lower(struct str sent, struct buf *out)
{
	for (size_t k = 0; k < sent.len; k++)
		buf_addc(out, sent.ptr[k] >= 'A' && sent.ptr[k] <= 'Z' ? (char)(sent.ptr[k] + 32) : sent.ptr[k] == ' ' ? '_' : sent.ptr[k]);
}

static const struct dialect d = {.suffix = {"it", "fl", "bo", "ti", "st", "re"}, .suffix_array = "ar", .reserved = reserved, .nesting = NEST_RECORD, .column_max = 20,
	.columns_max = 60, .nul_ok = false, .name = lower};

static struct job_field fields[] = {
	{TEXT("o"), {SEEN_OBJECT, SEEN_ARRAY}, 2},
	{TEXT("o" M "City"), {SEEN_STRING, SEEN_INTEGER}, 2},
	{TEXT("o" M "city"), {SEEN_STRING}, 1},
	{TEXT("o" M "n"), {SEEN_INTEGER, SEEN_NUMBER}, 2},
	{TEXT("o" M "f"), {SEEN_NUMBER, SEEN_INTEGER}, 2},
	{TEXT("o" M "big"), {SEEN_BIGNUM}, 1},
	{TEXT("o" M "at"), {SEEN_TIMESTAMP}, 1},
	{TEXT("o" M "b c"), {SEEN_BOOLEAN, SEEN_OBJECT}, 2},
	{TEXT("o" M "b c" M "x"), {SEEN_INTEGER}, 1},
	{TEXT("o" M "empty"), {SEEN_OBJECT, SEEN_ARRAY}, 2},
	{TEXT("o" M "empty" M), {SEEN_INTEGER}, 0},
	{TEXT("o" M "empty" E), {SEEN_INTEGER}, 0},
	{TEXT("o" M "old"), {SEEN_OBJECT}, 1},
	{TEXT("o" M "d"), {SEEN_STRING, SEEN_TIMESTAMP}, 2},
	{TEXT("o" M "x__st"), {SEEN_STRING}, 1},
	{TEXT("o" M "a name longer than twenty"), {SEEN_STRING}, 1},
	{TEXT("o" E), {SEEN_OBJECT, SEEN_STRING}, 2},
	{TEXT("o" E M "k"), {SEEN_STRING}, 1},
	{TEXT("i"), {SEEN_ARRAY}, 1},
	{TEXT("i" E), {SEEN_INTEGER, SEEN_NUMBER}, 2},
	{TEXT("s"), {SEEN_ARRAY}, 1},
	{TEXT("s" E), {SEEN_STRING, SEEN_ARRAY}, 2},
	{TEXT("s" E E), {SEEN_STRING}, 1},
	{TEXT("m"), {SEEN_ARRAY}, 1},
	{TEXT("m" E), {SEEN_ARRAY}, 1},
	{TEXT("m" E E), {SEEN_OBJECT}, 1},
	{TEXT("m" E E M "v"), {SEEN_BOOLEAN}, 1},
	{TEXT("none"), {SEEN_OBJECT}, 1},
	{TEXT("none" M), {SEEN_INTEGER}, 0},
	{TEXT("z"), {SEEN_ARRAY}, 1},
	{TEXT("z" E), {SEEN_OBJECT}, 1},
	{TEXT("z" E M), {SEEN_INTEGER}, 0},
};
static struct job job = {.source = TEXT("s"), .schema = TEXT("s"), .table = TEXT("t"), .fields = fields, .n_fields = ARRAY_LEN(fields)};
static struct layouts los;

static const struct layout_field *field(const char *name)
{
	const struct layout_field *f = map_get(&los.top.by_name, str_c(name));

	return f ? f : (bail("no field %s", name), NULL);
}

static struct column *column_of(const char *name, bool array)
{
	const struct layout_field *f = field(name);
	size_t at = array ? f->array : f->object;

	return at == NO_COLUMN ? NULL : &los.t[0].columns[at];
}

static void show(struct buf *b, const struct column *c)
{
	static const char *const types[COL_TYPES] = {"int", "num", "bool", "time", "str", ""};

	if (c->name)
		buf_addf(b, "%s ", c->name);
	if (c->type != COL_JSON) {
		buf_adds(b, types[c->type]);
		if (c->type == COL_NUMBER && c->decimal)
			buf_adds(b, " exact");
		return;
	}
	buf_addc(b, c->repeated ? '[' : '{');
	for (size_t k = 0; k < c->n_sub; k++) {
		buf_adds(b, k ? ", " : "");
		show(b, &c->sub[k]);
	}
	buf_addc(b, c->repeated ? ']' : '}');
}

static void tree_is(const char *name, bool array, const char *wanted)
{
	struct buf b = BUF_INIT;
	const struct column *c = column_of(name, array);

	if (c)
		show(&b, c);
	is_str(wanted, buf_cstr(&b), "the columns of %s%s", name, array ? "'s arrays" : "");
	buf_free(&b);
}

static unsigned char *told;

static void value_is(const char *name, const char *value, const char *wanted)
{
	struct buf out = BUF_INIT, why = BUF_INIT;
	bool array = value[0] == '[';
	int rc = record_value(&d, field(name), array, column_of(name, array), told, str_c(value), &out, &why);

	is_str(wanted, rc ? buf_cstr(&why) : buf_cstr(&out), "%s: %.70s", name, value);
	if (rc && out.len)
		ok(false, "what was refused has left something");
	buf_free(&out);
	buf_free(&why);
}

static void trees(void)
{
	tree_is("o", false, "o {city str, city__it int, n int, n__fl num, f num, big num exact, at time, b_c bool, b_c__re {x int}, old str, d str, d__ti time}");
	tree_is("o", true, "o__ar [{k str}]");
	tree_is("i", true, "i [num]");
	tree_is("s", true, "s [str]");
	tree_is("m", true, "m [{value [{v bool}]}]");
	tree_is("none", false, "");
	tree_is("z", true, "");
}

static void values(void)
{
	value_is("o", "{\"City\":\"Wien \\\"1\\\"\",\"n\":1,\"f\":2.50,\"big\":98765432109876543210,\"at\":\"2024-02-29T23:30:00+02:00\"}",
		"{\"city\":\"Wien \\\"1\\\"\",\"n\":\"1\",\"f\":2.50,\"big\":\"98765432109876543210\",\"at\":\"2024-02-29 21:30:00.000000\"}");
	value_is("o", "{\"City\":7,\"n\":1.5,\"f\":3, \"b c\":true}", "{\"city__it\":\"7\",\"n__fl\":1.5,\"f\":3,\"b_c\":true}");
	value_is("o", "{\"b c\" : {\"x\" : 1.0, \"y\":null}, \"old\": {\"a\":[\"q\"]}, \"City\":true}", "{\"b_c__re\":{\"x\":\"1\"},\"old\":\"{\\\"a\\\":[\\\"q\\\"]}\",\"city\":\"true\"}");
	value_is("o", "{\"n\":9223372036854775807,\"empty\":{},\"f\":null}", "{\"n\":\"9223372036854775807\"}");
	value_is("o", "{\"empty\":[],\"\\u0043ity\":\"x\"}", "{\"city\":\"x\"}");
	value_is("o", "{}", "");
	value_is("o", "{\"n\":1,\"City\":\"a\",\"n\":2.5,\"f\":1,\"City\":null}", "{\"n__fl\":2.5,\"f\":1}");
	value_is("o", "[{\"k\":\"a\"},{},{\"k\":null}]", "[{\"k\":\"a\"}]");
	value_is("i", "[1,2.5,-3e2,9007199254740993.0e0]", "number with more digits than a double has for i on [9007199254740993.0e0]");
	value_is("i", "[1,2.5,-3e2]", "[1,2.5,-3e2]");
	value_is("i", "[]", "");
	value_is("m", "[[{\"v\":true}],[]]", "[{\"value\":[{\"v\":true}]}]");
	value_is("none", "{}", "");
	value_is("z", "[{},{\"x\":null}]", "");
}

/* A string is what its own head says. */
static void times(void)
{
	const struct layout_field *d_field = map_get(&field("o")->by_name, STR("d"));

	value_is("o", "{\"d\":\"2024-01-01\"}", "{\"d__ti\":\"2024-01-01 00:00:00.000000\"}");
	told = xcalloc(los.n_fields, 1);
	told[d_field->id] = TOLD_TEXT;
	value_is("o", "{\"d\":\"2024-01-01\"}", "{\"d\":\"2024-01-01\"}");
	told[d_field->id] = TOLD_TIME;
	value_is("o", "{\"d\":\"soon\"}", "invalid timestamp for o__d on [soon]");
	told[d_field->id] = TOLD_TEXT | TOLD_TIME;
	value_is("o", "{\"d\":\"soon\"}", "{\"d\":\"soon\"}");
	free(told);
	told = NULL;
}

static void refusals(void)
{
	value_is("o", "{\"n\":\"x\"}", "string not possible for o__n on [x]");
	value_is("o", "{\"big\":123456789012345678901234567890}", "decimal out of range for o__big on [123456789012345678901234567890]");
	value_is("o", "{\"f\":9223372036854775807}", "number with more digits than a double has for o__f on [9223372036854775807]");
	value_is("o", "{\"f\":1e999}", "number with more digits than a double has for o__f on [1e999]");
	value_is("o", "{\"b c\":{\"x\":1.5}}", "fraction not possible for o__b c__x on [1.5]");
	value_is("o", "{\"b c\":{\"x\":9223372036854775808}}", "integer out of range for o__b c__x on [9223372036854775808]");
	value_is("o", "{\"at\":\"soon\"}", "invalid timestamp for o__at on [soon]");
	value_is("o", "{\"city\":\"x\"}", "Field collision on o__city");
	value_is("o", "{\"x__st\":\"x\"}", "o__x__st has a reserved suffix (__ and two letters of a type)");
	value_is("o", "{\"a name longer than twenty\":\"x\"}", "the name of field o__a name longer than twenty is longer than 20 bytes");
	value_is("o", "{\"empty\":{\"x\":1}}", "o__empty__x is nested too deep or has too many fields");
	value_is("o", "{\"new\":[]}", "o__new is nested too deep or has too many fields");
	value_is("o", "{\"City\":\"a\\u0000b\"}", "character U+0000 not possible for o__City on [\\u0000]");
	value_is("o", "{\"City\":", "not JSON: the text ends within the document");
	value_is("i", "[1,null]", "null in an array not possible for i on [null]");
	value_is("i", "[1,\"x\"]", "string not possible for i on [x]");
	value_is("s", "[\"a\",1]", "number among other types in an array not possible for s on [1]");
	value_is("s", "[\"a\",[\"b\"]]", "string not possible for s on [b]");
	value_is("s", "[\"a\",true]", "boolean among other types in an array not possible for s on [true]");
	value_is("o", "[{\"k\":\"a\"},\"b\"]", "string not possible for o on [b]");
	value_is("z", "[{\"x\":1}]", "z__x is nested too deep or has too many fields");
}

static void fits(void)
{
	struct desc_column sub[] = {{.name = TEXT("CITY"), .accepts = COL_BIT(COL_STRING)}, {.name = TEXT("n"), .accepts = COL_BIT(COL_STRING)},
		{.name = TEXT("n__fl"), .accepts = COL_BIT(COL_NUMBER)}};
	struct desc_column o = {.name = TEXT("o"), .accepts = COL_BIT(COL_JSON), .sub = sub, .n_sub = ARRAY_LEN(sub)}, element = {.accepts = COL_BIT(COL_INTEGER)},
		i = {.name = TEXT("i"), .accepts = COL_BIT(COL_JSON), .sub = &element, .n_sub = 1, .repeated = true}, n = {.name = TEXT("o"), .accepts = COL_BIT(COL_INTEGER)};
	bool lacks = false;

	is_int(0, record_fit(&d, column_of("o", false), &o, &lacks), "an object of which something is there");
	ok(lacks, "and something is not");
	tree_is("o", false, "o {CITY str, city__it int, n__it int, n__fl num, f num, big num exact, at time, b_c bool, b_c__re {x int}, old str, d str, d__ti time}");
	is_int(-1, record_fit(&d, column_of("i", true), &i, &lacks), "an array of integers, where numbers come");
	element.accepts = COL_BIT(COL_NUMBER);
	lacks = false;
	is_int(0, record_fit(&d, column_of("i", true), &i, &lacks), "an array of numbers");
	ok(!lacks, "lacks nothing");
	is_int(-1, record_fit(&d, column_of("i", true), &o, &lacks), "an object, where arrays come");
	is_int(-1, record_fit(&d, column_of("o", false), &n, &lacks), "an integer, where objects come");
}

static void number_is(const char *number, const char *as_double, const char *as_decimal)
{
	struct buf b = BUF_INIT;

	is_str(as_double, record_double(str_c(number), &b) ? "no" : buf_cstr(&b), "%s as a double", number);
	buf_truncate(&b, 0);
	is_str(as_decimal, record_decimal(str_c(number), &b) ? "no" : buf_cstr(&b), "%s as a decimal", number);
	buf_free(&b);
}

static void numbers(void)
{
	number_is("0.1", "0.1", "\"0.1\"");
	number_is("0.30000000000000004", "0.30000000000000004", "no");
	number_is("12345678901234567890.123456789", "no", "\"12345678901234567890.123456789\"");
	number_is("-1e28", "-1e28", "\"-10000000000000000000000000000\"");
	number_is("1e29", "1e29", "no");
	number_is("1e-9", "1e-9", "\"0.000000001\"");
	number_is("1e-10", "1e-10", "no");
	number_is("1e400", "no", "no");
	number_is("1e-400", "no", "no");
	number_is("0e-400", "0e-400", "\"0\"");
	number_is("9007199254740993", "no", "\"9007199254740993\"");
}

int main(void)
{
	struct err e = ERR_INIT;

	plan_lazy();
	if (layouts_make(&job, &d, false, &los, &e))
		bail("%s", e.text);
	trees();
	values();
	times();
	refusals();
	fits();
	numbers();
	layouts_free(&los);
	return done_testing();
}
