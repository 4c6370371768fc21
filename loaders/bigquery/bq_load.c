/*
 * bq_load.c - the data transaction. BigQuery has none that lasts over several requests, so what the runtime says between begin and commit is collected, and commit
 * sends it as one script: a transaction that first looks whether ledger and active version are still as begin read them, and does nothing if not.
 *
 * Exactly once: the script runs under a job id made of the first batch and a number, and the next number is tried only when the job before is known to be over; so an
 * answer that was lost, or a loader that was killed while its job ran on, can do no harm: begin waits for such a job, and the ledger, read after it, says what
 * became of it. Transactions that write the same table at once are cancelled by BigQuery, all but one.
 *
 * What can go wrong: another loader committed in between (transient: the next run finds its rows in the ledger).
 */
#include <time.h>

#include "loaders/bigquery/bq_upload.h"

#include "jwrite.h"
#include "xalloc.h"

#define TRY_MAX (1u << 20)
#define WAIT_OTHER 300 /* s for the job of a loader that is gone */
enum { L_BATCH, L_QUEUE, L_PARTITION, L_FIRST, L_LAST, L_ROWS, L_REJECTED, L_ATTEMPT, L_DISCARDED, L_TABLE, L_ACTIVE };

/* Job ids belong to the project, and two destinations of one project may load the same batch. */
static uint64_t place_hash(const struct bq *b, const struct job *j)
{
	char *place = xasprintf("%s\n%s\n%s", b->dataset, j->source, j->table);
	uint64_t h = str_hash(str_c(place));

	free(place);
	return h;
}

static char *job_name(const struct bq *b, unsigned try)
{
	return xasprintf("stitch_%s_%016" PRIx64 "_merge_%u", b->tx->first, place_hash(b, b->tx->j), try);
}

/* --- begin --- */

/* Jobs of this table that still run: of a loader that was killed. */
static int wait_for_others(struct bq *b, const struct job *j, struct err *e)
{
	char *mark = xasprintf("_%016" PRIx64 "_merge_", place_hash(b, j));
	json_t *o = NULL, *job;
	size_t k;
	int rc;

	b->phase = "waiting for the lock";
	b->give_up = time(NULL) + WAIT_OTHER;
	rc = bq_call(b, "GET", "/jobs?stateFilter=running&stateFilter=pending&projection=minimal&maxResults=1000", NULL, &o, e);
	/* who may not list jobs has the numbers and the ledger to rely on */
	if (rc && b->status == 403 && strcmp(b->reason, "accessDenied") == 0)
		rc = 0;
	json_array_foreach(json_object_get(o, "jobs"), k, job)
	{
		const char *id = json_string_value(json_object_get(json_object_get(job, "jobReference"), "jobId"));

		if (rc || !id || strncmp(id, "stitch_", 7) != 0 || !strstr(id, mark))
			continue;
		job = bq_job_get(b, id, e);
		job = job ? bq_job_wait(b, job, e) : NULL;
		rc = job ? 0 : -1;
		json_decref(job);
	}
	b->give_up = 0;
	json_decref(o);
	free(mark);
	return rc;
}

/* Rows of the ledger that matter: those of the batches, and, where ranges count, those that touch them. */
static void where_ledger(struct bq *b, const struct job *j, struct buf *sql)
{
	buf_adds(sql, "batch_id IN (");
	for (size_t k = 0; k < j->n_batches; k++)
		buf_addf(sql, "%s'%s'", k ? ", " : "", j->batches[k].id);
	buf_adds(sql, ")");
	if (j->n_keys && !b->append)
		return;
	buf_adds(sql, " OR (table_name = ");
	bq_literal(str_c(j->table), sql);
	for (size_t k = 0; k < j->n_batches; k++) {
		const struct job_batch *jb = &j->batches[k];

		buf_addf(sql, "%s(queue_id = '%s' AND `partition` = %" PRIu32 " AND first_offset <= %" PRIu64 " AND last_offset >= %" PRIu64 ")", k ? " OR " : " AND (",
			jb->queue_hex, jb->partition, jb->last, jb->first);
	}
	buf_adds(sql, "))");
}

static int64_t cell_int(const json_t *row, size_t column)
{
	const char *text = bq_cell(row, column);
	int64_t v;

	return text && str_to_i64(str_c(text), &v) == 0 ? v : 0;
}

static bool cell_true(const json_t *row, size_t column)
{
	const char *text = bq_cell(row, column);

	return text && strcasecmp(text, "true") == 0;
}

