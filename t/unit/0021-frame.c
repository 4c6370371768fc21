/*
 * 0021-frame.c - frames and batch files: text there and back raw and compressed, libzstd agrees with the raw form; files of single and merged frames; every
 * truncation and every flipped bit is refused by the sha256 and never believed without it; files put together wrongly; heads and records taken apart.
 */
#include "base.h"

#define ERR_STATE OPENSSL_ERR_STATE /* OpenSSL has a type of that name */
#include <openssl/evp.h>
#undef ERR_STATE

#include "tap.h"

#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include "frame.h"
#include "xalloc.h"

static struct frame_ctx *ctx;

/* --- one frame --- */

static void fill_text(struct buf *b, size_t n)
{
	buf_truncate(b, 0);
	for (size_t i = 0; i < n; i++)
		buf_addc(b, (char)('a' + i * i % 23 + i / 7 % 3));
}

static bool there_and_back(const struct buf *text, const struct buf *frame)
{
	struct buf out = BUF_INIT;
	struct err e = ERR_INIT;
	char *z = xmalloc(text->len + 1);
	bool good;

	buf_adds(&out, "x");
	good = !frame_decode(buf_str(frame), text->len, &out, &e) && out.len == text->len + 1 && memcmp(out.data + 1, buf_cstr(text), text->len) == 0;
	/* libzstd checks size and checksum */
	good = good && ZSTD_getFrameContentSize(frame->data, frame->len) == text->len &&
	       ZSTD_decompress(z, text->len + 1, frame->data, frame->len) == text->len && memcmp(z, buf_cstr(text), text->len) == 0;
	if (text->len)
		good = good && frame_decode(buf_str(frame), text->len - 1, &out, &e) && e.code == ERR_CORRUPT;
	free(z);
	buf_free(&out);
	return good;
}

static void test_one(void)
{
	struct buf text = BUF_INIT, f = BUF_INIT;
	unsigned good = 0, n = 0;

	for (size_t len = 0; len < 9000; len += len < 300 ? 1 : 331, n++) {
		fill_text(&text, len);
		buf_truncate(&f, 0);
		good += frame_encode(ctx, buf_str(&text), &f) == (len < FRAME_COMPRESS_FROM ? FRAME_RAW : FRAME_ZSTD) && there_and_back(&text, &f);
		buf_truncate(&f, 0);
		frame_compress(ctx, buf_str(&text), 3, &f);
		good += there_and_back(&text, &f);
	}
	is_int(2 * n, good, "text of each length comes back, raw and compressed, and libzstd reads it");
	buf_free(&text);
	buf_free(&f);
}

static unsigned heads_accepted(struct str frame, const char *head)
{
	struct buf out = BUF_INIT;
	struct err e = ERR_INIT;
	unsigned n = frame_head(frame, &out, &e) == 0 && strcmp(buf_cstr(&out), head) == 0;

	buf_free(&out);
	return n;
}

static void test_head_of(void)
{
	struct buf text = BUF_INIT, f = BUF_INIT, out = BUF_INIT;
	struct err e = ERR_INIT;
	unsigned accepted = 0;

	buf_adds(&text, "{\"source\":1}\n{\"action\":\"upsert\"}\n");
	frame_encode(ctx, buf_str(&text), &f);
	is_int(1, heads_accepted(buf_str(&f), "{\"source\":1}"), "the head of a raw frame");
	for (size_t bit = 0; bit < 8 * f.len; bit++) {
		f.data[bit / 8] ^= (char)(1 << bit % 8);
		/* the one bit that decoders must not look at */
		accepted += bit != 4 * 8 + 4 && !frame_decode(buf_str(&f), 1000, &out, &e);
		f.data[bit / 8] ^= (char)(1 << bit % 8);
	}
	is_int(0, accepted, "no flipped bit in a raw frame is taken");
	for (unsigned i = 0; i < 200000; i++)
		buf_addf(&text, "{\"action\":\"upsert\",\"sequence\":%u}\n", i * i);
	buf_truncate(&f, 0);
	frame_encode(ctx, buf_str(&text), &f);
	is_int(1, heads_accepted(buf_str(&f), "{\"source\":1}"), "the head of a compressed frame");
	is_int(1, heads_accepted(str_mem(f.data, f.len / 2), "{\"source\":1}"), "without the rest of it being looked at");
	is_int(0, heads_accepted(str_mem(f.data, 12), "{\"source\":1}"), "not without its first block");
	ok(frame_decode(str_mem(f.data, f.len - 1), 1u << 26, &out, &e) && e.code == ERR_CORRUPT, "a cut frame does not decode");
	buf_adds(&f, "x");
	ok(frame_decode(buf_str(&f), 1u << 26, &out, &e) && e.code == ERR_CORRUPT, "a frame and more is not one frame");
	ok(frame_decode(STR("nonsense, and some more"), 1u << 26, &out, &e) && frame_head(STR("nonsense"), &out, &e) && e.code == ERR_CORRUPT,
		"nonsense is no frame");
	is_int(0, (int64_t)out.len, "nothing was added by what failed");
	buf_free(&text);
	buf_free(&f);
	buf_free(&out);
}

