/*
 * app.h - the console as a whole: the model, the stack of views, the prompt, the message line, and the loop. One thread; everything is called from
 * app_run().
 */
#ifndef STITCH_TUI_APP_H
#define STITCH_TUI_APP_H

#include <jansson.h>

#include "base.h"
#include "err.h"
#include "model.h"
#include "prompt.h"

#define APP_DEPTH 16

struct view;
struct wizard_draft;

struct app {
	struct model m;
	struct view *stack[APP_DEPTH];
	unsigned depth;
	uint64_t views_made;
	struct prompt prompt;
	bool readonly, quit, pasting, dirty;
	char message[700]; /* what the last key did */
	bool message_bad;
	json_t *acts;		    /* what was done in this session: {"at_ns", "command"}, oldest first */
	char *command;		    /* of the act that is about to be called: remembered when it has succeeded */
	struct wizard_draft *draft; /* what was typed into the wizard and not used yet; owned (view_wizard.c frees it) */
};

typedef void app_reply(struct app *app, struct view *v, const json_t *result /* NULL: error */, const struct err *e, uint64_t tag);

/* Returns the exit status. */
int app_run(struct app *app) MUST_CHECK;

void app_say(struct app *app, const char *fmt, ...) PRINTF(2, 3);
void app_warn(struct app *app, const char *fmt, ...) PRINTF(2, 3);
/* To the terminal's clipboard (OSC 52), and shown in the message line for those whose terminal has none. */
void app_copy(struct app *app, const char *text);
/* Something was done; this is how a shell would do it. */
void app_remember(struct app *app, const char *command);
bool app_may_act(const struct app *app); /* else acting keys are absent */
/* A question to the daemon for v; fn is called only while v is open. tag: the view's own. -1: said in the message line. */
int app_call(struct app *app, struct view *v, const char *method, json_t *params /* stolen */, app_reply *fn, uint64_t tag);
/* An act: `done` (stolen) is said when it has succeeded, the reason when not. fn may be NULL; called even when v is gone (then with v NULL). */
void app_act(struct app *app, struct view *v, const char *method, json_t *params /* stolen */, char *done, app_reply *fn);

void app_push(struct app *app, struct view *v); /* NULL: nothing */
void app_pop(struct app *app);			 /* the first view stays */
struct view *app_top(const struct app *app);

#endif
