/*
 * sim.h - the deterministic simulator (architecture.md, section 5): every stage of the daemon in one thread, over mem: backends and the real state.db in
 * memory, a virtual clock, a seeded random order of steps, faults, crashes that keep only what was durable, and a destination with
 * transactions, a ledger and loaders that die at any moment. The same seed gives the same history.
 *
 *   world.c  the daemon's parts: start, crash, one step of one part        send.c  requests and what is known of them
 *   dest.c   the destination and the loader port (the test's own loader)    check.c what must hold at rest
 *   history.c a random history                                             fixed.c the counterexamples of the model, step by step
 */
#ifndef STITCH_SIM_H
#define STITCH_SIM_H

#include <sys/queue.h>

#include "daemon/queue/queue_mem.h"
#include "daemon/retention/retention.h"
#include "daemon/spool/spool.h"
#include "daemon/store/store_mem.h"
#include "daemon/streamery/streamery.h"
#include "frame.h"

#define SIM_TABLES 4
#define SIM_DESTS 2
#define SIM_REQUESTS 40
#define SIM_RECORDS 4 /* of a request, at most */
#define SIM_KEYS 4

enum sim_bug {
	BUG_NONE,
	BUG_EARLY,  /* acknowledged before durable: in the mem: queue */
	BUG_NO_ROW, /* cursor committed without the batch row: around db_cut, by the linker's --wrap */
	BUG_LEDGER, /* the test's loader leaves its ledger out */
};

/* A table of the test: (source, name), with keys or append-only. */
struct sim_table {
	int64_t source;
	const char *name;
	bool keyed, versions;
};
extern const struct sim_table sim_tables[SIM_TABLES];

struct sim_record {
	uint32_t uid; /* request * SIM_RECORDS + number */
	int key;
	int64_t sequence, version;
};

struct sim_request {
	unsigned table, n, parts;
	bool activate; /* activate_version instead of records */
	int64_t version;
	char id[24]; /* Idempotency-Key; "": none */
	bool tried, acked;
	struct sim_record r[SIM_RECORDS];
};

struct sim_ledger { char batch[BATCH_ID_LEN]; unsigned char queue_id[16]; uint32_t partition; uint64_t first, last, rows, rejected; uint32_t attempt; bool discarded; };
struct sim_row { struct sim_record r; };
struct dest_tx;
struct dest_table {
	int64_t source;
	char name[24];
	bool keyed;
	int64_t active;
	struct sim_ledger *ledger;
	size_t n_ledger;
	struct sim_row *rows;
	size_t n_rows;
	struct dest_tx *lock;
};
/* One-shot orders for fixed histories; random histories leave them 0. */
struct dest_orders {
	unsigned die_before_commit, lose_answer; /* so many times */
	bool abort_orphans, hold_orphans;
	uint32_t reject_uid;	/* +1; refused in the attempts below */
	unsigned reject_attempts;
};
struct sim_dest {
	int64_t id;
	bool connected, paused;
	bool down; /* refuses connections */
	struct dest_table tables[SIM_TABLES];
	size_t n_tables;
	struct dest_orders orders;
};

struct sim {
	struct now now;
	uint64_t rng;
	bool scripted; /* a fixed history: no chance in the destination */
	enum sim_bug bug;
	struct queue *queue;
	struct store *store;
	struct state *state;
	struct store_stage *store_stage;
	struct streamery *streamery;
	struct mailbox *spool_mailbox;
	struct spool *spool;
	struct retention *retention;
	struct frame_ctx *frame;
	char run_id[9];
	unsigned runs, crashes, rewinds;
	int64_t sources[2];
	struct sim_dest dests[SIM_DESTS];
	struct sim_request requests[SIM_REQUESTS];
	unsigned n_requests;
	char why[300]; /* the first thing found wrong; "" */
};
extern struct sim sim;
extern bool sim_talks;

uint64_t sim_pick(uint64_t below);
void sim_wrong(const char *fmt, ...) PRINTF(1, 2);
void sim_say(const char *fmt, ...) PRINTF(1, 2); /* with --log: what happens, as comments */

/* world.c */
void sim_open(uint64_t seed, enum sim_bug bug, bool scripted);
void sim_close(void);
void sim_crash(void);
enum sim_part { PART_QUEUE, PART_STREAM, PART_STORE, PART_STATE, PART_SPOOL, PART_RETENTION, PART_DEST, PARTS };
void sim_step(enum sim_part part);
void sim_round(void); /* each part once, in the order of the flow */
void sim_later(int64_t ns);
void sim_settle(void); /* until nothing moves any more, time passing */
void sim_connect(unsigned dest, unsigned source);
int sim_call(int (*run)(struct db *db, void *arg, struct err *e), void *arg);
void sim_rewind(uint64_t to);
void sim_flush(void);

/* send.c */
unsigned sim_request_new(unsigned table, unsigned n, const char *id); /* records with rising sequences; returns its number */
void sim_send(unsigned request);
void sim_send_forget(void); /* a crash: nobody waits for an answer any more */

/* dest.c */
struct loader_port sim_port(void);
void sim_dest_open(void);
void sim_dest_step(void);
void sim_dest_crash(void); /* the daemon dies, and its loaders with it */
void sim_dest_free(void);
bool sim_dest_busy(void);
struct dest_table *sim_dest_table(struct sim_dest *d, int64_t source, struct str name);

/* check.c */
void sim_check(void); /* at rest */
void sim_check_free(void);
void sim_batch_seen(const char *id, struct str path); /* its row is committed in this transaction */

/* history.c, fixed.c */
const char *sim_history(uint64_t seed, enum sim_bug bug); /* NULL: all well */
extern const struct sim_fixed { const char *name, *says; void (*play)(void); } sim_fixed[];
extern const size_t sim_fixed_len;
const char *sim_play(const struct sim_fixed *f);

#endif
