/*
 * transit.c - Transit into JSON text, see transit.h. The design: jscan's tokens drive a stack of frames, one per open bracket of the input. What a bracket
 * means is known only with the first token behind it (the marker of a map, a tag, or neither), so a bracket of the output is written then. A string is cut
 * into (kind, tag, rest) without copying; only one with escapes that could hide its first characters is written anew first.
 * What can go wrong: input that makes much of little. A code of two bytes stands for a string of any length, so the text is limited (out_max), and what does
 * not add to the text costs nothing: a cached tag is not looked at again. A text with a mark for each value needs 8 bytes for at least 4 of input.
 */
#include "transit.h"

#include "decimal.h"
#include "jscan.h"
#include "jwrite.h"
#include "timefmt.h"
#include "xalloc.h"

#define DIGITS 44u
#define FIRST_DIGIT '0'
#define PLACES (DIGITS * DIGITS)
#define KEEP_BYTES (1u << 20)
#define KEEP_MARKS 65536u
#define MSEC_PER_DAY INT64_C(86400000)

enum frame_kind {
	F_TOP,
	F_ARRAY,  /* or not known yet what */
	F_MAP,	  /* ["^ ", ...] */
	F_OBJECT, /* {...}, or not known yet what */
	F_TAGGED, /* ["~#tag", value] or {"~#tag": value}: writes nothing itself */
	F_UUID,	  /* the [hi, lo] of ["~#u", [hi, lo]] */
};

struct frame {
	unsigned char kind;
	char tag;    /* F_TAGGED: of one character, else 0 */
	bool begun;  /* its bracket is written */
	bool valued; /* F_MAP, F_OBJECT: a key is written, its value comes; F_TAGGED: its value is there */
	unsigned char n; /* F_UUID: numbers met */
};

enum string_kind { S_TEXT, S_SCALAR, S_TAG, S_MARKER };

struct string {
	enum string_kind kind;
	char tag;	 /* S_SCALAR; S_TAG of one character, else 0 */
	struct str body; /* as it stands in JSON, without quotes; not for S_TAG */
};

struct place {
	struct str raw; /* slice of the input, with its quotes */
	bool escaped, is_tag;
	char tag;
};

struct transit_state {
	struct jscan scan;
	struct frame frames[JSCAN_MAX_DEPTH + 1];
	unsigned depth;
	struct place places[PLACES];
	unsigned next, filled;
	struct buf plain, clean; /* of a string that is written anew */
	uint64_t uuid[2];
};

static int fail(struct transit *t, const char *error)
{
	struct jscan *s = &t->state->scan;

	t->error = error;
	t->error_at = s->tok.ptr ? (size_t)(s->tok.ptr - s->base) : s->error_at;
	return -1;
}

static void mark(struct transit *t, enum transit_type type)
{
	if (t->n_marks == t->cap_marks) {
		t->cap_marks = t->cap_marks ? 2 * t->cap_marks : 256;
		t->marks = xreallocarray(t->marks, t->cap_marks, sizeof(*t->marks));
	}
	t->marks[t->n_marks++] = (struct transit_mark){.at = (uint32_t)t->out.len, .type = type};
}

static void add_quoted(struct transit *t, struct str body)
{
	buf_reserve(&t->out, body.len + 2);
	buf_addc(&t->out, '"');
	buf_addstr(&t->out, body);
	buf_addc(&t->out, '"');
}

/* --- strings --- */

static struct str without_quotes(struct str tok)
{
	return str_mem(tok.ptr + 1, tok.len - 2);
}

/* More than 3 characters? An escape is one. */
static bool is_long(struct str s)
{
	unsigned n = 0;

	for (size_t i = 0; i < s.len && n < 4; n++) {
		if (s.ptr[i] == '\\')
			i += s.ptr[i + 1] == 'u' ? 6 : 2;
		else
			for (i++; i < s.len && ((unsigned char)s.ptr[i] & 0xc0) == 0x80;)
				i++;
	}
	return n == 4;
}

/* The contents with the first characters in sight: only what JSON demands is escaped. */
static struct str clean(struct transit *t, struct str raw, bool escaped)
{
	struct transit_state *st = t->state;
	struct str s = without_quotes(raw);
	struct jwrite w;

	if (!escaped || !s.len || !strchr("\\~^", *s.ptr))
		return s;
	buf_truncate(&st->plain, 0);
	jscan_unescape(raw, &st->plain);
	buf_truncate(&st->clean, 0);
	jwrite_init(&w, &st->clean);
	jwrite_str(&w, buf_str(&st->plain));
	return without_quotes(buf_str(&st->clean));
}

