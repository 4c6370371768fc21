/*
 * 2010-local.c - the local spool in front of another queue: what is said no to, or gets no answer, goes into it and comes back in order; what was there first stays
 * first; a size that is kept; over a restart; with threads, while the other queue comes and goes.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/queue/queue_local.h"
#include "daemon/queue/queue_mem.h"
#include "file.h"
#include "log.h"
#include "qtest.h"
#include "tap.h"
#include "xalloc.h"

static char *dir, *fault, *hang;
static struct queue *inner, *q;

static void touch(const char *path, bool there)
{
	if (there) {
		FILE *f = fopen(path, "w");

		if (!f || fclose(f))
			bail("%s", path);
	} else {
		(void)unlink(path);
	}
}

static void open_local(struct queue *main, uint64_t max, int64_t patience)
{
	char *local = xasprintf("%s/local", dir);
	struct queue_local_config c = {.dir = local, .bytes_max = max, .patience = patience};
	struct err e = ERR_INIT;

	inner = main;
	q = queue_local_open(main, &c, &e);
	if (!q)
		bail("%s", e.text);
	free(local);
}

static struct queue *mem_queue(void)
{
	struct queue_config c = {.url = "mem:"};
	struct queue *m = queue_open(&c, NULL);

	if (!m)
		bail("no queue");
	return m;
}

/* One put with this request id, answered: 201, 202 or the error's code, negative. */
struct one {
	struct queue_put p;
	_Atomic int answer;
	uint64_t offset;
};

static void done(struct queue_put *p)
{
	struct one *o = container_of(p, struct one, p);

	buf_free(&p->bytes);
	o->offset = p->offset;
	atomic_store(&o->answer, p->err.code ? -(int)p->err.code : p->delayed ? 202 : 201);
}

static void fill(struct one *o, const char *id, unsigned n)
{
	*o = (struct one){.p = {.n = n, .done = done}};
	for (unsigned i = 0; i < n; i++)
		qtest_record(&o->p.bytes, 7, "t", id, 300, i);
}

static int64_t skipped; /* the clock of the steps runs ahead: nobody waits for a pause */

static void steps(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct now now = now_get();

		skipped += NSEC_PER_SEC;
		now.mono += skipped;
		queue_step(q, now);
	}
}

static int put(const char *id, unsigned n)
{
	struct one o;
	struct err e = ERR_INIT;

	fill(&o, id, n);
	if (queue_put(q, &o.p, &e)) {
		buf_free(&o.p.bytes);
		return -(int)e.code;
	}
	for (unsigned i = 0; i < 50 && !atomic_load(&o.answer); i++)
		queue_step(q, now_get());
	return atomic_load(&o.answer);
}

/* Request ids in the other queue, in order, each once per put; *records: of all. */
static void seen(struct buf *out, uint64_t *records)
{
	struct queue_reader *r = queue_reader_open(q, 0, queue_begin(q, 0), NULL);
	struct buf last = BUF_INIT;
	struct qrec rec;
	uint64_t offset;

	*records = 0;
	buf_truncate(out, 0);
	while (r && queue_read(r, &rec, &offset, NULL) == 1) {
		++*records;
		if (!str_eq(rec.request_id, buf_str(&last)))
			buf_addf(out, "%s" STR_FMT, out->len ? " " : "", STR_ARG(rec.request_id));
		buf_truncate(&last, 0);
		buf_addstr(&last, rec.request_id);
	}
	buf_free(&last);
	queue_reader_close(r);
}

static void holds(const char *wanted, uint64_t wanted_records, const char *what)
{
	struct buf ids = BUF_INIT;
	uint64_t n;

	seen(&ids, &n);
	is_str(wanted, buf_cstr(&ids), "%s", what);
	is_int((int64_t)wanted_records, (int64_t)n, "with all records");
	buf_free(&ids);
}

