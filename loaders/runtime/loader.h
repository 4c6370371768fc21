/*
 * loader.h - what a kind of destination gives to the runtime that all loaders share. The runtime (main.c, load.c) speaks stitch-loader(7) on fd 3,
 * reads and checks the batch files, types and names the values (rows.h), decides the DDL (plan.h) and drives one load:
 *
 *   prepare -> [subtables] -> describe each table -> [change ...] -> begin -> ledger_get each batch -> [ledger_ranges] -> rows_begin -> put ... -> rows_end
 *           -> [activate] -> [reject ...] -> ledger_put each batch -> commit                         any failure after begin: rollback
 *
 * One thread calls the ops; a second one only watches fd 3 and ends the process when the daemon goes away, so a transaction must vanish with the process.
 * Each int function returns 0 or -1 with e. e->code decides the class that the daemon sees: ERR_CONFIG, ERR_DENIED: config; ERR_DATA, ERR_INVALID: data;
 * ERR_CORRUPT: corrupt; all else (ERR_TRANSIENT, ERR_IO, ERR_FULL, ERR_TIMEOUT ...): transient, tried again. Texts are for a person, without secrets.
 */
#ifndef STITCH_LOADER_H
#define STITCH_LOADER_H

#include <jansson.h>

#include "base.h"
#include "buf.h"
#include "err.h"
#include "loaders/runtime/job.h"
#include "loaders/runtime/rows.h"

struct loader; /* the runtime; ops get it at open */

/* What is in the destination now. Filled by describe: names malloc'ed (table_desc_free). */
struct desc_column {
	char *name;
	unsigned accepts; /* COL_BIT()s of the types that this column holds without loss; 0: none that we know */
	bool fixed;	  /* generated: may be neither filled nor set NULL */
	bool pinned;	  /* something depends on its type (a view): STEP_WIDEN is not possible */
	struct desc_column *sub; /* NEST_RECORD only, as the next two */
	size_t n_sub;
	bool repeated;
};
struct table_desc {
	bool exists;
	struct desc_column *columns; /* in the table's order */
	size_t n;
	char **keys; /* columns of its primary key, in order; none: append-only */
	size_t n_keys;
	char *owner; /* the source (its name) that the table was made for; NULL: not known */
};
void table_desc_free(struct table_desc *d);

/* Rows of _stitch_ledger; the rest of a row comes from the job and its batch. */
struct ledger_row { uint64_t rows, rejected; uint32_t attempt; bool discarded; bool uncounted; /* rows and rejected are not known here: the daemon counts */ };
struct ranges { struct range *r; size_t n, cap; };
void ranges_add(struct ranges *r, uint64_t first, uint64_t last);
struct names { char **s; size_t n, cap; };
void names_add(struct names *l, const char *name);

enum step_kind {
	STEP_CREATE = 1, /* the table with all columns of the layout and its key; note job->source as its owner, and job->table as the table that it belongs to. Of
			  * the root: void its ledger rows that are not marked discarded, in one transaction where the destination can. The table may have been
			  * made meanwhile: no error. */
	STEP_ADD,	 /* add column s->column; there already: no error */
	STEP_WIDEN,	 /* s->column is COL_INTEGER in the table and must become s->column->type (COL_NUMBER), all values kept */
	STEP_RENAME,	 /* column s->from gets the name s->column->name; done already: no error. Only where dialect.rename_first */
	STEP_NEST,	 /* NEST_RECORD: s->column lacks some of its nested columns in the table; add them */
};
struct step { enum step_kind kind; const struct column *column; const char *from; };

struct reject { const char *batch; uint64_t record; struct str field, value, reason, raw; }; /* raw: the record's line, whole */

struct loader_check; /* answer to loader.check; filled by check_right() and check_failed() */
void check_right(struct loader_check *c, const char *name, bool ok, const char *detail); /* one right that was tried; detail may be NULL */
void check_failed(struct loader_check *c, const char *cause, const char *fix); /* why it does not work and what a person does about it; the first call counts */

struct loader_ops {
	const char *kind; /* "sqlite" */

	/* Connect. settings: an object of strings, borrowed for the call. NULL with e when it fails; fix then says what to do, as a sentence (may stay empty). */
	void *(*open)(struct loader *l, const json_t *settings, struct buf *fix, struct err *e);
	void (*close)(void *self);
	const char *(*server)(void *self); /* "SQLite 3.40.1": for people; valid while open */
	const struct dialect *(*dialect)(void *self);
	/* Prove each right that loading needs (make a schema and a table, write, read, change, drop it again), leaving nothing behind. */
	void (*check)(void *self, struct loader_check *c);
	/* At most max rows of the table: append column names to columns and one array of text or null per row to rows. No such table: ERR_NOT_FOUND. */
	int (*sample)(void *self, const char *schema, const char *table, unsigned max, json_t *columns, json_t *rows, struct err *e);

