/*
 * 1010-jschema.c - a table of schema, value, and what is said of it ("" = it conforms): every keyword, the words of the API's validator, the bounds of
 * work. Then schemas that are refused, patterns, and fields judged one by one.
 */
#include "daemon/import/jschema.h"
#include "pattern.h"
#include "tap.h"
#include "xalloc.h"

static const struct {
	const char *schema, *value, *why;
} cases[] = {
	/* types, as the API documents them */
	{"{}", "{\"a\":[1]}", ""},
	{"true", "1", ""},
	{"false", "1", "#: false schema always fails"},
	{"{\"type\":\"string\"}", "1", "#: expected type: String, found: Integer"},
	{"{\"type\":\"object\"}", "\"x\"", "#: expected type: JSONObject, found: String"},
	{"{\"type\":\"array\"}", "{}", "#: expected type: JSONArray, found: JSONObject"},
	{"{\"type\":\"integer\"}", "1.5", "#: expected type: Integer, found: Number"},
	{"{\"type\":\"number\"}", "[]", "#: expected type: Number, found: JSONArray"},
	{"{\"type\":\"boolean\"}", "null", "#: expected type: Boolean, found: Null"},
	{"{\"type\":\"null\"}", "true", "#: expected type: Null, found: Boolean"},
	{"{\"type\":\"integer\"}", "1.0", ""},
	{"{\"type\":\"integer\"}", "1e3", ""},
	{"{\"type\":\"integer\"}", "123456789012345678901234567890", ""},
	{"{\"type\":\"number\"}", "123456789012345678901234567890", ""},
	{"{\"type\":[\"integer\",\"number\"]}", "1.5", ""},
	{"{\"type\":[\"null\",\"string\"]}", "null", ""},
	{"{\"type\":[\"null\",\"string\"]}", "5",
		"#: #: no subschema matched out of the total 2 subschemas #: expected type: Null, found: Integer #: expected type: String, found: Integer"},
	{"{\"type\":[\"string\"]}", "5", "#: expected type: String, found: Integer"},
	{"{\"type\":[]}", "5", ""},
	/* objects */
	{"{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"a\":1}", "#/a: expected type: String, found: Integer"},
	{"{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"b\":1}", ""},
	{"{\"properties\":{\"a/b~\":{\"type\":\"string\"}}}", "{\"a/b~\":1}", "#/a~1b~0: expected type: String, found: Integer"},
	{"{\"properties\":{\"\\u0061\":{\"type\":\"string\"}}}", "{\"\\u0061\":1}", "#/a: expected type: String, found: Integer"},
	{"{\"properties\":{\"o\":{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"integer\"}}}}}", "{\"o\":{\"x\":\"\"}}",
		"#/o/x: expected type: Integer, found: String"},
	{"{\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"type\":\"string\"}}}", "{\"a\":1,\"b\":2}",
		"#: 2 schema violations found #/a: expected type: String, found: Integer #/b: expected type: String, found: Integer"},
	{"{\"properties\":{\"o\":{\"properties\":{\"x\":false,\"y\":false}},\"b\":false}}", "{\"o\":{\"x\":1,\"y\":2},\"b\":3}",
		"#: 3 schema violations found #/o: 2 schema violations found #/o/x: false schema always fails #/o/y: false schema always fails "
		"#/b: false schema always fails"},
	{"{\"required\":[\"k\"]}", "{}", "#: required key [k] not found"},
	{"{\"required\":[\"k\",\"k\",\"l\"],\"properties\":{\"k\":{\"type\":\"null\"}}}", "{\"k\":1}",
		"#: 2 schema violations found #: required key [l] not found #/k: expected type: Null, found: Integer"},
	{"{\"required\":[\"k\"]}", "7", ""},
	{"{\"required\":true}", "{}", ""},
	{"{\"properties\":{\"a\":true},\"additionalProperties\":false}", "{\"a\":1,\"b\":2}", "#: extraneous key [b] is not permitted"},
	{"{\"required\":[\"b\"],\"additionalProperties\":false}", "{\"b\":2}", "#: extraneous key [b] is not permitted"},
	{"{\"additionalProperties\":{\"type\":\"string\"}}", "{\"b\":2}", "#/b: expected type: String, found: Integer"},
	{"{\"patternProperties\":{\"^s_\":{\"type\":\"string\"}},\"additionalProperties\":false}", "{\"s_a\":1,\"s_b\":\"\"}",
		"#/s_a: expected type: String, found: Integer"},
	{"{\"patternProperties\":{\"^s_\":{}},\"additionalProperties\":false}", "{\"t\":1}", "#: extraneous key [t] is not permitted"},
	{"{\"patternProperties\":{\"a\":{\"minimum\":2}},\"properties\":{\"a\":{\"maximum\":3}}}", "{\"a\":1}", "#/a: 1 is not greater or equal to 2"},
	{"{\"patternProperties\":{\"(?=x)\":false},\"additionalProperties\":false}", "{\"t\":1}", ""},
	{"{\"propertyNames\":{\"maxLength\":2}}", "{\"abc\":1}", "#/abc: expected maxLength: 2, actual: 3"},
	{"{\"minProperties\":2}", "{\"a\":1}", "#: minimum size: [2], found: [1]"},
	{"{\"maxProperties\":1}", "{\"a\":1,\"b\":2}", "#: maximum size: [1], found: [2]"},
	/* arrays */
	{"{\"items\":{\"type\":\"string\"}}", "[\"\",2]", "#/1: expected type: String, found: Integer"},
	{"{\"items\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", "[1,null,{}]", "#/0: expected type: String, found: Integer"},
	{"{\"items\":[{}],\"additionalItems\":false}", "[1,2]", "#: expected: [1] array items, found: [2]"},
	{"{\"additionalItems\":{\"type\":\"null\"},\"items\":[{}]}", "[1,2]", "#/1: expected type: Null, found: Integer"},
	{"{\"items\":{\"type\":\"null\"},\"prefixItems\":[{}]}", "[1,2]", "#/1: expected type: Null, found: Integer"},
	{"{\"items\":{\"type\":\"null\"},\"additionalItems\":false}", "[null,null]", ""},
	{"{\"items\":false}", "[]", ""},
	{"{\"items\":false}", "[1]", "#/0: false schema always fails"},
	{"{\"minItems\":2}", "[1]", "#: expected minimum item count: 2, found: 1"},
	{"{\"maxItems\":1}", "[1,2]", "#: expected maximum item count: 1, found: 2"},
	{"{\"uniqueItems\":true}", "[1,\"1\",[1],{\"a\":1,\"b\":2},{\"b\":1,\"a\":2}]", ""},
	{"{\"uniqueItems\":true}", "[1,2,1.0]", "#: array items are not unique"},
	{"{\"uniqueItems\":true}", "[{\"a\":1,\"b\":[2]},{\"b\":[20e-1],\"a\":1}]", "#: array items are not unique"},
	{"{\"uniqueItems\":false}", "[1,1]", ""},
	/* numbers */
	{"{\"properties\":{\"a\":{\"minimum\":5}}}", "{\"a\":3}", "#/a: 3 is not greater or equal to 5"},
	{"{\"minimum\":5}", "5.0", ""},
	{"{\"minimum\":5,\"exclusiveMinimum\":true}", "5.0", "#: 5.0 is not greater than 5"},
	{"{\"exclusiveMinimum\":false,\"minimum\":5}", "5", ""},
	{"{\"exclusiveMinimum\":5}", "5", "#: 5 is not greater than 5"},
	{"{\"exclusiveMinimum\":5,\"minimum\":7}", "6", "#: 6 is not greater or equal to 7"},
	{"{\"maximum\":5}", "5.000000000000000000000000000001", "#: 5.000000000000000000000000000001 is not less or equal to 5"},
	{"{\"maximum\":5,\"exclusiveMaximum\":true}", "5", "#: 5 is not less than 5"},
	{"{\"exclusiveMaximum\":5}", "5", "#: 5 is not less than 5"},
	{"{\"minimum\":5}", "\"3\"", ""},
	{"{\"minimum\":-9223372036854775808,\"maximum\":9223372036854775807}", "9223372036854775808",
		"#: 9223372036854775808 is not less or equal to 9223372036854775807"},
	{"{\"multipleOf\":0.01}", "4999.99", ""},
	{"{\"multipleOf\":1e-10}", "0.1234567891", ""},
	{"{\"multipleOf\":0.01}", "4999.991", "#: 4999.991 is not a multiple of 0.01"},
	{"{\"multipleOf\":0.01}", "1.500", ""},
	{"{\"multipleOf\":0.01}", "12e-1", ""},
	{"{\"multipleOf\":0.01}", "1.2e-2", "#: 1.2e-2 is not a multiple of 0.01"},
	{"{\"multipleOf\":1}", "-7", ""},
	{"{\"multipleOf\":10}", "15", "#: 15 is not a multiple of 10"},
	{"{\"multipleOf\":2}", "7", "#: 7 is not a multiple of 2"},
	/* strings */
	{"{\"maxLength\":3}", "\"abcde\"", "#: expected maxLength: 3, actual: 5"},
	{"{\"maxLength\":3}", "\"\xc3\xa9\\ud83d\\ude00\\n\"", ""},
	{"{\"minLength\":4}", "\"\xc3\xa9\\ud83d\\ude00\\n\"", "#: expected minLength: 4, actual: 3"},
	{"{\"maxLength\":1e400}", "\"abc\"", ""},
	{"{\"pattern\":\"^y+$\"}", "\"x\"", "#: string [x] does not match pattern ^y+$"},
	{"{\"pattern\":\"\\\\d{2}\"}", "\"a12\"", ""},
	{"{\"pattern\":\"(a)\\\\1\"}", "\"b\"", ""},
	{"{\"pattern\":\"y\"}", "5", ""},
	{"{\"format\":\"date-time\"}", "\"tomorrow\"", ""},
	/* values */
	{"{\"enum\":[\"a\",1,null]}", "\"x\"", "#: x is not a valid enum value"},
	{"{\"enum\":[\"a\",1,null]}", "1.0", ""},
	{"{\"enum\":[\"a\",1,null]}", "null", ""},
	{"{\"enum\":[\"\\u0061\\/\"]}", "\"a/\"", ""},
	{"{\"enum\":[{\"x\":[1,2],\"y\":0}]}", "{\"y\":-0.0,\"x\":[1e0,2]}", ""},
	{"{\"enum\":[[1]]}", "[1,1]", "#: [1,1] is not a valid enum value"},
	{"{\"enum\":[]}", "1", "#: 1 is not a valid enum value"},
	{"{\"const\":null}", "null", ""},
	{"{\"const\":{\"a\":1}}", "{\"a\":2}", "#: {\"a\":2} is not the constant value"},
	{"{\"enum\":[\"aa\"],\"maxLength\":1}", "\"bb\"",
		"#: 2 schema violations found #: expected maxLength: 1, actual: 2 #: bb is not a valid enum value"},
	/* types and what is said of them */
	{"{\"type\":[\"null\",\"integer\"],\"minimum\":5}", "3",
		"#: #: no subschema matched out of the total 2 subschemas #: expected type: Null, found: Integer #: 3 is not greater or equal to 5"},
	{"{\"type\":[\"null\",\"integer\"],\"minimum\":5}", "null", ""},
	/* combined */
	{"{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"string\"}]}", "\"x\"", ""},
	{"{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"string\"}]}", "1",
		"#: #: no subschema matched out of the total 2 subschemas #: expected type: Null, found: Integer #: expected type: String, found: Integer"},
	{"{\"properties\":{\"d\":{\"anyOf\":[{\"type\":\"string\",\"format\":\"date-time\"},{\"type\":\"null\"}]}}}", "{\"d\":null}", ""},
	{"{\"oneOf\":[{\"minimum\":2},{\"minimum\":3}]}", "4", "#: #: 2 subschemas matched instead of one"},
	{"{\"oneOf\":[{\"minimum\":2},{\"minimum\":3}]}", "2", ""},
	{"{\"oneOf\":[{\"minimum\":2},{\"minimum\":3}]}", "1",
		"#: #: 0 subschemas matched instead of one #: 1 is not greater or equal to 2 #: 1 is not greater or equal to 3"},
	{"{\"allOf\":[{\"minimum\":2},{\"minimum\":3}]}", "2", "#: #: only 1 subschema matches out of 2 #: 2 is not greater or equal to 3"},
	{"{\"allOf\":[{\"properties\":{\"a\":{\"type\":\"null\"}}},{}]}", "{\"a\":null,\"b\":[{}]}", ""},
	{"{\"not\":{\"type\":\"null\"}}", "null", "#: subject must not be valid against schema {\"type\":\"null\"}"},
	{"{\"not\":{\"type\":\"null\"}}", "1", ""},
	{"{\"not\":{}}", "1", "#: subject must not be valid against schema {}"},
	/* references */
	{"{\"$ref\":\"#/definitions/x\",\"definitions\":{\"x\":{\"type\":\"string\"}}}", "1", "#: expected type: String, found: Integer"},
	{"{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"properties\":{\"a\":{\"$ref\":\"#/$defs/x\"}},\"$defs\":{\"x\":{\"type\":\"string\"}}}",
		"{\"a\":1}", "#/a: expected type: String, found: Integer"},
	{"{\"properties\":{\"n\":{\"$ref\":\"#\"},\"v\":{\"type\":\"integer\"}}}", "{\"n\":{\"n\":{\"v\":\"\"}}}",
		"#/n/n/v: expected type: Integer, found: String"},
	{"{\"type\":[\"object\"],\"properties\":{\"t\":{\"$ref\":\"#/definitions/sdc_recursive_string_array\"}},\"definitions\":"
	 "{\"sdc_recursive_string_array\":{\"type\":[\"null\",\"string\",\"array\"],\"items\":{\"$ref\":\"#/definitions/sdc_recursive_string_array\"}}}}",
		"{\"t\":[\"a\",[null,[\"b\"]]]}", ""},
	{"{\"properties\":{\"t\":{\"$ref\":\"#/definitions/r\"}},\"definitions\":{\"r\":{\"type\":[\"null\",\"array\"],\"items\":{\"$ref\":\"#/definitions/r\"}}}}",
		"{\"t\":[[1]]}",
		"#/t: #: no subschema matched out of the total 2 subschemas #/t: expected type: Null, found: JSONArray #/t/0: #: no subschema matched out of "
		"the total 2 subschemas #/t/0: expected type: Null, found: JSONArray #/t/0/0: #: no subschema matched out of the total 2 subschemas "
		"#/t/0/0: expected type: Null, found: Integer #/t/0/0: expected type: JSONArray, found: Integer"},
	{"{\"$ref\":\"#/definitions/a~1b%25~0\",\"definitions\":{\"a/b%~\":{\"type\":\"null\"}}}", "1", "#: expected type: Null, found: Integer"},
	{"{\"anyOf\":[{\"$ref\":\"#/x-mine/1/s\"}],\"x-mine\":[0,{\"s\":{\"type\":\"null\"}}]}", "null", ""},
	{"{\"$ref\":\"#/x\",\"x\":{\"$ref\":\"#/y\"},\"y\":{\"type\":\"null\"}}", "1", "#: expected type: Null, found: Integer"},
	{"{\"$ref\":\"#\"}", "1", "#: nested too deeply, or a schema that refers to itself"},
	/* left alone */
	{"{\"inclusion\":\"available\",\"selected\":true,\"type\":\"string\",\"default\":null,\"items\":null,\"maxLength\":null}", "\"abc\"", ""},
	{"{\"$id\":\"x\",\"title\":1,\"examples\":[],\"if\":{\"type\":\"null\"},\"then\":false}", "null", ""},
};

