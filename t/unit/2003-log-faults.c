/*
 * 2003-log-faults.c - the log with refused writes, failed syncs and a full disk: fdatasync, fsync, pwritev and statvfs are replaced here. Then with its
 * threads: many put, one reads behind, one trims, syncs fail now and then; all that was acknowledged is read once, before and after a restart.
 */
#include "tap.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "daemon/queue/segment.h"
#include "file.h"
#include "qtest.h"
#include "xalloc.h"

#define SEGMENT (1u << 20)

static _Atomic int fail_fdatasync, fail_pwritev, other_fails, one_in; /* how many of the next calls; one_in: at random */
static _Atomic uint64_t disk_free = UINT64_C(1) << 40;
static _Atomic uint64_t dice = 1;

static bool bad_luck(void)
{
	int n = atomic_load(&one_in);
	uint64_t x = atomic_fetch_add(&dice, UINT64_C(0x9e3779b97f4a7c15));

	x ^= x >> 31;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 29;
	return n && x % (unsigned)n == 0;
}

static _Thread_local bool late;
static _Atomic bool late_begun, other_synced;

int fdatasync(int fd)
{
	if (late) {
		/* the flush has failed, and this thread is told of it only after another's sync has gone well */
		atomic_store(&late_begun, true);
		while (!atomic_load(&other_synced))
			usleep(100);
		usleep(20000);
		errno = EIO;
		return -1;
	}
	if (atomic_load(&late_begun))
		atomic_store(&other_synced, true);
	if (atomic_load(&other_fails) > 0 && atomic_fetch_sub(&other_fails, 1) > 0)
		file_sync_failed(); /* as if another file's sync had failed meanwhile */
	if ((atomic_load(&fail_fdatasync) > 0 && atomic_fetch_sub(&fail_fdatasync, 1) > 0) || bad_luck()) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	if ((atomic_load(&fail_pwritev) > 0 && atomic_fetch_sub(&fail_pwritev, 1) > 0) || bad_luck()) {
		errno = EIO;
		/* some of it arrives */
		return pwrite(fd, v[0].iov_base, v[0].iov_len, at) < 0 ? -1 : -1;
	}
	return syscall(SYS_pwritev, fd, v, n, (long)at, 0L);
}

int statvfs(const char *path, struct statvfs *s)
{
	(void)path;
	*s = (struct statvfs){.f_frsize = 4096, .f_bsize = 4096};
	s->f_blocks = (fsblkcnt_t)1 << 30;
	s->f_bavail = s->f_bfree = atomic_load(&disk_free) / 4096;
	return 0;
}

static char *dir;

static struct queue *open_queue(uint64_t reserve)
{
	char *url = xasprintf("log:%s", dir);
	struct queue_config c = {.url = url, .segment_bytes = SEGMENT, .spare_segments = 2, .mailbox_count = 1000, .mailbox_bytes = 64u << 20, .reserve_bytes = reserve};
	struct err e = ERR_INIT;
	struct queue *q = queue_open(&c, &e);

	if (!q)
		bail("%s", e.text);
	free(url);
	return q;
}

static void fresh(void)
{
	if (dir) {
		qtest_remove(dir);
		free(dir);
	}
	dir = qtest_dir("faults");
}

static void expect_records(struct queue *q, const unsigned *seeds, unsigned n, const char *name)
{
	struct err e = ERR_INIT;
	struct queue_reader *r = queue_reader_open(q, 0, 0, &e);
	struct qrec rec;
	uint64_t offset;
	unsigned good = 0;

	while (queue_read(r, &rec, &offset, &e) == 1)
		good += offset < n && qtest_body_is(&rec, 1000, seeds[offset]);
	ok(good == n && queue_end(q, 0) == n, "%s (%u of %u, end %d) %s", name, good, n, (int)queue_end(q, 0), e.text);
	queue_reader_close(r);
}

static void one_fault(_Atomic int *fault, const char *name)
{
	static const unsigned seeds[] = {1, 2, 4};
	struct queue_stats st;
	struct queue *q;
	uint64_t offset = 0;

	fresh();
	q = open_queue(0);
	qtest_append(q, 1, "t", 1, 1000, 1, NULL);
	qtest_append(q, 1, "t", 1, 1000, 2, NULL);
	atomic_store(fault, 1);
	is_int(ERR_IO, qtest_append(q, 1, "t", 1, 1000, 3, NULL), "%s: the answer is an error", name);
	atomic_store(fault, 0);
	is_int(2, (int64_t)queue_end(q, 0), "%s: the high watermark stays", name);
	queue_stats(q, &st);
	is_int(1, (int64_t)st.sealed, "%s: the segment is sealed", name);
	is_int(ERR_NONE, qtest_append(q, 1, "t", 1, 1000, 4, &offset), "%s: the next request is taken", name);
	is_int(2, (int64_t)offset, "%s: at exactly the offset after the last acknowledged one", name);
	expect_records(q, seeds, 3, name);
	queue_close(q);
	q = open_queue(0);
	expect_records(q, seeds, 3, name);
	queue_close(q);
}

