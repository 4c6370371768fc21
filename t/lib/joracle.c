/*
 * joracle.c - see joracle.h. Verdicts are compared, then what the document means: with yajl event by event, with jansson as trees, of the document
 * itself, of its minified form and of what jwrite makes of its tokens.
 *
 * Where the others differ from RFC 8259 or from our limits, they are not asked:
 *   jansson: takes a NUL behind the value for the end; numbers that overflow a double, U+0000 in a key, more than 512 levels;
 *   yajl: takes overlong and other bad UTF-8, lone surrogates, \v and \f as blanks, and half a token after the value; more than 512 levels.
 */
#include "joracle.h"

#include <jansson.h>
#ifdef HAVE_YAJL
#include <yajl/yajl_parse.h>
#endif

#include "jscan.h"
#include "jwrite.h"

/* Events as lines: a letter and the bytes. */
static void event(struct buf *out, char kind, const void *p, size_t n)
{
	buf_addc(out, kind);
	buf_add(out, p, n);
	buf_addc(out, '\n');
}

/* A string token means what jscan_unescape says, and nothing near it. */
static const char *check_string(struct str tok, bool escaped, struct buf *text)
{
	bool same;

	buf_truncate(text, 0);
	jscan_unescape(tok, text);
	buf_reserve(text, 1);
	if (escaped != (memchr(tok.ptr, '\\', tok.len) != NULL))
		return "tok_escaped is wrong";
	if (!jscan_string_is(tok, buf_str(text)))
		return "jscan_string_is denies what jscan_unescape gives";
	buf_addc(text, 'x');
	same = jscan_string_is(tok, buf_str(text));
	buf_truncate(text, text->len - 1);
	if (text->len) {
		text->data[text->len / 2] ^= 1;
		same = same || jscan_string_is(tok, buf_str(text)) || jscan_string_is(tok, str_mem(text->data, text->len - 1));
		text->data[text->len / 2] ^= 1;
	}
	return same ? "jscan_string_is takes another text" : NULL;
}

static void write_token(struct jwrite *w, enum jscan_token t, struct str tok, const struct buf *text)
{
	switch (t) {
	case JSCAN_OBJECT:
		jwrite_object(w);
		break;
	case JSCAN_OBJECT_END:
		jwrite_object_end(w);
		break;
	case JSCAN_ARRAY:
		jwrite_array(w);
		break;
	case JSCAN_ARRAY_END:
		jwrite_array_end(w);
		break;
	case JSCAN_KEY:
		jwrite_key_str(w, buf_str(text));
		break;
	case JSCAN_STRING:
		jwrite_str(w, buf_str(text));
		break;
	case JSCAN_NULL:
		jwrite_null(w);
		break;
	case JSCAN_TRUE:
	case JSCAN_FALSE:
		jwrite_bool(w, t == JSCAN_TRUE);
		break;
	default:
		jwrite_raw(w, tok);
	}
}

static bool has_any(struct str s, const char *bytes)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] && strchr(bytes, s.ptr[i]))
			return true;
	return false;
}

/* Walks the document token by token: its events, and the document written anew. */
static const char *walk(struct jscan *s, struct str doc, struct buf *events, struct buf *again)
{
	static const char kinds[] = "E{}[]KSNTFZ";
	const char *wrong = NULL, *before = doc.ptr;
	struct buf text = BUF_INIT;
	enum jscan_token t;
	struct jwrite w;

	jwrite_init(&w, again);
	jscan_init(s, doc.ptr, doc.len, 0);
	while (!wrong && (t = jscan_next(s)) > JSCAN_END) {
		bool string = t == JSCAN_KEY || t == JSCAN_STRING;

		if (!s->tok.len || s->tok.ptr < before || s->tok.ptr + s->tok.len > doc.ptr + doc.len)
			wrong = "a token lies outside of its place";
		before = s->tok.ptr + s->tok.len;
		if (string && !wrong)
			wrong = check_string(s->tok, s->tok_escaped, &text);
		if (string)
			event(events, kinds[t], text.data, text.len);
		else
			event(events, kinds[t], s->tok.ptr, t == JSCAN_NUMBER ? s->tok.len : 0);
		if (t == JSCAN_NUMBER && s->tok_integer == has_any(s->tok, ".eE"))
			wrong = "tok_integer is wrong";
		write_token(&w, t, s->tok, &text);
	}
	if (!wrong && t != jscan_next(s))
		wrong = "the end is not final";
	buf_free(&text);
	return wrong;
}

