/*
 * open.c - opening state.db so that only what is on the disk is believed (sqlite-durability.md, "The calls"): no connection is open, the page cache
 * of -wal and file is dropped and proved empty, then a TRUNCATE checkpoint must succeed; when it does not, all is closed and done again, never tried on
 * the same connection. Also the settings that every connection has, and the only function that checkpoints. Closing any descriptor of the file drops
 * SQLite's locks on it, so files are touched here only while no connection exists (the folder's lock sees to other processes).
 */
#include "daemon/state/state_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "log.h"
#include "xalloc.h"

#define ATTEMPTS 5
#define BUSY_MS 2000
#define LOG_BYTES (4 << 20)

int state_setup(struct db *db, bool in_memory, struct err *e)
{
	int on = 1;

	sqlite3_busy_timeout(db->h, BUSY_MS);
	if (db_exec(db, "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA mmap_size = 0; PRAGMA secure_delete = OFF;"
			"PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY", e))
		return -1;
	if (in_memory)
		return 0;
	if (sqlite3_file_control(db->h, "main", SQLITE_FCNTL_PERSIST_WAL, &on) != SQLITE_OK ||
		sqlite3_db_config(db->h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) != SQLITE_OK)
		return db_error(db, "settings of the connection", e);
	return 0;
}

static int journal_is_wal(struct db *db, struct err *e)
{
	struct q q;
	char mode[16] = "";

	if (q_begin(&q, db, "PRAGMA journal_mode = WAL", e))
		return -1;
	if (q_row(&q, e) < 0)
		return -1;
	q_get_fixed(&q, mode, sizeof(mode));
	q_end(&q);
	return strcmp(mode, "wal") == 0 ? 0 : err_set(e, ERR_IO, "state.db: its journal mode is \"%s\" and cannot be made \"wal\"", mode);
}

/* A passive checkpoint that a reader holds back copies pages without syncing them, hence the sync (always: what the numbers say proves nothing). */
int state_checkpoint(struct db *db, int mode, int *pages_left, struct err *e)
{
	uint64_t failures = file_sync_failures();
	sqlite3_file *f = NULL;
	int in_log = 0, copied = 0, rc;

	file_sync_begin();
	rc = sqlite3_wal_checkpoint_v2(db->h, "main", mode, &in_log, &copied);
	if (rc == SQLITE_OK) {
		rc = sqlite3_file_control(db->h, "main", SQLITE_FCNTL_FILE_POINTER, &f);
		if (rc == SQLITE_OK)
			rc = f->pMethods->xSync(f, SQLITE_SYNC_NORMAL);
	}
	if (rc != SQLITE_OK && rc != SQLITE_BUSY && rc != SQLITE_FULL)
		file_sync_failed();
	file_sync_end();
	*pages_left = in_log;
	if (rc == SQLITE_OK && file_sync_failures_settled() != failures)
		return err_set(e, ERR_IO, "state.db: a sync of another file failed during a checkpoint");
	if (rc == SQLITE_BUSY)
		return err_set(e, ERR_STATE, "state.db: the checkpoint finds it busy: another process has it open");
	/* full: a page could not be copied, and the log still holds all of them */
	return rc == SQLITE_OK ? 0 : err_set(e, rc == SQLITE_FULL ? ERR_FULL : ERR_IO, "state.db: checkpoint: %s", sqlite3_errstr(rc));
}

static int cold(const char *path, struct err *e)
{
	int fd = open(path, O_RDWR | O_CLOEXEC), rc;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "%s", path);
	rc = file_go_cold(fd, e);
	if (rc)
		err_wrap(e, "%s", path);
	close(fd);
	return rc;
}

/* Made by us, so that its mode is ours (SQLite gives -wal and -shm the same) and its name is durable. */
static int make_file(const char *dir, const char *path, struct err *e)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640), rc = 0;

	if (fd < 0)
		return errno == EEXIST ? 0 : err_errno(e, errno, "%s", path);
	if (fchmod(fd, 0640))
		rc = err_errno(e, errno, "%s", path);
	if (!rc)
		rc = file_fsync(fd, e);
	if (close(fd) && !rc)
		rc = err_errno(e, errno, "%s", path);
	return rc ? rc : file_sync_dir(dir, e);
}

static struct db *attempt(const char *path, const char *wal, struct err *e)
{
	struct err why = ERR_INIT;
	struct db *db = NULL;
	int left;

	if (cold(wal, e) || cold(path, e))
		return NULL;
	db = db_open(path, true, e);
	if (!db)
		return NULL;
	if (state_setup(db, false, e) || journal_is_wal(db, e)) {
		db_close(db);
		return NULL;
	}
	if (state_checkpoint(db, SQLITE_CHECKPOINT_TRUNCATE, &left, &why) == 0)
		return db;
	if (why.code == ERR_FULL) {
		/* nothing was marked as copied; the log goes on, or nobody could free space */
		log_warn("%s; it goes on with the log that is there", why.text);
		return db;
	}
	db_close(db);
	if (e)
		*e = why;
	return NULL;
}

/* The log gets its blocks before they are needed: on a full disk a pause and its audit line can be written still (a hundred or so of them), and a commit into blocks
 * that are there needs no journal of the file system. Zeros are no log to SQLite; it begins at the front. */
static int grow_log(struct db *db, struct err *e)
{
	static const char zeros[65536];
	sqlite3_file *f = NULL;
	sqlite3_int64 at = 0;
	int rc = sqlite3_file_control(db->h, "main", SQLITE_FCNTL_JOURNAL_POINTER, &f);

	if (rc == SQLITE_OK)
		rc = f && f->pMethods ? f->pMethods->xFileSize(f, &at) : SQLITE_INTERNAL;
	for (; rc == SQLITE_OK && at < LOG_BYTES; at += (sqlite3_int64)sizeof(zeros))
		rc = f->pMethods->xWrite(f, zeros, sizeof(zeros), at);
	if (rc == SQLITE_FULL) {
		log_warn("the disk is full: state.db has no room kept for its log");
		rc = SQLITE_OK;
	}
	if (rc == SQLITE_OK)
		rc = f->pMethods->xSync(f, SQLITE_SYNC_NORMAL);
	if (rc == SQLITE_OK)
		return 0;
	file_sync_failed();
	return err_set(e, ERR_IO, "state.db: room for its log: %s", sqlite3_errstr(rc));
}

struct db *state_cold_open(const char *dir, const char *path, struct err *e)
{
	char *wal = xasprintf("%s-wal", path);
	struct db *db = NULL;

	if (make_file(dir, path, e))
		goto out;
	for (int i = 1; i <= ATTEMPTS && !db; i++) {
		struct timespec wait = {.tv_nsec = 50 * NSEC_PER_MSEC};

		err_clear(e);
		db = attempt(path, wal, e);
		if (!db && i < ATTEMPTS) {
			log_warn("state.db does not open cold yet (%d of %d): %s", i, ATTEMPTS, e ? e->text : "");
			nanosleep(&wait, NULL);
		}
	}
	/* the folder again: -wal was made by SQLite, which does not check its own sync of it */
	if (db && (state_migrate(db, e) || grow_log(db, e) || file_sync_dir(dir, e))) {
		db_close(db);
		db = NULL;
	}
out:
	free(wal);
	return db;
}
