/*
 * 2002-log-recover.c - what a start makes of the files that it finds: torn tails, requests that are not whole, later segments that win,
 * foreign epochs, gaps, left-over files, and the numbers and offsets that may only rise. Files are made by segment.h directly.
 */
#include "tap.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/queue/segment.h"
#include "file.h"
#include "qtest.h"
#include "xalloc.h"

#define SEGMENT (1u << 20)
#define BODY 1000

static char *dir;
static const unsigned char test_id[QUEUE_ID_LEN] = "sixteen bytes id";

static struct queue *try_open(uint64_t first_offset, struct err *e)
{
	char *url = xasprintf("log:%s", dir);
	struct queue_config c = {.url = url, .segment_bytes = SEGMENT, .spare_segments = 2, .mailbox_count = 100, .mailbox_bytes = 64u << 20, .first_offset = first_offset};
	struct queue *q = queue_open(&c, e);

	free(url);
	return q;
}

static struct queue *open_queue(uint64_t first_offset)
{
	struct err e = ERR_INIT;
	struct queue *q = try_open(first_offset, &e);

	if (!q)
		bail("%s", e.text);
	return q;
}

static void fresh(void)
{
	if (dir) {
		qtest_remove(dir);
		free(dir);
	}
	dir = qtest_dir("recover");
}

/* One group of requests with n[i] records each, seeds from offset on: so that a record says which offset it was made for. */
static void write_group(int fd, const struct seg_header *h, uint64_t *pos, uint64_t offset, const unsigned *n, size_t count, unsigned seed)
{
	struct seg_item items[8];
	struct buf b[8];
	struct err e = ERR_INIT;
	uint64_t at = offset;

	for (size_t i = 0; i < count; i++) {
		b[i] = BUF_INIT;
		for (unsigned k = 0; k < n[i]; k++)
			qtest_record(&b[i], 1, "t", "r", BODY, seed + (unsigned)at++);
		items[i] = (struct seg_item){.data = b[i].data, .len = b[i].len, .n = n[i]};
	}
	if (seg_append(fd, h, *pos, offset, items, count, &e))
		bail("%s", e.text);
	*pos += seg_group_size(items, count);
	for (size_t i = 0; i < count; i++)
		buf_free(&b[i]);
}

/* A segment with `groups` groups of one request of one record each. */
static void make_segment(uint64_t number, uint64_t epoch, uint64_t offset, unsigned groups, unsigned seed)
{
	struct seg_header h = {.number = number, .epoch = epoch};
	struct err e = ERR_INIT;
	uint64_t pos = SEG_BLOCK;
	const unsigned one = 1;
	int fd;

	memcpy(h.queue_id, test_id, QUEUE_ID_LEN);
	fd = seg_make(dir, &h, SEGMENT, &e);
	if (fd < 0)
		bail("%s", e.text);
	for (unsigned i = 0; i < groups; i++)
		write_group(fd, &h, &pos, offset + i, &one, 1, seed);
	close(fd);
}

static void flip(const char *path, uint64_t pos)
{
	int fd = open(path, O_RDWR);
	char c;

	if (fd < 0 || pread(fd, &c, 1, (off_t)pos) != 1)
		bail("%s", path);
	c ^= 1;
	if (pwrite(fd, &c, 1, (off_t)pos) != 1)
		bail("%s", path);
	close(fd);
}

/* Read all from the begin; each record's seed must be its offset plus seed[i] for the range it lies in. Returns how many. */
static unsigned read_all(struct queue *q, uint64_t *first, uint64_t *last, uint64_t seeds_from, unsigned later_seed)
{
	struct err e = ERR_INIT;
	struct queue_reader *r = queue_reader_open(q, 0, queue_begin(q, 0), &e);
	struct qrec rec;
	uint64_t offset = 0, n = 0;

	*first = *last = UINT64_MAX;
	while (r && queue_read(r, &rec, &offset, &e) == 1) {
		unsigned seed = (unsigned)offset + (offset >= seeds_from ? later_seed : 0);

		if (!qtest_body_is(&rec, BODY, seed))
			ok(false, "offset %d holds what was written for it", (int)offset);
		if (!n++)
			*first = offset;
		*last = offset;
	}
	if (e.code)
		ok(false, "reading: %s", e.text);
	queue_reader_close(r);
	return (unsigned)n;
}

static void expect(uint64_t want_first, uint64_t want_last, unsigned want_n, uint64_t seeds_from, unsigned later_seed, const char *name)
{
	struct queue *q = open_queue(0);
	uint64_t first, last;
	unsigned n = read_all(q, &first, &last, seeds_from, later_seed);

	ok(n == want_n && (!n || (first == want_first && last == want_last)), "%s (%u records, %d to %d)", name, n, (int)first, (int)last);
	queue_close(q);
}

