/*
 * uuid.h - the id of a row that has no key: a UUID (version 8) computed from its place in the queue, so that the same record always has the same one.
 * libcrypto's headers stay out of sight: they have an ERR_STATE of their own. One thread.
 */
#ifndef STITCH_LOADER_UUID_H
#define STITCH_LOADER_UUID_H

#include "base.h"

#define UUID_LEN 36

struct uuid;
struct uuid *uuid_new(void) MUST_CHECK;
void uuid_of(struct uuid *u, const unsigned char queue_id[16], uint32_t partition, uint64_t offset, uint32_t index, char out[UUID_LEN + 1]);
void uuid_free(struct uuid *u);

#endif
