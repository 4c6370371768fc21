/*
 * request.c - one HTTP request from its first callback to its last. libmicrohttpd calls request_on when the head is there, for each piece of the body,
 * and once more at its end, always with size 0 in the first and last case; so the state is kept here and never guessed from a size (a
 * resume in the first callback brings the first callback again). A verdict known early is kept while the body is read and dropped, within limits: a client
 * that is answered in mid body sees only a reset. Bodies are admitted by bytes, first come, first served; who waits is suspended.
 */
#include "daemon/core/metrics.h"
#include "daemon/import/import_priv.h"

#include "xalloc.h"

#include <sys/socket.h>

#define KEEP_REQUESTS 64u
#define GROW_STEP (64u << 10)

/* --- life --- */

static struct request *request_new(struct worker *w, struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct request *r = SLIST_FIRST(&w->free);
	struct buf body = BUF_INIT, good = BUF_INIT, refusal = BUF_INIT;

	if (r) {
		SLIST_REMOVE_HEAD(&w->free, free);
		w->n_free--;
		body = r->body;
		good = r->good;
		refusal = r->refusal.body;
	} else {
		r = xmalloc(sizeof(*r));
	}
	memset(r, 0, sizeof(*r));
	r->body = body;
	r->good = good;
	r->refusal.body = refusal;
	r->w = w;
	r->mhd = mhd;
	r->conn = info ? info->socket_context : NULL;
	r->started = now_get().mono;
	r->deadline = r->started + w->im->c.request_timeout;
	if (r->conn)
		atomic_store(&r->conn->idle_since, 0);
	return r;
}

static void request_delete(struct request *r)
{
	buf_free(&r->body);
	buf_free(&r->good);
	buf_free(&r->refusal.body);
	free(r);
}

void request_free_all(struct worker *w)
{
	struct request *r;

	while ((r = SLIST_FIRST(&w->free))) {
		SLIST_REMOVE_HEAD(&w->free, free);
		request_delete(r);
	}
}

void request_completed(void *arg, struct MHD_Connection *mhd, void **slot, enum MHD_RequestTerminationCode why)
{
	struct request *r = *slot;
	struct worker *w = arg;

	(void)mhd;
	(void)why;
	if (!r)
		return;
	*slot = NULL;
	assert(!r->job); /* a connection that sleeps does not end */
	room_release(r, 0);
	buf_free(&r->rejects);
	rules_free(r->rules);
	r->rules = NULL;
	if (r->conn)
		atomic_store(&r->conn->idle_since, now_get().mono);
	if (w->n_free == KEEP_REQUESTS) {
		request_delete(r);
		return;
	}
	buf_truncate(&r->good, 0);
	buf_truncate(&r->refusal.body, 0);
	SLIST_INSERT_HEAD(&w->free, r, free);
	w->n_free++;
}

void request_connection(void *arg, struct MHD_Connection *mhd, void **slot, enum MHD_ConnectionNotificationCode what)
{
	const union MHD_ConnectionInfo *info;
	struct worker *w = arg;
	struct conn *c = *slot;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
		c = xcalloc(1, sizeof(*c));
		c->w = w;
		c->fd = info ? info->connect_fd : -1;
		atomic_store(&c->idle_since, now_get().mono);
		info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
		if (info)
			accept_address(info->client_addr, c->address);
		*slot = c;
		pthread_mutex_lock(&w->im->lock);
		LIST_INSERT_HEAD(&w->im->conns, c, link);
		pthread_mutex_unlock(&w->im->lock);
		return;
	}
	if (!c)
		return;
	*slot = NULL;
	pthread_mutex_lock(&w->im->lock);
	if (w->im->c.connections_per_address)
		accept_forget(w->im, c->address);
	if (c->tenant)
		c->tenant->conns--;
	LIST_REMOVE(c, link); /* its descriptor is closed after this: nobody shuts down another's */
	pthread_mutex_unlock(&w->im->lock);
	free(c);
	atomic_fetch_sub(&w->conns, 1);
	atomic_fetch_sub(&w->im->n_conns, 1);
	metric_add(import_connections, -1);
}

/* --- the answer --- */

static void count(const struct request *r, unsigned status)
{
	if (status == 201 || status == 202) {
		metric_add(import_records_total, (int64_t)r->records);
		metric_add(import_bytes_total, (int64_t)r->taken);
	} else if (status >= 500) {
		metric_add(import_unavailable_total, 1);
	} else if (status >= 400) {
		metric_add(import_refused_total, 1);
	}
}

