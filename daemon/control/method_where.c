/*
 * method_where.c - follows a receipt: each of its queue records, the batch that holds it, and that batch's jobs. A receipt holds addresses only, so the table is
 * read from the queue record itself; once that is trimmed (all destinations had it, queue_keep ago) nothing is left to follow, and the answer says so.
 */
#include "daemon/control/methods.h"

#include "daemon/import/receipt.h"
#include "daemon/queue/queue_local.h"
#include "xalloc.h"

#define OFFSETS_MAX 100 /* a request has rarely more than a few queue records */
#define JOBS_MAX 100

static int add_jobs(struct control_call *c, const char *batch_id, json_t *o, struct err *e)
{
	struct job_filter f = {.batch_id = batch_id};
	json_t *list = json_array();
	struct job_row *rows;
	size_t n;

	json_object_set_new(o, "jobs", list);
	if (db_job_list(c->db, &f, 0, JOBS_MAX, &rows, &n, e))
		return -1;
	for (size_t k = 0; k < n; k++)
		json_array_append_new(list, job_json(&rows[k]));
	job_list_free(rows, n);
	return 0;
}

/* Where a record that was read is now. */
static int follow(struct control_call *c, const struct receipt *r, uint64_t offset, const struct qrec *rec, json_t *o, struct err *e)
{
	struct batch_row b = {.table_id = 0};
	struct source_row s = {.id = 0};
	int rc;

	if (!db_source_get_id(c->db, rec->source_id, &s, NULL))
		json_object_set_new(o, "source", text_json(s.name));
	source_row_free(&s);
	json_object_set_new(o, "table", slice_json(rec->table));
	json_object_set_new(o, "records", json_integer(rec->records));
	json_object_set_new(o, "received_at_ns", time_ns_json(rec->received_at));
	json_object_set_new(o, "request_id", slice_json(rec->request_id));
	if (db_batch_at(c->db, r->queue_id, r->partition, offset, rec->source_id, rec->table, &b, e)) {
		if (e->code != ERR_NOT_FOUND)
			return -1;
		err_clear(e);
		json_object_set_new(o, "state", json_string("queued"));
		return 0;
	}
	json_object_set_new(o, "state", json_string("cut"));
	json_object_set_new(o, "batch", json_string(b.id));
	json_object_set_new(o, "file", text_json(b.path));
	rc = add_jobs(c, b.id, o, e);
	batch_row_free(&b);
	return rc;
}

static int one_offset(struct control_call *c, const struct receipt *r, struct queue_reader *reader, uint64_t offset, json_t *list, struct err *e)
{
	json_t *o = json_pack("{s:I}", "offset", (json_int_t)offset);
	struct qrec rec;
	uint64_t at = offset;
	int rc;

	json_array_append_new(list, o);
	if (queue_reader_seek(reader, offset, e))
		return -1;
	rc = queue_read(reader, &rec, &at, e);
	if (rc == 1 && at == offset)
		return follow(c, r, offset, &rec, o, e);
	if (rc < 0 && e->code != ERR_NOT_FOUND)
		return -1;
	err_clear(e);
	json_object_set_new(o, "state", json_string("not in the queue"));
	return 0;
}

static json_t *all_offsets(struct control_call *c, const struct receipt *r, struct err *e)
{
	struct queue *q = c->ct->parts.queue;
	uint64_t begin = queue_begin(q, r->partition), end = r->first + MIN(r->count, OFFSETS_MAX);
	json_t *list = json_array();
	struct queue_reader *reader = queue_reader_open(q, r->partition, queue_end(q, r->partition), e);

	for (uint64_t o = r->first; reader && o < end; o++) {
		if (o < begin) {
			json_array_append_new(list, json_pack("{s:I, s:s}", "offset", (json_int_t)o, "state",
				"trimmed: all its destinations had it, and queue_keep is over"));
		} else if (one_offset(c, r, reader, o, list, e)) {
			queue_reader_close(reader);
			reader = NULL;
		}
	}
	if (reader) {
		queue_reader_close(reader);
		return list;
	}
	json_decref(list);
	return NULL;
}

json_t *method_batch_where(struct control_call *c, struct err *e)
{
	const char *text = param_str(c, "receipt");
	struct queue *q = c->ct->parts.queue;
	struct queue *local = queue_local_log(q);
	struct receipt r;
	json_t *list;

	if (receipt_parse(str_c(text), &r, e))
		return NULL;
	if (local && memcmp(r.queue_id, queue_id(local), QUEUE_ID_LEN) == 0)
		return json_pack("{s:s, s:I, s:[{s:I, s:s}]}", "receipt", text, "partition", (json_int_t)r.partition, "records", "offset", (json_int_t)r.first, "state",
			r.first >= queue_local_position(q) ? "in the local spool: the queue is away" : "given on to the queue from the local spool");
	if (memcmp(r.queue_id, queue_id(q), QUEUE_ID_LEN) != 0 || r.partition >= queue_partitions(q) || r.first + r.count > queue_end(q, r.partition)) {
		err_set(e, ERR_NOT_FOUND, "the receipt is of another queue, or names more than this one holds");
		return NULL;
	}
	list = all_offsets(c, &r, e);
	return list ? json_pack("{s:s, s:I, s:o}", "receipt", text, "partition", (json_int_t)r.partition, "records", list) : NULL;
}
