/*
 * http.c - the libcurl side of http.h.
 *
 * One easy handle, reset before each request, so that connections, names and TLS sessions are kept. Every body is sent with its length (a server of S3 refuses chunks) by callbacks that can
 * start again, because libcurl does so when a kept connection turns out to be dead. libcurl calls the progress callback about once a second even when nothing moves: that is
 * the tick. What can go wrong: a server that never answers (idle_timeout), an answer without an end (answer_max), a header with a line end in it (refused before it is sent).
 */
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "http.h"
#include "xalloc.h"

#define ANSWER_MAX (1u << 20)
#define HEADERS_MAX (64u << 10)
#define CONNECT_TIMEOUT (10 * NSEC_PER_SEC)
#define IDLE_TIMEOUT (60 * NSEC_PER_SEC)
#define RETRY_AFTER_MAX (3600 * NSEC_PER_SEC)

struct http {
	CURL *curl;
	struct http_opts o;
	/* of the request under way */
	const struct http_request *r;
	struct http_answer *a;
	struct err *e;
	uint64_t sent;
	bool gave_up, failed; /* the tick said so; one of our callbacks has filled e */
	bool not_sent;
	char error[CURL_ERROR_SIZE];
};

static void init_once(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		abort(); /* only for want of memory */
	/* libcurl leaves signals alone (NOSIGNAL, for threads), and a TLS library may write to a connection that is gone */
	signal(SIGPIPE, SIG_IGN);
}

struct http *http_new(const struct http_opts *o)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct http *h = xcalloc(1, sizeof(*h));

	pthread_once(&once, init_once);
	if (o)
		h->o = *o;
	if (!h->o.connect_timeout)
		h->o.connect_timeout = CONNECT_TIMEOUT;
	if (!h->o.idle_timeout)
		h->o.idle_timeout = IDLE_TIMEOUT;
	h->curl = curl_easy_init();
	if (!h->curl)
		abort();
	return h;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	curl_easy_cleanup(h->curl);
	free(h);
}

bool http_not_sent(const struct http *h)
{
	return h->not_sent;
}

void http_answer_free(struct http_answer *a)
{
	buf_free(&a->body);
	buf_free(&a->headers);
	*a = HTTP_ANSWER_INIT;
}

/* --- callbacks --- */

static size_t on_read(char *p, size_t size, size_t n, void *arg)
{
	struct http *h = arg;
	const struct http_request *r = h->r;
	uint64_t all = r->from_fd ? r->body_len : r->body.len;
	size_t want = (size_t)MIN((uint64_t)(size * n), all - h->sent);
	ssize_t got;

	if (!want)
		return 0;
	if (!r->from_fd) {
		memcpy(p, r->body.ptr + h->sent, want);
		h->sent += want;
		return want;
	}
	do
		got = pread(r->body_fd, p, want, (off_t)(r->body_off + h->sent));
	while (got < 0 && errno == EINTR);
	if (got <= 0) {
		h->failed = true;
		if (got < 0)
			err_errno(h->e, errno, "reading what is to be sent");
		else
			err_set(h->e, ERR_IO, "the file that is to be sent is shorter than it was said to be");
		return CURL_READFUNC_ABORT;
	}
	h->sent += (uint64_t)got;
	return (size_t)got;
}

static int on_seek(void *arg, curl_off_t off, int origin)
{
	struct http *h = arg;

	if (origin != SEEK_SET || off < 0)
		return CURL_SEEKFUNC_CANTSEEK;
	h->sent = (uint64_t)off;
	return CURL_SEEKFUNC_OK;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct http *h = arg;
	size_t len = size * n;

	if (len > 5 && memcmp(p, "HTTP/", 5) == 0)
		buf_truncate(&h->a->headers, 0); /* a 100 came before, or a proxy spoke */
	if (h->a->headers.len + len > HEADERS_MAX) {
		h->failed = true;
		err_set(h->e, ERR_INVALID, "the server answered with too many headers");
		return 0;
	}
	buf_add(&h->a->headers, p, len);
	return len;
}

