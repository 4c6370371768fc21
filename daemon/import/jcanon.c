/*
 * jcanon.c - one spelling per JSON value, for enum, const and uniqueItems: numbers as digits and exponent (1.0, 1 and 10e-1 are one), strings with
 * their escapes resolved and then escaped one way, keys sorted. The value is valid JSON, so its depth is bounded by whoever checked it.
 */
#include "daemon/import/jschema_priv.h"
#include "decimal.h"
#include "jwrite.h"
#include "xalloc.h"

static char digit_at(const struct decimal *d, size_t i)
{
	return i < d->int_digits.len ? d->int_digits.ptr[i] : d->frac_digits.ptr[i - d->int_digits.len];
}

/* Exponents beyond what struct decimal holds are all alike: such numbers are kept as they are written. */
static void canon_number(struct str text, struct buf *out)
{
	size_t first = 0, last;
	struct decimal d;

	if (decimal_parse(text, &d)) {
		buf_addstr(out, text);
		return;
	}
	if (d.zero) {
		buf_addc(out, '0');
		return;
	}
	if (d.exponent == 1000000 || d.exponent == -1000000) {
		buf_addstr(out, text);
		return;
	}
	last = d.int_digits.len + d.frac_digits.len;
	while (digit_at(&d, first) == '0')
		first++;
	while (digit_at(&d, last - 1) == '0')
		last--;
	if (d.negative)
		buf_addc(out, '-');
	for (size_t i = first; i < last; i++)
		buf_addc(out, digit_at(&d, i));
	buf_addf(out, "e%" PRId64, d.exponent + (int64_t)d.int_digits.len - (int64_t)last);
}

static void canon_string(struct str token, struct buf *out)
{
	struct buf plain = BUF_INIT;
	struct jwrite w;

	if (!memchr(token.ptr, '\\', token.len)) {
		buf_addstr(out, token);
		return;
	}
	jscan_unescape(token, &plain);
	jwrite_init(&w, out);
	jwrite_str(&w, buf_str(&plain));
	buf_free(&plain);
}

static void canon(struct jscan *s, enum jscan_token t, struct buf *out);

struct member_text {
	struct str text;
	size_t at, len; /* until all are there */
};

static int by_text(const void *a, const void *b)
{
	return str_cmp(((const struct member_text *)a)->text, ((const struct member_text *)b)->text);
}

/* Members are written as they come and then put in order, so that no level holds more than its own text twice. */
static void canon_object(struct jscan *s, struct buf *out)
{
	struct member_text *m = NULL;
	size_t n = 0, cap = 0, from;
	char *copy;

	buf_addc(out, '{');
	from = out->len;
	while (jscan_next(s) == JSCAN_KEY) {
		if (n == cap) {
			cap = cap ? 2 * cap : 8;
			m = xreallocarray(m, cap, sizeof(*m));
		}
		m[n].at = out->len - from;
		canon_string(s->tok, out);
		buf_addc(out, ':');
		canon(s, jscan_next(s), out);
		buf_addc(out, ',');
		m[n].len = out->len - from - m[n].at;
		n++;
	}
	if (n > 1) {
		copy = xmemdup(out->data + from, out->len - from);
		for (size_t i = 0; i < n; i++)
			m[i].text = str_mem(copy + m[i].at, m[i].len);
		qsort(m, n, sizeof(*m), by_text);
		buf_truncate(out, from);
		for (size_t i = 0; i < n; i++)
			buf_addstr(out, m[i].text);
		free(copy);
	}
	buf_addc(out, '}');
	free(m);
}

static void canon(struct jscan *s, enum jscan_token t, struct buf *out)
{
	switch (t) {
	case JSCAN_OBJECT:
		canon_object(s, out);
		break;
	case JSCAN_ARRAY:
		buf_addc(out, '[');
		while ((t = jscan_next(s)) != JSCAN_ARRAY_END && t > JSCAN_END) {
			canon(s, t, out);
			buf_addc(out, ',');
		}
		buf_addc(out, ']');
		break;
	case JSCAN_NUMBER:
		canon_number(s->tok, out);
		break;
	case JSCAN_STRING:
		canon_string(s->tok, out);
		break;
	default:
		buf_addstr(out, s->tok);
	}
}

void jcanon(struct str value, struct buf *out)
{
	struct jscan s;

	jscan_init(&s, value.ptr, value.len, 0);
	canon(&s, jscan_next(&s), out);
}
