/*
 * record.c - the byte form of a queue record, see record.h. The design: a fixed head of 72 bytes, then table, request id and body,
 * one crc32c over all of it but the crc itself. Lengths are checked against QREC_MAX and against what is there before anything is
 * read; the crc is checked before any field but magic, version and lengths is believed.
 */
#include "daemon/queue/record.h"

#include "daemon/queue/crc32c.h"
#include "daemon/queue/le.h"

#define MAGIC 0x31525153u /* "SQR1" */
#define VERSION 1
#define CRC_AT 20

enum { CODEC_FIRST = 1, CODEC_LAST = 2 }; /* enum frame_codec; the body is not looked into here */

size_t qrec_size(const struct qrec *r)
{
	return QREC_HEAD + r->table.len + r->request_id.len + r->body.len;
}

static uint32_t record_crc(const char *p, size_t n)
{
	uint32_t crc = crc32c(0, p, CRC_AT);

	return crc32c(crc, p + CRC_AT + 4, n - CRC_AT - 4);
}

void qrec_encode(const struct qrec *r, struct buf *out)
{
	size_t n = qrec_size(r);
	char h[QREC_HEAD] = {0};
	size_t at = out->len;

	assert(r->table.len >= 1 && r->table.len <= QREC_TABLE_MAX);
	assert(r->request_id.len >= 1 && r->request_id.len <= QREC_REQUEST_ID_MAX);
	assert(r->parts >= 1 && r->part < r->parts && n <= QREC_MAX);
	le32_put(h, MAGIC);
	h[4] = VERSION;
	h[5] = (char)r->codec;
	h[6] = (char)r->flags;
	h[7] = (char)r->request_id.len;
	le16_put(h + 8, (uint16_t)r->table.len);
	le16_put(h + 10, r->part);
	le16_put(h + 12, r->parts);
	le32_put(h + 16, (uint32_t)r->body.len);
	le32_put(h + 24, r->source_id);
	le32_put(h + 28, r->records);
	le32_put(h + 32, r->lines);
	le64_put(h + 40, (uint64_t)r->received_at);
	le64_put(h + 48, (uint64_t)r->table_version);
	le64_put(h + 56, r->shape_hash);
	le64_put(h + 64, r->keys_hash);
	buf_reserve(out, n);
	buf_add(out, h, sizeof(h));
	buf_addstr(out, r->table);
	buf_addstr(out, r->request_id);
	buf_addstr(out, r->body);
	le32_put(out->data + at + CRC_AT, record_crc(out->data + at, n));
}

static void fill(const char *p, struct qrec *out)
{
	const char *var = p + QREC_HEAD;

	*out = (struct qrec){
		.source_id = le32_get(p + 24),
		.records = le32_get(p + 28),
		.lines = le32_get(p + 32),
		.codec = (uint8_t)p[5],
		.flags = (uint8_t)p[6],
		.part = le16_get(p + 10),
		.parts = le16_get(p + 12),
		.received_at = (int64_t)le64_get(p + 40),
		.table_version = (int64_t)le64_get(p + 48),
		.shape_hash = le64_get(p + 56),
		.keys_hash = le64_get(p + 64),
		.table = str_mem(var, le16_get(p + 8)),
		.request_id = str_mem(var + le16_get(p + 8), (uint8_t)p[7]),
	};
	out->body = str_mem(out->request_id.ptr + out->request_id.len, le32_get(p + 16));
}

int qrec_peek(const void *bytes, size_t n, struct qrec *out, size_t *used, struct err *e)
{
	const char *p = bytes;
	size_t table, id, body;

	if (n < QREC_HEAD)
		return err_set(e, ERR_CORRUPT, "a queue record ends within its head");
	if (le32_get(p) != MAGIC)
		return err_set(e, ERR_CORRUPT, "these bytes are no queue record (magic %08" PRIx32 ")", le32_get(p));
	if ((uint8_t)p[4] > VERSION)
		return err_set(e, ERR_VERSION, "a queue record of version %u: this program reads up to %d; start the newer program again",
			(unsigned)(uint8_t)p[4], VERSION);
	table = le16_get(p + 8);
	id = (uint8_t)p[7];
	body = le32_get(p + 16);
	if (p[4] == 0 || !table || table > QREC_TABLE_MAX || !id || body > QREC_MAX - QREC_HEAD - table - id)
		return err_set(e, ERR_CORRUPT, "a queue record's lengths are impossible (table %zu, request id %zu, body %zu)", table, id, body);
	if (n < QREC_HEAD + table)
		return err_set(e, ERR_CORRUPT, "a queue record ends within its table's name");
	*used = QREC_HEAD + table + id + body;
	fill(p, out);
	return 0;
}

int qrec_decode(const void *p, size_t n, struct qrec *out, size_t *used, struct err *e)
{
	size_t size;

	if (qrec_peek(p, n, out, &size, e))
		return -1;
	if (size > n)
		return err_set(e, ERR_CORRUPT, "a queue record of %zu bytes is cut off after %zu", size, n);
	if (record_crc(p, size) != le32_get((const char *)p + CRC_AT))
		return err_set(e, ERR_CORRUPT, "a queue record's checksum does not match");
	if (out->codec < CODEC_FIRST || out->codec > CODEC_LAST || !out->parts || out->part >= out->parts)
		return err_set(e, ERR_CORRUPT, "a queue record's head is impossible (codec %u, part %u of %u)", out->codec, out->part, out->parts);
	*used = size;
	return 0;
}
