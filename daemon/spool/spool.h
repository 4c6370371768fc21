/*
 * spool.h - the stage that decides which load runs next on which destination and what an outcome means: back-off, pause, hold, poison. It knows loaders only as
 * `struct loader_port` (the real one: runner.h; t/sim has its own).
 *
 * Threads: spool_* from any (messages or atomics); step belongs to the stage. All events of a port arrive in the spool's mailbox.
 */
#ifndef STITCH_SPOOL_H
#define STITCH_SPOOL_H

#include <jansson.h>

#include "daemon/core/stage.h"
#include "daemon/state/state.h"
#include "daemon/store/store.h"

enum { SPOOL_EV_OPENED = 100, SPOOL_EV_DONE, SPOOL_EV_FAILED, SPOOL_EV_REJECT, SPOOL_EV_PROGRESS, SPOOL_EV_DISCARDED, SPOOL_EV_GONE };

/* From a loader to the spool; allocated by the port, freed by the spool with spool_event_free(). */
struct spool_event {
	struct msg msg; /* kind = SPOOL_EV_* */
	int64_t destination_id, load_id;
	unsigned slot;			   /* which loader of the destination */
	struct load_result *results; size_t n_results;	/* DONE, DISCARDED */
	struct reject_row *rejects; size_t n_rejects;	/* REJECT: loader waits until port->rejects_stored */
	char class[16];			   /* FAILED, GONE: transient, config, data, corrupt */
	char text[600], batch[BATCH_ID_LEN];
	int64_t retry_after;		   /* ns, 0: none */
	bool at_open;			   /* FAILED: it could not even connect, so no other table can be loaded either */
	bool fresh;			   /* GONE: it had not finished a job yet */
	uint64_t rows, bytes;		   /* PROGRESS */
	int64_t job_id;			   /* DISCARDED; it was loaded when there is a result */
};
void spool_event_free(struct spool_event *ev);

/* How loads reach a loader. Called by the spool's thread; must not block; the outcome comes as an event into the mailbox given at construction. */
struct loader_port_ops {
	/* Start (or reuse) loader `slot` of the destination and give it the load. Always followed by exactly one DONE, FAILED or GONE for load->id.
	 * d and load are borrowed for the call only. */
	void (*start)(void *port, const struct destination_row *d, unsigned slot, const struct load_row *load);
	void (*rejects_stored)(void *port, int64_t destination_id, unsigned slot, int64_t load_id, const struct err *e);
	/* load has one batch and id 0. Followed by exactly one DISCARDED, FAILED or GONE with this job_id. */
	void (*discard)(void *port, const struct destination_row *d, unsigned slot, int64_t job_id, const struct load_row *load);
	void (*stop)(void *port, int64_t destination_id); /* destination changed, deleted or paused long: end its idle loaders */
};
struct loader_port { const struct loader_port_ops *ops; void *self; };

struct spool_config {
	unsigned loaders_per_destination; /* 2; a destination's own setting `concurrency` wins */
	unsigned load_batches;		  /* 64 */
	uint64_t load_bytes;		  /* 64 MiB compressed */
	int64_t backoff_first, backoff_max; /* 1 s for one load; a loader that dies on its first job: 60 s; max 10 min */
	int64_t rescan; /* a look for work even if nobody woke us; 0: 1 s */
};
struct spool;
/* Recovers active loads. mb stays the caller's (the port puts into it too) and is freed after the spool. */
struct spool *spool_new(const struct spool_config *c, struct state *state, struct mailbox *mb, struct err *e) MUST_CHECK;
void spool_set_port(struct spool *s, struct loader_port port);
struct stage *spool_stage(struct spool *s);
void spool_free(struct spool *s);
/* A new job may be there (cut committed), one to discard (db_job_discard), or sources, pauses, settings changed. */
void spool_wake(struct spool *s);
/* Is a loader of any destination of the source free and not paused? Told to the streamery through this callback (spool's thread). */
void spool_on_idle(struct spool *s, void (*fn)(void *arg, int64_t source_id, bool idle), void *arg);
/* Start nothing new; running loads end or are given up after the deadline. */
void spool_drain(struct spool *s);
bool spool_drained(struct spool *s);
/* Forget the back-off now (resume, flush, changed settings), after db_retry_now has made its jobs due. destination 0: all. */
void spool_retry(struct spool *s, int64_t destination_id);

/* The circuit breaker of a destination. Open: nothing is tried until then. Half open: one load tries (or will, when there is one); success closes it. */
enum spool_breaker { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };
struct spool_dest_state {
	int64_t destination_id, until;	/* real; when it is open */
	enum spool_breaker breaker;
	unsigned failures, limit, busy; /* in a row; loads at once: allowed, and now */
};
void spool_destinations(struct spool *s, struct spool_dest_state **out, size_t *n); /* copied out; caller frees */

struct spool_running { int64_t destination_id, table_id, load_id; unsigned slot; uint64_t rows; int64_t since; };
void spool_running(struct spool *s, struct spool_running **out, size_t *n); /* copied out; caller frees */

#endif
