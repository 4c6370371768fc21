/*
 * 1001-decode.c - bodies of batch and push into groups, lines and refusals, without HTTP. Texts of refusals are those of the public API.
 */
#include "daemon/import/intake.h"
#include "tap.h"
#include "xalloc.h"

static struct intake *in;
static struct refusal refused;

static char *copy; /* slices of the last body are looked at after the call */

/* Exactly as long as it is, so that ASan sees a read past its end. */
static struct str body_of(const char *text)
{
	free(copy);
	copy = xmemdup(text, strlen(text));
	return str_mem(copy, strlen(text));
}

static int batch(const char *body)
{
	refusal_reset(&refused);
	return decode_batch(in, body_of(body), &refused);
}

static int push(const char *body)
{
	refusal_reset(&refused);
	return decode_push(in, body_of(body), 42, &refused);
}

static void refuses(unsigned status, const char *wanted, int rc, const char *what)
{
	ok(rc == -1 && refused.status == status && strcmp(wanted, buf_cstr(&refused.body)) == 0, "%s", what) ||
		(diag("wanted: %u %s", status, wanted), diag("seen:   %d %u %s", rc, refused.status, buf_cstr(&refused.body)), 0);
}

/* A batch of these messages, table t, keys id, with this schema. */
static int messages(const char *schema, const char *list)
{
	struct buf b = BUF_INIT;
	int rc;

	buf_addf(&b, "{\"table_name\":\"t\",\"schema\":%s,\"key_names\":[\"id\"],\"messages\":[%s]}", schema, list);
	rc = batch(b.data);
	buf_free(&b);
	return rc;
}

static const char *lines(size_t group)
{
	return group < in->n_groups ? buf_cstr(&in->groups[group].text) : "(no group)";
}

static const char *types(size_t group)
{
	static struct buf b;
	const struct group *g = &in->groups[group];

	buf_truncate(&b, 0);
	for (size_t i = 0; i < g->n_fields; i++) {
		buf_addf(&b, "%s" STR_FMT ":", i ? " " : "", STR_ARG(g->fields[i].name));
		for (unsigned k = 0; k < g->fields[i].n_kinds; k++)
			buf_addf(&b, "%s%s", k ? "," : "", jtype_head_name((enum jtype)g->fields[i].kinds[k]));
	}
	return buf_cstr(&b);
}

#define UPSERT(data) "{\"action\":\"upsert\",\"sequence\":1,\"data\":" data "}"

/* Lists that would keep a thread busy for hours: each name is compared with those before it, each required one looked for in each record. */
static void many_names(void)
{
	struct buf keys = BUF_INIT, b = BUF_INIT;

	for (int i = 0; i < 200000; i++)
		buf_addf(&keys, "%s\"k%d\"", i ? "," : "", i);
	buf_addf(&b, "{\"table_name\":\"t\",\"schema\":{},\"key_names\":[%s],\"messages\":[" UPSERT("{\"k0\":1}") "]}", keys.data);
	refuses(400, "{\"error\":\"Request failed validation:#/key_names: expected maximum item count: 100, found: 200000\"}", batch(b.data), "too many key names");
	buf_truncate(&b, 0);
	buf_addf(&b, "[{\"client_id\":42,\"table_name\":\"t\",\"sequence\":1,\"action\":\"upsert\",\"key_names\":[%s],\"data\":{\"k0\":1}}]", keys.data);
	ok(push(b.data) == -1 && refused.status == 422 && strstr(buf_cstr(&refused.body), "\"key_names\":[\"are too many (maximum is 100)\"]"), "so on push");
	buf_truncate(&b, 0);
	buf_adds(&b, "{\"required\":[\"id\"");
	for (int i = 0; i < 10000; i++)
		buf_adds(&b, ",\"id\"");
	buf_adds(&b, "]}");
	refuses(400, "{\"error\":\"Invalid JSON schema: more than 10000 required fields\"}", messages(b.data, UPSERT("{\"id\":1}")), "too many required fields");
	buf_free(&b);
	buf_free(&keys);
}

