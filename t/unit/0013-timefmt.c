/*
 * 0013-timefmt.c - dates and times: every day of 1900 to 2100 there and back and against the C library, forms that are taken and refused, output.
 */
#include "timefmt.h"

#include "tap.h"

#define SEC INT64_C(1000000)

static void every_day(void)
{
	int64_t first = timefmt_days(1900, 1, 1), last = timefmt_days(2100, 12, 31), us;
	unsigned wrong = 0;
	char text[TIMEFMT_MAX];

	is_int(0, timefmt_days(1970, 1, 1), "1970-01-01 is day 0");
	is_int(-25567, first, "1900-01-01");
	is_int(47846, last, "2100-12-31");
	for (int64_t d = first; d <= last; d++) {
		time_t t = (time_t)(d * 86400 + 43200);
		int64_t y;
		unsigned m, day;
		struct tm tm;

		timefmt_civil(d, &y, &m, &day);
		gmtime_r(&t, &tm);
		wrong += timefmt_days(y, m, day) != d || y != tm.tm_year + 1900 || (int)m != tm.tm_mon + 1 || (int)day != tm.tm_mday;
		snprintf(text, sizeof(text), "%04d-%02u-%02u", (int)y, m, day);
		wrong += timefmt_parse(str_c(text), &us) != 0 || us != d * 86400 * SEC;
		timefmt_sql(us + 43200 * SEC + 1, text);
		wrong += timefmt_parse(str_c(text), &us) != 0 || us != (int64_t)t * SEC + 1;
	}
	is_int(0, wrong, "every day from 1900 to 2100, there and back and as gmtime_r has it");
	is_int(-719162, timefmt_days(1, 1, 1), "0001-01-01");
	is_int(2932896, timefmt_days(9999, 12, 31), "9999-12-31");
	is_int(-719528, timefmt_days(0, 1, 1), "year 0");
}

static void taken(void)
{
	static const struct {
		const char *s;
		int64_t us;
	} cases[] = {
		{"1970-01-01", 0}, {"1970-01-01T00:00:00Z", 0}, {"1970-01-01 00:00:00", 0}, {"1970-01-01t00:00:01z", SEC}, {"1970-01-01T00:00:00", 0},
		{"1970-01-01T00:00:00.5Z", SEC / 2}, {"1970-01-01T00:00:00.123456Z", 123456}, {"1970-01-01T00:00:00.123456999999999999999Z", 123456},
		{"1970-01-01T00:00:00.000001", 1}, {"1970-01-01T01:00:00+01:00", 0}, {"1970-01-01T01:00:00+0100", 0}, {"1970-01-01T01:00:00+01", 0},
		{"1969-12-31T18:30:00-05:30", 0}, {"1970-01-01 05:45:00.25+05:45", SEC / 4}, {"1970-01-01T00:00:00-00:00", 0},
		{"1969-12-31T23:59:59.999999Z", -1}, {"1969-12-31T23:59:60Z", 0}, {"2016-12-31T23:59:60.5Z", INT64_C(1483228800500000)},
		{"2000-02-29", INT64_C(951782400) * SEC}, {"2026-11-24T08:42:43.123+00:00", INT64_C(1795509763123000)},
		{"0001-01-01T00:00:00Z", INT64_C(-62135596800) * SEC}, {"9999-12-31T23:59:59.999999Z", INT64_C(253402300800) * SEC - 1},
		{"9999-12-31T23:59:59+23:59", INT64_C(253402300799) * SEC - 86340 * SEC},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t us = 42;

		ok(timefmt_parse(str_c(cases[i].s), &us) == 0 && us == cases[i].us, "%s (%" PRId64 ")", cases[i].s, us);
	}
}

