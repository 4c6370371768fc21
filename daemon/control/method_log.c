/*
 * method_log.c - who did what (audit), what happened (events), newest first; and the checks and copies of store and state.
 */
#include "daemon/control/methods.h"

#include "xalloc.h"

json_t *method_event_list(struct control_call *c, struct err *e)
{
	unsigned limit = param_limit(c);
	struct event_row *rows;
	json_t *list;
	char next[24] = "";
	size_t n;

	if (db_event_list(c->db, param_int(c, "after", 0), limit, true, &rows, &n, e))
		return NULL;
	list = json_array();
	for (size_t k = 0; k < n; k++)
		json_array_append_new(list, event_json(&rows[k]));
	if (n == limit)
		snprintf(next, sizeof(next), "%" PRId64, rows[n - 1].id);
	event_list_free(rows, n);
	return page(list, next[0] ? next : NULL);
}

json_t *method_audit_list(struct control_call *c, struct err *e)
{
	unsigned limit = param_limit(c);
	struct audit_row *rows;
	json_t *list;
	char next[24] = "";
	size_t n;

	if (db_audit_list(c->db, param_str(c, "object"), param_int(c, "after", 0), limit, &rows, &n, e))
		return NULL;
	list = json_array();
	for (size_t k = 0; k < n; k++) {
		const struct audit_row *r = &rows[k];

		json_array_append_new(list, json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id", (json_int_t)r->id, "at_ns", time_ns_json(r->at), "who",
			text_json(r->who), "action", text_json(r->action), "object", text_json(r->object), "before", text_json(r->before), "after",
			text_json(r->after), "result", text_json(r->result)));
	}
	if (n == limit)
		snprintf(next, sizeof(next), "%" PRId64, rows[n - 1].id);
	audit_list_free(rows, n);
	return page(list, next[0] ? next : NULL);
}

json_t *method_store_check(struct control_call *c, struct err *e)
{
	struct err why = ERR_INIT;
	struct buf fix = BUF_INIT;
	json_t *answer;

	if (control_audit(c, "store", NULL, e))
		return NULL;
	if (store_check(c->ct->parts.store, &why)) {
		store_fix(c->ct->parts.store, &fix);
		answer = json_pack("{s:b, s:o, s:o, s:[], s:s}", "ok", 0, "cause", text_json(why.text), "fix", fix.len ? text_json(buf_cstr(&fix)) : json_null(), "rights",
			"server", "store");
		buf_free(&fix);
		return answer;
	}
	return json_pack("{s:b, s:n, s:n, s:[], s:s}", "ok", 1, "cause", "fix", "rights", "server", "store");
}

json_t *method_state_backup(struct control_call *c, struct err *e)
{
	const char *dir = param_str(c, "dir");

	if (dir[0] != '/') {
		err_set(e, ERR_INVALID, "the folder must be an absolute path: the daemon does not know where \"%s\" is", dir);
		return NULL;
	}
	if (control_audit(c, dir, NULL, e) || state_backup(c->ct->parts.state, dir, e))
		return NULL;
	return json_pack("{s:b, s:s}", "done", 1, "dir", dir);
}
