/*
 * replay.h - single rejected records of batches that are loaded otherwise: listed, and replayed (architecture.md, section 6). A replay has the id
 * BATCH/RECORD/REVISION; the next revision is made only when the last one's job has ended without its record in the destination. W functions as in state.h.
 */
#ifndef STITCH_REPLAY_H
#define STITCH_REPLAY_H

#include "daemon/state/state.h"

enum rejected_state { REJECTED_OPEN = 1, REJECTED_REPLAYING, REJECTED_LOADED, REJECTED_DISCARDED };
const char *rejected_state_name(enum rejected_state s);

struct rejected_key { int64_t destination_id; char batch_id[BATCH_ID_LEN]; uint64_t record; };
struct rejected_row {
	struct reject_row r; /* of the newest attempt to load it */
	int64_t table_id, source_id, job_id /* of its batch */, replay_job;
	char *source, *table, *destination;
	uint32_t revision;
	enum rejected_state state;
};
void rejected_list_free(struct rejected_row *r, size_t n);

struct rejected_filter { int64_t table_id, destination_id, job_id; const char *batch_id, *field, *reason /* part of it */; bool all /* not only open ones */; };
/* By destination, batch, record, behind after (zeroed: from the first). */
int db_rejected_list(struct db *db, const struct rejected_filter *f, const struct rejected_key *after, unsigned limit, struct rejected_row **out, size_t *n,
	struct err *e) MUST_CHECK;

/* Pairs of table and destination with records rejected since then and not loaded yet; looks at the newest 20,000. caller frees *out. */
struct rejected_pair { int64_t table_id, destination_id; };
int db_rejected_since(struct db *db, int64_t since, struct rejected_pair **out, size_t *n, struct err *e) MUST_CHECK;

/* What a replay is made of; borrowed. */
struct replay {
	struct rejected_key key;
	struct str path; unsigned char sha256[32]; uint64_t bytes; /* of its file, which is durable */
	uint64_t offset; uint32_t index; int64_t received_at;	   /* of the record */
	struct str head;					   /* of a record that was changed, to learn its columns; else STR_NULL */
	/* out */
	char batch_id[BATCH_ID_LEN];
	int64_t job_id;
	uint32_t revision;
	bool made; /* false: it is being replayed (job_id), or is loaded; nothing was changed */
};
/* ERR_NOT_FOUND: there is no such record; ERR_STATE: its destination or connection is gone. */
int db_rejected_replay(struct db *db, struct replay *r, int64_t now, struct err *e) MUST_CHECK; /* W */

#endif
