/*
 * route.c - what a request asks for, and the verdict that its head alone allows. A verdict does not answer at once: the body is read and dropped first,
 * or the client would only see a reset (request.c). The exception is a request whose framing is doubtful (two lengths, a length and a coding,
 * no length): the next request on that connection could be somebody else's invention, so it is answered and the connection closed.
 */
#include "daemon/import/import_priv.h"

static const struct {
	const char *url;
	enum route route;
	bool post;
} routes[] = {
	{"/v2/import/batch", ROUTE_BATCH, true},
	{"/v2/import/push", ROUTE_PUSH, true},
	{"/v2/import/validate", ROUTE_VALIDATE, true},
	{"/v2/import/status", ROUTE_STATUS, false},
	{"/healthz", ROUTE_HEALTH, false},
	{"/readyz", ROUTE_READY, false},
	{"/metrics", ROUTE_METRICS, false},
};

#define WEBHOOK "/v2/webhook/"

/* /v2/webhook/CLIENT_ID/TOKEN */
static bool webhook_address(struct request *r, const char *url)
{
	const char *id = url + strlen(WEBHOOK), *slash = strchr(id, '/');

	if (!slash || str_to_i64(str_mem(id, (size_t)(slash - id)), &r->path_client))
		return false;
	r->path_token = str_c(slash + 1);
	return r->path_token.len > 0;
}

enum route route_find(const char *url, const char *method, struct request *r)
{
	if (strncmp(url, WEBHOOK, strlen(WEBHOOK)) == 0 && webhook_address(r, url)) {
		if (strcmp(method, "POST") == 0)
			return ROUTE_WEBHOOK;
		r->allow = "POST";
		refuse_status(&r->refusal, 405, "Method not allowed.");
		return ROUTE_NONE;
	}
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		const char *allowed = routes[i].post ? "POST" : "GET";

		if (strcmp(url, routes[i].url) != 0)
			continue;
		if (strcmp(method, allowed) == 0)
			return routes[i].route;
		r->allow = allowed;
		refuse_status(&r->refusal, 405, "Method not allowed.");
		return ROUTE_NONE;
	}
	refuse_status(&r->refusal, 404, "Not found.");
	return ROUTE_NONE;
}

bool route_stores(const struct request *r)
{
	return r->route == ROUTE_BATCH || r->route == ROUTE_PUSH || r->route == ROUTE_WEBHOOK;
}

bool route_has_body(const struct request *r)
{
	return route_stores(r) || r->route == ROUTE_VALIDATE;
}

struct heads {
	unsigned lengths, codings;
	struct str coding, length;
};

static enum MHD_Result look(void *arg, enum MHD_ValueKind kind, const char *key, size_t key_len, const char *value, size_t value_len)
{
	struct heads *h = arg;
	struct str k = str_mem(key, key_len), v = str_mem(value ? value : "", value ? value_len : 0);

	(void)kind;
	if (str_ieq(k, STR("content-length"))) {
		h->lengths++;
		h->length = v;
	} else if (str_ieq(k, STR("transfer-encoding"))) {
		h->codings++;
		h->coding = v;
	}
	return MHD_YES;
}

static bool doubtful(struct request *r, const char *what)
{
	r->close = true;
	refusal_reset(&r->refusal);
	refuse_status(&r->refusal, 400, "%s", what);
	return false;
}

bool route_framing(struct request *r, const char *method, const char *version)
{
	struct heads h = {.lengths = 0};

	MHD_get_connection_values_n(r->mhd, MHD_HEADER_KIND, look, &h);
	if (h.lengths > 1)
		return doubtful(r, "More than one Content-Length");
	if (h.lengths && h.codings)
		return doubtful(r, "Content-Length together with Transfer-Encoding");
	if (h.codings > 1 || (h.codings && (!str_ieq(h.coding, STR("chunked")) || strcmp(version, MHD_HTTP_VERSION_1_1) != 0)))
		return doubtful(r, "Transfer-Encoding must be chunked");
	r->length = h.codings ? UINT64_MAX : 0;
	if (h.lengths && str_to_u64(h.length, &r->length))
		return doubtful(r, "Content-Length is not a number");
	if (!h.lengths && !h.codings && (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0))
		return doubtful(r, "Content-Length or Transfer-Encoding is required");
	return true;
}

struct str route_header(const struct request *r, const char *name)
{
	const char *value = NULL;
	size_t len = 0;

	if (MHD_lookup_connection_value_n(r->mhd, MHD_HEADER_KIND, name, strlen(name), &value, &len) != MHD_YES || !value)
		return STR_NULL;
	return str_trim(str_mem(value, len));
}

static struct str bearer(struct str value)
{
	struct str word = STR("bearer ");

