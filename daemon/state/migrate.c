/*
 * migrate.c - brings state.db to this program's schema: the files of migrations/, compiled in, each in a transaction of its own with
 * PRAGMA user_version. A file that is newer than the program is refused: an older program would read it wrongly and nobody could say how.
 */
#include "daemon/state/state_priv.h"

#include "daemon/state/migrations.inc" /* made by local.mk from the files of that folder: static const char *const migrations[] */

static int apply(struct db *db, size_t version, struct err *e)
{
	char pragma[64];

	snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %zu", version + 1);
	if (db_exec(db, "BEGIN IMMEDIATE", e) == 0 && db_exec(db, migrations[version], e) == 0 && db_exec(db, pragma, e) == 0 && db_exec(db, "COMMIT", e) == 0)
		return 0;
	if (!sqlite3_get_autocommit(db->h) && db_exec(db, "ROLLBACK", NULL))
		err_wrap(e, "and it cannot be rolled back");
	return err_wrap(e, "migration %zu", version + 1);
}

int state_migrate(struct db *db, struct err *e)
{
	struct q q;
	int64_t version;

	if (q_begin(&q, db, "PRAGMA user_version", e) || q_value(&q, &version, e))
		return -1;
	if (version < 0 || (uint64_t)version > ARRAY_LEN(migrations))
		return err_set(e, ERR_VERSION, "state.db has version %" PRId64 ", this program knows %zu: install the newer stitch that wrote it, or restore a backup", version,
			ARRAY_LEN(migrations));
	for (size_t v = (size_t)version; v < ARRAY_LEN(migrations); v++)
		if (apply(db, v, e))
			return -1;
	return 0;
}
