/*
 * rpc_client.h - the other end of the control socket, for stitchctl, the console and tests. Blocking calls with a deadline for
 * scripts; fd + pump for the console's poll loop. One thread.
 */
#ifndef STITCH_RPC_CLIENT_H
#define STITCH_RPC_CLIENT_H

#include "rpc.h"

struct rpc_client;

/* The socket's path: explicit, $STITCH_SOCKET, $RUNTIME_DIRECTORY/control.sock, /run/stitch/control.sock (the systemd unit's) if it is there, else
 * LOCALSTATEDIR/lib/stitch/control.sock. Caller frees. */
char *rpc_client_path(const char *explicit_path) MUST_CHECK;
/* Connects and says system.hello. ERR_NOT_FOUND/ERR_IO: no daemon there. */
struct rpc_client *rpc_client_open(const char *path, const char *program, int64_t timeout_ns, struct err *e) MUST_CHECK;
json_t *rpc_client_hello(struct rpc_client *c); /* borrowed: the daemon's answer to system.hello */
/* Returns the result (caller json_decref's) or NULL with e. params: stolen. Notifications that arrive meanwhile go to the handler. */
json_t *rpc_client_call(struct rpc_client *c, const char *method, json_t *params, int64_t timeout_ns, struct err *e) MUST_CHECK;

/* asynchronous use */
typedef void rpc_client_notify(const char *method, json_t *params, void *arg);
typedef void rpc_client_reply(json_t *result /* borrowed, NULL on error */, const struct err *e, void *arg);
void rpc_client_on_notify(struct rpc_client *c, rpc_client_notify *fn, void *arg);
int rpc_client_send(struct rpc_client *c, const char *method, json_t *params /* stolen */, rpc_client_reply *fn, void *arg, struct err *e) MUST_CHECK;
int rpc_client_fd(struct rpc_client *c);
bool rpc_client_wants_write(struct rpc_client *c);
int rpc_client_pump(struct rpc_client *c, struct err *e) MUST_CHECK; /* read and write what is possible; -1: the connection is gone */
void rpc_client_free(struct rpc_client *c); /* pending replies get ERR_IO */

#endif
