/*
 * 3007-threads.c - the stages in their threads, log: to dir:, while requests come in and others look: nothing is lost at the end, and ThreadSanitizer
 * finds nothing. Says what it cost; that fails nothing. Argument: how many requests.
 */
#include "tap.h"

#include <ftw.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frame.h"
#include "qtest.h"
#include "stest.h"
#include "xalloc.h"

#define RECORDS 100 /* of one request; about 2 KB each before compression */

static struct now now_real(void)
{
	struct timespec m, r;

	clock_gettime(CLOCK_MONOTONIC, &m);
	clock_gettime(CLOCK_REALTIME, &r);
	return (struct now){.mono = m.tv_sec * NSEC_PER_SEC + m.tv_nsec, .real = r.tv_sec * NSEC_PER_SEC + r.tv_nsec};
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	(void)st;
	(void)flag;
	(void)at;
	return remove(path);
}

static _Atomic unsigned answers, failures;
static unsigned sent;

static void answered(struct queue_put *p)
{
	if (p->err.code)
		atomic_fetch_add(&failures, 1);
	buf_free(&p->bytes);
	free(p);
	atomic_fetch_add(&answers, 1);
}

static void nap(void)
{
	struct timespec ts = {.tv_nsec = NSEC_PER_MSEC};

	nanosleep(&ts, NULL);
}

static void put_all(struct queue *q, struct frame_ctx *ctx, unsigned n)
{
	static const char *const tables[] = {"a", "b", "c"};
	struct buf bytes[3] = {BUF_INIT, BUF_INIT, BUF_INIT};
	struct err e = ERR_INIT;

	for (unsigned i = 0; i < 3; i++)
		request_encode(ctx, &(struct request){.table = tables[i], .records = i == 2 ? 1 : RECORDS, .big = i < 2, .seed = i}, now_real().real, &bytes[i]);
	for (unsigned i = 0; i < n; i++) {
		struct queue_put *p = xcalloc(1, sizeof(*p));

		p->n = 1;
		p->done = answered;
		buf_addstr(&p->bytes, buf_str(&bytes[i % 3]));
		while (queue_put(q, p, &e))
			nap();
	}
	sent += n;
	while (atomic_load(&answers) < sent)
		nap();
	for (unsigned i = 0; i < 3; i++)
		buf_free(&bytes[i]);
}

static double cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

struct parts {
	struct queue *queue;
	struct store *store;
	struct state *state;
	struct store_stage *store_stage;
	struct streamery *streamery;
};

static void start(struct parts *p, const char *dir)
{
	char *url = xasprintf("log:%s/queue", dir), *store = xasprintf("dir:%s/store", dir);
	struct queue_config qc = {.url = url, .state_dir = dir, .segment_bytes = 16u << 20, .spare_segments = 1, .mailbox_count = 1000, .mailbox_bytes = 32u << 20};
	struct streamery_config sc = {
		.batch_bytes = 1u << 20, .batch_age = NSEC_PER_SEC, .memory_bytes = 16u << 20, .idle_cut_delay = 50 * NSEC_PER_MSEC, .uploads = 4, .run_id = "01234567"};
	struct err e = ERR_INIT;

	p->queue = queue_open(&qc, &e);
	p->store = p->queue ? store_open(store, dir, &e) : NULL;
	if (!p->store)
		bail("%s", e.text);
	p->state = fake_state_new(p->store);
	p->store_stage = store_stage_new(p->store);
	p->streamery = streamery_new(&sc, p->queue, 0, p->store_stage, p->state, &e);
	if (!p->streamery)
		bail("%s", e.text);
	queue_on_durable(p->queue, streamery_wake, p->streamery);
	free(url);
	free(store);
}

static uint64_t taken(struct db *db)
{
	uint64_t n = 0;

	for (size_t i = 0; i < db->n_tallies; i++)
		n += db->tally[i].taken;
	return n;
}

static void look(struct parts *p)
{
	struct streamery_stats st;
	struct streamery_count *c;
	uint64_t from, next;
	size_t n;

	streamery_stats(p->streamery, &st);
	streamery_counts(p->streamery, &c, &n, &from, &next);
	streamery_counts_free(c, n);
	streamery_loader_idle(p->streamery, 1, next % 2);
}

int main(int argc, char **argv)
{
	struct parts p;
	char *dir = qtest_dir("threads");
	struct frame_ctx *ctx = frame_ctx_new();
	uint64_t requests = 300, want;
	struct err e = ERR_INIT;
	double before, after;

	if (argc > 1 && str_to_u64(str_c(argv[1]), &requests))
		return 2;
	plan_lazy();
	now_set_source(now_real);
	start(&p, dir);
	ok(!queue_start(p.queue, &e), "the queue starts (%s)", e.text);
	put_all(p.queue, ctx, (unsigned)requests / 2);
	before = cpu();
	ok(!stage_start(state_stage(p.state), &e) && !stage_start(store_stage_stage(p.store_stage), &e) && !stage_start(streamery_stage(p.streamery), &e), "the stages start (%s)", e.text);
	for (int i = 0; i < 20; i++) {
		look(&p);
		nap();
	}
	put_all(p.queue, ctx, (unsigned)requests - (unsigned)requests / 2);
	for (int i = 0; i < 20000; i++) {
		struct streamery_stats st;

		streamery_stats(p.streamery, &st);
		if (st.read_offset == queue_end(p.queue, 0))
			break;
		nap();
	}
	streamery_drain(p.streamery);
	for (int i = 0; i < 20000 && !streamery_drained(p.streamery); i++) {
		look(&p);
		nap();
	}
	after = cpu();
	ok(streamery_drained(p.streamery), "drained");
	stage_stop(streamery_stage(p.streamery));
	stage_stop(store_stage_stage(p.store_stage));
	stage_stop(state_stage(p.state));
	want = 0;
	for (unsigned half = 0; half < 2; half++)
		for (unsigned i = 0; i < (half ? (unsigned)requests - (unsigned)requests / 2 : (unsigned)requests / 2); i++)
			want += i % 3 == 2 ? 1 : RECORDS;
	is_int((int64_t)want, (int64_t)taken(fake_db(p.state)), "all records are in rows");
	is_int(0, failures, "no put failed");
	is_int(0, fake_broken_rules, "no rule of the model was broken");
	diag("%.2f CPU s per million records, with half of the puts and the queue's reads and writes", (after - before) * 1e6 / (double)want);
	queue_stop(p.queue);
	streamery_free(p.streamery);
	store_stage_free(p.store_stage);
	queue_close(p.queue);
	store_close(p.store);
	fake_state_free(p.state);
	frame_ctx_free(ctx);
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(dir);
	return done_testing();
}
