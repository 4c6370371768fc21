/*
 * schema.c - merging heads into columns, see schema.h. A field is a column once a value that is not null was seen. Its types are those that the JSON schema
 * declares for it (string with the format date-time: timestamp, date: date; through anyOf, oneOf, allOf and $ref), or, where it declares none, those seen.
 * A whole number beyond 64 bits under a declared integer adds bignum, or the loader would have to refuse it. What lies in objects and arrays has paths for names
 * (frame.h); they come after what they lie in, so the subschemas of each are found from those of its parent. A path without types is kept: it says that the
 * object or array was empty.
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
#define COLUMNS_MAX 10000 /* and as many paths */
#define SITES_MAX 16u	  /* subschemas that may describe one path */

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

/* The path in which this one lies; STR_NULL: a field's name. */
static struct str parent_of(struct str path)
{
	for (size_t n = path.len; n > 0; n--)
		if (path.ptr[n - 1] == '\1' || path.ptr[n - 1] == '\2')
			return str_mem(path.ptr, n - 1);
	return STR_NULL;
}

/* NULL: there are too many. */
static struct column *column_of(struct schema *s, struct str name)
{
	size_t number = (uintptr_t)map_get(&s->names, name);
	bool nested = parent_of(name).ptr;
	struct column *c;

	if (number)
		return &s->columns[number - 1];
	if ((nested ? s->n_nested : s->n - s->n_nested) == COLUMNS_MAX)
		return NULL;
	s->n_nested += nested;
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

/* The subschemas of what a head lists, by path: asked for each field, and again for what lies in it. */
struct sites {
	struct str *schema;
	unsigned n;
};

struct properties {
	struct str root;
	struct sites **paths;
	size_t n;
	struct map names; /* path -> struct sites */
	uint64_t work;	  /* see WORK_MAX */
};

static const struct sites *sites_new(struct properties *p, struct str path, const struct str *schema, unsigned n)
{
	struct sites *t = xmalloc(sizeof(*t) + n * sizeof(*schema));

	t->schema = (struct str *)(t + 1);
	t->n = n;
	memcpy(t->schema, schema, n * sizeof(*schema));
	if (p->n % 64 == 0)
		p->paths = xreallocarray(p->paths, p->n + 64, sizeof(struct sites *));
	p->paths[p->n++] = t;
	(void)map_put(&p->names, path, t); /* of duplicates the last counts; the list owns them all */
	return t;
}

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
		if (!parent_of(buf_str(&name)).ptr) /* a name that looks like a path is not listed */
			sites_new(out, buf_str(&name), &j.tok, 1);
	}
	buf_free(&name);
}

static void properties_free(struct properties *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->paths[i]);
	map_free(&p->names, NULL);
	free(p->paths);
}

/* What a schema says of a member or of elements. */
struct descent {
	struct properties *p;
	struct str name; /* of the member; ptr NULL: elements */
	struct str found[SITES_MAX];
	unsigned n, depth, visits;
};

static void descend(struct str schema, void *arg)
{
	static const struct str alternatives[] = {STR("anyOf"), STR("oneOf"), STR("allOf")};
	struct descent *d = arg;
	struct str at, ref;

	if (d->depth == DEPTH_MAX || d->visits++ == VISITS_MAX || d->p->work > WORK_MAX || d->n == SITES_MAX)
		return;
	d->p->work += schema.len;
	d->depth++;
	at = d->name.ptr ? member(member(schema, STR("properties")), d->name) : member(schema, STR("items"));
	if (at.len && *at.ptr == '{')
		d->found[d->n++] = at;
	for (size_t i = 0; i < ARRAY_LEN(alternatives); i++)
		each(member(schema, alternatives[i]), descend, d);
	ref = member(schema, STR("$ref"));
	if (ref.len && *ref.ptr == '"') {
		d->p->work += d->p->root.len;
		descend(resolve(d->p->root, ref), d);
	}
	d->depth--;
}

/* The subschemas that describe a path; NULL: none. */
static const struct sites *sites_of(struct properties *p, struct str path)
{
	struct str parent = parent_of(path);
	struct descent d = {.p = p};
	const struct sites *in, *t = map_get(&p->names, path);

	if (t || !parent.ptr || !p->n)
		return t;
	in = map_get(&p->names, parent);
	if (path.ptr[parent.len] == '\1')
		d.name = str_mem(path.ptr + parent.len + 1, path.len - parent.len - 1);
	for (unsigned i = 0; in && i < in->n; i++)
		descend(in->schema[i], &d);
	return d.n ? sites_new(p, path, d.found, d.n) : NULL;
}

/* One field or path of a head's types. */
static bool merge_field(struct schema *s, struct str name, struct str types, struct properties *p)
{
	const struct sites *sites = sites_of(p, name);
	struct declared d = {.root = p->root, .work = &p->work};
	struct type_list seen = {.n = 0};
	struct column *c;
	size_t known = s->n;
	unsigned before;

	each(types, add_seen, &seen);
	if (!seen.n && !parent_of(name).ptr)
		return false;
	for (unsigned i = 0; seen.n && sites && i < sites->n; i++)
		declare(sites->schema[i], &d);
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
	return c->types.n > before || s->n > known;
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
