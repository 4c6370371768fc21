/*
 * rpc.h - JSON-RPC 2.0, one message a line: the control socket (limit RPC_LINE_MAX) and fd 3 of loaders (limit RPC_LOADER_MAX). This
 * module only frames and parses; sockets are the caller's. jansson objects: ownership as named. One thread per struct.
 */
#ifndef STITCH_RPC_H
#define STITCH_RPC_H

#include <jansson.h>

#include "base.h"
#include "buf.h"
#include "err.h"

#define RPC_LINE_MAX (1u << 20)
#define RPC_LOADER_MAX (64u << 20)
#define RPC_PROTOCOL 1

/* JSON-RPC codes; enum err_code travels in error.data.name (err_name()) and, from loaders, error.data.class. */
enum { RPC_PARSE = -32700, RPC_INVALID = -32600, RPC_NO_METHOD = -32601, RPC_BAD_PARAMS = -32602, RPC_FAILED = -32000, RPC_DENIED = -32001 };

struct rpc_msg {
	json_t *root;	     /* owned; the others are borrowed from it */
	const char *method;  /* request or notification; NULL in a response */
	json_t *params;	     /* object or NULL */
	json_t *id;	     /* NULL in a notification */
	json_t *result;	     /* response: exactly one of result and error */
	json_t *error;
};

/* Parse one line (without newline). -1: not JSON-RPC 2.0 (e->text says why). Free with rpc_msg_free. */
int rpc_parse(struct str line, struct rpc_msg *out, struct err *e) MUST_CHECK;
void rpc_msg_free(struct rpc_msg *m);

/* Append one line with its newline. params, result, data: borrowed (not decref'ed), may be NULL. id: borrowed. */
void rpc_request(struct buf *out, int64_t id, const char *method, json_t *params);
void rpc_notification(struct buf *out, const char *method, json_t *params);
void rpc_result(struct buf *out, json_t *id, json_t *result);
void rpc_error(struct buf *out, json_t *id, int code, const char *message, json_t *data);
void rpc_error_of(struct buf *out, json_t *id, const struct err *e); /* code by e->code, data {"name": err_name} */
/* A response's error object into e: name in data decides the code. */
void rpc_err_from(json_t *error, struct err *e);

/* Line reader: append what was read to in, then take lines until 0. -1: a line longer than max. The line is valid until the next call.
 * Who empties `in` sets the whole struct anew. */
struct rpc_lines {
	struct buf in;
	size_t done, seen; /* private */
	size_t max;
};
int rpc_lines_next(struct rpc_lines *l, struct str *line, struct err *e) MUST_CHECK;

#endif
