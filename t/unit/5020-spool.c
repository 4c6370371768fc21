/*
 * 5020-spool.c - which loads the spool starts, against a port that only writes down what it was told: the circuit breaker, hints of the destination, the number of
 * loads at once while it changes, many small files in one load. One thread: spool and state are stepped here, time is ours.
 */
#include "daemon/spool/spool.h"
#include "dtest.h"
#include "tap.h"
#include "xalloc.h"

#define MAX_STARTED 1000
#define HOUR (3600 * NSEC_PER_SEC)

/* --- the port --- */

static struct started {
	int64_t destination_id, table_id, load_id;
	unsigned slot;
	struct load_row load;
	bool over;
} started[MAX_STARTED];
static size_t n_started;
static unsigned stops;
static struct mailbox *mb;
static struct spool *spool;
static struct now now;
static int64_t source, dest;
static unsigned tables;

static struct now our_now(void)
{
	return now;
}

static void copy_load(const struct load_row *from, struct load_row *to)
{
	*to = (struct load_row){.id = from->id, .table_id = from->table_id, .attempt = from->attempt, .n = from->n};
	to->batches = xcalloc(from->n, sizeof(*to->batches));
	for (size_t k = 0; k < from->n; k++) {
		memcpy(to->batches[k].batch.id, from->batches[k].batch.id, BATCH_ID_LEN);
		to->batches[k].batch.records = from->batches[k].batch.records;
	}
}

static void port_start(void *port, const struct destination_row *d, unsigned slot, const struct load_row *load)
{
	struct started *st = &started[n_started++];

	(void)port;
	assert(n_started < MAX_STARTED);
	*st = (struct started){.destination_id = d->id, .table_id = load->table_id, .load_id = load->id, .slot = slot};
	copy_load(load, &st->load);
}

static void port_rejects(void *port, int64_t destination_id, unsigned slot, int64_t load_id, const struct err *e)
{
	(void)port, (void)destination_id, (void)slot, (void)load_id, (void)e;
}

static void port_discard(void *port, const struct destination_row *d, unsigned slot, int64_t job_id, const struct load_row *load)
{
	(void)port, (void)d, (void)slot, (void)job_id, (void)load;
}

static void port_stop(void *port, int64_t destination_id)
{
	(void)port, (void)destination_id;
	stops++;
}

static const struct loader_port_ops ops = {.start = port_start, .rejects_stored = port_rejects, .discard = port_discard, .stop = port_stop};

/* --- the world --- */

static void turn(void)
{
	struct stage *st = state_stage(dtest_state()), *sp = spool_stage(spool);

	for (unsigned k = 0; k < 8; k++) {
		sp->ops->step(sp->self, now);
		st->ops->step(st->self, now);
	}
	sp->ops->step(sp->self, now);
}

static void later(int64_t ns)
{
	now.mono += ns;
	now.real += ns;
	spool_wake(spool);
	turn();
}

static void new_spool(void)
{
	struct spool_config c = {.loaders_per_destination = 2, .load_batches = 64, .load_bytes = 64u << 20, .backoff_first = NSEC_PER_SEC, .backoff_max = 600 * NSEC_PER_SEC};

	mb = mailbox_new(1000, 1u << 30);
	spool = spool_new(&c, dtest_state(), mb, &err);
	if (!spool)
		bail("%s", err.text);
	spool_set_port(spool, (struct loader_port){.ops = &ops});
}

static void free_spool(void)
{
	spool_free(spool);
	mailbox_free(mb);
}

static void begin(void)
{
	dtest_open();
	now = (struct now){.mono = 1000 * HOUR, .real = 490000 * HOUR};
	now_set_source(our_now);
	source = dtest_source("shop");
	dest = dtest_destination("pg");
	dtest_connect(source, dest, 0, now.real);
	tables = 0;
	stops = 0;
	new_spool();
}

static void forget(void)
{
	for (size_t k = 0; k < n_started; k++)
		load_row_free(&started[k].load);
	n_started = 0;
}

static void end(void)
{
	free_spool();
	forget();
	now_set_source(NULL);
	dtest_close();
}

static void cut_into(const char *table, unsigned batches)
{
	static uint64_t offset;

	for (unsigned k = 0; k < batches; k++, offset += 10)
		dtest_cut(&(struct dtest_cut){.source = source, .table = table, .first = offset, .last = offset + 9, .records = 10, .position = offset + 10, .at = now.real});
}

static void new_tables(unsigned n)
{
	char name[20];

	while (n-- > 0) {
		snprintf(name, sizeof(name), "t%u", ++tables);
		cut_into(name, 1);
	}
	spool_wake(spool);
}

static struct spool_event *event_for(struct started *st, int kind)
{
	struct spool_event *ev = xcalloc(1, sizeof(*ev));

