/*
 * 0030-transit.c - Transit into JSON: every tag, both forms of maps, the cache with its codes and its roll-over, the limits and the errors with their place.
 * Bodies lie in memory of exactly their length, so that ASan sees a read beside them.
 */
#include "jscan.h"
#include "tap.h"
#include "transit.h"
#include "xalloc.h"

#define OUT_MAX (1u << 20)

static struct transit *t;

static int decode(struct str text, unsigned depth, size_t max)
{
	char *copy = xmemdup(text.ptr, text.len);
	int rc = transit_decode(t, str_mem(copy, text.len), depth, max);

	free(copy);
	if (rc)
		return rc;
	if (!jscan_valid(t->out.data, t->out.len, 0, NULL, NULL))
		bail("no JSON: %s", buf_cstr(&t->out));
	for (size_t i = 0; i < t->n_marks; i++)
		if (t->marks[i].at >= t->out.len || (i && t->marks[i].at <= t->marks[i - 1].at))
			bail("marks are not in order");
	return 0;
}

static void gives(const char *json, const char *transit)
{
	int rc = decode(str_c(transit), 0, OUT_MAX);

	if (rc)
		ok(false, "%s: %s at %zu", transit, t->error, t->error_at);
	else
		is_str(json, buf_cstr(&t->out), "%.100s", transit);
}

/* marks: a character per mark, D or T, followed by the value's text up to the first comma or bracket */
static void gives_marked(const char *json, const char *marks, const char *transit)
{
	struct buf b = BUF_INIT;

	gives(json, transit);
	for (size_t i = 0; i < t->n_marks; i++) {
		const char *v = t->out.data + t->marks[i].at;

		buf_addf(&b, "%s%c%.*s", i ? " " : "", t->marks[i].type == TRANSIT_TIMESTAMP ? 'T' : 'D', (int)strcspn(v, ",]}"), v);
	}
	is_str(marks, buf_cstr(&b), "its marks");
	buf_free(&b);
}

static void fails(const char *error, size_t at, const char *transit)
{
	int rc = decode(str_c(transit), 0, OUT_MAX);

	ok(rc && strcmp(error, t->error) == 0 && at == t->error_at && !t->too_long, "refused: %.100s", transit) ||
		(diag("wanted: %s at %zu", error, at), diag("seen: %d %s at %zu", rc, rc ? t->error : "", t->error_at), 0);
}

static void test_plain(void)
{
	gives("[1,-2.50,true,false,null,\"a\"]", " [1, -2.50, true, false, null, \"a\"] ");
	gives("[]", "[]");
	gives("{}", "{}");
	gives("[[],{},[[]],[{}]]", "[[],{},[[]],[{}]]");
	gives("{\"a\":1,\"b\":{\"c\":[1,2]}}", "{\"a\": 1, \"b\": {\"c\": [1, 2]}}");
	gives("[\"\",\"x\\ny\\\"\",\"\xc3\xa9\",\"\xc3\xa9\xf0\x9f\x98\x80\",\"x\\ud83d\\ude00\"]",
		"[\"\",\"x\\ny\\\"\",\"\\u00e9\",\"\xc3\xa9\xf0\x9f\x98\x80\",\"x\\ud83d\\ude00\"]");
	gives("12345678901234567890.123456789012345678901234567890", "12345678901234567890.123456789012345678901234567890");
}

