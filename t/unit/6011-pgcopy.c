/*
 * 6011-pgcopy.c - what stitch-load-postgres sends and understands: the binary COPY form (NUMERIC against bytes that a server made, and against a decoder
 * of the test's own), classes of errors, row numbers in an error's context, and whether two rows may have one key.
 */
#include "tap.h"

#include "decimal.h"
#include "loaders/postgres/key_set.h"
#include "loaders/postgres/pg_copy.h"
#include "loaders/postgres/pg_error.h"
#include "loaders/sql/sql_text.h"

static unsigned u16_at(const struct buf *b, size_t at)
{
	const unsigned char *p = (const unsigned char *)b->data + at;

	return (unsigned)p[0] << 8 | p[1];
}

static void is_hex(const char *wanted, const struct buf *b, const char *what)
{
	struct buf hex = BUF_INIT;

	buf_add_hex(&hex, b->data, b->len);
	is_str(wanted, buf_cstr(&hex), "%s", what);
	buf_free(&hex);
}

/* What numeric_send() of PostgreSQL 15 gives for these texts. */
static void test_numeric_bytes(void)
{
	static const struct { const char *number, *hex; } known[] = {
		{"0", "0000000000000000"},
		{"1", "00010000000000000001"},
		{"-1", "00010000400000000001"},
		{"1.50", "000200000000000200011388"},
		{"12345.678", "0003000100000003000109291a7c"},
		{"0.0001", "0001ffff000000040001"},
		{"0.00012345", "0002ffff0000000800010929"},
		{"123456789012345678901234567890.12", "0009000700000002000c0d801ed204d2162e23340d801ed204b0"},
		{"-99999999", "0002000140000000270f270f"},
		{"10000", "00010001000000000001"},
		{"0.1", "0001ffff0000000103e8"},
	};
	const char *reason = NULL;

	for (size_t k = 0; k < ARRAY_LEN(known); k++) {
		struct buf b = BUF_INIT;
		struct buf hex = BUF_INIT;
		int rc = pg_copy_numeric(&b, str_c(known[k].number), &reason);

		buf_addf(&hex, "%08zx%s", strlen(known[k].hex) / 2, known[k].hex);
		ok(rc == 0, "%s is taken", known[k].number);
		is_hex(buf_cstr(&hex), &b, known[k].number);
		buf_free(&hex);
		buf_free(&b);
	}
}

/* The value of one encoded NUMERIC, as its server would print it. */
static void decode(const struct buf *b, struct buf *out)
{
	unsigned n = u16_at(b, 4), scale = u16_at(b, 10);
	int weight = (int16_t)u16_at(b, 6);
	struct buf frac = BUF_INIT;
	bool begun = false;

	buf_adds(out, u16_at(b, 8) == 0x4000 ? "-" : "");
	for (int w = MAX(weight, 0), k; w >= 0 || -4 * w - 4 < (int)scale; w--) {
		unsigned digit = 0;

		k = weight - w;
		if (k >= 0 && (unsigned)k < n)
			digit = u16_at(b, 12 + 2 * (size_t)k);
		if (w < 0) {
			buf_addf(&frac, "%04u", digit);
		} else if (begun || digit || w == 0) {
			buf_addf(out, begun ? "%04u" : "%u", digit);
			begun = true;
		}
	}
	if (scale) {
		buf_truncate(&frac, MIN(frac.len, (size_t)scale));
		buf_addf(out, ".%s", buf_cstr(&frac));
	}
	buf_free(&frac);
}

static void one_number(const char *number, unsigned *bad)
{
	struct buf b = BUF_INIT, text = BUF_INIT;
	const char *reason = NULL;
	bool good = pg_copy_numeric(&b, str_c(number), &reason) == 0;

	if (good)
		decode(&b, &text);
	if (!good || b.len != 4 + 8 + 2 * (size_t)u16_at(&b, 4) || decimal_cmp(buf_str(&text), str_c(number)) != 0) {
		diag("%s became %s", number, buf_cstr(&text));
		++*bad;
	}
	buf_free(&text);
	buf_free(&b);
}

