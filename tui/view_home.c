/*
 * view_home.c - triage: the chain with its figures, what is wrong (worst first, with cause, effect and next step), and the lag of each table. The worst
 * row is selected until the operator moves, so nothing needs a key to be read.
 *
 * Problems and tables are one list for the keys. On a small screen the chain goes first, then the tables; the worst row stays.
 */
#include "cells.h"
#include "draw.h"
#include "i18n.h"
#include "view.h"
#include "xalloc.h"

struct home {
	struct view v;
	struct list tables;
	json_t *problems;
	size_t sel;	   /* problem; problems: the tables have the selection */
	bool chosen;	   /* the operator moved */
	char *sel_object;
};

static struct home *home_of(struct view *v)
{
	return container_of(v, struct home, v);
}

static bool on_tables(const struct home *h)
{
	return h->sel >= json_array_size(h->problems);
}

static void target(const struct home *h, struct target *t)
{
	if (on_tables(h))
		target_of_table(list_item(&h->tables), t);
	else
		target_of_problem(json_array_get(h->problems, h->sel), t);
}

/* --- the model has changed --- */

static void remember(struct home *h)
{
	free(h->sel_object);
	h->sel_object = on_tables(h) ? NULL : xstrdup(mj_str(json_array_get(h->problems, h->sel), "object"));
}

static void update(struct view *v)
{
	struct home *h = home_of(v);
	const json_t *s = v->app->m.status, *tables = mj(s, "tables"), *problems = mj(s, "problems");
	bool were_tables = on_tables(h);
	size_t n;

	json_decref(h->problems);
	h->problems = json_is_array(problems) ? json_incref((json_t *)(uintptr_t)problems) : json_array();
	list_take(&h->tables, json_is_array(tables) ? json_incref((json_t *)(uintptr_t)tables) : NULL, model_now(&v->app->m));
	n = json_array_size(h->problems);
	if (!h->chosen) {
		h->sel = 0;
	} else if (were_tables) {
		h->sel = n;
	} else {
		size_t k = 0;

		while (k < n && strcmp(mj_str(json_array_get(h->problems, k), "object"), h->sel_object ? h->sel_object : "") != 0)
			k++;
		/* it is mended: stay in that place */
		h->sel = k < n ? k : MIN(h->sel, n);
	}
	remember(h);
}

/* --- title and chain --- */

static void title(struct view *v, struct buf *out)
{
	const json_t *s = v->app->m.status;
	size_t problems = mj_len(s, "problems");
	const char *state = mj_str(s, "state");

	if (!s) {
		buf_adds(out, _("stitch: connected, waiting for the first figures"));
		return;
	}
	buf_addf(out, "%s %s  ", strcmp(state, "ok") == 0 ? "OK" : strcmp(state, "warn") == 0 ? "WARN" : "FAIL", mj_str(s, "name"));
	cells_time(out, model_now(&v->app->m), model_now(&v->app->m), true);
	buf_adds(out, _("  in "));
	cells_rate(out, mj_real(s, "in_rate"));
	buf_adds(out, _("  loaded "));
	cells_rate(out, mj_real(s, "load_rate"));
	buf_adds(out, _("  waiting "));
	cells_count(out, mj_int(s, "waiting"));
	if (mj_int(s, "difference")) {
		buf_adds(out, _("  LEDGER OFF BY "));
		cells_count(out, mj_int(s, "difference"));
	} else {
		buf_adds(out, _("  ledger OK"));
	}
	if (problems)
		buf_addf(out, "  !%zu", problems);
}

