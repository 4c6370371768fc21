/*
 * schema.c - reading a JSON schema, see schema.h. Only what can refuse a request here is looked at: the names of types at any depth, and the list of
 * required fields at the top. Texts are compared, not only their hashes: two sources must not be able to share rules by a collision. A long
 * schema is read anew each time, so that the cache stays small.
 */
#include "daemon/import/schema.h"

#include "jscan.h"
#include "xalloc.h"

#define SLOTS 64u
#define KEEP_MAX (64u << 10)
#define REQUIRED_MAX 10000u /* as many fields as a record can have; each is looked for in each record */

struct schema_cache {
	struct schema slot[SLOTS + 1]; /* the last one: what is too long to keep */
	struct schema *last;	       /* the usual one: a sender sends the same again, and comparing is cheaper than hashing */
};

static void schema_clear(struct schema *s)
{
	buf_free(&s->text);
	buf_free(&s->minified);
	for (size_t i = 0; i < s->n_required; i++)
		free((char *)(uintptr_t)s->required[i].ptr);
	free(s->required);
	free(s->error);
	*s = (struct schema){.error = NULL};
}

struct schema_cache *schema_cache_new(void)
{
	return xcalloc(1, sizeof(struct schema_cache));
}

void schema_cache_free(struct schema_cache *c)
{
	for (size_t i = 0; c && i <= SLOTS; i++)
		schema_clear(&c->slot[i]);
	free(c);
}

static void check_type(struct schema *s, struct str token)
{
	static const char *const known[] = {"string", "number", "integer", "boolean", "object", "array", "null"};
	struct buf name = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (jscan_string_is(token, str_c(known[i])))
			return;
	if (s->error)
		return;
	jscan_unescape(token, &name);
	s->error = xasprintf("unknown type: [%.200s]", buf_cstr(&name));
	buf_free(&name);
}

static void read_type(struct schema *s, struct jscan *j)
{
	enum jscan_token t = jscan_next(j);

	if (t == JSCAN_STRING) {
		check_type(s, j->tok);
	} else if (t == JSCAN_ARRAY) {
		while ((t = jscan_next(j)) != JSCAN_ARRAY_END && t > JSCAN_END) {
			if (t == JSCAN_STRING)
				check_type(s, j->tok);
			else if (t == JSCAN_OBJECT || t == JSCAN_ARRAY)
				(void)jscan_skip(j);
		}
	} else if (t == JSCAN_OBJECT) {
		(void)jscan_skip(j);
	}
}

static void read_required(struct schema *s, struct jscan *j)
{
	enum jscan_token t = jscan_next(j);
	struct buf name = BUF_INIT;

	if (t == JSCAN_OBJECT)
		(void)jscan_skip(j);
	if (t != JSCAN_ARRAY)
		return;
	while ((t = jscan_next(j)) != JSCAN_ARRAY_END && t > JSCAN_END) {
		if (t == JSCAN_OBJECT || t == JSCAN_ARRAY)
			(void)jscan_skip(j);
		if (t != JSCAN_STRING)
			continue;
		if (s->n_required == REQUIRED_MAX) {
			if (!s->error)
				s->error = xasprintf("more than %u required fields", REQUIRED_MAX);
			continue;
		}
		jscan_unescape(j->tok, &name);
		s->required = xreallocarray(s->required, s->n_required + 1, sizeof(*s->required));
		s->required[s->n_required].len = name.len;
		s->required[s->n_required++].ptr = buf_detach(&name, NULL);
	}
}

static bool key_is(const struct jscan *j, const char *name)
{
	return jscan_string_is(j->tok, str_c(name));
}

enum { IN_SCHEMA, IN_NAMED /* an object whose values are schemas */ };

/* t is a schema, a list of schemas, or an object of them; anything else is passed. Depth is bounded by jscan. */
static void read_schema(struct schema *s, struct jscan *j, enum jscan_token t, int what, bool top)
{
	if (t == JSCAN_ARRAY) {
		while ((t = jscan_next(j)) != JSCAN_ARRAY_END && t > JSCAN_END)
			read_schema(s, j, t, IN_SCHEMA, false);
		return;
	}
	if (t != JSCAN_OBJECT)
		return;
	while (jscan_next(j) == JSCAN_KEY) {
		if (what == IN_NAMED)
			read_schema(s, j, jscan_next(j), IN_SCHEMA, false);
		else if (key_is(j, "type"))
			read_type(s, j);
		else if (top && key_is(j, "required"))
			read_required(s, j);
		else if (key_is(j, "properties") || key_is(j, "definitions") || key_is(j, "patternProperties"))
			read_schema(s, j, jscan_next(j), IN_NAMED, false);
		else if (key_is(j, "items") || key_is(j, "additionalProperties") || key_is(j, "anyOf") || key_is(j, "oneOf") || key_is(j, "allOf") ||
			key_is(j, "not"))
			read_schema(s, j, jscan_next(j), IN_SCHEMA, false);
		else
			(void)jscan_skip(j);
	}
}

const struct schema *schema_get(struct schema_cache *c, struct str raw)
{
	struct schema *s = c->last;
	struct jscan j;

	if (s && str_eq(buf_str(&s->text), raw))
		return s;
	c->last = s = &c->slot[raw.len > KEEP_MAX ? SLOTS : str_hash(raw) % SLOTS];
	if (str_eq(buf_str(&s->text), raw))
		return s;
	schema_clear(s);
	buf_addstr(&s->text, raw);
	jscan_minify(raw, &s->minified);
	jscan_init(&j, s->text.data, s->text.len, 0);
	read_schema(s, &j, jscan_next(&j), IN_SCHEMA, true);
	return s;
}
