/*
 * sf_http.c - one step is one request to the SQL REST API: POST with the statements, then, when the server says 202, questions until it is done.
 *
 * A step keeps its requestId over all resends, and a resend says retry=true: the server then gives the answer of the first run and does not run it again. So a lost
 * answer, 429, 502, 503 and 504 are sent again here for a while; after that the load is put off, and the next attempt finds by the ledger whether it
 * was done. The token (a JWT of our key) is renewed before it ends, and once more when the server says that it did not like it.
 */
#include "loaders/snowflake/snowflake.h"

#include <errno.h>
#include <sys/random.h>
#include <zlib.h>

#include "jwrite.h"
#include "xalloc.h"

#define TOKEN_LIFE 3540	    /* s; the server takes an hour at most */
#define TOKEN_SPARE 300
#define STATEMENT_MAX 3600  /* s on the server: a lock that another load holds is waited for so long */
#define TRIES 6
#define SILENT_TRIES 2
#define PAUSE_FIRST 500	    /* ms, doubled at each try */
#define PAUSE_MAX 20000	    /* ms: who asks for more gets the load put off */
#define POLL_FIRST 100	    /* ms */
#define POLL_MAX 3000
#define POLL_SPARE 600	    /* s */
#define ANSWER_MAX (64u << 20)

static int64_t wall(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec;
}

static void nap(struct snow *s, int64_t ms)
{
	while (ms > 0) {
		int64_t piece = MIN(ms, INT64_C(500));
		struct timespec ts = {.tv_nsec = piece * NSEC_PER_MSEC};

		loader_tick(s->loader, s->phase);
		nanosleep(&ts, NULL);
		ms -= piece;
	}
}

/* --- the token --- */

static int renew_token(struct snow *s, struct err *e)
{
	struct buf claims = BUF_INIT;
	struct jwrite w;
	int64_t now = wall();
	char *sub = xasprintf("%s.%s", s->account, s->user), *iss = xasprintf("%s.%s", sub, s->fingerprint);
	int rc;

	jwrite_init(&w, &claims);
	jwrite_object(&w);
	jwrite_kv_string(&w, "iss", iss);
	jwrite_kv_string(&w, "sub", sub);
	jwrite_kv_i64(&w, "iat", now);
	jwrite_kv_i64(&w, "exp", now + TOKEN_LIFE);
	jwrite_object_end(&w);
	buf_truncate(&s->token, 0);
	rc = jwt_sign(s->key, buf_str(&claims), NULL, &s->token, e);
	s->token_until = rc ? 0 : now + TOKEN_LIFE - TOKEN_SPARE;
	buf_free(&claims);
	free(sub);
	free(iss);
	return rc;
}

/* --- errors --- */

static void replace(char *text, const char *secret)
{
	size_t n = secret ? strlen(secret) : 0;
	char *p;

	while (n >= 4 && (p = strstr(text, secret)) != NULL)
		memset(p, '*', n);
}

/* A statement of ours may hold a key of the bucket; the server's words are not trusted with it. */
static void scrub(const struct snow *s, char *text)
{
	replace(text, json_string_value(json_object_get(s->settings, "s3_secret_key")));
	replace(text, json_string_value(json_object_get(s->settings, "s3_session_token")));
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *v = json_string_value(json_object_get(o, key));

	return v ? v : "";
}

static int refused(struct snow *s, const struct http_answer *a, const json_t *body, struct err *e)
{
	const char *code = text_of(body, "code"), *message = text_of(body, "message");
	enum err_code class;

	str_copy(s->code, sizeof(s->code), str_c(code));
	class = sf_error_class(s->code, text_of(body, "sqlState"), a->status, message);
	if (class == ERR_CONFIG && !*code && (a->status == 404 || a->status == 403))
		err_set(e, class, "%s answers %u: there is no such account, or it does not let this machine in; correct the settings account and url", s->url, a->status);
	else if (*message)
		err_set(e, class, "Snowflake: %s%s%s%s", message, *code ? " (" : "", code, *code ? ")" : "");
	else
		err_set(e, class, "%s answers %u without a reason", s->url, a->status);
	scrub(s, e->text);
	return -1;
}

