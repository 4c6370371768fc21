/*
 * plan.c - what must change in the destination before a job's rows fit. It never takes anything away and never narrows. The job's layout decides names, but a
 * destination may hold an older truth (its table was changed by hand, or the state of the daemon was lost): then a column of another type is left alone and
 * the values go to NAME__xx beside it.
 */
#include "loaders/runtime/plan.h"

#include "loaders/runtime/record.h"

#include "xalloc.h"

void ranges_add(struct ranges *r, uint64_t first, uint64_t last)
{
	if (r->n == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 16;
		r->r = xreallocarray(r->r, r->cap, sizeof(*r->r));
	}
	r->r[r->n++] = (struct range){.first = first, .last = last};
}

void names_add(struct names *l, const char *name)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 16;
		l->s = xreallocarray(l->s, l->cap, sizeof(*l->s));
	}
	l->s[l->n++] = xstrdup(name);
}

static void desc_columns_free(struct desc_column *c, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		free(c[k].name);
		desc_columns_free(c[k].sub, c[k].n_sub);
	}
	free(c);
}

void table_desc_free(struct table_desc *d)
{
	desc_columns_free(d->columns, d->n);
	for (size_t k = 0; k < d->n_keys; k++)
		free(d->keys[k]);
	free(d->keys);
	free(d->owner);
	*d = (struct table_desc){.exists = false};
}

static bool same(const struct dialect *d, const char *a, const char *b)
{
	return d->case_matters ? strcmp(a, b) == 0 : str_ieq(str_c(a), str_c(b));
}

static const struct desc_column *there(const struct dialect *d, const struct table_desc *desc, const char *name)
{
	for (size_t k = 0; k < desc->n; k++)
		if (same(d, desc->columns[k].name, name))
			return &desc->columns[k];
	return NULL;
}

static void list(struct buf *b, char *const *names, size_t n)
{
	for (size_t k = 0; k < n; k++)
		buf_addf(b, "%s%s", k ? ", " : "", names[k]);
	if (!n)
		buf_adds(b, "none");
}

static int check_keys(const struct job *j, const struct dialect *d, const struct layout *lo, const struct table_desc *desc, struct err *e)
{
	bool equal = lo->n_keys == desc->n_keys;
	struct buf was = BUF_INIT, is = BUF_INIT;

	for (size_t k = 0; equal && k < lo->n_keys; k++)
		equal = same(d, lo->columns[lo->keys[k]].name, desc->keys[k]);
	if (equal)
		return 0;
	list(&was, desc->keys, desc->n_keys);
	list(&is, j->keys, j->n_keys);
	err_set(e, ERR_CONFIG, "the primary key of %s is %s in the destination and %s in the records; send the same key, or rename or drop the table there, then it is made anew",
		lo->table, buf_cstr(&was), buf_cstr(&is));
	buf_free(&was);
	buf_free(&is);
	return -1;
}

static int check_owner(const struct job *j, const struct dialect *d, const struct layout *lo, const struct table_desc *desc, struct err *e)
{
	if (desc->owner && strcmp(desc->owner, j->source) != 0)
		return err_set(e, ERR_CONFIG, "the table %s belongs to source %s; connect source %s with another --schema", lo->table, desc->owner, j->source);
	if (!desc->owner && !there(d, desc, "_sdc_sequence"))
		return err_set(e, ERR_CONFIG, "the table %s is there already and was not made by stitch; rename it, or connect source %s with another --schema",
			lo->table, j->source);
	return 0;
}

static void add(struct plan *p, enum step_kind kind, const struct column *c)
{
	p->steps[p->n++] = (struct step){.kind = kind, .column = c};
}

static void rename_to(struct column *c, const char *name)
{
	char *copy = xstrdup(name);

	free(c->name);
	c->name = copy;
}

/* Is the name free in the layout? */
static bool used(const struct dialect *d, const struct layout *lo, const char *name)
{
	for (size_t k = 0; k < lo->n; k++)
		if (same(d, lo->columns[k].name, name))
			return true;
	return false;
}

/* *lacks: but some of its nested columns are not there yet. */
static bool holds(const struct dialect *d, const struct desc_column *dc, struct column *c, bool *lacks)
{
	return !dc->fixed && (dc->accepts & COL_BIT(c->type)) && (!c->n_sub || record_fit(d, c, dc, lacks) == 0);
}

