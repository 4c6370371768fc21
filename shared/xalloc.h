/*
 * xalloc.h - allocation that aborts when memory is exhausted: there is no sensible way on. Sizes that come from outside must
 * have passed a limit first. What is returned is freed with free().
 */
#ifndef STITCH_XALLOC_H
#define STITCH_XALLOC_H

#include "base.h"

void *xmalloc(size_t n) MUST_CHECK;
void *xcalloc(size_t n, size_t size) MUST_CHECK;
void *xrealloc(void *p, size_t n) MUST_CHECK;
void *xreallocarray(void *p, size_t n, size_t size) MUST_CHECK;
char *xstrdup(const char *s) MUST_CHECK;
char *xstrndup(const char *s, size_t n) MUST_CHECK;
void *xmemdup(const void *p, size_t n) MUST_CHECK;
char *xasprintf(const char *fmt, ...) PRINTF(1, 2) MUST_CHECK;

#endif
