/*
 * rows.c - one record into one row. The hot path of every loader: a record's fields mostly come in the same order as the last one's, so each key is first
 * compared with the field expected next and looked up only when that fails; strings without escapes and numbers stay slices of the record's line.
 *
 * What becomes of a record may depend on itself and on its frame's head, never on what else the job knows: loads that group batches in another way must make
 * the same rows. So a string is a time only if its own head says that such were seen, and an element or a record of an append-only table in which nothing has a
 * value has no row, because a job that knows no column of its table would have none either.
 *
 * A value goes to the column of its own type; a whole number fits a number's column and the other way round if its value is whole; what has no column of its own
 * type is text in a string column if the field has one. Everything else is a reason to reject this one record. Strings for time columns are parsed here, so
 * that a destination never meets a time that it cannot read.
 */
#include "loaders/runtime/rows.h"

#include "decimal.h"
#include "jscan.h"
#include "loaders/runtime/fields.h"
#include "loaders/runtime/uuid.h"
#include "timefmt.h"
#include "xalloc.h"

#define SHOWN_MAX 200 /* bytes of a value in a reason */

/* An array that is walked when the row that it lies in is complete; field NULL: it came again. */
struct later { const struct layout_field *field; struct str array; };

struct rows {
	const struct job *j;
	const struct layouts *los;
	const struct dialect *d;
	struct cell **cells;	    /* of each table: its row as far as it is known */
	uint64_t *stamp, now;	    /* of each field: the row that set it last */
	struct map both;	    /* fields that have columns for times and for text, by their names in heads */
	unsigned char *told;	    /* of each of these: what the head says of its strings */
	struct later *later;
	size_t n_later, cap_later, n_root; /* n_root: those of the record itself */
	int64_t ids[PATH_DEPTH_MAX];
	struct buf text, key, keys_seen; /* unescaped strings; a key; raw key_names that were found right */
	struct uuid *uuid;
	char row_id[UUID_LEN + 1];
};

static void find_both(struct rows *r, struct layout_field *f)
{
	if (f->seen && f->column[COL_TIME] != NO_COLUMN && f->column[COL_STRING] != NO_COLUMN && map_put(&r->both, str_c(f->seen->name), f))
		assert(!"a path is listed once");
	for (size_t k = 0; k < f->n_members; k++)
		find_both(r, f->members[k]);
	if (f->element)
		find_both(r, f->element);
}

struct rows *rows_new(const struct job *j, const struct layouts *los, const struct dialect *d)
{
	struct rows *r = xcalloc(1, sizeof(*r));

	r->j = j;
	r->los = los;
	r->d = d;
	r->cells = xcalloc(los->n, sizeof(*r->cells));
	for (size_t k = 0; k < los->n; k++)
		r->cells[k] = xcalloc(los->t[k].n + 1, sizeof(**r->cells));
	r->stamp = xcalloc(los->n_fields + 1, sizeof(*r->stamp));
	r->told = xcalloc(los->n_fields + 1, sizeof(*r->told));
	for (size_t k = 0; k < los->top.n_members; k++)
		find_both(r, los->top.members[k]);
	r->uuid = uuid_new();
	return r;
}

void rows_free(struct rows *r)
{
	if (!r)
		return;
	for (size_t k = 0; k < r->los->n; k++)
		free(r->cells[k]);
	free(r->cells);
	free(r->stamp);
	free(r->told);
	map_free(&r->both, NULL);
	free(r->later);
	buf_free(&r->text);
	buf_free(&r->key);
	buf_free(&r->keys_seen);
	uuid_free(r->uuid);
	free(r);
}

/* --- heads --- */

static bool same_keys(const struct job *j, struct str raw)
{
	struct jscan s;
	enum jscan_token t;
	size_t n = 0;

	jscan_init(&s, raw.ptr, raw.len, 2);
	if (jscan_next(&s) != JSCAN_ARRAY)
		return false;
	while ((t = jscan_next(&s)) == JSCAN_STRING) {
		if (n == j->n_keys || !jscan_string_is(s.tok, str_c(j->keys[n])))
			return false;
		n++;
	}
	return t == JSCAN_ARRAY_END && n == j->n_keys;
}

