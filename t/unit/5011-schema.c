/*
 * 5011-schema.c - heads into columns, without any SQL: types seen and declared, order, keys, versions, names of all kinds, schemas that say nonsense.
 */
#include "tap.h"

#include "daemon/state/schema.h"
#include "dtest.h"

static struct schema s;
static bool changed;

static void begin(void)
{
	MUST(schema_parse(NULL, NULL, &s, &err));
}

static void head(const char *keys, const char *schema, const char *types)
{
	struct buf b = BUF_INIT;

	changed = false;
	dtest_head(&b, keys, schema, types);
	MUST(schema_merge(&s, buf_str(&b), &changed, &err));
	buf_free(&b);
}

static void columns(const char *wanted, const char *what)
{
	struct buf b = BUF_INIT;

	schema_columns(&s, &b);
	is_str(wanted, buf_cstr(&b), "%s", what);
	buf_free(&b);
}

static void end(void)
{
	schema_free(&s);
}

/* One field under this property; the columns that come of it. */
static void declared(const char *property, const char *seen, const char *wanted)
{
	struct buf schema = BUF_INIT, types = BUF_INIT, all = BUF_INIT;

	buf_addf(&schema,
		"{\"properties\":{\"x\":%s},\"definitions\":{\"day\":{\"type\":\"string\",\"format\":\"date\"},\"loop\":{\"anyOf\":[{\"$ref\":\"#/definitions/"
		"loop\"},{\"type\":\"array\"}]}}}",
		property);
	buf_addf(&types, "{\"x\":%s}", seen);
	buf_addf(&all, "[{\"name\":\"x\",\"types\":%s}]", wanted);
	begin();
	head("[]", buf_cstr(&schema), buf_cstr(&types));
	columns(*wanted ? buf_cstr(&all) : "[]", property);
	end();
	buf_free(&schema);
	buf_free(&types);
	buf_free(&all);
}

static void test_seen(void)
{
	begin();
	head("[\"id\"]", "null", "{\"id\":[\"integer\"],\"t\":[\"string\"]}");
	ok(changed, "the first head is news");
	columns("[{\"name\":\"id\",\"types\":[\"integer\"]},{\"name\":\"t\",\"types\":[\"string\"]}]", "columns in the order of the head");
	is_str("[\"id\"]", buf_cstr(&s.key_names), "its keys");
	head("[ \"id\" ]", "null", "{\"t\":[\"string\"],\"id\":[\"integer\"]}");
	ok(!changed, "the same in another order and with blanks is none");
	head("[\"id\"]", "null", "{\"id\":[\"number\",\"integer\"],\"z\":[\"null\"],\"y\":[],\"u\":[\"boolean\",\"null\"]}");
	ok(changed, "a type and a field more are");
	columns("[{\"name\":\"id\",\"types\":[\"integer\",\"number\"]},{\"name\":\"t\",\"types\":[\"string\"]},{\"name\":\"u\",\"types\":[\"boolean\"]}]",
		"each type once, in order of appearance; a field that was only null is no column");
	head("[\"id\",\"t\"]", "null", "{}");
	ok(changed, "other keys are news");
	is_str("[\"id\",\"t\"]", buf_cstr(&s.key_names), "the newest keys count");
	head("[\"id\"]", "null", "{\"id\":[\"nonsense\",7]}");
	columns("[{\"name\":\"id\",\"types\":[\"integer\",\"number\"]},{\"name\":\"t\",\"types\":[\"string\"]},{\"name\":\"u\",\"types\":[\"boolean\"]}]",
		"an unknown type adds nothing");
	end();
}

static void test_declared(void)
{
	declared("{\"type\":\"number\"}", "[\"integer\"]", "[\"number\"]");
	declared("{\"type\":[\"null\",\"string\"],\"format\":\"date-time\"}", "[\"string\"]", "[\"timestamp\"]");
	declared("{\"format\":\"date\",\"type\":\"string\"}", "[\"string\"]", "[\"date\"]");
	declared("{\"type\":\"string\",\"format\":\"email\"}", "[\"string\"]", "[\"string\"]");
	declared("{\"type\":[\"integer\",\"string\"],\"format\":\"date-time\"}", "[\"integer\"]", "[\"integer\",\"timestamp\"]");
	declared("{\"anyOf\":[{\"type\":\"string\",\"format\":\"date-time\"},{\"type\":[\"string\",\"null\"]}]}", "[\"string\"]", "[\"timestamp\",\"string\"]");
	declared("{\"$ref\":\"#/definitions/day\"}", "[\"string\"]", "[\"date\"]");
	declared("{\"$ref\":\"#/definitions/loop\"}", "[\"array\"]", "[\"array\"]");
	declared("{\"$ref\":\"#/definitions/none\"}", "[\"boolean\"]", "[\"boolean\"]");
	declared("{\"$ref\":\"http://elsewhere/x\"}", "[\"boolean\"]", "[\"boolean\"]");
	declared("{\"$ref\":7,\"type\":{\"a\":1}}", "[\"boolean\"]", "[\"boolean\"]");
	declared("{\"type\":\"integer\"}", "[\"integer\",\"bignum\"]", "[\"integer\",\"bignum\"]");
	declared("{\"type\":\"timestamp\"}", "[\"string\"]", "[\"string\"]");
	declared("{\"type\":\"null\"}", "[\"string\"]", "[\"string\"]");
	declared("{}", "[\"object\",\"array\"]", "[\"object\",\"array\"]");
	declared("true", "[\"string\"]", "[\"string\"]");
	declared("{\"type\":\"string\"}", "[\"null\"]", "");
	declared("{\"type\":\"boolean\",\"type\":\"string\",\"maximum\":1e999,\"minimum\":-123456789012345678901234567890}", "[\"string\"]", "[\"string\"]");
}

