/*
 * 3006-retention.c - the stage that deletes, with the double of the state: what it asks, in which order it deletes, and what it leaves alone.
 */
#include "tap.h"

#include "daemon/retention/retention.h"
#include "daemon/store/batch_name.h"
#include "stest.h"

#define DAY (24 * 3600 * NSEC_PER_SEC)

static struct world w;
static struct retention *r;

static void start(struct retention_config c)
{
	struct err e = ERR_INIT;

	c.state_dir = "/";
	c.interval = 10 * NSEC_PER_SEC;
	c.run_id = "0000000a";
	if (!c.batch_keep)
		c.batch_keep = 30 * DAY;
	r = retention_new(&c, w.queue, w.store, w.state, &e);
	if (!r)
		bail("%s", e.text);
}

static int64_t round_now(void)
{
	struct stage *s = retention_stage(r);

	return s->ops->step(s->self, w.now);
}

static void test_queue(void)
{
	struct db *db;

	world_open(&w, "mem:", "/");
	db = fake_db(w.state);
	world_put_simple(&w, "a", 5);
	world_put(&w, &(struct request){.source = 2, .table = "b", .records = 7});
	start((struct retention_config){.queue_keep = 7 * DAY});
	db->safe = 100;
	ok(round_now() == w.now.mono + 10 * NSEC_PER_SEC, "it looks again after its interval");
	is_int(0, (int64_t)queue_begin(w.queue, 0), "without a position nothing is trimmed");
	world_settle(&w);
	is_int(6, (int64_t)db->read_from, "all is cut");
	db->safe = 3;
	world_later(&w, 10 * NSEC_PER_SEC);
	round_now();
	is_int(3, (int64_t)queue_begin(w.queue, 0), "trimmed to what all destinations have");
	ok(db->loaded_before == w.now.real - 7 * DAY, "for seven days");
	ok(fake_tally(db, 1, STR("a"))->trimmed == 3 && db->trimmed_to == 3, "what was trimmed stays counted");
	db->safe = 100;
	round_now();
	is_int(3, (int64_t)queue_begin(w.queue, 0), "nothing happens before the next round");
	world_later(&w, 10 * NSEC_PER_SEC);
	round_now();
	ok(queue_begin(w.queue, 0) == 6 && fake_tally(db, 1, STR("a"))->trimmed == 5 && fake_tally(db, 2, STR("b"))->trimmed == 7, "then the rest, each once");
	world_put_simple(&w, "a", 4);
	world_later(&w, 10 * NSEC_PER_SEC);
	round_now();
	is_int(6, (int64_t)queue_begin(w.queue, 0), "never past the position");
	/* recorded, then died */
	world_settle(&w);
	db->safe = 0;
	db->trimmed_to = 8;
	fake_tally(db, 1, STR("a"))->trimmed += 2;
	world_later(&w, 10 * NSEC_PER_SEC);
	round_now();
	ok(queue_begin(w.queue, 0) == 8 && fake_tally(db, 1, STR("a"))->trimmed == 7, "a trim that was cut short is finished and not counted again");
	retention_free(r);
	start((struct retention_config){.queue_keep = 7 * DAY, .queue_keep_bytes = 10});
	round_now();
	ok(db->loaded_before == w.now.real, "too large: all that is loaded may go");
	retention_free(r);
	start((struct retention_config){.queue_keep = 7 * DAY, .pressure_bytes = UINT64_MAX / 2});
	round_now();
	ok(db->loaded_before == w.now.real && db->done_before == w.now.real && strstr(db->last_event, "disk-short"), "the disk short of room: likewise, files too, and an event says so (%s)", db->last_event);
	retention_free(r);
	world_close(&w);
}

static void test_files(void)
{
	struct db *db;
	struct err e = ERR_INIT;

	world_open(&w, "mem:", "/");
	db = fake_db(w.state);
	for (int i = 0; i < 3; i++) {
		world_put_simple(&w, "a", 1);
		world_settle(&w);
		world_later(&w, DAY);
	}
	is_int(3, (int64_t)store_mem_count(w.store), "three files");
	start((struct retention_config){.batch_keep = 2 * DAY + DAY / 2});
	round_now();
	ok(store_mem_count(w.store) == 2 && db->batch[0].deleted && !db->batch[1].deleted, "the oldest goes, its row is marked");
	store_mem_fault(w.store, STORE_MEM_FAIL_ALL);
	world_later(&w, DAY);
	round_now();
	ok(store_mem_count(w.store) == 2 && db->batch[1].deleted, "the store is down: the row is marked, the file still there");
	store_mem_fault(w.store, 0);
	world_later(&w, 10 * NSEC_PER_SEC);
	round_now();
	is_int(1, (int64_t)store_mem_count(w.store), "it goes when the store is back");
	retention_free(r);
	ok(!store_put(w.store, "1/a/0-1-1-0123456789abcdef-0000000b.1.jsonl.zst", "x", 1, &e) &&
			!store_put(w.store, "1/a/0-1-1-0123456789abcdef-0000000a.1.jsonl.zst", "x", 1, &e) && !store_put(w.store, "notes/of/mine", "x", 1, &e),
		"a file of another run without a row, one of this run, one of a person");
	start((struct retention_config){0});
	round_now();
	is_int(3, (int64_t)store_mem_count(w.store), "the first only is swept");
	ok(store_get(w.store, "1/a/0-1-1-0123456789abcdef-0000000b.1.jsonl.zst", &e) == -1, "it is gone");
	retention_free(r);
	for (int i = 0; i < 4; i++) {
		world_put_simple(&w, "a", 1);
		world_settle(&w);
		world_later(&w, NSEC_PER_SEC);
	}
	start((struct retention_config){.batch_keep_bytes = 3 * db->batch[3].bytes});
	round_now();
	ok(!db->batch[6].deleted && db->batch[2].deleted && db->batch[3].deleted, "too many bytes: the oldest go");
	retention_free(r);
	world_close(&w);
}

int main(void)
{
	plan_lazy();
	test_queue();
	test_files();
	is_int(0, fake_broken_rules, "no rule of the model was broken");
	return done_testing();
}
