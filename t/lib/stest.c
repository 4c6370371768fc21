/*
 * stest.c - see stest.h. Time is the world's own; random bytes are a counter, so that names can be foreseen.
 */
#include "stest.h"

#include <unistd.h>
#include <zstd.h>

#include "file.h"
#include "frame.h"
#include "tap.h"
#include "xalloc.h"

static struct world *current;
static uint64_t counter;

static struct now world_now(void)
{
	return current->now;
}

static void world_random(void *p, size_t n)
{
	unsigned char *c = p;

	for (size_t i = 0; i < n; i++)
		c[i] = (unsigned char)(++counter * 37);
}

void world_start(struct world *w)
{
	struct err e = ERR_INIT;
	char run[9];

	snprintf(run, sizeof(run), "%08x", ++w->runs);
	w->config.run_id = run;
	w->store_stage = store_stage_new(w->store);
	w->streamery = streamery_new(&w->config, w->queue, 0, w->store_stage, w->state, &e);
	if (!w->streamery)
		bail("%s", e.text);
	queue_on_durable(w->queue, streamery_wake, w->streamery);
}

static struct queue *new_queue(uint64_t first_offset)
{
	struct queue_config qc = {.url = "mem:", .mailbox_count = 1000, .mailbox_bytes = 1u << 28, .first_offset = first_offset};
	struct err e = ERR_INIT;
	struct queue *q = queue_open(&qc, &e);

	if (!q)
		bail("%s", e.text);
	return q;
}

void world_open(struct world *w, const char *store_url, const char *dir)
{
	struct err e = ERR_INIT;

	memset(w, 0, sizeof(*w));
	w->now = (struct now){.mono = 1000 * NSEC_PER_SEC, .real = INT64_C(1790000000) * NSEC_PER_SEC};
	current = w;
	now_set_source(world_now);
	random_set_source(world_random);
	w->config = (struct streamery_config){
		.batch_bytes = 1u << 20, .batch_age = 60 * NSEC_PER_SEC, .memory_bytes = 64u << 20, .idle_cut_delay = 50 * NSEC_PER_MSEC, .uploads = 4};
	w->frame = frame_ctx_new();
	w->queue = new_queue(0);
	w->store = store_open(store_url, dir, &e);
	if (!w->store)
		bail("%s", e.text);
	w->state = fake_state_new(w->store);
	world_start(w);
}

static void stop(struct world *w)
{
	state_crash(w->state);
	streamery_free(w->streamery);
	store_stage_free(w->store_stage);
	queue_on_durable(w->queue, NULL, NULL);
}

void world_crash(struct world *w)
{
	stop(w);
	queue_mem_crash(w->queue);
	store_mem_crash(w->store);
	world_start(w);
}

void world_new_queue(struct world *w, uint64_t first_offset)
{
	stop(w);
	queue_close(w->queue);
	w->queue = new_queue(first_offset);
	world_start(w);
}

void world_close(struct world *w)
{
	stop(w);
	queue_close(w->queue);
	store_close(w->store);
	fake_state_free(w->state);
	frame_ctx_free(w->frame);
	now_set_source(NULL);
	random_set_source(NULL);
}

static int64_t step(struct world *w, struct stage *s)
{
	return s->ops->step(s->self, w->now);
}

void world_step(struct world *w)
{
	while (queue_step(w->queue, w->now) != NEVER)
		;
	step(w, streamery_stage(w->streamery));
	while (step(w, store_stage_stage(w->store_stage)) != NEVER)
		;
	step(w, streamery_stage(w->streamery));
	step(w, state_stage(w->state));
	step(w, streamery_stage(w->streamery));
}

void world_later(struct world *w, int64_t ns)
{
	w->now.mono += ns;
	w->now.real += ns;
}

void world_settle(struct world *w)
{
	for (int i = 0; i < 700; i++) {
		struct streamery_stats st;

		world_step(w);
		streamery_stats(w->streamery, &st);
		if (!st.open && !st.uploads && st.read_offset == queue_end(w->queue, 0))
			return;
		world_later(w, 100 * NSEC_PER_MSEC);
	}
}

/* 2000 digits that compress to half */
static void add_pad(struct buf *text, uint64_t seed)
{
	uint64_t x = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);

	buf_adds(text, ",\"pad\":\"");
	for (unsigned i = 0; i < 125; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		buf_addf(text, "%016" PRIx64, x);
	}
	buf_addc(text, '"');
}

