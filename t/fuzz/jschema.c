/*
 * jschema.c - fuzz target: a JSON Schema, a zero byte, a value. Whatever the two are, a verdict is reached within its steps, the same one each time, and a
 * refusal says why in one line of UTF-8; an object judged by its fields, where that is allowed, conforms exactly if it does as a whole.
 */
#include "daemon/import/jschema.h"
#include "jscan.h"
#include "map.h"
#include "utf8.h"
#include "xalloc.h"

#define STEPS 100000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const struct buf *why)
{
	const char *p = why->data, *end = p + why->len;

	assert(why->len && why->data[0] == '#');
	for (size_t n; p < end; p += n) {
		n = utf8_len(p, end);
		assert(n);
	}
}

/* 1: it conforms; 0: not; -1: not to be told by fields (a key twice, or not plain). */
static int by_fields(struct jschema *s, struct str value)
{
	size_t required = 0;
	struct map seen = {.head = NULL};
	struct buf name = BUF_INIT;
	int verdict = 1;
	struct jscan j;

	jscan_init(&j, value.ptr, value.len, 0);
	if (!jschema_is_plain(s) || jscan_next(&j) != JSCAN_OBJECT)
		return -1;
	while (jscan_next(&j) == JSCAN_KEY) {
		struct jfield f;
		uint64_t steps = STEPS;
		enum jscan_token t;

		buf_truncate(&name, 0);
		jscan_unescape(j.tok, &name);
		if (map_put(&seen, buf_str(&name), s)) {
			verdict = -1;
			break;
		}
		f = jschema_field(s, buf_str(&name));
		t = jscan_skip(&j);
		required += f.required;
		if (!(f.accepts >> jtype_of(t, &j) & 1) && !jschema_field_check(s, f.node, jtype_of(t, &j), j.tok, &steps))
			verdict = 0;
		else if (f.accepts >> jtype_of(t, &j) & 1)
			assert(jschema_field_check(s, f.node, jtype_of(t, &j), j.tok, &steps) || steps < STEPS / 2);
	}
	if (verdict == 1 && required != jschema_required(s))
		verdict = 0;
	map_free(&seen, NULL);
	buf_free(&name);
	return verdict;
}

static void judge(struct jschema *s, struct str value)
{
	struct buf why = BUF_INIT;
	uint64_t steps = STEPS, again = STEPS;
	bool fine = jschema_check(s, value, &steps, &why);
	int fields = by_fields(s, value);

	assert(fine == !why.len);
	/* the verdict is the same without words; the words of a refusal take steps of their own */
	assert(jschema_check(s, value, &again, NULL) == fine && (fine ? steps == again : steps <= again));
	if (!fine)
		check_text(&why);
	assert(fields < 0 || fields == fine || steps < STEPS / 2);
	buf_free(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
	struct err e = ERR_INIT;
	struct jschema *s;
	size_t n;
	char *text, *value;

	if (!zero || size > 65536)
		return 0;
	n = (size_t)(zero - data);
	text = xmemdup(data, MAX(n, 1));
	value = xmemdup(data + n, size - n);
	memmove(value, value + 1, size - n - 1);
	if (jscan_valid(text, n, 0, NULL, NULL)) {
		s = jschema_new(str_mem(text, n), &e);
		if (!s)
			assert(e.text[0]);
		else if (jscan_valid(value, size - n - 1, 200, NULL, NULL))
			judge(s, str_mem(value, size - n - 1));
		jschema_free(s);
	}
	free(text);
	free(value);
	return 0;
}
