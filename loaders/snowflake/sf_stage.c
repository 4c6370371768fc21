/*
 * sf_stage.c - rows to Snowflake: gzip'ed JSON lines straight into the bucket (nothing is kept here but a buffer), then COPY into a transient table with one VARIANT
 * column, made for this load alone.
 *
 * Names begin with the time, so that what killed loaders left behind can be told from what is in use, without trusting anybody else's clock: a day old, it goes.
 *
 * What can go wrong: COPY refuses a line (its number leads to the record, which is rejected, and the load runs again); it tells of fewer rows than were sent (the
 * load is put off); the file was loaded by the first run of a request that was sent again (LOAD_SKIPPED: then the rows are counted).
 */
#include "loaders/snowflake/snowflake.h"

#include <sys/random.h>
#include <zlib.h>

#include "log.h"
#include "timefmt.h"
#include "xalloc.h"

#define FILE_MAX (200u << 20) /* packed; what Snowflake likes best is 100 to 250 MB */
#define OUT_MAX (64u << 10)
#define KEEP (24 * 3600)      /* s */
#define STAMP_LEN 15	      /* 20261125T073000 */
#define FOLDER "_stitch/"
#define STAGING "_STITCH_STG_"

static int64_t wall(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec;
}

static void stamp(int64_t s, char out[STAMP_LEN + 1])
{
	char iso[TIMEFMT_MAX];
	char *p = out;

	timefmt_iso(s * NSEC_PER_SEC, 0, iso);
	for (const char *c = iso; *c && p < out + STAMP_LEN; c++)
		if (*c != '-' && *c != ':')
			*p++ = *c;
	*p = '\0';
}

static char *new_name(const char *head, const char *tail)
{
	char now[STAMP_LEN + 1];
	uint32_t r;

	stamp(wall(), now);
	if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
		abort(); /* not possible for so few bytes */
	return xasprintf("%s%s_%08X%s", head, now, r, tail);
}

/* --- the file --- */

