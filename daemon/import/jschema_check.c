/*
 * jschema_check.c - values judged by a compiled schema, see jschema.h. The design: a value is passed once, its nodes walked with it; only what
 * combines schemas (anyOf and its kin, $ref) reads it again from its beginning, from a copy of the scanner. A first walk stops at the first
 * violation and writes nothing; only where it finds one, a second walk goes on to the end and tells all. Several violations of one value follow
 * a line that counts them; those of the schemas that a value could have met follow the line that says that it met none. What can go wrong: a
 * schema that refers to itself, or that has a value read again and again: depth and steps are bounded, and then the value is refused. In a nested
 * object with a key twice, both values are judged.
 */
#include "daemon/import/jschema_priv.h"
#include "decimal.h"
#include "utf8.h"
#include "xalloc.h"

#define TOLD_MAX 6000u		/* bytes of violations that are told; the others are counted */
#define TELL_STEPS 2000000u	/* of the second walk */
#define SHOWN_MAX 200u		/* of a value, bytes */
#define CANON_MAX JSCHEMA_TEXT_MAX /* a longer value equals nothing in a schema */

struct jcheck {
	struct jschema *s;
	uint64_t *steps;
	struct buf *out; /* NULL: only whether */
	struct buf path;
	unsigned depth;
	const char *over; /* why it was given up */
};

struct jfails { /* of one value by one schema */
	unsigned n, leaves;
};

static unsigned node(struct jcheck *c, const struct jnode *n, struct jscan *s, enum jscan_token t);

static bool spend(struct jcheck *c, uint64_t steps)
{
	if (*c->steps < steps)
		c->over = "the schema takes too much work on this record";
	else
		*c->steps -= steps;
	return !c->over;
}

static void skip(struct jcheck *c, struct jscan *s, enum jscan_token t)
{
	const char *from = s->p;

	if (t != JSCAN_OBJECT && t != JSCAN_ARRAY)
		return;
	(void)jscan_skip(s);
	(void)spend(c, (uint64_t)(s->p - from) / 32);
}

/* --- what is told --- */

static int shown(struct str s)
{
	size_t n = MIN(s.len, SHOWN_MAX);

	while (n < s.len && n && ((unsigned char)s.ptr[n] & 0xc0) == 0x80)
		n--;
	return (int)n;
}

static void tell(struct jcheck *c, const char *fmt, ...) PRINTF(2, 3);
static void fail(struct jcheck *c, struct jfails *f, const char *fmt, ...) PRINTF(3, 4);

static void tell_v(struct jcheck *c, const char *fmt, va_list ap)
{
	char text[1000];

	if (!c->out || c->out->len > TOLD_MAX)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	buf_addf(c->out, " %.*s: %s", shown(buf_str(&c->path)), buf_cstr(&c->path), text);
}

static void tell(struct jcheck *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell_v(c, fmt, ap);
	va_end(ap);
}

static void fail(struct jcheck *c, struct jfails *f, const char *fmt, ...)
{
	va_list ap;

	f->n++;
	f->leaves++;
	va_start(ap, fmt);
	tell_v(c, fmt, ap);
	va_end(ap);
}

/* true: go on. A walk that tells nothing is over with the first violation. */
static bool add(struct jcheck *c, struct jfails *f, unsigned leaves)
{
	f->n += leaves > 0;
	f->leaves += leaves;
	return !c->over && (c->out || !f->n);
}

/* Of the text from from on, what begins at mid comes first. */
static void swap(struct buf *b, size_t from, size_t mid)
{
	size_t n = b->len - mid;
	char *copy;

	if (!n || mid == from)
		return;
	copy = xmemdup(b->data + mid, n);
	memmove(b->data + from + n, b->data + from, mid - from);
	memcpy(b->data + from, copy, n);
	free(copy);
}

static size_t told(const struct jcheck *c)
{
	return c->out ? c->out->len : 0;
}

/* More than one violation: the line that counts them, before them. */
static void count_them(struct jcheck *c, const struct jfails *f, size_t from)
{
	size_t mid = told(c);

	if (f->n < 2 || !c->out)
		return;
	buf_addf(c->out, " %.*s: %u schema violations found", shown(buf_str(&c->path)), buf_cstr(&c->path), f->leaves);
	swap(c->out, from, mid);
}

