/*
 * 5013-tally.c - the zero-sum ledger under a random walk. A queue of a few tables with repeats; cuts, loads that succeed, fail, reject and corrupt, holds, replays,
 * discards, destinations that come, go and are deleted, rewinds, trims, deleted files, pruned rows. A model that knows of every queue record what became of it for every
 * destination is compared with state.db after each step; so are the balance and what the triggers keep.
 */
#include "tap.h"

#include "dtest.h"
#include "xalloc.h"

#define RECORDS 1200 /* of the queue */
#define DESTS 40     /* ever */
#define TABLES 3
#define JOBS 20000
#define BATCHES 6000

/* What became of a queue record for a destination. */
struct link {
	int64_t job; /* the job that counts it; 0: none */
	bool before, loaded; /* not its matter; a repeat that it has as loaded */
};

static struct {
	int table, repeat_of; /* -1: none */
	uint32_t n;
	bool covered;	 /* behind the streamery */
	int batch;	 /* that counts it; -1 */
	struct link to[DESTS + 1];
} rec[RECORDS];
static int n_rec, position, cursor[TABLES], trimmed;

static struct {
	char id[BATCH_ID_LEN];
	bool unclaimed, deleted, pruned;
	int table, first, last;
} batch[BATCHES];
static int n_batches;

static struct {
	int batch, dest;
	enum job_state state;
	uint64_t rejected;
	bool begun; /* its batch has been in a load of this destination */
	int64_t load;
} job[JOBS];

static struct {
	int64_t id; /* 0: not there */
	bool connected[2], deleted;
} dest[DESTS + 1];
static int n_dests;

static int64_t source[2], table_id[TABLES], now;
static uint64_t seed, steps[20];
static const char *step_name;

static unsigned dice(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)((seed >> 20) % n);
}

static int source_of(int table)
{
	return table == 2;
}

static const char *name_of(int table)
{
	return table == 1 ? "b" : "a";
}

static bool waits(enum job_state s)
{
	return s == JOB_READY || s == JOB_ACTIVE || s == JOB_DEFERRED || s == JOB_HELD;
}

static bool fed(int d, int table)
{
	bool none = true;

	if (d)
		return dest[d].connected[source_of(table)];
	for (int i = 1; i <= n_dests; i++)
		none &= !dest[i].connected[source_of(table)];
	return none;
}

/* --- checking --- */

static bool fine = true;

static void check(bool good, const char *fmt, ...) PRINTF(2, 3);
static void check(bool good, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	if (good || !fine)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	diag("after %s: %s", step_name, text);
	fine = false;
}

struct sums {
	int64_t spooled, loaded, rejected, discarded, before;
};

/* What the model says of (table, destination). */
static struct sums model(int t, int d)
{
	static int64_t counted[JOBS];
	struct sums s = {0};
	int top = 0;

	memset(counted, 0, sizeof(counted));
	for (int i = 0; i < n_rec; i++) {
		int64_t j = rec[i].to[d].job;

		if (rec[i].table != t || !rec[i].covered)
			continue;
		if (rec[i].to[d].before)
			s.before += rec[i].n;
		else if (rec[i].to[d].loaded)
			s.loaded += rec[i].n;
		else if (j) {
			counted[j] += rec[i].n;
			top = MAX(top, (int)j);
		} else if (d == 0 && rec[i].batch >= 0 && batch[rec[i].batch].unclaimed)
			s.spooled += rec[i].n;
	}
	for (int j = 1; j <= top; j++) {
		int64_t r = MIN((int64_t)job[j].rejected, counted[j]);

		if (waits(job[j].state))
			s.spooled += counted[j];
		else if (job[j].state == JOB_DONE) {
			s.rejected += r;
			s.loaded += counted[j] - r;
		} else if (job[j].state == JOB_DISCARDED)
			s.discarded += counted[j];
		else
			s.rejected += counted[j];
	}
	return s;
}

