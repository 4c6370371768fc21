/*
 * layout.c - fields of a job into tables and columns. The job's fields come in the order in which the queue saw them, so that every load of a table makes the
 * same columns whatever was loaded before: names are given by position in that order, never by what is in the destination.
 *
 * Groups of types share a column each: integer, bignum and number; timestamp and date; string and what is kept as text. The first group of a field has its name,
 * a further one NAME__xx by the group's first type, so that a name never changes when a type is added later (but for rename_first, where it does once). What
 * cannot have a column (name too long, reserved, alike with another but for case, or with one that flattening makes) is kept as a field with a reason: a record
 * that has a value in it is rejected. Tables without a column of the sender's are left out at the end, so indexes of tables are final only then.
 */
#include "loaders/runtime/layout.h"

#include <limits.h>

#include "loaders/runtime/fields.h"
#include "loaders/runtime/record.h"
#include "xalloc.h"

#define OURS_MAX 6 /* columns */

#define RESERVED_PREFIXES 2
#define SUFFIX_ROOM 4 /* of __xx */
static const char *const prefixes[RESERVED_PREFIXES] = {"_sdc", "_rjm"};
static const char row_id[] = "__sdc_primary_key", deleted_at[] = "_sdc_deleted_at", source_key[] = "_sdc_source_key_";

/* What shares a column of a field. */
enum group { G_NUMBER, G_BOOLEAN, G_TIME, G_STRING, G_OBJECT, G_ARRAY, G_NONE };

struct maker {
	const struct job *j;
	const struct dialect *d;
	struct layouts *los;
	struct map *taken; /* one a table: folded names of its columns */
	struct map tables; /* folded names of tables */
	size_t n_source, nested; /* nested: columns in columns */
};

/* --- names --- */

void dialect_name(const struct dialect *d, struct str name, struct buf *out)
{
	if (d->name) {
		d->name(name, out);
		return;
	}
	for (size_t k = 0; k < name.len; k++) {
		unsigned char c = (unsigned char)name.ptr[k];
		bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || c == ' ' || c >= 0x80;

		if (plain || (!d->strip_special && c))
			buf_addc(out, (char)c);
	}
}

char *dialect_named(const struct dialect *d, const char *name)
{
	struct buf b = BUF_INIT;

	dialect_name(d, str_c(name), &b);
	return buf_detach(&b, NULL);
}

