/*
 * jschema.c - a schema's text into nodes, see jschema.h. The design: one pass with jscan; a schema that says nothing is no node at all (NULL: any value), one
 * that says only types is a small one, the rest hangs on pointers. References are resolved when all is read: the JSON pointer is followed through the
 * text to the place where the target begins, and the node is found by that place; names in the top's definitions are indexed, so that large
 * schemas do not cost their length per reference. Null where a keyword's value should be counts as absent. What can go wrong: a schema made to cost
 * time or memory: text, nodes, names and the bytes passed for references are all bounded.
 */
#include "daemon/import/jschema_priv.h"
#include "decimal.h"
#include "xalloc.h"

#define REF_BYTES_MAX (32u << 20) /* passed in search of references' targets */
#define PATTERN_WORK_MAX 2000000u
#define NUMBER_MAX 1000u /* digits of a limit: it is read with each number of each record */

struct jref {
	struct jnode *from;
	struct str pointer; /* unescaped, from # on */
};

struct jcompile {
	struct jschema *s;
	struct err *e;
	struct jref *refs;
	size_t n_refs, cap_refs, passed;
	struct map defs; /* "#/definitions/X" -> where its text begins */
};

/* --- memory --- */

static void *own(struct jschema *s, void *p)
{
	if (s->n_owned == s->cap_owned) {
		s->cap_owned = s->cap_owned ? 2 * s->cap_owned : 16;
		s->owned = xreallocarray(s->owned, s->cap_owned, sizeof(*s->owned));
	}
	s->owned[s->n_owned++] = p;
	s->bytes += 2 * sizeof(p);
	return p;
}

static void *own_new(struct jschema *s, size_t size)
{
	s->bytes += size;
	return own(s, xcalloc(1, size));
}

static struct str own_text(struct jschema *s, struct buf *b)
{
	size_t n = b->len;
	char *p = own(s, buf_detach(b, NULL));

	s->bytes += n + 16;
	return str_mem(p, n);
}

/* A string token's value; free of charge where nothing is escaped. */
static struct str own_string(struct jschema *s, struct str token)
{
	struct buf b = BUF_INIT;

	if (!memchr(token.ptr, '\\', token.len))
		return str_mem(token.ptr + 1, token.len - 2);
	jscan_unescape(token, &b);
	return own_text(s, &b);
}

void jschema_free(struct jschema *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_nodes; i++) {
		struct jnode *n = s->nodes[i];

		if (n->object)
			free(n->object->props);
		free(n->all.node);
		free(n->any.node);
		free(n->one.node);
		if (n->array)
			free(n->array->tuple.node);
		if (n->object)
			free(n->object->patterns);
	}
	for (size_t i = 0; i < s->n_patterns; i++)
		pattern_free(s->patterns[i]);
	for (size_t i = 0; i < s->n_owned; i++)
		free(s->owned[i]);
	free(s->patterns);
	free(s->owned);
	free(s->nodes);
	buf_free(&s->tmp);
	free(s);
}

static struct jobject *object_of(struct jschema *s, struct jnode *n)
{
	if (!n->object) {
		n->object = own_new(s, sizeof(*n->object));
		n->object->min = n->object->max = -1;
	}
	return n->object;
}

static struct jarray *array_of(struct jschema *s, struct jnode *n)
{
	if (!n->array) {
		n->array = own_new(s, sizeof(*n->array));
		n->array->min = n->array->max = -1;
	}
	return n->array;
}

static struct jscalar *scalar_of(struct jschema *s, struct jnode *n)
{
	if (!n->scalar) {
		n->scalar = own_new(s, sizeof(*n->scalar));
		n->scalar->min_length = n->scalar->max_length = n->scalar->places = -1;
	}
	return n->scalar;
}

/* --- what keywords hold --- */

struct jkey { /* a keyword that was met */
	struct jcompile *c;
	struct jnode *n;
	struct jscan *s;
	enum jscan_token t; /* of its value, which was begun */
	struct str name;    /* as we know it */
};

static int schema(struct jcompile *c, struct jscan *s, enum jscan_token t, struct jnode **out) MUST_CHECK;

