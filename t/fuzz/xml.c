/*
 * xml.c - fuzz target: the XML reader on any bytes. It ends, its depth and what it gives stay within bounds, and xml_find agrees with it that something is well-formed up to there.
 */
#include "xalloc.h"
#include "xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = xmemdup(data, size);
	struct buf out = BUF_INIT;
	struct xml x;
	enum xml_kind k;
	size_t pieces = 0, text = 0;

	xml_init(&x, str_mem(copy, size));
	while ((k = xml_next(&x)) < XML_END) {
		assert(x.depth <= XML_DEPTH && ++pieces <= 2 * size + 2);
		assert(k == XML_TEXT || (x.name.ptr >= copy && x.name.ptr + x.name.len <= copy + size));
		text += k == XML_TEXT ? x.text.len : 0;
	}
	assert(text <= size && xml_next(&x) == k && (k != XML_END || x.depth == 0));
	xml_free(&x);
	if (xml_find(str_mem(copy, size), "Error/Code", &out))
		assert(out.len <= size);
	buf_free(&out);
	free(copy);
	return 0;
}
