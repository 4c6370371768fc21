/*
 * source.c - clients, sources and their tokens. A deleted source keeps its row and its connections: what it sent is still cut, loaded and shown, only its name and
 * its tokens are gone. A token is known by its sha256. The hidden token of `stitchctl push` (hint "local") does not count for the limit of two, and
 * a new one replaces the last, which nobody can use any more.
 */
#include "daemon/state/state_priv.h"

#define TOKENS_MAX 2
#define LOCAL "local"
#define COLUMNS "s.id, s.client_id, s.name, s.kind, s.settings, s.created, s.deleted"

int db_client_create(struct db *db, const char *name, int64_t now, int64_t *id, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "INSERT INTO client (name, created) VALUES (?, ?)", e))
		return -1;
	q_text(&q, name);
	q_i64(&q, now);
	if (q_run(&q, e))
		return e && e->code == ERR_EXISTS ? err_set(e, ERR_EXISTS, "there is a client \"%s\" already", name) : -1;
	*id = db_last_id(db);
	return 0;
}

static void read_source(struct q *q, struct source_row *out)
{
	*out = (struct source_row){.id = q_get_i64(q), .client_id = 0};
	out->client_id = q_get_i64(q);
	out->name = q_get_text(q);
	out->kind = q_get_text(q);
	out->settings = q_get_text(q);
	out->created = q_get_i64(q);
	out->deleted = q_get_i64(q);
}

/* 0, or -1: ERR_NOT_FOUND without a text that says what. */
static int one_source(struct q *q, struct source_row *out, struct err *e)
{
	int rc = q_row(q, e);

	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND, "there is no such source");
	read_source(q, out);
	q_end(q);
	return 0;
}

int db_source_create(struct db *db, const struct source_row *in, int64_t *id, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "INSERT INTO source (client_id, name, kind, settings, created) VALUES (?, ?, ?, ?, ?)", e))
		return -1;
	q_i64(&q, in->client_id);
	q_text(&q, in->name);
	q_text(&q, in->kind);
	q_text(&q, in->settings ? in->settings : "{}");
	q_i64(&q, in->created);
	if (q_run(&q, e)) {
		if (e && e->code == ERR_EXISTS)
			err_set(e, ERR_EXISTS, "there is a source \"%s\" already", in->name);
		else if (e && e->code == ERR_NOT_FOUND)
			err_set(e, ERR_NOT_FOUND, "there is no client %" PRId64, in->client_id);
		return -1;
	}
	*id = db_last_id(db);
	db->config_changed = true;
	return 0;
}

int db_source_update(struct db *db, int64_t id, const char *settings, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "UPDATE source SET settings = ? WHERE id = ? AND deleted = 0", e))
		return -1;
	q_text(&q, settings);
	q_i64(&q, id);
	if (q_run(&q, e))
		return -1;
	if (!db_changes(db))
		return err_set(e, ERR_NOT_FOUND, "there is no source %" PRId64, id);
	db->config_changed = true;
	return 0;
}

int db_source_delete(struct db *db, int64_t id, int64_t now, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "UPDATE source SET deleted = ? WHERE id = ? AND deleted = 0", e))
		return -1;
	q_i64(&q, now);
	q_i64(&q, id);
	if (q_run(&q, e))
		return -1;
	if (!db_changes(db))
		return err_set(e, ERR_NOT_FOUND, "there is no source %" PRId64, id);
	/* the same time as the source's: tells these tokens from those that were revoked before (db_token_find) */
	if (q_begin(&q, db, "UPDATE token SET revoked = ? WHERE source_id = ? AND revoked = 0", e))
		return -1;
	q_i64(&q, now);
	q_i64(&q, id);
	if (q_run(&q, e))
		return -1;
	db->config_changed = true;
	if (q_begin(&q, db, "DELETE FROM pause WHERE kind = ? AND object_id = ?", e))
		return -1;
	q_i64(&q, PAUSE_SOURCE);
	q_i64(&q, id);
	return q_run(&q, e);
}

int db_source_get(struct db *db, const char *name, struct source_row *out, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "SELECT " COLUMNS " FROM source s WHERE s.name = ? AND s.deleted = 0", e))
		return -1;
	q_text(&q, name);
	if (one_source(&q, out, e))
		return e && e->code == ERR_NOT_FOUND ? err_set(e, ERR_NOT_FOUND, "there is no source \"%s\"", name) : -1;
	return 0;
}

int db_source_get_id(struct db *db, int64_t id, struct source_row *out, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "SELECT " COLUMNS " FROM source s WHERE s.id = ?", e))
		return -1;
	q_i64(&q, id);
	if (one_source(&q, out, e))
		return e && e->code == ERR_NOT_FOUND ? err_set(e, ERR_NOT_FOUND, "there is no source %" PRId64, id) : -1;
	return 0;
}

