/*
 * decode.c - the body of POST /v2/import/batch into one group of lines, in one pass: keys of the top level may come in any order, so
 * messages that came before the schema or the key names are judged by what was counted of their fields, and read a second time only when
 * one of them must be wrong. Whatever is wrong, the document is read to its end: malformed JSON is told before anything else.
 */
#include "daemon/import/decode.h"

#include "decimal.h"

const struct str message_names[M_N] = {
	{"\"action\"", 8}, {"\"sequence\"", 10}, {"\"data\"", 6}, {"\"time_extracted\"", 16}};
const struct str batch_names[B_N] = {{"\"table_name\"", 12}, {"\"schema\"", 8}, {"\"messages\"", 10}, {"\"key_names\"", 11}, {"\"table_version\"", 15},
	{"\"bookmark_names\"", 16}};

size_t member_find(const struct jscan *s, const struct str *names, size_t n)
{
	size_t i = 0;

	if (!s->tok_escaped) {
		while (i < n && (names[i].len != s->tok.len || memcmp(names[i].ptr, s->tok.ptr, s->tok.len) != 0))
			i++;
		return i;
	}
	while (i < n && !jscan_string_is(s->tok, str_mem(names[i].ptr + 1, names[i].len - 2)))
		i++;
	return i;
}

int member_read(struct jscan *s, struct member *m)
{
	enum jscan_token t = jscan_skip(s);

	if (t == JSCAN_ERROR)
		return -1;
	m->type = jtype_of(t, s);
	m->escaped = t == JSCAN_STRING && s->tok_escaped;
	m->raw = s->tok;
	return 0;
}

bool member_is(const struct member *m, struct str quoted)
{
	if (m->type != J_STRING)
		return false;
	return m->escaped ? jscan_string_is(m->raw, str_mem(quoted.ptr + 1, quoted.len - 2)) : str_eq(m->raw, quoted);
}

int member_i64(const struct member *m, int64_t *out)
{
	return m->type == J_INTEGER ? decimal_to_i64(m->raw, out) : -1;
}

int decode_rest(struct jscan *s, struct refusal *r)
{
	enum jscan_token t;

	while ((t = jscan_next(s)) > JSCAN_END)
		;
	return t == JSCAN_END ? 0 : refuse_malformed(r, s->error, s->error_at);
}

struct decode {
	struct intake *b;
	struct jscan *s;
	struct refusal *r;
	const char *schema; /* where the schema stands that the records were judged by; NULL: by none */
	bool spoilt;   /* a message is no message: the others are only passed and counted */
	size_t n;      /* messages met */
	bool too_high; /* a sequence is not in int64 */
	bool too_low;
};

/* One message, its brace read. -1: malformed. */
static int read_message(struct decode *d, struct group *g)
{
	struct member m[M_N] = {{.type = J_ABSENT}};
	struct str extra = STR_NULL;
	enum jscan_token t;
	bool upsert, activate;

	while ((t = jscan_next(d->s)) == JSCAN_KEY) {
		size_t i = member_find(d->s, message_names, M_N);
		struct member other;

		if (i == M_N)
			extra = d->s->tok;
		if (i != M_DATA) {
			if (member_read(d->s, i == M_N ? &other : &m[i]))
				return -1;
			continue;
		}
		t = jscan_next(d->s);
		m[M_DATA].type = jtype_of(t, d->s);
		if (t == JSCAN_ERROR || (t == JSCAN_OBJECT && record_read(d->b, g, d->s, d->r)) ||
			(t == JSCAN_ARRAY && jscan_skip(d->s) == JSCAN_ERROR))
			return -1;
	}
	if (t != JSCAN_OBJECT_END)
		return -1;
	upsert = m[M_DATA].type == J_OBJECT && (m[M_TIME_EXTRACTED].type == J_STRING || m[M_TIME_EXTRACTED].type == J_ABSENT) &&
		member_is(&m[M_ACTION], STR("\"upsert\""));
	activate = m[M_DATA].type == J_ABSENT && m[M_TIME_EXTRACTED].type == J_ABSENT && member_is(&m[M_ACTION], STR("\"activate_version\""));
	if (!(upsert || activate) || extra.ptr || (m[M_SEQUENCE].type != J_INTEGER && m[M_SEQUENCE].type != J_BIGNUM)) {
		validate_message(d->b, d->n, J_OBJECT, m, extra);
		d->spoilt = true;
		return 0;
	}
	if (m[M_SEQUENCE].type == J_BIGNUM) {
		d->too_low = m[M_SEQUENCE].raw.ptr[0] == '-';
		d->too_high = !d->too_low;
		d->spoilt = true;
		return 0;
	}
	if (activate) {
		group_add_activate(g, m[M_SEQUENCE].raw);
		return 0;
	}
	/* what is wrong with a record is told only if the request's form is right, so the reading goes on */
	if (!d->r->status && validate_record(d->b, g, d->n, d->r) == 0)
		record_keep(d->b, g, m[M_SEQUENCE].raw, m[M_TIME_EXTRACTED].raw);
	return 0;
}

