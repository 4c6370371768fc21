/*
 * ctl_event.c - `event list`, and with --follow what happens from then on, until interrupted. The subscription comes before the list, so that nothing
 * falls between the two; what comes by both ways is printed once.
 */
#include "ctl.h"

#include <errno.h>
#include <poll.h>

#include "i18n.h"

#define SHOWN_FIRST 10

struct follow {
	struct ctl *c;
	json_int_t last;
	bool listed;
	json_t *early; /* came before the list was printed */
};

static void print_once(struct follow *f, json_t *event)
{
	json_int_t id = json_integer_value(json_object_get(event, "id"));

	if (id <= f->last)
		return;
	f->last = id;
	ctl_print_event(f->c, event);
}

static void on_notify(const char *method, json_t *params, void *arg)
{
	struct follow *f = arg;

	if (strcmp(method, "event") != 0)
		return;
	if (f->listed)
		print_once(f, params);
	else
		json_array_append(f->early, params);
}

static int watch(struct follow *f, struct err *e)
{
	for (;;) {
		struct pollfd p = {.fd = rpc_client_fd(f->c->client), .events = POLLIN};

		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			return err_errno(e, errno, "poll");
		if (rpc_client_pump(f->c->client, e))
			return -1;
	}
}

static int follow(struct ctl *c, struct err *e)
{
	struct follow f = {.c = c, .early = json_array()};
	json_t *v, *one;
	size_t k;
	int rc = -1;

	rpc_client_on_notify(c->client, on_notify, &f);
	v = rpc_client_call(c->client, "system.subscribe", json_pack("{s:b}", "events", 1), CTL_CALL_TIMEOUT, e);
	if (!v)
		goto out;
	json_decref(v);
	v = rpc_client_call(c->client, "event.list", json_pack("{s:I}", "limit", (json_int_t)(c->limit ? MIN(c->limit, 1000) : SHOWN_FIRST)),
		CTL_CALL_TIMEOUT, e);
	if (!v)
		goto out;
	/* newest first */
	for (k = json_array_size(json_object_get(v, "items")); k-- > 0;)
		print_once(&f, json_array_get(json_object_get(v, "items"), k));
	json_decref(v);
	f.listed = true;
	json_array_foreach(f.early, k, one)
		print_once(&f, one);
	rc = watch(&f, e);
out:
	json_decref(f.early);
	return rc;
}

int ctl_events(struct ctl *c)
{
	struct err e = ERR_INIT;
	json_t *v;

	if (json_object_get(c->params, "follow")) {
		if (follow(c, &e))
			return e.code == ERR_IO ? (ctl_error(c, &e), CTL_AWAY) : ctl_error(c, &e);
		return CTL_DONE;
	}
	v = ctl_call(c, "event.list", c->params, &e);
	if (!v)
		return ctl_error(c, &e);
	ctl_print(c, "event.list", v);
	json_decref(v);
	return CTL_DONE;
}
