/*
 * decimal.c - JSON numbers by their digits, see decimal.h. The design: a number is brought to 0.D1D2D3... x 10^point, where the D are slices
 * of its own text without zeros at either end; every question is then about how many digits there are and where the point lies, so a huge
 * exponent costs nothing. Division (multipleOf) is by hand, digit after digit. What can go wrong: exponents beyond EXP_MAX are all taken as
 * EXP_MAX; at 10^15 digits no text can make up for the difference.
 */
#include "decimal.h"

#define EXP_MAX INT64_C(1000000000000000)
#define EXP_SHOWN 1000000

struct digits {
	struct str a, b;    /* before and after the written point */
	size_t first, last; /* of a and b joined: the digits that count are [first, last) */
	int64_t point;	    /* value = 0.D1D2D3... x 10^point */
};

static size_t count_digits(struct str s, size_t from)
{
	size_t n = from;

	while (n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9')
		n++;
	return n - from;
}

static int parse_exponent(struct str s, size_t at, int64_t *out)
{
	bool neg = at < s.len && s.ptr[at] == '-';
	size_t n;
	int64_t v = 0;

	if (at < s.len && (s.ptr[at] == '-' || s.ptr[at] == '+'))
		at++;
	n = count_digits(s, at);
	if (!n || at + n != s.len)
		return -1;
	for (; at < s.len; at++)
		v = MIN(v * 10 + (s.ptr[at] - '0'), EXP_MAX);
	*out = neg ? -v : v;
	return 0;
}

static bool all_zero(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] != '0')
			return false;
	return true;
}

/* decimal_parse with the exponent up to EXP_MAX */
static int parse(struct str s, struct decimal *d)
{
	size_t at = 0, n;

	*d = (struct decimal){.negative = s.len && s.ptr[0] == '-'};
	at = d->negative;
	n = count_digits(s, at);
	if (!n || (n > 1 && s.ptr[at] == '0'))
		return -1;
	d->int_digits = str_mem(s.ptr + at, n);
	at += n;
	d->frac_digits = str_mem(s.ptr + at, 0);
	if (at < s.len && s.ptr[at] == '.') {
		n = count_digits(s, ++at);
		if (!n)
			return -1;
		d->frac_digits = str_mem(s.ptr + at, n);
		at += n;
	}
	if (at < s.len && (s.ptr[at] == 'e' || s.ptr[at] == 'E')) {
		if (parse_exponent(s, at + 1, &d->exponent))
			return -1;
	} else if (at != s.len) {
		return -1;
	}
	d->zero = all_zero(d->int_digits) && all_zero(d->frac_digits);
	return 0;
}

int decimal_parse(struct str number, struct decimal *out)
{
	if (parse(number, out))
		return -1;
	out->exponent = MAX(MIN(out->exponent, EXP_SHOWN), -EXP_SHOWN);
	return 0;
}

static inline unsigned digit(const struct digits *g, size_t i)
{
	char c = i < g->a.len ? g->a.ptr[i] : g->b.ptr[i - g->a.len];

	return (unsigned)(c - '0');
}

/* d is not zero */
static struct digits strip(const struct decimal *d)
{
	struct digits g = {.a = d->int_digits, .b = d->frac_digits, .last = d->int_digits.len + d->frac_digits.len};

	while (digit(&g, g.first) == 0)
		g.first++;
	while (digit(&g, g.last - 1) == 0)
		g.last--;
	g.point = (int64_t)g.a.len - (int64_t)g.first + d->exponent;
	return g;
}

static int64_t many(const struct digits *g)
{
	return (int64_t)(g->last - g->first);
}

bool decimal_is_integer(struct str number)
{
	struct decimal d;
	struct digits g;

	if (parse(number, &d))
		return false;
	if (d.zero)
		return true;
	g = strip(&d);
	return g.point >= many(&g);
}

int decimal_to_i64(struct str number, int64_t *out)
{
	struct decimal d;
	struct digits g;
	uint64_t v = 0;

	if (parse(number, &d))
		return -1;
	if (d.zero) {
		*out = 0;
		return 0;
	}
	g = strip(&d);
	if (g.point < many(&g) || g.point > 19)
		return -1;
	for (int64_t i = 0; i < g.point; i++) /* 19 digits fit in 64 bits */
		v = v * 10 + (i < many(&g) ? digit(&g, g.first + (size_t)i) : 0);
	if (v > (uint64_t)INT64_MAX + d.negative)
		return -1;
	*out = d.negative ? (int64_t)(0 - v) : (int64_t)v;
	return 0;
}

