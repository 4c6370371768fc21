/*
 * 5001-state.c - the file and its writer: open, migrate, group commit, roll-back of one alone, full, broken, readers, backup, memory. SQLite's own file layer is
 * wrapped here, so that its writes and syncs can be refused. What survives a real disk that refuses is t/sh/t5001-state-disk.t's matter.
 */
#include "tap.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/core/now.h"
#include "daemon/state/state_priv.h"
#include "file.h"
#include "log.h"
#include "xalloc.h"

/* --- a file layer that refuses --- */

static _Atomic int refuse_writes, refuse_syncs; /* SQLite's code; 0: none */
static _Atomic int syncs;

struct shim {
	sqlite3_file base;
	sqlite3_file *real;
};

static sqlite3_vfs *real_vfs;
static sqlite3_io_methods shim_methods;
#define REAL(f) (((struct shim *)(void *)(f))->real)

static int shim_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	return atomic_load(&refuse_writes) ? atomic_load(&refuse_writes) : REAL(f)->pMethods->xWrite(REAL(f), p, n, at);
}
static int shim_sync(sqlite3_file *f, int flags)
{
	atomic_fetch_add(&syncs, 1);
	return atomic_load(&refuse_syncs) ? atomic_load(&refuse_syncs) : REAL(f)->pMethods->xSync(REAL(f), flags);
}
static int shim_close(sqlite3_file *f)
{
	return REAL(f)->pMethods->xClose(REAL(f));
}
static int shim_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
	return REAL(f)->pMethods->xRead(REAL(f), p, n, at);
}
static int shim_truncate(sqlite3_file *f, sqlite3_int64 n)
{
	return REAL(f)->pMethods->xTruncate(REAL(f), n);
}
static int shim_size(sqlite3_file *f, sqlite3_int64 *n)
{
	return REAL(f)->pMethods->xFileSize(REAL(f), n);
}
static int shim_lock(sqlite3_file *f, int l)
{
	return REAL(f)->pMethods->xLock(REAL(f), l);
}
static int shim_unlock(sqlite3_file *f, int l)
{
	return REAL(f)->pMethods->xUnlock(REAL(f), l);
}
static int shim_reserved(sqlite3_file *f, int *out)
{
	return REAL(f)->pMethods->xCheckReservedLock(REAL(f), out);
}
static int shim_control(sqlite3_file *f, int op, void *arg)
{
	return REAL(f)->pMethods->xFileControl(REAL(f), op, arg);
}
static int shim_sector(sqlite3_file *f)
{
	return REAL(f)->pMethods->xSectorSize(REAL(f));
}
static int shim_traits(sqlite3_file *f)
{
	return REAL(f)->pMethods->xDeviceCharacteristics(REAL(f));
}
static int shim_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **p)
{
	return REAL(f)->pMethods->xShmMap(REAL(f), page, size, extend, p);
}
static int shim_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	return REAL(f)->pMethods->xShmLock(REAL(f), offset, n, flags);
}
static void shim_shm_barrier(sqlite3_file *f)
{
	REAL(f)->pMethods->xShmBarrier(REAL(f));
}
static int shim_shm_unmap(sqlite3_file *f, int del)
{
	return REAL(f)->pMethods->xShmUnmap(REAL(f), del);
}

static int shim_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out)
{
	struct shim *s = (struct shim *)(void *)f;
	int rc;

	(void)v;
	s->real = (sqlite3_file *)(void *)(s + 1);
	rc = real_vfs->xOpen(real_vfs, name, s->real, flags, out);
	s->base.pMethods = s->real->pMethods ? &shim_methods : NULL;
	return rc;
}

static void wrap_files(void)
{
	static sqlite3_vfs v;

	real_vfs = sqlite3_vfs_find(NULL);
	v = *real_vfs;
	v.zName = "shim";
	v.szOsFile += (int)sizeof(struct shim);
	v.xOpen = shim_open;
	shim_methods = (sqlite3_io_methods){2, shim_close, shim_read, shim_write, shim_truncate, shim_sync, shim_size, shim_lock, shim_unlock, shim_reserved,
		shim_control, shim_sector, shim_traits, shim_shm_map, shim_shm_lock, shim_shm_barrier, shim_shm_unmap, NULL, NULL};
	if (sqlite3_vfs_register(&v, 1) != SQLITE_OK)
		bail("the file layer cannot be wrapped");
}

/* --- transactions: rows of table event, told apart by their text --- */

