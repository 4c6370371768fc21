/*
 * pg_rows.c - the rows of a load. With a key: COPY into a temporary table, then one INSERT ... ON CONFLICT that replaces a row only by one of greater
 * (version, sequence); if a key may have come twice (key_set.h) the newest row of each, the first of equal ones, is picked before. Without a key: COPY
 * straight into the table.
 *
 * Values are typed and checked before they come here, so the server refuses a row only for what it alone knows: a constraint or trigger of the user's, a
 * narrower column, an index entry too large. Such rows are searched by halves, under savepoints that are always rolled back, and named to the runtime, which
 * runs the load again without them.
 */
#include "loaders/postgres/postgres.h"

#include "loaders/postgres/pg_copy.h"
#include "loaders/sql/sql_text.h"
#include "xalloc.h"

#define STAGE PG_STAGE
#define ORDINAL PG_ORDINAL
#define PROBE_MAX 200
#define KEY_TWICE "21000" /* ON CONFLICT met a row of its own: keys that differ in their bytes and not for the server */

void pg_rows_free(struct pg_load *l)
{
	free(l->table);
	free(l->skips);
	key_set_free(&l->keys);
	pg_children_free(l);
	buf_free(&l->rows);
	buf_free(&l->names);
	buf_free(&l->missing);
	*l = (struct pg_load){.lo = NULL};
}

static bool in_layout(const struct layout *lo, const char *name)
{
	for (size_t k = 0; k < lo->n; k++)
		if (strcmp(lo->columns[k].name, name) == 0)
			return true;
	return false;
}

static void column_lists(struct pg_load *l, const struct table_desc *desc)
{
	for (size_t k = 0; k < l->lo->n; k++) {
		buf_adds(&l->names, k ? ", " : "");
		sql_add_name(&l->names, l->lo->columns[k].name);
	}
	/* what the record lacks: NULL for columns of ours, which have no default, and for a column that a person added whatever he said it to be */
	for (size_t k = 0; k < desc->n; k++) {
		if (desc->columns[k].fixed || in_layout(l->lo, desc->columns[k].name))
			continue;
		buf_adds(&l->missing, ", ");
		sql_add_name(&l->missing, desc->columns[k].name);
		buf_adds(&l->missing, " = DEFAULT");
	}
}

static int make_stage(struct postgres *p, struct err *e)
{
	struct buf sql = BUF_INIT;
	int rc;

	buf_adds(&sql, "CREATE TEMP TABLE _stitch_stage (" ORDINAL " bigint");
	for (size_t k = 0; k < p->load.lo->n; k++) {
		buf_adds(&sql, ", ");
		sql_add_name(&sql, p->load.lo->columns[k].name);
		buf_addf(&sql, " %s", pg_type_name(p, p->load.lo->columns[k].type));
	}
	buf_adds(&sql, p->careful ? PG_SINGLE : ") ON COMMIT DROP");
	rc = pg_exec(&p->pg, buf_cstr(&sql), e);
	buf_free(&sql);
	return rc;
}

static const struct desc_column *described(const struct table_desc *desc, const char *name)
{
	for (size_t k = 0; k < desc->n; k++)
		if (strcmp(desc->columns[k].name, name) == 0)
			return &desc->columns[k];
	return NULL;
}

/* Do the columns have the very types whose binary form we send? Otherwise the staging table is between, and the server converts. */
static bool same_types(const struct postgres *p, const struct layout *lo, const struct table_desc *desc)
{
	unsigned number = p->doubles ? COL_BIT(COL_NUMBER) : COL_BIT(COL_NUMBER) | COL_BIT(COL_INTEGER);

	for (size_t k = 0; k < lo->n; k++) {
		const struct desc_column *c = described(desc, lo->columns[k].name);

		if (!c || c->accepts != (lo->columns[k].type == COL_NUMBER ? number : COL_BIT(lo->columns[k].type)))
			return false;
	}
	return !p->narrow;
}

