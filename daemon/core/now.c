/*
 * now.c - clock_gettime and getrandom behind two replaceable functions. Replacing them is for one-threaded tests only.
 */
#include "daemon/core/now.h"

#include <sys/random.h>

static struct now (*now_fn)(void);
static void (*random_fn)(void *p, size_t n);

static int64_t ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

struct now now_get(void)
{
	if (now_fn)
		return now_fn();
	return (struct now){.mono = ns(CLOCK_MONOTONIC), .real = ns(CLOCK_REALTIME)};
}

void now_set_source(struct now (*fn)(void))
{
	now_fn = fn;
}

void random_bytes(void *p, size_t n)
{
	char *c = p;

	if (random_fn) {
		random_fn(p, n);
		return;
	}
	while (n) {
		ssize_t r = getrandom(c, n, 0);

		if (r <= 0)
			continue; /* EINTR only: the pool is up once the system is */
		c += r;
		n -= (size_t)r;
	}
}

void random_set_source(void (*fn)(void *p, size_t n))
{
	random_fn = fn;
}
