/*
 * s3_load.c - one load: rows into one file for each table and subtable, sent in parts while they come, and ended in an order that makes the table's own object the mark of the whole: the
 * subtables' first, then the rejected records, the table's last.
 *
 * A killed loader leaves files of subtables, or parts that nobody sees; its retry has the same keys and writes them again, and takes away the ones that it has nothing for (a
 * batch may have been discarded meanwhile). Many subtables would hold a part each in memory, so beyond HELD_MAX the largest goes to a file without a name.
 */
#include "loaders/s3/s3_dest.h"

#include "jwrite.h"
#include "timefmt.h"
#include "xalloc.h"

#define HELD_MAX (24u << 20)
#define SPILL_FROM (256u << 10)
#define NOTE_QUEUE 16 /* digits of the queue's id in an object's note */

int sd_prepare(void *self, const struct job *j, struct err *e)
{
	(void)self, (void)j, (void)e;
	return 0;
}

/* --- keys --- */

static char *make_key(const struct key_template *t, const struct job *j, const char *path, int64_t version, struct err *e)
{
	struct key_parts p = {.schema = j->schema, .table = path, .version = version, .load_time = j->load_time};
	struct buf key = BUF_INIT;

	if (key_make(t, &p, &key, e)) {
		buf_free(&key);
		return NULL;
	}
	return buf_detach(&key, NULL);
}

static char *root_path(const struct job *j)
{
	struct buf b = BUF_INIT;

	key_table_name(&b, str_c(j->table));
	return buf_detach(&b, NULL);
}

/* table/subtable/…: what the subtable's name has more than its parent's. */
static char *sub_path(const struct s3_dest *s, size_t at)
{
	const struct layout *lo = &s->los->t[at], *up = &s->los->t[lo->parent];
	size_t n = strlen(up->table);
	const char *own = strncmp(lo->table, up->table, n) == 0 && strncmp(lo->table + n, "__", 2) == 0 ? lo->table + n + 2 : lo->table;
	struct buf b = BUF_INIT;

	buf_addf(&b, "%s/", s->out[lo->parent].path);
	key_table_name(&b, str_c(own));
	return buf_detach(&b, NULL);
}

/* --- the beginning, and whether it was done before --- */

static void forget(struct s3_dest *s)
{
	for (size_t k = 0; k < s->n_out; k++) {
		s3_upload_abort(s->out[k].up);
		free(s->out[k].key);
		free(s->out[k].path);
		free(s->out[k].follow);
		free(s->out[k].led);
	}
	free(s->out);
	s->out = NULL;
	s->n_out = 0;
	s3_upload_abort(s->rejected);
	s->rejected = NULL;
	free(s->root_key);
	free(s->rejected_key);
	s->root_key = s->rejected_key = NULL;
	s->los = NULL;
	s->there = false;
}

/* What a person does about it belongs to the text of a load's error, too. */
static int failed(const struct s3_dest *s, struct err *e)
{
	char text[sizeof(e->text)];

	if (e->code != ERR_CONFIG || !*s3_fix(s->s3) || strstr(e->text, s3_fix(s->s3)))
		return -1;
	str_copy(text, sizeof(text), str_c(e->text));
	return err_set(e, e->code, "%s; %s", text, s3_fix(s->s3));
}

/* The note of an object: "LOAD.ATTEMPT.QUEUE": which attempt, and whose load: other installs have the same numbers and another queue. A discard does not know its load (0); the
 * key is of one load only. */
static bool is_ours(const struct job *j, const char *note, int64_t *attempt)
{
	const char *dot = strchr(note, '.'), *queue = dot ? strchr(dot + 1, '.') : NULL;
	int64_t load;

	if (!queue || str_to_i64(str_mem(note, (size_t)(dot - note)), &load) || str_to_i64(str_mem(dot + 1, (size_t)(queue - dot) - 1), attempt) || *attempt < 0 ||
		*attempt > UINT32_MAX || (j->load && load != j->load))
		return false;
	for (size_t k = 0; k < j->n_batches; k++)
		if (strncmp(queue + 1, j->batches[k].queue_hex, NOTE_QUEUE) == 0)
			return true;
	return false;
}

static int read_note(struct s3_dest *s, const struct job *j, const char *note, struct err *e)
{
	int64_t attempt;

	if (!is_ours(j, note, &attempt))
		return err_set(e, ERR_CONFIG, "%s is there already and no load of this stitchd made it; let no other program write there, or set another key_template", s->root_key);
	s->there = true;
	s->attempt = (uint32_t)attempt;
	return 0;
}

