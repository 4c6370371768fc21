/*
 * ctl.c - stitchctl: what the console can see and do, for scripts. It knows no method by itself: words, parameters and help come from methods.def; only what
 * needs more than "call and print" (push, event list --follow, help) has a function of its own.
 *
 * What can go wrong: a script reads our output, so nothing but the answer goes to standard output, and the exit status says in which way it failed.
 */
#include "ctl.h"

#include <langinfo.h>
#include <signal.h>
#include <unistd.h>

#include "cells.h"
#include "i18n.h"
#include "version.h"
#include "xalloc.h"

enum { LOOK, ACT };

const struct ctl_command ctl_commands[] = {
	{.words = "push", .act = true, .spec = "SOURCE --table TABLE [--key KEY...] [--token TOKEN] [--url URL] [--skip N] [--retry-for DURATION]",
		.help = N_("Push JSON lines from standard input through the Import API of this machine"), .own = ctl_push},
	{.words = "help", .spec = "[NOUN] [VERB]", .help = N_("Explain a command"), .own = ctl_help},
	{.method = "event.list", .words = "event list", .spec = "[--follow]", .help = N_("What happened; with --follow also what happens from now on"),
		.own = ctl_events},
#define METHOD(name_, words_, role_, spec_, help_, handler_) {.method = name_, .words = words_, .act = role_ == ACT, .spec = spec_, .help = help_},
#include "methods.def"
#undef METHOD
};
const size_t ctl_commands_len = ARRAY_LEN(ctl_commands);

const char *ctl_param(const struct ctl *c, const char *key)
{
	return json_string_value(json_object_get(c->params, key));
}

static const char *what_next(const struct ctl *c, enum err_code code)
{
	const char *words = c->cmd ? c->cmd->words : "";

	if (code == ERR_TIMEOUT)
		return _("stitchctl status shows what holds it up");
	if (code != ERR_NOT_FOUND)
		return NULL;
	if (strncmp(words, "source", 6) == 0 || strncmp(words, "token", 5) == 0)
		return _("stitchctl source list shows what there is");
	if (strncmp(words, "reject", 6) == 0)
		return _("stitchctl reject list shows what there is");
	if (strncmp(words, "destination", 11) == 0)
		return _("stitchctl destination list shows what there is");
	if (strncmp(words, "table", 5) == 0)
		return _("stitchctl table list shows what there is");
	return strncmp(words, "job", 3) == 0 ? _("stitchctl job list shows what there is") : NULL;
}

int ctl_error(const struct ctl *c, const struct err *e)
{
	struct buf b = BUF_INIT;
	const char *next = c->client ? what_next(c, e->code) : NULL;

	/* it may quote what somebody sent */
	cells_clean(&b, str_c(e->text), false);
	fprintf(stderr, "stitchctl: %s%s%s%s%s\n", c->cmd ? c->cmd->words : "", c->cmd ? ": " : "", buf_cstr(&b), next ? "; " : "", next ? next : "");
	buf_free(&b);
	return CTL_FAILED;
}

int ctl_connect(struct ctl *c, struct err *e)
{
	char *path;

	if (c->client)
		return 0;
	path = rpc_client_path(c->socket);
	c->client = rpc_client_open(path, "stitchctl " STITCH_VERSION, 30 * NSEC_PER_SEC, e);
	free(path);
	return c->client ? 0 : -1;
}

/* --- calls --- */

static int64_t timeout_of(const char *method, json_t *params)
{
	json_t *wait = json_object_get(params, "wait");
	int64_t ns = json_integer_value(wait) * NSEC_PER_SEC;

	if (json_is_string(wait) && str_to_duration(str_c(json_string_value(wait)), &ns))
		ns = 0;
	/* a big state.db takes its time to copy */
	if (strcmp(method, "state.backup") == 0)
		ns = 3600 * NSEC_PER_SEC;
	return CTL_CALL_TIMEOUT + MIN(ns, 86400 * NSEC_PER_SEC);
}

/* The page's array: of items, or of lines. */
static json_t *items_of(json_t *page)
{
	json_t *items = json_object_get(page, "items");

	return json_is_array(items) ? items : json_object_get(page, "lines");
}

static json_t *all_pages(struct ctl *c, const char *method, json_t *params, struct err *e)
{
	json_t *all = json_array(), *asked = json_copy(params), *page, *next;
	char *after = NULL;
	bool more = true;

	while (more) {
		int64_t left = c->limit ? c->limit - (int64_t)json_array_size(all) : 1000;

		json_object_set_new(asked, "limit", json_integer(MIN(left, 1000)));
		page = rpc_client_call(c->client, method, json_incref(asked), CTL_CALL_TIMEOUT, e);
		if (!page)
			break;
		next = json_object_get(page, "next");
		json_array_extend(all, items_of(page));
		more = json_is_string(next) && (!after || strcmp(after, json_string_value(next)) != 0) &&
		       (!c->limit || (int64_t)json_array_size(all) < c->limit);
		free(after);
		after = more ? xstrdup(json_string_value(next)) : NULL;
		if (more)
			json_object_set(asked, "after", next);
		json_decref(page);
	}
	free(after);
	json_decref(asked);
	if (!more)
		return all;
	json_decref(all);
	return NULL;
}

