/*
 * control.c - the control socket: accepts, reads lines, checks role and parameters, gives each call to a helper thread and sends what comes back.
 *
 * One loop thread owns the sockets; nothing in it waits. A sampler thread takes the figures each second, for trends and for subscribers. A client that does
 * not read is cut off once too much waits for it; one that asks too much at once is told so.
 */
#include "daemon/control/control.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/control/methods.h"
#include "daemon/core/metrics.h"

#include "file.h"
#include "log.h"
#include "loop.h"
#include "rpc.h"
#include "version.h"
#include "xalloc.h"

#define CLIENTS_MAX 64
#define CALLS_PER_CLIENT 16
#define HELPERS_MAX 128 /* threads of all connections together */
#define OUT_MAX (8u << 20)
#define READ_SIZE (64u << 10)
#define EVENTS_A_SECOND 100

enum { MSG_FINISHED = 1, MSG_STATS };

struct client {
	LIST_ENTRY(client) link;
	struct control *ct;
	uint64_t number;
	int fd;
	struct loop_io *io;
	struct rpc_lines in;
	struct buf out;
	enum control_role role;
	char who[96];
	bool hello, subscribed, events;
	unsigned calls;
};

/* From the sampler: lines for those who subscribed. */
struct news {
	struct msg msg;
	struct buf stats, events;
};

struct control_server {
	struct loop *loop;
	int listener;
	struct loop_io *listen_io, *mail_io;
	struct mailbox *mail; /* finished calls, news */
	LIST_HEAD(, client) clients;
	unsigned n_clients;
	uint64_t made;
	pthread_t loop_thread, sampler_thread;
	bool loop_runs, sampler_runs;
	pthread_mutex_t lock; /* guards helpers */
	pthread_cond_t less;
	unsigned helpers;
	_Atomic unsigned subscribers;
};

/* --- clients (loop thread) --- */

static void client_close(struct client *cl)
{
	struct control_server *sv = cl->ct->server;

	if (cl->subscribed)
		atomic_fetch_sub(&sv->subscribers, 1);
	loop_del(sv->loop, cl->io);
	close(cl->fd);
	LIST_REMOVE(cl, link);
	sv->n_clients--;
	buf_free(&cl->in.in);
	buf_free(&cl->out);
	free(cl);
}

/* -1: the client is gone */
static int client_flush(struct client *cl)
{
	struct err e = ERR_INIT;

	while (cl->out.len) {
		ssize_t n = send(cl->fd, cl->out.data, cl->out.len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0) {
			client_close(cl);
			return -1;
		}
		buf_consume(&cl->out, (size_t)n);
	}
	if (cl->out.len > OUT_MAX) {
		log_warn("%s does not read its answers: cut off", cl->who);
		client_close(cl);
		return -1;
	}
	if (loop_change(cl->ct->server->loop, cl->io, cl->out.len ? LOOP_READ | LOOP_WRITE : LOOP_READ, &e)) {
		client_close(cl);
		return -1;
	}
	return 0;
}

static struct client *client_numbered(struct control_server *sv, uint64_t number)
{
	struct client *cl;

	LIST_FOREACH(cl, &sv->clients, link)
		if (cl->number == number)
			return cl;
	return NULL;
}

static void call_free(struct control_call *c)
{
	json_decref(c->params);
	json_decref(c->id);
	json_decref(c->result);
	free(c);
}

/* --- a call (helper thread) --- */

static void run_call(struct control_call *c)
{
	c->db = control_reader(c->ct, &c->err);
	if (!c->db)
		return;
	c->result = c->method->handler(c, &c->err);
	assert(c->result || c->err.code);
	control_audit_end(c, c->result, c->err.text);
	control_reader_back(c->ct, c->db);
	c->db = NULL;
}

static void *helper(void *arg)
{
	struct control_call *c = arg;
	struct control_server *sv = c->ct->server;

	log_context("control");
	run_call(c);
	mailbox_reply(sv->mail, &c->msg);
	pthread_mutex_lock(&sv->lock);
	sv->helpers--;
	pthread_cond_broadcast(&sv->less);
	pthread_mutex_unlock(&sv->lock);
	return NULL;
}