static const struct {
	const char *schema, *why;
} refused[] = {
	{"{\"type\":\"strng\"}", "unknown type: [strng]"},
	{"{\"properties\":{\"a\":{\"items\":[{\"type\":[\"null\",\"x\"]}]}}}", "unknown type: [x]"},
	{"{\"type\":5}", "type: expected type: String or JSONArray, found: Integer"},
	{"{\"type\":[5]}", "type: expected type: String, found: Integer"},
	{"{\"properties\":[]}", "properties: expected type: JSONObject, found: JSONArray"},
	{"{\"properties\":{\"a\":5}}", "schema: expected type: JSONObject or Boolean, found: Integer"},
	{"{\"required\":[1]}", "required: expected type: String, found: Integer"},
	{"{\"minimum\":\"5\"}", "minimum: expected type: Number, found: String"},
	{"{\"maxLength\":1.5}", "maxLength: expected type: Integer, not negative, found: Number"},
	{"{\"multipleOf\":0}", "multipleOf: 0 is not greater than 0"},
	{"{\"multipleOf\":12345678901234567890123456789012345678}", "multipleOf: more than 37 digits"},
	{"{\"anyOf\":{}}", "anyOf: expected type: JSONArray, found: JSONObject"},
	{"{\"$ref\":\"#/definitions/none\"}", "$ref: [#/definitions/none] is not in this document"},
	{"{\"$ref\":\"http://example.org/x\"}", "$ref: [http://example.org/x] is not in this document"},
	{"{\"$ref\":\"#/x/9\",\"x\":[1]}", "$ref: [#/x/9] is not in this document"},
};

