/*
 * sql_text.h - names and texts in SQL as the standard (and every destination that speaks it) quotes them: "a ""name""", 'a ''text'''. Values of records never
 * go this way, only names and what DDL needs. Pure; any thread.
 */
#ifndef STITCH_SQL_TEXT_H
#define STITCH_SQL_TEXT_H

#include "base.h"
#include "buf.h"

void sql_add_name(struct buf *out, const char *name);
void sql_add_table(struct buf *out, const char *schema, const char *table); /* "schema"."table" */
char *sql_table(const char *schema, const char *table) MUST_CHECK; /* the same; the caller's */
void sql_add_text(struct buf *out, const char *text);

#endif