	ev->msg.kind = kind;
	ev->destination_id = st->destination_id;
	ev->slot = st->slot;
	ev->load_id = st->load_id;
	st->over = true;
	return ev;
}

static void fail_load(struct started *st, const char *class, bool at_open, int64_t retry_after)
{
	struct spool_event *ev = event_for(st, SPOOL_EV_FAILED);

	snprintf(ev->class, sizeof(ev->class), "%s", class);
	snprintf(ev->text, sizeof(ev->text), "connection refused");
	ev->at_open = at_open;
	ev->retry_after = retry_after;
	mailbox_reply(mb, &ev->msg);
	turn();
}

static void finish(struct started *st)
{
	struct spool_event *ev = event_for(st, SPOOL_EV_DONE);

	ev->n_results = st->load.n;
	ev->results = xcalloc(st->load.n, sizeof(*ev->results));
	for (size_t k = 0; k < st->load.n; k++) {
		memcpy(ev->results[k].batch_id, st->load.batches[k].batch.id, BATCH_ID_LEN);
		ev->results[k].rows = st->load.batches[k].batch.records;
		ev->results[k].attempt = st->load.attempt;
	}
	mailbox_reply(mb, &ev->msg);
	turn();
}

static unsigned running(void)
{
	unsigned n = 0;

	for (size_t k = 0; k < n_started; k++)
		n += !started[k].over;
	return n;
}

static void finish_all(void)
{
	for (size_t k = 0; k < n_started; k++)
		if (!started[k].over)
			finish(&started[k]);
}

static struct spool_dest_state state_now(void)
{
	struct spool_dest_state *list, st = {.destination_id = 0};
	size_t n;

	spool_destinations(spool, &list, &n);
	if (n)
		st = list[0];
	free(list);
	return st;
}

static int set_settings(struct db *d, void *arg, struct err *e)
{
	return db_destination_update(d, dest, arg, e);
}

static void settings(const char *json)
{
	MUST(state_call(dtest_state(), set_settings, (void *)(uintptr_t)json, &err));
	later(2 * NSEC_PER_SEC);
}

/* --- what must hold --- */

static void a_flood_does_not_try(void)
{
	int64_t wait;
	size_t before;

	begin();
	new_tables(20);
	turn();
	is_int(2, (int64_t)n_started, "two loads at once begin");
	is_int(BREAKER_CLOSED, state_now().breaker, "the breaker is closed");
	fail_load(&started[0], "transient", true, 0);
	is_int(BREAKER_OPEN, state_now().breaker, "a loader that cannot connect opens the breaker");
	ok(state_now().until > now.real, "until a time");
	fail_load(&started[1], "transient", true, 0);
	later(1 * NSEC_PER_MSEC);
	is_int(2, (int64_t)n_started, "none of the other 18 tables tries");
	is_int(1, dtest_sql("SELECT count(*) FROM event WHERE kind = 'destination-failed' AND text LIKE '%%then one load tries%%'"), "one event tells it");
	wait = state_now().until - now.real;
	later(wait - NSEC_PER_MSEC);
	is_int(2, (int64_t)n_started, "nor before that time");
	later(2 * NSEC_PER_MSEC);
	is_int(3, (int64_t)n_started, "then one load tries");
	is_int(BREAKER_HALF_OPEN, state_now().breaker, "the breaker is half open");
	later(5 * NSEC_PER_SEC);
	is_int(3, (int64_t)n_started, "only one, however long it takes");
	fail_load(&started[2], "transient", false, 0);
	is_int(BREAKER_OPEN, state_now().breaker, "its failure opens the breaker again");
	ok(state_now().until - now.real > wait, "for longer");
	free_spool();
	new_spool();
	turn();
	is_int(BREAKER_OPEN, state_now().breaker, "a restart keeps it open");
	is_int(3, (int64_t)n_started, "and tries nothing");
	later(state_now().until - now.real + NSEC_PER_MSEC);
	is_int(4, (int64_t)n_started, "one probe more");
	finish(&started[3]);
	is_int(BREAKER_CLOSED, state_now().breaker, "success closes the breaker");
	is_int(2, running(), "and all is tried again, two at once");
	is_int(1, dtest_sql("SELECT count(*) FROM event WHERE kind = 'destination-ok'"), "an event tells it");
	for (before = 0; before != n_started;) {
		before = n_started;
		finish_all();
	}
	is_int(20, dtest_sql("SELECT count(*) FROM job WHERE state = 3"), "everything is loaded");
	end();
}