json_t *ctl_call(struct ctl *c, const char *method, json_t *params, struct err *e)
{
	if (c->cmd && c->cmd->method && strcmp(c->cmd->method, method) == 0 && ctl_is_list(c->cmd))
		return all_pages(c, method, params, e);
	return rpc_client_call(c->client, method, json_incref(params), timeout_of(method, params), e);
}

/* --- what an answer means --- */

static void say_check(const struct ctl *c, const json_t *check, const char *what)
{
	struct buf b = BUF_INIT;

	ctl_cell(c, "cause", json_object_get(check, "cause"), &b);
	buf_adds(&b, "; ");
	ctl_cell(c, "fix", json_object_get(check, "fix"), &b);
	while (b.len && (b.data[b.len - 1] == ' ' || b.data[b.len - 1] == ';'))
		buf_truncate(&b, b.len - 1);
	fprintf(stderr, "stitchctl: %s: %s%s\n", c->cmd->words, what, buf_cstr(&b));
	buf_free(&b);
}

static int status_of(const json_t *v)
{
	const char *state = json_string_value(json_object_get(v, "state"));

	return !state || strcmp(state, "ok") == 0 ? CTL_DONE : strcmp(state, "warn") == 0 ? CTL_WARN : CTL_FAILING;
}

static int judge(const struct ctl *c, const json_t *v)
{
	const char *m = c->cmd->method;
	const json_t *check = json_object_get(v, "check");

	if (strcmp(m, "system.status") == 0)
		return status_of(v);
	if (json_is_false(json_object_get(check, "ok")))
		say_check(c, check, _("created, but its check failed: "));
	if (json_is_string(json_object_get(v, "token")) && !c->json && c->tty)
		fprintf(stderr, "%s\n", _("The token is shown this once: keep it."));
	if (str_ends(str_c(m), STR(".check")) && json_is_false(json_object_get(v, "ok"))) {
		say_check(c, v, "");
		return CTL_FAILED;
	}
	return json_integer_value(json_object_get(v, "failed")) > 0 ? CTL_FAILED : CTL_DONE;
}

static int call_and_print(struct ctl *c)
{
	struct err e = ERR_INIT;
	json_t *v = ctl_call(c, c->cmd->method, c->params, &e);
	int rc;

	if (!v)
		return ctl_error(c, &e);
	if (strcmp(c->cmd->method, "system.status") == 0 && !c->json)
		ctl_print_status(c, v);
	else
		ctl_print(c, c->cmd->method, v);
	rc = judge(c, v);
	json_decref(v);
	return rc;
}

static bool works_alone(const struct ctl *c)
{
	/* push with --url and --token needs no daemon's socket */
	return !c->cmd->method;
}

static int run(struct ctl *c)
{
	struct err e = ERR_INIT;

	if (!works_alone(c) && ctl_connect(c, &e)) {
		ctl_error(c, &e);
		return CTL_AWAY;
	}
	return c->cmd->own ? c->cmd->own(c) : call_and_print(c);
}

static int usage_error(struct ctl *c, const struct err *e)
{
	ctl_error(c, e);
	if (c->cmd)
		ctl_usage(stderr, c->cmd);
	return CTL_USAGE;
}

int main(int argc, char **argv)
{
	struct ctl c = {.tty = isatty(1)};
	struct err e = ERR_INIT;
	int rc;

	i18n_setup();
	cells_setup(strcmp(nl_langinfo(CODESET), "UTF-8") != 0);
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && strcmp(argv[1], "completion-words") == 0)
		return ctl_completion_words(&c, argc - 2, argv + 2);
	if (ctl_parse(&c, argc - 1, argv + 1, &e))
		rc = usage_error(&c, &e);
	else if (c.version)
		rc = puts("stitchctl " STITCH_VERSION) < 0 ? CTL_FAILED : CTL_DONE;
	else if (!c.cmd)
		rc = ctl_help(&c);
	else
		rc = c.help ? ctl_help_on(c.cmd) : run(&c);
	rpc_client_free(c.client);
	json_decref(c.params);
	if (fflush(stdout) || ferror(stdout)) {
		if (rc == CTL_DONE)
			rc = CTL_FAILED;
	}
	return rc;
}
