/*
 * zone.c - a TZif file (RFC 8536) read strictly: the block of 64-bit times if there is one, and the rule in its last line for what comes after them. Leap seconds are not
 * used: our times do not count them.
 *
 * What can go wrong: the file is foreign bytes. Every count is checked against the length before anything is read, times must rise, and a rule that cannot be
 * understood is an error, because a zone that stops changing would be wrong twice a year without a word.
 */
#include "zone.h"

#include "file.h"
#include "timefmt.h"
#include "xalloc.h"

#define ZONE_DIR "/usr/share/zoneinfo/"
#define FILE_MAX (1u << 20)
#define HEAD 44
#define DAY 86400

struct change {
	int64_t at; /* from this moment on */
	int32_t offset;
};

/* When summer time begins or ends, in a POSIX rule. */
struct rule_day {
	enum { RULE_MONTH, RULE_JULIAN, RULE_DAY } kind;
	int month, week, day;
	int64_t time; /* of day, seconds */
};

struct zone {
	struct change *changes;
	size_t n;
	int32_t first; /* before the first change */
	bool has_rule, has_summer;
	int32_t standard, summer;
	struct rule_day begins, ends;
};

/* --- the rule: "CET-1CEST,M3.5.0,M10.5.0/3" --- */

struct text {
	const char *p, *end;
};

static bool take(struct text *t, char c)
{
	if (t->p == t->end || *t->p != c)
		return false;
	t->p++;
	return true;
}

static int number(struct text *t, int max, int *out)
{
	int n = 0;
	const char *start = t->p;

	while (t->p < t->end && *t->p >= '0' && *t->p <= '9' && n <= max)
		n = n * 10 + (*t->p++ - '0');
	*out = n;
	return t->p == start || n > max ? -1 : 0;
}

static int zone_name(struct text *t)
{
	const char *start = t->p;

	if (take(t, '<')) {
		while (t->p < t->end && *t->p != '>')
			t->p++;
		return take(t, '>') ? 0 : -1;
	}
	while (t->p < t->end && ((*t->p >= 'A' && *t->p <= 'Z') || (*t->p >= 'a' && *t->p <= 'z')))
		t->p++;
	return t->p - start >= 3 ? 0 : -1;
}

/* [+-]hh[:mm[:ss]] */
static int clock_time(struct text *t, int64_t *out)
{
	bool minus = take(t, '-');
	int h, m = 0, s = 0;

	if (!minus && t->p < t->end && *t->p == '+')
		t->p++;
	if (number(t, 167, &h) || (take(t, ':') && (number(t, 59, &m) || (take(t, ':') && number(t, 59, &s)))))
		return -1;
	*out = h * 3600 + m * 60 + s;
	if (minus)
		*out = -*out;
	return 0;
}

static int rule_day(struct text *t, struct rule_day *d)
{
	*d = (struct rule_day){.time = 2 * 3600};
	if (take(t, 'M')) {
		d->kind = RULE_MONTH;
		if (number(t, 12, &d->month) || !take(t, '.') || number(t, 5, &d->week) || !take(t, '.') || number(t, 6, &d->day) || !d->month || !d->week)
			return -1;
	} else {
		d->kind = take(t, 'J') ? RULE_JULIAN : RULE_DAY;
		if (number(t, 365, &d->day) || (d->kind == RULE_JULIAN && !d->day))
			return -1;
	}
	return take(t, '/') ? clock_time(t, &d->time) : 0;
}

static int parse_rule(struct zone *z, struct str s)
{
	struct text t = {s.ptr, s.ptr + s.len};
	int64_t west;

	if (zone_name(&t) || clock_time(&t, &west))
		return -1;
	z->has_rule = true;
	z->standard = (int32_t)-west;
	if (t.p == t.end)
		return 0;
	if (zone_name(&t))
		return -1;
	z->summer = z->standard + 3600;
	if (t.p < t.end && *t.p != ',') {
		if (clock_time(&t, &west))
			return -1;
		z->summer = (int32_t)-west;
	}
	if (!take(&t, ',') || rule_day(&t, &z->begins) || !take(&t, ',') || rule_day(&t, &z->ends) || t.p != t.end)
		return -1;
	z->has_summer = true;
	return 0;
}