static void test_numeric_values(void)
{
	uint64_t r = 88172645463325252u;
	char number[128];
	unsigned bad = 0;

	for (unsigned k = 0; k < 20000; k++) {
		size_t n = 0, whole, frac;

		r ^= r << 13, r ^= r >> 7, r ^= r << 17;
		whole = 1 + r % 20;
		frac = r >> 8 & 15;
		if (r >> 16 & 1)
			number[n++] = '-';
		for (size_t i = 0; i < whole; i++)
			number[n++] = (char)(i == 0 && whole > 1 ? '1' + (r >> (i % 40)) % 9 : (r >> 24 & 1) ? '0' : '0' + (r >> (3 * i % 50)) % 10);
		if (frac)
			number[n++] = '.';
		for (size_t i = 0; i < frac; i++)
			number[n++] = (char)((r >> 25 & 1) && i + 2 > frac ? '0' : '0' + (r >> (5 * i % 50)) % 10);
		number[n] = '\0';
		if (r >> 26 & 1)
			snprintf(number + n, sizeof(number) - n, "e%d", (int)(r >> 30) % 60 - 30);
		one_number(number, &bad);
	}
	is_int(0, bad, "20,000 numbers keep their value");
}

static void test_numeric_limits(void)
{
	struct buf b = BUF_INIT, text = BUF_INIT;
	const char *reason = NULL;

	ok(pg_copy_numeric(&b, STR("1e131071"), &reason) == 0 && u16_at(&b, 6) == 32767, "the largest power of ten");
	buf_truncate(&b, 0);
	ok(pg_copy_numeric(&b, STR("1e131072"), &reason) == -1 && strstr(reason, "131072"), "one more is refused: %s", reason);
	is_int(0, (int64_t)b.len, "and nothing was appended");
	ok(pg_copy_numeric(&b, STR("1e-16383"), &reason) == 0 && u16_at(&b, 10) == 16383, "the smallest");
	buf_truncate(&b, 0);
	ok(pg_copy_numeric(&b, STR("1e-16384"), &reason) == -1 && strstr(reason, "16383"), "one less is refused: %s", reason);
	ok(pg_copy_numeric(&b, STR("0e999999999"), &reason) == 0 && u16_at(&b, 4) == 0, "zero is zero whatever its exponent");
	buf_truncate(&b, 0);
	ok(pg_copy_numeric(&b, STR("-0"), &reason) == 0 && u16_at(&b, 8) == 0, "-0 has no sign");
	buf_truncate(&b, 0);
	for (unsigned k = 0; k < 140000; k++)
		buf_addc(&text, '9');
	ok(pg_copy_numeric(&b, buf_str(&text), &reason) == -1, "140,000 digits are refused");
	ok(pg_copy_numeric(&b, STR("12x"), &reason) == -1, "no number is refused");
	buf_free(&text);
	buf_free(&b);
}

static void test_others(void)
{
	struct buf b = BUF_INIT;
	const char *reason = NULL;

	pg_copy_header(&b);
	pg_copy_row(&b, 5);
	pg_copy_null(&b);
	pg_copy_bool(&b, true);
	pg_copy_int8(&b, INT64_MIN);
	pg_copy_timestamp(&b, INT64_C(1795509763123456));
	pg_copy_text(&b, STR("a\303\244"));
	pg_copy_trailer(&b);
	is_hex("5047434f50590aff0d0a000000000000000000" "0005" "ffffffff" "00000001" "01" "00000008" "8000000000000000" "00000008" "0003040076674900" "00000003"
	       "61c3a4" "ffff", &b, "header, row, null, bool, bigint, timestamp, text, trailer");
	buf_truncate(&b, 0);
	ok(pg_copy_double(&b, STR("-1.5"), &reason) == 0, "a double");
	is_hex("00000008" "bff8000000000000", &b, "its bits");
	ok(pg_copy_double(&b, STR("1e400"), &reason) == -1, "too large for a double: %s", reason);
	buf_truncate(&b, 0);
	sql_add_table(&b, "a\"b", "c");
	sql_add_text(&b, "it's");
	is_str("\"a\"\"b\".\"c\"'it''s'", buf_cstr(&b), "quoting");
	buf_free(&b);
}

