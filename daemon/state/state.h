/*
 * state.h - state.db: sources, destinations, positions, batches, jobs, loads. The only code with SQL for it.
 *
 * One writer thread takes all transactions that wait, runs each in a savepoint of one SQLite transaction, commits, and then answers each
 * (group commit). Readers have connections of their own, a page at a time. db_* functions take the connection they run on; those marked W
 * change something and run only inside a state_tx. Strings in result structs are owned by the struct and freed by its _free function.
 *
 * A failed write or sync other than "full" is answered by ERR_IO and the process must start anew (state_broken): see sqlite-durability.md.
 */
#ifndef STITCH_STATE_H
#define STITCH_STATE_H

#include "daemon/core/stage.h"
#include "daemon/state/types.h"

struct state; /* the file and its writer */
struct db;    /* one connection */

/* path ":memory:" is for tests and t/sim. Takes the folder lock, opens cold, migrates, checkpoints. ERR_VERSION: the file is newer. */
struct state *state_open(const char *state_dir, struct err *e) MUST_CHECK;
struct state *state_open_memory(struct err *e) MUST_CHECK;
void state_close(struct state *s); /* clean stop: TRUNCATE checkpoint, result logged */
struct stage *state_stage(struct state *s);
/* A failed write or fsync has happened: nothing is written any more; stitchd must stop all stages and execute itself anew. */
bool state_broken(const struct state *s);
/* t/sim: as a crash: pending transactions are dropped without done; in-memory contents as of the last commit stay. */
void state_crash(struct state *s);

/* A transaction. run is called in the writer's thread inside BEGIN..COMMIT; -1 rolls back this one only. done is called in the writer's thread
 * after COMMIT (or failure) with err filled; typically it puts the message into its owner's mailbox by mailbox_reply. */
struct state_tx {
	struct msg msg;
	int (*run)(struct db *db, struct state_tx *tx, struct err *e);
	void (*done)(struct state_tx *tx);
	struct err err;
};
int state_submit(struct state *s, struct state_tx *tx) MUST_CHECK; /* -1: full or broken; tx stays the caller's */
/* Submit and wait (control thread, start-up). When the stage's thread does not run (sim, tests), it is stepped here. */
int state_call(struct state *s, int (*run)(struct db *db, void *arg, struct err *e), void *arg, struct err *e) MUST_CHECK;

/* A read-only connection of the calling thread. In memory mode: the writer's own. */
struct db *state_reader(struct state *s, struct err *e) MUST_CHECK;
void state_reader_close(struct db *db);
/* Bumped after each commit that changed sources, tokens, destinations, connections or pauses: caches compare it. Any thread. */
uint64_t state_config_version(const struct state *s);
int state_backup(struct state *s, const char *dir, struct err *e) MUST_CHECK;

/* --- clients, sources, tokens --- */
int db_client_create(struct db *db, const char *name, int64_t now, int64_t *id, struct err *e) MUST_CHECK; /* W; "default" exists with id 1 */
int db_source_create(struct db *db, const struct source_row *in, int64_t *id, struct err *e) MUST_CHECK; /* W; ERR_EXISTS */
int db_source_update(struct db *db, int64_t id, const char *settings, struct err *e) MUST_CHECK; /* W */
int db_source_delete(struct db *db, int64_t id, int64_t now, struct err *e) MUST_CHECK; /* W; marks; tokens revoked; name becomes free */
int db_source_get(struct db *db, const char *name, struct source_row *out, struct err *e) MUST_CHECK; /* ERR_NOT_FOUND */
int db_source_get_id(struct db *db, int64_t id, struct source_row *out, struct err *e) MUST_CHECK;
int db_source_list(struct db *db, int64_t after, unsigned limit, struct source_row **out, size_t *n, struct err *e) MUST_CHECK; /* not deleted */
int db_token_create(struct db *db, int64_t source_id, const unsigned char hash[32], const char *hint, int64_t now, int64_t *id, struct err *e) MUST_CHECK; /* W; ERR_STATE: two live already */
int db_token_revoke(struct db *db, int64_t source_id, int64_t token_id, int64_t now, struct err *e) MUST_CHECK; /* W; token_id 0: the oldest live one */
int db_token_list(struct db *db, int64_t source_id, struct token_row **out, size_t *n, struct err *e) MUST_CHECK; /* live ones */
/* sha256 of a token -> its source (also paused or deleted ones: state says which). ERR_NOT_FOUND. */
int db_token_find(struct db *db, const unsigned char hash[32], struct source_row *out, struct err *e) MUST_CHECK;

