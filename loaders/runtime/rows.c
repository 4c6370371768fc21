/*
 * rows.c - one record into one row. The hot path of every loader: a record's fields mostly come in the same order as the last one's, so each key is first
 * compared with the field expected next and looked up only when that fails; strings without escapes and numbers stay slices of the record's line.
 *
 * A value goes to the column of its own type; a whole number fits a number's column and the other way round if its value is whole; what has no column of its own
 * type is text in a string column if the field has one. Everything else is a reason to reject this one record. Strings for time columns are parsed here, so
 * that a destination never meets a time that it cannot read.
 */
#include "loaders/runtime/rows.h"

#include "decimal.h"
#include "jscan.h"
#include "loaders/runtime/uuid.h"
#include "timefmt.h"
#include "xalloc.h"

#define SHOWN_MAX 200 /* bytes of a value in a reason */

struct rows {
	const struct job *j;
	const struct layout *lo;
	const struct dialect *d;
	struct cell *cells;
	uint64_t *stamp, record;    /* of each field: the record that set it last */
	size_t expected;	    /* index of the field that comes next, if it is as last time */
	struct buf text, key, keys_seen; /* unescaped strings; a key; raw key_names that were found right */
	struct uuid *uuid;
	char row_id[UUID_LEN + 1];
};

struct rows *rows_new(const struct job *j, const struct layout *lo, const struct dialect *d)
{
	struct rows *r = xcalloc(1, sizeof(*r));

	r->j = j;
	r->lo = lo;
	r->d = d;
	r->cells = xcalloc(lo->n + 1, sizeof(*r->cells));
	r->stamp = xcalloc(lo->n_fields + 1, sizeof(*r->stamp));
	r->uuid = uuid_new();
	return r;
}

void rows_free(struct rows *r)
{
	if (!r)
		return;
	free(r->cells);
	free(r->stamp);
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
	why->field = str_c(f->name);
	why->value = value;
	buf_addf(&why->reason, "%s for %s on [%.*s]%s", what, f->name, (int)shown(value), value.ptr, shown(value) < value.len ? "..." : "");
	return -1;
}

static struct str without_quotes(struct str tok)
{
	return str_mem(tok.ptr + 1, tok.len - 2);
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
	struct cell *c = &r->cells[f->column[COL_STRING]];

	if (!r->d->nul_ok && memchr(text.ptr, 0, text.len))
		return refuse(why, "character U+0000 not possible", f, STR("\\u0000"));
	*c = (struct cell){.kind = CELL_TEXT, .s = text};
	return 0;
}

/* No column of the value's own type. */
static int put_other(struct rows *r, const struct layout_field *f, const char *type, struct str raw, struct refusal *why)
{
	char what[80];

	if (f->column[COL_STRING] != NO_COLUMN)
		return put_text(r, f, raw, why);
	snprintf(what, sizeof(what), "%s not possible", type);
	return refuse(why, what, f, raw);
}

static int put_string(struct rows *r, const struct layout_field *f, struct str tok, bool escaped, struct refusal *why)
{
	struct str text = text_of(r, tok, escaped);
	bool timed = f->column[COL_TIME] != NO_COLUMN;
	int64_t us;

	if (timed && timefmt_parse(text, &us) == 0) {
		r->cells[f->column[COL_TIME]] = (struct cell){.kind = CELL_TIME, .i = us};
		return 0;
	}
	if (f->column[COL_STRING] != NO_COLUMN)
		return put_text(r, f, text, why);
	return timed ? refuse(why, "invalid timestamp", f, text) : refuse(why, "string not possible", f, text);
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
		r->cells[at] = (struct cell){.kind = CELL_INT, .i = i};
		return 0;
	}
	if (r->lo->columns[at].type == COL_INTEGER) {
		if (f->column[COL_STRING] != NO_COLUMN)
			return put_text(r, f, tok, why);
		return refuse(why, decimal_is_integer(tok) ? "integer out of range" : "fraction not possible", f, tok);
	}
	if (r->d->int_digits && (decimal_parse(tok, &dec) || decimal_size(tok, r->d->int_digits + r->d->frac_digits, &precision, &scale) ||
					precision - scale > r->d->int_digits || scale > r->d->frac_digits))
		return refuse(why, "decimal out of range", f, tok);
	r->cells[at] = (struct cell){.kind = CELL_NUMBER, .s = tok};
	return 0;
}

static int put_value(struct rows *r, const struct layout_field *f, struct jscan *s, enum jscan_token t, struct refusal *why)
{
	switch (t) {
	case JSCAN_STRING:
		return put_string(r, f, s->tok, s->tok_escaped, why);
	case JSCAN_NUMBER:
		return put_number(r, f, s->tok, s->tok_integer, why);
	case JSCAN_TRUE:
	case JSCAN_FALSE:
		if (f->column[COL_BOOLEAN] == NO_COLUMN)
			return put_other(r, f, "boolean", s->tok, why);
		r->cells[f->column[COL_BOOLEAN]] = (struct cell){.kind = CELL_BOOL, .i = t == JSCAN_TRUE};
		return 0;
	case JSCAN_OBJECT:
		return put_other(r, f, "object", s->tok, why);
	case JSCAN_ARRAY:
		return put_other(r, f, "array", s->tok, why);
	default:
		return 0; /* null: the cell is NULL already */
	}
}

/* --- records --- */

static struct layout_field *field_of(struct rows *r, const struct jscan *s)
{
	const struct layout *lo = r->lo;
	struct str key = without_quotes(s->tok);
	struct layout_field *f;