/* jscan_valid, jscan_next and jscan_skip must say the same; minified, a document must have the same events and no blanks. */
static const char *check_self(struct str doc, const struct jscan *s, const struct buf *events)
{
	struct buf small = BUF_INIT, small_events = BUF_INIT, other = BUF_INIT;
	const char *error, *wrong = NULL;
	struct jscan whole;
	size_t at, n;

	if (jscan_valid(doc.ptr, doc.len, 0, &error, &at) != (s->error == NULL))
		wrong = "jscan_valid differs from jscan_next";
	else if (s->error && (error != s->error || at != s->error_at || at > doc.len))
		wrong = "jscan_valid has another error than jscan_next";
	jscan_init(&whole, doc.ptr, doc.len, 0);
	if (!wrong && !s->error) {
		if (jscan_skip(&whole) <= 0 || !str_eq(whole.tok, str_trim(doc)) || jscan_next(&whole) != JSCAN_END)
			wrong = "jscan_skip does not yield the whole value";
		n = jscan_minify(doc, &small);
		if (!wrong && (n != small.len || n > doc.len))
			wrong = "jscan_minify returns another length";
		if (!wrong)
			wrong = walk(&whole, buf_str(&small), &small_events, &other);
		if (!wrong && !str_eq(buf_str(events), buf_str(&small_events)))
			wrong = "minified, it means something else";
		buf_truncate(&other, 0);
		if (!wrong && (jscan_minify(buf_str(&small), &other) != n || !str_eq(buf_str(&small), buf_str(&other))))
			wrong = "minified twice, it is shorter";
	} else {
		jscan_minify(doc, &small); /* not promised anything, but it must not read or write elsewhere */
	}
	buf_free(&small);
	buf_free(&small_events);
	buf_free(&other);
	return wrong;
}

static const char *ask_jansson(struct str doc, bool valid, const struct buf *again)
{
	struct buf small = BUF_INIT;
	const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
	json_t *a = NULL, *b = NULL, *c = NULL;
	const char *wrong = NULL;
	json_error_t e;

	a = json_loadb(doc.len ? doc.ptr : "", doc.len, flags, &e);
	if (!a && (json_error_code(&e) == json_error_numeric_overflow || json_error_code(&e) == json_error_null_byte_in_key))
		return NULL;
	if (valid != (a != NULL)) {
		wrong = valid ? "jansson refuses what jscan takes" : "jansson takes what jscan refuses";
	} else if (a) {
		jscan_minify(doc, &small);
		b = json_loadb(small.data, small.len, flags, NULL);
		c = json_loadb(again->data, again->len, flags, NULL);
		if (!b || !json_equal(a, b))
			wrong = "minified, jansson reads something else";
		else if (!c || !json_equal(a, c))
			wrong = "written anew by jwrite, jansson reads something else";
	}
	json_decref(a);
	json_decref(b);
	json_decref(c);
	buf_free(&small);
	return wrong;
}

#ifdef HAVE_YAJL
static int y_null(void *b)
{
	event(b, 'Z', NULL, 0);
	return 1;
}

static int y_boolean(void *b, int yes)
{
	event(b, yes ? 'T' : 'F', NULL, 0);
	return 1;
}

static int y_number(void *b, const char *p, size_t n)
{
	event(b, 'N', p, n);
	return 1;
}

static int y_string(void *b, const unsigned char *p, size_t n)
{
	event(b, 'S', p, n);
	return 1;
}

static int y_key(void *b, const unsigned char *p, size_t n)
{
	event(b, 'K', p, n);
	return 1;
}

static int y_object(void *b)
{
	event(b, '{', NULL, 0);
	return 1;
}

static int y_object_end(void *b)
{
	event(b, '}', NULL, 0);
	return 1;
}

static int y_array(void *b)
{
	event(b, '[', NULL, 0);
	return 1;
}

static int y_array_end(void *b)
{
	event(b, ']', NULL, 0);
	return 1;
}

static const char *ask_yajl(struct str doc, bool valid, const struct buf *events)
{
	static const yajl_callbacks cb = {.yajl_null = y_null, .yajl_boolean = y_boolean, .yajl_number = y_number, .yajl_string = y_string,
		.yajl_map_key = y_key, .yajl_start_map = y_object, .yajl_end_map = y_object_end, .yajl_start_array = y_array,
		.yajl_end_array = y_array_end};
	struct buf seen = BUF_INIT;
	yajl_handle h = yajl_alloc(&cb, NULL, &seen);
	const char *wrong = NULL;
	bool takes;

	takes = yajl_parse(h, (const unsigned char *)(doc.len ? doc.ptr : ""), doc.len) == yajl_status_ok &&
		yajl_complete_parse(h) == yajl_status_ok;
	if (takes != valid)
		wrong = valid ? "yajl refuses what jscan takes" : "yajl takes what jscan refuses";
	else if (valid && !str_eq(buf_str(events), buf_str(&seen)))
		wrong = "yajl reads something else";
	yajl_free(h);
	buf_free(&seen);
	return wrong;
}
#endif

#ifdef HAVE_YAJL
static bool yajl_is_lax(struct str doc, const char *error)
{
	return has_any(doc, "\v\f") || !strcmp(error, "invalid UTF-8") || !strcmp(error, "lone surrogate") || !strcmp(error, "more text after the value");
}
#endif

const char *joracle_disagree(struct str doc, bool *valid)
{
	struct buf events = BUF_INIT, again = BUF_INIT;
	const char *wrong;
	struct jscan s;

	wrong = walk(&s, doc, &events, &again);
	*valid = !s.error;
	if (!wrong)
		wrong = check_self(doc, &s, &events);
	if (!wrong && (*valid || strcmp(s.error, "nested too deeply") != 0)) {
		if (*valid || !doc.len || !memchr(doc.ptr, '\0', doc.len))
			wrong = ask_jansson(doc, *valid, &again);
#ifdef HAVE_YAJL
		if (!wrong && (*valid || !yajl_is_lax(doc, s.error)))
			wrong = ask_yajl(doc, *valid, &events);
#endif
	}
	buf_free(&events);
	buf_free(&again);
	return wrong;
}