static enum MHD_Result answer(struct request *r)
{
	bool post = route_stores(r);
	unsigned status = r->refusal.status ? r->refusal.status : r->delayed ? 202 : post ? 201 : 200;
	struct buf *body = r->refusal.status ? &r->refusal.body : &r->good;
	struct MHD_Response *resp = MHD_create_response_from_buffer(body->len, body->data, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result rc;
	char seconds[16];

	if (!resp)
		return MHD_NO;
	if (status == 503) {
		snprintf(seconds, sizeof(seconds), "%u", r->retry_after ? r->retry_after : import_retry_after(r->w->im));
		MHD_add_response_header(resp, "Retry-After", seconds);
	}
	if (status == 503 && r->route == ROUTE_VALIDATE)
		status = 504; /* 503 says that it may have been stored; this never is */
	MHD_add_response_header(resp, "Content-Type", r->content_type && !r->refusal.status ? r->content_type : "application/json");
	if (r->allow)
		MHD_add_response_header(resp, "Allow", r->allow);
	if (r->close || atomic_load(&r->w->im->draining))
		MHD_add_response_header(resp, "Connection", "close");
	rc = MHD_queue_response(r->mhd, status, resp);
	MHD_destroy_response(resp);
	count(r, status);
	return rc;
}

/* --- from the head to the end of the body --- */

static void drop_body(struct request *r)
{
	r->state = R_DROP;
	r->deadline = MIN(r->deadline, now_get().mono + IMPORT_DRAIN_TIME);
}

/* Clients give up after a minute (target-stitch does), which is also our default: a 503 that comes later than that is never read. */
void request_wait(struct request *r)
{
	r->deadline = MIN(r->deadline, now_get().mono + r->w->im->c.request_timeout / 2);
}

static bool expects_continue(struct request *r)
{
	const char *v = MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, "Expect");

	return v && str_ieq(str_c(v), STR("100-continue"));
}

static enum MHD_Result begin(struct request *r, const char *url, const char *method, const char *version)
{
	metric_add(import_requests_total, 1);
	if (!route_framing(r, method, version))
		return answer(r);
	r->route = route_find(url, method, r);
	if (!r->refusal.status)
		route_check(r);
	if (r->refusal.status && r->length && (expects_continue(r) || (r->length != UINT64_MAX && r->length > IMPORT_DRAIN_BYTES))) {
		r->close = true; /* the body will not come, or is too long to wait for */
		return answer(r);
	}
	if (r->refusal.status || !route_has_body(r)) {
		drop_body(r);
		return MHD_YES;
	}
	if (r->packed)
		r->coding = coding_new(r->packed);
	room_admit(r);
	return MHD_YES;
}

static int refuse_damaged(struct request *r)
{
	return refuse_status(&r->refusal, 400, "The body is not whole %s data", coding_name(r->packed));
}

/* Room for so much; where there is none the request waits. */
enum room { ROOM_IS_THERE, ROOM_WAITS /* suspended: it is not to be touched any more */, ROOM_REFUSED };

static enum room find_room(struct request *r, uint64_t need)
{
	if (room_grow(r, need))
		return ROOM_IS_THERE;
	if (room_wait(r, need))
		return ROOM_WAITS;
	refuse_busy(&r->refusal, "Too many requests are under way; please send it again later");
	room_release(r, 0);
	drop_body(r);
	return ROOM_REFUSED;
}

/* A piece of a packed body, with what was left in the library of those before; *size: what is left of it. It must fit into the room for bodies as it grows. */
static enum room unpack(struct request *r, const char *data, size_t *size)
{
	uint64_t max = r->w->im->c.body_max, memory;
	enum coding_result rc;
	enum room room;

	do {
		size_t before = *size;

		rc = coding_feed(r->coding, &data, size, MIN(max, room_left(r, coding_memory(r->coding))), &r->body);
		r->taken += before - *size;
		if (rc == CODING_DAMAGED)
			refuse_damaged(r);
		else if (r->body.len > max)
			refuse_status(&r->refusal, 413, "Request rejected: request size (more than %" PRIu64 " bytes when unpacked) exceeds the maximum", max);
		if (r->refusal.status) {
			room_release(r, 0);
			drop_body(r);
			return ROOM_REFUSED;
		}
		memory = coding_memory(r->coding);
		room = find_room(r, r->body.len + memory + (rc == CODING_OK ? 0 : GROW_STEP));
	} while (rc != CODING_OK && room == ROOM_IS_THERE);
	return room;
}

