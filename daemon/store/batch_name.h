/*
 * batch_name.h - names of batch files: SOURCE_ID/TABLE/PARTITION-FIRST-LAST-SHA16-CUT.jsonl.zst (architecture.md, section 4). TABLE is percent-encoded
 * but for A-Za-z0-9_-; what would be longer than 120 bytes is cut and ends in its hash. FIRST and LAST have 20 digits, so that a listing is in the
 * queue's order. CUT is RUN (8 hex digits made at each start), "." and the number of the cut. Pure; any thread.
 */
#ifndef STITCH_BATCH_NAME_H
#define STITCH_BATCH_NAME_H

#include "buf.h"

struct batch_name {
	int64_t source_id;
	struct str table; /* parsed: as encoded */
	uint32_t partition;
	uint64_t first, last;
	unsigned char sha256[32]; /* parsed: only the first 8 bytes */
	char run_id[9];
	uint64_t cut;
};
void batch_name_table(struct str table, struct buf *out);
void batch_name_make(const struct batch_name *n, struct buf *out);
/* false: not the name of a batch file; a person or another program put it there. */
bool batch_name_parse(struct str name, struct batch_name *out);

#endif
