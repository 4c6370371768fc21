/*
 * record.c - nested columns. The tree of columns is made from the fields that the door saw, in their order, as the columns of a table are (layout.c); a value then
 * goes through one pass of jscan: each name is looked up among the members, each value is written as its column takes it, and whatever has no column is a
 * reason to reject the record. Integers and decimals are written as text, so that no digit is lost on the way.
 *
 * A key that comes twice in an object: the last one counts, so what the first one wrote is cut out again. What can go wrong: a value at a place that the job does
 * not list (too deep, too many fields); arrays of more than one type, or with null in them: there is no column for such in the destinations that this is for.
 */
#include "loaders/runtime/record.h"

#include "decimal.h"
#include "jscan.h"
#include "jwrite.h"
#include "timefmt.h"
#include "xalloc.h"

#define DEPTH_MAX 15	/* records in records */
#define SHOWN_MAX 200	/* bytes of a value in a reason */
#define DOUBLE_DIGITS 15 /* as many decimal digits survive a double, whatever they are */
#define NUMBER_TEXT 64
#define INT_DIGITS 29 /* of BigQuery's NUMERIC */
#define FRAC_DIGITS 9
#define BIT(seen) (1u << (seen))

/* --- numbers --- */

int record_double(struct str number, struct buf *out)
{
	char text[NUMBER_TEXT], back[NUMBER_TEXT];
	unsigned precision, scale;
	bool same;
	char *end;
	double v;

	if (number.len >= sizeof(text))
		return -1;
	memcpy(text, number.ptr, number.len);
	text[number.len] = '\0';
	v = strtod(text, &end);
	/* nor infinity */
	if (*end || v - v != 0)
		return -1;
	same = decimal_size(number, DOUBLE_DIGITS, &precision, &scale) == 0;
	for (int digits = DOUBLE_DIGITS; digits <= 17 && !same; digits++) {
		snprintf(back, sizeof(back), "%.*g", digits, v);
		same = decimal_cmp(str_c(back), number) == 0;
	}
	if (same)
		buf_addstr(out, number);
	return same ? 0 : -1;
}

int record_decimal(struct str number, struct buf *out)
{
	unsigned precision, scale;
	size_t before = out->len;

	if (decimal_size(number, INT_DIGITS + FRAC_DIGITS, &precision, &scale) || precision - scale > INT_DIGITS || scale > FRAC_DIGITS)
		return -1;
	buf_addc(out, '"');
	if (decimal_plain(number, number.len + INT_DIGITS + FRAC_DIGITS, out)) {
		buf_truncate(out, before);
		return -1;
	}
	buf_addc(out, '"');
	return 0;
}

bool record_is_decimal(const struct layout_field *f)
{
	for (unsigned k = 0; f->seen && k < f->seen->n; k++)
		if (f->seen->types[k] == SEEN_BIGNUM || f->seen->types[k] == SEEN_NUMBER)
			return f->seen->types[k] == SEEN_BIGNUM;
	return false;
}

/* --- the tree of columns --- */

struct making {
	const struct dialect *d;
	int *room;
};

static bool object_columns(const struct making *m, struct layout_field *f, struct column *c, unsigned depth);
static bool array_columns(const struct making *m, struct layout_field *f, struct column *c, unsigned depth);

static struct column *add(struct column *c)
{
	c->sub = xreallocarray(c->sub, c->n_sub + 1, sizeof(*c->sub));
	c->sub[c->n_sub] = (struct column){.name = NULL};
	return &c->sub[c->n_sub++];
}

static void drop_last(struct column *c)
{
	struct column *last = &c->sub[--c->n_sub];

	record_columns_free(last);
	free(last->name);
}

static enum col_type type_of(const struct layout_field *f, enum seen_type t)
{
	switch (t) {
	case SEEN_INTEGER:
		return COL_INTEGER;
	case SEEN_BIGNUM:
	case SEEN_NUMBER:
		return COL_NUMBER;
	case SEEN_BOOLEAN:
		return COL_BOOLEAN;
	case SEEN_TIMESTAMP:
	case SEEN_DATE:
		return COL_TIME;
	case SEEN_OBJECT:
		return f->has_members ? COL_JSON : COL_STRING;
	case SEEN_ARRAY:
		return f->has_elements ? COL_JSON : COL_STRING;
	case SEEN_STRING:
	case SEEN_TYPES:
		break;
	}
	return COL_STRING;
}