static size_t path_add(struct jcheck *c, struct str step)
{
	size_t before = c->path.len;

	if (!c->out)
		return before;
	buf_addc(&c->path, '/');
	for (size_t i = 0; i < MIN(step.len, SHOWN_MAX); i++) {
		if (step.ptr[i] == '~' || step.ptr[i] == '/')
			buf_adds(&c->path, step.ptr[i] == '~' ? "~0" : "~1");
		else
			buf_addc(&c->path, step.ptr[i]);
	}
	return before;
}

static size_t path_add_index(struct jcheck *c, size_t i)
{
	size_t before = c->path.len;

	if (c->out)
		buf_addf(&c->path, "/%zu", i);
	return before;
}

/* --- one kind of value each --- */

/* The usual multipleOf, 0.01 and its like, is seen by the number's length alone; false: by no means, or not so. */
static bool has_places(struct str v, int places)
{
	size_t i = 0;

	while (i < v.len && v.ptr[i] != '.')
		if ((v.ptr[i++] | 0x20) == 'e')
			return false;
	if (i < v.len && v.len - i - 1 > (size_t)places)
		return false;
	while (i < v.len)
		if ((v.ptr[i++] | 0x20) == 'e')
			return false;
	return true;
}

static void number(struct jcheck *c, const struct jscalar *x, struct str v, struct jfails *f)
{
	if (!x || !spend(c, v.len / 32))
		return;
	if (x->minimum.ptr && decimal_cmp(v, x->minimum) < 0)
		fail(c, f, "%.*s is not greater or equal to %.*s", shown(v), v.ptr, shown(x->minimum), x->minimum.ptr);
	if (x->above.ptr && decimal_cmp(v, x->above) <= 0)
		fail(c, f, "%.*s is not greater than %.*s", shown(v), v.ptr, shown(x->above), x->above.ptr);
	if (x->maximum.ptr && decimal_cmp(v, x->maximum) > 0)
		fail(c, f, "%.*s is not less or equal to %.*s", shown(v), v.ptr, shown(x->maximum), x->maximum.ptr);
	if (x->below.ptr && decimal_cmp(v, x->below) >= 0)
		fail(c, f, "%.*s is not less than %.*s", shown(v), v.ptr, shown(x->below), x->below.ptr);
	if (x->multiple.ptr && !(x->places >= 0 && has_places(v, x->places)) && !decimal_multiple_of(v, x->multiple))
		fail(c, f, "%.*s is not a multiple of %.*s", shown(v), v.ptr, shown(x->multiple), x->multiple.ptr);
}

/* The string's value: a slice of the token, or of the schema's scratch memory. */
static struct str plain(struct jcheck *c, struct str token, bool escaped)
{
	if (!escaped)
		return str_mem(token.ptr + 1, token.len - 2);
	buf_truncate(&c->s->tmp, 0);
	jscan_unescape(token, &c->s->tmp);
	return buf_str(&c->s->tmp);
}

static void string(struct jcheck *c, const struct jscalar *x, struct str token, bool escaped, struct jfails *f)
{
	int64_t n = 0;
	struct str v;
	int m;

	if (!x || (x->min_length < 0 && x->max_length < 0 && !x->pattern) || !spend(c, token.len / 16))
		return;
	v = plain(c, token, escaped);
	for (size_t i = 0; i < v.len; i++)
		n += ((unsigned char)v.ptr[i] & 0xc0) != 0x80;
	if (x->min_length >= 0 && n < x->min_length)
		fail(c, f, "expected minLength: %" PRId64 ", actual: %" PRId64, x->min_length, n);
	if (x->max_length >= 0 && n > x->max_length)
		fail(c, f, "expected maxLength: %" PRId64 ", actual: %" PRId64, x->max_length, n);
	if (!x->pattern)
		return;
	m = pattern_match(x->pattern, v, c->steps);
	if (m < 0)
		*c->steps = 0;
	if (m < 0 && !spend(c, 1))
		return;
	if (m == 0)
		fail(c, f, "string [%.*s] does not match pattern %.*s", shown(v), v.ptr, shown(x->pattern_text), x->pattern_text.ptr);
}

