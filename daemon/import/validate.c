/*
 * validate.c - the form of a batch request and of its records, in the words of the public API (import-api.md): its validator's texts are matched by
 * clients' tests and read by their users. Violations are gathered as text; one is told alone, several after a line that counts them.
 */
#include "daemon/import/decode.h"

#define VIOLATIONS_MAX 10u /* told; more are counted */
#define RECORD_STEPS 1000000u /* a schema may take so many for one record */

void violation(struct intake *b, const char *fmt, ...)
{
	char text[2000];
	va_list ap;

	if (b->n_violations++ >= VIOLATIONS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (b->n_violations > 1)
		buf_addc(&b->violations, ' ');
	buf_adds(&b->violations, text);
}

int violations_refuse(struct intake *b, struct refusal *r)
{
	if (!b->n_violations)
		return 0;
	if (b->n_violations == 1)
		return refuse_error(r, 400, "Request failed validation:%s", buf_cstr(&b->violations));
	return refuse_error(r, 400, "Request failed validation:#: %u schema violations found %s", b->n_violations, buf_cstr(&b->violations));
}

static const char *bare(struct str quoted, char out[64])
{
	(void)str_copy(out, 64, str_mem(quoted.ptr + 1, quoted.len - 2));
	return out;
}

static void expect(struct intake *b, const struct member m[B_N], unsigned i, enum jtype wanted)
{
	char name[64];

	if (m[i].type == J_ABSENT || m[i].type == wanted)
		return;
	violation(b, "#/%s: expected type: %s, found: %s", bare(batch_names[i], name), jtype_name(wanted), jtype_name(m[i].type));
}

bool has_nul(struct intake *b, const struct jscan *s)
{
	if (!s->tok_escaped)
		return false;
	buf_truncate(&b->key, 0);
	jscan_unescape(s->tok, &b->key);
	return memchr(b->key.data, '\0', b->key.len) != NULL;
}

static void expect_strings(struct intake *b, const struct member *m, const char *name, unsigned max)
{
	enum jscan_token t;
	struct jscan s;
	size_t n = 0;

	if (m->type != J_ARRAY)
		return;
	jscan_init(&s, m->raw.ptr, m->raw.len, 0);
	for (t = jscan_next(&s); (t = jscan_next(&s)) != JSCAN_ARRAY_END && t > JSCAN_END; n++) {
		enum jtype type = jtype_of(t, &s);

		if (type <= J_ARRAY && jscan_skip(&s) == JSCAN_ERROR)
			return;
		if (type != J_STRING)
			violation(b, "#/%s/%zu: expected type: String, found: %s", name, n, jtype_name(type));
		else if (has_nul(b, &s))
			violation(b, "#/%s/%zu: the character U+0000 is not permitted", name, n);
	}
	if (n > max)
		violation(b, "#/%s: expected maximum item count: %u, found: %zu", name, max, n);
}

bool name_climbs(struct str name)
{
	size_t from = 0;

	for (size_t i = 0; i <= name.len; i++) {
		if (i < name.len && name.ptr[i] != '/')
			continue;
		if (i - from == 2 && memcmp(name.ptr + from, "..", 2) == 0)
			return true;
		from = i + 1;
	}
	return false;
}

static void check_table_name(struct intake *b, const struct member *m)
{
	size_t len;

	if (m->type != J_STRING)
		return;
	buf_truncate(&b->key, 0);
	jscan_unescape(m->raw, &b->key);
	len = b->key.len;
	if (!len)
		violation(b, "#/table_name: expected minLength: 1, actual: 0");
	else if (len > QREC_TABLE_MAX)
		violation(b, "#/table_name: expected maxLength: %u, actual: %zu", QREC_TABLE_MAX, len);
	else if (memchr(b->key.data, '\0', len))
		violation(b, "#/table_name: the character U+0000 is not permitted");
	else if (name_climbs(buf_str(&b->key)))
		violation(b, "#/table_name: the path element [..] is not permitted");
}

void validate_top(struct intake *b, const struct member m[B_N], size_t messages)
{
	static const unsigned char required[] = {B_TABLE_NAME, B_SCHEMA, B_MESSAGES};
	char name[64];

	for (size_t i = 0; i < ARRAY_LEN(required); i++)
		if (m[required[i]].type == J_ABSENT)
			violation(b, "#: required key [%s] not found", bare(batch_names[required[i]], name));
	expect(b, m, B_TABLE_NAME, J_STRING);
	expect(b, m, B_SCHEMA, J_OBJECT);
	expect(b, m, B_MESSAGES, J_ARRAY);
	expect(b, m, B_KEY_NAMES, J_ARRAY);
	expect(b, m, B_BOOKMARK_NAMES, J_ARRAY);
	check_table_name(b, &m[B_TABLE_NAME]);
	expect_strings(b, &m[B_KEY_NAMES], "key_names", IMPORT_KEYS_MAX);
	expect_strings(b, &m[B_BOOKMARK_NAMES], "bookmark_names", UINT32_MAX);
	if (m[B_TABLE_VERSION].type == J_BIGNUM)
		violation(b, "#/table_version: it must be from 0 to 9223372036854775807");
	else if (m[B_TABLE_VERSION].type == J_INTEGER && m[B_TABLE_VERSION].raw.ptr[0] == '-' && m[B_TABLE_VERSION].raw.ptr[1] != '0')
		violation(b, "#/table_version: " STR_FMT " is not greater or equal to 0", STR_ARG(m[B_TABLE_VERSION].raw));
	else
		expect(b, m, B_TABLE_VERSION, J_INTEGER);
	if (m[B_MESSAGES].type == J_ARRAY && !messages)
		violation(b, "#/messages: expected minimum item count: 1, found: 0");
	if (messages > IMPORT_RECORDS_MAX)
		violation(b, "#/messages: expected maximum item count: %u, found: %zu", IMPORT_RECORDS_MAX, messages);
}

/* --- a message: 0 of the 2 subschemas matched --- */

struct list {
	struct buf text;
	unsigned n;
};

static void add(struct list *l, size_t message, const char *fmt, ...) PRINTF(3, 4);

static void add(struct list *l, size_t message, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_addf(&l->text, " #/messages/%zu%s", message, text);
	l->n++;
}

static void add_member(struct list *l, size_t n, const struct member m[M_N], unsigned i, enum jtype wanted)
{
	char name[64];

	bare(message_names[i], name);
	if (m[i].type == J_ABSENT) {
		if (i != M_TIME_EXTRACTED)
			add(l, n, ": required key [%s] not found", name);
	} else if (m[i].type != wanted && !(wanted == J_INTEGER && m[i].type == J_BIGNUM)) {
		add(l, n, "/%s: expected type: %s, found: %s", name, jtype_name(wanted), jtype_name(m[i].type));
	}
}

static void add_action(struct list *l, size_t n, const struct member *action, const char *wanted)
{
	char value[200];

	if (action->type == J_ABSENT)
		add(l, n, ": required key [action] not found");
	else if (action->type != J_STRING)
		add(l, n, "/action: expected type: String, found: %s", jtype_name(action->type));
	else if (!jscan_string_is(action->raw, str_c(wanted)))
		add(l, n, "/action: %s is not a valid enum value", (str_copy(value, sizeof(value), str_mem(action->raw.ptr + 1, action->raw.len - 2)), value));
}

static void tell(struct list *l, size_t n, struct buf *out)
{
	if (l->n > 1)
		buf_addf(out, " #/messages/%zu: %u schema violations found", n, l->n);
	buf_addstr(out, buf_str(&l->text));
	buf_free(&l->text);
}

void validate_message(struct intake *b, size_t n, enum jtype type, const struct member m[M_N], struct str extra)
{
	struct list upsert = {.n = 0}, activate = {.n = 0};
	struct buf out = BUF_INIT;
	char key[200];

	if (type != J_OBJECT) {
		add(&upsert, n, ": expected type: JSONObject, found: %s", jtype_name(type));
		add(&activate, n, ": expected type: JSONObject, found: %s", jtype_name(type));
	} else {
		add_action(&upsert, n, &m[M_ACTION], "upsert");
		add_member(&upsert, n, m, M_SEQUENCE, J_INTEGER);
		add_member(&upsert, n, m, M_DATA, J_OBJECT);
		add_member(&upsert, n, m, M_TIME_EXTRACTED, J_STRING);
		add_action(&activate, n, &m[M_ACTION], "activate_version");
		add_member(&activate, n, m, M_SEQUENCE, J_INTEGER);
		if (m[M_DATA].type != J_ABSENT)
			add(&activate, n, ": extraneous key [data] is not permitted");
		if (m[M_TIME_EXTRACTED].type != J_ABSENT)
			add(&activate, n, ": extraneous key [time_extracted] is not permitted");
		if (extra.ptr) {
			(void)str_copy(key, sizeof(key), str_mem(extra.ptr + 1, extra.len - 2));
			add(&upsert, n, ": extraneous key [%s] is not permitted", key);
			add(&activate, n, ": extraneous key [%s] is not permitted", key);
		}
	}
	buf_addf(&out, "#/messages/%zu: #: 0 subschemas matched instead of one", n);
	tell(&upsert, n, &out);
	tell(&activate, n, &out);
	violation(b, "%s", buf_cstr(&out));
	buf_free(&out);
}

/* --- a record --- */

static int refuse_record(struct intake *b, struct group *g, size_t n, uint64_t *steps, struct refusal *r)
{
	struct buf why = BUF_INIT;

	if (jschema_check(g->rules, buf_str(&b->data), steps, &why)) {
		buf_free(&why);
		return 0;
	}
	refuse_error(r, 400, "Record %zu did not conform to schema: %s", n, buf_cstr(&why));
	buf_free(&why);
	return -1;
}

static void find_rule(const struct group *g, struct field *f)
{
	f->rule = jschema_field(g->rules, f->name);
	f->ruled = true;
}

/* Does it conform, by a look at its fields? They are judged one by one, most of them by their kind alone. */
static bool fields_conform(struct intake *b, struct group *g, uint64_t *steps)
{
	const struct seen *s = b->seen, *end = s + b->n_seen;
	size_t required = 0;

	for (; s < end; s++) {
		struct field *f = &g->fields[s->field];

		if (s->dropped)
			continue;
		if (!(f->rule.accepts >> s->type & 1)) { /* or its rule is not known */
			if (!f->ruled)
				find_rule(g, f);
			if (!(f->rule.accepts >> s->type & 1) && !jschema_field_check(g->rules, f->rule.node, (enum jtype)s->type,
				str_mem(b->data.data + s->value, s->at + s->len - s->value), steps))
				return false;
		}
		required += f->rule.required;
	}
	return required == g->n_required;
}

static int conform(struct intake *b, struct group *g, size_t n, struct refusal *r)
{
	uint64_t steps = MIN(b->steps, RECORD_STEPS), before = steps;
	int rc = 0;

	if (!g->plain || !fields_conform(b, g, &steps))
		rc = refuse_record(b, g, n, &steps, r);
	b->steps -= before - steps;
	return rc;
}

int validate_record(struct intake *b, struct group *g, size_t n, struct refusal *r)
{
	struct str value;

	if (g->rules && conform(b, g, n, r))
		return -1;
	for (size_t i = 0; i < g->n_keys; i++) {
		enum jtype t = record_field(b, g, g->keys[i], &value);

		if (t == J_ABSENT || t == J_NULL)
			return refuse_error(r, 400, "Record is missing key property " STR_FMT, (int)MIN(g->keys[i].len, 200), g->keys[i].ptr);
		if (t == J_STRING && value.len > IMPORT_KEY_CHARS_MAX && count_chars(value) > IMPORT_KEY_CHARS_MAX)
			return refuse_error(r, 400, "String keys cannot be longer than %u characters", IMPORT_KEY_CHARS_MAX);
	}
	return 0;
}

/* The same by what was counted of the fields of all records. */
static bool counts_conform(const struct group *g)
{
	size_t required = 0;

	if (!g->plain)
		return !g->records;
	for (size_t i = 0; i < g->n_fields; i++) {
		const struct field *f = &g->fields[i];
		struct jfield rule = jschema_field(g->rules, f->name);
		unsigned kinds = f->mask | (f->present > f->filled ? 1u << J_NULL : 0);

		if (kinds & ~(unsigned)rule.accepts)
			return false;
		if (rule.required && f->present != g->records)
			return false;
		required += rule.required;
	}
	return required == g->n_required || !g->records;
}

bool validate_counts(const struct group *g, bool judged)
{
	const struct field *f;

	if (g->rules && !judged && !counts_conform(g))
		return false;
	for (size_t i = 0; i < g->n_keys; i++) {
		f = group_field(g, g->keys[i]);
		if (!f || f->filled != g->records || f->longest > IMPORT_KEY_CHARS_MAX)
			return false;
	}
	return true;
}
