/*
 * dest_rules.h - the settings of a destination that are the daemon's own, whatever its kind: how many loads at once. A loader never sees them. Pure; any thread.
 */
#ifndef STITCH_DEST_RULES_H
#define STITCH_DEST_RULES_H

#include <jansson.h>

#include "base.h"
#include "err.h"

#define DEST_CONCURRENCY_MAX 64

struct dest_rules {
	unsigned concurrency; /* 0: as the daemon's setting `loaders` */
};

extern const char *const dest_rule_names[]; /* NULL at the end */
bool dest_rule_is(const char *name);
/* *left (caller frees): the settings without ours, {} when they are no object. On -1 what could be understood is in out, and *left is there. */
int dest_rules_read(const char *settings, struct dest_rules *out, char **left, struct err *e) MUST_CHECK;
int dest_rules_check(json_t *settings, struct err *e) MUST_CHECK;

#endif
