/*
 * app.c - the loop of the console: keys, socket, clock; who gets a key; the frame around the views (title, banner, message, footer). A frame is drawn
 * when something has changed and at most once per round; ncurses sends the cells that differ.
 *
 * What can go wrong: the terminal vanishes (the loop ends, it must not spin); the daemon vanishes (the figures stay, grey, with their age); a reply
 * comes for a view that is closed (it is dropped: views are named by serial, not by pointer).
 */
#include "app.h"

#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>
#include <wchar.h>

#include "cells.h"
#include "draw.h"
#include "i18n.h"
#include "terminal.h"
#include "view.h"
#include "xalloc.h"

#define FOOTER_KEYS 6

static volatile sig_atomic_t ended_by_signal;

/* --- messages --- */

static void say(struct app *app, bool bad, const char *fmt, va_list ap)
{
	size_t at = bad ? (size_t)snprintf(app->message, sizeof(app->message), "! ") : 0;

	vsnprintf(app->message + at, sizeof(app->message) - at, fmt, ap);
	app->message_bad = bad;
	app->dirty = true;
}

void app_say(struct app *app, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(app, false, fmt, ap);
	va_end(ap);
}

void app_warn(struct app *app, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(app, true, fmt, ap);
	va_end(ap);
}

void app_copy(struct app *app, const char *text)
{
	static const char b64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = (const unsigned char *)text;
	size_t n = strlen(text);
	struct buf out = BUF_INIT;

	app_say(app, "%s", text);
	if (!terminal_extends())
		return;
	buf_adds(&out, "\033]52;c;");
	for (size_t k = 0; k < n; k += 3) {
		uint32_t v = (uint32_t)p[k] << 16 | (uint32_t)(k + 1 < n ? p[k + 1] : 0) << 8 | (k + 2 < n ? p[k + 2] : 0);

		buf_addc(&out, b64[v >> 18 & 63]);
		buf_addc(&out, b64[v >> 12 & 63]);
		buf_addc(&out, k + 1 < n ? b64[v >> 6 & 63] : '=');
		buf_addc(&out, k + 2 < n ? b64[v & 63] : '=');
	}
	buf_addc(&out, '\a');
	fwrite(out.data, 1, out.len, stdout);
	fflush(stdout);
	buf_free(&out);
}

void app_remember(struct app *app, const char *command)
{
	json_t *one = json_pack("{s:I, s:s}", "at_ns", (json_int_t)model_now(&app->m), "command", command);

	/* a reason that is no UTF-8 makes no JSON, and no command either */
	if (one)
		json_array_append_new(app->acts, one);
}

bool app_may_act(const struct app *app)
{
	return !app->readonly && model_acts(&app->m);
}

/* --- calls --- */

struct pending {
	struct app *app;
	uint64_t serial, tag;
	app_reply *fn;
	char *done, *command; /* an act: what to say, what to remember */
	bool act;
};

static struct view *view_numbered(const struct app *app, uint64_t serial)
{
	for (unsigned k = 0; k < app->depth; k++)
		if (app->stack[k]->serial == serial)
			return app->stack[k];
	return NULL;
}

static void on_reply(json_t *result, const struct err *e, void *arg)
{
	struct pending *p = arg;
	struct app *app = p->app;
	struct view *v = view_numbered(app, p->serial);

	if (p->act && !result)
		app_warn(app, _("not done: %s"), e->text);
	else if (p->act && p->done)
		app_say(app, "%s", p->done);
	if (p->fn && (v || p->act)) {
		char *said = result || p->act || app->m.rpc ? NULL : xstrdup(app->message);

		p->fn(app, v, result, e, p->tag);
		/* the connection's end has a banner; that figures could not be asked for is no news then */
		if (said)
			snprintf(app->message, sizeof(app->message), "%s", said);
		free(said);
	}
	if (p->act && result && p->command)
		app_remember(app, p->command);
	app->dirty = true;
	free(p->command);
	free(p->done);
	free(p);
}

