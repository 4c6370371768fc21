/*
 * spool_pick.c - which load starts next. Per destination: the free slots, the tables that have something due, worst first, one load a table;
 * nothing while paused or backing off, and one at a time while the last attempt failed.
 *
 * What can go wrong: paused tables must not hide the others, so the list asked for is longer by their number; a probe after a failure takes
 * another table than the one that failed, if there is one, or a single sick table would make its destination look dead for ever.
 */
#include "daemon/core/crashpoint.h"
#include "daemon/spool/spool_priv.h"

#include "log.h"
#include "xalloc.h"

#define DISCARDS_LOOKED_AT 100

struct dest *spool_dest(struct spool *s, int64_t id)
{
	struct dest *d;

	TAILQ_FOREACH(d, &s->dests, link)
		if (d->row.id == id)
			return d;
	return NULL;
}

void spool_slot_reset(struct slot *sl)
{
	bool worked = sl->worked;

	load_row_free(&sl->load);
	*sl = (struct slot){.state = SLOT_FREE, .worked = worked};
}

void spool_dest_free(struct dest *d)
{
	destination_row_free(&d->row);
	dest_rules_free(&d->rules);
	free(d);
}

void spool_add_due(struct dest *d, int64_t real)
{
	/* more than fit are found by the regular look */
	if (d->n_due < SPOOL_DUES)
		d->due[d->n_due++] = real;
}

/* Drops what has passed (then there is something to look for) and returns the earliest that is left. */
static int64_t next_due(struct dest *d, int64_t real)
{
	int64_t next = NEVER;

	for (unsigned k = 0; k < d->n_due;) {
		if (d->due[k] <= real) {
			d->dirty = true;
			d->due[k] = d->due[--d->n_due];
			continue;
		}
		next = MIN(next, d->due[k]);
		k++;
	}
	return next;
}

/* What is for us goes out of the settings: the loaders need not end when only that changes. */
static void take_rules(struct spool *s, struct dest *d)
{
	struct err e = ERR_INIT;
	char *left = NULL;

	dest_rules_free(&d->rules);
	/* checked when it was set: what cannot be understood was written by another version */
	if (dest_rules_read(d->row.settings, &d->rules, &left, &e))
		log_err("settings of destination %s: %s", d->row.name, e.text);
	d->limit = d->rules.concurrency ? MIN(d->rules.concurrency, SPOOL_SLOTS) : s->config.loaders_per_destination;
	d->maintenance_changes = 0;
	free(d->row.settings);
	d->row.settings = left;
}

static struct dest *dest_new(struct spool *s, struct destination_row *row)
{
	struct dest *d = xcalloc(1, sizeof(*d));

	d->attempts = row->error_class && *row->error_class ? MAX(row->attempts, 1) : 0;
	d->down = d->attempts > 0;
	d->not_before = d->down ? row->not_before : 0;
	d->row = *row;
	*row = (struct destination_row){.id = 0};
	take_rules(s, d);
	TAILQ_INSERT_TAIL(&s->dests, d, link);
	return d;
}

