/*
 * spool.c - the stage: what comes in (answers of state.db, events of loaders, commands), slot by slot, then spool_pick.c decides what starts.
 *
 * A slot goes FREE -> BEGIN (row of the load) -> RUN (loader) -> END (outcome in state.db) -> FREE; each arrow is one message. The step never
 * waits: transactions are submitted and come back as messages, loaders answer as messages. A load whose row is there and whose loader was never
 * told, or whose answer was lost, is begun again after a restart with the next attempt number (db_load_recover), and the ledger in the
 * destination says what it had done.
 */
#include "daemon/spool/spool.h"

#include "daemon/core/crashpoint.h"
#include "daemon/spool/spool_priv.h"

#include "log.h"
#include "xalloc.h"

#define EMPTY_HANDED (200 * NSEC_PER_MSEC) /* something was due, and the load found nothing: do not spin */

struct command {
	struct msg msg;
	int64_t id;
};

static struct slot *slot_of(struct spool *s, int64_t destination_id, unsigned slot, struct dest **d)
{
	*d = spool_dest(s, destination_id);
	if (!*d || slot >= SPOOL_SLOTS)
		return NULL;
	return &(*d)->slots[slot];
}

static void free_slot(struct dest *d, struct slot *sl)
{
	spool_slot_reset(sl);
	d->dirty = true;
}

/* Paused while the row of the load was being made: it goes back, and is begun again later. */
static void put_back(struct spool *s, struct dest *d, struct slot *sl, unsigned slot, struct now now)
{
	struct spool_tx *t = spool_tx_new(s, OP_FAILED, d, slot, now);

	snprintf(t->class, sizeof(t->class), "transient");
	snprintf(t->text, sizeof(t->text), "put back before it began: paused or stopping");
	t->not_before = now.real;
	sl->state = SLOT_END;
	spool_tx_submit(s, t, now);
}

static void begun(struct spool *s, struct dest *d, struct slot *sl, struct spool_tx *t, struct now now)
{
	if (t->tx.err.code) {
		if (t->tx.err.code != ERR_NOT_FOUND)
			log_err("beginning a load into %s: %s", d->row.name, t->tx.err.text);
		spool_slot_reset(sl);
		spool_add_due(d, now.real + (t->tx.err.code == ERR_NOT_FOUND ? EMPTY_HANDED : NSEC_PER_SEC));
		return;
	}
	sl->load = t->out;
	t->out = (struct load_row){.id = 0};
	CRASHPOINT("load-created");
	if (d->paused || d->deleted || atomic_load(&s->draining) || spool_table_paused(s, sl->table_id)) {
		put_back(s, d, sl, t->slot, now);
		return;
	}
	sl->state = SLOT_RUN;
	s->port.ops->start(s->port.self, &d->row, t->slot, &sl->load);
	CRASHPOINT("load-started");
}

static void rejects_stored(struct spool *s, struct dest *d, struct slot *sl, struct spool_tx *t)
{
	CRASHPOINT("load-rejects-stored");
	/* a loader that died meanwhile has no one who waits */
	if (sl->state == SLOT_RUN && sl->load.id == t->load_id)
		s->port.ops->rejects_stored(s->port.self, d->row.id, t->slot, t->load_id, t->tx.err.code ? &t->tx.err : NULL);
}

static void tx_done(struct spool *s, struct spool_tx *t, struct now now)
{
	struct dest *d;
	struct slot *sl = slot_of(s, t->destination_id, t->slot, &d);

	LIST_REMOVE(t, sent);
	/* a destination is dropped only while nothing is on its way */
	assert(d && sl);
	if (t->op == OP_BEGIN) {
		begun(s, d, sl, t, now);
	} else if (t->op == OP_REJECT) {
		rejects_stored(s, d, sl, t);
	} else {
		if (t->tx.err.code) {
			log_err("outcome of load %" PRId64 " into %s: %s", t->load_id, d->row.name, t->tx.err.text);
			if (spool_tx_again(s, t, now))
				return;
		} else if (t->op == OP_DONE) {
			CRASHPOINT("load-done");
		}
		free_slot(d, sl);
	}
	spool_tx_free(t);
}

