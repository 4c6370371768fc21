/*
 * queue_local.c - the local spool, see queue_local.h. A put is lent to the other queue as a struct lent, whose done decides: good, or into the log. It is `away`
 * from the first put that went into the log until the log is empty. The replay thread reads requests from the log (all queue records of one request id are one
 * put again), lends them to the other queue, and when all of a round are durable there makes the position durable, then trims. After a kill in between the round
 * is given again; the streamery drops it as repeats. While the other queue says no, one request is tried at a time, with growing pauses.
 *
 * What can go wrong: the local disk is full, or the spool has its size: then a put fails as it would without a spool. More arrives than can be given on: the spool
 * grows to its size, and then the door says 503 until it is shorter.
 */
#include "daemon/queue/queue_local.h"

#include <pthread.h>
#include <sys/queue.h>
#include <unistd.h>

#include "daemon/core/crashpoint.h"
#include "daemon/core/metrics.h"
#include "daemon/core/stage.h"
#include "daemon/queue/queue_ops.h"
#include "file.h"
#include "log.h"
#include "xalloc.h"

#define ROUND_BYTES QUEUE_GROUP_BYTES
#define ROUND_PUTS QUEUE_GROUP_MAX
#define LOOK_EVERY (250 * NSEC_PER_MSEC) /* for puts without an answer */
#define REST (NSEC_PER_SEC)
#define PAUSE_FIRST (250 * NSEC_PER_MSEC)
#define PAUSE_MAX (5 * NSEC_PER_SEC)
#define POSITION "position"

struct lent {
	struct queue_put put;
	struct queue_put *owner; /* NULL: it has its answer, or it is a replay */
	struct local *l;
	TAILQ_ENTRY(lent) link; /* local.flying */
	int64_t at;		/* mono */
};

struct local {
	struct queue q; /* first */
	struct queue *main, *log;
	struct stage stage; /* the replay; its mailbox only wakes it */
	char *dir;
	const char *fault; /* tests: while this file is there the other queue says no, while FILE.hang is there nothing */
	char *fault_hang;
	struct queue_local_config c;
	pthread_mutex_t lock; /* all below but what is the replay's */
	TAILQ_HEAD(, lent) flying; /* lent to the other queue, oldest first */
	bool away;
	uint64_t bytes, requests; /* in the log and not given on; bytes with those on their way into it */
	unsigned writing;	  /* puts that the log has not answered */
	uint64_t position;
	unsigned out, failed;	  /* of the replay's round: not answered, answered with an error */
	/* the replay's: */
	struct queue_reader *reader;
	bool ahead; /* a record was read that belongs to the next put: in next, copied */
	struct buf next, ids; /* ids: source and request id of the put under way */
	uint64_t next_offset, round_end, round_bytes, round_puts;
	bool round, reread; /* one is out; more was read than is in it */
	int64_t pause, not_before;
};

static struct local *local_of(const struct queue *q)
{
	return container_of(q, struct local, q);
}

/* --- puts --- */

/* Errors that mean "not now" of an engine, not of the request; a full disk or mailbox is no reason, but pressure. */
static bool says_away(const struct err *e)
{
	return e->code == ERR_IO || e->code == ERR_TRANSIENT || e->code == ERR_TIMEOUT;
}

static void main_done(struct queue_put *put);

static int ask_main(struct local *l, struct queue_put *p, struct err *e)
{
	bool hangs = l->fault_hang && access(l->fault_hang, F_OK) == 0;

	if ((l->fault && access(l->fault, F_OK) == 0) || (hangs && p->done != main_done))
		return err_set(e, ERR_TRANSIENT, "the queue is away (a fault that the test asked for)");
	return hangs ? 0 : queue_put(l->main, p, e);
}

static void tell(struct local *l)
{
	metric_set(queue_local_bytes, (int64_t)l->bytes);
	metric_set(queue_local_requests, (int64_t)l->requests);
}

