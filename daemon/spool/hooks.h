/*
 * hooks.h - the stage that delivers post-load hooks: HTTPS POSTs that say what a load has done (stitchctl(1), settings hook_url and hook_secret). They are rows of
 * state.db from the end of the load on, so a restart loses none; it may deliver one twice, with the same X-Stitch-Delivery.
 */
#ifndef STITCH_HOOKS_H
#define STITCH_HOOKS_H

#include "daemon/core/stage.h"
#include "daemon/spool/dest_rules.h"
#include "daemon/state/seal.h"
#include "daemon/state/state.h"

struct hooks;
/* first: wait after the first failure. */
struct hooks *hooks_new(struct state *state, const struct seal *seal, int64_t first);
struct stage *hooks_stage(struct hooks *h);
void hooks_cancel(struct hooks *h); /* before its stage is stopped: gives up the request under way */
void hooks_free(struct hooks *h);

/* The body for a load that is over, as JSON text (caller frees). class NULL: it ended well. */
char *hook_body(const char *destination, const struct load_row *load, uint64_t rows, uint64_t rejected, const char *class, const char *text) MUST_CHECK;

#endif
