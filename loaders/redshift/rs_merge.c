/*
 * rs_merge.c - from staged files to the table: what columns must become first, COPY into temporary tables, then the rows that win. Redshift enforces no key, so the recipe is
 * to take away and to add:
 *   - of the staged rows those that are not newer than the table's row go, and of each key all but the newest (the first of equal ones);
 *   - the old child rows of the winners go, from every subtable, and the winners' old rows;
 *   - the winners are added, and the child rows of winners.
 * A table without a key and without subtables needs none of it: COPY goes straight there.
 */
#include "loaders/redshift/redshift.h"

#include "loaders/sql/sql_text.h"
#include "xalloc.h"

#define LEAST "CAST('-9223372036854775808' AS bigint)"

static void stage_name(size_t k, char out[40])
{
	snprintf(out, 40, "_stitch_stage_%zu", k);
}

/* --- before COPY --- */

static unsigned width_for(unsigned bytes)
{
	unsigned n = RS_VARCHAR_FIRST;

	while (n < bytes && n < 32768)
		n *= 2;
	return n < bytes ? RS_VARCHAR_MAX : n;
}

static bool too_narrow(const struct rs_need *n)
{
	return n->is && n->is->type == RS_VARCHAR && n->width > n->is->width && n->is->width < RS_VARCHAR_MAX;
}

static int widen_text(struct redshift *r, const struct rs_part *p, size_t k, struct err *e)
{
	struct buf name = BUF_INIT;
	unsigned width = width_for(p->needs[k].width);
	int rc;

	sql_add_name(&name, p->lo->columns[k].name);
	rc = pg_execf(&r->pg, e, "ALTER TABLE %s ALTER COLUMN %s TYPE varchar(%u)", p->table, buf_cstr(&name), width);
	if (rc && e->code == ERR_DATA)
		e->code = ERR_CONFIG;
	if (rc)
		err_wrap(e, "column %s of %s must hold %u bytes, and cannot be made varchar(%u)", p->lo->columns[k].name, p->table, p->needs[k].width, width);
	buf_free(&name);
	return rc;
}

/* 0: all columns can take the rows; 1: some were changed, the load must be run again. ALTER is not possible in a transaction, and ours has read the ledger. */
static int fit_columns(struct redshift *r, struct err *e)
{
	struct rs_load *l = &r->load;
	bool changed = false;

	for (size_t k = 0; k < l->n_parts && !l->dry; k++)
		for (size_t i = 0; i < l->parts[k].lo->n; i++) {
			struct rs_need *n = &l->parts[k].needs[i];

			if (!n->decimal && !too_narrow(n))
				continue;
			if (!changed && pg_exec(&r->pg, "ROLLBACK", e))
				return -1;
			changed = true;
			r->phase = "widening columns";
			if (n->decimal ? rs_retype(r, l->parts[k].table, l->parts[k].lo->columns[i].name, true, e) : widen_text(r, &l->parts[k], i, e))
				return -1;
		}
	return changed;
}

/* --- the statements --- */

/* "a"."k1" = "b"."k1" AND ...: keys ka[] of layout a and kb[] of layout b. */
static void match(struct buf *sql, const char *ta, const struct layout *a, const size_t *ka, const char *tb, const struct layout *b, const size_t *kb, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		buf_addf(sql, "%s%s.", k ? " AND " : "", ta);
		sql_add_name(sql, a->columns[ka[k]].name);
		buf_addf(sql, " = %s.", tb);
		sql_add_name(sql, b->columns[kb[k]].name);
	}
}

static void column_list(const struct layout *lo, struct buf *sql)
{
	for (size_t k = 0; k < lo->n; k++) {
		buf_adds(sql, k ? ", " : "");
		sql_add_name(sql, lo->columns[k].name);
	}
}

/* The name by which a DELETE calls its own table. */
static char *alone(const struct layout *lo)
{
	struct buf b = BUF_INIT;

	sql_add_name(&b, lo->table);
	return buf_detach(&b, NULL);
}

static int run(struct redshift *r, struct buf *sql, uint64_t *touched, struct err *e)
{
	PGresult *res = pg_query(&r->pg, buf_cstr(sql), 0, NULL, e);

	buf_truncate(sql, 0);
	if (!res)
		return -1;
	if (touched)
		*touched += (uint64_t)pg_touched(res);
	PQclear(res);
	return 0;
}

static int make_stage(struct redshift *r, size_t k, struct err *e)
{
	char name[40];

	stage_name(k, name);
	return pg_execf(&r->pg, e, "CREATE TEMP TABLE %s (" RS_ORDINAL " bigint, LIKE %s)", name, r->load.parts[k].table);
}