static int open_file(struct snow *s, struct err *e)
{
	static const struct s3_put how = {.content_type = "application/gzip"};
	struct sf_stage *st = &s->stage;
	char *name = new_name(FOLDER, ".json.gz"), *key = xasprintf("%s%s", s->prefix, name);

	st->up = s3_upload_new(s->s3, key, &how, e);
	free(key);
	if (!st->up) {
		free(name);
		return -1;
	}
	st->files = xreallocarray(st->files, st->n_files + 1, sizeof(*st->files));
	st->files[st->n_files++] = (struct sf_file){.name = name, .first = st->lines};
	st->z = xcalloc(1, sizeof(*st->z));
	st->bytes = 0;
	if (deflateInit2(st->z, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		abort(); /* only for want of memory */
	return 0;
}

static int pack(struct snow *s, struct str data, int flush, struct err *e)
{
	unsigned char out[OUT_MAX];
	struct sf_stage *st = &s->stage;
	int rc;

	st->z->next_in = (Bytef *)(uintptr_t)data.ptr;
	st->z->avail_in = (uInt)data.len;
	do {
		size_t n;

		st->z->next_out = out;
		st->z->avail_out = sizeof(out);
		rc = deflate(st->z, flush);
		n = sizeof(out) - st->z->avail_out;
		st->bytes += n;
		if (n && s3_upload_write(st->up, out, n, e))
			return -1;
	} while (st->z->avail_out == 0 || (flush == Z_FINISH && rc == Z_OK));
	return 0;
}

static void end_packing(struct sf_stage *st)
{
	if (st->z)
		deflateEnd(st->z);
	free(st->z);
	st->z = NULL;
}

int sf_stage_close(struct snow *s, struct err *e)
{
	struct sf_stage *st = &s->stage;

	if (!st->up)
		return 0;
	if (pack(s, STR_NULL, Z_FINISH, e))
		return -1;
	end_packing(st);
	s->bytes += st->bytes;
	if (s3_upload_end(st->up, e))
		return -1;
	st->up = NULL;
	return 0;
}

static int s3_failed(struct snow *s, struct err *e)
{
	err_wrap(e, "staging rows in the bucket");
	if (e->code == ERR_CONFIG && *s3_fix(s->s3)) {
		struct err cause = *e;

		err_set(e, cause.code, "%.300s. %s", cause.text, s3_fix(s->s3));
	}
	return -1;
}

/* Ordinals mostly go on by ones: only where they do not is noted. */
static void note_ordinal(struct sf_stage *st, uint64_t ordinal)
{
	const struct sf_run *last = st->n_runs ? &st->runs[st->n_runs - 1] : NULL;

	if (last && last->ordinal != UINT64_MAX && last->ordinal + (st->lines - last->line) == ordinal)
		return;
	if (last && last->ordinal == UINT64_MAX && ordinal == UINT64_MAX)
		return;
	if (st->n_runs == st->cap_runs) {
		st->cap_runs = st->cap_runs ? st->cap_runs * 2 : 64;
		st->runs = xreallocarray(st->runs, st->cap_runs, sizeof(*st->runs));
	}
	st->runs[st->n_runs++] = (struct sf_run){.line = st->lines, .ordinal = ordinal};
}

int sf_stage_line(struct snow *s, uint64_t ordinal, struct err *e)
{
	struct sf_stage *st = &s->stage;
	int rc = 0;

	if (!st->up && open_file(s, e))
		return s3_failed(s, e);
	buf_addc(&st->line, '\n');
	rc = pack(s, buf_str(&st->line), Z_NO_FLUSH, e);
	buf_truncate(&st->line, 0);
	note_ordinal(st, ordinal);
	st->lines++;
	if (!rc && st->bytes >= FILE_MAX)
		rc = sf_stage_close(s, e);
	return rc ? s3_failed(s, e) : 0;
}

/* --- COPY --- */

static int copy_sql(const struct snow *s, const char *table, struct buf *sql, size_t from, struct err *e)
{
	const char *stage = json_string_value(json_object_get(s->settings, "stage")), *token = json_string_value(json_object_get(s->settings, "s3_session_token"));
	const char *integration = json_string_value(json_object_get(s->settings, "storage_integration"));
	const char *bucket = json_string_value(json_object_get(s->settings, "s3_bucket"));

	/* these two are names as a person writes them, put as they are: nothing may end them */
	if ((stage && strpbrk(stage, "'; \n\t()@\\")) || (integration && strpbrk(integration, "'; \n\t()@\\.")))
		return err_set(e, ERR_CONFIG, "the setting %s is not a name", stage && *stage ? "stage" : "storage_integration");
	buf_addf(sql, "COPY INTO %s FROM ", table);
	if (stage && *stage) {
		buf_addf(sql, "@%s", stage);
	} else {
		char *url = xasprintf("s3://%s/%s", bucket, s->prefix);

		sf_literal(sql, str_c(url));
		free(url);
		if (integration && *integration) {
			buf_addf(sql, " STORAGE_INTEGRATION = %s", integration);
		} else {
			buf_adds(sql, " CREDENTIALS = (AWS_KEY_ID = ");
			sf_literal(sql, str_c(json_string_value(json_object_get(s->settings, "s3_access_key"))));
			buf_adds(sql, " AWS_SECRET_KEY = ");
			sf_literal(sql, str_c(json_string_value(json_object_get(s->settings, "s3_secret_key"))));
			if (token && *token) {
				buf_adds(sql, " AWS_TOKEN = ");
				sf_literal(sql, str_c(token));
			}
			buf_addc(sql, ')');
		}
	}
	for (size_t k = from; k < s->stage.n_files; k++) {
		buf_adds(sql, k == from ? " FILES = (" : ", ");
		sf_literal(sql, str_c(s->stage.files[k].name));
	}
	buf_adds(sql, ") FILE_FORMAT = (TYPE = JSON COMPRESSION = GZIP ALLOW_DUPLICATE = TRUE) ON_ERROR = ABORT_STATEMENT");
	return 0;
}

/* The first line of the file that an error names; UINT64_MAX: it names none, and there are several. */
static uint64_t first_line(const struct sf_stage *st, const char *text)
{
	for (size_t k = st->n_loaded; k < st->n_files; k++)
		if (st->n_files - st->n_loaded == 1 || strstr(text, st->files[k].name + strlen(FOLDER)))
			return st->files[k].first;
	return UINT64_MAX;
}

/* The line that COPY complains about, to its record. */
static bool find_refused(struct snow *s, const struct err *e)
{
	const struct sf_stage *st = &s->stage;
	uint64_t in_file = sf_error_line(e->text), first = first_line(st, e->text), line = first + in_file - 1;
	size_t run = 0;

	if (!in_file || first == UINT64_MAX || line >= st->lines)
		return false;
	while (run + 1 < st->n_runs && st->runs[run + 1].line <= line)
		run++;
	if (st->runs[run].ordinal == UINT64_MAX)
		return false;
	loader_refuse(s->loader, st->runs[run].ordinal + (line - st->runs[run].line), NULL, e->text);
	return true;
}

static int count_staged(struct snow *s, uint64_t *n, struct err *e)
{
	struct buf sql = BUF_INIT;
	json_t *a = NULL;
	int rc;

	buf_addf(&sql, "SELECT count(*) FROM %s", s->stage.table);
	rc = sf_run(s, buf_cstr(&sql), 1, &a, e);
	*n = rc ? 0 : (uint64_t)sf_cell_int(a, 0, 0);
	json_decref(a);
	buf_free(&sql);
	return rc;
}

static size_t column_named(const json_t *a, const char *name)
{
	size_t k = 0;

	while (sf_column(a, k) && strcasecmp(sf_column(a, k), name) != 0)
		k++;
	return k;
}

static int check_copy(struct snow *s, const json_t *a, struct err *e)
{
	size_t status = column_named(a, "status"), loaded = column_named(a, "rows_loaded");
	uint64_t wanted = s->stage.lines - s->stage.files[s->stage.n_loaded].first, n = 0;
	bool sure = true;

	for (size_t k = 0; k < sf_rows(a); k++) {
		sure = sure && sf_cell(a, k, status) && strcmp(sf_cell(a, k, status), "LOADED") == 0;
		n += (uint64_t)sf_cell_int(a, k, loaded);
	}
	if (sure && n == wanted)
		return 0;
	/* loaded already, by a request of ours whose answer was lost */
	if (count_staged(s, &n, e))
		return -1;
	return n == s->stage.lines ? 0 : err_set(e, ERR_TRANSIENT, "COPY says %s: %" PRIu64 " rows were sent and %" PRIu64 " are there",
		sf_cell(a, 0, status) ? sf_cell(a, 0, status) : "nothing", s->stage.lines, n);
}

static int make_table(struct snow *s, struct err *e)
{
	struct buf sql = BUF_INIT, table = BUF_INIT;
	char *name = new_name(STAGING, "");
	int rc;

	sf_table(s, &table, s->load.job->schema, name);
	buf_addf(&sql, "CREATE TRANSIENT TABLE %s (\"V\" VARIANT)", buf_cstr(&table));
	s->stage.table = buf_detach(&table, NULL);
	rc = sf_run(s, buf_cstr(&sql), 1, NULL, e);
	buf_free(&sql);
	free(name);
	return rc;
}

int sf_stage_load(struct snow *s, struct err *e)
{
	struct sf_stage *st = &s->stage;
	struct buf sql = BUF_INIT;
	json_t *a = NULL;
	int rc;

	if (sf_stage_close(s, e))
		return s3_failed(s, e);
	if (st->n_loaded == st->n_files)
		return 0;
	s->phase = "copying";
	if (!st->table && make_table(s, e))
		return -1;
	rc = copy_sql(s, st->table, &sql, st->n_loaded, e);
	if (!rc)
		rc = sf_run(s, buf_cstr(&sql), 1, &a, e);
	if (rc && e->code == ERR_DATA && !find_refused(s, e))
		err_wrap(e, "COPY refuses a record and does not say which");
	if (!rc)
		rc = check_copy(s, a, e);
	if (!rc)
		st->n_loaded = st->n_files;
	json_decref(a);
	buf_free(&sql);
	return rc;
}

/* --- the end --- */

static void drop_table(struct snow *s, const char *table)
{
	struct buf sql = BUF_INIT;
	struct err e = ERR_INIT;

	buf_addf(&sql, "DROP TABLE IF EXISTS %s", table);
	/* what stays is swept a day later */
	if (sf_run(s, buf_cstr(&sql), 1, NULL, &e))
		log_warn("a staging table stays for now: %s", e.text);
	buf_free(&sql);
}

static void delete_file(struct snow *s, const char *key)
{
	struct err e = ERR_INIT;

	if (s3_delete(s->s3, key, &e))
		log_warn("a staged file stays for now: %s", e.text);
}

void sf_stage_drop(struct snow *s)
{
	struct sf_stage *st = &s->stage;

	end_packing(st);
	s3_upload_abort(st->up);
	if (st->up && st->n_files)
		free(st->files[--st->n_files].name);
	if (st->table)
		drop_table(s, st->table);
	for (size_t k = 0; k < st->n_files; k++) {
		char *key = xasprintf("%s%s", s->prefix, st->files[k].name);

		delete_file(s, key);
		free(key);
		free(st->files[k].name);
	}
	free(st->table);
	free(st->files);
	free(st->runs);
	buf_free(&st->line);
	*st = (struct sf_stage){.lines = 0};
}

/* --- leftovers --- */

struct sweep { struct snow *s; char before[STAMP_LEN + 1]; char **names; size_t n; };

static bool is_old(const struct sweep *w, const char *time)
{
	return strspn(time, "0123456789T") == STAMP_LEN && memcmp(time, w->before, STAMP_LEN) < 0;
}

static void remember(struct sweep *w, const char *name)
{
	w->names = xreallocarray(w->names, w->n + 1, sizeof(*w->names));
	w->names[w->n++] = xstrdup(name);
}

static int on_object(const struct s3_object *o, void *arg)
{
	struct sweep *w = arg;

	if (is_old(w, o->key + strlen(w->s->prefix) + strlen(FOLDER)))
		remember(w, o->key);
	return 0;
}

static void sweep_files(struct sweep *w)
{
	char *prefix = xasprintf("%s" FOLDER, w->s->prefix);
	struct err e = ERR_INIT;

	if (s3_list(w->s->s3, prefix, NULL, on_object, w, &e))
		log_warn("leftovers in the bucket: %s", e.text);
	for (size_t k = 0; k < w->n; k++) {
		delete_file(w->s, w->names[k]);
		free(w->names[k]);
	}
	w->n = 0;
	free(prefix);
}

static void sweep_tables(struct sweep *w, const char *schema)
{
	struct buf sql = BUF_INIT, name = BUF_INIT;
	struct err e = ERR_INIT;
	json_t *a = NULL;

	sf_schema_name(w->s, schema, &name);
	buf_adds(&sql, "SELECT TABLE_NAME FROM ");
	sf_ident(&sql, w->s->database, false);
	buf_adds(&sql, ".INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = ");
	sf_literal(&sql, buf_str(&name));
	buf_adds(&sql, " AND STARTSWITH(TABLE_NAME, '" STAGING "')");
	if (sf_run(w->s, buf_cstr(&sql), 1, &a, &e))
		log_warn("leftovers: %s", e.text);
	for (size_t k = 0; k < sf_rows(a); k++) {
		const char *table = sf_cell(a, k, 0);

		if (!table || strncmp(table, STAGING, strlen(STAGING)) != 0 || !is_old(w, table + strlen(STAGING)))
			continue;
		buf_truncate(&name, 0);
		sf_table(w->s, &name, schema, table);
		drop_table(w->s, buf_cstr(&name));
	}
	json_decref(a);
	buf_free(&name);
	buf_free(&sql);
}

void sf_stage_sweep(struct snow *s, const char *schema)
{
	struct sweep w = {.s = s};

	s->phase = "looking for leftovers";
	stamp(wall() - KEEP, w.before);
	sweep_tables(&w, schema);
	sweep_files(&w);
	free(w.names);
}
