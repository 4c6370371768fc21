/*
 * hook_sign.h - HMAC-SHA256 of a hook's body. In a file of its own, as import/signature.h: libcrypto's headers and ours have a name in common. Pure.
 */
#ifndef STITCH_HOOK_SIGN_H
#define STITCH_HOOK_SIGN_H

#include "base.h"
#include "str.h"

bool hook_sign(struct str secret, struct str body, unsigned char mac[32]) MUST_CHECK;

#endif
