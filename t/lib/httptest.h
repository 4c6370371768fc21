/*
 * httptest.h - a plain HTTP client over raw sockets, so that a test can send what no well-behaved client would. Every wait has a deadline; a
 * time-out reads as the end of the connection and fails the check that follows. One thread per struct.
 */
#ifndef STITCH_HTTPTEST_H
#define STITCH_HTTPTEST_H

#include "base.h"
#include "buf.h"

struct http {
	int fd;
	struct buf in; /* read and not yet used */
	unsigned status; /* of the last answer; 0: none came, the connection has ended */
	struct buf head, body;
	bool closes; /* the answer says Connection: close */
};

void http_dial(struct http *h, unsigned port);
void http_close(struct http *h);
void http_say(struct http *h, struct str text);
void http_sayf(struct http *h, const char *fmt, ...) PRINTF(2, 3);
void http_half_close(struct http *h);
unsigned http_hear(struct http *h); /* the next answer: its status */
bool http_ended(struct http *h);    /* nothing more comes */
bool http_has(const struct http *h, const char *header_line);
/* A POST with a token, JSON and this body, and its answer. */
unsigned http_post(struct http *h, const char *path, const char *token, const char *body);

#endif
