/*
 * base.h - what every source file may rely on: attributes, small macros, and the functions that are banned here.
 * Include it first (every header of ours does). The system headers that declare banned functions are pulled in
 * before the bans, so that including them again later is harmless.
 */
#ifndef STITCH_BASE_H
#define STITCH_BASE_H

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define NSEC_PER_SEC INT64_C(1000000000)
#define NSEC_PER_MSEC INT64_C(1000000)
#define NEVER INT64_MAX /* as a deadline: none */

/* HACKING.md, rule 13: each has a safe twin in err.h, buf.h, str.h, timefmt.h or core/. */
#define BANNED(f) sorry_##f##_is_banned_here
#undef strcpy
#undef strcat
#undef strncpy
#undef strtok
#undef strerror
#define strcpy(a, b) BANNED(strcpy)
#define strcat(a, b) BANNED(strcat)
#define strncpy(a, b, c) BANNED(strncpy)
#define strtok(a, b) BANNED(strtok)
#define strerror(a) BANNED(strerror)
#define sprintf(...) BANNED(sprintf)
#define vsprintf(...) BANNED(vsprintf)
#define gets(a) BANNED(gets)
#define atoi(a) BANNED(atoi)
#define atol(a) BANNED(atol)
#define atof(a) BANNED(atof)
#define system(a) BANNED(system)
#define popen(a, b) BANNED(popen)
#define rand() BANNED(rand)
#define localtime(a) BANNED(localtime)
#define gmtime(a) BANNED(gmtime)
#undef alloca
#define alloca(a) BANNED(alloca)

#endif
