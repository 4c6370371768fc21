/*
 * sqlite.c - stitch-load-sqlite: the destination that needs no server. A transaction is BEGIN IMMEDIATE, which is the lock of all tables in the file at once;
 * WAL lets readers go on meanwhile, and synchronous=FULL makes COMMIT durable.
 *
 * What can go wrong: another program holds the write lock (we wait some minutes, telling the daemon that we live, then the load is tried later); the disk is full or
 * refuses (tried later, on a connection opened anew); the file is no database or not ours to write (a person must act).
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loaders/sqlite/sqlite_priv.h"

#include "file.h"
#include "xalloc.h"

#define WAIT_LOAD 300000 /* ms; another of our own loaders may have much to write */
#define WAIT_STEP 20
#define TICK_OPS 200000 /* of SQLite's machine: some milliseconds */

/*
 * After a failed write or sync the page cache may show what the disk does not have, a COMMIT too; the ledger must then be read from the disk (the same as for
 * state.db). Of the process, because the connection is gone when it matters.
 */
static bool cache_may_lie;

static const char *const reserved[] = {"it", "bi", "bo", "ti", "do", "de", "st", NULL};
const struct dialect sqlite_dialect = {
	.suffix = {[COL_INTEGER] = "it", [COL_NUMBER] = "de", [COL_BOOLEAN] = "bo", [COL_TIME] = "ti", [COL_STRING] = "st"},
	.reserved = reserved,
	.nesting = NEST_FLATTEN,
	.columns_max = 2000,
	.nul_ok = true,
};

/* --- helpers --- */

void sq_name(struct buf *sql, const char *name)
{
	buf_addc(sql, '"');
	for (; *name; name++) {
		if (*name == '"')
			buf_addc(sql, '"');
		buf_addc(sql, *name);
	}
	buf_addc(sql, '"');
}

char *sq_physical(const char *schema, const char *table)
{
	return *schema ? xasprintf("%s__%s", schema, table) : xstrdup(table);
}

static enum err_code code_of(struct sqlite *s, int rc)
{
	switch (rc & 0xFF) {
	case SQLITE_FULL:
		return ERR_FULL;
	case SQLITE_IOERR:
		s->broken = true;
		cache_may_lie = true;
		return sqlite3_system_errno(s->db) == ENOSPC ? ERR_FULL : ERR_IO;
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		s->broken = true;
		return ERR_CONFIG;
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		s->broken = true;
		return ERR_CONFIG;
	case SQLITE_CONSTRAINT:
	case SQLITE_TOOBIG:
	case SQLITE_MISMATCH:
		return ERR_DATA;
	case SQLITE_ERROR:
		/* a table that was dropped while we looked is there again the next time */
		return strstr(sqlite3_errmsg(s->db), "no such ") ? ERR_TRANSIENT : ERR_CONFIG;
	default:
		return ERR_TRANSIENT;
	}
}

int sq_failed(struct sqlite *s, const char *doing, struct err *e)
{
	int rc = sqlite3_extended_errcode(s->db);
	enum err_code code = code_of(s, rc);

	if (code == ERR_FULL)
		return err_set(e, code, "%s: the disk that holds %s is full; the load goes on by itself when there is room", doing, s->path);
	if ((rc & 0xFF) == SQLITE_BUSY)
		return err_set(e, code, "%s: another program keeps %s locked for more than %d s", doing, s->path, s->wait_max / 1000);
	return err_set(e, code, "%s: %s: %s", doing, s->path, sqlite3_errmsg(s->db));
}

int sq_exec(struct sqlite *s, const char *sql, const char *doing, struct err *e)
{
	s->waited = 0;
	if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return sq_failed(s, doing, e);
	return 0;
}

sqlite3_stmt *sq_prepare(struct sqlite *s, const char *sql, const char *doing, struct err *e)
{
	sqlite3_stmt *st = NULL;

	s->waited = 0;
	if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL) != SQLITE_OK)
		sq_failed(s, doing, e);
	return st;
}

int sq_run(struct sqlite *s, sqlite3_stmt *st, const char *doing, struct err *e)
{
	int rc = sqlite3_step(st);

	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		sq_failed(s, doing, e);
	sqlite3_finalize(st);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : -1;
}

