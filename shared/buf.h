/*
 * buf.h - a growing byte buffer. Zero-initialised is empty and valid (BUF_INIT); data is NUL-terminated whenever it is not NULL,
 * so it can be passed as a C string. Owned by whoever declares it; freed by buf_free, or handed on by buf_detach.
 */
#ifndef STITCH_BUF_H
#define STITCH_BUF_H

#include "base.h"
#include "str.h"

struct buf {
	char *data;
	size_t len; /* bytes used, without the NUL */
	size_t cap;
};

#define BUF_INIT ((struct buf){.data = NULL})

void buf_reserve(struct buf *b, size_t extra); /* room for extra more bytes and a NUL */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_addstr(struct buf *b, struct str s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
void buf_add_hex(struct buf *b, const void *p, size_t n); /* lower case */
void buf_truncate(struct buf *b, size_t len);
void buf_consume(struct buf *b, size_t n); /* drop n bytes at the front (memmove) */
char *buf_detach(struct buf *b, size_t *len) MUST_CHECK; /* never NULL; caller frees; b is empty after */
const char *buf_cstr(const struct buf *b); /* "" when empty; valid until b changes */
struct str buf_str(const struct buf *b);
void buf_free(struct buf *b);

#endif
