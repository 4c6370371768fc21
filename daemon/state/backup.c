/*
 * backup.c - a copy of state.db as of one commit, made while the daemon runs: VACUUM INTO through a connection of its own, into a temporary file that is
 * synced and then takes the place of an empty one, which was made first so that an earlier backup is never overwritten. What holds the copy up holds
 * up nobody else; -wal grows meanwhile.
 */
#include "daemon/state/state_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "daemon/core/now.h"
#include "file.h"
#include "xalloc.h"

static int copy_into(struct state *s, const char *path, struct err *e)
{
	struct db *db = state_reader(s, e);
	struct q q;
	int rc = -1;

	if (!db)
		return -1;
	if (q_begin(&q, db, "VACUUM INTO ?", e) == 0) {
		q_text(&q, path);
		rc = q_run(&q, e);
	}
	state_reader_close(db);
	return rc;
}

static int sync_file(const char *path, struct err *e)
{
	int fd = open(path, O_RDWR | O_CLOEXEC), rc;

	if (fd < 0)
		return err_errno(e, errno, "%s", path);
	rc = file_fsync(fd, e);
	if (close(fd) && !rc)
		rc = err_errno(e, errno, "%s", path);
	return rc;
}

int state_backup(struct state *s, const char *dir, struct err *e)
{
	uint64_t r;
	char *path = xasprintf("%s/state.db", dir), *tmp = NULL, *tmp_path = NULL;
	int fd = -1, rc = -1;

	random_bytes(&r, sizeof(r));
	tmp = xasprintf(".tmp-%016" PRIx64, r);
	tmp_path = xasprintf("%s/%s", dir, tmp);
	if (file_mkdirs(dir, 0750, e))
		goto out;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (fd < 0) {
		err_errno(e, errno, "backup: %s", path);
		goto out;
	}
	close(fd);
	/* made here for its mode */
	fd = open(tmp_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (fd < 0)
		err_errno(e, errno, "%s", tmp_path);
	else if (close(fd) == 0 && !copy_into(s, tmp_path, e) && !sync_file(tmp_path, e))
		rc = file_rename(dir, tmp, "state.db", e);
	if (rc) {
		unlink(tmp_path);
		unlink(path);
		err_wrap(e, "backup");
	}
out:
	free(path);
	free(tmp);
	free(tmp_path);
	return rc;
}
