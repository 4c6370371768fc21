/*
 * cut.h - is this open batch cut now, and why? Pure: a function of what is passed (architecture.md, section 6, rules a to f). Times are monotonic ns.
 */
#ifndef STITCH_CUT_H
#define STITCH_CUT_H

#include "base.h"

enum cut_reason { CUT_NOT, CUT_SIZE, CUT_AGE, CUT_MEMORY, CUT_KEYS, CUT_FLUSH, CUT_IDLE, CUT_STOP };
const char *cut_reason_name(enum cut_reason r); /* as stored with the batch: size, age, memory, keys, flush, idle, stop */

struct cut_limits {
	uint64_t bytes;
	int64_t age, idle_delay;
};
struct cut_input {
	struct cut_limits limits;
	uint64_t bytes;	     /* of the file so far */
	int64_t opened, now;
	bool keys_change;    /* the next record has other key names or another table version */
	bool memory_full;    /* open batches must give way, and this one is among the largest */
	bool flush, stop;
	bool loader_idle;    /* of a destination of the source, and not paused */
	bool busy;	     /* the table's last batch, or the store, is still at work: a cut now would only wait */
};
enum cut_reason cut_decide(const struct cut_input *in);
/* When it will be cut if nothing else happens. */
int64_t cut_due(const struct cut_input *in);

#endif