	if (!s->tok_escaped && r->expected < lo->n_fields && str_eqc(key, lo->fields[r->expected].name))
		return &lo->fields[r->expected++];
	if (s->tok_escaped) {
		buf_truncate(&r->key, 0);
		jscan_unescape(s->tok, &r->key);
		key = buf_str(&r->key);
	}
	f = map_get(&lo->by_name, key);
	if (f)
		r->expected = (size_t)(f - lo->fields) + 1;
	return f;
}

static int put_field(struct rows *r, struct layout_field *f, struct jscan *s, enum jscan_token t, struct refusal *why)
{
	size_t at = (size_t)(f - r->lo->fields);

	/* the same key again: the last one counts, so what the first one set goes */
	if (r->stamp[at] == r->record)
		for (unsigned k = 0; k < COL_TYPES; k++)
			if (f->column[k] != NO_COLUMN)
				r->cells[f->column[k]] = (struct cell){.kind = CELL_NULL};
	r->stamp[at] = r->record;
	if (f->refused && t != JSCAN_NULL) {
		why->field = str_c(f->name);
		why->value = s->tok;
		buf_adds(&why->reason, f->refused);
		return -1;
	}
	return put_value(r, f, s, t, why);
}

static int unknown(struct rows *r, struct str name, struct str value, struct refusal *why)
{
	(void)r;
	why->field = without_quotes(name);
	why->value = value;
	buf_addf(&why->reason, "the job does not know the field " STR_FMT, STR_ARG(name));
	return -1;
}

/* 0; 1: refused; -1: not JSON */
static int put_fields(struct rows *r, struct str data, struct refusal *why, struct err *e)
{
	struct jscan s;
	enum jscan_token t;
	struct layout_field *f;
	struct str name;

	jscan_init(&s, data.ptr, data.len, 0);
	t = jscan_next(&s);
	while (t == JSCAN_OBJECT) {
		t = jscan_next(&s);
		if (t == JSCAN_OBJECT_END)
			return 0;
		if (t != JSCAN_KEY)
			break;
		f = field_of(r, &s);
		name = s.tok;
		t = jscan_next(&s);
		if (t == JSCAN_OBJECT || t == JSCAN_ARRAY)
			t = jscan_skip(&s);
		if (t < 0)
			break;
		if (!f && t != JSCAN_NULL) {
			unknown(r, name, s.tok, why);
			return 1;
		}
		if (f && put_field(r, f, &s, t, why))
			return 1;
		t = JSCAN_OBJECT;
	}
	return err_set(e, ERR_CORRUPT, "a record is no JSON object: %s", s.error ? s.error : "it ends too early");
}

static bool key_is_missing(struct rows *r, struct refusal *why)
{
	const struct layout *lo = r->lo;

	for (size_t k = 0; k < r->j->n_keys; k++) {
		if (lo->has_table && r->cells[lo->keys[k]].kind != CELL_NULL)
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
	const struct layout *lo = r->lo;

	if (lo->row_id != NO_COLUMN) {
		uuid_of(r->uuid, at->batch->queue_id, at->batch->partition, at->offset, at->index, r->row_id);
		r->cells[lo->row_id] = (struct cell){.kind = CELL_TEXT, .s = str_mem(r->row_id, UUID_LEN)};
	}
	r->cells[lo->received] = (struct cell){.kind = CELL_TIME, .i = at->received_at / 1000};
	r->cells[lo->batched] = (struct cell){.kind = CELL_TIME, .i = at->batch->cut_at / 1000};
	r->cells[lo->sequence] = (struct cell){.kind = CELL_INT, .i = out->sequence};
	r->cells[lo->version] = (struct cell){.kind = CELL_INT, .i = out->version};
}

/* 0, or -1 with why */
static int put_extracted(struct rows *r, struct str raw, struct refusal *why)
{
	struct str text;
	int64_t us;

	if (raw.len < 2 || raw.ptr[0] != '"')
		return 0;
	text = text_of(r, raw, memchr(raw.ptr, '\\', raw.len) != NULL);
	if (timefmt_parse(text, &us) == 0) {
		r->cells[r->lo->extracted] = (struct cell){.kind = CELL_TIME, .i = us};
		return 0;
	}
	why->field = STR("time_extracted");
	why->value = text;
	buf_addf(&why->reason, "invalid timestamp for time_extracted on [%.*s]", (int)shown(text), text.ptr);
	return -1;
}

enum rows_made rows_make(struct rows *r, const struct frame_record *rec, const struct place *at, struct row *out, struct refusal *why, struct err *e)
{
	int rc;

	if (rec->time_extracted.len > 4 && r->lo->extracted == NO_COLUMN)
		return ROWS_WANT_EXTRACTED;
	if (str_to_i64(rec->sequence, &out->sequence)) {
		err_set(e, ERR_CORRUPT, "a record has the sequence " STR_FMT, STR_ARG(rec->sequence));
		return ROWS_ERROR;
	}
	out->version = at->batch->table_version;
	out->cells = r->cells;
	for (size_t k = 0; k < r->lo->n; k++)
		r->cells[k] = (struct cell){.kind = CELL_NULL};
	r->record++;
	r->expected = 0;
	buf_truncate(&r->text, 0);
	buf_reserve(&r->text, rec->data.len + rec->time_extracted.len);
	rc = put_fields(r, rec->data, why, e);
	if (rc < 0)
		return ROWS_ERROR;
	if (rc > 0 || key_is_missing(r, why) || (r->lo->extracted != NO_COLUMN && put_extracted(r, rec->time_extracted, why)))
		return ROWS_REFUSED;
	put_ours(r, at, out);
	return ROWS_ROW;
}