static bool is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Local seconds of a rule's day in a year. */
static int64_t day_in(const struct rule_day *d, int64_t year)
{
	int64_t day, first;

	if (d->kind == RULE_MONTH) {
		first = timefmt_days(year, (unsigned)d->month, 1);
		/* 1970-01-01 was a Thursday */
		day = first + ((d->day - (first + 4) % 7) % 7 + 7) % 7 + 7 * (d->week - 1);
		while (day >= (d->month == 12 ? timefmt_days(year + 1, 1, 1) : timefmt_days(year, (unsigned)d->month + 1, 1)))
			day -= 7;
	} else {
		day = timefmt_days(year, 1, 1) + d->day - (d->kind == RULE_JULIAN);
		if (d->kind == RULE_JULIAN && is_leap(year) && d->day >= 60)
			day++;
	}
	return day * DAY + d->time;
}

static int64_t year_of(int64_t seconds)
{
	int64_t year;
	unsigned month, day;

	timefmt_civil(seconds >= 0 ? seconds / DAY : -((-seconds + DAY - 1) / DAY), &year, &month, &day);
	return year;
}

static int32_t by_rule(const struct zone *z, int64_t utc)
{
	int64_t year, begins, ends;
	bool in_summer;

	if (!z->has_summer)
		return z->standard;
	year = year_of(utc + z->standard);
	begins = day_in(&z->begins, year) - z->standard;
	ends = day_in(&z->ends, year) - z->summer;
	in_summer = begins < ends ? utc >= begins && utc < ends : utc >= begins || utc < ends;
	return in_summer ? z->summer : z->standard;
}

/* --- the file --- */

