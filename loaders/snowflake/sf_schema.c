/*
 * sf_schema.c - everything that is there before rows move: the schema, our tables in it, the destination table and its columns. DDL commits by itself on Snowflake,
 * so each step may be repeated and may meet another loader doing the same.
 *
 * Who a table belongs to and what its key is stands in its comment, as JSON after "stitch": it is dropped together with the table. Where a person has written
 * another comment the primary key that was declared tells.
 *
 * Snowflake cannot change NUMBER into FLOAT, nor a number's scale: a column that must take fractions is copied into a new one, dropped, and the new one gets its name.
 * A loader killed in between leaves NAME__STITCH_WIDE: the next one goes on from there. Integers that no FLOAT holds go to NAME__DE (sf_rows.c) on the way.
 */
#include "loaders/snowflake/snowflake.h"

#include "xalloc.h"

#define OBJECT_IS_THERE "002002"
#define NO_RIGHT "003001"
#define NOT_THERE "002003"
#define NO_SCHEMA "002043"
#define WIDE "__STITCH_WIDE"
#define DOUBLE_WHOLE "9007199254740992" /* whole numbers up to this one are doubles */

static const char mark[] = "stitch ";

static bool code_is(const struct snow *s, const char *code)
{
	return strcmp(s->code, code) == 0;
}

static void fix_of(const struct snow *s, const char *schema, struct err *e)
{
	struct buf fix = BUF_INIT;

	if (e->code == ERR_CONFIG || e->code == ERR_DENIED)
		sf_fix(s, schema, &fix);
	if (fix.len) {
		struct err cause = *e;

		err_set(e, cause.code, "%.250s. %s", cause.text, buf_cstr(&fix));
	}
	buf_free(&fix);
}

/* --- ours --- */

static struct sf_schema_state *state_of(struct snow *s, const char *name)
{
	for (size_t k = 0; k < s->n_schemas; k++)
		if (strcmp(s->schemas[k].name, name) == 0)
			return &s->schemas[k];
	return NULL;
}

void sf_forget_schema(struct snow *s, const char *schema)
{
	struct buf name = BUF_INIT;
	struct sf_schema_state *st;

	sf_schema_name(s, schema, &name);
	st = state_of(s, buf_cstr(&name));
	if (st) {
		free(st->name);
		*st = s->schemas[--s->n_schemas];
	}
	buf_free(&name);
}

static void remember_schema(struct snow *s, const char *name)
{
	s->schemas = xreallocarray(s->schemas, s->n_schemas + 1, sizeof(*s->schemas));
	s->schemas[s->n_schemas++] = (struct sf_schema_state){.name = xstrdup(name)};
}

static const struct { const char *name, *columns; } our_tables[] = {
	{"_STITCH_LEDGER",
		"\"BATCH_ID\" VARCHAR(32) NOT NULL, \"QUEUE_ID\" VARCHAR(32) NOT NULL, \"PARTITION\" NUMBER(38,0) NOT NULL, \"FIRST_OFFSET\" NUMBER(38,0) NOT NULL,"
		" \"LAST_OFFSET\" NUMBER(38,0) NOT NULL, \"SOURCE\" VARCHAR NOT NULL, \"TABLE_NAME\" VARCHAR NOT NULL, \"TABLE_VERSION\" NUMBER(38,0) NOT NULL,"
		" \"ROWS\" NUMBER(38,0) NOT NULL, \"REJECTED\" NUMBER(38,0) NOT NULL, \"ATTEMPT\" NUMBER(38,0) NOT NULL, \"DISCARDED\" BOOLEAN NOT NULL,"
		" \"LOADED_AT\" TIMESTAMP_TZ(9) NOT NULL"},
	{"_STITCH_TABLE", "\"TABLE_NAME\" VARCHAR NOT NULL, \"ACTIVE_VERSION\" NUMBER(38,0) NOT NULL"},
	{"_SDC_REJECTED", "\"_SDC_REJECTED_AT\" TIMESTAMP_TZ(9), \"TABLE_NAME\" VARCHAR, \"REASON\" VARCHAR, \"RECORD\" VARCHAR"},
};

