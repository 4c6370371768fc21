/*
 * bq.h - between the files of the BigQuery loader: bigquery.c (settings, ops), bq_api.c (log-in, requests, jobs, errors), bq_upload.c (resumable uploads),
 * bq_schema.c (datasets, tables and their changes), bq_rows.c (rows into a staging table), bq_load.c (ledger, the one statement that commits), bq_check.c (check and
 * sample). One thread. JSON of the API is jansson's; records never are.
 */
#ifndef STITCH_LOADER_BQ_H
#define STITCH_LOADER_BQ_H

#include "http.h"
#include "loaders/net/jwt.h"
#include "loaders/runtime/loader.h"

struct upload;

/* A column as rows are written: `name` at the top of a staging line, and what its values become. */
enum out_kind { OUT_INT, OUT_DOUBLE, OUT_DECIMAL, OUT_BOOL, OUT_TIME, OUT_TEXT, OUT_JSON };
struct out_column {
	const struct column *c;
	const struct layout_field *field; /* of OUT_JSON */
	bool array;
	enum out_kind kind;
	char *other; /* column beside it for numbers that this one cannot hold; NULL: none */
	bool other_used;
	int64_t us; /* last time, and its text */
	char time[40];
};

/* The data transaction: what is collected between begin and commit. */
struct tx {
	const struct job *j;
	const struct layout *lo; /* NULL: no rows */
	struct out_column *out;
	struct upload *rows, *rejects;
	uint64_t n_rows;
	struct buf line;
	/* the ledger as it was read, and what of it must not have changed at commit */
	json_t *ledger;
	struct buf where;
	uint64_t n_seen, n_discarded;
	int64_t active;
	/* to be written */
	struct buf batches, values; /* ids of the batches, rows of the ledger: SQL lists */
	uint64_t n_batches;
	bool activate, empty; /* empty: there are rows of older versions to delete, perhaps */
	int64_t version;
	const char *first; /* id of the first batch to be written */
};

/* A line that BigQuery refused: found by its place in the next run, and left out from then on. */
struct bad_row { uint64_t ordinal; char *reason; };

struct bq {
	struct loader *l;
	struct http *http;
	char *url, *project, *location; /* location: NULL is BigQuery's default */
	char *partition;		/* NULL, or "DAY" ...: of new tables, by _sdc_batched_at */
	bool append;			/* rows of tables with a key are added, too */
	char server[120];
	/* the service account */
	char *email, *token_uri, *key_id;
	struct jwt_key *key;
	char *bearer; /* a whole header; NULL: log in first */
	time_t bearer_until;
	/* of the last request */
	unsigned status;
	char reason[64]; /* of the API: "notFound", "duplicate", ...; "" */
	bool once;	 /* nothing is worth a second try */
	bool resent;	 /* it was sent more than once, so its first answer may be lost */
	struct http_answer answer;
	const char *phase; /* for loader_tick() */
	time_t give_up;	   /* when waiting for a job ends; 0: never */
	/* the job's table as it was last seen */
	char *dataset, *table; /* canonical */
	char *region;	       /* where the dataset is, as the API says it; NULL: not known */
	json_t *fields;	       /* its schema; NULL: not there */
	char *prepared;	       /* dataset whose own tables are known to be there */
	struct tx *tx;	       /* the data transaction, while there is one */
	/* lines that were refused in this load */
	int64_t bad_load;
	struct bad_row *bad;
	size_t n_bad;
	uint64_t find_position, find_row; /* UINT64_MAX: not to be found */
	char *find_reason;
};

extern const struct dialect bq_dialect;

/* bq_api.c. path: after /bigquery/v2/projects/PROJECT. body: borrowed, NULL: none. Requests that fail for a while are sent again some times: each must bear that.
 * -1: e, with b->status and b->reason for those who look. */
