/*
 * method_destination.c - destinations and connections. A destination is created even when its check fails: the settings can be mended later, and what
 * is accepted meanwhile waits; the answer says what is wrong and how to mend it. Secrets are sealed before they reach state.db.
 */
#include "daemon/control/methods.h"

#include "timefmt.h"
#include "xalloc.h"

#define CHECK_TIMEOUT (40 * NSEC_PER_SEC)

static json_t *failed_check(const char *cause)
{
	return json_pack("{s:b, s:o, s:n, s:[], s:s}", "ok", 0, "cause", text_json(cause), "fix", "rights", "server", "");
}

/* What the loader says, with every key that the answer promises. */
static json_t *run_check(struct control_call *c, const char *kind, const char *name, const char *settings)
{
	static const char *const keys[] = {"cause", "fix", "rights", "server"};
	struct err e = ERR_INIT;
	json_t *r = runner_ask(c->ct->parts.runner, kind, name, settings, "loader.check", NULL, CHECK_TIMEOUT, &e);

	if (!r)
		return failed_check(e.text);
	if (!json_is_object(r) || !json_is_boolean(json_object_get(r, "ok"))) {
		json_decref(r);
		return failed_check("the loader's answer to the check makes no sense");
	}
	for (size_t k = 0; k < ARRAY_LEN(keys); k++)
		if (!json_object_get(r, keys[k]))
			json_object_set_new(r, keys[k], json_null());
	return r;
}

struct destination_arg {
	struct destination_row row;
	int64_t id;
	uint64_t discarded;
};

static int run_create(struct db *db, void *arg, struct err *e)
{
	struct destination_arg *a = arg;

	return db_destination_create(db, &a->row, &a->id, e);
}

json_t *destination_create(struct control_call *c, const char *kind, const char *name, json_t *settings, bool check, struct err *e)
{
	struct destination_arg a = {.row = {.created = now_get().real}};
	struct control_act act = {.run = run_create, .arg = &a, .kind = "destination-created", .object = name};
	json_t *sealed, *result = NULL;
	char text[160];

	if (control_name_ok("destination", name, e) || kind_check_destination(kind, settings, true, e))
		return NULL;
	sealed = kind_seal(c->ct->parts.seal, kind, false, settings);
	a.row.name = (char *)(uintptr_t)name;
	a.row.kind = (char *)(uintptr_t)kind;
	a.row.settings = compact(sealed);
	json_decref(sealed);
	snprintf(text, sizeof(text), "destination %s (%s) was created by %s", name, kind, c->who);
	act.text = text;
	if (!control_do(c, &act, e)) {
		result = json_pack("{s:I, s:s, s:s}", "id", (json_int_t)a.id, "name", name, "kind", kind);
		json_object_set_new(result, "check", check ? run_check(c, kind, name, a.row.settings) : json_null());
		spool_wake(c->ct->parts.spool);
	}
	free(a.row.settings);
	return result;
}

json_t *method_destination_create(struct control_call *c, struct err *e)
{
	json_t *set = json_object_get(c->params, "set"), *settings = set ? json_incref(set) : json_object(), *result;

	result = destination_create(c, param_str(c, "kind"), param_str(c, "name"), settings, !param_flag(c, "no_check"), e);
	json_decref(settings);
	return result;
}

json_t *method_destination_probe(struct control_call *c, struct err *e)
{
	json_t *set = json_object_get(c->params, "set"), *settings = set ? json_incref(set) : json_object(), *result = NULL;
	const char *kind = param_str(c, "kind");
	char *text;

	/* it connects where it is told to, and tries rights by making tables: an act as any other */
	if (!kind_check_destination(kind, settings, true, e) && !control_audit(c, kind, NULL, e)) {
		text = compact(settings);
		result = run_check(c, kind, "probe", text);
		explicit_bzero(text, strlen(text));
		free(text);
	}
	json_decref(settings);
	return result;
}

json_t *method_destination_check(struct control_call *c, struct err *e)
{
	struct destination_row row = {.id = 0};
	json_t *r = NULL;

	if (db_destination_get(c->db, param_str(c, "name"), &row, e))
		return NULL;
	if (!control_audit(c, row.name, NULL, e))
		r = run_check(c, row.kind, row.name, row.settings);
	destination_row_free(&row);
	return r;
}

static json_t *show(struct control_call *c, const char *name, struct err *e)
{
	const struct destination_row *d;
	struct snapshot s;
	json_t *v = NULL;

	if (snapshot_take(c->ct, c->db, true, &s, e))
		return NULL;
	d = world_destination_named(&s.world, name, e);
	if (d)
		v = destination_json(c->ct, &s, d);
	snapshot_free(&s);
	return v;
}

json_t *method_destination_show(struct control_call *c, struct err *e)
{
	return show(c, param_str(c, "name"), e);
}

