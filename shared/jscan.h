/*
 * jscan.h - a validating JSON scanner for the record path: strict RFC 8259 (UTF-8 checked, surrogate pairs checked, no NaN),
 * depth-limited, allocates nothing, never touches a double. It yields slices of the input. Input is ptr..ptr+len and need not be
 * NUL-terminated. Any thread; state is the caller's struct.
 *
 * Two ways to use it:
 *   pull:  jscan_init, then jscan_next until JSCAN_END or JSCAN_ERROR; at an object or array start jscan_skip() validates and
 *          passes the whole value and yields its slice, so that a record is one call.
 *   whole: jscan_valid() checks one document.
 */
#ifndef STITCH_JSCAN_H
#define STITCH_JSCAN_H

#include "base.h"
#include "buf.h"
#include "str.h"

#define JSCAN_MAX_DEPTH 512

enum jscan_token {
	JSCAN_ERROR = -1,
	JSCAN_END = 0, /* the document is complete and only white space followed */
	JSCAN_OBJECT,  /* { */
	JSCAN_OBJECT_END,
	JSCAN_ARRAY,   /* [ */
	JSCAN_ARRAY_END,
	JSCAN_KEY,     /* tok = the key with its quotes */
	JSCAN_STRING,  /* tok = the string with its quotes */
	JSCAN_NUMBER,  /* tok = the number's text */
	JSCAN_TRUE,
	JSCAN_FALSE,
	JSCAN_NULL,
};

struct jscan {
	const char *base, *p, *end;
	struct str tok;	      /* slice of the last token */
	bool tok_escaped;     /* last KEY or STRING holds a backslash */
	bool tok_integer;     /* last NUMBER has no fraction and no exponent */
	const char *error;    /* static text, e.g. "invalid UTF-8"; set with JSCAN_ERROR */
	size_t error_at;      /* byte offset of the error */
	unsigned depth, max_depth;
	unsigned char state;  /* private */
	uint64_t stack[JSCAN_MAX_DEPTH / 64]; /* private: 1 = object */
};

void jscan_init(struct jscan *s, const void *p, size_t n, unsigned max_depth); /* 0: JSCAN_MAX_DEPTH */
enum jscan_token jscan_next(struct jscan *s);
/* After JSCAN_OBJECT or JSCAN_ARRAY: validate up to the matching end and set tok to the whole value, from its bracket on. Returns
 * JSCAN_OBJECT or JSCAN_ARRAY, or JSCAN_ERROR. After JSCAN_KEY: pass the key's value; tok = the value; returns its kind. */
enum jscan_token jscan_skip(struct jscan *s);
bool jscan_valid(const void *p, size_t n, unsigned max_depth, const char **error, size_t *error_at);

/* The value of a string token (with or without its quotes) with escapes resolved, appended to out as UTF-8. */
void jscan_unescape(struct str tok, struct buf *out);
/* Does the string token (with quotes) mean the same as text? No allocation. */
bool jscan_string_is(struct str tok, struct str text);
/* JSON without insignificant white space, appended to out: every other byte stays as it is (numbers stay text). The value must be
 * valid. Returns bytes added. */
size_t jscan_minify(struct str value, struct buf *out);

#endif
