/*
 * view_wizard.c - from nothing to the first row in four pages: a push source, where its rows go (tested before it is saved), what will be made, and
 * then the token, a curl line, and the figures until a row is seen in the destination.
 *
 * What was typed lives in a draft that belongs to the app, so Esc never loses it: `a` goes on where one was. What was made already is not made again
 * when a later step fails. The secret fields are wiped when the draft is freed.
 */
#include <curses.h>

#include "cells.h"
#include "draw.h"
#include "i18n.h"
#include "wizard.h"
#include "xalloc.h"

struct wizard {
	struct view v;
	struct wizard_draft *d; /* the app's */
};

static struct wizard *wizard_of(struct view *v)
{
	return container_of(v, struct wizard, v);
}

/* --- the fields of a page --- */

struct field {
	const char *label, *help;
	size_t offset; /* of the struct edit in the draft; 0: the choice of a destination */
};

#define FIELD(name) offsetof(struct wizard_draft, name)

static const struct field source_fields[] = {
	{N_("name of the source"), N_("Letters, digits, _ and -. It is also the schema that its tables arrive in. One source for each program that pushes."), FIELD(source)},
};
static const struct field choice_field[] = {
	{N_("where to"), N_("Left and right choose: a new destination, or one that is there."), 0},
};
static const struct field sqlite_fields[] = {
	{N_("where to"), N_("Left and right choose: a new destination, or one that is there."), 0},
	{N_("name"), N_("What you will call this destination: letters, digits, _ and -."), FIELD(name)},
	{N_("file"), N_("Absolute path of the SQLite file; it is made when it is not there. The daemon's user must be able to write in its folder."), FIELD(path)},
};
static const struct field postgres_fields[] = {
	{N_("where to"), N_("Left and right choose: a new destination, or one that is there."), 0},
	{N_("name"), N_("What you will call this destination: letters, digits, _ and -."), FIELD(name)},
	{N_("host"), N_("Name or address of the server, or the folder of its socket."), FIELD(host)},
	{N_("port"), N_("Empty: 5432."), FIELD(port)},
	{N_("user"), N_("It needs the right to create a schema in the database, and tables in it."), FIELD(user)},
	{N_("password"), N_("Kept sealed; never shown again. Empty: none."), FIELD(password)},
	{N_("database"), N_("The database must be there already."), FIELD(dbname)},
};

static const struct field *fields_of(const struct wizard_draft *d, size_t *n)
{
	if (d->page == WIZARD_SOURCE) {
		*n = ARRAY_LEN(source_fields);
		return source_fields;
	}
	if (d->page != WIZARD_DESTINATION) {
		*n = 0;
		return NULL;
	}
	*n = d->choice == WIZARD_SQLITE ? ARRAY_LEN(sqlite_fields) : d->choice == WIZARD_POSTGRES ? ARRAY_LEN(postgres_fields) : 1;
	return d->choice == WIZARD_SQLITE ? sqlite_fields : d->choice == WIZARD_POSTGRES ? postgres_fields : choice_field;
}

static struct edit *edit_of(struct wizard_draft *d, const struct field *f)
{
	return f->offset ? (struct edit *)(void *)((char *)d + f->offset) : NULL;
}

static void choose(struct wizard *w, int by)
{
	struct wizard_draft *d = w->d;
	const json_t *status = w->v.app->m.status;
	int n = WIZARD_EXISTING + (int)mj_len(status, "destinations");

	d->choice = (d->choice + by + n) % n;
	if (d->choice >= WIZARD_EXISTING)
		snprintf(d->existing, sizeof(d->existing), "%.79s", mj_str(mj_at(status, "destinations", (size_t)(d->choice - WIZARD_EXISTING)), "name"));
	wizard_forget_test(d);
}

/* --- from page to page --- */

static bool name_ok(const char *name)
{
	size_t n = strlen(name);

	return n >= 1 && n <= 63 && name[0] != '-' && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == n;
}

