/*
 * 0011-jwrite.c - the JSON writer: commas, nesting, escapes, bad UTF-8; what it writes is valid JSON for jscan whatever the bytes.
 */
#include "jwrite.h"

#include "jscan.h"
#include "tap.h"

static void all_kinds(void)
{
	struct buf b = BUF_INIT;
	struct jwrite w;

	jwrite_init(&w, &b);
	jwrite_object(&w);
	jwrite_kv_string(&w, "s", "x");
	jwrite_kv_string(&w, "none", NULL);
	jwrite_kv_str(&w, "slice", str_mem("abcdef", 3));
	jwrite_kv_i64(&w, "min", INT64_MIN);
	jwrite_key(&w, "max");
	jwrite_u64(&w, UINT64_MAX);
	jwrite_kv_bool(&w, "yes", true);
	jwrite_kv_bool(&w, "no", false);
	jwrite_key_str(&w, str_mem("a\"b", 3));
	jwrite_array(&w);
	jwrite_array(&w);
	jwrite_array_end(&w);
	jwrite_object(&w);
	jwrite_object_end(&w);
	jwrite_null(&w);
	jwrite_raw(&w, STR("1.0e5"));
	jwrite_array(&w);
	jwrite_i64(&w, 1);
	jwrite_i64(&w, 2);
	jwrite_array_end(&w);
	jwrite_array_end(&w);
	jwrite_object_end(&w);
	is_str("{\"s\":\"x\",\"none\":null,\"slice\":\"abc\",\"min\":-9223372036854775808,\"max\":18446744073709551615,"
	       "\"yes\":true,\"no\":false,\"a\\\"b\":[[],{},null,1.0e5,[1,2]]}",
		buf_cstr(&b), "every kind of value, commas in their places");
	buf_free(&b);
}

static void quoted(const char *wanted, struct str text, const char *what)
{
	struct buf b = BUF_INIT;
	struct jwrite w;

	jwrite_init(&w, &b);
	jwrite_str(&w, text);
	is_str(wanted, buf_cstr(&b), "%s", what);
	buf_free(&b);
}

static void escapes(void)
{
	quoted("\"\"", STR(""), "the empty string");
	quoted("\"\"", STR_NULL, "a slice of nothing is the empty string");
	quoted("\"\\\"\\\\/\\b\\f\\n\\r\\t\"", STR("\"\\/\b\f\n\r\t"), "short escapes");
	quoted("\"\\u0000\\u0001\\u001f\x7f\"", str_mem("\0\1\x1f\x7f", 4), "control characters");
	quoted("\"\xc3\xa9\xe6\x9d\xb1\xf0\x9f\x98\x80\"", STR("\xc3\xa9\xe6\x9d\xb1\xf0\x9f\x98\x80"), "UTF-8 stays");
	quoted("\"a\xef\xbf\xbd\xef\xbf\xbd" "b\"", STR("a\xc0\xaf" "b"), "an overlong form is U+FFFD");
	quoted("\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"", STR("\xed\xa0\x80"), "a surrogate is U+FFFD");
	quoted("\"x\xef\xbf\xbd\"", STR("x\xe6"), "a sequence cut off is U+FFFD");
	quoted("\"\xef\xbf\xbd\xef\xbf\xbd\"", STR("\xe6\x9d"), "a longer one cut off, too");
}

/* Any bytes at all: valid JSON, and what was valid UTF-8 comes back. */
static void any_bytes(void)
{
	unsigned bad = 0, lost = 0;
	uint64_t x = 88172645463325252u;

	for (int i = 0; i < 20000; i++) {
		char text[24];
		struct buf b = BUF_INIT, back = BUF_INIT;
		struct jwrite w;
		size_t n;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		n = x % sizeof(text);
		for (size_t k = 0; k < n; k++)
			text[k] = (char)((x >> (k % 8) * 8) + k * k * (x >> 40));
		jwrite_init(&w, &b);
		jwrite_str(&w, str_mem(text, n));
		bad += !jscan_valid(b.data, b.len, 0, NULL, NULL);
		jscan_unescape(buf_str(&b), &back);
		if (!memmem(back.data ? back.data : "", back.len, "\xef\xbf\xbd", 3))
			lost += !str_eq(buf_str(&back), str_mem(text, n));
		buf_free(&b);
		buf_free(&back);
	}
	is_int(0, bad, "20,000 strings of any bytes are written as valid JSON");
	is_int(0, lost, "what holds no U+FFFD reads back as it was");
}

int main(void)
{
	plan_lazy();
	all_kinds();
	escapes();
	any_bytes();
	return done_testing();
}
