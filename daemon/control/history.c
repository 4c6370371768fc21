/*
 * history.c - the last seconds and the last fifteen minutes of one thing, small enough for ten thousand of them, and what follows from it: trend,
 * speed, time to drain, spark line. Pure.
 */
#include "daemon/control/snapshot.h"

#define MINUTE (60 * NSEC_PER_SEC)
#define EVERY (5 * NSEC_PER_SEC) /* a sample is kept for the trend */

static uint32_t small(uint64_t v)
{
	return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

void hist_add(struct hist *h, uint64_t waiting, uint64_t loaded, int64_t mono)
{
	int64_t minute = mono / MINUTE;
	uint32_t v = small(waiting);

	if (h->n && minute > h->minute) {
		int64_t by = MIN(minute - h->minute, SNAP_SPARK);

		memmove(h->spark, h->spark + by, (size_t)(SNAP_SPARK - by) * sizeof(*h->spark));
		memset(h->spark + SNAP_SPARK - by, 0, (size_t)by * sizeof(*h->spark));
	}
	h->minute = minute;
	h->spark[SNAP_SPARK - 1] = MAX(h->spark[SNAP_SPARK - 1], v);
	/* the newest sample moves along with the time until it is old enough to stay */
	if (!h->n || mono - h->at >= EVERY) {
		h->newest = h->n ? (h->newest + 1) % HIST_RECENT : 0;
		h->n = MIN(h->n + 1, HIST_RECENT);
		h->at = mono;
	}
	h->waiting[h->newest] = v;
	h->loaded[h->newest] = loaded;
	h->times[h->newest] = mono;
}

static unsigned back(const struct hist *h, unsigned steps)
{
	steps = MIN(steps, h->n - 1);
	return (h->newest + HIST_RECENT - steps) % HIST_RECENT;
}

void hist_flow(const struct hist *h, uint64_t waiting_now, struct snap_flow *out)
{
	unsigned then, lately;
	double seconds, was, now = (double)waiting_now;

	*out = (struct snap_flow){.drain_s = waiting_now ? -1 : 0};
	if (!h || !h->n)
		return;
	memcpy(out->spark, h->spark, sizeof(out->spark));
	lately = back(h, 2);
	seconds = (double)(h->times[h->newest] - h->times[lately]) / (double)NSEC_PER_SEC;
	if (seconds > 0 && h->loaded[h->newest] > h->loaded[lately])
		out->rate = (double)(h->loaded[h->newest] - h->loaded[lately]) / seconds;
	then = back(h, 6);
	was = h->waiting[then];
	seconds = (double)(h->times[h->newest] - h->times[then]) / (double)NSEC_PER_SEC;
	if (!waiting_now || seconds <= 0)
		return;
	/* a few records more or less are no trend, and neither is a backlog that is loaded within a second */
	if (now > was * 1.05 + 10 && now > out->rate)
		out->trend = SNAP_GROWING;
	else if (now < was * 0.95 - 10)
		out->trend = SNAP_DRAINING;
	if (out->trend == SNAP_DRAINING)
		out->drain_s = (int64_t)(now / ((was - now) / seconds)) + 1;
	else if (out->trend == SNAP_STEADY && out->rate > 0)
		out->drain_s = (int64_t)(now / out->rate);
}
