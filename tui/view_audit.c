/*
 * view_audit.c - who did what, when, how it ended; before and after of the selected line. `o` narrows it to one object and back.
 */
#include "cells.h"
#include "draw.h"
#include "i18n.h"
#include "view.h"
#include "xalloc.h"

#define LINES_ASKED 500

struct audit {
	struct view v;
	struct list l;
	char *only; /* object; NULL: all */
	unsigned ticks;
};

static struct audit *audit_of(struct view *v)
{
	return container_of(v, struct audit, v);
}

static void title(struct view *v, struct buf *out)
{
	struct audit *a = audit_of(v);

	buf_adds(out, _("audit: who did what, newest first"));
	if (a->only)
		buf_addf(out, _("  only %s"), a->only);
	if (a->l.t.filter)
		buf_addf(out, "  /%s", a->l.t.filter);
}

static void update(struct view *v)
{
	audit_of(v)->l.now = model_now(&v->app->m);
}

static void on_audit(struct app *app, struct view *v, const json_t *r, const struct err *e, uint64_t tag)
{
	const json_t *items = mj(r, "items");

	(void)tag;
	if (!r)
		app_warn(app, _("the audit log cannot be read: %s"), e->text);
	else
		list_take(&audit_of(v)->l, json_is_array(items) ? json_incref((json_t *)(uintptr_t)items) : NULL, model_now(&app->m));
}

static void ask(struct audit *a)
{
	json_t *params = json_pack("{s:i}", "limit", LINES_ASKED);

	if (a->only)
		json_object_set_new(params, "object", json_string(a->only));
	if (app_call(a->v.app, &a->v, "audit.list", params, on_audit, 0))
		return;
}

static void tick(struct view *v)
{
	if (audit_of(v)->ticks++ % 3 == 0 && v->app->m.rpc)
		ask(audit_of(v));
}

static void draw(struct view *v, int y, int height, int width)
{
	struct audit *a = audit_of(v);
	const json_t *o = list_item(&a->l);
	int detail = height >= 12 ? 5 : 0;

	table_draw(&a->l.t, y, height - detail, width, true);
	if (!detail || !o)
		return;
	y += height - detail;
	theme_set(TH_DIM);
	draw_rule(y, 0, width);
	theme_set(TH_NORMAL);
	draw_textf(y + 1, 2, width - 3, _("%s by %s: %s"), mj_str(o, "action"), mj_str(o, "who"), *mj_str(o, "result") ? mj_str(o, "result") : _("no result was written"));
	if (*mj_str(o, "before"))
		draw_textf(y + 2, 2, width - 3, _("before: %s"), mj_str(o, "before"));
	if (*mj_str(o, "after"))
		draw_textf(y + 3, 2, width - 3, _("after: %s"), mj_str(o, "after"));
}

static bool key(struct view *v, enum key_action k)
{
	struct audit *a = audit_of(v);
	const json_t *o = list_item(&a->l);
	struct buf b = BUF_INIT;

	if (list_key(&a->l, v->app, k))
		return true;
	if (k == K_ONLY && (o || a->only)) {
		char *only = a->only ? NULL : xstrdup(mj_str(o, "object"));

		free(a->only);
		a->only = only;
		ask(a);
	} else if (k == K_COPY) {
		buf_adds(&b, "stitchctl audit list --json");
		if (a->only) {
			buf_adds(&b, " --object ");
			cells_shell(&b, a->only);
		}
		app_copy(v->app, buf_cstr(&b));
		buf_free(&b);
	} else {
		return k == K_OPEN || k == K_AUDIT;
	}
	return true;
}

static void close_audit(struct view *v)
{
	struct audit *a = audit_of(v);

	list_free(&a->l);
	free(a->only);
	free(a);
}

struct view *view_audit(const char *object)
{
	static const struct table_column columns[] = {{N_("TIME"), 8, 16, false, 0}, {N_("WHO"), 10, 20, false, 0}, {N_("ACTION"), 14, 20, false, 0}, {N_("OBJECT"), 14, 30, false, 0},
		{N_("RESULT"), 8, 0, false, 0}};
	static const struct list_field fields[] = {{"at_ns", LIST_TIME}, {"who", LIST_TEXT}, {"action", LIST_TEXT}, {"object", LIST_TEXT}, {"result", LIST_TEXT}};
	static const char *const ids[] = {"id", NULL};
	static const enum key_action actions[] = {K_ONLY, K_FILTER, K_SORT, K_COPY, K_BACK, KEYS_SCREENS, KEYS_MOVES, K_QUIT, K_NONE};
	static const struct view_ops ops = {.name = N_("audit"), .title = title, .update = update, .tick = tick, .draw = draw, .key = key, .actions = actions, .close = close_audit};
	struct audit *a = xcalloc(1, sizeof(*a));

	a->v.ops = &ops;
	a->only = object ? xstrdup(object) : NULL;
	list_init(&a->l, columns, fields, ARRAY_LEN(columns), ids);
	return &a->v;
}
