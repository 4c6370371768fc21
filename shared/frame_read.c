/*
 * frame_read.c - reading a batch file: index, frame, index, frame … to the end. Bytes come in pieces by pread (the descriptor's position is not ours), text
 * leaves the decompressor in pieces, and a line is given as a slice of the text that is there; what is kept is one piece and the line that is not whole yet.
 *
 * What can go wrong: everything in the file may be damaged, so each number is checked before it is used, and whatever does not fit is ERR_CORRUPT
 * with the place. A skippable frame in a frame's place would be passed by libzstd without a word; the magic is looked at here first.
 */
#include "base.h"

/* OpenSSL has a type with the name of one of our error codes */
#define ERR_STATE OPENSSL_ERR_STATE
#include <openssl/evp.h>
#undef ERR_STATE

#include "frame.h"

#include <errno.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "xalloc.h"

#define PIECE (128u << 10)
#define INDEX_MAX (4u << 20) /* the streamery makes at most 4096 entries: 1.2 MB */
#define INDEX_HEAD 16
#define ENTRY_HEAD 30
#define WINDOW_LOG_MAX 23

struct frame_reader {
	int fd;
	unsigned char sha256[32];
	bool check, in_frame, failed;
	off_t offset; /* of the next byte to read */
	bool eof;
	struct buf in; /* compressed bytes read; the first `taken` are used */
	size_t taken;
	ZSTD_DCtx *z;
	struct buf text; /* lines; before `pos` given, before `seen` without a newline */
	size_t pos, seen;
	struct buf index;
	struct frame_entry *entries;
	uint32_t n_entries, cap_entries, at; /* at: entries begun */
	uint32_t lines, records;	     /* of the entry that is being read */
};

struct frame_reader *frame_reader_new(int fd, const unsigned char *sha256, struct err *e)
{
	struct frame_reader *r = xcalloc(1, sizeof(*r));

	r->fd = fd;
	r->z = ZSTD_createDCtx();
	if (!r->z) {
		free(r);
		err_set(e, ERR_FULL, "no memory for a decompressor");
		return NULL;
	}
	ZSTD_DCtx_setParameter(r->z, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	r->check = sha256 != NULL;
	if (sha256)
		memcpy(r->sha256, sha256, sizeof(r->sha256));
	return r;
}

void frame_reader_free(struct frame_reader *r)
{
	if (!r)
		return;
	ZSTD_freeDCtx(r->z);
	buf_free(&r->in);
	buf_free(&r->text);
	buf_free(&r->index);
	free(r->entries);
	free(r);
}

static int corrupt(const struct frame_reader *r, struct err *e, const char *what)
{
	return err_set(e, ERR_CORRUPT, "batch file damaged before byte %lld: %s", (long long)r->offset - (long long)(r->in.len - r->taken), what);
}

static enum frame_item refuse(const struct frame_reader *r, struct err *e, const char *what)
{
	corrupt(r, e, what);
	return FRAME_ERROR;
}

static uint64_t get(const char *p, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)(unsigned char)p[i] << (8 * i);
	return v;
}

/* --- bytes --- */

/* n bytes were written behind the end, into room that was reserved */
static void grown(struct buf *b, size_t n)
{
	b->len += n;
	b->data[b->len] = '\0';
}

static ssize_t read_piece(int fd, void *p, off_t offset, struct err *e)
{
	ssize_t n;

	do {
		n = pread(fd, p, PIECE, offset);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		err_errno(e, errno, "reading the batch file");
	return n;
}

static int check_sha256(struct frame_reader *r, struct err *e)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned char got[EVP_MAX_MD_SIZE];
	off_t offset = 0;
	ssize_t n = 0;
	int rc = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 ? 0 : -1;

	buf_reserve(&r->in, PIECE);
	while (!rc && (n = read_piece(r->fd, r->in.data, offset, e)) > 0) {
		rc = EVP_DigestUpdate(md, r->in.data, (size_t)n) == 1 ? 0 : -1;
		offset += n;
	}
	if (!rc && n == 0)
		rc = EVP_DigestFinal_ex(md, got, NULL) == 1 ? 0 : -1;
	EVP_MD_CTX_free(md);
	grown(&r->in, 0);
	if (n < 0)
		return -1;
	if (rc)
		return err_set(e, ERR_INTERNAL, "sha256 of the batch file could not be computed");
	if (memcmp(got, r->sha256, sizeof(r->sha256)) != 0)
		return err_set(e, ERR_CORRUPT, "the batch file is not the one that was written: its sha256 differs (%lld bytes)", (long long)offset);
	return 0;
}