/* Integers to numbers in place? Not where a view stands in the way, and not once the numbers have a column of their own. */
static bool widens(const struct desc_column *dc, const struct column *c, const struct desc_column *beside)
{
	return !dc->fixed && !dc->pinned && c->type == COL_NUMBER && (dc->accepts & COL_BIT(COL_INTEGER)) && !beside;
}

/* The column was there before its field had a second type, or is there with the suffix that it got then (the job has an older schema). */
static bool renamed(const struct dialect *d, struct column *c, const struct table_desc *desc, struct plan *p)
{
	const struct desc_column *dc = c->other ? there(d, desc, c->other) : NULL;
	bool lacks = false;

	if (!dc || (!holds(d, dc, c, &lacks) && !widens(dc, c, NULL)))
		return false;
	if (c->suffixed) {
		add(p, STEP_RENAME, c);
		p->steps[p->n - 1].from = dc->name;
	} else {
		rename_to(c, dc->name);
	}
	if (!holds(d, dc, c, &lacks))
		add(p, STEP_WIDEN, c);
	return true;
}

static int column_steps(const struct dialect *d, struct layout *lo, struct column *c, const struct table_desc *desc, struct plan *p, struct err *e)
{
	const struct desc_column *dc = there(d, desc, c->name), *beside;
	bool lacks = false, there_too;
	char *other;
	int rc = 0;

	if (!dc && renamed(d, c, desc, p))
		return 0;
	if (!dc)
		add(p, STEP_ADD, c);
	else
		rename_to(c, dc->name);
	if (!dc)
		return 0;
	if (holds(d, dc, c, &lacks)) {
		if (lacks)
			add(p, STEP_NEST, c);
		return 0;
	}
	lacks = false;
	other = xasprintf("%s__%s", c->name, c->repeated && d->suffix_array ? d->suffix_array : d->suffix[c->type]);
	beside = there(d, desc, other);
	there_too = beside && holds(d, beside, c, &lacks);
	if (widens(dc, c, beside)) {
		add(p, STEP_WIDEN, c);
	} else if (c->key || c->sdc || used(d, lo, other) || (beside && !there_too)) {
		rc = err_set(e, ERR_CONFIG, "column %s of %s has a type that cannot hold the values sent for it%s; rename the column or the table there", c->name, lo->table,
			dc->pinned ? " and cannot be changed while a view uses it" : "");
	} else {
		rename_to(c, beside ? beside->name : other);
		if (!beside)
			add(p, STEP_ADD, c);
		else if (lacks)
			add(p, STEP_NEST, c);
	}
	free(other);
	return rc;
}

static size_t added(const struct plan *p)
{
	size_t n = 0;

	for (size_t k = 0; k < p->n; k++)
		n += p->steps[k].kind == STEP_ADD;
	return n;
}

/* The columns of a bare subtable as they are called there; without them it has no keys, and only versions remove its rows. */
static void find_bare(const struct dialect *d, struct layout *lo, const struct table_desc *desc)
{
	for (size_t k = 0; k < lo->n; k++) {
		const struct desc_column *dc = there(d, desc, lo->columns[k].name);

		if (dc)
			rename_to(&lo->columns[k], dc->name);
		else if (lo->columns[k].key)
			lo->n_keys = lo->n_source = 0;
	}
}

int plan_make(const struct job *j, const struct dialect *d, struct layout *lo, const struct table_desc *desc, struct plan *out, struct err *e)
{
	*out = (struct plan){.n = 0};
	if (lo->bare) {
		find_bare(d, lo, desc);
		return 0;
	}
	/* also without rows: an activated version deletes */
	if (desc->exists && check_owner(j, d, lo, desc, e))
		return -1;
	if (!lo->has_table)
		return 0;
	out->steps = xcalloc(2 * lo->n + 1, sizeof(*out->steps));
	if (!desc->exists) {
		add(out, STEP_CREATE, NULL);
		return 0;
	}
	if (check_keys(j, d, lo, desc, e))
		goto fail;
	for (size_t k = 0; k < lo->n; k++)
		if (column_steps(d, lo, &lo->columns[k], desc, out, e))
			goto fail;
	if (d->columns_max && desc->n + added(out) > d->columns_max) {
		err_set(e, ERR_CONFIG, "the table %s would have %zu columns; this destination takes %u", lo->table, desc->n + added(out), d->columns_max);
		goto fail;
	}
	return 0;
fail:
	plan_free(out);
	return -1;
}

void plan_free(struct plan *p)
{
	free(p->steps);
	*p = (struct plan){.n = 0};
}
