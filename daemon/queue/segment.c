/*
 * segment.c - see segment.h. The design follows the rules of the log (ARCHITECTURE.md, section 4): bytes are written once, into
 * blocks that hold synced zeros; a group begins on a block of its own, so that a write that fails cannot touch what was
 * acknowledged; the epoch is in every unit and seeds both crc, so that what a recycled file held before is never taken for a record.
 * What can go wrong is every write and sync: whoever makes a file unlinks it after any error, whoever appends seals it.
 */
#include "daemon/queue/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/uio.h>
#include <unistd.h>

#include "daemon/core/crashpoint.h"
#include "daemon/queue/crc32c.h"
#include "daemon/queue/le.h"
#include "file.h"
#include "xalloc.h"

#define HEADER_MAGIC "stitchQ\n"
#define HEADER_VERSION 1
#define HEADER_SIZE 64u
#define UNIT_MAGIC 0x31555153u /* "SQU1" */
#define AHEAD (256u << 10)

static const char zeros[SEG_PIECE];

char *seg_name(uint64_t number, const char *suffix)
{
	return xasprintf("%020" PRIu64 "%s", number, suffix);
}

int seg_name_parse(const char *name, const char *suffix, uint64_t *number)
{
	size_t n = strlen(name);

	if (n != 20 + strlen(suffix) || strcmp(name + 20, suffix) != 0)
		return -1;
	for (size_t i = 0; i < 20; i++)
		if (name[i] < '0' || name[i] > '9')
			return -1;
	return str_to_u64(str_mem(name, 20), number);
}

/* --- the header --- */

static int header_write(int fd, const struct seg_header *h, struct err *e)
{
	char b[SEG_BLOCK] = {0};

	memcpy(b, HEADER_MAGIC, 8);
	le32_put(b + 8, HEADER_VERSION);
	le64_put(b + 16, h->number);
	le64_put(b + 24, h->epoch);
	memcpy(b + 32, h->queue_id, QUEUE_ID_LEN);
	le32_put(b + HEADER_SIZE - 4, crc32c(0, b, HEADER_SIZE - 4));
	if (file_write_all(fd, b, sizeof(b), 0, e))
		return -1;
	return file_fdatasync(fd, e);
}

int seg_header_read(int fd, struct seg_header *h, struct err *e)
{
	char b[HEADER_SIZE];

	if (file_read_all(fd, b, sizeof(b), 0, e))
		return -1;
	if (memcmp(b, HEADER_MAGIC, 8) != 0 || crc32c(0, b, HEADER_SIZE - 4) != le32_get(b + HEADER_SIZE - 4))
		return err_set(e, ERR_CORRUPT, "its first block is no segment header");
	if (le32_get(b + 8) != HEADER_VERSION)
		return err_set(e, ERR_VERSION, "a segment of version %" PRIu32 ": this program knows %d; start the newer program again",
			le32_get(b + 8), HEADER_VERSION);
	h->number = le64_get(b + 16);
	h->epoch = le64_get(b + 24);
	memcpy(h->queue_id, b + 32, QUEUE_ID_LEN);
	return 0;
}

/* --- making files --- */

int seg_extend(int fd, uint64_t from, uint64_t to, struct err *e)
{
	while (from < to) {
		size_t n = (size_t)MIN(to - from, SEG_PIECE);

		if (file_write_all(fd, zeros, n, (int64_t)from, e) || file_fdatasync(fd, e))
			return -1;
		from += n;
	}
	return 0;
}

/* The last steps of both ways, and what must hold over all of them: no sync on this disk has failed since `failures` was read. */
static int give_name(const char *dir, const char *from, const char *to, uint64_t failures, struct err *e)
{
	if (file_rename(dir, from, to, e))
		return -1;
	if (file_sync_failures_settled() != failures)
		return err_set(e, ERR_IO, "a sync of another file failed while segment %s was made: what was written may be lost", to);
	CRASHPOINT("queue-segment-made");
	return 0;
}

