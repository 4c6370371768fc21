/*
 * 0010-jscan.c - the JSON scanner: verdicts on documents that are JSON and on near misses, tokens and slices, skipping, escapes, depth, minifying.
 * Each input is scanned from memory of its exact size, so that a read past its end is seen by the sanitizer.
 */
#include "jscan.h"

#include "tap.h"
#include "xalloc.h"

#define D(literal) {(literal), sizeof(literal) - 1}

struct doc {
	const char *p;
	size_t n;
};

static bool valid(struct doc d, const char **error, size_t *at)
{
	char *copy = xmemdup(d.p, d.n);
	bool yes = jscan_valid(copy, d.n, 0, error, at);

	free(copy);
	return yes;
}

/* For messages: control characters as dots. */
static const char *shown(struct doc d)
{
	static char text[64];
	size_t n = MIN(d.n, sizeof(text) - 1);

	for (size_t i = 0; i < n; i++)
		text[i] = d.p[i] >= 0x20 && d.p[i] < 0x7f && d.p[i] != '#' ? d.p[i] : '.';
	text[n] = '\0';
	return text;
}

static void good(void)
{
	static const struct doc docs[] = {
		/* values at the top, blanks around them */
		D("null"), D("true"), D("false"), D("0"), D("-0"), D("42"), D("\"\""), D("[]"), D("{}"), D(" \t\r\n[] \t\r\n"), D("\"x\" "), D("\n1"),
		/* arrays */
		D("[1]"), D("[1,2,3]"), D("[ ]"), D("[[]]"), D("[[],[[]]]"), D("[null,1,\"1\",{}]"), D("[1,null,null,null,2]"), D(" [1]"), D("[2] "), D("[\"a\"]"),
		D("[\r\n1\t,\n2 ]"),
		/* objects */
		D("{\"a\":1}"), D("{\"a\":1,\"b\":2}"), D("{\"\":0}"), D("{\"a\":{}}"), D("{\"a\":[]}"), D("{\"a\":\"b\",\"a\":\"c\"}"), D("{\"a\":1,\"a\":1}"),
		D("{ }"), D("{ \"a\" : 1 , \"b\" : [ ] }"), D("{\"foo\\u0000bar\":42}"), D("{\"a\\\"b\":1}"), D("{\"\xc3\xa9\":1}"), D("{\n\"a\": \"b\"\n}"),
		D("{\"title\":\"\\u041f\\u043e\\u043b\\u0442\\u043e\\u0440\\u0430\"}"),
		/* numbers */
		D("123.456"), D("-1"), D("-0.0"), D("0.1"), D("1e5"), D("1E5"), D("1e+5"), D("1E-5"), D("0e1"), D("0e+1"), D("-0e-0"), D("1.5e10"), D("1e0005"),
		D("[123e65]"), D("[20e1]"), D("[-123]"), D("[123e-10000000]"), D("[1.5e+9999]"), D("[-1e+9999]"), D("100000000000000000000"),
		D("-237462374673276894279832749832423479823246327846"), D("[-0.000000000000000000000000000000000000000000000000000000000000000000000000001]"),
		/* strings */
		D("\"asd\""), D("\" \""), D("\"a/*b*/c\""), D("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), D("\"\\u0060\\u012a\\u12AB\""), D("\"\\uD801\\udc37\""),
		D("\"\\uDBFF\\uDFFF\""), D("\"\\ud83d\\ude39\\ud83d\\udc8d\""), D("\"\\u0000\""), D("\"\\uFFFF\""), D("\"\\uFDD0\\uFFFE\""), D("\"\\u200B\\u2028\\u2029\""),
		D("\"\\\\u0000\""), D("\"\\\\n\""), D("\"\\\\\""), D("\"\x7f\""), D("\"new\\u00A0line\""), D("\"\\ud7ff\\ue000\""), D("\"\\u005C\\u0022\""),
		/* UTF-8: the first and last of each length */
		D("\"\xc2\x80\xdf\xbf\""), D("\"\xe0\xa0\x80\xef\xbf\xbf\""), D("\"\xed\x9f\xbf\xee\x80\x80\""), D("\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""),
		D("\"\xe2\x80\xa8\xe2\x80\xa9\""), D("\"\xef\xbb\xbf\""), D("\"\xf0\x9f\x98\x80 0123456789abcdef \xe6\x9d\xb1\xe4\xba\xac 0123456789abcdef\""),
	};

	for (size_t i = 0; i < ARRAY_LEN(docs); i++) {
		const char *error = "x";

		ok(valid(docs[i], &error, NULL) && !error, "valid: %s", shown(docs[i]));
	}
}

static void bad(void)
{
	static const struct doc docs[] = {
		/* nothing, or too much */
		D(""), D(" "), D("\t\n"), D("1 2"), D("[]]"), D("{}}"), D("[][]"), D("[1]x"), D("{\"a\":1}/**/"), D("{\"a\":1}//"), D("{\"a\":1}#"), D("\"a\"\"b\""),
		D("1]"), D("null\0"), D("[]\0"), D("\0"), D("true,"), D("\xef\xbb\xbf{}"), D("\xff\xfe"), D("[]\xc2\xa0"), D("\xe2\x81\xa0"), D("\f[]"), D("[\v]"),
		/* literals */
		D("nul"), D("nulll"), D("True"), D("TRUE"), D("tru"), D("truth"), D("fals"), D("FALSE"), D("undefined"), D("NaN"), D("-NaN"), D("Infinity"),
		D("-Infinity"), D("[nan]"), D("[Inf]"), D("[a]"), D("*"), D("<null>"), D("'a'"), D("@"), D("t"), D("f"), D("n"), D("-"), D("[fals]"), D("\x80"),
		/* arrays */
		D("["), D("[1"), D("[1,"), D("[1,]"), D("[,1]"), D("[,]"), D("[1,,2]"), D("[1 2]"), D("[1 true]"), D("[1:2]"), D("[\"a\":1]"), D("[\"a\" \"b\"]"), D("[x"),
		D("[\"x\"]]"), D("[1}"), D("]"), D("[\"\"],"), D("[3[4]]"), D("[*]"), D("[<null>]"), D("[--1]"), D("[1\n,4\n,2"), D("[\n1"), D("[{}"), D("[{]"), D("[}"), D("[[]"),
		/* objects */
		D("{"), D("{\"a\""), D("{\"a\":"), D("{\"a\":1"), D("{\"a\":1,"), D("{\"a\":1,}"), D("{,\"a\":1}"), D("{\"a\":1,,\"b\":2}"), D("{\"a\",1}"), D("{\"a\"}"),
		D("{\"a\" 1}"), D("{\"a\"::1}"), D("{:1}"), D("{1:1}"), D("{a:1}"), D("{'a':1}"), D("{null:1}"), D("{[]:1}"), D("{{}:1}"), D("{\"a\":1 \"b\":2}"), D("{\"a\":}"),
		D("{\"a\":1]"), D("}"), D("{]"), D("{\"a\":1:2}"), D("{\"a\":a"), D("{\"a\":\"b\"}#{}"), D("{\"x\",null}"), D("{\"id\":0,}"), D("{\"id\":0,,,}"), D("{\"a\":/*x*/1}"),
		D("{\"\\ud800\":1}"), D("{\"a\x01\":1}"), D("{\"a\\x\":1}"), D("{\"a\"\xc2\xa0:1}"),
		/* numbers */
		D("+1"), D("++1"), D("01"), D("-01"), D("00"), D("-"), D("-a"), D("- 1"), D("1."), D("-1."), D(".5"), D("-.5"), D("1.e1"), D("0.e1"), D("1e"), D("1e+"), D("1E-"),
		D("1e1.5"), D("1e1e1"), D("0x1"), D("0x"), D("1_000"), D("1,000"), D("1.2.3"), D("1a"), D("1ea"), D("1+2"), D("-2."), D("0.1.2"), D("[0e]"), D("[0e+]"), D("[1.0e]"),
		D("[1 000.0]"), D("[1eE2]"), D("[2.e3]"), D("[-1x]"), D("[1.8011670033376514H-308]"), D("[\xef\xbc\x91]"), D("[0.3e+]"), D("[9.e+]"), D("[012]"), D("[-012]"),
		/* strings */
		D("\""), D("\"a"), D("\"\\"), D("\"\\\""), D("\"\\u"), D("\"\\u1"), D("\"\\u12"), D("\"\\u123"), D("\"\\u1234"), D("\"\\u123\""), D("\"\\u00A\""), D("\"\\uqqqq\""),
		D("\"\\u 123\""), D("\"\\U0041\""), D("\"\\a\""), D("\"\\x41\""), D("\"\\0\""), D("\"\\'\""), D("\"\\ \""), D("\"\\\n\""), D("\"\\\x01\""), D("\"\\\xf0\x9f\x8c\x80\""),
		D("\"\\\xe5\""), D("\"a\nb\""), D("\"\t\""), D("\"\x00\""), D("\"\x1f\""), D("\"\r\""), D("\"0123456789abcdef\x1f\""), D("\"\\u\xe5\""), D("\"\\\\\\\""),
		D("\"0123456789abcde\nf\""), D("\"\\u00g0\""), D("\"\\u+041\""), D("\"\\u-041\""), D("\"\\u0x41\""),
		/* surrogates */
		D("\"\\ud800\""), D("\"\\udc00\""), D("\"\\ud800\\n\""), D("\"\\ud800\\u\""), D("\"\\ud800\\u1\""), D("\"\\ud800\\u0041\""), D("\"\\ud800\\ud800\""),
		D("\"\\udc00\\ud800\""), D("\"\\udc00\\udc00\""), D("\"\\udfff\\udfff\""), D("\"\\ud800abcdef\""), D("\"\\ud83d\\ude00\\ude00\""), D("\"\\uDBFF\\uE000\""), D("\"\\ud800\\"), D("\"\\ud800\\uD"), D("\"\\ud800"),
		D("\"\\ud800\\udc0\""), D("\"\\ud800\\udbff\""), D("\"\\ud800x\\udc00\""),
		/* UTF-8 */
		D("\"\x80\""), D("\"\xbf\""), D("\"\xc0\xaf\""), D("\"\xc0\x80\""), D("\"\xc1\xbf\""), D("\"\xc2\""), D("\"\xc2\xc2\""), D("\"\xc2"), D("\"\xe0\x80\x80\""), D("\"\xe0\x9f\xbf\""),
		D("\"\xe6\x9d\""), D("\"\xe6\x9d"), D("\"\xe6\""), D("\"\xed\xa0\x80\""), D("\"\xed\xbf\xbf\""), D("\"\xed\xa0\x80\xed\xb0\x80\""), D("\"\xf0\x80\x80\x80\""),
		D("\"\xf0\x8f\xbf\xbf\""), D("\"\xf0\x9f\x98\""), D("\"\xf0\x9f\x98"), D("\"\xf4\x90\x80\x80\""), D("\"\xf5\x80\x80\x80\""), D("\"\xf8\x88\x80\x80\x80\""), D("\"\xfc\x84\x80\x80\x80\x80\""),
		D("\"\xfe\""), D("\"\xff\""), D("\"0123456789abcdef\xff\""), D("\"\xe9\""), D("[\xc3\xa9]"), D("\"\xf0\x9f\x98\x80\x80\""), D("\"\xc3\xa9\xe9\""),
	};

	for (size_t i = 0; i < ARRAY_LEN(docs); i++) {
		const char *error = NULL;
		size_t at = 99999;

		ok(!valid(docs[i], &error, &at) && error && at <= docs[i].n, "refused: %s", shown(docs[i]));
	}
}

static void errors(void)
{
	static const struct {
		const char *s, *error;
		size_t at;
	} cases[] = {
		{"", "there is no value", 0}, {"  ", "there is no value", 2}, {"[1,", "the text ends within the document", 3}, {"{\"a\" 1}", "a colon is expected", 5},
		{"[1 2]", "a comma or ] is expected", 3}, {"{\"a\":1 2}", "a comma or } is expected", 7}, {"{1}", "a key in quotes is expected", 1},
		{"[01]", "invalid number", 1}, {"[tru]", "invalid literal", 1}, {"[1] x", "more text after the value", 4}, {"\"ab\\q\"", "invalid escape", 3},
		{"\"a\\udc00\"", "lone surrogate", 2}, {"\"a\x80\"", "invalid UTF-8", 2}, {"\"a\nb\"", "a control character in a string", 2}, {"\"ab", "a string is not closed", 3},
		{"[}", "a value is expected", 1},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *error = "";
		size_t at = 99999;

		ok(!jscan_valid(cases[i].s, strlen(cases[i].s), 0, &error, &at), "an error in case %zu", i);
		is_str(cases[i].error, error, "its text");
		is_int((int64_t)cases[i].at, (int64_t)at, "its place");
	}
}

/* A quote, a bad byte and an escape at each place of a long string, from each alignment. */
static void long_strings(void)
{
	unsigned wrong = 0;

	for (size_t len = 0; len < 70; len++)
		for (size_t at = 0; at < len; at++) {
			static const char odd[] = {'"', '\\', '\n', '\xff', '\xc3', '\x1f', '\0', '\x80', 'x', '\x7f', ' ', '!', '#', '[', ']'};

			for (size_t k = 0; k < sizeof(odd); k++) {
				char *p = xmalloc(len + 2);
				bool fine = k >= 8; /* the others: more text, \a or \" at the end, a control character, no UTF-8 */

				memset(p, 'a', len + 2);
				p[0] = p[len + 1] = '"';
				p[1 + at] = odd[k];
				wrong += jscan_valid(p, len + 2, 0, NULL, NULL) != fine;
				free(p);
			}
		}
	is_int(0, wrong, "odd bytes are found at every place of strings up to 70 bytes");
}

static void tokens(void)
{
	static const char text[] = " {\"a\" : [1, -2.5e3, true,false,null,\"x\\n\"] , \"b\\u0041\":{}} ";
	static const struct {
		enum jscan_token t;
		const char *s;
		unsigned depth;
	} wanted[] = {
		{JSCAN_OBJECT, "{", 1}, {JSCAN_KEY, "\"a\"", 1}, {JSCAN_ARRAY, "[", 2}, {JSCAN_NUMBER, "1", 2}, {JSCAN_NUMBER, "-2.5e3", 2}, {JSCAN_TRUE, "true", 2},
		{JSCAN_FALSE, "false", 2}, {JSCAN_NULL, "null", 2}, {JSCAN_STRING, "\"x\\n\"", 2}, {JSCAN_ARRAY_END, "]", 1}, {JSCAN_KEY, "\"b\\u0041\"", 1},
		{JSCAN_OBJECT, "{", 2}, {JSCAN_OBJECT_END, "}", 1}, {JSCAN_OBJECT_END, "}", 0}, {JSCAN_END, "", 0}, {JSCAN_END, "", 0},
	};
	struct jscan s;

	jscan_init(&s, text, sizeof(text) - 1, 0);
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		is_int(wanted[i].t, jscan_next(&s), "token %zu", i);
		if (wanted[i].t)
			is_slice(wanted[i].s, s.tok, "its text");
		else
			ok(!s.tok.len, "no text");
		is_int(wanted[i].depth, s.depth, "its depth");
		if (s.tok.len && (wanted[i].t == JSCAN_KEY || wanted[i].t == JSCAN_STRING))
			ok(s.tok_escaped == (strchr(wanted[i].s, '\\') != NULL), "escaped or not");
		if (wanted[i].t == JSCAN_NUMBER)
			ok(s.tok_integer == (wanted[i].s[0] == '1'), "integer or not");
	}
	jscan_init(&s, "[1.5,1e5,15]", 12, 0);
	ok(jscan_next(&s) == JSCAN_ARRAY && jscan_next(&s) == JSCAN_NUMBER && !s.tok_integer, "a fraction is no integer");
	ok(jscan_next(&s) == JSCAN_NUMBER && !s.tok_integer, "with an exponent it is none");
	ok(jscan_next(&s) == JSCAN_NUMBER && s.tok_integer, "15 is one");
	jscan_init(&s, "[1,x", 4, 0);
	is_int(JSCAN_ARRAY, jscan_next(&s), "an array");
	is_int(JSCAN_NUMBER, jscan_next(&s), "its number");
	is_int(JSCAN_ERROR, jscan_next(&s), "then an error");
	is_int(JSCAN_ERROR, jscan_next(&s), "which stays");
	is_int(JSCAN_ERROR, jscan_skip(&s), "for skip, too");
	is_int(3, (int64_t)s.error_at, "at its place");
	jscan_init(&s, NULL, 0, 0);
	is_int(JSCAN_ERROR, jscan_next(&s), "no bytes at all");
}