static void test_good_batch(void)
{
	is_int(0, batch(" { \"table_name\" : \"or\\u0064ers\", \"schema\": { \"type\": \"object\" },\n \"key_names\": [ \"id\" ],"
			"\"messages\": [ {\"action\": \"upsert\", \"data\": {\"id\": 1, \"n\": \"a \\u00e9 b\", \"x\": 1.50, \"o\": {\"k\": [1, 2]}}, "
			"\"sequence\": 17, \"time_extracted\": \"2024-05-06T07:08:09Z\"},"
			"{\"action\":\"activate_version\",\"sequence\":18}], \"table_version\": 1700000000000, \"bookmark_names\": [\"ts\"]} "),
		"a batch as target-stitch sends it");
	is_int(1, (int64_t)in->n_groups, "one group");
	is_slice("orders", in->groups[0].table, "the table's name is unescaped");
	is_slice("[\"id\"]", in->groups[0].key_names, "key names are canonical");
	is_slice("{\"type\":\"object\"}", in->groups[0].schema, "the schema is minified");
	is_int(1700000000000, in->groups[0].table_version, "table version");
	is_str("{\"action\":\"upsert\",\"sequence\":17,\"time_extracted\":\"2024-05-06T07:08:09Z\",\"data\":{\"id\":1,\"n\":\"a \\u00e9 b\",\"x\":1.50,"
	       "\"o\":{\"k\":[1,2]}}}\n{\"action\":\"activate_version\",\"sequence\":18}\n",
		lines(0), "lines keep the sender's bytes but for white space");
	is_int(1, in->groups[0].records, "one record");
	is_int(2, in->groups[0].lines, "two lines");
	is_str("id:integer n:string x:number o:object", types(0), "types by field");

	is_int(0, batch("{\"messages\":[" UPSERT("{\"a\":1}") "],\"schema\":{},\"table_name\":\"./x/..y\"}"), "no key names: append-only; any order; any name");
	is_slice("./x/..y", in->groups[0].table, "dots and slashes are like any other letter");
	is_slice("[]", in->groups[0].key_names, "no keys");
	is_int(-1, batch("{\"messages\":[" UPSERT("{\"a\":1}") "],\"schema\":{},\"key_names\":[\"id\"],\"table_name\":\"t\"}"),
		"keys that come after the messages hold for them too");
	is_str("{\"error\":\"Record is missing key property id\"}", buf_cstr(&refused.body), "and are told so");
	is_int(0, batch("{\"key_names\":[\"a\"],\"messages\":[" UPSERT("{\"a\":1}") "," UPSERT("{\"a\":2}") "],\"schema\":{\"required\":[\"a\"]},\"table_name\":\"t\"}"),
		"a schema after the messages");
	is_int(2, in->groups[0].records, "every record is there once");
	refuses(400, "{\"error\":\"Record 1 did not conform to schema: #: required key [b] not found\"}",
		batch("{\"messages\":[" UPSERT("{\"a\":1,\"b\":null}") "," UPSERT("{\"a\":2}") "],\"schema\":{\"required\":[\"b\"]},\"table_name\":\"t\"}"),
		"a record that a late schema refuses");
	refuses(400, "{\"error\":\"Record is missing key property a\"}",
		batch("{\"schema\":{},\"messages\":[" UPSERT("{\"a\":1}") "," UPSERT("{\"a\":3,\"a\":null}") "],\"key_names\":[\"a\"],\"table_name\":\"t\"}"),
		"a key that is null, known late");
}

static void test_types(void)
{
	is_int(0, messages("{}", UPSERT("{\"id\":1,\"a\":null,\"b\":true}") "," UPSERT("{\"a\":\"x\",\"id\":12345678901234567890,\"b\":false}") ","
				  UPSERT("{\"id\":-9223372036854775808,\"c\":1e3,\"a\":[]}") "," UPSERT("{\"id\":9223372036854775808,\"n\":null}")),
		"values of several types");
	is_str("id:integer,bignum a:string,array b:boolean c:number n:", types(0), "each type once, in order of appearance; null is none");
	is_int(0, messages("{}", UPSERT("{\"\\u0069d\":1,\"x\":1}") "," UPSERT("{\"id\":\"k\",\"x\":2}")), "an escaped key");
	is_str("id:integer,string x:integer", types(0), "is the same field");
}

static void test_duplicates(void)
{
	is_int(0, messages("{}", UPSERT("{\"id\":\"a\",\"x\":\"no\",\"id\":1,\"x\":2,\"y\":3}")), "duplicate keys of a record");
	is_str("{\"action\":\"upsert\",\"sequence\":1,\"data\":{\"id\":1,\"x\":2,\"y\":3}}\n", lines(0), "the last one counts");
	is_str("id:integer x:integer y:integer", types(0), "also for types");
	refuses(400, "{\"error\":\"Record is missing key property id\"}", messages("{}", UPSERT("{\"id\":1,\"id\":null}")), "a key that is null at last");
	is_int(0, messages("{}", UPSERT("{\"id\":null,\"\\u0069d\":5}")), "a key that is not null at last");
	is_int(0, messages("{}", "{\"action\":\"no\",\"sequence\":\"x\",\"data\":{\"z\":1},\"action\":\"upsert\",\"sequence\":7,\"data\":{\"id\":2}}"),
		"duplicate members of a message");
	is_str("{\"action\":\"upsert\",\"sequence\":7,\"data\":{\"id\":2}}\n", lines(0), "the last ones count");
	is_int(0, batch("{\"table_name\":\"a\",\"schema\":[],\"schema\":{},\"messages\":[{\"action\":\"upsert\",\"sequence\":1,\"data\":{\"q\":1}}],"
			"\"messages\":[{\"action\":\"upsert\",\"sequence\":2,\"data\":{\"id\":1}}],\"key_names\":[\"x\"],\"key_names\":[\"id\",\"id\"],\"table_name\":\"b\"}"),
		"duplicate members of the request");
	is_str("{\"action\":\"upsert\",\"sequence\":2,\"data\":{\"id\":1}}\n", lines(0), "the last messages count");
	is_slice("b", in->groups[0].table, "the last name counts");
	is_slice("[\"id\"]", in->groups[0].key_names, "a key twice in the list is one key");
}