/* After an error no name must be left by which a later run would take the file for a sound one. */
static void undo(const char *dir, const char *a, const char *b)
{
	const char *names[] = {a, b};

	for (int i = 0; i < 2; i++) {
		char *path = xasprintf("%s/%s", dir, names[i]);

		unlink(path);
		free(path);
	}
}

int seg_make(const char *dir, const struct seg_header *h, uint64_t size, struct err *e)
{
	char *name = seg_name(h->number, SEG_SUFFIX), *tmp = xasprintf(SEG_TMP "%s", name), *path = xasprintf("%s/%s", dir, tmp);
	uint64_t failures = file_sync_failures();
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

	if (fd < 0) {
		err_errno(e, errno, "new segment %s", path);
		goto out;
	}
	if (seg_extend(fd, 0, size, e) || header_write(fd, h, e) || give_name(dir, tmp, name, failures, e)) {
		err_wrap(e, "new segment %s/%s", dir, name);
		close(fd);
		fd = -1;
		undo(dir, tmp, name);
	}
out:
	free(path);
	free(tmp);
	free(name);
	return fd;
}

int seg_reuse(const char *dir, uint64_t old, const struct seg_header *h, struct err *e)
{
	char *from = seg_name(old, SEG_RECYCLED), *name = seg_name(h->number, SEG_SUFFIX), *path = xasprintf("%s/%s", dir, from);
	uint64_t failures = file_sync_failures();
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		err_errno(e, errno, "recycled segment %s", path);
	if (fd < 0 || header_write(fd, h, e) || give_name(dir, from, name, failures, e)) {
		err_wrap(e, "recycled segment %s/%s", dir, from);
		if (fd >= 0)
			close(fd);
		fd = -1;
		undo(dir, from, name);
	}
	free(path);
	free(name);
	free(from);
	return fd;
}

/* --- units --- */

static uint32_t seed(uint64_t epoch)
{
	char b[8];

	le64_put(b, epoch);
	return crc32c(0, b, sizeof(b));
}

uint64_t seg_unit_size(uint64_t len)
{
	return SEG_UNIT_HEAD + ((len + 7) & ~UINT64_C(7));
}

static uint64_t to_block(uint64_t pos)
{
	return (pos + SEG_BLOCK - 1) & ~(uint64_t)(SEG_BLOCK - 1);
}

uint64_t seg_group_size(const struct seg_item *items, size_t n)
{
	uint64_t size = 0;

	for (size_t i = 0; i < n; i++)
		size += seg_unit_size(items[i].len);
	return to_block(size);
}

uint64_t seg_unit_next(uint64_t pos, const struct seg_unit *u)
{
	uint64_t end = pos + seg_unit_size(u->len);

	return u->flags & SEG_UNIT_LAST ? to_block(end) : end;
}

static void head_encode(char *b, uint64_t epoch, const struct seg_unit *u)
{
	memset(b, 0, SEG_UNIT_HEAD);
	le32_put(b, UNIT_MAGIC);
	le32_put(b + 4, u->flags);
	le64_put(b + 8, epoch);
	le64_put(b + 16, u->offset);
	le32_put(b + 24, u->n);
	le32_put(b + 28, u->body_crc);
	le64_put(b + 32, u->len);
	le32_put(b + 44, crc32c(seed(epoch), b, 44));
}

/* One call of pwritev, so that nothing is ever written twice: a short write is an error like any other. */
static int write_once(int fd, struct iovec *v, size_t n, uint64_t pos, uint64_t size, struct err *e)
{
	ssize_t w;

	do {
		w = pwritev(fd, v, (int)n, (off_t)pos);
	} while (w < 0 && errno == EINTR);
	if (w < 0)
		return err_errno(e, errno, "write");
	if ((uint64_t)w != size)
		return err_set(e, ERR_IO, "the disk took only %zd of %" PRIu64 " bytes", w, size);
	return 0;
}