/* The owner has its bytes back and its answer. Not under lock: it may put again. */
static void answer(struct lent *s, bool delayed)
{
	struct queue_put *p = s->owner;

	p->bytes = s->put.bytes;
	p->partition = s->put.partition;
	p->offset = s->put.offset;
	p->err = s->put.err;
	p->delayed = delayed;
	free(s);
	p->done(p);
}

static void log_done(struct queue_put *put)
{
	struct lent *s = container_of(put, struct lent, put);
	struct local *l = s->l;

	pthread_mutex_lock(&l->lock);
	l->writing--;
	if (put->err.code)
		l->bytes -= put->bytes.len;
	else
		l->requests++;
	tell(l);
	pthread_mutex_unlock(&l->lock);
	if (!put->err.code)
		metric_add(queue_local_total, 1);
	answer(s, !put->err.code);
	mailbox_wake(l->stage.mb);
}

/* Into the log. Under lock. */
static int keep(struct local *l, struct lent *s, struct err *e)
{
	uint64_t n = s->put.bytes.len;

	if (l->bytes + n > l->c.bytes_max)
		return err_set(e, ERR_FULL, "the queue is away and the local spool is full (%" PRIu64 " bytes)", l->bytes);
	s->put.done = log_done;
	if (queue_put(l->log, &s->put, e))
		return -1;
	l->bytes += n;
	l->writing++;
	return 0;
}

static void go_away(struct local *l, const struct err *why)
{
	if (l->away)
		return;
	l->away = true;
	log_warn("the queue is away, requests are kept in %s: %s", l->dir, why->text);
}

static void main_done(struct queue_put *put)
{
	struct lent *s = container_of(put, struct lent, put);
	struct local *l = s->l;
	struct err e = ERR_INIT;

	pthread_mutex_lock(&l->lock);
	TAILQ_REMOVE(&l->flying, s, link);
	if (s->owner && says_away(&put->err)) {
		go_away(l, &put->err);
		if (keep(l, s, &e) == 0)
			s = NULL;
	}
	pthread_mutex_unlock(&l->lock);
	if (s && s->owner) {
		answer(s, false);
	} else if (s) {
		buf_free(&s->put.bytes);
		free(s);
	}
}

/* Under lock. */
static int lend(struct local *l, struct lent *s, struct err *e)
{
	int rc;

	s->put.done = main_done;
	s->at = now_get().mono;
	TAILQ_INSERT_TAIL(&l->flying, s, link);
	rc = ask_main(l, &s->put, e);
	if (rc)
		TAILQ_REMOVE(&l->flying, s, link);
	return rc;
}

static int local_put(struct queue *q, struct queue_put *p, struct err *e)
{
	struct local *l = local_of(q);
	struct lent *s = xcalloc(1, sizeof(*s));
	struct err why = ERR_INIT;
	int rc;

	s->l = l;
	s->owner = p;
	s->put.bytes = p->bytes;
	s->put.n = p->n;
	p->delayed = false;
	pthread_mutex_lock(&l->lock);
	rc = l->away ? -1 : lend(l, s, &why);
	if (rc && !l->away && says_away(&why))
		go_away(l, &why);
	if (rc && l->away)
		rc = keep(l, s, e);
	else if (rc)
		err_set(e, why.code, "%s", why.text);
	pthread_mutex_unlock(&l->lock);
	if (rc)
		free(s); /* the bytes are the caller's */
	return rc;
}

/* Those that were lent too long ago: a copy goes into the log, and the other queue's answer does not matter any more. Under lock. */
static void keep_late(struct local *l, int64_t now)
{
	struct err e = ERR_INIT;
	struct lent *s;

	TAILQ_FOREACH(s, &l->flying, link) {
		struct lent *copy;

		if (!s->owner || now - s->at < l->c.patience)
			continue;
		copy = xcalloc(1, sizeof(*copy));
		*copy = (struct lent){.owner = s->owner, .l = l, .put = {.n = s->put.n}};
		buf_add(&copy->put.bytes, s->put.bytes.data, s->put.bytes.len);
		err_set(&e, ERR_TIMEOUT, "no answer in %" PRId64 " s", l->c.patience / NSEC_PER_SEC);
		go_away(l, &e);
		if (keep(l, copy, &e)) {
			buf_free(&copy->put.bytes);
			free(copy);
			return;
		}
		s->owner = NULL;
	}
}