static void test_maps(void)
{
	gives("{}", "[\"^ \"]");
	gives("{\"a\":1,\"b\":[{}],\"c\":{\"d\":null}}", "[\"^ \",\"a\",1,\"b\",[[\"^ \"]],\"c\",[\"^ \",\"d\",null]]");
	gives("{\"a\":{\"b\":{\"c\":1}}}", "[\"^ \",\"a\",{\"b\":[\"^ \",\"c\",1]}]");
	gives("{\"1\":2,\"true\":3,\"null\":4,\"1.5\":5}", "[\"^ \",\"~i1\",2,\"~?t\",3,\"~_\",4,\"~d1.5\",5]");
	gives("{\"1\":2,\"true\":3,\"null\":4}", "[\"^ \",1,2,true,3,null,4]");
	gives("{\"1\":2,\"2.50\":3,\"null\":4,\"null\":5}", "[\"^ \",\"~n1\",2,\"~f2.50\",3,\"~zNaN\",4,\"~fNaN\",5]");
	gives("{\"k\":1,\"ns/name\":2,\"sym\":3,\"531a379e-31bb-4ce1-8690-158dceb64be6\":4}",
		"[\"^ \",\"~:k\",1,\"~:ns/name\",2,\"~$sym\",3,\"~u531a379e-31bb-4ce1-8690-158dceb64be6\",4]");
	gives_marked("{\"1970-01-01T00:00:00.000Z\":1,\"1985-04-12T23:20:50.52Z\":2}", "", "[\"^ \",\"~m0\",1,\"~t1985-04-12T23:20:50.52Z\",2]");
	gives("{\"~a\":1,\"^b\":2,\"`c\":3}", "[\"^ \",\"~~a\",1,\"~^b\",2,\"~`c\",3]");
	gives("{\"~a\":1,\"^b\":2}", "{\"~~a\":1,\"~^b\":2}");
	gives("{\"a\":1,\"a\":2}", "[\"^ \",\"a\",1,\"a\",2]");
}

static void test_scalars(void)
{
	gives("[null,true,false]", "[\"~_\",\"~?t\",\"~?f\"]");
	gives_marked("[9007199254740993,-9223372036854775808,0]", "", "[\"~i9007199254740993\",\"~i-9223372036854775808\",\"~i0\"]");
	gives_marked("[1,123456789012345678901234567890]", "D1 D123456789012345678901234567890", "[\"~n1\",\"~n123456789012345678901234567890\"]");
	gives_marked("[1.10,-0.000,1E+30,7]", "D1.10 D-0.000 D1E+30 D7", "[\"~f1.10\",\"~f-0.000\",\"~f1E+30\",\"~f7\"]");
	gives_marked("[1.5,1e3]", "", "[\"~d1.5\",\"~d1e3\"]");
	gives_marked("[null,null,null,null,null,null]", "", "[\"~zNaN\",\"~zINF\",\"~z-INF\",\"~fNaN\",\"~f-Infinity\",\"~dInfinity\"]");
	gives_marked("[\"2024-01-02T02:56:04.678Z\",\"1969-12-31T23:59:59.999Z\",\"0001-01-01T00:00:00.000Z\",\"9999-12-31T23:59:59.999Z\"]",
		"T\"2024-01-02T02:56:04.678Z\" T\"1969-12-31T23:59:59.999Z\" T\"0001-01-01T00:00:00.000Z\" T\"9999-12-31T23:59:59.999Z\"",
		"[\"~m1704164164678\",\"~m-1\",\"~m-62135596800000\",\"~m253402300799999\"]");
	gives("[\"+10000-01-01T00:00:00.000Z\",\"0000-12-31T00:00:00.000Z\",\"-0001-12-31T00:00:00.000Z\"]",
		"[\"~m253402300800000\",\"~m-62135683200000\",\"~m-62167305600000\"]");
	gives("[\"+292278994-08-17T07:12:55.807Z\",\"-292275055-05-16T16:47:04.192Z\"]", "[\"~m9223372036854775807\",\"~m-9223372036854775808\"]");
	gives_marked("[\"1985-04-12T23:20:50.52Z\"]", "T\"1985-04-12T23:20:50.52Z\"", "[\"~t1985-04-12T23:20:50.52Z\"]");
	gives("[\"531a379e-31bb-4ce1-8690-158dceb64be6\",\"AQID\",\"http://a/\\\"b\\\"\",\"c\",\"kw\",\"sym\",\"q\"]",
		"[\"~u531a379e-31bb-4ce1-8690-158dceb64be6\",\"~bAQID\",\"~rhttp://a/\\\"b\\\"\",\"~cc\",\"~:kw\",\"~$sym\",\"~'q\"]");
	gives("[\"~start\",\"^start\",\"`start\",\"~\",\"^ \",\"~#tag\"]", "[\"~~start\",\"~^start\",\"~`start\",\"~~\",\"~^ \",\"~~#tag\"]");
	gives("[\"x~y\",\"`\",\"rep\",\"\"]", "[\"x~y\",\"`\",\"~Xrep\",\"~Y\"]");
	/* the first characters as escapes */
	gives_marked("[7,\"^x\",true,\"a\\\"\"]", "D7", "[\"\\u007en\\u0037\",\"\\u007e^x\",\"~\\u003ft\",\"\\u007e:a\\\"\"]");
	gives("{\"a\":1}", "[\"\\u005e \",\"a\",1]");
}