/* --- destinations, connections, pauses --- */
int db_destination_create(struct db *db, const struct destination_row *in, int64_t *id, struct err *e) MUST_CHECK; /* W */
int db_destination_update(struct db *db, int64_t id, const char *settings, struct err *e) MUST_CHECK; /* W; also ends back-off */
int db_destination_delete(struct db *db, int64_t id, int64_t now, uint64_t *discarded, struct err *e) MUST_CHECK; /* W */
int db_destination_get(struct db *db, const char *name, struct destination_row *out, struct err *e) MUST_CHECK;
int db_destination_get_id(struct db *db, int64_t id, struct destination_row *out, struct err *e) MUST_CHECK;
int db_destination_list(struct db *db, struct destination_row **out, size_t *n, struct err *e) MUST_CHECK;
/* The outcome of the last attempt, and the back-off that survives a restart. class "" = fine. */
int db_destination_outcome(struct db *db, int64_t id, const char *class, const char *text, int64_t now, int64_t not_before, struct err *e) MUST_CHECK; /* W */
/* from_ns: also batches cut since then get jobs (0: only what is cut from now on; batches that wait without any job always). */
int db_connect(struct db *db, int64_t source_id, int64_t destination_id, const char *schema, int64_t from_ns, int64_t now, uint64_t *jobs, struct err *e) MUST_CHECK; /* W */
int db_disconnect(struct db *db, int64_t source_id, int64_t destination_id, struct err *e) MUST_CHECK; /* W; waiting jobs stay and are loaded */
int db_connection_list(struct db *db, struct connection_row **out, size_t *n, struct err *e) MUST_CHECK;
int db_pause_set(struct db *db, const struct pause_row *in, struct err *e) MUST_CHECK; /* W; replaces */
int db_pause_clear(struct db *db, enum pause_kind kind, int64_t object_id, struct err *e) MUST_CHECK; /* W; ERR_NOT_FOUND */
int db_pause_list(struct db *db, struct pause_row **out, size_t *n, struct err *e) MUST_CHECK; /* unexpired or not: caller looks at until */

/* --- the cut (architecture.md, section 6): one transaction --- */
int db_cut(struct db *db, struct cut *c, struct err *e) MUST_CHECK; /* W; merges shapes into the table's schema, fills c->batch_id, c->jobs, c->duplicate */
int db_position_save(struct db *db, const struct position *p, struct err *e) MUST_CHECK; /* W; with passed repeats and cursors below it deleted */
int db_positions(struct db *db, struct position **out, size_t *n, struct err *e) MUST_CHECK;
int db_cursors(struct db *db, uint32_t partition, struct cursor_row **out, size_t *n, struct err *e) MUST_CHECK;
/* The greatest of all cursors, positions and batch ends of a queue: its first_offset at the next start. */
int db_queue_floor(struct db *db, const unsigned char queue_id[16], uint64_t *floor, struct err *e) MUST_CHECK;
/* The id of the queue that this state belongs to; set on first use; another one later is refused with ERR_STATE unless state holds nothing of it. */
int db_queue_bind(struct db *db, const unsigned char queue_id[16], struct err *e) MUST_CHECK; /* W */
/* Was (source, request id, table, part) taken, and where? ERR_NOT_FOUND if not. */
int db_request_find(struct db *db, uint32_t source_id, struct str request_id, struct str table, uint16_t part, uint32_t *partition, uint64_t *offset, struct err *e) MUST_CHECK;
/* Is there an id since then that differs from this one in nothing but its last `tail` bytes (and not in the first of those)? */
int db_request_other(struct db *db, uint32_t source_id, struct str request_id, size_t tail, int64_t since, bool *other, struct err *e) MUST_CHECK;
int db_request_expire(struct db *db, int64_t received_before, struct err *e) MUST_CHECK; /* W; keeps what the rules of section 4 keep */
/* One transaction: position := to, cursors above deleted, tally of what is read again added to `reread`. */
int db_rewind(struct db *db, uint32_t partition, uint64_t to, const struct tally_part *reread, size_t n, struct err *e) MUST_CHECK; /* W */
/* What has been trimmed off the queue, so that accepted stays known: adds parts, sets tallied_to. Before the trim. */
int db_trim_record(struct db *db, uint32_t partition, uint64_t tallied_to, const struct tally_part *parts, size_t n, struct err *e) MUST_CHECK; /* W */
int db_trim_point(struct db *db, uint32_t partition, uint64_t *tallied_to, struct err *e) MUST_CHECK;
/* Everything below `*safe` (<= limit) of this partition is in batches that all destinations have, and those since before `loaded_before` (ns). For queue_keep. */
int db_trim_limit(struct db *db, uint32_t partition, uint64_t limit, int64_t loaded_before, uint64_t *safe, struct err *e) MUST_CHECK;

