/*
 * runner.c - the real loader port: one thread that owns all loader processes. Commands of the spool come through a mailbox, loaders talk on
 * their sockets, deaths come through pidfds, and a tick each second (only while there are loaders) looks at heartbeats.
 *
 * A loader serves one (destination, slot) and is used again, load after load; it is ended when it has been idle for a minute or its settings have
 * changed. Each command that gives work is answered by exactly one event: when the process is reaped with work in hand, that is GONE. What it
 * had sent before it died is read first, so that an answer is not lost with it.
 */
#include "daemon/spool/runner.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "daemon/core/metrics.h"
#include "daemon/spool/runner_priv.h"

#include "log.h"
#include "loop.h"
#include "xalloc.h"

#define TICK NSEC_PER_SEC
#define IDLE_MAX (60 * NSEC_PER_SEC)
#define TERM_AFTER (2 * NSEC_PER_SEC) /* after its fd 3 was closed */
#define KILL_AFTER (5 * NSEC_PER_SEC)

enum command_kind { CMD_START = 1, CMD_DISCARD, CMD_REJECTS_STORED, CMD_STOP };

struct command {
	struct msg msg;
	int64_t destination_id, load_id, job_id;
	unsigned slot;
	char *kind, *name, *settings;
	uint32_t attempt;
	json_t *params;
	char **paths;
	char (*ids)[BATCH_ID_LEN];
	size_t n;
	struct err err;
};

enum loader_state { L_OPENING, L_IDLE, L_BUSY, L_ENDING };

struct loader {
	LIST_ENTRY(loader) link;
	struct runner *r;
	struct child c;
	struct loop_io *io, *pid_io;
	enum loader_state state;
	bool opened, worked;
	bool orphan; /* no longer found by (destination, slot) */
	int64_t destination_id;
	unsigned slot;
	char *kind, *name, *settings;
	struct command *work;
	int64_t waiting; /* id of the request that is under way */
	json_t *reject_id;
	int64_t heard, idle_since, ending_since;
	int ended_by;
	char why[600];
};

struct runner {
	struct runner_config config;
	char *libexec;
	struct store *store;
	const struct seal *seal;
	struct mailbox *spool, *commands;
	struct loop *loop;
	struct loop_io *commands_io;
	bool ticking;
	LIST_HEAD(, loader) loaders;
	pthread_t thread;
	bool running;
	_Atomic bool stopping;
	_Atomic int64_t stop_deadline;
	_Atomic unsigned count;
	_Atomic bool no_asks;
	_Atomic unsigned asks;
};

static void command_free(struct command *c)
{
	if (!c)
		return;
	free(c->kind);
	free(c->name);
	free(c->settings);
	json_decref(c->params);
	for (size_t k = 0; k < c->n; k++)
		free(c->paths[k]);
	free(c->paths);
	free(c->ids);
	free(c);
}

/* Cut if it is too long: these are texts for people. */
static void say(char *out, size_t size, const char *fmt, ...) PRINTF(3, 4);
static void say(char *out, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(out, size, fmt, ap);
	va_end(ap);
}

static void tell(struct runner *r, struct spool_event *ev)
{
	mailbox_reply(r->spool, &ev->msg);
}

static struct spool_event *event_for(const struct command *c, int kind)
{
	return loader_event(kind, c->destination_id, c->slot, c->load_id, c->job_id);
}

static void fail(struct runner *r, const struct command *c, const char *class, bool at_open, const char *text)
{
	struct spool_event *ev = event_for(c, SPOOL_EV_FAILED);

	snprintf(ev->class, sizeof(ev->class), "%s", class);
	snprintf(ev->text, sizeof(ev->text), "%s", text);
	ev->at_open = at_open;
	tell(r, ev);
}

/* --- one loader --- */

static void finish_work(struct loader *l)
{
	command_free(l->work);
	l->work = NULL;
	l->idle_since = now_get().mono;
	if (l->state != L_ENDING)
		l->state = L_IDLE;
}

