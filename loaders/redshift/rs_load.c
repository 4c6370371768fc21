/*
 * rs_load.c - the data transaction but for its rows: the table's lock first (LOCK TABLE, held to COMMIT: the only lock there is), then what the ledger holds of all the
 * job's batches in one question, and what ends it. The first statement that reads fixes what a transaction sees, so it must come after the lock. Nothing is
 * enforced by the server, so what must not be there twice is inserted WHERE NOT EXISTS, under the lock. Rows of the ledger and rejected records are gathered
 * and written by one statement: each costs the same, however small.
 *
 * What can go wrong: the answer to COMMIT is lost. Then nobody knows; the next attempt finds the ledger's rows, or none, under the lock. Two loads of different
 * tables meet in the ledger: Redshift may refuse one of them (1023), which is then done again.
 */
#include "loaders/redshift/redshift.h"

#include "loaders/sql/sql_text.h"
#include "xalloc.h"

#define REJECTED_BYTES (4u << 20) /* of one statement; 16 MB is what a server takes */
#define REJECTED_ROWS 300
#define LEDGER_ROWS 50
#define TEXT_MAX 65535u

void rs_load_forget(struct redshift *r)
{
	free(r->ledger);
	free(r->ranges);
	r->ledger = NULL;
	r->ranges = NULL;
	r->n_ledger = r->n_ranges = r->n_ledger_rows = r->n_rejected = 0;
	buf_truncate(&r->ledger_rows, 0);
	buf_truncate(&r->rejected, 0);
	r->discarded = false;
}

static char *our_table(const struct job *j, const char *name, struct err *e)
{
	char *schema = rs_schema_name(j->schema, e), *quoted = schema ? sql_table(schema, name) : NULL;

	free(schema);
	return quoted;
}

static int read_active(struct redshift *r, const struct job *j, int64_t *active_version, struct err *e)
{
	char *table = dialect_named(&r->dialect, j->table), *name = our_table(j, "_stitch_table", e), *sql;
	const char *params[] = {table};
	PGresult *res = NULL;
	int rc = -1;

	*active_version = 0;
	if (!name)
		goto out;
	sql = xasprintf("SELECT max(active_version) FROM %s WHERE table_name = $1", name);
	res = pg_query(&r->pg, sql, 1, params, e);
	free(sql);
	if (!res)
		goto out;
	rc = PQgetisnull(res, 0, 0) ? 0 : str_to_i64(str_c(PQgetvalue(res, 0, 0)), active_version);
	if (rc)
		err_set(e, ERR_CONFIG, "%s has a column active_version that is not an integer", name);
	PQclear(res);
out:
	free(name);
	free(table);
	return rc;
}

static int read_rows(struct redshift *r, const struct job *j, const char *name, struct err *e)
{
	struct buf sql = BUF_INIT;
	PGresult *res;
	int rc = 0;

	buf_addf(&sql, "SELECT batch_id, \"rows\", rejected, attempt, discarded FROM %s WHERE batch_id IN (", name);
	for (size_t k = 0; k < j->n_batches; k++)
		buf_addf(&sql, "%s'%s'", k ? ", " : "", j->batches[k].id); /* hex digits */
	buf_addc(&sql, ')');
	res = pg_query(&r->pg, buf_cstr(&sql), 0, NULL, e);
	buf_free(&sql);
	if (!res)
		return -1;
	r->ledger = xcalloc((size_t)PQntuples(res) + 1, sizeof(*r->ledger));
	for (int k = 0; k < PQntuples(res) && !rc; k++) {
		struct rs_ledger *l = &r->ledger[r->n_ledger++];
		uint64_t attempt = 0;

		if (str_copy(l->id, sizeof(l->id), str_c(PQgetvalue(res, k, 0))) || str_to_u64(str_c(PQgetvalue(res, k, 1)), &l->row.rows) ||
			str_to_u64(str_c(PQgetvalue(res, k, 2)), &l->row.rejected) || str_to_u64(str_c(PQgetvalue(res, k, 3)), &attempt))
			rc = err_set(e, ERR_CONFIG, "the ledger's row of batch %s is damaged", PQgetvalue(res, k, 0));
		l->row.attempt = (uint32_t)attempt;
		l->row.discarded = *PQgetvalue(res, k, 4) == 't';
		r->discarded |= l->row.discarded;
	}
	PQclear(res);
	return rc;
}

