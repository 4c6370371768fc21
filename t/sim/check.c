/*
 * check.c - what must hold when nothing moves any more: every acknowledged record is in the destination once (or rejected, or discarded, and then for
 * a reason that state.db names), per key the greatest (version, sequence), the zero-sum ledger balances, every row's file is there.
 */
#include "sim.h"

#include <unistd.h>

#include "tap.h"
#include "xalloc.h"

#define UIDS (SIM_REQUESTS * SIM_RECORDS)
#define JOBS_MAX 1000

struct facts {
	bool rejected[UIDS], discarded[UIDS];
	uint64_t n_rejected[SIM_TABLES]; /* rows of the rejected store */
	bool some_discarded[SIM_TABLES];
};

static int table_index(int64_t source_id, const char *name)
{
	for (int i = 0; i < SIM_TABLES; i++)
		if (sim.sources[sim_tables[i].source] == source_id && strcmp(sim_tables[i].name, name) == 0)
			return i;
	sim_wrong("a table that nobody sent: %s", name);
	return 0;
}

/* Which records each batch holds, noted when it was cut: its file may be gone when we ask. */
struct seen_batch {
	char id[BATCH_ID_LEN];
	unsigned uids[UIDS];
	size_t n;
};
static struct seen_batch *batches;
static size_t n_batches;

void sim_batch_seen(const char *id, struct str path)
{
	struct err e = ERR_INIT;
	char *name = str_dup(path);
	int fd = store_get(sim.store, name, &e);
	struct frame_reader *r = fd < 0 ? NULL : frame_reader_new(fd, NULL, &e);
	const struct frame_entry *en;
	struct seen_batch *b;
	struct str line;
	uint32_t index;

	batches = xreallocarray(batches, n_batches + 1, sizeof(*batches));
	b = &batches[n_batches++];
	b->n = 0;
	snprintf(b->id, sizeof(b->id), "%s", id);
	while (r && frame_next(r, &line, &en, &index, &e) > FRAME_EOF) {
		const char *u = memmem(line.ptr, line.len, "{\"u\":", 5);

		if (u && sscanf(u, "{\"u\":%u", &b->uids[b->n]) == 1 && b->uids[b->n] < UIDS && b->n < UIDS - 1)
			b->n++;
	}
	if (e.code)
		sim_wrong("batch %s is committed and its file cannot be read: %s", id, e.text);
	frame_reader_free(r);
	if (fd >= 0)
		close(fd);
	free(name);
}

void sim_check_free(void)
{
	free(batches);
	batches = NULL;
	n_batches = 0;
}

static void note_discarded(const struct job_row *j, struct facts *f)
{
	f->some_discarded[table_index(j->source_id, j->table)] = true;
	for (size_t i = 0; i < n_batches; i++)
		for (size_t k = 0; k < batches[i].n && strcmp(batches[i].id, j->batch_id) == 0; k++)
			f->discarded[batches[i].uids[k]] = true;
}

static void note_rejects(struct db *db, const struct job_row *j, bool first, struct facts *f)
{
	struct reject_row *rows = NULL;
	struct err e = ERR_INIT;
	size_t n = 0;
	int64_t uid;

	if (db_reject_list(db, j->id, 1000, &rows, &n, &e)) {
		sim_wrong("rejects: %s", e.text);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (rows[i].destination_id != j->destination_id)
			sim_wrong("job %" PRId64 " shows a reject of another destination", j->id);
		if (str_to_i64(str_c(rows[i].raw), &uid) || uid < 0 || uid >= UIDS)
			sim_wrong("a rejected record that nobody sent: %s", rows[i].raw);
		else
			f->rejected[uid] = true;
	}
	if (n != j->rejected)
		sim_wrong("job %" PRId64 " says %" PRIu64 " rejected, the store has %zu", j->id, j->rejected, n);
	/* a rewind gives a batch that is cut again a second job, whose rejects are the same */
	if (first)
		f->n_rejected[table_index(j->source_id, j->table)] += n;
	reject_list_free(rows, n);
}

