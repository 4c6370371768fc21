/*
 * problems.c - what an operator must know, worst first, one line a cause: a destination that is down is one line however many tables wait for it.
 * Each line says what, since when, how much waits and when the next attempt is.
 */
#include "daemon/control/status.h"
#include "daemon/state/replay.h"

#include "file.h"
#include "xalloc.h"

#define LINES_MAX 100
#define JOBS_LOOKED_AT 1000
#define REJECTED_NEWS (24 * 3600 * NSEC_PER_SEC) /* afterwards they are counted and listed, and nobody is called any more */

struct problem {
	const char *level;
	char *object, *text;
	int64_t since, oldest, next;
	uint64_t tables, records, attempt;
};

struct problems {
	struct problem *p;
	size_t n;
};

static struct problem *add(struct problems *l, const char *level, char *object, char *text)
{
	struct problem *p;

	l->p = xreallocarray(l->p, l->n + 1, sizeof(*l->p));
	p = &l->p[l->n++];
	*p = (struct problem){.level = level, .object = object, .text = text};
	return p;
}

static void count(struct problem *p, const struct snap_pair *pair)
{
	if (!pair->waiting)
		return;
	p->tables++;
	p->records += pair->waiting;
	if (pair->oldest && (!p->oldest || pair->oldest < p->oldest))
		p->oldest = pair->oldest;
}

static void add_destinations(const struct snapshot *s, struct problems *l)
{
	for (size_t k = 0; k < s->world.n_destinations; k++) {
		const struct destination_row *d = &s->world.destinations[k];
		const struct pause_row *paused = world_pause(&s->world, PAUSE_DESTINATION, d->id);
		bool failing = d->error_class && *d->error_class;
		struct problem *p;

		/* planned: nobody need look */
		if (paused && strcmp(paused->who, WORLD_MAINTENANCE) == 0)
			continue;
		if (!failing && !paused)
			continue;
		if (paused)
			p = add(l, "warn", xasprintf("destination %s", d->name),
				xasprintf("paused by %s%s%s%s%s", paused->who, paused->reason && *paused->reason ? ": " : "", paused->reason ? paused->reason : "",
					failing ? "; before that: " : "", failing && d->error ? d->error : ""));
		else
			p = add(l, "fail", xasprintf("destination %s", d->name), xstrdup(d->error ? d->error : ""));
		p->since = paused ? paused->since : d->error_since;
		p->next = paused ? paused->until : d->not_before;
		p->attempt = paused ? 0 : d->attempts;
		for (size_t i = 0; i < s->n; i++)
			if (s->pairs[i].destination_id == d->id)
				count(p, &s->pairs[i]);
	}
}

static void add_pauses(const struct snapshot *s, struct problems *l)
{
	for (size_t k = 0; k < s->world.n_sources; k++) {
		const struct source_row *src = &s->world.sources[k];
		const struct pause_row *paused = world_pause(&s->world, PAUSE_SOURCE, src->id);
		struct problem *p;

		if (!paused)
			continue;
		p = add(l, "warn", xasprintf("source %s", src->name),
			xasprintf("paused by %s%s%s", paused->who, paused->reason && *paused->reason ? ": " : "", paused->reason ? paused->reason : ""));
		p->since = paused->since;
		p->next = paused->until;
	}
	for (size_t k = 0; k < s->n && l->n < LINES_MAX; k++) {
		const struct snap_pair *pair = &s->pairs[k];
		const struct pause_row *paused = pair->table_id ? world_pause(&s->world, PAUSE_TABLE, pair->table_id) : NULL;
		struct problem *p;

		/* one line a table: pairs are sorted, so its destinations follow each other */
		if (!paused || (k && s->pairs[k - 1].table_id == pair->table_id))
			continue;
		p = add(l, "warn", xasprintf("table %s.%s", pair->source, pair->table),
			xasprintf("paused by %s%s%s", paused->who, paused->reason && *paused->reason ? ": " : "", paused->reason ? paused->reason : ""));
		p->since = paused->since;
		p->next = paused->until;
		for (size_t i = k; i < s->n && s->pairs[i].table_id == pair->table_id; i++)
			count(p, &s->pairs[i]);
	}
}

