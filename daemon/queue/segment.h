/*
 * segment.h - one segment file of the log: its byte form, making, appending, walking. Knows nothing of other segments.
 *   block 0      the header: magic, version, number, random epoch, queue id, its own crc32c
 *   then groups  each begins on a new block of 4096 bytes and is written once; a group is a sequence of units, padded with zeros
 *   a unit       one request: a head of 48 bytes (epoch, offset, count, length, two crc32c seeded with the epoch), then its queue
 *                records, padded to 8 bytes; the last unit of a group says so
 * Owned and locked by who holds it (log_priv.h); nothing here takes a lock.
 */
#ifndef STITCH_QUEUE_SEGMENT_H
#define STITCH_QUEUE_SEGMENT_H

#include "daemon/queue/queue.h"

#define SEG_BLOCK 4096u
#define SEG_PIECE (1u << 20) /* zeros are written and synced in pieces of this size; also the step of the sparse index */
#define SEG_UNIT_HEAD 48u
#define SEG_SUFFIX ".seg" /* a segment: NUMBER.seg */
#define SEG_RECYCLED ".old" /* a trimmed one whose blocks are used again, under its old number */
#define SEG_INDEX ".idx" /* what a segment that is over holds */
#define SEG_TMP ".tmp-" /* as shared/file.c: a start unlinks them */

struct seg_header {
	uint64_t number; /* rises from file to file */
	uint64_t epoch;
	unsigned char queue_id[QUEUE_ID_LEN];
};

enum { SEG_UNIT_LAST = 1 }; /* of its group: the next one begins on a new block */

struct seg_unit {
	uint32_t flags;
	uint32_t n;	 /* queue records */
	uint64_t offset; /* of the first */
	uint64_t len;	 /* bytes of the records */
	uint32_t body_crc;
};

/* One request to append; the bytes stay the caller's. */
struct seg_item {
	const char *data;
	size_t len;
	uint32_t n;
	uint64_t pos; /* set by seg_append: where its head is in the file */
};

/* A window on a file, for walking over units. Zeroed and fd, epoch, limit set: ready. */
struct seg_window {
	int fd;
	uint64_t epoch;
	uint64_t limit;	 /* nothing is read from here on */
	size_t ahead;	 /* bytes to read at once; 0: 256 KiB */
	uint64_t at;	 /* file position of buf */
	struct buf buf;
};

/* "00000000000000000012.seg"; freed by the caller */
char *seg_name(uint64_t number, const char *suffix) MUST_CHECK;
int seg_name_parse(const char *name, const char *suffix, uint64_t *number) MUST_CHECK;

/* A new file of size bytes (a multiple of SEG_BLOCK) made of zeros and a header; it has its name when this returns, and all is synced. The descriptor, or
 * -1: then nothing is left. A failed sync of any other file meanwhile is a failure too. */
int seg_make(const char *dir, const struct seg_header *h, uint64_t size, struct err *e) MUST_CHECK;
/* The same from the recycled file of number old: new epoch, synced, then the new name. */
int seg_reuse(const char *dir, uint64_t old, const struct seg_header *h, struct err *e) MUST_CHECK;
/* Lengthen with synced zeros, for a request that is larger than a segment. */
int seg_extend(int fd, uint64_t from, uint64_t to, struct err *e) MUST_CHECK;
/* The header of a file; ERR_CORRUPT when it is none. */
int seg_header_read(int fd, struct seg_header *h, struct err *e) MUST_CHECK;

/* Bytes of a unit with its head, and of a group that begins on a block. */
uint64_t seg_unit_size(uint64_t len);
uint64_t seg_group_size(const struct seg_item *items, size_t n);
/* Write items as one group at pos; not synced. */
int seg_append(int fd, const struct seg_header *h, uint64_t pos, uint64_t offset, struct seg_item *items, size_t n, struct err *e) MUST_CHECK;

/* n bytes at pos, valid until the next call; -1 with ERR_CORRUPT when they reach over the limit. */
int seg_window_get(struct seg_window *w, uint64_t pos, size_t n, const char **p, struct err *e) MUST_CHECK;
/* The head of the unit at pos; -1 with ERR_CORRUPT: there is none of this epoch. */
int seg_unit_head(struct seg_window *w, uint64_t pos, struct seg_unit *u, struct err *e) MUST_CHECK;
/* Its body, checked against its crc. */
int seg_unit_body(struct seg_window *w, uint64_t pos, const struct seg_unit *u, const char **p, struct err *e) MUST_CHECK;
/* Where the next unit begins, if there is one. */
uint64_t seg_unit_next(uint64_t pos, const struct seg_unit *u);

#endif
