/*
 * tap.h - TAP from C, with c-tap-harness's names. One thread. Output goes to stdout, diagnostics as "# " lines.
 */
#ifndef STITCH_TAP_H
#define STITCH_TAP_H

#include "base.h"
#include "str.h"

void plan(unsigned tests);
void plan_lazy(void); /* the plan is printed by done_testing() */
bool ok(bool success, const char *fmt, ...) PRINTF(2, 3);
bool is_int(int64_t wanted, int64_t seen, const char *fmt, ...) PRINTF(3, 4);
bool is_str(const char *wanted, const char *seen, const char *fmt, ...) PRINTF(3, 4);
bool is_slice(const char *wanted, struct str seen, const char *fmt, ...) PRINTF(3, 4);
void skip(const char *reason, ...) PRINTF(1, 2);
void skip_all(const char *reason, ...) PRINTF(1, 2) __attribute__((noreturn));
void bail(const char *fmt, ...) PRINTF(1, 2) __attribute__((noreturn));
void diag(const char *fmt, ...) PRINTF(1, 2);
int done_testing(void); /* exit status for main: 0 when all passed and the plan holds */

#endif
