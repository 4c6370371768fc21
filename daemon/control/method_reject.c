/*
 * method_reject.c - single rejected records: list, show, replay, as they were or put right by a person, one or all that a filter finds.
 *
 * A replay is a file with the one record and its head, made here and durable before its rows; what it means is in state/replay.c. Whether it is loaded once is not decided
 * here: its batch's id follows from the record and the revision, and the destination's ledger knows it.
 */
#include "daemon/control/methods.h"

#include <unistd.h>

#include "daemon/import/remake.h"
#include "daemon/state/replay.h"
#include "daemon/store/batch_name.h"
#include "daemon/streamery/digest.h"

#include "xalloc.h"

#define RAW_MAX 6000   /* bytes of a record in a list */
#define REPLAY_MAX 1000 /* records of one call */

/* --- which --- */

/* "BATCH/RECORD", also with "/REVISION" behind it */
static int id_of(const char *text, struct rejected_key *key, struct err *e)
{
	struct str s = str_c(text), number;
	const char *slash = memchr(s.ptr, '/', s.len);

	if (!slash || slash - s.ptr != BATCH_ID_LEN - 1)
		goto bad;
	memcpy(key->batch_id, s.ptr, BATCH_ID_LEN - 1);
	key->batch_id[BATCH_ID_LEN - 1] = '\0';
	number = str_mem(slash + 1, s.len - BATCH_ID_LEN);
	slash = memchr(number.ptr, '/', number.len);
	if (slash)
		number.len = (size_t)(slash - number.ptr);
	if (!str_to_u64(number, &key->record) && key->record < INT64_MAX)
		return 0;
bad:
	return err_set(e, ERR_INVALID, "a rejected record's id is BATCH/RECORD as stitchctl reject list shows it, not \"%.80s\"", text);
}

static int job_id_of(struct control_call *c, int64_t *id, struct err *e)
{
	const char *text = param_str(c, "job");

	*id = 0;
	if (text && str_to_i64(str_c(text), id))
		return err_set(e, ERR_INVALID, "a job's id is a number, not \"%s\"", text);
	return 0;
}

static int filter_of(struct control_call *c, struct rejected_filter *f, struct err *e)
{
	*f = (struct rejected_filter){.field = param_str(c, "field"), .reason = param_str(c, "reason"), .all = param_flag(c, "all")};
	return job_id_of(c, &f->job_id, e) || world_filter(c, &f->destination_id, &f->table_id, e) ? -1 : 0;
}

/* --- list, show --- */

static json_t *rejected_json(const struct rejected_row *r, size_t raw_max)
{
	struct str raw = str_c(r->r.raw ? r->r.raw : "");
	char id[BATCH_ID_LEN + 24], job[24];

	snprintf(id, sizeof(id), "%s/%" PRIu64, r->r.batch_id, r->r.record);
	snprintf(job, sizeof(job), "%" PRId64, r->job_id);
	raw.len = MIN(raw.len, raw_max);
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:I, s:o, s:o, s:o}", "id", id, "state", rejected_state_name(r->state), "source", text_json(r->source),
		"table", text_json(r->table), "destination", text_json(r->destination), "job", job, "field", text_json(r->r.field), "value", text_json(r->r.value), "reason",
		text_json(r->r.reason), "revision", (json_int_t)r->revision, "replay_job", r->replay_job ? json_sprintf("%" PRId64, r->replay_job) : json_null(), "created_ns",
		time_ns_json(r->r.created), "raw", slice_json(raw));
}

/* A page's token: "DESTINATION BATCH/RECORD" */
static int after_of(struct control_call *c, struct rejected_key *after, struct err *e)
{
	const char *text = param_str(c, "after"), *blank = text ? strchr(text, ' ') : NULL;

	*after = (struct rejected_key){.destination_id = 0};
	if (!text)
		return 0;
	if (!blank || str_to_i64(str_mem(text, (size_t)(blank - text)), &after->destination_id) || id_of(blank + 1, after, NULL))
		return err_set(e, ERR_INVALID, "\"after\" must be the \"next\" of the page before");
	return 0;
}

