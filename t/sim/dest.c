/*
 * dest.c - the destination, and the loader port with the test's own loader: what the real loaders do (loading.md, section 3; model/load.pml), as steps that
 * others come between. A transaction begins (table's lock in the destination, ledger read, rejects chosen), waits until its rejects are
 * durable, commits (ledger, rows, active version at once), answers. The loader may die at each of these, with its transaction running on; an answer may be lost.
 *
 * Each start reads the batch files by the real reader, so a file that a row names and that is not there, or is not whole, is found here.
 */
#include "sim.h"

#include <unistd.h>

#include "tap.h"
#include "xalloc.h"

struct line {
	uint64_t offset, record; /* record: number in the batch, activate lines not counted */
	bool activate, reject;
	struct sim_record r;
};

struct dbatch {
	struct batch_row row; /* strings not used */
	struct line *lines;
	size_t n;
};

enum tx_state { TX_TOLD, TX_WAITING, TX_READY };

struct dest_tx {
	TAILQ_ENTRY(dest_tx) link;
	struct sim_dest *d;
	struct dest_table *t;
	unsigned slot;
	int64_t load_id, job_id;
	uint32_t attempt;
	enum tx_state state;
	bool alive, discard; /* alive: its loader lives and the daemon listens */
	struct dbatch *b;
	size_t n;
};
static TAILQ_HEAD(, dest_tx) txs = TAILQ_HEAD_INITIALIZER(txs);

struct dest_table *sim_dest_table(struct sim_dest *d, int64_t source, struct str name)
{
	struct dest_table *t;

	for (size_t i = 0; i < d->n_tables; i++)
		if (d->tables[i].source == source && str_eqc(name, d->tables[i].name))
			return &d->tables[i];
	if (d->n_tables == SIM_TABLES)
		bail("a table that nobody sent: " STR_FMT, STR_ARG(name));
	t = &d->tables[d->n_tables++];
	t->source = source;
	snprintf(t->name, sizeof(t->name), STR_FMT, STR_ARG(name));
	return t;
}

static void tx_free(struct dest_tx *x)
{
	if (x->t->lock == x)
		x->t->lock = NULL;
	TAILQ_REMOVE(&txs, x, link);
	for (size_t i = 0; i < x->n; i++)
		free(x->b[i].lines);
	free(x->b);
	free(x);
}

/* --- reading --- */

static void add_line(struct dbatch *b, const struct frame_entry *en, struct str text, int64_t version, uint64_t *records)
{
	struct frame_record rec;
	struct line *l;
	struct err e = ERR_INIT;
	char data[80] = "";
	unsigned uid = 0;

	if (frame_record_parse(text, &rec, &e)) {
		sim_wrong("a line of batch %s: %s", b->row.id, e.text);
		return;
	}
	b->lines = xreallocarray(b->lines, b->n + 1, sizeof(*b->lines));
	l = &b->lines[b->n++];
	*l = (struct line){.offset = en->offset, .activate = rec.activate, .r.version = version};
	if (str_to_i64(rec.sequence, &l->r.sequence))
		sim_wrong("a sequence of batch %s", b->row.id);
	if (rec.activate)
		return;
	snprintf(data, sizeof(data), STR_FMT, STR_ARG(rec.data));
	if (sscanf(data, "{\"u\":%u,\"k\":%d}", &uid, &l->r.key) != 2)
		sim_wrong("a record of batch %s", b->row.id);
	l->r.uid = uid;
	l->record = (*records)++;
}