void request_encode(struct frame_ctx *ctx, const struct request *r, int64_t received_at, struct buf *out)
{
	struct buf text = BUF_INIT, body = BUF_INIT, id = BUF_INIT, shape = BUF_INIT;
	const char *keys = r->keys ? r->keys : "[]", *types = r->types ? r->types : "{}";
	struct qrec q = {.source_id = r->source ? r->source : 1,
		.records = r->records,
		.lines = r->records,
		.flags = r->id ? QREC_KEYED : 0,
		.parts = 1,
		.received_at = received_at,
		.table_version = r->version,
		.table = str_c(r->table)};

	buf_addf(&text, "{\"source\":%u,\"table\":\"%s\",\"key_names\":%s,\"schema\":null,\"types\":%s,\"table_version\":%" PRId64 ",\"received_at\":%" PRId64 "}\n",
		q.source_id, r->table, keys, types, r->version, received_at);
	for (unsigned i = 0; i < r->records; i++) {
		buf_addf(&text, "{\"action\":\"upsert\",\"sequence\":%u,\"data\":{\"seed\":%u,\"i\":%u", i, r->seed, i);
		if (r->big)
			add_pad(&text, r->seed * 7919 + i);
		buf_adds(&text, "}}\n");
	}
	buf_addf(&shape, "%s/%s/%" PRId64, keys, types, r->version);
	q.shape_hash = str_hash(buf_str(&shape));
	buf_truncate(&shape, 0);
	buf_addf(&shape, "%s/%" PRId64, keys, r->version);
	q.keys_hash = str_hash(buf_str(&shape));
	if (r->id)
		buf_adds(&id, r->id);
	else
		buf_addf(&id, "ours-%016" PRIx64, ++counter);
	q.request_id = buf_str(&id);
	q.codec = (uint8_t)frame_encode(ctx, buf_str(&text), &body);
	q.body = buf_str(&body);
	qrec_encode(&q, out);
	buf_free(&text);
	buf_free(&body);
	buf_free(&id);
	buf_free(&shape);
}

struct answer {
	struct queue_put p;
	bool done;
};

static void answered(struct queue_put *p)
{
	((struct answer *)p->arg)->done = true;
}

uint64_t world_put(struct world *w, const struct request *r)
{
	struct answer a = {.p = {.n = 1, .done = answered}};
	struct err e = ERR_INIT;

	a.p.arg = &a;
	request_encode(w->frame, r, w->now.real, &a.p.bytes);
	if (queue_put(w->queue, &a.p, &e))
		bail("%s", e.text);
	while (!a.done)
		queue_step(w->queue, w->now);
	buf_free(&a.p.bytes);
	return a.p.offset;
}

void world_put_simple(struct world *w, const char *table, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		world_put(w, &(struct request){.table = table, .records = 1, .seed = i});
}

static int read_object(struct world *w, const char *name, struct buf *out)
{
	struct err e = ERR_INIT;
	uint64_t bytes = 0;
	int fd = store_get(w->store, name, &e), rc = -1;

	if (fd >= 0 && !store_stat(w->store, name, &bytes, &e)) {
		buf_reserve(out, bytes);
		rc = file_read_all(fd, out->data, bytes, 0, &e);
		out->len = bytes;
	}
	if (fd >= 0)
		close(fd);
	if (rc)
		diag("%s: %s", name, e.text);
	return rc;
}

char *world_text(struct world *w, const char *name)
{
	struct buf file = BUF_INIT, text = BUF_INIT;
	ZSTD_DStream *z;
	ZSTD_inBuffer in;
	size_t rc = 0;

	if (read_object(w, name, &file))
		return NULL;
	z = ZSTD_createDStream();
	in = (ZSTD_inBuffer){file.data, file.len, 0};
	while (in.pos < in.size && !ZSTD_isError(rc)) {
		ZSTD_outBuffer out;

		buf_reserve(&text, 1u << 17);
		out = (ZSTD_outBuffer){text.data + text.len, 1u << 17, 0};
		rc = ZSTD_decompressStream(z, &out, &in);
		text.len += out.pos;
	}
	if (ZSTD_isError(rc))
		diag("%s: zstd: %s", name, ZSTD_getErrorName(rc));
	ZSTD_freeDStream(z);
	buf_free(&file);
	return buf_detach(&text, NULL);
}

static uint64_t le(const char *p, unsigned n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | (unsigned char)p[n];
	return v;
}

int world_entries(struct world *w, const char *name, world_entry_fn *fn, void *arg)
{
	struct buf file = BUF_INIT;
	int rc = read_object(w, name, &file);
	size_t at = 0;

	while (!rc && at + 24 < file.len) {
		const char *p = file.data + at, *q = p + 24;
		size_t n = le(p + 12, 4), frame;

		if (le(p, 4) != FRAME_SKIP_MAGIC || le(p + 8, 4) != FRAME_MAGIC) {
			rc = -1;
			break;
		}
		for (size_t i = 0; i < n; i++) {
			size_t id = le(q + 28, 2);

			fn(le(q, 8), str_mem(q + 30, id), (uint32_t)le(q + 12, 4), arg);
			q += 30 + id;
		}
		at += 8 + le(p + 4, 4);
		frame = ZSTD_findFrameCompressedSize(file.data + at, file.len - at);
		if (ZSTD_isError(frame))
			rc = -1;
		else
			at += frame;
	}
	buf_free(&file);
	return rc;
}

unsigned text_lines(const char *text, const char *with)
{
	unsigned n = 0;

	while (text && *text) {
		const char *end = strchr(text, '\n');
		size_t len = end ? (size_t)(end - text) : strlen(text);

		n += memmem(text, len, with, strlen(with)) != NULL;
		text += len + (end != NULL);
	}
	return n;
}