int sd_begin(void *self, const struct job *j, int64_t *active_version, struct err *e)
{
	struct s3_dest *s = self;
	struct s3_object o;
	char *path;

	*active_version = 0; /* nothing is ever removed, so no version replaces another */
	forget(s);
	s->j = j;
	s->phase = "looking whether it is there";
	if (j->dry_run)
		return 0; /* nothing is written, so it does not matter where */
	if (!j->load_time)
		return err_set(e, ERR_CONFIG, "stitchd does not say the time of the load; install both of one version");
	path = root_path(j);
	s->root_key = make_key(&s->key, j, path, j->batches[0].table_version, e);
	free(path);
	if (!s->root_key)
		return -1;
	snprintf(s->note, sizeof(s->note), "%" PRId64 ".%" PRIu32 ".%.*s", j->load, j->attempt, NOTE_QUEUE, j->batches[0].queue_hex);
	for (size_t k = 1; k < j->n_batches; k++)
		if (j->batches[k].table_version != j->batches[0].table_version)
			return err_set(e, ERR_TRANSIENT, "a load of batches of several table versions");
	if (s3_head(s->s3, s->root_key, &o, e) == 0)
		return read_note(s, j, o.note, e);
	if (e->code != ERR_NOT_FOUND)
		return failed(s, e);
	err_clear(e);
	return 0;
}

int sd_ledger_get(void *self, const struct job *j, const struct job_batch *b, struct ledger_row *out, struct err *e)
{
	const struct s3_dest *s = self;

	(void)j, (void)b, (void)e;
	*out = (struct ledger_row){.attempt = s->attempt, .uncounted = true};
	return s->there;
}

int sd_ledger_ranges(void *self, const struct job *j, const struct job_batch *b, struct ranges *out, struct err *e)
{
	(void)self, (void)j, (void)e;
	for (size_t k = 0; k < b->n_held; k++)
		ranges_add(out, b->held[k].first, b->held[k].last);
	return 0;
}

int sd_ledger_put(void *self, const struct job *j, const struct job_batch *b, const struct ledger_row *row, struct err *e)
{
	(void)self, (void)j, (void)b, (void)row, (void)e;
	return 0; /* stitchd's row is the ledger */
}

/* --- rows --- */

/* The columns of one field are one in a file of text. */
static void chain_field(struct s3_dest *s, const struct layout_field *f)
{
	struct output *o;
	size_t last = NO_COLUMN;

	if (f->table != NO_TABLE && f->placed) {
		o = &s->out[f->table];
		for (size_t c = 0; c < s->los->t[f->table].n_user; c++) {
			bool mine = false;

			for (unsigned t = 0; t < COL_TYPES; t++)
				mine |= f->column[t] == c;
			if (!mine)
				continue;
			if (last != NO_COLUMN) {
				o->follow[last] = c;
				o->led[c] = true;
			}
			last = c;
		}
	}
	for (size_t k = 0; k < f->n_members; k++)
		chain_field(s, f->members[k]);
	if (f->element)
		chain_field(s, f->element);
}

int sd_rows_begin(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, struct err *e)
{
	struct s3_dest *s = self;

	(void)descs;
	s->phase = "writing";
	s->los = los;
	s->n_out = los->n;
	s->out = xcalloc(los->n, sizeof(*s->out));
	for (size_t k = 0; k < los->n; k++) {
		struct output *o = &s->out[k];

		o->path = k ? sub_path(s, k) : root_path(j);
		o->key = make_key(&s->key, j, o->path, j->batches[0].table_version, e);
		if (!o->key)
			return -1;
		o->follow = xcalloc(los->t[k].n + 1, sizeof(*o->follow));
		o->led = xcalloc(los->t[k].n + 1, sizeof(*o->led));
		for (size_t c = 0; c < los->t[k].n; c++)
			o->follow[c] = NO_COLUMN;
	}
	for (size_t k = 0; k < los->top.n_members && !s->jsonl; k++)
		chain_field(s, los->top.members[k]);
	return 0;
}

static void csv_header(struct s3_dest *s, size_t at)
{
	const struct layout *lo = &s->los->t[at];
	bool first = true;

	for (size_t c = 0; c < lo->n; c++) {
		if (s->out[at].led[c])
			continue;
		csv_text(&s->csv, &s->row, str_c(lo->columns[c].name), false, first);
		first = false;
	}
	csv_end(&s->row);
}

static void csv_row(struct s3_dest *s, const struct row *row)
{
	const struct layout *lo = &s->los->t[row->table];
	const struct output *o = &s->out[row->table];
	bool first = true;
	char room[48];

	for (size_t c = 0; c < lo->n; c++) {
		size_t k = c;

		if (o->led[c])
			continue;
		while (row->cells[k].kind == CELL_NULL && o->follow[k] != NO_COLUMN)
			k = o->follow[k];
		csv_text(&s->csv, &s->row, text_of_cell(&row->cells[k], room), row->cells[k].kind == CELL_NULL, first);
		first = false;
	}
	csv_end(&s->row);
}

static struct s3_upload *new_upload(struct s3_dest *s, const char *key, bool csv, bool root, struct err *e)
{
	struct s3_put o = {.content_type = csv ? "text/csv; charset=utf-8" : "application/x-ndjson", .note = root ? s->note : NULL};

