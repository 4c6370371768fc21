/*
 * auth.h - from a token to its source. A struct auth belongs to one http thread: what it has looked up stays there until the configuration changes.
 */
#ifndef STITCH_IMPORT_AUTH_H
#define STITCH_IMPORT_AUTH_H

#include "daemon/import/refusal.h"
#include "daemon/import/rules.h"
#include "daemon/state/state.h"

struct auth;
struct auth *auth_new(struct state *s, const struct seal *seal) MUST_CHECK;
void auth_free(struct auth *a);
/* *rules: the caller's, to be freed. webhook: the token must be one of a webhook's address, which opens nothing else. */
int auth_check(struct auth *a, struct str token, bool webhook, struct source_rules **rules, struct refusal *r) MUST_CHECK;

#endif
