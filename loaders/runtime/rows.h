/*
 * rows.h - a batch file's heads checked against the job, and its records into typed rows or reasons why they are rejected. Values never pass through a double.
 * Pure: no destination, no clock. One thread.
 */
#ifndef STITCH_LOADER_ROWS_H
#define STITCH_LOADER_ROWS_H

#include "base.h"
#include "buf.h"
#include "err.h"
#include "frame.h"
#include "loaders/runtime/job.h"
#include "loaders/runtime/layout.h"
#include "str.h"

enum cell_kind { CELL_NULL, CELL_INT, CELL_NUMBER, CELL_BOOL, CELL_TIME, CELL_TEXT, CELL_JSON };
struct cell {
	enum cell_kind kind;
	int64_t i;    /* INT; BOOL 0 or 1; TIME: us since 1970 */
	struct str s; /* TEXT: UTF-8 without escapes; NUMBER: the sender's JSON number (never one that fits int64: that is INT); JSON: the sender's object or array */
};
/* COL_INTEGER gets INT; COL_NUMBER gets INT or NUMBER; COL_BOOLEAN BOOL, COL_TIME TIME, COL_STRING TEXT, COL_JSON JSON; each may be NULL. */

struct row {
	size_t table;		  /* index into the layouts; 0: the record itself, else a child row of the record whose row came last */
	const struct cell *cells; /* as many as that layout has columns */
	const unsigned char *told; /* of fields by their ids: TOLD_TEXT, TOLD_TIME; for record_value() */
	uint64_t ordinal;	  /* number of the record in this run of the load, from 0, the same for its child rows; see loader_refuse() */
	int64_t version, sequence;
	struct str data;	  /* the record itself (table 0 only): its JSON object as it was sent */
};

/* Where a record stands. */
struct place {
	const struct job_batch *batch;
	uint64_t offset; /* of its queue record */
	uint32_t index;	 /* in it */
	int64_t received_at; /* ns */
};
struct refusal { struct str field, value; struct buf reason; }; /* slices of the record; reason is the caller's to free */

struct rows;
struct rows *rows_new(const struct job *j, const struct layouts *los, const struct dialect *d) MUST_CHECK;
void rows_free(struct rows *r);
/* Is the head of this job's source, table, keys and of the batch's version? -1: ERR_CORRUPT. Its types hold for the records that follow. */
int rows_head(struct rows *r, const struct job_batch *b, struct str line, struct err *e) MUST_CHECK;
enum rows_made {
	ROWS_ERROR = -1, /* e: corrupt */
	ROWS_ROW,
	ROWS_NOTHING,	 /* append-only and no value in it: no row */
	ROWS_REFUSED,	 /* why is filled */
	ROWS_WANT_EXTRACTED, /* make the layouts again, with it */
};
/* The record's own row. ROWS_ROW: its child rows are right, too. The cells are valid until the next call and while the record's line is. */
enum rows_made rows_make(struct rows *r, const struct frame_record *rec, const struct place *at, struct row *out, struct refusal *why, struct err *e) MUST_CHECK;
/* The child rows of the record that rows_make() made last, depth first, each given to fn; its -1 ends it. An element without a value of its own has none. out: as rows_make() filled it; borrowed for fn's call. */
int rows_children(struct rows *r, const struct row *root, int (*fn)(void *arg, const struct row *row, struct err *e), void *arg, struct err *e) MUST_CHECK;

#endif
