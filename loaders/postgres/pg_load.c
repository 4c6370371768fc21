/*
 * pg_load.c - the data transaction but for its rows: the table's lock first (its row of _stitch_table, FOR UPDATE), then the ledger, then what ends it. The lock
 * is in the destination, so the transaction of a loader that was killed, while it still runs, makes the next one wait, and what that one reads afterwards is
 * what the first has left. All settings are local to the transaction, so that a pooler in transaction mode does no harm.
 *
 * What can go wrong: the answer to COMMIT is lost. Then nobody knows; the next attempt finds the ledger's rows, or none, under the lock.
 */
#include "loaders/postgres/postgres.h"

#include "loaders/sql/sql_text.h"
#include "xalloc.h"

int pg_begin(void *self, const struct job *j, int64_t *active_version, struct err *e)
{
	/*
	 * The time-out for idling must be longer than the daemon takes to store rejected records. A server that need not wait for its disk would acknowledge
	 * what a power cut takes back, after the daemon has dropped it: not with us. Read committed, whatever the default is: the ledger is read after the lock was
	 * waited for, and an older snapshot would not show what the one before us has committed. Deferred constraints of the user's must speak while the row is known. To compile a
	 * statement over 1,500 columns takes the server a minute, to run it none.
	 */
	static const char start[] =
		"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '170s'; SET LOCAL idle_in_transaction_session_timeout = '150s'; SET LOCAL statement_timeout = 0;"
		"SET LOCAL jit = off; SET LOCAL TimeZone = 'UTC'; SET CONSTRAINTS ALL IMMEDIATE; SELECT pg_catalog.set_config('synchronous_commit', 'on', true)"
		" WHERE pg_catalog.current_setting('synchronous_commit') = 'off'";
	struct postgres *p = self;
	char *table = dialect_named(&p->dialect, j->table), *name = NULL, *sql = NULL;
	const char *params[] = {table}, *schema;
	PGresult *r = NULL;
	int rc = -1;

	p->phase = "waiting for the lock";
	if (pg_schema_name(j->schema, &schema, e) || pg_exec(&p->pg, start, e))
		goto out;
	name = sql_table(schema, "_stitch_table");
	sql = xasprintf("SELECT active_version FROM %s WHERE table_name = $1 FOR UPDATE", name);
	r = pg_query(&p->pg, sql, 1, params, e);
	if (!r) {
		if (strcmp(p->pg.state, "55P03") == 0)
			err_set(e, ERR_TRANSIENT, "another session holds the lock of table %s.%s; a loader that was killed may still run in the server", schema, table);
		goto out;
	}
	if (PQntuples(r) != 1) {
		err_set(e, ERR_TRANSIENT, "the row of %s in %s was deleted while a load began", table, name);
		goto out;
	}
	rc = str_to_i64(str_c(PQgetvalue(r, 0, 0)), active_version);
	if (rc)
		err_set(e, ERR_CONFIG, "%s has a column active_version that is not an integer", name);
	p->phase = "loading";
out:
	PQclear(r);
	free(sql);
	free(name);
	free(table);
	return rc;
}

static char *our_table(const struct job *j, const char *name)
{
	return sql_table(*j->schema ? j->schema : "public", name);
}

int pg_ledger_get(void *self, const struct job *j, const struct job_batch *b, struct ledger_row *out, struct err *e)
{
	struct postgres *p = self;
	char *name = our_table(j, "_stitch_ledger"), *sql = xasprintf("SELECT rows, rejected, attempt, discarded FROM %s WHERE batch_id = $1", name);
	const char *params[] = {b->id};
	PGresult *r = pg_query(&p->pg, sql, 1, params, e);
	int rc = -1;

	free(sql);
	free(name);
	if (!r)
		return -1;
	if (PQntuples(r) == 0) {
		rc = 0;
	} else {
		uint64_t attempt = 0;

		rc = 1;
		if (str_to_u64(str_c(PQgetvalue(r, 0, 0)), &out->rows) || str_to_u64(str_c(PQgetvalue(r, 0, 1)), &out->rejected) ||
			str_to_u64(str_c(PQgetvalue(r, 0, 2)), &attempt))
			rc = err_set(e, ERR_CONFIG, "the ledger's row of batch %s is damaged", b->id);
		out->attempt = (uint32_t)attempt;
		out->discarded = *PQgetvalue(r, 0, 3) == 't';
	}
	PQclear(r);
	return rc;
}

int pg_ledger_ranges(void *self, const struct job *j, const struct job_batch *b, struct ranges *out, struct err *e)
{
	struct postgres *p = self;
	char *name = our_table(j, "_stitch_ledger"), partition[24], first[24], last[24];
	char *sql = xasprintf("SELECT first_offset, last_offset FROM %s WHERE queue_id = $1 AND partition = $2 AND table_name = $3 AND first_offset <= $4"
			      " AND last_offset >= $5 AND NOT discarded", name);
	const char *params[] = {b->queue_hex, partition, j->table, last, first};
	PGresult *r;
	int rc = 0;

	snprintf(partition, sizeof(partition), "%" PRIu32, b->partition);
	snprintf(first, sizeof(first), "%" PRIu64, b->first);
	snprintf(last, sizeof(last), "%" PRIu64, b->last);
	r = pg_query(&p->pg, sql, 5, params, e);
	free(sql);
	free(name);
	if (!r)
		return -1;
	for (int k = 0; k < PQntuples(r) && !rc; k++) {
		uint64_t from, to;

		if (str_to_u64(str_c(PQgetvalue(r, k, 0)), &from) || str_to_u64(str_c(PQgetvalue(r, k, 1)), &to))
			rc = err_set(e, ERR_CONFIG, "a row of the ledger of table %s is damaged", j->table);
		else
			ranges_add(out, from, to);
	}
	PQclear(r);
	return rc;
}

