/*
 * state.c - the only writer of state.db. A group is all that lies in the mailbox (bounded): one SQLite transaction, a savepoint for each of ours, so that
 * one that fails is rolled back alone; COMMIT, then the answers. Between groups the writer checkpoints. What a failure means: "full" refuses the group
 * and goes on; "busy" is asked again; after anything else nobody can say what is on the disk, so the state is broken: nothing is written any more,
 * all are refused, and the process must open the file anew (open.c). A failed sync of another file meanwhile counts as ours, for the kernel tells a failed flush
 * to one caller only.
 */
#include "daemon/state/state_priv.h"

#include <unistd.h>

#include "daemon/core/crashpoint.h"
#include "daemon/core/metrics.h"
#include "file.h"
#include "log.h"
#include "xalloc.h"

#define GROUP_MAX 512
#define WAITING_MAX 10000
#define WAITING_BYTES (64u << 20)
#define CHECKPOINT_BYTES (8 << 20)
#define BUSY_TRIES 15 /* of BUSY_MS (open.c) each */

static _Thread_local bool in_writer;

/* --- a group --- */

static struct state_tx *tx_of(struct msg *m)
{
	return container_of(m, struct state_tx, msg);
}

/* The last: a done may free its transaction. */
static void answer(struct msg *list, const struct err *e)
{
	for (struct msg *next; list; list = next) {
		struct state_tx *tx = tx_of(list);

		next = list->next;
		if (e && e->code)
			tx->err = *e;
		if (tx->err.code)
			metric_add(state_errors_total, 1);
		else
			metric_add(state_commits_total, 1);
		tx->done(tx);
	}
}

static void break_down(struct state *s, const struct err *e)
{
	log_err("%s; nothing is written any more, state.db must be opened anew", e->text);
	atomic_store(&s->broken, true);
}

static bool only_full(const struct db *db)
{
	return (db->failed & 0xff) == SQLITE_FULL;
}

/* A statement that another process makes wait is asked again; SQLite itself waits BUSY_MS each time. */
static int patient(struct db *db, const char *sql, struct err *e)
{
	int rc = -1;

	for (int i = 0; i < BUSY_TRIES && rc; i++) {
		rc = db_exec(db, sql, e);
		if (rc && (sqlite3_errcode(db->h) & 0xff) != SQLITE_BUSY)
			break;
	}
	if (!rc)
		err_clear(e);
	return rc;
}

/* -1: the group is lost (db->failed says why). A transaction that failed by itself has its err set, and nothing of it stays. */
static int run_one(struct db *db, struct state_tx *tx, struct err *e)
{
	bool changed = db->config_changed;

	err_clear(&tx->err);
	if (db_exec(db, "SAVEPOINT one", e))
		return -1;
	if (tx->run(db, tx, &tx->err) == 0 && !db->failed)
		return db_exec(db, "RELEASE one", e);
	db->config_changed = changed;
	db_reset_all(db);
	if (db->failed) {
		*e = tx->err;
		return e->code ? -1 : err_set(e, ERR_IO, "state.db: %s", sqlite3_errstr(db->failed));
	}
	if (!tx->err.code)
		err_set(&tx->err, ERR_INTERNAL, "a transaction failed without saying why");
	return db_exec(db, "ROLLBACK TO one; RELEASE one", e);
}

static int commit(struct db *db, struct err *e)
{
	int rc;

	CRASHPOINT("state-run");
	file_sync_begin();
	rc = patient(db, "COMMIT", e);
	if (rc && !only_full(db))
		file_sync_failed();
	file_sync_end();
	return rc;
}

