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
static int ask(struct question *q, const char *method, json_t *params, struct rpc_msg *answer, struct err *e)
{
	int64_t id = child_request(&q->c, method, params, NULL, 0);
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

json_t *runner_ask(struct runner *r, const char *kind, const char *name, const char *settings, const char *method, json_t *params, int64_t timeout_ns,
	struct err *e)
{
	struct runner_parts parts = runner_parts(r);
	struct rpc_msg m = {NULL};
	json_t *open_params = loader_open_params(parts.seal, name, settings, e), *empty, *result = NULL;
	struct question q = {.deadline = now_get().mono + timeout_ns, .no_asks = parts.no_asks};
	bool is_check = strcmp(method, "loader.check") == 0;

	if (!open_params)
		return NULL;
	if (child_spawn(&q.c, parts.libexec, kind, parts.memory, e)) {
		json_decref(open_params);
		return NULL;
	}
	empty = json_object();
	if (ask(&q, "loader.open", open_params, &m, e))
		goto out;
	/* a check says by itself what is wrong with the connection */
	if (m.error && !is_check) {
		error_of(m.error, e);
		goto out;
	}
	rpc_msg_free(&m);
	m = (struct rpc_msg){NULL};
	if (ask(&q, method, params ? params : empty, &m, e))
		goto out;
	if (m.error)
		error_of(m.error, e);
	else
		result = json_incref(m.result);
out:
	rpc_msg_free(&m);
	json_decref(open_params);
	json_decref(empty);
	finish(&q.c);
	return result;
}