static unsigned char told_by(struct str types)
{
	struct jscan s;
	enum jscan_token t;
	unsigned char told = 0;

	jscan_init(&s, types.ptr, types.len, 2);
	for (t = jscan_next(&s); t == JSCAN_ARRAY || t == JSCAN_STRING; t = jscan_next(&s))
		if (t == JSCAN_STRING)
			told |= str_eqc(s.tok, "\"string\"") ? TOLD_TEXT : str_eqc(s.tok, "\"timestamp\"") || str_eqc(s.tok, "\"date\"") ? TOLD_TIME : 0;
	return told;
}

/* What the head says of strings, where it matters. A head without types (an older door's) says nothing. */
static void read_types(struct rows *r, struct str types)
{
	const struct layout_field *f;
	struct jscan s;

	if (!r->both.head)
		return;
	memset(r->told, 0, r->los->n_fields);
	jscan_init(&s, types.ptr, types.len, 0);
	if (jscan_next(&s) != JSCAN_OBJECT)
		return;
	while (jscan_next(&s) == JSCAN_KEY) {
		buf_truncate(&r->key, 0);
		jscan_unescape(s.tok, &r->key);
		f = map_get(&r->both, buf_str(&r->key));
		if (jscan_skip(&s) < 0)
			return;
		if (f)
			r->told[f->id] = told_by(s.tok);
	}
}

int rows_head(struct rows *r, const struct job_batch *b, struct str line, struct err *e)
{
	struct frame_head h = {.table = BUF_INIT};
	int rc = frame_head_parse(line, &h, e);

	if (rc) {
		e->code = ERR_CORRUPT;
		goto out;
	}
	if (h.source != r->j->source_id)
		rc = err_set(e, ERR_CORRUPT, "the file belongs to source %" PRId64 " and the job to %" PRId64 " (%s)", h.source, r->j->source_id, r->j->source);
	else if (!str_eqc(buf_str(&h.table), r->j->table))
		rc = err_set(e, ERR_CORRUPT, "the file holds records of table %.80s and the job is for %.80s", buf_cstr(&h.table), r->j->table);
	else if (h.table_version != b->table_version)
		rc = err_set(e, ERR_CORRUPT, "the file holds table version %" PRId64 " and the job says %" PRId64, h.table_version, b->table_version);
	else if (!r->keys_seen.len || !str_eq(buf_str(&r->keys_seen), h.key_names)) {
		if (!same_keys(r->j, h.key_names))
			rc = err_set(e, ERR_CORRUPT, "the file has the key names " STR_FMT " and the job has others", STR_ARG(h.key_names));
		buf_truncate(&r->keys_seen, 0);
		if (!rc)
			buf_addstr(&r->keys_seen, h.key_names);
	}
	if (!rc)
		read_types(r, h.types);
out:
	buf_free(&h.table);
	return rc;
}

/* --- values --- */

static size_t shown(struct str v)
{
	size_t n = MIN(v.len, SHOWN_MAX);

	while (n && n < v.len && ((unsigned char)v.ptr[n] & 0xC0) == 0x80)
		n--;
	return n;
}

static int refuse(struct refusal *why, const char *what, const struct layout_field *f, struct str value)
{
	why->field = str_c(f->path);
	why->value = value;
	buf_addf(&why->reason, "%s for %s on [%.*s]%s", what, f->path, (int)shown(value), value.ptr, shown(value) < value.len ? "..." : "");
	return -1;
}

/* The value has no place in the job: the door lists paths only so deep and so many. */
static int refuse_deep(struct refusal *why, const struct layout_field *in, struct str name, struct str value)
{
	why->field = str_c(in->path);
	why->value = value;
	buf_addf(&why->reason, "%s%s" STR_FMT " is nested too deep or has too many fields", in->path, name.len ? "__" : "", STR_ARG(name));
	return -1;
}

