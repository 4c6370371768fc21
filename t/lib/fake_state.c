/*
 * fake_state.c - see fake_state.h. Where it sees a rule broken it counts and says so, and goes on.
 */
#include "fake_state.h"

#include "tap.h"
#include "xalloc.h"

struct state {
	struct stage stage;
	struct db db, before;
	struct store *store;
	unsigned faults;
};

unsigned fake_broken_rules;
static struct state *current; /* the db functions know only the db */

static void broken(const char *fmt, ...) PRINTF(1, 2);
static void broken(const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	diag("rule broken: %s", text);
	fake_broken_rules++;
}

static void fixed(char *dst, size_t size, struct str s)
{
	if (str_copy(dst, size, s))
		bail("too long for the double of the state: " STR_FMT, STR_ARG(s));
}

static int64_t step(void *arg, struct now now)
{
	struct state *s = arg;
	struct msg *m = mailbox_take(s->stage.mb, 1, SIZE_MAX);
	struct state_tx *tx;

	(void)now;
	if (!m)
		return NEVER;
	tx = container_of(m, struct state_tx, msg);
	s->before = s->db;
	err_clear(&tx->err);
	if (s->faults & FAKE_FAIL_NEXT) {
		s->faults &= ~(unsigned)FAKE_FAIL_NEXT;
		err_set(&tx->err, ERR_FULL, "the state refuses, as the test asked for");
	} else if (tx->run(&s->db, tx, &tx->err)) {
		s->db = s->before;
		if (!tx->err.code)
			bail("a transaction failed without saying why");
	}
	tx->done(tx);
	return 0;
}

static const struct stage_ops ops = {"state", step};

struct state *fake_state_new(struct store *store)
{
	struct state *s = xcalloc(1, sizeof(*s));

	s->stage.ops = &ops;
	s->stage.self = s;
	s->stage.mb = mailbox_new(4, SIZE_MAX);
	s->store = store;
	current = s;
	return s;
}

struct db *fake_db(struct state *s)
{
	return &s->db;
}

void fake_fault(struct state *s, unsigned flags)
{
	s->faults = flags;
}

void state_crash(struct state *s)
{
	while (mailbox_take(s->stage.mb, 1, SIZE_MAX))
		;
}

void fake_state_free(struct state *s)
{
	state_crash(s);
	mailbox_free(s->stage.mb);
	free(s);
}

struct stage *state_stage(struct state *s)
{
	return &s->stage;
}

bool state_broken(const struct state *s)
{
	(void)s;
	return false;
}

int state_submit(struct state *s, struct state_tx *tx)
{
	return mailbox_put(s->stage.mb, &tx->msg);
}

int state_call(struct state *s, int (*run)(struct db *db, void *arg, struct err *e), void *arg, struct err *e)
{
	s->before = s->db;
	if (run(&s->db, arg, e)) {
		s->db = s->before;
		return -1;
	}
	return 0;
}

struct db *state_reader(struct state *s, struct err *e)
{
	(void)e;
	return &s->db;
}

void state_reader_close(struct db *db)
{
	(void)db;
}

struct fake_tally *fake_tally(struct db *db, int64_t source_id, struct str table)
{
	struct fake_tally *t;

	for (size_t i = 0; i < db->n_tallies; i++)
		if (db->tally[i].source_id == source_id && str_eqc(table, db->tally[i].table))
			return &db->tally[i];
	assert(db->n_tallies < FAKE_TABLES);
	t = &db->tally[db->n_tallies++];
	t->source_id = source_id;
	fixed(t->table, sizeof(t->table), table);
	return t;
}

static struct fake_request *find_request(struct db *db, uint32_t source_id, struct str id, struct str table, uint16_t part)
{
	for (size_t i = 0; i < db->n_requests; i++) {
		struct fake_request *r = &db->request[i];

		if (r->source_id == source_id && r->part == part && str_eqc(id, r->id) && str_eqc(table, r->table))
			return r;
	}
	return NULL;
}

int db_position_save(struct db *db, const struct position *p, struct err *e)
{
	size_t n = 0;

	(void)e;
	if (db->has_position && p->read_from < db->read_from)
		broken("the position falls from %d to %d", (int)db->read_from, (int)p->read_from);
	db->has_position = true;
	memcpy(db->queue_id, p->queue_id, sizeof(db->queue_id));
	db->read_from = p->read_from;
	db->saves++;
	for (size_t i = 0; i < p->n_repeats; i++) {
		const struct repeat_passed *r = &p->repeats[i];
		struct fake_request *q = find_request(db, r->source_id, r->request_id, r->table, r->part);

		fake_tally(db, r->source_id, r->table)->repeats += r->records;
		if (!q)
			broken("the repeat at %d is passed before what it repeats is committed", (int)r->offset);
		else
			q->repeat = MAX(q->repeat, r->offset);
	}
	for (size_t i = 0; i < db->n_cursors; i++)
		if (db->cursor[i].next >= db->read_from)
			db->cursor[n++] = db->cursor[i];
	db->n_cursors = n;
	return 0;
}

