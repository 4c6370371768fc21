/*
 * sf_load.c - one load as one request. Snowflake's API ends a transaction with the request it began in, so the runtime's begin only reads what the load must know
 * (ledger rows, ranges, the active version), the statements are gathered, and commit sends them all:
 *
 *	BEGIN; UPDATE of the table's lock; two guards; MERGE or INSERT; [DELETE of old versions]; [rejected records]; ledger rows; COMMIT
 *
 * The guards make up for reading before the lock was held: they fail, and the whole request with them, when the lock's counter or the table's ledger rows are not
 * what begin saw. Then another loader (one that was killed and whose request went on) has been here in between, and the load is tried again from the start.
 *
 * Each table has a lock of its own, a table with one row: on Snowflake an UPDATE holds a table, and one hung load must not stop the others.
 */
#include "loaders/snowflake/snowflake.h"

#include "jwrite.h"
#include "log.h"
#include "xalloc.h"

#define GUARD "stitch guard"
#define NOT_THERE "002003"
#define SWEEP_EVERY (24 * 3600) /* s */
#define RAW_MAX (8u << 20) /* of a rejected record; 16 MB is what a VARCHAR takes, escaped it grows */

void sf_add(struct snow *s, const struct buf *sql)
{
	if (s->load.n++)
		buf_adds(&s->load.sql, ";\n");
	buf_addstr(&s->load.sql, buf_str(sql));
}

static void lock_table(const struct snow *s, struct buf *sql, const struct job *j)
{
	struct buf table = BUF_INIT;
	char *name;

	dialect_name(&sf_dialect, str_c(j->table), &table);
	name = xasprintf("_STITCH_LOCK_%016" PRIX64, str_hash(buf_str(&table)));
	sf_table(s, sql, j->schema, name);
	free(name);
	buf_free(&table);
}

static void of_table(struct buf *sql, const struct job *j)
{
	buf_adds(sql, " WHERE \"TABLE_NAME\" = ");
	sf_literal(sql, str_c(j->table));
}

/* --- begin: what must be known --- */

/* Grows with every load and every mark that is turned. */
static const char mark_sql[] = "coalesce(sum(CASE WHEN \"DISCARDED\" THEN 1 ELSE 2 END), 0)";

static void batch_list(struct buf *sql, const struct job *j)
{
	for (size_t k = 0; k < j->n_batches; k++)
		buf_addf(sql, "%s'%s'", k ? ", " : "(", j->batches[k].id);
	buf_adds(sql, j->n_batches ? ")" : "('')");
}

static void ranges_sql(struct buf *sql, const struct job *j)
{
	buf_adds(sql, " AND NOT \"DISCARDED\" AND (");
	for (size_t k = 0; k < j->n_batches; k++) {
		const struct job_batch *b = &j->batches[k];

		buf_addf(sql, "%s\"QUEUE_ID\" = '%s' AND \"PARTITION\" = %" PRIu32 " AND \"FIRST_OFFSET\" <= %" PRIu64 " AND \"LAST_OFFSET\" >= %" PRIu64, k ? " OR " : "",
			b->queue_hex, b->partition, b->last, b->first);
	}
	buf_adds(sql, ")");
}

static void question(const struct snow *s, const struct job *j, struct buf *sql)
{
	struct buf ledger = BUF_INIT;

	sf_table(s, &ledger, j->schema, "_STITCH_LEDGER");
	buf_adds(sql, "SELECT 'V' AS K, CAST(max(\"ACTIVE_VERSION\") AS VARCHAR) AS A, CAST(NULL AS VARCHAR) AS B, CAST(NULL AS VARCHAR) AS C, CAST(NULL AS VARCHAR) AS D,"
		      " CAST(NULL AS VARCHAR) AS E FROM ");
	sf_table(s, sql, j->schema, "_STITCH_TABLE");
	of_table(sql, j);
	/* nothing is written on a dry run, and the lock need not be there */
	if (!j->dry_run) {
		buf_adds(sql, "\nUNION ALL SELECT 'N', CAST(max(\"N\") AS VARCHAR), NULL, NULL, NULL, NULL FROM ");
		lock_table(s, sql, j);
	}
	buf_addf(sql, "\nUNION ALL SELECT 'M', CAST(CAST(%s AS NUMBER(38,0)) AS VARCHAR), NULL, NULL, NULL, NULL FROM %s", mark_sql, buf_cstr(&ledger));
	of_table(sql, j);
	buf_addf(sql, "\nUNION ALL SELECT 'B', \"BATCH_ID\", CAST(\"ROWS\" AS VARCHAR), CAST(\"REJECTED\" AS VARCHAR), CAST(\"ATTEMPT\" AS VARCHAR),"
		      " CASE WHEN \"DISCARDED\" THEN '1' ELSE '0' END FROM %s WHERE \"BATCH_ID\" IN ", buf_cstr(&ledger));
	batch_list(sql, j);
	if (!j->n_keys && j->n_batches) {
		buf_addf(sql, "\nUNION ALL SELECT 'R', \"QUEUE_ID\", CAST(\"PARTITION\" AS VARCHAR), CAST(\"FIRST_OFFSET\" AS VARCHAR), CAST(\"LAST_OFFSET\" AS VARCHAR), NULL FROM %s",
			buf_cstr(&ledger));
		of_table(sql, j);
		ranges_sql(sql, j);
	}
	buf_free(&ledger);
}

