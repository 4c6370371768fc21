/*
 * 0041-cron.c - schedules of five fields and time zones: what is a schedule, when it comes next, also where clocks are put forward and back, and windows. The
 * zone files are made here, so that the test does not hang on the machine's tz database; two zones of it are read as well, where it is there.
 */
#include "cron.h"
#include "tap.h"
#include "timefmt.h"
#include "xalloc.h"
#include "zone.h"

static struct zone *utc, *berlin, *sydney, *havana;

static int64_t at(const char *iso)
{
	int64_t us;

	if (timefmt_parse(str_c(iso), &us))
		bail("%s is no time", iso);
	return us / 1000000;
}

static const char *iso(int64_t s)
{
	static char text[4][TIMEFMT_MAX];
	static unsigned n;
	char *out = text[n++ % 4];

	if (s == INT64_MAX)
		return "never";
	timefmt_iso(s * NSEC_PER_SEC, 0, out);
	return out;
}

/* A file of version 2 with no changes but the rule. */
static struct zone *zone_of(int32_t first, const char *rule)
{
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;
	struct zone *z;

	for (unsigned k = 0; k < 2; k++) {
		unsigned char head[44] = {'T', 'Z', 'i', 'f', '2'};

		head[39] = 1; /* one type */
		head[43] = 4; /* its name */
		buf_add(&b, head, sizeof(head));
		for (int s = 24; s >= 0; s -= 8)
			buf_addc(&b, (char)((uint32_t)first >> s));
		buf_add(&b, "\0\0LMT\0", 6);
	}
	buf_addf(&b, "\n%s\n", rule);
	z = zone_parse(buf_str(&b), &e);
	for (size_t cut = 0; z && cut < b.len; cut++)
		zone_free(zone_parse(str_mem(b.data, cut), &e)); /* a short file may be refused, not more */
	buf_free(&b);
	return z;
}

static void next(const struct zone *z, const char *schedule, const char *after, const char *wanted)
{
	struct cron c;
	struct err e = ERR_INIT;

	if (cron_parse(str_c(schedule), &c, &e)) {
		ok(false, "%s: %s", schedule, e.text);
		return;
	}
	is_str(wanted, iso(cron_next(&c, z, at(after))), "%s after %s", schedule, after);
}

static void refused(const char *schedule)
{
	struct cron c;
	struct err e = ERR_INIT;

	ok(cron_parse(str_c(schedule), &c, &e) && e.code == ERR_INVALID && e.text[0], "\"%s\" is refused: %s", schedule, e.text);
}

static void schedules(void)
{
	next(utc, "* * * * *", "2026-11-25T07:59:59Z", "2026-11-25T08:00:00Z");
	next(utc, "* * * * *", "2026-11-25T08:00:00Z", "2026-11-25T08:01:00Z");
	next(utc, "*/15 * * * *", "2026-11-25T08:46:00Z", "2026-11-25T09:00:00Z");
	next(utc, "5/20 9-17 * * *", "2026-11-25T17:45:00Z", "2026-11-26T09:05:00Z");
	next(utc, "0 2 * * 6", "2026-11-25T08:00:00Z", "2026-11-28T02:00:00Z");
	next(utc, "0 2 * * SAT,Sun", "2026-11-28T02:00:00Z", "2026-11-29T02:00:00Z");
	next(utc, "0 2 * * 7", "2026-11-25T08:00:00Z", "2026-11-29T02:00:00Z");
	next(utc, "0 0 31 * *", "2026-11-25T08:00:00Z", "2026-12-31T00:00:00Z");
	next(utc, "0 0 31 * *", "2027-01-31T00:00:00Z", "2027-03-31T00:00:00Z");
	next(utc, "0 0 29 feb *", "2026-11-25T08:00:00Z", "2028-02-29T00:00:00Z");
	next(utc, "0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z");
	next(utc, "0 0 30 2 *", "2026-11-25T08:00:00Z", "never");
	next(utc, "0 0 13 * 5", "2026-11-25T08:00:00Z", "2026-11-27T00:00:00Z"); /* the 13th or a Friday */
	next(utc, "0 0 */2 * 5", "2026-11-25T08:00:00Z", "2026-11-27T00:00:00Z"); /* *: both */
	next(utc, "0 0 1 jan-mar/2 *", "2026-11-25T08:00:00Z", "2027-01-01T00:00:00Z");
	next(utc, "  0\t0 1 3 * ", "2027-01-02T08:00:00Z", "2027-03-01T00:00:00Z");
	next(utc, "@daily", "2026-12-31T08:00:00Z", "2027-01-01T00:00:00Z");
	next(utc, "@hourly", "1969-12-31T23:30:00Z", "1970-01-01T00:00:00Z");
	refused("");
	refused("0 2 * *");
	refused("0 2 * * * *");
	refused("60 * * * *");
	refused("* 24 * * *");
	refused("* * 0 * *");
	refused("* * * 13 *");
	refused("* * * * 8");
	refused("5-1 * * * *");
	refused("*/0 * * * *");
	refused("1,,2 * * * *");
	refused("1- * * * *");
	refused("a * * * *");
	refused("@sometimes");
	refused("99999999999999999999 * * * *");
}

