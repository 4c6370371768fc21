/*
 * spool_priv.h - what spool.c (the stage: events, commands, public functions), spool_pick.c (which load next, what an outcome means) and
 * spool_tx.c (transactions) share. All of it belongs to the spool's thread but for the members marked.
 */
#ifndef STITCH_SPOOL_PRIV_H
#define STITCH_SPOOL_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "daemon/spool/dest_rules.h"
#include "daemon/spool/spool.h"

#define SPOOL_RESCAN NSEC_PER_SEC
#define SPOOL_DUES 64
#define SPOOL_SLOTS 64 /* loads of one destination at once, at most */

enum { SPOOL_MSG_TX = 1, SPOOL_MSG_RETRY };

enum slot_state {
	SLOT_FREE,
	SLOT_BEGIN,   /* the load's row is being made */
	SLOT_RUN,     /* the loader has it */
	SLOT_END,     /* its outcome is being written */
	SLOT_DISCARD, /* the loader looks into its ledger for a discarded job */
};

struct slot {
	enum slot_state state;
	bool worked; /* this loader has finished a job since it last died */
	int64_t table_id, job_id;
	struct load_row load; /* SLOT_RUN, SLOT_END */
	uint64_t rows;
	int64_t since;
};

struct dest {
	TAILQ_ENTRY(dest) link;
	struct destination_row row;
	struct slot slots[SPOOL_SLOTS];
	struct dest_rules rules;
	unsigned limit; /* of them used at once; may change while they are */
	bool maintenance; /* a window of it has begun: paused until its end */
	int64_t maintenance_changes; /* real: when to look again */
	bool paused, deleted, listed;
	/* the outcome of the last attempts */
	unsigned attempts;    /* failed in a row */
	bool down;	      /* all its tables wait for not_before, then one load probes */
	int64_t not_before;   /* real */
	int64_t failed_table; /* the last that failed since something worked; 0: none */
	/* when to look for candidates */
	bool dirty;
	int64_t scanned;	 /* mono */
	int64_t due[SPOOL_DUES]; /* real times at which deferred jobs become due */
	unsigned n_due;
};

/* What a source was last told about idle loaders. */
struct spool_source { int64_t id; bool idle, told, seen; };

struct spool_outcome { bool set; char class[16], text[600]; int64_t not_before; };

enum spool_op { OP_BEGIN, OP_REJECT, OP_DONE, OP_FAILED, OP_DISCARDED, OP_OUTCOME };

struct spool_tx {
	struct state_tx tx;
	STAILQ_ENTRY(spool_tx) link; /* in the retry list */
	LIST_ENTRY(spool_tx) sent;   /* while it is with the state */
	struct spool *spool;
	enum spool_op op;
	int64_t destination_id, table_id, load_id, job_id;
	unsigned slot, tries;
	int64_t at; /* real */
	unsigned max_batches;
	uint64_t max_bytes;
	struct load_row out;	/* BEGIN */
	struct spool_event *ev; /* REJECT, DONE, DISCARDED: what it carries out; owned */
	char class[16], text[600], batch[BATCH_ID_LEN];
	int64_t not_before; /* FAILED */
	struct spool_outcome outcome;
	bool retry_all, hook; /* tell the destination's hook of it */
	char *destination; /* name, for the hook */
	struct load_row load; /* a copy of what the hook says of the load */
	const char *event_level, *event_kind; /* NULL: no event */
	char event_object[256], event_text[700];
	int64_t again; /* mono: when to submit it again */
};

struct spool {
	struct stage stage;
	struct spool_config config;
	struct state *state;
	struct db *db; /* opened by the first step, in its thread */
	struct loader_port port;
	TAILQ_HEAD(dest_list, dest) dests;
	struct connection_row *connections;
	size_t n_connections;
	struct pause_row *pauses;
	size_t n_pauses;
	int64_t *paused_tables;
	size_t n_paused_tables;
	struct spool_source *sources;
	size_t n_sources;
	uint64_t config_version;
	bool config_read;
	int64_t config_again, pause_ends; /* mono; real */
	STAILQ_HEAD(, spool_tx) retries;
	LIST_HEAD(, spool_tx) in_state; /* transactions on their way */
	void (*on_idle)(void *arg, int64_t source_id, bool idle);
	void *on_idle_arg;
	/* any thread */
	_Atomic bool woken, draining;
	_Atomic int busy; /* slots in use and transactions on their way */
	pthread_mutex_t lock; /* guards what follows */
	struct spool_running *running;
	size_t n_running;
	struct spool_dest_state *states;
	size_t n_states;
};

/* spool_tx.c */
struct spool_tx *spool_tx_new(struct spool *s, enum spool_op op, const struct dest *d, unsigned slot, struct now now) MUST_CHECK;
void spool_tx_submit(struct spool *s, struct spool_tx *t, struct now now);
/* After a failure: is it submitted again later? false: it never can be; the caller gives up. */
bool spool_tx_again(struct spool *s, struct spool_tx *t, struct now now) MUST_CHECK;
void spool_tx_free(struct spool_tx *t);
void spool_tx_event(struct spool_tx *t, const char *level, const char *kind, const char *object, const char *fmt, ...) PRINTF(5, 6);
void spool_tx_hook(struct spool_tx *t, const struct dest *d, const struct load_row *load);
/* Submit those whose time has come; returns the mono time of the next. */
int64_t spool_tx_retry(struct spool *s, struct now now);

/* spool_pick.c */
int spool_refresh(struct spool *s, struct now now, struct err *e) MUST_CHECK;
int64_t spool_pick(struct spool *s, struct now now); /* starts what can be started; the next time to look */
void spool_tell_idle(struct spool *s, struct now now);
void spool_dest_free(struct dest *d);
/* Of the windows of maintenance: what begins and ends now. Returns the real time of the next change. */
int64_t spool_maintenance(struct spool *s, struct now now);
struct dest *spool_dest(struct spool *s, int64_t id);
unsigned spool_busy(const struct dest *d); /* slots in use */
bool spool_table_paused(const struct spool *s, int64_t table_id);
void spool_add_due(struct dest *d, int64_t real);

/* spool_outcome.c */
void spool_loaded(struct spool *s, struct dest *d, unsigned slot, struct spool_event *ev, struct now now); /* takes ev */
void spool_failed(struct spool *s, struct dest *d, unsigned slot, const struct spool_event *ev, struct now now);
void spool_slot_reset(struct slot *sl);

#endif
