/*
 * logdriver.c - puts the log under load on a disk that a test takes away, and says whether an acknowledged record is missing or was delivered twice.
 *   logdriver run DIR JOURNAL MS RUN   a writer, a consumer with a saved cursor, trimming; ends by itself after MS or is killed
 *   logdriver drain DIR JOURNAL RUN    a start on the healed disk: 12 new groups, all is delivered, all that is left is listed
 *   logdriver check JOURNAL            compares; exit 1 and a line for each difference
 * The journal lies on a good disk. Its lines: A offset n seed = acknowledged; R batch = a start that found this batch in the cursor; G batch offset seed =
 * read for that batch (valid when a later start finds the cursor there or further); T offset = the log begins; S offset seed = in the log; X = damage.
 * A record is known by its seed, unique over all runs; its body follows from the seed. In two of three runs the consumer stops early, else it reads from
 * the page cache what the disk lost.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "daemon/core/crashpoint.h"
#include "daemon/queue/queue.h"
#include "file.h"
#include "log.h"
#include "qtest.h"
#include "xalloc.h"

#define IN_FLIGHT 12
#define CURSOR "cursor"

struct driver {
	const char *dir;
	int journal;
	unsigned run;
	struct queue *q;
	uint64_t batch, next; /* the cursor */
	_Atomic int flying;
	_Atomic bool over;
	int64_t consumer_ends; /* monotonic */
	unsigned dice;
	bool strict; /* the disk is sound: a read that fails is damage */
};

struct request {
	struct queue_put p;
	struct driver *d;
	unsigned seed;
};

static void fail(const char *what, const struct err *e)
{
	fprintf(stderr, "logdriver: %s: %s\n", what, e->text);
	exit(3);
}

static unsigned roll(unsigned *dice, unsigned below)
{
	*dice = *dice * 1103515245u + 12345;
	return (*dice >> 8) % below;
}

static void say(struct driver *d, const struct buf *b)
{
	if (write(d->journal, b->data, b->len) != (ssize_t)b->len)
		abort();
}

static size_t body_size(unsigned seed)
{
	return 200 + seed * 2654435761u % 30000;
}

/* --- the cursor: read cold, saved by file_commit --- */

static void cursor_load(struct driver *d)
{
	char *path = xasprintf("%s/" CURSOR, d->dir);
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;
	int fd = open(path, O_RDONLY);

	if (fd >= 0) {
		if (file_go_cold(fd, &e))
			fail("cursor", &e);
		close(fd);
		if (file_read(path, 100, &b, &e))
			fail("cursor", &e);
		if (sscanf(b.data, "%" SCNu64 " %" SCNu64, &d->batch, &d->next) != 2)
			fail("the cursor is damaged", &e);
	}
	buf_free(&b);
	buf_addf(&b, "R %" PRIu64 " %" PRIu64 "\n", d->batch, d->next);
	say(d, &b);
	buf_free(&b);
	free(path);
}

static int cursor_save(struct driver *d, uint64_t batch, uint64_t next)
{
	struct buf b = BUF_INIT;
	int rc;

	buf_addf(&b, "%" PRIu64 " %" PRIu64 "\n", batch, next);
	rc = file_commit(d->dir, CURSOR, b.data, b.len, NULL);
	buf_free(&b);
	if (!rc) {
		d->batch = batch;
		d->next = next;
	}
	return rc;
}

/* --- both sides --- */

static void done(struct queue_put *p)
{
	struct request *r = p->arg;
	struct driver *d = r->d;
	struct buf b = BUF_INIT;

	if (p->err.code == ERR_NONE) {
		buf_addf(&b, "A %" PRIu64 " %u %u\n", p->offset, p->n, r->seed);
		say(d, &b);
	}
	buf_free(&b);
	buf_free(&p->bytes);
	free(r);
	atomic_fetch_sub(&d->flying, 1);
}

static bool put(struct driver *d, unsigned *seed)
{
	struct request *r = xcalloc(1, sizeof(*r));

	r->d = d;
	r->seed = *seed;
	r->p.n = 1 + roll(&d->dice, 3);
	r->p.done = done;
	r->p.arg = r;
	for (unsigned i = 0; i < r->p.n; i++) {
		unsigned s = (*seed)++;

		qtest_record(&r->p.bytes, 1, s % 3 ? "orders" : "items", "id", body_size(s), s);
	}
	atomic_fetch_add(&d->flying, 1);
	if (!queue_put(d->q, &r->p, NULL))
		return true;
	atomic_fetch_sub(&d->flying, 1);
	buf_free(&r->p.bytes);
	free(r);
	return false;
}

