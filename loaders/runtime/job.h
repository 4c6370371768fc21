/*
 * job.h - the parameters of load.start and load.discard, checked and as plain data. Strings are owned by the job; job_free frees all and closes the batches'
 * descriptors. One thread.
 */
#ifndef STITCH_LOADER_JOB_H
#define STITCH_LOADER_JOB_H

#include <jansson.h>

#include "base.h"
#include "err.h"
#include "str.h"

#define JOB_BATCH_ID_LEN 33 /* with NUL */

struct range { uint64_t first, last; };

struct job_batch {
	char id[JOB_BATCH_ID_LEN];
	unsigned char queue_id[16];
	char queue_hex[33]; /* as the ledger has it: zeros for a replay */
	uint32_t partition;
	uint64_t first, last; /* queue offsets */
	uint64_t records, lines, bytes;
	unsigned char sha256[32];
	int64_t table_version;
	int64_t cut_at; /* ns since 1970 */
	bool replay;	/* one record that was rejected before: what other batches hold of its offset does not count */
	uint32_t replay_index; /* where it stood in its queue record */
	int fd;		/* the file; -1 in a discard */
	struct range *held; /* what earlier loads hold of it; only told to kinds without a ledger (dialect.files) */
	size_t n_held;
};

/* Types that a field was seen with, in order of appearance (daemon/state/types.h). A name may be a path (fields.h); then there may be none. */
enum seen_type { SEEN_INTEGER, SEEN_BIGNUM, SEEN_NUMBER, SEEN_BOOLEAN, SEEN_STRING, SEEN_TIMESTAMP, SEEN_DATE, SEEN_OBJECT, SEEN_ARRAY, SEEN_TYPES };
struct job_field { char *name; enum seen_type types[SEEN_TYPES]; unsigned n; };

struct job {
	int64_t load;
	int64_t load_time; /* ns, whole ms: the same at each attempt, strictly rising per destination; 0: not told */
	uint32_t attempt;
	char *source; /* its name */
	int64_t source_id;
	char *schema, *table; /* as the daemon says them; schema may be "" */
	char **keys;
	size_t n_keys;
	int64_t schema_version;
	bool dry_run; /* say what would be done, and do nothing */
	struct job_field *fields;
	size_t n_fields;
	struct job_batch *batches;
	size_t n_batches;
};

/* fds: one for each batch, taken (also on error). */
int job_parse(json_t *params, const int *fds, size_t n_fds, struct job *out, struct err *e) MUST_CHECK;
int job_parse_discard(json_t *params, struct job *out, struct err *e) MUST_CHECK; /* one batch, no file */
void job_free(struct job *j);

#endif
