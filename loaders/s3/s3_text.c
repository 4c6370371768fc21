/*
 * s3_text.c - rows into lines of CSV or JSON, and back for a look at the first of them. A JSON line is the sender's record byte for byte (numbers and strings as sent) with our columns put
 * in before its closing brace; CSV is made of typed cells.
 *
 * What can go wrong: in reading, anything: the object may have been changed by hand. So the readers take what is there as text, never past the end, and leave out what does not
 * fit. Fuzzed (t/fuzz/s3-sample.c).
 */
#include "loaders/s3/s3_text.h"

#include "jscan.h"
#include "timefmt.h"
#include "xalloc.h"

#define SAMPLE_COLUMNS 2000

/* --- writing --- */

static bool needs_quotes(const struct csv *c, struct str s)
{
	/* an empty string is not NULL; blanks at the ends are lost by some readers */
	if (!s.len || s.ptr[0] == ' ' || s.ptr[s.len - 1] == ' ')
		return true;
	for (size_t k = 0; k < s.len; k++)
		if (s.ptr[k] == c->delimiter || s.ptr[k] == '"' || s.ptr[k] == '\n' || s.ptr[k] == '\r')
			return true;
	return false;
}

void csv_text(const struct csv *c, struct buf *out, struct str text, bool null, bool first)
{
	const char *p = text.ptr, *end = text.ptr + text.len, *q;

	if (!first)
		buf_addc(out, c->delimiter);
	if (null)
		return;
	if (!c->force_quote && !needs_quotes(c, text)) {
		buf_addstr(out, text);
		return;
	}
	buf_addc(out, '"');
	while (p < end && (q = memchr(p, '"', (size_t)(end - p)))) {
		buf_add(out, p, (size_t)(q - p) + 1);
		buf_addc(out, '"');
		p = q + 1;
	}
	buf_add(out, p, (size_t)(end - p));
	buf_addc(out, '"');
}

void csv_end(struct buf *out)
{
	buf_adds(out, "\r\n");
}

void text_time(int64_t us, char out[48])
{
	char sql[TIMEFMT_MAX];
	size_t n = timefmt_sql(us, sql);

	memcpy(out, sql, n);
	for (size_t k = 0; k < n; k++)
		if (out[k] == ' ')
			out[k] = 'T';
	out[n] = 'Z';
	out[n + 1] = '\0';
}

struct str text_of_cell(const struct cell *c, char room[48])
{
	switch (c->kind) {
	case CELL_INT:
		return str_mem(room, (size_t)snprintf(room, 48, "%" PRId64, c->i));
	case CELL_BOOL:
		return c->i ? STR("true") : STR("false");
	case CELL_TIME:
		text_time(c->i, room);
		return str_c(room);
	case CELL_NULL:
		return STR_NULL;
	default:
		return c->s;
	}
}

static void our_member(struct buf *out, const struct column *col, const struct cell *c)
{
	char room[48];
	struct str text = text_of_cell(c, room);

	if (c->kind == CELL_NULL)
		return;
	/* names and values of ours need no escaping */
	if (out->data[out->len - 1] != '{')
		buf_addc(out, ',');
	if (c->kind == CELL_INT)
		buf_addf(out, "\"%s\":" STR_FMT, col->name, STR_ARG(text));
	else
		buf_addf(out, "\"%s\":\"" STR_FMT "\"", col->name, STR_ARG(text));
}

void jsonl_row(struct buf *out, const struct layout *lo, const struct row *row)
{
	struct str data = str_trim(row->data);
	size_t from = out->len;

	assert(data.len >= 2 && data.ptr[data.len - 1] == '}');
	buf_add(out, data.ptr, data.len - 1);
	/* a line end can only stand between values here */
	for (char *p = out->data + from; (p = memchr(p, '\n', (size_t)(out->data + out->len - p)));)
		*p = ' ';
	while (out->len > from + 1 && (out->data[out->len - 1] == ' ' || out->data[out->len - 1] == '\t' || out->data[out->len - 1] == '\r'))
		buf_truncate(out, out->len - 1);
	for (size_t k = lo->n_user; k < lo->n; k++)
		our_member(out, &lo->columns[k], &row->cells[k]);
	buf_adds(out, "}\n");
}

/* --- reading --- */

static json_t *text_json(struct str s)
{
	json_t *v = json_stringn(s.ptr ? s.ptr : "", s.len);

	return v ? v : json_string("(not UTF-8)");
}

