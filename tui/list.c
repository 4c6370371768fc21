/*
 * list.c - a table over an array of JSON objects: a column is a path and a type, which decides how the value is written, sorted and coloured. All
 * screens with rows are made of it.
 */
#include "view.h"

#include "cells.h"
#include "i18n.h"
#include "xalloc.h"

#define SPARK_MINUTES 8 /* of the fifteen that come: there is no room for more in 80 columns */

static void spark(const json_t *v, struct buf *out)
{
	double values[SPARK_MINUTES];
	size_t size = json_array_size(v), n = MIN(size, (size_t)SPARK_MINUTES);

	for (size_t k = 0; k < n; k++)
		values[k] = json_number_value(json_array_get(v, size - n + k));
	cells_spark(out, values, n);
}

static void trend(const char *s, struct buf *out)
{
	buf_adds(out, strcmp(s, "growing") == 0 ? _("growing") : strcmp(s, "draining") == 0 ? _("draining") : strcmp(s, "steady") == 0 ? _("steady") : "-");
}

static void joined(const json_t *v, struct buf *out)
{
	size_t n = json_array_size(v);

	for (size_t k = 0; k < n; k++) {
		const char *s = json_string_value(json_array_get(v, k));

		buf_addf(out, "%s%s", k ? " " : "", s ? s : "?");
	}
	if (!n)
		buf_addc(out, '-');
}

void list_format(const json_t *o, const struct list_field *f, int64_t now, struct buf *out)
{
	enum theme_role role;
	int64_t n = mj_int(o, f->path);

	switch (f->type) {
	case LIST_TEXT:
		if (json_is_integer(mj(o, f->path)))
			buf_addf(out, "%" PRId64, n);
		else
			buf_adds(out, *mj_str(o, f->path) ? mj_str(o, f->path) : "-");
		break;
	case LIST_TABLE:
		buf_addf(out, "%s.%s", mj_str(o, "source"), mj_str(o, "table"));
		break;
	case LIST_STATE:
		buf_adds(out, theme_state(mj_str(o, f->path), &role));
		break;
	case LIST_COUNT:
		cells_count(out, n);
		break;
	case LIST_BYTES:
		cells_bytes(out, n);
		break;
	case LIST_RATE:
		cells_rate(out, mj_real(o, f->path));
		break;
	case LIST_LAG:
		cells_seconds(out, mj_real(o, f->path));
		break;
	case LIST_AGE:
		if (n)
			cells_span(out, now - n);
		else
			buf_addc(out, '-');
		break;
	case LIST_TIME:
		cells_time(out, n, now, true);
		break;
	case LIST_TREND:
		trend(mj_str(o, f->path), out);
		break;
	case LIST_DRAIN:
		if (!json_is_number(mj(o, f->path)) || (mj(o, "waiting") && !mj_int(o, "waiting")))
			buf_addc(out, '-');
		else if (n < 1)
			buf_adds(out, "<1s");
		else
			cells_span(out, MIN(n, INT64_C(1000000000)) * NSEC_PER_SEC);
		break;
	case LIST_SPARK:
		spark(mj(o, f->path), out);
		break;
	case LIST_JOINED:
		joined(mj(o, f->path), out);
		break;
	}
}

static void cell(void *arg, size_t item, unsigned col, struct buf *out)
{
	struct list *l = arg;

	list_format(json_array_get(l->items, item), &l->fields[col], l->now, out);
}

