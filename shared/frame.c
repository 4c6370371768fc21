/*
 * frame.c - making frames, and taking one apart in memory. Text below FRAME_COMPRESS_FROM becomes a zstd frame of one raw block, written here by hand:
 * that costs a copy and a checksum, where libzstd would spend more on a small frame than on all else that the door does with it. Frames of that
 * shape are read back by hand too, because the streamery merges very many of them.
 *
 * What can go wrong: libzstd refuses only for want of memory when compressing, where we abort like xalloc. Foreign frames are bounded by the size they
 * name before a byte is allocated for them.
 */
#include "frame.h"

#include <endian.h>
#include <zlib.h>
#include <zstd.h>

#include "xalloc.h"

/* The frame header's descriptor byte: content size in 1 or 2 bytes, one segment, with checksum. */
#define RAW_SIZE_1 0x24
#define RAW_SIZE_2 0x64
#define RAW_MAX 65536
#define WINDOW_LOG_MAX 23 /* ours use 19 to 21 */

static void put(struct buf *b, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		buf_addc(b, (char)(v >> (8 * i)));
}

static uint64_t get(const char *p, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)(unsigned char)p[i] << (8 * i);
	return v;
}

/* n bytes were written behind the end, into room that was reserved */
static void grown(struct buf *b, size_t n)
{
	b->len += n;
	b->data[b->len] = '\0';
}

/* --- XXH64 with seed 0, the checksum of zstd frames (libzstd does not export its own) --- */

#define P1 UINT64_C(0x9E3779B185EBCA87)
#define P2 UINT64_C(0xC2B2AE3D27D4EB4F)
#define P3 UINT64_C(0x165667B19E3779F9)
#define P4 UINT64_C(0x85EBCA77C2B2AE63)
#define P5 UINT64_C(0x27D4EB2F165667C5)

static uint64_t load64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static uint64_t rotl(uint64_t v, unsigned n)
{
	return v << n | v >> (64 - n);
}

static uint64_t round64(uint64_t acc, uint64_t in)
{
	return rotl(acc + in * P2, 31) * P1;
}

static uint64_t xxh64(const char *p, size_t n)
{
	const char *end = p + n;
	uint64_t h = P5;

	if (n >= 32) {
		uint64_t v[4] = {P1 + P2, P2, 0, 0 - P1};

		for (; end - p >= 32; p += 32)
			for (unsigned i = 0; i < 4; i++)
				v[i] = round64(v[i], load64(p + 8 * i));
		h = rotl(v[0], 1) + rotl(v[1], 7) + rotl(v[2], 12) + rotl(v[3], 18);
		for (unsigned i = 0; i < 4; i++)
			h = (h ^ round64(0, v[i])) * P1 + P4;
	}
	h += n;
	for (; end - p >= 8; p += 8)
		h = rotl(h ^ round64(0, load64(p)), 27) * P1 + P4;
	for (; end - p >= 4; p += 4)
		h = rotl(h ^ get(p, 4) * P1, 23) * P2 + P3;
	for (; p < end; p++)
		h = rotl(h ^ (unsigned char)*p * P5, 11) * P1;
	h = (h ^ h >> 33) * P2;
	h = (h ^ h >> 29) * P3;
	return h ^ h >> 32;
}

/* --- writing --- */

struct frame_ctx {
	ZSTD_CCtx *z;
};

struct frame_ctx *frame_ctx_new(void)
{
	struct frame_ctx *c = xcalloc(1, sizeof(*c));

	c->z = ZSTD_createCCtx();
	if (!c->z)
		abort();
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
	size_t bound = ZSTD_compressBound(text.len), n;

	buf_reserve(out, bound);
	ZSTD_CCtx_setParameter(c->z, ZSTD_c_compressionLevel, level);
	ZSTD_CCtx_setParameter(c->z, ZSTD_c_checksumFlag, 1);
	n = ZSTD_compress2(c->z, out->data + out->len, bound, text.ptr, text.len);
	if (ZSTD_isError(n)) {
		fprintf(stderr, "zstd: %s\n", ZSTD_getErrorName(n));
		abort();
	}
	grown(out, n);
}

enum frame_codec frame_encode(struct frame_ctx *c, struct str text, struct buf *out)
{
	if (text.len >= FRAME_COMPRESS_FROM) {
		frame_compress(c, text, 1, out);
		return FRAME_ZSTD;
	}
	buf_reserve(out, text.len + 16);
	put(out, ZSTD_MAGICNUMBER, 4);
	if (text.len < 256) {
		put(out, RAW_SIZE_1, 1);
		put(out, text.len, 1);
	} else {
		put(out, RAW_SIZE_2, 1);
		put(out, text.len - 256, 2);
	}
	put(out, 1 | text.len << 3, 3); /* the last block, raw */
	buf_addstr(out, text);
	put(out, xxh64(text.ptr, text.len), 4);
	return FRAME_RAW;
}

