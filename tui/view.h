/*
 * view.h - one screen: what it shows and which keys it takes. Views are allocated, lie on the stack of struct app, and are told when the model has
 * changed; they never keep pointers into the model across calls.
 */
#ifndef STITCH_TUI_VIEW_H
#define STITCH_TUI_VIEW_H

#include "app.h"
#include "keys.h"
#include "table.h"

struct view_ops {
	const char *name; /* of the help; translate with _() */
	void (*title)(struct view *v, struct buf *out);
	void (*update)(struct view *v); /* opened, or the model has changed */
	void (*tick)(struct view *v);	/* each second while on top; may be NULL */
	void (*draw)(struct view *v, int y, int height, int width);
	bool (*key)(struct view *v, enum key_action a); /* true: taken */
	bool (*raw)(struct view *v, int key, bool is_code); /* before actions are looked up; may be NULL */
	bool (*can)(struct view *v, enum key_action a);	    /* is the key valid now? NULL: all of actions are */
	const enum key_action *actions;			    /* 0-terminated, most useful first: the footer shows six */
	void (*close)(struct view *v);			    /* frees the view */
};

struct view {
	const struct view_ops *ops;
	struct app *app;
	uint64_t serial;
};

/* Most screens have these; a screen's own key for itself does nothing. */
#define KEYS_MOVES K_DOWN, K_PAGE_DOWN, K_LAST
#define KEYS_SCREENS K_SPOOL, K_TABLES, K_SOURCES, K_DESTINATIONS, K_LOG, K_AUDIT, K_RUNBOOK, K_HOME

bool view_can(struct view *v, enum key_action a);

/* The screens. Text arguments are copied; NULL: all. */
struct view *view_home(void);
struct view *view_tables(void);
struct view *view_spool(const char *source, const char *table, const char *destination);
struct view *view_job(const char *id);
struct view *view_sources(void);
struct view *view_destinations(void);
struct view *view_log(void);
struct view *view_audit(const char *object);
struct view *view_runbook(void);
struct view *view_wizard(struct app *app);
struct view *view_help(const struct view *of);
void wizard_draft_free(struct wizard_draft *d);
const char *wizard_unseen_token(const struct wizard_draft *d); /* the source whose token nobody has seen yet; NULL: none */

/* --- list.c: most screens are a table over an array of JSON objects --- */

enum list_type { LIST_TEXT, LIST_TABLE /* source.table, path is not used */, LIST_STATE, LIST_COUNT, LIST_BYTES, LIST_RATE, LIST_LAG, LIST_AGE, LIST_TIME, LIST_TREND, LIST_DRAIN, LIST_SPARK, LIST_JOINED };

struct list_field {
	const char *path; /* in the object (mj()) */
	enum list_type type;
};

struct list {
	struct table t;
	const struct list_field *fields; /* one a column */
	const char *const *ids;		 /* paths that make the row's identity, NULL-terminated */
	json_t *items;			 /* array, owned */
	int64_t now;			 /* of the daemon, ns */
};

void list_init(struct list *l, const struct table_column *c, const struct list_field *f, unsigned n, const char *const *ids);
void list_take(struct list *l, json_t *items /* array, stolen; NULL: none */, int64_t now);
const json_t *list_item(const struct list *l); /* the selected object, NULL: none */
bool list_key(struct list *l, struct app *app, enum key_action a); /* moves, sorts, filters */
void list_free(struct list *l);
void list_format(const json_t *o, const struct list_field *f, int64_t now, struct buf *out);

/* --- act.c: what can be done to things --- */

struct target {
	enum { T_NONE, T_SOURCE, T_TABLE, T_DESTINATION, T_JOB } kind;
	char source[80], table[300], destination[80], job[24], state[16]; /* state: of a job */
};

void target_of_problem(const json_t *problem, struct target *t); /* from its "object" */
void target_of_table(const json_t *table, struct target *t);
void target_of_job(const json_t *job, struct target *t);
bool target_paused(const struct app *app, const struct target *t); /* the thing itself, not what it belongs to */
/* Can a (pause, resume, replay, discard, try) be done to t now? */
bool act_can(const struct app *app, const struct target *t, enum key_action a);
/* Asks and acts; the prompt is the app's. True: the key was for this. */
bool act_key(struct view *v, const struct target *t, enum key_action a);
/* The stitchctl command that shows t. */
void act_show_command(const struct target *t, struct buf *out);

#endif
