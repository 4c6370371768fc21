/*
 * stream_table.c - sources and tables as the streamery knows them: made when first met, kept for the run (as many as there are tables). Their counts are
 * read by the control thread for the zero-sum ledger, so they and the next offset to read change under one lock, together.
 */
#include "daemon/streamery/streamery_priv.h"
#include "xalloc.h"

static struct str source_key(const int64_t *id)
{
	return str_mem(id, sizeof(*id));
}

struct stream_source *stream_source(struct streamery *s, int64_t id)
{
	struct stream_source *src;

	pthread_mutex_lock(&s->lock);
	src = map_get(&s->sources, source_key(&id));
	if (!src) {
		src = xcalloc(1, sizeof(*src));
		src->id = id;
		TAILQ_INIT(&src->open);
		map_put(&s->sources, source_key(&id), src);
	}
	pthread_mutex_unlock(&s->lock);
	return src;
}

static struct table *table_new(struct streamery *s, int64_t source_id, struct str name)
{
	struct table *t = xcalloc(1, sizeof(*t));

	t->source = stream_source(s, source_id);
	t->name = str_dup(name);
	TAILQ_INIT(&t->uploads);
	pthread_mutex_lock(&s->lock);
	if (s->n_list == s->cap_list) {
		s->cap_list = s->cap_list ? 2 * s->cap_list : 16;
		s->list = xreallocarray(s->list, s->cap_list, sizeof(struct table *));
	}
	s->list[s->n_list++] = t;
	pthread_mutex_unlock(&s->lock);
	return t;
}

struct table *stream_table(struct streamery *s, int64_t source_id, struct str name)
{
	char key[sizeof(source_id) + QREC_TABLE_MAX];
	size_t len = MIN(name.len, QREC_TABLE_MAX);
	struct table *t;

	memcpy(key, &source_id, sizeof(source_id));
	memcpy(key + sizeof(source_id), name.ptr, len);
	t = map_get(&s->tables, str_mem(key, sizeof(source_id) + len));
	if (!t) {
		t = table_new(s, source_id, str_mem(name.ptr, len));
		map_put(&s->tables, str_mem(key, sizeof(source_id) + len), t);
	}
	return t;
}

void stream_count(struct streamery *s, struct table *t, uint64_t offset, uint64_t seen, uint64_t held, int64_t received_at)
{
	pthread_mutex_lock(&s->lock);
	t->seen += seen;
	if (held && !t->held)
		t->oldest = received_at;
	t->held += held;
	s->counted_next = offset + 1;
	pthread_mutex_unlock(&s->lock);
}

void stream_release(struct streamery *s, struct table *t, uint64_t records)
{
	const struct work *first = TAILQ_FIRST(&t->uploads);

	if (!first)
		first = t->open;
	pthread_mutex_lock(&s->lock);
	t->held -= MIN(records, t->held);
	if (!t->held)
		t->oldest = 0;
	else if (first)
		t->oldest = first->batch.first_received;
	pthread_mutex_unlock(&s->lock);
}

void stream_counts_reset(struct streamery *s, uint64_t start)
{
	pthread_mutex_lock(&s->lock);
	s->start = s->counted_next = start;
	for (size_t i = 0; i < s->n_list; i++) {
		s->list[i]->seen = s->list[i]->held = 0;
		s->list[i]->oldest = 0;
	}
	pthread_mutex_unlock(&s->lock);
}

bool stream_shape_known(const struct table *t, uint64_t shape)
{
	for (unsigned i = 0; i < t->n_shapes; i++)
		if (t->shapes[i] == shape)
			return true;
	return false;
}

void stream_shape_learn(struct table *t, uint64_t shape)
{
	if (stream_shape_known(t, shape))
		return;
	/* the oldest is forgotten: to merge a shape again changes nothing */
	t->shapes[t->next_shape] = shape;
	t->next_shape = (t->next_shape + 1) % STREAM_SHAPES;
	t->n_shapes = MIN(t->n_shapes + 1, STREAM_SHAPES);
}

void stream_tables_free(struct streamery *s)
{
	for (size_t i = 0; i < s->n_list; i++) {
		free(s->list[i]->name);
		free(s->list[i]);
	}
	free(s->list);
	map_free(&s->tables, NULL);
	map_free(&s->sources, free);
}
