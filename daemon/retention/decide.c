/*
 * decide.c - see decide.h; and retention_reserve(), which is of the same kind. Nothing here can make anything go that a destination still wants: the
 * times only choose among what db_trim_limit and db_batch_expired offer, and they offer only what all destinations have.
 */
#include "daemon/retention/decide.h"

#include "daemon/retention/retention.h"
#include "daemon/store/batch_name.h"

#define RESERVE_MIN (UINT64_C(256) << 20)

uint64_t retention_reserve(uint64_t configured, uint64_t disk_total)
{
	uint64_t r = configured ? configured : MAX(RESERVE_MIN, disk_total / 20);

	return MIN(r, disk_total / 4);
}

bool decide_pressure(const struct pressure_input *in)
{
	uint64_t line = in->was ? in->pressure_bytes + in->pressure_bytes / 4 : in->pressure_bytes;

	return in->disk_free < line;
}

/* the time before which something was loaded long enough ago; 0 when the clock itself is younger */
static int64_t ago(int64_t now, int64_t keep)
{
	return keep >= now ? 0 : now - keep;
}

int64_t decide_trim_before(const struct trim_input *in)
{
	if (in->pressure || (in->keep_bytes && in->bytes > in->keep_bytes))
		return in->now;
	return ago(in->now, in->keep);
}

int64_t decide_batches_before(const struct batch_input *in, uint64_t *bytes_to_free)
{
	*bytes_to_free = UINT64_MAX;
	if (in->pressure)
		return in->now;
	if (in->keep_bytes && in->bytes > in->keep_bytes) {
		*bytes_to_free = in->bytes - in->keep_bytes;
		return in->now;
	}
	return ago(in->now, in->keep);
}

size_t decide_batch_count(const uint64_t *sizes, size_t n, uint64_t bytes_to_free)
{
	uint64_t freed = 0;
	size_t i = 0;

	while (i < n && freed < bytes_to_free)
		freed += sizes[i++];
	return i;
}

int64_t decide_rejects_before(int64_t now, int64_t keep)
{
	const int64_t hour = 3600 * NSEC_PER_SEC;

	return now > keep ? (now - keep) / hour * hour : 0;
}

bool decide_sweep(const char *name, const char *run_id, bool row)
{
	struct batch_name n;

	return !row && batch_name_parse(str_c(name), &n) && strcmp(n.run_id, run_id) != 0;
}
