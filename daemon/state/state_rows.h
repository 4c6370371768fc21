/*
 * state_rows.h - inside daemon/state/: what the files of tables, batches, jobs and loads share. All run on the connection that they are given.
 */
#ifndef STITCH_STATE_ROWS_H
#define STITCH_STATE_ROWS_H

#include "daemon/state/state_priv.h"

/* Job states that wait, as SQL; partial indexes have the same words. */
#define WAITING "(1, 2, 4, 5)"

/* A job whose discard was asked for (JOB_DISCARDING) while it was in a load is held for it when that ends, whatever the end but done: state, class and text of
 * others. For UPDATE job. */
#define UNLESS_DISCARDING(state, class, text) \
	"state = CASE error_class WHEN 'discarding' THEN 5 ELSE " state " END, " \
	"error = CASE error_class WHEN 'discarding' THEN error ELSE " text " END, " \
	"error_class = CASE error_class WHEN 'discarding' THEN error_class ELSE " class " END"

/* --- table.c --- */
/* Merges the heads of a batch with so many records into the columns of a table; a change makes a new version. Without records (switch_view alone) they say nothing of
 * the table. *key_names (caller frees): those of the newest head, else of the table. */
int db_table_merge(struct db *db, int64_t table_id, const struct str *heads, size_t n, uint64_t records, int64_t now, int64_t *version, char **key_names,
	struct err *e) MUST_CHECK; /* W */

/* --- batch.c --- */
/* For SELECT … FROM batch b JOIN tbl t ON t.id = b.table_id. */
#define BATCH_COLUMNS \
	"b.id, b.table_id, t.source_id, t.name, b.path, b.reason, b.queue_id, b.partition, b.first_offset, b.last_offset, b.records, b.lines, b.bytes, b.sha256, " \
	"b.table_version, b.schema_version, b.first_received, b.last_received, b.created, b.deleted, b.replay_batch, b.replay_record, b.replay_index"
void db_batch_read(struct q *q, struct batch_row *out);
/* Reads all rows of a query of BATCH_COLUMNS. */
int db_batch_rows(struct q *q, struct batch_row **out, size_t *n, struct err *e) MUST_CHECK;

/* --- job.c --- */
/* The newest job of a batch for a destination. ERR_NOT_FOUND. */
int db_job_newest(struct db *db, const char *batch_id, int64_t destination_id, int64_t *id, struct err *e) MUST_CHECK;

/* --- replay.c --- */
/* A job of this batch is done: if it is a replay, what became of its record. */
int db_replay_ended(struct db *db, int64_t destination_id, const struct load_result *r, struct err *e) MUST_CHECK; /* W */

/* --- load.c, load_end.c --- */
/* What a loader did not count (r->uncounted) is counted here: rejected is what its attempt has put into the store, rows the rest of the batch. */
int db_result_count(struct db *db, int64_t destination_id, const char *batch_id, struct load_result *r, struct err *e) MUST_CHECK;
/* Of the records that a destination rejected of a batch only this attempt's are kept (-1: none). */
int db_rejects_keep(struct db *db, int64_t destination_id, const char *batch_id, int64_t attempt, struct err *e) MUST_CHECK; /* W */
/* A load without a job that could still be done is over. */
int db_load_end_empty(struct db *db, int64_t load_id, int64_t now, struct err *e) MUST_CHECK; /* W */

#endif
