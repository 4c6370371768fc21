/*
 * draw.h - the only way from text to the screen: everything is cleaned (cells.h) and clipped by columns. Positions are of stdscr; the look is what
 * theme_set() said last.
 */
#ifndef STITCH_TUI_DRAW_H
#define STITCH_TUI_DRAW_H

#include "buf.h"
#include "theme.h"

/* At most width columns, cut with an ellipsis. Returns the columns used. */
int draw_text(int y, int x, int width, const char *s);
int draw_textf(int y, int x, int width, const char *fmt, ...) PRINTF(4, 5);
void draw_right(int y, int x, int width, const char *s); /* ends at x + width */
void draw_fill(int y, int x, int width); /* blanks in the present look */
void draw_rule(int y, int x, int width);
/* Wraps s into at most max_lines lines; returns how many it took. */
int draw_wrapped(int y, int x, int width, int max_lines, const char *s);
/* Where the hardware cursor is put when the frame is done: the row or field that has the focus (screen readers follow it). */
void draw_cursor(int y, int x);
void draw_finish(void);
void draw_box(int y, int x, int height, int width, const char *title);

#endif
