/*
 * method_pause.c - holding a source, table, destination or job, and letting it go: who, why, since when, until when. Pauses are in state.db, so they survive a
 * restart. A paused source stops at the door; tables and destinations stop at the spool; a job is held.
 */
#include "daemon/control/methods.h"

#include "xalloc.h"

struct pause_arg {
	struct pause_row row;
	const char *held; /* what a held job says of it */
	int64_t retry_destination;
	bool hold, retry;
};

static const char *const kind_names[] = {
	[PAUSE_SOURCE] = "source", [PAUSE_TABLE] = "table", [PAUSE_DESTINATION] = "destination", [PAUSE_JOB] = "job"};

static int kind_of(const char *name, enum pause_kind *kind, struct err *e)
{
	for (unsigned k = PAUSE_SOURCE; k <= PAUSE_JOB; k++)
		if (strcmp(kind_names[k], name) == 0) {
			*kind = (enum pause_kind)k;
			return 0;
		}
	return err_set(e, ERR_INVALID, "a source, table, destination or job can be paused, not a \"%s\"", name);
}

static int id_of(struct control_call *c, struct world *w, enum pause_kind kind, const char *name, int64_t *id, struct err *e)
{
	const struct destination_row *d;
	const struct source_row *s;
	struct table_row t = {.id = 0};
	struct job_row j = {.id = 0};

	switch (kind) {
	case PAUSE_SOURCE:
		s = world_source_named(w, name, e);
		*id = s ? s->id : 0;
		return s ? 0 : -1;
	case PAUSE_DESTINATION:
		d = world_destination_named(w, name, e);
		*id = d ? d->id : 0;
		return d ? 0 : -1;
	case PAUSE_TABLE:
		if (world_table_named(c->db, w, name, &t, e))
			return -1;
		*id = t.id;
		table_row_free(&t);
		return 0;
	case PAUSE_JOB:
		break;
	}
	if (str_to_i64(str_c(name), id))
		return err_set(e, ERR_INVALID, "a job's id is a number, not \"%s\"", name);
	if (db_job_get(c->db, *id, &j, e))
		return -1;
	job_row_free(&j);
	return 0;
}

static int run_set(struct db *db, void *arg, struct err *e)
{
	struct pause_arg *a = arg;

	if (a->row.kind == PAUSE_JOB)
		return db_job_hold(db, a->row.object_id, true, a->held, a->row.since, e);
	return db_pause_set(db, &a->row, e);
}

static int run_clear(struct db *db, void *arg, struct err *e)
{
	struct pause_arg *a = arg;

	if (a->row.kind == PAUSE_JOB)
		return db_job_hold(db, a->row.object_id, false, NULL, now_get().real, e);
	if (db_pause_clear(db, a->row.kind, a->row.object_id, e))
		return -1;
	if (a->row.kind == PAUSE_SOURCE)
		return 0;
	return db_retry_now(db, a->row.kind == PAUSE_DESTINATION ? a->row.object_id : 0, now_get().real, e);
}

static json_t *answer(const struct pause_row *r, const char *name)
{
	json_t *v = pause_json(r);

	json_object_set_new(v, "kind", json_string(kind_names[r->kind]));
	json_object_set_new(v, "name", text_json(name));
	json_object_set_new(v, "who", text_json(r->who));
	return v;
}

static int until_of(struct control_call *c, int64_t now, int64_t *until, struct err *e)
{
	const char *text = param_str(c, "for");
	int64_t ns;

	*until = 0;
	if (!text)
		return 0;
	if (str_to_duration(str_c(text), &ns) || ns <= 0)
		return err_set(e, ERR_INVALID, "--for takes a duration such as 30m or 2h, not \"%s\"", text);
	*until = now + ns;
	return 0;
}

json_t *method_pause_set(struct control_call *c, struct err *e)
{
	const char *name = param_str(c, "name");
	struct pause_arg a = {.row = {.since = now_get().real}};
	struct control_act act = {.run = run_set, .arg = &a, .kind = "paused"};
	char object[300], text[700], held[600];
	struct world w;
	json_t *v = NULL;

	if (kind_of(param_str(c, "kind"), &a.row.kind, e) || until_of(c, a.row.since, &a.row.until, e) || world_load(c->db, &w, e))
		return NULL;
	a.row.who = c->who;
	a.row.reason = (char *)(uintptr_t)(param_str(c, "reason") ? param_str(c, "reason") : "");
	/* a job has no row in which to keep who */
	snprintf(held, sizeof(held), "paused by %s%s%.300s", c->who, a.row.reason[0] ? ": " : "", a.row.reason);
	a.held = held;
	if (a.row.until && a.row.kind == PAUSE_JOB) {
		err_set(e, ERR_INVALID, "a job is held until it is resumed: --for is for sources, tables and destinations");
	} else if (!id_of(c, &w, a.row.kind, name, &a.row.object_id, e)) {
		snprintf(object, sizeof(object), "%s %.250s", kind_names[a.row.kind], name);
		snprintf(text, sizeof(text), "%s was paused by %s%s%.200s", object, c->who, a.row.reason[0] ? ": " : "", a.row.reason);
		act.object = object;
		act.text = text;
		if (!control_do(c, &act, e)) {
			v = answer(&a.row, name);
			spool_wake(c->ct->parts.spool);
		}
	}
	world_free(&w);
	return v;
}

