/*
 * rejects.c - what a load could not take. The daemon has a rejected record, durable, before the load commits; so pieces are sent while the load runs and memory
 * stays bounded. A run that is rolled back and done again meets the same records again: the daemon is told of each once.
 *
 * The rows for the destination's own _sdc_rejected are written at the end of the load, because some destinations can do nothing else while rows stream in.
 * Past KEEP_MAX bytes only the beginning of a record is kept for it.
 */
#include "loaders/runtime/rejects.h"

#include "jwrite.h"
#include "xalloc.h"

#define PIECE_RECORDS 500
#define PIECE_BYTES (4u << 20)
#define KEEP_MAX (32u << 20)
#define KEEP_CUT 256
#define VALUE_MAX 1000
#define DRY_RECORDS 20
#define DRY_RAW (16u << 10)

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static bool was_sent(const struct rejects *r, uint64_t ordinal)
{
	return r->n_sorted && bsearch(&ordinal, r->sent, r->n_sorted, sizeof(*r->sent), by_number);
}

/* At most max bytes, ending with a whole character. */
static struct str cut(struct str s, size_t max)
{
	size_t n = MIN(s.len, max);

	while (n && n < s.len && ((unsigned char)s.ptr[n] & 0xC0) == 0x80)
		n--;
	return str_mem(s.ptr, n);
}

/* To be shown: up to a U+0000, which no JSON text of the protocol may hold. */
static struct str shown(struct str value)
{
	const char *nul = value.len ? memchr(value.ptr, 0, value.len) : NULL;

	return cut(nul ? str_mem(value.ptr, (size_t)(nul - value.ptr)) : value, VALUE_MAX);
}

static void keep(struct rejects *r, size_t batch, uint64_t record, struct str reason, struct str raw)
{
	if (r->bytes + raw.len > KEEP_MAX)
		raw = cut(raw, KEEP_CUT);
	if (r->n == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 16;
		r->kept = xreallocarray(r->kept, r->cap, sizeof(*r->kept));
	}
	r->kept[r->n++] = (struct kept_reject){.batch = batch, .record = record, .reason = str_dup(reason), .raw = str_dup(raw)};
	r->bytes += raw.len + reason.len;
}

static void write_piece(struct rejects *r, const char *batch, uint64_t record, const struct refusal *why, struct str raw)
{
	struct jwrite w;

	if (r->in_piece++)
		buf_addc(&r->piece, ',');
	jwrite_init(&w, &r->piece);
	jwrite_object(&w);
	jwrite_kv_string(&w, "batch", batch);
	jwrite_key(&w, "record");
	jwrite_u64(&w, record);
	jwrite_kv_str(&w, "field", why->field);
	jwrite_kv_str(&w, "value", shown(why->value)); /* the whole of it is in raw */
	jwrite_kv_str(&w, "reason", buf_str(&why->reason));
	jwrite_kv_str(&w, "raw", raw);
	jwrite_object_end(&w);
}

int rejects_add(struct rejects *r, struct loader *l, const struct job *j, size_t batch, uint64_t record, uint64_t ordinal, const struct refusal *why, struct str raw,
	struct err *e)
{
	if (r->dry) {
		if (r->in_piece < DRY_RECORDS)
			write_piece(r, j->batches[batch].id, record, why, cut(raw, DRY_RAW));
		return 0;
	}
	keep(r, batch, record, buf_str(&why->reason), raw);
	if (was_sent(r, ordinal))
		return 0;
	if (r->n_sent == r->cap_sent) {
		r->cap_sent = r->cap_sent ? r->cap_sent * 2 : 64;
		r->sent = xreallocarray(r->sent, r->cap_sent, sizeof(*r->sent));
	}
	r->sent[r->n_sent++] = ordinal;
	write_piece(r, j->batches[batch].id, record, why, raw);
	if (r->in_piece < PIECE_RECORDS && r->piece.len < PIECE_BYTES)
		return 0;
	return rejects_flush(r, l, e);
}

json_t *rejects_first(const struct rejects *r)
{
	struct buf text = BUF_INIT;
	json_t *list;

	buf_addc(&text, '[');
	buf_addstr(&text, buf_str(&r->piece));
	buf_addc(&text, ']');
	list = json_loadb(text.data, text.len, JSON_ALLOW_NUL, NULL);
	buf_free(&text);
	return list ? list : json_array();
}

int rejects_flush(struct rejects *r, struct loader *l, struct err *e)
{
	struct buf params = BUF_INIT;
	int rc;

	if (!r->in_piece || r->dry)
		return 0;
	buf_addf(&params, "{\"load\":%" PRId64 ",\"rejects\":[", l->load);
	buf_addstr(&params, buf_str(&r->piece));
	buf_adds(&params, "]}");
	buf_truncate(&r->piece, 0);
	r->in_piece = 0;
	rc = loader_send_rejects(l, &params, e);
	buf_free(&params);
	return rc;
}

int rejects_store(struct rejects *r, struct loader *l, const struct job *j, struct err *e)
{
	for (size_t k = 0; k < r->n; k++) {
		const struct kept_reject *kr = &r->kept[k];
		struct reject one = {.batch = j->batches[kr->batch].id, .record = kr->record, .reason = str_c(kr->reason), .raw = str_c(kr->raw)};

		if (l->ops->reject(l->self, j, &one, e))
			return -1;
		loader_tick(l, "rejected records");
	}
	return 0;
}

void rejects_again(struct rejects *r)
{
	for (size_t k = 0; k < r->n; k++) {
		free(r->kept[k].reason);
		free(r->kept[k].raw);
	}
	r->n = 0;
	r->bytes = 0;
	if (r->dry) {
		buf_truncate(&r->piece, 0);
		r->in_piece = 0;
	}
	if (r->n_sent)
		qsort(r->sent, r->n_sent, sizeof(*r->sent), by_number);
	r->n_sorted = r->n_sent;
}

void rejects_free(struct rejects *r)
{
	rejects_again(r);
	free(r->kept);
	free(r->sent);
	buf_free(&r->piece);
}
