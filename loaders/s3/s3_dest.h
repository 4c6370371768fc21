/*
 * s3_dest.h - one destination of kind s3 and the load under way. Private to loaders/s3; one thread.
 */
#ifndef STITCH_S3_DEST_H
#define STITCH_S3_DEST_H

#include "loaders/runtime/loader.h"
#include "loaders/s3/s3_key.h"
#include "loaders/s3/s3_text.h"
#include "s3.h"

/* The file of one table (layouts' index) in this load. */
struct output {
	char *key, *path; /* path: the table's name in the key */
	struct s3_upload *up; /* NULL: no row yet */
	size_t *follow;	      /* CSV: per column the next one of the same field, or NO_COLUMN */
	bool *led;	      /* CSV: per column, it stands in another one's place */
};

struct s3_dest {
	struct loader *l;
	struct s3 *s3;	  /* for loads: patient */
	struct s3 *probe; /* for a person who waits */
	struct key_template key, rejected_keys; /* the latter: of the rejected records, always jsonl */
	struct csv csv;
	bool jsonl;
	const char *phase, *server;
	char *bucket;
	/* the load */
	const struct job *j;
	const struct layouts *los;
	struct output *out;
	size_t n_out;
	char *root_key, *rejected_key;
	struct s3_upload *rejected;
	char note[64];	 /* LOAD.ATTEMPT.QUEUE, kept with the root's object */
	bool there;	 /* an earlier attempt has done it all */
	uint32_t attempt; /* that one */
	struct buf row;
};

extern const struct dialect s3_csv_dialect, s3_jsonl_dialect;

/* --- s3_load.c: see loader.h --- */
int sd_prepare(void *self, const struct job *j, struct err *e);
int sd_begin(void *self, const struct job *j, int64_t *active_version, struct err *e);
int sd_ledger_get(void *self, const struct job *j, const struct job_batch *b, struct ledger_row *out, struct err *e);
int sd_ledger_ranges(void *self, const struct job *j, const struct job_batch *b, struct ranges *out, struct err *e);
int sd_ledger_put(void *self, const struct job *j, const struct job_batch *b, const struct ledger_row *row, struct err *e);
int sd_rows_begin(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, struct err *e);
int sd_put(void *self, const struct row *row, struct err *e);
int sd_rows_end(void *self, struct err *e);
int sd_activate(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, int64_t version, struct err *e);
int sd_reject(void *self, const struct job *j, const struct reject *r, struct err *e);
int sd_commit(void *self, struct err *e);
void sd_rollback(void *self);

/* --- s3_check.c --- */
void sd_check(void *self, struct loader_check *c);
int sd_sample(void *self, const char *schema, const char *table, unsigned max, json_t *columns, json_t *rows, struct err *e);
/* The policy that a person pastes: all that loading needs on this bucket. Appended. */
void sd_policy(const struct s3_dest *s, struct buf *out);

#endif
