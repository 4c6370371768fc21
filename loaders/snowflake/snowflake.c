/*
 * snowflake.c - stitch-load-snowflake: the SQL REST API with a key pair, files in a bucket of S3, one multi-statement request a load. There is no connection: a
 * transaction lives within one request, so what the runtime says between begin and commit is gathered and sent as that request (sf_load.c).
 *
 * Names are sent quoted and in upper case, which is what Snowflake makes of names without quotes. Objects and arrays stay what they are, in a VARIANT.
 *
 * What can go wrong: a setting is missing or the key is none (a person must act); everything else shows only with the first request.
 */
#include "loaders/snowflake/snowflake.h"

#include "xalloc.h"

static const char *const reserved[] = {"it", "bo", "ti", "fl", "de", "st", "va", NULL};

static void canonical(struct str sent, struct buf *out)
{
	for (size_t k = 0; k < sent.len; k++) {
		unsigned char c = (unsigned char)sent.ptr[k];

		if (c >= 'a' && c <= 'z')
			buf_addc(out, (char)(c - 'a' + 'A'));
		else if (c == ' ')
			buf_addc(out, '_');
		else if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || c >= 0x80)
			buf_addc(out, (char)c);
	}
}

const struct dialect sf_dialect = {
	.suffix = {[COL_INTEGER] = "it", [COL_NUMBER] = "fl", [COL_BOOLEAN] = "bo", [COL_TIME] = "ti", [COL_STRING] = "st", [COL_JSON] = "va"},
	.reserved = reserved,
	.nesting = NEST_KEEP,
	.column_max = 251,
	.table_max = 255,
	.row_max = 16u << 20, /* a row travels as one VARIANT */
	.name = canonical,
};

/* --- SQL --- */

void sf_literal(struct buf *sql, struct str text)
{
	buf_addc(sql, '\'');
	for (size_t k = 0; k < text.len; k++) {
		if (text.ptr[k] == '\'' || text.ptr[k] == '\\')
			buf_addc(sql, text.ptr[k]);
		buf_addc(sql, text.ptr[k]);
	}
	buf_addc(sql, '\'');
}

void sf_schema_name(const struct snow *s, const char *schema, struct buf *out)
{
	size_t from = out->len;

	canonical(str_c(schema), out);
	if (out->len == from)
		buf_adds(out, s->default_schema);
}

void sf_table(const struct snow *s, struct buf *sql, const char *schema, const char *name)
{
	struct buf b = BUF_INIT;

	sf_schema_name(s, schema, &b);
	sf_ident(sql, s->database, false);
	buf_addc(sql, '.');
	sf_ident(sql, buf_cstr(&b), false);
	buf_addc(sql, '.');
	sf_ident(sql, name, true);
	buf_free(&b);
}

/* Whole numbers of any length stay whole; what had a fraction once is a FLOAT, or a decimal where that was asked for. */
const char *sf_type(const struct snow *s, const struct column *c)
{
	switch (c->type) {
	case COL_INTEGER:
		return "NUMBER(38,0)";
	case COL_NUMBER:
		if (!(c->seen & (1u << SEEN_NUMBER)))
			return "NUMBER(38,0)";
		return s->numbers == NUMBERS_EXACT ? "NUMBER(38,6)" : "FLOAT";
	case COL_BOOLEAN:
		return "BOOLEAN";
	case COL_TIME:
		return "TIMESTAMP_TZ(9)";
	case COL_JSON:
		return "VARIANT";
	case COL_STRING:
	case COL_TYPES:
		break;
	}
	return "VARCHAR(16777216)";
}

/* NAME__xx beside NAME or NAME__yy: no name of a sender's ends so. */
char *sf_beside(const char *name, const char *suffix)
{
	size_t n = strlen(name);

	for (const char *const *r = reserved; *r; r++)
		if (n > 4 && strncmp(name + n - 4, "__", 2) == 0 && strcasecmp(name + n - 2, *r) == 0)
			return xasprintf("%.*s__%s", (int)n - 4, name, suffix);
	return xasprintf("%s__%s", name, suffix);
}

/* --- settings --- */

static const char *setting(const json_t *settings, const char *name)
{
	const char *v = json_string_value(json_object_get(settings, name));

	return v ? v : "";
}

/* A name of Snowflake's as a person gives it: in double quotes as it is, else upper case. */
static char *given_name(const char *text)
{
	size_t n = strlen(text);
	char *name;

	if (n >= 2 && text[0] == '"' && text[n - 1] == '"')
		return xstrndup(text + 1, n - 2);
	name = xstrdup(text);
	for (char *p = name; *p; p++)
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - 'a' + 'A');
	return name;
}

/* "myorg-acct", or "xy12345.eu-central-1": the token wants it without the region. */
static char *account_of(const char *text)
{
	char *name = given_name(text), *dot = strchr(name, '.');

	if (dot)
		*dot = '\0';
	return name;
}

static char *url_of(const json_t *settings)
{
	const char *given = setting(settings, "url"), *account = setting(settings, "account");
	char *url = *given ? xstrdup(given) : xasprintf("https://%s.snowflakecomputing.com", account);

	for (char *p = url; *p && !*given; p++)
		*p = *p == '_' ? '-' : *p; /* a host's name has none */
	while (*url && url[strlen(url) - 1] == '/')
		url[strlen(url) - 1] = '\0';
	return url;
}

static int on_tick(void *arg)
{
	struct snow *s = arg;

	loader_tick(s->loader, s->phase);
	return 0;
}