static void chain_value(const json_t *s, unsigned stage, struct buf *b)
{
	size_t n = mj_len(s, "destinations"), good = 0;
	struct buf open = BUF_INIT;
	static const char *const waiting[] = {"spool.ready", "spool.active", "spool.deferred", "spool.held"};
	int64_t jobs = 0;

	switch (stage) {
	case 0:
		cells_rate(b, mj_real(s, "import.rate"));
		if (strcmp(mj_str(s, "import.state"), "open") != 0)
			buf_addf(b, " %s", strcmp(mj_str(s, "import.state"), "full") == 0 ? _("FULL") : mj_str(s, "import.state"));
		break;
	case 1:
	case 2:
		cells_seconds(b, mj_real(s, stage == 1 ? "queue.lag_s" : "streamery.lag_s"));
		buf_addc(b, ' ');
		cells_count(stage == 1 ? b : &open, mj_int(s, stage == 1 ? "queue.records" : "streamery.open"));
		if (stage == 2)
			buf_addf(b, _("%s open"), buf_cstr(&open));
		break;
	case 3:
		for (size_t k = 0; k < ARRAY_LEN(waiting); k++)
			jobs += MIN(MAX(mj_int(s, waiting[k]), 0), INT64_C(1000000000000000000));
		cells_count(b, jobs);
		buf_addf(b, ngettext(" job ", " jobs ", (unsigned long)MAX(jobs, 0)));
		cells_bytes(b, mj_int(s, "spool.bytes"));
		break;
	default:
		/* a destination may have several loaders: what counts is how many destinations can be loaded */
		for (size_t k = 0; k < n; k++) {
			const char *state = mj_str(mj_at(s, "destinations", k), "state");

			good += strcmp(state, "failing") != 0 && strcmp(state, "paused") != 0;
		}
		buf_addf(b, "%zu/%zu OK ", good, n);
		cells_rate(b, mj_real(s, "load_rate"));
		break;
	}
	buf_free(&open);
}

static void draw_chain(const json_t *s, int y, int width)
{
	static const char *const names[] = {"import", "queue", "streamery", "spool", "loaders"};
	static const int shares[] = {12, 13, 15, 20, 18}; /* of 78 */
	int x = 1;

	for (unsigned k = 0; k < ARRAY_LEN(names); k++) {
		struct buf b = BUF_INIT;
		int used, each = shares[k] * (width - 2) / 78;

		theme_set(TH_TITLE);
		used = draw_text(y, x, each - 1, names[k]);
		theme_set(TH_DIM);
		if (k + 1 < ARRAY_LEN(names)) {
			draw_rule(y, x + used + 1, each - used - 3);
			draw_text(y, x + each - 2, 1, "▶");
		}
		theme_set(k == 0 && strcmp(mj_str(s, "import.state"), "full") == 0 ? TH_FAIL : TH_NORMAL);
		chain_value(s, k, &b);
		draw_text(y + 1, x, each - 1, buf_cstr(&b));
		buf_free(&b);
		x += each;
	}
	theme_set(TH_DIM);
	draw_rule(y + 2, 0, width);
	theme_set(TH_NORMAL);
}

/* --- problems --- */

/* "destination pg" is "pg" here; "table a.b -> pg" is "a.b → pg" */
static void name_of(const json_t *p, struct buf *out)
{
	struct target t;

	target_of_problem(p, &t);
	if (t.kind == T_DESTINATION)
		buf_adds(out, t.destination);
	else if (t.kind == T_TABLE)
		buf_addf(out, "%s.%s%s%s", t.source, t.table, t.destination[0] ? " → " : "", t.destination);
	else
		buf_adds(out, mj_str(p, "object"));
}

static void add_numbers(const struct home *h, const json_t *p, struct buf *out)
{
	const json_t *s = h->v.app->m.status, *d = NULL;
	int64_t now = model_now(&h->v.app->m), tables = mj_int(p, "tables"), records = mj_int(p, "records");
	struct target t;
	struct buf n = BUF_INIT;

	target_of_problem(p, &t);
	if (t.kind == T_DESTINATION)
		d = mj_find(s, "destinations", "name", t.destination);
	if (tables > 0)
		buf_addf(out, ngettext("%" PRId64 " table · ", "%" PRId64 " tables · ", (unsigned long)tables), tables);
	cells_count(&n, records);
	buf_addf(out, ngettext("%s record", "%s records", (unsigned long)MAX(records, 0)), buf_cstr(&n));
	if (d && mj_int(d, "bytes")) {
		buf_addc(out, ' ');
		cells_bytes(out, mj_int(d, "bytes"));
	}
	if (mj_int(p, "oldest_ns")) {
		buf_truncate(&n, 0);
		cells_span(&n, now - mj_int(p, "oldest_ns"));
		buf_addf(out, _(" · oldest %s"), buf_cstr(&n));
	}
	if (d && records) {
		buf_adds(out, " · ");
		list_format(d, &(struct list_field){"trend", LIST_TREND}, now, out);
	}
	if (d && records && json_is_integer(mj(d, "drain_s"))) {
		buf_truncate(&n, 0);
		list_format(d, &(struct list_field){"drain_s", LIST_DRAIN}, now, &n);
		buf_addf(out, _(" · drained in %s"), buf_cstr(&n));
	}
	buf_free(&n);
}

