/*
 * batch.c - see batch.h. A group of small frames is closed when a large frame follows (order), when its text is long enough to compress well, and at
 * the end. Request ids lie one after the other in a buffer that moves while it grows, so pointers to them are made only when nothing is added any more.
 *
 * What can go wrong: a small frame that cannot be decoded (the queue's crc held, so the door made it so) is appended as it is: the loader will say
 * "corrupt", and nothing is lost without a word.
 */
#include "daemon/streamery/batch.h"

#include "log.h"
#include "xalloc.h"

#define GROUP_TEXT (128u << 10)
#define GROUP_ENTRIES 4096
#define SMALL_MAX (64u << 20) /* a small frame's text is below FRAME_COMPRESS_FROM; this is only a limit for broken ones */
#define GUESS 3		      /* small frames merged shrink about so much */

void batch_open(struct batch *b, const struct qrec *first, uint64_t offset)
{
	memset(b, 0, sizeof(*b));
	b->first_offset = offset;
	b->first_received = first->received_at;
	b->table_version = first->table_version;
	b->keys_hash = first->keys_hash;
	b->sha = digest_new();
}

bool batch_fits(const struct batch *b, const struct qrec *r)
{
	return b->keys_hash == r->keys_hash && b->table_version == r->table_version;
}

static void hash_new(struct batch *b)
{
	if (b->file.len > b->hashed)
		digest_add(b->sha, b->file.data + b->hashed, b->file.len - b->hashed);
	b->hashed = b->file.len;
}

static void close_group(struct batch *b, struct frame_ctx *ctx)
{
	size_t at = 0;

	if (!b->n_group)
		return;
	for (unsigned i = 0; i < b->n_group; i++) {
		struct str *id = &b->group[i].request_id;

		*id = str_mem(b->group_ids.data + at, id->len);
		at += id->len;
	}
	frame_index(b->group, b->n_group, &b->file);
	frame_compress(ctx, buf_str(&b->text), 1, &b->file);
	hash_new(b);
	b->n_group = 0;
	buf_truncate(&b->text, 0);
	buf_truncate(&b->group_ids, 0);
}

static struct frame_entry entry_of(const struct qrec *r, uint64_t offset)
{
	return (struct frame_entry){.offset = offset,
		.lines = r->lines,
		.records = r->records,
		.received_at = r->received_at,
		.part = r->part,
		.parts = r->parts,
		.request_id = r->request_id};
}

static void add_large(struct batch *b, struct frame_ctx *ctx, const struct qrec *r, uint64_t offset)
{
	struct frame_entry entry = entry_of(r, offset);

	close_group(b, ctx);
	frame_index(&entry, 1, &b->file);
	buf_addstr(&b->file, r->body);
	hash_new(b);
}

/* -1: its frame cannot be decoded; nothing was added. */
static int add_small(struct batch *b, const struct qrec *r, uint64_t offset, struct err *e)
{
	size_t before = b->text.len;

	if (frame_decode(r->body, SMALL_MAX, &b->text, e)) {
		buf_truncate(&b->text, before);
		return -1;
	}
	if (b->text.len > before && b->text.data[b->text.len - 1] != '\n')
		buf_addc(&b->text, '\n');
	if (b->n_group == b->cap_group) {
		b->cap_group = b->cap_group ? 2 * b->cap_group : 4;
		b->group = xreallocarray(b->group, b->cap_group, sizeof(*b->group));
	}
	b->group[b->n_group++] = entry_of(r, offset);
	buf_addstr(&b->group_ids, r->request_id);
	return 0;
}

static void add_request(struct batch *b, const struct qrec *r, uint64_t offset)
{
	if (b->n_requests == b->cap_requests) {
		b->cap_requests = b->cap_requests ? 2 * b->cap_requests : 4;
		b->requests = xreallocarray(b->requests, b->cap_requests, sizeof(*b->requests));
	}
	b->requests[b->n_requests++] =
		(struct cut_request){.request_id = r->request_id, .part = r->part, .offset = offset, .received_at = r->received_at};
	buf_addstr(&b->ids, r->request_id);
}

void batch_add(struct batch *b, struct frame_ctx *ctx, const struct qrec *r, uint64_t offset)
{
	struct err e = ERR_INIT;

	if (r->codec == FRAME_ZSTD) {
		add_large(b, ctx, r, offset);
	} else if (add_small(b, r, offset, &e)) {
		log_err("the frame at offset %" PRIu64 " is damaged although its checksum holds; it goes into the batch as it is: %s", offset, e.text);
		add_large(b, ctx, r, offset);
	}
	if (b->text.len >= GROUP_TEXT || b->n_group >= GROUP_ENTRIES)
		close_group(b, ctx);
	b->last_offset = offset;
	b->last_received = r->received_at;
	b->records += r->records;
	b->lines += r->lines;
	if (r->flags & QREC_KEYED)
		add_request(b, r, offset);
}

bool batch_knows_shape(const struct batch *b, uint64_t shape)
{
	for (size_t i = 0; i < b->n_heads; i++)
		if (b->shapes[i] == shape)
			return true;
	return false;
}

void batch_add_head(struct batch *b, uint64_t shape, struct str head)
{
	b->heads = xreallocarray(b->heads, b->n_heads + 1, sizeof(*b->heads));
	b->shapes = xreallocarray(b->shapes, b->n_heads + 1, sizeof(*b->shapes));
	b->heads[b->n_heads] = str_mem(xmemdup(head.ptr, head.len), head.len);
	b->shapes[b->n_heads++] = shape;
	b->head_bytes += head.len + 64;
}

void batch_finish(struct batch *b, struct frame_ctx *ctx)
{
	size_t at = 0;

	close_group(b, ctx);
	digest_end(b->sha, b->sha256);
	digest_free(b->sha);
	b->sha = NULL;
	b->bytes = b->file.len;
	/* it grew by doubling, and may lie here for as long as the store is down */
	b->file.data = xrealloc(b->file.data, b->file.len + 1);
	b->file.cap = b->file.len + 1;
	for (size_t i = 0; i < b->n_requests; i++) {
		struct str *id = &b->requests[i].request_id;

		*id = str_mem(b->ids.data + at, id->len);
		at += id->len;
	}
	buf_free(&b->text);
	buf_free(&b->group_ids);
	free(b->group);
	b->group = NULL;
	b->cap_group = 0;
}

uint64_t batch_size(const struct batch *b)
{
	return b->file.len + b->text.len / GUESS;
}

uint64_t batch_memory(const struct batch *b)
{
	return sizeof(*b) + b->file.cap + b->text.cap + b->group_ids.cap + b->cap_group * sizeof(*b->group) + b->head_bytes +
		b->cap_requests * sizeof(*b->requests) + b->ids.cap;
}

void batch_free(struct batch *b)
{
	for (size_t i = 0; i < b->n_heads; i++)
		free((char *)(uintptr_t)b->heads[i].ptr);
	free(b->heads);
	free(b->shapes);
	free(b->requests);
	free(b->group);
	buf_free(&b->file);
	buf_free(&b->text);
	buf_free(&b->group_ids);
	buf_free(&b->ids);
	digest_free(b->sha);
	memset(b, 0, sizeof(*b));
}
