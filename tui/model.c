/*
 * model.c - connection and last known state. After system.hello come system.subscribe (a `stats` line each second, `event` lines) and one
 * system.status, so that the first screen does not wait for the next second.
 *
 * What can go wrong: a daemon that hangs keeps its socket open, so silence is asked about (system.hello) and, when that stays without an answer,
 * treated like a lost connection. Connecting blocks, but only for a moment: the socket is on this machine.
 */
#include "model.h"

#include <time.h>

#include "buf.h"
#include "xalloc.h"

#define CONNECT_TIMEOUT (300 * NSEC_PER_MSEC)
#define RETRY (500 * NSEC_PER_MSEC)
#define SILENCE (1200 * NSEC_PER_MSEC) /* then it is asked; silent for SILENCE_MAX: it is gone */
#define SILENCE_MAX (2000 * NSEC_PER_MSEC)

int64_t mono_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

void model_init(struct model *m, char *path)
{
	*m = (struct model){.path = path, .events = json_array()};
}

static void drop(struct model *m, const char *why)
{
	struct rpc_client *rpc = m->rpc;

	/* pending replies are called from here: they must not find a connection */
	m->rpc = NULL;
	rpc_client_free(rpc);
	snprintf(m->why, sizeof(m->why), "%s", why);
	m->retry_mono = mono_now() + RETRY;
	m->changed = true;
}

void model_free(struct model *m)
{
	if (m->rpc)
		drop(m, "");
	json_decref(m->hello);
	json_decref(m->status);
	json_decref(m->events);
	free(m->path);
}

static void take_status(struct model *m, json_t *status)
{
	if (!json_is_object(status))
		return;
	json_decref(m->status);
	m->status = json_incref(status);
	m->status_mono = mono_now();
	m->changed = true;
}

static void on_notify(const char *method, json_t *params, void *arg)
{
	struct model *m = arg;

	if (strcmp(method, "stats") == 0) {
		take_status(m, params);
	} else if (strcmp(method, "event") == 0 && json_is_object(params)) {
		json_array_append(m->events, params);
		if (json_array_size(m->events) > MODEL_EVENTS)
			json_array_remove(m->events, 0);
		m->changed = true;
	}
}

static void on_status(json_t *result, const struct err *e, void *arg)
{
	(void)e; /* the connection's end is told elsewhere */
	take_status(arg, result);
}

static void on_sign_of_life(json_t *result, const struct err *e, void *arg)
{
	(void)result;
	(void)e;
	(void)arg;
}

static int begin(struct model *m, struct err *e)
{
	json_t *params = json_object();

	json_object_set_new(params, "events", json_true());
	if (rpc_client_send(m->rpc, "system.subscribe", params, on_sign_of_life, m, e))
		return -1;
	return rpc_client_send(m->rpc, "system.status", NULL, on_status, m, e);
}

static void connect_now(struct model *m)
{
	struct err e = ERR_INIT;

	m->rpc = rpc_client_open(m->path, "stitch-console", CONNECT_TIMEOUT, &e);
	if (!m->rpc) {
		m->retry_mono = mono_now() + RETRY;
		if (strcmp(m->why, e.text) != 0)
			m->changed = true;
		snprintf(m->why, sizeof(m->why), "%s", e.text);
		return;
	}
	rpc_client_on_notify(m->rpc, on_notify, m);
	json_decref(m->hello);
	m->hello = json_incref(rpc_client_hello(m->rpc));
	m->heard_mono = mono_now();
	m->pinged = false;
	m->connections++;
	m->why[0] = '\0';
	m->changed = true;
	if (begin(m, &e))
		drop(m, e.text);
}

void model_tick(struct model *m, int64_t mono)
{
	struct err e = ERR_INIT;

	if (!m->rpc && mono >= m->retry_mono) {
		connect_now(m);
		return;
	}
	if (!m->rpc)
		return;
	if (mono - m->heard_mono > SILENCE_MAX && m->pinged) {
		drop(m, "the daemon does not answer");
	} else if (mono - m->heard_mono > SILENCE && !m->pinged) {
		m->pinged = true;
		if (rpc_client_send(m->rpc, "system.hello", NULL, on_sign_of_life, m, &e))
			drop(m, e.text);
	}
}

int64_t model_due(const struct model *m)
{
	if (!m->rpc)
		return m->retry_mono;
	return m->heard_mono + (m->pinged ? SILENCE_MAX : SILENCE) + NSEC_PER_MSEC;
}

int model_fd(const struct model *m)
{
	return m->rpc ? rpc_client_fd(m->rpc) : -1;
}

bool model_wants_write(const struct model *m)
{
	return m->rpc && rpc_client_wants_write(m->rpc);
}

void model_pump(struct model *m, bool readable, int64_t mono)
{
	struct err e = ERR_INIT;

	if (!m->rpc)
		return;
	if (rpc_client_pump(m->rpc, &e)) {
		drop(m, e.text);
		return;
	}
	/* that we could write is no sign of life */
	if (readable) {
		m->heard_mono = mono;
		m->pinged = false;
	}
}

bool model_stale(const struct model *m, int64_t mono)
{
	(void)mono;
	return !m->rpc;
}

bool model_acts(const struct model *m)
{
	return m->hello && strcmp(mj_str(m->hello, "role"), "act") == 0;
}

int model_call(struct model *m, const char *method, json_t *params, rpc_client_reply *fn, void *arg, struct err *e)
{
	if (!m->rpc) {
		json_decref(params);
		return err_set(e, ERR_IO, "%s", m->why[0] ? m->why : "the daemon is not reachable");
	}
	return rpc_client_send(m->rpc, method, params, fn, arg, e);
}

int64_t model_now(const struct model *m)
{
	return mj_int(m->status, "now_ns");
}

/* --- readers --- */

const json_t *mj(const json_t *o, const char *path)
{
	const char *dot;
	char name[64];

	while (o && *path) {
		dot = strchrnul(path, '.');
		if (str_copy(name, sizeof(name), str_mem(path, (size_t)(dot - path))))
			return NULL;
		o = json_object_get(o, name);
		path = *dot ? dot + 1 : dot;
	}
	return o;
}

const char *mj_str(const json_t *o, const char *path)
{
	const char *s = json_string_value(mj(o, path));

	return s ? s : "";
}

int64_t mj_int(const json_t *o, const char *path)
{
	const json_t *v = mj(o, path);
	double d = json_number_value(v);

	/* so far that the difference of two is a number, too; as a time this is the year 2096 */
	if (d > 4e18 || d < -4e18)
		return d > 0 ? INT64_C(4000000000000000000) : -INT64_C(4000000000000000000);
	return json_is_real(v) ? (int64_t)d : json_integer_value(v);
}

double mj_real(const json_t *o, const char *path)
{
	return json_number_value(mj(o, path));
}

size_t mj_len(const json_t *o, const char *path)
{
	return json_array_size(mj(o, path));
}

const json_t *mj_at(const json_t *o, const char *path, size_t index)
{
	return json_array_get(mj(o, path), index);
}

const json_t *mj_find(const json_t *o, const char *path, const char *key, const char *value)
{
	size_t n = mj_len(o, path);

	for (size_t k = 0; k < n; k++) {
		const json_t *one = mj_at(o, path, k);

		if (strcmp(mj_str(one, key), value) == 0)
			return one;
	}
	return NULL;
}
