/*
 * fake_state.h - a state.db in memory for tests of streamery and retention: the calls of state.h that they use, with injected faults, and with
 * the rules of the model looked at in every transaction (order per table, a position that only rises, files before rows). One thread.
 */
#ifndef STITCH_FAKE_STATE_H
#define STITCH_FAKE_STATE_H

#include "daemon/queue/queue.h"
#include "daemon/state/state.h"
#include "daemon/store/store.h"

#define FAKE_BATCHES 400
#define FAKE_TABLES 8
#define FAKE_REQUESTS 400

enum {
	FAKE_FAIL_NEXT = 1, /* the next transaction is refused */
	FAKE_SICK_TABLE = 2, /* every cut whose table is "sick" is refused */
	FAKE_NO_FIND = 4,   /* request ids cannot be looked up */
};

struct fake_batch {
	int64_t source_id, table_version, first_received;
	char table[40], path[300], reason[8];
	uint64_t first, last, records, lines, bytes;
	unsigned char sha256[32];
	unsigned heads, requests;
	bool deleted;
};
struct fake_cursor { int64_t source_id; char table[40]; uint64_t next; };
struct fake_request { uint32_t source_id; char table[40], id[40]; uint16_t part; uint64_t offset, repeat; };
struct fake_tally { int64_t source_id; char table[40]; uint64_t taken, repeats, reread, trimmed; };

/* No pointers: a roll-back is a copy. */
struct db {
	bool has_position;
	unsigned char queue_id[16];
	uint64_t read_from, trimmed_to, safe;
	int64_t loaded_before; /* as db_trim_limit was asked last */
	struct fake_batch batch[FAKE_BATCHES];
	size_t n_batches;
	struct fake_cursor cursor[FAKE_TABLES];
	size_t n_cursors;
	struct fake_request request[FAKE_REQUESTS];
	size_t n_requests;
	struct fake_tally tally[FAKE_TABLES];
	size_t n_tallies;
	unsigned events, saves, prunes, rewinds;
	int64_t expired_before; /* as db_request_expire was asked last */
	int64_t done_before;	/* as db_batch_expired was asked last */
	char last_event[300];
};

struct state *fake_state_new(struct store *store); /* rows must name files that this store holds; NULL: not looked at */
struct db *fake_db(struct state *s);
void fake_fault(struct state *s, unsigned flags);
void fake_state_free(struct state *s);
struct fake_tally *fake_tally(struct db *db, int64_t source_id, struct str table);
extern unsigned fake_broken_rules; /* how often a rule of the model was broken; told as diag() */

#endif