static void check_pair(int t, int d)
{
	struct tally_row y = dtest_tally(table_id[t], d ? dest[d].id : 0);
	struct sums m = model(t, d);
	int64_t accounted = 0;

	if (!y.table_id)
		return;
	for (int i = 0; i < n_rec; i++)
		accounted += rec[i].table == t && rec[i].covered ? rec[i].n : 0;
	check((int64_t)y.spooled == m.spooled, "table %d dest %d: spooled %d, model %d", t, d, (int)y.spooled, (int)m.spooled);
	check((int64_t)y.rejected == m.rejected, "table %d dest %d: rejected %d, model %d", t, d, (int)y.rejected, (int)m.rejected);
	check((int64_t)y.discarded == m.discarded, "table %d dest %d: discarded %d, model %d", t, d, (int)y.discarded, (int)m.discarded);
	check((int64_t)y.loaded == m.loaded, "table %d dest %d: loaded %d, model %d", t, d, (int)y.loaded, (int)m.loaded);
	if (!fed(d, t))
		return;
	check((int64_t)y.before >= 0, "table %d dest %d: before %d", t, d, (int)y.before);
	check(accounted == (int64_t)(y.before + y.spooled + y.loaded + y.rejected + y.discarded), "table %d dest %d: accounted %d = %d + %d + %d + %d + %d", t, d,
		(int)accounted, (int)y.before, (int)y.spooled, (int)y.loaded, (int)y.rejected, (int)y.discarded);
	check((int64_t)y.before == m.before, "table %d dest %d: before %d, model %d", t, d, (int)y.before, (int)m.before);
}

static int64_t newest(int64_t j)
{
	for (int64_t k = JOBS - 1; k > j; k--)
		if (job[k].state && job[k].batch == job[j].batch && job[k].dest == job[j].dest)
			return k;
	return j;
}

static bool settled(int b)
{
	bool any = false, open = batch[b].unclaimed;

	for (int j = 1; j < JOBS; j++)
		if (job[j].state && job[j].batch == b) {
			any = true;
			open |= newest(j) == j && job[j].state != JOB_DONE && job[j].state != JOB_DISCARDED;
		}
	return any && !open;
}

static void check_all(void)
{
	for (int t = 0; t < TABLES; t++) {
		int64_t accounted = 0;

		if (!table_id[t])
			continue;
		for (int i = 0; i < n_rec; i++)
			accounted += rec[i].table == t && rec[i].covered ? rec[i].n : 0;
		check(accounted == dtest_sql("SELECT taken + repeats - reread FROM tbl WHERE id = %d", (int)table_id[t]), "table %d: accounted %d", t, (int)accounted);
		for (int d = 0; d <= n_dests; d++)
			if (d == 0 || dest[d].id)
				check_pair(t, d);
	}
	check(dtest_sql("SELECT count(*) FROM tally y WHERE destination_id > 0 AND (spooled, ready, ready_records, ready_bytes, waiting, waiting_bytes) <> (SELECT "
			"coalesce(sum(counted * (state IN (1,2,4,5))), 0), coalesce(sum(state = 1), 0), coalesce(sum(records * (state = 1)), 0), "
			"coalesce(sum(bytes * (state = 1)), 0), coalesce(sum(state IN (1,2,4,5)), 0), coalesce(sum(bytes * (state IN (1,2,4,5))), 0) "
			"FROM job j WHERE j.table_id = y.table_id AND j.destination_id = y.destination_id)") == 0,
		"what the triggers keep in the tally");
	check(dtest_sql("SELECT count(*) FROM job_count c WHERE (n, records, bytes) <> (SELECT count(*), coalesce(sum(records), 0), coalesce(sum(bytes), 0) "
			"FROM job j WHERE j.state = c.state)") == 0,
		"the numbers of jobs by state");
	if (n_batches) {
		int b = (int)dice((unsigned)n_batches);

		if (!batch[b].pruned)
			check((dtest_sql("SELECT done FROM batch WHERE id = '%s'", batch[b].id) > 0) == settled(b), "batch %d is %sdone", b, settled(b) ? "not " : "");
	}
	check(dtest_sql("SELECT count(*) FROM job WHERE counted < 0 OR counted_rejected > counted") == 0, "a job counts less than nothing");
}

/* --- the queue and the streamery --- */

