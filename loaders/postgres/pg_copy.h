/*
 * pg_copy.h - rows as COPY's binary form, appended to a buf: a header, rows, a trailer. NUMERIC is exact: base-10000 digits made from the sender's text.
 * Pure; any thread. The caller sends the buf and empties it whenever it likes; a row need not be sent whole.
 */
#ifndef STITCH_PG_COPY_H
#define STITCH_PG_COPY_H

#include "base.h"
#include "buf.h"
#include "str.h"

void pg_copy_header(struct buf *b);
void pg_copy_row(struct buf *b, unsigned fields); /* then exactly so many of the following */
void pg_copy_null(struct buf *b);
void pg_copy_bool(struct buf *b, bool v);
void pg_copy_int8(struct buf *b, int64_t v);
void pg_copy_timestamp(struct buf *b, int64_t us); /* us since 1970 UTC */
void pg_copy_text(struct buf *b, struct str s);	   /* UTF-8 without U+0000 */
/* number: a JSON number. -1, nothing appended: not a number, or outside NUMERIC (131072 digits before, 16383 after the point); reason is set. */
int pg_copy_numeric(struct buf *b, struct str number, const char **reason) MUST_CHECK;
/* The same as the nearest double; -1 when it is too large for one. */
int pg_copy_double(struct buf *b, struct str number, const char **reason) MUST_CHECK;
void pg_copy_trailer(struct buf *b);

#endif