static const struct {
	const char *pattern, *yes, *no;
} patterns[] = {
	{"", "x", NULL}, {"abc", "xabcx", "ab"}, {"^a.c$", "a\xe2\x82\xac" "c", "a\nc"}, {"^(a|bc|d)*$", "abcda", "abd"}, {"^a+$", "aaa", ""},
	{"^ab?c$", "ac", "abbc"}, {"^a{2,3}$", "aa", "aaaa"}, {"^a{2,}$", "aaaa", "a"}, {"^a{0}$", "", "a"}, {"^(ab){2}$", "abab", "ab"},
	{"^[a-c\\d_-]+$", "ab1-_", "d"}, {"^[^a]$", "\xf0\x9f\x98\x80", "a"}, {"\\bfoo\\b", "a foo b", "afoo"}, {"\\Bo", "fo", "o"},
	{"^\\w+@\\w+\\.com$", "me@x.com", "me@xxcom"}, {"^\\s$", "\xc2\xa0", "x"}, {"^\\S\\D\\W$", "ab-", "a1-"}, {"^\\u00e9\\x41$", "\xc3\xa9" "A", "eA"},
	{"^\\ud83d\\ude00$", "\xf0\x9f\x98\x80", "x"}, {"a{", "a{", "a"}, {"^(?:a|b)(?<n>c)$", "bc", "c"}, {"^a*?$", "aa", "b"}, {"[\\D]", "x", "1"},
	{"^[]]", NULL, "]"}, {"^[^]$", "x", ""}, {"^(a*)*$", "aaa", "b"}, {"^(a|)+$", "aa", "b"}, {"^\\d{4}-\\d{2}-\\d{2}$", "2024-01-02", "2024-1-02"},
	{"^[A-Za-z]:\\\\$", "C:\\", "C:/"}, {"x$|^y", "yx", "xy "}, {"^(\\/[^/]+)+$", "/a/b", "a/b"}, {"[+-]?\\d", "-1", "-"}, {"^\\0$", NULL, "x"},
};

