/*
 * batch.h - the bytes of one batch file while it grows, and what its row will say. Frames of the door are appended as they are, each behind its
 * index; the text of small ones is gathered and compressed together. Offsets only rise, so the file is in the queue's order. It never
 * parses a record. Thread: the streamery's.
 */
#ifndef STITCH_BATCH_H
#define STITCH_BATCH_H

#include "daemon/queue/record.h"
#include "daemon/state/types.h"
#include "daemon/streamery/digest.h"
#include "frame.h"

struct batch {
	/* the file so far */
	struct buf file;
	struct digest *sha;
	size_t hashed; /* bytes of file that are in sha */
	unsigned char sha256[32]; /* after batch_finish */
	/* small frames not yet in the file */
	struct buf text, group_ids; /* request ids of group, one after the other */
	struct frame_entry *group;
	unsigned n_group, cap_group;
	/* what the row will say */
	uint64_t first_offset, last_offset, records, lines, bytes;
	int64_t first_received, last_received, table_version;
	uint64_t keys_hash;
	/* heads of shapes that the table may not know */
	struct str *heads;
	uint64_t *shapes;
	size_t n_heads, head_bytes;
	/* keyed request ids taken, the ids one after the other in ids */
	struct cut_request *requests;
	size_t n_requests, cap_requests;
	struct buf ids;
};

void batch_open(struct batch *b, const struct qrec *first, uint64_t offset);
bool batch_fits(const struct batch *b, const struct qrec *r); /* same key names and table version */
void batch_add(struct batch *b, struct frame_ctx *ctx, const struct qrec *r, uint64_t offset);
bool batch_knows_shape(const struct batch *b, uint64_t shape);
void batch_add_head(struct batch *b, uint64_t shape, struct str head);
void batch_finish(struct batch *b, struct frame_ctx *ctx); /* sha256, bytes, request ids in place; nothing is added after */
uint64_t batch_size(const struct batch *b);   /* of the file as far as it is known: what counts for the cut */
uint64_t batch_memory(const struct batch *b); /* what it holds */
void batch_free(struct batch *b);

#endif