static int read_ledger(struct bq *b, const struct job *j, struct err *e)
{
	struct tx *tx = b->tx;
	struct buf sql = BUF_INIT;
	json_t *row;
	size_t k;

	where_ledger(b, j, &tx->where);
	buf_adds(&sql, "SELECT batch_id, queue_id, `partition`, first_offset, last_offset, `rows`, rejected, attempt, discarded, table_name, 0 AS active FROM ");
	bq_name(b, "_stitch_ledger", &sql);
	buf_addf(&sql, " WHERE %s UNION ALL SELECT NULL, NULL, 0, 0, 0, 0, 0, 0, FALSE, table_name, active_version FROM ", buf_cstr(&tx->where));
	bq_name(b, "_stitch_table", &sql);
	buf_adds(&sql, " WHERE table_name = ");
	bq_literal(str_c(j->table), &sql);
	b->phase = "reading the ledger";
	tx->ledger = bq_query(b, buf_cstr(&sql), NULL, e);
	buf_free(&sql);
	if (!tx->ledger)
		return -1;
	json_array_foreach(tx->ledger, k, row)
	{
		if (!bq_cell(row, L_BATCH)) {
			tx->active = MAX(tx->active, cell_int(row, L_ACTIVE));
			continue;
		}
		tx->n_seen++;
		tx->n_discarded += cell_true(row, L_DISCARDED);
	}
	return 0;
}

int bq_begin(void *self, const struct job *j, int64_t *active_version, struct err *e)
{
	struct bq *b = self;

	b->tx = xcalloc(1, sizeof(*b->tx));
	b->tx->j = j;
	b->tx->first = j->batches[0].id;
	if (wait_for_others(b, j, e) || read_ledger(b, j, e))
		return -1;
	*active_version = b->tx->active;
	return 0;
}

int bq_ledger_get(void *self, const struct job *j, const struct job_batch *batch, struct ledger_row *out, struct err *e)
{
	struct bq *b = self;
	json_t *row;
	size_t k;

	(void)j;
	(void)e;
	json_array_foreach(b->tx->ledger, k, row)
	{
		const char *id = bq_cell(row, L_BATCH);

		if (!id || strcmp(id, batch->id) != 0)
			continue;
		*out = (struct ledger_row){.rows = (uint64_t)cell_int(row, L_ROWS), .rejected = (uint64_t)cell_int(row, L_REJECTED),
			.attempt = (uint32_t)cell_int(row, L_ATTEMPT), .discarded = cell_true(row, L_DISCARDED)};
		return 1;
	}
	return 0;
}

int bq_ledger_ranges(void *self, const struct job *j, const struct job_batch *batch, struct ranges *out, struct err *e)
{
	struct bq *b = self;
	json_t *row;
	size_t k;

	(void)e;
	json_array_foreach(b->tx->ledger, k, row)
	{
		const char *queue = bq_cell(row, L_QUEUE), *table = bq_cell(row, L_TABLE);
		uint64_t first = (uint64_t)cell_int(row, L_FIRST), last = (uint64_t)cell_int(row, L_LAST);

		if (!bq_cell(row, L_BATCH) || cell_true(row, L_DISCARDED) || !queue || strcmp(queue, batch->queue_hex) != 0 || !table || strcmp(table, j->table) != 0)
			continue;
		if ((uint32_t)cell_int(row, L_PARTITION) == batch->partition && first <= batch->last && last >= batch->first)
			ranges_add(out, first, last);
	}
	return 0;
}

/* --- what is to be written --- */

int bq_ledger_put(void *self, const struct job *j, const struct job_batch *batch, const struct ledger_row *row, struct err *e)
{
	struct bq *b = self;
	struct tx *tx = b->tx;

	(void)e;
	if (!tx->n_batches++)
		tx->first = batch->id;
	buf_addf(&tx->batches, "%s'%s'", tx->n_batches > 1 ? ", " : "", batch->id);
	buf_addf(&tx->values, "%s('%s', '%s', %" PRIu32 ", %" PRIu64 ", %" PRIu64 ", ", tx->n_batches > 1 ? ", " : "", batch->id, batch->queue_hex, batch->partition,
		batch->first, batch->last);
	bq_literal(str_c(j->source), &tx->values);
	buf_adds(&tx->values, ", ");
	bq_literal(str_c(j->table), &tx->values);
	buf_addf(&tx->values, ", %" PRId64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu32 ", %s, CURRENT_TIMESTAMP())", batch->table_version, row->rows, row->rejected, row->attempt,
		row->discarded ? "TRUE" : "FALSE");
	return 0;
}