static void skip_to(struct jscan *s, enum jscan_token t, const char *tok, const char *what)
{
	is_int(t, jscan_skip(s), "skip %s", what);
	is_slice(tok, s->tok, "%s is the slice", what);
}

static void skipping(void)
{
	static const char text[] = "[ {\"a\": [1,[2]], \"b\":{\"c\":{}}}, [ ], {}, [[1],{\"}\":\"]\"}], {\"k\": \"v\", \"n\" :-1,\"l\":[ true ],\"o\":{ },\"t\":true} , 7]";
	struct jscan s;

	jscan_init(&s, text, sizeof(text) - 1, 0);
	skip_to(&s, JSCAN_ARRAY, text, "a whole document");
	is_int(JSCAN_END, jscan_next(&s), "which was all");

	jscan_init(&s, text, sizeof(text) - 1, 0);
	is_int(JSCAN_ARRAY, jscan_next(&s), "into the array");
	is_int(JSCAN_OBJECT, jscan_next(&s), "an object");
	skip_to(&s, JSCAN_OBJECT, "{\"a\": [1,[2]], \"b\":{\"c\":{}}}", "an object after its bracket");
	is_int(JSCAN_ARRAY, jscan_next(&s), "an array");
	skip_to(&s, JSCAN_ARRAY, "[ ]", "an empty array after its bracket");
	skip_to(&s, JSCAN_OBJECT, "{}", "the item that follows");
	is_int(JSCAN_ARRAY, jscan_next(&s), "an array");
	is_int(JSCAN_ARRAY, jscan_next(&s), "in an array");
	skip_to(&s, JSCAN_ARRAY, "[1]", "the inner one");
	skip_to(&s, JSCAN_OBJECT, "{\"}\":\"]\"}", "brackets in strings");
	is_int(JSCAN_ARRAY_END, jscan_next(&s), "end of the outer one");
	is_int(JSCAN_OBJECT, jscan_next(&s), "an object");
	is_int(JSCAN_KEY, jscan_next(&s), "its key");
	skip_to(&s, JSCAN_STRING, "\"v\"", "a string after its key");
	is_int(JSCAN_KEY, jscan_next(&s), "its key");
	skip_to(&s, JSCAN_NUMBER, "-1", "a number after its key");
	is_int(JSCAN_KEY, jscan_next(&s), "its key");
	skip_to(&s, JSCAN_ARRAY, "[ true ]", "an array after its key");
	is_int(JSCAN_KEY, jscan_next(&s), "its key");
	skip_to(&s, JSCAN_OBJECT, "{ }", "an object after its key");
	is_int(JSCAN_KEY, jscan_next(&s), "its key");
	skip_to(&s, JSCAN_TRUE, "true", "a word after its key");
	is_int(JSCAN_OBJECT_END, jscan_next(&s), "end of the object");
	skip_to(&s, JSCAN_NUMBER, "7", "a last item");
	is_int(1, s.depth, "the depth is right again");
	is_int(JSCAN_ARRAY_END, jscan_next(&s), "end of all");
	is_int(JSCAN_END, jscan_skip(&s), "skip at the end is the end");

	jscan_init(&s, "{\"a\":[1,{\"b\":}]}", 16, 0);
	is_int(JSCAN_OBJECT, jscan_next(&s), "an object");
	is_int(JSCAN_KEY, jscan_next(&s), "its key");
	is_int(JSCAN_ERROR, jscan_skip(&s), "an error within what is skipped");
	is_int(13, (int64_t)s.error_at, "at its place");
	jscan_init(&s, "[[1,2]", 6, 0);
	is_int(JSCAN_ARRAY, jscan_next(&s), "an array");
	is_int(JSCAN_ERROR, jscan_skip(&s), "the end within what is skipped");
}

