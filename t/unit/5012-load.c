/*
 * 5012-load.c - jobs and loads: what is a candidate, how a load begins and begins again, each way in which it ends, rejected records by attempt, hold, replay,
 * discard; and that a million jobs do not make the questions that are asked all the time slow: each goes by an index.
 */
#include "tap.h"

#include "dtest.h"
#include "xalloc.h"

static int64_t shop, pg, table;

/* n batches of 10 records each: offsets 0, 1, ... */
static void begin(int n)
{
	dtest_open();
	shop = dtest_source("shop");
	pg = dtest_destination("pg");
	dtest_connect(shop, pg, 0, 1);
	for (int i = 0; i < n; i++)
		table = dtest_cut(&(struct dtest_cut){.source = shop, .table = "t", .first = (uint64_t)i, .last = (uint64_t)i, .records = 10, .at = 100 + i}).table_id;
}

static enum job_state state_of(int64_t id)
{
	return (enum job_state)dtest_sql("SELECT state FROM job WHERE id = %d", (int)id);
}

static bool tally_is(uint64_t spooled, uint64_t loaded, uint64_t rejected, uint64_t discarded)
{
	struct tally_row y = dtest_tally(table, pg);
	bool same = y.spooled == spooled && y.loaded == loaded && y.rejected == rejected && y.discarded == discarded;

	if (!same)
		diag("spooled %d loaded %d rejected %d discarded %d", (int)y.spooled, (int)y.loaded, (int)y.rejected, (int)y.discarded);
	return same;
}

static struct load_row load_of(unsigned max, int64_t now)
{
	struct load_row l;

	MUST(db_load_begin(db, pg, table, max, UINT64_C(1) << 40, now, &l, &err));
	return l;
}

static bool candidates(int64_t now, size_t wanted)
{
	struct load_candidate *list;
	size_t n;

	MUST(db_load_candidates(db, pg, now, 10, &list, &n, &err));
	candidate_list_free(list, n);
	return n == wanted;
}

static struct load_result result_of(const struct load_row *l, size_t k, uint64_t rejected)
{
	struct load_result r = {.rejected = rejected, .attempt = l->attempt};

	memcpy(r.batch_id, l->batches[k].batch.id, BATCH_ID_LEN);
	r.rows = l->batches[k].batch.records - rejected;
	return r;
}

static void reject(const struct load_row *l, size_t k, uint64_t record)
{
	struct reject_row r = {.record = record, .attempt = l->attempt};

	memcpy(r.batch_id, l->batches[k].batch.id, BATCH_ID_LEN);
	r.reason = (char *)(uintptr_t) "too long";
	r.raw = (char *)(uintptr_t) "{}";
	MUST(db_load_reject(db, l->id, &r, 1, 5, &err));
}

static size_t rejects(int64_t job)
{
	struct reject_row *rows;
	size_t n;

	MUST(db_reject_list(db, job, 100, &rows, &n, &err));
	for (size_t i = 1; i < n; i++)
		ok(rows[i].record >= rows[i - 1].record, "in the order of the records");
	reject_list_free(rows, n);
	return n;
}

