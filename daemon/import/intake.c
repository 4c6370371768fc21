/*
 * intake.c - groups, fields and the reading of one record, see intake.h. The design: a record's fields nearly always come in the order of
 * the last record's, so the field after the one just met is tried first and only a surprise is hashed. A record is copied without white
 * space while it is checked; it becomes a line only when the rest of its message is known to be good. Of duplicate keys the last one
 * counts: earlier ones are cut out of the copy, so that nobody behind the door has to know that rule. What can go wrong: a body made to grow
 * the tables (millions of different names): refused at IMPORT_FIELDS_MAX.
 */
#include "daemon/import/intake.h"

#include "daemon/core/now.h"
#include "daemon/import/schema.h"
#include "decimal.h"
#include "jwrite.h"
#include "xalloc.h"

#define KEEP_BYTES (1u << 20) /* a buffer above this is given back after the request */
#define KEEP_GROUPS 64u
#define KEEP_FIELDS 4096u
#define CHUNK 16384u

struct arena_chunk {
	struct arena_chunk *next;
	size_t used, cap;
	char data[];
};

/* Names come from outside: with a hash that everybody knows, a sender could choose names that all fall on one place. FNV-1a from a random start. */
static uint64_t seed;

uint64_t name_hash(struct str s)
{
	uint64_t h = seed;

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.ptr[i]) * UINT64_C(0x100000001b3);
	return h ^ h >> 32;
}

const char *jtype_name(enum jtype t)
{
	static const char *const names[] = {"null", "JSONObject", "JSONArray", "String", "Integer", "Integer", "Number", "Boolean", "Null", "String"};

	return names[t];
}

const char *jtype_head_name(enum jtype t)
{
	static const char *const names[] = {"", "object", "array", "string", "integer", "bignum", "number", "boolean", "", "timestamp"};

	return names[t];
}

enum jtype jtype_of(enum jscan_token t, const struct jscan *s)
{
	int64_t v;

	switch (t) {
	case JSCAN_OBJECT:
		return J_OBJECT;
	case JSCAN_ARRAY:
		return J_ARRAY;
	case JSCAN_STRING:
		return J_STRING;
	case JSCAN_NUMBER:
		if (!s->tok_integer)
			return J_NUMBER;
		return s->tok.len <= 18 || !decimal_to_i64(s->tok, &v) ? J_INTEGER : J_BIGNUM;
	case JSCAN_TRUE:
	case JSCAN_FALSE:
		return J_BOOLEAN;
	default:
		return J_NULL;
	}
}

/* --- life --- */

struct intake *intake_new(void)
{
	struct intake *b = xcalloc(1, sizeof(*b));

	if (!seed)
		random_bytes(&seed, sizeof(seed));
	b->schemas = schema_cache_new();
	b->zstd = frame_ctx_new();
	b->transit = transit_new();
	return b;
}

static void group_free(struct group *g)
{
	free(g->fields);
	free(g->index);
	free(g->parts);
	paths_free(&g->paths);
	buf_free(&g->text);
}

static void arena_free(struct intake *b, size_t keep)
{
	struct arena_chunk *c, *next;

	for (c = b->arena, b->arena = NULL; c; c = next) {
		next = c->next;
		if (keep && c->cap == CHUNK) {
			keep--;
			c->used = 0;
			c->next = b->arena;
			b->arena = c;
		} else {
			free(c);
		}
	}
}

void intake_free(struct intake *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->cap_groups; i++)
		group_free(&b->groups[i]);
	free(b->groups);
	free(b->index);
	free(b->seen);
	buf_free(&b->data);
	buf_free(&b->head);
	buf_free(&b->frame);
	buf_free(&b->key);
	buf_free(&b->violations);
	buf_free(&b->rejects);
	for (size_t i = 0; i < SHAPES; i++)
		buf_free(&b->shapes[i].text);
	arena_free(b, 0);
	schema_cache_free(b->schemas);
	frame_ctx_free(b->zstd);
	transit_free(b->transit);
	free(b);
}