static void depth(void)
{
	const unsigned most = JSCAN_MAX_DEPTH, deep = 100000;
	struct buf b = BUF_INIT;
	const char *error;
	size_t at;

	for (unsigned i = 0; i < most; i++)
		buf_adds(&b, i % 3 ? "[" : "{\"a\":");
	buf_addc(&b, '1');
	for (unsigned i = most; i-- > 0;)
		buf_addc(&b, i % 3 ? ']' : '}');
	ok(jscan_valid(b.data, b.len, 0, NULL, NULL), "%u levels are taken", most);
	ok(!jscan_valid(b.data, b.len, most - 1, &error, NULL), "not with a lower limit");
	is_str("nested too deeply", error, "and why");
	ok(jscan_valid(b.data, b.len, most + 1, NULL, NULL), "a limit above the highest is the highest");
	buf_addc(&b, ']');
	memmove(b.data + 1, b.data, b.len - 1);
	b.data[0] = '[';
	ok(!jscan_valid(b.data, b.len, most + 1000, NULL, NULL), "one more is refused, whatever the limit");
	b.data[0] = ' ';
	buf_truncate(&b, b.len - 1);
	b.data[b.len - most] = b.data[b.len - most] == ']' ? '}' : ']';
	ok(!jscan_valid(b.data, b.len, 0, NULL, NULL), "a wrong bracket at the bottom is seen");
	buf_truncate(&b, 0);
	for (unsigned i = 0; i < deep; i++)
		buf_addc(&b, '[');
	ok(!jscan_valid(b.data, b.len, 0, &error, &at), "%u brackets are refused", deep);
	is_str("nested too deeply", error, "and why");
	is_int(most, (int64_t)at, "at the first too many");
	ok(jscan_valid("[[1],[2],{}]", 12, 2, NULL, NULL) && !jscan_valid("[[[]]]", 6, 2, NULL, NULL), "a limit of 2");
	ok(jscan_valid("1", 1, 1, NULL, NULL) && jscan_valid("[]", 2, 1, NULL, NULL) && !jscan_valid("[[]]", 4, 1, NULL, NULL), "a limit of 1");
	buf_free(&b);
}

