/*
 * bq_upload.c - lines, gzipped on the way, into a staging table by one resumable upload, which ends in a load job. Memory is bounded by one chunk; a connection that
 * drops costs at most that chunk: the server is asked how much it has, and the rest is sent again.
 *
 * Each upload has a staging table and a job of its own, named by fresh random digits, so that what is left of a killed loader can never write into ours. The table
 * has an expiration time, in case nobody deletes it. What can go wrong: the session is forgotten by the server (the load is tried again); the data are refused: the
 * job's errors name the line by its position.
 */
#include <time.h>
#include <zlib.h>

#include "loaders/bigquery/bq_upload.h"

#include "xalloc.h"

#define CHUNK (8u << 20) /* a multiple of 256 KiB, as is asked for */
#define UPLOAD_MAX UINT64_C(4000000000) /* of one gzipped file */
#define STAGING_LIFE (24 * 3600)
#define LEVEL 1

struct upload {
	struct bq *b;
	char *table, *session;
	json_t *fields, *job;
	const char *batch;
	bool made; /* the staging table may be there */
	z_stream z;
	struct buf out;	    /* compressed, not at the server yet */
	uint64_t committed; /* bytes that the server has */
	uint64_t lines;	    /* bytes of lines */
};

struct upload *upload_new(struct bq *b, const char *batch, const char *table, json_t *fields, struct err *e)
{
	struct upload *u = xcalloc(1, sizeof(*u));
	char id[17];