/* All ranges of the table that may touch one of the job's batches. */
static int read_ranges(struct redshift *r, const struct job *j, const char *name, struct err *e)
{
	uint64_t first = UINT64_MAX, last = 0, partition = 0;
	char low[24], high[24], *sql;
	const char *params[] = {j->table, high, low};
	PGresult *res;
	int rc = 0;

	for (size_t k = 0; k < j->n_batches; k++) {
		first = MIN(first, j->batches[k].first);
		last = MAX(last, j->batches[k].last);
	}
	snprintf(low, sizeof(low), "%" PRIu64, first);
	snprintf(high, sizeof(high), "%" PRIu64, last);
	sql = xasprintf("SELECT queue_id, \"partition\", first_offset, last_offset FROM %s WHERE table_name = $1 AND first_offset <= $2 AND last_offset >= $3 AND NOT discarded",
		name);
	res = pg_query(&r->pg, sql, 3, params, e);
	free(sql);
	if (!res)
		return -1;
	r->ranges = xcalloc((size_t)PQntuples(res) + 1, sizeof(*r->ranges));
	for (int k = 0; k < PQntuples(res) && !rc; k++) {
		struct rs_range *g = &r->ranges[r->n_ranges++];

		if (str_copy(g->queue, sizeof(g->queue), str_c(PQgetvalue(res, k, 0))) || str_to_u64(str_c(PQgetvalue(res, k, 1)), &partition) ||
			str_to_u64(str_c(PQgetvalue(res, k, 2)), &g->r.first) || str_to_u64(str_c(PQgetvalue(res, k, 3)), &g->r.last))
			rc = err_set(e, ERR_CONFIG, "a row of the ledger of table %s is damaged", j->table);
		g->partition = (uint32_t)partition;
	}
	PQclear(res);
	return rc;
}

int rs_begin(void *self, const struct job *j, int64_t *active_version, struct err *e)
{
	struct redshift *r = self;
	char *ledger = our_table(j, "_stitch_ledger", e);
	int rc = -1;

	rs_load_forget(r);
	r->job = j;
	r->phase = "waiting for the lock";
	if (!ledger || pg_exec(&r->pg, "BEGIN; SET LOCAL statement_timeout TO 170000", e))
		goto out;
	if (pg_execf(&r->pg, e, "LOCK TABLE %s; SET LOCAL statement_timeout TO 0", r->lock)) {
		if (strcmp(r->pg.state, "57014") == 0)
			err_set(e, ERR_TRANSIENT, "another session holds the lock of table %s; a loader that was killed may still run in the cluster", r->lock);
		goto out;
	}
	r->phase = "reading the ledger";
	rc = read_active(r, j, active_version, e) || read_rows(r, j, ledger, e) || (!j->n_keys && read_ranges(r, j, ledger, e)) ? -1 : 0;
	if (!rc)
		rs_staged_sweep(r, j);
	r->phase = "loading";
out:
	free(ledger);
	return rc;
}

int rs_ledger_get(void *self, const struct job *j, const struct job_batch *b, struct ledger_row *out, struct err *e)
{
	struct redshift *r = self;

	(void)j;
	(void)e;
	for (size_t k = 0; k < r->n_ledger; k++)
		if (strcmp(r->ledger[k].id, b->id) == 0) {
			*out = r->ledger[k].row;
			return 1;
		}
	return 0;
}

int rs_ledger_ranges(void *self, const struct job *j, const struct job_batch *b, struct ranges *out, struct err *e)
{
	struct redshift *r = self;

	(void)j;
	(void)e;
	for (size_t k = 0; k < r->n_ranges; k++) {
		const struct rs_range *g = &r->ranges[k];

		if (g->partition == b->partition && strcmp(g->queue, b->queue_hex) == 0 && g->r.first <= b->last && g->r.last >= b->first)
			ranges_add(out, g->r.first, g->r.last);
	}
	return 0;
}

