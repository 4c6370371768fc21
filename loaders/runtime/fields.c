/*
 * fields.c - paths into a tree. A path may come before that of what it lies in (then the outer one is made without types), and a field that is listed twice is an
 * error: where its values go would depend on which one counts.
 *
 * "a" U+0001 "" with no types says that objects of a were seen without members, "a" U+0002 with no types that its arrays were empty: without these a loader
 * could not tell such fields from those of a door that listed no nested paths, whose objects and arrays are loaded as text.
 */
#include "loaders/runtime/fields.h"

#include "xalloc.h"

static struct layout_field *field_new(struct layouts *los, struct layout_field *parent, struct str name, bool member)
{
	struct layout_field *f = xcalloc(1, sizeof(*f));
	bool top = parent == &los->top;

	f->name = str_dup(name);
	f->parent = top ? NULL : parent;
	f->path = top ? str_dup(name) : member ? xasprintf("%s__%s", parent->path, f->name) : xstrdup(parent->path);
	f->id = los->n_fields++;
	f->object = f->array = NO_COLUMN;
	f->subtable = NO_TABLE;
	for (unsigned t = 0; t < COL_TYPES; t++)
		f->column[t] = NO_COLUMN;
	return f;
}

static struct layout_field *member_of(struct layouts *los, struct layout_field *f, struct str name)
{
	struct layout_field *m = map_get(&f->by_name, name);

	f->has_members = true;
	if (m)
		return m;
	m = field_new(los, f, name, true);
	if (f->n_members == f->cap_members) {
		f->cap_members = f->cap_members ? f->cap_members * 2 : 8;
		f->members = xreallocarray(f->members, f->cap_members, sizeof(*f->members));
	}
	m->at = f->n_members;
	f->members[f->n_members++] = m;
	if (map_put(&f->by_name, name, m))
		assert(!"was not there");
	return m;
}

static struct layout_field *element_of(struct layouts *los, struct layout_field *f)
{
	f->has_elements = true;
	if (!f->element)
		f->element = field_new(los, f, STR(""), false);
	return f->element;
}

/* The path's first component is the name of a field, whatever it is. */
static struct layout_field *field_at(struct layouts *los, const struct job_field *jf, struct err *e)
{
	const char *p = jf->name, *end;
	struct layout_field *f = &los->top;
	char kind = PATH_MEMBER;

	for (unsigned depth = 0;; depth++) {
		if (depth == PATH_DEPTH_MAX) {
			err_set(e, ERR_CONFIG, "the job lists a field that is nested deeper than %d levels", PATH_DEPTH_MAX);
			return NULL;
		}
		end = p + strcspn(p, "\1\2");
		if (kind == PATH_ELEMENT) {
			if (end != p) {
				err_set(e, ERR_CONFIG, "the job lists a path that has a name where an array's element is: %.200s", jf->name);
				return NULL;
			}
			f = element_of(los, f);
		} else if (depth && end == p && !*end && !jf->n) {
			f->has_members = true;
			return f;
		} else {
			f = member_of(los, f, str_mem(p, (size_t)(end - p)));
		}
		if (!*end)
			return f;
		kind = *end;
		p = end + 1;
	}
}

int fields_make(const struct job *j, struct layouts *los, struct layout_field ***order, struct err *e)
{
	struct layout_field **list = xcalloc(j->n_fields + 1, sizeof(*list));

	for (size_t k = 0; k < j->n_fields; k++) {
		const struct job_field *jf = &j->fields[k];
		struct layout_field *f = field_at(los, jf, e);

		list[k] = f;
		if (f && !jf->n && strpbrk(jf->name, "\1\2"))
			continue; /* only what it lies in is of interest */
		if (f && f->seen)
			err_set(e, ERR_CONFIG, "the job lists the column %s twice", f->path);
		if (!f || f->seen) {
			free(list);
			return -1;
		}
		f->seen = jf;
	}
	*order = list;
	return 0;
}

static void field_clear(struct layout_field *f)
{
	for (size_t k = 0; k < f->n_members; k++) {
		field_clear(f->members[k]);
		free(f->members[k]);
	}
	if (f->element) {
		field_clear(f->element);
		free(f->element);
	}
	map_free(&f->by_name, NULL);
	free(f->members);
	free(f->name);
	free(f->path);
	free(f->base);
	free(f->refused);
	free(f->refused_array);
}

void fields_free(struct layouts *los)
{
	field_clear(&los->top);
	los->top = (struct layout_field){.name = NULL};
	los->n_fields = 0;
}
