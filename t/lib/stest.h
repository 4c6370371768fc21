/*
 * stest.h - what the tests of streamery and retention share: a world of a queue and a store in memory and a double of the state, requests made and
 * put, stages stepped, batch files read. One thread.
 */
#ifndef STITCH_STEST_H
#define STITCH_STEST_H

#include "daemon/queue/queue_mem.h"
#include "daemon/store/store_mem.h"
#include "daemon/streamery/streamery.h"
#include "fake_state.h"

struct world {
	struct now now;
	struct streamery_config config;
	struct queue *queue;
	struct store *store;
	struct state *state;
	struct store_stage *store_stage;
	struct streamery *streamery;
	struct frame_ctx *frame;
	unsigned runs;
};

/* A request: one queue record of one table with `records` lines; a big one is longer than FRAME_COMPRESS_FROM. */
struct request {
	uint32_t source;
	const char *table, *id; /* id NULL: ours, no key */
	const char *keys;	/* NULL: [] */
	unsigned records;
	int64_t version;
	const char *types; /* NULL: {} ; makes the shape */
	bool big;
	unsigned seed;
};

void world_open(struct world *w, const char *store_url, const char *dir);
void world_start(struct world *w); /* a start of the daemon, without what is not of our matter */
void world_crash(struct world *w);
void world_new_queue(struct world *w, uint64_t first_offset); /* another queue in its place; the daemon starts anew */
void world_close(struct world *w);
void world_step(struct world *w); /* each stage once */
void world_settle(struct world *w); /* step, time passing in tenths of a second, until nothing is open or on its way or a minute has passed */
void world_later(struct world *w, int64_t ns);
uint64_t world_put(struct world *w, const struct request *r); /* its offset */
void world_put_simple(struct world *w, const char *table, unsigned n); /* n requests of one record without key */
void request_encode(struct frame_ctx *ctx, const struct request *r, int64_t received_at, struct buf *out);
/* Decompressed text of a file of the store; the caller frees. NULL: not there. */
char *world_text(struct world *w, const char *name);
/* fn for each entry of the file's indexes; -1: the file is not there or not what it must be */
typedef void world_entry_fn(uint64_t offset, struct str request_id, uint32_t records, void *arg);
int world_entries(struct world *w, const char *name, world_entry_fn *fn, void *arg);
unsigned text_lines(const char *text, const char *with);

#endif