static void test_begin(void)
{
	struct load_candidate *list;
	struct load_row l, again;
	size_t n;

	begin(5);
	MUST(db_load_candidates(db, pg, 200, 10, &list, &n, &err));
	ok(n == 1 && list[0].table_id == table && list[0].source_id == shop && strcmp(list[0].table, "t") == 0 && list[0].jobs == 5 && list[0].records == 50 &&
			list[0].bytes == 5005 && list[0].oldest == 100,
		"one table has something to load");
	candidate_list_free(list, n);
	l = load_of(3, 200);
	ok(l.n == 3 && l.attempt == 1 && l.started == 200 && strcmp(l.source, "shop") == 0 && strcmp(l.table, "t") == 0 && strcmp(l.schema, "main") == 0 &&
			strcmp(l.key_names, "[]") == 0 && strstr(l.columns, "\"n\"") && l.schema_version == 1 && l.destination_id == pg && l.source_id == shop,
		"the three oldest, with all that a loader must know");
	ok(l.batches[0].job_id == 1 && l.batches[2].job_id == 3 && l.batches[0].batch.first_offset == 0 && l.batches[1].batch.records == 10, "in their order");
	ok(state_of(1) == JOB_ACTIVE && state_of(4) == JOB_READY && tally_is(50, 0, 0, 0), "its jobs are active, nothing is counted otherwise");
	MUST(db_load_failed(db, l.id, "transient", "no route", NULL, 210, 500, &err));
	ok(state_of(1) == JOB_DEFERRED && dtest_sql("SELECT not_before FROM job WHERE id = 1") == 500 && dtest_sql("SELECT attempts FROM job WHERE id = 1") == 1,
		"deferred until its time");
	ok(candidates(499, 0) && candidates(500, 1), "a candidate then, not before: the ready ones of the table wait too");
	ok(db_load_begin(db, pg, table, 3, 1000000, 499, &again, &err) == -1 && err.code == ERR_NOT_FOUND, "nor can it begin: %s", err.text);
	MUST(db_load_begin(db, pg, table, 1, 1, 500, &again, &err));
	ok(again.id == l.id && again.attempt == 2 && again.n == 3 && again.batches[2].job_id == 3, "the same load again, whatever the limits");
	MUST(db_load_recover(db, 600, &err));
	ok(state_of(1) == JOB_DEFERRED && candidates(600, 1), "after a restart it is due");
	load_row_free(&l);
	load_row_free(&again);
	l = load_of(1, 600);
	is_int(3, l.attempt, "with the next number");
	MUST(db_load_failed(db, l.id, "config", "no right", NULL, 700, 9000, &err));
	ok(candidates(8000, 0), "a config error waits as well");
	MUST(db_retry_now(db, pg, 800, &err));
	ok(candidates(800, 1), "until somebody says: now");
	load_row_free(&l);
	MUST(db_load_get(db, 1, &l, &err));
	ok(l.n == 3 && l.attempt == 3, "the row can be read");
	load_row_free(&l);
	ok(db_load_get(db, 9, &l, &err) == -1 && err.code == ERR_NOT_FOUND, "no such load");
	dtest_close();
}

static void test_limits(void)
{
	struct buf head = BUF_INIT;
	struct load_row l;

	begin(3);
	dtest_head(&head, "[\"id\"]", "null", "{\"id\":[\"string\"]}");
	dtest_cut(&(struct dtest_cut){.source = shop, .table = "t", .head = buf_cstr(&head), .first = 3, .last = 3, .records = 1});
	dtest_cut(&(struct dtest_cut){.source = shop, .table = "t", .first = 4, .last = 4, .records = 1});
	MUST(db_load_begin(db, pg, table, 10, 1, 200, &l, &err));
	is_int(1, (int64_t)l.n, "a batch over the limit of bytes is loaded alone");
	MUST(db_load_done(db, l.id, (struct load_result[]){result_of(&l, 0, 0)}, 1, 201, &err));
	load_row_free(&l);
	l = load_of(10, 202);
	ok(l.n == 2 && strcmp(l.key_names, "[]") == 0 && l.schema_version == 1, "one key set a load");
	MUST(db_load_done(db, l.id, (struct load_result[]){result_of(&l, 0, 0), result_of(&l, 1, 0)}, 2, 203, &err));
	load_row_free(&l);
	l = load_of(10, 204);
	ok(l.n == 1 && strcmp(l.key_names, "[\"id\"]") == 0 && strstr(l.columns, "\"id\""), "then the next, with its keys and columns");
	MUST(db_load_done(db, l.id, (struct load_result[]){result_of(&l, 0, 0)}, 1, 205, &err));
	load_row_free(&l);
	l = load_of(10, 206);
	ok(l.n == 1 && strcmp(l.key_names, "[]") == 0, "keys that are as they were are known from the batch's own head");
	load_row_free(&l);
	buf_free(&head);
	dtest_close();
}

