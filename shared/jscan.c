/*
 * jscan.c - the JSON scanner, see jscan.h. The design: one state per place in the grammar and one bit per open container, so that a step is
 * one switch and nothing recurses; jscan_skip is the same step in a loop. Strings are most of the bytes: runs of plain text are passed 16 bytes
 * at a time (SSE2; 8 at a time elsewhere) and only quotes, backslashes, control characters and non-ASCII are looked at singly.
 * What can go wrong: a read past the end (each look is guarded by end, the wide ones by what is left), an error that is not final (state
 * S_ERROR never leaves), accepting more than RFC 8259 (t/unit/0010-jscan.c and t/fuzz/jscan.c compare with other parsers).
 */
#include "jscan.h"

#include "utf8.h"

#if defined(__SSE2__) && !defined(JSCAN_NO_SSE2) /* a test builds it without */
#define WIDE_SSE2
#include <emmintrin.h>
#endif

enum state {
	S_VALUE,	/* a value: the document's, or an array's after a comma */
	S_FIRST_ITEM,	/* after [ : a value or ] */
	S_FIRST_KEY,	/* after { : a key or } */
	S_KEY,		/* after a comma in an object */
	S_MEMBER,	/* after a key: colon and value */
	S_AFTER,	/* after a value: comma or end */
	S_ERROR,
};

enum { WS = 1, DIGIT = 2, SPECIAL = 4 };

/* SPECIAL: what ends a run of plain text in a string. Bytes from 0x80 on are set in plain_end itself. */
static const unsigned char classes[256] = {
	[0 ... 8] = SPECIAL, ['\t'] = WS | SPECIAL, ['\n'] = WS | SPECIAL, [11 ... 12] = SPECIAL, ['\r'] = WS | SPECIAL, [14 ... 31] = SPECIAL,
	[' '] = WS, ['"'] = SPECIAL, ['\\'] = SPECIAL, ['0' ... '9'] = DIGIT, [128 ... 255] = SPECIAL,
};

static inline unsigned class_of(char c)
{
	return classes[(unsigned char)c];
}

static inline const char *skip_ws(const char *p, const char *end)
{
	while (p < end && class_of(*p) & WS)
		p++;
	return p;
}

static inline const char *skip_digits(const char *p, const char *end)
{
	while (p < end && class_of(*p) & DIGIT)
		p++;
	return p;
}

/* The first byte from p on that is a quote, a backslash, a control character or not ASCII; end when there is none. */
static inline const char *plain_end(const char *p, const char *end)
{
#ifdef WIDE_SSE2
	while (end - p >= 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		/* signed: below 0x20 is a control character or 0x80 and above */
		__m128i hit = _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(0x20)),
			_mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))));
		unsigned bits = (unsigned)_mm_movemask_epi8(hit);

		if (bits)
			return p + __builtin_ctz(bits);
		p += 16;
	}
#else
	const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;

	while (end - p >= 8) {
		uint64_t v, q, b;

		memcpy(&v, p, 8);
		q = v ^ ones * '"';
		b = v ^ ones * '\\';
		/* may see a hit too many behind a true one, never one too few */
		if (((v - ones * 0x20) | (q - ones) | (b - ones) | v) & high)
			break;
		p += 8;
	}
#endif
	while (p < end && !(class_of(*p) & SPECIAL))
		p++;
	return p;
}

static enum jscan_token fail(struct jscan *s, const char *at, const char *error)
{
	s->error = error;
	s->error_at = (size_t)(at - s->base);
	s->state = S_ERROR;
	s->tok = STR_NULL;
	return JSCAN_ERROR;
}

static inline int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four hex digits of an escape from p on, or -1. */
static int32_t hex4(const char *p, const char *end)
{
	int32_t v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int d = hex_digit(p[i]);

		if (d < 0)
			return -1;
		v = v * 16 + d;
	}
	return v;
}