static const char *seen(const struct snow *s, const char *kind, size_t *row)
{
	for (; *row < sf_rows(s->load.seen); (*row)++)
		if (sf_cell(s->load.seen, *row, 0) && strcmp(sf_cell(s->load.seen, *row, 0), kind) == 0)
			return sf_cell(s->load.seen, *row, 1);
	return NULL;
}

/* The table's lock and its row in _STITCH_TABLE. */
static int make_lock(struct snow *s, const struct job *j, struct err *e)
{
	struct buf sql = BUF_INIT, lock = BUF_INIT, table = BUF_INIT;
	json_t *note = json_string(j->table);
	int rc;

	lock_table(s, &lock, j);
	sf_table(s, &table, j->schema, "_STITCH_TABLE");
	buf_addf(&sql, "CREATE TABLE IF NOT EXISTS %s (\"N\" NUMBER(38,0) NOT NULL) COMMENT = ", buf_cstr(&lock));
	sf_comment(&sql, "stitch: lock of ", note);
	json_decref(note);
	buf_addf(&sql, ";\nINSERT INTO %s (\"N\") SELECT 0 FROM (SELECT 1 AS X) WHERE NOT EXISTS (SELECT 1 FROM %s);\nINSERT INTO %s (\"TABLE_NAME\", \"ACTIVE_VERSION\") SELECT ", buf_cstr(&lock),
		buf_cstr(&lock), buf_cstr(&table));
	sf_literal(&sql, str_c(j->table));
	buf_addf(&sql, ", 0 FROM (SELECT 1 AS X) WHERE NOT EXISTS (SELECT 1 FROM %s", buf_cstr(&table));
	of_table(&sql, j);
	buf_addc(&sql, ')');
	rc = sf_run(s, buf_cstr(&sql), 3, NULL, e);
	buf_free(&sql);
	buf_free(&lock);
	buf_free(&table);
	return rc;
}

static int look(struct snow *s, const struct job *j, bool *complete, struct err *e)
{
	struct buf sql = BUF_INIT;
	size_t n = 0, v = 0;
	int rc;

	json_decref(s->load.seen);
	s->load.seen = NULL;
	question(s, j, &sql);
	rc = sf_run(s, buf_cstr(&sql), 1, &s->load.seen, e);
	*complete = !rc && seen(s, "N", &n) && seen(s, "V", &v);
	buf_free(&sql);
	return rc;
}

/* The first statements of the request. */
static void open_transaction(struct snow *s, const struct job *j)
{
	struct buf sql = BUF_INIT, lock = BUF_INIT, ledger = BUF_INIT;
	size_t n = 0, m = 0;
	int64_t counter = 0, mark = 0;

	if (seen(s, "N", &n))
		counter = sf_cell_int(s->load.seen, n, 1);
	if (seen(s, "M", &m))
		mark = sf_cell_int(s->load.seen, m, 1);
	lock_table(s, &lock, j);
	sf_table(s, &ledger, j->schema, "_STITCH_LEDGER");
	buf_adds(&sql, "BEGIN");
	sf_add(s, &sql);
	buf_truncate(&sql, 0);
	buf_addf(&sql, "UPDATE %s SET \"N\" = \"N\" + 1", buf_cstr(&lock));
	sf_add(s, &sql);
	buf_truncate(&sql, 0);
	buf_addf(&sql, "SELECT CAST(CASE WHEN max(\"N\") = %" PRId64 " THEN '0' ELSE '" GUARD " ' || count(*) END AS NUMBER(38,0)) FROM %s", counter + 1, buf_cstr(&lock));
	sf_add(s, &sql);
	buf_truncate(&sql, 0);
	buf_addf(&sql, "SELECT CAST(CASE WHEN %s = %" PRId64 " THEN '0' ELSE '" GUARD " ' || count(*) END AS NUMBER(38,0)) FROM %s", mark_sql, mark, buf_cstr(&ledger));
	of_table(&sql, j);
	sf_add(s, &sql);
	buf_free(&sql);
	buf_free(&lock);
	buf_free(&ledger);
}

