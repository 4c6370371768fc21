/*
 * bigquery.c - stitch-load-bigquery: settings, names and limits of BigQuery, and the operations in one table. There is no connection to lose: each request carries
 * the token, and whatever stays behind of a process that was killed is a job that ends by itself or a staging table that expires.
 *
 * What can go wrong at open: the key is no service account's; Google does not know it any more; the network. The log-in is done at once, so that open says so.
 */
#include "loaders/bigquery/bq.h"

#include "xalloc.h"

#define DEFAULT_URL "https://bigquery.googleapis.com"
#define DEFAULT_TOKEN_URI "https://oauth2.googleapis.com/token"
#define TIME_MIN INT64_C(-62135596800000000) /* 0001-01-01, us */
#define TIME_MAX INT64_C(253402300799999999)

static const char *const reserved[] = {"it", "bo", "ti", "fl", "nu", "st", "re", "ar", NULL};
static const char *const prefixes[] = {"_table_", "_file_", "_partition", "_row_timestamp", "__root__", "_colidentifier", NULL};

/* Lower case, [a-z0-9_], no digit first; what else there is becomes _, one for a character. */
void bq_canonical(struct str name, struct buf *out)
{
	for (size_t k = 0; k < name.len; k++) {
		unsigned char c = (unsigned char)name.ptr[k];

		if (c >= 'A' && c <= 'Z')
			c = (unsigned char)(c + ('a' - 'A'));
		if (!k && c >= '0' && c <= '9')
			buf_addc(out, '_');
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')
			buf_addc(out, (char)c);
		else if ((c & 0xC0) != 0x80)
			buf_addc(out, '_');
	}
}

static void column_name(struct str name, struct buf *out)
{
	size_t before = out->len;

	bq_canonical(name, out);
	/* BigQuery keeps these for itself */
	for (const char *const *p = prefixes; *p; p++)
		if (str_starts(str_mem(out->data + before, out->len - before), str_c(*p))) {
			buf_truncate(out, before);
			buf_addc(out, 'x');
			bq_canonical(name, out);
			return;
		}
}

#define DIALECT(adds) { \
	.suffix = {[COL_INTEGER] = "it", [COL_NUMBER] = "fl", [COL_BOOLEAN] = "bo", [COL_TIME] = "ti", [COL_STRING] = "st", [COL_JSON] = "re"}, \
	.suffix_array = "ar", \
	.reserved = reserved, \
	.nesting = NEST_RECORD, \
	.column_max = 128, \
	.table_max = 1000, \
	.columns_max = 10000, \
	.nul_ok = true, \
	.time_min = TIME_MIN, \
	.time_max = TIME_MAX, \
	.name = column_name, \
	.append = (adds), \
}
/* table_max: of 1024, with room for the name of a staging table */
const struct dialect bq_dialect = DIALECT(false);
static const struct dialect append_dialect = DIALECT(true);

/* --- settings --- */

static int on_tick(void *arg)
{
	struct bq *b = arg;

	loader_tick(b->l, b->phase ? b->phase : "connecting");
	return 0;
}

static const char *setting(const json_t *settings, const char *name)
{
	const char *v = json_string_value(json_object_get(settings, name));

	return v && *v ? v : NULL;
}

