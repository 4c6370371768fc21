/*
 * retention.c - the stage that deletes. Each round: finish a trim that was cut short, trim the queue, delete batch files, prune rows, and at the
 * start and once a day sweep the store for files that no row names. What may go, and since when, is decided by decide.c and by the state.
 *
 * The order is always: state.db first, then the thing itself. A crash in between leaves a file without a row (the next run's sweeper takes it) or a
 * queue that holds more than the state says (the next round trims it): never a row without its file, never an accepted record that the
 * ledger forgot. The transaction that records a trim looks at the position once more, because a rewind may have moved it meanwhile.
 */
#include "daemon/retention/retention.h"

#include "daemon/core/crashpoint.h"
#include "daemon/core/metrics.h"
#include "daemon/retention/decide.h"
#include "file.h"
#include "log.h"
#include "xalloc.h"

#define PAGE 100
#define PRUNE_PAGES 100
#define SWEEP_EVERY (24 * 3600 * NSEC_PER_SEC)
#define SIZE_EVERY (600 * NSEC_PER_SEC)
#define UNDELETED_MAX 10000

struct names {
	char **list;
	size_t n;
};

struct retention {
	struct stage stage;
	struct retention_config config;
	char *state_dir, run_id[9];
	struct queue *queue;
	struct store *store;
	struct state *state;
	struct db *db; /* opened by the first step, in its thread */
	struct now now;
	int64_t next, sweep_at, size_at; /* mono */
	bool pressure;
	uint64_t store_bytes; /* as last listed, less what was deleted since */
	struct names undeleted; /* rows are marked, the store did not delete them yet */
};

static void names_add(struct names *l, const char *name)
{
	if (l->n % 64 == 0)
		l->list = xreallocarray(l->list, l->n + 64, sizeof(char *));
	l->list[l->n++] = xstrdup(name);
}

static void names_free(struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->list[i]);
	free(l->list);
	*l = (struct names){NULL, 0};
}

/* --- the disk --- */

struct note {
	struct event_row row;
};

static int add_event(struct db *db, void *arg, struct err *e)
{
	return db_event_add(db, &((struct note *)arg)->row, e);
}

static void tell(struct retention *r, const char *level, const char *kind, const char *text)
{
	struct note n = {.row = {.at = r->now.real}};
	struct err e = ERR_INIT;

	n.row.level = (char *)(uintptr_t)level;
	n.row.kind = (char *)(uintptr_t)kind;
	n.row.object = (char *)(uintptr_t)"disk";
	n.row.text = (char *)(uintptr_t)text;
	log_info("%s", text);
	if (state_call(r->state, add_event, &n, &e))
		log_warn("event \"%s\": %s", kind, e.text);
}

static void look_at_disk(struct retention *r)
{
	struct pressure_input in = {.pressure_bytes = r->config.pressure_bytes, .was = r->pressure};
	uint64_t total;
	struct err e = ERR_INIT;
	char text[200];

	if (file_disk_free(r->state_dir, &in.disk_free, &total, &e)) {
		log_warn("%s", e.text);
		return;
	}
	metric_set(disk_free_bytes, (int64_t)in.disk_free);
	r->pressure = decide_pressure(&in);
	if (r->pressure == in.was)
		return;
	snprintf(text, sizeof(text), r->pressure ? "the disk has %" PRIu64 " MiB left: what all destinations have is deleted early" : "the disk has %" PRIu64 " MiB again", in.disk_free >> 20);
	tell(r, r->pressure ? "warn" : "info", r->pressure ? "disk-short" : "disk-ok", text);
}

/* --- the queue --- */

struct trim {
	struct retention *r;
	uint32_t partition;
	uint64_t to;
	struct tally_part *parts;
	size_t n;
};

static void add_part(uint32_t source_id, struct str table, uint64_t records, uint64_t lines, void *arg)
{
	struct trim *t = arg;

	(void)lines;
	t->parts = xreallocarray(t->parts, t->n + 1, sizeof(*t->parts));
	t->parts[t->n++] = (struct tally_part){.source_id = source_id, .table = str_mem(str_dup(table), table.len), .records = records};
}

/* The saved position of the partition; 0 when there is none. */
static int position_of(struct retention *r, struct db *db, uint32_t partition, uint64_t *read_from, struct err *e)
{
	struct position *p = NULL;
	size_t n;

	*read_from = 0;
	if (db_positions(db, &p, &n, e))
		return -1;
	for (size_t i = 0; i < n; i++)
		if (p[i].partition == partition && memcmp(p[i].queue_id, queue_id(r->queue), QUEUE_ID_LEN) == 0)
			*read_from = p[i].read_from;
	free(p);
	return 0;
}

static int record_trim(struct db *db, void *arg, struct err *e)
{
	struct trim *t = arg;
	uint64_t read_from;

	if (position_of(t->r, db, t->partition, &read_from, e))
		return -1;
	if (read_from < t->to)
		return err_set(e, ERR_STATE, "the position is %" PRIu64 " now: nothing behind it is trimmed", read_from);
	return db_trim_record(db, t->partition, t->to, t->parts, t->n, e);
}

