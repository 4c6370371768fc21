/*
 * 1004-coding.c - packed bodies: gzip and zstd in pieces of any size, several members, the limit to the byte, bombs, damage at every place.
 */
#include "daemon/import/coding.h"

#include <zlib.h>
#include <zstd.h>

#include "tap.h"
#include "xalloc.h"

#define MAX_BODY (300u << 10)

static struct buf pack(enum coding_kind k, struct str text)
{
	struct buf out = BUF_INIT;

	buf_reserve(&out, text.len + 4096);
	if (k == CODING_ZSTD) {
		out.len = ZSTD_compress(out.data, out.cap, text.ptr, text.len, 3);
	} else {
		z_stream z = {.next_in = (z_const Bytef *)(uintptr_t)text.ptr, .avail_in = (uInt)text.len, .next_out = (Bytef *)out.data, .avail_out = (uInt)out.cap};

		if (deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK || deflate(&z, Z_FINISH) != Z_STREAM_END)
			bail("deflate");
		out.len = z.total_out;
		deflateEnd(&z);
	}
	return out;
}

static enum coding_result unpack(enum coding_kind k, struct str packed, size_t step, struct buf *out)
{
	struct coding *c = coding_new(k);
	enum coding_result rc = CODING_OK;
	uint64_t room = 0;

	buf_truncate(out, 0);
	for (size_t at = 0; at < packed.len && rc == CODING_OK; at += step) {
		char *piece = xmemdup(packed.ptr + at, MIN(step, packed.len - at)); /* so that reading beyond it is seen */

		const char *p = piece;
		size_t left = MIN(step, packed.len - at);

		/* with room that grows, as the door gives it */
		while ((rc = coding_feed(c, &p, &left, MIN(room, MAX_BODY), out)) == CODING_TOO_LARGE && out->len <= MAX_BODY)
			room = out->len + 999;
		free(piece);
	}
	if (rc == CODING_OK)
		rc = coding_end(c);
	coding_free(c);
	return rc;
}

static void test_kind(enum coding_kind k)
{
	static const size_t steps[] = {1, 7, 4096, 1u << 20};
	const char *name = coding_name(k);
	struct buf text = BUF_INIT, out = BUF_INIT, packed, twice = BUF_INIT;
	size_t bad = 0, whole = 0;

	for (unsigned i = 0; text.len < MAX_BODY; i++)
		buf_addf(&text, "{\"n\":%u,\"h\":\"%08x\"}", i, i * 2654435761u);
	buf_truncate(&text, MAX_BODY);
	packed = pack(k, buf_str(&text));
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		ok(unpack(k, buf_str(&packed), steps[i], &out) == CODING_OK && str_eq(buf_str(&out), buf_str(&text)), "%s: as large as may be, in pieces of %zu", name,
			steps[i]);
	for (size_t cut = 0; cut < packed.len; cut += 1 + packed.len / 300)
		bad += unpack(k, str_mem(packed.data, cut), 4096, &out) == CODING_DAMAGED;
	is_int((int64_t)((packed.len - 1) / (1 + packed.len / 300) + 1), (int64_t)bad, "%s: cut off anywhere is damaged", name);
	for (size_t at = 0; at < packed.len; at += 1 + packed.len / 300) {
		packed.data[at] ^= 0x20;
		if (unpack(k, buf_str(&packed), 4096, &out) == CODING_OK && !str_eq(buf_str(&out), buf_str(&text)))
			whole++;
		packed.data[at] ^= 0x20;
	}
	if (k == CODING_GZIP) /* it has a checksum; a zstd frame need not */
		is_int(0, (int64_t)whole, "%s: no flipped bit makes another body", name);
	buf_addc(&text, 'x');
	buf_free(&packed);
	packed = pack(k, buf_str(&text));
	ok(unpack(k, buf_str(&packed), 4096, &out) == CODING_TOO_LARGE, "%s: one byte more is too large", name);
	buf_free(&packed);
	packed = pack(k, STR("half"));
	buf_addstr(&twice, buf_str(&packed));
	buf_addstr(&twice, buf_str(&packed));
	ok(unpack(k, buf_str(&twice), 3, &out) == CODING_OK && str_eqc(buf_str(&out), "halfhalf"), "%s: two members are one body", name);
	buf_adds(&twice, "padding");
	ok(unpack(k, buf_str(&twice), 5, &out) == CODING_DAMAGED, "%s: what follows must be a member", name);
	buf_free(&packed);
	packed = pack(k, STR(""));
	ok(unpack(k, buf_str(&packed), 5, &out) == CODING_OK && out.len == 0, "%s: of nothing", name);
	ok(unpack(k, STR(""), 5, &out) == CODING_DAMAGED && unpack(k, STR("{\"plain\":1}"), 5, &out) == CODING_DAMAGED, "%s: nothing, and plain text", name);
	buf_free(&packed);
	buf_free(&twice);
	buf_free(&text);
	buf_free(&out);
}

static void test_bomb(enum coding_kind k)
{
	size_t n = 100u << 20;
	char *zeros = calloc(1, n);
	struct buf packed = pack(k, str_mem(zeros, n)), out = BUF_INIT;

	ok(unpack(k, buf_str(&packed), packed.len, &out) == CODING_TOO_LARGE && out.len <= MAX_BODY + 1 && out.cap <= 2 * (MAX_BODY + (64u << 10)),
		"%s: %zu bytes that become 100 MiB stop at the limit (%zu held)", coding_name(k), packed.len, out.cap);
	free(zeros);
	buf_free(&packed);
	buf_free(&out);
}

int main(void)
{
	static const unsigned char window[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88, 0x01, 0x00, 0x00}; /* a window of 128 MiB, an empty block */
	struct buf out = BUF_INIT;
	enum coding_kind k;

	ok(!coding_find(STR(""), &k) && k == CODING_NONE && !coding_find(STR("Identity"), &k) && k == CODING_NONE, "none");
	ok(!coding_find(STR("GZIP"), &k) && k == CODING_GZIP && !coding_find(STR("x-gzip"), &k) && k == CODING_GZIP, "gzip");
	ok(!coding_find(STR("zstd"), &k) && k == CODING_ZSTD, "zstd");
	ok(coding_find(STR("br"), &k) && coding_find(STR("gzip, zstd"), &k) && coding_find(STR("deflate"), &k), "others are not ours");
	test_kind(CODING_GZIP);
	test_kind(CODING_ZSTD);
	test_bomb(CODING_GZIP);
	test_bomb(CODING_ZSTD);
	ok(unpack(CODING_ZSTD, str_mem((const char *)window, sizeof(window)), 4, &out) == CODING_DAMAGED, "zstd: a window that is too large is refused");
	buf_free(&out);
	return done_testing();
}
