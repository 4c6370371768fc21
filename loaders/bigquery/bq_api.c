/*
 * bq_api.c - Google's REST API: a bearer from the service account's key, requests, jobs, and what their errors mean.
 *
 * Requests that fail for a while (the network, 5xx, 429, rateLimitExceeded) are sent again a few times, with the server's Retry-After if it gives one; then the
 * daemon's own back-off takes over. So every request must bear to be run twice: jobs have ids of ours (a second one is answered 409 duplicate, and b->resent tells
 * whether the first was ours), a table that is there already is no error. What can go wrong: a quota that is used up for hours; a right that was taken away; a
 * clock that is wrong, which makes the token endpoint refuse the assertion.
 */
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "loaders/bigquery/bq.h"

#include "jwrite.h"
#include "xalloc.h"

#define TRIES 5
#define FIRST_WAIT (500 * NSEC_PER_MSEC)
#define HINT_MAX (20 * NSEC_PER_SEC) /* longer hints are the daemon's matter */
#define QUOTA_PAUSE (600 * NSEC_PER_SEC)
#define TOKEN_LIFE 3600
#define TOKEN_SPARE 120 /* s before its end it is made anew */
#define ANSWER_MAX (64u << 20)
#define JOB_WAIT_MAX (10 * NSEC_PER_SEC)
#define SCOPE "https://www.googleapis.com/auth/bigquery"

/* --- text --- */

void bq_random(char out[17])
{
	unsigned char bytes[8];
	struct buf hex = BUF_INIT;

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		abort(); /* a kernel without random numbers */
	buf_add_hex(&hex, bytes, sizeof(bytes));
	memcpy(out, buf_cstr(&hex), 17);
	buf_free(&hex);
}

void bq_name(const struct bq *b, const char *table, struct buf *sql)
{
	buf_addf(sql, "`%s.%s.%s`", b->project, b->dataset, table);
}

void bq_literal(struct str s, struct buf *sql)
{
	buf_addc(sql, '\'');
	for (size_t k = 0; k < s.len; k++) {
		unsigned char c = (unsigned char)s.ptr[k];

		if (c == '\'' || c == '\\')
			buf_addf(sql, "\\%c", c);
		else if (c < 0x20)
			buf_addf(sql, "\\x%02x", c);
		else
			buf_addc(sql, (char)c);
	}
	buf_addc(sql, '\'');
}

/* --- log-in --- */

static int login_answer(struct bq *b, json_t *o, struct err *e)
{
	const char *token = json_string_value(json_object_get(o, "access_token")), *error = json_string_value(json_object_get(o, "error"));
	const char *more = json_string_value(json_object_get(o, "error_description"));
	json_int_t life = json_integer_value(json_object_get(o, "expires_in"));

	if (b->answer.status == 200 && token) {
		free(b->bearer);
		b->bearer = xasprintf("Authorization: Bearer %s", token);
		b->bearer_until = time(NULL) + (life > 0 ? life : TOKEN_LIFE) - TOKEN_SPARE;
		return 0;
	}
	if (b->answer.status >= 500 || b->answer.status == 429)
		return err_set(e, ERR_TRANSIENT, "logging in at Google: status %u", b->answer.status);
	return err_set(e, ERR_CONFIG, "Google does not accept the key of %s: %s%s%s; make a new one: gcloud iam service-accounts keys create key.json --iam-account=%s, then set "
		"credentials=@key.json", b->email, error ? error : "no reason given", more ? ": " : "", more ? more : "", b->email);
}