static void put(void)
{
	for (unsigned k = 1 + dice(4); k && n_rec < RECORDS; k--) {
		int i = n_rec++;

		memset(&rec[i], 0, sizeof(rec[i]));
		rec[i].batch = -1;
		rec[i].table = (int)dice(TABLES);
		rec[i].n = 1 + dice(9);
		rec[i].repeat_of = -1;
		if (i && dice(5) == 0) {
			int of = (int)dice((unsigned)i);

			while (of >= 0 && (rec[of].table != rec[i].table || rec[of].repeat_of >= 0))
				of--;
			/* what it repeats may be anywhere before it, but its id must be there still */
			if (of >= trimmed) {
				rec[i].repeat_of = of;
				rec[i].n = rec[of].n;
			}
		}
	}
}

static bool pending(int i)
{
	return i >= position && i >= cursor[rec[i].table] && rec[i].repeat_of < 0;
}

/* Covers what the new position and cursors pass; repeats are told to state.db. */
static size_t pass(int new_position, struct repeat_passed *out, char ids[][12])
{
	size_t n = 0;

	for (int i = 0; i < n_rec; i++) {
		int of = rec[i].repeat_of, t = rec[i].table;

		if (rec[i].covered || of < 0 || (i >= new_position && i >= cursor[t]) || !rec[of].covered)
			continue;
		snprintf(ids[n], 12, "r%d", of);
		out[n++] = (struct repeat_passed){.source_id = (uint32_t)source[source_of(t)],
			.table = str_c(name_of(t)),
			.request_id = str_c(ids[n]),
			.offset = (uint64_t)i,
			.records = rec[i].n};
		rec[i].covered = true;
		for (int d = 0; d <= n_dests; d++)
			rec[i].to[d] = (struct link){.before = !fed(d, t), .loaded = fed(d, t)};
	}
	return n;
}

static int lowest_pending(int read_next)
{
	for (int i = position; i < read_next; i++)
		if (pending(i))
			return i;
	return read_next;
}

static int find_batch(const char *id)
{
	for (int b = 0; b < n_batches; b++)
		if (strcmp(batch[b].id, id) == 0 && !batch[b].pruned)
			return b;
	return -1;
}

static int dest_of(int64_t id)
{
	for (int d = 1; d <= n_dests; d++)
		if (dest[d].id == id)
			return d;
	bail("no destination %d", (int)id);
}

/* Jobs of a batch as state.db has them now: takes over those that are new, links what the batch counts. */
static void take_jobs(int b)
{
	struct job_filter f = {.table_id = table_id[batch[b].table]};
	static int64_t last;
	struct job_row *rows;
	size_t n;

	MUST(db_job_list(db, &f, 0, 100000, &rows, &n, &err));
	for (size_t k = 0; k < n; k++) {
		int64_t j = rows[k].id;
		int d = dest_of(rows[k].destination_id);

		if (find_batch(rows[k].batch_id) != b || job[j].state)
			continue;
		assert(j < JOBS);
		job[j].batch = b;
		job[j].dest = d;
		job[j].state = rows[k].state;
		job[j].begun = rows[k].attempts > 0;
		last = MAX(last, j);
	}
	job_list_free(rows, n);
	(void)last;
}

/* The waiting job of a batch for a destination; 0: none. */
static int64_t live_job(int b, int d)
{
	for (int64_t j = JOBS - 1; j > 0; j--)
		if (job[j].state && job[j].batch == b && job[j].dest == d && waits(job[j].state))
			return j;
	return 0;
}

static void link_batch(int b, int d)
{
	int64_t j = live_job(b, d);

	check(j != 0, "batch %d has no job that waits for destination %d", b, d);
	for (int i = batch[b].first; i <= batch[b].last; i++)
		if (rec[i].batch == b)
			rec[i].to[d] = (struct link){.job = j};
}

static void made_batch(const struct cut *c, int t, int first, int last)
{
	int b = find_batch(c->batch_id);

	check((b >= 0) == c->duplicate, "duplicate %d", c->duplicate);
	if (b < 0) {
		b = n_batches++;
		assert(n_batches < BATCHES);
		memset(&batch[b], 0, sizeof(batch[b]));
		memcpy(batch[b].id, c->batch_id, BATCH_ID_LEN);
		batch[b].table = t;
		batch[b].first = first;
		batch[b].last = last;
	}
	batch[b].deleted = false;
	batch[b].unclaimed = fed(0, t);
	for (int i = first; i <= last; i++)
		if (rec[i].table == t && rec[i].repeat_of < 0) {
			rec[i].covered = true;
			rec[i].batch = b;
			for (int d = 0; d <= n_dests; d++)
				rec[i].to[d] = (struct link){.before = !fed(d, t)};
		}
	take_jobs(b);
	for (int d = 1; d <= n_dests; d++)
		if (fed(d, t))
			link_batch(b, d);
}

