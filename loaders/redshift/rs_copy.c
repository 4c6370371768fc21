/*
 * rs_copy.c - staged files from the bucket into a table, and what becomes of them. COPY gets a manifest whose files are all mandatory: a bare prefix would take files of
 * others that begin alike, and an answer of S3's to a list may be old. The names of staged files have a random part, so no attempt meets one of another.
 *
 * A record that is refused is looked up in the system table that the error names, by the file: its line begins with the record's ordinal; where the server does not
 * show the line it is fetched. Files go when the transaction has ended, one way or the other. What a loader that was killed has left lies under the table's
 * own prefix and is taken away by the next load, under the table's lock: nobody else can need it.
 */
#include "loaders/redshift/redshift.h"

#include <sys/random.h>
#include <unistd.h>
#include <zlib.h>

#include "file.h"
#include "loaders/sql/sql_text.h"
#include "log.h"
#include "xalloc.h"

#define FOLDER "stitch-stage/"
#define SHOWN 1000

static const char *setting(const struct redshift *r, const char *name)
{
	const char *v = json_string_value(json_object_get(r->settings, name));

	return v ? v : "";
}

/* PREFIX/stitch-stage/HASH/: of one table of one database. */
static char *folder_of(const struct redshift *r, const struct job *j)
{
	char *table = dialect_named(&r->dialect, j->table), *all, *folder;

	all = xasprintf("%s %s %s %s %s", setting(r, "host"), setting(r, "port"), setting(r, "dbname"), j->schema, table);
	folder = xasprintf("%s" FOLDER "%016" PRIx64 "/", r->prefix, str_hash(str_c(all)));
	free(all);
	free(table);
	return folder;
}

char *rs_staged_stem(struct redshift *r, const struct job *j, size_t k)
{
	char *folder = folder_of(r, j), *stem;
	uint64_t chance = 0;

	if (getrandom(&chance, sizeof(chance), 0) != (ssize_t)sizeof(chance))
		chance = (uint64_t)(uintptr_t)r ^ (uint64_t)getpid() << 32 ^ (uint64_t)time(NULL);
	stem = xasprintf("%s%" PRId64 "-%" PRIu32 "-%016" PRIx64 "-t%zu", folder, j->load, j->attempt, chance, k);
	free(folder);
	return stem;
}

/* --- taking files away --- */

static void delete_all(struct redshift *r, struct names *l, bool *failed)
{
	struct err e = ERR_INIT;

	for (size_t k = 0; k < l->n; k++) {
		/* one that cannot be reached costs its time-outs once, not for each file; the next load sweeps */
		if (!*failed && s3_delete(r->s3, l->s[k], &e)) {
			log_warn("staged files stay in the bucket for now: %s", e.text);
			*failed = true;
		}
		free(l->s[k]);
	}
	l->n = 0;
}

void rs_staged_delete(struct redshift *r)
{
	bool failed = false;

	delete_all(r, &r->staged, &failed);
	for (size_t k = 0; k < r->load.n_parts; k++)
		delete_all(r, &r->load.parts[k].stage.keys, &failed);
	if (failed) {
		for (size_t k = 0; k < r->swept.n; k++)
			free(r->swept.s[k]);
		r->swept.n = 0;
	}
}

static int note_key(const struct s3_object *o, void *arg)
{
	names_add(arg, o->key);
	return 0;
}

void rs_staged_sweep(struct redshift *r, const struct job *j)
{
	char *folder = folder_of(r, j);
	struct names found = {NULL};
	struct err e = ERR_INIT;
	bool failed = false;

	for (size_t k = 0; k < r->swept.n; k++)
		if (strcmp(r->swept.s[k], folder) == 0)
			goto out;
	if (s3_list(r->s3, folder, NULL, note_key, &found, &e)) {
		log_info("staged files of earlier loads cannot be looked for: %s", e.text);
		goto out;
	}
	if (found.n)
		log_info("%zu staged files of a load that was broken off are taken away", found.n);
	delete_all(r, &found, &failed);
	if (!failed)
		names_add(&r->swept, folder);
out:
	free(found.s);
	free(folder);
}

