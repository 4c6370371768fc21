/*
 * map.c - uthash behind five functions, so that its macros stay in one file. An entry and its key are one allocation.
 */
#include "map.h"

#include <uthash.h>

#include "xalloc.h"

struct map_entry {
	void *value;
	size_t len;
	UT_hash_handle hh;
	char key[];
};

static struct map_entry *find(const struct map *m, struct str key)
{
	struct map_entry *e = NULL;

	HASH_FIND(hh, m->head, key.ptr ? key.ptr : "", (unsigned)key.len, e);
	return e;
}

void *map_get(const struct map *m, struct str key)
{
	struct map_entry *e = find(m, key);

	return e ? e->value : NULL;
}

void *map_put(struct map *m, struct str key, void *value)
{
	struct map_entry *e = find(m, key);
	void *old = NULL;

	if (e) {
		old = e->value;
		e->value = value;
		return old;
	}
	e = xmalloc(sizeof(*e) + key.len + 1);
	e->value = value;
	e->len = key.len;
	if (key.len)
		memcpy(e->key, key.ptr, key.len);
	e->key[key.len] = '\0';
	HASH_ADD_KEYPTR(hh, m->head, e->key, (unsigned)key.len, e);
	return NULL;
}

void *map_del(struct map *m, struct str key)
{
	struct map_entry *e = find(m, key);
	void *old;

	if (!e)
		return NULL;
	old = e->value;
	HASH_DEL(m->head, e);
	free(e);
	return old;
}

size_t map_len(const struct map *m)
{
	return HASH_COUNT(m->head);
}

void map_each(const struct map *m, void (*fn)(struct str key, void *value, void *arg), void *arg)
{
	struct map_entry *e, *next;

	HASH_ITER(hh, m->head, e, next)
		fn(str_mem(e->key, e->len), e->value, arg);
}

void map_free(struct map *m, void (*free_value)(void *))
{
	struct map_entry *e, *next;

	HASH_ITER(hh, m->head, e, next) {
		HASH_DEL(m->head, e);
		if (free_value)
			free_value(e->value);
		free(e);
	}
	m->head = NULL;
}