int pg_rows_begin(void *self, const struct job *j, const struct layouts *los, const struct table_desc *descs, struct err *e)
{
	const struct layout *lo = &los->t[0];
	const struct table_desc *desc = &descs[0];
	struct postgres *p = self;
	struct pg_load *l = &p->load;
	char *sql;
	int rc;

	pg_rows_free(l);
	l->lo = lo;
	l->table = sql_table(*j->schema ? j->schema : "public", lo->table);
	pg_children_begin(l, j, los, descs);
	l->winners = lo->n_keys && (los->n > 1 || j->dry_run);
	l->staged = lo->n_keys > 0 || p->careful || !same_types(p, lo, desc);
	column_lists(l, desc);
	if (l->staged && make_stage(p, e))
		return -1;
	sql = xasprintf("COPY %s (%s%s) FROM STDIN (FORMAT binary)", l->staged ? STAGE : l->table, l->staged ? ORDINAL ", " : "", buf_cstr(&l->names));
	rc = pg_copy_start(&p->pg, sql, e);
	free(sql);
	if (rc)
		return -1;
	l->copying = true;
	pg_copy_header(&l->rows);
	return 0;
}

int pg_put_cell(const struct postgres *p, struct buf *b, const struct column *c, const struct cell *cell, const char **reason)
{
	char text[24];

	switch (cell->kind) {
	case CELL_NULL:
		pg_copy_null(b);
		return 0;
	case CELL_INT:
		if (c->type != COL_NUMBER) {
			pg_copy_int8(b, cell->i);
			return 0;
		}
		snprintf(text, sizeof(text), "%" PRId64, cell->i);
		return p->doubles ? pg_copy_double(b, str_c(text), reason) : pg_copy_numeric(b, str_c(text), reason);
	case CELL_NUMBER:
		return p->doubles ? pg_copy_double(b, cell->s, reason) : pg_copy_numeric(b, cell->s, reason);
	case CELL_BOOL:
		pg_copy_bool(b, cell->i != 0);
		return 0;
	case CELL_TIME:
		pg_copy_timestamp(b, cell->i);
		return 0;
	case CELL_TEXT:
	case CELL_JSON:
		if (memchr(cell->s.ptr, 0, cell->s.len)) {
			*reason = "text with U+0000, which PostgreSQL cannot hold";
			return -1;
		}
		pg_copy_text(b, cell->s);
		return 0;
	}
	return -1;
}

/* A field as it was encoded, without what does not count for equality. */
static uint64_t hash_field(uint64_t seed, const struct buf *b, size_t at, enum col_type type)
{
	size_t n = b->len - at;
	char value[256];

	/* NUMERIC 1 and 1.0 are equal: its last header field is how many decimals are shown */
	if (type == COL_NUMBER && n >= 12 && n <= sizeof(value)) {
		memcpy(value, b->data + at, n);
		value[10] = value[11] = 0;
		return key_hash(seed, value, n);
	}
	return key_hash(seed, b->data + at, n);
}

static int refuse(struct postgres *p, size_t start, const struct column *c, const char *reason, struct err *e)
{
	buf_truncate(&p->load.rows, start);
	return err_set(e, ERR_DATA, "%s for %s", reason, c->name);
}

/* COPY's row numbers to ordinals: noted only where a row was left out. */
static void note_line(struct pg_load *l, uint64_t ordinal)
{
	const struct pg_skip *last = l->n_skips ? &l->skips[l->n_skips - 1] : NULL;

	l->lines++;
	if (ordinal == (last ? last->ordinal + (l->lines - last->line) : l->lines - 1))
		return;
	if (l->n_skips == l->cap_skips) {
		l->cap_skips = l->cap_skips ? 2 * l->cap_skips : 16;
		l->skips = xreallocarray(l->skips, l->cap_skips, sizeof(*l->skips));
	}
	l->skips[l->n_skips++] = (struct pg_skip){.line = l->lines, .ordinal = ordinal};
}

static uint64_t ordinal_of(const struct pg_load *l, uint64_t line)
{
	uint64_t ordinal = line - 1;

	for (size_t k = 0; k < l->n_skips && l->skips[k].line <= line; k++)
		ordinal = l->skips[k].ordinal + (line - l->skips[k].line);
	return ordinal;
}

/*
 * The server has ended the COPY. The row that it names is the right one only for a value that does not fit its type: other errors come when a buffer of rows is
 * flushed, or at the end. Then the load runs again in a careful way: staged, and each row inserted by itself.
 */
static int copy_failed(struct postgres *p, struct err *e)
{
	struct pg_load *l = &p->load;
	struct str column;
	int64_t line;
	char *name;

	l->copying = false;
	if (!e || e->code != ERR_DATA)
		return -1;
	if (!l->staged || (!p->careful && strncmp(p->pg.state, "22", 2) != 0)) {
		p->careful = true;
		loader_again(p->loader);
		return -1;
	}
	line = pg_error_copy_line(buf_cstr(&p->pg.context), &column);
	if (line < 1 || (uint64_t)line > l->lines)
		return err_set(e, ERR_CONFIG, "the server refuses a row and does not say which: %s", buf_cstr(&p->pg.message));
	name = str_dup(column);
	loader_refuse(p->loader, ordinal_of(l, (uint64_t)line), column.len ? name : NULL, buf_cstr(&p->pg.message));
	free(name);
	return -1;
}