int bq_call(struct bq *b, const char *method, const char *path, const json_t *body, json_t **out, struct err *e) MUST_CHECK;
/* One request to a whole URL, logged in, as it is: 0 for an answer of any status (in b->answer). */
int bq_send(struct bq *b, const char *method, const char *url, const char *const *headers, struct str body, struct err *e) MUST_CHECK;
/* Some time has passed without success: waits (ticking) before attempt number n from 1 on; false: that was enough. */
bool bq_wait(struct bq *b, unsigned n, int64_t hint);
/* b->answer, with a status that is none of success, as e. */
int bq_refused(struct bq *b, const char *doing, struct err *e);
/* A job until it is done. job: as its insertion answered, taken. Returns the finished job, which may have failed, or NULL. */
json_t *bq_job_wait(struct bq *b, json_t *job, struct err *e) MUST_CHECK;
json_t *bq_job_get(struct bq *b, const char *id, struct err *e) MUST_CHECK; /* NULL with ERR_NOT_FOUND: there is none */
json_t *bq_job_ref(const struct bq *b, const char *id);			    /* a jobReference */
int bq_job_failed(struct bq *b, const json_t *job, const char *doing, struct err *e); /* 0: it has not */
/* The rows of a query: an array of {"f": [{"v": ...}]}, all pages. schema: NULL, or where that of the answer is put. */
json_t *bq_query(struct bq *b, const char *sql, json_t **schema, struct err *e) MUST_CHECK;
/* A script under a job id of its own, until it is done. */
int bq_script(struct bq *b, const char *sql, const char *doing, struct err *e) MUST_CHECK;
const char *bq_cell(const json_t *row, size_t column); /* text of a value; NULL: NULL, or no text */
void bq_random(char out[17]);			       /* hex digits for ids that need only be new */

/* SQL text */
void bq_name(const struct bq *b, const char *table, struct buf *sql);	/* `project.dataset.table` */
void bq_literal(struct str s, struct buf *sql);				/* 'text' */
void bq_canonical(struct str name, struct buf *out);			/* a name of a dataset, table or column */

/* bq_schema.c */
int bq_prepare(void *self, const struct job *j, struct err *e) MUST_CHECK;
int bq_describe(void *self, const struct job *j, const char *table, struct table_desc *out, struct err *e) MUST_CHECK;
int bq_change(void *self, const struct job *j, const struct layout *lo, const struct step *s, struct err *e) MUST_CHECK;
void bq_ddl(void *self, const struct job *j, const struct layout *lo, const struct step *s, struct buf *out);
const char *bq_where(const struct bq *b); /* where jobs of the dataset run; NULL: BigQuery finds out. Else only who says it finds a job again */
/* A table of b->dataset. ERR_NOT_FOUND: there is none. */
int bq_get_table(struct bq *b, const char *table, json_t **out, struct err *e) MUST_CHECK;
json_t *bq_field(const json_t *fields, const char *name); /* borrowed; NULL: none */
bool bq_field_is(const json_t *field, const char *type, const char *alias);
int bq_add_field(struct bq *b, const char *name, const char *type, struct err *e) MUST_CHECK; /* to the job's table, if it is not there */

/* bq_rows.c. bq_newest: the newest line of each key in the staging table, as a sub-select s; bq_newer: is s newer than t? */
int bq_rows_begin(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, struct err *e) MUST_CHECK;
int bq_put(void *self, const struct row *row, struct err *e) MUST_CHECK;
int bq_rows_end(void *self, struct err *e) MUST_CHECK;
int bq_tally(void *self, uint64_t *inserted, uint64_t *updated, uint64_t *skipped, struct err *e) MUST_CHECK;
char *bq_beside(const struct column *c, const char *suffix) MUST_CHECK; /* name of the column for numbers that this one cannot hold */
void bq_forget_bad(struct bq *b);
void bq_newest(const struct bq *b, struct buf *sql);
extern const char bq_newer[];

/* bq_load.c */
int bq_begin(void *self, const struct job *j, int64_t *active_version, struct err *e) MUST_CHECK;
int bq_ledger_get(void *self, const struct job *j, const struct job_batch *batch, struct ledger_row *out, struct err *e) MUST_CHECK;
int bq_ledger_ranges(void *self, const struct job *j, const struct job_batch *batch, struct ranges *out, struct err *e) MUST_CHECK;
int bq_ledger_put(void *self, const struct job *j, const struct job_batch *batch, const struct ledger_row *row, struct err *e) MUST_CHECK;
int bq_activate(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, int64_t version, struct err *e) MUST_CHECK;
int bq_reject(void *self, const struct job *j, const struct reject *r, struct err *e) MUST_CHECK;
int bq_commit(void *self, struct err *e) MUST_CHECK;
void bq_rollback(void *self);

/* bq_check.c */
void bq_check(void *self, struct loader_check *c);
int bq_sample(void *self, const char *schema, const char *table, unsigned max, json_t *columns, json_t *rows, struct err *e) MUST_CHECK;

#endif
