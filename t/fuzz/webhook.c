/*
 * webhook.c - fuzz target: bodies of incoming webhooks, as JSON or as forms (the first byte says which, and which settings the source has). What is refused has
 * a JSON body and a 4xx; what is accepted has as many lines as records were counted, each of them one that a loader can read, and makes queue records.
 */
#include "daemon/import/signature.h"
#include "daemon/import/webhook.h"
#include "frame.h"
#include "xalloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct intake *in, uint64_t n)
{
	struct encode_request q = {.source_id = 7, .received_at = 1, .request_id = STR("k")};
	struct queue_put put = {.n = 0};
	struct refusal r = {.status = 0};
	uint64_t lines = 0;

	for (size_t i = 0; i < in->n_groups; i++) {
		const struct group *g = &in->groups[i];
		const char *p = g->text.data, *end = p + g->text.len;

		for (; p < end; lines++) {
			const char *nl = memchr(p, '\n', (size_t)(end - p));
			struct frame_record rec;
			int rc = frame_record_parse(str_mem(p, (size_t)(nl - p)), &rec, NULL);

			assert(!rc && !rec.activate);
			p = nl + 1;
		}
	}
	assert(lines == n);
	if (encode_batch(in, &q, &put, &r))
		assert(r.status == 400); /* a head that is too long */
	buf_free(&put.bytes);
	buf_free(&r.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char id[] = "id", type[] = "type";
	static struct intake *in; /* used again, as the door does */
	struct source_rules rules = {.users = 1};
	struct refusal r = {.status = 0};
	struct buf json = BUF_INIT, secret = BUF_INIT;
	uint64_t n = 0;
	struct str body;
	char *copy;
	int rc = 0;

	if (!size)
		return 0;
	if (!in)
		in = intake_new();
	copy = xmemdup(data + 1, size - 1);
	body = str_mem(copy, size - 1);
	rules.key = data[0] & 1 ? id : NULL;
	rules.table_field = data[0] & 2 ? type : NULL;
	buf_adds(&secret, "s");
	(void)signature_good(data[0] & 16, &secret, 1, body, body, 1700000000);
	if (data[0] & 4) {
		rc = webhook_form(body, data[0] & 8 ? "json:p" : "fields", &json, &r);
		body = buf_str(&json);
		assert(rc || (data[0] & 8) || jscan_valid(body.ptr, body.len, 0, NULL, NULL));
	}
	rc = rc || webhook_count(body, &n, &r) || webhook_decode(in, body, &rules, 1, &r);
	if (rc)
		assert(r.status >= 400 && r.status < 500 && jscan_valid(r.body.data, r.body.len, 0, NULL, NULL));
	else
		check(in, n);
	buf_free(&json);
	buf_free(&secret);
	buf_free(&r.body);
	free(copy);
	return 0;
}
