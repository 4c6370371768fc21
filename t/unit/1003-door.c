/*
 * 1003-door.c - the door over loopback, on a real state.db and a log that is stepped here, so that it can be held up: tokens, codes and bodies, framing
 * that is refused, bodies that are too large, admission, a queue that is full or late, connections that die, the end.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "daemon/import/import_priv.h"
#include "daemon/import/receipt.h"
#include "doortest.h"
#include "frame.h"

static size_t gzip(unsigned char *out, size_t max, const char *text, size_t n)
{
	z_stream z = {.next_in = (z_const Bytef *)(uintptr_t)text, .avail_in = (uInt)n, .next_out = out, .avail_out = (uInt)max};

	if (deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK || deflate(&z, Z_FINISH) != Z_STREAM_END)
		bail("deflate");
	deflateEnd(&z);
	return z.total_out;
}

/* --- tests; each leaves the door as it was --- */

static void test_routes(void)
{
	struct http h;

	http_dial(&h, port);
	http_sayf(&h, "GET /v2/import/status HTTP/1.1\r\nHost: x\r\n\r\n");
	ok(http_hear(&h) == 200 && strstr(buf_cstr(&h.body), "{\"name\":\"pipeline.gate\",\"version\":\"") &&
			strstr(buf_cstr(&h.body), "\",\"status\":\"OK\",\"reason\":null}"),
		"status");
	http_sayf(&h, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
	is_int(200, http_hear(&h), "healthz");
	http_sayf(&h, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
	is_int(200, http_hear(&h), "readyz");
	http_sayf(&h, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
	ok(http_hear(&h) == 200 && http_has(&h, "Content-Type: text/plain") && strstr(buf_cstr(&h.body), "stitch_import_connections 1\n"), "metrics");
	http_sayf(&h, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
	http_hear(&h);
	answers(&h, 404, ERROR_BODY("Not found."), "404");
	http_sayf(&h, "PUT " PUSH " HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
	http_hear(&h);
	answers(&h, 405, ERROR_BODY("Method not allowed."), "405, the body is read");
	ok(http_has(&h, "Allow: POST"), "Allow");
	http_sayf(&h, "GET " BATCH " HTTP/1.1\r\nHost: x\r\n\r\n");
	is_int(405, http_hear(&h), "GET of batch");
	http_sayf(&h, "POST /v2/import/status HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
	is_int(405, http_hear(&h), "POST of status");
	is_int(201, http_post(&h, BATCH, "at_good", GOOD), "all on one connection");
	http_close(&h);
}

static void test_tokens(void)
{
	static const char refused[] = "{\"message\":\"Not Authorized\"}";
	static const char inactive[] = "{\"error\":\"Forbidden\",\"errors\":{\"error\":\"Connection is not active.\"}}";
	struct http h;

	http_dial(&h, port);
	http_sayf(&h, "POST " BATCH " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
	http_hear(&h);
	answers(&h, 401, refused, "no token");
	for (int i = 0; i < 2; i++) {
		http_post(&h, BATCH, "at_wrong", GOOD);
		answers(&h, 401, refused, "a wrong token");
		http_post(&h, BATCH, "at_paused", GOOD);
		answers(&h, 401, inactive, "a paused source");
		is_int(201, http_post(&h, BATCH, "at_good", GOOD), "a good token");
		is_int(201, http_post(&h, BATCH, "at_held", GOOD), "a source that holds when it is paused");
	}
	http_post(&h, PUSH, "at_deleted", "[]");
	ok(h.status == 401, "a deleted source (%s)", buf_cstr(&h.body));
	change(pause_shop, &h);
	http_post(&h, BATCH, "at_good", GOOD);
	answers(&h, 401, inactive, "paused just now");
	change(pause_shop, NULL);
	is_int(201, http_post(&h, BATCH, "at_good", GOOD), "and resumed");
	http_close(&h);
}

static void test_types(void)
{
	struct http h;

	http_dial(&h, port);
	http_sayf(&h, "POST " BATCH " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer at_good\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}");
	http_hear(&h);
	answers(&h, 415, ERROR_BODY("Content-Type must be application/json"), "batch: not JSON");
	http_sayf(&h,
		"POST " PUSH " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer at_good\r\nContent-Type: application/transit+json\r\nContent-Length: 5\r\n\r\n[\"~x\"");
	http_hear(&h);
	answers(&h, 400,
		"{\"status\":\"ERROR\",\"message\":\"Malformed json in the body!\",\"error\":\"the text ends within the document at byte 5\",\"input\":null}",
		"push: Transit, malformed");
	http_sayf(&h,
		"POST " BATCH " HTTP/1.1\r\nHost: x\r\nAuthorization: bearer at_good\r\nContent-Type: Application/JSON; charset=UTF-8\r\nContent-Length: %zu\r\n\r\n%s",
		strlen(GOOD), GOOD);
	is_int(201, http_hear(&h), "with a charset");
	http_sayf(&h,
		"POST " BATCH
		" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer at_good\r\nContent-Type: application/json\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\n{}");
	is_int(415, http_hear(&h), "an encoding that is not ours");
	http_close(&h);
}

static void keyed(struct http *h, const char *key, const char *body)
{
	http_sayf(h,
		"POST " BATCH " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer at_good\r\nContent-Type: application/json\r\nIdempotency-Key: %s\r\n"
		"Content-Length: %zu\r\n\r\n%s",
		key, strlen(body), body);
	http_hear(h);
}

static void test_stored(void)
{
	uint64_t from = queue_end(queue, 0), offset;
	struct queue_reader *reader;
	struct receipt where;
	const char *receipt;
	char long_key[256], *body;
	struct http h;
	struct qrec q;

	http_dial(&h, port);
	is_int(400, http_post(&h, BATCH, "at_good", "{\"table_name\":\"t\"}"), "a bad batch");
	is_int(400, http_post(&h, BATCH, "at_good", "{\"table_name\":\"t\",\"schema\":{},\"key_names\":[\"id\"],\"messages\":[" ROW "," ROW ",{}]}"), "one bad message");
	is_int(422, http_post(&h, PUSH, "at_good", "[{\"client_id\":1}]"), "a bad push");
	is_int((int64_t)from, (int64_t)queue_end(queue, 0), "nothing is stored of them");
	keyed(&h, "key-1", GOOD);
	ok(h.status == 201 && strstr(buf_cstr(&h.body), "{\"status\":\"OK\",\"message\":\"Batch Accepted!\",\"receipt\":\""), "a good batch");
	receipt = strstr(buf_cstr(&h.body), "receipt\":\"");
	ok(receipt && !receipt_parse(str_mem(receipt + 10, strcspn(receipt + 10, "\"")), &where, NULL) && where.first == from && where.count == 1 &&
			!memcmp(where.queue_id, queue_id(queue), 16),
		"its receipt is its place");
	reader = queue_reader_open(queue, 0, from, NULL);
	ok(reader && queue_read(reader, &q, &offset, NULL) == 1 && q.request_id.len == 22 && str_starts(q.request_id, STR("key-1 ")) && q.flags & QREC_KEYED && q.source_id == sources[0].id,
		"it is in the queue with its key and a hash of its body");
	body = xstrdup(buf_cstr(&h.body));
	keyed(&h, "key-1", GOOD);
	ok(h.status == 201 && queue_read(reader, &q, &offset, NULL) == 0 && strcmp(body, buf_cstr(&h.body)) == 0, "again, with the same body: the same receipt, not stored again");
	free(body);
	keyed(&h, "key-1", GOOD " ");
	answers(&h, 422, ERROR_BODY("The Idempotency-Key was used before with another body"), "again, with another body");
	is_int(0, queue_read(reader, &q, &offset, NULL), "which is not stored");
	memset(long_key, 'k', 255);
	long_key[255] = '\0';
	keyed(&h, long_key, GOOD);
	ok(h.status == 201 && queue_read(reader, &q, &offset, NULL) == 1 && q.request_id.len == 81, "the longest key");
	long_key[254] = 'x';
	keyed(&h, long_key, GOOD " ");
	is_int(201, h.status, "one that is different at its end is another");
	queue_reader_close(reader);
	http_sayf(&h,
		"POST " BATCH " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer at_good\r\nContent-Type: application/json\r\nIdempotency-Key: a b\r\n"
		"Content-Length: 2\r\n\r\n{}");
	http_hear(&h);
	answers(&h, 400, ERROR_BODY("Idempotency-Key must be 1 to 255 visible ASCII characters"), "a bad key");
	http_post(&h, PUSH, "at_good",
		"[{\"client_id\":1,\"table_name\":\"a\",\"sequence\":1,\"action\":\"upsert\",\"key_names\":[\"id\"],\"data\":{\"id\":1}},"
		"{\"client_id\":1,\"table_name\":\"b/x\",\"sequence\":1,\"action\":\"upsert\",\"key_names\":[\"id\"],\"data\":{\"id\":1}}]");
	is_int(201, h.status, "a push of two tables");
	ok(stored("a", from) == 1 && stored("b/x", from) == 1, "both are there");
	http_close(&h);
}

#define POST_HEAD "POST " BATCH " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer at_good\r\nContent-Type: application/json\r\n"
#define SECOND "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

static void test_smuggling(void)
{
	static const struct {
		const char *what, *head;
	} bad[] = {
		{"two lengths", "Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}"},
		{"two equal lengths", "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"},
		{"length and coding", "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"another coding", "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
		{"coding twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"neither", "\r\n"},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct http h;

		http_dial(&h, port);
		http_sayf(&h, POST_HEAD "%s" SECOND, bad[i].head);
		http_hear(&h);
		ok(h.status == 400 && h.closes && http_has(&h, "Content-Type: application/json"), "%s: 400 and the end (%u)", bad[i].what, h.status);
		ok(http_hear(&h) == 0, "%s: what follows is no request", bad[i].what);
		http_close(&h);
	}
}

static void test_bodies(void)
{
	struct buf big = BUF_INIT;
	struct http h;

	buf_addf(&big, "%0*d", (int)BODY_MAX + 1, 0);
	http_dial(&h, port);
	http_post(&h, BATCH, "at_good", big.data);
	answers(&h, 413, ERROR_BODY("Request rejected: request size (65537 bytes) exceeds the maximum"), "too large by its length");
	http_sayf(&h, POST_HEAD "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", big.len);
	http_say(&h, buf_str(&big));
	http_sayf(&h, "\r\n%x\r\nabcdefghij\r\n0\r\n\r\n", 10);
	http_hear(&h);
	answers(&h, 413, ERROR_BODY("Request rejected: request size (65547 bytes) exceeds the maximum"), "too large in chunks");
	http_post(&h, BATCH, "at_wrong", big.data);
	is_int(401, h.status, "a large body of a stranger is read and dropped");
	http_sayf(&h, POST_HEAD "Transfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n0\r\n\r\n", strlen(GOOD), GOOD);
	is_int(201, http_hear(&h), "a good one in chunks, on the same connection");
	http_sayf(&h, POST_HEAD "Content-Length: 0\r\n\r\n");
	is_int(400, http_hear(&h), "an empty body");
	http_sayf(&h, POST_HEAD "Content-Length: %zu\r\n\r\n%s" POST_HEAD "Content-Length: 2\r\n\r\n{}" SECOND, strlen(GOOD), GOOD);
	is_int(201, http_hear(&h), "three at once: the first");
	is_int(400, http_hear(&h), "the second");
	is_int(200, http_hear(&h), "the third");
	http_sayf(&h, POST_HEAD "Expect: 100-continue\r\nContent-Length: %zu\r\n\r\n", strlen(GOOD));
	is_int(100, http_hear(&h), "100 Continue");
	http_sayf(&h, "%s", GOOD);
	is_int(201, http_hear(&h), "then the answer");
	http_sayf(&h, "POST " BATCH " HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n");
	is_int(401, http_hear(&h), "the answer at once instead of 100 Continue");
	http_close(&h);
	http_dial(&h, port);
	http_sayf(&h, POST_HEAD "Content-Length: %zu\r\n\r\n%s", strlen(GOOD), GOOD);
	http_half_close(&h);
	is_int(201, http_hear(&h), "the sender has closed its half");
	http_close(&h);
	buf_free(&big);
}

static bool no_bodies(void)
{
	return metric_get(import_body_bytes) == 0 && metric_get(import_connections) == 0;
}

static unsigned post_packed(struct http *h, const char *coding, const void *body, size_t len)
{
	http_sayf(h, POST_HEAD "Content-Encoding: %s\r\nContent-Length: %zu\r\n\r\n", coding, len);
	http_say(h, str_mem(body, len));
	return http_hear(h);
}

static void test_packed(void)
{
	unsigned char gz[4096], zs[4096];
	size_t n_gz, n_zs;
	static char zeros[BODY_MAX + 1];
	struct http h;

	n_gz = gzip(gz, sizeof(gz), GOOD, strlen(GOOD));
	n_zs = ZSTD_compress(zs, sizeof(zs), GOOD, strlen(GOOD), 1);
	http_dial(&h, port);
	is_int(201, post_packed(&h, "gzip", gz, n_gz), "gzip");
	is_int(201, post_packed(&h, "zstd", zs, n_zs), "zstd");
	http_sayf(&h, POST_HEAD "Content-Encoding: zstd\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n", n_zs);
	http_say(&h, str_mem((char *)zs, n_zs));
	http_sayf(&h, "\r\n0\r\n\r\n");
	is_int(201, http_hear(&h), "zstd in chunks");
	post_packed(&h, "gzip", GOOD, strlen(GOOD));
	answers(&h, 400, ERROR_BODY("The body is not whole gzip data"), "plain text that is called gzip");
	post_packed(&h, "zstd", zs, n_zs - 1);
	answers(&h, 400, ERROR_BODY("The body is not whole zstd data"), "cut off");
	post_packed(&h, "gzip", gz, 0);
	is_int(400, h.status, "nothing is no gzip");
	n_gz = gzip(gz, sizeof(gz), zeros, sizeof(zeros));
	post_packed(&h, "gzip", gz, n_gz);
	answers(&h, 413, ERROR_BODY("Request rejected: request size (more than 65536 bytes when unpacked) exceeds the maximum"), "a bomb");
	is_int(201, http_post(&h, BATCH, "at_good", GOOD), "the connection can be used");
	http_close(&h);
	ok(wait_until(no_bodies), "all room is given back");
}

static int64_t requests_wanted;

static bool all_begun(void)
{
	return metric_get(import_requests_total) == requests_wanted;
}

static void test_aborts(void)
{
	uint64_t from = queue_end(queue, 0);
	int64_t begin;

	requests_wanted = metric_get(import_requests_total) + 20;

	for (int i = 0; i < 30; i++) {
		struct http h;

		http_dial(&h, port);
		if (i % 3 == 0)
			http_sayf(&h, "POST " BATCH " HTTP/1.1\r\nHost");
		else if (i % 3 == 1)
			http_sayf(&h, POST_HEAD "Content-Length: 60000\r\n\r\n{");
		else
			http_sayf(&h, POST_HEAD "Transfer-Encoding: chunked\r\n\r\nff\r\n{");
		http_close(&h);
	}
	ok(wait_until(all_begun), "thirty senders die in mid request");
	begin = now_get().mono;
	ok(wait_until(no_bodies), "nothing of them is held");
	ok(now_get().mono - begin < 25 * NSEC_PER_SEC, "it is not the timeout that frees it");
	is_int((int64_t)from, (int64_t)queue_end(queue, 0), "nothing is stored");
}

static bool admission_empty(void)
{
	return metric_get(import_body_bytes) == 2 * BODY_MAX;
}

#define HEAD_OF(token) "POST " BATCH " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " token "\r\nContent-Type: application/json\r\n"

static bool admission_half(void)
{
	return metric_get(import_body_bytes) == BODY_MAX;
}

/* One source gets half of the room. */
static void test_admission(void)
{
	struct http a, b, c, d;

	http_dial(&a, port);
	http_dial(&b, port);
	http_dial(&c, port);
	http_dial(&d, port);
	requests_wanted = metric_get(import_requests_total) + 2;
	http_sayf(&a, POST_HEAD "Content-Length: %u\r\n\r\n{", BODY_MAX);
	ok(wait_until(admission_half), "a body of one source fills what it may have");
	http_sayf(&c, POST_HEAD "Content-Length: %zu\r\n\r\n%s", strlen(GOOD), GOOD);
	ok(wait_until(all_begun), "another one comes");
	usleep(20000); /* not a wait for something: time in which it could wrongly get in */
	is_int(BODY_MAX, metric_get(import_body_bytes), "and waits");
	is_int(201, http_post(&d, BATCH, "at_mart", GOOD), "another source passes it by");
	http_sayf(&b, HEAD_OF("at_mart") "Content-Length: %u\r\n\r\n{", BODY_MAX);
	ok(wait_until(admission_empty), "two bodies fill what is allowed");
	requests_wanted = metric_get(import_requests_total) + 1;
	http_sayf(&d, HEAD_OF("at_slow") "Content-Length: %zu\r\n\r\n%s", strlen(GOOD), GOOD);
	ok(wait_until(all_begun), "a third source comes");
	usleep(20000); /* as above */
	is_int(2 * BODY_MAX, metric_get(import_body_bytes), "and waits too");
	http_close(&a);
	is_int(201, http_hear(&c), "until one is gone");
	is_int(201, http_hear(&d), "both");
	http_close(&b);
	http_close(&c);
	http_close(&d);
	ok(wait_until(no_bodies), "all is given back");
}

static uint64_t bodies_wanted;

static bool bodies_reached(void)
{
	return metric_get(import_body_bytes) == (int64_t)bodies_wanted;
}

static void say_chunk(struct http *h, size_t n)
{
	struct buf chunk = BUF_INIT;

	buf_addf(&chunk, "%zx\r\n%*s\r\n", n, (int)n, "");
	http_say(h, buf_str(&chunk));
	buf_free(&chunk);
}

/* A body whose length is not known has room for what came of it, and waits when there is none for more. */
static void test_growth(void)
{
	struct http a, b;

	http_dial(&a, port);
	http_dial(&b, port);
	http_sayf(&a, HEAD_OF("at_mart") "Transfer-Encoding: chunked\r\n\r\n");
	say_chunk(&a, 1000);
	bodies_wanted = BODY_MAX / 4;
	ok(wait_until(bodies_reached), "a chunked body begins with a guess");
	http_sayf(&b, HEAD_OF("at_mart") "Content-Length: %u\r\n\r\n{", BODY_MAX / 4 * 3);
	bodies_wanted = BODY_MAX;
	ok(wait_until(bodies_reached), "there is room for another of that source beside it");
	for (unsigned i = 0; i < 5; i++)
		say_chunk(&a, 10000);
	usleep(20000); /* time in which it could wrongly go on */
	is_int(BODY_MAX, metric_get(import_body_bytes), "it cannot grow now, and waits");
	http_close(&b);
	http_sayf(&a, "%zx\r\n%s\r\n0\r\n\r\n", strlen(GOOD), GOOD);
	is_int(201, http_hear(&a), "until there is room");
	http_close(&a);
	ok(wait_until(no_bodies), "all is given back");

	/* two that grow and wait for each other */
	http_dial(&a, port);
	http_dial(&b, port);
	http_sayf(&a, HEAD_OF("at_mart") "Transfer-Encoding: chunked\r\n\r\n");
	http_sayf(&b, HEAD_OF("at_mart") "Transfer-Encoding: chunked\r\n\r\n");
	for (unsigned i = 0; i < 3; i++) {
		say_chunk(&a, 10000);
		say_chunk(&b, 10000);
	}
	for (unsigned i = 0; i < 2; i++) {
		say_chunk(&a, 10000);
		say_chunk(&b, 10000);
	}
	http_sayf(&a, "%zx\r\n%s\r\n0\r\n\r\n", strlen(GOOD), GOOD);
	http_sayf(&b, "%zx\r\n%s\r\n0\r\n\r\n", strlen(GOOD), GOOD);
	http_hear(&a);
	http_hear(&b);
	ok((a.status == 201 || a.status == 503) && (b.status == 201 || b.status == 503) && a.status + b.status < 1000, "one of two is taken (%u, %u)",
		a.status, b.status);
	http_close(&a);
	http_close(&b);
	ok(wait_until(no_bodies), "all is given back");
}

/* Who waited for room in vain is told so, though the time for that is over. */
static void test_no_room(void)
{
	struct http a, b;

	http_dial(&a, port);
	http_dial(&b, port);
	http_sayf(&a, POST_HEAD "Content-Length: %u\r\n\r\n{", BODY_MAX);
	ok(wait_until(admission_half), "a body fills what its source may have");
	http_post(&b, BATCH, "at_good", GOOD);
	answers(&b, 503, ERROR_BODY("Too many requests are under way; please send it again later"), "there was no room in time");
	ok(http_has(&b, "Retry-After: 2"), "Retry-After");
	http_close(&a);
	is_int(201, http_post(&b, BATCH, "at_good", GOOD), "the same connection, later");
	http_close(&b);
	ok(wait_until(no_bodies), "all is given back");
}

static void hundred_rows(struct buf *body) /* and one */
{
	buf_adds(body, "{\"table_name\":\"t\",\"schema\":{},\"messages\":[" ROW);
	for (int i = 0; i < 100; i++)
		buf_adds(body, "," ROW);
	buf_adds(body, "]}");
}

/* Two records a second, and one second in advance. */
static void test_rate(void)
{
	struct buf body = BUF_INIT;
	struct http h;

	hundred_rows(&body);
	http_dial(&h, port);
	is_int(201, http_post(&h, BATCH, "at_slow", body.data), "a request beyond the rate is taken whole");
	http_post(&h, BATCH, "at_slow", GOOD);
	answers(&h, 503, ERROR_BODY("More than the source's rate_limit arrives; please send it again later"), "the next one must wait");
	ok(http_has(&h, "Retry-After: 4") || http_has(&h, "Retry-After: 50"), "for as long as the first one's records are worth");
	is_int(504, http_post(&h, VALIDATE, "at_slow", "[{\"client_id\":1}]"), "nor is anything checked, which is work too");
	ok(http_has(&h, "Retry-After: 4") || http_has(&h, "Retry-After: 50"), "until then");
	is_int(201, http_post(&h, BATCH, "at_good", GOOD), "another source need not");
	http_close(&h);
	buf_free(&body);
}

static void test_pressure(void)
{
	struct http h;

	http_dial(&h, port);
	import_set_pressure(door, 7, "The spool is full");
	http_post(&h, BATCH, "at_good", GOOD);
	answers(&h, 503, ERROR_BODY("The spool is full"), "the door is shut");
	ok(http_has(&h, "Retry-After: 7"), "Retry-After");
	http_post(&h, VALIDATE, "at_good", "[{\"client_id\":1,\"table_name\":\"a\",\"sequence\":1,\"action\":\"upsert\",\"key_names\":[\"id\"],\"data\":{\"id\":1}}]");
	answers(&h, 200, "{\"status\":\"OK\",\"message\":\"Batch is valid!\"}", "validate stores nothing, so it is never busy");
	is_int(422, http_post(&h, VALIDATE, "at_good", "[{\"client_id\":1}]"), "and says what is wrong");
	http_sayf(&h, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
	is_int(503, http_hear(&h), "not ready");
	http_sayf(&h, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
	is_int(200, http_hear(&h), "but healthy");
	import_set_pressure(door, 1, "");
	is_int(201, http_post(&h, BATCH, "at_good", GOOD), "open again, same connection");
	http_close(&h);
}

static void test_wait(void)
{
	is_int(1, import_wait(0, 0, NSEC_PER_SEC), "nothing waits: a second");
	is_int(1, import_wait(10, 1000, NSEC_PER_SEC), "little waits: a second");
	is_int(11, import_wait(10000, 3000, 3 * NSEC_PER_SEC), "10,000 at 1,000 a second");
	is_int(60, import_wait(10000, 10, 3 * NSEC_PER_SEC), "never more than a minute");
	is_int(60, import_wait(1, 0, 3 * NSEC_PER_SEC), "as long as nothing moves");
}

static bool one_waits(void)
{
	struct queue_stats s;

	queue_stats(queue, &s);
	return s.waiting == 1;
}

#define KEYED POST_HEAD "Idempotency-Key: %s\r\nContent-Length: %zu\r\n\r\n%s"
#define USED ERROR_BODY("The Idempotency-Key was used before with another body")

/* While the first one is under way. */
static void test_keys(void)
{
	static const char other[] = GOOD "  ";
	uint64_t from = queue_end(queue, 0);
	struct http a, b, c, d;

	http_dial(&a, port);
	http_dial(&b, port);
	http_dial(&c, port);
	http_dial(&d, port);
	requests_wanted = metric_get(import_requests_total) + 4;
	hold_queue();
	http_sayf(&a, KEYED, "wait", strlen(GOOD), GOOD);
	ok(wait_until(one_waits), "a request with a key is under way");
	http_sayf(&b, KEYED, "wait", strlen(GOOD), GOOD);
	http_sayf(&c, KEYED, "wait", strlen(other), other);
	http_sayf(&d, KEYED, "wait", strlen(GOOD), GOOD);
	ok(wait_until(all_begun), "others with that key come");
	http_close(&d);
	ok(one_waits(), "they wait for its answer, not for the queue");
	release_queue();
	ok(http_hear(&a) == 201 && http_hear(&b) == 201 && strcmp(buf_cstr(&a.body), buf_cstr(&b.body)) == 0, "both get the first one's receipt");
	http_hear(&c);
	answers(&c, 422, USED, "another body is refused");
	is_int(1, (int64_t)stored("t", from), "it is stored once");
	keyed(&a, "wait-2", "{");
	is_int(400, a.status, "one that is refused");
	keyed(&a, "wait-2", GOOD);
	is_int(201, a.status, "leaves its key free");
	http_close(&a);
	http_close(&b);
	http_close(&c);
}

static int cut_keyed(struct db *db, void *arg, struct err *e)
{
	struct cut_request id = {.request_id = str_c(arg), .received_at = now_get().real};
	struct str head = STR("{\"source\":1,\"table\":\"t\",\"key_names\":[],\"schema\":null,\"types\":{\"n\":[\"integer\"]},\"table_version\":0,\"received_at\":1}");
	struct cut c = {.source_id = sources[0].id, .table = STR("t"), .records = 1, .lines = 1, .bytes = 1, .path = STR("x"), .reason = "age", .first_received = 1,
		.last_received = 1, .cut_at = 1, .heads = &head, .n_heads = 1, .requests = &id, .n_requests = 1, .position = {.read_from = 1}};

	return db_cut(db, &c, e);
}

/* The door is opened anew: the newest keys come from the queue, old ones from state.db. */
static void test_keys_again(void)
{
	char old[] = "old 0123456789abcdef";
	uint64_t from = queue_end(queue, 0);
	struct http h;

	http_dial(&h, port);
	keyed(&h, "wait", GOOD);
	ok(h.status == 201 && queue_end(queue, 0) == from, "a key of the last run, same body");
	keyed(&h, "wait", GOOD " ");
	answers(&h, 422, USED, "and another one");
	change(cut_keyed, old);
	keyed(&h, "old", GOOD);
	answers(&h, 422, USED, "a key that only state.db knows");
	keyed(&h, "ol", GOOD);
	is_int(201, h.status, "a part of it is another key");
	keyed(&h, "old!", GOOD);
	is_int(201, h.status, "and so is a longer one");
	is_int((int64_t)from + 2, (int64_t)queue_end(queue, 0), "no more than that is stored");
	http_close(&h);
}

static bool two_wait(void)
{
	struct queue_stats s;

	queue_stats(queue, &s);
	return s.waiting == 2;
}

static bool mailbox_empty(void)
{
	struct queue_stats s;

	queue_stats(queue, &s);
	return s.waiting == 0;
}

static bool none_waits(void)
{
	return mailbox_empty() && metric_get(import_connections) == 0;
}

/* The mailbox takes two; requests time out after a second. */
static void test_queue_late(void)
{
	uint64_t from = queue_end(queue, 0);
	struct buf rows = BUF_INIT;
	struct http a, b, c;

	http_dial(&a, port);
	http_dial(&b, port);
	http_dial(&c, port);
	hold_queue();
	http_sayf(&a, POST_HEAD "Content-Length: %zu\r\n\r\n%s", strlen(GOOD), GOOD);
	http_sayf(&b, POST_HEAD "Content-Length: %zu\r\n\r\n%s", strlen(GOOD), GOOD);
	ok(wait_until(two_wait), "two requests fill the queue's mailbox");
	http_post(&c, BATCH, "at_good", GOOD);
	answers(&c, 503, ERROR_BODY("More arrives than can be stored now; please send it again later"), "a third one is told so");
	ok(http_has(&c, "Retry-After: "), "Retry-After");
	hundred_rows(&rows);
	is_int(503, http_post(&c, BATCH, "at_slow", rows.data), "nor is there room for one of a source with a rate");
	http_hear(&a);
	answers(&a, 503, ERROR_BODY("It was not stored in time, or only perhaps; please send it again"), "the first one is told when its time is over");
	http_close(&b); /* dies while it waits */
	is_int((int64_t)from, (int64_t)queue_end(queue, 0), "nothing is stored so far");
	http_sayf(&a, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
	is_int(200, http_hear(&a), "its connection can be used");
	release_queue();
	ok(wait_until(mailbox_empty), "the queue writes again");
	is_int(201, http_post(&a, BATCH, "at_good", GOOD), "and takes more");
	is_int(201, http_post(&c, BATCH, "at_slow", GOOD), "what was not taken does not count against the rate");
	is_int(4, (int64_t)stored("t", from), "what was under way is stored all the same: 503 means unknown");
	http_close(&a);
	http_close(&c);
	buf_free(&rows);
	ok(wait_until(none_waits), "nothing is left");
}

/* When connections grow few, a source has half of them at most. */
static void test_shares(void)
{
	struct http h[4];

	for (int i = 0; i < 3; i++) {
		http_dial(&h[i], port);
		is_int(201, http_post(&h[i], BATCH, "at_good", GOOD), "connection %d of a source", i);
	}
	http_dial(&h[3], port);
	is_int(201, http_post(&h[3], BATCH, "at_mart", GOOD), "the last one is another's");
	http_post(&h[2], BATCH, "at_good", GOOD);
	answers(&h[2], 503, ERROR_BODY("The source has too many connections; please try again later"), "now the first source has too many");
	ok(h[2].closes && http_ended(&h[2]), "and one is closed");
	http_close(&h[2]);
	is_int(201, http_post(&h[1], BATCH, "at_good", GOOD), "with the others it goes on");
	is_int(201, http_post(&h[3], BATCH, "at_mart", GOOD), "and so does the other source");
	http_close(&h[0]);
	http_close(&h[1]);
	http_close(&h[3]);
	ok(wait_until(none_waits), "all are gone");
}

static bool one_address(const char *a, const char *b)
{
	struct sockaddr_in6 x = {.sin6_family = AF_INET6}, y = {.sin6_family = AF_INET6};
	unsigned char p[16], q[16];

	if (inet_pton(AF_INET6, a, &x.sin6_addr) != 1 || inet_pton(AF_INET6, b, &y.sin6_addr) != 1)
		bail("%s %s", a, b);
	accept_address((struct sockaddr *)&x, p);
	accept_address((struct sockaddr *)&y, q);
	return memcmp(p, q, sizeof(p)) == 0;
}

/* What counts as one address. */
static void test_addresses(void)
{
	ok(one_address("2001:db8::1", "2001:db8::ffff:1:2:3"), "an IPv6 network of 64 bits is one");
	ok(!one_address("2001:db8::1", "2001:db8:0:1::1"), "the next one is another");
	ok(!one_address("::ffff:10.0.0.1", "::ffff:10.0.0.2"), "IPv4 addresses are each one");
}

static void test_too_many(void)
{
	struct http h[5];

	for (int i = 0; i < 4; i++) {
		http_dial(&h[i], port);
		http_sayf(&h[i], "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
		is_int(200, http_hear(&h[i]), "connection %d", i);
	}
	http_dial(&h[4], port);
	http_sayf(&h[4], POST_HEAD "Content-Length: %zu\r\n\r\n%s", strlen(GOOD), GOOD);
	http_hear(&h[4]);
	answers(&h[4], 503, ERROR_BODY("Too many connections; please try again later"), "one connection too many");
	ok(http_ended(&h[4]), "is closed");
	for (int i = 0; i < 5; i++)
		http_close(&h[i]);
	ok(wait_until(none_waits), "all are gone");
}

static void test_slow(void)
{
	struct http idle, drip;

	http_dial(&idle, port);
	http_dial(&drip, port);
	http_sayf(&idle, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
	is_int(200, http_hear(&idle), "a client that then says nothing");
	http_sayf(&drip, "POST " BATCH " HTTP/1.1\r\nX: ");
	ok(http_ended(&idle) && http_ended(&drip), "silence and a head without an end are cut off");
	http_close(&idle);
	http_close(&drip);
}

static void *drain(void *arg)
{
	import_drain(door, now_get().mono + 60 * NSEC_PER_SEC);
	return arg;
}

static void test_drain(void)
{
	struct http idle, busy, late;
	pthread_t t;

	http_dial(&idle, port);
	http_dial(&busy, port);
	http_sayf(&idle, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
	http_hear(&idle);
	hold_queue();
	http_sayf(&busy, POST_HEAD "Content-Length: %zu\r\n\r\n%s", strlen(GOOD), GOOD);
	ok(wait_until(one_waits), "a request is under way");
	pthread_create(&t, NULL, drain, NULL);
	ok(http_ended(&idle), "a stop ends idle connections");
	http_dial(&late, port);
	ok(late.fd < 0 || http_ended(&late), "takes no new ones");
	release_queue();
	is_int(201, http_hear(&busy), "and answers what is under way");
	ok(busy.closes && http_ended(&busy), "as the last on its connection");
	pthread_join(t, NULL);
	http_close(&idle);
	http_close(&busy);
	http_close(&late);
}

static void test_drain_deadline(void)
{
	struct http h;

	http_dial(&h, port);
	hold_queue();
	http_sayf(&h, POST_HEAD "Content-Length: %zu\r\n\r\n%s", strlen(GOOD), GOOD);
	ok(wait_until(one_waits), "a request is under way");
	import_drain(door, now_get().mono);
	is_int(503, http_hear(&h), "a stop that cannot wait answers 503");
	ok(h.closes, "and closes");
	http_close(&h);
}

static bool not_ready(void)
{
	struct http h;
	unsigned status;

	http_dial(&h, port);
	http_sayf(&h, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
	status = http_hear(&h);
	http_close(&h);
	return status == 503;
}

static void test_full_disk(void)
{
	uint64_t from = queue_end(queue, 0);
	struct http h;

	ok(wait_until(not_ready), "a disk below the reserve: not ready");
	http_dial(&h, port);
	http_post(&h, BATCH, "at_good", GOOD);
	answers(&h, 503, ERROR_BODY("The disk is full; please send it again later"), "and 503");
	ok(http_has(&h, "Retry-After: 30\r\n"), "for half a minute, as long as nobody knows better");
	http_post(&h, BATCH, "at_wrong", GOOD);
	is_int(401, h.status, "a stranger is one all the same");
	is_int((int64_t)from, (int64_t)queue_end(queue, 0), "nothing is stored");
	http_close(&h);
}

int main(void)
{
	plan_lazy();
	world_begin("door");

	open_queue(100);
	open_door(2, 100, 30 * NSEC_PER_SEC);
	test_routes();
	test_tokens();
	test_types();
	test_stored();
	test_smuggling();
	test_bodies();
	test_packed();
	test_aborts();
	test_admission();
	test_growth();
	test_pressure();
	test_rate();
	test_keys();
	test_wait();
	test_drain();
	close_door();

	open_queue(2);
	open_door(2, 4, NSEC_PER_SEC);
	test_keys_again();
	test_queue_late();
	test_too_many();
	test_shares();
	test_addresses();
	test_slow();
	test_drain_deadline();
	close_door();

	open_queue(2);
	open_door(1, 4, 6 * NSEC_PER_SEC);
	test_no_room();
	close_door();

	reserve = UINT64_C(1) << 62;
	open_queue(2);
	open_door(1, 4, NSEC_PER_SEC);
	test_full_disk();
	close_door();

	world_end();
	return done_testing();
}
