/*
 * sql_text.c - quoting: the quote doubled, nothing else special. A backslash in a text is safe only where standard_conforming_strings is on, which is so in
 * every PostgreSQL since 9.1 and in SQLite; texts with one are not sent by DDL of ours anyway.
 */
#include "loaders/sql/sql_text.h"

static void quoted(struct buf *out, const char *text, char quote)
{
	buf_addc(out, quote);
	for (; *text; text++) {
		if (*text == quote)
			buf_addc(out, quote);
		buf_addc(out, *text);
	}
	buf_addc(out, quote);
}

void sql_add_name(struct buf *out, const char *name)
{
	quoted(out, name, '"');
}

void sql_add_table(struct buf *out, const char *schema, const char *table)
{
	sql_add_name(out, schema);
	buf_addc(out, '.');
	sql_add_name(out, table);
}

char *sql_table(const char *schema, const char *table)
{
	struct buf b = BUF_INIT;

	sql_add_table(&b, schema, table);
	return buf_detach(&b, NULL);
}

void sql_add_text(struct buf *out, const char *text)
{
	quoted(out, text, '\'');
}
