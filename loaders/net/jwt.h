/*
 * jwt.h - JSON Web Tokens signed with RS256, as Snowflake and Google want them from a program that has a private key. libcrypto stays out of sight. The claims,
 * and so the clock, are the caller's. A key may be used by one thread at a time.
 */
#ifndef STITCH_LOADER_JWT_H
#define STITCH_LOADER_JWT_H

#include "base.h"
#include "buf.h"
#include "err.h"
#include "str.h"

struct jwt_key;

/* An RSA key as PEM text (PKCS#8, or PKCS#1), not encrypted. NULL: ERR_CONFIG, the text says what is wrong and never holds a part of the key. */
struct jwt_key *jwt_key_read(struct str pem, struct err *e) MUST_CHECK;
void jwt_key_free(struct jwt_key *k); /* NULL is fine */
/* "SHA256:" and the base64 of the SHA-256 of the public key's DER: what Snowflake shows as RSA_PUBLIC_KEY_FP. Appended. */
void jwt_key_fingerprint(const struct jwt_key *k, struct buf *out);
/* The token for these claims (a JSON object), appended. kid: the key's id for the header, or NULL. */
int jwt_sign(const struct jwt_key *k, struct str claims, const char *kid, struct buf *out, struct err *e) MUST_CHECK;

/* Base64 of RFC 4648 without padding and with - and _ (section 5), appended. */
void base64url_encode(const void *p, size_t n, struct buf *out);

#endif
