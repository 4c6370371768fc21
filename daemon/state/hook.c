/*
 * hook.c - see hook.h. Of each destination only the oldest that waits is tried, so they arrive in order, and one receiver that is away costs one try a time.
 */
#include "daemon/state/hook.h"

#include "daemon/state/state_priv.h"

#define COLUMNS "h.id, h.destination_id, h.load_id, h.table_name, h.body, h.error, h.created, h.not_before, h.updated, h.state, h.tries"

const char *hook_state_name(enum hook_state s)
{
	static const char *const names[] = {[HOOK_WAITS] = "waiting", [HOOK_DELIVERED] = "delivered", [HOOK_GIVEN_UP] = "failed"};

	return names[s];
}

void hook_list_free(struct hook_row *r, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		free(r[k].table);
		free(r[k].body);
		free(r[k].error);
	}
	free(r);
}

int db_hook_add(struct db *db, const struct hook_row *in, int64_t now, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "INSERT INTO hook (destination_id, load_id, table_name, body, created, updated) VALUES (?1, ?2, ?3, ?4, ?5, ?5)", e))
		return -1;
	q_i64(&q, in->destination_id);
	q_i64(&q, in->load_id);
	q_text(&q, in->table);
	q_text(&q, in->body);
	q_i64(&q, now);
	if (q_run(&q, e) || q_begin(&q, db, "DELETE FROM hook WHERE id <= ?", e))
		return -1;
	q_i64(&q, db_last_id(db) - HOOKS_MAX);
	return q_run(&q, e);
}

int db_hook_counts(struct db *db, int64_t load_id, uint64_t *rows, uint64_t *rejected, struct err *e)
{
	struct q q;
	int rc;

	*rows = *rejected = 0;
	if (q_begin(&q, db, "SELECT coalesce(sum(rows), 0), coalesce(sum(rejected), 0) FROM job WHERE load_id = ? AND load_id > 0 AND state = 3", e))
		return -1;
	q_i64(&q, load_id);
	rc = q_row(&q, e);
	if (rc == 1) {
		*rows = q_get_u64(&q);
		*rejected = q_get_u64(&q);
	}
	q_end(&q);
	return rc < 0 ? -1 : 0;
}

static int read_hooks(struct q *q, struct hook_row **out, size_t *n, struct err *e)
{
	int rc;

	*out = NULL;
	*n = 0;
	while ((rc = q_row(q, e)) == 1) {
		struct hook_row *r;

		*out = db_grow(*out, *n, sizeof(**out));
		r = &(*out)[(*n)++];
		*r = (struct hook_row){.id = q_get_i64(q)};
		r->destination_id = q_get_i64(q);
		r->load_id = q_get_i64(q);
		r->table = q_get_text(q);
		r->body = q_get_text(q);
		r->error = q_get_text(q);
		r->created = q_get_i64(q);
		r->not_before = q_get_i64(q);
		r->updated = q_get_i64(q);
		r->state = (enum hook_state)q_get_i64(q);
		r->tries = (uint32_t)q_get_i64(q);
	}
	if (rc < 0) {
		hook_list_free(*out, *n);
		*out = NULL;
		*n = 0;
	}
	return rc;
}

/* The first of each destination that waits. */
#define FIRST "SELECT min(id) FROM hook WHERE state = 1 GROUP BY destination_id"

int db_hook_due(struct db *db, int64_t now, struct hook_row **out, size_t *n, int64_t *next, struct err *e)
{
	struct q q;

	*out = NULL;
	*n = 0;
	if (q_begin(&q, db, "SELECT coalesce(min(not_before), 9223372036854775807) FROM hook WHERE id IN (" FIRST ") AND not_before > ?", e))
		return -1;
	q_i64(&q, now);
	if (q_value(&q, next, e) || q_begin(&q, db, "SELECT " COLUMNS " FROM hook h WHERE h.id IN (" FIRST ") AND h.not_before <= ? ORDER BY h.id", e))
		return -1;
	q_i64(&q, now);
	return read_hooks(&q, out, n, e);
}

int db_hook_tried(struct db *db, const struct hook_row *r, int64_t now, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "UPDATE hook SET state = ?, tries = ?, not_before = ?, error = ?, updated = ? WHERE id = ?", e))
		return -1;
	q_i64(&q, r->state);
	q_i64(&q, r->tries);
	q_i64(&q, r->not_before);
	q_text_or_empty(&q, r->error);
	q_i64(&q, now);
	q_i64(&q, r->id);
	return q_run(&q, e);
}

int db_hook_list(struct db *db, int64_t destination_id, enum hook_state state, int64_t after, unsigned limit, struct hook_row **out, size_t *n, struct err *e)
{
	struct q q;

	if (q_begin(&q, db,
		    "SELECT " COLUMNS " FROM hook h WHERE (?1 = 0 OR h.destination_id = ?1) AND (?2 = 0 OR h.state = ?2) AND (?3 = 0 OR h.id < ?3) ORDER BY h.id DESC LIMIT ?4", e))
		return -1;
	q_i64(&q, destination_id);
	q_i64(&q, state);
	q_i64(&q, after);
	q_i64(&q, limit);
	return read_hooks(&q, out, n, e);
}

int db_hook_replay(struct db *db, int64_t id, int64_t destination_id, int64_t now, uint64_t *n, struct err *e)
{
	struct q q;

	if (q_begin(&q, db,
		    "UPDATE hook SET state = 1, tries = 0, not_before = 0, error = '', updated = ?1 WHERE CASE WHEN ?2 > 0 THEN id = ?2 ELSE state = 3 AND (?3 = 0 OR "
		    "destination_id = ?3) END",
		    e))
		return -1;
	q_i64(&q, now);
	q_i64(&q, id);
	q_i64(&q, destination_id);
	if (q_run(&q, e))
		return -1;
	*n = db_changes(db);
	return !*n && id ? err_set(e, ERR_NOT_FOUND, "there is no hook %" PRId64, id) : 0;
}