void sf_fix(const struct snow *s, const char *schema, struct buf *out)
{
	const struct sf_names n = {.account = s->account, .user = s->user, .role = s->role, .database = s->database, .schema = schema, .warehouse = s->warehouse,
		.integration = json_string_value(json_object_get(s->settings, "storage_integration")),
		.stage = json_string_value(json_object_get(s->settings, "stage")), .fingerprint = s->fingerprint};

	sf_error_fix(s->code, &n, out);
}

/* --- one exchange --- */

static int send_once(struct snow *s, const char *method, const char *url, struct str body, struct http_answer *a, struct err *e)
{
	char *authorization;
	const char *headers[] = {NULL, "X-Snowflake-Authorization-Token-Type: KEYPAIR_JWT", "Accept: application/json", "Content-Type: application/json",
		"User-Agent: stitch-load-snowflake/1", NULL};
	struct http_request r = {.method = method, .url = url, .headers = headers, .body = body, .answer_max = ANSWER_MAX};
	int rc;

	if (wall() >= s->token_until && renew_token(s, e))
		return -1;
	authorization = xasprintf("Authorization: Bearer %s", s->token.data);
	headers[0] = authorization;
	rc = http_send(s->http, &r, a, e);
	s->requests++;
	free(authorization);
	return rc;
}

/* How long to wait before the same request may go again; -1: it may not. */
static int64_t pause_after(int rc, const struct http_answer *a, const struct err *e, unsigned try)
{
	int64_t wanted = rc ? -1 : http_retry_after(a), pause = MIN((int64_t)PAUSE_FIRST << try, (int64_t)PAUSE_MAX);
	bool again = rc ? e->code == ERR_TRANSIENT || e->code == ERR_TIMEOUT : a->status == 429 || (a->status >= 500 && a->status <= 504);

	/* who says nothing for so long may say it to the next attempt */
	if (rc && e->code == ERR_TIMEOUT && try >= SILENT_TRIES)
		return -1;
	if (!again || try + 1 >= TRIES || wanted > PAUSE_MAX * NSEC_PER_MSEC)
		return -1;
	return wanted >= 0 ? MAX(wanted / NSEC_PER_MSEC, (int64_t)PAUSE_FIRST) : pause;
}

static const char *too_much(const struct snow *s, const struct http_answer *a, char text[120])
{
	int64_t wanted = http_retry_after(a);

	loader_retry_after(s->loader, wanted);
	if (wanted < 0)
		snprintf(text, 120, "it did so %d times", TRIES);
	else
		snprintf(text, 120, "it asks to come again in %" PRId64 " s", wanted / NSEC_PER_SEC);
	return text;
}

/* One request with its resends. url_again: what a resend goes to. 0: *body is the server's object (status 200 or 202), else -1. */
static int exchange(struct snow *s, const char *method, const char *url, const char *url_again, struct str body, unsigned *status, json_t **out, struct err *e)
{
	struct http_answer a = HTTP_ANSWER_INIT;
	bool fresh = false;
	int rc = -1;
	char words[120];

	*out = NULL;
	for (unsigned try = 0;; try++) {
		int64_t pause;

		err_clear(e);
		s->code[0] = '\0';
		json_decref(*out);
		rc = send_once(s, method, try ? url_again : url, body, &a, e);
		*out = rc ? NULL : json_loadb(a.body.data ? a.body.data : "", a.body.len, 0, NULL);
		if (!rc && a.status == 401 && !fresh) {
			/* our clock may have been put right meanwhile, or theirs */
			fresh = true;
			s->token_until = 0;
			continue;
		}
		pause = pause_after(rc, &a, e, try);
		if (pause < 0)
			break;
		nap(s, pause);
	}
	*status = a.status;
	if (!rc && (a.status == 200 || a.status == 202) && json_is_object(*out))
		goto out;
	if (!rc && (a.status == 429 || a.status >= 500) && !*text_of(*out, "code"))
		rc = err_set(e, ERR_TRANSIENT, "Snowflake answers %u (%s): %s; %s", a.status, a.status == 429 ? "too many requests" : "not available",
			*text_of(*out, "message") ? text_of(*out, "message") : "no reason given", too_much(s, &a, words));
	else if (!rc && (a.status == 200 || a.status == 202))
		rc = err_set(e, ERR_CONFIG, "%s does not answer as Snowflake does; correct the setting url", s->url);
	else if (!rc)
		rc = refused(s, &a, *out, e);
	json_decref(*out);
	*out = NULL;
out:
	http_answer_free(&a);
	return rc;
}

