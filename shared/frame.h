/*
 * frame.h - what travels: the body of a queue record and the batch file (architecture.md, section 4), written by the door and the
 * streamery, read by loaders and `stitchctl batch cat`. A batch file is a sequence of
 *     zstd skippable frame (FRAME_SKIP_MAGIC) with a `struct frame_entry` list, then one zstd frame of JSON lines.
 * In the zstd frame each entry has one head line (an object without "action") followed by its record lines (objects whose first key is "action"):
 *     {"source":1,"table":"orders","key_names":["id"],"schema":{...}|null,"types":{"id":["integer"]},"table_version":0,"received_at":NS}
 *     {"action":"upsert","sequence":1700000000000,"time_extracted":"…"?,"data":{…}}      or {"action":"activate_version","sequence":…}
 * types: what is not null, by field and by path: addr U+0001 city is a member of an object, items U+0002 an element of an array (U+0002 U+0001 sku a member of
 * it). A path without types says that the object or array was empty. Not listed: what is deeper than 16 components, or beyond 4,000 paths.
 * Skippable payload, little endian: u32 FRAME_MAGIC, u32 entries, u64 reserved; then per entry u64 offset, u32 lines, u32 records,
 * i64 received_at, u16 part, u16 parts, u16 request id length, request id bytes. CRC-32 (zlib) of all before it at the end, u32.
 * `zstdcat FILE | jq` works. Thread: each struct is used by one.
 *
 * "records" counts upserts; "lines" counts every line with an action (activate_version counts in lines only).
 */
#ifndef STITCH_FRAME_H
#define STITCH_FRAME_H

#include "base.h"
#include "buf.h"
#include "err.h"
#include "str.h"

#define FRAME_MAGIC 0x31495453u		/* "STI1" */
#define FRAME_SKIP_MAGIC 0x184D2A57u	/* one of zstd's 16 skippable magics */
#define FRAME_REQUEST_ID_MAX 255
#define FRAME_LINE_MAX (24u << 20)	/* a line longer than this is refused by the reader */
#define FRAME_COMPRESS_FROM 4096	/* smaller bodies are stored as an uncompressed zstd frame; the streamery merges them */

enum frame_codec { FRAME_RAW = 1 /* zstd frame with raw blocks */, FRAME_ZSTD = 2 };

struct frame_entry {
	uint64_t offset;
	uint32_t lines, records;
	int64_t received_at; /* ns since 1970 */
	uint16_t part, parts;
	struct str request_id; /* when read: points into the reader, valid until the next call */
};

/* --- writing --- */
struct frame_ctx; /* a zstd compression context, reused; one thread */
struct frame_ctx *frame_ctx_new(void) MUST_CHECK;
void frame_ctx_free(struct frame_ctx *c);
/* One zstd frame (with content checksum and size) of text, appended to out: zstd level 1 when text is FRAME_COMPRESS_FROM or longer, else raw blocks. */
enum frame_codec frame_encode(struct frame_ctx *c, struct str text, struct buf *out);
/* The same, always compressed at this level (merging small frames). */
void frame_compress(struct frame_ctx *c, struct str text, int level, struct buf *out);
/* The whole text of one zstd frame, appended; -1 when it is damaged or longer than max. */
int frame_decode(struct str frame, size_t max, struct buf *out, struct err *e) MUST_CHECK;
/* Only the first line (the head), without its newline: decompresses no more than needed. */
int frame_head(struct str frame, struct buf *out, struct err *e) MUST_CHECK;
/* The skippable frame before a zstd frame, appended. */
void frame_index(const struct frame_entry *entries, unsigned n, struct buf *out);

/* --- reading a batch file --- */
enum frame_item { FRAME_ERROR = -1, FRAME_EOF = 0, FRAME_HEAD, FRAME_RECORD };
struct frame_reader;
/* Reads from fd (any offset 0 file; not closed) in pieces; memory is bounded by the longest line. sha256 (32 bytes, may be NULL) is compared with the whole
 * file's before the first item is given: a mismatch is FRAME_ERROR with ERR_CORRUPT. */
struct frame_reader *frame_reader_new(int fd, const unsigned char *sha256, struct err *e) MUST_CHECK;
/* The next line (no newline; valid until the next call). For FRAME_HEAD *entry is the new entry; for FRAME_RECORD *index is the
 * line's number within its entry (from 0). Checks: lines per entry as the index says, every frame preceded by an index. */
enum frame_item frame_next(struct frame_reader *r, struct str *line, const struct frame_entry **entry, uint32_t *index, struct err *e);
void frame_reader_free(struct frame_reader *r);

/* --- a head line, taken apart --- */
struct frame_head {
	int64_t source;
	struct buf table;	 /* unescaped */
	struct str key_names;	 /* raw JSON array, slice of the line */
	struct str schema;	 /* raw JSON object or null */
	struct str types;	 /* raw JSON object */
	int64_t table_version;
	int64_t received_at;
};
int frame_head_parse(struct str line, struct frame_head *out, struct err *e) MUST_CHECK; /* out->table must be initialised; appended to after reset */

/* --- a record line, taken apart (the line is ours: order of keys is fixed, as above) --- */
struct frame_record {
	bool activate;		   /* activate_version */
	struct str sequence;	   /* decimal text */
	struct str time_extracted; /* raw JSON string or STR_NULL */
	struct str data;	   /* raw JSON object; STR_NULL for activate */
};
int frame_record_parse(struct str line, struct frame_record *out, struct err *e) MUST_CHECK;

#endif