static int drop_losers(struct redshift *r, struct err *e)
{
	struct rs_load *l = &r->load;
	const struct layout *lo = &l->los->t[0];
	const char *table = l->parts[0].table;
	struct buf sql = BUF_INIT;
	int rc;

	/* a row that a person added has neither version nor sequence: any record is newer */
	buf_addf(&sql, "DELETE FROM _stitch_stage_0 USING %s o WHERE ", table);
	match(&sql, "_stitch_stage_0", lo, lo->keys, "o", lo, lo->keys, lo->n_keys);
	buf_adds(&sql, " AND (coalesce(o._sdc_table_version, " LEAST ") > _stitch_stage_0._sdc_table_version OR (coalesce(o._sdc_table_version, " LEAST
		       ") = _stitch_stage_0._sdc_table_version AND coalesce(o._sdc_sequence, " LEAST ") >= _stitch_stage_0._sdc_sequence))");
	rc = run(r, &sql, &l->lost, e);
	if (!rc && l->keys.repeated) {
		buf_adds(&sql, "DELETE FROM _stitch_stage_0 WHERE " RS_ORDINAL " IN (SELECT o FROM (SELECT " RS_ORDINAL " AS o, row_number() OVER (PARTITION BY ");
		for (size_t k = 0; k < lo->n_keys; k++) {
			buf_adds(&sql, k ? ", " : "");
			sql_add_name(&sql, lo->columns[lo->keys[k]].name);
		}
		buf_adds(&sql, " ORDER BY _sdc_table_version DESC, _sdc_sequence DESC, " RS_ORDINAL ") AS n FROM _stitch_stage_0) x WHERE n > 1)");
		rc = run(r, &sql, &l->lost, e);
	}
	buf_free(&sql);
	return rc;
}

/* The rows of layout k that belong to a staged record go. */
static int drop_old(struct redshift *r, size_t k, uint64_t *touched, struct err *e)
{
	struct rs_load *l = &r->load;
	const struct layout *root = &l->los->t[0], *lo = &l->los->t[k];
	const size_t row_id[] = {root->row_id}, *keys = root->n_keys ? root->keys : row_id;
	char *self = alone(lo);
	struct buf sql = BUF_INIT;
	int rc;

	buf_addf(&sql, "DELETE FROM %s USING _stitch_stage_0 g WHERE ", l->parts[k].table);
	match(&sql, self, lo, lo->keys, "g", root, keys, k ? lo->n_source : lo->n_keys);
	rc = run(r, &sql, touched, e);
	buf_free(&sql);
	free(self);
	return rc;
}

static int add_new(struct redshift *r, size_t k, uint64_t *touched, struct err *e)
{
	struct rs_load *l = &r->load;
	struct buf sql = BUF_INIT;
	char name[40];
	int rc;

	stage_name(k, name);
	buf_addf(&sql, "INSERT INTO %s (", l->parts[k].table);
	column_list(l->parts[k].lo, &sql);
	buf_adds(&sql, ") SELECT ");
	column_list(l->parts[k].lo, &sql);
	buf_addf(&sql, " FROM %s", name);
	if (k)
		buf_adds(&sql, " WHERE " RS_ORDINAL " IN (SELECT " RS_ORDINAL " FROM _stitch_stage_0)");
	rc = run(r, &sql, touched, e);
	buf_free(&sql);
	return rc;
}

static int merge(struct redshift *r, struct err *e)
{
	struct rs_load *l = &r->load;
	bool keyed = l->los->t[0].n_keys > 0;

	r->phase = "merging";
	if (keyed && drop_losers(r, e))
		return -1;
	for (size_t k = l->n_parts; k-- > 1;)
		if (drop_old(r, k, NULL, e))
			return -1;
	if (keyed && drop_old(r, 0, &l->replaced, e))
		return -1;
	for (size_t k = 0; k < l->n_parts; k++)
		if (l->parts[k].stage.lines && add_new(r, k, k ? NULL : &l->inserted, e))
			return -1;
	return 0;
}

int rs_rows_end(void *self, struct err *e)
{
	struct redshift *r = self;
	struct rs_load *l = &r->load;
	bool straight = l->n_parts == 1 && !l->los->t[0].n_keys;
	char name[40];
	int rc = fit_columns(r, e);

	if (rc > 0) {
		loader_again(r->loader);
		return err_set(e, ERR_DATA, "columns were widened");
	}
	if (rc)
		return -1;
	r->phase = "staging in S3";
	for (size_t k = 0; k < l->n_parts && !rc; k++)
		rc = rs_stage_end(&l->parts[k].stage, e);
	if (rc)
		return rs_s3_failed(r, e);
	if (!l->parts[0].stage.lines)
		return 0;
	if (straight) {
		l->inserted = l->parts[0].stage.lines;
		return rs_copy(r, &l->parts[0], l->parts[0].table, false, e);
	}
	for (size_t k = 0; k < l->n_parts; k++) {
		stage_name(k, name);
		if (l->parts[k].stage.lines && (make_stage(r, k, e) || rs_copy(r, &l->parts[k], name, true, e)))
			return -1;
	}
	if (merge(r, e))
		return -1;
	for (size_t k = 0; k < l->n_parts; k++) {
		stage_name(k, name);
		if (l->parts[k].stage.lines && pg_execf(&r->pg, e, "DROP TABLE %s", name))
			return -1;
	}
	return 0;
}

int rs_tally(void *self, uint64_t *inserted, uint64_t *updated, uint64_t *skipped, struct err *e)
{
	struct redshift *r = self;
	const struct rs_load *l = &r->load;

	(void)e;
	*updated = MIN(l->replaced, l->inserted);
	*inserted = l->inserted - *updated;
	*skipped = l->lost;
	return 0;
}
