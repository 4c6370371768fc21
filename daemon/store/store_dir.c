/*
 * store_dir.c - batch files in a folder. A put is file_commit() in a folder made by file_mkdirs().
 *
 * What can go wrong: a crash between the making of a folder and the sync of its parent leaves a folder that the next run finds "already there"
 * and that a power cut may still take away with all its files. So the first put into a folder in each run syncs every folder above it,
 * whoever made it. Temporary files of a run that died are unlinked while listing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/core/now.h"
#include "daemon/store/store_ops.h"
#include "file.h"
#include "map.h"
#include "xalloc.h"

#define TMP_PREFIX ".tmp-"
#define TMP_OLD (60 * NSEC_PER_SEC) /* older than the start by this: surely not of this run */

struct dir_store {
	struct store s;
	char *root;
	int64_t opened; /* real */
	pthread_mutex_t lock; /* guards ready */
	struct map ready; /* folders (below root) whose entry, and those of all above, are durable */
};

static struct dir_store *self(struct store *s)
{
	return container_of(s, struct dir_store, s);
}

static struct store *dir_open(const char *rest, const char *state_dir, const struct store_keys *keys, struct err *e)
{
	char *root = *rest ? xstrdup(rest) : xasprintf("%s/store", state_dir);
	struct dir_store *d;

	(void)keys;
	for (size_t n = strlen(root); n > 1 && root[n - 1] == '/'; n--)
		root[n - 1] = '\0';
	if (file_mkdirs(root, 0750, e)) {
		free(root);
		return NULL;
	}
	if (access(root, R_OK | W_OK | X_OK)) {
		err_errno(e, errno, "store %s cannot be written", root);
		free(root);
		return NULL;
	}
	d = xcalloc(1, sizeof(*d));
	d->root = root;
	d->opened = now_get().real;
	pthread_mutex_init(&d->lock, NULL);
	return &d->s;
}

static void dir_close(struct store *s)
{
	struct dir_store *d = self(s);

	map_free(&d->ready, NULL);
	pthread_mutex_destroy(&d->lock);
	free(d->root);
	free(d);
}

/* Sync root's parent, root, and each folder down to the one that holds dir (dir itself is synced with each file). */
static int sync_above(struct dir_store *d, const char *dir, struct err *e)
{
	char *p = xasprintf("%s/%s", d->root, dir), *slash;
	size_t keep = strlen(d->root);
	struct err why = ERR_INIT;
	int rc = 0;

	while (!rc && strlen(p) >= keep && (slash = strrchr(p, '/'))) {
		*slash = '\0';
		rc = file_sync_dir(*p ? p : "/", &why);
		/* the folder that holds root may not be ours to open; then whoever made root in it answers for that */
		if (rc && why.code == ERR_DENIED && strlen(p) < keep)
			rc = 0;
	}
	if (rc && e)
		*e = why;
	free(p);
	return rc;
}

static int prepare_dir(struct dir_store *d, const char *dir, struct err *e)
{
	bool known;
	char *path;
	int rc;

	pthread_mutex_lock(&d->lock);
	known = map_get(&d->ready, str_c(dir)) != NULL;
	pthread_mutex_unlock(&d->lock);
	if (known)
		return 0;
	path = xasprintf("%s/%s", d->root, dir);
	rc = file_mkdirs(path, 0750, e);
	free(path);
	if (rc || sync_above(d, dir, e))
		return -1;
	pthread_mutex_lock(&d->lock);
	map_put(&d->ready, str_c(dir), d);
	pthread_mutex_unlock(&d->lock);
	return 0;
}

static void forget_dir(struct dir_store *d, const char *dir)
{
	pthread_mutex_lock(&d->lock);
	map_del(&d->ready, str_c(dir));
	pthread_mutex_unlock(&d->lock);
}