static void waits(uint64_t requests, bool away, const char *what)
{
	struct queue_stats s;

	queue_stats(q, &s);
	ok(s.local_requests == requests && s.away == away && (requests || !s.local_bytes), "%s (%" PRIu64 " requests, %" PRIu64 " bytes, away %d)", what, s.local_requests,
		s.local_bytes, s.away);
}

static void test_errors(void)
{
	open_local(mem_queue(), 1u << 20, 60 * NSEC_PER_SEC);
	is_int(201, put("a", 2), "as if there were no spool");
	waits(0, false, "nothing is in it");
	queue_mem_fault(inner, QUEUE_MEM_FAIL_NEXT);
	is_int(202, put("b", 1), "what the queue could not write is taken");
	waits(1, true, "it is away");
	steps(5);
	holds("a b", 3, "and comes");
	waits(0, false, "and the spool is empty");
	is_int(201, put("c", 1), "so the queue is asked again");

	queue_mem_fault(inner, QUEUE_MEM_LOSE_ANSWER);
	is_int(202, put("d", 3), "what it wrote and did not tell");
	steps(5);
	holds("a b c d", 10, "is there twice, with one id"); /* 2 + 1 + 1 + 3 + 3 */
	queue_close(q);
}

/* While it is away: order, size, what is lost with a kill. */
static void test_away(void)
{
	struct queue *log;

	touch(fault, true);
	open_local(mem_queue(), 4000, 60 * NSEC_PER_SEC);
	ok(queue_writable(q, NULL), "puts are taken");
	is_int(202, put("a", 1), "one");
	is_int(202, put("b", 5), "two");
	touch(fault, false);
	is_int(202, put("c", 1), "one that comes when the queue is back goes behind them");
	touch(fault, true);
	is_int(202, put("d", 2), "four");
	is_int(-ERR_FULL, put("e", 2), "one too many");
	waits(4, true, "four are in it");
	holds("", 0, "and none in the queue");
	queue_close(q);

	open_local(mem_queue(), 4000, 60 * NSEC_PER_SEC);
	waits(4, true, "four are in it after a restart");
	log = queue_local_log(q);
	is_int(9, (int64_t)(queue_end(log, 0) - queue_local_position(q)), "nine records");
	steps(20);
	holds("", 0, "the queue is still away");
	touch(fault, false);
	steps(20);
	holds("a b c d", 9, "all comes, in order");
	waits(0, false, "the spool is empty");
	is_int(201, put("e", 1), "and then the queue is asked again");
	queue_close(q);

	open_local(mem_queue(), 4000, 60 * NSEC_PER_SEC);
	waits(0, false, "nothing is left");
	steps(5);
	holds("", 0, "and nothing comes twice");
	queue_close(q);
}

/* The position is lost: all that the log still has comes again. */
static void test_position(void)
{
	char *position = xasprintf("%s/local/position", dir), *local = xasprintf("%s/local", dir);
	struct err e = ERR_INIT;

	touch(fault, true);
	open_local(mem_queue(), 1u << 20, 60 * NSEC_PER_SEC);
	is_int(202, put("p", 1), "one");
	queue_close(q);
	if (file_commit(local, "position", "nonsense\n", 9, &e))
		bail("%s", e.text);
	touch(fault, false);
	open_local(mem_queue(), 1u << 20, 60 * NSEC_PER_SEC);
	steps(20);
	waits(0, false, "a position that says nothing is taken for the beginning");
	ok(queue_end(q, 0) >= 1, "what was in the log comes");
	queue_close(q);
	free(position);
	free(local);
}

/* No answer at all. */
static void test_hang(void)
{
	struct one o;

	open_local(mem_queue(), 1u << 20, NSEC_PER_SEC);
	touch(hang, true);
	fill(&o, "h", 2);
	ok(queue_put(q, &o.p, NULL) == 0, "a put that is never answered");
	queue_step(q, now_get());
	is_int(0, atomic_load(&o.answer), "waits,");
	steps(5);
	is_int(202, atomic_load(&o.answer), "but not for long");
	touch(hang, false);
	steps(10);
	holds("h", 2, "it comes when the queue is back");
	queue_close(q);
}

