/*
 * values.c - fuzz target: any text as a decimal number and as a time. What is a number for decimal is one for jscan, and its other forms are equal to
 * it; what is a time reads the same again when it was printed.
 */
#include "decimal.h"
#include "jscan.h"
#include "timefmt.h"

#define PLAIN_MAX 5000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_number(struct str s)
{
	unsigned precision, scale;
	struct buf plain = BUF_INIT;
	struct decimal d;
	struct jscan j;
	int64_t v;
	bool number;

	jscan_init(&j, s.ptr, s.len, 0);
	number = jscan_next(&j) == JSCAN_NUMBER && str_eq(j.tok, s) && jscan_next(&j) == JSCAN_END;
	assert((decimal_parse(s, &d) == 0) == number);
	if (decimal_to_i64(s, &v) == 0) {
		char text[32];

		snprintf(text, sizeof(text), "%" PRId64, v);
		assert(number && decimal_is_integer(s) && decimal_cmp(s, str_c(text)) == 0);
	}
	if (decimal_plain(s, PLAIN_MAX, &plain) == 0) {
		assert(number && plain.len <= PLAIN_MAX && decimal_cmp(s, buf_str(&plain)) == 0 && !memchr(plain.data, 'e', plain.len));
		assert(decimal_size(s, PLAIN_MAX, &precision, &scale) == 0 && scale <= precision && precision <= plain.len);
		assert((scale == 0) == decimal_is_integer(s));
	}
	if (number) {
		assert(decimal_cmp(s, s) == 0 && decimal_cmp(s, STR("0")) == (d.zero ? 0 : d.negative ? -1 : 1));
		assert(decimal_multiple_of(s, STR("1")) == decimal_is_integer(s));
		(void)decimal_multiple_of(STR("12.5"), s);
	}
	buf_free(&plain);
}

static void check_time(struct str s)
{
	char text[TIMEFMT_MAX];
	int64_t us, again;

	if (timefmt_parse(s, &us))
		return;
	timefmt_sql(us, text);
	assert(strlen(text) == 26 && timefmt_parse(str_c(text), &again) == 0 && again == us);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str s = str_mem(data, size);

	check_number(s);
	check_time(s);
	return 0;
}
