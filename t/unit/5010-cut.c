/*
 * 5010-cut.c - the transaction of a cut and what belongs to it: batch ids, jobs, columns in versions, cursors, positions, request ids and repeats, rewinds, the
 * queue that a state belongs to.
 */
#include "tap.h"

#include "dtest.h"
#include "xalloc.h"

static int64_t shop, pg, lite;

static void begin(bool connected)
{
	dtest_open();
	shop = dtest_source("shop");
	pg = dtest_destination("pg");
	lite = dtest_destination("lite");
	if (connected) {
		dtest_connect(shop, pg, 0, 1);
		dtest_connect(shop, lite, 0, 1);
	}
}

static bool tally_is(int64_t table, int64_t d, uint64_t before, uint64_t spooled, uint64_t loaded, uint64_t rejected)
{
	struct tally_row y = dtest_tally(table, d);
	bool same = y.before == before && y.spooled == spooled && y.loaded == loaded && y.rejected == rejected;

	if (!same)
		diag("before %d spooled %d loaded %d rejected %d", (int)y.before, (int)y.spooled, (int)y.loaded, (int)y.rejected);
	return same;
}

static void test_row(void)
{
	struct batch_row b;
	struct cursor_row *cursors;
	struct position *p;
	struct cut c, other;
	size_t n;

	begin(true);
	c = dtest_cut(&(struct dtest_cut){.source = shop, .table = "orders", .first = 3, .last = 9, .records = 5, .position = 0, .at = 77});
	ok(strlen(c.batch_id) == 32 && strspn(c.batch_id, "0123456789abcdef") == 32, "the id is 32 hex digits: %s", c.batch_id);
	ok(c.jobs == 2 && !c.duplicate && c.table_id && c.schema_version == 1, "a job for each destination, a table, its first schema");
	MUST(db_batch_get(db, c.batch_id, &b, &err));
	ok(b.table_id == c.table_id && b.source_id == shop && strcmp(b.table, "orders") == 0 && strcmp(b.reason, "age") == 0 && b.first_offset == 3 && b.last_offset == 9 &&
			b.records == 5 && b.lines == 5 && b.bytes == 501 && b.created == 77 && b.first_received == 77 && !b.deleted &&
			memcmp(b.queue_id, dtest_queue, 16) == 0,
		"the row is as it was cut");
	batch_row_free(&b);
	ok(tally_is(c.table_id, pg, 0, 5, 0, 0) && tally_is(c.table_id, lite, 0, 5, 0, 0) && dtest_tally(c.table_id, 0).table_id == 0, "five records are spooled for each");
	is_int(77, dtest_tally(c.table_id, pg).oldest, "the oldest that waits");
	is_int(501, (int64_t)dtest_tally(c.table_id, pg).waiting_bytes, "its bytes");
	MUST(db_cursors(db, 0, &cursors, &n, &err));
	ok(n == 1 && cursors[0].source_id == shop && strcmp(cursors[0].table, "orders") == 0 && cursors[0].next_offset == 10, "the cursor is behind it");
	cursor_list_free(cursors, n);
	MUST(db_positions(db, &p, &n, &err));
	ok(n == 1 && p[0].read_from == 0 && memcmp(p[0].queue_id, dtest_queue, 16) == 0, "the position as given");
	free(p);
	ok(dtest_try_cut(&(struct dtest_cut){.source = shop, .table = "orders", .first = 9, .last = 12, .records = 1}, &other, &err) == -1 && err.code == ERR_STATE,
		"a batch below the cursor is refused: %s", err.text);
	ok(dtest_try_cut(&(struct dtest_cut){.source = shop, .table = "orders", .first = 12, .last = 11}, &other, &err) == -1 && err.code == ERR_INVALID,
		"and one that ends before it begins");
	other = dtest_cut(&(struct dtest_cut){.source = shop, .table = "items", .first = 4, .last = 4, .records = 2, .position = 11});
	ok(strcmp(other.batch_id, c.batch_id) != 0 && other.table_id != c.table_id, "another table, another id");
	MUST(db_cursors(db, 0, &cursors, &n, &err));
	is_int(0, (int64_t)n, "cursors below the position are gone");
	cursor_list_free(cursors, n);
	ok(dtest_try_cut(&(struct dtest_cut){.source = shop, .table = "new", .first = 10, .last = 11, .records = 1, .position = 12}, &other, &err) == -1,
		"a batch below the position is refused: %s", err.text);
	ok(dtest_try_cut(&(struct dtest_cut){.source = shop, .table = "new", .first = 11, .last = 11, .records = 1, .position = 10}, &other, &err) == -1,
		"a position that falls too: %s", err.text);
	is_int(0, dtest_sql("SELECT count(*) FROM tbl WHERE name = 'new'"), "nothing of it stays");
	MUST(db_batch_at(db, dtest_queue, 0, 7, shop, STR("orders"), &b, &err));
	is_str(c.batch_id, b.id, "the batch at an offset");
	batch_row_free(&b);
	/* another source's table of the same name, whose batch reaches over the same offsets and begins later */
	other = dtest_cut(&(struct dtest_cut){.source = dtest_source("other"), .table = "orders", .first = 11, .last = 15, .records = 1, .position = 11});
	c = dtest_cut(&(struct dtest_cut){.source = shop, .table = "orders", .first = 12, .last = 16, .records = 1, .position = 11});
	MUST(db_batch_at(db, dtest_queue, 0, 13, other.source_id, STR("orders"), &b, &err));
	is_str(other.batch_id, b.id, "of this source");
	batch_row_free(&b);
	MUST(db_batch_at(db, dtest_queue, 0, 13, shop, STR("orders"), &b, &err));
	is_str(c.batch_id, b.id, "and of that one");
	batch_row_free(&b);
	ok(db_batch_at(db, dtest_queue, 0, 10, shop, STR("orders"), &b, &err) == -1 && err.code == ERR_NOT_FOUND, "none there: %s", err.text);
	dtest_close();
}

