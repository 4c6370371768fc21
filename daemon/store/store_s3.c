/*
 * store_s3.c - batch files in a bucket: s3://BUCKET/PREFIX?endpoint=URL&region=NAME&style=path|host&sse=HOW. A put is over when the server has the bytes (it checks their sha256) and shows the
 * object at its length; so a batch's row is written only for what can be read again.
 *
 * A client of shared/s3.h serves one thread at a time, so there is a handful of them, made as threads ask. What can go wrong: the bucket is away (the asker tries again: the streamery
 * holds its batches, the log its records), slow (each call ends within a minute or so), or refuses (the text says what a person does). A get goes to a file without a name below
 * the state folder, because a loader reads it at its own pace.
 */
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "daemon/store/store_ops.h"
#include "file.h"
#include "s3.h"
#include "xalloc.h"

#define TRIES 3
#define IDLE (15 * NSEC_PER_SEC)
#define CLIENTS_KEPT 8

struct s3_store {
	struct store s;
	struct s3_conf conf; /* its strings are below */
	char *bucket, *prefix, *endpoint, *region, *sse, *access_key, *secret_key, *session_token, *dir;
	pthread_mutex_t lock; /* guards the rest */
	struct s3 *free[CLIENTS_KEPT];
	size_t n_free;
	char fix[500]; /* of the newest failure */
};

static struct s3_store *self(struct store *s)
{
	return container_of(s, struct s3_store, s);
}

/* --- opening --- */