static void buf_shrink(struct buf *b)
{
	if (b->cap > KEEP_BYTES)
		buf_free(b);
	else
		buf_truncate(b, 0);
}

/* Empty, with the memory that it has. */
static void group_reset(struct group *g)
{
	struct group old = *g;

	buf_shrink(&old.text);
	paths_reset(&old.paths);
	if (old.cap_fields > KEEP_FIELDS) {
		free(old.fields);
		free(old.index);
		old.fields = NULL;
		old.index = NULL;
		old.cap_fields = old.cap_index = 0;
	} else if (old.cap_index) {
		memset(old.index, 0, old.cap_index * sizeof(*old.index));
	}
	*g = (struct group){.fields = old.fields,
		.cap_fields = old.cap_fields,
		.index = old.index,
		.cap_index = old.cap_index,
		.text = old.text,
		.paths = old.paths,
		.parts = old.parts,
		.cap_parts = old.cap_parts,
		.next = GROUP_NONE};
}

void intake_reset(struct intake *b)
{
	for (size_t i = 0; i < b->n_groups; i++)
		group_reset(&b->groups[i]);
	if (b->cap_groups > KEEP_GROUPS) {
		for (size_t i = 0; i < b->cap_groups; i++)
			group_free(&b->groups[i]);
		free(b->groups);
		free(b->index);
		b->groups = NULL;
		b->index = NULL;
		b->cap_groups = b->cap_index = 0;
	} else if (b->cap_index) {
		memset(b->index, 0, b->cap_index * sizeof(*b->index));
	}
	b->n_groups = 0;
	b->last = GROUP_NONE;
	b->steps = IMPORT_STEPS_MAX;
	b->n_seen = 0;
	b->n_violations = b->n_rejects = b->n_paths = 0;
	b->types = NULL;
	b->mark = 0;
	buf_shrink(&b->data);
	buf_shrink(&b->head);
	buf_shrink(&b->frame);
	buf_shrink(&b->key);
	buf_shrink(&b->violations);
	buf_shrink(&b->rejects);
	arena_free(b, 4);
}

void *intake_alloc(struct intake *b, size_t n)
{
	struct arena_chunk *c = b->arena;

	n = (n + 7) & ~(size_t)7;
	if (!c || c->cap - c->used < n) {
		size_t cap = MAX(n, CHUNK);

		c = xmalloc(sizeof(*c) + cap);
		c->cap = cap;
		c->used = 0;
		c->next = b->arena;
		b->arena = c;
	}
	c->used += n;
	return c->data + c->used - n;
}

static struct str arena_copy(struct intake *b, const char *p, size_t n)
{
	char *to = intake_alloc(b, n + 1);

	memcpy(to, p, n);
	return str_mem(to, n);
}

struct str intake_unescape(struct intake *b, struct str token)
{
	if (!memchr(token.ptr, '\\', token.len))
		return str_mem(token.ptr + 1, token.len - 2);
	buf_truncate(&b->key, 0);
	jscan_unescape(token, &b->key);
	return arena_copy(b, buf_cstr(&b->key), b->key.len);
}

size_t count_chars(struct str token)
{
	struct buf text = BUF_INIT;
	size_t n = 0;

	jscan_unescape(token, &text);
	for (size_t i = 0; i < text.len; i++)
		n += ((unsigned char)text.data[i] & 0xc0) != 0x80;
	buf_free(&text);
	return n;
}

/* --- groups --- */

struct group *intake_add_group(struct intake *b)
{
	struct group *g;

	if (b->n_groups == b->cap_groups) {
		size_t cap = b->cap_groups ? 2 * b->cap_groups : 4;

		b->groups = xreallocarray(b->groups, cap, sizeof(*b->groups));
		memset(b->groups + b->cap_groups, 0, (cap - b->cap_groups) * sizeof(*b->groups));
		b->cap_groups = cap;
	}
	g = &b->groups[b->n_groups++];
	group_reset(g);
	g->first = (uint32_t)(b->n_groups - 1);
	g->schema = STR("null");
	return g;
}

