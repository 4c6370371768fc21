/*
 * 8001-table.c - the console's text by columns (escapes, widths, cutting) and its table (order, filter, selection, column widths), without a terminal.
 */
#include <locale.h>

#include "tap.h"
#include "tui/cells.h"
#include "tui/table.h"
#include "tui/view.h"

static const char *clean(const char *s, bool data)
{
	static struct buf b;

	buf_truncate(&b, 0);
	cells_clean(&b, str_c(s), data);
	return buf_cstr(&b);
}

static const char *pad(const char *s, size_t width, bool right)
{
	static struct buf b;

	buf_truncate(&b, 0);
	cells_pad(&b, s, width, right);
	return buf_cstr(&b);
}

static void test_clean(void)
{
	struct str half = str_mem("a\xe6\x97", 3);
	struct buf b = BUF_INIT;

	is_str("plain text", clean("plain text", false), "plain text stays");
	is_str("a b", clean("a\n\tb", false), "line breaks are one blank in a text");
	is_str("a b  c", clean("a \n b  c", false), "also with blanks around them; other blanks stay");
	is_str("a\\n\\tb", clean("a\n\tb", true), "and escaped in data");
	is_str("\\x1b[31mred\\x07", clean("\033[31mred\a", false), "escape and bell never pass");
	is_str("\\x9b31m", clean("\xc2\x9b" "31m", false), "neither does the C1 form of CSI");
	is_str("\\xff\\xc0\\xaf", clean("\xff\xc0\xaf", false), "bytes that are no UTF-8, overlong ones too");
	is_str("\\xed\\xa0\\x80", clean("\xed\xa0\x80", false), "a surrogate is no character");
	is_str("a\\u202eb", clean("a\u202eb", false), "text direction cannot be turned");
	is_str("日本 é e\u0301", clean("日本 é e\u0301", false), "wide characters and accents stay");
	is_str("\\u0301x", clean("\u0301x", false), "a mark without a base is shown as an escape");
	is_str("a\u0301\u0301\u0301\\u0301", clean("a\u0301\u0301\u0301\u0301", false), "a tower of marks is cut");
	is_str("☀x", clean("☀\ufe0fx", false), "variation selectors are dropped");
	cells_clean(&b, half, false);
	is_str("a\\xe6\\x97", buf_cstr(&b), "a character that is cut off at the end");
	is_str(clean("\033]0;x\a\u202e\xff", true), clean(clean("\033]0;x\a\u202e\xff", true), true), "clean text is left as it is");
	buf_free(&b);
}

static void test_width(void)
{
	const char *rest;

	is_int(6, (int64_t)cells_width("日本語"), "wide characters take two columns");
	is_int(1, (int64_t)cells_width("e\u0301"), "a mark takes none");
	is_str("ab   ", pad("ab", 5, false), "padded");
	ok(strcmp(pad("ab", 5, true), "   ab") == 0, "figures are padded on the left");
	is_str("abc…", pad("abcdef", 4, false), "cut with an ellipsis");
	is_str("日… ", pad("日本語", 4, false), "a wide character is not split: blank after the ellipsis");
	is_str("日本", pad("日本", 4, false), "what fits exactly is not cut");
	is_int(5, (int64_t)cells_wrap("hello world", 8, &rest), "wrapped at the blank");
	is_str("world", rest, "the rest begins at the next word");
	is_int(8, (int64_t)cells_wrap("0123456789", 8, &rest), "a long word is cut");
	is_int(3, (int64_t)cells_wrap("abc", 8, &rest), "the last line");
	ok(rest == NULL, "has no rest");
	is_int(3, (int64_t)cells_wrap("日本", 1, &rest), "a character wider than the line is taken all the same");
}

static void figure(const char *wanted, void (*fn)(struct buf *, int64_t), int64_t n)
{
	struct buf b = BUF_INIT;

	fn(&b, n);
	is_str(wanted, buf_cstr(&b), "%" PRId64 " is %s", n, wanted);
	buf_free(&b);
}