static char *copy(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

static int read_key(struct bq *b, const json_t *settings, struct buf *fix, struct err *e)
{
	const char *text = setting(settings, "credentials"), *pem, *uri;
	json_t *o = text ? json_loads(text, 0, NULL) : NULL;
	int rc = 0;

	b->email = copy(json_string_value(json_object_get(o, "client_email")));
	pem = json_string_value(json_object_get(o, "private_key"));
	uri = json_string_value(json_object_get(o, "token_uri"));
	b->token_uri = xstrdup(uri ? uri : DEFAULT_TOKEN_URI);
	b->key_id = copy(json_string_value(json_object_get(o, "private_key_id")));
	b->project = copy(setting(settings, "project") ? setting(settings, "project") : json_string_value(json_object_get(o, "project_id")));
	if (!b->email || !pem) {
		buf_adds(fix, "Make a key of a service account (gcloud iam service-accounts keys create key.json --iam-account=ACCOUNT) and set credentials=@key.json.");
		rc = err_set(e, ERR_CONFIG, "the setting credentials is no service account's key: JSON with client_email and private_key");
	} else {
		b->key = jwt_key_read(str_c(pem), e);
		if (!b->key) {
			buf_adds(fix, "Set credentials=@key.json anew, with the file as Google gave it.");
			rc = -1;
		}
	}
	json_decref(o);
	return rc;
}

static bool plain(const char *s, const char *allowed)
{
	return s[0] && !s[strspn(s, allowed)];
}

static int read_choice(const char *v, const char *name, const char *const *choices, struct err *e)
{
	struct buf list = BUF_INIT;

	for (int k = 0; v && choices[k]; k++)
		if (strcasecmp(v, choices[k]) == 0)
			return k;
	if (!v)
		return 0;
	for (int k = 0; choices[k]; k++)
		buf_addf(&list, "%s%s", k ? ", " : "", choices[k]);
	err_set(e, ERR_CONFIG, "the setting %s is one of %s, not %s", name, buf_cstr(&list), v);
	buf_free(&list);
	return -1;
}

static int read_settings(struct bq *b, const json_t *settings, struct buf *fix, struct err *e)
{
	static const char *const partitions[] = {"none", "hour", "day", "month", "year", NULL}, *const types[] = {NULL, "HOUR", "DAY", "MONTH", "YEAR"};
	static const char *const loading[] = {"upsert", "append", NULL};
	const char *url = setting(settings, "url");
	int partition = read_choice(setting(settings, "partition"), "partition", partitions, e), append = read_choice(setting(settings, "loading"), "loading", loading, e);

	if (partition < 0 || append < 0 || read_key(b, settings, fix, e))
		return -1;
	b->partition = copy(types[partition]);
	b->append = append > 0;
	b->url = xstrdup(url ? url : DEFAULT_URL);
	while (b->url[0] && b->url[strlen(b->url) - 1] == '/')
		b->url[strlen(b->url) - 1] = '\0';
	b->location = copy(setting(settings, "location"));
	if (!b->project || !plain(b->project, "abcdefghijklmnopqrstuvwxyz0123456789-.:")) {
		buf_adds(fix, "Set project to the project's id (gcloud projects list).");
		return err_set(e, ERR_CONFIG, "the setting project is no project id");
	}
	if (b->location && !plain(b->location, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"))
		return err_set(e, ERR_CONFIG, "the setting location is a region as US, EU or europe-west3, not %s", b->location);
	return 0;
}

static void bq_close(void *self)
{
	struct bq *b = self;

	if (b->tx)
		bq_rollback(b);
	bq_forget_bad(b);
	http_answer_free(&b->answer);
	http_free(b->http);
	jwt_key_free(b->key);
	json_decref(b->fields);
	free(b->url);
	free(b->project);
	free(b->location);
	free(b->region);
	free(b->partition);
	free(b->email);
	free(b->token_uri);
	free(b->key_id);
	free(b->bearer);
	free(b->dataset);
	free(b->table);
	free(b->prepared);
	free(b);
}

static void *bq_open(struct loader *l, const json_t *settings, struct buf *fix, struct err *e)
{
	struct bq *b = xcalloc(1, sizeof(*b));
	struct http_opts opts = {.idle_timeout = 120 * NSEC_PER_SEC, .tick = on_tick, .tick_arg = b};
	json_t *o = NULL;

	b->l = l;
	b->find_position = b->find_row = UINT64_MAX;
	b->http = http_new(&opts);
	b->phase = "connecting";
	if (read_settings(b, settings, fix, e))
		goto fail;
	snprintf(b->server, sizeof(b->server), "BigQuery, project %s", b->project);
	if (bq_call(b, "GET", "/datasets?maxResults=1", NULL, &o, e) && b->status != 403)
		goto fail;
	json_decref(o);
	return b;
fail:
	bq_close(b);
	return NULL;
}

static const char *bq_server(void *self)
{
	return ((struct bq *)self)->server;
}

static const struct dialect *get_dialect(void *self)
{
	return ((struct bq *)self)->append ? &append_dialect : &bq_dialect;
}

static bool bq_alive(void *self)
{
	(void)self;
	return true;
}

static const struct loader_ops ops = {
	.kind = "bigquery",
	.open = bq_open,
	.close = bq_close,
	.server = bq_server,
	.dialect = get_dialect,
	.check = bq_check,
	.sample = bq_sample,
	.prepare = bq_prepare,
	.describe = bq_describe,
	.change = bq_change,
	.ddl = bq_ddl,
	.begin = bq_begin,
	.ledger_get = bq_ledger_get,
	.ledger_ranges = bq_ledger_ranges,
	.ledger_put = bq_ledger_put,
	.rows_begin = bq_rows_begin,
	.put = bq_put,
	.rows_end = bq_rows_end,
	.tally = bq_tally,
	.activate = bq_activate,
	.reject = bq_reject,
	.commit = bq_commit,
	.rollback = bq_rollback,
	.alive = bq_alive,
};

int main(void)
{
	return loader_main(&ops);
}