static void test_form(void)
{
	refuses(400, "{\"error\":\"Request failed validation:#: required key [table_name] not found\"}",
		batch("{\"schema\":{},\"messages\":[{\"action\":\"activate_version\",\"sequence\":1}]}"), "table_name missing");
	refuses(400, "{\"error\":\"Request failed validation:#: required key [messages] not found\"}", batch("{\"table_name\":\"t\",\"schema\":{}}"),
		"messages missing");
	refuses(400, "{\"error\":\"Request failed validation:#: extraneous key [foo] is not permitted\"}",
		batch("{\"table_name\":\"t\",\"schema\":{},\"foo\":[{}],\"messages\":[" UPSERT("{}") "]}"), "a key that does not belong there");
	refuses(400, "{\"error\":\"Request failed validation:#/table_name: expected type: String, found: Integer\"}",
		batch("{\"table_name\":5,\"schema\":{},\"messages\":[" UPSERT("{}") "]}"), "table_name of a wrong type");
	refuses(400, "{\"error\":\"Request failed validation:#/schema: expected type: JSONObject, found: JSONArray\"}",
		batch("{\"table_name\":\"t\",\"schema\":[],\"messages\":[" UPSERT("{}") "]}"), "a schema that is an array");
	refuses(400, "{\"error\":\"Request failed validation:#/messages: expected type: JSONArray, found: JSONObject\"}",
		batch("{\"table_name\":\"t\",\"schema\":{},\"messages\":{}}"), "messages of a wrong type");
	refuses(400, "{\"error\":\"Request failed validation:#/messages: expected minimum item count: 1, found: 0\"}",
		batch("{\"table_name\":\"t\",\"schema\":{},\"messages\":[]}"), "no message");
	refuses(400, "{\"error\":\"Request failed validation:#/key_names/1: expected type: String, found: Null\"}",
		batch("{\"table_name\":\"t\",\"schema\":{},\"key_names\":[\"a\",null],\"messages\":[" UPSERT("{\"a\":1}") "]}"), "a key name that is none");
	refuses(400, "{\"error\":\"Request failed validation:#/table_version: expected type: Integer, found: Number\"}",
		batch("{\"table_name\":\"t\",\"schema\":{},\"table_version\":1.5,\"messages\":[" UPSERT("{}") "]}"), "a version with a fraction");
	refuses(400, "{\"error\":\"Request failed validation:#/table_version: -1 is not greater or equal to 0\"}",
		batch("{\"table_name\":\"t\",\"schema\":{},\"table_version\":-1,\"messages\":[" UPSERT("{}") "]}"), "a version below zero");
	refuses(400, "{\"error\":\"Request failed validation:#/key_names/1: the character U+0000 is not permitted\"}",
		batch("{\"table_name\":\"t\",\"schema\":{},\"key_names\":[\"a\",\"a\\u0000\"],\"messages\":[" UPSERT("{\"a\":1}") "]}"), "a key name with U+0000");
	many_names();
	refuses(400, "{\"error\":\"Request failed validation:#: expected type: JSONObject, found: JSONArray\"}", batch("[1,{}]"), "an array");
	refuses(400, "{\"error\":\"Request failed validation:#/table_name: expected minLength: 1, actual: 0\"}",
		batch("{\"table_name\":\"\",\"schema\":{},\"messages\":[" UPSERT("{}") "]}"), "a name without a character");
	refuses(400, "{\"error\":\"Request failed validation:#/table_name: the character U+0000 is not permitted\"}",
		batch("{\"table_name\":\"a\\u0000b\",\"schema\":{},\"messages\":[" UPSERT("{}") "]}"), "a name with U+0000");
	refuses(400, "{\"error\":\"Request failed validation:#/table_name: the path element [..] is not permitted\"}",
		batch("{\"table_name\":\"a/../b\",\"schema\":{},\"messages\":[" UPSERT("{}") "]}"), "a name that climbs");
	refuses(400,
		"{\"error\":\"Request failed validation:#: 2 schema violations found #: required key [table_name] not found #: required key [schema] not found\"}",
		batch("{\"messages\":[" UPSERT("{}") "]}"), "two violations");
}

