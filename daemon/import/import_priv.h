/*
 * import_priv.h - the door's parts as its own files see them: the stage, an http thread (worker), a connection. request.h has the rest.
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
#include "daemon/import/import.h"
#include "daemon/import/request.h"
#include "map.h"

#define IMPORT_POOL (32u << 10) /* libmicrohttpd's memory per connection */
#define IMPORT_LISTEN_MAX 4u /* sockets of one address */

struct conn {
	LIST_ENTRY(conn) link; /* import.conns, under lock */
	struct worker *w;
	int fd;
	_Atomic int64_t idle_since; /* when its last request ended; 0 while there is one */
	_Atomic bool cut;	     /* told to end */
	unsigned char address[16];   /* if they are counted */
	struct tenant *tenant;	     /* of its last request, under lock */
};

LIST_HEAD(conn_list, conn);

struct listener { int fd; bool tls; };

struct worker {
	struct import *im;
	struct MHD_Daemon *mhd;
	bool tls; /* the second half of the workers, if any has it */
	_Atomic unsigned conns;
	/* of its thread alone: */
	struct decoder decoder;
	struct auth *auth;
	SLIST_HEAD(, request) free;
	unsigned n_free;
	uint64_t id_prefix, id_next; /* request ids of ours: the prefix is random, one per thread and start */
};

struct import {
	struct import_config c;
	char *listen, *listen_tls, *port_file, *state_dir;
	struct queue *queue;
	struct state *state;
	struct worker *workers;
	unsigned n_workers;
	struct listener listeners[2 * IMPORT_LISTEN_MAX];
	unsigned n_listeners, port, port_tls;
	int wake; /* eventfd of the acceptor */
	pthread_t acceptor;
	bool started;
	_Atomic bool stop, draining, closing; /* acceptor ends; no new connections, keep-alive ends; everything is answered 503 */
	_Atomic unsigned n_conns;
	_Atomic unsigned retry_after, disk_wait; /* s: told by import_set_pressure; while the disk is full, by how fast it empties */
	_Atomic int64_t last_received; /* received_at never falls while this process lives */
	_Atomic unsigned puts;	       /* given to the queue and not yet answered */
	_Atomic bool disk_low;
	pthread_mutex_t lock; /* all that follows */
	struct conn_list conns;
	struct request_list asleep, waiting;
	uint64_t bodies, stuck, tenant_max; /* bytes; of them held by those that are R_GROW; one source's at most */
	unsigned pass; /* see tenant.passed */
	struct map tenants, addresses; /* by source id; connections by address */
	SLIST_HEAD(, job) free_jobs;
	unsigned n_free_jobs;
	char why[200]; /* import_set_pressure */
	struct keyed *keyed;
	struct lane *lane;
};

/* accept.c */
int accept_open(struct import *im, struct err *e) MUST_CHECK;
void *accept_run(void *im);
void accept_address(const struct sockaddr *a, unsigned char out[16]);
void accept_forget(struct import *im, const unsigned char address[16]); /* under lock */

#endif
