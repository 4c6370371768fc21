/*
 * view_destinations.c - destinations and their loaders: state and cause, what waits, the last check (`v`).
 */
#include "cells.h"
#include "draw.h"
#include "i18n.h"
#include "view.h"
#include "xalloc.h"

struct destinations {
	struct view v;
	struct list l;
	char *checked; /* the destination that check is of */
	json_t *check;
};

static struct destinations *destinations_of(struct view *v)
{
	return container_of(v, struct destinations, v);
}

static void title(struct view *v, struct buf *out)
{
	buf_addf(out, _("destinations: %zu, loaders at work: %" PRId64 ""), destinations_of(v)->l.t.n, mj_int(v->app->m.status, "loaders.up"));
}

static int rank(const json_t *o)
{
	const char *state = mj_str(o, "state");

	return strcmp(state, "failing") == 0 ? 0 : strcmp(state, "paused") == 0 ? 1 : 2;
}

static void update(struct view *v)
{
	const json_t *status = v->app->m.status;
	json_t *sorted = json_array();
	size_t n = mj_len(status, "destinations");

	/* the failing ones first */
	for (int r = 0; r <= 2; r++)
		for (size_t k = 0; k < n; k++) {
			json_t *o = (json_t *)(uintptr_t)mj_at(status, "destinations", k);

			if (rank(o) == r)
				json_array_append(sorted, o);
		}
	list_take(&destinations_of(v)->l, sorted, model_now(&v->app->m));
}

static void draw_check(const json_t *c, int y, int height, int width)
{
	int n = 0;

	theme_set(mj(c, "ok") && json_is_true(mj(c, "ok")) ? TH_OK : TH_FAIL);
	n += draw_wrapped(y, 2, width - 3, MIN(2, height), json_is_true(mj(c, "ok")) ? _("OK: connected, and every right that loading needs is there") : mj_str(c, "cause"));
	theme_set(TH_NORMAL);
	if (*mj_str(c, "fix") && n < height)
		n += draw_wrapped(y + n, 2, width - 3, MIN(2, height - n), mj_str(c, "fix"));
	for (size_t k = 0; k < mj_len(c, "rights") && n < height; k++, n++) {
		const json_t *r = mj_at(c, "rights", k);

		draw_textf(y + n, 2, width - 3, "%s %s %s", json_is_true(mj(r, "ok")) ? "OK  " : "FAIL", mj_str(r, "name"), mj_str(r, "detail"));
	}
}

static void draw_detail(const struct destinations *d, const json_t *o, int y, int height, int width)
{
	int64_t now = model_now(&d->v.app->m), next = mj_int(o, "error.next_ns");
	const json_t *settings = mj(o, "settings");
	struct buf b = BUF_INIT;
	const char *key;
	json_t *value;
	int n = 1;

	theme_set(TH_DIM);
	draw_rule(y, 0, width);
	json_object_foreach((json_t *)(uintptr_t)settings, key, value)
		buf_addf(&b, "%s%s=%s", b.len ? " " : "", key, json_is_string(value) ? json_string_value(value) : "?");
	draw_text(y + n++, 2, width - 3, buf_cstr(&b));
	theme_set(TH_NORMAL);
	buf_truncate(&b, 0);
	if (mj(o, "paused"))
		draw_textf(y + n++, 2, width - 3, _("paused by %s since %s%s%s"), mj_str(o, "paused.by"), mj_str(o, "paused.since"), *mj_str(o, "paused.reason") ? ": " : "",
			mj_str(o, "paused.reason"));
	if (*mj_str(o, "error.text") && n < height) {
		theme_set(TH_FAIL);
		n += draw_wrapped(y + n, 2, width - 3, MIN(2, height - n), mj_str(o, "error.text"));
		theme_set(TH_NORMAL);
		buf_addf(&b, _("class %s, attempt %" PRId64 ", since "), mj_str(o, "error.class"), mj_int(o, "error.attempts"));
		cells_time(&b, mj_int(o, "error.since_ns"), now, false);
		if (next > now) {
			buf_adds(&b, _(", next in "));
			cells_span(&b, next - now);
		}
		if (strcmp(mj_str(o, "breaker.state"), "open") == 0)
			buf_adds(&b, _(", circuit breaker open"));
		else if (strcmp(mj_str(o, "breaker.state"), "half-open") == 0)
			buf_adds(&b, _(", circuit breaker half open: one load tries"));
		if (n < height)
			draw_text(y + n++, 2, width - 3, buf_cstr(&b));
	}
	if (d->check && d->checked && strcmp(d->checked, mj_str(o, "name")) == 0 && n < height)
		draw_check(d->check, y + n, height - n, width);
	buf_free(&b);
}

