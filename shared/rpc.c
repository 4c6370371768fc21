/*
 * rpc.c - JSON-RPC 2.0, one message a line: framing, parsing, and the words for errors.
 *
 * A line is written straight into the caller's buffer. Text of errors may hold foreign bytes (a cut UTF-8 character, a name from a disk), so it is
 * made valid first: an error that cannot be told would leave the other end waiting. What can go wrong: a long line that arrives in many pieces must
 * not be searched from its start each time, nor many short lines in one buffer be moved one by one; `done` and `seen` are there for that.
 */
#include "rpc.h"

#include "xalloc.h"

static int dump_piece(const char *p, size_t n, void *arg)
{
	buf_add(arg, p, n);
	return 0;
}

static void add_json(struct buf *out, const json_t *v)
{
	size_t before = out->len;

	if (v && !json_dump_callback(v, dump_piece, out, JSON_COMPACT | JSON_ENCODE_ANY))
		return;
	buf_truncate(out, before);
	buf_adds(out, "null");
}

static void add_text(struct buf *out, const char *s)
{
	json_t *v = json_string(s);
	struct buf plain = BUF_INIT;

	if (!v) {
		for (; *s; s++)
			buf_addc(&plain, (unsigned char)*s < 0x80 ? *s : '?');
		v = json_string(buf_cstr(&plain));
		buf_free(&plain);
	}
	add_json(out, v);
	json_decref(v);
}

/* --- writing --- */

static void add_call(struct buf *out, const char *method, json_t *params)
{
	buf_adds(out, "\"method\":");
	add_text(out, method);
	if (params) {
		buf_adds(out, ",\"params\":");
		add_json(out, params);
	}
	buf_adds(out, "}\n");
}

void rpc_request(struct buf *out, int64_t id, const char *method, json_t *params)
{
	buf_addf(out, "{\"jsonrpc\":\"2.0\",\"id\":%" PRId64 ",", id);
	add_call(out, method, params);
}

void rpc_notification(struct buf *out, const char *method, json_t *params)
{
	buf_adds(out, "{\"jsonrpc\":\"2.0\",");
	add_call(out, method, params);
}

static void add_answer(struct buf *out, json_t *id)
{
	buf_adds(out, "{\"jsonrpc\":\"2.0\",\"id\":");
	add_json(out, id);
}

void rpc_result(struct buf *out, json_t *id, json_t *result)
{
	add_answer(out, id);
	buf_adds(out, ",\"result\":");
	add_json(out, result);
	buf_adds(out, "}\n");
}

void rpc_error(struct buf *out, json_t *id, int code, const char *message, json_t *data)
{
	add_answer(out, id);
	buf_addf(out, ",\"error\":{\"code\":%d,\"message\":", code);
	add_text(out, message);
	if (data) {
		buf_adds(out, ",\"data\":");
		add_json(out, data);
	}
	buf_adds(out, "}}\n");
}

void rpc_error_of(struct buf *out, json_t *id, const struct err *e)
{
	int code = e->code == ERR_DENIED ? RPC_DENIED : e->code == ERR_INVALID ? RPC_BAD_PARAMS : RPC_FAILED;
	json_t *data = json_object();

	json_object_set_new(data, "name", json_string(err_name(e->code)));
	rpc_error(out, id, code, e->text, data);
	json_decref(data);
}

/* --- reading --- */

static enum err_code code_named(const char *name)
{
	if (name)
		for (int c = ERR_INVALID; c <= ERR_INTERNAL; c++)
			if (strcmp(err_name((enum err_code)c), name) == 0)
				return (enum err_code)c;
	return ERR_NONE;
}

void rpc_err_from(json_t *error, struct err *e)
{
	json_t *data = json_object_get(error, "data");
	json_int_t number = json_integer_value(json_object_get(error, "code"));
	const char *text = json_string_value(json_object_get(error, "message"));
	enum err_code code = code_named(json_string_value(json_object_get(data, "name")));

	if (!code)
		code = code_named(json_string_value(json_object_get(data, "class")));
	if (!code)
		code = number == RPC_DENIED ? ERR_DENIED : number == RPC_BAD_PARAMS || number == RPC_NO_METHOD ? ERR_INVALID : ERR_INTERNAL;
	err_set(e, code, "%s", text ? text : "an error without a message");
}

static bool error_is_sound(const json_t *error)
{
	return json_is_object(error) && json_is_integer(json_object_get(error, "code")) && json_is_string(json_object_get(error, "message"));
}

/* What the parts must be; NULL when they are sound. */
static const char *fault_of(const struct rpc_msg *m, const json_t *method)
{
	const char *version = json_string_value(json_object_get(m->root, "jsonrpc"));

	if (!version || strcmp(version, "2.0") != 0)
		return "\"jsonrpc\" must be \"2.0\"";
	if (m->id && !json_is_integer(m->id) && !json_is_string(m->id) && !json_is_null(m->id))
		return "\"id\" must be an integer or text";
	if (method) {
		if (!json_is_string(method))
			return "\"method\" must be text";
		if (m->params && !json_is_object(m->params))
			return "\"params\" must be an object";
		return m->result || m->error ? "a message is either a call or an answer" : NULL;
	}
	if (!m->id || !m->result == !m->error)
		return "neither a call (\"method\") nor an answer (\"id\" and one of \"result\" and \"error\")";
	return m->error && !error_is_sound(m->error) ? "\"error\" must hold a \"code\" and a \"message\"" : NULL;
}

int rpc_parse(struct str line, struct rpc_msg *out, struct err *e)
{
	json_error_t je;
	json_t *method;
	const char *fault;

	*out = (struct rpc_msg){.root = json_loadb(line.ptr ? line.ptr : "", line.len, JSON_REJECT_DUPLICATES, &je)};
	if (!out->root)
		return err_set(e, ERR_INVALID, "not JSON: %s at byte %d", je.text, je.position);
	method = json_object_get(out->root, "method");
	out->method = json_string_value(method);
	out->params = json_object_get(out->root, "params");
	out->id = json_object_get(out->root, "id");
	out->result = json_object_get(out->root, "result");
	out->error = json_object_get(out->root, "error");
	fault = json_is_object(out->root) ? fault_of(out, method) : "a message is one object (no batches)";
	if (!fault)
		return 0;
	rpc_msg_free(out);
	return err_set(e, ERR_INVALID, "not JSON-RPC 2.0: %s", fault);
}

void rpc_msg_free(struct rpc_msg *m)
{
	json_decref(m->root);
	*m = (struct rpc_msg){.root = NULL};
}

int rpc_lines_next(struct rpc_lines *l, struct str *line, struct err *e)
{
	const char *nl = NULL;
	size_t from;

	assert(l->done <= l->in.len && l->seen <= l->in.len);
	from = MAX(l->seen, l->done);
	if (l->in.len > from)
		nl = memchr(l->in.data + from, '\n', l->in.len - from);
	if (nl && (size_t)(nl - l->in.data) - l->done <= l->max) {
		*line = str_mem(l->in.data + l->done, (size_t)(nl - l->in.data) - l->done);
		l->done += line->len + 1;
		l->seen = l->done;
		return 1;
	}
	if (nl || l->in.len - l->done > l->max)
		return err_set(e, ERR_INVALID, "a line of more than %zu bytes", l->max);
	buf_consume(&l->in, l->done);
	l->done = 0;
	l->seen = l->in.len;
	return 0;
}
