/*
 * method_hook.c - post-load hooks: what was told, what waits, what was given up; and to tell it again.
 */
#include "daemon/control/methods.h"
#include "daemon/state/hook.h"

#include "xalloc.h"

static int destination_of(struct control_call *c, int64_t *id, struct err *e)
{
	struct destination_row d = {.id = 0};

	*id = 0;
	if (!param_str(c, "destination"))
		return 0;
	if (db_destination_get(c->db, param_str(c, "destination"), &d, e))
		return -1;
	*id = d.id;
	destination_row_free(&d);
	return 0;
}

static json_t *hook_json(const struct hook_row *h, const struct world *w)
{
	const struct destination_row *d = world_destination(w, h->destination_id);
	json_t *body = json_loads(h->body, 0, NULL);

	return json_pack("{s:o, s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "id", json_sprintf("%" PRId64, h->id), "state", hook_state_name(h->state), "destination",
		d ? d->name : "deleted", "table", h->table, "load", (json_int_t)h->load_id, "tries", (json_int_t)h->tries, "error", h->error[0] ? text_json(h->error) : json_null(),
		"created_ns", time_ns_json(h->created), "updated_ns", time_ns_json(h->updated), "next_ns", time_ns_json(h->not_before), "body", body ? body : json_null());
}

json_t *method_hook_list(struct control_call *c, struct err *e)
{
	static const char *const names[] = {"waiting", "delivered", "failed"};
	const char *state = param_str(c, "state");
	unsigned limit = MIN(param_limit(c), 200);
	enum hook_state want = 0;
	struct hook_row *rows;
	struct world w;
	json_t *list;
	char next[24] = "";
	int64_t destination;
	size_t n;

	for (unsigned k = 0; state && k < ARRAY_LEN(names); k++)
		if (strcmp(state, names[k]) == 0)
			want = (enum hook_state)(k + 1);
	if (state && !want) {
		err_set(e, ERR_INVALID, "a hook is waiting, delivered or failed, not \"%s\"", state);
		return NULL;
	}
	if (destination_of(c, &destination, e) || db_hook_list(c->db, destination, want, param_int(c, "after", 0), limit, &rows, &n, e))
		return NULL;
	if (world_load(c->db, &w, e)) {
		hook_list_free(rows, n);
		return NULL;
	}
	list = json_array();
	for (size_t k = 0; k < n; k++)
		json_array_append_new(list, hook_json(&rows[k], &w));
	if (n == limit)
		snprintf(next, sizeof(next), "%" PRId64, rows[n - 1].id);
	hook_list_free(rows, n);
	world_free(&w);
	return page(list, next[0] ? next : NULL);
}

struct replay_arg {
	int64_t id, destination_id;
	uint64_t n;
};

static int run_replay(struct db *db, void *arg, struct err *e)
{
	struct replay_arg *a = arg;

	return db_hook_replay(db, a->id, a->destination_id, now_get().real, &a->n, e);
}

json_t *method_hook_replay(struct control_call *c, struct err *e)
{
	const char *id = param_str(c, "id");
	struct replay_arg a = {.id = 0};
	struct control_act act = {.run = run_replay, .arg = &a, .object = id ? id : "hooks that failed"};

	if (id && (str_to_i64(str_c(id), &a.id) || a.id < 1)) {
		err_set(e, ERR_INVALID, "a hook's id is a number, not \"%s\"", id);
		return NULL;
	}
	if (destination_of(c, &a.destination_id, e) || control_do(c, &act, e))
		return NULL;
	return json_pack("{s:I}", "replayed", (json_int_t)a.n);
}