/* End of file on fd 3 tells it to exit; the tick sees to it that it does. */
static void end(struct loader *l)
{
	if (l->state == L_ENDING)
		return;
	l->state = L_ENDING;
	l->ending_since = now_get().mono;
	loop_del(l->r->loop, l->io);
	l->io = NULL;
	child_close_fd(&l->c);
}

static void kill_loader(struct loader *l, const char *why)
{
	log_warn("%s of %s: %s", l->c.program, l->name, why);
	if (!l->why[0])
		say(l->why, sizeof(l->why), "%s", why);
	child_signal(&l->c, SIGKILL);
	l->ended_by = SIGKILL;
	end(l);
}

static void flush_out(struct loader *l)
{
	struct err e = ERR_INIT;
	int rc;

	if (l->c.fd < 0)
		return;
	rc = child_write(&l->c, &e);
	if (rc < 0 || (l->io && loop_change(l->r->loop, l->io, rc ? LOOP_READ | LOOP_WRITE : LOOP_READ, &e))) {
		/* it is dying: what it still said is read when it is reaped */
		log_debug("%s", e.text);
	}
}

static void send_work(struct loader *l)
{
	struct command *w = l->work;
	struct err e = ERR_INIT;
	struct spool_event *ev;
	int *fds = NULL;
	size_t failed = 0;
	bool load = w->msg.kind == CMD_START;

	if (load && loader_open_batches(l->r->store, w->paths, w->n, &fds, &failed, &e)) {
		ev = event_for(w, SPOOL_EV_FAILED);
		snprintf(ev->class, sizeof(ev->class), "%s", e.code == ERR_NOT_FOUND || e.code == ERR_CORRUPT ? "corrupt" : "transient");
		say(ev->text, sizeof(ev->text), "batch %s: %s", w->ids[failed], e.text);
		memcpy(ev->batch, w->ids[failed], BATCH_ID_LEN);
		tell(l->r, ev);
		finish_work(l);
		return;
	}
	l->state = L_BUSY;
	l->heard = now_get().mono;
	l->waiting = child_request(&l->c, load ? "load.start" : "load.discard", w->params, fds, load ? w->n : 0);
	flush_out(l);
}

static void send_open(struct loader *l)
{
	struct err e = ERR_INIT;
	json_t *params = loader_open_params(l->r->seal, l->name, l->settings, &e);

	if (!params) {
		fail(l->r, l->work, "config", true, e.text);
		finish_work(l);
		return;
	}
	l->state = L_OPENING;
	l->heard = now_get().mono;
	l->waiting = child_request(&l->c, "loader.open", params, NULL, 0);
	json_decref(params);
	flush_out(l);
}

static void answer_opening(struct loader *l, struct rpc_msg *m)
{
	struct spool_event *ev;

	if (m->result) {
		l->opened = true;
		send_work(l);
		return;
	}
	ev = event_for(l->work, SPOOL_EV_FAILED);
	loader_event_error(ev, m->error);
	ev->at_open = true;
	tell(l->r, ev);
	finish_work(l);
}

static void answer_work(struct loader *l, struct rpc_msg *m)
{
	struct command *w = l->work;
	bool load = w->msg.kind == CMD_START;
	struct spool_event *ev = event_for(w, m->error ? SPOOL_EV_FAILED : load ? SPOOL_EV_DONE : SPOOL_EV_DISCARDED);
	struct err e = ERR_INIT;

	if (m->error) {
		loader_event_error(ev, m->error);
	} else if (load ? loader_event_done(ev, m->result, &e) : loader_event_discarded(ev, m->result, &e)) {
		spool_event_free(ev);
		kill_loader(l, e.text);
		return;
	}
	if (!m->error)
		l->worked = true;
	tell(l->r, ev);
	finish_work(l);
}

static void on_reject(struct loader *l, struct rpc_msg *m)
{
	struct spool_event *ev;
	struct err e = ERR_INIT;

	if (l->state != L_BUSY || l->work->msg.kind != CMD_START || l->reject_id || !m->id) {
		kill_loader(l, "sent load.reject out of turn");
		return;
	}
	ev = event_for(l->work, SPOOL_EV_REJECT);
	if (loader_event_reject(ev, m->params, l->work->attempt, &e)) {
		spool_event_free(ev);
		kill_loader(l, e.text);
		return;
	}
	l->reject_id = json_incref(m->id);
	tell(l->r, ev);
}