static void test_schema(void)
{
	struct buf head = BUF_INIT;
	struct table_row t;
	struct cut c;
	char *json;

	begin(true);
	dtest_head(&head, "[\"id\"]", "{\"properties\":{\"at\":{\"type\":\"string\",\"format\":\"date-time\"}}}", "{\"id\":[\"integer\"],\"at\":[\"string\"]}");
	c = dtest_cut(&(struct dtest_cut){.source = shop, .table = "t", .head = buf_cstr(&head), .first = 0, .last = 0, .records = 1});
	c = dtest_cut(&(struct dtest_cut){.source = shop, .table = "t", .head = buf_cstr(&head), .first = 1, .last = 1, .records = 1});
	is_int(1, c.schema_version, "the same head makes no new version");
	c = dtest_cut(&(struct dtest_cut){.source = shop, .table = "t", .first = 2, .last = 2, .records = 1});
	is_int(2, c.schema_version, "other columns do");
	MUST(db_table_columns(db, c.table_id, 0, &json, &err));
	is_str("[{\"name\":\"id\",\"types\":[\"integer\"]},{\"name\":\"at\",\"types\":[\"timestamp\"]},{\"name\":\"n\",\"types\":[\"integer\"]}]", json, "the newest");
	free(json);
	MUST(db_table_columns(db, c.table_id, 1, &json, &err));
	is_str("[{\"name\":\"id\",\"types\":[\"integer\"]},{\"name\":\"at\",\"types\":[\"timestamp\"]}]", json, "an older one");
	free(json);
	ok(db_table_columns(db, c.table_id, 7, &json, &err) == -1 && err.code == ERR_NOT_FOUND, "one that is not there");
	c = dtest_cut(&(struct dtest_cut){.source = shop, .table = "t", .head = "no head", .first = 3, .last = 3, .records = 1});
	is_int(2, c.schema_version, "a head that cannot be read stops nothing");
	MUST(db_table_get(db, shop, STR("t"), &t, &err));
	ok(t.id == c.table_id && t.schema_version == 2 && strcmp(t.key_names, "[]") == 0, "the table has the newest keys");
	table_row_free(&t);
	ok(db_table_get(db, shop, STR("x"), &t, &err) == -1 && err.code == ERR_NOT_FOUND && db_table_get_id(db, 99, &t, &err) == -1, "no such table");
	buf_free(&head);
	dtest_close();
}

