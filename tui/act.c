/*
 * act.c - what can be done to a source, table, destination or job: pause, resume, replay, try now. Each asks first, says in the question what follows
 * from it, and names the stitchctl command that does the same.
 */
#include "view.h"

#include "cells.h"
#include "i18n.h"
#include "xalloc.h"

static const char *const kind_words[] = {[T_NONE] = "", [T_SOURCE] = N_("source"), [T_TABLE] = N_("table"), [T_DESTINATION] = N_("destination"), [T_JOB] = N_("job")};

/* --- what a row is about --- */

static void put(char *dst, size_t size, struct str s)
{
	if (str_copy(dst, size, s))
		dst[0] = '\0'; /* cut names would hit something else */
}

static void put_table(struct target *t, struct str full)
{
	const char *dot = memchr(full.ptr, '.', full.len);
	size_t n = dot ? (size_t)(dot - full.ptr) : 0;

	put(t->source, sizeof(t->source), str_mem(full.ptr, n));
	put(t->table, sizeof(t->table), dot ? str_mem(dot + 1, full.len - n - 1) : full);
}

void target_of_problem(const json_t *problem, struct target *t)
{
	const char *object = mj_str(problem, "object"), *arrow = NULL;

	*t = (struct target){.kind = T_NONE};
	if (str_starts(str_c(object), STR("destination "))) {
		t->kind = T_DESTINATION;
		put(t->destination, sizeof(t->destination), str_c(object + 12));
	} else if (str_starts(str_c(object), STR("source "))) {
		t->kind = T_SOURCE;
		put(t->source, sizeof(t->source), str_c(object + 7));
	} else if (str_starts(str_c(object), STR("table "))) {
		t->kind = T_TABLE;
		object += 6;
		/* the last arrow: a table's name may hold one */
		for (const char *p = strstr(object, " -> "); p; p = strstr(p + 1, " -> "))
			arrow = p;
		put_table(t, arrow ? str_mem(object, (size_t)(arrow - object)) : str_c(object));
		if (arrow)
			put(t->destination, sizeof(t->destination), str_c(arrow + 4));
	}
}

void target_of_table(const json_t *table, struct target *t)
{
	*t = (struct target){.kind = table ? T_TABLE : T_NONE};
	put(t->source, sizeof(t->source), str_c(mj_str(table, "source")));
	put(t->table, sizeof(t->table), str_c(mj_str(table, "table")));
	put(t->destination, sizeof(t->destination), str_c(mj_str(table, "destination")));
}

void target_of_job(const json_t *job, struct target *t)
{
	*t = (struct target){.kind = *mj_str(job, "id") ? T_JOB : T_NONE};
	put(t->job, sizeof(t->job), str_c(mj_str(job, "id")));
	put(t->state, sizeof(t->state), str_c(mj_str(job, "state")));
}

/* As the protocol names it. */
static void name_of(const struct target *t, struct buf *out)
{
	if (t->kind == T_TABLE)
		buf_addf(out, "%s.%s", t->source, t->table);
	else
		buf_adds(out, t->kind == T_SOURCE ? t->source : t->kind == T_DESTINATION ? t->destination : t->job);
}

static const json_t *object_of(const struct app *app, const struct target *t)
{
	size_t n = mj_len(app->m.status, "tables");

	if (t->kind == T_SOURCE)
		return mj_find(app->m.status, "sources", "name", t->source);
	if (t->kind == T_DESTINATION)
		return mj_find(app->m.status, "destinations", "name", t->destination);
	for (size_t k = 0; t->kind == T_TABLE && k < n; k++) {
		const json_t *o = mj_at(app->m.status, "tables", k);

		if (strcmp(mj_str(o, "source"), t->source) == 0 && strcmp(mj_str(o, "table"), t->table) == 0 &&
			(!t->destination[0] || strcmp(mj_str(o, "destination"), t->destination) == 0))
			return o;
	}
	return NULL;
}

bool target_paused(const struct app *app, const struct target *t)
{
	const json_t *o = object_of(app, t), *d;

	if (t->kind == T_JOB)
		return strcmp(t->state, "held") == 0;
	if (!mj(o, "paused"))
		return false;
	if (t->kind != T_TABLE)
		return true;
	/* a table's row also tells the pause of its destination; its own is another one if both are there */
	d = mj_find(app->m.status, "destinations", "name", mj_str(o, "destination"));
	return !mj(d, "paused") || strcmp(mj_str(d, "paused.since"), mj_str(o, "paused.since")) != 0;
}

/* It waits, so it can be held or thrown away. */
static bool job_waits(const struct target *t)
{
	return t->kind == T_JOB && (strcmp(t->state, "ready") == 0 || strcmp(t->state, "deferred") == 0);
}