static void test_tagged(void)
{
	gives("\"a\"", "[\"~#'\",\"a\"]");
	gives("1", "{\"~#'\":1}");
	gives("null", "[\"~#'\",null]");
	gives("[[1,2,[3]],[\"a\"],[1,\"k\",2,[]]]", "[[\"~#set\",[1,2,[\"~#set\",[3]]]],[\"~#list\",[\"a\"]],{\"~#cmap\":[1,\"~:k\",2,[]]}]");
	gives_marked("[1,3]", "D1 D3", "[\"~#ratio\",[\"~n1\",\"~n3\"]]");
	gives("{\"href\":\"http://a\",\"rel\":\"x\"}", "[\"~#link\",[\"^ \",\"href\",\"~rhttp://a\",\"rel\",\"x\"]]");
	gives("[[1,2],{\"x\":[1]}]", "[[\"~#point\",[1,2]],{\"~#ints\":{\"x\":[1]}}]");
	gives("\"531a379e-31bb-4ce1-8690-158dceb64be6\"", "[\"~#u\",[5988159807121214689,\"~i-8750470377178248218\"]]");
	gives("\"531a379e-31bb-4ce1-8690-158dceb64be6\"", "{\"~#u\":\"531a379e-31bb-4ce1-8690-158dceb64be6\"}");
	gives_marked("[\"1970-01-01T00:00:00.001Z\",\"1970-01-01T00:00:00.001Z\",\"2024-01-01T00:00:00Z\"]",
		"T\"1970-01-01T00:00:00.001Z\" T\"1970-01-01T00:00:00.001Z\" T\"2024-01-01T00:00:00Z\"",
		"[[\"~#m\",1],{\"~#m\":\"~i1\"},[\"~#t\",\"2024-01-01T00:00:00Z\"]]");
	gives_marked("[1.10,2,3,null,true,true]", "D1.10 D2", "[[\"~#f\",\"1.10\"],[\"~#n\",\"2\"],[\"~#i\",3],[\"~#z\",\"NaN\"],[\"~#?\",\"t\"],[\"~#?\",true]]");
	gives_marked("{\"a\":\"1970-01-01T00:00:00.005Z\"}", "T\"1970-01-01T00:00:00.005Z\"", "[\"^ \",\"a\",[\"~#'\",[\"~#'\",\"~m5\"]]]");
	gives("[{},[]]", "[[\"~#x\",{}],[\"~#y\",[]]]");
}

