/*
 * coding.h - request bodies that come compressed (Content-Encoding: gzip or zstd), unpacked piece by piece into the request's buffer, so that the packed
 * body is never held. The limit is on what comes out: a bomb is stopped when it has unpacked that much, whatever it would have become. A struct coding
 * belongs to one request and its http thread.
 */
#ifndef STITCH_CODING_H
#define STITCH_CODING_H

#include "base.h"
#include "buf.h"
#include "str.h"

enum coding_kind { CODING_NONE, CODING_GZIP, CODING_ZSTD };
enum coding_result { CODING_OK, CODING_TOO_LARGE, CODING_DAMAGED };

/* By the header's value, empty or "identity": none. -1: not one of ours. */
int coding_find(struct str name, enum coding_kind *out) MUST_CHECK;
const char *coding_name(enum coding_kind k);

struct coding;
struct coding *coding_new(enum coding_kind k) MUST_CHECK;
void coding_free(struct coding *c);
/* Append what the piece unpacks to; *piece and *n become what is left of it. TOO_LARGE: more than max bytes altogether; out holds max+1 at most, and one may
 * go on from there with a larger max. */
enum coding_result coding_feed(struct coding *c, const char **piece, size_t *n, uint64_t max, struct buf *out) MUST_CHECK;
/* No more will come: was that the end of what was packed? */
enum coding_result coding_end(const struct coding *c) MUST_CHECK;
/* Bytes that unpacking itself holds (the window). */
size_t coding_memory(const struct coding *c);

#endif
