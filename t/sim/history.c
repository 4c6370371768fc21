/*
 * history.c - one random history by its seed: requests, resends, lost answers, failed writes, uploads and loads, crashes, rewinds, pauses, discards, a second
 * destination that is connected on the way; then everything is healed, what was not acknowledged is sent again, and check.c looks.
 */
#include "sim.h"

#include "tap.h"
#include "xalloc.h"

static void make_requests(void)
{
	for (unsigned i = 0; i < SIM_REQUESTS; i++) {
		unsigned table = (unsigned)sim_pick(SIM_TABLES);
		char id[24];
		struct sim_request *r;

		snprintf(id, sizeof(id), "key-%u", i);
		r = &sim.requests[sim_request_new(table, 1 + (unsigned)sim_pick(SIM_RECORDS), i % 3 ? id : NULL)];
		r->parts = r->n > 1 && sim_pick(3) == 0 ? 2 : 1;
		if (!sim_tables[table].versions)
			continue;
		r->version = 1 + i / 14;
		if (sim_pick(5) == 0) {
			r->activate = true;
			r->parts = r->n = 1;
		}
		for (unsigned k = 0; k < r->n; k++)
			r->r[k].version = r->version;
	}
}

/* --- what an operator does --- */

static int toggle_pause(struct db *db, void *arg, struct err *e)
{
	struct sim_dest *d = arg;
	struct pause_row p = {.kind = PAUSE_DESTINATION, .object_id = d->id, .who = (char *)(uintptr_t) "test", .reason = (char *)(uintptr_t) "", .since = sim.now.real};

	if (!d->paused)
		return db_pause_set(db, &p, e);
	return db_pause_clear(db, PAUSE_DESTINATION, d->id, e) || db_retry_now(db, d->id, sim.now.real, e) ? -1 : 0;
}

static void pause_or_resume(struct sim_dest *d)
{
	if (!sim_call(toggle_pause, d))
		d->paused = !d->paused;
	spool_wake(sim.spool);
}

struct job_act {
	int64_t id;
	bool done, replay;
};

static int act_on_job(struct db *db, void *arg, struct err *e)
{
	struct job_act *a = arg;
	int64_t new_id;

	if (a->replay)
		return db_job_replay(db, a->id, sim.now.real, &new_id, e);
	return db_job_discard(db, a->id, sim.now.real, &a->done, e);
}

static void discard_or_replay(void)
{
	struct job_filter f = {.destination_id = sim.dests[0].id};
	struct err e = ERR_INIT;
	struct db *db = state_reader(sim.state, &e);
	struct job_row *jobs = NULL;
	struct job_act a = {.replay = sim_pick(3) > 0};
	size_t n = 0;

	if (!db || db_job_list(db, &f, 0, 1000, &jobs, &n, &e))
		bail("%s", e.text);
	if (n)
		a.id = jobs[sim_pick(n)].id;
	job_list_free(jobs, n);
	state_reader_close(db);
	if (!n || sim_call(act_on_job, &a))
		return;
	sim_say("%s job %" PRId64 "%s", a.replay ? "replay" : "discard", a.id, a.replay || a.done ? "" : ", through the loader");
	spool_wake(sim.spool);
}

static void rewind_somewhere(void)
{
	uint64_t begin = queue_begin(sim.queue, 0), end = queue_end(sim.queue, 0);

	if (begin < end)
		sim_rewind(begin + sim_pick(end - begin));
}

static void fault(void)
{
	switch (sim_pick(9)) {
	case 0:
		queue_mem_fault(sim.queue, sim_pick(2) ? QUEUE_MEM_FAIL_NEXT : QUEUE_MEM_LOSE_ANSWER);
		break;
	case 1:
		store_mem_fault(sim.store, 1u << sim_pick(4));
		break;
	case 2:
		store_mem_fault(sim.store, 0);
		break;
	case 3:
	case 4:
		if (sim.crashes < 5)
			sim_crash();
		break;
	case 5:
		if (sim.rewinds < 3)
			rewind_somewhere();
		break;
	case 6:
		sim.dests[0].down = !sim.dests[0].down;
		break;
	case 7:
		pause_or_resume(&sim.dests[0]);
		break;
	case 8:
		if (!sim.dests[1].connected && sim_pick(2))
			sim_connect(1, 0);
		else
			discard_or_replay();
		break;
	}
}

static void act(void)
{
	uint64_t n = sim_pick(100);

	if (n < 10)
		fault();
	else if (n < 25)
		sim_send((unsigned)sim_pick(sim.n_requests));
	else if (n < 27)
		sim_flush();
	else if (n < 40)
		sim_later((int64_t)sim_pick(2000) * NSEC_PER_MSEC);
	else
		sim_step((enum sim_part)sim_pick(PARTS));
}

static void heal(void)
{
	store_mem_fault(sim.store, 0);
	for (int i = 0; i < SIM_DESTS; i++) {
		sim.dests[i].down = false;
		if (sim.dests[i].paused)
			pause_or_resume(&sim.dests[i]);
	}
}

static bool send_missing(void)
{
	bool any = false;

	for (unsigned i = 0; i < sim.n_requests; i++) {
		const struct sim_request *r = &sim.requests[i];

		if (r->acked || (r->tried && !r->id[0] && !sim_tables[r->table].keyed))
			continue;
		any = true;
		sim_send(i);
	}
	return any;
}

const char *sim_history(uint64_t seed, enum sim_bug bug)
{
	static char why[400];
	unsigned actions;

	sim_open(seed, bug, false);
	sim_connect(0, 0);
	sim_connect(0, 1);
	make_requests();
	actions = 100 + (unsigned)sim_pick(900);
	for (unsigned i = 0; i < actions && !sim.why[0]; i++)
		act();
	heal();
	for (int i = 0; i < 3 && !sim.why[0] && send_missing(); i++)
		sim_settle();
	sim_settle();
	if (!sim.why[0])
		sim_check();
	snprintf(why, sizeof(why), "%s", sim.why);
	sim_close();
	return why[0] ? why : NULL;
}
