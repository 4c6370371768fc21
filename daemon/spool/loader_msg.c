/*
 * loader_msg.c - rows of state.db into the parameters of fd 3's methods, and answers into events of the spool (stitch-loader(7)). What a loader says
 * is checked like any input: a missing or wrong field is an error, never a default that would count rows wrongly.
 */
#include "daemon/spool/runner_priv.h"

#include <unistd.h>

#include "daemon/spool/dest_rules.h"

#include "log.h"
#include "xalloc.h"

static json_t *opened(const struct seal *seal, const char *key, json_t *value, struct err *e)
{
	struct buf plain = BUF_INIT;
	json_t *v;

	if (!json_is_string(value) || strncmp(json_string_value(value), "sealed:", 7) != 0)
		return json_incref(value);
	if (seal_get(seal, str_mem(json_string_value(value), json_string_length(value)), &plain, e)) {
		err_wrap(e, "setting %s", key);
		return NULL;
	}
	v = json_stringn(buf_cstr(&plain), plain.len);
	if (!v)
		err_set(e, ERR_CONFIG, "setting %s is not UTF-8 text", key);
	if (plain.data)
		explicit_bzero(plain.data, plain.len);
	buf_free(&plain);
	return v;
}

json_t *loader_open_params(const struct seal *seal, const char *name, const char *settings, struct err *e)
{
	json_error_t je;
	json_t *in = json_loads(settings && *settings ? settings : "{}", 0, &je), *out, *value, *v;
	enum log_level level;
	enum log_format format;
	const char *key;

	if (!json_is_object(in)) {
		err_set(e, ERR_CONFIG, "the settings of %s are not a JSON object", name);
		json_decref(in);
		return NULL;
	}
	out = json_object();
	json_object_foreach(in, key, value)
	{
		if (dest_rule_is(key))
			continue;
		v = opened(seal, key, value, e);
		if (!v) {
			json_decref(out);
			json_decref(in);
			return NULL;
		}
		json_object_set_new(out, key, v);
	}
	json_decref(in);
	log_settings(&level, &format);
	return json_pack("{s:i, s:s, s:o, s:{s:i, s:s}}", "protocol", RPC_PROTOCOL, "destination", name, "settings", out, "log", "level", (int)level, "format",
		format == LOG_FMT_JSON ? "json" : format == LOG_FMT_JOURNAL ? "journal" : "text");
}

static json_t *hex_json(const unsigned char *p, size_t n)
{
	struct buf b = BUF_INIT;
	json_t *v;

	buf_add_hex(&b, p, n);
	v = json_stringn(buf_cstr(&b), b.len);
	buf_free(&b);
	return v;
}

static json_t *held_json(const struct load_batch *b)
{
	json_t *list = json_array();

	for (size_t k = 0; k < b->n_held; k++)
		json_array_append_new(list, json_pack("[I, I]", (json_int_t)b->held[k].first, (json_int_t)b->held[k].last));
	return list;
}

static json_t *batch_json(const struct batch_row *b)
{
	return json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:I}", "id", b->id, "queue_id", hex_json(b->queue_id, 16), "partition", (json_int_t)b->partition, "first",
		(json_int_t)b->first_offset, "last", (json_int_t)b->last_offset, "records", (json_int_t)b->records, "lines", (json_int_t)b->lines,
		"bytes", (json_int_t)b->bytes, "sha256", hex_json(b->sha256, sizeof(b->sha256)), "table_version", (json_int_t)b->table_version, "cut_at",
		(json_int_t)b->created);
}

static json_t *json_of(const char *text, const char *what, const struct load_row *load, struct err *e)
{
	json_error_t je;
	json_t *v = json_loads(text && *text ? text : "[]", JSON_ALLOW_NUL, &je);

	if (!json_is_array(v)) {
		err_set(e, ERR_INTERNAL, "%s of %s.%s in state.db are not a JSON array", what, load->source, load->table);
		json_decref(v);
		return NULL;
	}
	return v;
}

