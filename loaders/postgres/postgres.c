/*
 * postgres.c - stitch-load-postgres: the ops of this kind of destination (loaders/runtime/loader.h) and its main. One connection for the life of the process;
 * it is opened again after a failure that left it unusable. Settings: host port user password dbname sslmode, and numbers=exact|double.
 */
#include "loaders/postgres/postgres.h"

#include "loaders/sql/sql_text.h"
#include "xalloc.h"

static const char *const reserved[] = {"bi", "bo", "ti", "do", "it", "de", "st", NULL};

static void tick(void *arg)
{
	struct postgres *p = arg;

	loader_tick(p->loader, p->phase);
}

static void postgres_close(void *self)
{
	struct postgres *p = self;

	pg_rows_free(&p->load);
	pg_free(&p->pg);
	json_decref(p->settings);
	free(p->server);
	free(p);
}

static int read_numbers(struct postgres *p, struct err *e)
{
	json_t *v = json_object_get(p->settings, "numbers");
	const char *s = json_string_value(v);

	if (!v || json_is_null(v) || (s && (!*s || strcmp(s, "exact") == 0)))
		return 0;
	if (!s || strcmp(s, "double") != 0)
		return err_set(e, ERR_CONFIG, "the setting numbers can be exact (NUMERIC columns, the default) or double (DOUBLE PRECISION columns)");
	p->doubles = true;
	return 0;
}

/* What to do when the connection fails. */
static void connect_fix(const struct postgres *p, const struct err *e, struct buf *fix)
{
	const char *user = json_string_value(json_object_get(p->settings, "user"));

	if (strcmp(p->pg.state, "42501") == 0 && user) {
		buf_adds(fix, "GRANT CONNECT ON DATABASE ");
		sql_add_name(fix, json_string_value(json_object_get(p->settings, "dbname")));
		buf_adds(fix, " TO ");
		sql_add_name(fix, user);
	} else if (*pg_error_fix(p->pg.state)) {
		buf_adds(fix, pg_error_fix(p->pg.state));
	} else {
		buf_adds(fix, e->code == ERR_CONFIG ? "Use PostgreSQL 12 or later." : "Is the server running, and are host and port right?");
	}
}

static void *postgres_open(struct loader *l, const json_t *settings, struct buf *fix, struct err *e)
{
	struct postgres *p = xcalloc(1, sizeof(*p));

	p->loader = l;
	p->phase = "connecting";
	p->settings = json_deep_copy(settings);
	/* PostgreSQL allows 1600 columns; the staging table has two more than the table */
	p->dialect = (struct dialect){.suffix = {"bi", "de", "bo", "ti", "st"}, .reserved = reserved, .column_max = 59, .table_max = 63, .columns_max = 1598,
		.nesting = NEST_FLATTEN, .rename_first = true, .strip_special = true, .case_matters = true, .int_digits = 131072, .frac_digits = 16383};
	if (pg_init(&p->pg, p->settings, NULL, tick, p, e) || read_numbers(p, e)) {
		buf_adds(fix, "Correct the setting.");
		goto fail;
	}
	if (p->doubles)
		p->dialect.suffix[COL_NUMBER] = "do";
	if (pg_connect(&p->pg, e)) {
		connect_fix(p, e, fix);
		goto fail;
	}
	p->server = pg_server(&p->pg);
	return p;
fail:
	postgres_close(p);
	return NULL;
}

static const char *postgres_server(void *self)
{
	return ((struct postgres *)self)->server;
}

static const struct dialect *postgres_dialect(void *self)
{
	return &((struct postgres *)self)->dialect;
}

static bool postgres_alive(void *self)
{
	struct postgres *p = self;

	return pg_usable(&p->pg) && PQtransactionStatus(p->pg.conn) == PQTRANS_IDLE;
}

static const struct loader_ops postgres_ops = {
	.kind = "postgres",
	.open = postgres_open,
	.close = postgres_close,
	.server = postgres_server,
	.dialect = postgres_dialect,
	.check = pg_check,
	.sample = pg_sample,
	.prepare = pg_prepare,
	.describe = pg_describe,
	.subtables = pg_subtables,
	.change = pg_change,
	.ddl = pg_ddl,
	.begin = pg_begin,
	.ledger_get = pg_ledger_get,
	.ledger_ranges = pg_ledger_ranges,
	.ledger_put = pg_ledger_put,
	.rows_begin = pg_rows_begin,
	.put = pg_put,
	.rows_end = pg_rows_end,
	.tally = pg_tally,
	.activate = pg_activate,
	.reject = pg_reject,
	.commit = pg_commit,
	.rollback = pg_rollback,
	.alive = postgres_alive,
	.interrupt = pg_interrupt,
};

int main(void)
{
	return loader_main(&postgres_ops);
}
