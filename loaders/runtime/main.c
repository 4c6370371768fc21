/*
 * main.c - main() of every loader: fd 3 in, one request after another, answers out.
 *
 * The process must end at once when the daemon does, also in the middle of a long statement: the kernel is asked for a signal (PDEATHSIG), and a thread waits
 * for the end of file on fd 3. Both just end the process, unless it is idle; a transaction that was not committed vanishes with it. The parent is compared with the peer of fd 3,
 * because it may have died before the signal was asked for.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loaders/runtime/confine.h"
#include "loaders/runtime/load.h"

#include "log.h"
#include "xalloc.h"

#define FD 3
#define TELL_EVERY (2 * NSEC_PER_SEC)
#define TEXT_MAX 500

struct loader_check { json_t *rights, *cause, *fix; };

static int64_t mono(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

/* --- messages --- */

void loader_tick(struct loader *l, const char *phase)
{
	struct buf line = BUF_INIT;
	struct err e = ERR_INIT;
	json_t *params;

	if (mono() - l->told < TELL_EVERY)
		return;
	l->told = mono();
	params = json_pack("{s:I, s:s, s:I, s:I}", "load", (json_int_t)l->load, "phase", phase, "rows", (json_int_t)l->rows, "bytes", (json_int_t)l->bytes);
	rpc_notification(&line, "load.progress", params);
	json_decref(params);
	if (proto_write(&l->proto, &line, &e))
		log_debug("%s", e.text);
	buf_free(&line);
}

int loader_send_rejects(struct loader *l, struct buf *params, struct err *e)
{
	struct buf line = BUF_INIT;
	struct rpc_msg m = {NULL};
	int rc;

	/* written by hand: the records are no jansson objects */
	buf_addf(&line, "{\"jsonrpc\":\"2.0\",\"id\":%" PRId64 ",\"method\":\"load.reject\",\"params\":", ++l->last_id);
	buf_addstr(&line, buf_str(params));
	buf_adds(&line, "}\n");
	rc = proto_write(&l->proto, &line, e);
	buf_free(&line);
	if (rc)
		return -1;
	rc = proto_read(&l->proto, &m, e);
	if (rc == 0)
		err_set(e, ERR_IO, "stitchd went away");
	if (rc <= 0)
		return -1;
	rc = 0;
	if (m.method || !json_is_integer(m.id) || json_integer_value(m.id) != l->last_id)
		rc = err_set(e, ERR_TRANSIENT, "stitchd did not answer load.reject");
	else if (m.error)
		rc = err_set(e, ERR_TRANSIENT, "the rejected records could not be stored: %s",
			json_is_string(json_object_get(m.error, "message")) ? json_string_value(json_object_get(m.error, "message")) : "no reason given");
	rpc_msg_free(&m);
	return rc;
}

static const char *class_of(enum err_code code)
{
	switch (code) {
	case ERR_CONFIG:
	case ERR_DENIED:
		return "config";
	case ERR_DATA:
	case ERR_INVALID:
		return "data";
	case ERR_CORRUPT:
		return "corrupt";
	default:
		return "transient";
	}
}

static json_t *text_json(const char *s)
{
	size_t n = s ? strlen(s) : 0;
	json_t *v = json_stringn(s ? s : "", n);

	/* a text that was cut may end within a character */
	for (unsigned k = 1; !v && k <= 3 && k <= n; k++)
		v = json_stringn(s, n - k);
	return v ? v : json_string("(text that is not UTF-8)");
}

void loader_retry_after(struct loader *l, int64_t ns)
{
	l->retry_after = MAX(l->retry_after, ns);
}

static void answer_error(const struct loader *l, struct buf *out, json_t *id, const char *batch, const struct err *e)
{
	json_t *data = json_pack("{s:s}", "class", class_of(e->code)), *text = text_json(e->text);

	if (batch)
		json_object_set_new(data, "batch", json_string(batch));
	if (l->retry_after > 0)
		json_object_set_new(data, "retry_after", json_integer((l->retry_after + NSEC_PER_SEC - 1) / NSEC_PER_SEC));
	rpc_error(out, id, RPC_FAILED, json_string_value(text), data);
	json_decref(text);
	json_decref(data);
}

/* --- methods: each returns the result, or NULL with e --- */

static void disconnect(struct loader *l)
{
	if (l->self)
		l->ops->close(l->self);
	l->self = NULL;
}

static int connect_now(struct loader *l, struct buf *fix, struct err *e)
{
	struct buf own = BUF_INIT;

	if (!l->settings)
		return err_set(e, ERR_INVALID, "loader.open comes first");
	if (!l->self)
		l->self = l->ops->open(l, l->settings, fix ? fix : &own, e);
	buf_free(&own);
	return l->self ? 0 : -1;
}

