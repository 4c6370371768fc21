/*
 * draw.c - text to stdscr. ncurses writes only cells that changed; this file makes sure that no byte of foreign text reaches it uncleaned and that a
 * wide character is never split at a border.
 */
#include "draw.h"

#include <curses.h>

#include "cells.h"

static int cursor_y, cursor_x;

void draw_cursor(int y, int x)
{
	cursor_y = y;
	cursor_x = x;
}

void draw_finish(void)
{
	move(MIN(MAX(cursor_y, 0), LINES - 1), MIN(MAX(cursor_x, 0), COLS - 1));
	refresh();
}

static int put(int y, int x, int width, const char *clean)
{
	size_t columns, bytes;
	struct str s;
	unsigned char byte;
	int32_t c;
	int at = x;

	if (y < 0 || y >= LINES || x < 0 || x >= COLS)
		return 0;
	width = MIN(width, COLS - x);
	if (width <= 0)
		return 0;
	bytes = cells_fit(clean, (size_t)width, &columns);
	s = str_mem(clean, bytes);
	move(y, x);
	while (cells_next(&s, &c, &byte)) {
		wchar_t wc[] = {(wchar_t)(c < 0 ? '?' : c), L'\0'};

		/* the last cell of the screen cannot be written without scrolling: ERR is fine */
		if (addnwstr(wc, 1) == ERR)
			break;
	}
	at += (int)columns;
	return at - x;
}

int draw_text(int y, int x, int width, const char *s)
{
	struct buf clean = BUF_INIT, line = BUF_INIT;
	size_t columns;
	int used;

	if (width <= 0)
		return 0;
	cells_clean(&clean, str_c(s), false);
	cells_fit(buf_cstr(&clean), SIZE_MAX, &columns);
	if (columns > (size_t)width)
		cells_pad(&line, buf_cstr(&clean), (size_t)width, false);
	used = put(y, x, width, line.len ? buf_cstr(&line) : buf_cstr(&clean));
	buf_free(&clean);
	buf_free(&line);
	return used;
}

int draw_textf(int y, int x, int width, const char *fmt, ...)
{
	char text[1200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return draw_text(y, x, width, text);
}

void draw_right(int y, int x, int width, const char *s)
{
	struct buf clean = BUF_INIT, line = BUF_INIT;

	if (width > 0) {
		cells_clean(&clean, str_c(s), false);
		cells_pad(&line, buf_cstr(&clean), (size_t)width, true);
		put(y, x, width, buf_cstr(&line));
	}
	buf_free(&clean);
	buf_free(&line);
}

void draw_fill(int y, int x, int width)
{
	for (int k = 0; k < width && x + k < COLS; k++)
		mvaddch(y, x + k, ' ');
}

void draw_rule(int y, int x, int width)
{
	for (int k = 0; k < width && x + k < COLS; k++)
		put(y, x + k, 1, cells_ascii() ? "-" : "─");
}

int draw_wrapped(int y, int x, int width, int max_lines, const char *s)
{
	struct buf clean = BUF_INIT;
	const char *p, *rest;
	int lines = 0;

	cells_clean(&clean, str_c(s), false);
	for (p = buf_cstr(&clean); p && *p && width > 0 && lines < max_lines; p = rest) {
		size_t n = cells_wrap(p, (size_t)width, &rest);
		char *line = str_dup(str_mem(p, n));

		/* the last line says that there is more */
		if (lines == max_lines - 1 && rest)
			draw_text(y + lines, x, width, p);
		else
			put(y + lines, x, width, line);
		free(line);
		lines++;
	}
	buf_free(&clean);
	return lines;
}

void draw_box(int y, int x, int height, int width, const char *title)
{
	bool a = cells_ascii();

	for (int k = 0; k < height; k++) {
		draw_fill(y + k, x, width);
		put(y + k, x, 1, a ? "|" : "│");
		put(y + k, x + width - 1, 1, a ? "|" : "│");
	}
	draw_rule(y, x, width);
	draw_rule(y + height - 1, x, width);
	put(y, x, 1, a ? "+" : "┌");
	put(y, x + width - 1, 1, a ? "+" : "┐");
	put(y + height - 1, x, 1, a ? "+" : "└");
	put(y + height - 1, x + width - 1, 1, a ? "+" : "┘");
	put(y, x + 1, 1, " ");
	put(y, x + 2 + draw_text(y, x + 2, width - 5, title), 1, " ");
}