static void cut(void)
{
	int t = (int)dice(TABLES), first = -1, last = -1, read_next = position + (int)dice((unsigned)(n_rec - position + 1)), want = 1 + (int)dice(4), of[4], n = 0, at;
	struct dtest_cut in = {.source = source[source_of(t)], .table = name_of(t), .at = now};
	static struct repeat_passed repeats[RECORDS];
	static char ids[RECORDS][12], own[4][12];
	struct cut_request requests[4];
	struct cut c;

	for (int i = position; i < read_next && n < want; i++)
		if (pending(i) && rec[i].table == t) {
			of[n++] = i;
			first = first < 0 ? i : first;
			last = i;
			in.records += rec[i].n;
		}
	if (!n)
		return;
	for (int k = 0; k < n; k++) {
		snprintf(own[k], sizeof(own[k]), "r%d", of[k]);
		requests[k] = (struct cut_request){.request_id = str_c(own[k]), .offset = (uint64_t)of[k], .received_at = of[k] + 1};
		rec[of[k]].covered = true; /* for what repeats it */
	}
	cursor[t] = last + 1;
	at = lowest_pending(read_next);
	in.first = (uint64_t)first;
	in.last = (uint64_t)last;
	in.position = (uint64_t)at;
	in.requests = requests;
	in.n_requests = (size_t)n;
	in.n_repeats = pass(at, repeats, ids);
	in.repeats = repeats;
	c = dtest_cut(&in);
	position = at;
	table_id[t] = c.table_id;
	made_batch(&c, t, first, last);
}

static void save(void)
{
	static struct repeat_passed repeats[RECORDS];
	static char ids[RECORDS][12];
	struct position p = {.read_from = (uint64_t)lowest_pending(n_rec)};

	memcpy(p.queue_id, dtest_queue, 16);
	p.n_repeats = pass((int)p.read_from, repeats, ids);
	p.repeats = repeats;
	MUST(db_position_save(db, &p, &err));
	position = (int)p.read_from;
}

static void go_back(void)
{
	int to = trimmed + (int)dice((unsigned)(position - trimmed + 1));
	struct tally_part parts[TABLES] = {{.source_id = 0}};
	size_t n = 0;

	for (int t = 0; t < TABLES; t++) {
		parts[n] = (struct tally_part){.source_id = source[source_of(t)], .table = str_c(name_of(t))};
		for (int i = to; i < n_rec; i++)
			if (rec[i].covered && rec[i].table == t)
				parts[n].records += rec[i].n;
		n += parts[n].records > 0;
	}
	MUST(db_rewind(db, 0, (uint64_t)to, parts, n, &err));
	for (int i = to; i < n_rec; i++) {
		rec[i].covered = false;
		rec[i].batch = -1;
		memset(rec[i].to, 0, sizeof(rec[i].to));
	}
	memset(cursor, 0, sizeof(cursor));
	position = to;
}

/* --- loads --- */

static int any_dest(void)
{
	int d = n_dests ? 1 + (int)dice((unsigned)n_dests) : 0;

	return d && dest[d].id && !dest[d].deleted ? d : 0;
}

/* Is there something to load, by the model? */
static bool could_load(int d, int t)
{
	bool ready = false, open = false, held = false;

	for (int j = 1; j < JOBS; j++) {
		if (!job[j].state || job[j].dest != d || batch[job[j].batch].table != t)
			continue;
		ready |= job[j].state == JOB_READY;
		open |= job[j].load && waits(job[j].state);
		held |= job[j].load && job[j].state == JOB_HELD;
	}
	return open ? !held : ready;
}

