/*
 * qtest.h - what the tests of the queue share: making records, putting them and waiting for the answer, scratch folders.
 */
#ifndef STITCH_QTEST_H
#define STITCH_QTEST_H

#include "daemon/queue/queue.h"

/* A request of n records for a table; the body of each is `body` bytes made from seed. */
struct qtest_put {
	struct queue_put p;
	bool answered;
	struct err err;
	uint64_t offset;
};

void qtest_record(struct buf *out, uint32_t source, const char *table, const char *request_id, size_t body, unsigned seed);
/* The body that qtest_record makes. */
bool qtest_body_is(const struct qrec *r, size_t body, unsigned seed);
/* Put; the answer comes with a later queue_step. -1: refused at once. */
int qtest_put(struct queue *q, struct qtest_put *t, uint32_t source, const char *table, unsigned n, size_t body, unsigned seed);
/* Put, step until answered. The code of the answer. */
enum err_code qtest_append(struct queue *q, uint32_t source, const char *table, unsigned n, size_t body, unsigned seed, uint64_t *offset);
void qtest_drain(struct queue *q); /* step until nothing waits */

char *qtest_dir(const char *name); /* a new, empty folder; its path is the caller's */
void qtest_remove(const char *dir); /* files in it and itself */
/* The n-th (from 0, by name) file of dir whose name ends with suffix, as a path, or NULL. */
char *qtest_file(const char *dir, const char *suffix, unsigned n);
unsigned qtest_count(const char *dir, const char *suffix);

#endif