static struct fake_cursor *cursor_of(struct db *db, int64_t source_id, struct str table)
{
	for (size_t i = 0; i < db->n_cursors; i++)
		if (db->cursor[i].source_id == source_id && str_eqc(table, db->cursor[i].table))
			return &db->cursor[i];
	return NULL;
}

static void check_cut(struct db *db, const struct cut *c)
{
	struct fake_cursor *cur = cursor_of(db, c->source_id, c->table);
	struct err e = ERR_INIT;
	char path[300];
	uint64_t bytes = 0;

	fixed(path, sizeof(path), c->path);
	if (current->store && (store_stat(current->store, path, &bytes, &e) || bytes != c->bytes))
		broken("the row names %s of %d bytes: %s, %d", path, (int)c->bytes, e.text, (int)bytes);
	if (cur && c->first_offset < cur->next)
		broken("a batch of " STR_FMT " begins at %d, the last one ended before %d", STR_ARG(c->table), (int)c->first_offset, (int)cur->next);
	if (c->first_offset < db->read_from)
		broken("a batch begins at %d, below the position %d", (int)c->first_offset, (int)db->read_from);
	if (c->last_offset < c->first_offset)
		broken("a batch ends before it begins");
}

int db_cut(struct db *db, struct cut *c, struct err *e)
{
	struct fake_batch *b = &db->batch[db->n_batches];
	struct fake_cursor *cur;

	if ((current->faults & FAKE_SICK_TABLE) && str_eqc(c->table, "sick"))
		return err_set(e, ERR_INVALID, "a row that the state refuses, as the test asked for");
	check_cut(db, c);
	assert(db->n_batches < FAKE_BATCHES);
	db->n_batches++;
	*b = (struct fake_batch){.source_id = c->source_id,
		.table_version = c->table_version,
		.first_received = c->first_received,
		.first = c->first_offset,
		.last = c->last_offset,
		.records = c->records,
		.lines = c->lines,
		.bytes = c->bytes,
		.heads = (unsigned)c->n_heads,
		.requests = (unsigned)c->n_requests};
	memcpy(b->sha256, c->sha256, sizeof(b->sha256));
	fixed(b->table, sizeof(b->table), c->table);
	fixed(b->path, sizeof(b->path), c->path);
	fixed(b->reason, sizeof(b->reason), str_c(c->reason));
	for (size_t i = 0; i < c->n_requests; i++) {
		const struct cut_request *q = &c->requests[i];
		struct fake_request *r = find_request(db, (uint32_t)c->source_id, q->request_id, c->table, q->part);

		if (r && r->offset != q->offset)
			broken("request " STR_FMT " is taken at %d and again at %d", STR_ARG(q->request_id), (int)r->offset, (int)q->offset);
		if (r)
			continue;
		assert(db->n_requests < FAKE_REQUESTS);
		r = &db->request[db->n_requests++];
		*r = (struct fake_request){.source_id = (uint32_t)c->source_id, .part = q->part, .offset = q->offset};
		fixed(r->table, sizeof(r->table), c->table);
		fixed(r->id, sizeof(r->id), q->request_id);
	}
	fake_tally(db, c->source_id, c->table)->taken += c->records;
	cur = cursor_of(db, c->source_id, c->table);
	if (!cur) {
		assert(db->n_cursors < FAKE_TABLES);
		cur = &db->cursor[db->n_cursors++];
		*cur = (struct fake_cursor){.source_id = c->source_id};
		fixed(cur->table, sizeof(cur->table), c->table);
	}
	cur->next = c->last_offset + 1;
	snprintf(c->batch_id, sizeof(c->batch_id), "%032d", (int)db->n_batches);
	return db_position_save(db, &c->position, e);
}

int db_positions(struct db *db, struct position **out, size_t *n, struct err *e)
{
	(void)e;
	*n = db->has_position;
	*out = xcalloc(1, sizeof(**out));
	memcpy((*out)->queue_id, db->queue_id, sizeof(db->queue_id));
	(*out)->read_from = db->read_from;
	return 0;
}

