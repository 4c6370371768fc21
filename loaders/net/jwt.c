/*
 * jwt.c - header.claims.signature, each in base64url; the signature is RSASSA-PKCS1-v1_5 with SHA-256 over the first two and their dot (RFC 7515, RFC 7518
 * section 3.3).
 *
 * What can go wrong: what a person pasted is no key, a public one, encrypted, or of another kind than RSA; each has its own text. A passphrase is never asked
 * for: nobody sits at a loader's terminal. A key whose line ends were lost on its way (\n as two characters, or blanks) is put right, because that is what
 * most often happens to one.
 */
#include "loaders/net/jwt.h"

/* OpenSSL has a type with the name of one of our error codes */
#define ERR_STATE OPENSSL_ERR_STATE
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#undef ERR_STATE

#include "jwrite.h"
#include "xalloc.h"

struct jwt_key { EVP_PKEY *pkey; };

static const char begin_mark[] = "-----BEGIN ", end_mark[] = "-----END ", dashes[] = "-----";

/* --- reading a key --- */

static const char *find(const char *from, const char *end, const char *what)
{
	return from ? memmem(from, (size_t)(end - from), what, strlen(what)) : NULL;
}

/* The PEM text with the line ends that it should have: marker, base64 in lines of 64, marker. false: it has no markers. */
static bool tidy(struct str pem, struct buf *out)
{
	const char *end = pem.ptr + pem.len;
	const char *first = find(pem.ptr, end, begin_mark);
	const char *label = first ? first + strlen(begin_mark) : NULL;
	const char *body = find(label, end, dashes), *last = find(body, end, end_mark);
	size_t col = 0;

	if (!last)
		return false;
	buf_addf(out, "%s%.*s%s\n", begin_mark, (int)(body - label), label, dashes);
	for (const char *p = body + strlen(dashes); p < last; p++) {
		if (p[0] == '\\' && p + 1 < last && (p[1] == 'n' || p[1] == 'r')) {
			p++;
			continue;
		}
		if (strchr(" \t\r\n", *p))
			continue;
		buf_addc(out, *p);
		if (++col % 64 == 0)
			buf_addc(out, '\n');
	}
	if (col % 64)
		buf_addc(out, '\n');
	buf_addf(out, "%s%.*s%s\n", end_mark, (int)(body - label), label, dashes);
	return true;
}

static int no_passphrase(char *text, int size, int writing, void *arg)
{
	(void)text;
	(void)size;
	(void)writing;
	(void)arg;
	return 0;
}

static EVP_PKEY *parse(struct str pem)
{
	BIO *in = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	EVP_PKEY *pkey = in ? PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL) : NULL;

	BIO_free(in);
	return pkey;
}

struct jwt_key *jwt_key_read(struct str pem, struct err *e)
{
	struct buf text = BUF_INIT;
	struct jwt_key *k = NULL;
	EVP_PKEY *pkey = NULL;

	if (pem.len > 65536 || !pem.ptr || !tidy(pem, &text))
		err_set(e, ERR_CONFIG, "the private key is no PEM text: it must begin with -----BEGIN PRIVATE KEY-----");
	else if (strstr(text.data, "ENCRYPTED"))
		err_set(e, ERR_CONFIG, "the private key is encrypted with a passphrase; give it without one (openssl pkcs8 -in FILE -topk8 -nocrypt)");
	else if (strstr(text.data, "PUBLIC KEY-"))
		err_set(e, ERR_CONFIG, "this is the public key; the private one is wanted");
	else if (!(pkey = parse(buf_str(&text))))
		err_set(e, ERR_CONFIG, "the private key cannot be read: it is damaged or not complete");
	else if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_RSA)
		err_set(e, ERR_CONFIG, "the private key is not an RSA key");
	else if (EVP_PKEY_get_bits(pkey) < 2048)
		err_set(e, ERR_CONFIG, "the private key has %d bits; at least 2048 are wanted", EVP_PKEY_get_bits(pkey));
	else
		k = xcalloc(1, sizeof(*k));
	if (k)
		k->pkey = pkey;
	else
		EVP_PKEY_free(pkey);
	if (text.data)
		OPENSSL_cleanse(text.data, text.cap);
	buf_free(&text);
	return k;
}

void jwt_key_free(struct jwt_key *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->pkey);
	free(k);
}

void jwt_key_fingerprint(const struct jwt_key *k, struct buf *out)
{
	unsigned char *der = NULL, h[EVP_MAX_MD_SIZE], text[64];
	int n = i2d_PUBKEY(k->pkey, &der);

	if (n <= 0 || !EVP_Digest(der, (size_t)n, h, NULL, EVP_sha256(), NULL))
		abort(); /* only for want of memory */
	EVP_EncodeBlock(text, h, 32);
	buf_addf(out, "SHA256:%s", (const char *)text);
	OPENSSL_free(der);
}

/* --- a token --- */

void base64url_encode(const void *p, size_t n, struct buf *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const unsigned char *in = p;

	buf_reserve(out, n / 3 * 4 + 4);
	for (size_t k = 0; k < n; k += 3) {
		uint32_t v = (uint32_t)in[k] << 16 | (k + 1 < n ? (uint32_t)in[k + 1] << 8 : 0) | (k + 2 < n ? in[k + 2] : 0);
		size_t chars = MIN(n - k, (size_t)3) + 1;

		for (size_t c = 0; c < chars; c++)
			buf_addc(out, digits[v >> (18 - 6 * c) & 63]);
	}
}

int jwt_sign(const struct jwt_key *k, struct str claims, const char *kid, struct buf *out, struct err *e)
{
	struct buf head = BUF_INIT;
	struct jwrite w;
	size_t from = out->len, n = 0;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char *sig = NULL;
	int rc = -1;

	jwrite_init(&w, &head);
	jwrite_object(&w);
	jwrite_kv_string(&w, "alg", "RS256");
	jwrite_kv_string(&w, "typ", "JWT");
	if (kid)
		jwrite_kv_string(&w, "kid", kid);
	jwrite_object_end(&w);
	base64url_encode(head.data, head.len, out);
	buf_addc(out, '.');
	base64url_encode(claims.ptr, claims.len, out);
	if (ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, k->pkey) == 1 &&
		EVP_DigestSign(ctx, NULL, &n, (const unsigned char *)out->data + from, out->len - from) == 1) {
		sig = xmalloc(n);
		if (EVP_DigestSign(ctx, sig, &n, (const unsigned char *)out->data + from, out->len - from) == 1)
			rc = 0;
	}
	if (rc) {
		buf_truncate(out, from);
		err_set(e, ERR_CONFIG, "the private key cannot sign (RS256)");
	} else {
		buf_addc(out, '.');
		base64url_encode(sig, n, out);
	}
	free(sig);
	EVP_MD_CTX_free(ctx);
	buf_free(&head);
	return rc;
}