void sq_bind_text(sqlite3_stmt *st, int at, const char *text)
{
	/* binding fails only for want of memory; the statement then fails by itself */
	(void)sqlite3_bind_text(st, at, text, -1, SQLITE_TRANSIENT);
}

/* --- the connection --- */

static int on_busy(void *arg, int times)
{
	struct sqlite *s = arg;

	(void)times;
	if (s->waited >= s->wait_max)
		return 0;
	loader_tick(s->l, "waiting for the lock");
	usleep(WAIT_STEP * 1000);
	s->waited += WAIT_STEP;
	return 1;
}

static int on_progress(void *arg)
{
	struct sqlite *s = arg;

	loader_tick(s->l, "working");
	return 0;
}

static void sq_close(void *self)
{
	struct sqlite *s = self;

	sq_rows_drop(s);
	sqlite3_close_v2(s->db);
	buf_free(&s->numbers);
	free(s->path);
	free(s);
}

static void say_fix(struct buf *fix, const struct sqlite *s, int rc)
{
	struct stat st;
	char *dir = xstrdup(s->path), *slash = strrchr(dir, '/');

	if (slash)
		slash[slash == dir] = '\0';
	if ((rc & 0xFF) == SQLITE_NOTADB)
		buf_addf(fix, "Choose another path, or move %s away: it is a file of another kind.", s->path);
	else if (stat(dir, &st))
		buf_addf(fix, "Make the folder %s, owned by the user that runs stitchd.", dir);
	else if (access(dir, W_OK) || (access(s->path, F_OK) == 0 && access(s->path, R_OK | W_OK)))
		buf_addf(fix, "Let user %d, who runs stitchd, write into the folder %s and the file.", (int)geteuid(), dir);
	else if ((rc & 0xFF) == SQLITE_FULL)
		buf_adds(fix, "Free some space on that disk.");
	free(dir);
}

static int go_cold(const char *path, const char *tail, struct err *e)
{
	char *name = xasprintf("%s%s", path, tail);
	int fd = open(name, O_RDONLY | O_CLOEXEC), rc = 0;

	if (fd >= 0) {
		rc = file_go_cold(fd, e);
		close(fd);
	}
	free(name);
	return rc;
}

static int distrust_cache(const char *path, struct err *e)
{
	if (!cache_may_lie)
		return 0;
	if (go_cold(path, "", e) || go_cold(path, "-wal", e)) {
		e->code = ERR_TRANSIENT;
		return err_wrap(e, "reading %s from the disk again after an error", path);
	}
	cache_may_lie = false;
	return 0;
}

