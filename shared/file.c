/*
 * file.c - see file.h. The design: one function writes a temporary file beside its target, syncs it, renames it and syncs the
 * folder; every other way to a durable file would have to repeat the four steps. Temporary names begin with ".tmp-" so that a
 * start can unlink what a crash left.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "xalloc.h"

static _Atomic uint64_t sync_failures;

uint64_t file_sync_failures(void)
{
	return atomic_load(&sync_failures);
}

void file_sync_failed(void)
{
	atomic_fetch_add(&sync_failures, 1);
}

/* Held shared by a sync until its failure is counted, and for a moment alone by who must know of all that are under way. New ones wait
 * behind the latter, or a busy disk would keep it waiting for ever. */
static pthread_rwlock_t syncing = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

uint64_t file_sync_failures_settled(void)
{
	pthread_rwlock_wrlock(&syncing);
	pthread_rwlock_unlock(&syncing);
	return file_sync_failures();
}

void file_sync_begin(void)
{
	pthread_rwlock_rdlock(&syncing);
}

void file_sync_end(void)
{
	pthread_rwlock_unlock(&syncing);
}

static int counted(int (*sync)(int fd), int fd, const char *name, struct err *e)
{
	int failed, errnum;

	file_sync_begin();
	failed = sync(fd);
	errnum = errno;
	if (failed)
		file_sync_failed();
	file_sync_end();
	return failed ? err_errno(e, errnum, "%s", name) : 0;
}

int file_fdatasync(int fd, struct err *e)
{
	return counted(fdatasync, fd, "fdatasync", e);
}

/* Writing a large file out takes long and flushes nothing: it is done before the lock is taken, so that nobody has to wait for it who only wants to
 * know of flushes. Its error is told here and would not be told again. */
static int write_out(int fd)
{
	if (sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER) == 0)
		return 0;
	return errno == EIO || errno == ENOSPC || errno == EDQUOT ? -1 : 0; /* a folder, or a file system that cannot */
}

int file_fsync(int fd, struct err *e)
{
	if (write_out(fd)) {
		int errnum = errno;

		file_sync_failed();
		return err_errno(e, errnum, "fsync");
	}
	return counted(fsync, fd, "fsync", e);
}

int file_sync_dir(const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	if (fd < 0)
		return err_errno(e, errno, "folder %s", path);
	rc = file_fsync(fd, e);
	if (rc)
		err_wrap(e, "folder %s", path);
	if (close(fd) && !rc)
		rc = err_errno(e, errno, "folder %s", path);
	return rc;
}

int file_read(const char *path, size_t max, struct buf *b, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
	size_t start = b->len;

	if (fd < 0)
		return err_errno(e, errno, "%s", path);
	for (;;) {
		ssize_t n;

		buf_reserve(b, 65536);
		n = read(fd, b->data + b->len, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = err_errno(e, errno, "%s", path);
		if (n <= 0)
			break;
		b->len += (size_t)n;
		b->data[b->len] = '\0';
		if (b->len - start > max) {
			rc = err_set(e, ERR_INVALID, "%s: larger than %zu bytes", path, max);
			break;
		}
	}
	close(fd);
	return rc;
}

int file_write_all(int fd, const void *p, size_t n, int64_t offset, struct err *e)
{
	const char *c = p;

	while (n) {
		ssize_t w = offset < 0 ? write(fd, c, n) : pwrite(fd, c, n, offset);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return err_errno(e, errno, "write");
		c += w;
		n -= (size_t)w;
		if (offset >= 0)
			offset += w;
	}
	return 0;
}

int file_read_all(int fd, void *p, size_t n, int64_t offset, struct err *e)
{
	char *c = p;

	while (n) {
		ssize_t r = offset < 0 ? read(fd, c, n) : pread(fd, c, n, offset);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_errno(e, errno, "read");
		if (r == 0)
			return err_set(e, ERR_CORRUPT, "the file ends too early");
		c += r;
		n -= (size_t)r;
		if (offset >= 0)
			offset += r;
	}
	return 0;
}

int file_rename(const char *dir, const char *from, const char *to, struct err *e)
{
	char *a = xasprintf("%s/%s", dir, from), *b = xasprintf("%s/%s", dir, to);
	int rc = rename(a, b) ? err_errno(e, errno, "rename %s to %s", a, to) : file_sync_dir(dir, e);

	free(a);
	free(b);
	return rc;
}

int file_temp(const char *dir, struct err *e)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char *name;

	/* not every file system can do that */
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
		name = xasprintf("%s/.tmp-XX" "XX" "XX", dir);
		fd = mkostemp(name, O_CLOEXEC);
		if (fd >= 0)
			unlink(name);
		free(name);
	}
	return fd < 0 ? err_errno(e, errno, "a temporary file in %s", dir) : fd;
}