static void test_done(void)
{
	struct load_result r[3];
	struct job_counts counts;
	struct load_row l;

	begin(3);
	l = load_of(2, 200);
	reject(&l, 0, 7);
	MUST(db_load_failed(db, l.id, "transient", "died", NULL, 201, 201, &err));
	load_row_free(&l);
	l = load_of(2, 202);
	reject(&l, 0, 3);
	reject(&l, 0, 4);
	reject(&l, 0, 4);
	is_int(3, (int64_t)rejects(1), "rejected records of two attempts");
	r[0] = result_of(&l, 0, 2);
	r[1] = result_of(&l, 1, 0);
	r[2] = result_of(&l, 0, 0);
	memset(r[2].batch_id, 'f', 32);
	ok(db_load_done(db, l.id, r, 1, 203, &err) == -1 && err.code == ERR_INVALID, "an answer without one of its batches: %s", err.text);
	MUST(sqlite3_exec(db->h, "UPDATE job SET state = 2, rows = 0, rejected = 0, counted_rejected = 0 WHERE id = 1; UPDATE batch SET done = 0", NULL, NULL, NULL));
	ok(db_load_done(db, l.id, &r[2], 1, 203, &err) == -1 && err.code == ERR_INVALID, "or for one that is not in it: %s", err.text);
	MUST(db_load_done(db, l.id, r, 2, 204, &err));
	ok(state_of(1) == JOB_DONE && state_of(2) == JOB_DONE && tally_is(10, 18, 2, 0), "loaded and rejected");
	is_int(2, (int64_t)rejects(1), "only what the attempt that committed rejected is kept");
	ok(dtest_sql("SELECT count(*) FROM batch WHERE done = 204") == 2 && dtest_sql("SELECT outcome = 'done' AND ended = 204 FROM load") == 1, "the batches are done");
	ok(db_load_done(db, l.id, r, 2, 205, &err) == -1 && err.code == ERR_STATE, "once: %s", err.text);
	ok(db_load_failed(db, l.id, "data", "x", NULL, 205, 0, &err) == -1 && db_load_failed(db, 77, "data", "x", NULL, 205, 0, &err) == -1, "nor can it fail then");
	MUST(db_job_counts(db, &counts, &err));
	ok(counts.n[JOB_DONE] == 2 && counts.n[JOB_READY] == 1 && counts.records[JOB_DONE] == 20 && counts.bytes[JOB_READY] == 1001 && counts.n[JOB_ACTIVE] == 0,
		"the numbers by state");
	load_row_free(&l);
	/* an answer from the ledger: an earlier attempt had committed */
	l = load_of(2, 206);
	reject(&l, 0, 1);
	MUST(db_load_failed(db, l.id, "transient", "answer lost", NULL, 207, 207, &err));
	load_row_free(&l);
	l = load_of(2, 208);
	reject(&l, 0, 1);
	reject(&l, 0, 2);
	r[0] = result_of(&l, 0, 1);
	r[0].attempt = 1;
	r[0].already = true;
	MUST(db_load_done(db, l.id, r, 1, 209, &err));
	ok(rejects(3) == 1 && tally_is(0, 27, 3, 0), "then its rejected records count");
	load_row_free(&l);
	dtest_close();
}

static void test_bad(void)
{
	struct load_row l;
	struct job_row j;
	int64_t id;

	begin(4);
	l = load_of(2, 200);
	MUST(db_load_failed(db, l.id, "data", "no such type", NULL, 201, 0, &err));
	ok(state_of(1) == JOB_REJECTED && state_of(2) == JOB_REJECTED && tally_is(20, 0, 20, 0), "data: the jobs are rejected");
	MUST(db_job_get(db, 1, &j, &err));
	ok(strcmp(j.error_class, "data") == 0 && strcmp(j.error, "no such type") == 0 && j.attempts == 1 && strcmp(j.destination, "pg") == 0 && strcmp(j.source, "shop") == 0,
		"with the reason");
	job_row_free(&j);
	load_row_free(&l);
	l = load_of(2, 202);
	ok(l.n == 2 && l.batches[0].job_id == 3, "the table goes on");
	MUST(db_load_failed(db, l.id, "corrupt", "sha256", l.batches[1].batch.id, 203, 0, &err));
	ok(state_of(3) == JOB_READY && state_of(4) == JOB_CORRUPT && tally_is(10, 0, 30, 0), "corrupt: that one; the other is free again");
	load_row_free(&l);
	l = load_of(2, 204);
	ok(l.n == 1 && l.attempt == 2, "its next load numbers its attempts on");
	MUST(db_load_failed(db, l.id, "corrupt", "which?", NULL, 205, 0, &err));
	ok(state_of(3) == JOB_CORRUPT && candidates(300, 0), "corrupt without a name: none of them is tried by itself");
	load_row_free(&l);
	MUST(db_job_replay(db, 1, 210, &id, &err));
	ok(id == 5 && state_of(5) == JOB_READY && state_of(1) == JOB_REJECTED && tally_is(10, 0, 30, 0), "a replay is a new job; the sum holds");
	MUST(db_job_replay(db, 1, 211, &id, &err));
	ok(id == 5 && dtest_sql("SELECT count(*) FROM job") == 5, "again: it is on its way already");
	l = load_of(2, 212);
	ok(l.n == 1 && l.attempt == 2 && l.batches[0].job_id == 5, "it is loaded, its attempts go on");
	MUST(db_load_done(db, l.id, (struct load_result[]){result_of(&l, 0, 1)}, 1, 213, &err));
	ok(tally_is(0, 9, 31, 0), "rejected becomes loaded");
	load_row_free(&l);
	MUST(db_job_replay(db, 5, 214, &id, &err));
	ok(id == 5, "a replay of what is done changes nothing");
	MUST(db_job_replay(db, 1, 214, &id, &err));
	ok(id == 1 && dtest_sql("SELECT count(*) FROM job") == 5 && tally_is(0, 9, 31, 0), "nor one of the job that was replayed");
	ok(db_job_replay(db, 99, 214, &id, &err) == -1 && err.code == ERR_NOT_FOUND, "no such job");
	dtest_close();
}

