/*
 * jschema.h - a JSON Schema, compiled once, and values judged by it, in the words of the validator behind the public API (import-api.md). Any draft
 * from 4 to 2020-12: type, properties, patternProperties, additionalProperties, required, propertyNames, min/maxProperties, items (a schema or a list),
 * prefixItems, additionalItems, min/maxItems, uniqueItems, minimum, maximum, exclusive* (boolean and number), multipleOf, min/maxLength, pattern,
 * enum, const, allOf, anyOf, oneOf, not, $ref within the document. Every other keyword is ignored, format among them (it decides the column's type), and
 * so is a pattern that pattern.h does not understand: such are counted. Numbers are compared as decimals; nothing passes through a double.
 *
 * Work is bounded: the schema's size, and the steps of a judgement (`steps` is what is left of them; the caller decides for how much it stands).
 * A compiled schema belongs to one thread (its patterns have scratch memory).
 */
#ifndef STITCH_IMPORT_JSCHEMA_H
#define STITCH_IMPORT_JSCHEMA_H

#include "daemon/import/jtype.h"
#include "err.h"

#define JSCHEMA_TEXT_MAX (1u << 20)
#define JSCHEMA_NODES_MAX 100000u
#define JSCHEMA_BYTES_MAX (32u << 20) /* compiled */
#define JSCHEMA_REQUIRED_MAX 10000u /* as many fields as a record can have */
#define JSCHEMA_DEPTH_MAX 1000u /* of a judgement: nested values and references together */
#define JSCHEMA_ALL 0x1ffu	 /* 1 << every enum jtype */

struct jschema;
struct jnode;
/* text: a valid JSON object (or true, false); kept by reference. NULL: *e says why, as the API's "Invalid JSON schema: " goes on. */
struct jschema *jschema_new(struct str text, struct err *e) MUST_CHECK;
void jschema_free(struct jschema *s);
size_t jschema_bytes(const struct jschema *s); /* memory that it takes, about */
unsigned jschema_patterns_ignored(const struct jschema *s);

/* A whole value (valid JSON). Does it conform? If not and why is given, the violations are appended to it: "#/F: expected type: T, found: T2". */
bool jschema_check(struct jschema *s, struct str value, uint64_t *steps, struct buf *why) MUST_CHECK;

/* For callers who look at an object's fields one by one anyway. Plain: an object conforms if all of its fields do (jschema_field), and all that is
 * required is there. */
bool jschema_is_plain(const struct jschema *s);
size_t jschema_required(const struct jschema *s); /* how many different names */
struct jfield {
	const struct jnode *node; /* NULL: any value */
	uint16_t accepts;	  /* 1 << enum jtype: kinds of value that need no look */
	bool required;
};
struct jfield jschema_field(const struct jschema *s, struct str name);
bool jschema_field_check(struct jschema *s, const struct jnode *node, enum jtype kind, struct str value, uint64_t *steps) MUST_CHECK;

#endif