struct row {
	struct state_tx tx;
	char text[40];
	size_t bulk; /* bytes more */
	bool fail, bad_sql;
	unsigned order; /* of its done; 0: not yet */
	unsigned in_group; /* done calls so far when it ran */
};

static unsigned dones;

static int insert(struct db *db, const char *text, size_t bulk, struct err *e)
{
	struct q q;
	char *blob = xcalloc(1, bulk + 1);
	int rc = -1;

	memset(blob, 'x', bulk);
	if (!q_begin(&q, db, "INSERT INTO event (at, level, kind, object, text) VALUES (1, 'info', ?, '', ?)", e)) {
		q_text(&q, text);
		q_text(&q, blob);
		rc = q_run(&q, e);
	}
	free(blob);
	return rc;
}

static int run_row(struct db *db, struct state_tx *tx, struct err *e)
{
	struct row *r = container_of(tx, struct row, tx);
	struct q q;
	int64_t v;

	r->in_group = dones;
	if (insert(db, r->text, r->bulk, e))
		return -1;
	if (r->bad_sql)
		return q_begin(&q, db, "INSERT INTO client VALUES (1, 'default', 0)", e) || q_value(&q, &v, e) ? -1 : 0;
	return r->fail ? err_set(e, ERR_INVALID, "it was asked to fail") : 0;
}

static void done_row(struct state_tx *tx)
{
	container_of(tx, struct row, tx)->order = ++dones;
}

static struct row row(const char *text)
{
	struct row r = {.tx = {.run = run_row, .done = done_row}};

	str_copy(r.text, sizeof(r.text), str_c(text));
	return r;
}

static void submit(struct state *s, struct row *r)
{
	if (state_submit(s, &r->tx))
		bail("a transaction is refused");
}

static void step_all(struct state *s)
{
	while (state_stage(s)->ops->step(state_stage(s)->self, now_get()) != NEVER)
		;
}

/* How often a row is there. */
static int64_t there(struct db *db, const char *text)
{
	struct q q;
	struct err e = ERR_INIT;
	int64_t n = -1;

	if (q_begin(&q, db, "SELECT count(*) FROM event WHERE kind = ?", &e))
		bail("%s", e.text);
	q_text(&q, text);
	if (q_value(&q, &n, &e))
		bail("%s", e.text);
	return n;
}

static char dir[] = "/tmp/5001-state-XX" "XX" "XX";

static struct state *reopen(void)
{
	struct err e = ERR_INIT;
	struct state *s = state_open(dir, &e);

	if (!s)
		bail("open: %s", e.text);
	return s;
}

static struct db *reader(struct state *s)
{
	struct err e = ERR_INIT;
	struct db *db = state_reader(s, &e);

	if (!db)
		bail("reader: %s", e.text);
	return db;
}

static unsigned mode_of(const char *name)
{
	char *path = xasprintf("%s/%s", dir, name);
	struct stat st = {.st_mode = 0};

	if (stat(path, &st))
		diag("no %s", path);
	free(path);
	return st.st_mode & 0777;
}

static void test_open(void)
{
	struct state *s = reopen(), *second;
	struct err e = ERR_INIT;
	char pid[32];

	is_int(0640, mode_of("state.db"), "state.db is 0640");
	is_int(0640, mode_of("state.db-wal"), "its log too");
	second = state_open(dir, &e);
	snprintf(pid, sizeof(pid), "pid %ld", (long)getpid());
	ok(!second && e.code == ERR_STATE && strstr(e.text, pid), "a folder is opened once: %s", e.text);
	state_close(s);
	s = reopen();
	ok(s != NULL, "and again after it was closed");
	state_close(s);
}

static int set_version(struct db *db, void *arg, struct err *e)
{
	return db_exec(db, arg, e);
}

static void test_newer(void)
{
	struct state *s = reopen();
	struct err e = ERR_INIT;
	struct db *db;
	char path[80];

	if (state_call(s, set_version, (void *)(uintptr_t)"PRAGMA user_version = 4711", &e))
		bail("%s", e.text);
	state_close(s);
	ok(!state_open(dir, &e) && e.code == ERR_VERSION && strstr(e.text, "4711"), "a newer file is refused: %s", e.text);
	snprintf(path, sizeof(path), "%s/state.db", dir);
	db = db_open(path, true, &e);
	if (!db || db_exec(db, "PRAGMA user_version = 5", &e) || db_close(db))
		bail("%s", e.text);
}