static int wrong(const struct jkey *k, const char *wanted)
{
	return err_set(k->c->e, ERR_INVALID, "%.*s: expected type: %s, found: %s", STR_ARG(k->name), wanted, jtype_name(jtype_of(k->t, k->s)));
}

static int pass(const struct jkey *k)
{
	if (k->t == JSCAN_OBJECT || k->t == JSCAN_ARRAY)
		(void)jscan_skip(k->s);
	return 0;
}

/* A number that counts something. Too large for us is as good as none. */
static int count(const struct jkey *k, int64_t *out)
{
	if (k->t != JSCAN_NUMBER || !decimal_is_integer(k->s->tok) || k->s->tok.ptr[0] == '-')
		return wrong(k, "Integer, not negative");
	if (decimal_to_i64(k->s->tok, out))
		*out = INT64_MAX;
	return 0;
}

static int limit(const struct jkey *k, struct str *out)
{
	if (k->t != JSCAN_NUMBER)
		return wrong(k, "Number");
	if (k->s->tok.len > NUMBER_MAX)
		return err_set(k->c->e, ERR_INVALID, "%.*s: a number of more than %u characters", STR_ARG(k->name), NUMBER_MAX);
	*out = k->s->tok;
	return 0;
}

static int boolean(const struct jkey *k, bool *out)
{
	if (k->t != JSCAN_TRUE && k->t != JSCAN_FALSE)
		return wrong(k, "Boolean");
	*out = k->t == JSCAN_TRUE;
	return 0;
}

static int list(const struct jkey *k, struct jlist *l)
{
	enum jscan_token t;
	size_t cap = 0;

	if (k->t != JSCAN_ARRAY)
		return wrong(k, "JSONArray");
	free(l->node);
	*l = (struct jlist){.n = 0};
	while ((t = jscan_next(k->s)) != JSCAN_ARRAY_END) {
		if (l->n == cap) {
			cap = cap ? 2 * cap : 4;
			l->node = xreallocarray(l->node, cap, sizeof(struct jnode *));
		}
		l->node[l->n] = NULL;
		if (schema(k->c, k->s, t, &l->node[l->n++]))
			return -1;
	}
	k->c->s->bytes += cap * sizeof(struct jnode *);
	return 0;
}

static const struct {
	const char *name;
	enum jtype shown;
	unsigned mask;
} type_names[] = {
	{"string", J_STRING, J_BIT(J_STRING)},
	{"number", J_NUMBER, T_NUMBER},
	{"integer", J_INTEGER, T_INTEGER},
	{"boolean", J_BOOLEAN, J_BIT(J_BOOLEAN)},
	{"object", J_OBJECT, J_BIT(J_OBJECT)},
	{"array", J_ARRAY, J_BIT(J_ARRAY)},
	{"null", J_NULL, J_BIT(J_NULL)},
};

static int type_name(const struct jkey *k, struct str token)
{
	struct buf name = BUF_INIT;
	size_t i = 0;

	while (i < ARRAY_LEN(type_names) && !jscan_string_is(token, str_c(type_names[i].name)))
		i++;
	if (i == ARRAY_LEN(type_names)) {
		jscan_unescape(token, &name);
		err_set(k->c->e, ERR_INVALID, "unknown type: [%.200s]", buf_cstr(&name));
		buf_free(&name);
		return -1;
	}
	for (size_t j = 0; j < k->n->n_types; j++)
		if (k->n->order[j] == type_names[i].shown)
			return 0;
	k->n->order[k->n->n_types++] = (uint8_t)type_names[i].shown;
	k->n->types = (uint16_t)(k->n->types | type_names[i].mask);
	return 0;
}

