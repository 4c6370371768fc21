/*
 * frame.c - fuzz target: any bytes as a batch file, as its last frame behind a sound index, as the text of a sound frame, as one frame in memory, and as head
 * and record lines. Whatever is taken must have slices inside its input, and every refusal a code and a text.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "frame.h"
#include "xalloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool inside(struct str part, struct str whole)
{
	return !part.ptr || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static void read_all(const void *p, size_t n)
{
	static int fd = -1;
	const struct frame_entry *en;
	struct frame_reader *r;
	enum frame_item item;
	struct err e = ERR_INIT;
	struct str line;
	uint32_t index;

	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, p, n, 0) != (ssize_t)n)
		abort();
	r = frame_reader_new(fd, NULL, &e);
	while ((item = frame_next(r, &line, &en, &index, &e)) > FRAME_EOF) {
		assert(item == FRAME_HEAD ? index == 0 : index < en->lines);
		assert(line.len <= FRAME_LINE_MAX + (1u << 18) && !memchr(line.ptr, '\n', line.len) && en->request_id.len <= FRAME_REQUEST_ID_MAX);
	}
	assert(item == FRAME_EOF || (e.code == ERR_CORRUPT && e.text[0]));
	frame_reader_free(r);
}

static void one_frame(struct str f)
{
	struct buf out = BUF_INIT, head = BUF_INIT;
	bool whole = !frame_decode(f, 1u << 20, &out, NULL);

	assert(whole || !out.len);
	if (!frame_head(f, &head, NULL))
		assert(!memchr(buf_cstr(&head), '\n', head.len));
	else
		assert(!whole && !head.len);
	buf_free(&out);
	buf_free(&head);
}

static void lines(struct str s)
{
	struct frame_head h = {.table = BUF_INIT};
	struct frame_record r;
	struct err e = ERR_INIT;

	if (frame_record_parse(s, &r, &e))
		assert(e.code == ERR_CORRUPT);
	else
		assert(inside(r.sequence, s) && inside(r.time_extracted, s) && inside(r.data, s) && r.sequence.len && r.activate == !r.data.ptr);
	if (!frame_head_parse(s, &h, &e))
		assert(inside(h.key_names, s) && inside(h.schema, s) && inside(h.types, s) && h.types.len);
	buf_free(&h.table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct frame_ctx *ctx;
	char *copy = xmemdup(data, size);
	struct str s = str_mem(copy, size);
	struct frame_entry en = {.lines = size ? data[0] % 4 : 0, .records = size ? data[0] % 4 : 0, .parts = 1};
	struct buf file = BUF_INIT;

	if (!ctx)
		ctx = frame_ctx_new();
	read_all(s.ptr, s.len);
	one_frame(s);
	lines(s);
	frame_index(&en, 1, &file);
	buf_addstr(&file, s);
	read_all(file.data, file.len);
	buf_truncate(&file, 0);
	frame_index(&en, 1, &file);
	frame_encode(ctx, s, &file);
	read_all(file.data, file.len);
	buf_free(&file);
	free(copy);
	return 0;
}
