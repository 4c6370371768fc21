/*
 * door.c - fuzz target: bodies of batch, push and push in Transit (first byte modulo 3). What is refused has a JSON body and a 4xx; what is accepted makes queue
 * records that can be read back, whose heads and lines loaders can read, with as many lines as they say. Paths in a head come after what they lie in, which is
 * an object or array, and each once.
 */
#include "daemon/import/intake.h"
#include "daemon/state/schema.h"
#include "xalloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_paths(struct str line)
{
	struct schema s;
	bool changed = false;

	if (schema_parse(NULL, NULL, &s, NULL) || schema_merge(&s, line, &changed, NULL))
		abort();
	for (size_t i = 0; i < s.n; i++) {
		struct str path = buf_str(&s.columns[i].name);
		size_t n = path.len, at;

		while (n > 0 && path.ptr[n - 1] != PATH_MEMBER && path.ptr[n - 1] != PATH_ELEMENT)
			n--;
		if (!n)
			continue;
		at = (uintptr_t)map_get(&s.names, str_mem(path.ptr, n - 1));
		assert(at && at <= i);
	}
	schema_free(&s);
}

static void check_text(const struct qrec *r, struct buf *text)
{
	struct frame_head h = {.source = 0};
	const char *p = text->data, *end = p + text->len;
	uint32_t lines = 0, records = 0;

	for (bool head = true; p < end; head = false) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		struct frame_record rec;
		struct str line = str_mem(p, (size_t)(nl - p));
		int rc;

		assert(nl && jscan_valid(line.ptr, line.len, 0, NULL, NULL));
		rc = head ? frame_head_parse(line, &h, NULL) : frame_record_parse(line, &rec, NULL);
		assert(!rc);
		if (head)
			check_paths(line);
		lines += !head;
		records += !head && !rec.activate;
		p = nl + 1;
	}
	assert(lines == r->lines && records == r->records && str_eq(buf_str(&h.table), r->table));
	buf_free(&h.table);
}

static void check_records(const struct queue_put *put)
{
	struct buf text = BUF_INIT;
	size_t at = 0, used = 0;

	for (unsigned i = 0; i < put->n; i++, at += used) {
		struct qrec r;
		int rc = qrec_decode(put->bytes.data + at, put->bytes.len - at, &r, &used, NULL);

		assert(!rc && r.part < r.parts);
		buf_truncate(&text, 0);
		rc = frame_decode(r.body, 64u << 20, &text, NULL);
		assert(!rc);
		check_text(&r, &text);
	}
	assert(put->n && at == put->bytes.len);
	buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct intake *in; /* used again, as the door does */
	struct encode_request q = {.source_id = 7, .received_at = 1, .request_id = STR("k")};
	struct refusal r = {.status = 0};
	struct queue_put put = {.n = 0};
	struct str body;
	char *copy;
	int rc;

	if (!size)
		return 0;
	if (!in)
		in = intake_new();
	copy = xmemdup(data + 1, size - 1);
	body = str_mem(copy, size - 1);
	if (data[0] % 3 == 0)
		rc = decode_batch(in, body, &r);
	else if (data[0] % 3 == 1)
		rc = decode_push(in, body, 42, &r);
	else
		rc = decode_transit(in, body, &r) || decode_push_transit(in, 42, &r) ? -1 : 0;
	if (!rc)
		rc = encode_batch(in, &q, &put, &r);
	if (rc) {
		assert(r.status >= 400 && r.status < 500 && jscan_valid(r.body.data, r.body.len, 0, NULL, NULL));
	} else {
		assert(!r.status);
		check_records(&put);
	}
	buf_free(&put.bytes);
	buf_free(&r.body);
	free(copy);
	return 0;
}