static void test_cache(void)
{
	gives("[{\"name\":1,\"id\":2},{\"name\":3,\"id\":4},\"name\"]", "[[\"^ \",\"name\",1,\"id\",2],[\"^ \",\"^0\",3,\"id\",4],\"^0\"]");
	gives("[\"abcd\",{\"efgh\":1},{\"efgh\":2}]", "[\"abcd\",[\"^ \",\"efgh\",1],[\"^ \",\"^0\",2]]");
	gives("[\"key\",\"key\",\"symb\",[1],[2],\"ab\",\"symb\"]", "[\"~:key\",\"^0\",\"~$symb\",[\"~#set\",[1]],[\"^2\",[2]],\"~:ab\",\"^1\"]");
	gives("[\"k\",\"ab\",{\"~b\":1},\"ab\",\"~b\"]", "[\"~:k\",\"~:ab\",[\"^ \",\"~~b\",1],\"^0\",\"~~b\"]");
	/* the key goes first, then what its value holds */
	gives("{\"outer\":{\"inner\":1},\"inner\":2,\"outer\":3}", "[\"^ \",\"outer\",[\"^ \",\"inner\",1],\"^1\",2,\"^0\",3]");
	gives("[{\"outer\":1},{\"outer\":2}]", "[{\"outer\":1},{\"^0\":2}]");
	gives("[[1],[2]]", "[{\"~#set\":[1]},{\"^0\":[2]}]");
	/* 4 characters, not bytes */
	gives("[{\"\xc3\xa9\xc3\xa9\xc3\xa9\":1,\"\xc3\xa9\xc3\xa9\xc3\xa9x\":2},\"\xc3\xa9\xc3\xa9\xc3\xa9x\"]",
		"[[\"^ \",\"\xc3\xa9\xc3\xa9\xc3\xa9\",1,\"\xc3\xa9\xc3\xa9\xc3\xa9x\",2],\"^0\"]");
	gives("[{\"\xf0\x9f\x98\x80" "ab\":1},\"\xf0\x9f\x98\x80" "ab\"]", "[[\"^ \",\"\\ud83d\\ude00ab\",1],\"^0\"]");
	gives("[{\"\xf0\x9f\x98\x80" "ab\":1,\"abcd\":2},\"abcd\"]", "[[\"^ \",\"\xf0\x9f\x98\x80" "ab\",1,\"abcd\",2],\"^0\"]");
	gives("[{\"a\\\"b\":1,\"a\\\"bc\":2},\"a\\\"bc\"]", "[[\"^ \",\"a\\\"b\",1,\"a\\\"bc\",2],\"^0\"]");
	gives("[{\"~abc\":1},\"~abc\"]", "[[\"^ \",\"\\u007e~abc\",1],\"\\u005e0\"]");
	fails("a cache code that stands for nothing", 1, "[\"^0\"]");
	fails("a cache code that stands for nothing", 9, "[\"~:abc\",\"^1\"]");
	fails("a cache code that stands for nothing", 9, "[\"~:abc\",\"^01\"]");
	fails("a cache code that stands for nothing", 9, "[\"~:abc\",\"^\"]");
	fails("a cache code that stands for nothing", 9, "[\"~:abc\",\"^000\"]");
	fails("a cache code that stands for nothing", 9, "[\"~:abc\",\"^/\"]");
	fails("a cache code that stands for nothing", 9, "[\"~:abc\",\"^\\\\\"]");
	fails("a cache code that stands for nothing", 9, "[\"~:abc\",\"^\xc3\xa9\"]");
}

static void code_of(unsigned i, struct buf *out)
{
	buf_addc(out, '^');
	if (i >= 44)
		buf_addc(out, (char)('0' + i / 44));
	buf_addc(out, (char)('0' + i % 44));
}