static void rejected(struct spool *s, struct dest *d, struct spool_event *ev, struct now now)
{
	struct spool_tx *t = spool_tx_new(s, OP_REJECT, d, ev->slot, now);

	t->ev = ev;
	spool_tx_submit(s, t, now);
}

static void discarded(struct spool *s, struct dest *d, struct slot *sl, struct spool_event *ev, struct now now)
{
	struct spool_tx *t = spool_tx_new(s, OP_DISCARDED, d, ev->slot, now);

	t->ev = ev;
	t->job_id = sl->job_id;
	sl->worked = true;
	sl->state = SLOT_END;
	spool_tx_submit(s, t, now);
}

/* Takes ev. */
static void event(struct spool *s, struct spool_event *ev, struct now now)
{
	struct dest *d;
	struct slot *sl = slot_of(s, ev->destination_id, ev->slot, &d);
	bool mine = sl && ((sl->state == SLOT_RUN && sl->load.id == ev->load_id) || (sl->state == SLOT_DISCARD && sl->job_id == ev->job_id));

	if (!mine) {
		/* an idle loader that ended, or an answer that came twice */
		if (sl && ev->msg.kind == SPOOL_EV_GONE)
			sl->worked = false;
		spool_event_free(ev);
		return;
	}
	switch (ev->msg.kind) {
	case SPOOL_EV_DONE:
		spool_loaded(s, d, ev->slot, ev, now);
		return;
	case SPOOL_EV_REJECT:
		rejected(s, d, ev, now);
		return;
	case SPOOL_EV_DISCARDED:
		discarded(s, d, sl, ev, now);
		return;
	case SPOOL_EV_FAILED:
	case SPOOL_EV_GONE:
		spool_failed(s, d, ev->slot, ev, now);
		break;
	case SPOOL_EV_PROGRESS:
		sl->rows = ev->rows;
		break;
	default:
		break;
	}
	spool_event_free(ev);
}

static void retry(struct spool *s, int64_t destination_id)
{
	struct dest *d;

	TAILQ_FOREACH(d, &s->dests, link) {
		if (destination_id && d->row.id != destination_id)
			continue;
		/* still one at a time until something works */
		d->not_before = 0;
		d->attempts = d->attempts ? 1 : 0;
		d->dirty = true;
	}
}

static void take_mail(struct spool *s, struct now now)
{
	struct msg *m, *next;

	for (m = mailbox_take(s->stage.mb, SIZE_MAX, SIZE_MAX); m; m = next) {
		next = m->next;
		if (m->kind == SPOOL_MSG_TX) {
			tx_done(s, container_of(m, struct spool_tx, tx.msg), now);
		} else if (m->kind >= SPOOL_EV_OPENED) {
			event(s, container_of(m, struct spool_event, msg), now);
		} else {
			struct command *c = container_of(m, struct command, msg);

			retry(s, c->id);
			free(c);
		}
	}
}

static struct spool_dest_state state_of(const struct dest *d, struct now now)
{
	struct spool_dest_state st = {.destination_id = d->row.id, .failures = d->attempts, .limit = d->limit, .busy = spool_busy(d)};

	if (d->down) {
		st.breaker = d->not_before > now.real ? BREAKER_OPEN : BREAKER_HALF_OPEN;
		st.until = d->not_before;
	}
	return st;
}