static void leave_source(struct wizard *w)
{
	struct wizard_draft *d = w->d;
	struct app *app = w->v.app;
	const char *name = buf_cstr(&d->source.text);

	if (!name_ok(name)) {
		app_warn(app, "%s", _("a name is 1 to 63 letters, digits, _ and -, and begins with no -"));
	} else if (!d->made_source && mj_find(app->m.status, "sources", "name", name)) {
		app_warn(app, _("there is a source %s already"), name);
	} else {
		d->page = WIZARD_DESTINATION;
		d->focus = 0;
	}
}

static void on_probe(struct app *app, struct view *v, const json_t *r, const struct err *e, uint64_t tag)
{
	struct wizard_draft *d = v ? wizard_of(v)->d : NULL;

	if (!d || tag != d->tests)
		return;
	d->testing = false;
	json_decref(d->test);
	d->test = r ? json_incref((json_t *)(uintptr_t)r) : json_pack("{s:b, s:s}", "ok", 0, "cause", e->text);
	if (!json_is_true(mj(d->test, "ok")))
		return;
	app_say(app, "%s", _("OK: connected, and every right that loading needs is there"));
	if (d->page == WIZARD_DESTINATION)
		d->page = WIZARD_REVIEW;
}

static void leave_destination(struct wizard *w)
{
	struct wizard_draft *d = w->d;
	struct app *app = w->v.app;
	json_t *params;

	if (d->choice >= WIZARD_EXISTING) {
		d->page = WIZARD_REVIEW;
		return;
	}
	if (!name_ok(buf_cstr(&d->name.text))) {
		app_warn(app, "%s", _("a name is 1 to 63 letters, digits, _ and -, and begins with no -"));
		d->focus = 1;
		return;
	}
	if (!d->made_destination && mj_find(app->m.status, "destinations", "name", buf_cstr(&d->name.text))) {
		app_warn(app, _("there is a destination %s already: choose it above, or take another name"), buf_cstr(&d->name.text));
		d->focus = 1;
		return;
	}
	wizard_forget_test(d);
	params = json_pack("{s:s, s:o}", "kind", wizard_kind(d), "set", wizard_settings(d));
	if (app_call(app, &w->v, "destination.probe", params, on_probe, d->tests) == 0)
		d->testing = true;
}

/* --- making --- */

static void make_next(struct wizard *w);

/* For the runbook, once all of it is made. */
static void remember(struct app *app, const struct wizard_draft *d)
{
	struct buf b = BUF_INIT;

	wizard_commands(d, &b);
	for (char *p = b.data, *end; p && *p; p = end) {
		end = strchrnul(p, '\n');
		if (*end)
			*end++ = '\0';
		app_remember(app, p);
	}
	buf_free(&b);
}

static void on_made(struct app *app, struct view *v, const json_t *r, const struct err *e, uint64_t tag)
{
	struct wizard *w = v ? wizard_of(v) : NULL;
	struct wizard_draft *d = app->draft;

	(void)e;
	(void)tag;
	if (!d)
		return;
	d->making = false;
	if (!r)
		return; /* the reason has been said */
	if (!d->made_source) {
		d->made_source = true;
		snprintf(d->token, sizeof(d->token), "%s", mj_str(r, "token"));
	} else if (!d->made_destination) {
		d->made_destination = true;
	} else {
		d->made_connection = true;
		remember(app, d);
	}
	if (w)
		make_next(w);
}

static void make_next(struct wizard *w)
{
	struct wizard_draft *d = w->d;
	struct app *app = w->v.app;

	if (d->choice >= WIZARD_EXISTING)
		d->made_destination = true;
	if (!app->m.rpc) {
		app_warn(app, _("not possible while the daemon is gone: %s"), app->m.why);
		return;
	}
	if (d->made_source && d->made_destination && d->made_connection) {
		d->page = WIZARD_WAIT;
		return;
	}
	d->making = true;
	if (!d->made_source)
		app_act(app, &w->v, "source.create", json_pack("{s:s, s:s}", "kind", "import", "name", buf_cstr(&d->source.text)), NULL, on_made);
	else if (!d->made_destination)
		app_act(app, &w->v, "destination.create",
			json_pack("{s:s, s:s, s:b, s:o}", "kind", wizard_kind(d), "name", buf_cstr(&d->name.text), "no_check", 1, "set", wizard_settings(d)), NULL, on_made);
	else
		app_act(app, &w->v, "connection.create", json_pack("{s:s, s:s}", "source", buf_cstr(&d->source.text), "destination", wizard_destination(d)), NULL, on_made);
}

