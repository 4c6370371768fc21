/*
 * view_spool.c - jobs: those that failed first, then what is held, waits, runs. Asked for every other second, state by state, so that a million waiting
 * jobs do not hide the ten that failed; at most PER_STATE of each. Of the jobs that are done, those are shown that left records behind; `e` shows all.
 */
#include "cells.h"
#include "draw.h"
#include "i18n.h"
#include "view.h"
#include "xalloc.h"

#define PER_STATE 200

static const char *const states[] = {"corrupt", "rejected", "held", "deferred", "active", "ready", "done"};

struct spool {
	struct view v;
	struct list l;
	char *source, *table, *destination; /* NULL: all */
	bool ended;			    /* done jobs too */
	unsigned ticks, waiting;	    /* answers to come */
	uint64_t round;
	json_t *parts[ARRAY_LEN(states)]; /* of the round under way */
	bool cut, asked;
};

static struct spool *spool_of(struct view *v)
{
	return container_of(v, struct spool, v);
}

static void title(struct view *v, struct buf *out)
{
	struct spool *s = spool_of(v);

	buf_adds(out, _("spool"));
	if (s->table)
		buf_addf(out, "  %s.%s", s->source, s->table);
	if (s->destination)
		buf_addf(out, " → %s", s->destination);
	buf_addf(out, ngettext("  %zu job", "  %zu jobs", s->l.t.n), s->l.t.n);
	if (s->cut)
		buf_addf(out, _(" (the first %d of each state)"), PER_STATE);
	if (s->ended)
		buf_adds(out, _("  ended ones too"));
	if (s->l.t.filter)
		buf_addf(out, "  /%s", s->l.t.filter);
}

static void update(struct view *v)
{
	spool_of(v)->l.now = model_now(&v->app->m);
}

/* --- the questions --- */

static void drop_parts(struct spool *s)
{
	for (size_t k = 0; k < ARRAY_LEN(states); k++) {
		json_decref(s->parts[k]);
		s->parts[k] = NULL;
	}
}

static void show_parts(struct spool *s)
{
	json_t *all = json_array();

	s->cut = false;
	for (size_t k = 0; k < ARRAY_LEN(states); k++) {
		size_t n = json_array_size(s->parts[k]);
		bool done = strcmp(states[k], "done") == 0;

		s->cut |= n >= PER_STATE;
		for (size_t i = 0; i < n; i++) {
			json_t *job = json_array_get(s->parts[k], i);

			if (!done || s->ended || mj_int(job, "rejected_records") > 0)
				json_array_append(all, job);
		}
	}
	drop_parts(s);
	list_take(&s->l, all, model_now(&s->v.app->m));
}

static void on_jobs(struct app *app, struct view *v, const json_t *r, const struct err *e, uint64_t tag)
{
	struct spool *s = spool_of(v);
	size_t k = tag % ARRAY_LEN(states);
	const json_t *items = mj(r, "items");

	if (tag / ARRAY_LEN(states) != s->round)
		return;
	s->waiting--;
	if (!r)
		app_warn(app, _("the jobs cannot be listed: %s"), e->text);
	json_decref(s->parts[k]);
	s->parts[k] = json_is_array(items) ? json_incref((json_t *)(uintptr_t)items) : NULL;
	if (!s->waiting)
		show_parts(s);
	s->asked = true;
}

static void ask(struct spool *s)
{
	const json_t *status = s->v.app->m.status;
	char count[32];

	drop_parts(s);
	s->round++;
	s->waiting = 0;
	for (size_t k = 0; k < ARRAY_LEN(states); k++) {
		json_t *params;
		bool done = strcmp(states[k], "done") == 0;

		snprintf(count, sizeof(count), "spool.%s", states[k]);
		/* nothing in that state: no question. Done jobs are not counted there. */
		if (!done && status && json_is_integer(mj(status, count)) && !mj_int(status, count))
			continue;
		params = json_pack("{s:s, s:i}", "state", states[k], "limit", PER_STATE);
		if (s->table)
			json_object_set_new(params, "table", json_sprintf("%s.%s", s->source, s->table));
		if (s->destination)
			json_object_set_new(params, "destination", json_string(s->destination));
		if (app_call(s->v.app, &s->v, "job.list", params, on_jobs, s->round * ARRAY_LEN(states) + k))
			return;
		s->waiting++;
	}
}

static void tick(struct view *v)
{
	struct spool *s = spool_of(v);

	/* a round that is not answered yet is waited for, but not for ever */
	if (v->app->m.rpc && (s->ticks++ % 2 == 0) && (!s->waiting || s->ticks % 20 == 0))
		ask(s);
}