static void test_hold(void)
{
	struct load_row l;
	int64_t id;

	begin(3);
	MUST(db_job_hold(db, 1, true, "looks wrong", 150, &err));
	ok(state_of(1) == JOB_HELD && tally_is(30, 0, 0, 0), "held, and still spooled");
	ok(db_job_hold(db, 1, true, "again", 150, &err) == -1 && err.code == ERR_STATE, "once: %s", err.text);
	l = load_of(1, 200);
	is_int(2, l.batches[0].job_id, "the others go on");
	ok(db_job_hold(db, 2, true, "x", 201, &err) == -1 && db_job_hold(db, 2, false, NULL, 201, &err) == -1, "not what is active");
	MUST(db_load_failed(db, l.id, "transient", "x", NULL, 202, 202, &err));
	MUST(db_job_hold(db, 2, true, "x", 203, &err));
	ok(candidates(900, 0), "a held job of an unfinished load holds the load");
	load_row_free(&l);
	ok(db_load_begin(db, pg, table, 1, 1, 900, &l, &err) == -1 && err.code == ERR_NOT_FOUND, "it does not begin");
	MUST(db_job_hold(db, 2, false, NULL, 204, &err));
	ok(state_of(2) == JOB_DEFERRED && candidates(204, 1), "let go: due");
	MUST(db_job_hold(db, 1, false, NULL, 205, &err));
	ok(state_of(1) == JOB_READY, "and ready");
	MUST(db_job_hold(db, 2, true, "x", 206, &err));
	MUST(db_job_replay(db, 2, 207, &id, &err));
	ok(state_of(2) == JOB_DISCARDED && state_of(id) == JOB_READY && tally_is(30, 0, 0, 0), "a replay of a held one takes its place");
	l = load_of(9, 208);
	ok(l.id == 2 && l.n == 3 && l.attempt == 2, "the old load is over without it");
	load_row_free(&l);
	dtest_close();
}

/* The jobs that the spool finds to be discarded. */
static size_t discards(void)
{
	struct discard_row *rows;
	size_t n;

	MUST(db_job_discards(db, pg, 10, &rows, &n, &err));
	if (n && (strcmp(rows[0].schema, "main") != 0 || rows[0].table_id != table))
		n = 999;
	discard_list_free(rows, n == 999 ? 1 : n);
	return n;
}

