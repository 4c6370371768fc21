/*
 * pattern.c - see pattern.h. The design: a recursive descent over the expression emits a program of few instructions with relative jumps (so that a
 * piece of it can be moved), and a set of program places is followed through the text, all at once: no place is in the set twice, so
 * nothing can explode. A counted repetition reads its atom again and again. What can go wrong: an expression made to grow (nested counts):
 * both the size of the program and the characters read are bounded.
 */
#include "pattern.h"

#include "utf8.h"
#include "xalloc.h"

#define READ_MAX 100000u
#define DEPTH_MAX 100u
#define REPEAT_MAX 2000u
#define DIGITS_MAX 20 /* of a count */
#define CODE_MAX 0x10ffffu
#define NO_CODE UINT32_MAX

enum op { OP_CHAR, OP_CLASS, OP_SPLIT, OP_JUMP, OP_BEGIN, OP_END, OP_WORD, OP_NO_WORD, OP_MATCH };

struct code {
	enum op op;
	union {
		uint32_t c;
		struct {
			uint32_t from, n;
			bool not;
		} set;
		struct {
			int32_t a, b; /* relative */
		} to;
	};
};

struct range {
	uint32_t lo, hi;
};

struct pattern {
	struct code *code;
	struct range *ranges;
	uint32_t n, n_ranges, cap_ranges;
	uint32_t *list[2], *stack, *mark; /* n each: one match at a time */
	uint32_t n_list[2], turn;
};

static const struct range digits[] = {{'0', '9'}};
static const struct range words[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
static const struct range spaces[] = {{9, 13}, {' ', ' '}, {0xa0, 0xa0}, {0x1680, 0x1680}, {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f},
	{0x205f, 0x205f}, {0x3000, 0x3000}, {0xfeff, 0xfeff}};
static const struct range line_ends[] = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

struct parse {
	struct pattern *p;
	const char *at, *end;
	uint32_t budget;
	unsigned depth;
	bool bad;
};

static void refuse(struct parse *x)
{
	x->bad = true;
	x->at = x->end;
}

static bool more(struct parse *x)
{
	if (x->at == x->end)
		return false;
	if (x->budget)
		x->budget--;
	else
		refuse(x);
	return x->at < x->end;
}

static bool next_is(struct parse *x, char c)
{
	return x->at < x->end && *x->at == c;
}

static bool take(struct parse *x, char c)
{
	if (!next_is(x, c))
		return false;
	x->at++;
	return true;
}

static uint32_t decode(const char **at, const char *end)
{
	const unsigned char *u = (const unsigned char *)*at;
	size_t n = utf8_len(*at, end);

	*at += MAX(n, 1);
	switch (n) {
	case 2:
		return (uint32_t)(u[0] & 0x1f) << 6 | (u[1] & 0x3f);
	case 3:
		return (uint32_t)(u[0] & 0x0f) << 12 | (uint32_t)(u[1] & 0x3f) << 6 | (u[2] & 0x3f);
	case 4:
		return (uint32_t)(u[0] & 7) << 18 | (uint32_t)(u[1] & 0x3f) << 12 | (uint32_t)(u[2] & 0x3f) << 6 | (u[3] & 0x3f);
	default:
		return u[0];
	}
}

/* --- the program --- */

static struct code *emit(struct parse *x, enum op op)
{
	struct code *c;

	if (x->p->n == PATTERN_SIZE_MAX) {
		refuse(x);
		x->p->n = 0; /* all is thrown away */
	}
	c = &x->p->code[x->p->n++];
	*c = (struct code){.op = op};
	return c;
}

/* A split before the piece that begins at from, to go into it or past it by skip more. */
static void split_before(struct parse *x, uint32_t from, int32_t skip)
{
	struct pattern *p = x->p;
	uint32_t n = p->n - from;

	emit(x, OP_SPLIT);
	if (x->bad)
		return;
	memmove(p->code + from + 1, p->code + from, n * sizeof(*p->code));
	p->code[from] = (struct code){.op = OP_SPLIT, .to = {1, (int32_t)n + 1 + skip}};
}

static void add_range(struct parse *x, uint32_t lo, uint32_t hi)
{
	struct pattern *p = x->p;

	if (lo > hi || p->n_ranges == PATTERN_SIZE_MAX) {
		refuse(x);
		return;
	}
	if (p->n_ranges == p->cap_ranges) {
		p->cap_ranges = p->cap_ranges ? 2 * p->cap_ranges : 8;
		p->ranges = xreallocarray(p->ranges, p->cap_ranges, sizeof(*p->ranges));
	}
	p->ranges[p->n_ranges++] = (struct range){lo, hi};
}

static void add_table(struct parse *x, const struct range *t, size_t n, bool not)
{
	uint32_t from = 0;

	for (size_t i = 0; i < n; i++) {
		if (!not)
			add_range(x, t[i].lo, t[i].hi);
		else if (t[i].lo > from)
			add_range(x, from, t[i].lo - 1);
		from = t[i].hi + 1;
	}
	if (not)
		add_range(x, from, CODE_MAX);
}

/* \d and its kin, the letter read; false: it is none. */
static bool add_named(struct parse *x, char c)
{
	switch (c) {
	case 'd':
	case 'D':
		add_table(x, digits, ARRAY_LEN(digits), c == 'D');
		return true;
	case 'w':
	case 'W':
		add_table(x, words, ARRAY_LEN(words), c == 'W');
		return true;
	case 's':
	case 'S':
		add_table(x, spaces, ARRAY_LEN(spaces), c == 'S');
		return true;
	default:
		return false;
	}
}

static void emit_class(struct parse *x, uint32_t from, bool not)
{
	struct code *c = emit(x, OP_CLASS);

	c->set.from = from;
	c->set.n = x->p->n_ranges - from;
	c->set.not = not;
}

/* --- the expression --- */

static uint32_t hex(struct parse *x, unsigned n)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < n; i++) {
		int c = x->at < x->end ? (unsigned char)*x->at : 0, d;

		if (c >= '0' && c <= '9')
			d = c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			d = (c | 0x20) - 'a' + 10;
		else
			return NO_CODE;
		v = v * 16 + (uint32_t)d;
		x->at++;
	}
	return v;
}

