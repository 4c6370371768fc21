/*
 * fixed.c - the counterexamples of the protocol's model (../shared/design/model/README.md, last table) as histories, step by step: each broke the first text of
 * the design, and must come out right here. Left out: FIX_S3 and FIX_REV, whose parts (a destination without a ledger; replay of single rejected
 * records) are not there yet.
 */
#include "sim.h"

#include "tap.h"

enum { KEYED, APPEND, VERSIONS };

static unsigned put(unsigned table, const char *id)
{
	unsigned r = sim_request_new(table, 1, id);

	sim_send(r);
	sim_step(PART_QUEUE);
	if (!sim.requests[r].acked)
		sim_wrong("a request was not taken");
	return r;
}

static void cut_all(void)
{
	sim_flush();
	sim_step(PART_STREAM);
}

static void commit_all(void)
{
	sim_step(PART_STREAM);
	sim_step(PART_STATE);
	sim_step(PART_STREAM);
}

static void rounds(unsigned n)
{
	while (n--) {
		sim_round();
		sim_later(500 * NSEC_PER_MSEC);
	}
}

static size_t rows_of(unsigned dest, unsigned table)
{
	return sim_dest_table(&sim.dests[dest], sim.sources[sim_tables[table].source], str_c(sim_tables[table].name))->n_rows;
}

static void expect(size_t wanted, size_t seen, const char *what)
{
	if (wanted != seen)
		sim_wrong("%s: %zu, not %zu", what, seen, wanted);
}

/* A's upload is tried again, B is committed behind it; the position must not pass A. */
static void upload_and_position(unsigned second_table)
{
	put(APPEND, NULL);
	sim_step(PART_STREAM);
	cut_all();
	store_mem_fault(sim.store, STORE_MEM_FAIL_NEXT);
	sim_step(PART_STORE);
	put(second_table, NULL);
	sim_step(PART_STREAM);
	cut_all();
	sim_step(PART_STORE);
	commit_all();
	sim_crash();
	sim_settle();
	expect(second_table == APPEND ? 2 : 1, rows_of(0, APPEND), "rows of append");
}

static void position(void)
{
	upload_and_position(KEYED);
}

static void order(void)
{
	upload_and_position(APPEND);
}

static void run_id(void)
{
	put(APPEND, NULL);
	sim_step(PART_STREAM);
	cut_all();
	sim_step(PART_STORE);
	expect(1, store_mem_count(sim.store), "files before the crash");
	sim_crash();
	sim_step(PART_RETENTION);
	sim_step(PART_STREAM);
	cut_all();
	sim_later(10 * NSEC_PER_SEC);
	sim_step(PART_STORE);
	sim_step(PART_RETENTION);
	commit_all();
	sim_later(10 * NSEC_PER_SEC);
	sim_step(PART_RETENTION);
	sim_settle();
	expect(1, rows_of(0, APPEND), "rows");
}

static void range(void)
{
	put(APPEND, NULL);
	sim_settle();
	expect(1, rows_of(0, APPEND), "rows before the rewind");
	put(APPEND, NULL);
	sim_rewind(queue_begin(sim.queue, 0));
	sim_settle();
	expect(2, rows_of(0, APPEND), "rows after the rewind");
}

static void taken(void)
{
	put(KEYED, "a");
	put(APPEND, "b");
	sim_settle();
	sim_connect(1, 0);
	sim_rewind(queue_begin(sim.queue, 0));
	sim_settle();
	expect(1, rows_of(1, KEYED), "rows that the rewind brings to a new destination");
	expect(1, rows_of(1, APPEND), "rows that the rewind brings to a new destination");
	expect(1, rows_of(0, APPEND), "rows of the old one");
}

static void expire(void)
{
	unsigned a = put(APPEND, "a");

	sim_settle();
	/* the repeat lies unread in the queue for more than a day */
	sim_send(a);
	sim_step(PART_QUEUE);
	sim_later(25 * 3600 * NSEC_PER_SEC);
	sim_step(PART_SPOOL);
	sim_step(PART_STATE);
	sim_step(PART_RETENTION);
	put(KEYED, NULL);
	sim_settle();
	sim_later(25 * 3600 * NSEC_PER_SEC);
	put(KEYED, NULL);
	sim_settle();
	expect(1, rows_of(0, APPEND), "rows");
}

static void repeat(void)
{
	unsigned a = put(APPEND, "a");

	sim_settle();
	sim_send(a);
	sim_step(PART_QUEUE);
	sim_settle();
	expect(1, rows_of(0, APPEND), "rows");
}

static void drop(void)
{
	put(APPEND, NULL);
	sim_settle();
	sim_connect(1, 0);
	put(APPEND, NULL);
	sim_step(PART_STREAM);
	cut_all();
	/* its upload is under way */
	sim_rewind(queue_begin(sim.queue, 0));
	sim_step(PART_STREAM);
	sim_step(PART_STATE);
	sim_step(PART_STREAM);
	sim_step(PART_STORE);
	sim_settle();
	expect(2, rows_of(0, APPEND), "rows");
	expect(2, rows_of(1, APPEND), "rows that the rewind brings to a new destination");
}

static unsigned put_version(int64_t version, bool activate)
{
	unsigned r = sim_request_new(VERSIONS, 1, NULL);

	sim.requests[r].version = sim.requests[r].r[0].version = version;
	sim.requests[r].activate = activate;
	sim_send(r);
	sim_step(PART_QUEUE);
	return r;
}