int decimal_size(struct str number, unsigned limit, unsigned *precision, unsigned *scale)
{
	struct decimal d;
	struct digits g;
	int64_t before, after;

	if (parse(number, &d))
		return -1;
	before = 1;
	after = 0;
	if (!d.zero) {
		g = strip(&d);
		before = MAX(g.point, 0);
		after = MAX(many(&g) - g.point, 0);
	}
	if (before + after > limit)
		return -1;
	*precision = (unsigned)(before + after);
	*scale = (unsigned)after;
	return 0;
}

/* |a| against |b|, neither zero */
static int cmp_size(const struct digits *a, const struct digits *b)
{
	size_t n = (size_t)MIN(many(a), many(b));

	if (a->point != b->point)
		return a->point < b->point ? -1 : 1;
	for (size_t i = 0; i < n; i++) {
		unsigned x = digit(a, a->first + i), y = digit(b, b->first + i);

		if (x != y)
			return x < y ? -1 : 1;
	}
	return (many(a) > many(b)) - (many(a) < many(b));
}

int decimal_cmp(struct str a, struct str b)
{
	struct decimal x, y;
	struct digits gx, gy;
	int sign_x, sign_y;

	if (parse(a, &x) || parse(b, &y))
		return str_cmp(a, b); /* no numbers: any order, but always the same */
	sign_x = x.zero ? 0 : x.negative ? -1 : 1;
	sign_y = y.zero ? 0 : y.negative ? -1 : 1;
	if (sign_x != sign_y)
		return sign_x < sign_y ? -1 : 1;
	if (!sign_x)
		return 0;
	gx = strip(&x);
	gy = strip(&y);
	return sign_x * cmp_size(&gx, &gy);
}

/* Does the whole number of (at most DECIMAL_OF_MAX digits) divide the one made of v's digits and so many zeros? */
static bool divides(const struct digits *v, int64_t zeros, const struct digits *of)
{
	unsigned __int128 m = 0, rem = 0;

	for (size_t i = of->first; i < of->last; i++)
		m = m * 10 + digit(of, i);
	for (size_t i = v->first; i < v->last; i++)
		rem = (rem * 10 + digit(v, i)) % m;
	for (; zeros && rem; zeros--)
		rem = rem * 10 % m;
	return rem == 0;
}

bool decimal_multiple_of(struct str value, struct str of)
{
	struct decimal x, y;
	struct digits v, o;
	int64_t zeros;

	if (parse(value, &x) || parse(of, &y) || y.zero)
		return false;
	o = strip(&y);
	if (many(&o) > DECIMAL_OF_MAX)
		return false;
	if (x.zero)
		return true;
	v = strip(&x);
	/* V x 10^(zeros) / O with V and O whole and neither ending in 0: with zeros < 0, O x 10^-zeros would have to divide V */
	zeros = (v.point - many(&v)) - (o.point - many(&o));
	if (zeros < 0 || v.point < o.point)
		return false;
	/* zeros only help by their twos and fives, of which O has fewer than four for each of its digits */
	zeros = MIN(zeros, 4 * many(&o));
	return divides(&v, zeros, &o);
}

/* Zeros of the number's own text stay (1.50 is 1.50), but a zero with an exponent is just 0. */
int decimal_plain(struct str number, size_t limit, struct buf *out)
{
	struct decimal d;
	struct digits g;
	int64_t all, point, first, length;

	if (parse(number, &d))
		return -1;
	g = (struct digits){.a = d.int_digits, .b = d.frac_digits};
	all = (int64_t)(g.a.len + g.b.len);
	point = (int64_t)g.a.len + d.exponent; /* so many digits stand before the point */
	if (d.zero && d.exponent)
		all = point = 1;
	first = d.zero ? point : (int64_t)strip(&d).first;
	length = (d.negative && !d.zero) + MAX(point - first, 1) + (all > point ? 1 + all - point : 0);
	if ((uint64_t)length > limit)
		return -1;
	buf_reserve(out, (size_t)length);
	if (d.negative && !d.zero)
		buf_addc(out, '-');
	if (first >= point)
		buf_addc(out, '0');
	for (int64_t i = first; i < point; i++)
		buf_addc(out, i < all ? (char)('0' + digit(&g, (size_t)i)) : '0');
	if (all > point)
		buf_addc(out, '.');
	for (int64_t i = point; i < all; i++)
		buf_addc(out, i < 0 ? '0' : (char)('0' + digit(&g, (size_t)i)));
	return 0;
}