static int by_text(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static bool all_differ(struct str array, size_t n)
{
	struct str *item = xreallocarray(NULL, n + 1, sizeof(*item));
	size_t *ends = xreallocarray(NULL, n + 1, sizeof(*ends)), i = 0;
	struct buf text = BUF_INIT;
	bool differ = true;
	enum jscan_token t;
	struct jscan s;

	jscan_init(&s, array.ptr, array.len, 0);
	for (t = jscan_next(&s); i < n && (t = jscan_next(&s)) > JSCAN_END; ends[i++] = text.len) {
		if (t == JSCAN_OBJECT || t == JSCAN_ARRAY)
			(void)jscan_skip(&s);
		jcanon(s.tok, &text);
	}
	n = i;
	for (i = 0; i < n; i++)
		item[i] = str_mem(text.data + (i ? ends[i - 1] : 0), ends[i] - (i ? ends[i - 1] : 0));
	if (n)
		qsort(item, n, sizeof(*item), by_text);
	for (i = 1; i < n && differ; i++)
		differ = !str_eq(item[i - 1], item[i]);
	free(item);
	free(ends);
	buf_free(&text);
	return differ;
}

static const struct jnode *item_node(const struct jarray *a, size_t i)
{
	return a->is_tuple && i < a->tuple.n ? a->tuple.node[i] : a->items;
}

static void array(struct jcheck *c, const struct jarray *a, struct jscan *s, struct jfails *f)
{
	const char *start = s->p - 1;
	size_t n = 0, path;
	enum jscan_token t;

	while ((t = jscan_next(s)) != JSCAN_ARRAY_END) {
		if (t <= JSCAN_END || !spend(c, 1))
			return;
		path = path_add_index(c, n);
		if (!add(c, f, node(c, item_node(a, n), s, t)))
			return;
		buf_truncate(&c->path, path);
		n++;
	}
	if (a->min >= 0 && (int64_t)n < a->min)
		fail(c, f, "expected minimum item count: %" PRId64 ", found: %zu", a->min, n);
	if (a->max >= 0 && (int64_t)n > a->max)
		fail(c, f, "expected maximum item count: %" PRId64 ", found: %zu", a->max, n);
	if (a->closed && n > a->tuple.n)
		fail(c, f, "expected: [%zu] array items, found: [%zu]", a->tuple.n, n);
	if (a->unique && n > 1 && spend(c, (uint64_t)(s->p - start) / 4 + n) && !all_differ(str_mem(start, (size_t)(s->p - start)), n))
		fail(c, f, "array items are not unique");
}

/* --- objects --- */

struct jobject_check {
	struct jcheck *c;
	const struct jobject *o;
	struct jfails *f;
	uint64_t few, *met; /* which of the required names were there: a bit each */
	size_t n;
};

/* The schemas of patterns that the name matches; *matched: there is one. The value was begun. */
static bool pattern_props(struct jobject_check *x, struct str name, const struct jscan *s, enum jscan_token t, bool *matched)
{
	for (size_t i = 0; i < x->o->n_patterns; i++) {
		const struct jpattern_prop *p = &x->o->patterns[i];
		struct jscan again = *s;
		int m = !spend(x->c, 1) ? -1 : p->pattern ? pattern_match(p->pattern, name, x->c->steps) : 1;

		if (m < 0) {
			*x->c->steps = 0;
			return spend(x->c, 1);
		}
		*matched |= m;
		if (m && p->pattern && !add(x->c, x->f, node(x->c, p->node, &again, t)))
			return false;
	}
	return true;
}

/* A member, its key read. false: it is over. */
static bool member(struct jobject_check *x, struct jscan *s, struct str name)
{
	struct jscan key = *s;
	enum jscan_token t = jscan_next(s);
	const struct jprop *p = jobject_find(x->o, name);
	bool matched = p && p->listed;
	size_t path = path_add(x->c, name);

	x->n++;
	if (p && p->required)
		x->met[p->at / 64] |= UINT64_C(1) << (p->at % 64);
	if (x->o->names && !add(x->c, x->f, node(x->c, x->o->names, &key, JSCAN_STRING)))
		return false;
	if (x->o->n_patterns && !pattern_props(x, name, s, t, &matched))
		return false;
	if (!matched && x->o->closed) {
		buf_truncate(&x->c->path, path);
		skip(x->c, s, t);
		fail(x->c, x->f, "extraneous key [%.*s] is not permitted", shown(name), name.ptr);
		return add(x->c, x->f, 0);
	}
	if (!add(x->c, x->f, node(x->c, p && p->listed ? p->node : matched ? NULL : x->o->additional, s, t)))
		return false;
	buf_truncate(&x->c->path, path);
	return true;
}

static void object_end(struct jobject_check *x, size_t from)
{
	const struct jobject *o = x->o;
	size_t mid = told(x->c);

	for (size_t i = 0; o->n_required && i < o->n_props; i++) {
		const struct jprop *p = &o->props[i];

		if (p->required && !(x->met[p->at / 64] >> (p->at % 64) & 1))
			fail(x->c, x->f, "required key [%.*s] not found", shown(p->name), p->name.ptr);
	}
	if (o->min >= 0 && (int64_t)x->n < o->min)
		fail(x->c, x->f, "minimum size: [%" PRId64 "], found: [%zu]", o->min, x->n);
	if (o->max >= 0 && (int64_t)x->n > o->max)
		fail(x->c, x->f, "maximum size: [%" PRId64 "], found: [%zu]", o->max, x->n);
	if (x->c->out)
		swap(x->c->out, from, mid); /* these come first */
}

static void object(struct jcheck *c, const struct jobject *o, struct jscan *s, struct jfails *f)
{
	struct jobject_check x = {.c = c, .o = o, .f = f};
	size_t from = told(c);
	bool more = true;

	x.met = o->n_required <= 64 ? &x.few : xcalloc(o->n_required / 64 + 1, sizeof(*x.met));
	while (more && jscan_next(s) == JSCAN_KEY) {
		struct buf name = BUF_INIT;

		more = spend(c, 1 + s->tok.len / 32);
		if (!more)
			break;
		if (s->tok_escaped)
			jscan_unescape(s->tok, &name);
		more = member(&x, s, s->tok_escaped ? buf_str(&name) : str_mem(s->tok.ptr + 1, s->tok.len - 2));
		buf_free(&name);
	}
	if (more)
		more = spend(c, o->n_required ? o->n_props / 8 : 0); /* object_end passes all of them */
	if (more)
		object_end(&x, from);
	if (x.met != &x.few)
		free(x.met);
}

/* --- a node --- */

static bool is_type(const struct jnode *n, enum jtype kind, struct str v)
{
	return !n->types || n->types & J_BIT(kind) || (kind == J_NUMBER && n->whole && decimal_is_integer(v));
}

static bool is_one(enum jtype type, enum jtype kind, struct str v)
{
	if (kind == J_INTEGER || kind == J_BIGNUM)
		return type == J_INTEGER || type == J_NUMBER;
	return type == kind || (kind == J_NUMBER && type == J_INTEGER && decimal_is_integer(v));
}

/* The value is none of the listed types, or it is but breaks what is said of that type (told from `from` on, and counted in f). */
static void tell_types(struct jcheck *c, const struct jnode *n, enum jtype kind, struct str v, size_t from, struct jfails *f)
{
	struct jfails inner = *f;
	struct buf text = BUF_INIT;

	*f = (struct jfails){.n = 1};
	if (!c->out) {
		f->leaves = 1;
		return;
	}
	count_them(c, &inner, from);
	buf_add(&text, c->out->data ? c->out->data + from : "", c->out->len - from);
	buf_truncate(c->out, from);
	if (n->n_types > 1)
		tell(c, "#: no subschema matched out of the total %u subschemas", n->n_types);
	for (size_t i = 0; i < n->n_types; i++) {
		if (inner.n && is_one(n->order[i], kind, v)) {
			buf_addstr(c->out, buf_str(&text));
			f->leaves += inner.leaves;
		} else {
			tell(c, "expected type: %s, found: %s", jtype_name(n->order[i]), jtype_name(kind));
			f->leaves++;
		}
	}
	buf_free(&text);
}

static void typed(struct jcheck *c, const struct jnode *n, struct jscan *s, enum jscan_token t, struct jfails *f)
{
	enum jtype kind = jtype_of(t, s);
	struct str v = s->tok;
	size_t from = told(c);

	if (!is_type(n, kind, v)) {
		skip(c, s, t);
		tell_types(c, n, kind, v, from, f);
		return;
	}
	if (kind == J_OBJECT && n->object)
		object(c, n->object, s, f);
	else if (kind == J_ARRAY && n->array)
		array(c, n->array, s, f);
	else if (kind == J_STRING)
		string(c, n->scalar, v, s->tok_escaped, f);
	else if (t == JSCAN_NUMBER)
		number(c, n->scalar, v, f);
	else
		skip(c, s, t);
	if (f->n && n->n_types > 1)
		tell_types(c, n, kind, v, from, f);
}

static void values(struct jcheck *c, const struct jvalues *v, struct str value, struct jfails *f)
{
	struct str inside = value.ptr[0] == '"' ? str_mem(value.ptr + 1, value.len - 2) : value;
	struct buf text = BUF_INIT;
	size_t i = 0;

	if (!spend(c, value.len / 4 + v->n / 8))
		return;
	if (value.len <= CANON_MAX)
		jcanon(value, &text);
	while (i < v->n && !str_eq(v->value[i], buf_str(&text)))
		i++;
	buf_free(&text);
	if (i < v->n)
		return;
	if (v->constant)
		fail(c, f, "%.*s is not the constant value", shown(inside), inside.ptr);
	else
		fail(c, f, "%.*s is not a valid enum value", shown(inside), inside.ptr);
}

enum combine { ALL, ANY, ONE };

static void combined(struct jcheck *c, enum combine how, const struct jlist *l, const struct jscan *start, enum jscan_token t, struct jfails *f)
{
	size_t from = told(c), mid, matched = 0;
	struct jfails inner = {.n = 0};

	for (size_t i = 0; i < l->n && spend(c, 1); i++) { /* a schema that says nothing is no node, and takes no step there */
		struct jscan s = *start;
		unsigned leaves = node(c, l->node[i], &s, t);

		matched += !leaves;
		inner.n += leaves > 0;
		inner.leaves += leaves;
		if (!c->out && ((how == ALL && leaves) || (how == ANY && matched) || (how == ONE && matched > 1)))
			break;
	}
	if (c->over)
		return;
	if (how == ALL ? !inner.n : how == ANY ? matched > 0 : matched == 1) {
		if (c->out)
			buf_truncate(c->out, from);
		return;
	}
	mid = told(c);
	if (how == ALL)
		tell(c, "#: only %zu subschema matches out of %zu", matched, l->n);
	else if (how == ANY)
		tell(c, "#: no subschema matched out of the total %zu subschemas", l->n);
	else
		tell(c, "#: %zu subschemas matched instead of one", matched);
	if (c->out)
		swap(c->out, from, mid);
	(void)add(c, f, MAX(inner.leaves, 1));
}

static void not_this(struct jcheck *c, const struct jnode *n, const struct jscan *start, enum jscan_token t, struct jfails *f)
{
	struct buf *out = c->out;
	struct jscan s = *start;
	unsigned leaves;

	c->out = NULL;
	leaves = node(c, n->not, &s, t);
	c->out = out;
	if (!leaves)
		fail(c, f, "subject must not be valid against schema %.*s", shown(n->not_text), n->not_text.ptr);
}

/* All that reads the value again; it was passed by s and began where start is. false: it is over. */
static bool again(struct jcheck *c, const struct jnode *n, const struct jscan *start, enum jscan_token t, struct str value, struct jfails *f)
{
	struct jscan s = *start;

	for (size_t i = 0; i < ARRAY_LEN(n->values); i++)
		if (n->values[i])
			values(c, n->values[i], value, f);
	if (!add(c, f, 0))
		return false;
	if (n->ref && !add(c, f, node(c, n->ref, &s, t)))
		return false;
	if (n->all.n)
		combined(c, ALL, &n->all, start, t, f);
	if (n->any.n && add(c, f, 0))
		combined(c, ANY, &n->any, start, t, f);
	if (n->one.n && add(c, f, 0))
		combined(c, ONE, &n->one, start, t, f);
	if (n->not && add(c, f, 0))
		not_this(c, n, start, t, f);
	return add(c, f, 0);
}

static bool needs_again(const struct jnode *n)
{
	return n->values[0] || n->values[1] || n->ref || n->not || n->all.n || n->any.n || n->one.n;
}

static void walk(struct jcheck *c, const struct jnode *n, struct jscan *s, enum jscan_token t, struct jfails *f)
{
	struct jscan start;
	struct str value;

	if (n->never) {
		skip(c, s, t);
		fail(c, f, "false schema always fails");
		return;
	}
	if (!needs_again(n)) {
		typed(c, n, s, t, f);
		return;
	}
	start = *s;
	typed(c, n, s, t, f);
	if (!add(c, f, 0))
		return;
	value = start.tok;
	if (t == JSCAN_OBJECT || t == JSCAN_ARRAY)
		value.len = (size_t)(s->p - value.ptr);
	(void)again(c, n, &start, t, value, f);
}

/* The violations of the value that was begun with t; 0: it conforms. Where nothing is told, s is past the value only if it conforms. */
static unsigned node(struct jcheck *c, const struct jnode *n, struct jscan *s, enum jscan_token t)
{
	struct jfails f = {.n = 0};
	size_t from = told(c);

	if (!n) {
		skip(c, s, t);
		return c->over != NULL;
	}
	if (!spend(c, 1 + s->tok.len / 32))
		return 1;
	if (++c->depth > JSCHEMA_DEPTH_MAX)
		c->over = "nested too deeply, or a schema that refers to itself";
	else
		walk(c, n, s, t, &f);
	c->depth--;
	if (c->over)
		return 1;
	count_them(c, &f, from);
	return f.leaves;
}

static bool judge(struct jschema *s, const struct jnode *n, struct str value, uint64_t *steps, struct buf *why, const char **over)
{
	struct jcheck c = {.s = s, .steps = steps, .out = why};
	struct jscan j;
	unsigned leaves;

	if (why)
		buf_addc(&c.path, '#');
	jscan_init(&j, value.ptr, value.len, 0);
	leaves = node(&c, n, &j, jscan_next(&j));
	buf_free(&c.path);
	*over = c.over;
	return !leaves;
}

bool jschema_check(struct jschema *s, struct str value, uint64_t *steps, struct buf *why)
{
	uint64_t more = TELL_STEPS;
	struct buf text = BUF_INIT;
	const char *over;

	if (judge(s, s->root, value, steps, NULL, &over))
		return true;
	if (!why)
		return false;
	/* what took little work before its first violation may take much to the last one */
	if (!over && judge(s, s->root, value, &more, &text, &over))
		assert(!"a violation that is none");
	*steps -= MIN(*steps, TELL_STEPS - more); /* a request that is taken in part may have thousands to tell */
	if (over)
		buf_addf(why, "#: %s", over);
	else
		buf_add(why, text.data + 1, text.len - 1);
	buf_free(&text);
	return false;
}

bool jschema_field_check(struct jschema *s, const struct jnode *n, enum jtype kind, struct str value, uint64_t *steps)
{
	struct jfails f = {.n = 0};
	const char *over;

	/* no scanner is needed for what is one token anyway */
	if (n && T_NUMBER & J_BIT(kind) && !n->never && !needs_again(n) && value.len < 32) {
		if (!is_type(n, kind, value))
			return false;
		number(&(struct jcheck){.s = s, .steps = steps}, n->scalar, value, &f);
		return !f.n;
	}
	return judge(s, n, value, steps, NULL, &over);
}
