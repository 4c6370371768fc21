/*
 * auth.h - from a token to its source. A struct auth belongs to one http thread: what it has looked up stays there until the configuration changes.
 */
#ifndef STITCH_IMPORT_AUTH_H
#define STITCH_IMPORT_AUTH_H

#include "daemon/import/refusal.h"
#include "daemon/state/state.h"

struct auth;
struct auth *auth_new(struct state *s) MUST_CHECK;
void auth_free(struct auth *a);
int auth_check(struct auth *a, struct str token, int64_t *source_id, int64_t *client_id, struct refusal *r) MUST_CHECK;

#endif
