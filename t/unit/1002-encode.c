/*
 * 1002-encode.c - from a body to queue records: heads, parts, counts, and what is read back is what was sent. Receipts.
 */
#include "daemon/import/intake.h"
#include "daemon/import/receipt.h"
#include "tap.h"

static struct intake *in;
static struct refusal refused;
static struct queue_put put;

static int encode(struct str id)
{
	struct encode_request q = {.source_id = 7, .received_at = 1234567890123456789, .request_id = id, .keyed = id.len < 32};

	buf_truncate(&put.bytes, 0);
	return encode_batch(in, &q, &put, &refused);
}

/* The i-th queue record, and its text. */
static bool record(unsigned i, struct qrec *r, struct buf *text)
{
	size_t at = 0, used = 0;

	for (unsigned k = 0; k <= i; k++, at += used)
		if (qrec_decode(put.bytes.data + at, put.bytes.len - at, r, &used, NULL))
			return false;
	buf_truncate(text, 0);
	return frame_decode(r->body, 64u << 20, text, NULL) == 0;
}

static struct str first_line(const struct buf *text, struct str *rest)
{
	const char *nl = memchr(text->data, '\n', text->len);

	*rest = str_mem(nl + 1, text->len - (size_t)(nl + 1 - text->data));
	return str_mem(text->data, (size_t)(nl - text->data));
}

static void test_small(void)
{
	struct buf text = BUF_INIT;
	struct frame_head h = {.source = 0};
	struct frame_record rec;
	struct str rest;
	struct qrec r;

	is_int(0, decode_batch(in, STR("{\"table_name\":\"t \\\"q\\\"\",\"schema\":{\"a\": 1},\"key_names\":[\"id\"],\"table_version\":5,\"messages\":["
				       "{\"action\":\"upsert\",\"sequence\":9,\"data\":{\"id\":1,\"\\u00e4\":[],\"n\":null}},{\"action\":\"activate_version\",\"sequence\":10}]}"),
		   &refused),
		"decoded");
	is_int(0, encode(STR("my-key")), "encoded");
	is_int(1, put.n, "one queue record");
	ok(record(0, &r, &text), "it can be read");
	is_str("{\"source\":7,\"table\":\"t \\\"q\\\"\",\"key_names\":[\"id\"],\"schema\":{\"a\":1},\"types\":{\"id\":[\"integer\"],\"\xc3\xa4\":[\"array\"],\"\xc3\xa4\\u0002\":[]},"
	       "\"table_version\":5,\"received_at\":1234567890123456789}\n"
	       "{\"action\":\"upsert\",\"sequence\":9,\"data\":{\"id\":1,\"\\u00e4\":[],\"n\":null}}\n{\"action\":\"activate_version\",\"sequence\":10}\n",
		buf_cstr(&text), "its text");
	is_slice("t \"q\"", r.table, "table");
	is_slice("my-key", r.request_id, "request id");
	ok(r.flags & QREC_KEYED, "the client's key");
	ok(r.source_id == 7 && r.records == 1 && r.lines == 2 && r.part == 0 && r.parts == 1 && r.table_version == 5 &&
			r.received_at == 1234567890123456789 && r.codec == FRAME_RAW,
		"its header");
	is_int(0, frame_head_parse(first_line(&text, &rest), &h, NULL), "the head is one that loaders read");
	is_slice("{\"id\":[\"integer\"],\"\xc3\xa4\":[\"array\"],\"\xc3\xa4\\u0002\":[]}", h.types, "types");
	is_int(0, frame_record_parse(str_mem(rest.ptr, (size_t)((const char *)memchr(rest.ptr, '\n', rest.len) - rest.ptr)), &rec, NULL),
		"and so is a record");
	is_slice("{\"id\":1,\"\\u00e4\":[],\"n\":null}", rec.data, "data");
	buf_free(&h.table);
	buf_free(&text);
}

/* The types of the head of the last record made, as they stand there. */
static struct str types_of_last(struct frame_head *h, struct buf *text)
{
	struct str rest;
	struct qrec r;

	if (encode(STR("k")) || !record(put.n - 1, &r, text) || frame_head_parse(first_line(text, &rest), h, NULL))
		return STR("(none)");
	return h->types;
}