static const char *const not_understood[] = {"(?=a)", "(?!a)", "(?<=a)", "(?<!a)", "(a)\\1", "\\p{L}", "(?i)a", "(", ")", "a**", "*", "[a", "[b-a]", "\\q",
	"a{3,2}", "(a{1000}){1000}", "((((((((((?:){9}){9}){9}){9}){9}){9}){9}){9}){9}){9}", "^*", "\\", "a{0000000000000000000000001}"};

static bool matches(const char *pattern, const char *text)
{
	uint32_t work = 1000000;
	struct pattern *p = pattern_new(str_c(pattern), &work);
	uint64_t steps = 1000000;
	int m = p ? pattern_match(p, str_c(text), &steps) : -1;

	pattern_free(p);
	return m > 0;
}

static void test_patterns(void)
{
	struct pattern *p;
	uint64_t steps = 100000000;
	uint32_t work = 1000000;
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
		ok(!patterns[i].yes || matches(patterns[i].pattern, patterns[i].yes), "%s: a match", patterns[i].pattern);
		ok(!patterns[i].no || !matches(patterns[i].pattern, patterns[i].no), "%s: none", patterns[i].pattern);
	}
	for (size_t i = 0; i < ARRAY_LEN(not_understood); i++) {
		uint32_t enough = 1000000;

		p = pattern_new(str_c(not_understood[i]), &enough);
		ok(!p, "not understood: %s", not_understood[i]);
		pattern_free(p);
	}
	/* what takes a backtracking engine for ever */
	p = pattern_new(STR("^(a+)+(a|aa)*$"), &work);
	for (int i = 0; i < 50000; i++)
		buf_addc(&text, 'a');
	buf_addc(&text, 'b');
	is_int(0, pattern_match(p, buf_str(&text), &steps), "nested repetitions over 50,000 characters");
	ok(steps > 90000000, "in linear time");
	steps = 1000;
	is_int(-1, pattern_match(p, buf_str(&text), &steps), "the bound of steps");
	pattern_free(p);
	buf_free(&text);
}

