/*
 * rpc_client.c - calls over the control socket. The socket never blocks; a blocking call is "send, then pump until the answer is there or the
 * deadline is over". Answers are matched by number, so that calls may overlap and notifications come in between.
 *
 * What can go wrong: a call that timed out leaves no trace to be written to when its answer comes late (the caller's frame is gone): its entry is
 * taken off the list, and an answer without an entry is dropped. Once the connection is broken every pending reply gets ERR_IO, once.
 */
#include "rpc_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "xalloc.h"

#define READ_SIZE (64u << 10)

struct pending {
	TAILQ_ENTRY(pending) link;
	int64_t id;
	rpc_client_reply *fn;
	void *arg;
};

struct rpc_client {
	int fd;
	struct rpc_lines in;
	struct buf out;
	int64_t last_id;
	TAILQ_HEAD(, pending) waiting;
	rpc_client_notify *notify;
	void *notify_arg;
	json_t *hello;
	bool gone;
};

static int64_t now_mono(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

char *rpc_client_path(const char *explicit_path)
{
	const char *s = explicit_path && *explicit_path ? explicit_path : getenv("STITCH_SOCKET");
	const char *runtime = getenv("RUNTIME_DIRECTORY");

	if (s && *s)
		return xstrdup(s);
	if (runtime && *runtime)
		return xasprintf("%s/control.sock", runtime);
	/* where the systemd unit has it, else where a daemon without settings has it */
	if (access("/run/stitch/control.sock", F_OK) == 0)
		return xstrdup("/run/stitch/control.sock");
	return xstrdup(LOCALSTATEDIR "/lib/stitch/control.sock");
}

/* --- connect --- */

static int connect_to(const char *path, int64_t timeout_ns, struct err *e)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct timeval tv = {.tv_sec = timeout_ns / NSEC_PER_SEC, .tv_usec = timeout_ns % NSEC_PER_SEC / 1000};
	int fd, errnum;

	if (str_copy(sa.sun_path, sizeof(sa.sun_path), str_c(path)))
		return err_set(e, ERR_INVALID, "the socket's path is longer than %zu bytes: %s", sizeof(sa.sun_path) - 1, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(e, errno, "socket");
	/* connect() waits while the daemon's queue of connections is full: not for ever */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) || fcntl(fd, F_SETFL, O_NONBLOCK)) {
		errnum = errno;
		close(fd);
		if (errnum == ENOENT)
			return err_set(e, ERR_NOT_FOUND, "no stitchd at %s (start it, or name its socket by --socket or STITCH_SOCKET)", path);
		if (errnum == ECONNREFUSED)
			return err_set(e, ERR_IO, "nobody listens at %s: stitchd is not running", path);
		if (errnum == EAGAIN)
			return err_set(e, ERR_TIMEOUT, "stitchd does not answer at %s", path);
		if (errnum == EACCES)
			return err_set(e, ERR_DENIED, "%s may be used by stitchd's user, root and the socket's group only", path);
		return err_errno(e, errnum, "connecting to %s", path);
	}
	return fd;
}

struct rpc_client *rpc_client_open(const char *path, const char *program, int64_t timeout_ns, struct err *e)
{
	struct rpc_client *c;
	json_t *params;
	int fd = connect_to(path, timeout_ns, e);

	if (fd < 0)
		return NULL;
	c = xcalloc(1, sizeof(*c));
	c->fd = fd;
	c->in.max = RPC_LOADER_MAX; /* the daemon keeps to RPC_LINE_MAX; a test's may not */
	TAILQ_INIT(&c->waiting);
	params = json_pack("{s:i, s:s}", "protocol", RPC_PROTOCOL, "program", program);
	c->hello = rpc_client_call(c, "system.hello", params, timeout_ns, e);
	if (!c->hello) {
		err_wrap(e, "%s", path);
		rpc_client_free(c);
		return NULL;
	}
	return c;
}

json_t *rpc_client_hello(struct rpc_client *c)
{
	return c->hello;
}

/* --- what arrives --- */

static void reply(struct pending *p, json_t *result, const struct err *e)
{
	if (p->fn)
		p->fn(result, e, p->arg);
	free(p);
}

static void on_answer(struct rpc_client *c, const struct rpc_msg *m)
{
	struct err e = ERR_INIT;
	struct pending *p;

	if (!json_is_integer(m->id))
		return;
	TAILQ_FOREACH(p, &c->waiting, link)
		if (p->id == json_integer_value(m->id))
			break;
	if (!p)
		return;
	TAILQ_REMOVE(&c->waiting, p, link);
	if (m->error)
		rpc_err_from(m->error, &e);
	reply(p, m->error ? NULL : m->result, &e);
}

static int on_line(struct rpc_client *c, struct str line, struct err *e)
{
	struct rpc_msg m;

	if (rpc_parse(line, &m, e))
		return err_wrap(e, "stitchd's answer");
	if (!m.method)
		on_answer(c, &m);
	else if (!m.id && c->notify)
		c->notify(m.method, m.params, c->notify_arg);
	rpc_msg_free(&m);
	return 0;
}

static int take_lines(struct rpc_client *c, struct err *e)
{
	struct str line;
	int rc;

	while ((rc = rpc_lines_next(&c->in, &line, e)) > 0)
		if (on_line(c, line, e))
			return -1;
	return rc;
}