/* --- replay --- */

static void replay_done(struct queue_put *put)
{
	struct lent *s = container_of(put, struct lent, put);
	struct local *l = s->l;

	pthread_mutex_lock(&l->lock);
	l->out--;
	if (put->err.code && !l->failed++)
		log_debug("replay: %s", put->err.text);
	pthread_mutex_unlock(&l->lock);
	buf_free(&put->bytes);
	free(s);
	mailbox_wake(l->stage.mb);
}

/* The next record of the log into l->next, with its id in *id. 1; 0: none; -1: it cannot be read. */
static int read_ahead(struct local *l, struct buf *id, struct err *e)
{
	struct qrec r;
	int rc;

	while ((rc = queue_read(l->reader, &r, &l->next_offset, e)) < 0 && e->code == ERR_CORRUPT) {
		log_err("the local spool: offset %" PRIu64 " is lost: %s", l->next_offset, e->text);
		if (queue_reader_seek(l->reader, l->next_offset + 1, e))
			return -1;
	}
	if (rc != 1)
		return rc;
	buf_truncate(&l->next, 0);
	qrec_encode(&r, &l->next);
	buf_truncate(id, 0);
	buf_addf(id, "%" PRIu32 " ", r.source_id);
	buf_addstr(id, r.request_id);
	return 1;
}

/* All records of one request. 1; 0: there is none; -1. */
static int next_request(struct local *l, struct queue_put *out, struct err *e)
{
	struct buf id = BUF_INIT;
	int rc = 1;

	if (!l->ahead)
		rc = read_ahead(l, &l->ids, e);
	while (rc == 1) {
		buf_add(&out->bytes, l->next.data, l->next.len);
		out->n++;
		l->round_end = l->next_offset + 1;
		rc = read_ahead(l, &id, e);
		l->ahead = rc == 1;
		if (rc == 1 && (!str_eq(buf_str(&id), buf_str(&l->ids)) || out->bytes.len + l->next.len > QUEUE_PUT_MAX)) {
			struct buf swap = l->ids;

			l->ids = id;
			id = swap;
			break;
		}
	}
	buf_free(&id);
	return rc < 0 ? -1 : out->n > 0;
}

/* From the position again. */
static int rewind_replay(struct local *l, struct err *e)
{
	l->ahead = l->round = l->reread = false;
	return queue_reader_seek(l->reader, l->position, e);
}

static void pause_replay(struct local *l, int64_t now)
{
	l->pause = l->pause ? MIN(2 * l->pause, PAUSE_MAX) : PAUSE_FIRST;
	l->not_before = now + l->pause;
}

static void add_out(struct local *l, int out, unsigned failed)
{
	pthread_mutex_lock(&l->lock);
	l->out += (unsigned)out;
	l->failed += failed;
	pthread_mutex_unlock(&l->lock);
}

/* Lends what fits into a round, one request while the other queue is in doubt. */
static void begin_round(struct local *l)
{
	struct err e = ERR_INIT;
	int rc = 1;

	l->round_bytes = l->round_puts = 0;
	l->round = true;
	while (l->round_puts < (l->pause ? 1 : ROUND_PUTS) && l->round_bytes < ROUND_BYTES) {
		struct lent *s = xcalloc(1, sizeof(*s));
		uint64_t end = l->round_end, n;

		s->l = l;
		s->put.done = replay_done;
		rc = next_request(l, &s->put, &e);
		n = s->put.bytes.len;
		if (rc == 1) {
			add_out(l, 1, 0);
			rc = ask_main(l, &s->put, &e) ? -1 : 1;
			if (rc < 0)
				add_out(l, -1, 0);
		}
		if (rc != 1) {
			l->round_end = end;
			buf_free(&s->put.bytes);
			free(s);
			break;
		}
		l->round_bytes += n;
		l->round_puts++;
	}
	if (rc < 0 && !l->round_puts) {
		log_debug("replay: %s", e.text);
		add_out(l, 0, 1);
	}
	l->reread = rc < 0;
}

