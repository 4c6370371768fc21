/*
 * pg_conn.c - libpq without its blocking calls: send, flush, poll, consume, so that the daemon gets its heartbeat through the longest statement. What can go wrong:
 * a server that vanishes without a word; keepalives on both sides find it within about a minute. One that is stopped while its kernel still answers is found
 * by a second connection that gets no answer either: a statement may take hours, but a server that works greets who comes. Passwords are in libpq's own memory and in the settings only, never in an error text: libpq's messages do not hold them.
 */
#include "loaders/postgres/pg_conn.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "log.h"
#include "str.h"
#include "xalloc.h"

#define CONNECT_SECONDS 20 /* stitchd gives a loader 30 */
#define PROBE_AFTER 15 /* seconds of silence after which a second connection asks whether anybody is there */
#define PROBE_WAIT 15
#define TICK_MS 1000

static enum err_code class_of(struct pg *p, const char **fix)
{
	*fix = pg_error_fix(p->state);
	return pg_error_class(p->state);
}

/* Time-outs and what a pooler in transaction mode would mix up are set in each transaction (pg_load.c). */
static const char *const wishes[] = {
	/* a loader that was killed, or whose machine vanished, must not hold its locks until the statement has ended */
	"SET client_connection_check_interval = '5s'",
	"SET tcp_keepalives_idle = 30", "SET tcp_keepalives_interval = 10", "SET tcp_keepalives_count = 3", NULL};

static const struct pg_flavour postgresql = {
	.name = "PostgreSQL",
	.port = "5432",
	.oldest = 120000, /* the catalogue has attgenerated */
	.too_old = "the server is older than PostgreSQL 12, or another kind of database that speaks its protocol; this loader needs 12 or later",
	.wishes = wishes,
	.class_of = class_of,
};

static const char *const setting_names[] = {"host", "port", "user", "password", "dbname", "sslmode"};

static const char *setting(const struct pg *p, const char *name)
{
	const char *v = json_string_value(json_object_get(p->settings, name));

	return v && *v ? v : NULL;
}

int pg_init(struct pg *p, json_t *settings, const char *destination, pg_tick_fn *tick, void *arg, struct err *e)
{
	static const char *const modes[] = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"};
	const char *mode, *port;
	uint64_t number;
	size_t k;

	*p = (struct pg){.settings = settings, .destination = destination, .flavour = &postgresql, .tick = tick, .arg = arg};
	for (k = 0; k < ARRAY_LEN(setting_names); k++) {
		json_t *v = json_object_get(settings, setting_names[k]);

		if (v && !json_is_string(v) && !json_is_null(v))
			return err_set(e, ERR_CONFIG, "the setting %s must be text", setting_names[k]);
	}
	mode = setting(p, "sslmode");
	for (k = 0; mode && k < ARRAY_LEN(modes) && strcmp(mode, modes[k]) != 0;)
		k++;
	if (mode && k == ARRAY_LEN(modes))
		return err_set(e, ERR_CONFIG, "the setting sslmode is \"%s\"; it can be disable, allow, prefer, require, verify-ca or verify-full", mode);
	port = setting(p, "port");
	if (port && (str_to_u64(str_c(port), &number) || number < 1 || number > 65535))
		return err_set(e, ERR_CONFIG, "the setting port is \"%s\"; it must be a number from 1 to 65535 (usually 5432)", port);
	if (!setting(p, "dbname"))
		return err_set(e, ERR_CONFIG, "the setting dbname is missing: it names the database that the rows go to");
	return 0;
}

void pg_free(struct pg *p)
{
	pg_disconnect(p);
	buf_free(&p->context);
	buf_free(&p->detail);
	buf_free(&p->message);
	buf_free(&p->column);
	buf_free(&p->constraint);
}

/* What another thread may cancel; only the pointer is shared. */
static pthread_mutex_t cancel_lock = PTHREAD_MUTEX_INITIALIZER;
static PGcancel *cancel;

static void set_cancel(PGcancel *c)
{
	PGcancel *was;

	pthread_mutex_lock(&cancel_lock);
	was = cancel;
	cancel = c;
	pthread_mutex_unlock(&cancel_lock);
	PQfreeCancel(was);
}