static int login(struct bq *b, struct err *e)
{
	static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded", NULL};
	struct buf claims = BUF_INIT, body = BUF_INIT;
	time_t now = time(NULL);
	struct jwrite w;
	int rc;

	jwrite_init(&w, &claims);
	jwrite_object(&w);
	jwrite_kv_string(&w, "iss", b->email);
	jwrite_kv_string(&w, "scope", SCOPE);
	jwrite_kv_string(&w, "aud", b->token_uri);
	jwrite_kv_i64(&w, "iat", now);
	jwrite_kv_i64(&w, "exp", now + TOKEN_LIFE);
	jwrite_object_end(&w);
	buf_adds(&body, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=");
	rc = jwt_sign(b->key, buf_str(&claims), b->key_id, &body, e);
	for (unsigned n = 1; !rc; n++) {
		const struct http_request r = {.method = "POST", .url = b->token_uri, .headers = headers, .body = buf_str(&body)};
		json_t *o = NULL;

		rc = http_send(b->http, &r, &b->answer, e);
		if (!rc) {
			o = json_loadb(buf_cstr(&b->answer.body), b->answer.body.len, 0, NULL);
			rc = login_answer(b, o, e);
			json_decref(o);
			if (!rc)
				break;
		}
		if (e->code != ERR_TRANSIENT && e->code != ERR_TIMEOUT)
			break;
		if (!bq_wait(b, n, http_retry_after(&b->answer)))
			break;
		rc = 0;
	}
	buf_free(&claims);
	buf_free(&body);
	return rc;
}

/* --- requests --- */

bool bq_wait(struct bq *b, unsigned n, int64_t hint)
{
	int64_t left = FIRST_WAIT << MIN(n - 1, 4u);

	if (n >= TRIES || hint > HINT_MAX || b->once)
		return false;
	for (left = MAX(left, hint); left > 0; left -= 200 * NSEC_PER_MSEC) {
		loader_tick(b->l, b->phase);
		usleep((useconds_t)(MIN(left, 200 * NSEC_PER_MSEC) / 1000));
	}
	return true;
}

int bq_send(struct bq *b, const char *method, const char *url, const char *const *headers, struct str body, struct err *e)
{
	const char *all[12] = {"Content-Type: application/json", NULL};
	struct http_request r = {.method = method, .url = url, .headers = all, .body = body, .answer_max = ANSWER_MAX};
	bool fresh = false;
	size_t n = 0;

	for (; headers && headers[n]; n++)
		all[n] = headers[n];
	n = headers ? n : 1;
	for (;;) {
		if (!b->bearer || time(NULL) >= b->bearer_until) {
			if (login(b, e))
				return -1;
			fresh = true;
		}
		all[n] = b->bearer;
		all[n + 1] = NULL;
		if (http_send(b->http, &r, &b->answer, e))
			return -1;
		b->status = b->answer.status;
		if (b->status != 401 || fresh)
			return 0;
		/* it may have been taken back; a new one, once */
		free(b->bearer);
		b->bearer = NULL;
	}
}

static bool one_of(const char *s, const char *const *list)
{
	while (*list && strcmp(s, *list) != 0)
		list++;
	return *list != NULL;
}

/* What an error of the API means for a load. */
static enum err_code code_of(unsigned status, const char *reason, const char *text)
{
	static const char *const transient[] = {"rateLimitExceeded", "quotaExceeded", "userRateLimitExceeded", "jobRateLimitExceeded", "backendError", "internalError",
		"jobInternalError", "jobBackendError", "tableUnavailable", "timeout", "stopped", "resourcesExceeded", "blocked", NULL};

	if (one_of(reason, transient) || status >= 500 || status == 429 || status == 408)
		return ERR_TRANSIENT;
	/* two transactions at one table: the later one is cancelled */
	if (strstr(text, "aborted due to concurrent") || strstr(text, "Could not serialize"))
		return ERR_TRANSIENT;
	return ERR_CONFIG;
}

static int say(struct bq *b, unsigned status, const char *reason, const char *text, const char *doing, struct err *e)
{
	enum err_code code = code_of(status, reason, text);

	str_copy(b->reason, sizeof(b->reason), str_c(reason));
	if (strcmp(reason, "quotaExceeded") == 0)
		loader_retry_after(b->l, QUOTA_PAUSE);
	if (strcmp(reason, "quotaExceeded") == 0)
		return err_set(e, code, "%s: a quota of project %s is used up; it comes back by itself (most within a day), or ask for more at "
			"https://console.cloud.google.com/iam-admin/quotas?project=%s: %s", doing, b->project, b->project, text);
	if (strcmp(reason, "billingNotEnabled") == 0)
		return err_set(e, code, "%s: project %s has no billing, without which BigQuery loads nothing; enable it: gcloud billing projects link %s --billing-account=ACCOUNT", doing,
			b->project, b->project);
	if (strcmp(reason, "accessNotConfigured") == 0)
		return err_set(e, code, "%s: BigQuery is not enabled in project %s; enable it: gcloud services enable bigquery.googleapis.com --project=%s", doing, b->project,
			b->project);
	if (status == 401)
		return err_set(e, code, "%s: Google does not accept the token of %s", doing, b->email);
	return err_set(e, code, "%s: %s%s%s%s", doing, *text ? text : "BigQuery gave no reason", *reason ? " (" : "", reason, *reason ? ")" : "");
}

int bq_refused(struct bq *b, const char *doing, struct err *e)
{
	json_t *o = json_loadb(buf_cstr(&b->answer.body), b->answer.body.len, 0, NULL), *error = json_object_get(o, "error");
	json_t *first = json_array_get(json_object_get(error, "errors"), 0);
	const char *reason = json_string_value(json_object_get(first, "reason")), *text = json_string_value(json_object_get(error, "message"));
	char status[40];

	snprintf(status, sizeof(status), "status %u", b->status);
	if (b->status == 429 || b->status == 403 || b->status >= 500)
		loader_retry_after(b->l, http_retry_after(&b->answer));
	say(b, b->status, reason ? reason : "", text ? text : status, doing, e);
	json_decref(o);
	return -1;
}

/* Worth another try right now? A quota that is used up is not. */
static bool passing(const struct bq *b, const struct err *e)
{
	return (e->code == ERR_TRANSIENT || e->code == ERR_TIMEOUT) && strcmp(b->reason, "quotaExceeded") != 0;
}

int bq_call(struct bq *b, const char *method, const char *path, const json_t *body, json_t **out, struct err *e)
{
	char *url = xasprintf("%s/bigquery/v2/projects/%s%s", b->url, b->project, path), *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	const char *doing = b->phase;
	int rc = -1;

	*out = NULL;
	b->resent = false;
	for (unsigned n = 1; rc; n++) {
		b->status = 0;
		b->reason[0] = '\0';
		rc = bq_send(b, method, url, NULL, str_c(text), e);
		if (!rc && b->status / 100 == 2) {
			*out = b->answer.body.len ? json_loadb(b->answer.body.data, b->answer.body.len, JSON_ALLOW_NUL, NULL) : json_object();
			if (!*out)
				rc = err_set(e, ERR_TRANSIENT, "%s: BigQuery's answer is no JSON", doing);
		} else if (!rc) {
			rc = bq_refused(b, doing, e);
		}
		if (!rc || !passing(b, e) || !bq_wait(b, n, b->status ? http_retry_after(&b->answer) : -1))
			break;
		b->resent = true;
	}
	free(url);
	free(text);
	return rc;
}

/* --- jobs --- */

const char *bq_where(const struct bq *b)
{
	return b->region ? b->region : b->location;
}

json_t *bq_job_ref(const struct bq *b, const char *id)
{
	json_t *ref = json_pack("{s:s, s:s}", "projectId", b->project, "jobId", id);

	if (bq_where(b))
		json_object_set_new(ref, "location", json_string(bq_where(b)));
	return ref;
}

json_t *bq_job_get(struct bq *b, const char *id, struct err *e)
{
	char *path = xasprintf("/jobs/%s%s%s", id, bq_where(b) ? "?location=" : "", bq_where(b) ? bq_where(b) : "");
	json_t *job = NULL;

	if (bq_call(b, "GET", path, NULL, &job, e) && b->status == 404)
		e->code = ERR_NOT_FOUND;
	free(path);
	return job;
}

static bool done(const json_t *job)
{
	const char *state = json_string_value(json_object_get(json_object_get(job, "status"), "state"));

	return state && strcmp(state, "DONE") == 0;
}

json_t *bq_job_wait(struct bq *b, json_t *job, struct err *e)
{
	const char *id = json_string_value(json_object_get(json_object_get(job, "jobReference"), "jobId"));
	int64_t pause = 250 * NSEC_PER_MSEC;
	char *own;

	if (!id) {
		err_set(e, ERR_TRANSIENT, "%s: BigQuery's answer names no job", b->phase);
		json_decref(job);
		return NULL;
	}
	own = xstrdup(id);
	while (job && !done(job)) {
		json_decref(job);
		job = NULL;
		if (b->give_up && time(NULL) >= b->give_up) {
			err_set(e, ERR_TRANSIENT, "%s: job %s still runs", b->phase, own);
			break;
		}
		for (int64_t left = pause; left > 0; left -= 250 * NSEC_PER_MSEC) {
			loader_tick(b->l, b->phase);
			usleep(250000);
		}
		pause = MIN(pause * 2, JOB_WAIT_MAX);
		job = bq_job_get(b, own, e);
	}
	free(own);
	return job;
}

int bq_job_failed(struct bq *b, const json_t *job, const char *doing, struct err *e)
{
	const json_t *error = json_object_get(json_object_get(job, "status"), "errorResult");
	const char *reason = json_string_value(json_object_get(error, "reason")), *text = json_string_value(json_object_get(error, "message"));

	if (!error)
		return 0;
	b->status = 200;
	say(b, 200, reason ? reason : "", text ? text : "", doing, e);
	/* what is missing now was there when the load began */
	if (reason && strcmp(reason, "notFound") == 0)
		e->code = ERR_TRANSIENT;
	return -1;
}

static int more_rows(struct bq *b, const json_t *first, json_t *rows, struct err *e)
{
	const char *token = json_string_value(json_object_get(first, "pageToken"));
	const char *id = json_string_value(json_object_get(json_object_get(first, "jobReference"), "jobId"));
	bool complete = !json_is_false(json_object_get(first, "jobComplete"));
	json_t *page = NULL;
	int rc = 0;

	json_array_extend(rows, json_object_get(first, "rows"));
	if (complete && !token)
		return 0;
	{
		char *path = xasprintf("/queries/%s?timeoutMs=10000&formatOptions.useInt64Timestamp=true%s%s%s%s", id, token ? "&pageToken=" : "", token ? token : "",
			bq_where(b) ? "&location=" : "", bq_where(b) ? bq_where(b) : "");

		loader_tick(b->l, b->phase);
		rc = bq_call(b, "GET", path, NULL, &page, e);
		free(path);
	}
	if (!rc)
		rc = more_rows(b, page, rows, e);
	json_decref(page);
	return rc;
}

json_t *bq_query(struct bq *b, const char *sql, json_t **schema, struct err *e)
{
	json_t *body = json_pack("{s:s, s:b, s:I, s:{s:b}}", "query", sql, "useLegacySql", 0, "timeoutMs", (json_int_t)10000, "formatOptions", "useInt64Timestamp", 1), *o = NULL;
	json_t *rows = json_array(), *error;
	int rc;

	if (bq_where(b))
		json_object_set_new(body, "location", json_string(bq_where(b)));
	rc = bq_call(b, "POST", "/queries", body, &o, e);
	error = json_array_get(json_object_get(o, "errors"), 0);
	if (!rc && error && !json_object_get(o, "rows"))
		rc = say(b, 200, json_string_value(json_object_get(error, "reason")) ? json_string_value(json_object_get(error, "reason")) : "",
			json_string_value(json_object_get(error, "message")) ? json_string_value(json_object_get(error, "message")) : "", b->phase, e);
	if (!rc)
		rc = more_rows(b, o, rows, e);
	if (!rc && schema)
		*schema = json_incref(json_object_get(json_object_get(o, "schema"), "fields"));
	json_decref(body);
	json_decref(o);
	if (!rc)
		return rows;
	json_decref(rows);
	return NULL;
}

int bq_script(struct bq *b, const char *sql, const char *doing, struct err *e)
{
	char id[17], *name;
	json_t *body, *job = NULL;
	int rc;

	bq_random(id);
	name = xasprintf("stitch_%s", id);
	body = json_pack("{s:o, s:{s:{s:s, s:b}}}", "jobReference", bq_job_ref(b, name), "configuration", "query", "query", sql, "useLegacySql", 0);
	b->phase = doing;
	rc = bq_call(b, "POST", "/jobs", body, &job, e);
	/* its first answer was lost */
	if (rc && b->status == 409 && b->resent) {
		job = bq_job_get(b, name, e);
		rc = job ? 0 : -1;
	}
	if (!rc) {
		job = bq_job_wait(b, job, e);
		rc = job ? bq_job_failed(b, job, doing, e) : -1;
	}
	json_decref(job);
	json_decref(body);
	free(name);
	return rc;
}

const char *bq_cell(const json_t *row, size_t column)
{
	return json_string_value(json_object_get(json_array_get(json_object_get(row, "f"), column), "v"));
}