/* The slot of the table, or the free one where it would be. */
static uint32_t *table_slot(struct intake *b, struct str table)
{
	size_t i = name_hash(table) & (b->cap_index - 1);

	while (b->index[i] && !str_eq(b->groups[b->index[i] - 1].table, table))
		i = (i + 1) & (b->cap_index - 1);
	return &b->index[i];
}

struct group *intake_find_table(struct intake *b, struct str table)
{
	uint32_t at;

	if (!b->cap_index)
		return NULL;
	at = *table_slot(b, table);
	return at ? &b->groups[at - 1] : NULL;
}

void intake_index_table(struct intake *b, uint32_t group)
{
	if (2 * b->n_groups > b->cap_index) {
		size_t cap = b->cap_index ? 2 * b->cap_index : 64;

		free(b->index);
		b->index = xcalloc(cap, sizeof(*b->index));
		b->cap_index = cap;
		for (uint32_t i = 0; i < b->n_groups; i++)
			if (b->groups[i].first == i && i != group)
				*table_slot(b, b->groups[i].table) = i + 1;
	}
	*table_slot(b, b->groups[group].table) = group + 1;
}

int group_set_keys(struct intake *b, struct group *g, struct str raw)
{
	enum jscan_token t;
	struct jscan s;
	struct jwrite w;
	struct buf text = BUF_INIT;
	size_t n = 0, cap = 1;

	for (size_t i = 0; i < raw.len; i++)
		cap += raw.ptr[i] == ',';
	cap = MIN(cap, IMPORT_KEYS_MAX);
	g->keys = intake_alloc(b, cap * sizeof(*g->keys));
	jwrite_init(&w, &text);
	jwrite_array(&w);
	jscan_init(&s, raw.ptr, raw.len, 0);
	t = jscan_next(&s);
	while (t == JSCAN_ARRAY && (t = jscan_next(&s)) == JSCAN_STRING) {
		struct str name = intake_unescape(b, s.tok);
		size_t i = 0;

		while (i < n && !str_eq(g->keys[i], name))
			i++;
		if (i == IMPORT_KEYS_MAX)
			break;
		if (i == n) {
			g->keys[n++] = name;
			jwrite_str(&w, name);
		}
		t = JSCAN_ARRAY;
	}
	jwrite_array_end(&w);
	g->n_keys = n;
	g->key_names = arena_copy(b, buf_cstr(&text), text.len);
	buf_free(&text);
	return t == JSCAN_ARRAY_END ? 0 : -1;
}

/* --- fields --- */

static void index_fields(struct group *g)
{
	size_t cap = g->cap_index ? 2 * g->cap_index : 64;

	free(g->index);
	g->index = xcalloc(cap, sizeof(*g->index));
	g->cap_index = cap;
	for (uint32_t i = 0; i < g->n_fields; i++) {
		size_t at = name_hash(g->fields[i].name) & (cap - 1);

		while (g->index[at])
			at = (at + 1) & (cap - 1);
		g->index[at] = i + 1;
	}
}

static uint32_t find_field(const struct group *g, struct str name)
{
	size_t at;

	if (!g->cap_index)
		return UINT32_MAX;
	at = name_hash(name) & (g->cap_index - 1);
	while (g->index[at]) {
		if (str_eq(g->fields[g->index[at] - 1].name, name))
			return g->index[at] - 1;
		at = (at + 1) & (g->cap_index - 1);
	}
	return UINT32_MAX;
}

