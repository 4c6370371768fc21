/*
 * cut.c - see cut.h. The order of the questions is the order of the reasons that a person would give: what cannot be helped first (keys, stop), then
 * what was asked for, then limits, then latency.
 */
#include "daemon/streamery/cut.h"

const char *cut_reason_name(enum cut_reason r)
{
	static const char *const names[] = {"", "size", "age", "memory", "keys", "flush", "idle", "stop"};

	return names[r];
}

enum cut_reason cut_decide(const struct cut_input *in)
{
	if (in->keys_change)
		return CUT_KEYS;
	if (in->stop)
		return CUT_STOP;
	if (in->flush)
		return CUT_FLUSH;
	if (in->bytes >= in->limits.bytes)
		return CUT_SIZE;
	if (in->memory_full)
		return CUT_MEMORY;
	if (in->now - in->opened >= in->limits.age)
		return CUT_AGE;
	if (in->loader_idle && !in->busy && in->now - in->opened >= in->limits.idle_delay)
		return CUT_IDLE;
	return CUT_NOT;
}

int64_t cut_due(const struct cut_input *in)
{
	int64_t delay = in->limits.age;

	if (cut_decide(in) != CUT_NOT)
		return in->now;
	/* what keeps it busy will say when it is done: no time to wait for */
	if (in->loader_idle && !in->busy)
		delay = MIN(delay, in->limits.idle_delay);
	return in->opened > NEVER - delay ? NEVER : in->opened + delay;
}
