/*
 * pg_child.c - rows of subtables. A connection takes one COPY at a time and the record's own row has it, so child rows are encoded at once and put aside: in
 * memory up to a bound, then in an unlinked temporary file a table. When the root's rows are in, each subtable's go by COPY into a staging table of its own.
 *
 * With a key: which records won is what INSERT ... RETURNING says (pg_rows.c, the table _stitch_won). Their old child rows go from every subtable of the
 * table, their new ones come. Without a key all are added; one of the same key is left from a root that was dropped, and is replaced.
 */
#include "loaders/postgres/postgres.h"

#include <unistd.h>

#include "file.h"
#include "loaders/postgres/pg_copy.h"
#include "loaders/sql/sql_text.h"
#include "xalloc.h"

#define ASIDE_BYTES (8u << 20) /* of all subtables together; then to files */

void pg_children_free(struct pg_load *l)
{
	for (size_t k = 0; k < l->n_children; k++) {
		struct pg_child *c = &l->children[k];

		if (c->fd >= 0)
			close(c->fd);
		buf_free(&c->rows);
		buf_free(&c->names);
		free(c->table);
	}
	free(l->children);
	l->children = NULL;
	l->n_children = 0;
}

void pg_children_begin(struct pg_load *l, const struct job *j, const struct layouts *los, const struct table_desc *descs)
{
	l->n_children = los->n - 1;
	l->children = xcalloc(los->n, sizeof(*l->children));
	for (size_t k = 0; k < l->n_children; k++) {
		struct pg_child *c = &l->children[k];

		c->lo = &los->t[k + 1];
		c->desc = &descs[k + 1];
		c->fd = -1;
		c->table = sql_table(*j->schema ? j->schema : "public", c->lo->table);
		for (size_t i = 0; i < c->lo->n; i++) {
			buf_adds(&c->names, i ? ", " : "");
			sql_add_name(&c->names, c->lo->columns[i].name);
		}
	}
}

static int put_aside(struct pg_load *l, struct err *e)
{
	for (size_t k = 0; k < l->n_children; k++) {
		struct pg_child *c = &l->children[k];

		if (!c->rows.len)
			continue;
		if (c->fd < 0) {
			c->fd = file_temp_any(e);
			if (c->fd < 0)
				return -1;
		}
		if (file_write_all(c->fd, c->rows.data, c->rows.len, (int64_t)c->aside, e))
			return err_wrap(e, "rows of the subtable %s", c->lo->table);
		c->aside += c->rows.len;
		buf_free(&c->rows);
	}
	l->child_bytes = 0;
	return 0;
}

int pg_child_put(struct postgres *p, const struct row *row, struct err *e)
{
	struct pg_load *l = &p->load;
	struct pg_child *c = &l->children[row->table - 1];
	const char *reason = NULL;
	size_t start = c->rows.len;

	pg_copy_row(&c->rows, (unsigned)c->lo->n + 1);
	pg_copy_int8(&c->rows, (int64_t)row->ordinal);
	for (size_t k = 0; k < c->lo->n; k++)
		if (pg_put_cell(p, &c->rows, &c->lo->columns[k], &row->cells[k], &reason)) {
			buf_truncate(&c->rows, start);
			return err_set(e, ERR_DATA, "%s for %s of %s", reason, c->lo->columns[k].name, c->lo->table);
		}
	c->lines++;
	l->child_bytes += c->rows.len - start;
	return l->child_bytes > ASIDE_BYTES ? put_aside(l, e) : 0;
}

static int send_aside(struct postgres *p, struct pg_child *c, struct err *e)
{
	struct buf piece = BUF_INIT;
	int rc = 0;

	for (uint64_t at = 0; at < c->aside && !rc;) {
		size_t n = (size_t)MIN(c->aside - at, PG_SEND_BYTES);

		buf_truncate(&piece, 0);
		buf_reserve(&piece, n);
		piece.len = n;
		rc = file_read_all(c->fd, piece.data, n, (int64_t)at, e) || pg_copy_send(&p->pg, &piece, e) ? -1 : 0;
		at += n;
	}
	buf_free(&piece);
	return rc;
}

