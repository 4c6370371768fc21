/*
 * receipt.h - the id in every 2xx body. It holds its own addresses, so that nothing is kept per request:
 *     QUEUE_ID-PARTITION-FIRST-COUNT      32 hex digits, then decimal numbers: the queue records FIRST .. FIRST+COUNT-1 of that partition
 * `stitchctl where RECEIPT` follows it. Pure; any thread.
 */
#ifndef STITCH_IMPORT_RECEIPT_H
#define STITCH_IMPORT_RECEIPT_H

#include "base.h"
#include "buf.h"
#include "err.h"

struct receipt {
	unsigned char queue_id[16];
	uint32_t partition;
	uint64_t first, count;
};

void receipt_format(const struct receipt *r, struct buf *out);
int receipt_parse(struct str text, struct receipt *out, struct err *e) MUST_CHECK;

#endif