static void end(struct load_row *l, unsigned how)
{
	static struct load_result r[200];
	size_t hit = dice((unsigned)l->n);

	for (size_t k = 0; k < l->n; k++) {
		int64_t j = l->batches[k].job_id;

		memcpy(r[k].batch_id, l->batches[k].batch.id, BATCH_ID_LEN);
		r[k].rejected = dice(4) ? 0 : dice((unsigned)l->batches[k].batch.records + 1);
		r[k].rows = l->batches[k].batch.records - r[k].rejected;
		r[k].attempt = l->attempt;
		job[j].begun = true;
		if (how < 5) {
			job[j].state = JOB_DONE;
			job[j].rejected = r[k].rejected;
		} else if (how == 5 || how == 8) {
			job[j].state = JOB_DEFERRED;
			job[j].load = l->id;
			continue;
		} else {
			job[j].state = how == 6 ? JOB_REJECTED : k == hit ? JOB_CORRUPT : JOB_READY;
		}
		job[j].load = 0;
	}
	if (how < 5)
		MUST(db_load_done(db, l->id, r, l->n, now, &err));
	else if (how == 8)
		MUST(db_load_recover(db, now, &err));
	else
		MUST(db_load_failed(db, l->id, how == 5 ? "transient" : how == 6 ? "data" : "corrupt", "as the test asked for", r[hit].batch_id, now, now, &err));
}

static void load(void)
{
	int t = (int)dice(TABLES), d = any_dest();
	struct load_candidate *list;
	struct load_row l;
	bool could, listed = false;
	size_t n;

	if (!d || !table_id[t])
		return;
	could = could_load(d, t);
	MUST(db_load_candidates(db, dest[d].id, now, 100, &list, &n, &err));
	for (size_t k = 0; k < n; k++)
		listed |= list[k].table_id == table_id[t];
	candidate_list_free(list, n);
	check(listed == could, "table %d is %sa candidate for %d", t, listed ? "" : "not ", d);
	if (db_load_begin(db, dest[d].id, table_id[t], 1 + dice(4), 1 + dice(5000), now, &l, &err)) {
		check(!could && err.code == ERR_NOT_FOUND, "beginning a load: %s", err.text);
		return;
	}
	check(could && l.n, "a load of nothing");
	for (size_t k = 0; k < l.n; k++) {
		int64_t j = l.batches[k].job_id;

		check(job[j].dest == d && (job[j].state == JOB_READY || job[j].state == JOB_DEFERRED), "job %d in a load", (int)j);
		check(!batch[job[j].batch].deleted, "a file that is deleted is to be loaded");
	}
	end(&l, dice(9));
	load_row_free(&l);
}

/* --- what a person does --- */

static int64_t any_job(void)
{
	int64_t top = dtest_sql("SELECT max(id) FROM job"), j = top > 0 ? 1 + dice((unsigned)top) : 0;

	return j && job[j].state && !batch[job[j].batch].pruned ? j : 0;
}

static void hold(void)
{
	int64_t j = any_job();
	bool on = dice(2), may;

	if (!j)
		return;
	may = on ? job[j].state == JOB_READY || job[j].state == JOB_DEFERRED : job[j].state == JOB_HELD;
	check(!db_job_hold(db, j, on, "why not", now, &err) == may, "hold of job %d", (int)j);
	if (may)
		job[j].state = on ? JOB_HELD : job[j].load ? JOB_DEFERRED : JOB_READY;
}

static void relink(int64_t from, int64_t to)
{
	int d = job[from].dest;

	for (int i = 0; i < n_rec; i++)
		if (rec[i].to[d].job == from)
			rec[i].to[d].job = to;
}

static void replay(void)
{
	int64_t j = any_job(), k, id = 0;
	bool ends, may;

	if (!j)
		return;
	k = newest(j);
	ends = job[k].state == JOB_REJECTED || job[k].state == JOB_CORRUPT || job[k].state == JOB_DISCARDED || job[k].state == JOB_HELD;
	may = ends ? !dest[job[k].dest].deleted && !batch[job[k].batch].deleted : job[k].state == JOB_DONE || k != j;
	check(!db_job_replay(db, j, now, &id, &err) == may, "replay of job %d (%d, batch %d): %s", (int)j, (int)job[k].state, job[k].batch, err.text);
	if (!may || !ends) {
		check(!may || id == (job[k].state == JOB_DONE ? j : k), "replay of job %d is %d", (int)j, (int)id);
		return;
	}
	take_jobs(job[k].batch);
	check(id > k && job[id].state == JOB_READY, "the replay of %d is a new job", (int)k);
	relink(k, id);
	if (job[k].state == JOB_HELD)
		job[k].state = JOB_DISCARDED;
	job[k].load = 0;
}

