/*
 * dest_rules.h - the settings of a destination that are the daemon's own, whatever its kind: how many loads at once, and when none. A loader never sees them. Any thread.
 */
#ifndef STITCH_DEST_RULES_H
#define STITCH_DEST_RULES_H

#include <jansson.h>

#include "base.h"
#include "cron.h"
#include "err.h"

#define DEST_CONCURRENCY_MAX 64
#define DEST_WINDOWS_MAX 8

struct dest_rules {
	unsigned concurrency; /* 0: as the daemon's setting `loaders` */
	struct cron_window windows[DEST_WINDOWS_MAX]; /* of maintenance: nothing is loaded */
	unsigned n_windows;
	struct zone *zone; /* owned; NULL: UTC */
	char *hook_url, *hook_secret, *hook_ca_file; /* owned; NULL: none. The secret is as it is stored: sealed */
};
void dest_rules_free(struct dest_rules *r);
/* Is it in a window at this moment (ns)? *since and *until: of that, else *until is when the next one begins; NEVER: none. */
bool dest_rules_maintenance(const struct dest_rules *r, int64_t now, int64_t *since, int64_t *until);

extern const char *const dest_rule_names[]; /* NULL at the end */
bool dest_rule_is(const char *name);
bool dest_rule_is_secret(const char *name);
/* *left (caller frees): the settings without ours, {} when they are no object. On -1 what could be understood is in out, and *left is there. left may be NULL. */
int dest_rules_read(const char *settings, struct dest_rules *out, char **left, struct err *e) MUST_CHECK;
int dest_rules_check(json_t *settings, struct err *e) MUST_CHECK;

#endif