/* "attempt 7, next in 18s · shop.events shop.clicks +34" */
static void add_next(const struct home *h, const json_t *p, struct buf *out)
{
	const json_t *s = h->v.app->m.status;
	int64_t next = mj_int(p, "next_ns"), now = model_now(&h->v.app->m);
	size_t n = mj_len(s, "tables"), named = 0, more = 0;
	struct target t;
	struct buf span = BUF_INIT;

	target_of_problem(p, &t);
	if (next)
		cells_span(&span, next - now);
	if (mj_int(p, "attempt"))
		buf_addf(out, _("attempt %" PRId64 "%s%s"), mj_int(p, "attempt"), next > now ? _(", next in ") : next ? _(", next now") : "", next > now ? buf_cstr(&span) : "");
	else if (next)
		buf_addf(out, _("for another %s"), buf_cstr(&span));
	for (size_t k = 0; t.kind == T_DESTINATION && k < n; k++) {
		const json_t *one = mj_at(s, "tables", k);

		if (strcmp(mj_str(one, "destination"), t.destination) != 0 || !mj_int(one, "waiting"))
			continue;
		if (named++ >= 3) {
			more++;
			continue;
		}
		buf_addf(out, "%s%s.%s", named > 1 ? " " : out->len ? " · " : "", mj_str(one, "source"), mj_str(one, "table"));
	}
	if (more)
		buf_addf(out, " +%zu", more);
	buf_free(&span);
}

/* Returns the lines it took: one for the others when there is little room, up to five for the selected one. */
static int draw_problem(const struct home *h, size_t index, int y, int room, int width, bool brief)
{
	const json_t *p = json_array_get(h->problems, index);
	bool selected = index == h->sel;
	struct buf name = BUF_INIT, since = BUF_INIT, line = BUF_INIT, text = BUF_INIT;
	enum theme_role role;
	const char *word = theme_state(mj_str(p, "level"), &role), *rest = NULL;
	int x = 7, n = 0, head;

	name_of(p, &name);
	if (mj_int(p, "since_ns")) {
		struct buf at = BUF_INIT;

		cells_time(&at, mj_int(p, "since_ns"), model_now(&h->v.app->m), false);
		buf_addf(&since, _("since %s"), buf_cstr(&at));
		buf_free(&at);
	}
	head = width - x - 1 - (since.len ? (int)cells_width(buf_cstr(&since)) + 1 : 0);
	buf_addf(&line, "%s: %s", buf_cstr(&name), mj_str(p, "text"));
	cells_clean(&text, buf_str(&line), false);
	theme_set(selected ? TH_SELECT : TH_NORMAL);
	draw_fill(y, 0, width);
	draw_text(y, 0, 1, selected ? ">" : " ");
	if (!selected)
		theme_set(role);
	draw_text(y, 2, 4, word);
	theme_set(selected ? TH_SELECT : TH_TITLE);
	if (selected && room > 1) {
		/* the whole cause is read without a key */
		char *first = str_dup(str_mem(buf_cstr(&text), cells_wrap(buf_cstr(&text), (size_t)MAX(head, 1), &rest)));

		draw_text(y, x, head, first);
		free(first);
	} else {
		draw_text(y, x, head, buf_cstr(&text));
	}
	if (since.len)
		draw_right(y, x + head + 1, width - x - head - 2, buf_cstr(&since));
	if (selected)
		draw_cursor(y, 0);
	n = 1;
	theme_set(TH_NORMAL);
	if (selected && rest && n < room)
		n += draw_wrapped(y + n, x, width - x - 1, MAX(MIN(room - n - 1, 3), 1), rest); /* the figures have a line too */
	buf_truncate(&line, 0);
	add_numbers(h, p, &line);
	if (!brief && n < room)
		draw_text(y + n++, x, width - x - 1, buf_cstr(&line));
	buf_truncate(&line, 0);
	add_next(h, p, &line);
	if (selected && line.len && n < room)
		draw_text(y + n++, x, width - x - 1, buf_cstr(&line));
	buf_free(&name);
	buf_free(&since);
	buf_free(&line);
	buf_free(&text);
	return n;
}