/* For spool_running() and spool_destinations(), and how busy we are for spool_drained(). */
static void publish(struct spool *s, struct now now)
{
	struct spool_running *list = NULL, *old;
	struct spool_dest_state *states = NULL, *old_states;
	size_t n = 0, n_states = 0;
	int busy = 0;
	struct spool_tx *t;
	struct dest *d;

	LIST_FOREACH(t, &s->in_state, sent)
		busy++;
	STAILQ_FOREACH(t, &s->retries, link)
		busy++;
	TAILQ_FOREACH(d, &s->dests, link) {
		states = xreallocarray(states, n_states + 1, sizeof(*states));
		states[n_states++] = state_of(d, now);
		for (unsigned k = 0; k < SPOOL_SLOTS; k++) {
			const struct slot *sl = &d->slots[k];

			busy += sl->state != SLOT_FREE;
			if (sl->state != SLOT_RUN && sl->state != SLOT_END)
				continue;
			list = xreallocarray(list, n + 1, sizeof(*list));
			list[n++] = (struct spool_running){.destination_id = d->row.id,
				.table_id = sl->table_id,
				.load_id = sl->load.id,
				.slot = k,
				.rows = sl->rows,
				.since = sl->since};
		}
	}
	pthread_mutex_lock(&s->lock);
	old = s->running;
	s->running = list;
	s->n_running = n;
	old_states = s->states;
	s->states = states;
	s->n_states = n_states;
	pthread_mutex_unlock(&s->lock);
	free(old);
	free(old_states);
	atomic_store(&s->busy, busy);
}

static int64_t step(void *self, struct now now)
{
	struct spool *s = self;
	struct err e = ERR_INIT;
	int64_t next, maintenance;
	struct dest *d;

	if (atomic_exchange(&s->woken, false))
		TAILQ_FOREACH(d, &s->dests, link)
			d->dirty = true;
	if (spool_refresh(s, now, &e))
		log_err("reading destinations: %s", e.text);
	maintenance = spool_maintenance(s, now);
	take_mail(s, now);
	next = spool_tx_retry(s, now);
	next = MIN(next, spool_pick(s, now));
	spool_tell_idle(s, now);
	publish(s, now);
	if (maintenance != NEVER)
		next = MIN(next, now.mono + MAX(maintenance - now.real, 0));
	if (s->pause_ends != NEVER)
		next = MIN(next, now.mono + MAX(s->pause_ends - now.real, 0));
	if (!s->config_read || s->config_version != state_config_version(s->state))
		next = MIN(next, MAX(s->config_again, now.mono));
	return next;
}

static const struct stage_ops spool_ops = {.name = "spool", .step = step};

static int recover(struct db *db, void *arg, struct err *e)
{
	return db_load_recover(db, *(int64_t *)arg, e);
}

struct spool *spool_new(const struct spool_config *c, struct state *state, struct mailbox *mb, struct err *e)
{
	struct spool *s;
	int64_t now = now_get().real;

