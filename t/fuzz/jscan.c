/*
 * jscan.c - fuzz target: any bytes through jscan, against jansson, yajl and itself (t/lib/joracle.c says where the others differ by right).
 */
#include "joracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool valid;
	const char *wrong = joracle_disagree(str_mem(data, size), &valid);

	if (wrong) {
		fprintf(stderr, "%s\n", wrong);
		abort();
	}
	return 0;
}
