/*
 * redshift.c - stitch-load-redshift: the ops of this kind of destination (loaders/runtime/loader.h) and its main. One connection for the life of the process, opened again
 * after a failure that left it unusable, and one bucket. Settings: host port user password dbname sslmode, numbers=double|exact, and s3_bucket s3_region s3_endpoint
 * s3_prefix s3_access_key s3_secret_key s3_session_token (the loader's own way into the bucket) and s3_iam_role (the cluster's; without it COPY gets the keys).
 * Secrets that a server repeats are taken out of its complaints.
 */
#include "loaders/redshift/redshift.h"

#include <locale.h>
#include <wctype.h>

#include "loaders/redshift/rs_error.h"
#include "timefmt.h"
#include "utf8.h"
#include "xalloc.h"

#define US_PER_DAY INT64_C(86400000000)
#define FULL_PAUSE (15 * 60 * NSEC_PER_SEC) /* a full cluster is not emptied by trying */

static const char *const reserved[] = {"bi", "bo", "ti", "do", "it", "de", "st", NULL};

static const char *setting(const struct redshift *r, const char *name)
{
	const char *v = json_string_value(json_object_get(r->settings, name));

	return v ? v : "";
}

static void tick(void *arg)
{
	struct redshift *r = arg;

	loader_tick(r->loader, r->phase);
}

static int s3_tick(void *arg)
{
	tick(arg);
	return 0;
}

/* --- names --- */

static uint32_t code_point(const char *p, size_t n)
{
	uint32_t c = (unsigned char)p[0] & (0xffu >> (n + 1));

	for (size_t k = 1; k < n; k++)
		c = c << 6 | ((unsigned char)p[k] & 0x3fu);
	return c;
}

/* Columns that every table has already. */
static bool is_system(struct str name)
{
	static const char *const names[] = {"oid", "tableoid", "ctid", "xmin", "xmax", "cmin", "cmax", "insertxid", "deletexid"};

	for (size_t k = 0; k < ARRAY_LEN(names); k++)
		if (str_eqc(name, names[k]))
			return true;
	return false;
}

/* Of ASCII letters, digits, blank, _ and $ stay; all is folded to lower case, as the server does, so that what it has and what files name are the same bytes. */
static void rs_name(struct str sent, struct buf *out)
{
	static locale_t unicode;
	const char *p = sent.ptr, *end = p + sent.len;
	size_t start = out->len;
	char low[4];

	if (!unicode)
		unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
	while (p < end) {
		size_t n = utf8_len(p, end);
		unsigned char c = (unsigned char)*p;

		if (n > 1) {
			buf_add(out, low, utf8_put(unicode ? (uint32_t)towlower_l((wint_t)code_point(p, n), unicode) : code_point(p, n), low));
			p += n;
			continue;
		}
		if (c >= 'A' && c <= 'Z')
			buf_addc(out, (char)(c - 'A' + 'a'));
		else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '$' || c == ' ')
			buf_addc(out, (char)c);
		p++;
	}
	if (is_system(str_mem(buf_cstr(out) + start, out->len - start)))
		buf_addc(out, '_');
}

/* --- complaints --- */

static void hide(struct buf *b, const char *secret)
{
	size_t n = strlen(secret);
	char *at;

	while (n > 3 && b->len && (at = memmem(b->data, b->len, secret, n)) != NULL) {
		struct buf rest = BUF_INIT;
		size_t before = (size_t)(at - b->data);

		buf_add(&rest, at + n, b->len - before - n);
		buf_truncate(b, before);
		buf_adds(b, "***");
		buf_addstr(b, buf_str(&rest));
		buf_free(&rest);
	}
}

static void hide_all(struct buf *b, const json_t *settings)
{
	static const char *const secrets[] = {"password", "s3_access_key", "s3_secret_key", "s3_session_token"};

	for (size_t k = 0; k < ARRAY_LEN(secrets); k++) {
		const char *v = json_string_value(json_object_get(settings, secrets[k]));

		if (v)
			hide(b, v);
	}
}

static char *complaint(const struct pg *p)
{
	return xasprintf("%s %s", buf_cstr(&p->message), buf_cstr(&p->detail));
}

static enum err_code class_of(struct pg *p, const char **fix)
{
	enum err_code code;
	char *text;

