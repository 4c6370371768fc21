/*
 * timefmt.h - ISO 8601 / RFC 3339 in and out, proleptic Gregorian, no locale, no time zone database. Pure; any thread.
 * Times are ns or us since 1970-01-01 UTC.
 */
#ifndef STITCH_TIMEFMT_H
#define STITCH_TIMEFMT_H

#include "base.h"
#include "str.h"

int64_t timefmt_days(int64_t year, unsigned month, unsigned day); /* days since 1970-01-01 */
void timefmt_civil(int64_t days, int64_t *year, unsigned *month, unsigned *day);
/* RFC 3339 and the forms Singer taps send: date only; 'T' or blank; seconds optional fraction of any length (cut to us); 'Z', +hh:mm, +hhmm,
 * +hh or none (= UTC); year 0001..9999; second 60 counts as the next minute's 0. 0, or -1 when it is none of these. us = microseconds. */
int timefmt_parse(struct str s, int64_t *us) MUST_CHECK;
#define TIMEFMT_MAX 40
/* "2026-11-24T08:42:43.123Z": frac digits 0, 3, 6 or 9. Returns the length. */
size_t timefmt_iso(int64_t ns, unsigned frac, char out[TIMEFMT_MAX]);
/* "2026-11-24 08:42:43.123456" (UTC), what SQL destinations store. */
size_t timefmt_sql(int64_t us, char out[TIMEFMT_MAX]);
/* "2m31s", "3.9s", "29d 21h", "<1s": for people, at most 8 columns. */
size_t timefmt_span(int64_t ns, char out[TIMEFMT_MAX]);

#endif
