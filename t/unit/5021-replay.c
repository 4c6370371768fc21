/*
 * 5021-replay.c - single rejected records in state.db: what a replay moves in the zero-sum ledger, that it does so once, what refused again, discards and rewinds make
 * of it. After each step the ledger of each destination is summed up.
 */
#include "daemon/state/replay.h"
#include "dtest.h"
#include "tap.h"
#include "xalloc.h"

static int64_t source, first, second, table;
static struct cut batch;
static int64_t now = 1000;

static void balanced(const char *when)
{
	is_int(0, dtest_sql("SELECT count(*) FROM tally y JOIN tbl t ON t.id = y.table_id WHERE t.taken + t.repeats - t.reread <> y.before + y.spooled + y.loaded + y.rejected + "
			    "y.discarded"), "%s: the ledger is zero-sum", when);
}

static void tally(int64_t d, int64_t spooled, int64_t loaded, int64_t rejected, const char *when)
{
	struct tally_row t = dtest_tally(table, d);

	is_int(spooled, (int64_t)t.spooled, "%s: spooled", when);
	is_int(loaded, (int64_t)t.loaded, "%s: loaded", when);
	is_int(rejected, (int64_t)t.rejected, "%s: rejected", when);
	balanced(when);
}

/* The next load of the table; these records of its first batch are refused. Known: its ledger row was there, so only the figures of that attempt come back. */
static uint32_t known;
static void load(int64_t d, const uint64_t *refused, size_t n, const char *reason)
{
	struct load_result *r;
	struct load_row l;

	MUST(db_load_begin(db, d, table, 100, UINT64_C(1) << 40, ++now, &l, &err));
	r = xcalloc(l.n, sizeof(*r));
	for (size_t k = 0; k < n && !known; k++) {
		struct reject_row one = {.destination_id = d, .record = refused[k], .attempt = l.attempt};

		memcpy(one.batch_id, l.batches[0].batch.id, BATCH_ID_LEN);
		one.field = (char *)(uintptr_t) "at";
		one.value = (char *)(uintptr_t) "x";
		one.reason = (char *)(uintptr_t)reason;
		one.raw = (char *)(uintptr_t) "{}";
		MUST(db_load_reject(db, l.id, &one, 1, now, &err));
	}
	for (size_t k = 0; k < l.n; k++) {
		memcpy(r[k].batch_id, l.batches[k].batch.id, BATCH_ID_LEN);
		r[k].rejected = k ? 0 : n;
		r[k].rows = l.batches[k].batch.records - r[k].rejected;
		r[k].attempt = known ? known : l.attempt;
	}
	MUST(db_load_done(db, l.id, r, l.n, now, &err));
	free(r);
	load_row_free(&l);
}

static struct replay replay(int64_t d, uint64_t record, uint64_t offset)
{
	static unsigned files;
	char path[20];
	struct replay r = {.key = {.destination_id = d, .record = record}, .bytes = 50, .offset = offset, .index = 3, .received_at = 7};

	snprintf(path, sizeof(path), "replay-%u", ++files);
	r.path = str_c(path);
	memcpy(r.key.batch_id, batch.batch_id, BATCH_ID_LEN);
	MUST(db_rejected_replay(db, &r, ++now, &err));
	r.path = STR_NULL;
	return r;
}

static size_t listed(bool all, enum rejected_state *state_of_first, char reason[20])
{
	struct rejected_filter f = {.destination_id = first, .all = all};
	struct rejected_key from = {.destination_id = 0};
	struct rejected_row *rows;
	size_t n;

	MUST(db_rejected_list(db, &f, &from, 100, &rows, &n, &err));
	if (state_of_first)
		*state_of_first = n ? rows[0].state : 0;
	if (reason)
		snprintf(reason, 20, "%s", n ? rows[0].r.reason : "");
	rejected_list_free(rows, n);
	return n;
}

static void begin(void)
{
	static const uint64_t two[] = {1, 4}, one[] = {1};

	dtest_open();
	source = dtest_source("shop");
	first = dtest_destination("one");
	second = dtest_destination("two");
	dtest_connect(source, first, 0, 1);
	dtest_connect(source, second, 0, 1);
	/* ten records in the queue records 10 to 14 */
	batch = dtest_cut(&(struct dtest_cut){.source = source, .table = "t", .first = 10, .last = 14, .records = 10, .position = 15});
	table = batch.table_id;
	load(first, two, 2, "no date");
	load(second, one, 1, "no date");
	tally(first, 0, 8, 2, "two of ten are refused");
}

