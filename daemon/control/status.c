/*
 * status.c - the first screen as JSON: every number that `stitchctl status`, `table list` and the console show comes from here, so they cannot
 * differ. An answer must fit a line of the protocol, so the list of tables is cut (the worst stay) before it would not.
 */
#include "daemon/control/status.h"

#include "daemon/core/metrics.h"

#include "file.h"
#include "rpc.h"
#include "version.h"
#include "xalloc.h"

#define TABLES_MAX 1000
#define LINE_ROOM (900u << 10)
#define JOBS_LOOKED_AT 1000

static const char *const trend_names[] = {[SNAP_STEADY] = "steady", [SNAP_DRAINING] = "draining", [SNAP_GROWING] = "growing"};

static void add_flow(json_t *o, const struct snap_flow *f)
{
	json_t *spark = json_array();

	for (size_t k = 0; k < SNAP_SPARK; k++)
		json_array_append_new(spark, json_integer(f->spark[k]));
	json_object_set_new(o, "trend", json_string(trend_names[f->trend]));
	json_object_set_new(o, "drain_s", f->drain_s < 0 ? json_null() : json_integer(f->drain_s));
	json_object_set_new(o, "rate", json_real(f->rate));
	json_object_set_new(o, "spark", spark);
}

static double lag_s(const struct snapshot *s, int64_t oldest)
{
	return oldest && oldest < s->world.now ? (double)((s->world.now - oldest) / NSEC_PER_MSEC) / 1000.0 : 0.0;
}

static const struct pause_row *pair_pause(const struct snapshot *s, const struct snap_pair *p)
{
	const struct pause_row *r = p->table_id ? world_pause(&s->world, PAUSE_TABLE, p->table_id) : NULL;

	return r || !p->destination_id ? r : world_pause(&s->world, PAUSE_DESTINATION, p->destination_id);
}

json_t *pair_json(const struct snapshot *s, const struct snap_pair *p)
{
	const struct pause_row *paused = pair_pause(s, p);
	json_t *o = json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "source", text_json(p->source), "table", text_json(p->table), "destination",
		text_json(p->destination), "accepted", (json_int_t)p->accepted, "queued", (json_int_t)p->queued, "spooled", (json_int_t)p->spooled,
		"loaded", (json_int_t)p->loaded, "rejected", (json_int_t)p->rejected, "discarded", (json_int_t)p->discarded, "difference",
		(json_int_t)p->difference);

	json_object_set_new(o, "lag_s", json_real(p->waiting ? lag_s(s, p->oldest) : 0.0));
	json_object_set_new(o, "oldest_ns", time_ns_json(p->waiting ? p->oldest : 0));
	json_object_set_new(o, "waiting", json_integer((json_int_t)p->waiting));
	json_object_set_new(o, "waiting_bytes", json_integer((json_int_t)p->waiting_bytes));
	add_flow(o, &p->flow);
	json_object_set_new(o, "state", json_string(p->state));
	json_object_set_new(o, "error", text_json(p->error));
	if (paused)
		json_object_set_new(o, "paused", pause_json(paused));
	return o;
}

/* --- what is wrong with a pair --- */

static struct snap_pair *pair_of_job(struct snapshot *s, const struct job_row *j)
{
	const struct snap_pair *p = snapshot_find(s, j->source, j->table, j->destination);

	return p ? &s->pairs[p - s->pairs] : NULL;
}

static int judge_jobs(struct db *db, struct snapshot *s, enum job_state state, const char *as, struct err *e)
{
	struct job_filter f = {.state = state};
	struct job_row *rows;
	size_t n;

	if (!s->jobs.n[state])
		return 0;
	if (db_job_list(db, &f, 0, JOBS_LOOKED_AT, &rows, &n, e))
		return -1;
	for (size_t k = 0; k < n; k++) {
		struct snap_pair *p = rows[k].error && *rows[k].error ? pair_of_job(s, &rows[k]) : NULL;

		if (!p || p->error)
			continue;
		p->state = as;
		p->error = xstrdup(rows[k].error);
	}
	job_list_free(rows, n);
	return 0;
}

