/*
 * digest.c - sha256 by libcrypto, which picks the processor's own instructions. It can fail only for want of memory, and then there is no
 * sensible way on, as in xalloc.
 */
#include "daemon/streamery/digest.h"

#include <openssl/evp.h>

/* never made: a name for EVP_MD_CTX that needs no header of libcrypto */
static EVP_MD_CTX *ctx(struct digest *d)
{
	return (EVP_MD_CTX *)(void *)d;
}

struct digest *digest_new(void)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();

	if (!c || EVP_DigestInit_ex(c, EVP_sha256(), NULL) != 1)
		abort();
	return (struct digest *)(void *)c;
}

void digest_add(struct digest *d, const void *p, size_t n)
{
	if (n && EVP_DigestUpdate(ctx(d), p, n) != 1)
		abort();
}

void digest_end(struct digest *d, unsigned char out[32])
{
	unsigned len = 32;

	if (EVP_DigestFinal_ex(ctx(d), out, &len) != 1)
		abort();
}

void digest_free(struct digest *d)
{
	EVP_MD_CTX_free(ctx(d));
}
