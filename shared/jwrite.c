/*
 * jwrite.c - the JSON writer, see jwrite.h. The design: a single flag says whether a comma is due before what comes next; a key clears it and
 * any value sets it, so nesting needs no stack. What can go wrong: calls in an order that is no JSON (a key in an array), which is the
 * caller's mistake and is not looked for.
 */
#include "jwrite.h"

#include "utf8.h"

void jwrite_init(struct jwrite *w, struct buf *out)
{
	w->out = out;
	w->comma = false;
}

/* Before a value or a key; what follows the value needs a comma. */
static void begin(struct jwrite *w)
{
	if (w->comma)
		buf_addc(w->out, ',');
	w->comma = true;
}

static void open_with(struct jwrite *w, char c)
{
	begin(w);
	buf_addc(w->out, c);
	w->comma = false;
}

static void close_with(struct jwrite *w, char c)
{
	buf_addc(w->out, c);
	w->comma = true;
}

void jwrite_object(struct jwrite *w)
{
	open_with(w, '{');
}

void jwrite_object_end(struct jwrite *w)
{
	close_with(w, '}');
}

void jwrite_array(struct jwrite *w)
{
	open_with(w, '[');
}

void jwrite_array_end(struct jwrite *w)
{
	close_with(w, ']');
}

static bool plain(char c)
{
	unsigned char u = (unsigned char)c;

	return u >= 0x20 && u < 0x80 && u != '"' && u != '\\';
}

static void add_escaped(struct buf *out, char c)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *f = memchr(from, c, sizeof(from) - 1);

	if (f) {
		buf_addc(out, '\\');
		buf_addc(out, to[f - from]);
	} else {
		buf_addf(out, "\\u%04x", (unsigned)(unsigned char)c);
	}
}

static void add_quoted(struct buf *out, struct str s)
{
	const char *p = s.ptr, *run = p, *end = s.len ? p + s.len : p;

	buf_reserve(out, s.len + 2);
	buf_addc(out, '"');
	while (p < end) {
		size_t n = plain(*p) ? 1 : (unsigned char)*p < 0x80 ? 0 : utf8_len(p, end);

		if (n) {
			p += n;
			continue;
		}
		buf_add(out, run, (size_t)(p - run));
		if ((unsigned char)*p < 0x80)
			add_escaped(out, *p);
		else
			buf_adds(out, "\xef\xbf\xbd");
		run = ++p;
	}
	if (p > run)
		buf_add(out, run, (size_t)(p - run));
	buf_addc(out, '"');
}

void jwrite_key_str(struct jwrite *w, struct str key)
{
	begin(w);
	add_quoted(w->out, key);
	buf_addc(w->out, ':');
	w->comma = false;
}

void jwrite_key(struct jwrite *w, const char *key)
{
	jwrite_key_str(w, str_c(key));
}

void jwrite_str(struct jwrite *w, struct str s)
{
	begin(w);
	add_quoted(w->out, s);
}

void jwrite_string(struct jwrite *w, const char *s)
{
	if (s)
		jwrite_str(w, str_c(s));
	else
		jwrite_null(w);
}

void jwrite_i64(struct jwrite *w, int64_t v)
{
	begin(w);
	buf_addf(w->out, "%" PRId64, v);
}

void jwrite_u64(struct jwrite *w, uint64_t v)
{
	begin(w);
	buf_addf(w->out, "%" PRIu64, v);
}

void jwrite_bool(struct jwrite *w, bool v)
{
	begin(w);
	buf_adds(w->out, v ? "true" : "false");
}

void jwrite_null(struct jwrite *w)
{
	begin(w);
	buf_adds(w->out, "null");
}

void jwrite_raw(struct jwrite *w, struct str json)
{
	begin(w);
	buf_addstr(w->out, json);
}

void jwrite_kv_string(struct jwrite *w, const char *key, const char *s)
{
	jwrite_key(w, key);
	jwrite_string(w, s);
}

void jwrite_kv_str(struct jwrite *w, const char *key, struct str s)
{
	jwrite_key(w, key);
	jwrite_str(w, s);
}

void jwrite_kv_i64(struct jwrite *w, const char *key, int64_t v)
{
	jwrite_key(w, key);
	jwrite_i64(w, v);
}

void jwrite_kv_bool(struct jwrite *w, const char *key, bool v)
{
	jwrite_key(w, key);
	jwrite_bool(w, v);
}