static void means(struct str tok, struct str wanted)
{
	struct buf b = BUF_INIT;

	jscan_unescape(tok, &b);
	ok(str_eq(buf_str(&b), wanted), STR_FMT " is read right", STR_ARG(tok));
	ok(jscan_string_is(tok, wanted), "and compares so");
	buf_free(&b);
}

static void escapes(void)
{
	static const char *const not_abc[] = {"", "a", "ab", "abcd", "abC", "xbc"};
	struct buf b = BUF_INIT;

	means(STR("\"\""), STR(""));
	means(STR("\"abc\""), STR("abc"));
	means(STR("abc"), STR("abc"));
	means(STR("\\u0022abc\\\""), STR("\"abc\""));
	means(STR("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), STR("\"\\/\b\f\n\r\t"));
	means(STR("\"a\\u0000b\""), str_mem("a\0b", 3));
	means(STR("\"\\u00e9\\u00E9\""), STR("\xc3\xa9\xc3\xa9"));
	means(STR("\"\\u007f\\u0080\\u07ff\\u0800\\uffff\""), STR("\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"));
	means(STR("\"\\ud83d\\ude00\""), STR("\xf0\x9f\x98\x80"));
	means(STR("\"\\ud800\\udc00\\uDBFF\\uDFFF\""), STR("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"));
	means(STR("\"\xf0\x9f\x98\x80 x\\n\""), STR("\xf0\x9f\x98\x80 x\n"));
	means(STR("\"\\\\u0041\""), STR("\\u0041"));
	for (size_t i = 0; i < ARRAY_LEN(not_abc); i++)
		ok(!jscan_string_is(STR("\"abc\""), str_c(not_abc[i])) && !jscan_string_is(STR("\"a\\u0062c\""), str_c(not_abc[i])), "abc is not '%s'",
			not_abc[i]);
	ok(jscan_string_is(STR("\"a\\u0062c\""), STR("abc")), "with an escape it is abc");
	ok(!jscan_string_is(STR("\"\\ud83d\\ude00\""), STR("\xf0\x9f\x98")), "part of a character is not the character");
	ok(!jscan_string_is(STR("\"abc\""), STR("\"abc\"")), "quotes are not part of it");
	buf_adds(&b, "before ");
	jscan_unescape(STR("\"x\\ty\""), &b);
	is_str("before x\ty", buf_cstr(&b), "it is appended");
	buf_truncate(&b, 0);
	jscan_unescape(STR("\\ud800 \\q \\u12"), &b);
	is_str("\xef\xbf\xbdud800 \xef\xbf\xbdq \xef\xbf\xbdu12", buf_cstr(&b), "what is no escape does no harm");
	buf_free(&b);
}

