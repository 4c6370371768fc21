/*
 * batch_name.c - see batch_name.h. The parser is strict: what it refuses is never deleted by the sweeper.
 */
#include "daemon/store/batch_name.h"

#define TABLE_MAX 120
#define TABLE_HASH 17 /* "-" and 16 digits */
#define SUFFIX ".jsonl.zst"

static bool kept(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

void batch_name_table(struct str table, struct buf *out)
{
	size_t start = out->len, whole = start;

	for (size_t i = 0; i < table.len; i++) {
		if (kept(table.ptr[i]))
			buf_addc(out, table.ptr[i]);
		else
			buf_addf(out, "%%%02X", (unsigned char)table.ptr[i]);
		/* where it can be cut without tearing a %XX */
		if (out->len - start <= TABLE_MAX - TABLE_HASH)
			whole = out->len;
	}
	if (out->len - start > TABLE_MAX) {
		buf_truncate(out, whole);
		buf_addf(out, "-%016" PRIx64, str_hash(table));
	}
}

void batch_name_make(const struct batch_name *n, struct buf *out)
{
	buf_addf(out, "%" PRId64 "/", n->source_id);
	batch_name_table(n->table, out);
	buf_addf(out, "/%" PRIu32 "-%020" PRIu64 "-%020" PRIu64 "-", n->partition, n->first, n->last);
	buf_add_hex(out, n->sha256, 8);
	buf_addf(out, "-%s.%" PRIu64 SUFFIX, n->run_id, n->cut);
}

/* What stands before the next c; *s is what stands behind it. */
static bool take(struct str *s, char c, struct str *part)
{
	const char *at = s->len ? memchr(s->ptr, c, s->len) : NULL;

	if (!at)
		return false;
	*part = str_mem(s->ptr, (size_t)(at - s->ptr));
	*s = str_mem(at + 1, s->len - part->len - 1);
	return part->len > 0;
}

bool batch_name_parse(struct str name, struct batch_name *out)
{
	struct str source, partition, first, last, sha, run;
	unsigned char hex[4];
	uint64_t p;

	memset(out, 0, sizeof(*out));
	if (!str_ends(name, STR(SUFFIX)))
		return false;
	name.len -= sizeof(SUFFIX) - 1;
	if (!take(&name, '/', &source) || !take(&name, '/', &out->table) || !take(&name, '-', &partition) || !take(&name, '-', &first) ||
		!take(&name, '-', &last) || !take(&name, '-', &sha) || !take(&name, '.', &run))
		return false;
	if (str_to_i64(source, &out->source_id) || str_to_u64(partition, &p) || p > UINT32_MAX || str_to_u64(first, &out->first) ||
		str_to_u64(last, &out->last) || str_from_hex(sha, out->sha256, 8) || str_from_hex(run, hex, sizeof(hex)) || str_to_u64(name, &out->cut))
		return false;
	out->partition = (uint32_t)p;
	return str_copy(out->run_id, sizeof(out->run_id), run) == 0;
}