/* --- answers in parts --- */

static int unpack(const struct buf *in, struct buf *out, struct err *e)
{
	z_stream z = {.next_in = (Bytef *)(void *)in->data, .avail_in = (uInt)in->len};
	int rc;

	if (in->len < 2 || (unsigned char)in->data[0] != 0x1F || (unsigned char)in->data[1] != 0x8B) {
		buf_add(out, in->data, in->len);
		return 0;
	}
	if (inflateInit2(&z, 15 + 16) != Z_OK)
		abort(); /* only for want of memory */
	do {
		buf_reserve(out, 1u << 16);
		z.next_out = (Bytef *)(void *)(out->data + out->len);
		z.avail_out = 1u << 16;
		rc = inflate(&z, Z_NO_FLUSH);
		out->len += (1u << 16) - z.avail_out;
	} while (rc == Z_OK && out->len <= ANSWER_MAX);
	inflateEnd(&z);
	return rc == Z_STREAM_END ? 0 : err_set(e, ERR_TRANSIENT, "a part of Snowflake's answer is damaged");
}

static int one_part(struct snow *s, const char *url, json_t *data, struct err *e)
{
	struct http_answer a = HTTP_ANSWER_INIT;
	struct buf text = BUF_INIT;
	json_t *part = NULL;
	int rc = -1;

	for (unsigned try = 0;; try++) {
		int64_t pause;

		rc = send_once(s, "GET", url, STR_NULL, &a, e);
		pause = pause_after(rc, &a, e, try);
		if (pause < 0)
			break;
		nap(s, pause);
	}
	if (!rc && a.status != 200)
		rc = err_set(e, ERR_TRANSIENT, "a part of Snowflake's answer cannot be had: %u", a.status);
	if (!rc)
		rc = unpack(&a.body, &text, e);
	if (!rc) {
		part = json_loadb(buf_cstr(&text), text.len, 0, NULL);
		rc = json_array_extend(data, json_object_get(part, "data")) ? err_set(e, ERR_TRANSIENT, "a part of Snowflake's answer is no JSON") : 0;
	}
	json_decref(part);
	buf_free(&text);
	http_answer_free(&a);
	return rc;
}

/* Only the first part of a large answer comes with it. */
static int other_parts(struct snow *s, json_t *answer, struct err *e)
{
	size_t n = json_array_size(json_object_get(json_object_get(answer, "resultSetMetaData"), "partitionInfo"));
	int rc = 0;

	for (size_t k = 1; k < n && !rc; k++) {
		char *url = xasprintf("%s/api/v2/statements/%s?partition=%zu", s->url, text_of(answer, "statementHandle"), k);

		rc = one_part(s, url, json_object_get(answer, "data"), e);
		free(url);
	}
	return rc;
}

/* --- a step --- */

