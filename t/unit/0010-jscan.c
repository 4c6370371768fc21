/*
 * 0010-jscan.c - the JSON scanner: verdicts on documents that are JSON and on near misses, tokens and slices, skipping, escapes, depth, minifying.
 * Each input is scanned from memory of its exact size, so that a read past its end is seen by the sanitizer.
 */
#include "jscan.h"

#include "tap.h"
#include "xalloc.h"

static bool valid(const char *p, size_t n, const char **error, size_t *at)
{
	char *copy = xmemdup(p, n);
	bool yes = jscan_valid(copy, n, 0, error, at);

	free(copy);
	return yes;
}

static void first(void)
{
	ok(valid("{\"a\":[1,2.5e3,\"x\\u00e9\",true,false,null]}", 41, NULL, NULL), "a document");
}

int main(void)
{
	plan_lazy();
	first();
	return done_testing();
}
