/*
 * sqlite_priv.h - between the files of the SQLite loader: sqlite.c (connection, transaction, ledger, ops), sqlite_table.c (tables and their changes),
 * sqlite_rows.c (rows in), sqlite_check.c (check and sample). One thread.
 */
#ifndef STITCH_LOADER_SQLITE_PRIV_H
#define STITCH_LOADER_SQLITE_PRIV_H

#include <sqlite3.h>

#include "loaders/runtime/loader.h"

struct time_text { int64_t us; int len; char text[40]; };
/* One table of a load. */
struct sq_table {
	sqlite3_stmt *put;	 /* NULL: no rows come (bare) */
	sqlite3_stmt *clear;	 /* deletes the rows of one record; NULL in the root, and where nothing is ever stale */
	struct time_text *times; /* one a column: many rows have the same times */
	size_t n;
};
struct sqlite {
	struct loader *l;
	sqlite3 *db;
	char *path;
	char server[40];
	bool broken;		 /* open it anew before it is used again */
	int waited, wait_max;	 /* ms for the lock, in this statement */
	const struct layouts *los; /* while rows stream in, as the rest */
	struct sq_table *tables;
	size_t n_tables;
	bool won;		 /* the record at hand: its child rows come in */
	uint64_t inserted, updated, skipped;
	struct buf numbers;	 /* texts of numbers of one row */
};

extern const struct dialect sqlite_dialect;

/* sqlite.c. Names are quoted by sq_name, values are bound. */
void sq_name(struct buf *sql, const char *name);				 /* "name", quotes doubled */
char *sq_physical(const char *schema, const char *table) MUST_CHECK; /* SCHEMA__TABLE or TABLE; caller frees */
int sq_failed(struct sqlite *s, const char *doing, struct err *e);	 /* the last error of the connection as e; returns -1 */
int sq_exec(struct sqlite *s, const char *sql, const char *doing, struct err *e) MUST_CHECK;
sqlite3_stmt *sq_prepare(struct sqlite *s, const char *sql, const char *doing, struct err *e) MUST_CHECK;
/* Run a statement that gives no row, and finalize it. */
int sq_run(struct sqlite *s, sqlite3_stmt *st, const char *doing, struct err *e) MUST_CHECK;
void sq_bind_text(sqlite3_stmt *st, int at, const char *text); /* copied */

/* sqlite_table.c */
int sq_prepare_schema(void *self, const struct job *j, struct err *e) MUST_CHECK;
int sq_describe(void *self, const struct job *j, const char *name, struct table_desc *out, struct err *e) MUST_CHECK;
int sq_subtables(void *self, const struct job *j, const char *table, struct names *out, struct err *e) MUST_CHECK;
void sq_ddl(void *self, const struct job *j, const struct layout *lo, const struct step *st, struct buf *out);
int sq_change(void *self, const struct job *j, const struct layout *lo, const struct step *st, struct err *e) MUST_CHECK;

/* sqlite_rows.c */
int sq_rows_begin(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, struct err *e) MUST_CHECK;
int sq_put(void *self, const struct row *row, struct err *e) MUST_CHECK;
int sq_rows_end(void *self, struct err *e) MUST_CHECK;
void sq_rows_drop(struct sqlite *s); /* also when no rows are under way */
int sq_tally(void *self, uint64_t *inserted, uint64_t *updated, uint64_t *skipped, struct err *e) MUST_CHECK;

/* sqlite_check.c */
void sq_check(void *self, struct loader_check *c);
int sq_sample(void *self, const char *schema, const char *table, unsigned max, json_t *columns, json_t *rows, struct err *e) MUST_CHECK;

#endif
