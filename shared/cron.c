/*
 * cron.c - see cron.h. The next time is found day by day in local time, and minute by minute within a day that matches: at most some thousand steps for a schedule
 * that comes once a year, and no special case for the length of months.
 *
 * What can go wrong: wall clock times that come twice or never. The zone says which moments have a local time; of several the earliest that is after the last is taken.
 */
#include "cron.h"

#include "timefmt.h"

#define DAY 86400
#define DAYS_MAX (8 * 366 + 2) /* from one 29 February to the next, at the turn of a century */
#define WINDOW_MAX (31 * DAY)

static const char month_names[] = "janfebmaraprmayjunjulaugsepoctnovdec", day_names[] = "sunmontuewedthufrisat";

struct field {
	const char *name;
	unsigned min, max;
	const char *names; /* three letters each, the first is `first` */
	unsigned first;
};

static const struct field fields[] = {{"minute", 0, 59, "", 0}, {"hour", 0, 23, "", 0}, {"day of month", 1, 31, "", 0}, {"month", 1, 12, month_names, 1},
	{"day of week", 0, 7, day_names, 0}};

static int value(struct str *s, const struct field *f, unsigned *out)
{
	unsigned n = 0, digits = 0;
	char word[4] = "";

	while (digits < s->len && digits < 3 && s->ptr[digits] >= '0' && s->ptr[digits] <= '9')
		n = n * 10 + (unsigned)(s->ptr[digits++] - '0');
	if (digits) {
		*s = str_mem(s->ptr + digits, s->len - digits);
		*out = n;
		return n < f->min || n > f->max ? -1 : 0;
	}
	if (s->len < 3)
		return -1;
	for (unsigned k = 0; k < 3; k++)
		word[k] = (char)(s->ptr[k] | 0x20);
	for (const char *p = f->names; *p; p += 3)
		if (memcmp(p, word, 3) == 0) {
			*out = f->first + (unsigned)(p - f->names) / 3;
			*s = str_mem(s->ptr + 3, s->len - 3);
			return 0;
		}
	return -1;
}

static bool take(struct str *s, char c)
{
	if (!s->len || s->ptr[0] != c)
		return false;
	*s = str_mem(s->ptr + 1, s->len - 1);
	return true;
}

/* "*", "5", "1-5", with "/2" behind it */
static int one_range(struct str *s, const struct field *f, uint64_t *bits)
{
	static const struct field steps = {"step", 1, 59, "", 0};
	unsigned from, to, step = 1;

	if (take(s, '*')) {
		from = f->min;
		to = f->max;
	} else {
		if (value(s, f, &from))
			return -1;
		to = from;
		if (take(s, '-')) {
			if (value(s, f, &to) || to < from)
				return -1;
		} else if (s->len && s->ptr[0] == '/') {
			to = f->max;
		}
	}
	if (take(s, '/') && value(s, &steps, &step))
		return -1;
	for (unsigned k = from; k <= to; k += step)
		*bits |= UINT64_C(1) << k;
	return 0;
}

static int parse_field(struct str s, const struct field *f, uint64_t *bits, bool *any, struct err *e)
{
	struct str whole = s;

	*bits = 0;
	*any = s.len && s.ptr[0] == '*';
	do {
		if (one_range(&s, f, bits))
			return err_set(e, ERR_INVALID, "\"" STR_FMT "\" is no %s of a schedule (%u to %u, lists, ranges, steps or *)", STR_ARG(whole), f->name, f->min, f->max);
	} while (take(&s, ','));
	return s.len ? err_set(e, ERR_INVALID, "\"" STR_FMT "\" is no %s of a schedule", STR_ARG(whole), f->name) : 0;
}

static struct str word_of(struct str *rest)
{
	struct str s = str_trim(*rest), word;
	size_t n = 0;

	while (n < s.len && s.ptr[n] != ' ' && s.ptr[n] != '\t')
		n++;
	word = str_mem(s.ptr, n);
	*rest = str_mem(s.ptr + n, s.len - n);
	return word;
}