static void refused(void)
{
	static const char *const cases[] = {"", "2026", "2026-11", "2026-11-2", "20261124", "2026-13-01", "2026-00-01", "2026-01-00", "2026-01-32",
		"2026-02-29", "1900-02-29", "2100-02-29", "2026-04-31", "0000-01-01", "10000-01-01", "-2026-01-01", "+2026-01-01", "2026-1-01",
		"2026-11-24T", "2026-11-24T08", "2026-11-24T08:42", "2026-11-24T08:42:", "2026-11-24T8:42:43Z", "2026-11-24T24:00:00Z",
		"2026-11-24T08:60:43Z", "2026-11-24T08:42:61Z", "2026-11-24T08:42:43.", "2026-11-24T08:42:43.Z", "2026-11-24T08:42:43,5Z",
		"2026-11-24T08:42:43+1", "2026-11-24T08:42:43+24:00", "2026-11-24T08:42:43+01:60", "2026-11-24T08:42:43+01:", "2026-11-24T08:42:43+010",
		"2026-11-24T08:42:43Z ", " 2026-11-24", "2026-11-24Z", "2026-11-24T08:42:43ZZ", "2026-11-24T08:42:43 Z", "2026-11-24T08:42:43 UTC",
		"2026-11-24  08:42:43", "2026/11/24", "24-11-2026", "hello", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:60Z",
		"9999-12-31T23:59:59-00:01", "2026-11-24T08:42:4\xd9\xa3Z"};
	int64_t us = 42;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		ok(timefmt_parse(str_c(cases[i]), &us) == -1 && us == 42, "'%s' is refused", cases[i]);
	ok(timefmt_parse(str_mem("1970-01-01\0", 11), &us) == -1, "a NUL behind the date is refused");
	ok(timefmt_parse(str_mem("1970-01-01T00:00:00\0", 20), &us) == -1, "a NUL behind the time is refused");
	ok(timefmt_parse(STR_NULL, &us) == -1, "nothing is refused");
}

static void output(void)
{
	static const struct {
		int64_t ns;
		const char *s;
	} spans[] = {
		{0, "<1s"}, {-5, "<1s"}, {INT64_MIN, "<1s"}, {999999999, "<1s"}, {NSEC_PER_SEC, "1.0s"}, {3990000000, "3.9s"}, {9999999999, "9.9s"},
		{10 * NSEC_PER_SEC, "10s"}, {59 * NSEC_PER_SEC, "59s"}, {60 * NSEC_PER_SEC, "1m00s"}, {151 * NSEC_PER_SEC, "2m31s"},
		{3599 * NSEC_PER_SEC, "59m59s"}, {3600 * NSEC_PER_SEC, "1h00m"}, {86399 * NSEC_PER_SEC, "23h59m"}, {86400 * NSEC_PER_SEC, "1d 0h"},
		{(29 * 86400 + 21 * 3600 + 3599) * NSEC_PER_SEC, "29d 21h"}, {(999 * 86400 + 23 * 3600) * NSEC_PER_SEC, "999d 23h"},
		{1000 * 86400 * NSEC_PER_SEC, "1000d"}, {INT64_MAX, "106751d"},
	};
	const int64_t ns = INT64_C(1795509763123456789);
	char s[TIMEFMT_MAX];
	size_t n;

	n = timefmt_iso(ns, 0, s);
	is_str("2026-11-24T08:42:43Z", s, "to the second");
	is_int((int64_t)strlen(s), (int64_t)n, "its length");
	timefmt_iso(ns, 3, s);
	is_str("2026-11-24T08:42:43.123Z", s, "to the millisecond");
	timefmt_iso(ns, 6, s);
	is_str("2026-11-24T08:42:43.123456Z", s, "to the microsecond");
	n = timefmt_iso(ns, 9, s);
	is_str("2026-11-24T08:42:43.123456789Z", s, "to the nanosecond");
	is_int((int64_t)strlen(s), (int64_t)n, "its length");
	timefmt_iso(-1, 3, s);
	is_str("1969-12-31T23:59:59.999Z", s, "before 1970");
	timefmt_iso(INT64_MIN, 9, s);
	is_str("1677-09-21T00:12:43.145224192Z", s, "the first ns");
	timefmt_iso(INT64_MAX, 9, s);
	is_str("2262-04-11T23:47:16.854775807Z", s, "the last ns");
	n = timefmt_sql(ns / 1000, s);
	is_str("2026-11-24 08:42:43.123456", s, "for SQL");
	is_int((int64_t)strlen(s), (int64_t)n, "its length");
	timefmt_sql(-1, s);
	is_str("1969-12-31 23:59:59.999999", s, "for SQL before 1970");
	timefmt_sql(timefmt_days(1, 1, 1) * 86400 * SEC, s);
	is_str("0001-01-01 00:00:00.000000", s, "for SQL in the year 1");
	ok(timefmt_sql(INT64_MIN, s) < TIMEFMT_MAX && timefmt_sql(INT64_MAX, s) < TIMEFMT_MAX, "the ends of time fit the field");
	for (size_t i = 0; i < ARRAY_LEN(spans); i++) {
		n = timefmt_span(spans[i].ns, s);
		is_str(spans[i].s, s, "a span of %" PRId64 " ns", spans[i].ns);
		ok(n == strlen(s) && n <= 8, "at most 8 columns");
	}
}

int main(void)
{
	plan_lazy();
	every_day();
	taken();
	refused();
	output();
	return done_testing();
}