static void test_figures(void)
{
	struct buf b = BUF_INIT;
	const double rising[] = {0, 1, 4, 8}, flat[] = {100, 101, 100};

	figure("0", cells_count, 0);
	figure("812,004", cells_count, 812004);
	figure("999,999", cells_count, 999999);
	figure("1.2M", cells_count, 1200000);
	figure("-1,234", cells_count, -1234);
	figure("9.2E", cells_count, INT64_MAX);
	figure("100B", cells_bytes, 100);
	figure("1.5K", cells_bytes, 1536);
	figure("412M", cells_bytes, 432013312);
	figure("0B", cells_bytes, -5);
	cells_rate(&b, 11600);
	buf_addc(&b, ' ');
	cells_rate(&b, 0);
	is_str("11.6k/s 0/s", buf_cstr(&b), "rates");
	buf_truncate(&b, 0);
	cells_spark(&b, rising, 4);
	is_str("▁▂▅█", buf_cstr(&b), "a rising line");
	buf_truncate(&b, 0);
	cells_spark(&b, flat, 3);
	is_str("▂▂▂", buf_cstr(&b), "what hardly moves is low");
	buf_truncate(&b, 0);
	cells_shell(&b, "it's $HOME");
	is_str("'it'\\''s $HOME'", buf_cstr(&b), "quoted for a shell");
	buf_free(&b);
}

/* --- the table, by way of the list of JSON objects that all screens use --- */

static const struct table_column columns[] = {{"", 4, 4, false, 0}, {"TABLE", 10, 0, false, 0}, {"LAG", 6, 6, true, 1}, {"WAITING", 8, 8, true, 2}};
static const struct list_field fields[] = {{"state", LIST_STATE}, {"", LIST_TABLE}, {"lag_s", LIST_LAG}, {"waiting", LIST_COUNT}};
static const char *const ids[] = {"source", "table", NULL};