static void on_progress(struct loader *l, json_t *params)
{
	json_t *rows = json_object_get(params, "rows"), *bytes = json_object_get(params, "bytes");
	struct spool_event *ev;

	if (l->state != L_BUSY)
		return;
	ev = event_for(l->work, SPOOL_EV_PROGRESS);
	ev->rows = (uint64_t)MAX(json_integer_value(rows), 0);
	ev->bytes = (uint64_t)MAX(json_integer_value(bytes), 0);
	/* the only event that may be dropped */
	if (mailbox_put(l->r->spool, &ev->msg))
		spool_event_free(ev);
}

static void on_line(struct loader *l, struct str line)
{
	struct rpc_msg m = {NULL};
	struct err e = ERR_INIT;

	if (rpc_parse(line, &m, &e)) {
		kill_loader(l, e.text);
		return;
	}
	l->heard = now_get().mono;
	if (m.method && strcmp(m.method, "load.progress") == 0)
		on_progress(l, m.params);
	else if (m.method && strcmp(m.method, "load.reject") == 0)
		on_reject(l, &m);
	else if (m.method)
		kill_loader(l, "called a method that the daemon does not have");
	else if (!l->work || !json_is_integer(m.id) || json_integer_value(m.id) != l->waiting)
		kill_loader(l, "answered what it was not asked");
	else if (l->state == L_OPENING)
		answer_opening(l, &m);
	else if (l->state == L_BUSY)
		answer_work(l, &m);
	rpc_msg_free(&m);
}

static void take_lines(struct loader *l)
{
	struct err e = ERR_INIT;
	struct str line;
	int rc = 0;

	while (l->state != L_ENDING && (rc = rpc_lines_next(&l->c.in, &line, &e)) > 0)
		on_line(l, line);
	if (rc < 0)
		kill_loader(l, e.text);
}

static void on_io(struct loop *loop, int fd, unsigned events, void *arg)
{
	struct loader *l = arg;
	struct err e = ERR_INIT;
	int rc;

	(void)loop;
	(void)fd;
	if (events & LOOP_WRITE)
		flush_out(l);
	if (!(events & (LOOP_READ | LOOP_HUP)) || l->state == L_ENDING)
		return;
	rc = child_read(&l->c, &e);
	if (rc == CHILD_DATA) {
		take_lines(l);
	} else if (rc == CHILD_EOF || rc < 0) {
		if (!l->why[0])
			say(l->why, sizeof(l->why), "%s", rc < 0 ? e.text : "closed its end of fd 3");
		end(l);
	}
}

static void loader_free(struct loader *l)
{
	LIST_REMOVE(l, link);
	atomic_fetch_sub(&l->r->count, 1);
	metric_set(loaders_running, atomic_load(&l->r->count));
	loop_del(l->r->loop, l->io);
	loop_del(l->r->loop, l->pid_io);
	child_free(&l->c);
	command_free(l->work);
	json_decref(l->reject_id);
	free(l->kind);
	free(l->name);
	free(l->settings);
	free(l);
}

static void on_death(struct loop *loop, int fd, unsigned events, void *arg)
{
	struct loader *l = arg;
	struct spool_event *ev;
	char how[64] = "";
	struct err e = ERR_INIT;

	(void)loop;
	(void)fd;
	(void)events;
	while (l->state != L_ENDING && child_read(&l->c, &e) == CHILD_DATA)
		take_lines(l);
	if (!child_reap(&l->c, false, how, sizeof(how)))
		return;
	if (l->work) {
		ev = event_for(l->work, SPOOL_EV_GONE);
		snprintf(ev->class, sizeof(ev->class), "transient");
		say(ev->text, sizeof(ev->text), "%s ended %s: %s%s%s", l->c.program, l->opened ? "during a load" : "before it was connected", how,
			l->why[0] ? ", " : "", l->why);
		ev->fresh = !l->worked;
		log_warn("%s: %s", l->name, ev->text);
		tell(l->r, ev);
	} else {
		log_debug("%s of %s ended: %s", l->c.program, l->name, how);
	}
	loader_free(l);
}

