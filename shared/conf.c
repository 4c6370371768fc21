/*
 * conf.c - the settings table of pgbouncer's and Postfix's kind: name, type, default, bounds, where it goes, what it is for. Errors say
 * file, line, key and what would be right. Files are limited to 1 MiB.
 */
#include "conf.h"

#include "file.h"
#include "xalloc.h"

#define CONF_FILE_MAX (1u << 20)

static const struct conf_key *find_key(const struct conf_key *keys, size_t n, struct str name)
{
	for (size_t i = 0; i < n; i++)
		if (str_eqc(name, keys[i].name))
			return &keys[i];
	return NULL;
}

static int in_bounds(const struct conf_key *k, int64_t v, struct err *e)
{
	if ((k->min || k->max) && (v < k->min || v > k->max))
		return err_set(e, ERR_INVALID, "%s: %" PRId64 " is outside %" PRId64 "..%" PRId64, k->name, v, k->min, k->max);
	return 0;
}

static int set_string(char **to, struct str value, struct err *e)
{
	struct buf b = BUF_INIT;

	if (value.len && value.ptr[0] == '@') {
		char *path = xstrndup(value.ptr + 1, value.len - 1);
		int rc = file_read(path, CONF_FILE_MAX, &b, e);

		free(path);
		if (rc) {
			buf_free(&b);
			return -1;
		}
		value = str_trim(buf_str(&b));
	}
	free(*to);
	*to = str_dup(value);
	buf_free(&b);
	return 0;
}

int conf_set(const struct conf_key *keys, size_t n, void *into, const char *key, struct str value, struct err *e)
{
	const struct conf_key *k = find_key(keys, n, str_c(key));
	char *at;
	uint64_t u;
	int64_t i;

	if (!k)
		return err_set(e, ERR_INVALID, "%s: no such setting", key);
	at = (char *)into + k->offset;
	switch (k->type) {
	case CONF_STRING:
		return set_string((char **)(void *)at, value, e);
	case CONF_INT:
		if (str_to_i64(value, &i))
			return err_set(e, ERR_INVALID, "%s: \"" STR_FMT "\" is not a number", key, STR_ARG(value));
		if (in_bounds(k, i, e))
			return -1;
		*(int64_t *)(void *)at = i;
		return 0;
	case CONF_BYTES:
		if (str_to_bytes(value, &u) || u > INT64_MAX)
			return err_set(e, ERR_INVALID, "%s: \"" STR_FMT "\" is not a size (like 64M)", key, STR_ARG(value));
		if (in_bounds(k, (int64_t)u, e))
			return -1;
		*(uint64_t *)(void *)at = u;
		return 0;
	case CONF_DURATION:
		if (str_to_duration(value, &i))
			return err_set(e, ERR_INVALID, "%s: \"" STR_FMT "\" is not a duration (like 30s, 5m, 7d)", key, STR_ARG(value));
		if (in_bounds(k, i, e))
			return -1;
		*(int64_t *)(void *)at = i;
		return 0;
	case CONF_BOOL:
		if (!str_eqc(value, "yes") && !str_eqc(value, "no"))
			return err_set(e, ERR_INVALID, "%s: \"" STR_FMT "\" is neither yes nor no", key, STR_ARG(value));
		*(bool *)at = str_eqc(value, "yes");
		return 0;
	}
	return err_set(e, ERR_INTERNAL, "%s: setting without a type", key);
}

int conf_defaults(const struct conf_key *keys, size_t n, void *into, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (keys[i].def && conf_set(keys, n, into, keys[i].name, str_c(keys[i].def), e))
			return -1;
	return 0;
}

/* one line of the file; seen has a bit per key */
static int read_line(const struct conf_key *keys, size_t n, void *into, struct str line, bool *seen, struct err *e)
{
	const char *eq;
	struct str name;
	char *key;
	const struct conf_key *k;
	int rc;

	line = str_trim(line);
	if (!line.len || line.ptr[0] == '#')
		return 0;
	eq = memchr(line.ptr, '=', line.len);
	if (!eq)
		return err_set(e, ERR_INVALID, "expected \"key = value\"");
	name = str_trim(str_mem(line.ptr, (size_t)(eq - line.ptr)));
	k = find_key(keys, n, name);
	if (k && seen[k - keys])
		return err_set(e, ERR_INVALID, "%s is set twice", k->name);
	if (k)
		seen[k - keys] = true;
	key = str_dup(name);
	rc = conf_set(keys, n, into, key, str_trim(str_mem(eq + 1, line.len - (size_t)(eq + 1 - line.ptr))), e);
	free(key);
	return rc;
}

int conf_read(const struct conf_key *keys, size_t n, void *into, const char *path, struct err *e)
{
	struct buf b = BUF_INIT;
	bool *seen = xcalloc(n, sizeof(*seen));
	int rc = file_read(path, CONF_FILE_MAX, &b, e);
	size_t at = 0;

	for (unsigned no = 1; !rc && at < b.len; no++) {
		const char *nl = memchr(b.data + at, '\n', b.len - at);
		size_t len = nl ? (size_t)(nl - (b.data + at)) : b.len - at;

		rc = read_line(keys, n, into, str_mem(b.data + at, len), seen, e);
		if (rc)
			err_wrap(e, "%s:%u", path, no);
		at += len + 1;
	}
	free(seen);
	buf_free(&b);
	return rc;
}

void conf_free(const struct conf_key *keys, size_t n, void *into)
{
	for (size_t i = 0; i < n; i++)
		if (keys[i].type == CONF_STRING) {
			char **p = (char **)(void *)((char *)into + keys[i].offset);

			free(*p);
			*p = NULL;
		}
}

void conf_help(const struct conf_key *keys, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n; i++)
		buf_addf(out, "  %-22s %s%s%s%s\n", keys[i].name, keys[i].help, keys[i].def ? " [" : "", keys[i].def ? keys[i].def : "",
			keys[i].def ? "]" : "");
}