static void new_id(char out[37])
{
	unsigned char b[16];
	char *p = out;

	if (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b))
		abort(); /* not possible for so few bytes */
	b[6] = (unsigned char)((b[6] & 0x0F) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3F) | 0x80);
	for (unsigned k = 0; k < 16; k++)
		p += snprintf(p, 4, "%s%02x", k == 4 || k == 6 || k == 8 || k == 10 ? "-" : "", b[k]);
}

static void request_body(const struct snow *s, const char *sql, unsigned n, struct buf *out)
{
	char count[12];
	struct jwrite w;

	snprintf(count, sizeof(count), "%u", n);
	jwrite_init(&w, out);
	jwrite_object(&w);
	jwrite_kv_string(&w, "statement", sql);
	jwrite_kv_i64(&w, "timeout", STATEMENT_MAX);
	jwrite_kv_string(&w, "database", s->database);
	if (*s->warehouse)
		jwrite_kv_string(&w, "warehouse", s->warehouse);
	if (*s->role)
		jwrite_kv_string(&w, "role", s->role);
	jwrite_key(&w, "parameters");
	jwrite_object(&w);
	jwrite_kv_string(&w, "MULTI_STATEMENT_COUNT", count);
	jwrite_kv_string(&w, "TIMEZONE", "UTC");
	jwrite_kv_string(&w, "QUERY_TAG", "stitch");
	jwrite_object_end(&w);
	jwrite_object_end(&w);
}

static int await(struct snow *s, json_t **answer, struct err *e)
{
	int64_t pause = POLL_FIRST, end = wall() + STATEMENT_MAX + POLL_SPARE;
	unsigned status = 202;
	int rc = 0;

	while (!rc && status == 202) {
		const char *handle = text_of(*answer, "statementHandle");
		char *url;

		if (wall() > end)
			return err_set(e, ERR_TRANSIENT, "Snowflake works on a statement for longer than it was given (%d s)", STATEMENT_MAX);
		if (!*handle || strspn(handle, "0123456789abcdefABCDEF-") != strlen(handle))
			return err_set(e, ERR_TRANSIENT, "Snowflake works on a statement and does not say which");
		url = xasprintf("%s/api/v2/statements/%s", s->url, handle);
		nap(s, pause);
		pause = MIN(pause * 2, (int64_t)POLL_MAX);
		json_decref(*answer);
		rc = exchange(s, "GET", url, url, STR_NULL, &status, answer, e);
		free(url);
	}
	return rc;
}

int sf_run(struct snow *s, const char *sql, unsigned n, json_t **answer, struct err *e)
{
	struct buf body = BUF_INIT;
	char id[37], *url, *again;
	json_t *a = NULL;
	unsigned status = 0;
	int rc;

	new_id(id);
	url = xasprintf("%s/api/v2/statements?requestId=%s", s->url, id);
	again = xasprintf("%s&retry=true", url);
	request_body(s, sql, n, &body);
	rc = exchange(s, "POST", url, again, buf_str(&body), &status, &a, e);
	if (!rc && status == 202)
		rc = await(s, &a, e);
	if (!rc)
		rc = other_parts(s, a, e);
	if (answer && !rc)
		*answer = a;
	else
		json_decref(a);
	free(url);
	free(again);
	buf_free(&body);
	return rc;
}

/* --- looking at an answer --- */

const char *sf_cell(const json_t *answer, size_t row, size_t column)
{
	return json_string_value(json_array_get(json_array_get(json_object_get(answer, "data"), row), column));
}

size_t sf_rows(const json_t *answer)
{
	return json_array_size(json_object_get(answer, "data"));
}

int64_t sf_cell_int(const json_t *answer, size_t row, size_t column)
{
	const char *text = sf_cell(answer, row, column);
	int64_t v;

	return text && str_to_i64(str_c(text), &v) == 0 ? v : 0;
}

const char *sf_column(const json_t *answer, size_t column)
{
	return json_string_value(
		json_object_get(json_array_get(json_object_get(json_object_get(answer, "resultSetMetaData"), "rowType"), column), "name"));
}