static void discard(void)
{
	int64_t j = any_job();
	bool done, was = dice(2), may;

	if (!j)
		return;
	may = j == newest(j) && job[j].state != JOB_DONE;
	check(!db_job_discard(db, j, now, &done, &err) == may, "discard of job %d (%d): %s", (int)j, (int)job[j].state, err.text);
	if (!may || job[j].state == JOB_DISCARDED)
		return;
	check(done == !job[j].begun, "a job that was in a load is discarded through the ledger");
	job[j].state = JOB_DISCARDED;
	if (!done) {
		uint64_t rejected = was ? dice(3) : 0;

		MUST(db_job_discarded(db, j, was ? &(struct load_result){.rows = 5, .rejected = rejected} : NULL, now, &err));
		job[j].state = was ? JOB_DONE : JOB_DISCARDED;
		job[j].rejected = rejected;
	}
	job[j].load = 0;
}

static void connect_one(void)
{
	int d = any_dest(), s = (int)dice(2);
	int64_t from = dice(2) ? 0 : 1 + dice((unsigned)now);

	if (!d) {
		if (n_dests == DESTS)
			return;
		d = ++n_dests;
		dest[d].id = dtest_destination("some");
		MUST(sqlite3_exec(db->h, "UPDATE destination SET name = 'd' || id", NULL, NULL, NULL));
	}
	if (dest[d].connected[s])
		return;
	dtest_connect(source[s], dest[d].id, from, now);
	dest[d].connected[s] = true;
	for (int i = 0; i < n_rec; i++)
		if (source_of(rec[i].table) == s && rec[i].covered && !rec[i].to[d].job && !rec[i].to[d].loaded)
			rec[i].to[d].before = true;
	for (int b = 0; b < n_batches; b++) {
		bool had = false;

		if (source_of(batch[b].table) != s || batch[b].pruned)
			continue;
		for (int j = 1; j < JOBS; j++)
			had |= job[j].state && job[j].batch == b && job[j].dest == d;
		take_jobs(b);
		if (batch[b].unclaimed || (live_job(b, d) && !had))
			link_batch(b, d);
		batch[b].unclaimed = false;
	}
}

static void disconnect_one(void)
{
	int d = any_dest(), s = (int)dice(2);

	if (!d || !dest[d].connected[s])
		return;
	dtest_disconnect(source[s], dest[d].id);
	dest[d].connected[s] = false;
	for (int i = 0; i < n_rec; i++)
		if (fed(0, rec[i].table) && source_of(rec[i].table) == s)
			rec[i].to[0] = (struct link){.before = true};
}

static void delete_one(void)
{
	uint64_t gone;
	int d = any_dest();

	if (!d || dice(8))
		return;
	for (int s = 0; s < 2; s++)
		if (dest[d].connected[s]) {
			dest[d].connected[s] = false;
			for (int i = 0; i < n_rec; i++)
				if (fed(0, rec[i].table) && source_of(rec[i].table) == s)
					rec[i].to[0] = (struct link){.before = true};
		}
	MUST(db_destination_delete(db, dest[d].id, now, &gone, &err));
	dest[d].deleted = true;
	for (int j = 1; j < JOBS; j++)
		if (job[j].state && job[j].dest == d && job[j].state != JOB_DONE) {
			job[j].state = JOB_DISCARDED;
			job[j].load = 0;
		}
}

/* --- retention --- */