/* What is most urgent comes first: big figures, young times; text by its letters. */
static int compare(void *arg, size_t a, size_t b, unsigned col)
{
	struct list *l = arg;
	const json_t *x = json_array_get(l->items, a), *y = json_array_get(l->items, b);
	const struct list_field *f = &l->fields[col];
	double dx, dy;
	int64_t nx, ny;

	switch (f->type) {
	case LIST_TEXT:
		if (json_is_integer(mj(x, f->path)))
			break;
		return strcasecmp(mj_str(x, f->path), mj_str(y, f->path));
	case LIST_TABLE:
		nx = strcasecmp(mj_str(x, "source"), mj_str(y, "source"));
		return nx ? (int)nx : strcasecmp(mj_str(x, "table"), mj_str(y, "table"));
	case LIST_STATE:
	case LIST_TREND:
		return strcmp(mj_str(x, f->path), mj_str(y, f->path));
	case LIST_RATE:
	case LIST_LAG:
		dx = mj_real(x, f->path);
		dy = mj_real(y, f->path);
		return dx > dy ? -1 : dx < dy;
	case LIST_AGE: /* the oldest first, nothing last */
		nx = mj_int(x, f->path) ? mj_int(x, f->path) : INT64_MAX;
		ny = mj_int(y, f->path) ? mj_int(y, f->path) : INT64_MAX;
		return nx < ny ? -1 : nx > ny;
	case LIST_SPARK:
	case LIST_JOINED:
	case LIST_COUNT:
	case LIST_BYTES:
	case LIST_TIME:
	case LIST_DRAIN:
		break;
	}
	nx = mj_int(x, f->path);
	ny = mj_int(y, f->path);
	return nx > ny ? -1 : nx < ny;
}

static void identity(void *arg, size_t item, struct buf *out)
{
	struct list *l = arg;
	const json_t *o = json_array_get(l->items, item);
	const struct list_field f = {NULL, LIST_TEXT};

	for (size_t k = 0; l->ids[k]; k++) {
		struct list_field one = f;

		one.path = l->ids[k];
		list_format(o, &one, 0, out);
		buf_addc(out, '\x1f');
	}
}

static enum theme_role look(void *arg, size_t item, unsigned col)
{
	struct list *l = arg;
	enum theme_role role = TH_NORMAL;

	if (l->fields[col].type == LIST_STATE)
		theme_state(mj_str(json_array_get(l->items, item), l->fields[col].path), &role);
	return role;
}

static const struct table_ops ops = {cell, compare, identity, look};

void list_init(struct list *l, const struct table_column *c, const struct list_field *f, unsigned n, const char *const *ids)
{
	l->fields = f;
	l->ids = ids;
	l->items = json_array();
	l->now = 0;
	table_init(&l->t, &ops, l, c, n);
}

void list_take(struct list *l, json_t *items, int64_t now)
{
	json_decref(l->items);
	l->items = items ? items : json_array();
	l->now = now;
	table_fill(&l->t, json_array_size(l->items));
}

const json_t *list_item(const struct list *l)
{
	size_t item = table_item(&l->t);

	return item == SIZE_MAX ? NULL : json_array_get(l->items, item);
}

/* --- keys --- */

static void filter_changed(struct app *app, struct prompt *p, bool done, void *arg)
{
	struct list **l = arg;
	struct err e = ERR_INIT;
	bool bad = table_filter(&(*l)->t, buf_cstr(&p->fields[0].text), &e) != 0;

	/* a half-typed expression is no reason to complain */
	if (done && bad)
		app_warn(app, _("the filter is not understood: %s"), e.text);
}

bool list_key(struct list *l, struct app *app, enum key_action a)
{
	switch (a) {
	case K_UP:
		table_move(&l->t, -1);
		return true;
	case K_DOWN:
		table_move(&l->t, 1);
		return true;
	case K_PAGE_UP:
		table_move(&l->t, -10);
		return true;
	case K_PAGE_DOWN:
		table_move(&l->t, 10);
		return true;
	case K_FIRST:
		table_first(&l->t);
		return true;
	case K_LAST:
		table_last(&l->t);
		return true;
	case K_SORT:
		table_sort_next(&l->t);
		if (l->t.sort < 0)
			app_say(app, "%s", _("in the order of the daemon, the worst first"));
		else
			app_say(app, _("sorted by %s"), *l->t.columns[l->t.sort].title ? _(l->t.columns[l->t.sort].title) : "-");
		return true;
	case K_FILTER:
		prompt_line(&app->prompt, N_("filter:"), l->t.filter ? l->t.filter : "");
		app->prompt.act = filter_changed;
		app->prompt.arg = xmemdup(&l, sizeof(l));
		return true;
	default:
		return false;
	}
}

void list_free(struct list *l)
{
	table_free(&l->t);
	json_decref(l->items);
}
