/*
 * store_ops.h - the vtable, seen only by the .c files of store/. A backend embeds struct store first.
 */
#ifndef STITCH_STORE_OPS_H
#define STITCH_STORE_OPS_H

#include "daemon/store/store.h"

struct store_ops {
	const char *scheme;
	struct store *(*open)(const char *rest_of_url, const char *state_dir, const struct store_keys *keys, struct err *e);
	void (*close)(struct store *s);
	int (*put)(struct store *s, const char *name, const void *data, size_t len, struct err *e);
	int (*get)(struct store *s, const char *name, struct err *e);
	int (*stat)(struct store *s, const char *name, uint64_t *bytes, struct err *e);
	int (*del)(struct store *s, const char *name, struct err *e);
	int (*list)(struct store *s, const char *prefix, store_list_fn *fn, void *arg, struct err *e);
	void (*fix)(struct store *s, struct buf *out); /* NULL: there is nothing to say */
};

struct store {
	const struct store_ops *ops;
};

extern const struct store_ops store_dir_ops, store_mem_ops, store_s3_ops;

#endif