int bq_activate(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, int64_t version, struct err *e)
{
	struct bq *b = self;

	(void)j;
	(void)los;
	(void)e;
	b->tx->activate = true;
	b->tx->empty = descs[0].exists;
	b->tx->version = version;
	return 0;
}

int bq_reject(void *self, const struct job *j, const struct reject *r, struct err *e)
{
	struct bq *b = self;
	struct tx *tx = b->tx;
	struct jwrite w;

	if (!tx->rejects) {
		json_t *fields = json_pack("[{s:s, s:s}, {s:s, s:s}]", "name", "reason", "type", "STRING", "name", "record", "type", "STRING");

		tx->rejects = upload_new(b, r->batch, "_sdc_rejected", fields, e);
		if (!tx->rejects)
			return -1;
	}
	(void)j;
	buf_truncate(&tx->line, 0);
	jwrite_init(&w, &tx->line);
	jwrite_object(&w);
	jwrite_kv_str(&w, "reason", r->reason);
	jwrite_kv_str(&w, "record", r->raw);
	jwrite_object_end(&w);
	buf_addc(&tx->line, '\n');
	b->phase = "rejected records";
	return upload_line(tx->rejects, buf_str(&tx->line), e);
}

/* --- the script --- */

static bool is_other(const struct tx *tx, const char *name)
{
	for (size_t k = 0; k < tx->lo->n; k++)
		if (tx->out[k].other_used && strcasecmp(tx->out[k].other, name) == 0)
			return true;
	return false;
}

static bool in_layout(const struct layout *lo, const char *name)
{
	for (size_t k = 0; k < lo->n; k++)
		if (strcasecmp(lo->columns[k].name, name) == 0)
			return true;
	return false;
}

/* Columns that get values, in one order. */
static void list_columns(const struct tx *tx, const char *prefix, struct buf *sql)
{
	for (size_t k = 0; k < tx->lo->n; k++) {
		buf_addf(sql, "%s%s`%s`", k ? ", " : "", prefix, tx->out[k].c->name);
		if (tx->out[k].other_used)
			buf_addf(sql, ", %s`%s`", prefix, tx->out[k].other);
	}
}

static void merge_sql(const struct bq *b, struct buf *sql)
{
	const struct tx *tx = b->tx;
	const char *sep = " ";
	json_t *f;
	size_t k;

	buf_adds(sql, "MERGE ");
	bq_name(b, b->table, sql);
	buf_adds(sql, " t USING ");
	bq_newest(b, sql);
	for (k = 0; k < tx->lo->n_keys; k++) {
		const char *key = tx->lo->columns[tx->lo->keys[k]].name;

		buf_addf(sql, "%s t.`%s` = s.`%s`", k ? " AND" : "\nON", key, key);
	}
	buf_addf(sql, "\nWHEN MATCHED AND %s THEN UPDATE SET", bq_newer);
	for (k = 0; k < tx->lo->n; k++) {
		if (!tx->out[k].c->key) {
			buf_addf(sql, "%s`%s` = s.`%s`", sep, tx->out[k].c->name, tx->out[k].c->name);
			sep = ", ";
		}
		if (tx->out[k].other_used)
			buf_addf(sql, ", `%s` = s.`%s`", tx->out[k].other, tx->out[k].other);
	}
	/* a record replaces the whole row */
	json_array_foreach(b->fields, k, f)
	{
		const char *name = json_string_value(json_object_get(f, "name")), *mode = json_string_value(json_object_get(f, "mode"));

		if (!name || in_layout(tx->lo, name) || is_other(tx, name) || (mode && strcasecmp(mode, "REQUIRED") == 0))
			continue;
		buf_addf(sql, ", `%s` = NULL", name);
	}
	buf_adds(sql, "\nWHEN NOT MATCHED THEN INSERT (");
	list_columns(tx, "", sql);
	buf_adds(sql, ") VALUES (");
	list_columns(tx, "s.", sql);
	buf_adds(sql, ");\n");
}

