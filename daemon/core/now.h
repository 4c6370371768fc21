/*
 * now.h - the only way daemon/ sees time and randomness, so that t/sim can own both. now_get() and random_bytes() may be called
 * from any thread; the setters only before other threads run (simulator, tests).
 */
#ifndef STITCH_NOW_H
#define STITCH_NOW_H

#include "base.h"

struct now {
	int64_t mono; /* ns, for durations and deadlines */
	int64_t real; /* ns since 1970-01-01 UTC */
};

struct now now_get(void);
void now_set_source(struct now (*fn)(void)); /* NULL: the machine's clocks again */
void random_bytes(void *p, size_t n);
void random_set_source(void (*fn)(void *p, size_t n)); /* NULL: getrandom again */

#endif