static struct str without_quotes(struct str tok)
{
	return str_mem(tok.ptr + 1, tok.len - 2);
}

static struct cell *cell_of(struct rows *r, const struct layout_field *f, size_t column)
{
	return &r->cells[f->table][column];
}

/* The string's text; unescaped ones go into r->text, which has room for all of the record, so that slices of it stay valid. */
static struct str text_of(struct rows *r, struct str tok, bool escaped)
{
	size_t at = r->text.len;

	if (!escaped)
		return without_quotes(tok);
	jscan_unescape(tok, &r->text);
	return str_mem(r->text.data + at, r->text.len - at);
}

static int put_text(struct rows *r, const struct layout_field *f, struct str text, struct refusal *why)
{
	if (!r->d->nul_ok && memchr(text.ptr, 0, text.len))
		return refuse(why, "character U+0000 not possible", f, STR("\\u0000"));
	*cell_of(r, f, f->column[COL_STRING]) = (struct cell){.kind = CELL_TEXT, .s = text};
	return 0;
}

/* No column of the value's own type. */
static int put_other(struct rows *r, const struct layout_field *f, const char *type, struct str raw, struct refusal *why)
{
	char what[80];

	if (f->column[COL_STRING] != NO_COLUMN)
		return put_text(r, f, raw, why);
	if (f->parent && (!f->seen || !f->seen->n))
		return refuse_deep(why, f, STR(""), raw);
	snprintf(what, sizeof(what), "%s not possible", type);
	return refuse(why, what, f, raw);
}

static bool in_time(const struct dialect *d, int64_t us)
{
	return (!d->time_min && !d->time_max) || (us >= d->time_min && us <= d->time_max);
}

static int put_string(struct rows *r, const struct layout_field *f, struct str tok, bool escaped, struct refusal *why)
{
	struct str text = text_of(r, tok, escaped);
	unsigned char told = r->told[f->id];
	bool timed = f->column[COL_TIME] != NO_COLUMN && told != TOLD_TEXT, parsed;
	int64_t us = 0;

	parsed = timed && timefmt_parse(text, &us) == 0;
	if (parsed && in_time(r->d, us)) {
		*cell_of(r, f, f->column[COL_TIME]) = (struct cell){.kind = CELL_TIME, .i = us};
		return 0;
	}
	if (f->column[COL_STRING] != NO_COLUMN && told != TOLD_TIME)
		return put_text(r, f, text, why);
	if (timed)
		return refuse(why, parsed ? "timestamp out of range" : "invalid timestamp", f, text);
	return put_other(r, f, "string", text, why);
}

static int put_number(struct rows *r, const struct layout_field *f, struct str tok, bool integer, struct refusal *why)
{
	size_t at = f->column[COL_NUMBER];
	struct decimal dec;
	unsigned precision, scale;
	int64_t i;

	if (at == NO_COLUMN)
		return put_other(r, f, "number", tok, why);
	if (integer ? str_to_i64(tok, &i) == 0 : decimal_to_i64(tok, &i) == 0) {
		*cell_of(r, f, at) = (struct cell){.kind = CELL_INT, .i = i};
		return 0;
	}
	if (r->los->t[f->table].columns[at].type == COL_INTEGER) {
		if (f->column[COL_STRING] != NO_COLUMN)
			return put_text(r, f, tok, why);
		return refuse(why, decimal_is_integer(tok) ? "integer out of range" : "fraction not possible", f, tok);
	}
	if (r->d->int_digits && (decimal_parse(tok, &dec) || decimal_size(tok, r->d->int_digits + r->d->frac_digits, &precision, &scale) ||
					precision - scale > r->d->int_digits || scale > r->d->frac_digits))
		return refuse(why, "decimal out of range", f, tok);
	*cell_of(r, f, at) = (struct cell){.kind = CELL_NUMBER, .s = tok};
	return 0;
}

