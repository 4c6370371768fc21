/*
 * 3004-histories.c - random histories of queue, streamery, store and retention, one thread, by seed: requests sent again, lost answers, failed
 * uploads and commits, crashes, rewinds, trims. At the end each request is in the destination exactly once (what the ledger's ranges skip is not
 * counted), the counts balance, every row's file is there. Argument: first seed and how many; a failure names its seed.
 */
#include "tap.h"

#include <sys/queue.h>

#include "daemon/retention/retention.h"
#include "log.h"
#include "stest.h"
#include "xalloc.h"

#define REQUESTS 24
#define TABLES 3

static const char *const tables[TABLES] = {"a", "b", "sick"};

struct sent {
	char id[16]; /* "" : ours */
	int table;
	unsigned records;
	bool big, tried, known; /* known: acknowledged */
	unsigned there; /* times in the destination */
};

struct history {
	struct world w;
	struct retention *retention;
	struct sent sent[REQUESTS];
	uint64_t rng;
	char run_id[9];
	unsigned rewinds, crashes;
	uint64_t accepted_before; /* not used up by trims: counted from the state */
};

static struct history h;

static uint64_t pick(uint64_t below)
{
	h.rng ^= h.rng << 13;
	h.rng ^= h.rng >> 7;
	h.rng ^= h.rng << 17;
	return (h.rng >> 11) % below;
}

static void start_retention(void)
{
	struct retention_config rc = {.batch_keep = 3600 * NSEC_PER_SEC, .interval = NSEC_PER_SEC, .state_dir = "/", .run_id = h.run_id};
	struct err e = ERR_INIT;

	snprintf(h.run_id, sizeof(h.run_id), "%08x", h.w.runs);
	h.retention = retention_new(&rc, h.w.queue, h.w.store, h.w.state, &e);
	if (!h.retention)
		bail("%s", e.text);
}

struct sending {
	LIST_ENTRY(sending) link;
	struct queue_put p;
	struct sent *s;
};
static LIST_HEAD(, sending) sendings = LIST_HEAD_INITIALIZER(sendings);

static void sending_free(struct sending *g)
{
	LIST_REMOVE(g, link);
	buf_free(&g->p.bytes);
	free(g);
}

static void answered(struct queue_put *p)
{
	struct sending *g = p->arg;

	if (!p->err.code)
		g->s->known = true;
	sending_free(g);
}

static void send(struct sent *s)
{
	struct sending *g;
	struct err e;
	size_t i = (size_t)(s - h.sent);

	/* without a key a request cannot be sent again: it would be another one */
	if (s->tried && !s->id[0])
		return;
	s->tried = true;
	g = xcalloc(1, sizeof(*g));
	g->s = s;
	g->p.n = 1;
	g->p.done = answered;
	g->p.arg = g;
	LIST_INSERT_HEAD(&sendings, g, link);
	request_encode(h.w.frame,
		&(struct request){.table = tables[s->table],
			.id = s->id[0] ? s->id : NULL,
			.records = s->records,
			.big = s->big,
			.seed = (unsigned)i,
			.keys = i % 5 == 0 ? "[\"k\"]" : NULL},
		h.w.now.real, &g->p.bytes);
	if (queue_put(h.w.queue, &g->p, &e))
		sending_free(g);
}

static void rewind_done(struct streamery_rewind *r)
{
	free(r);
}

static void flush_done(struct streamery_flush *f)
{
	free(f);
}

static void step(struct stage *s)
{
	s->ops->step(s->self, h.w.now);
}

static void crash(void)
{
	h.crashes++;
	retention_free(h.retention);
	world_crash(&h.w);
	/* the queue forgot those that waited */
	while (!LIST_EMPTY(&sendings))
		sending_free(LIST_FIRST(&sendings));
	start_retention();
}

static void rewind_somewhere(void)
{
	uint64_t begin = queue_begin(h.w.queue, 0), end = queue_end(h.w.queue, 0);
	struct streamery_rewind *r;

	if (begin == end)
		return;
	h.rewinds++;
	r = xcalloc(1, sizeof(*r));
	r->to = begin + pick(end - begin);
	r->done = rewind_done;
	streamery_rewind(h.w.streamery, r);
}