static void test_table(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;
		struct jschema *s = jschema_new(str_c(cases[i].schema), &e);
		struct buf why = BUF_INIT;
		uint64_t steps = 1000000;
		bool fine;

		if (!ok(s != NULL, "%s: compiled", cases[i].schema)) {
			diag("%s", e.text);
			continue;
		}
		fine = jschema_check(s, str_c(cases[i].value), &steps, &why);
		is_str(cases[i].why, buf_cstr(&why), "%.60s %.40s", cases[i].schema, cases[i].value);
		ok(fine == !why.len, "verdict and text agree");
		buf_free(&why);
		jschema_free(s);
	}
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct err e = ERR_INIT;
		struct jschema *s = jschema_new(str_c(refused[i].schema), &e);

		ok(!s, "refused: %s", refused[i].schema);
		is_str(refused[i].why, e.text, "why");
		jschema_free(s);
	}
}

/* A schema that has its value read 2^40 times, and one of a length above the limit. */
static void test_bounds(void)
{
	struct buf text = BUF_INIT, why = BUF_INIT;
	struct err e = ERR_INIT;
	struct jschema *s;
	uint64_t steps = 1000000;

	buf_adds(&text, "{\"$ref\":\"#/definitions/x0\",\"definitions\":{");
	for (int i = 0; i < 40; i++)
		buf_addf(&text, "\"x%d\":{\"allOf\":[{\"$ref\":\"#/definitions/x%d\"},{\"$ref\":\"#/definitions/x%d\"}]},", i, i + 1, i + 1);
	buf_adds(&text, "\"x40\":{\"type\":\"null\"}}}");
	s = jschema_new(buf_str(&text), &e);
	ok(s && !jschema_check(s, STR("null"), &steps, &why), "2^40 branches");
	is_str("#: the schema takes too much work on this record", buf_cstr(&why), "are too many");
	jschema_free(s);
	buf_truncate(&text, 0);
	buf_adds(&text, "{\"description\":\"");
	for (unsigned i = 0; i < JSCHEMA_TEXT_MAX; i++)
		buf_addc(&text, 'x');
	buf_adds(&text, "\"}");
	ok(!jschema_new(buf_str(&text), &e), "a schema longer than 1 MiB");
	is_str("it is longer than 1048576 bytes", e.text, "why");
	buf_truncate(&text, 0);
	buf_adds(&text, "{\"allOf\":[");
	for (unsigned i = 0; i < JSCHEMA_NODES_MAX; i++)
		buf_adds(&text, i ? ",{}" : "{}");
	buf_adds(&text, "]}");
	ok(!jschema_new(buf_str(&text), &e), "too many subschemas");
	is_str("more than 100000 subschemas", e.text, "why");
	buf_truncate(&text, 0);
	buf_adds(&text, "{\"allOf\":[");
	for (unsigned i = 0; i < 20000; i++)
		buf_addf(&text, "{\"$ref\":\"#/q/z%u\"},", i);
	buf_adds(&text, "{}],\"q\":{");
	for (unsigned i = 0; i < 20000; i++)
		buf_addf(&text, "\"z%u\":{},", i);
	buf_adds(&text, "\"y\":0}}");
	ok(!jschema_new(buf_str(&text), &e), "references that are far");
	is_str("too many references", e.text, "why");
	buf_truncate(&text, 0);
	buf_adds(&text, "{\"patternProperties\":{\"a\":{}");
	for (unsigned i = 0; i < 10000; i++)
		buf_addf(&text, ",\"a{19%u}\":{}", i % 100);
	buf_adds(&text, "}}");
	ok(!jschema_new(buf_str(&text), &e), "patterns that grow");
	is_str("it takes more than 33554432 bytes of memory", e.text, "why");
	buf_truncate(&text, 0);
	buf_adds(&text, "{\"patternProperties\":{\"(?=a)\":{}");
	for (unsigned i = 0; i < 30000; i++)
		buf_addf(&text, ",\"(?=a)%u\":{}", i);
	buf_adds(&text, "}}");
	s = jschema_new(buf_str(&text), &e);
	buf_truncate(&why, 0);
	buf_adds(&why, "{\"a\":1");
	for (unsigned i = 0; i < 1000; i++)
		buf_addf(&why, ",\"k%u\":1", i);
	buf_adds(&why, "}");
	steps = 1000000;
	ok(s && !jschema_check(s, buf_str(&why), &steps, NULL), "patterns that are not understood take steps too");
	jschema_free(s);
	buf_free(&text);
	buf_free(&why);
}