void pg_interrupt(void)
{
	char text[256];

	pthread_mutex_lock(&cancel_lock);
	if (cancel && !PQcancel(cancel, text, sizeof(text)))
		log_warn("cancel: %s", text);
	pthread_mutex_unlock(&cancel_lock);
}

void pg_disconnect(struct pg *p)
{
	set_cancel(NULL);
	PQfinish(p->conn);
	p->conn = NULL;
}

bool pg_usable(const struct pg *p)
{
	return p->conn && PQstatus(p->conn) == CONNECTION_OK;
}

static void ignore_notice(void *arg, const PGresult *r)
{
	(void)arg;
	(void)r;
}

static int64_t seconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec;
}

/* A second connection that only asks whether the server is alive. */
struct probe { PGconn *conn; PostgresPollingStatusType state; int64_t since; };

static PGconn *start_connecting(struct pg *p);

/* 1: it is alive, 0: not known yet, -1: nobody answers. */
static int probe(struct pg *p, struct probe *b, int64_t now)
{
	struct pollfd fd = {.events = b->state == PGRES_POLLING_READING ? POLLIN : POLLOUT};
	int rc = 0;

	if (!b->conn) {
		*b = (struct probe){.conn = start_connecting(p), .state = PGRES_POLLING_WRITING, .since = now};
		return b->conn ? 0 : -1;
	}
	fd.fd = PQsocket(b->conn);
	if (PQstatus(b->conn) != CONNECTION_BAD && poll(&fd, 1, 0) > 0)
		b->state = PQconnectPoll(b->conn);
	if (b->state == PGRES_POLLING_OK)
		rc = 1;
	else if (b->state == PGRES_POLLING_FAILED || PQstatus(b->conn) == CONNECTION_BAD)
		rc = strstr(PQerrorMessage(b->conn), "FATAL:") ? 1 : -1; /* a refusal in words is a sign of life, too */
	else if (now - b->since >= PROBE_WAIT)
		rc = -1;
	if (rc) {
		PQfinish(b->conn);
		b->conn = NULL;
	}
	return rc;
}

/* Waits for the socket. -1: past p->deadline, or the server has been silent and a new connection gets no answer either. */
static int wait_for(struct pg *p, short events, struct err *e)
{
	struct pollfd fd = {.fd = PQsocket(p->conn), .events = events};
	int64_t since = seconds_now(), heard = since, now;
	struct probe b = {.conn = NULL};
	int n, alive = 0;

	do {
		n = poll(&fd, 1, TICK_MS);
		now = seconds_now();
		p->tick(p->arg);
		if (n == 0 && p->deadline && now >= p->deadline)
			return err_set(e, ERR_TRANSIENT, "the server does not answer");
		if (n == 0 && !p->deadline && now - heard >= PROBE_AFTER)
			alive = probe(p, &b, now);
		if (alive > 0)
			heard = now;
	} while (alive >= 0 && (n == 0 || (n < 0 && errno == EINTR)));
	if (alive < 0 && n == 0)
		err_set(e, ERR_TRANSIENT, "the server has said nothing for %d s, and a new connection gets no answer", (int)(now - since));
	else if (n < 0)
		err_errno(e, errno, "waiting for the server");
	PQfinish(b.conn);
	if (n > 0)
		return 0;
	pg_disconnect(p);
	return -1;
}

/* libpq's messages end in newlines and may have several lines: one line for a person. */
static void one_line(struct buf *out, const char *text)
{
	struct str s = str_trim(str_c(text ? text : ""));

	buf_truncate(out, 0);
	buf_reserve(out, s.len);
	for (size_t k = 0; k < s.len; k++)
		if (s.ptr[k] != '\n')
			buf_addc(out, s.ptr[k]);
		else
			buf_addc(out, ' ');
}

/* Of a connection that failed libpq tells one line for each address, and below it, behind a tab, what could be done; that is said here already. */
static void without_hints(struct buf *out, const char *text)
{
	struct buf kept = BUF_INIT;

	for (const char *end; *text; text = end) {
		end = text + strcspn(text, "\n");
		end += *end == '\n';
		if (*text != '\t')
			buf_add(&kept, text, (size_t)(end - text));
	}
	one_line(out, buf_cstr(&kept));
	buf_free(&kept);
}

