/*
 * rs_stage.c - zlib with a small window (64 KiB a table, so that a load with a hundred subtables stays small), a temporary file that has no name from the
 * beginning, so that a loader that is killed leaves nothing on this machine. What is in the bucket is listed in `keys` before it is sent: a put whose answer was
 * lost may be there all the same.
 */
#include "loaders/redshift/rs_stage.h"

#include <unistd.h>
#include <zlib.h>

#include "file.h"
#include "xalloc.h"

#define OUT (16u << 10)
#define WINDOW (13 + 16) /* 8 KiB; 16: gzip */
#define MEM_LEVEL 6
#define LEVEL 3

struct rs_stage_file {
	z_stream z;
	int fd;
	uint64_t size;
	unsigned char out[OUT];
};

void rs_stage_init(struct rs_stage *s, struct s3 *s3, const char *stem)
{
	*s = (struct rs_stage){.s3 = s3, .stem = xstrdup(stem)};
}

static void close_file(struct rs_stage *s)
{
	if (!s->f)
		return;
	deflateEnd(&s->f->z);
	if (s->f->fd >= 0)
		close(s->f->fd);
	free(s->f);
	s->f = NULL;
}

void rs_stage_free(struct rs_stage *s)
{
	close_file(s);
	for (size_t k = 0; k < s->keys.n; k++)
		free(s->keys.s[k]);
	free(s->keys.s);
	free(s->stem);
	*s = (struct rs_stage){.s3 = NULL};
}

static int open_file(struct rs_stage *s, struct err *e)
{
	int fd = file_temp_any(e);

	if (fd < 0)
		return -1;
	s->f = xcalloc(1, sizeof(*s->f));
	s->f->fd = fd;
	if (deflateInit2(&s->f->z, LEVEL, Z_DEFLATED, WINDOW, MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
		close_file(s);
		return err_set(e, ERR_INTERNAL, "zlib does not start");
	}
	return 0;
}

static int write_out(struct rs_stage_file *f, size_t n, struct err *e)
{
	f->size += n;
	return file_write_all(f->fd, f->out, n, -1, e) ? err_wrap(e, "a file to be staged, aside on this machine") : 0;
}

static int pack(struct rs_stage_file *f, struct str data, int flush, struct err *e)
{
	int rc;

	f->z.next_in = (unsigned char *)(uintptr_t)data.ptr;
	f->z.avail_in = (unsigned)data.len;
	do {
		f->z.next_out = f->out;
		f->z.avail_out = OUT;
		rc = deflate(&f->z, flush);
		if (rc == Z_STREAM_ERROR)
			return err_set(e, ERR_INTERNAL, "zlib has lost its state");
		if (write_out(f, OUT - f->z.avail_out, e))
			return -1;
	} while (f->z.avail_out == 0 || (flush == Z_FINISH && rc != Z_STREAM_END));
	return 0;
}

int rs_stage_end(struct rs_stage *s, struct err *e)
{
	static const struct s3_put put = {.content_type = "application/gzip"};
	char *key;
	int rc;

	if (!s->f)
		return 0;
	if (pack(s->f, STR(""), Z_FINISH, e))
		return -1;
	key = xasprintf("%s-%zu.json.gz", s->stem, s->keys.n);
	names_add(&s->keys, key);
	s->bytes += s->f->size;
	rc = s3_put_fd(s->s3, key, s->f->fd, 0, s->f->size, &put, e);
	free(key);
	close_file(s);
	return rc;
}

int rs_stage_line(struct rs_stage *s, struct str line, struct err *e)
{
	if (!s->f && open_file(s, e))
		return -1;
	s->lines++;
	if (pack(s->f, line, Z_NO_FLUSH, e))
		return -1;
	return s->f->size >= RS_STAGE_BYTES ? rs_stage_end(s, e) : 0;
}
