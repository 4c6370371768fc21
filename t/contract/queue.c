/*
 * queue.c - what every backend of the queue must do, run against mem: and log:. No threads: the test steps the queue itself, but for the
 * last part, which the log alone can do.
 */
#include "tap.h"

#include <unistd.h>

#include "qtest.h"
#include "xalloc.h"

#define SEGMENT (1u << 20)

static char *dir;
static const char *scheme;

static struct queue *open_queue(uint64_t first_offset)
{
	char *url = strcmp(scheme, "mem") == 0 ? xstrdup("mem:") : xasprintf("log:%s", dir);
	struct queue_config c = {.url = url, .state_dir = dir, .segment_bytes = SEGMENT, .spare_segments = 2, .mailbox_count = 4, .mailbox_bytes = 64u << 20, .first_offset = first_offset};
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
	dir = qtest_dir("queue");
}

struct sums {
	unsigned calls;
	uint64_t records[3], lines;
};

static void add(uint32_t source, struct str table, uint64_t records, uint64_t lines, void *arg)
{
	struct sums *s = arg;

	s->calls++;
	s->lines += lines;
	s->records[source == 2 ? 2 : str_eqc(table, "b") ? 1 : 0] += records;
}

static void test_put_and_read(void)
{
	struct queue *q = open_queue(0);
	struct queue_reader *r;
	struct err e = ERR_INIT;
	struct qrec rec;
	uint64_t at = 99, offset;

	ok(queue_begin(q, 0) == 0 && queue_end(q, 0) == 0 && queue_partitions(q) == 1, "%s: new: empty, one partition", scheme);
	ok(queue_writable(q, &e), "%s: writable (%s)", scheme, e.text);
	r = queue_reader_open(q, 0, 0, &e);
	is_int(0, queue_read(r, &rec, &offset, &e), "%s: nothing to read yet", scheme);
	is_int(ERR_NONE, qtest_append(q, 1, "a", 1, 100, 1, &at), "%s: the first request", scheme);
	is_int(0, (int64_t)at, "%s: has offset 0", scheme);
	is_int(ERR_NONE, qtest_append(q, 1, "b", 3, 5000, 10, &at), "%s: a request of three records", scheme);
	is_int(1, (int64_t)at, "%s: begins at 1", scheme);
	is_int(4, (int64_t)queue_end(q, 0), "%s: the end is behind all of them", scheme);
	ok(queue_read(r, &rec, &offset, &e) == 1 && offset == 0 && qtest_body_is(&rec, 100, 1), "%s: the reader sees the first", scheme);
	for (unsigned i = 0; i < 3; i++)
		ok(queue_read(r, &rec, &offset, &e) == 1 && offset == 1 + i && qtest_body_is(&rec, 5000, 10 + i) && str_eqc(rec.table, "b"), "%s: part %u", scheme, i);
	is_int(0, queue_read(r, &rec, &offset, &e), "%s: then nothing", scheme);
	ok(!queue_reader_seek(r, 2, &e) && queue_read(r, &rec, &offset, &e) == 1 && offset == 2 && qtest_body_is(&rec, 5000, 11), "%s: seek into a request", scheme);
	ok(queue_reader_seek(r, 5, &e) && e.code == ERR_NOT_FOUND, "%s: seek beyond the end is refused", scheme);
	queue_reader_close(r);
	ok(!queue_reader_open(q, 0, 5, &e) && e.code == ERR_NOT_FOUND, "%s: a reader beyond the end is refused", scheme);
	ok(!queue_reader_open(q, 1, 0, &e) && e.code == ERR_INVALID, "%s: a partition that is not there is refused", scheme);
	queue_close(q);
}

static void count_wakes(void *arg)
{
	++*(unsigned *)arg;
}