static int key_type(const struct jkey *k)
{
	enum jscan_token t;

	k->n->types = 0;
	k->n->n_types = 0;
	if (k->t == JSCAN_STRING) {
		if (type_name(k, k->s->tok))
			return -1;
	} else if (k->t == JSCAN_ARRAY) {
		while ((t = jscan_next(k->s)) != JSCAN_ARRAY_END) {
			if (t != JSCAN_STRING)
				return wrong(&(struct jkey){.c = k->c, .s = k->s, .t = t, .name = k->name}, "String");
			if (type_name(k, k->s->tok))
				return -1;
		}
	} else {
		return wrong(k, "String or JSONArray");
	}
	k->n->whole = k->n->types & J_BIT(J_INTEGER) && !(k->n->types & J_BIT(J_NUMBER));
	return 0;
}

/* A property or a required name, which may come in either order; they are made one later. */
static struct jprop *add_prop(struct jschema *s, struct jobject *o, struct str name)
{
	if (o->n_props == o->cap_props) {
		o->cap_props = o->cap_props ? 2 * o->cap_props : 8;
		o->props = xreallocarray(o->props, o->cap_props, sizeof(*o->props));
	}
	s->bytes += sizeof(*o->props);
	o->props[o->n_props] = (struct jprop){.name = name, .at = (uint32_t)o->n_props};
	return &o->props[o->n_props++];
}

static int key_properties(const struct jkey *k)
{
	struct jobject *o = object_of(k->c->s, k->n);

	if (k->t != JSCAN_OBJECT)
		return wrong(k, "JSONObject");
	while (jscan_next(k->s) == JSCAN_KEY) {
		struct str name = own_string(k->c->s, k->s->tok);
		struct jnode *n = NULL;
		struct jprop *p;

		if (schema(k->c, k->s, jscan_next(k->s), &n))
			return -1;
		p = add_prop(k->c->s, o, name);
		p->node = n;
		p->listed = true;
	}
	return 0;
}

/* Draft 3 had a boolean in each property: it says nothing here. */
static int key_required(const struct jkey *k)
{
	struct jobject *o;
	enum jscan_token t;
	size_t n = 0;

	if (k->t == JSCAN_TRUE || k->t == JSCAN_FALSE)
		return 0;
	if (k->t != JSCAN_ARRAY)
		return wrong(k, "JSONArray");
	o = object_of(k->c->s, k->n);
	while ((t = jscan_next(k->s)) != JSCAN_ARRAY_END) {
		if (t != JSCAN_STRING)
			return wrong(&(struct jkey){.c = k->c, .s = k->s, .t = t, .name = k->name}, "String");
		if (n++ == JSCHEMA_REQUIRED_MAX)
			return err_set(k->c->e, ERR_INVALID, "more than %u required fields", JSCHEMA_REQUIRED_MAX);
		add_prop(k->c->s, o, own_string(k->c->s, k->s->tok))->required = true;
	}
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct jprop *x = a, *y = b;
	int c = str_cmp(x->name, y->name);

	return c ? c : x->at < y->at ? -1 : x->at > y->at;
}

/* Sorted, each name once: of two properties of a name the last one counts. */
static void join_props(struct jobject *o)
{
	size_t n = 0;

	if (o->n_props)
		qsort(o->props, o->n_props, sizeof(*o->props), by_name);
	for (size_t i = 0; i < o->n_props; i++) {
		struct jprop *p = &o->props[i], *last = n ? &o->props[n - 1] : NULL;

		if (!last || !str_eq(last->name, p->name)) {
			o->props[n++] = *p;
			continue;
		}
		if (p->listed)
			last->node = p->node;
		last->listed |= p->listed;
		last->required |= p->required;
	}
	o->n_props = n;
	o->n_required = 0;
	for (size_t i = 0; i < n; i++)
		if (o->props[i].required)
			o->props[i].at = (uint32_t)o->n_required++;
}

