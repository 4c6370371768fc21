/*
 * schema.c - merging heads into columns, see schema.h. A field is a column once a value that is not null was seen. Its types are those that the JSON schema
 * declares for it (string with the format date-time: timestamp, date: date; through anyOf, oneOf, allOf and $ref), or, where it declares none, those seen.
 * A whole number beyond 64 bits under a declared integer adds bignum, or the loader would have to refuse it.
 *
 * What can go wrong: a schema that says nonsense, or refers to itself. The door has checked that it is JSON; what is not understood declares nothing, the depth is
 * bounded, and a cut is never refused because of it. A sender whose field names never end: past COLUMNS_MAX no more columns are made, and the loader rejects the
 * records that have such a field. All limits depend on the heads alone, so columns are the same whenever they are read.
 */
#include "daemon/state/schema.h"

#include "frame.h"
#include "jscan.h"
#include "jwrite.h"
#include "xalloc.h"

#define DEPTH_MAX 16
#define VISITS_MAX 400 /* of subschemas of one field */
#define WORK_MAX (64u << 20) /* bytes of schema looked at for one head: references can make a short text endless */
#define COLUMNS_MAX 10000

static const char *const names[SCHEMA_TYPES] = {"integer", "bignum", "number", "boolean", "string", "timestamp", "date", "object", "array"};

static void add_type(struct type_list *l, unsigned type)
{
	for (unsigned i = 0; i < l->n; i++)
		if (l->list[i] == type)
			return;
	l->list[l->n++] = (unsigned char)type;
}

static bool has_type(const struct type_list *l, unsigned type)
{
	return memchr(l->list, (int)type, l->n) != NULL;
}

static void add_named(struct type_list *l, struct str token)
{
	for (unsigned i = 0; i < SCHEMA_TYPES; i++)
		if (jscan_string_is(token, str_c(names[i])))
			add_type(l, i);
}

/* --- JSON by slices --- */

/* The value of a member; STR_NULL when it is not there. Of duplicates the last counts. */
static struct str member(struct str object, struct str key)
{
	struct str found = STR_NULL;
	struct jscan s;
	bool hit;

	jscan_init(&s, object.ptr, object.len, 0);
	if (!object.len || jscan_next(&s) != JSCAN_OBJECT)
		return found;
	while (jscan_next(&s) == JSCAN_KEY) {
		hit = jscan_string_is(s.tok, key);
		if (jscan_skip(&s) == JSCAN_ERROR)
			return found;
		if (hit)
			found = s.tok;
	}
	return found;
}

/* Calls fn for the members of an array, or for one value that is none. */
static void each(struct str value, void (*fn)(struct str item, void *arg), void *arg)
{
	enum jscan_token t;
	struct jscan s;

	jscan_init(&s, value.ptr, value.len, 0);
	t = value.len ? jscan_next(&s) : JSCAN_ERROR;
	if (t != JSCAN_ARRAY) {
		if (t != JSCAN_ERROR)
			fn(value, arg);
		return;
	}
	while ((t = jscan_next(&s)) > JSCAN_END && t != JSCAN_ARRAY_END) {
		if ((t == JSCAN_OBJECT || t == JSCAN_ARRAY) && jscan_skip(&s) == JSCAN_ERROR)
			return;
		fn(s.tok, arg);
	}
}

/* --- what a schema declares --- */

struct declared {
	struct str root;
	struct type_list types;
	struct str format; /* of the subschema under way */
	unsigned depth, visits;
	uint64_t *work; /* of all fields of the head */
};

static void add_declared(struct str token, void *arg)
{
	struct declared *d = arg;

	if (!jscan_string_is(token, STR("string"))) {
		/* these names are ours, no schema's */
		if (!jscan_string_is(token, STR("bignum")) && !jscan_string_is(token, STR("timestamp")) && !jscan_string_is(token, STR("date")))
			add_named(&d->types, token);
	} else if (d->format.len && jscan_string_is(d->format, STR("date-time"))) {
		add_type(&d->types, SCHEMA_TIMESTAMP);
	} else if (d->format.len && jscan_string_is(d->format, STR("date"))) {
		add_type(&d->types, SCHEMA_DATE);
	} else {
		add_type(&d->types, SCHEMA_STRING);
	}
}

