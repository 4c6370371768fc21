/*
 * 5014-retention.c - what state.db lets go: the queue up to what all destinations have, batch files long after that, old rows; and what it never does.
 */
#include "tap.h"

#include "dtest.h"

static int64_t shop, pg, lite, table;

static struct cut cut(uint64_t first, uint64_t last, int64_t at)
{
	struct cut c = dtest_cut(&(struct dtest_cut){.source = shop, .table = "t", .first = first, .last = last, .records = last - first + 1, .position = last + 1, .at = at});

	table = c.table_id;
	return c;
}

static void begin(void)
{
	dtest_open();
	shop = dtest_source("shop");
	pg = dtest_destination("pg");
	lite = dtest_destination("lite");
	dtest_connect(shop, pg, 0, 1);
	dtest_connect(shop, lite, 0, 1);
}

static int64_t limit(uint64_t of, int64_t loaded_before)
{
	uint64_t safe;

	MUST(db_trim_limit(db, 0, of, loaded_before, &safe, &err));
	return (int64_t)safe;
}

static size_t expired(int64_t before, char first[BATCH_ID_LEN])
{
	struct batch_row *rows;
	size_t n;

	MUST(db_batch_expired(db, before, 10, &rows, &n, &err));
	if (n)
		memcpy(first, rows[0].id, BATCH_ID_LEN);
	batch_list_free(rows, n);
	return n;
}

static void test_trim(void)
{
	struct tally_part part = {.table = STR("t"), .records = 3};
	struct load_row l;
	uint64_t point;

	begin();
	part.source_id = shop;
	is_int(0, limit(100, 1000), "nothing was ever committed");
	cut(0, 2, 10);
	cut(3, 5, 20);
	is_int(0, limit(100, 1000), "nobody has it");
	dtest_load(pg, table, 0, 30);
	is_int(0, limit(100, 1000), "one of two has it");
	MUST(db_load_begin(db, lite, table, 1, 1000000, 40, &l, &err));
	MUST(db_load_done(db, l.id, &(struct load_result){.rows = 3, .attempt = 1}, 0, 40, &err) == -1 ? 0 : -1);
	load_row_free(&l);
	MUST(db_load_recover(db, 41, &err));
	dtest_load(lite, table, 0, 41);
	is_int(3, limit(100, 1000), "both have the first");
	is_int(0, limit(100, 41), "not for long enough");
	is_int(2, limit(2, 1000), "nor more than was asked");
	dtest_load(lite, table, 2, 50);
	is_int(6, limit(100, 1000), "all of it, but never behind the position");
	is_int(3, limit(100, 45), "as far as it is old enough");
	MUST(db_trim_point(db, 0, &point, &err));
	is_int(0, (int64_t)point, "nothing is trimmed yet");
	MUST(db_trim_record(db, 0, 3, &part, 1, &err));
	MUST(db_trim_point(db, 0, &point, &err));
	ok(point == 3 && dtest_tally(table, pg).accepted_base == 3, "what was trimmed stays counted");
	ok(db_trim_record(db, 0, 2, &part, 1, &err) == -1 && err.code == ERR_STATE, "backwards: refused (%s)", err.text);
	cut(6, 6, 60);
	is_int(6, limit(100, 1000), "what came since waits");
	dtest_load(pg, table, 0, 61);
	MUST(db_load_begin(db, lite, table, 1, 1000000, 62, &l, &err));
	MUST(db_load_failed(db, l.id, "data", "x", NULL, 63, 0, &err));
	load_row_free(&l);
	is_int(6, limit(100, 1000), "what was rejected as a whole is kept");
	dtest_close();
}

static void test_nobody(void)
{
	char id[BATCH_ID_LEN];
	uint64_t gone;
	bool done;

	begin();
	dtest_disconnect(shop, pg);
	dtest_disconnect(shop, lite);
	cut(0, 4, 10);
	ok(limit(100, 11) == 5 && limit(100, 10) == 0, "what waits for nobody is in its file: it pins nothing in the queue");
	is_int(0, (int64_t)expired(1000, id), "but its file stays");
	dtest_connect(shop, pg, 0, 20);
	ok(limit(100, 1000) == 0 && expired(1000, id) == 0, "when somebody wants it, it is kept until it is there");
	MUST(db_job_discard(db, 1, 30, &done, &err));
	ok(done && limit(100, 31) == 5 && expired(31, id) == 1, "discarded counts as well");
	dtest_connect(shop, lite, 5, 40);
	ok(limit(100, 1000) == 0 && expired(1000, id) == 0, "a destination that wants what was before, too");
	MUST(db_destination_delete(db, lite, 50, &gone, &err));
	ok(gone == 1 && limit(100, 1000) == 5 && expired(1000, id) == 1, "until it is deleted");
	dtest_close();
}

