/*
 * 1005-webhook.c - signatures of webhooks against known ones, forms, and what objects and arrays become: tables, keys, sequences.
 */
#include "daemon/import/signature.h"
#include "daemon/import/webhook.h"

#include "frame.h"
#include "tap.h"
#include "xalloc.h"

static struct intake *in;

#define NOW INT64_C(1700000000)
#define TIMED "1cdd0650c8be1cb0974b1788d458b1e781206cfef59b85faafc582d2e182c57e"

static void test_signature(void)
{
	/* RFC 4231, case 2; RFC 2202, case 2 */
	static const char hex[] = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", sha1[] = "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79";
	struct str body = STR("what do ya want for nothing?");
	struct buf s[2] = {BUF_INIT, BUF_INIT};
	char other[65];

	buf_adds(&s[0], "new");
	buf_adds(&s[1], "Jefe");
	ok(signature_good(false, s, 2, str_c(hex), body, NOW), "sha256, hex, by the second secret");
	ok(signature_good(false, s + 1, 1, str_c(hex), body, NOW), "by the first");
	ok(!signature_good(false, s, 1, str_c(hex), body, NOW), "not by another");
	ok(signature_good(false, s, 2, STR("sha256=5BDCC146BF60754E6A042426089575C75A003F089D2739839DEC58B964EC3843"), body, NOW), "with a prefix, in capitals");
	ok(signature_good(false, s, 2, STR("W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="), body, NOW), "base64");
	ok(signature_good(true, s, 2, str_c(sha1), body, NOW) && signature_good(true, s, 2, STR("7/zfauXrL6LSdBbV8YTfnCWafHk="), body, NOW), "sha1");
	ok(!signature_good(false, s, 2, str_c(sha1), body, NOW) && !signature_good(true, s, 2, str_c(hex), body, NOW), "the other algorithm");
	ok(!signature_good(false, s, 2, STR("sha1=effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"), body, NOW), "a prefix does not choose it");
	ok(!signature_good(false, s, 2, STR_NULL, body, NOW) && !signature_good(false, s, 2, STR("sha256="), body, NOW), "none");
	for (size_t i = 0; i < 64; i += 9) {
		memcpy(other, hex, sizeof(hex));
		other[i] = other[i] == '0' ? '1' : '0';
		ok(!signature_good(false, s, 2, str_c(other), body, NOW), "digit %zu is wrong", i);
	}
	/* HMAC of "1700000000.what do ya want for nothing?" with the same key */
	ok(signature_good(false, s, 2, STR("t=1700000000,v1=" TIMED), body, NOW), "with a time");
	ok(signature_good(false, s, 2, STR("t=1700000000,v0=00,v1=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843, v1=" TIMED), body, NOW), "one of several");
	ok(signature_good(false, s, 2, STR("t=1700000000,v1=" TIMED), body, NOW + SIGNATURE_AGE), "just young enough");
	ok(!signature_good(false, s, 2, STR("t=1700000000,v1=" TIMED), body, NOW + SIGNATURE_AGE + 1), "too old");
	ok(!signature_good(false, s, 2, STR("t=1700000000,v1=" TIMED), body, NOW - SIGNATURE_AGE - 1), "too new");
	ok(!signature_good(false, s, 2, STR("t=1700000001,v1=" TIMED), body, NOW), "another time");
	ok(!signature_good(false, s, 2, STR("t=1700000000,v1=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"), body, NOW), "one over the body alone");
	ok(!signature_good(false, s, 2, STR("t=1700000000"), body, NOW) && !signature_good(false, s, 2, STR("t=,v1=" TIMED), body, NOW) && !signature_good(false, s, 2, STR("t="), body, NOW), "halves");
	buf_truncate(&s[1], 0);
	ok(!signature_good(false, s + 1, 1, STR("b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"), STR(""), NOW), "an empty secret signs nothing");
	buf_free(&s[0]);
	buf_free(&s[1]);
}

static void form_is(const char *body, const char *form, const char *wanted)
{
	struct refusal r = {.status = 0};
	struct buf out = BUF_INIT;
	int rc = webhook_form(str_c(body), form, &out, &r);

	if (wanted)
		ok(!rc && strcmp(buf_cstr(&out), wanted) == 0, "form %s: %s", body, buf_cstr(rc ? &r.body : &out));
	else
		ok(rc == -1 && r.status == 400 && jscan_valid(r.body.data, r.body.len, 0, NULL, NULL), "form %s is refused", body);
	buf_free(&out);
	buf_free(&r.body);
}

static void test_forms(void)
{
	form_is("a=1&b=x+y%21", "fields", "{\"a\":\"1\",\"b\":\"x y!\"}");
	form_is("a=&b&&=x&c=1=2", "fields", "{\"a\":\"\",\"b\":\"\",\"c\":\"1=2\"}");
	form_is("%22q%5c=%0A%c3%a9", "fields", "{\"\\\"q\\\\\":\"\\n\xc3\xa9\"}");
	form_is("x=1&payload=%7B%22a%22%3A1%7D&payload=2", "json:payload", "{\"a\":1}");
	form_is("a=%", "fields", NULL);
	form_is("a=%4", "fields", NULL);
	form_is("a=%zz", "fields", NULL);
	form_is("a=%ff", "fields", NULL);
	form_is("", "fields", NULL);
	form_is("&&", "fields", NULL);
	form_is("a=1", "json:payload", NULL);
}