static void test_restart(void)
{
	struct queue *q;
	unsigned char id[QUEUE_ID_LEN];
	uint64_t first, last, offset = 0;
	struct err e = ERR_INIT;

	fresh();
	q = open_queue(0);
	memcpy(id, queue_id(q), sizeof(id));
	for (unsigned i = 0; i < 3; i++)
		is_int(ERR_NONE, qtest_append(q, 1, "t", 1, BODY, i, NULL), "append %u", i);
	ok(!try_open(0, &e) && e.code == ERR_STATE, "a second one on the same folder is refused (%s)", e.text);
	queue_close(q);
	q = open_queue(0);
	ok(memcmp(id, queue_id(q), sizeof(id)) == 0, "the id stays");
	ok(read_all(q, &first, &last, UINT64_MAX, 0) == 3 && first == 0 && last == 2, "all three are there");
	is_int(ERR_NONE, qtest_append(q, 1, "t", 1, BODY, 3, &offset), "one more");
	is_int(3, (int64_t)offset, "at the next offset");
	is_int(2, qtest_count(dir, SEG_SUFFIX), "in a new segment, never behind what was found");
	queue_close(q);
	q = open_queue(10);
	is_int(10, (int64_t)queue_end(q, 0), "the first offset is not below any cursor");
	is_int(ERR_NONE, qtest_append(q, 1, "t", 1, BODY, 10, &offset), "append behind the gap");
	is_int(10, (int64_t)offset, "it has that offset");
	queue_close(q);
	expect(0, 10, 5, UINT64_MAX, 0, "a gap between segments is legal");
}

static void test_torn(void)
{
	char *path;

	fresh();
	make_segment(1, 77, 0, 4, 0);
	path = qtest_file(dir, SEG_SUFFIX, 0);
	flip(path, SEG_BLOCK * 4 + 600); /* in the fourth group */
	expect(0, 2, 3, UINT64_MAX, 0, "a damaged last group is not there");
	free(path);
	fresh();
	make_segment(1, 77, 0, 4, 0);
	path = qtest_file(dir, SEG_SUFFIX, 0);
	flip(path, SEG_BLOCK * 2 + 600);
	expect(0, 0, 1, UINT64_MAX, 0, "nothing behind a damaged group is there");
	free(path);
	fresh();
	make_segment(1, 77, 0, 4, 0);
	path = qtest_file(dir, SEG_SUFFIX, 0);
	if (truncate(path, SEG_BLOCK * 3 + 200))
		bail("truncate");
	expect(0, 1, 2, UINT64_MAX, 0, "a file that is cut off ends with its last whole group");
	free(path);
}

static void test_request_is_whole(void)
{
	struct seg_header h = {.number = 1, .epoch = 5};
	const unsigned n[3] = {2, 3, 2};
	uint64_t pos = SEG_BLOCK;
	struct err e = ERR_INIT;
	char *path;
	int fd;

	fresh();
	memcpy(h.queue_id, test_id, QUEUE_ID_LEN);
	fd = seg_make(dir, &h, SEGMENT, &e);
	write_group(fd, &h, &pos, 0, n, 3, 0);
	close(fd);
	path = qtest_file(dir, SEG_SUFFIX, 0);
	/* the last record of the second request; requests follow each other within a group */
	flip(path, SEG_BLOCK + 2 * SEG_UNIT_HEAD + 2ull * (QREC_HEAD + 6 + BODY) + 2ull * (QREC_HEAD + 6 + BODY) + 500);
	expect(0, 1, 2, UINT64_MAX, 0, "a request that is not whole is dropped whole");
	free(path);
}

static void test_later_wins(void)
{
	fresh();
	make_segment(1, 11, 0, 5, 0);
	make_segment(2, 12, 3, 2, 100);
	expect(0, 4, 5, 3, 100, "an earlier segment ends where a later one begins");
	fresh();
	make_segment(1, 11, 0, 5, 0);
	make_segment(2, 12, 3, 4, 100);
	make_segment(3, 13, 2, 1, 200);
	expect(0, 2, 3, 2, 200, "the newest wins over both");
	fresh();
	make_segment(1, 11, 4, 3, 0);
	make_segment(2, 12, 4, 0, 0);
	expect(4, 6, 3, UINT64_MAX, 0, "a later one without a record takes nothing away");
	is_int(1, qtest_count(dir, SEG_SUFFIX) - qtest_count(dir, "2" SEG_SUFFIX), "and the first is still there");
}

