/*
 * timefmt.c - ISO 8601 in and out, see timefmt.h. The design: civil dates are counted in eras of 400 years that begin in March, so that the
 * leap day is the last of its year (Howard Hinnant's "chrono-compatible low-level date algorithms"); everything else is arithmetic on
 * microseconds or nanoseconds. What can go wrong: division of negative times rounds to zero in C, so floor_div and floor_mod are used throughout.
 */
#include "timefmt.h"

#define US_PER_SEC INT64_C(1000000)
#define SEC_PER_DAY INT64_C(86400)
#define DAYS_PER_ERA 146097

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int64_t floor_mod(int64_t a, int64_t b)
{
	return a % b + (a % b < 0 ? b : 0);
}

int64_t timefmt_days(int64_t year, unsigned month, unsigned day)
{
	int64_t y = year - (month <= 2), era = floor_div(y, 400), in_era = y - era * 400;
	int64_t in_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;

	return era * DAYS_PER_ERA + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

void timefmt_civil(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
	int64_t era, in_era, y, in_year, m;

	days += 719468;
	era = floor_div(days, DAYS_PER_ERA);
	in_era = days - era * DAYS_PER_ERA;
	y = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	in_year = in_era - (365 * y + y / 4 - y / 100);
	m = (5 * in_year + 2) / 153;
	*day = (unsigned)(in_year - (153 * m + 2) / 5 + 1);
	*month = (unsigned)(m < 10 ? m + 3 : m - 9);
	*year = era * 400 + y + (*month <= 2);
}

/* n digits at the front of s, taken off it */
static int take(struct str *s, unsigned n, unsigned *out)
{
	unsigned v = 0;

	if (s->len < n)
		return -1;
	for (unsigned i = 0; i < n; i++) {
		unsigned d = (unsigned)(unsigned char)s->ptr[i] - '0';

		if (d > 9)
			return -1;
		v = v * 10 + d;
	}
	*s = str_mem(s->ptr + n, s->len - n);
	*out = v;
	return 0;
}

static bool take_char(struct str *s, const char *one_of)
{
	/* few to choose from, and read for every time of every record: not worth a call */
	while (*one_of && (!s->len || *one_of != s->ptr[0]))
		one_of++;
	if (!*one_of)
		return false;
	*s = str_mem(s->ptr + 1, s->len - 1);
	return true;
}

static unsigned days_in(unsigned year, unsigned month)
{
	static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

static int take_date(struct str *s, int64_t *days)
{
	unsigned y, m, d;

	if (take(s, 4, &y) || !take_char(s, "-") || take(s, 2, &m) || !take_char(s, "-") || take(s, 2, &d))
		return -1;
	if (!y || !m || m > 12 || !d || d > days_in(y, m))
		return -1;
	*days = timefmt_days(y, m, d);
	return 0;
}

/* hh:mm:ss[.fraction] in us since midnight */
static int take_time(struct str *s, int64_t *us)
{
	unsigned h, m, sec, d;
	int64_t unit = US_PER_SEC / 10;

	if (take(s, 2, &h) || !take_char(s, ":") || take(s, 2, &m) || !take_char(s, ":") || take(s, 2, &sec))
		return -1;
	if (h > 23 || m > 59 || sec > 60)
		return -1;
	*us = ((int64_t)h * 3600 + m * 60 + sec) * US_PER_SEC;
	if (!take_char(s, "."))
		return 0;
	if (take(s, 1, &d))
		return -1;
	do {
		*us += d * unit;
		unit /= 10;
	} while (take(s, 1, &d) == 0);
	return 0;
}

/* Z, +hh, +hhmm, +hh:mm or nothing, in seconds east */
static int take_offset(struct str *s, int64_t *east)
{
	unsigned h, m = 0;
	bool west = s->len && s->ptr[0] == '-';

	*east = 0;
	if (!s->len || take_char(s, "Zz"))
		return 0;
	if (!take_char(s, "+-") || take(s, 2, &h))
		return -1;
	if (s->len && ((void)take_char(s, ":"), take(s, 2, &m)))
		return -1;
	if (h > 23 || m > 59)
		return -1;
	*east = ((int64_t)h * 60 + m) * (west ? -60 : 60);
	return 0;
}

int timefmt_parse(struct str s, int64_t *us)
{
	int64_t days, time = 0, east = 0, t;

	if (take_date(&s, &days))
		return -1;
	if (s.len && (!take_char(&s, "Tt ") || take_time(&s, &time) || take_offset(&s, &east) || s.len))
		return -1;
	t = (days * SEC_PER_DAY - east) * US_PER_SEC + time;
	/* an offset or a leap second must not lead out of the years that destinations know */
	if (t < timefmt_days(1, 1, 1) * SEC_PER_DAY * US_PER_SEC || t >= timefmt_days(10000, 1, 1) * SEC_PER_DAY * US_PER_SEC)
		return -1;
	*us = t;
	return 0;
}

/* "2026-11-24T08:42:43" with the given byte in the middle; sec since 1970 */
static size_t put(int64_t sec, char between, char out[TIMEFMT_MAX])
{
	int64_t days = floor_div(sec, SEC_PER_DAY), year;
	unsigned month, day, of_day = (unsigned)floor_mod(sec, SEC_PER_DAY);

	timefmt_civil(days, &year, &month, &day);
	return (size_t)snprintf(out, TIMEFMT_MAX, "%04" PRId64 "-%02u-%02u%c%02u:%02u:%02u", year, month, day, between, of_day / 3600,
		of_day / 60 % 60, of_day % 60);
}

size_t timefmt_iso(int64_t ns, unsigned frac, char out[TIMEFMT_MAX])
{
	int64_t rest = floor_mod(ns, NSEC_PER_SEC);
	size_t n = put(floor_div(ns, NSEC_PER_SEC), 'T', out);

	assert(frac <= 9 && frac % 3 == 0);
	for (unsigned i = frac; i < 9; i++)
		rest /= 10;
	if (frac)
		n += (size_t)snprintf(out + n, TIMEFMT_MAX - n, ".%0*" PRId64, (int)frac, rest);
	return n + (size_t)snprintf(out + n, TIMEFMT_MAX - n, "Z");
}

size_t timefmt_sql(int64_t us, char out[TIMEFMT_MAX])
{
	size_t n = put(floor_div(us, US_PER_SEC), ' ', out);

	return n + (size_t)snprintf(out + n, TIMEFMT_MAX - n, ".%06" PRId64, floor_mod(us, US_PER_SEC));
}

size_t timefmt_span(int64_t ns, char out[TIMEFMT_MAX])
{
	int64_t sec = ns / NSEC_PER_SEC, days = sec / SEC_PER_DAY;
	int n;

	if (sec < 1)
		n = snprintf(out, TIMEFMT_MAX, "<1s");
	else if (sec < 10)
		n = snprintf(out, TIMEFMT_MAX, "%d.%ds", (int)sec, (int)(ns / (NSEC_PER_SEC / 10) % 10));
	else if (sec < 60)
		n = snprintf(out, TIMEFMT_MAX, "%ds", (int)sec);
	else if (sec < 3600)
		n = snprintf(out, TIMEFMT_MAX, "%dm%02ds", (int)sec / 60, (int)sec % 60);
	else if (days < 1)
		n = snprintf(out, TIMEFMT_MAX, "%dh%02dm", (int)sec / 3600, (int)sec / 60 % 60);
	else if (days < 1000)
		n = snprintf(out, TIMEFMT_MAX, "%dd %dh", (int)days, (int)(sec / 3600 % 24));
	else
		n = snprintf(out, TIMEFMT_MAX, "%" PRId64 "d", days);
	return (size_t)n;
}
