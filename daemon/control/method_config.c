/*
 * method_config.c - sources, destinations and connections as one document, and a document made real: what is missing is created, what differs is changed, nothing
 * is deleted. Secrets never leave; one that the document does not name stays as it is. Applying the same document twice changes nothing.
 */
#include "daemon/control/methods.h"

#include "xalloc.h"

json_t *method_config_export(struct control_call *c, struct err *e)
{
	json_t *sources = json_array(), *destinations = json_array(), *connections = json_array();
	struct world w;

	if (world_load(c->db, &w, e)) {
		json_decref(sources);
		json_decref(destinations);
		json_decref(connections);
		return NULL;
	}
	for (size_t k = 0; k < w.n_sources; k++)
		json_array_append_new(sources, json_pack("{s:o, s:o, s:o}", "name", text_json(w.sources[k].name), "kind", text_json(w.sources[k].kind), "settings",
			kind_public(w.sources[k].kind, true, w.sources[k].settings)));
	for (size_t k = 0; k < w.n_destinations; k++)
		json_array_append_new(destinations, json_pack("{s:o, s:o, s:o}", "name", text_json(w.destinations[k].name), "kind",
			text_json(w.destinations[k].kind), "settings", kind_public(w.destinations[k].kind, false, w.destinations[k].settings)));
	for (size_t k = 0; k < w.n_connections; k++) {
		const struct source_row *s = world_source(&w, w.connections[k].source_id);
		const struct destination_row *d = world_destination(&w, w.connections[k].destination_id);

		if (s && d)
			json_array_append_new(connections, json_pack("{s:o, s:o, s:o}", "source", text_json(s->name), "destination", text_json(d->name), "schema",
				text_json(w.connections[k].schema)));
	}
	world_free(&w);
	return json_pack("{s:o, s:o, s:o}", "sources", sources, "destinations", destinations, "connections", connections);
}

struct apply {
	struct control_call *c;
	struct world w;
	json_t *created, *changed, *tokens;
};