static void trim(void)
{
	struct tally_part parts[RECORDS];
	uint64_t safe, limit = (uint64_t)position;
	size_t n = 0;
	int to;

	MUST(db_trim_limit(db, 0, limit, now + 1, &safe, &err));
	check(safe <= limit, "trimmed behind the position");
	for (int i = trimmed; i < (int)safe; i++) {
		check(rec[i].covered, "offset %d is in no committed batch and would be trimmed", i);
		if (rec[i].batch >= 0)
			check(batch[rec[i].batch].unclaimed || settled(rec[i].batch), "offset %d is not with all its destinations", i);
	}
	to = trimmed + (int)dice((unsigned)(MAX((int)safe, trimmed) - trimmed + 1));
	for (int i = trimmed; i < to; i++)
		parts[n++] = (struct tally_part){.source_id = source[source_of(rec[i].table)], .table = str_c(name_of(rec[i].table)), .records = rec[i].n};
	MUST(db_trim_record(db, 0, (uint64_t)to, parts, n, &err));
	trimmed = to;
	MUST(db_request_expire(db, trimmed / 2, &err));
}

static void remove_files(void)
{
	struct batch_row *rows;
	struct prune p = {.jobs_before = now + 1};
	const char *ids[5];
	uint64_t gone;
	size_t n;

	MUST(db_batch_expired(db, now + 1, 5, &rows, &n, &err));
	for (size_t k = 0; k < n; k++) {
		int b = find_batch(rows[k].id);

		check(b >= 0 && settled(b) && !batch[b].deleted, "the file of a batch that is wanted would be deleted");
		batch[b].deleted = true;
		ids[k] = rows[k].id;
	}
	MUST(db_batch_deleted(db, ids, n, now, &err));
	batch_list_free(rows, n);
	if (dice(2))
		return;
	MUST(db_prune(db, &p, now, &gone, &err));
	for (int b = 0; b < n_batches; b++)
		if (!batch[b].pruned && dtest_sql("SELECT count(*) FROM batch WHERE id = '%s'", batch[b].id) == 0) {
			check(batch[b].deleted && batch[b].last < trimmed, "a batch that is needed was pruned");
			batch[b].pruned = true;
		}
}

static void walk(uint64_t with, int n)
{
	static const struct {
		const char *name;
		void (*fn)(void);
		unsigned weight;
	} acts[] = {{"put", put, 12}, {"cut", cut, 30}, {"save", save, 4}, {"rewind", go_back, 2}, {"load", load, 40}, {"hold", hold, 4}, {"replay", replay, 6},
		{"discard", discard, 3}, {"connect", connect_one, 3}, {"disconnect", disconnect_one, 1}, {"delete destination", delete_one, 1}, {"trim", trim, 3},
		{"remove files", remove_files, 3}};
	unsigned all = 0;

	seed = with * UINT64_C(0x9e3779b97f4a7c15) + 1;
	memset(job, 0, sizeof(job));
	memset(dest, 0, sizeof(dest));
	memset(table_id, 0, sizeof(table_id));
	memset(cursor, 0, sizeof(cursor));
	n_rec = position = trimmed = n_batches = n_dests = 0;
	fine = true;
	now = 1000;
	dtest_open();
	source[0] = dtest_source("one");
	source[1] = dtest_source("two");
	for (size_t a = 0; a < ARRAY_LEN(acts); a++)
		all += acts[a].weight;
	for (int i = 0; i < n && fine; i++) {
		unsigned pick = dice(all), a = 0;

		now += 1 + dice(5);
		while (pick >= acts[a].weight)
			pick -= acts[a++].weight;
		step_name = acts[a].name;
		steps[a]++;
		acts[a].fn();
		if (fine)
			check_all();
		if (!fine)
			diag("seed %d, step %d", (int)with, i);
	}
	/* all that waits is loaded in the end: nothing is stuck */
	ok(fine, "seed %d: %d steps; %d queue records, %d batches, %d destinations", (int)with, n, n_rec, n_batches, n_dests);
	dtest_close();
}

/* a sanitizer's build is for what it finds, not for the number: six walks are a minute there */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WALKS 2
#else
#define WALKS 6
#endif

int main(void)
{
	const char *only = getenv("SEED"), *many = getenv("SEEDS");
	uint64_t n = WALKS, one;

	plan_lazy();
	if (only && !str_to_u64(str_c(only), &one))
		walk(one, 2000);
	else {
		if (many && str_to_u64(str_c(many), &n))
			bail("SEEDS is a number");
		for (uint64_t s = 1; s <= n; s++)
			walk(s, 1500);
	}
	return done_testing();
}
