/*
 * queue-log.c - fuzz target: the start of a log on files that the input makes and damages. The input is a list of acts (one byte each, then what it takes): begin
 * a segment, append a group, flip a byte, put a unit's head with a fitting crc, cut the file, write an index with a fitting crc. Then the log is opened, all is
 * read, counted, appended to and trimmed: nothing may crash, offsets must rise, and what is read must be between begin and end.
 */
#include <fcntl.h>
#include <unistd.h>

#include "daemon/queue/crc32c.h"
#include "daemon/queue/le.h"
#include "daemon/queue/segment.h"
#include "log.h"
#include "qtest.h"
#include "xalloc.h"

#define SIZE (32u << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *p;
	size_t n;
};

static const unsigned char id[QUEUE_ID_LEN] = "queue under test";
static char *dir;

static unsigned take(struct input *in, unsigned bytes)
{
	unsigned v = 0;

	while (bytes-- && in->n) {
		v = v << 8 | *in->p++;
		in->n--;
	}
	return v;
}

struct maker {
	struct seg_header h;
	int fd;
	uint64_t pos, offset;
};

static void begin(struct maker *m, struct input *in)
{
	if (m->fd >= 0)
		close(m->fd);
	m->h.number += 1 + take(in, 1) % 2;
	m->h.epoch = take(in, 1) % 3;
	m->offset += take(in, 1) % 8;
	m->offset -= MIN(m->offset, take(in, 1) % 8);
	m->pos = SEG_BLOCK;
	m->fd = seg_make(dir, &m->h, SIZE, NULL);
	if (m->fd < 0)
		abort();
}

static void append(struct maker *m, struct input *in)
{
	struct seg_item items[4];
	struct buf b[4];
	size_t n = 1 + take(in, 1) % 4;

	for (size_t i = 0; i < n; i++) {
		items[i] = (struct seg_item){.n = 1 + take(in, 1) % 3};
		b[i] = BUF_INIT;
		for (unsigned k = 0; k < items[i].n; k++)
			qtest_record(&b[i], take(in, 1) % 2, "t", "r", take(in, 1) * 8, (unsigned)m->offset + k);
		items[i].data = b[i].data;
		items[i].len = b[i].len;
	}
	if (m->pos + seg_group_size(items, n) <= SIZE && seg_append(m->fd, &m->h, m->pos, m->offset, items, n, NULL) == 0) {
		m->pos += seg_group_size(items, n);
		for (size_t i = 0; i < n; i++)
			m->offset += items[i].n;
	}
	for (size_t i = 0; i < n; i++)
		buf_free(&b[i]);
}

static void put_bytes(struct maker *m, const void *p, size_t n, uint64_t at)
{
	if (pwrite(m->fd, p, n, (off_t)at) != (ssize_t)n)
		abort();
}

/* A head from the input whose crc fits, with the body's crc right too if it is short. */
static void head(struct maker *m, struct input *in)
{
	char h[SEG_UNIT_HEAD], body[256] = {0}, e[8];
	uint64_t at = (uint64_t)take(in, 1) % (SIZE / SEG_BLOCK) * SEG_BLOCK;
	size_t len = take(in, 1);

	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (char)take(in, 1);
	le64_put(e, m->h.epoch);
	memset(h, 0, sizeof(h));
	le32_put(h, 0x31555153u);
	le32_put(h + 4, take(in, 1) % 2);
	le64_put(h + 8, m->h.epoch);
	le64_put(h + 16, take(in, 1) % 64 ? m->offset + take(in, 1) % 3 : UINT64_MAX - take(in, 1));
	le32_put(h + 24, take(in, 1) % 4 ? take(in, 1) % 4 : take(in, 4));
	le64_put(h + 32, take(in, 1) % 8 ? len : (uint64_t)take(in, 4) << take(in, 1) % 32);
	le32_put(h + 28, crc32c(crc32c(0, e, 8), body, len));
	le32_put(h + 44, crc32c(crc32c(0, e, 8), h, 44));
	put_bytes(m, h, sizeof(h), at);
	put_bytes(m, body, sizeof(body), at + sizeof(h));
	if (ftruncate(m->fd, SIZE))
		abort();
}