const struct jprop *jobject_find(const struct jobject *o, struct str name)
{
	size_t lo = 0, hi = o->n_props;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = str_cmp(o->props[mid].name, name);

		if (!c)
			return &o->props[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* NULL: it is not understood, and so not checked. */
static struct pattern *new_pattern(struct jschema *s, struct str text)
{
	struct pattern *p = pattern_new(text, &s->pattern_work);

	if (!p) {
		s->ignored++;
		return NULL;
	}
	s->bytes += pattern_bytes(p);
	s->patterns = xreallocarray(s->patterns, s->n_patterns + 1, sizeof(struct pattern *));
	s->patterns[s->n_patterns++] = p;
	return p;
}

static int key_pattern_properties(const struct jkey *k)
{
	struct jobject *o = object_of(k->c->s, k->n);

	if (k->t != JSCAN_OBJECT)
		return wrong(k, "JSONObject");
	while (jscan_next(k->s) == JSCAN_KEY) {
		struct pattern *p = new_pattern(k->c->s, own_string(k->c->s, k->s->tok));
		struct jnode *n = NULL;

		if (schema(k->c, k->s, jscan_next(k->s), &n))
			return -1;
		/* one that is not understood may be about any name: then no name is known to be additional */
		o->patterns = xreallocarray(o->patterns, o->n_patterns + 1, sizeof(*o->patterns));
		o->patterns[o->n_patterns++] = (struct jpattern_prop){.pattern = p, .node = n};
	}
	return 0;
}

static int additional(const struct jkey *k, bool *closed, struct jnode **node)
{
	*closed = k->t == JSCAN_FALSE;
	*node = NULL;
	return *closed ? 0 : schema(k->c, k->s, k->t, node);
}

static int key_items(const struct jkey *k)
{
	struct jarray *a = array_of(k->c->s, k->n);

	if (str_eqc(k->name, "items") && k->t != JSCAN_ARRAY)
		return schema(k->c, k->s, k->t, &a->items);
	a->is_tuple = true;
	a->prefix |= str_eqc(k->name, "prefixItems");
	return list(k, &a->tuple);
}

/* What comes after a tuple is told by additionalItems, or, since 2020-12, by items. */
static void settle_items(struct jarray *a)
{
	bool old = a->is_tuple && !a->prefix;

	if (old)
		a->items = a->extra;
	a->closed &= old;
}

static int key_values(const struct jkey *k)
{
	struct jvalues *v = own_new(k->c->s, sizeof(*v));
	struct jschema *s = k->c->s;
	struct buf text = BUF_INIT;
	enum jscan_token t = k->t;
	size_t cap = 0;

	v->constant = str_eqc(k->name, "const");
	if (!v->constant && t != JSCAN_ARRAY)
		return wrong(k, "JSONArray");
	while (v->constant || (t = jscan_next(k->s)) != JSCAN_ARRAY_END) {
		if (t == JSCAN_OBJECT || t == JSCAN_ARRAY)
			(void)jscan_skip(k->s);
		if (v->n == cap) {
			cap = cap ? 4 * cap : 4; /* the old piece stays until the schema goes */
			v->value = memcpy(own_new(s, cap * sizeof(*v->value)), v->n ? v->value : (struct str *)"", v->n * sizeof(*v->value));
		}
		jcanon(k->s->tok, &text);
		v->value[v->n++] = own_text(s, &text);
		if (v->constant)
			break;
	}
	k->n->values[v->constant] = v;
	return 0;
}

static int places_of(struct str number)
{
	struct buf text = BUF_INIT;
	int64_t e;
	bool one;

	jcanon(number, &text); /* 0.01 and its like are 1e-2 */
	one = str_starts(buf_str(&text), STR("1e")) && !str_to_i64(str_mem(text.data + 2, text.len - 2), &e) && e <= 0 && e > -100;
	buf_free(&text);
	return one ? (int)-e : -1;
}

static int key_scalar(const struct jkey *k)
{
	struct jscalar *x = scalar_of(k->c->s, k->n);
	const char *name = k->name.ptr;

	if (strcmp(name, "minLength") == 0)
		return count(k, &x->min_length);
	if (strcmp(name, "maxLength") == 0)
		return count(k, &x->max_length);
	if (strcmp(name, "minimum") == 0)
		return limit(k, &x->minimum);
	if (strcmp(name, "maximum") == 0)
		return limit(k, &x->maximum);
	if (strcmp(name, "pattern") == 0) {
		if (k->t != JSCAN_STRING)
			return wrong(k, "String");
		x->pattern_text = own_string(k->c->s, k->s->tok);
		x->pattern = new_pattern(k->c->s, x->pattern_text);
		return 0;
	}
	if (limit(k, &x->multiple))
		return -1;
	if (decimal_cmp(x->multiple, STR("0")) <= 0)
		return err_set(k->c->e, ERR_INVALID, "multipleOf: %.*s is not greater than 0", (int)MIN(x->multiple.len, 60), x->multiple.ptr);
	if (!decimal_multiple_of(STR("0"), x->multiple)) /* 0 is a multiple of all that it takes */
		return err_set(k->c->e, ERR_INVALID, "multipleOf: more than %d digits", DECIMAL_OF_MAX);
	x->places = places_of(x->multiple);
	return 0;
}

/* Draft 4 has a boolean beside minimum and maximum, later drafts a number of its own. true stands as an empty number until all is read. */
static int key_exclusive(const struct jkey *k)
{
	struct jscalar *x = scalar_of(k->c->s, k->n);
	struct str *to = str_eqc(k->name, "exclusiveMinimum") ? &x->above : &x->below;

	*to = k->t == JSCAN_TRUE ? STR("") : STR_NULL;
	return k->t == JSCAN_TRUE || k->t == JSCAN_FALSE ? 0 : limit(k, to);
}

static void settle_exclusive(struct jscalar *x)
{
	if (x->above.ptr && !x->above.len) {
		x->above = x->minimum;
		x->minimum = STR_NULL;
	}
	if (x->below.ptr && !x->below.len) {
		x->below = x->maximum;
		x->maximum = STR_NULL;
	}
}

static int key_array(const struct jkey *k)
{
	struct jarray *a = array_of(k->c->s, k->n);

	if (str_eqc(k->name, "minItems"))
		return count(k, &a->min);
	if (str_eqc(k->name, "maxItems"))
		return count(k, &a->max);
	if (str_eqc(k->name, "additionalItems"))
		return additional(k, &a->closed, &a->extra);
	return boolean(k, &a->unique);
}

static int key_object(const struct jkey *k)
{
	struct jobject *o = object_of(k->c->s, k->n);

	if (str_eqc(k->name, "minProperties"))
		return count(k, &o->min);
	if (str_eqc(k->name, "maxProperties"))
		return count(k, &o->max);
	if (str_eqc(k->name, "propertyNames"))
		return schema(k->c, k->s, k->t, &o->names);
	return additional(k, &o->closed, &o->additional);
}

static int key_combined(const struct jkey *k)
{
	const char *start = k->s->tok.ptr;

	if (str_eqc(k->name, "allOf"))
		return list(k, &k->n->all);
	if (str_eqc(k->name, "anyOf"))
		return list(k, &k->n->any);
	if (str_eqc(k->name, "oneOf"))
		return list(k, &k->n->one);
	if (schema(k->c, k->s, k->t, &k->n->not))
		return -1;
	k->n->not_text = str_mem(start, (size_t)(k->s->p - start));
	if (!k->n->not) { /* nothing conforms to "not anything" */
		k->n->not = own_new(k->c->s, sizeof(*k->n->not));
	}
	return 0;
}

static int key_ref(const struct jkey *k)
{
	struct jcompile *c = k->c;

	if (k->t != JSCAN_STRING)
		return wrong(k, "String");
	if (c->n_refs == c->cap_refs) {
		c->cap_refs = c->cap_refs ? 2 * c->cap_refs : 8;
		c->refs = xreallocarray(c->refs, c->cap_refs, sizeof(*c->refs));
	}
	c->refs[c->n_refs++] = (struct jref){.from = k->n, .pointer = own_string(c->s, k->s->tok)};
	return 0;
}

/* Schemas that are there to be referred to. */
static int key_definitions(const struct jkey *k)
{
	bool top = k->n == k->c->s->nodes[0];
	struct buf path = BUF_INIT;

	if (k->t != JSCAN_OBJECT)
		return pass(k);
	while (jscan_next(k->s) == JSCAN_KEY) {
		struct jnode *n = NULL;
		enum jscan_token t;

		buf_addf(&path, "#/%.*s/", STR_ARG(k->name));
		jscan_unescape(k->s->tok, &path);
		t = jscan_next(k->s);
		if (top)
			map_put(&k->c->defs, buf_str(&path), (void *)(uintptr_t)k->s->tok.ptr);
		buf_free(&path);
		if (schema(k->c, k->s, t, &n))
			return -1;
	}
	return 0;
}

static const struct {
	const char *name;
	int (*read)(const struct jkey *k) MUST_CHECK;
} keywords[] = {
	{"type", key_type}, {"properties", key_properties}, {"required", key_required}, {"items", key_items}, {"$ref", key_ref},
	{"additionalProperties", key_object}, {"minProperties", key_object}, {"maxProperties", key_object}, {"propertyNames", key_object},
	{"patternProperties", key_pattern_properties}, {"enum", key_values}, {"const", key_values}, {"minimum", key_scalar}, {"maximum", key_scalar},
	{"exclusiveMinimum", key_exclusive}, {"exclusiveMaximum", key_exclusive}, {"multipleOf", key_scalar}, {"minLength", key_scalar},
	{"maxLength", key_scalar}, {"pattern", key_scalar}, {"minItems", key_array}, {"maxItems", key_array}, {"uniqueItems", key_array},
	{"additionalItems", key_array}, {"prefixItems", key_items}, {"allOf", key_combined}, {"anyOf", key_combined}, {"oneOf", key_combined}, {"not", key_combined},
	{"definitions", key_definitions}, {"$defs", key_definitions},
};

/* Patterns above all: "a{1900}" is short, and so is "((){2000}){50}", of which nothing is left. */
static bool too_large(const struct jcompile *c)
{
	if (c->s->bytes > JSCHEMA_BYTES_MAX)
		return err_set(c->e, ERR_INVALID, "it takes more than %u bytes of memory", JSCHEMA_BYTES_MAX) != 0;
	return !c->s->pattern_work && err_set(c->e, ERR_INVALID, "its patterns take too much work");
}

static int keyword(struct jkey *k)
{
	size_t i = 0;

	while (i < ARRAY_LEN(keywords) && !jscan_string_is(k->s->tok, str_c(keywords[i].name)))
		i++;
	k->t = jscan_next(k->s);
	if (too_large(k->c))
		return -1;
	if (i == ARRAY_LEN(keywords))
		return pass(k);
	k->name = str_c(keywords[i].name);
	return k->t == JSCAN_NULL && !str_eqc(k->name, "const") ? 0 : keywords[i].read(k);
}

/* A schema, its first token read. */
static int schema(struct jcompile *c, struct jscan *s, enum jscan_token t, struct jnode **out)
{
	struct jkey k = {.c = c, .s = s, .t = t, .name = STR("schema")};

	*out = NULL;
	if (too_large(c))
		return -1;
	if (t == JSCAN_TRUE || t == JSCAN_NULL)
		return 0;
	if (t != JSCAN_OBJECT && t != JSCAN_FALSE)
		return wrong(&k, "JSONObject or Boolean");
	if (c->s->n_nodes == JSCHEMA_NODES_MAX)
		return err_set(c->e, ERR_INVALID, "more than %u subschemas", JSCHEMA_NODES_MAX);
	if (c->s->n_nodes == c->s->cap_nodes) {
		c->s->cap_nodes = c->s->cap_nodes ? 2 * c->s->cap_nodes : 16;
		c->s->nodes = xreallocarray(c->s->nodes, c->s->cap_nodes, sizeof(struct jnode *));
	}
	k.n = own_new(c->s, sizeof(*k.n));
	c->s->nodes[c->s->n_nodes++] = k.n;
	k.n->at = (uint32_t)(s->tok.ptr - c->s->text.ptr);
	k.n->never = t == JSCAN_FALSE;
	*out = k.n;
	while (t == JSCAN_OBJECT && jscan_next(s) == JSCAN_KEY)
		if (keyword(&k))
			return -1;
	if (k.n->object)
		join_props(k.n->object);
	if (k.n->array)
		settle_items(k.n->array);
	if (k.n->scalar)
		settle_exclusive(k.n->scalar);
	return 0;
}

/* --- references --- */

static int by_place(const void *a, const void *b)
{
	const struct jnode *x = *(struct jnode *const *)a, *y = *(struct jnode *const *)b;

	return x->at < y->at ? -1 : x->at > y->at;
}

static struct jnode *node_at(const struct jschema *s, const char *place)
{
	uint32_t at = (uint32_t)(place - s->text.ptr);
	size_t lo = 0, hi = s->n_nodes;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->nodes[mid]->at == at)
			return s->nodes[mid];
		if (s->nodes[mid]->at < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* One step of a JSON pointer in a URI: %XX and then ~1 and ~0 resolved. */
static void unescape_step(struct str step, struct buf *out)
{
	unsigned char c;

	buf_truncate(out, 0);
	for (size_t i = 0; i < step.len; i++) {
		if (step.ptr[i] == '%' && i + 2 < step.len && !str_from_hex(str_mem(step.ptr + i + 1, 2), &c, 1)) {
			buf_addc(out, (char)c);
			i += 2;
		} else {
			buf_addc(out, step.ptr[i]);
		}
	}
	for (size_t i = 0; i + 1 < out->len; i++) {
		if (out->data[i] != '~' || (out->data[i + 1] != '0' && out->data[i + 1] != '1'))
			continue;
		out->data[i] = out->data[i + 1] == '0' ? '~' : '/';
		memmove(out->data + i + 1, out->data + i + 2, out->len - i - 2);
		buf_truncate(out, out->len - 1);
	}
}

/* From a value that was begun to its member of that name, or its element of that number. */
static enum jscan_token go_to(struct jscan *s, enum jscan_token t, struct str step)
{
	uint64_t i = 0;

	if (t == JSCAN_OBJECT) {
		while (jscan_next(s) == JSCAN_KEY) {
			if (jscan_string_is(s->tok, step))
				return jscan_next(s);
			(void)jscan_skip(s);
		}
	} else if (t == JSCAN_ARRAY && str_to_u64(step, &i) == 0) {
		while ((t = jscan_next(s)) != JSCAN_ARRAY_END && i--)
			if (t == JSCAN_OBJECT || t == JSCAN_ARRAY)
				(void)jscan_skip(s);
		return t == JSCAN_ARRAY_END ? JSCAN_ERROR : t;
	}
	return JSCAN_ERROR;
}

/* The token that the pointer leads to; JSCAN_ERROR: to none. */
static enum jscan_token follow(struct jcompile *c, struct str pointer, struct jscan *s)
{
	struct buf step = BUF_INIT;
	enum jscan_token t;

	jscan_init(s, c->s->text.ptr, c->s->text.len, 0);
	t = jscan_next(s);
	for (size_t at = 2, end; t > JSCAN_END && at <= pointer.len; at = end + 1) {
		for (end = at; end < pointer.len && pointer.ptr[end] != '/';)
			end++;
		unescape_step(str_mem(pointer.ptr + at, end - at), &step);
		t = go_to(s, t, buf_str(&step));
	}
	buf_free(&step);
	c->passed += (size_t)(s->p - s->base);
	return t;
}

static int resolve(struct jcompile *c, struct jref r)
{
	size_t slashes = 0;
	enum jscan_token t;
	const char *place;
	struct jscan s;

	for (size_t i = 0; i < r.pointer.len; i++)
		slashes += r.pointer.ptr[i] == '/' || r.pointer.ptr[i] == '~' || r.pointer.ptr[i] == '%' ? 1 : 0;
	place = slashes == 2 ? map_get(&c->defs, r.pointer) : NULL;
	if (str_eqc(r.pointer, "#"))
		place = c->s->text.ptr;
	if (place && (r.from->ref = node_at(c->s, place)))
		return 0;
	if (!str_starts(r.pointer, STR("#/")) || (t = follow(c, r.pointer, &s)) == JSCAN_ERROR)
		return err_set(c->e, ERR_INVALID, "$ref: [%.*s] is not in this document", (int)MIN(r.pointer.len, 200), r.pointer.ptr);
	r.from->ref = node_at(c->s, s.tok.ptr);
	if (r.from->ref)
		return 0;
	/* it is where no schema was expected */
	if (schema(c, &s, t, &r.from->ref))
		return -1;
	qsort(c->s->nodes, c->s->n_nodes, sizeof(struct jnode *), by_place);
	c->passed += c->s->n_nodes * 64;
	return 0;
}

static bool is_plain(const struct jnode *n)
{
	if (!n)
		return true;
	if (n->never || n->values[0] || n->values[1] || n->ref || n->not || n->all.n || n->any.n || n->one.n || (n->types && !(n->types & J_BIT(J_OBJECT))))
		return false;
	return !n->object || (!n->object->n_patterns && !n->object->names && n->object->min < 0 && n->object->max < 0);
}

static int compile(struct jcompile *c)
{
	struct jscan s;

	jscan_init(&s, c->s->text.ptr, c->s->text.len, 0);
	if (schema(c, &s, jscan_next(&s), &c->s->root))
		return -1;
	if (c->s->n_nodes)
		qsort(c->s->nodes, c->s->n_nodes, sizeof(struct jnode *), by_place);
	for (size_t i = 0; i < c->n_refs; i++) { /* they may become more */
		if (resolve(c, c->refs[i]))
			return -1;
		if (c->passed > REF_BYTES_MAX)
			return err_set(c->e, ERR_INVALID, "too many references");
	}
	c->s->plain = is_plain(c->s->root);
	return too_large(c) ? -1 : 0;
}

struct jschema *jschema_new(struct str text, struct err *e)
{
	struct jcompile c = {.e = e};
	int rc = -1;

	c.s = xcalloc(1, sizeof(*c.s));
	c.s->bytes = sizeof(*c.s);
	c.s->pattern_work = PATTERN_WORK_MAX;
	c.s->text = text;
	if (text.len > JSCHEMA_TEXT_MAX)
		err_set(e, ERR_INVALID, "it is longer than %u bytes", JSCHEMA_TEXT_MAX);
	else
		rc = compile(&c);
	map_free(&c.defs, NULL);
	free(c.refs);
	if (!rc)
		return c.s;
	jschema_free(c.s);
	return NULL;
}

size_t jschema_bytes(const struct jschema *s)
{
	return s->bytes + s->cap_nodes * sizeof(struct jnode *);
}

unsigned jschema_patterns_ignored(const struct jschema *s)
{
	return s->ignored;
}

bool jschema_is_plain(const struct jschema *s)
{
	return s->plain;
}

size_t jschema_required(const struct jschema *s)
{
	return s->root && s->root->object ? s->root->object->n_required : 0;
}

static uint16_t accepts(const struct jnode *n)
{
	const struct jscalar *x;
	unsigned mask;

	if (!n)
		return JSCHEMA_ALL;
	x = n->scalar;
	if (n->never || n->values[0] || n->values[1] || n->ref || n->not || n->all.n || n->any.n || n->one.n)
		return 0;
	mask = n->types ? n->types : JSCHEMA_ALL;
	if (x && (x->minimum.ptr || x->maximum.ptr || x->above.ptr || x->below.ptr || x->multiple.ptr))
		mask &= ~(unsigned)T_NUMBER;
	if (x && (x->min_length >= 0 || x->max_length >= 0 || x->pattern))
		mask &= ~J_BIT(J_STRING);
	if (n->array)
		mask &= ~J_BIT(J_ARRAY);
	if (n->object)
		mask &= ~J_BIT(J_OBJECT);
	return (uint16_t)mask;
}

struct jfield jschema_field(const struct jschema *s, struct str name)
{
	static const struct jnode never = {.never = true};
	const struct jobject *o = s->root ? s->root->object : NULL;
	struct jfield f = {.node = NULL};
	const struct jprop *p;

	if (o) {
		p = jobject_find(o, name);
		f.required = p && p->required;
		f.node = p && p->listed ? p->node : o->closed ? &never : o->additional;
	}
	f.accepts = accepts(f.node);
	return f;
}