int status_judge(struct control *ct, struct db *db, struct snapshot *s, struct err *e)
{
	(void)ct;
	/* the worst first: what is found first stays */
	if (judge_jobs(db, s, JOB_CORRUPT, "failing", e) || judge_jobs(db, s, JOB_REJECTED, "failing", e) ||
		judge_jobs(db, s, JOB_DEFERRED, "failing", e) || judge_jobs(db, s, JOB_HELD, "held", e))
		return -1;
	for (size_t k = 0; k < s->n; k++) {
		struct snap_pair *p = &s->pairs[k];
		const struct destination_row *d = p->destination_id ? world_destination(&s->world, p->destination_id) : NULL;

		if (d && d->error_class && *d->error_class && p->waiting && !p->error) {
			p->state = "failing";
			p->error = xstrdup(d->error ? d->error : "");
		}
		if (pair_pause(s, p))
			p->state = "paused";
	}
	return 0;
}

/* --- destinations and sources --- */

struct waiting {
	uint64_t tables, records, bytes;
	int64_t oldest;
};

static void count_waiting(const struct snapshot *s, int64_t destination_id, struct waiting *w)
{
	*w = (struct waiting){.tables = 0};
	for (size_t k = 0; k < s->n; k++) {
		const struct snap_pair *p = &s->pairs[k];

		if (p->destination_id != destination_id)
			continue;
		w->tables++;
		w->records += p->waiting;
		w->bytes += p->waiting_bytes;
		if (p->waiting && p->oldest && (!w->oldest || p->oldest < w->oldest))
			w->oldest = p->oldest;
	}
}

static unsigned loads_running(struct control *ct, int64_t destination_id)
{
	struct spool_running *list;
	unsigned running = 0;
	size_t n;

	spool_running(ct->parts.spool, &list, &n);
	for (size_t k = 0; k < n; k++)
		running += list[k].destination_id == destination_id;
	free(list);
	return running;
}

/* Of a destination that the spool has not seen yet: closed, and nothing runs. */
static void spool_state(struct control *ct, int64_t destination_id, struct spool_dest_state *out)
{
	struct spool_dest_state *list;
	size_t n;

	*out = (struct spool_dest_state){.destination_id = destination_id};
	spool_destinations(ct->parts.spool, &list, &n);
	for (size_t k = 0; k < n; k++)
		if (list[k].destination_id == destination_id)
			*out = list[k];
	free(list);
}

static json_t *breaker_json(const struct spool_dest_state *st)
{
	static const char *const names[] = {[BREAKER_CLOSED] = "closed", [BREAKER_OPEN] = "open", [BREAKER_HALF_OPEN] = "half-open"};

	return json_pack("{s:s, s:o, s:I}", "state", names[st->breaker], "until_ns", time_ns_json(st->breaker == BREAKER_OPEN ? st->until : 0), "failures",
		(json_int_t)st->failures);
}

static json_t *destination_error(const struct destination_row *d)
{
	if (!d->error_class || !*d->error_class)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:I, s:o}", "class", text_json(d->error_class), "text", text_json(d->error), "since_ns",
		time_ns_json(d->error_since), "attempts", (json_int_t)d->attempts, "next_ns", time_ns_json(d->not_before));
}

