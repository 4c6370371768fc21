/*
 * pg_conn.h - one connection to a PostgreSQL server: settings to connection, statements and COPY that never block for longer than a second without calling
 * `tick` (the daemon's heartbeat), errors with class, cause and fix. One thread. Any error that leaves the connection unusable makes
 * pg_usable false; pg_connect again then.
 */
#ifndef STITCH_PG_CONN_H
#define STITCH_PG_CONN_H

#include <jansson.h>
#include <libpq-fe.h>

#include "base.h"
#include "buf.h"
#include "err.h"
#include "loaders/postgres/pg_error.h"

typedef void pg_tick_fn(void *arg); /* at least once a second while something is waited for */

struct pg;
/* What is not the same in every server that speaks the protocol. */
struct pg_flavour {
	const char *name, *port; /* "PostgreSQL", "5432" */
	int oldest;		 /* as PQserverVersion() counts */
	const char *too_old;	 /* what to say of an older one */
	const char *const *wishes; /* statements for a new session, NULL at the end; one that fails does no harm */
	/* The class of p's complaint (state, message, detail) and what a person does about it (static or p's; "" when that is not known). It may
	 * change message and detail, to take secrets out. */
	enum err_code (*class_of)(struct pg *p, const char **fix);
};

struct pg {
	PGconn *conn;	/* NULL: not connected */
	json_t *settings; /* borrowed by pg_init's caller for as long as the struct lives */
	const char *destination;
	const struct pg_flavour *flavour; /* PostgreSQL's by pg_init; another may be put there before pg_connect */
	pg_tick_fn *tick;
	void *arg;
	int64_t deadline; /* of a wait, in seconds of the monotonic clock; 0: none */
	/* of the last error from the server; state "" when it came from the connection */
	char state[PG_STATE_LEN];
	struct buf context, detail, message, column, constraint;
};

/* Checks the settings' values only: sslmode, port, unknown types. */
int pg_init(struct pg *p, json_t *settings, const char *destination, pg_tick_fn *tick, void *arg, struct err *e) MUST_CHECK;
void pg_free(struct pg *p);
int pg_connect(struct pg *p, struct err *e) MUST_CHECK; /* within 20 s; closes what was open; 0 at once when usable */
void pg_disconnect(struct pg *p);
/* Any thread, any time: what the server is doing for this process is cancelled. One connection a process. */
void pg_interrupt(void);
bool pg_usable(const struct pg *p);
char *pg_server(const struct pg *p) MUST_CHECK; /* "PostgreSQL 15.18 at host:port/dbname, as user"; caller frees */

/* One statement with text parameters ($1...; NULL is null); the result has been checked and is PQclear'ed by the caller. */
PGresult *pg_query(struct pg *p, const char *sql, int n, const char *const *params, struct err *e) MUST_CHECK;
/* One or more statements without parameters or results. */
int pg_exec(struct pg *p, const char *sql, struct err *e) MUST_CHECK;
int pg_execf(struct pg *p, struct err *e, const char *fmt, ...) PRINTF(3, 4) MUST_CHECK;
/* Rows that a statement touched (PQcmdTuples), from pg_query's result. */
int64_t pg_touched(const PGresult *r);

/* Names of r's columns to columns, one array of text or null per row to rows (loader.h's sample). */
void pg_add_rows(const PGresult *r, json_t *columns, json_t *rows);

int pg_copy_start(struct pg *p, const char *sql, struct err *e) MUST_CHECK;
int pg_copy_send(struct pg *p, const struct buf *data, struct err *e) MUST_CHECK;
/* abort: text for the server's log, NULL to finish. -1 with the server's complaint; after an abort 0 when the server has taken it. */
int pg_copy_finish(struct pg *p, const char *abort, struct err *e) MUST_CHECK;

#endif