static int look_for_ours(struct snow *s, const struct job *j, struct err *e)
{
	struct buf sql = BUF_INIT;
	int rc;

	buf_adds(&sql, "SELECT 1 FROM ");
	for (size_t k = 0; k < ARRAY_LEN(our_tables); k++) {
		buf_adds(&sql, k ? ", " : "");
		sf_table(s, &sql, j->schema, our_tables[k].name);
		buf_addf(&sql, " t%zu", k);
	}
	buf_adds(&sql, " LIMIT 0");
	rc = sf_run(s, buf_cstr(&sql), 1, NULL, e);
	buf_free(&sql);
	return rc;
}

static int make_ours(struct snow *s, const struct job *j, const char *schema, struct err *e)
{
	struct buf sql = BUF_INIT;
	struct err first = ERR_INIT;
	char code[sizeof(s->code)];
	int rc;

	buf_adds(&sql, "CREATE SCHEMA IF NOT EXISTS ");
	sf_ident(&sql, s->database, false);
	buf_addc(&sql, '.');
	sf_ident(&sql, schema, false);
	rc = sf_run(s, buf_cstr(&sql), 1, NULL, &first);
	memcpy(code, s->code, sizeof(code));
	/* without that right a schema that is there will do */
	if (rc && !code_is(s, NO_RIGHT) && !code_is(s, OBJECT_IS_THERE) && !code_is(s, NOT_THERE)) {
		*e = first;
		goto out;
	}
	buf_truncate(&sql, 0);
	for (size_t k = 0; k < ARRAY_LEN(our_tables); k++) {
		buf_adds(&sql, k ? ";\nCREATE TABLE IF NOT EXISTS " : "CREATE TABLE IF NOT EXISTS ");
		sf_table(s, &sql, j->schema, our_tables[k].name);
		buf_addf(&sql, " (%s)", our_tables[k].columns);
	}
	if (sf_run(s, buf_cstr(&sql), ARRAY_LEN(our_tables), NULL, e) == 0) {
		rc = 0;
	} else if (rc && e->code == ERR_CONFIG) {
		/* the schema is not there: why not is what a person wants to know */
		*e = first;
		memcpy(s->code, code, sizeof(code));
	} else {
		rc = -1;
	}
out:
	buf_free(&sql);
	return rc;
}

int sf_prepare(void *self, const struct job *j, struct err *e)
{
	struct snow *s = self;
	struct buf schema = BUF_INIT;
	int rc = 0;

	s->phase = "preparing";
	s->requests = 0;
	s->bytes = 0;
	sf_schema_name(s, j->schema, &schema);
	if (!state_of(s, buf_cstr(&schema))) {
		rc = look_for_ours(s, j, e);
		if (rc && (code_is(s, NOT_THERE) || code_is(s, NO_SCHEMA) || code_is(s, NO_RIGHT))) {
			if (j->dry_run) {
				err_clear(e);
				buf_free(&schema);
				return 1;
			}
			rc = make_ours(s, j, buf_cstr(&schema), e);
		}
		if (!rc)
			remember_schema(s, buf_cstr(&schema));
		else
			fix_of(s, buf_cstr(&schema), e);
	}
	buf_free(&schema);
	return rc;
}

/* --- describe --- */

/* Was the field behind this column never seen with a fraction? Then whole numbers of any length are all that comes. */
static bool whole_only(const struct job *j, const char *column)
{
	size_t n = strlen(column);
	bool whole = true;

	for (size_t k = 0; k < j->n_fields && whole; k++) {
		const struct job_field *f = &j->fields[k];
		struct buf name = BUF_INIT;
		bool number = false;

		/* what is within an object stays there */
		if (strpbrk(f->name, "\001\002"))
			continue;
		for (unsigned t = 0; t < f->n; t++)
			number = number || f->types[t] == SEEN_NUMBER;
		dialect_name(&sf_dialect, str_c(f->name), &name);
		/* NAME, or NAME__xx where another type came first */
		if (number && strncmp(column, buf_cstr(&name), name.len) == 0 && (n == name.len || (n == name.len + 4 && column[name.len] == '_' && column[name.len + 1] == '_')))
			whole = false;
		buf_free(&name);
	}
	return whole;
}