/* Where f's values of a type go; object and array have places of their own. */
static size_t *place_of(struct layout_field *f, enum seen_type t)
{
	enum col_type type = type_of(f, t);

	if (type == COL_JSON)
		return t == SEEN_ARRAY ? &f->array : &f->object;
	return &f->column[type];
}

static void forget_places(struct layout_field *f)
{
	for (unsigned t = 0; t < COL_TYPES; t++)
		f->column[t] = NO_COLUMN;
	f->object = f->array = NO_COLUMN;
}

/* A column of type t below c for f; false: it would be one without content. */
static bool fill(const struct making *m, struct layout_field *f, enum seen_type t, struct column *c, unsigned depth)
{
	c->type = type_of(f, t);
	c->seen = BIT(t);
	c->decimal = record_is_decimal(f);
	if (c->type == COL_JSON && !(t == SEEN_ARRAY ? array_columns(m, f, c, depth) : object_columns(m, f, c, depth)))
		return false;
	(*m->room)--;
	return true;
}

static const char *suffix_of(const struct dialect *d, const struct column *c)
{
	if (c->repeated && d->suffix_array)
		return d->suffix_array;
	return c->type == COL_NUMBER && c->decimal ? "nu" : d->suffix[c->type];
}

static void name_it(const struct dialect *d, struct column *c, const char *name, bool first)
{
	c->name = first ? xstrdup(name) : xasprintf("%s__%s", name, suffix_of(d, c));
	c->suffixed = !first;
}

static bool has_reserved_suffix(const struct dialect *d, struct str name)
{
	for (const char *const *s = d->reserved; s && *s; s++) {
		size_t n = strlen(*s);

		if (name.len > n + 2 && str_ieq(str_mem(name.ptr + name.len - n, n), str_c(*s)) && memcmp(name.ptr + name.len - n - 2, "__", 2) == 0)
			return true;
	}
	return false;
}

static char *refusal(const struct making *m, const struct layout_field *f, struct str name, const struct map *taken)
{
	if (!name.len)
		return xasprintf("a member of %s has no name that could be a column's", f->parent->path);
	if (has_reserved_suffix(m->d, name))
		return xasprintf("%s has a reserved suffix (__ and two letters of a type)", f->path);
	if (m->d->column_max && name.len > m->d->column_max)
		return xasprintf("the name of field %s is longer than %zu bytes", f->path, m->d->column_max);
	if (map_get(taken, name))
		return xasprintf("Field collision on %s", f->path);
	if (m->d->columns_max && *m->room < (int)f->seen->n)
		return xasprintf("%s would be one column more than the %u that a table can have", f->path, m->d->columns_max);
	return NULL;
}

static void member_columns(const struct making *m, struct layout_field *f, struct column *c, struct map *taken, unsigned depth)
{
	struct buf name = BUF_INIT;
	bool first = true;

	forget_places(f);
	if (!f->seen)
		return;
	dialect_name(m->d, str_c(f->name), &name);
	free(f->refused);
	f->refused = refusal(m, f, buf_str(&name), taken);
	for (unsigned k = 0; !f->refused && k < f->seen->n; k++) {
		enum seen_type t = f->seen->types[k];
		size_t *place = place_of(f, t);
		struct column *sub;

		if (*place != NO_COLUMN)
			continue;
		if (t == SEEN_INTEGER && f->column[COL_NUMBER] != NO_COLUMN)
			continue; /* numbers came first, and hold integers as well */
		sub = add(c);
		if (fill(m, f, t, sub, depth)) {
			name_it(m->d, sub, buf_cstr(&name), first);
			*place = c->n_sub - 1;
		} else {
			drop_last(c);
		}
		/* also of objects in which nothing was seen yet: they keep their name for what comes */
		first = false;
	}
	if (!f->refused && f->seen->n && map_put(taken, buf_str(&name), f))
		assert(!"taken twice");
	buf_free(&name);
}

