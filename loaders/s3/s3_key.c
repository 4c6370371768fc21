/*
 * s3_key.c - the names of objects, as Stitch documents them: elements in brackets, anything else as it stands. No name ever has an empty part (two slashes), so an integration
 * without a name leaves none behind.
 *
 * What can go wrong: two loads with one name would overwrite each other; so the four elements that tell them apart must be there, and numbers may not touch. A sender's name with
 * a slash in it would look like a subtable: it becomes an underscore.
 */
#include "loaders/s3/s3_key.h"

#include "timefmt.h"
#include "xalloc.h"

#define KEY_MAX 1024
#define TIMESTAMP_DIGITS 13 /* ms from 2001 to 2286 */

static const struct { const char *name; bool must, number; } elements[KEY_ELEMENTS] = {
	[KEY_INTEGRATION] = {"integration_name", true, false}, [KEY_TABLE] = {"table_name", true, false}, [KEY_VERSION] = {"table_version", true, true},
	[KEY_TIMESTAMP] = {"timestamp_loaded", true, true}, [KEY_YEAR] = {"year_loaded", false, true}, [KEY_MONTH] = {"month_loaded", false, true},
	[KEY_DAY] = {"day_loaded", false, true}, [KEY_HOUR] = {"hour_loaded", false, true}, [KEY_FORMAT] = {"csv|jsonl", false, false},
};

static int add_piece(struct key_template *t, enum key_element el, struct str text, struct err *e)
{
	if (t->n == KEY_PIECES)
		return err_set(e, ERR_CONFIG, "key_template has more than %d parts", KEY_PIECES);
	/* a year and its month may touch: they have a fixed length */
	if (t->n && elements[el].number && elements[t->piece[t->n - 1].e].number && (el <= KEY_TIMESTAMP || t->piece[t->n - 1].e <= KEY_TIMESTAMP))
		return err_set(e, ERR_CONFIG, "key_template: put a character between [%s] and [%s]", elements[t->piece[t->n - 1].e].name, elements[el].name);
	t->piece[t->n].e = el;
	t->piece[t->n++].text = text;
	return 0;
}

static int add_element(struct key_template *t, struct str name, struct err *e)
{
	for (unsigned k = KEY_TEXT + 1; k < KEY_ELEMENTS; k++)
		if (str_eqc(name, elements[k].name))
			return add_piece(t, (enum key_element)k, STR_NULL, e);
	return err_set(e, ERR_CONFIG,
		"key_template has the element [%.*s], which is not one of integration_name, table_name, table_version, timestamp_loaded, year_loaded, month_loaded, day_loaded, hour_loaded and csv|jsonl",
		(int)MIN(name.len, (size_t)60), name.ptr);
}

static bool has(const struct key_template *t, enum key_element el)
{
	for (size_t k = 0; k < t->n; k++)
		if (t->piece[k].e == el)
			return true;
	return false;
}

static bool ends_with_format(const struct key_template *t)
{
	const char *dot = t->format;
	struct str last = t->n ? t->piece[t->n - 1].text : STR_NULL;

	return (t->n && t->piece[t->n - 1].e == KEY_FORMAT) || (last.len > strlen(dot) && str_ends(last, str_c(dot)) && last.ptr[last.len - strlen(dot) - 1] == '.');
}

static int parse(struct key_template *t, struct err *e)
{
	struct str left = str_c(t->text);

	while (left.len) {
		const char *open = memchr(left.ptr, '[', left.len), *close;
		size_t n = open ? (size_t)(open - left.ptr) : left.len;

		if (n && add_piece(t, KEY_TEXT, str_mem(left.ptr, n), e))
			return -1;
		left = str_mem(left.ptr + n, left.len - n);
		if (!left.len)
			break;
		close = memchr(left.ptr, ']', left.len);
		if (!close)
			return err_set(e, ERR_CONFIG, "key_template has a [ without its ]");
		if (add_element(t, str_mem(left.ptr + 1, (size_t)(close - left.ptr) - 1), e))
			return -1;
		left = str_mem(close + 1, left.len - (size_t)(close + 1 - left.ptr));
	}
	for (unsigned k = 0; k < KEY_ELEMENTS; k++)
		if (elements[k].must && !has(t, (enum key_element)k))
			return err_set(e, ERR_CONFIG, "key_template lacks [%s], without which files would overwrite each other", elements[k].name);
	if (!ends_with_format(t))
		return add_piece(t, KEY_TEXT, STR("."), e) || add_piece(t, KEY_FORMAT, STR_NULL, e) ? -1 : 0;
	return 0;
}

int key_template_parse(const char *text, const char *format, struct key_template *out, struct err *e)
{
	*out = (struct key_template){.format = format, .text = xstrdup(text)};
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f) {
			key_template_free(out);
			return err_set(e, ERR_CONFIG, "key_template holds a control character");
		}
	if (parse(out, e) == 0)
		return 0;
	key_template_free(out);
	return -1;
}