static void *sync_late(void *arg)
{
	late = true;
	if (!file_fdatasync(*(int *)arg, NULL))
		bail("it was to fail");
	return NULL;
}

static void test_settled(void)
{
	struct queue *q;
	pthread_t t;
	int fd = -1;

	fresh();
	q = open_queue(0);
	is_int(ERR_NONE, qtest_append(q, 1, "t", 1, 1000, 1, NULL), "a segment is there");
	pthread_create(&t, NULL, sync_late, &fd);
	while (!atomic_load(&late_begun))
		usleep(100);
	is_int(ERR_IO, qtest_append(q, 1, "t", 1, 1000, 2, NULL), "a sync that is under way in another thread is waited for, its failure counts");
	pthread_join(t, NULL);
	atomic_store(&late_begun, false);
	is_int(ERR_NONE, qtest_append(q, 1, "t", 1, 1000, 2, NULL), "then it goes on");
	queue_close(q);
}

static void test_making(void)
{
	struct queue *q;
	unsigned before;

	fresh();
	q = open_queue(0);
	atomic_store(&fail_fdatasync, 1);
	is_int(ERR_IO, qtest_append(q, 1, "t", 1, 1000, 1, NULL), "a segment that cannot be made: the answer is an error");
	atomic_store(&fail_fdatasync, 0);
	is_int(0, qtest_count(dir, SEG_SUFFIX), "and nothing of it is left");
	atomic_store(&other_fails, 1);
	is_int(ERR_IO, qtest_append(q, 1, "t", 1, 1000, 1, NULL), "another file's failed sync while it is made: the same");
	is_int(0, qtest_count(dir, SEG_SUFFIX), "and nothing of it is left");
	is_int(ERR_NONE, qtest_append(q, 1, "t", 1, 1000, 1, NULL), "then it goes on");
	atomic_store(&fail_fdatasync, 1);
	is_int(ERR_IO, qtest_append(q, 1, "t", 1, 3u << 20, 2, NULL), "a segment that cannot be made longer: an error");
	atomic_store(&fail_fdatasync, 0);
	is_int(ERR_NONE, qtest_append(q, 1, "t", 1, 3u << 20, 2, NULL), "then it goes on");
	for (unsigned i = 0; i < 20; i++)
		qtest_append(q, 1, "t", 1, 200000, i, NULL);
	if (queue_trim(q, 0, 10, NULL))
		bail("trim");
	before = qtest_count(dir, SEG_RECYCLED);
	ok(before > 0, "%u recycled files", before);
	while (qtest_count(dir, SEG_RECYCLED) == before) {
		atomic_store(&fail_fdatasync, 0);
		qtest_append(q, 1, "t", 1, 200000, 1, NULL);
		atomic_store(&other_fails, 1);
	}
	atomic_store(&other_fails, 0);
	is_int(ERR_NONE, qtest_append(q, 1, "t", 1, 1000, 1, NULL), "a recycled file that cannot be renewed is unlinked and it goes on");
	queue_close(q);
}

static void test_full(void)
{
	struct queue *q;
	struct err e = ERR_INIT;
	unsigned n = 0;

	fresh();
	q = open_queue(100u << 20);
	is_int(ERR_NONE, qtest_append(q, 1, "t", 1, 1000, 1, NULL), "there is room");
	atomic_store(&disk_free, 90u << 20);
	for (n = 0; n < 100 && qtest_append(q, 1, "t", 1, 100000, n, NULL) == ERR_NONE; n++)
		;
	ok(n > 5 && n < 11, "below the reserve the active segment is filled (%u) and no new one begun", n);
	is_int(ERR_FULL, qtest_append(q, 1, "t", 1, 100000, n, NULL), "the answer is: full");
	ok(!queue_writable(q, &e) && e.code == ERR_FULL, "and the door is told before (%s)", e.text);
	atomic_store(&disk_free, UINT64_C(1) << 40);
	ok(queue_writable(q, &e), "space is back: writable");
	is_int(ERR_NONE, qtest_append(q, 1, "t", 1, 100000, n, NULL), "and it goes on by itself");
	queue_close(q);
}

/* --- with threads --- */

#define PUTTERS 3
#define PUTS 400

struct slot {
	struct queue_put p;
	_Atomic int state; /* 0 waiting, 1 acknowledged, 2 refused */
	uint64_t offset;
};

static struct slot slots[PUTTERS][PUTS];
static struct queue *shared;
static _Atomic bool over;

static void slot_done(struct queue_put *p)
{
	struct slot *s = p->arg;

	s->offset = p->offset;
	buf_free(&p->bytes);
	atomic_store(&s->state, p->err.code == ERR_NONE ? 1 : 2);
}