/* "#/definitions/x": the value there. */
static struct str resolve(struct str root, struct str ref_token)
{
	struct buf ref = BUF_INIT;
	struct str at = root, path, step;

	jscan_unescape(ref_token, &ref);
	path = buf_str(&ref);
	if (!str_starts(path, STR("#"))) {
		buf_free(&ref);
		return STR_NULL;
	}
	path = str_mem(path.ptr + 1, path.len - 1);
	while (at.len && path.len && *path.ptr == '/') {
		const char *next;

		path = str_mem(path.ptr + 1, path.len - 1);
		next = path.len ? memchr(path.ptr, '/', path.len) : NULL;
		step = str_mem(path.ptr, next ? (size_t)(next - path.ptr) : path.len);
		path = str_mem(path.ptr + step.len, path.len - step.len);
		at = member(at, step);
	}
	buf_free(&ref);
	return at;
}

static void declare(struct str schema, void *arg)
{
	static const struct str alternatives[] = {STR("anyOf"), STR("oneOf"), STR("allOf")};
	struct declared *d = arg;
	struct str outer = d->format, ref;

	if (d->depth == DEPTH_MAX || d->visits++ == VISITS_MAX || *d->work > WORK_MAX)
		return;
	*d->work += schema.len;
	d->depth++;
	d->format = member(schema, STR("format"));
	each(member(schema, STR("type")), add_declared, d);
	for (size_t i = 0; i < ARRAY_LEN(alternatives); i++)
		each(member(schema, alternatives[i]), declare, d);
	ref = member(schema, STR("$ref"));
	if (ref.len && *ref.ptr == '"') {
		*d->work += d->root.len;
		declare(resolve(d->root, ref), d);
	}
	d->format = outer;
	d->depth--;
}

/* --- the set of columns --- */

/* NULL: there are too many. */
static struct column *column_of(struct schema *s, struct str name)
{
	size_t number = (uintptr_t)map_get(&s->names, name);
	struct column *c;

	if (number)
		return &s->columns[number - 1];
	if (s->n == COLUMNS_MAX)
		return NULL;
	s->columns = xreallocarray(s->columns, s->n + 1, sizeof(*s->columns));
	c = &s->columns[s->n++];
	*c = (struct column){.name = BUF_INIT};
	buf_addstr(&c->name, name);
	map_put(&s->names, name, (void *)(uintptr_t)s->n);
	return c;
}

static void add_seen(struct str token, void *arg)
{
	if (token.len && *token.ptr == '"')
		add_named(arg, token);
}

/* The properties of a head's schema by name: asked for each field. */
struct properties {
	struct str root;
	struct str *values;
	size_t n;
	struct map names; /* name -> number + 1 */
	uint64_t work;	  /* see WORK_MAX */
};

static void properties_of(struct str schema, struct properties *out)
{
	struct str object = member(schema, STR("properties"));
	struct buf name = BUF_INIT;
	struct jscan j;

	*out = (struct properties){.root = schema};
	jscan_init(&j, object.ptr, object.len, 0);
	if (!object.len || jscan_next(&j) != JSCAN_OBJECT)
		return;
	while (jscan_next(&j) == JSCAN_KEY) {
		buf_truncate(&name, 0);
		jscan_unescape(j.tok, &name);
		if (jscan_skip(&j) == JSCAN_ERROR)
			break;
		if (out->n % 64 == 0)
			out->values = xreallocarray(out->values, out->n + 64, sizeof(*out->values));
		out->values[out->n++] = j.tok;
		map_put(&out->names, buf_str(&name), (void *)(uintptr_t)out->n);
	}
	buf_free(&name);
}

static void properties_free(struct properties *p)
{
	map_free(&p->names, NULL);
	free(p->values);
}

