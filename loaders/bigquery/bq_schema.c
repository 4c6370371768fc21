/*
 * bq_schema.c - datasets and tables by the REST API, which is idempotent and costs no query: what is there (tables.get), a new table (tables.insert), new columns, at
 * the top and nested (tables.patch of the whole schema). Only a type is changed by a statement.
 *
 * A table's owner and key stand in its description, so that looking at a table is one request; the key also in _sdc_primary_keys, where people look for it. What can go
 * wrong: somebody patches the schema at the same time (refused; the runtime looks again); a description that a person has overwritten (then the key is read from
 * _sdc_primary_keys).
 */
#include "loaders/bigquery/bq.h"

#include "jwrite.h"
#include "xalloc.h"

#define EXACT_MAX "9007199254740992" /* integers up to here are doubles, too */
#define INTRO "Loaded by stitch. "

/* --- fields --- */

bool bq_field_is(const json_t *field, const char *type, const char *alias)
{
	const char *t = json_string_value(json_object_get(field, "type"));

	return t && (strcasecmp(t, type) == 0 || (alias && strcasecmp(t, alias) == 0));
}

static bool repeated(const json_t *field)
{
	const char *mode = json_string_value(json_object_get(field, "mode"));

	return mode && strcasecmp(mode, "REPEATED") == 0;
}

static const char *name_of(const json_t *field)
{
	const char *name = json_string_value(json_object_get(field, "name"));

	return name ? name : "";
}

json_t *bq_field(const json_t *fields, const char *name)
{
	json_t *f;
	size_t k;

	json_array_foreach(fields, k, f)
	{
		if (strcasecmp(name_of(f), name) == 0)
			return f;
	}
	return NULL;
}

static const char *type_of(const struct column *c)
{
	switch (c->type) {
	case COL_INTEGER:
		return "INTEGER";
	case COL_NUMBER:
		/* a key is compared, which doubles are not made for */
		return c->key || c->decimal ? "NUMERIC" : "FLOAT";
	case COL_BOOLEAN:
		return "BOOLEAN";
	case COL_TIME:
		return "TIMESTAMP";
	case COL_JSON:
		return "RECORD";
	case COL_STRING:
	case COL_TYPES:
		break;
	}
	return "STRING";
}

/* The field that a column becomes. */
static json_t *field_json(const struct column *c, const char *name)
{
	const struct column *of = c->repeated ? &c->sub[0] : c;
	json_t *f = json_pack("{s:s, s:s, s:s}", "name", name, "type", type_of(of), "mode", c->repeated ? "REPEATED" : "NULLABLE");

	if (of->type == COL_JSON) {
		json_t *fields = json_array();

		for (size_t k = 0; k < of->n_sub; k++)
			json_array_append_new(fields, field_json(&of->sub[k], of->sub[k].name));
		json_object_set_new(f, "fields", fields);
	}
	return f;
}

/* Nested columns that a field lacks. */
static bool merge_nested(json_t *field, const struct column *c)
{
	const struct column *of = c->repeated ? &c->sub[0] : c;
	json_t *fields = json_object_get(field, "fields");
	bool changed = false;

	for (size_t k = 0; of->type == COL_JSON && k < of->n_sub; k++) {
		json_t *f = bq_field(fields, of->sub[k].name);

		if (!f) {
			json_array_append_new(fields, field_json(&of->sub[k], of->sub[k].name));
			changed = true;
		} else if (merge_nested(f, &of->sub[k])) {
			changed = true;
		}
	}
	return changed;
}

static bool merge(json_t *fields, const struct layout *lo)
{
	bool changed = false;

	for (size_t k = 0; k < lo->n; k++) {
		const struct column *c = &lo->columns[k];
		json_t *f = bq_field(fields, c->name);

		if (!f) {
			json_array_append_new(fields, field_json(c, c->name));
			changed = true;
		} else if (c->type == COL_JSON && merge_nested(f, c)) {
			changed = true;
		}
	}
	return changed;
}

/* --- what there must be --- */

static int insert_table(struct bq *b, const char *name, json_t *body, struct err *e)
{
	char *path = xasprintf("/datasets/%s/tables", b->dataset);
	json_t *o = NULL;
	int rc;

	json_object_set_new(body, "tableReference", json_pack("{s:s, s:s, s:s}", "projectId", b->project, "datasetId", b->dataset, "tableId", name));
	rc = bq_call(b, "POST", path, body, &o, e);
	/* made meanwhile, or by a request whose answer was lost */
	if (rc && b->status == 409)
		rc = 0;
	json_decref(o);
	json_decref(body);
	free(path);
	return rc;
}