/* A list with what goes n times between first and last. */
static struct str many(struct buf *b, const char *first, unsigned n, const char *each, const char *last)
{
	buf_truncate(b, 0);
	buf_adds(b, first);
	for (unsigned i = 0; i < n; i++)
		buf_addf(b, "%s%s", i ? "," : "", each);
	buf_adds(b, last);
	return buf_str(b);
}

/* Little text that would take much time, uncounted. */
static void test_cheap(void)
{
	static const char *over = "#: the schema takes too much work on this record";
	struct buf text = BUF_INIT, value = BUF_INIT, why = BUF_INIT;
	struct err e = ERR_INIT;
	struct jschema *s;
	uint64_t steps = 1000000;

	ok(!jschema_new(many(&text, "{\"allOf\":[", 1000, "{\"pattern\":\"((){2000}){50}\"}", "]}"), &e), "patterns that are read again and again");
	is_str("its patterns take too much work", e.text, "why");
	buf_truncate(&text, 0);
	buf_addf(&text, "{\"minimum\":1.%02000d}", 0);
	ok(!jschema_new(buf_str(&text), &e), "a limit of 2,000 digits");
	is_str("minimum: a number of more than 1000 characters", e.text, "why");

	s = jschema_new(many(&text, "{\"items\":{\"allOf\":[", 100000, "true", "]}}"), &e);
	ok(s && !jschema_check(s, many(&value, "[", 1000, "1", "]"), &steps, &why), "schemas that say nothing");
	is_str(over, buf_cstr(&why), "take steps");
	jschema_free(s);

	buf_truncate(&text, 0);
	buf_adds(&text, "{\"items\":{\"required\":[\"p0\"],\"properties\":{\"p0\":{}");
	for (unsigned i = 1; i < 10000; i++)
		buf_addf(&text, ",\"p%u\":{}", i);
	buf_adds(&text, "}}}");
	s = jschema_new(buf_str(&text), &e);
	steps = 1000000;
	buf_truncate(&why, 0);
	ok(s && !jschema_check(s, many(&value, "[", 1000, "{\"p0\":1}", "]"), &steps, &why), "many properties of many objects");
	is_str(over, buf_cstr(&why), "take steps");
	jschema_free(s);

	s = jschema_new(STR("{\"items\":{\"type\":\"null\"}}"), &e);
	steps = 1000000;
	ok(s && !jschema_check(s, many(&value, "[", 10000, "1", "]"), &steps, &why), "many violations");
	ok(steps < 990000, "to tell them takes steps");
	jschema_free(s);
	buf_free(&text);
	buf_free(&value);
	buf_free(&why);
}