/* --- COPY --- */

static int put_manifest(struct redshift *r, const struct rs_part *p, char **key, struct err *e)
{
	static const struct s3_put put = {.content_type = "application/json"};
	struct buf b = BUF_INIT;
	int rc;

	buf_adds(&b, "{\"entries\":[");
	for (size_t k = 0; k < p->stage.keys.n; k++) /* neither quotes nor backslashes in a key: the prefix was looked at */
		buf_addf(&b, "%s{\"url\":\"s3://%s/%s\",\"mandatory\":true}", k ? "," : "", r->bucket, p->stage.keys.s[k]);
	buf_adds(&b, "]}");
	*key = xasprintf("%s.manifest", p->stage.stem);
	names_add(&r->staged, *key);
	rc = s3_put(r->s3, *key, buf_str(&b), &put, e);
	buf_free(&b);
	return rc ? rs_s3_failed(r, e) : 0;
}

void rs_copy_text(const struct redshift *r, const char *table, const struct layout *lo, bool ordinal, const char *manifest, struct buf *sql)
{
	const char *region = setting(r, "s3_region");

	buf_addf(sql, "COPY %s (%s", table, ordinal ? RS_ORDINAL : "");
	for (size_t k = 0; k < lo->n; k++) {
		buf_adds(sql, k || ordinal ? ", " : "");
		sql_add_name(sql, lo->columns[k].name);
	}
	buf_addf(sql, ") FROM 's3://%s/%s' %s", r->bucket, manifest, r->credentials);
	if (*region)
		buf_addf(sql, " REGION '%s'", region);
	buf_adds(sql, " FORMAT AS JSON 'auto' GZIP MANIFEST TIMEFORMAT 'auto' TRUNCATECOLUMNS ROUNDEC COMPUPDATE OFF STATUPDATE OFF");
}

/* The ordinal at the beginning of a line; -1: it is none of ours. */
static int ordinal_of(const char *line, uint64_t *out)
{
	static const char head[] = "{\"" RS_ORDINAL "\":";
	const char *p = line + strlen(head), *end = p;

	if (strncmp(line, head, strlen(head)) != 0)
		return -1;
	while (*end >= '0' && *end <= '9')
		end++;
	return str_to_u64(str_mem(p, (size_t)(end - p)), out);
}

/* The beginning of line number `line` of a staged file. */
static int fetch_line(struct redshift *r, const char *key, uint64_t line, char *out, size_t size, struct err *e)
{
	int fd = file_temp_any(e);
	gzFile f = NULL;
	uint64_t at = 1;
	size_t n = 0;
	int c;

	if (fd < 0)
		return -1;
	if (s3_get_fd(r->s3, key, 0, 0, fd, NULL, e)) {
		close(fd);
		return -1;
	}
	if (lseek(fd, 0, SEEK_SET) != 0 || !(f = gzdopen(fd, "rb"))) {
		close(fd);
		return err_set(e, ERR_IO, "the staged file %s cannot be read", key);
	}
	while ((c = gzgetc(f)) != -1 && at <= line)
		if (c == '\n')
			at++;
		else if (at == line && n + 1 < size)
			out[n++] = (char)c;
	out[n] = '\0';
	gzclose(f);
	return n ? 0 : err_set(e, ERR_CONFIG, "the staged file %s has no line %" PRIu64, key, line);
}

static void trim_end(char *s)
{
	for (size_t n = strlen(s); n && s[n - 1] == ' ';)
		s[--n] = '\0';
}