static bool object_columns(const struct making *m, struct layout_field *f, struct column *c, unsigned depth)
{
	struct map taken = {NULL};

	if (depth > DEPTH_MAX) {
		if (!f->refused)
			f->refused = xasprintf("%s is nested too deep: more than %d levels", f->path, DEPTH_MAX);
		return false;
	}
	for (size_t k = 0; k < f->n_members; k++)
		member_columns(m, f->members[k], c, &taken, depth + 1);
	map_free(&taken, NULL);
	return c->n_sub > 0;
}

/* The type of an array is that of the first element seen, whether it can have a column yet or not; all numbers are one. */
static enum seen_type element_type(const struct job_field *seen)
{
	enum seen_type t = seen->types[0];

	for (unsigned n = 0; t == SEEN_INTEGER && n < seen->n; n++)
		if (seen->types[n] == SEEN_NUMBER || seen->types[n] == SEEN_BIGNUM)
			return seen->types[n];
	return t;
}

static bool array_columns(const struct making *m, struct layout_field *f, struct column *c, unsigned depth)
{
	struct layout_field *el = f->element;
	struct column *sub, *inner;
	enum seen_type t;
	bool wrapped;

	c->repeated = true;
	forget_places(el);
	if (!el->seen || !el->seen->n)
		return false;
	t = element_type(el->seen);
	/* no array of arrays: an object around each */
	wrapped = t == SEEN_ARRAY && type_of(el, t) == COL_JSON;
	sub = inner = add(c);
	if (wrapped) {
		*sub = (struct column){.type = COL_JSON, .seen = BIT(SEEN_OBJECT)};
		inner = add(sub);
		inner->name = xstrdup("value");
	}
	if (depth + wrapped > DEPTH_MAX || !fill(m, el, t, inner, depth + wrapped)) {
		drop_last(c);
		return false;
	}
	*place_of(el, t) = 0;
	if (type_of(el, t) == COL_NUMBER)
		el->column[COL_INTEGER] = 0;
	return true;
}

bool record_columns(const struct dialect *d, struct layout_field *f, bool array, struct column *c, int *room)
{
	struct making m = {.d = d, .room = room};

	c->sub = NULL;
	c->n_sub = 0;
	c->repeated = false;
	return array ? array_columns(&m, f, c, 1) : object_columns(&m, f, c, 1);
}

void record_columns_free(struct column *c)
{
	for (size_t k = 0; k < c->n_sub; k++) {
		record_columns_free(&c->sub[k]);
		free(c->sub[k].name);
	}
	free(c->sub);
	c->sub = NULL;
	c->n_sub = 0;
}

/* --- what is there --- */

static const struct desc_column *there(const struct dialect *d, const struct desc_column *dc, const char *name)
{
	for (size_t k = 0; k < dc->n_sub; k++)
		if (d->case_matters ? strcmp(dc->sub[k].name, name) == 0 : str_ieq(str_c(dc->sub[k].name), str_c(name)))
			return &dc->sub[k];
	return NULL;
}

static void rename_to(struct column *c, const char *name)
{
	char *copy = xstrdup(name);

	free(c->name);
	c->name = copy;
}

static int fit_member(const struct dialect *d, struct column *c, const struct desc_column *dc, bool *lacks)
{
	const struct desc_column *at = there(d, dc, c->name);
	char *other;
	int rc = 0;

	if (at && record_fit(d, c, at, lacks) == 0) {
		rename_to(c, at->name);
		return 0;
	}
	if (!at) {
		*lacks = true;
		return 0;
	}
	if (c->suffixed)
		return -1;
	other = xasprintf("%s__%s", c->name, suffix_of(d, c));
	at = there(d, dc, other);
	if (!at)
		*lacks = true;
	else
		rc = record_fit(d, c, at, lacks);
	if (!rc) {
		c->suffixed = true;
		rename_to(c, at ? at->name : other);
	}
	free(other);
	return rc;
}

int record_fit(const struct dialect *d, struct column *c, const struct desc_column *dc, bool *lacks)
{
	if (c->type != COL_JSON)
		return !dc->repeated && !dc->n_sub && (dc->accepts & COL_BIT(c->type)) ? 0 : -1;
	if (c->repeated != dc->repeated || !dc->n_sub)
		return -1;
	if (c->repeated)
		return record_fit(d, &c->sub[0], &dc->sub[0], lacks);
	for (size_t k = 0; k < c->n_sub; k++)
		if (fit_member(d, &c->sub[k], dc, lacks))
			return -1;
	return 0;
}