int seg_append(int fd, const struct seg_header *h, uint64_t pos, uint64_t offset, struct seg_item *items, size_t n, struct err *e)
{
	struct iovec *v = xcalloc(3 * n + 1, sizeof(*v));
	char *heads = xmalloc(n * SEG_UNIT_HEAD);
	uint64_t size = 0;
	size_t nv = 0;
	int rc;

	assert(pos % SEG_BLOCK == 0 && 3 * n + 1 <= IOV_MAX);
	for (size_t i = 0; i < n; i++) {
		struct seg_item *it = &items[i];
		struct seg_unit u = {.flags = i + 1 == n ? SEG_UNIT_LAST : 0, .n = it->n, .offset = offset, .len = it->len};
		uint64_t whole = seg_unit_size(it->len);

		u.body_crc = crc32c(seed(h->epoch), it->data, it->len);
		head_encode(heads + i * SEG_UNIT_HEAD, h->epoch, &u);
		it->pos = pos + size;
		offset += it->n;
		size += whole;
		v[nv++] = (struct iovec){heads + i * SEG_UNIT_HEAD, SEG_UNIT_HEAD};
		v[nv++] = (struct iovec){(void *)(uintptr_t)it->data, it->len};
		if (whole > SEG_UNIT_HEAD + it->len)
			v[nv++] = (struct iovec){(void *)(uintptr_t)zeros, (size_t)(whole - SEG_UNIT_HEAD - it->len)};
	}
	if (to_block(size) > size) {
		v[nv++] = (struct iovec){(void *)(uintptr_t)zeros, (size_t)(to_block(size) - size)};
		size = to_block(size);
	}
	rc = write_once(fd, v, nv, pos, size, e);
	free(heads);
	free(v);
	return rc;
}

/* --- walking --- */

int seg_window_get(struct seg_window *w, uint64_t pos, size_t n, const char **p, struct err *e)
{
	size_t want;

	if (pos > w->limit || n > w->limit - pos)
		return err_set(e, ERR_CORRUPT, "%zu bytes at %" PRIu64 " reach over the end (%" PRIu64 ")", n, pos, w->limit);
	if (!w->buf.data || pos < w->at || pos + n > w->at + w->buf.len) {
		want = (size_t)MIN((uint64_t)MAX(n, w->ahead ? w->ahead : AHEAD), w->limit - pos);
		if (w->buf.cap > 4 * MAX(want, AHEAD))
			buf_free(&w->buf); /* one huge record must not hold its memory for ever */
		buf_truncate(&w->buf, 0);
		buf_reserve(&w->buf, want);
		if (file_read_all(w->fd, w->buf.data, want, (int64_t)pos, e))
			return -1;
		w->buf.len = want;
		w->at = pos;
	}
	*p = w->buf.data + (pos - w->at);
	return 0;
}

int seg_unit_head(struct seg_window *w, uint64_t pos, struct seg_unit *u, struct err *e)
{
	const char *b;

	if (seg_window_get(w, pos, SEG_UNIT_HEAD, &b, e))
		return -1;
	if (le32_get(b) != UNIT_MAGIC || le64_get(b + 8) != w->epoch || le32_get(b + 44) != crc32c(seed(w->epoch), b, 44))
		return err_set(e, ERR_CORRUPT, "no request begins at %" PRIu64, pos);
	*u = (struct seg_unit){
		.flags = le32_get(b + 4),
		.n = le32_get(b + 24),
		.offset = le64_get(b + 16),
		.len = le64_get(b + 32),
		.body_crc = le32_get(b + 28),
	};
	if (!u->n || u->len > QUEUE_PUT_MAX || u->offset > UINT64_MAX - u->n)
		return err_set(e, ERR_CORRUPT, "the request at %" PRIu64 " has an impossible head", pos);
	return 0;
}

int seg_unit_body(struct seg_window *w, uint64_t pos, const struct seg_unit *u, const char **p, struct err *e)
{
	if (seg_window_get(w, pos + SEG_UNIT_HEAD, (size_t)u->len, p, e))
		return -1;
	if (crc32c(seed(w->epoch), *p, (size_t)u->len) != u->body_crc)
		return err_set(e, ERR_CORRUPT, "the request at %" PRIu64 " (offset %" PRIu64 ") does not match its checksum", pos, u->offset);
	return 0;
}