/* One line per (table, destination) and kind of trouble. */
static int add_jobs(struct db *db, const struct snapshot *s, struct problems *l, enum job_state state, struct err *e)
{
	struct job_filter f = {.state = state};
	struct job_row *rows;
	size_t n, first = l->n;

	if (!s->jobs.n[state])
		return 0;
	if (db_job_list(db, &f, 0, JOBS_LOOKED_AT, &rows, &n, e))
		return -1;
	for (size_t k = 0; k < n && l->n < LINES_MAX; k++) {
		const struct job_row *j = &rows[k];
		const struct destination_row *d = world_destination(&s->world, j->destination_id);
		char *object = xasprintf("table %s.%s -> %s", j->source, j->table, j->destination ? j->destination : "?");
		const struct snap_pair *pair = snapshot_find(s, j->source, j->table, j->destination);
		struct problem *p = NULL;

		for (size_t i = first; i < l->n && !p; i++)
			if (strcmp(l->p[i].object, object) == 0)
				p = &l->p[i];
		/* a destination that fails or is paused has said it all */
		if (p || (state == JOB_DEFERRED && (!d || (d->error_class && *d->error_class) || world_pause(&s->world, PAUSE_DESTINATION, d->id) || !j->error ||
							   !*j->error))) {
			if (p)
				p->records += j->records;
			free(object);
			continue;
		}
		p = add(l, state == JOB_CORRUPT ? "fail" : "warn", object,
			xasprintf("%s: %s", job_state_name(state), j->error && *j->error ? j->error : "see stitchctl job list"));
		p->since = j->updated;
		p->tables = 1;
		p->records = j->records;
		p->oldest = pair ? pair->oldest : 0;
		p->next = state == JOB_DEFERRED ? j->not_before : 0;
		p->attempt = j->attempts;
	}
	job_list_free(rows, n);
	return 0;
}

/* Records that were rejected one by one, in jobs that are done otherwise. */
static int add_rejected(struct db *db, const struct snapshot *s, struct problems *l, struct err *e)
{
	struct rejected_pair *news;
	size_t n_news;

	if (db_rejected_since(db, s->world.now - REJECTED_NEWS, &news, &n_news, e))
		return -1;
	for (size_t k = 0; k < s->n && l->n < LINES_MAX; k++) {
		const struct snap_pair *pair = &s->pairs[k];
		struct problem *p;
		bool known = false, is_new = false;
		char *object;

		for (size_t i = 0; i < n_news; i++)
			is_new |= news[i].table_id == pair->table_id && news[i].destination_id == pair->destination_id;
		if (!pair->rejected || !is_new)
			continue;
		object = xasprintf("table %s.%s -> %s", pair->source, pair->table, pair->destination);
		for (size_t i = 0; i < l->n && !known; i++)
			known = strcmp(l->p[i].object, object) == 0;
		if (known) {
			free(object);
			continue;
		}
		p = add(l, "warn", object,
			xasprintf("%" PRIu64 " record%s rejected and kept, %" PRIu64 " loaded (stitchctl reject list)", pair->rejected, pair->rejected == 1 ? "" : "s",
				pair->loaded));
		p->tables = 1;
		p->records = pair->rejected;
	}
	free(news);
	return 0;
}

