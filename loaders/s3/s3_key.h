/*
 * s3_key.h - names of objects: a template like `[integration_name]/[table_name]/[table_version]_[timestamp_loaded].[csv|jsonl]`, filled and recognised. Pure. A struct key_template
 * is the caller's (key_template_free).
 */
#ifndef STITCH_S3_KEY_H
#define STITCH_S3_KEY_H

#include "base.h"
#include "buf.h"
#include "err.h"
#include "str.h"

#define KEY_TEMPLATE_DEFAULT "[integration_name]/[table_name]/[table_version]_[timestamp_loaded].[csv|jsonl]"
#define KEY_PIECES 40

enum key_element { KEY_TEXT, KEY_INTEGRATION, KEY_TABLE, KEY_VERSION, KEY_TIMESTAMP, KEY_YEAR, KEY_MONTH, KEY_DAY, KEY_HOUR, KEY_FORMAT, KEY_ELEMENTS };
struct key_template {
	char *text; /* owns what the pieces point into */
	const char *format; /* "csv" or "jsonl": static */
	struct { enum key_element e; struct str text; } piece[KEY_PIECES];
	size_t n;
};
struct key_parts {
	const char *schema; /* the integration's name; "": none, and no slash for it */
	const char *table;  /* key_table_name() of it; of a subtable parts joined by / */
	int64_t version;    /* of the table; 0 (none) is written as 1 */
	int64_t load_time;  /* ns since 1970 */
};

/* ERR_CONFIG: something that must be there is missing, an element that is not known, two numbers side by side. */
int key_template_parse(const char *text, const char *format, struct key_template *out, struct err *e) MUST_CHECK;
void key_template_free(struct key_template *t);
/* ERR_DATA when it is longer than S3 takes. */
int key_make(const struct key_template *t, const struct key_parts *p, struct buf *out, struct err *e) MUST_CHECK;
/* What all keys of a schema's table begin with. */
void key_prefix(const struct key_template *t, const char *schema, const char *table, struct buf *out);
/* What all keys begin with. */
void key_beginning(const struct key_template *t, struct buf *out);
/* Is it a file of that very table (not of a subtable)? loaded: its timestamp, ms. */
bool key_is_of(const struct key_template *t, const char *schema, const char *table, const char *key, int64_t *loaded);
/* A name as it stands between slashes: no slash, no control character, not "." or "..". Appended. */
void key_table_name(struct buf *out, struct str name);

#endif
