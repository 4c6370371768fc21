/*
 * rejects.h - rejected records of one load: sent to the daemon in pieces by load.reject, and kept for the destination's _sdc_rejected. One thread.
 */
#ifndef STITCH_LOADER_REJECTS_H
#define STITCH_LOADER_REJECTS_H

#include "loaders/runtime/load.h"

struct kept_reject { size_t batch; uint64_t record; char *reason, *raw; };
struct rejects {
	struct kept_reject *kept; /* of this run, for _sdc_rejected */
	size_t n, cap, bytes;
	uint64_t *sent;		  /* ordinals that the daemon has; survives a run that was rolled back */
	size_t n_sent, cap_sent, n_sorted;
	struct buf piece;	  /* elements of the next load.reject */
	size_t in_piece;
	bool dry;		  /* nobody is told: the first ones stay in piece */
};
/* Of a dry run: the first rejected records, as load.reject would have them. */
json_t *rejects_first(const struct rejects *r) MUST_CHECK;

/* raw: the record's line. */
int rejects_add(struct rejects *r, struct loader *l, const struct job *j, size_t batch, uint64_t record, uint64_t ordinal, const struct refusal *why, struct str raw,
	struct err *e) MUST_CHECK;
int rejects_flush(struct rejects *r, struct loader *l, struct err *e) MUST_CHECK; /* the daemon has all of them after 0 */
int rejects_store(struct rejects *r, struct loader *l, const struct job *j, struct err *e) MUST_CHECK; /* into _sdc_rejected */
void rejects_again(struct rejects *r); /* the run was rolled back */
void rejects_free(struct rejects *r);

#endif