	if (value.len <= word.len || !str_ieq(str_mem(value.ptr, word.len), word))
		return STR_NULL;
	return str_trim(str_mem(value.ptr + word.len, value.len - word.len));
}

static void check_type(struct request *r)
{
	struct str type = route_header(r, "Content-Type"), coding = route_header(r, "Content-Encoding");
	const char *semicolon = type.len ? memchr(type.ptr, ';', type.len) : NULL;

	if (semicolon)
		type = str_trim(str_mem(type.ptr, (size_t)(semicolon - type.ptr)));
	r->transit = (r->route == ROUTE_PUSH || r->route == ROUTE_VALIDATE) && str_ieq(type, STR("application/transit+json"));
	if (r->route == ROUTE_WEBHOOK && r->rules->form) {
		if (!str_ieq(type, STR("application/x-www-form-urlencoded")))
			refuse_status(&r->refusal, 415, "Content-Type must be application/x-www-form-urlencoded, as the source's setting form says");
	} else if (!r->transit && !str_ieq(type, STR("application/json"))) {
		if (r->route == ROUTE_PUSH || r->route == ROUTE_VALIDATE)
			refuse_status(&r->refusal, 415, "Unsupported content-type %.*s. Please send application/json or application/transit+json",
				(int)MIN(type.len, 200), type.len ? type.ptr : "");
		else
			refuse_status(&r->refusal, 415, "Content-Type must be application/json");
	}
	if (!r->refusal.status && coding_find(coding, &r->packed))
		refuse_status(&r->refusal, 415, "Content-Encoding %.*s is not supported (gzip and zstd are)", (int)MIN(coding.len, 200), coding.ptr);
}

/* Their key, or one of ours: in the queue a request is known by (source, id). */
static void choose_id(struct request *r)
{
	struct worker *w = r->w;
	struct str key;
	const char *value;
	size_t len;

	if (MHD_lookup_connection_value_n(r->mhd, MHD_HEADER_KIND, "Idempotency-Key", strlen("Idempotency-Key"), &value, &len) == MHD_YES) {
		bool good;

		key = route_header(r, "Idempotency-Key");
		good = key.len >= 1 && key.len <= FRAME_REQUEST_ID_MAX;

		for (size_t i = 0; good && i < key.len; i++)
			good = key.ptr[i] > ' ' && key.ptr[i] < 0x7f;
		if (!good) {
			refuse_status(&r->refusal, 400, "Idempotency-Key must be 1 to %d visible ASCII characters", FRAME_REQUEST_ID_MAX);
			return;
		}
		r->keyed = true;
		memcpy(r->request_id, key.ptr, key.len);
		r->request_id_len = key.len;
		return;
	}
	r->request_id_len = (size_t)snprintf(r->request_id, sizeof(r->request_id), "%016" PRIx64 "%016" PRIx64, w->id_prefix, ++w->id_next);
}

void route_check(struct request *r)
{
	bool webhook = r->route == ROUTE_WEBHOOK;
	const char *partial;
	struct import *im = r->w->im;
	struct err why = ERR_INIT;

	if (!route_has_body(r))
		return;
	if (auth_check(r->w->auth, webhook ? r->path_token : bearer(route_header(r, "Authorization")), webhook, &r->rules, &r->refusal))
		return;
	r->source_id = r->rules->source_id;
	r->client_id = r->rules->client_id;
	if (webhook && r->path_client != r->client_id) {
		refuse_json(&r->refusal, 401, "{\"message\":\"Not Authorized\"}");
		return;
	}
	check_type(r);
	if (r->length != UINT64_MAX && r->length > im->c.body_max)
		refuse_status(&r->refusal, 413, "Request rejected: request size (%" PRIu64 " bytes) exceeds the maximum", r->length);
	partial = r->route == ROUTE_BATCH ? MHD_lookup_connection_value(r->mhd, MHD_GET_ARGUMENT_KIND, "partial") : NULL;
	r->partial = partial && str_ieq(str_c(partial), STR("true"));
	choose_id(r);
	r->retry_after = room_rate(r);
	if (!room_connection(r)) {
		r->close = true;
		refuse_busy(&r->refusal, "The source has too many connections; please try again later");
	}
	if (r->retry_after && !r->refusal.status)
		refuse_busy(&r->refusal, "More than the source's rate_limit arrives; please send it again later");
	if (r->route == ROUTE_VALIDATE) /* it stores nothing, so no key is kept, and it does not matter whether the queue could */
		r->keyed = false;
	if (r->route == ROUTE_VALIDATE && !atomic_load(&im->closing)) /* when the threads are about to end, nothing may go to sleep any more */
		return;
	if (!r->refusal.status && import_shut(im, &why))
		refuse_busy(&r->refusal, "%s", why.text);
}
