/*
 * db.c - a connection to state.db and its prepared statements. Each statement is prepared once for a connection and found again by the address of
 * its SQL literal (a fixed table, linear probing). A failure is told with its statement; what a full or failing disk caused is also kept in
 * db->failed, so that the writer can tell a refused change from a file that can no longer be trusted (state.c decides).
 */
#include "daemon/state/state_priv.h"

#include "xalloc.h"

#define STMTS_MAX 1024 /* a power of two, several times what the folder has */

struct db_stmt {
	const char *sql;
	sqlite3_stmt *s;
};

/* --- connections --- */

int db_exec(struct db *db, const char *sql, struct err *e)
{
	return sqlite3_exec(db->h, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_error(db, sql, e);
}

struct db *db_open(const char *path, bool writer, struct err *e)
{
	struct db *db = xcalloc(1, sizeof(*db));
	int flags = (writer ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY) | SQLITE_OPEN_NOMUTEX;

	db->writer = writer;
	db->stmts = xcalloc(STMTS_MAX, sizeof(*db->stmts));
	if (sqlite3_open_v2(path, &db->h, flags, NULL) != SQLITE_OK) {
		db_error(db, "open", e);
		err_wrap(e, "%s", path);
		db_close(db);
		return NULL;
	}
	sqlite3_extended_result_codes(db->h, 1);
	return db;
}

int db_close(struct db *db)
{
	int rc = 0;

	if (!db)
		return 0;
	for (size_t i = 0; i < STMTS_MAX; i++)
		sqlite3_finalize(db->stmts[i].s);
	if (db->h && sqlite3_close(db->h) != SQLITE_OK) {
		sqlite3_close_v2(db->h);
		rc = -1;
	}
	free(db->stmts);
	free(db);
	return rc;
}

void db_reset_all(struct db *db)
{
	for (sqlite3_stmt *s = NULL; (s = sqlite3_next_stmt(db->h, s));) {
		sqlite3_reset(s);
		sqlite3_clear_bindings(s);
	}
}

/* --- errors --- */

static enum err_code code_of(int rc)
{
	switch (rc) {
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
	case SQLITE_CONSTRAINT_ROWID:
		return ERR_EXISTS;
	case SQLITE_CONSTRAINT_FOREIGNKEY:
		return ERR_NOT_FOUND;
	}
	switch (rc & 0xff) {
	case SQLITE_FULL:
		return ERR_FULL;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERR_STATE;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return ERR_CORRUPT;
	case SQLITE_PERM:
	case SQLITE_AUTH:
	case SQLITE_READONLY:
		return ERR_DENIED;
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
	case SQLITE_TOOBIG:
		return ERR_INVALID;
	case SQLITE_ERROR:
	case SQLITE_MISUSE:
	case SQLITE_RANGE:
		return ERR_INTERNAL;
	default:
		return ERR_IO; /* IOERR, CANTOPEN, NOMEM, PROTOCOL: the file cannot be worked with */
	}
}

int db_error(struct db *db, const char *sql, struct err *e)
{
	int rc = db->h ? sqlite3_extended_errcode(db->h) : SQLITE_NOMEM, sys = db->h ? sqlite3_system_errno(db->h) : 0;
	enum err_code code = code_of(rc);

	/* the first one counts, but for "full", which anything worse replaces */
	if ((code == ERR_IO || code == ERR_CORRUPT || code == ERR_FULL || code == ERR_DENIED) && (!db->failed || (db->failed & 0xff) == SQLITE_FULL))
		db->failed = rc;
	return err_set(e, code, "state.db: %s%s%s (%.120s)", db->h ? sqlite3_errmsg(db->h) : "out of memory", code == ERR_IO && sys ? ": " : "",
		code == ERR_IO && sys ? errno_text(sys) : "", sql);
}

/* --- statements --- */

int q_begin(struct q *q, struct db *db, const char *sql, struct err *e)
{
	size_t i = (uintptr_t)sql * UINT64_C(0x9e3779b97f4a7c15) >> 54;
	struct db_stmt *s;
	unsigned tries = 0;

	*q = (struct q){.db = db};
	while (db->stmts[i].sql && db->stmts[i].sql != sql) {
		i = (i + 1) % STMTS_MAX;
		assert(++tries < STMTS_MAX);
	}
	s = &db->stmts[i];
	if (!s->sql) {
		if (sqlite3_prepare_v3(db->h, sql, -1, SQLITE_PREPARE_PERSISTENT, &s->s, NULL) != SQLITE_OK)
			return db_error(db, sql, e);
		s->sql = sql;
	}
	assert(!sqlite3_stmt_busy(s->s)); /* begun inside its own rows */
	q->s = s->s;
	return 0;
}

/* Out of memory ends the program as everywhere else; all other errors are bugs of ours. */
static void bound(int rc)
{
	if (rc == SQLITE_NOMEM)
		abort();
	assert(rc == SQLITE_OK);
}

void q_i64(struct q *q, int64_t v)
{
	bound(sqlite3_bind_int64(q->s, ++q->bound, v));
}

void q_u64(struct q *q, uint64_t v)
{
	assert(v <= INT64_MAX);
	q_i64(q, (int64_t)v);
}

void q_text(struct q *q, const char *s)
{
	bound(s ? sqlite3_bind_text(q->s, ++q->bound, s, -1, SQLITE_STATIC) : sqlite3_bind_null(q->s, ++q->bound));
}

void q_text_or_empty(struct q *q, const char *s)
{
	q_text(q, s ? s : "");
}

void q_str(struct q *q, struct str s)
{
	bound(sqlite3_bind_text64(q->s, ++q->bound, s.len ? s.ptr : "", s.len, SQLITE_STATIC, SQLITE_UTF8));
}

void q_blob(struct q *q, const void *p, size_t n)
{
	bound(sqlite3_bind_blob64(q->s, ++q->bound, n ? p : "", n, SQLITE_STATIC));
}

void q_end(struct q *q)
{
	if (!q->s)
		return;
	sqlite3_reset(q->s);
	sqlite3_clear_bindings(q->s);
	q->s = NULL;
}

int q_row(struct q *q, struct err *e)
{
	int rc = sqlite3_step(q->s);

	q->column = 0;
	if (rc == SQLITE_ROW)
		return 1;
	if (rc != SQLITE_DONE)
		db_error(q->db, sqlite3_sql(q->s), e);
	q_end(q);
	return rc == SQLITE_DONE ? 0 : -1;
}

int q_run(struct q *q, struct err *e)
{
	int rc;

	while ((rc = q_row(q, e)) == 1)
		;
	return rc;
}

int64_t q_get_i64(struct q *q)
{
	return sqlite3_column_int64(q->s, q->column++);
}

uint64_t q_get_u64(struct q *q)
{
	return (uint64_t)q_get_i64(q);
}

char *q_get_text(struct q *q)
{
	const char *s = (const char *)sqlite3_column_text(q->s, q->column);
	size_t n = (size_t)sqlite3_column_bytes(q->s, q->column++);

	return s ? xstrndup(s, n) : NULL;
}

void q_get_fixed(struct q *q, char *out, size_t size)
{
	str_copy(out, size, str_c((const char *)sqlite3_column_text(q->s, q->column++)));
}

void q_get_blob(struct q *q, void *out, size_t n)
{
	const void *p = sqlite3_column_blob(q->s, q->column);

	if (p && (size_t)sqlite3_column_bytes(q->s, q->column) == n)
		memcpy(out, p, n);
	else
		memset(out, 0, n);
	q->column++;
}

int q_value(struct q *q, int64_t *out, struct err *e)
{
	int rc = q_row(q, e);

	*out = rc == 1 ? q_get_i64(q) : 0;
	q_end(q);
	return rc < 0 ? -1 : 0;
}

uint64_t db_changes(struct db *db)
{
	return (uint64_t)sqlite3_changes64(db->h);
}

int64_t db_last_id(struct db *db)
{
	return sqlite3_last_insert_rowid(db->h);
}

void *db_grow(void *rows, size_t n, size_t size)
{
	/* doubles at each power of two */
	if ((n & (n - 1)) == 0)
		rows = xreallocarray(rows, n ? 2 * n : 1, size);
	memset((char *)rows + n * size, 0, size);
	return rows;
}