static char *folded(const struct dialect *d, const char *name)
{
	char *s = xstrdup(name);

	for (char *p = s; *p && !d->case_matters; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	return s;
}

/* Is the name free? Then it is not any more. */
static bool take(const struct dialect *d, struct map *taken, const char *name)
{
	static char yes;
	char *fold = folded(d, name);
	bool is_free = !map_get(taken, str_c(fold));

	if (is_free && map_put(taken, str_c(fold), &yes))
		assert(!"was free");
	free(fold);
	return is_free;
}

static bool has_reserved_suffix(const struct dialect *d, struct str name)
{
	for (const char *const *s = d->reserved; *s; s++) {
		size_t n = strlen(*s);

		if (name.len > n + 2 && str_ieq(str_mem(name.ptr + name.len - n, n), str_c(*s)) && memcmp(name.ptr + name.len - n - 2, "__", 2) == 0)
			return true;
	}
	return false;
}

static bool has_reserved_prefix(struct str name)
{
	/* taps that read a database's log send this one themselves */
	if (str_ieq(name, str_c(deleted_at)))
		return false;
	for (unsigned k = 0; k < RESERVED_PREFIXES; k++)
		if (name.len >= strlen(prefixes[k]) && str_ieq(str_mem(name.ptr, strlen(prefixes[k])), str_c(prefixes[k])))
			return true;
	return str_ieq(name, str_c(row_id));
}

/* --- columns --- */

static size_t add_column(struct layout *lo, char *name, enum col_type type, bool key, bool sdc)
{
	/* full at each power of two */
	if ((lo->n & (lo->n - 1)) == 0)
		lo->columns = xreallocarray(lo->columns, MAX(2 * lo->n, (size_t)8), sizeof(*lo->columns));
	lo->columns[lo->n] = (struct column){.name = name, .type = type, .key = key, .sdc = sdc};
	return lo->n++;
}

static size_t add_ours(const struct dialect *d, struct layout *lo, const char *name, enum col_type type)
{
	return add_column(lo, dialect_named(d, name), type, false, true);
}

/* Does anything with a value lie in it? */
static bool has_leaf(const struct layout_field *f)
{
	for (unsigned k = 0; f->seen && k < f->seen->n; k++) {
		enum seen_type t = f->seen->types[k];

		if ((t != SEEN_OBJECT || !f->has_members) && (t != SEEN_ARRAY || !f->has_elements))
			return true;
	}
	for (size_t k = 0; k < f->n_members; k++)
		if (has_leaf(f->members[k]))
			return true;
	return f->element && has_leaf(f->element);
}

static bool members_have_leaf(const struct layout_field *f)
{
	for (size_t k = 0; k < f->n_members; k++)
		if (has_leaf(f->members[k]))
			return true;
	return false;
}

/* Where objects (or arrays) of the field go. */
static enum group nested_group(const struct dialect *d, const struct layout_field *f, bool array)
{
	bool listed = array ? f->has_elements : f->has_members;

	/* a row is found by its key, so a key is always one value; and what a door listed that knew no nested paths is text */
	if (f->key || d->nesting == NEST_TEXT || (d->nesting != NEST_KEEP && !listed))
		return G_STRING;
	if (d->nesting == NEST_KEEP)
		return G_OBJECT;
	if (d->nesting == NEST_FLATTEN || !(array ? has_leaf(f->element) : members_have_leaf(f)))
		return G_NONE;
	return array ? G_ARRAY : G_OBJECT;
}

static enum group group_of(const struct dialect *d, const struct layout_field *f, enum seen_type t)
{
	switch (t) {
	case SEEN_INTEGER:
	case SEEN_BIGNUM:
	case SEEN_NUMBER:
		return G_NUMBER;
	case SEEN_BOOLEAN:
		return G_BOOLEAN;
	case SEEN_TIMESTAMP:
	case SEEN_DATE:
		return G_TIME;
	case SEEN_OBJECT:
	case SEEN_ARRAY:
		return nested_group(d, f, t == SEEN_ARRAY);
	case SEEN_STRING:
	case SEEN_TYPES:
		break;
	}
	return G_STRING;
}

/* Bits of the groups that need a column. */
static unsigned groups_of(const struct dialect *d, const struct layout_field *f)
{
	unsigned set = 0;

	for (unsigned k = 0; f->seen && k < f->seen->n; k++)
		set |= 1u << group_of(d, f, f->seen->types[k]);
	return set & ~(1u << G_NONE);
}

static const char *suffix_of(const struct dialect *d, enum group g, enum seen_type first)
{
	switch (g) {
	case G_NUMBER:
		return d->suffix[first == SEEN_INTEGER ? COL_INTEGER : COL_NUMBER];
	case G_BOOLEAN:
		return d->suffix[COL_BOOLEAN];
	case G_TIME:
		return d->suffix[COL_TIME];
	case G_OBJECT:
		return d->suffix[COL_JSON];
	case G_ARRAY:
		return d->suffix_array ? d->suffix_array : d->suffix[COL_JSON];
	case G_STRING:
	case G_NONE:
		break;
	}
	return d->suffix[COL_STRING];
}

static enum col_type type_of(enum group g, unsigned seen)
{
	static const enum col_type types[] = {[G_NUMBER] = COL_NUMBER, [G_BOOLEAN] = COL_BOOLEAN, [G_TIME] = COL_TIME, [G_STRING] = COL_STRING, [G_OBJECT] = COL_JSON,
		[G_ARRAY] = COL_JSON, [G_NONE] = COL_STRING};

	/* integer only when nothing else was seen */
	return seen == 1u << SEEN_INTEGER ? COL_INTEGER : types[g];
}

static void set_column(struct layout_field *f, const struct dialect *d, enum group g, size_t at)
{
	switch (g) {
	case G_NUMBER:
		f->column[COL_INTEGER] = f->column[COL_NUMBER] = at;
		break;
	case G_BOOLEAN:
		f->column[COL_BOOLEAN] = at;
		break;
	case G_TIME:
		f->column[COL_TIME] = at;
		break;
	case G_STRING:
		f->column[COL_STRING] = at;
		break;
	case G_OBJECT:
		f->object = at;
		if (d->nesting == NEST_KEEP)
			f->array = at;
		break;
	case G_ARRAY:
		f->array = at;
		break;
	case G_NONE:
		break;
	}
}

/* The nested columns of the last column. False: nothing in it can be one. */
static bool nest(struct maker *m, struct layout_field *f, enum group g, struct column *c)
{
	int before = m->d->columns_max ? (int)m->d->columns_max - (int)(m->los->t[f->table].n + m->nested) - OURS_MAX : INT_MAX, room = before;
	bool some = m->d->nesting != NEST_RECORD || c->type != COL_JSON || record_columns(m->d, f, g == G_ARRAY, c, &room);

	m->nested += (size_t)(before - room);
	return some;
}

static void add_columns(struct maker *m, struct layout_field *f, const char *name)
{
	struct layout *lo = &m->los->t[f->table];
	unsigned all = groups_of(m->d, f), done = 0, tried = 0;
	bool several = (all & (all - 1)) != 0 && !f->key, kept = false; /* kept: for objects or arrays in which nothing was seen yet, which came first */

	for (unsigned k = 0; f->seen && k < f->seen->n; k++) {
		enum group g = group_of(m->d, f, f->seen->types[k]);
		bool first = !done && !kept, suffixed = kept || (several && (m->d->rename_first || !first));
		unsigned seen = 0;
		struct column *c;
		char *with;

		kept |= g == G_NONE && first && m->d->nesting == NEST_RECORD;
		if (g == G_NONE || (tried & (1u << g)))
			continue;
		tried |= 1u << g;
		/* a key's second type has no column: a row is found by one */
		if (done && f->key)
			break;
		for (unsigned i = k; i < f->seen->n; i++)
			if (group_of(m->d, f, f->seen->types[i]) == g)
				seen |= 1u << f->seen->types[i];
		with = xasprintf("%s__%s", name, suffix_of(m->d, g, f->seen->types[k]));
		/* a member has the name already: values of this type are refused */
		if (suffixed && !take(m->d, &m->taken[f->table], with)) {
			free(with);
			continue;
		}
		add_column(lo, xstrdup(suffixed ? with : name), type_of(g, seen), f->key, false);
		c = &lo->columns[lo->n - 1];
		if (!nest(m, f, g, c)) {
			kept |= first;
			free(c->name);
			lo->n--;
			free(with);
			continue;
		}
		done |= 1u << g;
		set_column(f, m->d, g, lo->n - 1);
		c->seen = seen;
		c->decimal = record_is_decimal(f);
		c->suffixed = suffixed;
		if (m->d->rename_first && first && !f->key)
			c->other = xstrdup(suffixed ? name : with);
		free(with);
	}
}

/* --- tables --- */

static size_t add_table(struct maker *m, char *name, size_t parent)
{
	struct layouts *los = m->los;
	struct layout *lo;

	if (los->n == los->cap) {
		los->cap = los->cap ? los->cap * 2 : 4;
		los->t = xreallocarray(los->t, los->cap, sizeof(*los->t));
		m->taken = xreallocarray(m->taken, los->cap, sizeof(*m->taken));
	}
	lo = &los->t[los->n];
	*lo = (struct layout){.table = name, .parent = parent, .extracted = NO_COLUMN, .row_id = NO_COLUMN, .has_table = true};
	m->taken[los->n] = (struct map){NULL};
	if (parent != NO_TABLE) {
		lo->level = los->t[parent].level + 1;
		lo->n_source = m->n_source;
		/* source keys and level ids: filled when the key is known */
		for (size_t k = 0; k < lo->n_source + lo->level; k++)
			add_column(lo, NULL, COL_INTEGER, true, true);
	}
	return los->n++;
}

/* --- fields --- */

static bool is_key(const struct job *j, const char *name)
{
	for (size_t k = 0; k < j->n_keys; k++)
		if (strcmp(j->keys[k], name) == 0)
			return true;
	return false;
}

static bool is_element(const struct layout_field *f)
{
	return f->parent && f->parent->element == f;
}

/* A member of this object may be named as a type is ("de", "it"): its column is no type's as long as the object is never a value itself. */
static bool suffix_like(const struct maker *m, const struct layout_field *f, const char *column)
{
	if (has_reserved_suffix(m->d, str_c(f->name)))
		return true;
	return has_reserved_suffix(m->d, str_c(column)) && (!f->parent || !*f->parent->base || groups_of(m->d, f->parent));
}

static char *refusal(const struct maker *m, const struct layout_field *f, const char *column)
{
	const struct dialect *d = m->d;
	size_t n = strlen(column), groups = (size_t)__builtin_popcount(groups_of(d, f));

	if (!n)
		return xasprintf("the name of field [%s] has no character that can stand in a column's name", f->path);
	if (has_reserved_prefix(str_c(column)) || (!f->parent && has_reserved_prefix(str_c(f->name))))
		return xasprintf("%s has a reserved prefix (_sdc, _rjm)", f->path);
	if (suffix_like(m, f, column))
		return xasprintf("%s has a reserved suffix (__ and two letters of a type)", f->path);
	if (d->column_max && n > d->column_max)
		return xasprintf("the name of field %s is longer than %zu bytes", f->path, d->column_max);
	if (!take(d, &m->taken[f->table], column))
		return xasprintf("Field collision on %s", f->path);
	/* ours come last */
	if (d->columns_max && m->los->t[f->table].n + m->nested + groups + OURS_MAX > d->columns_max)
		return xasprintf("%s would be one column more than the %u that a table can have", f->path, d->columns_max);
	return NULL;
}

/* Name and table of the field, by what it lies in. false: nothing leads there. */
static bool find_place(const struct maker *m, struct layout_field *f, char **column)
{
	struct layout_field *p = f->parent;
	char *name;

	if (!p) {
		*column = dialect_named(m->d, f->name);
	} else if (is_element(f)) {
		if (p->subtable == NO_TABLE)
			return false;
		f->table = p->subtable;
		*column = dialect_named(m->d, "value");
		f->base = xstrdup("");
		return true;
	} else {
		if (!p->flat_object || p->refused)
			return false;
		f->table = p->table;
		name = dialect_named(m->d, f->name);
		*column = !*name ? xstrdup("") : *p->base ? xasprintf("%s__%s", p->base, name) : xstrdup(name);
		free(name);
	}
	f->base = xstrdup(*column);
	return true;
}

/* The field's arrays are rows of a table of their own, or are refused. */
static void add_subtable(struct maker *m, struct layout_field *f)
{
	const struct dialect *d = m->d;
	char *value, *name;

	if (!f->base || f->refused || nested_group(d, f, true) != G_NONE)
		return;
	value = dialect_named(d, "value");
	name = xasprintf("%s__%s", m->los->t[f->table].table, *f->base ? f->base : value);
	free(value);
	f->flat_array = true;
	if (d->table_max && strlen(name) > d->table_max)
		f->refused_array = xasprintf("the name of the table %s, for the elements of %s, is longer than %zu bytes", name, f->path, d->table_max);
	else if (!take(d, &m->tables, name))
		f->refused_array = xasprintf("Field collision on %s", f->path);
	if (f->refused_array) {
		free(name);
		return;
	}
	f->subtable = add_table(m, name, f->table);
}

static void place(struct maker *m, struct layout_field *f)
{
	char *column;

	if (f->placed)
		return;
	f->placed = true;
	if (f->parent && m->d->nesting != NEST_FLATTEN)
		return;
	if (f->parent)
		place(m, f->parent);
	/* not when the array's own path comes: that is as old as the first scalar there, and names go by age */
	if (is_element(f))
		add_subtable(m, f->parent);
	f->key = !f->parent && is_key(m->j, f->name);
	if (!find_place(m, f, &column))
		return;
	/* an element's name counts only if it has a column or a table of that name */
	if (!is_element(f) || groups_of(m->d, f) || f->has_elements)
		f->refused = refusal(m, f, column);
	if (!f->refused) {
		f->flat_object = f->has_members && nested_group(m->d, f, false) == G_NONE;
		add_columns(m, f, column);
	}
	free(column);
}

/* --- keys, ours, and tables that stay --- */

static void find_keys(const struct maker *m, struct layout *lo)
{
	const struct job *j = m->j;

	lo->keys = xcalloc(j->n_keys + 1, sizeof(*lo->keys));
	lo->has_table = true;
	for (size_t k = 0; k < j->n_keys; k++) {
		const struct layout_field *lf = map_get(&m->los->top.by_name, str_c(j->keys[k]));
		size_t at = NO_COLUMN;

		for (unsigned t = 0; lf && t < COL_TYPES && at == NO_COLUMN; t++)
			at = lf->column[t];
		if (at == NO_COLUMN)
			lo->has_table = false;
		else
			lo->keys[lo->n_keys++] = at;
	}
}

static void add_ours_last(const struct maker *m, struct layout *lo)
{
	lo->received = add_ours(m->d, lo, "_sdc_received_at", COL_TIME);
	lo->batched = add_ours(m->d, lo, "_sdc_batched_at", COL_TIME);
	lo->sequence = add_ours(m->d, lo, "_sdc_sequence", COL_INTEGER);
	lo->version = add_ours(m->d, lo, "_sdc_table_version", COL_INTEGER);
}

/* The column of the root that source key k is of. */
static const struct column *rooted(const struct layouts *los, size_t k)
{
	const struct layout *root = &los->t[0];

	return &root->columns[root->n_keys ? root->keys[k] : root->row_id];
}

static char *source_key_name(const struct dialect *d, const struct layouts *los, size_t k)
{
	char *ours = dialect_named(d, source_key), *name = xasprintf("%s%s", ours, rooted(los, k)->name);

	free(ours);
	return name;
}

static void fill_subtable(const struct maker *m, struct layout *lo)
{
	lo->keys = xcalloc(lo->n_source + lo->level, sizeof(*lo->keys));
	for (size_t k = 0; k < lo->n_source + lo->level; k++) {
		struct column *c = &lo->columns[k];

		lo->keys[lo->n_keys++] = k;
		if (k < lo->n_source) {
			c->name = source_key_name(m->d, m->los, k);
			c->type = rooted(m->los, k)->type;
		} else {
			char *id = xasprintf("_sdc_level_%zu_id", k - lo->n_source);

			c->name = dialect_named(m->d, id);
			free(id);
		}
	}
	add_ours_last(m, lo);
}

static void column_free(struct column *c)
{
	free(c->name);
	free(c->other);
	record_columns_free(c);
}

static void layout_free(struct layout *lo)
{
	for (size_t k = 0; k < lo->n; k++)
		column_free(&lo->columns[k]);
	free(lo->columns);
	free(lo->keys);
	free(lo->table);
}

/* Arrays of every field below f get this reason, if not NULL, and the new indexes of their tables. */
static void renumber(struct layout_field *f, const size_t *to, const char *reason)
{
	if (f->table != NO_TABLE)
		f->table = to[f->table];
	if (f->subtable != NO_TABLE)
		f->subtable = to[f->subtable];
	if (reason && f->flat_array && !f->refused_array)
		f->refused_array = xstrdup(reason);
	for (size_t k = 0; k < f->n_members; k++)
		renumber(f->members[k], to, reason);
	if (f->element)
		renumber(f->element, to, reason);
}

static char *no_source_keys(const struct maker *m)
{
	const struct dialect *d = m->d;
	char *name, *reason = NULL;

	for (size_t k = 0; k < m->n_source && d->column_max && !reason; k++) {
		name = source_key_name(d, m->los, k);
		if (strlen(name) > d->column_max + SUFFIX_ROOM)
			reason = xasprintf("arrays have no table, because its column %s would have a name longer than %zu bytes", name, d->column_max + SUFFIX_ROOM);
		free(name);
	}
	return reason;
}

/* reason: as renumber's. */
static void remove_tables(struct layouts *los, const bool *gone, const char *reason)
{
	size_t *to = xcalloc(los->n, sizeof(*to)), *near = xcalloc(los->n, sizeof(*near)), n = 1;

	for (size_t k = 1; k < los->n; k++) {
		struct layout *lo = &los->t[k];

		/* the nearest one outside that stays */
		lo->parent = near[k] = near[lo->parent];
		if (gone[k]) {
			to[k] = NO_TABLE;
			layout_free(lo);
			continue;
		}
		to[k] = near[k] = n;
		los->t[n++] = *lo;
	}
	los->n = n;
	renumber(&los->top, to, reason);
	free(near);
	free(to);
}

/* Leave out subtables without a column of the sender's; all of them if there is no root. */
static void prune(const struct maker *m)
{
	struct layouts *los = m->los;
	bool *gone = xcalloc(los->n, sizeof(*gone)), any = false;
	char *reason = NULL;

	for (size_t k = 1; k < los->n; k++)
		any |= los->t[k].n_user > 0;
	los->t[0].has_table &= los->t[0].n_user > 0 || any;
	if (los->t[0].has_table && los->n > 1)
		reason = no_source_keys(m);
	for (size_t k = 1; k < los->n; k++)
		gone[k] = !los->t[k].n_user || !los->t[0].has_table || reason;
	remove_tables(los, gone, reason);
	free(reason);
	free(gone);
}

/* to: the new index of each column, or NO_COLUMN. */
static void keep_columns(struct layout *lo, const bool *used, size_t *to)
{
	size_t *ours[] = {&lo->extracted, &lo->row_id, &lo->received, &lo->batched, &lo->sequence, &lo->version}, n = 0;

	for (size_t k = 0; k < lo->n; k++) {
		struct column *c = &lo->columns[k];

		if (c->key || c->sdc || used[k]) {
			to[k] = n;
			lo->columns[n++] = *c;
			continue;
		}
		to[k] = NO_COLUMN;
		column_free(c);
		lo->n_user--;
	}
	lo->n = n;
	for (size_t k = 0; k < lo->n_keys; k++)
		lo->keys[k] = to[lo->keys[k]];
	for (size_t k = 0; k < ARRAY_LEN(ours); k++)
		if (*ours[k] != NO_COLUMN)
			*ours[k] = to[*ours[k]];
}

/* What lies in a column that has columns itself is counted there. */
static void refit(struct layout_field *f, size_t *const *to)
{
	size_t *at[COL_TYPES + 2] = {&f->object, &f->array};

	for (size_t k = 0; k < COL_TYPES; k++)
		at[k + 2] = &f->column[k];
	for (size_t k = 0; k < ARRAY_LEN(at) && f->table != NO_TABLE; k++)
		if (*at[k] != NO_COLUMN)
			*at[k] = to[f->table][*at[k]];
	for (size_t k = 0; k < f->n_members && f->flat_object; k++)
		refit(f->members[k], to);
	if (f->element && f->flat_array)
		refit(f->element, to);
}

/*
 * rename_first: the first type's column has its suffix where another type's column stays, and then it stays, too, so that a load of an older schema finds it by
 * that name; where none does, it is as if the other type had never come.
 */
static void name_first(struct layouts *los, const struct layout_field *f, bool **used)
{
	size_t at[COL_TYPES + 2] = {f->object, f->array}, first = NO_COLUMN;
	struct column *columns = f->table == NO_TABLE ? NULL : los->t[f->table].columns;
	bool others = false;

	for (size_t k = 0; k < COL_TYPES; k++)
		at[k + 2] = f->column[k];
	for (size_t k = 0; k < ARRAY_LEN(at); k++)
		if (at[k] != NO_COLUMN && columns[at[k]].other && columns[at[k]].suffixed)
			first = at[k];
	for (size_t k = 0; k < ARRAY_LEN(at) && first != NO_COLUMN; k++)
		others |= at[k] != NO_COLUMN && at[k] != first && used[f->table][at[k]];
	if (first != NO_COLUMN && others) {
		used[f->table][first] = true;
	} else if (first != NO_COLUMN) {
		char *name = columns[first].name;

		columns[first].name = columns[first].other;
		columns[first].other = name;
		columns[first].suffixed = false;
	}
	for (size_t k = 0; k < f->n_members && f->flat_object; k++)
		name_first(los, f->members[k], used);
	if (f->element && f->flat_array)
		name_first(los, f->element, used);
}

void layouts_keep(struct layouts *los, bool **used, bool none)
{
	size_t **to = xcalloc(los->n, sizeof(*to)), n = los->n;
	bool *gone = xcalloc(los->n, sizeof(*gone));

	for (size_t k = 0; k < los->top.n_members; k++)
		name_first(los, los->top.members[k], used);
	for (size_t k = 0; k < n; k++) {
		to[k] = xcalloc(los->t[k].n, sizeof(**to));
		keep_columns(&los->t[k], used[k], to[k]);
		gone[k] = !los->t[k].n_user || none;
	}
	if (none)
		los->t[0].has_table = false;
	for (size_t k = 0; k < los->top.n_members; k++)
		refit(los->top.members[k], to);
	remove_tables(los, gone, NULL);
	for (size_t k = 0; k < n; k++)
		free(to[k]);
	free(to);
	free(gone);
}

static char *table_name(const struct job *j, const struct dialect *d, struct err *e)
{
	char *table = dialect_named(d, j->table);
	struct str name = str_c(table);

	/* ours live in the same schema */
	if (has_reserved_prefix(name) || str_ieq(str_mem(table, MIN(name.len, 8)), STR("_stitch_")))
		err_set(e, ERR_DATA, "a table cannot be named %s: names that begin with _sdc, _rjm and _stitch_ are reserved", j->table);
	else if (!name.len || (d->table_max && name.len > d->table_max))
		err_set(e, ERR_DATA, "the table %s cannot be named so here: a name has 1 to %zu bytes of letters, digits, _, $ and blanks", j->table, d->table_max);
	else
		return table;
	free(table);
	return NULL;
}

int layouts_make(const struct job *j, const struct dialect *d, bool with_extracted, struct layouts *out, struct err *e)
{
	struct maker m = {.j = j, .d = d, .los = out, .n_source = j->n_keys ? j->n_keys : 1};
	struct layout_field **order;
	struct layout *root;
	char *table;

	*out = (struct layouts){.n = 0};
	table = table_name(j, d, e);
	if (!table)
		return -1;
	if (fields_make(j, out, &order, e)) {
		free(table);
		fields_free(out);
		return -1;
	}
	add_table(&m, table, NO_TABLE);
	if (!take(d, &m.tables, table))
		assert(!"the first");
	for (size_t k = 0; k < j->n_fields; k++)
		place(&m, order[k]);
	for (size_t k = 0; k < out->n; k++)
		out->t[k].n_user = out->t[k].n - (k ? out->t[k].n_source + out->t[k].level : 0);
	root = &out->t[0];
	find_keys(&m, root);
	if (with_extracted)
		root->extracted = add_ours(d, root, "_sdc_extracted_at", COL_TIME);
	if (!j->n_keys)
		root->row_id = add_ours(d, root, row_id, COL_STRING);
	add_ours_last(&m, root);
	for (size_t k = 0; k < out->n; k++)
		map_free(&m.taken[k], NULL);
	prune(&m);
	for (size_t k = 1; k < out->n; k++)
		fill_subtable(&m, &out->t[k]);
	map_free(&m.tables, NULL);
	free(m.taken);
	free(order);
	return 0;
}

void layouts_add_bare(struct layouts *los, const struct dialect *d, const char *table)
{
	size_t n = los->t[0].n_keys ? los->t[0].n_keys : los->t[0].row_id != NO_COLUMN ? 1 : 0;
	struct layout *lo;

	if (los->n == los->cap) {
		los->cap *= 2;
		los->t = xreallocarray(los->t, los->cap, sizeof(*los->t));
	}
	lo = &los->t[los->n++];
	*lo = (struct layout){.table = xstrdup(table), .has_table = true, .bare = true, .n_source = n, .n_keys = n, .keys = xcalloc(n + 1, sizeof(*lo->keys)),
		.extracted = NO_COLUMN, .row_id = NO_COLUMN, .received = NO_COLUMN, .batched = NO_COLUMN, .sequence = NO_COLUMN};
	for (size_t k = 0; k < n; k++)
		lo->keys[k] = add_column(lo, source_key_name(d, los, k), rooted(los, k)->type, true, true);
	lo->version = add_ours(d, lo, "_sdc_table_version", COL_INTEGER);
}

void layouts_free(struct layouts *los)
{
	for (size_t k = 0; k < los->n; k++)
		layout_free(&los->t[k]);
	free(los->t);
	fields_free(los);
	*los = (struct layouts){.n = 0};
}
