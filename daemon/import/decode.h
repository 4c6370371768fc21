/*
 * decode.h - what decode.c (batch bodies), decode_push.c and validate.c share; nobody else includes it.
 */
#ifndef STITCH_IMPORT_DECODE_H
#define STITCH_IMPORT_DECODE_H

#include "daemon/import/intake.h"
#include "daemon/import/schema.h"

struct member { /* a key that the API knows: its value as sent */
	enum jtype type; /* J_ABSENT: not there */
	bool escaped;	 /* a string with backslashes */
	struct str raw;
};

/* Which of names (each with its quotes) the key is that jscan just met; n: none. */
size_t member_find(const struct jscan *s, const struct str *names, size_t n);
/* The value after a key, passed. -1: malformed. */
int member_read(struct jscan *s, struct member *m) MUST_CHECK;
/* Is it a string that means text, which is given with its quotes? */
bool member_is(const struct member *m, struct str quoted);
int member_i64(const struct member *m, int64_t *out) MUST_CHECK; /* -1: no integer, or not in int64 */
/* Read on to the end, only to know whether the document is well formed. -1: malformed, and refused as that. */
int decode_rest(struct jscan *s, struct refusal *r) MUST_CHECK;

enum { M_ACTION, M_SEQUENCE, M_DATA, M_TIME_EXTRACTED, M_N };
enum { B_TABLE_NAME, B_SCHEMA, B_MESSAGES, B_KEY_NAMES, B_TABLE_VERSION, B_BOOKMARK_NAMES, B_N };
extern const struct str message_names[M_N], batch_names[B_N];

/* A violation of the request's form, in the words of the validator behind the public API: "#/K: expected type: T, found: T2". */
void violation(struct intake *b, const char *fmt, ...) PRINTF(2, 3);
/* With any violation: the refusal that lists them; -1. */
int violations_refuse(struct intake *b, struct refusal *r) MUST_CHECK;
/* Does a table's name climb in a tree of folders: "..", "../x", "a/../b"? It is refused, though it could be stored: no honest sender has such tables. */
bool name_climbs(struct str name);
/* Has the string that jscan just met a U+0000? No destination has a key of such a name. */
bool has_nul(struct intake *b, const struct jscan *s);
/* The form of a batch's top level, once all of it was read. */
void validate_top(struct intake *b, const struct member m[B_N], size_t messages);
/* A message of a batch that is neither an upsert nor an activate_version: why. extra: a key that does not belong there, or STR_NULL. */
void validate_message(struct intake *b, size_t n, enum jtype type, const struct member m[M_N], struct str extra);
/* The record that was read, number n of a batch, against required fields and keys. */
int validate_record(struct intake *b, struct group *g, size_t n, struct refusal *r) MUST_CHECK;
/* Do all records that were kept hold the same, by what was counted? false: one may not. judged: they were read with this schema, only the keys are new. */
bool validate_counts(const struct group *g, bool judged);

#endif