static int draw_problems(const struct home *h, int y, int room, int width)
{
	size_t n = json_array_size(h->problems), first = 0;
	bool brief = n > 4;
	int used = 0;

	if (!n) {
		theme_set(TH_OK);
		used = draw_text(y, 2, width - 3, "OK");
		theme_set(TH_NORMAL);
		draw_text(y, 4 + used, width - 5 - used, mj_len(h->v.app->m.status, "sources") ? _("nothing is wrong") :
				_("nothing is set up yet: a makes a source and shows its first row"));
		return 1;
	}
	/* the selected one must be seen */
	if (!on_tables(h) && (int)(h->sel + 1) * (brief ? 1 : 2) > room - 3)
		first = h->sel > 0 ? h->sel - 1 : 0;
	for (size_t k = first; k < n && used < room; k++) {
		if (used + 1 == room && k + 1 < n) {
			theme_set(TH_DIM);
			draw_textf(y + used, 7, width - 8, ngettext("and %zu more problem", "and %zu more problems", n - k), n - k);
			theme_set(TH_NORMAL);
			return room;
		}
		used += draw_problem(h, k, y + used, room - used - (k + 1 < n), width, brief && k != h->sel);
	}
	return used;
}

/* --- the screen --- */

/* The last line, when there are more tables than rows: how bad those are that are not seen. */
static void draw_below(const struct home *h, int y, int width, size_t rows)
{
	const struct table *t = &h->tables.t;
	struct buf b = BUF_INIT, span = BUF_INIT;
	double worst = 0;
	size_t more = t->n > t->top + rows ? t->n - t->top - rows : 0;

	if (!more)
		return;
	for (size_t k = t->top + rows; k < t->n; k++) {
		double lag = mj_real(json_array_get(h->tables.items, t->order[k]), "lag_s");

		worst = lag > worst ? lag : worst;
	}
	cells_seconds(&span, worst);
	buf_addf(&b, ngettext("%zu more table, at most %s behind", "%zu more tables, at most %s behind", more), more, buf_cstr(&span));
	theme_set(TH_DIM);
	draw_text(y, 2, width - 2, buf_cstr(&b));
	theme_set(TH_NORMAL);
	buf_free(&b);
	buf_free(&span);
}

static void draw_tables(struct home *h, int y, int height, int width)
{
	bool full = (int)h->tables.t.n + 1 > height && height > 3;
	int rows = height - full;

	table_draw(&h->tables.t, y, rows, width, on_tables(h));
	if (full)
		draw_below(h, y + rows, width, (size_t)rows - 1);
}

static void draw(struct view *v, int y, int height, int width)
{
	struct home *h = home_of(v);
	int end = y + height, room;

	if (!v->app->m.status) {
		theme_set(TH_NORMAL);
		draw_wrapped(y + 1, 2, width - 4, height - 1, v->app->m.rpc ? _("waiting for the first figures") :
				_("The daemon does not answer. Is stitchd running? systemctl status stitchd. This screen connects by itself as soon as it can."));
		return;
	}
	if (height >= 14 && width >= 60) {
		draw_chain(v->app->m.status, y, width);
		y += 3;
	}
	room = end - y;
	/* at least the table's header and three rows */
	y += draw_problems(h, y, MAX(room - MAX(room / 3, 4), MIN(room, 4)), width);
	if (end - y > 1)
		draw_tables(h, y, end - y, width);
}

/* --- keys --- */