/* --- commands --- */

static struct loader *find(struct runner *r, int64_t destination_id, unsigned slot)
{
	struct loader *l;

	LIST_FOREACH(l, &r->loaders, link)
		if (!l->orphan && l->destination_id == destination_id && l->slot == slot)
			return l;
	return NULL;
}

static void on_tick(struct loop *loop, void *arg);

static struct loader *loader_new(struct runner *r, struct command *c, struct err *e)
{
	struct loader *l = xcalloc(1, sizeof(*l));

	l->r = r;
	if (child_spawn(&l->c, r->libexec, c->kind, r->config.child_memory, e)) {
		free(l);
		return NULL;
	}
	l->destination_id = c->destination_id;
	l->slot = c->slot;
	l->kind = xstrdup(c->kind);
	l->name = xstrdup(c->name);
	l->settings = xstrdup(c->settings);
	l->state = L_IDLE;
	LIST_INSERT_HEAD(&r->loaders, l, link);
	atomic_fetch_add(&r->count, 1);
	metric_set(loaders_running, atomic_load(&r->count));
	l->io = loop_add(r->loop, l->c.fd, LOOP_READ, on_io, l, e);
	l->pid_io = loop_add(r->loop, l->c.pidfd, LOOP_READ, on_death, l, e);
	if (!l->io || !l->pid_io) {
		char how[64];

		child_signal(&l->c, SIGKILL);
		if (child_reap(&l->c, true, how, sizeof(how)))
			loader_free(l);
		return NULL;
	}
	if (!r->ticking) {
		r->ticking = true;
		loop_timer(r->loop, now_get().mono + TICK, on_tick, r);
	}
	return l;
}

/* Takes c. */
static void give_work(struct runner *r, struct command *c)
{
	struct loader *l = find(r, c->destination_id, c->slot);
	struct err e = ERR_INIT;

	if (c->err.code || atomic_load(&r->stopping)) {
		fail(r, c, "transient", false, c->err.code ? c->err.text : "stitchd is stopping");
		command_free(c);
		return;
	}
	if (l && (l->state != L_IDLE || strcmp(l->settings, c->settings) != 0 || strcmp(l->kind, c->kind) != 0 || strcmp(l->name, c->name) != 0)) {
		l->orphan = true;
		end(l);
		l = NULL;
	}
	if (!l)
		l = loader_new(r, c, &e);
	if (!l) {
		fail(r, c, e.code == ERR_CONFIG ? "config" : "transient", true, e.text);
		command_free(c);
		return;
	}
	l->work = c;
	if (l->opened)
		send_work(l);
	else
		send_open(l);
}

static void rejects_are_stored(struct runner *r, struct command *c)
{
	struct loader *l = find(r, c->destination_id, c->slot);
	struct buf line = BUF_INIT;
	json_t *empty;

	if (!l || l->state != L_BUSY || !l->reject_id || l->work->load_id != c->load_id)
		return;
	empty = json_object();
	if (c->err.code)
		rpc_error_of(&line, l->reject_id, &c->err);
	else
		rpc_result(&line, l->reject_id, empty);
	json_decref(empty);
	json_decref(l->reject_id);
	l->reject_id = NULL;
	l->heard = now_get().mono;
	child_line(&l->c, &line);
	flush_out(l);
}

static void stop_idle(struct runner *r, int64_t destination_id)
{
	struct loader *l;

	LIST_FOREACH(l, &r->loaders, link)
		if (l->destination_id == destination_id && l->state == L_IDLE)
			end(l);
	/* a busy one is ended when its next work comes with other settings, or when it has been idle long enough */
}

