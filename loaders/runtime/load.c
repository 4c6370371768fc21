/*
 * load.c - one load from its job to its answer. All that must hold whatever the destination is here: a batch with a ledger row is only acknowledged; a
 * record of an append-only table whose queue offset lies in another batch's range is skipped; a record below the active table version is skipped; rejected
 * records are in the daemon's store before COMMIT; rows + rejected = records for each batch.
 *
 * Some things are known only when the records have been read: that one has time_extracted, or that the destination refuses one. Then the run is rolled
 * back and done again with that knowledge. Records are numbered over all batches of the job, so that a number means the same record in each run.
 */
#include "loaders/runtime/load.h"

#include "loaders/runtime/dry.h"
#include "loaders/runtime/plan.h"
#include "loaders/runtime/rejects.h"

#include "timefmt.h"
#include "xalloc.h"

#define RUNS_MAX 1000
#define TICK_EVERY 16 /* records */
#define CHILD_TICK 1000

struct batch_state {
	bool already, was_discarded;
	struct ledger_row row;
	uint64_t first_ordinal;
	struct ranges ranges;
};

struct load {
	struct loader *l;
	struct job *j;
	struct layouts los;
	struct table_desc *descs; /* one a layout */
	size_t n_descs;
	struct rows *rows;
	/* a look at the records before a table is made or gets columns: which columns have a value. full: the layouts with all columns; full_rows also judges
	 * what is rejected later on, so that reasons are the same. */
	bool wants_look, looking, any_row;
	struct layouts full;
	struct rows *full_rows; /* NULL: not looked yet */
	bool **used;		/* of each table of full: its columns */
	size_t unused;		/* columns without a value so far */
	struct rejects rejects;
	struct dry dry;
	bool puts; /* rows go to the destination */
	struct batch_state *batches;
	bool with_extracted, again, child_refused;
	bool in_transaction;
	bool skip; /* records of the present entry are in the table already, or below its version: they count as loaded */
	int64_t active, activate; /* versions */
	size_t bad;
};

/* --- the table --- */

static void forget_tables(struct load *ld)
{
	for (size_t k = 0; k < ld->n_descs; k++)
		table_desc_free(&ld->descs[k]);
	free(ld->descs);
	ld->descs = NULL;
	ld->n_descs = 0;
	layouts_free(&ld->los);
}

static int describe(struct load *ld, size_t at, struct err *e)
{
	table_desc_free(&ld->descs[at]);
	if (ld->dry.nothing)
		return 0;
	return ld->l->ops->describe(ld->l->self, ld->j, ld->los.t[at].table, &ld->descs[at], e);
}

static bool has_records(const struct job *j)
{
	for (size_t k = 0; k < j->n_batches; k++)
		if (j->batches[k].records)
			return true;
	return false;
}

static bool files(const struct load *ld)
{
	return ld->l->ops->dialect(ld->l->self)->files;
}

/* Is a record that comes twice there twice? Then ranges say which one has come before. */
static bool adds(const struct load *ld)
{
	return !ld->j->n_keys || files(ld) || ld->l->ops->dialect(ld->l->self)->append;
}

static bool is_known(const struct load *ld, const struct dialect *d, const char *table)
{
	for (size_t k = 0; k < ld->los.n; k++)
		if (d->case_matters ? strcmp(ld->los.t[k].table, table) == 0 : str_ieq(str_c(ld->los.t[k].table), str_c(table)))
			return true;
	return false;
}

/* Subtables that are there and not in the job: stale rows go from them, too. */
static int find_bare(struct load *ld, const struct dialect *d, struct err *e)
{
	struct names names = {.n = 0};
	int rc = 0;

	if (d->nesting == NEST_FLATTEN && ld->l->ops->subtables && !ld->dry.nothing)
		rc = ld->l->ops->subtables(ld->l->self, ld->j, ld->los.t[0].table, &names, e);
	for (size_t k = 0; k < names.n; k++) {
		if (!rc && !is_known(ld, d, names.s[k]))
			layouts_add_bare(&ld->los, d, names.s[k]);
		free(names.s[k]);
	}
	free(names.s);
	return rc;
}

