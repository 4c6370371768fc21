/*
 * app.h - the running daemon: all parts, started right to left along the flow (what takes before what gives) and stopped left to right. Owned
 * by main, one thread.
 */
#ifndef STITCH_APP_H
#define STITCH_APP_H

#include "daemon/config.h"
#include "daemon/control/control.h"
#include "daemon/spool/hooks.h"

struct app {
	const struct config *config;
	char run_id[9];
	uint64_t reserve;
	struct seal *seal;
	struct state *state;
	struct queue *queue;
	struct store *store;
	struct store_stage *store_stage;
	struct streamery *streamery;
	struct mailbox *spool_mailbox;
	struct spool *spool;
	struct runner *runner;
	struct hooks *hooks;
	struct retention *retention;
	struct import *import;
	struct control *control;
	int64_t seen_at; /* app_tick: when the queue was looked at, and what it had stored */
	uint64_t seen_stored;
};

/* On failure everything that was started is stopped again. */
int app_start(struct app *a, const struct config *c, struct err *e) MUST_CHECK;
/* Drains: no new requests, what waits is answered, open batches are cut, running loads end; bounded by the deadline. */
void app_stop(struct app *a, int64_t deadline_mono);
/* Once a second from main: tells the door how long clients should wait. false: state.db is broken, start anew. */
bool app_tick(struct app *a);

#endif