static void test_messages(void)
{
	refuses(400,
		"{\"error\":\"Request failed validation:#/messages/0: #: 0 subschemas matched instead of one #/messages/0: required key [data] not found "
		"#/messages/0/action: upsert is not a valid enum value\"}",
		messages("{}", "{\"action\":\"upsert\",\"sequence\":1}"), "data missing");
	refuses(400,
		"{\"error\":\"Request failed validation:#/messages/1: #: 0 subschemas matched instead of one #/messages/1: 2 schema violations found "
		"#/messages/1: required key [sequence] not found #/messages/1: required key [data] not found #/messages/1: 2 schema violations found "
		"#/messages/1/action: upsert is not a valid enum value #/messages/1: required key [sequence] not found\"}",
		messages("{}", UPSERT("{\"id\":1}") ",{\"action\":\"upsert\"}"), "the second message is bad");
	ok(messages("{}", "{\"action\":\"upsert\",\"sequence\":1.5,\"data\":{\"id\":1}}") == -1 &&
			strstr(buf_cstr(&refused.body), "#/messages/0/sequence: expected type: Integer, found: Number"),
		"a sequence with a fraction");
	ok(messages("{}", UPSERT("[1]")) == -1 && strstr(buf_cstr(&refused.body), "#/messages/0/data: expected type: JSONObject, found: JSONArray"),
		"data that is no object");
	ok(messages("{}", "5") == -1 && strstr(buf_cstr(&refused.body), "#/messages/0: expected type: JSONObject, found: Integer"), "a number as a message");
	refuses(400, "{\"error\":\"Request failed validation:#: sequence can not be above 9223372036854775807\"}",
		messages("{}", "{\"action\":\"upsert\",\"sequence\":9223372036854775808,\"data\":{\"id\":1}}"), "a sequence too big");
	is_int(0, messages("{}", "{\"action\":\"upsert\",\"sequence\":9223372036854775807,\"data\":{\"id\":1}}"), "the greatest sequence");
	refuses(400, "{\"error\":\"Record is missing key property id\"}", messages("{}", UPSERT("{\"x\":1}")), "a key missing");
	refuses(400, "{\"error\":\"Record is missing key property id\"}", messages("{}", UPSERT("{\"id\":null}")), "a key that is null");
	refuses(400, "{\"error\":\"Record 1 did not conform to schema: #: required key [b] not found\"}",
		messages("{\"required\":[\"b\"]}", UPSERT("{\"id\":1,\"b\":null}") "," UPSERT("{\"id\":1}")), "a required field missing");
	refuses(400, "{\"error\":\"Invalid JSON schema: unknown type: [strng]\"}",
		messages("{\"properties\":{\"a\":{\"type\":[\"null\",\"strng\"]}}}", UPSERT("{\"id\":1}")), "a type that does not exist");
	refuses(400, "{\"error\":\"Invalid JSON schema: unknown type: [x]\"}",
		messages("{\"properties\":{\"type\":{\"anyOf\":[{\"type\":\"null\"},{\"items\":{\"type\":\"x\"}}]}}}", UPSERT("{\"id\":1}")), "also deep in");
	is_int(0, messages("{\"properties\":{\"type\":{\"type\":\"string\"},\"required\":{\"enum\":[{\"type\":\"x\"}]}},\"selected\":true}", UPSERT("{\"id\":1}")),
		"fields called type and required are fields");
}

static void test_malformed(void)
{
	static const char *const bad[] = {"", "{", "{\"table_name\":\"t\",}", "nul", "{\"a\":NaN}", "{\"a\":01}", "{} {}", "{\"a\":\"\xff\"}", "{\"a\":\"\\ud800\"}",
		"[{\"a\":\"\xc0\x80\"}]", "{\"table_name\":5,\"foo\":1,\"messages\":[5,", "\xef\xbb\xbf{}"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ok(batch(bad[i]) == -1 && refused.status == 400 &&
				strstr(buf_cstr(&refused.body), "{\"status\":\"ERROR\",\"message\":\"Malformed json in the body!\",\"error\":\""),
			"malformed batch %zu", i);
		ok(push(bad[i]) == -1 && refused.status == 400 && strstr(buf_cstr(&refused.body), "Malformed json in the body!") &&
				strstr(buf_cstr(&refused.body), "\"input\":null}"),
			"malformed push %zu", i);
	}
	ok(messages("{}", UPSERT("{\"id\":1,\"x\":tru}")) == -1 && strstr(buf_cstr(&refused.body), "Malformed"), "malformed within a record");
	ok(messages("{}", UPSERT("{\"x\":1}") ",{]") == -1 && strstr(buf_cstr(&refused.body), "Malformed"), "malformed after a bad record");
}

