/*
 * runner_ask.c - one question to a loader of its own: start it, loader.open, the question, end it. It runs in the caller's thread, with a deadline for
 * everything together; the loaders of the runner's thread know nothing of it, so a check never waits for a load.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>

#include "daemon/core/now.h"
#include "daemon/spool/runner_priv.h"

#include "log.h"
#include "xalloc.h"

#define ASKS_MAX 8u

static int late(const struct child *c, struct err *e)
{
	return err_set(e, ERR_TIMEOUT, "%s did not answer in time", c->program);
}

struct question {
	struct child c;
	int64_t deadline;
	_Atomic bool *no_asks;
};

/* In slices, so that a stop does not wait for a server that does not answer. */
static int wait_for(struct question *q, short events, struct err *e)
{
	struct pollfd p = {.fd = q->c.fd, .events = events};

	for (;;) {
		int64_t left = q->deadline - now_get().mono;
		int n;

		if (atomic_load(q->no_asks))
			return err_set(e, ERR_STATE, "stitchd is stopping");
		if (left <= 0)
			return late(&q->c, e);
		n = poll(&p, 1, (int)MIN(left / NSEC_PER_MSEC + 1, 100));
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return err_errno(e, errno, "waiting for %s", q->c.program);
	}
}

static int send_all(struct question *q, struct err *e)
{
	int rc;

	while ((rc = child_write(&q->c, e)) > 0)
		if (wait_for(q, POLLOUT, e))
			return -1;
	return rc;
}

static int next_line(struct question *q, struct str *line, struct err *e)
{
	struct child *c = &q->c;
	int rc;

	while ((rc = rpc_lines_next(&c->in, line, e)) == 0) {
		if (wait_for(q, POLLIN, e))
			return -1;
		rc = child_read(c, e);
		if (rc == CHILD_EOF)
			return err_set(e, ERR_IO, "%s ended without an answer", c->program);
		if (rc < 0)
			return -1;
	}
	return rc < 0 ? -1 : 0;
}

/* The answer to one request; notifications on the way are dropped. */
static int ask(struct question *q, const char *method, json_t *params, int *fds, size_t n_fds, struct rpc_msg *answer, struct err *e)
{
	int64_t id = child_request(&q->c, method, params, fds, n_fds);
	struct str line;

	if (send_all(q, e))
		return -1;
	for (;;) {
		if (next_line(q, &line, e) || rpc_parse(line, answer, e))
			return -1;
		if (!answer->method && json_is_integer(answer->id) && json_integer_value(answer->id) == id)
			return 0;
		rpc_msg_free(answer);
	}
}

static enum err_code code_of(json_t *error)
{
	const char *class = json_string_value(json_object_get(json_object_get(error, "data"), "class"));

	if (class && strcmp(class, "config") == 0)
		return ERR_CONFIG;
	if (class && strcmp(class, "data") == 0)
		return ERR_DATA;
	return ERR_TRANSIENT;
}

static void error_of(json_t *error, struct err *e)
{
	const char *text = json_string_value(json_object_get(error, "message"));

	err_set(e, code_of(error), "%s", text ? text : "the loader gave no reason");
}

static void finish(struct child *c)
{
	char how[64];
	struct pollfd p = {.fd = c->pidfd, .events = POLLIN};

	child_close_fd(c);
	if (poll(&p, 1, 1000) <= 0)
		child_signal(c, SIGKILL);
	if (!child_reap(c, true, how, sizeof(how)))
		log_err("%s (%d) cannot be reaped", c->program, (int)c->pid);
	c->pid = -1;
	child_free(c);
}

/* fds: taken, also on error. */
static json_t *ask_one(const struct runner_parts *parts, const char *kind, const char *name, const char *settings, const char *method, json_t *params, int *fds, size_t n_fds,
	int64_t timeout_ns, struct err *e)
{
	struct rpc_msg m = {NULL};
	json_t *open_params = loader_open_params(parts->seal, name, settings, e), *empty, *result = NULL;
	struct question q = {.deadline = now_get().mono + timeout_ns, .no_asks = parts->no_asks};
	bool is_check = strcmp(method, "loader.check") == 0;

	if (!open_params || child_spawn(&q.c, parts->libexec, kind, parts->memory, e)) {
		json_decref(open_params);
		loader_close_batches(fds, n_fds);
		return NULL;
	}
	empty = json_object();
	if (ask(&q, "loader.open", open_params, NULL, 0, &m, e))
		goto out;
	/* a check says by itself what is wrong with the connection */
	if (m.error && !is_check) {
		error_of(m.error, e);
		goto out;
	}
	rpc_msg_free(&m);
	m = (struct rpc_msg){NULL};
	if (ask(&q, method, params ? params : empty, fds, n_fds, &m, e)) {
		fds = NULL;
		goto out;
	}
	fds = NULL;
	if (m.error)
		error_of(m.error, e);
	else
		result = json_incref(m.result);
out:
	loader_close_batches(fds, n_fds);
	rpc_msg_free(&m);
	json_decref(open_params);
	json_decref(empty);
	finish(&q.c);
	return result;
}

/* Each is a process: who asks very much waits for nobody, and is told so. */
static int enter(const struct runner_parts *parts, struct err *e)
{
	if (atomic_fetch_add(parts->asks, 1) < ASKS_MAX)
		return 0;
	atomic_fetch_sub(parts->asks, 1);
	return err_set(e, ERR_FULL, "%u checks, samples and dry runs are under way: try again when some have ended", ASKS_MAX);
}

json_t *runner_ask(struct runner *r, const char *kind, const char *name, const char *settings, const char *method, json_t *params, int64_t timeout_ns,
	struct err *e)
{
	struct runner_parts parts = runner_parts(r);
	json_t *result;

	if (enter(&parts, e))
		return NULL;
	result = ask_one(&parts, kind, name, settings, method, params, NULL, 0, timeout_ns, e);
	atomic_fetch_sub(parts.asks, 1);
	return result;
}

json_t *runner_dry_run(struct runner *r, const struct destination_row *d, const struct load_row *load, int64_t timeout_ns, struct err *e)
{
	struct runner_parts parts = runner_parts(r);
	char **paths = xcalloc(load->n + 1, sizeof(*paths));
	json_t *params, *result = NULL;
	int *fds = NULL;
	size_t failed;

	for (size_t k = 0; k < load->n; k++)
		paths[k] = load->batches[k].batch.path;
	params = loader_load_params(load, e);
	if (params && !enter(&parts, e)) {
		json_object_set_new(params, "dry_run", json_true());
		if (loader_open_batches(parts.store, paths, load->n, &fds, &failed, e) == 0)
			result = ask_one(&parts, d->kind, d->name, d->settings, "load.start", params, fds, load->n, timeout_ns, e);
		atomic_fetch_sub(parts.asks, 1);
	}
	json_decref(params);
	free(paths);
	return result;
}