/* --- values --- */

struct put { size_t at, from, to; }; /* a member of the object that is open, and where in out it stands */
struct conv {
	const struct dialect *d;
	const unsigned char *told;
	struct jscan s;
	struct buf *out, *why;
	struct buf text;
	struct put *puts;
	size_t n, cap;
};

static int put_object(struct conv *c, const struct layout_field *f, const struct column *col);
static int put_array(struct conv *c, const struct layout_field *f, const struct column *col);

static size_t shown(struct str v)
{
	size_t n = MIN(v.len, SHOWN_MAX);

	while (n && n < v.len && ((unsigned char)v.ptr[n] & 0xC0) == 0x80)
		n--;
	return n;
}

static int refuse(struct conv *c, const char *what, const struct layout_field *f, struct str value)
{
	buf_addf(c->why, "%s for %s on [%.*s]%s", what, f->path, (int)shown(value), value.ptr, shown(value) < value.len ? "..." : "");
	return -1;
}

static int broken(struct conv *c)
{
	buf_addf(c->why, "not JSON: %s", c->s.error ? c->s.error : "it ends too early");
	return -1;
}

static int unlisted(struct conv *c, const char *path, struct str name)
{
	buf_addf(c->why, "%s%s" STR_FMT " is nested too deep or has too many fields", path, name.len ? "__" : "", STR_ARG(name));
	return -1;
}

/* A name as it is in the destination; letters, digits and _ need no escape, others may. */
static void put_name(struct conv *c, const struct column *col)
{
	struct jwrite w;

	if (!col || !col->name)
		return;
	jwrite_init(&w, c->out);
	jwrite_string(&w, col->name);
	buf_addc(c->out, ':');
}

/* The text of the last string token, without escapes; valid until the next call. */
static struct str text_of(struct conv *c, struct str tok, bool escaped)
{
	if (!escaped)
		return str_mem(tok.ptr + 1, tok.len - 2);
	buf_truncate(&c->text, 0);
	jscan_unescape(tok, &c->text);
	return buf_str(&c->text);
}

static const struct column *column_at(const struct column *sub, size_t place)
{
	return sub && place != NO_COLUMN ? &sub[place] : NULL;
}

static int put_as_text(struct conv *c, const struct column *col, struct str raw)
{
	struct jwrite w;

	put_name(c, col);
	jwrite_init(&w, c->out);
	jwrite_str(&w, raw);
	return 0;
}

/* No column of the value's own type: text, but not among an array's elements. */
static int put_other(struct conv *c, const struct layout_field *f, const struct column *sub, bool element, const char *type, struct str raw)
{
	const struct column *text = column_at(sub, f->column[COL_STRING]);
	char what[80];

	if (text && !element)
		return put_as_text(c, text, raw);
	snprintf(what, sizeof(what), element ? "%s among other types in an array not possible" : "%s not possible", type);
	return refuse(c, what, f, raw);
}

static int put_number(struct conv *c, const struct layout_field *f, const struct column *sub, bool element)
{
	const struct column *whole = column_at(sub, f->column[COL_INTEGER]), *num = column_at(sub, f->column[COL_NUMBER]);
	struct str tok = c->s.tok;
	size_t before = c->out->len;
	int64_t i;

	if (whole && whole->type == COL_INTEGER && decimal_to_i64(tok, &i) == 0) {
		put_name(c, whole);
		buf_addf(c->out, "\"%" PRId64 "\"", i);
		return 0;
	}
	if (num && num->type == COL_NUMBER) {
		put_name(c, num);
		if ((num->decimal ? record_decimal(tok, c->out) : record_double(tok, c->out)) == 0)
			return 0;
		buf_truncate(c->out, before);
	}
	if (!whole && !num)
		return put_other(c, f, sub, element, "number", tok);
	if (!element && f->column[COL_STRING] != NO_COLUMN)
		return put_other(c, f, sub, element, "number", tok);
	return refuse(c, num ? num->decimal ? "decimal out of range" : "number with more digits than a double has" :
			     decimal_is_integer(tok) ? "integer out of range" : "fraction not possible", f, tok);
}