/* columns: "name TYPE, name TYPE" */
static int insert_ours(struct bq *b, const char *name, const char *columns, struct err *e)
{
	json_t *fields = json_array();
	char *list = xstrdup(columns), *save;

	for (char *c = strtok_r(list, ", ", &save); c; c = strtok_r(NULL, ", ", &save))
		json_array_append_new(fields, json_pack("{s:s, s:s}", "name", c, "type", strtok_r(NULL, ", ", &save)));
	free(list);
	return insert_table(b, name, json_pack("{s:{s:o}}", "schema", "fields", fields), e);
}

/* o: a table or a dataset */
static void note_region(struct bq *b, const json_t *o)
{
	const char *region = json_string_value(json_object_get(o, "location"));

	if (!region)
		return;
	free(b->region);
	b->region = xstrdup(region);
}

int bq_get_table(struct bq *b, const char *table, json_t **out, struct err *e)
{
	char *path = xasprintf("/datasets/%s/tables/%s", b->dataset, table);
	int rc = bq_call(b, "GET", path, NULL, out, e);

	free(path);
	if (rc && b->status == 404)
		e->code = ERR_NOT_FOUND;
	note_region(b, *out);
	return rc;
}

static int make_dataset(struct bq *b, struct err *e)
{
	json_t *body = json_pack("{s:{s:s, s:s}}", "datasetReference", "projectId", b->project, "datasetId", b->dataset), *o = NULL;
	char *path = xasprintf("/datasets/%s", b->dataset);
	int rc = bq_call(b, "GET", path, NULL, &o, e);

	if (rc && b->status == 404) {
		if (b->location)
			json_object_set_new(body, "location", json_string(b->location));
		rc = bq_call(b, "POST", "/datasets", body, &o, e);
		if (rc && b->status == 409)
			rc = 0;
		else if (rc && b->status == 403)
			err_wrap(e, "the dataset %s is not there, and %s may not make it: grant roles/bigquery.user on project %s, or make it", b->dataset, b->email, b->project);
	}
	if (!rc)
		note_region(b, o);
	json_decref(body);
	json_decref(o);
	free(path);
	return rc;
}

int bq_prepare(void *self, const struct job *j, struct err *e)
{
	struct bq *b = self;
	struct buf name = BUF_INIT;
	json_t *o = NULL;
	int rc;

	b->phase = "making the dataset";
	bq_canonical(str_c(j->schema), &name);
	if (!name.len)
		return err_set(e, ERR_CONFIG, "BigQuery's tables are in datasets: connect source %s with --schema DATASET", j->source);
	free(b->dataset);
	b->dataset = buf_detach(&name, NULL);
	if (b->prepared && strcmp(b->prepared, b->dataset) == 0)
		return 0;
	free(b->region);
	b->region = NULL;
	/* it is made last */
	rc = bq_get_table(b, "_stitch_ledger", &o, e);
	json_decref(o);
	if (rc && e->code != ERR_NOT_FOUND)
		return -1;
	if (rc && j->dry_run)
		return 1;
	if (rc && (make_dataset(b, e) || insert_ours(b, "_stitch_table", "table_name STRING, active_version INTEGER", e) ||
			  insert_ours(b, "_sdc_rejected", "_sdc_rejected_at TIMESTAMP, table_name STRING, reason STRING, record STRING", e) ||
			  insert_ours(b, "_sdc_primary_keys", "table_name STRING, column_name STRING, ordinal_position INTEGER", e) ||
			  insert_ours(b, "_stitch_ledger",
				  "batch_id STRING, queue_id STRING, partition INTEGER, first_offset INTEGER, last_offset INTEGER, source STRING, table_name STRING, "
				  "table_version INTEGER, rows INTEGER, rejected INTEGER, attempt INTEGER, discarded BOOLEAN, loaded_at TIMESTAMP", e)))
		return -1;
	free(b->prepared);
	b->prepared = xstrdup(b->dataset);
	return 0;
}

/* --- describe --- */

static unsigned accepts(const json_t *f)
{
	if (bq_field_is(f, "INTEGER", "INT64"))
		return COL_BIT(COL_INTEGER);
	if (bq_field_is(f, "FLOAT", "FLOAT64") || bq_field_is(f, "NUMERIC", "BIGNUMERIC"))
		return COL_BIT(COL_NUMBER) | COL_BIT(COL_INTEGER);
	if (bq_field_is(f, "BOOLEAN", "BOOL"))
		return COL_BIT(COL_BOOLEAN);
	if (bq_field_is(f, "TIMESTAMP", NULL))
		return COL_BIT(COL_TIME);
	if (bq_field_is(f, "STRING", NULL))
		return COL_BIT(COL_STRING);
	if (bq_field_is(f, "RECORD", "STRUCT"))
		return COL_BIT(COL_JSON);
	return 0;
}

