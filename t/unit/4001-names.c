/*
 * 4001-names.c - names of batch files: made, read again, and what is refused.
 */
#include "tap.h"

#include "daemon/store/batch_name.h"

static void encoded(const char *table, const char *want)
{
	struct buf b = BUF_INIT;

	batch_name_table(str_c(table), &b);
	is_str(want, buf_cstr(&b), "table %s", want);
	buf_free(&b);
}

static void test_long(void)
{
	struct buf a = BUF_INIT, b = BUF_INIT;
	char name[1000];

	memset(name, 'x', sizeof(name));
	batch_name_table(str_mem(name, 120), &a);
	is_int(120, (int64_t)a.len, "120 bytes stay as they are");
	buf_truncate(&a, 0);
	batch_name_table(str_mem(name, 121), &a);
	batch_name_table(str_mem(name, 122), &b);
	ok(a.len == 120 && b.len == 120 && !str_eq(buf_str(&a), buf_str(&b)), "longer ones are cut and told apart by a hash");
	for (unsigned shift = 0; shift < 3; shift++) {
		bool whole = true;

		memset(name, 'x', 3);
		memset(name + shift, '\xff', 300);
		buf_truncate(&a, 0);
		batch_name_table(str_mem(name, 300 + shift), &a);
		for (size_t i = 0; i < a.len; i++)
			whole = whole && (a.data[i] != '%' || (a.len > i + 2 && strncmp(a.data + i, "%FF", 3) == 0));
		ok(a.len <= 120 && whole, "no %%XX is torn (%zu bytes)", a.len);
	}
	buf_free(&a);
	buf_free(&b);
}

static void test_parse(void)
{
	static const char *const bad[] = {"", "x", "1/t/0-1-2-3.jsonl.zst", "README", "1/t/0-1-2-0123456789abcdef-01234567.jsonl.zst",
		"1/t/0-1-2-0123456789abcdef-01234567.1.jsonl", "1/t/0-1-2-0123456789abcde-01234567.1.jsonl.zst", "1/t/0-1-2-0123456789abcdef-0123456g.1.jsonl.zst",
		"1/t/0-1-2-0123456789abcdef-01234567..jsonl.zst", "a/t/0-1-2-0123456789abcdef-01234567.1.jsonl.zst",
		"1//0-1-2-0123456789abcdef-01234567.1.jsonl.zst", "1/t/0-1-2-0123456789abcdef-012345678.1.jsonl.zst"};
	struct batch_name in = {.source_id = 7, .table = STR("a.b"), .partition = 3, .first = 5, .last = UINT64_MAX, .run_id = "00c0ffee", .cut = 12}, out;
	struct buf b = BUF_INIT;

	memset(in.sha256, 0xab, sizeof(in.sha256));
	batch_name_make(&in, &b);
	is_str("7/a%2Eb/3-00000000000000000005-18446744073709551615-abababababababab-00c0ffee.12.jsonl.zst", buf_cstr(&b), "a name");
	ok(batch_name_parse(buf_str(&b), &out), "is read again");
	ok(out.source_id == 7 && str_eqc(out.table, "a%2Eb") && out.partition == 3 && out.first == 5 && out.last == UINT64_MAX && out.cut == 12 &&
			strcmp(out.run_id, "00c0ffee") == 0 && memcmp(out.sha256, in.sha256, 8) == 0,
		"with all its parts");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ok(!batch_name_parse(str_c(bad[i]), &out), "refused: %s", bad[i]);
	ok(batch_name_parse(STR("1/t/0-1-2-0123456789abcdef-01234567.1.jsonl.zst"), &out), "the same without a fault is taken");
	buf_free(&b);
}

int main(void)
{
	plan_lazy();
	encoded("orders", "orders");
	encoded("Az09_-", "Az09_-");
	encoded("a/b", "a%2Fb");
	encoded("..", "%2E%2E");
	encoded("t%", "t%25");
	encoded("\xc3\xa4 \n", "%C3%A4%20%0A");
	test_long();
	test_parse();
	return done_testing();
}
