/*
 * 3002-batch.c - the bytes of a batch file: frames of the door as they are, small ones merged, an index before each, all in the queue's order.
 */
#include "tap.h"

#include <zstd.h>

#include "daemon/streamery/batch.h"
#include "stest.h"
#include "xalloc.h"

static struct frame_ctx *ctx;

/* The record in b, decoded. */
static struct qrec record(struct buf *b, const struct request *r, int64_t received)
{
	struct qrec q;
	size_t used;
	struct err e = ERR_INIT;

	buf_truncate(b, 0);
	request_encode(ctx, r, received, b);
	if (qrec_decode(b->data, b->len, &q, &used, &e))
		bail("%s", e.text);
	return q;
}

static void add(struct batch *b, const struct request *r, uint64_t offset)
{
	struct buf bytes = BUF_INIT;
	struct qrec q = record(&bytes, r, (int64_t)offset * 10);

	if (!b->sha)
		batch_open(b, &q, offset);
	batch_add(b, ctx, &q, offset);
	buf_free(&bytes);
}

static uint32_t le32(const char *p)
{
	const unsigned char *c = (const unsigned char *)p;

	return (uint32_t)c[0] | (uint32_t)c[1] << 8 | (uint32_t)c[2] << 16 | (uint32_t)c[3] << 24;
}

/* Walks the file: entries per index into counts; the text into out. -1: not index, frame, index, frame, ... */
static int walk(const struct buf *file, unsigned *counts, unsigned max, struct buf *out)
{
	unsigned n = 0;
	size_t at = 0;

	while (at < file->len) {
		const char *p = file->data + at;
		size_t frame;
		struct err e = ERR_INIT;

		if (n == max || file->len - at < 16 || le32(p) != FRAME_SKIP_MAGIC || le32(p + 8) != FRAME_MAGIC)
			return -1;
		counts[n++] = le32(p + 12);
		at += 8 + le32(p + 4);
		frame = ZSTD_findFrameCompressedSize(file->data + at, file->len - at);
		if (ZSTD_isError(frame) || frame_decode(str_mem(file->data + at, frame), 1u << 26, out, &e))
			return -1;
		at += frame;
	}
	return (int)n;
}

static void test_layout(void)
{
	struct batch b = {.sha = NULL};
	unsigned counts[10];
	struct buf text = BUF_INIT;
	struct digest *d = digest_new();
	unsigned char sha[32];
	uint64_t before;

	add(&b, &(struct request){.table = "t", .records = 2, .seed = 100}, 5);
	add(&b, &(struct request){.table = "t", .records = 1, .seed = 101, .id = "key-1"}, 6);
	add(&b, &(struct request){.table = "t", .records = 3, .seed = 102, .big = true, .id = "key-22"}, 9);
	add(&b, &(struct request){.table = "t", .records = 1, .seed = 103, .id = "key-333"}, 10);
	before = batch_memory(&b);
	ok(before > batch_size(&b) && batch_size(&b) > 0, "it knows its size and weight");
	batch_finish(&b, ctx);
	is_int(3, walk(&b.file, counts, 10, &text), "two small, a large, a small: three frames, each behind its index");
	ok(counts[0] == 2 && counts[1] == 1 && counts[2] == 1, "with 2, 1 and 1 entries");
	is_int(4, text_lines(buf_cstr(&text), "\"source\""), "a head for each");
	is_int(7, text_lines(buf_cstr(&text), "\"action\""), "all records");
	{
		const char *a = strstr(buf_cstr(&text), "\"seed\":101"), *l = strstr(buf_cstr(&text), "\"seed\":102"), *z = strstr(buf_cstr(&text), "\"seed\":103");

		ok(a && l && z && a < l && l < z, "in the queue's order");
	}
	digest_add(d, b.file.data, b.file.len);
	digest_end(d, sha);
	digest_free(d);
	ok(memcmp(sha, b.sha256, 32) == 0, "sha256 is that of the bytes");
	ok(b.first_offset == 5 && b.last_offset == 10 && b.records == 7 && b.lines == 7 && b.bytes == b.file.len && b.first_received == 50 && b.last_received == 100, "counts");
	ok(b.n_requests == 3 && str_eqc(b.requests[0].request_id, "key-1") && str_eqc(b.requests[1].request_id, "key-22") &&
			str_eqc(b.requests[2].request_id, "key-333") && b.requests[1].offset == 9,
		"only keyed request ids are kept");
	batch_free(&b);
	buf_free(&text);
}

static void test_group(void)
{
	struct batch b = {.sha = NULL};
	unsigned counts[100], n, sum = 0;
	struct buf text = BUF_INIT;
	int frames;

	for (n = 0; n < 2000; n++)
		add(&b, &(struct request){.table = "t", .records = 1, .seed = 1000 + n}, n);
	batch_finish(&b, ctx);
	frames = walk(&b.file, counts, 100, &text);
	for (int i = 0; i < frames; i++)
		sum += counts[i];
	ok(frames > 1 && frames < 20 && sum == 2000, "2000 small frames are %d groups", frames);
	is_int(2000, text_lines(buf_cstr(&text), "\"action\""), "with all records");
	/* an entry of the index has 32 bytes and the request id */
	ok(b.file.len - 2000 * 53 < text.len / 10, "and compressed: %zu of %zu bytes", b.file.len, text.len);
	batch_free(&b);
	buf_free(&text);
}

static void test_damaged(void)
{
	struct batch b = {.sha = NULL};
	struct buf bytes = BUF_INIT;
	struct qrec q = record(&bytes, &(struct request){.table = "t", .records = 1}, 1);

	batch_open(&b, &q, 1);
	batch_add(&b, ctx, &q, 1);
	q.body = STR("this is no frame");
	batch_add(&b, ctx, &q, 2);
	batch_finish(&b, ctx);
	ok(memmem(b.file.data, b.file.len, "this is no frame", 16) != NULL && b.records == 2 && b.last_offset == 2, "a frame that cannot be decoded is not lost");
	batch_free(&b);
	buf_free(&bytes);
}

static void test_keys_and_heads(void)
{
	struct batch b = {.sha = NULL};
	struct buf bytes = BUF_INIT;
	struct qrec q = record(&bytes, &(struct request){.table = "t", .records = 1, .keys = "[\"id\"]", .version = 3}, 1);

	batch_open(&b, &q, 1);
	ok(batch_fits(&b, &q), "the same keys and version fit");
	q.table_version = 4;
	ok(!batch_fits(&b, &q), "another version does not");
	q.table_version = 3;
	q.keys_hash++;
	ok(!batch_fits(&b, &q), "other keys do not");
	ok(!batch_knows_shape(&b, 77), "a shape is new");
	batch_add_head(&b, 77, STR("{}"));
	ok(batch_knows_shape(&b, 77) && !batch_knows_shape(&b, 78) && b.n_heads == 1 && str_eqc(b.heads[0], "{}"), "and known then");
	batch_free(&b);
	buf_free(&bytes);
}

int main(void)
{
	plan_lazy();
	ctx = frame_ctx_new();
	test_layout();
	test_group();
	test_damaged();
	test_keys_and_heads();
	frame_ctx_free(ctx);
	return done_testing();
}
