/*
 * 6012-s3-key.c - names of objects: templates good and bad, filled, recognised again; rows of CSV and JSON lines.
 */
#include "loaders/s3/s3_key.h"
#include "loaders/s3/s3_text.h"
#include "tap.h"
#include "xalloc.h"

#define TIME (INT64_C(1700000000123) * NSEC_PER_MSEC) /* 2023-11-14 22:13:20 */

static void makes(const char *template, const char *format, const char *schema, const char *table, int64_t version, const char *wanted)
{
	struct key_parts p = {.schema = schema, .table = table, .version = version, .load_time = TIME};
	struct key_template t;
	struct err e = ERR_INIT;
	struct buf out = BUF_INIT, prefix = BUF_INIT, first = BUF_INIT;
	int64_t loaded = 0;

	if (key_template_parse(template, format, &t, &e))
		bail("%s: %s", template, e.text);
	is_int(0, key_make(&t, &p, &out, &e), "%s", template);
	is_str(wanted, buf_cstr(&out), "is");
	key_prefix(&t, schema, table, &prefix);
	key_beginning(&t, &first);
	ok(str_starts(buf_str(&out), buf_str(&prefix)) && str_starts(buf_str(&prefix), buf_str(&first)), "begins with %s", buf_cstr(&prefix));
	ok(key_is_of(&t, schema, table, buf_cstr(&out), &loaded) && loaded == TIME / NSEC_PER_MSEC, "is known again, with its time");
	ok(!key_is_of(&t, schema, "other", buf_cstr(&out), &loaded), "as one of this table only");
	buf_addc(&out, 'x');
	ok(!key_is_of(&t, schema, table, buf_cstr(&out), &loaded), "whole");
	key_template_free(&t);
	buf_free(&out);
	buf_free(&prefix);
	buf_free(&first);
}

static void refuses(const char *template, const char *why)
{
	struct key_template t;
	struct err e = ERR_INIT;

	ok(key_template_parse(template, "csv", &t, &e) == -1 && e.code == ERR_CONFIG && strstr(e.text, why), "refused: %s", e.text);
}

static void test_keys(void)
{
	struct key_template t;
	struct key_parts p = {.schema = "s", .version = 1, .load_time = TIME};
	struct err e = ERR_INIT;
	struct buf out = BUF_INIT;
	char *name = xcalloc(1, 1101);
	int64_t loaded;

	makes(KEY_TEMPLATE_DEFAULT, "csv", "shop", "orders", 5, "shop/orders/5_1700000000123.csv");
	makes(KEY_TEMPLATE_DEFAULT, "jsonl", "shop", "orders/items", 0, "shop/orders/items/1_1700000000123.jsonl");
	makes(KEY_TEMPLATE_DEFAULT, "csv", "", "orders", 1, "orders/1_1700000000123.csv");
	makes("/a//[integration_name]//[table_name]/[year_loaded][month_loaded][day_loaded]/[hour_loaded]-[table_version]-[timestamp_loaded].csv", "csv", "", "t", 1,
		"a/t/20231114/22-1-1700000000123.csv");
	makes("[year_loaded]/[integration_name]x[table_name].[table_version].[timestamp_loaded]", "jsonl", "a", "b", 12, "2023/axb.12.1700000000123.jsonl");
	makes("[integration_name]/[table_name]/[table_version]_[timestamp_loaded].txt", "csv", "a", "b", 1, "a/b/1_1700000000123.txt.csv");
	makes("[integration_name]/[table_name]/[table_version]_[timestamp_loaded].csv", "jsonl", "a", "b", 1, "a/b/1_1700000000123.csv.jsonl");
	refuses("", "lacks");
	refuses("[integration_name]/[table_name]/[timestamp_loaded]", "lacks [table_version]");
	refuses("[integration_name]/[table_name]/[table_version]_[timestamp_loaded", "without its ]");
	refuses("[integration_name]/[table_name]/[table_version]_[timestamp_loaded][x]", "[x]");
	refuses("[integration_name]/[table_name]/[table_version][timestamp_loaded]", "between");
	refuses("[integration_name]/[table_name]/[timestamp_loaded][hour_loaded]_[table_version]", "between");
	refuses("[integration_name]/[table_name]\n/[table_version]_[timestamp_loaded]", "control");
	key_table_name(&out, STR("a/b\n\x7fü"));
	is_str("a_b__ü", buf_cstr(&out), "a name without slashes and control characters");
	buf_truncate(&out, 0);
	key_table_name(&out, STR(".."));
	is_str("__", buf_cstr(&out), "and none that means a folder above");
	if (key_template_parse(KEY_TEMPLATE_DEFAULT, "csv", &t, &e))
		bail("%s", e.text);
	ok(!key_is_of(&t, "s", "t", "s/t/u/1_1700000000123.csv", &loaded), "a subtable's file is not the table's");
	ok(!key_is_of(&t, "s", "t", "s/t/1_17.csv", &loaded), "nor one with another time");
	memset(name, 'n', 1100);
	p.table = name;
	buf_truncate(&out, 0);
	ok(key_make(&t, &p, &out, &e) == -1 && e.code == ERR_DATA, "%s", e.text);
	key_template_free(&t);
	buf_free(&out);
	free(name);
}

static void is_csv(struct csv c, struct str text, bool null, const char *wanted)
{
	struct buf out = BUF_INIT;

	csv_text(&c, &out, text, null, true);
	is_str(wanted, buf_cstr(&out), "csv");
	buf_free(&out);
}

static void test_text(void)
{
	const struct csv plain = {.delimiter = ','}, forced = {.delimiter = ';', .force_quote = true};
	struct cell cell = {.kind = CELL_TIME, .i = INT64_C(253402300799999999)};
	struct column columns[] = {{.name = (char *)(uintptr_t)"a"}, {.name = (char *)(uintptr_t)"_sdc_sequence"}};
	const struct cell cells[] = {{.kind = CELL_NULL}, {.kind = CELL_INT, .i = -7}};
	const struct layout lo = {.columns = columns, .n = 2, .n_user = 1};
	struct buf out = BUF_INIT;
	char room[48];

	is_csv(plain, STR("a"), false, "a");
	is_csv(plain, STR(""), false, "\"\"");
	is_csv(plain, STR_NULL, true, "");
	is_csv(plain, STR("a,b"), false, "\"a,b\"");
	is_csv(plain, STR("a;b"), false, "a;b");
	is_csv(plain, STR("\""), false, "\"\"\"\"");
	is_csv(plain, STR("a\nb"), false, "\"a\nb\"");
	is_csv(plain, STR(" a"), false, "\" a\"");
	is_csv(forced, STR("a"), false, "\"a\"");
	is_csv(forced, STR_NULL, true, "");
	is_slice("9999-12-31T23:59:59.999999Z", text_of_cell(&cell, room), "the last microsecond of the year 9999");
	jsonl_row(&out, &lo, &(struct row){.cells = cells, .data = STR("{\"a\":1.0,\n \"b\":[] }")});
	is_str("{\"a\":1.0,  \"b\":[],\"_sdc_sequence\":-7}\n", buf_cstr(&out), "a record with our columns");
	buf_truncate(&out, 0);
	jsonl_row(&out, &lo, &(struct row){.cells = cells, .data = STR("{}")});
	is_str("{\"_sdc_sequence\":-7}\n", buf_cstr(&out), "one of nothing");
	buf_free(&out);
}

int main(void)
{
	plan_lazy();
	test_keys();
	test_text();
	return done_testing();
}
