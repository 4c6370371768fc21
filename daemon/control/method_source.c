/*
 * method_source.c - clients, sources and their tokens. A token is shown once; the state keeps its sha256. A push token is a hidden one of its own (hint "local",
 * does not count for the limit of two): it is kept sealed in the state folder, so that `stitchctl push` of the daemon's own user works without one.
 */
#include "daemon/control/methods.h"

#include <errno.h>
#include <unistd.h>

#include "file.h"
#include "xalloc.h"

#define LOCAL_HINT "local"

static json_t *settings_of(struct control_call *c)
{
	json_t *set = json_object_get(c->params, "set");

	return set ? json_incref(set) : json_object();
}

/* --- clients --- */

struct client_arg {
	const char *name;
	int64_t id;
};

static int run_client_create(struct db *db, void *arg, struct err *e)
{
	struct client_arg *a = arg;

	return db_client_create(db, a->name, now_get().real, &a->id, e);
}

json_t *method_client_create(struct control_call *c, struct err *e)
{
	struct client_arg a = {.name = param_str(c, "name")};
	struct control_act act = {.run = run_client_create, .arg = &a, .object = a.name};

	if (control_name_ok("client", a.name, e) || control_do(c, &act, e))
		return NULL;
	return json_pack("{s:I, s:s}", "id", (json_int_t)a.id, "name", a.name);
}

/* --- create, change, delete --- */

struct source_arg {
	struct source_row row;
	unsigned char hash[32];
	char hint[16];
	int64_t id, token_id;
};

static int run_source_create(struct db *db, void *arg, struct err *e)
{
	struct source_arg *a = arg;

	if (db_source_create(db, &a->row, &a->id, e))
		return -1;
	return db_token_create(db, a->id, a->hash, a->hint, a->row.created, &a->token_id, e);
}

static void new_token(char token[48], unsigned char hash[32], char hint[16])
{
	seal_new_token(token);
	seal_hash_token(str_c(token), hash);
	snprintf(hint, 16, "%.5s...", token);
}

json_t *source_create(struct control_call *c, const char *kind, const char *name, int64_t client_id, json_t *settings, struct err *e)
{
	struct source_arg a = {.row = {.client_id = client_id, .created = now_get().real}};
	struct control_act act = {.run = run_source_create, .arg = &a, .kind = "source-created", .object = name};
	json_t *sealed, *result = NULL;
	char token[48], url[160], text[160];

	if (control_name_ok("source", name, e) || kind_check_source(kind, settings, e))
		return NULL;
	sealed = kind_seal(c->ct->parts.seal, kind, true, settings);
	a.row.name = (char *)(uintptr_t)name;
	a.row.kind = (char *)(uintptr_t)kind;
	a.row.settings = compact(sealed);
	json_decref(sealed);
	new_token(token, a.hash, a.hint);
	snprintf(text, sizeof(text), "source %s (%s) was created by %s", name, kind, c->who);
	act.text = text;
	if (!control_do(c, &act, e)) {
		unsigned port = c->ct->parts.import ? import_port(c->ct->parts.import) : 0;

		result = json_pack("{s:I, s:I, s:s, s:s}", "id", (json_int_t)a.id, "client_id", (json_int_t)client_id, "name", name, "token", token);
		if (strcmp(kind, "webhook") == 0) {
			snprintf(url, sizeof(url), "/v2/webhook/%" PRId64 "/%s", client_id, token);
			json_object_set_new(result, "url_path", json_string(url));
		} else {
			snprintf(url, sizeof(url), "http://127.0.0.1:%u/v2/import/push", port);
			json_object_set_new(result, "push_url", json_string(url));
		}
	}
	free(a.row.settings);
	explicit_bzero(token, sizeof(token));
	return result;
}

json_t *method_source_create(struct control_call *c, struct err *e)
{
	json_t *settings = settings_of(c), *result = NULL;
	int64_t client = 1;

	if (param_str(c, "client") && (str_to_i64(str_c(param_str(c, "client")), &client) || client < 1))
		err_set(e, ERR_INVALID, "--client takes the number that client create gave, not \"%s\"", param_str(c, "client"));
	else
		result = source_create(c, param_str(c, "kind"), param_str(c, "name"), client, settings, e);
	json_decref(settings);
	return result;
}

struct update_arg {
	int64_t id;
	const char *settings;
};

static int run_source_update(struct db *db, void *arg, struct err *e)
{
	struct update_arg *a = arg;

	return db_source_update(db, a->id, a->settings, e);
}

int source_change(struct control_call *c, const struct source_row *s, json_t *changes, struct err *e)
{
	json_t *merged = kind_merge(s->settings, changes), *sealed, *shown;
	struct update_arg a = {.id = s->id};
	struct control_act act = {.run = run_source_update, .arg = &a, .object = s->name};
	char *before, *after;
	int rc = -1;

	if (kind_check_source(s->kind, merged, e)) {
		json_decref(merged);
		return -1;
	}
	sealed = kind_seal(c->ct->parts.seal, s->kind, true, merged);
	shown = kind_mask(s->kind, true, s->settings);
	before = compact(shown);
	after = compact(sealed);
	a.settings = after;
	if (!control_audit(c, s->name, before, e))
		rc = control_do(c, &act, e);
	free(before);
	free(after);
	json_decref(shown);
	json_decref(sealed);
	json_decref(merged);
	return rc;
}