static void test_groups(void)
{
	struct queue *q = open_queue(0);
	struct qtest_put p[5];
	struct queue_stats st;
	unsigned wakes = 0;
	struct err e = ERR_INIT;

	queue_on_durable(q, count_wakes, &wakes);
	for (unsigned i = 0; i < 4; i++)
		is_int(0, qtest_put(q, &p[i], 1, "a", 1, 300, i), "%s: put %u waits in the mailbox", scheme, i);
	is_int(-1, qtest_put(q, &p[4], 1, "a", 1, 300, 4), "%s: a full mailbox refuses", scheme);
	is_int(ERR_FULL, p[4].err.code, "%s: and says that it is full", scheme);
	queue_stats(q, &st);
	is_int(4, (int64_t)st.waiting, "%s: four wait", scheme);
	qtest_drain(q);
	for (unsigned i = 0; i < 4; i++)
		ok(p[i].answered && p[i].err.code == ERR_NONE && p[i].offset == i, "%s: put %u was answered in order", scheme, i);
	queue_stats(q, &st);
	ok(st.groups == 1 && st.records == 4 && wakes == 1, "%s: they were one group, told once", scheme);
	is_int(0, qtest_put(q, &p[0], 1, "a", 1, 300, 9), "%s: one more", scheme);
	queue_stop(q);
	ok(p[0].answered && p[0].err.code == ERR_NONE, "%s: a stop answers what waits", scheme);
	is_int(-1, qtest_put(q, &p[1], 1, "a", 1, 300, 9), "%s: after a stop nothing is taken", scheme);
	p[1] = (struct qtest_put){.p = {.n = 2}};
	p[1].p.done = p[0].p.done;
	qtest_record(&p[1].p.bytes, 1, "a", "r", 10, 1);
	ok(queue_put(q, &p[1].p, &e) && e.code == ERR_INTERNAL, "%s: bytes that are not n records are refused", scheme);
	buf_free(&p[1].p.bytes);
	queue_close(q);
}

static void test_tally(void)
{
	struct queue *q = open_queue(0);
	struct sums s = {0};
	struct err e = ERR_INIT;

	qtest_append(q, 1, "a", 1, 100, 6, NULL);  /* 0: 7 records, 8 lines */
	qtest_append(q, 1, "b", 2, 100, 0, NULL);  /* 1, 2: 1 and 2 records */
	qtest_append(q, 2, "a", 1, 100, 3, NULL);  /* 3: 4 records, 5 lines */
	ok(!queue_tally(q, 0, 0, 4, add, &s, &e), "%s: tally of all (%s)", scheme, e.text);
	ok(s.calls == 3 && s.records[0] == 7 && s.records[1] == 3 && s.records[2] == 4 && s.lines == 18, "%s: its sums", scheme);
	s = (struct sums){0};
	ok(!queue_tally(q, 0, 2, 3, add, &s, &e) && s.calls == 1 && s.records[1] == 2, "%s: tally of a part of a request (%s)", scheme, e.text);
	s = (struct sums){0};
	ok(!queue_tally(q, 0, 4, 4, add, &s, &e) && !queue_tally(q, 0, 9, 20, add, &s, &e) && !s.calls, "%s: tally of nothing", scheme);
	queue_close(q);
}

