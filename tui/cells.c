/*
 * cells.c - text as columns: a UTF-8 reader that lets nothing through that a terminal could take for a command, widths by wcwidth(), and the
 * few ways in which the console writes figures.
 *
 * What can go wrong: a terminal that joins emoji to one glyph shows fewer columns than wcwidth() counts, so joiners are shown as escapes and
 * variation selectors are dropped; a base with a tower of combining marks would not fit ncurses' cell, so a few are kept.
 */
#include "cells.h"

#include <wchar.h>

#include "timefmt.h"

#define MARKS_MAX 3

static bool ascii_only;

void cells_setup(bool ascii)
{
	ascii_only = ascii;
}

bool cells_ascii(void)
{
	return ascii_only;
}

bool cells_next(struct str *s, int32_t *ch, unsigned char *byte)
{
	static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *p = (const unsigned char *)s->ptr;
	size_t n;
	int32_t c;

	if (!s->len)
		return false;
	*byte = p[0];
	n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;
	c = n < 2 ? p[0] : p[0] & (0xff >> (n + 1));
	for (size_t i = 1; i < n && n <= s->len; i++)
		c = (p[i] & 0xc0) == 0x80 && c >= 0 ? c << 6 | (p[i] & 0x3f) : -1;
	if (!n || n > s->len || c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
		c = -1;
		n = 1;
	}
	*ch = c;
	*s = str_mem(s->ptr + n, s->len - n);
	return true;
}

/* What the console itself draws, and what it is called in ASCII. */
static char in_ascii(int32_t c)
{
	static const struct {
		int32_t c;
		char a;
	} list[] = {{0x2026, '~'}, {0xb7, '-'}, {0x2192, '>'}, {0x25b6, '>'}, {0x2500, '-'}, {0x2502, '|'}, {0x2581, '_'}, {0x2582, '.'},
		{0x2583, ':'}, {0x2584, '-'}, {0x2585, '='}, {0x2586, '+'}, {0x2587, '*'}, {0x2588, '#'}, {0x2013, '-'}};

	for (size_t k = 0; k < ARRAY_LEN(list); k++)
		if (list[k].c == c)
			return list[k].a;
	return '\0';
}

static bool invisible(int32_t c)
{
	return c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
	       (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe01ef);
}

static bool showable(int32_t c)
{
	mbstate_t st;
	char room[16];

	memset(&st, 0, sizeof(st));
	return c >= 0x20 && c != 0x7f && !(c >= 0x80 && c < 0xa0) && !invisible(c) && wcwidth((wchar_t)c) >= 0 && wcrtomb(room, (wchar_t)c, &st) != (size_t)-1;
}

static void escape(struct buf *out, int32_t c)
{
	if (c == '\n')
		buf_adds(out, "\\n");
	else if (c == '\t')
		buf_adds(out, "\\t");
	else if (c == '\r')
		buf_adds(out, "\\r");
	else if (c < 0x100)
		buf_addf(out, "\\x%02x", (unsigned)c);
	else
		buf_addf(out, c > 0xffff ? "\\U%06x" : "\\u%04x", (unsigned)c);
}

void cells_clean(struct buf *out, struct str s, bool data)
{
	unsigned char byte;
	unsigned marks = MARKS_MAX; /* a mark without a base is shown as an escape */
	char last = 'x'; /* 'b': a blank that was something else, ' ': a blank */
	const char *at;
	int32_t c;

	for (at = s.ptr; cells_next(&s, &c, &byte); at = s.ptr) {
		bool space = !data && (c == '\n' || c == '\t' || c == '\r');

		if (space) {
			if (last == 'x')
				buf_addc(out, ' ');
			marks = 0;
		} else if (c == ' ' && last == 'b') {
			continue;
		} else if (c >= 0xfe00 && c <= 0xfe0f) {
			continue;
		} else if (c >= 0 && ascii_only && in_ascii(c)) {
			buf_addc(out, in_ascii(c));
			marks = 0;
		} else if (c < 0) {
			buf_addf(out, "\\x%02x", byte);
		} else if (!showable(c) || (wcwidth((wchar_t)c) == 0 && marks++ >= MARKS_MAX)) {
			escape(out, c);
		} else {
			buf_add(out, at, (size_t)(s.ptr - at));
			if (wcwidth((wchar_t)c) > 0)
				marks = 0;
		}
		last = space ? 'b' : c == ' ' ? ' ' : 'x';
	}
}

static size_t width_of(int32_t c)
{
	int w = c < 0 ? 1 : wcwidth((wchar_t)c);

	return w < 0 ? 1 : (size_t)w;
}

size_t cells_width(const char *clean)
{
	size_t columns;

	cells_fit(clean, SIZE_MAX, &columns);
	return columns;
}

size_t cells_fit(const char *clean, size_t max, size_t *columns)
{
	struct str s = str_c(clean);
	unsigned char byte;
	size_t bytes = 0;
	int32_t c;

	*columns = 0;
	while (cells_next(&s, &c, &byte)) {
		if (*columns + width_of(c) > max)
			break;
		*columns += width_of(c);
		bytes = (size_t)(s.ptr - clean);
	}
	return bytes;
}

