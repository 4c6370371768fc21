/*
 * s3.c - one bucket over HTTP: settings, the signed call with its retries, and the operations that are one call each (s3_upload.c has those of many).
 *
 * libcurl signs path and query exactly as they are given, so all that goes into a URL is encoded here as the canonical form wants it (query parameters sorted, each with '=', upper-case hex),
 * x-amz-content-sha256 is always sent, and no header is ever taken away. What can go wrong: a clock that is off (the server's Date is taken once), an answer that was
 * lost (the call is done again: each is one that may be done twice), a bucket elsewhere (the region is named).
 */
#include "base.h"

/* OpenSSL has a type with the name of one of our error codes */
#define ERR_STATE OPENSSL_ERR_STATE
#include <openssl/evp.h>
#undef ERR_STATE

#include <curl/curl.h>
#include <errno.h>
#include <sys/random.h>
#include <unistd.h>

#include "s3_priv.h"
#include "timefmt.h"
#include "xalloc.h"

#define PAUSE_FIRST (200 * NSEC_PER_MSEC)
#define PAUSE_MAX (5 * NSEC_PER_SEC)
#define PAUSE_TOLD_MAX (20 * NSEC_PER_SEC) /* a longer Retry-After is the caller's business */
#define PUT_PARTS_FROM (64u << 20)

/* --- settings --- */

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

