/*
 * work.h - what the streamery's stage holds: sources, tables, works, dropped repeats, transactions. Thread: the stage's, but for the members marked.
 *
 * A `work` is a batch from its first record to the commit of its row. Its way: open -> waiting -> storing -> stored -> committing -> gone.
 */
#ifndef STITCH_WORK_H
#define STITCH_WORK_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "daemon/streamery/batch.h"
#include "daemon/streamery/cut.h"
#include "daemon/streamery/streamery.h"

#define STREAM_SHAPES 64 /* shapes known as merged, per table */
#define STREAM_CUTS_MAX 256 /* in one transaction */

TAILQ_HEAD(work_list, work);

struct stream_source {
	TAILQ_ENTRY(stream_source) in_active; /* while it has open works */
	int64_t id;
	_Atomic bool idle; /* set by the spool's thread */
	struct work_list open; /* by opening */
};

struct table {
	struct stream_source *source;
	char *name;
	uint64_t cursor; /* what is below is committed; 0: none */
	struct work *open;
	struct work_list uploads; /* cut and not yet committed, by offset */
	uint64_t shapes[STREAM_SHAPES];
	unsigned n_shapes, next_shape;
	/* guarded by streamery.lock */
	uint64_t seen, held;
	int64_t oldest;
};

enum work_state { WORK_OPEN, WORK_WAITING, WORK_STORING, WORK_STORED, WORK_COMMITTING };

struct work {
	TAILQ_ENTRY(work) in_all;
	TAILQ_ENTRY(work) in_state;  /* open, waiting, ready */
	TAILQ_ENTRY(work) in_source; /* while open */
	TAILQ_ENTRY(work) in_table;  /* after the cut */
	struct table *table;
	struct batch batch;
	enum work_state state;
	int64_t opened; /* mono */
	enum cut_reason reason;
	char *path;
	struct upload *upload; /* waiting: ours; storing: the store stage's */
	bool ready;	       /* in the list of those that can be committed */
	bool alone;	       /* its last transaction failed: the next one has it alone, to keep what is sick apart */
	unsigned tries;
	int64_t retry_at; /* mono */
	uint64_t memory;  /* counted */
};

/* work is NULL after a rewind: nobody waits for it any more. */
struct upload {
	struct store_job job;
	struct work *work;
};

/* A repeat that was dropped and that no cursor or position in state.db has passed. */
struct drop {
	TAILQ_ENTRY(drop) link;
	struct table *table;
	char *request_id;
	size_t id_len;
	uint16_t part;
	uint64_t offset;
	uint32_t records;
};
TAILQ_HEAD(drop_list, drop);

/* One transaction; at most one is on its way, so that the position never falls. */
enum commit_kind { COMMIT_CUTS, COMMIT_POSITION, COMMIT_EVENT, COMMIT_REWIND };
struct commit {
	struct state_tx tx;
	struct streamery *s;
	enum commit_kind kind;
	struct work *works[STREAM_CUTS_MAX];
	struct cut *cuts;
	size_t n;
	struct position position;
	uint64_t saved; /* read_from before */
	struct repeat_passed *repeats; /* their strings lie in drops */
	struct drop **drops;
	int64_t expire_before; /* 0: none */
	struct tally_part *parts;
	size_t n_parts;
	int64_t at;
	char object[80], text[600];
};

#endif