static void *putter(void *arg)
{
	unsigned me = *(unsigned *)arg;

	for (unsigned i = 0; i < PUTS; i++) {
		struct slot *s = &slots[me][i];
		char table[16];

		s->p = (struct queue_put){.n = 1, .done = slot_done, .arg = s};
		snprintf(table, sizeof(table), "t%u", me);
		qtest_record(&s->p.bytes, me, table, "request", 5000, i);
		if (queue_put(shared, &s->p, NULL)) {
			buf_free(&s->p.bytes);
			atomic_store(&s->state, 2);
		}
		/* a few in flight */
		while (i >= 4 && !atomic_load(&slots[me][i - 4].state))
			usleep(100);
	}
	for (unsigned i = 0; i < PUTS; i++)
		while (!atomic_load(&slots[me][i].state))
			usleep(100);
	return NULL;
}

struct seen {
	unsigned times[PUTTERS][PUTS];
	uint64_t offset[PUTTERS][PUTS];
	uint64_t last;
	unsigned n, disorder;
};

static void see(struct seen *s, const struct qrec *r, uint64_t offset)
{
	s->times[r->source_id][r->shape_hash]++;
	s->offset[r->source_id][r->shape_hash] = offset;
	s->disorder += s->n++ && offset <= s->last;
	s->last = offset;
}

static void *follow(void *arg)
{
	struct seen *s = arg;
	struct err e = ERR_INIT;
	struct queue_reader *r = queue_reader_open(shared, 0, 0, &e);
	struct qrec rec;
	uint64_t offset;

	for (;;) {
		bool last = atomic_load(&over);
		int rc = queue_read(r, &rec, &offset, &e);

		if (rc < 0)
			bail("reader: %s", e.text);
		if (rc == 1)
			see(s, &rec, offset);
		else if (last)
			break;
		else
			usleep(200);
		if (s->n % 100 == 50 && queue_trim(shared, 0, s->last, &e))
			err_clear(&e); /* a sync failed */
	}
	queue_reader_close(r);
	return NULL;
}

static unsigned check_seen(const struct seen *s, uint64_t from, const char *name)
{
	unsigned acked = 0, wrong = 0;

	for (unsigned k = 0; k < PUTTERS; k++)
		for (unsigned i = 0; i < PUTS; i++) {
			int state = atomic_load(&slots[k][i].state);
			bool right = s->times[k][i] == 1 && s->offset[k][i] == slots[k][i].offset;

			acked += state == 1;
			wrong += state == 1 && slots[k][i].offset >= from && !right;
		}
	ok(!wrong && !s->disorder, "%s: of %u acknowledged records %u are wrong, %u out of order", name, acked, wrong, s->disorder);
	return acked;
}

static void test_threads(int odds, const char *name)
{
	pthread_t putters[PUTTERS], reader;
	unsigned ids[PUTTERS];
	struct seen *live = xcalloc(1, sizeof(*live)), *after = xcalloc(1, sizeof(*after));
	struct queue_stats st;
	struct err e = ERR_INIT;
	struct queue_reader *r;
	struct qrec rec;
	uint64_t offset, begin;

	fresh();
	memset(slots, 0, sizeof(slots));
	atomic_store(&over, false);
	shared = open_queue(0);
	if (queue_start(shared, &e))
		bail("%s", e.text);
	atomic_store(&one_in, odds);
	for (unsigned i = 0; i < PUTTERS; i++) {
		ids[i] = i;
		pthread_create(&putters[i], NULL, putter, &ids[i]);
	}
	pthread_create(&reader, NULL, follow, live);
	for (unsigned i = 0; i < PUTTERS; i++)
		pthread_join(putters[i], NULL);
	atomic_store(&one_in, 0);
	atomic_store(&over, true);
	pthread_join(reader, NULL);
	queue_stats(shared, &st);
	diag("%s: %d groups, %d sealed", name, (int)st.groups, (int)st.sealed);
	queue_close(shared);
	check_seen(live, 0, name);
	shared = open_queue(0);
	begin = queue_begin(shared, 0);
	r = queue_reader_open(shared, 0, begin, &e);
	while (queue_read(r, &rec, &offset, &e) == 1)
		see(after, &rec, offset);
	queue_reader_close(r);
	queue_close(shared);
	check_seen(after, begin, name);
	free(live);
	free(after);
}

int main(void)
{
	plan_lazy();
	one_fault(&fail_fdatasync, "a failed sync");
	one_fault(&fail_pwritev, "a refused write");
	one_fault(&other_fails, "another file's failed sync");
	test_settled();
	test_making();
	test_full();
	test_threads(0, "threads");
	test_threads(60, "threads, one sync or write in 60 fails");
	qtest_remove(dir);
	free(dir);
	return done_testing();
}