static bool in_time(const struct dialect *d, int64_t us)
{
	return (!d->time_min && !d->time_max) || (us >= d->time_min && us <= d->time_max);
}

/* As at the top (rows.c): a string is a time only if its own head does not say that it is none. */
static int put_string(struct conv *c, const struct layout_field *f, const struct column *sub)
{
	const struct column *time = column_at(sub, f->column[COL_TIME]), *text = column_at(sub, f->column[COL_STRING]);
	unsigned char told = c->told ? c->told[f->id] : 0;
	struct str tok = c->s.tok, s = text_of(c, tok, c->s.tok_escaped);
	char buf[TIMEFMT_MAX];
	int64_t us;

	if (time && told != TOLD_TEXT && timefmt_parse(s, &us) == 0 && in_time(c->d, us)) {
		put_name(c, time);
		buf_addf(c->out, "\"%.*s\"", (int)timefmt_sql(us, buf), buf);
		return 0;
	}
	if (!text || (time && told == TOLD_TIME))
		return refuse(c, time && told != TOLD_TEXT ? "invalid timestamp" : "string not possible", f, s);
	if (!c->d->nul_ok && c->s.tok_escaped && memchr(s.ptr, 0, s.len))
		return refuse(c, "character U+0000 not possible", f, STR("\\u0000"));
	put_name(c, text);
	buf_addstr(c->out, tok);
	return 0;
}

/* Objects and arrays that hold no value are not written: they may have come before there was a column for what is in them. */
static int put_nested(struct conv *c, const struct layout_field *f, const struct column *sub, bool element, bool array)
{
	const struct column *col = column_at(sub, array ? f->array : f->object);
	size_t before = c->out->len, from;
	bool wrapped = element && array && col;
	int rc;

	if (array ? !f->has_elements : !f->has_members) {
		if (jscan_skip(&c->s) < 0)
			return broken(c);
		return put_other(c, f, sub, element, array ? "array" : "object", c->s.tok);
	}
	if (wrapped) {
		buf_addc(c->out, '{');
		col = &col->sub[0];
	}
	put_name(c, col);
	from = c->out->len;
	rc = array ? put_array(c, f, col) : put_object(c, f, col);
	if (c->out->len == from || !col)
		buf_truncate(c->out, before);
	else if (wrapped)
		buf_addc(c->out, '}');
	return rc;
}

/* A value at f, whose columns are in sub (NULL: it has none, and no value either). */
static int put_value(struct conv *c, const struct layout_field *f, const struct column *sub, bool element, enum jscan_token t)
{
	if (f->refused || (t == JSCAN_ARRAY && f->refused_array)) {
		buf_adds(c->why, f->refused ? f->refused : f->refused_array);
		return -1;
	}
	switch (t) {
	case JSCAN_OBJECT:
	case JSCAN_ARRAY:
		return put_nested(c, f, sub, element, t == JSCAN_ARRAY);
	case JSCAN_STRING:
		return put_string(c, f, sub);
	case JSCAN_NUMBER:
		return put_number(c, f, sub, element);
	case JSCAN_TRUE:
	case JSCAN_FALSE:
		if (!column_at(sub, f->column[COL_BOOLEAN]))
			return put_other(c, f, sub, element, "boolean", c->s.tok);
		put_name(c, column_at(sub, f->column[COL_BOOLEAN]));
		buf_addstr(c->out, c->s.tok);
		return 0;
	default:
		return broken(c);
	}
}

/* The key came before in this object (its members are puts[first..n)): what it wrote goes. */
static void forget_repeat(struct conv *c, size_t first, size_t at)
{
	for (size_t k = c->n; k-- > first;) {
		struct put *p = &c->puts[k];
		size_t len = p->to - p->from;

		if (p->at != at)
			continue;
		memmove(c->out->data + p->from, c->out->data + p->to, c->out->len - p->to);
		buf_truncate(c->out, c->out->len - len);
		for (size_t n = k + 1; n < c->n; n++) {
			c->puts[n].from -= len;
			c->puts[n].to -= len;
			c->puts[n - 1] = c->puts[n];
		}
		c->n--;
		return;
	}
}