static void move_by(struct home *h, int by)
{
	size_t n = json_array_size(h->problems);

	h->chosen = true;
	if (on_tables(h)) {
		if (by < 0 && h->tables.t.sel == 0 && n) {
			h->sel = n - 1;
			table_first(&h->tables.t);
		} else {
			table_move(&h->tables.t, by);
		}
	} else if (by < 0) {
		h->sel = h->sel > (size_t)-by ? h->sel - (size_t)-by : 0;
	} else {
		h->sel = MIN(h->sel + (size_t)by, n);
		if (h->sel == n && !h->tables.t.n)
			h->sel = n - 1;
	}
	remember(h);
}

static void open_selected(struct home *h)
{
	struct app *app = h->v.app;
	struct target t;

	target(h, &t);
	switch (t.kind) {
	case T_DESTINATION:
		app_push(app, view_spool(NULL, NULL, t.destination));
		break;
	case T_TABLE:
		app_push(app, view_spool(t.source, t.table, strcmp(t.destination, "-") != 0 && t.destination[0] ? t.destination : NULL));
		break;
	case T_SOURCE:
		app_push(app, view_sources());
		break;
	case T_JOB:
	case T_NONE:
		app_push(app, view_log());
		break;
	}
}

static bool key(struct view *v, enum key_action a)
{
	struct home *h = home_of(v);
	struct target t;
	struct buf b = BUF_INIT;

	target(h, &t);
	if (act_key(v, &t, a))
		return true;
	switch (a) {
	case K_UP:
		move_by(h, -1);
		return true;
	case K_DOWN:
		move_by(h, 1);
		return true;
	case K_PAGE_UP:
		move_by(h, -10);
		return true;
	case K_PAGE_DOWN:
		move_by(h, 10);
		return true;
	case K_FIRST:
		h->chosen = false;
		h->sel = 0;
		table_first(&h->tables.t);
		remember(h);
		return true;
	case K_LAST:
		if (h->tables.t.n) {
			h->sel = json_array_size(h->problems);
			h->chosen = true;
			table_last(&h->tables.t);
			remember(h);
		}
		return true;
	case K_OPEN:
		open_selected(h);
		return true;
	case K_COPY:
		act_show_command(&t, &b);
		app_copy(v->app, buf_cstr(&b));
		buf_free(&b);
		return true;
	case K_BACK:
		return true; /* there is nothing behind */
	default:
		return list_key(&h->tables, v->app, a);
	}
}

static bool can(struct view *v, enum key_action a)
{
	struct target t;

	target(home_of(v), &t);
	if (a == K_PAUSE || a == K_RESUME || a == K_TRY)
		return act_can(v->app, &t, a);
	if (a == K_BACK)
		return false;
	return true;
}

static void close_home(struct view *v)
{
	struct home *h = home_of(v);

	list_free(&h->tables);
	json_decref(h->problems);
	free(h->sel_object);
	free(h);
}

struct view *view_home(void)
{
	static const struct table_column columns[] = {{"", 4, 4, false, 0}, {N_("TABLE"), 12, 0, false, 0}, {N_("DESTINATION"), 11, 20, false, 2},
		{N_("LAG"), 7, 8, true, 0}, {N_("WAITING"), 8, 10, true, 0}, {N_("TREND"), 8, 10, false, 3}, {N_("DRAINS"), 6, 8, true, 4}, {N_("8 MIN"), 8, 8, false, 5}};
	static const struct list_field fields[] = {{"state", LIST_STATE}, {"", LIST_TABLE}, {"destination", LIST_TEXT}, {"lag_s", LIST_LAG}, {"waiting", LIST_COUNT},
		{"trend", LIST_TREND}, {"drain_s", LIST_DRAIN}, {"spark", LIST_SPARK}};
	static const char *const ids[] = {"source", "table", "destination", NULL};
	static const enum key_action actions[] = {K_PAUSE, K_RESUME, K_TRY, K_OPEN, K_ADD, K_FILTER, K_SORT, K_COPY, KEYS_SCREENS, KEYS_MOVES, K_QUIT, K_NONE};
	static const struct view_ops ops = {.name = N_("home"), .title = title, .update = update, .draw = draw, .key = key, .can = can, .actions = actions, .close = close_home};
	struct home *h = xcalloc(1, sizeof(*h));

	h->v.ops = &ops;
	h->problems = json_array();
	list_init(&h->tables, columns, fields, ARRAY_LEN(columns), ids);
	return &h->v;
}
