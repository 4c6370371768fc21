/*
 * qtest.c - see qtest.h. Bodies are made from a seed, so that what is read can be checked without keeping it.
 */
#include "qtest.h"

#include <dirent.h>
#include <unistd.h>

#include "frame.h"
#include "xalloc.h"

static void fill(char *p, size_t n, unsigned seed)
{
	uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

	for (size_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = (char)x;
	}
}

void qtest_record(struct buf *out, uint32_t source, const char *table, const char *request_id, size_t body, unsigned seed)
{
	char *p = xmalloc(body + 1);
	struct qrec r = {
		.source_id = source,
		.records = seed % 7 + 1,
		.lines = seed % 7 + 2,
		.codec = FRAME_ZSTD,
		.flags = QREC_KEYED,
		.parts = 1,
		.received_at = 1000 + seed,
		.table_version = -3,
		.shape_hash = seed,
		.keys_hash = ~(uint64_t)seed,
		.table = str_c(table),
		.request_id = str_c(request_id),
		.body = {p, body},
	};

	fill(p, body, seed);
	qrec_encode(&r, out);
	free(p);
}

bool qtest_body_is(const struct qrec *r, size_t body, unsigned seed)
{
	char *p = xmalloc(body + 1);
	bool same;

	fill(p, body, seed);
	same = r->body.len == body && memcmp(r->body.ptr, p, body) == 0 && r->shape_hash == seed && r->received_at == 1000 + seed;
	free(p);
	return same;
}

static void done(struct queue_put *p)
{
	struct qtest_put *t = p->arg;

	t->answered = true;
	t->err = p->err;
	t->offset = p->offset;
	buf_free(&p->bytes);
}

int qtest_put(struct queue *q, struct qtest_put *t, uint32_t source, const char *table, unsigned n, size_t body, unsigned seed)
{
	struct err e = ERR_INIT;
	int rc;

	*t = (struct qtest_put){.p = {.n = n, .done = done, .arg = t}};
	for (unsigned i = 0; i < n; i++)
		qtest_record(&t->p.bytes, source, table, "request", body, seed + i);
	rc = queue_put(q, &t->p, &e);
	if (rc) {
		t->err = e;
		buf_free(&t->p.bytes);
	}
	return rc;
}

enum err_code qtest_append(struct queue *q, uint32_t source, const char *table, unsigned n, size_t body, unsigned seed, uint64_t *offset)
{
	struct qtest_put t;

	if (qtest_put(q, &t, source, table, n, body, seed))
		return t.err.code;
	for (int i = 0; i < 100 && !t.answered; i++)
		queue_step(q, now_get());
	assert(t.answered);
	if (offset)
		*offset = t.offset;
	return t.err.code;
}

void qtest_drain(struct queue *q)
{
	while (queue_step(q, now_get()) != NEVER)
		;
}

char *qtest_dir(const char *name)
{
	const char *tmp = getenv("TMPDIR");
	char *dir = xasprintf("%s/stitch-%s-" "XX" "XX" "XX", tmp && *tmp ? tmp : "/tmp", name);

	if (!mkdtemp(dir))
		abort();
	return dir;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static unsigned list(const char *dir, const char *suffix, char ***out)
{
	DIR *d = opendir(dir);
	struct dirent *de;
	unsigned n = 0;

	*out = NULL;
	while (d && (de = readdir(d))) {
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0 || !str_ends(str_c(de->d_name), str_c(suffix)))
			continue;
		*out = xreallocarray(*out, n + 1, sizeof(char *));
		(*out)[n++] = xasprintf("%s/%s", dir, de->d_name);
	}
	if (d)
		closedir(d);
	if (n)
		qsort(*out, n, sizeof(char *), by_name);
	return n;
}

static void list_free(char **l, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		free(l[i]);
	free(l);
}

void qtest_remove(const char *dir)
{
	char **l;
	unsigned n = list(dir, "", &l);

	for (unsigned i = 0; i < n; i++)
		unlink(l[i]);
	list_free(l, n);
	rmdir(dir);
}

char *qtest_file(const char *dir, const char *suffix, unsigned n)
{
	char **l, *found = NULL;
	unsigned count = list(dir, suffix, &l);

	if (n < count)
		found = xstrdup(l[n]);
	list_free(l, count);
	return found;
}

unsigned qtest_count(const char *dir, const char *suffix)
{
	char **l;
	unsigned n = list(dir, suffix, &l);

	list_free(l, n);
	return n;
}