static uint32_t be32(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

static int64_t time_at(const char *p, unsigned size)
{
	return size == 4 ? (int32_t)be32(p) : (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

struct counts {
	uint64_t isut, isstd, leap, time, type, chars;
};

static int read_head(struct str f, struct counts *c)
{
	if (f.len < HEAD || memcmp(f.ptr, "TZif", 4) != 0)
		return -1;
	*c = (struct counts){be32(f.ptr + 20), be32(f.ptr + 24), be32(f.ptr + 28), be32(f.ptr + 32), be32(f.ptr + 36), be32(f.ptr + 40)};
	return c->type < 1 || c->type > 256 || c->time > 100000 ? -1 : 0;
}

static uint64_t block_size(const struct counts *c, unsigned size)
{
	return HEAD + c->time * size + c->time + c->type * 6 + c->chars + c->leap * (size + 4) + c->isstd + c->isut;
}

static int read_block(struct zone *z, struct str f, const struct counts *c, unsigned size)
{
	const char *times = f.ptr + HEAD, *kinds = times + c->time * size, *types = kinds + c->time;

	z->first = (int32_t)be32(types);
	z->n = (size_t)c->time;
	z->changes = xcalloc(z->n + 1, sizeof(*z->changes));
	for (size_t k = 0; k < z->n; k++) {
		unsigned kind = (unsigned char)kinds[k];

		if (kind >= c->type)
			return -1;
		z->changes[k] = (struct change){.at = time_at(times + k * size, size), .offset = (int32_t)be32(types + kind * 6)};
		if ((k && z->changes[k].at <= z->changes[k - 1].at) || z->changes[k].offset < -2 * DAY || z->changes[k].offset > 2 * DAY)
			return -1;
	}
	return z->first < -2 * DAY || z->first > 2 * DAY ? -1 : 0;
}

static int read_file(struct zone *z, struct str f)
{
	struct counts c;
	unsigned size = 4;
	const char *newline;

	if (read_head(f, &c) || block_size(&c, 4) > f.len)
		return -1;
	if (f.ptr[4] >= '2') {
		size_t skip = (size_t)block_size(&c, 4);

		f = str_mem(f.ptr + skip, f.len - skip);
		size = 8;
		if (read_head(f, &c) || block_size(&c, 8) > f.len)
			return -1;
	}
	if (read_block(z, f, &c, size))
		return -1;
	if (size == 4)
		return 0;
	f = str_mem(f.ptr + block_size(&c, 8), f.len - (size_t)block_size(&c, 8));
	if (f.len < 2 || f.ptr[0] != '\n')
		return -1;
	f = str_mem(f.ptr + 1, f.len - 1);
	newline = memchr(f.ptr, '\n', f.len);
	if (!newline)
		return -1;
	f.len = (size_t)(newline - f.ptr);
	return f.len ? parse_rule(z, f) : 0;
}

struct zone *zone_parse(struct str file, struct err *e)
{
	struct zone *z = xcalloc(1, sizeof(*z));

	if (read_file(z, file) == 0)
		return z;
	zone_free(z);
	err_set(e, ERR_INVALID, "it is not a time zone file that can be understood");
	return NULL;
}

static bool plain_name(const char *name)
{
	return name[0] != '/' && !strstr(name, "..") && strlen(name) < 100 &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+/") == strlen(name);
}

struct zone *zone_open(const char *name, struct err *e)
{
	struct buf file = BUF_INIT;
	struct zone *z = NULL;
	char *path;

	if (!name || !*name || strcmp(name, "UTC") == 0) {
		z = xcalloc(1, sizeof(*z));
		z->has_rule = true;
		return z;
	}
	if (!plain_name(name)) {
		err_set(e, ERR_INVALID, "there is no time zone \"%s\" (a name such as Europe/Berlin)", name);
		return NULL;
	}
	path = xasprintf(ZONE_DIR "%s", name);
	if (file_read(path, FILE_MAX, &file, NULL))
		err_set(e, ERR_INVALID, "there is no time zone \"%s\" in " ZONE_DIR " (a name such as Europe/Berlin; the package tzdata has them)", name);
	else if (!(z = zone_parse(buf_str(&file), e)))
		err_wrap(e, "time zone %s", name);
	buf_free(&file);
	free(path);
	return z;
}

void zone_free(struct zone *z)
{
	if (!z)
		return;
	free(z->changes);
	free(z);
}

/* --- questions --- */

int32_t zone_offset(const struct zone *z, int64_t utc)
{
	size_t low = 0, high = z->n;

	/* changes[low - 1].at <= utc < changes[high].at */
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (z->changes[mid].at <= utc)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == z->n && z->has_rule)
		return by_rule(z, utc);
	return low ? z->changes[low - 1].offset : z->first;
}

unsigned zone_moments(const struct zone *z, int64_t local, int64_t out[2])
{
	/* the clock is moved by less than a day at once */
	int32_t before = zone_offset(z, local - DAY), after = zone_offset(z, local + DAY);
	unsigned n = 0;
	int64_t low, high;

	if (zone_offset(z, local - before) == before)
		out[n++] = local - before;
	if (after != before && zone_offset(z, local - after) == after)
		out[n++] = local - after;
	if (n == 2 && out[0] > out[1]) {
		int64_t t = out[0];

		out[0] = out[1];
		out[1] = t;
	}
	if (n)
		return n;
	/* skipped: the moment of the change, between what the two offsets would give */
	low = local - MAX(before, after) - 1;
	high = local - MIN(before, after) + 1;
	while (high - low > 1) {
		int64_t mid = low + (high - low) / 2;

		if (zone_offset(z, mid) == before)
			low = mid;
		else
			high = mid;
	}
	out[0] = high;
	return 0;
}