/* The staged rows of subtable k; the names of its columns are those of its table, so that one list does for both. */
static int copy_child(struct postgres *p, size_t k, struct err *e)
{
	struct pg_child *c = &p->load.children[k];
	struct buf sql = BUF_INIT, ends = BUF_INIT;
	int rc;

	buf_addf(&sql, "CREATE TEMP TABLE _stitch_stage_%zu (" PG_ORDINAL " bigint", k);
	for (size_t i = 0; i < c->lo->n; i++) {
		buf_adds(&sql, ", ");
		sql_add_name(&sql, c->lo->columns[i].name);
		buf_addf(&sql, " %s", pg_type_name(p, c->lo->columns[i].type));
	}
	buf_adds(&sql, p->careful ? PG_SINGLE : ") ON COMMIT DROP");
	rc = pg_exec(&p->pg, buf_cstr(&sql), e);
	buf_truncate(&sql, 0);
	buf_addf(&sql, "COPY pg_temp._stitch_stage_%zu (" PG_ORDINAL ", %s) FROM STDIN (FORMAT binary)", k, buf_cstr(&c->names));
	if (!rc)
		rc = pg_copy_start(&p->pg, buf_cstr(&sql), e);
	if (!rc) {
		p->load.copying = true;
		pg_copy_header(&ends);
		rc = pg_copy_send(&p->pg, &ends, e) || send_aside(p, c, e) || pg_copy_send(&p->pg, &c->rows, e) ? -1 : 0;
		buf_truncate(&ends, 0);
		pg_copy_trailer(&ends);
		if (!rc)
			rc = pg_copy_send(&p->pg, &ends, e);
	}
	if (!rc) {
		p->load.copying = false;
		rc = pg_copy_finish(&p->pg, NULL, e);
	}
	buf_free(&ends);
	buf_free(&sql);
	return rc;
}

/* n bytes of c's encoded rows from at on, wherever they are. */
static int peek(const struct pg_child *c, uint64_t at, unsigned n, uint64_t *out, struct err *e)
{
	unsigned char b[8];

	assert(n <= sizeof(b));
	if (at < c->aside) { /* whole rows were put aside, so no value is in two places */
		if (file_read_all(c->fd, b, n, (int64_t)at, e))
			return -1;
	} else {
		memcpy(b, c->rows.data + (at - c->aside), n);
	}
	*out = 0;
	for (unsigned k = 0; k < n; k++)
		*out = *out << 8 | b[k];
	return 0;
}

/* The record that a line of COPY is of. The rows are our own: they are whole. */
static int ordinal_at(const struct pg_child *c, uint64_t line, uint64_t *ordinal, struct err *e)
{
	uint64_t at = 0, fields, len;

	while (--line) {
		if (peek(c, at, 2, &fields, e))
			return -1;
		at += 2;
		for (; fields; fields--) {
			if (peek(c, at, 4, &len, e))
				return -1;
			at += 4 + (len == UINT32_MAX ? 0 : len);
		}
	}
	return peek(c, at + 6, 8, ordinal, e);
}

/* A row is too big for the staging table already: its record is found by COPY's line, once rows are taken one by one. */
static int stage_failed(struct postgres *p, const struct pg_child *c, struct err *e)
{
	struct str column;
	uint64_t ordinal;
	int64_t line;
	char *reason;

	if (!e || e->code != ERR_DATA)
		return err_wrap(e, "rows of the subtable %s", c->lo->table);
	if (!p->careful) {
		p->careful = true;
		loader_again(p->loader);
		return -1;
	}
	line = pg_error_copy_line(buf_cstr(&p->pg.context), &column);
	if (line < 1 || (uint64_t)line > c->lines)
		return err_set(e, ERR_CONFIG, "the server refuses a row of the subtable %s and does not say which: %s", c->lo->table, buf_cstr(&p->pg.message));
	if (ordinal_at(c, (uint64_t)line, &ordinal, e))
		return -1;
	reason = xasprintf("%s (in the subtable %s)", buf_cstr(&p->pg.message), c->lo->table);
	loader_refuse(p->loader, ordinal, NULL, reason);
	free(reason);
	return -1;
}

