/*
 * str.h - slices: a pointer and a length that own nothing. Valid as long as what they point into. ASCII only where case matters.
 */
#ifndef STITCH_STR_H
#define STITCH_STR_H

#include "base.h"

struct str {
	const char *ptr;
	size_t len;
};

#define STR(literal) ((struct str){.ptr = (literal), .len = sizeof(literal) - 1})
#define STR_NULL ((struct str){.ptr = NULL, .len = 0})
#define STR_FMT "%.*s"
#define STR_ARG(s) (int)(s).len, (s).ptr

struct str str_c(const char *s); /* NULL gives STR_NULL */
struct str str_mem(const void *p, size_t n);
bool str_eq(struct str a, struct str b);
bool str_eqc(struct str a, const char *b);
int str_cmp(struct str a, struct str b); /* by bytes, as memcmp, then length */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
struct str str_trim(struct str s); /* ASCII blanks at both ends */
char *str_dup(struct str s) MUST_CHECK; /* NUL-terminated copy, caller frees */
bool str_ieq(struct str a, struct str b); /* ASCII case folded */
/* The whole of s as a decimal number; -1 when it is not one or does not fit (out unchanged). */
int str_to_i64(struct str s, int64_t *out) MUST_CHECK;
int str_to_u64(struct str s, uint64_t *out) MUST_CHECK;
/* "10", "64K", "2M", "1G" (powers of 1024, optional B/iB) and "30s", "5m", "2h", "7d" (also "250ms") into bytes and ns. */
int str_to_bytes(struct str s, uint64_t *out) MUST_CHECK;
int str_to_duration(struct str s, int64_t *ns) MUST_CHECK;
int str_from_hex(struct str s, void *out, size_t n) MUST_CHECK; /* exactly 2n hex digits */
/* Copy into a fixed field, always NUL-terminated; -1 when it was cut. */
int str_copy(char *dst, size_t size, struct str s);
uint64_t str_hash(struct str s); /* FNV-1a 64, stable across versions */

#endif