static void test_files(void)
{
	const char *ids[2];
	char id[BATCH_ID_LEN];
	struct cut a, b;
	bool named;
	int64_t replay;

	begin();
	dtest_disconnect(shop, lite);
	a = cut(0, 2, 10);
	b = cut(3, 5, 20);
	MUST(db_batch_named(db, "file-x", &named, &err));
	ok(!named, "a file that no row names");
	dtest_load(pg, table, 0, 30);
	ok(expired(30, id) == 0 && expired(31, id) == 2, "both files may go, long enough after they were loaded");
	ids[0] = a.batch_id;
	ids[1] = b.batch_id;
	MUST(db_batch_deleted(db, ids, 1, 40, &err));
	ok(expired(31, id) == 1 && strcmp(id, b.batch_id) == 0, "one is marked");
	is_int(1, dtest_sql("SELECT count(*) FROM batch WHERE deleted = 40"), "with the time");
	/* between the list and the mark somebody replays */
	MUST(sqlite3_exec(db->h, "UPDATE job SET state = 6 WHERE id = 2", NULL, NULL, NULL));
	MUST(db_job_replay(db, 2, 45, &replay, &err));
	ok(db_batch_deleted(db, ids, 2, 50, &err) == -1 && err.code == ERR_STATE, "a file that is wanted again does not go: %s", err.text);
	dtest_close();
}

static void add_events(int n)
{
	struct event_row ev = {.at = 0};
	struct audit_row au = {.at = 0};
	int64_t id;

	ev.level = ev.kind = ev.object = ev.text = au.who = au.action = au.object = (char *)(uintptr_t) "x";
	for (int i = 1; i <= n; i++) {
		ev.at = au.at = i;
		MUST(db_event_add(db, &ev, &err));
		MUST(db_audit_begin(db, &au, &id, &err));
	}
}

static int64_t pages(struct prune p)
{
	uint64_t rows;
	int64_t all = 0;

	do {
		MUST(db_prune(db, &p, 5000, &rows, &err));
		all += (int64_t)rows;
	} while (rows);
	return all;
}

static void test_prune(void)
{
	const char *ids[1];
	struct load_row l;
	struct reject_row r = {.record = 1, .attempt = 1};
	struct cut a;

	begin();
	dtest_disconnect(shop, lite);
	add_events(1200);
	ok(pages((struct prune){.events_before = 201, .audit_before = 101}) == 300, "old events and audit entries go, page by page");
	ok(dtest_sql("SELECT min(at) FROM event") == 201 && dtest_sql("SELECT min(at) FROM audit") == 101, "only those");
	ok(pages((struct prune){.events_max = 10, .audit_max = 5}) == 990 + 1095, "or too many");
	ok(dtest_sql("SELECT min(at) FROM event") == 1191 && dtest_sql("SELECT count(*) FROM audit") == 5, "the newest stay");
	a = cut(0, 2, 10);
	dtest_load(pg, table, 0, 20);
	is_int(0, pages((struct prune){.jobs_before = 100}), "a batch whose file is there stays");
	ids[0] = a.batch_id;
	MUST(db_batch_deleted(db, ids, 1, 30, &err));
	is_int(0, pages((struct prune){.jobs_before = 100}), "one that the queue still holds, too");
	MUST(db_trim_record(db, 0, 3, NULL, 0, &err));
	is_int(0, pages((struct prune){.jobs_before = 25}), "one that ended lately, too");
	is_int(3, pages((struct prune){.jobs_before = 100}), "then it goes, with its job and its load");
	ok(dtest_tally(table, pg).loaded == 3, "and stays counted");
	/* rejected records are kept, and all that leads to them */
	a = cut(3, 4, 40);
	MUST(db_load_begin(db, pg, table, 1, 1000000, 41, &l, &err));
	memcpy(r.batch_id, a.batch_id, BATCH_ID_LEN);
	MUST(db_load_reject(db, l.id, &r, 1, 42, &err));
	load_row_free(&l);
	MUST(db_load_recover(db, 43, &err));
	MUST(db_load_begin(db, pg, table, 1, 1000000, 44, &l, &err));
	r.attempt = 2;
	MUST(db_load_reject(db, l.id, &r, 1, 45, &err));
	load_row_free(&l);
	MUST(db_load_recover(db, 46, &err));
	dtest_load(pg, table, 1, 47);
	MUST(db_batch_deleted(db, (const char *const[]){a.batch_id}, 1, 48, &err));
	MUST(db_trim_record(db, 0, 5, NULL, 0, &err));
	ok(dtest_sql("SELECT count(*) FROM rejected") == 0 && pages((struct prune){.jobs_before = 100}) == 3, "none is kept of attempts that did not commit");
	a = cut(5, 6, 50);
	MUST(db_load_begin(db, pg, table, 1, 1000000, 51, &l, &err));
	memcpy(r.batch_id, a.batch_id, BATCH_ID_LEN);
	r.attempt = 1;
	MUST(db_load_reject(db, l.id, &r, 1, 52, &err));
	{
		struct load_result res = {.rows = 1, .rejected = 1, .attempt = 1};

		memcpy(res.batch_id, a.batch_id, BATCH_ID_LEN);
		MUST(db_load_done(db, l.id, &res, 1, 53, &err));
	}
	load_row_free(&l);
	MUST(db_batch_deleted(db, (const char *const[]){a.batch_id}, 1, 54, &err));
	MUST(db_trim_record(db, 0, 7, NULL, 0, &err));
	is_int(0, pages((struct prune){.jobs_before = 100, .rejects_before = 52, .rejects_max = 1}), "what has rejected records stays");
	is_int(0, dtest_sql("SELECT count(*) FROM event WHERE kind = 'rejected-deleted'"), "and nothing is told");
	is_int(4, pages((struct prune){.jobs_before = 100, .rejects_before = 53}), "when they are old they go, and with them all that led to them");
	is_int(1, dtest_sql("SELECT count(*) FROM event WHERE kind = 'rejected-deleted' AND text LIKE 'the 1 oldest %%reject_keep' AND at = 5000"), "an event tells it");
	ok(dtest_tally(table, pg).rejected == 2, "they stay counted");
	dtest_close();
}

