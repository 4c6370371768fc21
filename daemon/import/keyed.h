/*
 * keyed.h - requests with an Idempotency-Key: how the queue names them, and the keys that are remembered. Threads: a request's own; the table is
 * guarded by import.lock.
 */
#ifndef STITCH_IMPORT_KEYED_H
#define STITCH_IMPORT_KEYED_H

#include "base.h"

struct import;
struct request;
struct keyed;
struct key_mark { bool set; unsigned char key[16], body[16]; }; /* hashes: of source and key, of the body */

struct keyed *keyed_new(void) MUST_CHECK; /* the table; freed by free() */
void keyed_name(struct request *r);	  /* the body is complete: request_id and mark say which body it is */
bool keyed_clashes(struct request *r);	  /* the key was accepted with another body: refused */
void keyed_remember(struct import *im, const struct key_mark *m); /* it was accepted; under lock */

#endif
