/*
 * prompt.c - editing a line of UTF-8, asking y or Esc in a box, asking for a line at the bottom.
 *
 * What can go wrong: keys that were typed before the box came up. So only `y` acts, Enter never does, and the box says what it will do to what.
 */
#include "prompt.h"

#include <curses.h>
#include <wchar.h>

#include "app.h"
#include "cells.h"
#include "draw.h"
#include "i18n.h"
#include "xalloc.h"

/* --- the editor --- */

#define EDIT_MAX 2000

void edit_set(struct edit *e, const char *text)
{
	buf_truncate(&e->text, 0);
	buf_adds(&e->text, text);
	e->at = e->text.len;
}

void edit_free(struct edit *e)
{
	if (e->secret && e->text.data)
		explicit_bzero(e->text.data, e->text.cap);
	buf_free(&e->text);
}

static size_t before(const struct edit *e, size_t at)
{
	while (at > 0 && ((unsigned char)e->text.data[--at] & 0xc0) == 0x80)
		;
	return at;
}

static size_t behind(const struct edit *e, size_t at)
{
	if (at < e->text.len)
		at++;
	while (at < e->text.len && ((unsigned char)e->text.data[at] & 0xc0) == 0x80)
		at++;
	return at;
}

static void cut(struct edit *e, size_t from, size_t to)
{
	memmove(e->text.data + from, e->text.data + to, e->text.len - to);
	buf_truncate(&e->text, e->text.len - (to - from));
	e->at = from;
}

static void insert(struct edit *e, int32_t c)
{
	char u[5] = "";
	size_t n;

	if (c < 0x80)
		u[0] = (char)c;
	else if (c < 0x800)
		snprintf(u, sizeof(u), "%c%c", 0xc0 | c >> 6, 0x80 | (c & 0x3f));
	else if (c < 0x10000)
		snprintf(u, sizeof(u), "%c%c%c", 0xe0 | c >> 12, 0x80 | (c >> 6 & 0x3f), 0x80 | (c & 0x3f));
	else
		snprintf(u, sizeof(u), "%c%c%c%c", 0xf0 | c >> 18, 0x80 | (c >> 12 & 0x3f), 0x80 | (c >> 6 & 0x3f), 0x80 | (c & 0x3f));
	n = strlen(u);
	if (!n || e->text.len + n > EDIT_MAX)
		return;
	buf_add(&e->text, u, n);
	memmove(e->text.data + e->at + n, e->text.data + e->at, e->text.len - n - e->at);
	memcpy(e->text.data + e->at, u, n);
	e->at += n;
}

bool edit_key(struct edit *e, int key, bool is_code)
{
	if ((is_code && key == KEY_BACKSPACE) || (!is_code && (key == 127 || key == 8))) {
		if (e->at)
			cut(e, before(e, e->at), e->at);
	} else if (is_code && key == KEY_DC) {
		if (e->at < e->text.len)
			cut(e, e->at, behind(e, e->at));
	} else if (is_code && key == KEY_LEFT) {
		e->at = e->at ? before(e, e->at) : 0;
	} else if (is_code && key == KEY_RIGHT) {
		e->at = behind(e, e->at);
	} else if ((is_code && key == KEY_HOME) || (!is_code && key == ('A' & 0x1f))) {
		e->at = 0;
	} else if ((is_code && key == KEY_END) || (!is_code && key == ('E' & 0x1f))) {
		e->at = e->text.len;
	} else if (!is_code && key == ('U' & 0x1f)) {
		if (e->at)
			cut(e, 0, e->at);
	} else if (!is_code && key >= 0x20 && key != 127) {
		insert(e, key);
	} else {
		return false;
	}
	return true;
}

