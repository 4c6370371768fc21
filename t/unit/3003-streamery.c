/*
 * 3003-streamery.c - the stage, step by step: from the queue to files and rows, and each rule of the model with the history that asked for it.
 */
#include "tap.h"

#include "stest.h"
#include "xalloc.h"

static struct world w;

static struct fake_batch *row(size_t i)
{
	static struct fake_batch none;
	struct db *db = fake_db(w.state);

	return i < db->n_batches ? &db->batch[i] : &none;
}

static struct streamery_stats stats(void)
{
	struct streamery_stats st;

	streamery_stats(w.streamery, &st);
	return st;
}

static void counts(const char *table, uint64_t *seen, uint64_t *held, uint64_t *start)
{
	struct streamery_count *c;
	uint64_t next;
	size_t n;

	*seen = *held = 0;
	streamery_counts(w.streamery, &c, &n, start, &next);
	for (size_t i = 0; i < n; i++)
		if (strcmp(c[i].table, table) == 0) {
			*seen = c[i].seen;
			*held = c[i].held;
		}
	streamery_counts_free(c, n);
}

static void idle(bool yes)
{
	streamery_loader_idle(w.streamery, 1, yes);
}

/* only the stage itself, and the queue */
static void stream(void)
{
	struct stage *s = streamery_stage(w.streamery);

	s->ops->step(s->self, w.now);
}

static bool store_one(void)
{
	struct stage *s = store_stage_stage(w.store_stage);

	return s->ops->step(s->self, w.now) != NEVER;
}

static void commit(void)
{
	struct stage *s = state_stage(w.state);

	s->ops->step(s->self, w.now);
}

static void test_first(void)
{
	uint64_t seen, held, start;
	char *text;

	world_open(&w, "mem:", "/");
	world_put(&w, &(struct request){.table = "orders", .records = 3, .seed = 1, .keys = "[\"id\"]"});
	world_put(&w, &(struct request){.table = "items", .records = 2, .seed = 2, .big = true});
	world_put(&w, &(struct request){.table = "orders", .records = 1, .seed = 3, .keys = "[\"id\"]"});
	stream();
	counts("orders", &seen, &held, &start);
	ok(seen == 4 && held == 4 && start == 0, "read: 4 records of orders are held");
	ok(stats().open == 2 && stats().read_offset == 3 && stats().oldest == w.now.real, "two batches are open");
	world_later(&w, 59 * NSEC_PER_SEC);
	world_step(&w);
	is_int(0, (int64_t)fake_db(w.state)->n_batches, "nobody is idle: nothing is cut before its age");
	world_later(&w, NSEC_PER_SEC);
	world_step(&w);
	is_int(2, (int64_t)fake_db(w.state)->n_batches, "then both are, in one transaction");
	ok(row(0)->records == 4 && row(0)->first == 0 && row(0)->last == 2 && strcmp(row(0)->reason, "age") == 0 && row(0)->heads == 1, "the row of orders");
	ok(strncmp(row(0)->path, "1/orders/0-00000000000000000000-00000000000000000002-", 52) == 0 && strstr(row(0)->path, "-00000001."), "its name: %s", row(0)->path);
	text = world_text(&w, row(0)->path);
	ok(text_lines(text, "\"action\"") == 4 && text_lines(text, "\"table\":\"orders\"") == 2 && !text_lines(text, "items"), "its file holds its records and no others");
	free(text);
	is_int(3, (int64_t)fake_db(w.state)->read_from, "the position is behind all");
	counts("orders", &seen, &held, &start);
	ok(seen == 4 && held == 0, "nothing is held");
	ok(stats().open == 0 && stats().uploads == 0 && stats().open_bytes == 0, "nothing is open, no memory is used");
	world_put(&w, &(struct request){.table = "orders", .records = 1, .keys = "[\"id\"]"});
	world_settle(&w);
	is_int(1, row(2)->heads, "each batch brings its first head, for its keys");
	world_close(&w);
}