/* --- the screen --- */

static void draw(struct view *v, int y, int height, int width)
{
	struct spool *s = spool_of(v);
	const json_t *o = list_item(&s->l);
	int detail = height >= 10 ? 4 : height >= 6 ? 2 : 0;

	table_draw(&s->l.t, y, height - detail, width, true);
	if (!s->l.items || (!s->l.t.n && !s->l.t.filter && s->asked && height > 2)) {
		theme_set(TH_NORMAL);
		draw_text(y + 1, 2, width - 3, s->ended ? _("no jobs") : _("no job waits or failed (e shows those that have ended too)"));
	}
	if (!detail || !o)
		return;
	y += height - detail;
	theme_set(TH_DIM);
	draw_rule(y, 0, width);
	theme_set(TH_NORMAL);
	draw_textf(y + 1, 2, width - 3, _("job %s: %s.%s → %s, records %" PRId64 ", rejected %" PRId64 ", attempts %" PRId64), mj_str(o, "id"), mj_str(o, "source"),
		mj_str(o, "table"), mj_str(o, "destination"), mj_int(o, "records"), mj_int(o, "rejected_records"), mj_int(o, "attempts"));
	if (*mj_str(o, "error.text") && detail > 2)
		draw_wrapped(y + 2, 2, width - 3, detail - 2, mj_str(o, "error.text"));
}

static void job_target(const struct spool *s, struct target *t)
{
	target_of_job(list_item(&s->l), t);
}

static bool key(struct view *v, enum key_action a)
{
	struct spool *s = spool_of(v);
	struct target t;
	struct buf b = BUF_INIT;

	job_target(s, &t);
	if (act_key(v, &t, a))
		return true;
	if (list_key(&s->l, v->app, a))
		return true;
	if (a == K_OPEN && t.kind == T_JOB) {
		app_push(v->app, view_job(t.job));
	} else if (a == K_ENDED) {
		s->ended = !s->ended;
		ask(s);
	} else if (a == K_COPY) {
		if (t.kind == T_JOB)
			act_show_command(&t, &b);
		else
			buf_adds(&b, "stitchctl job list");
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

	job_target(spool_of(v), &t);
	return (a != K_REPLAY && a != K_TRY && a != K_PAUSE && a != K_RESUME && a != K_DISCARD) || act_can(v->app, &t, a);
}

static void close_spool(struct view *v)
{
	struct spool *s = spool_of(v);

	drop_parts(s);
	list_free(&s->l);
	free(s->source);
	free(s->table);
	free(s->destination);
	free(s);
}

struct view *view_spool(const char *source, const char *table, const char *destination)
{
	static const struct table_column columns[] = {{"", 4, 4, false, 0}, {N_("JOB"), 6, 8, true, 0}, {N_("STATE"), 8, 9, false, 1}, {N_("TABLE"), 14, 36, false, 0},
		{N_("DESTINATION"), 11, 20, false, 3}, {N_("RECORDS"), 8, 9, true, 0}, {N_("BYTES"), 5, 6, true, 6}, {N_("TRIES"), 5, 5, true, 5}, {N_("AGE"), 7, 8, true, 4},
		{N_("ERROR"), 22, 0, false, 2}};
	static const struct list_field fields[] = {{"state", LIST_STATE}, {"id", LIST_TEXT}, {"state", LIST_TEXT}, {"", LIST_TABLE}, {"destination", LIST_TEXT}, {"records", LIST_COUNT},
		{"bytes", LIST_BYTES}, {"attempts", LIST_COUNT}, {"created_ns", LIST_AGE}, {"error.text", LIST_TEXT}};
	static const char *const ids[] = {"id", NULL};
	static const enum key_action actions[] = {K_OPEN, K_REPLAY, K_PAUSE, K_RESUME, K_TRY, K_ENDED, K_FILTER, K_SORT, K_COPY, K_DISCARD, K_BACK, KEYS_SCREENS, KEYS_MOVES, K_QUIT, K_NONE};
	static const struct view_ops ops = {.name = N_("spool"), .title = title, .update = update, .tick = tick, .draw = draw, .key = key, .can = can, .actions = actions, .close = close_spool};
	struct spool *s = xcalloc(1, sizeof(*s));

	s->v.ops = &ops;
	s->source = source ? xstrdup(source) : NULL;
	s->table = table ? xstrdup(table) : NULL;
	s->destination = destination ? xstrdup(destination) : NULL;
	list_init(&s->l, columns, fields, ARRAY_LEN(columns), ids);
	return &s->v;
}