/* libpq begins with where it went: `connection to server at "db", port 5432 failed: Connection refused`. A narrow screen shows the cause only if it comes first. */
static void cause_first(struct buf *b)
{
	static const char before[] = "connection to server ", between[] = " failed: ";
	char *was = xstrdup(buf_cstr(b)), *cause = strstr(was, between);

	if (cause && strncmp(was, before, sizeof(before) - 1) == 0) {
		buf_truncate(b, 0);
		buf_addf(b, "%s (the server %.*s)", cause + sizeof(between) - 1, (int)(cause - was - (ptrdiff_t)sizeof(before) + 1), was + sizeof(before) - 1);
	}
	free(was);
}

static int connect_failed(struct pg *p, struct err *e)
{
	enum err_code code;
	const char *fix;

	without_hints(&p->message, p->conn ? PQerrorMessage(p->conn) : "out of memory");
	pg_disconnect(p);
	snprintf(p->state, sizeof(p->state), "%s", pg_error_of_connect(buf_cstr(&p->message)));
	cause_first(&p->message);
	code = p->flavour->class_of(p, &fix);
	if (!*p->state)
		fix = "is the server running, and are host and port right?";
	return err_set(e, code, "cannot connect: %s%s%s", buf_cstr(&p->message), *fix ? "; " : "", fix);
}

/* Something took the connection or the first packets, and then nothing came: a firewall that drops them, a server that is stopped. */
static int no_answer(struct pg *p, struct err *e)
{
	const char *host = setting(p, "host"), *port = setting(p, "port");

	pg_disconnect(p);
	p->state[0] = '\0';
	return err_set(e, ERR_TRANSIENT, "cannot connect: %s:%s does not answer within %d s; is the server running, and are host and port right?",
		host ? host : "the local server", port ? port : p->flavour->port, CONNECT_SECONDS);
}

/* What holds for the whole session. Older servers and other systems lack some of it: nothing depends on a single one. */
static void session_settings(struct pg *p)
{
	for (const char *const *w = p->flavour->wishes; *w; w++)
		if (pg_usable(p) && pg_exec(p, *w, NULL))
			continue;
}

static PGconn *start_connecting(struct pg *p)
{
	const char *keys[24], *values[24];
	char name[64];
	int n = 0;

	for (size_t k = 0; k < ARRAY_LEN(setting_names); k++) {
		if (!setting(p, setting_names[k]))
			continue;
		keys[n] = setting_names[k];
		values[n++] = setting(p, setting_names[k]);
	}
	snprintf(name, sizeof(name), "stitch %s", p->destination ? p->destination : "");
#define WITH(key, value) (keys[n] = (key), values[n++] = (value))
	WITH("application_name", name);
	WITH("client_encoding", "UTF8");
	WITH("gssencmode", "disable");
	WITH("keepalives", "1");
	WITH("keepalives_idle", "30");
	WITH("keepalives_interval", "10");
	WITH("keepalives_count", "3");
	WITH("tcp_user_timeout", "60000");
#undef WITH
	keys[n] = values[n] = NULL;
	return PQconnectStartParams(keys, values, 0);
}

int pg_connect(struct pg *p, struct err *e)
{
	PostgresPollingStatusType st = PGRES_POLLING_WRITING;

	if (pg_usable(p) && PQtransactionStatus(p->conn) == PQTRANS_IDLE)
		return 0;
	pg_disconnect(p);
	p->conn = start_connecting(p);
	if (!p->conn || PQstatus(p->conn) == CONNECTION_BAD)
		return connect_failed(p, e);
	p->deadline = seconds_now() + CONNECT_SECONDS;
	while (st != PGRES_POLLING_OK) {
		if (wait_for(p, st == PGRES_POLLING_READING ? POLLIN : POLLOUT, e))
			return no_answer(p, e);
		st = PQconnectPoll(p->conn);
		if (st == PGRES_POLLING_FAILED)
			return connect_failed(p, e);
	}
	if (PQserverVersion(p->conn) < p->flavour->oldest) {
		pg_disconnect(p);
		snprintf(p->state, sizeof(p->state), "0A000");
		return err_set(e, ERR_CONFIG, "%s", p->flavour->too_old);
	}
	PQsetNoticeReceiver(p->conn, ignore_notice, NULL);
	if (PQsetnonblocking(p->conn, 1))
		return connect_failed(p, e);
	set_cancel(PQgetCancel(p->conn));
	session_settings(p);
	p->deadline = 0;
	if (!pg_usable(p))
		return connect_failed(p, e);
	return PQtransactionStatus(p->conn) == PQTRANS_IDLE ? 0 : no_answer(p, e);
}