/* One escape: p is at its backslash. Returns the byte after it and its code point, or NULL and why. */
static const char *escape(const char *p, const char *end, uint32_t *c, const char **error)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *f;
	int32_t hi, lo;

	*error = "invalid escape";
	if (end - p < 2)
		return NULL;
	if (p[1] != 'u') {
		f = memchr(from, p[1], sizeof(from) - 1);
		if (!f)
			return NULL;
		*c = (unsigned char)to[f - from];
		return p + 2;
	}
	hi = hex4(p + 2, end);
	if (hi < 0)
		return NULL;
	p += 6;
	*c = (uint32_t)hi;
	if (hi < 0xd800 || hi > 0xdfff)
		return p;
	*error = "lone surrogate";
	if (hi > 0xdbff || end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return NULL;
	lo = hex4(p + 2, end);
	if (lo < 0xdc00 || lo > 0xdfff)
		return NULL;
	*c = 0x10000 + ((uint32_t)(hi - 0xd800) << 10) + (uint32_t)(lo - 0xdc00);
	return p + 6;
}

/* p is at the opening quote. */
static enum jscan_token string(struct jscan *s, const char *p, enum jscan_token kind)
{
	const char *start = p++, *end = s->end, *error;
	uint32_t c;
	size_t n;

	s->tok_escaped = false;
	for (;;) {
		p = plain_end(p, end);
		if (p == end)
			return fail(s, p, "a string is not closed");
		if (*p == '"')
			break;
		if (*p == '\\') {
			const char *after = escape(p, end, &c, &error);

			if (!after)
				return fail(s, p, error);
			s->tok_escaped = true;
			p = after;
			continue;
		}
		if ((unsigned char)*p < 0x20)
			return fail(s, p, "a control character in a string");
		do {
			n = utf8_len(p, end);
			if (!n)
				return fail(s, p, "invalid UTF-8");
			p += n;
		} while (p < end && (unsigned char)*p >= 0x80);
	}
	s->p = p + 1;
	s->tok = str_mem(start, (size_t)(s->p - start));
	s->state = kind == JSCAN_KEY ? S_MEMBER : S_AFTER;
	return kind;
}

static enum jscan_token number(struct jscan *s, const char *p)
{
	const char *start = p, *end = s->end, *q;
	bool integer = true;

	if (*p == '-')
		p++;
	q = skip_digits(p, end);
	if (q == p || (*p == '0' && q - p > 1))
		return fail(s, p, "invalid number");
	if (q < end && *q == '.') {
		integer = false;
		p = q + 1;
		q = skip_digits(p, end);
		if (q == p)
			return fail(s, p, "invalid number");
	}
	if (q < end && (*q | 0x20) == 'e') {
		integer = false;
		p = q + 1;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		q = skip_digits(p, end);
		if (q == p)
			return fail(s, p, "invalid number");
	}
	s->p = q;
	s->tok = str_mem(start, (size_t)(q - start));
	s->tok_integer = integer;
	s->state = S_AFTER;
	return JSCAN_NUMBER;
}

static enum jscan_token literal(struct jscan *s, const char *p, struct str word, enum jscan_token kind)
{
	if ((size_t)(s->end - p) < word.len || memcmp(p, word.ptr, word.len) != 0)
		return fail(s, p, "invalid literal");
	s->p = p + word.len;
	s->tok = str_mem(p, word.len);
	s->state = S_AFTER;
	return kind;
}

static enum jscan_token open_container(struct jscan *s, const char *p, bool object)
{
	uint64_t bit = UINT64_C(1) << (s->depth % 64), *word = &s->stack[s->depth / 64];

	if (s->depth == s->max_depth)
		return fail(s, p, "nested too deeply");
	*word = object ? *word | bit : *word & ~bit;
	s->depth++;
	s->p = p + 1;
	s->tok = str_mem(p, 1);
	s->state = object ? S_FIRST_KEY : S_FIRST_ITEM;
	return object ? JSCAN_OBJECT : JSCAN_ARRAY;
}