/* The field of this key; made when it is new. UINT32_MAX: there are too many. */
static uint32_t field_of(struct intake *b, struct group *g, struct str raw, bool escaped)
{
	struct str name = escaped ? intake_unescape(b, raw) : str_mem(raw.ptr + 1, raw.len - 2);
	uint32_t i = find_field(g, name);
	size_t at;

	if (i != UINT32_MAX || g->n_fields == IMPORT_FIELDS_MAX)
		return i;
	if (2 * (g->n_fields + 1) > g->cap_index)
		index_fields(g);
	if (g->n_fields == g->cap_fields) {
		g->cap_fields = g->cap_fields ? 2 * g->cap_fields : 32;
		g->fields = xreallocarray(g->fields, g->cap_fields, sizeof(*g->fields));
	}
	i = (uint32_t)g->n_fields++;
	g->fields[i] = (struct field){.raw = raw, .name = name, .path = PATH_NONE};
	at = name_hash(name) & (g->cap_index - 1);
	while (g->index[at])
		at = (at + 1) & (g->cap_index - 1);
	g->index[at] = i + 1;
	return i;
}

/* --- one record --- */

static void add_seen(struct intake *b, struct group *g, uint32_t field, enum jtype type, size_t at, size_t value)
{
	struct field *f = &g->fields[field];

	if (b->n_seen == b->cap_seen) {
		b->cap_seen = b->cap_seen ? 2 * b->cap_seen : 64;
		b->seen = xreallocarray(b->seen, b->cap_seen, sizeof(*b->seen));
	}
	if (f->seen == b->serial) {
		b->seen[f->at].dropped = true;
		b->duplicates = true;
	}
	f->seen = b->serial;
	f->at = (uint32_t)b->n_seen;
	b->seen[b->n_seen++] = (struct seen){
		.field = field, .type = (uint8_t)type, .at = (uint32_t)at, .len = (uint32_t)(b->data.len - at), .value = (uint32_t)value};
}

/* A record in few bytes cannot have too many data points: only long ones are counted. */
static void count_points(struct str record, struct refusal *r)
{
	enum jscan_token t;
	struct jscan s;
	unsigned n = 0;

	if (record.len < 2 * IMPORT_POINTS_MAX)
		return;
	jscan_init(&s, record.ptr, record.len, 0);
	while ((t = jscan_next(&s)) > JSCAN_END)
		n += t >= JSCAN_STRING;
	if (n > IMPORT_POINTS_MAX)
		refuse_error(r, 400, "Request failed validation:#/messages: a record has %u data points; the limit is %u", n, IMPORT_POINTS_MAX);
}

/* Cut out what a later duplicate replaces. */
static void drop_duplicates(struct intake *b)
{
	size_t to = 1;

	for (size_t i = 0; i < b->n_seen; i++) {
		struct seen *s = &b->seen[i];

		if (s->dropped)
			continue;
		if (to > 1)
			b->data.data[to++] = ',';
		memmove(b->data.data + to, b->data.data + s->at, s->len);
		s->value -= s->at - (uint32_t)to;
		s->at = (uint32_t)to;
		to += s->len;
	}
	buf_truncate(&b->data, to);
	buf_addc(&b->data, '}');
}

int record_read(struct intake *b, struct group *g, struct jscan *s, struct refusal *r)
{
	const char *start = s->p - 1;
	enum jscan_token t;
	uint32_t guess = 0;

	b->serial++;
	b->n_seen = 0;
	b->duplicates = false;
	paths_undo(&g->paths);
	buf_truncate(&b->data, 0);
	/* not longer than what is left of the body; untouched pages cost nothing */
	buf_reserve(&b->data, (size_t)(s->end - start) + 16);
	b->data.data[b->data.len++] = '{';
	while ((t = jscan_next(s)) == JSCAN_KEY) {
		struct str key = s->tok;
		bool escaped = s->tok_escaped;
		size_t at, value;
		uint32_t i = guess;
		enum jtype type;

		if (b->data.len > 1)
			b->data.data[b->data.len++] = ',';
		at = b->data.len;
		buf_put_token(&b->data, key);
		b->data.data[b->data.len++] = ':';
		value = b->data.len;
		if (i >= g->n_fields || g->fields[i].raw.len != key.len || memcmp(g->fields[i].raw.ptr, key.ptr, key.len) != 0)
			i = field_of(b, g, key, escaped);
		if (i == UINT32_MAX) {
			refuse_error(r, 400, "Request failed validation:#/messages: the records have more than %u different fields",
				IMPORT_FIELDS_MAX);
			i = 0; /* read on, to know whether the rest is well formed */
		}
		t = jscan_next(s);
		if (t == JSCAN_ERROR)
			return -1;
		type = jtype_of(t, s);
		if (type > J_ARRAY) {
			buf_put_token(&b->data, s->tok);
			if (b->types)
				type = paths_told(b, s->tok.ptr, type);
		} else {
			if (paths_read(b, &g->paths, s, &g->fields[i].path))
				return -1;
		}
		add_seen(b, g, i, type, at, value);
		guess = i + 1;
	}
	if (t != JSCAN_OBJECT_END)
		return -1;
	b->data.data[b->data.len++] = '}';
	b->data.data[b->data.len] = '\0';
	if (b->duplicates)
		drop_duplicates(b);
	count_points(buf_str(&b->data), r);
	return 0;
}

