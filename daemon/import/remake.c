/*
 * remake.c - see remake.h. The record goes through the same decoder as a request: a batch with the head's schema where there is one, else a push. So its types are
 * listed as those of any other record, and what the sender's schema forbids a person cannot do either.
 */
#include "daemon/import/remake.h"

#include <jansson.h>

#include "daemon/import/intake.h"
#include "daemon/queue/record.h"
#include "jwrite.h"

static void message(struct jwrite *w, const struct frame_record *was, struct str data)
{
	jwrite_kv_string(w, "action", "upsert");
	jwrite_key(w, "sequence");
	jwrite_raw(w, was->sequence);
	if (was->time_extracted.len) {
		jwrite_key(w, "time_extracted");
		jwrite_raw(w, was->time_extracted);
	}
	jwrite_key(w, "data");
	jwrite_raw(w, data);
}

static void of_table(struct jwrite *w, const struct frame_head *head)
{
	jwrite_kv_str(w, "table_name", buf_str(&head->table));
	jwrite_key(w, "key_names");
	jwrite_raw(w, head->key_names);
	if (head->table_version)
		jwrite_kv_i64(w, "table_version", head->table_version);
}

static void batch_body(const struct frame_head *head, const struct frame_record *was, struct str data, struct buf *out)
{
	struct jwrite w;

	jwrite_init(&w, out);
	jwrite_object(&w);
	of_table(&w, head);
	jwrite_key(&w, "schema");
	jwrite_raw(&w, head->schema);
	jwrite_key(&w, "messages");
	jwrite_array(&w);
	jwrite_object(&w);
	message(&w, was, data);
	jwrite_object_end(&w);
	jwrite_array_end(&w);
	jwrite_object_end(&w);
}

static void push_body(const struct frame_head *head, const struct frame_record *was, struct str data, struct buf *out)
{
	struct jwrite w;

	jwrite_init(&w, out);
	jwrite_array(&w);
	jwrite_object(&w);
	jwrite_kv_i64(&w, "client_id", 1);
	of_table(&w, head);
	message(&w, was, data);
	jwrite_object_end(&w);
	jwrite_array_end(&w);
}

static int refused(const struct refusal *r, struct err *e)
{
	json_t *body = json_loadb(r->body.data ? r->body.data : "", r->body.len, 0, NULL);
	const char *text = json_string_value(json_object_get(body, "error"));

	if (!text)
		text = json_string_value(json_object_get(body, "message"));
	err_set(e, ERR_INVALID, "%.500s", text ? text : buf_cstr(&r->body));
	json_decref(body);
	return -1;
}

/* The lines of the one queue record that was made. */
static int take_lines(const struct queue_put *put, struct buf *out, struct err *e)
{
	struct qrec rec;
	size_t used;

	if (put->n != 1)
		return err_set(e, ERR_INVALID, "it is not one record any more");
	if (qrec_decode(put->bytes.data, put->bytes.len, &rec, &used, e))
		return -1;
	return frame_decode(rec.body, FRAME_LINE_MAX, out, e);
}

int import_remake(const struct frame_head *head, const struct frame_record *was, struct str data, struct buf *out, struct err *e)
{
	struct encode_request q = {.source_id = (uint32_t)head->source, .received_at = head->received_at, .request_id = STR("replay")};
	struct intake *b = intake_new();
	struct queue_put put = {.n = 0};
	struct refusal r = {.status = 0};
	struct buf body = BUF_INIT;
	bool has_schema = head->schema.len && head->schema.ptr[0] == '{';
	int rc;

	if (has_schema)
		batch_body(head, was, data, &body);
	else
		push_body(head, was, data, &body);
	rc = has_schema ? decode_batch(b, buf_str(&body), &r) : decode_push(b, buf_str(&body), 1, &r);
	if (!rc)
		rc = encode_batch(b, &q, &put, &r);
	rc = rc ? refused(&r, e) : take_lines(&put, out, e);
	buf_free(&put.bytes);
	buf_free(&body);
	buf_free(&r.body);
	intake_free(b);
	return rc;
}