static void fault(void)
{
	switch (pick(7)) {
	case 0:
		queue_mem_fault(h.w.queue, pick(2) ? QUEUE_MEM_FAIL_NEXT : QUEUE_MEM_LOSE_ANSWER);
		break;
	case 1:
		store_mem_fault(h.w.store, 1u << pick(4));
		break;
	case 2:
		store_mem_fault(h.w.store, 0);
		break;
	case 3:
		fake_fault(h.w.state, 1u << pick(3));
		break;
	case 4:
		fake_fault(h.w.state, 0);
		break;
	case 5:
		if (h.crashes < 4)
			crash();
		break;
	case 6:
		if (h.rewinds < 3)
			rewind_somewhere();
		break;
	}
}

static void act(void)
{
	struct streamery_flush *f;

	if (pick(100) < 12) {
		fault();
		return;
	}
	switch (pick(11)) {
	case 0:
	case 1:
		send(&h.sent[pick(REQUESTS)]);
		break;
	case 2:
		queue_step(h.w.queue, h.w.now);
		break;
	case 3:
	case 4:
	case 5:
		step(streamery_stage(h.w.streamery));
		break;
	case 6:
		step(store_stage_stage(h.w.store_stage));
		break;
	case 7:
		step(state_stage(h.w.state));
		break;
	case 8:
		fake_db(h.w.state)->safe = pick(2) ? fake_db(h.w.state)->read_from : 0;
		step(retention_stage(h.retention));
		break;
	case 9:
		streamery_loader_idle(h.w.streamery, 1, pick(2));
		world_later(&h.w, (int64_t)pick(2000) * NSEC_PER_MSEC);
		break;
	case 10:
		f = xcalloc(1, sizeof(*f));
		f->done = flush_done;
		streamery_flush(h.w.streamery, f);
		break;
	}
}

/* The destination: rows in the order of their commit; what lies in the range of an earlier row of the table is skipped. */
struct loading {
	size_t row;
	bool ok;
};

static void load_entry(uint64_t offset, struct str id, uint32_t records, void *arg)
{
	struct loading *l = arg;
	struct db *db = fake_db(h.w.state);
	const struct fake_batch *b = &db->batch[l->row];
	char text[40];

	if (offset < b->first || offset > b->last)
		l->ok = false;
	for (size_t i = 0; i < l->row; i++)
		if (strcmp(db->batch[i].table, b->table) == 0 && offset >= db->batch[i].first && offset <= db->batch[i].last)
			return;
	for (size_t i = 0; i < REQUESTS; i++) {
		struct sent *s = &h.sent[i];

		snprintf(text, sizeof(text), "%s", s->id);
		if (s->id[0] && str_eqc(id, text) && strcmp(b->table, tables[s->table]) == 0) {
			s->there++;
			l->ok = l->ok && records == s->records;
		}
	}
	/* ours have no name that is known here: told by their offset */
	if (str_starts(id, STR("ours-")))
		for (size_t i = 0; i < REQUESTS; i++)
			if (!h.sent[i].id[0] && h.sent[i].records == records)
				h.sent[i].there++;
}

static const char *load_all(void)
{
	struct db *db = fake_db(h.w.state);
	struct loading l = {.ok = true};

	for (l.row = 0; l.row < db->n_batches; l.row++)
		if (world_entries(&h.w, db->batch[l.row].path, load_entry, &l))
			return "a file that a row names is not there, or not whole";
	if (!l.ok)
		return "a file holds what is not its own";
	for (size_t i = 0; i < REQUESTS; i++) {
		if (h.sent[i].there > 1)
			return "a request is there twice";
		if (h.sent[i].known && !h.sent[i].there)
			return "an acknowledged request is lost";
	}
	return NULL;
}