bool act_can(const struct app *app, const struct target *t, enum key_action a)
{
	if (!app_may_act(app))
		return false;
	switch (a) {
	case K_PAUSE:
		return job_waits(t) || ((t->kind == T_SOURCE || t->kind == T_TABLE || t->kind == T_DESTINATION) && !target_paused(app, t));
	case K_RESUME:
		return t->kind != T_NONE && target_paused(app, t);
	case K_DISCARD:
		return job_waits(t) || (t->kind == T_JOB && (strcmp(t->state, "held") == 0 || strcmp(t->state, "corrupt") == 0));
	case K_REPLAY: /* what has not ended yet is refused by the daemon */
		return t->kind == T_JOB && !job_waits(t) && strcmp(t->state, "active") != 0;
	case K_TRY:
		return true;
	default:
		return false;
	}
}

/* --- commands --- */

static void pause_command(struct app *app, struct prompt *p, void *arg, struct buf *out)
{
	const struct target *t = arg;
	struct buf name = BUF_INIT;

	(void)app;
	name_of(t, &name);
	buf_addf(out, "stitchctl pause %s ", kind_words[t->kind]);
	cells_shell(out, buf_cstr(&name));
	if (p->fields[0].text.len) {
		buf_adds(out, " --reason ");
		cells_shell(out, buf_cstr(&p->fields[0].text));
	}
	if (p->n_fields > 1 && p->fields[1].text.len) {
		buf_adds(out, " --for ");
		cells_shell(out, buf_cstr(&p->fields[1].text));
	}
	buf_free(&name);
}

static void resume_command(struct app *app, struct prompt *p, void *arg, struct buf *out)
{
	const struct target *t = arg;
	struct buf name = BUF_INIT;

	(void)app;
	(void)p;
	name_of(t, &name);
	buf_addf(out, "stitchctl resume %s ", kind_words[t->kind]);
	cells_shell(out, buf_cstr(&name));
	buf_free(&name);
}

static void replay_command(struct app *app, struct prompt *p, void *arg, struct buf *out)
{
	(void)app;
	(void)p;
	buf_addf(out, "stitchctl job replay %s", ((const struct target *)arg)->job);
}

void act_show_command(const struct target *t, struct buf *out)
{
	struct buf name = BUF_INIT;

	if (t->kind == T_NONE) {
		buf_adds(out, "stitchctl status");
		return;
	}
	name_of(t, &name);
	buf_addf(out, "stitchctl %s show ", kind_words[t->kind]);
	cells_shell(out, buf_cstr(&name));
	buf_free(&name);
}

/* --- pause and resume --- */

static json_t *target_params(const struct target *t)
{
	struct buf name = BUF_INIT;
	json_t *params = json_object();

	name_of(t, &name);
	json_object_set_new(params, "kind", json_string(kind_words[t->kind]));
	json_object_set_new(params, "name", json_string(buf_cstr(&name)));
	buf_free(&name);
	return params;
}

static void do_pause(struct app *app, struct prompt *p, bool done, void *arg)
{
	const struct target *t = arg;
	json_t *params = target_params(t);
	struct buf name = BUF_INIT;

	(void)done;
	if (p->fields[0].text.len)
		json_object_set_new(params, "reason", json_string(buf_cstr(&p->fields[0].text)));
	if (p->n_fields > 1 && p->fields[1].text.len)
		json_object_set_new(params, "for", json_string(buf_cstr(&p->fields[1].text)));
	name_of(t, &name);
	app_act(app, app_top(app), "pause.set", params, xasprintf(_("%s is paused"), buf_cstr(&name)), NULL);
	buf_free(&name);
}

static void do_resume(struct app *app, struct prompt *p, bool done, void *arg)
{
	const struct target *t = arg;
	struct buf name = BUF_INIT;

	(void)p;
	(void)done;
	name_of(t, &name);
	app_act(app, app_top(app), "pause.clear", target_params(t), xasprintf(_("%s goes on"), buf_cstr(&name)), NULL);
	buf_free(&name);
}

/* "37 tables, 1.2M records, the oldest 2m31s" */
static void add_waiting(const struct app *app, const json_t *o, struct buf *out)
{
	int64_t tables = MAX(mj_int(o, "tables"), 0), records = mj(o, "waiting") ? mj_int(o, "waiting") : mj_int(o, "records"), oldest = mj_int(o, "oldest_ns");
	struct buf n = BUF_INIT;

	if (mj(o, "tables"))
		buf_addf(out, ngettext("%" PRId64 " table, ", "%" PRId64 " tables, ", (unsigned long)tables), tables);
	cells_count(&n, records);
	buf_addf(out, ngettext("%s record waits", "%s records wait", (unsigned long)MAX(records, 0)), buf_cstr(&n));
	if (oldest) {
		buf_truncate(&n, 0);
		cells_span(&n, model_now(&app->m) - oldest);
		buf_addf(out, _(", the oldest %s"), buf_cstr(&n));
	}
	buf_free(&n);
}

