/*
 * signature.h - is a body signed with one of these secrets (HMAC)? The header may have "sha256=" or "sha1=" before the signature, which is hex or base64; or it
 * is "t=SECONDS,v1=SIGNATURE[,v1=...]", over SECONDS, a point and the body, and not older than five minutes (nor so far ahead), so that what was once seen
 * cannot be sent again later. An empty secret signs nothing. Compared in constant time. Pure; any thread.
 */
#ifndef STITCH_IMPORT_SIGNATURE_H
#define STITCH_IMPORT_SIGNATURE_H

#include "base.h"
#include "buf.h"
#include "str.h"

#define SIGNATURE_AGE 300 /* s */
/* now: s since 1970 */
bool signature_good(bool sha1, const struct buf *secrets, size_t n_secrets, struct str header, struct str body, int64_t now);

#endif
