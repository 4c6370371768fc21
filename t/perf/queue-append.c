/*
 * queue-append.c - how fast the log takes records of 13 KB against a plain file (written with zeros before, wrapping) that gets the same bytes by pwrite + fdatasync:
 *   queue-append DIR [SECONDS]
 * For each group size the two run in turn, in slices of 0.25 s; wall, CPU seconds per million records, and the 50th and 99th percentile of a group.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/queue/queue.h"
#include "file.h"
#include "qtest.h"
#include "xalloc.h"

#define BODY 13000
#define SLICE (NSEC_PER_SEC / 4)
#define MOST 128
#define KEEP 7000 /* records: about a segment and a half */
#define PLAIN_BYTES (64u << 20)
#define SAMPLES 100000

struct side {
	uint64_t records, groups;
	int64_t wall, cpu;
	int64_t *times; /* of groups */
};

static struct buf records[MOST];
static struct queue_put requests[MOST];
static _Atomic int flying;

static int64_t cpu_of(int who)
{
	struct rusage r;

	getrusage(who, &r);
	return (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * NSEC_PER_SEC + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1000;
}

/* Of the log that of its own threads: this one only waits. */
static int64_t cpu_now(bool log)
{
	return cpu_of(RUSAGE_SELF) - (log ? cpu_of(RUSAGE_THREAD) : 0);
}

static void done(struct queue_put *p)
{
	if (p->err.code != ERR_NONE) {
		fprintf(stderr, "%s\n", p->err.text);
		exit(1);
	}
	p->bytes = BUF_INIT; /* the bytes are used again */
	atomic_fetch_sub(&flying, 1);
}

/* One group through the queue and its threads; the writer's wake-up is in the figure. What is old is trimmed, so that segments are recycled. */
static void log_group(struct queue *q, unsigned n)
{
	struct err e = ERR_INIT;

	atomic_store(&flying, (int)n);
	for (unsigned i = 0; i < n; i++) {
		requests[i] = (struct queue_put){.bytes = records[i], .n = 1, .done = done};
		if (queue_put(q, &requests[i], NULL))
			exit(1);
	}
	while (atomic_load(&flying))
		sched_yield();
	if (queue_end(q, 0) - queue_begin(q, 0) > KEEP && queue_trim(q, 0, queue_end(q, 0), &e)) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
}

static void plain_group(int fd, uint64_t *pos, unsigned n)
{
	struct err e = ERR_INIT;

	if (*pos + (uint64_t)n * 16384 > PLAIN_BYTES)
		*pos = 0;
	for (unsigned i = 0; i < n; i++) {
		if (file_write_all(fd, records[i].data, records[i].len, (int64_t)*pos, &e))
			exit(1);
		*pos += records[i].len;
	}
	*pos = (*pos + 4095) & ~UINT64_C(4095);
	if (file_fdatasync(fd, &e))
		exit(1);
}

static void slice(struct side *s, struct queue *q, int fd, uint64_t *pos, unsigned n)
{
	int64_t begin = now_get().mono, cpu = cpu_now(q), now = begin;

	while (now - begin < SLICE) {
		int64_t t = now;

		if (q)
			log_group(q, n);
		else
			plain_group(fd, pos, n);
		now = now_get().mono;
		s->times[s->groups++ % SAMPLES] = now - t;
		s->records += n;
	}
	s->wall += now - begin;
	s->cpu += cpu_now(q) - cpu;
}

static int by_value(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void report(const char *name, unsigned n, struct side *s)
{
	size_t k = (size_t)MIN(s->groups, SAMPLES);

	qsort(s->times, k, sizeof(int64_t), by_value);
	printf("%-6s group %3u: %8.0f records/s  %6.1f CPU s/M  p50 %.2f p99 %.2f max %.1f ms\n", name, n, (double)s->records * 1e9 / (double)s->wall,
		(double)s->cpu / 1e3 / (double)s->records, (double)s->times[k / 2] / 1e6, (double)s->times[k * 99 / 100] / 1e6, (double)s->times[k - 1] / 1e6);
}

static void compare(struct queue *q, int fd, unsigned n, int slices)
{
	struct side log = {.times = xcalloc(SAMPLES, sizeof(int64_t))}, plain = {.times = xcalloc(SAMPLES, sizeof(int64_t))};
	uint64_t pos = 0;

	for (int i = 0; i < slices; i++) {
		slice(&log, q, -1, NULL, n);
		slice(&plain, NULL, fd, &pos, n);
	}
	report("log", n, &log);
	report("plain", n, &plain);
	printf("       ratio %.2f\n", (double)log.records / (double)log.wall * (double)plain.wall / (double)plain.records);
	free(log.times);
	free(plain.times);
}

int main(int argc, char **argv)
{
	static const unsigned groups[] = {1, 8, 32, 128};
	struct err e = ERR_INIT;
	struct queue_config c = {0};
	uint64_t seconds = 2;
	struct queue *q;
	char *url, *path, *zeros;
	int fd;

	if (argc < 2 || (argc > 2 && str_to_u64(str_c(argv[2]), &seconds)))
		return 2;
	url = xasprintf("log:%s/queue", argv[1]);
	path = xasprintf("%s/plain", argv[1]);
	c.url = url;
	q = queue_open(&c, &e);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	zeros = xcalloc(1, PLAIN_BYTES);
	if (!q || queue_start(q, &e) || fd < 0 || file_write_all(fd, zeros, PLAIN_BYTES, 0, &e) || file_fdatasync(fd, &e)) {
		fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	free(zeros);
	for (unsigned i = 0; i < MOST; i++)
		qtest_record(&records[i], 1, i % 2 ? "orders" : "items", "0123456789abcdef", BODY, i);
	/* until segments are recycled */
	for (unsigned i = 0; i < 300; i++)
		log_group(q, 128);
	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		compare(q, fd, groups[i], (int)(seconds * 2));
	queue_close(q);
	return 0;
}