void frame_index(const struct frame_entry *entries, unsigned n, struct buf *out)
{
	size_t start = out->len, payload = start + 8;

	put(out, FRAME_SKIP_MAGIC, 4);
	put(out, 0, 4);
	put(out, FRAME_MAGIC, 4);
	put(out, n, 4);
	put(out, 0, 8);
	for (unsigned i = 0; i < n; i++) {
		const struct frame_entry *en = &entries[i];

		assert(en->request_id.len <= FRAME_REQUEST_ID_MAX);
		put(out, en->offset, 8);
		put(out, en->lines, 4);
		put(out, en->records, 4);
		put(out, (uint64_t)en->received_at, 8);
		put(out, en->part, 2);
		put(out, en->parts, 2);
		put(out, en->request_id.len, 2);
		buf_addstr(out, en->request_id);
	}
	put(out, crc32(0, (const unsigned char *)out->data + payload, (unsigned)(out->len - payload)), 4);
	for (unsigned i = 0; i < 4; i++)
		out->data[start + 4 + i] = (char)((out->len - payload) >> (8 * i));
}

/* --- one frame in memory --- */

/* The text of a frame of the shape that frame_encode writes by hand: 1; another frame: 0; -1: its checksum is wrong. */
static int raw_text(struct str f, struct str *text)
{
	size_t head, n;

	if (f.len < 13 || get(f.ptr, 4) != ZSTD_MAGICNUMBER || (f.ptr[4] != RAW_SIZE_1 && f.ptr[4] != RAW_SIZE_2))
		return 0;
	head = f.ptr[4] == RAW_SIZE_1 ? 6 : 7;
	n = head == 6 ? (unsigned char)f.ptr[5] : get(f.ptr + 5, 2) + 256;
	if (f.len != head + 3 + n + 4 || get(f.ptr + head, 3) != (1 | n << 3))
		return 0;
	*text = str_mem(f.ptr + head + 3, n);
	return get(f.ptr + head + 3 + n, 4) == (xxh64(text->ptr, n) & UINT32_MAX) ? 1 : -1;
}

int frame_decode(struct str frame, size_t max, struct buf *out, struct err *e)
{
	struct str text = STR_NULL;
	unsigned long long n;
	size_t got;
	int raw = raw_text(frame, &text);

	if (raw < 0)
		return err_set(e, ERR_CORRUPT, "frame: its checksum is wrong");
	n = raw ? text.len : ZSTD_getFrameContentSize(frame.ptr, frame.len);
	if (n == ZSTD_CONTENTSIZE_ERROR || n == ZSTD_CONTENTSIZE_UNKNOWN || (!raw && ZSTD_findFrameCompressedSize(frame.ptr, frame.len) != frame.len))
		return err_set(e, ERR_CORRUPT, "frame: not one whole zstd frame of a known size");
	if (n > max)
		return err_set(e, ERR_CORRUPT, "frame: %llu bytes of text, at most %zu are taken", n, max);
	if (raw) {
		buf_addstr(out, text);
		return 0;
	}
	/* the size that a damaged header names is not to be believed in memory: a block of zstd is 128 KiB at most and at least 3 bytes long */
	if (n / (128u << 10) > frame.len / 3)
		return err_set(e, ERR_CORRUPT, "frame: it cannot hold the size that it names");
	buf_reserve(out, n);
	got = ZSTD_decompress(out->data + out->len, n, frame.ptr, frame.len);
	if (ZSTD_isError(got) || got != n) {
		grown(out, 0); /* the terminating NUL is overwritten */
		return err_set(e, ERR_CORRUPT, "frame: %s", ZSTD_isError(got) ? ZSTD_getErrorName(got) : "shorter than it says");
	}
	grown(out, got);
	return 0;
}

static int stream_head(ZSTD_DCtx *z, struct str frame, struct buf *out, struct err *e)
{
	ZSTD_inBuffer in = {.src = frame.ptr, .size = frame.len};
	size_t start = out->len, rc = 1;
	const char *nl = NULL;

	while (!nl && rc != 0) {
		ZSTD_outBuffer o = {.size = 4096};
		size_t before = in.pos;

		buf_reserve(out, o.size);
		o.dst = out->data + out->len;
		rc = ZSTD_decompressStream(z, &o, &in);
		if (ZSTD_isError(rc))
			return err_set(e, ERR_CORRUPT, "frame: %s", ZSTD_getErrorName(rc));
		nl = memchr(o.dst, '\n', o.pos);
		grown(out, o.pos);
		if (!nl && rc != 0 && !o.pos && in.pos == before)
			return err_set(e, ERR_CORRUPT, "frame: it ends too early");
		if (!nl && out->len - start > FRAME_LINE_MAX)
			return err_set(e, ERR_CORRUPT, "frame: a head of more than %u bytes", FRAME_LINE_MAX);
	}
	if (nl)
		buf_truncate(out, (size_t)(nl - out->data));
	return 0;
}

int frame_head(struct str frame, struct buf *out, struct err *e)
{
	size_t start = out->len;
	struct str text = STR_NULL;
	const char *nl;
	ZSTD_DCtx *z;
	int rc = raw_text(frame, &text);

	if (rc < 0)
		return err_set(e, ERR_CORRUPT, "frame: its checksum is wrong");
	if (rc) {
		nl = text.len ? memchr(text.ptr, '\n', text.len) : NULL;
		buf_add(out, text.ptr, nl ? (size_t)(nl - text.ptr) : text.len);
		return 0;
	}
	z = ZSTD_createDCtx();
	if (!z)
		abort();
	ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	rc = stream_head(z, frame, out, e);
	if (rc)
		buf_truncate(out, start);
	ZSTD_freeDCtx(z);
	return rc;
}