static int send_rows(struct postgres *p, struct err *e)
{
	int rc = pg_copy_send(&p->pg, &p->load.rows, e);

	buf_truncate(&p->load.rows, 0);
	return rc ? copy_failed(p, e) : 0;
}

int pg_put(void *self, const struct row *row, struct err *e)
{
	struct postgres *p = self;
	struct pg_load *l = &p->load;
	const struct layout *lo = l->lo;
	const char *reason = NULL;
	size_t start = l->rows.len;
	uint64_t hash = 0;

	if (row->table)
		return pg_child_put(p, row, e);
	pg_copy_row(&l->rows, (unsigned)lo->n + (l->staged ? 1 : 0));
	if (l->staged)
		pg_copy_int8(&l->rows, (int64_t)row->ordinal);
	for (size_t k = 0; k < lo->n; k++) {
		const struct column *c = &lo->columns[k];
		size_t at = l->rows.len;

		if (pg_put_cell(p, &l->rows, c, &row->cells[k], &reason))
			return refuse(p, start, c, reason, e);
		if (c->key)
			hash = hash_field(hash, &l->rows, at, c->type);
	}
	if (lo->n_keys)
		key_set_add(&l->keys, hash);
	note_line(l, row->ordinal);
	return l->rows.len >= PG_SEND_BYTES ? send_rows(p, e) : 0;
}

static void key_list(const struct pg_load *l, const char *prefix, struct buf *out)
{
	for (size_t k = 0; k < l->lo->n_keys; k++) {
		buf_addf(out, "%s%s", k ? ", " : "", prefix);
		sql_add_name(out, l->lo->columns[l->lo->keys[k]].name);
	}
}

/* The statement that moves staged rows to the table; range: "" or a condition on the ordinal. */
static void merge_text(const struct pg_load *l, const char *range, struct buf *sql)
{
	const struct layout *lo = l->lo;

	if (l->keys.repeated) {
		/* only keys and ordinals are sorted, not whole rows */
		buf_addf(sql, "WITH newest AS (SELECT DISTINCT ON (");
		key_list(l, "", sql);
		buf_addf(sql, ") " ORDINAL " FROM " STAGE " WHERE true%s ORDER BY ", range);
		key_list(l, "", sql);
		buf_adds(sql, ", _sdc_table_version DESC, _sdc_sequence DESC, " ORDINAL ")");
	}
	if (l->winners)
		buf_addf(sql, "%s merged AS (", l->keys.repeated ? "," : "WITH");
	buf_addf(sql, " INSERT INTO %s AS t (%s) SELECT %s FROM " STAGE " s WHERE true%s", l->table, buf_cstr(&l->names), buf_cstr(&l->names), range);
	if (!lo->n_keys)
		return;
	if (l->keys.repeated)
		buf_adds(sql, " AND " ORDINAL " IN (SELECT " ORDINAL " FROM newest)");
	buf_adds(sql, " ON CONFLICT (");
	key_list(l, "", sql);
	buf_adds(sql, ") DO UPDATE SET ");
	for (size_t k = 0, n = 0; k < lo->n; k++) {
		if (lo->columns[k].key)
			continue;
		buf_adds(sql, n++ ? ", " : "");
		sql_add_name(sql, lo->columns[k].name);
		buf_adds(sql, " = excluded.");
		sql_add_name(sql, lo->columns[k].name);
	}
	/* a row that a person added has neither: any record is newer */
	buf_addf(sql, "%s WHERE (coalesce(t._sdc_table_version, %s), coalesce(t._sdc_sequence, %s)) < (excluded._sdc_table_version, excluded._sdc_sequence)",
		buf_cstr(&l->missing), "'-9223372036854775808'", "'-9223372036854775808'");
	if (!l->winners)
		return;
	/* a row that this statement made has no older version */
	buf_adds(sql, " RETURNING ");
	key_list(l, "t.", sql);
	buf_adds(sql, ", t.xmax = 0 AS made) INSERT INTO pg_temp._stitch_won SELECT s." ORDINAL ", m.made FROM " STAGE " s JOIN merged m USING (");
	key_list(l, "", sql);
	buf_addf(sql, ") WHERE true%s", range);
	if (l->keys.repeated)
		buf_adds(sql, " AND " ORDINAL " IN (SELECT " ORDINAL " FROM newest)");
}