/* At least n bytes behind `taken`, or the file's end. */
static int fill(struct frame_reader *r, size_t n, struct err *e)
{
	if (r->taken == r->in.len || r->in.len - r->taken < n) {
		buf_consume(&r->in, r->taken);
		r->taken = 0;
	}
	while (!r->eof && r->in.len < n) {
		ssize_t got;

		buf_reserve(&r->in, PIECE);
		got = read_piece(r->fd, r->in.data + r->in.len, r->offset, e);
		if (got < 0)
			return -1;
		r->eof = got == 0;
		r->offset += got;
		grown(&r->in, (size_t)got);
	}
	return 0;
}

static size_t left(const struct frame_reader *r)
{
	return r->in.len - r->taken;
}

/* --- an index --- */

static int take_entries(struct frame_reader *r, struct err *e)
{
	const char *p = r->index.data, *end = p + r->index.len - 4;

	if (get(p, 4) != FRAME_MAGIC)
		return corrupt(r, e, "not an index of ours");
	if (get(end, 4) != crc32(0, (const unsigned char *)p, (unsigned)(end - p)))
		return corrupt(r, e, "the checksum of an index is wrong");
	r->n_entries = (uint32_t)get(p + 4, 4);
	p += INDEX_HEAD;
	if (!r->n_entries || r->n_entries > (size_t)(end - p) / ENTRY_HEAD)
		return corrupt(r, e, "an index cannot hold as many entries as it says");
	if (r->n_entries > r->cap_entries) {
		r->entries = xreallocarray(r->entries, r->n_entries, sizeof(*r->entries));
		r->cap_entries = r->n_entries;
	}
	for (uint32_t i = 0; i < r->n_entries; i++) {
		size_t id;

		if (end - p < ENTRY_HEAD || (id = get(p + 28, 2)) > FRAME_REQUEST_ID_MAX || (size_t)(end - p) - ENTRY_HEAD < id)
			return corrupt(r, e, "an entry of an index does not fit");
		r->entries[i] = (struct frame_entry){.offset = get(p, 8),
			.lines = (uint32_t)get(p + 8, 4),
			.records = (uint32_t)get(p + 12, 4),
			.received_at = (int64_t)get(p + 16, 8),
			.part = (uint16_t)get(p + 24, 2),
			.parts = (uint16_t)get(p + 26, 2),
			.request_id = str_mem(p + ENTRY_HEAD, id)};
		p += ENTRY_HEAD + id;
	}
	return p == end ? 0 : corrupt(r, e, "an index is longer than its entries");
}

/* 1: an index and the beginning of its frame; 0: the file's end */
static int open_frame(struct frame_reader *r, struct err *e)
{
	size_t n;

	if (fill(r, 8, e))
		return -1;
	if (!left(r))
		return 0;
	if (left(r) < 8 || get(r->in.data + r->taken, 4) != FRAME_SKIP_MAGIC)
		return corrupt(r, e, "no index before a frame");
	n = get(r->in.data + r->taken + 4, 4);
	if (n < INDEX_HEAD + 4 || n > INDEX_MAX)
		return corrupt(r, e, "an index of an impossible length");
	r->taken += 8;
	if (fill(r, n + 4, e))
		return -1;
	if (left(r) < n + 4)
		return corrupt(r, e, "it ends in an index or behind one");
	buf_truncate(&r->index, 0);
	buf_add(&r->index, r->in.data + r->taken, n);
	r->taken += n;
	if (take_entries(r, e))
		return -1;
	if (get(r->in.data + r->taken, 4) != ZSTD_MAGICNUMBER)
		return corrupt(r, e, "no frame behind an index");
	if (ZSTD_isError(ZSTD_DCtx_reset(r->z, ZSTD_reset_session_only)))
		return err_set(e, ERR_INTERNAL, "zstd: no reset");
	r->at = r->lines = r->records = 0;
	r->in_frame = true;
	return 1;
}