static int send_call(struct app *app, struct view *v, const char *method, json_t *params, struct pending in)
{
	struct pending *p = xmemdup(&in, sizeof(in));
	struct err e = ERR_INIT;

	p->app = app;
	p->serial = v ? v->serial : 0;
	if (model_call(&app->m, method, params, on_reply, p, &e) == 0)
		return 0;
	app_warn(app, "%s", e.text);
	free(p->command);
	free(p->done);
	free(p);
	return -1;
}

int app_call(struct app *app, struct view *v, const char *method, json_t *params, app_reply *fn, uint64_t tag)
{
	return send_call(app, v, method, params, (struct pending){.fn = fn, .tag = tag});
}

void app_act(struct app *app, struct view *v, const char *method, json_t *params, char *done, app_reply *fn)
{
	if (app_may_act(app)) {
		struct pending p = {.fn = fn, .done = done, .command = app->command, .act = true};

		app->command = NULL;
		/* why it was not sent has been said */
		if (send_call(app, v, method, params, p))
			app->dirty = true;
		return;
	}
	app_warn(app, "%s", _("this console only looks"));
	json_decref(params);
	free(done);
}

/* --- the stack --- */

struct view *app_top(const struct app *app)
{
	return app->stack[app->depth - 1];
}

void app_push(struct app *app, struct view *v)
{
	if (!v)
		return;
	if (app->depth == APP_DEPTH) {
		v->ops->close(v);
		return;
	}
	v->app = app;
	v->serial = ++app->views_made;
	app->stack[app->depth++] = v;
	v->ops->update(v);
	if (v->ops->tick)
		v->ops->tick(v);
	app->dirty = true;
}

void app_pop(struct app *app)
{
	struct view *v;

	if (app->depth <= 1)
		return;
	v = app->stack[--app->depth];
	v->ops->close(v);
	v = app_top(app);
	v->ops->update(v);
	if (v->ops->tick)
		v->ops->tick(v);
	app->dirty = true;
}

bool view_can(struct view *v, enum key_action a)
{
	const struct key_def *d = keys_def(a);

	if (d && d->acts && !app_may_act(v->app))
		return false;
	return !v->ops->can || v->ops->can(v, a);
}

/* --- keys --- */

static void go_to(struct app *app, struct view *v)
{
	if (!v)
		return;
	while (app->depth > 1)
		app_pop(app);
	app_push(app, v);
}

static void quit_after_all(struct app *app, struct prompt *p, bool done, void *arg)
{
	(void)p;
	(void)done;
	(void)arg;
	app->quit = true;
}

static void leave(struct app *app)
{
	const char *source = wizard_unseen_token(app->draft);

	if (!source) {
		app->quit = true;
		return;
	}
	prompt_confirm(&app->prompt, xstrdup(_("leave?")),
		xasprintf(_("The token of source %s was never shown and will be gone; stitchctl token create makes another. The wizard (a) shows it."), source));
	app->prompt.act = quit_after_all;
}

static void common_key(struct app *app, enum key_action a)
{
	switch (a) {
	case K_QUIT:
		leave(app);
		break;
	case K_BACK:
		app_pop(app);
		break;
	case K_HELP:
		app_push(app, view_help(app_top(app)));
		break;
	case K_HOME:
		while (app->depth > 1)
			app_pop(app);
		break;
	case K_TABLES:
		go_to(app, view_tables());
		break;
	case K_SPOOL:
		go_to(app, view_spool(NULL, NULL, NULL));
		break;
	case K_SOURCES:
		go_to(app, view_sources());
		break;
	case K_DESTINATIONS:
		go_to(app, view_destinations());
		break;
	case K_LOG:
		go_to(app, view_log());
		break;
	case K_AUDIT:
		go_to(app, view_audit(NULL));
		break;
	case K_RUNBOOK:
		go_to(app, view_runbook());
		break;
	case K_ADD:
		if (!app_may_act(app))
			app_warn(app, "%s", _("this console only looks"));
		else
			app_push(app, view_wizard(app));
		break;
	default:
		break;
	}
}