static void wipe(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

static void s3s_close(struct store *s)
{
	struct s3_store *d = self(s);

	for (size_t k = 0; k < d->n_free; k++)
		s3_close(d->free[k]);
	pthread_mutex_destroy(&d->lock);
	free(d->bucket);
	free(d->prefix);
	free(d->endpoint);
	free(d->region);
	free(d->sse);
	free(d->access_key);
	free(d->dir);
	wipe(d->secret_key);
	wipe(d->session_token);
	free(d);
}

/* NAME=VALUE of the URL's query; values may be percent-encoded. */
static int take_option(struct s3_store *d, struct str option, struct err *e)
{
	const char *eq = memchr(option.ptr, '=', option.len);
	struct str name = eq ? str_mem(option.ptr, (size_t)(eq - option.ptr)) : option;
	struct buf value = BUF_INIT;
	char **to = str_eqc(name, "endpoint") ? &d->endpoint : str_eqc(name, "region") ? &d->region : str_eqc(name, "sse") ? &d->sse : NULL;

	for (const char *p = eq ? eq + 1 : option.ptr + option.len; p < option.ptr + option.len; p++) {
		unsigned char c = (unsigned char)*p;

		if (c == '%' && option.ptr + option.len - p > 2 && str_from_hex(str_mem(p + 1, 2), &c, 1) == 0)
			p += 2;
		buf_addc(&value, (char)c);
	}
	if (to) {
		free(*to);
		*to = xstrdup(buf_cstr(&value));
	} else if (str_eqc(name, "style") && str_eqc(buf_str(&value), "path")) {
		d->conf.style = S3_STYLE_PATH;
	} else if (str_eqc(name, "style") && str_eqc(buf_str(&value), "host")) {
		d->conf.style = S3_STYLE_HOST;
	} else {
		buf_free(&value);
		return err_set(e, ERR_INVALID, "in the store's URL \"" STR_FMT "\" is none of endpoint=, region=, sse=, style=path and style=host", STR_ARG(option));
	}
	buf_free(&value);
	return 0;
}

static int parse(struct s3_store *d, const char *rest, struct err *e)
{
	const char *query, *slash, *end;

	if (strncmp(rest, "//", 2) != 0)
		return err_set(e, ERR_INVALID, "a store in S3 is s3://BUCKET/PREFIX?endpoint=URL&region=NAME");
	rest += 2;
	query = strchr(rest, '?');
	end = query ? query : rest + strlen(rest);
	slash = memchr(rest, '/', (size_t)(end - rest));
	d->bucket = xstrndup(rest, (size_t)((slash ? slash : end) - rest));
	while (slash && slash < end && *slash == '/')
		slash++;
	while (slash && end > slash && end[-1] == '/')
		end--;
	d->prefix = slash && end > slash ? xasprintf("%.*s/", (int)(end - slash), slash) : xstrdup("");
	while (query && *query) {
		size_t n = strcspn(++query, "&");

		if (n && take_option(d, str_mem(query, n), e))
			return -1;
		query += n;
	}
	return 0;
}

/* Of the config; else what Amazon's own programs take. */
static char *key_of(const char *set, const char *variable)
{
	const char *v = set && *set ? set : getenv(variable);

	return v && *v ? xstrdup(v) : NULL;
}

static struct store *s3s_open(const char *rest, const char *state_dir, const struct store_keys *keys, struct err *e)
{
	struct s3_store *d = xcalloc(1, sizeof(*d));
	struct s3 *first;

	pthread_mutex_init(&d->lock, NULL);
	d->dir = xstrdup(state_dir);
	if (parse(d, rest, e))
		goto fail;
	d->access_key = key_of(keys->access_key, "AWS_ACCESS_KEY_ID");
	d->secret_key = key_of(keys->secret_key, "AWS_SECRET_ACCESS_KEY");
	d->session_token = key_of(keys->session_token, "AWS_SESSION_TOKEN");
	d->conf.bucket = d->bucket;
	d->conf.endpoint = d->endpoint;
	d->conf.region = d->region;
	d->conf.sse = d->sse;
	d->conf.access_key = d->access_key;
	d->conf.secret_key = d->secret_key;
	d->conf.session_token = d->session_token;
	d->conf.tries = TRIES;
	d->conf.idle_timeout = IDLE;
	/* no request: stitchd starts and accepts also while the bucket is away */
	first = s3_open(&d->conf, e);
	if (!first) {
		err_wrap(e, "store_access_key and store_secret_key, or the URL");
		goto fail;
	}
	d->free[d->n_free++] = first;
	return &d->s;
fail:
	s3s_close(&d->s);
	return NULL;
}

/* --- clients --- */

static struct s3 *client(struct s3_store *d, struct err *e)
{
	struct s3 *c = NULL;

	pthread_mutex_lock(&d->lock);
	if (d->n_free)
		c = d->free[--d->n_free];
	pthread_mutex_unlock(&d->lock);
	return c ? c : s3_open(&d->conf, e);
}

/* Gives it back, and says what a person does about a failure. */
static int done(struct s3_store *d, struct s3 *c, int rc)
{
	pthread_mutex_lock(&d->lock);
	if (rc)
		snprintf(d->fix, sizeof(d->fix), "%s", s3_fix(c));
	if (d->n_free < CLIENTS_KEPT) {
		d->free[d->n_free++] = c;
		c = NULL;
	}
	pthread_mutex_unlock(&d->lock);
	s3_close(c);
	return rc;
}

static void s3s_fix(struct store *s, struct buf *out)
{
	struct s3_store *d = self(s);

	pthread_mutex_lock(&d->lock);
	buf_adds(out, d->fix);
	pthread_mutex_unlock(&d->lock);
}

static char *key(const struct s3_store *d, const char *name)
{
	return xasprintf("%s%s", d->prefix, name);
}

/* --- operations --- */

static int put_and_see(struct s3 *c, const char *k, const void *data, size_t len, struct err *e)
{
	struct s3_object o;

	if (s3_put(c, k, str_mem(data, len), NULL, e) || s3_head(c, k, &o, e))
		return -1;
	return o.size == len ? 0 : err_set(e, ERR_IO, "\"%s\" has %" PRIu64 " bytes and should have %zu", k, o.size, len);
}

static int s3s_put(struct store *s, const char *name, const void *data, size_t len, struct err *e)
{
	struct s3_store *d = self(s);
	struct s3 *c = client(d, e);
	char *k = key(d, name);
	int rc = c ? done(d, c, put_and_see(c, k, data, len, e)) : -1;

	free(k);
	return rc;
}

static int s3s_get(struct store *s, const char *name, struct err *e)
{
	struct s3_store *d = self(s);
	struct s3 *c = client(d, e);
	int fd = c ? file_temp(d->dir, e) : -1, rc = -1;
	char *k = key(d, name);

	if (fd >= 0)
		rc = s3_get_fd(c, k, 0, 0, fd, NULL, e);
	if (!rc && lseek(fd, 0, SEEK_SET) < 0)
		rc = err_errno(e, errno, "a temporary file in %s", d->dir);
	if (c)
		rc = done(d, c, rc);
	if (rc && fd >= 0)
		close(fd);
	free(k);
	return rc ? -1 : fd;
}

static int s3s_stat(struct store *s, const char *name, uint64_t *bytes, struct err *e)
{
	struct s3_store *d = self(s);
	struct s3 *c = client(d, e);
	struct s3_object o = {.size = 0};
	char *k = key(d, name);
	int rc = c ? done(d, c, s3_head(c, k, &o, e)) : -1;

	*bytes = o.size;
	free(k);
	return rc;
}

static int s3s_del(struct store *s, const char *name, struct err *e)
{
	struct s3_store *d = self(s);
	struct s3 *c = client(d, e);
	char *k = key(d, name);
	int rc = c ? done(d, c, s3_delete(c, k, e)) : -1;

	free(k);
	return rc;
}

struct walk { size_t skip; store_list_fn *fn; void *arg; };

static int one(const struct s3_object *o, void *arg)
{
	const struct walk *w = arg;

	w->fn(o->key + w->skip, o->size, w->arg);
	return 0;
}

static int s3s_list(struct store *s, const char *prefix, store_list_fn *fn, void *arg, struct err *e)
{
	struct s3_store *d = self(s);
	struct walk w = {strlen(d->prefix), fn, arg};
	struct s3 *c = client(d, e);
	char *k = key(d, prefix);
	int rc = c ? done(d, c, s3_list(c, k, NULL, one, &w, e)) : -1;

	free(k);
	return rc;
}

const struct store_ops store_s3_ops = {
	.scheme = "s3",
	.open = s3s_open,
	.close = s3s_close,
	.put = s3s_put,
	.get = s3s_get,
	.stat = s3s_stat,
	.del = s3s_del,
	.list = s3s_list,
	.fix = s3s_fix,
};