static void test_group(void)
{
	struct state *s = reopen();
	struct row first = row("first"), a = row("a"), b = row("b"), c = row("c"), d = row("d");
	struct db *db = reader(s);
	int before;

	b.fail = true;
	c.bad_sql = true;
	submit(s, &first); /* begins the log: a sync of its own */
	step_all(s);
	dones = 0;
	submit(s, &a);
	submit(s, &b);
	submit(s, &c);
	submit(s, &d);
	is_int(0, there(db, "a"), "nothing before the step");
	before = atomic_load(&syncs);
	step_all(s);
	is_int(1, atomic_load(&syncs) - before, "four transactions, one sync");
	ok(a.order == 1 && b.order == 2 && c.order == 3 && d.order == 4 && d.in_group == 0, "one group, answered in order and after it");
	ok(a.tx.err.code == ERR_NONE && d.tx.err.code == ERR_NONE, "the good ones are committed");
	ok(b.tx.err.code == ERR_INVALID && strstr(b.tx.err.text, "asked"), "one fails with its own error");
	is_int(ERR_EXISTS, c.tx.err.code, "a unique name that is taken is ERR_EXISTS: %s", c.tx.err.text);
	ok(there(db, "a") == 1 && there(db, "b") == 0 && there(db, "c") == 0 && there(db, "d") == 1, "and only those are rolled back");
	state_reader_close(db);
	state_close(s);
}

static int insert_and_look(struct db *db, void *arg, struct err *e)
{
	struct db *other = arg;

	if (insert(db, "unseen", 0, e))
		return -1;
	return there(other, "unseen") == 0 && there(db, "unseen") == 1 ? 0 : err_set(e, ERR_INTERNAL, "a reader sees what is not committed");
}

static void test_reader(void)
{
	struct state *s = reopen();
	struct db *db = reader(s);
	struct err e = ERR_INIT;

	is_int(0, state_call(s, insert_and_look, db, &e), "a reader sees nothing before the commit: %s", e.text);
	is_int(1, there(db, "unseen"), "and all after it");
	ok(insert(db, "by a reader", 0, &e) == -1, "a reader cannot write: %s", e.text);
	state_reader_close(db);
	state_close(s);
}

static int change_config(struct db *db, void *arg, struct err *e)
{
	bool *fail = arg;

	db->config_changed = true;
	return *fail ? err_set(e, ERR_INVALID, "asked to fail") : 0;
}

static void test_config_version(void)
{
	struct state *s = reopen();
	uint64_t v = state_config_version(s);
	bool fail = true;
	struct row r = row("no configuration");

	if (!state_call(s, change_config, &fail, NULL))
		bail("it should fail");
	submit(s, &r);
	step_all(s);
	ok(state_config_version(s) == v, "neither a failed change nor other rows raise the configuration's version");
	fail = false;
	if (state_call(s, change_config, &fail, NULL))
		bail("it should not fail");
	ok(state_config_version(s) == v + 1, "a change does");
	state_close(s);
}

static void test_full(void)
{
	struct state *s = reopen();
	struct row a = row("full-a"), b = row("full-b"), c = row("after-full");
	struct db *db;

	atomic_store(&refuse_writes, SQLITE_FULL);
	submit(s, &a);
	submit(s, &b);
	step_all(s);
	ok(a.tx.err.code == ERR_FULL && b.tx.err.code == ERR_FULL, "a full disk refuses the group: %s", a.tx.err.text);
	ok(!state_broken(s), "and breaks nothing");
	atomic_store(&refuse_writes, 0);
	submit(s, &c);
	step_all(s);
	is_int(ERR_NONE, c.tx.err.code, "when there is room again it goes on");
	db = reader(s);
	ok(there(db, "full-a") == 0 && there(db, "full-b") == 0 && there(db, "after-full") == 1, "with nothing of the refused group");
	state_reader_close(db);
	/* a transaction larger than the page cache meets the full disk in its statements, not in COMMIT */
	a = row("full-early");
	a.bulk = 16u << 20;
	atomic_store(&refuse_writes, SQLITE_FULL);
	submit(s, &a);
	submit(s, &b);
	step_all(s);
	ok(a.tx.err.code == ERR_FULL && b.tx.err.code == ERR_FULL && !state_broken(s), "full within a large transaction: likewise");
	atomic_store(&refuse_writes, 0);
	c = row("after-full-2");
	submit(s, &c);
	step_all(s);
	is_int(ERR_NONE, c.tx.err.code, "and on: %s", c.tx.err.text);
	state_close(s);
}

