/*
 * backoff.c - exponential back-off without a random source: the spread that keeps many destinations from trying in step comes from a hash
 * of what is tried and the attempt's number, so a history is the same when it is replayed. The cap holds after the spread.
 */
#include "daemon/spool/backoff.h"

#include "str.h"

int64_t backoff_delay(int64_t first, int64_t max, unsigned attempts, uint64_t id)
{
	unsigned char key[sizeof(id) + sizeof(attempts)];
	int64_t delay = first > 0 ? first : 1, spread;

	for (unsigned k = 1; k < attempts && delay < max; k++)
		delay = delay > max / 2 ? max : delay * 2;
	delay = MIN(delay, max);
	memcpy(key, &id, sizeof(id));
	memcpy(key + sizeof(id), &attempts, sizeof(attempts));
	/* -20 % .. +20 % in steps of a thousandth */
	spread = (int64_t)(str_hash(str_mem(key, sizeof(key))) % 401) - 200;
	delay += delay / 1000 * spread;
	return MIN(delay, max);
}
