/*
 * world.c - the daemon's parts without threads, put together as app.c does it, and taken apart as a crash does: transactions that wait are dropped,
 * the queue keeps what was durable (and perhaps what was not answered), the store keeps whole files, loaders die.
 */
#include "sim.h"

#include "daemon/state/seal.h"
#include "tap.h"
#include "xalloc.h"

struct sim sim;
bool sim_talks;
static uint64_t random_counter;

const struct sim_table sim_tables[SIM_TABLES] = {
	{0, "keyed", true, false},
	{0, "append", false, false},
	{0, "versions", true, true},
	{1, "append", false, false},
};

uint64_t sim_pick(uint64_t below)
{
	sim.rng ^= sim.rng << 13;
	sim.rng ^= sim.rng >> 7;
	sim.rng ^= sim.rng << 17;
	return (sim.rng >> 11) % below;
}

void sim_wrong(const char *fmt, ...)
{
	va_list ap;

	if (sim.why[0])
		return;
	va_start(ap, fmt);
	vsnprintf(sim.why, sizeof(sim.why), fmt, ap);
	va_end(ap);
}

void sim_say(const char *fmt, ...)
{
	va_list ap;

	if (!sim_talks)
		return;
	va_start(ap, fmt);
	printf("# %7" PRId64 " ", (sim.now.mono - 1000 * NSEC_PER_SEC) / NSEC_PER_MSEC);
	vprintf(fmt, ap);
	putchar('\n');
	va_end(ap);
}

static struct now world_now(void)
{
	return sim.now;
}

static void world_random(void *p, size_t n)
{
	unsigned char *c = p;

	for (size_t i = 0; i < n; i++) {
		random_counter = random_counter * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		c[i] = (unsigned char)(random_counter >> 56);
	}
}

int sim_call(int (*run)(struct db *db, void *arg, struct err *e), void *arg)
{
	struct err e = ERR_INIT;
	int rc = state_call(sim.state, run, arg, &e);

	if (rc && e.code != ERR_NOT_FOUND && e.code != ERR_STATE && e.code != ERR_EXISTS)
		sim_wrong("the state refuses an act: %s", e.text);
	return rc;
}

static void job_is_there(void *arg)
{
	(void)arg;
	spool_wake(sim.spool);
}

static void loader_idle(void *arg, int64_t source_id, bool idle)
{
	(void)arg;
	streamery_loader_idle(sim.streamery, source_id, idle);
}

static int bind_queue(struct db *db, void *arg, struct err *e)
{
	return db_queue_bind(db, queue_id(arg), e);
}

static void start(void)
{
	struct streamery_config sc = {.batch_bytes = 3000,
		.batch_age = 5 * NSEC_PER_SEC,
		.memory_bytes = 40000,
		.idle_cut_delay = 50 * NSEC_PER_MSEC,
		.uploads = 1 + (unsigned)sim_pick(3)};
	struct spool_config pc = {.loaders_per_destination = 2,
		.load_batches = 3,
		.load_bytes = 1 << 20,
		.backoff_first = NSEC_PER_SEC,
		.backoff_max = 20 * NSEC_PER_SEC};
	struct retention_config rc = {.queue_keep = (sim.scripted ? 3600 : 5) * NSEC_PER_SEC,
		.batch_keep = (sim.scripted ? 3600 : 20) * NSEC_PER_SEC,
		.event_keep = 3600 * NSEC_PER_SEC,
		.audit_keep = 3600 * NSEC_PER_SEC,
		.job_keep = 3600 * NSEC_PER_SEC,
		.events_max = 1000,
		.audit_max = 1000,
		.reject_keep = 3600 * NSEC_PER_SEC,
		.state_dir = "/",
		.interval = NSEC_PER_SEC};
	struct err e = ERR_INIT;

	snprintf(sim.run_id, sizeof(sim.run_id), "%08x", ++sim.runs);
	sc.run_id = rc.run_id = sim.run_id;
	sim.store_stage = store_stage_new(sim.store);
	sim.streamery = streamery_new(&sc, sim.queue, 0, sim.store_stage, sim.state, &e);
	if (!sim.streamery)
		bail("streamery: %s", e.text);
	queue_on_durable(sim.queue, streamery_wake, sim.streamery);
	streamery_on_commit(sim.streamery, job_is_there, NULL);
	sim.spool_mailbox = mailbox_new(10000, 64u << 20);
	sim.spool = spool_new(&pc, sim.state, sim.spool_mailbox, &e);
	if (!sim.spool)
		bail("spool: %s", e.text);
	spool_set_port(sim.spool, sim_port());
	spool_on_idle(sim.spool, loader_idle, NULL);
	sim.retention = retention_new(&rc, sim.queue, sim.store, sim.state, &e);
	if (!sim.retention)
		bail("retention: %s", e.text);
	spool_wake(sim.spool);
}

static void stop(void)
{
	state_crash(sim.state);
	retention_free(sim.retention);
	spool_free(sim.spool);
	mailbox_free(sim.spool_mailbox);
	streamery_free(sim.streamery);
	store_stage_free(sim.store_stage);
	queue_on_durable(sim.queue, NULL, NULL);
}

void sim_crash(void)
{
	sim.crashes++;
	sim_say("crash");
	sim_dest_crash();
	stop();
	queue_mem_crash(sim.queue);
	sim_send_forget();
	store_mem_crash(sim.store);
	start();
}

/* --- what an operator does first --- */

