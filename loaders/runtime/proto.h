/*
 * proto.h - the loader's end of fd 3 (stitch-loader(7)): lines in, with the descriptors that travel with them, and lines out. Blocking; one thread.
 */
#ifndef STITCH_LOADER_PROTO_H
#define STITCH_LOADER_PROTO_H

#include "base.h"
#include "err.h"
#include "rpc.h"

#define PROTO_FDS_MAX 253

struct proto {
	int fd;
	struct rpc_lines in;
	int fds[PROTO_FDS_MAX]; /* came and were not taken yet */
	size_t n_fds;
};

/* 1: *out is the next message (rpc_msg_free); 0: end of file; -1. */
int proto_read(struct proto *p, struct rpc_msg *out, struct err *e) MUST_CHECK;
int proto_write(struct proto *p, struct buf *line, struct err *e) MUST_CHECK; /* sends and empties it */
void proto_drop_fds(struct proto *p); /* close what nobody took */
void proto_free(struct proto *p);

#endif
