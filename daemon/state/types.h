/*
 * types.h - rows of state.db as plain structs. Strings are owned by the struct (X_free frees members; X_list_free frees an array of n). Times: ns
 * since 1970, 0 = not set. Batch ids are 32 lower-case hex digits.
 */
#ifndef STITCH_STATE_TYPES_H
#define STITCH_STATE_TYPES_H

#include "base.h"
#include "buf.h"
#include "err.h"
#include "str.h"

#define BATCH_ID_LEN 33 /* with NUL */

struct source_row { int64_t id, client_id; char *name, *kind, *settings /* JSON object */; int64_t created, deleted; };
struct token_row { int64_t id, source_id; char *hint; int64_t created; };
struct destination_row {
	int64_t id; char *name, *kind, *settings; /* JSON object; secrets sealed (seal.h) */
	int64_t created, deleted;
	char *error_class, *error; /* last attempt; NULL or "" = fine */
	int64_t error_since, not_before; uint32_t attempts;
};
struct connection_row { int64_t source_id, destination_id; char *schema; int64_t created; };

enum pause_kind { PAUSE_SOURCE = 1, PAUSE_TABLE, PAUSE_DESTINATION, PAUSE_JOB };
struct pause_row { enum pause_kind kind; int64_t object_id; char *who, *reason; int64_t since, until; };

struct table_row { int64_t id, source_id; char *name, *key_names /* JSON array */; int64_t schema_version; int64_t created; };

struct tally_part { int64_t source_id; struct str table; uint64_t records; };

struct position { unsigned char queue_id[16]; uint32_t partition; uint64_t read_from; const struct repeat_passed *repeats; size_t n_repeats; };
/* repeats dropped and now passed by a cursor or position: count as loaded; kept ids live until the queue is trimmed past them */
struct repeat_passed { uint32_t source_id; struct str table, request_id; uint16_t part; uint64_t offset; uint32_t records; };
struct cursor_row { int64_t source_id; char *table; uint64_t next_offset; };

struct cut_request { struct str request_id; uint16_t part; uint64_t offset; int64_t received_at; };

/* Filled by the streamery; borrowed memory; out-fields filled by db_cut. */
struct cut {
	unsigned char queue_id[16]; uint32_t partition;
	int64_t source_id; struct str table; int64_t table_version;
	uint64_t first_offset, last_offset; /* of queue records in it */
	uint64_t records, lines, bytes;
	unsigned char sha256[32]; struct str path; const char *reason; /* size, age, memory, keys, flush, idle, stop */
	int64_t first_received, last_received, cut_at;
	const struct str *heads; size_t n_heads;	    /* head lines: the first of the batch (its keys), and those of shapes that the table has not merged yet */
	const struct cut_request *requests; size_t n_requests; /* request ids taken */
	struct position position;			    /* saved in the same transaction */
	/* out */
	char batch_id[BATCH_ID_LEN]; bool duplicate; /* the batch id was there: a new job, not a new row */
	uint32_t jobs; int64_t table_id, schema_version;
};

struct batch_row {
	char id[BATCH_ID_LEN]; int64_t table_id, source_id; char *table, *path, *reason; unsigned char queue_id[16]; uint32_t partition;
	uint64_t first_offset, last_offset, records, lines, bytes; unsigned char sha256[32];
	int64_t table_version, schema_version, first_received, last_received, created, deleted;
	char replay_batch[BATCH_ID_LEN]; /* "": of the queue. Else it holds one record of that batch which was rejected (replay.h) */
	uint64_t replay_record; uint32_t replay_index; /* which one, and where it stands in its queue record */
};

enum job_state { JOB_READY = 1, JOB_ACTIVE, JOB_DONE, JOB_DEFERRED, JOB_HELD, JOB_REJECTED, JOB_CORRUPT, JOB_DISCARDED };
const char *job_state_name(enum job_state s);
int job_state_parse(struct str s, enum job_state *out) MUST_CHECK;
struct job_row {
	int64_t id, destination_id, table_id, source_id, load_id; char batch_id[BATCH_ID_LEN]; enum job_state state;
	char *source, *table, *destination, *error_class, *error; uint32_t attempts;
	uint64_t records, bytes, rows, rejected; int64_t not_before, created, updated;
};
struct job_filter { enum job_state state /* 0: any */; int64_t table_id, destination_id; const char *batch_id; /* NULL: any */ };
struct job_counts { uint64_t n[9], records[9], bytes[9]; }; /* by enum job_state */