/* What was marked as discarded goes; what is there already, which cannot be under the lock, is not inserted and seen by the count. */
static int flush_ledger(struct redshift *r, const struct job *j, struct err *e)
{
	char *name = our_table(j, "_stitch_ledger", e), *sql = NULL;
	const char *params[] = {j->source, j->table};
	PGresult *res = NULL;
	int rc = -1;

	if (!r->n_ledger_rows) {
		rc = 0;
		goto out;
	}
	if (!name || (r->discarded && pg_execf(&r->pg, e, "DELETE FROM %s WHERE discarded AND batch_id IN (SELECT batch_id FROM (%s) n)", name, buf_cstr(&r->ledger_rows))))
		goto out;
	sql = xasprintf("INSERT INTO %s (batch_id, queue_id, \"partition\", first_offset, last_offset, table_version, \"rows\", rejected, attempt, discarded, source, table_name,"
			" loaded_at) SELECT n.batch_id, n.queue_id, n.part, n.f, n.l, n.v, n.n, n.rej, n.att, n.dis, CAST($1 AS varchar(1024)), CAST($2 AS varchar(4096)), sysdate"
			" FROM (%s) n WHERE NOT EXISTS (SELECT 1 FROM %s o WHERE o.batch_id = n.batch_id)", name, buf_cstr(&r->ledger_rows), name);
	res = pg_query(&r->pg, sql, 2, params, e);
	if (!res)
		goto out;
	rc = pg_touched(res) == (int64_t)r->n_ledger_rows ? 0 : err_set(e, ERR_TRANSIENT, "a batch of this load has a row in the ledger already");
	PQclear(res);
	buf_truncate(&r->ledger_rows, 0);
	r->n_ledger_rows = 0;
out:
	free(sql);
	free(name);
	return rc;
}

int rs_ledger_put(void *self, const struct job *j, const struct job_batch *b, const struct ledger_row *row, struct err *e)
{
	struct redshift *r = self;

	/* hex digits and numbers; names are parameters of the statement */
	buf_addf(&r->ledger_rows,
		"%sSELECT CAST('%s' AS varchar(64)) AS batch_id, CAST('%s' AS varchar(64)) AS queue_id, CAST(%" PRIu32 " AS bigint) AS part,"
		" CAST(%" PRIu64 " AS bigint) AS f, CAST(%" PRIu64 " AS bigint) AS l, CAST(%" PRId64 " AS bigint) AS v, CAST(%" PRIu64 " AS bigint) AS n,"
		" CAST(%" PRIu64 " AS bigint) AS rej, CAST(%" PRIu32 " AS bigint) AS att, CAST('%s' AS boolean) AS dis",
		r->n_ledger_rows ? " UNION ALL " : "", b->id, b->queue_hex, b->partition, b->first, b->last, b->table_version, row->rows, row->rejected, row->attempt,
		row->discarded ? "t" : "f");
	r->n_ledger_rows++;
	return r->n_ledger_rows < LEDGER_ROWS ? 0 : flush_ledger(r, j, e);
}

int rs_activate(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, int64_t version, struct err *e)
{
	struct redshift *r = self;
	char *schema = rs_schema_name(j->schema, e), *name = dialect_named(&r->dialect, j->table), *ours = NULL, number[24], *sql = NULL;
	const char *params[] = {number, name};
	PGresult *res = NULL;
	int rc = -1;

	r->phase = "activating a table version";
	snprintf(number, sizeof(number), "%" PRId64, version);
	if (!schema)
		goto out;
	for (size_t k = 0; k < los->n; k++) {
		char *table = sql_table(schema, los->t[k].table);
		int failed = descs[k].exists && pg_execf(&r->pg, e, "DELETE FROM %s WHERE coalesce(_sdc_table_version, 0) < %s", table, number);

		free(table);
		if (failed)
			goto out;
	}
	ours = sql_table(schema, "_stitch_table");
	sql = xasprintf("UPDATE %s SET active_version = $1 WHERE table_name = $2", ours);
	res = pg_query(&r->pg, sql, 2, params, e);
	rc = res ? 0 : -1;
out:
	PQclear(res);
	free(sql);
	free(ours);
	free(name);
	free(schema);
	return rc;
}