static int save_position(struct local *l, uint64_t position, struct err *e)
{
	struct buf text = BUF_INIT;
	int rc;

	buf_add_hex(&text, queue_id(l->log), QUEUE_ID_LEN);
	buf_addf(&text, " %" PRIu64 "\n", position);
	rc = file_commit(l->dir, POSITION, text.data, text.len, e);
	buf_free(&text);
	return rc;
}

/* All of the round have their answers. */
static void end_round(struct local *l, int64_t now)
{
	struct err e = ERR_INIT;
	bool failed;

	pthread_mutex_lock(&l->lock);
	failed = l->failed > 0;
	l->failed = 0;
	pthread_mutex_unlock(&l->lock);
	if (failed)
		pause_replay(l, now);
	if (failed && rewind_replay(l, &e))
		log_err("the local spool: %s", e.text);
	if (failed || !l->round)
		return;
	CRASHPOINT("local-replayed");
	if (save_position(l, l->round_end, &e)) {
		log_err("the local spool: %s", e.text);
		pause_replay(l, now);
		(void)rewind_replay(l, NULL);
		return;
	}
	l->round = false;
	l->pause = 0;
	pthread_mutex_lock(&l->lock);
	l->position = l->round_end;
	l->bytes -= l->round_bytes;
	l->requests -= l->round_puts;
	tell(l);
	pthread_mutex_unlock(&l->lock);
	if ((l->reread && rewind_replay(l, &e)) || queue_trim(l->log, 0, l->round_end, &e))
		log_warn("the local spool: %s", e.text);
}

/* Is the log empty, and nothing on its way into it? Then puts go to the other queue again. */
static void come_back(struct local *l)
{
	pthread_mutex_lock(&l->lock);
	if (l->away && !l->writing && l->position == queue_end(l->log, 0)) {
		l->away = false;
		log_info("the queue is back, the local spool is empty");
	}
	pthread_mutex_unlock(&l->lock);
}

static int64_t step(void *self, struct now now)
{
	struct local *l = self;
	unsigned out;
	bool away, flying;

	pthread_mutex_lock(&l->lock);
	keep_late(l, now.mono);
	out = l->out;
	away = l->away;
	flying = !TAILQ_EMPTY(&l->flying);
	pthread_mutex_unlock(&l->lock);
	if (out)
		return now.mono + LOOK_EVERY;
	if (l->round)
		end_round(l, now.mono);
	if (!away)
		return now.mono + (flying ? LOOK_EVERY : REST);
	if (now.mono < l->not_before)
		return MIN(l->not_before, now.mono + LOOK_EVERY);
	if (l->position == queue_end(l->log, 0)) {
		come_back(l);
		return now.mono + LOOK_EVERY;
	}
	begin_round(l);
	return now.mono + (l->round_puts ? LOOK_EVERY : 0);
}

static const struct stage_ops stage_ops = {"replay", step};

/* --- the queue that others see --- */

static int local_start(struct queue *q, struct err *e)
{
	struct local *l = local_of(q);

	return queue_start(l->main, e) || queue_start(l->log, e) || stage_start(&l->stage, e) ? -1 : 0;
}

static int64_t local_step(struct queue *q, struct now now)
{
	struct local *l = local_of(q);
	bool more = queue_step(l->main, now) != NEVER;

	more |= queue_step(l->log, now) != NEVER;
	return more ? 0 : step(l, now);
}

