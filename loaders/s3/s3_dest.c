/*
 * s3_dest.c - stitch-load-s3: settings, the connection, and the list of ops. Files are added to a bucket, one for each table and load, as CSV or JSON lines, and never changed.
 *
 * There is no ledger in a bucket. What a load holds is fixed when stitchd writes its row, and so is its time, of which the keys are made; the object of the table itself is
 * written last and says which load and attempt made it. So "is it there?" is the ledger. What can go wrong: key_template is changed while a load is unfinished whose object is
 * there already: its retry looks under the new key and writes a second one (stitch-loader(7) tells).
 */
#include "loaders/s3/s3_dest.h"

#include "xalloc.h"

#define PROBE_TRIES 2
#define PROBE_IDLE (8 * NSEC_PER_SEC)

static const char *const no_suffix[] = {NULL};
const struct dialect s3_csv_dialect = {
	.suffix = {[COL_INTEGER] = "it", [COL_NUMBER] = "de", [COL_BOOLEAN] = "bo", [COL_TIME] = "ti", [COL_STRING] = "st", [COL_JSON] = "st"},
	.reserved = no_suffix,
	.nesting = NEST_FLATTEN,
	.files = true,
	.case_matters = true,
};
const struct dialect s3_jsonl_dialect = {
	.suffix = {[COL_INTEGER] = "it", [COL_NUMBER] = "de", [COL_BOOLEAN] = "bo", [COL_TIME] = "ti", [COL_STRING] = "st", [COL_JSON] = "va"},
	.reserved = no_suffix,
	.nesting = NEST_KEEP,
	.files = true,
	.case_matters = true,
	.nul_ok = true,
};

static int on_tick(void *arg)
{
	struct s3_dest *s = arg;

	loader_tick(s->l, s->phase);
	return 0;
}

static const char *setting(const json_t *settings, const char *name)
{
	const char *v = json_string_value(json_object_get(settings, name));

	return v ? v : "";
}

static int bool_setting(const json_t *settings, const char *name, int otherwise, int *out, struct err *e)
{
	const char *v = setting(settings, name);

	*out = strcmp(v, "true") == 0 ? 1 : strcmp(v, "false") == 0 ? 0 : otherwise;
	if (!*v || *out != otherwise || strcmp(v, "true") == 0 || strcmp(v, "false") == 0)
		return 0;
	return err_set(e, ERR_CONFIG, "%s is true or false, not \"%.40s\"", name, v);
}

static int format_settings(struct s3_dest *s, const json_t *settings, struct err *e)
{
	const char *format = setting(settings, "format"), *delimiter = setting(settings, "csv_delimiter"), *template = setting(settings, "key_template");
	int quote;

	s->jsonl = !*format || strcmp(format, "jsonl") == 0;
	if (!s->jsonl && strcmp(format, "csv") != 0)
		return err_set(e, ERR_CONFIG, "format is csv or jsonl, not \"%.40s\"", format);
	if (strcmp(delimiter, "tab") == 0 || strcmp(delimiter, "\\t") == 0)
		delimiter = "\t";
	s->csv.delimiter = *delimiter ? *delimiter : ',';
	if (strlen(delimiter) > 1 || strchr("\"\r\n ", s->csv.delimiter) || (unsigned char)s->csv.delimiter >= 0x7f || (s->csv.delimiter < 0x20 && s->csv.delimiter != '\t'))
		return err_set(e, ERR_CONFIG, "csv_delimiter is one character of ASCII, no quote and no blank, or \"tab\"");
	if (bool_setting(settings, "csv_force_quote", 0, &quote, e))
		return -1;
	s->csv.force_quote = quote;
	template = *template ? template : KEY_TEMPLATE_DEFAULT;
	return key_template_parse(template, s->jsonl ? "jsonl" : "csv", &s->key, e) || key_template_parse(template, "jsonl", &s->rejected_keys, e) ? -1 : 0;
}

static struct s3 *open_bucket(struct s3_dest *s, const json_t *settings, bool probe, struct err *e)
{
	struct s3_conf c = {.endpoint = setting(settings, "endpoint"), .bucket = setting(settings, "bucket"), .region = setting(settings, "region"),
		.access_key = setting(settings, "access_key"), .secret_key = setting(settings, "secret_key"), .session_token = setting(settings, "session_token"),
		.sse = setting(settings, "sse"), .tick = on_tick, .tick_arg = s};
	int path;

	if (probe) {
		c.tries = PROBE_TRIES;
		c.idle_timeout = PROBE_IDLE;
	}
	if (bool_setting(settings, "path_style", -1, &path, e))
		return NULL;
	c.style = path < 0 ? S3_STYLE_AUTO : path ? S3_STYLE_PATH : S3_STYLE_HOST;
	return s3_open(&c, e);
}

static int stop_at_first(const struct s3_object *o, void *arg)
{
	(void)o, (void)arg;
	return 1;
}

static void sd_close(void *self)
{
	struct s3_dest *s = self;

	sd_rollback(s);
	s3_close(s->s3);
	s3_close(s->probe);
	key_template_free(&s->key);
	key_template_free(&s->rejected_keys);
	buf_free(&s->row);
	free(s->bucket);
	free(s);
}

static void *sd_open(struct loader *l, const json_t *settings, struct buf *fix, struct err *e)
{
	struct s3_dest *s = xcalloc(1, sizeof(*s));
	struct buf beginning = BUF_INIT;
	int rc;

	s->l = l;
	s->phase = "connecting";
	s->bucket = xstrdup(setting(settings, "bucket"));
	if (format_settings(s, settings, e) || !(s->s3 = open_bucket(s, settings, false, e)) || !(s->probe = open_bucket(s, settings, true, e)))
		goto fail;
	/* the error of a list is told in words, that of a head by a number */
	key_beginning(&s->key, &beginning);
	rc = s3_list(s->probe, buf_cstr(&beginning), NULL, stop_at_first, NULL, e);
	buf_free(&beginning);
	if (rc < 0) {
		buf_adds(fix, s3_fix(s->probe));
		if (strcmp(s3_code(s->probe), "AccessDenied") == 0) {
			buf_adds(fix, "; this policy allows all that is needed: ");
			sd_policy(s, fix);
		}
		goto fail;
	}
	s->server = s3_server(s->probe);
	return s;
fail:
	sd_close(s);
	return NULL;
}

static const char *sd_server(void *self)
{
	return ((struct s3_dest *)self)->server;
}

static const struct dialect *sd_dialect(void *self)
{
	return ((struct s3_dest *)self)->jsonl ? &s3_jsonl_dialect : &s3_csv_dialect;
}

/* Each request makes its own connection when it must. */
static bool sd_alive(void *self)
{
	(void)self;
	return true;
}

int main(void)
{
	static const struct loader_ops ops = {
		.kind = "s3", .open = sd_open, .close = sd_close, .server = sd_server, .dialect = sd_dialect, .check = sd_check, .sample = sd_sample, .prepare = sd_prepare,
		.begin = sd_begin, .ledger_get = sd_ledger_get, .ledger_ranges = sd_ledger_ranges, .ledger_put = sd_ledger_put, .rows_begin = sd_rows_begin, .put = sd_put,
		.rows_end = sd_rows_end, .activate = sd_activate, .reject = sd_reject, .commit = sd_commit, .rollback = sd_rollback, .alive = sd_alive,
	};

	return loader_main(&ops);
}