/* --- tables --- */
int db_table_get(struct db *db, int64_t source_id, struct str name, struct table_row *out, struct err *e) MUST_CHECK;
int db_table_get_id(struct db *db, int64_t id, struct table_row *out, struct err *e) MUST_CHECK;
int db_table_list(struct db *db, int64_t after, unsigned limit, struct table_row **out, size_t *n, struct err *e) MUST_CHECK;
int db_table_columns(struct db *db, int64_t table_id, int64_t schema_version, char **json, struct err *e) MUST_CHECK; /* version 0: newest; caller frees */
/* Zero-sum counts per (table, destination); destination 0 = "-". accepted and queued are not here: from the queue. */
int db_tally_list(struct db *db, int64_t after_table, unsigned limit, struct tally_row **out, size_t *n, struct err *e) MUST_CHECK;

/* --- jobs and loads (sections 6, 7) --- */
int db_job_get(struct db *db, int64_t id, struct job_row *out, struct err *e) MUST_CHECK;
int db_job_list(struct db *db, const struct job_filter *f, int64_t after, unsigned limit, struct job_row **out, size_t *n, struct err *e) MUST_CHECK;
int db_job_counts(struct db *db, struct job_counts *out, struct err *e) MUST_CHECK;
/* Tables of a destination that have something to load now: (table, oldest created, jobs, bytes), worst first. Pauses are the caller's matter. */
int db_load_candidates(struct db *db, int64_t destination_id, int64_t now, unsigned limit, struct load_candidate **out, size_t *n, struct err *e) MUST_CHECK;
/* The unfinished load of (destination, table) again, with attempt+1, or a new one of waiting jobs, oldest first, up to the limits, one key set and any
 * table versions. Jobs become active. ERR_NOT_FOUND: nothing to do. The row is durable before the loader is told. */
int db_load_begin(struct db *db, int64_t destination_id, int64_t table_id, unsigned max_batches, uint64_t max_bytes, int64_t now, struct load_row *out, struct err *e) MUST_CHECK; /* W */
/* Rejected records, durable before the loader's COMMIT. */
int db_load_reject(struct db *db, int64_t load_id, const struct reject_row *rows, size_t n, int64_t now, struct err *e) MUST_CHECK; /* W */
/* The loader's answer: per batch what its ledger row says (rows, rejected, attempt). Jobs done, tallies moved, rejects of other attempts removed. */
int db_load_done(struct db *db, int64_t load_id, const struct load_result *r, size_t n, int64_t now, struct err *e) MUST_CHECK; /* W */
/* class transient: jobs deferred until not_before, the load stays. config: likewise (destination's back-off rules). data: jobs rejected, load ended.
 * corrupt: the named batch's job is corrupt, the others are ready again, load ended. */
