/*
 * http.h - one HTTP(S) request after another over libcurl: bodies from memory or a file, a bounded answer, time-outs, a tick while it waits.
 *
 * A struct http keeps its connections between requests; it belongs to one thread at a time. TLS is verified; redirects are not followed; proxies come from the
 * environment but never for this machine itself. SIGPIPE is ignored in the process from the first http_new() on. Never logs; error texts name method, host and
 * path without the query, and no header.
 */
#ifndef STITCH_HTTP_H
#define STITCH_HTTP_H

#include "base.h"
#include "buf.h"
#include "err.h"
#include "str.h"

struct http;

struct http_opts {
	int64_t connect_timeout; /* ns; 0: 10 s */
	int64_t idle_timeout;	 /* ns without a byte in either direction, also while the server thinks; 0: 60 s */
	int64_t total_timeout;	 /* ns for a whole request; 0: none */
	const char *ca_file;	 /* PEM; NULL: the system's */
	/* Called at least about once a second while a request is under way. Not 0: give up (http_send fails with ERR_STATE). */
	int (*tick)(void *arg);
	void *tick_arg;
};

struct http_request {
	const char *method; /* "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" */
	const char *url;    /* percent-encoded as it is to be sent: nothing is changed */
	const char *const *headers; /* "Name: value"; NULL at the end; NULL: none. A control character in one is refused */
	/* The body: memory, or body_len bytes of body_fd from body_off (when from_fd). POST, PUT and PATCH always have one, if need be of length 0. */
	struct str body;
	bool from_fd;
	int body_fd;
	uint64_t body_off, body_len;
	/* The answer's body: into the answer's buf, at most answer_max bytes (0: 1 MiB), more is ERR_INVALID. With to_fd a 2xx goes there instead, at the file's
	 * position, without a limit; any other status still into the buf. */
	size_t answer_max;
	bool to_fd;
	int answer_fd;
	/* AWS signature, version 4, by libcurl: "aws:amz:REGION:SERVICE" and "KEY:SECRET"; both NULL: none. See s3.h, which obeys its rules. */
	const char *sigv4, *userpwd;
};

struct http_answer {
	unsigned status;
	struct buf body;
	uint64_t bytes; /* of the body, wherever it went */
	struct buf headers; /* as received, of the last answer; ask http_header() */
};
#define HTTP_ANSWER_INIT ((struct http_answer){.status = 0})

struct http *http_new(const struct http_opts *o) MUST_CHECK; /* o may be NULL; copied but for what it points to. Never NULL */
void http_free(struct http *h);			       /* NULL is fine */
/* 0: there is a whole answer, whatever its status (a is emptied first). -1: none. ERR_TRANSIENT, ERR_TIMEOUT: network, also a name that
 * cannot be resolved now; ERR_CONFIG: a bad URL, a certificate that is not trusted; ERR_STATE: the tick said so; ERR_INVALID: the answer is too large, the request is wrong; ERR_IO: body_fd or answer_fd. */
int http_send(struct http *h, const struct http_request *r, struct http_answer *a, struct err *e) MUST_CHECK;
/* After http_send() failed: true when the request cannot have reached the server (no connection was made). */
bool http_not_sent(const struct http *h);
void http_answer_free(struct http_answer *a);
/* Value of a header of the answer, trimmed; STR_NULL when it is not there. Names in any case. */
struct str http_header(const struct http_answer *a, const char *name);
/* Retry-After in ns from now (seconds or a date), at most an hour; -1: none. */
int64_t http_retry_after(const struct http_answer *a);
/* Append s with everything but A-Z a-z 0-9 - _ . ~ (and '/' when slash) percent-encoded, upper-case hex. */
void http_encode(struct buf *out, struct str s, bool slash);

#endif