static int start_thread(pthread_t *th, bool detached, void *(*fn)(void *), void *arg)
{
	pthread_attr_t at;
	sigset_t all, old;
	int rc;

	pthread_attr_init(&at);
	pthread_attr_setstacksize(&at, 512u << 10);
	if (detached)
		pthread_attr_setdetachstate(&at, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(th, &at, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&at);
	return rc;
}

/* --- dispatch (loop thread) --- */

static void answer_error(struct client *cl, json_t *id, int code, const char *name, const char *text)
{
	json_t *data = json_pack("{s:s}", "name", name);

	rpc_error(&cl->out, id, code, text, data);
	json_decref(data);
}

static json_t *hello(struct client *cl)
{
	struct control *ct = cl->ct;
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u", ct->parts.import ? import_port(ct->parts.import) : 0);
	return json_pack("{s:i, s:s, s:o, s:s, s:s}", "protocol", RPC_PROTOCOL, "version", STITCH_VERSION, "name", text_json(ct->config.name), "role",
		cl->role == ACT ? "act" : "look", "import_url", url);
}

/* hello and subscribe belong to the connection itself. */
static bool answer_here(struct client *cl, struct rpc_msg *m)
{
	json_t *result = NULL, *want = json_object_get(m->params, "protocol");

	if (strcmp(m->method, "system.hello") == 0) {
		if (want && json_integer_value(want) != RPC_PROTOCOL) {
			answer_error(cl, m->id, RPC_FAILED, "version", "this daemon speaks protocol 1 only");
			return true;
		}
		cl->hello = true;
		result = hello(cl);
	} else if (cl->hello && strcmp(m->method, "system.subscribe") == 0) {
		if (!cl->subscribed)
			atomic_fetch_add(&cl->ct->server->subscribers, 1);
		cl->subscribed = true;
		cl->events = json_is_true(json_object_get(m->params, "events"));
		result = json_object();
	}
	if (!result)
		return false;
	rpc_result(&cl->out, m->id, result);
	json_decref(result);
	return true;
}

static void give_to_helper(struct client *cl, const struct control_method *method, struct rpc_msg *m)
{
	struct control_server *sv = cl->ct->server;
	struct control_call *c = xcalloc(1, sizeof(*c));
	pthread_t th;
	int rc;

	c->msg.kind = MSG_FINISHED;
	c->msg.bytes = sizeof(*c);
	c->ct = cl->ct;
	c->method = method;
	c->params = m->params ? json_incref(m->params) : json_object();
	c->id = json_incref(m->id);
	c->role = cl->role;
	memcpy(c->who, cl->who, sizeof(c->who));
	c->client = cl->number;
	pthread_mutex_lock(&sv->lock);
	sv->helpers++;
	pthread_mutex_unlock(&sv->lock);
	cl->calls++;
	rc = start_thread(&th, true, helper, c);
	if (!rc)
		return;
	pthread_mutex_lock(&sv->lock);
	sv->helpers--;
	pthread_mutex_unlock(&sv->lock);
	err_errno(&c->err, rc, "no thread for %s", method->name);
	mailbox_reply(sv->mail, &c->msg);
}

static unsigned helpers_now(struct control_server *sv)
{
	unsigned n;

	pthread_mutex_lock(&sv->lock);
	n = sv->helpers;
	pthread_mutex_unlock(&sv->lock);
	return n;
}

static void dispatch(struct client *cl, struct rpc_msg *m)
{
	const struct control_method *method;
	struct err e = ERR_INIT;

	if (!m->method || !m->id)
		return; /* an answer or a notification: nothing that we asked for */
	method = control_method_find(m->method);
	if (!method) {
		answer_error(cl, m->id, RPC_NO_METHOD, "invalid", "there is no such method (see system.methods)");
		return;
	}
	if (!cl->hello && strcmp(m->method, "system.hello") != 0) {
		answer_error(cl, m->id, RPC_INVALID, "state", "say system.hello first");
		return;
	}
	if (method->role == ACT && cl->role != ACT) {
		answer_error(cl, m->id, RPC_DENIED, "denied", "this acts: only the daemon's own user and root may; members of the socket's group may look");
		return;
	}
	if (m->params && !json_is_object(m->params))
		err_set(&e, ERR_INVALID, "params must be an object");
	else if (m->params && control_check_params(method, m->params, &e))
		assert(e.code);
	else if (!m->params && strcspn(method->spec, "[") && control_check_params(method, m->params, &e))
		assert(e.code);
	if (e.code) {
		answer_error(cl, m->id, RPC_BAD_PARAMS, err_name(e.code), e.text);
		return;
	}
	if (answer_here(cl, m))
		return;
	if (cl->calls >= CALLS_PER_CLIENT) {
		answer_error(cl, m->id, RPC_FAILED, "full", "too many calls at once on this connection");
		return;
	}
	if (helpers_now(cl->ct->server) >= HELPERS_MAX) {
		answer_error(cl, m->id, RPC_FAILED, "full", "too many calls at once: try again when some have ended");
		return;
	}
	give_to_helper(cl, method, m);
}

static void take_line(struct client *cl, struct str line)
{
	struct rpc_msg m = {NULL};
	struct err e = ERR_INIT;
	json_t *null;

	if (rpc_parse(line, &m, &e)) {
		null = json_null();
		answer_error(cl, null, RPC_PARSE, "invalid", e.text);
		json_decref(null);
		return;
	}
	dispatch(cl, &m);
	rpc_msg_free(&m);
}

static void on_client(struct loop *loop, int fd, unsigned events, void *arg)
{
	struct client *cl = arg;
	struct err e = ERR_INIT;
	struct str line;
	ssize_t n;
	int rc;

	(void)loop;
	if ((events & LOOP_WRITE) && client_flush(cl))
		return;
	if (!(events & (LOOP_READ | LOOP_HUP)))
		return;
	buf_reserve(&cl->in.in, READ_SIZE);
	n = recv(fd, cl->in.in.data + cl->in.in.len, READ_SIZE, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n <= 0) {
		client_close(cl);
		return;
	}
	cl->in.in.len += (size_t)n;
	cl->in.in.data[cl->in.in.len] = '\0';
	while ((rc = rpc_lines_next(&cl->in, &line, &e)) > 0)
		take_line(cl, line);
	if (rc < 0) {
		log_warn("%s: %s", cl->who, e.text);
		client_close(cl);
		return;
	}
	if (cl->out.len && client_flush(cl))
		return;
}

static void name_peer(struct client *cl)
{
	struct ucred cred = {.uid = (uid_t)-1};
	socklen_t len = sizeof(cred);
	char room[1024];
	struct passwd pw, *found = NULL;

	if (getsockopt(cl->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		cred.uid = (uid_t)-1;
	cl->role = cred.uid == 0 || cred.uid == geteuid() ? ACT : LOOK;
	if (getpwuid_r(cred.uid, &pw, room, sizeof(room), &found) || !found)
		snprintf(cl->who, sizeof(cl->who), "uid %ld", (long)cred.uid);
	else
		snprintf(cl->who, sizeof(cl->who), "%.60s (uid %ld)", pw.pw_name, (long)cred.uid);
}

static void listen_again(struct loop *loop, void *arg)
{
	struct control *ct = arg;
	struct err e = ERR_INIT;

	if (loop_change(loop, ct->server->listen_io, LOOP_READ, &e))
		log_err("control socket: %s", e.text);
}

static void on_listener(struct loop *loop, int fd, unsigned events, void *arg)
{
	struct control *ct = arg;
	struct control_server *sv = ct->server;
	struct err e = ERR_INIT;
	struct client *cl;
	int s = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (s < 0) {
		/* out of descriptors: the one who waits would wake us without end */
		if ((errno == EMFILE || errno == ENFILE) && !loop_change(loop, sv->listen_io, 0, &e))
			loop_timer(loop, now_get().mono + NSEC_PER_SEC, listen_again, ct);
		return;
	}
	if (sv->n_clients >= CLIENTS_MAX) {
		log_warn("more than %d connections to the control socket: refused", CLIENTS_MAX);
		close(s);
		return;
	}
	cl = xcalloc(1, sizeof(*cl));
	cl->ct = ct;
	cl->fd = s;
	cl->number = ++sv->made;
	cl->in.max = RPC_LINE_MAX;
	name_peer(cl);
	cl->io = loop_add(loop, s, LOOP_READ, on_client, cl, &e);
	if (!cl->io) {
		log_err("control socket: %s", e.text);
		close(s);
		free(cl);
		return;
	}
	LIST_INSERT_HEAD(&sv->clients, cl, link);
	sv->n_clients++;
}

static void finished(struct control_server *sv, struct control_call *c)
{
	struct client *cl = client_numbered(sv, c->client);

	if (cl) {
		size_t at = cl->out.len;

		cl->calls--;
		if (c->result)
			rpc_result(&cl->out, c->id, c->result);
		else
			rpc_error_of(&cl->out, c->id, &c->err);
		if (cl->out.len - at > RPC_LINE_MAX) {
			buf_truncate(&cl->out, at);
			answer_error(cl, c->id, RPC_FAILED, "full", "the answer is longer than a line may be: ask for less (limit)");
		}
		/* gone or not, there is nothing more to do for it */
		if (client_flush(cl))
			log_debug("a client left before its answer");
	}
	call_free(c);
}

static void broadcast(struct control_server *sv, struct news *n)
{
	struct client *cl, *next;

	for (cl = LIST_FIRST(&sv->clients); cl; cl = next) {
		next = LIST_NEXT(cl, link);
		if (!cl->subscribed)
			continue;
		/* stats are dropped for one that still has the last ones to read */
		if (cl->out.len < RPC_LINE_MAX)
			buf_addstr(&cl->out, buf_str(&n->stats));
		if (cl->events)
			buf_addstr(&cl->out, buf_str(&n->events));
		if (client_flush(cl))
			continue;
	}
	buf_free(&n->stats);
	buf_free(&n->events);
	free(n);
}

static void on_mail(struct loop *loop, int fd, unsigned events, void *arg)
{
	struct control *ct = arg;
	struct msg *m, *next;

	(void)loop;
	(void)fd;
	(void)events;
	for (m = mailbox_take(ct->server->mail, SIZE_MAX, SIZE_MAX); m; m = next) {
		next = m->next;
		if (m->kind == MSG_FINISHED)
			finished(ct->server, container_of(m, struct control_call, msg));
		else
			broadcast(ct->server, container_of(m, struct news, msg));
	}
}

static void *serve(void *arg)
{
	struct control *ct = arg;

	log_context("control");
	while (!atomic_load(&ct->stopping))
		loop_once(ct->server->loop, NEVER);
	return NULL;
}

/* --- the sampler (its own thread) --- */

static int64_t newest_event(struct db *db)
{
	struct event_row *rows;
	int64_t id = 0;
	size_t n;

	if (db_event_list(db, 0, 1, true, &rows, &n, NULL))
		return 0;
	if (n)
		id = rows[0].id;
	event_list_free(rows, n);
	return id;
}

json_t *event_json(const struct event_row *r)
{
	return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o}", "id", (json_int_t)r->id, "at_ns", time_ns_json(r->at), "level", text_json(r->level), "kind",
		text_json(r->kind), "object", text_json(r->object), "text", text_json(r->text));
}

static void add_events(struct db *db, int64_t *last, struct buf *out)
{
	struct event_row *rows;
	size_t n;

	if (db_event_list(db, *last, EVENTS_A_SECOND, false, &rows, &n, NULL))
		return;
	for (size_t k = 0; k < n; k++) {
		json_t *v = event_json(&rows[k]);

		rpc_notification(out, "event", v);
		json_decref(v);
		*last = MAX(*last, rows[k].id);
	}
	event_list_free(rows, n);
}

static void sample(struct control *ct, struct db *db, int64_t *last_event)
{
	struct control_server *sv = ct->server;
	uint64_t disk_free, disk_total;
	struct snapshot s;
	struct news *n;
	json_t *v;

	if (snapshot_take(ct, db, false, &s, NULL))
		return;
	snap_remember(ct->history, &s, now_get());
	if (!file_disk_free(ct->config.state_dir, &disk_free, &disk_total, NULL))
		metric_set(disk_free_bytes, (int64_t)disk_free);
	if (atomic_load(&sv->subscribers)) {
		v = status_json(ct, db, &s, NULL);
		n = xcalloc(1, sizeof(*n));
		n->msg.kind = MSG_STATS;
		if (v)
			rpc_notification(&n->stats, "stats", v);
		json_decref(v);
		add_events(db, last_event, &n->events);
		mailbox_reply(sv->mail, &n->msg);
	} else {
		*last_event = newest_event(db);
	}
	snapshot_free(&s);
}

struct door_arg {
	bool shut;
	const char *why;
};

static int run_door(struct db *db, void *arg, struct err *e)
{
	const struct door_arg *a = arg;
	char text[700];
	struct event_row ev = {.at = now_get().real, .text = text};

	ev.level = (char *)(uintptr_t)(a->shut ? "error" : "info");
	ev.kind = (char *)(uintptr_t)(a->shut ? "door-shut" : "door-open");
	ev.object = (char *)(uintptr_t)"import";
	snprintf(text, sizeof(text), a->shut ? "records are refused with 503: %.500s" : "records are taken again%.0s", a->why);
	return db_event_add(db, &ev, e);
}

/* A full disk leaves room for this (state.db has blocks of its own); where it does not, the log has it. */
static void watch_door(struct control *ct, bool *was_shut)
{
	struct err why = ERR_INIT, e = ERR_INIT;
	struct door_arg a = {.shut = ct->parts.import && import_shut(ct->parts.import, &why), .why = why.text};

	if (a.shut == *was_shut || atomic_load(&ct->stopping))
		return;
	*was_shut = a.shut;
	log_warn("the door is %s%s", a.shut ? "shut: " : "open again", a.shut ? why.text : "");
	if (state_call(ct->parts.state, run_door, &a, &e))
		log_warn("that the door is %s could not be written as an event: %s", a.shut ? "shut" : "open", e.text);
}

static void *sampler(void *arg)
{
	struct control *ct = arg;
	struct err e = ERR_INIT;
	struct db *db = state_reader(ct->parts.state, &e);
	int64_t last_event, began, took;
	bool shut = false;

	log_context("control");
	if (!db) {
		log_err("no figures can be taken: %s", e.text);
		return NULL;
	}
	last_event = newest_event(db);
	while (!atomic_load(&ct->stopping)) {
		began = now_get().mono;
		sample(ct, db, &last_event);
		watch_door(ct, &shut);
		took = now_get().mono - began;
		/* never more than a twentieth of a core for it */
		control_wait(ct, MAX(NSEC_PER_SEC - took, took * 19));
	}
	state_reader_close(db);
	return NULL;
}

/* --- start and stop --- */

static int bind_socket(const char *path, struct err *e)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int s, rc;

	if (str_copy(sa.sun_path, sizeof(sa.sun_path), str_c(path)))
		return err_set(e, ERR_INVALID, "control socket %s: the path is longer than %zu bytes", path, sizeof(sa.sun_path) - 1);
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s < 0)
		return err_errno(e, errno, "control socket");
	/* one that a dead daemon left behind is in the way; one that answers is another daemon's */
	rc = connect(s, (struct sockaddr *)&sa, sizeof(sa));
	if (!rc) {
		close(s);
		return err_set(e, ERR_STATE, "control socket %s: another stitchd listens there", path);
	}
	if (errno == ECONNREFUSED && unlink(path))
		log_warn("%s: %s", path, errno_text(errno));
	/* nobody can connect before listen(), so the mode is right in time */
	if (bind(s, (struct sockaddr *)&sa, sizeof(sa)) || chmod(path, 0660) || listen(s, 64)) {
		err_errno(e, errno, "control socket %s", path);
		close(s);
		return -1;
	}
	return s;
}