static void broken_by(_Atomic int *what, int code, const char *name)
{
	struct state *s = reopen();
	struct row before = row("before"), a = row("refused"), late = row("late"), c = row("never");
	uint64_t failures = file_sync_failures();
	struct err e = ERR_INIT;
	struct db *db;

	submit(s, &before);
	step_all(s);
	atomic_store(what, code);
	submit(s, &a);
	state_stage(s)->ops->step(s, now_get());
	atomic_store(what, 0);
	ok(a.tx.err.code == ERR_IO && state_broken(s), "%s breaks the state: %s", name, a.tx.err.text);
	ok(file_sync_failures() > failures, "the log is told of it");
	ok(state_submit(s, &c.tx) == -1, "later ones are refused");
	mailbox_reply(state_stage(s)->mb, &late.tx.msg);
	step_all(s);
	is_int(ERR_IO, late.tx.err.code, "one that came between is answered");
	ok(state_call(s, insert_and_look, NULL, &e) == -1 && e.code == ERR_IO, "a call too");
	state_close(s);
	s = reopen();
	db = reader(s);
	ok(there(db, "before") >= 1 && there(db, "late") == 0 && there(db, "never") == 0, "a cold open finds what was acknowledged");
	state_reader_close(db);
	state_close(s);
}

/* As if another thread's sync were told of a failed flush that may have been ours. */
static int other_sync_fails(struct db *db, void *arg, struct err *e)
{
	(void)arg;
	file_sync_failed();
	return insert(db, "unknown", 0, e);
}

static void test_broken(void)
{
	struct state *s;
	struct err e = ERR_INIT;

	broken_by(&refuse_writes, SQLITE_IOERR_WRITE, "a failed write");
	broken_by(&refuse_syncs, SQLITE_IOERR_FSYNC, "a failed sync");
	s = reopen();
	ok(state_call(s, other_sync_fails, NULL, &e) == -1 && e.code == ERR_IO && state_broken(s), "a failed sync of another file breaks it too: %s", e.text);
	state_close(s);
	s = state_open_memory(&e);
	ok(s && !state_call(s, other_sync_fails, NULL, &e), "but not one in memory");
	state_close(s);
}

/* Rows until the log has been checkpointed; what a reader holds back may not make it a checkpoint after each commit. */
static void test_checkpoint(void)
{
	struct state *s = reopen();
	struct db *db = reader(s);
	struct row r;
	struct q q;
	struct err e = ERR_INIT;
	int before;

	for (int i = 0; i < 12; i++) {
		r = row("bulk");
		r.bulk = 1u << 20;
		submit(s, &r);
		step_all(s);
	}
	ok(s->wal_pages * s->page_size < 10 << 20, "the log begins anew after a checkpoint: %d pages", s->wal_pages);
	if (q_begin(&q, db, "SELECT id FROM event", &e) || q_row(&q, &e) != 1)
		bail("%s", e.text);
	for (int i = 0; i < 12; i++) {
		r = row("held");
		r.bulk = 1u << 20;
		submit(s, &r);
		step_all(s);
	}
	before = atomic_load(&syncs);
	for (int i = 0; i < 10; i++) {
		r = row("small");
		submit(s, &r);
		step_all(s);
	}
	is_int(10, atomic_load(&syncs) - before, "a reader that holds it back does not make each commit a checkpoint");
	q_end(&q);
	state_reader_close(db);
	state_close(s);
}

/* The commit goes well, the checkpoint behind it does not. */
static void done_and_refuse(struct state_tx *tx)
{
	done_row(tx);
	atomic_store(&refuse_syncs, SQLITE_IOERR_FSYNC);
}

static void test_checkpoint_fails(void)
{
	struct state *s = reopen();
	struct row r = row("checkpointed");

	r.tx.done = done_and_refuse;
	s->checkpoint_at = 0;
	submit(s, &r);
	state_stage(s)->ops->step(s, now_get());
	atomic_store(&refuse_syncs, 0);
	ok(r.tx.err.code == ERR_NONE && state_broken(s), "a failed checkpoint breaks the state; what was committed before it stays acknowledged");
	state_close(s);
	s = reopen();
	is_int(1, there(s->db, "checkpointed"), "and is there");
	state_close(s);
}

/* A disk that is full when pages are to be copied: the log holds them all the same. */
static void done_and_fill(struct state_tx *tx)
{
	done_row(tx);
	atomic_store(&refuse_writes, SQLITE_FULL);
}

