/*
 * tap.c - counts, prints and remembers failures. bail() ends the program at once with a failed check, and not with TAP's "Bail out!", which would end
 * all other tests as well.
 */
#include "tap.h"

static unsigned planned, run, failed;

void plan(unsigned tests)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	planned = tests;
	printf("1..%u\n", tests);
}

void plan_lazy(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	planned = 0;
}

static void result(bool success, const char *fmt, va_list ap)
{
	run++;
	failed += !success;
	printf("%sok %u - ", success ? "" : "not ", run);
	vprintf(fmt, ap);
	putchar('\n');
}

bool ok(bool success, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	result(success, fmt, ap);
	va_end(ap);
	return success;
}

bool is_int(int64_t wanted, int64_t seen, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	result(wanted == seen, fmt, ap);
	va_end(ap);
	if (wanted != seen)
		diag("wanted %" PRId64 ", seen %" PRId64, wanted, seen);
	return wanted == seen;
}

bool is_slice(const char *wanted, struct str seen, const char *fmt, ...)
{
	bool same = wanted ? seen.ptr && str_eqc(seen, wanted) : !seen.ptr;
	va_list ap;

	va_start(ap, fmt);
	result(same, fmt, ap);
	va_end(ap);
	if (!same)
		diag("wanted \"%s\", seen \"" STR_FMT "\"", wanted ? wanted : "(null)", STR_ARG(seen));
	return same;
}

bool is_str(const char *wanted, const char *seen, const char *fmt, ...)
{
	bool same = wanted && seen ? strcmp(wanted, seen) == 0 : wanted == seen;
	va_list ap;

	va_start(ap, fmt);
	result(same, fmt, ap);
	va_end(ap);
	if (!same)
		diag("wanted \"%s\", seen \"%s\"", wanted ? wanted : "(null)", seen ? seen : "(null)");
	return same;
}

void skip(const char *reason, ...)
{
	va_list ap;

	run++;
	printf("ok %u # SKIP ", run);
	va_start(ap, reason);
	vprintf(reason, ap);
	va_end(ap);
	putchar('\n');
}

void skip_all(const char *reason, ...)
{
	va_list ap;

	printf("1..0 # SKIP ");
	va_start(ap, reason);
	vprintf(reason, ap);
	va_end(ap);
	putchar('\n');
	exit(0);
}

void bail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	result(false, fmt, ap);
	va_end(ap);
	if (!planned)
		printf("1..%u\n", run);
	exit(1);
}

void diag(const char *fmt, ...)
{
	va_list ap;

	printf("# ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

int done_testing(void)
{
	if (!planned) {
		printf("1..%u\n", run);
		planned = run;
	}
	return failed || run != planned;
}