static void one_key(struct app *app, int key, bool is_code)
{
	struct view *v = app_top(app);
	enum key_action a;

	app->dirty = true;
	if (app->prompt.kind != PROMPT_NONE) {
		prompt_key(app, &app->prompt, key, is_code, app->pasting);
		return;
	}
	app->message[0] = '\0';
	if (v->ops->raw && v->ops->raw(v, key, is_code))
		return;
	/* nothing that was pasted is an order */
	if (app->pasting)
		return;
	a = keys_action(key, is_code);
	if (a == K_NONE)
		return;
	if (a == K_BACK && app->depth == 1 && key == 'q') {
		leave(app);
		return;
	}
	if (!v->ops->key(v, a))
		common_key(app, a);
}

enum { KEY_PASTE_BEGIN = 0x1000, KEY_PASTE_END };

/* False: the terminal is gone. */
static bool read_keys(struct app *app)
{
	wint_t c;
	int rc;

	while ((rc = get_wch(&c)) != ERR && !app->quit) {
		if (rc == KEY_CODE_YES && (int)c == KEY_RESIZE)
			app->dirty = true;
		else if (rc == KEY_CODE_YES && (int)c == KEY_PASTE_BEGIN)
			app->pasting = true;
		else if (rc == KEY_CODE_YES && (int)c == KEY_PASTE_END)
			app->pasting = false;
		else if (rc != KEY_CODE_YES && c == ('L' & 0x1f)) {
			clearok(stdscr, TRUE);
			app->dirty = true;
		} else
			one_key(app, (int)c, rc == KEY_CODE_YES);
	}
	return true;
}

/* --- the frame --- */

static void draw_banner(struct app *app, int width)
{
	int64_t age = app->m.status ? mono_now() - app->m.status_mono : 0;
	struct buf b = BUF_INIT, span = BUF_INIT;

	cells_span(&span, age);
	if (app->m.status)
		buf_addf(&b, _(" FAIL daemon gone · figures are %s old · connecting again by itself"), buf_cstr(&span));
	else
		buf_adds(&b, _(" FAIL no daemon · connecting again by itself"));
	theme_set(TH_BANNER);
	draw_fill(0, 0, width);
	draw_text(0, 0, width, buf_cstr(&b));
	theme_set(TH_NORMAL);
	buf_free(&b);
	buf_free(&span);
}

static void draw_title(struct app *app, struct view *v, int width)
{
	struct buf b = BUF_INIT;

	if (!app->m.rpc) {
		draw_banner(app, width);
		return;
	}
	v->ops->title(v, &b);
	theme_set(TH_TITLE);
	draw_text(0, 1, width - 1, buf_cstr(&b));
	theme_set(TH_NORMAL);
	buf_free(&b);
}

static void draw_footer(struct view *v, int y, int width)
{
	int x = 1, shown = 0;

	for (const enum key_action *a = v->ops->actions; *a && shown < FOOTER_KEYS; a++) {
		const struct key_def *d = keys_def(*a);
		int need = d ? (int)(cells_width(d->name) + cells_width(_(d->footer))) + 1 : 0;

		if (!d || *a == K_HELP || !view_can(v, *a) || x + need + 8 > width)
			continue;
		theme_set(TH_KEY);
		x += draw_text(y, x, width - x, d->name) + 1;
		theme_set(TH_NORMAL);
		x += draw_text(y, x, width - x, _(d->footer)) + 2;
		shown++;
	}
	theme_set(TH_KEY);
	x += draw_text(y, x, width - x, v->ops->raw ? "F1" : "?") + 1;
	theme_set(TH_NORMAL);
	draw_text(y, x, width - x, _("help"));
}

static int message_lines(const char *text, int width, int most)
{
	struct buf clean = BUF_INIT;
	const char *rest;
	int n = 0;

	cells_clean(&clean, str_c(text), false);
	for (rest = clean.len && width > 0 ? buf_cstr(&clean) : NULL; rest && n < most; n++) {
		size_t bytes = cells_wrap(rest, (size_t)width, &rest);

		assert(bytes);
	}
	buf_free(&clean);
	return n;
}

