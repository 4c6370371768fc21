/*
 * view_log.c - what happened, newest first: one page asked for when it is opened, then the lines that the daemon sends by itself.
 */
#include "draw.h"
#include "i18n.h"
#include "view.h"
#include "xalloc.h"

struct log_view {
	struct view v;
	struct list l;
	json_t *older; /* as listed, newest first */
	bool asked;
	uint64_t connection; /* that it was asked on */
	char *only;	     /* object */
};

static struct log_view *log_of(struct view *v)
{
	return container_of(v, struct log_view, v);
}

static void title(struct view *v, struct buf *out)
{
	struct log_view *g = log_of(v);

	buf_adds(out, _("log: what happened, newest first"));
	if (g->only)
		buf_addf(out, _("  only %s"), g->only);
	if (g->l.t.filter)
		buf_addf(out, "  /%s", g->l.t.filter);
}

static bool wanted(const struct log_view *g, const json_t *o)
{
	return !g->only || strcmp(mj_str(o, "object"), g->only) == 0;
}

static void update(struct view *v)
{
	struct log_view *g = log_of(v);
	const json_t *fresh = v->app->m.events;
	json_t *all = json_array();
	int64_t least = INT64_MAX;

	for (size_t k = json_array_size(fresh); k-- > 0;) {
		json_t *o = json_array_get(fresh, k);

		least = MIN(least, mj_int(o, "id"));
		if (wanted(g, o))
			json_array_append(all, o);
	}
	for (size_t k = 0; k < json_array_size(g->older); k++) {
		json_t *o = json_array_get(g->older, k);

		if (mj_int(o, "id") < least && wanted(g, o))
			json_array_append(all, o);
	}
	list_take(&g->l, all, model_now(&v->app->m));
}

static void on_events(struct app *app, struct view *v, const json_t *r, const struct err *e, uint64_t tag)
{
	struct log_view *g = log_of(v);
	const json_t *items = mj(r, "items");

	(void)tag;
	if (!r) {
		app_warn(app, _("the events cannot be listed: %s"), e->text);
		return;
	}
	json_decref(g->older);
	g->older = json_is_array(items) ? json_incref((json_t *)(uintptr_t)items) : NULL;
	update(v);
}

static void tick(struct view *v)
{
	struct log_view *g = log_of(v);

	/* what happened while there was no connection did not come by itself */
	if (!v->app->m.rpc || g->connection == v->app->m.connections)
		return;
	if (app_call(v->app, v, "event.list", json_pack("{s:i}", "limit", MODEL_EVENTS), on_events, 0) == 0)
		g->connection = v->app->m.connections;
}

static void draw(struct view *v, int y, int height, int width)
{
	struct log_view *g = log_of(v);
	const json_t *o = list_item(&g->l);
	int detail = height >= 10 ? 3 : 0;

	table_draw(&g->l.t, y, height - detail, width, true);
	if (!detail || !o)
		return;
	theme_set(TH_DIM);
	draw_rule(y + height - detail, 0, width);
	theme_set(TH_NORMAL);
	draw_wrapped(y + height - detail + 1, 2, width - 3, detail - 1, mj_str(o, "text"));
}

static bool key(struct view *v, enum key_action a)
{
	struct log_view *g = log_of(v);
	const json_t *o = list_item(&g->l);

	if (list_key(&g->l, v->app, a))
		return true;
	if (a == K_ONLY && (o || g->only)) {
		char *only = g->only ? NULL : xstrdup(mj_str(o, "object"));

		free(g->only);
		g->only = only;
		update(v);
	} else if (a == K_COPY) {
		app_copy(v->app, "stitchctl event list --follow");
	} else {
		return a == K_OPEN || a == K_LOG;
	}
	return true;
}

static void close_log(struct view *v)
{
	struct log_view *g = log_of(v);

	list_free(&g->l);
	json_decref(g->older);
	free(g->only);
	free(g);
}

struct view *view_log(void)
{
	static const struct table_column columns[] = {{N_("TIME"), 8, 16, false, 0}, {"", 4, 4, false, 0}, {N_("KIND"), 10, 20, false, 2}, {N_("OBJECT"), 10, 24, false, 1}, {N_("TEXT"), 20, 0, false, 0}};
	static const struct list_field fields[] = {{"at_ns", LIST_TIME}, {"level", LIST_STATE}, {"kind", LIST_TEXT}, {"object", LIST_TEXT}, {"text", LIST_TEXT}};
	static const char *const ids[] = {"id", NULL};
	static const enum key_action actions[] = {K_ONLY, K_FILTER, K_SORT, K_COPY, K_BACK, KEYS_SCREENS, KEYS_MOVES, K_QUIT, K_NONE};
	static const struct view_ops ops = {.name = N_("log"), .title = title, .update = update, .tick = tick, .draw = draw, .key = key, .actions = actions, .close = close_log};
	struct log_view *g = xcalloc(1, sizeof(*g));

	g->v.ops = &ops;
	list_init(&g->l, columns, fields, ARRAY_LEN(columns), ids);
	return &g->v;
}