static void moves_once(void)
{
	static const uint64_t zero[] = {0};
	enum rejected_state state;
	struct replay r, again;
	char reason[20];
	bool done;

	begin();
	is_int(2, (int64_t)listed(false, &state, reason), "both are listed");
	is_str("no date", reason, "with the reason");
	r = replay(first, 1, 10);
	ok(r.made && r.revision == 1, "a replay is made");
	tally(first, 1, 8, 1, "while it waits");
	tally(second, 0, 9, 1, "the other destination does not know of it");
	again = replay(first, 1, 10);
	ok(!again.made && again.job_id == r.job_id, "while it waits there is no second one");
	is_int(1, (int64_t)listed(false, NULL, NULL), "it is no longer open");
	load(first, zero, 1, "still no date");
	tally(first, 0, 8, 2, "refused again");
	is_int(2, (int64_t)listed(false, &state, reason), "it is open again");
	is_str("still no date", reason, "with the newest reason");
	r = replay(first, 1, 10);
	ok(r.made && r.revision == 2, "the next revision");
	load(first, NULL, 0, "");
	tally(first, 0, 9, 1, "loaded");
	listed(true, &state, NULL);
	is_int(REJECTED_LOADED, state, "which is told");
	again = replay(first, 1, 10);
	ok(!again.made, "a replay of what is loaded changes nothing");
	tally(first, 0, 9, 1, "nothing");
	r = replay(first, 4, 12);
	MUST(db_job_discard(db, r.job_id, ++now, &done, &err));
	ok(done, "a replay can be discarded");
	is_int(1, (int64_t)dtest_tally(table, first).discarded, "and counts as that");
	balanced("discarded");
	r = replay(first, 4, 12);
	ok(r.made && r.revision == 2, "and made once more");
	load(first, NULL, 0, "");
	tally(first, 0, 10, 0, "all are loaded");
	is_int(0, (int64_t)dtest_tally(table, first).discarded, "nothing is discarded");
	is_int(0, dtest_sql("SELECT count(*) FROM batch WHERE done = 0"), "every batch is done");
	dtest_close();
}

/* From offset 12 on: queue records 12, 13, 14 hold six of the ten records. */
static void rewound(void)
{
	struct tally_part again = {.table = STR("t"), .records = 6};

	begin();
	replay(first, 1, 10);
	replay(first, 4, 12);
	load(first, NULL, 0, "");
	tally(first, 0, 10, 0, "both are loaded");
	again.source_id = source;
	MUST(db_rewind(db, 0, 12, &again, 1, &err));
	tally(first, 0, 4, 0, "a rewind takes back what it reads again, and of the replays the one behind it");
	tally(second, 0, 3, 1, "of the other destination as well");
	is_int(0, dtest_sql("SELECT before FROM tally WHERE destination_id = %d", (int)first), "nothing is put aside for it");
	dtest_cut(&(struct dtest_cut){.source = source, .table = "t", .first = 12, .last = 14, .records = 6, .position = 15});
	tally(first, 6, 4, 0, "it is cut again");
	load(first, NULL, 0, "");
	tally(first, 0, 10, 0, "and loaded");
	dtest_close();
}

static void rewound_whole(void)
{
	struct tally_part again = {.table = STR("t"), .records = 10};
	static const uint64_t two[] = {1, 4};
	struct replay r;

	begin();
	replay(first, 1, 10);
	load(first, NULL, 0, "");
	r = replay(first, 4, 12);
	again.source_id = source;
	MUST(db_rewind(db, 0, 10, &again, 1, &err));
	tally(first, 0, 0, 0, "all of it is read again");
	dtest_cut(&(struct dtest_cut){.source = source, .table = "t", .first = 10, .last = 14, .records = 10, .position = 15});
	tally(first, 10, 0, 0, "and cut as the same batch");
	MUST(db_job_hold(db, r.job_id, true, "later", ++now, &err));
	known = 1;
	load(first, two, 2, "");
	known = 0;
	tally(first, 0, 9, 1, "one of the two that its ledger names was replayed since");
	MUST(db_job_hold(db, r.job_id, false, NULL, ++now, &err));
	load(first, NULL, 0, "");
	tally(first, 0, 10, 0, "the other replay moves what its batch counts");
	dtest_close();
}

static void news(void)
{
	struct rejected_pair *p;
	size_t n;

	begin();
	MUST(db_rejected_since(db, 0, &p, &n, &err));
	is_int(2, (int64_t)n, "both destinations have rejected lately");
	free(p);
	MUST(db_rejected_since(db, now + 1, &p, &n, &err));
	is_int(0, (int64_t)n, "and nothing since");
	free(p);
	replay(second, 1, 10);
	load(second, NULL, 0, "");
	MUST(db_rejected_since(db, 0, &p, &n, &err));
	is_int(1, (int64_t)n, "what was loaded by a replay is no news");
	free(p);
	dtest_close();
}

static void nothing_is_held_up(void)
{
	uint64_t safe, jobs;
	struct replay r;

	begin();
	MUST(db_trim_limit(db, 0, 15, now + 1, &safe, &err));
	is_int(15, (int64_t)safe, "all could be trimmed");
	r = replay(first, 1, 10);
	MUST(db_trim_limit(db, 0, 15, now + 10, &safe, &err));
	is_int(15, (int64_t)safe, "a replay that waits holds nothing up");
	jobs = dtest_connect(source, dtest_destination("three"), 1, ++now);
	is_int(1, (int64_t)jobs, "a destination that comes later gets the batch, not the replay");
	balanced("three destinations");
	dtest_disconnect(source, first);
	r.key.record = 4;
	r.path = STR("elsewhere");
	ok(db_rejected_replay(db, &r, ++now, &err) && err.code == ERR_STATE, "a source that is not connected any more: %s", err.text);
	r.key.record = 5;
	ok(db_rejected_replay(db, &r, ++now, &err) && err.code == ERR_NOT_FOUND, "a record that was not rejected: %s", err.text);
	dtest_close();
}

int main(void)
{
	moves_once();
	rewound();
	rewound_whole();
	nothing_is_held_up();
	news();
	return done_testing();
}
