/*
 * dry.c - the answer of a dry run. Steps are told as the destination's own statements where it can say them, else in general words. Whether rows would be new
 * or replaced is known only if the rows could really be put, in the transaction that is rolled back: not when a table would be changed first.
 */
#include "loaders/runtime/dry.h"

#include "xalloc.h"

static const char *const type_names[COL_TYPES] = {"integer", "number", "boolean", "timestamp", "text", "json"};

void dry_again(struct dry *d)
{
	json_decref(d->ddl);
	d->ddl = json_array();
	d->passed = d->inserted = d->updated = d->skipped = 0;
	d->nothing = d->told = false;
}

static void say(const struct layout *lo, const struct step *s, struct buf *out)
{
	switch (s->kind) {
	case STEP_CREATE:
		buf_addf(out, "create the table %s (", lo->table);
		for (size_t k = 0; k < lo->n; k++)
			buf_addf(out, "%s%s %s", k ? ", " : "", lo->columns[k].name, type_names[lo->columns[k].type]);
		buf_addc(out, ')');
		break;
	case STEP_ADD:
		buf_addf(out, "add the column %s %s to %s", s->column->name, type_names[s->column->type], lo->table);
		break;
	case STEP_WIDEN:
		buf_addf(out, "change the column %s of %s to %s", s->column->name, lo->table, type_names[s->column->type]);
		break;
	case STEP_RENAME:
		buf_addf(out, "rename the column %s of %s to %s", s->from, lo->table, s->column->name);
		break;
	case STEP_NEST:
		buf_addf(out, "add nested columns to %s of %s", s->column->name, lo->table);
		break;
	}
}

void dry_step(struct dry *d, const struct loader *l, const struct job *j, const struct layout *lo, const struct step *s)
{
	struct buf text = BUF_INIT;

	if (l->ops->ddl)
		l->ops->ddl(l->self, j, lo, s, &text);
	else
		say(lo, s, &text);
	while (text.len && text.data[text.len - 1] == '\n')
		buf_truncate(&text, text.len - 1);
	json_array_append_new(d->ddl, json_string(buf_cstr(&text)));
	buf_free(&text);
}

static json_t *figure(const struct dry *d, uint64_t n)
{
	return d->told ? json_integer((json_int_t)n) : json_null();
}

void dry_answer(const struct dry *d, const struct rejects *r, json_t *answer)
{
	json_t *list = json_object_get(answer, "batches"), *v, *rejects = rejects_first(r);
	json_int_t rows = 0, rejected = 0;
	size_t k;

	json_array_foreach(list, k, v)
	{
		if (json_is_true(json_object_get(v, "already")))
			continue;
		rows += json_integer_value(json_object_get(v, "rows"));
		rejected += json_integer_value(json_object_get(v, "rejected"));
	}
	json_object_set(answer, "ddl", d->ddl);
	json_object_set_new(answer, "rows", json_integer(rows));
	json_object_set_new(answer, "rejected", json_integer(rejected));
	json_object_set_new(answer, "rejects", rejects);
	json_object_set_new(answer, "inserted", figure(d, d->inserted));
	json_object_set_new(answer, "updated", figure(d, d->updated));
	json_object_set_new(answer, "skipped", figure(d, d->skipped + d->passed));
}

void dry_free(struct dry *d)
{
	json_decref(d->ddl);
	d->ddl = NULL;
}
