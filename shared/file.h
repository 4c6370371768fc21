/*
 * file.h - files that must survive: the only rename in the tree, and what goes with it. Blocking; not for an event loop's hot
 * path. Failed syncs of any file are counted (file_sync_failures): the kernel tells a failed flush to one caller only, so the log
 * compares the counter before and after (architecture.md, section 4, rule 1).
 */
#ifndef STITCH_FILE_H
#define STITCH_FILE_H

#include "base.h"
#include "buf.h"
#include "err.h"

/* Whole file into b (appended); -1 over max bytes or on error. */
int file_read(const char *path, size_t max, struct buf *b, struct err *e) MUST_CHECK;
/* Write DIR/.tmp-NAME-RANDOM, fsync, rename to DIR/NAME, fsync DIR. After 0 the file is durable, whole and has that name; after -1
 * either the old or the new one is there, never a part. Mode 0640 & ~umask. */
int file_commit(const char *dir, const char *name, const void *data, size_t len, struct err *e) MUST_CHECK;
/* A file without a name in dir, for reading and writing; gone when it is closed. */
int file_temp(const char *dir, struct err *e) MUST_CHECK;
int file_temp_any(struct err *e) MUST_CHECK; /* the same in /var/tmp, or in /tmp where that cannot be: for what may be large */
/* Rename within dir and sync the folder. */
int file_rename(const char *dir, const char *from, const char *to, struct err *e) MUST_CHECK;
int file_mkdirs(const char *path, unsigned mode, struct err *e) MUST_CHECK; /* like mkdir -p; syncs each parent made in */
int file_sync_dir(const char *path, struct err *e) MUST_CHECK;
int file_fdatasync(int fd, struct err *e) MUST_CHECK; /* every sync in the tree goes through these two: counted */
int file_fsync(int fd, struct err *e) MUST_CHECK;
uint64_t file_sync_failures(void);
/* The same after waiting for the syncs that other threads have under way: one of them may have been told of a failed flush that took our bytes with it,
 * and its thread not yet have counted it. */
uint64_t file_sync_failures_settled(void);
void file_sync_failed(void); /* for libraries that sync by themselves (SQLite) */
/* Around a library's call that syncs (a COMMIT): its failure, if any, is told by file_sync_failed() in between. */
void file_sync_begin(void);
void file_sync_end(void);
int file_write_all(int fd, const void *p, size_t n, int64_t offset, struct err *e) MUST_CHECK; /* offset < 0: write at the position */
int file_read_all(int fd, void *p, size_t n, int64_t offset, struct err *e) MUST_CHECK;	       /* short file: -1, ERR_CORRUPT */
/* An exclusive lock on DIR/NAME, held until the descriptor is closed; -1 with ERR_STATE and the holder's pid when it is taken. */
int file_lock(const char *dir, const char *name, struct err *e) MUST_CHECK;
/* Free and total bytes of the file system that holds path. */
int file_disk_free(const char *path, uint64_t *bytes_free, uint64_t *bytes_total, struct err *e) MUST_CHECK;
/* The path lies on a file system that has no disk (tmpfs). */
bool file_in_memory(const char *path);
/* Drop the page cache of the file and prove it (mincore); for cold starts. 0 when no page is left, or when the file system has no disk. */
int file_go_cold(int fd, struct err *e) MUST_CHECK;

#endif