/* A batch of nothing but switch_view has a head without keys and columns. */
static void test_switch_view(void)
{
	struct buf head = BUF_INIT, bare = BUF_INIT;
	struct table_row t;
	struct cut c;

	begin(true);
	dtest_head(&head, "[\"id\"]", "null", "{\"id\":[\"integer\"]}");
	dtest_head(&bare, "[]", "null", "{}");
	c = dtest_cut(&(struct dtest_cut){.source = shop, .table = "t", .head = buf_cstr(&bare), .first = 0, .last = 0, .records = 0});
	ok(c.schema_version == 1 && c.jobs == 2, "a table may begin with it");
	c = dtest_cut(&(struct dtest_cut){.source = shop, .table = "t", .head = buf_cstr(&head), .first = 1, .last = 1, .records = 1});
	is_int(2, c.schema_version, "records bring keys and columns");
	c = dtest_cut(&(struct dtest_cut){.source = shop, .table = "t", .head = buf_cstr(&bare), .first = 2, .last = 2, .records = 0});
	is_int(2, c.schema_version, "switch_view alone makes no version");
	ok(dtest_sql("SELECT key_names = '[]' FROM batch WHERE first_offset = 2") == 1, "its batch has the keys that stand in its file");
	MUST(db_table_get(db, shop, STR("t"), &t, &err));
	is_str("[\"id\"]", t.key_names, "the table keeps its own");
	table_row_free(&t);
	c = dtest_cut(&(struct dtest_cut){.source = shop, .table = "t", .head = buf_cstr(&head), .first = 3, .last = 3, .records = 1});
	is_int(2, c.schema_version, "nor does what comes after");
	buf_free(&head);
	buf_free(&bare);
	dtest_close();
}

static void test_nobody(void)
{
	struct cut c;
	uint64_t jobs;

	begin(false);
	c = dtest_cut(&(struct dtest_cut){.source = shop, .table = "t", .first = 0, .last = 4, .records = 5, .position = 5, .at = 9});
	c = dtest_cut(&(struct dtest_cut){.source = shop, .table = "t", .first = 5, .last = 6, .records = 2, .position = 7, .at = 10});
	ok(c.jobs == 0 && tally_is(c.table_id, 0, 0, 7, 0, 0) && dtest_tally(c.table_id, 0).oldest == 9, "without a destination: spooled under none");
	jobs = dtest_connect(shop, pg, 0, 50);
	ok(jobs == 2 && tally_is(c.table_id, pg, 0, 7, 0, 0) && !dtest_tally(c.table_id, 0).table_id, "the first destination gets what waits");
	dtest_load(pg, c.table_id, 3, 60);
	ok(tally_is(c.table_id, pg, 0, 0, 4, 3), "loaded and rejected");
	jobs = dtest_connect(shop, lite, 0, 70);
	ok(jobs == 0 && tally_is(c.table_id, lite, 7, 0, 0, 0), "a later one gets what comes: what was is before it");
	dtest_disconnect(shop, lite);
	jobs = dtest_connect(shop, lite, 10, 80);
	ok(jobs == 1 && tally_is(c.table_id, lite, 5, 2, 0, 0), "or, from a time on, what was cut since");
	c = dtest_cut(&(struct dtest_cut){.source = shop, .table = "t", .first = 7, .last = 7, .records = 1, .position = 8});
	ok(c.jobs == 2 && tally_is(c.table_id, lite, 5, 3, 0, 0) && tally_is(c.table_id, pg, 0, 1, 4, 3), "then both");
	dtest_close();
}

