/*
 * log_priv.h - what the files of the embedded log share (queue_log.c, log_recover.c, log_spare.c, log_read.c, log_count.c, log_index.c). One lock guards what several threads see; no
 * file is touched while it is held. Threads: W = the writer only, L = under the lock.
 */
#ifndef STITCH_QUEUE_LOG_PRIV_H
#define STITCH_QUEUE_LOG_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "daemon/core/stage.h"
#include "daemon/queue/queue_ops.h"
#include "daemon/queue/segment.h"
#include "map.h"

/* A unit begins at pos with offset; one about every SEG_PIECE. */
struct log_mark {
	uint64_t offset, pos;
};

/* What a segment holds of one table of one source. */
struct log_sum {
	uint32_t table; /* index in log.tables */
	uint64_t records, lines;
};

struct log_table {
	uint32_t source_id;
	struct str name;
};

/* A segment that may hold records. All L, once it is in log.segs. */
struct log_seg {
	unsigned refs; /* the log's and the readers' */
	uint64_t number, epoch, size;
	uint64_t first, end; /* offsets; equal: none yet */
	uint64_t end_pos;    /* behind the last durable group */
	int64_t newest_received;
	bool failed; /* sealed by an error: unlinked when trimmed, never used again */
	bool gone;   /* trimmed */
	struct log_mark *marks;
	size_t n_marks, cap_marks;
	struct log_sum *sums;
	size_t n_sums, cap_sums;
};

/* A segment that is ready to be written. */
struct log_spare {
	uint64_t number, epoch, size;
	int fd;
};

#define LOG_SPARES_MAX 16

struct log {
	struct queue q;
	struct stage stage; /* the writer */
	char *dir;
	int lock_fd;
	uint64_t segment_bytes, reserve;
	unsigned want_spares;
	uint64_t failures_at_open; /* of syncs */
	_Atomic uint64_t end;  /* the high watermark */
	_Atomic uint64_t room; /* bytes left in the active segment */
	_Atomic uint64_t groups, records, sealed;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* spares, trouble, stopping */
	struct log_seg **segs;	/* L; oldest first; the last may be the active one */
	size_t n_segs, cap_segs;
	struct log_spare ready[LOG_SPARES_MAX]; /* L; lowest number first */
	unsigned n_ready;
	uint64_t recycled[LOG_SPARES_MAX]; /* L; old numbers */
	unsigned n_recycled;
	struct log_seg **unindexed;	   /* L; segments that are over and have no index file yet, a reference each */
	size_t n_unindexed, cap_unindexed;
	uint64_t next_number; /* L */
	uint64_t next_size;   /* L; new files begin small, so that an idle installation stays small */
	uint64_t leftover;    /* L; an empty file with the highest number: unlinked when a higher one is there; 0: none */
	struct err trouble;   /* L; why no segment can be made just now */
	bool stopping;	      /* L */
	struct map table_ids; /* L; source and name to index + 1 */
	struct log_table *tables;
	size_t n_tables, cap_tables;

	bool threads; /* queue_start was called */
	bool second;  /* see queue_config */
	pthread_t spare_thread;
	struct log_seg *active; /* W */
	int fd;			/* W */
	uint64_t pos;		/* W; where the next group goes */
	uint32_t *slots;	/* W; table index to its sum in slots_of, + 1 */
	size_t n_slots;
	struct log_seg *slots_of;
};

struct log *log_of(const struct queue *q);
void log_note_sizes(struct log *l); /* into the metrics */
char *log_path(const struct log *l, uint64_t number, const char *suffix) MUST_CHECK;

/* log_count.c */
struct log_seg *log_seg_new(uint64_t number, uint64_t epoch, uint64_t size, uint64_t first) MUST_CHECK;
void log_seg_unref(struct log *l, struct log_seg *s); /* takes the lock */
void log_seg_free(struct log_seg *s);
void log_seg_push(struct log *l, struct log_seg *s); /* L */
void log_add_mark(struct log_seg *s, uint64_t offset, uint64_t pos); /* L; ignored when there is one for this MiB */
void log_count_table(struct log *l, struct log_seg *s, uint32_t source, struct str name, uint64_t records, uint64_t lines); /* L */
/* A unit at pos became durable: marks, sums, end. L, writer's thread (or the start). */
int log_count_unit(struct log *l, struct log_seg *s, uint64_t pos, const char *body, size_t len, uint32_t n, struct err *e) MUST_CHECK;
uint64_t log_mark_before(const struct log_seg *s, uint64_t offset); /* L; from where to look for an offset */
int log_tally(struct queue *q, uint32_t partition, uint64_t from, uint64_t to, queue_tally_fn *fn, void *arg, struct err *e) MUST_CHECK;

/* log_index.c */
struct log_seg *log_index_read(struct log *l, const struct seg_header *h, uint64_t size); /* NULL: read the segment */
void log_index_later(struct log *l, struct log_seg *s);	 /* L; s is over */
bool log_index_one(struct log *l);			 /* write one that waits; false: none did */
void log_index_unlink(const struct log *l, uint64_t number);

/* log_recover.c: reads what is there; sets end, segs, recycled, next_number, the queue's id. */
int log_recover(struct log *l, uint64_t first_offset, struct err *e) MUST_CHECK;

/* log_spare.c */
int log_spare_start(struct log *l, struct err *e) MUST_CHECK;
void log_spare_stop(struct log *l);
/* The next segment to write; waits for the spare thread, or makes one itself when there is none. */
int log_spare_take(struct log *l, struct log_spare *out, struct err *e) MUST_CHECK;
int log_space(const struct log *l, uint64_t more, struct err *e) MUST_CHECK; /* ERR_FULL below the reserve */
uint64_t log_trim_point(struct queue *q, uint32_t partition, uint64_t below);
void log_oldest(struct queue *q, uint32_t partition, int64_t *newest, uint64_t *end, uint64_t *bytes);
int log_trim(struct queue *q, uint32_t partition, uint64_t below, struct err *e) MUST_CHECK;

/* log_read.c */
uint64_t log_begin(const struct queue *q, uint32_t partition);
struct queue_reader *log_reader(struct queue *q, uint32_t partition, uint64_t from, struct err *e) MUST_CHECK;
int log_read(struct queue_reader *r, struct qrec *out, uint64_t *offset, struct err *e) MUST_CHECK;
int log_seek(struct queue_reader *r, uint64_t to, struct err *e) MUST_CHECK;
void log_reader_close(struct queue_reader *r);

#endif
