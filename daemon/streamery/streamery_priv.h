/*
 * streamery_priv.h - what streamery.c (the stage and its public functions), stream_read.c (from the queue into open batches), stream_cut.c (cut,
 * upload), stream_commit.c (transactions) share. All belongs to the stage's thread but for the members marked.
 *
 * Works are opened in the order of their first offset, so the first of `all` says where the position must stay.
 */
#ifndef STITCH_STREAMERY_PRIV_H
#define STITCH_STREAMERY_PRIV_H

#include <pthread.h>

#include "daemon/streamery/work.h"
#include "map.h"

#define STREAM_SAVE_EVERY (10 * NSEC_PER_SEC)
#define STREAM_SAVE_REPEATS NSEC_PER_SEC
#define STREAM_REQUESTS_KEPT (24 * 3600 * NSEC_PER_SEC)
#define STREAM_EXPIRE_EVERY (600 * NSEC_PER_SEC)

enum { STREAM_MSG_UPLOADED = 1, STREAM_MSG_TX, STREAM_MSG_FLUSH, STREAM_MSG_REWIND };

struct streamery {
	struct stage stage;
	struct streamery_config config;
	char run_id[9];
	uint64_t cuts; /* numbers them */
	struct queue *queue;
	struct queue_reader *reader;
	uint32_t partition;
	struct store_stage *store;
	struct state *state;
	struct db *db; /* opened by the first keyed record, in the stage's thread */
	struct frame_ctx *frame;
	struct now now; /* of this step */
	int64_t next;	/* mono: when to step again */

	struct map tables; /* by source and name */
	struct map taken;  /* request ids in works: (table, part, id) -> offset + 1 */
	struct work_list all, open, waiting, ready;
	TAILQ_HEAD(, stream_source) active;
	struct drop_list drops;
	size_t n_open, n_cut, n_storing;
	size_t n_fresh; /* waiting for their first upload; one that failed holds up nobody else */
	int64_t log_again; /* mono */
	uint64_t memory, open_memory;
	uint64_t read_next;	/* next offset to read */
	int64_t last_received;	/* of the last one read */
	uint64_t saved;		/* position in state.db */
	int64_t save_at, expire_at; /* mono */
	bool unsaved;		/* state.db has no position yet */
	int64_t read_again;	/* mono: not before; after an error */
	struct commit *commit;	/* on its way */
	int64_t commit_again;	/* mono: not before */
	unsigned commit_tries;
	/* an offset that cannot be read, or a jump at the start: an event must be durable before reading goes on */
	bool event_wanted;
	uint64_t event_then; /* read from here after it */
	char event_object[80], event_text[500];
	struct msg *flushes, *rewinds; /* oldest first */
	bool rewinding;
	void (*on_commit)(void *arg);
	void *on_commit_arg;
	char incident[200]; /* stays for this run */
	char read_problem[200], store_problem[200], state_problem[200];

	_Atomic bool draining, drained;
	pthread_mutex_t lock; /* guards sources, list, n_list, start, and in tables what is marked; stats */
	struct map sources;
	struct table **list;
	size_t n_list, cap_list;
	uint64_t start, counted_next;
	struct streamery_stats stats;
};

/* streamery.c */
void stream_note(struct streamery *s, int64_t mono); /* step again then */
void stream_problem(char *where, size_t size, struct streamery *s, const struct err *e);
int64_t stream_retry_delay(unsigned tries);

/* stream_table.c */
struct stream_source *stream_source(struct streamery *s, int64_t id);
struct table *stream_table(struct streamery *s, int64_t source_id, struct str name);
void stream_count(struct streamery *s, struct table *t, uint64_t offset, uint64_t seen, uint64_t held, int64_t received_at);
void stream_release(struct streamery *s, struct table *t, uint64_t records); /* held no more */
void stream_counts_reset(struct streamery *s, uint64_t start);
bool stream_shape_known(const struct table *t, uint64_t shape);
void stream_shape_learn(struct table *t, uint64_t shape);
void stream_tables_free(struct streamery *s);

/* stream_read.c: true when there may be more to read at once. */
bool stream_read(struct streamery *s);
void stream_forget_taken(struct streamery *s, const struct work *w);
void stream_drop_free(struct streamery *s, struct drop *d);

/* stream_cut.c */
struct work *stream_open(struct streamery *s, struct table *t, const struct qrec *first, uint64_t offset);
void stream_weigh(struct streamery *s, struct work *w); /* its memory may have changed */
void stream_cut(struct streamery *s, struct work *w, enum cut_reason reason);
void stream_cut_if(struct streamery *s, struct work *w, bool memory_full);
void stream_cut_due(struct streamery *s);
void stream_start_uploads(struct streamery *s);
void stream_uploaded(struct streamery *s, struct upload *u);
void stream_ready(struct streamery *s, struct table *t); /* the first upload of the table may be committed if it is stored */
void stream_work_free(struct streamery *s, struct work *w);

/* stream_commit.c */
uint64_t stream_position(const struct streamery *s); /* lowest offset of a work that is not being committed, else the next to read */
void stream_commit(struct streamery *s);
void stream_committed(struct streamery *s, struct commit *c);
void stream_commit_free(struct commit *c);
/* stream_rewind.c */
int stream_rewind_fill(struct streamery *s, struct commit *c, uint64_t to, struct err *e) MUST_CHECK;
int stream_rewind_run(struct db *db, struct commit *c, struct err *e) MUST_CHECK;
void stream_rewind_done(struct streamery *s, const struct err *e); /* e NULL: committed */

#endif
