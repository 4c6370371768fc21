/*
 * 0012-decimal.c - numbers by their digits: tables of cases for each question, and a comparison with whole-number arithmetic on many small ones.
 */
#include "decimal.h"

#include "tap.h"

#define INT64_TOP "9223372036854775807"

static void parsing(void)
{
	static const char *const good[] = {"0", "-0", "1", "-1.5", "1e1", "1E+1", "1e-01", "0.0", "10.00e00", "-0.0e-0", "1e99999999999999999999999"};
	static const char *const bad[] = {"", "-", "+1", "01", "-01", "1.", ".5", "1.e1", "1e", "1e+", "1e1.", "1 ", " 1", "0x1", "NaN", "Infinity", "1e1e1",
		"--1", "1.2.3", "1,2"};
	struct decimal d;

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		ok(decimal_parse(str_c(good[i]), &d) == 0, "%s is a number", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ok(decimal_parse(str_c(bad[i]), &d) == -1, "'%s' is none", bad[i]);
	ok(decimal_parse(STR_NULL, &d) == -1, "nothing is none");
	ok(decimal_parse(STR("-12.340e-7"), &d) == 0 && d.negative && !d.zero && d.exponent == -7, "sign and exponent");
	is_slice("12", d.int_digits, "digits before the point");
	is_slice("340", d.frac_digits, "digits after it, as written");
	ok(decimal_parse(STR("0.000e5"), &d) == 0 && d.zero, "a long zero");
	ok(decimal_parse(STR("1e-99999999999999999999"), &d) == 0 && d.exponent == -1000000, "the exponent is clamped");
}

static void integers(void)
{
	static const struct {
		const char *s;
		bool whole, fits;
		int64_t v;
	} cases[] = {
		{"0", true, true, 0}, {"-0", true, true, 0}, {"-0.0e5", true, true, 0}, {"0e1000000", true, true, 0}, {"1.0", true, true, 1},
		{"100e-2", true, true, 1}, {"10e2", true, true, 1000}, {"1e3", true, true, 1000}, {"-1.50e1", true, true, -15},
		{INT64_TOP, true, true, INT64_MAX}, {"9223372036854775808", true, false, 0}, {"-9223372036854775808", true, true, INT64_MIN},
		{"-9223372036854775809", true, false, 0}, {"9.223372036854775807e18", true, true, INT64_MAX}, {INT64_TOP "000e-3", true, true, INT64_MAX},
		{"9999999999999999999", true, false, 0}, {"18446744073709551616", true, false, 0}, {"1e18", true, true, INT64_C(1000000000000000000)},
		{"1e19", true, false, 0}, {"1e1000000", true, false, 0}, {"1e99999999999999999999", true, false, 0}, {"0.1", false, false, 0},
		{"1.5", false, false, 0}, {"1e-1", false, false, 0}, {"1e-99999999999999999999", false, false, 0}, {"15e-1", false, false, 0},
		{"123456789012345678901234567890", true, false, 0}, {"9223372036854775807.5", false, false, 0}, {"x", false, false, 0}, {"", false, false, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str s = str_c(cases[i].s);
		int64_t v = 0;

		ok(decimal_is_integer(s) == cases[i].whole, "%s: whole or not", cases[i].s);
		ok(decimal_to_i64(s, &v) == (cases[i].fits ? 0 : -1) && v == cases[i].v, "%s: its value", cases[i].s);
	}
}

static void sizes(void)
{
	static const struct {
		const char *s;
		int precision, scale; /* -1: over the limit of 38 */
	} cases[] = {
		{"0", 1, 0}, {"-0.000", 1, 0}, {"1", 1, 0}, {"1.50e2", 3, 0}, {"12.340", 4, 2}, {"0.001", 3, 3}, {"-0.001", 3, 3}, {"1e-10", 10, 10},
		{"1e37", 38, 0}, {"1e38", -1, 0}, {"1e-38", 38, 38}, {"1e-39", -1, 0}, {"1e1000000", -1, 0}, {"1e-1000000", -1, 0}, {"0e1000000", 1, 0},
		{"100", 3, 0}, {"100.00", 3, 0}, {"1234567890123456789012345678.901234567891", -1, 0}, {"12345678901234567890123456.789012345678", 38, 12},
		{"-", -1, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		unsigned p = 99, s = 99;
		int rc = decimal_size(str_c(cases[i].s), 38, &p, &s);

		ok(cases[i].precision < 0 ? rc == -1 : rc == 0 && (int)p == cases[i].precision && (int)s == cases[i].scale, "size of %s: %d, %d", cases[i].s,
			cases[i].precision, cases[i].scale);
	}
}

static void order(void)
{
	/* from the lowest to the highest; what stands in one line is equal */
	static const char *const lines[][4] = {
		{"-1e99999999"}, {"-1e1000001"}, {"-1e1000000", "-10e999999"}, {"-123456789012345678901234567890"}, {"-2", "-2.0", "-0.2e1"}, {"-1.5"},
		{"-1e-1000000"}, {"0", "-0", "0.00", "0e99"}, {"1e-1000000", "0.1e-999999"}, {"1e-10", "0.0000000001"}, {"0.1", "1e-1", "0.10"}, {"0.11"},
		{"1", "1.0", "100e-2", "0.01e2"}, {INT64_TOP, INT64_TOP ".0"}, {"9223372036854775808"}, {"123456789012345678901234567890"},
		{"123456789012345678901234567890.1"}, {"123456789012345678901234567891"}, {"1e1000000"}, {"1.00001e1000000"}, {"1e99999999"},
	};
	unsigned wrong = 0, pairs = 0;

	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		for (size_t k = 0; k < ARRAY_LEN(lines); k++)
			for (size_t a = 0; a < 4 && lines[i][a]; a++)
				for (size_t b = 0; b < 4 && lines[k][b]; b++, pairs++) {
					int c = decimal_cmp(str_c(lines[i][a]), str_c(lines[k][b]));

					if (c == (i > k) - (i < k))
						continue;
					wrong++;
					diag("%s against %s: %d", lines[i][a], lines[k][b], c);
				}
	is_int(0, wrong, "%u pairs compare right", pairs);
}

static void multiples(void)
{
	static const struct {
		const char *v, *of;
		bool yes;
	} cases[] = {
		{"0.1", "0.01", true}, {"4999.99", "0.01", true}, {"4999.995", "0.01", false}, {"0.075", "0.001", true}, {"1e1000000", "3", false},
		{"3e1000000", "3", true}, {"1e1000000", "7", false}, {"1e1000000", "1024", true}, {"1e9", "1024", false}, {"1e10", "1024", true},
		{"1e1000000", "0.01", true}, {"1e-10", "0.01", false}, {"1e-10", "1e-10", true}, {"1e-10", "1e-11", true}, {"1e-10", "2e-11", true},
		{"1e-10", "3e-11", false}, {"0", "0.01", true}, {"-0", "5", true}, {"-10", "5", true}, {"-11", "5", false}, {"5", "10", false},
		{"100", "10", true}, {"15", "10", false}, {"1e1", "10.0", true}, {"123456789012345678901234567890", "10", true},
		{"123456789012345678901234567890", "7", true}, {"123456789012345678901234567890", "11", false}, {"123456789012345678901234567890", "9", true},
		{"123456789012345678901234567891", "123456789012345678901234567891", true}, {"123456789012345678901234567892", "123456789012345678901234567891", false},
		{"1", "1e-1000000", true}, {"1e-1000000", "1", false}, {"1", "1e1000000", false}, {"5", "0", false}, {"x", "1", false}, {"1", "x", false},
		{"1.0", "1", true}, {"1e99999999999999999999", "1e-99999999999999999999", true},
		/* 37 digits: 10^36 + 1, its triple and one more; 2^122 divides 10^122 and not 10^121; with 38 digits none is tried */
		{"3000000000000000000000000000000000003", "1000000000000000000000000000000000001", true},
		{"3000000000000000000000000000000000004", "1000000000000000000000000000000000001", false},
		{"100000000000000000000000000000000000100000", "1000000000000000000000000000000000001", true},
		{"1e122", "5316911983139663491615228241121378304", true}, {"1e121", "5316911983139663491615228241121378304", false},
		{"1e1000000", "5316911983139663491615228241121378304", true}, {"9999999999999999999999999999999999999", "9999999999999999999999999999999999999", true},
		{"99999999999999999999999999999999999990", "9999999999999999999999999999999999999e-5", true},
		{"10000000000000000000000000000000000001", "10000000000000000000000000000000000001", false},
	};
	unsigned wrong = 0;
	char v[32], of[32];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		ok(decimal_multiple_of(str_c(cases[i].v), str_c(cases[i].of)) == cases[i].yes, "%s is %sa multiple of %s", cases[i].v,
			cases[i].yes ? "" : "not ", cases[i].of);
	for (int a = 0; a < 1200; a += 7)
		for (int b = 1; b < 130; b++) {
			/* a/100 and b/100, the second with an exponent */
			snprintf(v, sizeof(v), "-%d.%02d", a / 100, a % 100);
			snprintf(of, sizeof(of), "%de-2", b);
			wrong += decimal_multiple_of(str_c(v), str_c(of)) != (a % b == 0);
		}
	is_int(0, wrong, "and hundredths as whole numbers say");
}

static void plain(void)
{
	static const struct {
		const char *s, *wanted; /* NULL: more than 40 bytes */
	} cases[] = {
		{"1e3", "1000"}, {"-0", "0"}, {"0", "0"}, {"-0.00", "0.00"}, {"0e5", "0"}, {"-0.0e-7", "0"}, {"1.50", "1.50"}, {"-1.50e1", "-15.0"},
		{"1.50e2", "150"}, {"1.5e2", "150"}, {"1.50e3", "1500"}, {"1e-3", "0.001"}, {"-12.5e-4", "-0.00125"}, {"0.05", "0.05"}, {"0.05e1", "0.5"},
		{"0.05e2", "5"}, {"0.05e3", "50"}, {"0.0012e3", "1.2"}, {"0.050e1", "0.50"}, {"100e-2", "1.00"}, {"1e39", "1000000000000000000000000000000000000000"},
		{"1e40", NULL}, {"-1e39", NULL}, {"1e-38", "0.00000000000000000000000000000000000001"}, {"1e-39", NULL}, {"1e1000000", NULL},
		{"1e-99999999999999999999", NULL}, {"1.", NULL}, {"12345678901234567890.12345", "12345678901234567890.12345"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b = BUF_INIT;
		int rc;

		buf_addc(&b, '>');
		rc = decimal_plain(str_c(cases[i].s), 40, &b);
		if (cases[i].wanted)
			ok(rc == 0 && str_eqc(str_c(b.data + 1), cases[i].wanted), "%s is %s (%s)", cases[i].s, cases[i].wanted, b.data + 1);
		else
			ok(rc == -1 && b.len == 1, "%s: no plain form within the limit, nothing added", cases[i].s);
		buf_free(&b);
	}
}

int main(void)
{
	plan_lazy();
	parsing();
	integers();
	sizes();
	order();
	multiples();
	plain();
	return done_testing();
}