static void repeat(struct buf *b, const char *s, size_t n)
{
	while (n--)
		buf_adds(b, s);
}

static void test_limits(void)
{
	struct buf b = BUF_INIT;

	repeat(&b, UPSERT("{\"id\":1}") ",", IMPORT_RECORDS_MAX - 1);
	buf_adds(&b, UPSERT("{\"id\":1}"));
	is_int(0, messages("{}", b.data), "20000 records");
	is_int(IMPORT_RECORDS_MAX, in->groups[0].records, "all are there");
	buf_adds(&b, "," UPSERT("{\"id\":1}"));
	refuses(400, "{\"error\":\"Request failed validation:#/messages: expected maximum item count: 20000, found: 20001\"}", messages("{}", b.data),
		"20001 records");
	buf_truncate(&b, 0);
	buf_adds(&b, "{\"action\":\"upsert\",\"sequence\":1,\"data\":{\"id\":1,\"a\":[1");
	repeat(&b, ",1", IMPORT_POINTS_MAX - 2);
	buf_adds(&b, "]}}");
	is_int(0, messages("{}", b.data), "10000 data points");
	buf_truncate(&b, b.len - 3);
	buf_adds(&b, ",1]}}");
	refuses(400, "{\"error\":\"Request failed validation:#/messages: a record has 10001 data points; the limit is 10000\"}", messages("{}", b.data),
		"10001 data points");
	buf_truncate(&b, 0);
	buf_adds(&b, "{\"action\":\"upsert\",\"sequence\":1,\"data\":{\"id\":1,\"a\":");
	repeat(&b, "[", 100000);
	repeat(&b, "]", 100000);
	buf_adds(&b, "}}");
	ok(messages("{}", b.data) == -1 && refused.status == 400 && strstr(buf_cstr(&refused.body), "nested too deeply"), "huge nesting");
	buf_truncate(&b, 0);
	buf_adds(&b, "{\"action\":\"upsert\",\"sequence\":1,\"data\":{\"id\":\"");
	repeat(&b, "\xc3\xa9", 1024);
	buf_adds(&b, "\"}}");
	is_int(0, messages("{}", b.data), "a key of 1024 characters");
	buf_truncate(&b, b.len - 3);
	buf_adds(&b, "x\"}}");
	refuses(400, "{\"error\":\"String keys cannot be longer than 1024 characters\"}", messages("{}", b.data), "a key of 1025 characters");
	buf_truncate(&b, 0);
	for (unsigned i = 0; i <= IMPORT_FIELDS_MAX / 100; i++) {
		buf_adds(&b, i ? ",{\"action\":\"upsert\",\"sequence\":1,\"data\":{\"id\":1" : "{\"action\":\"upsert\",\"sequence\":1,\"data\":{\"id\":1");
		for (unsigned k = 0; k < 100; k++)
			buf_addf(&b, ",\"f%u\":1", i * 100 + k);
		buf_adds(&b, "}}");
	}
	refuses(400, "{\"error\":\"Request failed validation:#/messages: the records have more than 10000 different fields\"}", messages("{}", b.data),
		"a flood of field names");
	buf_free(&b);
}

#define M(more) "{\"client_id\":42,\"table_name\":\"t\",\"sequence\":1," more "}"
#define GOOD "\"action\":\"upsert\",\"key_names\":[\"id\"],\"data\":{\"id\":1}"
#define FIELDS(reason) "{\"status\":\"ERROR\",\"error\":\"Request cannot be processed; see errors.\",\"errors\":[{\"reason\":{" reason "}}]}"

