/*
 * ctl.h - stitchctl inside: the commands (methods.def and a few of its own), words into parameters, printing. One thread; the process ends with
 * main, so what it holds to the end is freed only where a tool would complain.
 */
#ifndef STITCH_TUI_CTL_H
#define STITCH_TUI_CTL_H

#include "rpc_client.h"

/* Exit statuses that scripts rely on (stitchctl(1)). */
enum { CTL_DONE = 0, CTL_FAILED = 1, CTL_USAGE = 2, CTL_AWAY = 3, CTL_WARN = 10, CTL_FAILING = 20 };

#define CTL_CALL_TIMEOUT (120 * NSEC_PER_SEC)

struct ctl;

struct ctl_command {
	const char *method; /* NULL: stitchctl's own */
	const char *words;  /* what is typed; "" : not for people */
	bool act;	    /* only the daemon's user and root may */
	const char *spec;   /* as in methods.def */
	const char *help;
	int (*own)(struct ctl *c); /* instead of call and print */
};

extern const struct ctl_command ctl_commands[];
extern const size_t ctl_commands_len;

struct ctl {
	bool json, tty, help, version;
	char *socket; /* as given, or NULL */
	int64_t limit; /* of a list's items; 0: all */
	const struct ctl_command *cmd;
	json_t *params; /* by cmd->spec */
	struct rpc_client *client; /* NULL until ctl_connect */
};

/* --- ctl_args.c --- */

/* One group of a spec: "NAME", "[--from TIME]", "--set KEY=VALUE..." */
struct ctl_item {
	struct str name;  /* as written: "SOURCE", "--from" */
	struct str value; /* "TIME"; empty for positionals and flags */
	bool optional, option, repeat;
};
bool ctl_spec_next(struct str *rest, struct ctl_item *out);
void ctl_key_of(const struct ctl_item *it, char key[64]); /* "--no-check" -> "no_check" */
/* argv without the program: global options out of it, command found, params made. -1: usage, e says what is wrong (c->cmd is set once it is known). */
int ctl_parse(struct ctl *c, int argc, char **argv, struct err *e) MUST_CHECK;
/* The command that the words begin with; *n: how many words it took. NULL: none. */
const struct ctl_command *ctl_find(char *const *words, size_t n_words, size_t *n);
bool ctl_is_list(const struct ctl_command *cmd);
/* "@FILE" and "-" read, anything else as it is. what: for errors and the prompt. Caller frees (and wipes, if it is a secret). NULL with e. */
char *ctl_value(const char *text, const char *what, struct err *e) MUST_CHECK;

/* --- ctl.c --- */

/* "stitchctl: WHAT: why" on standard error; returns the exit status for the error. */
int ctl_error(const struct ctl *c, const struct err *e);
int ctl_connect(struct ctl *c, struct err *e) MUST_CHECK;
/* A call; a list's pages are joined into one array. NULL with e. params: borrowed. */
json_t *ctl_call(struct ctl *c, const char *method, json_t *params, struct err *e) MUST_CHECK;
const char *ctl_param(const struct ctl *c, const char *key); /* text or NULL */

/* --- ctl_print.c --- */

void ctl_print_json(const struct ctl *c, const json_t *v);
/* By the method's columns, in the way that suits where it goes. */
void ctl_print(const struct ctl *c, const char *method, json_t *v);
void ctl_print_status(const struct ctl *c, json_t *v);
void ctl_print_event(const struct ctl *c, json_t *v); /* one line */
/* One value as text: times as ISO 8601, arrays joined, objects by their text. bytes and spans are written for people on a terminal only. */
void ctl_cell(const struct ctl *c, const char *key, const json_t *v, struct buf *out);

/* --- ctl_help.c --- */

int ctl_help(struct ctl *c);	 /* stitchctl help [NOUN [VERB]] */
void ctl_usage(FILE *f, const struct ctl_command *cmd); /* one line */
int ctl_help_on(const struct ctl_command *cmd); /* CTL_DONE */
/* The nearest of what can be typed, or NULL. */
const char *ctl_suggest(const char *words);
const char *ctl_suggest_option(const struct ctl_command *cmd, const char *option);
int ctl_completion_words(struct ctl *c, int argc, char **argv);

/* --- ctl_push.c, ctl_event.c --- */

int ctl_push(struct ctl *c);
int ctl_events(struct ctl *c);

#endif
