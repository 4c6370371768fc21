/*
 * cron.c - fuzz target: time zone files and schedules. What is accepted must answer for any time, and the next time must lie ahead. The first byte says which it is.
 */
#include "cron.h"
#include "xalloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const int64_t times[] = {INT64_C(-4000000000), 0, 1764057600, 2524608000, INT64_C(9000000000)};

static void a_zone(struct str s)
{
	struct zone *z = zone_parse(s, NULL);
	struct cron c;
	int64_t m[2];

	if (!z)
		return;
	if (cron_parse(STR("30 2 * * 1"), &c, NULL))
		abort();
	for (size_t k = 0; k < ARRAY_LEN(times); k++) {
		unsigned n = zone_moments(z, times[k], m);

		assert(n <= 2);
		assert(cron_next(&c, z, times[k]) > times[k]);
	}
	zone_free(z);
}

static void a_window(struct str s)
{
	struct zone *utc = zone_open(NULL, NULL);
	struct cron_window w;
	int64_t since, until;

	if (!cron_window_parse(s, &w, NULL)) {
		for (size_t k = 0; k < ARRAY_LEN(times); k++) {
			bool in = cron_window_at(&w, utc, times[k], &since, &until);

			assert(until > times[k] && (!in || since <= times[k]));
		}
	}
	zone_free(utc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *p;

	if (!size)
		return 0;
	p = xmemdup(data + 1, size - 1);
	if (data[0] & 1)
		a_zone(str_mem(p, size - 1));
	else
		a_window(str_mem(p, size - 1));
	free(p);
	return 0;
}
