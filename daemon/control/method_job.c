/*
 * method_job.c - jobs: list, show (error, rejected records, batch), replay, discard. A replay is a new job of the same batch; what the destination's ledger has
 * already is skipped there, so replaying twice changes nothing. A job that is done keeps its rejected records: those are replayed one by one (method_reject.c), and the answer says so.
 */
#include "daemon/control/methods.h"

#include "xalloc.h"

#define REJECTS_MAX 100
#define DRY_RUN_TIMEOUT (90 * NSEC_PER_SEC)
#define RAW_MAX 6000 /* bytes of a rejected record that are shown */

static int job_of(struct control_call *c, struct job_row *out, struct err *e)
{
	int64_t id;

	*out = (struct job_row){.id = 0};
	if (str_to_i64(str_c(param_str(c, "id")), &id))
		return err_set(e, ERR_INVALID, "a job's id is a number, not \"%s\"", param_str(c, "id"));
	return db_job_get(c->db, id, out, e);
}

static int filter_of(struct control_call *c, struct job_filter *f, struct err *e)
{
	const char *state = param_str(c, "state");

	*f = (struct job_filter){.table_id = 0};
	if (state && job_state_parse(str_c(state), &f->state))
		return err_set(e, ERR_INVALID, "there is no job state \"%s\" (ready active done deferred held rejected corrupt discarded)", state);
	return world_filter(c, &f->destination_id, &f->table_id, e);
}

json_t *method_job_list(struct control_call *c, struct err *e)
{
	unsigned limit = param_limit(c);
	struct job_filter f;
	struct job_row *rows;
	json_t *list;
	int64_t after = param_int(c, "after", 0);
	char next[24] = "";
	size_t n;

	if (filter_of(c, &f, e) || db_job_list(c->db, &f, after, limit, &rows, &n, e))
		return NULL;
	list = json_array();
	for (size_t k = 0; k < n; k++)
		json_array_append_new(list, job_json(&rows[k]));
	if (n == limit)
		snprintf(next, sizeof(next), "%" PRId64, rows[n - 1].id);
	job_list_free(rows, n);
	return page(list, next[0] ? next : NULL);
}

static int add_rejects(struct control_call *c, int64_t job_id, json_t *o, struct err *e)
{
	struct reject_row *rows;
	json_t *list = json_array();
	size_t n;

	json_object_set_new(o, "rejected", list);
	if (db_reject_list(c->db, job_id, REJECTS_MAX, &rows, &n, e))
		return -1;
	for (size_t k = 0; k < n; k++) {
		struct str raw = str_c(rows[k].raw ? rows[k].raw : "");

		raw.len = MIN(raw.len, RAW_MAX);
		json_array_append_new(list, json_pack("{s:I, s:o, s:o, s:o, s:o}", "record", (json_int_t)rows[k].record, "field", text_json(rows[k].field),
			"value", text_json(rows[k].value), "reason", text_json(rows[k].reason), "raw", slice_json(raw)));
	}
	reject_list_free(rows, n);
	return 0;
}

static int add_batch(struct control_call *c, const char *batch_id, json_t *o, struct err *e)
{
	struct batch_row b = {.table_id = 0};
	struct buf hex = BUF_INIT;

	if (db_batch_get(c->db, batch_id, &b, e))
		return -1;
	buf_add_hex(&hex, b.sha256, sizeof(b.sha256));
	json_object_set_new(o, "file", text_json(b.path));
	json_object_set_new(o, "sha256", json_string(buf_cstr(&hex)));
	json_object_set_new(o, "partition", json_integer((json_int_t)b.partition));
	json_object_set_new(o, "first", json_integer((json_int_t)b.first_offset));
	json_object_set_new(o, "last", json_integer((json_int_t)b.last_offset));
	json_object_set_new(o, "cut_reason", text_json(b.reason));
	if (b.replay_batch[0])
		json_object_set_new(o, "replay_of", json_sprintf("%s/%" PRIu64, b.replay_batch, b.replay_record));
	json_object_set_new(o, "table_version", json_integer(b.table_version));
	json_object_set_new(o, "file_deleted_ns", time_ns_json(b.deleted));
	buf_free(&hex);
	batch_row_free(&b);
	return 0;
}

json_t *method_job_show(struct control_call *c, struct err *e)
{
	struct job_row j;
	json_t *o;

	if (job_of(c, &j, e))
		return NULL;
	o = job_json(&j);
	if (add_rejects(c, j.id, o, e) || add_batch(c, j.batch_id, o, e)) {
		json_decref(o);
		o = NULL;
	}
	job_row_free(&j);
	return o;
}

struct replay_arg {
	int64_t id, new_id;
	bool done;
};

static int run_replay(struct db *db, void *arg, struct err *e)
{
	struct replay_arg *a = arg;

	return db_job_replay(db, a->id, now_get().real, &a->new_id, e);
}

static void add_note(const struct job_row *j, json_t *v)
{
	if (j->state == JOB_DONE && j->rejected)
		json_object_set_new(v, "note",
			json_sprintf("the batch is loaded; of its rejected records (%" PRIu64 ") stitchctl reject list --job %" PRId64 " shows those that are not, and stitchctl reject "
				     "replay loads them again, one (also put right) or all", j->rejected, j->id));
}

