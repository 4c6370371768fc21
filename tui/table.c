/*
 * table.c - rows as a permutation of the owner's items: filtered, then sorted (stable, so that equal rows keep the order they were given in).
 * The selection follows its row's id once the operator has moved; before that it stays on the first row, which is the worst one.
 */
#include "table.h"

#include "cells.h"
#include "draw.h"
#include "i18n.h"
#include "xalloc.h"

void table_init(struct table *t, const struct table_ops *ops, void *arg, const struct table_column *columns, unsigned n)
{
	assert(n <= TABLE_COLUMNS);
	*t = (struct table){.ops = ops, .arg = arg, .columns = columns, .n_columns = n, .sort = -1};
}

void table_free(struct table *t)
{
	if (t->has_regex)
		regfree(&t->regex);
	free(t->order);
	free(t->sel_id);
	free(t->filter);
}

static int by_column(const void *pa, const void *pb, void *arg)
{
	const struct table *t = arg;
	size_t a = *(const size_t *)pa, b = *(const size_t *)pb;
	int c = t->ops->compare(t->arg, a, b, (unsigned)t->sort);

	return c ? c : a < b ? -1 : 1;
}

static bool matches(struct table *t, size_t item)
{
	struct buf line = BUF_INIT, clean = BUF_INIT;
	bool hit;

	if (!t->has_regex)
		return true;
	for (unsigned c = 0; c < t->n_columns; c++) {
		if (c)
			buf_addc(&line, ' ');
		t->ops->cell(t->arg, item, c, &line);
	}
	cells_clean(&clean, buf_str(&line), false);
	hit = regexec(&t->regex, buf_cstr(&clean), 0, NULL, 0) == 0;
	buf_free(&line);
	buf_free(&clean);
	return hit != t->inverse;
}

static void remember(struct table *t)
{
	struct buf id = BUF_INIT;

	free(t->sel_id);
	t->sel_id = NULL;
	if (t->sel >= t->n)
		return;
	t->ops->id(t->arg, t->order[t->sel], &id);
	t->sel_id = buf_detach(&id, NULL);
}

static void find_again(struct table *t)
{
	struct buf id = BUF_INIT;

	if (!t->chosen)
		t->sel = 0;
	for (size_t k = 0; t->chosen && t->sel_id && k < t->n; k++) {
		buf_truncate(&id, 0);
		t->ops->id(t->arg, t->order[k], &id);
		if (strcmp(buf_cstr(&id), t->sel_id) == 0) {
			t->sel = k;
			break;
		}
	}
	buf_free(&id);
	if (t->sel >= t->n)
		t->sel = t->n ? t->n - 1 : 0;
	remember(t);
}

void table_fill(struct table *t, size_t items)
{
	t->order = xreallocarray(t->order, items + 1, sizeof(*t->order));
	t->items = items;
	t->n = 0;
	for (size_t k = 0; k < items; k++)
		if (matches(t, k))
			t->order[t->n++] = k;
	if (t->sort >= 0 && t->n > 1)
		qsort_r(t->order, t->n, sizeof(*t->order), by_column, t);
	find_again(t);
}

static void select_row(struct table *t, size_t row)
{
	t->sel = row;
	t->chosen = true;
	remember(t);
}

void table_move(struct table *t, int by)
{
	size_t far = (size_t)(by < 0 ? -by : by);

	if (!t->n)
		return;
	if (by < 0)
		select_row(t, t->sel > far ? t->sel - far : 0);
	else
		select_row(t, MIN(t->sel + far, t->n - 1));
}

void table_first(struct table *t)
{
	/* back on the worst row it follows the worst again */
	if (t->n)
		select_row(t, 0);
	t->chosen = false;
}

void table_last(struct table *t)
{
	if (t->n)
		select_row(t, t->n - 1);
}

size_t table_item(const struct table *t)
{
	return t->sel < t->n ? t->order[t->sel] : SIZE_MAX;
}

void table_sort_next(struct table *t)
{
	t->sort = t->sort + 1 < (int)t->n_columns ? t->sort + 1 : -1;
	table_fill(t, t->items);
}

int table_filter(struct table *t, const char *text, struct err *e)
{
	const char *expr = text[0] == '!' ? text + 1 : text;
	regex_t re;
	int rc = *expr ? regcomp(&re, expr, REG_EXTENDED | REG_ICASE | REG_NOSUB) : 0;
	char why[100];

	if (rc) {
		regerror(rc, &re, why, sizeof(why));
		return err_set(e, ERR_INVALID, "%s", why);
	}
	if (t->has_regex)
		regfree(&t->regex);
	t->has_regex = *expr != '\0';
	if (t->has_regex)
		t->regex = re;
	t->inverse = text[0] == '!';
	free(t->filter);
	t->filter = t->has_regex ? xstrdup(text) : NULL;
	table_fill(t, t->items);
	return 0;
}

