/*
 * terminal.h - what the terminal can do, asked before ncurses is started.
 */
#ifndef STITCH_TUI_TERMINAL_H
#define STITCH_TUI_TERMINAL_H

#include "base.h"

bool terminal_plain(void); /* draw with ASCII only */
bool terminal_extends(void); /* knows OSC 52 (clipboard) and bracketed paste, or ignores them */
int terminal_check(void) MUST_CHECK; /* -1: no terminal, or one that is not known; said on stderr */

#endif
