/*
 * replay.c - runs a fuzz target without libFuzzer, so that `make check` can: each file of its corpus (t/fuzz/corpus/NAME, NAME from the program's own name), as it
 * is and with a few bytes changed, always the same ones. What can fail is the target itself, by an assertion or a sanitizer.
 */
#include "tap.h"

#include <dirent.h>

#include "buf.h"
#include "file.h"
#include "xalloc.h"

#define VARIANTS 20
#define INPUT_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(const char *p, size_t n)
{
	uint8_t *copy = xmemdup(p, n); /* of its exact size, so that a read past its end is seen */

	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
}

static void vary(const struct buf *b)
{
	uint64_t x = str_hash(buf_str(b)) | 1;

	for (int i = 0; i < VARIANTS && b->len; i++) {
		char *p = xmemdup(b->data, b->len);
		size_t n = b->len;

		for (int k = 0; k <= i % 4; k++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			p[x % n] = (char)(x >> 32);
		}
		if (i % 5 == 4)
			n -= (size_t)(x >> 16) % n;
		run(p, n);
		free(p);
	}
}

int main(int argc, char **argv)
{
	const char *top = getenv("STITCH_TOP_SRCDIR"), *base = strrchr(argv[0], '/');
	struct str name = str_c(base ? base + 1 : argv[0]);
	struct dirent *de;
	unsigned files = 0;
	char *dir;
	DIR *d;

	(void)argc;
	if (str_ends(name, STR(".tap")))
		name.len -= 4;
	dir = xasprintf("%s/t/fuzz/corpus/" STR_FMT, top ? top : ".", STR_ARG(name));
	d = opendir(dir);
	plan_lazy();
	run("", 0);
	while (d && (de = readdir(d))) {
		char *path = xasprintf("%s/%s", dir, de->d_name);
		struct buf b = BUF_INIT;

		if (de->d_name[0] != '.' && file_read(path, INPUT_MAX, &b, NULL) == 0) {
			run(b.data ? b.data : "", b.len);
			vary(&b);
			files++;
		}
		buf_free(&b);
		free(path);
	}
	if (d)
		closedir(d);
	ok(files > 0, "%u inputs of %s, each with %d variants", files, dir, VARIANTS);
	free(dir);
	return done_testing();
}