/* A piece of the body; *size: what is left of it. MHD_NO closes the connection: the sender is too slow, or does not stop. */
static enum MHD_Result piece(struct request *r, const char *data, size_t *size)
{
	struct import *im = r->w->im;
	size_t n = *size;

	if (now_get().mono > r->deadline)
		return MHD_NO;
	if (r->state == R_BODY && r->taken + n <= im->c.body_max) {
		enum room room = ROOM_IS_THERE;

		if (r->coding)
			room = unpack(r, data, size);
		else if (r->length == UINT64_MAX)
			room = find_room(r, r->body.len + n);
		if (room == ROOM_WAITS || (room == ROOM_IS_THERE && r->coding))
			return MHD_YES;
	}
	r->taken += *size;
	n = *size;
	*size = 0;
	if (r->state == R_DROP)
		return r->taken <= IMPORT_DRAIN_BYTES ? MHD_YES : MHD_NO;
	if (r->taken > im->c.body_max) {
		room_release(r, 0);
		drop_body(r); /* without a verdict: how large it is will be known at its end */
		return MHD_YES;
	}
	if (!r->body.cap && r->length != UINT64_MAX)
		buf_reserve(&r->body, r->length);
	buf_add(&r->body, data, n);
	return MHD_YES;
}

static enum MHD_Result body_end(struct request *r)
{
	if (r->state == R_BODY && r->coding && coding_end(r->coding) != CODING_OK) {
		refuse_damaged(r);
		room_release(r, 0);
		return answer(r);
	}
	if (r->state == R_BODY)
		return put_request(r) ? MHD_YES : answer(r);
	if (!r->refusal.status && route_has_body(r))
		refuse_status(&r->refusal, 413, "Request rejected: request size (%" PRIu64 " bytes) exceeds the maximum", r->taken);
	if (!r->refusal.status)
		health_answer(r);
	return answer(r);
}

enum MHD_Result request_on(void *arg, struct MHD_Connection *mhd, const char *url, const char *method, const char *version, const char *data,
	size_t *size, void **slot)
{
	struct request *r = *slot;
	struct worker *w = arg;
	size_t none = 0;

	if (!r) {
		*slot = r = request_new(w, mhd);
		return begin(r, url, method, version);
	}
	switch (r->state) {
	case R_ADMITTED: /* the first callback again; the verdict may be that there was no room in time */
		r->deadline = r->started + w->im->c.request_timeout; /* that of the wait is over: what is dropped now is to be answered */
		if (r->refusal.status)
			drop_body(r);
		else
			r->state = R_BODY;
		if (!*size)
			return MHD_YES;
		return piece(r, data, size);
	case R_GROWN:
		r->deadline = r->started + w->im->c.request_timeout;
		r->state = R_BODY;
		if (r->refusal.status) {
			room_release(r, 0);
			drop_body(r);
		} else if (r->coding && unpack(r, "", &none) == ROOM_WAITS) {
			return MHD_YES;
		}
		/* fall through */
	case R_BODY:
	case R_DROP:
		return *size ? piece(r, data, size) : body_end(r);
	case R_ANSWER:
		return answer(r);
	default:
		return MHD_YES; /* suspended: not called */
	}
}

/* --- those whose time is over --- */

/* One that sleeps past its time, taken off its list with its verdict; NULL: none. */
static struct request *take_expired(struct import *im, int64_t now)
{
	bool all = atomic_load(&im->closing);
	struct request *r;

	pthread_mutex_lock(&im->lock);
	TAILQ_FOREACH(r, &im->waiting, link)
		if (all || r->deadline <= now) {
			room_wait_over(r);
			refuse_busy(&r->refusal, "Too many requests are under way; please send it again later");
			goto out;
		}
	TAILQ_FOREACH(r, &im->asleep, link)
		if (all || r->deadline <= now) {
			TAILQ_REMOVE(&im->asleep, r, link);
			r->job->req = NULL;
			r->job = NULL;
			r->state = R_ANSWER;
			refuse_busy(&r->refusal, "It was not stored in time, or only perhaps; please send it again");
			goto out;
		}
	r = keyed_expired(im, now, all);
	if (!r)
		r = lane_expired(im, now, all);
out:
	pthread_mutex_unlock(&im->lock);
	return r;
}

void request_expire(struct import *im, int64_t now)
{
	struct request *r;

	while ((r = take_expired(im, now)))
		MHD_resume_connection(r->mhd);
}
