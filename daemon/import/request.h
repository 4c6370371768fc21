/*
 * request.h - a request and a put under way, and who does what with them: request.c, room.c, put.c, route.c, health.c. Who may touch what: import_priv.h.
 */
#ifndef STITCH_IMPORT_REQUEST_H
#define STITCH_IMPORT_REQUEST_H

#include <microhttpd.h>
#include <sys/queue.h>

#include "daemon/import/coding.h"
#include "daemon/import/import.h"
#include "daemon/import/intake.h"
#include "daemon/import/keyed.h"
#include "daemon/import/rules.h"

#define IMPORT_DRAIN_BYTES (64u << 20) /* of a refused body are read and dropped, */
#define IMPORT_DRAIN_TIME (10 * NSEC_PER_SEC) /* for this long */

enum route { ROUTE_NONE, ROUTE_STATUS, ROUTE_BATCH, ROUTE_PUSH, ROUTE_WEBHOOK, ROUTE_VALIDATE, ROUTE_HEALTH, ROUTE_READY, ROUTE_METRICS };

enum request_state {
	R_BODY = 1, /* pieces of the body are kept */
	R_DROP,	    /* the verdict is known; the body is read and dropped */
	R_ADMISSION, /* suspended until its body fits */
	R_ADMITTED, /* resumed from there: the next callback is the first one again */
	R_GROW,	    /* suspended until there is room for the rest of its body */
	R_GROWN,    /* resumed from there */
	R_LANE,	    /* suspended until the slow lane has decoded it */
	R_KEY,	    /* suspended until the first request with its key is over */
	R_QUEUED,   /* suspended until the queue answers */
	R_ANSWER,   /* resumed from there, or read to the end: the answer is in `refusal` or `good` */
};

struct conn;
struct worker;
struct job;
struct request {
	TAILQ_ENTRY(request) link; /* import.asleep, import.waiting or keyed.waiting, under lock */
	struct worker *w;
	struct MHD_Connection *mhd;
	struct conn *conn;
	SLIST_ENTRY(request) free;
	enum request_state state;
	enum route route;
	int64_t started, deadline; /* mono; while it sleeps: half of the time allowed, see request_wait */
	uint64_t length;	   /* Content-Length, or UINT64_MAX: chunked */
	uint64_t taken;		   /* bytes of the body seen */
	uint64_t admitted, wanted; /* counted in import.bodies; what it waits for */
	enum coding_kind packed;   /* how the body comes */
	struct coding *coding;	   /* while it is unpacked */
	struct buf body;
	unsigned retry_after; /* s, of its own 503; 0: as for all */
	struct source_rules *rules; /* of its source, once the token is known; its own use */
	struct str path_token;	   /* of a webhook's address */
	int64_t path_client;
	int64_t source_id, client_id;
	char request_id[FRAME_REQUEST_ID_MAX + 1];
	size_t request_id_len;
	bool partial; /* ?partial=true of a batch */
	struct buf rejects; /* then: intake.rejects */
	bool keyed, close, delayed; /* delayed: taken into the local spool (202) */
	bool transit;		   /* the body is Transit, not JSON */
	struct key_mark mark;	   /* if keyed, once the body is there */
	struct refusal refusal; /* status 0: accepted */
	struct buf good;	   /* body of a 200 or 201 */
	const char *content_type, *allow; /* of the answer; NULL: JSON, none */
	uint64_t records;	   /* accepted */
	struct job *job;
};

struct tenant { /* what a source holds, in all threads together; under lock */
	uint64_t bodies; /* of import.bodies */
	uint64_t queued; /* bytes that the queue has and has not answered */
	STAILQ_HEAD(job_list, job) turn; /* that wait for those */
	int64_t paid;	   /* mono: what was taken is worth until then, at its rate */
	int64_t decoded;   /* mono: what http threads decoded is worth until then, at its share */
	int64_t lane_time; /* of the slow lane */
	uint64_t stuck;	   /* of bodies: held by those that are R_GROW */
	unsigned conns;	   /* whose last request was of this source */
	unsigned passed;   /* import.pass when one of it was found to wait for its own source */
};

