/*
 * spool_outcome.c - what the end of a load means for its jobs and for its destination.
 *
 * One sick part stays alone, both ways. Each destination has a circuit breaker. It opens when the loader could not connect or died on its first job, or when two
 * different tables failed with no success in between; then nothing is tried until not_before, however many tables wait, and then one load tries (half open). Each
 * failure makes the pause longer, the destination's own hint (retry_after) if that is later; the first success closes the breaker and makes everything that was
 * put off because of the destination due at once. A table that fails alone waits alone: its load has its own back-off and the others go on.
 */
#include "daemon/core/crashpoint.h"
#include "daemon/core/metrics.h"
#include "daemon/spool/backoff.h"
#include "daemon/spool/spool_priv.h"

#include "log.h"
#include "timefmt.h"

#define DIED_FIRST (60 * NSEC_PER_SEC) /* a loader that dies on its first job is broken, not unlucky */
#define CONFIG_FACTOR 10	       /* a person has to act: no hurry */

static void object_of(const struct slot *sl, char out[256])
{
	snprintf(out, 256, "%s.%s", sl->load.source ? sl->load.source : "?", sl->load.table ? sl->load.table : "?");
}

static void recovered(struct spool_tx *t, struct dest *d)
{
	bool was_failing = d->attempts > 0;

	if (was_failing) {
		t->outcome.set = true;
		t->retry_all = d->down;
		if (!t->event_kind)
			spool_tx_event(t, "info", "destination-ok", d->row.name, "destination %s works again after %u failed attempt%s%s", d->row.name,
				d->attempts, d->attempts == 1 ? "" : "s", d->down ? ": all its tables are loaded again" : "");
	}
	d->attempts = 0;
	d->down = false;
	d->not_before = 0;
	d->failed_table = 0;
}

void spool_loaded(struct spool *s, struct dest *d, unsigned slot, struct spool_event *ev, struct now now)
{
	struct slot *sl = &d->slots[slot];
	struct spool_tx *t = spool_tx_new(s, OP_DONE, d, slot, now);
	uint64_t rows = 0, rejected = 0;
	char object[256];

	CRASHPOINT("load-answered");
	for (size_t k = 0; k < ev->n_results; k++) {
		rows += ev->results[k].rows;
		rejected += ev->results[k].rejected;
	}
	metric_add(loads_total, 1);
	metric_add(loaded_records_total, (int64_t)rows);
	metric_add(rejected_records_total, (int64_t)rejected);
	object_of(sl, object);
	if (rejected)
		spool_tx_event(t, "warn", "rejected", object, "%" PRIu64 " of %" PRIu64 " records of %s were rejected by %s and are kept", rejected,
			rows + rejected, object, d->row.name);
	recovered(t, d);
	spool_tx_hook(t, d, &sl->load);
	t->ev = ev;
	sl->worked = true;
	sl->state = SLOT_END;
	spool_tx_submit(s, t, now);
}

static int64_t delay_of(const struct spool *s, const struct dest *d, const struct slot *sl, const struct spool_event *ev, bool dest_wide)
{
	const struct spool_config *c = &s->config;
	unsigned attempts = dest_wide ? d->attempts : MAX(sl->load.attempt, 1);
	uint64_t id = dest_wide ? (uint64_t)d->row.id : (uint64_t)sl->load.id << 20;
	int64_t first = c->backoff_first, delay;

	if (ev->msg.kind == SPOOL_EV_GONE && (ev->fresh || !sl->worked))
		first = DIED_FIRST;
	else if (strcmp(ev->class, "config") == 0)
		first = c->backoff_first * CONFIG_FACTOR;
	delay = backoff_delay(first, c->backoff_max, attempts, id);
	return MAX(delay, ev->retry_after);
}

