/*
 * record.h - one queue record: what one accepted request brings for one table (or part i of n of it), and its byte form.
 * Header: magic, version, lengths, crc32c, codec, flags, source, counts, received_at, shape and keys hash, table version, part/parts, request id, table;
 * body: one zstd frame (frame.h). Little endian. The reader refuses what is newer, longer than QREC_MAX or damaged.
 */
#ifndef STITCH_QUEUE_RECORD_H
#define STITCH_QUEUE_RECORD_H

#include "base.h"
#include "buf.h"
#include "err.h"
#include "str.h"

#define QREC_HEAD 72		   /* bytes before the table's name */
#define QREC_TABLE_MAX 1024
#define QREC_REQUEST_ID_MAX 255 /* as FRAME_REQUEST_ID_MAX */
#define QREC_MAX (21u << 20) /* the largest queue record, header included */
#define QREC_SPLIT (1u << 20) /* a request's text is split into parts of about this size */

enum {
	QREC_KEYED = 1, /* it may come twice: the request id is the client's Idempotency-Key and a hash, or ours where there is a local spool */
};

struct qrec {
	uint32_t source_id;
	uint32_t records;      /* upserts */
	uint32_t lines;	       /* upserts and activate_version */
	uint8_t codec;	       /* enum frame_codec */
	uint8_t flags;
	uint16_t part, parts;  /* 0-based; parts >= 1 */
	int64_t received_at;   /* ns since 1970; never falls from one record of the queue to the next */
	int64_t table_version; /* 0: none */
	uint64_t shape_hash;   /* str_hash of key_names + schema + types + table_version: says whether the head tells something new */
	uint64_t keys_hash;    /* str_hash of key_names + table_version: a change cuts the batch */
	struct str table;      /* 1..1024 bytes, any UTF-8 */
	struct str request_id; /* 1..FRAME_REQUEST_ID_MAX bytes; ours: hex */
	struct str body;
};

/* Append the byte form. */
void qrec_encode(const struct qrec *r, struct buf *out);
/* Slices point into p. *used = bytes taken. ERR_CORRUPT or ERR_VERSION; never reads past n. */
int qrec_decode(const void *p, size_t n, struct qrec *out, size_t *used, struct err *e) MUST_CHECK;
/* The head alone, for counting: n need only reach behind the table's name. Lengths are checked, the crc is not; *used may be more than n, and
 * request_id and body must not be touched then. */
int qrec_peek(const void *p, size_t n, struct qrec *out, size_t *used, struct err *e) MUST_CHECK;
size_t qrec_size(const struct qrec *r); /* bytes that qrec_encode appends */

#endif
