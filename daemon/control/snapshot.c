/*
 * snapshot.c - collects the figures. `accepted` is the sum of queue record headers (kept here from where it was last read, so that a look costs
 * only what is new) and what was trimmed before; `queued` is what the streamery has not read, plus what it holds in open batches and uploads; the rest
 * comes from state.db.
 *
 * What can go wrong: three parts move while they are read, so a record may be seen twice or not at all. Therefore the streamery's counts and the number of
 * commits are read before and after, and a difference counts only if it stays: a patient reader looks again, a hurried one repeats the last
 * difference that was seen while everything stood still.
 */
#include "daemon/control/snapshot.h"

#include "daemon/core/metrics.h"

#include "log.h"
#include "xalloc.h"

#define TRIES 40
#define PAUSE_BETWEEN (5 * NSEC_PER_MSEC)
#define TALLY_MAX 1000000

/* What the queue says of one (source, table). */
struct sums {
	uint32_t source_id;
	char *table;
	uint64_t accepted;    /* all, trimmed ones too */
	uint64_t since_base;  /* from where the streamery was when the sums were begun */
	uint64_t seen_base;   /* what it had seen then */
	/* of the snapshot under way */
	uint64_t seen, held;
	int64_t oldest;
	bool in_state;
};

struct snap_history {
	pthread_mutex_t lock; /* guards all below, for the whole of a snapshot */
	struct map tables;    /* struct sums */
	bool based;		   /* accepted holds what was trimmed, and read_to is set */
	bool placed;		   /* since_base and seen_base are set */
	uint64_t read_to, stream_start;
	struct map flows; /* struct hist, by pair and by destination */
	uint64_t round;
	int64_t difference; /* the last one that stood still */
	uint64_t accepted_then, loaded_then;
	int64_t rates_at;
	double in_rate, load_rate;
};

struct snap_history *snap_history_new(void)
{
	struct snap_history *h = xcalloc(1, sizeof(*h));

	pthread_mutex_init(&h->lock, NULL);
	return h;
}

static void sums_free(void *p)
{
	free(((struct sums *)p)->table);
	free(p);
}