/* The job's batch as a load of its own. */
static int load_of(struct control_call *c, const struct job_row *j, const struct world *w, struct load_row *out, struct err *e)
{
	const struct connection_row *conn = world_connection(w, j->source_id, j->destination_id);
	struct table_row t = {.id = 0};
	int rc = -1;

	*out = (struct load_row){.id = j->id, .destination_id = j->destination_id, .table_id = j->table_id, .source_id = j->source_id, .attempt = j->attempts + 1};
	if (!conn)
		return err_set(e, ERR_STATE, "source %s is not connected to %s any more", j->source, j->destination);
	out->batches = xcalloc(1, sizeof(*out->batches));
	if (db_batch_get(c->db, j->batch_id, &out->batches[0].batch, e))
		return -1;
	out->n = 1;
	if (db_table_get_id(c->db, j->table_id, &t, e))
		return -1;
	out->load_time = now_get().real / NSEC_PER_MSEC * NSEC_PER_MSEC;
	out->schema_version = out->batches[0].batch.schema_version;
	out->source = xstrdup(j->source);
	out->table = xstrdup(j->table);
	out->schema = xstrdup(conn->schema);
	out->key_names = xstrdup(t.key_names);
	rc = db_table_columns(c->db, j->table_id, out->schema_version, &out->columns, e);
	table_row_free(&t);
	return rc;
}

/* Of what is loaded already nothing changes; else the destination is asked, and only it knows. */
static json_t *dry_run(struct control_call *c, const struct job_row *j, struct err *e)
{
	const struct destination_row *d;
	struct load_row load;
	struct world w;
	json_t *r = NULL, *v = NULL;

	if (j->state == JOB_DONE)
		return json_pack("{s:b, s:i, s:I, s:i, s:i, s:i}", "dry_run", 1, "load", 0, "skip", (json_int_t)j->records, "insert", 0, "update", 0, "reject", 0);
	if (world_load(c->db, &w, e))
		return NULL;
	d = world_destination(&w, j->destination_id);
	if (!d)
		err_set(e, ERR_STATE, "destination %s was deleted", j->destination);
	else if (!load_of(c, j, &w, &load, e))
		r = runner_dry_run(c->ct->parts.runner, d, &load, DRY_RUN_TIMEOUT, e);
	if (d)
		load_row_free(&load);
	world_free(&w);
	if (!r)
		return NULL;
	v = json_pack("{s:b, s:O?, s:O?, s:O?, s:O?, s:O?, s:O?, s:O?}", "dry_run", 1, "load", json_object_get(r, "rows"), "skip", json_object_get(r, "skipped"), "insert",
		json_object_get(r, "inserted"), "update", json_object_get(r, "updated"), "reject", json_object_get(r, "rejected"), "ddl", json_object_get(r, "ddl"), "rejects",
		json_object_get(r, "rejects"));
	json_decref(r);
	return v;
}

json_t *method_job_replay(struct control_call *c, struct err *e)
{
	struct job_row j;
	struct replay_arg a = {.id = 0};
	struct control_act act = {.run = run_replay, .arg = &a, .kind = "job-replayed"};
	char object[40], text[200], new_id[24];
	json_t *v = NULL;

	if (job_of(c, &j, e))
		return NULL;
	if (param_flag(c, "dry_run")) {
		v = dry_run(c, &j, e);
		if (v)
			add_note(&j, v);
		job_row_free(&j);
		return v;
	}
	a.id = j.id;
	snprintf(object, sizeof(object), "job %" PRId64, j.id);
	snprintf(text, sizeof(text), "job %" PRId64 " was replayed by %s", j.id, c->who);
	act.object = object;
	act.text = text;
	if (!control_do(c, &act, e)) {
		snprintf(new_id, sizeof(new_id), "%" PRId64, a.new_id);
		v = json_pack("{s:s, s:s, s:o}", "id", param_str(c, "id"), "state", a.new_id == a.id ? job_state_name(j.state) : "ready", "job",
			a.new_id == a.id ? json_null() : json_string(new_id));
		add_note(&j, v);
		spool_wake(c->ct->parts.spool);
	}
	job_row_free(&j);
	return v;
}

static int run_discard(struct db *db, void *arg, struct err *e)
{
	struct replay_arg *a = arg;

	return db_job_discard(db, a->id, now_get().real, &a->done, e);
}

/* What the answer to a discard waits for, as a sentence. */
static json_t *discard_note(struct control_call *c, const struct job_row *j)
{
	const struct pause_row *p;
	struct world w;
	json_t *v;

	if (world_load(c->db, &w, NULL))
		return json_null();
	p = world_pause(&w, PAUSE_DESTINATION, j->destination_id);
	if (p)
		v = json_sprintf("it waits until destination %.100s is resumed, which was paused by %.100s; only the destination knows whether it has the batch. Until then the job is "
				 "held, and resuming it cancels the discard", j->destination, p->who);
	else if (j->state == JOB_ACTIVE)
		v = json_sprintf("it is being loaded now: if that ends without success it is discarded");
	else
		v = json_sprintf("destination %.100s is asked whether it has the batch. Until it answers the job is held, and resuming it cancels the discard", j->destination);
	world_free(&w);
	return v;
}

json_t *method_job_discard(struct control_call *c, struct err *e)
{
	struct job_row j;
	struct replay_arg a = {.id = 0};
	struct control_act act = {.run = run_discard, .arg = &a, .kind = "job-discarded"};
	char object[40], text[200];
	json_t *v = NULL;

	if (job_of(c, &j, e))
		return NULL;
	a.id = j.id;
	snprintf(object, sizeof(object), "job %" PRId64, j.id);
	snprintf(text, sizeof(text), "job %" PRId64 " (%" PRIu64 " records) was discarded by %s", j.id, j.records, c->who);
	act.object = object;
	act.text = text;
	if (!control_do(c, &act, e)) {
		v = json_pack("{s:s, s:s}", "id", param_str(c, "id"), "state", a.done ? "discarded" : "discarding");
		/* it has been in a load: the destination's ledger has the last word */
		if (!a.done) {
			json_object_set_new(v, "note", discard_note(c, &j));
			spool_wake(c->ct->parts.spool);
		}
	}
	job_row_free(&j);
	return v;
}