static void ask_pause(struct app *app, const struct target *t)
{
	struct buf text = BUF_INIT, name = BUF_INIT;
	const json_t *o = object_of(app, t);
	const char *effect = t->kind == T_SOURCE ? _("Its senders get 503 with Retry-After and must keep their records; what was accepted is still loaded.") :
			     t->kind == T_JOB	 ? _("This job is not loaded until it is resumed; its table's other jobs are not held by it.") :
			     t->kind == T_TABLE	 ? _("Import goes on; the records of this table wait in the spool, for all its destinations.") :
						   _("Import and the other destinations go on; the records wait in the spool.");

	name_of(t, &name);
	buf_adds(&text, effect);
	buf_addc(&text, '\n');
	if (o && t->kind != T_SOURCE)
		add_waiting(app, o, &text);
	prompt_confirm(&app->prompt, xasprintf(_("pause %s %s?"), _(kind_words[t->kind]), buf_cstr(&name)), buf_detach(&text, NULL));
	/* a job is held until it is resumed */
	app->prompt.n_fields = t->kind == T_JOB ? 1 : 2;
	app->prompt.labels[0] = N_("reason");
	app->prompt.labels[1] = N_("for (30m, 2h)");
	app->prompt.act = do_pause;
	app->prompt.command = pause_command;
	app->prompt.arg = xmemdup(t, sizeof(*t));
	buf_free(&name);
}

/* In which order and how long: what the operator sees before the second key. */
static void add_drain_plan(const struct app *app, const json_t *o, struct buf *out)
{
	double rate = mj_real(o, "rate"), records = (double)(mj(o, "waiting") ? mj_int(o, "waiting") : mj_int(o, "records"));
	struct buf n = BUF_INIT;

	if (rate < 0.1)
		rate = mj_real(app->m.status, "load_rate");
	if (rate >= 0.1 && records > 0) {
		cells_seconds(&n, records / rate);
		buf_addf(out, _("They are loaded oldest first, in about %s at the present speed."), buf_cstr(&n));
	} else if (records > 0) {
		buf_adds(out, _("They are loaded oldest first."));
	}
	buf_free(&n);
}

static void ask_resume(struct app *app, const struct target *t)
{
	struct buf text = BUF_INIT, name = BUF_INIT;
	const json_t *o = object_of(app, t);

	name_of(t, &name);
	if (mj(o, "paused"))
		buf_addf(&text, _("Paused by %s%s%s.\n"), mj_str(o, "paused.by"), *mj_str(o, "paused.reason") ? ": " : "", mj_str(o, "paused.reason"));
	if (t->kind == T_SOURCE) {
		buf_adds(&text, _("Its senders are accepted again."));
	} else if (o) {
		add_waiting(app, o, &text);
		buf_adds(&text, ".\n");
		add_drain_plan(app, o, &text);
	}
	prompt_confirm(&app->prompt, xasprintf(_("resume %s %s?"), _(kind_words[t->kind]), buf_cstr(&name)), buf_detach(&text, NULL));
	app->prompt.act = do_resume;
	app->prompt.command = resume_command;
	app->prompt.arg = xmemdup(t, sizeof(*t));
	buf_free(&name);
}

/* --- replay --- */

static void replayed(struct app *app, struct view *v, const json_t *result, const struct err *e, uint64_t tag)
{
	(void)v;
	(void)e;
	(void)tag;
	if (!result)
		return;
	if (*mj_str(result, "job"))
		app_say(app, _("job %s is loaded again as job %s"), mj_str(result, "id"), mj_str(result, "job"));
	else if (*mj_str(result, "note"))
		app_say(app, "%s", mj_str(result, "note"));
	else
		app_say(app, _("job %s: nothing was left to load (state: %s)"), mj_str(result, "id"), mj_str(result, "state"));
}

static void do_replay(struct app *app, struct prompt *p, bool done, void *arg)
{
	const struct target *t = arg;

	(void)p;
	(void)done;
	app_act(app, app_top(app), "job.replay", json_pack("{s:s}", "id", t->job), NULL, replayed);
}

static void add_planned(const json_t *r, const char *key, const char *words, struct buf *out)
{
	struct buf n = BUF_INIT;

	if (!json_is_integer(mj(r, key)))
		return;
	cells_count(&n, mj_int(r, key));
	buf_addf(out, "%s%s %s", out->len ? ", " : "", buf_cstr(&n), words);
	buf_free(&n);
}

