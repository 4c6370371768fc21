/*
 * snowflake.h - what the files of stitch-load-snowflake share: one struct for the connection (there is none: each request stands alone) and the load under way.
 * Used by this folder only. One thread.
 */
#ifndef STITCH_SNOWFLAKE_H
#define STITCH_SNOWFLAKE_H

#include "base.h"
#include "buf.h"
#include "err.h"
#include "http.h"
#include "loaders/net/jwt.h"
#include "loaders/runtime/loader.h"
#include "loaders/snowflake/sf_error.h"
#include "s3.h"

/* What a load has gathered for its one request. */
struct sf_load {
	const struct job *job; /* NULL: none under way */
	struct buf sql;	       /* statements of the transaction, ";\n" between them */
	unsigned n;	       /* how many */
	struct buf ledger;     /* SELECT ... UNION ALL SELECT ...: rows for the ledger */
	json_t *seen;	       /* what begin read: ledger rows of the job's batches, ranges */
	uint64_t rows, rejects; /* put */
};

/* A file of the staging table: a line a row. */
struct sf_file { char *name; uint64_t first; }; /* below the prefix; number of its first line, over all files */
struct sf_run { uint64_t line, ordinal; }; /* from this line on: the ordinal of its row, and so on by ones */
struct sf_stage {
	char *table;	     /* quoted, with its schema; NULL: not made */
	struct s3_upload *up; /* the file being written */
	struct z_stream_s *z;
	struct buf line;
	uint64_t lines, bytes; /* over all files; packed bytes of this one */
	struct sf_file *files;
	size_t n_files, n_loaded; /* put; in the staging table */
	struct sf_run *runs;
	size_t n_runs, cap_runs;
};

/* What a column of the table really is: what it takes is checked before the server sees it. */
struct sf_real { char *name; bool is_float; unsigned precision /* of text: characters */, scale; };
/* A column of the layout, and the one beside it that takes the numbers which it cannot hold. */
struct sf_out {
	const struct sf_real *real; /* NULL: not known */
	char *other;		    /* its name; NULL: there is none for this column */
	const char *other_type;
	bool other_used;
};
struct sf_schema_state { char *name; int64_t swept; }; /* our tables are there; when leftovers were looked for, s */

enum sf_numbers { NUMBERS_DOUBLE, NUMBERS_EXACT, NUMBERS_ROUNDED };

struct snow {
	struct loader *loader;
	json_t *settings;
	struct http *http;
	struct s3 *s3;
	struct jwt_key *key;
	struct buf token;
	int64_t token_until; /* s */
	char *url, *account, *user;  /* the last two in upper case, as a token has them */
	char *database, *default_schema, *warehouse, *role; /* the case that Snowflake has; the last two may be "" */
	char *fingerprint, *server, *prefix; /* prefix: of keys, "" or with / at the end */
	enum sf_numbers numbers;
	const char *phase;
	char code[8];	     /* of the last error, "" */
	struct sf_schema_state *schemas;
	size_t n_schemas;
	struct sf_real *real; /* columns of the table that was described last */
	size_t n_real;
	uint64_t requests, bytes; /* of the load: SQL requests, bytes put */
	const struct layout *lo; /* from rows_begin on, as the next two */
	const struct table_desc *desc;
	struct sf_out *out; /* one a column */
	struct buf plain; /* a number without exponent */
	struct sf_load load;
	struct sf_stage stage;
};

/* sf_http.c */
/* n statements in sql, run as one request; *answer (may be NULL) is the caller's. s->code is the error's code after -1. A time in s bounds the statement on the server. */
int sf_run(struct snow *s, const char *sql, unsigned n, json_t **answer, struct err *e) MUST_CHECK;
const char *sf_cell(const json_t *answer, size_t row, size_t column); /* NULL: null, or not there */
size_t sf_rows(const json_t *answer);
int64_t sf_cell_int(const json_t *answer, size_t row, size_t column); /* 0 where it is none */
const char *sf_column(const json_t *answer, size_t column); /* its name; NULL: there are no more */
void sf_fix(const struct snow *s, const char *schema, struct buf *out); /* about the last error */

/* snowflake.c */
extern const struct dialect sf_dialect;
void sf_literal(struct buf *sql, struct str text); /* '...' */
void sf_schema_name(const struct snow *s, const char *schema, struct buf *out); /* its canonical name; "": the default's */
/* "DATABASE"."SCHEMA"."NAME". name: canonical, or one of ours */
void sf_table(const struct snow *s, struct buf *sql, const char *schema, const char *name);
const char *sf_type(const struct snow *s, const struct column *c);
char *sf_beside(const char *name, const char *suffix) MUST_CHECK; /* the column's name with another suffix */

/* sf_schema.c */
int sf_prepare(void *self, const struct job *j, struct err *e);
int sf_describe(void *self, const struct job *j, const char *table, struct table_desc *out, struct err *e);
int sf_change(void *self, const struct job *j, const struct layout *lo, const struct step *st, struct err *e);
void sf_ddl(void *self, const struct job *j, const struct layout *lo, const struct step *st, struct buf *out);
void sf_comment(struct buf *sql, const char *head, const json_t *note); /* '...': head and note as JSON */
void sf_forget_schema(struct snow *s, const char *schema); /* ours may be gone there */

/* sf_stage.c */
/* s->stage.line goes into the file; ordinal: of its row, or UINT64_MAX. Emptied. */
int sf_stage_line(struct snow *s, uint64_t ordinal, struct err *e) MUST_CHECK;
int sf_stage_close(struct snow *s, struct err *e) MUST_CHECK; /* the file, if one is open, is whole in the bucket */
/* What was written since the last time goes into the staging table. A line that the server refuses: loader_refuse() was called, ERR_DATA. */
int sf_stage_load(struct snow *s, struct err *e) MUST_CHECK;
void sf_stage_drop(struct snow *s); /* all of it, as far as it is there */
void sf_stage_sweep(struct snow *s, const char *schema); /* what killed loaders left behind, a day ago or more */

/* sf_rows.c */
int sf_rows_begin(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, struct err *e);
int sf_put(void *self, const struct row *row, struct err *e);
int sf_rows_end(void *self, struct err *e);
void sf_rows_free(struct snow *s);

/* sf_load.c */
void sf_add(struct snow *s, const struct buf *sql); /* one more statement */
int sf_begin(void *self, const struct job *j, int64_t *active_version, struct err *e);
int sf_ledger_get(void *self, const struct job *j, const struct job_batch *b, struct ledger_row *out, struct err *e);
int sf_ledger_ranges(void *self, const struct job *j, const struct job_batch *b, struct ranges *out, struct err *e);
int sf_ledger_put(void *self, const struct job *j, const struct job_batch *b, const struct ledger_row *row, struct err *e);
int sf_activate(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, int64_t version, struct err *e);
int sf_reject(void *self, const struct job *j, const struct reject *r, struct err *e);
int sf_commit(void *self, struct err *e);
void sf_rollback(void *self);

/* sf_check.c */
void sf_check(void *self, struct loader_check *c);
int sf_sample(void *self, const char *schema, const char *table, unsigned max, json_t *columns, json_t *rows, struct err *e);

#endif
