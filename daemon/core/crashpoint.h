/*
 * crashpoint.h - named points where a test makes the process die at once, as by kill -9: STITCH_CRASH_AT=name or name:N (the Nth
 * time), or name:N:loaders, which kills the loaders and lets the daemon go on. Costs one load and one branch when unset. The list of all names is crashpoint_names[], which the crash tests go through; a
 * name that is not in it aborts in tests.
 */
#ifndef STITCH_CRASHPOINT_H
#define STITCH_CRASHPOINT_H

#include "base.h"

extern const char *const crashpoint_names[]; /* NULL at the end */
extern bool crashpoint_armed;
void crashpoint_setup(void); /* reads the environment; once, at start */
void crashpoint_hit(const char *name);

#define CRASHPOINT(name)                                                                                                       \
	do {                                                                                                                   \
		if (crashpoint_armed)                                                                                          \
			crashpoint_hit(name);                                                                                  \
	} while (0)

#endif