static void read_batch(struct dbatch *b, const char *path, struct dest_table *t)
{
	struct err e = ERR_INIT;
	int fd = store_get(sim.store, path, &e);
	struct frame_reader *r = fd < 0 ? NULL : frame_reader_new(fd, b->row.sha256, &e);
	const struct frame_entry *en;
	struct str text;
	uint32_t index;
	uint64_t records = 0;
	int64_t version = 0;
	enum frame_item item;

	if (!r) {
		sim_wrong("the file of batch %s cannot be read: %s", b->row.id, e.text);
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((item = frame_next(r, &text, &en, &index, &e)) > FRAME_EOF) {
		struct frame_head h = {.source = 0};

		if (item == FRAME_RECORD) {
			add_line(b, en, text, version, &records);
			continue;
		}
		if (frame_head_parse(text, &h, &e) || h.source != t->source || !str_eqc(buf_str(&h.table), t->name))
			sim_wrong("batch %s holds what is not of its table %s", b->row.id, t->name);
		t->keyed = h.key_names.len > 2;
		version = h.table_version;
		buf_free(&h.table);
	}
	if (item == FRAME_ERROR)
		sim_wrong("batch %s: %s", b->row.id, e.text);
	frame_reader_free(r);
	close(fd);
}

/* --- answers --- */

static struct spool_event *event_new(const struct dest_tx *x, int kind)
{
	struct spool_event *ev = xcalloc(1, sizeof(*ev));

	ev->msg.kind = kind;
	ev->msg.bytes = sizeof(*ev);
	ev->destination_id = x->d->id;
	ev->load_id = x->load_id;
	ev->job_id = x->job_id;
	ev->slot = x->slot;
	return ev;
}

static void answer_failed(struct dest_tx *x, int kind, const char *class, const char *text)
{
	struct spool_event *ev = event_new(x, kind);

	snprintf(ev->class, sizeof(ev->class), "%s", class);
	snprintf(ev->text, sizeof(ev->text), "%s", text);
	ev->at_open = x->state == TX_TOLD && x->d->down;
	mailbox_reply(sim.spool_mailbox, &ev->msg);
	x->alive = false;
	sim_say("load %" PRId64 " of %s failed: %s", x->load_id, x->t->name, text);
}

static struct sim_ledger *ledger_row(struct dest_table *t, const char *batch)
{
	for (size_t i = 0; i < t->n_ledger; i++)
		if (strcmp(t->ledger[i].batch, batch) == 0)
			return &t->ledger[i];
	return NULL;
}

static void answer_done(struct dest_tx *x)
{
	struct spool_event *ev = event_new(x, x->discard ? SPOOL_EV_DISCARDED : SPOOL_EV_DONE);

	sim_say("load %" PRId64 " of %s done%s", x->load_id, x->t->name, x->discard ? " (discard)" : "");
	if (x->discard) {
		const struct sim_ledger *l = ledger_row(x->t, x->b[0].row.id);

		ev->n_results = !l->discarded;
	} else {
		ev->n_results = x->n;
	}
	ev->results = xcalloc(x->n, sizeof(*ev->results));
	for (size_t i = 0; i < ev->n_results; i++) {
		const struct sim_ledger *l = ledger_row(x->t, x->b[i].row.id);
		struct load_result *r = &ev->results[i];

		memcpy(r->batch_id, l->batch, sizeof(r->batch_id));
		r->rows = l->rows;
		r->rejected = l->rejected;
		r->attempt = l->attempt;
	}
	mailbox_reply(sim.spool_mailbox, &ev->msg);
	x->alive = false;
}

/* --- a transaction --- */

static bool in_ranges(const struct dest_table *t, const struct dbatch *b, uint64_t offset)
{
	for (size_t i = 0; i < t->n_ledger; i++) {
		const struct sim_ledger *l = &t->ledger[i];

		if (!l->discarded && l->partition == b->row.partition && memcmp(l->queue_id, b->row.queue_id, 16) == 0 && offset >= l->first && offset <= l->last)
			return true;
	}
	return false;
}

static bool is_new(const struct dest_table *t, const struct dbatch *b)
{
	const struct sim_ledger *l = ledger_row((struct dest_table *)(uintptr_t)t, b->row.id);

	return sim.bug == BUG_LEDGER || !l || l->discarded;
}

static bool refused(struct dest_tx *x, const struct dbatch *b, const struct line *l)
{
	struct dest_orders *o = &x->d->orders;

	/* what is skipped is not looked at; a batch of this load that comes before is as good as in the ledger */
	if (l->activate || (!x->t->keyed && in_ranges(x->t, b, l->offset)))
		return false;
	for (const struct dbatch *other = x->b; other < b && !x->t->keyed; other++)
		if (l->offset >= other->row.first_offset && l->offset <= other->row.last_offset)
			return false;
	if (sim.scripted)
		return o->reject_uid == l->r.uid + 1 && x->attempt <= o->reject_attempts;
	/* some records are refused now and taken in the next attempt */
	return l->r.uid % 13 == 5 && sim_pick(2);
}

static void begin(struct dest_tx *x)
{
	struct spool_event *ev = NULL;

	x->t->lock = x;
	x->state = TX_READY;
	for (size_t i = 0; i < x->n && !x->discard; i++) {
		for (size_t k = 0; k < x->b[i].n && is_new(x->t, &x->b[i]); k++) {
			struct line *l = &x->b[i].lines[k];
			struct reject_row *r;
			char raw[20];

			if (!refused(x, &x->b[i], l))
				continue;
			l->reject = true;
			sim_say("load %" PRId64 " attempt %u rejects uid %u of batch %.8s", x->load_id, x->attempt, l->r.uid, x->b[i].row.id);
			if (!ev)
				ev = event_new(x, SPOOL_EV_REJECT);
			ev->rejects = xreallocarray(ev->rejects, ev->n_rejects + 1, sizeof(*ev->rejects));
			r = &ev->rejects[ev->n_rejects++];
			snprintf(raw, sizeof(raw), "%u", l->r.uid);
			*r = (struct reject_row){.destination_id = x->d->id, .record = l->record, .attempt = x->attempt, .field = xstrdup("u"),
				.value = xstrdup(raw), .reason = xstrdup("the test refuses it"), .raw = xstrdup(raw)};
			memcpy(r->batch_id, x->b[i].row.id, sizeof(r->batch_id));
		}
	}
	if (ev) {
		x->state = TX_WAITING;
		mailbox_reply(sim.spool_mailbox, &ev->msg);
	}
}

static bool greater(const struct sim_record *a, const struct sim_record *b)
{
	return a->version != b->version ? a->version > b->version : a->sequence > b->sequence;
}

static void add_row(struct dest_table *t, const struct sim_record *r)
{
	for (size_t i = 0; i < t->n_rows && t->keyed; i++)
		if (t->rows[i].r.key == r->key) {
			if (greater(r, &t->rows[i].r))
				t->rows[i].r = *r;
			return;
		}
	t->rows = xreallocarray(t->rows, t->n_rows + 1, sizeof(*t->rows));
	t->rows[t->n_rows++].r = *r;
}

static void apply_active(struct dest_table *t, int64_t version)
{
	size_t n = 0;

	t->active = MAX(t->active, version);
	for (size_t i = 0; i < t->n_rows; i++)
		if (t->rows[i].r.version >= t->active)
			t->rows[n++] = t->rows[i];
	t->n_rows = n;
}

static struct sim_ledger *write_ledger(struct dest_tx *x, const struct dbatch *b, uint64_t rows, uint64_t rejected, bool discarded)
{
	struct sim_ledger *l = ledger_row(x->t, b->row.id);

	if (!l) {
		x->t->ledger = xreallocarray(x->t->ledger, x->t->n_ledger + 1, sizeof(*x->t->ledger));
		l = &x->t->ledger[x->t->n_ledger++];
	}
	*l = (struct sim_ledger){.partition = b->row.partition, .first = b->row.first_offset, .last = b->row.last_offset, .rows = rows, .rejected = rejected,
		.attempt = x->attempt, .discarded = discarded};
	memcpy(l->batch, b->row.id, sizeof(l->batch));
	memcpy(l->queue_id, b->row.queue_id, sizeof(l->queue_id));
	return l;
}

static void apply_batch(struct dest_tx *x, const struct dbatch *b)
{
	uint64_t rows = 0, rejected = 0;

	sim_say("dest %" PRId64 ": batch %.8s of %s, offsets %" PRIu64 " to %" PRIu64 ", load %" PRId64, x->d->id, b->row.id, x->t->name, b->row.first_offset, b->row.last_offset, x->load_id);
	for (size_t k = 0; k < b->n; k++) {
		const struct line *l = &b->lines[k];

		if (l->activate) {
			if (l->r.version)
				apply_active(x->t, l->r.version);
			continue;
		}
		rejected += l->reject;
		rows += !l->reject;
		if (l->reject || l->r.version < x->t->active)
			continue;
		if (!x->t->keyed && sim.bug != BUG_LEDGER && in_ranges(x->t, b, l->offset))
			continue;
		sim_say("  uid %u at %" PRIu64, l->r.uid, l->offset);
		add_row(x->t, &l->r);
	}
	write_ledger(x, b, rows, rejected, false);
}

static void commit(struct dest_tx *x)
{
	for (size_t i = 0; i < x->n; i++) {
		if (x->discard && !ledger_row(x->t, x->b[i].row.id))
			write_ledger(x, &x->b[i], 0, 0, true);
		else if (!x->discard && is_new(x->t, &x->b[i]))
			apply_batch(x, &x->b[i]);
	}
	x->t->lock = NULL;
}

static bool order(unsigned *n)
{
	if (!*n)
		return false;
	--*n;
	return true;
}

static void step_orphan(struct dest_tx *x)
{
	if (x->d->orders.hold_orphans)
		return;
	if (x->state == TX_READY && x->t->lock == x && !x->d->orders.abort_orphans && (sim.scripted || sim_pick(2)))
		commit(x);
	tx_free(x);
}

static void finish(struct dest_tx *x)
{
	struct dest_orders *o = &x->d->orders;

	if (order(&o->die_before_commit) || (!sim.scripted && sim_pick(12) == 0)) {
		answer_failed(x, SPOOL_EV_GONE, "transient", "the loader was killed before COMMIT");
		return;
	}
	commit(x);
	if (order(&o->lose_answer) || (!sim.scripted && sim_pick(12) == 0))
		answer_failed(x, sim_pick(2) ? SPOOL_EV_GONE : SPOOL_EV_FAILED, "transient", "the answer to COMMIT was lost");
	else
		answer_done(x);
	tx_free(x);
}

static void step_tx(struct dest_tx *x)
{
	if (!x->alive) {
		step_orphan(x);
		return;
	}
	switch (x->state) {
	case TX_TOLD:
		if (x->d->down || (!sim.scripted && sim_pick(15) == 0)) {
			answer_failed(x, sim_pick(3) ? SPOOL_EV_FAILED : SPOOL_EV_GONE, sim_pick(4) ? "transient" : "config", "no connection");
			tx_free(x);
		} else if (!x->t->lock) {
			begin(x);
		}
		break;
	case TX_WAITING:
		if (!sim.scripted && sim_pick(30) == 0) {
			answer_failed(x, SPOOL_EV_GONE, "transient", "the loader was killed while its rejects were written");
			tx_free(x);
		}
		break;
	case TX_READY:
		finish(x);
		break;
	}
}

void sim_dest_step(void)
{
	struct dest_tx *x, *next;

	for (x = TAILQ_FIRST(&txs); x; x = next) {
		next = TAILQ_NEXT(x, link);
		if (sim.scripted || sim_pick(3))
			step_tx(x);
	}
}

bool sim_dest_busy(void)
{
	return !TAILQ_EMPTY(&txs);
}

/* --- the port --- */

static void port_load(const struct destination_row *row, unsigned slot, int64_t job_id, const struct load_row *load)
{
	struct dest_tx *x = xcalloc(1, sizeof(*x)), *other;

	x->d = row->id == sim.dests[0].id ? &sim.dests[0] : &sim.dests[1];
	x->t = sim_dest_table(x->d, load->source_id, str_c(load->table));
	x->slot = slot;
	x->load_id = load->id;
	x->job_id = job_id;
	x->attempt = load->attempt;
	x->alive = true;
	x->discard = load->id == 0;
	TAILQ_FOREACH(other, &txs, link)
		if (other->alive && other->t == x->t)
			sim_wrong("two loads of %s at once", x->t->name);
	if (x->d->paused && !x->discard)
		sim_wrong("a load of %s began while its destination is paused", x->t->name);
	x->b = xcalloc(load->n, sizeof(*x->b));
	x->n = load->n;
	for (size_t i = 0; i < load->n; i++) {
		const struct batch_row *b = &load->batches[i].batch;

		x->b[i].row = *b;
		if (!x->discard)
			read_batch(&x->b[i], b->path, x->t);
	}
	TAILQ_INSERT_TAIL(&txs, x, link);
}

static void port_start(void *port, const struct destination_row *row, unsigned slot, const struct load_row *load)
{
	(void)port;
	port_load(row, slot, 0, load);
}

static void port_discard(void *port, const struct destination_row *row, unsigned slot, int64_t job_id, const struct load_row *load)
{
	(void)port;
	port_load(row, slot, job_id, load);
}

static void port_rejects_stored(void *port, int64_t destination_id, unsigned slot, int64_t load_id, const struct err *e)
{
	struct dest_tx *x;

	(void)port;
	TAILQ_FOREACH(x, &txs, link)
		if (x->alive && x->d->id == destination_id && x->slot == slot && x->load_id == load_id)
			break;
	if (!x)
		return;
	if (!e) {
		x->state = TX_READY;
		return;
	}
	answer_failed(x, SPOOL_EV_FAILED, "transient", e->text);
	tx_free(x);
}

static void port_stop(void *port, int64_t destination_id)
{
	(void)port;
	(void)destination_id;
}

struct loader_port sim_port(void)
{
	static const struct loader_port_ops ops = {.start = port_start, .rejects_stored = port_rejects_stored, .discard = port_discard, .stop = port_stop};

	return (struct loader_port){.ops = &ops, .self = NULL};
}

void sim_dest_open(void)
{
	TAILQ_INIT(&txs);
}

void sim_dest_crash(void)
{
	struct dest_tx *x, *next;

	for (x = TAILQ_FIRST(&txs); x; x = next) {
		next = TAILQ_NEXT(x, link);
		x->alive = false;
		if (x->state != TX_READY)
			tx_free(x);
	}
}

void sim_dest_free(void)
{
	while (!TAILQ_EMPTY(&txs))
		tx_free(TAILQ_FIRST(&txs));
	for (int i = 0; i < SIM_DESTS; i++)
		for (size_t k = 0; k < sim.dests[i].n_tables; k++) {
			free(sim.dests[i].tables[k].ledger);
			free(sim.dests[i].tables[k].rows);
		}
}