void key_template_free(struct key_template *t)
{
	free(t->text);
	*t = (struct key_template){.n = 0};
}

void key_table_name(struct buf *out, struct str name)
{
	bool dots = str_eqc(name, ".") || str_eqc(name, "..");

	for (size_t k = 0; k < name.len; k++) {
		unsigned char c = (unsigned char)name.ptr[k];

		buf_addc(out, c < 0x20 || c == 0x7f || c == '/' || dots ? '_' : (char)c);
	}
}

/* No slash at the beginning, none after another. */
static void put(struct buf *out, struct str s)
{
	for (size_t k = 0; k < s.len; k++)
		if (s.ptr[k] != '/' || (out->len && out->data[out->len - 1] != '/'))
			buf_addc(out, s.ptr[k]);
}

static void put_time(struct buf *out, enum key_element el, int64_t load_time)
{
	int64_t seconds = load_time / NSEC_PER_SEC, year;
	unsigned month, day;

	timefmt_civil(seconds / 86400, &year, &month, &day);
	if (el == KEY_TIMESTAMP)
		buf_addf(out, "%0*" PRId64, TIMESTAMP_DIGITS, load_time / NSEC_PER_MSEC);
	else if (el == KEY_YEAR)
		buf_addf(out, "%04" PRId64, year);
	else
		buf_addf(out, "%02u", el == KEY_MONTH ? month : el == KEY_DAY ? day : (unsigned)(seconds % 86400 / 3600));
}

static void put_piece(struct buf *out, const struct key_template *t, size_t k, const struct key_parts *p)
{
	struct buf name = BUF_INIT;

	switch (t->piece[k].e) {
	case KEY_TEXT:
		put(out, t->piece[k].text);
		break;
	case KEY_INTEGRATION:
		key_table_name(&name, str_c(p->schema));
		put(out, buf_str(&name));
		break;
	case KEY_TABLE:
		put(out, str_c(p->table));
		break;
	case KEY_VERSION:
		buf_addf(out, "%" PRId64, p->version ? p->version : 1);
		break;
	case KEY_FORMAT:
		buf_adds(out, t->format);
		break;
	default:
		put_time(out, t->piece[k].e, p->load_time);
		break;
	}
	buf_free(&name);
}

int key_make(const struct key_template *t, const struct key_parts *p, struct buf *out, struct err *e)
{
	for (size_t k = 0; k < t->n; k++)
		put_piece(out, t, k, p);
	if (out->len > KEY_MAX)
		return err_set(e, ERR_DATA, "the name of a file of table %.100s would have %zu bytes, and S3 takes %d", p->table, out->len, KEY_MAX);
	return 0;
}

void key_prefix(const struct key_template *t, const char *schema, const char *table, struct buf *out)
{
	struct key_parts p = {.schema = schema, .table = table};

	for (size_t k = 0; k < t->n && !elements[t->piece[k].e].number; k++)
		put_piece(out, t, k, &p);
}

void key_beginning(const struct key_template *t, struct buf *out)
{
	if (t->n && t->piece[0].e == KEY_TEXT)
		put(out, t->piece[0].text);
}

/* Digits at the front of s: n of them, or all when n is 0. */
static bool digits(struct str *s, size_t n, int64_t *value)
{
	size_t k = 0;

	while (k < s->len && (!n || k < n) && s->ptr[k] >= '0' && s->ptr[k] <= '9')
		k++;
	if (!k || (n && k < n) || str_to_i64(str_mem(s->ptr, k), value))
		return false;
	*s = str_mem(s->ptr + k, s->len - k);
	return true;
}

bool key_is_of(const struct key_template *t, const char *schema, const char *table, const char *key, int64_t *loaded)
{
	struct key_parts p = {.schema = schema, .table = table};
	struct str left = str_c(key);
	struct buf sofar = BUF_INIT;
	bool fits = true;

	for (size_t k = 0; k < t->n && fits; k++) {
		enum key_element el = t->piece[k].e;
		size_t before = sofar.len;
		int64_t v = 0;

		if (elements[el].number) {
			fits = digits(&left, el == KEY_VERSION ? 0 : el == KEY_TIMESTAMP ? TIMESTAMP_DIGITS : el == KEY_YEAR ? 4 : 2, &v);
			buf_addc(&sofar, '0'); /* not a slash */
			if (el == KEY_TIMESTAMP)
				*loaded = v;
			continue;
		}
		put_piece(&sofar, t, k, &p);
		fits = str_starts(left, str_mem(sofar.data + before, sofar.len - before));
		if (fits)
			left = str_mem(left.ptr + (sofar.len - before), left.len - (sofar.len - before));
	}
	buf_free(&sofar);
	return fits && !left.len;
}