static void test_reasons(void)
{
	world_open(&w, "mem:", "/");
	idle(true);
	world_put_simple(&w, "a", 1);
	world_step(&w);
	is_int(0, (int64_t)fake_db(w.state)->n_batches, "idle loader: not at once");
	world_later(&w, 50 * NSEC_PER_MSEC);
	world_step(&w);
	ok(fake_db(w.state)->n_batches == 1 && strcmp(row(0)->reason, "idle") == 0, "but after 50 ms");
	idle(false);
	world_put(&w, &(struct request){.table = "a", .records = 1, .keys = "[\"x\"]"});
	world_put(&w, &(struct request){.table = "a", .records = 1, .keys = "[\"y\"]"});
	world_put(&w, &(struct request){.table = "a", .records = 1, .keys = "[\"y\"]", .version = 9});
	world_step(&w);
	is_int(2, (int64_t)fake_db(w.state)->n_batches, "other keys cut; the second batch of the table waits for the first's commit");
	world_step(&w);
	ok(fake_db(w.state)->n_batches == 3 && strcmp(row(1)->reason, "keys") == 0 && strcmp(row(2)->reason, "keys") == 0 && row(2)->last == 2, "another version cuts too");
	w.config.batch_bytes = 20000;
	world_crash(&w);
	for (unsigned i = 0; i < 40; i++)
		world_put(&w, &(struct request){.table = "b", .records = 4, .big = true, .seed = i * 1000});
	world_step(&w);
	world_step(&w);
	ok(fake_db(w.state)->n_batches >= 4 && strcmp(row(3)->reason, "size") == 0 && row(3)->bytes >= 20000, "size cuts (%d bytes)", (int)row(3)->bytes);
	ok(row(3)->bytes < 30000, "soon");
	world_close(&w);
}

/* A table whose file cannot be stored does not keep the others from being cut for idle loaders. */
static void test_sick_upload(void)
{
	world_open(&w, "mem:", "/");
	idle(true);
	world_put_simple(&w, "a", 1);
	stream();
	world_later(&w, NSEC_PER_SEC);
	stream();
	store_mem_fault(w.store, STORE_MEM_FAIL_NEXT);
	store_one();
	world_put_simple(&w, "b", 1);
	stream();
	world_later(&w, 60 * NSEC_PER_MSEC);
	world_step(&w);
	ok(fake_db(w.state)->n_batches == 1 && strcmp(row(0)->table, "b") == 0 && strcmp(row(0)->reason, "idle") == 0, "an upload that failed holds up no other table");
	world_later(&w, NSEC_PER_SEC);
	world_step(&w);
	is_int(2, (int64_t)fake_db(w.state)->n_batches, "and is done again");
	world_close(&w);
}

static void test_memory(void)
{
	world_open(&w, "mem:", "/");
	w.config.memory_bytes = 400000;
	w.config.batch_bytes = 1u << 30;
	world_crash(&w);
	store_mem_fault(w.store, STORE_MEM_FAIL_ALL);
	for (unsigned i = 0; i < 400; i++)
		world_put(&w, &(struct request){.table = i % 10 ? "large" : "small", .records = i % 10 ? 40 : 1, .big = i % 10, .seed = i * 100});
	for (int i = 0; i < 50; i++) {
		world_step(&w);
		world_later(&w, NSEC_PER_SEC / 10);
	}
	ok(stats().open_bytes < 2 * 400000, "with the store down memory stays at its limit, but for the growth of one buffer: %d", (int)stats().open_bytes);
	ok(stats().read_offset < 400, "the queue holds the rest, from %d on", (int)stats().read_offset);
	ok(strstr(stats().problem, "store") != NULL && stats().errors > 0, "the problem is shown: %s", stats().problem);
	is_int(0, (int64_t)fake_db(w.state)->n_batches, "no row without a file");
	store_mem_fault(w.store, 0);
	world_settle(&w);
	ok(stats().read_offset == 400 && !stats().open && !stats().problem[0], "when it is back all goes on (%s)", stats().problem);
	ok(fake_tally(fake_db(w.state), 1, STR("large"))->taken == 360 * 40 && fake_tally(fake_db(w.state), 1, STR("small"))->taken == 40, "and nothing is missing");
	ok(strcmp(row(0)->reason, "memory") == 0 && strcmp(row(0)->table, "large") == 0, "the largest was cut first, for memory");
	world_close(&w);
}

