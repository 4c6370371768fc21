/*
 * load.h - one load and one discard: the order of things (loader.h), whatever the destination. Private to the runtime; one thread.
 */
#ifndef STITCH_LOADER_LOAD_H
#define STITCH_LOADER_LOAD_H

#include "loaders/runtime/loader.h"
#include "loaders/runtime/proto.h"

struct refused { uint64_t ordinal; char *column, *reason; };

struct loader {
	const struct loader_ops *ops;
	void *self; /* NULL: not connected */
	_Atomic bool busy; /* with a request; read by the thread that watches fd 3 */
	json_t *settings;
	struct proto proto;
	int64_t last_id; /* of our requests */
	int64_t told;	 /* when load.progress was sent last, ns mono */
	int64_t load;	 /* its id, for progress; 0: none */
	uint64_t rows, bytes;
	struct refused *refused; /* what the destination refused in this load, by ordinal */
	size_t n_refused, cap_refused;
	bool again; /* the destination asks for another run */
	const char *blamed; /* column whose value the destination refuses in put; NULL: not told */
	int64_t retry_after; /* ns; what the destination asked for in this request, 0: nothing */
};

/* *bad: index of the batch that an error is about, or SIZE_MAX. Returns the answer (caller decrefs) or NULL. */
json_t *load_run(struct loader *l, struct job *j, size_t *bad, struct err *e) MUST_CHECK;
json_t *load_discard(struct loader *l, struct job *j, struct err *e) MUST_CHECK;
/* load.reject and the wait for its answer (main.c). */
int loader_send_rejects(struct loader *l, struct buf *params, struct err *e) MUST_CHECK;

#endif
