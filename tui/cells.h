/*
 * cells.h - text as columns of a terminal: what may be sent there, how wide it is, how figures are written. No ncurses; one thread.
 * Text is UTF-8 and foreign: nothing that cells_clean() has not seen may reach the terminal.
 */
#ifndef STITCH_TUI_CELLS_H
#define STITCH_TUI_CELLS_H

#include "base.h"
#include "buf.h"

/* ascii: draw arrows, lines and bars with ASCII (TERM=linux, vt100, or a locale that is not UTF-8). */
void cells_setup(bool ascii);
bool cells_ascii(void);
/* The next character of s; false at the end. Bytes that are no UTF-8 come one by one as -1. */
bool cells_next(struct str *s, int32_t *ch, unsigned char *byte);
/* Appends s so that it can be shown: control characters, invalid bytes and invisible format characters are escaped. data: also newline and
 * tab (\n, \t), which otherwise become one blank. */
void cells_clean(struct buf *out, struct str s, bool data);
size_t cells_width(const char *clean);
/* How many bytes of clean fit into max columns; *columns: how many they take. Never parts a character from its combining marks. */
size_t cells_fit(const char *clean, size_t max, size_t *columns);
/* Appends clean cut (with an ellipsis) and padded to exactly `width` columns. */
void cells_pad(struct buf *out, const char *clean, size_t width, bool right);
/* The first line of at most max columns, broken at a blank if there is one; *rest: what follows, NULL at the end. Returns its bytes. */
size_t cells_wrap(const char *clean, size_t max, const char **rest);

/* Figures for people. */
void cells_count(struct buf *out, int64_t n); /* 1,204  812,004  1.2M */
void cells_rate(struct buf *out, double per_s); /* 0/s  3.4/s  11.6k/s */
void cells_bytes(struct buf *out, int64_t n);   /* 412M */
void cells_span(struct buf *out, int64_t ns);	/* 2m31s; negative: 0s */
void cells_seconds(struct buf *out, double s);	/* the same */
/* Wall clock time of ns (local zone): "02:14", with seconds "02:14:07", the date when it is more than 20 hours from now. */
void cells_time(struct buf *out, int64_t ns, int64_t now_ns, bool seconds);
void cells_spark(struct buf *out, const double *v, size_t n);
/* In single quotes when a shell needs it. */
void cells_shell(struct buf *out, const char *s);

#endif