static void test_request_over_later(void)
{
	struct seg_header h = {.number = 1, .epoch = 5};
	const unsigned n[2] = {2, 3};
	uint64_t pos = SEG_BLOCK;
	struct err e = ERR_INIT;
	int fd;

	fresh();
	memcpy(h.queue_id, test_id, QUEUE_ID_LEN);
	fd = seg_make(dir, &h, SEGMENT, &e);
	write_group(fd, &h, &pos, 0, n, 2, 0);
	close(fd);
	make_segment(2, 12, 3, 1, 0);
	expect(0, 3, 3, UINT64_MAX, 0, "a request that reaches over a later segment's begin is dropped whole");
}

static void test_epoch(void)
{
	struct seg_header h = {.number = 2, .epoch = 22};
	struct err e = ERR_INIT;
	char *from, *to;
	uint64_t pos = SEG_BLOCK;
	const unsigned one = 1;
	int fd;

	fresh();
	make_segment(1, 11, 0, 5, 0);
	from = qtest_file(dir, SEG_SUFFIX, 0);
	to = xasprintf("%.*s" SEG_RECYCLED, (int)(strlen(from) - strlen(SEG_SUFFIX)), from);
	ok(!file_rename("/", from + 1, to + 1, &e), "the file is recycled (%s)", e.text);
	memcpy(h.queue_id, test_id, QUEUE_ID_LEN);
	fd = seg_reuse(dir, 1, &h, &e);
	ok(fd >= 0, "and used again (%s)", e.text);
	write_group(fd, &h, &pos, 0, &one, 1, 100);
	close(fd);
	expect(0, 0, 1, 0, 100, "records of the old epoch, at the very offset that follows, are not seen");
	free(from);
	free(to);
}