json_t *destination_json(struct control *ct, const struct snapshot *s, const struct destination_row *d)
{
	const struct pause_row *paused = world_pause(&s->world, PAUSE_DESTINATION, d->id);
	bool failing = d->error_class && *d->error_class;
	unsigned loaders = loads_running(ct, d->id);
	struct spool_dest_state st;
	struct waiting w;
	struct snap_flow f;
	json_t *o;

	count_waiting(s, d->id, &w);
	snap_flow_of_destination(ct, s, d->id, &f);
	o = json_pack("{s:I, s:o, s:o, s:s, s:o, s:o, s:I, s:I, s:I, s:o, s:I}", "id", (json_int_t)d->id, "name", text_json(d->name), "kind", text_json(d->kind),
		"state", paused ? "paused" : failing ? "failing" : loaders || w.records ? "ok" : "idle", "settings", kind_mask(d->kind, false, d->settings), "error",
		destination_error(d), "tables", (json_int_t)w.tables, "records", (json_int_t)w.records, "bytes", (json_int_t)w.bytes, "oldest_ns",
		time_ns_json(w.oldest), "loaders", (json_int_t)loaders);
	add_flow(o, &f);
	spool_state(ct, d->id, &st);
	json_object_set_new(o, "breaker", breaker_json(&st));
	json_object_set_new(o, "concurrency", json_integer(st.limit));
	if (paused)
		json_object_set_new(o, "paused", pause_json(paused));
	return o;
}

static json_t *tokens_json(struct db *db, int64_t source_id, struct err *e)
{
	struct token_row *rows;
	json_t *list = json_array();
	size_t n;

	if (db_token_list(db, source_id, &rows, &n, e)) {
		json_decref(list);
		return NULL;
	}
	for (size_t k = 0; k < n; k++)
		if (strcmp(rows[k].hint, "local") != 0)
			json_array_append_new(list, json_pack("{s:I, s:o, s:o}", "id", (json_int_t)rows[k].id, "hint", text_json(rows[k].hint),
				"created_ns", time_ns_json(rows[k].created)));
	token_list_free(rows, n);
	return list;
}

json_t *source_json(const struct snapshot *s, const struct source_row *src, struct db *db, struct err *e)
{
	const struct pause_row *paused = world_pause(&s->world, PAUSE_SOURCE, src->id);
	json_t *o, *names = json_array(), *tokens = tokens_json(db, src->id, e);
	uint64_t accepted = 0;
	const char *last = NULL;

	if (!tokens) {
		json_decref(names);
		return NULL;
	}
	for (size_t k = 0; k < s->world.n_connections; k++) {
		const struct destination_row *d = world_destination(&s->world, s->world.connections[k].destination_id);

		if (d && s->world.connections[k].source_id == src->id)
			json_array_append_new(names, text_json(d->name));
	}
	/* once per table: pairs are sorted, the greatest of a table's is the whole */
	for (size_t k = 0; k < s->n; k++) {
		const struct snap_pair *p = &s->pairs[k];
		uint64_t most = 0;

		if (p->source_id != src->id || (last && strcmp(last, p->table) == 0))
			continue;
		last = p->table;
		for (size_t i = k; i < s->n && s->pairs[i].source_id == src->id && strcmp(s->pairs[i].table, last) == 0; i++)
			most = MAX(most, s->pairs[i].accepted);
		accepted += most;
	}
	o = json_pack("{s:I, s:I, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:I}", "id", (json_int_t)src->id, "client_id", (json_int_t)src->client_id, "name",
		text_json(src->name), "kind", text_json(src->kind), "state", paused ? "paused" : "ok", "created_ns", time_ns_json(src->created), "settings",
		kind_mask(src->kind, true, src->settings), "tokens", tokens, "destinations", names, "accepted", (json_int_t)accepted);
	if (paused)
		json_object_set_new(o, "paused", pause_json(paused));
	return o;
}

