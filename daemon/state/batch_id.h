/*
 * batch_id.h - a batch's id: the first 16 bytes of the sha256 of what makes it what it is, as 32 hex digits. By itself, because the headers of libcrypto and err.h
 * have a name in common. Pure; any thread.
 */
#ifndef STITCH_BATCH_ID_H
#define STITCH_BATCH_ID_H

#include "base.h"

/* false: libcrypto refuses. */
bool batch_id_of(const void *text, size_t n, char out[33]) MUST_CHECK;

#endif