static void test_push(void)
{
	is_int(0, push("[" M(GOOD) ",{\"sequence\":2,\"namespace\":\"x\",\"data\":{\"k\": 5},\"key_names\":[\"k\"],\"client_id\":42,\"table_version\":0,"
		       "\"table_name\":\"u\",\"action\":\"upsert\",\"more\":[{}]}," M("\"action\":\"upsert\",\"key_names\":[ \"id\" ],\"data\":{\"id\":\"x\"}") ","
		       M("\"action\":\"switch_view\",\"table_version\":3") "," M("\"action\":\"switch_view\"") "]"),
		"messages of two tables, two versions");
	is_int(3, (int64_t)in->n_groups, "three groups");
	is_str("{\"action\":\"upsert\",\"sequence\":1,\"data\":{\"id\":1}}\n{\"action\":\"upsert\",\"sequence\":1,\"data\":{\"id\":\"x\"}}\n"
	       "{\"action\":\"activate_version\",\"sequence\":1}\n",
		lines(0), "the first table's lines");
	is_str("{\"action\":\"upsert\",\"sequence\":2,\"data\":{\"k\":5}}\n", lines(1), "the second's");
	is_str("{\"action\":\"activate_version\",\"sequence\":1}\n", lines(2), "a version of its own");
	is_int(3, in->groups[2].table_version, "that version");
	is_int(0, in->groups[2].first, "belongs to the first group's table");
	is_slice("null", in->groups[0].schema, "push has no schema");
	is_int(0, push("[" M("\"action\":\"switch_view\"") "," M(GOOD) "]"), "a switch before its version's records");
	is_int(1, (int64_t)in->n_groups, "goes with them");
	is_slice("[\"id\"]", in->groups[0].key_names, "and has their keys");
	is_int(0, push("[" M(GOOD) "," M("\"action\":\"upsert\",\"key_names\":[\"id\",\"b\"],\"data\":{\"id\":1,\"b\":2}") "]"), "other key names");
	is_int(2, (int64_t)in->n_groups, "are another group");

	refuses(400, "{\"status\":\"ERROR\",\"message\":\"An array of records is expected\"}", push("{}"), "push: not an array");
	refuses(400, "{\"status\":\"ERROR\",\"message\":\"An array of records is expected\"}", push("[5]"), "push: not records");
	refuses(400, "{\"status\":\"ERROR\",\"message\":\"An array of records is expected\"}", push("[]"), "push: nothing");
	refuses(401, "{\"status\":\"ERROR\",\"error\":\"Not Authenticated.\",\"errors\":null}", push("[{\"table_name\":\"t\"}]"), "push: no client_id");
	refuses(403, "{\"status\":\"ERROR\",\"error\":\"Forbidden\",\"errors\":{\"error\":\"Access token is not associated with this client.\"}}",
		push("[{\"client_id\":43}]"), "push: another client");
	refuses(422,
		"{\"status\":\"ERROR\",\"error\":\"Request cannot be processed; see errors.\",\"errors\":[{\"reason\":\"The batch contains data points for multiple "
		"clients. Only client_id 42 is allowed\"}]}",
		push("[" M(GOOD) ",{\"client_id\":43}]"), "push: several clients");
	refuses(422, FIELDS("\"table_name\":[\"can't be blank\"]"),
		push("[{\"client_id\":42,\"table_name\":null,\"sequence\":1," GOOD "}]"), "push: no table");
	refuses(422, FIELDS("\"sequence\":[\"should be an integer\"]"),
		push("[{\"client_id\":42,\"table_name\":\"t\",\"sequence\":1.5," GOOD "}]"), "push: a sequence with a fraction");
	refuses(422, FIELDS("\"sequence\":[\"should be a number\"]"),
		push("[{\"client_id\":42,\"table_name\":\"t\",\"sequence\":\"1\"," GOOD "}]"), "push: a sequence that is text");
	refuses(422, FIELDS("\"data\":[\"data must be an object\"]"), push("[" M("\"action\":\"upsert\",\"key_names\":[\"id\"],\"data\":[]") "]"), "push: data");
	refuses(422, FIELDS("\"data\":[\"data must include keys\"]"),
		push("[" M("\"action\":\"upsert\",\"key_names\":[\"id\"],\"data\":{\"x\":1}") "]"), "push: a key missing");
	refuses(422, FIELDS("\"data\":[\"keys cannot not be null in data\"]"),
		push("[" M("\"action\":\"upsert\",\"key_names\":[\"id\"],\"data\":{\"id\":null}") "]"), "push: a key that is null");
	refuses(422, FIELDS("\"key_names\":[\"can't be blank\"]"), push("[" M("\"action\":\"upsert\",\"key_names\":[ ],\"data\":{\"id\":1}") "]"),
		"push: no keys");
	refuses(422, FIELDS("\"key_names\":[\"can't be blank\"]"), push("[" M("\"action\":\"upsert\",\"key_names\":null,\"data\":{\"id\":1}") "]"),
		"push: keys null");
	refuses(422, FIELDS("\"key_names\":[\"can't hold the character U+0000\"]"),
		push("[" M("\"action\":\"upsert\",\"key_names\":[\"a\\u0000\"],\"data\":{\"id\":1}") "]"), "push: a key name with U+0000");
	refuses(422, FIELDS("\"table_version\":[\"should not be negative\"]"),
		push("[" M("\"table_version\":-1,\"action\":\"upsert\",\"key_names\":[\"id\"],\"data\":{\"id\":1}") "]"), "push: a version below zero");
	ok(push("[" M("\"action\":\"upsert\"") "]") == -1 && strstr(buf_cstr(&refused.body), "\"key_names\":[\"can't be blank\"],\"data\":[\"data must be an object\"]"),
		"push: all that is wrong with a message is told");
}