static unsigned accepts(const struct job *j, const char *column, const char *type, int64_t scale)
{
	static const struct { const char *type; unsigned bits; } known[] = {
		{"FLOAT", COL_BIT(COL_NUMBER)},
		{"BOOLEAN", COL_BIT(COL_BOOLEAN)},
		{"TIMESTAMP_TZ", COL_BIT(COL_TIME)},
		{"TIMESTAMP_LTZ", COL_BIT(COL_TIME)},
		{"TIMESTAMP_NTZ", COL_BIT(COL_TIME)},
		{"TEXT", COL_BIT(COL_STRING)},
		{"VARIANT", COL_BIT(COL_JSON)},
	};

	if (strcmp(type, "NUMBER") == 0 && scale > 0)
		return COL_BIT(COL_INTEGER) | COL_BIT(COL_NUMBER);
	if (strcmp(type, "NUMBER") == 0)
		return COL_BIT(COL_INTEGER) | (whole_only(j, column) ? COL_BIT(COL_NUMBER) : 0);
	for (size_t k = 0; k < ARRAY_LEN(known); k++)
		if (strcmp(type, known[k].type) == 0)
			return known[k].bits;
	return 0;
}

/* Rows of the catalogue: column, type, precision or characters, scale, is it generated by the server. */
static void read_columns(struct snow *s, const struct job *j, const json_t *a, struct table_desc *out)
{
	size_t rows = sf_rows(a);

	for (size_t k = 0; k < s->n_real; k++)
		free(s->real[k].name);
	s->n_real = 0;
	s->real = xreallocarray(s->real, rows + 1, sizeof(*s->real));
	out->columns = xcalloc(rows + 1, sizeof(*out->columns));
	for (size_t k = 0; k < rows; k++) {
		const char *name = sf_cell(a, k, 1), *type = sf_cell(a, k, 2);

		if (!name || strcmp(sf_cell(a, k, 0), "C") != 0)
			continue;
		out->columns[out->n++] = (struct desc_column){.name = xstrdup(name), .accepts = accepts(j, name, type ? type : "", sf_cell_int(a, k, 4)),
			.fixed = sf_cell(a, k, 5) && strcmp(sf_cell(a, k, 5), "YES") == 0};
		s->real[s->n_real++] = (struct sf_real){.name = xstrdup(name), .is_float = type && strcmp(type, "FLOAT") == 0,
			.precision = (unsigned)sf_cell_int(a, k, 3), .scale = (unsigned)sf_cell_int(a, k, 4)};
	}
}

static int read_declared_key(struct snow *s, const struct job *j, const char *table, struct table_desc *out, struct err *e)
{
	struct buf sql = BUF_INIT;
	json_t *a = NULL;
	size_t name = 0;
	int rc;

	buf_adds(&sql, "SHOW PRIMARY KEYS IN TABLE ");
	sf_table(s, &sql, j->schema, table);
	rc = sf_run(s, buf_cstr(&sql), 1, &a, e);
	while (!rc && sf_column(a, name) && strcmp(sf_column(a, name), "column_name") != 0)
		name++;
	out->keys = xcalloc(sf_rows(a) + 1, sizeof(*out->keys));
	for (size_t k = 0; !rc && k < sf_rows(a); k++)
		out->keys[out->n_keys++] = xstrdup(sf_cell(a, k, name) ? sf_cell(a, k, name) : "");
	buf_free(&sql);
	json_decref(a);
	return rc;
}

/* Owner and key out of the comment. */
static int read_comment(struct snow *s, const struct job *j, const char *table, const char *comment, struct table_desc *out, struct err *e)
{
	json_t *note = comment && strncmp(comment, mark, strlen(mark)) == 0 ? json_loads(comment + strlen(mark), 0, NULL) : NULL;
	const char *source = json_string_value(json_object_get(note, "source")), *whose = json_string_value(json_object_get(note, "table"));
	json_t *keys = json_object_get(note, "keys");
	int rc = 0;

	if (!source || !whose || !json_is_array(keys)) {
		rc = read_declared_key(s, j, table, out, e);
	} else {
		out->owner = xstrdup(source);
		out->keys = xcalloc(json_array_size(keys) + 1, sizeof(*out->keys));
		for (size_t k = 0; k < json_array_size(keys); k++)
			out->keys[out->n_keys++] = xstrdup(json_string_value(json_array_get(keys, k)) ? json_string_value(json_array_get(keys, k)) : "");
		if (strcmp(source, j->source) == 0 && strcmp(whose, j->table) != 0)
			rc = err_set(e, ERR_CONFIG, "the table %s holds %s.%s, and %s.%s would have the same name here; connect with another --schema", table, source, whose,
				j->source, j->table);
	}
	json_decref(note);
	return rc;
}