static int trim_point(struct retention *r, uint32_t partition, uint64_t *point, struct err *e)
{
	struct err why = ERR_INIT;

	*point = 0;
	if (!db_trim_point(r->db, partition, point, &why) || why.code == ERR_NOT_FOUND)
		return 0;
	*e = why;
	return -1;
}

static int trim_to(struct retention *r, uint32_t partition, uint64_t from, uint64_t to, struct err *e)
{
	struct trim t = {.r = r, .partition = partition, .to = to};
	int rc;

	rc = queue_tally(r->queue, partition, from, to, add_part, &t, e);
	if (!rc)
		rc = state_call(r->state, record_trim, &t, e);
	if (!rc) {
		CRASHPOINT("trim-recorded");
		rc = queue_trim(r->queue, partition, to, e);
	}
	for (size_t i = 0; i < t.n; i++)
		free((char *)(uintptr_t)t.parts[i].table.ptr);
	free(t.parts);
	return rc;
}

static int trim_partition(struct retention *r, uint32_t partition, struct err *e)
{
	struct trim_input in = {.now = r->now.real, .keep = r->config.queue_keep, .keep_bytes = r->config.queue_keep_bytes, .pressure = r->pressure};
	uint64_t recorded, read_from, safe = 0, end, to, begin = queue_begin(r->queue, partition);
	int64_t newest;

	if (trim_point(r, partition, &recorded, e))
		return -1;
	if (recorded > begin) {
		/* recorded and then cut short, or the queue could not: it is counted already */
		if (queue_trim(r->queue, partition, recorded, e))
			return -1;
		begin = queue_begin(r->queue, partition);
	}
	if (position_of(r, r->db, partition, &read_from, e))
		return -1;
	queue_oldest_segment(r->queue, partition, &newest, &end, &in.bytes);
	if (queue_trim_point(r->queue, partition, read_from) <= begin)
		return 0;
	if (db_trim_limit(r->db, partition, read_from, decide_trim_before(&in), &safe, e))
		return -1;
	to = queue_trim_point(r->queue, partition, MIN(safe, read_from));
	if (to <= MAX(begin, recorded))
		return 0;
	return trim_to(r, partition, MAX(begin, recorded), to, e);
}

static void trim_queue(struct retention *r)
{
	for (uint32_t p = 0; p < queue_partitions(r->queue); p++) {
		struct err e = ERR_INIT;

		if (trim_partition(r, p, &e))
			log_warn("trimming of partition %" PRIu32 ": %s", p, e.text);
	}
}

/* --- batch files --- */

static void delete_file(struct retention *r, const char *name)
{
	struct err e = ERR_INIT;

	if (!store_delete(r->store, name, &e))
		return;
	metric_add(store_errors_total, 1);
	log_warn("batch file %s is not deleted yet: %s", name, e.text);
	if (r->undeleted.n < UNDELETED_MAX)
		names_add(&r->undeleted, name);
}

static void delete_again(struct retention *r)
{
	struct names old = r->undeleted;

	r->undeleted = (struct names){NULL, 0};
	for (size_t i = 0; i < old.n; i++)
		delete_file(r, old.list[i]);
	names_free(&old);
}

struct marking {
	const char *ids[PAGE];
	size_t n;
	int64_t now;
};

static int mark_deleted(struct db *db, void *arg, struct err *e)
{
	struct marking *m = arg;

	return db_batch_deleted(db, m->ids, m->n, m->now, e);
}

static int delete_rows(struct retention *r, const struct batch_row *rows, size_t n, uint64_t bytes_to_free, struct err *e)
{
	struct marking m = {.now = r->now.real};
	uint64_t sizes[PAGE];

	for (size_t i = 0; i < n; i++) {
		m.ids[i] = rows[i].id;
		sizes[i] = rows[i].bytes;
	}
	m.n = decide_batch_count(sizes, n, bytes_to_free);
	if (!m.n)
		return 0;
	if (state_call(r->state, mark_deleted, &m, e))
		return -1;
	CRASHPOINT("retention-rows");
	for (size_t i = 0; i < m.n; i++) {
		delete_file(r, rows[i].path);
		r->store_bytes -= MIN(rows[i].bytes, r->store_bytes);
	}
	return 0;
}

/* true: there may be more. */
static bool delete_batches(struct retention *r)
{
	struct batch_input in = {.now = r->now.real,
		.keep = r->config.batch_keep,
		.bytes = r->store_bytes,
		.keep_bytes = r->config.batch_keep_bytes,
		.pressure = r->pressure};
	uint64_t to_free;
	int64_t before = decide_batches_before(&in, &to_free);
	struct batch_row *rows = NULL;
	struct err e = ERR_INIT;
	size_t n = 0;
	bool failed;

	failed = db_batch_expired(r->db, before, PAGE, &rows, &n, &e) || delete_rows(r, rows, MIN(n, PAGE), to_free, &e);
	if (failed)
		log_warn("deleting batch files: %s", e.text);
	batch_list_free(rows, n);
	return !failed && n == PAGE;
}

