/*
 * batch_id.c - see batch_id.h. What goes in is put together by cut.c: numbers of fixed width first, the table's name last, so that no two batches
 * give the same text.
 */
#include "daemon/state/batch_id.h"

#include <openssl/evp.h>

bool batch_id_of(const void *text, size_t n, char out[33])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (!EVP_Digest(text, n, digest, NULL, EVP_sha256(), NULL))
		return false;
	for (size_t i = 0; i < 16; i++) {
		out[2 * i] = digits[digest[i] >> 4];
		out[2 * i + 1] = digits[digest[i] & 15];
	}
	out[32] = '\0';
	return true;
}