static void remember(struct conv *c, size_t at, size_t from)
{
	if (c->n == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 32;
		c->puts = xreallocarray(c->puts, c->cap, sizeof(*c->puts));
	}
	c->puts[c->n++] = (struct put){.at = at, .from = from, .to = c->out->len};
}

static const struct layout_field *member_named(struct conv *c, const struct layout_field *f, size_t *expected)
{
	struct str name = text_of(c, c->s.tok, c->s.tok_escaped);

	struct layout_field *m;

	if (*expected < f->n_members && str_eqc(name, f->members[*expected]->name))
		return f->members[(*expected)++];
	m = map_get(&f->by_name, name);
	if (m)
		*expected = m->at + 1;
	return m;
}

static int put_member(struct conv *c, const struct layout_field *m, const struct column *sub, size_t first, size_t *last, enum jscan_token t)
{
	size_t from;
	int rc;

	if (c->n > first && m->at <= *last)
		forget_repeat(c, first, m->at);
	*last = MAX(*last, m->at);
	if (t == JSCAN_NULL)
		return 0;
	from = c->out->len;
	rc = put_value(c, m, sub, false, t);
	if (c->out->len > from) {
		buf_addc(c->out, ',');
		remember(c, m->at, from);
	}
	return rc;
}

/* After the bracket; writes the whole object. col NULL: only looked whether there is something in it. */
static int put_object(struct conv *c, const struct layout_field *f, const struct column *col)
{
	size_t first = c->n, expected = 0, last = 0;
	enum jscan_token t = JSCAN_ERROR;
	int rc = 0;

	buf_addc(c->out, '{');
	while (!rc && (t = jscan_next(&c->s)) == JSCAN_KEY) {
		const struct layout_field *m = member_named(c, f, &expected);
		struct str name = str_mem(c->s.tok.ptr + 1, c->s.tok.len - 2);

		t = jscan_next(&c->s);
		if (m)
			rc = put_member(c, m, col ? col->sub : NULL, first, &last, t);
		else if (t < 0)
			rc = broken(c);
		else if (t != JSCAN_NULL)
			rc = unlisted(c, f->path, name);
	}
	if (!rc && t != JSCAN_OBJECT_END)
		rc = broken(c);
	/* the last comma, or the bracket of an object without a value */
	buf_truncate(c->out, c->out->len - 1);
	if (c->n > first)
		buf_addc(c->out, '}');
	c->n = first;
	return rc;
}

static int put_array(struct conv *c, const struct layout_field *f, const struct column *col)
{
	size_t before = c->out->len, from;
	enum jscan_token t;
	int rc = 0;

	while (!rc && (t = jscan_next(&c->s)) != JSCAN_ARRAY_END) {
		if (t == JSCAN_NULL)
			return refuse(c, "null in an array not possible", f, STR("null"));
		if (t < 0)
			return broken(c);
		buf_addc(c->out, c->out->len > before ? ',' : '[');
		from = c->out->len;
		rc = put_value(c, f->element, col ? col->sub : NULL, true, t);
		if (c->out->len == from)
			buf_truncate(c->out, from - 1);
	}
	if (c->out->len > before)
		buf_addc(c->out, ']');
	return rc;
}

int record_value(const struct dialect *d, const struct layout_field *f, bool array, const struct column *col, const unsigned char *told, struct str value, struct buf *out,
	struct buf *why)
{
	struct conv c = {.d = d, .told = told, .out = out, .why = why};
	size_t before = out->len;
	int rc;

	jscan_init(&c.s, value.ptr, value.len, 0);
	if (jscan_next(&c.s) != (array ? JSCAN_ARRAY : JSCAN_OBJECT))
		rc = broken(&c);
	else if (array ? !f->has_elements : !f->has_members)
		rc = unlisted(&c, f->path, STR(""));
	else
		rc = array ? put_array(&c, f, col) : put_object(&c, f, col);
	if (!rc && jscan_next(&c.s) != JSCAN_END)
		rc = broken(&c);
	if (rc || !col)
		buf_truncate(out, before);
	buf_free(&c.text);
	free(c.puts);
	return rc;
}