/* FIX_ORDER: two uploads of a table; the second ends first. */
static void test_order(void)
{
	world_open(&w, "mem:", "/");
	world_put(&w, &(struct request){.table = "a", .records = 1, .keys = "[\"x\"]"});
	world_put(&w, &(struct request){.table = "a", .records = 2, .keys = "[\"y\"]"});
	world_put(&w, &(struct request){.table = "a", .records = 4, .keys = "[\"z\"]"});
	store_mem_fault(w.store, STORE_MEM_FAIL_NEXT);
	stream();
	while (store_one())
		;
	stream();
	commit();
	stream();
	is_int(0, (int64_t)fake_db(w.state)->n_batches, "the first upload failed, the second is stored: neither is committed");
	is_int(2, (int64_t)stats().uploads, "both wait");
	world_later(&w, NSEC_PER_SEC);
	world_step(&w);
	world_step(&w);
	ok(fake_db(w.state)->n_batches == 2 && row(0)->records == 1 && row(1)->records == 2, "then in the order of their offsets");
	world_close(&w);
}

/* FIX_POS: a batch in upload holds the position; a crash then reads it again. */
static void test_position(void)
{
	world_open(&w, "mem:", "/");
	world_put_simple(&w, "slow", 1);
	world_put(&w, &(struct request){.table = "fast", .records = 1, .keys = "[\"x\"]"});
	world_put(&w, &(struct request){.table = "fast", .records = 1, .keys = "[\"y\"]"});
	world_step(&w);
	ok(fake_db(w.state)->n_batches == 1 && strcmp(row(0)->table, "fast") == 0, "fast is committed");
	is_int(0, (int64_t)fake_db(w.state)->read_from, "the position stays at the open batch of slow");
	ok(fake_db(w.state)->n_cursors == 1 && fake_db(w.state)->cursor[0].next == 2, "fast has a cursor");
	world_crash(&w);
	stream();
	is_int(3, (int64_t)stats().read_offset, "after a crash it reads from the position");
	world_settle(&w);
	ok(fake_tally(fake_db(w.state), 1, STR("fast"))->taken == 2 && fake_tally(fake_db(w.state), 1, STR("slow"))->taken == 1, "and skips what the cursor covers");
	ok(fake_db(w.state)->read_from == 3 && fake_db(w.state)->n_cursors == 1, "cursors below the position are deleted");
	world_put_simple(&w, "x", 1);
	world_crash(&w);
	{
		uint64_t seen, held, start;

		stream();
		counts("x", &seen, &held, &start);
		ok(start == 3 && seen == 1 && held == 1, "counts begin at the position");
	}
	world_close(&w);
}

/* The position is saved by itself. */
static void test_saved(void)
{
	world_open(&w, "mem:", "/");
	world_step(&w);
	ok(!fake_db(w.state)->has_position, "a new state has no position");
	world_later(&w, 11 * NSEC_PER_SEC);
	world_step(&w);
	ok(fake_db(w.state)->has_position && fake_db(w.state)->read_from == 0, "it gets one after ten seconds");
	world_later(&w, 60 * NSEC_PER_SEC);
	world_step(&w);
	is_int(1, fake_db(w.state)->saves, "but not again for nothing");
	world_close(&w);
}