/* The other queue's last answers may still be for the log, so that stops last. */
static void local_stop(struct queue *q)
{
	struct local *l = local_of(q);
	struct lent *s;

	stage_stop(&l->stage);
	queue_stop(l->main);
	while (l->fault_hang && (s = TAILQ_FIRST(&l->flying))) { /* a real queue's stop answers all */
		err_set(&s->put.err, ERR_TIMEOUT, "the queue did not answer");
		main_done(&s->put);
	}
	queue_stop(l->log);
	if (l->round && !l->out)
		end_round(l, now_get().mono);
}

static void local_free(struct local *l)
{
	queue_reader_close(l->reader);
	queue_close(l->log);
	mailbox_free(l->stage.mb);
	pthread_mutex_destroy(&l->lock);
	buf_free(&l->next);
	buf_free(&l->ids);
	free(l->fault_hang);
	free(l->dir);
	free(l);
}

static void local_close(struct queue *q)
{
	struct local *l = local_of(q);
	struct queue *main = l->main;

	local_stop(q);
	local_free(l);
	queue_close(main);
}

static uint64_t local_begin(const struct queue *q, uint32_t partition)
{
	return queue_begin(local_of(q)->main, partition);
}

static uint64_t local_end(const struct queue *q, uint32_t partition)
{
	return queue_end(local_of(q)->main, partition);
}

static bool local_writable(const struct queue *q, struct err *why)
{
	struct local *l = local_of(q);
	struct err e = ERR_INIT;
	bool away, full;

	pthread_mutex_lock(&l->lock);
	away = l->away;
	full = l->bytes >= l->c.bytes_max;
	pthread_mutex_unlock(&l->lock);
	if (!away && (queue_writable(l->main, &e) || !says_away(&e)))
		return !e.code || err_set(why, e.code, "%s", e.text) == 0;
	if (full)
		return err_set(why, ERR_FULL, "the queue is away and the local spool is full") == 0;
	return queue_writable(l->log, why);
}

/* A reader is the other queue's own. */
static struct queue_reader *local_reader(struct queue *q, uint32_t partition, uint64_t from, struct err *e)
{
	return queue_reader_open(local_of(q)->main, partition, from, e);
}

static int local_tally(struct queue *q, uint32_t partition, uint64_t from, uint64_t to, queue_tally_fn *fn, void *arg, struct err *e)
{
	return queue_tally(local_of(q)->main, partition, from, to, fn, arg, e);
}

static uint64_t local_trim_point(struct queue *q, uint32_t partition, uint64_t below)
{
	return queue_trim_point(local_of(q)->main, partition, below);
}

static void local_oldest(struct queue *q, uint32_t partition, int64_t *newest, uint64_t *end, uint64_t *bytes)
{
	queue_oldest_segment(local_of(q)->main, partition, newest, end, bytes);
}

static int local_trim(struct queue *q, uint32_t partition, uint64_t below, struct err *e)
{
	return queue_trim(local_of(q)->main, partition, below, e);
}

static void local_stats(struct queue *q, struct queue_stats *out)
{
	struct local *l = local_of(q);

	queue_stats(l->main, out);
	pthread_mutex_lock(&l->lock);
	out->away = l->away;
	out->local_bytes = l->bytes;
	out->local_requests = l->requests;
	out->local_max = l->c.bytes_max;
	pthread_mutex_unlock(&l->lock);
}

static const struct queue_ops local_ops = {
	.scheme = "local",
	.start = local_start,
	.step = local_step,
	.put = local_put,
	.stop = local_stop,
	.close = local_close,
	.begin = local_begin,
	.end = local_end,
	.writable = local_writable,
	.reader = local_reader,
	.tally = local_tally,
	.trim_point = local_trim_point,
	.oldest = local_oldest,
	.trim = local_trim,
	.stats = local_stats,
};

struct queue *queue_local_log(struct queue *q)
{
	return q->ops == &local_ops ? local_of(q)->log : NULL;
}