static void *sq_open(struct loader *l, const json_t *settings, struct buf *fix, struct err *e)
{
	const char *path = json_string_value(json_object_get(settings, "path"));
	struct sqlite *s;

	if (!path || path[0] != '/') {
		buf_adds(fix, "Set path to the file's full path, beginning with /.");
		err_set(e, ERR_CONFIG, "the setting path must be the full path of a file, beginning with /");
		return NULL;
	}
	if (distrust_cache(path, e))
		return NULL;
	s = xcalloc(1, sizeof(*s));
	s->l = l;
	s->wait_max = WAIT_LOAD;
	s->path = xstrdup(path);
	snprintf(s->server, sizeof(s->server), "SQLite %s", sqlite3_libversion());
	if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
		sq_failed(s, "opening", e);
		goto fail;
	}
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_handler(s->db, on_busy, s);
	sqlite3_progress_handler(s->db, TICK_OPS, on_progress, s);
	if (sq_exec(s, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-32768; PRAGMA temp_store=MEMORY; PRAGMA foreign_keys=OFF", "opening", e))
		goto fail;
	return s;
fail:
	say_fix(fix, s, sqlite3_errcode(s->db));
	sq_close(s);
	return NULL;
}

static const char *sq_server(void *self)
{
	return ((struct sqlite *)self)->server;
}

static const struct dialect *sq_dialect(void *self)
{
	(void)self;
	return &sqlite_dialect;
}

static bool sq_alive(void *self)
{
	return !((struct sqlite *)self)->broken;
}

/* --- the transaction and the ledger --- */

/* A statement about one of our tables in the job's schema. %s of tail: nothing; the name stands between head and tail. */
static sqlite3_stmt *about(struct sqlite *s, const struct job *j, const char *head, const char *table, const char *tail, struct err *e)
{
	char *name = sq_physical(j->schema, table);
	struct buf sql = BUF_INIT;
	sqlite3_stmt *st;

	buf_adds(&sql, head);
	sq_name(&sql, name);
	buf_adds(&sql, tail);
	st = sq_prepare(s, buf_cstr(&sql), "ledger", e);
	buf_free(&sql);
	free(name);
	return st;
}

static int sq_begin(void *self, const struct job *j, int64_t *active_version, struct err *e)
{
	struct sqlite *s = self;
	sqlite3_stmt *st;
	int rc;

	*active_version = 0;
	if (sq_exec(s, "BEGIN IMMEDIATE", "waiting for the lock", e))
		return -1;
	st = about(s, j, "SELECT active_version FROM ", "_stitch_table", " WHERE table_name = ?1", e);
	if (!st)
		return -1;
	sq_bind_text(st, 1, j->table);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*active_version = sqlite3_column_int64(st, 0);
	else if (rc != SQLITE_DONE)
		sq_failed(s, "active version", e);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : -1;
}

static int sq_ledger_get(void *self, const struct job *j, const struct job_batch *b, struct ledger_row *out, struct err *e)
{
	struct sqlite *s = self;
	sqlite3_stmt *st = about(s, j, "SELECT rows, rejected, attempt, discarded FROM ", "_stitch_ledger", " WHERE batch_id = ?1", e);
	int rc;

	if (!st)
		return -1;
	sq_bind_text(st, 1, b->id);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*out = (struct ledger_row){.rows = (uint64_t)sqlite3_column_int64(st, 0), .rejected = (uint64_t)sqlite3_column_int64(st, 1),
			.attempt = (uint32_t)sqlite3_column_int64(st, 2), .discarded = sqlite3_column_int64(st, 3) != 0};
	else if (rc != SQLITE_DONE)
		sq_failed(s, "ledger", e);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : -1;
}

static int sq_ledger_ranges(void *self, const struct job *j, const struct job_batch *b, struct ranges *out, struct err *e)
{
	struct sqlite *s = self;
	sqlite3_stmt *st = about(s, j, "SELECT first_offset, last_offset FROM ", "_stitch_ledger",
		" WHERE queue_id = ?1 AND partition = ?2 AND table_name = ?3 AND first_offset <= ?4 AND last_offset >= ?5 AND discarded = 0", e);
	int rc;

	if (!st)
		return -1;
	sq_bind_text(st, 1, b->queue_hex);
	(void)sqlite3_bind_int64(st, 2, b->partition);
	sq_bind_text(st, 3, j->table);
	(void)sqlite3_bind_int64(st, 4, (int64_t)b->last);
	(void)sqlite3_bind_int64(st, 5, (int64_t)b->first);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		ranges_add(out, (uint64_t)sqlite3_column_int64(st, 0), (uint64_t)sqlite3_column_int64(st, 1));
	if (rc != SQLITE_DONE)
		sq_failed(s, "ledger", e);
	sqlite3_finalize(st);
	return rc == SQLITE_DONE ? 0 : -1;
}

static int sq_ledger_put(void *self, const struct job *j, const struct job_batch *b, const struct ledger_row *row, struct err *e)
{
	struct sqlite *s = self;
	sqlite3_stmt *st = about(s, j, "INSERT OR REPLACE INTO ", "_stitch_ledger",
		" (batch_id, queue_id, partition, first_offset, last_offset, source, table_name, table_version, rows, rejected, attempt, discarded, loaded_at)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, strftime('%Y-%m-%d %H:%M:%f000', 'now'))", e);

	if (!st)
		return -1;
	sq_bind_text(st, 1, b->id);
	sq_bind_text(st, 2, b->queue_hex);
	(void)sqlite3_bind_int64(st, 3, b->partition);
	(void)sqlite3_bind_int64(st, 4, (int64_t)b->first);
	(void)sqlite3_bind_int64(st, 5, (int64_t)b->last);
	sq_bind_text(st, 6, j->source);
	sq_bind_text(st, 7, j->table);
	(void)sqlite3_bind_int64(st, 8, b->table_version);
	(void)sqlite3_bind_int64(st, 9, (int64_t)row->rows);
	(void)sqlite3_bind_int64(st, 10, (int64_t)row->rejected);
	(void)sqlite3_bind_int64(st, 11, row->attempt);
	(void)sqlite3_bind_int64(st, 12, row->discarded);
	return sq_run(s, st, "ledger", e);
}

static int delete_below(struct sqlite *s, const char *table, int64_t version, struct err *e)
{
	struct buf sql = BUF_INIT;
	sqlite3_stmt *st;

	buf_adds(&sql, "DELETE FROM ");
	sq_name(&sql, table);
	buf_adds(&sql, " WHERE coalesce(\"_sdc_table_version\", 0) < ?1");
	st = sq_prepare(s, buf_cstr(&sql), "activating a table version", e);
	buf_free(&sql);
	if (!st)
		return -1;
	(void)sqlite3_bind_int64(st, 1, version);
	return sq_run(s, st, "activating a table version", e);
}

static int sq_activate(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, int64_t version, struct err *e)
{
	struct sqlite *s = self;
	sqlite3_stmt *st;
	int rc = 0;

	for (size_t k = 0; k < los->n && !rc; k++) {
		char *table = sq_physical(j->schema, los->t[k].table);

		if (descs[k].exists)
			rc = delete_below(s, table, version, e);
		free(table);
	}
	if (rc)
		return -1;
	st = about(s, j, "INSERT INTO ", "_stitch_table",
		" (table_name, active_version) VALUES (?1, ?2) ON CONFLICT (table_name) DO UPDATE SET active_version = excluded.active_version", e);
	if (!st)
		return -1;
	sq_bind_text(st, 1, j->table);
	(void)sqlite3_bind_int64(st, 2, version);
	return sq_run(s, st, "activating a table version", e);
}

static int sq_reject(void *self, const struct job *j, const struct reject *r, struct err *e)
{
	struct sqlite *s = self;
	sqlite3_stmt *st = about(s, j, "INSERT INTO ", "_sdc_rejected",
		" (_sdc_rejected_at, table_name, reason, record) VALUES (strftime('%Y-%m-%d %H:%M:%f000', 'now'), ?1, ?2, ?3)", e);

	if (!st)
		return -1;
	sq_bind_text(st, 1, j->table);
	(void)sqlite3_bind_text(st, 2, r->reason.ptr, (int)r->reason.len, SQLITE_STATIC);
	(void)sqlite3_bind_text(st, 3, r->raw.ptr, (int)r->raw.len, SQLITE_STATIC);
	return sq_run(s, st, "rejected records", e);
}

static int sq_commit(void *self, struct err *e)
{
	return sq_exec(self, "COMMIT", "committing", e);
}

static void sq_rollback(void *self)
{
	struct sqlite *s = self;

	sq_rows_drop(s);
	if (!sqlite3_get_autocommit(s->db) && sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK)
		s->broken = true;
}

static const struct loader_ops ops = {
	.kind = "sqlite",
	.open = sq_open,
	.close = sq_close,
	.server = sq_server,
	.dialect = sq_dialect,
	.check = sq_check,
	.sample = sq_sample,
	.prepare = sq_prepare_schema,
	.describe = sq_describe,
	.subtables = sq_subtables,
	.change = sq_change,
	.ddl = sq_ddl,
	.begin = sq_begin,
	.ledger_get = sq_ledger_get,
	.ledger_ranges = sq_ledger_ranges,
	.ledger_put = sq_ledger_put,
	.rows_begin = sq_rows_begin,
	.put = sq_put,
	.rows_end = sq_rows_end,
	.tally = sq_tally,
	.activate = sq_activate,
	.reject = sq_reject,
	.commit = sq_commit,
	.rollback = sq_rollback,
	.alive = sq_alive,
};

int main(void)
{
	return loader_main(&ops);
}
