/*
 * s3_priv.h - what the files of s3 share: one call with its retries, and what an error means.
 */
#ifndef STITCH_S3_PRIV_H
#define STITCH_S3_PRIV_H

#include "http.h"
#include "s3.h"

struct s3 {
	struct http *http;
	struct http_answer answer;
	char *endpoint, *host;	/* scheme://host[:port]; the latter for people */
	char *base;		/* what stands before the key: scheme://bucket.host/ or scheme://host/bucket/ */
	char *bucket, *region, *sse, *kms_key, *token_header, *userpwd, *sigv4, *ca_file, *server;
	int (*tick)(void *arg);
	void *tick_arg;
	unsigned tries;
	uint64_t requests;
	int64_t skew; /* seconds to add to our clock for the server's */
	/* the last failure */
	char code[64], message[256], fix[500];
	unsigned status;
	bool unknown; /* in the last call a try was sent and not answered: it may have been done */
};

#define S3_HEADERS 10
#define S3_NOTE "x-amz-meta-stitch-note"
struct s3_call {
	const char *method, *key; /* key NULL: the bucket */
	const char *what;	  /* "put", "list": for texts */
	const char *query;	  /* canonical: sorted, encoded, each with '='; NULL: none */
	struct str body;
	bool from_fd;
	int fd;
	uint64_t off, len;
	const char *headers[S3_HEADERS]; /* the caller's, NULL at the end */
	size_t answer_max;
	bool to_fd;
	unsigned tries; /* 0: as in the conf */
	bool late;	/* the answer may begin with 200 and turn out to be an error */
};

/* 0: a 2xx without an error in it, in s->answer. */
int s3_call(struct s3 *s, const struct s3_call *c, struct err *e) MUST_CHECK;
/* What an answer that is no success (or none: status 0, e as http.h says) means. */
enum s3_verdict { S3_FAIL, S3_AGAIN, S3_SKEW };
enum s3_verdict s3_judge(struct s3 *s, const struct s3_call *c, struct err *e);
int s3_put_parts(struct s3 *s, const char *key, int fd, uint64_t off, uint64_t len, const struct s3_put *o, struct err *e) MUST_CHECK;
int s3_key_check(const char *key, struct err *e) MUST_CHECK;
/* Content-Type, note and encryption of a new object; room is where the lines stay. */
struct s3_lines { char type[128], note[128], sse[256], kms[256]; };
void s3_header_object(const struct s3 *s, struct s3_call *c, const struct s3_put *o, struct s3_lines *room);
void s3_header_add(struct s3_call *c, const char *line);
int s3_tick(struct s3 *s, struct err *e) MUST_CHECK;

#endif
