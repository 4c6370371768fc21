/*
 * uuid.c - SHA-256 over queue id, offset, partition and index (little endian), cut to 16 bytes. The algorithm is fetched once: asking for it at each row
 * would cost more than the hash. These bytes are in destinations: they may never change.
 */
#include "loaders/runtime/uuid.h"

#include <openssl/evp.h>

/* never made: a name for EVP_MD */
static EVP_MD *md(struct uuid *u)
{
	return (EVP_MD *)(void *)u;
}

struct uuid *uuid_new(void)
{
	EVP_MD *m = EVP_MD_fetch(NULL, "SHA256", NULL);

	if (!m)
		abort(); /* only for want of memory */
	return (struct uuid *)(void *)m;
}

void uuid_free(struct uuid *u)
{
	EVP_MD_free(md(u));
}

void uuid_of(struct uuid *u, const unsigned char queue_id[16], uint32_t partition, uint64_t offset, uint32_t index, char out[UUID_LEN + 1])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char in[32], h[EVP_MAX_MD_SIZE];
	char *p = out;

	memcpy(in, queue_id, 16);
	for (unsigned k = 0; k < 8; k++)
		in[16 + k] = (unsigned char)(offset >> (8 * k));
	for (unsigned k = 0; k < 4; k++) {
		in[24 + k] = (unsigned char)(partition >> (8 * k));
		in[28 + k] = (unsigned char)(index >> (8 * k));
	}
	if (!EVP_Digest(in, sizeof(in), h, NULL, md(u), NULL))
		abort();
	h[6] = (unsigned char)((h[6] & 0x0F) | 0x80);
	h[8] = (unsigned char)((h[8] & 0x3F) | 0x80);
	for (unsigned k = 0; k < 16; k++) {
		if (k == 4 || k == 6 || k == 8 || k == 10)
			*p++ = '-';
		*p++ = hex[h[k] >> 4];
		*p++ = hex[h[k] & 15];
	}
	*p = '\0';
}
