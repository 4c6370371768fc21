/*
 * 0020-rpc.c - lines and messages of JSON-RPC both ways, what is refused, errors there and back; the client against a peer in a thread: hello,
 * calls, notifications, a time-out with a late answer, a peer that goes away, nobody there.
 */
#include "tap.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "rpc_client.h"
#include "xalloc.h"

static int parse(const char *text, struct rpc_msg *m, struct err *e)
{
	/* a copy of its own length, so that a sanitizer sees a read past the end */
	char *copy = xmemdup(text, strlen(text));
	int rc = rpc_parse(str_mem(copy, strlen(text)), m, e);

	free(copy);
	return rc;
}

static void test_parse(void)
{
	static const char *const bad[] = {
		"", "x", "[]", "[{\"jsonrpc\":\"2.0\",\"method\":\"a\"}]", "\"x\"", "{}", "{\"jsonrpc\":\"2.0\"}", "{\"jsonrpc\":\"1.0\",\"method\":\"a\",\"id\":1}",
		"{\"jsonrpc\":\"2.0\",\"method\":7,\"id\":1}", "{\"jsonrpc\":\"2.0\",\"method\":\"a\",\"params\":[],\"id\":1}",
		"{\"jsonrpc\":\"2.0\",\"method\":\"a\",\"id\":{}}", "{\"jsonrpc\":\"2.0\",\"method\":\"a\",\"id\":1.5}", "{\"jsonrpc\":\"2.0\",\"id\":1}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,\"error\":{\"code\":1,\"message\":\"m\"}}", "{\"jsonrpc\":\"2.0\",\"result\":1}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":\"1\",\"message\":\"m\"}}", "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":5}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"result\":1}", "{\"jsonrpc\":\"2.0\",\"method\":\"a\",\"method\":\"b\"}",
		"{\"jsonrpc\":\"2.0\",\"method\":\"a\"} x", "{\"jsonrpc\":\"2.0\",\"method\":\"\xff\"}",
	};
	struct err e = ERR_INIT;
	struct rpc_msg m;

	ok(!parse("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"a.b\",\"params\":{\"n\":9223372036854775807}}", &m, &e), "a request (%s)", e.text);
	is_str("a.b", m.method, "its method");
	ok(json_integer_value(json_object_get(m.params, "n")) == INT64_MAX && json_integer_value(m.id) == 7 && !m.result && !m.error, "its parts");
	rpc_msg_free(&m);
	ok(!parse(" {\"jsonrpc\":\"2.0\",\"method\":\"x\"}\r", &m, &e) && !m.id && !m.params, "a notification, white space around it");
	rpc_msg_free(&m);
	ok(!parse("{\"jsonrpc\":\"2.0\",\"id\":\"q\",\"result\":null}", &m, &e) && !m.method && json_is_null(m.result), "a result of null");
	rpc_msg_free(&m);
	ok(!parse("{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"m\"}}", &m, &e) && m.error, "an error without a number");
	rpc_msg_free(&m);
	for (size_t k = 0; k < ARRAY_LEN(bad); k++) {
		err_clear(&e);
		if (!ok(parse(bad[k], &m, &e) == -1 && e.code == ERR_INVALID && e.text[0] && !m.root, "refused: %s", bad[k]))
			rpc_msg_free(&m);
	}
}

static void there_and_back(struct buf *b, struct rpc_msg *m)
{
	struct err e = ERR_INIT;

	ok(b->len && b->data[b->len - 1] == '\n' && !memchr(b->data, '\n', b->len - 1), "one line: %.*s", (int)b->len - 1, b->data);
	if (rpc_parse(str_mem(b->data, b->len - 1), m, &e))
		bail("our own line is refused: %s", e.text);
	buf_truncate(b, 0);
}