/* The place that a code stands for; NULL. */
static const struct place *look_up(struct transit *t, struct str code)
{
	unsigned at = 0;

	if (code.len < 2 || code.len > 3)
		return NULL;
	for (size_t i = 1; i < code.len; i++) {
		unsigned digit = (unsigned char)code.ptr[i] - (unsigned)FIRST_DIGIT;

		if (digit >= DIGITS)
			return NULL;
		at = at * DIGITS + digit;
	}
	return at < t->state->filled ? &t->state->places[at] : NULL;
}

/* Sets what the string is; its first characters decide. */
static int classify(struct transit *t, struct str s, struct string *out)
{
	*out = (struct string){.kind = S_TEXT, .body = s};
	if (!s.len || *s.ptr != '~')
		return 0;
	if (s.len == 1 || s.ptr[1] == '\\' || (unsigned char)s.ptr[1] <= ' ' || (unsigned char)s.ptr[1] >= 0x7f)
		return fail(t, "~ without a tag");
	out->body = str_mem(s.ptr + 1, s.len - 1);
	if (s.ptr[1] == '~' || s.ptr[1] == '^' || s.ptr[1] == '`')
		return 0;
	out->tag = s.ptr[1];
	out->body = str_mem(s.ptr + 2, s.len - 2);
	out->kind = S_SCALAR;
	if (out->tag != '#')
		return 0;
	if (!out->body.len)
		return fail(t, "a tag without a name");
	out->kind = S_TAG;
	out->tag = out->body.len == 1 ? *out->body.ptr : '\0';
	return 0;
}

static void store(struct transit *t, struct str raw, bool escaped, const struct string *x)
{
	struct transit_state *st = t->state;

	st->places[st->next] = (struct place){.raw = raw, .escaped = escaped, .is_tag = x->kind == S_TAG, .tag = x->tag};
	st->next = (st->next + 1) % PLACES;
	st->filled = MAX(st->filled, st->next ? st->next : PLACES);
}

/* The string that jscan just met, through the cache. */
static int read_string(struct transit *t, bool key, struct string *out)
{
	struct jscan *s = &t->state->scan;
	struct str raw = s->tok, text = clean(t, raw, s->tok_escaped);
	const struct place *p;

	if (!text.len || *text.ptr != '^') {
		if (classify(t, text, out))
			return -1;
		if (is_long(without_quotes(raw)) && (key || (out->kind == S_TAG || (out->kind == S_SCALAR && (out->tag == ':' || out->tag == '$')))))
			store(t, raw, s->tok_escaped, out);
		return 0;
	}
	if (str_eq(text, STR("^ "))) {
		*out = (struct string){.kind = S_MARKER};
		return 0;
	}
	p = look_up(t, text);
	if (!p)
		return fail(t, "a cache code that stands for nothing");
	if (p->is_tag) {
		*out = (struct string){.kind = S_TAG, .tag = p->tag};
		return 0;
	}
	return classify(t, clean(t, p->raw, p->escaped), out);
}

/* --- scalars --- */

static bool is_integer(struct str s)
{
	struct decimal d;

	return decimal_parse(s, &d) == 0 && d.int_digits.len + d.negative == s.len;
}

static int put_word(struct transit *t, const char *word, bool key)
{
	if (key)
		add_quoted(t, str_c(word));
	else
		buf_adds(&t->out, word);
	return 0;
}

static int put_number(struct transit *t, struct str body, bool decimal, bool key)
{
	struct decimal d;

	if (str_eqc(body, "NaN") || str_eqc(body, "Infinity") || str_eqc(body, "-Infinity"))
		return put_word(t, "null", key);
	if (decimal_parse(body, &d))
		return fail(t, "an invalid number");
	if (key) {
		add_quoted(t, body);
		return 0;
	}
	if (decimal)
		mark(t, TRANSIT_DECIMAL);
	buf_addstr(&t->out, body);
	return 0;
}

/* Milliseconds since 1970. A year that has no four digits is written with its sign, as ISO 8601 does: it is a time, if one that few can store. */
static int put_msec(struct transit *t, struct str body)
{
	int64_t msec, days, rest, year;
	unsigned month, day, ms;

	if (!is_integer(body) || decimal_to_i64(body, &msec))
		return fail(t, "an invalid time");
	days = msec / MSEC_PER_DAY;
	rest = msec % MSEC_PER_DAY;
	if (rest < 0) {
		rest += MSEC_PER_DAY;
		days--;
	}
	timefmt_civil(days, &year, &month, &day);
	ms = (unsigned)rest;
	buf_addf(&t->out, year > 9999 ? "\"+%" PRId64 : year < 0 ? "\"%05" PRId64 : "\"%04" PRId64, year);
	buf_addf(&t->out, "-%02u-%02uT%02u:%02u:%02u.%03uZ\"", month, day, ms / 3600000, ms / 60000 % 60, ms / 1000 % 60, ms % 1000);
	return 0;
}

