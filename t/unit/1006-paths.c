/*
 * 1006-paths.c - types of nested values against a second opinion: random records, whose paths are also collected by a walk over jansson's values, in many orders
 * and with members that come and go. Batches in one body share the tree, so that later records meet guesses that earlier ones made.
 */
#include <jansson.h>

#include "daemon/import/intake.h"
#include "tap.h"
#include "xalloc.h"

static uint64_t state = 88172645463325252u;

static unsigned rnd(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 33) % n;
}

static void blanks(struct buf *b)
{
	for (unsigned n = rnd(4); n > 2; n--)
		buf_addc(b, " \n\t\r"[rnd(4)]);
}

static void value(struct buf *b, unsigned depth);

static void object(struct buf *b, unsigned depth)
{
	unsigned first = rnd(6), n = rnd(5);

	buf_addc(b, '{');
	for (unsigned i = 0; i < n; i++) { /* names differ in one object */
		blanks(b);
		if (rnd(8))
			buf_addf(b, "%s\"m%u\"", i ? "," : "", (first + i) % 6);
		else
			buf_addf(b, "%s\"\\u006d%u\"", i ? "," : "", (first + i) % 6);
		blanks(b);
		buf_addc(b, ':');
		value(b, depth + 1);
	}
	blanks(b);
	buf_addc(b, '}');
}

static void value(struct buf *b, unsigned depth)
{
	static const char *const scalars[] = {"1", "-7", "1.5", "2e3", "true", "false", "null", "null", "\"\"", "\"a,{[\\\"\"", "9007199254740993"};
	unsigned what = rnd(10);

	blanks(b);
	if (depth < 18 && what < 4) {
		object(b, depth);
	} else if (depth < 18 && what < 6) {
		unsigned n = rnd(4);

		buf_addc(b, '[');
		for (unsigned i = 0; i < n; i++) {
			if (i)
				buf_addc(b, ',');
			value(b, depth + 1);
		}
		buf_addc(b, ']');
	} else {
		buf_adds(b, scalars[rnd(ARRAY_LEN(scalars))]);
	}
	blanks(b);
}

static const char *kind_of(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return "object";
	case JSON_ARRAY:
		return "array";
	case JSON_STRING:
		return "string";
	case JSON_INTEGER:
		return "integer";
	case JSON_REAL:
		return "number";
	case JSON_NULL:
		return NULL;
	default:
		return "boolean";
	}
}

/* Into out: path -> {kind: true}. */
static void collect(json_t *out, const char *path, unsigned depth, json_t *v)
{
	const char *kind = kind_of(v), *key;
	char *below;
	json_t *item;
	size_t i;

	if (!kind || depth > PATHS_DEPTH_MAX)
		return;
	if (!json_object_get(out, path))
		json_object_set_new(out, path, json_object());
	json_object_set_new(json_object_get(out, path), kind, json_true());
	json_object_foreach(v, key, item) {
		below = xasprintf("%s\1%s", path, key);
		collect(out, below, depth + 1, item);
		free(below);
	}
	below = xasprintf("%s\2", path);
	json_array_foreach(v, i, item)
		collect(out, below, depth + 1, item);
	free(below);
}

/* Does anything listed begin with path and this byte? */
static bool has_below(json_t *all, const char *path, char kind)
{
	size_t n = strlen(path);
	const char *key;
	json_t *v;

	json_object_foreach(all, key, v)
		if (!strncmp(key, path, n) && key[n] == kind)
			return true;
	return false;
}

/* Says so for what was empty. */
static void add_empty(json_t *all)
{
	json_t *more = json_object(), *v;
	const char *key;

	json_object_foreach(all, key, v) {
		for (int array = 0; array < 2; array++) {
			char *path = xasprintf("%s%c", key, array ? PATH_ELEMENT : PATH_MEMBER);

			if (json_object_get(v, array ? "array" : "object") && !has_below(all, key, array ? PATH_ELEMENT : PATH_MEMBER))
				json_object_set_new(more, path, json_object());
			free(path);
		}
	}
	json_object_update(all, more);
	json_decref(more);
}

/* The head's types in the same form. */
static json_t *listed(struct intake *in)
{
	json_t *head, *out = json_object(), *types, *kind;
	struct frame_head h = {.source = 0};
	const char *path;
	size_t i;

	/* of the request that was encoded last the head is still there */
	if (frame_head_parse(str_mem(in->head.data, in->head.len - 1), &h, NULL))
		return out;
	head = json_loadb(h.types.ptr, h.types.len, 0, NULL);
	json_object_foreach(head, path, types) {
		json_object_set_new(out, path, json_object());
		json_array_foreach(types, i, kind)
			json_object_set_new(json_object_get(out, path), json_string_value(kind), json_true());
	}
	json_decref(head);
	buf_free(&h.table);
	return out;
}

static bool one_round(struct intake *in, struct buf *body)
{
	struct encode_request q = {.source_id = 1, .received_at = 1, .request_id = STR("k")};
	struct refusal r = {.status = 0};
	struct queue_put put = {.n = 0};
	struct buf text = BUF_INIT;
	json_t *wanted = json_object(), *got, *v, *field;
	const char *name;
	bool fine = true;

	buf_adds(body, "{\"table_name\":\"t\",\"schema\":{},\"messages\":[");
	for (unsigned n = rnd(6) + 1, i = 0; i < n; i++) {
		buf_truncate(&text, 0);
		object(&text, 0);
		buf_addf(body, "%s{\"action\":\"upsert\",\"sequence\":1,\"data\":%s}", i ? "," : "", buf_cstr(&text));
		v = json_loads(buf_cstr(&text), 0, NULL);
		json_object_foreach(v, name, field)
			collect(wanted, name, 1, field);
		json_decref(v);
	}
	buf_adds(body, "]}");
	add_empty(wanted);
	if (decode_batch(in, buf_str(body), &r) || encode_batch(in, &q, &put, &r))
		fine = false;
	got = listed(in);
	if (!json_equal(wanted, got)) {
		char *a = json_dumps(wanted, JSON_INDENT(1)), *b = json_dumps(got, JSON_INDENT(1));

		diag("wanted %s\ngot %s", a, b);
		free(a);
		free(b);
		fine = false;
	}
	json_decref(wanted);
	json_decref(got);
	buf_free(&text);
	buf_free(&put.bytes);
	buf_free(&r.body);
	return fine;
}

int main(void)
{
	struct intake *in;
	bool fine = true;

	plan_lazy();
	in = intake_new();
	for (unsigned i = 0; i < 400 && fine; i++) {
		struct buf body = BUF_INIT;

		fine = one_round(in, &body);
		if (!fine)
			diag("round %u: %s", i, buf_cstr(&body));
		buf_free(&body);
	}
	ok(fine, "the head lists what a walk over the records finds");
	intake_free(in);
	return done_testing();
}