/* More than rejects_max: the oldest go, in pages, each told; those of one time too. */
static void test_rejects_max(void)
{
	begin();
	MUST(sqlite3_exec(db->h,
		"WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 7000)"
		" INSERT INTO rejected (destination_id, batch_id, record, attempt, field, value, reason, raw, created) SELECT 1, 'b', i, 1, '', '', 'no', '{}', i / 1000 FROM c",
		NULL, NULL, NULL));
	is_int(6100, pages((struct prune){.rejects_max = 900}), "too many rejected records: the surplus goes");
	ok(dtest_sql("SELECT count(*) FROM rejected") == 900 && dtest_sql("SELECT min(created) FROM rejected") >= 6, "the newest stay");
	ok(dtest_sql("SELECT count(*) FROM event WHERE text LIKE 'the 5000 oldest %%rejects_max'") == 1 && dtest_sql("SELECT count(*) FROM event") == 2, "each page is told");
	dtest_close();
}

static struct cut shape(const char *name, uint64_t at)
{
	struct buf head = BUF_INIT, types = BUF_INIT;
	struct cut c;

	buf_addf(&types, "{\"%s\":[\"integer\"]}", name);
	dtest_head(&head, "[]", "null", buf_cstr(&types));
	c = dtest_cut(&(struct dtest_cut){.source = shop, .table = "t", .head = buf_cstr(&head), .first = at, .last = at, .records = 1, .position = at + 1, .at = 10});
	table = c.table_id;
	buf_free(&head);
	buf_free(&types);
	return c;
}

/* A version of the columns lives as long as a batch, a load or its table names it. */
static void test_schemas(void)
{
	struct cut c[3];

	begin();
	dtest_disconnect(shop, lite);
	for (unsigned i = 0; i < 3; i++)
		c[i] = shape((const char *const[]){"a", "b", "c"}[i], i);
	is_int(3, dtest_sql("SELECT count(*) FROM table_schema"), "three shapes, three versions");
	dtest_load(pg, table, 0, 20);
	MUST(db_batch_deleted(db, (const char *const[]){c[0].batch_id, c[1].batch_id}, 2, 30, &err));
	MUST(db_trim_record(db, 0, 3, NULL, 0, &err));
	MUST(sqlite3_exec(db->h, "UPDATE load SET schema_version = 2", NULL, NULL, NULL));
	is_int(2 + 2 + 1, pages((struct prune){.jobs_before = 100}), "two batches go with their jobs, and the version that nothing names");
	ok(dtest_sql("SELECT min(version) FROM table_schema") == 2 && dtest_sql("SELECT count(*) FROM table_schema") == 2, "a load's stays, and the newest");
	MUST(db_batch_deleted(db, (const char *const[]){c[2].batch_id}, 1, 31, &err));
	is_int(1 + 1 + 1 + 1, pages((struct prune){.jobs_before = 100}), "the last batch, its job, the load and its version");
	is_int(3, dtest_sql("SELECT sum(version) FROM table_schema"), "the table's own stays for ever");
	dtest_close();
}

int main(void)
{
	plan_lazy();
	test_trim();
	test_nobody();
	test_files();
	test_prune();
	test_rejects_max();
	test_schemas();
	return done_testing();
}
