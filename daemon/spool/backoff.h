/*
 * backoff.h - pure: when to try again. Exponential from first to max with +-20 % spread by a hash of (id, attempt), so that the simulator repeats itself.
 */
#ifndef STITCH_BACKOFF_H
#define STITCH_BACKOFF_H

#include "base.h"

int64_t backoff_delay(int64_t first, int64_t max, unsigned attempts, uint64_t id); /* ns; attempts >= 1 */

#endif