	bq_random(id);
	u->b = b;
	u->batch = batch;
	u->fields = fields;
	u->table = xasprintf("%s__stg_%.8s_%s", table, batch, id);
	if (deflateInit2(&u->z, LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK)
		return u;
	err_set(e, ERR_TRANSIENT, "no memory to compress with");
	json_decref(u->fields);
	free(u->table);
	free(u);
	return NULL;
}

uint64_t upload_position(const struct upload *u)
{
	return u->lines;
}

const char *upload_table(const struct upload *u)
{
	return u->table;
}

/* --- the session --- */

static int make_table(struct upload *u, struct err *e)
{
	struct bq *b = u->b;
	char *path = xasprintf("/datasets/%s/tables", b->dataset), *until = xasprintf("%lld000", (long long)time(NULL) + STAGING_LIFE);
	json_t *body = json_pack("{s:{s:s, s:s, s:s}, s:{s:O}, s:s}", "tableReference", "projectId", b->project, "datasetId", b->dataset, "tableId", u->table, "schema", "fields",
		u->fields, "expirationTime", until), *o = NULL;
	int rc = bq_call(b, "POST", path, body, &o, e);

	u->made = true;
	if (rc && b->status == 409)
		rc = 0;
	json_decref(body);
	json_decref(o);
	free(path);
	free(until);
	return rc;
}

static char *job_text(struct upload *u)
{
	struct bq *b = u->b;
	char id[17], *name, *text;
	json_t *body;

	bq_random(id);
	name = xasprintf("stitch_%s_load_%s", u->batch, id);
	body = json_pack("{s:o, s:{s:{s:{s:s, s:s, s:s}, s:{s:O}, s:s, s:s, s:s, s:i}}}", "jobReference", bq_job_ref(b, name), "configuration", "load", "destinationTable",
		"projectId", b->project, "datasetId", b->dataset, "tableId", u->table, "schema", "fields", u->fields, "sourceFormat", "NEWLINE_DELIMITED_JSON",
		"writeDisposition", "WRITE_TRUNCATE", "createDisposition", "CREATE_IF_NEEDED", "maxBadRecords", 0);
	text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	free(name);
	return text;
}

static int start(struct upload *u, struct err *e)
{
	static const char *const headers[] = {"Content-Type: application/json", "X-Upload-Content-Type: application/octet-stream", NULL};
	struct bq *b = u->b;
	char *url = xasprintf("%s/upload/bigquery/v2/projects/%s/jobs?uploadType=resumable", b->url, b->project);
	int rc = make_table(u, e);

	for (unsigned n = 1; !rc && !u->session; n++) {
		/* a new id each time: whether the one before was taken is of no interest */
		char *text = job_text(u);
		struct str where;

		rc = bq_send(b, "POST", url, headers, str_c(text), e);
		free(text);
		where = rc ? STR_NULL : http_header(&b->answer, "Location");
		if (!rc && b->status == 200 && where.len)
			u->session = str_dup(where);
		else if (!rc)
			rc = bq_refused(b, "beginning the upload", e);
		if (rc && (e->code == ERR_TRANSIENT || e->code == ERR_TIMEOUT) && bq_wait(b, n, b->status ? http_retry_after(&b->answer) : -1))
			rc = 0;
	}
	free(url);
	return rc;
}

/* "bytes=0-524287": so much is there. */
static uint64_t have(struct upload *u)
{
	struct str range = http_header(&u->b->answer, "Range");
	uint64_t last;

	if (!str_starts(range, STR("bytes=0-")) || str_to_u64(str_mem(range.ptr + 8, range.len - 8), &last))
		return 0;
	return last + 1;
}

/* What a PUT into the session says. 1: the upload is whole. */
static int take_answer(struct upload *u, struct err *e)
{
	struct bq *b = u->b;
	uint64_t there;

	if (b->status == 200 || b->status == 201) {
		u->job = json_loadb(buf_cstr(&b->answer.body), b->answer.body.len, 0, NULL);
		return u->job ? 1 : err_set(e, ERR_TRANSIENT, "the upload's answer is no JSON");
	}
	if (b->status != 308) {
		bq_refused(b, "uploading", e);
		/* a session that is gone is begun anew with the load */
		if (b->status == 404 || b->status == 410)
			e->code = ERR_TRANSIENT;
		return -1;
	}
	there = have(u);
	if (there < u->committed || there > u->committed + u->out.len)
		return err_set(e, ERR_TRANSIENT, "the upload has lost bytes that were there");
	buf_consume(&u->out, (size_t)(there - u->committed));
	u->committed = there;
	return 0;
}

static int put_range(struct upload *u, size_t len, bool last, struct err *e)
{
	char range[100], total[24] = "*";
	const char *headers[] = {"Content-Type: application/octet-stream", range, NULL};

	if (last)
		snprintf(total, sizeof(total), "%" PRIu64, u->committed + u->out.len);
	if (len)
		snprintf(range, sizeof(range), "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%s", u->committed, u->committed + len - 1, total);
	else
		snprintf(range, sizeof(range), "Content-Range: bytes */%s", total);
	return bq_send(u->b, "PUT", u->session, headers, str_mem(u->out.data, len), e) ? -1 : take_answer(u, e);
}

/* Sends the first len bytes of out; last: and there are no more. */
static int send_piece(struct upload *u, size_t len, bool last, struct err *e)
{
	uint64_t aim = u->committed + len;
	int rc = 0;

	u->b->phase = "uploading";
	for (unsigned n = 1; !u->job && (last || u->committed < aim);) {
		uint64_t before = u->committed;

		rc = put_range(u, (size_t)(aim - u->committed), last, e);
		if (rc >= 0) {
			/* it may take less than it got, but not nothing for ever */
			if (!u->job && u->committed == before && !bq_wait(u->b, n++, -1))
				return err_set(e, ERR_TRANSIENT, "the upload does not move on");
			continue;
		}
		if ((e->code != ERR_TRANSIENT && e->code != ERR_TIMEOUT) || !bq_wait(u->b, n++, u->b->status ? http_retry_after(&u->b->answer) : -1))
			return -1;
		/* what has come through? */
		rc = put_range(u, 0, last, e);
		if (rc < 0 && e->code != ERR_TRANSIENT && e->code != ERR_TIMEOUT)
			return -1;
	}
	return 0;
}

/* --- lines --- */

static int compress_some(struct upload *u, int flush, struct err *e)
{
	int rc = Z_OK;

	do {
		buf_reserve(&u->out, 65536);
		u->z.next_out = (unsigned char *)u->out.data + u->out.len;
		u->z.avail_out = 65536;
		rc = deflate(&u->z, flush);
		u->out.len += 65536 - u->z.avail_out;
		u->out.data[u->out.len] = '\0';
		if (u->out.len >= CHUNK && ((!u->session && start(u, e)) || send_piece(u, CHUNK, false, e)))
			return -1;
	} while (rc == Z_OK && (u->z.avail_in || u->z.avail_out == 0));
	if (u->committed + u->out.len > UPLOAD_MAX)
		return err_set(e, ERR_CONFIG, "the load has more than %" PRIu64 " bytes, which is more than BigQuery takes of one file", UPLOAD_MAX);
	return 0;
}

int upload_line(struct upload *u, struct str line, struct err *e)
{
	u->z.next_in = (unsigned char *)(uintptr_t)line.ptr;
	u->z.avail_in = (unsigned)line.len;
	u->lines += line.len;
	return compress_some(u, Z_NO_FLUSH, e);
}

/* The number after words in any of the job's errors. */
static uint64_t number_after(const json_t *job, const char *words)
{
	json_t *list = json_object_get(json_object_get(job, "status"), "errors"), *one;
	size_t k;

	json_array_foreach(list, k, one)
	{
		const char *text = json_string_value(json_object_get(one, "message")), *at = text ? strstr(text, words) : NULL;
		uint64_t n;

		if (at && str_to_u64(str_mem(at + strlen(words), strspn(at + strlen(words), "0123456789")), &n) == 0)
			return n;
	}
	return UINT64_MAX;
}

/* The error that says most: the last one that names a field. */
static void say_data(const json_t *job, struct err *e)
{
	json_t *list = json_object_get(json_object_get(job, "status"), "errors"), *one;
	size_t k;

	json_array_foreach(list, k, one)
	{
		const char *text = json_string_value(json_object_get(one, "message"));

		if (text && (strstr(text, "Field:") || !k))
			err_set(e, ERR_DATA, "%s", text);
	}
}

int upload_finish(struct upload *u, uint64_t *position, uint64_t *row, struct err *e)
{
	int rc;

	*position = *row = UINT64_MAX;
	u->z.avail_in = 0;
	if (compress_some(u, Z_FINISH, e) || (!u->session && start(u, e)) || send_piece(u, u->out.len, true, e))
		return -1;
	u->b->phase = "waiting for the load job";
	u->job = bq_job_wait(u->b, u->job, e);
	if (!u->job)
		return -1;
	rc = bq_job_failed(u->b, u->job, "the load job", e);
	if (!rc || (strcmp(u->b->reason, "invalid") != 0))
		return rc;
	*position = number_after(u->job, "starting at position ");
	*row = number_after(u->job, "Rows: ");
	if (*position != UINT64_MAX || *row != UINT64_MAX)
		say_data(u->job, e);
	return -1;
}

void upload_free(struct upload *u)
{
	struct err e = ERR_INIT;
	json_t *o = NULL;

	if (!u)
		return;
	if (u->made) {
		char *path = xasprintf("/datasets/%s/tables/%s", u->b->dataset, u->table);

		u->b->phase = "deleting the staging table";
		u->b->once = true;
		/* if not, it expires */
		if (bq_call(u->b, "DELETE", path, NULL, &o, &e))
			err_clear(&e);
		u->b->once = false;
		json_decref(o);
		free(path);
	}
	deflateEnd(&u->z);
	json_decref(u->fields);
	json_decref(u->job);
	buf_free(&u->out);
	free(u->session);
	free(u->table);
	free(u);
}