static const char *order(const struct list *l)
{
	static char text[200];
	size_t at = 0;

	text[0] = '\0';
	for (size_t k = 0; k < l->t.n; k++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", k ? " " : "", mj_str(json_array_get(l->items, l->t.order[k]), "table"));
	return text;
}

static json_t *rows(const char *text)
{
	json_error_t e;
	json_t *v = json_loads(text, 0, &e);

	if (!v)
		bail("the test's JSON: %s", e.text);
	return v;
}

#define ROW(t, lag, waiting) "{\"source\":\"s\",\"table\":\"" t "\",\"lag_s\":" lag ",\"waiting\":" waiting ",\"state\":\"ok\"}"

static void test_table(void)
{
	struct list l;
	struct err e = ERR_INIT;

	list_init(&l, columns, fields, ARRAY_LEN(columns), ids);
	list_take(&l, rows("[" ROW("c", "9.5", "1") "," ROW("a", "3", "70") "," ROW("b", "5", "7") "]"), 0);
	is_str("c a b", order(&l), "in the order given");
	is_str("c", mj_str(list_item(&l), "table"), "the first row is selected");
	list_take(&l, rows("[" ROW("b", "5", "7") "," ROW("c", "1", "1") "," ROW("a", "3", "70") "]"), 0);
	is_str("b", mj_str(list_item(&l), "table"), "and stays the first one as long as nobody moved");
	table_move(&l.t, 1);
	list_take(&l, rows("[" ROW("c", "9", "1") "," ROW("b", "5", "7") "," ROW("a", "3", "70") "]"), 0);
	is_str("c", mj_str(list_item(&l), "table"), "then the selection stays on its row");
	table_sort_next(&l.t);
	table_sort_next(&l.t);
	is_str("a b c", order(&l), "sorted by name");
	is_str("c", mj_str(list_item(&l), "table"), "sorting keeps the row");
	table_sort_next(&l.t);
	is_str("c b a", order(&l), "by lag, the longest first");
	table_sort_next(&l.t);
	is_str("a b c", order(&l), "by waiting, the most first");
	table_sort_next(&l.t);
	is_str("c b a", order(&l), "and back to the order given");
	ok(table_filter(&l.t, "s\\.(a|b)", &e) == 0, "a filter");
	is_str("b a", order(&l), "shows what matches");
	ok(table_filter(&l.t, "!S\\.A", &e) == 0, "an inverse one, without case");
	is_str("c b", order(&l), "hides what matches");
	ok(table_filter(&l.t, "(", &e) == -1 && e.text[0], "a broken one is refused");
	is_str("c b", order(&l), "and changes nothing");
	ok(table_filter(&l.t, "", &e) == 0, "an empty one");
	is_str("c b a", order(&l), "shows all");
	table_last(&l.t);
	list_take(&l, NULL, 0);
	ok(list_item(&l) == NULL, "no rows, no selection");
	table_move(&l.t, 1);
	list_free(&l);
}

static void test_layout(void)
{
	struct table t;
	int w[TABLE_COLUMNS];

	table_init(&t, NULL, NULL, columns, ARRAY_LEN(columns));
	table_widths(&t, 80, w);
	is_int(80 - 4 - 6 - 8 - 3, w[1], "the name takes what is left");
	table_widths(&t, 28, w);
	ok(w[3] == 0 && w[2] == 6 && w[1] == 28 - 4 - 6 - 2, "the least important column goes first");
	table_widths(&t, 15, w);
	ok(w[2] == 0 && w[1] == 10 && w[0] == 4, "then the next");
	table_widths(&t, 9, w);
	ok(w[0] + w[1] + 1 <= 9 && w[0] > 0 && w[1] > 0, "what must stay is made narrower");
	t.n = 100;
	t.sel = 50;
	table_scroll(&t, 10);
	is_int(41, (int64_t)t.top, "scrolled so that the selection is the last row");
	t.sel = 5;
	table_scroll(&t, 10);
	is_int(5, (int64_t)t.top, "and up again");
	t.n = 7;
	table_scroll(&t, 10);
	is_int(0, (int64_t)t.top, "no empty rows below");
	table_free(&t);
}

static void test_odd_json(void)
{
	struct list l;
	struct buf b = BUF_INIT;
	struct target t;
	json_t *p;

	list_init(&l, columns, fields, ARRAY_LEN(columns), ids);
	list_take(&l, rows("[null, 5, \"x\", [], {}, {\"table\":7,\"lag_s\":\"long\",\"waiting\":1e300,\"state\":{}}]"), 0);
	is_int(6, (int64_t)l.t.n, "rows of another shape are rows");
	for (size_t k = 0; k < 6; k++)
		for (unsigned c = 0; c < ARRAY_LEN(columns); c++)
			l.t.ops->cell(&l, k, c, &b);
	for (int k = 0; k < 5; k++)
		table_sort_next(&l.t);
	ok(b.len > 0, "and all cells say something");
	list_free(&l);
	p = rows("{\"object\":\"table shop.a -> b.c -> pg\"}");
	target_of_problem(p, &t);
	ok(t.kind == T_TABLE && !strcmp(t.source, "shop") && !strcmp(t.table, "a -> b.c") && !strcmp(t.destination, "pg"), "a table with an arrow in its name");
	json_decref(p);
	p = rows("{\"object\":12}");
	target_of_problem(p, &t);
	ok(t.kind == T_NONE, "an object that is no text");
	json_decref(p);
	p = rows("{\"t\":1764036961000000001,\"big\":9223372036854775807,\"real\":-1e300}");
	is_int(INT64_C(1764036961000000001), mj_int(p, "t"), "a time of these days is read to the nanosecond");
	ok(mj_int(p, "big") - mj_int(p, "real") > 0, "what is beyond all measure can be subtracted");
	json_decref(p);
	is_int(0, mj_int(NULL, "a.b"), "nothing is 0");
	is_str("", mj_str(NULL, "a.b"), "or empty");
	buf_free(&b);
}

int main(void)
{
	plan_lazy();
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		skip_all("there is no C.UTF-8");
	cells_setup(false);
	test_clean();
	test_width();
	test_figures();
	test_table();
	test_layout();
	test_odd_json();
	cells_setup(true);
	is_str("a > b ~ #", clean("a → b … █", false), "in ASCII");
	return done_testing();
}