	/* --- outside a transaction, before each load and discard; idempotent --- */
	/* The schema and its tables _stitch_ledger, _stitch_table and _sdc_rejected (loading.md, section 3), if they are not there. j->dry_run: nothing is made;
	 * 1 when something of it is missing (then only close and ddl are called for this job). */
	int (*prepare)(void *self, const struct job *j, struct err *e);
	/* table: a layout's name, the root's or a subtable's. */
	int (*describe)(void *self, const struct job *j, const char *table, struct table_desc *out, struct err *e);
	/* names_add() each subtable of the job's table: its name begins with TABLE__, it has a column _sdc_level_0_id, and it was noted (STEP_CREATE) as one of
	 * job->source and job->table, so that it is no table, or subtable of one, that only begins alike. NULL: this kind has no subtables. */
	int (*subtables)(void *self, const struct job *j, const char *table, struct names *out, struct err *e);
	/* After a failed change the runtime describes and plans once more before it gives up. */
	int (*change)(void *self, const struct job *j, const struct layout *lo, const struct step *s, struct err *e);
	/* The statement of a step as text for a person, appended (dry run). NULL: the runtime says it in a general way. */
	void (*ddl)(void *self, const struct job *j, const struct layout *lo, const struct step *s, struct buf *out);

	/* --- the data transaction --- */
	/* BEGIN; take the table's lock, held to COMMIT; then read active_version (0: no row). Wait for the lock, ticking, at most some minutes. */
	int (*begin)(void *self, const struct job *j, int64_t *active_version, struct err *e);
	/* 1: there is a row (out filled), 0: none. */
	int (*ledger_get)(void *self, const struct job *j, const struct job_batch *b, struct ledger_row *out, struct err *e);
	/* Ranges of rows not marked discarded of the table with b's queue id and partition that touch b->first..b->last: ranges_add each. Only for append-only
	 * tables. */
	int (*ledger_ranges)(void *self, const struct job *j, const struct job_batch *b, struct ranges *out, struct err *e);
	/* Insert the batch's row, or replace one that was marked discarded. loaded_at: now. */
	int (*ledger_put)(void *self, const struct job *j, const struct job_batch *b, const struct ledger_row *row, struct err *e);
	/* Rows follow. descs: the tables as they are now, one a layout, all columns of the layouts there. Borrowed until rows_end or rollback. Not called when
	 * !los->t[0].has_table. */
	int (*rows_begin)(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, struct err *e);
	/*
	 * One row; borrowed for the call. row->table 0: a record. With keys: it replaces the whole row of its key (columns that are in the table and not in the
	 * layout become NULL, but for fixed ones) if its (version, sequence) is greater than that of the row there, also among the rows of this load (equal: the
	 * first stays). Append-only: it is added. Its child rows follow it directly, with its ordinal. Where the record won, its old child rows go from every
	 * subtable (t[1] on, bare ones too), by the source keys, and the new ones are added; where it lost, its child rows are dropped. Append-only: they are
	 * added; one that is there with the same key is left over from a root that was dropped: it is replaced.
	 * ERR_DATA: this record is refused, the transaction goes on; e->text is the reason. Of a child row: the runtime runs the load again without its record.
	 */
	int (*put)(void *self, const struct row *row, struct err *e);
	/* All rows are in the table after this. A destination that finds bad records only now (or in put, with the transaction broken) calls loader_refuse() for
	 * each that it knows and returns -1 with ERR_DATA: the runtime rolls back and runs the load again without them. */
	int (*rows_end)(void *self, struct err *e);
	/* Dry run, after rows_end: of the records put, how many rows came new, how many were replaced, how many records lost. NULL: not known. */
	int (*tally)(void *self, uint64_t *inserted, uint64_t *updated, uint64_t *skipped, struct err *e);
	/* Delete rows whose _sdc_table_version is below version, in each table whose desc->exists (subtables, too), and set active_version = version. */
	int (*activate)(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, int64_t version, struct err *e);
	/* One row for _sdc_rejected; raw may be cut at a character's end to what fits. */
	int (*reject)(void *self, const struct job *j, const struct reject *r, struct err *e);
	/* After -1 the outcome may be unknown: the next attempt finds out by the ledger. */
	int (*commit)(void *self, struct err *e);
	void (*rollback)(void *self); /* also after a failed begin or commit, and when the connection is gone */
	/* Is the connection still usable? Asked after a failure; no: it is closed and opened again before the next request. */
	bool (*alive)(void *self);
	/* The daemon has gone, the process ends as soon as this returns: end what the server is doing for us. NULL: the end of the process does it. Called by the
	 * watching thread, at any time between open and close of any self; given two seconds. */
	void (*interrupt)(void);
};

/* I am alive: sends load.progress when some seconds have passed since the last. Cheap; call it at least each second while working or waiting for a server
 * that is known to be alive. Phases are static texts ("waiting for the lock", "loading", "committing"). */
void loader_tick(struct loader *l, const char *phase);
/* Row number `ordinal` (row->ordinal) is refused by the destination for this reason; column: the one whose value it is, or NULL. See rows_end. */
void loader_refuse(struct loader *l, uint64_t ordinal, const char *column, const char *reason);
void loader_blame(struct loader *l, const char *column); /* before put returns ERR_DATA: whose value it is; a name of the layout */
void loader_retry_after(struct loader *l, int64_t ns); /* the destination asks for so long a pause: told with the error that ends this request */
/* In place of loader_refuse(): no record is known yet, run the load once more, I shall do it in a way that shows which. Then return -1 with ERR_DATA. */
void loader_again(struct loader *l);

/* main() of each loader: return loader_main(&my_ops). */
int loader_main(const struct loader_ops *ops);

#endif