static void on_dry_run(struct app *app, struct view *v, const json_t *r, const struct err *e, uint64_t tag)
{
	struct target t = {.kind = T_JOB};
	struct buf text = BUF_INIT, plan = BUF_INIT;

	(void)v;
	if (!r) {
		app_warn(app, _("the dry run failed: %s"), e->text);
		return;
	}
	/* the operator may have gone on to something else meanwhile */
	if (app->prompt.kind != PROMPT_NONE)
		return;
	snprintf(t.job, sizeof(t.job), "%" PRIu64, tag);
	add_planned(r, "load", _("would be loaded"), &plan);
	add_planned(r, "insert", _("inserted"), &plan);
	add_planned(r, "update", _("updated"), &plan);
	add_planned(r, "reject", _("rejected"), &plan);
	add_planned(r, "skip", _("skipped, loaded or rejected already"), &plan);
	buf_addf(&text, _("Dry run: %s."), buf_cstr(&plan));
	buf_free(&plan);
	buf_addf(&text, "\n%s", _("What the destination's ledger has already is skipped there: replaying twice changes nothing."));
	prompt_confirm(&app->prompt, xasprintf(_("replay job %s?"), t.job), buf_detach(&text, NULL));
	app->prompt.act = do_replay;
	app->prompt.command = replay_command;
	app->prompt.arg = xmemdup(&t, sizeof(t));
}

static void ask_replay(struct view *v, const struct target *t)
{
	json_t *params = json_pack("{s:s, s:b}", "id", t->job, "dry_run", 1);
	uint64_t id;

	if (str_to_u64(str_c(t->job), &id)) {
		json_decref(params);
		return;
	}
	if (!app_call(v->app, v, "job.replay", params, on_dry_run, id))
		app_say(v->app, _("asking what a replay of job %s would do..."), t->job);
}

/* --- discard --- */

static void discard_command(struct app *app, struct prompt *p, void *arg, struct buf *out)
{
	(void)app;
	(void)p;
	buf_addf(out, "stitchctl job discard %s", ((const struct target *)arg)->job);
}

static void do_discard(struct app *app, struct prompt *p, bool done, void *arg)
{
	const struct target *t = arg;

	(void)done;
	if (strcmp(buf_cstr(&p->fields[0].text), t->job) != 0)
		app_warn(app, _("not discarded: the job's id was not typed"));
	else
		app_act(app, app_top(app), "job.discard", json_pack("{s:s}", "id", t->job), xasprintf(_("job %s is discarded"), t->job), NULL);
}

static void ask_discard(struct app *app, const struct target *t)
{
	prompt_confirm(&app->prompt, xasprintf(_("discard job %s?"), t->job),
		xstrdup(_("Its records will not be in the destination. They stay in the trash until retention takes them; a replay of the job brings them back until then.\n"
			  "Type the id of the job into the field, Enter, then y.")));
	app->prompt.n_fields = 1;
	app->prompt.focus = 0;
	app->prompt.labels[0] = N_("id of the job");
	app->prompt.act = do_discard;
	app->prompt.command = discard_command;
	app->prompt.arg = xmemdup(t, sizeof(*t));
}

static void try_now(struct view *v, const struct target *t)
{
	json_t *params = json_object();

	if (t->source[0])
		json_object_set_new(params, "source", json_string(t->source));
	app_act(v->app, v, "system.flush", params, xstrdup(_("what waits is tried now")), NULL);
}

bool act_key(struct view *v, const struct target *t, enum key_action a)
{
	struct app *app = v->app;

	if (a != K_PAUSE && a != K_RESUME && a != K_REPLAY && a != K_DISCARD && a != K_TRY)
		return false;
	if (!app_may_act(app)) {
		app_warn(app, app->readonly ? _("this console only looks (--readonly)") : _("you may look, not act: only the daemon's own user and root may"));
		return true;
	}
	if (!app->m.rpc) {
		app_warn(app, _("not possible while the daemon is gone: %s"), app->m.why);
		return true;
	}
	if (!act_can(app, t, a)) {
		if (a == K_PAUSE)
			app_say(app, "%s", t->kind == T_NONE || !target_paused(app, t) ? _("this cannot be paused") : _("it is paused already: r resumes it"));
		else if (a == K_RESUME)
			app_say(app, "%s", _("it is not paused"));
		else if (a == K_REPLAY && t->kind == T_JOB)
			app_say(app, "%s", _("this job has not ended yet: t tries it now"));
		else if (a == K_DISCARD && t->kind == T_JOB)
			app_say(app, "%s", _("only a job that waits can be discarded"));
		else
			app_say(app, "%s", _("open a job first: this key is for jobs"));
		return true;
	}
	if (a == K_PAUSE)
		ask_pause(app, t);
	else if (a == K_RESUME)
		ask_resume(app, t);
	else if (a == K_REPLAY)
		ask_replay(v, t);
	else if (a == K_DISCARD)
		ask_discard(app, t);
	else
		try_now(v, t);
	return true;
}