static void test_checkpoint_full(void)
{
	struct state *s = reopen();
	struct row r = row("full-checkpoint");

	r.tx.done = done_and_fill;
	s->checkpoint_at = 0;
	submit(s, &r);
	state_stage(s)->ops->step(s, now_get());
	ok(!state_broken(s), "a checkpoint that finds the disk full is done later");
	state_close(s);
	s = reopen();
	is_int(1, there(s->db, "full-checkpoint"), "and a start on a full disk goes on with the log that is there");
	atomic_store(&refuse_writes, 0);
	r.tx.done = done_row;
	submit(s, &r);
	step_all(s);
	is_int(ERR_NONE, r.tx.err.code, "and writes again when there is room: %s", r.tx.err.text);
	state_close(s);
}

static void test_backup(void)
{
	struct state *s = reopen(), *copy;
	struct err e = ERR_INIT;
	char to[80], file[100];
	struct row r = row("saved");

	submit(s, &r);
	step_all(s);
	snprintf(to, sizeof(to), "%s/backup", dir);
	snprintf(file, sizeof(file), "%s/state.db", to);
	is_int(0, state_backup(s, to, &e), "a backup while it is open: %s", e.text);
	is_int(-1, state_backup(s, to, &e), "is never overwritten");
	is_int(ERR_EXISTS, e.code, "%s", e.text);
	state_close(s);
	copy = state_open(to, &e);
	ok(copy && there(copy->db, "saved") == 1, "and opens as a state: %s", e.text);
	state_close(copy);
}

static void test_memory(void)
{
	struct err e = ERR_INIT;
	struct state *s = state_open_memory(&e);
	struct row a = row("kept"), b = row("dropped");

	if (!s)
		bail("%s", e.text);
	submit(s, &a);
	step_all(s);
	submit(s, &b);
	state_crash(s);
	step_all(s);
	ok(there(reader(s), "kept") == 1 && there(reader(s), "dropped") == 0 && !b.order, "a crash in memory: what was committed stays, what waited is dropped unanswered");
	state_close(s);
}

/* --- threads --- */

#define THREADS 4
#define EACH 150

struct worker {
	struct state *s;
	unsigned failed;
};

static int insert_call(struct db *db, void *arg, struct err *e)
{
	return insert(db, arg, 0, e);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct err e = ERR_INIT;
	struct db *db = reader(w->s);
	int64_t last = 0;

	for (unsigned i = 0; i < EACH; i++) {
		int64_t n;

		w->failed += state_call(w->s, insert_call, (void *)(uintptr_t)"thread", &e) != 0;
		n = there(db, "thread");
		w->failed += n <= last; /* at least one's own */
		last = n;
	}
	state_reader_close(db);
	return NULL;
}

static void test_threads(void)
{
	struct state *s = reopen();
	struct worker w[THREADS];
	pthread_t t[THREADS];
	struct err e = ERR_INIT;
	unsigned failed = 0;
	struct db *db;

	if (stage_start(state_stage(s), &e))
		bail("%s", e.text);
	for (int i = 0; i < THREADS; i++) {
		w[i] = (struct worker){.s = s};
		pthread_create(&t[i], NULL, work, &w[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(t[i], NULL);
		failed += w[i].failed;
	}
	stage_stop(state_stage(s));
	db = reader(s);
	is_int(THREADS * EACH, there(db, "thread"), "calls of %d threads at once", THREADS);
	is_int(0, failed, "each saw its own row when its call returned");
	state_reader_close(db);
	state_close(s);
}

static void clean_up(void)
{
	static const char *const names[] = {"backup/state.db", "backup/state.db-wal", "backup/state.db-shm", "backup/lock", "backup", "state.db", "state.db-wal", "state.db-shm", "lock"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char *path = xasprintf("%s/%s", dir, names[i]);

		if (unlink(path) && rmdir(path))
			diag("%s stays", path);
		free(path);
	}
	rmdir(dir);
}

int main(void)
{
	plan_lazy();
	log_setup(LOG_LVL_ERR, LOG_FMT_TEXT);
	if (!mkdtemp(dir))
		bail("no temporary folder");
	wrap_files();
	test_open();
	test_newer();
	test_group();
	test_reader();
	test_config_version();
	test_full();
	test_broken();
	test_checkpoint();
	test_checkpoint_fails();
	test_checkpoint_full();
	test_backup();
	test_memory();
	test_threads();
	clean_up();
	return done_testing();
}