static int make_layouts(struct load *ld, struct err *e)
{
	const struct dialect *d = ld->l->ops->dialect(ld->l->self);

	forget_tables(ld);
	if (layouts_make(ld->j, d, ld->with_extracted, &ld->los, e))
		return -1;
	if (ld->full_rows)
		layouts_keep(&ld->los, ld->used, !ld->any_row);
	/* a version that is activated alone names no keys, so the table's are not compared with them */
	if (!has_records(ld->j)) {
		ld->los.t[0].has_table = false;
		for (size_t k = 1; k < ld->los.n; k++)
			ld->los.t[k].bare = true;
	}
	if (find_bare(ld, d, e))
		return -1;
	ld->n_descs = ld->los.n;
	ld->descs = xcalloc(ld->n_descs, sizeof(*ld->descs));
	return 0;
}

/* Bring a table to its layout. *changed: something was done, so it must be described again. */
static int change_table(struct load *ld, size_t at, bool *changed, struct err *e)
{
	const struct loader_ops *ops = ld->l->ops;
	struct layout *lo = &ld->los.t[at];
	struct plan p;
	int rc = 0;

	*changed = false;
	if (describe(ld, at, e) || plan_make(ld->j, ops->dialect(ld->l->self), lo, &ld->descs[at], &p, e))
		return -1;
	for (size_t k = 0; k < p.n && !ld->full_rows; k++)
		if (p.steps[k].kind == STEP_CREATE || p.steps[k].kind == STEP_ADD) {
			plan_free(&p);
			ld->wants_look = ld->again = true;
			return err_set(e, ERR_STATE, "which columns have values is not known yet");
		}
	for (size_t k = 0; k < p.n && ld->dry.on; k++)
		dry_step(&ld->dry, ld->l, ld->j, lo, &p.steps[k]);
	for (size_t k = 0; k < p.n && !rc && !ld->dry.on; k++) {
		loader_tick(ld->l, "changing the table");
		rc = ops->change(ld->l->self, ld->j, lo, &p.steps[k], e);
		*changed = true;
	}
	plan_free(&p);
	return rc;
}

static int table_ready(struct load *ld, size_t at, struct err *e)
{
	const struct layout *lo = &ld->los.t[at];
	bool changed;
	int rc = change_table(ld, at, &changed, e);

	/* another loader may have been at it: look again, once */
	if (rc && changed)
		rc = change_table(ld, at, &changed, e);
	if (!rc && changed)
		rc = describe(ld, at, e);
	if (!rc && lo->has_table && !lo->bare && !ld->dry.on && !ld->descs[at].exists)
		return err_set(e, ERR_TRANSIENT, "the table %s was dropped at this moment", lo->table);
	return rc;
}

static int tables_ready(struct load *ld, struct err *e)
{
	int rc = ld->l->ops->prepare(ld->l->self, ld->j, e);

	if (rc < 0)
		return -1;
	ld->dry.nothing = rc > 0;
	if (make_layouts(ld, e))
		return -1;
	for (size_t k = 0; k < ld->los.n; k++)
		if (!files(ld) && table_ready(ld, k, e))
			return -1;
	ld->puts = ld->los.t[0].has_table;
	/* a dry run puts rows only to learn what becomes of them */
	if (ld->dry.on && (files(ld) || !ld->l->ops->tally || json_array_size(ld->dry.ddl)))
		ld->puts = false;
	return 0;
}

/* --- the ledger --- */

static int read_ledger(struct load *ld, size_t *todo, struct err *e)
{
	const struct loader_ops *ops = ld->l->ops;
	uint64_t ordinal = 0;
	int rc;

	*todo = 0;
	for (size_t k = 0; k < ld->j->n_batches; k++) {
		struct batch_state *b = &ld->batches[k];

		b->ranges.n = 0;
		b->first_ordinal = ordinal;
		ordinal += ld->j->batches[k].records;
		rc = ld->dry.nothing ? 0 : ops->ledger_get(ld->l->self, ld->j, &ld->j->batches[k], &b->row, e);
		if (rc < 0)
			return -1;
		b->was_discarded = rc && b->row.discarded;
		b->already = rc && !b->row.discarded;
		if (b->already)
			continue;
		b->row = (struct ledger_row){.attempt = ld->j->attempt};
		(*todo)++;
		if (adds(ld) && !ld->dry.nothing && !ld->j->batches[k].replay && ops->ledger_ranges(ld->l->self, ld->j, &ld->j->batches[k], &b->ranges, e))
			return -1;
	}
	return 0;
}