/* One row of the system table: file, line, column, reason, raw line. */
static int refuse_one(struct redshift *r, PGresult *res, int k, struct err *e)
{
	char *url = xstrdup(PQgetvalue(res, k, 0)), *column = xstrdup(PQgetvalue(res, k, 2)), *reason = xstrdup(PQgetvalue(res, k, 3)), line[128];
	size_t bucket = strlen("s3://") + strlen(r->bucket) + 1;
	uint64_t ordinal = 0, number;
	int rc = 0;

	trim_end(url);
	trim_end(column);
	trim_end(reason);
	if (ordinal_of(PQgetvalue(res, k, 4), &ordinal)) {
		if (str_to_u64(str_c(PQgetvalue(res, k, 1)), &number) || strlen(url) <= bucket)
			rc = err_set(e, ERR_CONFIG, "COPY refuses a record and does not say which: %s", reason);
		else
			rc = fetch_line(r, url + bucket, number, line, sizeof(line), e);
		if (!rc && ordinal_of(line, &ordinal))
			rc = err_set(e, ERR_CONFIG, "COPY refuses line %" PRIu64 " of %s, which is none of ours: %s", number, url, reason);
	}
	if (!rc)
		loader_refuse(r->loader, ordinal, *column && strcmp(column, RS_ORDINAL) != 0 ? column : NULL, *reason ? reason : "refused by COPY");
	free(reason);
	free(column);
	free(url);
	return rc;
}

/* The server has taken the transaction back with COPY's error; what it says of the records is in a system table. */
static int refused(struct redshift *r, const struct rs_part *p, const char *system, struct err *e)
{
	bool stl = strcmp(system, "stl_load_errors") == 0;
	char *said = xstrdup(buf_cstr(&r->pg.message)), *url = xasprintf("s3://%s/%s-", r->bucket, p->stage.stem), *sql;
	const char *params[] = {url};
	PGresult *res = NULL;
	int rc = -1;

	r->phase = "reading why records are refused";
	sql = xasprintf(stl ? "SELECT filename, line_number, colname, err_reason, raw_line FROM stl_load_errors WHERE strpos(filename, $1) = 1 ORDER BY starttime DESC LIMIT %d"
			    : "SELECT file_name, line_number, column_name, error_message, '' FROM sys_load_error_detail WHERE strpos(file_name, $1) = 1"
			      " ORDER BY start_time DESC LIMIT %d", SHOWN);
	if (pg_exec(&r->pg, "ROLLBACK", e) == 0)
		res = pg_query(&r->pg, sql, 1, params, e);
	if (!res)
		goto out;
	if (!PQntuples(res)) {
		err_set(e, ERR_CONFIG, "%s, and %s shows nothing of it", said, system);
		goto out;
	}
	for (int k = 0; k < PQntuples(res); k++)
		if (refuse_one(r, res, k, e))
			goto out;
	err_set(e, ERR_DATA, "records are refused: %s", said);
out:
	PQclear(res);
	free(sql);
	free(url);
	free(said);
	return rc;
}

static int check_count(struct redshift *r, const struct rs_part *p, struct err *e)
{
	PGresult *res = pg_query(&r->pg, "SELECT pg_last_copy_count()", 0, NULL, e);
	uint64_t n = 0;
	int rc = -1;

	if (!res)
		return -1;
	if (str_to_u64(str_c(PQgetvalue(res, 0, 0)), &n) == 0)
		rc = n == p->stage.lines ? 0 : -1;
	PQclear(res);
	return rc ? err_set(e, ERR_TRANSIENT, "COPY says that it has loaded %" PRIu64 " rows, and %" PRIu64 " were staged", n, p->stage.lines) : 0;
}

int rs_copy(struct redshift *r, struct rs_part *p, const char *table, bool ordinal, struct err *e)
{
	struct buf sql = BUF_INIT;
	char *manifest = NULL;
	const char *system;
	int rc = -1;

	r->phase = "copying from S3";
	if (put_manifest(r, p, &manifest, e))
		goto out;
	rs_copy_text(r, table, p->lo, ordinal, manifest, &sql);
	rc = pg_exec(&r->pg, buf_cstr(&sql), e);
	if (!rc) {
		rc = check_count(r, p, e);
		goto out;
	}
	system = rs_load_errors_table(r);
	if (pg_usable(&r->pg) && system)
		rc = refused(r, p, system, e);
out:
	buf_free(&sql);
	free(manifest);
	return rc;
}