static void draw(struct view *v, int y, int height, int width)
{
	struct destinations *d = destinations_of(v);
	int detail = height >= 14 ? 8 : height >= 9 ? 4 : 0;

	table_draw(&d->l.t, y, height - detail, width, true);
	if (detail && list_item(&d->l))
		draw_detail(d, list_item(&d->l), y + height - detail, detail, width);
}

static void target(const struct destinations *d, struct target *t)
{
	const json_t *o = list_item(&d->l);

	*t = (struct target){.kind = o ? T_DESTINATION : T_NONE};
	if (str_copy(t->destination, sizeof(t->destination), str_c(mj_str(o, "name"))))
		t->kind = T_NONE;
}

static void on_check(struct app *app, struct view *v, const json_t *r, const struct err *e, uint64_t tag)
{
	struct destinations *d = v ? destinations_of(v) : NULL;

	(void)e;
	(void)tag;
	if (!d || !r)
		return;
	json_decref(d->check);
	d->check = json_incref((json_t *)(uintptr_t)r);
	if (json_is_true(mj(r, "ok")))
		app_say(app, _("OK: %s can be loaded"), d->checked);
	else
		app_warn(app, "%s: %s", d->checked, mj_str(r, "cause"));
}

static void ask_check(struct destinations *d, const struct target *t)
{
	free(d->checked);
	d->checked = xstrdup(t->destination);
	json_decref(d->check);
	d->check = NULL;
	app_say(d->v.app, _("checking %s..."), t->destination);
	app_act(d->v.app, &d->v, "destination.check", json_pack("{s:s}", "name", t->destination), NULL, on_check);
}

static bool key(struct view *v, enum key_action a)
{
	struct destinations *d = destinations_of(v);
	struct target t;
	struct buf b = BUF_INIT;

	target(d, &t);
	if (act_key(v, &t, a) || list_key(&d->l, v->app, a))
		return true;
	if (a == K_OPEN && t.kind != T_NONE) {
		app_push(v->app, view_spool(NULL, NULL, t.destination));
	} else if (a == K_CHECK && t.kind != T_NONE) {
		ask_check(d, &t);
	} else if (a == K_COPY) {
		act_show_command(&t, &b);
		app_copy(v->app, buf_cstr(&b));
		buf_free(&b);
	} else {
		return false;
	}
	return true;
}

static bool can(struct view *v, enum key_action a)
{
	struct target t;

	target(destinations_of(v), &t);
	return (a != K_PAUSE && a != K_RESUME && a != K_TRY) || act_can(v->app, &t, a);
}

static void close_destinations(struct view *v)
{
	struct destinations *d = destinations_of(v);

	list_free(&d->l);
	json_decref(d->check);
	free(d->checked);
	free(d);
}

struct view *view_destinations(void)
{
	static const struct table_column columns[] = {{"", 4, 4, false, 0}, {N_("DESTINATION"), 12, 30, false, 0}, {N_("KIND"), 8, 10, false, 2}, {N_("STATE"), 7, 9, false, 0},
		{N_("TABLES"), 6, 8, true, 4}, {N_("WAITING"), 8, 10, true, 0}, {N_("BYTES"), 5, 7, true, 5}, {N_("OLDEST"), 7, 8, true, 0}, {N_("LOADERS"), 7, 8, true, 6},
		{N_("RATE"), 8, 8, true, 7}, {N_("TREND"), 8, 10, false, 3}};
	static const struct list_field fields[] = {{"state", LIST_STATE}, {"name", LIST_TEXT}, {"kind", LIST_TEXT}, {"state", LIST_TEXT}, {"tables", LIST_COUNT}, {"records", LIST_COUNT},
		{"bytes", LIST_BYTES}, {"oldest_ns", LIST_AGE}, {"loaders", LIST_COUNT}, {"rate", LIST_RATE}, {"trend", LIST_TREND}};
	static const char *const ids[] = {"name", NULL};
	static const enum key_action actions[] = {K_PAUSE, K_RESUME, K_TRY, K_CHECK, K_OPEN, K_ADD, K_FILTER, K_SORT, K_COPY, K_BACK, KEYS_SCREENS, KEYS_MOVES, K_QUIT, K_NONE};
	static const struct view_ops ops = {
		.name = N_("destinations"), .title = title, .update = update, .draw = draw, .key = key, .can = can, .actions = actions, .close = close_destinations};
	struct destinations *d = xcalloc(1, sizeof(*d));

	d->v.ops = &ops;
	list_init(&d->l, columns, fields, ARRAY_LEN(columns), ids);
	return &d->v;
}
