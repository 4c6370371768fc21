/*
 * store.c - opens a store by its URL and checks what every backend may rely on: names. A name comes from a batch's row or from a folder that a
 * person may have touched, so it is checked here once and a backend can put it behind its root without a second look.
 */
#include "daemon/store/store.h"

#include <unistd.h>

#include "daemon/core/now.h"
#include "daemon/store/store_ops.h"
#include "file.h"

#define NAME_MAX_LEN 1000

static const struct store_ops *const backends[] = {&store_dir_ops, &store_mem_ops, &store_s3_ops};

struct store *store_open(const char *url, const char *state_dir, struct err *e)
{
	return store_open_keys(url, state_dir, NULL, e);
}

struct store *store_open_keys(const char *url, const char *state_dir, const struct store_keys *keys, struct err *e)
{
	static const struct store_keys none = {NULL, NULL, NULL};
	const char *colon = strchr(url, ':');
	struct store *s;

	for (size_t i = 0; colon && i < ARRAY_LEN(backends); i++) {
		if (!str_eqc(str_mem(url, (size_t)(colon - url)), backends[i]->scheme))
			continue;
		s = backends[i]->open(colon + 1, state_dir, keys ? keys : &none, e);
		if (s)
			s->ops = backends[i];
		return s;
	}
	err_set(e, ERR_INVALID, "store %s: the kinds of store are dir:PATH, s3://BUCKET and mem:", url);
	return NULL;
}

void store_close(struct store *s)
{
	if (s)
		s->ops->close(s);
}

static bool plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '%' || c == '-';
}

static int check_name(const char *name, struct err *e)
{
	size_t len = strlen(name), part = 0;

	if (len > NAME_MAX_LEN)
		return err_set(e, ERR_INVALID, "a name in the store has at most %d bytes", NAME_MAX_LEN);
	for (size_t i = 0; i <= len; i++) {
		if (plain(name[i]))
			continue;
		if (name[i] != '/' && i < len)
			return err_set(e, ERR_INVALID, "a name in the store has letters, digits and _ . %% - / only: %s", name);
		/* an empty part, and parts that begin with a dot: "..", and files that a backend hides */
		if (i == part || name[part] == '.')
			return err_set(e, ERR_INVALID, "no part of a name in the store is empty or begins with a dot: %s", name);
		part = i + 1;
	}
	return 0;
}

int store_put(struct store *s, const char *name, const void *data, size_t len, struct err *e)
{
	if (check_name(name, e))
		return -1;
	return s->ops->put(s, name, data, len, e);
}

int store_get(struct store *s, const char *name, struct err *e)
{
	if (check_name(name, e))
		return -1;
	return s->ops->get(s, name, e);
}

int store_stat(struct store *s, const char *name, uint64_t *bytes, struct err *e)
{
	if (check_name(name, e))
		return -1;
	return s->ops->stat(s, name, bytes, e);
}

int store_delete(struct store *s, const char *name, struct err *e)
{
	if (check_name(name, e))
		return -1;
	return s->ops->del(s, name, e);
}

int store_list(struct store *s, const char *prefix, store_list_fn *fn, void *arg, struct err *e)
{
	return s->ops->list(s, prefix, fn, arg, e);
}

void store_fix(struct store *s, struct buf *out)
{
	if (s->ops->fix)
		s->ops->fix(s, out);
}

static int read_back(struct store *s, const char *name, const char *text, size_t len, struct err *e)
{
	char seen[64];
	int fd = store_get(s, name, e), rc;

	if (fd < 0)
		return -1;
	rc = file_read_all(fd, seen, len, 0, e);
	if (!rc && memcmp(seen, text, len) != 0)
		rc = err_set(e, ERR_CORRUPT, "%s: what was read is not what was written", name);
	close(fd);
	return rc;
}

int store_check(struct store *s, struct err *e)
{
	unsigned char r[8];
	struct buf name = BUF_INIT;
	struct err later = ERR_INIT;
	int rc;

	random_bytes(r, sizeof(r));
	buf_adds(&name, "check/");
	buf_add_hex(&name, r, sizeof(r));
	rc = store_put(s, buf_cstr(&name), name.data, name.len, e);
	if (!rc) {
		rc = read_back(s, buf_cstr(&name), name.data, name.len, e);
		if (store_delete(s, buf_cstr(&name), &later) && !rc) {
			rc = -1;
			if (e)
				*e = later;
		}
	}
	buf_free(&name);
	return rc ? err_wrap(e, "store") : 0;
}