/* --- files --- */

static void add_head(struct buf *text, unsigned entry)
{
	buf_addf(text, "{\"source\":1,\"table\":\"t\",\"key_names\":[],\"schema\":null,\"types\":{},\"table_version\":0,\"received_at\":%u}\n", entry);
}

static struct frame_entry add_entry(struct buf *text, uint64_t offset, unsigned records)
{
	static const char id[] = "request";

	add_head(text, (unsigned)offset);
	for (unsigned i = 0; i < records; i++)
		buf_addf(text, "{\"action\":\"upsert\",\"sequence\":%u,\"data\":{\"id\":%u,\"text\":\"line %u of entry %u\"}}\n", i, i, i * 7919, (unsigned)offset);
	buf_adds(text, "{\"action\":\"activate_version\",\"sequence\":9}\n");
	return (struct frame_entry){.offset = offset, .lines = records + 1, .records = records, .received_at = -(int64_t)offset, .part = 1, .parts = 3,
		.request_id = {id, offset % sizeof(id)}};
}

/* Entries of the sizes in records[], `merge` of them in each frame; all: the text of all. */
static void make_file(struct buf *file, struct buf *all, const unsigned *records, unsigned n, unsigned merge)
{
	struct frame_entry en[64];
	struct buf text = BUF_INIT;

	for (unsigned at = 0; at < n; at += merge) {
		unsigned k = 0;

		buf_truncate(&text, 0);
		for (; k < merge && at + k < n; k++)
			en[k] = add_entry(&text, 100 + at + k, records[at + k]);
		frame_index(en, k, file);
		if (merge > 1)
			frame_compress(ctx, buf_str(&text), 1, file);
		else
			frame_encode(ctx, buf_str(&text), file);
		buf_addstr(all, buf_str(&text));
	}
	buf_free(&text);
}

static int fd_of(const void *p, size_t n)
{
	int fd = memfd_create("batch", MFD_CLOEXEC);

	if (fd < 0 || write(fd, p, n) != (ssize_t)n)
		bail("memfd");
	return fd;
}

/* All lines into text. 0, or the error's code; e says why. */
static int read_file(const void *p, size_t n, const unsigned char *sha, struct buf *text, struct err *e)
{
	int fd = fd_of(p, n);
	struct frame_reader *r = frame_reader_new(fd, sha, e);
	const struct frame_entry *en = NULL;
	enum frame_item item;
	struct str line;
	uint32_t index = 7, wanted = 0;
	bool sound = true;

	buf_truncate(text, 0);
	while ((item = frame_next(r, &line, &en, &index, e)) > FRAME_EOF) {
		if (item == FRAME_HEAD)
			wanted = 0;
		else
			sound = sound && index == wanted++;
		sound = sound && en->received_at == -(int64_t)en->offset && en->part == 1 && en->parts == 3 && en->request_id.len == en->offset % 8 &&
			memcmp(en->request_id.ptr, "request", MIN(7, en->request_id.len)) == 0;
		buf_addstr(text, line);
		buf_addc(text, '\n');
	}
	if (item == FRAME_ERROR && frame_next(r, &line, &en, &index, NULL) != FRAME_ERROR)
		sound = false;
	if (!sound)
		ok(false, "entries and line numbers are right");
	frame_reader_free(r);
	close(fd);
	return item == FRAME_ERROR ? (int)e->code : 0;
}

static void sha_of(const struct buf *b, unsigned char sha[32])
{
	if (EVP_Digest(b->data, b->len, sha, NULL, EVP_sha256(), NULL) != 1)
		bail("sha256");
}