/* --- with threads --- */

#define SENDERS 4
#define EACH 300

static _Atomic bool over;

static void *send(void *arg)
{
	uintptr_t k = (uintptr_t)arg;

	for (unsigned i = 0; i < EACH; i++) {
		struct one o;
		char id[32];

		snprintf(id, sizeof(id), "%u-%u", (unsigned)k, i);
		do {
			fill(&o, id, 1 + i % 3);
			if (queue_put(q, &o.p, NULL)) {
				buf_free(&o.p.bytes);
				atomic_store(&o.answer, -1);
				usleep(1000);
				continue;
			}
			while (!atomic_load(&o.answer))
				usleep(50);
		} while (atomic_load(&o.answer) < 0);
	}
	return NULL;
}

static void *trouble(void *arg)
{
	(void)arg;
	for (bool there = true; !atomic_load(&over); there = !there) {
		touch(fault, there);
		usleep(30000);
	}
	touch(fault, false);
	return NULL;
}

/* Of each sender all ids, and the first copies of them in order. */
static bool all_in_order(void)
{
	struct buf ids = BUF_INIT;
	unsigned next[SENDERS] = {0};
	uint64_t n;
	bool good = true;

	seen(&ids, &n);
	for (char *save, *id = strtok_r(ids.data, " ", &save); id; id = strtok_r(NULL, " ", &save)) {
		unsigned k = (unsigned)strtoul(id, NULL, 10), i = (unsigned)strtoul(strchr(id, '-') + 1, NULL, 10);

		good &= i <= next[k];
		next[k] += i == next[k];
	}
	for (unsigned k = 0; k < SENDERS; k++)
		good &= next[k] == EACH;
	buf_free(&ids);
	return good;
}

static void test_threads(void)
{
	char *url = xasprintf("log:%s/queue", dir);
	struct queue_config c = {.url = url, .segment_bytes = 4u << 20, .spare_segments = 1};
	struct queue *log = queue_open(&c, NULL);
	pthread_t senders[SENDERS], troubler;
	struct queue_stats s;
	struct err e = ERR_INIT;

	if (!log)
		bail("no log");
	open_local(log, 64u << 20, 5 * NSEC_PER_SEC);
	if (queue_start(q, &e))
		bail("%s", e.text);
	pthread_create(&troubler, NULL, trouble, NULL);
	for (uintptr_t k = 0; k < SENDERS; k++)
		pthread_create(&senders[k], NULL, send, (void *)k);
	for (unsigned k = 0; k < SENDERS; k++)
		pthread_join(senders[k], NULL);
	atomic_store(&over, true);
	pthread_join(troubler, NULL);
	for (unsigned i = 0; i < 6000; i++, usleep(10000)) {
		queue_stats(q, &s);
		if (!s.local_requests && !s.away)
			break;
	}
	waits(0, false, "the spool is emptied");
	ok(all_in_order(), "all that was answered is in the queue, in each sender's order");
	queue_stop(q);
	queue_close(q);
	free(url);
}

int main(void)
{
	char *sub;

	plan_lazy();
	log_setup(LOG_LVL_ERR, LOG_FMT_TEXT);
	dir = qtest_dir("local");
	fault = xasprintf("%s/away", dir);
	hang = xasprintf("%s.hang", fault);
	setenv("STITCH_QUEUE_AWAY", fault, 1);
	test_errors();
	test_away();
	test_position();
	test_hang();
	test_threads();
	sub = xasprintf("%s/local/log", dir);
	qtest_remove(sub);
	free(sub);
	sub = xasprintf("%s/local", dir);
	qtest_remove(sub);
	free(sub);
	sub = xasprintf("%s/queue", dir);
	qtest_remove(sub);
	free(sub);
	qtest_remove(dir);
	free(dir);
	free(fault);
	free(hang);
	return done_testing();
}