/* FIX_TAKEN, FIX_REPEAT. */
static void test_repeats(void)
{
	struct request a = {.table = "a", .records = 5, .id = "key"}, b = {.table = "b", .records = 7, .id = "key"}, other = {.source = 2, .table = "a", .records = 11, .id = "key"};
	uint64_t seen, held, start;

	world_open(&w, "mem:", "/");
	world_put(&w, &a);
	world_put(&w, &b);
	world_put(&w, &other);
	world_put(&w, &a);
	stream();
	counts("a", &seen, &held, &start);
	is_int(11, (int64_t)held, "of another source or table: no repeat; a repeat is held until it is counted");
	world_settle(&w);
	ok(row(0)->records == 5 && row(0)->requests == 1, "a repeat of what is open is dropped");
	is_int(5, (int64_t)fake_tally(fake_db(w.state), 1, STR("a"))->repeats, "and counted");
	world_put(&w, &a);
	world_settle(&w);
	world_later(&w, 2 * NSEC_PER_SEC);
	world_step(&w);
	ok(fake_tally(fake_db(w.state), 1, STR("a"))->taken == 5 && fake_tally(fake_db(w.state), 1, STR("a"))->repeats == 10, "as is one of what is committed, by the position alone");
	counts("a", &seen, &held, &start);
	is_int(0, (int64_t)held, "nothing is held");
	is_int(3, (int64_t)fake_db(w.state)->n_batches, "no batch was made for it");
	fake_fault(w.state, FAKE_NO_FIND);
	world_put(&w, &a);
	world_put(&w, &(struct request){.table = "a", .records = 1, .id = "new"});
	world_step(&w);
	ok(stats().read_offset == 5 && stats().problem[0], "the state cannot be asked: reading waits (%s)", stats().problem);
	fake_fault(w.state, 0);
	world_later(&w, 2 * NSEC_PER_SEC);
	world_settle(&w);
	ok(stats().read_offset == 7 && fake_tally(fake_db(w.state), 1, STR("a"))->taken == 6 && !stats().problem[0], "and goes on at the same record");
	world_crash(&w);
	world_put(&w, &a);
	world_settle(&w);
	world_later(&w, 2 * NSEC_PER_SEC);
	world_step(&w);
	is_int(20, (int64_t)fake_tally(fake_db(w.state), 1, STR("a"))->repeats, "a repeat after a restart");
	world_close(&w);
}

static void test_failed_commits(void)
{
	world_open(&w, "mem:", "/");
	world_put_simple(&w, "sick", 2);
	world_put_simple(&w, "well", 2);
	world_put_simple(&w, "fine", 2);
	fake_fault(w.state, FAKE_SICK_TABLE);
	for (int i = 0; i < 700; i++) {
		world_step(&w);
		world_later(&w, NSEC_PER_SEC / 10);
	}
	ok(fake_tally(fake_db(w.state), 1, STR("well"))->taken == 2 && fake_tally(fake_db(w.state), 1, STR("fine"))->taken == 2, "a row that the state refuses holds up its own table only");
	is_int(0, (int64_t)fake_db(w.state)->read_from, "and the position");
	is_int(1, (int64_t)stats().uploads, "it is tried for ever");
	fake_fault(w.state, 0);
	world_later(&w, 40 * NSEC_PER_SEC);
	world_settle(&w);
	ok(fake_tally(fake_db(w.state), 1, STR("sick"))->taken == 2 && fake_db(w.state)->read_from == 6, "until it is taken");
	world_put_simple(&w, "well", 1);
	fake_fault(w.state, FAKE_FAIL_NEXT);
	world_settle(&w);
	is_int(3, (int64_t)fake_tally(fake_db(w.state), 1, STR("well"))->taken, "a commit that failed once");
	world_close(&w);
}

static unsigned flushed;
static void flush_done(struct streamery_flush *f)
{
	flushed += f->err.code ? 100 : 1;
}

static void test_flush(void)
{
	struct streamery_flush all = {.done = flush_done}, one = {.source_id = 1, .table = xstrdup("a"), .done = flush_done}, late = {.done = flush_done};

	flushed = 0;
	world_open(&w, "mem:", "/");
	world_put_simple(&w, "a", 1);
	world_put_simple(&w, "b", 1);
	streamery_flush(w.streamery, &one);
	stream();
	ok(flushed == 0 && stats().open == 1 && stats().uploads == 1, "flush of a table cuts it alone");
	world_step(&w);
	ok(flushed == 1 && fake_db(w.state)->n_batches == 1 && strcmp(row(0)->reason, "flush") == 0, "and is done when it is committed");
	store_mem_fault(w.store, STORE_MEM_LOSE_ANSWER);
	streamery_flush(w.streamery, &all);
	world_step(&w);
	is_int(1, flushed, "flush of all waits for the upload that failed");
	world_later(&w, NSEC_PER_SEC);
	world_step(&w);
	ok(flushed == 2 && fake_db(w.state)->n_batches == 2, "and is done after its retry");
	streamery_flush(w.streamery, &all);
	world_step(&w);
	is_int(3, flushed, "with nothing to do at once");
	world_put(&w, &(struct request){.table = "a", .records = 1, .id = "k"});
	world_put(&w, &(struct request){.table = "a", .records = 1, .id = "k"});
	streamery_flush(w.streamery, &all);
	world_step(&w);
	world_step(&w);
	ok(flushed == 4 && fake_tally(fake_db(w.state), 1, STR("a"))->repeats == 1, "repeats are counted too before it is done");
	world_put_simple(&w, "a", 1);
	store_mem_fault(w.store, STORE_MEM_FAIL_ALL);
	streamery_flush(w.streamery, &late);
	world_step(&w);
	world_close(&w);
	is_int(104, flushed, "one that cannot be done is answered at the end");
	free(one.table);
}

