/*
 * bq_check.c - what a person asks of a destination: does it work (each right tried for real, in a dataset of our own that is deleted again), and what is in a table.
 * Where a right is missing, the answer names the role and the command that grants it, with the real names in it.
 */
#include <time.h>

#include "loaders/bigquery/bq_upload.h"

#include "jwrite.h"
#include "timefmt.h"
#include "xalloc.h"

static char *role_fix(const struct bq *b, const char *role)
{
	return xasprintf("gcloud projects add-iam-policy-binding %s --member=serviceAccount:%s --role=%s", b->project, b->email, role);
}

/* One right that was tried: rc and e say how it went. */
static bool tell(struct bq *b, struct loader_check *c, const char *right, const char *permission, const char *role, int rc, struct err *e)
{
	char *fix, *cause;

	check_right(c, right, rc == 0, rc ? e->text : NULL);
	if (!rc)
		return true;
	if (b->status == 403 && strcmp(b->reason, "accessDenied") == 0) {
		cause = xasprintf("%s lacks the permission %s in project %s: %s", b->email, permission, b->project, e->text);
		fix = role_fix(b, role);
	} else if (b->status == 404) {
		cause = xstrdup(e->text);
		fix = xstrdup("Set project to the project's id (gcloud projects list), and location to where its datasets are.");
	} else {
		cause = xstrdup(e->text);
		fix = xstrdup("");
	}
	check_failed(c, cause, fix);
	free(cause);
	free(fix);
	err_clear(e);
	return false;
}

static int post(struct bq *b, const char *method, const char *path, json_t *body, struct err *e)
{
	json_t *o = NULL;
	int rc = bq_call(b, method, path, body, &o, e);

	json_decref(o);
	json_decref(body);
	return rc;
}

static int try_dataset(struct bq *b, struct err *e)
{
	json_t *body = json_pack("{s:{s:s, s:s}}", "datasetReference", "projectId", b->project, "datasetId", b->dataset);

	if (b->location)
		json_object_set_new(body, "location", json_string(b->location));
	b->phase = "making a dataset";
	return post(b, "POST", "/datasets", body, e);
}

static int try_table(struct bq *b, struct err *e)
{
	char *path = xasprintf("/datasets/%s/tables", b->dataset);
	int rc;

	b->phase = "making a table";
	rc = post(b, "POST", path, json_pack("{s:{s:s, s:s, s:s}, s:{s:[{s:s, s:s}]}}", "tableReference", "projectId", b->project, "datasetId", b->dataset, "tableId", "t", "schema",
		"fields", "name", "a", "type", "INTEGER"), e);
	free(path);
	return rc;
}

static int try_columns(struct bq *b, struct err *e)
{
	char *path = xasprintf("/datasets/%s/tables/t", b->dataset);
	int rc;

	b->phase = "adding a column";
	rc = post(b, "PATCH", path, json_pack("{s:{s:[{s:s, s:s}, {s:s, s:s}]}}", "schema", "fields", "name", "a", "type", "INTEGER", "name", "b", "type", "STRING"), e);
	free(path);
	return rc;
}

static int try_load(struct bq *b, struct upload **u, struct err *e)
{
	uint64_t position, row;

	*u = upload_new(b, "check", "t", json_pack("[{s:s, s:s}]", "name", "a", "type", "INTEGER"), e);
	return !*u || upload_line(*u, STR("{\"a\":\"1\"}\n"), e) || upload_finish(*u, &position, &row, e) ? -1 : 0;
}

static int try_rows(struct bq *b, const struct upload *u, struct err *e)
{
	struct buf sql = BUF_INIT;
	int rc;

	buf_adds(&sql, "BEGIN TRANSACTION;\nINSERT INTO ");
	bq_name(b, "t", &sql);
	buf_adds(&sql, " (a) SELECT a FROM ");
	bq_name(b, upload_table(u), &sql);
	buf_adds(&sql, ";\nUPDATE ");
	bq_name(b, "t", &sql);
	buf_adds(&sql, " SET b = 'x' WHERE TRUE;\nCOMMIT TRANSACTION;\n");
	rc = bq_script(b, buf_cstr(&sql), "changing rows", e);
	buf_free(&sql);
	return rc;
}

static int try_read(struct bq *b, struct err *e)
{
	struct buf sql = BUF_INIT;
	const char *n;
	json_t *rows;
	int rc;

	buf_adds(&sql, "SELECT COUNT(*) FROM ");
	bq_name(b, "t", &sql);
	buf_adds(&sql, " WHERE b = 'x'");
	b->phase = "reading rows";
	rows = bq_query(b, buf_cstr(&sql), NULL, e);
	n = rows ? bq_cell(json_array_get(rows, 0), 0) : NULL;
	rc = !rows ? -1 : n && strcmp(n, "1") == 0 ? 0 : err_set(e, ERR_TRANSIENT, "the row that was written is not there");
	json_decref(rows);
	buf_free(&sql);
	return rc;
}

static int try_delete(struct bq *b, struct err *e)
{
	char *path = xasprintf("/datasets/%s?deleteContents=true", b->dataset);
	int rc;

	b->phase = "deleting a dataset";
	rc = post(b, "DELETE", path, NULL, e);
	free(path);
	return rc;
}

static int try_jobs(struct bq *b, struct err *e)
{
	json_t *rows;

	b->phase = "running a query";
	rows = bq_query(b, "SELECT 1", NULL, e);
	json_decref(rows);
	return rows ? 0 : -1;
}

