/*
 * coding.c - gzip by zlib, zstd by libzstd, both in their streaming forms. Several members or frames one after the other are one body, as both formats
 * say. A zstd window is at most 8 MiB (RFC 9659), or a head of a few bytes would make us take 128 MiB. The buffer grows by doubling, but never
 * beyond the limit by more than a byte: that byte tells "too large" from "just so large".
 *
 * What can go wrong: bytes behind the end that are no further member are damage, not padding; so is an end in the middle.
 */
#include "daemon/import/coding.h"

#include <zlib.h>
#include <zstd.h>

#include "xalloc.h"

#define WINDOW_LOG 23
#define FIRST (64u << 10)

struct coding {
	enum coding_kind kind;
	bool inside; /* a member has begun and not ended */
	bool any;    /* one has ended */
	z_stream z;
	ZSTD_DCtx *zstd;
};

int coding_find(struct str name, enum coding_kind *out)
{
	*out = CODING_NONE;
	if (!name.len || str_ieq(name, STR("identity")))
		return 0;
	if (str_ieq(name, STR("gzip")) || str_ieq(name, STR("x-gzip")))
		*out = CODING_GZIP;
	else if (str_ieq(name, STR("zstd")))
		*out = CODING_ZSTD;
	return *out == CODING_NONE ? -1 : 0;
}

const char *coding_name(enum coding_kind k)
{
	return k == CODING_GZIP ? "gzip" : k == CODING_ZSTD ? "zstd" : "identity";
}

struct coding *coding_new(enum coding_kind k)
{
	struct coding *c = xcalloc(1, sizeof(*c));

	c->kind = k;
	if (k == CODING_GZIP) {
		if (inflateInit2(&c->z, 15 + 16) != Z_OK)
			abort(); /* out of memory, as in xalloc */
	} else {
		c->zstd = ZSTD_createDCtx();
		if (!c->zstd || ZSTD_isError(ZSTD_DCtx_setParameter(c->zstd, ZSTD_d_windowLogMax, WINDOW_LOG)))
			abort();
	}
	return c;
}

void coding_free(struct coding *c)
{
	if (!c)
		return;
	if (c->kind == CODING_GZIP)
		inflateEnd(&c->z);
	ZSTD_freeDCtx(c->zstd);
	free(c);
}

size_t coding_memory(const struct coding *c)
{
	return c->kind == CODING_GZIP ? 48u << 10 : ZSTD_sizeof_DCtx(c->zstd);
}

/* Room for more, up to one byte beyond the limit. 0: there is none. */
static size_t make_room(struct buf *out, uint64_t max)
{
	size_t left = out->len > max ? 0 : (size_t)(max + 1 - out->len);

	if (!left)
		return 0;
	if (out->cap < out->len + 2)
		buf_reserve(out, MIN(MAX(out->len, FIRST), left));
	return MIN(out->cap - out->len - 1, left);
}

/* One call of the library: *n bytes were taken, out has grown. */
static enum coding_result step(struct coding *c, const char *p, size_t *n, size_t room, struct buf *out)
{
	if (c->kind == CODING_GZIP) {
		int rc;

		if (!c->inside && c->any && inflateReset(&c->z) != Z_OK)
			return CODING_DAMAGED;
		c->z.next_in = (z_const Bytef *)(uintptr_t)p;
		c->z.avail_in = (uInt)*n;
		c->z.next_out = (Bytef *)out->data + out->len;
		c->z.avail_out = (uInt)room;
		rc = inflate(&c->z, Z_NO_FLUSH);
		if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
			return CODING_DAMAGED;
		*n -= c->z.avail_in;
		out->len += room - c->z.avail_out;
		c->inside = rc != Z_STREAM_END;
	} else {
		ZSTD_inBuffer in = {p, *n, 0};
		ZSTD_outBuffer o = {out->data + out->len, room, 0};
		size_t rc = ZSTD_decompressStream(c->zstd, &o, &in);

		if (ZSTD_isError(rc))
			return CODING_DAMAGED;
		*n = in.pos;
		out->len += o.pos;
		c->inside = rc != 0;
	}
	out->data[out->len] = '\0';
	c->any |= !c->inside;
	return CODING_OK;
}

enum coding_result coding_feed(struct coding *c, const char **piece, size_t *n, uint64_t max, struct buf *out)
{
	bool full = true; /* the last step filled its room: the library may hold more */

	while (*n || (full && c->inside)) {
		size_t room = make_room(out, max), taken = MIN(*n, (size_t)1 << 30), before = out->len;

		if (!room)
			return CODING_TOO_LARGE;
		room = MIN(room, (size_t)1 << 30);
		if (step(c, *piece, &taken, room, out) != CODING_OK)
			return CODING_DAMAGED;
		full = out->len - before == room;
		*piece += taken;
		*n -= taken;
		if (!taken && out->len == before && *n)
			return CODING_DAMAGED;
	}
	return out->len > max ? CODING_TOO_LARGE : CODING_OK;
}

enum coding_result coding_end(const struct coding *c)
{
	return c->any && !c->inside ? CODING_OK : CODING_DAMAGED;
}