static void types_are(const char *wanted, const char *data)
{
	struct buf body = BUF_INIT, text = BUF_INIT;
	struct frame_head h = {.source = 0};

	buf_adds(&body, "{\"table_name\":\"t\",\"schema\":{},\"messages\":[");
	for (const char *p = data; *p; p += strlen(p) + 1)
		buf_addf(&body, "%s{\"action\":\"upsert\",\"sequence\":1,\"data\":%s}", p == data ? "" : ",", p);
	buf_adds(&body, "]}");
	ok(!decode_batch(in, buf_str(&body), &refused), "%s", data);
	is_slice(wanted, types_of_last(&h, &text), "its types");
	buf_free(&h.table);
	buf_free(&text);
	buf_free(&body);
}

#define M "\\u0001" /* member */
#define E "\\u0002" /* element */

static void test_nested(void)
{
	types_are("{\"addr\":[\"object\"],\"items\":[\"array\"],\"m\":[\"array\"],\"addr" M "city\":[\"string\"],\"items" E "\":[\"object\",\"integer\"],\"items" E M
		  "sku\":[\"integer\"],\"m" E "\":[\"array\"],\"m" E E "\":[\"integer\"]}",
		"{\"addr\": {\"city\" : \"x\"}, \"items\":[ {\"sku\":1},2 ],\"m\":[[1]]}\0");
	is_slice("{\"action\":\"upsert\",\"sequence\":1,\"data\":{\"addr\":{\"city\":\"x\"},\"items\":[{\"sku\":1},2],\"m\":[[1]]}}\n", buf_str(&in->groups[0].text),
		"and its line has no blanks");
	types_are("{\"o\":[\"object\"],\"a\":[\"array\"],\"o" M "\":[],\"a" E "\":[]}", "{\"o\":{},\"a\":[]}\0");
	types_are("{\"o\":[\"object\"],\"a\":[\"array\"],\"o" M "\":[],\"a" E "\":[]}", "{\"o\":{\"x\":null},\"a\":[null]}\0");
	types_are("{\"o\":[\"object\"],\"o" M "\":[\"integer\"]}", "{\"o\":{\"\":1}}\0");
	types_are("{\"o\":[\"object\",\"string\",\"array\"],\"z\":[\"integer\"],\"o" M "b\":[\"number\",\"bignum\"],\"o" M "a\":[\"boolean\"],\"o" E "\":[\"object\"],\"o" E M "\":[]}",
		"{\"o\":{\"b\":1.5}}\0{\"o\":\"x\"}\0{\"o\":{\"a\":true,\"b\":null},\"z\":1}\0{\"o\":[{}]}\0{\"o\":{\"b\":99999999999999999999}}\0");
	types_are("{\"o\":[\"object\"],\"o" M "a\\nb\":[\"integer\",\"string\"],\"o" M "c\":[\"integer\"]}",
		"{\"o\":{\"a\\u000ab\":1,\"\\u0001\":2,\"x\\u0002\":3,\"c\":1}}\0{\"o\":{\"a\\nb\":\"s\"}}\0");
	types_are("{\"b\":[\"integer\"]}", "{\"a\\u0001b\":1,\"b\":2}\0");
	types_are("{\"o\":[\"object\"],\"o" M "p\":[\"object\"],\"o" M "p" M "x\":[\"integer\"],\"o" M "q\":[\"object\"],\"o" M "q" M "x\":[\"string\"]}",
		"{\"o\":{\"p\":{\"x\":1},\"q\":{\"x\":\"s\"}}}\0{\"o\":{\"q\":{\"x\":\"t\"},\"p\":{\"x\":2}}}\0");
}