void snap_history_free(struct snap_history *h)
{
	if (!h)
		return;
	map_free(&h->tables, sums_free);
	map_free(&h->flows, free);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static struct sums *sums_of(struct snap_history *h, uint32_t source_id, struct str table)
{
	struct buf key = BUF_INIT;
	struct sums *s;

	buf_add(&key, &source_id, sizeof(source_id));
	buf_addstr(&key, table);
	s = map_get(&h->tables, buf_str(&key));
	if (!s) {
		s = xcalloc(1, sizeof(*s));
		s->source_id = source_id;
		s->table = str_dup(table);
		map_put(&h->tables, buf_str(&key), s);
	}
	buf_free(&key);
	return s;
}

/* --- the queue --- */

static void add_new(uint32_t source_id, struct str table, uint64_t records, uint64_t lines, void *arg)
{
	struct sums *s = sums_of(arg, source_id, table);

	(void)lines;
	s->accepted += records;
	s->since_base += records;
}

static void add_old(uint32_t source_id, struct str table, uint64_t records, uint64_t lines, void *arg)
{
	(void)lines;
	sums_of(arg, source_id, table)->accepted += records;
}

static void add_since_base(uint32_t source_id, struct str table, uint64_t records, uint64_t lines, void *arg)
{
	(void)lines;
	sums_of(arg, source_id, table)->since_base += records;
}

static void forget_one(struct str key, void *value, void *arg)
{
	struct sums *s = value;

	(void)key;
	(void)arg;
	s->accepted = s->since_base = s->seen_base = 0;
}

/* What was trimmed, as the state knows it, and the point from which the queue itself is asked. */
static int take_base(struct snap_history *h, struct db *db, struct queue *q, struct err *e)
{
	struct tally_row *rows = NULL;
	uint64_t before, after, begin;
	size_t n;

	map_each(&h->tables, forget_one, NULL);
	do {
		if (db_trim_point(db, 0, &before, e) || db_tally_list(db, 0, TALLY_MAX, &rows, &n, e))
			return -1;
		for (size_t k = 0; k < n; k++)
			sums_of(h, (uint32_t)rows[k].source_id, str_c(rows[k].table))->accepted = rows[k].accepted_base;
		tally_list_free(rows, n);
		rows = NULL;
		begin = queue_begin(q, 0);
		if (db_trim_point(db, 0, &after, e))
			return -1;
	} while (before != after);
	/* a gap between the offsets holds nothing */
	h->read_to = MAX(before, begin);
	h->based = true;
	h->placed = false;
	return 0;
}

/* --- the streamery --- */

struct stream_counts {
	struct streamery_count *c;
	size_t n;
	uint64_t start, next;
};

static void read_stream(struct control *ct, struct stream_counts *s)
{
	streamery_counts(ct->parts.streamery, &s->c, &s->n, &s->start, &s->next);
}

static bool same_counts(const struct stream_counts *a, const struct stream_counts *b)
{
	if (a->n != b->n || a->start != b->start || a->next != b->next)
		return false;
	for (size_t k = 0; k < a->n; k++)
		if (a->c[k].source_id != b->c[k].source_id || a->c[k].seen != b->c[k].seen || a->c[k].held != b->c[k].held)
			return false;
	return true;
}

/* Below where the streamery is only `accepted` counts; above it both. */
static int place_sums(struct snap_history *h, struct queue *q, const struct stream_counts *c, uint64_t end, struct err *e)
{
	uint64_t at = MIN(c->next, end);

	if (at > h->read_to && queue_tally(q, 0, h->read_to, at, add_old, h, e))
		return -1;
	if (at < h->read_to && queue_tally(q, 0, at, h->read_to, add_since_base, h, e))
		return -1;
	for (size_t k = 0; k < c->n; k++)
		sums_of(h, (uint32_t)c->c[k].source_id, str_c(c->c[k].table))->seen_base = c->c[k].seen;
	h->read_to = MAX(h->read_to, at);
	h->stream_start = c->start;
	h->placed = true;
	return 0;
}

static int read_new(struct snap_history *h, struct db *db, struct queue *q, const struct stream_counts *c, struct err *e)
{
	uint64_t end = queue_end(q, 0), from;

	do {
		if (!h->based && take_base(h, db, q, e))
			return -1;
		from = h->read_to;
		if (!h->placed && place_sums(h, q, c, end, e))
			return -1;
		if (end > h->read_to && queue_tally(q, 0, h->read_to, end, add_new, h, e))
			return -1;
		h->read_to = MAX(h->read_to, end);
		h->based = queue_begin(q, 0) <= from;
	} while (!h->based);
	return 0;
}

/* What was trimmed off the queue before it was added up here is missing in the sums: they are begun anew. So they are after a rewind. */
static int read_queue(struct snap_history *h, struct db *db, struct queue *q, const struct stream_counts *c, struct err *e)
{
	int rc;

	if (h->placed && h->stream_start != c->start)
		h->based = false;
	rc = read_new(h, db, q, c, e);
	if (rc)
		h->based = false; /* half of it may be added */
	return rc;
}

static void clear_one(struct str key, void *value, void *arg)
{
	struct sums *s = value;

	(void)key;
	(void)arg;
	s->seen = s->held = 0;
	s->oldest = 0;
	s->in_state = false;
}

static void place_counts(struct snap_history *h, const struct stream_counts *c)
{
	map_each(&h->tables, clear_one, NULL);
	for (size_t k = 0; k < c->n; k++) {
		struct sums *s = sums_of(h, (uint32_t)c->c[k].source_id, str_c(c->c[k].table));

		s->seen = c->c[k].seen;
		s->held = c->c[k].held;
		s->oldest = c->c[k].oldest;
	}
}

static uint64_t queued_of(const struct sums *s)
{
	uint64_t read = s->seen > s->seen_base ? s->seen - s->seen_base : 0;
	uint64_t unread = s->since_base > read ? s->since_base - read : 0;

	return unread + s->held;
}

/* --- pairs --- */

static struct snap_pair *add_pair(struct snapshot *out, int64_t source_id, const char *table, int64_t destination_id)
{
	const struct source_row *src = world_source(&out->world, source_id);
	const struct destination_row *d = destination_id ? world_destination(&out->world, destination_id) : NULL;
	struct snap_pair *p;

	out->pairs = xreallocarray(out->pairs, out->n + 1, sizeof(*out->pairs));
	p = &out->pairs[out->n++];
	*p = (struct snap_pair){.source_id = source_id, .destination_id = destination_id, .state = "ok"};
	p->source = src ? xstrdup(src->name) : xasprintf("deleted-%" PRId64, source_id);
	p->table = xstrdup(table);
	p->destination = d ? d->name : destination_id ? "deleted" : "-";
	return p;
}

static int64_t older(int64_t a, int64_t b)
{
	return !a ? b : !b ? a : MIN(a, b);
}

/* Does what is still queued go to this destination? */
static bool is_fed(const struct world *w, int64_t source_id, int64_t destination_id)
{
	if (destination_id)
		return world_connection(w, source_id, destination_id) != NULL;
	for (size_t k = 0; k < w->n_connections; k++)
		if (w->connections[k].source_id == source_id)
			return false;
	return true;
}

static void pair_from_row(struct snapshot *out, struct snap_history *h, const struct tally_row *r)
{
	struct sums *s = sums_of(h, (uint32_t)r->source_id, str_c(r->table));
	bool fed = is_fed(&out->world, r->source_id, r->destination_id);
	struct snap_pair *p;

	s->in_state = true;
	/* what was deleted is shown only while something of it is still on its way */
	if ((r->destination_id && !world_destination(&out->world, r->destination_id)) || (!world_source(&out->world, r->source_id) && !r->spooled))
		return;
	p = add_pair(out, r->source_id, r->table, r->destination_id);
	p->table_id = r->table_id;
	p->queued = fed ? queued_of(s) : 0;
	p->spooled = r->spooled;
	p->loaded = r->loaded;
	p->rejected = r->rejected;
	p->discarded = r->discarded;
	p->oldest = r->oldest;
	p->waiting_bytes = r->waiting_bytes;
	if (p->queued)
		p->oldest = older(p->oldest, s->oldest);
	p->accepted = p->queued + p->spooled + p->loaded + p->rejected + p->discarded;
	if (fed) {
		uint64_t theirs = s->accepted > r->before ? s->accepted - r->before : 0;

		p->difference = (int64_t)(theirs - p->accepted);
		p->accepted = theirs;
	}
}

struct new_tables {
	struct snapshot *out;
};

/* A table that is only in the queue so far. */
static void pairs_from_queue(struct str key, void *value, void *arg)
{
	struct snapshot *out = ((struct new_tables *)arg)->out;
	struct sums *s = value;
	struct snap_pair *p;
	unsigned n = 0;

	(void)key;
	if (s->in_state || !s->accepted || (!world_source(&out->world, s->source_id) && !queued_of(s)))
		return;
	for (size_t k = 0; k <= out->world.n_connections; k++) {
		bool none = k == out->world.n_connections;

		if (none ? n > 0 : out->world.connections[k].source_id != (int64_t)s->source_id)
			continue;
		n++;
		p = add_pair(out, s->source_id, s->table, none ? 0 : out->world.connections[k].destination_id);
		p->accepted = s->accepted;
		p->queued = queued_of(s);
		p->oldest = s->oldest;
		p->difference = (int64_t)(p->accepted - p->queued);
	}
}

static int order(const void *a, const void *b)
{
	const struct snap_pair *x = a, *y = b;
	int rc = strcmp(x->source, y->source);

	if (!rc)
		rc = strcmp(x->table, y->table);
	return rc ? rc : strcmp(x->destination, y->destination);
}

const struct snap_pair *snapshot_find(const struct snapshot *s, const char *source, const char *table, const char *destination)
{
	struct snap_pair key = {.source = (char *)(uintptr_t)source, .table = (char *)(uintptr_t)table, .destination = destination};

	if (!s->n || !source || !table || !destination)
		return NULL;
	return bsearch(&key, s->pairs, s->n, sizeof(key), order);
}

static void drop_pairs(struct snapshot *s)
{
	for (size_t k = 0; k < s->n; k++) {
		free(s->pairs[k].source);
		free(s->pairs[k].table);
		free(s->pairs[k].error);
	}
	free(s->pairs);
	s->pairs = NULL;
	s->n = 0;
}

void snapshot_free(struct snapshot *s)
{
	drop_pairs(s);
	world_free(&s->world);
}

static void sum_queue(struct str key, void *value, void *arg)
{
	struct snapshot *out = arg;
	const struct sums *s = value;
	uint64_t q = queued_of(s);

	(void)key;
	out->queued += q;
	if (q)
		out->queue_oldest = older(out->queue_oldest, s->oldest);
}

/* One look. *still: nothing moved while it was taken. */
static int look(struct control *ct, struct db *db, struct snapshot *out, bool *still, struct err *e)
{
	struct snap_history *h = ct->history;
	struct stream_counts before = {NULL}, after = {NULL};
	struct tally_row *rows = NULL;
	struct new_tables nt = {out};
	int64_t commits = metric_get(state_commits_total);
	size_t n = 0;
	int rc = -1;

	read_stream(ct, &before);
	if (db_tally_list(db, 0, TALLY_MAX, &rows, &n, e) || read_queue(h, db, ct->parts.queue, &before, e))
		goto out;
	read_stream(ct, &after);
	*still = commits == metric_get(state_commits_total) && same_counts(&before, &after);
	drop_pairs(out);
	place_counts(h, &before);
	for (size_t k = 0; k < n; k++)
		pair_from_row(out, h, &rows[k]);
	map_each(&h->tables, pairs_from_queue, &nt);
	out->queued = 0;
	out->queue_oldest = 0;
	map_each(&h->tables, sum_queue, out);
	out->difference = 0;
	for (size_t k = 0; k < out->n; k++) {
		out->pairs[k].waiting = out->pairs[k].queued + out->pairs[k].spooled;
		out->difference += out->pairs[k].difference < 0 ? -out->pairs[k].difference : out->pairs[k].difference;
	}
	rc = 0;
out:
	tally_list_free(rows, n);
	streamery_counts_free(before.c, before.n);
	streamery_counts_free(after.c, after.n);
	return rc;
}

static void flow_key(const struct snap_pair *p, struct buf *key)
{
	key->len = 0;
	buf_add(key, &p->source_id, sizeof(p->source_id));
	buf_add(key, &p->destination_id, sizeof(p->destination_id));
	buf_adds(key, p->table);
}

static void destination_key(int64_t id, struct buf *key)
{
	key->len = 0;
	buf_addf(key, "d%" PRId64, id);
}

static int take_locked(struct control *ct, struct db *db, bool patient, struct snapshot *out, struct err *e)
{
	struct snap_history *h = ct->history;
	unsigned tries = patient ? TRIES : 3;
	struct buf key = BUF_INIT;
	bool still = false;

	for (unsigned k = 0; k < tries; k++) {
		if (look(ct, db, out, &still, e))
			return -1;
		if (still && !out->difference)
			break;
		if (patient && k > 1)
			control_wait(ct, PAUSE_BETWEEN);
	}
	/* in motion, or a hurried look: the last difference that was certain */
	if (still && (patient || !out->difference)) {
		h->difference = out->difference;
	} else if (out->difference != h->difference) {
		for (size_t k = 0; k < out->n && !h->difference; k++) {
			struct snap_pair *p = &out->pairs[k];

			p->difference = 0;
			p->accepted = p->queued + p->spooled + p->loaded + p->rejected + p->discarded;
		}
		out->difference = h->difference;
	}
	for (size_t k = 0; k < out->n; k++) {
		flow_key(&out->pairs[k], &key);
		hist_flow(map_get(&h->flows, buf_str(&key)), out->pairs[k].waiting, &out->pairs[k].flow);
	}
	buf_free(&key);
	out->in_rate = h->in_rate;
	out->load_rate = h->load_rate;
	return 0;
}

int snapshot_take(struct control *ct, struct db *db, bool patient, struct snapshot *out, struct err *e)
{
	int rc;

	*out = (struct snapshot){.n = 0};
	if (world_load(db, &out->world, e) || db_job_counts(db, &out->jobs, e)) {
		snapshot_free(out);
		return -1;
	}
	streamery_stats(ct->parts.streamery, &out->stream);
	pthread_mutex_lock(&ct->history->lock);
	rc = take_locked(ct, db, patient, out, e);
	pthread_mutex_unlock(&ct->history->lock);
	if (rc) {
		snapshot_free(out);
		return -1;
	}
	if (out->n)
		qsort(out->pairs, out->n, sizeof(*out->pairs), order);
	metric_set(ledger_difference, out->difference);
	return 0;
}

/* --- memory of what was --- */

static struct hist *flow_of(struct snap_history *h, struct str key)
{
	struct hist *f = map_get(&h->flows, key);

	if (!f) {
		f = xcalloc(1, sizeof(*f));
		map_put(&h->flows, key, f);
	}
	f->round = h->round;
	return f;
}

static void drop_unseen(struct str key, void *value, void *arg)
{
	struct snap_history *h = arg;

	if (((struct hist *)value)->round != h->round)
		free(map_del(&h->flows, key));
}

static void sum_accepted(struct str key, void *value, void *arg)
{
	(void)key;
	*(uint64_t *)arg += ((struct sums *)value)->accepted;
}

static void remember_rates(struct snap_history *h, const struct snapshot *s, struct now now)
{
	double seconds = (double)(now.mono - h->rates_at) / (double)NSEC_PER_SEC;
	uint64_t accepted = 0, loaded = 0;

	map_each(&h->tables, sum_accepted, &accepted);
	for (size_t k = 0; k < s->n; k++)
		loaded += s->pairs[k].loaded;
	if (h->rates_at && seconds < 2)
		return;
	if (h->rates_at) {
		h->in_rate = accepted > h->accepted_then ? (double)(accepted - h->accepted_then) / seconds : 0;
		h->load_rate = loaded > h->loaded_then ? (double)(loaded - h->loaded_then) / seconds : 0;
	}
	h->rates_at = now.mono;
	h->accepted_then = accepted;
	h->loaded_then = loaded;
}

void snap_remember(struct snap_history *h, const struct snapshot *s, struct now now)
{
	struct buf key = BUF_INIT;

	pthread_mutex_lock(&h->lock);
	h->round++;
	for (size_t k = 0; k < s->n; k++) {
		flow_key(&s->pairs[k], &key);
		hist_add(flow_of(h, buf_str(&key)), s->pairs[k].waiting, s->pairs[k].loaded, now.mono);
	}
	for (size_t i = 0; i < s->world.n_destinations; i++) {
		uint64_t waiting = 0, loaded = 0;

		for (size_t k = 0; k < s->n; k++) {
			if (s->pairs[k].destination_id != s->world.destinations[i].id)
				continue;
			waiting += s->pairs[k].waiting;
			loaded += s->pairs[k].loaded;
		}
		destination_key(s->world.destinations[i].id, &key);
		hist_add(flow_of(h, buf_str(&key)), waiting, loaded, now.mono);
	}
	map_each(&h->flows, drop_unseen, h);
	remember_rates(h, s, now);
	pthread_mutex_unlock(&h->lock);
	buf_free(&key);
}

void snap_flow_of_destination(struct control *ct, const struct snapshot *s, int64_t destination_id, struct snap_flow *out)
{
	struct buf key = BUF_INIT;
	uint64_t waiting = 0;

	for (size_t k = 0; k < s->n; k++)
		if (s->pairs[k].destination_id == destination_id)
			waiting += s->pairs[k].waiting;
	destination_key(destination_id, &key);
	pthread_mutex_lock(&ct->history->lock);
	hist_flow(map_get(&ct->history->flows, buf_str(&key)), waiting, out);
	pthread_mutex_unlock(&ct->history->lock);
	buf_free(&key);
}