static void test_many_tables(void)
{
	struct buf b = BUF_INIT;
	bool good = true;

	for (unsigned i = 0; i < 3000; i++)
		buf_addf(&b, "%s{\"client_id\":42,\"table_name\":\"t%u\",\"sequence\":%u," GOOD "}", i ? "," : "[", i % 1000, i);
	buf_adds(&b, "]");
	is_int(0, push(b.data), "a thousand tables");
	is_int(1000, (int64_t)in->n_groups, "a group each");
	for (size_t i = 0; i < in->n_groups; i++)
		good &= in->groups[i].records == 3;
	ok(good, "three records in each");
	buf_free(&b);
}

/* --- Transit --- */

static int push_transit(const char *body)
{
	refusal_reset(&refused);
	return decode_transit(in, body_of(body), &refused) || decode_push_transit(in, 42, &refused) ? -1 : 0;
}

#define TMESSAGE(data) "[\"^ \",\"client_id\",42,\"table_name\",\"t\",\"sequence\",1,\"action\",\"upsert\",\"key_names\",[\"id\"],\"data\"," data "]"

static void test_transit(void)
{
	is_int(0, push_transit("[" TMESSAGE("[\"^ \",\"id\",\"~i1\",\"time\",\"~m0\",\"dec\",\"~f10\",\"big\",\"~n5\",\"u\",\"~uabc\",\"nan\",\"~zNaN\",\"in\",[\"^ \",\"x\",\"~m5\"]]") ","
			"[\"^ \",\"^2\",2,\"^1\",\"t\",\"^0\",42,\"^5\",[\"^ \",\"id\",\"~i9223372036854775808\",\"^6\",\"1970\",\"nan\",1.5,\"dec\",\"~f1E+2\"],\"^3\",\"~:upsert\",\"^4\",[\"id\"]]]"),
		"Transit: %s", buf_cstr(&refused.body));
	is_int(1, (int64_t)in->n_groups, "one group");
	is_str("{\"action\":\"upsert\",\"sequence\":1,\"data\":{\"id\":1,\"time\":\"1970-01-01T00:00:00.000Z\",\"dec\":10,\"big\":5,\"u\":\"abc\",\"nan\":null,"
	       "\"in\":{\"x\":\"1970-01-01T00:00:00.005Z\"}}}\n"
	       "{\"action\":\"upsert\",\"sequence\":2,\"data\":{\"id\":9223372036854775808,\"time\":\"1970\",\"nan\":1.5,\"dec\":1E+2}}\n",
		lines(0), "lines");
	is_str("id:integer,bignum time:timestamp,string dec:number big:number u:string nan:number in:object", types(0), "types are told by Transit");
	transit_reset(in->transit);
	is_int(0, push("[{\"client_id\":42,\"table_name\":\"t\",\"sequence\":1,\"action\":\"upsert\",\"key_names\":[\"id\"],\"data\":{\"id\":1,\"time\":\"1970-01-01\"}}]"),
		"JSON after it");
	is_str("id:integer time:string", types(0), "is typed by JSON");
	is_int(0, push_transit("[" TMESSAGE("[\"^ \",\"id\",1,\"a\",\"~m0\",\"a\",\"x\",\"b\",\"x\",\"b\",\"~m1\"]") "]"), "the same key twice");
	is_str("{\"action\":\"upsert\",\"sequence\":1,\"data\":{\"id\":1,\"a\":\"x\",\"b\":\"1970-01-01T00:00:00.001Z\"}}\n", lines(0), "the last one counts");
	is_str("id:integer a:string b:timestamp", types(0), "with its type");
	is_int(0, push_transit("[[\"^ \",\"sequence\",\"~i9007199254740993\",\"namespace\",\"n\",\"table_version\",0,\"client_id\",42,\"action\",\"upsert\",\"data\","
			       "[\"^ \",\"id\",1],\"key_names\",[\"~#list\",[\"id\"]],\"table_name\",\"t\"],"
			       "{\"action\":\"switch_view\",\"table_name\":\"t\",\"sequence\":3,\"client_id\":42,\"table_version\":null}]"),
		"as the Java client sends, and a verbose one");
	is_int(1, (int64_t)in->n_groups, "version 0 is none");
	is_str("{\"action\":\"upsert\",\"sequence\":9007199254740993,\"data\":{\"id\":1}}\n{\"action\":\"activate_version\",\"sequence\":3}\n", lines(0), "its lines");
	refuses(400, "{\"status\":\"ERROR\",\"message\":\"Malformed json in the body!\",\"error\":\"an invalid time at byte 7\",\"input\":null}", push_transit("[\"~#m\",1.5]"),
		"malformed: the place in what was sent");
	refuses(400, "{\"status\":\"ERROR\",\"message\":\"An array of records is expected\"}", push_transit("[\"~#'\",\"a\"]"), "no array");
	refuses(422,
		"{\"status\":\"ERROR\",\"error\":\"Request cannot be processed; see errors.\",\"errors\":[{\"reason\":{\"key_names\":[\"can't be blank\"]}}]}",
		push_transit("[[\"^ \",\"client_id\",42,\"table_name\",\"t\",\"sequence\",1,\"action\",\"upsert\",\"key_names\",null,\"data\",[\"^ \",\"id\",1]]]"),
		"key names that are null");
}