static int check_conf(const struct s3_conf *c, struct err *e)
{
	const char *bucket = or_empty(c->bucket), *sse = or_empty(c->sse);

	if (!*bucket || bucket[strspn(bucket, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")])
		return err_set(e, ERR_CONFIG, "\"%.80s\" cannot be the name of a bucket: letters, digits, dots and hyphens", bucket);
	if (or_empty(c->region)[strspn(or_empty(c->region), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")])
		return err_set(e, ERR_CONFIG, "\"%.80s\" cannot be the name of a region; it looks like eu-west-1", c->region);
	if (!*or_empty(c->access_key) || !*or_empty(c->secret_key))
		return err_set(e, ERR_CONFIG, "the access key or its secret is missing");
	if (strchr(c->access_key, ':'))
		return err_set(e, ERR_CONFIG, "an access key has no colon in it");
	if (*sse && strcmp(sse, "AES256") != 0 && strcmp(sse, "aws:kms") != 0 && !str_starts(str_c(sse), STR("aws:kms:")))
		return err_set(e, ERR_CONFIG, "\"%.80s\" is no way to encrypt objects; it is AES256, aws:kms or aws:kms:KEY-ID", sse);
	if (strlen(sse) > 200)
		return err_set(e, ERR_CONFIG, "the name of the KMS key is too long");
	return 0;
}

/* scheme and host of the endpoint; it has no path. */
static int split_endpoint(struct s3 *s, const char *endpoint, struct err *e)
{
	const char *sep;
	size_t n;

	if (*endpoint)
		s->endpoint = xstrdup(endpoint);
	else if (str_starts(str_c(s->region), STR("cn-")))
		s->endpoint = xasprintf("https://s3.%s.amazonaws.com.cn", s->region);
	else
		s->endpoint = xasprintf("https://s3.%s.amazonaws.com", s->region);
	for (n = strlen(s->endpoint); n && s->endpoint[n - 1] == '/'; n--)
		s->endpoint[n - 1] = '\0';
	sep = strstr(s->endpoint, "://");
	if (!sep || !sep[3] || strpbrk(sep + 3, "/?#@ "))
		return err_set(e, ERR_CONFIG, "the endpoint must look like https://HOST or http://HOST:PORT, without a path");
	s->host = xstrdup(sep + 3);
	return 0;
}

struct s3 *s3_open(const struct s3_conf *c, struct err *e)
{
	struct s3 *s = xcalloc(1, sizeof(*s));
	struct http_opts o = {.tick = c->tick, .tick_arg = c->tick_arg, .idle_timeout = c->idle_timeout};
	const char *sse = or_empty(c->sse);
	bool path;

	if (check_conf(c, e))
		goto fail;
	s->bucket = xstrdup(c->bucket);
	s->region = xstrdup(*or_empty(c->region) ? c->region : "us-east-1");
	if (split_endpoint(s, or_empty(c->endpoint), e))
		goto fail;
	path = c->style == S3_STYLE_PATH || (c->style == S3_STYLE_AUTO && (*or_empty(c->endpoint) || strchr(c->bucket, '.')));
	s->base = path ? xasprintf("%s/%s", s->endpoint, s->bucket) : xasprintf("%.*s%s.%s", (int)(strstr(s->endpoint, "://") + 3 - s->endpoint), s->endpoint, s->bucket, s->host);
	s->sigv4 = xasprintf("aws:amz:%s:s3", s->region);
	s->userpwd = xasprintf("%s:%s", c->access_key, c->secret_key);
	if (*or_empty(c->session_token))
		s->token_header = xasprintf("x-amz-security-token: %s", c->session_token);
	if (str_starts(str_c(sse), STR("aws:kms:"))) {
		s->sse = xstrdup("aws:kms");
		s->kms_key = xstrdup(sse + strlen("aws:kms:"));
	} else if (*sse) {
		s->sse = xstrdup(sse);
	}
	if (c->ca_file)
		o.ca_file = s->ca_file = xstrdup(c->ca_file);
	s->tries = c->tries ? c->tries : S3_TRIES;
	s->tick = c->tick;
	s->tick_arg = c->tick_arg;
	s->http = http_new(&o);
	return s;
fail:
	s3_close(s);
	return NULL;
}

static void free_secret(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

void s3_close(struct s3 *s)
{
	if (!s)
		return;
	http_free(s->http);
	http_answer_free(&s->answer);
	free_secret(s->userpwd);
	free_secret(s->token_header);
	free(s->endpoint);
	free(s->host);
	free(s->base);
	free(s->bucket);
	free(s->region);
	free(s->sse);
	free(s->kms_key);
	free(s->sigv4);
	free(s->ca_file);
	free(s->server);
	free(s);
}

const char *s3_fix(const struct s3 *s)
{
	return s->fix;
}

const char *s3_code(const struct s3 *s)
{
	return s->code;
}

unsigned s3_status(const struct s3 *s)
{
	return s->status;
}

const char *s3_server(const struct s3 *s)
{
	return s->server ? s->server : s->host;
}

uint64_t s3_requests(const struct s3 *s)
{
	return s->requests;
}

int s3_key_check(const char *key, struct err *e)
{
	size_t n = strlen(key);

	if (!n || n > S3_KEY_MAX)
		return err_set(e, ERR_INVALID, n ? "a key of %zu bytes is longer than the 1024 that S3 takes" : "an object without a key", n);
	return 0;
}

/* --- one call --- */

int s3_tick(struct s3 *s, struct err *e)
{
	return s->tick && s->tick(s->tick_arg) ? err_set(e, ERR_STATE, "given up") : 0;
}

static int pause_for(struct s3 *s, int64_t ns, struct err *e)
{
	while (ns > 0) {
		int64_t slice = MIN(ns, NSEC_PER_SEC / 2);
		struct timespec ts = {.tv_sec = slice / NSEC_PER_SEC, .tv_nsec = slice % NSEC_PER_SEC};

		if (s3_tick(s, e))
			return -1;
		nanosleep(&ts, NULL);
		ns -= slice;
	}
	return 0;
}

/* Half of it fixed, half by chance, so that many who were sent away together do not come back together. */
static int64_t pause_before(unsigned try)
{
	int64_t ns = MIN(PAUSE_FIRST << MIN(try, 10u), PAUSE_MAX);
	uint32_t r = 0;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = UINT32_MAX / 2;
	return ns / 2 + (int64_t)((double)(ns / 2) * r / UINT32_MAX);
}

static int sha256_fd(int fd, uint64_t off, uint64_t len, unsigned char out[32], struct err *e)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	char *room = xmalloc(256 << 10);
	int rc = -1;

	if (!md || !EVP_DigestInit_ex(md, EVP_sha256(), NULL))
		abort(); /* only for want of memory */
	while (len) {
		ssize_t n = pread(fd, room, (size_t)MIN(len, (uint64_t)(256 << 10)), (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n < 0)
				err_errno(e, errno, "reading what is to be stored");
			else
				err_set(e, ERR_IO, "the file that is to be stored is shorter than it was said to be");
			goto out;
		}
		EVP_DigestUpdate(md, room, (size_t)n);
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	EVP_DigestFinal_ex(md, out, NULL);
	rc = 0;
out:
	EVP_MD_CTX_free(md);
	free(room);
	return rc;
}

static int hash_header(const struct s3_call *c, struct buf *out, struct err *e)
{
	unsigned char h[EVP_MAX_MD_SIZE];

	if (c->from_fd) {
		if (sha256_fd(c->fd, c->off, c->len, h, e))
			return -1;
	} else if (!EVP_Digest(c->body.len ? c->body.ptr : "", c->body.len, h, NULL, EVP_sha256(), NULL)) {
		abort();
	}
	buf_adds(out, "x-amz-content-sha256: ");
	buf_add_hex(out, h, 32);
	return 0;
}

/* libcurl takes the time from this header if it is there. */
static void date_header(const struct s3 *s, char out[64])
{
	char iso[TIMEFMT_MAX];
	size_t n = 0;

	timefmt_iso((time(NULL) + s->skew) * NSEC_PER_SEC, 0, iso);
	n = (size_t)snprintf(out, 64, "X-Amz-Date: ");
	for (const char *p = iso; *p; p++)
		if (*p != '-' && *p != ':')
			out[n++] = *p;
	out[n] = '\0';
}

static void note_server(struct s3 *s)
{
	struct str name = http_header(&s->answer, "Server");

	if (!name.len || name.len > 60 || (s->server && strncmp(s->server, name.ptr, name.len) == 0))
		return;
	free(s->server);
	s->server = xasprintf(STR_FMT " (%s)", STR_ARG(name), s->host);
}

void s3_header_add(struct s3_call *c, const char *line)
{
	for (size_t k = 0; k + 1 < S3_HEADERS; k++)
		if (!c->headers[k]) {
			c->headers[k] = line;
			return;
		}
	assert(!"room for headers");
}

void s3_header_object(const struct s3 *s, struct s3_call *c, const struct s3_put *o, struct s3_lines *room)
{
	snprintf(room->type, sizeof(room->type), "Content-Type: %s", o && o->content_type ? o->content_type : "application/octet-stream");
	s3_header_add(c, room->type);
	if (o && o->note) {
		snprintf(room->note, sizeof(room->note), S3_NOTE ": %s", o->note);
		s3_header_add(c, room->note);
	}
	if (s->sse) {
		snprintf(room->sse, sizeof(room->sse), "x-amz-server-side-encryption: %s", s->sse);
		s3_header_add(c, room->sse);
	}
	if (s->kms_key) {
		snprintf(room->kms, sizeof(room->kms), "x-amz-server-side-encryption-aws-kms-key-id: %s", s->kms_key);
		s3_header_add(c, room->kms);
	}
}

static void make_url(const struct s3 *s, const struct s3_call *c, struct buf *url)
{
	buf_addf(url, "%s/", s->base);
	if (c->key)
		http_encode(url, str_c(c->key), true);
	if (c->query)
		buf_addf(url, "?%s", c->query);
}

static int send_once(struct s3 *s, const struct s3_call *c, const char *url, const char *hash, struct err *e)
{
	const char *headers[S3_HEADERS + 4];
	struct http_request r = {.method = c->method, .url = url, .headers = headers, .body = c->body, .from_fd = c->from_fd, .body_fd = c->fd, .body_off = c->off,
		.body_len = c->len, .answer_max = c->answer_max, .to_fd = c->to_fd, .answer_fd = c->fd, .sigv4 = s->sigv4, .userpwd = s->userpwd};
	char date[64];
	size_t n = 0;
	int rc;

	for (size_t k = 0; k < S3_HEADERS && c->headers[k]; k++)
		headers[n++] = c->headers[k];
	headers[n++] = hash;
	if (s->skew) {
		date_header(s, date);
		headers[n++] = date;
	}
	if (s->token_header)
		headers[n++] = s->token_header;
	headers[n] = NULL;
	s->requests++;
	rc = http_send(s->http, &r, &s->answer, e);
	if (rc == 0)
		note_server(s);
	return rc;
}

static bool success(const struct s3 *s, const struct s3_call *c)
{
	return s->answer.status / 100 == 2 && !(c->late && s->answer.body.len && memmem(s->answer.body.data, s->answer.body.len, "<Error>", 7));
}

static void take_skew(struct s3 *s)
{
	struct str date = http_header(&s->answer, "Date");
	char text[64];
	time_t at;

	if (!date.len || str_copy(text, sizeof(text), date))
		return;
	at = curl_getdate(text, NULL);
	if (at != (time_t)-1)
		s->skew = at - time(NULL);
}

/* What a try has already written to a file is taken back before the next. */
static int take_back(const struct s3_call *c, off_t from, struct err *e)
{
	if (!c->to_fd)
		return 0;
	if (ftruncate(c->fd, from) || lseek(c->fd, from, SEEK_SET) < 0)
		return err_errno(e, errno, "taking back what was received");
	return 0;
}

static int tries(struct s3 *s, const struct s3_call *c, const char *url, const char *hash, struct err *e)
{
	unsigned max = c->tries ? c->tries : s->tries, try, timeouts = 0;
	off_t from = c->to_fd ? lseek(c->fd, 0, SEEK_CUR) : 0;
	bool skewed = false;

	for (try = 1;; try++) {
		enum s3_verdict v;
		int64_t told;

		if (send_once(s, c, url, hash, e) == 0) {
			if (success(s, c))
				return 0;
		} else if (!http_not_sent(s->http)) {
			s->unknown = true;
		}
		v = s3_judge(s, c, e);
		/* a server that is silent is not asked five times for a minute each */
		if (e->code == ERR_TIMEOUT && ++timeouts == 2)
			return -1;
		if (v == S3_SKEW && !skewed) {
			skewed = true;
			take_skew(s);
			max++;
		} else if (v != S3_AGAIN || try >= max) {
			return -1;
		}
		told = s->status ? http_retry_after(&s->answer) : -1;
		if (told > PAUSE_TOLD_MAX || take_back(c, from, e))
			return -1;
		if (v == S3_AGAIN && pause_for(s, told > 0 ? told + pause_before(0) : pause_before(try - 1), e))
			return -1;
	}
}

int s3_call(struct s3 *s, const struct s3_call *c, struct err *e)
{
	struct err own = ERR_INIT;
	struct buf url = BUF_INIT, hash = BUF_INIT;
	int rc = -1;

	if (!e)
		e = &own;
	s->code[0] = s->message[0] = s->fix[0] = '\0';
	s->status = 0;
	s->unknown = false;
	if (!c->key || s3_key_check(c->key, e) == 0) {
		make_url(s, c, &url);
		if (hash_header(c, &hash, e) == 0)
			rc = tries(s, c, buf_cstr(&url), buf_cstr(&hash), e);
	}
	buf_free(&url);
	buf_free(&hash);
	return rc;
}

/* --- operations of one call --- */

static int put(struct s3 *s, struct s3_call *c, const struct s3_put *o, struct err *e)
{
	struct s3_lines room;

	s3_header_object(s, c, o, &room);
	if (o && o->if_absent)
		s3_header_add(c, "If-None-Match: *");
	return s3_call(s, c, e);
}

int s3_put(struct s3 *s, const char *key, struct str data, const struct s3_put *o, struct err *e)
{
	struct s3_call c = {.method = "PUT", .what = "put", .key = key, .body = data};

	return put(s, &c, o, e);
}

int s3_put_fd(struct s3 *s, const char *key, int fd, uint64_t off, uint64_t len, const struct s3_put *o, struct err *e)
{
	struct s3_call c = {.method = "PUT", .what = "put", .key = key, .from_fd = true, .fd = fd, .off = off, .len = len};

	return len > PUT_PARTS_FROM ? s3_put_parts(s, key, fd, off, len, o, e) : put(s, &c, o, e);
}

static void range_header(uint64_t off, uint64_t len, char out[64], struct s3_call *c)
{
	if (!off && !len)
		return;
	if (len)
		snprintf(out, 64, "Range: bytes=%" PRIu64 "-%" PRIu64, off, off + len - 1);
	else
		snprintf(out, 64, "Range: bytes=%" PRIu64 "-", off);
	s3_header_add(c, out);
}

int s3_get(struct s3 *s, const char *key, uint64_t off, uint64_t len, size_t max, struct buf *out, struct err *e)
{
	struct s3_call c = {.method = "GET", .what = "get", .key = key, .answer_max = MAX(max, (size_t)4096)};
	char range[64];

	range_header(off, len, range, &c);
	if (s3_call(s, &c, e))
		return -1;
	if (s->answer.body.len > max)
		return err_set(e, ERR_INVALID, "\"%s\" is larger than the %zu bytes that were expected at most", key, max);
	buf_addstr(out, buf_str(&s->answer.body));
	return 0;
}

int s3_get_fd(struct s3 *s, const char *key, uint64_t off, uint64_t len, int fd, uint64_t *bytes, struct err *e)
{
	struct s3_call c = {.method = "GET", .what = "get", .key = key, .to_fd = true, .fd = fd};
	char range[64];

	range_header(off, len, range, &c);
	if (s3_call(s, &c, e))
		return -1;
	if (bytes)
		*bytes = s->answer.bytes;
	return 0;
}

static void take_etag(struct str v, char out[80])
{
	if (v.len >= 2 && v.ptr[0] == '"' && v.ptr[v.len - 1] == '"')
		v = str_mem(v.ptr + 1, v.len - 2);
	str_copy(out, 80, v);
}

/* The answer to HEAD has no words; that to a GET of its first byte says why it is refused. */
static int ask_why(struct s3 *s, const char *key, struct err *e)
{
	struct s3_call c = {.method = "GET", .what = "look at", .key = key, .headers = {"Range: bytes=0-0"}};
	struct err why = ERR_INIT;

	if (s3_call(s, &c, &why) && s->code[0])
		*e = why;
	return -1;
}

int s3_head(struct s3 *s, const char *key, struct s3_object *out, struct err *e)
{
	struct s3_call c = {.method = "HEAD", .what = "look at", .key = key};
	struct err own = ERR_INIT;
	struct str date;
	char text[64];
	time_t at = (time_t)-1;

	if (!e)
		e = &own;
	if (s3_call(s, &c, e))
		return e->code == ERR_CONFIG && s->status / 100 == 4 ? ask_why(s, key, e) : -1;
	*out = (struct s3_object){.key = key};
	if (str_to_u64(http_header(&s->answer, "Content-Length"), &out->size))
		return err_set(e, ERR_TRANSIENT, "the server does not tell the length of \"%s\"", key);
	take_etag(http_header(&s->answer, "ETag"), out->etag);
	str_copy(out->note, sizeof(out->note), http_header(&s->answer, S3_NOTE));
	date = http_header(&s->answer, "Last-Modified");
	if (date.len && !str_copy(text, sizeof(text), date))
		at = curl_getdate(text, NULL);
	out->modified = at == (time_t)-1 ? 0 : at * NSEC_PER_SEC;
	return 0;
}

int s3_delete(struct s3 *s, const char *key, struct err *e)
{
	struct s3_call c = {.method = "DELETE", .what = "delete", .key = key};

	if (s3_call(s, &c, e) == 0)
		return 0;
	if (e->code != ERR_NOT_FOUND)
		return -1;
	err_clear(e);
	return 0;
}