static int to_file(struct http *h, const char *p, size_t len)
{
	while (len) {
		ssize_t n = write(h->r->answer_fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			h->failed = true;
			return err_errno(h->e, errno, "writing what was received");
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct http *h = arg;
	size_t len = size * n, max = h->r->answer_max ? h->r->answer_max : ANSWER_MAX;
	long status = 0;

	curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
	h->a->bytes += len;
	if (h->r->to_fd && status / 100 == 2)
		return to_file(h, p, len) ? 0 : len;
	if (h->a->body.len + len > max) {
		h->failed = true;
		err_set(h->e, ERR_INVALID, "the server answered with more than the %zu bytes that were expected at most", max);
		return 0;
	}
	buf_add(&h->a->body, p, len);
	return len;
}

static int on_tick(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct http *h = arg;

	(void)a, (void)b, (void)c, (void)d;
	if (!h->o.tick || !h->o.tick(h->o.tick_arg))
		return 0;
	h->gave_up = true;
	return 1;
}

/* --- one request --- */

static bool has_control(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return true;
	return false;
}

/* Host and path for a person, without user, password and query; and whether the host is this machine. */
static int look_at_url(const char *url, struct buf *place, bool *loopback, struct err *e)
{
	CURLU *u = curl_url();
	char *host = NULL, *path = NULL, *scheme = NULL;
	int rc = -1;

	if (!u)
		abort();
	if (has_control(url) || curl_url_set(u, CURLUPART_URL, url, 0) || curl_url_get(u, CURLUPART_HOST, &host, 0) || curl_url_get(u, CURLUPART_PATH, &path, 0) ||
		curl_url_get(u, CURLUPART_SCHEME, &scheme, 0)) {
		err_set(e, ERR_CONFIG, "an address that is no URL (it must look like https://HOST:PORT)");
		goto out;
	}
	if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0) {
		err_set(e, ERR_CONFIG, "the URL of %s must begin with https:// or http://", host);
		goto out;
	}
	buf_addf(place, "%s%s", host, path);
	*loopback = strcmp(host, "localhost") == 0 || str_ends(str_c(host), STR(".localhost")) || str_starts(str_c(host), STR("127.")) || strcmp(host, "[::1]") == 0;
	rc = 0;
out:
	curl_free(host);
	curl_free(path);
	curl_free(scheme);
	curl_url_cleanup(u);
	return rc;
}

static int set_headers(const struct http_request *r, struct curl_slist **list, struct err *e)
{
	for (const char *const *p = r->headers; p && *p; p++) {
		struct curl_slist *more;

		if (has_control(*p))
			return err_set(e, ERR_INVALID, "a header of the request to be sent holds a control character");
		more = curl_slist_append(*list, *p);
		if (!more)
			abort();
		*list = more;
	}
	return 0;
}

static void set_method(struct http *h, const struct http_request *r)
{
	CURL *c = h->curl;

	if (strcmp(r->method, "HEAD") == 0) {
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	} else if (strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0 || strcmp(r->method, "PATCH") == 0 || r->from_fd || r->body.len) {
		curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r->method);
		curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read);
		curl_easy_setopt(c, CURLOPT_READDATA, h);
		curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, on_seek);
		curl_easy_setopt(c, CURLOPT_SEEKDATA, h);
		/* always told: a body of unknown length would go in chunks */
		curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)(r->from_fd ? r->body_len : r->body.len));
	} else if (strcmp(r->method, "GET") != 0) {
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r->method);
	}
}

static void set_options(struct http *h, const struct http_request *r, struct curl_slist *headers, bool loopback)
{
	CURL *c = h->curl;

	curl_easy_reset(c);
	curl_easy_setopt(c, CURLOPT_URL, r->url);
	curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(c, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, h->error);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)(h->o.connect_timeout / NSEC_PER_MSEC));
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)MAX(1, h->o.idle_timeout / NSEC_PER_SEC));
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(h->o.total_timeout / NSEC_PER_MSEC));
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, h);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, h);
	curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_tick);
	curl_easy_setopt(c, CURLOPT_XFERINFODATA, h);
	if (headers)
		curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	if (loopback)
		curl_easy_setopt(c, CURLOPT_PROXY, "");
	if (h->o.ca_file)
		curl_easy_setopt(c, CURLOPT_CAINFO, h->o.ca_file);
	if (r->userpwd)
		curl_easy_setopt(c, CURLOPT_USERPWD, r->userpwd);
	if (r->sigv4)
		curl_easy_setopt(c, CURLOPT_AWS_SIGV4, r->sigv4);
	set_method(h, r);
}