json_t *method_reject_list(struct control_call *c, struct err *e)
{
	unsigned limit = MIN(param_limit(c), 100);
	struct rejected_filter f;
	struct rejected_key after;
	struct rejected_row *rows;
	json_t *list;
	char next[BATCH_ID_LEN + 50] = "";
	size_t n;

	if (filter_of(c, &f, e) || after_of(c, &after, e) || db_rejected_list(c->db, &f, &after, limit, &rows, &n, e))
		return NULL;
	list = json_array();
	for (size_t k = 0; k < n; k++)
		json_array_append_new(list, rejected_json(&rows[k], RAW_MAX));
	if (n == limit)
		snprintf(next, sizeof(next), "%" PRId64 " %s/%" PRIu64, rows[n - 1].r.destination_id, rows[n - 1].r.batch_id, rows[n - 1].r.record);
	rejected_list_free(rows, n);
	return page(list, next[0] ? next : NULL);
}

/* The one that an id names; several destinations may have refused it. */
static int one_of(struct control_call *c, struct rejected_row **out, struct err *e)
{
	struct rejected_filter f;
	struct rejected_key key, after = {.destination_id = 0};
	struct rejected_row *rows;
	size_t n, found = 0;

	*out = NULL;
	if (id_of(param_str(c, "id"), &key, e) || filter_of(c, &f, e))
		return -1;
	f.all = true;
	f.batch_id = key.batch_id;
	do {
		if (db_rejected_list(c->db, &f, &after, 500, &rows, &n, e))
			return -1;
		for (size_t k = 0; k < n; k++) {
			after = (struct rejected_key){.destination_id = rows[k].r.destination_id, .record = rows[k].r.record};
			memcpy(after.batch_id, rows[k].r.batch_id, BATCH_ID_LEN);
			if (rows[k].r.record == key.record && found++ == 0) {
				*out = xcalloc(1, sizeof(**out));
				**out = rows[k];
				rows[k] = (struct rejected_row){.job_id = 0};
			}
		}
		rejected_list_free(rows, n);
	} while (n == 500);
	if (found == 1)
		return 0;
	rejected_list_free(*out, found ? 1 : 0);
	*out = NULL;
	if (found)
		return err_set(e, ERR_INVALID, "%zu destinations have rejected this record: say --destination NAME", found);
	return err_set(e, ERR_NOT_FOUND, "there is no rejected record %.80s", param_str(c, "id"));
}

json_t *method_reject_show(struct control_call *c, struct err *e)
{
	struct rejected_row *r;
	json_t *v;

	if (one_of(c, &r, e))
		return NULL;
	v = rejected_json(r, 600u << 10);
	rejected_list_free(r, 1);
	return v;
}

/* --- replay --- */

/* Where a record stands in its batch's file. */
struct found {
	struct buf head; /* its head line */
	uint64_t offset;
	uint32_t index;
	int64_t received_at;
};

static int find_record(struct control_call *c, const struct batch_row *b, uint64_t record, struct found *out, struct err *e)
{
	const struct frame_entry *entry;
	struct frame_record rec;
	struct frame_reader *r;
	enum frame_item item = FRAME_ERROR;
	struct str line;
	uint64_t at = 0;
	uint32_t index;
	int fd, rc = -1;

	if (b->deleted)
		return err_set(e, ERR_STATE, "the file of batch %s was deleted after batch_keep: push the record again", b->id);
	fd = store_get(c->ct->parts.store, b->path, e);
	if (fd < 0)
		return -1;
	r = frame_reader_new(fd, b->sha256, e);
	while (r && rc && (item = frame_next(r, &line, &entry, &index, e)) > FRAME_EOF) {
		if (item == FRAME_HEAD) {
			buf_truncate(&out->head, 0);
			buf_addstr(&out->head, line);
			out->offset = entry->offset;
			out->received_at = entry->received_at;
			continue;
		}
		if (frame_record_parse(line, &rec, e))
			break;
		if (!rec.activate && at++ == record) {
			out->index = index;
			rc = 0;
		}
	}
	if (rc && item == FRAME_EOF)
		err_set(e, ERR_NOT_FOUND, "batch %s has no record %" PRIu64, b->id, record);
	if (r)
		frame_reader_free(r);
	close(fd);
	return rc;
}