json_t *job_json(const struct job_row *j)
{
	char id[24];
	json_t *error = json_null();

	snprintf(id, sizeof(id), "%" PRId64, j->id);
	if (j->error_class && *j->error_class)
		error = json_pack("{s:o, s:o}", "class", text_json(j->error_class), "text", text_json(j->error));
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "id", id, "state", job_state_name(j->state),
		"source", text_json(j->source), "table", text_json(j->table), "destination", text_json(j->destination), "batch", j->batch_id, "records",
		(json_int_t)j->records, "bytes", (json_int_t)j->bytes, "rows", (json_int_t)j->rows, "rejected_records", (json_int_t)j->rejected, "attempts",
		(json_int_t)j->attempts, "error", error, "created_ns", time_ns_json(j->created), "updated_ns", time_ns_json(j->updated), "not_before_ns",
		time_ns_json(j->state == JOB_DEFERRED ? j->not_before : 0), "load", j->load_id ? json_integer(j->load_id) : json_null());
}

/* --- status --- */

static json_t *import_json(struct control *ct, const struct snapshot *s)
{
	struct err why = ERR_INIT;
	bool open = ct->parts.import ? !import_shut(ct->parts.import, &why) : queue_writable(ct->parts.queue, &why);
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u", ct->parts.import ? import_port(ct->parts.import) : 0);
	return json_pack("{s:s, s:s, s:f, s:I, s:I, s:o}", "state", atomic_load(&ct->stopping) ? "stopping" : open ? "open" : "full", "url", url, "rate",
		s->in_rate, "refused", (json_int_t)metric_get(import_refused_total), "unavailable", (json_int_t)metric_get(import_unavailable_total),
		"why", open ? json_null() : text_json(why.text));
}

static json_t *queue_json(struct control *ct, const struct snapshot *s)
{
	struct queue_stats q;

	queue_stats(ct->parts.queue, &q);
	return json_pack("{s:f, s:I, s:I, s:I, s:b, s:I, s:I}", "lag_s", s->queued ? lag_s(s, s->queue_oldest) : 0.0, "records", (json_int_t)s->queued, "bytes",
		(json_int_t)q.bytes, "segments", (json_int_t)q.segments, "away", q.away, "local_requests", (json_int_t)q.local_requests, "local_bytes",
		(json_int_t)q.local_bytes);
}

static json_t *spool_json(const struct snapshot *s)
{
	const struct job_counts *c = &s->jobs;
	uint64_t bytes = c->bytes[JOB_READY] + c->bytes[JOB_ACTIVE] + c->bytes[JOB_DEFERRED] + c->bytes[JOB_HELD];

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "ready", (json_int_t)c->n[JOB_READY], "active", (json_int_t)c->n[JOB_ACTIVE], "deferred",
		(json_int_t)c->n[JOB_DEFERRED], "held", (json_int_t)c->n[JOB_HELD], "rejected", (json_int_t)c->n[JOB_REJECTED], "corrupt",
		(json_int_t)c->n[JOB_CORRUPT], "bytes", (json_int_t)bytes);
}

static int worse(const void *a, const void *b)
{
	const struct snap_pair *x = *(struct snap_pair *const *)a, *y = *(struct snap_pair *const *)b;
	int64_t ox = x->waiting ? x->oldest : INT64_MAX, oy = y->waiting ? y->oldest : INT64_MAX;

	if (ox != oy)
		return ox < oy ? -1 : 1;
	if (x->waiting != y->waiting)
		return x->waiting > y->waiting ? -1 : 1;
	return x < y ? -1 : 1;
}

static json_t *tables_json(const struct snapshot *s)
{
	struct snap_pair **sorted = xcalloc(s->n + 1, sizeof(struct snap_pair *));
	json_t *list = json_array();

	for (size_t k = 0; k < s->n; k++)
		sorted[k] = &s->pairs[k];
	if (s->n)
		qsort(sorted, s->n, sizeof(*sorted), worse);
	for (size_t k = 0; k < MIN(s->n, TABLES_MAX); k++)
		json_array_append_new(list, pair_json(s, sorted[k]));
	free(sorted);
	return list;
}

/* ok, warn or fail: the exit status of `stitchctl status` */
static const char *overall(const json_t *problems)
{
	const char *worst = "ok";
	const json_t *p;
	size_t k;

	json_array_foreach(problems, k, p)
	{
		const char *level = json_string_value(json_object_get(p, "level"));

		if (level && strcmp(level, "fail") == 0)
			return "fail";
		worst = "warn";
	}
	return worst;
}

