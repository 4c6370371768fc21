/*
 * tls.h - the certificate of the process, read from PEM files and read again without a restart. libmicrohttpd's callback has no argument of ours, so there is one
 * for all doors of the process. tls_load and tls_free: main; tls_certificate: any http thread.
 */
#ifndef STITCH_IMPORT_TLS_H
#define STITCH_IMPORT_TLS_H

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

#include "base.h"
#include "err.h"

#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2" /* TLS 1.2 and later */

/* New handshakes get this one. -1: it cannot be used, and the one before stays. The key must belong to the certificate. */
int tls_load(const char *cert_file, const char *key_file, struct err *e) MUST_CHECK;
void tls_free(void); /* when no connection is left */
int tls_certificate(gnutls_session_t session, const gnutls_datum_t *ca, int n_ca, const gnutls_pk_algorithm_t *algos, int n_algos, gnutls_pcert_st **certs,
	unsigned *n_certs, gnutls_privkey_t *key);

#endif