/* Read up to `most` records into a batch; how many. */
static unsigned take(struct driver *d, struct queue_reader *r, unsigned most, struct buf *lines, uint64_t *to)
{
	struct err e = ERR_INIT;
	struct qrec rec;
	uint64_t offset;
	unsigned n = 0;

	while (n < most) {
		int rc = queue_read(r, &rec, &offset, &e);

		if (rc == 0)
			break;
		if (rc < 0 && e.code == ERR_IO && !d->strict)
			break; /* the disk was taken away */
		if (rc < 0) {
			buf_addf(lines, "X offset %" PRIu64 ": %s\n", offset, e.text);
			break;
		}
		if (!qtest_body_is(&rec, body_size((unsigned)rec.shape_hash), (unsigned)rec.shape_hash))
			buf_addf(lines, "X offset %" PRIu64 ": a body that is not of seed %" PRIu64 "\n", offset, rec.shape_hash);
		buf_addf(lines, "G %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", d->batch + 1, offset, rec.shape_hash);
		*to = offset + 1;
		n++;
	}
	return n;
}

static int consume_batch(struct driver *d, struct queue_reader *r, unsigned most, unsigned *n)
{
	struct buf lines = BUF_INIT;
	uint64_t to = d->next;

	*n = take(d, r, most, &lines, &to);
	if (lines.len)
		say(d, &lines);
	buf_free(&lines);
	return *n ? cursor_save(d, d->batch + 1, to) : 0;
}

static void *consumer(void *arg)
{
	struct driver *d = arg;
	struct err e = ERR_INIT;
	struct queue_reader *r = queue_reader_open(d->q, 0, d->next, &e);
	unsigned n, dice = d->run * 104729u + 3;

	if (!r)
		fail("reader", &e);
	/* what the cursor says must be on the disk before anything is trimmed */
	if (d->batch && cursor_save(d, d->batch, d->next))
		goto out;
	while (!atomic_load(&d->over) && now_get().mono < d->consumer_ends) {
		if (consume_batch(d, r, 1 + roll(&dice, 40), &n))
			break; /* unknown where the cursor is: the next start reads it */
		if (n && roll(&dice, 2) && queue_trim(d->q, 0, d->next, NULL))
			continue;
		if (!n)
			usleep(1000);
	}
out:
	queue_reader_close(r);
	return NULL;
}

static void open_queue(struct driver *d)
{
	char *url = xasprintf("log:%s/queue", d->dir);
	struct queue_config c = {.url = url, .segment_bytes = 1u << 20, .spare_segments = 2, .mailbox_count = 100, .mailbox_bytes = 64u << 20, .first_offset = d->next};
	struct err e = ERR_INIT;

	d->q = queue_open(&c, &e);
	if (!d->q || queue_start(d->q, &e))
		fail("open", &e);
	free(url);
}

static void run(struct driver *d, int64_t ms)
{
	pthread_t t;
	int64_t begin = now_get().mono, end = begin + ms * NSEC_PER_MSEC;
	unsigned seed = d->run * 1000000;

	d->consumer_ends = roll(&d->dice, 3) ? begin + (int64_t)roll(&d->dice, (unsigned)ms) * NSEC_PER_MSEC : NEVER;
	pthread_create(&t, NULL, consumer, d);
	while (now_get().mono < end) {
		if (atomic_load(&d->flying) >= IN_FLIGHT || !put(d, &seed))
			usleep(200);
		if (roll(&d->dice, 50) == 0)
			usleep(2000);
	}
	atomic_store(&d->over, true);
	pthread_join(t, NULL);
	queue_close(d->q);
}

static void list_all(struct driver *d)
{
	struct err e = ERR_INIT;
	uint64_t begin = queue_begin(d->q, 0), offset;
	struct queue_reader *r = queue_reader_open(d->q, 0, begin, &e);
	struct buf b = BUF_INIT;
	struct qrec rec;
	int rc;

	buf_addf(&b, "T %" PRIu64 "\n", begin);
	while ((rc = queue_read(r, &rec, &offset, &e)) == 1)
		buf_addf(&b, "S %" PRIu64 " %" PRIu64 "\n", offset, rec.shape_hash);
	if (rc)
		buf_addf(&b, "X list: %s\n", e.text);
	say(d, &b);
	buf_free(&b);
	queue_reader_close(r);
}

static void drain(struct driver *d)
{
	struct err e = ERR_INIT;
	struct queue_reader *r = queue_reader_open(d->q, 0, d->next, &e);
	unsigned seed = d->run * 1000000, n;

	if (!r)
		fail("reader", &e);
	for (unsigned i = 0; i < 12; i++) {
		if (!put(d, &seed))
			fail("put", &e);
		while (atomic_load(&d->flying))
			usleep(100);
	}
	do {
		if (consume_batch(d, r, 500, &n))
			fail("cursor", &e);
	} while (n);
	queue_reader_close(r);
	list_all(d);
	queue_close(d->q);
}

/* --- the check --- */

