/*
 * jwrite.h - a streaming JSON writer into a struct buf: it places commas and escapes strings, nothing else. Invalid UTF-8 in a
 * string becomes U+FFFD. One thread.
 */
#ifndef STITCH_JWRITE_H
#define STITCH_JWRITE_H

#include "base.h"
#include "buf.h"

struct jwrite {
	struct buf *out;
	bool comma; /* private */
};

void jwrite_init(struct jwrite *w, struct buf *out);
void jwrite_object(struct jwrite *w);
void jwrite_object_end(struct jwrite *w);
void jwrite_array(struct jwrite *w);
void jwrite_array_end(struct jwrite *w);
void jwrite_key(struct jwrite *w, const char *key); /* plain ASCII without anything to escape, or any text */
void jwrite_key_str(struct jwrite *w, struct str key);
void jwrite_string(struct jwrite *w, const char *s); /* NULL writes null */
void jwrite_str(struct jwrite *w, struct str s);
void jwrite_i64(struct jwrite *w, int64_t v);
void jwrite_u64(struct jwrite *w, uint64_t v);
void jwrite_bool(struct jwrite *w, bool v);
void jwrite_null(struct jwrite *w);
void jwrite_raw(struct jwrite *w, struct str json); /* a value that is JSON already */
/* "key": value in one call */
void jwrite_kv_string(struct jwrite *w, const char *key, const char *s);
void jwrite_kv_str(struct jwrite *w, const char *key, struct str s);
void jwrite_kv_i64(struct jwrite *w, const char *key, int64_t v);
void jwrite_kv_bool(struct jwrite *w, const char *key, bool v);

#endif