static json_t *lists(struct control *ct, struct db *db, const struct snapshot *s, struct err *e)
{
	json_t *o = json_object(), *sources = json_array(), *destinations = json_array(), *one;

	json_object_set_new(o, "sources", sources);
	json_object_set_new(o, "destinations", destinations);
	for (size_t k = 0; k < s->world.n_sources && k < TABLES_MAX; k++) {
		one = source_json(s, &s->world.sources[k], db, e);
		if (!one) {
			json_decref(o);
			return NULL;
		}
		json_array_append_new(sources, one);
	}
	for (size_t k = 0; k < s->world.n_destinations && k < TABLES_MAX; k++)
		json_array_append_new(destinations, destination_json(ct, s, &s->world.destinations[k]));
	return o;
}

static void fit(json_t *o)
{
	json_t *tables = json_object_get(o, "tables");
	size_t size = json_dumpb(o, NULL, 0, JSON_COMPACT), n = json_array_size(tables);

	while (size > LINE_ROOM && n) {
		size_t keep = n / 2;

		while (n > keep)
			json_array_remove(tables, --n);
		size = json_dumpb(o, NULL, 0, JSON_COMPACT);
	}
}

static uint64_t all_waiting(const struct snapshot *s)
{
	uint64_t sum = 0;

	for (size_t k = 0; k < s->n; k++)
		sum += s->pairs[k].waiting;
	return sum;
}

json_t *status_json(struct control *ct, struct db *db, struct snapshot *s, struct err *e)
{
	uint64_t disk_free = 0, disk_total = 0;
	json_t *o, *problems, *l;

	if (status_judge(ct, db, s, e))
		return NULL;
	l = lists(ct, db, s, e);
	problems = l ? problems_json(ct, db, s, e) : NULL;
	if (!problems) {
		json_decref(l);
		return NULL;
	}
	if (file_disk_free(ct->config.state_dir, &disk_free, &disk_total, NULL))
		disk_free = disk_total = 0;
	o = json_pack("{s:s, s:o, s:s, s:I, s:I, s:f, s:f, s:I, s:I}", "state", overall(problems), "name", text_json(ct->config.name), "version", STITCH_VERSION,
		"now_ns", (json_int_t)s->world.now, "uptime_s", (json_int_t)((now_get().mono - ct->started_mono) / NSEC_PER_SEC), "in_rate", s->in_rate,
		"load_rate", s->load_rate, "waiting", (json_int_t)all_waiting(s), "difference", (json_int_t)s->difference);
	json_object_set_new(o, "import", import_json(ct, s));
	json_object_set_new(o, "queue", queue_json(ct, s));
	json_object_set_new(o, "streamery", json_pack("{s:I, s:I, s:I, s:f}", "open", (json_int_t)s->stream.open, "open_bytes", (json_int_t)s->stream.open_bytes,
		"uploads", (json_int_t)s->stream.uploads, "lag_s", s->stream.open ? lag_s(s, s->stream.oldest) : 0.0));
	json_object_set_new(o, "spool", spool_json(s));
	json_object_set_new(o, "loaders", json_pack("{s:I, s:I, s:f}", "up", (json_int_t)runner_count(ct->parts.runner), "total",
		(json_int_t)s->world.n_destinations, "rate", s->load_rate));
	json_object_set_new(o, "disk", json_pack("{s:I, s:I, s:I}", "free", (json_int_t)disk_free, "reserve", (json_int_t)ct->config.reserve_bytes, "total",
		(json_int_t)disk_total));
	json_object_update(o, l);
	json_decref(l);
	json_object_set_new(o, "tables", tables_json(s));
	json_object_set_new(o, "problems", problems);
	fit(o);
	return o;
}