/* The value of ~TAGbody. */
static int put_scalar(struct transit *t, char tag, struct str body, bool key)
{
	switch (tag) {
	case 'i':
	case 'n':
		if (!is_integer(body))
			return fail(t, "an invalid whole number");
		return put_number(t, body, tag == 'n', key);
	case 'f':
		return put_number(t, body, true, key);
	case 'd':
		return put_number(t, body, false, key);
	case 'z':
		if (!str_eqc(body, "NaN") && !str_eqc(body, "INF") && !str_eqc(body, "-INF"))
			return fail(t, "an invalid special number");
		return put_word(t, "null", key);
	case '_':
		return body.len ? fail(t, "an invalid null") : put_word(t, "null", key);
	case '?':
		if (!str_eqc(body, "t") && !str_eqc(body, "f"))
			return fail(t, "an invalid boolean");
		return put_word(t, *body.ptr == 't' ? "true" : "false", key);
	case 'm':
		if (!key)
			mark(t, TRANSIT_TIMESTAMP);
		return put_msec(t, body);
	case 't':
		if (!key)
			mark(t, TRANSIT_TIMESTAMP);
		break;
	default:
		break;
	}
	add_quoted(t, body);
	return 0;
}

/* --- frames --- */

static struct frame *top(struct transit *t)
{
	return &t->state->frames[t->state->depth];
}

static void push(struct transit *t, enum frame_kind kind)
{
	t->state->frames[++t->state->depth] = (struct frame){.kind = (unsigned char)kind};
}

static void begin(struct transit *t, struct frame *f, char bracket)
{
	buf_addc(&t->out, f->begun ? ',' : bracket);
	f->begun = true;
}

/* What stands between the value that comes and what was before it. */
static int before_value(struct transit *t)
{
	struct frame *f = top(t);

	if (f->kind == F_ARRAY) {
		begin(t, f, '[');
	} else if (f->kind == F_TAGGED) {
		if (f->valued)
			return fail(t, "a tag has one value");
		f->valued = true;
	} else {
		f->valued = false;
	}
	return 0;
}

static int tagged(struct transit *t, const struct string *x)
{
	*top(t) = (struct frame){.kind = F_TAGGED, .tag = x->tag};
	return 0;
}

static int put_key(struct transit *t, enum jscan_token kind)
{
	struct frame *f = top(t);
	struct string x = {.kind = S_TEXT, .body = t->state->scan.tok};
	int rc = 0;

	if (kind == JSCAN_OBJECT || kind == JSCAN_ARRAY)
		return fail(t, "a map's key is no scalar");
	if ((kind == JSCAN_KEY || kind == JSCAN_STRING) && read_string(t, true, &x))
		return -1;
	if (x.kind == S_TAG && f->kind == F_OBJECT && !f->begun)
		return tagged(t, &x);
	if (x.kind == S_TAG || x.kind == S_MARKER)
		return fail(t, "a map's key is no scalar");
	begin(t, f, '{');
	if (x.kind == S_SCALAR)
		rc = put_scalar(t, x.tag, x.body, true);
	else
		add_quoted(t, x.body);
	buf_addc(&t->out, ':');
	f->valued = true;
	return rc;
}

/* Is the value of this tag made from a string or number that is given as its representation? Others are their representation. */
static bool made_of_scalar(char tag)
{
	return tag && strchr("mtinfdz?", tag);
}

static int put_string(struct transit *t)
{
	struct frame *f = top(t);
	struct string x;

	if (read_string(t, false, &x))
		return -1;
	if (x.kind == S_TAG || x.kind == S_MARKER) {
		if (f->kind != F_ARRAY || f->begun)
			return fail(t, x.kind == S_TAG ? "a tag that is not the first of two" : "the marker of a map that is not the first");
		if (x.kind == S_TAG)
			return tagged(t, &x);
		f->kind = F_MAP;
		return 0;
	}
	if (before_value(t))
		return -1;
	if (f->kind == F_TAGGED && made_of_scalar(f->tag) && (x.kind == S_TEXT || x.tag == 'i'))
		return put_scalar(t, f->tag, x.body, false);
	if (x.kind == S_SCALAR)
		return put_scalar(t, x.tag, x.body, false);
	add_quoted(t, x.body);
	return 0;
}