int db_source_list(struct db *db, int64_t after, unsigned limit, struct source_row **out, size_t *n, struct err *e)
{
	struct q q;
	int rc;

	*out = NULL;
	*n = 0;
	if (q_begin(&q, db, "SELECT " COLUMNS " FROM source s WHERE s.deleted = 0 AND s.id > ? ORDER BY s.id LIMIT ?", e))
		return -1;
	q_i64(&q, after);
	q_i64(&q, limit);
	while ((rc = q_row(&q, e)) == 1) {
		*out = db_grow(*out, *n, sizeof(**out));
		read_source(&q, &(*out)[(*n)++]);
	}
	if (rc) {
		source_list_free(*out, *n);
		*out = NULL;
		*n = 0;
	}
	return rc;
}

/* --- tokens --- */

static int live_tokens(struct db *db, int64_t source_id, int64_t *n, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "SELECT count(*) FROM token WHERE source_id = ? AND revoked = 0 AND hint <> '" LOCAL "'", e))
		return -1;
	q_i64(&q, source_id);
	return q_value(&q, n, e);
}

static int revoke_local(struct db *db, int64_t source_id, int64_t now, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "UPDATE token SET revoked = ? WHERE source_id = ? AND revoked = 0 AND hint = '" LOCAL "'", e))
		return -1;
	q_i64(&q, now);
	q_i64(&q, source_id);
	return q_run(&q, e);
}

int db_token_create(struct db *db, int64_t source_id, const unsigned char hash[32], const char *hint, int64_t now, int64_t *id, struct err *e)
{
	bool local = strcmp(hint, LOCAL) == 0;
	struct q q;
	int64_t live, there;

	if (q_begin(&q, db, "SELECT count(*) FROM source WHERE id = ? AND deleted = 0", e))
		return -1;
	q_i64(&q, source_id);
	if (q_value(&q, &there, e))
		return -1;
	if (!there)
		return err_set(e, ERR_NOT_FOUND, "there is no source %" PRId64, source_id);
	if (local ? revoke_local(db, source_id, now, e) : live_tokens(db, source_id, &live, e))
		return -1;
	if (!local && live >= TOKENS_MAX)
		return err_set(e, ERR_STATE, "the source has %d live tokens already: revoke one first", TOKENS_MAX);
	if (q_begin(&q, db, "INSERT INTO token (source_id, hash, hint, created) VALUES (?, ?, ?, ?)", e))
		return -1;
	q_i64(&q, source_id);
	q_blob(&q, hash, 32);
	q_text(&q, hint);
	q_i64(&q, now);
	if (q_run(&q, e))
		return -1;
	*id = db_last_id(db);
	db->config_changed = true;
	return 0;
}

int db_token_revoke(struct db *db, int64_t source_id, int64_t token_id, int64_t now, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "UPDATE token SET revoked = ?1 WHERE revoked = 0 AND source_id = ?2 AND id = CASE WHEN ?3 > 0 THEN ?3 ELSE"
			    " (SELECT id FROM token WHERE source_id = ?2 AND revoked = 0 AND hint <> '" LOCAL "' ORDER BY created, id LIMIT 1) END", e))
		return -1;
	q_i64(&q, now);
	q_i64(&q, source_id);
	q_i64(&q, token_id);
	if (q_run(&q, e))
		return -1;
	if (!db_changes(db))
		return err_set(e, ERR_NOT_FOUND, token_id ? "the source has no live token %" PRId64 : "the source has no live token", token_id);
	db->config_changed = true;
	return 0;
}

int db_token_list(struct db *db, int64_t source_id, struct token_row **out, size_t *n, struct err *e)
{
	struct q q;
	int rc;

	*out = NULL;
	*n = 0;
	if (q_begin(&q, db, "SELECT id, source_id, hint, created FROM token WHERE source_id = ? AND revoked = 0 ORDER BY created, id", e))
		return -1;
	q_i64(&q, source_id);
	while ((rc = q_row(&q, e)) == 1) {
		struct token_row *r;

		*out = db_grow(*out, *n, sizeof(**out));
		r = &(*out)[(*n)++];
		r->id = q_get_i64(&q);
		r->source_id = q_get_i64(&q);
		r->hint = q_get_text(&q);
		r->created = q_get_i64(&q);
	}
	if (rc) {
		token_list_free(*out, *n);
		*out = NULL;
		*n = 0;
	}
	return rc;
}

int db_token_find(struct db *db, const unsigned char hash[32], struct source_row *out, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "SELECT " COLUMNS " FROM token t JOIN source s ON s.id = t.source_id WHERE t.hash = ? AND (t.revoked = 0 OR t.revoked = s.deleted)", e))
		return -1;
	q_blob(&q, hash, 32);
	if (one_source(&q, out, e))
		return e && e->code == ERR_NOT_FOUND ? err_set(e, ERR_NOT_FOUND, "the token is not known or was revoked") : -1;
	return 0;
}