json_t *method_destination_list(struct control_call *c, struct err *e)
{
	const char *after = param_str(c, "after");
	unsigned limit = param_limit(c);
	json_t *list = json_array();
	struct snapshot s;
	int64_t from = 0, last = 0;
	bool more = false;
	char next[24];

	if (after && str_to_i64(str_c(after), &from))
		from = 0;
	if (snapshot_take(c->ct, c->db, true, &s, e)) {
		json_decref(list);
		return NULL;
	}
	for (size_t k = 0; k < s.world.n_destinations && !more; k++) {
		const struct destination_row *d = &s.world.destinations[k];

		if (d->id <= from)
			continue;
		more = json_array_size(list) == limit;
		if (more)
			break;
		json_array_append_new(list, destination_json(c->ct, &s, d));
		last = d->id;
	}
	snapshot_free(&s);
	snprintf(next, sizeof(next), "%" PRId64, last);
	return page(list, more ? next : NULL);
}

struct update_arg {
	int64_t id;
	const char *settings;
};

static int run_update(struct db *db, void *arg, struct err *e)
{
	struct update_arg *a = arg;

	if (db_destination_update(db, a->id, a->settings, e))
		return -1;
	return db_retry_now(db, a->id, now_get().real, e);
}

int destination_change(struct control_call *c, const struct destination_row *d, json_t *changes, struct err *e)
{
	json_t *merged = kind_merge(d->settings, changes), *sealed, *shown;
	struct update_arg a = {.id = d->id};
	struct control_act act = {.run = run_update, .arg = &a, .object = d->name, .kind = "destination-changed"};
	char *before, *after, text[160];
	int rc = -1;

	if (kind_check_destination(d->kind, merged, true, e)) {
		json_decref(merged);
		return -1;
	}
	sealed = kind_seal(c->ct->parts.seal, d->kind, false, merged);
	shown = kind_mask(d->kind, false, d->settings);
	before = compact(shown);
	after = compact(sealed);
	a.settings = after;
	snprintf(text, sizeof(text), "settings of destination %s were changed by %s", d->name, c->who);
	act.text = text;
	if (!control_audit(c, d->name, before, e))
		rc = control_do(c, &act, e);
	if (!rc)
		spool_retry(c->ct->parts.spool, d->id);
	free(before);
	free(after);
	json_decref(shown);
	json_decref(sealed);
	json_decref(merged);
	return rc;
}

json_t *method_destination_set(struct control_call *c, struct err *e)
{
	struct destination_row row = {.id = 0};
	int rc;

	if (db_destination_get(c->db, param_str(c, "name"), &row, e))
		return NULL;
	rc = destination_change(c, &row, json_object_get(c->params, "set"), e);
	destination_row_free(&row);
	return rc ? NULL : show(c, param_str(c, "name"), e);
}

static int run_delete(struct db *db, void *arg, struct err *e)
{
	struct destination_arg *a = arg;

	return db_destination_delete(db, a->row.id, now_get().real, &a->discarded, e);
}

static int waiting_for(struct control_call *c, int64_t destination_id, uint64_t *records, struct err *e)
{
	struct snapshot s;

	*records = 0;
	if (snapshot_take(c->ct, c->db, true, &s, e))
		return -1;
	for (size_t k = 0; k < s.n; k++)
		if (s.pairs[k].destination_id == destination_id)
			*records += s.pairs[k].spooled;
	snapshot_free(&s);
	return 0;
}

json_t *method_destination_delete(struct control_call *c, struct err *e)
{
	struct destination_arg a = {.id = 0};
	struct control_act act = {.run = run_delete, .arg = &a, .kind = "destination-deleted"};
	uint64_t waiting;
	char text[200];
	json_t *v = NULL;

	if (db_destination_get(c->db, param_str(c, "name"), &a.row, e))
		return NULL;
	act.object = a.row.name;
	act.text = text;
	if (waiting_for(c, a.row.id, &waiting, e))
		goto out;
	if (waiting && !param_flag(c, "yes")) {
		err_set(e, ERR_STATE, "%" PRIu64 " records wait for %s and would be discarded: say --yes", waiting, a.row.name);
		goto out;
	}
	snprintf(text, sizeof(text), "destination %s was deleted by %s; %" PRIu64 " waiting records were discarded", a.row.name, c->who, waiting);
	if (!control_do(c, &act, e)) {
		v = json_pack("{s:I, s:s, s:I, s:I}", "id", (json_int_t)a.row.id, "name", a.row.name, "discarded", (json_int_t)waiting, "jobs",
			(json_int_t)a.discarded);
		spool_wake(c->ct->parts.spool);
	}
out:
	destination_row_free(&a.row);
	return v;
}

/* --- connections --- */

struct connect_arg {
	int64_t source_id, destination_id, from;
	const char *schema;
	uint64_t jobs;
};

static int run_connect(struct db *db, void *arg, struct err *e)
{
	struct connect_arg *a = arg;

	return db_connect(db, a->source_id, a->destination_id, a->schema, a->from, now_get().real, &a->jobs, e);
}