/* Connected again under another schema: what no load has held goes there; what a load has held stays, its rows may be there already. */
static void test_schema_moves(void)
{
	struct load_row l;
	uint64_t jobs;

	begin(false);
	dtest_connect(shop, pg, 0, 1);
	dtest_cut(&(struct dtest_cut){.source = shop, .table = "t", .first = 0, .last = 0, .records = 1, .position = 1});
	MUST(db_load_begin(db, pg, 1, 1, 1000, 5, &l, &err));
	MUST(db_load_failed(db, l.id, "transient", "x", NULL, 6, 6, &err));
	load_row_free(&l);
	dtest_cut(&(struct dtest_cut){.source = shop, .table = "t", .first = 1, .last = 1, .records = 1, .position = 2});
	dtest_disconnect(shop, pg);
	ok(dtest_sql("SELECT count(*) FROM job WHERE state IN (1, 4)") == 2, "what waits stays when the connection goes");
	MUST(db_connect(db, shop, pg, "other", 0, 7, &jobs, &err));
	MUST(db_load_begin(db, pg, 1, 10, 1000, 8, &l, &err));
	ok(l.n == 1 && strcmp(l.schema, "main") == 0, "a load that has begun keeps its schema");
	load_row_free(&l);
	MUST(db_load_recover(db, 9, &err));
	dtest_load(pg, 1, 0, 10);
	MUST(db_load_begin(db, pg, 1, 10, 1000, 11, &l, &err));
	ok(l.n == 1 && strcmp(l.schema, "other") == 0, "the next one goes to the new one");
	load_row_free(&l);
	dtest_close();
}

static void repeat(struct repeat_passed *r, const char *id, uint64_t offset, uint32_t records)
{
	*r = (struct repeat_passed){.source_id = (uint32_t)shop, .table = STR("t"), .request_id = str_c(id), .offset = offset, .records = records};
}

static void test_requests(void)
{
	struct cut_request q[2] = {{.request_id = STR("one"), .offset = 0, .received_at = 100}, {.request_id = STR("two"), .part = 1, .offset = 1, .received_at = 200}};
	struct position p = {.read_from = 4};
	struct repeat_passed r[2];
	bool other;
	uint32_t partition = 9;
	uint64_t offset = 9;
	struct cut c;

	begin(true);
	c = dtest_cut(&(struct dtest_cut){.source = shop, .table = "t", .first = 0, .last = 1, .records = 4, .position = 2, .requests = q, .n_requests = 2});
	ok(!db_request_find(db, (uint32_t)shop, STR("two"), STR("t"), 1, &partition, &offset, &err) && partition == 0 && offset == 1, "a request that was taken is known");
	ok(db_request_find(db, (uint32_t)shop, STR("two"), STR("t"), 0, &partition, &offset, &err) == -1 && err.code == ERR_NOT_FOUND, "another part is not");
	ok(db_request_find(db, (uint32_t)shop, STR("one"), STR("u"), 0, &partition, &offset, &err) == -1, "nor another table");
	ok(!db_request_other(db, (uint32_t)shop, STR("two"), 2, 0, &other, &err) && !other, "an id is no other than itself");
	ok(!db_request_other(db, (uint32_t)shop, STR("txx"), 2, 0, &other, &err) && !other, "one with another separator is not one of its kind");
	ok(!db_request_other(db, (uint32_t)shop, STR("twx"), 2, 0, &other, &err) && other, "one with another tail is");
	ok(!db_request_other(db, (uint32_t)shop, STR("twx"), 2, 201, &other, &err) && !other, "unless it is too old");
	ok(!db_request_other(db, (uint32_t)shop + 1, STR("twx"), 2, 0, &other, &err) && !other, "or another source's");
	q[0].offset = 3;
	ok(dtest_try_cut(&(struct dtest_cut){.source = shop, .table = "t", .first = 3, .last = 3, .records = 1, .position = 4, .requests = q, .n_requests = 1}, &c, &err) == -1 &&
			err.code == ERR_STATE,
		"taken twice: refused (%s)", err.text);
	repeat(&r[0], "one", 2, 3);
	memcpy(p.queue_id, dtest_queue, 16);
	p.repeats = r;
	p.n_repeats = 1;
	MUST(db_position_save(db, &p, &err));
	ok(tally_is(c.table_id ? c.table_id : 1, pg, 0, 4, 3, 0), "a repeat that is passed counts as loaded");
	MUST(db_position_save(db, &p, &err));
	ok(tally_is(1, pg, 0, 4, 3, 0) && dtest_sql("SELECT repeats FROM tbl") == 3, "once");
	MUST(db_request_expire(db, 150, &err));
	ok(!db_request_find(db, (uint32_t)shop, STR("one"), STR("t"), 0, &partition, &offset, &err), "an id is kept while the queue holds a repeat of it");
	MUST(db_trim_record(db, 0, 3, NULL, 0, &err));
	MUST(db_request_expire(db, 150, &err));
	ok(db_request_find(db, (uint32_t)shop, STR("one"), STR("t"), 0, &partition, &offset, &err) == -1, "and forgotten when that is trimmed");
	ok(!db_request_find(db, (uint32_t)shop, STR("two"), STR("t"), 1, &partition, &offset, &err), "a younger one stays");
	dtest_close();
}

