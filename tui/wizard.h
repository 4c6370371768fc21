/*
 * wizard.h - what the wizard knows: what was typed, tested, made and seen. Owned by struct app until it is finished. One thread.
 */
#ifndef STITCH_TUI_WIZARD_H
#define STITCH_TUI_WIZARD_H

#include "view.h"

enum { WIZARD_SOURCE, WIZARD_DESTINATION, WIZARD_REVIEW, WIZARD_WAIT };
enum { WIZARD_SQLITE, WIZARD_POSTGRES, WIZARD_EXISTING }; /* choice; from WIZARD_EXISTING on: the daemon's destinations */

struct wizard_draft {
	int choice, page, focus;
	char existing[80];
	struct edit source, name, path, host, port, user, password, dbname;
	json_t *test;	/* of destination.probe; NULL: not tested as it stands */
	uint64_t tests; /* which answer is awaited */
	bool testing, making, made_source, made_destination, made_connection;
	char token[80];
	/* the last page */
	bool show_token, token_seen, show_commands, asking;
	int64_t began, seen; /* mono */
	int64_t accepted, queued, spooled, loaded, rejected;
	char table[300];
	json_t *sample;
};

struct wizard_draft *wizard_draft_new(const char *socket_path) MUST_CHECK;
const char *wizard_kind(const struct wizard_draft *d);
const char *wizard_destination(const struct wizard_draft *d);
json_t *wizard_settings(const struct wizard_draft *d); /* for "set" */
void wizard_forget_test(struct wizard_draft *d);
/* The same as stitchctl commands, one a line; a password is not in them. */
void wizard_commands(const struct wizard_draft *d, struct buf *out);
/* A request that works; `end` between its lines. token: with it, else it is masked. */
void wizard_curl(const struct wizard_draft *d, const json_t *hello, bool token, struct buf *out, const char *end);
/* Sums the figures of the source; returns the first table of it that has loaded rows, NULL: none yet. */
const json_t *wizard_figures(struct wizard_draft *d, const json_t *status);

#endif