static void blanks(struct buf *out, size_t n)
{
	while (n--)
		buf_addc(out, ' ');
}

void cells_pad(struct buf *out, const char *clean, size_t width, bool right)
{
	size_t columns, bytes = cells_fit(clean, width, &columns);
	bool cut = clean[bytes] != '\0';

	if (cut && width)
		bytes = cells_fit(clean, width - 1, &columns);
	if (right && !cut)
		blanks(out, width - columns);
	buf_add(out, clean, bytes);
	if (cut && width) {
		buf_adds(out, ascii_only ? "~" : "…");
		columns++;
	}
	if (!right || cut)
		blanks(out, width - columns);
}

size_t cells_wrap(const char *clean, size_t max, const char **rest)
{
	size_t columns, bytes = cells_fit(clean, max, &columns), at;

	*rest = NULL;
	if (!clean[bytes])
		return bytes;
	if (!bytes) { /* a character that is wider than the line */
		struct str s = str_c(clean);
		unsigned char byte;
		int32_t c;

		if (cells_next(&s, &c, &byte))
			bytes = (size_t)(s.ptr - clean);
	}
	for (at = bytes; at > 0 && clean[at] != ' '; at--)
		;
	/* a word that is longer than half a line is cut */
	if (at > bytes / 2)
		bytes = at;
	*rest = clean + bytes;
	while (**rest == ' ')
		(*rest)++;
	if (!**rest)
		*rest = NULL;
	return bytes;
}

/* --- figures --- */

static void scaled(struct buf *out, double v, double step, const char *units)
{
	size_t k = 0;

	while (v >= step * 0.9995 && units[k + 1]) {
		v /= step;
		k++;
	}
	/* "9.96" would become 10.0 */
	buf_addf(out, v < 99.95 && k ? "%.1f" : "%.0f", v);
	if (units[k] != ' ')
		buf_addc(out, units[k]);
}

void cells_count(struct buf *out, int64_t n)
{
	char digits[24];
	size_t len;

	if (n < 0) {
		buf_addc(out, '-');
		n = n == INT64_MIN ? INT64_MAX : -n;
	}
	if (n >= 1000000) {
		scaled(out, (double)n, 1000, " kMGTPE");
		return;
	}
	len = (size_t)snprintf(digits, sizeof(digits), "%" PRId64, n);
	for (size_t k = 0; k < len; k++) {
		if (k && (len - k) % 3 == 0)
			buf_addc(out, ',');
		buf_addc(out, digits[k]);
	}
}

void cells_rate(struct buf *out, double per_s)
{
	if (!(per_s > 0.05))
		buf_adds(out, "0");
	else if (per_s < 9.95)
		buf_addf(out, "%.1f", per_s);
	else
		scaled(out, per_s, 1000, " kMGTPE");
	buf_adds(out, "/s");
}

void cells_bytes(struct buf *out, int64_t n)
{
	scaled(out, n < 0 ? 0 : (double)n, 1024, " KMGTPE");
	if (n < 1024)
		buf_addc(out, 'B');
}

void cells_span(struct buf *out, int64_t ns)
{
	char text[TIMEFMT_MAX];

	if (ns <= 0) {
		buf_adds(out, "0s");
		return;
	}
	timefmt_span(ns, text);
	buf_adds(out, text);
}

void cells_seconds(struct buf *out, double s)
{
	/* to the millisecond: 3.9 s are not 3.899999999 */
	cells_span(out, (int64_t)((s > 0 ? MIN(s, 1e9) : 0) * 1000.0) * NSEC_PER_MSEC);
}

void cells_time(struct buf *out, int64_t ns, int64_t now_ns, bool seconds)
{
	time_t t = (time_t)(ns / NSEC_PER_SEC);
	int64_t away = now_ns > ns ? now_ns - ns : ns - now_ns;
	struct tm tm;
	char text[64];

	if (!ns || !localtime_r(&t, &tm) || !strftime(text, sizeof(text), away > 20 * 3600 * NSEC_PER_SEC ? "%Y-%m-%d %H:%M" : seconds ? "%H:%M:%S" : "%H:%M", &tm))
		buf_addc(out, '-');
	else
		buf_adds(out, text);
}

void cells_spark(struct buf *out, const double *v, size_t n)
{
	double most = 0, least = n ? v[0] : 0;

	for (size_t k = 0; k < n; k++) {
		most = v[k] > most ? v[k] : most;
		least = v[k] < least ? v[k] : least;
	}
	for (size_t k = 0; k < n; k++) {
		unsigned level = most > 0 && v[k] > 0 ? (unsigned)(v[k] / most * 7.0 + 0.5) : 0;

		/* what hardly moves is a low line, not a wall */
		if (level && most - least <= most * 0.1)
			level = 1;
		buf_adds(out, "\xe2\x96");
		buf_addc(out, (char)(0x81 + MIN(level, 7)));
	}
}

void cells_shell(struct buf *out, const char *s)
{
	if (*s && s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+./:=@%,")] == '\0') {
		buf_adds(out, s);
		return;
	}
	buf_addc(out, '\'');
	for (; *s; s++) {
		if (*s == '\'')
			buf_adds(out, "'\\''");
		else
			buf_addc(out, *s);
	}
	buf_addc(out, '\'');
}