static enum jscan_token close_container(struct jscan *s, const char *p)
{
	s->depth--;
	s->p = p + 1;
	s->tok = str_mem(p, 1);
	s->state = S_AFTER;
	return *p == '}' ? JSCAN_OBJECT_END : JSCAN_ARRAY_END;
}

static inline bool in_object(const struct jscan *s)
{
	return s->stack[(s->depth - 1) / 64] >> ((s->depth - 1) % 64) & 1;
}

static inline enum jscan_token value(struct jscan *s, const char *p)
{
	switch (*p) {
	case '"':
		return string(s, p, JSCAN_STRING);
	case '{':
		return open_container(s, p, true);
	case '[':
		return open_container(s, p, false);
	case 't':
		return literal(s, p, STR("true"), JSCAN_TRUE);
	case 'f':
		return literal(s, p, STR("false"), JSCAN_FALSE);
	case 'n':
		return literal(s, p, STR("null"), JSCAN_NULL);
	case '-':
	case '0' ... '9':
		return number(s, p);
	default:
		return fail(s, p, "a value is expected");
	}
}

static const char *const ends_early = "the text ends within the document";

/* After a value: passes the comma and gives the place of what follows, or settles the step (*t). */
static inline const char *after_value(struct jscan *s, const char *p, enum jscan_token *t)
{
	bool object;

	if (!s->depth) {
		*t = p == s->end ? JSCAN_END : fail(s, p, "more text after the value");
		s->p = p;
		s->tok = STR_NULL;
		return NULL;
	}
	object = in_object(s);
	if (p < s->end && *p == ',') {
		s->state = object ? S_KEY : S_VALUE;
		return skip_ws(p + 1, s->end);
	}
	if (p == s->end)
		*t = fail(s, p, ends_early);
	else if (*p == (object ? '}' : ']'))
		*t = close_container(s, p);
	else
		*t = fail(s, p, object ? "a comma or } is expected" : "a comma or ] is expected");
	return NULL;
}

static inline enum jscan_token step(struct jscan *s)
{
	const char *p = skip_ws(s->p, s->end), *end = s->end;
	enum jscan_token t = JSCAN_ERROR; /* always set where it is used; not every compiler sees it */

	if (s->state == S_AFTER) {
		p = after_value(s, p, &t);
		if (!p)
			return t;
	}
	if (s->state == S_ERROR)
		return JSCAN_ERROR;
	if (p == end)
		return fail(s, p, s->p == s->base ? "there is no value" : ends_early);
	switch (s->state) {
	case S_FIRST_KEY:
		if (*p == '}')
			return close_container(s, p);
		/* fall through */
	case S_KEY:
		return *p == '"' ? string(s, p, JSCAN_KEY) : fail(s, p, "a key in quotes is expected");
	case S_MEMBER:
		if (*p != ':')
			return fail(s, p, "a colon is expected");
		p = skip_ws(p + 1, end);
		return p == end ? fail(s, p, ends_early) : value(s, p);
	case S_FIRST_ITEM:
		if (*p == ']')
			return close_container(s, p);
		/* fall through */
	default:
		return value(s, p);
	}
}

void jscan_init(struct jscan *s, const void *p, size_t n, unsigned max_depth)
{
	memset(s, 0, sizeof(*s));
	s->base = s->p = n ? p : "";
	s->end = s->base + n;
	s->max_depth = max_depth && max_depth < JSCAN_MAX_DEPTH ? max_depth : JSCAN_MAX_DEPTH;
	s->state = S_VALUE;
}

enum jscan_token jscan_next(struct jscan *s)
{
	return step(s);
}

enum jscan_token jscan_skip(struct jscan *s)
{
	bool inside = s->state == S_FIRST_KEY || s->state == S_FIRST_ITEM; /* its bracket was the last token */
	enum jscan_token kind, t;
	const char *start;
	unsigned depth;