/* Asked for while its load runs: whatever the end but success, it is held for the discard; and who lets it go cancels it. */
static void test_discard_active(void)
{
	static const char *const ends[] = {"transient", "config", "data", "corrupt", "restart"};
	struct load_row l;
	bool done;

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		begin(2);
		l = load_of(9, 200);
		MUST(db_job_discard(db, 1, 201, &done, &err));
		ok(!done && state_of(1) == JOB_ACTIVE && discards() == 0, "%s: not while it is loaded", ends[i]);
		if (strcmp(ends[i], "restart") == 0)
			MUST(db_load_recover(db, 202, &err));
		else
			MUST(db_load_failed(db, l.id, ends[i], "x", l.batches[0].batch.id, 202, 202, &err));
		ok(state_of(1) == JOB_HELD && discards() == 1 && state_of(2) != JOB_HELD && state_of(2) != JOB_ACTIVE, "then it is held, the other is not");
		MUST(db_job_hold(db, 1, false, NULL, 203, &err));
		ok(discards() == 0 && state_of(1) != JOB_HELD, "resuming it cancels the discard");
		MUST(db_job_discarded(db, 1, NULL, 204, &err));
		ok(state_of(1) != JOB_DISCARDED && tally_is(strcmp(ends[i], "data") == 0 ? 10 : 20, 0, strcmp(ends[i], "data") == 0 ? 10 : 0, 0), "a late answer changes nothing");
		load_row_free(&l);
		dtest_close();
	}
	begin(2);
	l = load_of(9, 200);
	MUST(db_load_failed(db, l.id, "data", "x", NULL, 201, 201, &err));
	load_row_free(&l);
	MUST(db_job_discard(db, 1, 202, &done, &err));
	ok(!done && state_of(1) == JOB_HELD && discards() == 1 && tally_is(10, 0, 10, 0), "one that was refused before is held too");
	MUST(db_job_discarded(db, 1, NULL, 203, &err));
	ok(state_of(1) == JOB_DISCARDED && tally_is(0, 0, 10, 10), "and discarded");
	dtest_close();
}

/* A kind that keeps no ledger in the destination: state.db says what earlier loads hold, and the time that names the files. */
static void test_without_ledger(void)
{
	struct load_result r;
	struct load_row l, again;
	struct discard_row *rows;
	size_t n;
	bool done;

	begin(4);
	dtest_sql("UPDATE destination SET kind = 's3'");
	l = load_of(1, 5 * NSEC_PER_SEC + 1234567);
	ok(l.load_time == 5 * NSEC_PER_SEC + NSEC_PER_MSEC && !l.batches[0].n_held, "the time of a load is whole milliseconds; the first holds all of its batch");
	reject(&l, 0, 3);
	reject(&l, 0, 4);
	r = (struct load_result){.uncounted = true, .attempt = 1};
	memcpy(r.batch_id, l.batches[0].batch.id, BATCH_ID_LEN);
	MUST(db_load_done(db, l.id, &r, 1, 300, &err));
	ok(tally_is(30, 8, 2, 0) && dtest_sql("SELECT rows * 100 + rejected FROM job WHERE id = 1") == 802, "what the loader does not count is counted by its rejected records");
	load_row_free(&l);
	/* what was cut in another way: the first batch went up to offset 1 */
	dtest_sql("UPDATE batch SET last_offset = 1 WHERE first_offset = 0");
	dtest_sql("UPDATE batch SET table_version = 7 WHERE first_offset = 3");
	l = load_of(9, 1);
	ok(l.load_time == 5 * NSEC_PER_SEC + 2 * NSEC_PER_MSEC, "the next load's time is later, also when the clock went back");
	ok(l.n == 2 && l.batches[1].batch.first_offset == 2, "a batch of another table version waits for a load of its own");
	ok(l.batches[0].n_held == 1 && l.batches[0].held[0].first == 0 && l.batches[0].held[0].last == 1 && !l.batches[1].n_held, "what the first load holds of it is told");
	MUST(db_load_failed(db, l.id, "transient", "x", NULL, 400, 400, &err));
	again = load_of(9, 500);
	ok(again.id == l.id && again.load_time == l.load_time && again.batches[0].n_held == 1, "a retry has the same time and the same to leave out");
	MUST(db_load_failed(db, l.id, "transient", "x", NULL, 600, 600, &err));
	MUST(db_job_discard(db, 2, 601, &done, &err));
	MUST(db_job_discards(db, pg, 10, &rows, &n, &err));
	ok(!done && n == 1 && rows[0].load_time == l.load_time, "a discard asks by the time of the load");
	discard_list_free(rows, n);
	r.attempt = 2;
	MUST(db_job_discarded(db, 2, &r, 602, &err));
	ok(tally_is(20, 18, 2, 0), "it was loaded, and is counted so");
	load_row_free(&l);
	load_row_free(&again);
	dtest_sql("UPDATE destination SET kind = 'sqlite'");
	MUST(db_load_get(db, 2, &again, &err));
	ok(again.n == 1 && !again.batches[0].n_held, "where there is a ledger nothing is told");
	load_row_free(&again);
	dtest_close();
}