enum jtype record_field(struct intake *b, struct group *g, struct str name, struct str *value)
{
	uint32_t i = find_field(g, name);
	const struct seen *s;

	if (i == UINT32_MAX || g->fields[i].seen != b->serial)
		return J_ABSENT;
	s = &b->seen[g->fields[i].at];
	*value = str_mem(b->data.data + s->value, s->at + s->len - s->value);
	return (enum jtype)s->type;
}

const struct field *group_field(const struct group *g, struct str name)
{
	uint32_t i = find_field(g, name);

	return i == UINT32_MAX ? NULL : &g->fields[i];
}

/* The line at the end of text belongs to the part that is open; a part ends when it is long enough. */
static void end_line(struct group *g, bool record)
{
	struct part *p = g->n_parts ? &g->parts[g->n_parts - 1] : NULL;
	size_t from = g->n_parts > 1 ? g->parts[g->n_parts - 2].end : 0;

	if (!p || p->end - from >= QREC_SPLIT) {
		if (g->n_parts == g->cap_parts) {
			g->cap_parts = g->cap_parts ? 2 * g->cap_parts : 4;
			g->parts = xreallocarray(g->parts, g->cap_parts, sizeof(*g->parts));
		}
		p = &g->parts[g->n_parts++];
		*p = (struct part){.end = 0};
	}
	p->end = g->text.len;
	p->lines++;
	g->lines++;
	p->records += record;
	g->records += record;
}

void record_keep(struct intake *b, struct group *g, struct str sequence, struct str time_extracted)
{
	for (size_t i = 0; i < b->n_seen; i++) {
		const struct seen *s = &b->seen[i];
		struct field *f = &g->fields[s->field];

		if (s->dropped)
			continue;
		f->present++;
		if (s->type == J_NULL)
			continue;
		f->filled++;
		f->longest = MAX(f->longest, s->len);
		if (f->mask & (1u << s->type))
			continue;
		f->mask = (uint16_t)(f->mask | (1u << s->type));
		f->kinds[f->n_kinds++] = s->type;
	}
	g->paths.n_fresh = 0;
	buf_reserve(&g->text, b->data.len + sequence.len + time_extracted.len + 80);
	buf_put_token(&g->text, STR("{\"action\":\"upsert\",\"sequence\":"));
	buf_put_token(&g->text, sequence);
	if (time_extracted.len) {
		buf_put_token(&g->text, STR(",\"time_extracted\":"));
		buf_put_token(&g->text, time_extracted);
	}
	buf_put_token(&g->text, STR(",\"data\":"));
	buf_put_token(&g->text, buf_str(&b->data));
	buf_put_token(&g->text, STR("}\n"));
	g->text.data[g->text.len] = '\0';
	if (b->data.len > KEEP_BYTES)
		buf_free(&b->data); /* one huge record is not held twice */
	end_line(g, true);
}

void group_add_activate(struct group *g, struct str sequence)
{
	buf_adds(&g->text, "{\"action\":\"activate_version\",\"sequence\":");
	buf_addstr(&g->text, sequence);
	buf_adds(&g->text, "}\n");
	end_line(g, false);
}