static bool first_of_batch(const struct job_row *jobs, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (strcmp(jobs[k].batch_id, jobs[i].batch_id) == 0 && jobs[k].state == JOB_DONE)
			return false;
	return true;
}

static void gather(struct db *db, const struct sim_dest *d, struct facts *f)
{
	struct job_filter filter = {.destination_id = d->id};
	struct job_row *jobs = NULL;
	struct err e = ERR_INIT;
	size_t n = 0;

	memset(f, 0, sizeof(*f));
	if (db_job_list(db, &filter, 0, JOBS_MAX, &jobs, &n, &e)) {
		sim_wrong("jobs: %s", e.text);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		sim_say("job %" PRId64 " of %s, batch %.8s, to %" PRId64 ": %s, rows %" PRIu64 ", rejected %" PRIu64, jobs[i].id, jobs[i].table, jobs[i].batch_id,
			jobs[i].destination_id, job_state_name(jobs[i].state), jobs[i].rows, jobs[i].rejected);
		if (jobs[i].state == JOB_DISCARDED)
			note_discarded(&jobs[i], f);
		else if (jobs[i].state == JOB_DONE)
			note_rejects(db, &jobs[i], first_of_batch(jobs, i), f);
		else
			sim_wrong("job %" PRId64 " is %s at rest", jobs[i].id, job_state_name(jobs[i].state));
	}
	job_list_free(jobs, n);
}

static bool certain(const struct sim_request *r, const struct sim_record *rec, const struct facts *f, const struct dest_table *t)
{
	return r->acked && !r->activate && !f->rejected[rec->uid] && !f->discarded[rec->uid] && rec->version >= t->active;
}

static bool less(const struct sim_record *a, const struct sim_record *b)
{
	return a->version != b->version ? a->version < b->version : a->sequence < b->sequence;
}

static void check_keyed(const struct dest_table *t, unsigned table, const struct facts *f)
{
	const struct sim_row *rows[SIM_KEYS] = {NULL};

	for (size_t i = 0; i < t->n_rows; i++) {
		const struct sim_record *r = &t->rows[i].r;

		if (rows[r->key])
			sim_wrong("key %d is twice in %s", r->key, t->name);
		rows[r->key] = &t->rows[i];
		if (r->version < t->active)
			sim_wrong("%s holds version %d below the active %d", t->name, (int)r->version, (int)t->active);
	}
	for (unsigned i = 0; i < sim.n_requests; i++) {
		const struct sim_request *q = &sim.requests[i];

		for (unsigned k = 0; k < q->n && q->table == table; k++) {
			const struct sim_record *r = &q->r[k];

			if (!certain(q, r, f, t))
				continue;
			if (!rows[r->key])
				sim_wrong("record %u of %s is lost", r->uid, t->name);
			else if (less(&rows[r->key]->r, r))
				sim_wrong("key %d of %s holds an older record than %u", r->key, t->name, r->uid);
		}
	}
}

static void check_append(const struct dest_table *t, unsigned table, const struct facts *f)
{
	unsigned seen[UIDS] = {0};

	for (size_t i = 0; i < t->n_rows; i++)
		seen[t->rows[i].r.uid]++;
	for (unsigned i = 0; i < sim.n_requests; i++) {
		const struct sim_request *q = &sim.requests[i];

		for (unsigned k = 0; k < q->n && q->table == table; k++) {
			uint32_t uid = q->r[k].uid;

			if (seen[uid] > 1)
				sim_wrong("record %u is %u times in %s", uid, seen[uid], t->name);
			if (!seen[uid] && certain(q, &q->r[k], f, t))
				sim_wrong("record %u of %s is lost", uid, t->name);
			if (seen[uid] && f->rejected[uid])
				sim_wrong("record %u of %s is rejected and loaded", uid, t->name);
		}
	}
}

