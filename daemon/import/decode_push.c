/*
 * decode_push.c - the body of POST /v2/import/push (JSON, or Transit once it is JSON) into groups of lines, one per (table, key names, table version). A message's keys may
 * come in any order (Java clients send them by hash), so a message is passed first and its data read once its table is known. Who may send
 * is judged over all messages before any field is: the first message that is wrong is told, with all that is wrong with it.
 */
#include "daemon/import/decode.h"

#include "decimal.h"
#include "jwrite.h"

enum { P_CLIENT_ID, P_TABLE_NAME, P_SEQUENCE, P_ACTION, P_KEY_NAMES, P_DATA, P_TABLE_VERSION, P_N };
static const struct str push_names[P_N] = {{"\"client_id\"", 11}, {"\"table_name\"", 12}, {"\"sequence\"", 10}, {"\"action\"", 8}, {"\"key_names\"", 11},
	{"\"data\"", 6}, {"\"table_version\"", 15}};

struct push {
	struct intake *b;
	struct refusal *r;
	struct refusal fields; /* of the first message with wrong fields */
	int64_t client_id;
	size_t n;
	bool no_client, other_client, first_other, several, no_object;
};

/* {"table_name":["can't be blank"],...} of one message */
struct faults {
	struct buf text;
	struct jwrite w;
	unsigned n;
};

static void fault(struct faults *f, const char *field, const char *text)
{
	if (!f->n++) {
		jwrite_init(&f->w, &f->text);
		jwrite_object(&f->w);
		jwrite_kv_string(&f->w, "status", "ERROR");
		jwrite_kv_string(&f->w, "error", "Request cannot be processed; see errors.");
		jwrite_key(&f->w, "errors");
		jwrite_array(&f->w);
		jwrite_object(&f->w);
		jwrite_key(&f->w, "reason");
		jwrite_object(&f->w);
	}
	jwrite_key(&f->w, field);
	jwrite_array(&f->w);
	jwrite_string(&f->w, text);
	jwrite_array_end(&f->w);
}

static void faults_end(struct faults *f, struct refusal *r)
{
	if (f->n) {
		jwrite_object_end(&f->w);
		jwrite_object_end(&f->w);
		jwrite_array_end(&f->w);
		jwrite_object_end(&f->w);
		refuse_json(r, 422, buf_cstr(&f->text));
	}
	buf_free(&f->text);
}

static void judge_client(struct push *p, const struct member *m)
{
	int64_t id;

	if (member_i64(m, &id)) {
		p->no_client = true;
		return;
	}
	if (!p->n)
		p->first_other = id != p->client_id;
	else if ((id != p->client_id) != p->first_other)
		p->several = true;
	p->other_client |= id != p->client_id;
}

static void check_table(struct intake *b, const struct member *m, struct faults *f)
{
	buf_truncate(&b->key, 0);
	if (m->type == J_STRING)
		jscan_unescape(m->raw, &b->key);
	if (!b->key.len)
		fault(f, "table_name", "can't be blank");
	else if (b->key.len > QREC_TABLE_MAX)
		fault(f, "table_name", "is too long (maximum is 1024 bytes)");
	else if (memchr(b->key.data, '\0', b->key.len))
		fault(f, "table_name", "can't hold the character U+0000");
	else if (name_climbs(buf_str(&b->key)))
		fault(f, "table_name", "can't hold the path element ..");
}

static void check_sequence(const struct member *m, struct faults *f)
{
	if (m->type == J_NUMBER)
		fault(f, "sequence", "should be an integer");
	else if (m->type == J_BIGNUM)
		fault(f, "sequence", "can not be above 9223372036854775807");
	else if (m->type != J_INTEGER)
		fault(f, "sequence", "should be a number");
}

/* What is wrong with the names of the key; NULL: nothing. */
static const char *wrong_keys(struct intake *b, struct str raw)
{
	enum jscan_token t;
	struct jscan s;
	unsigned n = 0;

	jscan_init(&s, raw.ptr, raw.len, 0);
	for (t = jscan_next(&s); (t = jscan_next(&s)) == JSCAN_STRING;) {
		if (++n > IMPORT_KEYS_MAX)
			return "are too many (maximum is 100)";
		if (has_nul(b, &s))
			return "can't hold the character U+0000";
	}
	return t == JSCAN_ARRAY_END && n ? NULL : "can't be blank";
}