static void test_discard(void)
{
	struct load_row l;
	int64_t id;
	bool done;

	begin(4);
	MUST(db_job_discard(db, 1, 150, &done, &err));
	ok(done && state_of(1) == JOB_DISCARDED && tally_is(30, 0, 0, 10) && dtest_sql("SELECT done FROM batch WHERE first_offset = 0") == 150,
		"never in a load: discarded at once, its batch is done");
	MUST(db_job_discard(db, 1, 151, &done, &err));
	ok(done, "again: nothing to do");
	l = load_of(2, 200);
	MUST(db_job_discard(db, 2, 201, &done, &err));
	ok(!done && state_of(2) == JOB_ACTIVE, "in a load: the ledger has the word");
	ok(db_job_discarded(db, 2, NULL, 202, &err) == -1 && err.code == ERR_STATE, "not while it is loaded: %s", err.text);
	MUST(db_load_failed(db, l.id, "transient", "x", NULL, 203, 203, &err));
	ok(state_of(2) == JOB_HELD && discards() == 1, "when that fails it is held for the discard");
	MUST(db_job_discarded(db, 2, NULL, 204, &err));
	ok(state_of(2) == JOB_DISCARDED && tally_is(20, 0, 0, 20), "it was not there: discarded");
	load_row_free(&l);
	l = load_of(9, 205);
	ok(l.attempt == 2 && l.n == 1 && l.batches[0].job_id == 3, "its load goes on without it");
	MUST(db_load_failed(db, l.id, "transient", "x", NULL, 206, 206, &err));
	MUST(db_job_discard(db, 3, 207, &done, &err));
	ok(!done && state_of(3) == JOB_HELD && tally_is(20, 0, 0, 20), "held until the destination was asked");
	MUST(db_job_discarded(db, 3, &(struct load_result){.rows = 9, .rejected = 1, .attempt = 2}, 208, &err));
	ok(!done && state_of(3) == JOB_DONE && tally_is(10, 9, 1, 20), "it was there: done, with the ledger's figures");
	load_row_free(&l);
	ok(dtest_sql("SELECT count(*) FROM load WHERE outcome = ''") == 0, "a load without jobs is over");
	ok(db_job_discard(db, 3, 209, &done, &err) == -1 && err.code == ERR_STATE, "what is done cannot be discarded: %s", err.text);
	MUST(db_job_discarded(db, 3, NULL, 209, &err));
	ok(state_of(3) == JOB_DONE, "a late answer changes nothing");
	MUST(db_job_replay(db, 1, 210, &id, &err));
	ok(state_of(id) == JOB_READY && tally_is(20, 9, 1, 10) && dtest_sql("SELECT done FROM batch WHERE first_offset = 0") == 0, "what was discarded can be replayed");
	ok(db_job_discard(db, 1, 211, &done, &err) == -1 && err.code == ERR_STATE, "then its job is the new one: %s", err.text);
	MUST(sqlite3_exec(db->h, "UPDATE batch SET deleted = 1 WHERE first_offset = 1", NULL, NULL, NULL));
	ok(db_job_replay(db, 2, 212, &id, &err) == -1 && err.code == ERR_STATE, "without a file there is no replay: %s", err.text);
	dtest_close();
}

static size_t list(struct job_filter f, int64_t after)
{
	struct job_row *rows;
	size_t n;

	MUST(db_job_list(db, &f, after, 100, &rows, &n, &err));
	for (size_t i = 0; i < n; i++)
		if (rows[i].id <= after || (i && rows[i].id <= rows[i - 1].id) || (f.state && rows[i].state != f.state) ||
			(f.table_id && rows[i].table_id != f.table_id) || (f.destination_id && rows[i].destination_id != f.destination_id))
			n = 999;
	job_list_free(rows, MIN(n, 100));
	return n;
}

