/*
 * hook.h - post-load hooks in state.db: made in the transaction that ends a load, so none is lost or invented; kept until delivered, and for a replay, the newest
 * HOOKS_MAX. W functions as in state.h.
 */
#ifndef STITCH_STATE_HOOK_H
#define STITCH_STATE_HOOK_H

#include "daemon/state/state.h"

#define HOOKS_MAX 10000

enum hook_state { HOOK_WAITS = 1, HOOK_DELIVERED, HOOK_GIVEN_UP };
const char *hook_state_name(enum hook_state s);
struct hook_row {
	int64_t id, destination_id, load_id;
	char *table, *body, *error; /* SOURCE.TABLE; JSON; of the last try */
	int64_t created, not_before, updated;
	enum hook_state state;
	uint32_t tries;
};
void hook_list_free(struct hook_row *r, size_t n);

int db_hook_add(struct db *db, const struct hook_row *in, int64_t now, struct err *e) MUST_CHECK; /* W; beyond HOOKS_MAX the oldest go */
/* What a load that is done has loaded and rejected. */
int db_hook_counts(struct db *db, int64_t load_id, uint64_t *rows, uint64_t *rejected, struct err *e) MUST_CHECK;
/* The oldest waiting one of each destination that is due; *next: when the next will be (NEVER: none). */
int db_hook_due(struct db *db, int64_t now, struct hook_row **out, size_t *n, int64_t *next, struct err *e) MUST_CHECK;
/* After a try. Those behind it of the same destination wait until not_before, too. */
int db_hook_tried(struct db *db, const struct hook_row *r, int64_t now, struct err *e) MUST_CHECK; /* W; state, tries, not_before, error of r */
int db_hook_list(struct db *db, int64_t destination_id, enum hook_state state, int64_t after, unsigned limit, struct hook_row **out, size_t *n, struct err *e) MUST_CHECK; /* newest first; 0: any */
/* To be delivered again: this one, or (id 0) all that were given up of the destination (0: of any). *n: how many. */
int db_hook_replay(struct db *db, int64_t id, int64_t destination_id, int64_t now, uint64_t *n, struct err *e) MUST_CHECK; /* W */

#endif
