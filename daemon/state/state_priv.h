/*
 * state_priv.h - inside daemon/state/: a connection, and queries by prepared statements that are made once per connection.
 *
 * Use: q_begin (SQL must be a string literal: its address is the cache's key), bind in order, then q_run for a change or q_row until 0 for
 * rows, reading columns in order. A query that returned 0 or -1 is reset; one that is left earlier is ended by q_end. Errors name the statement.
 * Thread: the connection's.
 */
#ifndef STITCH_STATE_PRIV_H
#define STITCH_STATE_PRIV_H

#include <sqlite3.h>

#include "daemon/state/state.h"

struct db {
	sqlite3 *h;
	struct state *state; /* NULL in a few tests */
	struct db_stmt *stmts; /* private to db.c */
	bool writer;
	int failed; /* SQLite's code of the first statement that failed because of the disk or the file; 0: none */
	bool config_changed; /* set by W functions that change sources, tokens, destinations, connections or pauses */
};

/* The open state. Written by the writer's thread; broken and config_version are read by any, calls under the lock by those who wait. */
struct state {
	struct stage stage;
	char *dir, *path; /* NULL in memory */
	int lock_fd;
	struct db *db; /* the writer's connection */
	int wal_pages, checkpoint_at; /* of the -wal file after the last commit; checkpoint when it has so many */
	int checkpoint_bytes, page_size;
	_Atomic bool broken;
	_Atomic uint64_t config_version;
	pthread_mutex_t lock; /* guards the done flags of calls that wait */
	pthread_cond_t answered;
};

/* --- open.c, migrate.c --- */
int state_setup(struct db *db, bool in_memory, struct err *e) MUST_CHECK; /* the settings of every connection */
/* A writer's connection whose file shows only what a power cut would have left, checkpointed and migrated. */
struct db *state_cold_open(const char *dir, const char *path, struct err *e) MUST_CHECK;
int state_checkpoint(struct db *db, int mode, int *pages_left, struct err *e) MUST_CHECK; /* with a sync of the file */
int state_migrate(struct db *db, struct err *e) MUST_CHECK;

struct q {
	struct db *db;
	sqlite3_stmt *s;
	int bound, column;
};

/* --- db.c --- */
struct db *db_open(const char *path, bool writer, struct err *e) MUST_CHECK; /* no pragmas yet */
int db_close(struct db *db); /* -1: something of it is still in use */
int db_exec(struct db *db, const char *sql, struct err *e) MUST_CHECK;
int db_error(struct db *db, const char *sql, struct err *e); /* the connection's last error; always -1 */
void db_reset_all(struct db *db); /* ends every query that is under way */
int q_begin(struct q *q, struct db *db, const char *sql_literal, struct err *e) MUST_CHECK;
void q_i64(struct q *q, int64_t v);
void q_u64(struct q *q, uint64_t v); /* must be below 2^63 (our offsets and counts are): asserted */
void q_text(struct q *q, const char *s);   /* NULL: SQL NULL. Borrowed until the query is reset. */
void q_text_or_empty(struct q *q, const char *s);
void q_str(struct q *q, struct str s);	   /* as TEXT, borrowed */
void q_blob(struct q *q, const void *p, size_t n); /* borrowed */
int q_row(struct q *q, struct err *e) MUST_CHECK; /* 1 a row, 0 no more, -1 */
int q_run(struct q *q, struct err *e) MUST_CHECK; /* to the end, rows ignored */
void q_end(struct q *q);
/* The next column of the row. */
int64_t q_get_i64(struct q *q);
uint64_t q_get_u64(struct q *q);
char *q_get_text(struct q *q) MUST_CHECK; /* a copy; NULL for SQL NULL */
void q_get_fixed(struct q *q, char *out, size_t size); /* text into a field, "" for NULL */
void q_get_blob(struct q *q, void *out, size_t n); /* exactly n bytes, else zeros */
uint64_t db_changes(struct db *db);
int64_t db_last_id(struct db *db);
/* One value of a query without rows to keep: -1, or *out (0 when there is no row or it is NULL). */
int q_value(struct q *q, int64_t *out, struct err *e) MUST_CHECK;

/* Room for a row after n others, zeroed; rows may move. For lists: rows = db_grow(rows, n, sizeof(*rows)); ...; n++. */
void *db_grow(void *rows, size_t n, size_t size) MUST_CHECK;

/* --- between the files of db_* ---
 * Jobs are written only by cut.c, claim.c, job.c and load*.c; the columns of tally that count them follow by triggers (migrations/0001.sql). */
int db_table_of(struct db *db, int64_t source_id, struct str name, int64_t now, int64_t *table_id, struct err *e) MUST_CHECK; /* W; made if it is not there */
/* The tally of each connected destination of the table (of 0 when none is connected) is there after this; what is missing begins now, with all so far as `before`. */
int db_tally_ready(struct db *db, int64_t table_id, struct err *e) MUST_CHECK; /* W */
/* After a change of its jobs: has every destination the batch now? Sets or clears batch.done. */
int db_batch_settle(struct db *db, const char *batch_id, int64_t now, struct err *e) MUST_CHECK; /* W */
/* For db_connect, when the row of the connection is there: gives the batches of the source that wait without any job, and those cut since from_ns (0: none)
 * that this destination never had, a job of this destination; returns their number in *jobs. Tallies balance after it. */
int db_jobs_for(struct db *db, int64_t source_id, int64_t destination_id, int64_t from_ns, int64_t now, uint64_t *jobs, struct err *e) MUST_CHECK; /* W */
/* For db_destination_delete: all its jobs that are not done are discarded; returns how many waited. */
int db_jobs_discard(struct db *db, int64_t destination_id, int64_t now, uint64_t *jobs, struct err *e) MUST_CHECK; /* W */

#endif