static void minify(const char *from, const char *wanted)
{
	struct buf b = BUF_INIT;
	char *copy = xmemdup(from, strlen(from));

	buf_addc(&b, '>');
	is_int((int64_t)strlen(wanted), (int64_t)jscan_minify(str_mem(copy, strlen(from)), &b), "bytes of %s", wanted);
	is_str(wanted, b.data + 1, "minified");
	buf_free(&b);
	free(copy);
}

static void minifying(void)
{
	struct buf b = BUF_INIT;

	minify("{\"a\":1}", "{\"a\":1}");
	minify(" { \"a b\" :\t[ 1 ,\r\n2.50e+3 ] } \n", "{\"a b\":[1,2.50e+3]}");
	minify("\" a \\\" b \"", "\" a \\\" b \"");
	minify("[ \"\\\\\" , \"\\\\\\\" \" , 1 ]", "[\"\\\\\",\"\\\\\\\" \",1]");
	minify("[\"0123456789abcdef  0123456789 \xc3\xa9 abcdef \" , \"\" ]", "[\"0123456789abcdef  0123456789 \xc3\xa9 abcdef \",\"\"]");
	minify("  12345678901234567890.10  ", "12345678901234567890.10");
	minify("null", "null");
	is_int(0, (int64_t)jscan_minify(STR_NULL, &b), "nothing stays nothing");
	buf_free(&b);
}

int main(void)
{
	plan_lazy();
	good();
	bad();
	errors();
	long_strings();
	tokens();
	skipping();
	depth();
	escapes();
	minifying();
	return done_testing();
}