/* Is there no value in it? */
static bool is_hollow(struct str nested)
{
	struct jscan s;
	enum jscan_token t;

	jscan_init(&s, nested.ptr, nested.len, 0);
	do
		t = jscan_next(&s);
	while (t == JSCAN_OBJECT || t == JSCAN_OBJECT_END || t == JSCAN_ARRAY || t == JSCAN_ARRAY_END || t == JSCAN_KEY || t == JSCAN_NULL);
	return t == JSCAN_END;
}

static void put_later(struct rows *r, const struct layout_field *f, struct str array)
{
	if (r->n_later == r->cap_later) {
		r->cap_later = r->cap_later ? r->cap_later * 2 : 16;
		r->later = xreallocarray(r->later, r->cap_later, sizeof(*r->later));
	}
	r->later[r->n_later++] = (struct later){.field = f, .array = array};
}

/* A whole object or array. */
static int put_nested(struct rows *r, const struct layout_field *f, bool array, struct str raw, struct refusal *why)
{
	size_t at = array ? f->array : f->object;

	if (array && f->flat_array) {
		if (!f->refused_array) {
			put_later(r, f, raw);
			return 0;
		}
		why->field = str_c(f->path);
		why->value = raw;
		buf_adds(&why->reason, f->refused_array);
		return -1;
	}
	if (at != NO_COLUMN) {
		*cell_of(r, f, at) = (struct cell){.kind = CELL_JSON, .s = raw};
		return 0;
	}
	/* listed, and nothing in it had a value */
	if (!f->key && (array ? f->has_elements : f->has_members) && r->d->nesting != NEST_TEXT)
		return is_hollow(raw) ? 0 : refuse_deep(why, f, STR(""), raw);
	return put_other(r, f, array ? "array" : "object", raw, why);
}

static int put_value(struct rows *r, const struct layout_field *f, struct jscan *s, enum jscan_token t, struct refusal *why)
{
	if (f->refused && t != JSCAN_NULL) {
		why->field = str_c(f->path);
		why->value = s->tok;
		buf_adds(&why->reason, f->refused);
		return -1;
	}
	switch (t) {
	case JSCAN_STRING:
		return put_string(r, f, s->tok, s->tok_escaped, why);
	case JSCAN_NUMBER:
		return put_number(r, f, s->tok, s->tok_integer, why);
	case JSCAN_TRUE:
	case JSCAN_FALSE:
		if (f->column[COL_BOOLEAN] == NO_COLUMN)
			return put_other(r, f, "boolean", s->tok, why);
		*cell_of(r, f, f->column[COL_BOOLEAN]) = (struct cell){.kind = CELL_BOOL, .i = t == JSCAN_TRUE};
		return 0;
	case JSCAN_OBJECT:
	case JSCAN_ARRAY:
		return put_nested(r, f, t == JSCAN_ARRAY, s->tok, why);
	default:
		return 0; /* null: the cell is NULL already */
	}
}

/* --- objects --- */

static struct layout_field *member_of(struct rows *r, const struct layout_field *in, size_t *expected, const struct jscan *s)
{
	struct str key = without_quotes(s->tok);
	struct layout_field *f;

	if (!s->tok_escaped && *expected < in->n_members && str_eqc(key, in->members[*expected]->name))
		return in->members[(*expected)++];
	if (s->tok_escaped) {
		buf_truncate(&r->key, 0);
		jscan_unescape(s->tok, &r->key);
		key = buf_str(&r->key);
	}
	f = map_get(&in->by_name, key);
	if (f)
		*expected = f->at + 1;
	return f;
}

static void clear_column(struct rows *r, const struct layout_field *f, size_t column)
{
	if (column != NO_COLUMN)
		*cell_of(r, f, column) = (struct cell){.kind = CELL_NULL};
}

static void clear_field(struct rows *r, const struct layout_field *f)
{
	for (unsigned k = 0; k < COL_TYPES; k++)
		clear_column(r, f, f->column[k]);
	clear_column(r, f, f->object);
	clear_column(r, f, f->array);
	for (size_t k = 0; k < r->n_later; k++)
		if (r->later[k].field == f)
			r->later[k].field = NULL;
	for (size_t k = 0; k < f->n_members; k++)
		clear_field(r, f->members[k]);
}

