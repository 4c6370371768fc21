/*
 * 2001-record.c - the byte form of a queue record: round trip, every truncation, every flipped bit, newer versions; crc32c both ways.
 */
#include "tap.h"

#include "daemon/queue/crc32c.h"
#include "daemon/queue/record.h"
#include "frame.h"
#include "xalloc.h"

static const struct qrec sample = {
	.source_id = 4000000000u,
	.records = 7,
	.lines = 8,
	.codec = FRAME_RAW,
	.flags = QREC_KEYED,
	.part = 2,
	.parts = 3,
	.received_at = INT64_C(1700000000000000001),
	.table_version = INT64_MIN,
	.shape_hash = UINT64_MAX,
	.keys_hash = 1,
	.table = {"t\303\244bel", 6},
	.request_id = {"0123456789abcdef", 16},
	.body = {"\x28\xb5\x2f\xfd body", 9},
};

static void test_crc(void)
{
	unsigned char b[300];

	is_int(0xe3069283, crc32c(0, "123456789", 9), "the check value of CRC-32C");
	is_int(0xe3069283, crc32c_table(0, "123456789", 9), "the same by the table");
	is_int(0xe3069283, crc32c(crc32c(0, "1234", 4), "56789", 5), "in two pieces");
	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = (unsigned char)(i * 37 + 11);
	for (size_t n = 0; n < sizeof(b); n++)
		if (crc32c(7, b + n % 9, n - n % 9) != crc32c_table(7, b + n % 9, n - n % 9)) {
			ok(false, "both ways agree at length %zu", n);
			return;
		}
	ok(true, "both ways agree at all lengths and alignments");
}

static void test_round_trip(void)
{
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;
	struct qrec r = {.source_id = 0};
	size_t used = 0;

	buf_adds(&b, "x");
	qrec_encode(&sample, &b);
	is_int((int64_t)qrec_size(&sample) + 1, (int64_t)b.len, "the size is as foretold");
	buf_adds(&b, "more");
	ok(!qrec_decode(b.data + 1, b.len - 1, &r, &used, &e), "decodes (%s)", e.text);
	is_int((int64_t)qrec_size(&sample), (int64_t)used, "takes its own bytes only");
	ok(r.source_id == sample.source_id && r.records == 7 && r.lines == 8 && r.codec == FRAME_RAW && r.flags == QREC_KEYED, "small fields");
	ok(r.part == 2 && r.parts == 3 && r.received_at == sample.received_at && r.table_version == INT64_MIN, "part, time, version");
	ok(r.shape_hash == UINT64_MAX && r.keys_hash == 1, "hashes");
	ok(str_eq(r.table, sample.table) && str_eq(r.request_id, sample.request_id) && str_eq(r.body, sample.body), "table, request id, body");
	buf_free(&b);
}

static void test_damage(void)
{
	struct buf b = BUF_INIT;
	struct qrec r;
	size_t used;
	unsigned accepted = 0;

	qrec_encode(&sample, &b);
	for (size_t n = 0; n < b.len; n++) {
		/* a copy of its own, so that a sanitizer sees a read past the end */
		char *cut = xmemdup(b.data, n);

		accepted += qrec_decode(cut, n, &r, &used, NULL) == 0;
		free(cut);
	}
	is_int(0, accepted, "no truncation is accepted");
	for (size_t bit = 0; bit < 8 * b.len; bit++) {
		b.data[bit / 8] ^= (char)(1 << bit % 8);
		accepted += qrec_decode(b.data, b.len, &r, &used, NULL) == 0;
		b.data[bit / 8] ^= (char)(1 << bit % 8);
	}
	is_int(0, accepted, "no flipped bit is accepted");
	buf_free(&b);
}

static void test_refusals(void)
{
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;
	struct qrec r;
	size_t used;

	qrec_encode(&sample, &b);
	b.data[4] = 2;
	ok(qrec_decode(b.data, b.len, &r, &used, &e) && e.code == ERR_VERSION, "a newer version is told as such");
	b.data[4] = 1;
	memcpy(b.data + 16, "\xff\xff\xff\xff", 4);
	ok(qrec_decode(b.data, b.len, &r, &used, &e) && e.code == ERR_CORRUPT, "a body over the limit is refused before it is looked for");
	buf_free(&b);
}

int main(void)
{
	plan_lazy();
	test_crc();
	test_round_trip();
	test_damage();
	test_refusals();
	return done_testing();
}