static int run_group(struct state *s, struct msg *list, struct err *e)
{
	uint64_t failures = file_sync_failures();
	struct db *db = s->db;
	int rc;

	db->failed = 0;
	db->config_changed = false;
	rc = patient(db, "BEGIN IMMEDIATE", e);
	for (struct msg *m = list; m && !rc; m = m->next)
		rc = run_one(db, tx_of(m), e);
	if (!rc)
		rc = commit(db, e);
	if (!rc && s->path && file_sync_failures_settled() != failures) {
		db->failed = SQLITE_IOERR_FSYNC;
		return err_set(e, ERR_IO, "state.db: a sync of another file on this disk failed while this was committed");
	}
	if (!rc) {
		CRASHPOINT("state-committed");
		if (db->config_changed)
			atomic_fetch_add(&s->config_version, 1);
		return 0;
	}
	/* most failed COMMITs have rolled back by themselves */
	if (!sqlite3_get_autocommit(db->h) && sqlite3_exec(db->h, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK && (!db->failed || only_full(db)))
		db->failed = SQLITE_IOERR;
	if (!db->failed || only_full(db))
		return -1; /* busy, or full: this group alone */
	e->code = ERR_IO;
	return -1;
}

/* --- checkpoints --- */

static int wal_grew(void *arg, sqlite3 *h, const char *name, int pages)
{
	struct state *s = arg;

	(void)h;
	(void)name;
	if (pages < s->wal_pages)
		s->checkpoint_at = s->checkpoint_bytes / s->page_size; /* it began anew */
	s->wal_pages = pages;
	return SQLITE_OK;
}

static void checkpoint_if_due(struct state *s)
{
	struct err e = ERR_INIT;
	int left;

	if (!s->path || s->wal_pages < s->checkpoint_at)
		return;
	if (state_checkpoint(s->db, SQLITE_CHECKPOINT_PASSIVE, &left, &e)) {
		if (e.code == ERR_STATE || e.code == ERR_FULL)
			log_warn("%s; later again", e.text);
		else
			break_down(s, &e);
	}
	/* where a reader holds it back, not after every commit again */
	s->checkpoint_at = s->wal_pages + s->checkpoint_bytes / s->page_size;
}

/* --- the stage --- */

static int64_t step(void *arg, struct now now)
{
	struct state *s = arg;
	struct msg *list = mailbox_take(s->stage.mb, GROUP_MAX, SIZE_MAX);
	struct err e = ERR_INIT;

	(void)now;
	if (!list)
		return NEVER;
	assert(!in_writer); /* a transaction or its done waits for another one */
	in_writer = true;
	if (state_broken(s)) {
		err_set(&e, ERR_IO, "state.db: an earlier write has failed; stitchd starts anew");
	} else if (run_group(s, list, &e)) {
		if (s->db->failed && !only_full(s->db))
			break_down(s, &e);
		else
			log_warn("%s", e.text);
	}
	answer(list, &e);
	if (!state_broken(s))
		checkpoint_if_due(s);
	in_writer = false;
	return 0; /* there may be more */
}

static const struct stage_ops ops = {"state", step};

struct stage *state_stage(struct state *s)
{
	return &s->stage;
}

bool state_broken(const struct state *s)
{
	return atomic_load(&s->broken);
}

uint64_t state_config_version(const struct state *s)
{
	return atomic_load(&s->config_version);
}

int state_submit(struct state *s, struct state_tx *tx)
{
	return state_broken(s) ? -1 : mailbox_put(s->stage.mb, &tx->msg);
}

struct call {
	struct state_tx tx;
	struct state *s;
	int (*run)(struct db *db, void *arg, struct err *e);
	void *arg;
	bool done;
};

static int run_call(struct db *db, struct state_tx *tx, struct err *e)
{
	struct call *c = container_of(tx, struct call, tx);

	return c->run(db, c->arg, e);
}

static void call_done(struct state_tx *tx)
{
	struct call *c = container_of(tx, struct call, tx);
	struct state *s = c->s;

	pthread_mutex_lock(&s->lock);
	c->done = true;
	pthread_cond_broadcast(&s->answered);
	pthread_mutex_unlock(&s->lock);
}

int state_call(struct state *s, int (*run)(struct db *db, void *arg, struct err *e), void *arg, struct err *e)
{
	struct call c = {.tx = {.run = run_call, .done = call_done}, .s = s, .run = run, .arg = arg};

	assert(!in_writer);
	/* never refused for being full: those who call wait, so there are no more of them than threads */
	mailbox_reply(s->stage.mb, &c.tx.msg);
	if (!s->stage.running) {
		while (!c.done)
			step(s, now_get());
	} else {
		pthread_mutex_lock(&s->lock);
		while (!c.done)
			pthread_cond_wait(&s->answered, &s->lock);
		pthread_mutex_unlock(&s->lock);
	}
	if (!c.tx.err.code)
		return 0;
	if (e)
		*e = c.tx.err;
	return -1;
}

/* --- readers --- */

struct db *state_reader(struct state *s, struct err *e)
{
	struct db *db;

	if (!s->path)
		return s->db;
	db = db_open(s->path, false, e);
	if (!db)
		return NULL;
	db->state = s;
	if (state_setup(db, false, e)) {
		db_close(db);
		return NULL;
	}
	return db;
}

void state_reader_close(struct db *db)
{
	if (db && !db->writer)
		db_close(db);
}

/* --- life --- */

static void state_free(struct state *s)
{
	if (db_close(s->db))
		log_warn("state.db: a statement was still in use at the end");
	mailbox_free(s->stage.mb);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	pthread_cond_destroy(&s->answered);
	pthread_mutex_destroy(&s->lock);
	free(s->path);
	free(s->dir);
	free(s);
}

static struct state *state_new(void)
{
	struct state *s = xcalloc(1, sizeof(*s));

	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->answered, NULL);
	s->lock_fd = -1;
	s->stage.ops = &ops;
	s->stage.self = s;
	s->stage.mb = mailbox_new(WAITING_MAX, WAITING_BYTES);
	return s;
}

