/*
 * view_sources.c - sources: what they are, whether they may push, where their records go.
 */
#include "draw.h"
#include "i18n.h"
#include "view.h"
#include "xalloc.h"

struct sources {
	struct view v;
	struct list l;
};

static struct sources *sources_of(struct view *v)
{
	return container_of(v, struct sources, v);
}

static void title(struct view *v, struct buf *out)
{
	buf_addf(out, _("sources: %zu"), sources_of(v)->l.t.n);
}

static void update(struct view *v)
{
	const json_t *items = mj(v->app->m.status, "sources");

	list_take(&sources_of(v)->l, json_is_array(items) ? json_incref((json_t *)(uintptr_t)items) : NULL, model_now(&v->app->m));
}

static void draw_detail(const struct view *v, const json_t *o, int y, int width)
{
	struct buf b = BUF_INIT;

	theme_set(TH_DIM);
	draw_rule(y, 0, width);
	theme_set(TH_NORMAL);
	for (size_t k = 0; k < mj_len(o, "tokens"); k++)
		buf_addf(&b, "%s%s", k ? ", " : "", mj_str(mj_at(o, "tokens", k), "hint"));
	draw_textf(y + 1, 2, width - 3, _("tokens: %s"), b.len ? buf_cstr(&b) : "-");
	if (mj(o, "paused"))
		draw_textf(y + 2, 2, width - 3, _("paused by %s since %s%s%s"), mj_str(o, "paused.by"), mj_str(o, "paused.since"), *mj_str(o, "paused.reason") ? ": " : "",
			mj_str(o, "paused.reason"));
	else
		draw_textf(y + 2, 2, width - 3, _("pushes go to %s/v2/import/batch or /push"), mj_str(v->app->m.hello, "import_url"));
	buf_free(&b);
}

static void draw(struct view *v, int y, int height, int width)
{
	struct sources *s = sources_of(v);
	int detail = height >= 9 ? 3 : 0;

	table_draw(&s->l.t, y, height - detail, width, true);
	if (detail && list_item(&s->l))
		draw_detail(v, list_item(&s->l), y + height - detail, width);
}

static void target(const struct sources *s, struct target *t)
{
	const json_t *o = list_item(&s->l);

	*t = (struct target){.kind = o ? T_SOURCE : T_NONE};
	if (str_copy(t->source, sizeof(t->source), str_c(mj_str(o, "name"))))
		t->kind = T_NONE;
}

static bool key(struct view *v, enum key_action a)
{
	struct sources *s = sources_of(v);
	struct target t;
	struct buf b = BUF_INIT;

	target(s, &t);
	if (act_key(v, &t, a) || list_key(&s->l, v->app, a))
		return true;
	if (a == K_OPEN) {
		app_push(v->app, view_tables());
		return true;
	}
	if (a != K_COPY)
		return false;
	act_show_command(&t, &b);
	app_copy(v->app, buf_cstr(&b));
	buf_free(&b);
	return true;
}

static bool can(struct view *v, enum key_action a)
{
	struct target t;

	target(sources_of(v), &t);
	return (a != K_PAUSE && a != K_RESUME && a != K_TRY) || act_can(v->app, &t, a);
}

static void close_sources(struct view *v)
{
	list_free(&sources_of(v)->l);
	free(sources_of(v));
}

struct view *view_sources(void)
{
	static const struct table_column columns[] = {{"", 4, 4, false, 0}, {N_("SOURCE"), 12, 30, false, 0}, {N_("KIND"), 7, 10, false, 2}, {N_("STATE"), 7, 9, false, 0},
		{N_("ACCEPTED"), 9, 12, true, 0}, {N_("CREATED"), 16, 16, false, 3}, {N_("DESTINATIONS"), 12, 0, false, 1}};
	static const struct list_field fields[] = {{"state", LIST_STATE}, {"name", LIST_TEXT}, {"kind", LIST_TEXT}, {"state", LIST_TEXT}, {"accepted", LIST_COUNT}, {"created_ns", LIST_TIME},
		{"destinations", LIST_JOINED}};
	static const char *const ids[] = {"name", NULL};
	static const enum key_action actions[] = {K_PAUSE, K_RESUME, K_ADD, K_OPEN, K_TRY, K_FILTER, K_SORT, K_COPY, K_BACK, KEYS_SCREENS, KEYS_MOVES, K_QUIT, K_NONE};
	static const struct view_ops ops = {.name = N_("sources"), .title = title, .update = update, .draw = draw, .key = key, .can = can, .actions = actions, .close = close_sources};
	struct sources *s = xcalloc(1, sizeof(*s));

	s->v.ops = &ops;
	list_init(&s->l, columns, fields, ARRAY_LEN(columns), ids);
	return &s->v;
}