/* As the daemon's own lines: they go to the same place. */
static void take_log(json_t *log)
{
	json_t *level = json_object_get(log, "level");
	const char *format = json_string_value(json_object_get(log, "format"));

	if (!json_is_integer(level) || !format)
		return;
	log_setup((enum log_level)json_integer_value(level), strcmp(format, "json") == 0 ? LOG_FMT_JSON : strcmp(format, "journal") == 0 ? LOG_FMT_JOURNAL : LOG_FMT_TEXT);
}

static json_t *do_open(struct loader *l, json_t *params, struct err *e)
{
	json_t *settings = json_object_get(params, "settings");
	int64_t protocol = json_integer_value(json_object_get(params, "protocol"));

	if (protocol != RPC_PROTOCOL) {
		err_set(e, ERR_CONFIG, "stitchd speaks protocol %" PRId64 " and this loader %d; install both of one version", protocol, RPC_PROTOCOL);
		return NULL;
	}
	if (!json_is_object(settings)) {
		err_set(e, ERR_INVALID, "loader.open has no settings");
		return NULL;
	}
	take_log(json_object_get(params, "log"));
	disconnect(l);
	json_decref(l->settings);
	l->settings = json_incref(settings);
	if (connect_now(l, NULL, e))
		return NULL;
	return json_pack("{s:s, s:s}", "server", l->ops->server(l->self), "kind", l->ops->kind);
}

void check_right(struct loader_check *c, const char *name, bool ok, const char *detail)
{
	json_array_append_new(c->rights, json_pack("{s:s, s:b, s:o}", "name", name, "ok", ok, "detail", detail ? text_json(detail) : json_null()));
}

/* A cause may end with what to do, for those who see nothing but it: here it is said once. */
static void cut_fix(char *cause, const char *fix)
{
	size_t n = strlen(cause), m = strlen(fix);

	if (m && n > m + 2 && strcasecmp(cause + n - m, fix) == 0 && memcmp(cause + n - m - 2, "; ", 2) == 0)
		cause[n - m - 2] = '\0';
}

void check_failed(struct loader_check *c, const char *cause, const char *fix)
{
	if (c->cause)
		return;
	c->cause = text_json(cause);
	c->fix = fix && *fix ? text_json(fix) : json_null();
}

static json_t *do_check(struct loader *l, struct err *e)
{
	struct loader_check c = {.rights = json_array()};
	struct buf fix = BUF_INIT;
	json_t *server = NULL;

	if (connect_now(l, &fix, e)) {
		cut_fix(e->text, buf_cstr(&fix));
		check_failed(&c, e->text, buf_cstr(&fix));
		err_clear(e);
	} else {
		server = text_json(l->ops->server(l->self));
		l->ops->check(l->self, &c);
	}
	buf_free(&fix);
	return json_pack("{s:b, s:o, s:o, s:o, s:o}", "ok", !c.cause, "cause", c.cause ? c.cause : json_null(), "fix", c.fix ? c.fix : json_null(), "rights",
		c.rights, "server", server ? server : json_null());
}

static json_t *do_sample(struct loader *l, json_t *params, struct err *e)
{
	const char *schema = json_string_value(json_object_get(params, "schema")), *table = json_string_value(json_object_get(params, "table"));
	int64_t rows = json_integer_value(json_object_get(params, "rows"));
	json_t *columns, *list;

	if (!schema || !table) {
		err_set(e, ERR_INVALID, "table.sample needs a schema and a table");
		return NULL;
	}
	if (connect_now(l, NULL, e))
		return NULL;
	columns = json_array();
	list = json_array();
	if (l->ops->sample(l->self, schema, table, (unsigned)MIN(MAX(rows, 1), 1000), columns, list, e)) {
		json_decref(columns);
		json_decref(list);
		return NULL;
	}
	return json_pack("{s:o, s:o}", "columns", columns, "rows", list);
}

static json_t *do_load(struct loader *l, json_t *params, char batch[JOB_BATCH_ID_LEN], struct err *e)
{
	struct job j;
	size_t bad = SIZE_MAX, n = l->proto.n_fds;
	json_t *result = NULL;

	l->proto.n_fds = 0;
	if (job_parse(params, l->proto.fds, n, &j, e))
		return NULL;
	if (connect_now(l, NULL, e) == 0)
		result = load_run(l, &j, &bad, e);
	if (bad < j.n_batches)
		memcpy(batch, j.batches[bad].id, JOB_BATCH_ID_LEN);
	job_free(&j);
	return result;
}

