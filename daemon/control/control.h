/*
 * control.h - the control socket: JSON-RPC 2.0 lines, role by SO_PEERCRED, dispatch by shared/methods.def, audit before act, stats notifications.
 * One thread (loop.h); slow things (destination check, flush --wait) run in a helper thread and answer later.
 */
#ifndef STITCH_CONTROL_H
#define STITCH_CONTROL_H

#include "daemon/import/import.h"
#include "daemon/queue/queue.h"
#include "daemon/retention/retention.h"
#include "daemon/spool/runner.h"
#include "daemon/spool/spool.h"
#include "daemon/state/seal.h"
#include "daemon/state/state.h"
#include "daemon/store/store.h"
#include "daemon/streamery/streamery.h"

struct control_config { const char *socket; const char *name /* of this install */; const char *state_dir; const char *run_id; uint64_t reserve_bytes; };
struct control_parts { struct state *state; struct queue *queue; struct store *store; struct streamery *streamery; struct spool *spool; struct runner *runner; struct import *import; struct seal *seal; };
struct control;
struct control *control_new(const struct control_config *c, const struct control_parts *p, struct err *e) MUST_CHECK;
int control_start(struct control *ct, struct err *e) MUST_CHECK;
void control_stop(struct control *ct);
void control_free(struct control *ct);

#endif