/* --- files without a row --- */

struct sweep {
	struct retention *r;
	struct names garbage;
	uint64_t bytes;
	bool look; /* else only the size is wanted */
	struct err err;
};

static void sweep_one(const char *name, uint64_t bytes, void *arg)
{
	struct sweep *s = arg;
	bool row = true;

	s->bytes += bytes;
	/* most are of this run or have a row: the name is asked first, the state only then */
	if (!s->look || s->err.code || s->garbage.n >= UNDELETED_MAX || !decide_sweep(name, s->r->run_id, false))
		return;
	if (db_batch_named(s->r->db, name, &row, &s->err))
		return;
	if (decide_sweep(name, s->r->run_id, row))
		names_add(&s->garbage, name);
}

static void sweep(struct retention *r)
{
	struct sweep s = {.r = r, .look = r->now.mono >= r->sweep_at};
	struct err e = ERR_INIT;

	if (!s.look && (!r->config.batch_keep_bytes || r->now.mono < r->size_at))
		return;
	r->size_at = r->now.mono + SIZE_EVERY;
	if (store_list(r->store, "", sweep_one, &s, &e) || s.err.code) {
		log_warn("looking through the store: %s", s.err.code ? s.err.text : e.text);
		r->sweep_at = MAX(r->sweep_at, r->size_at);
	} else {
		r->store_bytes = s.bytes;
		if (s.look && s.garbage.n < UNDELETED_MAX)
			r->sweep_at = r->now.mono + SWEEP_EVERY;
	}
	if (s.garbage.n)
		log_info("%zu files in the store have no row: they are from a run that died, and are deleted", s.garbage.n);
	for (size_t i = 0; i < s.garbage.n; i++)
		delete_file(r, s.garbage.list[i]);
	names_free(&s.garbage);
}

/* --- rows --- */

struct pruning {
	struct prune p;
	int64_t now;
	uint64_t rows;
};

static int prune_page(struct db *db, void *arg, struct err *e)
{
	struct pruning *p = arg;

	return db_prune(db, &p->p, p->now, &p->rows, e);
}

static void prune(struct retention *r)
{
	const struct retention_config *c = &r->config;
	struct pruning p = {.p = {.events_before = r->now.real - c->event_keep,
				    .audit_before = r->now.real - c->audit_keep,
				    .jobs_before = r->now.real - c->job_keep,
				    .rejects_before = decide_rejects_before(r->now.real, c->reject_keep),
				    .events_max = c->events_max,
				    .audit_max = c->audit_max,
				    .rejects_max = c->rejects_max},
		.now = r->now.real};
	struct err e = ERR_INIT;

	for (int i = 0; i < PRUNE_PAGES; i++) {
		p.rows = 0;
		if (state_call(r->state, prune_page, &p, &e)) {
			log_warn("removing old rows: %s", e.text);
			return;
		}
		if (!p.rows)
			return;
	}
}

/* --- the stage --- */

static bool open_reader(struct retention *r)
{
	struct err e = ERR_INIT;

	if (!r->db)
		r->db = state_reader(r->state, &e);
	if (!r->db)
		log_warn("retention: %s", e.text);
	return r->db != NULL;
}

static int64_t step(void *arg, struct now now)
{
	struct retention *r = arg;

	if (now.mono < r->next)
		return r->next;
	r->now = now;
	r->next = now.mono + r->config.interval;
	if (state_broken(r->state) || !open_reader(r))
		return r->next;
	look_at_disk(r);
	trim_queue(r);
	delete_again(r);
	sweep(r);
	if (delete_batches(r))
		r->next = now.mono;
	prune(r);
	return r->next;
}

static const struct stage_ops ops = {"retention", step};

struct retention *retention_new(const struct retention_config *c, struct queue *q, struct store *store, struct state *state, struct err *e)
{
	struct retention *r;

	if (!c->run_id || strlen(c->run_id) != 8) {
		err_set(e, ERR_INTERNAL, "retention: the run's id has 8 digits");
		return NULL;
	}
	r = xcalloc(1, sizeof(*r));
	r->config = *c;
	r->state_dir = xstrdup(c->state_dir);
	memcpy(r->run_id, c->run_id, sizeof(r->run_id));
	r->config.state_dir = NULL;
	r->config.run_id = NULL;
	r->queue = q;
	r->store = store;
	r->state = state;
	r->stage.ops = &ops;
	r->stage.self = r;
	r->stage.mb = mailbox_new(1, 1);
	return r;
}

struct stage *retention_stage(struct retention *r)
{
	return &r->stage;
}

void retention_free(struct retention *r)
{
	if (!r)
		return;
	if (r->db)
		state_reader_close(r->db);
	names_free(&r->undeleted);
	mailbox_free(r->stage.mb);
	free(r->state_dir);
	free(r);
}