static void test_file(const unsigned *records, unsigned n, unsigned merge, const char *name)
{
	struct buf file = BUF_INIT, all = BUF_INIT, seen = BUF_INIT;
	unsigned char sha[32];
	struct err e = ERR_INIT;

	make_file(&file, &all, records, n, merge);
	sha_of(&file, sha);
	is_int(0, read_file(file.data, file.len, sha, &seen, &e), "%s: read (%s)", name, e.text);
	ok(str_eq(buf_str(&all), buf_str(&seen)), "%s: every line as it was", name);
	is_int(0, read_file(file.data, file.len, NULL, &seen, &e), "%s: read without a sum", name);
	sha[31] ^= 1;
	is_int(ERR_CORRUPT, read_file(file.data, file.len, sha, &seen, &e), "%s: another sum is refused", name);
	is_int(0, (int64_t)seen.len, "%s: before the first line", name);
	buf_free(&file);
	buf_free(&all);
	buf_free(&seen);
}

static void test_files(void)
{
	static const unsigned small[] = {1, 0, 3, 2, 5}, big[] = {20000, 1, 3000, 0, 9000};

	test_file(small, ARRAY_LEN(small), 1, "raw frames");
	test_file(small, ARRAY_LEN(small), 2, "merged frames");
	test_file(big, ARRAY_LEN(big), 1, "large frames");
	test_file(big, ARRAY_LEN(big), 5, "one large merged frame");
	test_file(small, 0, 1, "no frame at all");
}

static void test_damage(void)
{
	static const unsigned records[] = {1, 0, 2};
	struct buf file = BUF_INIT, all = BUF_INIT, seen = BUF_INIT;
	unsigned char sha[32];
	struct err e = ERR_INIT;
	unsigned cut_taken = 0, cut_wrong = 0, flip_taken = 0, flip_wrong = 0;

	make_file(&file, &all, records, 1, 1);
	make_file(&file, &all, records, 3, 3);
	sha_of(&file, sha);
	for (size_t n = 0; n < file.len; n++) {
		cut_taken += read_file(file.data, n, sha, &seen, &e) != ERR_CORRUPT;
		cut_wrong += (read_file(file.data, n, NULL, &seen, &e) != ERR_CORRUPT && !seen.len && n) || seen.len > all.len ||
			     memcmp(buf_cstr(&seen), all.data, seen.len) != 0;
	}
	is_int(0, cut_taken, "no truncated file passes its sum");
	is_int(0, cut_wrong, "without a sum nothing is given that was not there");
	for (size_t bit = 0; bit < 8 * file.len; bit++) {
		file.data[bit / 8] ^= (char)(1 << bit % 8);
		flip_taken += read_file(file.data, file.len, sha, &seen, &e) != ERR_CORRUPT;
		flip_wrong += read_file(file.data, file.len, NULL, &seen, &e) != ERR_CORRUPT && !str_eq(buf_str(&all), buf_str(&seen));
		file.data[bit / 8] ^= (char)(1 << bit % 8);
	}
	is_int(0, flip_taken, "no flipped bit passes the sum");
	is_int(0, flip_wrong, "without a sum a flipped bit is refused, or is one that changes nothing");
	buf_free(&file);
	buf_free(&all);
	buf_free(&seen);
}

/* --- files put together wrongly --- */

static void wrong(const struct buf *file, const char *why, const char *name)
{
	struct buf seen = BUF_INIT;
	struct err e = ERR_INIT;

	ok(read_file(file->data, file->len, NULL, &seen, &e) == ERR_CORRUPT && strstr(e.text, why), "%s: %s", name, e.text);
	buf_free(&seen);
}

static void wrong_text(const char *text, struct frame_entry en, unsigned n, const char *why, const char *name)
{
	struct frame_entry twice[2] = {en, en};
	struct buf file = BUF_INIT;

	frame_index(twice, n, &file);
	frame_encode(ctx, str_c(text), &file);
	wrong(&file, why, name);
	buf_free(&file);
}