static void add(uint32_t source_id, struct str table, uint64_t records, uint64_t lines, void *arg)
{
	uint64_t *sums = arg;

	(void)source_id;
	(void)lines;
	for (int i = 0; i < TABLES; i++)
		if (str_eqc(table, tables[i]))
			sums[i] += records;
}

static const char *balance(void)
{
	struct db *db = fake_db(h.w.state);
	struct err e = ERR_INIT;
	uint64_t sums[TABLES] = {0};

	if (queue_tally(h.w.queue, 0, MAX(db->trimmed_to, queue_begin(h.w.queue, 0)), queue_end(h.w.queue, 0), add, sums, &e))
		return "tally";
	for (int i = 0; i < TABLES; i++) {
		struct fake_tally *t = fake_tally(db, 1, str_c(tables[i]));

		if (sums[i] + t->trimmed + t->reread != t->taken + t->repeats)
			return "the counts do not balance";
	}
	return NULL;
}

static const char *settle(void)
{
	struct streamery_stats st;
	struct streamery_count *c;
	size_t n;
	uint64_t start, next;
	const char *why = NULL;

	store_mem_fault(h.w.store, 0);
	fake_fault(h.w.state, 0);
	for (int i = 0; i < REQUESTS; i++)
		if (!h.sent[i].known)
			send(&h.sent[i]);
	world_later(&h.w, 60 * NSEC_PER_SEC);
	/* a rewind may still lie in the mailbox */
	world_step(&h.w);
	world_step(&h.w);
	world_settle(&h.w);
	world_later(&h.w, 11 * NSEC_PER_SEC);
	world_step(&h.w);
	world_step(&h.w);
	streamery_stats(h.w.streamery, &st);
	if (st.open || st.uploads || st.read_offset != queue_end(h.w.queue, 0))
		return "it does not come to rest";
	if (st.open_bytes)
		return "memory is counted that is not used";
	streamery_counts(h.w.streamery, &c, &n, &start, &next);
	for (size_t i = 0; i < n; i++)
		if (c[i].held)
			why = "something is held for ever";
	streamery_counts_free(c, n);
	step(retention_stage(h.retention));
	return why;
}

static const char *history(uint64_t seed)
{
	const char *why;
	unsigned actions, broken = fake_broken_rules;

	memset(&h, 0, sizeof(h));
	h.rng = seed * UINT64_C(0x9e3779b97f4a7c15) + 12345;
	world_open(&h.w, "mem:", "/");
	h.w.config.batch_bytes = 4000;
	h.w.config.batch_age = 5 * NSEC_PER_SEC;
	h.w.config.memory_bytes = 40000;
	h.w.config.uploads = 1 + (unsigned)pick(4);
	world_crash(&h.w);
	start_retention();
	for (unsigned i = 0; i < REQUESTS; i++) {
		struct sent *s = &h.sent[i];

		s->table = (int)pick(TABLES);
		s->records = i + 1; /* tells those without a key apart */
		s->big = pick(3) == 0;
		if (i % 3)
			snprintf(s->id, sizeof(s->id), "key-%u", i);
	}
	actions = 50 + (unsigned)pick(500);
	for (unsigned i = 0; i < actions; i++)
		act();
	why = settle();
	if (!why)
		why = load_all();
	if (!why)
		why = balance();
	if (!why && broken != fake_broken_rules)
		why = "a rule of the model was broken";
	retention_free(h.retention);
	world_close(&h.w);
	return why;
}

int main(int argc, char **argv)
{
	uint64_t first = 1, n = 150, bad = 0;

	if (argc > 2 && (str_to_u64(str_c(argv[1]), &first) || str_to_u64(str_c(argv[2]), &n)))
		return 2;
	plan_lazy();
	if (!getenv("SHOW"))
		log_setup((enum log_level)0, LOG_FMT_TEXT);
	for (uint64_t seed = first; seed < first + n; seed++) {
		const char *why = history(seed);

		if (why) {
			diag("seed %" PRIu64 ": %s", seed, why);
			bad++;
		}
	}
	is_int(0, (int64_t)bad, "of %" PRIu64 " histories none goes wrong", n);
	return done_testing();
}