static void test_names(void)
{
	struct buf json = BUF_INIT;
	struct schema again;

	begin();
	head("[]", "{\"properties\":{\"caf\\u00e9\":{\"type\":\"number\"},\"\":{\"type\":\"boolean\"}}}",
		"{\"café\":[\"integer\"],\"\":[\"string\"],\"a\\u0000b\":[\"string\"],\"a\\\"b\":[\"date\"]}");
	columns("[{\"name\":\"café\",\"types\":[\"number\"]},{\"name\":\"\",\"types\":[\"boolean\"]},{\"name\":\"a\\u0000b\",\"types\":[\"string\"]},"
		"{\"name\":\"a\\\"b\",\"types\":[\"date\"]}]",
		"names mean the same however they are written; also the empty one and one with a NUL");
	schema_columns(&s, &json);
	MUST(schema_parse(buf_cstr(&json), buf_cstr(&s.key_names), &again, &err));
	ok(again.n == 4 && again.columns[2].name.len == 3 && again.columns[3].types.n == 1, "what is written can be read again");
	schema_free(&again);
	head("[]", "null", "{\"a\\u0000b\":[\"string\"]}");
	ok(!changed, "and is known then");
	end();
	buf_free(&json);
	ok(schema_parse("{}", NULL, &again, &err) == -1 && err.code == ERR_CORRUPT, "columns that are no list: %s", err.text);
	schema_free(&again);
	begin();
	ok(schema_merge(&s, STR("{\"source\":1}"), &changed, &err) == -1 && s.n == 0, "a line that is no head: %s", err.text);
	end();
}

/* A schema may be wide; each field asks for its property. */
static void test_wide(void)
{
	struct buf schema = BUF_INIT, types = BUF_INIT;

	buf_adds(&schema, "{\"properties\":{");
	buf_adds(&types, "{");
	for (int i = 0; i < 5000; i++) {
		buf_addf(&schema, "%s\"f%d\":{\"type\":[\"null\",\"%s\"]}", i ? "," : "", i, i % 2 ? "number" : "string");
		buf_addf(&types, "%s\"f%d\":[\"integer\"]", i ? "," : "", i);
	}
	buf_adds(&schema, "}}");
	buf_adds(&types, "}");
	begin();
	head("[]", buf_cstr(&schema), buf_cstr(&types));
	ok(s.n == 5000 && s.columns[4999].types.list[0] == SCHEMA_NUMBER && s.columns[0].types.list[0] == SCHEMA_STRING, "5,000 columns");
	end();
	buf_free(&schema);
	buf_free(&types);
}

/* Field names that never end, and references that make a short text endless: both are bounded, and what is left out is no error. */
static void test_endless(void)
{
	struct buf schema = BUF_INIT, types = BUF_INIT;

	begin();
	for (int k = 0; k < 3; k++) {
		buf_truncate(&types, 0);
		for (int i = 0; i < 5000; i++)
			buf_addf(&types, "%s\"f%d\":[\"integer\"]", i ? "," : "{", k * 5000 + i);
		buf_adds(&types, "}");
		head("[]", "null", buf_cstr(&types));
	}
	ok(s.n == 10000 && !changed, "10,000 columns, and no more");
	head("[]", "null", "{\"f1\":[\"string\"]}");
	ok(changed && s.columns[1].types.n == 2, "one that is there still learns");
	end();
	buf_truncate(&types, 0);
	buf_adds(&schema, "{\"definitions\":{\"a\":{\"anyOf\":[");
	for (int i = 0; i < 1000; i++)
		buf_addf(&schema, "%s{\"$ref\":\"#/definitions/a\"}", i ? "," : "");
	buf_adds(&schema, "]}},\"properties\":{");
	for (int i = 0; i < 5000; i++) {
		buf_addf(&schema, "%s\"f%d\":{\"$ref\":\"#/definitions/a\"}", i ? "," : "", i);
		buf_addf(&types, "%s\"f%d\":[\"integer\"]", i ? "," : "{", i);
	}
	buf_adds(&schema, "}}");
	buf_adds(&types, "}");
	begin();
	head("[]", buf_cstr(&schema), buf_cstr(&types));
	ok(s.n == 5000 && s.columns[4999].types.list[0] == SCHEMA_INTEGER, "references to references end soon, and say nothing");
	end();
	buf_free(&schema);
	buf_free(&types);
}

