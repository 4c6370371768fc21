/*
 * prompt.h - a one-line editor, the box that asks before something is changed, and the line at the bottom for filters. The owner is struct app; what
 * is open takes all keys.
 *
 * A confirm says No by itself: Enter alone does nothing, `y` acts, and nothing that was pasted confirms.
 */
#ifndef STITCH_TUI_PROMPT_H
#define STITCH_TUI_PROMPT_H

#include "base.h"
#include "buf.h"

struct app;

struct edit {
	struct buf text;
	size_t at; /* byte */
	bool secret;
};
void edit_set(struct edit *e, const char *text);
/* True: the key was for the editor. */
bool edit_key(struct edit *e, int key, bool is_code);
void edit_draw(const struct edit *e, int y, int x, int width, bool focused);
void edit_free(struct edit *e);

#define PROMPT_FIELDS 2

struct prompt {
	enum { PROMPT_NONE, PROMPT_CONFIRM, PROMPT_LINE } kind;
	char *title, *text; /* text: lines, wrapped */
	unsigned n_fields;
	const char *labels[PROMPT_FIELDS];
	struct edit fields[PROMPT_FIELDS]; /* PROMPT_LINE: the first */
	int focus; /* field, -1: the question */
	/* Confirm: y was pressed. Line: the text has changed (done false) or Enter was pressed. */
	void (*act)(struct app *app, struct prompt *p, bool done, void *arg);
	/* The same act for a shell; NULL: none. */
	void (*command)(struct app *app, struct prompt *p, void *arg, struct buf *out);
	void *arg; /* freed with free() */
};

void prompt_confirm(struct prompt *p, char *title /* stolen */, char *text /* stolen */);
void prompt_line(struct prompt *p, const char *label, const char *text);
void prompt_close(struct prompt *p);
void prompt_key(struct app *app, struct prompt *p, int key, bool is_code, bool pasted);
void prompt_draw(const struct prompt *p);

#endif