/* Is this record in the table by another batch? */
static bool in_range(const struct load *ld, size_t at, uint64_t offset)
{
	const struct batch_state *b = &ld->batches[at];
	const struct job_batch *jb = &ld->j->batches[at];

	if (jb->replay)
		return false;
	for (size_t k = 0; k < b->ranges.n; k++)
		if (offset >= b->ranges.r[k].first && offset <= b->ranges.r[k].last)
			return true;
	/* or by one that comes before it in this very load */
	for (size_t k = 0; k < at && adds(ld); k++) {
		const struct job_batch *o = &ld->j->batches[k];

		if (!o->replay && o->partition == jb->partition && offset >= o->first && offset <= o->last && memcmp(o->queue_id, jb->queue_id, sizeof(o->queue_id)) == 0)
			return true;
	}
	return false;
}

/* --- records --- */

/* Where ordinal is among the refused, or would be. */
static size_t refused_at(const struct loader *l, uint64_t ordinal)
{
	size_t low = 0, high = l->n_refused;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (l->refused[middle].ordinal < ordinal)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void loader_refuse(struct loader *l, uint64_t ordinal, const char *column, const char *reason)
{
	size_t at = refused_at(l, ordinal);

	if (at < l->n_refused && l->refused[at].ordinal == ordinal)
		return;
	if (l->n_refused == l->cap_refused) {
		l->cap_refused = l->cap_refused ? l->cap_refused * 2 : 16;
		l->refused = xreallocarray(l->refused, l->cap_refused, sizeof(*l->refused));
	}
	memmove(&l->refused[at + 1], &l->refused[at], (l->n_refused - at) * sizeof(*l->refused));
	l->refused[at] = (struct refused){.ordinal = ordinal, .column = column ? xstrdup(column) : NULL, .reason = xstrdup(reason)};
	l->n_refused++;
}

void loader_again(struct loader *l)
{
	l->again = true;
}

static const struct refused *refused_before(const struct loader *l, uint64_t ordinal)
{
	size_t at = refused_at(l, ordinal);

	return at < l->n_refused && l->refused[at].ordinal == ordinal ? &l->refused[at] : NULL;
}

/* A cell as its record had it; text needs room for what is no slice of the record. */
static struct str cell_text(const struct cell *c, char text[TIMEFMT_MAX])
{
	switch (c->kind) {
	case CELL_NULL:
		return STR("null");
	case CELL_INT:
		return str_mem(text, (size_t)snprintf(text, TIMEFMT_MAX, "%" PRId64, c->i));
	case CELL_BOOL:
		return c->i ? STR("true") : STR("false");
	case CELL_TIME:
		return str_mem(text, timefmt_sql(c->i, text));
	case CELL_NUMBER:
	case CELL_TEXT:
	case CELL_JSON:
		break;
	}
	return c->s;
}

static int reject(struct load *ld, size_t at, uint64_t record, struct refusal *why, struct str line, struct err *e)
{
	struct batch_state *b = &ld->batches[at];
	int rc = rejects_add(&ld->rejects, ld->l, ld->j, at, record, b->first_ordinal + record, why, line, e);

	b->row.rejected++;
	buf_free(&why->reason);
	return rc;
}

struct child_ctx { struct load *ld; bool refused; uint64_t rows; };

static int put_child(void *arg, const struct row *row, struct err *e)
{
	struct child_ctx *c = arg;
	struct loader *l = c->ld->l;
	size_t known = l->n_refused;

	/* one record may have a million of them */
	if (++c->rows % CHILD_TICK == 0)
		loader_tick(l, "loading");
	if (l->ops->put(l->self, row, e) == 0)
		return 0;
	c->refused = e->code == ERR_DATA && l->n_refused == known && !l->again;
	return -1;
}

/* A child row that is refused takes its record with it. The record's own row is there already: the load is run again without it, when all such are known. */
static int put_children(struct load *ld, const struct row *row, struct err *e)
{
	struct child_ctx c = {.ld = ld};

	if (rows_children(ld->rows, row, put_child, &c, e) == 0)
		return 0;
	if (!c.refused)
		return -1;
	loader_refuse(ld->l, row->ordinal, ld->l->blamed, e->text);
	err_clear(e);
	ld->child_refused = true;
	return 0;
}

void loader_blame(struct loader *l, const char *column)
{
	l->blamed = column;
}

/* Which column, and its value; text needs room for what is no slice of the record. */
static void blame(const struct load *ld, const char *column, const struct row *row, struct refusal *why, char text[TIMEFMT_MAX])
{
	const struct layout *lo = &ld->los.t[0];

	if (column)
		why->field = str_c(column);
	for (size_t k = 0; column && k < lo->n; k++)
		if (strcmp(lo->columns[k].name, column) == 0)
			why->value = cell_text(&row->cells[k], text);
}

static int put(struct load *ld, size_t at, uint64_t record, const struct row *row, struct str line, struct err *e)
{
	size_t known = ld->l->n_refused;
	struct refusal why = {.reason = BUF_INIT};
	char text[TIMEFMT_MAX];

	if (!ld->puts)
		return 0;
	ld->l->blamed = NULL;
	if (ld->l->ops->put(ld->l->self, row, e) == 0)
		return put_children(ld, row, e);
	if (e->code != ERR_DATA || ld->l->n_refused != known || ld->l->again)
		return -1;
	blame(ld, ld->l->blamed, row, &why, text);
	buf_adds(&why.reason, e->text);
	err_clear(e);
	return reject(ld, at, record, &why, line, e);
}

/* The destination has refused this row in an earlier run: its reason, and the value where it is known which. */
static int reject_refused(struct load *ld, size_t at, uint64_t record, const struct refused *r, const struct row *row, struct str line, struct err *e)
{
	struct refusal why = {.reason = BUF_INIT};
	char text[TIMEFMT_MAX];

	buf_adds(&why.reason, r->reason);
	blame(ld, r->column, row, &why, text);
	return reject(ld, at, record, &why, line, e);
}

static void forget_look(struct load *ld)
{
	rows_free(ld->full_rows);
	for (size_t k = 0; k < ld->full.n && ld->used; k++)
		free(ld->used[k]);
	free(ld->used);
	layouts_free(&ld->full);
	ld->full_rows = NULL;
	ld->used = NULL;
	ld->any_row = false;
}

static int want_extracted(struct load *ld, struct err *e)
{
	ld->with_extracted = true;
	ld->again = true;
	if (!ld->looking)
		forget_look(ld); /* it is of other layouts */
	return err_set(e, ERR_STATE, "the table needs _sdc_extracted_at");
}

/* A column that was left out is no reason: the one that the record would have had with it is. */
static void judge_again(struct load *ld, const struct frame_record *rec, const struct place *place, struct refusal *why, struct err *e)
{
	struct refusal full = {.reason = BUF_INIT};
	struct row row = {.ordinal = 0};

	if (ld->full_rows && rows_make(ld->full_rows, rec, place, &row, &full, e) == ROWS_REFUSED) {
		buf_free(&why->reason);
		*why = full;
		return;
	}
	buf_free(&full.reason);
}

static int use_row(void *arg, const struct row *row, struct err *e)
{
	struct load *ld = arg;
	const struct layout *lo = &ld->full.t[row->table];

	(void)e;
	for (size_t k = 0; k < lo->n; k++)
		if (row->cells[k].kind != CELL_NULL && !ld->used[row->table][k]) {
			ld->used[row->table][k] = true;
			ld->unused -= !lo->columns[k].sdc;
		}
	ld->any_row = true;
	return 0;
}

static int look_at(struct load *ld, const struct frame_record *rec, const struct place *place, struct err *e)
{
	struct refusal why = {.reason = BUF_INIT};
	struct row row = {.ordinal = 0};
	int rc = 0;

	switch (rows_make(ld->full_rows, rec, place, &row, &why, e)) {
	case ROWS_ROW:
		rc = use_row(ld, &row, e) || rows_children(ld->full_rows, &row, use_row, ld, e) ? -1 : 0;
		break;
	case ROWS_NOTHING:
	case ROWS_REFUSED:
		break;
	case ROWS_WANT_EXTRACTED:
		rc = want_extracted(ld, e);
		break;
	case ROWS_ERROR:
		rc = -1;
		break;
	}
	buf_free(&why.reason);
	return rc;
}

static int one_record(struct load *ld, size_t at, uint64_t record, const struct frame_record *rec, const struct place *place, struct str line, struct err *e)
{
	struct batch_state *b = &ld->batches[at];
	struct refusal why = {.reason = BUF_INIT};
	struct row row = {.ordinal = b->first_ordinal + record};
	const struct refused *refused;

	if (ld->looking)
		return look_at(ld, rec, place, e);
	if (ld->skip) {
		ld->dry.passed++;
		return 0;
	}
	switch (rows_make(ld->rows, rec, place, &row, &why, e)) {
	case ROWS_ROW:
		refused = refused_before(ld->l, row.ordinal);
		return refused ? reject_refused(ld, at, record, refused, &row, line, e) : put(ld, at, record, &row, line, e);
	case ROWS_NOTHING:
		return 0;
	case ROWS_REFUSED:
		judge_again(ld, rec, place, &why, e);
		return reject(ld, at, record, &why, line, e);
	case ROWS_WANT_EXTRACTED:
		return want_extracted(ld, e);
	case ROWS_ERROR:
		break;
	}
	return -1;
}

struct counts { uint64_t records, lines; };

static int one_line(struct load *ld, size_t at, struct str line, struct place *place, struct counts *n, struct err *e)
{
	struct frame_record rec;

	if (frame_record_parse(line, &rec, e)) {
		e->code = ERR_CORRUPT;
		return -1;
	}
	n->lines++;
	ld->l->bytes += line.len;
	if (n->lines % TICK_EVERY == 0)
		loader_tick(ld->l, "loading");
	if (rec.activate) {
		/* a version of 0 activates nothing */
		ld->activate = MAX(ld->activate, place->batch->table_version);
		return 0;
	}
	ld->l->rows++;
	return one_record(ld, at, n->records++, &rec, place, line, e);
}

static int check_entry(const struct job_batch *b, const struct frame_entry *entry, struct err *e)
{
	if (entry->offset < b->first || entry->offset > b->last)
		return err_set(e, ERR_CORRUPT, "the file holds queue offset %" PRIu64 " and the job says %" PRIu64 " to %" PRIu64, entry->offset, b->first, b->last);
	return 0;
}

static int check_counts(const struct job_batch *b, const struct counts *n, struct err *e)
{
	if (n->records != b->records || n->lines != b->lines)
		return err_set(e, ERR_CORRUPT, "the file holds %" PRIu64 " records in %" PRIu64 " lines and the job says %" PRIu64 " in %" PRIu64, n->records, n->lines,
			b->records, b->lines);
	return 0;
}

/* Nothing more can be learned: every column has a value. */
static bool looked(const struct load *ld)
{
	return ld->looking && !ld->unused;
}

static int one_batch(struct load *ld, size_t at, struct err *e)
{
	const struct job_batch *b = &ld->j->batches[at];
	struct frame_reader *r = frame_reader_new(b->fd, b->sha256, e);
	const struct frame_entry *entry = NULL;
	struct place place = {.batch = b};
	struct counts n = {.records = 0};
	enum frame_item item = FRAME_ERROR;
	struct str line;
	int rc = r ? 0 : -1;

	while (!rc && !looked(ld) && (item = frame_next(r, &line, &entry, &place.index, e)) != FRAME_EOF) {
		if (item == FRAME_ERROR) {
			rc = -1;
		} else if (item == FRAME_HEAD) {
			place.offset = entry->offset;
			place.received_at = entry->received_at;
			ld->skip = b->table_version < ld->active || in_range(ld, at, entry->offset);
			rc = check_entry(b, entry, e) || (ld->rows && rows_head(ld->rows, b, line, e)) || (ld->full_rows && rows_head(ld->full_rows, b, line, e)) ? -1 : 0;
		} else {
			rc = one_line(ld, at, line, &place, &n, e);
		}
	}
	if (!rc && !looked(ld))
		rc = check_counts(b, &n, e);
	ld->batches[at].row.rows = n.records - ld->batches[at].row.rejected;
	if (rc)
		ld->bad = at;
	frame_reader_free(r);
	return rc;
}

/* --- a look at the records --- */

/*
 * A column, or a table, that has no value in any record that is taken is not made: one record that is rejected, with two thousand new fields, would otherwise leave
 * a table that can have no more. Most looks end after a few records, when every column has a value.
 */
static int look(struct load *ld, struct err *e)
{
	const struct dialect *d = ld->l->ops->dialect(ld->l->self);
	int rc = 0;

	if (layouts_make(ld->j, d, ld->with_extracted, &ld->full, e))
		return -1;
	ld->full_rows = rows_new(ld->j, &ld->full, d);
	ld->used = xcalloc(ld->full.n, sizeof(*ld->used));
	ld->unused = 0;
	ld->looking = true;
	for (size_t k = 0; k < ld->full.n; k++) {
		ld->used[k] = xcalloc(ld->full.t[k].n, sizeof(**ld->used));
		ld->unused += ld->full.t[k].n_user;
	}
	for (size_t k = 0; k < ld->j->n_batches && !rc; k++)
		rc = one_batch(ld, k, e);
	ld->looking = false;
	if (rc)
		forget_look(ld);
	return rc;
}

/* --- one run --- */

static int read_batches(struct load *ld, struct err *e)
{
	const struct loader_ops *ops = ld->l->ops;
	size_t known = ld->l->n_refused;
	int rc = 0;

	ld->rows = rows_new(ld->j, &ld->los, ops->dialect(ld->l->self));
	if (ld->puts)
		rc = ops->rows_begin(ld->l->self, ld->j, &ld->los, ld->descs, e);
	for (size_t k = 0; k < ld->j->n_batches && !rc; k++)
		if (!ld->batches[k].already)
			rc = one_batch(ld, k, e);
	if (!rc && ld->child_refused)
		rc = err_set(e, ERR_DATA, "child rows were refused");
	if (!rc && ld->puts) {
		loader_tick(ld->l, "writing the table");
		rc = ops->rows_end(ld->l->self, e);
	}
	if (rc && e->code == ERR_DATA && (ld->l->n_refused > known || ld->l->again))
		ld->again = true;
	return rc;
}

static int finish(struct load *ld, struct err *e)
{
	const struct loader_ops *ops = ld->l->ops;

	if (ld->dry.on) {
		ld->dry.told = ld->puts || (!ld->los.t[0].has_table && !files(ld));
		return ld->puts ? ops->tally(ld->l->self, &ld->dry.inserted, &ld->dry.updated, &ld->dry.skipped, e) : 0;
	}
	if (ld->activate > ld->active && ops->activate(ld->l->self, ld->j, &ld->los, ld->descs, ld->activate, e))
		return -1;
	if (rejects_flush(&ld->rejects, ld->l, e) || rejects_store(&ld->rejects, ld->l, ld->j, e))
		return -1;
	for (size_t k = 0; k < ld->j->n_batches; k++)
		if (!ld->batches[k].already && ops->ledger_put(ld->l->self, ld->j, &ld->j->batches[k], &ld->batches[k].row, e))
			return -1;
	loader_tick(ld->l, "committing");
	return ops->commit(ld->l->self, e);
}

static int run(struct load *ld, struct err *e)
{
	size_t todo;

	ld->again = ld->l->again = ld->child_refused = false;
	ld->bad = SIZE_MAX;
	/* the rows' layouts are made anew */
	rows_free(ld->rows);
	ld->rows = NULL;
	if (ld->wants_look && !ld->full_rows && look(ld, e))
		return -1;
	ld->activate = 0;
	ld->l->rows = ld->l->bytes = 0;
	ld->active = 0;
	rejects_again(&ld->rejects);
	dry_again(&ld->dry);
	if (tables_ready(ld, e))
		return -1;
	ld->in_transaction = !ld->dry.nothing;
	if ((ld->in_transaction && ld->l->ops->begin(ld->l->self, ld->j, &ld->active, e)) || read_ledger(ld, &todo, e))
		return -1;
	ld->dry.told = true;
	if (!todo)
		return 0; /* rolled back: there is nothing to write */
	if (read_batches(ld, e) || finish(ld, e))
		return -1;
	ld->in_transaction = ld->dry.on && !ld->dry.nothing; /* to be rolled back */
	return 0;
}

static json_t *figure(const struct ledger_row *r, uint64_t n)
{
	return r->uncounted ? json_null() : json_integer((json_int_t)n);
}

static json_t *answer(const struct load *ld)
{
	json_t *list = json_array();

	for (size_t k = 0; k < ld->j->n_batches; k++) {
		const struct ledger_row *r = &ld->batches[k].row;

		json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:I, s:b}", "id", ld->j->batches[k].id, "rows", figure(r, r->rows), "rejected",
			figure(r, r->rejected), "attempt", (json_int_t)r->attempt, "already", ld->batches[k].already));
	}
	list = json_pack("{s:o}", "batches", list);
	if (ld->dry.on)
		dry_answer(&ld->dry, &ld->rejects, list);
	return list;
}