static json_t *show_source(struct control_call *c, const char *name, struct err *e)
{
	const struct source_row *src;
	struct snapshot s;
	json_t *v = NULL;

	if (snapshot_take(c->ct, c->db, true, &s, e))
		return NULL;
	src = world_source_named(&s.world, name, e);
	if (src)
		v = source_json(&s, src, c->db, e);
	snapshot_free(&s);
	return v;
}

json_t *method_source_show(struct control_call *c, struct err *e)
{
	return show_source(c, param_str(c, "name"), e);
}

json_t *method_source_set(struct control_call *c, struct err *e)
{
	struct source_row row = {.id = 0};
	int rc;

	if (db_source_get(c->db, param_str(c, "name"), &row, e))
		return NULL;
	rc = source_change(c, &row, json_object_get(c->params, "set"), e);
	source_row_free(&row);
	return rc ? NULL : show_source(c, param_str(c, "name"), e);
}

json_t *method_source_list(struct control_call *c, struct err *e)
{
	const char *after = param_str(c, "after");
	unsigned limit = param_limit(c);
	json_t *list = json_array(), *one;
	struct snapshot s;
	char next[24];
	int64_t from = 0, last = 0;
	bool more = false;

	if (after && str_to_i64(str_c(after), &from))
		from = 0;
	if (snapshot_take(c->ct, c->db, true, &s, e)) {
		json_decref(list);
		return NULL;
	}
	for (size_t k = 0; k < s.world.n_sources && !more; k++) {
		const struct source_row *src = &s.world.sources[k];

		if (src->id <= from)
			continue;
		if (json_array_size(list) == limit) {
			more = true;
			break;
		}
		one = source_json(&s, src, c->db, e);
		if (!one) {
			json_decref(list);
			snapshot_free(&s);
			return NULL;
		}
		json_array_append_new(list, one);
		last = src->id;
	}
	snapshot_free(&s);
	snprintf(next, sizeof(next), "%" PRId64, last);
	return page(list, more ? next : NULL);
}

/* What can be said of a push source: can it push now? */
json_t *method_source_check(struct control_call *c, struct err *e)
{
	struct source_row row = {.id = 0};
	struct world w;
	struct err why = ERR_INIT;
	const char *cause = NULL, *fix = NULL;
	json_t *v;

	if (world_load(c->db, &w, e))
		return NULL;
	if (db_source_get(c->db, param_str(c, "name"), &row, e)) {
		world_free(&w);
		return NULL;
	}
	if (world_pause(&w, PAUSE_SOURCE, row.id)) {
		cause = "the source is paused: its requests are answered 401 (Connection is not active), or taken and held if its when_paused says so";
		fix = "stitchctl resume source NAME";
	} else if (!queue_writable(c->ct->parts.queue, &why)) {
		cause = why.text;
		fix = "free disk space";
	}
	v = json_pack("{s:b, s:o, s:o, s:[], s:s}", "ok", cause == NULL, "cause", text_json(cause), "fix", text_json(fix), "rights", "server", "");
	source_row_free(&row);
	world_free(&w);
	return v;
}

static int run_source_delete(struct db *db, void *arg, struct err *e)
{
	return db_source_delete(db, *(int64_t *)arg, now_get().real, e);
}

json_t *method_source_delete(struct control_call *c, struct err *e)
{
	struct source_row row = {.id = 0};
	struct control_act act = {.run = run_source_delete, .kind = "source-deleted"};
	char text[160];
	json_t *v = NULL;

	if (db_source_get(c->db, param_str(c, "name"), &row, e))
		return NULL;
	act.arg = &row.id;
	act.object = row.name;
	snprintf(text, sizeof(text), "source %s was deleted by %s", row.name, c->who);
	act.text = text;
	if (!control_do(c, &act, e))
		v = json_pack("{s:I, s:s}", "id", (json_int_t)row.id, "name", row.name);
	source_row_free(&row);
	return v;
}

/* --- tokens --- */

struct token_arg {
	int64_t source_id, token_id;
	unsigned char hash[32];
	char hint[16];
};

static int run_token_create(struct db *db, void *arg, struct err *e)
{
	struct token_arg *a = arg;

	return db_token_create(db, a->source_id, a->hash, a->hint, now_get().real, &a->token_id, e);
}