void edit_draw(const struct edit *e, int y, int x, int width, bool focused)
{
	struct buf left = BUF_INIT, all = BUF_INIT;
	const char *show;
	size_t columns, at;

	width = MAX(width - 2, 2); /* the brackets */
	for (size_t k = 0; e->secret && k < e->text.len; k = behind(e, k)) {
		buf_addc(&all, '*');
		if (k < e->at)
			buf_addc(&left, '*');
	}
	if (!e->secret) {
		cells_clean(&all, buf_str(&e->text), true);
		cells_clean(&left, str_mem(e->text.data, e->at), true);
	}
	show = buf_cstr(&all);
	at = cells_width(buf_cstr(&left));
	/* the part that the cursor is in */
	while (at >= (size_t)width && *show) {
		struct str s = str_c(show);
		unsigned char byte;
		size_t drop = cells_fit(show, 1, &columns);
		int32_t c;

		if (!drop && cells_next(&s, &c, &byte))
			drop = (size_t)(s.ptr - show);
		at -= MAX(columns, 1);
		show += drop;
	}
	theme_set(focused ? TH_KEY : TH_DIM);
	draw_text(y, x, 1, "[");
	draw_text(y, x + width + 1, 1, "]");
	theme_set(TH_FIELD);
	draw_fill(y, x + 1, width);
	draw_text(y, x + 1, width, show);
	if (focused)
		draw_cursor(y, x + 1 + (int)at);
	theme_set(TH_NORMAL);
	buf_free(&left);
	buf_free(&all);
}

/* --- open, close --- */

void prompt_close(struct prompt *p)
{
	free(p->title);
	free(p->text);
	free(p->arg);
	for (unsigned k = 0; k < PROMPT_FIELDS; k++)
		edit_free(&p->fields[k]);
	*p = (struct prompt){.kind = PROMPT_NONE};
}

void prompt_confirm(struct prompt *p, char *title, char *text)
{
	prompt_close(p);
	*p = (struct prompt){.kind = PROMPT_CONFIRM, .title = title, .text = text, .focus = -1};
}

void prompt_line(struct prompt *p, const char *label, const char *text)
{
	prompt_close(p);
	*p = (struct prompt){.kind = PROMPT_LINE, .n_fields = 1, .labels = {label}};
	edit_set(&p->fields[0], text);
}

/* --- keys --- */

static char *command_of(struct app *app, struct prompt *p)
{
	struct buf b = BUF_INIT;

	p->command(app, p, p->arg, &b);
	return buf_detach(&b, NULL);
}


static void run(struct app *app, struct prompt *p, bool done)
{
	struct prompt mine;

	if (!done) {
		p->act(app, p, false, p->arg);
		return;
	}
	/* the act may open the next prompt */
	mine = *p;
	*p = (struct prompt){.kind = PROMPT_NONE};
	app->command = mine.kind == PROMPT_CONFIRM && mine.command ? command_of(app, &mine) : NULL;
	mine.act(app, &mine, true, mine.arg);
	free(app->command); /* it was not called */
	app->command = NULL;
	prompt_close(&mine);
}

static void show_command(struct app *app, struct prompt *p)
{
	char *command = command_of(app, p);

	app_copy(app, command);
	free(command);
}

static void confirm_key(struct app *app, struct prompt *p, int key, bool is_code, bool pasted)
{
	bool enter = !is_code ? key == '\r' || key == '\n' : key == KEY_ENTER;

	if (pasted && (p->focus < 0 || enter))
		return;
	if (!is_code && key == 27) {
		prompt_close(p);
	} else if ((!is_code && key == '\t') || (is_code && key == KEY_DOWN)) {
		p->focus = p->focus + 1 < (int)p->n_fields ? p->focus + 1 : -1;
	} else if (is_code && (key == KEY_BTAB || key == KEY_UP)) {
		p->focus = p->focus >= 0 ? p->focus - 1 : (int)p->n_fields - 1;
	} else if (p->focus >= 0) {
		if (enter)
			p->focus = p->focus + 1 < (int)p->n_fields ? p->focus + 1 : -1;
		else
			edit_key(&p->fields[p->focus], key, is_code);
	} else if (!is_code && key == 'y') {
		run(app, p, true);
	} else if (!is_code && key == 'c' && p->command) {
		show_command(app, p);
	} else if (!is_code && (key == 'n' || key == 'q')) {
		prompt_close(p);
	}
}

