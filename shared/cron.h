/*
 * cron.h - five-field schedules ("0 2 * * 1-5") in a time zone. Pure after cron_parse(); one struct may be read by any thread.
 *
 * Fields: minute 0-59, hour 0-23, day of month 1-31, month 1-12 or jan-dec, day of week 0-7 (0 and 7: Sunday) or sun-sat; each *, N, N-M, lists with commas, steps
 * with /S; also @hourly, @daily, @weekly, @monthly, @yearly. When day of month and day of week are both given (no *), a day matches either.
 *
 * Where the clock is put forward, a time that is skipped is taken at the moment of the change; where it is put back, a time that comes twice is taken the first time
 * only, but for schedules whose hours are *: those go by real time.
 */
#ifndef STITCH_CRON_H
#define STITCH_CRON_H

#include "err.h"
#include "str.h"
#include "zone.h"

struct cron {
	uint64_t minutes;
	uint32_t hours, days, months, weekdays; /* bit per value */
	bool any_day, any_weekday, every_hour;	/* written as * */
};
int cron_parse(struct str text, struct cron *out, struct err *e) MUST_CHECK; /* ERR_INVALID */
/* The first time after this moment (seconds since 1970); INT64_MAX: never (31 Feb). */
int64_t cron_next(const struct cron *c, const struct zone *z, int64_t after);

/* A time that begins at each moment of a schedule and lasts so long. */
struct cron_window { struct cron when; int64_t seconds; };
/* "0 2 * * 6 4h": a schedule and a duration of 1 minute to 31 days. */
int cron_window_parse(struct str text, struct cron_window *out, struct err *e) MUST_CHECK;
/* Is this moment in it? Then *since and *until are its beginning and end (windows that touch are one), else *until is the next beginning. */
bool cron_window_at(const struct cron_window *w, const struct zone *z, int64_t now, int64_t *since, int64_t *until);

#endif
