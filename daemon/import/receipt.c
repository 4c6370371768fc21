/*
 * receipt.c - the text form of a receipt, see receipt.h. What is pasted by a person is taken apart strictly: a receipt that is only
 * nearly right would lead to another request's records.
 */
#include "daemon/import/receipt.h"

void receipt_format(const struct receipt *r, struct buf *out)
{
	buf_add_hex(out, r->queue_id, sizeof(r->queue_id));
	buf_addf(out, "-%" PRIu32 "-%" PRIu64 "-%" PRIu64, r->partition, r->first, r->count);
}

/* The digits up to the next '-' or the end; what follows is left in *rest. */
static int number(struct str *rest, uint64_t *out)
{
	const char *dash = rest->len ? memchr(rest->ptr, '-', rest->len) : NULL;
	struct str digits = str_mem(rest->ptr, dash ? (size_t)(dash - rest->ptr) : rest->len);

	*rest = dash ? str_mem(dash + 1, rest->len - digits.len - 1) : STR_NULL;
	return str_to_u64(digits, out);
}

int receipt_parse(struct str text, struct receipt *out, struct err *e)
{
	struct str rest;
	uint64_t partition;

	text = str_trim(text);
	if (text.len < 34 || text.ptr[32] != '-' || str_from_hex(str_mem(text.ptr, 32), out->queue_id, sizeof(out->queue_id)))
		goto bad;
	rest = str_mem(text.ptr + 33, text.len - 33);
	if (number(&rest, &partition) || partition > UINT32_MAX || number(&rest, &out->first) || number(&rest, &out->count) || rest.ptr)
		goto bad;
	if (!out->count || out->first + out->count < out->first)
		goto bad;
	out->partition = (uint32_t)partition;
	return 0;
bad:
	return err_set(e, ERR_INVALID, "this is no receipt: it has the form QUEUE-PARTITION-FIRST-COUNT, as it stands in the answer to a request");
}