static int read_some(struct rpc_client *c, struct err *e)
{
	ssize_t n;

	for (;;) {
		buf_reserve(&c->in.in, READ_SIZE);
		n = recv(c->fd, c->in.in.data + c->in.in.len, READ_SIZE, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 0;
		if (n < 0 && errno != ECONNRESET)
			return err_errno(e, errno, "reading from stitchd");
		if (n <= 0)
			return err_set(e, ERR_IO, "stitchd closed the connection (it stopped, or cut us off)");
		c->in.in.len += (size_t)n;
		c->in.in.data[c->in.in.len] = '\0';
		if (take_lines(c, e))
			return -1;
	}
}

static int write_some(struct rpc_client *c, struct err *e)
{
	while (c->out.len) {
		ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 0;
		/* what it said before it closed is still to be read */
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return 0;
		if (n < 0)
			return err_errno(e, errno, "writing to stitchd");
		/* it may have held a secret */
		explicit_bzero(c->out.data, (size_t)n);
		buf_consume(&c->out, (size_t)n);
	}
	return 0;
}

static void end(struct rpc_client *c, const struct err *e)
{
	struct pending *p;

	c->gone = true;
	while ((p = TAILQ_FIRST(&c->waiting))) {
		TAILQ_REMOVE(&c->waiting, p, link);
		reply(p, NULL, e);
	}
}

int rpc_client_pump(struct rpc_client *c, struct err *e)
{
	struct err mine = ERR_INIT;

	if (c->gone)
		return err_set(e, ERR_IO, "the connection to stitchd is gone");
	if (!write_some(c, &mine) && !read_some(c, &mine))
		return 0;
	mine.code = ERR_IO;
	end(c, &mine);
	return err_set(e, ERR_IO, "%s", mine.text);
}

/* --- calls --- */

int rpc_client_send(struct rpc_client *c, const char *method, json_t *params, rpc_client_reply *fn, void *arg, struct err *e)
{
	struct pending *p;

	if (c->gone) {
		json_decref(params);
		return err_set(e, ERR_IO, "the connection to stitchd is gone");
	}
	p = xcalloc(1, sizeof(*p));
	p->id = ++c->last_id;
	p->fn = fn;
	p->arg = arg;
	TAILQ_INSERT_TAIL(&c->waiting, p, link);
	rpc_request(&c->out, p->id, method, params);
	json_decref(params);
	return 0;
}

struct answer {
	bool done;
	json_t *result;
	struct err err;
};

static void on_reply(json_t *result, const struct err *e, void *arg)
{
	struct answer *a = arg;

	a->done = true;
	a->result = json_incref(result);
	if (!result)
		a->err = *e;
}

static void forget(struct rpc_client *c, const struct answer *a)
{
	struct pending *p;

	TAILQ_FOREACH(p, &c->waiting, link)
		if (p->arg == a)
			break;
	if (p) {
		TAILQ_REMOVE(&c->waiting, p, link);
		free(p);
	}
}

static int wait_for(struct rpc_client *c, int64_t deadline, struct err *e)
{
	struct pollfd pfd = {.fd = c->fd, .events = (short)(c->out.len ? POLLIN | POLLOUT : POLLIN)};
	int64_t left = deadline == NEVER ? NSEC_PER_SEC : deadline - now_mono();

	if (left <= 0)
		return err_set(e, ERR_TIMEOUT, "stitchd did not answer in time");
	if (poll(&pfd, 1, (int)(MIN(left, NSEC_PER_SEC) / NSEC_PER_MSEC) + 1) < 0 && errno != EINTR)
		return err_errno(e, errno, "poll");
	return rpc_client_pump(c, e);
}

json_t *rpc_client_call(struct rpc_client *c, const char *method, json_t *params, int64_t timeout_ns, struct err *e)
{
	struct answer a = {.done = false};
	struct err mine = ERR_INIT;
	int64_t deadline = timeout_ns >= NEVER - now_mono() ? NEVER : now_mono() + timeout_ns;

	if (rpc_client_send(c, method, params, on_reply, &a, e))
		return NULL;
	if (!rpc_client_pump(c, &mine))
		while (!a.done && !wait_for(c, deadline, &mine))
			;
	if (!a.done) {
		forget(c, &a);
		err_set(e, mine.code, "%s", mine.text);
		return NULL;
	}
	if (!a.result)
		err_set(e, a.err.code, "%s", a.err.text);
	return a.result;
}

void rpc_client_on_notify(struct rpc_client *c, rpc_client_notify *fn, void *arg)
{
	c->notify = fn;
	c->notify_arg = arg;
}

int rpc_client_fd(struct rpc_client *c)
{
	return c->fd;
}

bool rpc_client_wants_write(struct rpc_client *c)
{
	return c->out.len > 0 && !c->gone;
}

void rpc_client_free(struct rpc_client *c)
{
	struct err e = ERR_INIT;

	if (!c)
		return;
	err_set(&e, ERR_IO, "the connection to stitchd was closed");
	end(c, &e);
	close(c->fd);
	if (c->out.data)
		explicit_bzero(c->out.data, c->out.len);
	buf_free(&c->out);
	buf_free(&c->in.in);
	json_decref(c->hello);
	free(c);
}
