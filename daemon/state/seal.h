/*
 * seal.h - secrets at rest: AES-256-GCM with a key file (STATE_DIR/secret.key, 0600, made at first start; or $CREDENTIALS_DIRECTORY/stitch.key).
 * A sealed value is the text "sealed:" + base64(nonce, ciphertext, tag). Also token hashing and base64url. Any thread after seal_open.
 */
#ifndef STITCH_SEAL_H
#define STITCH_SEAL_H

#include "base.h"
#include "buf.h"
#include "err.h"

struct seal;
struct seal *seal_open(const char *state_dir, struct err *e) MUST_CHECK;
void seal_close(struct seal *s);
void seal_put(const struct seal *s, struct str plain, struct buf *out);
int seal_get(const struct seal *s, struct str sealed, struct buf *out, struct err *e) MUST_CHECK; /* text without the prefix is given back as it is */
void seal_hash_token(struct str token, unsigned char out[32]); /* sha256 */
void seal_new_token(char out[48]);			       /* "at_" + 40 hex digits of randomness */

#endif