uint64_t queue_local_position(struct queue *q)
{
	struct local *l = local_of(q);
	uint64_t at;

	pthread_mutex_lock(&l->lock);
	at = l->position;
	pthread_mutex_unlock(&l->lock);
	return at;
}

/* --- the start --- */

static void forward(void *arg)
{
	struct local *l = arg;

	if (l->q.on_durable)
		l->q.on_durable(l->q.on_durable_arg);
}

/* Of which log, and up to where; none: false. */
static bool read_position(const struct local *l, unsigned char id[QUEUE_ID_LEN], uint64_t *position)
{
	char *path = xasprintf("%s/" POSITION, l->dir);
	struct buf text = BUF_INIT;
	struct str s;
	bool good = false;

	if (file_read(path, 200, &text, NULL) == 0) {
		s = str_trim(buf_str(&text));
		good = s.len > 2 * QUEUE_ID_LEN && !str_from_hex(str_mem(s.ptr, 2 * QUEUE_ID_LEN), id, QUEUE_ID_LEN) &&
		       !str_to_u64(str_mem(s.ptr + 2 * QUEUE_ID_LEN + 1, s.len - 2 * QUEUE_ID_LEN - 1), position);
	}
	buf_free(&text);
	free(path);
	return good;
}

/* What is in the log and was not given on: how much. */
static int count_waiting(struct local *l, struct err *e)
{
	struct queue_put p;
	int rc;

	do {
		p = (struct queue_put){.n = 0};
		rc = next_request(l, &p, e);
		l->requests += rc == 1;
		l->bytes += p.bytes.len;
		buf_free(&p.bytes);
	} while (rc == 1);
	return rc || rewind_replay(l, e) ? -1 : 0;
}

static int open_log(struct local *l, struct err *e)
{
	char *url = xasprintf("log:%s/log", l->dir);
	unsigned char id[QUEUE_ID_LEN] = {0};
	struct queue_config c = {.url = url, .segment_bytes = MIN(MAX(l->c.bytes_max / 8, UINT64_C(4) << 20), UINT64_C(64) << 20), .spare_segments = 1,
		.reserve_bytes = l->c.reserve_bytes, .second = true};
	bool known = read_position(l, id, &l->position);

	c.first_offset = known ? l->position : 0;
	l->log = queue_open(&c, e);
	free(url);
	if (!l->log)
		return -1;
	if (!known || memcmp(id, queue_id(l->log), QUEUE_ID_LEN) != 0 || l->position < queue_begin(l->log, 0))
		l->position = queue_begin(l->log, 0);
	l->reader = queue_reader_open(l->log, 0, l->position, e);
	if (!l->reader || count_waiting(l, e))
		return -1;
	l->away = l->position < queue_end(l->log, 0);
	if (l->away)
		log_info("%" PRIu64 " requests are in the local spool", l->requests);
	tell(l);
	return 0;
}

struct queue *queue_local_open(struct queue *main, const struct queue_local_config *c, struct err *e)
{
	struct local *l = xcalloc(1, sizeof(*l));

	l->q = (struct queue){.ops = &local_ops, .partitions = queue_partitions(main)};
	memcpy(l->q.id, queue_id(main), QUEUE_ID_LEN);
	l->main = main;
	l->c = *c;
	l->dir = xstrdup(c->dir);
	l->fault = getenv("STITCH_QUEUE_AWAY");
	l->fault_hang = l->fault ? xasprintf("%s.hang", l->fault) : NULL;
	pthread_mutex_init(&l->lock, NULL);
	TAILQ_INIT(&l->flying);
	l->stage.ops = &stage_ops;
	l->stage.self = l;
	l->stage.mb = mailbox_new(1, 1);
	if (file_mkdirs(l->dir, 0750, e) || open_log(l, e)) {
		err_wrap(e, "local spool in %s", c->dir);
		local_free(l);
		return NULL;
	}
	queue_on_durable(main, forward, l);
	return &l->q;
}