static int failed(struct http *h, CURLcode rc, const char *place, struct err *e)
{
	const char *method = h->r->method, *why = h->error[0] ? h->error : curl_easy_strerror(rc);
	enum err_code code = ERR_TRANSIENT;

	if (h->gave_up)
		return err_set(e, ERR_STATE, "%s %s was given up", method, place);
	if (h->failed)
		return err_wrap(e, "%s %s", method, place);
	switch (rc) {
	case CURLE_OPERATION_TIMEDOUT:
		code = ERR_TIMEOUT;
		break;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
		code = ERR_CONFIG;
		break;
	default:
		break;
	}
	return err_set(e, code, "%s %s: %s", method, place, why);
}

int http_send(struct http *h, const struct http_request *r, struct http_answer *a, struct err *e)
{
	struct err own = ERR_INIT;
	struct buf place = BUF_INIT;
	struct curl_slist *headers = NULL;
	bool loopback = false;
	long status = 0, sent = 0;
	CURLcode code;
	int rc = -1;

	if (!e)
		e = &own;
	buf_truncate(&a->body, 0);
	buf_truncate(&a->headers, 0);
	a->status = 0;
	a->bytes = 0;
	h->r = r;
	h->a = a;
	h->e = e;
	h->sent = 0;
	h->gave_up = h->failed = false;
	h->not_sent = true;
	h->error[0] = '\0';
	if (look_at_url(r->url, &place, &loopback, e) || set_headers(r, &headers, e))
		goto out;
	set_options(h, r, headers, loopback);
	code = curl_easy_perform(h->curl);
	if (!curl_easy_getinfo(h->curl, CURLINFO_REQUEST_SIZE, &sent))
		h->not_sent = sent == 0;
	if (code) {
		failed(h, code, buf_cstr(&place), e);
		goto out;
	}
	curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
	a->status = (unsigned)status;
	rc = 0;
out:
	curl_slist_free_all(headers);
	buf_free(&place);
	return rc;
}

/* --- the answer's headers --- */

struct str http_header(const struct http_answer *a, const char *name)
{
	struct str left = buf_str(&a->headers), want = str_c(name);

	while (left.len) {
		const char *nl = memchr(left.ptr, '\n', left.len);
		size_t n = nl ? (size_t)(nl - left.ptr) + 1 : left.len;
		struct str line = str_mem(left.ptr, n);

		left = str_mem(left.ptr + n, left.len - n);
		if (line.len > want.len && line.ptr[want.len] == ':' && str_ieq(str_mem(line.ptr, want.len), want))
			return str_trim(str_mem(line.ptr + want.len + 1, line.len - want.len - 1));
	}
	return STR_NULL;
}

int64_t http_retry_after(const struct http_answer *a)
{
	struct str v = http_header(a, "Retry-After");
	char text[64];
	int64_t seconds;

	if (!v.len || str_copy(text, sizeof(text), v))
		return -1;
	if (str_to_i64(v, &seconds)) {
		time_t at = curl_getdate(text, NULL), now = time(NULL);

		if (at == (time_t)-1)
			return -1;
		seconds = at > now ? at - now : 0;
	}
	return seconds < 0 ? -1 : MIN(seconds, RETRY_AFTER_MAX / NSEC_PER_SEC) * NSEC_PER_SEC;
}

void http_encode(struct buf *out, struct str s, bool slash)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t k = 0; k < s.len; k++) {
		unsigned char c = (unsigned char)s.ptr[k];

		if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~' || (slash && c == '/')) {
			buf_addc(out, (char)c);
		} else {
			buf_addc(out, '%');
			buf_addc(out, hex[c >> 4]);
			buf_addc(out, hex[c & 15]);
		}
	}
}
