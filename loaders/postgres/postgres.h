/*
 * postgres.h - what the files of stitch-load-postgres share: one struct for the connection and the load under way. Used by this folder only. One thread.
 */
#ifndef STITCH_POSTGRES_H
#define STITCH_POSTGRES_H

#include "base.h"
#include "buf.h"
#include "err.h"
#include "loaders/postgres/key_set.h"
#include "loaders/postgres/pg_conn.h"
#include "loaders/runtime/loader.h"

/* Rows are sent when so much has gathered: large enough to save calls, small enough to stay in the cache. */
#define PG_SEND_BYTES (128u << 10)

struct pg_skip { uint64_t line, ordinal; }; /* from this row of COPY on: ordinal of the row; increasing */

/* A subtable of the load under way; see pg_child.c. */
struct pg_child {
	const struct layout *lo;
	const struct table_desc *desc;
	char *table;	 /* quoted, with its schema */
	struct buf names; /* its columns */
	struct buf rows; /* encoded, not yet put aside */
	int fd;		 /* what was put aside; -1: nothing */
	uint64_t aside, lines;
};

#define PG_STAGE "pg_temp._stitch_stage"
#define PG_ORDINAL "_stitch_ordinal"
/* The end of a staging table's text when records are searched: a default that may differ from row to row keeps COPY from gathering rows, so that an error
 * names the row at fault. */
#define PG_SINGLE ", _stitch_single double precision DEFAULT random()) ON COMMIT DROP"

struct pg_load {
	const struct layout *lo; /* NULL: no rows under way */
	char *table;		 /* quoted, with its schema */
	struct buf rows;	 /* encoded, not yet sent */
	bool staged;		 /* COPY goes to the staging table; else straight to the table */
	bool copying;
	uint64_t lines;		 /* rows given to COPY */
	struct pg_skip *skips;
	size_t n_skips, cap_skips;
	struct key_set keys;	 /* of the rows so far; says whether two rows may have one key */
	unsigned probed;	 /* refused rows that were looked at column by column */
	struct pg_child *children; /* one a subtable, in the layouts' order */
	size_t n_children, child_bytes;
	bool child_refused;	 /* the row that the server refused last is a subtable's */
	bool winners;		 /* which rows won must be known: in pg_temp._stitch_won */
	struct buf names, missing; /* column lists: of the layout; "x = DEFAULT" of the table's other columns */
};

struct postgres {
	struct loader *loader;
	json_t *settings;
	struct pg pg;
	char *server;
	const char *phase;
	struct dialect dialect;
	bool doubles;	/* numbers=double */
	bool narrow;	/* the table described last has columns of integer or smallint, whose binary form is not bigint's */
	bool careful;	/* this load met a record that the server refuses, and it is not known which: stage the rows, insert each by itself */
	struct pg_load load;
};

/* The schema of a job: its own, or "public" for "". -1: ERR_CONFIG, a name that PostgreSQL keeps for itself or that is too long. */
int pg_schema_name(const char *schema, const char **out, struct err *e) MUST_CHECK;
const char *pg_type_name(const struct postgres *p, enum col_type type);

/* pg_schema.c */
int pg_prepare(void *self, const struct job *j, struct err *e);
int pg_describe(void *self, const struct job *j, const char *table, struct table_desc *out, struct err *e);
int pg_subtables(void *self, const struct job *j, const char *table, struct names *out, struct err *e);
void pg_ddl(void *self, const struct job *j, const struct layout *lo, const struct step *s, struct buf *out);
int pg_change(void *self, const struct job *j, const struct layout *lo, const struct step *s, struct err *e);

/* pg_load.c */
int pg_begin(void *self, const struct job *j, int64_t *active_version, struct err *e);
int pg_ledger_get(void *self, const struct job *j, const struct job_batch *b, struct ledger_row *out, struct err *e);
int pg_ledger_ranges(void *self, const struct job *j, const struct job_batch *b, struct ranges *out, struct err *e);
int pg_ledger_put(void *self, const struct job *j, const struct job_batch *b, const struct ledger_row *row, struct err *e);
int pg_activate(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, int64_t version, struct err *e);
int pg_reject(void *self, const struct job *j, const struct reject *r, struct err *e);
int pg_commit(void *self, struct err *e);
void pg_rollback(void *self);

/* pg_rows.c */
int pg_rows_begin(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, struct err *e);
int pg_put(void *self, const struct row *row, struct err *e);
int pg_rows_end(void *self, struct err *e);
int pg_tally(void *self, uint64_t *inserted, uint64_t *updated, uint64_t *skipped, struct err *e);
void pg_rows_free(struct pg_load *l);
/* A value in COPY's form, appended to b; -1 with reason (static): it cannot be held. */
int pg_put_cell(const struct postgres *p, struct buf *b, const struct column *c, const struct cell *cell, const char **reason) MUST_CHECK;

/* pg_child.c */
void pg_children_begin(struct pg_load *l, const struct job *j, const struct layouts *los, const struct table_desc *descs);
int pg_child_put(struct postgres *p, const struct row *row, struct err *e) MUST_CHECK;
int pg_children_index(struct postgres *p, struct err *e) MUST_CHECK; /* of the staging tables, to search in */
int pg_children_stage(struct postgres *p, struct err *e) MUST_CHECK; /* after the root's COPY */
/* After the root's rows were merged. range: as for them. */
int pg_children_merge(struct postgres *p, const char *range, struct err *e) MUST_CHECK;
void pg_children_free(struct pg_load *l);

/* pg_check.c */
void pg_check(void *self, struct loader_check *c);
int pg_sample(void *self, const char *schema, const char *table, unsigned max, json_t *columns, json_t *rows, struct err *e);

#endif
