/*
 * theme.h - what kinds of text there are and how they look: the terminal's own colours, bold, reverse, dim. A state is never told by colour alone:
 * the words OK, WARN, FAIL are always there.
 */
#ifndef STITCH_TUI_THEME_H
#define STITCH_TUI_THEME_H

#include "base.h"

enum theme_role { TH_NORMAL, TH_TITLE, TH_OK, TH_WARN, TH_FAIL, TH_DIM, TH_SELECT, TH_HEAD, TH_KEY, TH_BANNER, TH_FIELD };

void theme_setup(bool colours); /* after initscr() */
void theme_stale(bool stale);	/* everything but banners is dim: the figures are old */
void theme_set(enum theme_role role); /* for what is drawn next */
/* "ok", "failing", "warn" ... of the protocol: its word on the screen (at most 4 letters, the same in every language) and
 * its look. */
const char *theme_state(const char *state, enum theme_role *role);

#endif