/* One field of a head's types. */
static bool merge_field(struct schema *s, struct str name, struct str types, struct properties *p)
{
	size_t number = (uintptr_t)map_get(&p->names, name);
	struct declared d = {.root = p->root, .work = &p->work};
	struct type_list seen = {.n = 0};
	struct column *c;
	unsigned before;

	each(types, add_seen, &seen);
	if (!seen.n)
		return false;
	if (number)
		declare(p->values[number - 1], &d);
	if (!d.types.n || p->work > WORK_MAX)
		d.types = seen;
	else if (has_type(&d.types, SCHEMA_INTEGER) && has_type(&seen, SCHEMA_BIGNUM))
		add_type(&d.types, SCHEMA_BIGNUM);
	c = column_of(s, name);
	if (!c)
		return false;
	before = c->types.n;
	for (unsigned i = 0; i < d.types.n; i++)
		add_type(&c->types, d.types.list[i]);
	return c->types.n > before;
}

static bool merge_keys(struct schema *s, struct str raw)
{
	struct buf now = BUF_INIT;
	bool other;

	jscan_minify(raw, &now);
	other = !str_eq(buf_str(&now), buf_str(&s->key_names));
	buf_free(&s->key_names);
	s->key_names = now;
	return other;
}

int schema_merge(struct schema *s, struct str head_line, bool *changed, struct err *e)
{
	struct frame_head h = {.table = BUF_INIT};
	struct properties p = {.n = 0};
	struct buf name = BUF_INIT;
	struct jscan j;
	int rc = -1;

	if (frame_head_parse(head_line, &h, e))
		goto out;
	*changed |= merge_keys(s, h.key_names);
	properties_of(h.schema, &p);
	jscan_init(&j, h.types.ptr, h.types.len, 0);
	rc = 0;
	if (!h.types.len || jscan_next(&j) != JSCAN_OBJECT)
		goto out;
	while (jscan_next(&j) == JSCAN_KEY) {
		buf_truncate(&name, 0);
		jscan_unescape(j.tok, &name);
		if (jscan_skip(&j) == JSCAN_ERROR)
			break;
		*changed |= merge_field(s, buf_str(&name), j.tok, &p);
	}
out:
	properties_free(&p);
	buf_free(&name);
	buf_free(&h.table);
	return rc;
}

static void parse_column(struct str object, void *arg)
{
	struct str token = member(object, STR("name"));
	struct buf name = BUF_INIT;
	struct column *c;

	if (!token.len || *token.ptr != '"')
		return;
	jscan_unescape(token, &name);
	c = column_of(arg, buf_str(&name));
	if (c)
		each(member(object, STR("types")), add_seen, &c->types);
	buf_free(&name);
}

int schema_parse(const char *columns, const char *key_names, struct schema *out, struct err *e)
{
	struct str list = columns ? str_c(columns) : STR("[]"), keys = key_names ? str_c(key_names) : STR("[]");

	*out = (struct schema){.columns = NULL};
	if (!jscan_valid(list.ptr, list.len, 0, NULL, NULL) || *list.ptr != '[')
		return err_set(e, ERR_CORRUPT, "the columns of a table in state.db are no list");
	buf_addstr(&out->key_names, keys);
	each(list, parse_column, out);
	return 0;
}

void schema_columns(const struct schema *s, struct buf *out)
{
	struct jwrite w;

	jwrite_init(&w, out);
	jwrite_array(&w);
	for (size_t i = 0; i < s->n; i++) {
		const struct column *c = &s->columns[i];

		jwrite_object(&w);
		jwrite_kv_str(&w, "name", buf_str(&c->name));
		jwrite_key(&w, "types");
		jwrite_array(&w);
		for (unsigned k = 0; k < c->types.n; k++)
			jwrite_string(&w, names[c->types.list[k]]);
		jwrite_array_end(&w);
		jwrite_object_end(&w);
	}
	jwrite_array_end(&w);
}

void schema_free(struct schema *s)
{
	for (size_t i = 0; i < s->n; i++)
		buf_free(&s->columns[i].name);
	free(s->columns);
	map_free(&s->names, NULL);
	buf_free(&s->key_names);
	*s = (struct schema){.columns = NULL};
}