static int merge(struct postgres *p, const char *range, struct err *e)
{
	struct buf sql = BUF_INIT;
	int rc;

	p->load.child_refused = false;
	/* an append-only table's rows went straight there */
	if (p->load.staged) {
		merge_text(&p->load, range, &sql);
		rc = pg_exec(&p->pg, buf_cstr(&sql), e);
		buf_free(&sql);
		if (rc)
			return rc;
	}
	if (pg_children_merge(p, range, e) == 0)
		return 0;
	p->load.child_refused = true;
	return -1;
}

/* Does the server take the rows first..end-1? 1 yes, 0 no (p->pg.message has the reason), -1 for any other trouble. Nothing is kept. */
static int takes(struct postgres *p, uint64_t first, uint64_t end, struct err *e)
{
	char range[128];
	int rc;

	snprintf(range, sizeof(range), " AND " ORDINAL " >= %" PRIu64 " AND " ORDINAL " < %" PRIu64, first, end);
	if (pg_exec(&p->pg, "SAVEPOINT stitch_search", e))
		return -1;
	rc = merge(p, range, e);
	if (rc && e->code != ERR_DATA)
		return -1;
	return pg_exec(&p->pg, "ROLLBACK TO SAVEPOINT stitch_search; RELEASE SAVEPOINT stitch_search", rc ? NULL : e) ? -1 : !rc;
}

/* The column of a value that does not fit a type: each is tried in a table that has the columns' types and nothing else. */
static int misfit_column(struct postgres *p, uint64_t ordinal, struct buf *column, struct err *e)
{
	const struct layout *lo = p->load.lo;
	struct buf name = BUF_INIT;
	int rc = 0;

	for (size_t k = 0; k < lo->n && !rc && !column->len; k++) {
		buf_truncate(&name, 0);
		sql_add_name(&name, lo->columns[k].name);
		rc = pg_exec(&p->pg, "SAVEPOINT stitch_probe", e);
		if (!rc && pg_execf(&p->pg, e, "INSERT INTO pg_temp._stitch_probe (%s) SELECT %s FROM " STAGE " WHERE " ORDINAL " = %" PRIu64, buf_cstr(&name),
				   buf_cstr(&name), ordinal)) {
			buf_adds(column, lo->columns[k].name);
			rc = e->code == ERR_DATA ? 0 : -1;
		}
		if (!rc)
			rc = pg_exec(&p->pg, "ROLLBACK TO SAVEPOINT stitch_probe; RELEASE SAVEPOINT stitch_probe", e);
	}
	buf_free(&name);
	return rc;
}

/* The column of a constraint, if it has only one. */
static int constrained_column(struct postgres *p, struct buf *column, struct err *e)
{
	const char *params[] = {buf_cstr(&p->pg.constraint), p->load.table};
	PGresult *r = pg_query(&p->pg,
		"SELECT a.attname FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]"
		" WHERE c.conname = $1 AND c.conrelid = $2::pg_catalog.regclass AND pg_catalog.cardinality(c.conkey) = 1", 2, params, e);

	if (r && PQntuples(r))
		buf_adds(column, PQgetvalue(r, 0, 0));
	PQclear(r);
	return r ? 0 : -1;
}

/* One row by itself was refused. The server itself names the column only for a null, so for the first rows we look closer; not for all, as every row of a
 * load may be refused. */
static int refuse_row(struct postgres *p, uint64_t ordinal, struct err *e)
{
	const struct layout *lo = p->load.lo;
	struct buf reason = BUF_INIT, column = BUF_INIT;
	int rc = 0;

	buf_addstr(&reason, buf_str(&p->pg.message));
	if (!p->load.child_refused)
		buf_addstr(&column, buf_str(&p->pg.column));
	if (!p->load.child_refused && !column.len && p->load.probed++ < PROBE_MAX) {
		if (strcmp(p->pg.state, "54000") == 0 && lo->n_keys == 1)
			buf_adds(&column, lo->columns[lo->keys[0]].name); /* an index row: the key's */
		else if (p->pg.constraint.len)
			rc = constrained_column(p, &column, e);
		else if (strncmp(p->pg.state, "22", 2) == 0)
			rc = misfit_column(p, ordinal, &column, e);
	}
	if (!rc)
		loader_refuse(p->loader, ordinal, column.len ? buf_cstr(&column) : NULL, buf_cstr(&reason));
	buf_free(&column);
	buf_free(&reason);
	return rc;
}

