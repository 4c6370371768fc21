/*
 * store.c - what every store must do, run against dir: and mem:; then what only one of them can be asked. STORE_S3=BUCKET?QUERY: against that bucket, too (t/sh/t4010-store-s3.t).
 */
#include "tap.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/store/store_mem.h"
#include "daemon/store/store_stage.h"
#include "file.h"
#include "qtest.h"
#include "xalloc.h"

static const char *scheme;
static char *dir;

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	(void)st;
	(void)flag;
	(void)at;
	return remove(path);
}

static void remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct store *open_store(void)
{
	struct err e = ERR_INIT;
	const char *s3 = getenv("STORE_S3"), *query = s3 ? strchr(s3, '?') : NULL;
	/* a prefix of its own for each */
	char *url = strcmp(scheme, "s3") == 0 ? xasprintf("s3://%.*s/contract%s%s", query ? (int)(query - s3) : 0, s3, dir, query ? query : "") : xasprintf("%s:", scheme);
	struct store *s = store_open(url, dir, &e);

	if (!s)
		bail("%s", e.text);
	free(url);
	return s;
}

static bool holds(struct store *s, const char *name, const char *want)
{
	struct err e = ERR_INIT;
	char seen[200];
	uint64_t bytes = 0;
	size_t n = strlen(want);
	int fd = store_get(s, name, &e);
	bool same = fd >= 0 && n < sizeof(seen) && !file_read_all(fd, seen, n, 0, &e) && memcmp(seen, want, n) == 0 &&
		lseek(fd, 0, SEEK_CUR) == 0 && lseek(fd, 0, SEEK_END) == (off_t)n;

	if (fd >= 0)
		close(fd);
	return same && !store_stat(s, name, &bytes, &e) && bytes == n;
}

struct found {
	unsigned n;
	uint64_t bytes;
	char last[200];
};

static void count(const char *name, uint64_t bytes, void *arg)
{
	struct found *f = arg;

	f->n++;
	f->bytes += bytes;
	snprintf(f->last, sizeof(f->last), "%s", name);
}

static struct found list(struct store *s, const char *prefix)
{
	struct found f = {0};
	struct err e = ERR_INIT;

	if (store_list(s, prefix, count, &f, &e))
		diag("%s", e.text);
	return f;
}

static void test_objects(void)
{
	struct store *s = open_store();
	struct err e = ERR_INIT;
	uint64_t bytes;
	struct found f;

	is_int(-1, store_get(s, "1/a/x", &e), "%s: what is not there cannot be had", scheme);
	is_int(ERR_NOT_FOUND, e.code, "%s: and it says so", scheme);
	ok(store_stat(s, "1/a/x", &bytes, &e) && e.code == ERR_NOT_FOUND, "%s: nor looked at", scheme);
	ok(!store_delete(s, "1/a/x", &e), "%s: but deleted (%s)", scheme, e.text);
	ok(!store_put(s, "1/a/x", "hello", 5, &e), "%s: put (%s)", scheme, e.text);
	ok(holds(s, "1/a/x", "hello"), "%s: get and stat", scheme);
	ok(!store_put(s, "1/a/x", "hello", 5, &e) && holds(s, "1/a/x", "hello"), "%s: put again with the same bytes", scheme);
	ok(!store_put(s, "1/b%2Fc/0-1.jsonl.zst", "world!", 6, &e) && !store_put(s, "12/a/y", "", 0, &e), "%s: others", scheme);
	ok(holds(s, "12/a/y", ""), "%s: an empty one", scheme);
	f = list(s, "");
	ok(f.n == 3 && f.bytes == 11, "%s: a list of all: %u of %d bytes", scheme, f.n, (int)f.bytes);
	f = list(s, "1/");
	ok(f.n == 2, "%s: of one source: %u", scheme, f.n);
	f = list(s, "1/b");
	ok(f.n == 1 && strcmp(f.last, "1/b%2Fc/0-1.jsonl.zst") == 0, "%s: the beginning of a name: %s", scheme, f.last);
	is_int(0, list(s, "2").n, "%s: of a source that is not there", scheme);
	ok(!store_check(s, &e), "%s: check (%s)", scheme, e.text);
	is_int(3, list(s, "").n, "%s: leaves nothing behind", scheme);
	ok(!store_delete(s, "1/a/x", &e) && !holds(s, "1/a/x", "hello") && list(s, "").n == 2, "%s: delete", scheme);
	store_close(s);
}

static void test_names(void)
{
	static const char *const bad[] = {"", "/", "/x", "x/", "a//b", "..", "../x", "a/../b", ".", "a/.b", ".tmp-1", "a b", "a\nb", "a\\b", "\xc3\xa4"};
	struct store *s = open_store();
	char *longer = xmalloc(1102);

	memset(longer, 'a', 1101);
	longer[1101] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = ERR_INIT;

		ok(store_put(s, bad[i], "x", 1, &e) && e.code == ERR_INVALID, "%s: the name %zu is refused", scheme, i);
	}
	{
		struct err e = ERR_INIT;

		ok(store_put(s, longer, "x", 1, &e) && e.code == ERR_INVALID, "%s: a name of 1101 bytes is refused", scheme);
		ok(store_get(s, "../etc", &e) == -1 && store_delete(s, "../etc", &e) == -1, "%s: for reading and deleting too", scheme);
	}
	is_int(0, list(s, "").n, "%s: nothing was made", scheme);
	free(longer);
	store_close(s);
}

