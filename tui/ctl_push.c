/*
 * ctl_push.c - `push`: JSON lines from standard input in batches through the Import API, one request at a time, each answered only when it is durable.
 *
 * A line is checked before it is sent, so that an error names the line and what stood before it is in. Sequences rise strictly from the clock. Each
 * batch carries an Idempotency-Key, so it can be sent again after a lost answer without being taken twice. 503, a lost connection and a daemon that
 * restarts are waited for, up to --retry-for; then, as after any other failure, the message says from which line to go on.
 */
#include "ctl.h"

#include <curl/curl.h>
#include <errno.h>
#include <sys/random.h>
#include <unistd.h>

#include "i18n.h"
#include "jscan.h"
#include "jwrite.h"
#include "xalloc.h"

#define RECORDS_MAX 5000
#define BYTES_MAX 4000000u
#define LINE_MAX_BYTES 19900000u /* the door takes 20,000,000 bytes in all */
#define ANSWER_MAX (1u << 20)
#define PIECE (256u << 10)
#define REQUEST_TIMEOUT 120L

struct push {
	struct ctl *c;
	CURL *curl;
	struct curl_slist *headers;
	char *url, *token;
	char run[33]; /* of the Idempotency-Key */
	struct buf head, body, answer;
	long retry_after;
	int64_t retry_for, sequence;
	uint64_t line, skip;	     /* lines read; lines to leave out */
	uint64_t first, last;	     /* lines in body */
	uint64_t in_body, accepted, requests, bytes;
	uint64_t done_to; /* the last line that is accepted or left out */
	int64_t began, shown;
	char *receipt;
	bool unsent; /* the daemon did not take what is in body */
};

static int64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

/* --- progress --- */

static void progress(struct push *p, bool last)
{
	int64_t now = clock_ns(CLOCK_MONOTONIC);

	if (!isatty(2) || (!last && now - p->shown < NSEC_PER_SEC / 5))
		return;
	p->shown = now;
	fprintf(stderr, _("\r%" PRIu64 " records, %.0f/s   "), p->accepted, (double)p->accepted * 1e9 / (double)MAX(now - p->began, 1));
	if (last)
		fputs("\r\033[K", stderr);
}

/* --- a request --- */

static size_t on_answer(char *data, size_t size, size_t n, void *arg)
{
	struct push *p = arg;

	if (p->answer.len + size * n > ANSWER_MAX)
		return 0;
	buf_add(&p->answer, data, size * n);
	return size * n;
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
	struct str line = str_mem(data, size * n), name = STR("Retry-After:");
	struct push *p = arg;
	int64_t seconds;

	if (line.len > name.len && str_ieq(str_mem(line.ptr, name.len), name) &&
		!str_to_i64(str_trim(str_mem(line.ptr + name.len, line.len - name.len)), &seconds) && seconds >= 0)
		p->retry_after = (long)MIN(seconds, 3600);
	return size * n;
}

static void say_answer(struct push *p, long status, struct err *e)
{
	json_t *v = json_loadb(buf_cstr(&p->answer), p->answer.len, 0, NULL);
	const char *error = json_string_value(json_object_get(v, "error")), *message = json_string_value(json_object_get(v, "message"));

	err_set(e, status == 401 || status == 403 ? ERR_DENIED : ERR_INVALID, "%ld %.400s", status, error ? error : message ? message : _("without a reason"));
	json_decref(v);
}