/* The fields that do not need the data. upsert: which of the two actions it is. */
static void check_fields(struct push *p, const struct member m[P_N], struct faults *f, bool *upsert)
{
	bool action = m[P_ACTION].type == J_STRING;
	const char *keys;
	int64_t version;

	*upsert = member_is(&m[P_ACTION], STR("\"upsert\""));
	check_table(p->b, &m[P_TABLE_NAME], f);
	check_sequence(&m[P_SEQUENCE], f);
	if (!action)
		fault(f, "action", "can't be blank");
	else if (!*upsert && !member_is(&m[P_ACTION], STR("\"switch_view\"")))
		fault(f, "action", "should be upsert or switch_view");
	if (m[P_TABLE_VERSION].type != J_ABSENT && m[P_TABLE_VERSION].type != J_NULL && m[P_TABLE_VERSION].type != J_INTEGER)
		fault(f, "table_version", "should be an integer");
	else if (!member_i64(&m[P_TABLE_VERSION], &version) && version < 0)
		fault(f, "table_version", "should not be negative");
	if (!*upsert)
		return;
	keys = m[P_KEY_NAMES].type == J_ARRAY ? wrong_keys(p->b, m[P_KEY_NAMES].raw) : "can't be blank";
	if (keys)
		fault(f, "key_names", keys);
	if (m[P_DATA].type != J_OBJECT)
		fault(f, "data", "data must be an object");
}

static void check_keys(struct intake *b, struct group *g, struct faults *f)
{
	const char *text = NULL;
	struct str value;

	for (size_t i = 0; i < g->n_keys && !text; i++) {
		enum jtype t = record_field(b, g, g->keys[i], &value);

		if (t == J_ABSENT)
			text = "data must include keys";
		else if (t == J_NULL)
			text = "keys cannot not be null in data";
		else if (t == J_STRING && value.len > IMPORT_KEY_CHARS_MAX && count_chars(value) > IMPORT_KEY_CHARS_MAX)
			text = "String keys cannot be longer than 1024 characters";
	}
	if (text)
		fault(f, "data", text);
}

static bool same_group(const struct group *g, const struct member m[P_N], int64_t version)
{
	return g->table_version == version && str_eq(g->raw_table, m[P_TABLE_NAME].raw) && str_eq(g->raw_keys, m[P_KEY_NAMES].raw);
}

/* A group of this table, after the last one of its chain. */
static struct group *add_group(struct push *p, struct str table, struct group *first, struct group *last)
{
	uint32_t at = (uint32_t)p->b->n_groups, head = first ? first->first : at;
	struct group *g;

	if (last)
		last->next = at;
	g = intake_add_group(p->b);
	g->table = table;
	g->first = head;
	if (head == at)
		intake_index_table(p->b, at);
	return g;
}

/* The group of a message; made when it is new. What activates a version goes with the upserts of that version. */
static struct group *group_of(struct push *p, const struct member m[P_N], bool upsert)
{
	struct intake *b = p->b;
	struct group *g, *first, *last = NULL, keys = {.n_keys = 0};
	struct str table;
	int64_t version = 0;

	if (m[P_TABLE_VERSION].type == J_INTEGER && member_i64(&m[P_TABLE_VERSION], &version))
		version = 0;
	if (upsert && b->last != GROUP_NONE && same_group(&b->groups[b->last], m, version))
		return &b->groups[b->last];
	table = intake_unescape(b, m[P_TABLE_NAME].raw);
	first = intake_find_table(b, table);
	keys.key_names = STR("[]");
	if (upsert && group_set_keys(b, &keys, m[P_KEY_NAMES].raw))
		return NULL;
	for (g = first; g; last = g, g = g->next == GROUP_NONE ? NULL : &b->groups[g->next])
		if (g->table_version == version && (!upsert || !g->records || str_eq(g->key_names, keys.key_names)))
			break;
	if (!g) {
		g = add_group(p, table, first, last);
		g->table_version = version;
		g->key_names = keys.key_names;
	}
	if (!upsert)
		return g;
	if (!g->records) {
		g->key_names = keys.key_names;
		g->keys = keys.keys;
		g->n_keys = keys.n_keys;
	}
	g->raw_table = m[P_TABLE_NAME].raw;
	g->raw_keys = m[P_KEY_NAMES].raw;
	b->last = (uint32_t)(g - b->groups);
	return g;
}

/* A message whose form is right becomes a line. */
static void keep_message(struct push *p, const struct member m[P_N], bool upsert, struct faults *f)
{
	struct group *g = group_of(p, m, upsert);
	struct jscan s;
	int rc;

	assert(g); /* check_fields has looked at the key names */
	if (!upsert) {
		group_add_activate(g, m[P_SEQUENCE].raw);
		return;
	}
	jscan_init(&s, m[P_DATA].raw.ptr, m[P_DATA].raw.len, 0);
	rc = jscan_next(&s) != JSCAN_OBJECT || record_read(p->b, g, &s, &p->fields);
	assert(!rc); /* it was passed, so it is well formed */
	if (p->b->data.len > IMPORT_RECORD_MAX)
		refuse_status(&p->fields, 413, "Request rejected: record size (%zu bytes) exceeds the maximum", p->b->data.len);
	check_keys(p->b, g, f);
	if (!f->n && !p->fields.status)
		record_keep(p->b, g, m[P_SEQUENCE].raw, STR_NULL);
}