static json_t *do_discard(struct loader *l, json_t *params, struct err *e)
{
	struct job j;
	json_t *result = NULL;

	if (job_parse_discard(params, &j, e))
		return NULL;
	if (connect_now(l, NULL, e) == 0)
		result = load_discard(l, &j, e);
	job_free(&j);
	return result;
}

/* 1: go on, 0: loader.close */
static int handle(struct loader *l, const struct rpc_msg *m, struct buf *out)
{
	char batch[JOB_BATCH_ID_LEN] = "";
	struct err e = ERR_INIT;
	json_t *result = NULL;
	bool close = strcmp(m->method, "loader.close") == 0;

	l->told = mono();
	l->retry_after = 0;
	atomic_store(&l->busy, !close);
	if (close)
		result = json_object();
	else if (strcmp(m->method, "loader.open") == 0)
		result = do_open(l, m->params, &e);
	else if (strcmp(m->method, "loader.check") == 0)
		result = do_check(l, &e);
	else if (strcmp(m->method, "table.sample") == 0)
		result = do_sample(l, m->params, &e);
	else if (strcmp(m->method, "load.start") == 0)
		result = do_load(l, m->params, batch, &e);
	else if (strcmp(m->method, "load.discard") == 0)
		result = do_discard(l, m->params, &e);
	else
		err_set(&e, ERR_INVALID, "this loader has no method %.60s", m->method);
	proto_drop_fds(&l->proto);
	if (!result && l->self && !l->ops->alive(l->self))
		disconnect(l);
	if (m->id && result)
		rpc_result(out, m->id, result);
	else if (m->id)
		answer_error(l, out, m->id, batch[0] ? batch : NULL, &e);
	json_decref(result);
	atomic_store(&l->busy, false);
	return !close;
}

static int serve(struct loader *l)
{
	struct buf out = BUF_INIT;
	struct err e = ERR_INIT;
	int go_on = 1, rc = 0;

	while (go_on) {
		struct rpc_msg m = {NULL};

		rc = proto_read(&l->proto, &m, &e);
		if (rc <= 0)
			break;
		if (m.method)
			go_on = handle(l, &m, &out);
		else
			log_warn("an answer that nobody waits for");
		rpc_msg_free(&m);
		rc = proto_write(&l->proto, &out, &e);
		if (rc < 0)
			break;
	}
	if (rc < 0)
		log_err("%s", e.text);
	buf_free(&out);
	return rc < 0 ? 1 : 0;
}

/* --- the end of the daemon --- */

#define CLOSE_TIME 1500 /* ms for an idle loader to close its connection properly; SQLite's file is then whole without its log */

struct watched { struct loader *l; int stop; };

static void *watch(void *arg)
{
	const struct watched *w = arg;
	struct pollfd p[2] = {{.fd = FD, .events = POLLRDHUP}, {.fd = w->stop, .events = POLLIN}};

	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (p[1].revents)
			return NULL;
		if (p[0].revents) {
			if (!atomic_load(&w->l->busy) && poll(&p[1], 1, CLOSE_TIME) > 0)
				return NULL;
			/* a server must not go on for nobody; and must not keep us either */
			alarm(2);
			if (w->l->ops->interrupt)
				w->l->ops->interrupt();
			_exit(0);
		}
	}
}

static int bind_to_parent(void)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);

	if (prctl(PR_SET_PDEATHSIG, SIGKILL)) {
		log_err("PR_SET_PDEATHSIG: %s", errno_text(errno));
		return -1;
	}
	if (getsockopt(FD, SOL_SOCKET, SO_PEERCRED, &peer, &n)) {
		fprintf(stderr, "A loader is started by stitchd, which talks to it over descriptor 3; see stitch-loader(7).\n");
		return -1;
	}
	if (peer.pid > 0 && peer.pid != getppid()) {
		log_err("the process that started this loader is gone");
		return -1;
	}
	return 0;
}

int loader_main(const struct loader_ops *ops)
{
	struct loader l = {.ops = ops, .proto = {.fd = FD, .in = {.max = RPC_LOADER_MAX}}};
	struct watched watched = {.l = &l};
	pthread_t watcher;
	int rc;

	log_context(ops->kind);
	if (bind_to_parent())
		return 2;
	confine();
	watched.stop = eventfd(0, EFD_CLOEXEC);
	if (watched.stop < 0 || pthread_create(&watcher, NULL, watch, &watched)) {
		log_err("cannot watch the daemon: %s", errno_text(errno));
		return 2;
	}
	rc = serve(&l);
	disconnect(&l);
	json_decref(l.settings);
	proto_free(&l.proto);
	free(l.refused);
	if (eventfd_write(watched.stop, 1) || pthread_join(watcher, NULL))
		log_warn("the watcher thread does not end");
	close(watched.stop);
	return rc;
}