static void test_errors(void)
{
	static const struct { const char *state; enum err_code code; } known[] = {
		{"", ERR_TRANSIENT}, {"08006", ERR_TRANSIENT}, {"40001", ERR_TRANSIENT}, {"40P01", ERR_TRANSIENT}, {"53100", ERR_TRANSIENT}, {"53300", ERR_TRANSIENT},
		{"55P03", ERR_TRANSIENT}, {"57P01", ERR_TRANSIENT}, {"57P03", ERR_TRANSIENT}, {"58030", ERR_TRANSIENT}, {"28P01", ERR_CONFIG}, {"28000", ERR_CONFIG},
		{"3D000", ERR_CONFIG}, {"42501", ERR_CONFIG}, {"42601", ERR_CONFIG}, {"99999", ERR_CONFIG}, {"22003", ERR_DATA}, {"22021", ERR_DATA},
		{"23502", ERR_DATA}, {"54000", ERR_DATA}, {"54011", ERR_CONFIG},
	};
	struct str column;

	for (size_t k = 0; k < ARRAY_LEN(known); k++)
		is_int(known[k].code, pg_error_class(known[k].state), "class of \"%s\"", known[k].state);
	is_int(ERR_TRANSIENT, pg_error_class(NULL), "no state is transient");
	ok(*pg_error_fix("28P01") && *pg_error_fix("3D000") && *pg_error_fix("42501"), "config errors say what to do");
	is_str("28P01", pg_error_of_connect("connection to server at \"127.0.0.1\", port 5432 failed: FATAL:  password authentication failed for user \"x\""),
		"a wrong password");
	is_str("3D000", pg_error_of_connect("connection to server failed: FATAL:  database \"nope\" does not exist"), "no such database");
	is_str("28000", pg_error_of_connect("connection to server failed: FATAL:  role \"nope\" does not exist"), "no such role");
	is_str("", pg_error_of_connect("connection to server at \"127.0.0.1\", port 1 failed: Connection refused"), "a server that is down may come back");
	is_str("", pg_error_of_connect("FATAL:  the database system is starting up"), "a server that starts");
	is_int(17, pg_error_copy_line("COPY _stitch_stage, line 17, column qty: \"x\"", &column), "row number in a context");
	is_slice("qty", column, "and its column");
	is_int(3, pg_error_copy_line("COPY t, line 3", &column), "without a column");
	ok(!column.ptr, "no column");
	is_int(-1, pg_error_copy_line("SQL function \"f\"", &column), "another context");
	is_int(-1, pg_error_copy_line(NULL, &column), "no context");
}

static void test_keys(void)
{
	struct key_set s = {.n = 0};

	for (uint64_t k = 0; k < 300000; k++)
		key_set_add(&s, key_hash(0, &k, sizeof(k)));
	ok(!s.repeated, "300,000 keys, none twice");
	is_int(300000, (int64_t)s.n, "all remembered");
	key_set_add(&s, key_hash(0, &(uint64_t){4711}, 8));
	ok(s.repeated, "one comes again");
	key_set_free(&s);
	ok(key_hash(0, "ab", 2) != key_hash(key_hash(0, "a", 1), "b", 1), "the borders of columns count");
	ok(key_hash(0, "abcdefgh", 8) != key_hash(0, "abcdefgh\0", 9), "and lengths");
	key_set_add(&s, 0);
	ok(!s.repeated, "a hash of 0 is a hash");
	key_set_add(&s, 0);
	ok(s.repeated, "also twice");
	key_set_free(&s);
}

int main(void)
{
	plan_lazy();
	test_numeric_bytes();
	test_numeric_values();
	test_numeric_limits();
	test_others();
	test_errors();
	test_keys();
	return done_testing();
}
