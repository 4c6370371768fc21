/*
 * s3_text.h - rows as CSV (RFC 4180) and as JSON lines, and the first rows of such files read again for a person. Pure; reading is bounded by what is given.
 *
 * CSV: NULL is nothing, an empty string is "" (quoted), also with force_quote; lines end with CR LF; times are ISO 8601 in UTC.
 */
#ifndef STITCH_S3_TEXT_H
#define STITCH_S3_TEXT_H

#include <jansson.h>

#include "base.h"
#include "buf.h"
#include "loaders/runtime/rows.h"
#include "str.h"

struct csv { char delimiter; bool force_quote; };

void csv_text(const struct csv *c, struct buf *out, struct str text, bool null, bool first);
void csv_end(struct buf *out);
/* A cell as text: numbers, true and false, ISO 8601, text, JSON as sent. room: for what is no slice of the record. */
struct str text_of_cell(const struct cell *c, char room[48]);
void text_time(int64_t us, char out[48]);
/* The record as it was sent, with our columns at its end, and a line feed. */
void jsonl_row(struct buf *out, const struct layout *lo, const struct row *row);

/* At most max rows of text, of which the end may be cut off (then a last line that is not whole is left out): names to columns, arrays of text or null to rows. */
void csv_sample(const struct csv *c, struct str text, bool whole, unsigned max, json_t *columns, json_t *rows);
void jsonl_sample(struct str text, bool whole, unsigned max, json_t *columns, json_t *rows);

#endif