/* A record that is larger than any body: readers behind the door would not take its line. */
static void test_transit_large(void)
{
	struct buf b = BUF_INIT;

	buf_adds(&b, "[[\"^ \",\"client_id\",42,\"table_name\",\"t\",\"sequence\",1,\"action\",\"upsert\",\"key_names\",[\"id\"],\"data\",[\"^ \",\"id\",1,\"a\",[\"~:");
	for (int i = 0; i < 2000000; i++)
		buf_addc(&b, 'x');
	buf_adds(&b, "\",\"^6\",\"^6\",\"^6\",\"^6\",\"^6\",\"^6\",\"^6\",\"^6\",\"^6\",\"^6\",\"^6\"]]]]");
	is_int(-1, push_transit(b.data), "a record of 24 MB");
	is_int(413, refused.status, "is refused: %s", buf_cstr(&refused.body));
	buf_free(&b);
}

#define UP(seq, data) "{\"action\":\"upsert\",\"sequence\":" seq ",\"data\":" data "}"

static void test_partial(void)
{
	static const char list[] = UP("1", "{\"id\":1}") "," UP("2", "{}") ",7," UP("99999999999999999999", "{\"id\":4}") ",{\"action\":\"x\"}," UP("5", "{\"id\":5}");
	struct buf late = BUF_INIT;

	in->partial = true;
	ok(messages("{}", list) == 0 && in->n_groups == 1 && in->groups[0].records == 2 &&
			strcmp(lines(0), UP("1", "{\"id\":1}") "\n" UP("5", "{\"id\":5}") "\n") == 0,
		"in part: the good ones are kept");
	ok(in->n_rejects == 4 && strstr(buf_cstr(&in->rejects), "{\"record\":1,\"error\":\"Record is missing key property id\"},{\"record\":2,\"error\":") == in->rejects.data &&
			strstr(buf_cstr(&in->rejects), ",{\"record\":3,\"error\":\"sequence can not be above 9223372036854775807\"},{\"record\":4,\"error\":\"Request failed "
						       "validation:#/messages/4: #: 0 subschemas"),
		"the bad ones are told: %s", buf_cstr(&in->rejects));
	buf_addf(&late, "{\"table_name\":\"t\",\"messages\":[%s],\"schema\":{},\"key_names\":[\"id\"]}", list);
	ok(batch(late.data) == 0 && in->groups[0].records == 2 && in->n_rejects == 4, "also when the rules come later");
	buf_free(&late);
	ok(messages("{}", UP("1", "{\"id\":1}")) == 0 && in->n_rejects == 0, "none is bad");
	refuses(400, "{\"status\":\"ERROR\",\"message\":\"No record was accepted\",\"rejected\":[{\"record\":0,\"error\":\"Record is missing key property id\"}]}",
		messages("{}", UP("2", "{}")), "all are bad");
	ok(messages("[]", list) == -1 && refused.status == 400 && strstr(buf_cstr(&refused.body), "#/schema: expected type"), "the request's own form is not taken in part");
	ok(messages("{}", UP("1", "{\"id\":1}") ",{") == -1 && strstr(buf_cstr(&refused.body), "Malformed json"), "nor what is not JSON");
	in->partial = false;
	ok(messages("{}", list) == -1 && refused.status == 400, "without being asked nothing is");
}

int main(void)
{
	plan_lazy();
	in = intake_new();
	test_good_batch();
	test_types();
	test_duplicates();
	test_form();
	test_messages();
	test_malformed();
	test_limits();
	test_push();
	test_many_tables();
	test_transit();
	test_transit_large();
	test_partial();
	intake_free(in);
	free(copy);
	buf_free(&refused.body);
	return done_testing();
}