#define M "\\u0001" /* member */
#define E "\\u0002" /* element */

/* What lies in x, which has this property. */
static void nested(const char *property, const char *seen, const char *wanted)
{
	struct buf schema = BUF_INIT;

	buf_addf(&schema,
		"{\"properties\":{\"x\":%s,\"x" M "s\":{\"type\":\"boolean\"}},\"definitions\":{\"day\":{\"type\":\"string\",\"format\":\"date\"},\"tree\":{\"type\":\"object\",\"properties\":"
		"{\"at\":{\"type\":\"string\",\"format\":\"date-time\"},\"sub\":{\"$ref\":\"#/definitions/tree\"}}}}}",
		property);
	begin();
	head("[]", buf_cstr(&schema), seen);
	columns(wanted, property);
	end();
	buf_free(&schema);
}

static void test_nested(void)
{
	nested("{\"properties\":{\"s\":{\"type\":\"string\",\"format\":\"date-time\"}}}", "{\"x\":[\"object\"],\"x" M "s\":[\"string\"],\"x" M "n\":[\"string\"]}",
		"[{\"name\":\"x\",\"types\":[\"object\"]},{\"name\":\"x" M "s\",\"types\":[\"timestamp\"]},{\"name\":\"x" M "n\",\"types\":[\"string\"]}]");
	nested("{\"items\":{\"items\":{\"$ref\":\"#/definitions/day\"}}}", "{\"x\":[\"array\"],\"x" E "\":[\"array\"],\"x" E E "\":[\"string\"]}",
		"[{\"name\":\"x\",\"types\":[\"array\"]},{\"name\":\"x" E "\",\"types\":[\"array\"]},{\"name\":\"x" E E "\",\"types\":[\"date\"]}]");
	nested("{\"anyOf\":[{\"type\":\"null\"},{\"$ref\":\"#/definitions/tree\"}]}",
		"{\"x\":[\"object\"],\"x" M "sub\":[\"object\"],\"x" M "sub" M "sub\":[\"object\"],\"x" M "sub" M "sub" M "at\":[\"string\"]}",
		"[{\"name\":\"x\",\"types\":[\"object\"]},{\"name\":\"x" M "sub\",\"types\":[\"object\"]},{\"name\":\"x" M "sub" M "sub\",\"types\":[\"object\"]},{\"name\":\"x" M
		"sub" M "sub" M "at\",\"types\":[\"timestamp\"]}]");
	nested("{\"properties\":{\"s\":{\"type\":[\"null\",\"number\"]}}}", "{\"x\":[\"object\"],\"x" M "s\":[\"integer\"]}",
		"[{\"name\":\"x\",\"types\":[\"object\"]},{\"name\":\"x" M "s\",\"types\":[\"number\"]}]");
	nested("{\"items\":[{\"type\":\"string\",\"format\":\"date\"}]}", "{\"x\":[\"array\"],\"x" E "\":[\"string\"]}",
		"[{\"name\":\"x\",\"types\":[\"array\"]},{\"name\":\"x" E "\",\"types\":[\"string\"]}]");
	begin();
	head("[]", "null", "{\"x\":[\"object\"],\"x" M "\":[],\"y\":[\"array\"],\"y" E "\":[]}");
	columns("[{\"name\":\"x\",\"types\":[\"object\"]},{\"name\":\"x" M "\",\"types\":[]},{\"name\":\"y\",\"types\":[\"array\"]},{\"name\":\"y" E "\",\"types\":[]}]",
		"what was empty says so");
	ok(changed, "which is news");
	head("[]", "null", "{\"x\":[\"object\"],\"x" M "\":[],\"y\":[\"array\"],\"y" E "\":[\"integer\"]}");
	columns("[{\"name\":\"x\",\"types\":[\"object\"]},{\"name\":\"x" M "\",\"types\":[]},{\"name\":\"y\",\"types\":[\"array\"]},{\"name\":\"y" E "\",\"types\":[\"integer\"]}]",
		"until something is in it");
	end();
}

int main(void)
{
	plan_lazy();
	test_seen();
	test_declared();
	test_names();
	test_wide();
	test_endless();
	test_nested();
	return done_testing();
}