static void add_whole(struct control *ct, const struct snapshot *s, struct problems *l)
{
	struct err why = ERR_INIT;
	uint64_t bytes_free, bytes_total;
	struct queue_stats q;

	if (state_broken(ct->parts.state))
		add(l, "fail", xstrdup("state"), xstrdup("state.db could not be written: the daemon starts anew"));
	if (!queue_writable(ct->parts.queue, &why))
		add(l, "fail", xstrdup("import"), xasprintf("records are refused with 503: %s", why.text));
	queue_stats(ct->parts.queue, &q);
	if (q.away)
		add(l, "warn", xstrdup("queue"), xasprintf("the queue is away: %" PRIu64 " requests, %" PRIu64 " of %" PRIu64 " MiB, wait in the local spool", q.local_requests,
			q.local_bytes >> 20, q.local_max >> 20));
	if (s->difference)
		add(l, "fail", xstrdup("ledger"),
			xasprintf("accepted and the sum of queued, spooled, loaded, rejected and discarded differ by %" PRId64 " records", s->difference));
	if (s->stream.problem[0])
		add(l, "fail", xstrdup("streamery"), xstrdup(s->stream.problem))->oldest = s->stream.oldest;
	if (!file_disk_free(ct->config.state_dir, &bytes_free, &bytes_total, NULL) && bytes_free < 2 * ct->config.reserve_bytes)
		add(l, bytes_free < ct->config.reserve_bytes ? "fail" : "warn", xstrdup("disk"),
			xasprintf("%" PRIu64 " MiB are free under %s; below %" PRIu64 " MiB nothing more is accepted", bytes_free >> 20, ct->config.state_dir,
				ct->config.reserve_bytes >> 20));
}

static void add_unconnected(const struct snapshot *s, struct problems *l)
{
	for (size_t i = 0; i < s->world.n_sources && l->n < LINES_MAX; i++) {
		const struct source_row *src = &s->world.sources[i];
		struct problem sum = {.tables = 0}, *p;

		for (size_t k = 0; k < s->n; k++)
			if (s->pairs[k].source_id == src->id && !s->pairs[k].destination_id)
				count(&sum, &s->pairs[k]);
		if (!sum.records)
			continue;
		p = add(l, "warn", xasprintf("source %s", src->name),
			xasprintf("is connected to no destination: its records wait (stitchctl connect %s DESTINATION)", src->name));
		p->tables = sum.tables;
		p->records = sum.records;
		p->oldest = p->since = sum.oldest;
	}
}

static int worse(const void *a, const void *b)
{
	const struct problem *x = a, *y = b;
	bool fx = x->level[0] == 'f', fy = y->level[0] == 'f';

	if (fx != fy)
		return fx ? -1 : 1;
	if (x->records != y->records)
		return x->records > y->records ? -1 : 1;
	return strcmp(x->object, y->object);
}

json_t *problems_json(struct control *ct, struct db *db, const struct snapshot *s, struct err *e)
{
	struct problems l = {NULL};
	json_t *list = json_array();

	add_whole(ct, s, &l);
	add_destinations(s, &l);
	add_pauses(s, &l);
	add_unconnected(s, &l);
	if (add_jobs(db, s, &l, JOB_CORRUPT, e) || add_jobs(db, s, &l, JOB_REJECTED, e) || add_jobs(db, s, &l, JOB_HELD, e) ||
		add_jobs(db, s, &l, JOB_DEFERRED, e) || add_rejected(db, s, &l, e)) {
		json_decref(list);
		list = NULL;
	}
	if (l.n)
		qsort(l.p, l.n, sizeof(*l.p), worse);
	for (size_t k = 0; k < l.n; k++) {
		struct problem *p = &l.p[k];

		if (list)
			json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:I}", "level", p->level, "object",
				text_json(p->object), "text", text_json(p->text), "since_ns", time_ns_json(p->since), "tables", (json_int_t)p->tables,
				"records", (json_int_t)p->records, "oldest_ns", time_ns_json(p->oldest), "next_ns", time_ns_json(p->next), "attempt",
				(json_int_t)p->attempt));
		free(p->object);
		free(p->text);
	}
	free(l.p);
	return list;
}