/* A failure that does not lie in the data: who waits, and until when. Returns the load's not_before. */
static int64_t put_off(struct spool *s, struct dest *d, struct slot *sl, const struct spool_event *ev, struct now now)
{
	bool dead_at_once = ev->msg.kind == SPOOL_EV_GONE && (ev->fresh || !sl->worked);
	bool wide;
	int64_t until;

	d->attempts++;
	wide = d->down || ev->at_open || dead_at_once || (d->failed_table && sl->table_id && d->failed_table != sl->table_id);
	if (sl->table_id)
		d->failed_table = sl->table_id;
	until = now.real + delay_of(s, d, sl, ev, wide);
	if (wide) {
		d->down = true;
		/* a load that began before the last failure does not shorten the wait */
		d->not_before = MAX(d->not_before, until);
		until = d->not_before;
	}
	return until;
}

static bool in_data(const char *class)
{
	return strcmp(class, "data") == 0 || strcmp(class, "corrupt") == 0;
}

static void failure_event(struct spool_tx *t, const struct dest *d, const struct slot *sl, bool was_fine, bool was_down)
{
	char object[256], until[TIMEFMT_MAX];

	object_of(sl, object);
	if (strcmp(t->class, "corrupt") == 0)
		spool_tx_event(t, "error", "corrupt", object, "batch %s of %s is damaged and stays where it is: %s", t->batch, object, t->text);
	else if (strcmp(t->class, "data") == 0)
		spool_tx_event(t, "error", "rejected", object, "load %" PRId64 " of %s into %s was rejected: %s", t->load_id, object, d->row.name, t->text);
	else if (!was_down && d->down) {
		timefmt_iso(d->not_before, 0, until);
		spool_tx_event(t, "error", was_fine ? "destination-failed" : "destination-open", d->row.name,
			"destination %s fails: %s; nothing is loaded into it until %s, then one load tries", d->row.name, t->text, until);
	} else if (was_fine)
		spool_tx_event(t, "error", "destination-failed", d->row.name, "destination %s fails: %s", d->row.name, t->text);
}

void spool_failed(struct spool *s, struct dest *d, unsigned slot, const struct spool_event *ev, struct now now)
{
	struct slot *sl = &d->slots[slot];
	bool was_fine = d->attempts == 0, was_down = d->down;
	struct spool_tx *t = spool_tx_new(s, sl->state == SLOT_DISCARD ? OP_OUTCOME : OP_FAILED, d, slot, now);
	struct spool_outcome *o = &t->outcome;

	snprintf(t->class, sizeof(t->class), "%s", ev->class[0] ? ev->class : "transient");
	snprintf(t->text, sizeof(t->text), "%s", ev->text[0] ? ev->text : "the loader ended without saying why");
	snprintf(t->batch, sizeof(t->batch), "%s", ev->batch);
	metric_add(load_failures_total, 1);
	if (in_data(t->class)) {
		failure_event(t, d, sl, was_fine, was_down);
		recovered(t, d); /* it was reached */
	} else {
		t->not_before = put_off(s, d, sl, ev, now);
		o->set = true;
		snprintf(o->class, sizeof(o->class), "%s", t->class);
		snprintf(o->text, sizeof(o->text), "%s", t->text);
		o->not_before = t->not_before;
		spool_add_due(d, t->not_before);
		failure_event(t, d, sl, was_fine, was_down);
	}
	/* once a load, not at each try of it */
	if (t->op == OP_FAILED && (in_data(t->class) || sl->load.attempt == 1 || was_fine))
		spool_tx_hook(t, d, &sl->load);
	log_warn("load %" PRId64 " of %s.%s into %s failed (%s, attempt %u): %s", t->load_id, sl->load.source ? sl->load.source : "?",
		sl->load.table ? sl->load.table : "?", d->row.name, t->class, sl->load.attempt, t->text);
	if (ev->msg.kind == SPOOL_EV_GONE)
		sl->worked = false;
	sl->state = SLOT_END;
	spool_tx_submit(s, t, now);
}