struct job { /* one queue_put */
	struct queue_put put;
	struct key_mark mark; /* set: it holds a key, and is in keyed.claims */
	LIST_ENTRY(job) claim;
	struct import *im;
	struct request *req; /* who waits, or NULL; under lock */
	uint64_t held;	     /* of its bytes: counted in import.bodies until the queue has answered */
	struct tenant *tenant; /* by whom it is held */
	uint64_t share;	       /* counted in tenant.queued */
	int64_t price;	       /* ns of the source's rate: what it gets back if nothing is stored */
	STAILQ_ENTRY(job) turn;
	SLIST_ENTRY(job) free;
};

TAILQ_HEAD(request_list, request);

struct decoder { struct intake *intake; struct db *db; /* a thread's; for keys; NULL: not yet needed */ };

/* request.c: libmicrohttpd's callbacks */
enum MHD_Result request_on(void *worker, struct MHD_Connection *mhd, const char *url, const char *method, const char *version, const char *data,
	size_t *size, void **request);
void request_completed(void *worker, struct MHD_Connection *mhd, void **request, enum MHD_RequestTerminationCode why);
void request_connection(void *worker, struct MHD_Connection *mhd, void **conn, enum MHD_ConnectionNotificationCode what);
void request_wait(struct request *r); /* before it goes to sleep */
void request_free_all(struct worker *w);
void request_expire(struct import *im, int64_t now_mono); /* all that sleep past this time are answered 503 */
/* room.c */
void room_admit(struct request *r); /* suspends it if its body must wait */
bool room_grow(struct request *r, uint64_t need); /* false: no room for so much now, */
uint64_t room_left(const struct request *r, uint64_t taken); /* of what it was given; all there is if it has as much as one source may */
void room_wait_over(struct request *r); /* off the list, in vain or with room; under lock */
bool room_wait(struct request *r, uint64_t need);  /* so it is suspended until there is. false: the door closes */
void room_release(struct request *r, uint64_t keep); /* its body is gone; keep: bytes that stay counted, as the job's */
void room_give(struct import *im, struct tenant *t, uint64_t n);
unsigned room_rate(struct request *r); /* s until its source may send again by its rate_limit; 0: now. Finds the source's tenant */
int64_t room_charge(struct request *r); /* its records are about to be taken: the price, for room_refund if they are not */
void room_refund(struct import *im, struct tenant *t, int64_t price);
bool room_connection(struct request *r); /* false: its source holds too many of them */
void room_free(struct import *im);
/* lane.c */
struct lane *lane_new(void) MUST_CHECK;
int lane_start(struct import *im, struct err *e) MUST_CHECK;
void lane_stop(struct import *im); /* what waits is answered by request_expire */
void lane_free(struct lane *l);
bool lane_takes(struct request *r); /* the body is complete: suspended; put_decoded comes in the lane's thread */
void lane_decoded(struct import *im, struct tenant *t, int64_t begun); /* an http thread has worked for that source since then */
struct request *lane_expired(struct import *im, int64_t now, bool all); /* as keyed_expired; under lock */
bool lane_is_busy(struct import *im); /* under lock */
/* put.c */
bool put_request(struct request *r); /* the body is complete: suspended until the queue answers; false: answered at once */
bool put_decoded(struct request *r, struct decoder *d, bool asleep); /* the same, by this thread's decoder; asleep: it is suspended already */
void decoder_free(struct decoder *d);
void put_accepted(struct request *r, const struct queue_put *p); /* the body of its 201 or 202 */
void put_free_all(struct import *im);
/* route.c */
enum route route_find(const char *url, const char *method, struct request *r);
bool route_framing(struct request *r, const char *method, const char *version); /* false: refused; the body's length is not to be believed */
bool route_stores(const struct request *r); /* one that brings records, or */
bool route_has_body(const struct request *r); /* only asks about them */
struct str route_header(const struct request *r, const char *name); /* STR_NULL: not there */
void route_check(struct request *r); /* token, type, size: the verdict before the body */
/* health.c */
void health_answer(struct request *r);
unsigned import_retry_after(struct import *im); /* for the answer's head */
int refuse_busy(struct refusal *r, const char *fmt, ...) PRINTF(2, 3); /* 503 */

#endif