char *pg_server(const struct pg *p)
{
	return xasprintf("%s %s at %s:%s/%s, as %s", p->flavour->name, PQparameterStatus(p->conn, "server_version"), PQhost(p->conn), PQport(p->conn), PQdb(p->conn),
		PQuser(p->conn));
}

/* r's complaint, or the connection's when r is NULL or says nothing, into p and e. */
static int failed(struct pg *p, const PGresult *r, struct err *e)
{
	const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL, *text = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	const char *detail = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_DETAIL) : NULL, *fix;
	enum err_code code;
	bool alive = PQstatus(p->conn) == CONNECTION_OK;

	snprintf(p->state, sizeof(p->state), "%s", state ? state : "");
	one_line(&p->context, r ? PQresultErrorField(r, PG_DIAG_CONTEXT) : NULL);
	one_line(&p->detail, detail);
	one_line(&p->column, r ? PQresultErrorField(r, PG_DIAG_COLUMN_NAME) : NULL);
	one_line(&p->constraint, r ? PQresultErrorField(r, PG_DIAG_CONSTRAINT_NAME) : NULL);
	one_line(&p->message, text ? text : PQerrorMessage(p->conn));
	code = p->flavour->class_of(p, &fix);
	if (!alive && !state)
		return err_set(e, ERR_TRANSIENT, "the connection to the server was lost: %s", buf_cstr(&p->message));
	return err_set(e, code, "%s%s%s%s%s%s%s%s", buf_cstr(&p->message), p->detail.len ? " (" : "", buf_cstr(&p->detail),
		p->detail.len ? ")" : "", *p->state ? ", SQLSTATE " : "", p->state, *fix ? "; " : "", fix);
}

static int flush(struct pg *p, struct err *e)
{
	int n;

	while ((n = PQflush(p->conn)) > 0) {
		if (wait_for(p, POLLIN | POLLOUT, e))
			return -1;
		if (!PQconsumeInput(p->conn)) /* the server may stop reading until we have read */
			return failed(p, NULL, e);
	}
	return n < 0 ? failed(p, NULL, e) : 0;
}

/* The next result, or NULL at the end of the command. -1: the connection is gone. */
static int next_result(struct pg *p, PGresult **r, struct err *e)
{
	*r = NULL;
	while (PQisBusy(p->conn)) {
		if (wait_for(p, POLLIN, e))
			return -1;
		if (!PQconsumeInput(p->conn))
			return failed(p, NULL, e);
	}
	*r = PQgetResult(p->conn);
	return 0;
}

/* All results of what was sent; the last good one is given back. The first error counts, the rest is read so that the connection can go on. */
static int finish(struct pg *p, PGresult **last, struct err *e)
{
	PGresult *r;
	bool bad = false;

	*last = NULL;
	for (;;) {
		ExecStatusType st;

		if (next_result(p, &r, bad ? NULL : e))
			goto fail;
		if (!r)
			break;
		st = PQresultStatus(r);
		if (st == PGRES_COPY_IN && !bad) {
			PQclear(*last);
			*last = r;
			return 0;
		}
		if (st != PGRES_COMMAND_OK && st != PGRES_TUPLES_OK && !bad) {
			failed(p, r, e);
			bad = true;
		}
		PQclear(*last);
		*last = r;
		if (PQstatus(p->conn) != CONNECTION_OK)
			goto fail;
	}
	if (!bad)
		return 0;
fail:
	PQclear(*last);
	*last = NULL;
	return -1;
}