static int dir_put(struct store *s, const char *name, const void *data, size_t len, struct err *e)
{
	struct dir_store *d = self(s);
	const char *slash = strrchr(name, '/');
	char *below = slash ? xstrndup(name, (size_t)(slash - name)) : xstrdup("."), *path;
	int rc = prepare_dir(d, below, e);

	if (!rc) {
		path = xasprintf("%s/%s", d->root, below);
		rc = file_commit(path, slash ? slash + 1 : name, data, len, e);
		/* it may be that somebody removed the folder: make it anew next time */
		if (rc)
			forget_dir(d, below);
		free(path);
	}
	free(below);
	return rc;
}

static int dir_get(struct store *s, const char *name, struct err *e)
{
	char *path = xasprintf("%s/%s", self(s)->root, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		err_errno(e, errno, "%s", path);
	free(path);
	return fd;
}

static int dir_stat(struct store *s, const char *name, uint64_t *bytes, struct err *e)
{
	char *path = xasprintf("%s/%s", self(s)->root, name);
	struct stat st;
	int rc = lstat(path, &st);

	if (rc)
		err_errno(e, errno, "%s", path);
	else if (!S_ISREG(st.st_mode))
		rc = err_set(e, ERR_NOT_FOUND, "%s is not a file", path);
	else
		*bytes = (uint64_t)st.st_size;
	free(path);
	return rc;
}

static int dir_del(struct store *s, const char *name, struct err *e)
{
	char *path = xasprintf("%s/%s", self(s)->root, name);
	int rc = 0;

	/* not synced: a file that comes back after a power cut has no row, so the sweeper takes it */
	if (unlink(path) && errno != ENOENT)
		rc = err_errno(e, errno, "%s", path);
	free(path);
	return rc;
}

struct walk {
	struct dir_store *d;
	const char *prefix;
	store_list_fn *fn;
	void *arg;
};

static int walk_dir(const struct walk *w, const char *below, unsigned depth, struct err *e);

static int walk_entry(const struct walk *w, const char *below, const char *entry, unsigned depth, struct err *e)
{
	char *name = *below ? xasprintf("%s/%s", below, entry) : xstrdup(entry);
	char *path = xasprintf("%s/%s", w->d->root, name);
	size_t common = MIN(strlen(name), strlen(w->prefix));
	bool matches = strncmp(name, w->prefix, common) == 0;
	struct stat st;
	int rc = 0;

	if (lstat(path, &st)) {
		/* it went away meanwhile */
	} else if (S_ISDIR(st.st_mode)) {
		if (matches && entry[0] != '.')
			rc = walk_dir(w, name, depth + 1, e);
	} else if (str_starts(str_c(entry), STR(TMP_PREFIX))) {
		if ((int64_t)st.st_mtime * NSEC_PER_SEC + TMP_OLD < w->d->opened)
			unlink(path);
	} else if (S_ISREG(st.st_mode) && entry[0] != '.' && matches && common == strlen(w->prefix)) {
		w->fn(name, (uint64_t)st.st_size, w->arg);
	}
	free(name);
	free(path);
	return rc;
}

static int walk_dir(const struct walk *w, const char *below, unsigned depth, struct err *e)
{
	char *path = *below ? xasprintf("%s/%s", w->d->root, below) : xstrdup(w->d->root);
	DIR *d = opendir(path);
	struct dirent *de;
	int rc = 0;

	if (!d && errno != ENOENT)
		rc = err_errno(e, errno, "folder %s", path);
	while (!rc && d && depth < 8) {
		errno = 0;
		de = readdir(d);
		if (!de) {
			if (errno)
				rc = err_errno(e, errno, "folder %s", path);
			break;
		}
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			rc = walk_entry(w, below, de->d_name, depth, e);
	}
	if (d)
		closedir(d);
	free(path);
	return rc;
}

static int dir_list(struct store *s, const char *prefix, store_list_fn *fn, void *arg, struct err *e)
{
	struct walk w = {self(s), prefix, fn, arg};

	return walk_dir(&w, "", 0, e);
}

const struct store_ops store_dir_ops = {
	.scheme = "dir",
	.open = dir_open,
	.close = dir_close,
	.put = dir_put,
	.get = dir_get,
	.stat = dir_stat,
	.del = dir_del,
	.list = dir_list,
};