static void check_active(const struct dest_table *t, unsigned table, const struct facts *f)
{
	int64_t known = 0, possible = 0;

	for (unsigned i = 0; i < sim.n_requests; i++) {
		const struct sim_request *q = &sim.requests[i];

		if (q->table != table || !q->activate)
			continue;
		if (q->acked)
			known = MAX(known, q->version);
		if (q->tried)
			possible = MAX(possible, q->version);
	}
	if (t->active > possible)
		sim_wrong("%s has version %d active, which nobody activated", t->name, (int)t->active);
	/* the activation may have been in a batch that was discarded */
	if (t->active < known && !f->some_discarded[table])
		sim_wrong("%s has version %d active, not %d", t->name, (int)t->active, (int)known);
}

struct sums {
	uint64_t n[SIM_TABLES];
};

static void add(uint32_t source_id, struct str table, uint64_t records, uint64_t lines, void *arg)
{
	char name[40];

	(void)lines;
	snprintf(name, sizeof(name), STR_FMT, STR_ARG(table));
	((struct sums *)arg)->n[table_index(source_id, name)] += records;
}

static bool is_connected(int64_t destination_id, int64_t source_id)
{
	for (int i = 0; i < SIM_DESTS; i++)
		if (sim.dests[i].id == destination_id)
			return sim.dests[i].connected && source_id > 0;
	return false;
}

static void check_balance(struct db *db, const struct facts *facts)
{
	struct tally_row *rows = NULL;
	struct sums queue = {{0}};
	struct err e = ERR_INIT;
	uint64_t from = 0;
	size_t n = 0;

	if (db_trim_point(db, 0, &from, &e) && e.code != ERR_NOT_FOUND)
		sim_wrong("%s", e.text);
	from = MAX(from, queue_begin(sim.queue, 0));
	err_clear(&e);
	if (queue_tally(sim.queue, 0, from, queue_end(sim.queue, 0), add, &queue, &e) || db_tally_list(db, 0, 1000, &rows, &n, &e))
		sim_wrong("counting: %s", e.text);
	for (size_t i = 0; i < n; i++) {
		const struct tally_row *t = &rows[i];
		int k = table_index(t->source_id, t->table);
		uint64_t accepted = t->accepted_base + queue.n[k], found = t->spooled + t->loaded + t->rejected + t->discarded;

		if (!is_connected(t->destination_id, t->source_id))
			continue;
		if (accepted - t->before != found)
			sim_wrong("%s to destination %" PRId64 " does not balance: accepted %" PRIu64 " - before %" PRIu64 ", spooled %" PRIu64 ", loaded %" PRIu64
				  ", rejected %" PRIu64 ", discarded %" PRIu64 ", reread %" PRIu64, t->table, t->destination_id, accepted, t->before, t->spooled,
				t->loaded, t->rejected, t->discarded, t->reread);
		if (t->spooled)
			sim_wrong("%s has %" PRIu64 " records spooled at rest", t->table, t->spooled);
		for (int d = 0; d < SIM_DESTS; d++)
			/* what a rewind reads again counts where it is next, and stays in the store */
			if (sim.dests[d].id == t->destination_id && (sim.rewinds ? facts[d].n_rejected[k] < t->rejected : facts[d].n_rejected[k] != t->rejected))
				sim_wrong("%s counts %" PRIu64 " rejected, the store has %" PRIu64, t->table, t->rejected, facts[d].n_rejected[k]);
	}
	tally_list_free(rows, n);
}

void sim_check(void)
{
	struct facts facts[SIM_DESTS];
	struct err e = ERR_INIT;
	struct db *db = state_reader(sim.state, &e);

	if (!db)
		bail("%s", e.text);
	for (int d = 0; d < SIM_DESTS; d++)
		gather(db, &sim.dests[d], &facts[d]);
	check_balance(db, facts);
	state_reader_close(db);
	/* the first destination was connected before the first record */
	for (unsigned k = 0; k < SIM_TABLES; k++) {
		struct dest_table *t = sim_dest_table(&sim.dests[0], sim.sources[sim_tables[k].source], str_c(sim_tables[k].name));

		t->keyed = sim_tables[k].keyed;
		if (t->keyed)
			check_keyed(t, k, &facts[0]);
		else
			check_append(t, k, &facts[0]);
		check_active(t, k, &facts[0]);
	}
}