/* --- layout --- */

static int needed(const struct table *t, const int out[TABLE_COLUMNS])
{
	int sum = 0;

	for (unsigned c = 0; c < t->n_columns; c++)
		if (out[c])
			sum += out[c] + 1;
	return sum - 1;
}

static bool leave_one_out(const struct table *t, int out[TABLE_COLUMNS])
{
	int worst = -1;

	for (unsigned c = 0; c < t->n_columns; c++)
		if (out[c] && t->columns[c].drop > 0 && (worst < 0 || t->columns[c].drop > t->columns[worst].drop))
			worst = (int)c;
	if (worst >= 0)
		out[worst] = 0;
	return worst >= 0;
}

void table_widths(const struct table *t, int width, int out[TABLE_COLUMNS])
{
	int left;
	bool grew = true;

	for (unsigned c = 0; c < TABLE_COLUMNS; c++)
		out[c] = c < t->n_columns ? t->columns[c].min : 0;
	while (needed(t, out) > width && leave_one_out(t, out))
		;
	/* what cannot be left out is made narrower, the widest first */
	while (needed(t, out) > width) {
		unsigned widest = 0;

		for (unsigned c = 1; c < t->n_columns; c++)
			if (out[c] > out[widest])
				widest = c;
		if (out[widest] <= 1)
			return;
		out[widest]--;
	}
	left = width - needed(t, out);
	while (left > 0 && grew) {
		grew = false;
		for (unsigned c = 0; c < t->n_columns && left > 0; c++)
			if (out[c] && (!t->columns[c].max || out[c] < t->columns[c].max)) {
				out[c]++;
				left--;
				grew = true;
			}
	}
}

void table_scroll(struct table *t, int height)
{
	size_t h = height > 0 ? (size_t)height : 1;

	if (t->sel < t->top)
		t->top = t->sel;
	if (t->sel >= t->top + h)
		t->top = t->sel - h + 1;
	if (t->top + h > t->n)
		t->top = t->n > h ? t->n - h : 0;
}

/* --- on the screen --- */

static void draw_header(const struct table *t, int y, int width, const int w[TABLE_COLUMNS])
{
	int x = 2, used;

	theme_set(TH_HEAD);
	draw_fill(y, 0, width);
	for (unsigned c = 0; c < t->n_columns; c++) {
		const char *title = *t->columns[c].title ? _(t->columns[c].title) : "";
		struct buf b = BUF_INIT;

		if (!w[c])
			continue;
		buf_addf(&b, "%s%s", title, t->sort == (int)c ? "*" : "");
		if (t->columns[c].right)
			draw_right(y, x, w[c], buf_cstr(&b));
		else
			draw_text(y, x, w[c], buf_cstr(&b));
		buf_free(&b);
		x += w[c] + 1;
	}
	/* no one may wonder where the other rows are */
	if (t->filter) {
		theme_set(TH_SELECT);
		used = (int)cells_width(t->filter) + 3;
		draw_textf(y, MAX(width - used, 2), used, " /%s ", t->filter);
	}
}

static void draw_row(const struct table *t, int y, int width, const int w[TABLE_COLUMNS], size_t row, bool selected)
{
	struct buf b = BUF_INIT;
	int x = 2;

	theme_set(selected ? TH_SELECT : TH_NORMAL);
	draw_fill(y, 0, width);
	if (selected)
		draw_text(y, 0, 1, ">");
	for (unsigned c = 0; c < t->n_columns; c++) {
		if (!w[c])
			continue;
		buf_truncate(&b, 0);
		t->ops->cell(t->arg, t->order[row], c, &b);
		theme_set(selected ? TH_SELECT : t->ops->look(t->arg, t->order[row], c));
		if (t->columns[c].right)
			draw_right(y, x, w[c], buf_cstr(&b));
		else
			draw_text(y, x, w[c], buf_cstr(&b));
		x += w[c] + 1;
	}
	buf_free(&b);
}

void table_draw(struct table *t, int y, int height, int width, bool focused)
{
	int w[TABLE_COLUMNS], rows = height - 1;

	table_widths(t, width - 2, w);
	table_scroll(t, rows);
	if (height <= 0)
		return;
	draw_header(t, y, width, w);
	for (int k = 0; k < rows && t->top + (size_t)k < t->n; k++) {
		size_t row = t->top + (size_t)k;

		draw_row(t, y + 1 + k, width, w, row, focused && row == t->sel);
	}
	if (!t->n && rows > 0) {
		theme_set(TH_DIM);
		draw_text(y + 1, 2, width - 2, t->filter ? _("nothing matches the filter") : _("nothing here"));
	}
	if (focused && t->n)
		draw_cursor(y + 1 + (int)(t->sel - t->top), 0);
	theme_set(TH_NORMAL);
}