static void test_rewind(void)
{
	struct tally_part part = {.table = STR("t"), .records = 9};
	struct repeat_passed r;
	struct dtest_cut first = {.table = "t", .first = 0, .last = 3, .records = 4, .position = 4}, second = {.table = "t", .first = 4, .last = 9, .records = 6, .position = 11, .repeats = &r, .n_repeats = 1};
	struct cut_request q = {.request_id = STR("one"), .offset = 0, .received_at = 1};
	struct job_row j;
	struct cut a, b, c;
	uint64_t floor;

	begin(false);
	dtest_connect(shop, pg, 0, 1);
	first.source = second.source = part.source_id = shop;
	first.requests = &q;
	first.n_requests = 1;
	repeat(&r, "one", 10, 2);
	a = dtest_cut(&first);
	b = dtest_cut(&second);
	dtest_load(pg, a.table_id, 0, 20);
	ok(tally_is(a.table_id, pg, 0, 0, 12, 0), "10 records and a repeat of 2 are loaded");
	/* back to 2: two records of the first batch, all of the second, the repeat */
	part.records = 2 + 6 + 2;
	MUST(db_rewind(db, 0, 2, &part, 1, &err));
	ok(tally_is(a.table_id, pg, 0, 0, 2, 0) && dtest_tally(a.table_id, pg).reread == 10, "what is read again is taken off, and told");
	MUST(db_queue_floor(db, dtest_queue, &floor, &err));
	is_int(10, (int64_t)floor, "the queue's floor is behind every batch, wherever the position is");
	c = dtest_cut(&(struct dtest_cut){.source = shop, .table = "t", .first = 2, .last = 3, .records = 2, .position = 4});
	ok(!c.duplicate && c.jobs == 1, "another range: another batch");
	c = dtest_cut(&second);
	ok(c.duplicate && c.jobs == 1 && strcmp(c.batch_id, b.batch_id) == 0, "the same range: the same batch, a new job");
	ok(tally_is(a.table_id, pg, 0, 8, 4, 0), "the sum holds");
	dtest_load(pg, a.table_id, 0, 30);
	ok(tally_is(a.table_id, pg, 0, 0, 12, 0), "and when it is loaded again");
	/* a job that still waits counts again instead of a second one */
	part.records = 8;
	MUST(db_rewind(db, 0, 4, &part, 1, &err));
	dtest_cut(&second);
	MUST(db_rewind(db, 0, 4, &part, 1, &err));
	ok(tally_is(a.table_id, pg, 0, 0, 4, 0), "its job counts nothing now");
	c = dtest_cut(&second);
	ok(c.jobs == 1 && tally_is(a.table_id, pg, 0, 6, 6, 0) && dtest_sql("SELECT count(*) FROM job WHERE state = 1") == 1, "cut again: one job waits");
	MUST(db_job_get(db, dtest_sql("SELECT max(id) FROM job"), &j, &err));
	ok(j.state == JOB_READY && j.records == 6, "as any other");
	job_row_free(&j);
	ok(db_rewind(db, 0, 12, NULL, 0, &err) == -1 && err.code == ERR_STATE, "behind the position: refused (%s)", err.text);
	MUST(db_trim_record(db, 0, 4, NULL, 0, &err));
	ok(db_rewind(db, 0, 3, NULL, 0, &err) == -1 && err.code == ERR_STATE, "before the trim point too");
	dtest_close();
}