/* A map of n keys "key0" ..., then a list of the codes from..to-1; which key each code is wanted to stand for: wanted[code]. */
static void test_codes(void)
{
	enum { N = 2500, PLACES = 44 * 44 };
	struct buf in = BUF_INIT, want = BUF_INIT;
	unsigned wrong = 0;

	for (unsigned n = 0; n <= N; n += n == 0 ? 1 : 97) {
		buf_truncate(&in, 0);
		buf_truncate(&want, 0);
		buf_adds(&in, "[[\"^ \"");
		buf_adds(&want, "[{");
		for (unsigned i = 0; i < n; i++) {
			buf_addf(&in, ",\"key%u\",%u", i, i);
			buf_addf(&want, "%s\"key%u\":%u", i ? "," : "", i, i);
		}
		buf_addc(&in, ']');
		buf_addc(&want, '}');
		for (unsigned c = 0; c < MIN(n, PLACES); c++) {
			buf_adds(&in, ",\"");
			code_of(c, &in);
			buf_addc(&in, '"');
			/* the newest key that took this place */
			buf_addf(&want, ",\"key%u\"", c + (n - 1 - c) / PLACES * PLACES);
		}
		buf_addc(&in, ']');
		buf_addc(&want, ']');
		if (decode(buf_str(&in), 0, OUT_MAX) || !str_eq(buf_str(&want), buf_str(&t->out))) {
			diag("%u keys: %s at %zu", n, t->error ? t->error : "another text", t->error_at);
			wrong++;
		}
		if (n < PLACES) {
			buf_truncate(&in, in.len - 1);
			buf_adds(&in, ",\"");
			code_of(n, &in);
			buf_adds(&in, "\"]");
			wrong += decode(buf_str(&in), 0, OUT_MAX) == 0;
		}
	}
	is_int(0, wrong, "codes of 0 to %d keys, beyond %d places from the first again", N, PLACES);
	gives("[\"~:ab\"]", "[\"~~:ab\"]");
	fails("a cache code that stands for nothing", 1, "[\"^0\"]"); /* nothing is left of the document before */
	buf_free(&in);
	buf_free(&want);
}

static void test_errors(void)
{
	fails("there is no value", 0, "");
	fails("a value is expected", 3, "[1,]");
	fails("more text after the value", 3, "[1]x");
	fails("the text ends within the document", 7, "[\"^ \",1");
	fails("invalid UTF-8", 2, "[\"\xff\"]");
	fails("lone surrogate", 2, "[\"\\ud800\"]");
	fails("a map's last key has no value", 9, "[\"^ \",\"a\"]");
	fails("a map's last key has no value", 11, "[\"^ \",1,2,3]");
	fails("a map's key is no scalar", 6, "[\"^ \",[],1]");
	fails("a map's key is no scalar", 6, "[\"^ \",{},1]");
	fails("a map's key is no scalar", 6, "[\"^ \",\"~#set\",[1]]");
	fails("a map's key is no scalar", 6, "[\"^ \",\"^ \",[1]]");
	fails("a map's key is no scalar", 1, "{\"^ \":[1]}");
	fails("a map's key is no scalar", 7, "{\"a\":1,\"~#set\":[1]}");
	fails("a tag has one value", 14, "{\"~#set\":[1], \"a\":1}");
	fails("a tag has one value", 13, "[\"~#set\",[1],2]");
	fails("a tag has one value", 13, "[\"~#set\",[1],[]]");
	fails("a tag without a value", 8, "[\"~#set\"]");
	fails("a tag without a name", 1, "[\"~#\",1]");
	fails("a tag that is not the first of two", 3, "[1,\"~#set\"]");
	fails("a tag that is not the first of two", 0, "\"~#set\"");
	fails("a tag that is not the first of two", 5, "{\"a\":\"~#set\"}");
	fails("the marker of a map that is not the first", 3, "[1,\"^ \"]");
	fails("the marker of a map that is not the first", 9, "[\"~#set\",\"^ \"]");
	fails("~ without a tag", 1, "[\"~\"]");
	fails("~ without a tag", 1, "[\"~ x\"]");
	fails("~ without a tag", 1, "[\"~\\\"x\"]");
	fails("~ without a tag", 1, "[\"~\\u0000\"]");
	fails("~ without a tag", 1, "[\"~\xc3\xa9\"]");
	fails("an invalid whole number", 1, "[\"~i\"]");
	fails("an invalid whole number", 1, "[\"~i1.0\"]");
	fails("an invalid whole number", 1, "[\"~n1e3\"]");
	fails("an invalid whole number", 1, "[\"~n+1\"]");
	fails("an invalid whole number", 1, "[\"~i01\"]");
	fails("an invalid number", 1, "[\"~fx\"]");
	fails("an invalid number", 1, "[\"~f1.\"]");
	fails("an invalid number", 1, "[\"~dINF\"]");
	fails("an invalid special number", 1, "[\"~zNAN\"]");
	fails("an invalid null", 1, "[\"~_x\"]");
	fails("an invalid boolean", 1, "[\"~?true\"]");
	fails("an invalid time", 1, "[\"~m1.5\"]");
	fails("an invalid time", 1, "[\"~m9223372036854775808\"]");
	fails("an invalid time", 1, "[\"~m2024-01-01\"]");
	fails("an invalid time", 7, "[\"~#m\",1.5]");
	fails("an invalid UUID", 9, "[\"~#u\",[1]]");
	fails("an invalid UUID", 12, "[\"~#u\",[1,2,3]]");
	fails("an invalid UUID", 8, "[\"~#u\",[1.5,2]]");
	fails("an invalid UUID", 8, "[\"~#u\",[[],2]]");
	fails("an invalid UUID", 8, "[\"~#u\",[\"a\",2]]");
}