static void rows_sql(const struct bq *b, struct buf *sql)
{
	const struct tx *tx = b->tx;

	if (!tx->lo || !tx->n_rows)
		return;
	if (tx->lo->n_keys && !b->append) {
		merge_sql(b, sql);
		return;
	}
	buf_adds(sql, "INSERT INTO ");
	bq_name(b, b->table, sql);
	buf_adds(sql, " (");
	list_columns(tx, "", sql);
	buf_adds(sql, ") SELECT ");
	list_columns(tx, "", sql);
	buf_adds(sql, " FROM ");
	bq_name(b, upload_table(tx->rows), sql);
	buf_adds(sql, ";\n");
}

static void activate_sql(const struct bq *b, struct buf *sql)
{
	const struct tx *tx = b->tx;

	if (!tx->activate)
		return;
	if (tx->empty) {
		buf_adds(sql, "DELETE FROM ");
		bq_name(b, b->table, sql);
		buf_addf(sql, " WHERE IFNULL(`_sdc_table_version`, 0) < %" PRId64 ";\n", tx->version);
	}
	buf_adds(sql, "MERGE ");
	bq_name(b, "_stitch_table", sql);
	buf_adds(sql, " t USING (SELECT ");
	bq_literal(str_c(tx->j->table), sql);
	buf_addf(sql, " AS table_name, %" PRId64 " AS active_version) s\nON t.table_name = s.table_name\nWHEN MATCHED THEN UPDATE SET active_version = s.active_version\n"
		"WHEN NOT MATCHED THEN INSERT (table_name, active_version) VALUES (s.table_name, s.active_version);\n", tx->version);
}

static void script(const struct bq *b, struct buf *sql)
{
	const struct tx *tx = b->tx;

	buf_adds(sql, "BEGIN TRANSACTION;\nIF (SELECT COUNT(*) FROM ");
	bq_name(b, "_stitch_ledger", sql);
	buf_addf(sql, " WHERE %s) = %" PRIu64 "\nAND (SELECT COUNTIF(discarded) FROM ", buf_cstr(&tx->where), tx->n_seen);
	bq_name(b, "_stitch_ledger", sql);
	buf_addf(sql, " WHERE %s) = %" PRIu64 "\nAND IFNULL((SELECT MAX(active_version) FROM ", buf_cstr(&tx->where), tx->n_discarded);
	bq_name(b, "_stitch_table", sql);
	buf_adds(sql, " WHERE table_name = ");
	bq_literal(str_c(tx->j->table), sql);
	buf_addf(sql, "), 0) = %" PRId64 " THEN\n", tx->active);
	if (tx->n_discarded) {
		buf_adds(sql, "DELETE FROM ");
		bq_name(b, "_stitch_ledger", sql);
		buf_addf(sql, " WHERE batch_id IN (%s);\n", buf_cstr(&tx->batches));
	}
	buf_adds(sql, "INSERT INTO ");
	bq_name(b, "_stitch_ledger", sql);
	buf_addf(sql, " (batch_id, queue_id, `partition`, first_offset, last_offset, source, table_name, table_version, `rows`, rejected, attempt, discarded, loaded_at)\n"
		      "VALUES %s;\n", buf_cstr(&tx->values));
	rows_sql(b, sql);
	activate_sql(b, sql);
	if (tx->rejects) {
		buf_adds(sql, "INSERT INTO ");
		bq_name(b, "_sdc_rejected", sql);
		buf_adds(sql, " (_sdc_rejected_at, table_name, reason, record) SELECT CURRENT_TIMESTAMP(), ");
		bq_literal(str_c(tx->j->table), sql);
		buf_adds(sql, ", reason, record FROM ");
		bq_name(b, upload_table(tx->rejects), sql);
		buf_adds(sql, ";\n");
	}
	buf_adds(sql, "END IF;\nCOMMIT TRANSACTION;\n");
}

/* --- commit --- */

/* Are the batches in the ledger now? 1, 0, or -1. */
static int written(struct bq *b, struct err *e)
{
	struct buf sql = BUF_INIT;
	uint64_t n = 0;
	json_t *rows;
	const char *text;

	buf_adds(&sql, "SELECT COUNT(*) FROM ");
	bq_name(b, "_stitch_ledger", &sql);
	buf_addf(&sql, " WHERE batch_id IN (%s)%s", buf_cstr(&b->tx->batches), b->tx->lo || b->tx->activate ? " AND NOT discarded" : "");
	rows = bq_query(b, buf_cstr(&sql), NULL, e);
	text = bq_cell(json_array_get(rows, 0), 0);
	buf_free(&sql);
	if (!rows)
		return -1;
	if (!text || str_to_u64(str_c(text), &n))
		n = 0;
	json_decref(rows);
	return n == b->tx->n_batches;
}

