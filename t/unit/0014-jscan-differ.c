/*
 * 0014-jscan-differ.c - jscan against jansson and yajl on many documents from a fixed seed: grown by the grammar, then damaged in a few places or not
 * at all. t/fuzz/jscan.c does the same with coverage as its guide.
 */
#include "buf.h"
#include "joracle.h"
#include "tap.h"
#include "xalloc.h"

#define DOCUMENTS 20000

static uint64_t state = 42;

static unsigned dice(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)((state >> 20) % n);
}

static void blanks(struct buf *b)
{
	static const char *const some[] = {" ", "\t", "\n", "\r\n", "                    "};

	if (dice(4) == 0)
		buf_adds(b, some[dice(ARRAY_LEN(some))]);
}

static void grow_string(struct buf *b)
{
	static const char *const parts[] = {"a", "plain text of more than sixteen bytes, so that the wide path is taken", "\\n", "\\\"", "\\\\", "\\/", "\\u0041",
		"\\u00e9", "\\ud83d\\ude00", "\\uFFFF", "\\u0000", "\xc3\xa9", "\xe6\x9d\xb1\xe4\xba\xac", "\xf0\x9f\x98\x80", "\x7f", "{", "]", ",", ":", "0123456789abcde",
		"0123456789abcdef", " ", "\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf", "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80"};

	buf_addc(b, '"');
	for (unsigned n = dice(5); n; n--)
		buf_adds(b, parts[dice(ARRAY_LEN(parts))]);
	buf_addc(b, '"');
}

static void grow_number(struct buf *b)
{
	static const char *const some[] = {"0", "-0", "1", "-1", "10", "1.5", "0.25", "-0.0", "1e5", "1E+5", "2.5e-3", "9223372036854775807", "9223372036854775808",
		"123456789012345678901234567890", "1e400", "0.1e1", "1e0001"};

	buf_adds(b, some[dice(ARRAY_LEN(some))]);
}

/* NOLINTNEXTLINE(misc-no-recursion): to the given depth only */
static void grow(struct buf *b, unsigned depth)
{
	static const char *const words[] = {"true", "false", "null"};
	unsigned what = dice(depth ? 8 : 4);
	bool object = what >= 6;

	blanks(b);
	if (what == 0) {
		buf_adds(b, words[dice(3)]);
	} else if (what == 1) {
		grow_number(b);
	} else if (what < 4) {
		grow_string(b);
	} else {
		buf_addc(b, object ? '{' : '[');
		for (unsigned n = dice(4), i = 0; i < n; i++) {
			if (i)
				buf_addc(b, ',');
			if (object) {
				blanks(b);
				grow_string(b);
				blanks(b);
				buf_addc(b, ':');
			}
			grow(b, depth - 1);
		}
		blanks(b);
		buf_addc(b, object ? '}' : ']');
	}
	blanks(b);
}

static void put_at(struct buf *b, size_t at, const char *s, size_t n)
{
	struct buf old = *b;

	*b = BUF_INIT;
	buf_add(b, old.data, at);
	buf_add(b, s, n);
	buf_add(b, old.data + at, old.len - at);
	buf_free(&old);
}

static void damage(struct buf *b)
{
	static const char *const bits[] = {",", ":", "\"", "\\", "{", "}", "[", "]", "-", "+", ".", "e", "0", "00", "1", "\\u", "\\ud800", "\\udc00", "\\x", "u12",
		"true", "nul", "NaN", "Infinity", "/**/", "'", "\x01", "\x1f", "\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
		"\xf8\x88\x80\x80\x80", "\xff", "\xef\xbb\xbf", "\xc2", "\xe6\x9d", "\xf0\x9f\x98", "\f", "\v", "\xc2\xa0", "1.", ".5", "e5", "\"\":0", "{}", "[]"};
	size_t at = b->len ? dice((unsigned)b->len) : 0, n;

	switch (dice(6)) {
	case 0: /* a byte changed */
		if (b->len)
			b->data[at] ^= (char)(1 << dice(8));
		break;
	case 1: /* some taken out */
		n = 1 + dice(3);
		n = MIN(n, b->len - at);
		memmove(b->data + at, b->data + at + n, b->len - at - n);
		buf_truncate(b, b->len - n);
		break;
	case 2: /* cut off */
		buf_truncate(b, at);
		break;
	case 3: /* a NUL */
		put_at(b, at, "", 1);
		break;
	default:
		n = dice(ARRAY_LEN(bits));
		put_at(b, at, bits[n], strlen(bits[n]));
	}
}

int main(void)
{
	unsigned good = 0, bad = 0, wrong = 0;

	plan_lazy();
	for (int i = 0; i < DOCUMENTS; i++) {
		struct buf b = BUF_INIT;
		const char *why;
		bool valid;
		char *copy;

		grow(&b, 5);
		for (unsigned n = dice(4); n; n--)
			damage(&b);
		copy = xmemdup(buf_cstr(&b), b.len);
		why = joracle_disagree(str_mem(copy, b.len), &valid);
		good += valid;
		bad += !valid;
		if (why && ++wrong < 10)
			diag("%s: %s", why, buf_cstr(&b));
		free(copy);
		buf_free(&b);
	}
	is_int(0, wrong, "%d documents: jscan and the others agree", DOCUMENTS);
	ok(good > DOCUMENTS / 5 && bad > DOCUMENTS / 5, "valid ones (%u) and others (%u)", good, bad);
	return done_testing();
}