	if (inside)
		kind = s->state == S_FIRST_KEY ? JSCAN_OBJECT : JSCAN_ARRAY;
	else
		kind = step(s);
	if (kind != JSCAN_OBJECT && kind != JSCAN_ARRAY)
		return kind;
	start = s->tok.ptr;
	depth = s->depth;
	do {
		t = step(s);
		if (t == JSCAN_ERROR)
			return t;
	} while (s->depth >= depth);
	s->tok = str_mem(start, (size_t)(s->p - start));
	return kind;
}

bool jscan_valid(const void *p, size_t n, unsigned max_depth, const char **error, size_t *error_at)
{
	struct jscan s;
	bool fine;

	jscan_init(&s, p, n, max_depth);
	fine = jscan_skip(&s) != JSCAN_ERROR && step(&s) == JSCAN_END;
	if (error)
		*error = fine ? NULL : s.error;
	if (error_at)
		*error_at = fine ? 0 : s.error_at;
	return fine;
}

static struct str without_quotes(struct str tok)
{
	return tok.len >= 2 && tok.ptr[0] == '"' ? str_mem(tok.ptr + 1, tok.len - 2) : tok;
}

/* As escape(), for text that should be valid: what is not gives U+FFFD and passes the backslash alone. */
static const char *resolve(const char *p, const char *end, char out[4], size_t *n)
{
	const char *error, *after;
	uint32_t c;

	after = escape(p, end, &c, &error);
	*n = utf8_put(after ? c : 0xfffd, out);
	return after ? after : p + 1;
}

void jscan_unescape(struct str tok, struct buf *out)
{
	struct str s = without_quotes(tok);
	const char *p = s.ptr, *end = p + s.len, *q;
	char c[4];
	size_t n;

	if (!s.len)
		return;
	buf_reserve(out, s.len);
	while (p < end) {
		q = memchr(p, '\\', (size_t)(end - p));
		if (!q)
			q = end;
		buf_add(out, p, (size_t)(q - p));
		p = q;
		if (p < end) {
			p = resolve(p, end, c, &n);
			buf_add(out, c, n);
		}
	}
}

bool jscan_string_is(struct str tok, struct str text)
{
	struct str s = without_quotes(tok);
	const char *p = s.ptr, *end, *t = text.ptr, *t_end;
	char c[4];
	size_t n;

	if (s.len < text.len) /* an escape is never shorter than what it means */
		return false;
	if (!s.len || !memchr(s.ptr, '\\', s.len))
		return str_eq(s, text);
	for (end = p + s.len, t_end = t + text.len; p < end; t += n) {
		if (*p == '\\') {
			p = resolve(p, end, c, &n);
		} else {
			c[0] = *p++;
			n = 1;
		}
		if ((size_t)(t_end - t) < n || memcmp(t, c, n) != 0)
			return false;
	}
	return t == t_end;
}

/* The byte after the string that opens at p; end when it is not closed. */
static const char *pass_string(const char *p, const char *end)
{
	for (p++; p < end; p++) {
		p = plain_end(p, end);
		if (p == end)
			return end;
		if (*p == '"')
			return p + 1;
		if (*p == '\\' && end - p > 1)
			p++;
	}
	return end;
}

size_t jscan_minify(struct str v, struct buf *out)
{
	const char *p = v.ptr, *run = p, *end;
	size_t before = out->len;

	if (!v.len)
		return 0;
	end = p + v.len;
	buf_reserve(out, v.len);
	while (p < end) {
		if (*p == '"') {
			p = pass_string(p, end);
		} else if (class_of(*p) & WS) {
			buf_add(out, run, (size_t)(p - run));
			run = p = skip_ws(p, end);
		} else {
			p++;
		}
	}
	buf_add(out, run, (size_t)(p - run));
	return out->len - before;
}