/* No destination has a column with U+0000 in its name, and the protocol cannot carry one: a record that has such a field is rejected as one that the job
 * does not know. */
static void drop_nul_names(json_t *columns)
{
	for (size_t k = json_array_size(columns); k-- > 0;) {
		json_t *name = json_object_get(json_array_get(columns, k), "name");

		if (json_is_string(name) && strlen(json_string_value(name)) != json_string_length(name))
			json_array_remove(columns, k);
	}
}

json_t *loader_load_params(const struct load_row *load, struct err *e)
{
	json_t *keys = json_of(load->key_names, "the key names", load, e), *columns = NULL, *batches;

	if (!keys)
		return NULL;
	columns = json_of(load->columns, "the columns", load, e);
	if (!columns) {
		json_decref(keys);
		return NULL;
	}
	drop_nul_names(columns);
	assert(load->n > 0);
	batches = json_array();
	for (size_t k = 0; k < load->n; k++) {
		json_t *b = batch_json(&load->batches[k].batch);

		if (load->batches[k].batch.replay_batch[0])
			json_object_set_new(b, "replay", json_integer(load->batches[k].batch.replay_index));
		if (load->batches[k].n_held)
			json_object_set_new(b, "held", held_json(&load->batches[k]));
		json_array_append_new(batches, b);
	}
	return json_pack("{s:I, s:I, s:I, s:s, s:I, s:s, s:s, s:o, s:I, s:o, s:o, s:o}", "load_time", (json_int_t)load->load_time, "load", (json_int_t)load->id, "attempt", (json_int_t)load->attempt, "source",
		load->source, "source_id", (json_int_t)load->source_id, "schema", load->schema, "table", load->table, "key_names", keys, "schema_version",
		(json_int_t)load->schema_version, "queue_id", hex_json(load->batches[0].batch.queue_id, 16), "columns", columns, "batches", batches);
}

json_t *loader_discard_params(const struct load_row *load)
{
	const struct batch_row *b = &load->batches[0].batch;

	return json_pack("{s:I, s:s, s:s, s:I, s:s, s:o, s:o}", "load_time", (json_int_t)load->load_time, "schema", load->schema, "table", load->table, "source_id", (json_int_t)load->source_id, "source",
		load->source, "queue_id", hex_json(b->queue_id, 16), "batch", batch_json(b));
}

int loader_open_batches(struct store *store, char *const *paths, size_t n, int **fds, size_t *failed, struct err *e)
{
	*fds = xcalloc(n + 1, sizeof(**fds));
	for (size_t k = 0; k < n; k++) {
		(*fds)[k] = store_get(store, paths[k], e);
		if ((*fds)[k] >= 0)
			continue;
		*failed = k;
		while (k-- > 0)
			close((*fds)[k]);
		free(*fds);
		*fds = NULL;
		return -1;
	}
	return 0;
}

void loader_close_batches(int *fds, size_t n)
{
	for (size_t k = 0; fds && k < n; k++)
		close(fds[k]);
	free(fds);
}

struct spool_event *loader_event(int kind, int64_t destination_id, unsigned slot, int64_t load_id, int64_t job_id)
{
	struct spool_event *ev = xcalloc(1, sizeof(*ev));

	ev->msg.kind = kind;
	ev->msg.bytes = sizeof(*ev);
	ev->destination_id = destination_id;
	ev->slot = slot;
	ev->load_id = load_id;
	ev->job_id = job_id;
	return ev;
}

static int bad(struct err *e, const char *what)
{
	return err_set(e, ERR_INVALID, "the loader's answer has no proper %s", what);
}

static int batch_id_of(json_t *v, char out[BATCH_ID_LEN])
{
	if (!json_is_string(v) || json_string_length(v) != BATCH_ID_LEN - 1)
		return -1;
	memcpy(out, json_string_value(v), BATCH_ID_LEN);
	return 0;
}

static int count_of(json_t *o, const char *key, uint64_t *out)
{
	json_t *v = json_object_get(o, key);

	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return -1;
	*out = (uint64_t)json_integer_value(v);
	return 0;
}