static void index_file(struct maker *m, struct input *in)
{
	char *name = seg_name(m->h.number, SEG_INDEX), *path = xasprintf("%s/%s", dir, name);
	size_t n = 80 + take(in, 1) + 4;
	char *p = xcalloc(1, n);
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	for (size_t i = 0; i + 4 < n; i++)
		p[i] = (char)take(in, 1);
	memcpy(p, "stitchX\n", 8);
	le32_put(p + 8, 1);
	le64_put(p + 16, m->h.number);
	le64_put(p + 24, m->h.epoch);
	if (take(in, 1) % 2) {
		le64_put(p + 32, m->offset - MIN(m->offset, 3));
		le64_put(p + 40, m->offset);
		le64_put(p + 48, m->pos);
		le64_put(p + 64, take(in, 1) % 4);
		le64_put(p + 72, take(in, 1) % 4);
	}
	le32_put(p + n - 4, crc32c(0, p, n - 4));
	if (fd < 0 || write(fd, p, n) != (ssize_t)n)
		abort();
	close(fd);
	free(p);
	free(path);
	free(name);
}

static void make(struct input *in)
{
	struct maker m = {.fd = -1};

	memcpy(m.h.queue_id, id, QUEUE_ID_LEN);
	while (in->n && m.h.number < 8) {
		unsigned act = m.fd < 0 ? 0 : take(in, 1) % 8;
		char c;

		if (act == 0) {
			begin(&m, in);
		} else if (act <= 3) {
			append(&m, in);
		} else if (act == 4) {
			c = (char)take(in, 1);
			put_bytes(&m, &c, 1, take(in, 2) % SIZE);
		} else if (act == 5) {
			head(&m, in);
		} else if (act == 6) {
			if (ftruncate(m.fd, take(in, 2) % SIZE))
				abort();
			m.pos = SIZE;
		} else {
			index_file(&m, in);
		}
	}
	if (m.fd >= 0)
		close(m.fd);
}

static void count(uint32_t source, struct str table, uint64_t records, uint64_t lines, void *arg)
{
	(void)source;
	(void)lines;
	(void)records;
	*(size_t *)arg += table.len;
}

static void use(struct queue *q)
{
	uint64_t begin_at = queue_begin(q, 0), end = queue_end(q, 0), last = 0, offset;
	struct queue_reader *r = queue_reader_open(q, 0, begin_at, NULL);
	struct qrec rec;
	struct err e = ERR_INIT;
	size_t sum = 0;
	unsigned n = 0;

	assert(r && begin_at <= end);
	for (int rc = 1, steps = 0; rc && steps < 1000; steps++) {
		rc = queue_read(r, &rec, &offset, &e);
		if (rc == 0)
			break;
		assert(offset >= begin_at && offset < end && (!n || offset > last));
		sum += rc == 1 ? rec.body.len + rec.table.len : 0;
		if (rc < 0 && queue_reader_seek(r, offset + 1, &e))
			break;
		last = offset;
		n++;
	}
	queue_reader_close(r);
	if (queue_tally(q, 0, begin_at + 1, end - MIN(end, 1), count, &sum, &e) || queue_tally(q, 0, begin_at, end, count, &sum, &e))
		err_clear(&e);
	if (end < UINT64_MAX - 10) {
		/* the new one is there, whatever was found */
		assert(qtest_append(q, 1, "t", 1, 10, 1, &offset) == ERR_NONE && offset == end && queue_end(q, 0) == end + 1);
	}
	if (queue_trim(q, 0, end, &e))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct queue_config c = {.segment_bytes = 1u << 20, .spare_segments = 1};
	struct queue *q;
	char *url;

	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	log_setup(0, LOG_FMT_TEXT);
	dir = qtest_dir("fuzz");
	make(&in);
	url = xasprintf("log:%s", dir);
	c.url = url;
	q = queue_open(&c, NULL);
	if (q) {
		use(q);
		queue_close(q);
	}
	free(url);
	qtest_remove(dir);
	free(dir);
	return 0;
}
