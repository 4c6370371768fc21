/*
 * s3.h - objects in one bucket of S3 or of a server that speaks it: put, get, head, delete, list, upload of any length; signature version 4.
 *
 * One struct s3 is for one thread at a time. Each call is a request with its retries: 500, 503, SlowDown, RequestTimeout and lost connections are tried again with growing, random
 * pauses (S3_TRIES times in all), RequestTimeTooSkewed once by the server's clock. What fails then has err.code ERR_TRANSIENT (or ERR_TIMEOUT); ERR_NOT_FOUND: no such
 * object; ERR_EXISTS: if_absent and it is there; ERR_CONFIG: a person must act, and s3_fix() says what to do; ERR_STATE: the tick said so; ERR_IO: a local file.
 * Texts and logs never hold a key's secret or a session token. Keys are UTF-8, at most 1024 bytes, without the bucket.
 */
#ifndef STITCH_S3_H
#define STITCH_S3_H

#include "base.h"
#include "buf.h"
#include "err.h"
#include "str.h"

#define S3_TRIES 5
#define S3_KEY_MAX 1024
#define S3_PART (8u << 20) /* bytes of a part of an upload, and of what a struct s3_upload keeps in memory */

enum s3_style { S3_STYLE_AUTO /* path where an endpoint is given or the bucket's name has a dot, else host */, S3_STYLE_PATH, S3_STYLE_HOST };

struct s3_conf {
	const char *endpoint; /* "http://127.0.0.1:9000"; NULL or "": Amazon's for the region */
	const char *bucket, *region; /* region: NULL or "" is us-east-1 */
	const char *access_key, *secret_key, *session_token; /* the last may be NULL or "" */
	enum s3_style style;
	const char *sse; /* NULL or "": none; "AES256", "aws:kms" or "aws:kms:KEY-ID" */
	const char *ca_file; /* PEM; NULL: the system's */
	unsigned tries;	 /* 0: S3_TRIES */
	int64_t idle_timeout; /* ns, see http.h; 0: 60 s */
	int (*tick)(void *arg); /* about each second while waiting, also between tries; not 0: give up */
	void *tick_arg;
};

struct s3;
struct s3_object {
	const char *key; /* valid for the call */
	uint64_t size;
	int64_t modified; /* ns since 1970; 0: not told */
	char etag[80];	  /* without quotes */
	char note[64];	  /* s3_head only: what s3_put.note said; "": nothing */
};
/* In put and uploads; NULL where defaults do. */
struct s3_put {
	bool if_absent;		  /* If-None-Match: *; where the answer to our own first try was lost this, too, is ERR_EXISTS */
	const char *content_type; /* NULL: application/octet-stream */
	const char *note;	  /* at most 60 characters of ASCII, kept with the object (x-amz-meta-stitch-note); NULL: none */
};

/* No request is made: only the settings are looked at (ERR_CONFIG). c's strings are copied. */
struct s3 *s3_open(const struct s3_conf *c, struct err *e) MUST_CHECK;
void s3_close(struct s3 *s); /* NULL is fine */

int s3_put(struct s3 *s, const char *key, struct str data, const struct s3_put *o, struct err *e) MUST_CHECK;
/* len bytes of fd from off; in parts where that is much. */
int s3_put_fd(struct s3 *s, const char *key, int fd, uint64_t off, uint64_t len, const struct s3_put *o, struct err *e) MUST_CHECK;
/* len 0: to the end. Appends to out; more than max bytes is ERR_INVALID. */
int s3_get(struct s3 *s, const char *key, uint64_t off, uint64_t len, size_t max, struct buf *out, struct err *e) MUST_CHECK;
/* Into fd from its position on (a try that broke off is taken back: fd must be seekable); *bytes may be NULL. */
int s3_get_fd(struct s3 *s, const char *key, uint64_t off, uint64_t len, int fd, uint64_t *bytes, struct err *e) MUST_CHECK;
int s3_head(struct s3 *s, const char *key, struct s3_object *out, struct err *e) MUST_CHECK; /* out->key = key */
int s3_delete(struct s3 *s, const char *key, struct err *e) MUST_CHECK; /* not there: 0 */
/* Objects in the order of their keys (UTF-8 bytes), all pages. after: keys greater than this only (NULL: all). fn not 0: no more, returned as it is. */
typedef int s3_list_fn(const struct s3_object *o, void *arg);
int s3_list(struct s3 *s, const char *prefix, const char *after, s3_list_fn *fn, void *arg, struct err *e) MUST_CHECK;

/*
 * An object of a length that is not known yet. Nothing can be seen of it before s3_upload_end() has returned 0; a small one is a single put. After a failed write or end,
 * and when it is not wanted, call s3_upload_abort(): it takes the parts away (as far as the server can be reached) and frees u. End frees u when it returns 0.
 */
struct s3_upload;
struct s3_upload *s3_upload_new(struct s3 *s, const char *key, const struct s3_put *o, struct err *e) MUST_CHECK; /* no request yet */
int s3_upload_write(struct s3_upload *u, const void *p, size_t n, struct err *e) MUST_CHECK;
int s3_upload_end(struct s3_upload *u, struct err *e) MUST_CHECK;
void s3_upload_abort(struct s3_upload *u); /* NULL is fine */
/* For who has many uploads open: give up the memory that u holds, into a file without a name. */
int s3_upload_spill(struct s3_upload *u, struct err *e) MUST_CHECK;
size_t s3_upload_held(const struct s3_upload *u); /* bytes in memory */

/* About the last call that failed: what to do, a sentence ("" when there is none); the server's code ("AccessDenied"; "" when it said none) and status (0: no
 * answer). Valid until the next call. */
const char *s3_fix(const struct s3 *s);
const char *s3_code(const struct s3 *s);
unsigned s3_status(const struct s3 *s);
const char *s3_server(const struct s3 *s); /* its Server header in the newest answer, or its host: for people */
uint64_t s3_requests(const struct s3 *s);  /* sent so far, tries counted */

#endif