static void test_write(void)
{
	json_t *v = json_pack("{s:s, s:I}", "text", "two\nlines \342\202\254", "n", (json_int_t)INT64_MIN);
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT, got = ERR_INIT;
	struct rpc_msg m;

	rpc_request(&b, INT64_C(1) << 40, "noun.verb", v);
	there_and_back(&b, &m);
	ok(json_equal(m.params, v) && json_integer_value(m.id) == INT64_C(1) << 40, "a request's parameters and number");
	rpc_msg_free(&m);
	rpc_notification(&b, "stats", NULL);
	there_and_back(&b, &m);
	ok(!m.id && !m.params, "a notification without parameters");
	rpc_result(&b, m.id, NULL);
	rpc_msg_free(&m);
	there_and_back(&b, &m);
	ok(json_is_null(m.result), "a result of nothing");
	rpc_error(&b, m.id, RPC_FAILED, "cut in a character: \342\202", v);
	rpc_msg_free(&m);
	there_and_back(&b, &m);
	is_str("cut in a character: ??", json_string_value(json_object_get(m.error, "message")), "a message that is no UTF-8 is made so");
	ok(json_equal(json_object_get(m.error, "data"), v), "with its data");
	rpc_msg_free(&m);
	for (int c = ERR_INVALID; c <= ERR_INTERNAL; c++) {
		json_t *id = json_integer(c);

		err_set(&e, (enum err_code)c, "reason %d", c);
		rpc_error_of(&b, id, &e);
		there_and_back(&b, &m);
		rpc_err_from(m.error, &got);
		ok(got.code == e.code && strcmp(got.text, e.text) == 0, "%s there and back", err_name((enum err_code)c));
		rpc_msg_free(&m);
		json_decref(id);
	}
	if (parse("{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32000,\"message\":\"m\",\"data\":{\"class\":\"data\"}}}", &m, &e))
		bail("a loader's error");
	rpc_err_from(m.error, &got);
	is_int(ERR_DATA, got.code, "a loader's class is understood");
	rpc_msg_free(&m);
	json_decref(v);
	buf_free(&b);
}

static void test_lines(void)
{
	struct rpc_lines l = {.max = 10};
	struct err e = ERR_INIT;
	struct buf all = BUF_INIT, seen = BUF_INIT;
	struct str line;
	int rc = 0;

	for (unsigned k = 0; k < 500; k++)
		buf_addf(&all, "%.*s\n", (int)(k % 11), "abcdefghij");
	for (size_t at = 0, n; at < all.len; at += n) {
		n = MIN(1 + at * 7 % 23, all.len - at);
		buf_add(&l.in, all.data + at, n);
		while ((rc = rpc_lines_next(&l, &line, &e)) > 0) {
			buf_addstr(&seen, line);
			buf_addc(&seen, '\n');
		}
		if (rc < 0)
			bail("%s", e.text);
	}
	ok(str_eq(buf_str(&all), buf_str(&seen)), "lines are whole, whatever pieces they come in");
	buf_adds(&l.in, "0123456789");
	is_int(0, rpc_lines_next(&l, &line, &e), "the longest line may still be finished");
	buf_adds(&l.in, "X");
	ok(rpc_lines_next(&l, &line, &e) == -1 && e.code == ERR_INVALID, "one byte more is refused before its end is seen");
	buf_free(&l.in);
	l = (struct rpc_lines){.max = 10};
	buf_adds(&l.in, "ok\n0123456789X\n");
	ok(rpc_lines_next(&l, &line, &e) == 1 && str_eqc(line, "ok"), "a reader begun anew");
	is_int(-1, rpc_lines_next(&l, &line, &e), "a line too long with its end there is refused too");
	buf_free(&l.in);
	buf_free(&all);
	buf_free(&seen);
}

/* --- the client --- */

struct peer {
	int listener;
	pthread_t thread;
};

static void say(int fd, struct buf *b)
{
	/* in small pieces, as a socket may */
	for (size_t at = 0; at < b->len; at += 7)
		if (send(fd, b->data + at, MIN(7, b->len - at), MSG_NOSIGNAL) < 0)
			break;
	buf_truncate(b, 0);
}

/* false: hang up */
static bool answer(int fd, struct rpc_msg *m, struct buf *late)
{
	struct buf b = BUF_INIT;
	json_t *v = json_pack("{s:s, s:O*}", "method", m->method, "params", m->params);
	bool on = true;

	if (strcmp(m->method, "test.fail") == 0) {
		struct err e = ERR_INIT;

		err_set(&e, ERR_STATE, "it is paused");
		rpc_error_of(&b, m->id, &e);
	} else if (strcmp(m->method, "test.late") == 0) {
		rpc_result(late, m->id, v);
	} else if (strcmp(m->method, "test.bye") == 0) {
		on = false;
	} else {
		buf_addstr(&b, buf_str(late));
		buf_truncate(late, 0);
		rpc_notification(&b, "stats", v);
		rpc_result(&b, m->id, v);
	}
	say(fd, &b);
	json_decref(v);
	buf_free(&b);
	return on;
}

