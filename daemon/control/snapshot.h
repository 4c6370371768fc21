/*
 * snapshot.h - the figures of the whole chain at one moment: what each table accepted and where those records are now, so that the sum can be
 * checked (the zero-sum ledger), and how they move. Any thread; one struct snap_history for all, with a lock of its own.
 */
#ifndef STITCH_SNAPSHOT_H
#define STITCH_SNAPSHOT_H

#include "daemon/control/control_priv.h"

#define SNAP_SPARK 15

enum snap_trend { SNAP_STEADY, SNAP_DRAINING, SNAP_GROWING };

struct snap_flow {
	enum snap_trend trend;
	int64_t drain_s; /* -1: not known, or never */
	double rate;	 /* records loaded a second */
	uint32_t spark[SNAP_SPARK];
};

/* One (source, table, destination). */
struct snap_pair {
	char *source, *table;	 /* owned */
	const char *destination; /* of the world; "-" */
	int64_t source_id, table_id, destination_id;
	uint64_t accepted, queued, spooled, loaded, rejected, discarded;
	int64_t difference;
	int64_t oldest; /* received_at of the oldest that waits; 0: nothing waits */
	uint64_t waiting, waiting_bytes;
	struct snap_flow flow;
	const char *state; /* ok, paused, failing, held */
	char *error;
};

struct snapshot {
	struct world world;
	struct snap_pair *pairs;
	size_t n;
	struct job_counts jobs;
	struct streamery_stats stream;
	int64_t difference;
	uint64_t queued; /* records */
	int64_t queue_oldest;
	double in_rate, load_rate;
};

struct snap_history;
struct snap_history *snap_history_new(void) MUST_CHECK;
void snap_history_free(struct snap_history *h);
/* patient: wait a little for the figures to stand still (a method); else take what is there (the sampler). */
int snapshot_take(struct control *ct, struct db *db, bool patient, struct snapshot *out, struct err *e) MUST_CHECK;
void snapshot_free(struct snapshot *s);
const struct snap_pair *snapshot_find(const struct snapshot *s, const char *source, const char *table, const char *destination); /* or NULL */
/* Called each second with a fresh snapshot: remembers waiting and loaded per pair and per destination. */
void snap_remember(struct snap_history *h, const struct snapshot *s, struct now now);
void snap_flow_of_destination(struct control *ct, const struct snapshot *s, int64_t destination_id, struct snap_flow *out);

/* history.c: recent samples of one thing */
#define HIST_RECENT 14
struct hist {
	int64_t minute, at; /* of the newest sample: minutes, ns (mono) */
	uint64_t round;
	uint32_t spark[SNAP_SPARK];
	uint32_t waiting[HIST_RECENT];
	uint64_t loaded[HIST_RECENT];
	int64_t times[HIST_RECENT];
	unsigned n, newest;
};
void hist_add(struct hist *h, uint64_t waiting, uint64_t loaded, int64_t mono);
void hist_flow(const struct hist *h, uint64_t waiting_now, struct snap_flow *out);

#endif
