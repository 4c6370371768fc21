/*
 * layout.c - fields of a job into columns. The job's fields come in the order in which the queue saw them, so that every load of a table makes the same columns
 * whatever was loaded before: names are given by position in that order, never by what is in the destination.
 *
 * Three groups of types share a column each: integer, bignum and number; object, array and string; timestamp and date. The first group of a field has its name,
 * a further one NAME__xx by the group's first type, so that a name never changes when a type is added later. What cannot have a column (name too long, reserved,
 * alike with another but for case) is kept as a field with a reason: a record that has a value in it is rejected.
 */
#include "loaders/runtime/layout.h"

#include "xalloc.h"

#define RESERVED_PREFIXES 2
static const char *const prefixes[RESERVED_PREFIXES] = {"_sdc", "_rjm"};
static const char row_id[] = "__sdc_primary_key", deleted_at[] = "_sdc_deleted_at";

void dialect_name(const struct dialect *d, struct str name, struct buf *out)
{
	for (size_t k = 0; k < name.len; k++) {
		unsigned char c = (unsigned char)name.ptr[k];
		bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || c == ' ' || c >= 0x80;

		if (plain || (!d->strip_special && c))
			buf_addc(out, (char)c);
	}
}

static char *folded(const struct dialect *d, const char *name)
{
	char *s = xstrdup(name);

	for (char *p = s; *p && !d->case_matters; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	return s;
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
	if (str_eqc(name, deleted_at))
		return false;
	for (unsigned k = 0; k < RESERVED_PREFIXES; k++)
		if (name.len >= strlen(prefixes[k]) && str_ieq(str_mem(name.ptr, strlen(prefixes[k])), str_c(prefixes[k])))
			return true;
	return str_ieq(name, str_c(row_id));
}

static size_t add_column(struct layout *lo, char *name, enum col_type type, bool key, bool sdc)
{
	lo->columns[lo->n] = (struct column){.name = name, .type = type, .key = key, .sdc = sdc};
	return lo->n++;
}

/* The column type that a type seen shares. */
static enum col_type group_of(enum seen_type t)
{
	switch (t) {
	case SEEN_INTEGER:
	case SEEN_BIGNUM:
	case SEEN_NUMBER:
		return COL_NUMBER;
	case SEEN_BOOLEAN:
		return COL_BOOLEAN;
	case SEEN_TIMESTAMP:
	case SEEN_DATE:
		return COL_TIME;
	case SEEN_STRING:
	case SEEN_OBJECT:
	case SEEN_ARRAY:
	case SEEN_TYPES:
		break;
	}
	return COL_STRING;
}

/* The type of the numbers' column: integer only when nothing else was seen. */
static enum col_type numeric_type(const struct job_field *f)
{
	for (unsigned k = 0; k < f->n; k++)
		if (f->types[k] == SEEN_BIGNUM || f->types[k] == SEEN_NUMBER)
			return COL_NUMBER;
	return COL_INTEGER;
}

static const char *suffix_of(const struct dialect *d, enum seen_type t)
{
	return d->suffix[t == SEEN_INTEGER ? COL_INTEGER : group_of(t)];
}

static void add_columns(struct layout *lo, const struct dialect *d, const struct job_field *f, struct layout_field *lf, const char *name)
{
	for (unsigned k = 0; k < f->n; k++) {
		enum col_type group = group_of(f->types[k]), type = group == COL_NUMBER ? numeric_type(f) : group;
		size_t at;

		if (lf->column[group] != NO_COLUMN)
			continue;
		/* a key's second type has no column: a row is found by one */
		if (k && lf->key)
			break;
		at = add_column(lo, k ? xasprintf("%s__%s", name, suffix_of(d, f->types[k])) : xstrdup(name), type, lf->key, false);
		lf->column[group] = at;
		if (group == COL_NUMBER)
			lf->column[COL_INTEGER] = at;
	}
}

static unsigned groups_of(const struct job_field *f)
{
	unsigned set = 0;

	for (unsigned k = 0; k < f->n; k++)
		set |= 1u << group_of(f->types[k]);
	return (unsigned)__builtin_popcount(set);
}

static char *refusal(const struct layout *lo, const struct dialect *d, const struct job_field *f, struct str name, const struct map *taken, const char *fold)
{
	struct str sent = str_c(f->name);

	if (!name.len)
		return xasprintf("the name of field [%s] has no character that can stand in a column's name", f->name);
	if (has_reserved_prefix(sent) || has_reserved_prefix(name))
		return xasprintf("%s has a reserved prefix (_sdc, _rjm)", f->name);
	if (has_reserved_suffix(d, sent) || has_reserved_suffix(d, name))
		return xasprintf("%s has a reserved suffix (__ and two letters of a type)", f->name);
	if (d->column_max && name.len > d->column_max)
		return xasprintf("the name of field %s is longer than %zu bytes", f->name, d->column_max);
	if (map_get(taken, str_c(fold)))
		return xasprintf("Field collision on %s", f->name);
	/* ours come last: 6 at most */
	if (d->columns_max && lo->n + groups_of(f) + 6 > d->columns_max)
		return xasprintf("%s would be one column more than the %u that a table can have", f->name, d->columns_max);
	return NULL;
}

static bool is_key(const struct job *j, const char *name)
{
	for (size_t k = 0; k < j->n_keys; k++)
		if (strcmp(j->keys[k], name) == 0)
			return true;
	return false;
}

static void add_field(struct layout *lo, const struct job *j, const struct dialect *d, size_t i, struct map *taken)
{
	const struct job_field *f = &j->fields[i];
	struct layout_field *lf = &lo->fields[i];
	struct buf name = BUF_INIT;
	char *fold;

	lf->name = xstrdup(f->name);
	lf->key = is_key(j, f->name);
	for (unsigned t = 0; t < COL_TYPES; t++)
		lf->column[t] = NO_COLUMN;
	dialect_name(d, str_c(f->name), &name);
	fold = folded(d, buf_cstr(&name));
	lf->refused = refusal(lo, d, f, buf_str(&name), taken, fold);
	if (!lf->refused) {
		if (map_put(taken, str_c(fold), lf))
			assert(!"taken twice");
		add_columns(lo, d, f, lf, buf_cstr(&name));
	}
	if (map_put(&lo->by_name, str_c(lf->name), lf))
		assert(!"a field is listed once");
	free(fold);
	buf_free(&name);
}

static void find_keys(struct layout *lo, const struct job *j)
{
	lo->keys = xcalloc(j->n_keys + 1, sizeof(*lo->keys));
	lo->has_table = lo->n_user > 0;
	for (size_t k = 0; k < j->n_keys; k++) {
		const struct layout_field *lf = map_get(&lo->by_name, str_c(j->keys[k]));
		size_t at = NO_COLUMN;

		for (unsigned t = 0; lf && t < COL_TYPES && at == NO_COLUMN; t++)
			at = lf->column[t];
		if (at == NO_COLUMN)
			lo->has_table = false;
		else
			lo->keys[lo->n_keys++] = at;
	}
}

static int check_fields(const struct job *j, struct err *e)
{
	struct map seen = {NULL};
	int rc = 0;

	for (size_t k = 0; k < j->n_fields && !rc; k++)
		if (map_put(&seen, str_c(j->fields[k].name), &seen))
			rc = err_set(e, ERR_CONFIG, "the job lists the column %s twice", j->fields[k].name);
	map_free(&seen, NULL);
	return rc;
}

int layout_make(const struct job *j, const struct dialect *d, bool with_extracted, struct layout *out, struct err *e)
{
	struct map taken = {NULL};
	struct buf table = BUF_INIT;
	size_t room = 8;

	*out = (struct layout){.extracted = NO_COLUMN, .row_id = NO_COLUMN};
	if (check_fields(j, e))
		return -1;
	dialect_name(d, str_c(j->table), &table);
	/* ours live in the same schema */
	if (has_reserved_prefix(buf_str(&table)) || str_ieq(str_mem(buf_cstr(&table), MIN(table.len, 8)), STR("_stitch_"))) {
		err_set(e, ERR_DATA, "a table cannot be named %s: names that begin with _sdc, _rjm and _stitch_ are reserved", j->table);
		buf_free(&table);
		return -1;
	}
	if (!table.len || (d->table_max && table.len > d->table_max)) {
		err_set(e, ERR_DATA, "the table %s cannot be named so here: a name has 1 to %zu bytes of letters, digits, _, $ and blanks", j->table, d->table_max);
		buf_free(&table);
		return -1;
	}
	out->table = buf_detach(&table, NULL);
	out->n_fields = j->n_fields;
	out->fields = xcalloc(j->n_fields + 1, sizeof(*out->fields));
	for (size_t k = 0; k < j->n_fields; k++)
		room += groups_of(&j->fields[k]);
	out->columns = xcalloc(room, sizeof(*out->columns));
	for (size_t k = 0; k < j->n_fields; k++)
		add_field(out, j, d, k, &taken);
	out->n_user = out->n;
	find_keys(out, j);
	if (with_extracted)
		out->extracted = add_column(out, xstrdup("_sdc_extracted_at"), COL_TIME, false, true);
	if (!j->n_keys)
		out->row_id = add_column(out, xstrdup(row_id), COL_STRING, false, true);
	out->received = add_column(out, xstrdup("_sdc_received_at"), COL_TIME, false, true);
	out->batched = add_column(out, xstrdup("_sdc_batched_at"), COL_TIME, false, true);
	out->sequence = add_column(out, xstrdup("_sdc_sequence"), COL_INTEGER, false, true);
	out->version = add_column(out, xstrdup("_sdc_table_version"), COL_INTEGER, false, true);
	map_free(&taken, NULL);
	return 0;
}

void layout_free(struct layout *lo)
{
	for (size_t k = 0; k < lo->n; k++)
		free(lo->columns[k].name);
	for (size_t k = 0; k < lo->n_fields; k++) {
		free(lo->fields[k].name);
		free(lo->fields[k].refused);
	}
	free(lo->columns);
	free(lo->fields);
	free(lo->keys);
	free(lo->table);
	map_free(&lo->by_name, NULL);
	*lo = (struct layout){.n = 0};
}
