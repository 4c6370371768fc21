/*
 * redshift.h - what the files of stitch-load-redshift share: one struct for the connection, the bucket and the load under way. Used by this folder only. One
 * thread. The connection is loaders/postgres/pg_conn.h's, with Redshift's flavour.
 */
#ifndef STITCH_REDSHIFT_H
#define STITCH_REDSHIFT_H

#include "base.h"
#include "buf.h"
#include "err.h"
#include "loaders/postgres/key_set.h"
#include "loaders/postgres/pg_conn.h"
#include "loaders/redshift/rs_stage.h"
#include "loaders/runtime/loader.h"
#include "s3.h"

#define RS_VARCHAR_FIRST 128u /* bytes: what a text column has at first */
#define RS_VARCHAR_MAX 65535u
/* names that no sender can give: _sdc is reserved */
#define RS_ORDINAL "_sdc_stitch_ordinal"

/* A column as it is in the destination, as far as loads must know. */
enum rs_type { RS_OTHER, RS_VARCHAR, RS_DOUBLE, RS_DECIMAL };
struct rs_column { char *name; enum rs_type type; unsigned width; bool pinned; };
struct rs_table { char *name; struct rs_column *columns; size_t n; };

/* A column of a load: how its name is written, what it is, and what it must become before its values fit. */
struct rs_need { char *head; const struct rs_column *is; unsigned width; bool decimal; };

/* One table of a load. */
struct rs_part {
	const struct layout *lo;
	char *table;		/* quoted, with its schema */
	struct rs_need *needs;	/* one a column of the layout */
	struct rs_stage stage;
};

struct rs_load {
	const struct layouts *los; /* NULL: no rows under way */
	char *schema;
	struct rs_part *parts;	   /* one a layout */
	size_t n_parts;
	struct key_set keys;	   /* of the records so far; says whether two may have one key */
	struct buf line;
	bool dry;
	uint64_t inserted, replaced, lost; /* for tally */
};

/* What begin has read of the ledger, so that a load of many batches asks once. */
struct rs_ledger { char id[JOB_BATCH_ID_LEN]; struct ledger_row row; };
struct rs_range { char queue[33]; uint32_t partition; struct range r; };

struct redshift {
	struct loader *loader;
	json_t *settings;
	struct pg pg;
	struct s3 *s3;
	char *server, *credentials; /* of COPY: IAM_ROLE ... or keys; never in a text */
	const char *bucket;
	char *prefix;		 /* "" or with a / at its end */
	const char *phase;
	struct dialect dialect;
	enum { NUMBERS_AUTO, NUMBERS_EXACT, NUMBERS_DOUBLE } numbers;
	const struct job *job;	 /* of the transaction under way */
	struct rs_table *tables; /* as described for the job under way */
	size_t n_tables;
	char *lock;		 /* the table to lock: the job's, or our own while that is not there; quoted */
	struct rs_ledger *ledger;
	size_t n_ledger;
	struct rs_range *ranges;
	size_t n_ranges;
	struct buf ledger_rows;	 /* SELECTs of the rows to be written */
	size_t n_ledger_rows;
	bool discarded;		 /* a row of the ledger is marked so: it is replaced */
	struct buf rejected;	 /* texts for _sdc_rejected, two a row (reason, record), each with its NUL */
	size_t n_rejected;
	struct names staged;	 /* objects that are in the bucket besides those of the load's parts: manifests */
	struct names swept;	 /* tables whose left-over files were looked for by this process */
	struct rs_load load;
};

/* redshift.c */
const char *rs_load_errors_table(const struct redshift *r); /* see rs_error_load_table(), of the last complaint */
const char *rs_fix(struct redshift *r); /* what to do about the last complaint; "" */
int rs_s3_failed(const struct redshift *r, struct err *e); /* e is from s3.h: what to do is added. Always -1 */

/* rs_schema.c */
/* The schema of a job as it is named here: caller frees. NULL: ERR_CONFIG. */
char *rs_schema_name(const char *schema, struct err *e) MUST_CHECK;
const char *rs_number_type(const struct redshift *r, const struct column *c);
int rs_prepare(void *self, const struct job *j, struct err *e);
int rs_subtables(void *self, const struct job *j, const char *table, struct names *out, struct err *e);
int rs_change(void *self, const struct job *j, const struct layout *lo, const struct step *s, struct err *e);
void rs_ddl(void *self, const struct job *j, const struct layout *lo, const struct step *s, struct buf *out);
/* The type of a number's column becomes DOUBLE PRECISION or DECIMAL(38,6), all values kept: a new column takes the place of the old one. */
int rs_retype(struct redshift *r, const char *table, const char *column, bool decimal, struct err *e) MUST_CHECK;

/* rs_describe.c */
int rs_describe(void *self, const struct job *j, const char *table, struct table_desc *out, struct err *e);
const struct rs_column *rs_column_of(const struct redshift *r, const char *table, const char *column); /* of the tables described; NULL: none */
void rs_forget_tables(struct redshift *r);

/* rs_load.c */
int rs_begin(void *self, const struct job *j, int64_t *active_version, struct err *e);
int rs_ledger_get(void *self, const struct job *j, const struct job_batch *b, struct ledger_row *out, struct err *e);
int rs_ledger_ranges(void *self, const struct job *j, const struct job_batch *b, struct ranges *out, struct err *e);
int rs_ledger_put(void *self, const struct job *j, const struct job_batch *b, const struct ledger_row *row, struct err *e);
int rs_activate(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, int64_t version, struct err *e);
int rs_reject(void *self, const struct job *j, const struct reject *r, struct err *e);
int rs_commit(void *self, struct err *e);
void rs_rollback(void *self);
void rs_load_forget(struct redshift *r); /* what was kept of the last transaction */

/* rs_rows.c */
int rs_rows_begin(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, struct err *e);
int rs_put(void *self, const struct row *row, struct err *e);
void rs_rows_free(struct redshift *r);

/* rs_merge.c */
int rs_rows_end(void *self, struct err *e);
int rs_tally(void *self, uint64_t *inserted, uint64_t *updated, uint64_t *skipped, struct err *e);

/* rs_copy.c */
/* COPY the part's files into table (quoted). A record that is refused is told to the runtime: then -1 with ERR_DATA, the transaction gone. */
int rs_copy(struct redshift *r, struct rs_part *p, const char *table, bool ordinal, struct err *e) MUST_CHECK;
void rs_copy_text(const struct redshift *r, const char *table, const struct layout *lo, bool ordinal, const char *manifest, struct buf *sql);
/* Where the objects of layout k are to be, for one attempt: caller frees. */
char *rs_staged_stem(struct redshift *r, const struct job *j, size_t k) MUST_CHECK;
/* Takes the staged files away, as far as that is possible. */
void rs_staged_delete(struct redshift *r);
/* Those that a loader left that was killed; the table's lock is held. Once for a table and process, and after a failure. */
void rs_staged_sweep(struct redshift *r, const struct job *j);

/* rs_check.c */
void rs_check(void *self, struct loader_check *c);
int rs_sample(void *self, const char *schema, const char *table, unsigned max, json_t *columns, json_t *rows, struct err *e);

#endif