int pg_ledger_put(void *self, const struct job *j, const struct job_batch *b, const struct ledger_row *row, struct err *e)
{
	struct postgres *p = self;
	char *name = our_table(j, "_stitch_ledger"), n[7][24];
	char *sql = xasprintf("INSERT INTO %s AS l (batch_id, queue_id, source, table_name, discarded, partition, first_offset, last_offset, table_version,"
			      " rows, rejected, attempt, loaded_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, now()) ON CONFLICT (batch_id)"
			      " DO UPDATE SET rows = excluded.rows, rejected = excluded.rejected, attempt = excluded.attempt, discarded = excluded.discarded,"
			      " loaded_at = excluded.loaded_at WHERE l.discarded", name);
	const char *params[] = {b->id, b->queue_hex, j->source, j->table, row->discarded ? "t" : "f", n[0], n[1], n[2], n[3], n[4], n[5], n[6]};
	PGresult *r;
	int rc = -1;

	snprintf(n[0], sizeof(n[0]), "%" PRIu32, b->partition);
	snprintf(n[1], sizeof(n[1]), "%" PRIu64, b->first);
	snprintf(n[2], sizeof(n[2]), "%" PRIu64, b->last);
	snprintf(n[3], sizeof(n[3]), "%" PRId64, b->table_version);
	snprintf(n[4], sizeof(n[4]), "%" PRIu64, row->rows);
	snprintf(n[5], sizeof(n[5]), "%" PRIu64, row->rejected);
	snprintf(n[6], sizeof(n[6]), "%" PRIu32, row->attempt);
	r = pg_query(&p->pg, sql, ARRAY_LEN(params), params, e);
	free(sql);
	free(name);
	if (r)
		rc = pg_touched(r) == 1 ? 0 : err_set(e, ERR_TRANSIENT, "batch %s has a row in the ledger already", b->id);
	PQclear(r);
	return rc;
}

int pg_activate(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, int64_t version, struct err *e)
{
	struct postgres *p = self;
	char *table = dialect_named(&p->dialect, j->table), *ours = our_table(j, "_stitch_table"), number[24], *sql = NULL;
	const char *params[] = {number, table};
	PGresult *r = NULL;
	int rc = -1;

	p->phase = "activating a table version";
	snprintf(number, sizeof(number), "%" PRId64, version);
	for (size_t k = 0; k < los->n; k++) {
		char *rows = our_table(j, los->t[k].table);
		int failed = descs[k].exists && pg_execf(&p->pg, e, "DELETE FROM %s WHERE coalesce(_sdc_table_version, 0) < %s", rows, number);

		free(rows);
		if (failed)
			goto out;
	}
	sql = xasprintf("UPDATE %s SET active_version = $1 WHERE table_name = $2", ours);
	r = pg_query(&p->pg, sql, 2, params, e);
	rc = r ? 0 : -1;
out:
	PQclear(r);
	free(sql);
	free(ours);
	free(table);
	return rc;
}

int pg_reject(void *self, const struct job *j, const struct reject *r, struct err *e)
{
	struct postgres *p = self;
	char *name = our_table(j, "_sdc_rejected"), *reason = str_dup(r->reason), *raw = str_dup(r->raw), *table = dialect_named(&p->dialect, j->table);
	char *sql = xasprintf("INSERT INTO %s (_sdc_rejected_at, table_name, reason, record) VALUES (now(), $1, $2, $3)", name);
	const char *params[] = {table, reason, raw};
	PGresult *res = pg_query(&p->pg, sql, 3, params, e);
	int rc = res ? 0 : -1;

	PQclear(res);
	free(sql);
	free(table);
	free(raw);
	free(reason);
	free(name);
	return rc;
}

int pg_commit(void *self, struct err *e)
{
	struct postgres *p = self;
	PGresult *r;
	int rc = 0;

	p->phase = "committing";
	r = pg_query(&p->pg, "COMMIT", 0, NULL, e);
	if (!r)
		return e && pg_usable(&p->pg) ? -1 : err_wrap(e, "the outcome of COMMIT is not known; the next attempt looks in the ledger");
	/* in a transaction that has failed COMMIT is answered, too: by ROLLBACK */
	if (strcmp(PQcmdStatus(r), "COMMIT") != 0)
		rc = err_set(e, ERR_TRANSIENT, "the server answered %s to COMMIT", PQcmdStatus(r));
	PQclear(r);
	if (!rc)
		p->careful = false;
	pg_rows_free(&p->load);
	return rc;
}

void pg_rollback(void *self)
{
	struct postgres *p = self;

	p->phase = "rolling back";
	if (p->load.copying && pg_usable(&p->pg) && pg_copy_finish(&p->pg, "the load is rolled back", NULL) && !pg_usable(&p->pg))
		pg_disconnect(&p->pg);
	pg_rows_free(&p->load);
	if (!pg_usable(&p->pg) || PQtransactionStatus(p->pg.conn) == PQTRANS_IDLE)
		return;
	if (pg_exec(&p->pg, "ROLLBACK", NULL))
		pg_disconnect(&p->pg);
}