static struct str spelled_out(struct str word)
{
	static const struct {
		const char *name, *fields;
	} names[] = {{"@hourly", "0 * * * *"}, {"@daily", "0 0 * * *"}, {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"}, {"@monthly", "0 0 1 * *"},
		{"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}};

	for (size_t k = 0; k < ARRAY_LEN(names); k++)
		if (str_eqc(word, names[k].name))
			return str_c(names[k].fields);
	return STR_NULL;
}

/* The schedule at the beginning of *rest, which is what stands behind it. */
static int parse(struct str *rest, struct cron *out, struct err *e)
{
	struct str after = *rest, named = spelled_out(word_of(&after));
	uint64_t bits[ARRAY_LEN(fields)];
	bool any[ARRAY_LEN(fields)];
	struct str s = named.len ? named : *rest;

	for (size_t k = 0; k < ARRAY_LEN(fields); k++) {
		struct str word = word_of(&s);

		if (!word.len)
			return err_set(e, ERR_INVALID, "a schedule has five fields: minute hour day-of-month month day-of-week (\"0 2 * * 6\"), or is @hourly, @daily, @weekly, "
				"@monthly");
		if (parse_field(word, &fields[k], &bits[k], &any[k], e))
			return -1;
	}
	*rest = named.len ? after : s;
	*out = (struct cron){.minutes = bits[0],
		.hours = (uint32_t)bits[1],
		.days = (uint32_t)bits[2],
		.months = (uint32_t)bits[3],
		.weekdays = (uint32_t)(bits[4] | bits[4] >> 7),
		.any_day = any[2],
		.any_weekday = any[4],
		.every_hour = any[1] && bits[1] == (UINT64_C(1) << 24) - 1};
	return 0;
}

int cron_parse(struct str text, struct cron *out, struct err *e)
{
	struct str rest = text;

	if (parse(&rest, out, e))
		return -1;
	return str_trim(rest).len ? err_set(e, ERR_INVALID, "\"" STR_FMT "\" is too much in a schedule of five fields", STR_ARG(str_trim(rest))) : 0;
}

/* --- when --- */

static int64_t day_of(int64_t seconds)
{
	return seconds >= 0 ? seconds / DAY : -((-seconds + DAY - 1) / DAY);
}

static bool day_matches(const struct cron *c, int64_t days)
{
	int64_t year;
	unsigned month, day, weekday = (unsigned)((days % 7 + 11) % 7); /* 1970-01-01 was a Thursday */
	bool by_day, by_weekday;

	timefmt_civil(days, &year, &month, &day);
	if (!(c->months >> month & 1))
		return false;
	by_day = c->days >> day & 1;
	by_weekday = c->weekdays >> weekday & 1;
	return c->any_day || c->any_weekday ? by_day && by_weekday : by_day || by_weekday;
}

/* The first moment after `after` that this local time is taken at; INT64_MAX: none. */
static int64_t moment(const struct cron *c, const struct zone *z, int64_t local, int64_t after)
{
	int64_t at[2];
	unsigned n = zone_moments(z, local, at);

	/* skipped: with every hour the next one comes by itself */
	if (n == 0)
		return !c->every_hour && at[0] > after ? at[0] : INT64_MAX;
	if (at[0] > after)
		return at[0];
	return n == 2 && c->every_hour && at[1] > after ? at[1] : INT64_MAX;
}

static int64_t next_in_day(const struct cron *c, const struct zone *z, int64_t day, int64_t after)
{
	int64_t best = INT64_MAX;

	for (unsigned h = 0; h < 24; h++) {
		if (!(c->hours >> h & 1))
			continue;
		for (unsigned m = 0; m < 60; m++)
			if (c->minutes >> m & 1)
				best = MIN(best, moment(c, z, day * DAY + h * 3600 + m * 60, after));
	}
	return best;
}

int64_t cron_next(const struct cron *c, const struct zone *z, int64_t after)
{
	/* a change of the clock at midnight may bring a time of the day before */
	int64_t day = day_of(after + zone_offset(z, after)) - 1, found = INT64_MAX;

	for (int64_t k = 0; k < DAYS_MAX && found == INT64_MAX; k++, day++)
		if (day_matches(c, day))
			found = next_in_day(c, z, day, after);
	/* the day after may begin before this one's last time */
	if (found != INT64_MAX && day_matches(c, day))
		found = MIN(found, next_in_day(c, z, day, after));
	return found;
}

/* --- windows --- */

int cron_window_parse(struct str text, struct cron_window *out, struct err *e)
{
	struct str rest = text;
	int64_t ns;

	if (parse(&rest, &out->when, e))
		return -1;
	rest = str_trim(rest);
	if (!rest.len || str_to_duration(rest, &ns))
		return err_set(e, ERR_INVALID, "behind the schedule stands how long it lasts, such as 90m or 4h (\"0 2 * * 6 4h\"), not \"" STR_FMT "\"", STR_ARG(rest));
	out->seconds = ns / NSEC_PER_SEC;
	if (out->seconds < 60 || out->seconds > WINDOW_MAX)
		return err_set(e, ERR_INVALID, "it lasts from 1m to 31d, not " STR_FMT, STR_ARG(rest));
	return 0;
}

bool cron_window_at(const struct cron_window *w, const struct zone *z, int64_t now, int64_t *since, int64_t *until)
{
	int64_t begin = cron_next(&w->when, z, now - w->seconds), next;
	unsigned joined = 0;

	*since = begin;
	*until = begin;
	if (begin > now)
		return false;
	*until = begin + w->seconds;
	/* one that begins before this one ends prolongs it; a schedule of every minute never ends, so it is enough to know for a day */
	while ((next = cron_next(&w->when, z, begin)) <= *until && joined++ < 1440) {
		begin = next;
		*until = next + w->seconds;
	}
	return true;
}