void bq_check(void *self, struct loader_check *c)
{
	static const char editor[] = "roles/bigquery.dataEditor", user[] = "roles/bigquery.jobUser";
	struct bq *b = self;
	struct upload *u = NULL;
	struct err e = ERR_INIT;
	char id[17];
	bool all;

	bq_random(id);
	free(b->dataset);
	free(b->region);
	b->region = NULL;
	b->dataset = xasprintf("stitch_check_%s", id);
	check_right(c, "log in", true, b->email);
	all = tell(b, c, "run jobs", "bigquery.jobs.create", user, try_jobs(b, &e), &e);
	/* where datasets are made by hand, what is below cannot be tried */
	if (!tell(b, c, "make datasets", "bigquery.datasets.create", editor, try_dataset(b, &e), &e))
		goto out;
	if (tell(b, c, "make tables", "bigquery.tables.create", editor, try_table(b, &e), &e) && all) {
		all = tell(b, c, "load files", "bigquery.tables.updateData", editor, try_load(b, &u, &e), &e) &&
		      tell(b, c, "add columns", "bigquery.tables.update", editor, try_columns(b, &e), &e) &&
		      tell(b, c, "change rows", "bigquery.tables.updateData", editor, try_rows(b, u, &e), &e) &&
		      tell(b, c, "read rows", "bigquery.tables.getData", editor, try_read(b, &e), &e);
		upload_free(u);
	}
	tell(b, c, "delete tables", "bigquery.tables.delete", editor, try_delete(b, &e), &e);
out:
	free(b->dataset);
	b->dataset = NULL;
}

/* --- sample --- */

static void value_text(const json_t *v, const json_t *f, bool element, struct jwrite *w);

static void struct_text(const json_t *v, const json_t *f, struct jwrite *w)
{
	json_t *fields = json_object_get(f, "fields"), *m;
	size_t k;

	jwrite_object(w);
	json_array_foreach(fields, k, m)
	{
		const char *name = json_string_value(json_object_get(m, "name"));

		jwrite_key(w, name ? name : "");
		value_text(json_object_get(json_array_get(json_object_get(v, "f"), k), "v"), m, false, w);
	}
	jwrite_object_end(w);
}

static const char *scalar(const json_t *v, const json_t *f, char text[TIMEFMT_MAX])
{
	const char *s = json_string_value(v);
	int64_t us;

	if (s && bq_field_is(f, "TIMESTAMP", NULL) && str_to_i64(str_c(s), &us) == 0) {
		timefmt_sql(us, text);
		return text;
	}
	return s;
}

/* Nested values as JSON text. */
static void value_text(const json_t *v, const json_t *f, bool element, struct jwrite *w)
{
	const char *mode = json_string_value(json_object_get(f, "mode"));
	char text[TIMEFMT_MAX];
	json_t *one;
	size_t k;

	if (!element && mode && strcasecmp(mode, "REPEATED") == 0) {
		jwrite_array(w);
		json_array_foreach(v, k, one)
		{
			value_text(json_object_get(one, "v"), f, true, w);
		}
		jwrite_array_end(w);
	} else if (json_is_object(v)) {
		struct_text(v, f, w);
	} else if (json_is_string(v) && (bq_field_is(f, "INTEGER", "INT64") || bq_field_is(f, "FLOAT", "FLOAT64") || bq_field_is(f, "BOOLEAN", "BOOL"))) {
		jwrite_raw(w, str_c(json_string_value(v)));
	} else {
		jwrite_string(w, scalar(v, f, text));
	}
}

static json_t *cell_text(const json_t *v, const json_t *f)
{
	struct buf b = BUF_INIT;
	char text[TIMEFMT_MAX];
	struct jwrite w;
	json_t *out;

	if (!json_is_object(v) && !json_is_array(v))
		return json_is_string(v) ? json_stringn(scalar(v, f, text), bq_field_is(f, "TIMESTAMP", NULL) ? strlen(scalar(v, f, text)) : json_string_length(v)) : json_null();
	jwrite_init(&w, &b);
	value_text(v, f, false, &w);
	out = json_stringn(buf_cstr(&b), b.len);
	buf_free(&b);
	return out;
}

static void fill(const json_t *fields, const json_t *list, json_t *columns, json_t *rows)
{
	json_t *f, *row;
	size_t k, n;

	json_array_foreach(fields, k, f)
	{
		json_array_append(columns, json_object_get(f, "name"));
	}
	json_array_foreach(list, n, row)
	{
		json_t *out = json_array();

		json_array_foreach(fields, k, f)
		{
			json_array_append_new(out, cell_text(json_object_get(json_array_get(json_object_get(row, "f"), k), "v"), f));
		}
		json_array_append_new(rows, out);
	}
}

int bq_sample(void *self, const char *schema, const char *table, unsigned max, json_t *columns, json_t *rows, struct err *e)
{
	struct bq *b = self;
	struct buf name = BUF_INIT, sql = BUF_INIT;
	json_t *o = NULL, *list = NULL, *fields = NULL;
	int rc;

	b->phase = "reading rows";
	bq_canonical(str_c(schema), &name);
	free(b->dataset);
	b->dataset = buf_detach(&name, NULL);
	dialect_name(&bq_dialect, str_c(table), &name);
	rc = bq_get_table(b, buf_cstr(&name), &o, e);
	if (!rc) {
		buf_adds(&sql, "SELECT * FROM ");
		bq_name(b, buf_cstr(&name), &sql);
		buf_addf(&sql, " LIMIT %u", max);
		list = bq_query(b, buf_cstr(&sql), &fields, e);
		rc = list ? 0 : -1;
	}
	if (!rc)
		fill(fields, list, columns, rows);
	json_decref(fields);
	json_decref(list);
	json_decref(o);
	buf_free(&name);
	buf_free(&sql);
	return rc;
}
