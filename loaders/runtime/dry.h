/*
 * dry.h - what a load would do, gathered instead of done (load.start with dry_run). Private to the runtime; one thread.
 */
#ifndef STITCH_LOADER_DRY_H
#define STITCH_LOADER_DRY_H

#include "loaders/runtime/load.h"
#include "loaders/runtime/rejects.h"

struct dry {
	bool on;
	bool nothing;	 /* not even our own tables are there */
	json_t *ddl;	 /* texts */
	uint64_t passed; /* records that are in the table already, or below its version */
	bool told;	 /* the destination has told the next three */
	uint64_t inserted, updated, skipped;
};

void dry_again(struct dry *d); /* a run begins */
void dry_step(struct dry *d, const struct loader *l, const struct job *j, const struct layout *lo, const struct step *s);
/* Added to the answer of a load. */
void dry_answer(const struct dry *d, const struct rejects *r, json_t *answer);
void dry_free(struct dry *d);

#endif
