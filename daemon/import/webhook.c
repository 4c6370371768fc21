/*
 * webhook.c - bodies of incoming webhooks. Whoever sends them knows nothing of tables and sequences: an object is a record, an array of objects as many; the
 * table is `data`, or what a field of the record says; the key is a setting or there is none; the sequences are given by the caller.
 *
 * What can go wrong: a table's name in a record that cannot be one. Its sender cannot be told anything, so that record goes to `data`, with all it says.
 */
#include "daemon/import/webhook.h"

#include "daemon/import/decode.h"
#include "jwrite.h"
#include "utf8.h"

/* --- forms --- */

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A name or a value, its escapes resolved. -1: a % without two digits, or no UTF-8. */
static int unescape(struct str in, struct buf *out)
{
	const char *end;

	buf_truncate(out, 0);
	buf_reserve(out, in.len);
	for (size_t i = 0; i < in.len; i++) {
		char c = in.ptr[i] == '+' ? ' ' : in.ptr[i];

		if (c == '%') {
			int hi = i + 2 < in.len ? digit(in.ptr[i + 1]) : -1, lo = i + 2 < in.len ? digit(in.ptr[i + 2]) : -1;

			if (hi < 0 || lo < 0)
				return -1;
			c = (char)(hi << 4 | lo);
			i += 2;
		}
		out->data[out->len++] = c;
	}
	out->data[out->len] = '\0';
	end = out->data + out->len;
	for (const char *p = out->data; p < end;) {
		size_t n = utf8_len(p, end);

		if (!n)
			return -1;
		p += n;
	}
	return 0;
}

static struct str until(struct str *rest, char c)
{
	const char *p = rest->len ? memchr(rest->ptr, c, rest->len) : NULL;
	size_t n = p ? (size_t)(p - rest->ptr) : rest->len, skip = p ? n + 1 : n;
	struct str part = str_mem(rest->ptr, n);

	*rest = str_mem(rest->ptr + skip, rest->len - skip);
	return part;
}

int webhook_form(struct str body, const char *form, struct buf *out, struct refusal *r)
{
	const char *wanted = strncmp(form, "json:", 5) == 0 ? form + 5 : NULL;
	struct buf name = BUF_INIT, value = BUF_INIT;
	bool found = false;
	struct jwrite w;
	int rc = 0;

	jwrite_init(&w, out);
	if (!wanted)
		jwrite_object(&w);
	while (!rc && body.len) {
		struct str pair = until(&body, '&'), key = until(&pair, '=');

		if (!key.len)
			continue;
		if (unescape(key, &name) || unescape(pair, &value)) {
			rc = refuse_status(r, 400, "The form is malformed");
		} else if (!wanted) {
			jwrite_key_str(&w, buf_str(&name));
			jwrite_str(&w, buf_str(&value));
			found = true;
		} else if (str_eqc(buf_str(&name), wanted) && !found) {
			buf_addstr(out, buf_str(&value));
			found = true;
		}
	}
	if (!wanted)
		jwrite_object_end(&w);
	if (!rc && !found)
		rc = wanted ? refuse_status(r, 400, "The form has no field %.200s", wanted) : refuse_status(r, 400, "The form is empty");
	buf_free(&name);
	buf_free(&value);
	return rc;
}

/* --- records --- */

static int no_records(struct refusal *r)
{
	return refuse_status(r, 400, "An object or an array of objects is expected");
}