static int check_schema(const struct world *w, const struct destination_row *d, int64_t source_id, const char *schema, struct err *e)
{
	if (!*schema || strlen(schema) > 63)
		return err_set(e, ERR_INVALID, "a schema's name has 1 to 63 bytes");
	if (strcmp(d->kind, "postgres") == 0 && strncmp(schema, "pg_", 3) == 0)
		return err_set(e, ERR_INVALID, "PostgreSQL keeps schemas that begin with pg_ for itself: connect with --schema stitch_%s", schema + 3);
	if (strcmp(d->kind, "postgres") == 0 && strcmp(schema, "information_schema") == 0)
		return err_set(e, ERR_INVALID, "information_schema belongs to PostgreSQL: connect with --schema NAME");
	for (size_t k = 0; k < w->n_connections; k++) {
		const struct connection_row *r = &w->connections[k];
		const struct source_row *other = world_source(w, r->source_id);

		if (r->destination_id == d->id && r->source_id != source_id && strcmp(r->schema, schema) == 0)
			return err_set(e, ERR_EXISTS, "schema %s of %s belongs to source %s: connect with --schema %s_2", schema, d->name,
				other ? other->name : "?", schema);
	}
	return 0;
}

json_t *connection_create(struct control_call *c, const char *source, const char *destination, const char *schema, int64_t from, struct err *e)
{
	struct connect_arg a = {.from = from};
	struct control_act act = {.run = run_connect, .arg = &a, .kind = "connected"};
	const struct connection_row *was;
	const struct source_row *s;
	const struct destination_row *d;
	struct world w;
	char object[160], text[300];
	json_t *v = NULL;

	if (world_load(c->db, &w, e))
		return NULL;
	s = world_source_named(&w, source, e);
	d = s ? world_destination_named(&w, destination, e) : NULL;
	if (!d)
		goto out;
	a.source_id = s->id;
	a.destination_id = d->id;
	was = world_connection(&w, s->id, d->id);
	if (was && !from && (!schema || strcmp(schema, was->schema) == 0)) {
		/* as it is asked for: a script may say it again */
		v = json_pack("{s:s, s:s, s:s, s:I}", "source", s->name, "destination", d->name, "schema", was->schema, "jobs", (json_int_t)0);
		goto out;
	}
	a.schema = schema ? schema : s->name;
	if (check_schema(&w, d, s->id, a.schema, e))
		goto out;
	snprintf(object, sizeof(object), "%s %s", s->name, d->name);
	snprintf(text, sizeof(text), "source %s was connected to destination %s, schema %.63s, by %s", s->name, d->name, a.schema, c->who);
	act.object = object;
	act.text = text;
	if (control_do(c, &act, e))
		goto out;
	v = json_pack("{s:s, s:s, s:s, s:I}", "source", s->name, "destination", d->name, "schema", a.schema, "jobs", (json_int_t)a.jobs);
	spool_wake(c->ct->parts.spool);
out:
	world_free(&w);
	return v;
}

json_t *method_connection_create(struct control_call *c, struct err *e)
{
	const char *text = param_str(c, "from");
	int64_t us = 0, ago;

	if (text && !str_to_duration(str_c(text), &ago))
		us = (now_get().real - ago) / 1000;
	else if (text && timefmt_parse(str_c(text), &us)) {
		err_set(e, ERR_INVALID, "--from takes a time such as 2026-11-24T08:00:00Z or an age such as 7d, not \"%s\"", text);
		return NULL;
	}
	/* 0 would mean: none */
	return connection_create(c, param_str(c, "source"), param_str(c, "destination"), param_str(c, "schema"), text ? MAX(us * 1000, 1) : 0, e);
}

static int run_disconnect(struct db *db, void *arg, struct err *e)
{
	struct connect_arg *a = arg;

	return db_disconnect(db, a->source_id, a->destination_id, e);
}

json_t *method_connection_delete(struct control_call *c, struct err *e)
{
	struct connect_arg a = {.from = 0};
	struct control_act act = {.run = run_disconnect, .arg = &a, .kind = "disconnected"};
	const struct source_row *s;
	const struct destination_row *d;
	struct world w;
	char object[160], text[300];
	json_t *v = NULL;

	if (world_load(c->db, &w, e))
		return NULL;
	s = world_source_named(&w, param_str(c, "source"), e);
	d = s ? world_destination_named(&w, param_str(c, "destination"), e) : NULL;
	if (d && !world_connection(&w, s->id, d->id)) {
		err_set(e, ERR_NOT_FOUND, "source %s is not connected to %s", s->name, d->name);
	} else if (d) {
		a.source_id = s->id;
		a.destination_id = d->id;
		snprintf(object, sizeof(object), "%s %s", s->name, d->name);
		snprintf(text, sizeof(text), "source %s was disconnected from %s by %s; what waits is still loaded", s->name, d->name, c->who);
		act.object = object;
		act.text = text;
		if (!control_do(c, &act, e))
			v = json_pack("{s:s, s:s}", "source", s->name, "destination", d->name);
	}
	world_free(&w);
	spool_wake(c->ct->parts.spool);
	return v;
}