static void hints_are_honoured(void)
{
	begin();
	new_tables(3);
	turn();
	fail_load(&started[0], "transient", true, 3 * HOUR);
	ok(state_now().until >= now.real + 3 * HOUR, "the destination's own hint is obeyed");
	fail_load(&started[1], "transient", true, 0);
	ok(state_now().until >= now.real + 3 * HOUR, "a later failure without one does not shorten it");
	later(3 * HOUR - NSEC_PER_SEC);
	is_int(2, (int64_t)n_started, "nothing is tried before");
	later(2 * NSEC_PER_SEC);
	is_int(3, (int64_t)n_started, "one load after it");
	fail_load(&started[2], "config", true, 0);
	ok(state_now().until >= now.real + 8 * NSEC_PER_SEC, "a configuration error waits longer than a transient one");
	is_int(1, dtest_sql("SELECT count(*) FROM destination WHERE error_class = 'config' AND error = 'connection refused'"), "with its cause");
	end();
}

static void one_table_waits_alone(void)
{
	size_t before = 0, sick = 0;
	int64_t table;

	begin();
	new_tables(2);
	turn();
	table = started[0].table_id;
	fail_load(&started[0], "transient", false, 0);
	is_int(BREAKER_CLOSED, state_now().breaker, "one table that fails opens nothing");
	finish(&started[1]);
	for (unsigned k = 0; k < 5; k++) {
		new_tables(1);
		later(20 * NSEC_PER_SEC);
		while (before != n_started) {
			before = n_started;
			for (size_t i = 0; i < n_started; i++) {
				if (started[i].over)
					continue;
				if (started[i].table_id != table)
					finish(&started[i]);
				else
					fail_load(&started[i], "transient", false, 0);
			}
		}
	}
	for (size_t i = 0; i < n_started; i++)
		sick += started[i].table_id == table;
	ok(sick > 2, "it is tried again and again");
	is_int(6, dtest_sql("SELECT count(*) FROM job WHERE state = 3"), "the others are loaded");
	new_tables(2);
	later(NSEC_PER_SEC);
	fail_load(&started[n_started - 1], "transient", false, 0);
	later(NSEC_PER_SEC / 2);
	for (size_t i = 0; i < n_started; i++)
		if (!started[i].over)
			fail_load(&started[i], "transient", false, 0);
	is_int(BREAKER_OPEN, state_now().breaker, "two tables that fail with no success in between do");
	end();
}

static void concurrency_changes(void)
{
	begin();
	new_tables(12);
	turn();
	is_int(2, running(), "two by the daemon's setting");
	settings("{\"concurrency\":\"5\"}");
	is_int(5, running(), "five as soon as its own setting says so");
	is_int(5, state_now().limit, "which can be seen");
	is_int(0, stops, "no loader had to end for it");
	settings("{\"concurrency\":\"1\"}");
	is_int(5, running(), "what runs goes on when it sinks");
	for (size_t k = 0; k < 4; k++)
		finish(&started[k]);
	is_int(1, running(), "and nothing new begins above it");
	finish(&started[4]);
	is_int(1, running(), "one at a time");
	settings("{\"path\":\"/new\",\"concurrency\":\"1\"}");
	is_int(1, stops, "another setting ends the idle loaders");
	end();
}

/* now is in hour 490000 since 1970: 2025-11-24 16:00 UTC, a Monday */
static void maintenance(void)
{
	begin();
	new_tables(6);
	turn();
	is_int(2, running(), "two loads begin");
	settings("{\"maintenance\":\"2 16 * * 1 30m; 0 3 * * * 1h\"}");
	finish(&started[0]);
	is_int(2, running(), "before a window of maintenance all goes on");
	later(120 * NSEC_PER_SEC);
	finish(&started[1]);
	finish(&started[2]);
	is_int(0, running(), "in it nothing new begins");
	later(29 * 60 * NSEC_PER_SEC);
	is_int(0, running(), "to its end");
	later(61 * NSEC_PER_SEC);
	is_int(2, running(), "then all goes on by itself");
	settings("{\"maintenance\":\"0 17 * * * 3h\",\"time_zone\":\"Nowhere/Land\"}");
	is_int(2, running(), "a setting that cannot be understood stops nothing");
	end();
}

static void small_files_become_one_load(void)
{
	begin();
	cut_into("busy", 200);
	spool_wake(spool);
	turn();
	is_int(1, running(), "one load of a table at a time");
	is_int(64, (int64_t)started[0].load.n, "of as many waiting files as a load may have");
	while (running())
		finish_all();
	is_int(4, (int64_t)n_started, "200 files are four loads");
	is_int(200, dtest_sql("SELECT count(*) FROM job WHERE state = 3"), "and all are loaded");
	end();
}

int main(void)
{
	a_flood_does_not_try();
	hints_are_honoured();
	one_table_waits_alone();
	concurrency_changes();
	maintenance();
	small_files_become_one_load();
	return done_testing();
}
