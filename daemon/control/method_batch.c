/*
 * method_batch.c - what is in a batch file, line by line.
 *
 * A page of lines is bounded by what fits a line of the protocol; the token of the next page is the number of the line. The file is read again from its
 * beginning for each page: batch files are small, and nothing has to be remembered between calls.
 */
#include "daemon/control/methods.h"

#include <unistd.h>

#include "frame.h"
#include "xalloc.h"

#define PAGE_BYTES (300u << 10) /* quotes double when they travel inside a string */

static void add_line(json_t *lines, struct str line)
{
	json_t *o;
	char *s;

	if (line.len <= PAGE_BYTES) {
		json_array_append_new(lines, slice_json(line));
		return;
	}
	o = json_pack("{s:s, s:I}", "too_long_to_show", "read the batch file itself", "bytes", (json_int_t)line.len);
	s = compact(o);
	json_array_append_new(lines, json_string(s));
	free(s);
	json_decref(o);
}

/* Lines from number `from` on; *next: the first that is not in, or 0 at the end. */
static int read_lines(int fd, const unsigned char *sha256, uint64_t from, unsigned limit, json_t *lines, uint64_t *next, struct err *e)
{
	struct frame_reader *r = frame_reader_new(fd, sha256, e);
	const struct frame_entry *entry;
	enum frame_item item;
	struct str line;
	uint64_t number = 0;
	size_t bytes = 0;
	uint32_t index;

	*next = 0;
	if (!r)
		return -1;
	while ((item = frame_next(r, &line, &entry, &index, e)) > FRAME_EOF) {
		if (item != FRAME_RECORD || number++ < from)
			continue;
		bytes += MIN(line.len, PAGE_BYTES);
		if (json_array_size(lines) && (bytes > PAGE_BYTES || json_array_size(lines) == limit)) {
			*next = number - 1;
			break;
		}
		add_line(lines, line);
	}
	frame_reader_free(r);
	return item == FRAME_ERROR ? -1 : 0;
}

json_t *method_batch_cat(struct control_call *c, struct err *e)
{
	struct batch_row b = {.table_id = 0};
	json_t *lines = json_array(), *v = NULL;
	int64_t from = param_int(c, "after", 0);
	uint64_t next = 0;
	char token[24];
	int fd = -1;

	if (db_batch_get(c->db, param_str(c, "batch"), &b, e)) {
		json_decref(lines);
		return NULL;
	}
	if (b.deleted) {
		err_set(e, ERR_NOT_FOUND, "the file of batch %s was deleted after all destinations had it (batch_keep)", b.id);
		goto out;
	}
	fd = store_get(c->ct->parts.store, b.path, e);
	if (fd < 0 || read_lines(fd, b.sha256, (uint64_t)MAX(from, 0), param_limit(c), lines, &next, e))
		goto out;
	snprintf(token, sizeof(token), "%" PRIu64, next);
	v = json_pack("{s:O, s:o}", "lines", lines, "next", next ? json_string(token) : json_null());
out:
	if (fd >= 0)
		close(fd);
	json_decref(lines);
	batch_row_free(&b);
	return v;
}
