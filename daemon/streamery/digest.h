/*
 * digest.h - a running sha256. libcrypto's headers stay out of sight: they have an ERR_STATE of their own. Thread: its owner's.
 */
#ifndef STITCH_DIGEST_H
#define STITCH_DIGEST_H

#include "base.h"

struct digest;
struct digest *digest_new(void) MUST_CHECK;
void digest_add(struct digest *d, const void *p, size_t n);
void digest_end(struct digest *d, unsigned char out[32]); /* nothing is added after */
void digest_free(struct digest *d);

#endif
