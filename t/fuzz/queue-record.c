/*
 * queue-record.c - fuzz target: qrec_decode on any bytes, as they are and with a crc that fits. What it accepts must have sound slices and encode to the same
 * bytes again.
 */
#include "daemon/queue/crc32c.h"
#include "daemon/queue/le.h"
#include "daemon/queue/record.h"
#include "xalloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *p, size_t n)
{
	struct buf again = BUF_INIT;
	struct qrec r;
	size_t used;

	if (qrec_decode(p, n, &r, &used, NULL))
		return;
	assert(used <= n && r.table.len && r.request_id.len && r.parts > r.part);
	assert(r.body.ptr + r.body.len == p + used);
	qrec_encode(&r, &again);
	assert(again.len == used);
	buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *p = xmemdup(data, size);

	check(p, size);
	if (size > 24) {
		/* past the crc, or nothing behind it would ever be seen */
		memcpy(p, "SQR1\1", 5);
		le32_put(p + 20, crc32c(crc32c(0, p, 20), p + 24, size - 24));
		check(p, size);
	}
	free(p);
	return 0;
}