static int get_ready(struct state *s, struct err *e)
{
	struct q q;
	int64_t page;

	s->db->state = s;
	if (q_begin(&q, s->db, "PRAGMA page_size", e) || q_value(&q, &page, e))
		return -1;
	s->page_size = (int)page;
	s->checkpoint_bytes = CHECKPOINT_BYTES;
	s->checkpoint_at = s->checkpoint_bytes / s->page_size;
	sqlite3_wal_hook(s->db->h, wal_grew, s);
	return 0;
}

struct state *state_open(const char *state_dir, struct err *e)
{
	struct state *s = state_new();

	s->dir = xstrdup(state_dir);
	s->path = xasprintf("%s/state.db", state_dir);
	if (file_mkdirs(state_dir, 0750, e))
		goto fail;
	s->lock_fd = file_lock(state_dir, "lock", e);
	if (s->lock_fd < 0)
		goto fail;
	s->db = state_cold_open(s->dir, s->path, e);
	if (s->db && !get_ready(s, e))
		return s;
fail:
	state_free(s);
	return NULL;
}

struct state *state_open_memory(struct err *e)
{
	struct state *s = state_new();

	s->db = db_open(":memory:", true, e);
	if (s->db && !state_setup(s->db, true, e) && !state_migrate(s->db, e) && !get_ready(s, e))
		return s;
	state_free(s);
	return NULL;
}

void state_crash(struct state *s)
{
	while (mailbox_take(s->stage.mb, SIZE_MAX, SIZE_MAX))
		;
}

void state_close(struct state *s)
{
	struct err e = ERR_INIT;
	int left;

	if (!s)
		return;
	assert(!s->stage.running);
	mailbox_close(s->stage.mb);
	while (step(s, now_get()) != NEVER)
		;
	if (s->path && !state_broken(s)) {
		if (state_checkpoint(s->db, SQLITE_CHECKPOINT_TRUNCATE, &left, &e))
			log_warn("%s; the next start does it again", e.text);
		else
			log_info("state.db is closed, its log is empty");
	}
	state_free(s);
}
