/*
 * tls.c - certificates for libmicrohttpd (GnuTLS). A handshake takes what is current; it may go on using it while a newer one is loaded, and nobody tells when
 * it has ended, so older ones are kept until the door is gone: a few KB for each reload. What can go wrong: a key that does not belong to its certificate
 * (half of a renewal was written): that is found by signing with one and verifying with the other, before anybody is served with it.
 */
#include "daemon/import/tls.h"

#include <pthread.h>

#include "file.h"
#include "xalloc.h"

#define CHAIN_MAX 16u
#define FILE_MAX (1u << 20)

struct credentials {
	struct credentials *older;
	gnutls_pcert_st certs[CHAIN_MAX];
	unsigned n;
	gnutls_privkey_t key;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct credentials *newest; /* under lock */

static void free_one(struct credentials *c)
{
	for (unsigned i = 0; i < c->n; i++)
		gnutls_pcert_deinit(&c->certs[i]);
	if (c->key)
		gnutls_privkey_deinit(c->key);
	free(c);
}

static gnutls_datum_t datum(const struct buf *b)
{
	return (gnutls_datum_t){(unsigned char *)b->data, (unsigned)b->len};
}

static int check_pair(const struct credentials *c)
{
	static unsigned char text[] = "stitch";
	gnutls_datum_t data = {text, sizeof(text)}, signature = {NULL, 0};
	gnutls_pubkey_t pub = c->certs[0].pubkey;
	gnutls_digest_algorithm_t hash = GNUTLS_DIG_SHA256;
	int pk = gnutls_pubkey_get_pk_algorithm(pub, NULL), rc;

	if (pk != gnutls_privkey_get_pk_algorithm(c->key, NULL))
		return GNUTLS_E_CERTIFICATE_KEY_MISMATCH;
	rc = gnutls_pubkey_get_preferred_hash_algorithm(pub, &hash, NULL);
	if (rc >= 0)
		rc = gnutls_privkey_sign_data(c->key, hash, 0, &data, &signature);
	if (rc >= 0 && gnutls_pubkey_verify_data2(pub, gnutls_pk_to_sign((gnutls_pk_algorithm_t)pk, hash), 0, &data, &signature) < 0)
		rc = GNUTLS_E_CERTIFICATE_KEY_MISMATCH;
	gnutls_free(signature.data);
	return rc;
}

static int read_pair(struct credentials *c, const char *cert_file, const char *key_file, struct err *e)
{
	struct buf cert = BUF_INIT, key = BUF_INIT;
	unsigned n = CHAIN_MAX;
	gnutls_datum_t d;
	int rc, result = -1;

	if (file_read(cert_file, FILE_MAX, &cert, e) || file_read(key_file, FILE_MAX, &key, e))
		goto out;
	d = datum(&cert);
	rc = gnutls_pcert_list_import_x509_raw(c->certs, &n, &d, GNUTLS_X509_FMT_PEM, 0);
	if (rc < 0 || !n) {
		err_set(e, ERR_CONFIG, "%s holds no certificate in PEM (%s)", cert_file, gnutls_strerror(rc));
		goto out;
	}
	c->n = n;
	d = datum(&key);
	rc = gnutls_privkey_init(&c->key);
	if (rc >= 0)
		rc = gnutls_privkey_import_x509_raw(c->key, &d, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (rc < 0) {
		err_set(e, ERR_CONFIG, "%s holds no private key in PEM, or one with a password (%s)", key_file, gnutls_strerror(rc));
		goto out;
	}
	rc = check_pair(c);
	result = rc < 0 ? err_set(e, ERR_CONFIG, "the key in %s does not belong to the certificate in %s (%s)", key_file, cert_file, gnutls_strerror(rc)) : 0;
out:
	if (key.data)
		explicit_bzero(key.data, key.cap);
	buf_free(&key);
	buf_free(&cert);
	return result;
}

int tls_load(const char *cert_file, const char *key_file, struct err *e)
{
	struct credentials *c = xcalloc(1, sizeof(*c));

	if (read_pair(c, cert_file, key_file, e)) {
		free_one(c);
		return -1;
	}
	pthread_mutex_lock(&lock);
	c->older = newest;
	newest = c;
	pthread_mutex_unlock(&lock);
	return 0;
}

void tls_free(void)
{
	struct credentials *c;

	pthread_mutex_lock(&lock);
	while ((c = newest)) {
		newest = c->older;
		free_one(c);
	}
	pthread_mutex_unlock(&lock);
}

int tls_certificate(gnutls_session_t session, const gnutls_datum_t *ca, int n_ca, const gnutls_pk_algorithm_t *algos, int n_algos, gnutls_pcert_st **certs,
	unsigned *n_certs, gnutls_privkey_t *key)
{
	struct credentials *c;

	(void)session;
	(void)ca;
	(void)n_ca;
	(void)algos;
	(void)n_algos;
	pthread_mutex_lock(&lock);
	c = newest;
	pthread_mutex_unlock(&lock);
	if (!c)
		return -1;
	*certs = c->certs;
	*n_certs = c->n;
	*key = c->key;
	return 0;
}
