/*
 * table-schema.c - fuzz target: heads (a line each) merged into the columns of a table. Whatever a sender's schema says, the columns are JSON that is read back as the same
 * columns, each that is no path with a type at least, and merging the same heads again changes nothing but the keys.
 */
#include "daemon/state/schema.h"
#include "jscan.h"
#include "xalloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void merge_all(struct schema *s, const char *p, size_t n)
{
	const char *end = p + n, *nl;
	bool changed = false;

	for (; p < end; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (!nl)
			nl = end;
		/* what is no head changes nothing: the next assertions hold all the same */
		if (schema_merge(s, str_mem(p, (size_t)(nl - p)), &changed, NULL))
			continue;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf once = BUF_INIT, twice = BUF_INIT, back = BUF_INIT;
	struct schema s, again;
	char *p = xmemdup(data, size);

	if (schema_parse(NULL, NULL, &s, NULL))
		abort();
	merge_all(&s, p, size);
	schema_columns(&s, &once);
	assert(jscan_valid(once.data, once.len, 0, NULL, NULL));
	for (size_t i = 0; i < s.n; i++)
		assert(s.columns[i].types.n || memchr(s.columns[i].name.data, '\1', s.columns[i].name.len) ||
			memchr(s.columns[i].name.data, '\2', s.columns[i].name.len));
	if (schema_parse(buf_cstr(&once), buf_cstr(&s.key_names), &again, NULL))
		abort();
	schema_columns(&again, &back);
	assert(again.n == s.n && str_eq(buf_str(&once), buf_str(&back)));
	merge_all(&again, p, size);
	schema_columns(&again, &twice);
	assert(str_eq(buf_str(&once), buf_str(&twice)));
	schema_free(&again);
	schema_free(&s);
	buf_free(&once);
	buf_free(&twice);
	buf_free(&back);
	free(p);
	return 0;
}