/* The same key again: the last one counts, so what the first one set goes. */
static void begin_field(struct rows *r, const struct layout_field *f)
{
	if (r->stamp[f->id] == r->now)
		clear_field(r, f);
	r->stamp[f->id] = r->now;
}

static int unknown(const struct layout_field *in, struct str name, struct str value, struct refusal *why)
{
	if (in->path)
		return refuse_deep(why, in, without_quotes(name), value);
	why->field = without_quotes(name);
	why->value = value;
	buf_addf(&why->reason, "the job does not know the field " STR_FMT, STR_ARG(name));
	return -1;
}

enum { PUT, REFUSED, BROKEN };

/* The members of an object, s being behind its bracket. */
static int put_members(struct rows *r, const struct layout_field *in, struct jscan *s, struct refusal *why)
{
	size_t expected = 0;
	enum jscan_token t;

	while ((t = jscan_next(s)) == JSCAN_KEY) {
		const struct layout_field *f = member_of(r, in, &expected, s);
		struct str name = s->tok;
		int rc;

		t = jscan_next(s);
		if (f)
			begin_field(r, f);
		if (t == JSCAN_OBJECT && f && f->flat_object && !f->refused) {
			rc = put_members(r, f, s, why);
			if (rc != PUT)
				return rc;
			continue;
		}
		if (t == JSCAN_OBJECT || t == JSCAN_ARRAY)
			t = jscan_skip(s);
		if (t < 0)
			return BROKEN;
		if (f ? put_value(r, f, s, t, why) : t != JSCAN_NULL && unknown(in, name, s->tok, why))
			return REFUSED;
	}
	return t == JSCAN_OBJECT_END ? PUT : BROKEN;
}

/* --- arrays --- */

struct visit {
	const struct row *root;
	int (*fn)(void *arg, const struct row *row, struct err *e); /* NULL: only look whether all can be typed */
	void *arg;
	struct err *e;
	struct refusal *why;
	size_t rows;
};

static int too_big(const struct rows *r, size_t table, struct refusal *why)
{
	const struct layout *lo = &r->los->t[table];
	size_t bytes = 0;

	if (!r->d->row_max)
		return 0;
	for (size_t k = 0; k < lo->n; k++)
		bytes += r->cells[table][k].kind >= CELL_TEXT || r->cells[table][k].kind == CELL_NUMBER ? r->cells[table][k].s.len : 8;
	if (bytes <= r->d->row_max)
		return 0;
	why->field = str_c(lo->table);
	why->value = STR("");
	buf_addf(&why->reason, "the row of %s has %zu bytes, more than the %zu that this destination takes", lo->table, bytes, r->d->row_max);
	return -1;
}

/* Of the sender's. */
static bool has_value(const struct rows *r, size_t table)
{
	const struct layout *lo = &r->los->t[table];
	size_t first = table ? lo->n_source + lo->level : 0;

	for (size_t k = first; k < first + lo->n_user; k++)
		if (r->cells[table][k].kind != CELL_NULL)
			return true;
	return false;
}

static void put_times(struct rows *r, size_t table)
{
	const struct layout *lo = &r->los->t[table], *root = &r->los->t[0];
	struct cell *to = r->cells[table];

	to[lo->received] = r->cells[0][root->received];
	to[lo->batched] = r->cells[0][root->batched];
	to[lo->sequence] = r->cells[0][root->sequence];
	to[lo->version] = r->cells[0][root->version];
}

/* The row of the element at hand is complete but for what all rows have. */
static int child_row(struct rows *r, size_t table, struct visit *v)
{
	const struct layout *lo = &r->los->t[table], *root = &r->los->t[0];
	struct row row = {.table = table, .cells = r->cells[table]};

	if (!has_value(r, table))
		return PUT;
	v->rows++;
	for (size_t k = 0; k < lo->n_source; k++)
		r->cells[table][k] = r->cells[0][root->n_keys ? root->keys[k] : root->row_id];
	for (size_t k = 0; k < lo->level; k++)
		r->cells[table][lo->n_source + k] = (struct cell){.kind = CELL_INT, .i = r->ids[k]};
	put_times(r, table);
	if (!v->fn)
		return too_big(r, table, v->why) ? REFUSED : PUT;
	row.ordinal = v->root->ordinal;
	row.version = v->root->version;
	row.sequence = v->root->sequence;
	return v->fn(v->arg, &row, v->e) ? BROKEN : PUT;
}

