/*
 * jschema_priv.h - a compiled schema as jschema.c builds it and jschema_check.c walks it; nobody else includes it. Slices point into the schema's text or
 * into memory that the schema owns.
 */
#ifndef STITCH_IMPORT_JSCHEMA_PRIV_H
#define STITCH_IMPORT_JSCHEMA_PRIV_H

#include "daemon/import/jschema.h"
#include "map.h"
#include "pattern.h"

#define J_BIT(t) (1u << (t))
enum jtype_bits { /* what the names of types stand for */
	T_INTEGER = J_BIT(J_INTEGER) | J_BIT(J_BIGNUM), /* and a J_NUMBER that is whole */
	T_NUMBER = T_INTEGER | J_BIT(J_NUMBER),
};

struct jprop {
	struct str name; /* unescaped */
	struct jnode *node; /* NULL: any */
	bool required, listed; /* listed: in properties */
	uint32_t at;	       /* of the required ones: which */
};

struct jlist {
	struct jnode **node; /* elements may be NULL: any */
	size_t n;
};

struct jpattern_prop {
	struct pattern *pattern;
	struct jnode *node;
};

struct jobject { /* what is said of objects */
	struct jprop *props; /* sorted by name once all is read */
	size_t n_props, cap_props, n_required;
	struct jpattern_prop *patterns;
	size_t n_patterns;
	bool closed;		   /* additionalProperties: false */
	struct jnode *additional, *names;
	int64_t min, max; /* -1: none */
};

struct jarray {
	struct jlist tuple;
	bool is_tuple, prefix, closed, unique; /* closed: additionalItems: false; prefix: the tuple is prefixItems */
	struct jnode *items;		       /* of all, or of those after the tuple */
	struct jnode *extra;		       /* additionalItems, until all is read */
	int64_t min, max;
};

struct jscalar {
	struct str minimum, maximum, above, below, multiple; /* numbers; ptr NULL: none */
	int64_t min_length, max_length;
	int places; /* multiple is 1, 0.1, 0.01 ...: so many places after the point; else -1 */
	struct pattern *pattern;
	struct str pattern_text;
};

struct jvalues { /* enum or const, in canonical form */
	struct str *value;
	size_t n;
	bool constant;
};

/* Only few nodes have more than a type. */
struct jnode {
	uint32_t at; /* where its text begins */
	uint16_t types; /* mask of kinds; 0: not said */
	uint8_t order[7], n_types; /* as they were listed; J_NUMBER stands for number, J_INTEGER for integer */
	bool never; /* the schema false */
	bool whole; /* integer, but not number: a J_NUMBER must be looked at */
	struct jobject *object;
	struct jarray *array;
	struct jscalar *scalar;
	struct jvalues *values[2]; /* enum, const */
	struct jnode *ref, *not;
	struct str not_text;
	struct jlist all, any, one;
};

struct jschema {
	struct str text;
	struct jnode *root; /* NULL: any value */
	struct jnode **nodes; /* all of them, in the order of their texts */
	size_t n_nodes, cap_nodes, bytes;
	void **owned; /* what is freed with it */
	size_t n_owned, cap_owned;
	struct pattern **patterns;
	size_t n_patterns;
	unsigned ignored;
	uint32_t pattern_work; /* what is left of it */
	bool plain;
	struct buf tmp; /* of one judgement */
};

const struct jprop *jobject_find(const struct jobject *o, struct str name);
/* The value so that two that are equal as JSON Schema counts have the same bytes: no white space, numbers by value, keys in order. Appended. */
void jcanon(struct str value, struct buf *out);

#endif