/* One field from *p on; false: it is not whole. end_of_line: it was the last of its line. */
static bool csv_field(const struct csv *c, const char **p, const char *end, bool whole, struct buf *out, bool *null, bool *end_of_line)
{
	const char *s = *p;
	bool quoted = s < end && *s == '"';

	*null = !quoted;
	if (quoted) {
		for (s++;; s++) {
			if (s == end)
				return false;
			if (*s == '"' && (s + 1 == end || s[1] != '"'))
				break;
			s += *s == '"';
			buf_addc(out, *s);
		}
		s++;
	}
	while (s < end && *s != c->delimiter && *s != '\n') {
		*null = false;
		buf_addc(out, *s++);
	}
	if (s == end && !whole)
		return false;
	*end_of_line = s == end || *s == '\n';
	if (*end_of_line && !quoted && out->len && out->data[out->len - 1] == '\r')
		buf_truncate(out, out->len - 1);
	if (*end_of_line && quoted && out->len && s > *p && s[-1] == '\r')
		buf_truncate(out, out->len - 1);
	*null = !quoted && !out->len;
	*p = s < end ? s + 1 : end;
	return true;
}

static bool csv_line(const struct csv *c, const char **p, const char *end, bool whole, json_t *list)
{
	struct buf field = BUF_INIT;
	bool null, last = false, good = true;

	while (good && !last) {
		buf_truncate(&field, 0);
		good = json_array_size(list) < SAMPLE_COLUMNS && csv_field(c, p, end, whole, &field, &null, &last);
		if (good)
			json_array_append_new(list, null ? json_null() : text_json(buf_str(&field)));
	}
	buf_free(&field);
	return good;
}

void csv_sample(const struct csv *c, struct str text, bool whole, unsigned max, json_t *columns, json_t *rows)
{
	const char *p = text.ptr, *end = text.ptr + text.len;
	size_t k;
	json_t *v;

	if (!text.len)
		return;
	if (!csv_line(c, &p, end, whole, columns)) {
		json_array_clear(columns);
		return;
	}
	json_array_foreach(columns, k, v)
	{
		if (json_is_null(v))
			json_array_set_new(columns, k, json_string(""));
	}
	while (p < end && json_array_size(rows) < max) {
		json_t *row = json_array();

		if (!csv_line(c, &p, end, whole, row) || json_array_size(row) != json_array_size(columns)) {
			json_decref(row);
			return;
		}
		json_array_append_new(rows, row);
	}
}

/* The text of a string, the bytes of any other value. */
static json_t *value_text(const struct jscan *s, enum jscan_token t)
{
	struct buf text = BUF_INIT;
	json_t *v;

	if (t == JSCAN_NULL)
		return json_null();
	if (t != JSCAN_STRING)
		return text_json(s->tok);
	jscan_unescape(s->tok, &text);
	v = text_json(buf_str(&text));
	buf_free(&text);
	return v;
}

static void set_value(json_t *at, const char *key, json_t *value, json_t *columns, json_t *row)
{
	json_t *known = json_object_get(at, key);

	if (known) {
		json_array_set_new(row, (size_t)json_integer_value(known), value);
	} else if (json_array_size(columns) < SAMPLE_COLUMNS) {
		json_object_set_new(at, key, json_integer((json_int_t)json_array_size(columns)));
		json_array_append_new(columns, json_string(key));
		json_array_append_new(row, value);
	} else {
		json_decref(value);
	}
}

/* Records of one table have not all the same members: a column for each, in the order in which they are met. */
static bool add_record(struct str line, json_t *at, json_t *columns, json_t *row)
{
	struct jscan s;
	enum jscan_token t;
	struct buf key = BUF_INIT;
	bool good = false;

	for (size_t k = 0; k < json_array_size(columns); k++)
		json_array_append_new(row, json_null());
	jscan_init(&s, line.ptr, line.len, 0);
	t = jscan_next(&s);
	while (t == JSCAN_OBJECT) {
		t = jscan_next(&s);
		good = t == JSCAN_OBJECT_END;
		if (t != JSCAN_KEY)
			break;
		buf_truncate(&key, 0);
		jscan_unescape(s.tok, &key);
		t = jscan_next(&s);
		if (t == JSCAN_OBJECT || t == JSCAN_ARRAY)
			t = jscan_skip(&s);
		if (t < 0 || t == JSCAN_END)
			break;
		if (strlen(buf_cstr(&key)) == key.len)
			set_value(at, buf_cstr(&key), value_text(&s, t), columns, row);
		t = JSCAN_OBJECT;
	}
	buf_free(&key);
	return good;
}

void jsonl_sample(struct str text, bool whole, unsigned max, json_t *columns, json_t *rows)
{
	json_t *at = json_object(), *row;
	size_t k;

	while (text.len && json_array_size(rows) < max) {
		const char *nl = memchr(text.ptr, '\n', text.len);
		size_t n = nl ? (size_t)(nl - text.ptr) : text.len;

		row = json_array();
		if ((nl || whole) && add_record(str_mem(text.ptr, n), at, columns, row))
			json_array_append(rows, row);
		json_decref(row);
		text = nl ? str_mem(nl + 1, text.len - n - 1) : STR_NULL;
	}
	json_array_foreach(rows, k, row)
	{
		while (json_array_size(row) < json_array_size(columns))
			json_array_append_new(row, json_null());
	}
	json_decref(at);
}