static unsigned rewound;
static struct err rewind_err;
static void rewind_done(struct streamery_rewind *r)
{
	rewound++;
	rewind_err = r->err;
}

/* FIX_DROP: an upload that began before the rewind must not commit after it. */
static void test_rewind(void)
{
	struct streamery_rewind r = {.to = 1, .done = rewind_done};
	uint64_t seen, held, start;

	rewound = 0;
	world_open(&w, "mem:", "/");
	world_put(&w, &(struct request){.table = "a", .records = 1, .id = "k"});
	world_put(&w, &(struct request){.table = "a", .records = 2});
	world_put(&w, &(struct request){.table = "b", .records = 4});
	world_put(&w, &(struct request){.table = "a", .records = 8, .id = "k"});
	world_settle(&w);
	world_later(&w, 2 * NSEC_PER_SEC);
	world_step(&w);
	is_int(4, (int64_t)fake_db(w.state)->read_from, "all committed, the repeat passed");
	world_put(&w, &(struct request){.table = "b", .records = 16});
	world_put(&w, &(struct request){.table = "a", .records = 32, .keys = "[\"x\"]"});
	world_put(&w, &(struct request){.table = "a", .records = 64, .keys = "[\"y\"]"});
	world_step(&w);
	ok(fake_db(w.state)->read_from == 4 && fake_db(w.state)->n_batches == 3, "b is open, a has a cursor beyond it");
	stream();
	streamery_rewind(w.streamery, &r);
	stream();
	while (store_one())
		;
	commit();
	stream();
	ok(rewound == 1 && !rewind_err.code, "rewound (%s)", rewind_err.text);
	ok(fake_db(w.state)->read_from == 1 && fake_db(w.state)->n_cursors == 0, "position and cursors");
	ok(fake_tally(fake_db(w.state), 1, STR("a"))->reread == 2 + 8 + 32 && fake_tally(fake_db(w.state), 1, STR("b"))->reread == 4, "reread is what was counted and will be read again");
	stream();
	counts("a", &seen, &held, &start);
	ok(start == 1 && seen == 2 + 8 + 32 + 64, "counts begin anew at 1");
	world_settle(&w);
	world_later(&w, 2 * NSEC_PER_SEC);
	world_step(&w);
	{
		struct fake_tally *a = fake_tally(fake_db(w.state), 1, STR("a")), *b = fake_tally(fake_db(w.state), 1, STR("b"));

		is_int(1 + 2 + 8 + 32 + 64, (int64_t)(a->taken + a->repeats - a->reread), "the ledger of a balances");
		is_int(20, (int64_t)(b->taken + b->repeats - b->reread), "and of b");
	}
	r.to = 100;
	streamery_rewind(w.streamery, &r);
	world_step(&w);
	ok(rewound == 2 && rewind_err.code == ERR_INVALID, "not beyond what is committed (%s)", rewind_err.text);
	fake_db(w.state)->trimmed_to = 3;
	r.to = 2;
	streamery_rewind(w.streamery, &r);
	world_step(&w);
	ok(rewound == 3 && rewind_err.code == ERR_NOT_FOUND && fake_db(w.state)->rewinds == 1, "not into what is being trimmed (%s)", rewind_err.text);
	world_put_simple(&w, "a", 1);
	world_settle(&w);
	ok(stats().read_offset == 8 && !stats().uploads, "and it goes on");
	world_close(&w);
}