#define REJECTS_TEXT (1u << 20) /* of the reasons; beyond it only the numbers are told */

/* A message that was found bad, in a request that may be taken in part: told beside the answer, and the others go on. */
static void set_aside(struct decode *d)
{
	struct intake *b = d->b;
	struct refusal *r = d->r;

	if (d->too_high || d->too_low)
		refuse_error(r, 400, "sequence can not be %s", d->too_high ? "above 9223372036854775807" : "below -9223372036854775808");
	else if (violations_refuse(b, r) == 0 && !r->status)
		refuse_error(r, 400, "it is no message");
	buf_addf(&b->rejects, "%s{\"record\":%zu", b->n_rejects++ ? "," : "", d->n);
	if (b->rejects.len < REJECTS_TEXT) {
		buf_addc(&b->rejects, ',');
		buf_add(&b->rejects, r->body.data + 1, r->body.len - 1); /* without its brace */
	} else {
		buf_addc(&b->rejects, '}');
	}
	refusal_reset(r);
	buf_truncate(&b->violations, 0);
	b->n_violations = 0;
	d->spoilt = d->too_high = d->too_low = false;
}

/* The array of messages, its bracket read. -1: malformed. */
static int read_messages(struct decode *d, struct group *g)
{
	static const struct member none[M_N];
	enum jscan_token t;

	d->n = 0;
	buf_truncate(&d->b->rejects, 0);
	d->b->n_rejects = 0;
	while ((t = jscan_next(d->s)) != JSCAN_ARRAY_END) {
		bool partial = d->b->partial && !d->b->n_violations;

		if (t <= JSCAN_END)
			return -1;
		if (t == JSCAN_OBJECT && !d->spoilt && d->n < IMPORT_RECORDS_MAX) {
			if (read_message(d, g))
				return -1;
		} else {
			if ((t == JSCAN_OBJECT || t == JSCAN_ARRAY) && jscan_skip(d->s) == JSCAN_ERROR)
				return -1;
			if (t != JSCAN_OBJECT && !d->spoilt) {
				validate_message(d->b, d->n, jtype_of(t, d->s), none, STR_NULL);
				d->spoilt = true;
			}
		}
		if (partial && (d->spoilt || d->r->status))
			set_aside(d);
		d->n++;
	}
	return 0;
}

/* What messages are checked against, from what is known so far. */
static void set_rules(struct intake *b, struct group *g, const struct member m[B_N])
{
	const struct schema *schema;

	g->rules = NULL;
	g->schema_error = NULL;
	g->n_keys = 0;
	g->key_names = STR("[]");
	if (m[B_SCHEMA].type == J_OBJECT) {
		schema = schema_get(b->schemas, m[B_SCHEMA].raw);
		g->schema = buf_str(&schema->minified);
		g->schema_error = schema->error;
		g->rules = schema->rules;
		g->plain = schema->rules && jschema_is_plain(schema->rules);
		g->n_required = schema->rules ? jschema_required(schema->rules) : 0;
	}
	/* elements that are no strings are a violation of their own */
	if (m[B_KEY_NAMES].type == J_ARRAY && group_set_keys(b, g, m[B_KEY_NAMES].raw))
		g->n_keys = 0;
}

/* The rules came after the messages: to be judged by counts. Else, or if they are there twice, they are read again, from their slice. */
static int read_again(struct decode *d, const struct member m[B_N], bool twice)
{
	struct jscan s, *outer = d->s;
	int rc = 0;

	if (d->spoilt || m[B_MESSAGES].type != J_ARRAY)
		return 0;
	if (!twice && !d->r->status) {
		set_rules(d->b, &d->b->groups[0], m);
		if (validate_counts(&d->b->groups[0], m[B_SCHEMA].raw.ptr == d->schema))
			return 0;
	}
	refusal_reset(d->r);
	d->b->n_groups = 0;
	set_rules(d->b, intake_add_group(d->b), m);
	jscan_init(&s, m[B_MESSAGES].raw.ptr, m[B_MESSAGES].raw.len, 0);
	d->s = &s;
	if (jscan_next(&s) != JSCAN_ARRAY || read_messages(d, &d->b->groups[0]))
		rc = -1;
	d->s = outer;
	return rc;
}