static void test_fields(void)
{
	struct err e = ERR_INIT;
	struct jschema *s = jschema_new(STR("{\"type\":\"object\",\"required\":[\"i\",\"r\"],\"properties\":{\"i\":{\"type\":[\"null\",\"integer\"]},"
		"\"s\":{\"type\":\"string\",\"maxLength\":2},\"d\":{\"type\":\"string\",\"format\":\"date-time\"}},\"additionalProperties\":false}"), &e);
	uint64_t steps = 1000;
	struct jfield f;

	ok(s && jschema_is_plain(s), "plain");
	is_int(2, (int)jschema_required(s), "two are required");
	f = jschema_field(s, STR("i"));
	is_int(1 << J_NULL | 1 << J_INTEGER | 1 << J_BIGNUM, f.accepts, "kinds that need no look");
	ok(f.required, "required");
	ok(jschema_field_check(s, f.node, J_NUMBER, STR("1.0"), &steps), "a whole number with a point conforms at the second look");
	ok(!jschema_field_check(s, f.node, J_NUMBER, STR("1.5"), &steps), "another does not");
	is_int(0, jschema_field(s, STR("s")).accepts, "a string with a length: all need a look");
	is_int(1 << J_STRING, jschema_field(s, STR("d")).accepts, "a format needs none");
	f = jschema_field(s, STR("r"));
	ok(f.required && !f.accepts && !jschema_field_check(s, f.node, J_INTEGER, STR("1"), &steps), "required and not allowed");
	jschema_free(s);
	s = jschema_new(STR("{\"anyOf\":[{}]}"), &e);
	ok(s && !jschema_is_plain(s), "not plain");
	jschema_free(s);
	s = jschema_new(STR("{\"pattern\":\"(?=a)\",\"patternProperties\":{\"\\\\p{L}\":{}}}"), &e);
	ok(s && jschema_patterns_ignored(s) == 2, "patterns that are not understood are counted");
	ok(jschema_bytes(s) > 100, "its memory");
	jschema_free(s);
	s = jschema_new(STR("{}"), &e);
	is_int(JSCHEMA_ALL, jschema_field(s, STR("x")).accepts, "no schema, no look");
	jschema_free(s);
}

int main(void)
{
	test_table();
	test_patterns();
	test_bounds();
	test_cheap();
	test_fields();
	return done_testing();
}