static void test_wrong_counts(void)
{
	struct buf text = BUF_INIT;
	struct frame_entry en = add_entry(&text, 104, 2);

	en.lines = 2;
	wrong_text(text.data, en, 1, "more lines", "a line more than the index says");
	en.lines = 4;
	wrong_text(text.data, en, 1, "fewer lines", "a line less");
	en.lines = 3;
	en.records = 3;
	wrong_text(text.data, en, 1, "not as many records", "a record less");
	en.records = 2;
	wrong_text(text.data, en, 2, "fewer heads", "an entry less");
	add_entry(&text, 104, 2);
	wrong_text(text.data, en, 1, "more heads", "an entry more");
	wrong_text(strchr(text.data, '\n') + 1, en, 1, "before the first head", "no head");
	wrong_text("", en, 1, "fewer heads", "an empty frame");
	wrong_text("\n", en, 1, "neither", "an empty line");
	wrong_text("[1,2]\n", en, 1, "neither", "a line that is no object");
	buf_free(&text);
}

static void test_wrong_order(void)
{
	struct buf text = BUF_INIT, file = BUF_INIT;
	struct frame_entry en = add_entry(&text, 104, 2);

	frame_encode(ctx, buf_str(&text), &file);
	wrong(&file, "no index", "a frame without an index");
	buf_truncate(&file, 0);
	frame_index(&en, 1, &file);
	wrong(&file, "ends", "an index without a frame");
	frame_index(&en, 1, &file);
	wrong(&file, "no frame", "an index behind an index");
	buf_truncate(&file, 0);
	frame_index(&en, 0, &file);
	frame_encode(ctx, STR(""), &file);
	wrong(&file, "as many entries", "an index without entries");
	buf_truncate(&file, 0);
	frame_index(&en, 1, &file);
	memcpy(file.data + 4, "\xff\xff\xff\x7f", 4);
	wrong(&file, "impossible length", "an index of two gigabytes");
	buf_truncate(&text, 0);
	buf_adds(&text, "{");
	buf_reserve(&text, FRAME_LINE_MAX);
	memset(text.data + 1, 'x', FRAME_LINE_MAX);
	text.len = FRAME_LINE_MAX + 1;
	text.data[text.len] = '\0';
	for (unsigned i = 0; i < 200000; i++)
		buf_addc(&text, 'y');
	buf_truncate(&file, 0);
	frame_index(&en, 1, &file);
	frame_compress(ctx, buf_str(&text), 1, &file);
	wrong(&file, "too long", "a line over the limit");
	buf_free(&text);
	buf_free(&file);
}

/* --- lines --- */

static int record_of(const char *text, size_t n, struct frame_record *out)
{
	static char *copy;

	/* kept until the next call; of its own length, so that a sanitizer sees a read past the end */
	free(copy);
	copy = n ? xmemdup(text, n) : NULL;
	return frame_record_parse(str_mem(copy, n), out, NULL);
}

static void test_records(void)
{
	static const char full[] = "{\"action\":\"upsert\",\"sequence\":1700000000000,\"time_extracted\":\"2026-\\\"\\\\\",\"data\":{\"a\":\"}\"}}";
	static const char *const bad[] = {
		"{\"action\":\"delete\",\"sequence\":1,\"data\":{}}", "{\"action\":\"upsert\",\"sequence\":\"1\",\"data\":{}}",
		"{\"action\":\"upsert\",\"sequence\":-,\"data\":{}}", "{\"action\":\"upsert\",\"data\":{},\"sequence\":1}", "{\"action\":\"upsert\",\"sequence\":1}",
		"{\"action\":\"upsert\",\"sequence\":1,\"data\":[1]}", "{\"action\":\"upsert\",\"sequence\":1,\"data\":{}", "{\"action\":\"upsert\",\"sequence\":1,\"data\":{}} ",
		"{ \"action\":\"upsert\",\"sequence\":1,\"data\":{}}", "{\"action\":\"upsert\",\"sequence\":1,\"time_extracted\":5,\"data\":{}}",
		"{\"action\":\"activate_version\",\"sequence\":1,\"data\":{}}", "{\"action\":\"activate_version\",\"sequence\":}",
	};
	static const char bare[] = "{\"action\":\"upsert\",\"sequence\":-5,\"data\":{}}", activate[] = "{\"action\":\"activate_version\",\"sequence\":7}";
	struct frame_record r;
	unsigned taken = 0;

	is_int(0, record_of(full, sizeof(full) - 1, &r), "a record");
	is_slice("1700000000000", r.sequence, "its sequence");
	is_slice("\"2026-\\\"\\\\\"", r.time_extracted, "its time");
	is_slice("{\"a\":\"}\"}", r.data, "its data");
	for (size_t n = 0; n < sizeof(full) - 1; n++)
		taken += record_of(full, n, &r) == 0;
	is_int(0, taken, "no part of it is one");
	is_int(0, record_of(bare, strlen(bare), &r), "without a time");
	ok(!r.time_extracted.ptr && !r.activate && str_eqc(r.data, "{}"), "has none");
	is_int(0, record_of(activate, strlen(activate), &r), "activate_version");
	ok(r.activate && !r.data.ptr && str_eqc(r.sequence, "7"), "has no data");
	for (size_t k = 0; k < ARRAY_LEN(bad); k++)
		is_int(-1, record_of(bad[k], strlen(bad[k]), &r), "refused: %s", bad[k]);
	if (!record_of("", 0, &r))
		ok(false, "nothing is no record");
}

