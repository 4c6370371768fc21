/*
 * dtest.h - what the tests of state.db's data share: a state in memory with sources and destinations, cuts in short words, heads. One thread; what fails where
 * nothing may fail ends the test.
 */
#ifndef STITCH_DTEST_H
#define STITCH_DTEST_H

#include "daemon/state/state_priv.h"

extern struct db *db; /* of the state that is open */
extern unsigned char dtest_queue[16];

#define MUST(call) dtest_must((call), #call, &err)
extern struct err err;
void dtest_must(int rc, const char *what, struct err *e);

void dtest_open(void);
struct state *dtest_state(void); /* its stage is stepped by the test, or by state_call */
void dtest_close(void);
int64_t dtest_source(const char *name);
int64_t dtest_destination(const char *name);
uint64_t dtest_connect(int64_t source, int64_t destination, int64_t from_ns, int64_t now);
void dtest_disconnect(int64_t source, int64_t destination);
int64_t dtest_sql(const char *fmt, ...) PRINTF(1, 2); /* one number */
/* A head line as the door writes it; schema and types as JSON. */
void dtest_head(struct buf *out, const char *keys, const char *schema, const char *types);

/* A cut of offsets first..last with so many records; position: where it stands afterwards. Path and times follow from what is given. */
struct dtest_cut {
	int64_t source;
	const char *table, *head; /* NULL: no keys, an integer "n" */
	uint64_t first, last, records, position;
	int64_t at;
	const struct cut_request *requests;
	size_t n_requests;
	const struct repeat_passed *repeats;
	size_t n_repeats;
};
int dtest_try_cut(const struct dtest_cut *in, struct cut *out, struct err *e);
struct cut dtest_cut(const struct dtest_cut *in);
/* The tally of a table and destination; all zero when there is none. */
struct tally_row dtest_tally(int64_t table_id, int64_t destination_id);
/* A load of the table, done with so many rejected records of its first batch. Returns the number of its batches. */
size_t dtest_load(int64_t destination, int64_t table, uint64_t rejected, int64_t now);

#endif
