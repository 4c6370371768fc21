/*
 * control_priv.h - inside daemon/control/: a call and what a method may use. control.c owns the socket (loop thread); every method but hello and
 * subscribe runs in a helper thread of its own with a reader of state.db, so a method may block, and the socket never waits for it.
 */
#ifndef STITCH_CONTROL_PRIV_H
#define STITCH_CONTROL_PRIV_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

#include "daemon/control/control.h"
#include "map.h"

enum control_role { LOOK, ACT };

struct control_call;
struct control_method {
	const char *name, *words, *spec, *help;
	enum control_role role;
	/* The result (owned by the caller), or NULL with e. */
	json_t *(*handler)(struct control_call *c, struct err *e);
};
extern const struct control_method control_methods[];
extern const size_t control_methods_len;
const struct control_method *control_method_find(const char *name);

struct control {
	struct control_config config; /* strings are ours */
	struct control_parts parts;
	int64_t started_real, started_mono;
	_Atomic bool stopping;
	pthread_cond_t stop;  /* stopping was set; monotonic clock */
	pthread_mutex_t lock; /* guards readers, n_readers */
	struct db *readers[4];
	unsigned n_readers;
	struct snap_history *history;
	struct control_server *server;
};

struct control_call {
	struct msg msg;
	struct control *ct;
	const struct control_method *method;
	struct db *db;
	json_t *params; /* an object */
	json_t *id;
	enum control_role role;
	char who[96];
	uint64_t client;
	int64_t audit_id;
	/* the answer */
	json_t *result;
	struct err err;
};

/* --- control_util.c --- */
struct db *control_reader(struct control *ct, struct err *e) MUST_CHECK;
void control_reader_back(struct control *ct, struct db *db);
int control_check_params(const struct control_method *m, json_t *params, struct err *e) MUST_CHECK;
const char *param_str(struct control_call *c, const char *key); /* NULL: not given */
bool param_flag(struct control_call *c, const char *key);
int64_t param_int(struct control_call *c, const char *key, int64_t def);
unsigned param_limit(struct control_call *c); /* 1..1000 */
json_t *text_json(const char *s);	      /* NULL -> null; bytes that are no UTF-8 are replaced */
json_t *slice_json(struct str s);
json_t *time_ns_json(int64_t ns); /* 0 -> null */
json_t *time_iso_json(int64_t ns);
json_t *object_of(const char *json_text); /* an object, {} when it is none */
char *compact(const json_t *v) MUST_CHECK;
json_t *page(json_t *items, const char *next);
/* Audit line before the act; without it nothing may be done. object, before: may be NULL. */
int control_audit(struct control_call *c, const char *object, const char *before, struct err *e) MUST_CHECK;
/* How it ended: result, or NULL and the reason. Does nothing when no act was begun. */
void control_audit_end(struct control_call *c, const json_t *result, const char *error);
/* An act of one transaction: audited, run in the state's thread, an event (kind NULL: none) in the same transaction. */
struct control_act {
	int (*run)(struct db *db, void *arg, struct err *e);
	void *arg;
	const char *kind, *object, *text;
};
int control_do(struct control_call *c, const struct control_act *a, struct err *e) MUST_CHECK;
int control_name_ok(const char *what, const char *name, struct err *e) MUST_CHECK;
void control_wait(struct control *ct, int64_t ns); /* sleeps, but not past a stop */

/* --- world.c: names and pauses as of now --- */
struct world {
	struct source_row *sources;
	size_t n_sources;
	struct destination_row *destinations;
	size_t n_destinations;
	struct connection_row *connections;
	size_t n_connections;
	struct pause_row *pauses;
	size_t n_pauses;
	int64_t now; /* real */
};
#define WORLD_MAINTENANCE "maintenance window" /* who paused it, when nobody did */
int world_load(struct db *db, struct world *w, struct err *e) MUST_CHECK;
void world_free(struct world *w);
const struct source_row *world_source(const struct world *w, int64_t id);
const struct source_row *world_source_named(const struct world *w, const char *name, struct err *e) MUST_CHECK;
const struct destination_row *world_destination(const struct world *w, int64_t id);
const struct destination_row *world_destination_named(const struct world *w, const char *name, struct err *e) MUST_CHECK;
const struct connection_row *world_connection(const struct world *w, int64_t source_id, int64_t destination_id);
const struct pause_row *world_pause(const struct world *w, enum pause_kind kind, int64_t object_id); /* unexpired */
json_t *pause_json(const struct pause_row *p);
/* "SOURCE.TABLE", or TABLE if only one source has it. Freed by table_row_free. */
int world_table_named(struct db *db, const struct world *w, const char *name, struct table_row *out, struct err *e) MUST_CHECK;
/* What a list is narrowed to, by the names of the call's parameters destination and table: 0 where one was not given. */
int world_filter(struct control_call *c, int64_t *destination_id, int64_t *table_id, struct err *e) MUST_CHECK;

/* --- kinds.c: settings of sources and destinations --- */
int kind_check_source(const char *kind, json_t *settings, struct err *e) MUST_CHECK;
int kind_check_destination(const char *kind, json_t *settings, bool whole, struct err *e) MUST_CHECK;
json_t *kind_seal(const struct seal *seal, const char *kind, bool source, json_t *settings); /* new object, secrets sealed */
json_t *kind_mask(const char *kind, bool source, const char *settings);			      /* new object, secrets "***" */
json_t *kind_public(const char *kind, bool source, const char *settings);		      /* new object, without secrets */
json_t *kind_merge(const char *old_settings, json_t *changes);				      /* "" removes a setting */

#endif