	return s3_upload_new(s->s3, key, &o, e);
}

/* The largest go, until half of what is allowed is left; small ones stay, they are not worth a file. */
static int keep_bounded(struct s3_dest *s, struct err *e)
{
	size_t held = 0;

	for (size_t k = 0; k < s->n_out; k++)
		held += s->out[k].up ? s3_upload_held(s->out[k].up) : 0;
	if (held <= HELD_MAX)
		return 0;
	while (held > HELD_MAX / 2) {
		struct s3_upload *largest = NULL;

		for (size_t k = 0; k < s->n_out; k++)
			if (s->out[k].up && (!largest || s3_upload_held(s->out[k].up) > s3_upload_held(largest)))
				largest = s->out[k].up;
		if (!largest || s3_upload_held(largest) < SPILL_FROM)
			return 0;
		held -= s3_upload_held(largest);
		if (s3_upload_spill(largest, e))
			return -1;
	}
	return 0;
}

int sd_put(void *self, const struct row *row, struct err *e)
{
	struct s3_dest *s = self;
	struct output *o = &s->out[row->table];

	if (s->j->dry_run)
		return 0;
	buf_truncate(&s->row, 0);
	if (!o->up) {
		o->up = new_upload(s, o->key, !s->jsonl, row->table == 0, e);
		if (!o->up)
			return -1;
		if (!s->jsonl)
			csv_header(s, row->table);
	}
	if (s->jsonl)
		jsonl_row(&s->row, &s->los->t[0], row);
	else
		csv_row(s, row);
	if (s3_upload_write(o->up, s->row.data, s->row.len, e))
		return failed(s, e);
	return s->n_out > 2 ? keep_bounded(s, e) : 0;
}

int sd_rows_end(void *self, struct err *e)
{
	(void)self, (void)e;
	return 0;
}

int sd_activate(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, int64_t version, struct err *e)
{
	(void)self, (void)j, (void)los, (void)descs, (void)version, (void)e;
	return 0; /* the version is in the key, and nothing is deleted */
}

static int rejected_begin(struct s3_dest *s, const struct job *j, struct err *e)
{
	if (!s->rejected_key)
		s->rejected_key = make_key(&s->rejected_keys, j, "_sdc_rejected", 1, e);
	return s->rejected_key ? 0 : -1;
}

int sd_reject(void *self, const struct job *j, const struct reject *r, struct err *e)
{
	struct s3_dest *s = self;
	char at[TIMEFMT_MAX];
	struct jwrite w;

	s->phase = "rejected records";
	if (j->dry_run)
		return 0;
	if (rejected_begin(s, j, e))
		return -1;
	if (!s->rejected)
		s->rejected = new_upload(s, s->rejected_key, false, false, e);
	if (!s->rejected)
		return -1;
	/* the load's time, so that a retry writes the same */
	timefmt_iso(j->load_time, 3, at);
	buf_truncate(&s->row, 0);
	jwrite_init(&w, &s->row);
	jwrite_object(&w);
	jwrite_kv_string(&w, "_sdc_rejected_at", at);
	jwrite_kv_string(&w, "table_name", j->table);
	jwrite_kv_str(&w, "reason", r->reason);
	jwrite_kv_str(&w, "record", r->raw);
	jwrite_object_end(&w);
	buf_addc(&s->row, '\n');
	return s3_upload_write(s->rejected, s->row.data, s->row.len, e) ? failed(s, e) : 0;
}

/* --- the end --- */

static int end_upload(struct s3_upload **up, struct err *e)
{
	if (!*up)
		return 0;
	if (s3_upload_end(*up, e))
		return -1;
	*up = NULL;
	return 0;
}

/* An earlier attempt may have written a file for which this one has nothing. */
static int drop_stale(struct s3_dest *s, struct err *e)
{
	if (s->j->attempt < 2)
		return 0;
	for (size_t k = 1; k < s->n_out; k++)
		if (!s->out[k].up && s3_delete(s->s3, s->out[k].key, e))
			return -1;
	if (s->rejected)
		return 0;
	return rejected_begin(s, s->j, e) || s3_delete(s->s3, s->rejected_key, e) ? -1 : 0;
}

int sd_commit(void *self, struct err *e)
{
	struct s3_dest *s = self;

	s->phase = "ending the files";
	if (!s->there && s->j->load && drop_stale(s, e))
		return failed(s, e);
	for (size_t k = s->n_out; k-- > 1;)
		if (end_upload(&s->out[k].up, e))
			return failed(s, e);
	if (end_upload(&s->rejected, e) || (s->n_out && end_upload(&s->out[0].up, e)))
		return failed(s, e);
	forget(s);
	return 0;
}

void sd_rollback(void *self)
{
	struct s3_dest *s = self;

	s->phase = "giving up";
	forget(s);
}