static int put_element(struct rows *r, const struct layout_field *el, struct jscan *s, enum jscan_token t, struct refusal *why)
{
	r->now++;
	if (t == JSCAN_OBJECT && el->flat_object && !el->refused)
		return put_members(r, el, s, why);
	if (t == JSCAN_OBJECT || t == JSCAN_ARRAY)
		t = jscan_skip(s);
	if (t < 0)
		return BROKEN;
	return put_value(r, el, s, t, why) ? REFUSED : PUT;
}

static void clear_row(struct rows *r, size_t table)
{
	for (size_t k = 0; k < r->los->t[table].n; k++)
		r->cells[table][k] = (struct cell){.kind = CELL_NULL};
}

/*
 * The elements of one array, each followed by the arrays in it. Nothing is kept of an element when the next one comes, so memory does not grow with the array;
 * r->later is a stack: what lies on it from `mine` on belongs to the element at hand.
 */
static int walk_array(struct rows *r, const struct layout_field *f, struct str array, unsigned level, struct visit *v)
{
	size_t mine = r->n_later, text = r->text.len;
	struct jscan s;
	enum jscan_token t;
	int rc = PUT;

	jscan_init(&s, array.ptr, array.len, 0);
	if (jscan_next(&s) != JSCAN_ARRAY)
		return BROKEN;
	for (r->ids[level] = 0; rc == PUT; r->ids[level]++) {
		t = jscan_next(&s);
		if (t == JSCAN_ARRAY_END)
			break;
		if (f->subtable != NO_TABLE)
			clear_row(r, f->subtable);
		rc = put_element(r, f->element, &s, t, v->why);
		if (rc == PUT && f->subtable != NO_TABLE)
			rc = child_row(r, f->subtable, v);
		buf_truncate(&r->text, text);
		for (size_t k = mine; rc == PUT && k < r->n_later; k++) {
			struct later in = r->later[k];
			size_t top = r->n_later;

			if (in.field)
				rc = walk_array(r, in.field, in.array, level + 1, v);
			r->n_later = top;
		}
		r->n_later = mine;
	}
	return rc;
}

static int walk(struct rows *r, struct visit *v)
{
	int rc = PUT;

	for (size_t k = 0; rc == PUT && k < r->n_root; k++) {
		struct later in = r->later[k];

		if (in.field)
			rc = walk_array(r, in.field, in.array, 0, v);
		r->n_later = r->n_root;
	}
	return rc;
}

int rows_children(struct rows *r, const struct row *root, int (*fn)(void *arg, const struct row *row, struct err *e), void *arg, struct err *e)
{
	struct refusal why = {.reason = BUF_INIT};
	struct visit v = {.root = root, .fn = fn, .arg = arg, .e = e, .why = &why};
	int rc = walk(r, &v);

	assert(rc != REFUSED); /* they were looked at before */
	return rc == PUT ? 0 : -1;
}

/* --- records --- */

static bool key_is_missing(struct rows *r, struct refusal *why)
{
	const struct layout *lo = &r->los->t[0];

	for (size_t k = 0; k < r->j->n_keys; k++) {
		if (lo->has_table && r->cells[0][lo->keys[k]].kind != CELL_NULL)
			continue;
		if (!lo->has_table && k + 1 < r->j->n_keys)
			continue;
		why->field = str_c(r->j->keys[k]);
		why->value = STR("null");
		buf_addf(&why->reason, "the key %s has no value", r->j->keys[k]);
		return true;
	}
	return false;
}

