/*
 * jscan-speed.c - how fast jscan takes records, beside yajl and jansson in the same run, on one core:
 *   jscan-speed FILE [SECONDS]
 * FILE holds a document a line: a record, or a body with records under "data". The parsers take turns in slices of 0.1 s of CPU time, so that
 * what disturbs the machine disturbs all; a line each: records and MB per second of CPU time.
 */
#include <jansson.h>
#ifdef HAVE_YAJL
#include <yajl/yajl_parse.h>
#endif

#include "buf.h"
#include "file.h"
#include "jscan.h"
#include "tap.h"

#define FILE_MAX (256u << 20)
#define SLICE (NSEC_PER_SEC / 10)

static int64_t cpu_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * NSEC_PER_SEC + t.tv_nsec;
}

static bool by_valid(struct str doc)
{
	return jscan_valid(doc.ptr, doc.len, 0, NULL, NULL);
}

static bool by_tokens(struct str doc)
{
	enum jscan_token t;
	struct jscan s;

	jscan_init(&s, doc.ptr, doc.len, 0);
	while ((t = jscan_next(&s)) > JSCAN_END)
		;
	return t == JSCAN_END;
}

static bool by_minify(struct str doc)
{
	static struct buf out;

	buf_truncate(&out, 0);
	return jscan_minify(doc, &out) > 0;
}

static bool by_jansson(struct str doc)
{
	json_t *j = json_loadb(doc.ptr, doc.len, JSON_DECODE_ANY, NULL);
	bool yes = j != NULL;

	json_decref(j);
	return yes;
}

#ifdef HAVE_YAJL
static int take_text(void *ctx, const unsigned char *p, size_t n)
{
	(void)ctx;
	return p != NULL || n == 0;
}

static int take_number(void *ctx, const char *p, size_t n)
{
	(void)ctx;
	return p != NULL && n > 0;
}

static bool by_yajl(struct str doc)
{
	static const yajl_callbacks cb = {.yajl_number = take_number, .yajl_string = take_text, .yajl_map_key = take_text};
	yajl_handle h = yajl_alloc(&cb, NULL, NULL);
	bool yes = yajl_parse(h, (const unsigned char *)doc.ptr, doc.len) == yajl_status_ok && yajl_complete_parse(h) == yajl_status_ok;

	yajl_free(h);
	return yes;
}
#endif

static struct side {
	const char *name;
	bool (*take)(struct str doc);
	size_t at; /* of the next document in the file */
	uint64_t bytes;
	int64_t ns;
} sides[] = {
	{.name = "jscan, whole", .take = by_valid},
	{.name = "jscan, by token", .take = by_tokens},
	{.name = "jscan_minify", .take = by_minify},
#ifdef HAVE_YAJL
	{.name = "yajl", .take = by_yajl},
#endif
	{.name = "jansson", .take = by_jansson},
};

static void slice(struct side *s, const struct buf *file)
{
	int64_t from = cpu_now(), now = from;

	while (now - from < SLICE) {
		for (int i = 0; i < 16; i++) {
			const char *p = file->data + s->at, *nl = memchr(p, '\n', file->len - s->at);
			size_t n = nl ? (size_t)(nl - p) : file->len - s->at;

			if (n && !s->take(str_mem(p, n)))
				bail("%s refuses the document at byte %zu", s->name, s->at);
			s->bytes += n + 1;
			s->at = nl && (size_t)(nl + 1 - file->data) < file->len ? (size_t)(nl + 1 - file->data) : 0;
		}
		now = cpu_now();
	}
	s->ns += now - from;
}

static uint64_t count_records(const struct buf *file)
{
	uint64_t lines = 0, data = 0;
	struct str rest = buf_str(file);

	while (rest.len) {
		const char *nl = memchr(rest.ptr, '\n', rest.len);
		size_t n = nl ? (size_t)(nl - rest.ptr) : rest.len;
		enum jscan_token t;
		struct jscan s;

		jscan_init(&s, rest.ptr, n, 0);
		while ((t = jscan_next(&s)) > JSCAN_END)
			data += t == JSCAN_KEY && str_eqc(s.tok, "\"data\"");
		lines++;
		n += nl != NULL;
		rest = str_mem(rest.ptr + n, rest.len - n);
	}
	return data ? data : lines;
}

int main(int argc, char **argv)
{
	struct buf file = BUF_INIT;
	struct err e = ERR_INIT;
	int64_t seconds = 3;
	double size;

	if (argc < 2 || (argc > 2 && str_to_i64(str_c(argv[2]), &seconds)))
		bail("usage: jscan-speed FILE [SECONDS]");
	if (file_read(argv[1], FILE_MAX, &file, &e))
		bail("%s", e.text);
	if (!file.len)
		bail("%s is empty", argv[1]);
	size = (double)file.len / (double)count_records(&file);
	for (int64_t i = 0; i < seconds * NSEC_PER_SEC / SLICE; i++)
		for (size_t k = 0; k < ARRAY_LEN(sides); k++)
			slice(&sides[k], &file);
	printf("%zu bytes, %.0f a record\n", file.len, size);
	for (size_t k = 0; k < ARRAY_LEN(sides); k++) {
		double mb = (double)sides[k].bytes / 1e6 / ((double)sides[k].ns / 1e9);

		printf("%-16s %8.3f M records/s %8.0f MB/s\n", sides[k].name, mb / size, mb);
	}
	buf_free(&file);
	return 0;
}