json_t *method_pause_clear(struct control_call *c, struct err *e)
{
	const char *name = param_str(c, "name");
	struct pause_arg a = {.row = {.since = 0}};
	struct control_act act = {.run = run_clear, .arg = &a, .kind = "resumed"};
	char object[300], text[500], *before = NULL;
	const struct pause_row *was;
	struct world w;
	json_t *v = NULL, *shown;

	if (kind_of(param_str(c, "kind"), &a.row.kind, e) || world_load(c->db, &w, e))
		return NULL;
	if (id_of(c, &w, a.row.kind, name, &a.row.object_id, e))
		goto out;
	was = world_pause(&w, a.row.kind, a.row.object_id);
	shown = was ? pause_json(was) : NULL;
	before = shown ? compact(shown) : NULL;
	json_decref(shown);
	snprintf(object, sizeof(object), "%s %.250s", kind_names[a.row.kind], name);
	snprintf(text, sizeof(text), "%s was resumed by %s", object, c->who);
	act.object = object;
	act.text = text;
	if (!control_audit(c, object, before, e) && !control_do(c, &act, e)) {
		if (a.row.kind == PAUSE_DESTINATION || a.row.kind == PAUSE_TABLE)
			spool_retry(c->ct->parts.spool, a.row.kind == PAUSE_DESTINATION ? a.row.object_id : 0);
		spool_wake(c->ct->parts.spool);
		v = answer(&a.row, name);
	}
	free(before);
out:
	world_free(&w);
	return v;
}

static char *name_of(struct control_call *c, const struct world *w, const struct pause_row *p)
{
	const struct destination_row *d;
	const struct source_row *s;
	struct table_row t = {.id = 0};
	char *name;

	if (p->kind == PAUSE_SOURCE) {
		s = world_source(w, p->object_id);
		return xstrdup(s ? s->name : "deleted");
	}
	if (p->kind == PAUSE_DESTINATION) {
		d = world_destination(w, p->object_id);
		return xstrdup(d ? d->name : "deleted");
	}
	if (p->kind != PAUSE_TABLE || db_table_get_id(c->db, p->object_id, &t, NULL))
		return xasprintf("%" PRId64, p->object_id);
	s = world_source(w, t.source_id);
	name = xasprintf("%s.%s", s ? s->name : "deleted", t.name);
	table_row_free(&t);
	return name;
}

static int add_held_jobs(struct control_call *c, json_t *list, unsigned limit, struct err *e)
{
	struct job_filter f = {.state = JOB_HELD};
	struct job_row *rows;
	char id[24];
	size_t n;

	if (db_job_list(c->db, &f, 0, limit, &rows, &n, e))
		return -1;
	for (size_t k = 0; k < n; k++) {
		snprintf(id, sizeof(id), "%" PRId64, rows[k].id);
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:n, s:o, s:n, s:o}", "kind", "job", "name", id, "object", id, "by", "since",
			time_iso_json(rows[k].updated), "until", "reason", text_json(rows[k].error ? rows[k].error : "")));
	}
	job_list_free(rows, n);
	return 0;
}

json_t *method_pause_list(struct control_call *c, struct err *e)
{
	json_t *list = json_array(), *one;
	struct world w;
	char *name;

	if (world_load(c->db, &w, e)) {
		json_decref(list);
		return NULL;
	}
	for (size_t k = 0; k < w.n_pauses; k++) {
		const struct pause_row *p = &w.pauses[k];

		if (p->until && p->until <= w.now)
			continue;
		name = name_of(c, &w, p);
		one = answer(p, name);
		json_object_set_new(one, "object", text_json(name));
		json_array_append_new(list, one);
		free(name);
	}
	world_free(&w);
	if (add_held_jobs(c, list, param_limit(c), e)) {
		json_decref(list);
		return NULL;
	}
	return page(list, NULL);
}