/* The stage: jobs in, answers out. */
static void test_stage(void)
{
	struct store *s = open_store();
	struct store_stage *st = store_stage_new(s);
	struct mailbox *mb = mailbox_new(10, SIZE_MAX);
	struct stage *stage = store_stage_stage(st);
	struct store_job *j;
	struct msg *m;

	for (unsigned i = 0; i < 3; i++) {
		j = xcalloc(1, sizeof(*j));
		j->op = i == 1 ? STORE_DELETE : STORE_PUT;
		j->name = xstrdup(i == 2 ? "not/../good" : "1/t/f");
		buf_adds(&j->data, "data");
		j->reply = mb;
		j->reply_kind = 70 + (int)i;
		is_int(0, store_stage_put(st, j), "%s: job %u", scheme, i);
	}
	stage->ops->step(stage->self, now_get());
	ok(holds(s, "1/t/f", "data"), "%s: one step does one job: the put", scheme);
	while (stage->ops->step(stage->self, now_get()) != NEVER)
		;
	ok(!holds(s, "1/t/f", "data"), "%s: then the delete", scheme);
	for (unsigned i = 0; i < 3; i++) {
		m = mailbox_take(mb, 1, SIZE_MAX);
		j = container_of(m, struct store_job, msg);
		ok(m->kind == 70 + (int)i && (j->err.code == ERR_NONE) == (i < 2), "%s: answer %u (%s)", scheme, i, j->err.text);
		store_job_free(j);
	}
	j = xcalloc(1, sizeof(*j));
	j->name = xstrdup("a");
	is_int(0, store_stage_put(st, j), "%s: a job that is never answered", scheme);
	store_stage_free(st);
	mailbox_free(mb);
	store_close(s);
}

static void test_mem_faults(void)
{
	struct err e = ERR_INIT;
	struct store *s = store_open("mem:", dir, &e);

	store_mem_fault(s, STORE_MEM_FAIL_NEXT);
	ok(store_put(s, "a", "12345678", 8, &e) && e.code == ERR_IO && store_mem_count(s) == 0, "mem: a put that failed left nothing");
	store_mem_fault(s, STORE_MEM_LOSE_ANSWER);
	ok(store_put(s, "a", "12345678", 8, &e) && holds(s, "a", "12345678"), "mem: a put whose answer was lost is there");
	store_mem_fault(s, STORE_MEM_TEAR_NEXT);
	ok(store_put(s, "b", "12345678", 8, &e) && holds(s, "b", "1234"), "mem: a torn put shows half");
	store_mem_crash(s);
	ok(store_mem_count(s) == 1 && holds(s, "a", "12345678"), "mem: until the crash");
	store_mem_fault(s, STORE_MEM_FAIL_ALL);
	ok(store_put(s, "c", "1", 1, &e) && store_put(s, "c", "1", 1, &e) && store_delete(s, "a", &e), "mem: a store that is down");
	store_mem_fault(s, 0);
	ok(!store_put(s, "c", "1", 1, &e), "mem: and comes back");
	store_close(s);
}

static void put_file(const char *path, int64_t age_seconds)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct timespec t[2] = {{.tv_sec = (time_t)(now_get().real / NSEC_PER_SEC - age_seconds)}};

	t[1] = t[0];
	if (fd < 0 || futimens(fd, t))
		bail("cannot make %s", path);
	close(fd);
}

static void test_dir_things(void)
{
	struct err e = ERR_INIT;
	char *url = xasprintf("dir:%s/elsewhere//", dir), *old = xasprintf("%s/elsewhere/7/.tmp-0123", dir),
	     *young = xasprintf("%s/elsewhere/7/.tmp-4567", dir), *folder = xasprintf("%s/elsewhere/7", dir), *link = xasprintf("%s/elsewhere/link", dir);
	struct store *s = store_open(url, dir, &e);

	ok(s && !store_put(s, "7/x", "x", 1, &e), "dir: PATH, made when absent (%s)", e.text);
	put_file(old, 3600);
	put_file(young, 0);
	is_int(1, list(s, "").n, "dir: temporary files are not listed");
	ok(access(old, F_OK) != 0, "dir: those of a run that died are unlinked");
	ok(access(young, F_OK) == 0, "dir: those of this one are not");
	unlink(young);
	ok(symlink("7/x", link) == 0 && store_get(s, "link", &e) == -1 && store_stat(s, "link", &(uint64_t){0}, &e) == -1, "dir: a link is no batch file");
	unlink(link);
	ok(!store_delete(s, "7/x", &e) && rmdir(folder) == 0, "dir: its folder can be removed by a person");
	ok(store_put(s, "7/y", "y", 1, &e) == -1 && !store_put(s, "7/y", "y", 1, &e), "dir: and is made again at the second try (%s)", e.text);
	ok(!store_delete(s, "7/y", &e) && rmdir(folder) == 0, "dir: cleaned up");
	store_close(s);
	free(url);
	url = xasprintf("dir:%s/elsewhere/file/sub", dir);
	s = store_open(url, dir, &e);
	ok(s != NULL, "dir: nested folders (%s)", e.text);
	store_close(s);
	ok(!store_open("ftp:x", dir, &e) && e.code == ERR_INVALID, "another scheme is refused: %s", e.text);
	ok(!store_open("plain", dir, &e), "as is no scheme");
	free(url);
	free(old);
	free(young);
	free(folder);
	free(link);
}

int main(void)
{
	static const char *const schemes[] = {"mem", "dir", "s3"};

	plan_lazy();
	for (size_t i = 0; i < ARRAY_LEN(schemes) - !getenv("STORE_S3"); i++) {
		scheme = schemes[i];
		dir = qtest_dir("store");
		test_names();
		test_objects();
		remove_tree(dir);
		free(dir);
		dir = qtest_dir("store");
		test_stage();
		remove_tree(dir);
		free(dir);
	}
	dir = qtest_dir("store");
	test_mem_faults();
	test_dir_things();
	remove_tree(dir);
	free(dir);
	return done_testing();
}
