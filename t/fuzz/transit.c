/*
 * transit.c - fuzz target: transit_decode on any bytes. What it accepts gives valid JSON no longer than allowed, whose marks are in order and stand at a
 * string or a number; what it refuses has a reason within the input.
 */
#include "jscan.h"
#include "transit.h"
#include "xalloc.h"

#define OUT_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct transit *t; /* used again, as the door does */
	char *copy = xmemdup(data, size);
	int rc;

	if (!t)
		t = transit_new();
	rc = transit_decode(t, str_mem(copy, size), 200, OUT_MAX);
	assert(t->out.len <= OUT_MAX + 6 * size + 64);
	if (rc) {
		assert(t->error && t->error_at <= size);
	} else {
		struct jscan s;
		size_t i = 0;
		enum jscan_token k;

		assert(t->out.len <= OUT_MAX && !t->too_long);
		jscan_init(&s, t->out.data, t->out.len, 200);
		while ((k = jscan_next(&s)) > JSCAN_END) {
			if (i == t->n_marks || s.tok.ptr != t->out.data + t->marks[i].at)
				continue;
			assert(t->marks[i].type == TRANSIT_TIMESTAMP ? k == JSCAN_STRING : t->marks[i].type == TRANSIT_DECIMAL && k == JSCAN_NUMBER);
			i++;
		}
		assert(k == JSCAN_END && i == t->n_marks);
	}
	free(copy);
	return 0;
}