struct discard_row { int64_t job_id, table_id, load_time /* of the load it was in */; char *schema; /* in the destination */ };
struct load_candidate { int64_t table_id, source_id; char *table; uint64_t jobs, records, bytes; int64_t oldest; };
struct offset_range { uint64_t first, last; };
/* held: what earlier loads of the table to this destination hold of the batch; only where the destination has no ledger of its own. */
struct load_batch { struct batch_row batch; int64_t job_id; struct offset_range *held; size_t n_held; };
struct load_row {
	int64_t id, destination_id, table_id, source_id; char *source, *table, *schema, *key_names, *columns; /* JSON, see below */
	uint32_t attempt; int64_t schema_version, started; struct load_batch *batches; size_t n;
	int64_t load_time; /* ns, whole ms: fixed with the row, strictly rising per destination */
};
/* columns: [{"name":"total","types":["integer","number"]}, ...] in the order in which they appeared in the queue. types, each once, in order of appearance, of
 * integer (fits int64), bignum (a whole number that does not), number, boolean, string, timestamp (schema says date-time), date, object, array.
 * A declared schema type counts in place of the JSON types seen; a field that was only ever null is not listed. What lies in objects and arrays has paths for
 * names (frame.h); one without types says that there was nothing in it. */

struct reject_row { char batch_id[BATCH_ID_LEN]; int64_t destination_id; uint64_t record; uint32_t attempt; char *field, *value, *reason, *raw; int64_t created; };
struct load_result { char batch_id[BATCH_ID_LEN]; uint64_t rows, rejected; uint32_t attempt; bool already; bool uncounted; /* rows and rejected: what the store of rejected records has */ };

struct tally_row {
	int64_t table_id, source_id, destination_id; char *table;
	uint64_t accepted_base; /* trimmed off the queue */
	uint64_t taken;		/* records of all its cuts ever (per table) */
	uint64_t before;	/* accepted before this destination was connected: not its matter */
	uint64_t spooled, loaded, rejected, discarded; /* loaded includes repeats and is already reduced by reread */
	uint64_t reread;
	int64_t oldest;		/* received_at of the oldest record in a waiting job; 0: none */
	uint64_t waiting_bytes;
};

struct prune { int64_t events_before, audit_before, jobs_before, rejects_before; uint64_t events_max, audit_max, rejects_max; /* 0: no limit */ };
struct event_row { int64_t id, at; char *level, *kind, *object, *text; };
struct audit_row { int64_t id, at; char *who, *action, *object, *before, *after, *result; };

void source_row_free(struct source_row *r);
void destination_row_free(struct destination_row *r);
void batch_row_free(struct batch_row *r);
void job_row_free(struct job_row *r);
void load_row_free(struct load_row *r);
void table_row_free(struct table_row *r);
void source_list_free(struct source_row *r, size_t n);
void token_list_free(struct token_row *r, size_t n);
void destination_list_free(struct destination_row *r, size_t n);
void connection_list_free(struct connection_row *r, size_t n);
void pause_list_free(struct pause_row *r, size_t n);
void table_list_free(struct table_row *r, size_t n);
void cursor_list_free(struct cursor_row *r, size_t n);
void candidate_list_free(struct load_candidate *r, size_t n);
void discard_list_free(struct discard_row *r, size_t n);
void job_list_free(struct job_row *r, size_t n);
void batch_list_free(struct batch_row *r, size_t n);
void reject_list_free(struct reject_row *r, size_t n);
void tally_list_free(struct tally_row *r, size_t n);
void event_list_free(struct event_row *r, size_t n);
void audit_list_free(struct audit_row *r, size_t n);

#endif
