/*
 * model.h - what the console last heard from the daemon, and the connection to it. Lost connections are made again by themselves. Answers are kept as
 * the JSON they came in; the readers below give "" or 0 for members that are missing or of another type. One thread (the poll loop).
 */
#ifndef STITCH_TUI_MODEL_H
#define STITCH_TUI_MODEL_H

#include <jansson.h>

#include "base.h"
#include "err.h"
#include "rpc_client.h"

struct model {
	struct rpc_client *rpc; /* NULL: no daemon */
	char *path;
	json_t *hello, *status; /* NULL: never heard */
	json_t *events;		/* newest last, at most MODEL_EVENTS */
	int64_t heard_mono;	/* the last message */
	int64_t status_mono;	/* the last status */
	int64_t retry_mono;
	bool pinged;
	char why[600];		/* why there is no connection */
	bool changed;		/* since the loop looked last */
	uint64_t connections;	/* how often it was made */
};

#define MODEL_EVENTS 500

void model_init(struct model *m, char *path /* stolen */);
void model_free(struct model *m);
/* Connects if it is time to, asks for a sign of life when the daemon has been silent. Called at least each second. */
void model_tick(struct model *m, int64_t mono);
int64_t model_due(const struct model *m); /* mono: when model_tick() must be called next */
/* The socket to poll, -1: none. */
int model_fd(const struct model *m);
bool model_wants_write(const struct model *m);
void model_pump(struct model *m, bool readable, int64_t mono);
bool model_stale(const struct model *m, int64_t mono); /* no daemon, or one that has not said a word for too long */
bool model_acts(const struct model *m);		       /* the daemon lets this user act */
int model_call(struct model *m, const char *method, json_t *params /* stolen */, rpc_client_reply *fn, void *arg, struct err *e) MUST_CHECK;
int64_t model_now(const struct model *m); /* the daemon's clock at the last status, ns; 0: never heard */

/* Readers. path: names joined by dots ("error.text"). */
const json_t *mj(const json_t *o, const char *path); /* NULL: not there */
const char *mj_str(const json_t *o, const char *path);
int64_t mj_int(const json_t *o, const char *path);
double mj_real(const json_t *o, const char *path);
size_t mj_len(const json_t *o, const char *path);
const json_t *mj_at(const json_t *o, const char *path, size_t index);
/* The member of array `path` whose `key` is `value`; NULL: none. */
const json_t *mj_find(const json_t *o, const char *path, const char *key, const char *value);

int64_t mono_now(void);

#endif
