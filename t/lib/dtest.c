/*
 * dtest.c - see dtest.h.
 */
#include "dtest.h"

#include "tap.h"
#include "xalloc.h"

struct db *db;
struct err err;
unsigned char dtest_queue[16] = "a queue's own id";
static struct state *state;
static unsigned paths;

void dtest_must(int rc, const char *what, struct err *e)
{
	if (rc)
		bail("%s: %s", what, e->text);
}

void dtest_open(void)
{
	state = state_open_memory(&err);
	db = state ? state_reader(state, &err) : NULL;
	if (!db)
		bail("%s", err.text);
	MUST(db_queue_bind(db, dtest_queue, &err));
}

struct state *dtest_state(void)
{
	return state;
}

void dtest_close(void)
{
	state_reader_close(db);
	state_close(state);
	db = NULL;
}

int64_t dtest_source(const char *name)
{
	struct source_row r = {.client_id = 1, .created = 1};
	int64_t id;

	r.name = (char *)(uintptr_t)name;
	r.kind = (char *)(uintptr_t) "import";
	r.settings = (char *)(uintptr_t) "{}";
	MUST(db_source_create(db, &r, &id, &err));
	return id;
}

int64_t dtest_destination(const char *name)
{
	struct destination_row r = {.created = 1};
	int64_t id;

	r.name = (char *)(uintptr_t)name;
	r.kind = (char *)(uintptr_t) "sqlite";
	r.settings = (char *)(uintptr_t) "{}";
	MUST(db_destination_create(db, &r, &id, &err));
	return id;
}

uint64_t dtest_connect(int64_t source, int64_t destination, int64_t from_ns, int64_t now)
{
	uint64_t jobs;

	MUST(db_connect(db, source, destination, "main", from_ns, now, &jobs, &err));
	return jobs;
}

void dtest_disconnect(int64_t source, int64_t destination)
{
	MUST(db_disconnect(db, source, destination, &err));
}

int64_t dtest_sql(const char *fmt, ...)
{
	sqlite3_stmt *s;
	int64_t v = -1;
	char sql[2000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(sql, sizeof(sql), fmt, ap);
	va_end(ap);
	if (sqlite3_prepare_v2(db->h, sql, -1, &s, NULL) != SQLITE_OK)
		bail("%s: %s", sql, sqlite3_errmsg(db->h));
	if (sqlite3_step(s) == SQLITE_ROW)
		v = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return v;
}

void dtest_head(struct buf *out, const char *keys, const char *schema, const char *types)
{
	buf_addf(out, "{\"source\":1,\"table\":\"t\",\"key_names\":%s,\"schema\":%s,\"types\":%s,\"table_version\":0,\"received_at\":1}", keys, schema, types);
}

int dtest_try_cut(const struct dtest_cut *in, struct cut *out, struct err *e)
{
	struct buf head = BUF_INIT;
	struct str line;
	char path[40];
	int rc;

	if (in->head)
		buf_adds(&head, in->head);
	else
		dtest_head(&head, "[]", "null", "{\"n\":[\"integer\"]}");
	line = buf_str(&head);
	snprintf(path, sizeof(path), "file-%u", ++paths);
	*out = (struct cut){.source_id = in->source,
		.table = str_c(in->table),
		.first_offset = in->first,
		.last_offset = in->last,
		.records = in->records,
		.lines = in->records,
		.bytes = 100 * in->records + 1,
		.path = str_c(path),
		.reason = "age",
		.first_received = in->at ? in->at : (int64_t)in->first + 1,
		.last_received = in->at ? in->at : (int64_t)in->last + 1,
		.cut_at = in->at ? in->at : 1,
		.heads = &line,
		.n_heads = 1,
		.requests = in->requests,
		.n_requests = in->n_requests};
	memcpy(out->queue_id, dtest_queue, sizeof(out->queue_id));
	memcpy(out->position.queue_id, dtest_queue, sizeof(out->queue_id));
	out->position.read_from = in->position;
	out->position.repeats = in->repeats;
	out->position.n_repeats = in->n_repeats;
	rc = sqlite3_exec(db->h, "BEGIN", NULL, NULL, NULL) == SQLITE_OK ? db_cut(db, out, e) : -1;
	if (sqlite3_exec(db->h, rc ? "ROLLBACK" : "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
		bail("end of a transaction: %s", sqlite3_errmsg(db->h));
	buf_free(&head);
	out->heads = NULL;
	out->path = STR_NULL;
	return rc;
}

struct cut dtest_cut(const struct dtest_cut *in)
{
	struct cut c;

	MUST(dtest_try_cut(in, &c, &err));
	return c;
}

struct tally_row dtest_tally(int64_t table_id, int64_t destination_id)
{
	struct tally_row *rows, found = {.table_id = 0};
	size_t n;

	MUST(db_tally_list(db, table_id - 1, 1000, &rows, &n, &err));
	for (size_t i = 0; i < n; i++)
		if (rows[i].table_id == table_id && rows[i].destination_id == destination_id)
			found = rows[i];
	tally_list_free(rows, n);
	found.table = NULL;
	return found;
}

size_t dtest_load(int64_t destination, int64_t table, uint64_t rejected, int64_t now)
{
	struct load_result *r;
	struct load_row l;
	size_t n;

	MUST(db_load_begin(db, destination, table, 100, UINT64_C(1) << 40, now, &l, &err));
	r = xcalloc(l.n, sizeof(*r));
	for (size_t i = 0; i < l.n; i++) {
		memcpy(r[i].batch_id, l.batches[i].batch.id, BATCH_ID_LEN);
		r[i].rejected = i ? 0 : rejected;
		r[i].rows = l.batches[i].batch.records - r[i].rejected;
		r[i].attempt = l.attempt;
	}
	MUST(db_load_done(db, l.id, r, l.n, now, &err));
	n = l.n;
	free(r);
	load_row_free(&l);
	return n;
}