static void test_trim(void)
{
	struct queue *q = open_queue(0);
	struct queue_reader *r;
	struct err e = ERR_INIT;
	struct qrec rec;
	uint64_t offset, end, bytes, point;
	int64_t newest;

	/* about two segments of the log */
	for (unsigned i = 0; i < 20; i++)
		qtest_append(q, 1, "a", 1, 120000, i, NULL);
	r = queue_reader_open(q, 0, 0, &e);
	is_int(1, queue_read(r, &rec, &offset, &e), "%s: reads the first", scheme);
	queue_oldest_segment(q, 0, &newest, &end, &bytes);
	ok(newest >= 1000 && newest <= 1020 && end >= 1 && end <= 20 && bytes >= 20 * 120000, "%s: the oldest segment", scheme);
	point = queue_trim_point(q, 0, 15);
	ok(point > 0 && point <= 15, "%s: trimming below 15 would reach %d", scheme, (int)point);
	ok(!queue_trim(q, 0, 15, &e), "%s: trim (%s)", scheme, e.text);
	is_int((int64_t)point, (int64_t)queue_begin(q, 0), "%s: the queue begins there", scheme);
	is_int((int64_t)point, (int64_t)queue_trim_point(q, 0, 15), "%s: and no more is to trim", scheme);
	for (unsigned i = 0; i < 20 && queue_read(r, &rec, &offset, &e) == 1; i++)
		;
	ok(e.code == ERR_NONE || e.code == ERR_NOT_FOUND, "%s: a reader whose records were trimmed ends or is told so (%s)", scheme, e.text);
	ok(queue_reader_seek(r, 0, &e) && e.code == ERR_NOT_FOUND, "%s: what was trimmed cannot be sought", scheme);
	ok(!queue_reader_seek(r, point, &e) && queue_read(r, &rec, &offset, &e) == 1 && offset == point && qtest_body_is(&rec, 120000, (unsigned)point),
		"%s: the rest can be read", scheme);
	queue_reader_close(r);
	ok(!queue_reader_open(q, 0, 0, &e) && e.code == ERR_NOT_FOUND, "%s: a reader below the begin is refused", scheme);
	ok(!queue_trim(q, 0, UINT64_MAX, &e) && queue_begin(q, 0) <= 20 && queue_end(q, 0) == 20, "%s: trimming all keeps the end", scheme);
	is_int(ERR_NONE, qtest_append(q, 1, "a", 1, 10, 5, &offset), "%s: and it goes on", scheme);
	is_int(20, (int64_t)offset, "%s: at the next offset", scheme);
	queue_close(q);
}

static void test_large(void)
{
	struct queue *q = open_queue(7);
	struct queue_reader *r;
	struct err e = ERR_INIT;
	struct qrec rec;
	uint64_t offset = 0;
	size_t big = QREC_MAX - 200;
	struct sums s = {0};

	is_int(ERR_NONE, qtest_append(q, 1, "a", 1, 50, 1, &offset), "%s: a small one", scheme);
	is_int(7, (int64_t)offset, "%s: at the first offset that was asked for", scheme);
	is_int(ERR_NONE, qtest_append(q, 1, "a", 2, big, 2, &offset), "%s: two records of 21 MiB in one request", scheme);
	is_int(ERR_NONE, qtest_append(q, 1, "a", 1, 50, 4, &offset), "%s: a small one behind it", scheme);
	is_int(10, (int64_t)offset, "%s: at its offset", scheme);
	r = queue_reader_open(q, 0, 8, &e);
	ok(queue_read(r, &rec, &offset, &e) == 1 && qtest_body_is(&rec, big, 2), "%s: the first large one", scheme);
	ok(queue_read(r, &rec, &offset, &e) == 1 && offset == 9 && qtest_body_is(&rec, big, 3), "%s: the second", scheme);
	ok(queue_read(r, &rec, &offset, &e) == 1 && offset == 10 && qtest_body_is(&rec, 50, 4), "%s: the small one", scheme);
	ok(!queue_tally(q, 0, 9, 11, add, &s, &e) && s.records[0] == 4 + 5, "%s: a tally steps over the body", scheme);
	queue_reader_close(r);
	queue_close(q);
}

static void test_scheme(const char *name, void (*fn)(void))
{
	scheme = name;
	fresh();
	fn();
}

int main(void)
{
	static const char *const schemes[] = {"mem", "log"};

	plan_lazy();
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		test_scheme(schemes[i], test_put_and_read);
		test_scheme(schemes[i], test_groups);
		test_scheme(schemes[i], test_tally);
		test_scheme(schemes[i], test_trim);
		test_scheme(schemes[i], test_large);
	}
	qtest_remove(dir);
	free(dir);
	return done_testing();
}