/* Names every row in first..end-1 that the server refuses by itself. */
static int search(struct postgres *p, uint64_t first, uint64_t end, uint64_t *found, struct err *e)
{
	int ok = takes(p, first, end, e);
	uint64_t middle = first + (end - first) / 2;

	if (ok)
		return ok < 0 ? -1 : 0;
	if (end - first == 1) {
		++*found;
		return refuse_row(p, first, e);
	}
	return search(p, first, middle, found, e) || search(p, middle, end, found, e) ? -1 : 0;
}

static int find_refused(struct postgres *p, struct err *e)
{
	struct pg_load *l = &p->load;
	uint64_t end = ordinal_of(l, l->lines) + 1, found = 0;
	char *reason = xstrdup(buf_cstr(&p->pg.message));
	int rc = -1;

	p->phase = "searching for records that the server refuses";
	/* the transaction is rolled back after this whatever comes out, so its settings matter to nobody */
	if (pg_execf(&p->pg, e, "ROLLBACK TO SAVEPOINT stitch_merge; CREATE INDEX ON " STAGE " (" ORDINAL "); SET LOCAL enable_seqscan = off;"
			       " CREATE TEMP TABLE _stitch_probe ON COMMIT DROP AS SELECT %s FROM %s WITH NO DATA", buf_cstr(&l->names), l->table) ||
		pg_children_index(p, e) || search(p, 0, end, &found, e))
		goto out;
	if (found)
		err_set(e, ERR_DATA, "%" PRIu64 " records are refused by the server: %s", found, reason);
	else
		/* rows that pass one by one and not together: only a constraint between rows can do this, and no single record is at fault */
		err_set(e, ERR_CONFIG, "the server refuses the rows together though it takes each by itself: %s", reason);
out:
	free(reason);
	return rc;
}

/* The server refuses something, and the records were not given to it one by one yet: once more, in a way that shows which. */
static int merge_failed(struct postgres *p, struct err *e)
{
	if (e->code != ERR_DATA)
		return -1;
	if (p->load.staged)
		return find_refused(p, e);
	p->careful = true;
	loader_again(p->loader);
	return -1;
}

static int end_copy(struct postgres *p, struct err *e)
{
	struct pg_load *l = &p->load;

	pg_copy_trailer(&l->rows);
	if (send_rows(p, e))
		return -1;
	l->copying = false;
	if (pg_copy_finish(&p->pg, NULL, e))
		return copy_failed(p, e);
	buf_free(&l->rows);
	return 0;
}

int pg_rows_end(void *self, struct err *e)
{
	struct postgres *p = self;
	struct pg_load *l = &p->load;

	if (end_copy(p, e))
		return -1;
	if (!l->lines || (!l->staged && !l->n_children))
		return 0;
	p->phase = "merging";
	if (pg_children_stage(p, e) || (l->winners && pg_exec(&p->pg, "CREATE TEMP TABLE _stitch_won (" ORDINAL " bigint, made boolean) ON COMMIT DROP", e)) ||
		pg_exec(&p->pg, l->keys.repeated ? "SAVEPOINT stitch_merge; SET LOCAL work_mem = '64MB'" : "SAVEPOINT stitch_merge", e))
		return -1;
	if (merge(p, "", e) == 0)
		return 0;
	if (strcmp(p->pg.state, KEY_TWICE) == 0 && !l->keys.repeated) {
		l->keys.repeated = true;
		if (pg_exec(&p->pg, "ROLLBACK TO SAVEPOINT stitch_merge", e))
			return -1;
		if (merge(p, "", e) == 0)
			return 0;
	}
	return merge_failed(p, e);
}

int pg_tally(void *self, uint64_t *inserted, uint64_t *updated, uint64_t *skipped, struct err *e)
{
	struct postgres *p = self;
	PGresult *r;
	int rc = 0;

	*inserted = p->load.lines;
	*updated = *skipped = 0;
	if (!p->load.winners || !p->load.lines)
		return 0;
	r = pg_query(&p->pg, "SELECT count(*) FILTER (WHERE made), count(*) FILTER (WHERE NOT made) FROM pg_temp._stitch_won", 0, NULL, e);
	if (!r || str_to_u64(str_c(PQgetvalue(r, 0, 0)), inserted) || str_to_u64(str_c(PQgetvalue(r, 0, 1)), updated))
		rc = -1;
	PQclear(r);
	*skipped = p->load.lines - *inserted - *updated;
	return rc;
}