int db_cursors(struct db *db, uint32_t partition, struct cursor_row **out, size_t *n, struct err *e)
{
	(void)partition;
	(void)e;
	*n = db->n_cursors;
	*out = xcalloc(db->n_cursors + 1, sizeof(**out));
	for (size_t i = 0; i < db->n_cursors; i++)
		(*out)[i] = (struct cursor_row){.source_id = db->cursor[i].source_id, .table = xstrdup(db->cursor[i].table), .next_offset = db->cursor[i].next};
	return 0;
}

void cursor_list_free(struct cursor_row *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(r[i].table);
	free(r);
}

int db_request_find(struct db *db, uint32_t source_id, struct str request_id, struct str table, uint16_t part, uint32_t *partition, uint64_t *offset, struct err *e)
{
	struct fake_request *r = find_request(db, source_id, request_id, table, part);

	if (current->faults & FAKE_NO_FIND)
		return err_set(e, ERR_IO, "the state cannot be read, as the test asked for");
	if (!r)
		return err_set(e, ERR_NOT_FOUND, "not taken");
	*partition = 0;
	*offset = r->offset;
	return 0;
}

int db_request_expire(struct db *db, int64_t received_before, struct err *e)
{
	(void)e;
	db->expired_before = received_before;
	return 0;
}

int db_rewind(struct db *db, uint32_t partition, uint64_t to, const struct tally_part *reread, size_t n, struct err *e)
{
	size_t kept = 0;

	(void)partition;
	(void)e;
	for (size_t i = 0; i < n; i++)
		fake_tally(db, reread[i].source_id, reread[i].table)->reread += reread[i].records;
	for (size_t i = 0; i < db->n_cursors; i++)
		if (db->cursor[i].next <= to)
			db->cursor[kept++] = db->cursor[i];
	db->n_cursors = kept;
	db->read_from = to;
	db->has_position = true;
	db->rewinds++;
	return 0;
}

int db_trim_record(struct db *db, uint32_t partition, uint64_t tallied_to, const struct tally_part *parts, size_t n, struct err *e)
{
	(void)partition;
	(void)e;
	if (tallied_to > db->read_from)
		broken("the queue is trimmed to %d, behind the position %d", (int)tallied_to, (int)db->read_from);
	for (size_t i = 0; i < n; i++)
		fake_tally(db, parts[i].source_id, parts[i].table)->trimmed += parts[i].records;
	db->trimmed_to = tallied_to;
	return 0;
}

int db_trim_point(struct db *db, uint32_t partition, uint64_t *tallied_to, struct err *e)
{
	(void)partition;
	(void)e;
	*tallied_to = db->trimmed_to;
	return 0;
}

int db_trim_limit(struct db *db, uint32_t partition, uint64_t limit, int64_t loaded_before, uint64_t *safe, struct err *e)
{
	(void)partition;
	(void)e;
	db->loaded_before = loaded_before;
	*safe = MIN(limit, db->safe);
	return 0;
}

int db_batch_expired(struct db *db, int64_t done_before, unsigned limit, struct batch_row **out, size_t *n, struct err *e)
{
	(void)e;
	db->done_before = done_before;
	*out = xcalloc(limit, sizeof(**out));
	*n = 0;
	for (size_t i = 0; i < db->n_batches && *n < limit; i++) {
		struct batch_row *r = &(*out)[*n];

		if (db->batch[i].deleted || db->batch[i].first_received >= done_before)
			continue;
		snprintf(r->id, sizeof(r->id), "%032zu", i + 1);
		r->path = xstrdup(db->batch[i].path);
		r->bytes = db->batch[i].bytes;
		++*n;
	}
	return 0;
}

void batch_list_free(struct batch_row *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(r[i].path);
	free(r);
}

int db_batch_deleted(struct db *db, const char *const *ids, size_t n, int64_t now, struct err *e)
{
	(void)now;
	(void)e;
	for (size_t i = 0; i < n; i++) {
		uint64_t id;

		if (str_to_u64(str_c(ids[i]), &id) || !id || id > db->n_batches)
			bail("no batch %s", ids[i]);
		db->batch[id - 1].deleted = true;
	}
	return 0;
}

int db_batch_named(struct db *db, const char *path, bool *named, struct err *e)
{
	(void)e;
	*named = false;
	for (size_t i = 0; i < db->n_batches; i++)
		*named = *named || (!db->batch[i].deleted && strcmp(db->batch[i].path, path) == 0);
	return 0;
}

int db_prune(struct db *db, const struct prune *p, int64_t now, uint64_t *rows, struct err *e)
{
	(void)p;
	(void)now;
	(void)e;
	*rows = db->prunes++ == 0;
	return 0;
}

int db_event_add(struct db *db, const struct event_row *in, struct err *e)
{
	(void)e;
	db->events++;
	snprintf(db->last_event, sizeof(db->last_event), "%s %s: %s", in->kind, in->object, in->text);
	return 0;
}