/* All of the top level. -1: malformed. */
static int read_top(struct decode *d, struct member m[B_N])
{
	bool again = false, twice = false, read = false;
	enum jscan_token t;

	while ((t = jscan_next(d->s)) == JSCAN_KEY) {
		size_t i = member_find(d->s, batch_names, B_N);
		struct str key = d->s->tok;
		struct member other;
		const char *start;

		if (i == B_N) {
			if (member_read(d->s, &other))
				return -1;
			violation(d->b, "#: extraneous key [%.*s] is not permitted", (int)MIN(key.len - 2, 200), key.ptr + 1);
			continue;
		}
		if (i != B_MESSAGES || read) {
			again |= read && (i == B_SCHEMA || i == B_KEY_NAMES || i == B_MESSAGES);
			twice |= read && i == B_MESSAGES;
			if (member_read(d->s, &m[i]))
				return -1;
			continue;
		}
		t = jscan_next(d->s);
		start = d->s->p - 1;
		m[i].type = jtype_of(t, d->s);
		if (t == JSCAN_ERROR || (t == JSCAN_OBJECT && jscan_skip(d->s) == JSCAN_ERROR))
			return -1;
		if (t == JSCAN_ARRAY) {
			read = true;
			d->schema = m[B_SCHEMA].raw.ptr;
			set_rules(d->b, &d->b->groups[0], m);
			if (read_messages(d, &d->b->groups[0]))
				return -1;
			m[i].raw = str_mem(start, (size_t)(d->s->p - start));
		}
	}
	if (t != JSCAN_OBJECT_END || jscan_next(d->s) != JSCAN_END)
		return -1;
	return again ? read_again(d, m, twice) : 0;
}

/* All is read: what is wrong with the request, in the order in which the public API tells it. */
static int judge(struct decode *d, struct group *g, const struct member m[B_N])
{
	struct refusal record = *d->r; /* what is wrong with a record comes last */
	int rc;

	*d->r = (struct refusal){.status = 0};
	validate_top(d->b, m, d->n);
	rc = violations_refuse(d->b, d->r);
	if (!rc && d->too_high)
		rc = refuse_error(d->r, 400, "Request failed validation:#: sequence can not be above 9223372036854775807");
	else if (!rc && d->too_low)
		rc = refuse_error(d->r, 400, "Request failed validation:#: sequence can not be below -9223372036854775808");
	else if (!rc && g->schema_error)
		rc = refuse_error(d->r, 400, "Invalid JSON schema: %s", g->schema_error);
	if (rc || !record.status) {
		buf_free(&record.body);
		return rc;
	}
	buf_free(&d->r->body);
	*d->r = record;
	return -1;
}

static int refuse_all(struct intake *b, struct refusal *r)
{
	struct buf body = BUF_INIT;

	buf_addf(&body, "{\"status\":\"ERROR\",\"message\":\"No record was accepted\",\"rejected\":[%s]}", buf_cstr(&b->rejects));
	refuse_json(r, 400, buf_cstr(&body));
	buf_free(&body);
	return -1;
}

int decode_batch(struct intake *b, struct str body, struct refusal *r)
{
	struct member m[B_N] = {{.type = J_ABSENT}};
	struct decode d = {.b = b, .r = r};
	enum jscan_token t;
	struct group *g;
	struct jscan s;

	intake_reset(b);
	d.s = &s;
	intake_add_group(b);
	jscan_init(&s, body.ptr, body.len, IMPORT_DEPTH_MAX);
	t = jscan_next(&s);
	if (t != JSCAN_OBJECT) {
		enum jtype found = jtype_of(t, &s);

		if (t <= JSCAN_END || decode_rest(&s, r))
			return r->status ? -1 : refuse_malformed(r, s.error, s.error_at);
		return refuse_error(r, 400, "Request failed validation:#: expected type: JSONObject, found: %s", jtype_name(found));
	}
	if (read_top(&d, m))
		return refuse_malformed(r, s.error, s.error_at);
	g = &b->groups[0];
	if (judge(&d, g, m))
		return -1;
	if (b->n_rejects && !g->lines)
		return refuse_all(b, r);
	g->table = intake_unescape(b, m[B_TABLE_NAME].raw);
	if (m[B_TABLE_VERSION].type == J_INTEGER && member_i64(&m[B_TABLE_VERSION], &g->table_version))
		g->table_version = 0;
	return 0;
}