/* --- waiting for the first row --- */

static void on_sample(struct app *app, struct view *v, const json_t *r, const struct err *e, uint64_t tag)
{
	struct wizard_draft *d = wizard_of(v)->d;

	(void)tag;
	d->asking = false;
	if (!r) {
		app_warn(app, _("the row cannot be shown: %s"), e->text);
		return;
	}
	if (!mj_len(r, "rows"))
		return;
	json_decref(d->sample);
	d->sample = json_incref((json_t *)(uintptr_t)r);
}

static void update(struct view *v)
{
	struct wizard_draft *d = wizard_of(v)->d;
	const json_t *t;

	if (d->page != WIZARD_WAIT)
		return;
	t = wizard_figures(d, v->app->m.status);
	if (d->loaded && !d->seen)
		d->seen = mono_now();
	if (t)
		snprintf(d->table, sizeof(d->table), "%s", mj_str(t, "table"));
}

static void tick(struct view *v)
{
	struct wizard_draft *d = wizard_of(v)->d;

	v->app->dirty = true; /* the clock of the last page */
	if (d->page != WIZARD_WAIT || !d->loaded || d->sample || d->asking || !v->app->m.rpc)
		return;
	d->asking = app_call(v->app, v, "table.sample",
			    json_pack("{s:s, s:s, s:s, s:i}", "source", buf_cstr(&d->source.text), "table", d->table, "destination", wizard_destination(d), "rows", 10), on_sample, 0) == 0;
}

/* --- keys --- */

static void back(struct wizard *w)
{
	struct wizard_draft *d = w->d;

	if (d->making)
		return;
	if (d->page == WIZARD_SOURCE || d->page == WIZARD_WAIT) {
		if (d->page == WIZARD_WAIT)
			app_say(w->v.app, "%s", _("a comes back to this page and the token"));
		else if (d->source.text.len)
			app_say(w->v.app, "%s", _("what you typed is kept: a goes on with it"));
		app_pop(w->v.app);
		return;
	}
	d->page--;
	d->focus = 0;
}

static bool enter_key(struct wizard *w)
{
	struct wizard_draft *d = w->d;
	struct app *app = w->v.app;
	size_t n;

	fields_of(d, &n);
	if (d->page == WIZARD_WAIT && wizard_unseen_token(d)) {
		app_warn(app, "%s", _("nobody has seen the token yet: t shows it, c copies it"));
		d->token_seen = true; /* said once */
	} else if (d->page == WIZARD_WAIT) {
		app_pop(app);
		wizard_draft_free(app->draft);
		app->draft = NULL;
	} else if (d->page == WIZARD_REVIEW) {
		if (!d->making)
			make_next(w);
	} else if (d->focus + 1 < (int)n) {
		d->focus++;
	} else if (d->page == WIZARD_SOURCE) {
		leave_source(w);
	} else if (!d->testing) {
		leave_destination(w);
	}
	return true;
}

static bool last_page_key(struct wizard *w, int key)
{
	struct wizard_draft *d = w->d;
	struct buf b = BUF_INIT;

	if (key == 't') {
		d->show_token = !d->show_token;
		d->token_seen = true;
	} else if (key == 'c') {
		d->token_seen = true;
		wizard_curl(d, w->v.app->m.hello, true, &b, " ");
		app_copy(w->v.app, buf_cstr(&b));
		/* not left in the message line: the token is in it */
		app_say(w->v.app, "%s", _("the curl line is in the terminal's clipboard (if it has one; else t shows the token)"));
	} else if (key == 's') {
		d->show_commands = !d->show_commands;
	} else {
		return false;
	}
	if (b.data)
		explicit_bzero(b.data, b.cap);
	buf_free(&b);
	return true;
}