struct control *control_new(const struct control_config *c, const struct control_parts *p, struct err *e)
{
	struct control *ct = xcalloc(1, sizeof(*ct));
	struct control_server *sv = xcalloc(1, sizeof(*sv));
	struct now now = now_get();
	pthread_condattr_t monotonic;

	ct->config = *c;
	ct->config.socket = xstrdup(c->socket);
	ct->config.name = xstrdup(c->name && *c->name ? c->name : "stitch");
	ct->config.state_dir = xstrdup(c->state_dir);
	ct->config.run_id = xstrdup(c->run_id ? c->run_id : "");
	ct->parts = *p;
	ct->started_real = now.real;
	ct->started_mono = now.mono;
	ct->history = snap_history_new();
	ct->server = sv;
	pthread_mutex_init(&ct->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&ct->stop, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_init(&sv->lock, NULL);
	pthread_cond_init(&sv->less, NULL);
	LIST_INIT(&sv->clients);
	sv->mail = mailbox_new(SIZE_MAX, SIZE_MAX);
	sv->listener = bind_socket(c->socket, e);
	sv->loop = sv->listener >= 0 ? loop_new(e) : NULL;
	if (sv->loop)
		sv->listen_io = loop_add(sv->loop, sv->listener, LOOP_READ, on_listener, ct, e);
	if (sv->listen_io)
		sv->mail_io = loop_add(sv->loop, mailbox_fd(sv->mail), LOOP_READ, on_mail, ct, e);
	if (!sv->mail_io) {
		control_free(ct);
		return NULL;
	}
	return ct;
}

int control_start(struct control *ct, struct err *e)
{
	struct control_server *sv = ct->server;
	int rc = start_thread(&sv->loop_thread, false, serve, ct);

	if (rc)
		return err_errno(e, rc, "thread of the control socket");
	sv->loop_runs = true;
	rc = start_thread(&sv->sampler_thread, false, sampler, ct);
	if (rc)
		return err_errno(e, rc, "thread of the figures");
	sv->sampler_runs = true;
	return 0;
}

void control_stop(struct control *ct)
{
	struct control_server *sv = ct->server;

	pthread_mutex_lock(&ct->lock);
	atomic_store(&ct->stopping, true);
	pthread_cond_broadcast(&ct->stop);
	pthread_mutex_unlock(&ct->lock);
	runner_cancel_asks(ct->parts.runner);
	loop_wake(sv->loop);
	if (sv->loop_runs)
		pthread_join(sv->loop_thread, NULL);
	sv->loop_runs = false;
	pthread_mutex_lock(&sv->lock);
	while (sv->helpers)
		pthread_cond_wait(&sv->less, &sv->lock);
	pthread_mutex_unlock(&sv->lock);
	if (sv->sampler_runs)
		pthread_join(sv->sampler_thread, NULL);
	sv->sampler_runs = false;
	/* what was done is still told to those who asked */
	on_mail(sv->loop, -1, 0, ct);
}

void control_free(struct control *ct)
{
	struct control_server *sv;
	struct client *cl;

	if (!ct)
		return;
	sv = ct->server;
	assert(!sv->loop_runs && !sv->sampler_runs);
	while ((cl = LIST_FIRST(&sv->clients)))
		client_close(cl);
	if (sv->loop) {
		loop_del(sv->loop, sv->listen_io);
		loop_del(sv->loop, sv->mail_io);
		loop_free(sv->loop);
	}
	if (sv->listener >= 0) {
		close(sv->listener);
		unlink(ct->config.socket);
	}
	mailbox_free(sv->mail);
	pthread_mutex_destroy(&sv->lock);
	pthread_cond_destroy(&sv->less);
	free(sv);
	for (unsigned k = 0; k < ct->n_readers; k++)
		state_reader_close(ct->readers[k]);
	pthread_mutex_destroy(&ct->lock);
	pthread_cond_destroy(&ct->stop);
	snap_history_free(ct->history);
	free((char *)(uintptr_t)ct->config.socket);
	free((char *)(uintptr_t)ct->config.name);
	free((char *)(uintptr_t)ct->config.state_dir);
	free((char *)(uintptr_t)ct->config.run_id);
	free(ct);
}