json_t *method_token_create(struct control_call *c, struct err *e)
{
	struct source_row row = {.id = 0};
	struct token_arg a = {.source_id = 0};
	struct control_act act = {.run = run_token_create, .arg = &a};
	char token[48], url[160];
	json_t *v = NULL;

	if (db_source_get(c->db, param_str(c, "source"), &row, e))
		return NULL;
	a.source_id = row.id;
	act.object = row.name;
	new_token(token, a.hash, a.hint);
	if (!control_do(c, &act, e)) {
		v = json_pack("{s:I, s:s, s:s, s:s}", "id", (json_int_t)a.token_id, "source", row.name, "hint", a.hint, "token", token);
		if (strcmp(row.kind, "webhook") == 0) {
			snprintf(url, sizeof(url), "/v2/webhook/%" PRId64 "/%s", row.client_id, token);
			json_object_set_new(v, "url_path", json_string(url));
			explicit_bzero(url, sizeof(url));
		}
	}
	explicit_bzero(token, sizeof(token));
	source_row_free(&row);
	return v;
}

static int run_token_revoke(struct db *db, void *arg, struct err *e)
{
	struct token_arg *a = arg;

	return db_token_revoke(db, a->source_id, a->token_id, now_get().real, e);
}

/* The older one of those that are shown. */
static int oldest_token(struct control_call *c, int64_t source_id, int64_t *id, struct err *e)
{
	struct token_row *rows;
	int64_t created = 0;
	size_t n;

	*id = 0;
	if (db_token_list(c->db, source_id, &rows, &n, e))
		return -1;
	for (size_t k = 0; k < n; k++)
		if (strcmp(rows[k].hint, LOCAL_HINT) != 0 && (!*id || rows[k].created < created)) {
			*id = rows[k].id;
			created = rows[k].created;
		}
	token_list_free(rows, n);
	return *id ? 0 : err_set(e, ERR_NOT_FOUND, "the source has no live token");
}

json_t *method_token_revoke(struct control_call *c, struct err *e)
{
	struct source_row row = {.id = 0};
	struct token_arg a = {.source_id = 0};
	struct control_act act = {.run = run_token_revoke, .arg = &a};
	const char *which = param_str(c, "token");
	json_t *v = NULL;

	if (db_source_get(c->db, param_str(c, "source"), &row, e))
		return NULL;
	a.source_id = row.id;
	act.object = row.name;
	if (which && (str_to_i64(str_c(which), &a.token_id) || a.token_id < 1))
		err_set(e, ERR_INVALID, "a token is named by its id (stitchctl source show %s), not \"%s\"", row.name, which);
	else if ((which || !oldest_token(c, row.id, &a.token_id, e)) && !control_do(c, &act, e))
		v = json_pack("{s:I, s:s}", "id", (json_int_t)a.token_id, "source", row.name);
	source_row_free(&row);
	return v;
}

/* The sealed text of STATE_DIR/push-token-ID, if its token is still good. */
static int kept_token(struct control_call *c, const char *file, int64_t source_id, struct buf *out)
{
	char *path = xasprintf("%s/%s", c->ct->config.state_dir, file);
	struct source_row row = {.id = 0};
	struct buf sealed = BUF_INIT;
	unsigned char hash[32];
	int rc = -1;

	if (!file_read(path, 4096, &sealed, NULL) && !seal_get(c->ct->parts.seal, str_trim(buf_str(&sealed)), out, NULL)) {
		seal_hash_token(buf_str(out), hash);
		if (!db_token_find(c->db, hash, &row, NULL) && row.id == source_id)
			rc = 0;
		source_row_free(&row);
	}
	if (rc)
		buf_truncate(out, 0);
	buf_free(&sealed);
	free(path);
	return rc;
}

static int make_local_token(struct control_call *c, const struct source_row *row, const char *file, struct buf *out, struct err *e)
{
	struct token_arg a = {.source_id = row->id};
	struct control_act act = {.run = run_token_create, .arg = &a, .object = row->name};
	struct buf sealed = BUF_INIT;
	char token[48];
	int rc;

	new_token(token, a.hash, a.hint);
	snprintf(a.hint, sizeof(a.hint), LOCAL_HINT);
	seal_put(c->ct->parts.seal, str_c(token), &sealed);
	/* the file first: a token that no one has is worse than a file whose token does not work yet */
	rc = file_commit(c->ct->config.state_dir, file, sealed.data, sealed.len, e);
	if (!rc)
		rc = control_do(c, &act, e);
	if (!rc)
		buf_adds(out, token);
	explicit_bzero(token, sizeof(token));
	buf_free(&sealed);
	return rc;
}

json_t *method_source_push_token(struct control_call *c, struct err *e)
{
	struct source_row row = {.id = 0};
	struct buf token = BUF_INIT;
	char file[64], url[64];
	json_t *v = NULL;

	if (db_source_get(c->db, param_str(c, "name"), &row, e))
		return NULL;
	snprintf(file, sizeof(file), "push-token-%" PRId64, row.id);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", c->ct->parts.import ? import_port(c->ct->parts.import) : 0);
	/* who gets a token that works is told, also when it is an old one */
	if (control_audit(c, row.name, NULL, e))
		goto out;
	if (!kept_token(c, file, row.id, &token) || !make_local_token(c, &row, file, &token, e))
		v = json_pack("{s:s, s:s}", "token", buf_cstr(&token), "url", url);
out:
	if (token.data)
		explicit_bzero(token.data, token.len);
	buf_free(&token);
	source_row_free(&row);
	return v;
}