static bool raw_key(struct view *v, int key, bool is_code)
{
	struct wizard *w = wizard_of(v);
	struct wizard_draft *d = w->d;
	size_t n;
	const struct field *f = fields_of(d, &n);
	struct edit *e = n ? edit_of(d, &f[d->focus]) : NULL;
	bool enter = is_code ? key == KEY_ENTER : key == '\r' || key == '\n';

	if (!is_code && key == 27) {
		back(w);
		return true;
	}
	if (enter)
		return v->app->pasting ? true : enter_key(w);
	if (!n)
		return !is_code && d->page == WIZARD_WAIT && last_page_key(w, key);
	if ((!is_code && key == '\t') || (is_code && key == KEY_DOWN)) {
		d->focus = (d->focus + 1) % (int)n;
	} else if (is_code && (key == KEY_BTAB || key == KEY_UP)) {
		d->focus = (d->focus + (int)n - 1) % (int)n;
	} else if (!e && ((is_code && key == KEY_RIGHT) || (!is_code && key == ' '))) {
		choose(w, 1);
	} else if (!e && is_code && key == KEY_LEFT) {
		choose(w, -1);
	} else if (e && edit_key(e, key, is_code)) {
		if (d->page == WIZARD_DESTINATION)
			wizard_forget_test(d);
	} else {
		/* letters are text here; only F1 has another meaning */
		return is_code ? key != KEY_F(1) : true;
	}
	return true;
}

static bool key(struct view *v, enum key_action a)
{
	(void)v;
	/* from here no other screen is one key away, or a letter too many would lose the place */
	return a != K_HELP && a != K_QUIT;
}

/* --- the screen --- */

static void title(struct view *v, struct buf *out)
{
	struct wizard_draft *d = wizard_of(v)->d;
	static const char *const names[] = {N_("a source"), N_("its destination"), N_("what will be made"), N_("the first row")};

	buf_addf(out, _("new source %d/4: %s"), d->page + 1, _(names[d->page]));
	if (d->source.text.len && d->page != WIZARD_SOURCE)
		buf_addf(out, "  %s", buf_cstr(&d->source.text));
	if (d->page == WIZARD_WAIT) {
		buf_adds(out, _("  elapsed "));
		cells_span(out, ((d->seen ? d->seen : mono_now()) - d->began) / NSEC_PER_SEC * NSEC_PER_SEC);
	}
}

static void draw_choice(const struct wizard_draft *d, int y, int x, int width, bool focused)
{
	struct buf b = BUF_INIT;

	buf_addf(&b, "< %s >", d->choice == WIZARD_SQLITE ? _("a new SQLite file") : d->choice == WIZARD_POSTGRES ? _("a new Postgres database") : d->existing);
	theme_set(focused ? TH_SELECT : TH_NORMAL);
	draw_text(y, x, width, buf_cstr(&b));
	if (focused)
		draw_cursor(y, x);
	buf_free(&b);
}

static void draw_test(const struct wizard_draft *d, int y, int height, int width)
{
	int n = 0;

	if (d->testing) {
		theme_set(TH_TITLE);
		draw_text(y, 2, width - 3, _("connecting..."));
	}
	if (!d->test || height < 1)
		return;
	theme_set(json_is_true(mj(d->test, "ok")) ? TH_OK : TH_FAIL);
	draw_text(y, 2, 5, json_is_true(mj(d->test, "ok")) ? "OK" : "FAIL");
	n += draw_wrapped(y, 7, width - 8, MIN(3, height), json_is_true(mj(d->test, "ok")) ? mj_str(d->test, "server") : mj_str(d->test, "cause"));
	theme_set(TH_NORMAL);
	if (*mj_str(d->test, "fix") && n < height)
		n += draw_wrapped(y + n, 7, width - 8, MIN(3, height - n), mj_str(d->test, "fix"));
	for (size_t k = 0; k < mj_len(d->test, "rights") && n < height; k++, n++) {
		const json_t *r = mj_at(d->test, "rights", k);

		draw_textf(y + n, 7, width - 8, "%s %s %s", json_is_true(mj(r, "ok")) ? "OK  " : "FAIL", mj_str(r, "name"), mj_str(r, "detail"));
	}
}