int file_temp_any(struct err *e)
{
	int fd = file_temp("/var/tmp", NULL);

	return fd < 0 ? file_temp("/tmp", e) : fd;
}

int file_commit(const char *dir, const char *name, const void *data, size_t len, struct err *e)
{
	uint64_t r = 0;
	char *tmp = NULL, *path = NULL;
	int fd = -1, rc = -1;

	if (getrandom(&r, sizeof(r), 0) != sizeof(r))
		return err_errno(e, errno, "getrandom");
	tmp = xasprintf(".tmp-%016" PRIx64, r);
	path = xasprintf("%s/%s", dir, tmp);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (fd < 0) {
		err_errno(e, errno, "%s/%s", dir, name);
		goto out;
	}
	if (file_write_all(fd, data, len, -1, e) || file_fsync(fd, e)) {
		err_wrap(e, "%s/%s", dir, name);
		goto out;
	}
	rc = close(fd);
	fd = -1;
	if (rc) {
		err_errno(e, errno, "%s/%s", dir, name);
		goto out;
	}
	rc = file_rename(dir, tmp, name, e);
out:
	if (fd >= 0)
		close(fd);
	if (rc)
		unlink(path);
	free(tmp);
	free(path);
	return rc;
}

int file_mkdirs(const char *path, unsigned mode, struct err *e)
{
	char *p = xstrdup(path);
	int rc = 0;

	for (char *s = p + 1; !rc; s++) {
		char c = *s;

		if (c != '/' && c != '\0')
			continue;
		*s = '\0';
		if (mkdir(p, (mode_t)mode) == 0) {
			char *slash = strrchr(p, '/');

			if (slash && slash != p) {
				*slash = '\0';
				rc = file_sync_dir(p, e);
				*slash = '/';
			}
		} else if (errno != EEXIST) {
			rc = err_errno(e, errno, "folder %s", p);
		}
		*s = c;
		if (c == '\0')
			break;
	}
	free(p);
	return rc;
}

int file_lock(const char *dir, const char *name, struct err *e)
{
	char *path = xasprintf("%s/%s", dir, name), pid[24] = "";
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640), n;

	if (fd < 0) {
		err_errno(e, errno, "%s", path);
		goto out;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		if (pread(fd, pid, sizeof(pid) - 1, 0) < 0)
			pid[0] = '\0';
		pid[strcspn(pid, "\n")] = '\0';
		err_set(e, ERR_STATE, "%s is locked by another process (pid %s)", path, pid[0] ? pid : "unknown");
		close(fd);
		fd = -1;
		goto out;
	}
	n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) || pwrite(fd, pid, (size_t)n, 0) != n) {
		/* the pid is only for the other side's message; the lock holds without it */
	}
out:
	free(path);
	return fd;
}

int file_disk_free(const char *path, uint64_t *bytes_free, uint64_t *bytes_total, struct err *e)
{
	struct statvfs v;

	if (statvfs(path, &v))
		return err_errno(e, errno, "%s", path);
	*bytes_free = (uint64_t)v.f_bavail * v.f_frsize;
	*bytes_total = (uint64_t)v.f_blocks * v.f_frsize;
	return 0;
}

static bool kept_in_memory(const struct statfs *s)
{
	return s->f_type == TMPFS_MAGIC || s->f_type == RAMFS_MAGIC;
}

bool file_in_memory(const char *path)
{
	struct statfs s;

	return statfs(path, &s) == 0 && kept_in_memory(&s);
}

/* pages of the file that are still in memory, or -1 */
static long resident(int fd, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n = (size + page - 1) / page;
	unsigned char *vec = xmalloc(n);
	void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	long in = 0;

	if (map == MAP_FAILED) {
		free(vec);
		return -1;
	}
	if (mincore(map, size, vec))
		in = -1;
	for (size_t i = 0; in >= 0 && i < n; i++)
		in += vec[i] & 1;
	munmap(map, size);
	free(vec);
	return in;
}

int file_go_cold(int fd, struct err *e)
{
	struct statfs fs;
	struct stat st;

	if (fstat(fd, &st))
		return err_errno(e, errno, "stat");
	/* nothing is colder than the pages of a file system in memory */
	if (!st.st_size || (fstatfs(fd, &fs) == 0 && kept_in_memory(&fs)))
		return 0;
	for (int i = 0; i < 200; i++) {
		struct timespec wait = {.tv_nsec = 5 * NSEC_PER_MSEC};

		/* its result does not matter here: it leaves no dirty page, which is what is wanted */
		if (counted(fdatasync, fd, "fdatasync", NULL)) {
			/* counted, that is enough */
		}
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		if (resident(fd, (size_t)st.st_size) == 0)
			return 0;
		nanosleep(&wait, NULL);
	}
	return err_set(e, ERR_STATE, "the page cache cannot be emptied: another process holds the file open or mapped");
}