static void load_free(struct load *ld)
{
	for (size_t k = 0; k < ld->j->n_batches; k++)
		free(ld->batches[k].ranges.r);
	free(ld->batches);
	rows_free(ld->rows);
	forget_tables(ld);
	forget_look(ld);
	rejects_free(&ld->rejects);
	dry_free(&ld->dry);
	for (size_t k = 0; k < ld->l->n_refused; k++) {
		free(ld->l->refused[k].column);
		free(ld->l->refused[k].reason);
	}
	ld->l->n_refused = 0;
}

json_t *load_run(struct loader *l, struct job *j, size_t *bad, struct err *e)
{
	struct load ld = {.l = l, .j = j, .batches = xcalloc(j->n_batches, sizeof(*ld.batches))};
	json_t *result = NULL;
	int rc = -1;

	ld.dry.on = ld.rejects.dry = j->dry_run;
	l->load = j->load;
	for (unsigned k = 0; k < RUNS_MAX && rc; k++) {
		rc = run(&ld, e);
		if (ld.in_transaction)
			l->ops->rollback(l->self);
		ld.in_transaction = false;
		if (rc && !ld.again)
			break;
	}
	if (!rc)
		result = answer(&ld);
	*bad = ld.bad;
	l->load = 0;
	load_free(&ld);
	return result;
}

/* --- discard --- */

static int discard(struct loader *l, struct job *j, struct ledger_row *row, bool *was_loaded, struct err *e)
{
	const struct ledger_row mark = {.discarded = true};
	int64_t active;
	int rc;

	if (l->ops->begin(l->self, j, &active, e))
		return -1;
	rc = l->ops->ledger_get(l->self, j, &j->batches[0], row, e);
	if (rc < 0)
		return -1;
	*was_loaded = rc && !row->discarded;
	if (!rc && l->ops->ledger_put(l->self, j, &j->batches[0], &mark, e))
		return -1;
	return l->ops->commit(l->self, e);
}

json_t *load_discard(struct loader *l, struct job *j, struct err *e)
{
	struct ledger_row row = {.rows = 0};
	bool was_loaded = false;

	if (l->ops->prepare(l->self, j, e))
		return NULL;
	if (discard(l, j, &row, &was_loaded, e)) {
		l->ops->rollback(l->self);
		return NULL;
	}
	return json_pack("{s:b, s:o, s:o, s:I}", "was_loaded", was_loaded, "rows", figure(&row, row.rows), "rejected", figure(&row, row.rejected), "attempt",
		(json_int_t)row.attempt);
}