static const char *text_at(json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static bool differs(const char *settings, json_t *changes)
{
	json_t *is = object_of(settings), *value;
	bool different = false;
	const char *key;

	json_object_foreach(changes, key, value)
		different |= !json_equal(value, json_object_get(is, key));
	json_decref(is);
	return different;
}

static void note(json_t *list, const char *what, const char *name)
{
	char *s = xasprintf("%s %s", what, name);

	json_array_append_new(list, text_json(s));
	free(s);
}

/* Each object is an act of its own in the audit log. */
static int apply_source(struct apply *a, json_t *o, struct err *e)
{
	const char *name = text_at(o, "name"), *kind = text_at(o, "kind");
	json_t *set = json_object_get(o, "settings"), *settings = json_is_object(set) ? json_incref(set) : json_object(), *made;
	const struct source_row *s;
	int rc = 0;

	s = world_source_named(&a->w, name, NULL);
	if (!s) {
		made = source_create(a->c, kind, name, 1, settings, e);
		rc = made ? 0 : -1;
		if (made) {
			note(a->created, "source", name);
			json_object_set(a->tokens, name, json_object_get(made, "token"));
			json_decref(made);
		}
	} else if (strcmp(s->kind, kind) != 0) {
		rc = err_set(e, ERR_STATE, "source %s is of kind %s and cannot become %s", name, s->kind, kind);
	} else if (differs(s->settings, settings)) {
		rc = source_change(a->c, s, settings, e);
		if (!rc)
			note(a->changed, "source", name);
	}
	json_decref(settings);
	return rc;
}

static int apply_destination(struct apply *a, json_t *o, struct err *e)
{
	const char *name = text_at(o, "name"), *kind = text_at(o, "kind");
	json_t *set = json_object_get(o, "settings"), *settings = json_is_object(set) ? json_incref(set) : json_object(), *made;
	const struct destination_row *d;
	int rc = 0;

	d = world_destination_named(&a->w, name, NULL);
	if (!d) {
		made = destination_create(a->c, kind, name, settings, false, e);
		rc = made ? 0 : -1;
		json_decref(made);
		if (!rc)
			note(a->created, "destination", name);
	} else if (strcmp(d->kind, kind) != 0) {
		rc = err_set(e, ERR_STATE, "destination %s is of kind %s and cannot become %s", name, d->kind, kind);
	} else if (differs(d->settings, settings)) {
		rc = destination_change(a->c, d, settings, e);
		if (!rc)
			note(a->changed, "destination", name);
	}
	json_decref(settings);
	return rc;
}

static int apply_connection(struct apply *a, json_t *o, struct err *e)
{
	const char *source = text_at(o, "source"), *destination = text_at(o, "destination");
	const struct source_row *s = world_source_named(&a->w, source, NULL);
	const struct destination_row *d = world_destination_named(&a->w, destination, NULL);
	const struct connection_row *is = s && d ? world_connection(&a->w, s->id, d->id) : NULL;
	const char *schema = text_at(o, "schema");
	json_t *made;
	char *name;

	if (is && schema && strcmp(is->schema, schema) != 0)
		return err_set(e, ERR_STATE, "source %s loads into schema %s of %s; disconnect them first to load into %s", source, is->schema, destination, schema);
	if (is)
		return 0;
	made = connection_create(a->c, source, destination, schema, 0, e);
	if (!made)
		return -1;
	json_decref(made);
	name = xasprintf("%s -> %s", source, destination);
	note(a->created, "connection", name);
	free(name);
	return 0;
}

/* The whole document is looked at before the first of it is done: the token of a source that was made is shown in the answer, and only there. */
static int check_document(json_t *document, struct err *e)
{
	static const struct { const char *key, *needs[2]; } lists[] = {
		{"sources", {"name", "kind"}}, {"destinations", {"name", "kind"}}, {"connections", {"source", "destination"}}};
	const char *key;
	json_t *list, *o;
	size_t k, at;

	json_object_foreach(document, key, list)
	{
		for (at = 0; at < ARRAY_LEN(lists) && strcmp(key, lists[at].key) != 0; at++)
			;
		if (at == ARRAY_LEN(lists))
			return err_set(e, ERR_INVALID, "the document has \"%.64s\"; it may have sources, destinations and connections", key);
		if (!json_is_array(list))
			return err_set(e, ERR_INVALID, "\"%s\" of the document must be an array", key);
		json_array_foreach(list, k, o)
			for (size_t i = 0; i < ARRAY_LEN(lists[at].needs); i++)
				if (!text_at(o, lists[at].needs[i]))
					return err_set(e, ERR_INVALID, "%s[%zu] of the document has no \"%s\"", key, k, lists[at].needs[i]);
	}
	return 0;
}

static int apply_list(struct apply *a, json_t *document, const char *key, int (*fn)(struct apply *, json_t *, struct err *), struct err *e)
{
	json_t *list = json_object_get(document, key), *o;
	size_t k;

	json_array_foreach(list, k, o)
	{
		if (fn(a, o, e))
			return err_wrap(e, "%s[%zu]", key, k);
		control_audit_end(a->c, json_true(), NULL);
	}
	return 0;
}

static int reload(struct apply *a, struct err *e)
{
	world_free(&a->w);
	return world_load(a->c->db, &a->w, e);
}

json_t *method_config_apply(struct control_call *c, struct err *e)
{
	json_error_t je;
	json_t *doc = json_loads(param_str(c, "document"), JSON_REJECT_DUPLICATES, &je), *v = NULL;
	struct apply a = {.c = c};

	if (!json_is_object(doc)) {
		err_set(e, ERR_INVALID, "the document is not a JSON object: %s", doc ? "it is something else" : je.text);
		json_decref(doc);
		return NULL;
	}
	if (check_document(doc, e)) {
		json_decref(doc);
		return NULL;
	}
	a.created = json_array();
	a.changed = json_array();
	a.tokens = json_object();
	if (!world_load(c->db, &a.w, e) && !apply_list(&a, doc, "sources", apply_source, e) &&
		!apply_list(&a, doc, "destinations", apply_destination, e) && !reload(&a, e) &&
		!apply_list(&a, doc, "connections", apply_connection, e))
		v = json_pack("{s:O, s:O, s:O}", "created", a.created, "changed", a.changed, "tokens", a.tokens);
	world_free(&a.w);
	json_decref(a.created);
	json_decref(a.changed);
	json_decref(a.tokens);
	json_decref(doc);
	return v;
}