static void draw_frame(struct app *app)
{
	struct view *v = app_top(app);
	const char *text = app->message[0] || app->m.rpc ? app->message : app->m.why;
	int h = LINES, w = COLS, said;
	bool stale = model_stale(&app->m, mono_now());

	erase();
	draw_cursor(h - 1, 0);
	draw_title(app, v, w);
	theme_stale(stale && v->ops->raw == NULL);
	said = h > 3 ? message_lines(text, w - 2, MIN(3, h - 3)) : 0;
	if (h > 2)
		v->ops->draw(v, 1, h - 2 - said, w);
	theme_stale(false);
	theme_set(app->message_bad || !app->m.rpc ? TH_WARN : TH_TITLE);
	draw_wrapped(h - 1 - said, 1, w - 2, said, text);
	theme_set(TH_NORMAL);
	if (h > 1)
		draw_footer(v, h - 1, w);
	prompt_draw(&app->prompt);
	draw_finish();
	app->dirty = false;
}

/* --- the loop --- */

static void on_signal(int sig)
{
	(void)sig;
	ended_by_signal = 1;
}

static void start_screen(void)
{
	struct sigaction sa = {.sa_handler = on_signal};

	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &sa, NULL);
	cbreak();
	noecho();
	nonl();
	intrflush(stdscr, FALSE);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	ESCDELAY = 25;
	theme_setup(!getenv("NO_COLOR") || !*getenv("NO_COLOR"));
	if (terminal_extends()) {
		define_key("\033[200~", KEY_PASTE_BEGIN);
		define_key("\033[201~", KEY_PASTE_END);
		fputs("\033[?2004h", stdout);
		fflush(stdout);
	}
}

static void stop_screen(void)
{
	endwin();
	if (terminal_extends()) {
		fputs("\033[?2004l", stdout);
		fflush(stdout);
	}
}

/* One wait; false: the terminal is gone. */
static bool wait_for_something(struct app *app, int64_t next_second)
{
	struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = model_fd(&app->m), .events = POLLIN}};
	int64_t left = next_second - mono_now();
	int n;

	if (model_wants_write(&app->m))
		fds[1].events |= POLLOUT;
	n = poll(fds, 2, left > 0 ? (int)(left / NSEC_PER_MSEC) + 1 : 0);
	if (n < 0)
		return errno == EINTR ? read_keys(app) : false; /* a resize comes as a key */
	if (n > 0 && fds[1].revents)
		model_pump(&app->m, fds[1].revents & POLLIN, mono_now());
	if (fds[0].revents & POLLIN)
		return read_keys(app);
	return !(fds[0].revents & (POLLHUP | POLLERR | POLLNVAL));
}

static void each_second(struct app *app)
{
	struct view *v = app_top(app);

	if (v->ops->tick && app->m.rpc)
		v->ops->tick(v);
	if (!app->m.rpc)
		app->dirty = true; /* the age of the figures */
}

int app_run(struct app *app)
{
	uint64_t connections = 0;
	int64_t next = 0;
	bool alive = true;

	model_tick(&app->m, mono_now());
	if (!initscr())
		return 1;
	start_screen();
	app_push(app, view_home());
	while (alive && !app->quit && !ended_by_signal) {
		if (app->m.changed) {
			app->m.changed = false;
			if (connections != app->m.connections && app->message_bad)
				app->message[0] = '\0';
			connections = app->m.connections;
			for (unsigned k = 0; k < app->depth; k++)
				app->stack[k]->ops->update(app->stack[k]);
			app->dirty = true;
		}
		if (app->dirty)
			draw_frame(app);
		alive = wait_for_something(app, MIN(next, model_due(&app->m)));
		model_tick(&app->m, mono_now());
		if (mono_now() >= next) {
			each_second(app);
			next = mono_now() + NSEC_PER_SEC;
		}
	}
	stop_screen();
	while (app->depth) {
		struct view *v = app->stack[--app->depth];

		v->ops->close(v);
	}
	prompt_close(&app->prompt);
	return 0;
}