static int make_sources(struct db *db, void *arg, struct err *e)
{
	(void)arg;
	for (int i = 0; i < 2; i++) {
		struct source_row s = {.client_id = 1, .name = (char *)(uintptr_t)(i ? "two" : "one"), .kind = (char *)(uintptr_t) "import",
			.settings = (char *)(uintptr_t) "{}", .created = sim.now.real};

		if (db_source_create(db, &s, &sim.sources[i], e))
			return -1;
	}
	for (int i = 0; i < SIM_DESTS; i++) {
		struct destination_row d = {.name = (char *)(uintptr_t)(i ? "later" : "first"), .kind = (char *)(uintptr_t) "sqlite",
			.settings = (char *)(uintptr_t) "{}", .created = sim.now.real};

		if (db_destination_create(db, &d, &sim.dests[i].id, e))
			return -1;
	}
	return 0;
}

struct connecting {
	int64_t source, dest;
};

static int connect_them(struct db *db, void *arg, struct err *e)
{
	struct connecting *c = arg;
	uint64_t jobs;

	return db_connect(db, c->source, c->dest, "s", 0, sim.now.real, &jobs, e);
}

void sim_connect(unsigned dest, unsigned source)
{
	struct connecting c = {sim.sources[source], sim.dests[dest].id};

	if (!sim_call(connect_them, &c))
		sim.dests[dest].connected = true;
	spool_wake(sim.spool);
}

void sim_open(uint64_t seed, enum sim_bug bug, bool scripted)
{
	struct queue_config qc = {.url = "mem:", .mailbox_count = 1000, .mailbox_bytes = 1u << 28};
	struct err e = ERR_INIT;

	memset(&sim, 0, sizeof(sim));
	sim.rng = seed * UINT64_C(0x9e3779b97f4a7c15) + 99991;
	random_counter = seed;
	sim.bug = bug;
	sim.scripted = scripted;
	sim.now = (struct now){.mono = 1000 * NSEC_PER_SEC, .real = INT64_C(1790000000) * NSEC_PER_SEC};
	now_set_source(world_now);
	random_set_source(world_random);
	sim.frame = frame_ctx_new();
	sim.queue = queue_open(&qc, &e);
	sim.store = store_open("mem:", "/", &e);
	sim.state = state_open_memory(&e);
	if (!sim.queue || !sim.store || !sim.state)
		bail("%s", e.text);
	if (sim_call(bind_queue, sim.queue) || sim_call(make_sources, NULL))
		bail("%s", sim.why);
	sim_dest_open();
	start();
}

void sim_close(void)
{
	sim_dest_crash();
	stop();
	queue_mem_crash(sim.queue);
	sim_send_forget();
	queue_close(sim.queue);
	store_close(sim.store);
	state_close(sim.state);
	frame_ctx_free(sim.frame);
	sim_dest_free();
	sim_check_free();
	now_set_source(NULL);
	random_set_source(NULL);
}

static void step(struct stage *s)
{
	s->ops->step(s->self, sim.now);
}

void sim_step(enum sim_part part)
{
	switch (part) {
	case PART_QUEUE:
		if (sim.bug == BUG_EARLY)
			queue_mem_fault(sim.queue, QUEUE_MEM_ACK_EARLY);
		queue_step(sim.queue, sim.now);
		break;
	case PART_STREAM:
		step(streamery_stage(sim.streamery));
		break;
	case PART_STORE:
		step(store_stage_stage(sim.store_stage));
		break;
	case PART_STATE:
		step(state_stage(sim.state));
		if (state_broken(sim.state))
			sim_wrong("state.db is broken");
		break;
	case PART_SPOOL:
		step(spool_stage(sim.spool));
		break;
	case PART_RETENTION:
		step(retention_stage(sim.retention));
		break;
	case PART_DEST:
		sim_dest_step();
		break;
	case PARTS:
		break;
	}
}

void sim_round(void)
{
	for (int p = 0; p < PARTS; p++)
		sim_step((enum sim_part)p);
}

void sim_later(int64_t ns)
{
	sim.now.mono += ns;
	sim.now.real += ns;
}

static bool jobs_wait(void)
{
	struct err e = ERR_INIT;
	struct job_counts c;
	struct db *db = state_reader(sim.state, &e);

	if (!db || db_job_counts(db, &c, &e))
		bail("%s", e.text);
	state_reader_close(db);
	return c.n[JOB_READY] + c.n[JOB_ACTIVE] + c.n[JOB_DEFERRED] > 0;
}

void sim_settle(void)
{
	unsigned calm = 0;

	for (int i = 0; i < 4000 && calm < 3; i++) {
		struct streamery_stats st;

		sim_round();
		streamery_stats(sim.streamery, &st);
		if (!st.open && !st.uploads && st.read_offset == queue_end(sim.queue, 0) && !jobs_wait() && !sim_dest_busy())
			calm++;
		else
			calm = 0;
		/* back-off may be a minute */
		sim_later((i % 10 == 9 ? 5000 : 200) * NSEC_PER_MSEC);
	}
	if (calm < 3)
		sim_wrong("it does not come to rest");
	/* repeats are counted when the position has passed them */
	for (int i = 0; i < 3; i++) {
		sim_later(11 * NSEC_PER_SEC);
		sim_round();
		sim_round();
	}
}

static void rewind_done(struct streamery_rewind *r)
{
	free(r);
}

void sim_rewind(uint64_t to)
{
	struct streamery_rewind *r = xcalloc(1, sizeof(*r));

	sim.rewinds++;
	sim_say("rewind to %" PRIu64, to);
	r->to = to;
	r->done = rewind_done;
	streamery_rewind(sim.streamery, r);
}

static void flush_done(struct streamery_flush *f)
{
	free(f);
}

void sim_flush(void)
{
	struct streamery_flush *f = xcalloc(1, sizeof(*f));

	f->done = flush_done;
	streamery_flush(sim.streamery, f);
}
