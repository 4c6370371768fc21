/*
 * decimal.h - JSON numbers as text: looked at by their digits, never through a double. Pure; any thread.
 */
#ifndef STITCH_DECIMAL_H
#define STITCH_DECIMAL_H

#include "base.h"
#include "buf.h"
#include "str.h"

struct decimal {
	bool negative;
	struct str int_digits, frac_digits; /* slices of the number's text, as written */
	int64_t exponent;		    /* of the e/E part; clamped to +-1,000,000 */
	bool zero;			    /* all digits are 0 */
};

int decimal_parse(struct str number, struct decimal *out) MUST_CHECK; /* a valid JSON number, else -1 */
/* Is it a whole number (1, 1.0, 10e2)? */
bool decimal_is_integer(struct str number);
/* Its value if whole and in int64, else -1. 1.0 and 1e3 count. */
int decimal_to_i64(struct str number, int64_t *out) MUST_CHECK;
/* As SQL counts, once the exponent is applied and zeros at both ends are stripped: scale = digits after the point, precision = those and the
 * ones before it. 1.50e2 -> 3, 0; 12.340 -> 4, 2; 0.001 -> 3, 3; 0 -> 1, 0. -1 when either is over limit (or it is no number). */
int decimal_size(struct str number, unsigned limit, unsigned *precision, unsigned *scale) MUST_CHECK;
/* By value: -1, 0, 1. Exact; exponents far apart are cheap. Texts that are no numbers are compared by their bytes. */
int decimal_cmp(struct str a, struct str b);
/* value / of is whole, in decimal arithmetic (JSON Schema multipleOf); of > 0 and has at most DECIMAL_OF_MAX digits that count (zeros at the ends
 * do not), else false: who reads a schema refuses such a one. */
#define DECIMAL_OF_MAX 37
bool decimal_multiple_of(struct str value, struct str of);
/* Plain notation without exponent ("1e3" -> "1000", "1.50" -> "1.50", "-0" -> "0"), appended; -1 when it would be longer than limit bytes. */
int decimal_plain(struct str number, size_t limit, struct buf *out) MUST_CHECK;

#endif