static bool same(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static void update_dests(struct spool *s, struct destination_row *rows, size_t n)
{
	struct dest *d;

	TAILQ_FOREACH(d, &s->dests, link)
		d->listed = false;
	for (size_t k = 0; k < n; k++) {
		d = spool_dest(s, rows[k].id);
		if (!d) {
			d = dest_new(s, &rows[k]);
		} else {
			struct destination_row old = d->row;

			d->row = rows[k];
			rows[k] = (struct destination_row){.id = 0};
			take_rules(s, d);
			if (!same(d->row.settings, old.settings) || !same(d->row.name, old.name))
				s->port.ops->stop(s->port.self, d->row.id);
			destination_row_free(&old);
		}
		d->listed = true;
		d->dirty = true;
	}
	TAILQ_FOREACH(d, &s->dests, link) {
		if (!d->listed && !d->deleted)
			s->port.ops->stop(s->port.self, d->row.id);
		d->deleted = !d->listed;
	}
}

static void update_pauses(struct spool *s, struct now now)
{
	struct dest *d;
	bool paused;

	s->n_paused_tables = 0;
	s->pause_ends = NEVER;
	s->paused_tables = xreallocarray(s->paused_tables, s->n_pauses + 1, sizeof(*s->paused_tables));
	for (size_t k = 0; k < s->n_pauses; k++) {
		const struct pause_row *p = &s->pauses[k];

		if (p->until && p->until <= now.real)
			continue;
		if (p->until)
			s->pause_ends = MIN(s->pause_ends, p->until);
		if (p->kind == PAUSE_TABLE)
			s->paused_tables[s->n_paused_tables++] = p->object_id;
	}
	TAILQ_FOREACH(d, &s->dests, link) {
		paused = false;
		for (size_t k = 0; k < s->n_pauses; k++) {
			const struct pause_row *p = &s->pauses[k];

			paused |= p->kind == PAUSE_DESTINATION && p->object_id == d->row.id && (!p->until || p->until > now.real);
		}
		paused |= d->maintenance;
		if (paused && !d->paused)
			s->port.ops->stop(s->port.self, d->row.id);
		d->paused = paused;
		d->dirty = true;
	}
}

int64_t spool_maintenance(struct spool *s, struct now now)
{
	int64_t next = NEVER, since;
	bool changed = false, was;
	struct dest *d;

	TAILQ_FOREACH(d, &s->dests, link) {
		if (now.real >= d->maintenance_changes) {
			was = d->maintenance;
			d->maintenance = dest_rules_maintenance(&d->rules, now.real, &since, &d->maintenance_changes);
			changed |= was != d->maintenance;
			if (was != d->maintenance)
				log_info("destination %s: maintenance %s", d->row.name, was ? "is over" : "begins; nothing is loaded");
		}
		next = MIN(next, d->maintenance_changes);
	}
	if (changed)
		update_pauses(s, now);
	return next;
}

static void update_sources(struct spool *s)
{
	for (size_t k = 0; k < s->n_sources; k++)
		s->sources[k].seen = false;
	for (size_t k = 0; k < s->n_connections; k++) {
		size_t i = 0;

		while (i < s->n_sources && s->sources[i].id != s->connections[k].source_id)
			i++;
		if (i == s->n_sources) {
			s->sources = xreallocarray(s->sources, s->n_sources + 1, sizeof(*s->sources));
			s->sources[s->n_sources++] = (struct spool_source){.id = s->connections[k].source_id};
		}
		s->sources[i].seen = true;
	}
}

int spool_refresh(struct spool *s, struct now now, struct err *e)
{
	uint64_t version = state_config_version(s->state);
	struct destination_row *rows = NULL;
	struct connection_row *conns = NULL;
	struct pause_row *pauses = NULL;
	size_t n = 0, n_conns = 0, n_pauses = 0;

	if (s->config_read && version == s->config_version) {
		if (now.real >= s->pause_ends)
			update_pauses(s, now);
		return 0;
	}
	if (now.mono < s->config_again)
		return 0;
	s->config_again = now.mono + NSEC_PER_SEC;
	if ((!s->db && !(s->db = state_reader(s->state, e))) || db_destination_list(s->db, &rows, &n, e) || db_connection_list(s->db, &conns, &n_conns, e) ||
		db_pause_list(s->db, &pauses, &n_pauses, e)) {
		destination_list_free(rows, n);
		connection_list_free(conns, n_conns);
		return -1;
	}
	connection_list_free(s->connections, s->n_connections);
	pause_list_free(s->pauses, s->n_pauses);
	s->connections = conns;
	s->n_connections = n_conns;
	s->pauses = pauses;
	s->n_pauses = n_pauses;
	update_dests(s, rows, n);
	destination_list_free(rows, n);
	update_pauses(s, now);
	update_sources(s);
	s->config_version = version;
	s->config_read = true;
	s->config_again = now.mono;
	return 0;
}

unsigned spool_busy(const struct dest *d)
{
	unsigned n = 0;

	for (unsigned k = 0; k < SPOOL_SLOTS; k++)
		n += d->slots[k].state != SLOT_FREE;
	return n;
}

static unsigned allowed(const struct dest *d)
{
	unsigned limit = d->attempts ? 1 : d->limit, used = spool_busy(d);

	return used < limit ? limit - used : 0;
}

static bool table_busy(const struct dest *d, int64_t table_id)
{
	for (unsigned k = 0; k < SPOOL_SLOTS; k++)
		if (d->slots[k].state != SLOT_FREE && d->slots[k].table_id == table_id)
			return true;
	return false;
}

bool spool_table_paused(const struct spool *s, int64_t table_id)
{
	for (size_t k = 0; k < s->n_paused_tables; k++)
		if (s->paused_tables[k] == table_id)
			return true;
	return false;
}

static unsigned free_slot(const struct dest *d)
{
	unsigned k = 0;

	while (d->slots[k].state != SLOT_FREE)
		k++;
	return k;
}

static void begin(struct spool *s, struct dest *d, int64_t table_id, struct now now)
{
	unsigned slot = free_slot(d);
	struct slot *sl = &d->slots[slot];
	struct spool_tx *t;

	spool_slot_reset(sl);
	sl->state = SLOT_BEGIN;
	sl->table_id = table_id;
	sl->since = now.real;
	t = spool_tx_new(s, OP_BEGIN, d, slot, now);
	t->max_batches = s->config.load_batches;
	t->max_bytes = s->config.load_bytes;
	spool_tx_submit(s, t, now);
}

/* What the loader must know to look into its ledger for one batch of a job. */
static int discard_load(struct spool *s, const struct dest *d, const struct discard_row *x, struct load_row *out, struct err *e)
{
	struct job_row job = {.id = 0};
	struct table_row table = {.id = 0};
	int rc = -1;

	*out = (struct load_row){.destination_id = d->row.id};
	if (db_job_get(s->db, x->job_id, &job, e))
		return -1;
	if (db_table_get_id(s->db, x->table_id, &table, e))
		goto out;
	out->batches = xcalloc(1, sizeof(*out->batches));
	out->n = 1;
	out->batches[0].job_id = x->job_id;
	if (db_batch_get(s->db, job.batch_id, &out->batches[0].batch, e))
		goto out;
	out->table_id = x->table_id;
	out->load_time = x->load_time;
	out->source_id = job.source_id;
	out->source = xstrdup(job.source);
	out->table = xstrdup(job.table);
	out->schema = xstrdup(x->schema);
	out->key_names = xstrdup(table.key_names);
	out->columns = xstrdup("[]");
	rc = 0;
out:
	job_row_free(&job);
	table_row_free(&table);
	return rc;
}

static int start_discard(struct spool *s, struct dest *d, const struct discard_row *x, struct now now, struct err *e)
{
	unsigned slot = free_slot(d);
	struct slot *sl = &d->slots[slot];

	spool_slot_reset(sl);
	if (discard_load(s, d, x, &sl->load, e)) {
		spool_slot_reset(sl);
		return err_wrap(e, "discarding job %" PRId64, x->job_id);
	}
	sl->state = SLOT_DISCARD;
	sl->table_id = x->table_id;
	sl->job_id = x->job_id;
	sl->since = now.real;
	s->port.ops->discard(s->port.self, &d->row, slot, x->job_id, &sl->load);
	return 0;
}

/* One a table: it is free while no load of it runs. */
static int pick_discards(struct spool *s, struct dest *d, struct now now, struct err *e)
{
	struct discard_row *list;
	size_t n;

	if (db_job_discards(s->db, d->row.id, DISCARDS_LOOKED_AT, &list, &n, e))
		return -1;
	for (size_t k = 0; k < n && allowed(d); k++) {
		struct err why = ERR_INIT;

		/* one that cannot be asked about holds nothing up */
		if (!table_busy(d, list[k].table_id) && start_discard(s, d, &list[k], now, &why))
			log_err("%s", why.text);
	}
	discard_list_free(list, n);
	return 0;
}

static int pick_loads(struct spool *s, struct dest *d, struct now now, struct err *e)
{
	struct load_candidate *list = NULL;
	unsigned more = (unsigned)s->n_paused_tables + spool_busy(d) + 1;
	int64_t avoid = d->attempts ? d->failed_table : 0, last_resort = 0;
	size_t n = 0;

	if (db_load_candidates(s->db, d->row.id, now.real, allowed(d) + more, &list, &n, e))
		return -1;
	for (size_t k = 0; k < n && allowed(d); k++) {
		int64_t table_id = list[k].table_id;

		if (table_busy(d, table_id) || spool_table_paused(s, table_id))
			continue;
		if (table_id == avoid)
			last_resort = table_id;
		else
			begin(s, d, table_id, now);
	}
	if (last_resort && allowed(d))
		begin(s, d, last_resort, now);
	candidate_list_free(list, n);
	d->dirty = false;
	d->scanned = now.mono;
	return 0;
}

/* Returns the mono time at which this destination wants to be looked at again. */
static int64_t pick_dest(struct spool *s, struct dest *d, struct now now)
{
	int64_t due = next_due(d, now.real), next = due == NEVER ? NEVER : now.mono + (due - now.real);
	struct err e = ERR_INIT;

	if (d->deleted || atomic_load(&s->draining))
		return NEVER;
	if (d->not_before > now.real)
		return now.mono + (d->not_before - now.real);
	if (d->paused || !allowed(d))
		return NEVER;
	if (!d->dirty && now.mono < d->scanned + s->config.rescan)
		return MIN(next, d->scanned + s->config.rescan);
	if (pick_discards(s, d, now, &e) || pick_loads(s, d, now, &e)) {
		log_err("looking for loads into %s: %s", d->row.name, e.text);
		d->dirty = false;
		d->scanned = now.mono - s->config.rescan + NSEC_PER_SEC;
	}
	return MIN(next, d->scanned + s->config.rescan);
}

int64_t spool_pick(struct spool *s, struct now now)
{
	int64_t next = NEVER;
	struct dest *d, *after;

	for (d = TAILQ_FIRST(&s->dests); d; d = after) {
		after = TAILQ_NEXT(d, link);
		if (d->deleted && !spool_busy(d) && LIST_EMPTY(&s->in_state) && STAILQ_EMPTY(&s->retries)) {
			TAILQ_REMOVE(&s->dests, d, link);
			spool_dest_free(d);
			continue;
		}
		next = MIN(next, pick_dest(s, d, now));
	}
	return next;
}

static bool dest_idle(const struct dest *d, struct now now)
{
	return !d->deleted && !d->paused && !d->attempts && d->not_before <= now.real && allowed(d);
}

void spool_tell_idle(struct spool *s, struct now now)
{
	if (!s->on_idle)
		return;
	for (size_t k = 0; k < s->n_sources; k++) {
		struct spool_source *src = &s->sources[k];
		bool idle = false;

		for (size_t i = 0; i < s->n_connections && !idle && src->seen && !atomic_load(&s->draining); i++) {
			struct dest *d;

			if (s->connections[i].source_id != src->id)
				continue;
			d = spool_dest(s, s->connections[i].destination_id);
			idle = d && dest_idle(d, now);
		}
		if (src->told && src->idle == idle)
			continue;
		src->told = true;
		src->idle = idle;
		s->on_idle(s->on_idle_arg, src->id, idle);
	}
}
