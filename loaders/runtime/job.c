/*
 * job.c - parameters of load.start and load.discard into a struct job. The daemon is ours, but a field that is missing or of another type must never become
 * a default that loads rows wrongly, so everything is checked, and a wrong one is said by its name.
 */
#include "loaders/runtime/job.h"

#include <unistd.h>

#include "buf.h"
#include "xalloc.h"

static int wrong(struct err *e, const char *what)
{
	return err_set(e, ERR_CONFIG, "the job has no proper %s; is stitchd of another version than its loaders?", what);
}

static int text_of(json_t *o, const char *key, bool may_be_empty, char **out, struct err *e)
{
	json_t *v = json_object_get(o, key);

	if (!json_is_string(v) || (!may_be_empty && !json_string_length(v)) || strlen(json_string_value(v)) != json_string_length(v))
		return wrong(e, key);
	*out = xstrdup(json_string_value(v));
	return 0;
}

static int int_of(json_t *o, const char *key, int64_t min, int64_t max, int64_t *out, struct err *e)
{
	json_t *v = json_object_get(o, key);

	if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
		return wrong(e, key);
	*out = json_integer_value(v);
	return 0;
}

static int count_of(json_t *o, const char *key, uint64_t *out, struct err *e)
{
	int64_t v;

	if (int_of(o, key, 0, INT64_MAX, &v, e))
		return -1;
	*out = (uint64_t)v;
	return 0;
}

static int hex_of(json_t *o, const char *key, void *out, size_t n, struct err *e)
{
	json_t *v = json_object_get(o, key);

	if (!json_is_string(v) || str_from_hex(str_mem(json_string_value(v), json_string_length(v)), out, n))
		return wrong(e, key);
	return 0;
}

static int held_of(json_t *list, struct job_batch *b, struct err *e)
{
	size_t k;
	json_t *v;

	b->held = xcalloc(json_array_size(list) + 1, sizeof(*b->held));
	json_array_foreach(list, k, v)
	{
		json_int_t first = json_integer_value(json_array_get(v, 0)), last = json_integer_value(json_array_get(v, 1));

		if (json_array_size(v) != 2 || first < 0 || last < first)
			return wrong(e, "held of a batch");
		b->held[b->n_held++] = (struct range){(uint64_t)first, (uint64_t)last};
	}
	return 0;
}

/* Only kinds without a ledger need it. */
static int load_time_of(json_t *params, int64_t *out, struct err *e)
{
	return json_object_get(params, "load_time") ? int_of(params, "load_time", 0, INT64_MAX, out, e) : 0;
}

static int batch_of(json_t *job, json_t *o, struct job_batch *b, struct err *e)
{
	struct buf hex = BUF_INIT;
	unsigned char id[(JOB_BATCH_ID_LEN - 1) / 2];
	int64_t index = 0, partition;

	if (!json_is_object(o))
		return wrong(e, "batch");
	/* a load may hold batches of two queues, when a queue was made anew */
	if (hex_of(json_object_get(o, "queue_id") ? o : job, "queue_id", b->queue_id, sizeof(b->queue_id), e) || hex_of(o, "id", id, sizeof(id), e) ||
		int_of(o, "partition", 0, UINT32_MAX, &partition, e) || count_of(o, "first", &b->first, e) || count_of(o, "last", &b->last, e) ||
		count_of(o, "records", &b->records, e) || count_of(o, "lines", &b->lines, e) || count_of(o, "bytes", &b->bytes, e) ||
		hex_of(o, "sha256", b->sha256, sizeof(b->sha256), e) || int_of(o, "table_version", 0, INT64_MAX, &b->table_version, e) ||
		int_of(o, "cut_at", 0, INT64_MAX, &b->cut_at, e))
		return -1;
	if (b->last < b->first || b->records > b->lines)
		return wrong(e, "first, last, records and lines");
	b->partition = (uint32_t)partition;
	if (held_of(json_object_get(o, "held"), b, e))
		return -1;
	b->replay = json_object_get(o, "replay") != NULL;
	if (b->replay && int_of(o, "replay", 0, UINT32_MAX, &index, e))
		return -1;
	b->replay_index = (uint32_t)index;
	memcpy(b->id, json_string_value(json_object_get(o, "id")), sizeof(b->id));
	buf_add_hex(&hex, b->queue_id, sizeof(b->queue_id));
	memcpy(b->queue_hex, hex.data, sizeof(b->queue_hex));
	/* its row in the ledger must not stand for the other records of its offset, should their batch come again */
	if (b->replay)
		memset(b->queue_hex, '0', sizeof(b->queue_hex) - 1);
	buf_free(&hex);
	return 0;
}