	hide_all(&p->message, p->settings);
	hide_all(&p->detail, p->settings);
	text = complaint(p);
	code = rs_error_class(p->state, text, fix);
	free(text);
	if (code == ERR_FULL)
		loader_retry_after(((struct redshift *)p->arg)->loader, FULL_PAUSE);
	return code;
}

const char *rs_load_errors_table(const struct redshift *r)
{
	char *text = complaint(&r->pg);
	const char *name = rs_error_load_table(text);

	free(text);
	return name;
}

const char *rs_fix(struct redshift *r)
{
	const char *fix;

	class_of(&r->pg, &fix);
	return fix;
}

int rs_s3_failed(const struct redshift *r, struct err *e)
{
	char *text = xstrdup(e->text);

	if (e->code == ERR_CONFIG && *s3_fix(r->s3))
		err_set(e, ERR_CONFIG, "%.350s; %s (the settings' names begin with s3_ here)", text, s3_fix(r->s3));
	free(text);
	return -1;
}

/* What changes a table waits for those who read it, but not for ever; a load that has its lock takes this off. */
static const char *const wishes[] = {"SET statement_timeout TO 170000", NULL};
static const struct pg_flavour flavour = {
	.name = "Redshift",
	.port = "5439",
	.oldest = 80000,
	.too_old = "the server is no Redshift",
	.wishes = wishes,
	.class_of = class_of,
};

/* --- open and close --- */

static void redshift_close(void *self)
{
	struct redshift *r = self;

	rs_rows_free(r);
	rs_load_forget(r);
	rs_forget_tables(r);
	buf_free(&r->ledger_rows);
	buf_free(&r->rejected);
	for (size_t k = 0; k < r->swept.n; k++)
		free(r->swept.s[k]);
	free(r->swept.s);
	free(r->staged.s);
	s3_close(r->s3);
	pg_free(&r->pg);
	json_decref(r->settings);
	free(r->credentials);
	free(r->prefix);
	free(r->server);
	free(r->lock);
	free(r);
}

static int read_numbers(struct redshift *r, struct err *e)
{
	const char *s = setting(r, "numbers");

	if (strcmp(s, "exact") == 0)
		r->numbers = NUMBERS_EXACT;
	else if (strcmp(s, "double") == 0)
		r->numbers = NUMBERS_DOUBLE;
	else if (*s && strcmp(s, "auto") != 0)
		return err_set(e, ERR_CONFIG, "the setting numbers can be auto (DOUBLE PRECISION, or DECIMAL(38,6) where a value has more digits; the default), double or exact");
	return 0;
}

/* They stand in COPY's text and in URLs: what could end a literal there is refused. */
static int check_texts(struct redshift *r, struct err *e)
{
	static const char *const names[] = {"s3_bucket", "s3_region", "s3_prefix", "s3_access_key", "s3_secret_key", "s3_session_token", "s3_iam_role", "s3_endpoint"};
	static const char *const needed[] = {"s3_bucket", "s3_access_key", "s3_secret_key"};
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:/+=,@*!";

	for (size_t k = 0; k < ARRAY_LEN(needed); k++)
		if (!*setting(r, needed[k]))
			return err_set(e, ERR_CONFIG, "the setting %s is missing: rows go to Redshift by way of files in a bucket of S3", needed[k]);
	for (size_t k = 0; k < ARRAY_LEN(names); k++) {
		json_t *v = json_object_get(r->settings, names[k]);

		if (v && !json_is_string(v) && !json_is_null(v))
			return err_set(e, ERR_CONFIG, "the setting %s must be text", names[k]);
		if (setting(r, names[k])[strspn(setting(r, names[k]), plain)])
			return err_set(e, ERR_CONFIG, "the setting %s has a character that cannot be in one", names[k]);
	}
	if (strlen(setting(r, "s3_prefix")) > 120)
		return err_set(e, ERR_CONFIG, "the setting s3_prefix is longer than 120 bytes");
	return 0;
}

