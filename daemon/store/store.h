/*
 * store.h - batch files: put, get, stat, delete, list by name ("1/orders/0-00…-….jsonl.zst"), behind one interface (dir:, mem:, s3:).
 * A put is durable and whole when it returns 0; the same name may be put again with the same bytes. Names: [A-Za-z0-9_.%/-], no "..", no leading "/".
 * No part of a name is empty or begins with a dot. The functions block and may be called from any thread; one name is put by one thread at a time.
 */
#ifndef STITCH_STORE_H
#define STITCH_STORE_H

#include "base.h"
#include "buf.h"
#include "err.h"
#include "str.h"

struct store;

/* For s3; a NULL or empty one is looked for in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN). */
struct store_keys { const char *access_key, *secret_key, *session_token; };

/* "dir:PATH", "dir:" (state_dir/store), "mem:", "s3://BUCKET/PREFIX?endpoint=URL&region=NAME&style=path|host&sse=HOW". keys: copied; NULL: none are set. */
struct store *store_open_keys(const char *url, const char *state_dir, const struct store_keys *keys, struct err *e) MUST_CHECK;
struct store *store_open(const char *url, const char *state_dir, struct err *e) MUST_CHECK;
void store_close(struct store *s);
int store_put(struct store *s, const char *name, const void *data, size_t len, struct err *e) MUST_CHECK;
/* A descriptor to read the whole object from offset 0 (mem: a memfd); the caller closes it. ERR_NOT_FOUND. */
int store_get(struct store *s, const char *name, struct err *e) MUST_CHECK;
int store_stat(struct store *s, const char *name, uint64_t *bytes, struct err *e) MUST_CHECK;
int store_delete(struct store *s, const char *name, struct err *e) MUST_CHECK; /* 0 also when it is not there */
typedef void store_list_fn(const char *name, uint64_t bytes, void *arg);
int store_list(struct store *s, const char *prefix, store_list_fn *fn, void *arg, struct err *e) MUST_CHECK;
int store_check(struct store *s, struct err *e) MUST_CHECK; /* writes, reads and deletes a test object */
void store_fix(struct store *s, struct buf *out); /* what a person does about the newest failure, appended; often nothing */

#endif
