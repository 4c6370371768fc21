/*
 * keyed.h - requests with an Idempotency-Key: how the queue names them, what is remembered of those that were stored, and who waits for one that is under
 * way. Threads: a request's own; what is shared is guarded by import.lock.
 */
#ifndef STITCH_IMPORT_KEYED_H
#define STITCH_IMPORT_KEYED_H

#include "base.h"

struct import;
struct job;
struct keyed;
struct request;
struct request_list;
struct decoder;
struct key_mark { bool set; unsigned char key[16], body[8]; }; /* hashes: of source and key, of the body */
enum key_verdict {
	KEY_GO,	  /* it is the first: the job holds the key until keyed_end */
	KEY_TOLD, /* stored before, or refused: the answer is there */
	KEY_WAITS, /* suspended until the first one has its answer, then the body's end comes again */
};

struct keyed *keyed_new(void) MUST_CHECK;
void keyed_free(struct keyed *k);
void keyed_recall(struct import *im); /* before the door opens: the newest of the queue, and the time of the last receipt */
/* The body is complete; the queue's name of the request is made. asleep: it is suspended already. */
enum key_verdict keyed_check(struct request *r, struct job *j, struct decoder *d, bool asleep);
void keyed_end(struct import *im, struct job *j, bool stored, struct request_list *woken); /* under lock; those who waited, off their list */
void keyed_wake(struct request_list *woken); /* without lock */
/* The one that waits and is past its time, off the list; NULL. Under lock. */
struct request *keyed_expired(struct import *im, int64_t now, bool all);
bool keyed_waiting(struct import *im); /* under lock */

#endif