static int seen_of(json_t *v, enum seen_type *out)
{
	static const char *const names[SEEN_TYPES] = {"integer", "bignum", "number", "boolean", "string", "timestamp", "date", "object", "array"};

	for (unsigned k = 0; k < SEEN_TYPES && json_is_string(v); k++) {
		if (strcmp(names[k], json_string_value(v)) == 0) {
			*out = (enum seen_type)k;
			return 0;
		}
	}
	return -1;
}

static int field_of(json_t *o, struct job_field *f, struct err *e)
{
	json_t *types = json_object_get(o, "types"), *v;
	size_t k;

	if (text_of(o, "name", true, &f->name, e))
		return -1;
	/* none: something that was empty (fields.h) */
	if (!json_is_array(types) || json_array_size(types) > SEEN_TYPES)
		return wrong(e, "types of a column");
	json_array_foreach(types, k, v)
	{
		if (seen_of(v, &f->types[f->n]))
			return wrong(e, "type of a column");
		f->n++;
	}
	return 0;
}

static int fields_of(json_t *params, struct job *j, struct err *e)
{
	json_t *list = json_object_get(params, "columns"), *v;
	size_t k;

	if (!json_is_array(list))
		return wrong(e, "columns");
	j->fields = xcalloc(json_array_size(list) + 1, sizeof(*j->fields));
	json_array_foreach(list, k, v)
	{
		j->n_fields++;
		if (field_of(v, &j->fields[k], e))
			return -1;
	}
	return 0;
}

static int keys_of(json_t *params, struct job *j, struct err *e)
{
	json_t *list = json_object_get(params, "key_names"), *v;
	size_t k;

	if (!json_is_array(list))
		return wrong(e, "key_names");
	j->keys = xcalloc(json_array_size(list) + 1, sizeof(*j->keys));
	json_array_foreach(list, k, v)
	{
		if (!json_is_string(v))
			return wrong(e, "key_names");
		j->keys[j->n_keys++] = xstrdup(json_string_value(v));
	}
	return 0;
}

int job_parse(json_t *params, const int *fds, size_t n_fds, struct job *out, struct err *e)
{
	json_t *list = json_object_get(params, "batches"), *v;
	int64_t attempt = 0;
	size_t n = json_array_size(list), k;

	*out = (struct job){.n_batches = MAX(n, n_fds)};
	out->batches = xcalloc(out->n_batches + 1, sizeof(*out->batches));
	for (k = 0; k < out->n_batches; k++)
		out->batches[k].fd = k < n_fds ? fds[k] : -1;
	if (!n || n != n_fds) {
		err_set(e, ERR_TRANSIENT, "the job names %zu batches and came with %zu files", n, n_fds);
		goto fail;
	}
	if (int_of(params, "load", 0, INT64_MAX, &out->load, e) || load_time_of(params, &out->load_time, e) || int_of(params, "attempt", 0, UINT32_MAX, &attempt, e) ||
		text_of(params, "source", false, &out->source, e) || int_of(params, "source_id", 0, INT64_MAX, &out->source_id, e) ||
		text_of(params, "schema", true, &out->schema, e) || text_of(params, "table", false, &out->table, e) || keys_of(params, out, e) ||
		int_of(params, "schema_version", 0, INT64_MAX, &out->schema_version, e) || fields_of(params, out, e))
		goto fail;
	out->attempt = (uint32_t)attempt;
	out->dry_run = json_is_true(json_object_get(params, "dry_run"));
	json_array_foreach(list, k, v)
	{
		if (batch_of(params, v, &out->batches[k], e))
			goto fail;
	}
	return 0;
fail:
	job_free(out);
	return -1;
}

int job_parse_discard(json_t *params, struct job *out, struct err *e)
{
	*out = (struct job){.n_batches = 1};
	out->batches = xcalloc(1, sizeof(*out->batches));
	out->batches[0].fd = -1;
	if (load_time_of(params, &out->load_time, e) || text_of(params, "source", false, &out->source, e) ||
		int_of(params, "source_id", 0, INT64_MAX, &out->source_id, e) || text_of(params, "schema", true, &out->schema, e) ||
		text_of(params, "table", false, &out->table, e) || batch_of(params, json_object_get(params, "batch"), &out->batches[0], e)) {
		job_free(out);
		return -1;
	}
	return 0;
}

void job_free(struct job *j)
{
	for (size_t k = 0; k < j->n_batches; k++) {
		if (j->batches[k].fd >= 0)
			close(j->batches[k].fd);
		free(j->batches[k].held);
	}
	for (size_t k = 0; k < j->n_keys; k++)
		free(j->keys[k]);
	for (size_t k = 0; k < j->n_fields; k++)
		free(j->fields[k].name);
	free(j->batches);
	free(j->keys);
	free(j->fields);
	free(j->source);
	free(j->schema);
	free(j->table);
	*j = (struct job){.load = 0};
}
