/*
 * view_help.c - the keys that are valid in the view it was asked in, from the table in keys.c. The list is taken when help is opened.
 */
#include "draw.h"
#include "i18n.h"
#include "view.h"
#include "xalloc.h"

struct help {
	struct view v;
	const char *of; /* the view's name */
	enum key_action valid[40];
	size_t n, top;
};

static void title(struct view *v, struct buf *out)
{
	buf_addf(out, _("keys valid in: %s"), _(container_of(v, struct help, v)->of));
}

static void update(struct view *v)
{
	(void)v;
}

static void draw(struct view *v, int y, int height, int width)
{
	struct help *h = container_of(v, struct help, v);
	int line = 0;

	if (h->top + (size_t)MAX(height, 1) > h->n)
		h->top = h->n > (size_t)MAX(height, 1) ? h->n - (size_t)height : 0;
	for (size_t k = h->top; k < h->n && line < height; k++, line++) {
		const struct key_def *d = keys_def(h->valid[k]);

		theme_set(TH_KEY);
		draw_text(y + line, 2, 6, d->name);
		theme_set(TH_NORMAL);
		draw_text(y + line, 9, width - 10, _(d->help));
	}
	draw_cursor(y, 0);
}

static bool key(struct view *v, enum key_action a)
{
	struct help *h = container_of(v, struct help, v);

	switch (a) {
	case K_DOWN:
		h->top++;
		return true;
	case K_UP:
		h->top -= h->top > 0;
		return true;
	case K_PAGE_DOWN:
		h->top += 10;
		return true;
	case K_PAGE_UP:
	case K_FIRST:
		h->top = 0;
		return true;
	case K_LAST:
		h->top = h->n;
		return true;
	case K_HELP:
	case K_OPEN:
		app_pop(v->app);
		return true;
	default:
		return false;
	}
}

static void close_help(struct view *v)
{
	free(container_of(v, struct help, v));
}

struct view *view_help(const struct view *of)
{
	static const enum key_action always[] = {K_HELP, K_BACK, K_QUIT}, actions[] = {K_BACK, K_DOWN, K_NONE};
	static const struct view_ops ops = {.name = N_("help"), .title = title, .update = update, .draw = draw, .key = key, .actions = actions, .close = close_help};
	struct help *h;

	if (of->ops == &ops)
		return NULL;
	h = xcalloc(1, sizeof(*h));
	h->v.ops = &ops;
	h->of = of->ops->name;
	for (const enum key_action *a = of->ops->actions; *a && h->n < ARRAY_LEN(h->valid) - ARRAY_LEN(always); a++)
		if (*a != K_QUIT && *a != K_BACK && *a != K_HELP && view_can((struct view *)(uintptr_t)of, *a))
			h->valid[h->n++] = *a;
	for (size_t k = 0; k < ARRAY_LEN(always); k++)
		h->valid[h->n++] = always[k];
	return &h->v;
}
