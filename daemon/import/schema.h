/*
 * schema.h - the JSON schema that comes with a batch request: compiled once per distinct text (jschema.h) and kept in a small cache of the http thread
 * (clients send it with every request).
 */
#ifndef STITCH_IMPORT_SCHEMA_H
#define STITCH_IMPORT_SCHEMA_H

#include "base.h"
#include "buf.h"
#include "str.h"

struct jschema;
struct schema {
	struct buf text;     /* as sent */
	struct buf minified;
	struct jschema *rules; /* NULL: see error */
	char *error;	       /* "unknown type: [T]", or NULL */
};
struct schema_cache;
struct schema_cache *schema_cache_new(void) MUST_CHECK;
void schema_cache_free(struct schema_cache *c);
/* raw: a valid JSON object. The result stays valid until the next call. */
const struct schema *schema_get(struct schema_cache *c, struct str raw);

#endif