static void sweep(struct snow *s, const struct job *j)
{
	struct buf name = BUF_INIT;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	sf_schema_name(s, j->schema, &name);
	for (size_t k = 0; k < s->n_schemas; k++)
		if (strcmp(s->schemas[k].name, buf_cstr(&name)) == 0 && now.tv_sec - s->schemas[k].swept > SWEEP_EVERY) {
			s->schemas[k].swept = now.tv_sec;
			sf_stage_sweep(s, j->schema);
		}
	buf_free(&name);
}

int sf_begin(void *self, const struct job *j, int64_t *active_version, struct err *e)
{
	struct snow *s = self;
	bool complete;
	size_t v = 0;
	int rc;

	*active_version = 0;
	s->load.job = j;
	if (!j->dry_run)
		sweep(s, j);
	s->phase = "reading the ledger";
	rc = look(s, j, &complete, e);
	if (!j->dry_run && ((rc && strcmp(s->code, NOT_THERE) == 0) || (!rc && !complete))) {
		err_clear(e);
		rc = make_lock(s, j, e);
		if (!rc)
			rc = look(s, j, &complete, e);
		/* our tables were there when this process looked: they are gone now, and made again the next time */
		if (rc && strcmp(s->code, NOT_THERE) == 0) {
			sf_forget_schema(s, j->schema);
			e->code = ERR_TRANSIENT;
		}
	}
	if (rc)
		return -1;
	if (seen(s, "V", &v))
		*active_version = sf_cell_int(s->load.seen, v, 1);
	open_transaction(s, j);
	return 0;
}

int sf_ledger_get(void *self, const struct job *j, const struct job_batch *b, struct ledger_row *out, struct err *e)
{
	struct snow *s = self;
	const char *id;

	(void)j;
	(void)e;
	for (size_t k = 0; (id = seen(s, "B", &k)) != NULL; k++) {
		if (strcmp(id, b->id) != 0)
			continue;
		*out = (struct ledger_row){.rows = (uint64_t)sf_cell_int(s->load.seen, k, 2), .rejected = (uint64_t)sf_cell_int(s->load.seen, k, 3),
			.attempt = (uint32_t)sf_cell_int(s->load.seen, k, 4), .discarded = sf_cell_int(s->load.seen, k, 5) != 0};
		return 1;
	}
	return 0;
}

int sf_ledger_ranges(void *self, const struct job *j, const struct job_batch *b, struct ranges *out, struct err *e)
{
	struct snow *s = self;
	const char *queue;

	(void)j;
	(void)e;
	for (size_t k = 0; (queue = seen(s, "R", &k)) != NULL; k++) {
		uint64_t first = (uint64_t)sf_cell_int(s->load.seen, k, 3), last = (uint64_t)sf_cell_int(s->load.seen, k, 4);

		if (strcmp(queue, b->queue_hex) == 0 && sf_cell_int(s->load.seen, k, 2) == b->partition && first <= b->last && last >= b->first)
			ranges_add(out, first, last);
	}
	return 0;
}

/* --- between --- */

int sf_ledger_put(void *self, const struct job *j, const struct job_batch *b, const struct ledger_row *row, struct err *e)
{
	struct snow *s = self;
	struct buf *l = &s->load.ledger;

	(void)e;
	buf_addf(l, "%sSELECT '%s', '%s', %" PRIu32 ", %" PRIu64 ", %" PRIu64 ", ", l->len ? "\nUNION ALL " : "", b->id, b->queue_hex, b->partition, b->first, b->last);
	sf_literal(l, str_c(j->source));
	buf_adds(l, ", ");
	sf_literal(l, str_c(j->table));
	buf_addf(l, ", %" PRId64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu32 ", %s, CURRENT_TIMESTAMP()", b->table_version, row->rows, row->rejected, row->attempt,
		row->discarded ? "TRUE" : "FALSE");
	return 0;
}

int sf_activate(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, int64_t version, struct err *e)
{
	struct snow *s = self;
	struct buf sql = BUF_INIT;

	(void)e;
	if (descs[0].exists) {
		buf_adds(&sql, "DELETE FROM ");
		sf_table(s, &sql, j->schema, los->t[0].table);
		buf_addf(&sql, " WHERE coalesce(\"_SDC_TABLE_VERSION\", 0) < %" PRId64, version);
		sf_add(s, &sql);
		buf_truncate(&sql, 0);
	}
	buf_adds(&sql, "UPDATE ");
	sf_table(s, &sql, j->schema, "_STITCH_TABLE");
	buf_addf(&sql, " SET \"ACTIVE_VERSION\" = %" PRId64, version);
	of_table(&sql, j);
	sf_add(s, &sql);
	buf_free(&sql);
	return 0;
}

