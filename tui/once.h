/*
 * once.h - `stitch-console --once`: the state on standard output, for scripts and for terminals that can do nothing.
 */
#ifndef STITCH_TUI_ONCE_H
#define STITCH_TUI_ONCE_H

#include "base.h"

/* The exit status: 0 fine, 10 warning, 20 failing, 3 no daemon. */
int once_print(const char *path, bool as_json) MUST_CHECK;

#endif