/* 1: the job is there (running or done), 0: there is none, -1. */
static int job_there(struct bq *b, unsigned try, struct err *e)
{
	char *name = job_name(b, try);
	json_t *job = bq_job_get(b, name, e);

	free(name);
	if (!job && e->code == ERR_NOT_FOUND) {
		err_clear(e);
		return 0;
	}
	if (!job)
		return -1;
	/* one that runs is another loader's: the next number waits for it */
	job = bq_job_wait(b, job, e);
	json_decref(job);
	return job ? 1 : -1;
}

/* The numbers that are used are the first ones, without a gap: the next one, after try. */
static int next_try(struct bq *b, unsigned *try, struct err *e)
{
	unsigned low = *try, high = low + 1; /* low is used */
	int rc;

	while ((rc = job_there(b, high, e)) > 0) {
		low = high;
		high *= 2;
		if (high > TRY_MAX)
			return err_set(e, ERR_TRANSIENT, "too many jobs for batch %s", b->tx->first);
	}
	while (!rc && high - low > 1) {
		unsigned middle = low + (high - low) / 2;

		rc = job_there(b, middle, e);
		if (rc > 0)
			low = middle;
		else if (!rc)
			high = middle;
		rc = MIN(rc, 0);
	}
	*try = high;
	return rc;
}

/* Runs the script under this number. 1: over, well; 0: the number is used; -1. */
static int run_script(struct bq *b, const char *sql, unsigned try, struct err *e)
{
	char *name = job_name(b, try);
	json_t *body = json_pack("{s:o, s:{s:{s:s, s:b}}}", "jobReference", bq_job_ref(b, name), "configuration", "query", "query", sql, "useLegacySql", 0), *job = NULL;
	int rc;

	b->phase = "committing";
	rc = bq_call(b, "POST", "/jobs", body, &job, e);
	if (rc && b->status == 409) {
		bool ours = b->resent;

		err_clear(e);
		job = ours ? bq_job_get(b, name, e) : NULL;
		rc = job ? 0 : ours ? -1 : 1;
	}
	json_decref(body);
	free(name);
	if (rc)
		return rc < 0 ? -1 : 0;
	job = bq_job_wait(b, job, e);
	rc = job ? bq_job_failed(b, job, "committing", e) : -1;
	json_decref(job);
	return rc ? -1 : 1;
}

static int add_others(struct bq *b, struct err *e)
{
	struct tx *tx = b->tx;

	for (size_t k = 0; tx->lo && tx->n_rows && k < tx->lo->n; k++) {
		struct out_column *o = &tx->out[k];

		if (o->other_used && bq_add_field(b, o->other, o->kind == OUT_DOUBLE ? "NUMERIC" : "FLOAT", e))
			return -1;
	}
	return 0;
}

static void tx_free(struct bq *b)
{
	struct tx *tx = b->tx;

	if (!tx)
		return;
	upload_free(tx->rows);
	upload_free(tx->rejects);
	for (size_t k = 0; tx->out && k < tx->lo->n; k++)
		free(tx->out[k].other);
	free(tx->out);
	json_decref(tx->ledger);
	buf_free(&tx->line);
	buf_free(&tx->where);
	buf_free(&tx->batches);
	buf_free(&tx->values);
	free(tx);
	b->tx = NULL;
}

int bq_commit(void *self, struct err *e)
{
	struct bq *b = self;
	struct tx *tx = b->tx;
	struct buf sql = BUF_INIT;
	uint64_t position, row;
	unsigned try = 0;
	int rc;

	if (!tx->n_batches) {
		tx_free(b);
		return 0;
	}
	if ((tx->rejects && upload_finish(tx->rejects, &position, &row, e)) || add_others(b, e))
		return -1;
	script(b, &sql);
	rc = run_script(b, buf_cstr(&sql), try, e);
	while (!rc) {
		rc = next_try(b, &try, e);
		if (!rc)
			rc = run_script(b, buf_cstr(&sql), try, e);
	}
	buf_free(&sql);
	if (rc > 0)
		rc = written(b, e);
	if (!rc)
		rc = err_set(e, ERR_TRANSIENT, "another load of %s was committed at the same time", tx->j->table);
	if (rc < 0)
		return -1;
	tx_free(b);
	return 0;
}

void bq_rollback(void *self)
{
	struct bq *b = self;

	tx_free(b);
	/* perhaps because a table of ours is gone */
	free(b->prepared);
	b->prepared = NULL;
}