static void test_list(void)
{
	int64_t lite, other;

	begin(3);
	lite = dtest_destination("lite");
	dtest_connect(shop, lite, 0, 200);
	other = dtest_cut(&(struct dtest_cut){.source = shop, .table = "u", .first = 9, .last = 9, .records = 1}).table_id;
	dtest_load(lite, other, 0, 300);
	ok(list((struct job_filter){.table_id = 0}, 0) == 5 && list((struct job_filter){.table_id = 0}, 2) == 3, "all, and after one");
	ok(list((struct job_filter){.state = JOB_DONE}, 0) == 1 && list((struct job_filter){.state = JOB_READY}, 0) == 4, "by state");
	ok(list((struct job_filter){.table_id = table}, 0) == 3 && list((struct job_filter){.destination_id = lite}, 0) == 1, "by table, by destination");
	ok(list((struct job_filter){.state = JOB_READY, .table_id = other, .destination_id = pg}, 0) == 1 &&
			list((struct job_filter){.state = JOB_DONE, .table_id = other, .destination_id = pg}, 0) == 0 &&
			list((struct job_filter){.state = JOB_DONE, .destination_id = lite}, 0) == 1,
		"by all of them");
	dtest_close();
}

/* --- many jobs (JOBS=1000000: a million, with times) --- */

static bool is_big(const char *step)
{
	static const char *const big[] = {"j", "b", "job", "batch", "request", "dropped", "rejected", "load"};
	size_t len = strcspn(step, " ");

	for (size_t i = 0; i < ARRAY_LEN(big); i++)
		if (strlen(big[i]) == len && strncmp(step, big[i], len) == 0)
			return true;
	return false;
}

/* No step of any statement that was prepared so far reads a whole big table or index; there are no more unfinished loads than tables. */
static bool by_index(void)
{
	sqlite3_stmt *s = NULL, *plan;
	bool good = true;

	while ((s = sqlite3_next_stmt(db->h, s))) {
		char *sql = xasprintf("EXPLAIN QUERY PLAN %s", sqlite3_sql(s));

		if (sqlite3_prepare_v2(db->h, sql, -1, &plan, NULL) == SQLITE_OK)
			while (sqlite3_step(plan) == SQLITE_ROW) {
				const char *step = (const char *)sqlite3_column_text(plan, 3);

				if (strncmp(step, "SCAN ", 5) == 0 && is_big(step + 5) && !strstr(step, "USING INDEX load_open")) {
					diag("%s: %.200s", step, sqlite3_sql(s));
					good = false;
				}
			}
		sqlite3_finalize(plan);
		free(sql);
	}
	return good;
}

/* Virtual machine steps of the statements since the last call: work that no busy machine changes. */
static int64_t work(void)
{
	int64_t n = 0;

	for (sqlite3_stmt *s = NULL; (s = sqlite3_next_stmt(db->h, s));)
		n += sqlite3_stmt_status(s, SQLITE_STMTSTATUS_VM_STEP, 1);
	return n;
}

static struct timespec since;

/* Was it cheap? Tells the time, for a person. */
static bool cheap(int64_t most)
{
	struct timespec t;
	int64_t steps = work();

	clock_gettime(CLOCK_MONOTONIC, &t);
	diag("%" PRId64 " steps, %.2f ms", steps, (double)(t.tv_sec - since.tv_sec) * 1e3 + (double)(t.tv_nsec - since.tv_nsec) / 1e6);
	clock_gettime(CLOCK_MONOTONIC, &since);
	return steps < most;
}

/* Half of them done, in 1,000 tables, ten records each; offset, time and number go together. */
static void fill(int jobs)
{
	char *sql = xasprintf(
		"BEGIN; DELETE FROM job; DELETE FROM batch; INSERT INTO tbl (source_id, name, created) WITH RECURSIVE c(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM c "
		"WHERE i < 1000) SELECT 1, 'table ' || i, 1 FROM c;"
		"INSERT OR IGNORE INTO tally (table_id, destination_id) SELECT id, 1 FROM tbl;"
		"INSERT INTO batch WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %d) SELECT printf('%%032d', i), 1 + i %% 1000, 'p' || i, "
		"'age', x'00', 0, i * 10, i * 10 + 9, 10, 10, 1000, x'00', 0, 1, '[]', i, i, i, 10, i * 10 + 10, 0, CASE WHEN i < %d THEN i ELSE 0 END, "
		"CASE WHEN i < %d THEN i ELSE 0 END, '', 0, 0 FROM c;"
		"INSERT INTO job (destination_id, table_id, batch_id, schema, state, records, bytes, counted, oldest, created, updated) SELECT 1, table_id, id, 'main', "
		"CASE WHEN done > 0 THEN 3 ELSE 1 END, 10, 1000, 10, created, created, created FROM batch ORDER BY created;"
		"INSERT OR REPLACE INTO trimmed VALUES (0, %d); UPDATE position SET read_from = %d; COMMIT",
		jobs, jobs / 2, jobs / 10 * 4, jobs * 4, jobs * 10 + 10);

	MUST(sqlite3_exec(db->h, sql, NULL, NULL, NULL));
	free(sql);
	work();
	clock_gettime(CLOCK_MONOTONIC, &since);
}

