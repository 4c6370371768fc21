/*
 * wizard.c - the draft behind the wizard's pages: settings as the daemon wants them, the same as commands, the curl line, the figures. No screen.
 */
#include "wizard.h"

#include "cells.h"
#include "xalloc.h"

/* A folder that the daemon can write in: that of its socket, when that is its state folder. */
static char *default_path(const char *socket_path)
{
	const char *slash = strrchr(socket_path, '/');
	char *dir = slash ? xstrndup(socket_path, (size_t)(slash - socket_path)) : xstrdup("."), *real = realpath(dir, NULL), *path;
	bool known = real && strncmp(real, "/run", 4) != 0 && strncmp(real, "/var/run", 8) != 0 && strcmp(real, "/tmp") != 0;

	path = xasprintf("%s/warehouse.db", known ? real : LOCALSTATEDIR "/lib/stitch");
	free(dir);
	free(real);
	return path;
}

struct wizard_draft *wizard_draft_new(const char *socket_path)
{
	struct wizard_draft *d = xcalloc(1, sizeof(*d));
	char *path = default_path(socket_path);

	d->began = mono_now();
	edit_set(&d->name, "warehouse");
	edit_set(&d->path, path);
	free(path);
	edit_set(&d->host, "127.0.0.1");
	edit_set(&d->user, "stitch");
	d->password.secret = true;
	return d;
}

void wizard_draft_free(struct wizard_draft *d)
{
	if (!d)
		return;
	edit_free(&d->source);
	edit_free(&d->name);
	edit_free(&d->path);
	edit_free(&d->host);
	edit_free(&d->port);
	edit_free(&d->user);
	edit_free(&d->password);
	edit_free(&d->dbname);
	json_decref(d->test);
	json_decref(d->sample);
	explicit_bzero(d->token, sizeof(d->token));
	free(d);
}

const char *wizard_unseen_token(const struct wizard_draft *d)
{
	return d && d->token[0] && !d->token_seen ? buf_cstr(&d->source.text) : NULL;
}

const char *wizard_kind(const struct wizard_draft *d)
{
	return d->choice == WIZARD_SQLITE ? "sqlite" : "postgres";
}

const char *wizard_destination(const struct wizard_draft *d)
{
	return d->choice >= WIZARD_EXISTING ? d->existing : buf_cstr(&d->name.text);
}

struct setting {
	const char *key;
	const struct edit *value;
};

static size_t settings_of(const struct wizard_draft *d, struct setting out[8])
{
	const struct setting sqlite[] = {{"path", &d->path}};
	const struct setting postgres[] = {{"host", &d->host}, {"port", &d->port}, {"user", &d->user}, {"password", &d->password}, {"dbname", &d->dbname}};

	if (d->choice == WIZARD_SQLITE)
		memcpy(out, sqlite, sizeof(sqlite));
	else
		memcpy(out, postgres, sizeof(postgres));
	return d->choice == WIZARD_SQLITE ? ARRAY_LEN(sqlite) : ARRAY_LEN(postgres);
}

json_t *wizard_settings(const struct wizard_draft *d)
{
	json_t *o = json_object();
	struct setting s[8];
	size_t n = settings_of(d, s);

	for (size_t k = 0; k < n; k++)
		if (s[k].value->text.len)
			json_object_set_new(o, s[k].key, json_string(buf_cstr(&s[k].value->text)));
	return o;
}

void wizard_forget_test(struct wizard_draft *d)
{
	json_decref(d->test);
	d->test = NULL;
	d->testing = false;
	d->tests++;
}

void wizard_commands(const struct wizard_draft *d, struct buf *out)
{
	struct setting s[8];
	size_t n = settings_of(d, s);

	buf_adds(out, "stitchctl source create --kind import --name ");
	cells_shell(out, buf_cstr(&d->source.text));
	if (d->choice < WIZARD_EXISTING) {
		buf_addf(out, "\nstitchctl destination create --kind %s --name ", wizard_kind(d));
		cells_shell(out, buf_cstr(&d->name.text));
		for (size_t k = 0; k < n; k++) {
			if (!s[k].value->text.len)
				continue;
			buf_addf(out, " --set %s=", s[k].key);
			/* "-": read from standard input */
			cells_shell(out, s[k].value->secret ? "-" : buf_cstr(&s[k].value->text));
		}
	}
	buf_adds(out, "\nstitchctl connect ");
	cells_shell(out, buf_cstr(&d->source.text));
	buf_addc(out, ' ');
	cells_shell(out, wizard_destination(d));
}

void wizard_curl(const struct wizard_draft *d, const json_t *hello, bool token, struct buf *out, const char *end)
{
	const char *url = mj_str(hello, "import_url"), *bend = end[0] == '\n' ? " \\\n" : " ";

	buf_addf(out, "curl -H 'Authorization: Bearer %s'%s", token ? d->token : "********", bend);
	buf_addf(out, "-H 'Content-Type: application/json'%s", bend);
	buf_addf(out, "%s/v2/import/batch -d '%s", *url ? url : "http://127.0.0.1:8080", end);
	buf_addf(out, "{\"table_name\":\"hello\",\"key_names\":[\"id\"],%s", end);
	buf_addf(out, "\"schema\":{\"properties\":{\"id\":{\"type\":\"integer\"},\"text\":{\"type\":\"string\"}}},%s", end);
	buf_adds(out, "\"messages\":[{\"action\":\"upsert\",\"sequence\":1,\"data\":{\"id\":1,\"text\":\"hello\"}}]}'");
}

const json_t *wizard_figures(struct wizard_draft *d, const json_t *status)
{
	const json_t *first = NULL;
	size_t n = mj_len(status, "tables");

	d->accepted = d->queued = d->spooled = d->loaded = d->rejected = 0;
	for (size_t k = 0; k < n; k++) {
		const json_t *t = mj_at(status, "tables", k);

		if (strcmp(mj_str(t, "source"), buf_cstr(&d->source.text)) != 0 ||
			(strcmp(mj_str(t, "destination"), wizard_destination(d)) != 0 && strcmp(mj_str(t, "destination"), "-") != 0))
			continue;
		d->accepted += mj_int(t, "accepted");
		d->queued += mj_int(t, "queued");
		d->spooled += mj_int(t, "spooled");
		d->loaded += mj_int(t, "loaded");
		d->rejected += mj_int(t, "rejected");
		if (!first && mj_int(t, "loaded") > 0)
			first = t;
	}
	return first;
}
