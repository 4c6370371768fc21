/*
 * journal.c - events (what happened) and audit (who did what). Both only grow here; retention prunes them by db_prune. An audit entry is written before
 * the act and completed after it: one without a result is an act whose end nobody saw.
 */
#include "daemon/state/state_priv.h"

int db_event_add(struct db *db, const struct event_row *in, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "INSERT INTO event (at, level, kind, object, text) VALUES (?, ?, ?, ?, ?)", e))
		return -1;
	q_i64(&q, in->at);
	q_text_or_empty(&q, in->level);
	q_text_or_empty(&q, in->kind);
	q_text_or_empty(&q, in->object);
	q_text_or_empty(&q, in->text);
	return q_run(&q, e);
}

int db_event_list(struct db *db, int64_t after, unsigned limit, bool newest_first, struct event_row **out, size_t *n, struct err *e)
{
	struct q q;
	int rc;

	*out = NULL;
	*n = 0;
	if (newest_first)
		rc = q_begin(&q, db, "SELECT id, at, level, kind, object, text FROM event WHERE id < ? ORDER BY id DESC LIMIT ?", e);
	else
		rc = q_begin(&q, db, "SELECT id, at, level, kind, object, text FROM event WHERE id > ? ORDER BY id LIMIT ?", e);
	if (rc)
		return -1;
	q_i64(&q, newest_first && !after ? INT64_MAX : after);
	q_i64(&q, limit);
	while ((rc = q_row(&q, e)) == 1) {
		struct event_row *r;

		*out = db_grow(*out, *n, sizeof(**out));
		r = &(*out)[(*n)++];
		r->id = q_get_i64(&q);
		r->at = q_get_i64(&q);
		r->level = q_get_text(&q);
		r->kind = q_get_text(&q);
		r->object = q_get_text(&q);
		r->text = q_get_text(&q);
	}
	if (rc) {
		event_list_free(*out, *n);
		*out = NULL;
		*n = 0;
	}
	return rc;
}

int db_audit_begin(struct db *db, const struct audit_row *in, int64_t *id, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "INSERT INTO audit (at, who, action, object, before, after, result) VALUES (?, ?, ?, ?, ?, ?, ?)", e))
		return -1;
	q_i64(&q, in->at);
	q_text_or_empty(&q, in->who);
	q_text_or_empty(&q, in->action);
	q_text_or_empty(&q, in->object);
	q_text(&q, in->before);
	q_text(&q, in->after);
	q_text(&q, in->result);
	if (q_run(&q, e))
		return -1;
	*id = db_last_id(db);
	return 0;
}

int db_audit_end(struct db *db, int64_t id, const char *result, const char *after, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "UPDATE audit SET result = ?, after = ifnull(?, after) WHERE id = ?", e))
		return -1;
	q_text(&q, result);
	q_text(&q, after);
	q_i64(&q, id);
	if (q_run(&q, e))
		return -1;
	return db_changes(db) ? 0 : err_set(e, ERR_NOT_FOUND, "there is no audit entry %" PRId64, id);
}

int db_audit_list(struct db *db, const char *object, int64_t after, unsigned limit, struct audit_row **out, size_t *n, struct err *e)
{
	struct q q;
	int rc;

	*out = NULL;
	*n = 0;
	if (object)
		rc = q_begin(&q, db, "SELECT id, at, who, action, object, before, after, result FROM audit WHERE id < ? AND object = ? ORDER BY id DESC LIMIT ?", e);
	else
		rc = q_begin(&q, db, "SELECT id, at, who, action, object, before, after, result FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?", e);
	if (rc)
		return -1;
	q_i64(&q, after ? after : INT64_MAX);
	if (object)
		q_text(&q, object);
	q_i64(&q, limit);
	while ((rc = q_row(&q, e)) == 1) {
		struct audit_row *r;

		*out = db_grow(*out, *n, sizeof(**out));
		r = &(*out)[(*n)++];
		r->id = q_get_i64(&q);
		r->at = q_get_i64(&q);
		r->who = q_get_text(&q);
		r->action = q_get_text(&q);
		r->object = q_get_text(&q);
		r->before = q_get_text(&q);
		r->after = q_get_text(&q);
		r->result = q_get_text(&q);
	}
	if (rc) {
		audit_list_free(*out, *n);
		*out = NULL;
		*n = 0;
	}
	return rc;
}
