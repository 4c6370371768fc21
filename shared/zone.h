/*
 * zone.h - time zones by name ("Europe/Berlin"), from the system's tz database (TZif files): what is the offset at a moment, and which moments have a wall clock
 * reading. Pure after zone_open(); one struct may be read by any thread. Times are seconds since 1970-01-01 UTC; local seconds are the wall clock read as if it
 * were UTC.
 */
#ifndef STITCH_ZONE_H
#define STITCH_ZONE_H

#include "base.h"
#include "buf.h"
#include "err.h"
#include "str.h"

struct zone;

/* NULL, "" or "UTC": UTC, which needs no file. ERR_INVALID: no such zone. */
struct zone *zone_open(const char *name, struct err *e) MUST_CHECK;
struct zone *zone_parse(struct str file, struct err *e) MUST_CHECK; /* the bytes of a TZif file, version 1 to 4 */
void zone_free(struct zone *z);
int32_t zone_offset(const struct zone *z, int64_t utc); /* east of UTC, seconds */
/* The moments at which the wall clock shows local: one; two when it is set back (the earlier first); none when it is put forward over it, then out[0] is
 * the moment of the change. Returns their number. */
unsigned zone_moments(const struct zone *z, int64_t local, int64_t out[2]);

#endif
