/*
 * rpc.c - fuzz target: any bytes through the line reader in pieces (the first byte says how big) and each line through rpc_parse. A call that is taken must
 * survive being written and parsed again, and an error must make a sound struct err.
 */
#include "rpc.h"
#include "xalloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(const struct rpc_msg *m)
{
	struct buf b = BUF_INIT;
	struct rpc_msg back;
	struct err e = ERR_INIT;

	if (m->method && m->id)
		rpc_request(&b, 1, m->method, m->params);
	else if (m->method)
		rpc_notification(&b, m->method, m->params);
	else if (m->result)
		rpc_result(&b, m->id, m->result);
	else
		rpc_err_from(m->error, &e);
	assert(b.len || (e.code && !m->method));
	if (!b.len)
		rpc_error_of(&b, m->id, &e);
	assert(!memchr(b.data, '\n', b.len - 1));
	if (rpc_parse(str_mem(b.data, b.len - 1), &back, &e))
		abort();
	assert(!m->method || (strcmp(m->method, back.method) == 0 && (!m->params || json_equal(m->params, back.params))));
	assert(!m->result || json_equal(m->result, back.result));
	rpc_msg_free(&back);
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rpc_lines l = {.max = 4096};
	struct rpc_msg m;
	struct str line;
	size_t step = size ? 1u + data[0] : 1;
	int rc = 0;

	for (size_t at = 1; at < size && rc >= 0; at += step) {
		buf_add(&l.in, data + at, MIN(step, size - at));
		while ((rc = rpc_lines_next(&l, &line, NULL)) > 0) {
			char *copy = xmemdup(line.ptr ? line.ptr : "", line.len);

			if (!rpc_parse(str_mem(copy, line.len), &m, NULL)) {
				again(&m);
				rpc_msg_free(&m);
			}
			free(copy);
		}
	}
	buf_free(&l.in);
	return 0;
}
