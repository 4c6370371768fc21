/*
 * table.h - a scrolling table: columns that share the width, order, filter, and a selection that stays on its row when rows move. What a cell says is
 * asked of the owner when it is needed, so ten thousand rows cost no text. No ncurses but in table_draw(). One thread.
 */
#ifndef STITCH_TUI_TABLE_H
#define STITCH_TUI_TABLE_H

#include <regex.h>

#include "base.h"
#include "buf.h"
#include "err.h"
#include "theme.h"

#define TABLE_COLUMNS 12

struct table_column {
	const char *title;
	int min, max;  /* columns of the screen; max 0: takes what is left */
	bool right;    /* figures */
	int drop;      /* 0: never; else left out in this order (highest first) when there is no room */
};

struct table_ops {
	void (*cell)(void *arg, size_t item, unsigned col, struct buf *out);
	int (*compare)(void *arg, size_t a, size_t b, unsigned col);
	void (*id)(void *arg, size_t item, struct buf *out); /* what the row is, across refreshes */
	enum theme_role (*look)(void *arg, size_t item, unsigned col);
};

struct table {
	const struct table_ops *ops;
	void *arg;
	const struct table_column *columns;
	unsigned n_columns;
	/* the rest is read by others, written by table.c */
	size_t *order, n, items; /* n rows are shown, of items */
	size_t sel, top;	 /* index into order */
	bool chosen;		 /* the operator moved: keep the row, not the place */
	char *sel_id;
	int sort; /* column, or -1: as given */
	char *filter;
	bool inverse, has_regex;
	regex_t regex;
};

void table_init(struct table *t, const struct table_ops *ops, void *arg, const struct table_column *columns, unsigned n);
void table_free(struct table *t);
void table_fill(struct table *t, size_t items); /* the rows have changed */
void table_move(struct table *t, int by);	/* and marks the row as chosen */
void table_first(struct table *t);
void table_last(struct table *t);
size_t table_item(const struct table *t); /* the selected row's item, SIZE_MAX: none */
void table_sort_next(struct table *t);
/* A regular expression (extended, without case), "!" before it inverts; "" shows all. */
int table_filter(struct table *t, const char *text, struct err *e) MUST_CHECK;
/* Widths for `width` columns in all (one blank between); 0: left out. */
void table_widths(const struct table *t, int width, int out[TABLE_COLUMNS]);
void table_scroll(struct table *t, int height); /* sets top so that the selection is seen */
/* Header line and rows in `height` lines from y on. focused: the selection is shown, the cursor put on it. */
void table_draw(struct table *t, int y, int height, int width, bool focused);

#endif