static void on_commands(struct loop *loop, int fd, unsigned events, void *arg)
{
	struct runner *r = arg;
	struct msg *m, *next;

	(void)loop;
	(void)fd;
	(void)events;
	for (m = mailbox_take(r->commands, SIZE_MAX, SIZE_MAX); m; m = next) {
		struct command *c = container_of(m, struct command, msg);

		next = m->next;
		if (m->kind == CMD_START || m->kind == CMD_DISCARD) {
			give_work(r, c);
			continue;
		}
		if (m->kind == CMD_REJECTS_STORED)
			rejects_are_stored(r, c);
		else
			stop_idle(r, c->destination_id);
		command_free(c);
	}
}

/* --- time --- */

static void look_at(struct loader *l, int64_t now)
{
	const struct runner_config *c = &l->r->config;
	char why[100];

	if (l->state == L_OPENING && now - l->heard > c->open_timeout) {
		snprintf(why, sizeof(why), "did not connect within %" PRId64 " s", c->open_timeout / NSEC_PER_SEC);
		kill_loader(l, why);
	} else if (l->state == L_BUSY && !l->reject_id && now - l->heard > c->heartbeat) {
		snprintf(why, sizeof(why), "no sign of life for %" PRId64 " s", c->heartbeat / NSEC_PER_SEC);
		kill_loader(l, why);
	} else if (l->state == L_IDLE && now - l->idle_since > IDLE_MAX) {
		end(l);
	} else if (l->state == L_ENDING && l->ended_by != SIGKILL) {
		int64_t past = now - l->ending_since;

		if (past > KILL_AFTER) {
			child_signal(&l->c, SIGKILL);
			l->ended_by = SIGKILL;
		} else if (past > TERM_AFTER && !l->ended_by) {
			child_signal(&l->c, SIGTERM);
			l->ended_by = SIGTERM;
		}
	}
}

static void on_tick(struct loop *loop, void *arg)
{
	struct runner *r = arg;
	int64_t now = now_get().mono;
	struct loader *l;
	bool stopping = atomic_load(&r->stopping);

	LIST_FOREACH(l, &r->loaders, link) {
		if (stopping)
			end(l);
		if (stopping && now > atomic_load(&r->stop_deadline) && l->ended_by != SIGKILL) {
			child_signal(&l->c, SIGKILL);
			l->ended_by = SIGKILL;
		}
		look_at(l, now);
	}
	r->ticking = !LIST_EMPTY(&r->loaders);
	if (r->ticking)
		loop_timer(loop, now + (stopping ? TICK / 10 : TICK), on_tick, r);
}

static void *run(void *arg)
{
	struct runner *r = arg;

	log_context("loaders");
	while (!atomic_load(&r->stopping))
		loop_once(r->loop, NEVER);
	on_tick(r->loop, r);
	while (!LIST_EMPTY(&r->loaders))
		loop_once(r->loop, NEVER);
	return NULL;
}

/* --- the port, called by the spool's thread --- */

static struct command *command_new(int kind, int64_t destination_id, unsigned slot)
{
	struct command *c = xcalloc(1, sizeof(*c));

	c->msg.kind = kind;
	c->msg.bytes = sizeof(*c);
	c->destination_id = destination_id;
	c->slot = slot;
	return c;
}

static void work(void *port, const struct destination_row *d, struct command *c, const struct load_row *load)
{
	struct runner *r = port;

	c->kind = xstrdup(d->kind);
	c->name = xstrdup(d->name);
	c->settings = xstrdup(d->settings ? d->settings : "{}");
	c->load_id = load->id;
	c->attempt = load->attempt;
	c->n = load->n;
	c->paths = xcalloc(load->n + 1, sizeof(*c->paths));
	c->ids = xcalloc(load->n + 1, sizeof(*c->ids));
	for (size_t k = 0; k < load->n; k++) {
		c->paths[k] = xstrdup(load->batches[k].batch.path);
		memcpy(c->ids[k], load->batches[k].batch.id, BATCH_ID_LEN);
	}
	if (c->msg.kind == CMD_START)
		c->params = loader_load_params(load, &c->err);
	else
		c->params = loader_discard_params(load);
	mailbox_reply(r->commands, &c->msg);
}

