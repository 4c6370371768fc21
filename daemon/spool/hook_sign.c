/*
 * hook_sign.c - see hook_sign.h. What can go wrong: libcrypto without SHA-256 (a FIPS setting of the machine), which is told, not guessed around.
 */
#include "daemon/spool/hook_sign.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

bool hook_sign(struct str secret, struct str body, unsigned char mac[32])
{
	unsigned n = 0;

	return HMAC(EVP_sha256(), secret.ptr, (int)secret.len, (const unsigned char *)body.ptr, body.len, mac, &n) && n == 32;
}
