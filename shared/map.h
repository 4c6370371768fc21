/*
 * map.h - a map from bytes to a pointer, over uthash (chosen in HACKING.md). The map copies keys; values are the caller's.
 * One thread. Zero-initialised is empty.
 */
#ifndef STITCH_MAP_H
#define STITCH_MAP_H

#include "base.h"
#include "str.h"

struct map_entry;
struct map {
	struct map_entry *head;
};

void *map_get(const struct map *m, struct str key); /* NULL: not there */
void *map_put(struct map *m, struct str key, void *value); /* returns the value that was there, or NULL */
void *map_del(struct map *m, struct str key); /* returns the value that was there, or NULL */
size_t map_len(const struct map *m);
/* In the order of insertion; fn may delete the entry that it is called for, no other. */
void map_each(const struct map *m, void (*fn)(struct str key, void *value, void *arg), void *arg);
void map_free(struct map *m, void (*free_value)(void *)); /* free_value may be NULL */

#endif