/* --- text --- */

/* More text, or the frame's end (in_frame is false then). */
static int decompress(struct frame_reader *r, struct err *e)
{
	ZSTD_outBuffer out = {.size = PIECE};
	ZSTD_inBuffer in;
	size_t rc;

	if (r->text.len - r->pos > FRAME_LINE_MAX)
		return corrupt(r, e, "a line is too long");
	buf_consume(&r->text, r->pos);
	r->seen -= r->pos;
	r->pos = 0;
	if (fill(r, 1, e))
		return -1;
	buf_reserve(&r->text, PIECE);
	out.dst = r->text.data + r->text.len;
	in = (ZSTD_inBuffer){.src = r->in.data + r->taken, .size = left(r)};
	rc = ZSTD_decompressStream(r->z, &out, &in);
	grown(&r->text, out.pos);
	r->taken += in.pos;
	if (ZSTD_isError(rc))
		return corrupt(r, e, ZSTD_getErrorName(rc));
	if (rc != 0 && !out.pos && !in.pos && r->eof && !left(r))
		return corrupt(r, e, "it ends in a frame");
	r->in_frame = rc != 0;
	return 0;
}

static bool take_line(struct frame_reader *r, struct str *line)
{
	const char *nl = NULL;
	size_t end;

	if (r->text.len > r->seen)
		nl = memchr(r->text.data + r->seen, '\n', r->text.len - r->seen);
	/* the last line of a frame may stand without its newline */
	if (!nl && (r->in_frame || r->pos == r->text.len)) {
		r->seen = r->text.len;
		return false;
	}
	end = nl ? (size_t)(nl - r->text.data) : r->text.len;
	*line = str_mem(r->text.data + r->pos, end - r->pos);
	r->pos = r->seen = MIN(end + 1, r->text.len);
	return true;
}

static int entry_is_whole(struct frame_reader *r, struct err *e)
{
	const struct frame_entry *en = r->at ? &r->entries[r->at - 1] : NULL;

	if (en && r->lines != en->lines)
		return corrupt(r, e, "an entry has fewer lines than its index says");
	if (en && r->records != en->records)
		return corrupt(r, e, "an entry has not as many records as its index says");
	return 0;
}

static enum frame_item classify(struct frame_reader *r, struct str line, struct err *e)
{
	if (str_starts(line, STR("{\"action\":\""))) {
		if (!r->at)
			return refuse(r, e, "a record before the first head");
		if (r->lines == r->entries[r->at - 1].lines)
			return refuse(r, e, "an entry has more lines than its index says");
		r->lines++;
		r->records += str_starts(line, STR("{\"action\":\"upsert\""));
		return FRAME_RECORD;
	}
	if (line.len < 2 || line.ptr[0] != '{')
		return refuse(r, e, "a line is neither a head nor a record");
	if (entry_is_whole(r, e))
		return FRAME_ERROR;
	if (r->at == r->n_entries)
		return refuse(r, e, "more heads than its index has entries");
	r->at++;
	r->lines = r->records = 0;
	return FRAME_HEAD;
}

static enum frame_item next(struct frame_reader *r, struct str *line, struct err *e)
{
	int rc;

	if (r->check && check_sha256(r, e))
		return FRAME_ERROR;
	r->check = false;
	while (!take_line(r, line)) {
		if (r->in_frame) {
			if (decompress(r, e))
				return FRAME_ERROR;
			continue;
		}
		if (entry_is_whole(r, e))
			return FRAME_ERROR;
		if (r->at != r->n_entries)
			return refuse(r, e, "fewer heads than its index has entries");
		rc = open_frame(r, e);
		if (rc <= 0)
			return rc < 0 ? FRAME_ERROR : FRAME_EOF;
	}
	return classify(r, *line, e);
}

enum frame_item frame_next(struct frame_reader *r, struct str *line, const struct frame_entry **entry, uint32_t *index, struct err *e)
{
	enum frame_item item;

	if (r->failed)
		return refuse(r, e, "refused already");
	item = next(r, line, e);
	r->failed = item == FRAME_ERROR;
	if (item > FRAME_EOF) {
		*entry = &r->entries[r->at - 1];
		*index = item == FRAME_RECORD ? r->lines - 1 : 0;
	}
	return item;
}
