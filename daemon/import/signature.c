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

#define SECRETS_MAX 2u

struct macs { /* of one text, with each of the secrets: computed once, however many signatures a header has */
	unsigned char mac[SECRETS_MAX][EVP_MAX_MD_SIZE];
	size_t n, len;
};

static void make(struct macs *m, bool sha1, const struct buf *secrets, size_t n_secrets, struct str text)
{
	m->n = 0;
	m->len = sha1 ? 20 : 32;
	for (size_t i = 0; i < n_secrets && i < SECRETS_MAX; i++) {
		const struct buf *s = &secrets[i];

		if (s->len && HMAC(sha1 ? EVP_sha1() : EVP_sha256(), s->data, (int)s->len, (const unsigned char *)text.ptr, text.len, m->mac[m->n], NULL))
			m->n++;
	}
}

static bool is_one(const struct macs *m, const unsigned char told[32])
{
	bool good = false;

	for (size_t i = 0; i < m->n; i++)
		good |= CRYPTO_memcmp(told, m->mac[i], m->len) == 0;
	return good;
}

static bool read_mac(struct str text, unsigned char out[32], size_t len)
{
	return from_hex(text, out, len) || from_base64(text, out, len);
}

/* What stands before the next comma; *rest: what comes after it. */
static struct str cut_member(struct str *rest)
{
	const char *comma = memchr(rest->ptr, ',', rest->len);
	size_t n = comma ? (size_t)(comma - rest->ptr) : rest->len;
	struct str member = str_trim(str_mem(rest->ptr, n));

	*rest = str_mem(rest->ptr + n + (comma != NULL), rest->len - n - (comma != NULL));
	return member;
}

/* t=SECONDS,v1=HEX[,v1=HEX]...: over SECONDS, a point and the body. Other members are not looked at. */
static bool timed(bool sha1, const struct buf *secrets, size_t n_secrets, struct str header, struct str body, int64_t now)
{
	struct str time = cut_member(&header), member;
	struct buf text = BUF_INIT;
	unsigned char told[32];
	struct macs m;
	bool good = false;
	int64_t at;

	time = str_mem(time.ptr + 2, time.len - 2);
	if (str_to_i64(time, &at) || at < now - SIGNATURE_AGE || at > now + SIGNATURE_AGE)
		return false;
	buf_addstr(&text, time);
	buf_addc(&text, '.');
	buf_addstr(&text, body);
	make(&m, sha1, secrets, n_secrets, buf_str(&text));
	while (header.len) {
		member = cut_member(&header);
		if (str_starts(member, STR("v1=")) && read_mac(str_mem(member.ptr + 3, member.len - 3), told, m.len))
			good |= is_one(&m, told);
	}
	buf_free(&text);
	return good;
}

bool signature_good(bool sha1, const struct buf *secrets, size_t n_secrets, struct str header, struct str body, int64_t now)
{
	struct str prefix = sha1 ? STR("sha1=") : STR("sha256=");
	unsigned char told[32];
	struct macs m;

	if (str_starts(header, STR("t=")))
		return timed(sha1, secrets, n_secrets, header, body, now);
	if (str_starts(header, prefix))
		header = str_mem(header.ptr + prefix.len, header.len - prefix.len);
	if (!read_mac(header, told, sha1 ? 20 : 32))
		return false;
	make(&m, sha1, secrets, n_secrets, body);
	return is_one(&m, told);
}
