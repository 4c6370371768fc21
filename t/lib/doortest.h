/*
 * doortest.h - a door over loopback for tests of one process: on a real state.db and a log that is stepped by a thread here, so that it can be held up. One at a
 * time; what fails to start ends the test.
 */
#ifndef STITCH_DOORTEST_H
#define STITCH_DOORTEST_H

#include "daemon/core/metrics.h"
#include "daemon/import/import.h"
#include "httptest.h"
#include "log.h"
#include "qtest.h"
#include "tap.h"
#include "xalloc.h"

#define BODY_MAX 65536u
#define BATCH "/v2/import/batch"
#define PUSH "/v2/import/push"
#define VALIDATE "/v2/import/validate"
#define ROW "{\"action\":\"upsert\",\"sequence\":1,\"data\":{\"id\":1}}"
#define GOOD "{\"table_name\":\"t\",\"schema\":{},\"key_names\":[\"id\"],\"messages\":[" ROW "]}"
#define ERROR_BODY(text) "{\"status\":\"ERROR\",\"message\":\"" text "\"}"

struct source {
	const char *name, *token;
	bool paused, deleted;
	int64_t id;
	const char *settings;
};

extern struct source sources[6];
extern struct queue *queue;
extern struct state *state;
extern struct import *door;
extern char *state_dir, *queue_dir;
extern unsigned port;
extern uint64_t reserve; /* of the next door */

void world_begin(const char *name); /* state.db with the sources */
void world_end(void);
void open_queue(size_t mailbox);
void hold_queue(void); /* from here on it takes nothing, until */
void release_queue(void);
void open_door(unsigned threads, unsigned connections, int64_t timeout);
void close_door(void); /* and the queue */
int pause_shop(struct db *db, void *arg, struct err *e);
void change(int (*fn)(struct db *db, void *arg, struct err *e), void *arg);
uint64_t stored(const char *table, uint64_t from); /* records in the queue of this table from that offset on */
bool wait_until(bool (*fn)(void));
bool answers(struct http *h, unsigned status, const char *body, const char *what);

#endif
