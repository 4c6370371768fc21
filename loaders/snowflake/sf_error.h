/*
 * sf_error.h - what an error code of Snowflake means for a load, and what a person does about it. Pure; any thread.
 */
#ifndef STITCH_SF_ERROR_H
#define STITCH_SF_ERROR_H

#include "base.h"
#include "buf.h"
#include "err.h"

/* Who asks: names for the texts. Borrowed. */
struct sf_names { const char *account, *user, *role, *database, *schema, *warehouse, *integration, *stage, *fingerprint; };

/* code: six digits as Snowflake writes them ("002003"), may be ""; state: SQLSTATE or ""; status: of HTTP. */
enum err_code sf_error_class(const char *code, const char *state, unsigned status, const char *message);
/* A sentence with the statements that put it right, real names in them; nothing is appended when there is nothing to say. */
void sf_error_fix(const char *code, const struct sf_names *n, struct buf *out);
/* The number of the line (from 1) of a staged file that COPY complains about; 0: it does not say. */
uint64_t sf_error_line(const char *message);
/* The name as an identifier in double quotes; upper: ASCII letters in upper case, as all names of ours are. */
void sf_ident(struct buf *sql, const char *name, bool upper);

#endif