static void refused(const char *body, unsigned status, const char *part)
{
	struct refusal r = {.status = 0};
	uint64_t n;
	int rc = webhook_count(str_c(body), &n, &r);

	ok(rc == -1 && r.status == status && strstr(buf_cstr(&r.body), part), "%.40s: %u %s", body, status, buf_cstr(&r.body));
	buf_free(&r.body);
}

static bool decode(const char *body, const struct source_rules *rules, struct refusal *r)
{
	uint64_t n;

	refusal_reset(r);
	return !webhook_count(str_c(body), &n, r) && !webhook_decode(in, str_c(body), rules, 100, r);
}

static bool group_is(size_t i, const char *table, const char *keys, const char *lines)
{
	const struct group *g = i < in->n_groups ? &in->groups[i] : NULL;

	return (g && str_eqc(g->table, table) && str_eqc(g->key_names, keys) && str_eqc(buf_str(&g->text), lines)) ||
		(diag("seen: %.*s %s", g ? (int)g->table.len : 0, g ? g->table.ptr : "", g ? buf_cstr(&g->text) : ""), false);
}

static void test_records(void)
{
	char key[] = "id", field[] = "type";
	struct source_rules plain = {.users = 1}, keyed = {.users = 1, .key = key}, by_type = {.users = 1, .key = key, .table_field = field};
	struct refusal r = {.status = 0};
	struct buf many = BUF_INIT;

	ok(decode("{\"id\":1}", &plain, &r) && in->n_groups == 1 && group_is(0, "data", "[]", "{\"action\":\"upsert\",\"sequence\":100,\"data\":{\"id\":1}}\n"), "an object");
	ok(decode(" [ {\"a\":1.50} , {} ]", &plain, &r) && group_is(0, "data", "[]", "{\"action\":\"upsert\",\"sequence\":100,\"data\":{\"a\":1.50}}\n{\"action\":\"upsert\",\"sequence\":101,\"data\":{}}\n"), "an array: sequences rise");
	ok(decode("{\"id\":\"x\"}", &keyed, &r) && group_is(0, "data", "[\"id\"]", "{\"action\":\"upsert\",\"sequence\":100,\"data\":{\"id\":\"x\"}}\n"), "with a key");
	ok(!decode("[{\"id\":1},{\"id\":null}]", &keyed, &r) && r.status == 400 && strstr(buf_cstr(&r.body), "Record is missing key property id"), "a key that is null: %s", buf_cstr(&r.body));
	ok(!decode("{}", &keyed, &r) && r.status == 400, "a key that is missing");
	ok(decode("[{\"id\":1,\"type\":\"a\"},{\"id\":2,\"type\":\"b\\u0062\"},{\"id\":3,\"type\":\"a\"},{\"id\":4},{\"id\":5,\"type\":7},{\"id\":6,\"type\":\"..\"},"
			  "{\"id\":7,\"type\":\"x\",\"type\":\"a\"}]",
		    &by_type, &r) &&
			in->n_groups == 3 &&
			group_is(0, "a", "[\"id\"]",
				"{\"action\":\"upsert\",\"sequence\":100,\"data\":{\"id\":1,\"type\":\"a\"}}\n{\"action\":\"upsert\",\"sequence\":102,\"data\":{\"id\":3,\"type\":\"a\"}}\n{\"action\":\"upsert\",\"sequence\":106,\"data\":{\"id\":7,\"type\":\"a\"}}\n") &&
			group_is(1, "bb", "[\"id\"]", "{\"action\":\"upsert\",\"sequence\":101,\"data\":{\"id\":2,\"type\":\"b\\u0062\"}}\n") &&
			group_is(2, "data", "[\"id\"]",
				"{\"action\":\"upsert\",\"sequence\":103,\"data\":{\"id\":4}}\n{\"action\":\"upsert\",\"sequence\":104,\"data\":{\"id\":5,\"type\":7}}\n{\"action\":\"upsert\",\"sequence\":105,\"data\":{\"id\":6,\"type\":\"..\"}}\n"),
		"a table for each type; what is no name goes to data");
	refused("", 400, "Malformed");
	refused("{\"a\":1", 400, "Malformed");
	refused("[{\"a\":1},", 400, "Malformed");
	refused("{} x", 400, "Malformed");
	refused("[]", 400, "An object or an array of objects is expected");
	refused("[1]", 400, "An object or an array of objects is expected");
	refused("7", 400, "An object or an array of objects is expected");
	buf_addc(&many, '[');
	for (unsigned i = 0; i <= IMPORT_RECORDS_MAX; i++)
		buf_adds(&many, i ? ",{}" : "{}");
	buf_addc(&many, ']');
	refused(many.data, 400, "this one has 20001");
	buf_free(&many);
	buf_free(&r.body);
}

int main(void)
{
	in = intake_new();
	test_signature();
	test_forms();
	test_records();
	intake_free(in);
	return done_testing();
}