/* One message, its brace read. -1: malformed. */
static int read_message(struct push *p, struct jscan *s)
{
	struct member m[P_N] = {{.type = J_ABSENT}}, other;
	struct faults f = {.n = 0};
	enum jscan_token t;
	bool upsert;

	while ((t = jscan_next(s)) == JSCAN_KEY) {
		size_t i = member_find(s, push_names, P_N);

		if (member_read(s, i < P_N ? &m[i] : &other))
			return -1;
	}
	if (t != JSCAN_OBJECT_END)
		return -1;
	judge_client(p, &m[P_CLIENT_ID]);
	if (p->fields.status || p->no_client || p->other_client)
		return 0;
	check_fields(p, m, &f, &upsert);
	if (!f.n)
		keep_message(p, m, upsert, &f);
	faults_end(&f, &p->fields);
	return 0;
}

/* All was read: who sent it, then how much, then the fields. */
static int judge(struct push *p)
{
	struct refusal *r = p->r;

	if (p->no_object || !p->n)
		return refuse_status(r, 400, "An array of records is expected");
	if (p->no_client)
		return refuse_json(r, 401, "{\"status\":\"ERROR\",\"error\":\"Not Authenticated.\",\"errors\":null}");
	if (p->several) {
		char body[300];

		snprintf(body, sizeof(body),
			"{\"status\":\"ERROR\",\"error\":\"Request cannot be processed; see errors.\",\"errors\":[{\"reason\":\"The batch contains data points "
			"for multiple clients. Only client_id %" PRId64 " is allowed\"}]}",
			p->client_id);
		return refuse_json(r, 422, body);
	}
	if (p->other_client)
		return refuse_json(r, 403,
			"{\"status\":\"ERROR\",\"error\":\"Forbidden\",\"errors\":{\"error\":\"Access token is not associated with this client.\"}}");
	if (p->n > IMPORT_RECORDS_MAX)
		return refuse_status(r, 400, "A request holds at most %u records; this one has %zu", IMPORT_RECORDS_MAX, p->n);
	return p->fields.status ? refuse_json(r, p->fields.status, buf_cstr(&p->fields.body)) : 0;
}

static int read_push(struct intake *b, struct str body, const struct transit *types, int64_t client_id, struct refusal *r)
{
	struct push p = {.b = b, .r = r, .client_id = client_id};
	enum jscan_token t;
	struct jscan s;
	int rc = -1;

	intake_reset(b);
	b->types = types;
	jscan_init(&s, body.ptr, body.len, IMPORT_DEPTH_MAX);
	t = jscan_next(&s);
	if (t != JSCAN_ARRAY) {
		if (t <= JSCAN_END || decode_rest(&s, r))
			return r->status ? -1 : refuse_malformed(r, s.error, s.error_at);
		return refuse_status(r, 400, "An array of records is expected");
	}
	while ((t = jscan_next(&s)) != JSCAN_ARRAY_END) {
		if (t == JSCAN_OBJECT && p.n < IMPORT_RECORDS_MAX) {
			if (read_message(&p, &s))
				goto malformed;
		} else {
			p.no_object |= t != JSCAN_OBJECT;
			if (t <= JSCAN_END || ((t == JSCAN_OBJECT || t == JSCAN_ARRAY) && jscan_skip(&s) == JSCAN_ERROR))
				goto malformed;
		}
		p.n++;
	}
	if (jscan_next(&s) != JSCAN_END)
		goto malformed;
	rc = judge(&p);
	buf_free(&p.fields.body);
	return rc;
malformed:
	buf_free(&p.fields.body);
	return refuse_malformed(r, s.error, s.error_at);
}

int decode_push(struct intake *b, struct str body, int64_t client_id, struct refusal *r)
{
	return read_push(b, body, NULL, client_id, r);
}

int decode_transit(struct intake *b, struct str body, struct refusal *r)
{
	struct transit *t = b->transit;
	size_t max = MIN(MAX(body.len * IMPORT_TRANSIT_TIMES, IMPORT_TRANSIT_LEAST), IMPORT_TRANSIT_MAX);

	if (transit_decode(t, body, IMPORT_DEPTH_MAX, max) == 0)
		return 0;
	if (t->too_long)
		return refuse_status(r, 413, "Request rejected: request size (more than %zu bytes once the Transit is decoded) exceeds the maximum", max);
	return refuse_malformed(r, t->error, t->error_at);
}

int decode_push_transit(struct intake *b, int64_t client_id, struct refusal *r)
{
	return read_push(b, buf_str(&b->transit->out), b->transit, client_id, r);
}
