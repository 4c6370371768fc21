/*
 * status.h - the JSON of status, tables, destinations, sources and jobs, as shared/methods.def describes it; made from a snapshot. Any thread.
 */
#ifndef STITCH_STATUS_H
#define STITCH_STATUS_H

#include "daemon/control/snapshot.h"

/* Marks pairs as paused, failing or held, with the cause; from pauses, destinations and the jobs that failed. */
int status_judge(struct control *ct, struct db *db, struct snapshot *s, struct err *e) MUST_CHECK;
json_t *status_json(struct control *ct, struct db *db, struct snapshot *s, struct err *e) MUST_CHECK;
json_t *pair_json(const struct snapshot *s, const struct snap_pair *p);
json_t *destination_json(struct control *ct, const struct snapshot *s, const struct destination_row *d);
json_t *source_json(const struct snapshot *s, const struct source_row *src, struct db *db, struct err *e) MUST_CHECK;
json_t *job_json(const struct job_row *j);
/* problems.c: worst first */
json_t *problems_json(struct control *ct, struct db *db, const struct snapshot *s, struct err *e) MUST_CHECK;

#endif
