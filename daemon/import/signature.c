/*
 * signature.c - HMAC over a body, as senders of webhooks sign them. In a file of its own: libcrypto's headers and ours have a name in common. What can go
 * wrong: nothing that is not "no": a header of another length or alphabet is no signature.
 */
#include "daemon/import/signature.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool from_hex(struct str text, unsigned char *out, size_t n)
{
	if (text.len != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int hi = digit(text.ptr[2 * i]), lo = digit(text.ptr[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		out[i] = (unsigned char)(hi << 4 | lo);
	}
	return true;
}

static bool from_base64(struct str text, unsigned char *out, size_t n)
{
	unsigned char bytes[64];

	if (text.len != (n + 2) / 3 * 4 || EVP_DecodeBlock(bytes, (const unsigned char *)text.ptr, (int)text.len) < (int)n)
		return false;
	memcpy(out, bytes, n);
	return true;
}

bool signature_good(bool sha1, const struct buf *secrets, size_t n_secrets, struct str header, struct str body)
{
	struct str prefix = sha1 ? STR("sha1=") : STR("sha256=");
	size_t n = sha1 ? 20 : 32;
	unsigned char told[32], ours[EVP_MAX_MD_SIZE];
	bool good = false;

	if (str_starts(header, prefix))
		header = str_mem(header.ptr + prefix.len, header.len - prefix.len);
	if (!from_hex(header, told, n) && !from_base64(header, told, n))
		return false;
	for (size_t i = 0; i < n_secrets; i++) {
		const struct buf *s = &secrets[i];

		if (s->len && HMAC(sha1 ? EVP_sha1() : EVP_sha256(), s->data, (int)s->len, (const unsigned char *)body.ptr, body.len, ours, NULL))
			good |= CRYPTO_memcmp(told, ours, n) == 0;
	}
	return good;
}