static uint32_t unicode_escape(struct parse *x)
{
	uint32_t c = hex(x, 4), low;

	if (c < 0xd800 || c > 0xdbff)
		return c;
	if (!take(x, '\\') || !take(x, 'u'))
		return NO_CODE;
	low = hex(x, 4);
	return low < 0xdc00 || low > 0xdfff ? NO_CODE : 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

/* The character that an escape means; the backslash was read. */
static uint32_t escaped(struct parse *x)
{
	static const char from[] = "tnvfr", to[] = "\t\n\v\f\r";
	uint32_t c = NO_CODE;
	const char *f;

	if (x->at < x->end) {
		char e = *x->at;

		f = memchr(from, e, sizeof(from) - 1);
		if ((unsigned char)e >= 0x80)
			return decode(&x->at, x->end);
		x->at++;
		if (f)
			c = (unsigned char)to[f - from];
		else if (e == '0')
			c = x->at < x->end && *x->at >= '0' && *x->at <= '9' ? NO_CODE : 0;
		else if (e == 'x')
			c = hex(x, 2);
		else if (e == 'u')
			c = unicode_escape(x);
		else if (!((e >= '1' && e <= '9') || ((e | 0x20) >= 'a' && (e | 0x20) <= 'z')))
			c = (unsigned char)e;
	}
	if (c == NO_CODE)
		refuse(x);
	return c == NO_CODE ? 0 : c;
}

/* One member of a class. *many: it was a named set, which cannot begin or end a range. */
static uint32_t class_char(struct parse *x, bool *many)
{
	*many = false;
	if (!take(x, '\\'))
		return decode(&x->at, x->end);
	if (take(x, 'b'))
		return '\b';
	if (x->at < x->end && add_named(x, *x->at)) {
		x->at++;
		*many = true;
		return 0;
	}
	return escaped(x);
}

/* After [ */
static void class(struct parse *x)
{
	uint32_t from = x->p->n_ranges, lo, hi;
	bool not = take(x, '^'), many;

	while (more(x) && *x->at != ']') {
		lo = class_char(x, &many);
		if (many)
			continue;
		hi = lo;
		if (x->end - x->at >= 2 && x->at[0] == '-' && x->at[1] != ']') {
			x->at++;
			hi = class_char(x, &many);
			if (many) { /* [a-\d]: the three of them */
				add_range(x, '-', '-');
				hi = lo;
			}
		}
		add_range(x, lo, hi);
	}
	if (!take(x, ']'))
		refuse(x);
	emit_class(x, from, not);
}

static void alternatives(struct parse *x);

/* After ( */
static void group(struct parse *x)
{
	if (take(x, '?') && !take(x, ':')) {
		if (!take(x, '<') || next_is(x, '=') || next_is(x, '!'))
			refuse(x);
		while (more(x) && *x->at != '>')
			x->at++;
		if (!take(x, '>'))
			refuse(x);
	}
	if (++x->depth > DEPTH_MAX)
		refuse(x);
	alternatives(x);
	x->depth--;
	if (!take(x, ')'))
		refuse(x);
}

/* After a backslash. true: it may be repeated. */
static bool escape(struct parse *x)
{
	uint32_t from = x->p->n_ranges, c;

	if (take(x, 'b')) {
		emit(x, OP_WORD);
		return false;
	}
	if (take(x, 'B')) {
		emit(x, OP_NO_WORD);
		return false;
	}
	if (x->at < x->end && add_named(x, *x->at)) {
		x->at++;
		emit_class(x, from, false);
		return true;
	}
	c = escaped(x);
	emit(x, OP_CHAR)->c = c;
	return true;
}

/* true: it may be repeated. */
static bool atom(struct parse *x)
{
	uint32_t from = x->p->n_ranges, c;

	switch (*x->at) {
	case '^':
	case '$':
		emit(x, *x->at == '^' ? OP_BEGIN : OP_END);
		x->at += !x->bad;
		return false;
	case '(':
		x->at++;
		group(x);
		return true;
	case '[':
		x->at++;
		class(x);
		return true;
	case '\\':
		x->at++;
		return escape(x);
	case '.':
		x->at++;
		add_table(x, line_ends, ARRAY_LEN(line_ends), false);
		emit_class(x, from, true);
		return true;
	case '*':
	case '+':
	case '?':
		refuse(x);
		return false;
	default:
		c = decode(&x->at, x->end);
		emit(x, OP_CHAR)->c = c;
		return true;
	}
}

static bool number(struct parse *x, const char **at, uint32_t *out)
{
	const char *p = *at;
	uint32_t v = 0;

	for (; p < x->end && *p >= '0' && *p <= '9'; p++)
		v = MIN(v * 10 + (uint32_t)(*p - '0'), REPEAT_MAX + 1);
	if (p - *at > DIGITS_MAX) /* it would be read again with each repetition of what is around it */
		refuse(x);
	if (p == *at || x->bad)
		return false;
	*at = p;
	*out = v;
	return true;
}

/* {n}, {n,} or {n,m}: passed. false: it is none, and so a brace like any other character. */
static bool counts(struct parse *x, uint32_t *min, uint32_t *max)
{
	const char *at = x->at;

	if (at == x->end || *at++ != '{' || !number(x, &at, min))
		return false;
	*max = *min;
	if (at < x->end && *at == ',') {
		at++;
		if (!number(x, &at, max))
			*max = NO_CODE;
	}
	if (at == x->end || *at != '}')
		return false;
	x->at = at + 1;
	return true;
}

/* The atom that was read from start to the quantifier, emitted from code on, repeated. */
static void repeat(struct parse *x, const char *start, uint32_t code, uint32_t min, uint32_t max)
{
	const char *after = x->at;
	uint32_t all = max == NO_CODE ? MAX(min, 1) : max;

	if (min > REPEAT_MAX || (max != NO_CODE && (max < min || max > REPEAT_MAX))) {
		refuse(x);
		return;
	}
	x->p->n = code;
	for (uint32_t i = 0; i < all && !x->bad; i++) {
		uint32_t from = x->p->n;

		x->at = start;
		(void)atom(x);
		if (x->bad)
			return;
		if (i + 1 == all && max == NO_CODE && min) { /* at least once: again from its beginning */
			int32_t back = -(int32_t)(x->p->n - from);

			emit(x, OP_SPLIT)->to.a = back;
			x->p->code[x->p->n - 1].to.b = 1;
		} else if (max == NO_CODE && !min) {
			split_before(x, from, 1);
			if (!x->bad) {
				int32_t back = -(int32_t)(x->p->n - from);

				emit(x, OP_JUMP)->to.a = back;
			}
		} else if (i >= min) {
			split_before(x, from, 0);
		}
	}
	if (!x->bad)
		x->at = after;
}

static void sequence(struct parse *x)
{
	while (more(x) && *x->at != '|' && *x->at != ')') {
		const char *start = x->at;
		uint32_t code = x->p->n, min, max;
		bool may = atom(x);

		if (x->bad || x->at == x->end)
			continue;
		if (next_is(x, '*') || next_is(x, '+') || next_is(x, '?')) {
			min = *x->at == '+';
			max = *x->at == '?' ? 1 : NO_CODE;
			x->at++;
		} else if (!counts(x, &min, &max)) {
			continue;
		}
		(void)take(x, '?'); /* lazy: the same texts match */
		if (!may)
			refuse(x);
		else
			repeat(x, start, code, min, max);
	}
}

static void alternatives(struct parse *x)
{
	uint32_t jumps = NO_CODE, from = x->p->n, next;

	sequence(x);
	while (!x->bad && take(x, '|')) {
		split_before(x, from, 1);
		if (x->bad)
			return;
		emit(x, OP_JUMP)->c = jumps; /* until the end is known: the one before */
		jumps = x->p->n - 1;
		from = x->p->n;
		sequence(x);
	}
	for (; !x->bad && jumps != NO_CODE; jumps = next) {
		next = x->p->code[jumps].c;
		x->p->code[jumps].to.a = (int32_t)(x->p->n - jumps);
	}
}

struct pattern *pattern_new(struct str text, uint32_t *work)
{
	struct pattern *p = xcalloc(1, sizeof(*p));
	struct parse x = {.p = p, .at = text.len ? text.ptr : "", .budget = MIN(READ_MAX, *work)};
	uint32_t budget = x.budget;

	x.end = x.at + text.len;
	p->code = xreallocarray(NULL, PATTERN_SIZE_MAX, sizeof(*p->code));
	alternatives(&x);
	if (x.at < x.end) /* a ) too many */
		refuse(&x);
	emit(&x, OP_MATCH);
	*work -= budget - x.budget;
	if (x.bad) {
		pattern_free(p);
		return NULL;
	}
	p->code = xreallocarray(p->code, p->n, sizeof(*p->code));
	for (size_t i = 0; i < 2; i++)
		p->list[i] = xcalloc(p->n, sizeof(*p->list[i]));
	p->stack = xcalloc(2 * (size_t)p->n + 2, sizeof(*p->stack));
	p->mark = xcalloc(p->n, sizeof(*p->mark));
	return p;
}

void pattern_free(struct pattern *p)
{
	if (!p)
		return;
	free(p->code);
	free(p->ranges);
	free(p->list[0]);
	free(p->list[1]);
	free(p->stack);
	free(p->mark);
	free(p);
}

size_t pattern_bytes(const struct pattern *p)
{
	return sizeof(*p) + p->n * (sizeof(*p->code) + 5 * sizeof(uint32_t)) + p->cap_ranges * sizeof(*p->ranges);
}

/* --- the search --- */

static bool is_word(uint32_t c)
{
	return c != NO_CODE && c < 128 && ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_');
}

/* All places that are reached from pc without a character, added to the list. before, c: the characters on both sides. true: the end is among them. */
static bool follow(struct pattern *p, unsigned list, uint32_t pc, uint32_t before, uint32_t c)
{
	uint32_t *stack = p->stack, n = 0;
	bool edge = is_word(before) != is_word(c);

	stack[n++] = pc;
	while (n) {
		const struct code *i;

		pc = stack[--n];
		if (p->mark[pc] == p->turn)
			continue;
		p->mark[pc] = p->turn;
		i = &p->code[pc];
		switch (i->op) {
		case OP_MATCH:
			return true;
		case OP_SPLIT:
			stack[n++] = pc + (uint32_t)i->to.b;
			/* fall through */
		case OP_JUMP:
			stack[n++] = pc + (uint32_t)i->to.a;
			break;
		case OP_BEGIN:
		case OP_END:
			if ((i->op == OP_BEGIN ? before : c) == NO_CODE)
				stack[n++] = pc + 1;
			break;
		case OP_WORD:
		case OP_NO_WORD:
			if (edge == (i->op == OP_WORD))
				stack[n++] = pc + 1;
			break;
		default:
			p->list[list][p->n_list[list]++] = pc;
		}
	}
	return false;
}

static bool passes(const struct pattern *p, const struct code *i, uint32_t c)
{
	if (i->op == OP_CHAR)
		return i->c == c;
	for (uint32_t r = 0; r < i->set.n; r++)
		if (c >= p->ranges[i->set.from + r].lo && c <= p->ranges[i->set.from + r].hi)
			return !i->set.not;
	return i->set.not;
}

static void next_turn(struct pattern *p)
{
	if (++p->turn == 0) {
		memset(p->mark, 0, p->n * sizeof(*p->mark));
		p->turn = 1;
	}
}

int pattern_match(struct pattern *p, struct str text, uint64_t *steps)
{
	const char *at = text.len ? text.ptr : "", *end = at + text.len;
	uint32_t before = NO_CODE, c = NO_CODE;
	unsigned now = 0;

	p->n_list[0] = p->n_list[1] = 0;
	for (bool first = true;; first = false) {
		uint32_t next = at < end ? decode(&at, end) : NO_CODE;
		uint64_t cost = 1 + p->n_list[now] + (p->n_ranges + p->n) / 8;

		if (*steps < cost)
			return -1;
		*steps -= cost;
		next_turn(p);
		/* c was read and is passed by the places of `now`; next stands behind it. Then a match may also begin here. */
		p->n_list[!now] = 0;
		for (uint32_t i = 0; !first && i < p->n_list[now]; i++) {
			uint32_t pc = p->list[now][i];

			if (passes(p, &p->code[pc], c) && follow(p, !now, pc + 1, c, next))
				return 1;
		}
		if (follow(p, !now, 0, before, next))
			return 1;
		now = !now;
		if (next == NO_CODE)
			return 0;
		c = before = next;
	}
}
