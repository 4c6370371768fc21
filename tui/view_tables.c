/*
 * view_tables.c - every (source, table, destination) with its counts, and what the selected one suffers from. The counts add up: accepted = queued +
 * spooled + loaded + rejected + discarded.
 */
#include "draw.h"
#include "i18n.h"
#include "view.h"
#include "xalloc.h"

struct tables {
	struct view v;
	struct list l;
};

static struct tables *tables_of(struct view *v)
{
	return container_of(v, struct tables, v);
}

static void title(struct view *v, struct buf *out)
{
	struct tables *t = tables_of(v);

	buf_addf(out, _("tables: %zu"), t->l.t.n);
	if (t->l.t.filter)
		buf_addf(out, "  /%s", t->l.t.filter);
}

static void update(struct view *v)
{
	const json_t *items = mj(v->app->m.status, "tables");

	list_take(&tables_of(v)->l, json_is_array(items) ? json_incref((json_t *)(uintptr_t)items) : NULL, model_now(&v->app->m));
}

/* What there is to say about the selected row, below the table. */
static void draw_detail(struct tables *t, int y, int width)
{
	const json_t *o = list_item(&t->l);

	theme_set(TH_DIM);
	draw_rule(y, 0, width);
	theme_set(TH_NORMAL);
	if (!o)
		return;
	if (mj(o, "paused"))
		draw_textf(y + 1, 2, width - 3, _("paused by %s since %s%s%s"), mj_str(o, "paused.by"), mj_str(o, "paused.since"), *mj_str(o, "paused.reason") ? ": " : "",
			mj_str(o, "paused.reason"));
	else if (*mj_str(o, "error"))
		draw_wrapped(y + 1, 2, width - 3, 2, mj_str(o, "error"));
	else
		draw_textf(y + 1, 2, width - 3, _("%s.%s: accepted %" PRId64 " = queued %" PRId64 " + spooled %" PRId64 " + loaded %" PRId64 " + rejected %" PRId64 " + discarded %" PRId64),
			mj_str(o, "source"), mj_str(o, "table"), mj_int(o, "accepted"), mj_int(o, "queued"), mj_int(o, "spooled"), mj_int(o, "loaded"),
			mj_int(o, "rejected"), mj_int(o, "discarded"));
}

static void draw(struct view *v, int y, int height, int width)
{
	struct tables *t = tables_of(v);
	int detail = height >= 10 ? 3 : 0;

	table_draw(&t->l.t, y, height - detail, width, true);
	if (detail)
		draw_detail(t, y + height - detail, width);
}

static bool key(struct view *v, enum key_action a)
{
	struct tables *t = tables_of(v);
	struct target target;
	struct buf b = BUF_INIT;

	target_of_table(list_item(&t->l), &target);
	if (act_key(v, &target, a) || list_key(&t->l, v->app, a))
		return true;
	if (a == K_OPEN && target.kind != T_NONE) {
		app_push(v->app, view_spool(target.source, target.table, strcmp(target.destination, "-") ? target.destination : NULL));
	} else if (a == K_COPY) {
		act_show_command(&target, &b);
		app_copy(v->app, buf_cstr(&b));
		buf_free(&b);
	} else {
		return false;
	}
	return true;
}

static bool can(struct view *v, enum key_action a)
{
	struct target target;

	target_of_table(list_item(&tables_of(v)->l), &target);
	return (a != K_PAUSE && a != K_RESUME && a != K_TRY) || act_can(v->app, &target, a);
}

static void close_tables(struct view *v)
{
	list_free(&tables_of(v)->l);
	free(tables_of(v));
}

struct view *view_tables(void)
{
	static const struct table_column columns[] = {{"", 4, 4, false, 0}, {N_("TABLE"), 14, 0, false, 0}, {N_("DESTINATION"), 11, 20, false, 4}, {N_("LAG"), 7, 8, true, 0},
		{N_("ACCEPTED"), 9, 11, true, 6}, {N_("QUEUED"), 7, 9, true, 2}, {N_("SPOOLED"), 8, 9, true, 3}, {N_("LOADED"), 9, 11, true, 0},
		{N_("REJECTED"), 8, 9, true, 1}, {N_("RATE"), 8, 8, true, 7}, {N_("TREND"), 8, 10, false, 8}, {N_("8 MIN"), 8, 8, false, 9}};
	static const struct list_field fields[] = {{"state", LIST_STATE}, {"", LIST_TABLE}, {"destination", LIST_TEXT}, {"lag_s", LIST_LAG}, {"accepted", LIST_COUNT},
		{"queued", LIST_COUNT}, {"spooled", LIST_COUNT}, {"loaded", LIST_COUNT}, {"rejected", LIST_COUNT}, {"rate", LIST_RATE}, {"trend", LIST_TREND},
		{"spark", LIST_SPARK}};
	static const char *const ids[] = {"source", "table", "destination", NULL};
	static const enum key_action actions[] = {K_OPEN, K_PAUSE, K_RESUME, K_FILTER, K_SORT, K_TRY, K_COPY, K_BACK, K_ADD, KEYS_SCREENS, KEYS_MOVES, K_QUIT, K_NONE};
	static const struct view_ops ops = {.name = N_("tables"), .title = title, .update = update, .draw = draw, .key = key, .can = can, .actions = actions, .close = close_tables};
	struct tables *t = xcalloc(1, sizeof(*t));

	t->v.ops = &ops;
	list_init(&t->l, columns, fields, ARRAY_LEN(columns), ids);
	return &t->v;
}