/* A destination that was connected after a batch had it as before; a rewind brings it. */
static void test_rewind_before(void)
{
	struct dtest_cut all = {.table = "t", .first = 0, .last = 3, .records = 4, .position = 4};
	struct tally_part part = {.table = STR("t"), .records = 4};
	struct cut c;

	begin(false);
	all.source = part.source_id = shop;
	dtest_connect(shop, pg, 0, 1);
	c = dtest_cut(&all);
	dtest_load(pg, c.table_id, 1, 5);
	dtest_connect(shop, lite, 0, 6);
	ok(tally_is(c.table_id, lite, 4, 0, 0, 0), "before its time");
	MUST(db_rewind(db, 0, 0, &part, 1, &err));
	ok(tally_is(c.table_id, lite, 0, 0, 0, 0) && tally_is(c.table_id, pg, 0, 0, 0, 0), "nothing counts");
	c = dtest_cut(&all);
	ok(c.duplicate && c.jobs == 2 && tally_is(c.table_id, lite, 0, 4, 0, 0), "now it is its matter");
	/* the file was deleted: the new one counts */
	MUST(sqlite3_exec(db->h, "UPDATE batch SET deleted = 5, done = 5; UPDATE job SET state = 3", NULL, NULL, NULL));
	MUST(db_rewind(db, 0, 0, &part, 1, &err));
	c = dtest_cut(&all);
	ok(c.duplicate && dtest_sql("SELECT count(*) FROM batch WHERE deleted = 0 AND path = (SELECT 'file-' || max(CAST(substr(path, 6) AS INTEGER)) FROM batch)") == 1,
		"a file that was deleted is replaced by the new one");
	dtest_close();
}

static void test_queue(void)
{
	unsigned char other[16] = "another queue id";
	uint64_t floor;

	dtest_open();
	MUST(db_queue_bind(db, dtest_queue, &err));
	MUST(db_queue_bind(db, other, &err));
	MUST(db_queue_bind(db, dtest_queue, &err));
	ok(true, "a state that holds nothing may belong to another queue");
	MUST(db_queue_floor(db, dtest_queue, &floor, &err));
	is_int(0, (int64_t)floor, "nothing yet");
	shop = dtest_source("shop");
	dtest_cut(&(struct dtest_cut){.source = shop, .table = "t", .first = 5, .last = 8, .records = 1, .position = 3});
	ok(db_queue_bind(db, other, &err) == -1 && err.code == ERR_STATE, "then it may not: %s", err.text);
	MUST(db_queue_floor(db, dtest_queue, &floor, &err));
	is_int(9, (int64_t)floor, "the floor is behind the batch");
	MUST(db_queue_floor(db, other, &floor, &err));
	is_int(0, (int64_t)floor, "of another queue: nothing");
	dtest_close();
}

int main(void)
{
	plan_lazy();
	test_row();
	test_schema();
	test_switch_view();
	test_nobody();
	test_schema_moves();
	test_requests();
	test_rewind();
	test_rewind_before();
	test_queue();
	return done_testing();
}