/* FIX_TAKEN: a record that a rewind brings again is not its own repeat. */
static void test_rewind_taken(void)
{
	struct streamery_rewind r = {.to = 0, .done = rewind_done};

	world_open(&w, "mem:", "/");
	world_put(&w, &(struct request){.table = "a", .records = 1, .id = "k"});
	world_put(&w, &(struct request){.table = "a", .records = 2, .id = "l"});
	world_settle(&w);
	streamery_rewind(w.streamery, &r);
	world_step(&w);
	world_settle(&w);
	ok(fake_db(w.state)->n_batches == 2 && row(1)->first == 0 && row(1)->records == 3, "keyed records are cut again after a rewind");
	is_int(0, (int64_t)fake_tally(fake_db(w.state), 1, STR("a"))->repeats, "and are no repeats");
	world_close(&w);
}

static void test_drain(void)
{
	world_open(&w, "mem:", "/");
	world_put_simple(&w, "a", 1);
	world_put_simple(&w, "b", 1);
	stream();
	world_put_simple(&w, "a", 1);
	ok(!streamery_drained(w.streamery), "not drained");
	streamery_drain(w.streamery);
	for (int i = 0; i < 5; i++)
		world_step(&w);
	ok(streamery_drained(w.streamery), "drained");
	ok(fake_db(w.state)->n_batches == 2 && strcmp(row(0)->reason, "stop") == 0 && fake_db(w.state)->read_from == 2, "what was open is committed, nothing more is read");
	world_close(&w);
}

/* A start may leave a gap of offsets at the end of the queue. */
static void test_gap(void)
{
	struct streamery_flush all = {.done = flush_done};

	world_open(&w, "mem:", "/");
	world_new_queue(&w, 50);
	memcpy(fake_db(w.state)->queue_id, queue_id(w.queue), QUEUE_ID_LEN);
	fake_db(w.state)->has_position = true;
	fake_db(w.state)->read_from = 47;
	world_crash(&w);
	flushed = 0;
	streamery_flush(w.streamery, &all);
	for (int i = 0; i < 4; i++)
		world_step(&w);
	ok(flushed == 1 && stats().read_offset == 50, "a gap at the end of the queue is passed");
	ok(fake_db(w.state)->events == 1 && strstr(fake_db(w.state)->last_event, "begins at offset 50") && stats().problem[0], "not in silence: %s", fake_db(w.state)->last_event);
	world_put_simple(&w, "a", 1);
	world_settle(&w);
	ok(row(0)->first == 50 && fake_db(w.state)->read_from == 51, "and it goes on");
	world_close(&w);
}

static void test_expire(void)
{
	world_open(&w, "mem:", "/");
	world_put(&w, &(struct request){.table = "a", .records = 1, .id = "k"});
	world_settle(&w);
	ok(fake_db(w.state)->expired_before == INT64_C(1790000000) * NSEC_PER_SEC - 24 * 3600 * NSEC_PER_SEC, "request ids are forgotten 24 h behind the position, by the queue's time");
	world_close(&w);
}

/* For the shell test: a file in a folder, its name on stdout. */
static int make_file(const char *dir)
{
	char *url = xasprintf("dir:%s", dir);

	world_open(&w, url, dir);
	for (unsigned i = 0; i < 3; i++)
		world_put(&w, &(struct request){.table = "or/ders", .records = 3, .seed = i, .keys = "[\"id\"]", .big = i == 1});
	world_settle(&w);
	puts(row(0)->path);
	world_close(&w);
	free(url);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--file") == 0)
		return make_file(argv[2]);
	plan_lazy();
	test_first();
	test_reasons();
	test_sick_upload();
	test_memory();
	test_order();
	test_position();
	test_saved();
	test_repeats();
	test_failed_commits();
	test_flush();
	test_rewind();
	test_rewind_taken();
	test_drain();
	test_gap();
	test_expire();
	is_int(0, fake_broken_rules, "no rule of the model was broken");
	return done_testing();
}
