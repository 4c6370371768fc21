/*
 * 7002-history.c - trend, speed, time to drain and the spark line from samples.
 */
#include "tap.h"

#include "daemon/control/snapshot.h"

static struct hist h;
static int64_t now;

static struct snap_flow run(unsigned seconds, int64_t waiting, int64_t waiting_step, int64_t loaded, int64_t loaded_step)
{
	struct snap_flow f;

	for (unsigned k = 0; k < seconds; k++) {
		now += NSEC_PER_SEC;
		hist_add(&h, (uint64_t)(waiting + waiting_step * k), (uint64_t)(loaded + loaded_step * k), now);
	}
	hist_flow(&h, (uint64_t)(waiting + waiting_step * (seconds - 1)), &f);
	return f;
}

int main(void)
{
	struct snap_flow f;

	plan_lazy();
	hist_flow(NULL, 5, &f);
	ok(f.trend == SNAP_STEADY && f.drain_s == -1, "nothing known");
	now = 3600 * NSEC_PER_SEC;
	f = run(60, 0, 0, 0, 0);
	ok(f.trend == SNAP_STEADY && f.drain_s == 0 && f.rate == 0, "nothing waits, nothing moves");
	f = run(60, 1000, 100, 0, 0);
	ok(f.trend == SNAP_GROWING && f.drain_s == -1, "growing: no end in sight");
	f = run(60, 6900, -100, 0, 100);
	ok(f.trend == SNAP_DRAINING && f.drain_s >= 9 && f.drain_s <= 12, "draining: 1000 left at 100 a second, %d s", (int)f.drain_s);
	ok(f.rate > 90 && f.rate < 110, "100 records a second");
	f = run(60, 500, 0, 6000, 1000);
	ok(f.trend == SNAP_STEADY && f.drain_s == 0, "steady: what waits is loaded within a second");
	ok(f.spark[SNAP_SPARK - 1] >= 500 && f.spark[SNAP_SPARK - 3] >= 6000, "the spark line holds a minute's greatest");
	now += 3600 * NSEC_PER_SEC;
	f = run(1, 7, 0, 0, 0);
	ok(f.spark[SNAP_SPARK - 1] == 7 && f.spark[SNAP_SPARK - 2] == 0, "after a long pause the old minutes are gone");
	f = run(1, (int64_t)UINT32_MAX + 10, 0, 0, 0);
	ok(f.spark[SNAP_SPARK - 1] == UINT32_MAX, "more than fits is cut");
	return done_testing();
}