static int figures_of(json_t *o, struct load_result *r)
{
	uint64_t attempt;

	/* a destination without a ledger knows which attempt wrote what is there, and no figures */
	r->uncounted = json_is_null(json_object_get(o, "rows")) && json_is_null(json_object_get(o, "rejected"));
	if (!r->uncounted && (count_of(o, "rows", &r->rows) || count_of(o, "rejected", &r->rejected)))
		return -1;
	if (count_of(o, "attempt", &attempt) || attempt > UINT32_MAX)
		return -1;
	r->attempt = (uint32_t)attempt;
	return 0;
}

int loader_event_done(struct spool_event *ev, json_t *result, struct err *e)
{
	json_t *list = json_object_get(result, "batches"), *v;
	size_t k;

	if (!json_is_array(list) || !json_array_size(list))
		return bad(e, "list of batches");
	ev->n_results = json_array_size(list);
	ev->results = xcalloc(ev->n_results, sizeof(*ev->results));
	json_array_foreach(list, k, v)
	{
		struct load_result *r = &ev->results[k];

		if (batch_id_of(json_object_get(v, "id"), r->batch_id) || figures_of(v, r))
			return bad(e, "id, rows, rejected and attempt of a batch");
		r->already = json_is_true(json_object_get(v, "already"));
	}
	return 0;
}

int loader_event_discarded(struct spool_event *ev, json_t *result, struct err *e)
{
	json_t *v = json_object_get(result, "was_loaded");

	if (!json_is_boolean(v))
		return bad(e, "was_loaded");
	if (!json_is_true(v))
		return 0;
	ev->results = xcalloc(1, sizeof(*ev->results));
	ev->n_results = 1;
	return figures_of(result, &ev->results[0]) ? bad(e, "rows, rejected and attempt") : 0;
}

static char *text_of(json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);

	if (json_is_string(v))
		return xstrdup(json_string_value(v));
	return NULL;
}

int loader_event_reject(struct spool_event *ev, json_t *params, uint32_t attempt, struct err *e)
{
	json_t *list = json_object_get(params, "rejects"), *v;
	size_t k;

	if (!json_is_array(list))
		return bad(e, "list of rejects");
	ev->n_rejects = json_array_size(list);
	ev->rejects = xcalloc(ev->n_rejects + 1, sizeof(*ev->rejects));
	json_array_foreach(list, k, v)
	{
		struct reject_row *r = &ev->rejects[k];

		if (batch_id_of(json_object_get(v, "batch"), r->batch_id) || count_of(v, "record", &r->record))
			return bad(e, "batch and record of a rejected record");
		r->destination_id = ev->destination_id;
		r->attempt = attempt;
		r->field = text_of(v, "field");
		r->value = text_of(v, "value");
		r->reason = text_of(v, "reason");
		r->raw = text_of(v, "raw");
		if (!r->reason || !r->raw)
			return bad(e, "reason and raw text of a rejected record");
		ev->msg.bytes += sizeof(*r) + strlen(r->reason) + strlen(r->raw);
	}
	return 0;
}

void loader_event_error(struct spool_event *ev, json_t *error)
{
	json_t *data = json_object_get(error, "data"), *after = json_object_get(data, "retry_after");
	const char *message = json_string_value(json_object_get(error, "message"));
	const char *class = json_string_value(json_object_get(data, "class"));

	/* an error without a class is the loader's own fault: another try may do */
	if (!class || (strcmp(class, "config") != 0 && strcmp(class, "data") != 0 && strcmp(class, "corrupt") != 0))
		class = "transient";
	snprintf(ev->class, sizeof(ev->class), "%s", class);
	snprintf(ev->text, sizeof(ev->text), "%s", message ? message : "the loader gave no reason");
	if (batch_id_of(json_object_get(data, "batch"), ev->batch))
		ev->batch[0] = '\0';
	if (json_is_number(after) && json_number_value(after) > 0)
		ev->retry_after = (int64_t)(MIN(json_number_value(after), 86400.0) * (double)NSEC_PER_SEC);
}