static int flush_rejected(struct redshift *r, const struct job *j, struct err *e)
{
	char *name = our_table(j, "_sdc_rejected", e), *table = dialect_named(&r->dialect, j->table);
	const char **params = xcalloc(2 * r->n_rejected + 1, sizeof(*params)), *p = buf_cstr(&r->rejected);
	struct buf sql = BUF_INIT;
	PGresult *res = NULL;
	int rc = name ? 0 : -1;

	if (rc || !r->n_rejected)
		goto out;
	params[0] = table;
	buf_addf(&sql, "INSERT INTO %s (_sdc_rejected_at, table_name, reason, record) VALUES ", name);
	for (size_t k = 0; k < r->n_rejected; k++) {
		buf_addf(&sql, "%s(sysdate, CAST($1 AS varchar(512)), CAST($%zu AS varchar(65535)), CAST($%zu AS varchar(65535)))", k ? ", " : "", 2 * k + 2, 2 * k + 3);
		for (unsigned i = 1; i <= 2; i++) {
			params[2 * k + i] = p;
			p += strlen(p) + 1;
		}
	}
	res = pg_query(&r->pg, buf_cstr(&sql), (int)(2 * r->n_rejected + 1), params, e);
	rc = res ? 0 : -1;
	PQclear(res);
	buf_truncate(&r->rejected, 0);
	r->n_rejected = 0;
out:
	buf_free(&sql);
	free(params);
	free(table);
	free(name);
	return rc;
}

/* What fits, cut at a character's end. */
static void add_cut(struct buf *out, struct str s)
{
	size_t n = MIN(s.len, TEXT_MAX);

	while (n && n < s.len && ((unsigned char)s.ptr[n] & 0xC0) == 0x80)
		n--;
	buf_add(out, s.ptr, strnlen(s.ptr, n));
	buf_addc(out, '\0');
}

int rs_reject(void *self, const struct job *j, const struct reject *rej, struct err *e)
{
	struct redshift *r = self;

	add_cut(&r->rejected, rej->reason);
	add_cut(&r->rejected, rej->raw);
	r->n_rejected++;
	return r->n_rejected < REJECTED_ROWS && r->rejected.len < REJECTED_BYTES ? 0 : flush_rejected(r, j, e);
}

int rs_commit(void *self, struct err *e)
{
	struct redshift *r = self;
	PGresult *res;
	int rc = 0;

	r->phase = "committing";
	if (flush_rejected(r, r->job, e) || flush_ledger(r, r->job, e))
		return -1;
	res = pg_query(&r->pg, "COMMIT", 0, NULL, e);
	if (!res)
		return e && pg_usable(&r->pg) ? -1 : err_wrap(e, "the outcome of COMMIT is not known; the next attempt looks in the ledger");
	/* in a transaction that has failed COMMIT is answered, too: by ROLLBACK */
	if (strcmp(PQcmdStatus(res), "COMMIT") != 0)
		rc = err_set(e, ERR_TRANSIENT, "the server answered %s to COMMIT", PQcmdStatus(res));
	PQclear(res);
	if (!rc) {
		rs_staged_delete(r);
		rs_rows_free(r);
		rs_load_forget(r);
	}
	return rc;
}

void rs_rollback(void *self)
{
	struct redshift *r = self;

	r->phase = "rolling back";
	if (pg_usable(&r->pg) && PQtransactionStatus(r->pg.conn) != PQTRANS_IDLE && pg_exec(&r->pg, "ROLLBACK", NULL))
		pg_disconnect(&r->pg);
	rs_staged_delete(r);
	rs_rows_free(r);
	rs_load_forget(r);
}