static void port_start(void *port, const struct destination_row *d, unsigned slot, const struct load_row *load)
{
	work(port, d, command_new(CMD_START, d->id, slot), load);
}

static void port_discard(void *port, const struct destination_row *d, unsigned slot, int64_t job_id, const struct load_row *load)
{
	struct command *c = command_new(CMD_DISCARD, d->id, slot);

	c->job_id = job_id;
	work(port, d, c, load);
}

static void port_rejects_stored(void *port, int64_t destination_id, unsigned slot, int64_t load_id, const struct err *e)
{
	struct command *c = command_new(CMD_REJECTS_STORED, destination_id, slot);
	struct runner *r = port;

	c->load_id = load_id;
	if (e)
		c->err = *e;
	mailbox_reply(r->commands, &c->msg);
}

static void port_stop(void *port, int64_t destination_id)
{
	struct command *c = command_new(CMD_STOP, destination_id, 0);
	struct runner *r = port;

	mailbox_reply(r->commands, &c->msg);
}

static const struct loader_port_ops runner_ops = {
	.start = port_start,
	.rejects_stored = port_rejects_stored,
	.discard = port_discard,
	.stop = port_stop,
};

struct loader_port runner_port(struct runner *r)
{
	return (struct loader_port){.ops = &runner_ops, .self = r};
}

/* --- start and stop --- */

struct runner *runner_new(const struct runner_config *c, struct store *store, const struct seal *seal, struct mailbox *spool_mailbox, struct err *e)
{
	struct runner *r = xcalloc(1, sizeof(*r));

	r->config = *c;
	r->libexec = c->libexec ? xstrdup(c->libexec) : NULL;
	r->config.libexec = r->libexec;
	r->config.heartbeat = c->heartbeat > 0 ? c->heartbeat : 120 * NSEC_PER_SEC;
	r->config.open_timeout = c->open_timeout > 0 ? c->open_timeout : 30 * NSEC_PER_SEC;
	r->store = store;
	r->seal = seal;
	r->spool = spool_mailbox;
	r->commands = mailbox_new(SIZE_MAX, SIZE_MAX);
	LIST_INIT(&r->loaders);
	r->loop = loop_new(e);
	if (r->loop)
		r->commands_io = loop_add(r->loop, mailbox_fd(r->commands), LOOP_READ, on_commands, r, e);
	if (!r->commands_io) {
		runner_free(r);
		return NULL;
	}
	return r;
}

int runner_start(struct runner *r, struct err *e)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&r->thread, NULL, run, r);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc)
		return err_errno(e, rc, "thread of the loaders");
	r->running = true;
	return 0;
}

void runner_stop(struct runner *r, int64_t deadline_mono)
{
	if (!r->running)
		return;
	atomic_store(&r->stop_deadline, deadline_mono);
	atomic_store(&r->stopping, true);
	loop_wake(r->loop);
	pthread_join(r->thread, NULL);
	r->running = false;
}

void runner_free(struct runner *r)
{
	struct msg *m, *next;

	if (!r)
		return;
	assert(!r->running && LIST_EMPTY(&r->loaders));
	for (m = mailbox_take(r->commands, SIZE_MAX, SIZE_MAX); m; m = next) {
		next = m->next;
		command_free(container_of(m, struct command, msg));
	}
	if (r->loop) {
		loop_del(r->loop, r->commands_io);
		loop_free(r->loop);
	}
	mailbox_free(r->commands);
	free(r->libexec);
	free(r);
}

unsigned runner_count(const struct runner *r)
{
	return atomic_load(&r->count);
}

struct runner_parts runner_parts(struct runner *r)
{
	return (struct runner_parts){.libexec = r->libexec, .seal = r->seal, .memory = r->config.child_memory, .no_asks = &r->no_asks, .asks = &r->asks, .store = r->store};
}

void runner_cancel_asks(struct runner *r)
{
	atomic_store(&r->no_asks, true);
}