static void draw_fields(struct wizard *w, int y, int height, int width)
{
	struct wizard_draft *d = w->d;
	int end = y + height, label = 0, at = y;
	size_t n;
	const struct field *f = fields_of(d, &n);

	for (size_t k = 0; k < n; k++)
		label = MAX(label, (int)cells_width(_(f[k].label)));
	for (size_t k = 0; k < n && at < end; k++, at++) {
		struct edit *e = edit_of(d, &f[k]);
		bool focused = d->focus == (int)k;

		theme_set(focused ? TH_TITLE : TH_NORMAL);
		draw_text(at, 0, 1, focused ? ">" : " ");
		draw_text(at, 2, label, _(f[k].label));
		if (e)
			edit_draw(e, at, label + 4, MIN(width - label - 6, 58), focused);
		else
			draw_choice(d, at, label + 4, width - label - 5, focused);
	}
	theme_set(TH_DIM);
	draw_rule(at++, 0, width);
	theme_set(TH_NORMAL);
	if (at < end && d->focus < (int)n)
		at += draw_wrapped(at, 2, width - 3, 2, _(f[d->focus].help));
	theme_set(TH_DIM);
	if (at < end)
		draw_text(at++, 2, width - 3, d->page == WIZARD_SOURCE ? _("Enter goes on; Esc leaves and keeps what you typed") :
				_("Tab: next field; Enter on the last one tests the connection and goes on; Esc: back"));
	draw_test(d, at, end - at, width);
	theme_set(TH_NORMAL);
}

static void draw_commands(const struct wizard_draft *d, int y, int height, int width)
{
	struct buf b = BUF_INIT;
	int n = 0;

	wizard_commands(d, &b);
	for (char *p = b.data, *end; p && *p && n < height; p = end) {
		end = strchrnul(p, '\n');
		if (*end)
			*end++ = '\0';
		n += draw_wrapped(y + n, 2, width - 3, height - n, p);
	}
	buf_free(&b);
}

static void draw_review(struct wizard *w, int y, int height, int width)
{
	struct wizard_draft *d = w->d;
	int at = y;

	at += draw_wrapped(at, 1, width - 2, 3, _("Enter makes this; nothing has been changed yet. The same by stitchctl:"));
	if (at < y + height)
		draw_commands(d, at + 1, y + height - at - 1, width);
	at += 6;
	if (at >= y + height)
		return;
	theme_set(d->making ? TH_TITLE : TH_NORMAL);
	draw_textf(at, 2, width - 3, _("source: %s   destination: %s   connection: %s"), d->made_source ? _("made") : "-", d->made_destination ? _("made") : "-",
		d->made_connection ? _("made") : "-");
	draw_cursor(at, 2);
	theme_set(TH_NORMAL);
}

static int draw_row_of(const struct wizard_draft *d, int y, int height, int width)
{
	size_t n = mj_len(d->sample, "columns");
	const json_t *row = mj_at(d->sample, "rows", 0);
	struct buf b = BUF_INIT;
	int used;

	buf_addf(&b, "%s %s.%s: ", wizard_destination(d), buf_cstr(&d->source.text), d->table);
	for (size_t k = 0; k < n; k++) {
		const char *name = json_string_value(mj_at(d->sample, "columns", k));
		const json_t *value = json_array_get(row, k);
		char *other = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

		buf_addf(&b, "%s%s=%s", k ? "  " : "", name ? name : "?", json_is_string(value) ? json_string_value(value) : other ? other : "NULL");
		free(other);
	}
	used = draw_wrapped(y, 2, width - 3, height, buf_cstr(&b));
	buf_free(&b);
	return used;
}

