/*
 * schema.h - the columns of a table: what the heads of its queue records say, merged in the order of the queue. Pure: no SQL, no clock. What a caller
 * takes out is its own; a struct schema is freed by schema_free.
 */
#ifndef STITCH_STATE_SCHEMA_H
#define STITCH_STATE_SCHEMA_H

#include "buf.h"
#include "err.h"
#include "map.h"
#include "str.h"

enum { SCHEMA_INTEGER, SCHEMA_BIGNUM, SCHEMA_NUMBER, SCHEMA_BOOLEAN, SCHEMA_STRING, SCHEMA_TIMESTAMP, SCHEMA_DATE, SCHEMA_OBJECT, SCHEMA_ARRAY, SCHEMA_TYPES };

/* Types, each once, in the order in which they appeared. */
struct type_list {
	unsigned char list[SCHEMA_TYPES];
	unsigned n;
};

struct column {
	struct buf name;
	struct type_list types;
};

struct schema {
	struct column *columns; /* in the order in which they appeared */
	size_t n, n_nested; /* n_nested: of them, paths into objects and arrays, which may have no types */
	struct map names; /* name -> number + 1 */
	struct buf key_names; /* JSON array; of the newest head */
};

/* columns: the JSON of types.h (types that are not known are dropped); key_names: a JSON array. NULL for both: nothing yet. */
int schema_parse(const char *columns, const char *key_names, struct schema *out, struct err *e) MUST_CHECK;
/* Adds what one head line says; *changed is set when the columns or the keys are others now. -1: the line is no head, nothing is changed. */
int schema_merge(struct schema *s, struct str head_line, bool *changed, struct err *e) MUST_CHECK;
void schema_columns(const struct schema *s, struct buf *out); /* as JSON, appended */
void schema_free(struct schema *s);

#endif