/* A column of the key cannot be dropped, so it cannot be made anew. */
static void pin_keys(struct table_desc *out)
{
	for (size_t k = 0; k < out->n; k++)
		for (size_t i = 0; i < out->n_keys; i++)
			if (str_ieq(str_c(out->columns[k].name), str_c(out->keys[i])))
				out->columns[k].pinned = true;
}

/* WHERE for the catalogue's views. */
static void where_table(const struct snow *s, struct buf *sql, const struct job *j, const char *table)
{
	struct buf schema = BUF_INIT;

	sf_schema_name(s, j->schema, &schema);
	buf_adds(sql, " WHERE TABLE_SCHEMA = ");
	sf_literal(sql, buf_str(&schema));
	buf_adds(sql, " AND TABLE_NAME = ");
	sf_literal(sql, str_c(table));
	buf_free(&schema);
}

int sf_describe(void *self, const struct job *j, const char *table, struct table_desc *out, struct err *e)
{
	struct snow *s = self;
	struct buf sql = BUF_INIT;
	json_t *a = NULL;
	int rc;

	*out = (struct table_desc){.exists = false};
	s->phase = "looking at the table";
	buf_adds(&sql, "SELECT 'C' AS K, COLUMN_NAME AS A, DATA_TYPE AS B, CAST(coalesce(NUMERIC_PRECISION, CHARACTER_MAXIMUM_LENGTH) AS VARCHAR) AS P, CAST(NUMERIC_SCALE AS VARCHAR) AS S, IS_IDENTITY AS I,"
		       " ORDINAL_POSITION AS N FROM ");
	sf_ident(&sql, s->database, false);
	buf_adds(&sql, ".INFORMATION_SCHEMA.COLUMNS");
	where_table(s, &sql, j, table);
	buf_adds(&sql, " UNION ALL SELECT 'T', TABLE_TYPE, COMMENT, NULL, NULL, NULL, 0 FROM ");
	sf_ident(&sql, s->database, false);
	buf_adds(&sql, ".INFORMATION_SCHEMA.TABLES");
	where_table(s, &sql, j, table);
	buf_adds(&sql, " ORDER BY N");
	rc = sf_run(s, buf_cstr(&sql), 1, &a, e);
	if (!rc && sf_rows(a) && sf_cell(a, 0, 0) && strcmp(sf_cell(a, 0, 0), "T") == 0) {
		const char *type = sf_cell(a, 0, 1);

		out->exists = true;
		if (type && strstr(type, "VIEW"))
			rc = err_set(e, ERR_CONFIG, "%s is a view; rename it, or connect with another --schema", table);
		read_columns(s, j, a, out);
		if (!rc)
			rc = read_comment(s, j, table, sf_cell(a, 0, 2), out, e);
		pin_keys(out);
	}
	if (rc)
		table_desc_free(out);
	json_decref(a);
	buf_free(&sql);
	return rc;
}

/* --- change --- */

