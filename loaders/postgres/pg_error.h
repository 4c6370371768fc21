/*
 * pg_error.h - what a server's or libpq's complaint means: its class (try again, a person must act, a record is at fault), the cause in a sentence and what to
 * do about it. Pure; any thread.
 */
#ifndef STITCH_PG_ERROR_H
#define STITCH_PG_ERROR_H

#include "base.h"
#include "err.h"
#include "str.h"

#define PG_STATE_LEN 6 /* SQLSTATE and its NUL */

/* sqlstate: five characters, or NULL / "" when there is none (no connection, protocol): ERR_TRANSIENT. Else ERR_TRANSIENT, ERR_CONFIG or ERR_DATA. */
enum err_code pg_error_class(const char *sqlstate);
/* What a person can do about a config error with this state ("" when nothing better than the message itself is known). Static text. */
const char *pg_error_fix(const char *sqlstate);
/* A message of libpq about a connection that could not be made. The server's refusals (password, database, pg_hba.conf, role) come as text only; what they
 * mean is found by their words, which libpq does not translate as long as no locale is set. Returns the SQLSTATE that the server would have sent with a
 * statement, or "" for anything that may pass. */
const char *pg_error_of_connect(const char *message);
/* The record number of "COPY stg, line N, column c" in an error's CONTEXT; -1 when there is none. column: slice of context or STR_NULL. */
int64_t pg_error_copy_line(const char *context, struct str *column);

#endif