static void clocks(void)
{
	int64_t m[2];

	is_int(3600, zone_offset(berlin, at("2026-01-15T00:00:00Z")), "winter in Berlin");
	is_int(7200, zone_offset(berlin, at("2026-07-15T00:00:00Z")), "summer in Berlin");
	is_int(7200, zone_offset(berlin, at("2026-03-29T01:00:00Z")), "from this second on");
	is_int(3600, zone_offset(berlin, at("2026-03-29T00:59:59Z")), "not before");
	is_int(3600, zone_offset(berlin, at("2026-10-25T01:00:00Z")), "and back");
	is_int(39600, zone_offset(sydney, at("2026-01-15T00:00:00Z")), "summer in Sydney");
	is_int(36000, zone_offset(sydney, at("2026-07-15T00:00:00Z")), "winter in Sydney");
	is_int(0, zone_moments(berlin, at("2026-03-29T02:30:00Z"), m), "half past two is skipped");
	is_str("2026-03-29T01:00:00Z", iso(m[0]), "at this moment");
	is_int(2, zone_moments(berlin, at("2026-10-25T02:30:00Z"), m), "half past two comes twice");
	is_str("2026-10-25T00:30:00Z", iso(m[0]), "first");
	is_str("2026-10-25T01:30:00Z", iso(m[1]), "then");
	/* forward */
	next(berlin, "30 2 * * *", "2026-03-28T02:00:00Z", "2026-03-29T01:00:00Z");
	next(berlin, "30 2 * * *", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z");
	next(berlin, "0 3 * * *", "2026-03-28T03:00:00Z", "2026-03-29T01:00:00Z");
	next(berlin, "*/30 * * * *", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z");
	next(berlin, "*/30 * * * *", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z");
	/* back */
	next(berlin, "30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z");
	next(berlin, "30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z");
	next(berlin, "*/30 * * * *", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z");
	next(berlin, "*/30 * * * *", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z");
	/* where the clock is put forward at midnight */
	next(havana, "0 0 * * *", "2026-03-08T04:00:00Z", "2026-03-08T05:00:00Z");
	next(havana, "0 0 * * *", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z");
	next(sydney, "0 9 * * 1", "2026-11-25T08:00:00Z", "2026-11-29T22:00:00Z");
}

static void window(const struct zone *z, const char *text, const char *now, bool in, const char *since, const char *until)
{
	struct cron_window w;
	struct err e = ERR_INIT;
	int64_t from, to;
	bool is;

	if (cron_window_parse(str_c(text), &w, &e)) {
		ok(false, "%s: %s", text, e.text);
		return;
	}
	is = cron_window_at(&w, z, at(now), &from, &to);
	is_int(in, is, "\"%s\" at %s", text, now);
	if (in)
		is_str(since, iso(from), "since");
	is_str(until, iso(to), "until");
}

static void windows(void)
{
	static const char *const bad[] = {"0 2 * * 6", "0 2 * * 6 4", "0 2 * * 6 4x", "0 2 * * 6 1s", "0 2 * * 6 32d", "2 * * 6 4h", "@daily"};
	struct cron_window w;
	struct err e = ERR_INIT;

	window(utc, "0 2 * * 6 4h", "2026-11-28T01:59:59Z", false, "", "2026-11-28T02:00:00Z");
	window(utc, "0 2 * * 6 4h", "2026-11-28T02:00:00Z", true, "2026-11-28T02:00:00Z", "2026-11-28T06:00:00Z");
	window(utc, "0 2 * * 6 4h", "2026-11-28T05:59:59Z", true, "2026-11-28T02:00:00Z", "2026-11-28T06:00:00Z");
	window(utc, "0 2 * * 6 4h", "2026-11-28T06:00:00Z", false, "", "2026-12-05T02:00:00Z");
	window(utc, "0 22,23 * * * 2h", "2026-11-28T00:30:00Z", true, "2026-11-27T23:00:00Z", "2026-11-28T01:00:00Z");
	window(utc, "0 22,23 * * * 2h", "2026-11-27T22:30:00Z", true, "2026-11-27T22:00:00Z", "2026-11-28T01:00:00Z");
	window(berlin, "@daily 30m", "2026-11-27T23:10:00Z", true, "2026-11-27T23:00:00Z", "2026-11-27T23:30:00Z");
	for (size_t k = 0; k < ARRAY_LEN(bad); k++)
		ok(cron_window_parse(str_c(bad[k]), &w, &e) && e.code == ERR_INVALID, "\"%s\" is refused: %s", bad[k], e.text);
}

static void zones(void)
{
	struct err e = ERR_INIT;
	struct zone *z = zone_open("Europe/Berlin", &e);
	static const char *const bad[] = {"Europe/Nowhere", "../../etc/passwd", "/etc/localtime", "Europe"};

	if (!z) {
		skip("no tz database: %s", e.text);
	} else {
		is_int(7200, zone_offset(z, at("2026-07-01T00:00:00Z")), "Berlin by the tz database");
		is_int(3600, zone_offset(z, at("2090-01-01T00:00:00Z")), "also after its last entry");
		is_int(3600, zone_offset(z, at("1960-07-01T00:00:00Z")), "and when there was no summer time");
		zone_free(z);
	}
	for (size_t k = 0; k < ARRAY_LEN(bad); k++) {
		z = zone_open(bad[k], &e);
		ok(!z && e.code == ERR_INVALID, "\"%s\" is no zone: %s", bad[k], e.text);
		zone_free(z);
	}
	ok(!zone_of(0, "CET-1CEST,M3.5.0"), "half a rule is refused");
	ok(!zone_of(0, "CET-1CEST,M13.5.0,M10.5.0"), "so is a month that is none");
	ok(!zone_of(0, "X"), "and a name too short");
	z = zone_of(0, "<+0545>-5:45");
	ok(z && zone_offset(z, 0) == 5 * 3600 + 45 * 60, "a zone without summer time");
	zone_free(z);
	z = zone_of(0, "AAA5BBB,J60/0,299");
	ok(z && zone_offset(z, at("2024-03-01T05:00:00Z")) == -4 * 3600 && zone_offset(z, at("2024-03-01T04:59:59Z")) == -5 * 3600, "a rule by the day of the year leaves 29 February out");
	zone_free(z);
}

int main(void)
{
	struct err e = ERR_INIT;

	utc = zone_open("UTC", &e);
	berlin = zone_of(3208, "CET-1CEST,M3.5.0,M10.5.0/3");
	sydney = zone_of(36292, "AEST-10AEDT,M10.1.0,M4.1.0/3");
	havana = zone_of(-19768, "CST5CDT,M3.2.0/0,M11.1.0/1");
	if (!utc || !berlin || !sydney || !havana)
		bail("no zones: %s", e.text);
	schedules();
	clocks();
	windows();
	zones();
	zone_free(utc);
	zone_free(berlin);
	zone_free(sydney);
	zone_free(havana);
	return done_testing();
}