static int draw_figures(struct wizard *w, int y, int height, int width)
{
	struct wizard_draft *d = w->d;
	char object[120];
	const json_t *p;
	int at = y;

	theme_set(TH_TITLE);
	at += draw_wrapped(at, 1, width - 2, 2, _("4 first row"));
	theme_set(TH_NORMAL);
	draw_textf(at++, 2, width - 3, _("accepted %" PRId64 " · queued %" PRId64 " · spooled %" PRId64 " · loaded %" PRId64 " · rejected %" PRId64), d->accepted, d->queued, d->spooled,
		d->loaded, d->rejected);
	draw_cursor(at - 1, 2);
	snprintf(object, sizeof(object), "destination %s", wizard_destination(d));
	p = mj_find(w->v.app->m.status, "problems", "object", object);
	if (p && at < y + height) {
		theme_set(TH_FAIL);
		at += draw_wrapped(at, 2, width - 3, MIN(3, y + height - at), mj_str(p, "text"));
		theme_set(TH_NORMAL);
	}
	if (at >= y + height)
		return at - y;
	if (d->sample) {
		theme_set(TH_OK);
		draw_text(at, 2, width - 3, _("OK  the first row is in the table:"));
		theme_set(TH_NORMAL);
		at++;
		if (at < y + height)
			at += draw_row_of(d, at, y + height - at, width);
	} else {
		theme_set(TH_DIM);
		draw_text(at++, 2, width - 3, d->loaded ? _("loaded; reading the row from the destination...") :
				d->rejected ? _("every record was rejected: Esc, then 3 shows why") :
				d->accepted ? _("accepted; it is loaded within seconds") : _("waiting for the first record"));
		theme_set(TH_NORMAL);
	}
	return at - y;
}

static void draw_wait(struct wizard *w, int y, int height, int width)
{
	struct wizard_draft *d = w->d;
	struct buf b = BUF_INIT;
	int at = y, end = y + height;

	theme_set(TH_NORMAL);
	draw_textf(at++, 1, width - 2, _("1 source       OK  %s, token %s"), buf_cstr(&d->source.text), d->show_token ? d->token : _("******** (t shows it: only now can it be shown)"));
	draw_textf(at++, 1, width - 2, _("2 destination  OK  %s"), wizard_destination(d));
	theme_set(TH_TITLE);
	if (at < end)
		draw_text(at++, 1, width - 2, d->show_commands ? _("3 the same by stitchctl (s: the curl line)") : _("3 try it, from anywhere that reaches this machine (c copies it)"));
	theme_set(TH_NORMAL);
	if (d->show_commands) {
		draw_commands(d, at, MIN(6, end - at), width);
		at += 6;
	} else {
		/* from the first column, so that the mouse can take it */
		wizard_curl(d, w->v.app->m.hello, d->show_token, &b, "\n");
		for (char *p = b.data, *next; p && *p && at < end; p = next) {
			next = strchrnul(p, '\n');
			if (*next)
				*next++ = '\0';
			draw_text(at++, 0, width, p);
		}
		if (b.data)
			explicit_bzero(b.data, b.cap);
		buf_free(&b);
	}
	at += end - at > 8;
	draw_figures(w, at, end - at, width);
}

static void draw(struct view *v, int y, int height, int width)
{
	struct wizard *w = wizard_of(v);

	if (w->d->page == WIZARD_WAIT)
		draw_wait(w, y, height, width);
	else if (w->d->page == WIZARD_REVIEW)
		draw_review(w, y, height, width);
	else
		draw_fields(w, y, height, width);
}

static bool can(struct view *v, enum key_action a)
{
	struct wizard_draft *d = wizard_of(v)->d;

	return (a != K_TOKEN && a != K_COPY && a != K_COMMANDS) || d->page == WIZARD_WAIT;
}

static void close_wizard(struct view *v)
{
	free(wizard_of(v));
}

struct view *view_wizard(struct app *app)
{
	static const enum key_action actions[] = {K_GO_ON, K_BACK, K_TOKEN, K_COPY, K_COMMANDS, K_NONE};
	static const struct view_ops ops = {
		.name = N_("wizard"), .title = title, .update = update, .tick = tick, .draw = draw, .key = key, .raw = raw_key, .can = can, .actions = actions, .close = close_wizard};
	struct wizard *w = xcalloc(1, sizeof(*w));

	if (!app->draft)
		app->draft = wizard_draft_new(app->m.path);
	w->v.ops = &ops;
	w->d = app->draft;
	return &w->v;
}
