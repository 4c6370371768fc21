/*
 * 3001-cut.c - the pure rules: when a batch is cut, and why; what retention may delete, and when.
 */
#include "tap.h"

#include "daemon/retention/decide.h"
#include "daemon/retention/retention.h"
#include "daemon/streamery/cut.h"

#define MS NSEC_PER_MSEC
#define SEC NSEC_PER_SEC
#define MIB (UINT64_C(1) << 20)

static const struct cut_input base = {.limits = {.bytes = 8 * MIB, .age = 60 * SEC, .idle_delay = 50 * MS}, .bytes = 1000, .opened = 1000 * SEC, .now = 1010 * SEC};

static void check(const struct cut_input *in, const char *want, const char *what)
{
	is_str(want, cut_reason_name(cut_decide(in)), "%s", what);
}

#define WITH(...) (&(struct cut_input){.limits = base.limits, .opened = base.opened, __VA_ARGS__})

static void test_cut(void)
{
	check(&base, "", "a small young batch, no loader idle: it waits");
	check(WITH(.now = base.now, .bytes = 8 * MIB), "size", "at the size");
	check(WITH(.now = base.now, .bytes = 8 * MIB - 1), "", "just below it");
	check(WITH(.now = 1060 * SEC, .bytes = 1), "age", "at the age");
	check(WITH(.now = 1060 * SEC - 1, .bytes = 1), "", "just below it");
	check(WITH(.now = base.now, .memory_full = true), "memory", "when memory is full");
	check(WITH(.now = base.now, .keys_change = true, .flush = true), "keys", "other keys come before all");
	check(WITH(.now = base.now, .flush = true), "flush", "flush");
	check(WITH(.now = base.now, .stop = true, .flush = true), "stop", "stop");
	check(WITH(.now = base.now, .loader_idle = true), "idle", "an idle loader");
	check(WITH(.now = base.opened + 50 * MS - 1, .loader_idle = true), "", "not before its delay");
	check(WITH(.now = base.now, .loader_idle = true, .busy = true), "", "not while the table's last batch is on its way");
	is_int(1060 * SEC, cut_due(&base), "due at its age");
	is_int(base.opened + 50 * MS, cut_due(WITH(.now = base.opened, .loader_idle = true)), "or after the delay");
	is_int(1060 * SEC, cut_due(WITH(.now = base.now, .loader_idle = true, .busy = true)), "or when something else is done");
	is_int(base.now, cut_due(WITH(.now = base.now, .flush = true)), "or now");
}

static void test_reserve(void)
{
	is_int(256 * MIB, (int64_t)retention_reserve(0, 2048 * MIB), "reserve: 256 MiB of 2 GiB");
	is_int(1024 * MIB, (int64_t)retention_reserve(0, 20 * 1024 * MIB), "5 %% of 20 GiB");
	is_int(100 * MIB, (int64_t)retention_reserve(0, 400 * MIB), "a quarter of 400 MiB");
	is_int(64 * MIB, (int64_t)retention_reserve(64 * MIB, 2048 * MIB), "as configured");
	is_int(512 * MIB, (int64_t)retention_reserve(4096 * MIB, 2048 * MIB), "but a quarter at most");
}

static void test_retention(void)
{
	struct pressure_input p = {.disk_free = 100, .pressure_bytes = 100};
	struct trim_input t = {.now = 100 * SEC, .keep = 30 * SEC, .bytes = 50};
	struct batch_input b = {.now = 100 * SEC, .keep = 30 * SEC, .bytes = 500};
	uint64_t to_free, sizes[] = {10, 20, 30};

	ok(!decide_pressure(&p), "no pressure at the line");
	p.disk_free = 99;
	ok(decide_pressure(&p), "pressure below it");
	p = (struct pressure_input){.disk_free = 120, .pressure_bytes = 100, .was = true};
	ok(decide_pressure(&p), "which stays until there is a quarter more");
	p.disk_free = 125;
	ok(!decide_pressure(&p), "then ends");
	is_int(70 * SEC, decide_trim_before(&t), "queue: by age");
	t.keep_bytes = 50;
	is_int(70 * SEC, decide_trim_before(&t), "at its size: by age");
	t.keep_bytes = 49;
	is_int(100 * SEC, decide_trim_before(&t), "above: all that is loaded");
	t = (struct trim_input){.now = 100 * SEC, .keep = 30 * SEC, .pressure = true};
	is_int(100 * SEC, decide_trim_before(&t), "under pressure: all that is loaded");
	t = (struct trim_input){.now = 10 * SEC, .keep = 30 * SEC};
	is_int(0, decide_trim_before(&t), "a keeping longer than the clock");
	is_int(70 * SEC, decide_batches_before(&b, &to_free), "files: by age");
	ok(to_free == UINT64_MAX, "all of them");
	b.keep_bytes = 450;
	ok(decide_batches_before(&b, &to_free) == 100 * SEC && to_free == 50, "by size: what is too much");
	is_int(3, (int64_t)decide_batch_count(sizes, 3, 50), "oldest first, until enough: 3");
	is_int(2, (int64_t)decide_batch_count(sizes, 3, 30), "2");
	is_int(0, (int64_t)decide_batch_count(sizes, 3, 0), "none");
	is_int(3, (int64_t)decide_batch_count(sizes, 3, UINT64_MAX), "all");
}

static void test_sweep(void)
{
	static const char name[] = "1/t/0-1-2-0123456789abcdef-01234567.1.jsonl.zst";

	ok(decide_sweep(name, "76543210", false), "a file of another run without a row is garbage");
	ok(!decide_sweep(name, "01234567", false), "of this run: not, its row may be on its way");
	ok(!decide_sweep(name, "76543210", true), "with a row: not");
	ok(!decide_sweep("1/t/notes.txt", "76543210", false), "what is no batch file: not");
}

int main(void)
{
	plan_lazy();
	test_cut();
	test_reserve();
	test_retention();
	test_sweep();
	return done_testing();
}