static void desc_fields(const json_t *fields, struct desc_column **out, size_t *n);

static void desc_field(const json_t *f, struct desc_column *dc)
{
	*dc = (struct desc_column){.name = xstrdup(name_of(f)), .accepts = accepts(f)};
	desc_fields(json_object_get(f, "fields"), &dc->sub, &dc->n_sub);
	if (repeated(f)) {
		struct desc_column *element = xcalloc(1, sizeof(*element));

		*element = *dc;
		element->name = xstrdup("");
		*dc = (struct desc_column){.name = dc->name, .accepts = COL_BIT(COL_JSON), .sub = element, .n_sub = 1, .repeated = true};
	}
}

static void desc_fields(const json_t *fields, struct desc_column **out, size_t *n)
{
	json_t *f;
	size_t k;

	*n = json_array_size(fields);
	*out = xcalloc(*n + 1, sizeof(**out));
	json_array_foreach(fields, k, f)
	{
		desc_field(f, &(*out)[k]);
	}
}

static void add_key(struct table_desc *out, const char *name)
{
	out->keys = xreallocarray(out->keys, out->n_keys + 1, sizeof(*out->keys));
	out->keys[out->n_keys++] = xstrdup(name);
}

static int read_keys(struct bq *b, const char *table, struct table_desc *out, struct err *e)
{
	struct buf sql = BUF_INIT;
	json_t *rows, *row;
	size_t k;
	int rc;

	buf_adds(&sql, "SELECT column_name FROM ");
	bq_name(b, "_sdc_primary_keys", &sql);
	buf_adds(&sql, " WHERE table_name = ");
	bq_literal(str_c(table), &sql);
	buf_adds(&sql, " ORDER BY ordinal_position");
	rows = bq_query(b, buf_cstr(&sql), NULL, e);
	rc = rows ? 0 : -1;
	buf_free(&sql);
	json_array_foreach(rows, k, row)
	{
		if (bq_cell(row, 0))
			add_key(out, bq_cell(row, 0));
	}
	json_decref(rows);
	return rc;
}

/* Whose table it is, and its key. */
static int read_description(struct bq *b, const struct job *j, const char *table, const json_t *o, struct table_desc *out, struct err *e)
{
	const char *text = json_string_value(json_object_get(o, "description")), *at = text ? strchr(text, '{') : NULL, *of;
	json_t *d = at ? json_loads(at, JSON_DISABLE_EOF_CHECK, NULL) : NULL, *key;
	size_t k;
	int rc = 0;

	of = json_string_value(json_object_get(d, "source"));
	if (!of) {
		json_decref(d);
		return read_keys(b, table, out, e);
	}
	out->owner = xstrdup(of);
	json_array_foreach(json_object_get(d, "keys"), k, key)
	{
		if (json_is_string(key))
			add_key(out, json_string_value(key));
	}
	of = json_string_value(json_object_get(d, "table"));
	if (of && strcmp(out->owner, j->source) == 0 && strcmp(of, j->table) != 0)
		rc = err_set(e, ERR_CONFIG, "the table %s holds %s.%s, and %s.%s would have the same name here; rename one of them at its source", table, out->owner, of, j->source,
			j->table);
	json_decref(d);
	return rc;
}

int bq_describe(void *self, const struct job *j, const char *table, struct table_desc *out, struct err *e)
{
	struct bq *b = self;
	json_t *o = NULL, *fields;
	const char *type;
	int rc;

	*out = (struct table_desc){.exists = false};
	b->phase = "looking at the table";
	free(b->table);
	b->table = xstrdup(table);
	json_decref(b->fields);
	b->fields = NULL;
	if (bq_get_table(b, table, &o, e)) {
		if (e->code != ERR_NOT_FOUND)
			return -1;
		err_clear(e);
		return 0;
	}
	type = json_string_value(json_object_get(o, "type"));
	fields = json_object_get(json_object_get(o, "schema"), "fields");
	if (type && strcmp(type, "TABLE") != 0)
		rc = err_set(e, ERR_CONFIG, "%s.%s is no table (%s); rename it, or connect source %s with another --schema", b->dataset, table, type, j->source);
	else
		rc = read_description(b, j, table, o, out, e);
	if (rc) {
		table_desc_free(out);
	} else {
		out->exists = true;
		b->fields = fields ? json_deep_copy(fields) : json_array();
		desc_fields(b->fields, &out->columns, &out->n);
	}
	json_decref(o);
	return rc;
}