static void test_questions(int jobs)
{
	struct load_candidate *found;
	struct job_counts counts;
	struct job_row *rows;
	struct job_filter f = {.table_id = 7, .destination_id = pg};
	size_t n;

	MUST(db_job_counts(db, &counts, &err));
	ok(counts.n[JOB_READY] == (uint64_t)(jobs / 2 + 1) && cheap(200), "the numbers by state");
	MUST(db_load_candidates(db, pg, 5, 10, &found, &n, &err));
	ok(n == 10 && found[0].oldest == jobs / 2 && found[9].oldest == jobs / 2 + 9 && cheap(100000), "candidates, worst first");
	table = found[0].table_id;
	candidate_list_free(found, n);
	MUST(db_job_list(db, &f, jobs / 10 * 4, 50, &rows, &n, &err));
	ok(n >= 50 && rows[0].table_id == 7 && cheap(20000), "a page of jobs of a table");
	job_list_free(rows, n);
	f = (struct job_filter){.state = JOB_READY, .destination_id = pg};
	MUST(db_job_list(db, &f, 0, 50, &rows, &n, &err));
	ok(n == 50 && cheap(20000), "and by state");
	job_list_free(rows, n);
	f = (struct job_filter){.state = JOB_HELD, .destination_id = pg};
	MUST(db_job_list(db, &f, 0, 50, &rows, &n, &err));
	ok(n == 0 && cheap(200), "also when there is none");
	ok(dtest_tally(7, pg).oldest > 0 && cheap(200000), "the tally of 1,000 tables");
}

static void test_retention(int jobs)
{
	struct batch_row *expired;
	uint64_t safe;
	size_t n;

	MUST(db_batch_expired(db, jobs / 20 * 9, 100, &expired, &n, &err));
	ok(n == 100 && expired[0].created == jobs / 10 * 4 && cheap(20000), "files that may go, oldest first");
	batch_list_free(expired, n);
	MUST(db_trim_limit(db, 0, (uint64_t)jobs * 20, jobs / 20 * 9, &safe, &err));
	ok(safe == (uint64_t)jobs / 20 * 90, "how far the queue may be trimmed");
	MUST(db_trim_limit(db, 0, (uint64_t)jobs * 20, jobs, &safe, &err));
	ok(safe == (uint64_t)jobs * 5, "what is not loaded stays");
	cheap(0);
}

static void test_many(void)
{
	const char *wanted = getenv("JOBS");
	uint64_t jobs = 100000;
	struct load_row l;

	if (wanted && (str_to_u64(str_c(wanted), &jobs) || jobs < 100000 || jobs > 10000000))
		bail("JOBS is a number from 100000 on");
	begin(1);
	fill((int)jobs);
	test_questions((int)jobs);
	test_retention((int)jobs);
	l = load_of(40, 2000000);
	ok(l.n == 40 && cheap(50000), "a load of 40 begins");
	MUST(db_load_failed(db, l.id, "transient", "x", NULL, 2000001, 2000001, &err));
	MUST(db_load_recover(db, 2000002, &err));
	MUST(db_retry_now(db, pg, 2000003, &err));
	ok(cheap(50000), "it fails, is recovered, is due");
	load_row_free(&l);
	dtest_load(pg, table, 1, 2000004);
	ok(cheap(100000), "and is done");
	dtest_cut(&(struct dtest_cut){.source = shop, .table = "t", .first = jobs * 20, .last = jobs * 20, .records = 1, .position = jobs * 10 + 10});
	ok(cheap(3000), "a cut");
	ok(by_index(), "no statement reads a whole table");
	dtest_close();
}

int main(void)
{
	plan_lazy();
	test_begin();
	test_limits();
	test_done();
	test_bad();
	test_hold();
	test_discard();
	test_discard_active();
	test_without_ledger();
	test_list();
	test_many();
	return done_testing();
}
