/*
 * methods.h - a handler per line of shared/methods.def, and what handlers of different nouns share.
 */
#ifndef STITCH_CONTROL_METHODS_H
#define STITCH_CONTROL_METHODS_H

#include "daemon/control/status.h"

#define METHOD(name, words, role, spec, help, handler) json_t *handler(struct control_call *c, struct err *e);
#include "methods.def"
#undef METHOD

json_t *event_json(const struct event_row *r);
/* In the act's own thread, with its own audit line; also used by config.apply. */
json_t *source_create(struct control_call *c, const char *kind, const char *name, int64_t client_id, json_t *settings, struct err *e) MUST_CHECK;
json_t *destination_create(struct control_call *c, const char *kind, const char *name, json_t *settings, bool check, struct err *e) MUST_CHECK;
int destination_change(struct control_call *c, const struct destination_row *d, json_t *changes, struct err *e) MUST_CHECK;
int source_change(struct control_call *c, const struct source_row *s, json_t *changes, struct err *e) MUST_CHECK;
json_t *connection_create(struct control_call *c, const char *source, const char *destination, const char *schema, int64_t from, struct err *e) MUST_CHECK;
/* Everything that waits for this destination (0: all) is tried now. */
int retry_now(struct control_call *c, int64_t destination_id, struct err *e) MUST_CHECK;

#endif
