/*
 * metrics.c - the one struct of counters and its Prometheus text form.
 */
#include "daemon/core/metrics.h"

struct metrics metrics;

void metrics_prometheus(struct buf *out)
{
#define X(name, type, help)                                                                                                    \
	buf_addf(out, "# HELP stitch_" #name " " help "\n# TYPE stitch_" #name " " type "\nstitch_" #name " %" PRId64 "\n",     \
		metric_get(name));
	METRICS(X)
#undef X
}
