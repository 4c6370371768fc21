/*
 * paths.c - the types of nested values, see paths.h. The design is that of fields (intake.c): members nearly always come in the order of their first
 * appearance, so the one after the member just met is tried first and only a surprise is hashed; an element of an array needs no search. What was seen is
 * kept as one bit, so a record of a known shape costs a comparison for each value. A record may yet be refused when it was read (a batch that is taken in
 * part): what it brought is in `fresh` until it is kept.
 *
 * What can go wrong: bodies made to grow the tree. It is bounded in depth, per group and per request; what is beyond is copied and not listed, and the
 * loader then says that the value is nested too deep or has too many fields.
 */
#include "daemon/import/paths.h"

#include "daemon/import/intake.h"
#include "xalloc.h"

#define KEEP_PATHS 4096u

void paths_free(struct paths *p)
{
	free(p->path);
	free(p->index);
	free(p->fresh);
	*p = (struct paths){.n = 0};
}

void paths_reset(struct paths *p)
{
	if (p->cap > KEEP_PATHS || p->cap_fresh > KEEP_PATHS)
		paths_free(p);
	else if (p->n && p->cap_index)
		memset(p->index, 0, p->cap_index * sizeof(*p->index));
	p->n = p->n_fresh = 0;
}

bool path_is_name(struct str name)
{
	return !memchr(name.ptr, PATH_MEMBER, name.len) && !memchr(name.ptr, PATH_ELEMENT, name.len);
}

enum jtype paths_told(struct intake *b, const char *value, enum jtype type)
{
	const struct transit *t = b->types;
	size_t at = (size_t)(value - t->out.data);

	while (b->mark < t->n_marks && t->marks[b->mark].at < at)
		b->mark++;
	if (b->mark == t->n_marks || t->marks[b->mark].at != at)
		return type;
	return t->marks[b->mark].type == TRANSIT_TIMESTAMP ? J_TIMESTAMP : J_NUMBER;
}

/* --- the tree --- */

static uint32_t path_add(struct intake *b, struct paths *p, uint32_t parent)
{
	if (p->n == PATHS_NODES_MAX || b->n_paths == PATHS_REQUEST_MAX)
		return PATH_NONE;
	b->n_paths++;
	if (p->n == p->cap) {
		p->cap = p->cap ? 2 * p->cap : 16;
		p->path = xreallocarray(p->path, p->cap, sizeof(*p->path));
	}
	p->path[p->n] = (struct path){.parent = parent,
		.element = PATH_NONE,
		.first = PATH_NONE,
		.last = PATH_NONE,
		.next = PATH_NONE,
		.depth = (uint8_t)(parent == PATH_NONE ? 1 : p->path[parent].depth + 1)};
	return (uint32_t)p->n++;
}

static size_t slot_of(const struct paths *p, uint32_t parent, struct str name)
{
	size_t i = (name_hash(name) ^ parent * UINT64_C(0x9e3779b97f4a7c15)) & (p->cap_index - 1);
	uint32_t at;

	while ((at = p->index[i]) && (p->path[at - 1].parent != parent || !str_eq(p->path[at - 1].name, name)))
		i = (i + 1) & (p->cap_index - 1);
	return i;
}

static void index_grow(struct paths *p)
{
	free(p->index);
	p->cap_index = p->cap_index ? 2 * p->cap_index : 64;
	p->index = xcalloc(p->cap_index, sizeof(*p->index));
	for (uint32_t i = 0; i < p->n; i++)
		if (p->path[i].raw.ptr)
			p->index[slot_of(p, p->path[i].parent, p->path[i].name)] = i + 1;
}

/* The member of this key; made when it is new. PATH_NONE: it is not listed. */
static uint32_t find_member(struct intake *b, struct paths *p, uint32_t parent, struct str raw, bool escaped)
{
	struct str name = escaped ? intake_unescape(b, raw) : str_mem(raw.ptr + 1, raw.len - 2);
	struct path *in;
	uint32_t i;
	size_t at;

	if (escaped && !path_is_name(name))
		return PATH_NONE;
	if (2 * (p->n + 1) > p->cap_index)
		index_grow(p);
	at = slot_of(p, parent, name);
	if (p->index[at])
		return p->index[at] - 1;
	i = path_add(b, p, parent);
	if (i == PATH_NONE)
		return i;
	p->path[i].raw = raw;
	p->path[i].name = name;
	p->index[at] = i + 1;
	in = &p->path[parent];
	if (in->first == PATH_NONE)
		in->first = i;
	else
		p->path[in->last].next = i;
	in->last = i;
	return i;
}

static uint32_t element_of(struct intake *b, struct paths *p, uint32_t array)
{
	if (p->path[array].element == PATH_NONE) {
		uint32_t i = path_add(b, p, array);

		p->path[array].element = i;
	}
	return p->path[array].element;
}

static void note(struct paths *p, uint32_t at, enum jtype type)
{
	struct path *x = &p->path[at];

	x->mask = (uint16_t)(x->mask | 1u << type);
	x->kinds[x->n_kinds++] = (uint8_t)type;
	if (p->n_fresh == p->cap_fresh) {
		p->cap_fresh = p->cap_fresh ? 2 * p->cap_fresh : 64;
		p->fresh = xreallocarray(p->fresh, p->cap_fresh, sizeof(*p->fresh));
	}
	p->fresh[p->n_fresh++] = at;
}

