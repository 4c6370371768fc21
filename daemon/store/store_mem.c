/*
 * store_mem.c - the store in memory, see store_mem.h. One lock guards all; nothing is called while it is held (a list is a copy of the names).
 */
#include "daemon/store/store_mem.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/store/store_ops.h"
#include "file.h"
#include "map.h"
#include "xalloc.h"

struct object {
	struct buf data;
	bool torn;
};

struct mem_store {
	struct store s;
	pthread_mutex_t lock; /* guards all below */
	struct map objects;
	unsigned faults;
};

static struct mem_store *self(struct store *s)
{
	return container_of(s, struct mem_store, s);
}

static struct store *mem_open(const char *rest, const char *state_dir, const struct store_keys *keys, struct err *e)
{
	struct mem_store *m = xcalloc(1, sizeof(*m));

	(void)rest;
	(void)state_dir;
	(void)keys;
	(void)e;
	pthread_mutex_init(&m->lock, NULL);
	return &m->s;
}

static void object_free(void *p)
{
	struct object *o = p;

	if (o)
		buf_free(&o->data);
	free(o);
}

static void mem_close(struct store *s)
{
	struct mem_store *m = self(s);

	map_free(&m->objects, object_free);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static int fault(struct err *e)
{
	return err_set(e, ERR_IO, "the store could not do it (a fault that the test asked for)");
}

static int mem_put(struct store *s, const char *name, const void *data, size_t len, struct err *e)
{
	struct mem_store *m = self(s);
	struct object *o = xcalloc(1, sizeof(*o));
	unsigned f;

	pthread_mutex_lock(&m->lock);
	f = m->faults;
	m->faults &= STORE_MEM_FAIL_ALL;
	o->torn = f & STORE_MEM_TEAR_NEXT;
	buf_add(&o->data, data, o->torn ? len / 2 : len);
	if (!(f & (STORE_MEM_FAIL_NEXT | STORE_MEM_FAIL_ALL)))
		o = map_put(&m->objects, str_c(name), o);
	pthread_mutex_unlock(&m->lock);
	object_free(o);
	return f ? fault(e) : 0;
}

static int no_object(const char *name, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "the store holds no %s", name);
}

static int mem_get(struct store *s, const char *name, struct err *e)
{
	struct mem_store *m = self(s);
	struct object *o;
	int fd = memfd_create("object", MFD_CLOEXEC), rc;

	if (fd < 0)
		return err_set(e, ERR_FULL, "memfd_create: no more descriptors");
	pthread_mutex_lock(&m->lock);
	o = map_get(&m->objects, str_c(name));
	rc = o ? file_write_all(fd, o->data.data, o->data.len, 0, e) : no_object(name, e);
	pthread_mutex_unlock(&m->lock);
	if (rc) {
		close(fd);
		return -1;
	}
	return fd;
}

static int mem_stat(struct store *s, const char *name, uint64_t *bytes, struct err *e)
{
	struct mem_store *m = self(s);
	struct object *o;

	pthread_mutex_lock(&m->lock);
	o = map_get(&m->objects, str_c(name));
	if (o)
		*bytes = o->data.len;
	pthread_mutex_unlock(&m->lock);
	return o ? 0 : no_object(name, e);
}

static int mem_del(struct store *s, const char *name, struct err *e)
{
	struct mem_store *m = self(s);
	struct object *o = NULL;
	bool fails;

	pthread_mutex_lock(&m->lock);
	fails = m->faults & STORE_MEM_FAIL_ALL;
	if (!fails)
		o = map_del(&m->objects, str_c(name));
	pthread_mutex_unlock(&m->lock);
	object_free(o);
	return fails ? fault(e) : 0;
}

struct listing {
	const char *prefix;
	struct buf names; /* each with its NUL, then its size */
};

static void list_one(struct str key, void *value, void *arg)
{
	struct listing *l = arg;
	const struct object *o = value;
	uint64_t size = o->data.len;

	if (!str_starts(key, str_c(l->prefix)))
		return;
	buf_add(&l->names, key.ptr, key.len);
	buf_addc(&l->names, '\0');
	buf_add(&l->names, &size, sizeof(size));
}

static int mem_list(struct store *s, const char *prefix, store_list_fn *fn, void *arg, struct err *e)
{
	struct mem_store *m = self(s);
	struct listing l = {.prefix = prefix};

	(void)e;
	pthread_mutex_lock(&m->lock);
	map_each(&m->objects, list_one, &l);
	pthread_mutex_unlock(&m->lock);
	for (size_t at = 0; at < l.names.len;) {
		const char *name = l.names.data + at;
		uint64_t size;

		at += strlen(name) + 1;
		memcpy(&size, l.names.data + at, sizeof(size));
		at += sizeof(size);
		fn(name, size, arg);
	}
	buf_free(&l.names);
	return 0;
}

void store_mem_fault(struct store *s, unsigned flags)
{
	struct mem_store *m = self(s);

	pthread_mutex_lock(&m->lock);
	m->faults = flags;
	pthread_mutex_unlock(&m->lock);
}

static void drop_torn(struct str key, void *value, void *arg)
{
	struct mem_store *m = arg;
	struct object *o = value;

	if (o->torn)
		object_free(map_del(&m->objects, key));
}

void store_mem_crash(struct store *s)
{
	struct mem_store *m = self(s);

	pthread_mutex_lock(&m->lock);
	map_each(&m->objects, drop_torn, m);
	m->faults = 0;
	pthread_mutex_unlock(&m->lock);
}

size_t store_mem_count(struct store *s)
{
	struct mem_store *m = self(s);
	size_t n;

	pthread_mutex_lock(&m->lock);
	n = map_len(&m->objects);
	pthread_mutex_unlock(&m->lock);
	return n;
}

const struct store_ops store_mem_ops = {
	.scheme = "mem",
	.open = mem_open,
	.close = mem_close,
	.put = mem_put,
	.get = mem_get,
	.stat = mem_stat,
	.del = mem_del,
	.list = mem_list,
};