static void sf_close(void *self)
{
	struct snow *s = self;

	http_free(s->http);
	s3_close(s->s3);
	jwt_key_free(s->key);
	json_decref(s->settings);
	for (size_t k = 0; k < s->n_schemas; k++)
		free(s->schemas[k].name);
	for (size_t k = 0; k < s->n_real; k++)
		free(s->real[k].name);
	free(s->schemas);
	free(s->real);
	buf_free(&s->token);
	buf_free(&s->stage.line);
	sf_rows_free(s);
	buf_free(&s->plain);
	buf_free(&s->load.sql);
	buf_free(&s->load.ledger);
	free(s->url);
	free(s->account);
	free(s->user);
	free(s->database);
	free(s->default_schema);
	free(s->warehouse);
	free(s->role);
	free(s->fingerprint);
	free(s->server);
	free(s->prefix);
	free(s);
}

static int check_settings(const json_t *settings, struct buf *fix, struct err *e)
{
	static const char *const must[] = {"account", "user", "private_key", "database", "s3_bucket", "s3_access_key", "s3_secret_key"};
	const char *numbers = setting(settings, "numbers");

	for (size_t k = 0; k < ARRAY_LEN(must); k++)
		if (!*setting(settings, must[k])) {
			buf_addf(fix, "Set %s.", must[k]);
			return err_set(e, ERR_CONFIG, "the setting %s is missing", must[k]);
		}
	if (*numbers && strcmp(numbers, "double") != 0 && strcmp(numbers, "exact") != 0 && strcmp(numbers, "rounded") != 0) {
		buf_adds(fix, "Set numbers to double, exact or rounded.");
		return err_set(e, ERR_CONFIG, "the setting numbers is double, exact or rounded, not \"%s\"", numbers);
	}
	return 0;
}

static int open_parts(struct snow *s, const json_t *settings, struct buf *fix, struct err *e)
{
	const struct http_opts ho = {.connect_timeout = 15 * NSEC_PER_SEC, .idle_timeout = 90 * NSEC_PER_SEC, .tick = on_tick, .tick_arg = s};
	const struct s3_conf sc = {.endpoint = setting(settings, "s3_endpoint"), .bucket = setting(settings, "s3_bucket"), .region = setting(settings, "s3_region"),
		.access_key = setting(settings, "s3_access_key"), .secret_key = setting(settings, "s3_secret_key"),
		.session_token = setting(settings, "s3_session_token"), .tick = on_tick, .tick_arg = s};
	struct buf fp = BUF_INIT;

	s->key = jwt_key_read(str_c(setting(settings, "private_key")), e);
	if (!s->key) {
		buf_adds(fix, "Set private_key to the user's private RSA key as PEM (--set private_key=@FILE): openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 "
			      "makes one, openssl pkey -in FILE -pubout its public half for ALTER USER ... SET RSA_PUBLIC_KEY.");
		return -1;
	}
	jwt_key_fingerprint(s->key, &fp);
	s->fingerprint = buf_detach(&fp, NULL);
	s->s3 = s3_open(&sc, e);
	if (!s->s3) {
		buf_adds(fix, "Correct the settings that begin with s3_.");
		return -1;
	}
	s->http = http_new(&ho);
	return 0;
}

static char *prefix_of(const char *text)
{
	while (*text == '/')
		text++;
	return !*text || text[strlen(text) - 1] == '/' ? xstrdup(text) : xasprintf("%s/", text);
}

static void *sf_open(struct loader *l, const json_t *settings, struct buf *fix, struct err *e)
{
	const char *numbers = setting(settings, "numbers"), *schema = setting(settings, "schema");
	struct snow *s;

	if (check_settings(settings, fix, e))
		return NULL;
	s = xcalloc(1, sizeof(*s));
	s->loader = l;
	s->phase = "connecting";
	s->settings = json_deep_copy(settings);
	s->url = url_of(settings);
	s->account = account_of(setting(settings, "account"));
	s->user = given_name(setting(settings, "user"));
	s->database = given_name(setting(settings, "database"));
	s->default_schema = given_name(*schema ? schema : "PUBLIC");
	s->warehouse = given_name(setting(settings, "warehouse"));
	s->role = given_name(setting(settings, "role"));
	s->prefix = prefix_of(setting(settings, "s3_prefix"));
	s->server = xasprintf("Snowflake account %s", s->account);
	s->numbers = strcmp(numbers, "exact") == 0 ? NUMBERS_EXACT : strcmp(numbers, "rounded") == 0 ? NUMBERS_ROUNDED : NUMBERS_DOUBLE;
	if (open_parts(s, settings, fix, e) == 0)
		return s;
	sf_close(s);
	return NULL;
}

static const char *sf_server(void *self)
{
	return ((struct snow *)self)->server;
}

static const struct dialect *dialect(void *self)
{
	(void)self;
	return &sf_dialect;
}

/* There is no connection that could be lost. */
static bool sf_alive(void *self)
{
	(void)self;
	return true;
}

static const struct loader_ops ops = {
	.kind = "snowflake",
	.open = sf_open,
	.close = sf_close,
	.server = sf_server,
	.dialect = dialect,
	.check = sf_check,
	.sample = sf_sample,
	.prepare = sf_prepare,
	.describe = sf_describe,
	.change = sf_change,
	.ddl = sf_ddl,
	.begin = sf_begin,
	.ledger_get = sf_ledger_get,
	.ledger_ranges = sf_ledger_ranges,
	.ledger_put = sf_ledger_put,
	.rows_begin = sf_rows_begin,
	.put = sf_put,
	.rows_end = sf_rows_end,
	.activate = sf_activate,
	.reject = sf_reject,
	.commit = sf_commit,
	.rollback = sf_rollback,
	.alive = sf_alive,
};

int main(void)
{
	return loader_main(&ops);
}
