/*
 * rs_error.h - what a complaint of Redshift means, beyond its SQLSTATE: many come as XX000 and tell themselves apart only by their words. Pure; any thread.
 */
#ifndef STITCH_RS_ERROR_H
#define STITCH_RS_ERROR_H

#include "base.h"
#include "err.h"

/* sqlstate as for pg_error_class(); text: message and detail. *fix: what a person does about it; static, "" when nothing better than the text is known. */
enum err_code rs_error_class(const char *sqlstate, const char *text, const char **fix);
/* The system table that a failed COPY names ("stl_load_errors" or "sys_load_error_detail"); NULL: this is no complaint about what was in the files. */
const char *rs_error_load_table(const char *text);

#endif