/* ASCII without quotes or backslashes but those of JSON: a comment is shown by many programs, and not all of them escape it. */
void sf_comment(struct buf *sql, const char *head, const json_t *note)
{
	char *text = json_dumps(note, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
	struct buf b = BUF_INIT;

	buf_adds(&b, head);
	for (const char *p = text ? text : ""; *p; p++)
		if (*p == '\'')
			buf_adds(&b, "\\u0027");
		else
			buf_addc(&b, *p);
	sf_literal(sql, buf_str(&b));
	buf_free(&b);
	free(text);
}

static void add_comment(struct buf *sql, const struct job *j, const struct layout *lo)
{
	json_t *note = json_pack("{s:s, s:s, s:[]}", "source", j->source, "table", j->table, "keys"), *keys = json_object_get(note, "keys");

	for (size_t k = 0; k < lo->n_keys; k++) {
		json_array_append_new(keys, json_string(lo->columns[lo->keys[k]].name));
	}
	buf_adds(sql, " COMMENT = ");
	sf_comment(sql, mark, note);
	json_decref(note);
}

static void create_sql(struct snow *s, const struct job *j, const struct layout *lo, struct buf *sql)
{
	buf_adds(sql, "CREATE TABLE ");
	sf_table(s, sql, j->schema, lo->table);
	for (size_t k = 0; k < lo->n; k++) {
		buf_adds(sql, k ? ", " : " (");
		sf_ident(sql, lo->columns[k].name, true);
		buf_addf(sql, " %s%s", sf_type(s, &lo->columns[k]), lo->columns[k].key ? " NOT NULL" : "");
	}
	for (size_t k = 0; k < lo->n_keys; k++) {
		buf_adds(sql, k ? ", " : ", PRIMARY KEY (");
		sf_ident(sql, lo->columns[lo->keys[k]].name, true);
	}
	buf_adds(sql, lo->n_keys ? "))" : ")");
	add_comment(sql, j, lo);
}

/*
 * What was loaded into a table that is gone is gone too: its batches may come again. First this, and only while there is no table, then the table: a loader
 * killed in between leaves nothing that would make the next one believe in rows that are not there.
 */
static int create(struct snow *s, const struct job *j, const struct layout *lo, struct err *e)
{
	struct buf sql = BUF_INIT;
	int rc;

	buf_adds(&sql, "DELETE FROM ");
	sf_table(s, &sql, j->schema, "_STITCH_LEDGER");
	buf_adds(&sql, " WHERE \"TABLE_NAME\" = ");
	sf_literal(&sql, str_c(j->table));
	buf_adds(&sql, " AND NOT \"DISCARDED\" AND NOT EXISTS (SELECT 1 FROM ");
	sf_ident(&sql, s->database, false);
	buf_adds(&sql, ".INFORMATION_SCHEMA.TABLES");
	where_table(s, &sql, j, lo->table);
	buf_adds(&sql, ");\n");
	create_sql(s, j, lo, &sql);
	rc = sf_run(s, buf_cstr(&sql), 2, NULL, e);
	if (rc && code_is(s, OBJECT_IS_THERE)) {
		err_clear(e);
		rc = 0;
	}
	buf_free(&sql);
	return rc;
}

static void alter(struct snow *s, const struct job *j, const struct layout *lo, struct buf *sql, const char *what, const char *column)
{
	buf_adds(sql, "ALTER TABLE ");
	sf_table(s, sql, j->schema, lo->table);
	buf_addf(sql, " %s ", what);
	sf_ident(sql, column, true);
}

static void add_sql(struct snow *s, const struct job *j, const struct layout *lo, const struct column *c, struct buf *sql)
{
	alter(s, j, lo, sql, "ADD COLUMN IF NOT EXISTS", c->name);
	buf_addf(sql, " %s", sf_type(s, c));
}

static void rename_sql(struct snow *s, const struct job *j, const struct layout *lo, const char *from, const char *to, struct buf *sql)
{
	alter(s, j, lo, sql, "RENAME COLUMN", from);
	buf_adds(sql, " TO ");
	sf_ident(sql, to, true);
}

static bool has_column(const struct snow *s, const char *name)
{
	for (size_t k = 0; k < s->n_real; k++)
		if (str_ieq(str_c(s->real[k].name), str_c(name)))
			return true;
	return false;
}

static int add(struct snow *s, const struct job *j, const struct layout *lo, const struct column *c, struct err *e)
{
	struct buf sql = BUF_INIT;
	char *wide = xasprintf("%s" WIDE, c->name);
	int rc;

	/* a loader was killed when the old column was gone and the new one had not its name yet */
	if (has_column(s, wide))
		rename_sql(s, j, lo, wide, c->name, &sql);
	else
		add_sql(s, j, lo, c, &sql);
	rc = sf_run(s, buf_cstr(&sql), 1, NULL, e);
	free(wide);
	buf_free(&sql);
	return rc;
}

/* Integers that no double holds go where they would go had they come later: beside it. */
static int any_large(struct snow *s, const char *table, const char *column, bool *any, struct err *e)
{
	struct buf sql = BUF_INIT;
	json_t *a = NULL;
	int rc;

	buf_addf(&sql, "SELECT count(*) FROM %s WHERE %s > " DOUBLE_WHOLE " OR %s < -" DOUBLE_WHOLE, table, column, column);
	rc = sf_run(s, buf_cstr(&sql), 1, &a, e);
	*any = !rc && sf_cell_int(a, 0, 0) > 0;
	json_decref(a);
	buf_free(&sql);
	return rc;
}

static int widen(struct snow *s, const struct job *j, const struct layout *lo, const struct column *c, struct err *e)
{
	struct buf sql = BUF_INIT, table = BUF_INIT, old = BUF_INIT, new = BUF_INIT, beside = BUF_INIT;
	char *wide = xasprintf("%s" WIDE, c->name), *other = sf_beside(c->name, "de");
	bool floats = strcmp(sf_type(s, c), "FLOAT") == 0, large = false;
	int rc = 0;

	sf_table(s, &table, j->schema, lo->table);
	sf_ident(&old, c->name, true);
	sf_ident(&new, wide, true);
	sf_ident(&beside, other, true);
	if (floats && s->numbers != NUMBERS_ROUNDED)
		rc = any_large(s, buf_cstr(&table), buf_cstr(&old), &large, e);
	buf_addf(&sql, "ALTER TABLE %s ADD COLUMN IF NOT EXISTS %s %s;\n", buf_cstr(&table), buf_cstr(&new), sf_type(s, c));
	if (large)
		buf_addf(&sql, "ALTER TABLE %s ADD COLUMN IF NOT EXISTS %s NUMBER(38,6);\n", buf_cstr(&table), buf_cstr(&beside));
	if (large)
		buf_addf(&sql, "UPDATE %s SET %s = CASE WHEN %s BETWEEN -" DOUBLE_WHOLE " AND " DOUBLE_WHOLE " THEN %s END, %s = CASE WHEN %s BETWEEN -" DOUBLE_WHOLE
			       " AND " DOUBLE_WHOLE " THEN NULL ELSE %s END;\n", buf_cstr(&table), buf_cstr(&new), buf_cstr(&old), buf_cstr(&old), buf_cstr(&beside),
			buf_cstr(&old), buf_cstr(&old));
	else
		buf_addf(&sql, "UPDATE %s SET %s = %s;\n", buf_cstr(&table), buf_cstr(&new), buf_cstr(&old));
	buf_addf(&sql, "ALTER TABLE %s DROP COLUMN %s;\nALTER TABLE %s RENAME COLUMN %s TO %s", buf_cstr(&table), buf_cstr(&old), buf_cstr(&table), buf_cstr(&new),
		buf_cstr(&old));
	if (!rc)
		rc = sf_run(s, buf_cstr(&sql), large ? 5 : 4, NULL, e);
	buf_free(&sql);
	buf_free(&table);
	buf_free(&old);
	buf_free(&new);
	buf_free(&beside);
	free(wide);
	free(other);
	return rc;
}

int sf_change(void *self, const struct job *j, const struct layout *lo, const struct step *st, struct err *e)
{
	struct snow *s = self;
	struct buf schema = BUF_INIT;
	int rc = 0;

	s->phase = "changing the table";
	switch (st->kind) {
	case STEP_CREATE:
		rc = create(s, j, lo, e);
		break;
	case STEP_ADD:
		rc = add(s, j, lo, st->column, e);
		break;
	case STEP_WIDEN:
		rc = widen(s, j, lo, st->column, e);
		break;
	case STEP_RENAME:
	case STEP_NEST:
		break; /* not in this dialect */
	}
	if (rc && (code_is(s, NOT_THERE) || code_is(s, NO_SCHEMA))) {
		/* it was there when this process looked: the next try makes it again, or says what is missing */
		sf_forget_schema(s, j->schema);
		e->code = ERR_TRANSIENT;
	} else if (rc) {
		sf_schema_name(s, j->schema, &schema);
		fix_of(s, buf_cstr(&schema), e);
		buf_free(&schema);
	}
	return rc;
}

void sf_ddl(void *self, const struct job *j, const struct layout *lo, const struct step *st, struct buf *out)
{
	struct snow *s = self;

	if (st->kind == STEP_CREATE)
		create_sql(s, j, lo, out);
	else if (st->kind == STEP_ADD)
		add_sql(s, j, lo, st->column, out);
	else
		buf_addf(out, "column %s becomes %s, by way of a new one", st->column->name, sf_type(s, st->column));
}