/* --- change --- */

static char *description(const struct job *j, const struct layout *lo)
{
	struct buf b = BUF_INIT;
	struct jwrite w;

	buf_adds(&b, INTRO);
	jwrite_init(&w, &b);
	jwrite_object(&w);
	jwrite_kv_string(&w, "source", j->source);
	jwrite_kv_string(&w, "table", j->table);
	jwrite_key(&w, "keys");
	jwrite_array(&w);
	for (size_t k = 0; k < lo->n_keys; k++)
		jwrite_string(&w, lo->columns[lo->keys[k]].name);
	jwrite_array_end(&w);
	jwrite_object_end(&w);
	return buf_detach(&b, NULL);
}

/* What was loaded into a table that is gone is gone too: its batches may come again. This comes first: a table that is there with old ledger rows would lose them. */
static int void_ledger(struct bq *b, const struct job *j, const struct layout *lo, struct err *e)
{
	struct buf sql = BUF_INIT;
	int rc;

	buf_adds(&sql, "DELETE FROM ");
	bq_name(b, "_stitch_ledger", &sql);
	buf_adds(&sql, " WHERE table_name = ");
	bq_literal(str_c(j->table), &sql);
	buf_adds(&sql, " AND NOT discarded;\nDELETE FROM ");
	bq_name(b, "_sdc_primary_keys", &sql);
	buf_adds(&sql, " WHERE table_name = ");
	bq_literal(str_c(lo->table), &sql);
	for (size_t k = 0; k < lo->n_keys; k++) {
		if (!k) {
			buf_adds(&sql, ";\nINSERT INTO ");
			bq_name(b, "_sdc_primary_keys", &sql);
			buf_adds(&sql, " (table_name, column_name, ordinal_position) VALUES ");
		}
		buf_adds(&sql, k ? ", (" : "(");
		bq_literal(str_c(lo->table), &sql);
		buf_adds(&sql, ", ");
		bq_literal(str_c(lo->columns[lo->keys[k]].name), &sql);
		buf_addf(&sql, ", %zu)", k + 1);
	}
	buf_adds(&sql, ";\n");
	rc = bq_script(b, buf_cstr(&sql), "voiding the ledger of a new table", e);
	buf_free(&sql);
	return rc;
}

static int create(struct bq *b, const struct job *j, const struct layout *lo, struct err *e)
{
	char *text = description(j, lo);
	json_t *fields = json_array(), *body = json_pack("{s:s, s:{s:o}}", "description", text, "schema", "fields", fields);

	free(text);
	merge(fields, lo);
	if (b->partition)
		json_object_set_new(body, "timePartitioning", json_pack("{s:s, s:s}", "type", b->partition, "field", "_sdc_batched_at"));
	if (void_ledger(b, j, lo, e)) {
		json_decref(body);
		return -1;
	}
	b->phase = "making the table";
	return insert_table(b, lo->table, body, e);
}

/* The schema as it shall be; fields: taken. */
static int patch(struct bq *b, json_t *fields, struct err *e)
{
	char *path = xasprintf("/datasets/%s/tables/%s", b->dataset, b->table);
	json_t *body = json_pack("{s:{s:O}}", "schema", "fields", fields), *o = NULL;
	int rc;

	b->phase = "adding columns";
	rc = bq_call(b, "PATCH", path, body, &o, e);
	if (!rc) {
		json_decref(b->fields);
		b->fields = json_incref(fields);
	}
	json_decref(fields);
	json_decref(body);
	json_decref(o);
	free(path);
	return rc;
}

int bq_add_field(struct bq *b, const char *name, const char *type, struct err *e)
{
	json_t *fields;

	if (bq_field(b->fields, name))
		return 0;
	fields = json_deep_copy(b->fields);
	json_array_append_new(fields, json_pack("{s:s, s:s, s:s}", "name", name, "type", type, "mode", "NULLABLE"));
	return patch(b, fields, e);
}

/* All of the layout at once: the steps that follow find nothing to do. */
static int add_columns(struct bq *b, const struct layout *lo, struct err *e)
{
	json_t *fields = json_deep_copy(b->fields);

	if (fields && merge(fields, lo))
		return patch(b, fields, e);
	json_decref(fields);
	return b->fields ? 0 : err_set(e, ERR_TRANSIENT, "the table %s was dropped at this moment", lo->table);
}

