/*
 * xml.c - a pull reader for the XML that servers of S3 answer with: elements, texts, the five entities and character references, CDATA, comments; attributes are stepped over.
 *
 * The bytes come from a server that may be anything, so: a limit on length and depth, no recursion, nothing is ever expanded but one character for one reference, a
 * DOCTYPE is refused, and whatever is not well-formed ends the reading with XML_BAD for good. Fuzzed (t/fuzz/xml.c).
 */
#include "xml.h"
#include "utf8.h"

void xml_init(struct xml *x, struct str doc)
{
	*x = (struct xml){.left = doc};
	x->bad = doc.len > XML_MAX;
	if (str_starts(x->left, STR("\xEF\xBB\xBF")))
		x->left = str_mem(doc.ptr + 3, doc.len - 3);
}

void xml_free(struct xml *x)
{
	buf_free(&x->text);
}

static enum xml_kind bad(struct xml *x)
{
	x->bad = true;
	return XML_BAD;
}

static void skip(struct xml *x, size_t n)
{
	x->left = str_mem(x->left.ptr + n, x->left.len - n);
}

/* Everything up to and with `end`; false when it is not there. */
static bool skip_past(struct xml *x, struct str end, struct str *between)
{
	const char *p = x->left.len ? memmem(x->left.ptr, x->left.len, end.ptr, end.len) : NULL;

	if (!p)
		return false;
	*between = str_mem(x->left.ptr, (size_t)(p - x->left.ptr));
	skip(x, between->len + end.len);
	return true;
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct str local_name(struct str s)
{
	const char *colon = s.len ? memchr(s.ptr, ':', s.len) : NULL;

	return colon ? str_mem(colon + 1, s.len - (size_t)(colon + 1 - s.ptr)) : s;
}

/* The end of a tag is the first '>' outside of quotes. */
static bool tag(struct xml *x, struct str *out)
{
	char quote = '\0';

	for (size_t k = 0; k < x->left.len; k++) {
		char c = x->left.ptr[k];

		if (quote) {
			quote = c == quote ? '\0' : quote;
		} else if (c == '"' || c == '\'') {
			quote = c;
		} else if (c == '<') {
			return false;
		} else if (c == '>') {
			*out = str_mem(x->left.ptr, k);
			skip(x, k + 1);
			return true;
		}
	}
	return false;
}

static enum xml_kind open_tag(struct xml *x)
{
	struct str t, name;
	size_t n = 0;

	if (!tag(x, &t))
		return bad(x);
	while (n < t.len && !blank(t.ptr[n]) && t.ptr[n] != '/')
		n++;
	name = str_mem(t.ptr, n);
	if (!n || x->depth == XML_DEPTH || (!x->depth && x->root))
		return bad(x);
	x->closing = t.ptr[t.len - 1] == '/';
	x->root = true;
	x->open[x->depth++] = name;
	x->name = local_name(name);
	return XML_OPEN;
}

static enum xml_kind close_tag(struct xml *x)
{
	struct str t;

	if (!tag(x, &t) || !x->depth || !str_eq(str_trim(t), x->open[x->depth - 1]))
		return bad(x);
	x->name = local_name(x->open[--x->depth]);
	return XML_CLOSE;
}

/* "&...;" at the front of s: its character into out, its length; 0: none that we know. */
static size_t reference(struct str s, struct buf *out)
{
	static const struct { const char *name; char c; } known[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
	const char *end = memchr(s.ptr, ';', MIN(s.len, (size_t)12));
	struct str name;
	char utf8[4];
	uint32_t c = 0;
	unsigned base = 10;

	if (!end || end - s.ptr < 3)
		return 0;
	name = str_mem(s.ptr + 1, (size_t)(end - s.ptr) - 1);
	for (size_t k = 0; k < ARRAY_LEN(known); k++)
		if (str_eqc(name, known[k].name)) {
			buf_addc(out, known[k].c);
			return name.len + 2;
		}
	if (name.ptr[0] != '#')
		return 0;
	name = str_mem(name.ptr + 1, name.len - 1);
	if (name.ptr[0] == 'x') {
		base = 16;
		name = str_mem(name.ptr + 1, name.len - 1);
	}
	if (!name.len)
		return 0;
	for (size_t k = 0; k < name.len; k++) {
		char d = name.ptr[k];
		unsigned v = d >= '0' && d <= '9' ? (unsigned)(d - '0') : d >= 'a' && d <= 'f' ? (unsigned)(d - 'a') + 10 : d >= 'A' && d <= 'F' ? (unsigned)(d - 'A') + 10 : 99;

		if (v >= base)
			return 0;
		c = c * base + v;
		if (c > 0x10FFFF)
			return 0;
	}
	if (!c || (c >= 0xD800 && c <= 0xDFFF))
		return 0;
	buf_add(out, utf8, utf8_put(c, utf8));
	return (size_t)(end - s.ptr) + 1;
}

static enum xml_kind text(struct xml *x)
{
	const char *lt = memchr(x->left.ptr, '<', x->left.len);
	size_t n = lt ? (size_t)(lt - x->left.ptr) : x->left.len, k = 0;

	while (k < n) {
		const char *amp = memchr(x->left.ptr + k, '&', n - k);
		size_t run = amp ? (size_t)(amp - x->left.ptr) - k : n - k, used;

		buf_add(&x->text, x->left.ptr + k, run);
		k += run;
		if (k == n)
			break;
		used = reference(str_mem(x->left.ptr + k, n - k), &x->text);
		if (!used)
			return bad(x);
		k += used;
	}
	skip(x, n);
	return XML_TEXT;
}

enum xml_kind xml_next(struct xml *x)
{
	struct str between;

	buf_truncate(&x->text, 0);
	if (x->bad)
		return XML_BAD;
	if (x->closing) {
		x->closing = false;
		x->name = local_name(x->open[--x->depth]);
		return XML_CLOSE;
	}
	while (x->left.len) {
		if (x->left.ptr[0] != '<') {
			if (x->depth)
				return text(x);
			if (!blank(x->left.ptr[0]))
				return bad(x);
			skip(x, 1);
		} else if (str_starts(x->left, STR("<?"))) {
			if (!skip_past(x, STR("?>"), &between))
				return bad(x);
		} else if (str_starts(x->left, STR("<!--"))) {
			skip(x, 4);
			if (!skip_past(x, STR("-->"), &between))
				return bad(x);
		} else if (str_starts(x->left, STR("<![CDATA["))) {
			skip(x, 9);
			if (!x->depth || !skip_past(x, STR("]]>"), &between))
				return bad(x);
			buf_addstr(&x->text, between);
			return XML_TEXT;
		} else if (str_starts(x->left, STR("<!"))) {
			return bad(x);
		} else if (str_starts(x->left, STR("</"))) {
			skip(x, 2);
			return close_tag(x);
		} else {
			skip(x, 1);
			return open_tag(x);
		}
	}
	return x->depth || !x->root ? bad(x) : XML_END;
}

bool xml_find(struct str doc, const char *path, struct buf *out)
{
	struct xml x;
	enum xml_kind k;
	const char *rest = path;
	unsigned on = 0; /* open elements, from the root on, that are on the path */
	bool found = false;

	xml_init(&x, doc);
	while (!found && (k = xml_next(&x)) < XML_END) {
		size_t n = strcspn(rest, "/");

		if (k == XML_OPEN && x.depth == on + 1 && str_eq(x.name, str_mem(rest, n))) {
			on++;
			rest += n + (rest[n] == '/');
		} else if (k == XML_TEXT && !*rest && x.depth == on) {
			buf_addstr(out, buf_str(&x.text));
		} else if (k == XML_CLOSE && x.depth < on) {
			found = !*rest;
			if (!found) { /* another of the same name may follow */
				on--;
				rest -= x.name.len + (rest != path && rest[-1] == '/');
			}
		}
	}
	xml_free(&x);
	return found;
}

void xml_escape(struct buf *out, struct str s)
{
	for (size_t k = 0; k < s.len; k++) {
		char c = s.ptr[k];

		if (c == '<')
			buf_adds(out, "&lt;");
		else if (c == '>')
			buf_adds(out, "&gt;");
		else if (c == '&')
			buf_adds(out, "&amp;");
		else if ((unsigned char)c < 0x20)
			buf_addf(out, "&#%d;", c);
		else
			buf_addc(out, c);
	}
}