static int put_uuid_half(struct transit *t, enum jscan_token kind)
{
	struct frame *f = top(t);
	struct string x = {.kind = S_SCALAR, .tag = 'i', .body = t->state->scan.tok};
	int64_t half;

	if (kind == JSCAN_STRING && read_string(t, false, &x))
		return -1;
	if ((kind != JSCAN_STRING && kind != JSCAN_NUMBER) || x.kind != S_SCALAR || x.tag != 'i' || f->n == 2 || decimal_to_i64(x.body, &half))
		return fail(t, "an invalid UUID");
	t->state->uuid[f->n++] = (uint64_t)half;
	return 0;
}

static int put_container(struct transit *t, bool object)
{
	struct frame *f = top(t);
	bool uuid = !object && f->kind == F_TAGGED && f->tag == 'u';

	if (before_value(t))
		return -1;
	push(t, object ? F_OBJECT : uuid ? F_UUID : F_ARRAY);
	return 0;
}

static int end_frame(struct transit *t)
{
	struct frame *f = top(t);
	const uint64_t *u = t->state->uuid;

	switch (f->kind) {
	case F_ARRAY:
		buf_adds(&t->out, f->begun ? "]" : "[]");
		break;
	case F_UUID:
		if (f->n != 2)
			return fail(t, "an invalid UUID");
		buf_addf(&t->out, "\"%08" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%012" PRIx64 "\"", u[0] >> 32, u[0] >> 16 & 0xffff, u[0] & 0xffff,
			u[1] >> 48, u[1] & UINT64_C(0xffffffffffff));
		break;
	case F_TAGGED:
		if (!f->valued)
			return fail(t, "a tag without a value");
		break;
	default:
		if (f->valued)
			return fail(t, "a map's last key has no value");
		buf_adds(&t->out, f->begun ? "}" : "{}");
		break;
	}
	t->state->depth--;
	return 0;
}

static int take(struct transit *t, enum jscan_token kind)
{
	struct frame *f = top(t);

	if (kind == JSCAN_OBJECT_END || kind == JSCAN_ARRAY_END)
		return end_frame(t);
	if (kind == JSCAN_KEY && f->kind == F_TAGGED)
		return fail(t, "a tag has one value");
	if (kind == JSCAN_KEY || (f->kind == F_MAP && !f->valued))
		return put_key(t, kind);
	if (f->kind == F_UUID)
		return put_uuid_half(t, kind);
	if (kind == JSCAN_OBJECT || kind == JSCAN_ARRAY)
		return put_container(t, kind == JSCAN_OBJECT);
	if (kind == JSCAN_STRING)
		return put_string(t);
	if (before_value(t))
		return -1;
	if (kind == JSCAN_NUMBER && f->kind == F_TAGGED && made_of_scalar(f->tag))
		return put_scalar(t, f->tag, t->state->scan.tok, false);
	buf_addstr(&t->out, t->state->scan.tok);
	return 0;
}

/* --- the whole --- */

struct transit *transit_new(void)
{
	struct transit *t = xcalloc(1, sizeof(*t));

	t->state = xcalloc(1, sizeof(*t->state));
	return t;
}

void transit_free(struct transit *t)
{
	if (!t)
		return;
	buf_free(&t->state->plain);
	buf_free(&t->state->clean);
	buf_free(&t->out);
	free(t->marks);
	free(t->state);
	free(t);
}

void transit_reset(struct transit *t)
{
	struct buf *bufs[] = {&t->out, &t->state->plain, &t->state->clean};

	for (size_t i = 0; i < ARRAY_LEN(bufs); i++) {
		if (bufs[i]->cap > KEEP_BYTES)
			buf_free(bufs[i]);
		else
			buf_truncate(bufs[i], 0);
	}
	if (t->cap_marks > KEEP_MARKS) {
		free(t->marks);
		t->marks = NULL;
		t->cap_marks = 0;
	}
	t->n_marks = 0;
}

int transit_decode(struct transit *t, struct str body, unsigned max_depth, size_t out_max)
{
	struct transit_state *st = t->state;
	enum jscan_token kind;

	assert(out_max <= TRANSIT_OUT_MAX);
	transit_reset(t);
	t->error = NULL;
	t->error_at = 0;
	t->too_long = false;
	st->depth = st->next = st->filled = 0;
	st->frames[0] = (struct frame){.kind = F_TOP};
	jscan_init(&st->scan, body.ptr, body.len, max_depth);
	while ((kind = jscan_next(&st->scan)) > JSCAN_END) {
		if (take(t, kind))
			return -1;
		if (t->out.len > out_max) {
			t->too_long = true;
			return fail(t, "the text is too long once it is decoded");
		}
	}
	if (kind == JSCAN_END)
		return 0;
	t->error = st->scan.error;
	t->error_at = st->scan.error_at;
	return -1;
}
