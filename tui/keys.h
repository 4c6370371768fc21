/*
 * keys.h - the one table of keys: what is pressed, what it means, what the footer and the help say. A key means the same thing in every view, and no
 * key means two things that change something.
 */
#ifndef STITCH_TUI_KEYS_H
#define STITCH_TUI_KEYS_H

#include "base.h"

enum key_action {
	K_NONE,
	K_UP, K_DOWN, K_PAGE_UP, K_PAGE_DOWN, K_FIRST, K_LAST,
	K_OPEN, K_BACK, K_QUIT, K_HELP, K_FILTER, K_SORT, K_COPY, K_ONLY, K_ENDED, K_GO_ON, K_TOKEN, K_COMMANDS,
	K_HOME, K_TABLES, K_SPOOL, K_SOURCES, K_DESTINATIONS, K_LOG, K_AUDIT, K_RUNBOOK,
	K_PAUSE, K_RESUME, K_REPLAY, K_DISCARD, K_TRY, K_CHECK, K_ADD, /* these act */
};

struct key_def {
	enum key_action action;
	int keys[4]; /* characters and KEY_* of curses, 0-terminated */
	const char *name;   /* as it is written on the keyboard */
	const char *footer; /* one or two words; translate with _() */
	const char *help;
	bool acts;
};

enum key_action keys_action(int key, bool is_code);
const struct key_def *keys_def(enum key_action action);

#endif
