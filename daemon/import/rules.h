/*
 * rules.h - what a source's settings ask of the door. Made when its token is looked up, kept by that http thread (auth.c) and by the requests that came in
 * meanwhile: counted, never changed. One thread.
 */
#ifndef STITCH_IMPORT_RULES_H
#define STITCH_IMPORT_RULES_H

#include "base.h"
#include "buf.h"
#include "daemon/state/seal.h"
#include "daemon/state/state.h"

struct tenant; /* room.c */
struct source_rules {
	unsigned users;
	int64_t source_id, client_id;
	bool webhook;
	bool hold; /* when_paused = hold: taken all the same */
	uint64_t rate_limit; /* records/s; 0: none */
	struct tenant *tenant; /* what the source holds now, in all threads together */
	/* of a webhook; NULL: not set */
	char *key, *table_field, *signature_header, *form;
	bool sha1; /* of the signature; else sha256 */
	struct buf secrets[2]; /* the current one, and the one before it while senders change over */
};

/* -1: a secret cannot be unsealed. seal may be NULL in tests. */
int rules_new(const struct source_row *s, const struct seal *seal, struct source_rules **out, struct err *e) MUST_CHECK;
struct source_rules *rules_use(struct source_rules *r);
void rules_free(struct source_rules *r); /* when nobody uses it any more */

#endif