/* 0 accepted, 1 again later, -1 refused */
static int send_once(struct push *p, struct err *e)
{
	char error[CURL_ERROR_SIZE] = "", key[80];
	struct curl_slist *headers = NULL, *h;
	long status = 0;
	CURLcode rc;

	for (h = p->headers; h; h = h->next)
		headers = curl_slist_append(headers, h->data);
	snprintf(key, sizeof(key), "Idempotency-Key: %s-%" PRIu64, p->run, p->requests);
	headers = curl_slist_append(headers, key);
	buf_truncate(&p->answer, 0);
	p->retry_after = -1;
	curl_easy_setopt(p->curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(p->curl, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(p->curl, CURLOPT_POSTFIELDS, p->body.data);
	curl_easy_setopt(p->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)p->body.len);
	rc = curl_easy_perform(p->curl);
	curl_easy_getinfo(p->curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_setopt(p->curl, CURLOPT_ERRORBUFFER, NULL);
	curl_easy_setopt(p->curl, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(headers);
	if (rc == CURLE_URL_MALFORMAT || rc == CURLE_UNSUPPORTED_PROTOCOL || rc == CURLE_COULDNT_RESOLVE_HOST || rc == CURLE_PEER_FAILED_VERIFICATION)
		return err_set(e, ERR_CONFIG, "%s: %s", p->url, error[0] ? error : curl_easy_strerror(rc));
	if (rc) {
		err_set(e, ERR_IO, "%s: %s", p->url, error[0] ? error : curl_easy_strerror(rc));
		return 1;
	}
	if (status >= 200 && status < 300)
		return 0;
	say_answer(p, status, e);
	return status >= 500 || status == 429 ? 1 : -1;
}

static void keep_receipt(struct push *p)
{
	json_t *v = json_loadb(buf_cstr(&p->answer), p->answer.len, 0, NULL);
	const char *receipt = json_string_value(json_object_get(v, "receipt"));

	if (receipt) {
		free(p->receipt);
		p->receipt = xstrdup(receipt);
	}
	json_decref(v);
}

static int send_body(struct push *p, struct err *e)
{
	int64_t deadline = clock_ns(CLOCK_MONOTONIC) + p->retry_for, left, pause = NSEC_PER_SEC / 4, wait;
	int rc;

	buf_adds(&p->body, "]}");
	p->requests++;
	p->unsent = true;
	while ((rc = send_once(p, e)) > 0) {
		left = deadline - clock_ns(CLOCK_MONOTONIC);
		if (left <= 0)
			return err_wrap(e, _("gave up after %" PRId64 " s"), p->retry_for / NSEC_PER_SEC);
		/* what the daemon says, else longer each time; a connection that is refused is tried soon again: it may be a restart */
		wait = p->retry_after >= 0 ? p->retry_after * NSEC_PER_SEC : pause;
		pause = MIN(pause * 2, 5 * NSEC_PER_SEC);
		wait = MIN(wait, left);
		nanosleep(&(struct timespec){.tv_sec = wait / NSEC_PER_SEC, .tv_nsec = wait % NSEC_PER_SEC}, NULL);
	}
	if (rc)
		return -1;
	p->unsent = false;
	keep_receipt(p);
	p->accepted += p->in_body;
	p->bytes += p->body.len;
	p->done_to = p->last;
	p->in_body = 0;
	progress(p, false);
	return 0;
}

/* --- lines --- */

static int check_line(struct push *p, struct str line, struct err *e)
{
	const char *why;
	size_t at;

	if (line.len > LINE_MAX_BYTES)
		return err_set(e, ERR_INVALID, _("line %" PRIu64 ": longer than a request may be (%u bytes)"), p->line, LINE_MAX_BYTES);
	if (!jscan_valid(line.ptr, line.len, 0, &why, &at))
		return err_set(e, ERR_INVALID, _("line %" PRIu64 ": not JSON at byte %zu: %s"), p->line, at, why);
	if (line.ptr[0] != '{')
		return err_set(e, ERR_INVALID, _("line %" PRIu64 ": a record is a JSON object"), p->line);
	return 0;
}

static int take_line(struct push *p, struct str line, struct err *e)
{
	int64_t now;

	p->line++;
	line = str_trim(line);
	if (p->line <= p->skip || !line.len) {
		if (!p->in_body)
			p->done_to = p->line;
		return 0;
	}
	if (p->in_body && (p->in_body >= RECORDS_MAX || p->body.len + line.len + 100 > BYTES_MAX) && send_body(p, e))
		return -1;
	if (check_line(p, line, e))
		return -1;
	if (!p->in_body) {
		buf_truncate(&p->body, 0);
		buf_addstr(&p->body, buf_str(&p->head));
		p->first = p->line;
	}
	now = clock_ns(CLOCK_REALTIME);
	p->sequence = MAX(p->sequence + 1, now);
	buf_addf(&p->body, "%s{\"action\":\"upsert\",\"sequence\":%" PRId64 ",\"data\":", p->in_body ? "," : "", p->sequence);
	buf_addstr(&p->body, line);
	buf_addc(&p->body, '}');
	p->last = p->line;
	p->in_body++;
	return 0;
}

/* 0 at the end; -1 with e, and what was taken before the bad line has been sent. */
static int read_lines(struct push *p, struct err *e)
{
	struct rpc_lines l = {.max = LINE_MAX_BYTES + PIECE};
	struct str line;
	ssize_t n;
	int rc = 0;

	do {
		buf_reserve(&l.in, PIECE);
		n = read(0, l.in.data + l.in.len, PIECE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = err_errno(e, errno, _("reading standard input"));
		if (n == 0 && l.in.len > l.done && l.in.data[l.in.len - 1] != '\n') {
			buf_addc(&l.in, '\n');
		} else if (n > 0) {
			l.in.len += (size_t)n;
			l.in.data[l.in.len] = '\0';
		}
		while (!rc && (rc = rpc_lines_next(&l, &line, e)) != 0)
			rc = rc > 0 ? take_line(p, line, e) : err_wrap(e, _("line %" PRIu64), p->line + 1);
	} while (!rc && n != 0);
	buf_free(&l.in);
	return rc;
}

/* --- start --- */

static int find_url_and_token(struct push *p, struct err *e)
{
	const char *token = ctl_param(p->c, "token"), *url = ctl_param(p->c, "url"), *env = getenv("STITCH_TOKEN");
	json_t *params, *v = NULL;
	int rc = -1;

	if (token)
		p->token = ctl_value(token, "token", e);
	else if (env && *env)
		p->token = xstrdup(env);
	if (token && !p->token)
		return -1;
	if (p->token && url) {
		p->url = xasprintf("%s/v2/import/batch", url);
		return 0;
	}
	if (ctl_connect(p->c, e))
		return -1;
	if (!p->token) {
		params = json_pack("{s:s}", "name", ctl_param(p->c, "source"));
		v = ctl_call(p->c, "source.push_token", params, e);
		json_decref(params);
		if (!v)
			return -1;
		p->token = xstrdup(json_string_value(json_object_get(v, "token")) ? json_string_value(json_object_get(v, "token")) : "");
	}
	if (!url)
		url = json_string_value(json_object_get(v ? v : rpc_client_hello(p->c->client), v ? "url" : "import_url"));
	if (!url)
		err_set(e, ERR_STATE, _("the daemon does not say where its Import API is; name it by --url"));
	else
		rc = 0;
	p->url = url ? xasprintf("%s/v2/import/batch", url) : NULL;
	json_decref(v);
	return rc;
}

static void make_head(struct push *p)
{
	json_t *keys = json_object_get(p->c->params, "key"), *one;
	struct jwrite w;
	size_t k;

	jwrite_init(&w, &p->head);
	jwrite_object(&w);
	jwrite_kv_string(&w, "table_name", ctl_param(p->c, "table"));
	jwrite_key(&w, "schema");
	jwrite_raw(&w, STR("{\"properties\":{}}"));
	jwrite_key(&w, "key_names");
	jwrite_array(&w);
	json_array_foreach(keys, k, one)
		jwrite_string(&w, json_string_value(one));
	jwrite_array_end(&w);
	buf_adds(&p->head, ",\"messages\":[");
}

static bool is_local(const char *url)
{
	static const char *const hosts[] = {"http://127.", "http://localhost", "http://[::1]"};

	for (size_t k = 0; k < ARRAY_LEN(hosts); k++)
		if (strncmp(url, hosts[k], strlen(hosts[k])) == 0)
			return true;
	return false;
}

static int open_curl(struct push *p, struct err *e)
{
	struct buf b = BUF_INIT;
	unsigned char id[16];

	if (!p->token[0] || strpbrk(p->token, "\r\n"))
		return err_set(e, ERR_INVALID, _("the token is empty or of more than one line"));
	if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id) || curl_global_init(CURL_GLOBAL_DEFAULT) || !(p->curl = curl_easy_init()))
		return err_set(e, ERR_INTERNAL, _("no HTTP client"));
	buf_add_hex(&b, id, sizeof(id));
	snprintf(p->run, sizeof(p->run), "%s", buf_cstr(&b));
	buf_truncate(&b, 0);
	buf_addf(&b, "Authorization: Bearer %s", p->token);
	p->headers = curl_slist_append(NULL, buf_cstr(&b));
	explicit_bzero(b.data, b.len);
	buf_free(&b);
	p->headers = curl_slist_append(p->headers, "Content-Type: application/json");
	p->headers = curl_slist_append(p->headers, "Expect:");
	curl_easy_setopt(p->curl, CURLOPT_URL, p->url);
	curl_easy_setopt(p->curl, CURLOPT_POST, 1L);
	curl_easy_setopt(p->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(p->curl, CURLOPT_USERAGENT, "stitchctl");
	curl_easy_setopt(p->curl, CURLOPT_WRITEFUNCTION, on_answer);
	curl_easy_setopt(p->curl, CURLOPT_WRITEDATA, p);
	curl_easy_setopt(p->curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(p->curl, CURLOPT_HEADERDATA, p);
	curl_easy_setopt(p->curl, CURLOPT_TIMEOUT, REQUEST_TIMEOUT);
	curl_easy_setopt(p->curl, CURLOPT_NOSIGNAL, 1L);
	if (is_local(p->url))
		curl_easy_setopt(p->curl, CURLOPT_PROXY, "");
	return 0;
}

static void push_free(struct push *p)
{
	if (p->curl)
		curl_easy_cleanup(p->curl);
	curl_slist_free_all(p->headers);
	if (p->token)
		explicit_bzero(p->token, strlen(p->token));
	free(p->token);
	free(p->url);
	free(p->receipt);
	buf_free(&p->head);
	buf_free(&p->body);
	buf_free(&p->answer);
}

static void print_result(struct push *p)
{
	json_t *v = json_pack("{s:I, s:I, s:I, s:s?}", "records", (json_int_t)p->accepted, "requests", (json_int_t)p->requests, "sent_bytes", (json_int_t)p->bytes,
		"receipt", p->receipt);

	ctl_print(p->c, "push", v);
	json_decref(v);
}

/* How to go on. What was sent last may be in all the same when only its answer was lost. */
static void say_where(const struct push *p, const struct err *e)
{
	if (p->in_body && e->code == ERR_IO)
		fprintf(stderr, _("stitchctl: push: lines %" PRIu64 " to %" PRIu64 " may have been accepted although their answer was lost\n"), p->first, p->last);
	else if (p->in_body && p->unsent)
		fprintf(stderr, _("stitchctl: push: the request that was refused held lines %" PRIu64 " to %" PRIu64 "\n"), p->first, p->last);
	fprintf(stderr, _("stitchctl: push: %" PRIu64 " records are accepted; go on from line %" PRIu64 " of the same input with --skip %" PRIu64 "\n"), p->accepted,
		p->done_to + 1, p->done_to);
}

int ctl_push(struct ctl *c)
{
	struct push p = {.c = c, .retry_for = 300 * NSEC_PER_SEC, .skip = (uint64_t)json_integer_value(json_object_get(c->params, "skip"))};
	struct err e = ERR_INIT, late = ERR_INIT;
	const char *patience = ctl_param(c, "retry_for");
	int rc;

	if (patience && str_to_duration(str_c(patience), &p.retry_for)) {
		err_set(&e, ERR_INVALID, _("--retry-for takes a duration such as 30s, not \"%s\""), patience);
		ctl_error(c, &e);
		return CTL_USAGE;
	}
	if (find_url_and_token(&p, &e) || open_curl(&p, &e)) {
		rc = ctl_error(c, &e);
		push_free(&p);
		return c->client || p.token ? rc : CTL_AWAY;
	}
	make_head(&p);
	p.began = clock_ns(CLOCK_MONOTONIC);
	rc = read_lines(&p, &e);
	/* after a bad line: what stood before it */
	if (p.in_body && !p.unsent && send_body(&p, &late)) {
		rc = -1;
		e = late;
	}
	progress(&p, true);
	if (rc) {
		ctl_error(c, &e);
		say_where(&p, &e);
	} else {
		print_result(&p);
	}
	push_free(&p);
	return rc ? CTL_FAILED : CTL_DONE;
}