/* What is too deep or too much is copied and not listed; what it lies in says that there is nothing. */
static void test_nested_limits(void)
{
	struct buf body = BUF_INIT, text = BUF_INIT, deep = BUF_INIT;
	struct frame_head h = {.source = 0};
	size_t n = 0;

	buf_adds(&body, "{\"table_name\":\"t\",\"schema\":{},\"messages\":[{\"action\":\"upsert\",\"sequence\":1,\"data\":");
	for (unsigned i = 0; i < 20; i++)
		buf_addf(&deep, "{\"k%u\":", i);
	buf_adds(&deep, "1");
	for (unsigned i = 0; i < 20; i++)
		buf_adds(&deep, "}");
	buf_addstr(&body, buf_str(&deep));
	buf_adds(&body, "}]}");
	is_int(0, decode_batch(in, buf_str(&body), &refused), "objects in objects");
	ok(memmem(in->groups[0].text.data, in->groups[0].text.len, deep.data, deep.len) != NULL, "are all in the line");
	buf_addstr(&text, types_of_last(&h, &body));
	for (const char *p = text.data; (p = strstr(p, "\":[\"object\"]")); p++)
		n++;
	is_int(PATHS_DEPTH_MAX, n, "paths of so many components are listed");
	ok(str_ends(buf_str(&text), STR("k15" M "\":[]}")), "and the last says that it is empty");

	buf_truncate(&body, 0);
	buf_adds(&body, "{\"table_name\":\"t\",\"schema\":{},\"messages\":[{\"action\":\"upsert\",\"sequence\":1,\"data\":{\"o\":{");
	for (unsigned i = 0; i < 9000; i++)
		buf_addf(&body, "%s\"member_%u\":%u", i ? "," : "", i, i);
	buf_adds(&body, "},\"last\":1}}]}");
	is_int(0, decode_batch(in, buf_str(&body), &refused), "an object of 9,000 members");
	buf_truncate(&text, 0);
	buf_addstr(&text, types_of_last(&h, &body));
	n = 0;
	for (const char *p = text.data; (p = strstr(p, M)); p++)
		n++;
	is_int(PATHS_LISTED_MAX, n, "so many are listed");
	ok(strstr(buf_cstr(&text), ",\"last\":[\"integer\"],") != NULL, "and all fields");

	buf_truncate(&body, 0);
	buf_adds(&body, "{\"table_name\":\"t\",\"schema\":{},\"messages\":[{\"action\":\"upsert\",\"sequence\":1,\"data\":{\"o\":{");
	for (unsigned i = 0; i < 3000; i++)
		buf_addf(&body, "%s\"%0200u\":%u", i ? "," : "", i, i);
	buf_adds(&body, "}");
	for (unsigned i = 0; i < 2000; i++)
		buf_addf(&body, ",\"%0100u\":%u", i, i);
	buf_adds(&body, "}}]}");
	is_int(0, decode_batch(in, buf_str(&body), &refused), "long names");
	ok(!encode(STR("k")), "never make a head too long");
	buf_free(&h.table);
	buf_free(&body);
	buf_free(&text);
	buf_free(&deep);
}

/* A record that is put aside brings no types. */
static void test_nested_partial(void)
{
	struct buf text = BUF_INIT;
	struct frame_head h = {.source = 0};

	in->partial = true;
	is_int(0, decode_batch(in, STR("{\"table_name\":\"t\",\"schema\":{\"properties\":{\"id\":{\"type\":\"integer\"}}},\"messages\":["
		   "{\"action\":\"upsert\",\"sequence\":1,\"data\":{\"id\":\"x\",\"o\":{\"a\":1,\"l\":[1]}}},"
		   "{\"action\":\"upsert\",\"sequence\":1,\"data\":{\"id\":1,\"o\":{\"b\":{\"c\":true},\"a\":\"s\"}}},"
		   "{\"action\":\"upsert\",\"sequence\":1,\"data\":{\"id\":\"x\",\"o\":{\"a\":1,\"l\":[1]}}}]}"), &refused), "two of three records are refused");
	in->partial = false;
	is_int(2, in->n_rejects, "they are");
	is_slice("{\"id\":[\"integer\"],\"o\":[\"object\"],\"o" M "a\":[\"string\"],\"o" M "b\":[\"object\"],\"o" M "b" M "c\":[\"boolean\"]}", types_of_last(&h, &text),
		"the types are the other's");
	buf_free(&h.table);
	buf_free(&text);
}