int pg_children_index(struct postgres *p, struct err *e)
{
	for (size_t k = 0; k < p->load.n_children; k++)
		if (p->load.children[k].lines && pg_execf(&p->pg, e, "CREATE INDEX ON pg_temp._stitch_stage_%zu (" PG_ORDINAL ")", k))
			return -1;
	return 0;
}

int pg_children_stage(struct postgres *p, struct err *e)
{
	for (size_t k = 0; k < p->load.n_children; k++) {
		struct pg_child *c = &p->load.children[k];

		if (c->lines && copy_child(p, k, e))
			return stage_failed(p, c, e);
		buf_free(&c->rows);
	}
	return 0;
}

/* Old child rows of records that won. */
static int delete_old(struct postgres *p, const struct pg_child *c, struct err *e)
{
	const struct layout *root = p->load.lo;
	struct buf sql = BUF_INIT;
	int rc;

	buf_addf(&sql, "DELETE FROM %s c USING " PG_STAGE " s, pg_temp._stitch_won w WHERE w." PG_ORDINAL " = s." PG_ORDINAL, c->table);
	for (size_t k = 0; k < root->n_keys; k++) {
		buf_adds(&sql, " AND c.");
		sql_add_name(&sql, c->lo->columns[c->lo->keys[k]].name);
		buf_adds(&sql, " = s.");
		sql_add_name(&sql, root->columns[root->keys[k]].name);
	}
	rc = pg_exec(&p->pg, buf_cstr(&sql), e);
	buf_free(&sql);
	return rc;
}

static int insert_new(struct postgres *p, size_t k, const char *range, struct err *e)
{
	const struct pg_child *c = &p->load.children[k];
	struct buf sql = BUF_INIT;
	int rc;

	buf_addf(&sql, "INSERT INTO %s (%s) SELECT %s FROM pg_temp._stitch_stage_%zu s WHERE true%s", c->table, buf_cstr(&c->names), buf_cstr(&c->names), k, range);
	if (p->load.lo->n_keys) {
		buf_adds(&sql, " AND EXISTS (SELECT FROM pg_temp._stitch_won w WHERE w." PG_ORDINAL " = s." PG_ORDINAL ")");
	} else {
		for (size_t i = 0; i < c->lo->n_keys; i++) {
			buf_adds(&sql, i ? ", " : " ON CONFLICT (");
			sql_add_name(&sql, c->lo->columns[c->lo->keys[i]].name);
		}
		buf_adds(&sql, ") DO UPDATE SET ");
		for (size_t i = 0, n = 0; i < c->lo->n; i++) {
			if (c->lo->columns[i].key)
				continue;
			buf_adds(&sql, n++ ? ", " : "");
			sql_add_name(&sql, c->lo->columns[i].name);
			buf_adds(&sql, " = excluded.");
			sql_add_name(&sql, c->lo->columns[i].name);
		}
	}
	rc = pg_exec(&p->pg, buf_cstr(&sql), e);
	buf_free(&sql);
	return rc;
}

int pg_children_merge(struct postgres *p, const char *range, struct err *e)
{
	for (size_t k = 0; k < p->load.n_children; k++) {
		const struct pg_child *c = &p->load.children[k];

		if (p->load.lo->n_keys && c->desc->exists && delete_old(p, c, e))
			return -1;
		if (c->lines && insert_new(p, k, range, e)) {
			/* whose constraint it was, for the reason */
			buf_addf(&p->pg.message, " (in the subtable %s)", c->lo->table);
			return -1;
		}
	}
	return 0;
}
