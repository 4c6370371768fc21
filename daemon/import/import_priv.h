/*
 * import_priv.h - the door's parts as its own files see them: the stage, an http thread (worker), a connection, a request, a put under way.
 *
 * Who may touch what: a request belongs to its worker's thread, except while its connection is suspended: then it belongs to the list that it sleeps
 * on, and whoever takes it off that list (under `lock`) fills in the verdict and resumes it. Nobody else may touch it, since only a suspended connection
 * cannot die. A put that is under way knows its request only as long as somebody waits for it (job.req, under `lock`).
 */
#ifndef STITCH_IMPORT_PRIV_H
#define STITCH_IMPORT_PRIV_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "daemon/import/auth.h"
#include "daemon/import/intake.h"
#include "daemon/import/import.h"
#include "daemon/import/keyed.h"

#define IMPORT_DRAIN_BYTES (64u << 20) /* of a refused body are read and dropped, */
#define IMPORT_DRAIN_TIME (10 * NSEC_PER_SEC) /* for this long */
#define IMPORT_POOL (32u << 10) /* libmicrohttpd's memory per connection */
#define IMPORT_LISTEN_MAX 4u

enum route { ROUTE_NONE, ROUTE_STATUS, ROUTE_BATCH, ROUTE_PUSH, ROUTE_HEALTH, ROUTE_READY, ROUTE_METRICS };

enum request_state {
	R_BODY = 1, /* pieces of the body are kept */
	R_DROP,	    /* the verdict is known; the body is read and dropped */
	R_ADMISSION, /* suspended until its body fits */
	R_ADMITTED, /* resumed from there: the next callback is the first one again */
	R_QUEUED,   /* suspended until the queue answers */
	R_ANSWER,   /* resumed from there, or read to the end: the answer is in `refusal` or `good` */
};

struct worker;
struct job;
struct conn {
	LIST_ENTRY(conn) link; /* import.conns, under lock */
	struct worker *w;
	int fd;
	_Atomic int64_t idle_since; /* when its last request ended; 0 while there is one */
	_Atomic bool cut;	     /* told to end */
};

struct request {
	TAILQ_ENTRY(request) link; /* import.asleep or import.waiting, under lock */
	struct worker *w;
	struct MHD_Connection *mhd;
	struct conn *conn;
	SLIST_ENTRY(request) free;
	enum request_state state;
	enum route route;
	int64_t started, deadline; /* mono; while it sleeps: half of the time allowed, see request_wait */
	uint64_t length;	   /* Content-Length, or UINT64_MAX: chunked */
	uint64_t taken;		   /* bytes of the body seen */
	uint64_t admitted;	   /* counted in import.bodies */
	struct buf body;
	int64_t source_id, client_id;
	char request_id[FRAME_REQUEST_ID_MAX + 1];
	size_t request_id_len;
	bool keyed, close;
	struct key_mark mark;	   /* if keyed, once the body is there */
	struct refusal refusal; /* status 0: accepted */
	struct buf good;	   /* body of a 200 or 201 */
	const char *content_type, *allow; /* of the answer; NULL: JSON, none */
	uint64_t records;	   /* accepted */
	struct job *job;
};

struct job { /* one queue_put */
	struct queue_put put;
	struct key_mark mark;
	struct import *im;
	struct request *req; /* who waits, or NULL; under lock */
	uint64_t held;	     /* of its bytes: counted in import.bodies until the queue has answered */
	SLIST_ENTRY(job) free;
};

TAILQ_HEAD(request_list, request);
LIST_HEAD(conn_list, conn);

struct worker {
	struct import *im;
	struct MHD_Daemon *mhd;
	_Atomic unsigned conns;
	/* of its thread alone: */
	struct intake *intake;
	struct auth *auth;
	SLIST_HEAD(, request) free;
	unsigned n_free;
	uint64_t id_prefix, id_next; /* request ids of ours: the prefix is random, one per thread and start */
};

struct import {
	struct import_config c;
	char *listen, *port_file, *state_dir;
	struct queue *queue;
	struct state *state;
	struct worker *workers;
	unsigned n_workers;
	int fds[IMPORT_LISTEN_MAX];
	unsigned n_fds, port;
	int wake; /* eventfd of the acceptor */
	pthread_t acceptor;
	bool started;
	_Atomic bool stop, draining, closing; /* acceptor ends; no new connections, keep-alive ends; everything is answered 503 */
	_Atomic unsigned n_conns;
	_Atomic unsigned retry_after, disk_wait; /* s: told by import_set_pressure; while the disk is full, by how fast it empties */
	_Atomic int64_t last_received; /* received_at never falls while this process lives */
	_Atomic unsigned puts;	       /* given to the queue and not yet answered */
	_Atomic bool disk_low;
	pthread_mutex_t large, lock; /* large: one large body is decoded at a time, which takes twice its size on top; lock: all that follows */
	struct conn_list conns;
	struct request_list asleep, waiting;
	uint64_t bodies;
	SLIST_HEAD(, job) free_jobs;
	unsigned n_free_jobs;
	char why[200]; /* import_set_pressure */
	struct keyed *keyed;
};

/* accept.c */
int accept_open(struct import *im, struct err *e) MUST_CHECK;
void *accept_run(void *im);
/* request.c: libmicrohttpd's callbacks */
enum MHD_Result request_on(void *worker, struct MHD_Connection *mhd, const char *url, const char *method, const char *version, const char *data,
	size_t *size, void **request);
void request_completed(void *worker, struct MHD_Connection *mhd, void **request, enum MHD_RequestTerminationCode why);
void request_connection(void *worker, struct MHD_Connection *mhd, void **conn, enum MHD_ConnectionNotificationCode what);
void request_release_body(struct request *r, uint64_t keep); /* keep: bytes that stay counted, as the job's */
void request_release_bytes(struct import *im, uint64_t n);
void request_wait(struct request *r); /* before it goes to sleep */
void request_free_all(struct worker *w);
void request_expire(struct import *im, int64_t now_mono); /* all that sleep past this time are answered 503 */
/* put.c */
bool put_request(struct request *r); /* the body is complete: suspended until the queue answers; false: refused */
void put_free_all(struct import *im);
/* route.c */
enum route route_find(const char *url, const char *method, struct request *r);
bool route_framing(struct request *r, const char *method, const char *version); /* false: refused; the body's length is not to be believed */
void route_check(struct request *r); /* token, type, size: the verdict before the body */
/* health.c */
void health_answer(struct request *r);
bool import_shut(struct import *im, struct err *why); /* would a request be refused with 503 now? */
unsigned import_retry_after(struct import *im); /* for the answer's head */
int refuse_busy(struct refusal *r, const char *fmt, ...) PRINTF(2, 3); /* 503 */

#endif