void prompt_key(struct app *app, struct prompt *p, int key, bool is_code, bool pasted)
{
	if (p->kind == PROMPT_CONFIRM) {
		confirm_key(app, p, key, is_code, pasted);
		return;
	}
	if (!is_code && key == 27) {
		edit_set(&p->fields[0], "");
		run(app, p, true);
	} else if ((!is_code && (key == '\r' || key == '\n')) || (is_code && key == KEY_ENTER)) {
		if (!pasted)
			run(app, p, true);
	} else if (edit_key(&p->fields[0], key, is_code)) {
		run(app, p, false);
	}
}

/* --- on the screen --- */

static int text_lines(const char *text, int width, int y, int x, bool draw)
{
	int n = 0;

	for (const char *p = text; p && *p;) {
		const char *end = strchrnul(p, '\n');
		char *line = str_dup(str_mem(p, (size_t)(end - p)));
		const char *rest = line;
		struct buf clean = BUF_INIT;

		cells_clean(&clean, str_c(line), false);
		rest = buf_cstr(&clean);
		do {
			size_t bytes = cells_wrap(rest, (size_t)MAX(width, 1), &rest);

			(void)bytes;
			n++;
		} while (rest);
		if (draw)
			y += draw_wrapped(y, x, width, 20, line);
		buf_free(&clean);
		free(line);
		p = *end ? end + 1 : end;
	}
	return n;
}

static void draw_keys(const struct prompt *p, int y, int x, int width)
{
	int at = x;

	theme_set(TH_KEY);
	at += draw_text(y, at, x + width - at, "y");
	theme_set(TH_NORMAL);
	at += 1 + draw_text(y, at + 1, x + width - at - 1, _("yes, do it"));
	theme_set(TH_KEY);
	at += 3 + draw_text(y, at + 3, x + width - at - 3, "Esc");
	theme_set(TH_NORMAL);
	at += 1 + draw_text(y, at + 1, x + width - at - 1, _("no"));
	if (p->n_fields) {
		theme_set(TH_KEY);
		at += 3 + draw_text(y, at + 3, x + width - at - 3, "Tab");
		theme_set(TH_NORMAL);
		at += 1 + draw_text(y, at + 1, x + width - at - 1, _("fields"));
	}
	if (p->command) {
		theme_set(TH_KEY);
		at += 3 + draw_text(y, at + 3, x + width - at - 3, "c");
		theme_set(TH_NORMAL);
		draw_text(y, at + 1, x + width - at - 1, _("stitchctl command"));
	}
	if (p->focus < 0)
		draw_cursor(y, x);
}

static void draw_confirm(const struct prompt *p)
{
	int width = MIN(COLS - 2, 78), inner = width - 4, lines = text_lines(p->text, inner, 0, 0, false);
	int height = MIN(lines + (int)p->n_fields + 4, LINES), y = MAX((LINES - height) / 2, 0), x = (COLS - width) / 2, at = y + 1;

	theme_set(TH_TITLE);
	draw_box(y, x, height, width, p->title);
	theme_set(TH_NORMAL);
	at += text_lines(p->text, inner, at, x + 2, true);
	/* on a small screen the question matters more than its reasons */
	at = MIN(at, y + height - 2 - (int)p->n_fields);
	for (unsigned k = 0; k < p->n_fields; k++, at++) {
		int label = (int)cells_width(_(p->labels[k]));

		draw_fill(at, x + 2, inner);
		draw_text(at, x + 2, inner, _(p->labels[k]));
		edit_draw(&p->fields[k], at, x + 3 + label, MAX(inner - label - 1, 4), p->focus == (int)k);
	}
	at = y + height - 2;
	draw_fill(at, x + 2, inner);
	draw_keys(p, at, x + 2, inner);
}

static void draw_line(const struct prompt *p)
{
	int y = LINES - 1, used;

	theme_set(TH_NORMAL);
	draw_fill(y, 0, COLS);
	used = draw_text(y, 1, COLS - 1, _(p->labels[0]));
	edit_draw(&p->fields[0], y, used + 2, MAX(COLS - used - 3, 4), true);
}

void prompt_draw(const struct prompt *p)
{
	if (p->kind == PROMPT_CONFIRM)
		draw_confirm(p);
	else if (p->kind == PROMPT_LINE)
		draw_line(p);
}