static void test_heads(void)
{
	static const char full[] = "{\"source\":7,\"table\":\"or\\u00e4\\\"ders\",\"key_names\":[\"id\"],\"schema\":{\"properties\":{}},\"types\":{\"id\":[\"integer\"]},"
				   "\"table_version\":-3,\"received_at\":1700000000000000001}";
	static const char *const bad[] = {
		"{}", "[]", "{\"source\":1.5,\"table\":\"t\",\"key_names\":[],\"schema\":null,\"types\":{},\"table_version\":0,\"received_at\":1}",
		"{\"source\":1,\"table\":7,\"key_names\":[],\"schema\":null,\"types\":{},\"table_version\":0,\"received_at\":1}",
		"{\"source\":1,\"table\":\"t\",\"key_names\":{},\"schema\":null,\"types\":{},\"table_version\":0,\"received_at\":1}",
		"{\"source\":1,\"table\":\"t\",\"key_names\":[],\"schema\":5,\"types\":{},\"table_version\":0,\"received_at\":1}",
		"{\"source\":1,\"table\":\"t\",\"key_names\":[],\"schema\":null,\"types\":{},\"table_version\":0,\"received_at\":1,\"more\":1}",
		"{\"source\":1,\"table\":\"t\",\"key_names\":[],\"schema\":null,\"types\":{},\"received_at\":1,\"table_version\":0}",
		"{\"source\":1,\"table\":\"t\",\"key_names\":[],\"schema\":null,\"types\":{},\"table_version\":99999999999999999999,\"received_at\":1}",
	};
	struct frame_head h = {.table = BUF_INIT};
	struct err e = ERR_INIT;
	unsigned taken = 0;

	is_int(0, frame_head_parse(str_c(full), &h, &e), "a head (%s)", e.text);
	is_str("or\303\244\"ders", buf_cstr(&h.table), "its table, unescaped");
	ok(h.source == 7 && h.table_version == -3 && h.received_at == INT64_C(1700000000000000001), "its numbers");
	is_slice("[\"id\"]", h.key_names, "its keys");
	is_slice("{\"properties\":{}}", h.schema, "its schema");
	is_slice("{\"id\":[\"integer\"]}", h.types, "its types");
	for (size_t n = 0; n < sizeof(full) - 1; n++) {
		char *cut = xmemdup(full, n);

		taken += frame_head_parse(str_mem(cut, n), &h, &e) == 0;
		free(cut);
	}
	is_int(0, taken, "no part of it is one");
	for (size_t k = 0; k < ARRAY_LEN(bad); k++)
		ok(frame_head_parse(str_c(bad[k]), &h, &e) == -1 && e.code == ERR_CORRUPT, "refused: %s", bad[k]);
	is_int(0, frame_head_parse(STR("{\"source\":1,\"table\":\"t\",\"key_names\":[],\"schema\":null,\"types\":{},\"table_version\":0,\"received_at\":1}"), &h, &e),
		"a schema of null");
	is_slice("null", h.schema, "is given as null");
	is_str("t", buf_cstr(&h.table), "the table of the head before is gone");
	buf_free(&h.table);
}

int main(void)
{
	struct frame_record r;

	plan_lazy();
	ctx = frame_ctx_new();
	test_one();
	test_head_of();
	test_files();
	test_damage();
	test_wrong_counts();
	test_wrong_order();
	test_records();
	test_heads();
	frame_ctx_free(ctx);
	if (!record_of("", 0, &r))
		return 1;
	return done_testing();
}