static void lock(void)
{
	put_version(1, false);
	sim_settle();
	expect(1, rows_of(0, VERSIONS), "rows of version 1");
	/* the loader that activates 2 is killed; its transaction runs on for a while */
	sim.dests[0].orders.die_before_commit = 1;
	sim.dests[0].orders.hold_orphans = true;
	put_version(2, true);
	rounds(20);
	put_version(1, false);
	rounds(20);
	sim.dests[0].orders.hold_orphans = false;
	sim_settle();
	expect(0, rows_of(0, VERSIONS), "rows of version 1 after the activation of 2");
}

static void attempts(void)
{
	unsigned r = sim_request_new(APPEND, 1, NULL);

	sim.dests[0].orders = (struct dest_orders){.die_before_commit = 1, .abort_orphans = true, .reject_uid = sim.requests[r].r[0].uid + 1, .reject_attempts = 1};
	sim_send(r);
	sim_settle();
	expect(0, sim.dests[0].orders.die_before_commit, "loaders still to die");
	expect(1, rows_of(0, APPEND), "rows");
}

static void two_destinations(void)
{
	unsigned r;

	sim_connect(1, 0);
	r = sim_request_new(APPEND, 1, NULL);
	sim.dests[1].orders = (struct dest_orders){.reject_uid = sim.requests[r].r[0].uid + 1, .reject_attempts = 99};
	sim_send(r);
	sim_settle();
	expect(1, rows_of(0, APPEND), "rows of the first");
	expect(0, rows_of(1, APPEND), "rows of the second, which rejects");
}

struct first_job {
	int64_t id;
	enum job_state state;
	bool done;
};

static void look_at_job(struct first_job *j)
{
	struct job_filter f = {.destination_id = sim.dests[0].id};
	struct err e = ERR_INIT;
	struct db *db = state_reader(sim.state, &e);
	struct job_row *rows = NULL;
	size_t n = 0;

	if (!db || db_job_list(db, &f, 0, 10, &rows, &n, &e))
		bail("%s", e.text);
	if (n > 1)
		sim_wrong("%zu jobs, not one", n);
	else if (n)
		*j = (struct first_job){.id = rows[0].id, .state = rows[0].state};
	job_list_free(rows, n);
	state_reader_close(db);
}

static int discard_it(struct db *db, void *arg, struct err *e)
{
	struct first_job *j = arg;

	return db_job_discard(db, j->id, sim.now.real, &j->done, e);
}

/* Discards the one job while its COMMIT has been answered to nobody. */
static void discard_unanswered(void)
{
	struct first_job j = {0};

	for (int i = 0; i < 1000 && (j.state != JOB_DEFERRED || sim.dests[0].orders.lose_answer) && !sim.why[0]; i++) {
		sim_round();
		sim_later(200 * NSEC_PER_MSEC);
		look_at_job(&j);
	}
	expect(1, rows_of(0, APPEND), "rows that were committed, unknown to the daemon");
	if (!sim_call(discard_it, &j))
		spool_wake(sim.spool);
	sim_settle();
	look_at_job(&j);
	expect(JOB_DONE, j.state, "state of the job whose rows are there");
}

static void discard(void)
{
	sim.dests[0].orders.lose_answer = 1;
	put(APPEND, NULL);
	discard_unanswered();
}

/* Attempt 1 rejects and dies, attempt 2 takes the record and its answer is lost: the discard learns that nothing was rejected. */
static void discard_attempts(void)
{
	unsigned r = sim_request_new(APPEND, 1, NULL);

	sim.dests[0].orders = (struct dest_orders){
		.die_before_commit = 1, .lose_answer = 1, .abort_orphans = true, .reject_uid = sim.requests[r].r[0].uid + 1, .reject_attempts = 1};
	sim_send(r);
	discard_unanswered();
}

const struct sim_fixed sim_fixed[] = {
	{"FIX_POS", "the position counts batches in upload", position},
	{"FIX_ORDER", "batches of a table are committed in the order of their offsets", order},
	{"FIX_RUN", "a file of a run that died is swept, the one that is cut again is not", run_id},
	{"FIX_RANGE", "a record that is cut into another batch after a rewind is loaded once", range},
	{"FIX_TAKEN", "a rewind drops no record as its own repeat", taken},
	{"FIX_EXPIRE", "an id outlives a repeat that waits unread", expire},
	{"FIX_REPEAT", "a dropped repeat is counted", repeat},
	{"FIX_DROP", "a rewind drops the uploads that began before it", drop},
	{"FIX_LOCK", "a killed loader's transaction that activates a version holds up the next load", lock},
	{"FIX_TRY", "what counts as rejected is what the committed attempt rejected", attempts},
	{"FIX_DESTKEY", "one destination's rejects are not another's", two_destinations},
	{"FIX_TRY+", "and so when a discard tells it", discard_attempts},
	{"FIX_DISCARD", "a job whose COMMIT was answered to nobody is done, not discarded", discard},
};
const size_t sim_fixed_len = ARRAY_LEN(sim_fixed);

const char *sim_play(const struct sim_fixed *f)
{
	static char why[400];

	sim_open(1, BUG_NONE, true);
	sim_connect(0, 0);
	sim_connect(0, 1);
	f->play();
	if (!sim.why[0])
		sim_check();
	snprintf(why, sizeof(why), "%s", sim.why);
	sim_close();
	return why[0] ? why : NULL;
}
