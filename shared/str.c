/*
 * str.c - slices and the few conversions that everyone needs. No locale, no allocation but str_dup.
 */
#include "str.h"

#include "xalloc.h"

struct str str_c(const char *s)
{
	return s ? (struct str){.ptr = s, .len = strlen(s)} : STR_NULL;
}

struct str str_mem(const void *p, size_t n)
{
	return (struct str){.ptr = p, .len = n};
}

bool str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool str_eqc(struct str a, const char *b)
{
	return str_eq(a, str_c(b));
}

int str_cmp(struct str a, struct str b)
{
	size_t n = MIN(a.len, b.len);
	int c = n ? memcmp(a.ptr, b.ptr, n) : 0;

	return c ? c : (a.len > b.len) - (a.len < b.len);
}

bool str_starts(struct str s, struct str prefix)
{
	return s.len >= prefix.len && str_eq(str_mem(s.ptr, prefix.len), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
	return s.len >= suffix.len && str_eq(str_mem(s.ptr + s.len - suffix.len, suffix.len), suffix);
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
	while (s.len && blank(s.ptr[0]))
		s = str_mem(s.ptr + 1, s.len - 1);
	while (s.len && blank(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

char *str_dup(struct str s)
{
	return xstrndup(s.ptr, s.len);
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool str_ieq(struct str a, struct str b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (lower(a.ptr[i]) != lower(b.ptr[i]))
			return false;
	return true;
}

int str_to_u64(struct str s, uint64_t *out)
{
	uint64_t v = 0;

	if (!s.len)
		return -1;
	for (size_t i = 0; i < s.len; i++) {
		unsigned d = (unsigned)(unsigned char)s.ptr[i] - '0';

		if (d > 9 || v > (UINT64_MAX - d) / 10)
			return -1;
		v = v * 10 + d;
	}
	*out = v;
	return 0;
}

int str_to_i64(struct str s, int64_t *out)
{
	bool neg = s.len && s.ptr[0] == '-';
	uint64_t v;

	if (neg)
		s = str_mem(s.ptr + 1, s.len - 1);
	if (str_to_u64(s, &v) || v > (uint64_t)INT64_MAX + neg)
		return -1;
	*out = neg ? (int64_t)(0 - v) : (int64_t)v;
	return 0;
}

/* number and unit; both parsers share it */
static size_t split_unit(struct str s, struct str *unit)
{
	size_t n = 0;

	while (n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9')
		n++;
	*unit = str_trim(str_mem(s.ptr + n, s.len - n));
	return n;
}

int str_to_bytes(struct str s, uint64_t *out)
{
	static const char units[] = "KMGT";
	struct str unit;
	size_t n = split_unit(str_trim(s), &unit);
	uint64_t v, mul = 1;

	s = str_trim(s);
	if (str_to_u64(str_mem(s.ptr, n), &v))
		return -1;
	if (unit.len && unit.ptr[0] != 'B') {
		const char *p = memchr(units, unit.ptr[0] & ~0x20, sizeof(units) - 1);

		if (!p)
			return -1;
		mul = UINT64_C(1) << (10 * (p - units + 1));
		unit = str_mem(unit.ptr + 1, unit.len - 1);
	}
	if (unit.len && !str_eqc(unit, "B") && !str_eqc(unit, "iB"))
		return -1;
	if (v > UINT64_MAX / mul)
		return -1;
	*out = v * mul;
	return 0;
}

int str_to_duration(struct str s, int64_t *ns)
{
	static const struct {
		const char *name;
		int64_t ns;
	} units[] = {{"ms", NSEC_PER_MSEC}, {"s", NSEC_PER_SEC}, {"", NSEC_PER_SEC}, {"m", 60 * NSEC_PER_SEC},
		{"h", 3600 * NSEC_PER_SEC}, {"d", 86400 * NSEC_PER_SEC}};
	struct str unit;
	size_t n = split_unit(str_trim(s), &unit);
	uint64_t v;

	if (str_to_u64(str_mem(str_trim(s).ptr, n), &v))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (str_eqc(unit, units[i].name)) {
			if (v > (uint64_t)(INT64_MAX / units[i].ns))
				return -1;
			*ns = (int64_t)v * units[i].ns;
			return 0;
		}
	return -1;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int str_from_hex(struct str s, void *out, size_t n)
{
	unsigned char *p = out;

	if (s.len != 2 * n)
		return -1;
	for (size_t i = 0; i < n; i++) {
		int hi = hex_digit(s.ptr[2 * i]), lo = hex_digit(s.ptr[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -1;
		p[i] = (unsigned char)(hi << 4 | lo);
	}
	return 0;
}

int str_copy(char *dst, size_t size, struct str s)
{
	size_t n = MIN(s.len, size - 1);

	if (n)
		memcpy(dst, s.ptr, n);
	dst[n] = '\0';
	return n < s.len ? -1 : 0;
}

uint64_t str_hash(struct str s)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.ptr[i]) * UINT64_C(1099511628211);
	return h;
}