struct seen {
	uint64_t batch, offset, seed;
};

struct seens {
	struct seen *s;
	size_t n, cap;
};

static void add(struct seens *l, uint64_t batch, uint64_t offset, uint64_t seed)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 1024;
		l->s = xreallocarray(l->s, l->cap, sizeof(*l->s));
	}
	l->s[l->n++] = (struct seen){batch, offset, seed};
}

static int by_seed(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;

	return x->seed < y->seed ? -1 : x->seed > y->seed;
}

struct history {
	struct seens acked, got, listed;
	uint64_t begin;
	unsigned bad;
};

static void parse(struct history *h, const char *line)
{
	uint64_t a = 0, b = 0, c = 0;
	int n = sscanf(line + 1, "%" SCNu64 " %" SCNu64 " %" SCNu64, &a, &b, &c);

	switch (*line) {
	case 'A':
		for (uint64_t i = 0; n == 3 && i < b; i++)
			add(&h->acked, 0, a + i, c + i);
		break;
	case 'R':
		while (h->got.n && h->got.s[h->got.n - 1].batch > a)
			h->got.n--;
		h->listed.n = 0;
		break;
	case 'G':
		add(&h->got, a, b, c);
		break;
	case 'T':
		h->begin = a;
		break;
	case 'S':
		add(&h->listed, 0, a, b);
		break;
	default:
		h->bad++;
		printf("%s", line);
	}
}

/* How often a seed is there; *offset of the last. */
static unsigned count(const struct seens *l, uint64_t seed, uint64_t *offset)
{
	struct seen key = {.seed = seed}, *s = l->n ? bsearch(&key, l->s, l->n, sizeof(*l->s), by_seed) : NULL;
	unsigned n = 0;

	while (s && s > l->s && s[-1].seed == seed)
		s--;
	for (; s && s < l->s + l->n && s->seed == seed; s++, n++)
		*offset = s->offset;
	return n;
}

static int check(const char *path)
{
	struct history h = {.begin = 0};
	FILE *f = fopen(path, "r");
	char line[512];
	unsigned lost = 0, twice = 0, disorder = 0;

	if (!f)
		return 3;
	while (fgets(line, sizeof(line), f))
		parse(&h, line);
	fclose(f);
	for (size_t i = 1; i < h.got.n; i++)
		disorder += h.got.s[i].offset <= h.got.s[i - 1].offset;
	if (h.got.n)
		qsort(h.got.s, h.got.n, sizeof(*h.got.s), by_seed);
	if (h.listed.n)
		qsort(h.listed.s, h.listed.n, sizeof(*h.listed.s), by_seed);
	for (size_t i = 1; i < h.got.n; i++)
		twice += h.got.s[i].seed == h.got.s[i - 1].seed;
	for (size_t i = 0; i < h.acked.n; i++) {
		const struct seen *a = &h.acked.s[i];
		uint64_t offset = 0;
		bool there = count(&h.got, a->seed, &offset) == 1 && offset == a->offset;

		if (there && a->offset >= h.begin)
			there = count(&h.listed, a->seed, &offset) == 1 && offset == a->offset;
		if (!there && lost < 40)
			printf("lost: offset %" PRIu64 " seed %" PRIu64 "\n", a->offset, a->seed);
		lost += !there;
	}
	printf("acknowledged %zu delivered %zu lost %u twice %u disorder %u damaged %u\n", h.acked.n, h.got.n, lost, twice, disorder, h.bad);
	free(h.acked.s);
	free(h.got.s);
	free(h.listed.s);
	return lost || twice || disorder || h.bad;
}

static unsigned number(const char *s)
{
	uint64_t v = 0;

	if (str_to_u64(str_c(s), &v))
		exit(2);
	return (unsigned)v;
}

int main(int argc, char **argv)
{
	struct driver d = {.journal = -1};
	const char *mode = argc > 1 ? argv[1] : "";

	if (strcmp(mode, "check") == 0 && argc == 3)
		return check(argv[2]);
	if (!(strcmp(mode, "run") == 0 && argc == 6) && !(strcmp(mode, "drain") == 0 && argc == 5)) {
		fprintf(stderr, "usage: logdriver run DIR JOURNAL MS RUN | drain DIR JOURNAL RUN | check JOURNAL\n");
		return 2;
	}
	log_setup(LOG_LVL_ERR, LOG_FMT_TEXT);
	crashpoint_setup();
	d.dir = argv[2];
	d.journal = open(argv[3], O_WRONLY | O_CREAT | O_APPEND, 0600);
	d.run = number(argv[argc - 1]);
	d.strict = *mode == 'd';
	d.dice = d.run * 7919u + 1;
	cursor_load(&d);
	open_queue(&d);
	if (*mode == 'r')
		run(&d, number(argv[4]));
	else
		drain(&d);
	return 0;
}