static void *peer_run(void *arg)
{
	struct peer *p = arg;
	struct rpc_lines l = {.max = RPC_LINE_MAX};
	struct buf late = BUF_INIT;
	struct str line;
	struct rpc_msg m;
	bool on = true;
	int fd = accept(p->listener, NULL, NULL);

	while (on) {
		ssize_t n;

		buf_reserve(&l.in, 100);
		n = recv(fd, l.in.data + l.in.len, 100, 0);
		if (n <= 0)
			break;
		l.in.len += (size_t)n;
		while (on && rpc_lines_next(&l, &line, NULL) > 0) {
			if (rpc_parse(line, &m, NULL))
				bail("the client sent what is no JSON-RPC");
			on = answer(fd, &m, &late);
			rpc_msg_free(&m);
		}
	}
	close(fd);
	buf_free(&l.in);
	buf_free(&late);
	return NULL;
}

static void peer_start(struct peer *p, const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (str_copy(sa.sun_path, sizeof(sa.sun_path), str_c(path)) || bind(p->listener, (struct sockaddr *)&sa, sizeof(sa)) || listen(p->listener, 1) ||
		pthread_create(&p->thread, NULL, peer_run, p))
		bail("a peer at %s", path);
}

static void count(const char *method, json_t *params, void *arg)
{
	int *n = arg;

	*n += strcmp(method, "stats") == 0 && json_is_object(params);
}

static void remember(json_t *result, const struct err *e, void *arg)
{
	int *n = arg;

	*n = result ? 1 : -(int)e->code;
}

static void test_calls(struct rpc_client *c)
{
	struct err e = ERR_INIT;
	int notes = 0, replied = 0;
	char *big = xmalloc(500001);
	json_t *r;

	is_str("system.hello", json_string_value(json_object_get(rpc_client_hello(c), "method")), "hello was said first");
	rpc_client_on_notify(c, count, &notes);
	memset(big, 'x', 500000);
	big[500000] = '\0';
	r = rpc_client_call(c, "test.echo", json_pack("{s:s}", "t", big), 60 * NSEC_PER_SEC, &e);
	is_str(big, json_string_value(json_object_get(json_object_get(r, "params"), "t")), "a long call and its answer (%s)", e.text);
	json_decref(r);
	free(big);
	is_int(1, notes, "the notification before it went to the handler");
	ok(!rpc_client_call(c, "test.fail", NULL, 60 * NSEC_PER_SEC, &e) && e.code == ERR_STATE, "an error is an error");
	is_str("it is paused", e.text, "with its text");
	ok(!rpc_client_call(c, "test.late", NULL, 0, &e) && e.code == ERR_TIMEOUT, "no answer in time");
	ok(!rpc_client_send(c, "test.echo", NULL, remember, &replied, &e), "an asynchronous call");
	r = rpc_client_call(c, "test.echo", NULL, 60 * NSEC_PER_SEC, &e);
	ok(r && replied == 1, "a late answer is dropped, the others find their callers");
	json_decref(r);
	ok(!rpc_client_send(c, "test.late", NULL, remember, &replied, &e), "a call that will not be answered");
	ok(!rpc_client_call(c, "test.bye", NULL, 60 * NSEC_PER_SEC, &e) && e.code == ERR_IO, "the peer hangs up: %s", e.text);
	is_int(-ERR_IO, replied, "the pending one is told");
	ok(rpc_client_send(c, "test.echo", NULL, remember, &replied, &e) && e.code == ERR_IO && rpc_client_pump(c, &e), "nothing more goes");
}

static void test_client(void)
{
	char dir[] = "/tmp/stitch-rpc-" "XX" "XX" "XX";
	struct err e = ERR_INIT;
	struct rpc_client *c;
	struct peer p;
	char *path;

	if (!mkdtemp(dir))
		bail("mkdtemp");
	path = xasprintf("%s/s", dir);
	ok(!rpc_client_open(path, "test", NSEC_PER_SEC, &e) && e.code == ERR_NOT_FOUND, "nobody there: %s", e.text);
	peer_start(&p, path);
	c = rpc_client_open(path, "test", 60 * NSEC_PER_SEC, &e);
	if (!ok(c, "connected (%s)", e.text))
		bail("no connection");
	test_calls(c);
	rpc_client_free(c);
	pthread_join(p.thread, NULL);
	close(p.listener);
	ok(!rpc_client_open(path, "test", NSEC_PER_SEC, &e) && e.code == ERR_IO, "a left-over socket: %s", e.text);
	unlink(path);
	rmdir(dir);
	free(path);
	setenv("STITCH_SOCKET", "/a", 1);
	path = rpc_client_path(NULL);
	is_str("/a", path, "the path of STITCH_SOCKET");
	free(path);
	path = rpc_client_path("/b");
	is_str("/b", path, "what is given comes first");
	free(path);
}

int main(void)
{
	plan_lazy();
	test_parse();
	test_write();
	test_lines();
	test_client();
	return done_testing();
}