void paths_undo(struct paths *p)
{
	while (p->n_fresh) {
		struct path *x = &p->path[p->fresh[--p->n_fresh]];

		x->mask = (uint16_t)(x->mask & ~(1u << x->kinds[--x->n_kinds]));
	}
}

/* --- reading --- */

struct open { /* an object or array that is being read */
	uint32_t path;
	uint32_t guess; /* of an object: the member that should come now; of an array: its elements' path */
	bool object;
};

static struct open enter(struct intake *b, struct paths *p, uint32_t at, bool object)
{
	return (struct open){.path = at, .guess = object ? p->path[at].first : element_of(b, p, at), .object = object};
}

static inline uint32_t member_at(struct intake *b, struct paths *p, struct open *o, const struct jscan *s)
{
	uint32_t i = o->guess;

	if (i == PATH_NONE || p->path[i].raw.len != s->tok.len || memcmp(p->path[i].raw.ptr, s->tok.ptr, s->tok.len) != 0)
		i = find_member(b, p, o->path, s->tok, s->tok_escaped);
	if (i != PATH_NONE)
		o->guess = p->path[i].next;
	return i;
}

int paths_read(struct intake *b, struct paths *p, struct jscan *s, uint32_t *root)
{
	bool object = *s->tok.ptr == '{';
	struct open stack[PATHS_DEPTH_MAX], *o = stack;
	struct buf *out = &b->data;
	enum jscan_token t;

	if (*root == PATH_NONE)
		*root = path_add(b, p, PATH_NONE);
	if (*root == PATH_NONE) {
		if (jscan_skip(s) == JSCAN_ERROR)
			return -1;
		jscan_minify(s->tok, out);
		return 0;
	}
	*o = enter(b, p, *root, object);
	out->data[out->len++] = object ? '{' : '[';
	for (;;) {
		uint32_t at = o->guess;
		enum jtype type;

		t = jscan_next(s);
		if (t == JSCAN_OBJECT_END || t == JSCAN_ARRAY_END) {
			out->data[out->len++] = t == JSCAN_OBJECT_END ? '}' : ']';
			if (o-- == stack)
				return 0;
			continue;
		}
		if (out->data[out->len - 1] != '{' && out->data[out->len - 1] != '[') /* it has just opened */
			out->data[out->len++] = ',';
		if (t == JSCAN_KEY) {
			buf_put_token(out, s->tok);
			out->data[out->len++] = ':';
			at = member_at(b, p, o, s);
			t = jscan_next(s);
		}
		if (t <= JSCAN_END)
			return -1;
		type = jtype_of(t, s);
		if (type > J_ARRAY) {
			buf_put_token(out, s->tok);
			if (b->types)
				type = paths_told(b, s->tok.ptr, type);
		}
		if (at != PATH_NONE && type != J_NULL && !(p->path[at].mask >> type & 1))
			note(p, at, type);
		if (type > J_ARRAY)
			continue;
		if (at == PATH_NONE || p->path[at].depth == PATHS_DEPTH_MAX) {
			if (jscan_skip(s) == JSCAN_ERROR)
				return -1;
			jscan_minify(s->tok, out);
			continue;
		}
		*++o = enter(b, p, at, type == J_OBJECT);
		out->data[out->len++] = type == J_OBJECT ? '{' : '[';
	}
}

/* --- writing --- */

static bool write_one(struct jwrite *w, const struct buf *name, const struct path *x, unsigned *listed, size_t end)
{
	/* a byte of a name is six as an escape */
	if (*listed == PATHS_LISTED_MAX || name->len > end || w->out->len + 6 * name->len + 200 > end)
		return false;
	++*listed;
	jwrite_key_str(w, buf_str(name));
	jwrite_array(w);
	for (unsigned k = 0; x && k < x->n_kinds; k++)
		jwrite_string(w, jtype_head_name((enum jtype)x->kinds[k]));
	jwrite_array_end(w);
	return true;
}

/* A path and what lies in it; false: it had no kind, or there is no room. */
static bool write_path(const struct paths *p, uint32_t at, struct jwrite *w, struct buf *name, unsigned *listed, size_t end)
{
	const struct path *x = &p->path[at];

	if (!x->n_kinds || !write_one(w, name, x, listed, end))
		return false;
	paths_write(p, at, x->mask, w, name, listed, end);
	return true;
}

/* Recurses; the depth is bounded. Where nothing is listed of what objects or arrays hold, a path without kinds says that one looked. */
void paths_write(const struct paths *p, uint32_t at, unsigned mask, struct jwrite *w, struct buf *name, unsigned *listed, size_t end)
{
	const struct path *x = &p->path[at];
	size_t len = name->len;
	bool any = false;

	if (mask >> J_OBJECT & 1) {
		buf_addc(name, PATH_MEMBER);
		for (uint32_t i = x->first; i != PATH_NONE; i = p->path[i].next) {
			buf_addstr(name, p->path[i].name);
			any |= write_path(p, i, w, name, listed, end);
			buf_truncate(name, len + 1);
		}
		if (!any)
			write_one(w, name, NULL, listed, end);
		buf_truncate(name, len);
	}
	if (mask >> J_ARRAY & 1) {
		buf_addc(name, PATH_ELEMENT);
		if (x->element == PATH_NONE || !write_path(p, x->element, w, name, listed, end))
			write_one(w, name, NULL, listed, end);
		buf_truncate(name, len);
	}
}
