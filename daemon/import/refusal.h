/*
 * refusal.h - what the door answers when it does not take a request: a code and a JSON body, worded as the public API words it
 * (../../shared/design/import-api.md). The first refusal of a request stands; only "malformed" replaces it, since nothing that was read in
 * a broken document can be relied on. Owned by the request; one thread.
 */
#ifndef STITCH_IMPORT_REFUSAL_H
#define STITCH_IMPORT_REFUSAL_H

#include "base.h"
#include "buf.h"

struct refusal {
	unsigned status; /* 0: none */
	struct buf body;
};

/* Each returns -1 ("refused"). */
int refuse_error(struct refusal *r, unsigned status, const char *fmt, ...) PRINTF(3, 4);	/* {"error":TEXT} */
int refuse_status(struct refusal *r, unsigned status, const char *fmt, ...) PRINTF(3, 4); /* {"status":"ERROR","message":TEXT} */
int refuse_json(struct refusal *r, unsigned status, const char *json);			/* this body as it is */
int refuse_malformed(struct refusal *r, const char *why, size_t at);
void refusal_reset(struct refusal *r);

#endif