int db_load_failed(struct db *db, int64_t load_id, const char *class, const char *text, const char *corrupt_batch, int64_t now, int64_t not_before, struct err *e) MUST_CHECK; /* W */
/* At start: what was active is deferred to now (the same load is done again). */
int db_load_recover(struct db *db, int64_t now, struct err *e) MUST_CHECK; /* W */
int db_load_get(struct db *db, int64_t id, struct load_row *out, struct err *e) MUST_CHECK;
int db_job_hold(struct db *db, int64_t id, bool hold, const char *reason, int64_t now, struct err *e) MUST_CHECK; /* W; ready/deferred <-> held */
/* A new job of the same batch (any end state but done: rejected, corrupt, discarded, held); done: *new_id = id, nothing changes. */
int db_job_replay(struct db *db, int64_t id, int64_t now, int64_t *new_id, struct err *e) MUST_CHECK; /* W */
/* Never in a load: discarded at once (*done true). In a load before: *done false; the job is held with this class (one that is being loaded when its load ends without
 * success), the spool asks the loader (load.discard; again after a restart) and then calls db_job_discarded, which does nothing for one that was let go meanwhile. */
#define JOB_DISCARDING "discarding"
int db_job_discard(struct db *db, int64_t id, int64_t now, bool *done, struct err *e) MUST_CHECK; /* W */
int db_job_discarded(struct db *db, int64_t id, const struct load_result *loaded /* NULL: it was not */, int64_t now, struct err *e) MUST_CHECK; /* W */
int db_job_discards(struct db *db, int64_t destination_id, unsigned limit, struct discard_row **out, size_t *n, struct err *e) MUST_CHECK; /* those held so, oldest first */
int db_reject_list(struct db *db, int64_t job_id, unsigned limit, struct reject_row **out, size_t *n, struct err *e) MUST_CHECK;
/* Make everything deferred of a destination due now (resume, flush, changed settings). destination 0: all. */
int db_retry_now(struct db *db, int64_t destination_id, int64_t now, struct err *e) MUST_CHECK; /* W */

/* --- batches and retention --- */
int db_batch_get(struct db *db, const char *id, struct batch_row *out, struct err *e) MUST_CHECK;
int db_batch_at(struct db *db, const unsigned char queue_id[16], uint32_t partition, uint64_t offset, int64_t source_id, struct str table, struct batch_row *out, struct err *e) MUST_CHECK; /* where */
/* Files of batches that all destinations have since before `done_before`, oldest first; a batch without any connection never. */
int db_batch_expired(struct db *db, int64_t done_before, unsigned limit, struct batch_row **out, size_t *n, struct err *e) MUST_CHECK;
int db_batch_deleted(struct db *db, const char *const *ids, size_t n, int64_t now, struct err *e) MUST_CHECK; /* W; rows marked, before the file goes */
int db_batch_named(struct db *db, const char *path, bool *named, struct err *e) MUST_CHECK; /* sweeper */
int db_prune(struct db *db, const struct prune *p, int64_t now, uint64_t *rows, struct err *e) MUST_CHECK; /* W; events, audit, trash, rejected records (told in an event), old jobs and rows, a page at a time */

/* --- events and audit --- */
int db_event_add(struct db *db, const struct event_row *in, struct err *e) MUST_CHECK; /* W */
int db_event_list(struct db *db, int64_t after, unsigned limit, bool newest_first, struct event_row **out, size_t *n, struct err *e) MUST_CHECK;
int db_audit_begin(struct db *db, const struct audit_row *in, int64_t *id, struct err *e) MUST_CHECK; /* W; before the act */
int db_audit_end(struct db *db, int64_t id, const char *result, const char *after, struct err *e) MUST_CHECK; /* W */
int db_audit_list(struct db *db, const char *object, int64_t after, unsigned limit, struct audit_row **out, size_t *n, struct err *e) MUST_CHECK; /* newest first */

#endif