/* Times and decimals of a Transit body, at any depth. */
static void test_nested_transit(void)
{
	static const char body[] = "[[\"^ \",\"action\",\"upsert\",\"table_name\",\"t\",\"client_id\",1,\"sequence\",1,\"key_names\",[\"id\"],\"data\","
				   "[\"^ \",\"id\",1,\"o\",[\"^ \",\"t\",\"~m1704164645678\",\"n\",[\"~f1.10\",null,\"s\"],\"d\",\"~n12\"]]]]";
	struct buf text = BUF_INIT;
	struct frame_head h = {.source = 0};

	ok(!decode_transit(in, STR(body), &refused) && !decode_push_transit(in, 1, &refused), "Transit");
	is_slice("{\"id\":[\"integer\"],\"o\":[\"object\"],\"o" M "t\":[\"timestamp\"],\"o" M "n\":[\"array\"],\"o" M "n" E "\":[\"number\",\"string\"],\"o" M "d\":[\"number\"]}",
		types_of_last(&h, &text), "types that Transit tells");
	buf_free(&h.table);
	buf_free(&text);
}

static uint64_t shape_of(const char *body, uint64_t *keys)
{
	struct buf text = BUF_INIT;
	struct qrec r = {.shape_hash = 0};

	if (decode_batch(in, str_c(body), &refused) || encode(STR("k")) || !record(0, &r, &text))
		return 0;
	*keys = r.keys_hash;
	buf_free(&text);
	return r.shape_hash;
}

#define BODY(keys, schema, data) \
	"{\"table_name\":\"t\",\"key_names\":" keys ",\"schema\":" schema ",\"messages\":[{\"action\":\"upsert\",\"sequence\":1,\"data\":" data "}]}"

static void test_hashes(void)
{
	uint64_t k1, k2, k3, a = shape_of(BODY("[\"id\"]", "{\"a\":1}", "{\"id\":1}"), &k1);

	ok(a && a == shape_of(BODY("[ \"\\u0069d\" ]", "{ \"a\": 1 }", "{\"id\":2}"), &k2) && k1 == k2, "white space and escapes change no hash");
	ok(a != shape_of(BODY("[\"id\"]", "{\"a\":1}", "{\"id\":\"x\"}"), &k2) && k1 == k2, "another type: another shape, the same keys");
	ok(a != shape_of(BODY("[\"id\"]", "{\"a\":2}", "{\"id\":1}"), &k2), "another schema");
	ok(a != shape_of(BODY("[\"id\",\"b\"]", "{\"a\":1}", "{\"id\":1,\"b\":1}"), &k3) && k1 != k3, "other keys");
}

static void test_parts(void)
{
	struct buf body = BUF_INIT, text = BUF_INIT, again = BUF_INIT, lines = BUF_INIT;
	struct str rest;
	struct qrec r;
	unsigned records = 0;
	bool good = true;

	buf_adds(&body, "{\"table_name\":\"t\",\"schema\":{},\"messages\":[");
	for (unsigned i = 0; i < 20000; i++)
		buf_addf(&body, "%s{\"action\":\"upsert\",\"sequence\":%u,\"data\":{\"id\":%u,\"text\":\"%0100u\"}}", i ? "," : "", i, i, i);
	buf_adds(&body, "]}");
	is_int(0, decode_batch(in, buf_str(&body), &refused), "a large body");
	buf_add(&lines, in->groups[0].text.data, in->groups[0].text.len);
	is_int(0, encode(STR("0123456789abcdef0123456789abcdef")), "encoded");
	ok(put.n >= 3 && put.n <= 5, "is split (%u parts)", put.n);
	for (unsigned i = 0; i < put.n && good; i++) {
		good = record(i, &r, &text) && r.part == i && r.parts == put.n && r.codec == FRAME_ZSTD && !(r.flags & QREC_KEYED) &&
			text.len < 2 * QREC_SPLIT;
		first_line(&text, &rest);
		buf_addstr(&again, rest);
		records += r.records;
	}
	ok(good, "each part says which it is and has a head of its own");
	is_int(20000, records, "together they have all records");
	ok(str_eq(buf_str(&again), buf_str(&lines)), "and all lines, in order");

	buf_truncate(&again, 0);
	buf_add(&again, put.bytes.data, put.bytes.len);
	ok(!decode_batch(in, buf_str(&body), &refused) && !encode(STR("0123456789abcdef0123456789abcdef")) && str_eq(buf_str(&again), buf_str(&put.bytes)),
		"the same body makes the same parts");
	buf_free(&body);
	buf_free(&text);
	buf_free(&again);
	buf_free(&lines);
}