/* Integers that are no doubles go to NAME__nu first, as they would had they come after the change. */
static int move_large(struct bq *b, const struct column *c, struct err *e)
{
	const char *name = c->name;
	struct buf sql = BUF_INIT;
	char *where = xasprintf(" WHERE `%s` > " EXACT_MAX " OR `%s` < -" EXACT_MAX, name, name), *other = bq_beside(c, "nu");
	const char *n;
	json_t *rows;
	int rc = -1;

	buf_adds(&sql, "SELECT COUNT(*) FROM ");
	bq_name(b, b->table, &sql);
	buf_adds(&sql, where);
	rows = bq_query(b, buf_cstr(&sql), NULL, e);
	n = rows ? bq_cell(json_array_get(rows, 0), 0) : NULL;
	if (rows)
		rc = 0;
	if (n && strcmp(n, "0") != 0) {
		buf_truncate(&sql, 0);
		buf_adds(&sql, "UPDATE ");
		bq_name(b, b->table, &sql);
		buf_addf(&sql, " SET `%s` = `%s`, `%s` = NULL%s", other, name, name, where);
		rc = bq_add_field(b, other, "NUMERIC", e) || bq_script(b, buf_cstr(&sql), "widening a column from integers to numbers", e) ? -1 : 0;
	}
	json_decref(rows);
	buf_free(&sql);
	free(where);
	free(other);
	return rc;
}

static void alter(const struct bq *b, const char *table, const struct column *c, struct buf *sql)
{
	const char *type = type_of(c);

	buf_adds(sql, "ALTER TABLE ");
	bq_name(b, table, sql);
	buf_addf(sql, " ALTER COLUMN `%s` SET DATA TYPE %s", c->name, strcmp(type, "FLOAT") == 0 ? "FLOAT64" : type);
}

static int widen(struct bq *b, const struct column *c, struct err *e)
{
	struct buf sql = BUF_INIT;
	int rc = 0;

	b->phase = "widening a column";
	if (strcmp(type_of(c), "FLOAT") == 0)
		rc = move_large(b, c, e);
	alter(b, b->table, c, &sql);
	if (!rc)
		rc = bq_script(b, buf_cstr(&sql), "widening a column from integers to numbers", e);
	buf_free(&sql);
	return rc;
}

int bq_change(void *self, const struct job *j, const struct layout *lo, const struct step *s, struct err *e)
{
	struct bq *b = self;

	switch (s->kind) {
	case STEP_CREATE:
		return create(b, j, lo, e);
	case STEP_WIDEN:
		return widen(b, s->column, e);
	case STEP_ADD:
	case STEP_NEST:
	case STEP_RENAME:
		break;
	}
	return add_columns(b, lo, e);
}

static void sql_type(const json_t *f, struct buf *out)
{
	json_t *fields = json_object_get(f, "fields"), *m;
	size_t k;

	buf_adds(out, repeated(f) ? "ARRAY<" : "");
	if (fields) {
		buf_adds(out, "STRUCT<");
		json_array_foreach(fields, k, m)
		{
			buf_addf(out, "%s`%s` ", k ? ", " : "", name_of(m));
			sql_type(m, out);
		}
		buf_addc(out, '>');
	} else if (bq_field_is(f, "INTEGER", NULL) || bq_field_is(f, "FLOAT", NULL)) {
		buf_adds(out, bq_field_is(f, "FLOAT", NULL) ? "FLOAT64" : "INT64");
	} else {
		buf_adds(out, bq_field_is(f, "BOOLEAN", NULL) ? "BOOL" : json_string_value(json_object_get(f, "type")));
	}
	buf_adds(out, repeated(f) ? ">" : "");
}

void bq_ddl(void *self, const struct job *j, const struct layout *lo, const struct step *s, struct buf *out)
{
	struct bq *b = self;
	json_t *f;

	(void)j;
	if (s->kind == STEP_WIDEN) {
		alter(b, lo->table, s->column, out);
		return;
	}
	buf_adds(out, s->kind == STEP_CREATE ? "CREATE TABLE " : "ALTER TABLE ");
	bq_name(b, lo->table, out);
	buf_adds(out, s->kind == STEP_CREATE ? " (" : s->kind == STEP_NEST ? " with nested columns of " : " ADD COLUMN ");
	for (size_t k = 0; k < lo->n; k++) {
		if (s->kind != STEP_CREATE && &lo->columns[k] != s->column)
			continue;
		f = field_json(&lo->columns[k], lo->columns[k].name);
		buf_addf(out, "%s`%s` ", s->kind == STEP_CREATE && k ? ", " : "", lo->columns[k].name);
		sql_type(f, out);
		json_decref(f);
	}
	buf_adds(out, s->kind == STEP_CREATE ? ")" : "");
}