static int open_bucket(struct redshift *r, struct err *e)
{
	const char *prefix = setting(r, "s3_prefix"), *role = setting(r, "s3_iam_role"), *token = setting(r, "s3_session_token");
	struct s3_conf c = {.endpoint = setting(r, "s3_endpoint"), .bucket = setting(r, "s3_bucket"), .region = setting(r, "s3_region"),
		.access_key = setting(r, "s3_access_key"), .secret_key = setting(r, "s3_secret_key"), .session_token = token, .tick = s3_tick, .tick_arg = r,
		.tries = 4, .idle_timeout = 30 * NSEC_PER_SEC}; /* the table is locked meanwhile */

	r->bucket = c.bucket;
	r->prefix = xasprintf("%s%s", prefix, *prefix && prefix[strlen(prefix) - 1] != '/' ? "/" : "");
	if (strcmp(role, "default") == 0)
		r->credentials = xstrdup("IAM_ROLE default");
	else if (*role)
		r->credentials = xasprintf("IAM_ROLE '%s'", role);
	else
		r->credentials = xasprintf("ACCESS_KEY_ID '%s' SECRET_ACCESS_KEY '%s'%s%s%s", c.access_key, c.secret_key, *token ? " SESSION_TOKEN '" : "", token, *token ? "'" : "");
	r->s3 = s3_open(&c, e);
	return r->s3 ? 0 : -1;
}

/* "Redshift 1.0.99999 at host:port/db, as user" */
static void name_server(struct redshift *r)
{
	PGresult *res = pg_query(&r->pg, "SELECT version()", 0, NULL, NULL);
	const char *text = res && PQntuples(res) ? strstr(PQgetvalue(res, 0, 0), "Redshift ") : NULL;

	r->server = xasprintf("%.40s at %s:%s/%s, as %s", text ? text : "Redshift", PQhost(r->pg.conn), PQport(r->pg.conn), PQdb(r->pg.conn), PQuser(r->pg.conn));
	PQclear(res);
}

static void *redshift_open(struct loader *l, const json_t *settings, struct buf *fix, struct err *e)
{
	struct redshift *r = xcalloc(1, sizeof(*r));

	r->loader = l;
	r->phase = "connecting";
	r->settings = json_deep_copy(settings);
	/* 1600 columns are possible; the staging table has one more than the table, and one may be on its way to another type */
	r->dialect = (struct dialect){.suffix = {"bi", "do", "bo", "ti", "st", "st"}, .reserved = reserved, .nesting = NEST_FLATTEN, .rename_first = true,
		.column_max = 115, .table_max = 127, .columns_max = 1597, .strip_special = true, .name = rs_name};
	r->dialect.time_min = timefmt_days(1, 1, 1) * US_PER_DAY;
	r->dialect.time_max = timefmt_days(10000, 1, 1) * US_PER_DAY - 1;
	if (pg_init(&r->pg, r->settings, NULL, tick, r, e) || read_numbers(r, e) || check_texts(r, e) || open_bucket(r, e)) {
		buf_adds(fix, "Correct the setting.");
		goto fail;
	}
	if (r->numbers == NUMBERS_EXACT) {
		r->dialect.suffix[COL_NUMBER] = "de";
		r->dialect.int_digits = 32;
		r->dialect.frac_digits = 6;
	}
	r->pg.flavour = &flavour;
	if (pg_connect(&r->pg, e)) {
		const char *what = rs_fix(r);

		buf_adds(fix, *what ? what : "Is the cluster running, and are host, port and its security group right?");
		goto fail;
	}
	name_server(r);
	return r;
fail:
	redshift_close(r);
	return NULL;
}

static const char *redshift_server(void *self)
{
	return ((struct redshift *)self)->server;
}

static const struct dialect *redshift_dialect(void *self)
{
	return &((struct redshift *)self)->dialect;
}

static bool redshift_alive(void *self)
{
	struct redshift *r = self;

	return pg_usable(&r->pg) && PQtransactionStatus(r->pg.conn) == PQTRANS_IDLE;
}

static const struct loader_ops redshift_ops = {
	.kind = "redshift",
	.open = redshift_open,
	.close = redshift_close,
	.server = redshift_server,
	.dialect = redshift_dialect,
	.check = rs_check,
	.sample = rs_sample,
	.prepare = rs_prepare,
	.describe = rs_describe,
	.subtables = rs_subtables,
	.change = rs_change,
	.ddl = rs_ddl,
	.begin = rs_begin,
	.ledger_get = rs_ledger_get,
	.ledger_ranges = rs_ledger_ranges,
	.ledger_put = rs_ledger_put,
	.rows_begin = rs_rows_begin,
	.put = rs_put,
	.rows_end = rs_rows_end,
	.tally = rs_tally,
	.activate = rs_activate,
	.reject = rs_reject,
	.commit = rs_commit,
	.rollback = rs_rollback,
	.alive = redshift_alive,
	.interrupt = pg_interrupt,
};

int main(void)
{
	return loader_main(&redshift_ops);
}