static void put_ours(struct rows *r, const struct place *at, struct row *out)
{
	const struct layout *lo = &r->los->t[0];
	struct cell *cells = r->cells[0];

	if (lo->row_id != NO_COLUMN) {
		uuid_of(r->uuid, at->batch->queue_id, at->batch->partition, at->offset, at->index + at->batch->replay_index, r->row_id);
		cells[lo->row_id] = (struct cell){.kind = CELL_TEXT, .s = str_mem(r->row_id, UUID_LEN)};
	}
	cells[lo->received] = (struct cell){.kind = CELL_TIME, .i = at->received_at / 1000};
	cells[lo->batched] = (struct cell){.kind = CELL_TIME, .i = at->batch->cut_at / 1000};
	cells[lo->sequence] = (struct cell){.kind = CELL_INT, .i = out->sequence};
	cells[lo->version] = (struct cell){.kind = CELL_INT, .i = out->version};
}

/* 0, or -1 with why */
static int put_extracted(struct rows *r, struct str raw, struct refusal *why)
{
	struct str text;
	int64_t us;

	if (raw.len < 2 || raw.ptr[0] != '"')
		return 0;
	text = text_of(r, raw, memchr(raw.ptr, '\\', raw.len) != NULL);
	if (timefmt_parse(text, &us) == 0 && in_time(r->d, us)) {
		r->cells[0][r->los->t[0].extracted] = (struct cell){.kind = CELL_TIME, .i = us};
		return 0;
	}
	why->field = STR("time_extracted");
	why->value = text;
	buf_addf(&why->reason, "invalid timestamp for time_extracted on [%.*s]", (int)shown(text), text.ptr);
	return -1;
}

static int put_record(struct rows *r, const struct frame_record *rec, struct refusal *why, struct err *e)
{
	size_t max = r->d->record_max ? r->d->record_max : RECORD_MAX_DEFAULT;
	struct jscan s;
	int rc;

	if (rec->data.len > max) {
		why->value = STR("");
		buf_addf(&why->reason, "the record has %zu bytes, more than the %zu that are possible", rec->data.len, max);
		return REFUSED;
	}
	jscan_init(&s, rec->data.ptr, rec->data.len, 0);
	rc = jscan_next(&s) == JSCAN_OBJECT ? put_members(r, &r->los->top, &s, why) : BROKEN;
	if (rc == BROKEN)
		err_set(e, ERR_CORRUPT, "a record is no JSON object: %s", s.error ? s.error : "it ends too early");
	return rc;
}

enum rows_made rows_make(struct rows *r, const struct frame_record *rec, const struct place *at, struct row *out, struct refusal *why, struct err *e)
{
	const struct layout *lo = &r->los->t[0];
	struct visit look = {.why = why};
	int rc;

	if (rec->time_extracted.len > 4 && lo->extracted == NO_COLUMN)
		return ROWS_WANT_EXTRACTED;
	if (str_to_i64(rec->sequence, &out->sequence)) {
		err_set(e, ERR_CORRUPT, "a record has the sequence " STR_FMT, STR_ARG(rec->sequence));
		return ROWS_ERROR;
	}
	out->version = at->batch->table_version;
	out->table = 0;
	out->told = r->told;
	out->cells = r->cells[0];
	out->data = rec->data;
	clear_row(r, 0);
	r->now++;
	r->n_later = r->n_root = 0;
	buf_truncate(&r->text, 0);
	buf_reserve(&r->text, rec->data.len + rec->time_extracted.len);
	rc = put_record(r, rec, why, e);
	if (rc == BROKEN)
		return ROWS_ERROR;
	if (rc == REFUSED || key_is_missing(r, why) || (lo->extracted != NO_COLUMN && put_extracted(r, rec->time_extracted, why)))
		return ROWS_REFUSED;
	put_ours(r, at, out);
	r->n_root = r->n_later;
	if (too_big(r, 0, why) || walk(r, &look) != PUT)
		return ROWS_REFUSED;
	return r->j->n_keys || look.rows || has_value(r, 0) ? ROWS_ROW : ROWS_NOTHING;
}