static int not_sent(struct pg *p, struct err *e)
{
	if (!p->conn) {
		p->state[0] = '\0';
		return err_set(e, ERR_TRANSIENT, "the connection to the server is closed");
	}
	return failed(p, NULL, e);
}

PGresult *pg_query(struct pg *p, const char *sql, int n, const char *const *params, struct err *e)
{
	PGresult *r;

	if (!p->conn || !PQsendQueryParams(p->conn, sql, n, NULL, params, NULL, NULL, 0)) {
		not_sent(p, e);
		return NULL;
	}
	if (flush(p, e) || finish(p, &r, e))
		return NULL;
	return r;
}

int pg_exec(struct pg *p, const char *sql, struct err *e)
{
	PGresult *r;

	if (!p->conn || !PQsendQuery(p->conn, sql))
		return not_sent(p, e);
	if (flush(p, e) || finish(p, &r, e))
		return -1;
	PQclear(r);
	return 0;
}

int pg_execf(struct pg *p, struct err *e, const char *fmt, ...)
{
	va_list ap;
	char *sql;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&sql, fmt, ap);
	va_end(ap);
	if (n < 0)
		return err_set(e, ERR_INTERNAL, "out of memory");
	n = pg_exec(p, sql, e);
	free(sql);
	return n;
}

int64_t pg_touched(const PGresult *r)
{
	int64_t n;

	return str_to_i64(str_c(PQcmdTuples((PGresult *)(uintptr_t)r)), &n) ? 0 : n;
}

void pg_add_rows(const PGresult *r, json_t *columns, json_t *rows)
{
	for (int c = 0; c < PQnfields(r); c++)
		json_array_append_new(columns, json_string(PQfname(r, c)));
	for (int k = 0; k < PQntuples(r); k++) {
		json_t *row = json_array();

		for (int c = 0; c < PQnfields(r); c++)
			json_array_append_new(row, PQgetisnull(r, k, c) ? json_null() : json_stringn(PQgetvalue(r, k, c), (size_t)PQgetlength(r, k, c)));
		json_array_append_new(rows, row);
	}
}

int pg_copy_start(struct pg *p, const char *sql, struct err *e)
{
	PGresult *r;
	bool copying;

	if (!p->conn || !PQsendQuery(p->conn, sql))
		return not_sent(p, e);
	if (flush(p, e) || finish(p, &r, e))
		return -1;
	copying = PQresultStatus(r) == PGRES_COPY_IN;
	PQclear(r);
	return copying ? 0 : err_set(e, ERR_INTERNAL, "the server did not begin to copy");
}

/* The server has ended the COPY by an error of its own: that one is wanted, not libpq's "no COPY in progress". */
static int copy_broken(struct pg *p, struct err *e)
{
	PGresult *r;

	if (PQstatus(p->conn) != CONNECTION_OK || finish(p, &r, e) == 0)
		return failed(p, NULL, e);
	return -1;
}

int pg_copy_send(struct pg *p, const struct buf *data, struct err *e)
{
	int n = 0;

	if (!p->conn)
		return not_sent(p, e);
	if (data->len == 0)
		return 0;
	while ((n = PQputCopyData(p->conn, data->data, (int)data->len)) == 0)
		if (flush(p, e))
			return -1;
	if (n < 0)
		return copy_broken(p, e);
	/* bound what waits in libpq: its buffer grows without end otherwise */
	return flush(p, e);
}

int pg_copy_finish(struct pg *p, const char *abort, struct err *e)
{
	PGresult *r = NULL;
	int n;

	if (!p->conn)
		return not_sent(p, e);
	while ((n = PQputCopyEnd(p->conn, abort)) == 0)
		if (flush(p, e))
			return -1;
	if (n < 0)
		return copy_broken(p, e);
	if (flush(p, e))
		return -1;
	if (!abort) {
		if (finish(p, &r, e))
			return -1;
		PQclear(r);
		return 0;
	}
	while (next_result(p, &r, e) == 0) {
		if (!r)
			return 0;
		PQclear(r);
	}
	return -1;
}