static void touch(const char *name)
{
	char *path = xasprintf("%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	if (fd < 0 || write(fd, "x", 1) != 1)
		bail("%s", path);
	close(fd);
	free(path);
}

static void test_leftovers(void)
{
	struct queue *q;
	struct err e = ERR_INIT;
	char *path;

	fresh();
	touch(".tmp-00000000000000000009.seg");
	touch("00000000000000000003.old");
	make_segment(4, 11, 0, 0, 0);
	make_segment(5, 11, 0, 2, 0);
	make_segment(6, 12, 0, 0, 0);
	q = open_queue(0);
	is_int(0, qtest_count(dir, ".tmp-00000000000000000009.seg"), "temporary files are unlinked");
	is_int(0, qtest_count(dir, SEG_RECYCLED), "a recycled file of another size is unlinked");
	is_int(0, qtest_count(dir, "4" SEG_SUFFIX), "a segment without a record is unlinked");
	is_int(1, qtest_count(dir, "6" SEG_SUFFIX), "but the one with the highest number stays until a higher one is there");
	is_int(ERR_NONE, qtest_append(q, 1, "t", 1, BODY, 2, NULL), "append");
	is_int(0, qtest_count(dir, "6" SEG_SUFFIX), "then it goes");
	is_int(1, qtest_count(dir, "7" SEG_SUFFIX), "numbers only rise");
	ok(memcmp(queue_id(q), test_id, QUEUE_ID_LEN) == 0, "a lost id is taken from the segments");
	queue_close(q);

	path = qtest_file(dir, SEG_SUFFIX, 0);
	flip(path, 20);
	expect(2, 2, 1, UINT64_MAX, 0, "a segment with a damaged header does not stop the start");
	is_int(1, qtest_count(dir, ".damaged"), "it is put aside");
	free(path);
	path = xasprintf("%s/queue.id", dir);
	unlink(path);
	touch("queue.id");
	ok(!try_open(0, &e) && e.code == ERR_CORRUPT, "a queue id that is none is refused (%s)", e.text);
	unlink(path);
	if (file_commit(dir, "queue.id", "00112233445566778899aabbccddeeff\n", 33, &e))
		bail("%s", e.text);
	ok(!try_open(0, &e) && e.code == ERR_CORRUPT, "segments of another queue are refused (%s)", e.text);
	free(path);
}

static void test_trim_and_recycle(void)
{
	struct queue *q;
	struct err e = ERR_INIT;
	uint64_t begin, first, last;
	unsigned n;

	fresh();
	q = open_queue(0);
	for (unsigned i = 0; i < 40; i++)
		qtest_append(q, 1, "t", 1, 120000, i, NULL);
	n = qtest_count(dir, SEG_SUFFIX);
	ok(n >= 5, "40 records of 120 kB are %u segments", n);
	ok(!queue_trim(q, 0, 20, &e), "trim (%s)", e.text);
	begin = queue_begin(q, 0);
	is_int(2, qtest_count(dir, SEG_RECYCLED), "two of the trimmed ones are kept to be used again");
	qtest_append(q, 1, "t", 1, 900000, 40, NULL);
	is_int(1, qtest_count(dir, SEG_RECYCLED), "one was used");
	queue_close(q);
	q = open_queue(0);
	is_int((int64_t)begin, (int64_t)queue_begin(q, 0), "after a restart the queue begins at the same place");
	is_int(41, (int64_t)queue_end(q, 0), "and ends at the same place");
	is_int(1, qtest_count(dir, SEG_RECYCLED), "the recycled file is kept over a restart");
	ok(!queue_trim(q, 0, 41, &e), "trim all (%s)", e.text);
	is_int(1, qtest_count(dir, SEG_SUFFIX), "the last segment stays");
	qtest_append(q, 1, "t", 1, BODY, 41, NULL);
	ok(!queue_trim(q, 0, 42, &e), "trim all again (%s)", e.text);
	ok(read_all(q, &first, &last, UINT64_MAX, 0) == 1 && first == 41, "what is in the active segment stays");
	queue_close(q);
}

static void add(uint32_t source, struct str table, uint64_t records, uint64_t lines, void *arg)
{
	(void)source;
	(void)table;
	(void)lines;
	*(uint64_t *)arg += records;
}

/* Segments that are over are not read again at a start; what a reader takes from them is checked all the same. */
static void test_index(void)
{
	struct queue *q;
	struct queue_reader *r;
	struct qrec rec;
	struct err e = ERR_INIT;
	uint64_t offset, sum = 0, want = 0;
	char *path;
	int rc;

	fresh();
	q = open_queue(0);
	for (unsigned i = 0; i < 20; i++, want += i % 7 + 1)
		qtest_append(q, 1, i % 2 ? "a" : "b", 1, 120000, i, NULL);
	for (want = 0, offset = 0; offset < 20; offset++)
		want += offset % 7 + 1;
	queue_close(q);
	is_int(3, qtest_count(dir, SEG_INDEX), "three segments, three indexes");
	path = qtest_file(dir, SEG_SUFFIX, 0);
	flip(path, SEG_BLOCK + 3 * 122880 + 700);
	q = open_queue(0);
	ok(queue_begin(q, 0) == 0 && queue_end(q, 0) == 20, "a start takes the indexes' word");
	ok(!queue_tally(q, 0, 0, 20, add, &sum, &e) && sum == want, "the sums are in them (%s)", e.text);
	sum = 0;
	ok(!queue_tally(q, 0, 5, 15, add, &sum, &e) && sum && sum < want, "a part of them too (%s)", e.text);
	r = queue_reader_open(q, 0, 0, &e);
	for (unsigned i = 0; i < 3; i++)
		ok(queue_read(r, &rec, &offset, &e) == 1 && offset == i && qtest_body_is(&rec, 120000, i), "record %u is sound", i);
	rc = queue_read(r, &rec, &offset, &e);
	ok(rc == -1 && e.code == ERR_CORRUPT && offset == 3, "the rotten one is told (%s)", e.text);
	ok(queue_read(r, &rec, &offset, &e) == -1 && offset == 3, "again and again");
	ok(!queue_reader_seek(r, 4, &e) && queue_read(r, &rec, &offset, &e) == 1 && offset == 4 && qtest_body_is(&rec, 120000, 4), "the next one can be read");
	queue_reader_close(r);
	queue_close(q);
	free(path);
	path = qtest_file(dir, SEG_INDEX, 0);
	flip(path, 90);
	free(path);
	path = qtest_file(dir, SEG_INDEX, 1);
	flip(path, 90);
	q = open_queue(0);
	queue_reader_close(queue_reader_open(q, 0, 0, &e));
	is_int(20, (int64_t)queue_end(q, 0), "damaged indexes cost a reading, no record of a sound segment");
	ok(!queue_trim(q, 0, 20, &e), "trim");
	queue_close(q);
	is_int(qtest_count(dir, SEG_SUFFIX), qtest_count(dir, SEG_INDEX), "an index goes with its segment");
	free(path);
	path = xasprintf("%s/%020d" SEG_INDEX, dir, 77);
	rc = open(path, O_CREAT | O_WRONLY, 0600);
	close(rc);
	q = open_queue(0);
	ok(access(path, F_OK) != 0, "an index without a segment is unlinked");
	queue_close(q);
	free(path);
}

int main(void)
{
	plan_lazy();
	test_restart();
	test_torn();
	test_request_is_whole();
	test_later_wins();
	test_request_over_later();
	test_epoch();
	test_leftovers();
	test_trim_and_recycle();
	test_index();
	qtest_remove(dir);
	free(dir);
	return done_testing();
}