/* Head and record as lines: as they were, or the record with new data. *changed: the head is a new one. */
static int make_lines(const struct rejected_row *row, const struct found *f, const char *data, struct buf *out, bool *changed, struct err *e)
{
	struct frame_head head = {.table = BUF_INIT};
	struct frame_record rec;
	int rc = -1;

	*changed = data != NULL;
	if (!data) {
		buf_addstr(out, buf_str(&f->head));
		buf_addc(out, '\n');
		buf_adds(out, row->r.raw);
		buf_addc(out, '\n');
		return 0;
	}
	if (!frame_head_parse(buf_str(&f->head), &head, e) && !frame_record_parse(str_c(row->r.raw), &rec, e))
		rc = import_remake(&head, &rec, str_c(data), out, e);
	buf_free(&head.table);
	return rc;
}

static int write_file(struct control_call *c, const struct batch_row *b, const struct found *f, struct str lines, struct replay *r, struct buf *name, struct err *e)
{
	static _Atomic uint64_t number;
	struct frame_entry entry = {.offset = f->offset, .lines = 1, .records = 1, .received_at = f->received_at, .parts = 1, .request_id = STR("replay")};
	/* numbers of the streamery's cuts count up from 0 */
	struct batch_name bn = {.source_id = b->source_id,
		.table = str_c(b->table),
		.partition = b->partition,
		.first = f->offset,
		.last = f->offset,
		.cut = UINT64_MAX - atomic_fetch_add(&number, 1)};
	struct frame_ctx *ctx = frame_ctx_new();
	struct digest *d = digest_new();
	struct buf file = BUF_INIT;
	int rc;

	frame_index(&entry, 1, &file);
	frame_encode(ctx, lines, &file);
	digest_add(d, file.data, file.len);
	digest_end(d, r->sha256);
	digest_free(d);
	frame_ctx_free(ctx);
	memcpy(bn.sha256, r->sha256, sizeof(bn.sha256));
	snprintf(bn.run_id, sizeof(bn.run_id), "%s", c->ct->config.run_id);
	batch_name_make(&bn, name);
	r->bytes = file.len;
	rc = store_put(c->ct->parts.store, buf_cstr(name), file.data, file.len, e);
	buf_free(&file);
	return rc;
}

static int run_replay(struct db *db, void *arg, struct err *e)
{
	return db_rejected_replay(db, arg, now_get().real, e);
}

static int replay_one(struct control_call *c, const struct rejected_row *row, const char *data, struct replay *r, struct err *e)
{
	struct batch_row b = {.table_id = 0};
	struct found f = {.head = BUF_INIT};
	struct buf lines = BUF_INIT, name = BUF_INIT;
	const char *newline;
	bool changed;
	int rc = -1;

	*r = (struct replay){.key = {.destination_id = row->r.destination_id, .record = row->r.record}};
	memcpy(r->key.batch_id, row->r.batch_id, BATCH_ID_LEN);
	if (row->state == REJECTED_REPLAYING || row->state == REJECTED_LOADED) {
		r->job_id = row->replay_job;
		r->revision = row->revision;
		return 0;
	}
	if (db_batch_get(c->db, row->r.batch_id, &b, e))
		return -1;
	if (find_record(c, &b, row->r.record, &f, e) || make_lines(row, &f, data, &lines, &changed, e) || write_file(c, &b, &f, buf_str(&lines), r, &name, e))
		goto out;
	newline = memchr(lines.data, '\n', lines.len);
	r->head = changed && newline ? str_mem(lines.data, (size_t)(newline - lines.data)) : STR_NULL;
	r->path = buf_str(&name);
	r->offset = f.offset;
	r->index = f.index;
	r->received_at = f.received_at;
	rc = state_call(c->ct->parts.state, run_replay, r, e);
	/* after an error of the disk nobody knows whether there is a row: the sweeper will */
	if ((rc && e->code != ERR_IO && e->code != ERR_FULL) || (!rc && !r->made)) {
		struct err ignored = ERR_INIT;

		/* no row names it */
		if (store_delete(c->ct->parts.store, buf_cstr(&name), &ignored))
			err_clear(&ignored);
	}
out:
	buf_free(&f.head);
	buf_free(&lines);
	buf_free(&name);
	batch_row_free(&b);
	return rc;
}

