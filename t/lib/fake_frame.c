/*
 * fake_frame.c - frames by plain libzstd calls, for tests of the streamery that are to build before shared/frame.c does; only what the streamery
 * and the makers of test records call. Written from frame.h alone, so it is also a second opinion on that format.
 */
#include <zlib.h>
#include <zstd.h>

#include "frame.h"
#include "xalloc.h"

struct frame_ctx {
	ZSTD_CCtx *z;
};

struct frame_ctx *frame_ctx_new(void)
{
	struct frame_ctx *c = xcalloc(1, sizeof(*c));

	c->z = ZSTD_createCCtx();
	return c;
}

void frame_ctx_free(struct frame_ctx *c)
{
	if (c)
		ZSTD_freeCCtx(c->z);
	free(c);
}

void frame_compress(struct frame_ctx *c, struct str text, int level, struct buf *out)
{
	size_t n;

	buf_reserve(out, ZSTD_compressBound(text.len));
	ZSTD_CCtx_setParameter(c->z, ZSTD_c_compressionLevel, level);
	ZSTD_CCtx_setParameter(c->z, ZSTD_c_checksumFlag, 1);
	n = ZSTD_compress2(c->z, out->data + out->len, ZSTD_compressBound(text.len), text.ptr, text.len);
	assert(!ZSTD_isError(n));
	out->len += n;
	out->data[out->len] = '\0';
}

enum frame_codec frame_encode(struct frame_ctx *c, struct str text, struct buf *out)
{
	frame_compress(c, text, 1, out);
	return text.len >= FRAME_COMPRESS_FROM ? FRAME_ZSTD : FRAME_RAW;
}

int frame_decode(struct str frame, size_t max, struct buf *out, struct err *e)
{
	unsigned long long n = ZSTD_getFrameContentSize(frame.ptr, frame.len);
	size_t got;

	if (n == ZSTD_CONTENTSIZE_ERROR || n == ZSTD_CONTENTSIZE_UNKNOWN || n > max)
		return err_set(e, ERR_CORRUPT, "not a zstd frame of a known size");
	buf_reserve(out, n);
	got = ZSTD_decompress(out->data + out->len, n, frame.ptr, frame.len);
	if (ZSTD_isError(got))
		return err_set(e, ERR_CORRUPT, "zstd: %s", ZSTD_getErrorName(got));
	out->len += got;
	out->data[out->len] = '\0';
	return 0;
}

int frame_head(struct str frame, struct buf *out, struct err *e)
{
	size_t before = out->len;
	const char *end;

	if (frame_decode(frame, FRAME_LINE_MAX, out, e))
		return -1;
	end = memchr(out->data + before, '\n', out->len - before);
	if (end)
		buf_truncate(out, (size_t)(end - out->data));
	return 0;
}

static void put(struct buf *b, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		buf_addc(b, (char)(v >> (8 * i)));
}

void frame_index(const struct frame_entry *entries, unsigned n, struct buf *out)
{
	struct buf p = BUF_INIT;

	put(&p, FRAME_MAGIC, 4);
	put(&p, n, 4);
	put(&p, 0, 8);
	for (unsigned i = 0; i < n; i++) {
		const struct frame_entry *en = &entries[i];

		put(&p, en->offset, 8);
		put(&p, en->lines, 4);
		put(&p, en->records, 4);
		put(&p, (uint64_t)en->received_at, 8);
		put(&p, en->part, 2);
		put(&p, en->parts, 2);
		put(&p, en->request_id.len, 2);
		buf_addstr(&p, en->request_id);
	}
	put(&p, crc32(0, (const unsigned char *)p.data, (unsigned)p.len), 4);
	put(out, FRAME_SKIP_MAGIC, 4);
	put(out, p.len, 4);
	buf_addstr(out, buf_str(&p));
	buf_free(&p);
}
