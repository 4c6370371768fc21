/*
 * method_table.c - tables: lag and counts per (source, table, destination), columns, and the first rows as the destination has them.
 */
#include "daemon/control/methods.h"

#include "xalloc.h"

#define SAMPLE_TIMEOUT (40 * NSEC_PER_SEC)
#define SEPARATOR "\x1f"

static char *pair_token(const struct snap_pair *p)
{
	return xasprintf("%s" SEPARATOR "%s" SEPARATOR "%s", p->source, p->table, p->destination);
}

json_t *method_table_list(struct control_call *c, struct err *e)
{
	const char *after = param_str(c, "after");
	unsigned limit = param_limit(c);
	json_t *list = json_array();
	char *next = NULL, *token;
	struct snapshot s;
	bool skip = after != NULL, more = false;

	if (snapshot_take(c->ct, c->db, true, &s, e) || status_judge(c->ct, c->db, &s, e)) {
		json_decref(list);
		return NULL;
	}
	/* pairs are in the order of their tokens, so a table that came meanwhile moves no page */
	for (size_t k = 0; k < s.n && !more; k++) {
		token = pair_token(&s.pairs[k]);
		skip = skip && strcmp(token, after) <= 0;
		if (!skip && json_array_size(list) == limit) {
			more = true;
		} else if (!skip) {
			json_array_append_new(list, pair_json(&s, &s.pairs[k]));
			free(next);
			next = xstrdup(token);
		}
		free(token);
	}
	snapshot_free(&s);
	list = page(list, more ? next : NULL);
	free(next);
	return list;
}

static json_t *array_of(const char *text)
{
	json_t *v = text ? json_loads(text, 0, NULL) : NULL;

	if (json_is_array(v))
		return v;
	json_decref(v);
	return json_array();
}

/* Paths into objects and arrays as people write them: addr.city, items[].sku. Those without types say only that something was empty. */
static json_t *columns_of(const char *text)
{
	json_t *list = array_of(text), *column;

	for (size_t k = json_array_size(list); k-- > 0;) {
		struct buf shown = BUF_INIT;

		column = json_array_get(list, k);
		for (const char *p = json_string_value(json_object_get(column, "name")); p && *p; p++) {
			if (*p == '\1')
				buf_addc(&shown, '.');
			else if (*p == '\2')
				buf_adds(&shown, "[]");
			else
				buf_addc(&shown, *p);
		}
		if (!json_array_size(json_object_get(column, "types")))
			json_array_remove(list, k);
		else
			json_object_set_new(column, "name", json_string(buf_cstr(&shown)));
		buf_free(&shown);
	}
	return list;
}

json_t *method_table_show(struct control_call *c, struct err *e)
{
	struct table_row t = {.id = 0};
	struct snapshot s;
	json_t *list = NULL, *one;
	char *columns = NULL;

	if (snapshot_take(c->ct, c->db, true, &s, e))
		return NULL;
	if (status_judge(c->ct, c->db, &s, e) || world_table_named(c->db, &s.world, param_str(c, "table"), &t, e) ||
		db_table_columns(c->db, t.id, 0, &columns, e))
		goto out;
	list = json_array();
	for (size_t k = 0; k < s.n; k++) {
		if (s.pairs[k].table_id != t.id)
			continue;
		one = pair_json(&s, &s.pairs[k]);
		json_object_set_new(one, "key_names", array_of(t.key_names));
		json_object_set_new(one, "columns", columns_of(columns));
		json_array_append_new(list, one);
	}
out:
	free(columns);
	table_row_free(&t);
	snapshot_free(&s);
	return list ? page(list, NULL) : NULL;
}

json_t *method_table_sample(struct control_call *c, struct err *e)
{
	const struct source_row *s;
	const struct destination_row *d;
	const struct connection_row *conn;
	struct world w;
	json_t *params, *v = NULL;
	int64_t rows = MIN(MAX(param_int(c, "rows", 10), 1), 100);

	if (world_load(c->db, &w, e))
		return NULL;
	s = world_source_named(&w, param_str(c, "source"), e);
	d = s ? world_destination_named(&w, param_str(c, "destination"), e) : NULL;
	conn = d ? world_connection(&w, s->id, d->id) : NULL;
	if (d && !conn)
		err_set(e, ERR_NOT_FOUND, "source %s is not connected to %s", s->name, d->name);
	if (conn) {
		params = json_pack("{s:s, s:o, s:I, s:I}", "schema", conn->schema, "table", text_json(param_str(c, "table")), "rows", (json_int_t)rows,
			"source_id", (json_int_t)s->id);
		v = runner_ask(c->ct->parts.runner, d->kind, d->name, d->settings, "table.sample", params, SAMPLE_TIMEOUT, e);
		json_decref(params);
	}
	world_free(&w);
	return v;
}
