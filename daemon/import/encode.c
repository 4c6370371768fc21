/*
 * encode.c - groups of lines into queue records. Each part of a group is a frame of its own: the group's head line (the same in all its parts), then
 * the part's lines. Where a part ends depends on the body alone (about QREC_SPLIT bytes of lines), so that the same request sent again
 * makes the same parts. Parts are counted per table, over its groups: (source, request id, table, part) names one queue record.
 */
#include "daemon/import/intake.h"

#include "jwrite.h"
#include "xalloc.h"

#define LARGE (1u << 20)

/* Where nested paths have to end, so that they never make a head too long: what else is in it has room in any case. */
static size_t paths_end(const struct jwrite *w, const struct group *g)
{
	size_t others = w->out->len + 1024;

	for (size_t i = 0; i < g->n_fields; i++) /* a name as it was sent is at most trebled by its escapes (\n: \u000a) */
		others += (memchr(g->fields[i].raw.ptr, '\\', g->fields[i].raw.len) ? 3 : 1) * g->fields[i].raw.len + 4 + 12u * g->fields[i].n_kinds;
	return others < IMPORT_HEAD_MAX ? IMPORT_HEAD_MAX - others : 0;
}

/* A name that could be taken for a path is not listed, nor a field without a value. */
static bool is_listed(const struct field *f)
{
	return f->n_kinds && (f->raw.len == f->name.len + 2 || path_is_name(f->name));
}

static void write_types(struct intake *b, struct jwrite *w, struct group *g)
{
	size_t end = g->paths.n ? paths_end(w, g) : 0, nested = 0, before;
	unsigned listed = 0;

	paths_undo(&g->paths); /* the last record was refused */
	jwrite_key(w, "types");
	jwrite_object(w);
	for (size_t i = 0; i < g->n_fields; i++) {
		const struct field *f = &g->fields[i];

		if (!is_listed(f))
			continue;
		jwrite_key_str(w, f->name);
		jwrite_array(w);
		for (unsigned k = 0; k < f->n_kinds; k++)
			jwrite_string(w, jtype_head_name((enum jtype)f->kinds[k]));
		jwrite_array_end(w);
	}
	/* after all fields: where a table has no room for more columns, a record with very many members must not take those of others' fields */
	for (size_t i = 0; i < g->n_fields; i++) {
		const struct field *f = &g->fields[i];

		if (f->path == PATH_NONE || !is_listed(f))
			continue;
		buf_truncate(&b->key, 0);
		buf_addstr(&b->key, f->name);
		before = w->out->len;
		paths_write(&g->paths, f->path, f->mask, w, &b->key, &listed, end > nested ? before + (end - nested) : 0);
		nested += w->out->len - before;
	}
	jwrite_object_end(w);
}

static uint64_t hash_shape(struct intake *b, struct str text)
{
	struct shape *s = &b->shapes[text.len % SHAPES];

	if (text.len > SHAPE_MAX)
		return str_hash(text);
	if (!str_eq(buf_str(&s->text), text)) {
		buf_truncate(&s->text, 0);
		buf_addstr(&s->text, text);
		s->hash = str_hash(text);
	}
	return s->hash;
}

/* The head line. *shape: hash of key_names, schema, types and version, as they stand in it; *keys: of key_names and version. */
static void write_head(struct intake *b, struct group *g, const struct encode_request *q, uint64_t *shape, uint64_t *keys)
{
	struct jwrite w;
	size_t from;

	buf_truncate(&b->head, 0);
	jwrite_init(&w, &b->head);
	jwrite_object(&w);
	jwrite_kv_i64(&w, "source", q->source_id);
	jwrite_kv_str(&w, "table", g->table);
	from = b->head.len;
	jwrite_key(&w, "key_names");
	jwrite_raw(&w, g->key_names);
	jwrite_key(&w, "schema");
	jwrite_raw(&w, g->schema);
	write_types(b, &w, g);
	jwrite_kv_i64(&w, "table_version", g->table_version);
	*shape = hash_shape(b, str_mem(b->head.data + from, b->head.len - from));
	jwrite_kv_i64(&w, "received_at", q->received_at);
	jwrite_object_end(&w);
	buf_addc(&b->head, '\n');
	buf_truncate(&b->key, 0);
	buf_addstr(&b->key, g->key_names);
	buf_addf(&b->key, "%" PRId64, g->table_version);
	*keys = str_hash(buf_str(&b->key));
}

static void encode_group(struct intake *b, struct group *g, const struct encode_request *q, uint64_t shape, uint64_t keys, struct queue_put *put)
{
	struct group *first = &b->groups[g->first];
	size_t from = 0, head = b->head.len;

	for (size_t i = 0; i < g->n_parts; i++) {
		const struct part *p = &g->parts[i];
		struct qrec rec = {
			.source_id = q->source_id,
			.records = p->records,
			.lines = p->lines,
			.flags = q->keyed ? QREC_KEYED : 0,
			.part = (uint16_t)first->next_part++,
			.parts = (uint16_t)first->table_parts,
			.received_at = q->received_at,
			.table_version = g->table_version,
			.shape_hash = shape,
			.keys_hash = keys,
			.table = g->table,
			.request_id = q->request_id,
		};

		buf_truncate(&b->head, head);
		buf_add(&b->head, g->text.data + from, p->end - from);
		from = p->end;
		if (i + 1 == g->n_parts && g->text.len > LARGE)
			buf_free(&g->text); /* all of it is copied: a huge record is not held in every form at once */
		buf_truncate(&b->frame, 0);
		rec.codec = (uint8_t)frame_encode(b->zstd, buf_str(&b->head), &b->frame);
		rec.body = buf_str(&b->frame);
		if (b->head.len > 2 * LARGE) {
			buf_truncate(&b->head, head);
			b->head.data = xrealloc(b->head.data, head + 1);
			b->head.cap = head + 1;
		}
		qrec_encode(&rec, &put->bytes);
		put->n++;
	}
	buf_truncate(&b->head, head);
}

int encode_batch(struct intake *b, const struct encode_request *q, struct queue_put *put, struct refusal *r)
{
	uint64_t shape, keys;

	put->n = 0;
	for (size_t i = 0; i < b->n_groups; i++)
		b->groups[b->groups[i].first].table_parts += (uint32_t)b->groups[i].n_parts;
	for (size_t i = 0; i < b->n_groups; i++) {
		struct group *g = &b->groups[i];

		write_head(b, g, q, &shape, &keys);
		if (b->head.len > IMPORT_HEAD_MAX)
			return refuse_error(r, 400,
				"Request failed validation:#/schema: schema, key names and field names together have %zu bytes; the limit is %u",
				b->head.len, IMPORT_HEAD_MAX);
		encode_group(b, g, q, shape, keys, put);
	}
	return 0;
}
