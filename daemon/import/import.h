/*
 * import.h - the door: the Import API on libmicrohttpd (../../shared/design/import-api.md). Own acceptor thread, N http threads (door-spike.md), admission by
 * bytes, one queue put per request, 2xx only after its done. Threads: start and stop by main.
 */
#ifndef STITCH_IMPORT_H
#define STITCH_IMPORT_H

#include "daemon/queue/queue.h"
#include "daemon/state/state.h"

struct seal;
struct import_config {
	const char *listen;	  /* "127.0.0.1:8080", "[::1]:0", "*:8080" */
	const char *listen_tls;	  /* NULL: no TLS; else cert and key are PEM files */
	const char *tls_cert, *tls_key;
	const char *port_file;	  /* STATE_DIR/http.port is written with the port that was taken */
	unsigned threads;	  /* 0: cores */
	unsigned connections_max; /* 1000 */
	unsigned connections_per_address; /* 0: no limit */
	uint64_t body_max;	  /* 20 MiB */
	uint64_t bodies_max;	  /* all bodies in memory together, until the queue has them: 64 MiB; what no longer fits is suspended, then 503 */
	int64_t request_timeout;  /* 60 s */
	uint64_t reserve_bytes;	  /* free disk below this: 503 */
	const char *state_dir;
	const char *run_id;
	const struct seal *seal; /* of the sources' secrets */
};
struct import;
struct import *import_new(const struct import_config *c, struct queue *q, struct state *state, struct err *e) MUST_CHECK;
int import_start(struct import *im, struct err *e) MUST_CHECK;
unsigned import_port(const struct import *im);
unsigned import_port_tls(const struct import *im); /* 0: none */
/* The certificate from these files for new connections; -1: the one before stays. Main's thread. */
int import_reload_tls(struct import *im, const char *cert, const char *key, struct err *e) MUST_CHECK;
void import_drain(struct import *im, int64_t deadline_mono); /* no new connections; requests under way are answered, keep-alive ends */
void import_free(struct import *im);
/* For Retry-After and /readyz: seconds that a client should wait now (from the drain speed), and why the door is shut ("" = open). */
void import_set_pressure(struct import *im, unsigned retry_after_s, const char *why);
/* Would a request be refused with 503 now, and why? Any thread. */
bool import_shut(struct import *im, struct err *why);
/* How long, in s: waiting puts at the speed at which done of them were stored in the last ns. */
unsigned import_wait(uint64_t waiting, uint64_t done, int64_t ns);

#endif