static json_t *replayed_json(const struct rejected_row *row, const struct replay *r)
{
	char id[BATCH_ID_LEN + 40];

	snprintf(id, sizeof(id), "%s/%" PRIu64 "/%" PRIu32, row->r.batch_id, row->r.record, r->revision);
	return json_pack("{s:s, s:s, s:o}", "id", id, "state", r->made ? "ready" : rejected_state_name(row->state), "job",
		r->job_id ? json_sprintf("%" PRId64, r->job_id) : json_null());
}

static json_t *replay_named(struct control_call *c, const char *data, struct err *e)
{
	struct rejected_row *row;
	struct replay r;
	json_t *v = NULL;

	if (one_of(c, &row, e))
		return NULL;
	if (param_flag(c, "dry_run"))
		v = json_pack("{s:b, s:i, s:i}", "dry_run", 1, "replay", row->state == REJECTED_OPEN || row->state == REJECTED_DISCARDED, "skip",
			row->state == REJECTED_REPLAYING || row->state == REJECTED_LOADED);
	else if (!control_audit(c, param_str(c, "id"), row->r.raw && strlen(row->r.raw) < 1000 ? row->r.raw : NULL, e) && !replay_one(c, row, data, &r, e))
		v = replayed_json(row, &r);
	rejected_list_free(row, 1);
	return v;
}

/* One record that cannot be replayed does not keep the others from it. */
static json_t *replay_found(struct control_call *c, struct err *e)
{
	struct rejected_key after = {.destination_id = 0};
	struct rejected_filter f;
	struct rejected_row *rows;
	json_int_t made = 0, failed = 0;
	struct err why = ERR_INIT;
	json_t *v;
	size_t n;

	if (filter_of(c, &f, e))
		return NULL;
	f.all = false;
	if (!f.table_id && !f.destination_id && !f.job_id && !f.field && !f.reason) {
		err_set(e, ERR_INVALID, "say which: an id, or --table, --destination, --job, --field, --reason");
		return NULL;
	}
	if (db_rejected_list(c->db, &f, &after, REPLAY_MAX + 1, &rows, &n, e))
		return NULL;
	if (param_flag(c, "dry_run")) {
		v = json_pack("{s:b, s:I, s:b}", "dry_run", 1, "replay", (json_int_t)MIN(n, REPLAY_MAX), "more", n > REPLAY_MAX);
	} else if (control_audit(c, "rejected records", NULL, e)) {
		v = NULL;
	} else {
		for (size_t k = 0; k < MIN(n, REPLAY_MAX) && !atomic_load(&c->ct->stopping); k++) {
			struct replay r;
			struct err one = ERR_INIT;

			if (replay_one(c, &rows[k], NULL, &r, &one)) {
				why = failed++ ? why : one;
				continue;
			}
			made += r.made;
		}
		v = json_pack("{s:I, s:I, s:o, s:b}", "replayed", made, "failed", failed, "error", failed ? text_json(why.text) : json_null(), "more", n > REPLAY_MAX);
	}
	rejected_list_free(rows, n);
	return v;
}

json_t *method_reject_replay(struct control_call *c, struct err *e)
{
	const char *data = param_str(c, "record");
	json_t *v;

	if (data && !param_str(c, "id")) {
		err_set(e, ERR_INVALID, "--record puts one record right: name it by its id");
		return NULL;
	}
	v = param_str(c, "id") ? replay_named(c, data, e) : replay_found(c, e);
	if (v)
		spool_wake(c->ct->parts.spool);
	return v;
}