int webhook_count(struct str body, uint64_t *n, struct refusal *r)
{
	enum jscan_token t, first;
	bool others = false;
	struct jscan s;

	*n = 0;
	jscan_init(&s, body.ptr, body.len, IMPORT_DEPTH_MAX);
	first = jscan_next(&s);
	if (first == JSCAN_OBJECT) {
		*n = 1;
		if (jscan_skip(&s) == JSCAN_ERROR)
			return refuse_malformed(r, s.error, s.error_at);
	}
	while (first == JSCAN_ARRAY && (t = jscan_next(&s)) != JSCAN_ARRAY_END) {
		if (t <= JSCAN_END || ((t == JSCAN_OBJECT || t == JSCAN_ARRAY) && jscan_skip(&s) == JSCAN_ERROR))
			return refuse_malformed(r, s.error, s.error_at);
		others |= t != JSCAN_OBJECT;
		++*n;
	}
	if (first <= JSCAN_END || jscan_next(&s) != JSCAN_END)
		return refuse_malformed(r, s.error, s.error_at);
	if ((first != JSCAN_OBJECT && first != JSCAN_ARRAY) || others || !*n)
		return no_records(r);
	if (*n > IMPORT_RECORDS_MAX)
		return refuse_status(r, 400, "A request holds at most %u records; this one has %" PRIu64, IMPORT_RECORDS_MAX, *n);
	return 0;
}

/* The value of a top-level field of the record that begins here; the scanner stays where it is. The last of several counts. */
static struct str field_of(struct jscan s, const char *name)
{
	struct str found = STR_NULL;

	while (jscan_next(&s) == JSCAN_KEY) {
		bool it = jscan_string_is(s.tok, str_c(name));
		enum jscan_token t = jscan_skip(&s);

		if (it)
			found = t == JSCAN_STRING ? s.tok : STR_NULL;
	}
	return found;
}

static bool can_be_table(struct str name)
{
	return name.len && name.len <= QREC_TABLE_MAX && !memchr(name.ptr, '\0', name.len) && !name_climbs(name);
}

static struct group *group_of(struct intake *b, struct str raw, const struct source_rules *rules)
{
	struct str table = STR("data"), keys = STR("[]");
	struct group *g;
	struct jwrite w;
	struct buf text = BUF_INIT;

	if (b->last != GROUP_NONE && str_eq(b->groups[b->last].raw_table, raw))
		return &b->groups[b->last];
	if (raw.ptr) {
		struct str name = intake_unescape(b, raw);

		if (can_be_table(name))
			table = name;
	}
	g = intake_find_table(b, table);
	if (!g) {
		uint32_t at = (uint32_t)b->n_groups;

		g = intake_add_group(b);
		g->table = table;
		intake_index_table(b, at);
		if (rules->key) {
			jwrite_init(&w, &text);
			jwrite_array(&w);
			jwrite_string(&w, rules->key);
			jwrite_array_end(&w);
			keys = str_mem(memcpy(intake_alloc(b, text.len), text.data, text.len), text.len); /* names are slices of it */
			buf_free(&text);
		}
		if (group_set_keys(b, g, keys))
			g->n_keys = 0; /* not with a text that we wrote */
	}
	g->raw_table = raw;
	b->last = (uint32_t)(g - b->groups);
	return g;
}

int webhook_decode(struct intake *b, struct str body, const struct source_rules *rules, int64_t first, struct refusal *r)
{
	enum jscan_token t;
	struct jscan s;
	char sequence[24];

	intake_reset(b);
	jscan_init(&s, body.ptr, body.len, IMPORT_DEPTH_MAX);
	t = jscan_next(&s);
	if (t == JSCAN_ARRAY)
		t = jscan_next(&s);
	for (size_t n = 0; t == JSCAN_OBJECT && !r->status; n++, t = s.depth ? jscan_next(&s) : JSCAN_END) {
		struct group *g = group_of(b, rules->table_field ? field_of(s, rules->table_field) : STR_NULL, rules);

		if (record_read(b, g, &s, r))
			return r->status ? -1 : refuse_malformed(r, s.error, s.error_at);
		if (validate_record(b, g, n, r))
			return -1;
		snprintf(sequence, sizeof(sequence), "%" PRId64, first + (int64_t)n);
		record_keep(b, g, str_c(sequence), STR_NULL);
	}
	return r->status ? -1 : 0;
}