/* Rejected records take the way of the rows: a statement has no room for them. */
int sf_reject(void *self, const struct job *j, const struct reject *r, struct err *e)
{
	struct snow *s = self;
	struct str raw = r->raw;
	struct jwrite w;

	(void)j;
	raw.len = MIN(raw.len, RAW_MAX);
	while (raw.len && raw.len < r->raw.len && ((unsigned char)raw.ptr[raw.len] & 0xC0) == 0x80)
		raw.len--;
	buf_truncate(&s->stage.line, 0);
	jwrite_init(&w, &s->stage.line);
	jwrite_object(&w);
	jwrite_kv_str(&w, "r", r->reason);
	jwrite_kv_str(&w, "w", raw);
	jwrite_object_end(&w);
	s->load.rejects++;
	return sf_stage_line(s, UINT64_MAX, e);
}

/* --- the end --- */

static int rejects_sql(struct snow *s, struct err *e)
{
	struct buf sql = BUF_INIT;

	if (!s->load.rejects)
		return 0;
	if (sf_stage_load(s, e))
		return -1;
	buf_adds(&sql, "INSERT INTO ");
	sf_table(s, &sql, s->load.job->schema, "_SDC_REJECTED");
	buf_adds(&sql, " (\"_SDC_REJECTED_AT\", \"TABLE_NAME\", \"REASON\", \"RECORD\") SELECT CURRENT_TIMESTAMP(), ");
	sf_literal(&sql, str_c(s->load.job->table));
	buf_addf(&sql, ", \"V\":r::VARCHAR, \"V\":w::VARCHAR FROM %s WHERE \"V\":r IS NOT NULL", s->stage.table);
	sf_add(s, &sql);
	buf_free(&sql);
	return 0;
}

static void ledger_sql(struct snow *s)
{
	struct buf sql = BUF_INIT, ledger = BUF_INIT;
	const struct job *j = s->load.job;
	size_t k = 0;

	sf_table(s, &ledger, j->schema, "_STITCH_LEDGER");
	if (seen(s, "B", &k)) {
		/* marks of a discard that are turned now */
		buf_addf(&sql, "DELETE FROM %s WHERE \"DISCARDED\" AND \"BATCH_ID\" IN ", buf_cstr(&ledger));
		batch_list(&sql, j);
		sf_add(s, &sql);
		buf_truncate(&sql, 0);
	}
	buf_addf(&sql, "INSERT INTO %s (\"BATCH_ID\", \"QUEUE_ID\", \"PARTITION\", \"FIRST_OFFSET\", \"LAST_OFFSET\", \"SOURCE\", \"TABLE_NAME\", \"TABLE_VERSION\", \"ROWS\","
		       " \"REJECTED\", \"ATTEMPT\", \"DISCARDED\", \"LOADED_AT\") ", buf_cstr(&ledger));
	buf_addstr(&sql, buf_str(&s->load.ledger));
	sf_add(s, &sql);
	buf_truncate(&sql, 0);
	buf_adds(&sql, "COMMIT");
	sf_add(s, &sql);
	buf_free(&sql);
	buf_free(&ledger);
}

static void forget_load(struct snow *s)
{
	json_decref(s->load.seen);
	buf_free(&s->load.sql);
	buf_free(&s->load.ledger);
	s->load = (struct sf_load){.n = 0};
	sf_rows_free(s);
}

int sf_commit(void *self, struct err *e)
{
	struct snow *s = self;

	if (rejects_sql(s, e))
		return -1;
	if (s->load.ledger.len)
		ledger_sql(s);
	s->phase = "committing";
	if (sf_run(s, buf_cstr(&s->load.sql), s->load.n, NULL, e)) {
		if (strstr(e->text, GUARD))
			return err_set(e, ERR_TRANSIENT, "another load of this table came in between; this one is tried again");
		if (strcmp(s->code, NOT_THERE) == 0) {
			/* dropped at this moment: the next try makes it again */
			sf_forget_schema(s, s->load.job->schema);
			e->code = ERR_TRANSIENT;
		}
		/* no answer, or none of Snowflake's: the ledger tells the next attempt */
		if (!*s->code && e->code != ERR_CONFIG) {
			e->code = ERR_TRANSIENT;
			err_wrap(e, "the outcome of COMMIT is not known, the next attempt asks the ledger");
		}
		return -1;
	}
	sf_stage_drop(s);
	log_debug("loaded with %" PRIu64 " requests to Snowflake, %" PRIu64 " bytes staged", s->requests, s->bytes);
	forget_load(s);
	return 0;
}

void sf_rollback(void *self)
{
	struct snow *s = self;

	sf_stage_drop(s);
	forget_load(s);
}