static void test_limits(void)
{
	struct buf in = BUF_INIT;

	for (int i = 0; i < 200; i++)
		buf_adds(&in, i % 2 ? "[\"^ \",\"a\"," : "[");
	buf_addc(&in, '1');
	for (int i = 0; i < 200; i++)
		buf_addc(&in, ']');
	is_int(0, decode(buf_str(&in), 200, OUT_MAX), "200 deep");
	is_int(-1, decode(buf_str(&in), 199, OUT_MAX), "one more than is allowed");
	is_str("nested too deeply", t->error, "and the reason");
	buf_truncate(&in, 0);
	for (int i = 0; i < 300000; i++)
		buf_adds(&in, "[\"~#x\",");
	is_int(-1, decode(buf_str(&in), 0, OUT_MAX), "300,000 deep");

	/* a word of 10,000 letters, then 10,000 times its code */
	buf_truncate(&in, 0);
	buf_adds(&in, "[\"~:");
	for (int i = 0; i < 10000; i++)
		buf_addc(&in, 'x');
	buf_addc(&in, '"');
	for (int i = 0; i < 10000; i++)
		buf_adds(&in, ",\"^0\"");
	buf_addc(&in, ']');
	ok(decode(buf_str(&in), 0, OUT_MAX) == -1 && t->too_long && t->error_at > 10000 && t->error_at < in.len, "a few bytes that stand for many: refused");
	ok(t->out.len <= OUT_MAX + 10010 && t->out.cap <= 4 * OUT_MAX, "before they are many");
	transit_reset(t);
	is_int(0, (int64_t)t->out.cap, "large memory is given back");

	/* a tag does not add to the text: it must not cost its length each time, or this test would not end */
	buf_truncate(&in, 0);
	buf_adds(&in, "[[\"\\u007e#");
	for (int i = 0; i < 1000000; i++)
		buf_addc(&in, 'x');
	buf_adds(&in, "\",1]");
	for (int i = 0; i < 1000000; i++)
		buf_adds(&in, ",[\"^0\",1]");
	buf_addc(&in, ']');
	is_int(0, decode(buf_str(&in), 0, 4u << 20), "a long tag a million times");
	is_int(2000003, (int64_t)t->out.len, "its length");
	buf_free(&in);
}

int main(void)
{
	plan_lazy();
	t = transit_new();
	test_plain();
	test_maps();
	test_scalars();
	test_tagged();
	test_cache();
	test_codes();
	test_errors();
	test_limits();
	transit_free(t);
	return done_testing();
}
