/*
 * view_runbook.c - what was done in this session, as the stitchctl commands that do the same: to be read again by daylight. `c` copies all of it.
 */
#include "draw.h"
#include "i18n.h"
#include "view.h"
#include "xalloc.h"

struct runbook {
	struct view v;
	struct list l;
};

static struct runbook *runbook_of(struct view *v)
{
	return container_of(v, struct runbook, v);
}

static void title(struct view *v, struct buf *out)
{
	size_t n = json_array_size(v->app->acts);

	buf_addf(out, ngettext("runbook: %zu act of this session", "runbook: %zu acts of this session", n), n);
}

static void update(struct view *v)
{
	list_take(&runbook_of(v)->l, json_incref(v->app->acts), model_now(&v->app->m));
}

static void draw(struct view *v, int y, int height, int width)
{
	struct runbook *r = runbook_of(v);
	int detail = height >= 10 ? 4 : 0;

	table_draw(&r->l.t, y, height - detail, width, true);
	if (!detail || !list_item(&r->l))
		return;
	theme_set(TH_DIM);
	draw_rule(y + height - detail, 0, width);
	theme_set(TH_NORMAL);
	draw_wrapped(y + height - detail + 1, 2, width - 3, detail - 1, mj_str(list_item(&r->l), "command"));
}

static bool key(struct view *v, enum key_action a)
{
	struct runbook *r = runbook_of(v);
	struct buf b = BUF_INIT;

	if (list_key(&r->l, v->app, a))
		return true;
	if (a != K_COPY)
		return a == K_OPEN || a == K_RUNBOOK;
	for (size_t k = 0; k < json_array_size(r->l.items); k++)
		buf_addf(&b, "%s\n", mj_str(json_array_get(r->l.items, k), "command"));
	app_copy(v->app, buf_cstr(&b));
	buf_free(&b);
	return true;
}

static void close_runbook(struct view *v)
{
	list_free(&runbook_of(v)->l);
	free(runbook_of(v));
}

struct view *view_runbook(void)
{
	static const struct table_column columns[] = {{N_("TIME"), 8, 16, false, 0}, {N_("COMMAND"), 20, 0, false, 0}};
	static const struct list_field fields[] = {{"at_ns", LIST_TIME}, {"command", LIST_TEXT}};
	static const char *const ids[] = {"at_ns", "command", NULL};
	static const enum key_action actions[] = {K_COPY, K_FILTER, K_BACK, KEYS_SCREENS, KEYS_MOVES, K_QUIT, K_NONE};
	static const struct view_ops ops = {.name = N_("runbook"), .title = title, .update = update, .draw = draw, .key = key, .actions = actions, .close = close_runbook};
	struct runbook *r = xcalloc(1, sizeof(*r));

	r->v.ops = &ops;
	list_init(&r->l, columns, fields, ARRAY_LEN(columns), ids);
	return &r->v;
}