/* One table in two groups: its parts are counted over both. */
static void test_groups(void)
{
	static const char body[] =
		"[{\"client_id\":1,\"table_name\":\"t\",\"sequence\":1,\"action\":\"upsert\",\"key_names\":[\"a\"],\"data\":{\"a\":1}},"
		"{\"client_id\":1,\"table_name\":\"u\",\"sequence\":1,\"action\":\"upsert\",\"key_names\":[\"a\"],\"data\":{\"a\":1}},"
		"{\"client_id\":1,\"table_name\":\"t\",\"table_version\":2,\"sequence\":1,\"action\":\"upsert\",\"key_names\":[\"a\"],\"data\":{\"a\":1}}]";
	struct buf text = BUF_INIT;
	struct qrec r;

	is_int(0, decode_push(in, STR(body), 1, &refused), "push of two tables");
	is_int(0, encode(STR("k")), "encoded");
	is_int(3, put.n, "three queue records");
	ok(record(0, &r, &text) && r.part == 0 && r.parts == 2 && str_eqc(r.table, "t"), "t, 0 of 2");
	ok(strstr(buf_cstr(&text), "\"schema\":null,") != NULL, "push has no schema");
	ok(record(1, &r, &text) && r.part == 0 && r.parts == 1 && str_eqc(r.table, "u"), "u, 0 of 1");
	ok(record(2, &r, &text) && r.part == 1 && r.parts == 2 && str_eqc(r.table, "t") && r.table_version == 2, "t, 1 of 2");
	buf_free(&text);
}

static void test_long_head(void)
{
	struct buf body = BUF_INIT;

	buf_adds(&body, "{\"table_name\":\"t\",\"schema\":{\"description\":\"");
	for (unsigned i = 0; i < IMPORT_HEAD_MAX / 8; i++)
		buf_adds(&body, "12345678");
	buf_adds(&body, "\"},\"messages\":[{\"action\":\"upsert\",\"sequence\":1,\"data\":{}}]}");
	is_int(0, decode_batch(in, buf_str(&body), &refused), "a schema of half a megabyte");
	is_int(-1, encode(STR("k")), "is too long for a head");
	ok(refused.status == 400 && strstr(buf_cstr(&refused.body), "the limit is 524288"), "and told so");
	refusal_reset(&refused);
	buf_free(&body);
}

static void test_receipt(void)
{
	struct receipt r = {.partition = 3, .first = 18446744073709551610u, .count = 5}, back;
	struct buf text = BUF_INIT;
	static const char *const bad[] = {"", "x", "000102030405060708090a0b0c0d0e0f", "000102030405060708090a0b0c0d0e0f-0-1", "000102030405060708090a0b0c0d0e0f-0-1-0",
		"000102030405060708090a0b0c0d0e0f-0-1-2-3", "000102030405060708090a0b0c0d0e0f-0-18446744073709551615-2", "g00102030405060708090a0b0c0d0e0f-0-1-1"};

	for (unsigned char i = 0; i < 16; i++)
		r.queue_id[i] = i;
	receipt_format(&r, &text);
	is_str("000102030405060708090a0b0c0d0e0f-3-18446744073709551610-5", buf_cstr(&text), "a receipt");
	ok(!receipt_parse(buf_str(&text), &back, NULL) && !memcmp(back.queue_id, r.queue_id, 16) && back.partition == 3 && back.first == r.first &&
			back.count == 5,
		"comes back");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		is_int(-1, receipt_parse(str_c(bad[i]), &back, NULL), "no receipt: %s", bad[i]);
	buf_free(&text);
}

int main(void)
{
	plan_lazy();
	in = intake_new();
	test_small();
	test_nested();
	test_nested_limits();
	test_nested_partial();
	test_nested_transit();
	test_hashes();
	test_parts();
	test_groups();
	test_long_head();
	test_receipt();
	intake_free(in);
	buf_free(&put.bytes);
	buf_free(&refused.body);
	return done_testing();
}