	if (state_call(state, recover, &now, e)) {
		err_wrap(e, "spool: recovering loads");
		return NULL;
	}
	s = xcalloc(1, sizeof(*s));
	s->config = *c;
	s->config.loaders_per_destination = MIN(MAX(c->loaders_per_destination, 1), SPOOL_SLOTS);
	s->config.load_batches = MIN(MAX(c->load_batches, 1), 200); /* descriptors of one message */
	s->config.backoff_first = c->backoff_first > 0 ? c->backoff_first : NSEC_PER_SEC;
	s->config.backoff_max = c->backoff_max > 0 ? c->backoff_max : 600 * NSEC_PER_SEC;
	s->config.rescan = c->rescan > 0 ? c->rescan : SPOOL_RESCAN;
	s->state = state;
	s->stage.ops = &spool_ops;
	s->stage.self = s;
	s->stage.mb = mb;
	s->pause_ends = NEVER;
	TAILQ_INIT(&s->dests);
	STAILQ_INIT(&s->retries);
	LIST_INIT(&s->in_state);
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

void spool_set_port(struct spool *s, struct loader_port port)
{
	s->port = port;
}

struct stage *spool_stage(struct spool *s)
{
	return &s->stage;
}

/* A transaction that is still with the state: let the state end it if its thread is gone, or learn that a crash has dropped it. */
static void drop_mail(struct spool *s)
{
	struct stage *st = state_stage(s->state);
	struct msg *m, *next;
	struct spool_tx *t;

	if (!LIST_EMPTY(&s->in_state) && !st->running && !state_broken(s->state))
		st->ops->step(st->self, now_get());
	for (m = mailbox_take(s->stage.mb, SIZE_MAX, SIZE_MAX); m; m = next) {
		next = m->next;
		if (m->kind == SPOOL_MSG_TX) {
			t = container_of(m, struct spool_tx, tx.msg);
			LIST_REMOVE(t, sent);
			spool_tx_free(t);
		} else if (m->kind >= SPOOL_EV_OPENED)
			spool_event_free(container_of(m, struct spool_event, msg));
		else
			free(container_of(m, struct command, msg));
	}
	/* a broken state may still hold them; the process starts anew then */
	while (!state_broken(s->state) && (t = LIST_FIRST(&s->in_state))) {
		LIST_REMOVE(t, sent);
		spool_tx_free(t);
	}
}

void spool_free(struct spool *s)
{
	struct dest *d;
	struct spool_tx *t;

	if (!s)
		return;
	drop_mail(s);
	while ((t = STAILQ_FIRST(&s->retries))) {
		STAILQ_REMOVE_HEAD(&s->retries, link);
		spool_tx_free(t);
	}
	while ((d = TAILQ_FIRST(&s->dests))) {
		TAILQ_REMOVE(&s->dests, d, link);
		for (unsigned k = 0; k < SPOOL_SLOTS; k++)
			spool_slot_reset(&d->slots[k]);
		spool_dest_free(d);
	}
	connection_list_free(s->connections, s->n_connections);
	pause_list_free(s->pauses, s->n_pauses);
	free(s->paused_tables);
	free(s->sources);
	free(s->running);
	free(s->states);
	if (s->db)
		state_reader_close(s->db);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void spool_wake(struct spool *s)
{
	atomic_store(&s->woken, true);
	mailbox_wake(s->stage.mb);
}

void spool_on_idle(struct spool *s, void (*fn)(void *arg, int64_t source_id, bool idle), void *arg)
{
	s->on_idle = fn;
	s->on_idle_arg = arg;
}

void spool_drain(struct spool *s)
{
	atomic_store(&s->busy, 1); /* until the next step has counted */
	atomic_store(&s->draining, true);
	mailbox_wake(s->stage.mb);
}

bool spool_drained(struct spool *s)
{
	return atomic_load(&s->draining) && atomic_load(&s->busy) == 0;
}

static void send_command(struct spool *s, int kind, int64_t id)
{
	struct command *c = xcalloc(1, sizeof(*c));

	c->msg.kind = kind;
	c->msg.bytes = sizeof(*c);
	c->id = id;
	mailbox_reply(s->stage.mb, &c->msg);
}

void spool_retry(struct spool *s, int64_t destination_id)
{
	send_command(s, SPOOL_MSG_RETRY, destination_id);
}

void spool_running(struct spool *s, struct spool_running **out, size_t *n)
{
	pthread_mutex_lock(&s->lock);
	*n = s->n_running;
	*out = xcalloc(s->n_running + 1, sizeof(**out));
	if (s->n_running)
		memcpy(*out, s->running, s->n_running * sizeof(**out));
	pthread_mutex_unlock(&s->lock);
}

void spool_destinations(struct spool *s, struct spool_dest_state **out, size_t *n)
{
	pthread_mutex_lock(&s->lock);
	*n = s->n_states;
	*out = xcalloc(s->n_states + 1, sizeof(**out));
	if (s->n_states)
		memcpy(*out, s->states, s->n_states * sizeof(**out));
	pthread_mutex_unlock(&s->lock);
}
