/*
 * schema.c - the cache of compiled schemas, see schema.h. Texts are compared, not only their hashes: two sources must not be able to share rules by a
 * collision. A long schema is compiled anew each time, and when all that are kept take too much memory the others go, so that the cache stays small.
 */
#include "daemon/import/schema.h"

#include "daemon/core/metrics.h"
#include "daemon/import/jschema.h"
#include "jscan.h"
#include "xalloc.h"

#define SLOTS 64u
#define KEEP_MAX (64u << 10)
#define BYTES_MAX (8u << 20)

struct schema_cache {
	struct schema slot[SLOTS + 1]; /* the last one: what is too long to keep */
	struct schema *last;	       /* the usual one: a sender sends the same again, and comparing is cheaper than hashing */
};

static size_t schema_bytes(const struct schema *s)
{
	return s->text.cap + s->minified.cap + (s->rules ? jschema_bytes(s->rules) : 0);
}

static void schema_clear(struct schema *s)
{
	buf_free(&s->text);
	buf_free(&s->minified);
	jschema_free(s->rules);
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

static void make_room(struct schema_cache *c, const struct schema *keep)
{
	size_t bytes = 0;

	for (size_t i = 0; i <= SLOTS; i++)
		bytes += schema_bytes(&c->slot[i]);
	for (size_t i = 0; bytes > BYTES_MAX && i <= SLOTS; i++)
		if (&c->slot[i] != keep)
			schema_clear(&c->slot[i]);
}

const struct schema *schema_get(struct schema_cache *c, struct str raw)
{
	struct schema *s = c->last;
	struct err e = ERR_INIT;

	if (s && str_eq(buf_str(&s->text), raw))
		return s;
	c->last = s = &c->slot[raw.len > KEEP_MAX ? SLOTS : str_hash(raw) % SLOTS];
	if (str_eq(buf_str(&s->text), raw))
		return s;
	schema_clear(s);
	buf_addstr(&s->text, raw);
	jscan_minify(raw, &s->minified);
	s->rules = jschema_new(buf_str(&s->text), &e);
	if (s->rules)
		metric_add(import_patterns_ignored_total, jschema_patterns_ignored(s->rules));
	else
		s->error = xstrdup(e.text);
	make_room(c, s);
	return s;
}
